"""Depthwise convolutions by groups of pixels: the drivers around `micro/depthwise.py`.

    for each output row of a thread's share:
        the addresses of the KH rows under it, 0 for those outside the image
        for each group of PX pixels (the last one overlapping the one before): all channels

A microkernel is written for one window, stride and number of pixels, so that every tap is an instruction; kernels are made
for the windows that a model has, when it is lowered.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from . import jit
from .contract import BUILTIN, DELEGATE, REFERENCE, Arg, Call, Kernel, Maker, Scratch
from .conv import bias_or_zeros, window
from .gemm import known_and_finite
from .gemm_int import known, split_weights, wrapped
from .machine import address
from .micro.depthwise import depthwise_f32, depthwise_i8, lane_order
from .numerics import float_range, product_scales, quantized_range

LANES = {"amx": 16, "vnni": 16, "avx512": 16, "avx2": 8, "portable": 4}
TAPS = 49  # the widest window that is written out


@cache
def depthwise_rows(kh: int, kw: int, sw: int, dilated: bool, px: int, lanes: int, fused: bool, late: bool,
                   order: str) -> Callable[..., None]:
    """The driver for float32. units: rows of y."""
    group = depthwise_f32(kh, kw, sw, dilated, px, lanes, fused, late, order)

    def run(x: Any, outside: Any, w: Any, bias: Any, table: Any, sh: int, sw: int, dh: int, dw: int, top: int, left: int,
            lo: Any, hi: Any, y: Any, begin: int, end: int) -> None:
        rows = address(table)
        line = x.shape[2] * x.shape[3] * 4
        for row in range(begin, end):
            n, i = row // y.shape[1], row % y.shape[1]
            for p in range(table.shape[0]):
                r = i * sh + p * dh - top
                table[p] = address(x) + (n * x.shape[1] + r) * line if 0 <= r < x.shape[1] else 0
            j = 0
            while j < y.shape[2]:
                at = min(j, y.shape[2] - px)
                group(rows, at * sw - left, dw, x.shape[2], x.shape[3], address(outside), address(w), address(bias),
                      address(y) + (row * y.shape[2] + at) * y.shape[3] * 4, lo, hi)
                j += px

    return run


@cache
def depthwise_rows_i8(kh: int, kw: int, sw: int, dilated: bool, px: int, lanes: int, vnni: bool, tail: str, signed: bool,
                      twice: bool) -> Callable[..., None]:
    """The driver for 8 bits. units: rows of y."""
    group = depthwise_i8(kh, kw, sw, dilated, px, lanes, vnni, tail, signed, twice)

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


def depthwise_float(is_float: Callable[[Call], bool]) -> Maker:
    """The float kernel for a call's window."""

    def make(call: Call) -> Kernel | None:
        level, px = jit.level(), pixels(call)
        if not px or not is_float(call) or not known_and_finite(call) or (call.numerics == BUILTIN and not plain(call)):
            return None
        x, w, o, at = call.input(0), call.input(1), call.options, window(call)
        (n, h, width, channels), y, (_, kh, kw, _), fused = x.shape, call.output.shape, w.shape, call.numerics == DELEGATE
        sh, sw, dh, dw, top, left = at.stride_h, at.stride_w, at.dilation_h, at.dilation_w, at.top, at.left
        if turned(call):  # a column as a row
            h, width, kh, kw, y = width, h, kw, kh, (n, 1, y[1], channels)
            sh, sw, dh, dw, top, left = sw, sh, dw, dh, left, top
        order = "columns" if fused and kh * kw <= 25 else "rows"

        def args(call: Call, params: None) -> tuple[Arg, ...]:
            return (x.view(n, h, width, channels), np.zeros(channels, np.float32), w.view(),
                    bias_or_zeros(call, channels, np.float32),
                    Scratch(np.dtype(np.int64), (kh,)), sh, sw, dh, dw, top, left,
                    *float_range(o.fused_activation_function, call), call.output.view(*y))

        def units(call: Call) -> int:
            return y[0] * y[1]

        run = depthwise_rows(kh, kw, sw, dw > 1, px, LANES[level], fused, call.numerics == REFERENCE, order)
        name = f"depthwise_{kh}x{kw}s{sw}{'d' * (dw > 1)}_{px}px_float32_{call.numerics}_{jit.isa()}"
        return Kernel(name, run, args, split=units)

    return make


def plain(call: Call) -> bool:
    """No NaN of the builtin kernel ends up as `hi`, and no sum is the -0 that a cell outside the image would make a +0."""
    bias, channels = bias_or_zeros(call, call.output.shape[3], np.float32), call.output.shape[3]
    return channels % 4 == 0 and not np.signbit(bias[bias == 0]).any()


def depthwise_8bit(is_8bit: Callable[[Call], bool]) -> Maker:
    """The 8-bit kernel for a call's window."""

    def make(call: Call) -> Kernel | None:
        level, px = jit.level(), pixels(call)
        if not px or not is_8bit(call) or not known(call) or not bounded(call):
            return None
        x, w, o, at = call.input(0), call.input(1), call.options, window(call)
        kh, kw, channels, signed = w.shape[1], w.shape[2], x.shape[3], x.dtype == np.int8
        tail = call.numerics
        if tail == BUILTIN:  # int8 takes whole groups of eight channels its own way, uint8 takes the reference's
            if signed and channels % 8:
                return None
            tail = BUILTIN if signed else REFERENCE
        lanes = lanes_for(channels, level)
        low, high = split_weights(weights(call), zero_of(call))

        def args(call: Call, params: None) -> tuple[Arg, ...]:
            chunks = chunk_channels(channels, 4 * lanes)  # [chunks, 4 * lanes]
            twice = np.zeros(len(chunks), bool) if high is None else np.asarray(high.any(axis=(0, 1)))[chunks].any(axis=1)
            chunks = chunks[np.argsort(twice, kind="stable")]  # those with weights that one byte cannot hold come last
            take, single = chunks[:, lane_order(lanes)], len(chunks) - int(twice.sum())
            packed = [pack_window(low, take[:single]).reshape(-1)]
            if high is not None:
                packed += [np.stack([pack_window(v, take[single:]) for v in (low, high)], axis=1).reshape(-1)]
            total = weights(call).sum(axis=(0, 1), dtype=np.int64) - zero_of(call) * kh * kw
            bias = np.asarray(bias_or_zeros(call, channels, np.int32)).astype(np.int64) - (x.zero_point + 128 * signed) * total
            multiplier, shift = product_scales(call, x, w, channels)
            outside = np.full(channels + 64, x.zero_point, x.dtype)
            return (x.view(), outside, chunks[:, 0].copy(), single, np.concatenate(packed), wrapped(bias)[take],
                    multiplier[take], shift[take], Scratch(np.dtype(np.int64), (kh,)), at.stride_h, at.stride_w,
                    at.dilation_h, at.dilation_w, at.top, at.left, call.output.zero_point,
                    *quantized_range(o.fused_activation_function, call), call.output.view())

        dilated = at.dilation_w > 1
        run = depthwise_rows_i8(kh, kw, o.stride_w, dilated, px, lanes, level in ("amx", "vnni"), tail, signed,
                                high is not None)
        used = "vnni" if level == "amx" else level
        name = f"depthwise_{kh}x{kw}s{o.stride_w}{'d' * dilated}_{px}px_{4 * lanes}c_{x.dtype}_{call.numerics}_{used}"
        return Kernel(name, run, args, split=output_rows)

    return make


def pixels(call: Call) -> int:
    """PX for a call: pixels of a row computed together, 0 when its window is not written out."""
    x, w = call.input(0), call.input(1)
    written = (w.shape[3] == x.shape[3] and w.shape[1] * w.shape[2] <= TAPS and call.output.size > 0)
    if jit.level() == "portable" or jit.DISABLED or not written:
        return 0
    return min(call.output.shape[1 if turned(call) else 2], 4)


def turned(call: Call) -> bool:
    """Whether an image of one column is taken for one row, whose pixels make groups and share their cells: float32 only (four
    rows of bytes are one vector, four columns are not), and on one thread, since threads share rows."""
    x, w = call.input(0), call.input(1)
    return x.dtype == np.float32 and x.shape[2] == w.shape[2] == call.output.shape[2] == 1 and call.threads == 1


def output_rows(call: Call) -> int:
    return call.output.shape[0] * call.output.shape[1]


def lanes_for(channels: int, level: str) -> int:
    """The vector that computes this many channels in the least time: a narrow one does more per lane."""
    cost = {16: 1.0, 8: 0.6, 4: 0.5}
    return min((l for l in cost if l <= LANES[level]), key=lambda l: (-(-channels // (4 * l)) * cost[l], -l))


def pack_window(w: np.ndarray, take: np.ndarray) -> np.ndarray:
    """w [KH, KW, C] int8 as [chunks, ceil(KH / 4), KW, 4 * lanes, 4]: four rows of the window in every lane."""
    kh, kw, channels = w.shape
    rows = np.zeros((-(-kh // 4) * 4, kw, channels), np.int8)
    rows[:kh] = w
    return np.ascontiguousarray(rows.reshape(-1, 4, kw, channels)[..., take].transpose(3, 0, 2, 4, 1))


def weights(call: Call) -> np.ndarray:
    known_weights = call.input(1).known
    assert known_weights is not None
    return known_weights.reshape(call.input(1).shape[1:])


def zero_of(call: Call) -> int:
    return call.input(1).zero_point if call.input(1).dtype == np.uint8 else 0


def chunk_channels(channels: int, wide: int) -> np.ndarray:
    """The channels of every chunk, [chunks, wide]; the last chunk overlaps, and one that is not full repeats its last channel."""
    starts = np.minimum(np.arange(0, channels, wide), max(channels - wide, 0))
    return np.minimum(starts[:, None] + np.arange(wide), channels - 1)


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
