"""8-bit products of matrices, a tile of MR rows by NR columns at a time, straight to 8-bit results.

    y[m, n] = clamp(requantize(bias[n] + sum over runs t, k of a[m][t, k] * w[t, k, n]) + y_zero)

Four bytes of k at a time: the four of a row are repeated in every lane, the four of each column lie beside each other,
and one instruction (vpdpbusd) multiplies and adds all sixteen quads. It wants a unsigned and w signed, so int8 rows get
their sign bit flipped on the way (x + 128) and the packer takes 128 * sum(w) off the bias.

Weights: [ceil(k / 4), NR, 4] for every run, zeros past k, so that what is read behind a run does not count. The sums are
exact in any order; without vpdpbusd the same sums come from plain 32-bit products.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..machine import microkernel
from .elements import packed
from .fused import ways_back

if TYPE_CHECKING:
    from .vectors import Code, Value


def dot4(code: Code, acc: Value, a: Value, w: Value, vnni: bool) -> Value:
    """acc + the sum over each lane's four bytes of a (unsigned) * w (signed)."""
    if vnni:
        return code.call(f"llvm.x86.avx512.vpdpbusd.{acc.kind.count * 32}", acc.kind, acc, a, w)
    for byte in range(4):
        signed = (w << (24 - 8 * byte)) >> 24
        acc = acc + ((a >> (8 * byte)) & 255) * signed
    return acc


def sums_of(code: Code, mr: int, nr: int, lanes: int, vnni: bool, flips: bool, a: Value, a_rows: Value, runs: Value, taps: Value,
            quads: Value, w: Value, bias: Value | None = None, more: tuple[Value, Value] | None = None) -> list[list[Value]]:
    """The sums of a tile, [MR][NR / lanes] vectors: parameters as `gemm_i8` has them, more: (at, more)."""
    vectors = nr // lanes
    sets = 4 if mr == 1 else 1  # sums side by side: one row has too few to hide the five cycles of a product
    kind = code.vector(code.I32, lanes)
    nothing = code.constant(0, kind)
    first = [nothing if bias is None else code.load(bias + 4 * lanes * v, kind) for v in range(vectors)]
    acc = [[code.cell(first[v]) for v in range(vectors)] for _ in range(mr)]
    beside = [[code.cell(nothing) for _ in range(vectors)] for _ in range(sets - 1)]
    here = code.cell(w)
    flip = code.opaque(code.constant(-0x7F7F7F80, kind))  # 0x80 in each byte

    def step(sums: list[list[Any]], row: list[Value], offset: Value) -> None:
        """Four bytes of k in every sum."""
        b = [code.load(here.get() + 4 * lanes * v, kind) for v in range(vectors)]
        here.set(here.get() + 4 * nr)
        for m, cells in enumerate(sums):
            x = code.splat(code.load(row[m] + offset, code.I32), kind)
            x = x ^ flip if flips else x
            for cell, w4 in zip(cells, b):
                cell.set(dot4(code, cell.get(), x, w4, vnni))

    with code.loop(taps) as t:
        run = a + code.load(runs + t * 8, code.I64)
        row = [run + code.load(a_rows + 8 * m, code.I64) for m in range(mr)]
        done = (quads / sets) * sets
        if sets > 1:
            with code.loop(quads / sets) as i:
                for n, sums in enumerate([acc[0], *beside]):
                    step([sums], row, i * (4 * sets) + 4 * n)
        with code.loop(quads - done if sets > 1 else quads) as i:
            step(acc, row, (i + done if sets > 1 else i) * 4)
    if more is not None:
        with code.loop(more[1]) as i:
            step(acc, [a + code.load(a_rows + 8 * m, code.I64) for m in range(mr)], code.load(more[0] + i * 8, code.I64))
    for sums in beside:
        for v, cell in enumerate(sums):
            acc[0][v].set(acc[0][v].get() + cell.get())
    return [[cell.get() for cell in cells] for cells in acc]


def gemm_i8(mr: int, nr: int, lanes: int, vnni: bool, tail: str, signed: bool, flips: bool) -> Callable[..., Any]:
    """The tile as a microkernel of (a, a_rows, runs, taps, quads, at, more, w, bias, multiplier, shift, y, y_rows, columns,
    y_zero, lo, hi). Distances in bytes as in `gemm_f32`; quads: of k in a run; bias, multiplier, shift: addresses of NR values.

    flips: the rows are int8; else they are unsigned, or have been made so (128 more).
    at: address of int64 [more], where in a row the quads lie that count once more, with the weights behind the others.
    """
    vectors = nr // lanes

    @microkernel(*["int64"] * 17)
    def tile(code: Code, a: Value, a_rows: Value, runs: Value, taps: Value, quads: Value, at: Value, more: Value, w: Value,
             bias: Value, multiplier: Value, shift: Value, y: Value, y_rows: Value, columns: Value, y_zero: Value, lo: Value,
             hi: Value) -> None:
        kind = code.vector(code.I32, lanes)
        acc = sums_of(code, mr, nr, lanes, vnni, flips, a, a_rows, runs, taps, quads, w, bias, (at, more))
        back = ways_back(code, tail, lanes, vectors, multiplier, shift)
        zero = code.constant(0) if tail.startswith("fused") else y_zero
        ends = [code.splat(code.convert(c, code.I32), kind) for c in (zero, lo, hi)]
        mask, whole = code.first(columns, nr), code.less(code.constant(nr - 1), columns)
        found = [[back[v](value) for v, value in enumerate(values)] for values in acc]
        together = 4 // vectors  # rows whose results fill a vector of bytes
        for first in range(0, mr, together):
            rows = range(first, min(first + together, mr))
            values = [v for m in range(first, first + together) for v in found[min(m, mr - 1)]]
            done = packed(code, values, ends, signed)
            for m in rows:
                one = code.shuffle(done, done, range((m - first) * nr, (m - first + 1) * nr))
                target = y + code.load(y_rows + 8 * m, code.I64)
                if lanes == 16:
                    code.store_masked(one, target, mask)
                    continue
                with code.either(whole) as (full, part):  # a mask of bytes is a branch for each of them
                    with full:
                        code.store(one, target)
                    with part:
                        code.store_masked(one, target, mask)

    return tile
