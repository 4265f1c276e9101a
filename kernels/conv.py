"""CONV_2D: slide a window over an image; every output channel has its own window of weights.

    y[n, i, j, o] = clamp(bias[o] + sum over p, q, c of  x[n, i*SH + p*DH - top, j*SW + q*DW - left, c] * w[o, p, q, c])

    x: [N, H, W, C]    w: [O, KH, KW, C / groups]    bias: [O]    y: [N, OH, OW, O]

Cells outside the image count as zero (quantized: as the zero point, so that they add nothing). With groups, output
channel o sees only the C / groups input channels of its group.

Quantized, real = scale * (q - zero_point) turns the sum of products into an exact integer sum; the bias is int32 at
scale sx * sw[o]. The sum is the same in all three numerics, only the way back to 8 bits differs (`numerics.py`).

Floats have no exact sums, so the order is part of the answer:

    reference   sum of rounded products from 0 in the order p, q, c; then + bias
    builtin     the same products as one matrix product over all pixels, in its order (`product.py`); then + bias
    delegate    one chain of fused multiply-adds that starts at the bias, in the order p, q, c
                (one input and one output channel a group and at most 25 taps: q, p)

With more than one group the builtin kernel is the reference's, for every type.

Source: LiteRT tflite/kernels/conv.cc, internal/reference/conv.h, integer_ops/conv.h; XNNPACK src/f32-igemm.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from tinyinterp.schema import BuiltinOperator, TensorType

from .contract import ALL, BUILTIN, DELEGATE, REFERENCE, Arg, Call, Kernel, Op, Scratch, Shape
from .delegate import biased, channelwise, computes, multiplied, requantizable, same_type, shaped, stored
from .gemm import Product, conv_gemm
from .gemm_amx import conv_amx
from .gemm_hybrid import conv_hybrid
from .gemm_hybrid_amx import conv_hybrid_amx
from .gemm_int import conv_gemm_int
from .gemm_int16 import conv_gemm_int16
from .hybrid import conv_definitions, images_form
from .int16 import conv_form, exact, goes_back
from .machine import f32, fma
from .numerics import (
    REQUANTIZE,
    clamp,
    float_range,
    padding,
    product_scales,
    quantized_range,
    requantize_int16,
    wrap32,
)
from .product import block_of, order_of, sum_of_products


# ---------------------------------------------------------------------------------------------------------- shapes
def infer(call: Call) -> tuple[Shape]:
    x, w, o = call.input(0), call.input(1), call.options
    call.need(len(x.shape) == 4, f"input->dims->size != 4 ({len(x.shape)} != 4): x is not [N, H, W, C]")
    call.need(len(w.shape) == 4, f"filter->dims->size != 4 ({len(w.shape)} != 4): w is not [O, KH, KW, C]")
    call.need(o.stride_h > 0 and o.stride_w > 0, f"strides {o.stride_h}, {o.stride_w} are not positive")
    call.need(o.dilation_h_factor > 0 and o.dilation_w_factor > 0, "dilation factors are not positive")
    call.need(w.shape[3] > 0 and x.shape[3] % w.shape[3] == 0, f"x has {x.shape[3]} channels, w expects {w.shape[3]}")
    groups = x.shape[3] // w.shape[3]
    call.need(groups > 0 and w.shape[0] % groups == 0, f"{w.shape[0]} output channels do not divide into {groups} groups")
    bias = call.optional(2)
    call.need(bias is None or bias.size == w.shape[0], f"bias has {bias.size if bias else 0} values for {w.shape[0]} channels")
    oh, _ = padding(o.padding, x.shape[1], w.shape[1], o.stride_h, o.dilation_h_factor)
    ow, _ = padding(o.padding, x.shape[2], w.shape[2], o.stride_w, o.dilation_w_factor)
    return ((x.shape[0], oh, ow, w.shape[0]),)


def macs(call: Call) -> int:
    w = call.input(1).shape
    return call.output.size * w[1] * w[2] * w[3]


# ---------------------------------------------------------------------------------------- settled before the first run
class Window(NamedTuple):
    """How the window moves, in the order that the kernels take it."""

    stride_h: int
    stride_w: int
    dilation_h: int
    dilation_w: int
    top: int
    left: int


def window(call: Call) -> Window:
    x, w, o = call.input(0), call.input(1), call.options
    _, top = padding(o.padding, x.shape[1], w.shape[1], o.stride_h, o.dilation_h_factor)
    _, left = padding(o.padding, x.shape[2], w.shape[2], o.stride_w, o.dilation_w_factor)
    return Window(o.stride_h, o.stride_w, o.dilation_h_factor, o.dilation_w_factor, top, left)


def bias_or_zeros(call: Call, channels: int, dtype: Any) -> Any:
    bias = call.optional(2)
    return np.zeros(channels, dtype) if bias is None else bias.view(channels)


def float_args(axis: int) -> Callable[[Call, None], tuple[Arg, ...]]:
    """The arguments of a float kernel whose weights have the output channels along `axis`."""

    def args(call: Call, params: None) -> tuple[Arg, ...]:
        x, w, o = call.input(0), call.input(1), call.options
        lo, hi = float_range(o.fused_activation_function, call)
        return (x.view(), w.view(), bias_or_zeros(call, w.shape[axis], np.float32), *window(call), lo, hi, call.output.view())

    return args


def quantized_args(axis: int) -> Callable[[Call, None], tuple[Arg, ...]]:
    """The arguments of an 8-bit kernel whose weights have the output channels along `axis`."""

    def args(call: Call, params: None) -> tuple[Arg, ...]:
        x, w, o, y = call.input(0), call.input(1), call.options, call.output
        multiplier, shift = product_scales(call, x, w, w.shape[axis])
        lo, hi = quantized_range(o.fused_activation_function, call)
        zero = w.zero_point if w.dtype == np.uint8 else 0
        return (x.view(), w.view(), bias_or_zeros(call, w.shape[axis], np.int32), multiplier, shift, x.zero_point, zero,
                *window(call), y.zero_point, lo, hi, y.view())

    return args


def matrix_args(call: Call, params: None) -> tuple[Arg, ...]:
    """As `float_args`, with w as a matrix beside its window, memory for a pixel's cells, and how many products are summed
    at a time."""
    x, w, y = call.input(0), call.input(1), call.output
    depth, pixels = w.shape[1] * w.shape[2] * w.shape[3], y.size // y.shape[3]
    lo, hi = float_range(call.options.fused_activation_function, call)
    return (x.view(), w.view(w.shape[0], depth), bias_or_zeros(call, w.shape[0], np.float32), w.shape[1], w.shape[2],
            *window(call), Scratch(np.dtype(np.float32), (1, depth)), pixels, block_of(w.shape[0], pixels, depth),
            lo, hi, y.view())


def rows(call: Call) -> int:
    """Threads share the rows of the output."""
    return call.output.shape[0] * call.output.shape[1]


# --------------------------------------------------------------------------------------------------------- kernels
def conv_float_reference(x: Any, w: Any, bias: Any, sh: int, sw: int, dh: int, dw: int, top: int, left: int,
                         lo: Any, hi: Any, y: Any, begin: int, end: int) -> None:
    """The definition, reference order. Rows begin to end of y, all images counted through."""
    group = y.shape[3] // (x.shape[3] // w.shape[3])  # output channels a group
    for row in range(begin, end):
        n, i = row // y.shape[1], row % y.shape[1]
        for j in range(y.shape[2]):
            for o in range(y.shape[3]):
                first = o // group * w.shape[3]
                acc = f32(0)
                for p in range(w.shape[1]):
                    r = i * sh + p * dh - top
                    for q in range(w.shape[2]):
                        s = j * sw + q * dw - left
                        if 0 <= r < x.shape[1] and 0 <= s < x.shape[2]:
                            for c in range(w.shape[3]):
                                acc = acc + x[n, r, s, first + c] * w[o, p, q, c]
                y[n, i, j, o] = clamp(acc + bias[o], lo, hi)


def conv_float_delegate(x: Any, w: Any, bias: Any, sh: int, sw: int, dh: int, dw: int, top: int, left: int,
                        lo: Any, hi: Any, y: Any, begin: int, end: int) -> None:
    """The definition, delegate order. A cell outside the image is multiplied as 0: an infinite weight shows."""
    group = y.shape[3] // (x.shape[3] // w.shape[3])
    taps = w.shape[1] * w.shape[2]
    by_column = w.shape[3] == 1 and group == 1 and taps <= 25
    for row in range(begin, end):
        n, i = row // y.shape[1], row % y.shape[1]
        for j in range(y.shape[2]):
            for o in range(y.shape[3]):
                first = o // group * w.shape[3]
                acc = bias[o]
                for t in range(taps):
                    p = t % w.shape[1] if by_column else t // w.shape[2]
                    q = t // w.shape[1] if by_column else t % w.shape[2]
                    r = i * sh + p * dh - top
                    s = j * sw + q * dw - left
                    if 0 <= r < x.shape[1] and 0 <= s < x.shape[2]:
                        for c in range(w.shape[3]):
                            acc = fma(x[n, r, s, first + c], w[o, p, q, c], acc)
                    else:
                        for c in range(w.shape[3]):
                            acc = fma(f32(0), w[o, p, q, c], acc)
                y[n, i, j, o] = clamp(acc, lo, hi)


def conv_float_builtin(x: Any, w: Any, bias: Any, kh: int, kw: int, sh: int, sw: int, dh: int, dw: int, top: int, left: int,
                       cells: Any, pixels: int, block: int, lo: Any, hi: Any, y: Any, begin: int, end: int) -> None:
    """The definition, builtin order, for one group. w: [O, KH * KW * C], cells: [1, KH * KW * C] of a pixel, where one
    outside the image is 0."""
    channels = x.shape[3]
    for row in range(begin, end):
        n, i = row // y.shape[1], row % y.shape[1]
        for j in range(y.shape[2]):
            pixel = row * y.shape[2] + j
            for t in range(kh * kw):
                r, s = i * sh + t // kw * dh - top, j * sw + t % kw * dw - left
                inside = 0 <= r < x.shape[1] and 0 <= s < x.shape[2]
                for c in range(channels):
                    cells[0, t * channels + c] = x[n, r, s, c] if inside else f32(0)
            for o in range(y.shape[3]):
                order = order_of(o, pixel, w.shape[0], pixels, w.shape[1])
                y[n, i, j, o] = clamp(sum_of_products(w, o, cells, 0, order, block) + bias[o], lo, hi)


def conv_quantized(requantize: Callable[..., Any], kept: Callable[..., Any] = wrap32) -> Callable[..., None]:
    """The definition for integers, with one of the ways back to the output's bits; `kept`: the bits of a sum."""

    def run(x: Any, w: Any, bias: Any, multiplier: Any, shift: Any, x_zero: int, w_zero: int, sh: int, sw: int, dh: int,
            dw: int, top: int, left: int, y_zero: int, lo: int, hi: int, y: Any, begin: int, end: int) -> None:
        group = y.shape[3] // (x.shape[3] // w.shape[3])
        for row in range(begin, end):
            n, i = row // y.shape[1], row % y.shape[1]
            for j in range(y.shape[2]):
                for o in range(y.shape[3]):
                    first = o // group * w.shape[3]
                    acc = int(bias[o])
                    for p in range(w.shape[1]):
                        r = i * sh + p * dh - top
                        for q in range(w.shape[2]):
                            s = j * sw + q * dw - left
                            if 0 <= r < x.shape[1] and 0 <= s < x.shape[2]:
                                for c in range(w.shape[3]):
                                    acc += (int(x[n, r, s, first + c]) - x_zero) * (int(w[o, p, q, c]) - w_zero)
                    y[n, i, j, o] = clamp(requantize(kept(acc), multiplier[o], shift[o]) + y_zero, lo, hi)

    return run


# -------------------------------------------------------------------------------------------------------------- op
def is_float(call: Call) -> bool:
    return all(t.type == TensorType.FLOAT32 for t in (call.input(0), call.input(1), call.output))


def is_8bit(call: Call) -> bool:
    """int8 by int8 or uint8 by uint8, with an int32 bias or none."""
    x, w, bias = call.input(0), call.input(1), call.optional(2)
    return (same_type(x, w, call.output) and x.type in (TensorType.INT8, TensorType.UINT8)
            and (bias is None or bias.type == TensorType.INT32))


def one_group(call: Call) -> bool:
    return call.input(0).shape[3] == call.input(1).shape[3]


def is_float_matrix(call: Call) -> bool:
    """Float and one group: what the builtin kernel makes one matrix product of."""
    return is_float(call) and one_group(call)


def is_8bit_matrix(call: Call) -> bool:
    return is_8bit(call) and one_group(call)


def delegated(call: Call) -> bool:
    x, w, bias = call.input(0), call.input(1), call.optional(2)
    return (computes(x, call.output) and multiplied(x, w, call.output) and shaped(x, 4, 4) and shaped(call.output, 4, 4)
            and shaped(w, 4, 4) and channelwise(w, 0, w.shape[0]) and stored(w) and biased(bias)
            and requantizable(x, w, call.output))


def product(call: Call) -> Product:
    """What `gemm.py` needs of a convolution whose weights are known."""
    x, w, y = call.input(0), call.input(1), call.output
    assert w.known is not None
    bias = bias_or_zeros(call, w.shape[0], np.float32 if w.dtype == np.float32 else np.int32)
    return Product(x.view(), x.shape, w.known.reshape(w.shape), bias, window(call), y.view(), y.shape,
                   w.zero_point if w.dtype == np.uint8 else 0)


def float_clamp(call: Call) -> tuple[Any, Any]:
    return float_range(call.options.fused_activation_function, call)


def is_gemm(call: Call) -> bool:
    """Float, and not the delegate's depthwise case, whose taps run column by column."""
    x, w = call.input(0), call.input(1)
    depthwise = w.shape[3] == 1 and w.shape[0] * w.shape[3] == x.shape[3] and w.shape[1] * w.shape[2] <= 25
    return (is_float(call) and call.output.size > 0 and not (depthwise and call.numerics == DELEGATE)
            and not (call.numerics == BUILTIN and one_group(call)))


def is_gemm_8bit(call: Call) -> bool:
    return is_8bit(call) and call.output.size > 0 and (call.numerics != BUILTIN or one_group(call))


def scales(call: Call) -> tuple[np.ndarray, np.ndarray]:
    return product_scales(call, call.input(0), call.input(1), call.input(1).shape[0])


TAILS = {n: n for n in (REFERENCE, BUILTIN, DELEGATE)}

CONV_2D = Op(
    code=BuiltinOperator.CONV_2D,
    inputs=(2, 3),
    outputs=(1, 1),
    optional=frozenset({2}),
    types=("float32", "int8", "uint8", "int16*int8", "float32*int8"),
    infer=infer,
    kernels=(
        conv_gemm("conv", product, is_gemm, float_clamp),
        conv_amx("conv", product, is_gemm_8bit, TAILS, scales),
        conv_gemm_int("conv", product, is_gemm_8bit, TAILS, scales),
        conv_hybrid_amx("conv", product, images_form, float_clamp),
        conv_hybrid("conv", product, images_form, float_clamp),
        conv_gemm_int16("conv", product, conv_form, scales),
        Kernel("conv_float32_builtin", conv_float_builtin, matrix_args, frozenset({BUILTIN}), is_float_matrix, rows),
        Kernel("conv_float32_reference", conv_float_reference, float_args(0), frozenset({REFERENCE, BUILTIN}), is_float, rows),
        Kernel("conv_float32_delegate", conv_float_delegate, float_args(0), frozenset({DELEGATE}), is_float, rows),
        Kernel("conv_8bit_delegate", conv_quantized(REQUANTIZE[DELEGATE]), quantized_args(0), frozenset({DELEGATE}), is_8bit,
               rows),
        Kernel("conv_8bit_builtin", conv_quantized(REQUANTIZE[BUILTIN]), quantized_args(0), frozenset({BUILTIN}), is_8bit_matrix,
               rows),
        Kernel("conv_8bit_reference", conv_quantized(REQUANTIZE[REFERENCE]), quantized_args(0), frozenset({REFERENCE, BUILTIN}),
               is_8bit, rows),
        Kernel("conv_int16_wide", conv_quantized(requantize_int16, exact), quantized_args(0), ALL, goes_back("half_up"), rows),
        *(Kernel(f"conv_int16_{n}", conv_quantized(REQUANTIZE[n]), quantized_args(0), ALL, goes_back(n), rows)
          for n in (REFERENCE, BUILTIN)),
        *conv_definitions(window),
    ),
    delegated=delegated,
    macs=macs,
    spec="LiteRT tflite/kernels/conv.cc, tflite/kernels/internal/reference/integer_ops/conv.h ConvPerChannel",
)
