"""SOFTMAX of integers: the kernels, of which the definitions are the first, the third and the last.

    8 bits    reference, fixed-point numbers only; builtin, the table of 256 exponentials and a float sum
    16 bits   two interpolated tables

`softmax.py` settles their numbers and says where each belongs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .fixed_point import exp_on_negative_values, leading_zeros, reciprocal
from .float_math import HALF, ONE
from .machine import f32, inline, round_away
from .numerics import INT32_MAX, clamp, divide_by_power_of_two, doubling_high_mul, requantize_reference, wrap32


def softmax_8bit_reference(x: Any, multiplier: int, shift: int, farthest: int, width: int, lo: int, hi: int, y: Any,
                           begin: int, end: int) -> None:
    """The definition for 8 bits, in fixed point: exponentials in Q0, their sum in Q12, its reciprocal in Q0."""
    for r in range(begin, end):
        m = -32768  # not x[r, 0]: differences must be signed
        for c in range(x.shape[1]):
            m = int(x[r, c]) if int(x[r, c]) > m else m
        total = 0
        for c in range(x.shape[1]):
            d = int(x[r, c]) - m
            if d >= farthest:
                e = exp_on_negative_values(doubling_high_mul(wrap32(d << shift), multiplier))
                total += divide_by_power_of_two(e, 12)
        total = total if total < 4294967295 else 4294967295
        inverse, above = reciprocal(total, 12)
        right = above + 31 - width
        for c in range(x.shape[1]):
            d = int(x[r, c]) - m
            y[r, c] = lo
            if d >= farthest and right <= 31:  # beyond 31 nothing is left
                e = exp_on_negative_values(doubling_high_mul(wrap32(d << shift), multiplier))
                y[r, c] = clamp(divide_by_power_of_two(doubling_high_mul(inverse, e), right) + lo, lo, hi)


def softmax_8bit_by_tables(x: Any, exps: Any, width: int, lo: int, hi: int, y: Any, begin: int, end: int) -> None:
    """The same with the exponential of each distance looked up."""
    for r in range(begin, end):
        m = -32768
        for c in range(x.shape[1]):
            m = int(x[r, c]) if int(x[r, c]) > m else m
        total = 0
        for c in range(x.shape[1]):
            total += exps[1, m - int(x[r, c])]
        total = total if total < 4294967295 else 4294967295
        inverse, above = reciprocal(int(total), 12)
        right = above + 31 - width
        for c in range(x.shape[1]):
            e = exps[0, m - int(x[r, c])]
            y[r, c] = lo
            if right <= 31:
                y[r, c] = clamp(divide_by_power_of_two(doubling_high_mul(inverse, e), right) + lo, lo, hi)


def softmax_table(truncates: bool) -> Callable[..., None]:
    """The definition for 8 bits with a table; uint8 adds a half and truncates, and leaves the zero point out."""

    def run(x: Any, table: Any, scale: Any, zero: int, lo: int, hi: int, y: Any, begin: int, end: int) -> None:
        for r in range(begin, end):
            m = -32768
            for c in range(x.shape[1]):
                m = int(x[r, c]) if int(x[r, c]) > m else m
            total = f32(0)
            for c in range(x.shape[1]):
                total = total + table[m - int(x[r, c])]
            inverse = ONE / (total * scale)
            for c in range(x.shape[1]):
                p = table[m - int(x[r, c])] * inverse
                p = p if p < f32(2147483648.0) else f32(-2147483648.0)  # as x86 converts what is too large, and NaN
                y[r, c] = clamp(int(p + HALF) if truncates else int(round_away(p)) + zero, lo, hi)

    return run


@inline
def interpolate(table: Any, x: Any) -> Any:
    """A value between two entries of a table of 513, for x in int16."""
    k = 256 + (x >> 7)
    low, high = int(table[k]), int(table[k + 1])
    return low + (((high - low) * (x & 127) + 64) >> 7)


def softmax_int16(x: Any, exps: Any, inverses: Any, multiplier: int, shift: int, y: Any, begin: int, end: int) -> None:
    """The definition for 16 bits: exponentials in Q15, their sum, the reciprocal of it moved into [1, 2)."""
    for r in range(begin, end):
        m = -32768
        for c in range(x.shape[1]):
            m = int(x[r, c]) if int(x[r, c]) > m else m
        total = 0
        for c in range(x.shape[1]):
            d = requantize_reference(int(x[r, c]) - m, multiplier, shift) + 32767
            e = interpolate(exps, clamp(d, -32768, 32767))
            y[r, c] = e
            total += e
        total = total if total < INT32_MAX else INT32_MAX
        zeros = leading_zeros(total)
        inverse = interpolate(inverses, clamp((((total << (zeros - 1)) + 8192) >> 14) - 98304, -32768, 32767))
        right = 31 - zeros
        for c in range(x.shape[1]):
            y[r, c] = clamp((int(y[r, c]) * inverse + (1 << (right - 1))) >> right, 0, 32767)
