"""Memory with a fence: an array, beside it bytes that must keep their value, and beyond those pages that nobody may touch.

    | page, no access | canary … | array | slack, canary | page, no access |

A write outside the array changes the canary; a read or write further away ends the process at once.
"""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Sequence
from typing import Any

import numpy as np

PAGE = mmap.PAGESIZE
CANARY = 0xA5
_libc = ctypes.CDLL(None, use_errno=True)
_libc.mprotect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)


class Fence:
    """One stretch of memory for several arrays, each with its own fence. They start as zeros.

    alignment: of each array's first byte; 1 puts its last byte right before the slack. slack: bytes behind the end that may
    be read (the arena promises 64), but not written.
    """

    def __init__(self, sizes: Sequence[int], alignment: int = 64, slack: int = 64) -> None:
        at = PAGE
        self.offsets: list[int] = []
        closed = [0]
        for size in sizes:
            room = -(-size // alignment) * alignment + slack
            pages = -(-room // PAGE) * PAGE
            self.offsets.append(at + pages - room)
            at += pages
            closed.append(at)
            at += PAGE
        self._map = mmap.mmap(-1, at)
        self.all = np.frombuffer(self._map, np.uint8)
        self.address = int(self.all.ctypes.data)
        self._canaries: list[np.ndarray] = []
        for size, start, before, after in zip(sizes, self.offsets, closed, closed[1:]):
            self._canaries += [self.all[before + PAGE : start], self.all[start + size : after]]
        for canary in self._canaries:
            canary[...] = CANARY
        self._sizes = list(sizes)
        for page in closed:
            if _libc.mprotect(self.address + page, PAGE, 0):
                raise OSError(ctypes.get_errno(), "mprotect")

    @property
    def arrays(self) -> list[np.ndarray]:
        """The arrays, as bytes."""
        return [self.all[at : at + size] for at, size in zip(self.offsets, self._sizes)]

    @property
    def intact(self) -> bool:
        """Whether nobody has written beside an array."""
        return all(bool((canary == CANARY).all()) for canary in self._canaries)


def fenced(value: Any, fences: list[Fence]) -> np.ndarray:
    """A copy of an array whose last byte is the last one before the fence. The fence is added to the list."""
    value = np.ascontiguousarray(value)
    fence = Fence([value.nbytes], alignment=1, slack=0)
    fences.append(fence)
    copy = fence.arrays[0].view(value.dtype).reshape(value.shape)
    copy[...] = value
    return copy
