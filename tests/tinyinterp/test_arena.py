"""Placements: no two live tensors overlap, whatever their lives."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.harness import models
from tinyinterp.arena import ALIGNMENT, Life, Placement, lower_bound, place, rounded
from tinyinterp.errors import TinyInterpError
from tinyinterp.graph import link
from tinyinterp.lives import lives_of
from tinyinterp.lower import lower
from tinyinterp.schema import read

SIZES = st.one_of(st.integers(0, 300), st.sampled_from([0, 1, 63, 64, 65, 4096, 2**31]))
SPANS = st.tuples(SIZES, st.integers(0, 12), st.integers(0, 8))


def lives(spans: list[tuple[int, int, int]]) -> list[Life]:
    return [Life(key, size, first, first + length) for key, (size, first, length) in enumerate(spans)]


def check(placement: Placement) -> None:
    for a in placement.lives:
        at = placement.offsets[a.key]
        assert at % ALIGNMENT == 0 and at >= 0
        assert at + a.size <= placement.size
        for b in placement.lives:
            if a.key < b.key and a.size and b.size and a.first <= b.last and b.first <= a.last:
                other = placement.offsets[b.key]
                assert at + a.size <= other or other + b.size <= at, f"{a} at {at} and {b} at {other}"
    assert placement.bound <= rounded(placement.size) and placement.size <= sum(rounded(life.size) for life in placement.lives)


def test_by_hand() -> None:
    """Two tensors that follow each other share their bytes; one that meets both does not."""
    made = place([Life(0, 100, 0, 1), Life(1, 100, 2, 3), Life(2, 64, 1, 2)])
    assert made.offsets == {0: 0, 1: 0, 2: 128} and made.size == made.bound == 192
    assert place([]).size == 0
    # 2 is computed over 1, 3 over 2: one place for all three, and 4 beside them.
    made = place([Life(1, 100, 0, 0), Life(2, 100, 1, 1, over=1), Life(3, 100, 2, 3, over=2), Life(4, 10, 1, 2)])
    assert made.offsets == {1: 0, 2: 0, 3: 0, 4: 128} and made.size == 138 and made.bound == 192
    assert "2 tensors" in str(place([Life(0, 1, 0, 0), Life(1, 1, 0, 0)]))


@settings(max_examples=150, deadline=None)
@given(st.lists(SPANS, max_size=25))
def test_no_two_live_tensors_overlap(spans: list[tuple[int, int, int]]) -> None:
    check(place(lives(spans)))


@settings(max_examples=60, deadline=None)
@given(st.lists(SPANS, max_size=15), st.randoms())
def test_the_same_lives_are_placed_the_same(spans: list[tuple[int, int, int]], rng: random.Random) -> None:
    mixed = lives(spans)
    rng.shuffle(mixed)
    assert place(mixed).offsets == place(lives(spans)).offsets


@settings(max_examples=60, deadline=None)
@given(st.lists(SPANS, min_size=1, max_size=15))
def test_the_bound_is_what_the_widest_step_needs(spans: list[tuple[int, int, int]]) -> None:
    made = lives(spans)
    steps = range(max(life.last for life in made) + 1)
    assert lower_bound(made) == max(sum(rounded(l.size) for l in made if l.first <= s <= l.last) for s in steps)


def test_networks() -> None:
    """The lives of real plans, at one thread and at three, where more scratch is needed."""
    found = 0
    for path in models():
        if path.stat().st_size > 200_000:
            continue
        try:
            graph = link(read(path))
            for threads in (1, 3):
                plan = lower(graph, {t: graph.tensors[t].shape for t in graph.inputs}, "default", threads)
                check(place(lives_of(plan, frozenset((*graph.inputs, *graph.outputs)))))
            found += 1
        except TinyInterpError:
            continue
    if not models():
        pytest.skip("no models given")
    assert found > 10
