"""REDUCE_MAX, REDUCE_MIN: the greatest or the least number over the reduced dimensions.

    y[kept...] = max or min over the reduced dimensions of x[...]

    shapes, axes and how to walk them: `axes.py`

Integers have one answer; those of 8 and 16 bits are never rescaled, so x and y need the same scale and zero point.
Floats without NaN have one too, but for infinities and zeros of both signs; which NaN stays depends on where one starts
and on the order of comparison:

    reference   v if v > m else m, from the lowest finite number (from the first one when every dimension is reduced)
    builtin     m if m > v else v, from the first number
    delegate    the same from minus infinity, denormals as zero; rows in lanes (`lanes.py`) when the innermost dimension is
                reduced, row after row

Source: LiteRT tflite/kernels/reduce.cc, internal/reference/reduce.h, internal/optimized/reduce.h; XNNPACK
src/operators/reduce-nd.c, src/f32-rminmax, src/f32-rdminmax.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinyinterp.errors import QuantError
from tinyinterp.schema import BuiltinOperator, TensorType

from . import jit
from .axes import (
    delegated,
    first_of,
    folding,
    infer,
    innermost,
    is_type,
    outputs,
    result,
    stretches,
    walk,
    whole,
    without_zero_point,
)
from .contract import ALL, BUILTIN, DELEGATE, REFERENCE, Arg, Call, Kernel, Maker, Op
from .lanes import REGISTERS, extreme_of_row
from .machine import f32, inline, xmax, xmin
from .reduce_vectors import extremes

LOWEST, HIGHEST, INF = f32(-3.4028234663852886e38), f32(3.4028234663852886e38), f32(np.inf)


# ---------------------------------------------------------------------------------------- settled before the first run
def is_min(call: Call) -> bool:
    return call.operator.code == BuiltinOperator.REDUCE_MIN


def same_scales(call: Call) -> None:
    """Raises: QuantError where 8 or 16 bits would have to be rescaled. (The delegate never looks.)"""
    x, y = call.input(0), call.output
    differ = any(list(getattr(x.quantization, n)) != list(getattr(y.quantization, n)) for n in ("scale", "zero_point"))
    if x.dtype.itemsize <= 2 and differ and call.numerics != DELEGATE:
        raise QuantError(f"{call.place}: x and y must have the same scale and zero point")
    without_zero_point(call, x, y)


def integer_args(call: Call, params: None) -> tuple[Arg, ...]:
    same_scales(call)
    info = np.iinfo(call.input(0).dtype)
    return (*walk(call), int(info.max if is_min(call) else info.min), result(call))


def float_args(call: Call, params: None) -> tuple[Arg, ...]:
    """`from_first` is 1 where the first number starts, else `end` does, the end of the finite range."""
    from_first = call.numerics == BUILTIN or (whole(call) and stretches(call) == 1)
    return (*walk(call), HIGHEST if is_min(call) else LOWEST, int(from_first and call.input(0).size > 0), result(call))


def delegate_args(call: Call, params: None) -> tuple[Arg, ...]:
    return (*walk(call, drop_ones=False), INF if is_min(call) else f32(-INF), result(call))


def rows_args(call: Call, params: None) -> tuple[Arg, ...]:
    *where, y = delegate_args(call, params)
    return (*where, REGISTERS, y)


# --------------------------------------------------------------------------------------------------------- kernels
@inline
def greater_int(m: Any, v: Any) -> Any:
    return int(v) if int(v) > m else m


@inline
def less_int(m: Any, v: Any) -> Any:
    return int(v) if int(v) < m else m


@inline
def greater(m: Any, v: Any) -> Any:
    return v if v > m else m


@inline
def less(m: Any, v: Any) -> Any:
    return v if v < m else m


@inline
def greater_builtin(m: Any, v: Any) -> Any:
    return m if m > v else v


@inline
def less_builtin(m: Any, v: Any) -> Any:
    return m if m < v else v


def extreme(pick: Callable[..., Any]) -> Callable[..., None]:
    """The definition for integers; for the delegate's floats with the innermost dimension kept."""
    fold = folding(pick)

    def run(x: Any, table: Any, start: int, y: Any, begin: int, end: int) -> None:
        for o in range(begin, end):
            y[o] = fold(x, table, o, start)

    return run


def extreme_float(pick: Callable[..., Any]) -> Callable[..., None]:
    """The definition, reference and builtin; to pick the first number against itself first changes nothing."""
    fold = folding(pick)

    def run(x: Any, table: Any, start: Any, from_first: int, y: Any, begin: int, end: int) -> None:
        for o in range(begin, end):
            y[o] = fold(x, table, o, x[first_of(table, o)] if from_first else start)

    return run


def extreme_rows(pick: Callable[..., Any], lanes: int) -> Callable[..., None]:
    """The definition, delegate, innermost dimension reduced: every lane starts with what the rows before gave."""
    extreme_of = extreme_of_row(pick, lanes)

    def run(x: Any, table: Any, start: Any, v: Any, y: Any, begin: int, end: int) -> None:
        for o in range(begin, end):
            first = first_of(table, o)
            m = start
            for b in range(table[2, 1]):
                for c in range(table[2, 2]):
                    m = extreme_of(x, first + b * table[3, 1] + c * table[3, 2], table[2, 3], m, v)
            y[o] = m

    return run


# -------------------------------------------------------------------------------------------------------------- ops
is_float = is_type(TensorType.FLOAT32)
is_integer = is_type(TensorType.INT8, TensorType.UINT8, TensorType.INT16, TensorType.INT32, TensorType.INT64)


def float_rows(call: Call) -> bool:
    return is_float(call) and innermost(call)


def float_rows_avx512(call: Call) -> bool:
    return float_rows(call) and jit.isa() == "avx512"


def float_rows_avx2(call: Call) -> bool:
    return float_rows(call) and jit.isa() != "avx512"


def float_columns(call: Call) -> bool:
    return is_float(call) and not innermost(call)


def kernels(name: str, integer: Any, reference: Any, builtin: Any, delegate: Any) -> tuple[Kernel | Maker, ...]:
    return (
        extremes(name, name, integer_args, ALL, is_integer),
        extremes(f"{name}_reference", name, float_args, frozenset({REFERENCE}), is_float),
        extremes(f"{name}_builtin", f"{name}_builtin", float_args, frozenset({BUILTIN}), is_float),
        extremes(f"{name}_delegate", f"{name}_delegate", delegate_args, frozenset({DELEGATE}), is_float),
        Kernel(f"{name}_integer", extreme(integer), integer_args, ALL, is_integer, outputs),
        Kernel(f"{name}_float32_reference", extreme_float(reference), float_args, frozenset({REFERENCE}), is_float, outputs),
        Kernel(f"{name}_float32_builtin", extreme_float(builtin), float_args, frozenset({BUILTIN}), is_float, outputs),
        Kernel(f"{name}_float32_rows_avx512", extreme_rows(delegate, 16), rows_args, frozenset({DELEGATE}),
               float_rows_avx512, outputs),
        Kernel(f"{name}_float32_rows_avx2", extreme_rows(delegate, 8), rows_args, frozenset({DELEGATE}), float_rows_avx2,
               outputs),
        Kernel(f"{name}_float32_columns", extreme(delegate), delegate_args, frozenset({DELEGATE}), float_columns, outputs),
    )


TYPES = ("float32", "int8", "uint8", "int16", "int32", "int64")
SPEC = "LiteRT tflite/kernels/reduce.cc EvalGeneric, tflite/kernels/internal/reference/reduce.h ReduceGeneric"
REDUCE_MAX = Op(BuiltinOperator.REDUCE_MAX, (2, 2), (1, 1), TYPES, infer,
                kernels("max", greater_int, greater, greater_builtin, xmax), SPEC, delegated=delegated)
REDUCE_MIN = Op(BuiltinOperator.REDUCE_MIN, (2, 2), (1, 1), TYPES, infer,
                kernels("min", less_int, less, less_builtin, xmin), SPEC, delegated=delegated)
