"""Multipliers, rounding tails and activation ranges: what turns an exact integer sum into the official byte.

The three numerics share every sum; they differ in how a sum is scaled back to 8 bits:

    reference   fixed point, first rounding half up, second half away from 0  (gemmlowp's)
    builtin     fixed point, two roundings, each half up                      (ruy's)
    delegate    one float32 product, rounded to nearest even                  (XNNPACK's)

The first half of this page runs before the first invoke, in exact Python numbers; the second half is compiled into the
kernels. Source: LiteRT tflite/kernels/internal/common.h, quantization_util.cc, kernel_util.cc; ruy apply_multiplier;
XNNPACK src/operators/*.c (requantization_scale).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinyinterp.errors import QuantError
from tinyinterp.schema import Activation, Padding, TensorType

from .contract import BUILTIN, DELEGATE, REFERENCE, Call, Operand
from .machine import f32, inline, rint, round_away64

INT32_MIN, INT32_MAX = -(2**31), 2**31 - 1
FLOAT_MAX = float(np.finfo(np.float32).max)
RANGES = {"int8": (-128, 127), "uint8": (0, 255), "int16": (-32768, 32767), "int32": (INT32_MIN, INT32_MAX)}
_RANGES = {TensorType[name.upper()]: ends for name, ends in RANGES.items()}


# ------------------------------------------------------------------------------------------- before the first invoke
def quantize_multiplier(real: float) -> tuple[int, int]:
    """A real factor as (multiplier, shift): real = multiplier * 2**(shift - 31), multiplier a Q31 in [2**30, 2**31)."""
    if real == 0 or not math.isfinite(real):
        return 0, 0
    mantissa, shift = math.frexp(real)
    multiplier = math.floor(abs(mantissa) * (1 << 31) + 0.5) * (1 if mantissa > 0 else -1)
    if abs(multiplier) == 1 << 31:
        multiplier //= 2
        shift += 1
    return (0, 0) if shift < -31 else (multiplier, shift)


def quantize_multipliers(reals: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`quantize_multiplier` of each: multiplier [n] int32, shift [n] int32."""
    pairs = [quantize_multiplier(float(r)) for r in np.atleast_1d(reals)]
    return np.array([m for m, _ in pairs], np.int32), np.array([s for _, s in pairs], np.int32)


def type_range(operand: Operand) -> tuple[int, int]:
    """The least and the greatest value of an integer tensor's type."""
    return _RANGES[operand.type]


BOUNDS = {Activation.NONE: (-math.inf, math.inf), Activation.RELU: (0.0, math.inf), Activation.RELU_N1_TO_1: (-1.0, 1.0),
          Activation.RELU6: (0.0, 6.0)}


def float_range(activation: Activation, call: Call) -> tuple[np.float32, np.float32]:
    """The clamp of a fused activation on floats. The builtin kernels clamp to the finite numbers where the delegate does
    not clamp at all: their infinite results come out as +-3.4e38. The bounds of a merged clamp go first. Raises: ShapeError
    for one that no kernel fuses."""
    call.need(activation in BOUNDS, f"fused activation {activation!r} is not NONE, RELU, RELU_N1_TO_1 or RELU6")
    if call.bounds is not None:
        return call.bounds
    lo, hi = BOUNDS[activation]
    if call.numerics != DELEGATE:
        lo, hi = max(lo, -FLOAT_MAX), min(hi, FLOAT_MAX)
    return f32(lo), f32(hi)


def quantized_range(activation: Activation, call: Call) -> tuple[int, int]:
    """The clamp of a fused activation on the output's integers: the bound over the scale, rounded half away from zero
    (delegate: to nearest even), plus the zero point."""
    lo, hi = type_range(call.output)
    call.need(activation in BOUNDS, f"fused activation {activation!r} is not NONE, RELU, RELU_N1_TO_1 or RELU6")
    ends = []
    for bound in BOUNDS[activation]:
        if math.isinf(bound):
            ends.append(lo if bound < 0 else hi)
            continue
        steps = f32(f32(bound) / call.output.scale)
        if call.numerics == DELEGATE:
            q = int(np.rint(steps)) + call.output.zero_point
            ends.append(min(max(q, lo), hi))
        else:
            q = int(math.copysign(math.floor(abs(float(steps)) + 0.5), bound)) + call.output.zero_point
            ends.append(max(q, lo) if bound <= 0 else min(q, hi))
    return ends[0], ends[1]


def padding(mode: Padding, size: int, window: int, stride: int, dilation: int = 1) -> tuple[int, int]:
    """(output size, cells of padding before the first) along one axis."""
    reach = (window - 1) * dilation + 1
    if mode == Padding.SAME:
        out = -(-size // stride)
        return out, max((out - 1) * stride + reach - size, 0) // 2
    return max((size - reach + stride) // stride, 0), 0


def channel_scales(w: Operand, channels: int) -> np.ndarray:
    """One float32 scale for each output channel: [channels]. Raises: QuantError."""
    scales = np.asarray(w.quantization.scale, np.float32)
    if len(scales) not in (1, channels):
        raise QuantError(f"tensor {w.index} '{w.name}' has {len(scales)} scales for {channels} channels")
    return scales if len(scales) == channels else np.full(channels, scales[0], np.float32)


def product_scales(call: Call, x: Operand, w: Operand, channels: int) -> tuple[np.ndarray, np.ndarray]:
    """What `requantize_*` multiplies a sum of products x * w by: ([channels], [channels] int32).

    reference, builtin: Q31 multipliers and shifts of sx * sw / sy. The product is taken in double when the weights are
    quantized per channel, in float32 when they are not and are uint8. delegate: float32 (sx * sw) / sy, shifts unused.
    """
    scales = channel_scales(w, channels)
    if call.numerics == DELEGATE:
        real = (x.scale * scales / call.output.scale).astype(np.float32)
        return real, np.zeros(channels, np.int32)
    if w.dtype == np.uint8:
        wide = (x.scale * scales).astype(np.float64)
    else:
        wide = np.float64(x.scale) * scales.astype(np.float64)
    return quantize_multipliers(wide / np.float64(call.output.scale))


# ------------------------------------------------------------------------------------------------- inside the kernels
@inline
def wrap32(x: Any) -> Any:
    """The low 32 bits of an integer, signed, as C keeps an int32."""
    return ((x + 2147483648) & 4294967295) - 2147483648


@inline
def doubling_high_mul(a: Any, b: Any) -> Any:
    """(a * b) / 2**31 rounded half up; a, b int32 in int64.

    The official code adds 2**30, or 1 - 2**30 below zero, and truncates: for whole numbers that is the same.
    """
    return (a * b + 1073741824) >> 31


@inline
def divide_by_power_of_two(x: Any, exponent: Any) -> Any:
    """x / 2**exponent rounded half away from zero, exponent in [0, 31]."""
    mask = (1 << exponent) - 1
    remainder = x & mask
    threshold = (mask >> 1) + (1 if x < 0 else 0)
    return (x >> exponent) + (1 if remainder > threshold else 0)


@inline
def requantize_reference(acc: Any, multiplier: Any, shift: Any) -> Any:
    """First rounding half up, second half away from zero: gemmlowp's MultiplyByQuantizedMultiplier."""
    m, s = int(multiplier), int(shift)
    left = s if s > 0 else 0
    right = -s if s < 0 else 0
    return divide_by_power_of_two(doubling_high_mul(wrap32(acc << left), m), right)


@inline
def requantize_builtin(acc: Any, multiplier: Any, shift: Any) -> Any:
    """Two roundings, each half up: ruy's."""
    m, s = int(multiplier), int(shift)
    left = s if s > 0 else 0
    right = -s if s < 0 else 0
    high = doubling_high_mul(wrap32(acc << left), m)
    return (high + ((1 << right) >> 1)) >> right


@inline
def requantize_delegate(acc: Any, scale: Any, unused: Any) -> Any:
    """One float32 product, rounded to nearest even: XNNPACK's fp32 requantization."""
    v = f32(acc) * scale
    # Beyond +-2**30 every 8-bit output is clamped already; this keeps the conversion defined.
    v = f32(1073741824.0) if v > f32(1073741824.0) else v
    v = f32(-1073741824.0) if v < f32(-1073741824.0) else v
    return int(rint(v))


@inline
def requantize_double(acc: Any, factor: Any, unused: Any) -> Any:
    """The product in double, rounded half away from zero: the reference FULLY_CONNECTED."""
    v = round_away64(float(acc) * factor)
    return int(v) if -2147483648.0 <= v <= 2147483647.0 else -2147483648


@inline
def requantize_int16(acc: Any, multiplier: Any, shift: Any) -> Any:
    """64-bit sums: a 16-bit multiplier and one rounding half up."""
    m = int(multiplier)
    reduced = (m + 32768) >> 16 if m < 2147418112 else 32767
    total = 15 - int(shift)
    return wrap32((acc * reduced + (1 << (total - 1))) >> total)


REQUANTIZE = {REFERENCE: requantize_reference, BUILTIN: requantize_builtin, DELEGATE: requantize_delegate}


@inline
def clamp(x: Any, lo: Any, hi: Any) -> Any:
    """x limited to [lo, hi]."""
    return lo if x < lo else hi if x > hi else x
