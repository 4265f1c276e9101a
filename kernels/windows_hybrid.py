"""Hybrid depthwise convolutions: the groups of pixels of `windows.py` on quantized images, whose sums floats hold exactly.

|q - zero| <= 255 and |w| <= 128: up to 49 taps sum to less than 2**24, so a float32 is as good as an integer and nothing has
to be packed or unpacked.

    the least and greatest value of the image
    for each output row of a thread's share:
        quantize the rows under it that are not there yet, into a ring of rows
        for each group of PX pixels: all channels
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from . import jit
from .contract import BUILTIN, Arg, Call, Kernel, Scratch
from .conv import window
from .dynamic import PARAMS
from .gemm_hybrid import known
from .hybrid import Form, floats, is_hybrid
from .machine import address, f32
from .micro.depthwise import depthwise_f32
from .micro.quantize_rows import limits_of, step_row
from .numerics import channel_scales, float_range
from .windows import LANES, pixels, turned


@cache
def hybrid_rows(kh: int, kw: int, sw: int, dilated: bool, px: int, lanes: int, tail: str) -> Callable[..., None]:
    """The driver. units: rows of y."""
    group = depthwise_f32(kh, kw, sw, dilated, px, lanes, True, True, "columns", tail)
    params, limits, quantize = PARAMS["asymmetric"], limits_of(lanes), step_row(lanes)

    def run(x: Any, ring: Any, found: Any, outside: Any, w: Any, affine: Any, table: Any, sh: int, sw: int, dh: int, dw: int,
            top: int, left: int, reach: int, lo: Any, hi: Any, y: Any, begin: int, end: int) -> None:
        size, slots, last = x.shape[2] * x.shape[3], ring.shape[0], table.shape[0]
        whole = x.shape[1] * size // 8 * 8
        image, have, scale, factor, zero = -1, 0, f32(0), f32(0), 0
        for row in range(begin, end):
            n, i = row // y.shape[1], row % y.shape[1]
            here = address(x) + n * x.shape[1] * size * 4
            if n != image:
                limits(here, x.shape[1] * size, address(found))
                scale, factor, zero = params(found[0], found[1])
                image, have = n, 0
            for r in range(max(have, i * sh - top), min(i * sh - top + reach, x.shape[1])):
                quantize(here + r * size * 4, address(ring) + (r & (slots - 1)) * size * 4, size,
                         max(min(whole - r * size, size), 0), zero, factor)
            have = max(have, min(i * sh - top + reach, x.shape[1]))
            for p in range(last):
                r = i * sh + p * dh - top
                table[p] = address(ring) + (r & (slots - 1)) * size * 4 if 0 <= r < x.shape[1] else 0
            j = 0
            while j < y.shape[2]:
                at = min(j, y.shape[2] - px)
                group(address(table), at * sw - left, dw, x.shape[2], x.shape[3], address(outside), address(w), address(affine),
                      address(y) + (row * y.shape[2] + at) * y.shape[3] * 4, lo, hi, scale)
                j += px

    return run


def depthwise_hybrid(call: Call) -> Kernel | None:
    """The hybrid kernel for a call's window."""
    level, px = jit.level(), pixels(call)
    if not px or not is_hybrid(call) or not known(call):
        return None
    x, w, at, y = call.input(0), call.input(1), window(call), call.output.shape
    (n, h, width, channels), (_, kh, kw, _) = x.shape, w.shape
    sh, sw, dh, dw, top, left = at
    if turned(call):  # a column as a row
        h, width, kh, kw, y = width, h, kw, kh, (n, 1, y[1], channels)
        sh, sw, dh, dw, top, left = sw, sh, dw, dh, left, top
    reach = (kh - 1) * dh + 1
    tail = "together" if call.numerics != BUILTIN else "weight_first" if channels % 4 == 0 else "grouped"

    def args(call: Call, params: None) -> tuple[Arg, ...]:
        assert w.known is not None
        ring = Scratch(np.dtype(np.float32), (1 << (min(reach, h) - 1).bit_length(), width * channels))
        affine = np.stack([np.asarray(floats(call, 2, channels)), channel_scales(w, channels)])
        return (x.view(n, h, width, channels), ring, Scratch(np.dtype(np.float32), (2,)), np.zeros(channels, np.float32),
                w.known.astype(np.float32), affine, Scratch(np.dtype(np.int64), (kh,)), sh, sw, dh, dw, top, left, reach,
                *float_range(call.options.fused_activation_function, call), call.output.view(*y))

    name = f"depthwise_hybrid_{kh}x{kw}s{sw}{'d' * (dw > 1)}_{px}px_{call.numerics}_{jit.isa()}"
    return Kernel(name, hybrid_rows(kh, kw, sw, dw > 1, px, LANES[level], tail), args, split=lambda call: y[0] * y[1])


def multiple_form(call: Call) -> Form | None:
    """Of a DEPTHWISE_CONV_2D with several outputs for a channel, as a convolution of groups."""
    x, w = call.input(0), call.input(1)
    if not is_hybrid(call) or w.shape[3] == x.shape[3] or call.output.size == 0:
        return None
    if call.numerics != BUILTIN:
        return Form("asymmetric", "together", False, x.shape[0] == 1)
    return Form("asymmetric", "weight_first", False, x.shape[0] == 1) if w.shape[3] % 4 == 0 else None
