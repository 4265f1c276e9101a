"""The elementwise ops of int16 on vectors, with the bits of their definitions.

Zero points are 0. A formula takes vectors of int32 and p, whose last two numbers limit the answer. The shifts of
`halves_away` are at most 30, so that no sum with a half leaves 32 bits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .formulas import Numbers, halves_away, minus, plus
from .tails import doubling_high, reference

if TYPE_CHECKING:
    from .vectors import Code, Value


def limited(formula: Callable[..., Any]) -> Callable[..., Any]:
    """A formula between the last two of p."""

    def within(code: Code, *arguments: Any) -> Value:
        *_, lo, hi = arguments[-1]
        return code.least(code.most(formula(code, *arguments), lo), hi)

    return within


def summed(operation: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    """The reference's sum or difference. p: multiplier, shift to the right and its `turns` of a, of b and of y."""

    def common(code: Code, x: Value, multiplier: Value, right: Value, turns: Value) -> Value:
        return halves_away(doubling_high(code, x << 15, multiplier), right, turns)  # < 2**30

    def formula(code: Code, a: Value, b: Value, p: Numbers) -> Value:
        both = operation(common(code, a, *p[0:3]), common(code, b, *p[3:6]))
        return halves_away(doubling_high(code, both, p[6]), p[7], p[8])

    return limited(formula)


sum_reference, difference_reference = summed(plus), summed(minus)


@limited
def sum_builtin(code: Code, a: Value, b: Value, p: Numbers) -> Value:
    """ADD in the builtin's vectors. p: multiplier, shifts to the left and to the right before it of a and of b; multiplier,
    shift and `turns` of y."""

    def brought(x: Value, multiplier: Value, left: Value, right: Value) -> Value:
        return doubling_high(code, (x << left) >> right, multiplier)

    return halves_away(doubling_high(code, brought(a, *p[0:3]) + brought(b, *p[3:6]), p[6]), p[7], p[8])


@limited
def product(code: Code, a: Value, b: Value, p: Numbers) -> Value:
    """p: multiplier and shift."""
    return reference(code, a * b, p[0], p[1])


@limited
def rescaled(code: Code, x: Value, p: Numbers) -> Value:
    """p: multiplier and shift."""
    return reference(code, x, p[0], p[1])


@limited
def leaky(code: Code, x: Value, p: Numbers) -> Value:
    """p: multiplier and shift of what is not negative, magnitude of the slope, its shift, and its sign: 0 or -1."""
    multiplier, shift, slope, slope_shift, sign, *_ = p
    negative = code.less(x, code.constant(0, x.kind))
    y = reference(code, x, code.select(negative, slope, multiplier), code.select(negative, slope_shift, shift))
    turned = (y ^ sign) - sign
    return code.select(negative, turned, y)
