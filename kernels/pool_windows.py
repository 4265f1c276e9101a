"""AVERAGE_POOL_2D and MAX_POOL_2D by vectors of channels: the driver around `micro/pool.py`.

Where the cells of a window lie is settled before the first run: `down` holds the byte offset of every cell's row for each
output row, `across` of its column for each output column, so an address is two loads and two additions. For a maximum a
cell outside the image is the nearest one inside, as the delegate has it: a copy of a cell that is in the window anyway,
which changes no maximum, and no choice between equal ones. For a mean it is a zero.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from . import jit
from .contract import DELEGATE, Arg, Call, Kernel, Maker
from .conv import rows
from .machine import address
from .micro.pool import pool_pixel
from .numerics import float_range, padding, quantized_range
from .windows import LANES

SUM = 1 << 21  # what the sums of a window of integers stay below
TABLE = 1 << 20  # offsets along an axis: beyond, as for a window far larger than its image, the definition needs none


@cache
def pool_rows(name: str, last: int, many: bool, lanes: int, edges: bool, only: bool) -> Callable[..., None]:
    """The driver. units: rows of y, all images counted through."""
    pixel = pool_pixel(name, last, many, lanes, edges, only)

    def run(x: Any, down: Any, across: Any, tall: Any, wide: Any, outside: Any, lo: Any, hi: Any, y: Any, begin: int,
            end: int) -> None:
        size = x.itemsize
        line = y.shape[3] * size
        for row in range(begin, end):
            n, i = row // y.shape[1], row % y.shape[1]
            image = address(x) + n * x.shape[1] * x.shape[2] * line
            for j in range(y.shape[2]):
                pixel(image, address(down) + i * down.shape[1] * 8, address(across) + j * down.shape[1] * 8,
                      down.shape[1] // 9, y.shape[3], address(outside), address(y) + (row * y.shape[2] + j) * line,
                      tall[i] * wide[j], lo, hi)

    return run



def cells_of(n: int, m: int, window: int, stride: int, before: int) -> tuple[np.ndarray, np.ndarray]:
    """Along one axis: (cell of x for each cell of the window [m, window], how many of them are inside [m])."""
    cell = np.arange(m, dtype=np.int64)[:, None] * stride - before + np.arange(window)
    return cell, ((cell >= 0) & (cell < n)).sum(axis=1)


def offsets(cell: np.ndarray, n: int, step: int, nearest: bool) -> np.ndarray:
    """The byte offsets of these cells; outside the image that of the nearest one, or -1."""
    inside = np.clip(cell, 0, n - 1)
    return inside * step if nearest else np.where(inside == cell, inside * step, -1)


def in_order(down: np.ndarray, across: np.ndarray, by_column: bool) -> tuple[np.ndarray, np.ndarray]:
    """[OH, KH] and [OW, KW] as [OH, 9 * nines] and [OW, 9 * nines], cell by cell; what fills the last nine is not read."""
    kh, kw = down.shape[1], across.shape[1]
    t = np.minimum(np.arange(-(-kh * kw // 9) * 9), kh * kw - 1)
    r, s = (t % kh, t // kh) if by_column else (t // kw, t % kw)
    return np.ascontiguousarray(down[:, r]), np.ascontiguousarray(across[:, s])


def one_offset(down: np.ndarray, across: np.ndarray) -> np.ndarray:
    """The offsets of the only window, rows and columns in one."""
    return np.where((down < 0) | (across < 0), -1, down + across)


def lanes_for(channels: int, most: int) -> int:
    """The shortest vector that holds the channels, or the longest there is."""
    lanes = most
    while lanes > max(most // 4, 4) and channels <= lanes // 2:
        lanes //= 2
    return lanes


def pooled(kind: str, takes: Callable[[Call], bool]) -> Maker:
    """The kernel for a call's window. kind: "max" or "average"."""

    def make(call: Call) -> Kernel | None:
        x, o = call.input(0), call.options
        cells, real = o.filter_height * o.filter_width, x.dtype == np.float32
        if jit.DISABLED or not takes(call) or call.output.size == 0:
            return None
        bits = 8 * x.dtype.itemsize
        if (kind == "average" and not real and cells << bits > SUM) or cells * max(call.output.shape[1:3]) > TABLE:
            return None
        order = "delegate" if call.numerics == DELEGATE else "reference"
        form = f"{kind}_{x.dtype}_{order}" if real else f"{kind}_{x.dtype}"
        _, top = padding(o.padding, x.shape[1], o.filter_height, o.stride_h)
        _, left = padding(o.padding, x.shape[2], o.filter_width, o.stride_w)
        down, tall = cells_of(x.shape[1], call.output.shape[1], o.filter_height, o.stride_h, top)
        across, wide = cells_of(x.shape[2], call.output.shape[2], o.filter_width, o.stride_w, left)
        edges = kind == "average" and bool(tall.min() < o.filter_height or wide.min() < o.filter_width)
        only = call.output.shape[1:3] == (1, 1)
        lanes = lanes_for(x.shape[3], LANES[jit.level()] * 32 // (bits if kind == "max" or real else 2 * bits))

        def args(call: Call, params: None) -> tuple[Arg, ...]:
            lo, hi = (float_range if real else quantized_range)(o.fused_activation_function, call)
            by_column = real and order == "delegate"
            step = x.shape[3] * x.dtype.itemsize
            outside = np.zeros(x.shape[3] if edges else 1, x.dtype)
            tables = in_order(offsets(down, x.shape[1], step * x.shape[2], kind == "max"),
                              offsets(across, x.shape[2], step, kind == "max"), by_column)
            if only:
                tables = (one_offset(*tables), tables[1])
            return x.view(), *tables, tall, wide, outside, lo, hi, call.output.view()

        run = pool_rows(form, (cells - 1) % 9 + 1, cells > 9, lanes, edges, only)
        return Kernel(f"{kind}_pool_{o.filter_height}x{o.filter_width}_{lanes}c_{form.split('_', 1)[1]}", run, args, split=rows)

    return make
