"""The programs that measure: every kernel of a ladder gives the definition's bytes, and the pages have their sections."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import ladder
from benchmarks.machine import machine
from docs.sections import section
from tinyinterp.kernels import jit

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("dtype", ["float32", "int8"])
@pytest.mark.parametrize("numerics", ["reference", "default"])
def test_every_kernel_gives_the_same_bytes(dtype: str, numerics: str) -> None:
    rungs = ladder.climb(ladder.conv(dtype, 8, 32, 32, 3), numerics, 0.001)
    assert rungs[0].kernel.startswith("conv_") and "gemm" not in rungs[0].kernel
    assert len({r.kernel for r in rungs}) == len(rungs) and all(r.seconds > 0 for r in rungs)
    if jit.level() != "portable" and not jit.DISABLED:
        assert len(rungs) > 1
    assert f"`{rungs[-1].kernel}`" in ladder.table("title", rungs)


def test_pages_have_their_sections() -> None:
    for family in ladder.FAMILIES:
        assert section((ROOT / "docs" / "kernels" / f"{family}.md").read_text(), "ladder")
    assert section((ROOT / "README.md").read_text(), "demo")
    assert "Numba" in machine()
