"""The loop nests of `movement.py`, fast: whole runs where an axis is contiguous on both sides, tiles where it is not.

The levels of a nest may be walked in any order. Last comes the level along which y is contiguous. When x is too, each of
its turns is a run of bytes, and the longest of the other levels tells how many runs a microkernel copies at once. Else the
level along which x is contiguous comes before it, and both together are a matrix that is turned tile by tile, the last
tile of a row or column overlapping the one before.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from . import jit
from .contract import Arg, Call, Kernel, Maker
from .machine import address, inline
from .micro.copy import copy_runs, tile
from .movement import Steps, copy_args

LINE = 64  # bytes


@inline
def corner(table: Any, outer: int, column: int) -> int:
    """Elements from the start to where the levels but the last two stand in their turn number `outer`."""
    at, rest = 0, outer
    for d in range(table.shape[0] - 3, -1, -1):
        at += rest % int(table[d, 0]) * int(table[d, column])
        rest = rest // int(table[d, 0])
    return at


def run_copy(x: Any, x_start: int, y: Any, y_start: int, table: Any, begin: int, end: int) -> None:
    """Runs begin to end, the last level but one counted fastest. The table has three levels at least."""
    last, size = table.shape[0] - 1, x.itemsize
    many, row = int(table[last - 1, 0]), begin
    a0, b0, left = 0, 0, 0
    while row < end:
        i = row % many if row == begin else 0
        if left == 0:  # the outer levels but the last one move on
            outer = row // many
            a0, b0 = x_start + corner(table, outer, 1), y_start + corner(table, outer, 2)
            left = int(table[last - 2, 0]) - outer % int(table[last - 2, 0])
        count = min(many - i, end - row)
        a, b = a0 + i * int(table[last - 1, 1]), b0 + i * int(table[last - 1, 2])
        copy_runs(address(y) + b * size, int(table[last - 1, 2]) * size, address(x) + a * size, int(table[last - 1, 1]) * size,
                  count, int(table[last, 0]) * size)
        row += count
        a0, b0, left = a0 + int(table[last - 2, 1]), b0 + int(table[last - 2, 2]), left - 1


@cache
def tile_copy(size: int, wide: int, lanes: int) -> Callable[..., None]:
    """The driver for elements of `size` bytes. units: columns of all the matrices, the contiguous axis of x."""
    turn, high, block = tile(size, wide, lanes), wide * lanes, max(LINE // size, wide)

    def run(x: Any, x_start: int, y: Any, y_start: int, table: Any, begin: int, end: int) -> None:
        last = table.shape[0] - 1
        columns, y_step = int(table[last - 1, 0]), int(table[last - 1, 2])
        rows, x_step = int(table[last, 0]), int(table[last, 1])
        row, a0, b0, left = begin, 0, 0, 0
        while row < end:
            i = row % columns if row == begin else 0
            if left == 0:  # the outer levels but the last one move on
                outer = row // columns
                a0, b0 = x_start + corner(table, outer, 1), y_start + corner(table, outer, 2)
                left = int(table[last - 2, 0]) - outer % int(table[last - 2, 0])
            count = min(columns - i, end - row)
            a, b = a0 + i, b0 + i * y_step
            if count >= wide:
                first = 0
                while first < count:  # a block of columns is a cache line of x
                    stop, p = min(first + block, count), 0
                    while p < rows:
                        r, q = min(p, rows - high), first
                        while q < stop:
                            c = min(q, count - wide)
                            turn(address(y) + (b + c * y_step + r) * size, y_step * size,
                                 address(x) + (a + r * x_step + c) * size, x_step * size)
                            q += wide
                        p += high
                    first += block
            else:
                for c in range(count):
                    for r in range(rows):
                        y[b + c * y_step + r] = x[a + r * x_step + c]
            row += count
            a0, b0, left = a0 + int(table[last - 2, 1]), b0 + int(table[last - 2, 2]), left - 1

    return run


def arranged(nest: Steps) -> tuple[Steps, bool] | None:
    """(the nest in the order of walking, whether its turns are runs), or None when x is contiguous along no level."""
    table = nest.table
    *rest, last = range(len(table))
    if table[last, 2] != 1:
        return None
    if table[last, 1] == 1:
        middle = max(rest, key=lambda d: int(table[d, 0]))
    else:
        contiguous = [d for d in rest if table[d, 1] == 1 and table[d, 0] > 1]
        if not contiguous:
            return None
        middle = contiguous[0]
    order = [d for d in rest if d != middle] + [middle, last]
    walk = table[order] if len(order) > 2 else np.concatenate([[[1, 0, 0]], table[order]])
    return Steps(nest.x_start, nest.y_start, np.ascontiguousarray(walk)), bool(table[last, 1] == 1)


def block_copy(name: str, takes: Callable[[Call], bool], nest: Callable[[Call], Steps]) -> Maker:
    """The kernel for a call's loop nest."""

    def make(call: Call) -> Kernel | None:
        if jit.DISABLED or not takes(call) or call.output.size == 0:
            return None
        found = arranged(nest(call))
        if found is None:
            return None
        walk, runs = found

        def args(call: Call, params: Any) -> tuple[Arg, ...]:
            return copy_args(call.input(0), call.output, walk)

        def units(call: Call) -> int:
            return walk.rows

        if runs:
            return Kernel(f"{name}_runs", run_copy, args, split=units)
        size, (columns, rows) = call.input(0).dtype.itemsize, (int(n) for n in walk.table[-2:, 0])
        wide = next((n for n in (16, 8, 4, 2) if n <= min(16 // size, rows, columns)), 0)
        if not wide:
            return None
        lanes = next(k for k in (16, 8, 4, 2, 1) if k * wide * size <= 32 and k * wide <= rows)
        return Kernel(f"{name}_tiles_{wide * lanes}x{wide}", tile_copy(size, wide, lanes), args, split=units)

    return make
