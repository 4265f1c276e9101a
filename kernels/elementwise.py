"""MAXIMUM, MINIMUM, SQUARED_DIFFERENCE.

    y = max(a, b)    y = min(a, b)    y = (a - b)**2      a, b, y: any shapes that broadcast, one type

Maximum and minimum compare the stored numbers, whatever their scales. A comparison with NaN is false, so that the second
operand wins then, and where both are zeros. The delegate flushes denormals and sometimes takes the operands the other way
round: the one that the innermost loop repeats, or the first of two single numbers, comes second, but a stored operand of
one element is a clamp's bound and comes first.

SQUARED_DIFFERENCE of int8 brings both operands to a common scale, 2**7 times finer, and squares the exact difference;
int32 wraps around.

Source: LiteRT tflite/kernels/maximum_minimum.cc, squared_difference.cc; XNNPACK src/f32-vbinary, src/subgraph/binary.c.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinyinterp.schema import Activation, BuiltinOperator, TensorType

from .add_sub import (
    A_MULTIPLIER,
    A_SHIFT,
    A_ZERO,
    B_MULTIPLIER,
    B_SHIFT,
    B_ZERO,
    FINE,
    HI,
    LO,
    OLD,
    WHOLE,
    Y_MULTIPLIER,
    Y_SHIFT,
    Y_ZERO,
    on_common_scale,
)
from .broadcast import bare_args, below_one, binary_args, elements, elementwise, infer, is_float, is_wide, of_types, operands
from .contract import ALL, DELEGATE, Arg, Call, Kernel, Op
from .machine import f32, inline, xmax, xmin
from .micro import formulas
from .mul_div import delegated_float
from .numerics import clamp, divide_by_power_of_two, doubling_high_mul, quantize_multiplier, quantized_range, wrap32
from .runs import binary


# ---------------------------------------------------------------------------------------- settled before the first run
def bound(call: Call) -> int | None:
    """The stored operand of one element that the delegate takes for a clamp's bound, if there is one; the second is looked
    at first. y must have the other operand's rank."""
    for i in (1, 0):
        operand = call.input(i)
        if operand.fixed and operand.known is not None and operand.size == 1:
            return i if len(operand.shape) <= len(call.input(1 - i).shape) else None
    return None


def ordered_args(call: Call, params: None) -> tuple[Arg, ...]:
    """The operands in the delegate's order: a bound first (-0 counts as 0), else a repeated operand second."""
    a, b, table, p, y = bare_args(call, params)
    assert isinstance(table, np.ndarray)
    i = bound(call)
    if i is not None:
        value = np.asarray(call.input(i).known, np.float32).reshape(1) + f32(0)
        return value, (b if i == 0 else a), table[[0, 1, 2] if i == 0 else [0, 2, 1]], p, y
    if table[1, 0] == 0 or call.output.size == 1:
        return b, a, table[[0, 2, 1]], p, y
    return a, b, table, p, y


def squared_args(call: Call, params: None) -> tuple[Arg, ...]:
    a, b, y = operands(call)
    most = float(f32(2) * max(a.scale, b.scale))
    am, shift_a = quantize_multiplier(below_one(call, float(a.scale), most))
    bm, shift_b = quantize_multiplier(below_one(call, float(b.scale), most))
    ym, shift_y = quantize_multiplier(below_one(call, most * most, float(f32(1 << 14) * y.scale)))
    lo, hi = quantized_range(Activation.NONE, call)
    p = np.zeros(WHOLE + 1, np.int64)
    p[[A_ZERO, B_ZERO, A_MULTIPLIER, B_MULTIPLIER, A_SHIFT, B_SHIFT, FINE, Y_MULTIPLIER, Y_SHIFT, Y_ZERO, LO, HI]] = (
        a.zero_point, b.zero_point, am, bm, shift_a, shift_b, 7, ym, shift_y, y.zero_point, lo, hi)
    return binary_args(call, p)


# --------------------------------------------------------------------------------------------------------- kernels
@inline
def maximum(a: Any, b: Any, p: Any) -> Any:
    return a if a > b else b


@inline
def minimum(a: Any, b: Any, p: Any) -> Any:
    return a if a < b else b


@inline
def maximum_delegate(a: Any, b: Any, p: Any) -> Any:
    return xmax(a, b)


@inline
def minimum_delegate(a: Any, b: Any, p: Any) -> Any:
    return xmin(a, b)


@inline
def second(a: Any, b: Any, p: Any) -> Any:
    """A clamp without bounds moves bytes: denormals stay."""
    return b


@inline
def squared_difference_float(a: Any, b: Any, p: Any) -> Any:
    return (a - b) * (a - b)


@inline
def squared_difference_int32(a: Any, b: Any, p: Any) -> Any:
    difference = wrap32(int(a) - int(b))
    return wrap32(difference * difference)


@inline
def squared_difference_int8(a: Any, b: Any, p: Any) -> Any:
    """The definition. |difference| <= 255 * 2**7, its square fits 31 bits."""
    x = on_common_scale(a, p[A_ZERO], p[A_MULTIPLIER], p[A_SHIFT], p[FINE])
    w = on_common_scale(b, p[B_ZERO], p[B_MULTIPLIER], p[B_SHIFT], p[FINE])
    y = divide_by_power_of_two(doubling_high_mul((x - w) * (x - w), p[Y_MULTIPLIER]), -p[Y_SHIFT])
    return clamp(y + p[Y_ZERO], p[LO], p[HI])


# -------------------------------------------------------------------------------------------------------------- op
is_known = of_types(TensorType.FLOAT32, TensorType.INT8, TensorType.UINT8, TensorType.INT16, TensorType.INT32, TensorType.INT64)
is_int8 = of_types(TensorType.INT8)


def nothing(p: Any) -> tuple[Any, ...]:
    """A formula without numbers."""
    return ()


def extremum(code: BuiltinOperator, name: str, plain: Any, flushed: Any, formula: Any, least: float) -> Op:
    """MAXIMUM or MINIMUM. `least`: the bound that changes nothing."""

    def is_idle(call: Call) -> bool:
        i = bound(call)
        return is_float(call) and i is not None and float(np.asarray(call.input(i).known).reshape(-1)[0]) == least

    return Op(
        code=code,
        inputs=(2, 2),
        outputs=(1, 1),
        types=("float32", "int8", "uint8", "int16", "int32", "int64"),
        infer=infer,
        kernels=(
            Kernel(f"{name}_idle_delegate", elementwise(second), ordered_args, frozenset({DELEGATE}), is_idle, elements),
            binary(f"{name}_float32_delegate", formula, ordered_args, nothing, frozenset({DELEGATE}), is_float),
            Kernel(f"{name}_float32_delegate", elementwise(flushed), ordered_args, frozenset({DELEGATE}), is_float, elements),
            Kernel(f"{name}_any", elementwise(plain), bare_args, OLD, is_known, elements),
        ),
        delegated=delegated_float,
        spec="LiteRT tflite/kernels/maximum_minimum.cc",
    )


MAXIMUM = extremum(BuiltinOperator.MAXIMUM, "maximum", maximum, maximum_delegate, formulas.maximum_f32, -math.inf)
MINIMUM = extremum(BuiltinOperator.MINIMUM, "minimum", minimum, minimum_delegate, formulas.minimum_f32, math.inf)

SQUARED_DIFFERENCE = Op(
    code=BuiltinOperator.SQUARED_DIFFERENCE,
    inputs=(2, 2),
    outputs=(1, 1),
    types=("float32", "int8", "int32"),
    infer=infer,
    kernels=(
        binary("squared_difference_float32", formulas.squared_difference_f32, bare_args, nothing, ALL, is_float),
        Kernel("squared_difference_float32", elementwise(squared_difference_float), bare_args, ALL, is_float, elements),
        Kernel("squared_difference_int32", elementwise(squared_difference_int32), bare_args, ALL, is_wide, elements),
        Kernel("squared_difference_int8", elementwise(squared_difference_int8), squared_args, OLD, is_int8, elements),
    ),
    delegated=delegated_float,
    spec="LiteRT tflite/kernels/squared_difference.cc",
)
