"""Floats to 8 bits while an operator runs: what hybrid operators (`hybrid.py`) make of a row or an image.

    q = round(x * factor) + zero        x = scale * (q - zero)

The least and greatest value decide scale, factor and zero point, in one of three ways; q is rounded in two.

Source: XNNPACK src/xnnpack/quantization.h, src/f32-qs8-vcvt; LiteRT tflite/kernels/internal/optimized/neon_tensor_utils.cc
(NeonSymmetricQuantizeFloats, NeonAsymmetricQuantizeFloats).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .machine import f32, inline, rint, round_away, round_away64
from .numerics import clamp


@inline
def limits(x: Any) -> Any:
    """(least, greatest) of x and 0; a NaN is neither."""
    least, most = f32(0), f32(0)
    for i in range(x.size):
        least = x[i] if x[i] < least else least
        most = x[i] if x[i] > most else most
    return least, most


@inline
def delegate_params(least: Any, most: Any) -> Any:
    """(scale, factor, zero): q = x * factor + zero."""
    factor = f32(1) if least == most else f32(255) / (most - least)
    low, high = least * factor, most * factor
    zero = f32(-128) - low if (f32(-128) + low) + (f32(127) + high) > f32(0) else f32(127) - high
    zero = zero if zero > f32(-128) else f32(-128)
    zero = zero if zero < f32(127) else f32(127)
    return f32(1) / factor, factor, int(rint(zero))


@inline
def symmetric_params(least: Any, most: Any) -> Any:
    """(scale, factor, zero)."""
    most = most if most > -least else -least
    return (f32(1), f32(0), 0) if most == f32(0) else (most / f32(127), f32(127) / most, 0)


@inline
def asymmetric_params(least: Any, most: Any) -> Any:
    """(scale, factor, zero). The steps are float32 apart, the zero point is found in double."""
    if least == most:
        return f32(1), f32(0), 0
    step = float(most - least) / 255.0
    low, high = -128.0 - float(least) / step, 127.0 - float(most) / step
    best = low if 128.0 + abs(float(least) / step) < 127.0 + abs(float(most) / step) else high
    best = best if best > -128.0 else -128.0
    best = best if best < 127.0 else 127.0
    scale = f32(step)
    return scale, f32(0) if scale == f32(0) else f32(1.0 / float(scale)), int(round_away64(best))


@inline
def to_nearest_even(v: Any, zero: Any, inside: Any) -> Any:
    """v + zero as 8 bits; a NaN is the greatest."""
    top = f32(127 - zero)
    v = v if v < top else top
    v = v if v > f32(-256) else f32(-256)
    q = int(rint(v)) + zero
    return q if q > -128 else -128


@inline
def half_away(v: Any, zero: Any, inside: Any) -> Any:
    """v + zero as 8 bits, from `zero` on up when that is 0; inside: in a whole group of eight. A NaN is the least."""
    v = v if v > f32(-1024) else f32(-1024)
    v = v if v < f32(1024) else f32(1024)
    away = v + (f32(-0.5) if v < f32(0) else f32(0.5))
    return int(away if inside else round_away(v)) + zero


@inline
def symmetric_bits(v: Any, zero: Any, inside: Any) -> Any:
    return clamp(half_away(v, zero, inside), -127, 127)


@inline
def asymmetric_bits(v: Any, zero: Any, inside: Any) -> Any:
    return clamp(half_away(v, zero, inside), -128, 127)


def quantizer(params: Callable[..., Any], bits: Callable[..., Any]) -> Callable[..., Any]:
    @inline
    def quantize(x: Any, q: Any) -> Any:
        """x [n] float32 to q [n] int8; gives (scale, zero)."""
        least, most = limits(x)
        scale, factor, zero = params(least, most)
        whole = x.size - x.size % 8
        for i in range(x.size):
            q[i] = bits(x[i] * factor, zero, i < whole)
        return scale, zero

    return quantize


PARAMS = {"delegate": delegate_params, "symmetric": symmetric_params, "asymmetric": asymmetric_params}
BITS = {"delegate": to_nearest_even, "symmetric": symmetric_bits, "asymmetric": asymmetric_bits}
QUANTIZERS = {name: quantizer(PARAMS[name], BITS[name]) for name in PARAMS}
