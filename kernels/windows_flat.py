"""Depthwise convolutions of bytes with few channels: along flat rows, a vector covers neighbouring pixels.

    for each group of output rows of a thread's share:
        copy the rows under it that are not there yet, with their padding, into a ring of rows
        all pixels and channels of the group, vector by vector (`micro/depthwise_flat.py`)

With a stride along the row its pixels are copied in `stride` runs, every stride-th pixel in each, so that the taps of
neighbouring outputs are neighbours again. A window of one column needs no copy.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from .contract import Arg, Call, Scratch
from .conv import window
from .fused import Fused
from .machine import address, fill_bytes
from .micro.copy import copy_runs, flip_runs
from .micro.depthwise import lane_order
from .micro.depthwise_flat import depthwise_flat, spread_pixels
from .windows_packing import Form, Made, best_group, chunk_channels, pack_rows, requantization, shared_rows

CACHE = 1 << 15  # bytes of weights or rows that stay in the first-level cache
RING = 1 << 22  # bytes: more only for dilations far beyond an image


@cache
def depthwise_ring(under: tuple[tuple[int, ...], ...], kw: int, form: Form) -> Callable[..., None]:
    """The driver. units: groups of output rows; under: the rows of x under each row of a group, from the first one."""
    height, users = shared_rows(under)
    group, together = depthwise_flat(len(height), kw, users, *form, False), len(under)
    reach, copy = height[-1] + 1, flip_runs if form.signed else copy_runs
    spread = spread_pixels(-128 if form.signed else 0)

    def run(x: Any, ring: Any, table: Any, distances: Any, columns: Any, starts: Any, period: int, w: Any, bias: Any,
            multiplier: Any, shift: Any, sh: int, top: int, pieces: Any, fill: int, y_zero: int, lo: int, hi: int, y: Any,
            begin: int, end: int) -> None:
        groups, cell, slots, have = -(-y.shape[1] // together), x.shape[3], ring.shape[0], 0
        step, size = (pieces.shape[0] * cell, cell) if pieces.shape[0] > 1 else (0, x.shape[2] * cell)
        n, g = begin // groups, begin % groups
        fill_bytes(address(ring), fill, slots * ring.shape[1])
        for _ in range(begin, end):
            i = min(g * together, y.shape[1] - together)
            for r in range(max(have, i * sh), i * sh + reach):
                here = address(ring) + (r & (slots - 1)) * ring.shape[1]
                if 0 <= r - top < x.shape[1]:
                    source = address(x) + (n * x.shape[1] + r - top) * x.shape[2] * cell
                    for k in range(pieces.shape[0]):
                        target, first, more = here + pieces[k, 0], source + pieces[k, 1], pieces[k, 2] - 1
                        if more > 0:
                            spread(target, first, step, more, cell)
                        if more >= 0:  # the last one, or a whole row
                            copy(target + more * cell, cell, first + more * step, step, 1, size)
                else:
                    fill_bytes(here, fill, ring.shape[1])
            have = i * sh + reach
            for k in range(table.shape[0]):
                table[k] = address(ring) + ((i * sh + distances[k]) & (slots - 1)) * ring.shape[1]
            group(address(table), address(columns), address(starts), starts.shape[0], period, y.shape[2] * cell, address(w),
                  address(bias), address(multiplier), address(shift), address(y) + (n * y.shape[1] + i) * y.shape[2] * cell,
                  y_zero, lo, hi)
            g += 1
            if g == groups:
                n, g, have = n + 1, 0, 0

    return run


@cache
def depthwise_lines(under: tuple[tuple[int, ...], ...], kw: int, form: Form) -> Callable[..., None]:
    """The driver for rows that need no copy. units: groups of output rows."""
    height, users = shared_rows(under)
    group, together = depthwise_flat(len(height), kw, users, *form, True), len(under)

    def run(x: Any, outside: Any, table: Any, distances: Any, columns: Any, starts: Any, period: int, w: Any, bias: Any,
            multiplier: Any, shift: Any, sh: int, top: int, y_zero: int, lo: int, hi: int, y: Any, begin: int, end: int) -> None:
        groups, line, size = -(-y.shape[1] // together), x.shape[2] * x.shape[3], y.shape[2] * y.shape[3]
        for unit in range(begin, end):
            n, i = unit // groups, min(unit % groups * together, y.shape[1] - together)
            for k in range(table.shape[0]):
                r = i * sh + distances[k] - top
                table[k] = address(x) + (n * x.shape[1] + r) * line if 0 <= r < x.shape[1] else address(outside)
            group(address(table), address(columns), address(starts), starts.shape[0], period, size, address(w), address(bias),
                  address(multiplier), address(shift), address(y) + (n * y.shape[1] + i) * size, y_zero, lo, hi)

    return run


def is_direct(call: Call, form: Form) -> bool:
    """Whether the rows of x are taken as they lie: the window is one column and needs no padding beside them, no stride along
    them. Bytes under a mask are for 64 lanes. Measured: wider windows gain nothing against a copy."""
    return form.lanes == 16 and call.input(1).shape[2] == 1 and (call.options.stride_w == 1 or call.output.shape[2] == 1)


def flat(call: Call, form: Form, low: np.ndarray, high: np.ndarray | None, ends: tuple[int, int, int],
         back: Fused) -> Made | None:
    """For few channels; None when a ring of rows would be out of proportion."""
    x, at, (n, oh, ow, channels), (kh, kw, _) = call.input(0), window(call), call.output.shape, low.shape
    sw, columns = at.stride_w, max((ow - 1) * at.stride_w + (kw - 1) * at.dilation_w + 1, at.left + x.shape[2])
    half = -(-(-(-columns // sw) * channels + 64) // 64) * 64  # bytes of every sw-th pixel of a row
    direct = is_direct(call, form)
    most = form.lanes // 4 if direct or 8 * half * sw < CACHE else 2  # long rows: few fit the first-level cache
    under = best_group(kh, kw, kw, at.stride_h, at.dilation_h, oh, most)
    height, users = shared_rows(under)
    slots = 1 << height[-1].bit_length()
    if not direct and slots * half * sw > RING:
        return None

    def args(call: Call, params: None) -> tuple[Arg, ...]:
        wide = 4 * form.lanes
        period = math.lcm(channels, wide)
        if period * kw * sum(map(len, users)) * 4 > CACHE or period > 2 * ow * channels:
            period = channels * max(wide // channels, 1)
        starts = chunk_channels(period, wide)[:, 0]
        take = (starts[:, None] + lane_order(form.lanes)) % channels
        w = np.stack([pack_rows(v, under, take) for v in (low, high) if v is not None], axis=1)
        folded: tuple[Arg, ...] = (
            np.stack([starts, np.maximum(-(-(ow * channels - starts) // period), 0)], axis=1), period, w,
            *requantization(call, back, take), at.stride_h, at.top)
        if direct:
            outside = np.full(columns * channels, x.zero_point, x.dtype)
            return (x.view(), outside, Scratch(np.dtype(np.int64), (len(height),)), np.array(height, np.int64),
                    np.arange(kw) * at.dilation_w * channels, *folded, *ends, call.output.view())
        taps, phases = np.arange(kw) * at.dilation_w, np.arange(sw)
        before = np.maximum(-(-(at.left - phases) // sw), 0)
        first = phases + before * sw - at.left
        count = np.maximum(-(-(x.shape[2] - first) // sw), 0) if sw > 1 else np.ones(1, np.int64)
        pieces = np.stack([phases * half + before * channels, first * channels, count], axis=1)
        ring = Scratch(np.dtype(np.uint8), (slots, half * sw))
        return (x.view(), ring, Scratch(np.dtype(np.int64), (len(height),)), np.array(height, np.int64),
                taps % sw * half + taps // sw * channels, *folded, pieces, (x.zero_point + 128 * form.signed) & 255, *ends,
                call.output.view())

    run = (depthwise_lines if direct else depthwise_ring)(under, kw, form)
    return f"{kh}x{kw}s{at.stride_h}_{len(under)}{'lines' if direct else 'rows'}", run, args, n * -(-oh // len(under))
