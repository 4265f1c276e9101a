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
from .tails import TAILS

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


def gemm_i8(mr: int, nr: int, lanes: int, vnni: bool, tail: str, signed: bool, shifted: bool) -> Callable[..., Any]:
    """The tile as a microkernel of (a, a_rows, runs, taps, quads, w, moved, bias, multiplier, shift, y, y_rows, columns,
    y_zero, lo, hi). Distances in bytes as in `gemm_f32`; quads: of k in a run; bias, multiplier, shift: addresses of NR values.

    shifted: the weights are all `moved` less than they should be, so `moved` times the sum of a row is added to its results.
    """
    vectors = nr // lanes
    sets = 4 if mr == 1 else 1  # sums side by side: one row has too few to hide the five cycles of a product

    @microkernel(*["int64"] * 16)
    def tile(code: Code, a: Value, a_rows: Value, runs: Value, taps: Value, quads: Value, w: Value, moved: Value,
             bias: Value, multiplier: Value, shift: Value, y: Value, y_rows: Value, columns: Value, y_zero: Value, lo: Value,
             hi: Value) -> None:
        kind = code.vector(code.I32, lanes)
        nothing = code.constant(0, kind)
        acc = [[code.cell(code.load(bias + 4 * lanes * v, kind) if v < vectors else nothing) for v in range(vectors + shifted)]
               for _ in range(mr)]
        more = [[code.cell(nothing) for _ in range(vectors + shifted)] for _ in range(sets - 1)]
        at = code.cell(w)
        flip = code.opaque(code.constant(-0x7F7F7F80, kind))  # 0x80 in each byte
        with code.loop(taps) as t:
            run = a + code.load(runs + t * 8, code.I64)
            row = [run + code.load(a_rows + 8 * m, code.I64) for m in range(mr)]

            def step(sums: list[list[Any]], offset: Value) -> None:
                """Four bytes of k in every sum."""
                b = [code.load(at.get() + 4 * lanes * v, kind) for v in range(vectors)]
                b += [code.constant(0x01010101, kind)] * shifted
                at.set(at.get() + 4 * nr)
                for m in range(mr):
                    x = code.splat(code.load(row[m] + offset, code.I32), kind)
                    x = x ^ flip if signed else x
                    for v, w4 in enumerate(b):
                        sums[m][v].set(dot4(code, sums[m][v].get(), x, w4, vnni))

            done = (quads / sets) * sets
            if sets > 1:
                with code.loop(quads / sets) as i:
                    for n, sums in enumerate([acc[0], *more]):
                        step([sums], i * (4 * sets) + 4 * n)
            with code.loop(quads - done if sets > 1 else quads) as i:
                step(acc, (i + done if sets > 1 else i) * 4)
        for sums in more:
            for v, cell in enumerate(sums):
                acc[0][v].set(acc[0][v].get() + cell.get())
        real = {"delegate": code.F32, "double": code.F64}.get(tail, code.I32)
        size = 8 if tail == "double" else 4
        m_of = [code.load(multiplier + size * lanes * v, code.vector(real, lanes)) for v in range(vectors)]
        s_of = [code.load(shift + 4 * lanes * v, kind) for v in range(vectors)]
        zero, least, most = (code.splat(code.convert(c, code.I32), kind) for c in (y_zero, lo, hi))
        masks = [code.first(columns - lanes * v, lanes) for v in range(vectors)]
        for m in range(mr):
            target = y + code.load(y_rows + 8 * m, code.I64)
            back = acc[m][vectors].get() * code.splat(code.convert(moved, code.I32), kind) if shifted else nothing
            for v in range(vectors):
                value = TAILS[tail](code, acc[m][v].get() + back, m_of[v], s_of[v]) + zero
                value = code.least(most, code.most(least, value))
                code.store_masked(code.convert(value, code.vector(code.I8, lanes)), target + lanes * v, masks[v])

    return tile
