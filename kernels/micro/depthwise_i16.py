"""Depthwise windows of int16 by int8, a group of PX pixels of one output row at a time, channels beside each other in vectors.

    y[px, c] = clamp(requantize(bias[c] + sum over p, q of x[row p, column (first + px) * SW + q - left, c] * w[p, q, c]))

Rows, columns and what is outside the image are as in `depthwise.py`. Two rows of a column are interleaved, so that every
32-bit lane holds two taps of a channel and one vpdpwssd adds both. Unpacks work inside 128-bit lanes, and so does the pack at
the end: the order of channels that the first leave is the one that the second expects (`channel_order`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..machine import microkernel
from .depthwise import _pointers, _unpack, columns_of, users_of
from .gemm_i16 import bias_of, dot2, to_int16
from .tails import even_and_odd, half_up, half_up_wide

if TYPE_CHECKING:
    from .vectors import Code, Value


def channel_order(lanes: int) -> list[int]:
    """The channel, of 2 * lanes, at each position of the two vectors that unpacking leaves."""
    return [8 * (e // 4) + 4 * v + e % 4 for v in (0, 1) for e in range(lanes)]


def depthwise_i16(kh: int, kw: int, sw: int, dilated: bool, px: int, lanes: int, level: str,
                  wide: bool) -> Callable[..., Any]:
    """The group as a microkernel of (rows, first, dilation, width, channels, outside, starts, chunks, w, bias, multiplier,
    shift, y, lo, hi).

    Channels, 2 * lanes at least, go in chunks of that many, which may overlap. starts: address of int64, the first channel of
    every chunk. For every chunk, w: [ceil(KH / 2), KW, 2 * lanes, 2] int16, bias (wide: int64), multiplier,
    shift [2 * lanes]. wide: sums with the bias do not fit 32 bits.
    """
    columns, pairs, chunk_size = columns_of(kw, sw, dilated, px), -(-kh // 2), 2 * lanes

    @microkernel(*["int64"] * 15)
    def group(code: Code, rows: Value, first: Value, dilation: Value, width: Value, channels: Value, outside: Value,
              starts: Value, chunks: Value, w: Value, bias: Value, multiplier: Value, shift: Value, y: Value, lo: Value,
              hi: Value) -> None:
        kind, words = code.vector(code.I32, lanes), code.vector(code.I16, chunk_size)
        cell = _pointers(code, rows, first, dilation, width, channels * 2, outside, kh, columns)
        nothing, ends = code.constant(0, words), [code.splat(code.convert(c, code.I32), kind) for c in (lo, hi)]
        with code.loop(chunks) as index:
            offset, each = code.load(starts + index * 8, code.I64) * 2, index * chunk_size
            own = w + each * (pairs * kw * 4)
            both = [started(code, kind, each, bias, wide) for _ in range(px)]
            for c, column in enumerate(columns):
                for pair in range(pairs):
                    a, b = (code.load(cell[r][c] + offset, words) if r < kh else nothing for r in (2 * pair, 2 * pair + 1))
                    x = [code.cast(_unpack(code, a, b, high, 2), kind) for high in (False, True)]
                    for p, q in users_of(column, kw, sw, dilated, px):
                        at = own + (pair * kw + q) * chunk_size * 4
                        both[p] = [dot2(code, both[p][v], x[v], code.load(at + 4 * lanes * v, kind), level) for v in (0, 1)]
            back = way_back(code, kind, each, bias, multiplier, shift, wide)
            for p in range(px):
                done = joined(code, back(both[p]), ends, level)
                code.store(done, y + channels * (2 * p) + offset)

    return group


def depthwise_flat_i16(kh: int, kw: int, lanes: int, level: str, wide: bool) -> Callable[..., Any]:
    """One output row, whatever the channels, as a microkernel of (rows, columns, starts, phases, period, length, w, bias,
    multiplier, shift, y, lo, hi): element i of it needs the elements at i + a column's distance of the rows.

    rows: address of int64 [KH]; columns: of int64 [KW], distances in bytes. A period of elements is cut into chunks of
    2 * lanes with weights of their own. starts: address of int64 [phases, 2], where in a period a chunk starts and how many
    periods have it; length: elements of the row; w, bias, multiplier, shift as in `depthwise_i16`, [phases] of them.
    """
    pairs, chunk_size = -(-kh // 2), 2 * lanes

    @microkernel(*["int64"] * 13)
    def row_of(code: Code, rows: Value, columns: Value, starts: Value, phases: Value, period: Value, length: Value, w: Value,
               bias: Value, multiplier: Value, shift: Value, y: Value, lo: Value, hi: Value) -> None:
        kind, words = code.vector(code.I32, lanes), code.vector(code.I16, chunk_size)
        nothing, ends = code.constant(0, words), [code.splat(code.convert(c, code.I32), kind) for c in (lo, hi)]
        base = [code.load(rows + 8 * p, code.I64) for p in range(kh)]
        column = [code.load(columns + 8 * q, code.I64) for q in range(kw)]
        with code.loop(phases) as phase:
            start, each = code.load(starts + phase * 16, code.I64), phase * chunk_size
            own = w + each * (pairs * kw * 4)
            back = way_back(code, kind, each, bias, multiplier, shift, wide)
            with code.loop(code.load(starts + (phase * 16 + 8), code.I64)) as turn:
                at = start + turn * period
                both = started(code, kind, each, bias, wide)
                for q in range(kw):
                    here = column[q] + at * 2
                    for pair in range(pairs):
                        a, b = (code.load(base[r] + here, words) if r < kh else nothing for r in (2 * pair, 2 * pair + 1))
                        for v, high in enumerate((False, True)):
                            weight = code.load(own + ((pair * kw + q) * chunk_size * 4 + 4 * lanes * v), kind)
                            both[v] = dot2(code, both[v], code.cast(_unpack(code, a, b, high, 2), kind), weight, level)
                done, target, left = joined(code, back(both), ends, level), y + at * 2, length - at
                with code.either(code.less(left, code.constant(chunk_size))) as (part, full):
                    with part:
                        code.store_masked(done, target, code.first(left, chunk_size))
                    with full:
                        code.store(done, target)

    return row_of


def started(code: Code, kind: Any, each: Value, bias: Value, wide: bool) -> list[Value]:
    """The sums of a chunk's two vectors before the first product."""
    return [code.constant(0, kind) if wide else code.load(bias + each * 4 + 4 * kind.count * v, kind) for v in (0, 1)]


def way_back(code: Code, kind: Any, each: Value, bias: Value, multiplier: Value, shift: Value,
             wide: bool) -> Callable[[list[Value]], list[Value]]:
    """From a chunk's sums to its results."""
    lanes, long = kind.count, code.vector(code.I64, kind.count // 2)
    m_of, s_of = ([code.load(values + each * 4 + 4 * lanes * v, kind) for v in (0, 1)] for values in (multiplier, shift))
    more = [bias_of(code, bias + each * 8 + 8 * lanes * v, long) for v in (0, 1)] if wide else []

    def finish(acc: Value, v: int) -> Value:
        if not wide:
            return half_up(code, acc, m_of[v], s_of[v])
        even, odd = (half + b for half, b in zip(even_and_odd(code, acc), more[v]))
        return half_up_wide(code, even, odd, m_of[v], s_of[v])

    return lambda both: [finish(acc, v) for v, acc in enumerate(both)]


def joined(code: Code, two: list[Value], ends: list[Value], level: str) -> Value:
    """Two vectors in `channel_order` as one of int16, clamped, in order."""
    lanes = two[0].kind.count
    words = code.vector(code.I16, 2 * lanes)
    low, high = (to_int16(code, v, ends) for v in two)
    if level == "portable":
        place = {c: at for at, c in enumerate(channel_order(lanes))}
        return code.shuffle(low, high, [place[c] for c in range(2 * lanes)])
    pack = {16: "avx512.packssdw.512", 8: "avx2.packssdw", 4: "sse2.packssdw.128"}[lanes]
    lo, hi = (code.splat(code.convert(code.extract(e, 0), code.I16), words) for e in ends)
    return code.least(code.most(code.call(f"llvm.x86.{pack}", words, *two), lo), hi)
