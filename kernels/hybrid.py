"""Hybrid operators: float32 activations meet int8 weights, and become 8 bits themselves while the operator runs.

    x = scale * (q - zero)          scale, zero: of a row, an image or a pixel, found from its least and greatest value
    y = clamp(float32(sum of (q - zero) * w) * scale * scale of the channel + bias)

The integer sum is exact. How q comes about, and in which order the float32 products and the sum are rounded:

    delegate     range with 0 in it over 255 steps, to nearest even; fused multiply-add of the bias. FULLY_CONNECTED: each row
                 by itself; CONV_2D of one cell, stride 1 and one group: each pixel; else each image
    symmetric    greatest magnitude over 127 steps, zero point 0, half away. FULLY_CONNECTED: each row, unless it asks for
                 asymmetric ones; CONV_2D of one group whose channels share one scale: each image
    asymmetric   range with 0 in it over 255 steps, the zero point at its better end, half away: what remains

Half away is 0.5 added and cut off for whole groups of eight values, and exact for what is left over.

Source: XNNPACK src/xnnpack/quantization.h, src/qd8-f32-qc8w-gemm; LiteRT tflite/kernels/conv.cc, depthwise_conv.cc,
fully_connected.cc, transpose_conv.cc (EvalHybrid…), internal/optimized/neon_tensor_utils.cc (…QuantizeFloats).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from tinyinterp.schema import TensorType

from .contract import BUILTIN, DELEGATE, REFERENCE, Arg, Call, Kernel, Operand, Scratch
from .dynamic import QUANTIZERS
from .machine import f32, fma, inline
from .numerics import BOUNDS, channel_scales, clamp, float_range, wrap32

FLOAT, INT8, INT4 = TensorType.FLOAT32, TensorType.INT8, TensorType.INT4


# ------------------------------------------------------------------------------------------------- from sums back to floats
@inline
def fused(acc: Any, scale: Any, w_scale: Any, bias: Any) -> Any:
    return fma(f32(acc) * scale, w_scale, bias)


@inline
def together(acc: Any, scale: Any, w_scale: Any, bias: Any) -> Any:
    return f32(acc) * (scale * w_scale) + bias


@inline
def from_zero(acc: Any, scale: Any, w_scale: Any, bias: Any) -> Any:
    return (f32(0) + f32(acc) * (scale * w_scale)) + bias


@inline
def weight_first(acc: Any, scale: Any, w_scale: Any, bias: Any) -> Any:
    return (f32(acc) * w_scale) * scale + bias


@inline
def row_first(acc: Any, scale: Any, w_scale: Any, bias: Any) -> Any:
    return (f32(acc) * scale) * w_scale + bias


TAILS = {"fused": fused, "together": together, "from_zero": from_zero, "weight_first": weight_first, "row_first": row_first}


# ---------------------------------------------------------------------------------------- settled before the first run
def is_hybrid(call: Call, first: int = 0) -> bool:
    """float32 by int8, with a float32 bias or none. first: which input x is; w and bias come after it, or before and after.
    FULLY_CONNECTED takes stored int4, too."""
    x, w, bias = call.input(first), call.input(1), call.optional(3 if first else 2)
    if not (w.type == INT8 or (w.type == INT4 and len(w.shape) == 2 and w.known is not None)):
        return False
    return x.type == call.output.type == FLOAT and w.quantized and (bias is None or bias.type == FLOAT)


def matrix_of(w: Operand) -> Any:
    """Weights as [O, K]; int4, two in a byte, as int8."""
    units, depth = w.shape[0], w.size // w.shape[0]
    if w.type == INT8:
        return w.view(units, depth)
    assert w.known is not None
    halves = w.known.reshape(-1).view(np.int8)
    return np.stack([(halves << 4) >> 4, halves >> 4], axis=1).reshape(-1)[: w.size].reshape(units, depth)


def floats(call: Call, i: int, count: int) -> Any:
    """Input i, or as many zeros."""
    there = call.optional(i)
    return np.zeros(count, np.float32) if there is None else there.view(count)


def uneven(w: Operand) -> bool:
    """Whether channels have scales of their own that differ."""
    return len(set(w.quantization.scale)) > 1


def one_group(call: Call) -> bool:
    return call.input(0).shape[3] == call.input(1).shape[3]


def by_pixel(call: Call) -> bool:
    """Whether the delegate takes a CONV_2D for a product of matrices, whose rows are its pixels."""
    w, o = call.input(1).shape, call.options
    return (call.numerics == DELEGATE and w[1] == w[2] == o.stride_h == o.stride_w == 1 and one_group(call)
            and w[0] + w[3] > 2)


def row_form(call: Call) -> tuple[str, str]:
    """(quantizer, tail) of a FULLY_CONNECTED, and of a CONV_2D by pixels."""
    if call.numerics == DELEGATE:
        return "delegate", "fused"
    return "asymmetric" if call.options.asymmetric_quantize_inputs else "symmetric", "together"


def conv_form(call: Call) -> tuple[str, str]:
    """(quantizer, tail) of a CONV_2D by images."""
    if call.numerics == DELEGATE:
        return "delegate", "fused"
    if one_group(call) and not uneven(call.input(1)):
        return "symmetric", "from_zero"
    return "asymmetric", "together" if call.numerics == BUILTIN and one_group(call) else "weight_first"


class Form(NamedTuple):
    """How floats become bytes, and sums floats."""

    quantizer: str
    tail: str
    rows: bool  # each row by itself, not each image
    single: bool = False  # one image: every sum has the same zero point


def rows_form(call: Call) -> Form | None:
    """Of a FULLY_CONNECTED; None where it is not hybrid, or where a bias of -0 may have to remain."""
    if not is_hybrid(call) or call.output.size == 0:
        return None
    bias = call.optional(2)
    odd = bias is not None and bias.known is not None and bool((np.signbit(bias.known) & (bias.known == 0)).any())
    return None if odd and call.numerics != DELEGATE else Form(*row_form(call), True)


def images_form(call: Call) -> Form | None:
    """Of a CONV_2D; None where it is not hybrid."""
    if not is_hybrid(call) or call.output.size == 0:
        return None
    return Form("delegate", "fused", True) if by_pixel(call) else Form(*conv_form(call), False, call.input(0).shape[0] == 1)


def open_range(call: Call) -> tuple[np.float32, np.float32]:
    """The clamp of a FULLY_CONNECTED: no activation is none at all."""
    lo, hi = BOUNDS[call.options.fused_activation_function]
    float_range(call.options.fused_activation_function, call)
    return f32(lo), f32(hi)


def row_args(call: Call, params: None) -> tuple[Arg, ...]:
    """Arguments of `by_rows`: x as [M, K], w as [O, K], y as [M, O]."""
    x, w, y = call.input(0), call.input(1), call.output
    units, depth = w.shape[0], w.size // w.shape[0]
    rows = x.size // depth
    ends = open_range(call) if len(w.shape) == 2 else float_range(call.options.fused_activation_function, call)
    return (x.view(rows, depth), matrix_of(w), channel_scales(w, units), floats(call, 2, units),
            Scratch(np.dtype(np.int8), (depth,)), *ends, y.view(rows, units))


def image_args(window: Callable[[Call], tuple[int, ...]], axis: int, first: int = 0) -> Callable[[Call, None], tuple[Arg, ...]]:
    """Arguments of the definitions by images: x, input `first`, as [N, H * W * C] beside its shape. axis: of w, where the
    channels lie."""

    def args(call: Call, params: None) -> tuple[Arg, ...]:
        x, w = call.input(first), call.input(1)
        n, *shape = x.shape
        channels = w.shape[axis]
        return (x.view(n, x.size // n), *shape, w.view(), channel_scales(w, channels),
                floats(call, 3 if first else 2, channels), *window(call),
                Scratch(np.dtype(np.int8), (x.size // n,)), *float_range(call.options.fused_activation_function, call),
                call.output.view())

    return args


# --------------------------------------------------------------------------------------------------------- definitions
@inline
def is_zero(x: Any) -> Any:
    for m in range(x.shape[0]):
        for k in range(x.shape[1]):
            if x[m, k] != f32(0):
                return False
    return True


def by_rows(quantizer: str, tail: str) -> Callable[..., None]:
    """The definition, a row of x quantized at a time. units: rows. When all of x is zero, the builtin kernel does not add
    those zeros to the bias: a bias of -0 remains."""
    quantize, scaled, delegate = QUANTIZERS[quantizer], TAILS[tail], quantizer == "delegate"

    def run(x: Any, w: Any, w_scale: Any, bias: Any, q: Any, lo: Any, hi: Any, y: Any, begin: int, end: int) -> None:
        nothing = not delegate and is_zero(x)
        for m in range(begin, end):
            scale, zero = quantize(x[m], q)
            for o in range(y.shape[1]):
                acc = 0
                for k in range(x.shape[1]):
                    acc += (int(q[k]) - zero) * int(w[o, k])
                y[m, o] = clamp(bias[o] if nothing else scaled(wrap32(acc), scale, w_scale[o], bias[o]), lo, hi)

    return run


def by_images(quantizer: str, tail: str) -> Callable[..., None]:
    """The definition of CONV_2D, an image quantized at a time. units: rows of y, all images counted through."""
    quantize, scaled = QUANTIZERS[quantizer], TAILS[tail]

    def run(x: Any, height: int, width: int, channels: int, w: Any, w_scale: Any, bias: Any, sh: int, sw: int, dh: int, dw: int,
            top: int, left: int, q: Any, lo: Any, hi: Any, y: Any, begin: int, end: int) -> None:
        group = y.shape[3] // (channels // w.shape[3])
        image, scale, zero = -1, f32(0), 0
        for row in range(begin, end):
            n, i = row // y.shape[1], row % y.shape[1]
            if n != image:
                scale, zero = quantize(x[n], q)
                image = n
            for j in range(y.shape[2]):
                for o in range(y.shape[3]):
                    first = o // group * w.shape[3]
                    acc = 0
                    for p in range(w.shape[1]):
                        r = i * sh + p * dh - top
                        for t in range(w.shape[2]):
                            s = j * sw + t * dw - left
                            if 0 <= r < height and 0 <= s < width:
                                for c in range(w.shape[3]):
                                    acc += (int(q[(r * width + s) * channels + first + c]) - zero) * int(w[o, p, t, c])
                    y[n, i, j, o] = clamp(scaled(wrap32(acc), scale, w_scale[o], bias[o]), lo, hi)

    return run


def depthwise_by_images(whole: str, rest: str) -> Callable[..., None]:
    """The definition of DEPTHWISE_CONV_2D. whole, rest: the tails of whole groups of four channels and of those left over."""
    quantize, scaled, others = QUANTIZERS["asymmetric"], TAILS[whole], TAILS[rest]

    def run(x: Any, height: int, width: int, channels: int, w: Any, w_scale: Any, bias: Any, sh: int, sw: int, dh: int, dw: int,
            top: int, left: int, q: Any, lo: Any, hi: Any, y: Any, begin: int, end: int) -> None:
        multiple = y.shape[3] // channels
        grouped = y.shape[3] - y.shape[3] % 4
        image, scale, zero = -1, f32(0), 0
        for row in range(begin, end):
            n, i = row // y.shape[1], row % y.shape[1]
            if n != image:
                scale, zero = quantize(x[n], q)
                image = n
            for j in range(y.shape[2]):
                for o in range(y.shape[3]):
                    acc = 0
                    for p in range(w.shape[1]):
                        r = i * sh + p * dh - top
                        for t in range(w.shape[2]):
                            s = j * sw + t * dw - left
                            if 0 <= r < height and 0 <= s < width:
                                acc += (int(q[(r * width + s) * channels + o // multiple]) - zero) * int(w[0, p, t, o])
                    if o < grouped:
                        y[n, i, j, o] = clamp(scaled(wrap32(acc), scale, w_scale[o], bias[o]), lo, hi)
                    else:
                        y[n, i, j, o] = clamp(others(wrap32(acc), scale, w_scale[o], bias[o]), lo, hi)

    return run


def transposed_by_images(quantizer: str, tail: str) -> Callable[..., None]:
    """The definition of TRANSPOSE_CONV. The builtin kernels scale every product and sum floats, r, s ascending, then c."""
    quantize, scaled, delegate = QUANTIZERS[quantizer], TAILS[tail], tail == "fused"

    def run(x: Any, height: int, width: int, channels: int, w: Any, w_scale: Any, bias: Any, sh: int, sw: int, top: int,
            left: int, q: Any, lo: Any, hi: Any, y: Any, begin: int, end: int) -> None:
        image, scale, zero = -1, f32(0), 0
        for row in range(begin, end):
            n, i = row // y.shape[1], row % y.shape[1]
            if n != image:
                scale, zero = quantize(x[n], q)
                image = n
            for j in range(y.shape[2]):
                for o in range(y.shape[3]):
                    acc, total = 0, f32(0)
                    for p in range(w.shape[1] - 1, -1, -1):
                        r = (i + top - p) // sh
                        if r * sh == i + top - p and 0 <= r < height:
                            for t in range(w.shape[2] - 1, -1, -1):
                                s = (j + left - t) // sw
                                if s * sw == j + left - t and 0 <= s < width:
                                    for c in range(channels):
                                        product = (int(q[(r * width + s) * channels + c]) - zero) * int(w[o, p, t, c])
                                        acc += product
                                        total = scaled(product, scale, w_scale[o], total)
                    result = scaled(wrap32(acc), scale, w_scale[o], bias[o]) if delegate else total + bias[o]
                    y[n, i, j, o] = clamp(result, lo, hi)

    return run


# ------------------------------------------------------------------------------------------------------------- kernels
def rows_of(call: Call) -> int:
    """Threads share the rows of x."""
    return call.input(0).size // call.input(1).shape[-1]


def lines(call: Call) -> int:
    """Threads share the rows of the output image."""
    return call.output.shape[0] * call.output.shape[1]


def definition(name: str, numerics: str, form: tuple[str, str], run: Callable[..., None], args: Callable[..., Any],
               fits: Callable[[Call], bool], split: Callable[[Call], int]) -> Kernel:
    return Kernel(f"{name}_hybrid_{form[0]}_{numerics}", run, args, frozenset({numerics}), fits, split)


def fully_connected_definitions() -> tuple[Kernel, ...]:
    """One for each of the three ways."""

    def fits(quantizer: str) -> Callable[[Call], bool]:
        return lambda call: is_hybrid(call) and row_form(call)[0] == quantizer

    return (definition("fully_connected", DELEGATE, ("delegate", "fused"), by_rows("delegate", "fused"), row_args,
                       fits("delegate"), rows_of),
            *(definition("fully_connected", n, (q, "together"), by_rows(q, "together"), row_args, fits(q), rows_of)
              for n in (REFERENCE, BUILTIN) for q in ("symmetric", "asymmetric")))


def conv_definitions(window: Callable[[Call], tuple[int, ...]]) -> tuple[Kernel, ...]:
    """One for each of the ways; window: how it moves."""

    def fits(form: tuple[str, str]) -> Callable[[Call], bool]:
        return lambda call: is_hybrid(call) and call.output.size > 0 and not by_pixel(call) and conv_form(call) == form

    def pixels(call: Call) -> bool:
        return is_hybrid(call) and call.output.size > 0 and by_pixel(call)

    forms = ((DELEGATE, ("delegate", "fused")), *((n, ("symmetric", "from_zero")) for n in (REFERENCE, BUILTIN)),
             *((n, ("asymmetric", "weight_first")) for n in (REFERENCE, BUILTIN)), (BUILTIN, ("asymmetric", "together")))
    return (Kernel("conv_hybrid_pixels", by_rows("delegate", "fused"), row_args, frozenset({DELEGATE}), pixels, rows_of),
            *(definition("conv", n, form, by_images(*form), image_args(window, 0), fits(form), lines) for n, form in forms))


def depthwise_definitions(window: Callable[[Call], tuple[int, ...]]) -> tuple[Kernel, ...]:
    """The delegate has none."""
    args = image_args(window, 3)
    return (definition("depthwise", REFERENCE, ("asymmetric", ""), depthwise_by_images("together", "together"), args, is_hybrid,
                       lines),
            definition("depthwise", BUILTIN, ("asymmetric", ""), depthwise_by_images("weight_first", "row_first"), args,
                       is_hybrid, lines))


def transpose_definitions(geometry: Callable[[Call], tuple[int, ...]]) -> tuple[Kernel, ...]:
    """Two; geometry: how the window moves."""

    def fits(call: Call) -> bool:
        return is_hybrid(call, 2)

    args = image_args(geometry, 0, 2)
    builtin = transposed_by_images("asymmetric", "weight_first")
    return (Kernel("transpose_conv_hybrid_delegate", transposed_by_images("delegate", "fused"), args, frozenset({DELEGATE}), fits,
                   lines),
            Kernel("transpose_conv_hybrid_builtin", builtin, args, frozenset({REFERENCE, BUILTIN}), fits, lines))
