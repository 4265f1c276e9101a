"""SOFTMAX of rows of 8 bits by the builtin's table, in vectors: long rows, short rows side by side, and rows of two.

    y = round(table[m - x] / (scale * sum of table[m - x])) + zero,    m = max x

Each row must add up in order. In a long row its at most 256 answers are made first; short rows stand in lanes, a row each;
a row of two has one answer for each difference of its bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

from ..machine import microkernel
from .elements import packed
from .formulas import as_floats, cut_off
from .lookup import looking, through

if TYPE_CHECKING:
    from .vectors import Code, Value


def rounded(code: Code, share: Value, truncates: bool) -> Value:
    """To int32: half away from zero, or a half added and cut off."""
    if truncates:
        return cut_off(code, share + 0.5)
    return cut_off(code, code.call(f"llvm.round.v{share.kind.count}f32", share.kind, share))


def greatest(code: Code, x: Value, n: Value, lanes: int, signed: bool) -> Value:
    """The greatest of n bytes, as a byte. Vectors may overlap, the last one does."""
    byte = code.vector(code.I8, lanes)
    whole, one = code.cell(code.constant(-128 if signed else 0, byte)), code.cell(code.constant(-128 if signed else 0, code.I8))
    with code.either(code.less(n, code.constant(lanes))) as (few, many):
        with few:
            with code.loop(n) as i:
                one.set(code.most(code.load(x + i, code.I8), one.get(), signed))
        with many:
            with code.loop((n + (lanes - 1)) / lanes) as i:
                at = code.least(i * lanes, n - lanes)
                whole.set(code.most(code.load(x + at, byte), whole.get(), signed))
            one.set(code.call(f"llvm.vector.reduce.{'s' if signed else 'u'}max.v{lanes}i8", code.I8, whole.get()))
    return one.get()


@cache
def softmax_rows_of_bytes(rows: int, lanes: int, at_once: bool, signed: bool, truncates: bool) -> Callable[..., Any]:
    """The microkernel of (x, y, n, table, p, room) for some rows: their sums run beside each other, since each must add up
    in order. A row has at most 256 answers: they are made first, in the 256 bytes at `room`.

    table: float32 [256], for each distance from the greatest; p: scale as float32, zero point, lo, hi.
    """

    @microkernel(*["int64"] * 6)
    def run(code: Code, x: Value, y: Value, n: Value, table: Value, p: Value, room: Value) -> None:
        word = code.vector(code.I32, lanes)
        scale, *ends = (code.splat(code.load(p + 4 * k, code.I32), word) for k in range(4))
        most = [greatest(code, x + n * r, n, 4 * lanes, signed) for r in range(rows)]
        total = [code.cell(code.constant(0.0, code.F32)) for _ in range(rows)]
        with code.loop(n) as i:
            for r in range(rows):
                place = code.convert(most[r] - code.load(x + n * r + i, code.I8), code.I64, signed=False)
                total[r].set(total[r].get() + code.load(table + place * 4, code.F32))
        one = code.constant(1.0, code.vector(code.F32, lanes))
        for r in range(rows):
            inverse = one / (code.splat(total[r].get(), one.kind) * as_floats(code, scale)[0])
            with code.loop(256 // (4 * lanes)) as i:
                shares = [rounded(code, code.load(table + i * (16 * lanes) + 4 * lanes * v, one.kind) * inverse, truncates)
                          for v in range(4)]
                code.store(packed(code, shares, ends, signed), room + i * (4 * lanes))

            def place_of(q: Value, m: Value = most[r]) -> Value:
                return (m if q.kind == m.kind else code.splat(m, q.kind)) - q

            through(code, x + n * r, room, y + n * r, n, 4 * lanes, at_once, place_of)

    return run


def gathered(code: Code, base: Value, places: Value, step: int, mask: Value) -> Value:
    """The 32 bits at base + step * places in each lane; 0 and not read outside the mask."""
    kind = places.kind
    nothing = code.constant(0, kind)
    if kind.count == 16:
        return code.call("llvm.x86.avx512.mask.gather.dpi.512", kind, nothing, code.at(base), places, mask,
                         code.constant(step, code.I32))
    return code.call("llvm.x86.avx2.gather.d.d.256", kind, nothing, code.at(base), places, code.convert(mask, kind),
                     code.constant(step, code.I8))


@cache
def softmax_short_rows(lanes: int, signed: bool, truncates: bool) -> Callable[..., Any]:
    """The microkernel of (x, y, n, table, p, room, rows): at most `lanes` rows of n >= 4 bytes, a row in each lane.

    Four columns travel together: the last four may overlap those before. room: the exponentials, 4 * n bytes a lane, and
    one vector more.
    """

    @microkernel(*["int64"] * 7)
    def run(code: Code, x: Value, y: Value, n: Value, table: Value, p: Value, room: Value, rows: Value) -> None:
        word, byte, floats = code.vector(code.I32, lanes), code.vector(code.I8, 4 * lanes), code.vector(code.F32, lanes)
        scale, *ends = (code.splat(code.load(p + 4 * k, code.I32), word) for k in range(4))
        mask, columns = code.first(rows, lanes), (n + 3) / 4
        starts = code.constant(list(range(lanes)), word) * code.splat(code.convert(n, code.I32), word)

        def four(k: Value) -> tuple[Value, Value]:
            at = code.least(k * 4, n - 4)
            return at, code.cast(gathered(code, x + at, starts, 1, mask), byte)

        most = code.cell(code.constant(-128 if signed else 0, byte))
        with code.loop(columns) as k:
            most.set(code.most(four(k)[1], most.get(), signed))
        for step in (2, 1):
            m = most.get()
            most.set(code.most(code.shuffle(m, m, [i ^ step for i in range(4 * lanes)]), m, signed))

        total = code.cell(code.constant(0.0, floats))
        with code.loop(columns) as k:
            at, q = four(k)
            places = code.cast(most.get() - q, word)
            for v in range(4):
                place = (places >> 8 * v) & 255
                e = code.cast(gathered(code, table, place, 4, mask), floats)
                code.store(e, room + (at + v) * (4 * lanes))
                total.set(code.select(code.less(at + v, k * 4), total.get(), total.get() + e))

        inverse = code.constant(1.0, floats) / (total.get() * as_floats(code, scale)[0])
        order = [16 * (i // 16) + 4 * (i % 4) + i % 16 // 4 for i in range(4 * lanes)]
        answers = room + n * (4 * lanes)
        with code.loop(columns) as k:
            at = code.least(k * 4, n - 4)
            shares = [rounded(code, code.load(room + (at + v) * (4 * lanes), floats) * inverse, truncates) for v in range(4)]
            done = packed(code, shares, ends, signed, in_order=False)
            code.store(code.shuffle(done, done, order), answers)
            with code.loop(rows) as r:
                code.store(code.load(answers + r * 4, code.I32), y + r * n + at)

    return run


@cache
def softmax_pairs(lanes: int, at_once: bool, signed: bool) -> Callable[..., Any]:
    """The microkernel of (x, tables, y, n): n bytes, rows of two; tables: the answers of the greater one and of the other by
    their distance, twice 256 bytes; lanes: 64 or 32 bytes."""

    @microkernel(*["int64"] * 4)
    def run(code: Code, x: Value, tables: Value, y: Value, n: Value) -> None:
        byte = code.vector(code.I8, lanes)
        greater, other = (looking(code, tables + 256 * k, lanes, at_once) for k in range(2))

        def answers(q: Value) -> Value:
            beside = code.shuffle(q, q, [i ^ 1 for i in range(lanes)])
            below = code.less(q, beside, signed)
            place = code.select(below, beside - q, q - beside)
            return code.select(below, other(place), greater(place))

        whole = n / lanes * lanes
        with code.loop(n / lanes) as i:
            code.store(answers(code.load(x + i * lanes, byte)), y + i * lanes)
        with code.when(code.less(whole, n)):
            if lanes == 64:
                mask = code.first(n - whole, lanes)
                code.store_masked(answers(code.load_masked(x + whole, byte, mask)), y + whole, mask)
            else:
                with code.loop((n - whole) / 2) as i:
                    a, b = (code.load(x + whole + i * 2 + k, code.I8) for k in range(2))
                    below = code.less(a, b, signed)
                    place = code.convert(code.select(below, b - a, a - b), code.I64, signed=False)
                    high, low = (code.load(tables + 256 * k + place, code.I8) for k in range(2))
                    code.store(code.select(below, low, high), y + whole + i * 2)
                    code.store(code.select(below, high, low), y + whole + i * 2 + 1)

    return run
