"""16-bit products of matrices, a tile of MR rows by NR columns at a time, straight to 16-bit results.

    y[m, n] = clamp(requantize(bias[n] + sum over runs t, k of a[m][t, k] * w[t, k, n]))        a: int16    w: int8

Two values of k at a time: the two of a row are repeated in every lane, the two of each column lie beside each other, and one
instruction (vpdpwssd, or vpmaddwd and an addition) multiplies and adds them all. Weights are kept as bytes, [k / 2, NR, 2] for
every run with zeros past k, and widened as they are loaded: half the memory, and one more instruction for MR products.

A sum of 32 bits wraps, or is known to fit. Where it may not fit, pairs go in blocks: the products of a pair are at most 2**23
together, so that fewer than 256 pairs cannot leave 32 bits, and behind each block the sums are added up in 64 bits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..machine import microkernel
from .tails import NARROW, WIDE, even_and_odd

if TYPE_CHECKING:
    from .vectors import Code, Value

PAIRS = 255  # of a block


def dot2(code: Code, acc: Value, a: Value, w: Value, level: str) -> Value:
    """acc + the sum over each lane's two int16 of a * w. No w is -2**15: two products fit a lane."""
    lanes = acc.kind.count
    if level == "vnni":
        return code.call(f"llvm.x86.avx512.vpdpwssd.{lanes * 32}", acc.kind, acc, a, w)
    if level == "portable":
        return acc + ((a << 16) >> 16) * ((w << 16) >> 16) + (a >> 16) * (w >> 16)
    words = code.vector(code.I16, 2 * lanes)
    name = {16: "avx512.pmaddw.d.512", 8: "avx2.pmadd.wd", 4: "sse2.pmadd.wd"}[lanes]
    return acc + code.call(f"llvm.x86.{name}", acc.kind, code.cast(a, words), code.cast(w, words))


def loaded_pairs(code: Code, at: Value, kind: Any) -> Value:
    """Bytes at an address as pairs of int16, one pair a lane."""
    words = code.convert(code.load(at, code.vector(code.I8, 2 * kind.count)), code.vector(code.I16, 2 * kind.count))
    return code.cast(words, kind)


def to_int16(code: Code, values: Value, ends: list[Value]) -> Value:
    """clamp(value, lo, hi) as 16 bits."""
    lo, hi = ends
    return code.convert(code.least(code.most(values, lo), hi), code.vector(code.I16, values.kind.count))


def gemm_i16(mr: int, nr: int, lanes: int, level: str, tail: str, wide: bool) -> Callable[..., Any]:
    """The tile as a microkernel of (a, a_rows, runs, blocks, count, w, bias, multiplier, shift, y, y_rows, columns, lo, hi).

    a_rows, y_rows: addresses of int64 [MR], distances in bytes. runs: of int64 [n, 2], a run's distance in bytes from a row's
    first value and its pairs; blocks: of int64 [count], the runs in each. bias (wide: int64), multiplier, shift: of NR values.
    """
    vectors = nr // lanes
    sets = 4 if mr == 1 else 1  # sums side by side: one row has too few to hide the five cycles of a product

    @microkernel(*["int64"] * 14)
    def tile(code: Code, a: Value, a_rows: Value, runs: Value, blocks: Value, count: Value, w: Value, bias: Value,
             multiplier: Value, shift: Value, y: Value, y_rows: Value, columns: Value, lo: Value, hi: Value) -> None:
        kind, long = code.vector(code.I32, lanes), code.vector(code.I64, lanes // 2)
        nothing = code.constant(0, kind)

        def start(v: int) -> Value:
            return nothing if wide else code.load(bias + 4 * lanes * v, kind)

        acc = [[code.cell(start(v)) for v in range(vectors)] for _ in range(mr)]
        beside = [[code.cell(nothing) for _ in range(vectors)] for _ in range(sets - 1)]
        sums: list[list[list[Any]]] = [[] for _ in range(mr)]
        if wide:
            first = [bias_of(code, bias + 8 * lanes * v, long) for v in range(vectors)]
            sums = [[[code.cell(half) for half in both] for both in first] for _ in range(mr)]
        here, run = code.cell(w), code.cell(runs)

        def step(cells: list[list[Any]], row: list[Value], offset: Value) -> None:
            """Two values of k in every sum."""
            b = [loaded_pairs(code, here.get() + 2 * lanes * v, kind) for v in range(vectors)]
            here.set(here.get() + 2 * nr)
            for m, those in enumerate(cells):
                x = code.splat(code.load(row[m] + offset, code.I32), kind)
                for cell, pair in zip(those, b):
                    cell.set(dot2(code, cell.get(), x, pair, level))

        with code.loop(count) as block:
            with code.loop(code.load(blocks + block * 8, code.I64)):
                from_here = a + code.load(run.get(), code.I64)
                pairs = code.load(run.get() + 8, code.I64)
                run.set(run.get() + 16)
                row = [from_here + code.load(a_rows + 8 * m, code.I64) for m in range(mr)]
                even = pairs / sets * sets
                if sets > 1:
                    with code.loop(pairs / sets) as i:
                        for n, cells in enumerate([acc[0], *beside]):
                            step([cells], row, i * (4 * sets) + 4 * n)
                with code.loop(pairs - even if sets > 1 else pairs) as i:
                    step(acc, row, (i + even if sets > 1 else i) * 4)
            for cells in beside if wide else []:
                gathered(acc[0], cells, nothing)
            for those, both in zip(acc, sums):
                for cell, halves in zip(those, both):
                    for half, more in zip(halves, even_and_odd(code, cell.get())):
                        half.set(half.get() + more)
                    cell.set(nothing)
        for cells in beside if not wide else []:
            gathered(acc[0], cells, nothing)

        size = 8 if tail == "double" else 4
        m_of = [code.load(multiplier + size * lanes * v, code.vector(code.F64 if size == 8 else code.I32, lanes))
                for v in range(vectors)]
        s_of = [code.load(shift + 4 * lanes * v, kind) for v in range(vectors)]
        ends = [code.splat(code.convert(c, code.I32), kind) for c in (lo, hi)]
        masks = [code.first(columns - lanes * v, lanes) for v in range(vectors)]
        whole = code.less(code.constant(nr - 1), columns)
        for m in range(mr):
            target = y + code.load(y_rows + 8 * m, code.I64)
            found = [WIDE[tail](code, *[half.get() for half in sums[m][v]], m_of[v], s_of[v]) if wide
                     else NARROW[tail](code, acc[m][v].get(), m_of[v], s_of[v]) for v in range(vectors)]
            made = [to_int16(code, value, ends) for value in found]
            with code.either(whole) as (full, part):
                with full:
                    for v, value in enumerate(made):
                        code.store(value, target + 2 * lanes * v)
                with part:
                    for v, value in enumerate(made):
                        code.store_masked(value, target + 2 * lanes * v, masks[v])

    return tile


def gathered(into: list[Any], cells: list[Any], nothing: Value) -> None:
    """Add sums to others, and begin anew."""
    for one, cell in zip(into, cells):
        one.set(one.get() + cell.get())
        cell.set(nothing)


def bias_of(code: Code, at: Value, long: Any) -> list[Value]:
    """The int64 of even lanes and of odd ones."""
    low, high = code.load(at, long), code.load(at + 8 * long.count, long)
    return [code.shuffle(low, high, range(odd, 2 * long.count, 2)) for odd in (0, 1)]
