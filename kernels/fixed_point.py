"""Fixed-point arithmetic: numbers between -1 and 1, or a power of two beyond, kept as int32.

Written Q(m): m bits before the binary point and the sign, 31 - m behind it; Q0 is [-1, 1), its one is 2**31 - 1.
A product of Q(m) and Q(n) by `doubling_high_mul` is Q(m + n). Everything here is gemmlowp's arithmetic, as the builtin
kernels have it compiled for x86, out-of-range shifts included.

Source: gemmlowp fixedpoint/fixedpoint.h; LiteRT tflite/kernels/internal/common.h.
"""

from __future__ import annotations

from typing import Any

from .machine import inline
from .numerics import clamp, divide_by_power_of_two, doubling_high_mul

ONE = 2147483647  # Q0
FORTY_EIGHT_SEVENTEENTHS = 1515870810  # 48/17 as Q2
MINUS_THIRTY_TWO_SEVENTEENTHS = -1010580540  # -32/17 as Q2
ONE_Q2 = 1 << 29


@inline
def leading_zeros(x: Any) -> Any:
    """Zero bits above the highest one in the 32 bits of x; 32 for 0."""
    n = 32
    for bit in (16, 8, 4, 2, 1):
        if x >> bit:
            n -= bit
            x = x >> bit
    return n - (1 if x else 0)


@inline
def leading_sign_bits(x: Any) -> Any:
    """How far an int32 can be shifted left without overflow: 31 for 0 and -1."""
    return leading_zeros(x if x >= 0 else -x - 1) - 1


@inline
def saturating_shift_left(x: Any, exponent: Any) -> Any:
    """x * 2**exponent limited to int32, exponent in [0, 31]."""
    return clamp(x << exponent, -2147483648, 2147483647)


@inline
def divide_by_any_power_of_two(x: Any, exponent: Any) -> Any:
    """`divide_by_power_of_two` for any exponent, as x86 does it: outside [0, 31] the shift counts modulo 32, while the
    mask of the remainder, made in 64 bits, is all ones."""
    e = exponent & 63
    if e <= 31:
        return divide_by_power_of_two(x, e)
    return (x >> (e & 31)) + (1 if x >= 0 else 0)


@inline
def newton_reciprocal(x: Any) -> Any:
    """1 / (1 + x) / 2 in Q1, which is 1 / (1 + x) in Q2 counted in halves, for x in [0, 1) as Q0: three Newton steps."""
    half = (x + ONE + 1) // 2  # (1 + x) / 2, rounded half away from zero
    y = FORTY_EIGHT_SEVENTEENTHS + doubling_high_mul(half, MINUS_THIRTY_TWO_SEVENTEENTHS)
    for _ in range(3):
        error = ONE_Q2 - doubling_high_mul(half, y)
        y = y + saturating_shift_left(doubling_high_mul(y, error), 2)
    return y


@inline
def one_over_one_plus_x(x: Any) -> Any:
    """1 / (1 + x) as Q0, for x in [0, 1) as Q0."""
    return saturating_shift_left(newton_reciprocal(x), 1)


@inline
def reciprocal(x: Any, bits_before: Any) -> Any:
    """(1 / m as Q0, e) with x = m * 2**e and m in [1, 2), for a positive x with that many bits before its point."""
    zeros = leading_zeros(x)
    fraction = ((x << zeros) & 4294967295) - 2147483648  # m - 1 as Q0
    return one_over_one_plus_x(fraction), bits_before - zeros
