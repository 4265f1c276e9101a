"""float32 products of matrices, a tile of MR rows by NR columns at a time, in the order that defines the bits.

    y[m, n] = clamp(bias[n] + sum over taps t, k of  a[m][t, k] * w[t, k, n])

Every element has one chain over t and k; columns sit beside each other in vectors, rows in registers, so the chain of
one element is never split. `fused` chains fused multiply-adds from the bias (delegate); otherwise products are rounded,
summed from 0 and the bias comes last (reference).

A row's values lie in `taps` runs of k floats; all rows have their runs at the same distances. Weights are packed a panel
of NR columns at a time: bias [NR], then [taps * k][NR].

The gain over the definition: NR / 16 vectors of 16 products for every load of a, and MR * NR / 16 chains in flight hide
the four cycles that each link takes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..machine import microkernel

if TYPE_CHECKING:
    from .vectors import Code, Value


UNROLL = 4


def gemm_f32(mr: int, nr: int, lanes: int, fused: bool, short: int = 0) -> Callable[..., Any]:
    """The tile as a microkernel of (a, a_rows, runs, taps, k, w, y, y_rows, columns, lo, hi).

    a, y: base addresses; a_rows, y_rows: addresses of int64 [MR], each row's distance from its base in bytes; runs: address
    of int64 [taps], each run's distance from its row. columns: how many of the NR exist. short: k, where it is below UNROLL:
    its links are then written out.
    """
    vectors = nr // lanes

    @microkernel("int64", "int64", "int64", "int64", "int64", "int64", "int64", "int64", "int64", "float32", "float32")
    def tile(code: Code, a: Value, a_rows: Value, runs: Value, taps: Value, k: Value, w: Value, y: Value, y_rows: Value,
             columns: Value, lo: Value, hi: Value) -> None:
        kind = code.vector(code.F32, lanes)
        bias = [code.load(w + 4 * lanes * v, kind) for v in range(vectors)]
        zero = code.constant(0.0, kind)
        acc = [[code.cell(bias[v] if fused else zero) for v in range(vectors)] for _ in range(mr)]
        at = code.cell(w + 4 * nr)
        with code.loop(taps) as t:
            run = a + code.load(runs + t * 8, code.I64)
            row = [run + code.load(a_rows + 8 * m, code.I64) for m in range(mr)]

            def link(offset: Value, ahead: int) -> None:
                """One k further in every chain."""
                b = [code.load(at.get() + 4 * (nr * ahead + lanes * v), kind) for v in range(vectors)]
                for m in range(mr):
                    x = code.splat(code.load(row[m] + offset + 4 * ahead, code.F32), kind)
                    for v in range(vectors):
                        now = acc[m][v].get()
                        acc[m][v].set(code.fma(x, b[v], now) if fused else now + x * b[v])

            def links(offset: Value, count: int) -> None:
                for ahead in range(count):
                    link(offset, ahead)
                at.set(at.get() + 4 * nr * count)

            if short:
                links(code.constant(0), short)
            else:  # four at a time: the additions that move a pointer for every row want the same ports as the products
                with code.loop(k / UNROLL) as i:
                    links(i * (4 * UNROLL), UNROLL)
                done = (k / UNROLL) * UNROLL
                with code.loop(k - done) as i:
                    links((done + i) * 4, 1)
        least, most = code.splat(lo, kind), code.splat(hi, kind)

        def outputs() -> Any:
            for m in range(mr):
                target = y + code.load(y_rows + 8 * m, code.I64)
                for v in range(vectors):
                    value = acc[m][v].get() if fused else acc[m][v].get() + bias[v]
                    yield v, code.least(most, code.most(least, value)), target + 4 * lanes * v

        with code.either(code.less(columns, code.constant(nr))) as (some, every):
            with some:
                masks = [code.first(columns - lanes * v, lanes) for v in range(vectors)]
                for v, value, target in outputs():
                    code.store_masked(value, target, masks[v])
            with every:
                for _, value, target in outputs():
                    code.store(value, target)

    return tile
