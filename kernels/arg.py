"""ARG_MAX, ARG_MIN: where along one dimension the greatest or the least number stands.

    y[o, i] = the first a with the greatest (least) x[o, a, i]

    x: any shape, seen as [outer, A, inner]    axis: one int32 or int64, constant or fed
    y: x's shape without that dimension, int32 or int64 as the options say

Floats: a NaN never wins against a number; of NaNs alone the answer is 0. Along the last dimension, of 4 numbers or more,
the official code keeps four lanes and joins them with a maximum that is not so careful: a lane that has seen NaN only may
hide its neighbour. That is the same in all three numerics, and so is it here.

Source: LiteRT tflite/kernels/arg_min_max.cc, internal/reference/arg_min_max.h, internal/optimized/optimized_ops.h
(ArgMaxVector, ArgMinVector).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any

from tinyinterp.schema import BuiltinOperator, TensorType

from . import jit
from .contract import ALL, Arg, Call, Kernel, Maker, Op, Shape
from .machine import address, inline
from .micro import arg as micro
from .micro.reduce import BITS
from .numerics import INT32_MAX
from .pool_windows import lanes_for
from .windows import LANES

WHOLE = (TensorType.INT32, TensorType.INT64)


# ---------------------------------------------------------------------------------------------------------- shapes
def axis_of(call: Call) -> int:
    """The dimension searched. Raises: ShapeError."""
    rank, axes = len(call.input(0).shape), call.value(1)
    call.need(axes.size == 1, f"axis has {axes.size} values, needs one")
    axis = int(axes.reshape(-1)[0])
    call.need(-rank <= axis < rank, f"axis {axis} is outside the {rank} dimensions of x")
    return axis % rank


def infer(call: Call) -> tuple[Shape]:
    x, wanted = call.input(0), call.options.output_type
    call.need(len(x.shape) >= 1, "x is a scalar, needs at least one dimension")
    call.need(call.input(1).type in WHOLE, f"axis is {call.input(1).type.name}, must be INT32 or INT64")
    call.need(wanted in WHOLE, f"Unknown index output data type: {TensorType(wanted).name}, must be INT32 or INT64")
    call.need(call.output.type == wanted, f"output_type is {TensorType(wanted).name}, y is {call.output.type.name}")
    axis = axis_of(call)
    call.need(x.shape[axis] > 0, "Cannot compute ArgMin/ArgMax over an empty axis.")
    return ((*x.shape[:axis], *x.shape[axis + 1 :]),)


# ---------------------------------------------------------------------------------------- settled before the first run
def args(call: Call, params: None) -> tuple[Arg, ...]:
    x, axis = call.input(0), axis_of(call)
    return (x.view(math.prod(x.shape[:axis]), x.shape[axis], math.prod(x.shape[axis + 1 :])), call.output.view(call.output.size))


def outputs(call: Call) -> int:
    """Threads share the outputs."""
    return call.output.size


# --------------------------------------------------------------------------------------------------------- kernels
@inline
def greater(a: Any, b: Any) -> Any:
    return a > b


@inline
def less(a: Any, b: Any) -> Any:
    return a < b


def arg_integer(better: Callable[..., Any]) -> Callable[..., None]:
    """The definition for integers and truth values."""

    def run(x: Any, y: Any, begin: int, end: int) -> None:
        for o in range(begin, end):
            n, i = o // x.shape[2], o % x.shape[2]
            at = 0
            for a in range(1, x.shape[1]):
                if better(x[n, a, i], x[n, at, i]):
                    at = a
            y[o] = at

    return run


def arg_float(better: Callable[..., Any]) -> Callable[..., None]:
    """The definition for floats."""

    def run(x: Any, y: Any, begin: int, end: int) -> None:
        for o in range(begin, end):
            n, i = o // x.shape[2], o % x.shape[2]
            at, best = 0, x[n, 0, i]
            for a in range(1, x.shape[1]):
                v = x[n, a, i]
                if v == v and (best != best or better(v, best)):
                    at, best = a, v
            y[o] = at

    return run


def arg_float_lanes(better: Callable[..., Any]) -> Callable[..., None]:
    """The definition for floats along the last dimension, of 4 numbers or more."""

    @inline
    def winner(x: Any, n: Any, k: Any) -> Any:
        """The place of the winner of lane k."""
        at = k
        for a in range(k + 4, x.shape[1] - x.shape[1] % 4, 4):
            v, best = x[n, a, 0], x[n, at, 0]
            if v == v and (best != best or better(v, best)):
                at = a
        return at

    @inline
    def pick(a: Any, b: Any) -> Any:
        return b if better(b, a) else a

    def run(x: Any, y: Any, begin: int, end: int) -> None:
        for n in range(begin, end):
            best = pick(pick(x[n, winner(x, n, 0), 0], x[n, winner(x, n, 1), 0]),
                        pick(x[n, winner(x, n, 2), 0], x[n, winner(x, n, 3), 0]))
            at = INT32_MAX
            for k in range(4):
                a = winner(x, n, k)
                if x[n, a, 0] == best and a < at:
                    at = a
            for a in range(x.shape[1] - x.shape[1] % 4, x.shape[1]):
                v = x[n, a, 0]
                if v == v and (best != best or better(v, best)):
                    at, best = a, v
            y[n] = 0 if best != best else at

    return run


# ------------------------------------------------------------------------------------------------------------- vectors
@cache
def along_rows(part: Callable[..., Any], definition: Callable[..., None]) -> Callable[..., None]:
    """The driver along the last dimension: rows that a microkernel leaves out are the definition's. units: rows."""
    one = inline(definition)

    def run(x: Any, y: Any, begin: int, end: int) -> None:
        part(address(x) + begin * x.shape[1] * x.itemsize, x.shape[1], end - begin, address(y) + begin * y.itemsize)
        for o in range(begin, end):
            if y[o] < 0:
                one(x, y, o, o + 1)

    return run


@cache
def along_columns(part: Callable[..., Any]) -> Callable[..., None]:
    """The driver along another dimension. units: outputs."""

    def run(x: Any, y: Any, begin: int, end: int) -> None:
        inner, at = x.shape[2], begin
        while at < end:
            n = min(inner - at % inner, end - at)
            part(address(x) + (at // inner * x.shape[1] * inner + at % inner) * x.itemsize, x.shape[1], inner, n,
                 address(y) + at * y.itemsize)
            at += n

    return run


def by_vectors(name: str, greatest: bool, definitions: tuple[Callable[..., None], ...]) -> Maker:
    """The kernel for a type and a dimension; the definitions are those of lanes, of other floats and of integers."""

    def make(call: Call) -> Kernel | None:
        x, axis, level = call.input(0), axis_of(call), jit.level()
        if jit.DISABLED or x.size == 0 or not (is_float(call) or is_integer(call)):
            return None
        element = {"bool": "uint8"}.get(x.dtype.name, x.dtype.name)
        inner, wide, bits = math.prod(x.shape[axis + 1 :]), call.output.dtype.itemsize == 8, BITS[element]
        if inner > 1:
            lanes = lanes_for(inner, LANES[level])
            run = along_columns(micro.columns(greatest, element, lanes, wide))
        else:
            lanes = lanes_for(x.shape[axis], LANES[level] * 32 // bits)
            definition = definitions[0 if in_lanes(call) else 1 if is_float(call) else 2]
            run = along_rows(micro.rows(greatest, element, lanes, wide), definition)
        return Kernel(f"{name}_{element}_{'columns' if inner > 1 else 'rows'}_{lanes}_{jit.isa()}", run, args, split=outputs)

    return make


# -------------------------------------------------------------------------------------------------------------- ops
def is_integer(call: Call) -> bool:
    return call.input(0).type in (TensorType.INT8, TensorType.UINT8, TensorType.INT32, TensorType.BOOL)


def is_float(call: Call) -> bool:
    return call.input(0).type == TensorType.FLOAT32


def in_lanes(call: Call) -> bool:
    """The searched numbers are neighbours in memory: no dimension behind them, or sizes of 1 only."""
    shape, axis = call.input(0).shape, axis_of(call)
    return is_float(call) and shape[axis] >= 4 and math.prod(shape[axis + 1 :]) == 1


def kernels(name: str, better: Callable[..., Any]) -> tuple[Kernel | Maker, ...]:
    lanes, floats, integers = arg_float_lanes(better), arg_float(better), arg_integer(better)
    return (
        by_vectors(name, better is greater, (lanes, floats, integers)),
        Kernel(f"{name}_float32_lanes", lanes, args, ALL, in_lanes, outputs),
        Kernel(f"{name}_float32", floats, args, ALL, is_float, outputs),
        Kernel(f"{name}_integer", integers, args, ALL, is_integer, outputs),
    )


TYPES = ("float32", "int8", "uint8", "int32", "bool")
SPEC = "LiteRT tflite/kernels/arg_min_max.cc, tflite/kernels/internal/optimized/optimized_ops.h ArgMinMax"
ARG_MAX = Op(BuiltinOperator.ARG_MAX, (2, 2), (1, 1), TYPES, infer, kernels("arg_max", greater), SPEC)
ARG_MIN = Op(BuiltinOperator.ARG_MIN, (2, 2), (1, 1), TYPES, infer, kernels("arg_min", less), SPEC)
