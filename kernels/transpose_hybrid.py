"""Hybrid TRANSPOSE_CONV as the delegate computes it: the phases of `transpose_gemm.py` on the quantized band of
`gemm_hybrid.py`."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from . import jit
from .contract import DELEGATE, Arg, Call, Kernel, Maker, Scratch
from .gemm_hybrid import band_of, starts_of
from .gemm_int import LANES, best_tile, panels_of
from .hybrid import floats, is_hybrid
from .machine import address
from .micro.gemm_hybrid import gemm_hybrid
from .numerics import channel_scales, float_range
from .transpose_gemm import band, joined, plan, possible, quads_of, table_of, tiles


@cache
def hybrid_phases(mr: int, nr: int, level: str, single: bool) -> Callable[..., None]:
    """The driver. units: tiles."""
    tile = gemm_hybrid(mr, nr, LANES[level], level in ("amx", "vnni"), "fused", single)
    (images, rows), begin_sums = band_of("delegate", False, LANES[level]), starts_of(single)

    def run(x: Any, image: Any, found: Any, scales: Any, zeros: Any, factors: Any, tall: int, top: int, left: int, reach: int,
            w: Any, total: Any, starts: Any, affine: Any, x_rows: Any, p_rows: Any, y_rows: Any, runs: Any, phases: Any,
            block: int, lo: Any, hi: Any, y: Any, begin: int, end: int) -> None:
        row, quads, panels = image.shape[1], (x.shape[3] + 3) // 4, affine.shape[0]
        images(x, found, scales, zeros, factors, 0, x.shape[0])
        begin_sums(starts, total, zeros)
        total_at = address(starts) if single else address(total)
        for f in range(phases.shape[0]):
            at, last = max(begin, phases[f, 0]), min(end, phases[f, 1])
            depth = phases[f, 3] * quads * nr * 4
            while at < last:
                count = min(block, last - at)
                base = rows(x, image, found, scales, zeros, factors, tall, top, left, x_rows[at * mr] // row,
                            x_rows[(at + count) * mr - 1] // row + reach)
                for p in range(panels):
                    for b in range(at, at + count):
                        tile(base, address(x_rows) + b * mr * 8, address(runs) + phases[f, 2] * 8, phases[f, 3], quads,
                             address(w) + phases[f, 4] + p * depth, total_at + (f * panels + p) * nr * 4,
                             address(affine) + p * nr * 8, address(scales), address(zeros), address(p_rows) + b * mr * 8,
                             address(y) + p * nr * 4, address(y_rows) + b * mr * 8, y.shape[3] - p * nr, lo, hi)
                at += count

    return run


def transpose_hybrid(geometry: Callable[[Call], tuple[int, int, int, int]]) -> Maker:
    """The kernel; geometry: strides and padding."""

    def make(call: Call) -> Kernel | None:
        level = "vnni" if jit.level() == "amx" else jit.level()
        if level == "portable" or call.numerics != DELEGATE or not possible(call) or not is_hybrid(call, 2):
            return None
        w, x, y = call.input(1), call.input(2), call.output
        bias, strides = floats(call, 3, w.shape[0]), geometry(call)
        if not isinstance(bias, np.ndarray) or w.size == 0:
            return None
        channels, c = w.shape[0], w.shape[3]
        phases = strides[0] * strides[1]
        nr, mr, _ = best_tile(channels, -(-y.size // (channels * phases)), w.size // channels // phases, False, level)
        made, single = plan(call, strides, mr, False), x.shape[0] == 1

        def args(call: Call, params: None) -> tuple[Arg, ...]:
            weights = np.asarray(w.known).reshape(channels, -1, c)
            parts = [weights[:, phase.taps].reshape(channels, -1) for phase in made.phases]
            packed = [quads_of(part, nr, phase.taps.size) for part, phase in zip(parts, made.phases)]
            total = np.concatenate([panels_of(part.sum(axis=1, dtype=np.int32), 1, nr) for part in parts])
            affine = np.stack([panels_of(np.asarray(v), 1, nr) for v in (channel_scales(w, channels), bias)], axis=1)
            image, block = band(call, made, mr, 1, always=True)
            each = [p.x_rows // (image.shape[1] * made.edges[0]) * 4 for p in made.phases]
            memory = (Scratch(np.dtype(kind), (n * x.shape[0],)) for kind, n in (("f4", 2), ("f4", 1), ("i4", 1), ("f4", 1)))
            return (x.view(), image, *memory, *made.edges, joined(packed), total,
                    Scratch(np.dtype(np.int32), total.shape if single else (0, 0)), affine,
                    joined([p.x_rows for p in made.phases]), joined(each), joined([p.y_rows * 4 for p in made.phases]),
                    joined([p.runs for p in made.phases]),
                    table_of(made.phases, mr, 1, [p.size for p in packed]), block,
                    *float_range(call.options.fused_activation_function, call), y.view())

        return Kernel(f"transpose_conv_hybrid_gemm_{mr}x{nr}_{level}", hybrid_phases(mr, nr, level, single), args,
                      split=lambda call: tiles(made, mr))

    return make
