"""Whole networks: every output byte equal to the official interpreter's, in both modes, at one and two threads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
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
        size = sum(len(b) for b in model.buffers if b is not None)
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
        try:
            found = compare(data, numerics, threads=threads, runs=1)
        except RuntimeError as error:  # values that count something, fed as floats: no negative ones
            assert "failed to invoke" in str(error)
            found = compare(data, numerics, threads=threads, runs=1, inputs=counts(data))
        assert found == []


def counts(data: bytes) -> dict[int, np.ndarray]:
    """Small numbers from 0 on for every float input."""
    part = read(data).subgraphs[0]
    rng = np.random.default_rng(1)
    return {k: rng.integers(0, 9, part.tensors[t].shape).astype(np.float32) for k, t in enumerate(part.inputs)
            if part.tensors[t].type.numpy == np.float32}
