"""Depthwise windows that are not written out, on every instruction set: the definition's bytes, and the official ones."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from tests.harness import NUMERICS, compare, every_kernel
from tests.kernels.operands import operand
from tests.kernels.test_depthwise import SAME, VALID, depthwise
from tinyinterp.kernels.jit import DISABLED
from tinyinterp.kernels.micro import cpu
from tinyinterp.schema import Activation

TYPES = ("float32", "int8", "uint8")
# Image, window, stride, dilation, padding: fewer channels than a vector and more, rows shorter than a group, windows larger
# than the image.
CASES = (((9, 13, 3), (8, 8), 1, 1, SAME), ((20, 3, 16), (1, 64), 1, 1, SAME), ((70, 1, 37), (60, 1), 2, 1, VALID),
         ((12, 11, 21), (7, 8), 2, 1, SAME), ((17, 25, 8), (5, 11), 1, 2, SAME), ((10, 10, 24), (10, 10), 1, 1, VALID))


@pytest.fixture(params=["avx512", "avx2", "portable"])
def level(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Each instruction set that this processor has."""
    monkeypatch.setenv("TINYINTERP_ISA", request.param)
    cpu.level.cache_clear()
    try:
        if cpu.level() != request.param:
            pytest.skip(f"this processor has no {request.param}")
        yield request.param
    finally:
        monkeypatch.undo()
        cpu.level.cache_clear()


@pytest.mark.skipif(DISABLED, reason="about machine code")
@pytest.mark.parametrize("type", TYPES)
def test_definitions(type: str, level: str) -> None:
    rng = np.random.default_rng(3)
    for i, (x, window, stride, dilation, padding) in enumerate(CASES):
        model = depthwise(type, x, 1, window, stride, dilation, padding, Activation.RELU6 if i % 3 == 2 else Activation.NONE,
                          per_channel=type == "int8" and i % 2 > 0, seed=i, out_scale=0.9)
        # The builtin's last channels, if they are no group, are left to the definition.
        least = 2 if type != "int8" or NUMERICS[i % 3] != "builtin" or x[2] % 8 == 0 else 1
        assert every_kernel(model, NUMERICS[i % 3], operand(type, (2, *x), rng), threads=1 + i % 2) >= least


@pytest.mark.parametrize("type", TYPES)
def test_official(type: str) -> None:
    for i, (x, window, stride, dilation, padding) in enumerate(CASES):
        model = depthwise(type, x, 1, window, stride, dilation, padding, seed=i, out_scale=0.9)
        assert compare(model, NUMERICS[i % 2], runs=1) == []
