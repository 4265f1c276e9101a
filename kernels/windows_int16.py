"""Depthwise convolutions of int16 by int8: many channels by groups of pixels, few along flat rows.

    for each output row of a thread's share:
        the addresses of the KH rows under it, 0 for those outside the image
        for each group of PX pixels (the last one overlapping the one before): all channels

Few channels leave most of a vector empty, and several outputs for each channel want its values several times: then

    for each output row of a thread's share:
        copy the rows under it that are not there yet into a ring of rows, with their padding, each value as often as needed
        all pixels and channels, vector by vector

With a stride along the row its pixels lie in `stride` runs, every stride-th pixel in each, so that the taps of neighbouring
outputs are neighbours again.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from . import jit
from .contract import Arg, Call, Kernel, Maker, Scratch
from .conv import bias_or_zeros, rows, window
from .gemm_int16 import LANES, known, leaves_32_bits, way_back
from .machine import address, copy_bytes, fill_bytes
from .micro.depthwise_flat import spread_pixels
from .micro.depthwise_i16 import channel_order, depthwise_flat_i16, depthwise_i16
from .numerics import quantized_range
from .windows import TAPS
from .windows_packing import chunk_channels

RING = 1 << 20  # bytes
PHASES = 128  # chunks with weights of their own


@cache
def depthwise_rows_i16(kh: int, kw: int, sw: int, dilated: bool, px: int, lanes: int, level: str,
                       wide: bool) -> Callable[..., None]:
    """The driver for groups of pixels. units: rows of y."""
    group = depthwise_i16(kh, kw, sw, dilated, px, lanes, level, wide)

    def run(x: Any, outside: Any, starts: Any, w: Any, bias: Any, multiplier: Any, shift: Any, table: Any, sh: int, sw: int,
            dh: int, dw: int, top: int, left: int, lo: int, hi: int, y: Any, begin: int, end: int) -> None:
        under = address(table)
        line = x.shape[2] * x.shape[3] * 2
        for row in range(begin, end):
            n, i = row // y.shape[1], row % y.shape[1]
            for p in range(table.shape[0]):
                r = i * sh + p * dh - top
                table[p] = address(x) + (n * x.shape[1] + r) * line if 0 <= r < x.shape[1] else 0
            j = 0
            while j < y.shape[2]:
                at = min(j, y.shape[2] - px)
                group(under, at * sw - left, dw, x.shape[2], x.shape[3], address(outside), address(starts), starts.shape[0],
                      address(w), address(bias), address(multiplier), address(shift),
                      address(y) + (row * y.shape[2] + at) * y.shape[3] * 2, lo, hi)
                j += px

    return run


@cache
def depthwise_ring_i16(kh: int, kw: int, sw: int, multiple: int, lanes: int, level: str, wide: bool) -> Callable[..., None]:
    """The driver for flat rows. units: rows of y."""
    row_of, spread = depthwise_flat_i16(kh, kw, lanes, level, wide), spread_pixels(0)

    def run(x: Any, ring: Any, table: Any, half: int, columns: Any, starts: Any, period: int, w: Any, bias: Any,
            multiplier: Any, shift: Any, sh: int, dh: int, top: int, left: int, lo: int, hi: int, y: Any, begin: int,
            end: int) -> None:
        slots, line, channels, have, before = ring.shape[0], ring.shape[1] * 2, x.shape[3], 0, -1
        size = y.shape[2] * y.shape[3]
        fill_bytes(address(ring), 0, slots * line)
        for row in range(begin, end):
            n, i = row // y.shape[1], row % y.shape[1]
            if n != before:
                before, have = n, 0
            for r in range(max(have, i * sh), i * sh + (kh - 1) * dh + 1):
                slot = r & (slots - 1)
                here = address(ring) + slot * line
                if not 0 <= r - top < x.shape[1]:
                    fill_bytes(here, 0, line)
                elif multiple > 1:
                    for s in range(x.shape[2]):
                        at = (s + left) % sw * half + (s + left) // sw * channels * multiple
                        for c in range(channels):
                            for _ in range(multiple):
                                ring[slot, at] = x[n, r - top, s, c]
                                at += 1
                else:
                    source = address(x) + (n * x.shape[1] + r - top) * x.shape[2] * channels * 2
                    if sw == 1:
                        copy_bytes(here + left * channels * 2, source, x.shape[2] * channels * 2)
                    else:
                        for k in range(sw):  # those whose column with its padding is k modulo sw; what lies behind is 0 again
                            first = (k - left) % sw
                            to = here + (k * half + (first + left) // sw * channels) * 2
                            count = (x.shape[2] - first + sw - 1) // sw
                            if count > 0:
                                spread(to, source + first * channels * 2, sw * channels * 2, count, channels * 2)
                                fill_bytes(to + count * channels * 2, 0, 64)
            have = i * sh + (kh - 1) * dh + 1
            for p in range(kh):
                table[p] = address(ring) + ((i * sh + p * dh) & (slots - 1)) * line
            row_of(address(table), address(columns), address(starts), starts.shape[0], period, size, address(w), address(bias),
                   address(multiplier), address(shift), address(y) + row * size * 2, lo, hi)

    return run


Form = tuple[str, int, bool]  # instruction set, lanes, whether sums with the bias need 64 bits
Made = tuple[str, Callable[..., None], Callable[[Call, None], tuple[Arg, ...]]]


def depthwise_int16(fits: Callable[[Call], bool], scales: Callable[[Call], tuple[np.ndarray, np.ndarray]]) -> Maker:
    """The int16 kernel for a call's window. `fits` may look at types only; `scales` gives multipliers and shifts [C]."""

    def make(call: Call) -> Kernel | None:
        channels, taps = call.input(1).shape[3], math.prod(call.input(1).shape[1:3])
        if jit.DISABLED or taps > TAPS or not fits(call) or not known(call):
            return None
        back = way_back("half_up", *scales(call))
        if back is None:
            return None
        level = "vnni" if jit.level() == "amx" else jit.level()
        bias, w = np.asarray(bias_or_zeros(call, channels, np.int64)), np.asarray(call.input(1).known).reshape(taps, channels)
        wide = leaves_32_bits(w.T, bias)
        settled = bias.astype(np.int64 if wide else np.int32), *back
        few = channels < 2 * LANES[level] or channels > call.input(0).shape[3]
        made = (flat if few else grouped)(call, (level, LANES[level], wide), settled)
        if made is None:
            return None
        return Kernel(f"depthwise_{made[0]}_int16_{'wide_' * wide}{level}", *made[1:], split=rows)

    return make


def packed(call: Call, take: np.ndarray) -> np.ndarray:
    """w as [chunks, ceil(KH / 2), KW, 2 * lanes, 2] int16: two rows of the window in every lane."""
    _, kh, kw, channels = call.input(1).shape
    two = np.zeros((-(-kh // 2) * 2, kw, channels), np.int16)
    two[:kh] = np.asarray(call.input(1).known).reshape(kh, kw, channels)
    return np.ascontiguousarray(two.reshape(-1, 2, kw, channels)[..., take].transpose(3, 0, 2, 4, 1))


def grouped(call: Call, form: Form, settled: tuple[np.ndarray, ...]) -> Made:
    """(name, driver, arguments) for many channels."""
    (_, kh, kw, channels), at, px, (level, lanes, wide) = call.input(1).shape, window(call), min(call.output.shape[2], 4), form

    def args(call: Call, params: None) -> tuple[Arg, ...]:
        chunks = chunk_channels(channels, 2 * lanes)
        take = chunks[:, channel_order(lanes)]
        return (call.input(0).view(), np.zeros(channels + 64, np.int16), chunks[:, 0].copy(), packed(call, take),
                *(v[take] for v in settled), Scratch(np.dtype(np.int64), (kh,)), *at,
                *quantized_range(call.options.fused_activation_function, call), call.output.view())

    run = depthwise_rows_i16(kh, kw, at.stride_w, at.dilation_w > 1, px, lanes, level, wide)
    return f"{kh}x{kw}s{at.stride_w}{'d' * (at.dilation_w > 1)}_{px}px", run, args


def flat(call: Call, form: Form, settled: tuple[np.ndarray, ...]) -> Made | None:
    """(name, driver, arguments) for few channels, or several outputs for each; None when a ring of rows would be out of
    proportion."""
    x, (_, kh, kw, channels), at, ow, (level, lanes, wide) = (call.input(0), call.input(1).shape, window(call),
                                                              call.output.shape[2], form)
    sw, wide_chunk = at.stride_w, 2 * lanes
    columns = max((ow - 1) * sw + (kw - 1) * at.dilation_w + 1, at.left + x.shape[2])
    half = -(-(-(-columns // sw) * channels + 64) // 32) * 32  # elements of every sw-th pixel of a row
    slots = 1 << ((kh - 1) * at.dilation_h).bit_length()
    period = math.lcm(channels, wide_chunk)
    starts = np.arange(0, min(period, ow * channels), wide_chunk)
    if slots * half * sw * 2 > RING or starts.size > PHASES:
        return None

    def args(call: Call, params: None) -> tuple[Arg, ...]:
        take = (starts[:, None] + np.array(channel_order(lanes))) % channels
        taps = np.arange(kw) * at.dilation_w
        turns = -(-(ow * channels - starts) // period)
        return (x.view(), Scratch(np.dtype(np.int16), (slots, half * sw)), Scratch(np.dtype(np.int64), (kh,)), half,
                (taps % sw * half + taps // sw * channels) * 2, np.stack([starts, turns], axis=1), period, packed(call, take),
                *(v[take] for v in settled), at.stride_h, at.dilation_h, at.top, at.left,
                *quantized_range(call.options.fused_activation_function, call), call.output.view())

    multiple = channels // x.shape[3]
    name = f"{kh}x{kw}s{sw}_flat{f'_{multiple}each' if multiple > 1 else ''}"
    return name, depthwise_ring_i16(kh, kw, sw, multiple, lanes, level, wide), args
