"""The native ABI: what a kernel's machine code is called with.

Every kernel is one function `int64 kernel(int64 *record, int64 thread, int64 threads)`. The record is a row of 64-bit
words: for an array its address and its dimensions, for a number its value. Last comes the number of units its work
divides into, when the body takes `begin, end`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from .contract import Arg, Scratch, Slot


def kind(arg: Arg) -> str:
    """The type of one argument as text: `int8[4]` for an array, `own int8[4]` for one of each thread's own, `int64`,
    `float32` or `float64` for a number."""
    if type(arg) is int:
        return "int64"
    if isinstance(arg, (Slot, Scratch, np.ndarray)):
        return f"{'own ' * isinstance(arg, Scratch)}{_name(arg.dtype)}[{len(arg.shape)}]"
    if isinstance(arg, np.float32):
        return "float32"
    return "float64" if isinstance(arg, (float, np.floating)) else "int64"


@lru_cache(maxsize=64)
def _name(dtype: np.dtype[Any]) -> str:
    return "uint16" if dtype == np.float16 else dtype.name  # halves arrive as their bits


def words(args: Sequence[Arg], units: int) -> tuple[list[int], list[tuple[int, Arg]]]:
    """The record, and its words that are still to be set: the position of each array's address, with the array. For a
    scratch, that is where the first thread's is, or how far into ROOM."""
    row: list[int] = []
    arrays: list[tuple[int, Arg]] = []
    for arg in args:
        if type(arg) is int:  # most are
            row.append(arg)
        elif isinstance(arg, (Slot, Scratch, np.ndarray)):
            arrays.append((len(row), arg))
            row += [0, arg.size, *arg.shape] if isinstance(arg, Scratch) else [0, *arg.shape]
        elif isinstance(arg, (float, np.floating)):
            row.append(int(np.float64(arg).view(np.int64)))
        else:
            row.append(int(arg))
    row.append(units)
    return row, arrays


def record(args: Sequence[Arg], units: int, arrays: Iterable[np.ndarray]) -> np.ndarray:
    """The record when these are its arrays, in order."""
    row, places = words(args, units)
    for (at, _), array in zip(places, arrays):
        row[at] = memory(array)
    return np.array(row, np.int64)


def memory(array: np.ndarray) -> int:
    """The address of an array, in half the time of `array.ctypes.data`."""
    return int(array.__array_interface__["data"][0])
