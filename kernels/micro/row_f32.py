"""One row of float32 by a matrix, leaving out the values that are 0: what a chain of separate products and sums allows.

    y[n] = clamp(0 + sum over k of x[k] * w[k, n] + bias[n])      x[k] != 0

A product with 0 is 0 while w is finite, and a sum that begins at +0 is never -0, so adding one changes nothing. A row's
time is that of its weights on their way from memory: behind a RELU half of them need not come.

`nonzero` lists the values and their places once; `row_f32` walks the list for each panel of NR columns.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

from ..machine import microkernel

if TYPE_CHECKING:
    from .vectors import Code, Value

LANES = 16


@microkernel("int64", "int64", "int64", "int64", "int64")
def nonzero(code: Code, x: Value, k: Value, values: Value, places: Value, count: Value) -> None:
    """Write the values of x, float32 [k], that are not 0 to `values`, their places to `places`, int32, and to the int64 at
    `count` how many they are. Both lists have room for 16 more."""
    kind, word = code.vector(code.F32, LANES), code.vector(code.I32, LANES)
    numbers, found = code.constant(list(range(LANES)), word), code.cell(code.constant(0))

    def some(at: Value, value: Value) -> None:
        zero = code.same(value, code.constant(0.0, kind))
        there = code.cast(zero, code.I16) ^ -1
        mask = code.cast(there, code.vector(code.I1, LANES))
        here, at_lanes = found.get() * 4, code.splat(code.convert(at, code.I32), word) + numbers
        for what, to in ((value, values + here), (at_lanes, places + here)):
            name = "v16f32" if what is value else "v16i32"
            code.call(f"llvm.masked.compressstore.{name}.p0", code.VOID, what, code.at(to), mask)
        found.set(found.get() + code.convert(code.call("llvm.ctpop.i16", code.I16, there), code.I64, signed=False))

    with code.loop(k / LANES) as i:
        some(i * LANES, code.load(x + i * (4 * LANES), kind))
    done = k / LANES * LANES
    with code.when(code.less(done, k)):
        some(done, code.load_masked(x + done * 4, kind, code.first(k - done, LANES)))
    code.store(found.get(), count)


@cache
def row_f32(nr: int) -> Callable[..., Any]:
    """The microkernel of (values, places, count, w, y, columns, lo, hi): w is a panel as in `gemm_f32`, the bias first."""
    vectors = nr // LANES

    @microkernel(*["int64"] * 6, "float32", "float32")
    def row(code: Code, values: Value, places: Value, count: Value, w: Value, y: Value, columns: Value, lo: Value,
            hi: Value) -> None:
        kind = code.vector(code.F32, LANES)
        acc = [code.cell(code.constant(0.0, kind)) for _ in range(vectors)]
        first = w + 4 * nr

        def link(at: Value) -> None:
            x = code.splat(code.load(values + at * 4, code.F32), kind)
            here = first + code.convert(code.load(places + at * 4, code.I32), code.I64) * (4 * nr)
            for v in range(vectors):
                acc[v].set(acc[v].get() + x * code.load(here + 4 * LANES * v, kind))

        with code.loop(count / 4) as i:
            for k in range(4):
                link(i * 4 + k)
        done = count / 4 * 4
        with code.loop(count - done) as i:
            link(done + i)
        least, most = code.splat(lo, kind), code.splat(hi, kind)
        for v in range(vectors):
            value = acc[v].get() + code.load(w + 4 * LANES * v, kind)
            mask = code.first(columns - LANES * v, LANES)
            code.store_masked(code.least(most, code.most(least, value)), y + 4 * LANES * v, mask)

    return row
