"""Moving elements without looking at them: what slices, transposes, tiles, pads and gathers share.

Most of these operators are one loop nest over a table of steps,

    y[y_start + sum of i[k] * y_step[k]] = x[x_start + sum of i[k] * x_step[k]]        0 <= i[k] < size[k]

    x: [n]    y: [m]    table: [levels, 3] int64, rows (size, x_step, y_step), the outermost first

The elements arrive as unsigned integers of their size, so that four specialisations of a kernel carry all types, and a NaN
keeps its payload, a denormal its bits. For the same reason the answer is the same in all three numerics, and whether the
official default delegate takes such an operator changes nothing: no op of these families has a `delegated` rule.

Neighbouring levels that run on where the inner one ends become one level: what is contiguous is copied as one run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from tinyinterp.errors import QuantError
from tinyinterp.schema import TensorType

from .contract import Arg, Call, Operand, Slot
from .machine import inline

FLOATS = (TensorType.FLOAT32, TensorType.FLOAT16)
BYTES = (TensorType.INT8, TensorType.UINT8)
PLAIN = (TensorType.FLOAT32, *BYTES, TensorType.INT16, TensorType.INT32, TensorType.INT64)
SIZED = tuple(t for t in TensorType if t.numpy is not None and t.numpy.itemsize <= 8)  # 1, 2, 4 or 8 bytes each


# ---------------------------------------------------------------------------------------- settled before the first run
def raw(operand: Operand) -> Slot | np.ndarray:
    """The elements as unsigned integers of their size: [n]."""
    dtype = np.dtype(f"u{operand.dtype.itemsize}")
    if operand.known is None:
        return Slot(operand.index, dtype, (operand.size,))
    return np.ascontiguousarray(operand.known).reshape(-1).view(dtype)


def of_types(types: Sequence[TensorType], moved: int = 0) -> Callable[[Call], bool]:
    """The predicate: input `moved` has one of these types and every output has the same."""

    def when(call: Call) -> bool:
        x = call.input(moved)
        return x.type in types and all(y.type == x.type for y in call.outputs)

    return when


def names(types: Sequence[TensorType]) -> tuple[str, ...]:
    """The types for the coverage table."""
    return tuple(t.name.lower() for t in types)


def pair(operand: Operand) -> tuple[float, int]:
    """(scale, zero point) as official kernels see them: 0 and 0 unless there is exactly one scale."""
    q = operand.quantization
    return (float(q.scale[0]), int(q.zero_point[0])) if len(q.scale) == 1 and len(q.zero_point) == 1 else (0.0, 0)


def same_quantization(call: Call, *operands: Operand) -> None:
    """Raises: QuantError when an operand's scale or zero point is not the output's."""
    for x in operands:
        if pair(x) != pair(call.output):
            raise QuantError(f"{call.place}: scale and zero point of tensor {x.index} '{x.name}' are {pair(x)}, "
                             f"of the output {pair(call.output)}: they must be equal")


def axis_of(call: Call, axis: int, rank: int, what: str = "axis") -> int:
    """The axis from the front. Raises: ShapeError unless -rank <= axis < rank."""
    call.need(-rank <= axis < rank, f"{what} {axis} is outside a shape of {rank} dimensions")
    return axis % rank


def scalar(call: Call, i: int, what: str) -> int:
    """The one integer of input i. Raises: ShapeError, NeedsValue."""
    value = call.value(i)
    call.need(value.size == 1 and value.dtype.kind in "iu", f"{what} must be one integer, is {value.dtype}{list(value.shape)}")
    return int(value.reshape(-1)[0])


def integers(call: Call, i: int, what: str, types: str = "i4 i8") -> list[int]:
    """The integers of vector input i. Raises: ShapeError, NeedsValue."""
    x = call.input(i)
    call.need(len(x.shape) == 1, f"{what} is not a vector: {list(x.shape)}")
    call.need(x.dtype.str[1:] in types.split(), f"{what} has type {x.type.name}")
    return [int(v) for v in call.value(i)]


def strides(shape: Sequence[int]) -> list[int]:
    """Elements from one index to the next along each axis of a contiguous array."""
    steps = [1] * len(shape)
    for d in range(len(shape) - 2, -1, -1):
        steps[d] = steps[d + 1] * shape[d + 1]
    return steps


class Steps(NamedTuple):
    """The loop nest of one operator."""

    x_start: int
    y_start: int
    table: np.ndarray  # [levels, 3] int64, two levels at least

    @property
    def rows(self) -> int:
        """Runs of the innermost level: what threads share."""
        return int(np.prod(self.table[:-1, 0], dtype=np.int64))


def steps(sizes: Sequence[int], x_steps: Sequence[int], y_steps: Sequence[int], x_start: int = 0, y_start: int = 0) -> Steps:
    """The table with levels of size 1 left out and contiguous neighbours merged."""
    levels: list[tuple[int, int, int]] = []
    for n, a, b in zip(sizes, x_steps, y_steps):
        if n == 1:
            continue
        if levels and levels[-1][1] == a * n and levels[-1][2] == b * n:
            levels[-1] = (levels[-1][0] * n, a, b)
        else:
            levels.append((n, a, b))
    if 0 in sizes:
        levels = [(0, 0, 0)]
    levels = levels or [(1, 1, 1)]
    if len(levels) == 1:
        levels = [(1, 0, 0), *levels]
    return Steps(x_start, y_start, np.array(levels, np.int64))


def copy_args(x: Operand, y: Operand, nest: Steps) -> tuple[Arg, ...]:
    """The arguments of `strided_copy`."""
    return raw(x), nest.x_start, raw(y), nest.y_start, nest.table


# --------------------------------------------------------------------------------------------------------- kernels
@inline
def status(code: Any, position: Any) -> Any:
    """What a kernel returns for a value it refuses: a Status and the element where it was found."""
    return code + position * 256


@inline
def copy_run(x: Any, a: Any, y: Any, b: Any, n: Any) -> None:
    """n elements from x[a] on to y[b] on. The guard, always true, tells the compiler that no index counts from the end:
    with it the loop becomes a block copy, ten times as fast."""
    if a >= 0 and b >= 0:
        for i in range(n):
            y[b + i] = x[a + i]


@inline
def fill_run(value: Any, y: Any, b: Any, n: Any) -> None:
    """n times the value from y[b] on."""
    if b >= 0:
        for i in range(n):
            y[b + i] = value


def strided_copy(x: Any, x_start: int, y: Any, y_start: int, table: Any, begin: int, end: int) -> None:
    """The loop nest of the page above. Rows begin to end: all levels but the last, counted through."""
    last = table.shape[0] - 1
    n, x_step, y_step = int(table[last, 0]), int(table[last, 1]), int(table[last, 2])
    middle = int(table[last - 1, 0])
    a0, b0 = x_start, y_start
    for row in range(begin, end):
        i = row % middle
        if i == 0 or row == begin:  # the outer levels move on
            a0, b0, rest = x_start, y_start, row // middle
            for d in range(last - 2, -1, -1):
                k = rest % int(table[d, 0])
                rest = rest // int(table[d, 0])
                a0 += k * int(table[d, 1])
                b0 += k * int(table[d, 2])
        a = a0 + i * int(table[last - 1, 1])
        b = b0 + i * int(table[last - 1, 2])
        if x_step == 1 and y_step == 1:
            copy_run(x, a, y, b, n)
        else:
            for j in range(n):
                y[b + j * y_step] = x[a + j * x_step]
