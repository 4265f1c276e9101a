"""Tiles of the int16 GEMM, each forced upon convolutions around its size: the definition's bytes, whatever is left over."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from tests.harness import every_kernel
from tests.kernels.test_int16 import conv, depthwise, extremes, fully_connected
from tinyinterp.kernels import gemm_int16
from tinyinterp.kernels.jit import DISABLED
from tinyinterp.kernels.micro import cpu
from tinyinterp.schema import Padding

pytestmark = pytest.mark.skipif(DISABLED, reason="about machine code")
LEVELS = ("vnni", "avx512", "avx2", "portable")
TILES = [(level, nr, mr) for level in LEVELS for nr, rows in gemm_int16.TILES[level].items() for mr in rows]


@pytest.fixture
def forced(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, int, int]]:
    """The tile (NR, MR) that every call gets, at an instruction set that this processor has."""
    level, nr, mr = request.param
    monkeypatch.setenv("TINYINTERP_ISA", level)
    cpu.level.cache_clear()
    try:
        if cpu.level() != level:
            pytest.skip(f"this processor has no {level}")
        monkeypatch.setattr(gemm_int16, "best_tile", lambda *a: (nr, mr))
        yield level, nr, mr
    finally:
        monkeypatch.undo()
        cpu.level.cache_clear()


def sweep(nr: int, mr: int, bits: int, mode: str, most: int = 300000) -> None:
    """Rows, columns and depths around the tile; windows over the edge, of one cell, and groups."""
    rng = np.random.default_rng(nr + mr)
    rows = [*sorted({1, max(mr - 1, 1), mr, mr + 1, 2 * mr + 1}), 3, mr]
    columns = [nr, nr + 1, 1, max(nr - 1, 1), 2 * nr + 3, nr, 5]
    for i, (m, n, k) in enumerate(zip(rows, columns, (1, 2, 3, 4, 7, 16, 37))):
        kernel, groups = (((n, 1, 1), 1), ((n, 3, 2), 1), ((2 * n, 1, 3), 2))[i % 3]
        x, batch = (1, m, k * groups) if i % 2 else (m, 1, k * groups), 1 + i % 2
        model = conv(x, kernel, groups, bits=bits, sums=bits, seed=i, batch=batch, most=most)
        value = rng.integers(-32768, 32768, (batch, *x)).astype(np.int16)
        assert every_kernel(model, mode, value, threads=1 + i % 3) > 1


@pytest.mark.parametrize("forced", TILES, indirect=True, ids=str)
def test_tiles(forced: tuple[str, int, int]) -> None:
    _, nr, mr = forced
    sweep(nr, mr, 64, "default")
    sweep(nr, mr, 64, "default", 2**33)
    sweep(nr, mr, 32, "reference")


@pytest.mark.parametrize("forced", [t for t in TILES if t[2] <= 3], indirect=True, ids=str)
def test_other_ways_back(forced: tuple[str, int, int]) -> None:
    """ruy's, and a product in double of sums of 32 bits and of 64."""
    _, nr, mr = forced
    sweep(nr, mr, 32, "builtin")
    rng = np.random.default_rng(nr)
    for bits, most in ((64, 300000), (64, 2**40), (32, 2**31 - 1)):
        for scale in (0.003, 1e-6):
            model = fully_connected((mr + 1, 37), nr + 1, bits=bits, sums=bits, most=most, out_scale=scale)
            assert every_kernel(model, "reference", rng.integers(-32768, 32768, (mr + 1, 37)).astype(np.int16)) > 1


@pytest.mark.parametrize("forced", [t for t in TILES if t[2] == 1], indirect=True, ids=str)
def test_long_sums(forced: tuple[str, int, int]) -> None:
    """Runs that are cut, and blocks of several runs, where sums of 32 bits overflow."""
    one = (1, 1)
    for depth, window in ((508, one), (509, one), (511, one), (1600, one), (90, (3, 3)), (300, (2, 3)), (2, (40, 20))):
        x = (max(window[0], 2), window[1], depth)
        for bits in (64, 32):
            model = conv(x, (5, *window), padding=Padding.VALID, bits=bits, sums=bits, out_scale=0.5, batch=1)
            model = conv(x, (5, *window), 1, 1, 2, bits=bits, sums=bits, out_scale=0.5, batch=1) if depth == 90 else model
            assert every_kernel(model, "reference", extremes((1, *x))) > 1


@pytest.mark.parametrize("level", LEVELS)
def test_several_outputs_a_channel(level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINYINTERP_ISA", level)
    cpu.level.cache_clear()
    rng = np.random.default_rng(0)
    for x, multiple in (((6, 7, 4), 2), ((8, 8, 1), 8), ((7, 7, 9), 3)):
        value = rng.integers(-32768, 32768, (2, *x)).astype(np.int16)
        assert every_kernel(depthwise(x, multiple, (3, 3)), "default", value, threads=2) > 2
    monkeypatch.undo()
    cpu.level.cache_clear()
