"""QUANTIZE and DEQUANTIZE: from real numbers to integers, between two quantizations, and back.

    QUANTIZE     y = clamp(round(x / sy) + zy)                      float32 to 8 or 16 bits
                 y = clamp(round((x - zx) * sx / sy) + zy)          integers of 8, 16 and 32 bits
    DEQUANTIZE   y = (x - zx) * sx                                  8 and 16 bits to float32
                 y = x                                              float16 to float32, exact

    x, y: any shape; s, z: one pair, or for float32 and 8 bits one for each index along the quantized axis

How the quotient is rounded:

    reference    half away from zero; integers by a Q31 multiplier with two roundings
    builtin      floats: whole blocks of 8 values by 1 / sy to nearest even, the rest by a division in double, half away.
                 8-bit integers: whole blocks of 16 with ruy's second rounding, half up, the rest as the reference
    delegate     floats: x * (1 / sy), limited, to nearest even; 8-bit integers of one type in steps of 1/256, half up

The blocks make an answer depend on where a value stands in the tensor; begin and end do not matter to it.

A float16 constant, or an int8 one, counts as a stored float32 once it is dequantized: so does the delegate see it.

Source: LiteRT tflite/kernels/quantize.cc, dequantize.cc, internal/reference/{quantize,requantize,dequantize}.h,
internal/optimized/optimized_ops.h (AffineQuantize, Requantize, Dequantize); XNNPACK src/f32-qs8-vcvt, qs8-vcvt.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinyinterp.errors import QuantError
from tinyinterp.schema import BuiltinOperator, TensorType

from .contract import ALL, BUILTIN, DELEGATE, REFERENCE, Arg, Call, Kernel, Op, Operand, Shape
from .delegate import EIGHT_BIT, per_tensor, ratio_within
from .lut import lookup, lookup_args, table_of
from .machine import f32, from_bits, inline, rint, round_away, round_away64, u32
from .micro import formulas, formulas_int16
from .numerics import INT32_MIN, clamp, quantize_multiplier, requantize_builtin, requantize_reference, type_range, wrap32
from .pointwise import NOT_DELEGATED, accepted, blocks_end, elements, flat, flat_args, scale_of, scale_ratio
from .runs import table, unary

FLOAT, HALF, INT8, UINT8, INT16, INT32 = (TensorType.FLOAT32, TensorType.FLOAT16, TensorType.INT8, TensorType.UINT8,
                                          TensorType.INT16, TensorType.INT32)
PAIRS = {(x, y) for x in (INT8, UINT8) for y in (INT8, UINT8, INT16)} | {
    (INT16, INT8), (INT16, INT16), (INT16, INT32), (INT32, INT8), (INT32, INT16)}


# ---------------------------------------------------------------------------------------------------------------- shapes
def quantized_shape(call: Call) -> tuple[Shape]:
    if not call.output.quantized:
        raise QuantError(f"{call.place}: output->quantization.type is not affine: the output has no scale")
    return (call.input(0).shape,)


def real_shape(call: Call) -> tuple[Shape]:
    call.need(call.output.type == FLOAT, f"the output is {call.output.type.name}, must be FLOAT32")
    return (call.input(0).shape,)


# ------------------------------------------------------------------------------------------ settled before the first run
def channels(call: Call, operand: Operand) -> tuple[np.ndarray, np.ndarray, int]:
    """(scales [C] float32, zero points [C], elements between two of one channel) of a tensor quantized along an axis."""
    scales = np.asarray(operand.quantization.scale, np.float32)
    zeros = np.asarray(operand.quantization.zero_point, np.int64)
    axis, shape = operand.quantization.axis, call.input(0).shape
    call.need(0 <= axis < len(shape) and shape[axis] == len(scales),
              f"'{operand.name}' has {len(scales)} scales along axis {axis} of {list(shape)}")
    if not (scales > 0).all() or not len(zeros):
        raise QuantError(f"{call.place}: '{operand.name}' needs scales above 0 and zero points")
    inner = int(np.prod(shape[axis + 1 :], dtype=np.int64))
    return scales, zeros if len(zeros) == len(scales) else np.full(len(scales), zeros[0]), inner


def float_args(call: Call, params: Any) -> tuple[Arg, ...]:
    """1 / sy: float32 in the delegate, in double and then float32 in the builtin."""
    (x, y), scale, lo_hi = flat(call), scale_of(call.output), type_range(call.output)
    if call.numerics == REFERENCE:
        return x, scale, call.output.zero_point, *lo_hi, y
    if call.numerics == DELEGATE:
        return x, f32(f32(1) / scale), call.output.zero_point, *lo_hi, y
    return x, f32(1.0 / float(scale)), float(scale), call.output.zero_point, *lo_hi, y


def channel_args(call: Call, params: Any) -> tuple[Arg, ...]:
    x, y = flat(call)
    return x, *channels(call, call.output), *type_range(call.output), y


def integer_numbers(call: Call) -> tuple[int, ...]:
    x, y = call.input(0), call.output
    if x.type == y.type == INT16 and (x.zero_point or y.zero_point):
        raise QuantError(f"{call.place}: 16-bit tensors need zero points of 0")
    return (x.zero_point, *quantize_multiplier(float(scale_of(x)) / float(scale_of(y))), y.zero_point, *type_range(y))


def rescaling_numbers(call: Call) -> tuple[int, ...] | None:
    """Of 16 bits, where no zero points are."""
    _, multiplier, shift, _, lo, hi = integer_numbers(call)
    return (multiplier, shift, lo, hi) if shift < 32 else None


def table_args(call: Call, params: Any) -> tuple[Arg, ...]:
    settled = integer_numbers(call)
    return lookup_args(call, table_of(call, lambda q: int(requantized(q, *settled))))


def block_args(call: Call, params: Any) -> tuple[Arg, ...]:
    zero, multiplier, shift, y_zero, lo, hi = settled = integer_numbers(call)
    whole = table_of(call, lambda q: int(clamp(requantize_builtin(q - zero, multiplier, shift) + y_zero, lo, hi)))
    x, y = flat(call)
    return x, whole, table_of(call, lambda q: int(requantized(q, *settled))), y


def delegate_table(call: Call, params: Any) -> tuple[Arg, ...]:
    x, y = call.input(0), call.output
    factor, zero, (lo, hi) = int(np.rint(f32(256) * scale_ratio(call))), x.zero_point, type_range(y)
    return lookup_args(call, table_of(call, lambda q: clamp(((q - zero) * factor + 128 + (y.zero_point << 8)) >> 8, lo, hi)))


def integer_args(call: Call, params: Any) -> tuple[Arg, ...]:
    x, y = flat(call)
    return x, *integer_numbers(call), y


def real_args(call: Call, params: Any) -> tuple[Arg, ...]:
    x, y = flat(call)
    zero = call.input(0).zero_point
    if call.input(0).type == INT16 and zero:
        raise QuantError(f"{call.place}: 16-bit tensors need a zero point of 0, has {zero}")
    return x, float(scale_of(call.input(0))), zero, y


def real_channel_args(call: Call, params: Any) -> tuple[Arg, ...]:
    x, y = flat(call)
    return x, *channels(call, call.input(0)), y


# ---------------------------------------------------------------------------------------------------- kernels: QUANTIZE
@inline
def to_int32(v: Any) -> Any:
    """A whole float as x86 converts it: what is outside of 32 bits, and NaN, is the least number."""
    return int(v) if v >= -2147483648.0 and v < 2147483648.0 else INT32_MIN


def quantize_reference(x: Any, scale: Any, zero: int, lo: int, hi: int, y: Any, begin: int, end: int) -> None:
    """The definition. The sum wraps: +inf becomes the least number."""
    x, y = x[begin:end], y[begin:end]
    for i in range(y.size):
        y[i] = clamp(wrap32(to_int32(round_away(x[i] / scale)) + zero), lo, hi)


def quantize_builtin(x: Any, inverse: Any, scale: Any, zero: int, lo: int, hi: int, y: Any, begin: int, end: int) -> None:
    """Blocks of 8 by the inverse, the rest in double."""
    middle = blocks_end(x.size, 8, begin, end)
    block, to = x[begin:middle], y[begin:middle]
    for i in range(to.size):
        to[i] = clamp(wrap32(to_int32(rint(block[i] * inverse)) + zero), lo, hi)
    for i in range(middle, end):
        y[i] = clamp(wrap32(to_int32(round_away64(float(x[i]) / scale)) + zero), lo, hi)


def quantize_delegate(x: Any, inverse: Any, zero: int, lo: int, hi: int, y: Any, begin: int, end: int) -> None:
    """Limited before it is rounded: a NaN becomes the greatest number."""
    least, most = f32(lo - zero), f32(hi - zero)
    x, y = x[begin:end], y[begin:end]
    for i in range(y.size):
        v = x[i] * inverse
        v = v if v < most else most
        v = v if v > least else least
        y[i] = int(rint(v)) + zero


def quantize_channels(x: Any, scales: Any, zeros: Any, inner: int, lo: int, hi: int, y: Any, begin: int, end: int) -> None:
    """The definition with a scale for each channel."""
    x, y = x[begin:end], y[begin:end]
    for i in range(y.size):
        c = (begin + i) // inner % scales.size
        y[i] = clamp(wrap32(to_int32(round_away(x[i] / scales[c])) + int(zeros[c])), lo, hi)


@inline
def requantized(q: Any, zero: Any, multiplier: Any, shift: Any, y_zero: Any, lo: Any, hi: Any) -> Any:
    """One integer in another quantization."""
    return clamp(wrap32(requantize_reference(wrap32(q - zero), multiplier, shift) + y_zero), lo, hi)


def requantize(x: Any, zero: int, multiplier: int, shift: int, y_zero: int, lo: int, hi: int, y: Any, begin: int,
               end: int) -> None:
    """The definition on integers."""
    x, y = x[begin:end], y[begin:end]
    for i in range(y.size):
        y[i] = requantized(int(x[i]), zero, multiplier, shift, y_zero, lo, hi)


def lookup_blocks(x: Any, whole: Any, rest: Any, y: Any, begin: int, end: int) -> None:
    """8 bits: one table for whole blocks of 16, another for what remains."""
    middle = blocks_end(x.size, 16, begin, end)
    lookup(x, whole, y, begin, middle)
    lookup(x, rest, y, middle, end)


# -------------------------------------------------------------------------------------------------- kernels: DEQUANTIZE
def dequantize(x: Any, scale: float, zero: int, y: Any, begin: int, end: int) -> None:
    """The definition: the product is exact in double, so it rounds once."""
    x, y = x[begin:end], y[begin:end]
    for i in range(y.size):
        y[i] = f32(scale * float(int(x[i]) - zero))


def dequantize_builtin(x: Any, scale: float, zero: int, y: Any, begin: int, end: int) -> None:
    """Blocks of 8 in float32 with the zero point's share added afterwards: three roundings."""
    middle = blocks_end(x.size, 8, begin, end)
    narrow, share = f32(scale), f32(scale * float(-zero))
    block, to = x[begin:middle], y[begin:middle]
    for i in range(to.size):
        to[i] = f32(int(block[i])) * narrow + share
    dequantize(x, scale, zero, y, middle, end)


def dequantize_channels(x: Any, scales: Any, zeros: Any, inner: int, y: Any, begin: int, end: int) -> None:
    """The definition with a scale for each channel."""
    x, y = x[begin:end], y[begin:end]
    for i in range(y.size):
        c = (begin + i) // inner % scales.size
        y[i] = scales[c] * f32(int(x[i]) - int(zeros[c]))


def widen(x: Any, y: Any, begin: int, end: int) -> None:
    """float16, seen as its bits, to float32. Every number of float16 is a normal one of float32, or 0."""
    x, y = x[begin:end], y[begin:end]
    for i in range(y.size):
        h = int(x[i])
        exponent, fraction = (h >> 10) & 31, h & 1023
        wide = ((exponent + 112) << 23) | (fraction << 13)
        if exponent == 31:
            wide = 0x7F800000 | (fraction << 13) | (0x400000 if fraction else 0)
        value = from_bits(u32(wide))
        if exponent == 0:
            value = f32(fraction) * f32(2.0**-24)
        y[i] = -value if h & 0x8000 else value


# -------------------------------------------------------------------------------------------------- kernels of whole vectors
# The numbers of their formulas (`micro/formulas.py`).
def delegate_numbers(call: Call) -> tuple[Any, ...]:
    y, (lo, hi) = call.output, type_range(call.output)
    return f32(f32(1) / scale_of(y)), f32(hi - y.zero_point), y.zero_point, lo, hi


def rounding_numbers(call: Call) -> tuple[Any, ...] | None:
    """Divided by the scale, half away from zero. The formula adds the zero point."""
    y = call.output
    return (scale_of(y), y.zero_point, 0, *type_range(y)) if scale_of(y) >= TINY else None


def builtin_numbers(call: Call) -> tuple[Any, ...]:
    y = call.output
    return f32(1.0 / float(scale_of(y))), y.zero_point, 0, *type_range(y)


def real_numbers(call: Call) -> tuple[Any, ...] | None:
    """A denormal scale would count as 0 in a delegated step."""
    x = call.input(0)
    return (x.zero_point, scale_of(x)) if scale_of(x) >= TINY else None


def real_builtin_numbers(call: Call) -> tuple[Any, ...]:
    x = call.input(0)
    return scale_of(x), f32(float(scale_of(x)) * float(-x.zero_point))


TINY = np.finfo(np.float32).tiny


# ----------------------------------------------------------------------------------------------------------------- the ops
def one_scale(operand: Operand) -> bool:
    return len(operand.quantization.scale) == 1


def from_float(call: Call) -> bool:
    return call.input(0).type == FLOAT and call.output.type in (INT8, UINT8, INT16) and one_scale(call.output)


def from_float_to_8bit(call: Call) -> bool:
    return from_float(call) and call.output.type in EIGHT_BIT


def from_float_to_16bit(call: Call) -> bool:
    return from_float(call) and call.output.type == INT16


def from_float_channels(call: Call) -> bool:
    return (call.input(0).type == FLOAT and call.output.type in (INT8, UINT8, INT16) and not one_scale(call.output))


def between_8bit(call: Call) -> bool:
    return call.input(0).type in EIGHT_BIT and call.output.type in EIGHT_BIT


def between_16bit(call: Call) -> bool:
    return call.input(0).type == call.output.type == INT16


def from_8bit(call: Call) -> bool:
    return call.input(0).type in EIGHT_BIT and (call.input(0).type, call.output.type) in PAIRS


def from_integer(call: Call) -> bool:
    return (call.input(0).type, call.output.type) in PAIRS


def to_real(call: Call) -> bool:
    return call.input(0).type in (*EIGHT_BIT, INT16) and len(call.input(0).quantization.scale) <= 1


def to_real_by_vectors(call: Call) -> bool:
    """16 bits without a zero point: with one they are refused."""
    x = call.input(0)
    return to_real(call) and (x.type in EIGHT_BIT or (x.quantized and x.zero_point == 0))


def to_real_channels(call: Call) -> bool:
    return call.input(0).type in EIGHT_BIT and len(call.input(0).quantization.scale) > 1


def is_half(call: Call) -> bool:
    return call.input(0).type == HALF


def delegated_quantize(call: Call) -> bool:
    x, y = call.input(0), call.output
    if not per_tensor(y) or not accepted(call):
        return False
    if x.type == FLOAT:
        return True
    # Up to 128 and including it: just below the next float32.
    return per_tensor(x) and x.type == y.type and ratio_within(x, y, 1 / 256, float(np.nextafter(f32(128), f32(256))))


def delegated_dequantize(call: Call) -> bool:
    return per_tensor(call.input(0)) and call.output.type == FLOAT and accepted(call)


def stays_stored(call: Call) -> bool:
    return call.input(0).type in (HALF, INT8)


QUANTIZE = Op(
    code=BuiltinOperator.QUANTIZE, inputs=(1, 1), outputs=(1, 1),
    types=("float32*int8", "float32*uint8", "float32*int16", *sorted(f"{x.name.lower()}*{y.name.lower()}" for x, y in PAIRS)),
    infer=quantized_shape,
    kernels=(
        unary("quantize_reference", formulas.quantize_reference, rounding_numbers, frozenset({REFERENCE}), from_float_to_8bit),
        unary("quantize_builtin", formulas.quantize_builtin, builtin_numbers, frozenset({BUILTIN}), from_float_to_8bit,
              rest=(formulas.quantize_rest, rounding_numbers), block=8),
        unary("quantize_reference", formulas.quantize_reference16, rounding_numbers, frozenset({REFERENCE}), from_float_to_16bit),
        unary("quantize_builtin", formulas.quantize_builtin16, builtin_numbers, frozenset({BUILTIN}), from_float_to_16bit,
              rest=(formulas.quantize_rest16, rounding_numbers), block=8),
        unary("quantize_delegate", formulas.quantize_delegate, delegate_numbers, frozenset({DELEGATE}), from_float_to_8bit),
        unary("requantize_int16", formulas_int16.rescaled, rescaling_numbers, NOT_DELEGATED, between_16bit),
        table("requantize_8bit_delegate", delegate_table, frozenset({DELEGATE}), between_8bit),
        table("requantize_8bit", table_args, frozenset({REFERENCE}), between_8bit),
        Kernel("quantize_reference", quantize_reference, float_args, frozenset({REFERENCE}), from_float, elements),
        Kernel("quantize_builtin", quantize_builtin, float_args, frozenset({BUILTIN}), from_float, elements),
        Kernel("quantize_delegate", quantize_delegate, float_args, frozenset({DELEGATE}), from_float, elements),
        Kernel("quantize_channels", quantize_channels, channel_args, NOT_DELEGATED, from_float_channels, elements),
        Kernel("requantize_8bit_delegate", lookup, delegate_table, frozenset({DELEGATE}), between_8bit, elements),
        Kernel("requantize_8bit_builtin", lookup_blocks, block_args, frozenset({BUILTIN}), between_8bit, elements),
        Kernel("requantize_8bit", lookup, table_args, NOT_DELEGATED, from_8bit, elements),
        Kernel("requantize", requantize, integer_args, NOT_DELEGATED, from_integer, elements),
    ),
    delegated=delegated_quantize, spec="LiteRT tflite/kernels/quantize.cc, Eval", max_version=6,
)
DEQUANTIZE = Op(
    code=BuiltinOperator.DEQUANTIZE, inputs=(1, 1), outputs=(1, 1), types=("int8", "uint8", "int16", "float16"),
    infer=real_shape,
    kernels=(
        unary("dequantize", formulas.dequantize, real_numbers, frozenset({REFERENCE, DELEGATE}), to_real_by_vectors),
        unary("dequantize_builtin", formulas.dequantize_builtin, real_builtin_numbers, frozenset({BUILTIN}), to_real_by_vectors,
              rest=(formulas.dequantize, real_numbers), block=8),
        Kernel("dequantize", dequantize, real_args, frozenset({REFERENCE, DELEGATE}), to_real, elements),
        Kernel("dequantize_builtin", dequantize_builtin, real_args, frozenset({BUILTIN}), to_real, elements),
        Kernel("dequantize_channels", dequantize_channels, real_channel_args, NOT_DELEGATED, to_real_channels, elements),
        Kernel("dequantize_float16", widen, flat_args, ALL, is_half, elements),
    ),
    delegated=delegated_dequantize, keeps_fixed=stays_stored, spec="LiteRT tflite/kernels/dequantize.cc, DequantizeImpl",
    max_version=9,
)
