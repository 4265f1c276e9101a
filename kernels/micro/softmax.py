"""SOFTMAX of rows: float32 in the delegate's order, in vectors.

    m = max x;  y = e**(x - m);  y = y * (1 / sum y)

The sum is that of `lanes.sum_of_exponentials`: two accumulators over blocks of four vectors, joined, single vectors, the
rest under a mask; then the lanes by halves. The greatest element is the same in any order.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

from ..machine import microkernel

if TYPE_CHECKING:
    from .vectors import Code, Value


def C(text: str) -> float:
    return float.fromhex(text)


LOG2E, MAGIC = C("0x1.715476p+0"), C("0x1.8000FEp+23")
LN2_HI, LN2_LO, LEAST = C("-0x1.62E400p-1"), C("-0x1.7F7D1Cp-20"), C("-0x1.5D589Ep+6")
C5, C4, C3, C2, C1 = C("0x1.0F9F9Cp-7"), C("0x1.573A1Ap-5"), C("0x1.555A80p-3"), C("0x1.FFFDC6p-2"), C("0x1.FFFFF6p-1")


def exp_below_zero(code: Code, x: Value) -> Value:
    """As `softmax.exp_below_zero`."""
    kind, word = x.kind, code.vector(code.I32, x.kind.count)

    def number(v: float) -> Value:
        return code.constant(v, kind)

    n = code.fma(x, number(LOG2E), number(MAGIC))
    scale = code.cast(code.cast(n, word) << 23, kind)
    n = n - MAGIC
    t = code.fma(n, number(LN2_LO), code.fma(n, number(LN2_HI), x))
    p = code.fma(code.fma(code.fma(code.fma(number(C5), t, number(C4)), t, number(C3)), t, number(C2)), t, number(C1))
    return code.select(code.less(x, number(LEAST)), number(0.0), code.fma(t * scale, p, scale))


def by_halves(code: Code, x: Value, join: Callable[[Any, Any], Any]) -> Value:
    """Each lane with the one half a vector further, down to one: a number."""
    width = x.kind.count // 2
    while width:
        x = join(x, code.shuffle(x, x, [(k + width) % x.kind.count for k in range(x.kind.count)]))
        width //= 2
    return code.extract(x, 0)


@cache
def softmax_row(lanes: int) -> Callable[..., Any]:
    """The microkernel of (x, y, n): addresses, and a row's length of at least 1."""

    @microkernel("int64", "int64", "int64")
    def row(code: Code, x: Value, y: Value, n: Value) -> None:
        kind, step = code.vector(code.F32, lanes), 4 * lanes
        fours, ones = n / (4 * lanes), n / lanes
        tail, mask = ones * step, code.first(n - ones * lanes, lanes)
        rest = code.less(ones * lanes, n)

        first = code.splat(code.load(x, code.F32), kind)
        most = [code.cell(first) for _ in range(4)]
        with code.loop(fours) as i:
            for v, cell in enumerate(most):
                cell.set(code.most(code.load(x + i * (4 * step) + v * step, kind), cell.get()))
        with code.loop(ones - fours * 4) as i:
            most[0].set(code.most(code.load(x + (fours * 4 + i) * step, kind), most[0].get()))
        with code.when(rest):
            most[1].set(code.most(code.select(mask, code.load_masked(x + tail, kind, mask), first), most[1].get()))
        a, b, c, d = (cell.get() for cell in most)
        m = code.splat(by_halves(code, code.most(code.most(a, b), code.most(c, d)), code.most), kind)

        total = [code.cell(code.constant(0.0, kind)) for _ in range(2)]
        with code.loop(fours) as i:
            for v in range(4):
                at = i * (4 * step) + v * step
                e = exp_below_zero(code, code.load(x + at, kind) - m)
                code.store(e, y + at)
                total[v % 2].set(total[v % 2].get() + e)
        total[0].set(total[0].get() + total[1].get())
        with code.loop(ones - fours * 4) as i:
            at = (fours * 4 + i) * step
            e = exp_below_zero(code, code.load(x + at, kind) - m)
            code.store(e, y + at)
            total[0].set(total[0].get() + e)
        with code.when(rest):
            e = exp_below_zero(code, code.load_masked(x + tail, kind, mask) - m)
            code.store_masked(e, y + tail, mask)
            total[0].set(code.select(mask, total[0].get() + e, total[0].get()))
        whole = by_halves(code, total[0].get(), lambda a, b: a + b)

        share = code.splat(code.constant(1.0, code.F32) / whole, kind)
        with code.loop(ones) as i:
            code.store(code.load(y + i * step, kind) * share, y + i * step)
        with code.when(rest):
            code.store_masked(code.load_masked(y + tail, kind, mask) * share, y + tail, mask)

    return row
