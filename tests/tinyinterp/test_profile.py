"""The profile of a program: a line for each step, what the steps compute, and the machine's peak."""

from __future__ import annotations

import numpy as np
import pytest

from tests.tinyinterp.models import gather_string, permute
from tinyinterp import Interpreter
from tinyinterp.kernels import jit
from tinyinterp.peak import Peak, measure
from tinyinterp.profile import Line, Profile, profile

PEAK = Peak(float32=1e9, int8=4e9, cache=1e9, memory=1e8)


def test_a_step() -> None:
    interpreter = Interpreter(model_content=permute())
    interpreter.allocate_tensors()
    x = np.array([[1, 2, 3, 4]], np.float32)
    interpreter.set_tensor(0, x)
    interpreter.invoke()
    found = profile(interpreter.program, 0.01, PEAK)
    (line,) = found.lines
    assert (line.op, line.macs, line.moved, line.integers) == ("FULLY_CONNECTED", 16, 4 * (4 + 16 + 4), False)
    assert found.seconds == line.seconds >= 0 and line.share(PEAK) > 0
    assert np.array_equal(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]), x[:, ::-1])
    assert "FULLY_CONNECTED" in str(found) and "of the peak" in str(found) and "of the peak" not in str(Profile(found.lines))


def test_integers() -> None:
    interpreter = Interpreter(model_content=permute("uint8"))
    interpreter.allocate_tensors()
    assert profile(interpreter.program, 0.01).lines[0].integers


def test_steps_in_python() -> None:
    interpreter = Interpreter(model_content=gather_string())
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], np.array([b"ab"] * 10, object))
    interpreter.set_tensor(interpreter.get_input_details()[1]["index"], np.arange(3))
    interpreter.invoke()
    assert [line.op for line in profile(interpreter.program, 0.01).lines] == ["GATHER"]


def test_shares() -> None:
    a = Line(0, "a", "k", 4e-6, 1000, 100, False)  # 1 us of products in 4 us
    b = Line(1, "b", "k", 4e-6, 4000, 2000, True)  # 2 us of bytes in 4 us
    both = Profile((a, b), PEAK)
    assert a.share(PEAK) == pytest.approx(0.25) and b.share(PEAK) == pytest.approx(0.5)
    assert both.share(PEAK) == pytest.approx(0.375) and both.total.macs == 5000
    facts = both.facts()
    assert facts["total"]["share"] == pytest.approx(0.375) and facts["steps"][1]["moved"] == 2000
    assert Profile(()).facts() == {"steps": [], "total": {"seconds": 0, "macs": 0, "moved": 0}}


@pytest.mark.skipif(jit.DISABLED, reason="nothing is compiled")
def test_the_peak() -> None:
    found = measure(0.01)
    assert found.int8 >= 0.5 * found.float32 > 0 and found.cache > 0 and found.memory > 0
    assert found.seconds(10**9, 0, True) == 10**9 / found.int8 and found.seconds(0, 10**9, True) == 10**9 / found.cache
    assert "GMAC/s" in str(found)
