"""The threads that run a program side by side.

A team is one leader, the thread that calls invoke(), and workers that take parts of the steps that it shares: see
`kernels/micro/loop.py`. Workers live in native code: after a run they spin for some microseconds, since the next invoke
often follows at once, then sleep until the leader wakes them. A fork leaves them behind: the child makes its own.
"""

from __future__ import annotations

import ctypes
import os
import weakref
from typing import Any

import numpy as np

from .evaluate import aligned, native_loop
from .kernels.micro.loop import MAILBOX, SLOT


class Workers:
    """`count` threads that wait for work in a mailbox. They hold no reference to what they work for."""

    def __init__(self, count: int) -> None:
        import threading  # takes time to load, and most programs run on one thread

        self.pid = os.getpid()
        box = aligned((MAILBOX + SLOT * count) * 8)
        box.view(np.int64)[MAILBOX::SLOT][:count] = 1
        self.mailbox = int(box.ctypes.data)
        for number in range(1, count + 1):
            threading.Thread(target=_serve, args=(native_loop("_serve"), box, number), name=f"tinyinterp-{number}",
                             daemon=True).start()
        self._end = weakref.finalize(self, _stop, native_loop("_stop"), box, self.pid)
        self._end.atexit = False  # at exit the process takes its daemon threads with it


def _serve(serve: Any, box: np.ndarray, number: int) -> None:
    mine = np.array([box.ctypes.data, number], np.int64)
    serve(ctypes.c_void_p(mine.ctypes.data))


def _stop(stop: Any, box: np.ndarray, pid: int) -> None:
    if pid == os.getpid():
        stop(ctypes.c_void_p(box.ctypes.data))
