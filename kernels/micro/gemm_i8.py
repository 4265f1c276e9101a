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


def gemm_i8(mr: int, nr: int, lanes: int, vnni: bool, tail: str, signed: bool) -> Callable[..., Any]:
    """The tile as a microkernel of (a, a_rows, runs, taps, quads, w, bias, multiplier, shift, y, y_rows, columns, y_zero,
    lo, hi). Distances in bytes as in `gemm_f32`; quads: of k in a run; bias, multiplier, shift: addresses of NR values."""
    vectors = nr // lanes

    @microkernel(*["int64"] * 15)
    def tile(code: Code, a: Value, a_rows: Value, runs: Value, taps: Value, quads: Value, w: Value, bias: Value,
             multiplier: Value, shift: Value, y: Value, y_rows: Value, columns: Value, y_zero: Value, lo: Value,
             hi: Value) -> None:
        kind = code.vector(code.I32, lanes)
        acc = [[code.cell(code.load(bias + 4 * lanes * v, kind)) for v in range(vectors)] for _ in range(mr)]
        at = code.cell(w)
        flip = code.constant(-0x7F7F7F80, code.I32)  # 0x80 in each byte
        with code.loop(taps) as t:
            run = a + code.load(runs + t * 8, code.I64)
            row = [run + code.load(a_rows + 8 * m, code.I64) for m in range(mr)]
            with code.loop(quads) as i:
                b = [code.load(at.get() + 4 * lanes * v, kind) for v in range(vectors)]
                at.set(at.get() + 4 * nr)
                for m in range(mr):
                    four = code.load(row[m] + i * 4, code.I32)
                    x = code.splat(four ^ flip if signed else four, kind)
                    for v in range(vectors):
                        acc[m][v].set(dot4(code, acc[m][v].get(), x, b[v], vnni))
        real = {"delegate": code.F32, "double": code.F64}.get(tail, code.I32)
        size = 8 if tail == "double" else 4
        m_of = [code.load(multiplier + size * lanes * v, code.vector(real, lanes)) for v in range(vectors)]
        s_of = [code.load(shift + 4 * lanes * v, kind) for v in range(vectors)]
        zero, least, most = (code.splat(code.convert(c, code.I32), kind) for c in (y_zero, lo, hi))
        masks = [code.first(columns - lanes * v, lanes) for v in range(vectors)]
        for m in range(mr):
            target = y + code.load(y_rows + 8 * m, code.I64)
            for v in range(vectors):
                value = TAILS[tail](code, acc[m][v].get(), m_of[v], s_of[v]) + zero
                value = code.least(most, code.most(least, value))
                code.store_masked(code.convert(value, code.vector(code.I8, lanes)), target + lanes * v, masks[v])

    return tile
