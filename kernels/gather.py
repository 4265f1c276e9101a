"""GATHER, TILE: elements by index, and again and again.

    GATHER    y[b, o, i, c] = x[b, o, at[b, i], c]
    TILE      y[i, j, …] = x[i % H, j % W, …]

GATHER sees x as [B, O, A, C]: the batch axes, the axes before `axis`, `axis` itself, the axes after it; the indices `at`
as [B, I]. Each index must lie in [0, A): all of them are checked before the first element moves.

    x: [any]    at: int16, int32 or int64    y: x.shape[:axis] + at.shape[batch_dims:] + x.shape[axis + 1:]

TILE repeats axis d multiples[d] times: one loop nest in which the repetitions are levels that stand still in x.

Source: LiteRT tflite/kernels/gather.cc, internal/reference/gather.h; tflite/kernels/tile.cc.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinyinterp.schema import BuiltinOperator, TensorType

from . import jit
from .block_copy import block_copy
from .contract import Arg, Call, Kernel, Op, Shape, Status
from .machine import address
from .micro.copy import copy_runs
from .movement import (
    PLAIN,
    SIZED,
    Steps,
    axis_of,
    copy_args,
    copy_run,
    names,
    of_types,
    raw,
    status,
    steps,
    strided_copy,
    strides,
)

GATHERED = (*PLAIN, TensorType.FLOAT16, TensorType.BOOL)
SHORT = 16  # bytes that a plain loop copies as fast
INDEX = int(Status.INDEX_OUT_OF_RANGE)


# ---------------------------------------------------------------------------------------------------------- GATHER
def axes(call: Call) -> tuple[int, int]:
    """(axis, batch_dims), both from the front."""
    x, at, o = call.input(0).shape, call.input(1).shape, call.options
    axis = axis_of(call, o.axis, len(x))
    batch = o.batch_dims + len(at) if o.batch_dims < 0 else o.batch_dims
    call.need(0 <= batch <= min(axis, len(at)), f"batch_dims {o.batch_dims} does not fit axis {axis} and indices {list(at)}")
    call.need(x[:batch] == at[:batch], f"batch dimensions differ: {list(x[:batch])} and {list(at[:batch])}")
    return axis, batch


def gathered(call: Call) -> tuple[Shape]:
    x, at = call.input(0).shape, call.input(1).shape
    axis, batch = axes(call)
    call.need(call.input(0).type != TensorType.STRING or len(x) == 1, f"strings are gathered from one dimension, not {list(x)}")
    return ((*x[:axis], *at[batch:], *x[axis + 1 :]),)


def gather_args(call: Call, params: None) -> tuple[Arg, ...]:
    x, at = call.input(0), call.input(1)
    axis, batch = axes(call)
    shape = (int(np.prod(part, dtype=np.int64)) for part in (x.shape[batch:axis], x.shape[axis : axis + 1], x.shape[axis + 1 :]))
    batches = int(np.prod(x.shape[:batch], dtype=np.int64))
    return raw(x), at.view(batches, int(np.prod(at.shape[batch:], dtype=np.int64))), *shape, raw(call.output)


def gather(x: Any, at: Any, outer: int, size: int, inner: int, y: Any) -> int:
    """The definition. x: [B * outer * size * inner]    at: [B, I]    y: [B * outer * I * inner]"""
    for b in range(at.shape[0]):
        for i in range(at.shape[1]):
            if int(at[b, i]) < 0 or int(at[b, i]) >= size:
                return status(INDEX, b * at.shape[1] + i)  # type: ignore[no-any-return]
    to = 0
    for b in range(at.shape[0]):
        for o in range(outer):
            first = (b * outer + o) * size
            for i in range(at.shape[1]):
                copy_run(x, (first + int(at[b, i])) * inner, y, to, inner)
                to += inner
    return 0


def gather_runs(x: Any, at: Any, outer: int, size: int, inner: int, y: Any) -> int:
    """The same where what an index picks is a run of bytes worth a microkernel."""
    for b in range(at.shape[0]):
        for i in range(at.shape[1]):
            if int(at[b, i]) < 0 or int(at[b, i]) >= size:
                return status(INDEX, b * at.shape[1] + i)  # type: ignore[no-any-return]
    to, run = address(y), inner * x.itemsize
    for b in range(at.shape[0]):
        for o in range(outer):
            first = address(x) + (b * outer + o) * size * run
            for i in range(at.shape[1]):
                copy_runs(to, 0, first + int(at[b, i]) * run, 0, 1, run)
                to += run
    return 0


def gatherable(call: Call) -> bool:
    return of_types(GATHERED)(call) and call.input(1).type in (TensorType.INT16, TensorType.INT32, TensorType.INT64)


def picks_runs(call: Call) -> bool:
    axis, _ = axes(call)
    run = math.prod(call.input(0).shape[axis + 1 :]) * call.input(0).dtype.itemsize
    return gatherable(call) and not jit.DISABLED and run >= SHORT


def strings_args(call: Call, params: None) -> tuple[Arg, ...]:
    at = call.input(1)
    return call.input(0).view(), at.view(at.size), call.output.view(at.size)


def gather_strings(x: Any, at: Any, y: Any) -> int:
    """x: [A] bytes objects    at: [I]    y: [I] bytes objects. Runs in Python: an object has no place in the arena."""
    for i in range(at.shape[0]):
        if not 0 <= int(at[i]) < x.shape[0]:
            return status(INDEX, i)  # type: ignore[no-any-return]
    for i in range(at.shape[0]):
        y[i] = x[int(at[i])]
    return 0


# ------------------------------------------------------------------------------------------------------------ TILE
def multiples(call: Call) -> list[int]:
    shape, many = call.input(0).shape, call.value(1)
    call.need(many.dtype in (np.int32, np.int64), f"Multipliers of type '{many.dtype}' are not supported by tile.")
    call.need(many.size == len(shape), f"{many.size} multiples for {len(shape)} dimensions")
    call.need((many >= 0).all(), f"Multipliers must be non-negative. {many.tolist()}")
    return [int(m) for m in many.reshape(-1)]


def tiled(call: Call) -> tuple[Shape]:
    return (tuple(n * m for n, m in zip(call.input(0).shape, multiples(call))),)


def tile_steps(call: Call) -> Steps:
    shape, many = call.input(0).shape, multiples(call)
    x_steps, y_steps = strides(shape), strides([n * m for n, m in zip(shape, many)])
    levels = [level for n, m, a, b in zip(shape, many, x_steps, y_steps) for level in ((m, 0, n * b), (n, a, b))]
    return steps([n for n, _, _ in levels], [a for _, a, _ in levels], [b for _, _, b in levels])


def tile_args(call: Call, nest: Steps) -> tuple[Arg, ...]:
    return copy_args(call.input(0), call.output, nest)


def tile_rows(call: Call) -> int:
    return tile_steps(call).rows


# -------------------------------------------------------------------------------------------------------------- op
GATHER = Op(
    BuiltinOperator.GATHER, (2, 2), (1, 1), (*names(GATHERED), "string"), gathered,
    (Kernel("gather_runs", gather_runs, gather_args, when=picks_runs),
     Kernel("gather", gather, gather_args, when=gatherable),
     Kernel("gather_strings", gather_strings, strings_args, when=of_types((TensorType.STRING,)), host=True)),
    "LiteRT tflite/kernels/gather.cc, internal/reference/gather.h")

TILE = Op(
    BuiltinOperator.TILE, (2, 2), (1, 1), names(SIZED), tiled,
    (block_copy("tile", of_types(SIZED), tile_steps),
     Kernel("tile", strided_copy, tile_args, when=of_types(SIZED), split=tile_rows),),
    "LiteRT tflite/kernels/tile.cc", prepare=tile_steps)
