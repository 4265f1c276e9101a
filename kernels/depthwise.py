"""DEPTHWISE_CONV_2D: slide a window over each channel by itself; every channel gives M output channels.

    y[n, i, j, o] = clamp(bias[o] + sum over p, q of  x[n, i*SH + p*DH - top, j*SW + q*DW - left, o // M] * w[0, p, q, o])

    x: [N, H, W, C]    w: [1, KH, KW, C * M]    bias: [C * M]    y: [N, OH, OW, C * M]

How the window moves is CONV_2D's; so are the sums of quantized values. Back to 8 bits the builtin kernel of int8 goes
its own way: it takes eight channels at a time and rounds those half up, and the channels that are left over as the
reference does.

Floats, in the order that is part of the answer:

    reference   sum of rounded products from 0 in the order p, q; then + bias
    builtin     the same sum, but started at the bias
    delegate    one chain of fused multiply-adds that starts at the bias, in the order q, p
                (more than one output for a channel, or more than 25 taps: p, q)

Source: LiteRT tflite/kernels/depthwise_conv.cc, internal/reference/depthwiseconv_float.h, optimized/depthwiseconv_float.h,
optimized/depthwiseconv_uint8.h, optimized/integer_ops/depthwise_conv.h; XNNPACK src/f32-dwconv, src/indirection.c.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinyinterp.schema import BuiltinOperator, TensorType

from .contract import ALL, BUILTIN, DELEGATE, REFERENCE, Call, Kernel, Op, Shape
from .conv import bias_or_zeros, float_args, float_clamp, is_8bit, is_float, quantized_args, rows, window
from .delegate import biased, channelwise, computes, requantizable, same_type, shaped, stored
from .gemm import Product, conv_gemm
from .gemm_hybrid import conv_hybrid
from .gemm_int import conv_gemm_int
from .gemm_int16 import conv_gemm_int16
from .hybrid import depthwise_definitions
from .int16 import convolves, depthwise_form, exact
from .machine import f32, fma
from .numerics import (
    clamp,
    padding,
    product_scales,
    requantize_builtin,
    requantize_delegate,
    requantize_int16,
    requantize_reference,
    wrap32,
)
from .windows import depthwise_float
from .windows_8bit import depthwise_8bit
from .windows_hybrid import depthwise_hybrid, multiple_form
from .windows_int16 import depthwise_int16
from .windows_wide import depthwise_large


# ---------------------------------------------------------------------------------------------------------- shapes
def infer(call: Call) -> tuple[Shape]:
    x, w, o = call.input(0), call.input(1), call.options
    call.need(len(x.shape) == 4, f"input->dims->size != 4 ({len(x.shape)} != 4): x is not [N, H, W, C]")
    call.need(len(w.shape) == 4, f"filter->dims->size != 4 ({len(w.shape)} != 4): w is not [1, KH, KW, O]")
    call.need(o.stride_h > 0 and o.stride_w > 0, f"strides {o.stride_h}, {o.stride_w} are not positive")
    call.need(o.dilation_h_factor > 0 and o.dilation_w_factor > 0, "dilation factors are not positive")
    call.need(min(x.shape[1:]) > 0 and min(w.shape) > 0, f"x {list(x.shape)} or w {list(w.shape)} has a dimension of 0")
    call.need(w.shape[0] == 1, f"w has {w.shape[0]} windows, needs 1")
    call.need(w.shape[3] % x.shape[3] == 0, f"{w.shape[3]} output channels are no multiple of x's {x.shape[3]}")
    bias = call.optional(2)
    call.need(bias is None or bias.size == w.shape[3], f"bias has {bias.size if bias else 0} values for {w.shape[3]} channels")
    oh, _ = padding(o.padding, x.shape[1], w.shape[1], o.stride_h, o.dilation_h_factor)
    ow, _ = padding(o.padding, x.shape[2], w.shape[2], o.stride_w, o.dilation_w_factor)
    return ((x.shape[0], oh, ow, w.shape[3]),)


def macs(call: Call) -> int:
    w = call.input(1).shape
    return call.output.size * w[1] * w[2]


# --------------------------------------------------------------------------------------------------------- kernels
def depthwise_float_reference(x: Any, w: Any, bias: Any, sh: int, sw: int, dh: int, dw: int, top: int, left: int,
                              lo: Any, hi: Any, y: Any, begin: int, end: int) -> None:
    """The definition, reference order. Rows begin to end of y, all images counted through."""
    multiple = w.shape[3] // x.shape[3]
    for row in range(begin, end):
        n, i = row // y.shape[1], row % y.shape[1]
        for j in range(y.shape[2]):
            for o in range(y.shape[3]):
                acc = f32(0)
                for p in range(w.shape[1]):
                    r = i * sh + p * dh - top
                    for q in range(w.shape[2]):
                        s = j * sw + q * dw - left
                        if 0 <= r < x.shape[1] and 0 <= s < x.shape[2]:
                            acc = acc + x[n, r, s, o // multiple] * w[0, p, q, o]
                y[n, i, j, o] = clamp(acc + bias[o], lo, hi)


def depthwise_float_builtin(x: Any, w: Any, bias: Any, sh: int, sw: int, dh: int, dw: int, top: int, left: int,
                            lo: Any, hi: Any, y: Any, begin: int, end: int) -> None:
    """The definition, builtin order. Sums are kept for as many pixels of a row as 4832 values hold; a NaN among the last
    one to three of them, which are no group of four, becomes hi."""
    multiple = w.shape[3] // x.shape[3]
    pixels = max(4832 // y.shape[3], 1)
    for row in range(begin, end):
        n, i = row // y.shape[1], row % y.shape[1]
        for j in range(y.shape[2]):
            first = j // pixels * pixels
            kept = min(y.shape[2] - first, pixels) * y.shape[3]
            for o in range(y.shape[3]):
                acc = bias[o]
                for p in range(w.shape[1]):
                    r = i * sh + p * dh - top
                    for q in range(w.shape[2]):
                        s = j * sw + q * dw - left
                        if 0 <= r < x.shape[1] and 0 <= s < x.shape[2]:
                            acc = acc + x[n, r, s, o // multiple] * w[0, p, q, o]
                if acc != acc and (j - first) * y.shape[3] + o >= kept - kept % 4:
                    acc = hi
                y[n, i, j, o] = clamp(acc, lo, hi)


def depthwise_float_delegate(x: Any, w: Any, bias: Any, sh: int, sw: int, dh: int, dw: int, top: int, left: int,
                             lo: Any, hi: Any, y: Any, begin: int, end: int) -> None:
    """The definition, delegate order. A cell outside the image is multiplied as 0: an infinite weight shows."""
    multiple = w.shape[3] // x.shape[3]
    taps = w.shape[1] * w.shape[2]
    by_column = multiple == 1 and taps <= 25
    for row in range(begin, end):
        n, i = row // y.shape[1], row % y.shape[1]
        for j in range(y.shape[2]):
            for o in range(y.shape[3]):
                acc = bias[o]
                for t in range(taps):
                    p = t % w.shape[1] if by_column else t // w.shape[2]
                    q = t // w.shape[1] if by_column else t % w.shape[2]
                    r = i * sh + p * dh - top
                    s = j * sw + q * dw - left
                    inside = 0 <= r < x.shape[1] and 0 <= s < x.shape[2]
                    acc = fma(x[n, r, s, o // multiple] if inside else f32(0), w[0, p, q, o], acc)
                y[n, i, j, o] = clamp(acc, lo, hi)


def depthwise_quantized(whole: Callable[..., Any], rest: Callable[..., Any],
                        kept: Callable[..., Any] = wrap32) -> Callable[..., None]:
    """The definition for integers: `whole` takes the channels of whole groups of eight back to the output's bits, `rest` the
    others; `kept`: the bits of a sum."""

    def run(x: Any, w: Any, bias: Any, multiplier: Any, shift: Any, x_zero: int, w_zero: int, sh: int, sw: int, dh: int,
            dw: int, top: int, left: int, y_zero: int, lo: int, hi: int, y: Any, begin: int, end: int) -> None:
        multiple = w.shape[3] // x.shape[3]
        grouped = y.shape[3] - y.shape[3] % 8
        for row in range(begin, end):
            n, i = row // y.shape[1], row % y.shape[1]
            for j in range(y.shape[2]):
                for o in range(y.shape[3]):
                    acc = int(bias[o])
                    for p in range(w.shape[1]):
                        r = i * sh + p * dh - top
                        for q in range(w.shape[2]):
                            s = j * sw + q * dw - left
                            if 0 <= r < x.shape[1] and 0 <= s < x.shape[2]:
                                acc += (int(x[n, r, s, o // multiple]) - x_zero) * (int(w[0, p, q, o]) - w_zero)
                    if o < grouped:
                        acc = whole(kept(acc), multiplier[o], shift[o])
                    else:
                        acc = rest(kept(acc), multiplier[o], shift[o])
                    y[n, i, j, o] = clamp(acc + y_zero, lo, hi)

    return run


# -------------------------------------------------------------------------------------------------------------- op
def is_grouped(call: Call) -> bool:
    """int8 in the builtin kernel; uint8 goes the reference's way there."""
    return is_8bit(call) and call.input(0).type == TensorType.INT8


def delegated(call: Call) -> bool:
    x, w, bias, y = call.input(0), call.input(1), call.optional(2), call.output
    return (computes(x, y) and same_type(x, w, y) and shaped(x, 4, 4) and shaped(y, 4, 4) and shaped(w, 4, 4)
            and channelwise(w, 3, w.shape[3]) and stored(w) and biased(bias) and requantizable(x, w, y)
            and call.options.depth_multiplier * x.shape[3] == w.shape[3])


def product(call: Call) -> Product:
    """A convolution of as many groups as input channels: how several output channels for each are computed."""
    x, w, y = call.input(0), call.input(1), call.output
    assert w.known is not None
    kh, kw, channels = w.shape[1:]
    bias = bias_or_zeros(call, channels, np.float32 if w.dtype == np.float32 else np.int32)
    return Product(x.view(), x.shape, w.known.reshape(kh, kw, channels).transpose(2, 0, 1)[..., None], bias, window(call),
                   y.view(), y.shape, w.zero_point if w.dtype == np.uint8 else 0)


def scales(call: Call) -> tuple[np.ndarray, np.ndarray]:
    return product_scales(call, call.input(0), call.input(1), call.input(1).shape[3])


def several(call: Call) -> bool:
    """More than one output channel for each input channel: the delegate takes the taps row by row then, like everybody."""
    return call.input(1).shape[3] > call.input(0).shape[3] and call.output.size > 0 and call.numerics != BUILTIN


def is_multiple_float(call: Call) -> bool:
    return is_float(call) and several(call)


def is_multiple_8bit(call: Call) -> bool:
    return is_8bit(call) and several(call)


REFERENCE_8BIT = depthwise_quantized(requantize_reference, requantize_reference)

DEPTHWISE_CONV_2D = Op(
    code=BuiltinOperator.DEPTHWISE_CONV_2D,
    inputs=(2, 3),
    outputs=(1, 1),
    optional=frozenset({2}),
    types=("float32", "int8", "uint8", "int16*int8", "float32*int8"),
    infer=infer,
    kernels=(
        depthwise_float(is_float),
        depthwise_hybrid,
        conv_hybrid("depthwise", product, multiple_form, float_clamp),
        depthwise_8bit(is_8bit),
        depthwise_large(is_float, is_8bit),
        conv_gemm("depthwise", product, is_multiple_float, float_clamp),
        conv_gemm_int("depthwise", product, is_multiple_8bit, {n: n for n in (REFERENCE, DELEGATE)}, scales),
        depthwise_int16(convolves(64), scales),
        conv_gemm_int16("depthwise", product, depthwise_form, scales),
        Kernel("depthwise_float32_delegate", depthwise_float_delegate, float_args(3), frozenset({DELEGATE}), is_float, rows),
        Kernel("depthwise_float32_builtin", depthwise_float_builtin, float_args(3), frozenset({BUILTIN}), is_float, rows),
        Kernel("depthwise_float32_reference", depthwise_float_reference, float_args(3), frozenset({REFERENCE}), is_float, rows),
        Kernel("depthwise_8bit_delegate", depthwise_quantized(requantize_delegate, requantize_delegate), quantized_args(3),
               frozenset({DELEGATE}), is_8bit, rows),
        Kernel("depthwise_int8_builtin", depthwise_quantized(requantize_builtin, requantize_reference), quantized_args(3),
               frozenset({BUILTIN}), is_grouped, rows),
        Kernel("depthwise_8bit_reference", REFERENCE_8BIT, quantized_args(3), frozenset({REFERENCE, BUILTIN}), is_8bit, rows),
        Kernel("depthwise_int16", depthwise_quantized(requantize_int16, requantize_int16, exact), quantized_args(3), ALL,
               convolves(64), rows),
        *depthwise_definitions(window),
    ),
    delegated=delegated,
    macs=macs,
    spec="LiteRT tflite/kernels/depthwise_conv.cc, tflite/kernels/internal/reference/integer_ops/depthwise_conv.h",
)
