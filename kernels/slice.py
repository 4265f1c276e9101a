"""SLICE, STRIDED_SLICE: a box cut out of a tensor.

    SLICE           y[i, j, …] = x[begin[0] + i, begin[1] + j, …]                        size -1: up to the end
    STRIDED_SLICE   y[i, j, …] = x[begin[0] + i * stride[0], begin[1] + j * stride[1], …]    until end, exclusive

    x: [any, up to 8]    begin, size, end, stride: [n]; SLICE int32 or int64, n = rank; STRIDED_SLICE int32

STRIDED_SLICE counts a negative begin or end from the end of its axis and clamps both. Bit i of a mask is about entry i:

    begin_mask, end_mask    begin or end is not looked at: the whole axis in that direction
    ellipsis_mask           the entry stands for as many whole axes as are needed, at least one
    new_axis_mask           the entry takes no axis of x and gives an axis of size 1
    shrink_axis_mask        the entry takes one index, its axis is left out of y

With the option `offset`, end counts from begin. Axes of x that no entry speaks of are taken whole.

Both are one loop nest over steps that may be negative (`movement.py`); a slice that is the whole tensor is no copy at all.
Where official kernels leave a part of the output unwritten, an index to be dropped that lies outside its axis or steps
backwards, and `offset` beyond the end, the operator is refused.

Source: LiteRT tflite/kernels/slice.cc, strided_slice.cc, internal/reference/strided_slice.h.
"""

from __future__ import annotations

from typing import NamedTuple

from tinyinterp.schema import BuiltinOperator

from .block_copy import block_copy
from .contract import Arg, Call, Kernel, Op, Shape
from .movement import SIZED, Steps, copy_args, integers, names, of_types, steps, strided_copy, strides

MOST_ENTRIES = 31


# ---------------------------------------------------------------------------------------------------------- SLICE
def box(call: Call) -> tuple[list[int], list[int]]:
    """(begin, size) of SLICE, inside x."""
    shape = call.input(0).shape
    begin, size = integers(call, 1, "begin"), integers(call, 2, "size")
    call.need(len(begin) == len(size) == len(shape), f"begin {begin} and size {size} do not fit {list(shape)}")
    for d, n in enumerate(shape):
        if size[d] == -1:
            size[d] = n - begin[d]
        call.need(size[d] >= 0 and 0 <= begin[d] <= n - size[d], f"Invalid begin and size. {begin}, {size} in {list(shape)}")
    return begin, size


def sliced(call: Call) -> tuple[Shape]:
    return (tuple(box(call)[1]),)


def slice_steps(call: Call) -> Steps:
    begin, size = box(call)
    x_steps = strides(call.input(0).shape)
    return steps(size, x_steps, strides(size), sum(b * s for b, s in zip(begin, x_steps)))


# --------------------------------------------------------------------------------------------------- STRIDED_SLICE
class Axis(NamedTuple):
    """What one entry, or the lack of one, does: `many` indices from `start` on along axis `source` of x."""

    source: int  # -1: a new axis
    start: int
    stride: int
    many: int
    kept: bool  # in the shape of y


def bit(mask: int, i: int) -> bool:
    return bool(mask >> i & 1)


def axes(call: Call) -> list[Axis]:
    """STRIDED_SLICE, axis by axis of x with the new axes between them."""
    o, shape = call.options, call.input(0).shape
    begin, end, stride = integers(call, 1, "begin", "i4"), integers(call, 2, "end", "i4"), integers(call, 3, "strides", "i4")
    n = len(begin)
    call.need(len(end) == len(stride) == n, f"begin, end and strides have {n}, {len(end)} and {len(stride)} values")
    call.need(n <= MOST_ENTRIES, "StridedSlice op only supports up to 31 indices.")
    call.need((o.ellipsis_mask | o.new_axis_mask) >> n == 0, "ellipsis_mask or new_axis_mask speaks of a missing entry")
    call.need(o.ellipsis_mask & (o.ellipsis_mask - 1) == 0, "more than one ellipsis")
    new = [i for i in range(n) if bit(o.new_axis_mask & ~o.ellipsis_mask, i)]
    taken = n - len(new) - (1 if o.ellipsis_mask else 0)
    call.need(taken <= len(shape), f"{taken} entries for {len(shape)} dimensions")
    found: list[Axis] = []
    source = 0
    for i in range(n):
        if len(found) == len(shape) + len(new):
            break  # an ellipsis took the axis of the last entry
        if bit(o.ellipsis_mask, i):
            wholes = range(source, source + max(len(shape) - taken, 1))
        elif i in new:
            found.append(Axis(-1, 0, 1, 1, True))
            continue
        else:
            wholes = range(0)
        call.need(max(source + 1, wholes.stop) <= len(shape), f"entry {i} speaks of dimension {source} of {len(shape)}")
        found += [Axis(d, 0, 1, shape[d], True) for d in wholes] or [axis(call, i, source, begin[i], end[i], stride[i])]
        source += len(wholes) or 1
    found += [Axis(d, 0, 1, shape[d], True) for d in range(source, len(shape))]
    return found


def axis(call: Call, i: int, source: int, begin: int, end: int, stride: int) -> Axis:
    """Entry i, which speaks of axis `source` of x."""
    o, n = call.options, call.input(0).shape[source]
    call.need(stride != 0, "stride value has to be non-zero")
    lo, hi = (0, n) if stride > 0 else (-1, n - 1)
    start = min(max(begin + n if begin < 0 else begin, lo), hi)
    if bit(o.begin_mask, i):
        start = lo if stride > 0 else hi
    if bit(o.shrink_axis_mask, i):
        call.need(stride > 0 and 0 <= start < n, f"index {begin} with stride {stride} is outside axis {source} of {n}")
        return Axis(source, start, 1, 1, False)
    stop = end + start if o.offset else end
    stop = min(max(stop + n if stop < 0 else stop, lo), hi)
    if bit(o.end_mask, i):
        stop = hi if stride > 0 else lo
    count = max(-((start - stop) // stride), 0)  # the span over the stride, rounded up
    if o.offset:
        call.need(count == max(-(-end // stride), 0), f"offset {end} from {begin} leads outside axis {source} of {n}")
    return Axis(source, start, stride, count, True)


def strided(call: Call) -> tuple[Shape]:
    return (tuple(a.many for a in axes(call) if a.kept),)


def strided_steps(call: Call) -> Steps:
    found = [a for a in axes(call) if a.source >= 0]
    x_steps = strides(call.input(0).shape)
    counts = [a.many for a in found]
    start = sum(a.start * x_steps[a.source] for a in found)
    return steps(counts, [a.stride * x_steps[a.source] for a in found], strides(counts), start)


# -------------------------------------------------------------------------------------------------------------- op
def args(call: Call, nest: Steps) -> tuple[Arg, ...]:
    return copy_args(call.input(0), call.output, nest)


def whole(call: Call) -> int | None:
    """The output is the input when nothing is cut off and no axis is reversed."""
    x = call.input(0)
    if x.known is not None or call.output.size != x.size or not of_types(SIZED)(call):
        return None
    backwards = call.operator.code == BuiltinOperator.STRIDED_SLICE and any(a.stride < 0 and a.many > 1 for a in axes(call))
    return None if backwards else 0


def slice_rows(call: Call) -> int:
    return slice_steps(call).rows


def strided_rows(call: Call) -> int:
    return strided_steps(call).rows


SLICE = Op(
    BuiltinOperator.SLICE, (3, 3), (1, 1), names(SIZED), sliced,
    (block_copy("slice", of_types(SIZED), slice_steps),
     Kernel("slice", strided_copy, args, when=of_types(SIZED), split=slice_rows),),
    "LiteRT tflite/kernels/slice.cc", prepare=slice_steps, alias=whole)

STRIDED_SLICE = Op(
    BuiltinOperator.STRIDED_SLICE, (4, 4), (1, 1), names(SIZED), strided,
    (block_copy("strided_slice", of_types(SIZED), strided_steps),
     Kernel("strided_slice", strided_copy, args, when=of_types(SIZED), split=strided_rows),),
    "LiteRT tflite/kernels/strided_slice.cc", prepare=strided_steps, alias=whole)
