"""Memory stays flat: over invokes, over interpreters that come and go, over resizes."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable

import numpy as np
import pytest

from tests.tinyinterp.models import chain
from tinyinterp.interpreter import Interpreter
from tinyinterp.kernels import jit

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux") or jit.DISABLED, reason="reads /proc")
MODEL = chain(3)


def resident() -> int:
    """Bytes of this process that are in memory."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def growth(work: Callable[[int], None], warm: int, count: int) -> int:
    """How much memory `count` turns take for good, after a few that may."""
    for k in range(warm):
        work(k)
    gc.collect()
    before = resident()
    for k in range(count):
        work(k)
    gc.collect()
    return resident() - before


def test_invokes() -> None:
    interpreter = Interpreter(model_content=MODEL)
    interpreter.allocate_tensors()
    x = np.ones((1, 4), np.float32)

    def work(k: int) -> None:
        interpreter.set_tensor(0, x)
        interpreter.invoke()
        interpreter.get_tensor(interpreter._session().graph.outputs[0])

    assert growth(work, 500, 20_000) < 2 << 20


@pytest.mark.parametrize("threads", [1, 2])
def test_interpreters_that_come_and_go(threads: int) -> None:
    def work(k: int) -> None:
        interpreter = Interpreter(model_content=MODEL, num_threads=threads)
        interpreter.allocate_tensors()
        interpreter.invoke()

    assert growth(work, 30, 300) < 3 << 20


def test_resizes() -> None:
    interpreter = Interpreter(model_content=MODEL)

    def work(k: int) -> None:
        interpreter.resize_tensor_input(0, [1 + k % 50, 4])
        interpreter.allocate_tensors()
        interpreter.invoke()

    assert growth(work, 60, 300) < 3 << 20


def test_errors() -> None:
    """What fails to load or to allocate leaves nothing behind either."""
    def work(k: int) -> None:
        with pytest.raises(ValueError):
            Interpreter(model_content=MODEL[: len(MODEL) - 40])

    assert growth(work, 30, 300) < 3 << 20
