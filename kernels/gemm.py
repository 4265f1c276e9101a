"""Convolutions and products of matrices as tiles of a GEMM: the drivers around `micro/gemm_*.py`.

A convolution is a product of two matrices: one row for each output pixel, one column for each output channel. The rows
are never written out. When the window reaches over the edge, a band of the image is copied with its padding, a few rows at
a time; then every pixel finds its values at the same distances from its own corner, and because channels lie beside each
other a whole row of the window is one run: KH runs of KW * C values (with dilation or groups: KH * KW runs of C).

    for each block of pixels that fits the second-level cache, and whose band fits a thread's own memory:
        for each panel of NR channels:                 the panel's weights stay in the first-level cache
            for each tile of MR pixels of the block:   MR x NR results in registers

What does not depend on values is settled before the first run: weights packed as [groups, panels, 1 + K, NR] with the
bias first, and the distances of every pixel in x and in y.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from tinyinterp.schema.frozen import record

from . import jit
from .contract import DELEGATE, ROOM, Arg, Call, Kernel, Maker, Scratch
from .machine import address, copy_bytes, fill_bytes, flip_bytes, inline

BLOCK = 1 << 17  # bytes of pixels in a block
# (NR, MR): measured time an element against the best one. More rows than ten need more addresses than there are registers;
# fewer chains than 8 vectors do not hide the four cycles of a link: those are for few pixels.
TILES = {"avx512": {(64, 6): 1.0, (48, 8): 1.02, (32, 10): 1.03, (32, 12): 1.04, (32, 7): 1.05, (32, 8): 1.06, (16, 10): 1.33,
                    (64, 3): 1.1, (64, 2): 1.15, (32, 4): 1.15, (16, 4): 1.2},
         "narrow": {(8, 10): 0.9, (8, 4): 1.0},  # with AVX-512, sums apart from products: three ports take half a vector
         "avx2": {(16, 6): 1.0, (8, 8): 1.4, (16, 3): 1.2, (8, 3): 1.4}, "portable": {}}
SHORT = 4  # runs with fewer values have tiles of their own
LANES = {"avx512": 16, "avx2": 8, "portable": 4}


@record(frozen=True, slots=True)
class Product:
    """A convolution as a product of matrices: what the drivers need to know of it."""

    x: Any  # the argument, of shape
    x_shape: tuple[int, ...]  # [N, H, W, C]
    w: np.ndarray  # [O, KH, KW, C / groups]
    bias: np.ndarray  # [O]
    window: tuple[int, int, int, int, int, int]  # strides, dilations, top, left
    y: Any  # the argument, of shape
    y_shape: tuple[int, ...]  # [N, OH, OW, O]
    w_zero: int = 0  # of quantized weights

    @property
    def groups(self) -> int:
        return int(self.x_shape[3] // self.w.shape[3])

    @property
    def run(self) -> int:
        """Values in a run: a row of the window where its columns lie beside each other."""
        return int(math.prod(self.w.shape[2:]) if self.window[3] == 1 and self.groups == 1 else self.w.shape[3])

    @property
    def pixels(self) -> int:
        return math.prod(self.y_shape[:3])

    @property
    def padded(self) -> tuple[int, int, int, int, int, int] | None:
        """(N, rows, columns, C, top, left) of the image with its padding; None when the window stays inside."""
        (n, h, w, c), (sh, sw, dh, dw, top, left) = self.x_shape, self.window
        _, kh, kw, _ = self.w.shape
        rows = max((self.y_shape[1] - 1) * sh + (kh - 1) * dh + 1, top + h)
        columns = max((self.y_shape[2] - 1) * sw + (kw - 1) * dw + 1, left + w)
        return None if (rows, columns) == (h, w) else (n, rows, columns, c, top, left)

    @property
    def edges(self) -> tuple[int, int, int, int]:
        """(rows of an image with its padding, top, left, rows under a window): what `padded_rows` is told."""
        _, tall, _, _, top, left = self.padded or (*self.x_shape, 0, 0)
        return tall, top, left, (self.w.shape[1] - 1) * self.window[2] + 1

    def band(self, itemsize: int, first: np.ndarray, last: np.ndarray, most: int, room: int = ROOM,
             more: int = 0, always: bool = False) -> tuple[Scratch, int]:
        """Memory for the padded rows of a block, and the tiles of a block: at most `most`, and so few that the rows fit
        `room` or are at most twice those of one tile. first, last: distances in x of the pixels that begin and end each
        tile; more: rows that a block touches beyond its windows; always: even without padding."""
        most = max(min(most, first.size), 1)
        if self.padded is None and not always:
            return Scratch(np.dtype(np.uint8), (0, 0)), most
        line = math.prod((self.padded or self.x_shape)[2:4]) * itemsize
        low, high = first // line, last // line + self.edges[3] + more

        def rows(tiles: int) -> int:
            return int((high[tiles - 1 :] - low[: low.size - tiles + 1]).max())

        limit = max(room // line, 2 * rows(1))
        while most > 1 and rows(most) > limit:
            most = -(-most * 3 // 4) if most > 4 else most - 1
        return Scratch(np.dtype(np.uint8), (rows(most), line)), most

    def distances(self, itemsize: int, mr: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
        """(x of every pixel [tiles * MR], y of every pixel [tiles * MR], runs of the window [taps], values in a run)."""
        (_, h, w, c), (sh, sw, dh, dw, _, _) = self.x_shape, self.window
        if self.padded:
            h, w = self.padded[1:3]
        n, oh, ow, o = self.y_shape
        _, kh, kw, k = self.w.shape
        cell = c * itemsize
        x = steps(steps(steps(np.zeros(1, np.int64), n, h * w * cell), oh, sh * w * cell), ow, sw * cell)
        y = np.arange(x.size, dtype=np.int64) * o
        runs = steps(steps(np.zeros(1, np.int64), kh, dh * w * cell), kw * k // self.run, dw * cell)
        if more := -x.size % mr:  # past the end: the last one again
            x, y = (np.concatenate([v, np.repeat(v[-1:], more)]) for v in (x, y))
        return x, y, runs, self.run


def steps(starts: np.ndarray, count: int, by: int) -> np.ndarray:
    """The numbers start, start + by, … of each start, `count` of them: [starts * count]."""
    return (starts[:, None] + np.arange(count) * by).reshape(-1)


def pack_f32(w: np.ndarray, bias: np.ndarray, groups: int, nr: int) -> np.ndarray:
    """w [O, KH, KW, C] and bias [O] as [groups, panels, 1 + KH * KW * C, NR]; missing channels are 0."""
    per_group = w.shape[0] // groups
    panels = -(-per_group // nr)
    rows = np.concatenate([bias.reshape(groups, per_group, 1), w.reshape(groups, per_group, -1)], axis=2)
    padded = np.zeros((groups, panels * nr, rows.shape[2]), np.float32)
    padded[:, :per_group] = rows
    return np.ascontiguousarray(padded.reshape(groups, panels, nr, -1).transpose(0, 1, 3, 2))


def rows_by(copy: Callable[..., Any]) -> Callable[..., Any]:
    @inline
    def rows(x: Any, image: Any, tall: int, top: int, left: int, fill: int, itemsize: int, low: int, high: int) -> int:
        """Copy rows low to high of x [N, H, W, C] with its padding, `tall` rows to an image, into image [rows, bytes]; the
        address where row 0 would lie."""
        row, before = image.shape[1], left * x.shape[3] * itemsize
        inside = x.shape[2] * x.shape[3] * itemsize
        for r in range(low, min(high, x.shape[0] * tall)):
            n, i = r // tall, r % tall - top
            target = address(image) + (r - low) * row
            if 0 <= i < x.shape[1]:
                fill_bytes(target, fill, before)
                copy(target + before, address(x) + (n * x.shape[1] + i) * inside, inside)
                fill_bytes(target + before + inside, fill, row - before - inside)
            else:
                fill_bytes(target, fill, row)
        return address(image) - low * row  # type: ignore[no-any-return]

    return rows


padded_rows, flipped_rows = rows_by(copy_bytes), rows_by(flip_bytes)


@cache
def conv_gemm_f32(mr: int, nr: int, lanes: int, fused: bool, short: int) -> Callable[..., None]:
    """The driver for one tile size. units: tiles of pixels, or panels (by_panel)."""
    from .micro.gemm_f32 import gemm_f32

    tile = gemm_f32(mr, nr, lanes, fused, short)

    def run(x: Any, image: Any, tall: int, top: int, left: int, reach: int, w: Any, x_rows: Any, y_rows: Any, runs: Any,
            k: int, block: int, by_panel: int, lo: Any, hi: Any, y: Any, begin: int, end: int) -> None:
        first, last = (0, x_rows.shape[0] // mr) if by_panel else (begin, end)
        panel0, panel1 = (begin, end) if by_panel else (0, w.shape[0] * w.shape[1])
        base = address(x)
        out = y.shape[3] // w.shape[0]
        depth = runs.shape[0] * k
        at = first
        while at < last:
            count = min(block, last - at)
            if image.shape[0] > 0:
                row = image.shape[1]
                base = padded_rows(x, image, tall, top, left, 0, 4, x_rows[at * mr] // row,
                                   x_rows[(at + count) * mr - 1] // row + reach)
            for panel in range(panel0, panel1):
                g, p = panel // w.shape[1], panel % w.shape[1]
                for b in range(at, at + count):
                    tile(base + g * k * 4, address(x_rows) + b * mr * 8, address(runs), runs.shape[0], k,
                         address(w) + panel * (1 + depth) * nr * 4, address(y) + (g * out + p * nr) * 4,
                         address(y_rows) + b * mr * 8, out - p * nr, lo, hi)
            at += count

    return run


@cache
def row_without_zeros(nr: int) -> Callable[..., None]:
    """The driver for one row. units: panels."""
    from .micro.row_f32 import nonzero, row_f32

    tile = row_f32(nr)

    def run(x: Any, values: Any, places: Any, count: Any, w: Any, k: int, lo: Any, hi: Any, y: Any, begin: int, end: int) -> None:
        nonzero(address(x), k, address(values), address(places), address(count))
        for panel in range(begin, end):
            tile(address(values), address(places), count[0], address(w) + panel * (1 + k) * nr * 4, address(y) + panel * nr * 4,
                 y.shape[3] - panel * nr, lo, hi)

    return run


def one_row(name: str, p: Product, nr: int, call: Call, clamp: Callable[[Call], tuple[Any, Any]]) -> Kernel:
    """The kernel that leaves out the values of its row that are 0."""
    k, panels = p.w[0].size, -(-p.w.shape[0] // nr)

    def args(call: Call, params: None) -> tuple[Arg, ...]:
        room = [Scratch(np.dtype(t), (n,)) for t, n in ((np.float32, k + 16), (np.int32, k + 16), (np.int64, 1))]
        return (p.x, *room, pack_f32(p.w, p.bias, 1, nr)[0], k, *clamp(call), p.y)

    return Kernel(f"{name}_row_{nr}_float32_{call.numerics}_avx512", row_without_zeros(nr), args, split=lambda call: panels)


def conv_gemm(name: str, product: Callable[[Call], Product], fits: Callable[[Call], bool],
              clamp: Callable[[Call], tuple[Any, Any]]) -> Maker:
    """Float kernels of the tile size that suits the call. `fits` may look at types only."""

    def make(call: Call) -> Kernel | None:
        isa = jit.isa()
        if isa == "portable" or jit.DISABLED or not fits(call) or not known_and_finite(call):
            return None
        p, fused = product(call), call.numerics == DELEGATE
        nr, mr = best_tile(p, isa, fused)
        whole = p.groups == 1 and p.padded is None and p.run == p.w[0].size and nr >= LANES[isa]
        if isa == "avx512" and not fused and p.pixels == 1 and whole:
            return one_row(name, p, nr, call, clamp)
        tiles = -(-p.pixels // mr)
        panels = p.groups * -(-(p.w.shape[0] // p.groups) // nr)
        by_panel = tiles < 4 * call.threads
        k = p.run

        def args(call: Call, params: None) -> tuple[Arg, ...]:
            x_rows, y_rows, runs, _ = p.distances(4, mr)
            most = BLOCK if p.padded else 2 * BLOCK
            image, block = p.band(4, x_rows[::mr], x_rows[mr - 1 :: mr], most // (mr * runs.size * k * 4))
            return (p.x, image, *p.edges, pack_f32(p.w, p.bias, p.groups, nr), x_rows, y_rows * 4, runs, k, block,
                    int(by_panel), *clamp(call), p.y)

        run = conv_gemm_f32(mr, nr, min(LANES[isa], nr), fused, k if k < SHORT else 0)
        return Kernel(f"{name}_gemm_{mr}x{nr}_float32_{call.numerics}_{isa}", run, args,
                      split=lambda call: panels if by_panel else tiles)

    return make


def best_tile(p: Product, isa: str, fused: bool = True) -> tuple[int, int]:
    """(NR, MR): the tile with which all of them take the fewest cycles."""
    channels = p.w.shape[0] // p.groups
    if p.pixels == 1:  # one row: a chain waits four cycles for its next link, so few vectors leave the machine idle
        lanes = LANES[isa]
        return min(((lanes * v, 1) for v in (8, 4, 2, 1)),
                   key=lambda t: (-(-channels // t[0]) * max(t[0] // lanes / 2, 4), t[0]))

    tiles = TILES[isa] | (TILES["narrow"] if isa == "avx512" and not fused else {})

    def cost(tile: tuple[int, int]) -> float:
        nr, mr = tile
        vectors = -(-nr // LANES[isa])
        each = p.w[0].size * max(mr * vectors / 2 * tiles[tile], 4) + 2 * mr * vectors + 3 * mr + 30
        return float(-(-channels // nr) * -(-p.pixels // mr) * each)

    return min(tiles, key=cost)


def known_and_finite(call: Call) -> bool:
    """Weights and bias are known before the first run, there are any, and they are finite: a tile multiplies the cells
    outside the image by 0 where the reference skips them."""
    there = all(o is None or (o.known is not None and bool(np.isfinite(o.known).all())) for o in call.inputs[1:3])
    return there and call.input(1).size > 0
