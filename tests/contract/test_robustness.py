"""A few hundred damaged models through the whole pipeline: an answer or an error of ours, never a crash or a hang."""

from __future__ import annotations

import pytest

from tests.fence import Fence
from tests.mutants import mutant, sources
from tests.robustness import survive
from tinyinterp.kernels import jit
from tinyinterp.schema import read


@pytest.mark.skipif(jit.DISABLED, reason="about machine code")
def test_damaged_models() -> None:
    """As many of 200 as half a minute allows; `python -m tests.robustness 2000` tries more."""
    report = survive(200, seed=7, budget=30)
    assert not report.failures, report
    assert sum(report.results.values()) >= 15, report
    assert report.results["invoked"] and report.results["ShapeError"], report


def test_the_same_numbers_give_the_same_mutants() -> None:
    given = sources()
    assert [mutant(k, 1, given) for k in range(5)] == [mutant(k, 1, given) for k in range(5)]
    assert len({mutant(k, 1, given) for k in range(20)}) > 15


def test_most_mutants_reach_the_pipeline() -> None:
    """They are no use if the reader refuses them all."""
    given, taken = sources(), 0
    for k in range(60):
        try:
            read(mutant(k, 1, given))
            taken += 1
        except ValueError:
            pass
    assert taken > 25


def test_a_fence_tells() -> None:
    fence = Fence([100, 0, 64])
    assert fence.intact and [a.size for a in fence.arrays] == [100, 0, 64]
    assert all(a.ctypes.data % 64 == 0 for a in fence.arrays)
    for array in fence.arrays:
        array[...] = 7
    assert fence.intact
    fence.all[fence.offsets[0] + 100] = 7
    assert not fence.intact
