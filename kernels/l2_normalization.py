"""L2_NORMALIZATION: every row is divided by its length.

    y[r, c] = x[r, c] / max(sqrt(sum over j of x[r, j]**2), 10**-6)

    x, y: any shape, seen as [R, C]

Float32: the sum in order, no step fused. Quantized: y has scale 1/128 and zero point 0 (int8) or 128 (uint8); with
d = x - zero_point the length's inverse is a fixed-point number made from the integer sum of d**2, the scale of x cancels,
and a row of zeros stays zero. All of it is the same in all three numerics; the delegate takes none.

Source: LiteRT tflite/kernels/l2norm.cc, internal/reference/l2normalization.h, integer_ops/l2normalization.h.
"""

from __future__ import annotations

from typing import Any

from tinyinterp.errors import QuantError
from tinyinterp.schema import Activation, BuiltinOperator, TensorType

from .contract import ALL, Arg, Call, Kernel, Op, Shape
from .fixed_point import inverse_sqrt
from .machine import f32, inline, sqrtf
from .numerics import clamp, requantize_reference, wrap32


# ---------------------------------------------------------------------------------------------------------- shapes
def infer(call: Call) -> tuple[Shape]:
    x, activation = call.input(0), call.options.fused_activation_function
    call.need(len(x.shape) >= 1, "x is a scalar, needs at least one dimension")
    call.need(activation == Activation.NONE, f"fused activation {Activation(activation).name} is not NONE")
    return (x.shape,)


# ---------------------------------------------------------------------------------------- settled before the first run
def float_args(call: Call, params: None) -> tuple[Arg, ...]:
    """x and y as [R, C]; nothing to do is [0, 1]."""
    x = call.input(0)
    shape = (x.size // x.shape[-1], x.shape[-1]) if x.size else (0, 1)
    return x.view(*shape), call.output.view(*shape)


def quantized_args(call: Call, params: None) -> tuple[Arg, ...]:
    x, y = float_args(call, params)
    zero = 0 if call.output.type == TensorType.INT8 else 128
    if float(call.output.scale) != 1 / 128 or call.output.zero_point != zero:
        raise QuantError(f"{call.place}: output scale {call.output.scale} and zero point {call.output.zero_point} "
                         f"must be {1 / 128} and {zero}")
    return x, call.input(0).zero_point, y


def rows(call: Call) -> int:
    """Threads share the rows."""
    x = call.input(0)
    return x.size // x.shape[-1] if x.size else 0


# --------------------------------------------------------------------------------------------------------- kernels
EPSILON = f32(1e-6)


def l2_float(x: Any, y: Any, begin: int, end: int) -> None:
    """The definition."""
    for r in range(begin, end):
        total = f32(0)
        for c in range(x.shape[1]):
            total = total + x[r, c] * x[r, c]
        length = sqrtf(total)
        length = EPSILON if length < EPSILON else length
        for c in range(x.shape[1]):
            y[r, c] = x[r, c] / length


@inline
def inverse_length(x: Any, zero: Any, r: Any) -> Any:
    """(multiplier, shift) of 1 / the length of row r, in steps of x."""
    total = 0
    for c in range(x.shape[1]):
        total += (int(x[r, c]) - zero) * (int(x[r, c]) - zero)
    return inverse_sqrt(wrap32(total))


def l2_int8(x: Any, zero: int, y: Any, begin: int, end: int) -> None:
    """The definition for int8: the 128 of the output's scale goes into the shift."""
    for r in range(begin, end):
        multiplier, shift = inverse_length(x, zero, r)
        for c in range(x.shape[1]):
            y[r, c] = clamp(requantize_reference(int(x[r, c]) - zero, multiplier, shift + 7), -128, 127)


def l2_uint8(x: Any, zero: int, y: Any, begin: int, end: int) -> None:
    """The definition for uint8: the 128 of the output's scale is multiplied first."""
    for r in range(begin, end):
        multiplier, shift = inverse_length(x, zero, r)
        for c in range(x.shape[1]):
            y[r, c] = clamp(requantize_reference(128 * (int(x[r, c]) - zero), multiplier, shift) + 128, 0, 255)


# -------------------------------------------------------------------------------------------------------------- op
def is_float(call: Call) -> bool:
    return call.input(0).type == call.output.type == TensorType.FLOAT32


def is_int8(call: Call) -> bool:
    return call.input(0).type == call.output.type == TensorType.INT8


def is_uint8(call: Call) -> bool:
    return call.input(0).type == call.output.type == TensorType.UINT8


L2_NORMALIZATION = Op(
    code=BuiltinOperator.L2_NORMALIZATION,
    inputs=(1, 1),
    outputs=(1, 1),
    types=("float32", "int8", "uint8"),
    infer=infer,
    kernels=(
        Kernel("l2_normalization_float32", l2_float, float_args, ALL, is_float, rows),
        Kernel("l2_normalization_int8", l2_int8, quantized_args, ALL, is_int8, rows),
        Kernel("l2_normalization_uint8", l2_uint8, quantized_args, ALL, is_uint8, rows),
    ),
    spec="LiteRT tflite/kernels/l2norm.cc, tflite/kernels/internal/reference/l2normalization.h",
)
