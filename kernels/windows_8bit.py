"""Depthwise convolutions of bytes: the way that suits a call, and windows that are taken by groups of pixels.

Few channels leave most of a vector empty: they go along flat rows (`windows_flat.py`). Many channels and a window that fits the
registers walk along a row (`windows_walk.py`). What is left are wide windows and dilations (`micro/depthwise.py`):

    for each output row of a thread's share:
        the addresses of the KH rows under it, 0 for those outside the image
        for each group of PX pixels (the last one overlapping the one before): all channels
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from . import jit
from .contract import BUILTIN, REFERENCE, Arg, Call, Kernel, Maker, Scratch
from .conv import bias_or_zeros, window
from .fused import Fused, way_back
from .gemm_int import known, split_weights
from .machine import address
from .micro.depthwise import columns_of, depthwise_i8, lane_order
from .numerics import product_scales, quantized_range
from .windows import LANES, pixels
from .windows_flat import flat, is_direct
from .windows_packing import Form, Made, chunk_channels, greatest_sum, requantization, weights, zero_of
from .windows_walk import is_walked, walked


@cache
def depthwise_rows_i8(kh: int, kw: int, sw: int, dilated: bool, px: int, form: Form) -> Callable[..., None]:
    """The driver for 8 bits. units: rows of y."""
    group = depthwise_i8(kh, kw, sw, dilated, px, *form)

    def run(x: Any, outside: Any, starts: Any, single: int, w: Any, bias: Any, multiplier: Any, shift: Any, table: Any,
            sh: int, sw: int, dh: int, dw: int, top: int, left: int, y_zero: int, lo: int, hi: int, y: Any, begin: int,
            end: int) -> None:
        rows = address(table)
        line = x.shape[2] * x.shape[3]
        for row in range(begin, end):
            n, i = row // y.shape[1], row % y.shape[1]
            for p in range(table.shape[0]):
                r = i * sh + p * dh - top
                table[p] = address(x) + (n * x.shape[1] + r) * line if 0 <= r < x.shape[1] else 0
            j = 0
            while j < y.shape[2]:
                at = min(j, y.shape[2] - px)
                group(rows, at * sw - left, dw, x.shape[2], x.shape[3], address(outside), address(starts), single, address(w),
                      address(bias), address(multiplier), address(shift), address(y) + (row * y.shape[2] + at) * y.shape[3],
                      y_zero, lo, hi)
                j += px

    return run


def depthwise_8bit(is_8bit: Callable[[Call], bool]) -> Maker:
    """The 8-bit kernel for a call's window."""

    def make(call: Call) -> Kernel | None:
        if not pixels(call) or not is_8bit(call) or not known(call) or not bounded(call):
            return None
        signed, channels = call.input(0).dtype == np.int8, call.input(0).shape[3]
        tail = call.numerics
        if tail == BUILTIN:  # int8 takes whole groups of eight channels its own way, uint8 takes the reference's
            if signed and channels % 8:
                return None
            tail = BUILTIN if signed else REFERENCE
        low, high = split_weights(weights(call), zero_of(call))
        lo, hi = quantized_range(call.options.fused_activation_function, call)
        level = "vnni" if jit.level() == "amx" else jit.level()
        back = way_back(call, tail, *product_scales(call, call.input(0), call.input(1), channels),
                        call.output.size // channels, lambda: greatest_sum(call))
        form = Form(LANES[level], level == "vnni", back.tail, signed, high is not None, hi - lo == 255)
        made = way_of(call, form)(call, form, low, high, (call.output.zero_point, lo, hi), back)
        if made is None:
            return None
        name, run, args, units = made
        return Kernel(f"depthwise_{name}_{call.input(0).dtype}_{back.named(call)}_{level}", run, args, split=lambda _: units)

    return make


def way_of(call: Call, form: Form) -> Callable[..., Made | None]:
    """The measured choice. A pixel's channels must fill vectors, less so with a stride, which makes flat rows dear."""
    channels, plain = call.input(0).shape[3], call.options.stride_w == 1
    if is_direct(call, form) and call.input(1).shape[1] > 4:
        return flat
    if is_walked(call, form):
        full = vectors(channels, 4 * form.lanes) * 4 * form.lanes <= (1.35 if plain else 1.6) * channels
        return walked if full or channels > (96 if plain else 64) else flat
    return flat if channels < (96 if plain else 64) else grouped


def vectors(channels: int, wide: int) -> float:
    """How many vectors of `wide` bytes take as long as the chunks of a pixel: one of half the width takes 0.68."""
    return channels // wide + (0.68 if 0 < channels % wide <= wide // 2 else float(channels % wide > 0))


def grouped(call: Call, form: Form, low: np.ndarray, high: np.ndarray | None, ends: tuple[int, int, int],
            back: Fused) -> Made:
    """For many channels and any window."""
    x, at, (kh, kw, channels) = call.input(0), window(call), low.shape
    dilated, (n, oh, ow, _) = at.dilation_w > 1, call.output.shape
    px = best_pixels(kh, kw, at.stride_w, dilated, ow)

    def args(call: Call, params: None) -> tuple[Arg, ...]:
        chunks = chunk_channels(channels, 4 * form.lanes)  # [chunks, 4 * lanes]
        twice = np.zeros(len(chunks), bool) if high is None else np.asarray(high.any(axis=(0, 1)))[chunks].any(axis=1)
        chunks = chunks[np.argsort(twice, kind="stable")]  # those with weights that one byte cannot hold come last
        take, single = chunks[:, lane_order(form.lanes)], len(chunks) - int(twice.sum())
        packed = [pack_window(low, take[:single]).reshape(-1)]
        if high is not None:
            packed += [np.stack([pack_window(v, take[single:]) for v in (low, high)], axis=1).reshape(-1)]
        outside = np.full(channels + 64, x.zero_point, x.dtype)
        return (x.view(), outside, chunks[:, 0].copy(), single, np.concatenate(packed), *requantization(call, back, take),
                Scratch(np.dtype(np.int64), (kh,)), at.stride_h, at.stride_w, at.dilation_h, at.dilation_w, at.top, at.left,
                *ends, call.output.view())

    name = f"{kh}x{kw}s{at.stride_w}{'d' * dilated}_{px}px"
    return name, depthwise_rows_i8(kh, kw, at.stride_w, dilated, px, form), args, n * oh


def best_pixels(kh: int, kw: int, sw: int, dilated: bool, ow: int) -> int:
    """So many pixels in a group that a row takes the least time: addresses, unpacks, products, the way back."""

    def cost(px: int) -> int:
        return -(-ow // px) * (30 + -(-kh // 4) * (11 * len(columns_of(kw, sw, dilated, px)) + 4 * kw * px) + 17 * px)

    return min(range(1, min(4, ow) + 1), key=cost)


def pack_window(w: np.ndarray, take: np.ndarray) -> np.ndarray:
    """w [KH, KW, C] int8 as [chunks, ceil(KH / 4), KW, 4 * lanes, 4]: four rows of the window in every lane."""
    kh, kw, channels = w.shape
    rows = np.zeros((-(-kh // 4) * 4, kw, channels), np.int8)
    rows[:kh] = w
    return np.ascontiguousarray(rows.reshape(-1, 4, kw, channels)[..., take].transpose(3, 0, 2, 4, 1))


def bounded(call: Call) -> bool:
    """No scaled sum leaves what a conversion to int32 takes. (Sums themselves wrap, as officially.)"""
    multiplier, _ = product_scales(call, call.input(0), call.input(1), call.input(0).shape[3])
    if multiplier.dtype.kind != "f":
        return True
    bias = np.abs(np.asarray(bias_or_zeros(call, call.input(0).shape[3], np.int32)).astype(np.int64))
    w, scale = weights(call), multiplier.astype(np.float64)
    if ((w.shape[0] * w.shape[1] * 255 * 255 + bias) * scale < 2**30).all():  # whatever the weights
        return True
    most = np.abs(w.astype(np.int64) - zero_of(call)).sum(axis=(0, 1)) * 255 + bias
    return bool((np.minimum(most, 2**31) * scale < 2**30).all())
