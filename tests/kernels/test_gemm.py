"""Tiles of a GEMM, each forced upon convolutions around its size: the bytes of the definition, whatever is left over."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from tests.harness import check, every_kernel
from tests.kernels.images import RANGE, image
from tests.kernels.test_conv import conv
from tinyinterp.kernels import gemm, gemm_amx, gemm_hybrid, gemm_hybrid_amx, gemm_int, jit
from tinyinterp.kernels.jit import DISABLED
from tinyinterp.kernels.micro import cpu
from tinyinterp.schema import Padding, options
from tinyinterp.schema.build import one_op, tensor

pytestmark = pytest.mark.skipif(DISABLED, reason="about machine code")
LEVELS = ("amx", "avx512", "avx2")
EIGHT = [(level, nr, mr) for level in LEVELS for nr, rows in gemm_int.TILES[level].items() for mr in rows]
FLOAT = [("avx512", *tile) for tile in gemm.TILES["avx512"] | gemm.TILES["narrow"]]
FLOAT += [("avx2", *tile) for tile in gemm.TILES["avx2"]]


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """The instruction set is asked for anew once a test has ended, skipped or not."""
    yield
    cpu.level.cache_clear()


def needed(level: str) -> None:
    """Skip what this processor has not got; "amx" stands for AMX or vpdpbusd, whose tiles are the same."""
    if cpu.level() not in (("amx", "vnni") if level == "amx" else (level,)):
        pytest.skip(f"this processor has no {level}")


@pytest.fixture
def forced(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, int, int]]:
    """The tile (NR, MR) that every call gets, at an instruction set that this processor has."""
    level, nr, mr = request.param
    monkeypatch.setenv("TINYINTERP_ISA", level)
    cpu.level.cache_clear()
    needed(level)
    monkeypatch.setattr(gemm_int, "best_tile", lambda *a: (nr, mr, 0.0))
    monkeypatch.setattr(gemm_hybrid, "best_tile", lambda *a: (nr, mr, 0.0))
    monkeypatch.setattr(gemm_hybrid_amx, "best_tile", lambda *a: (nr, mr, 0.0))
    monkeypatch.setattr(gemm_amx, "best_tile", lambda *a: (nr, mr, 0.0))  # nothing is cheaper: no AMX
    monkeypatch.setattr(gemm, "best_tile", lambda *a: (nr, mr))
    yield level, nr, mr
    monkeypatch.undo()
    cpu.level.cache_clear()


def sweep(dtype: str, nr: int, mr: int, mode: str = "default") -> None:
    """Rows, columns and depths around the tile; windows over the edge, of one cell, and groups."""
    rng, found = np.random.default_rng(nr + mr), 0
    rows = [*sorted({1, max(mr - 1, 1), mr, mr + 1, 2 * mr + 1}), 3, mr]
    columns = [nr, nr + 1, 1, max(nr - 1, 1), 2 * nr + 3, nr, 5]
    for i, (m, n, k) in enumerate(zip(rows, columns, (1, 2, 3, 4, 7, 16, 37))):
        kernel, groups = (((n, 1, 1), 1), ((n, 3, 2), 1), ((2 * n, 1, 3), 2))[i % 3]
        x, batch = (1, m, k * groups) if i % 2 else (m, 1, k * groups), 1 + i % 2
        model = conv(dtype, x, kernel, groups, seed=i, padding=Padding.SAME, batch=batch, per_channel=dtype == "int8")
        values = rng.normal(0, 1, (batch, *x)) if dtype == "float32" else rng.integers(*RANGE[dtype], (batch, *x))
        if mode == "builtin":  # the last kernel is the reference's: against the official interpreter instead
            check(model, (mode,), inputs={0: values.astype(dtype)}, runs=1)
        else:
            found += every_kernel(model, mode, values, threads=1 + i % 3)
    assert found > len(rows) or mode == "builtin"


@pytest.mark.parametrize("forced", FLOAT, indirect=True, ids=str)
def test_float_tiles(forced: tuple[str, int, int]) -> None:
    for mode in ("default", "reference"):
        sweep("float32", *forced[1:], mode)


@pytest.mark.parametrize("k", [1, 5, 16, 17, 64, 130])
def test_row_without_zeros(k: int) -> None:
    """A row with no zeros, some, nothing else, both signs of them, numbers next to them and no numbers at all; sums that are 0
    and a bias of -0."""
    rng = np.random.default_rng(k)
    for n in (1, 16, 40, 130):
        w, b = rng.normal(0, 1, (n, k)).astype(np.float32), rng.normal(0, 1, n).astype(np.float32)
        w[0], b[:: 3] = -np.abs(w[0]), -0.0
        given = [image("x", "float32", (1, k)), tensor("w", "float32", data=w), tensor("b", "float32", data=b)]
        model = one_op("FULLY_CONNECTED", given, [image("y", "float32", (1, n))], options.FullyConnectedOptions())
        for share in (0.0, 0.5, 0.9, 1.0):
            x = np.where(rng.random((1, k)) < share, rng.choice([0.0, -0.0], (1, k)), rng.normal(0, 1, (1, k))).astype(np.float32)
            x[0, -1] = rng.choice([1e-45, -1e-45, np.nan, np.inf, x[0, -1]])
            for threads in (1, 2):
                assert every_kernel(model, "reference", x, threads=threads) > 1 or jit.isa() == "portable"
            check(model, ("reference",), inputs={0: x}, runs=1)


@pytest.mark.parametrize("forced", EIGHT, indirect=True, ids=str)
@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_8_bit_tiles(dtype: str, forced: tuple[str, int, int]) -> None:
    sweep(dtype, *forced[1:])


@pytest.mark.parametrize("mode", ["reference", "builtin"])
@pytest.mark.parametrize("forced", [("amx", 16, 7), ("avx512", 32, 3), ("avx2", 8, 2)], indirect=True, ids=str)
def test_other_tails(mode: str, forced: tuple[str, int, int]) -> None:
    sweep("int8", *forced[1:], mode)


@pytest.mark.skipif(cpu.level() != "amx", reason="this processor has no AMX")
@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_amx_tiles(dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """32 x 32, at maps and depths where vpdpbusd would be chosen."""
    monkeypatch.setattr(gemm_hybrid, "best_tile", lambda *a: (nr, mr, 0.0))
    monkeypatch.setattr(gemm_hybrid_amx, "best_tile", lambda *a: (nr, mr, 0.0))
    monkeypatch.setattr(gemm_amx, "best_tile", lambda *a: (16, 1, float("inf")))
    for k, mode in enumerate(("default", "reference", "builtin")):
        for mr, nr in ((1, 1), (5, 31), (16, 32), (17, 33), (33, 70)):
            sweep(dtype, nr + k, mr, mode)


@pytest.mark.parametrize("level", LEVELS)
def test_weights_of_two_bytes(level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No weight, one weight, a channel of weights, or most of them further from the zero point than a byte can tell."""
    monkeypatch.setenv("TINYINTERP_ISA", level)
    cpu.level.cache_clear()
    needed(level)
    rng = np.random.default_rng(0)
    for zero, least, most in ((128, 0, 256), (120, 0, 248), (100, 0, 228), (250, 130, 256), (3, 0, 256)):
        for n in (5, 70):
            values = rng.integers(least, most, (n, 3, 3, 24)).astype(np.uint8)
            values[n // 2, 1, 1, 3:5] = 254
            values[n - 1] = 0 if n > 5 and zero > 128 else values[n - 1]
            w = tensor("w", "uint8", scale=0.01, zero_point=zero, data=values)
            b = tensor("b", "int32", data=rng.integers(-3000, 3000, n).astype(np.int32), scale=0.0005)
            model = one_op("CONV_2D", [image("x", "uint8", (1, 5, 7, 24)), w, b], [image("y", "uint8", (1, 5, 7, n), 0.3)],
                           options.Conv2DOptions(Padding.SAME, 1, 1))
            assert every_kernel(model, "default", rng.integers(0, 256, (1, 5, 7, 24))) > 1
    monkeypatch.undo()
    cpu.level.cache_clear()
