"""Depthwise convolutions of floats by groups of pixels: the driver around `micro/depthwise.py`.

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
from .machine import address
from .micro.depthwise import depthwise_f32
from .numerics import float_range

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


def pixels(call: Call) -> int:
    """PX for a call: pixels of a row computed together, 0 when its window is not written out."""
    x, w = call.input(0), call.input(1)
    written = (w.shape[3] == x.shape[3] and w.shape[1] * w.shape[2] <= TAPS and call.output.size > 0)
    if jit.level() == "portable" or jit.DISABLED or not written:
        return 0
    return min(call.output.shape[1 if turned(call) else 2], 4)


def turned(call: Call) -> bool:
    """Whether an image of one column is taken for one row, whose pixels make groups and share their cells: float32 only (four
    rows of bytes are one vector, four columns are not)."""
    x, w = call.input(0), call.input(1)
    return x.dtype == np.float32 and x.shape[2] == w.shape[2] == call.output.shape[2] == 1
