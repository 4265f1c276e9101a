"""Which dimensions shrink and how to walk them: what MEAN, SUM, REDUCE_MAX and REDUCE_MIN share.

    x: any shape    axes: int32, constant or fed; negative ones count from the end, repeated ones count once
    y: x's shape without the reduced dimensions, or with size 1 in their place when keep_dims is set

Neighbouring dimensions of one kind, kept or reduced, are one loop. Of 8 dimensions that leaves at most 4 loops of each
kind, written as a table [4, 4] int64, outermost first: the sizes and the steps in x of the kept loops, then of the
reduced ones; loops that are not needed have size 1. Output o is the o-th turn of the kept loops.

Source: LiteRT tflite/kernels/reduce.cc, internal/optimized/reduce_utils.h; XNNPACK src/normalization.c.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinyinterp.errors import QuantError
from tinyinterp.schema import BuiltinOperator, TensorType

from .contract import Call, Operand, Shape
from .delegate import computes, same_type
from .machine import inline


# ---------------------------------------------------------------------------------------------------------- shapes
def reduced_axes(call: Call) -> frozenset[int]:
    """The reduced dimensions. Raises: ShapeError for one that x does not have."""
    rank, axes = len(call.input(0).shape), call.value(1).reshape(-1)
    if rank == 0:  # a scalar is its own sum, whatever the axes say
        return frozenset()
    for axis in axes:
        call.need(-rank <= axis < rank, f"Invalid axis index. Axis {axis} is outside the {rank} dimensions of x")
    return frozenset(int(a) % rank for a in axes)


def infer(call: Call) -> tuple[Shape]:
    x = call.input(0)
    call.need(call.input(1).type == TensorType.INT32, f"axes are {call.input(1).type.name}, must be INT32")
    call.need(len(x.shape) <= 8, f"x has {len(x.shape)} dimensions, at most 8 are supported")
    axes = reduced_axes(call)
    if call.options.keep_dims:
        return (tuple(1 if i in axes else d for i, d in enumerate(x.shape)),)
    return (tuple(d for i, d in enumerate(x.shape) if i not in axes),)


# ---------------------------------------------------------------------------------------- settled before the first run
def groups(shape: Sequence[int], axes: frozenset[int], drop_ones: bool) -> list[tuple[int, bool]]:
    """(size, reduced) of the runs of neighbouring dimensions of one kind, with or without the dimensions of size 1."""
    made: list[tuple[int, bool]] = []
    for i, d in enumerate(shape):
        if d == 1 and drop_ones:
            continue
        if made and made[-1][1] == (i in axes):
            made[-1] = (made[-1][0] * d, i in axes)
        else:
            made.append((d, i in axes))
    return made


def loops(shape: Sequence[int], axes: frozenset[int], drop_ones: bool = True) -> np.ndarray:
    """How to walk: [4, 4] int64, outermost first; rows: sizes and steps of the kept loops, then of the reduced ones."""
    table = np.array([[1] * 4, [0] * 4] * 2, np.int64)
    step, at = 1, {False: 3, True: 3}
    for size, reduced in reversed(groups(shape, axes, drop_ones)):
        table[2 * reduced : 2 * reduced + 2, at[reduced]] = size, step
        at[reduced] -= 1
        step *= size
    return table


def count(call: Call) -> int:
    """How many numbers become one."""
    return math.prod(call.input(0).shape[a] for a in reduced_axes(call))


def walk(call: Call, drop_ones: bool = True) -> tuple[Any, np.ndarray]:
    """x in one dimension, and how to walk it."""
    x = call.input(0)
    return x.view(x.size), loops(x.shape, reduced_axes(call), drop_ones)


def result(call: Call) -> Any:
    return call.output.view(call.output.size)


def outputs(call: Call) -> int:
    """Threads share the outputs."""
    return call.output.size


def whole(call: Call) -> bool:
    """Every dimension is reduced."""
    return len(call.input(0).shape) == len(reduced_axes(call))


def stretches(call: Call) -> int:
    """BUILTIN_REF reduces all of a large tensor in one stretch a thread, 1024 elements or more each."""
    threads = max(1, call.threads)
    return threads if whole(call) and call.input(0).size // threads >= 1024 else 1


def without_zero_point(call: Call, *operands: Operand) -> None:
    """Raises: QuantError where int16 has a zero point."""
    for o in operands:
        if o.type == TensorType.INT16 and o.quantized and o.zero_point != 0:
            raise QuantError(f"{call.place}: zero point {o.zero_point} of int16 tensor '{o.name}' must be 0")


# ---------------------------------------------------------------------------------------------------------- walking
@inline
def first_of(table: Any, o: Any) -> Any:
    """Where the numbers of output o start."""
    at = 0
    for loop in range(3, -1, -1):
        at += o % table[0, loop] * table[1, loop]
        o = o // table[0, loop]
    return at


def folding(join: Callable[..., Any]) -> Callable[..., Any]:
    """(x, table, o, acc) -> acc joined with all numbers of output o, in order."""

    @inline
    def fold(x: Any, table: Any, o: Any, acc: Any) -> Any:
        first = first_of(table, o)
        for a in range(table[2, 0]):
            for b in range(table[2, 1]):
                for c in range(table[2, 2]):
                    at = first + a * table[3, 0] + b * table[3, 1] + c * table[3, 2]
                    for d in range(table[2, 3]):
                        acc = join(acc, x[at + d * table[3, 3]])
        return acc

    return fold


# ------------------------------------------------------------------------------------------------------------ calls
def is_type(*types: TensorType) -> Callable[[Call], bool]:
    """x and y are both of one of these types."""

    def when(call: Call) -> bool:
        return call.input(0).type == call.output.type and call.output.type in types

    return when


def innermost(call: Call) -> bool:
    """The last dimension is reduced."""
    return len(call.input(0).shape) - 1 in reduced_axes(call)


def delegated(call: Call) -> bool:
    x, axes, y = call.input(0), call.input(1), call.output
    mean_of_nothing = call.operator.code == BuiltinOperator.MEAN and x.size == 0
    return (computes(x, y) and same_type(x, y) and 1 <= len(x.shape) <= 6 and not mean_of_nothing
            and axes.fixed and len(axes.shape) <= 1 and 1 <= axes.size <= 6)
