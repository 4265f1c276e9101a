"""The threads that run a program side by side.

Every worker runs the same table of steps as the caller; the barriers inside the native loop keep them together. Between
invokes the workers sleep on a semaphore. They hold no reference to a program, and are made again after a fork.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable

Work = Callable[[int], None]  # called with the thread's number, 1 and up


class Workers:
    """`count` sleeping threads. `start(work)` wakes them all; the work itself says when it is done."""

    def __init__(self, count: int) -> None:
        self.pid = os.getpid()
        self._state = _State(count)
        for number in range(1, count + 1):
            threading.Thread(target=_serve, args=(self._state, number), name=f"tinyinterp-{number}", daemon=True).start()
        weakref.finalize(self, _stop, self._state)

    def start(self, work: Work) -> None:
        """Call `work(number)` in every thread. The caller must not start again before all of them are through."""
        self._state.work = work
        for gate in self._state.gates:
            gate.release()


class _State:
    def __init__(self, count: int) -> None:
        self.work: Work | None = None
        self.gates = [threading.Semaphore(0) for _ in range(count)]


def _serve(state: _State, number: int) -> None:
    while True:
        state.gates[number - 1].acquire()
        work = state.work
        if work is None:
            return
        work(number)
        del work


def _stop(state: _State) -> None:
    state.work = None
    for gate in state.gates:
        gate.release()
