"""RESIZE_BILINEAR and RESIZE_NEAREST_NEIGHBOR, fast: by vectors of channels, and by runs of bytes.

Nearest: the columns of x that a row of y takes repeat with a period: columns[j + P] = columns[j] + Q, 0 0 1 1 2 2 with P = 2
and Q = 1. So a row of y is P times a copy of pixels at equal steps; a row that takes the same row of x as the one above
is copied from there. An irregular resize has one period as long as the row.

Bilinear: `micro/resize.py` for each pixel. Of 8 bits, when every point lies on a cell (x of one pixel, or of the size of y),
the formula gives that cell: the nearest kernel does it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from . import jit
from .contract import REFERENCE, Arg, Call, Kernel, Maker
from .conv import rows
from .machine import address, copy_bytes
from .micro.copy import copy_runs
from .micro.resize import between
from .pool_windows import lanes_for
from .windows import LANES


def nearest_runs(x: Any, lines: Any, columns: Any, period: int, step: int, y: Any, begin: int, end: int) -> None:
    """Rows begin to end of y, all images counted through; x and y are bytes."""
    size = y.shape[3]
    for row in range(begin, end):
        n, i = row // y.shape[1], row % y.shape[1]
        target = address(y) + row * y.shape[2] * size
        if row > begin and i > 0 and lines[i] == lines[i - 1]:
            copy_bytes(target, target - y.shape[2] * size, y.shape[2] * size)
        else:
            source = address(x) + (n * x.shape[1] + lines[i]) * x.shape[2] * size
            for j in range(period):
                copy_runs(target + j * size, period * size, source + columns[j] * size, step * size,
                          (y.shape[2] - j + period - 1) // period, size)


def period_of(columns: np.ndarray) -> tuple[int, int]:
    """The least (P, Q) with columns[j + P] = columns[j] + Q."""
    m = len(columns)
    for p in range(1, m):
        steps = columns[p:] - columns[:-p]
        if (steps == steps[0]).all():
            return p, int(steps[0])
    return m, 0


@cache
def bilinear_rows(dtype: str, lanes: int, reference: bool) -> Callable[..., None]:
    """The driver. units: rows of y."""
    pixel = between(dtype, lanes, reference)

    def run(x: Any, y0: Any, y1: Any, fy: Any, x0: Any, x1: Any, fx: Any, y: Any, begin: int, end: int) -> None:
        size = y.shape[3] * x.itemsize
        line = x.shape[2] * size
        for row in range(begin, end):
            n, i = row // y.shape[1], row % y.shape[1]
            top = address(x) + (n * x.shape[1] + y0[i]) * line
            bottom = address(x) + (n * x.shape[1] + y1[i]) * line
            for j in range(y.shape[2]):
                s, q = x0[j] * size, x1[j] * size
                pixel(top + s, top + q, bottom + s, bottom + q, fx[j], fy[i], y.shape[3],
                      address(y) + (row * y.shape[2] + j) * size)

    return run


def nearest_by_runs(takes: Callable[[Call], bool], bytes_of: Callable[..., Any], axes: Callable[..., Any], name: str) -> Maker:
    """The kernel for a call: axes(call) gives the rows and columns of x for y, or None when it has none to offer."""

    def make(call: Call) -> Kernel | None:
        found = None if jit.DISABLED or not takes(call) or call.output.size == 0 else axes(call)
        if found is None:
            return None
        lines, columns = found

        def args(call: Call, params: Any) -> tuple[Arg, ...]:
            return bytes_of(call.input(0)), lines, columns, *period_of(columns), bytes_of(call.output)

        return Kernel(name, nearest_runs, args, split=rows)

    return make


def bilinear(takes: Callable[[Call], bool], args: Callable[..., tuple[Arg, ...]], numerics: str) -> Maker:
    """The kernel for a call of the delegate's or the reference's numerics."""

    def make(call: Call) -> Kernel | None:
        if jit.DISABLED or not takes(call) or call.numerics != numerics or call.output.size == 0:
            return None
        dtype = str(call.output.dtype)
        lanes = lanes_for(call.output.shape[3], LANES[jit.level()])
        run = bilinear_rows(dtype, lanes, numerics == REFERENCE)
        return Kernel(f"resize_bilinear_{lanes}c_{dtype}_{numerics}", run, args, split=rows)

    return make
