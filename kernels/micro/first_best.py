"""The place of the first greatest float of each row, in vectors: the best class of each box.

    y[r] = the least i with x[r, i] = max x[r, :]       NaNs are passed over; a row of them alone gives 0

Two passes over a row: its maximum, then the least place that holds it. The gain over a loop that keeps the best so far:
no step waits for the comparison before it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

from ..machine import microkernel

if TYPE_CHECKING:
    from .vectors import Code, Value

NOWHERE = 2147483647


@cache
def first_best(lanes: int) -> Callable[..., Any]:
    """The microkernel of (x, step, n, rows, y, y_step): addresses, steps from row to row in bytes, n numbers a row; y int32."""

    @microkernel(*["int64"] * 6)
    def run(code: Code, x: Value, step: Value, n: Value, rows: Value, y: Value, y_step: Value) -> None:
        kind, word = code.vector(code.F32, lanes), code.vector(code.I32, lanes)
        numbers, least = code.constant(list(range(lanes)), word), code.constant(float("-inf"), kind)
        whole = n / lanes * lanes
        mask = code.first(n - whole, lanes)

        with code.loop(rows) as r:
            row, best, place = x + r * step, code.cell(least), code.cell(code.constant(NOWHERE, word))

            def tail(row: Value = row) -> Value:
                return code.select(mask, code.load_masked(row + whole * 4, kind, mask), least)

            def look(value: Value, at: Value, most: Value, place: Any = place) -> None:
                here = code.splat(code.convert(at, code.I32), word) + numbers
                place.set(code.least(code.select(code.same(value, most), here, code.constant(NOWHERE, word)), place.get()))

            with code.loop(n / lanes) as i:
                best.set(code.most(code.load(row + i * (lanes * 4), kind), best.get()))
            best.set(code.most(tail(), best.get()))
            most = code.splat(code.call(f"llvm.vector.reduce.fmax.v{lanes}f32", code.F32, best.get()), kind)
            with code.loop(n / lanes) as i:
                look(code.load(row + i * (lanes * 4), kind), i * lanes, most)
            look(tail(), whole, most)
            found = code.call(f"llvm.vector.reduce.smin.v{lanes}i32", code.I32, place.get())
            inside = code.less(code.convert(found, code.I64), n)
            code.store(code.select(inside, found, code.constant(0, code.I32)), y + r * y_step)

    return run
