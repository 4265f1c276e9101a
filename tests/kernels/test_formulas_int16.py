"""Elementwise int16 on vectors: every kernel gives its definition's bytes, at ordinary scales and at their ends."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from tests.harness import every_kernel
from tests.kernels.operands import SHAPES, binary, operand
from tinyinterp.errors import QuantError
from tinyinterp.kernels.jit import DISABLED
from tinyinterp.kernels.micro import cpu
from tinyinterp.schema import Activation, Model, options
from tinyinterp.schema.build import one_op, tensor

pytestmark = pytest.mark.skipif(DISABLED, reason="about machine code")
MODES = ("reference", "builtin")


@pytest.fixture(params=["amx", "avx2", "portable"])
def level(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("TINYINTERP_ISA", request.param)
    cpu.level.cache_clear()
    yield request.param
    monkeypatch.undo()
    cpu.level.cache_clear()


def of(scale: float) -> dict[str, Any]:
    return {"scale": scale, "zero_point": 0}


def fast(model: Model, *values: np.ndarray) -> int:
    """How many of the two numerics have more than the definition."""
    return sum(every_kernel(model, mode, *values, threads=2) > 1 for mode in MODES)


@pytest.mark.parametrize("name", ["ADD", "SUB"])
def test_sums(name: str, level: str) -> None:
    rng, found = np.random.default_rng(0), 0
    make = options.AddOptions if name == "ADD" else options.SubOptions
    for i, (a, b) in enumerate(SHAPES * 2):
        far = 10.0 ** rng.uniform(-5, 0)
        scale_a, scale_b = (1.0, far) if i % 2 else (far, 1.0)
        scale_y = (0.00013, 0.02, 1.0, 50.0)[i % 4]
        model = binary(name, "int16", a, b, make(Activation.RELU if i % 5 == 0 else Activation.NONE, False),
                       of_a=of(scale_a), of_b=of(scale_b), of_y=of(scale_y))
        found += fast(model, operand("int16", a, rng), operand("int16", b, rng))
    assert found >= 2 * len(SHAPES)


def test_sums_of_extremes(level: str) -> None:
    ends = np.array([-32768, -32767, -1, 0, 1, 32767], np.int16)
    a, b = (np.tile(v.reshape(-1), 2) for v in np.meshgrid(ends, ends))
    for ratio in (1.0, 0.5, 2.0**-15, 2.0**-30, 3e-9):
        for scale in (2.0**-13, 1.0, 2.0**12, 2.0**14):
            for name, make in (("ADD", options.AddOptions), ("SUB", options.SubOptions)):
                model = binary(name, "int16", (72,), (72,), make(Activation.NONE, False), of_a=of(1.0), of_b=of(ratio),
                               of_y=of(scale))
                try:
                    fast(model, a, b)
                except QuantError:
                    assert scale < 1


def test_products(level: str) -> None:
    rng = np.random.default_rng(1)
    for i, (a, b) in enumerate(SHAPES):
        scale_y = (1e-8, 0.001, 300.0, 1e9)[i % 4]
        model = binary("MUL", "int16", a, b, options.MulOptions(), of_a=of(0.01), of_b=of(0.3), of_y=of(scale_y))
        assert fast(model, operand("int16", a, rng), operand("int16", b, rng)) == 2


def test_one_operand(level: str) -> None:
    """RELU, LEAKY_RELU with slopes of both signs, QUANTIZE from int16 to int16."""
    x = np.concatenate([np.arange(-32768, 32768, 7), [-32768, 32767, 0]]).astype(np.int16)
    for ratio in (1.0, 0.37, 2.0**-20, 900.0, 2.0**28):
        cases: list[tuple[str, Any]] = [("RELU", None), ("RELU6", None), ("QUANTIZE", None)]
        cases += [("LEAKY_RELU", options.LeakyReluOptions(alpha=a)) for a in (0.1, -0.3, 0.0, 5.0)]
        for name, settings in cases:
            model = one_op(name, [tensor("x", "int16", x.shape, **of(0.001))],
                           [tensor("y", "int16", x.shape, **of(0.001 / ratio))], settings)
            assert fast(model, x) == 2, name
