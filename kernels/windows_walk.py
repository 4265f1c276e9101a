"""Depthwise convolutions of bytes with many channels: along a row, each column of x is unpacked once.

    for each group of output rows of a thread's share:
        the addresses of the rows under it, a row of padding for those outside the image
        for each chunk of channels: all pixels, one after the other (`micro/depthwise_walk.py`)

A chunk fills a vector; what is left over is half a vector, or a chunk that overlaps the one before.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from .contract import Arg, Call, Scratch
from .conv import window
from .fused import Fused
from .machine import address
from .micro.depthwise import lane_order
from .micro.depthwise_walk import depthwise_walk
from .windows_packing import Form, Made, best_group, chunk_channels, pack_rows, requantization, shared_rows


@cache
def depthwise_walked(under: tuple[tuple[int, ...], ...], kw: int, sw: int, half: bool, masked: bool,
                     form: Form) -> Callable[..., None]:
    """The driver for many channels. units: groups of output rows."""
    height, users = shared_rows(under)
    walk, together = depthwise_walk(len(height), kw, sw, users, half, masked, *form), len(under)

    def run(x: Any, outside: Any, table: Any, distances: Any, starts: Any, single: int, chunks: int, w: Any, bias: Any,
            multiplier: Any, shift: Any, sh: int, top: int, left: int, inner: int, y_zero: int, lo: int, hi: int, y: Any,
            begin: int, end: int) -> None:
        groups, line, size = -(-y.shape[1] // together), x.shape[2] * x.shape[3], y.shape[2] * y.shape[3]
        for unit in range(begin, end):
            n, i = unit // groups, min(unit % groups * together, y.shape[1] - together)
            for k in range(table.shape[0]):
                r = i * sh + distances[k] - top
                table[k] = address(x) + (n * x.shape[1] + r) * line if 0 <= r < x.shape[1] else address(outside)
            walk(address(table), -left, inner, x.shape[2], x.shape[3], address(outside), address(starts), single, chunks,
                 address(w), address(bias), address(multiplier), address(shift), address(y) + (n * y.shape[1] + i) * size,
                 y.shape[2], y_zero, lo, hi)

    return run


def is_walked(call: Call, form: Form) -> bool:
    """Whether the columns that a window shares with the next one stay in registers. Bytes under a mask are for 64 lanes."""
    at, (kh, kw), channels = window(call), call.input(1).shape[1:3], call.input(0).shape[3]
    whole = form.lanes == 16 or channels == 2 * form.lanes or channels >= 4 * form.lanes
    return whole and at.dilation_w == 1 and max(kw - at.stride_w, 0) * -(-kh // 4) <= 2


def walked(call: Call, form: Form, low: np.ndarray, high: np.ndarray | None, ends: tuple[int, int, int],
           back: Fused) -> Made:
    """For many channels and windows that fit the registers."""
    x, at, (n, oh, ow, channels), (kh, kw, _) = call.input(0), window(call), call.output.shape, low.shape
    wide, kept = 4 * form.lanes, max(kw - at.stride_w, 0)
    under = best_group(kh, kw, kw - kept, at.stride_h, at.dilation_h, oh, 2)
    half, masked = 0 < channels % wide <= wide // 2, channels < wide and channels != wide // 2

    def args(call: Call, params: None) -> tuple[Arg, ...]:
        chunks = chunk_channels(channels - channels % wide if half else channels, wide)
        rest = max(channels - wide // 2, 0)
        twice = np.zeros(len(chunks), bool) if high is None else np.asarray(high.any(axis=(0, 1)))[chunks].any(axis=1)
        chunks = chunks[np.argsort(twice, kind="stable")]  # those with weights that one byte cannot hold come last
        take, single = chunks[:, lane_order(form.lanes)], len(chunks) - int(twice.sum())
        short = np.minimum(rest + np.array([lane_order(form.lanes // 2)]), channels - 1)[: int(half)]
        both = [v for v in (low, high) if v is not None]
        w = [np.stack([pack_rows(v, under, t) for v in vs], axis=1).reshape(-1)
             for t, vs in ((take[:single], both[:1]), (take[single:], both), (short, both)) if len(t)]
        height, _ = shared_rows(under)
        inner = (x.shape[2] + at.left - kw) // at.stride_w + 1 if at.left <= kept else 0
        return (x.view(), np.full(x.shape[2] * channels, x.zero_point, x.dtype), Scratch(np.dtype(np.int64), (len(height),)),
                np.array(height, np.int64), np.append(chunks[:, 0], rest), single, len(chunks), np.concatenate(w),
                *requantization(call, back, take, short), at.stride_h, at.top, at.left, min(max(inner, 0), ow),
                *ends, call.output.view())

    name = f"{kh}x{kw}s{at.stride_w}_{len(under)}walked"
    return name, depthwise_walked(under, kw, at.stride_w, half, masked, form), args, n * -(-oh // len(under))
