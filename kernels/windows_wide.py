"""Depthwise convolutions with windows too large to be written out: the driver around `micro/depthwise_wide.py`.

    for each output row of a thread's share:
        the addresses of the KH rows under it, 0 for those outside the image
        for each group of PX pixels (the last one overlapping the one before): all taps, all channels
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from . import jit
from .contract import BUILTIN, DELEGATE, REFERENCE, Arg, Call, Kernel, Maker, Scratch
from .conv import bias_or_zeros, rows, window
from .gemm import known_and_finite
from .gemm_int import known, wrapped
from .machine import address
from .micro.depthwise_wide import wide_f32, wide_i8
from .numerics import float_range, product_scales, quantized_range
from .windows import LANES, TAPS, plain
from .windows_8bit import bounded
from .windows_packing import weights, zero_of

PX = 4


@cache
def depthwise_taps(microkernel: Callable[..., Any], *form: Any) -> Callable[..., None]:
    """The driver. units: rows of y."""
    group, px = microkernel(*form), form[0]

    def run(x: Any, outside: Any, w: Any, bias: Any, multiplier: Any, shift: Any, table: Any, sh: int, sw: int, dh: int, dw: int,
            top: int, left: int, zero: int, lo: int, hi: int, y: Any, begin: int, end: int) -> None:
        under = address(table)
        line = x.shape[2] * x.shape[3] * x.itemsize
        for row in range(begin, end):
            n, i = row // y.shape[1], row % y.shape[1]
            for p in range(table.shape[0]):
                r = i * sh + p * dh - top
                table[p] = address(x) + (n * x.shape[1] + r) * line if 0 <= r < x.shape[1] else 0
            j = 0
            while j < y.shape[2]:
                at = min(j, y.shape[2] - px)
                group(under, table.shape[0], w.shape[1], at * sw - left, sw, dw, x.shape[2], x.shape[3], address(outside),
                      address(w), address(y) + (row * y.shape[2] + at) * y.shape[3] * y.itemsize, address(bias),
                      address(multiplier), address(shift), zero, lo, hi)
                j += px

    return run


def large(call: Call) -> bool:
    """One output channel for each input channel, and more taps than are written out."""
    w = call.input(1)
    return (not jit.DISABLED and w.shape[3] == call.input(0).shape[3] and w.shape[1] * w.shape[2] > TAPS
            and call.output.size > 0)


def depthwise_large(is_float: Callable[[Call], bool], is_8bit: Callable[[Call], bool]) -> Maker:
    """The kernel for a call of floats or of bytes."""

    def make(call: Call) -> Kernel | None:
        if not large(call):
            return None
        px, lanes = min(call.output.shape[2], PX), LANES[jit.level()]
        if is_float(call) and known_and_finite(call) and (call.numerics != BUILTIN or plain(call)):
            form = px, lanes, call.numerics == DELEGATE, call.numerics == REFERENCE
            return _kernel(call, depthwise_taps(wide_f32, *form), float_numbers)
        if is_8bit(call) and known(call) and bounded(call):
            signed, tail = call.input(0).dtype == np.int8, call.numerics
            if tail == BUILTIN:  # int8 takes whole groups of eight channels its own way, uint8 takes the reference's
                if signed and call.output.shape[3] % 8:
                    return None
                tail = BUILTIN if signed else REFERENCE
            return _kernel(call, depthwise_taps(wide_i8, px, lanes, tail, signed), byte_numbers)
        return None

    return make


def _kernel(call: Call, run: Callable[..., None], numbers: Callable[[Call], tuple[tuple[Any, ...], tuple[int, ...]]]) -> Kernel:
    kh, kw, channels = call.input(1).shape[1:]

    def args(call: Call, params: None) -> tuple[Arg, ...]:
        x, (arrays, ends) = call.input(0), numbers(call)
        outside = np.full(channels + 64, x.zero_point if x.dtype.kind != "f" else 0, x.dtype)
        return (x.view(), outside, *arrays, Scratch(np.dtype(np.int64), (kh,)), *window(call), *ends, call.output.view())

    return Kernel(f"depthwise_{kh}x{kw}_taps_{call.input(0).dtype}_{call.numerics}_{jit.isa()}", run, args, split=rows)


def float_numbers(call: Call) -> tuple[tuple[Any, ...], tuple[int, ...]]:
    """Weights, bias and nothing, nothing; the limits as bits."""
    nothing = np.zeros(1, np.int32)
    lo, hi = np.array(float_range(call.options.fused_activation_function, call), np.float32).view(np.int32)
    return (weights(call), bias_or_zeros(call, call.output.shape[3], np.float32), nothing, nothing), (0, int(lo), int(hi))


def byte_numbers(call: Call) -> tuple[tuple[Any, ...], tuple[int, ...]]:
    """Weights less their zero point in 32 bits, bias with what the zero point of x adds, multipliers, shifts; zero, limits."""
    x, channels = call.input(0), call.output.shape[3]
    w = weights(call).astype(np.int32) - zero_of(call)
    bias = np.asarray(bias_or_zeros(call, channels, np.int32)).astype(np.int64)
    bias -= x.zero_point * w.sum(axis=(0, 1), dtype=np.int64)
    return ((w, wrapped(bias), *product_scales(call, x, call.input(1), channels)),
            (call.output.zero_point, *quantized_range(call.options.fused_activation_function, call)))
