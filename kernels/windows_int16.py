"""Depthwise convolutions of int16 by int8, by groups of pixels: the driver around `micro/depthwise_i16.py`.

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
from .contract import Arg, Call, Kernel, Maker, Scratch
from .conv import bias_or_zeros, rows, window
from .gemm_int16 import LANES, known, leaves_32_bits, way_back
from .machine import address
from .micro.depthwise_i16 import channel_order, depthwise_i16
from .numerics import quantized_range
from .windows import TAPS
from .windows_packing import chunk_channels


@cache
def depthwise_rows_i16(kh: int, kw: int, sw: int, dilated: bool, px: int, lanes: int, level: str, wide: bool,
                       few: bool) -> Callable[..., None]:
    """The driver. units: rows of y."""
    group = depthwise_i16(kh, kw, sw, dilated, px, lanes, level, wide, few)

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


def depthwise_int16(fits: Callable[[Call], bool], scales: Callable[[Call], tuple[np.ndarray, np.ndarray]]) -> Maker:
    """The int16 kernel for a call's window. `fits` may look at types only; `scales` gives multipliers and shifts [C]."""

    def make(call: Call) -> Kernel | None:
        x, (_, kh, kw, channels), at = call.input(0), call.input(1).shape, window(call)
        if jit.DISABLED or channels != x.shape[3] or kh * kw > TAPS or not fits(call) or not known(call):
            return None
        level = "vnni" if jit.level() == "amx" else jit.level()
        lanes = next((n for n in (4, 8) if n < LANES[level] and 2 * n >= channels), LANES[level])
        back = way_back("half_up", *scales(call))
        bias, w = np.asarray(bias_or_zeros(call, channels, np.int64)), np.asarray(call.input(1).known).reshape(kh, kw, channels)
        if back is None:
            return None
        wide, px = leaves_32_bits(w.reshape(-1, channels).T, bias), min(call.output.shape[2], 4)

        def args(call: Call, params: None) -> tuple[Arg, ...]:
            chunks = chunk_channels(channels, 2 * lanes)
            take = chunks[:, channel_order(lanes)]
            two = np.zeros((-(-kh // 2) * 2, kw, channels), np.int16)
            two[:kh] = w
            packed = np.ascontiguousarray(two.reshape(-1, 2, kw, channels)[..., take].transpose(3, 0, 2, 4, 1))
            return (x.view(), np.zeros(channels + 64, np.int16), chunks[:, 0].copy(), packed,
                    bias[take].astype(np.int64 if wide else np.int32), *(v[take] for v in back),
                    Scratch(np.dtype(np.int64), (kh,)), *at, *quantized_range(call.options.fused_activation_function, call),
                    call.output.view())

        run = depthwise_rows_i16(kh, kw, at.stride_w, at.dilation_w > 1, px, lanes, level, wide, channels < 2 * lanes)
        name = f"depthwise_{kh}x{kw}s{at.stride_w}{'d' * (at.dilation_w > 1)}_{px}px_int16_{'wide_' * wide}{level}"
        return Kernel(name, run, args, split=rows)

    return make
