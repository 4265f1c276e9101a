"""Hybrid convolutions and products of matrices on AMX tiles: `gemm_amx.py` on floats made bytes.

Pixels reach the tiles in the same three ways; the band is the quantized one of `gemm_hybrid.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from . import jit
from .contract import ROOM, Arg, Call, Kernel, Maker, Scratch
from .gemm import Product
from .gemm_amx import BLOCK, CONFIG, layout, pack_tiles
from .gemm_hybrid import band_of, columns_of, known, matrix, params_of, starts_of
from .gemm_int import best_tile
from .hybrid import Form
from .machine import address, copy_bytes
from .micro.gemm_amx import finish, gemm_amx, tiles_off, tiles_on
from .micro.gemm_hybrid import FINISH, float_finisher


@cache
def conv_hybrid_amx_run(form: Form) -> Callable[..., None]:
    """The driver. units: pairs of tiles, or panels (by_panel)."""
    finishing = float_finisher(form.tail, form.single)
    block, finished = gemm_amx(finishing, FINISH, False), finish(finishing, FINISH)
    (images, rows), begin_sums = band_of(form.quantizer, form.rows, 16), starts_of(form.single)

    def run(x: Any, sums: Any, windows: Any, image: Any, found: Any, scales: Any, zeros: Any, factors: Any, tall: int, top: int,
            left: int, reach: int, w: Any, total: Any, begins: Any, affine: Any, nothing: Any, at: Any, starts: Any, x_rows: Any,
            p_rows: Any, y_rows: Any, stride: int, runs: Any, k: int, gathered: int, config: Any, count: int, height: int,
            by_panel: int, lo: Any, hi: Any, y: Any, begin: int, end: int) -> None:
        first, last = (0, starts.shape[0] // 2) if by_panel else (begin, end)
        panel0, panel1 = (begin, end) if by_panel else (0, w.shape[0])
        here, own, row = address(windows), address(sums), image.shape[1]
        steps, step = at.shape[0], 0
        each = (15 + steps) // steps  # pairs of rows to finish in a step
        before, y_at, rows_at, p_at, columns, done = 0, address(y), address(y_rows), address(p_rows), 32, 0
        images(x, found, scales, zeros, factors, p_rows[first * 2, 0] // 4, p_rows[last * 2 - 1, 15] // 4 + 1)
        begin_sums(begins, total, zeros)
        begin_at, begin_step = (address(begins), 128) if form.single else (address(nothing), 0)
        tiles_on(address(config))
        unit = first
        while unit < last:
            pairs = min(count, last - unit)
            low = x_rows[unit * 2, 0] if gathered else starts[unit * 2]
            high = x_rows[(unit + pairs) * 2 - 1, 15] if gathered else starts[(unit + pairs) * 2 - 1] + 15 * stride
            base = rows(x, image, found, scales, zeros, factors, tall, top, left, low // row, high // row + reach)
            if gathered:
                for i in range(pairs * 32):
                    t, m = unit * 2 + i // 16, i % 16
                    for r in range(runs.shape[0]):
                        copy_bytes(here + i * stride + r * k, base + x_rows[t, m] + runs[r], k)
            for panel in range(panel0, panel1):
                for b in range(pairs):
                    pair = unit + b
                    a0 = here + b * 32 * stride if gathered else base + starts[2 * pair]
                    a1 = here + (b * 32 + 16) * stride if gathered else base + starts[2 * pair + 1]
                    now = own + step * 4352
                    block(a0, a1, stride, address(at), steps, address(w) + panel * steps * 2048, begin_at + panel * begin_step,
                          now, height, each if before != 0 else 0, before, address(total) + done * 128,
                          address(affine) + done * 256, address(scales), address(zeros), p_at, y_at, rows_at, before + 4096,
                          columns, lo, hi)
                    step = 1 - step
                    before, columns, done = now, y.shape[3] - panel * 32, panel
                    y_at, rows_at, p_at = address(y) + panel * 128, address(y_rows) + pair * 256, address(p_rows) + pair * 256
            unit += pairs
        if before != 0:
            finished(height, before, address(total) + done * 128, address(affine) + done * 256, address(scales), address(zeros),
                     p_at, y_at, rows_at, before + 4096, columns, lo, hi)
        tiles_off()

    return run


def conv_hybrid_amx(name: str, product: Callable[[Call], Product], form_of: Callable[[Call], Form | None],
                    clamp: Callable[[Call], tuple[Any, Any]]) -> Maker:
    """The AMX kernel for a call. Arguments as for `conv_hybrid`."""

    def make(call: Call) -> Kernel | None:
        form = None if jit.level() != "amx" or jit.DISABLED else form_of(call)
        if form is None or not known(call):
            return None
        p = matrix(call) if form.rows else product(call)
        channels, depth = p.w.shape[0], p.w[0].size
        if p.groups > 1:
            return None
        at = layout(p)
        pairs, panels = len(at.starts) // 2, -(-channels // 32)
        if at.cycles(channels, depth) > best_tile(channels, p.pixels, depth, False, "vnni")[2]:
            return None  # few pixels, few channels, or steps half empty: vpdpbusd is faster
        by_panel = pairs < 2 * call.threads and panels > pairs

        def args(call: Call, params: None) -> tuple[Arg, ...]:
            weights = p.w.reshape(channels, -1)
            taps, steps = (1, at.stride // 64) if at.gathered else (at.runs.size, -(-at.k // 64))
            runs = np.zeros(1, np.int64) if at.gathered else at.runs
            sums = Scratch(np.dtype(np.uint8), (8704,))
            first, last = (at.x_rows[:, 0], at.x_rows[:, 15]) if at.gathered else (at.starts, at.starts + 15 * at.stride)
            image, count = p.band(1, first[::2], last[1::2], BLOCK // (32 * steps * 64 * taps),
                                  ROOM - sums.size - BLOCK * at.gathered, more=int(not at.gathered), always=True)
            windows = Scratch(np.dtype(np.uint8), (count * 32, at.stride) if at.gathered else (0, 0))
            x_rows = at.x_rows if at.gathered else at.starts[:, None] + np.arange(16) * at.stride
            p_rows = x_rows // (image.shape[1] * (1 if form.rows else p.edges[0]))
            return (p.x, sums, windows, image, *params_of(p, form.rows, image), *p.edges,
                    pack_tiles(weights, list(range(32)), taps), *columns_of(call, weights, 1, 32, form.single),
                    np.zeros(32, np.int32), (runs[:, None] + np.arange(steps) * 64).reshape(-1), at.starts, at.x_rows, p_rows * 4,
                    np.where(at.y_rows < 0, -1, at.y_rows * 4), at.stride, at.runs, at.k, int(at.gathered), CONFIG, count,
                    at.height, int(by_panel), *clamp(call), p.y)

        return Kernel(f"{name}_hybrid_gemm_32x32_{form.quantizer}_{call.numerics}_amx", conv_hybrid_amx_run(form), args,
                      split=lambda call: panels if by_panel else pairs)

    return make
