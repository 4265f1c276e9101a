"""CONCATENATION, PACK, UNPACK, SPLIT, SPLIT_V: several tensors to one along an axis, and one to several.

    CONCATENATION   y = x[0] x[1] … one after the other along `axis`
    PACK            the same along a new axis of size n
    SPLIT, SPLIT_V  y[0] y[1] … one after the other along the axis are x: equal parts, or parts of the sizes given
    UNPACK          the same with parts of size 1, whose axis is left out

Whole tensors are seen as [outer, part]: what lies before the axis, and the elements of a part from there on. One outer
index after the other, part after part is one run.

CONCATENATION of uint8 with scales or zero points that differ carries each input over to the output's, in float32:

    y = clamp(round(x * k + (-zx * k)) + zy)        k = sx * (1 / sy), half away from zero

All other types need equal ones (int16: zero points of 0), as in the official interpreter.

The kernels take any number of tensors. So that few are compiled, the list is filled up to the next power of two with
parts of no elements.

Source: LiteRT tflite/kernels/concatenation.cc, pack.cc, unpack.cc, split.cc, split_v.cc,
internal/reference/concatenation.h.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinyinterp.errors import QuantError
from tinyinterp.schema import Activation, BuiltinOperator, TensorType

from .contract import Arg, Call, Kernel, Op, Operand, Shape
from .jit import DISABLED
from .machine import address, f32, round_away
from .micro.copy import copy_runs, rescale_bytes
from .movement import BYTES, PLAIN, axis_of, copy_run, integers, names, of_types, pair, raw, same_quantization, scalar
from .numerics import clamp

JOINED = (*PLAIN, TensorType.FLOAT16, TensorType.UINT32, TensorType.BOOL)
PACKED = (*PLAIN, TensorType.UINT32)
UNPACKED = (TensorType.FLOAT32, TensorType.FLOAT16, *BYTES, TensorType.INT16, TensorType.INT32, TensorType.BOOL)
MANY = 1 << 16  # inputs or outputs of one operator


def given(call: Call) -> list[Operand]:
    """All inputs, none of them missing."""
    return [call.input(i) for i in range(len(call.inputs))]


# ---------------------------------------------------------------------------------------------------------- shapes
def joined(call: Call) -> tuple[Shape]:
    """CONCATENATION. Scalars, when all are constants, become a vector."""
    xs, o = given(call), call.options
    first = xs[0].shape
    call.need(o.fused_activation_function == Activation.NONE, "an activation cannot be fused")
    call.need(all(x.type == xs[0].type for x in xs), "the inputs have different types")
    if first == () and o.axis in (0, -1) and all(x.known is not None for x in xs):
        call.need(all(x.shape == () for x in xs), "the inputs have different numbers of dimensions")
        return ((len(xs),),)
    axis = axis_of(call, o.axis, len(first))
    for x in xs:
        rest = x.shape[:axis] + x.shape[axis + 1 :]
        call.need(len(x.shape) == len(first) and rest == first[:axis] + first[axis + 1 :],
                  f"{list(x.shape)} and {list(first)} differ outside axis {axis}")
    check_scales(call, xs)
    return ((*first[:axis], sum(x.shape[axis] for x in xs), *first[axis + 1 :]),)


def check_scales(call: Call, xs: list[Operand]) -> None:
    """Raises: QuantError for the scales and zero points that official kernels do not carry over."""
    if xs[0].type == TensorType.INT8:
        same_quantization(call, *xs)
    if xs[0].type == TensorType.INT16 and any(pair(x)[1] != 0 for x in (*xs, call.output)):
        raise QuantError(f"{call.place}: a zero point of an int16 tensor is not 0")


def packed(call: Call) -> tuple[Shape]:
    xs, o = given(call), call.options
    call.need(o.values_count == len(xs), f"values_count is {o.values_count} for {len(xs)} inputs")
    call.need(all(x.shape == xs[0].shape and x.type == xs[0].type for x in xs), "the inputs differ in shape or type")
    axis = axis_of(call, o.axis, len(xs[0].shape) + 1)
    same_quantization(call, *xs)
    return ((*xs[0].shape[:axis], len(xs), *xs[0].shape[axis:]),)


def unpacked(call: Call) -> tuple[Shape, ...]:
    x, o = call.input(0), call.options
    axis = axis_of(call, o.axis, len(x.shape))
    call.need(x.size > 0, "the input is empty")
    n = len(call.outputs)
    call.need(o.num == n == x.shape[axis], f"num is {o.num}, there are {n} outputs for {x.shape[axis]} parts")
    for y in call.outputs:
        if pair(y) != pair(x):
            raise QuantError(f"{call.place}: scale and zero point of the outputs are not the input's")
    return (x.shape[:axis] + x.shape[axis + 1 :],) * n


def split_axis(call: Call) -> int:
    """The axis along which SPLIT or SPLIT_V cuts; raises unless there is an output for each part."""
    last, n = call.operator.code == BuiltinOperator.SPLIT_V, call.options.num_splits
    call.need(n == len(call.outputs), f"num_splits is {n} for {len(call.outputs)} outputs")
    return axis_of(call, scalar(call, 2 if last else 0, "axis"), len(call.input(0 if last else 1).shape))


def split_evenly(call: Call) -> tuple[Shape, ...]:
    axis, shape, n = split_axis(call), call.input(1).shape, len(call.outputs)
    call.need(shape[axis] % n == 0, f"Not an even split of {shape[axis]} into {n}")
    return ((*shape[:axis], shape[axis] // n, *shape[axis + 1 :]),) * n


def split_by_sizes(call: Call) -> tuple[Shape, ...]:
    axis, shape, sizes = split_axis(call), call.input(0).shape, integers(call, 1, "size_splits")
    n = shape[axis]
    call.need(len(sizes) == len(call.outputs), f"{len(sizes)} sizes for {len(call.outputs)} outputs")
    call.need(sizes.count(-1) <= 1, "The size_splits contains more than one -1.")
    if -1 in sizes:
        sizes[sizes.index(-1)] = n - sum(s for s in sizes if s != -1)
    call.need(min(sizes) >= 0 and sum(sizes) == n, f"The size_splits must sum to the dimension of value along axis. {sizes}, {n}")
    return tuple((*shape[:axis], s, *shape[axis + 1 :]) for s in sizes)


# ---------------------------------------------------------------------------------------- settled before the first run
def filled(operands: Sequence[Operand]) -> list[Arg]:
    """The tensors, filled up to a power of two."""
    arrays: list[Arg] = [raw(o) for o in operands]
    return arrays + arrays[-1:] * ((1 << (len(arrays) - 1).bit_length()) - len(arrays))


def parts(operands: Sequence[Operand], axis: int) -> tuple[int, np.ndarray]:
    """(outer, elements of each part): the parts as many as `filled` gives."""
    outer = math.prod(operands[0].shape[:axis])
    sizes = [math.prod(o.shape[axis:]) for o in operands]
    return outer, np.array(sizes + [0] * ((1 << (len(sizes) - 1).bit_length()) - len(sizes)), np.int64)


def join_args(call: Call, params: None) -> tuple[Arg, ...]:
    rank = len(call.output.shape)
    outer, sizes = parts(given(call), call.options.axis % rank)
    return outer, sizes, raw(call.output), *filled(given(call))


def rescaled_args(call: Call, params: None) -> tuple[Arg, ...]:
    xs = given(call)
    (scale, zero), pairs = pair(call.output), [pair(x) for x in xs]
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        factors = np.array([f32(s) * (f32(1) / f32(scale)) for s, _ in pairs], f32)
        shifts = np.array([f32(-z) * k for (_, z), k in zip(pairs, factors)], f32)
    equal = np.array([p == (scale, zero) for p in pairs], np.int64)
    outer, sizes, *arrays = join_args(call, None)
    return outer, sizes, factors, shifts, equal, zero, *arrays


def cut_args(call: Call, params: None) -> tuple[Arg, ...]:
    code = call.operator.code
    x = call.input(1 if code == BuiltinOperator.SPLIT else 0)
    axis = call.options.axis % len(x.shape) if code == BuiltinOperator.UNPACK else split_axis(call)
    outer, sizes = parts(call.outputs, axis)
    return outer, sizes, raw(x), *filled(call.outputs)


# --------------------------------------------------------------------------------------------------------- kernels
def join(outer: int, sizes: Any, y: Any, *xs: Any) -> None:
    """The definition: run after run into y. sizes: [n] elements of a run of each x."""
    to = 0
    for k in range(outer):
        for i in range(len(xs)):
            n = int(sizes[i])
            copy_run(xs[i], k * n, y, to, n)
            to += n


def join_rescaled(outer: int, sizes: Any, factors: Any, shifts: Any, equal: Any, zero: int, y: Any, *xs: Any) -> None:
    """The definition for uint8: inputs at another scale or zero point are carried over."""
    to = 0
    for k in range(outer):
        for i in range(len(equal)):
            x, n = xs[i], int(sizes[i])
            if equal[i] != 0:
                copy_run(x, k * n, y, to, n)
            else:
                for j in range(n):
                    v = round_away(f32(x[k * n + j]) * factors[i] + shifts[i])
                    # Beyond int32 the official conversion gives its least value, for both signs and for NaN.
                    y[to + j] = clamp(int(v) + zero, 0, 255) if f32(-2147483648.0) <= v < f32(2147483648.0) else 0
            to += n


def cut(outer: int, sizes: Any, x: Any, *ys: Any) -> None:
    """The definition: run after run out of x. sizes: [n] elements of a run of each y."""
    at = 0
    for k in range(outer):
        for i in range(len(ys)):
            n = int(sizes[i])
            copy_run(x, at, ys[i], k * n, n)
            at += n


def join_runs(outer: int, sizes: Any, y: Any, *xs: Any) -> None:
    """All runs of one x at once, at equal steps in y: the length of a run is looked at once."""
    line = 0
    for i in range(len(xs)):
        line += int(sizes[i]) * y.itemsize
    to = address(y)
    for i in range(len(xs)):
        n = int(sizes[i]) * y.itemsize
        copy_runs(to, line, address(xs[i]), n, outer, n)
        to += n


def join_rescaled_runs(outer: int, sizes: Any, factors: Any, shifts: Any, equal: Any, zero: int, y: Any, *xs: Any) -> None:
    """The same for uint8 at other scales, by vectors."""
    line = 0
    for i in range(len(xs)):
        line += int(sizes[i])
    to = address(y)
    for i in range(len(equal)):
        n = int(sizes[i])
        if equal[i] != 0:
            copy_runs(to, line, address(xs[i]), n, outer, n)
        else:
            for k in range(outer):
                rescale_bytes(to + k * line, address(xs[i]) + k * n, n, factors[i], shifts[i], zero)
        to += n


def cut_runs(outer: int, sizes: Any, x: Any, *ys: Any) -> None:
    """The same out of x."""
    line = 0
    for i in range(len(ys)):
        line += int(sizes[i]) * x.itemsize
    at = address(x)
    for i in range(len(ys)):
        n = int(sizes[i]) * x.itemsize
        copy_runs(address(ys[i]), n, at, line, outer, n)
        at += n


# -------------------------------------------------------------------------------------------------------------- op
def moderate(call: Call) -> bool:
    """They differ, and no byte of any input comes near the bounds of int32."""
    if DISABLED or not differ(call):
        return False
    given_args: tuple[Any, ...] = rescaled_args(call, None)
    factors, shifts = given_args[2:4]
    with np.errstate(all="ignore"):
        ends = np.abs(np.array([shifts, f32(255) * factors + shifts]))
    return bool((ends < 2**30).all())


def joins(types: Sequence[TensorType]) -> tuple[Kernel, Kernel]:
    typed = of_types(types)

    def when(call: Call) -> bool:
        return typed(call) and not (call.operator.code == BuiltinOperator.CONCATENATION and differ(call))

    return (Kernel("join_runs", join_runs, join_args, when=lambda call: when(call) and not DISABLED),
            Kernel("join", join, join_args, when=when))


def cuts(types: Sequence[TensorType], moved: int = 0) -> tuple[Kernel, Kernel]:
    when = of_types(types, moved)
    return (Kernel("cut_runs", cut_runs, cut_args, when=lambda call: when(call) and not DISABLED),
            Kernel("cut", cut, cut_args, when=when))


def differ(call: Call) -> bool:
    """uint8 with a scale or zero point that is not the output's."""
    return of_types((TensorType.UINT8,))(call) and any(pair(x) != pair(call.output) for x in given(call))


CONCATENATION = Op(
    BuiltinOperator.CONCATENATION, (1, MANY), (1, 1), names(JOINED), joined,
    (Kernel("join_rescaled_runs", join_rescaled_runs, rescaled_args, when=moderate),
     Kernel("join_rescaled", join_rescaled, rescaled_args, when=differ),
     *joins(JOINED)),
    "LiteRT tflite/kernels/concatenation.cc, internal/reference/concatenation.h")

PACK = Op(
    BuiltinOperator.PACK, (1, MANY), (1, 1), names(PACKED), packed,
    joins(PACKED), "LiteRT tflite/kernels/pack.cc")

UNPACK = Op(
    BuiltinOperator.UNPACK, (1, 1), (1, MANY), names(UNPACKED), unpacked,
    cuts(UNPACKED), "LiteRT tflite/kernels/unpack.cc")

SPLIT = Op(
    BuiltinOperator.SPLIT, (2, 2), (1, MANY), names(PLAIN), split_evenly,
    cuts(PLAIN, 1), "LiteRT tflite/kernels/split.cc")

SPLIT_V = Op(
    BuiltinOperator.SPLIT_V, (3, 3), (1, MANY), names(PLAIN), split_by_sizes,
    cuts(PLAIN), "LiteRT tflite/kernels/split_v.cc")
