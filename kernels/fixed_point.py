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
    """2 / (1 + x) as Q2, the same bits as 1 / (1 + x) as Q1, for x in [0, 1) as Q0: three Newton steps."""
    half = (x + ONE + 1) >> 1  # (1 + x) / 2, rounded half away from zero
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


# --------------------------------------------------------------------------------------- exponential, square root
EIGHTH = 1 << 28  # 1/8 as Q0
EXP_OF_MINUS_EIGHTH = 1895147668  # e**(-1/8) as Q0
THIRD = 715827883  # 1/3 as Q0
SQRT_OF_HALF = 1518500250  # as Q0


@inline
def exp_of_interval(a: Any) -> Any:
    """e**a as Q0, for a in [-1/4, 0) as Q0: the series of e**x around a = -1/8, four terms."""
    x = a + EIGHTH
    x2 = doubling_high_mul(x, x)
    x3 = doubling_high_mul(x2, x)
    x4 = doubling_high_mul(x2, x2)
    rest = divide_by_power_of_two(doubling_high_mul(divide_by_power_of_two(x4, 2) + x3, THIRD) + x2, 1)
    return EXP_OF_MINUS_EIGHTH + doubling_high_mul(EXP_OF_MINUS_EIGHTH, x + rest)


@inline
def times_if(condition: Any, x: Any, factor: Any) -> Any:
    """x times a factor in Q0 where the condition is not 0, else x."""
    return doubling_high_mul(x, factor) if condition != 0 else x


@inline
def exp_on_negative_values(a: Any) -> Any:
    """e**a as Q0, for a <= 0 as Q5: e**(a mod 1/4) by series, then one factor e**-(2**k) for each bit of the rest."""
    quarter = 1 << 24
    low = (a & (quarter - 1)) - quarter  # in [-1/4, 0)
    rest = low - a  # a multiple of 1/4, not negative
    y = exp_of_interval(low << 5)
    y = times_if(rest & (1 << 24), y, 1672461947)  # e**-1/4
    y = times_if(rest & (1 << 25), y, 1302514674)  # e**-1/2
    y = times_if(rest & (1 << 26), y, 790015084)  # e**-1
    y = times_if(rest & (1 << 27), y, 290630308)  # e**-2
    y = times_if(rest & (1 << 28), y, 39332535)  # e**-4
    y = times_if(rest & (1 << 29), y, 720401)  # e**-8
    y = times_if(rest & (1 << 30), y, 242)  # e**-16
    return ONE if a == 0 else y


@inline
def inverse_sqrt(x: Any) -> Any:
    """(multiplier, shift) with 1 / sqrt(x) = multiplier * 2**(shift - 31), for an integer x >= 0; 0 counts as 1.

    Five Newton steps in Q3 from 1, on x moved into [2**27, 2**29) by whole pairs of bits.
    """
    if x <= 1:
        return ONE, 0
    shift = 11
    while x >= 1 << 29:
        x = x >> 2
        shift += 1
    pairs = (leading_zeros(x) - 1) // 2 - 1
    shift -= pairs
    half = divide_by_power_of_two((x << (2 * pairs)) >> 1, 1)
    three_halves = (1 << 28) + (1 << 27)
    y = 1 << 28
    for _ in range(5):
        cube = saturating_shift_left(doubling_high_mul(doubling_high_mul(y, y), y), 6)
        y = saturating_shift_left(doubling_high_mul(three_halves, y) - doubling_high_mul(half, cube), 3)
    y = doubling_high_mul(y, SQRT_OF_HALF)
    return (y << -shift, 0) if shift < 0 else (y, -shift)
