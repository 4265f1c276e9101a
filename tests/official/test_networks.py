"""Whole networks: every output byte equal to the official interpreter's, in both modes, at one and two threads."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.harness import compare, models, official
from tinyinterp.errors import ModelError, UnsupportedOpError
from tinyinterp.graph import link
from tinyinterp.lower import lower
from tinyinterp.schema import read

WEIGHTS, OPERATORS = 2500, 4  # below this a file is an operator's test, not a network


def networks() -> list[Path]:
    """The given networks whose operators are all in OPS."""
    found = []
    for path in models():
        try:
            model = read(path)
            graph = link(model)
        except ModelError:
            continue
        size = sum(v.nbytes for v in graph.constants.values())
        if len(graph.operators) >= OPERATORS and size >= WEIGHTS and not graph.missing:
            found.append(path)
    return found


NETWORKS = networks()


def runs_here(path: Path, numerics: str) -> bool:
    """Whether this library takes the network; what it refuses must say why."""
    graph = link(read(path))
    try:
        lower(graph, {t: graph.tensors[t].shape for t in graph.inputs}, numerics)
    except UnsupportedOpError as error:
        assert "no kernel takes" in str(error)
        return False
    return True


def test_how_many() -> None:
    if not NETWORKS:
        pytest.skip("TINYINTERP_MODELS is not set")
    assert sum(runs_here(p, "reference") for p in NETWORKS) >= 85


@pytest.mark.parametrize("numerics", ["reference", "default"])
@pytest.mark.parametrize("path", NETWORKS, ids=lambda p: p.stem)
def test_network(path: Path, numerics: str) -> None:
    if not runs_here(path, numerics):
        pytest.skip("refused: needs what another issue brings")
    data = path.read_bytes()
    theirs = official(data, numerics)
    try:
        theirs.allocate_tensors()
    except (RuntimeError, ValueError) as error:
        pytest.skip(f"the official interpreter refuses it: {str(error)[:80]}")
    del theirs
    for threads in (1, 2):
        assert compare(data, numerics, threads=threads, runs=1) == []
