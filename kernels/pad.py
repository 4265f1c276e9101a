"""PAD, PADV2, MIRROR_PAD: a border around a tensor.

    PAD           y[before + i] = x[i], the border is zero (quantized: the zero point of y)
    PADV2         the border is input 2, one value
    MIRROR_PAD    the border continues x backwards; REFLECT leaves the edge out of the mirror image, SYMMETRIC repeats it

    x: [any]    paddings: [rank, 2], before and after each axis    y: [n + before + after for each axis]

An axis without padding is merged with the one outside it: a row of H W C padded in H and W is W * C elements with a
border of whole pixels. Kernels go row by row along the last axis that is padded.

    PAD           1 0 | 2 3 | 4 5   with [[1, 1]] around rows of two:   0 0 | 1 0 | 2 3 | 4 5 | 0 0
    MIRROR_PAD    1 2 3 by [2, 2]:  REFLECT 3 2 | 1 2 3 | 2 1           SYMMETRIC 2 1 | 1 2 3 | 3 2

Source: LiteRT tflite/kernels/pad.cc, mirror_pad.cc.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from tinyinterp.errors import QuantError
from tinyinterp.schema import BuiltinOperator, TensorType

from . import jit
from .contract import BUILTIN, Arg, Call, Kernel, Op, Shape, Slot
from .machine import address, inline
from .micro.copy import copy_runs
from .micro.fill import fill_runs
from .movement import BYTES, PLAIN, SIZED, copy_run, fill_run, names, of_types, pair, raw, same_quantization
from .numerics import RANGES

PADDED = (*PLAIN, TensorType.FLOAT16, TensorType.BOOL)
QUANTIZED = (*BYTES, TensorType.INT16)


# ---------------------------------------------------------------------------------------------------------- shapes
def paddings(call: Call) -> list[tuple[int, int]]:
    """(before, after) of each axis."""
    x, given = call.input(0), call.input(1)
    call.need(given.shape == (len(x.shape), 2), f"paddings are {list(given.shape)}, need [{len(x.shape)}, 2]")
    call.need(given.dtype.kind in "ib", f"Padding type {given.type.name} is currently not supported by Pad.")
    pads = [(int(a), int(b)) for a, b in call.value(1)]
    call.need(all(a >= 0 and b >= 0 for a, b in pads), f"Pad value has to be greater than equal to 0. {pads}")
    return pads


def padded(call: Call) -> tuple[Shape]:
    fill = call.optional(2)
    call.need(fill is None or fill.size == 1, f"the padding value has {fill.size if fill else 0} values, needs one")
    call.need(fill is None or fill.type == call.input(0).type, "the padding value has another type than the input")
    return (tuple(n + a + b for n, (a, b) in zip(call.input(0).shape, paddings(call))),)


def mirrored(call: Call) -> tuple[Shape]:
    shape, pads, edge = call.input(0).shape, paddings(call), 1 - int(call.options.mode)
    call.need(call.input(1).dtype.kind == "i" and call.input(1).dtype.itemsize >= 4, "paddings must be int32 or int64")
    call.need(all(max(p) <= n - edge for n, p in zip(shape, pads)), f"paddings {pads} are more than {list(shape)} mirrors")
    if call.input(0).type in QUANTIZED:
        same_quantization(call, call.input(0))
    return (tuple(n + a + b for n, (a, b) in zip(shape, pads)),)


# ---------------------------------------------------------------------------------------- settled before the first run
def border(call: Call) -> np.ndarray:
    """The axes, each but the first with a border: [axes, 3] int64, rows (size in x, before, size in y)."""
    axes = [(1, 0, 1)]
    for n, (a, b) in zip(call.input(0).shape, paddings(call)):
        if a == b == 0:
            axes[-1] = (axes[-1][0] * n, axes[-1][1] * n, axes[-1][2] * n)
        else:
            axes.append((n, a, n + a + b))
    return np.array(axes, np.int64)


def rows(call: Call) -> int:
    """Threads share the rows of y along the last axis with a border."""
    return int(np.prod(border(call)[:-1, 2], dtype=np.int64))


def mirror(call: Call) -> np.ndarray:
    """As `border`, but a mirrored axis cannot be merged with one inside it; the last row is what moves as a whole."""
    axes = [(1, 0, 1)]
    for n, (a, b) in zip(call.input(0).shape, paddings(call)):
        if a == b == axes[-1][1] == 0 and axes[-1][0] == axes[-1][2]:
            axes[-1] = (axes[-1][0] * n, 0, axes[-1][2] * n)
        else:
            axes.append((n, a, n + a + b))
    if axes[-1][0] != axes[-1][2] or len(axes) == 1:
        axes.append((1, 0, 1))
    return np.array(axes, np.int64)


def mirror_rows(call: Call) -> int:
    return int(np.prod(mirror(call)[:-2, 2], dtype=np.int64))


def fill_value(call: Call) -> Slot | np.ndarray:
    """The one value of the border: [1]."""
    x, y, fill = call.input(0), call.output, call.optional(2)
    quantized = x.type == TensorType.UINT8 or (x.type in QUANTIZED and x.quantized)
    if fill is not None:
        if quantized:
            same_quantization(call, fill)
        return raw(fill)
    zero = pair(y)[1] if quantized else 0
    if quantized and not RANGES[y.dtype.name][0] <= zero <= RANGES[y.dtype.name][1]:
        raise QuantError(f"{call.place}: zero point {zero} of the output is outside {y.type.name}")
    return np.full(1, zero, y.dtype).view(f"u{y.dtype.itemsize}")


def minus_zero(call: Call) -> int:
    """The bits of -0.0 where a border of it comes out as +0.0: in the optimized kernels, which clear memory then. Those
    leave float16 images, padded in H and W by constants, to the reference."""
    pads = paddings(call)
    image = len(pads) == 4 and pads[0] == pads[3] == (0, 0) and call.input(1).fixed
    if call.numerics != BUILTIN or (image and call.input(0).type == TensorType.FLOAT16):
        return 0
    return {TensorType.FLOAT32: 1 << 31, TensorType.FLOAT16: 1 << 15}.get(call.input(0).type, 0)


def pad_args(call: Call, table: np.ndarray) -> tuple[Arg, ...]:
    return raw(call.input(0)), fill_value(call), minus_zero(call), table, raw(call.output)


def mirror_args(call: Call, table: np.ndarray) -> tuple[Arg, ...]:
    return raw(call.input(0)), table, 1 - int(call.options.mode), raw(call.output)


# --------------------------------------------------------------------------------------------------------- kernels
def pad(x: Any, fill: Any, none: int, table: Any, y: Any, begin: int, end: int) -> None:
    """The definition. Rows begin to end of y. none: a fill that counts as 0."""
    value = fill[0]
    if int(value) == none:
        value = value ^ value
    last = table.shape[0] - 1
    n, before, m = int(table[last, 0]), int(table[last, 1]), int(table[last, 2])
    for row in range(begin, end):
        inside, source, rest, weight = True, 0, row, 1
        for d in range(last - 1, -1, -1):
            i = rest % int(table[d, 2]) - int(table[d, 1])
            rest = rest // int(table[d, 2])
            inside = inside and 0 <= i < int(table[d, 0])
            source += i * weight
            weight *= int(table[d, 0])
        if inside:
            fill_run(value, y, row * m, before)
            copy_run(x, source * n, y, row * m + before, n)
            fill_run(value, y, row * m + before + n, m - before - n)
        else:
            fill_run(value, y, row * m, m)


@cache
def pad_in_runs(element: int) -> Callable[..., None]:
    """The same for all rows of the two last axes at once; element: its bytes."""
    fill_bytes = fill_runs(element)

    def run(x: Any, fill: Any, none: int, table: Any, y: Any, begin: int, end: int) -> None:
        last, keep, value = table.shape[0] - 1, int(int(fill[0]) != none), address(fill)
        n, before, m = int(table[last, 0]) * element, int(table[last, 1]) * element, int(table[last, 2]) * element
        lines, above, height = int(table[last - 1, 0]), int(table[last - 1, 1]), int(table[last - 1, 2])
        row = begin
        while row < end:
            top = row - row % height
            stop = min(end, top + height)
            inside, source, rest, weight = True, 0, row // height, lines
            for d in range(last - 2, -1, -1):
                i = rest % int(table[d, 2]) - int(table[d, 1])
                rest = rest // int(table[d, 2])
                inside = inside and 0 <= i < int(table[d, 0])
                source += i * weight
                weight *= int(table[d, 0])
            first = min(max(row, top + above), stop) if inside and n > 0 else stop
            final = min(max(first, top + above + lines), stop)
            here = address(y) + first * m
            fill_bytes(address(y) + row * m, 0, 1, (first - row) * m, value, keep)
            if first < final:
                fill_bytes(here, m, final - first, before, value, keep)
                copy_runs(here + before, m, address(x) + (source + first - top - above) * n, n, final - first, n)
                fill_bytes(here + before + n, m, final - first, m - before - n, value, keep)
            fill_bytes(address(y) + final * m, 0, 1, (stop - final) * m, value, keep)
            row = stop

    return run


@inline
def reflected(i: Any, n: Any, edge: Any) -> Any:
    """Where index i, counted from the first element of x, lies in x. edge: 1 for REFLECT, 0 for SYMMETRIC."""
    return edge - 1 - i if i < 0 else 2 * n - 1 - edge - i if i >= n else i


def mirror_pad(x: Any, table: Any, edge: int, y: Any, begin: int, end: int) -> None:
    """The definition. Rows begin to end of y."""
    last = table.shape[0] - 2
    n, before, m, inner = int(table[last, 0]), int(table[last, 1]), int(table[last, 2]), int(table[last + 1, 0])
    for row in range(begin, end):
        source, rest, weight = 0, row, 1
        for d in range(last - 1, -1, -1):
            source += reflected(rest % int(table[d, 2]) - int(table[d, 1]), int(table[d, 0]), edge) * weight
            rest = rest // int(table[d, 2])
            weight *= int(table[d, 0])
        for j in range(before):
            copy_run(x, (source * n + reflected(j - before, n, edge)) * inner, y, (row * m + j) * inner, inner)
        copy_run(x, source * n * inner, y, (row * m + before) * inner, n * inner)
        for j in range(before + n, m):
            copy_run(x, (source * n + reflected(j - before, n, edge)) * inner, y, (row * m + j) * inner, inner)


# -------------------------------------------------------------------------------------------------------------- op
def unpadded(call: Call) -> int | None:
    """Without a border the output is the input."""
    return 0 if call.input(0).known is None and call.output.size == call.input(0).size and of_types(PADDED)(call) else None


def in_runs(call: Call) -> Kernel | None:
    """With a compiler, elements and a border."""
    size = call.output.dtype.itemsize
    if jit.DISABLED or not of_types(PADDED)(call) or not call.output.size or len(border(call)) < 2 or size > 8:
        return None
    return Kernel(f"pad_runs_{size}", pad_in_runs(size), pad_args, split=rows)


PAD_KERNELS = (in_runs, Kernel("pad", pad, pad_args, when=of_types(PADDED), split=rows),)

PAD = Op(BuiltinOperator.PAD, (2, 3), (1, 1), names(PADDED), padded, PAD_KERNELS, "LiteRT tflite/kernels/pad.cc",
         prepare=border, alias=unpadded, optional=frozenset({2}))

PADV2 = Op(BuiltinOperator.PADV2, (2, 3), (1, 1), names(PADDED), padded, PAD_KERNELS, "LiteRT tflite/kernels/pad.cc",
           prepare=border, alias=unpadded, optional=frozenset({2}))

MIRROR_PAD = Op(
    BuiltinOperator.MIRROR_PAD, (2, 2), (1, 1), names(SIZED), mirrored,
    (Kernel("mirror_pad", mirror_pad, mirror_args, when=of_types(SIZED), split=mirror_rows),),
    "LiteRT tflite/kernels/mirror_pad.cc", prepare=mirror, alias=unpadded)
