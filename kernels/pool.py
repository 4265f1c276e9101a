"""AVERAGE_POOL_2D, MAX_POOL_2D: the mean or the greatest value of a window that slides over each channel.

    average   y[n, i, j, c] = clamp((sum of the cells of x[n, :, :, c] inside window i, j) / (number of these cells))
    maximum   y[n, i, j, c] = clamp(the greatest of these cells)

    x: [N, H, W, C]    y: [N, OH, OW, C]    window i, j: rows i*SH - top + [0, KH), columns j*SW - left + [0, KW)

Cells outside the image do not count. Integers are pooled as they are stored, since x and y have one scale and one zero
point; their mean is rounded half away from zero. All three numerics agree on them.

Floats: the reference and the builtin kernels go through the window row by row. The delegate goes column by column, nine
cells at a time, and adds them as a tree

    ((v2 + v3) + (v4 + v5)) + (((v0 + v1) + v8) + (v6 + v7))

to what it has, cells outside the image being 0; the mean is that times 1 / (number of cells inside). For the maximum the
tree is the same with `xmax`, and a coordinate outside the image becomes the nearest one inside. Only NaN and zeros of
both signs can tell: a NaN becomes the lower bound of the clamp, or vanishes.

Source: LiteRT tflite/kernels/pooling.cc, internal/reference/pooling.h, integer_ops/pooling.h; XNNPACK
src/f32-avgpool, src/f32-maxpool, src/indirection.c.
"""

from __future__ import annotations

from typing import Any

from tinyinterp.schema import Activation, BuiltinOperator, TensorType

from .contract import ALL, BUILTIN, DELEGATE, REFERENCE, Arg, Call, Kernel, Op, Shape
from .conv import rows
from .delegate import computes, same_type
from .machine import f32, inline, xmax, xmin
from .numerics import FLOAT_MAX, clamp, float_range, padding, quantized_range, type_range
from .pool_windows import pooled
from .reshape import args as copy_args
from .reshape import copy


# ---------------------------------------------------------------------------------------------------------- shapes
def infer(call: Call) -> tuple[Shape]:
    x, o = call.input(0), call.options
    call.need(len(x.shape) == 4, f"x has {len(x.shape)} dimensions, needs [N, H, W, C]")
    call.need(x.type == call.output.type, f"x is {x.type.name}, y is {call.output.type.name}")
    call.need(o.stride_h > 0 and o.stride_w > 0, f"strides {o.stride_h}, {o.stride_w} are not positive")
    call.need(o.filter_height > 0 and o.filter_width > 0, f"window {o.filter_height} x {o.filter_width} is empty")
    oh, _ = padding(o.padding, x.shape[1], o.filter_height, o.stride_h)
    ow, _ = padding(o.padding, x.shape[2], o.filter_width, o.stride_w)
    return ((x.shape[0], oh, ow, x.shape[3]),)


def macs(call: Call) -> int:
    return call.output.size * int(call.options.filter_height * call.options.filter_width)


# ---------------------------------------------------------------------------------------- settled before the first run
def args(call: Call, params: None) -> tuple[Arg, ...]:
    """x, window, stride, padding, clamp, y."""
    x, o = call.input(0), call.options
    _, top = padding(o.padding, x.shape[1], o.filter_height, o.stride_h)
    _, left = padding(o.padding, x.shape[2], o.filter_width, o.stride_w)
    lo, hi = (float_range if x.type == TensorType.FLOAT32 else quantized_range)(o.fused_activation_function, call)
    return x.view(), o.filter_height, o.filter_width, o.stride_h, o.stride_w, top, left, lo, hi, call.output.view()


# --------------------------------------------------------------------------------------------------------- kernels
def average_float_reference(x: Any, kh: int, kw: int, sh: int, sw: int, top: int, left: int, lo: Any, hi: Any, y: Any,
                            begin: int, end: int) -> None:
    """The definition, reference order. Rows begin to end of y, all images counted through."""
    for row in range(begin, end):
        n, i = row // y.shape[1], row % y.shape[1]
        r0, r1 = max(i * sh - top, 0), min(i * sh - top + kh, x.shape[1])
        for j in range(y.shape[2]):
            s0, s1 = max(j * sw - left, 0), min(j * sw - left + kw, x.shape[2])
            count = f32((r1 - r0) * (s1 - s0))
            for c in range(y.shape[3]):
                total = f32(0)
                for r in range(r0, r1):
                    for s in range(s0, s1):
                        total = total + x[n, r, s, c]
                y[n, i, j, c] = clamp(total / count, lo, hi)


@inline
def cell(x: Any, n: int, i: int, j: int, c: int, t: int, kh: int, kw: int) -> Any:
    """Cell t, counted column by column, of the window that starts at row i and column j; 0 outside image and window."""
    r, s = i + t % kh, j + t // kh
    return x[n, r, s, c] if t < kh * kw and 0 <= r < x.shape[1] and 0 <= s < x.shape[2] else f32(0)


def average_float_delegate(x: Any, kh: int, kw: int, sh: int, sw: int, top: int, left: int, lo: Any, hi: Any, y: Any,
                           begin: int, end: int) -> None:
    """The definition, delegate order."""
    for row in range(begin, end):
        n, i = row // y.shape[1], row % y.shape[1]
        r = i * sh - top
        for j in range(y.shape[2]):
            s = j * sw - left
            count = (min(r + kh, x.shape[1]) - max(r, 0)) * (min(s + kw, x.shape[2]) - max(s, 0))
            scale = f32(1) / f32(count)
            for c in range(y.shape[3]):
                total = f32(0)
                for t in range(0, kh * kw, 9):
                    v0, v1 = cell(x, n, r, s, c, t, kh, kw), cell(x, n, r, s, c, t + 1, kh, kw)
                    v2, v3 = cell(x, n, r, s, c, t + 2, kh, kw), cell(x, n, r, s, c, t + 3, kh, kw)
                    v4, v5 = cell(x, n, r, s, c, t + 4, kh, kw), cell(x, n, r, s, c, t + 5, kh, kw)
                    v6, v7 = cell(x, n, r, s, c, t + 6, kh, kw), cell(x, n, r, s, c, t + 7, kh, kw)
                    v8 = cell(x, n, r, s, c, t + 8, kh, kw)
                    total = total + (((v2 + v3) + (v4 + v5)) + (((v0 + v1) + v8) + (v6 + v7)))
                y[n, i, j, c] = xmin(xmax(total * scale, lo), hi)


def average_integer(x: Any, kh: int, kw: int, sh: int, sw: int, top: int, left: int, lo: int, hi: int, y: Any,
                    begin: int, end: int) -> None:
    """The definition for integers."""
    for row in range(begin, end):
        n, i = row // y.shape[1], row % y.shape[1]
        r0, r1 = max(i * sh - top, 0), min(i * sh - top + kh, x.shape[1])
        for j in range(y.shape[2]):
            s0, s1 = max(j * sw - left, 0), min(j * sw - left + kw, x.shape[2])
            count = (r1 - r0) * (s1 - s0)
            for c in range(y.shape[3]):
                total = 0
                for r in range(r0, r1):
                    for s in range(s0, s1):
                        total += int(x[n, r, s, c])
                mean = (total + count // 2) // count if total > 0 else -((count // 2 - total) // count)
                y[n, i, j, c] = clamp(mean, lo, hi)


def maximum(x: Any, kh: int, kw: int, sh: int, sw: int, top: int, left: int, lo: Any, hi: Any, least: Any, y: Any,
            begin: int, end: int) -> None:
    """The definition, for integers and for floats in the reference's order. `least`: what an all-NaN window leaves."""
    for row in range(begin, end):
        n, i = row // y.shape[1], row % y.shape[1]
        r0, r1 = max(i * sh - top, 0), min(i * sh - top + kh, x.shape[1])
        for j in range(y.shape[2]):
            s0, s1 = max(j * sw - left, 0), min(j * sw - left + kw, x.shape[2])
            for c in range(y.shape[3]):
                greatest = least
                for r in range(r0, r1):
                    for s in range(s0, s1):
                        v = x[n, r, s, c]
                        greatest = v if greatest < v else greatest
                y[n, i, j, c] = clamp(greatest, lo, hi)


@inline
def nearest(x: Any, n: int, i: int, j: int, c: int, t: int, first: int, kh: int, kw: int) -> Any:
    """As `cell`, but past the window cell `first` again, and outside the image the nearest cell inside."""
    u = t if t < kh * kw else first
    r, s = i + u % kh, j + u // kh
    r = 0 if r < 0 else min(r, x.shape[1] - 1)
    s = 0 if s < 0 else min(s, x.shape[2] - 1)
    return x[n, r, s, c]


def maximum_float_delegate(x: Any, kh: int, kw: int, sh: int, sw: int, top: int, left: int, lo: Any, hi: Any, y: Any,
                           begin: int, end: int) -> None:
    """The definition, delegate order."""
    for row in range(begin, end):
        n, i = row // y.shape[1], row % y.shape[1]
        r = i * sh - top
        for j in range(y.shape[2]):
            s = j * sw - left
            for c in range(y.shape[3]):
                acc = lo
                for t in range(0, kh * kw, 9):
                    v0, v1 = nearest(x, n, r, s, c, t, t, kh, kw), nearest(x, n, r, s, c, t + 1, t, kh, kw)
                    v2, v3 = nearest(x, n, r, s, c, t + 2, t, kh, kw), nearest(x, n, r, s, c, t + 3, t, kh, kw)
                    v4, v5 = nearest(x, n, r, s, c, t + 4, t, kh, kw), nearest(x, n, r, s, c, t + 5, t, kh, kw)
                    v6, v7 = nearest(x, n, r, s, c, t + 6, t, kh, kw), nearest(x, n, r, s, c, t + 7, t, kh, kw)
                    v8 = nearest(x, n, r, s, c, t + 8, t, kh, kw)
                    m = xmax(xmax(xmax(v2, v3), xmax(v4, v5)), xmax(xmax(xmax(v0, v1), v8), xmax(v6, v7)))
                    acc = xmin(xmax(m, lo) if t == 0 else xmax(acc, m), hi)
                y[n, i, j, c] = acc


def clamped(x: Any, lo: Any, hi: Any, y: Any, begin: int, end: int) -> None:
    """A window of one cell, delegate: only the clamp is left, if there is one, and a NaN passes. Elements begin to end."""
    for i in range(begin, end):
        y[i] = xmin(hi, xmax(lo, x[i]))


# -------------------------------------------------------------------------------------------------------------- op
def is_float(call: Call) -> bool:
    return same_type(call.input(0), call.output) and call.input(0).type == TensorType.FLOAT32


def is_integer(call: Call) -> bool:
    return same_type(call.input(0), call.output) and call.input(0).type in (TensorType.INT8, TensorType.UINT8, TensorType.INT16)


def same_types(call: Call) -> bool:
    return is_float(call) or is_integer(call)


def is_float_cell(call: Call) -> bool:
    """A window of one cell."""
    return is_float(call) and call.options.filter_height == call.options.filter_width == 1


def is_float_copy(call: Call) -> bool:
    """A window of one cell without a clamp: denormals are moved, not flushed."""
    return is_float_cell(call) and call.options.fused_activation_function == Activation.NONE


def cell_args(call: Call, params: None) -> tuple[Arg, ...]:
    lo, hi = float_range(call.options.fused_activation_function, call)
    return call.input(0).view(call.output.size), lo, hi, call.output.view(call.output.size)


def elements(call: Call) -> int:
    return call.output.size


def maximum_args(call: Call, params: None) -> tuple[Arg, ...]:
    """As `args`, and before y the value that is less than all others."""
    least = f32(-FLOAT_MAX) if is_float(call) else type_range(call.output)[0]
    *most, y = args(call, params)
    return *most, least, y


def windowed(call: Call) -> bool:
    """Strides that the delegate pools with."""
    o = call.options
    return bool(o.stride_h <= o.filter_height and o.stride_w <= o.filter_width
                and (o.filter_height > 1 or o.filter_width > 1 or o.stride_h == o.stride_w == 1))


def average_delegated(call: Call) -> bool:
    return is_float(call) and windowed(call)


def maximum_delegated(call: Call) -> bool:
    return computes(call.input(0), call.output) and same_type(call.input(0), call.output) and windowed(call)


CELL = (Kernel("copy", copy, copy_args, frozenset({DELEGATE}), is_float_copy),
        Kernel("clamp_float32_delegate", clamped, cell_args, frozenset({DELEGATE}), is_float_cell, elements))

AVERAGE_POOL_2D = Op(
    code=BuiltinOperator.AVERAGE_POOL_2D,
    inputs=(1, 1),
    outputs=(1, 1),
    types=("float32", "int8", "uint8", "int16"),
    infer=infer,
    kernels=(
        *CELL,
        pooled("average", same_types),
        Kernel("average_pool_float32_delegate", average_float_delegate, args, frozenset({DELEGATE}), is_float, rows),
        Kernel("average_pool_float32_reference", average_float_reference, args, frozenset({REFERENCE, BUILTIN}), is_float, rows),
        Kernel("average_pool_integer", average_integer, args, ALL, is_integer, rows),
    ),
    delegated=average_delegated,
    macs=macs,
    spec="LiteRT tflite/kernels/pooling.cc, tflite/kernels/internal/reference/pooling.h AveragePool",
)

MAX_POOL_2D = Op(
    code=BuiltinOperator.MAX_POOL_2D,
    inputs=(1, 1),
    outputs=(1, 1),
    types=("float32", "int8", "uint8", "int16"),
    infer=infer,
    kernels=(
        *CELL,
        pooled("max", same_types),
        Kernel("max_pool_float32_delegate", maximum_float_delegate, args, frozenset({DELEGATE}), is_float, rows),
        Kernel("max_pool_float32_reference", maximum, maximum_args, frozenset({REFERENCE, BUILTIN}), is_float, rows),
        Kernel("max_pool_integer", maximum, maximum_args, ALL, is_integer, rows),
    ),
    delegated=maximum_delegated,
    macs=macs,
    spec="LiteRT tflite/kernels/pooling.cc, tflite/kernels/internal/reference/pooling.h MaxPool",
)
