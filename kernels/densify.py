"""DENSIFY: a sparse constant with its zeros put back.

    y[where[i]] = x[i], 0 elsewhere        x: [stored elements]    where: [stored elements]    y: the tensor's shape

The file walks a tensor level by level, in an order of its own: first every axis (`traversal_order`), then, for tensors
stored block by block, the axes inside a block (`block_map` tells whose). A dense level visits all its indices, a sparse
one those listed between two segments, as in a compressed matrix:

    indices 0 2 1 with segments 0 2 2 3:   row 0 has columns 0 and 2, row 1 none, row 2 column 1

It runs once, when the model is lowered; what it gives counts as stored in the file.

Source: LiteRT tflite/kernels/densify.cc, its sparsity_format_converter.cc.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinyinterp.schema import BuiltinOperator, DimensionType, TensorType

from .contract import Arg, Call, Kernel, Op, Shape, always
from .movement import FLOATS, names, of_types, raw, strides

STORED = (*FLOATS, TensorType.INT8)


def infer(call: Call) -> tuple[Shape]:
    x = call.input(0)
    call.need(x.fixed and x.sparsity is not None, "the input is not a sparse constant")
    return (x.shape,)


# ---------------------------------------------------------------------------------------- settled before the first run
def where(call: Call) -> np.ndarray:
    """The place of each stored element in the dense tensor: [n] int64."""
    x = call.input(0)
    assert x.sparsity is not None and x.known is not None
    rank, order = len(x.shape), x.sparsity.traversal_order
    nodes = np.zeros(1, np.int64)  # the elements of the levels so far, by their index among all that level has
    at = np.zeros((rank, 1), np.int64)  # their coordinates
    for axis, level in zip(order, x.sparsity.levels):
        if level.format == DimensionType.DENSE:
            parent = np.repeat(np.arange(len(nodes)), level.dense_size)
            index = np.tile(np.arange(level.dense_size), len(nodes))
            nodes = nodes[parent] * level.dense_size + index
        else:
            segments = level.segments.astype(np.int64)
            first, count = segments[nodes], segments[nodes + 1] - segments[nodes]
            parent = np.repeat(np.arange(len(nodes)), count)
            nodes = np.arange(len(parent)) - np.repeat(np.cumsum(count) - count, count) + first[parent]
            index = level.indices.astype(np.int64)[nodes]
        at = at[:, parent]
        if axis < rank:
            at[axis] = index
        else:
            whose = x.sparsity.block_map[axis - rank]
            at[whose] = at[whose] * level.dense_size + index
    call.need(at.shape[1] <= x.known.size, f"{x.known.size} elements are stored, {at.shape[1]} are needed")
    inside = (at >= 0) & (at < np.array(x.shape, np.int64)[:, None])
    call.need(inside.all(), "an element lies outside the tensor")
    return np.array(strides(x.shape), np.int64) @ at


def args(call: Call, places: np.ndarray) -> tuple[Arg, ...]:
    return raw(call.input(0)), places, raw(call.output)


# --------------------------------------------------------------------------------------------------------- kernels
def scatter(x: Any, places: Any, y: Any) -> None:
    """The definition."""
    for i in range(len(y)):
        y[i] = 0
    for i in range(len(places)):
        y[places[i]] = x[i]


# -------------------------------------------------------------------------------------------------------------- op
DENSIFY = Op(
    BuiltinOperator.DENSIFY, (1, 1), (1, 1), names(STORED), infer,
    (Kernel("densify", scatter, args, when=of_types(STORED)),),
    "LiteRT tflite/kernels/densify.cc", prepare=where, keeps_fixed=always)
