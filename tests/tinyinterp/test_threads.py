"""Threads: the same answer from any number of them, and nothing that hangs: at a fork, at the end, or with too many."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from tests.tinyinterp.test_program import wide
from tinyinterp.interpreter import Interpreter
from tinyinterp.kernels import jit
from tinyinterp.schema import build
from tinyinterp.schema.build import one_op, tensor

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.skipif(jit.DISABLED, reason="about machine code")


def workers() -> int:
    return sum(t.name.startswith("tinyinterp-") for t in threading.enumerate())


@pytest.mark.parametrize("threads", [1, 2, 3, 7, 16])
def test_any_number_of_threads(threads: int) -> None:
    """Also many more than there are cores."""
    made = wide(threads)
    x = np.random.default_rng(threads).normal(size=made.array(0).shape).astype(np.float32)
    for k in range(20):
        made.array(0)[...] = x - k
        made.run()
        assert (made.array(1) == np.abs(x - np.float32(k))).all()
    assert made.segments[0].threads == threads


def test_more_threads_than_a_system_gives() -> None:
    """They are not made: a shared step gets 256 at the most."""
    x, y = tensor("x", "float32", (64, 600)), tensor("y", "float32", (64, 600))
    interpreter = Interpreter(model_content=build(one_op("ABS", [x], [y])), num_threads=10**9)
    interpreter.allocate_tensors()
    assert interpreter.program.segments[0].threads == 256


def test_workers_go_home_with_their_program() -> None:
    gc.collect()
    until = time.monotonic() + 20
    while workers() and time.monotonic() < until:
        time.sleep(0.01)
    before = workers()
    for _ in range(10):
        wide(3).run()
    gc.collect()
    while workers() > before and time.monotonic() < until:
        time.sleep(0.01)
    assert workers() <= before


def test_a_program_that_needs_no_help_has_no_workers() -> None:
    before = workers()
    made = wide(1)
    made.run()
    assert workers() <= before


def test_programs_of_their_own_in_two_threads_at_once() -> None:
    wrong: list[str] = []

    def work(seed: int) -> None:
        made = [wide(2), wide(1), wide(2)]
        rng = np.random.default_rng(seed)
        for k in range(60):
            x = rng.normal(size=made[0].array(0).shape).astype(np.float32)
            one = made[k % 3]
            one.array(0)[...] = x
            one.run()
            if not (one.array(1) == np.abs(x)).all():
                wrong.append(f"{seed}, run {k}")

    both = [threading.Thread(target=work, args=(seed,)) for seed in (1, 2, 3)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join(120)
    assert not wrong and not any(t.is_alive() for t in both)


def run(code: str, seconds: float = 120) -> subprocess.CompletedProcess[str]:
    head = "import os, sys, threading\nimport numpy as np\nfrom tests.tinyinterp.test_program import wide\n"
    return subprocess.run([sys.executable, "-c", head + code], cwd=ROOT, capture_output=True, text=True, timeout=seconds)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_fork_after_a_run() -> None:
    """The child has none of its parent's threads: it makes its own, and both go on."""
    result = run("""
made = wide(2)
made.array(0)[...] = -3
made.run()
child = os.fork()
made.array(0)[...] = -4 if child else -5
for _ in range(50):
    made.run()
assert (made.array(1) == (4 if child else 5)).all()
if not child:
    del made
    os._exit(0)
pid, status = os.waitpid(child, 0)
assert os.waitstatus_to_exitcode(status) == 0, status
print("both are well")
""")
    assert result.returncode == 0 and result.stdout == "both are well\n", result.stderr


def test_the_end_of_a_process_waits_for_no_worker() -> None:
    start = time.monotonic()
    result = run("kept = [wide(2), wide(4)]\nfor made in kept: made.run()\nprint(len(threading.enumerate()))")
    assert result.returncode == 0 and result.stdout == "5\n", result.stderr
    assert time.monotonic() - start < 100


def test_the_end_of_a_process_while_another_thread_runs() -> None:
    result = run("""
made = wide(2)
made.run()
def forever():
    while True:
        made.run()
threading.Thread(target=forever, daemon=True).start()
print("done")
""")
    assert result.returncode == 0 and result.stdout == "done\n", result.stderr
