"""RELU, RELU6, RELU_N1_TO_1, RELU_0_TO_1, LEAKY_RELU, LOGISTIC, TANH, HARD_SWISH as operators of their own.

    RELU…        y = min(max(x, lo), hi)             LOGISTIC     y = 1 / (1 + exp(-x))
    LEAKY_RELU   y = x if x >= 0 else alpha * x      HARD_SWISH   y = x * min(max(x + 3, 0), 6) / 6

    x, y: any shape, one type

On 8 bits all of them are tables (`lut.py`). The RELUs and LEAKY_RELU rescale from sx to sy in fixed point, the delegate's
LEAKY_RELU in steps of 1/256; HARD_SWISH works in 16 bits throughout.

Without the delegate floats are the reference's; a default run has the builtin's own (`float_builtin.py`) for the shapes that
the delegate refuses.

Source: LiteRT tflite/kernels/activations.cc, internal/reference/{logistic,tanh,leaky_relu,hard_swish,reference_ops}.h;
XNNPACK src/f32-vclamp, f32-vlrelu, qs8-vlrelu, src/operators/unary-elementwise-nc.c.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tinyinterp.errors import QuantError
from tinyinterp.schema import BuiltinOperator

from . import float_math
from .contract import ALL, BUILTIN, DELEGATE, Arg, Call, Kernel, Maker, Op, never
from .delegate import EIGHT_BIT
from .float_builtin import hard_swish_float_builtin, logistic_float_builtin, tanh_float_builtin
from .float_math import SIGN
from .logistic16 import (
    high_mul16,
    logistic_int16,
    logistic_int16_newton,
    needs_newton,
    newton_args,
    newton_numbers,
    shift_left16,
    table_args,
    tanh_int16,
    tanh_int16_newton,
    wrap16,
)
from .lut import lookup, lookup_args, real_table, table_of
from .machine import bits, expf, f32, inline, tanhf, xmax, xmin
from .micro import float_formulas, formulas, formulas_int16, formulas_newton16
from .numerics import clamp, divide_by_power_of_two, quantize_multiplier, requantize_reference, type_range
from .pointwise import (
    NOT_DELEGATED,
    delegated,
    delegated_float,
    elements,
    flat,
    floats,
    is_8bit,
    is_float,
    is_float_avx512,
    is_int16,
    no_zero_points,
    same_shape,
    scale_of,
    scale_ratio,
    without_avx512,
)
from .runs import table as through_table
from .runs import unary

ACTIVATIONS = "LiteRT tflite/kernels/activations.cc"


# ----------------------------------------------------------------------------------------------------------------- RELUs
@inline
def relu_integer(q: Any, x_zero: Any, multiplier: Any, shift: Any, y_zero: Any, lo: Any, hi: Any) -> Any:
    """One integer: rescaled, then clamped."""
    return clamp(requantize_reference(q - x_zero, multiplier, shift) + y_zero, lo, hi)


def relu_reference(x: Any, lo: Any, hi: Any, y: Any, begin: int, end: int) -> None:
    """The definition on floats: a NaN passes."""
    x, y = x[begin:end], y[begin:end]
    for i in range(y.size):
        v = x[i]
        y[i] = hi if v > hi else lo if v < lo else v


def relu_delegate(x: Any, lo: Any, hi: Any, y: Any, begin: int, end: int) -> None:
    """The delegate's order of operands: a NaN and -0 pass."""
    x, y = x[begin:end], y[begin:end]
    for i in range(y.size):
        y[i] = xmin(hi, xmax(lo, x[i]))


def relu_int16(x: Any, x_zero: int, multiplier: int, shift: int, y_zero: int, lo: int, hi: int, y: Any, begin: int,
               end: int) -> None:
    """The definition on integers."""
    x, y = x[begin:end], y[begin:end]
    for i in range(y.size):
        y[i] = relu_integer(int(x[i]), x_zero, multiplier, shift, y_zero, lo, hi)


def relu(code: BuiltinOperator, lo: float, hi: float, wide: bool, taken: Callable[[Call], bool]) -> Op:
    """The op of one pair of bounds. `wide`: it takes 16 bits."""

    def float_args(call: Call, params: None) -> tuple[Arg, ...]:
        x, y = flat(call)
        return x, f32(lo), f32(hi), y

    def numbers(call: Call) -> tuple[int, ...]:
        y, ends = call.output, list(type_range(call.output))
        for k, bound in ((0, lo), (1, hi)):
            if math.isfinite(bound):
                steps = float(f32(bound) / scale_of(y))
                q = y.zero_point + int(math.copysign(math.floor(abs(steps) + 0.5), steps))
                ends[k] = max(q, ends[0]) if k == 0 else min(q, ends[1])
        return (call.input(0).zero_point, *quantize_multiplier(float(scale_ratio(call))), y.zero_point, *ends)

    def table(call: Call, params: None) -> tuple[Arg, ...]:
        settled = numbers(call)
        return lookup_args(call, table_of(call, lambda q: relu_integer(q, *settled)))

    def int16_args(call: Call, params: None) -> tuple[Arg, ...]:
        no_zero_points(call)
        x, y = flat(call)
        return x, *numbers(call), y

    def rescaling(call: Call) -> tuple[int, ...] | None:
        no_zero_points(call)
        _, multiplier, shift, _, *ends = numbers(call)
        return (multiplier, shift, *ends) if shift < 32 else None

    name = code.name.lower()
    kernels: tuple[Kernel | Maker, ...] = (
        through_table(f"{name}_8bit", table, NOT_DELEGATED, is_8bit),
        Kernel(f"{name}_8bit", lookup, table, NOT_DELEGATED, is_8bit, elements),
        unary(f"{name}_float32_reference", formulas.relu_f32, lambda call: (f32(lo), f32(hi)), NOT_DELEGATED, is_float),
        Kernel(f"{name}_float32_reference", relu_reference, float_args, NOT_DELEGATED, is_float, elements),
        Kernel(f"{name}_float32_delegate", relu_delegate, float_args, frozenset({DELEGATE}), is_float, elements),
    )
    if wide:
        kernels += (unary(f"{name}_int16", formulas_int16.rescaled, rescaling, NOT_DELEGATED, is_int16),
                    Kernel(f"{name}_int16", relu_int16, int16_args, NOT_DELEGATED, is_int16, elements),)
    types = ("float32", "int8", "uint8", *(("int16",) if wide else ()))
    return Op(code, (1, 1), (1, 1), types, same_shape, kernels, f"{ACTIVATIONS}, ReluEval", delegated=taken,
              max_version=3 if wide else 1)


RELU = relu(BuiltinOperator.RELU, 0.0, math.inf, True, delegated_float)
RELU6 = relu(BuiltinOperator.RELU6, 0.0, 6.0, True, delegated_float)
RELU_N1_TO_1 = relu(BuiltinOperator.RELU_N1_TO_1, -1.0, 1.0, False, delegated_float)
RELU_0_TO_1 = relu(BuiltinOperator.RELU_0_TO_1, 0.0, 1.0, False, never)


# ------------------------------------------------------------------------------------------------------------ LEAKY_RELU
@inline
def leaky_integer(q: Any, x_zero: Any, multiplier: Any, shift: Any, slope: Any, slope_shift: Any, y_zero: Any, lo: Any,
                  hi: Any) -> Any:
    """One integer: two multipliers; a negative slope negates after the rounding."""
    v = q - x_zero
    if v >= 0:
        return clamp(requantize_reference(v, multiplier, shift) + y_zero, lo, hi)
    down = requantize_reference(v, abs(slope), slope_shift)
    return clamp((-down if slope < 0 else down) + y_zero, lo, hi)


def leaky_reference(x: Any, alpha: Any, y: Any, begin: int, end: int) -> None:
    """The definition on floats."""
    x, y = x[begin:end], y[begin:end]
    for i in range(y.size):
        y[i] = x[i] if x[i] > f32(0) else x[i] * alpha


def leaky_delegate(x: Any, alpha: Any, y: Any, begin: int, end: int) -> None:
    """-0, NaN and negative denormals pass unchanged."""
    x, y = x[begin:end], y[begin:end]
    for i in range(y.size):
        y[i] = x[i] * alpha if x[i] < f32(0) else x[i]


def leaky_delegate_avx2(x: Any, alpha: Any, y: Any, begin: int, end: int) -> None:
    """Without AVX-512 the sign bit decides."""
    x, y = x[begin:end], y[begin:end]
    for i in range(y.size):
        y[i] = x[i] * alpha if bits(x[i]) >= SIGN else x[i]


def leaky_int16(x: Any, x_zero: int, multiplier: int, shift: int, slope: int, slope_shift: int, y_zero: int, lo: int,
                hi: int, y: Any, begin: int, end: int) -> None:
    """The definition on integers."""
    x, y = x[begin:end], y[begin:end]
    for i in range(y.size):
        y[i] = leaky_integer(int(x[i]), x_zero, multiplier, shift, slope, slope_shift, y_zero, lo, hi)


def leaky_float_args(call: Call, params: None) -> tuple[Arg, ...]:
    x, y = flat(call)
    return x, f32(call.options.alpha), y


def slope_number(call: Call) -> tuple[Any, ...]:
    return (f32(call.options.alpha),)


def leaky_numbers(call: Call) -> tuple[int, ...]:
    x, y = call.input(0), call.output
    slope = f32(f32(scale_of(x) * f32(call.options.alpha)) / scale_of(y))
    if not math.isfinite(slope):
        raise QuantError(f"{call.place}: alpha is {call.options.alpha}")
    return (x.zero_point, *quantize_multiplier(float(scale_ratio(call))), *quantize_multiplier(float(slope)), y.zero_point,
            *type_range(y))


def leaky_table(call: Call, params: None) -> tuple[Arg, ...]:
    settled = leaky_numbers(call)
    return lookup_args(call, table_of(call, lambda q: int(leaky_integer(q, *settled))))


def leaky_table_delegate(call: Call, params: None) -> tuple[Arg, ...]:
    """Two multipliers in steps of 1/256, the sum rounded half up."""
    x, y, ratio = call.input(0), call.output, scale_ratio(call)
    up, down = int(np.rint(f32(256) * ratio)), int(np.rint(f32(256) * (ratio * f32(call.options.alpha))))
    zero, (lo, hi) = x.zero_point, type_range(y)

    def answer(q: int) -> int:
        v = q - zero
        return int(clamp((v * (up if v >= 0 else down) + 128 + (y.zero_point << 8)) >> 8, lo, hi))

    return lookup_args(call, table_of(call, answer))


def leaky_int16_args(call: Call, params: None) -> tuple[Arg, ...]:
    no_zero_points(call)
    x, y = flat(call)
    return x, *leaky_numbers(call), y


def leaky_rescaling(call: Call) -> tuple[int, ...] | None:
    no_zero_points(call)
    _, multiplier, shift, slope, slope_shift, _, lo, hi = leaky_numbers(call)
    return (multiplier, shift, abs(slope), slope_shift, -int(slope < 0), lo, hi) if max(shift, slope_shift) < 32 else None


def leaky_delegated(call: Call) -> bool:
    """Alpha must be an ordinary number, and both multipliers of 8 bits ones that steps of 1/256 can hold."""
    alpha = f32(call.options.alpha)
    if not delegated(call) or not np.finfo(np.float32).tiny <= abs(alpha) < np.inf:
        return False
    if call.input(0).type not in EIGHT_BIT:
        return True
    up = f32(call.input(0).scale / call.output.scale)
    down = f32(up * alpha)
    least = f32(1 / 256)
    return bool(least <= up <= f32(128) and f32(-127.99609375) <= down <= f32(128) and abs(down) >= least)


LEAKY_RELU = Op(
    code=BuiltinOperator.LEAKY_RELU, inputs=(1, 1), outputs=(1, 1), types=("float32", "int8", "uint8", "int16"),
    infer=same_shape,
    kernels=(
        through_table("leaky_relu_8bit", leaky_table, NOT_DELEGATED, is_8bit),
        through_table("leaky_relu_8bit_delegate", leaky_table_delegate, frozenset({DELEGATE}), is_8bit),
        Kernel("leaky_relu_8bit", lookup, leaky_table, NOT_DELEGATED, is_8bit, elements),
        Kernel("leaky_relu_8bit_delegate", lookup, leaky_table_delegate, frozenset({DELEGATE}), is_8bit, elements),
        unary("leaky_relu_float32_reference", formulas.leaky_f32, slope_number, NOT_DELEGATED, is_float),
        Kernel("leaky_relu_float32_reference", leaky_reference, leaky_float_args, NOT_DELEGATED, is_float, elements),
        Kernel("leaky_relu_float32_delegate", leaky_delegate, leaky_float_args, frozenset({DELEGATE}), is_float_avx512, elements),
        Kernel("leaky_relu_float32_delegate_avx2", leaky_delegate_avx2, leaky_float_args, frozenset({DELEGATE}), without_avx512,
               elements),
        unary("leaky_relu_int16", formulas_int16.leaky, leaky_rescaling, NOT_DELEGATED, is_int16),
        Kernel("leaky_relu_int16", leaky_int16, leaky_int16_args, NOT_DELEGATED, is_int16, elements),
    ),
    delegated=leaky_delegated, spec=f"{ACTIVATIONS}, LeakyReluEval", max_version=2,
)


# -------------------------------------------------------------------------------------------------------- LOGISTIC, TANH
@inline
def logistic_reference(x: Any) -> Any:
    """1 / (1 + exp(-x)), shortened where it cannot be told from 1 or from exp(x)."""
    if x > f32(16.619047164916992188):
        return f32(1)
    if x < f32(-9):
        return expf(x)
    return f32(1) / (f32(1) + expf(-x))


def logistic_real(x: Any) -> Any:
    """What the tables hold."""
    return f32(1) / (f32(1) + expf(-x))


def no_numbers(call: Call) -> tuple[Any, ...]:
    return ()


def logistic_table(call: Call, params: None) -> tuple[Arg, ...]:
    if call.numerics != DELEGATE and call.output.scale != f32(1 / 256):
        raise QuantError(f"{call.place}: output->params.scale == 1. / 256 was not true, it is {call.output.scale}")
    return lookup_args(call, real_table(call, logistic_real))


def tanh_table(call: Call, params: None) -> tuple[Arg, ...]:
    return lookup_args(call, real_table(call, tanhf))


LOGISTIC = Op(
    code=BuiltinOperator.LOGISTIC, inputs=(1, 1), outputs=(1, 1), types=("float32", "int8", "uint8", "int16"),
    infer=same_shape,
    kernels=(
        through_table("logistic_8bit", logistic_table, ALL, is_8bit),
        Kernel("logistic_8bit", lookup, logistic_table, ALL, is_8bit, elements),
        unary("logistic_float32_delegate", float_formulas.logistic, no_numbers, frozenset({DELEGATE}), is_float_avx512),
        unary("logistic_float32_delegate", float_formulas.logistic_avx2, no_numbers, frozenset({DELEGATE}), without_avx512),
        *floats("logistic", logistic_reference, float_math.logistic, float_math.logistic_avx2, logistic_float_builtin),
        unary("logistic_int16_newton", formulas_newton16.logistic, newton_numbers((0,), True), frozenset({BUILTIN}),
              needs_newton((0,))),
        Kernel("logistic_int16_newton", logistic_int16_newton, newton_args((0,), True), frozenset({BUILTIN}),
               needs_newton((0,)), elements),
        Kernel("logistic_int16", logistic_int16, table_args((0,), True), NOT_DELEGATED, is_int16, elements),
    ),
    delegated=delegated, spec=f"{ACTIVATIONS}, SigmoidEval", max_version=3,
)
TANH = Op(
    code=BuiltinOperator.TANH, inputs=(1, 1), outputs=(1, 1), types=("float32", "int8", "uint8", "int16"),
    infer=same_shape,
    kernels=(
        through_table("tanh_8bit", tanh_table, ALL, is_8bit),
        Kernel("tanh_8bit", lookup, tanh_table, ALL, is_8bit, elements),
        unary("tanh_float32_delegate", float_formulas.tanh, no_numbers, frozenset({DELEGATE}), is_float),
        *floats("tanh", tanhf, float_math.tanh, builtin=tanh_float_builtin),
        unary("tanh_int16_newton", formulas_newton16.tanh, newton_numbers((0, 1), False), frozenset({BUILTIN}),
              needs_newton((0, 1))),
        Kernel("tanh_int16_newton", tanh_int16_newton, newton_args((0, 1), False), frozenset({BUILTIN}),
               needs_newton((0, 1)), elements),
        Kernel("tanh_int16", tanh_int16, table_args((0, 1), False), NOT_DELEGATED, is_int16, elements),
    ),
    delegated=delegated, spec=f"{ACTIVATIONS}, TanhEval", max_version=3,
)


# ------------------------------------------------------------------------------------------------------------ HARD_SWISH
@inline
def hard_swish_reference(x: Any) -> Any:
    """The definition on floats."""
    three = x + f32(3)
    limited = three if f32(0) < three else f32(0)
    limited = limited if limited < f32(6) else f32(6)
    return x * limited / f32(6)


def hard_swish_table(call: Call, params: None) -> tuple[Arg, ...]:
    """Two 16-bit multipliers: one to the output's scale, one that makes ±3 into ±2**15."""
    x, y = call.input(0), call.output
    fine = f32(f32(1 / 128) * scale_of(x))
    to_y, y_shift = quantize_multiplier(float(f32(fine / scale_of(y))))
    to_3, shift = quantize_multiplier(float(f32(fine / f32(f32(3) / f32(32768)))))
    if y_shift > 0:
        raise QuantError(f"{call.place}: the output's scale {y.scale} is too fine for the input's {x.scale}")
    to_y, to_3 = (min((m + 32768) >> 16, 32767) for m in (to_y, to_3))
    zero, (lo, hi) = x.zero_point, type_range(y)

    def answer(q: int) -> int:
        v = (q - zero) * 128
        r = shift_left16(v, shift - 1) if shift > 0 else v
        r = high_mul16(r, to_3)
        r = shift_left16(r, 1) if shift > 0 else divide_by_power_of_two(r, -shift)
        product = ((r + 32768) >> 1) * high_mul16(v, to_y)
        whole = product >> 15 if product >= 0 else -(-product >> 15)
        return int(clamp(wrap16(divide_by_power_of_two(whole, -y_shift) + y.zero_point), lo, hi))

    return lookup_args(call, table_of(call, answer))


HARD_SWISH = Op(
    code=BuiltinOperator.HARD_SWISH, inputs=(1, 1), outputs=(1, 1), types=("float32", "int8", "uint8"), infer=same_shape,
    kernels=(
        through_table("hard_swish_8bit", hard_swish_table, NOT_DELEGATED, is_8bit),
        Kernel("hard_swish_8bit", lookup, hard_swish_table, NOT_DELEGATED, is_8bit, elements),
        *floats("hard_swish", hard_swish_reference, float_math.hard_swish, builtin=hard_swish_float_builtin),
    ),
    delegated=delegated_float, spec=f"{ACTIVATIONS}, HardSwishEval", max_version=1,
)
