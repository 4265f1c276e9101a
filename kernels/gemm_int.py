"""Quantized convolutions and products of matrices as tiles of an 8-bit GEMM.

The product is that of `gemm.py`; sums are exact, so a tile is free to take k in any order and the three numerics share
it: only the tail of a tile differs. What the packer settles before the first run:

    (x - x_zero) * (w - w_zero), summed, is  sum x * v  -  x_zero * sum v   with v = w - w_zero

so the second part goes into the bias, and cells outside the image hold x_zero and cancel. uint8 weights may make v as
wide as 9 bits, mostly for a channel or two: then v = a + b with both in int8, and those k that have a b count twice.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from . import jit
from .contract import ROOM, Arg, Call, Kernel, Maker
from .fused import way_back
from .gemm import BLOCK, Product, flipped_rows, padded_rows
from .machine import address
from .micro.fused import lane_order, number_order
from .numerics import quantized_range

WIDE: dict[int, tuple[int, ...]] = {64: (6, 3, 2, 1), 32: (12, 6, 3, 1), 16: (14, 7, 4, 2, 1)}  # NR: MR
TILES: dict[str, dict[int, tuple[int, ...]]] = {
    "amx": WIDE, "vnni": WIDE, "avx512": {32: (6, 3, 1), 16: (12, 6, 3, 1)}, "avx2": {8: (4, 2, 1)}, "portable": {}}
LANES = {"amx": 16, "vnni": 16, "avx512": 16, "avx2": 8}


def best_tile(channels: int, pixels: int, depth: int, signed: bool, level: str) -> tuple[int, int, float]:
    """(NR, MR, about how many cycles all tiles take): few pixels do not fill tall tiles, few channels no wide ones."""

    def cost(nr: int, mr: int) -> float:
        vectors = nr // LANES[level]
        # Two products a cycle, each to be waited for five; int8 rows flip their signs first.
        quad = max((mr * vectors + mr * signed) / 2, 1.25 if mr == 1 else 5)
        return -(-channels // nr) * -(-pixels // mr) * (depth / 4 * quad + 3 * mr * vectors + 2 * mr + 35)

    return min(((nr, mr, cost(nr, mr)) for nr, rows in TILES[level].items() for mr in rows), key=lambda t: t[2])


def panels_of(values: np.ndarray, groups: int, nr: int) -> np.ndarray:
    """[..., O] as [groups * panels, ..., NR], zeros for missing channels."""
    per_group = values.shape[-1] // groups
    panels = -(-per_group // nr)
    made = np.zeros((*values.shape[:-1], groups, panels * nr), values.dtype)
    made[..., :per_group] = values.reshape(*values.shape[:-1], groups, per_group)
    made = made.reshape(*values.shape[:-1], groups * panels, nr)
    return np.ascontiguousarray(np.moveaxis(made, -2, 0))


def orders(tail: str, nr: int, lanes: int) -> tuple[list[int], list[int]]:
    """The channel at each column of a panel, and the column whose numbers lie at each place of theirs."""
    within = lane_order(tail, lanes), number_order(tail, lanes)
    return tuple([v + e for v in range(0, nr, lanes) for e in one] for one in within)  # type: ignore[return-value]


def split_weights(w: np.ndarray, w_zero: int) -> tuple[np.ndarray, np.ndarray | None]:
    """w - w_zero as a + b in int8; b is None when one byte is enough."""
    if w.dtype == np.int8 and w_zero == 0:
        return w, None
    w, zero = (w, w_zero) if w.dtype == np.uint8 else (w.view(np.uint8) ^ 128, w_zero + 128)
    inside = np.clip(w, max(zero - 128, 0), min(zero + 127, 255))  # differences modulo 256: what they stand for fits a byte
    a, b = (inside - np.uint8(zero)).view(np.int8), (w - inside).view(np.int8)
    return a, b if b.any() else None


def in_turns(low: np.ndarray, high: np.ndarray | None, at: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The packed weights of both parts, low, high [panels, steps, ...], one panel after the other, each without those steps
    of the second part that are all zeros: (bytes, [panels, 3] where a panel's begin, its first step and how many steps there
    are, and where in a row of x each step lies, [steps] `at` for the first part)."""
    panels, steps, size = low.shape[0], low.shape[1], low[0, 0].size
    table = np.zeros((panels, 3), np.int64)
    table[:, 0], table[:, 2] = np.arange(panels) * steps * size, steps
    if high is None:
        return low.reshape(-1), table, at
    again = np.asarray(high.reshape(panels, steps, -1).any(axis=2))
    more = np.asarray(again.sum(axis=1))
    table[:, 0] += (np.cumsum(more) - more) * size
    made, where = np.empty(low.size + int(more.sum()) * size, np.int8), [at]
    for panel in range(panels):
        first, n = int(table[panel, 0]), steps * size
        made[first : first + n] = low[panel].reshape(-1)
        if more[panel]:
            made[first + n : first + n + int(more[panel]) * size] = high[panel, again[panel]].reshape(-1)
            table[panel, 1:] = sum(map(len, where)), steps + more[panel]
            where.append(np.concatenate([at, at[again[panel]]]))
    return made, table, np.concatenate(where)


def pack_quads(w: np.ndarray, groups: int, nr: int, taps: int) -> np.ndarray:
    """w [O, taps * k] int8 as [groups * panels, taps * ceil(k / 4), NR, 4]."""
    channels, k = w.shape[0], w.shape[1] // taps
    per_group, quads = channels // groups, -(-k // 4)
    panels = -(-per_group // nr)
    made = np.zeros((groups, panels * nr, taps, quads * 4), np.int8)
    made[:, :per_group, :, :k] = w.reshape(groups, per_group, taps, k)
    fours = made.view(np.int32).reshape(groups, panels, nr, taps, quads).transpose(0, 1, 3, 4, 2)  # four bytes move together
    return np.ascontiguousarray(fours).view(np.int8).reshape(groups * panels, taps * quads, nr, 4)


@cache
def conv_gemm_i8(mr: int, nr: int, level: str, tail: str, signed: bool, copied: bool) -> Callable[..., None]:
    """The driver for one tile size. units: tiles of pixels, or panels (by_panel). copied: rows come as a band, unsigned."""
    from .micro.gemm_i8 import gemm_i8

    tile = gemm_i8(mr, nr, LANES[level], level in ("amx", "vnni"), tail, signed, signed and not copied)
    rows = flipped_rows if signed else padded_rows

    def run(x: Any, image: Any, tall: int, top: int, left: int, reach: int, fill: int, w: Any, turns: Any,
            offsets: Any, bias: Any, multiplier: Any, shift: Any, groups: int, x_rows: Any, y_rows: Any, runs: Any, k: int,
            quads: int, block: int, by_panel: int, y_zero: int, lo: int, hi: int, y: Any, begin: int, end: int) -> None:
        first, last = (0, x_rows.shape[0] // mr) if by_panel else (begin, end)
        panel0, panel1 = (begin, end) if by_panel else (0, turns.shape[0])
        base = address(x)
        panels, once = turns.shape[0] // groups, runs.shape[0] * quads
        out = y.shape[3] // groups
        size = address(multiplier[1:]) - address(multiplier) if turns.shape[0] > 1 else 0
        size_of_shift = address(shift[1:]) - address(shift) if turns.shape[0] > 1 else 0
        at = first
        while at < last:
            count = min(block, last - at)
            if image.shape[0] > 0:
                row = image.shape[1]
                base = rows(x, image, tall, top, left, fill, 1, x_rows[at * mr] // row,
                            x_rows[(at + count) * mr - 1] // row + reach)
            for panel in range(panel0, panel1):
                g, p = panel // panels, panel % panels
                for b in range(at, at + count):
                    tile(base + g * k, address(x_rows) + b * mr * 8, address(runs), runs.shape[0], quads,
                         address(offsets) + (turns[panel, 1] + once) * 8, turns[panel, 2] - once, address(w) + turns[panel, 0],
                         address(bias) + panel * nr * 4, address(multiplier) + panel * size,
                         address(shift) + panel * size_of_shift, address(y) + g * out + p * nr, address(y_rows) + b * mr * 8,
                         out - p * nr, y_zero, lo, hi)
            at += count

    return run


def conv_gemm_int(name: str, product: Callable[[Call], Product], fits: Callable[[Call], bool], tails: dict[str, str],
                  scales: Callable[[Call], tuple[np.ndarray, np.ndarray]]) -> Maker:
    """8-bit kernels of the tile size that suits the call. tails: numerics -> the name of its way back to 8 bits; `scales`
    gives its multipliers and shifts [O]. `fits` may look at types only."""

    def make(call: Call) -> Kernel | None:
        level = jit.level()
        if level == "portable" or jit.DISABLED or not fits(call) or not known(call) or call.numerics not in tails:
            return None
        p, signed = product(call), call.input(0).dtype == np.int8
        if not bounded(call, p, scales):
            return None
        nr, mr, _ = best_tile(p.w.shape[0] // p.groups, p.pixels, p.w[0].size, signed, level)
        tiles = -(-p.pixels // mr)
        panels = p.groups * -(-(p.w.shape[0] // p.groups) // nr)
        by_panel = tiles < 4 * call.threads
        # Bytes of x become unsigned as they are copied, not tile by tile, if they have to be copied anyway or fit.
        line, (_, _, _, reach) = math.prod((p.padded or p.x_shape)[2:4]), p.edges
        small = line * (reach + -(-mr // p.y_shape[2]) * p.window[0]) <= ROOM and panels * p.w[0].size >= 512
        copied = p.padded is not None or (signed and small)
        weights = p.w.reshape(p.w.shape[0], -1)
        way = way_back(call, tails[call.numerics], *scales(call), p.pixels, lambda: greatest_sum(p))
        order, numbers = orders(way.tail, nr, LANES[level])

        def args(call: Call, params: None) -> tuple[Arg, ...]:
            x_rows, y_rows, runs, k = p.distances(1, mr)
            image, block = p.band(1, x_rows[::mr], x_rows[mr - 1 :: mr], BLOCK // (mr * runs.size * k), always=copied)
            x_zero = call.input(0).zero_point
            low, high = split_weights(weights, p.w_zero)
            turns = in_turns(pack_quads(low, p.groups, nr, runs.size)[:, :, order],
                             None if high is None else pack_quads(high, p.groups, nr, runs.size)[:, :, order],
                             (runs[:, None] + np.arange(0, k, 4)).reshape(-1))
            total = sum(part.sum(axis=1, dtype=np.int32).astype(np.int64) for part in (low, high) if part is not None)
            bias = wrapped(p.bias.astype(np.int64) - (x_zero + 128 * signed) * total + way.offset)
            bias, factor, apart = (panels_of(v, p.groups, nr)[..., order] for v in (bias, way.factor, way.apart))
            return (p.x, image, *p.edges, (x_zero & 255) ^ (128 * signed), *turns, bias, factor[..., numbers], apart,
                    p.groups, x_rows, y_rows, runs, k, -(-k // 4), block, int(by_panel), call.output.zero_point,
                    *quantized_range(call.options.fused_activation_function, call), p.y)

        used = "vnni" if level == "amx" else level
        return Kernel(f"{name}_gemm_{mr}x{nr}_{call.input(0).dtype}_{way.named(call)}_{used}",
                      conv_gemm_i8(mr, nr, used, way.tail, signed, copied), args,
                      split=lambda call: panels if by_panel else tiles)

    return make


def greatest_sum(p: Product) -> np.ndarray:
    """[O]: no sum of 8-bit values is greater, with either sign."""
    w = p.w.reshape(p.w.shape[0], -1).astype(np.int16) - np.int16(p.w_zero)
    return np.asarray(np.abs(w).sum(axis=1, dtype=np.int64) * 255 + np.abs(p.bias.astype(np.int64)))


def wrapped(sums: np.ndarray) -> np.ndarray:
    """As int32, modulo 2**32: as the sums themselves."""
    return ((sums + 2**31) % 2**32 - 2**31).astype(np.int32)


def known(call: Call) -> bool:
    """Weights and bias are known before the first run, there are any, and `split_weights` holds: all do but a weight 255
    above the zero point."""
    if call.input(1).size == 0 or any(o is not None and o.known is None for o in call.inputs[1:3]):
        return False
    w = call.input(1)
    if w.dtype == np.int8 and not w.quantization.zero_point.any():
        return True
    return int(np.max(np.asarray(w.known), initial=0)) - (w.zero_point if w.quantized else 0) < 255


def bounded(call: Call, p: Product, scales: Callable[[Call], tuple[np.ndarray, np.ndarray]]) -> bool:
    """No scaled sum leaves what a conversion to int32 takes: proved from the weights. (Sums themselves wrap, as officially.)"""
    multiplier, _ = scales(call)
    if multiplier.dtype.kind != "f":
        return True
    w, bias, scale = p.w.reshape(p.w.shape[0], -1), np.abs(p.bias.astype(np.int64)), np.abs(multiplier.astype(np.float64))
    # What any weights of the type could sum to is nearly always small enough: then these need not be looked at.
    if (np.minimum(w.shape[1] * 255 * 255 + bias, 2**31) * scale < 2**30).all():
        return True
    most = np.minimum(np.abs(w.astype(np.int64) - p.w_zero).sum(axis=1) * 255 + bias, 2**31)
    return bool((most * scale < 2**30).all())
