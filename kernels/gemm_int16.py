"""Convolutions and products of matrices of 16-bit activations by 8-bit weights, as tiles of a GEMM.

The product is that of `gemm.py`; zero points are 0, so a cell outside the image adds nothing and the bias stays what it is.
Sums of 64 bits fit 32 nearly always, which the weights prove: |x| <= 2**15. Those that may not are cut into blocks.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from . import jit
from .contract import Arg, Call, Kernel, Maker
from .gemm import BLOCK, Product, padded_rows
from .gemm_int import panels_of
from .machine import address
from .micro.gemm_i16 import PAIRS
from .numerics import quantized_range

WIDE: dict[int, tuple[int, ...]] = {64: (6, 3, 2, 1), 32: (12, 10, 6, 3, 1), 16: (12, 7, 4, 2, 1)}  # NR: MR
TILES: dict[str, dict[int, tuple[int, ...]]] = {
    "vnni": WIDE, "avx512": WIDE, "avx2": {16: (4, 2, 1), 8: (6, 3, 1)}, "portable": {8: (4, 2, 1), 4: (4, 2, 1)}}
LANES = {"vnni": 16, "avx512": 16, "avx2": 8, "portable": 4}
PRODUCT = {"vnni": 1, "avx512": 2, "avx2": 2, "portable": 8}  # instructions


def best_tile(channels: int, pixels: int, depth: int, level: str) -> tuple[int, int]:
    """(NR, MR): few pixels do not fill tall tiles, few channels no wide ones."""

    def cost(tile: tuple[int, int]) -> float:
        nr, mr = tile
        vectors = nr // LANES[level]
        # Two instructions a cycle, each product to be waited for five; rows of one vector are loaded anew for each product.
        pair = max((mr * vectors * PRODUCT[level] + vectors) / (2 if vectors > 1 else 1.7), 1.25 if mr == 1 else 5)
        return -(-channels // nr) * -(-pixels // mr) * (depth / 2 * pair + 8 * mr * vectors + 2 * mr + 35)

    return min(((nr, mr) for nr, rows in TILES[level].items() for mr in rows), key=cost)


def pack_pairs(w: np.ndarray, groups: int, nr: int, taps: int) -> np.ndarray:
    """w [O, taps * k] int8 as [groups * panels, taps * ceil(k / 2), NR, 2]."""
    channels, k = w.shape[0], w.shape[1] // taps
    per_group, pairs = channels // groups, -(-k // 2)
    panels = -(-per_group // nr)
    made = np.zeros((groups, panels * nr, taps, pairs * 2), np.int8)
    made[:, :per_group, :, :k] = w.reshape(groups, per_group, taps, k)
    twos = made.view(np.int16).reshape(groups, panels, nr, taps * pairs).transpose(0, 1, 3, 2)  # two bytes move together
    return np.ascontiguousarray(twos).view(np.int8).reshape(groups * panels, taps * pairs, nr, 2)


def in_blocks(runs: np.ndarray, k: int, wide: bool) -> tuple[np.ndarray, np.ndarray]:
    """(runs [n, 2]: distance in bytes and pairs, blocks: how many of them are added up in 32 bits). wide: none has more than
    PAIRS pairs; else there is one block."""
    pairs = -(-k // 2)
    if not wide:
        return np.stack([runs, np.full(runs.size, pairs)], axis=1), np.array([runs.size])
    starts = np.arange(0, pairs, PAIRS)
    pieces = np.minimum(pairs - starts, PAIRS)
    cut = np.stack([(runs[:, None] + starts * 4).reshape(-1), np.tile(pieces, runs.size)], axis=1)
    blocks, filled = [0], 0
    for size in cut[:, 1]:
        if filled + size > PAIRS:
            blocks, filled = [*blocks, 0], 0
        blocks[-1] += 1
        filled += int(size)
    return cut, np.array(blocks)


def leaves_32_bits(w: np.ndarray, bias: np.ndarray) -> bool:
    """Whether the sum of some channel may. w: [O, k]"""
    most = np.abs(w.astype(np.int32)).sum(axis=1, dtype=np.int64) * 2**15 + np.abs(bias.astype(np.float64))
    return bool((most >= 2**31).any())


def way_back(tail: str, multiplier: np.ndarray, shift: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """What a tail wants of multipliers and shifts: "half_up" 16 bits of the first and one shift to the right. None where that
    would be a shift to the left."""
    if tail != "half_up":
        return multiplier, shift
    reduced = np.minimum((multiplier.astype(np.int64) + 2**15) >> 16, 2**15 - 1)
    return None if (shift > 14).any() else (reduced.astype(np.int32), 15 - shift)


@cache
def conv_gemm_i16(mr: int, nr: int, level: str, tail: str, wide: bool) -> Callable[..., None]:
    """The driver for one tile size. units: tiles of pixels, or panels (by_panel)."""
    from .micro.gemm_i16 import gemm_i16

    tile = gemm_i16(mr, nr, LANES[level], level, tail, wide)
    factor_bytes, bias_bytes = nr * (8 if tail == "double" else 4), nr * (8 if wide else 4)

    def run(x: Any, image: Any, tall: int, top: int, left: int, reach: int, w: Any, bias: Any, multiplier: Any, shift: Any,
            groups: int, x_rows: Any, y_rows: Any, runs: Any, blocks: Any, k: int, block: int, by_panel: int, lo: int, hi: int,
            y: Any, begin: int, end: int) -> None:
        first, last = (0, x_rows.shape[0] // mr) if by_panel else (begin, end)
        panel0, panel1 = (begin, end) if by_panel else (0, w.shape[0])
        base, panels, out = address(x), w.shape[0] // groups, y.shape[3] // groups
        at = first
        while at < last:
            count = min(block, last - at)
            if image.shape[0] > 0:
                row = image.shape[1]
                base = padded_rows(x, image, tall, top, left, 0, 2, x_rows[at * mr] // row,
                                   x_rows[(at + count) * mr - 1] // row + reach)
            for panel in range(panel0, panel1):
                g, p = panel // panels, panel % panels
                for b in range(at, at + count):
                    tile(base + g * k * 2, address(x_rows) + b * mr * 8, address(runs), address(blocks), blocks.shape[0],
                         address(w) + panel * w.shape[1] * nr * 2, address(bias) + panel * bias_bytes,
                         address(multiplier) + panel * factor_bytes, address(shift) + panel * nr * 4,
                         address(y) + (g * out + p * nr) * 2, address(y_rows) + b * mr * 8, out - p * nr, lo, hi)
            at += count

    return run


def conv_gemm_int16(name: str, product: Callable[[Call], Product], tail_of: Callable[[Call], tuple[str, int] | None],
                    scales: Callable[[Call], tuple[np.ndarray, np.ndarray]]) -> Maker:
    """int16 kernels of the tile size that suits the call. tail_of: the name of a call's way back and the bits of its sum, None
    for what is not to be computed here; `scales` gives multipliers and shifts [O]."""

    def make(call: Call) -> Kernel | None:
        if jit.DISABLED or (form := tail_of(call)) is None or not known(call):
            return None
        (tail, bits), p, level = form, product(call), "vnni" if jit.level() == "amx" else jit.level()
        weights = p.w.reshape(p.w.shape[0], -1)
        wide, back = bits == 64 and leaves_32_bits(weights, p.bias), way_back(tail, *scales(call))
        if back is None:
            return None
        nr, mr = best_tile(p.w.shape[0] // p.groups, p.pixels, weights.shape[1], level)
        tiles, panels = -(-p.pixels // mr), p.groups * -(-(p.w.shape[0] // p.groups) // nr)
        by_panel = tiles < 4 * call.threads

        def args(call: Call, params: None) -> tuple[Arg, ...]:
            x_rows, y_rows, taps, k = p.distances(2, mr)
            image, block = p.band(2, x_rows[::mr], x_rows[mr - 1 :: mr], BLOCK // (mr * taps.size * k * 2))
            runs, blocks = in_blocks(taps, k, wide)
            bias = p.bias.astype(np.int64 if wide else np.int32)
            return (p.x, image, *p.edges, pack_pairs(weights, p.groups, nr, taps.size),
                    *(panels_of(v, p.groups, nr) for v in (bias, *back)), p.groups, x_rows, y_rows * 2, runs, blocks, k, block,
                    int(by_panel), *quantized_range(call.options.fused_activation_function, call), p.y)

        return Kernel(f"{name}_gemm_{mr}x{nr}_int16_{'wide_' * wide}{call.numerics}_{level}",
                      conv_gemm_i16(mr, nr, level, tail, wide), args, split=lambda call: panels if by_panel else tiles)

    return make


def known(call: Call) -> bool:
    """Weights and bias are known before the first run, and there are any weights and results."""
    return (call.input(1).size > 0 and call.output.size > 0
            and all(o is None or o.known is not None for o in call.inputs[1:3]))
