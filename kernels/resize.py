"""RESIZE_BILINEAR, RESIZE_NEAREST_NEIGHBOR: an image in another size.

    nearest   y[n, i, j, c] = x[n, rows[i], columns[j], c]
    bilinear  y[n, i, j, c] = the four cells around a point of x, weighted by how near they are

    x: [N, H, W, C]    size: [2] int32, OH and OW    y: [N, OH, OW, C]

Where the point of output i lies along one axis is settled before the first run, in tables:

    scale = n / m, or (n - 1) / (m - 1) for align_corners and m > 1, in float32, from n cells to m
    point = i * scale, or (i + 0.5) * scale - 0.5 for half_pixel_centers

`lower` and `upper` are the cells around it, `part` is how far it lies from the lower one. With a = x[lower, lower],
b = x[lower, upper] (the next column), c and d the same in the upper row, and v, u the parts down and across:

    float32, uint8   reference   ((a*(1-v))*(1-u) + (c*v)*(1-u)) + (b*(1-v))*u + (d*v)*u, + 0.5 and cut for uint8
                     builtin     the weights multiplied first; a, b, c, d in turn
                     delegate    t = a + (b-a)*u, s = c + (d-c)*u, then t + (s-t)*v
    uint8, int8      delegate    that in integers, parts in 1/2048, one rounding half up
    int8, int16      reference, builtin: the four-term sum in integers, parts in 1/1024, rounded half away from zero

Source: LiteRT tflite/kernels/resize_bilinear.cc, resize_nearest_neighbor.cc, internal/reference/resize_bilinear.h,
resize_nearest_neighbor.h, internal/optimized/resize_bilinear.h, optimized_ops.h; XNNPACK src/indirection.c,
src/f32-ibilinear, src/s8-ibilinear.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinyinterp.schema import BuiltinOperator, TensorType

from .contract import ALL, BUILTIN, DELEGATE, REFERENCE, Arg, Call, Kernel, Op, Operand, Shape, Slot
from .conv import rows
from .delegate import computes, same_type, shaped, stored
from .machine import f32
from .resize_rows import bilinear, nearest_by_runs


# ---------------------------------------------------------------------------------------------------------- shapes
def infer(call: Call) -> tuple[Shape]:
    x, size = call.input(0), call.input(1)
    call.need(len(x.shape) == 4, f"x has {len(x.shape)} dimensions, needs [N, H, W, C]")
    call.need(size.shape == (2,) and size.type == TensorType.INT32, f"size is {size.type.name}{list(size.shape)}, needs INT32[2]")
    call.need(x.type == call.output.type, f"x is {x.type.name}, y is {call.output.type.name}")
    oh, ow = (int(d) for d in call.value(1))
    call.need(oh > 0 and ow > 0, f"size {oh} x {ow} is not positive")
    call.need(x.shape[1] > 0 and x.shape[2] > 0, f"x {list(x.shape)} has no cells to take values from")
    return ((x.shape[0], oh, ow, x.shape[3]),)


# ---------------------------------------------------------------------------------------- settled before the first run
Axis = tuple[np.ndarray, np.ndarray, np.ndarray]  # lower [m] int64, upper [m] int64, part [m]


def scale_of(call: Call, n: int, m: int) -> np.float32:
    """Cells of x for one step of y."""
    return f32(n - 1) / f32(m - 1) if call.options.align_corners and m > 1 else f32(n) / f32(m)


def float_axis(call: Call, n: int, m: int) -> Axis:
    """Along an axis from n cells to m; part in float32. Before the first cell it is negative: both cells are the first."""
    i, scale = np.arange(m).astype(f32), scale_of(call, n, m)
    point = (i + f32(0.5)) * scale - f32(0.5) if call.options.half_pixel_centers else i * scale
    lower = np.clip(np.floor(point).astype(np.int64), 0, n - 1)
    return lower, np.clip(np.ceil(point).astype(np.int64), 0, n - 1), point - lower.astype(f32)


def delegate_axis(call: Call, n: int, m: int) -> Axis:
    """The same in the delegate's arithmetic: the offset is multiplied out, the point kept inside the image."""
    i, scale = np.arange(m).astype(f32), scale_of(call, n, m)
    centers = call.options.half_pixel_centers and not call.options.align_corners
    point = np.clip(i * scale + (f32(0.5) * scale - f32(0.5) if centers else f32(0)), f32(0), f32(n - 1))
    lower = point.astype(np.int64)
    return lower, np.minimum(lower + 1, n - 1), point - lower.astype(f32)


def fixed_delegate_axis(call: Call, n: int, m: int) -> Axis:
    """As `delegate_axis`, part in 1/2048."""
    lower, upper, part = delegate_axis(call, n, m)
    return lower, upper, np.rint(part * f32(2048)).astype(np.int64)


def fixed_axis(call: Call, n: int, m: int) -> Axis:
    """Integers throughout, part in 1/1024; quotients are cut towards zero."""
    aligned = call.options.align_corners and m > 1
    scale = (1024 * (n - 1) + (m - 1) // 2) // (m - 1) if aligned else (1024 * n + m // 2) // m
    point = np.arange(m, dtype=np.int64) * scale + (scale // 2 - 512 if call.options.half_pixel_centers else 0)
    lower = np.clip(point // 1024, 0, n - 1)  # a negative point becomes 0 either way
    return lower, np.clip((point + 1023) // 1024, 0, n - 1), point - 1024 * lower


def nearest_axis(call: Call, n: int, m: int) -> np.ndarray:
    """The cell of x for each cell of y: [m] int64. The builtin kernel of 8 bits counts in 1/65536 unless an option is set."""
    align, centers = call.options.align_corners, call.options.half_pixel_centers
    if call.numerics != REFERENCE and call.input(0).dtype.itemsize == 1 and not align and not centers:
        return np.asarray(np.minimum(np.arange(m, dtype=np.int64) * ((n << 16) // m + 1) >> 16, n - 1))
    point = (np.arange(m).astype(f32) + f32(0.5 if centers else 0)) * scale_of(call, n, m)
    cell = np.trunc(point.astype(np.float64) + 0.5) if align else np.floor(point)  # points are not negative
    return np.clip(cell.astype(np.int64), 0, n - 1)


def bilinear_args(axis: Any) -> Any:
    """x, the tables of both axes, y."""

    def args(call: Call, params: None) -> tuple[Arg, ...]:
        x, y, o = call.input(0), call.output, call.options
        both = o.align_corners and o.half_pixel_centers  # the delegate takes it for align_corners; a fed size is not checked
        call.need(call.numerics == DELEGATE or not both or not call.input(1).fixed,
                  "If half_pixel_centers is True, align_corners must be False.")
        return (x.view(), *axis(call, x.shape[1], y.shape[1]), *axis(call, x.shape[2], y.shape[2]), y.view())

    return args


def as_bytes(operand: Operand) -> Slot | np.ndarray:
    """An image whose channels are single bytes."""
    shape = (*operand.shape[:3], operand.shape[3] * operand.dtype.itemsize)
    if operand.known is None:
        return Slot(operand.index, np.dtype(np.uint8), shape)
    return np.ascontiguousarray(operand.known).view(np.uint8).reshape(shape)


def nearest_axes(call: Call) -> tuple[np.ndarray, np.ndarray]:
    x, y = call.input(0).shape, call.output.shape
    return nearest_axis(call, x[1], y[1]), nearest_axis(call, x[2], y[2])


def on_cells(call: Call) -> tuple[np.ndarray, np.ndarray] | None:
    """The cells of x when the delegate's every point lies on one, or between two that are the same."""
    axes = [fixed_delegate_axis(call, call.input(0).shape[d], call.output.shape[d]) for d in (1, 2)]
    there = all(((part == 0) | (lower == upper)).all() for lower, upper, part in axes)
    return (axes[0][0], axes[1][0]) if there and call.numerics == DELEGATE else None


def nearest_args(call: Call, params: None) -> tuple[Arg, ...]:
    return as_bytes(call.input(0)), *nearest_axes(call), as_bytes(call.output)


# --------------------------------------------------------------------------------------------------------- kernels
def nearest(x: Any, rows: Any, columns: Any, y: Any, begin: int, end: int) -> None:
    """The definition, on bytes. Rows begin to end of y, all images counted through."""
    for row in range(begin, end):
        n, i = row // y.shape[1], row % y.shape[1]
        r = int(rows[i])
        for j in range(y.shape[2]):
            s = int(columns[j])
            for c in range(y.shape[3]):
                y[n, i, j, c] = x[n, r, s, c]


def bilinear_reference(x: Any, y0: Any, y1: Any, fy: Any, x0: Any, x1: Any, fx: Any, y: Any, begin: int, end: int) -> None:
    """The definition for float32, reference order."""
    for row in range(begin, end):
        n, i = row // y.shape[1], row % y.shape[1]
        r, t, v = int(y0[i]), int(y1[i]), fy[i]
        for j in range(y.shape[2]):
            s, q, u = int(x0[j]), int(x1[j]), fx[j]
            v_, u_ = f32(1) - v, f32(1) - u
            for k in range(y.shape[3]):
                upper = f32(x[n, r, s, k]) * v_ * u_ + f32(x[n, t, s, k]) * v * u_
                y[n, i, j, k] = upper + f32(x[n, r, q, k]) * v_ * u + f32(x[n, t, q, k]) * v * u + f32(0)


def bilinear_uint8_reference(x: Any, y0: Any, y1: Any, fy: Any, x0: Any, x1: Any, fx: Any, y: Any, begin: int, end: int) -> None:
    """The definition for uint8, reference order."""
    for row in range(begin, end):
        n, i = row // y.shape[1], row % y.shape[1]
        r, t, v = int(y0[i]), int(y1[i]), fy[i]
        for j in range(y.shape[2]):
            s, q, u = int(x0[j]), int(x1[j]), fx[j]
            v_, u_ = f32(1) - v, f32(1) - u
            for k in range(y.shape[3]):
                upper = f32(x[n, r, s, k]) * v_ * u_ + f32(x[n, t, s, k]) * v * u_
                y[n, i, j, k] = int(upper + f32(x[n, r, q, k]) * v_ * u + f32(x[n, t, q, k]) * v * u + f32(0.5))


def bilinear_builtin(x: Any, y0: Any, y1: Any, fy: Any, x0: Any, x1: Any, fx: Any, y: Any, begin: int, end: int) -> None:
    """The definition for float32, builtin order."""
    for row in range(begin, end):
        n, i = row // y.shape[1], row % y.shape[1]
        r, t, v = int(y0[i]), int(y1[i]), fy[i]
        for j in range(y.shape[2]):
            s, q, u = int(x0[j]), int(x1[j]), fx[j]
            a, b, c, d = (f32(1) - v) * (f32(1) - u), (f32(1) - v) * u, v * (f32(1) - u), v * u
            for k in range(y.shape[3]):
                acc = f32(0) + x[n, r, s, k] * a
                y[n, i, j, k] = acc + x[n, r, q, k] * b + x[n, t, s, k] * c + x[n, t, q, k] * d


def bilinear_uint8_builtin(x: Any, y0: Any, y1: Any, fy: Any, x0: Any, x1: Any, fx: Any, y: Any, begin: int, end: int) -> None:
    """The definition for uint8, builtin order."""
    for row in range(begin, end):
        n, i = row // y.shape[1], row % y.shape[1]
        r, t, v = int(y0[i]), int(y1[i]), fy[i]
        for j in range(y.shape[2]):
            s, q, u = int(x0[j]), int(x1[j]), fx[j]
            a, b, c, d = (f32(1) - v) * (f32(1) - u), (f32(1) - v) * u, v * (f32(1) - u), v * u
            for k in range(y.shape[3]):
                acc = f32(x[n, r, s, k]) * a + f32(x[n, r, q, k]) * b
                y[n, i, j, k] = int(acc + f32(x[n, t, s, k]) * c + f32(x[n, t, q, k]) * d + f32(0.5))


def bilinear_double(x: Any, y: Any, begin: int, end: int) -> None:
    """The definition for float32, builtin, exactly twice as high and as wide without options: halves of sums."""
    for row in range(begin, end):
        n, i = row // y.shape[1], row % y.shape[1]
        r = i // 2
        t = min(r + 1, x.shape[1] - 1)
        for j in range(y.shape[2]):
            s = j // 2
            q = min(s + 1, x.shape[2] - 1)
            for k in range(y.shape[3]):
                v = x[n, r, s, k]
                if i % 2 == 1:
                    v = (v + x[n, t, s, k]) * f32(0.5)
                    if j % 2 == 1:
                        v = (v + (x[n, r, q, k] + x[n, t, q, k]) * f32(0.5)) * f32(0.5)
                elif j % 2 == 1:
                    v = (v + x[n, r, q, k]) * f32(0.5)
                y[n, i, j, k] = v


def bilinear_delegate(x: Any, y0: Any, y1: Any, fy: Any, x0: Any, x1: Any, fx: Any, y: Any, begin: int, end: int) -> None:
    """The definition for float32, delegate order."""
    for row in range(begin, end):
        n, i = row // y.shape[1], row % y.shape[1]
        r, t, v = int(y0[i]), int(y1[i]), fy[i]
        for j in range(y.shape[2]):
            s, q, u = int(x0[j]), int(x1[j]), fx[j]
            for k in range(y.shape[3]):
                top = x[n, r, s, k] + (x[n, r, q, k] - x[n, r, s, k]) * u
                bottom = x[n, t, s, k] + (x[n, t, q, k] - x[n, t, s, k]) * u
                y[n, i, j, k] = top + (bottom - top) * v


def bilinear_8bit_delegate(x: Any, y0: Any, y1: Any, fy: Any, x0: Any, x1: Any, fx: Any, y: Any, begin: int, end: int) -> None:
    """The definition for 8 bits, delegate: |top| <= 2**8 * 2**11, so all fits 32 bits."""
    for row in range(begin, end):
        n, i = row // y.shape[1], row % y.shape[1]
        r, t, v = int(y0[i]), int(y1[i]), int(fy[i])
        for j in range(y.shape[2]):
            s, q, u = int(x0[j]), int(x1[j]), int(fx[j])
            for k in range(y.shape[3]):
                a, c = int(x[n, r, s, k]), int(x[n, t, s, k])
                top = (a << 11) + (int(x[n, r, q, k]) - a) * u
                bottom = (c << 11) + (int(x[n, t, q, k]) - c) * u
                y[n, i, j, k] = ((top << 11) + (bottom - top) * v + (1 << 21)) >> 22


def bilinear_integer(x: Any, y0: Any, y1: Any, fy: Any, x0: Any, x1: Any, fx: Any, y: Any, begin: int, end: int) -> None:
    """The definition for int8 and int16, reference and builtin."""
    for row in range(begin, end):
        n, i = row // y.shape[1], row % y.shape[1]
        r, t, v = int(y0[i]), int(y1[i]), int(fy[i])
        for j in range(y.shape[2]):
            s, q, u = int(x0[j]), int(x1[j]), int(fx[j])
            for k in range(y.shape[3]):
                total = (int(x[n, r, s, k]) * (1024 - u) + int(x[n, r, q, k]) * u) * (1024 - v)
                total += (int(x[n, t, s, k]) * (1024 - u) + int(x[n, t, q, k]) * u) * v
                y[n, i, j, k] = (total + 524288) >> 20 if total > 0 else -((524288 - total) >> 20)


# -------------------------------------------------------------------------------------------------------------- op
def of_type(*types: TensorType) -> Any:
    def is_of_type(call: Call) -> bool:
        return same_type(call.input(0), call.output) and call.input(0).type in types

    return is_of_type


is_float, is_uint8 = of_type(TensorType.FLOAT32), of_type(TensorType.UINT8)
is_signed, is_8bit = of_type(TensorType.INT8, TensorType.INT16), of_type(TensorType.INT8, TensorType.UINT8)
is_moved = of_type(TensorType.FLOAT32, TensorType.INT32, TensorType.INT16, TensorType.INT8, TensorType.UINT8)


def is_double(call: Call) -> bool:
    x, y, o = call.input(0).shape, call.output.shape, call.options
    return bool(is_float(call) and not o.align_corners and not o.half_pixel_centers
                and y[1] == 2 * x[1] and y[2] == 2 * x[2])


def double_args(call: Call, params: None) -> tuple[Arg, ...]:
    return call.input(0).view(), call.output.view()


def delegated(call: Call) -> bool:
    x, size, y = call.input(0), call.input(1), call.output
    return (computes(x, y) and same_type(x, y) and shaped(x, 4, 4) and shaped(y, 4, 4) and stored(size)
            and (x.type == TensorType.FLOAT32 or (x.scale == y.scale and x.zero_point == y.zero_point)))


_REFERENCE, _BUILTIN, _DELEGATE = frozenset({REFERENCE}), frozenset({BUILTIN}), frozenset({DELEGATE})
_FLOAT, _DELEGATED = bilinear_args(float_axis), bilinear_args(delegate_axis)

RESIZE_BILINEAR = Op(
    code=BuiltinOperator.RESIZE_BILINEAR,
    inputs=(2, 2),
    outputs=(1, 1),
    types=("float32", "int8", "uint8", "int16"),
    infer=infer,
    kernels=(
        nearest_by_runs(is_8bit, as_bytes, on_cells, "resize_bilinear_on_cells"),
        bilinear(is_float, _DELEGATED, DELEGATE),
        bilinear(is_8bit, bilinear_args(fixed_delegate_axis), DELEGATE),
        bilinear(of_type(TensorType.FLOAT32, TensorType.UINT8), _FLOAT, REFERENCE),
        Kernel("resize_bilinear_float32_delegate", bilinear_delegate, _DELEGATED, _DELEGATE, is_float, rows),
        Kernel("resize_bilinear_double_float32_builtin", bilinear_double, double_args, _BUILTIN, is_double, rows),
        Kernel("resize_bilinear_float32_builtin", bilinear_builtin, _FLOAT, _BUILTIN, is_float, rows),
        Kernel("resize_bilinear_float32_reference", bilinear_reference, _FLOAT, _REFERENCE, is_float, rows),
        Kernel("resize_bilinear_8bit_delegate", bilinear_8bit_delegate, bilinear_args(fixed_delegate_axis), _DELEGATE, is_8bit,
               rows),
        Kernel("resize_bilinear_uint8_builtin", bilinear_uint8_builtin, _FLOAT, _BUILTIN, is_uint8, rows),
        Kernel("resize_bilinear_uint8_reference", bilinear_uint8_reference, _FLOAT, _REFERENCE, is_uint8, rows),
        Kernel("resize_bilinear_integer", bilinear_integer, bilinear_args(fixed_axis), _REFERENCE | _BUILTIN, is_signed, rows),
    ),
    delegated=delegated,
    spec="LiteRT tflite/kernels/resize_bilinear.cc, tflite/kernels/internal/reference/resize_bilinear.h",
)

RESIZE_NEAREST_NEIGHBOR = Op(
    code=BuiltinOperator.RESIZE_NEAREST_NEIGHBOR,
    inputs=(2, 2),
    outputs=(1, 1),
    types=("float32", "int32", "int16", "int8", "uint8"),
    infer=infer,
    kernels=(nearest_by_runs(is_moved, as_bytes, nearest_axes, "resize_nearest_runs"),
             Kernel("resize_nearest", nearest, nearest_args, ALL, is_moved, rows)),
    spec="LiteRT tflite/kernels/resize_nearest_neighbor.cc, tflite/kernels/internal/reference/resize_nearest_neighbor.h",
)
