"""Depthwise int16 windows on every instruction set: the definition's bytes for channels, pixels and taps left over."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from tests.harness import every_kernel
from tests.kernels.test_int16 import SAME, VALID, depthwise, extremes
from tinyinterp.kernels.jit import DISABLED
from tinyinterp.kernels.micro import cpu

pytestmark = pytest.mark.skipif(DISABLED, reason="about machine code")


@pytest.fixture(params=["vnni", "avx512", "avx2", "portable"])
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


def test_channels(level: str) -> None:
    """Fewer than a vector, a vector, and more; rows shorter than a group of pixels."""
    rng = np.random.default_rng(0)
    for i, channels in enumerate((1, 2, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100)):
        x = (4 + i % 3, (6, 1, 3, 9)[i % 4], channels)
        for most in (300000, 2**40):
            model = depthwise(x, 1, (3, 3), seed=i, most=most)
            assert every_kernel(model, "default", rng.integers(-32768, 32768, (2, *x)).astype(np.int16), threads=1 + i % 3) > 1


def test_windows(level: str) -> None:
    rng = np.random.default_rng(1)
    for i, (window, stride, dilation, padding) in enumerate((
            ((1, 1), 1, 1, VALID), ((2, 2), 2, 1, SAME), ((5, 5), 1, 1, SAME), ((3, 3), 1, 2, SAME), ((1, 7), 3, 1, SAME),
            ((7, 1), 1, 1, VALID), ((4, 3), 2, 2, SAME))):
        for channels in (5, 40):
            x = (15, 13, channels)
            model = depthwise(x, 1, window, stride, dilation, padding, seed=i, bits=None if i == 2 else 64)
            assert every_kernel(model, "reference", rng.integers(-32768, 32768, (2, *x)).astype(np.int16), threads=1 + i % 2) > 1


def test_flat_rows(level: str) -> None:
    """Strides with and without dilation, several outputs for each channel, rows shorter than a vector, strides past the
    window, several images."""
    rng = np.random.default_rng(2)
    for i, (window, stride, dilation, padding) in enumerate((
            ((3, 3), 2, 1, SAME), ((3, 3), 1, 3, VALID), ((2, 3), 2, 2, SAME), ((2, 2), 3, 1, VALID), ((5, 1), 2, 1, SAME))):
        for x, multiple in (((9, 12, 1), 1), ((10, 11, 3), 1), ((11, 9, 6), 1), ((8, 17, 7), 1), ((9, 10, 1), 8), ((9, 9, 3), 5),
                            ((7, 8, 16), 2)):
            model = depthwise(x, multiple, window, stride, dilation, padding, seed=i, batch=3, most=300000 if i % 2 else 2**40)
            assert every_kernel(model, "default", rng.integers(-32768, 32768, (3, *x)).astype(np.int16), threads=1 + i % 3) > 1


def test_extremes(level: str) -> None:
    for scale in (1e-6, 0.001, 300.0):
        for channels in (20, 40):
            model = depthwise((8, 9, channels), 1, (7, 7), out_scale=scale)
            assert every_kernel(model, "default", extremes((2, 8, 9, channels))) > 1
