"""TRANSPOSE_CONV of int16 by int8 as tiles of a GEMM: the phases of `transpose_gemm.py`, the tiles of `gemm_int16.py`."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from . import jit
from .contract import Arg, Call, Kernel, Maker
from .gemm import padded_rows
from .gemm_int import panels_of
from .gemm_int16 import LANES, best_tile, in_blocks, leaves_32_bits, pack_pairs, way_back
from .machine import address
from .transpose_gemm import Args, band, joined, plan, possible, tail_of, tiles


@cache
def int16_phases(mr: int, nr: int, level: str, tail: str, wide: bool) -> Callable[..., None]:
    """The driver. units: tiles of all phases. phases: [n, 6] int64, first and last tile, first run, first block, number of
    blocks, where the weights start."""
    from .micro.gemm_i16 import gemm_i16

    tile = gemm_i16(mr, nr, LANES[level], level, tail, wide)
    bias_bytes = nr * (8 if wide else 4)

    def run(x: Any, image: Any, tall: int, top: int, left: int, reach: int, w: Any, bias: Any, multiplier: Any, shift: Any,
            x_rows: Any, y_rows: Any, runs: Any, blocks: Any, phases: Any, block: int, lo: int, hi: int, y: Any, begin: int,
            end: int) -> None:
        base, panels = address(x), bias.shape[0]
        for f in range(phases.shape[0]):
            at, last, own = max(begin, phases[f, 0]), min(end, phases[f, 1]), address(w) + phases[f, 5]
            depth = (phases[f + 1, 5] if f + 1 < phases.shape[0] else w.shape[0]) - phases[f, 5]
            while at < last:
                count = min(block, last - at)
                if image.shape[0] > 0:
                    base = padded_rows(x, image, tall, top, left, 0, 2, x_rows[at * mr] // image.shape[1],
                                       x_rows[(at + count) * mr - 1] // image.shape[1] + reach)
                for p in range(panels):
                    for b in range(at, at + count):
                        tile(base, address(x_rows) + b * mr * 8, address(runs) + phases[f, 2] * 16,
                             address(blocks) + phases[f, 3] * 8, phases[f, 4], own + p * (depth // panels),
                             address(bias) + p * bias_bytes, address(multiplier) + p * nr * 4, address(shift) + p * nr * 4,
                             address(y) + p * nr * 2, address(y_rows) + b * mr * 8, y.shape[3] - p * nr, lo, hi)
                at += count

    return run


def transpose_int16(is_wide: Callable[[Call], bool], is_narrow: Callable[[Call], bool], settle: Args) -> Maker:
    """The int16 kernel for sums of 64 bits and of 32; `settle` is the definition's args."""

    def make(call: Call) -> Kernel | None:
        if not possible(call) or not (is_wide(call) or is_narrow(call)):
            return None
        w, known, level = call.input(1), np.asarray(call.input(1).known), "vnni" if jit.level() == "amx" else jit.level()
        x, _, bias, multiplier, shift, _, _, *strides, _, lo, hi, y = settle(call, None)
        tail = "half_up" if is_wide(call) else tail_of(call)
        if not isinstance(bias, np.ndarray) or tail is None or (back := way_back(tail, multiplier, shift)) is None:
            return None
        channels, c = w.shape[0], w.shape[3]
        weights, (sh, sw, top, left) = known.reshape(channels, -1, c), strides
        wide = is_wide(call) and leaves_32_bits(known.reshape(channels, -1), bias)
        nr, mr = best_tile(channels, -(-call.output.size // (channels * sh * sw)), w.size // channels // (sh * sw), level)
        made = plan(call, (sh, sw, top, left), mr, False)

        def args(call: Call, params: None) -> tuple[Arg, ...]:
            packed = [pack_pairs(weights[:, p.taps].reshape(channels, -1), 1, nr, p.taps.size) if p.taps.size
                      else np.zeros(0, np.int8) for p in made.phases]
            cut = [in_blocks(p.runs * 2, c, wide) for p in made.phases]
            table, at = np.zeros((len(made.phases), 6), np.int64), np.zeros(4, np.int64)  # tile, run, block, byte of w
            for row, phase, (runs, blocks), v in zip(table, made.phases, cut, packed):
                more = np.array([phase.x_rows.size // mr, len(runs), blocks.size, v.size])
                row[:] = at[0], at[0] + more[0], at[1], at[2], more[2], at[3]
                at += more
            image, block = band(call, made, mr, 2)
            return (x, image, *made.edges, joined(packed),
                    *(panels_of(v, 1, nr) for v in (bias.astype(np.int64 if wide else np.int32), *back)),
                    joined([p.x_rows * 2 for p in made.phases]), joined([p.y_rows * 2 for p in made.phases]),
                    joined([runs for runs, _ in cut]), joined([blocks for _, blocks in cut]), table, block, lo, hi, y)

        return Kernel(f"transpose_conv_gemm_{mr}x{nr}_int16_{'wide_' * wide}{call.numerics}_{level}",
                      int16_phases(mr, nr, level, tail, wide), args, split=lambda call: tiles(made, mr))

    return make
