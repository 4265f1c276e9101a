"""Tables instead of arithmetic: an 8-bit function has 256 answers, all of them are computed before the first run.

    y[i] = table[x[i] & 255]                                               8 bits
    y[i] = table[k] + ((table[k+1] - table[k]) * (x[i] & 127) + 64 >> 7)   16 bits, k = 256 + (x[i] >> 7), 513 entries

So the 8-bit kernels of a family are one kernel, `lookup`; what differs is a Python function of one number, which is the
definition. Tables of a real function f round f(real input) / sy:

    reference, builtin    half away from zero, then + zero point                      (LUTPopulate)
    delegate              + zero point, then to nearest even                          (XNNPACK's)

Source: LiteRT tflite/kernels/internal/common.h (LUTPopulateInt8, LUTPopulateInt16, LUTLookup), XNNPACK
src/operators/unary-elementwise-nc.c.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .contract import DELEGATE, Arg, Call, Status, status
from .machine import f32
from .numerics import type_range
from .pointwise import flat, no_zero_points, scale_of


# ------------------------------------------------------------------------------------------ settled before the first run
def round_half_away(x: Any) -> Any:
    """C's round(), exact for float32 and float64, numbers or arrays."""
    whole = np.trunc(x)
    return whole + np.where(np.abs(x - whole) >= 0.5, np.sign(x), 0).astype(np.asarray(x).dtype)


def table_of(call: Call, answer: Callable[[int], int]) -> np.ndarray:
    """[256] of the output's type: `answer(q)` for every q that the 8-bit input can hold, at entry q & 255."""
    lo, hi = type_range(call.input(0))
    table = np.zeros(256, call.output.dtype)
    for q in range(lo, hi + 1):
        table[q & 255] = answer(q)
    return table


def real_table(call: Call, function: Callable[[Any], Any]) -> np.ndarray:
    """The 8-bit table of a real function of float32, in the call's numerics."""
    x, y = call.input(0), call.output
    lo, hi = type_range(y)
    sx, inverse, zero = scale_of(x), f32(1) / scale_of(y), f32(y.zero_point)
    z = x.zero_point

    def answer(q: int) -> int:
        with np.errstate(all="ignore"):
            scaled = f32(function(sx * f32(q - z)) * inverse)
            real = scaled + zero if call.numerics == DELEGATE else f32(round_half_away(scaled)) + zero
            return int(np.rint(np.clip(real, f32(lo), f32(hi))))

    return table_of(call, answer)


def real_table16(call: Call, function: Callable[[Any], Any]) -> np.ndarray:
    """The 513 entries of a real function of float32 on 16 bits: samples, each less half of the error that a straight line
    to the next one makes in the middle. All in float32."""
    x, y = call.input(0), call.output
    sx, sy = scale_of(x), scale_of(y)
    no_zero_points(call)
    least, most = sx * f32(-32768), sx * f32(32767)
    step = (most - least) / f32(512)
    inverse = f32(65536) / (sy * f32(32767) - sy * f32(-32768))
    half, table = step / f32(2), np.zeros(513, np.int16)

    def limited(v: Any) -> int:
        return 0 if np.isnan(v) else int(np.clip(v, f32(-32768), f32(32767)))  # the low bits of x86's answer to a NaN

    with np.errstate(all="ignore"):
        for i in range(512):
            at = least + f32(i) * step
            here, middle, after = function(at), function(at + half), function(least + f32(i + 1) * step)
            sample = f32(round_half_away(here * inverse))
            line = f32(round_half_away((after * inverse + sample) / f32(2)))
            error = line - f32(round_half_away(middle * inverse))
            table[i] = limited(sample - f32(round_half_away(error / f32(2))))
        table[512] = limited(round_half_away(function(most) * inverse))
    return table


def lookup_args(call: Call, table: np.ndarray) -> tuple[Arg, ...]:
    x, y = flat(call)
    return x, table, y


# --------------------------------------------------------------------------------------------------------------- kernels
def lookup(x: Any, table: Any, y: Any, begin: int, end: int) -> None:
    """y = table[x] for 8 bits; table: [256], negative numbers in its second half."""
    x, y = x[begin:end], y[begin:end]
    for i in range(y.size):
        y[i] = table[int(x[i]) & 255]


def lookup_from(x: Any, table: Any, least: int, y: Any) -> int:
    """The same where numbers below `least` have no answer."""
    for i in range(x.size):
        if int(x[i]) < least:
            return status(Status.OUTSIDE_DOMAIN, i)
    for i in range(x.size):
        y[i] = table[int(x[i]) & 255]
    return 0


def interpolate(x: Any, table: Any, y: Any, begin: int, end: int) -> None:
    """16 bits: a straight line between two of 513 entries. Differences and sums wrap at 16 bits, as stored."""
    x, y = x[begin:end], y[begin:end]
    for i in range(y.size):
        q = int(x[i])
        k = 256 + (q >> 7)
        slope = ((int(table[k + 1]) - int(table[k]) + 32768) & 65535) - 32768
        value = int(table[k]) + ((slope * (q & 127) + 64) >> 7)
        y[i] = ((value + 32768) & 65535) - 32768


def interpolate_from(x: Any, table: Any, least: int, y: Any) -> int:
    """The same where numbers below `least` have no answer."""
    for i in range(x.size):
        if int(x[i]) < least:
            return status(Status.OUTSIDE_DOMAIN, i)
    interpolate(x, table, y, 0, x.size)
    return 0
