"""ABS, NEG, SQUARE, SQRT, RSQRT, EXP, LOG, SIN, COS, FLOOR, CEIL, ROUND.

    y = f(x)        x, y: any shape, one type

    float32         the C library's function, or one IEEE operation; in a delegated run XNNPACK's own (`float_math.py`)
    8 bits          a table: EXP, LOG of the real function, ABS and RSQRT in fixed point, SQRT in float32, cut off
    16 bits         EXP, LOG, RSQRT a table of 513 entries; ABS and SQRT as on 8 bits
    other integers  ABS, NEG as they are, wrapping at the least number

SQRT and RSQRT of a negative integer are refused when it is met. CEIL and ROUND are not part of the reference.

Source: LiteRT tflite/kernels/elementwise.cc, exp.cc, neg.cc, floor.cc, ceil.cc, round.cc, internal/common.cc
(GetInvSqrtQuantizedMultiplierExp); XNNPACK src/f32-v*.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tinyinterp.errors import QuantError
from tinyinterp.schema import BuiltinOperator, TensorType

from . import float_math
from .contract import BUILTIN, DELEGATE, Arg, Call, Kernel, Maker, Op, Status, status
from .jit import processor
from .lut import interpolate, interpolate_from, lookup, lookup_args, lookup_from, real_table, real_table16, table_of
from .machine import bits, cosf, expf, f32, floorf, flush, from_bits, inline, logf, rint, sinf, sqrtf, u32
from .micro import float_formulas
from .numerics import (
    INT32_MIN,
    clamp,
    divide_by_power_of_two,
    doubling_high_mul,
    quantize_multiplier,
    requantize_reference,
    type_range,
    wrap32,
)
from .pointwise import (
    NOT_DELEGATED,
    delegated_float,
    each,
    elements,
    flat,
    flat_args,
    floats,
    is_float,
    is_float_avx512,
    is_int8,
    is_int16,
    no_zero_points,
    same_shape,
    scale_of,
    scale_ratio,
    without_avx512,
)
from .runs import table, unary

Formula = Callable[..., Any]
ELEMENTWISE = "LiteRT tflite/kernels/elementwise.cc"


def has_type(*types: TensorType) -> Callable[[Call], bool]:
    """Input and output are of one of these types."""
    return lambda call: call.input(0).type == call.output.type and call.input(0).type in types


def is_quantized16(call: Call) -> bool:
    return is_int16(call) and call.input(0).quantized


def op(code: BuiltinOperator, kernels: tuple[Kernel | Maker, ...], version: int, spec: str, *types: str) -> Op:
    return Op(code, (1, 1), (1, 1), ("float32", *types), same_shape, kernels, spec, delegated=delegated_float,
              max_version=version)


def tables(name: str, function: Callable[[Call], Callable[[Any], Any]]) -> tuple[Kernel | Maker, ...]:
    """The 8-bit and the 16-bit kernel of a real function; `function(call)` is it, in float32."""

    def args(call: Call, params: Any) -> tuple[Arg, ...]:
        return lookup_args(call, real_table(call, function(call)))

    def args16(call: Call, params: Any) -> tuple[Arg, ...]:
        return lookup_args(call, real_table16(call, function(call)))

    return (table(f"{name}_int8", args, NOT_DELEGATED, is_int8),
            Kernel(f"{name}_int8", lookup, args, NOT_DELEGATED, is_int8, elements),
            Kernel(f"{name}_int16", interpolate, args16, NOT_DELEGATED, is_int16, elements))


# ------------------------------------------------------------------------------------------------------------------- ABS
@inline
def abs_float(x: Any) -> Any:
    """Without its sign bit: a denormal stays one."""
    return from_bits(u32(bits(x) & u32(0x7FFFFFFF)))


@inline
def abs_integer(x: Any) -> Any:
    """In the type's own width: the least number stays what it is."""
    return abs(x)


@inline
def abs_quantized(q: Any, x_zero: Any, multiplier: Any, shift: Any, y_zero: Any, lo: Any, hi: Any) -> Any:
    """One integer; a multiplier of 0 means that the scales are equal."""
    v = abs(q - x_zero)
    return clamp((requantize_reference(v, multiplier, shift) if multiplier else v) + y_zero, lo, hi)


def abs_int16(x: Any, x_zero: int, multiplier: int, shift: int, y_zero: int, lo: int, hi: int, y: Any, begin: int,
              end: int) -> None:
    """The definition on quantized integers."""
    x, y = x[begin:end], y[begin:end]
    for i in range(y.size):
        y[i] = abs_quantized(int(x[i]), x_zero, multiplier, shift, y_zero, lo, hi)


def abs_numbers(call: Call) -> tuple[int, ...]:
    x, y = call.input(0), call.output
    pair = (0, 0) if scale_of(x) == scale_of(y) else quantize_multiplier(float(scale_ratio(call)))
    return (x.zero_point, *pair, y.zero_point, *type_range(y))


def abs_table(call: Call, params: Any) -> tuple[Arg, ...]:
    settled = abs_numbers(call)
    return lookup_args(call, table_of(call, lambda q: int(abs_quantized(q, *settled))))


def abs_int16_args(call: Call, params: Any) -> tuple[Arg, ...]:
    no_zero_points(call)
    x, y = flat(call)
    return x, *abs_numbers(call), y


ABS = op(BuiltinOperator.ABS, (
    *floats("abs", abs_float, abs_float),
    table("abs_int8", abs_table, NOT_DELEGATED, is_int8),
    Kernel("abs_int8", lookup, abs_table, NOT_DELEGATED, is_int8, elements),
    Kernel("abs_quantized_int16", abs_int16, abs_int16_args, NOT_DELEGATED, is_quantized16, elements),
    Kernel("abs_integer", each(abs_integer), flat_args, NOT_DELEGATED, has_type(TensorType.INT16, TensorType.INT32), elements),
), 5, f"{ELEMENTWISE}, AbsEval", "int8", "int16", "int32")


# ------------------------------------------------------------------------------------------------------------------- NEG
@inline
def neg_float(x: Any) -> Any:
    return -x


@inline
def neg_delegate(x: Any) -> Any:
    """0 - x, so that 0 stays +0."""
    return f32(0) - x


@inline
def neg_integer(x: Any) -> Any:
    return -x


NEG = op(BuiltinOperator.NEG, (
    *floats("neg", neg_float, neg_delegate),
    Kernel("neg_integer", each(neg_integer), flat_args, NOT_DELEGATED,
           has_type(TensorType.INT8, TensorType.INT16, TensorType.INT32, TensorType.INT64), elements),
), 1, "LiteRT tflite/kernels/neg.cc", "int8", "int16", "int32", "int64")


# --------------------------------------------------------------------------------------------------------- SQUARE, floor
@inline
def square(x: Any) -> Any:
    return x * x


@inline
def floor_delegate(x: Any) -> Any:
    return floorf(flush(x))


@inline
def ceil(x: Any) -> Any:
    return -floorf(-x)


@inline
def ceil_delegate(x: Any) -> Any:
    return -floorf(-flush(x))


@inline
def round_builtin(x: Any) -> Any:
    """To the nearest integer, ties to even, from the floor upwards: what rounds to 0 from below becomes +0."""
    y = rint(x)
    return f32(0) if y == f32(0) and x < f32(0) else y


@inline
def round_delegate(x: Any) -> Any:
    return rint(flush(x))


def unknown_to_reference(name: str, builtin: Callable[..., Any], delegate: Callable[..., Any]) -> tuple[Kernel, Kernel]:
    return (Kernel(f"{name}_float32_builtin", each(builtin), flat_args, frozenset({BUILTIN}), is_float, elements),
            Kernel(f"{name}_float32_delegate", each(delegate), flat_args, frozenset({DELEGATE}), is_float, elements))


SQUARE = op(BuiltinOperator.SQUARE, floats("square", square, square), 1, f"{ELEMENTWISE}, SquareEval")
FLOOR = op(BuiltinOperator.FLOOR, floats("floor", floorf, floor_delegate), 1, "LiteRT tflite/kernels/floor.cc")
CEIL = op(BuiltinOperator.CEIL, unknown_to_reference("ceil", ceil, ceil_delegate), 1, "LiteRT tflite/kernels/ceil.cc")
ROUND = op(BuiltinOperator.ROUND, unknown_to_reference("round", round_builtin, round_delegate), 1,
           "LiteRT tflite/kernels/round.cc")


# -------------------------------------------------------------------------------------------------- EXP, LOG, SIN and COS
def no_numbers(call: Call) -> tuple[Any, ...]:
    return ()


def log_or_least(call: Call) -> Callable[[Any], Any]:
    """The logarithm; for what has none, the least number that the output can hold."""
    y = call.output
    least = f32(type_range(y)[0] - y.zero_point) * scale_of(y)
    return lambda x: logf(x) if x > 0 else least


def by_vectors(name: str, wide: Formula, narrow: Formula | None = None, inexact: bool = False) -> tuple[Maker, ...]:
    """The delegate's float32 kernels with AVX-512 and without. inexact: they start with what the processor estimates."""

    def when(narrow: bool) -> Callable[[Call], bool]:
        fits = without_avx512 if narrow else is_float_avx512
        return lambda call: fits(call) and (not inexact or processor()[0].startswith("GenuineIntel"))

    return (unary(f"{name}_float32_delegate", wide, no_numbers, frozenset({DELEGATE}), when(False)),
            unary(f"{name}_float32_delegate", narrow or wide, no_numbers, frozenset({DELEGATE}), when(True)))


EXP = op(BuiltinOperator.EXP, (unary("exp_float32_delegate", float_formulas.exp, no_numbers, frozenset({DELEGATE}), is_float),
                               *floats("exp", expf, float_math.exp), *tables("exp", lambda call: expf)), 2,
         "LiteRT tflite/kernels/exp.cc", "int8", "int16")
LOG = op(BuiltinOperator.LOG, (*by_vectors("log", float_formulas.log, float_formulas.log_avx2),
                               *floats("log", logf, float_math.log, float_math.log_avx2), *tables("log", log_or_least)), 2,
         f"{ELEMENTWISE}, LogEval", "int8", "int16")
SIN = op(BuiltinOperator.SIN, (*by_vectors("sin", float_formulas.sin), *floats("sin", sinf, float_math.sin)), 2,
         f"{ELEMENTWISE}, SinEval")
COS = op(BuiltinOperator.COS, (*by_vectors("cos", float_formulas.cos), *floats("cos", cosf, float_math.cos)), 2,
         f"{ELEMENTWISE}, CosEval")


# ------------------------------------------------------------------------------------------------------------------ SQRT
def integer_sqrt(call: Call) -> Callable[[int], int]:
    """sqrt of the real number over sy in float32, cut off towards zero."""
    x, y = call.input(0), call.output
    sx, sy, zero, (lo, hi) = scale_of(x), scale_of(y), x.zero_point, type_range(y)

    def answer(q: int) -> int:
        if q < zero:
            return 0  # never read
        steps = float(f32(np.sqrt(sx * f32(q - zero))) / sy)
        return int(clamp(wrap32((int(steps) if steps < 2**31 else INT32_MIN) + y.zero_point), lo, hi))

    return answer


def sqrt_table(call: Call, params: Any) -> tuple[Arg, ...]:
    x, y = flat(call)
    return x, table_of(call, integer_sqrt(call)), call.input(0).zero_point, y


def sqrt_int16(x: Any, sx: Any, x_zero: int, sy: Any, y_zero: int, y: Any) -> int:
    """The definition on 16 bits."""
    for i in range(x.size):
        if int(x[i]) < x_zero:
            return status(Status.OUTSIDE_DOMAIN, i)
    for i in range(x.size):
        steps = sqrtf(sx * f32(int(x[i]) - x_zero)) / sy
        y[i] = clamp((int(steps) if steps < f32(2147483648.0) else INT32_MIN) + y_zero, -32768, 32767)
    return 0


def sqrt_int16_args(call: Call, params: Any) -> tuple[Arg, ...]:
    no_zero_points(call)
    x, y = flat(call)
    return x, scale_of(call.input(0)), 0, scale_of(call.output), 0, y


SQRT = op(BuiltinOperator.SQRT, (
    *by_vectors("sqrt", float_formulas.sqrt, float_formulas.sqrt_avx2, inexact=True),
    *floats("sqrt", sqrtf, float_math.sqrt, float_math.sqrt_avx2),
    Kernel("sqrt_int8", lookup_from, sqrt_table, NOT_DELEGATED, is_int8),
    Kernel("sqrt_int16", sqrt_int16, sqrt_int16_args, NOT_DELEGATED, is_quantized16),
), 2, f"{ELEMENTWISE}, SqrtEval", "int8", "int16")


# ----------------------------------------------------------------------------------------------------------------- RSQRT
@inline
def rsqrt_reference(x: Any) -> Any:
    return f32(1) / sqrtf(x)


def inverse_sqrt(v: int) -> tuple[int, int]:
    """1 / sqrt(v) as (multiplier, shift), for v >= 1: five Newton steps in Q3 of y * (3 - v * y * y) / 2."""
    if v <= 1:
        return 2**31 - 1, 0
    right = 11
    pairs = (32 - v.bit_length() - 1) // 2 - 1  # v < 2**29: it is an 8-bit number or the like
    right -= pairs
    v <<= 2 * pairs
    half = divide_by_power_of_two(v >> 1, 1)
    y, three_halves = 1 << 28, (1 << 28) + (1 << 27)

    def left(a: int, exponent: int) -> int:
        return int(clamp(a << exponent, -(2**31), 2**31 - 1))

    for _ in range(5):
        cube = left(doubling_high_mul(doubling_high_mul(y, y), y), 6)
        y = left(doubling_high_mul(three_halves, y) - doubling_high_mul(half, cube), 3)
    y = doubling_high_mul(y, 1518500250)  # / sqrt(2)
    return (y << -right, 0) if right < 0 else (y, -right)


def rsqrt_table(call: Call, params: Any) -> tuple[Arg, ...]:
    """1 / sqrt(q) in Q20, then to the output's scale; 1 / sqrt(0) is the greatest number."""
    x, y = call.input(0), call.output
    scale = float(f32(np.sqrt(scale_of(x)) * scale_of(y)))
    multiplier, shift = quantize_multiplier(1.0 / scale) if scale else (0, 0)
    if not multiplier:
        raise QuantError(f"{call.place}: scales {x.scale} and {y.scale} leave nothing")
    zero, (lo, hi) = x.zero_point, type_range(y)

    def answer(q: int) -> int:
        if q <= zero:
            return hi
        inverse = inverse_sqrt(q - zero)
        fine = requantize_reference(1, inverse[0], inverse[1] + 20)
        return int(clamp(requantize_reference(fine, multiplier, shift - 20) + y.zero_point, lo, hi))

    flat_x, flat_y = flat(call)
    return flat_x, table_of(call, answer), zero, flat_y


def rsqrt_table16(call: Call, params: Any) -> tuple[Arg, ...]:
    most = f32(32767) * scale_of(call.output)

    def function(x: Any) -> Any:
        return f32(1) / f32(math.sqrt(x)) if x > 0 else most

    x, y = flat(call)
    return x, real_table16(call, function), 0, y


RSQRT = op(BuiltinOperator.RSQRT, (
    *by_vectors("rsqrt", float_formulas.rsqrt, float_formulas.rsqrt_avx2, inexact=True),
    *floats("rsqrt", rsqrt_reference, float_math.rsqrt, float_math.rsqrt_avx2),
    Kernel("rsqrt_int8", lookup_from, rsqrt_table, NOT_DELEGATED, is_int8),
    Kernel("rsqrt_int16", interpolate_from, rsqrt_table16, NOT_DELEGATED, is_quantized16),
), 3, f"{ELEMENTWISE}, RsqrtEval", "int8", "int16")
