"""MEAN, SUM: dimensions shrink to one number each. (REDUCE_MAX and REDUCE_MIN are in `extremes.py`.)

    y[kept...] = sum or mean over the reduced dimensions of x[...]

    shapes, axes and how to walk them: `axes.py`

Integers of 32 and 64 bits wrap; their MEAN truncates. The sum S of n numbers of 8 or 16 bits, with
real = scale * (q - zero_point), is exact, the way back to y is

    reference   (and MEAN in builtin) S - n * zx in fixed point; MEAN divides the multiplier by n
    builtin     SUM: S * scale + bias in float32, half away; MEAN of an image in fixed point, blocks of 16 half up
    delegate    S * scale + bias in float32, to nearest even

(BUILTIN_REF's SUM of int8 reads and writes the bytes as uint8, and so does this one. Its SUM of int16 leaves half of the
output unwritten: refused.)

Float32 sums in three orders:

    reference   in order from 0 (from the first number, or one stretch a thread, when every dimension is reduced)
    builtin     in order from the first number; MEAN over the last dimension in Eigen's four lanes
    delegate    neighbouring dimensions of one kind count as one, sizes of 1 included. Innermost reduced: rows in lanes
                (`lanes.py`), added up times 1 / n; innermost kept: in order, times 1 / n, added up

A sum of squares that the delegate makes of two operators (`rewrite.py`) goes as its sum does, but its rows have four
accumulators on AVX-512 too, and there each square is added by one fused multiply-add.

Source: LiteRT tflite/kernels/reduce.cc, internal/reference/reduce.h, internal/optimized/reduce.h, integer_ops/mean.h;
XNNPACK src/operators/reduce-nd.c, src/f32-rsum, f32-rdsum, f32-rsum2, f32-rdsum2.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinyinterp.schema import BuiltinOperator, TensorType

from . import jit
from .axes import (
    count,
    delegated,
    first_of,
    folding,
    groups,
    infer,
    innermost,
    is_type,
    outputs,
    reduced_axes,
    result,
    stretches,
    walk,
    whole,
    without_zero_point,
)
from .contract import ALL, BUILTIN, DELEGATE, REFERENCE, Arg, Call, Kernel, Op
from .lanes import (
    REGISTERS,
    eigen_sum,
    plus,
    plus_square,
    plus_square_fused,
    squares_row_avx2,
    squares_row_avx512,
    sum_row_avx2,
    sum_row_avx512,
)
from .machine import f32, fma, inline, rint, round_away
from .micro import reduce as tails
from .numerics import clamp, quantize_multiplier, requantize_builtin, requantize_reference, type_range, wrap32
from .reduce_vectors import float_sums, narrow_sums, wide_sums

EIGHT = (TensorType.INT8, TensorType.UINT8)
i64 = np.int64


# ---------------------------------------------------------------------------------------- settled before the first run
def is_mean(call: Call) -> bool:
    return call.operator.code == BuiltinOperator.MEAN


def float_sum_args(call: Call, params: None) -> tuple[Arg, ...]:
    """`start` is -0 where the first number starts: adding it changes nothing, not even another -0."""
    from_first = call.numerics == BUILTIN or (not is_mean(call) and whole(call) and stretches(call) == 1)
    start = f32(-0.0) if from_first and call.input(0).size else f32(0)
    return (*walk(call), start, f32(count(call) if is_mean(call) else 1), result(call))


def float_stretches_args(call: Call, params: None) -> tuple[Arg, ...]:
    x = call.input(0)
    return x.view(x.size), stretches(call), result(call)


def float_delegate_args(call: Call, params: None) -> tuple[Arg, ...]:
    return (*walk(call, drop_ones=False), f32(f32(1) / f32(count(call))) if is_mean(call) else f32(1), result(call))


def rows_args(call: Call, params: None) -> tuple[Arg, ...]:
    *where, y = float_delegate_args(call, params)
    return (*where, REGISTERS, y)


def eigen_args(call: Call, params: None) -> tuple[Arg, ...]:
    x, n = call.input(0), count(call)
    return x.view(x.size), n, result(call)


def integer_sum_args(call: Call, params: None) -> tuple[Arg, ...]:
    return (*walk(call), max(1, count(call)) if is_mean(call) else 1, call.output.dtype.itemsize, result(call))


def ratio(call: Call) -> np.float32:
    """One step of x in steps of y."""
    return f32(call.input(0).scale / call.output.scale)


def fixed_args(call: Call, params: None) -> tuple[Arg, ...]:
    """multiplier, shift and n * zx; for MEAN the multiplier takes the division by n in. Of nothing, 0 comes, not zy."""
    x, y, n = call.input(0), call.output, count(call)
    without_zero_point(call, x, y)
    multiplier, shift = quantize_multiplier(float(x.scale) / float(y.scale))
    if is_mean(call) and n:
        up = min(n.bit_length() - 1, 32, 31 + shift)
        multiplier, shift = (multiplier << up) // n, shift - up
    lo, hi = type_range(y)
    return (*walk(call), multiplier, shift & 31 if shift > 31 else shift, n * x.zero_point,
            y.zero_point if n else 0, lo, hi, result(call))


def as_uint8_args(call: Call, params: None) -> tuple[Arg, ...]:
    """`fixed_args` with the bytes of x and y taken as uint8."""
    x, table, multiplier, shift, zeros, y_zero, _, _, y = fixed_args(call, params)
    def seen(a: Any) -> Any:
        return a.view(np.uint8) if isinstance(a, np.ndarray) else a._replace(dtype=np.dtype(np.uint8))
    return seen(x), table, multiplier, shift, zeros, y_zero, 0, 255, seen(y)


def float_tail_args(call: Call, params: None) -> tuple[Arg, ...]:
    """The builtin SUM: scale and bias = -zx * scale * n in float32."""
    x, y, n = call.input(0), call.output, count(call)
    without_zero_point(call, x, y)
    bias = f32(f32(f32(-x.zero_point) * ratio(call)) * f32(n))
    lo, hi = type_range(y)
    return (*walk(call), ratio(call), 0, bias, y.zero_point if n else 0, lo, hi, result(call))


def delegate_tail_args(call: Call, params: None) -> tuple[Arg, ...]:
    """scale, for MEAN times 1 / n, and bias = zy - n * zx * scale, in float32."""
    x, y, n = call.input(0), call.output, count(call)
    scale = f32(ratio(call) * f32(f32(1) / f32(n))) if is_mean(call) else ratio(call)
    bias = f32(f32(y.zero_point) - f32(f32(n * x.zero_point) * scale))
    lo, hi = type_range(y)
    return (*walk(call), scale, 0, bias, 0, lo, hi, result(call))


def image_args(call: Call, params: None) -> tuple[Arg, ...]:
    """The builtin MEAN over H and W: multiplier and shift, the bias zy - zx in steps of y, the threads that would share
    the channels."""
    x, y, n = call.input(0), call.output, count(call)
    offset = f32(f32(f32(x.zero_point) * x.scale) / y.scale)
    bias = y.zero_point - int(offset + f32(0.5) if offset > 0 else offset - f32(0.5))
    multiplier, shift = quantize_multiplier(float(f32(x.scale / f32(f32(n) * y.scale))))
    channels = x.shape[3]
    lo, hi = type_range(y)
    return (x.view(x.shape[0], n, channels), multiplier, shift, bias, max(1, min(channels // 8, call.threads)), lo, hi,
            y.view(x.shape[0], channels))


@inline
def plus_integer(acc: Any, x: Any) -> Any:
    return acc + int(x)


in_order = folding(plus)
integers = folding(plus_integer)


# ---------------------------------------------------------------------------------------------------------- float32
def sum_float(x: Any, table: Any, start: Any, divisor: Any, y: Any, begin: int, end: int) -> None:
    """The definition, reference and builtin."""
    for o in range(begin, end):
        y[o] = in_order(x, table, o, start) / divisor


def sum_float_stretches(x: Any, threads: int, y: Any) -> None:
    """The definition for all of a large tensor at several threads, reference: each stretch from 0, then joined."""
    stop = 0
    for k in range(threads):
        start, stop = stop, stop + (x.size - stop) // (threads - k)
        acc = f32(0)
        for i in range(start, stop):
            acc = acc + x[i]
        y[0] = acc if k == 0 else y[0] + acc


def mean_float_rows(x: Any, n: int, y: Any, begin: int, end: int) -> None:
    """The definition for the last dimension, builtin."""
    for o in range(begin, end):
        y[o] = eigen_sum(x, o * n, n) / f32(n)


def sum_rows(sum_of: Callable[..., Any], fused: bool) -> Callable[..., None]:
    """The definition, delegate, innermost dimension reduced."""

    def run(x: Any, table: Any, scale: Any, v: Any, y: Any, begin: int, end: int) -> None:
        for o in range(begin, end):
            first = first_of(table, o)
            acc = f32(0)
            for b in range(table[2, 1]):
                for c in range(table[2, 2]):
                    row = sum_of(x, first + b * table[3, 1] + c * table[3, 2], table[2, 3], v)
                    acc = fma(scale, row, acc) if fused else acc + row * scale
            y[o] = acc

    return run


def sum_columns(add: Callable[..., Any]) -> Callable[..., None]:
    """The definition, delegate, innermost dimension kept."""

    def run(x: Any, table: Any, scale: Any, y: Any, begin: int, end: int) -> None:
        for o in range(begin, end):
            first = first_of(table, o)
            acc = f32(0)
            for b in range(table[2, 1]):
                for c in range(table[2, 2]):
                    at = first + b * table[3, 1] + c * table[3, 2]
                    part = f32(0)
                    for d in range(table[2, 3]):
                        part = add(part, x[at + d * table[3, 3]])
                    acc = acc + part * scale
            y[o] = acc

    return run


# --------------------------------------------------------------------------------------------------------- integers
def sum_integer(x: Any, table: Any, divisor: int, size: int, y: Any, begin: int, end: int) -> None:
    """The definition for 32 and 64 bits: the sum in 64 bits, the quotient truncated, the low bits of it."""
    for o in range(begin, end):
        acc = integers(x, table, o, i64(0))
        quotient = acc // divisor
        if quotient < 0 and quotient * divisor != acc:
            quotient = quotient + i64(1)
        y[o] = wrap32(quotient) if size == 4 else quotient


@inline
def fixed_tail(acc: Any, multiplier: Any, shift: Any, zeros: Any) -> Any:
    return requantize_reference(wrap32(acc - zeros), multiplier, shift)


@inline
def float_tail(acc: Any, scale: Any, unused: Any, bias: Any) -> Any:
    v = round_away(f32(acc) * scale + bias)
    return int(v) if f32(-2147483648.0) <= v < f32(2147483648.0) else -2147483648


@inline
def delegate_tail(acc: Any, scale: Any, unused: Any, bias: Any) -> Any:
    v = f32(acc) * scale + bias
    return int(rint(clamp(v, f32(-1e6), f32(1e6))))  # beyond a million every byte is clamped already


def sum_quantized(tail: Callable[..., Any]) -> Callable[..., None]:
    """The definition for 8 and 16 bits, with one of the ways back."""

    def run(x: Any, table: Any, factor: Any, shift: int, bias: Any, y_zero: int, lo: int, hi: int, y: Any,
            begin: int, end: int) -> None:
        for o in range(begin, end):
            y[o] = clamp(tail(int(integers(x, table, o, i64(0))), factor, shift, bias) + y_zero, lo, hi)

    return run


def mean_image(x: Any, multiplier: int, shift: int, bias: int, threads: int, lo: int, hi: int, y: Any,
               begin: int, end: int) -> None:
    """The definition for the mean of 8-bit images, builtin: in each thread's channels, blocks of 16 round half up."""
    channels = y.shape[1]
    for o in range(begin, end):
        n, c = o // channels, o % channels
        start, stop = 0, 0
        for k in range(threads):
            start, stop = stop, stop + (channels - stop) // (threads - k)
            if c < stop:
                break
        acc = 0
        for i in range(x.shape[1]):
            acc += int(x[n, i, c])
        if c - start < (stop - start) - (stop - start) % 16:
            v = requantize_builtin(acc, multiplier, shift)
        else:
            v = requantize_reference(acc, multiplier, shift)
        y[n, c] = clamp(v + bias, lo, hi)


# -------------------------------------------------------------------------------------------------------------- ops
is_float = is_type(TensorType.FLOAT32)
is_8bit = is_type(*EIGHT)
is_wide = is_type(TensorType.INT32, TensorType.INT64)
is_int8, is_uint8 = is_type(TensorType.INT8), is_type(TensorType.UINT8)
is_narrow = is_type(*EIGHT, TensorType.INT16)


def float_rows(call: Call) -> bool:
    return is_float(call) and innermost(call)


def float_rows_avx512(call: Call) -> bool:
    return float_rows(call) and jit.isa() == "avx512"


def float_rows_avx2(call: Call) -> bool:
    return float_rows(call) and jit.isa() != "avx512"


def float_columns(call: Call) -> bool:
    return is_float(call) and not innermost(call)


def squares(call: Call) -> bool:
    """The squares of x are summed: x is what SQUARE or MUL(x, x) took."""
    return is_float(call) and len(call.merged) > 0


def squares_avx512(call: Call) -> bool:
    return squares(call) and jit.isa() == "avx512"


def square_rows(call: Call) -> bool:
    return squares(call) and innermost(call)


def square_rows_avx512(call: Call) -> bool:
    return square_rows(call) and jit.isa() == "avx512"


def float_stretches(call: Call) -> bool:
    return is_float(call) and stretches(call) > 1


def float_last(call: Call) -> bool:
    """One kept and then one reduced run of dimensions, sizes of 1 aside."""
    return is_float(call) and [r for _, r in groups(call.input(0).shape, reduced_axes(call), True)] == [False, True]


def is_image(call: Call) -> bool:
    """8 bits, [N, H, W, C] reduced over H and W, which stay as 1."""
    return (is_8bit(call) and len(call.input(0).shape) == 4 and call.options.keep_dims and reduced_axes(call) == {1, 2}
            and call.input(0).size > 0)


REF, DEL, OPT = frozenset({REFERENCE}), frozenset({DELEGATE}), frozenset({BUILTIN})
ROWS_AVX512, ROWS_AVX2 = sum_rows(sum_row_avx512, True), sum_rows(sum_row_avx2, False)
SQUARE_ROWS_AVX512, SQUARE_ROWS_AVX2 = sum_rows(squares_row_avx512, True), sum_rows(squares_row_avx2, False)
COLUMNS, SQUARE_COLUMNS_AVX512, SQUARE_COLUMNS_AVX2 = (sum_columns(add) for add in (plus, plus_square_fused, plus_square))
FIXED, FLOATS, DELEGATES = sum_quantized(fixed_tail), sum_quantized(float_tail), sum_quantized(delegate_tail)
SHARED = (
    float_sums("sum_squares", "squares_delegate", float_delegate_args, DEL, squares),
    float_sums("sum", "sum_delegate", float_delegate_args, DEL, is_float),
    narrow_sums("sum_delegate", tails.in_floats_delegate, delegate_tail_args, DEL, is_8bit),
    wide_sums("sum", integer_sum_args, ALL, is_wide),
    Kernel("sum_squares_float32_rows_avx512", SQUARE_ROWS_AVX512, rows_args, DEL, square_rows_avx512, outputs),
    Kernel("sum_squares_float32_rows_avx2", SQUARE_ROWS_AVX2, rows_args, DEL, square_rows, outputs),
    Kernel("sum_squares_float32_columns_avx512", SQUARE_COLUMNS_AVX512, float_delegate_args, DEL, squares_avx512, outputs),
    Kernel("sum_squares_float32_columns_avx2", SQUARE_COLUMNS_AVX2, float_delegate_args, DEL, squares, outputs),
    Kernel("sum_float32_rows_avx512", ROWS_AVX512, rows_args, DEL, float_rows_avx512, outputs),
    Kernel("sum_float32_rows_avx2", ROWS_AVX2, rows_args, DEL, float_rows_avx2, outputs),
    Kernel("sum_float32_columns", COLUMNS, float_delegate_args, DEL, float_columns, outputs),
    Kernel("sum_integer", sum_integer, integer_sum_args, ALL, is_wide, outputs),
    Kernel("sum_8bit_delegate", DELEGATES, delegate_tail_args, DEL, is_8bit, outputs),
)

MEAN = Op(
    code=BuiltinOperator.MEAN,
    inputs=(2, 2),
    outputs=(1, 1),
    types=("float32", "int8", "uint8", "int16", "int32", "int64"),
    infer=infer,
    kernels=(
        *SHARED,
        Kernel("mean_float32_rows_eigen", mean_float_rows, eigen_args, OPT, float_last, outputs),
        float_sums("sum_in_order", "sum", float_sum_args, REF | OPT, is_float),
        Kernel("sum_float32", sum_float, float_sum_args, REF | OPT, is_float, outputs),
        Kernel("mean_8bit_image", mean_image, image_args, OPT, is_image, outputs),
        narrow_sums("sum_fixed", tails.fixed, fixed_args, REF | OPT, is_narrow),
        Kernel("sum_fixed", FIXED, fixed_args, REF | OPT, is_narrow, outputs),
    ),
    delegated=delegated,
    spec="LiteRT tflite/kernels/reduce.cc EvalMean, tflite/kernels/internal/reference/reduce.h Mean, QuantizedMeanOrSum",
)

SUM = Op(
    code=BuiltinOperator.SUM,
    inputs=(2, 2),
    outputs=(1, 1),
    types=("float32", "int8", "uint8", "int16", "int32", "int64"),
    infer=infer,
    kernels=(
        *SHARED,
        Kernel("sum_float32_stretches", sum_float_stretches, float_stretches_args, REF, float_stretches),
        float_sums("sum_in_order", "sum", float_sum_args, REF | OPT, is_float),
        Kernel("sum_float32", sum_float, float_sum_args, REF | OPT, is_float, outputs),
        narrow_sums("sum_fixed_as_uint8", tails.fixed, as_uint8_args, REF, is_int8),
        Kernel("sum_fixed_as_uint8", FIXED, as_uint8_args, REF, is_int8, outputs),
        narrow_sums("sum_fixed", tails.fixed, fixed_args, REF, is_uint8),
        Kernel("sum_fixed", FIXED, fixed_args, REF, is_uint8, outputs),
        narrow_sums("sum_float_tail", tails.in_floats, float_tail_args, OPT, is_narrow),
        Kernel("sum_float_tail", FLOATS, float_tail_args, OPT, is_narrow, outputs),
    ),
    delegated=delegated,
    spec="LiteRT tflite/kernels/reduce.cc EvalSum, tflite/kernels/internal/reference/reduce.h ReduceGeneric, QuantizedMeanOrSum",
)
