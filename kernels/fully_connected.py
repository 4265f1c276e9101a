"""FULLY_CONNECTED: every output is a weighted sum of all inputs.

    y[m, o] = clamp(bias[o] + sum over k of x[m, k] * w[o, k])

    x: any shape of M * K values, seen as [M, K]    w: [O, K]    bias: [O]    y: [M, O], or x's shape with the last
    dimension replaced when keep_num_dims is set

The integer sum is exact. Back to 8 bits the reference takes another road here than in CONV_2D: one product in double,
rounded half away from zero.

Floats: reference, rounded products from 0, k ascending, then + bias; delegate, fused multiply-adds from the bias;
builtin (weights that are not stored), a matrix product in its order (`product.py`), then + bias.

Source: LiteRT tflite/kernels/fully_connected.cc, internal/reference/fully_connected.h, integer_ops/fully_connected.h;
XNNPACK src/f32-gemm.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinyinterp.schema import BuiltinOperator, FullyConnectedOptionsWeightsFormat, TensorType

from .contract import ALL, BUILTIN, DELEGATE, REFERENCE, Arg, Call, Kernel, Op, Shape
from .conv import bias_or_zeros, float_clamp
from .delegate import biased, channelwise, computes, multiplied, requantizable, same_type, shaped, stored
from .gemm import Product, conv_gemm
from .gemm_amx import conv_amx
from .gemm_hybrid import conv_hybrid
from .gemm_hybrid_amx import conv_hybrid_amx
from .gemm_int import conv_gemm_int
from .gemm_int16 import conv_gemm_int16
from .hybrid import fully_connected_definitions, open_range, rows_form
from .int16 import connects, exact, fully_connected_form, in_double, in_fixed_point
from .machine import f32, fma
from .numerics import (
    channel_scales,
    clamp,
    float_range,
    product_scales,
    quantize_multipliers,
    quantized_range,
    requantize_builtin,
    requantize_delegate,
    requantize_double,
    wrap32,
)
from .product import block_of, order_of, sum_of_products


# ---------------------------------------------------------------------------------------------------------- shapes
def infer(call: Call) -> tuple[Shape]:
    x, w, o = call.input(0), call.input(1), call.options
    call.need(len(w.shape) == 2, f"filter->dims->size != 2 ({len(w.shape)} != 2): w is not [O, K]")
    call.need(o.weights_format == FullyConnectedOptionsWeightsFormat.DEFAULT, "shuffled weights are not supported")
    units, depth = w.shape
    call.need(depth > 0 and x.size % depth == 0, f"x has {x.size} values, w expects a multiple of {depth}")
    bias = call.optional(2)
    call.need(bias is None or bias.size == units, f"bias has {bias.size if bias else 0} values for {units} outputs")
    if o.keep_num_dims:
        call.need(len(x.shape) > 0 and x.shape[-1] == depth, f"x ends in {x.shape[-1:]}, w expects {depth}")
        return ((*x.shape[:-1], units),)
    return ((x.size // depth, units),)


def macs(call: Call) -> int:
    return call.output.size * call.input(1).shape[1]


# ---------------------------------------------------------------------------------------- settled before the first run
def matrices(call: Call) -> tuple[Any, Any, Any]:
    """x as [M, K], w as [O, K], y as [M, O]."""
    x, w, y = call.input(0), call.input(1), call.output
    units, depth = w.shape
    return x.view(x.size // depth, depth), w.view(), y.view(x.size // depth, units)


def float_args(call: Call, params: None) -> tuple[Arg, ...]:
    x, w, y = matrices(call)
    lo, hi = float_range(call.options.fused_activation_function, call)
    return x, w, bias_or_zeros(call, w.shape[0], np.float32), lo, hi, y


def scales(call: Call) -> tuple[np.ndarray, np.ndarray]:
    """What the way back to 8 bits multiplies by, [O], and its shifts: here the reference keeps the factor in double."""
    sx, w, sy = call.input(0).scale, call.input(1), call.output.scale
    each = channel_scales(w, w.shape[0])
    if call.numerics == DELEGATE:
        return product_scales(call, call.input(0), w, w.shape[0])
    if call.numerics == REFERENCE or in_double(call):
        return np.float64(sx) * each.astype(np.float64) / np.float64(sy), np.zeros(w.shape[0], np.int32)
    if len(w.quantization.scale) > 1:
        return quantize_multipliers(np.float64(sx) * each.astype(np.float64) / np.float64(sy))
    return quantize_multipliers((sx * each).astype(np.float64) / np.float64(sy))


def matrix_args(call: Call, params: None) -> tuple[Arg, ...]:
    """As `float_args`, with how many products are summed at a time before the clamp."""
    x, w, y = matrices(call)
    lo, hi = float_range(call.options.fused_activation_function, call)
    return x, w, bias_or_zeros(call, w.shape[0], np.float32), block_of(w.shape[0], x.shape[0], w.shape[1]), lo, hi, y


def quantized_args(call: Call, params: None) -> tuple[Arg, ...]:
    x, w, y = matrices(call)
    sw, units = call.input(1), w.shape[0]
    factor, shift = scales(call)
    lo, hi = quantized_range(call.options.fused_activation_function, call)
    return (x, w, bias_or_zeros(call, units, np.int32), factor, shift, call.input(0).zero_point,
            sw.zero_point, call.output.zero_point, lo, hi, y)


def outputs(call: Call) -> int:
    """Threads share the outputs of all rows."""
    return call.output.size


# --------------------------------------------------------------------------------------------------------- kernels
def fully_connected_float_reference(x: Any, w: Any, bias: Any, lo: Any, hi: Any, y: Any, begin: int, end: int) -> None:
    """The definition, reference order. Outputs begin to end of y, row after row."""
    for i in range(begin, end):
        m, o = i // y.shape[1], i % y.shape[1]
        acc = f32(0)
        for k in range(x.shape[1]):
            acc = acc + x[m, k] * w[o, k]
        y[m, o] = clamp(acc + bias[o], lo, hi)


def fully_connected_float_delegate(x: Any, w: Any, bias: Any, lo: Any, hi: Any, y: Any, begin: int, end: int) -> None:
    """The definition, delegate order."""
    for i in range(begin, end):
        m, o = i // y.shape[1], i % y.shape[1]
        acc = bias[o]
        for k in range(x.shape[1]):
            acc = fma(x[m, k], w[o, k], acc)
        y[m, o] = clamp(acc, lo, hi)


def fully_connected_float_builtin(x: Any, w: Any, bias: Any, block: int, lo: Any, hi: Any, y: Any, begin: int, end: int) -> None:
    """The definition, builtin order."""
    for i in range(begin, end):
        m, o = i // y.shape[1], i % y.shape[1]
        order = order_of(o, m, w.shape[0], x.shape[0], x.shape[1])
        y[m, o] = clamp(sum_of_products(w, o, x, m, order, block) + bias[o], lo, hi)


def fully_connected_quantized(requantize: Callable[..., Any], kept: Callable[..., Any] = wrap32) -> Callable[..., None]:
    """The definition for integers, with one of the ways back to the output's bits; `kept`: the bits of a sum."""

    def run(x: Any, w: Any, bias: Any, factor: Any, shift: Any, x_zero: int, w_zero: int, y_zero: int, lo: int, hi: int,
            y: Any, begin: int, end: int) -> None:
        for i in range(begin, end):
            m, o = i // y.shape[1], i % y.shape[1]
            acc = int(bias[o])
            for k in range(x.shape[1]):
                acc += (int(x[m, k]) - x_zero) * (int(w[o, k]) - w_zero)
            y[m, o] = clamp(requantize(kept(acc), factor[o], shift[o]) + y_zero, lo, hi)

    return run


# -------------------------------------------------------------------------------------------------------------- op
def is_float(call: Call) -> bool:
    return all(t.type == TensorType.FLOAT32 for t in (call.input(0), call.input(1), call.output))


def is_8bit(call: Call) -> bool:
    x, w, bias = call.input(0), call.input(1), call.optional(2)
    return (same_type(x, w, call.output) and x.type in (TensorType.INT8, TensorType.UINT8)
            and (bias is None or bias.type == TensorType.INT32))


def delegated(call: Call) -> bool:
    x, w, bias = call.input(0), call.input(1), call.optional(2)
    return (computes(x, call.output) and multiplied(x, w, call.output, *[TensorType.INT4] * (w.shape[1] % 2 == 0))
            and shaped(w, 2, 2) and stored(w)
            and channelwise(w, 0, w.shape[0]) and (bias is None or biased(bias)) and requantizable(x, w, call.output))


def product(call: Call) -> Product:
    """A row of pixels, for `gemm.py`."""
    x, w, y = call.input(0), call.input(1), call.output
    units, depth = w.shape
    rows = x.size // depth
    assert w.known is not None
    return Product(x.view(1, 1, rows, depth), (1, 1, rows, depth), w.known.reshape(units, 1, 1, depth),
                   bias_or_zeros(call, units, np.float32 if w.dtype == np.float32 else np.int32), (1, 1, 1, 1, 0, 0),
                   y.view(1, 1, rows, units), (1, 1, rows, units), w.zero_point if w.quantized else 0)


def is_gemm(call: Call) -> bool:
    return is_float(call) and call.numerics != BUILTIN and call.output.size > 0


def is_gemm_8bit(call: Call) -> bool:
    return is_8bit(call) and call.output.size > 0


TAILS = {REFERENCE: "double", BUILTIN: BUILTIN, DELEGATE: DELEGATE}

FULLY_CONNECTED = Op(
    code=BuiltinOperator.FULLY_CONNECTED,
    inputs=(2, 3),
    outputs=(1, 1),
    optional=frozenset({2}),
    types=("float32", "int8", "uint8", "int16*int8", "float32*int8", "float32*int4"),
    infer=infer,
    kernels=(
        conv_gemm("fully_connected", product, is_gemm, float_clamp),
        conv_amx("fully_connected", product, is_gemm_8bit, TAILS, scales),
        conv_gemm_int("fully_connected", product, is_gemm_8bit, TAILS, scales),
        conv_hybrid_amx("fully_connected", product, rows_form, open_range),
        conv_hybrid("fully_connected", product, rows_form, open_range),
        conv_gemm_int16("fully_connected", product, fully_connected_form, scales),
        Kernel("fully_connected_float32_builtin", fully_connected_float_builtin, matrix_args, frozenset({BUILTIN}), is_float,
               outputs),
        Kernel("fully_connected_float32_reference", fully_connected_float_reference, float_args, frozenset({REFERENCE}), is_float,
               outputs),
        Kernel("fully_connected_float32_delegate", fully_connected_float_delegate, float_args, frozenset({DELEGATE}),
               is_float, outputs),
        *(Kernel(f"fully_connected_8bit_{n}", fully_connected_quantized(tail), quantized_args, frozenset({n}), is_8bit, outputs)
          for n, tail in ((REFERENCE, requantize_double), (BUILTIN, requantize_builtin), (DELEGATE, requantize_delegate))),
        Kernel("fully_connected_int16_wide", fully_connected_quantized(requantize_double, exact), quantized_args, ALL,
               connects(64), outputs),
        Kernel("fully_connected_int16_reference", fully_connected_quantized(requantize_double), quantized_args, ALL,
               connects(32), outputs),
        Kernel("fully_connected_int16_builtin", fully_connected_quantized(requantize_builtin), quantized_args,
               frozenset({BUILTIN}), in_fixed_point, outputs),
        *fully_connected_definitions(),
    ),
    delegated=delegated,
    macs=macs,
    spec="LiteRT tflite/kernels/fully_connected.cc, tflite/kernels/internal/reference/integer_ops/fully_connected.h",
)
