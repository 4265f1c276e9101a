"""LOGISTIC and TANH on 16 bits: two ways, both without a single float.

    y = sigmoid(sx * x) * 2**15                    y = tanh(sx * x) * 2**15 = (2 * sigmoid(2 * sx * x) - 1) * 2**15

reference: a table of sigmoid(i / 24) with 256 entries and a straight line between two of them; x is first scaled to
steps of 1 / (24 * 512), for tanh 1 / (24 * 256). builtin: the same, except where x is Q3.12 already (or, for tanh, one
doubling away from it): then exp by its bits and a reciprocal by three Newton steps, in 16-bit fixed point.

Source: LiteRT tflite/kernels/internal/reference/integer_ops/logistic.h, tanh.h, internal/common.h (sigmoid_table_uint16),
activations.cc (TanhPrepare, SigmoidPrepare); gemmlowp fixedpoint/fixedpoint.h.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tinyinterp.errors import QuantError

from .contract import BUILTIN, Arg, Call
from .machine import f32, inline, logf
from .numerics import clamp, divide_by_power_of_two, wrap32
from .pointwise import flat, is_int16, no_zero_points, scale_of

# sigmoid(i / 24) * 2**16 as published: not everywhere the nearest integer, so it has to be written down.
SIGMOID = np.array("""
    32768 33451 34133 34813 35493 36169 36843 37513 38180 38841 39498 40149 40794 41432 42064 42688 43304 43912 44511
    45102 45683 46255 46817 47369 47911 48443 48964 49475 49975 50464 50942 51409 51865 52311 52745 53169 53581 53983
    54374 54755 55125 55485 55834 56174 56503 56823 57133 57433 57724 58007 58280 58544 58800 59048 59288 59519 59743
    59959 60168 60370 60565 60753 60935 61110 61279 61441 61599 61750 61896 62036 62172 62302 62428 62549 62666 62778
    62886 62990 63090 63186 63279 63368 63454 63536 63615 63691 63765 63835 63903 63968 64030 64090 64148 64204 64257
    64308 64357 64405 64450 64494 64536 64576 64614 64652 64687 64721 64754 64786 64816 64845 64873 64900 64926 64950
    64974 64997 65019 65039 65060 65079 65097 65115 65132 65149 65164 65179 65194 65208 65221 65234 65246 65258 65269
    65280 65291 65301 65310 65319 65328 65337 65345 65352 65360 65367 65374 65381 65387 65393 65399 65404 65410 65415
    65420 65425 65429 65433 65438 65442 65445 65449 65453 65456 65459 65462 65465 65468 65471 65474 65476 65479 65481
    65483 65485 65488 65489 65491 65493 65495 65497 65498 65500 65501 65503 65504 65505 65507 65508 65509 65510 65511
    65512 65513 65514 65515 65516 65517 65517 65518 65519 65520 65520 65521 65522 65522 65523 65523 65524 65524 65525
    65525 65526 65526 65526 65527 65527 65528 65528 65528 65529 65529 65529 65529 65530 65530 65530 65530 65531 65531
    65531 65531 65531 65532 65532 65532 65532 65532 65532 65533 65533 65533 65533 65533 65533 65533 65533 65534 65534
    65534 65534 65534 65534 65534 65534 65534 65534 65535
    """.split(), np.int64)


# ------------------------------------------------------------------------------------------ settled before the first run
def power_of_two(scale: np.float32) -> tuple[int, bool]:
    """The nearest integer to log2(scale), and whether it is within a thousandth."""
    log2 = f32(f32(logf(scale)) * f32(f32(1) / f32(logf(f32(2)))))
    nearest = int(math.copysign(math.floor(abs(float(log2)) + 0.5), log2))
    return nearest, bool(abs(f32(log2 - f32(nearest))) < 1e-3)


def doublings(call: Call, allowed: tuple[int, ...]) -> int | None:
    """How often x has to be doubled to become Q3.12, when that is one of `allowed`."""
    log2, exact = power_of_two(scale_of(call.input(0)))
    return log2 + 12 if exact and log2 + 12 in allowed else None


def multiplier(call: Call, allowed: tuple[int, ...]) -> tuple[int, int]:
    """x * multiplier >> shift is in steps of 1 / (24 * 512)."""
    left = doublings(call, allowed)
    if left is not None:
        return 3 << left, 0
    real, shift = float(scale_of(call.input(0))) * 4096.0 * 3.0, 0
    while real <= 32767.0 / 2.0 and shift <= 30:
        shift += 1
        real *= 2.0
    return min(int(real), 2**31 - 1), shift


def checked(call: Call, exact: bool) -> None:
    """Zero points of 0 and an output of Q0.15. Raises: QuantError."""
    no_zero_points(call)
    scale = scale_of(call.output)
    if power_of_two(scale) != (-15, True) or (exact and float(scale) != 1 / 32768):
        raise QuantError(f"{call.place}: the output's scale is {scale}, must be 1 / 32768")


def needs_newton(allowed: tuple[int, ...]) -> Callable[[Call], bool]:
    """The builtin's other way: x is in Q3.12, or as many doublings away from it as `allowed` says."""

    def when(call: Call) -> bool:
        return is_int16(call) and call.numerics == BUILTIN and doublings(call, allowed) is not None

    return when


def table_args(allowed: tuple[int, ...], exact: bool) -> Callable[[Call, Any], tuple[Arg, ...]]:
    def args(call: Call, params: Any) -> tuple[Arg, ...]:
        checked(call, exact)
        x, y = flat(call)
        return x, *multiplier(call, allowed), y

    return args


def newton_args(allowed: tuple[int, ...], exact: bool) -> Callable[[Call, Any], tuple[Arg, ...]]:
    def args(call: Call, params: Any) -> tuple[Arg, ...]:
        checked(call, exact)
        x, y = flat(call)
        return x, doublings(call, allowed) or 0, y

    return args


def newton_numbers(allowed: tuple[int, ...], exact: bool) -> Callable[[Call], tuple[int]]:
    """For the vectors of `micro/formulas_newton16.py`."""

    def numbers(call: Call) -> tuple[int]:
        checked(call, exact)
        return (doublings(call, allowed) or 0,)

    return numbers


# --------------------------------------------------------------------------------------------------- kernels, by a table
@inline
def scaled(q: Any, multiplier: Any, shift: Any) -> Any:
    """q * multiplier / 2**shift, rounded half up, in 32 bits."""
    return wrap32(q * multiplier + ((1 << shift) >> 1)) >> shift


@inline
def between(magnitude: Any, bits: Any, most: Any) -> Any:
    """The sigmoid of magnitude / 2**bits / 24, times 2**(16 + bits); past the table's end `most`."""
    k = magnitude >> bits
    if k >= 255:
        return most
    return (SIGMOID[k] << bits) + (magnitude & ((1 << bits) - 1)) * (SIGMOID[k + 1] - SIGMOID[k])


def logistic_int16(x: Any, multiplier: int, shift: int, y: Any, begin: int, end: int) -> None:
    """sigmoid(-v) is 1 - sigmoid(v); half up on the positive side, just below it on the negative."""
    x, y = x[begin:end], y[begin:end]
    for i in range(y.size):
        v = scaled(int(x[i]), multiplier, shift)
        s = between(abs(v), 9, 0x7FFF << 10)
        y[i] = (s + 512 if v >= 0 else (1 << 25) - s + 511) >> 10


def tanh_int16(x: Any, multiplier: int, shift: int, y: Any, begin: int, end: int) -> None:
    """tanh(v) = 2 * sigmoid(2 * v) - 1: the table is walked twice as fast."""
    x, y = x[begin:end], y[begin:end]
    for i in range(y.size):
        v = scaled(int(x[i]), multiplier, shift)
        s = between(abs(v), 8, 0xFFFF << 8) - (1 << 23)
        y[i] = (s + 128 if v >= 0 else 127 - s) >> 8


# ---------------------------------------------------------------------------------------------- kernels, by fixed point
@inline
def wrap16(x: Any) -> Any:
    """The low 16 bits, signed."""
    return ((x + 32768) & 65535) - 32768


@inline
def high_mul16(a: Any, b: Any) -> Any:
    """(a * b) / 2**15 rounded half away from zero; -1 * -1 is the greatest number."""
    product = a * b
    if product >= 0:
        return min((product + 16384) >> 15, 32767)
    return -((16383 - product) >> 15)


@inline
def shift_left16(x: Any, exponent: Any) -> Any:
    """x * 2**exponent, limited to 16 bits."""
    return clamp(x << exponent, -32768, 32767)


# exp(-2**e) as Q0.15 for e = -2 … 3
POWERS = np.array([25520, 19875, 12055, 4435, 600, 11], np.int64)


@inline
def exp_negative16(a: Any, integer_bits: Any) -> Any:
    """exp(a) as Q0.15 for a <= 0 with that many bits before the point: a polynomial around -1/8 for what lies within the
    last quarter, times a power for each bit that remains."""
    quarter = 1 << (13 - integer_bits)
    near = (a & (quarter - 1)) - quarter
    rest = near - a
    v = shift_left16(near, integer_bits) + 4096
    v2 = high_mul16(v, v)
    v3, v4 = high_mul16(v2, v), high_mul16(v2, v2)
    series = divide_by_power_of_two(high_mul16(divide_by_power_of_two(v4, 2) + v3, 10923) + v2, 1)
    y = min(28918 + high_mul16(28918, v + series), 32767)
    for k in range(integer_bits + 2):
        if rest & (quarter << k):
            y = high_mul16(y, POWERS[k])
    return 32767 if a == 0 else y


@inline
def reciprocal16(a: Any) -> Any:
    """2 / (1 + a) for a in [0, 1], as Q2.13: three Newton steps from 48/17 - 32/17 * (1 + a) / 2."""
    half = (a + 32767 + 1) >> 1
    y = 23130 + high_mul16(half, -15420)
    for _ in range(3):
        y = y + shift_left16(high_mul16(y, 8192 - high_mul16(half, y)), 2)
    return y


def logistic_int16_newton(x: Any, left: int, y: Any, begin: int, end: int) -> None:
    """x: Q3.12."""
    x, y = x[begin:end], y[begin:end]
    for i in range(y.size):
        a = int(x[i])
        p = shift_left16(reciprocal16(exp_negative16(-a if a > 0 else a, 3)), 1)
        y[i] = 16384 if a == 0 else p if a > 0 else 32767 - p


def tanh_int16_newton(x: Any, left: int, y: Any, begin: int, end: int) -> None:
    """x: Q3.12 after `left` doublings. tanh(a) = (1 - exp(2 * a)) / (1 + exp(2 * a)) for a < 0, negated."""
    x, y = x[begin:end], y[begin:end]
    for i in range(y.size):
        a = shift_left16(int(x[i]), left)
        t = shift_left16(reciprocal16(exp_negative16(a if a < 0 else -a, 4)) - 8192, 2)
        y[i] = 0 if a == 0 else -t if a < 0 else t
