"""Rows of floats to bytes: the least and greatest value of a row, then q = x * factor + zero, vectors at a time.

The bytes are unsigned, 128 more than the int8 that the definition (`dynamic.py`) speaks of: what vpdpbusd and the tiles want
of the one factor. Four vectors of int32 become one of bytes through packs, which saturate: most limits come for free.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

from ..machine import microkernel
from .elements import packed
from .reduce_rows import halved

if TYPE_CHECKING:
    from .vectors import Code, Value


@cache
def limits_of(lanes: int) -> Callable[..., Any]:
    """The least and greatest of n floats and 0: a microkernel of (x, n, found), found: float32 [2]. A NaN is neither."""

    @microkernel("int64", "int64", "int64")
    def run(code: Code, x: Value, n: Value, found: Value) -> None:
        kind = code.vector(code.F32, lanes)
        zero = code.constant(0.0, kind)
        acc = [[code.cell(zero) for _ in range(4)] for _ in range(2)]

        def take(v: Value, into: int) -> None:
            acc[0][into].set(code.least(v, acc[0][into].get()))
            acc[1][into].set(code.most(v, acc[1][into].get()))

        with code.loop(n / (4 * lanes)) as i:
            for v in range(4):
                take(code.load(x + (i * 4 + v) * (4 * lanes), kind), v)
        blocks = n / lanes
        whole = n / (4 * lanes) * 4
        with code.loop(blocks - whole) as i:
            take(code.load(x + (whole + i) * (4 * lanes), kind), 0)
        done = blocks * lanes
        with code.when(code.less(done, n)):
            take(code.load_masked(x + done * 4, kind, code.first(n - done, lanes)), 0)
        for side, join in enumerate((code.least, code.most)):
            a, b, c, d = (cell.get() for cell in acc[side])
            code.store(halved(code, join(join(a, b), join(c, d)), join), found + 4 * side)

    return run


@cache
def quantize_row(way: str, lanes: int) -> Callable[..., Any]:
    """n floats to bytes: a microkernel of (x, q, n, whole, zero, factor). zero: 128 more than the zero point; whole: how many
    of the floats lie in groups of eight, which are rounded the quick way (not `delegate`)."""

    @microkernel("int64", "int64", "int64", "int64", "int64", "float32")
    def run(code: Code, x: Value, q: Value, n: Value, whole: Value, zero: Value, factor: Value) -> None:
        kind, word = code.vector(code.F32, lanes), code.vector(code.I32, lanes)
        by = code.splat(factor, kind)
        zero32 = code.convert(zero, code.I32)
        top = code.splat(code.convert(code.constant(255, code.I32) - zero32, code.F32), kind)
        limit, half, sign = (code.constant(c, k) for c, k in ((1024.0, kind), (0.5, kind), (-(2**31), word)))
        ends = [code.splat(zero32, word), code.constant(int(way == "symmetric"), word), code.constant(255, word)]

        def steps(at: Value, exact: bool, mask: Value | None = None) -> Value:
            v = (code.load(x + at * 4, kind) if mask is None else code.load_masked(x + at * 4, kind, mask)) * by
            if way == "delegate":
                v = code.least(v, top)
                if lanes == 16:
                    return code.call("llvm.x86.avx512.mask.cvtps2dq.512", word, v, code.constant(0, word),
                                     code.constant(-1, code.I16), code.constant(4, code.I32))
                return code.call("llvm.x86.avx.cvt.ps2dq.256", word, v)
            v = code.least(limit, v)
            if exact:
                return code.convert(code.call(f"llvm.round.v{lanes}f32", kind, v), word)
            return code.convert(v + code.cast((code.cast(v, word) & sign) | code.cast(half, word), kind), word)

        def span(first: Value, last: Value, exact: bool) -> None:
            count = last - first
            with code.loop(count / (4 * lanes)) as i:
                at = first + i * (4 * lanes)
                code.store(packed(code, [steps(at + v * lanes, exact) for v in range(4)], ends, False), q + at)
            done = first + count / (4 * lanes) * (4 * lanes)
            with code.loop((last - done + (lanes - 1)) / lanes) as i:
                at = done + i * lanes
                mask = code.first(last - at, lanes)
                found = steps(at, exact, mask)
                found = code.least(code.most(found, code.constant(-32768, word)), code.constant(32767, word)) + ends[0]
                byte = code.convert(code.least(code.most(found, ends[1]), ends[2]), code.vector(code.I8, lanes))
                code.store_masked(byte, q + at, mask)

        span(code.constant(0), n if way == "delegate" else whole, False)
        if way != "delegate":
            with code.when(code.less(whole, n)):
                span(whole, n, True)

    return run


@cache
def step_row(lanes: int) -> Callable[..., Any]:
    """n floats to what the bytes of the way `asymmetric` would be without their zero point, as floats: a microkernel of (x, q,
    n, whole, zero, factor). zero: the zero point; whole: as above."""

    @microkernel("int64", "int64", "int64", "int64", "int64", "float32")
    def run(code: Code, x: Value, q: Value, n: Value, whole: Value, zero: Value, factor: Value) -> None:
        kind, word = code.vector(code.F32, lanes), code.vector(code.I32, lanes)
        by, half, sign = code.splat(factor, kind), code.constant(0.5, kind), code.constant(-(2**31), word)
        lo, hi = (code.splat(code.convert(code.constant(end) - zero, code.F32), kind) for end in (-128, 127))

        def steps(at: Value, exact: bool, mask: Value | None = None) -> Value:
            v = (code.load(x + at * 4, kind) if mask is None else code.load_masked(x + at * 4, kind, mask)) * by
            if exact:
                v = code.call(f"llvm.round.v{lanes}f32", kind, v)
            else:
                away = v + code.cast((code.cast(v, word) & sign) | code.cast(half, word), kind)
                v = code.call(f"llvm.trunc.v{lanes}f32", kind, away)
            return code.least(hi, code.most(v, lo))

        def span(first: Value, last: Value, exact: bool) -> None:
            blocks = (last - first) / lanes
            with code.loop(blocks) as i:
                at = first + i * lanes
                code.store(steps(at, exact), q + at * 4)
            done = first + blocks * lanes
            with code.when(code.less(done, last)):
                mask = code.first(last - done, lanes)
                code.store_masked(steps(done, exact, mask), q + done * 4, mask)

        span(code.constant(0), whole, False)
        with code.when(code.less(whole, n)):
            span(whole, n, True)

    return run
