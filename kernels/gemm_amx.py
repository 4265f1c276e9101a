"""int8 and uint8 convolutions on AMX tiles: 32 pixels by 32 channels at a time.

A tile loads 16 pixels at a fixed distance from each other. Three ways to give it such pixels, chosen before the first run:

    flat       stride 1: the pixels of the (padded) image in memory order. Where a window would wrap around the edge there
               is no output pixel: its result goes to a spare row
    rows       other strides, maps at least 16 wide: tiles along the output rows, the last one overlapping the one before
    gathered   else: the values of each pixel's window are copied side by side first

    for each block of tile pairs:
        (gather it)
        for each panel of 32 channels:
            for each pair of tiles of the block: sums on AMX, then 32 x 32 results to 8 bits
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from . import jit
from .contract import ROOM, Arg, Call, Kernel, Maker, Scratch
from .fused import Fused, way_back
from .gemm import Product, padded_rows
from .gemm_int import best_tile, bounded, greatest_sum, in_turns, known, orders, panels_of, split_weights, wrapped
from .machine import address, copy_bytes
from .micro.gemm_amx import FINISH, byte_finisher, finish, gemm_amx, lane_order, tiles_off, tiles_on
from .numerics import quantized_range

BLOCK = 1 << 15  # bytes of pixels in a block
EACH = 400  # cycles that 32 x 32 results take beside their products, about
WASTE = 0.75  # the least share of a flat image that must be output pixels
CONFIG = np.zeros(64, np.uint8)  # palette 1, eight tiles of 16 rows by 64 bytes
CONFIG[0], CONFIG[16:32:2], CONFIG[48:56] = 1, 64, 16


class Layout(NamedTuple):
    """Where the tiles find their pixels."""

    starts: np.ndarray  # [tiles] int64: distance of a tile's first pixel; gathered: unused
    y_rows: np.ndarray  # [tiles, 16] int64: distance of each pixel's output, -1 for none
    x_rows: np.ndarray  # [tiles, 16] int64: gathered: distance of each pixel
    stride: int  # bytes between the pixels of a tile
    runs: np.ndarray  # [taps] int64
    k: int  # bytes in a run
    gathered: bool

    @property
    def height(self) -> int:
        """How many rows of a pair of tiles count, an even number: 32, but where the second tile is the first one again."""
        if len(self.starts) > 2 or (self.y_rows[0] != self.y_rows[1]).any():
            return 32
        return len(np.unique(self.y_rows)) + 1 & ~1 if self.gathered else 16

    def cycles(self, channels: int, depth: int) -> int:
        """What all tiles take, about."""
        steps = self.stride // 64 if self.gathered else self.runs.size * -(-self.k // 64)
        each = -(-channels // 32) * (steps * (64 if self.height > 16 else 32) + EACH * self.height // 32)
        return EACH + len(self.starts) // 2 * (each + self.gathered * (self.runs.size * 25 * self.height + depth))


def layout(p: Product) -> Layout:
    """The cheapest of the three ways."""
    x_rows, y_rows, runs, k = p.distances(1, 1)
    _, rows, columns, c = (p.padded or (*p.x_shape, 0, 0))[:4]
    n, oh, ow, _ = p.y_shape
    sh, sw = p.window[:2]
    size = p.pixels
    if sh == 1 and sw == 1 and ((p.padded is None and (rows, columns) == (oh, ow)) or size >= WASTE * n * rows * columns):
        last = int(x_rows[-1]) // c  # the flat index of the last output pixel
        if last >= 15:
            place = np.full(last + 1, -1, np.int64)
            place[x_rows // c] = y_rows
            starts = np.minimum(np.arange(0, last + 1, 16), last - 15)
            return _even(starts * c, place[starts[:, None] + np.arange(16)], None, c, runs, k)
    if ow >= 16:
        first = np.minimum(np.arange(0, ow, 16), ow - 16)
        pixel = (np.arange(n * oh)[:, None, None] * ow + first[:, None] + np.arange(16)).reshape(-1, 16)
        return _even(x_rows[pixel[:, 0]], y_rows[pixel], None, sw * c, runs, k)
    first = np.minimum(np.arange(0, size, 16), max(size - 16, 0))
    pixel = np.minimum(first[:, None] + np.arange(16), size - 1)  # too few to fill a tile: the last one again
    return _even(first, y_rows[pixel], x_rows[pixel], -(-runs.size * k // 64) * 64, runs, k)


def _even(starts: np.ndarray, y_rows: np.ndarray, x_rows: np.ndarray | None, stride: int, runs: np.ndarray, k: int) -> Layout:
    """Tiles come in pairs: the last one again if their number is odd."""
    if len(starts) % 2:
        starts, y_rows = np.append(starts, starts[-1:]), np.append(y_rows, y_rows[-1:], axis=0)
        x_rows = None if x_rows is None else np.append(x_rows, x_rows[-1:], axis=0)
    found = np.zeros((1, 16), np.int64) if x_rows is None else x_rows
    return Layout(starts, y_rows, found, stride, runs, k, x_rows is not None)


def pack_tiles(w: np.ndarray, order: list[int], taps: int) -> np.ndarray:
    """w [O, taps * k] int8 as [panels, taps * steps, 2, 16, 16, 4]: for each 64 bytes of k two tiles of 16 columns."""
    channels, k = w.shape[0], w.shape[1] // taps
    panels, steps = -(-channels // 32), -(-k // 64)
    made = np.zeros((panels * 32, taps, steps * 64), np.int8)
    made[:channels, :, :k] = w.reshape(channels, taps, k)
    fours = made.view(np.int32).reshape(panels, 32, taps, steps, 16)[:, order]  # four bytes of k move together
    fours = np.ascontiguousarray(fours.reshape(panels, 2, 16, taps, steps, 16).transpose(0, 3, 4, 1, 5, 2))
    return fours.view(np.int8).reshape(panels, taps * steps, 2, 16, 16, 4)


@cache
def conv_amx_run(tail: str, signed: bool) -> Callable[..., None]:
    """The driver. units: pairs of tiles, or panels (by_panel)."""
    finishing = byte_finisher(tail, signed)
    block, rows = gemm_amx(finishing, FINISH, signed), finish(finishing, FINISH)

    def run(x: Any, sums: Any, windows: Any, image: Any, tall: int, top: int, left: int, reach: int, fill: int, w: Any,
            turns: Any, offsets: Any, bias: Any, multiplier: Any, shift: Any, starts: Any, x_rows: Any, y_rows: Any,
            stride: int, runs: Any, k: int, gathered: int, config: Any, count: int, height: int, by_panel: int, y_zero: int,
            lo: int, hi: int, y: Any, begin: int, end: int) -> None:
        first, last = (0, starts.shape[0] // 2) if by_panel else (begin, end)
        panel0, panel1 = (begin, end) if by_panel else (0, turns.shape[0])
        base = address(x)
        here = address(windows)
        size = address(multiplier[1:]) - address(multiplier) if turns.shape[0] > 1 else 0
        size_of_shift = address(shift[1:]) - address(shift) if turns.shape[0] > 1 else 0
        tiles_on(address(config))
        before, m_at, s_at, y_at, rows_at, columns = 0, address(multiplier), address(shift), address(y), address(y_rows), 32
        own = address(sums)
        turn = 0
        at = first
        while at < last:
            pairs = min(count, last - at)
            if image.shape[0] > 0:
                row = image.shape[1]
                low = x_rows[at * 2, 0] if gathered else starts[at * 2]
                high = x_rows[(at + pairs) * 2 - 1, 15] if gathered else starts[(at + pairs) * 2 - 1] + 15 * stride
                base = padded_rows(x, image, tall, top, left, fill, 1, low // row, high // row + reach)
            if gathered:
                for i in range(pairs * 32):
                    t, m = at * 2 + i // 16, i % 16
                    for r in range(runs.shape[0]):
                        copy_bytes(here + i * stride + r * k, base + x_rows[t, m] + runs[r], k)
            for panel in range(panel0, panel1):
                steps = turns[panel, 2]
                each = (15 + steps) // steps  # pairs of rows to finish in a step
                for b in range(pairs):
                    pair = at + b
                    a0 = here + b * 32 * stride if gathered else base + starts[2 * pair]
                    a1 = here + (b * 32 + 16) * stride if gathered else base + starts[2 * pair + 1]
                    now = own + turn * 4352
                    block(a0, a1, stride, address(offsets) + turns[panel, 1] * 8, steps, address(w) + turns[panel, 0],
                          address(bias) + panel * 128, now, height, each if before != 0 else 0, before, m_at, s_at, y_at, rows_at,
                          before + 4096, columns, y_zero, lo, hi)
                    turn = 1 - turn
                    before, columns = now, y.shape[3] - panel * 32
                    m_at, s_at = address(multiplier) + panel * size, address(shift) + panel * size_of_shift
                    y_at, rows_at = address(y) + panel * 32, address(y_rows) + pair * 256
            at += pairs
        if before != 0:
            rows(height, before, m_at, s_at, y_at, rows_at, before + 4096, columns, y_zero, lo, hi)
        tiles_off()

    return run


def conv_amx(name: str, product: Callable[[Call], Product], fits: Callable[[Call], bool], tails: dict[str, str],
             scales: Callable[[Call], tuple[np.ndarray, np.ndarray]]) -> Maker:
    """The AMX kernel for a call. Arguments as for `conv_gemm_int`."""

    def make(call: Call) -> Kernel | None:
        if jit.level() != "amx" or jit.DISABLED or not fits(call) or not known(call) or call.numerics not in tails:
            return None
        p, tail, signed = product(call), tails[call.numerics], call.input(0).dtype == np.int8
        channels, depth = p.w.shape[0], p.w[0].size
        if p.groups > 1 or call.input(0).known is not None:
            return None
        at = layout(p)
        pairs, panels = len(at.starts) // 2, -(-channels // 32)
        if at.cycles(channels, depth) > best_tile(channels, p.pixels, depth, signed, "vnni")[2] or not bounded(call, p, scales):
            return None  # few pixels, few channels, or steps half empty: vpdpbusd is faster
        by_panel = pairs < 2 * call.threads and panels > pairs
        way = way_back(call, tail, *scales(call), p.pixels, lambda: greatest_sum(p))

        def args(call: Call, params: None) -> tuple[Arg, ...]:
            return tile_args(call, p, at, way, by_panel)

        return Kernel(f"{name}_gemm_32x32_{call.input(0).dtype}_{way.named(call)}_amx", conv_amx_run(way.tail, signed), args,
                      split=lambda call: panels if by_panel else pairs)

    return make


def tile_args(call: Call, p: Product, at: Layout, way: Fused, by_panel: bool) -> tuple[Arg, ...]:
    """The driver's arguments, weights packed."""
    x_zero, order, numbers = call.input(0).zero_point, lane_order(way.tail), orders(way.tail, 32, 16)[1]
    low, high = split_weights(p.w.reshape(p.w.shape[0], -1), p.w_zero)
    taps, steps = (1, at.stride // 64) if at.gathered else (at.runs.size, -(-at.k // 64))
    runs = np.zeros(1, np.int64) if at.gathered else at.runs
    turns = in_turns(pack_tiles(low, order, taps), None if high is None else pack_tiles(high, order, taps),
                     (runs[:, None] + np.arange(steps) * 64).reshape(-1))
    # Modulo 2**32, as the bias.
    total = sum(part.sum(axis=1, dtype=np.int32).astype(np.int64) for part in (low, high) if part is not None)
    sums = Scratch(np.dtype(np.uint8), (8704,))
    first, last = (at.x_rows[:, 0], at.x_rows[:, 15]) if at.gathered else (at.starts, at.starts + 15 * at.stride)
    image, count = p.band(1, first[::2], last[1::2], BLOCK // (32 * steps * 64 * taps), ROOM - sums.size - BLOCK * at.gathered,
                          more=int(not at.gathered))  # the last pixels of a flat tile may reach around the edge
    windows = Scratch(np.dtype(np.uint8), (count * 32, at.stride) if at.gathered else (0, 0))

    bias, factor, apart = (panels_of(v, 1, 32)[..., order] for v in (
        wrapped(p.bias.astype(np.int64) - x_zero * total + way.offset), way.factor, way.apart))
    return (p.x, sums, windows, image, *p.edges, x_zero & 255, *turns, bias, factor[..., numbers], apart, at.starts, at.x_rows,
            at.y_rows, at.stride, at.runs, at.k, int(at.gathered), CONFIG, count, at.height, int(by_panel),
            call.output.zero_point, *quantized_range(call.options.fused_activation_function, call), p.y)
