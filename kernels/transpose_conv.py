"""TRANSPOSE_CONV: the convolution that enlarges. Every cell of x adds its multiple of the window to y.

    y[n, i, j, o] = clamp(bias[o] + sum over p, q, c of  x[n, r, s, c] * w[o, p, q, c])    with r*SH = i + top - p,
                                                                                                s*SW = j + left - q

    shape: [4] int32, the shape of y    w: [O, KH, KW, C]    x: [N, H, W, C]    bias: [O]    y: [N, OH, OW, O]

A tap p, q counts where i + top - p is a multiple of the stride and r lies in the image, s likewise. The padding is that
of the CONV_2D that makes x's size out of y's. Integer sums are exact; back to 8 bits as in CONV_2D, but for the builtin
kernels, which round half up in groups only (int8, int16: eight channels; uint8: sixteen values of the whole output) and
what is left over as the reference does. int16 has int64 sums, or int32 ones when the options say so.

Floats, in the order that is part of the answer:

    reference   sum of rounded products from 0, r and s ascending, then c; then + bias
    builtin     for each cell r, s the sum over c in the order of `product.py`; these are added from 0; then + bias
    delegate    one chain of fused multiply-adds that starts at the bias, p and q ascending, then c

Source: LiteRT tflite/kernels/transpose_conv.cc, internal/reference/transpose_conv.h, integer_ops/transpose_conv.h,
internal/optimized/optimized_ops.h (TransposeConvV2, Quantize); XNNPACK src/operators/deconvolution-nhwc.c.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinyinterp.schema import BuiltinOperator, Padding, TensorType

from .contract import ALL, BUILTIN, DELEGATE, REFERENCE, Arg, Call, Kernel, Op, Shape
from .conv import rows
from .delegate import biased, channelwise, computes, multiplied, requantizable, same_type, shaped, stored
from .hybrid import transpose_definitions
from .machine import f32, fma
from .numerics import (
    clamp,
    float_range,
    padding,
    product_scales,
    quantized_range,
    requantize_builtin,
    requantize_delegate,
    requantize_int16,
    requantize_reference,
)
from .product import block_of, order_of, sum_of_products
from .transpose_gemm import transpose_8bit, transpose_float
from .transpose_hybrid import transpose_hybrid
from .transpose_int16 import transpose_int16


# ---------------------------------------------------------------------------------------------------------- shapes
def infer(call: Call) -> tuple[Shape]:
    shape, w, x, o = call.input(0), call.input(1), call.input(2), call.options
    call.need(shape.shape == (4,) and shape.type == TensorType.INT32,
              f"shape is {shape.type.name}{list(shape.shape)}, needs INT32[4]")
    call.need(len(x.shape) == 4, f"x has {len(x.shape)} dimensions, needs [N, H, W, C]")
    call.need(len(w.shape) == 4, f"w has {len(w.shape)} dimensions, needs [O, KH, KW, C]")
    call.need(o.stride_h > 0 and o.stride_w > 0, f"strides {o.stride_h}, {o.stride_w} are not positive")
    call.need(min(x.shape[1:]) > 0 and min(w.shape) > 0, f"x {list(x.shape)} or w {list(w.shape)} has a dimension of 0")
    call.need(x.shape[3] == w.shape[3], f"x has {x.shape[3]} channels, w expects {w.shape[3]}")
    bias = call.optional(3)
    call.need(bias is None or bias.size == w.shape[0], f"bias has {bias.size if bias else 0} values for {w.shape[0]} channels")
    n, oh, ow, channels = (int(d) for d in call.value(0))
    call.need(n == x.shape[0] and channels == w.shape[0] and oh > 0 and ow > 0,
              f"shape {[n, oh, ow, channels]} does not fit x {list(x.shape)} and w {list(w.shape)}")
    h, _ = padding(o.padding, oh, w.shape[1], o.stride_h)
    v, _ = padding(o.padding, ow, w.shape[2], o.stride_w)
    call.need((h, v) == x.shape[1:3], f"an output of {oh} x {ow} needs an input of {h} x {v}, x is {list(x.shape)}")
    return ((n, oh, ow, channels),)


def macs(call: Call) -> int:
    return call.input(2).size * call.input(1).size // call.input(1).shape[3]


# ---------------------------------------------------------------------------------------- settled before the first run
def geometry(call: Call) -> tuple[int, int, int, int]:
    """Strides and padding, in the order that the kernels take them."""
    w, y, o = call.input(1), call.output, call.options
    _, top = padding(o.padding, y.shape[1], w.shape[1], o.stride_h)
    _, left = padding(o.padding, y.shape[2], w.shape[2], o.stride_w)
    return o.stride_h, o.stride_w, top, left


def bias_or_zeros(call: Call, dtype: Any) -> Any:
    bias, channels = call.optional(3), call.input(1).shape[0]
    return np.zeros(channels, dtype) if bias is None else bias.view(channels)


def float_args(call: Call, params: None) -> tuple[Arg, ...]:
    lo, hi = float_range(call.options.fused_activation_function, call)
    return (call.input(2).view(), call.input(1).view(), bias_or_zeros(call, np.float32), *geometry(call), lo, hi,
            call.output.view())


def matrix_args(call: Call, params: None) -> tuple[Arg, ...]:
    """x and w as matrices beside what `float_args` has, and how many k are summed at a time."""
    w, x, y = call.input(1), call.input(2), call.output
    lo, hi = float_range(call.options.fused_activation_function, call)
    block = block_of(w.size // w.shape[3], x.shape[1] * x.shape[2], w.shape[3])
    return (x.view(x.size // x.shape[3], x.shape[3]), w.view(w.size // w.shape[3], w.shape[3]), bias_or_zeros(call, np.float32),
            x.shape[1], x.shape[2], w.shape[1], w.shape[2], *geometry(call), block, lo, hi, y.view())


def quantized_args(call: Call, params: None) -> tuple[Arg, ...]:
    w, x, y = call.input(1), call.input(2), call.output
    multiplier, shift = product_scales(call, x, w, w.shape[0])
    lo, hi = quantized_range(call.options.fused_activation_function, call)
    zero = w.zero_point if w.dtype == np.uint8 else 0
    return (x.view(), w.view(), bias_or_zeros(call, np.int32), multiplier, shift, x.zero_point, zero, *geometry(call),
            y.zero_point, lo, hi, y.view())


# --------------------------------------------------------------------------------------------------------- kernels
def transpose_conv_float_reference(x: Any, w: Any, bias: Any, sh: int, sw: int, top: int, left: int, lo: Any, hi: Any,
                                   y: Any, begin: int, end: int) -> None:
    """The definition, reference order. Rows begin to end of y, all images counted through."""
    for row in range(begin, end):
        n, i = row // y.shape[1], row % y.shape[1]
        for j in range(y.shape[2]):
            for o in range(y.shape[3]):
                acc = f32(0)
                for p in range(w.shape[1] - 1, -1, -1):
                    r = (i + top - p) // sh
                    if r * sh == i + top - p and 0 <= r < x.shape[1]:
                        for q in range(w.shape[2] - 1, -1, -1):
                            s = (j + left - q) // sw
                            if s * sw == j + left - q and 0 <= s < x.shape[2]:
                                for c in range(x.shape[3]):
                                    acc = acc + x[n, r, s, c] * w[o, p, q, c]
                y[n, i, j, o] = clamp(acc + bias[o], lo, hi)


def transpose_conv_float_builtin(x: Any, w: Any, bias: Any, h: int, v: int, kh: int, kw: int, sh: int, sw: int, top: int,
                                 left: int, block: int, lo: Any, hi: Any, y: Any, begin: int, end: int) -> None:
    """The definition, builtin order: one matrix product for each image, of [KH, KW, O] rows by H * W columns.

    x: [N * H * W, C]    w: [O * KH * KW, C]
    """
    channels = y.shape[3]
    for row in range(begin, end):
        n, i = row // y.shape[1], row % y.shape[1]
        for j in range(y.shape[2]):
            for o in range(channels):
                acc = f32(0)
                for p in range(kh - 1, -1, -1):
                    r = (i + top - p) // sh
                    if r * sh == i + top - p and 0 <= r < h:
                        for q in range(kw - 1, -1, -1):
                            s = (j + left - q) // sw
                            if s * sw == j + left - q and 0 <= s < v:
                                order = order_of((p * kw + q) * channels + o, r * v + s, kh * kw * channels, h * v, x.shape[1])
                                acc = acc + sum_of_products(w, (o * kh + p) * kw + q, x, (n * h + r) * v + s, order, block)
                y[n, i, j, o] = clamp(acc + bias[o], lo, hi)


def transpose_conv_float_delegate(x: Any, w: Any, bias: Any, sh: int, sw: int, top: int, left: int, lo: Any, hi: Any,
                                  y: Any, begin: int, end: int) -> None:
    """The definition, delegate order. A cell outside the image is multiplied as 0, and with a stride longer than the window
    so is every tap that does not count: an infinite weight shows."""
    every = sh > w.shape[1] or sw > w.shape[2]
    for row in range(begin, end):
        n, i = row // y.shape[1], row % y.shape[1]
        for j in range(y.shape[2]):
            for o in range(y.shape[3]):
                acc = bias[o]
                for p in range(w.shape[1]):
                    r = (i + top - p) // sh
                    counts = r * sh == i + top - p
                    if counts or every:
                        for q in range(w.shape[2]):
                            s = (j + left - q) // sw
                            both = counts and s * sw == j + left - q
                            if both or every:
                                inside = both and 0 <= r < x.shape[1] and 0 <= s < x.shape[2]
                                for c in range(x.shape[3]):
                                    acc = fma(x[n, r, s, c] if inside else f32(0), w[o, p, q, c], acc)
                y[n, i, j, o] = clamp(acc, lo, hi)


def transpose_conv_quantized(whole: Callable[..., Any], rest: Callable[..., Any], flat: bool = False) -> Callable[..., None]:
    """The definition for integers: `whole` takes groups of eight channels (flat: of sixteen values of y) back to the
    output's bits, `rest` what is left over."""

    def run(x: Any, w: Any, bias: Any, multiplier: Any, shift: Any, x_zero: int, w_zero: int, sh: int, sw: int, top: int,
            left: int, y_zero: int, lo: int, hi: int, y: Any, begin: int, end: int) -> None:
        channels = y.shape[3]
        grouped = y.size - y.size % 16 if flat else channels - channels % 8
        for row in range(begin, end):
            n, i = row // y.shape[1], row % y.shape[1]
            for j in range(y.shape[2]):
                for o in range(channels):
                    acc = int(bias[o])
                    for p in range(w.shape[1]):
                        r = (i + top - p) // sh
                        if r * sh == i + top - p and 0 <= r < x.shape[1]:
                            for q in range(w.shape[2]):
                                s = (j + left - q) // sw
                                if s * sw == j + left - q and 0 <= s < x.shape[2]:
                                    for c in range(x.shape[3]):
                                        acc += (int(x[n, r, s, c]) - x_zero) * (int(w[o, p, q, c]) - w_zero)
                    if ((row * y.shape[2] + j) * channels + o if flat else o) < grouped:
                        acc = whole(acc, multiplier[o], shift[o])
                    else:
                        acc = rest(acc, multiplier[o], shift[o])
                    y[n, i, j, o] = clamp(acc + y_zero, lo, hi)

    return run


# -------------------------------------------------------------------------------------------------------------- op
def is_float(call: Call) -> bool:
    return all(t.type == TensorType.FLOAT32 for t in (call.input(1), call.input(2), call.output))


def is_8bit(call: Call) -> bool:
    """int8 by int8 or uint8 by uint8, with an int32 bias or none."""
    w, x, bias = call.input(1), call.input(2), call.optional(3)
    return (same_type(x, w, call.output) and x.type in (TensorType.INT8, TensorType.UINT8)
            and (bias is None or bias.type == TensorType.INT32))


def is_uint8(call: Call) -> bool:
    return is_8bit(call) and call.input(2).type == TensorType.UINT8


def is_int8(call: Call) -> bool:
    return is_8bit(call) and call.input(2).type == TensorType.INT8


def is_int16(bits: TensorType) -> Callable[[Call], bool]:
    """int16 by int8 with sums of these bits; all zero points are 0."""

    def when(call: Call) -> bool:
        w, x, bias, y = call.input(1), call.input(2), call.optional(3), call.output
        asked = call.options.quantized_bias_type
        return (x.type == y.type == TensorType.INT16 and w.type == TensorType.INT8 and x.zero_point == y.zero_point == 0
                and (asked if asked != TensorType.FLOAT32 else TensorType.INT64) == bits and (bias is None or bias.type == bits))

    return when


def delegated(call: Call) -> bool:
    w, x, bias, y, o = call.input(1), call.input(2), call.optional(3), call.output, call.options
    same = o.padding == Padding.SAME
    return (computes(x, y) and multiplied(x, w, y) and shaped(x, 4, 4) and shaped(y, 4, 4) and shaped(w, 4, 4)
            and channelwise(w, 0, w.shape[0]) and stored(call.input(0), w) and (bias is None or biased(bias))
            and requantizable(x, w, y) and not (same and (w.shape[1] < o.stride_h or w.shape[2] < o.stride_w)))


_8BIT_REFERENCE = transpose_conv_quantized(requantize_reference, requantize_reference)
_GROUPED = transpose_conv_quantized(requantize_builtin, requantize_reference)
_INT16_WIDE, _INT16_NARROW = is_int16(TensorType.INT64), is_int16(TensorType.INT32)

TRANSPOSE_CONV = Op(
    code=BuiltinOperator.TRANSPOSE_CONV,
    inputs=(3, 4),
    outputs=(1, 1),
    optional=frozenset({3}),
    types=("float32", "int8", "uint8", "int16*int8", "float32*int8"),
    infer=infer,
    kernels=(
        transpose_float(is_float, float_args),
        transpose_8bit(is_8bit, quantized_args),
        transpose_hybrid(geometry),
        transpose_int16(_INT16_WIDE, _INT16_NARROW, quantized_args),
        Kernel("transpose_conv_float32_delegate", transpose_conv_float_delegate, float_args, frozenset({DELEGATE}), is_float,
               rows),
        Kernel("transpose_conv_float32_builtin", transpose_conv_float_builtin, matrix_args, frozenset({BUILTIN}), is_float, rows),
        Kernel("transpose_conv_float32_reference", transpose_conv_float_reference, float_args, frozenset({REFERENCE}), is_float,
               rows),
        Kernel("transpose_conv_8bit_delegate", transpose_conv_quantized(requantize_delegate, requantize_delegate), quantized_args,
               frozenset({DELEGATE}), is_8bit, rows),
        Kernel("transpose_conv_uint8_builtin", transpose_conv_quantized(requantize_builtin, requantize_reference, True),
               quantized_args, frozenset({BUILTIN}), is_uint8, rows),
        Kernel("transpose_conv_int8_builtin", _GROUPED, quantized_args, frozenset({BUILTIN}), is_int8, rows),
        Kernel("transpose_conv_8bit_reference", _8BIT_REFERENCE, quantized_args, frozenset({REFERENCE}), is_8bit, rows),
        Kernel("transpose_conv_int16_wide", transpose_conv_quantized(requantize_int16, requantize_int16), quantized_args, ALL,
               _INT16_WIDE, rows),
        Kernel("transpose_conv_int16_builtin", _GROUPED, quantized_args, frozenset({BUILTIN}), _INT16_NARROW, rows),
        Kernel("transpose_conv_int16_reference", _8BIT_REFERENCE, quantized_args, frozenset({REFERENCE}), _INT16_NARROW, rows),
        *transpose_definitions(geometry),
    ),
    delegated=delegated,
    macs=macs,
    spec="LiteRT tflite/kernels/transpose_conv.cc, tflite/kernels/internal/reference/integer_ops/transpose_conv.h",
)
