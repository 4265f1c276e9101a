"""Damaged files that need no given models: any bytes are a Model or a ModelError."""

from __future__ import annotations

import doctest
import importlib
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.schema.mutants import mutants, survive, table_bytes
from tests.schema.test_check import blocks
from tests.schema.test_verify import small_model
from tinyinterp.errors import ModelError
from tinyinterp.schema import Quantization, build, options, read
from tinyinterp.schema.build import Graph, model_of, one_op, operator, tensor

ROOT = Path(__file__).resolve().parents[2]


def branching_model() -> bytes:
    """Subgraphs that run each other, strings, options of the second union, a custom operator."""
    x, y, s = tensor("x", "bool", (1,)), tensor("y", "bool", (1,)), tensor("s", "string", data=["one", "two"])
    choose = operator("IF", [x, s], [y], options.IfOptions(1, 2))
    then = operator("LOGICAL_NOT", [a := tensor("a", "bool", (1,))], [b := tensor("b", "bool", (1,))])
    pad = operator("STABLEHLO_PAD", [a], [b], options.StablehloPadOptions((1,), (2,), (3,)))
    custom = operator("Mine", [tensor("c", "bool", (1,))], [tensor("d", "bool", (1,))], custom_options=b"\1\4\1")
    return build(model_of([choose], Graph([then], [a], [b]), Graph([pad], [a], [b]), [custom]))


def sparse_model() -> bytes:
    w = tensor("w", "int8", (4, 4), data=bytes(12), sparsity=blocks(), scale=0.5)
    q = tensor("q", "int4", (4, 4), data=bytes(8), quantization=Quantization(block_size=2, block_scales=1))
    return build(one_op("ADD_N", [w, tensor("x", "float16", (4, 2)), q], [tensor("y", "int8", (4, 4))]))


MODELS = {"small": small_model, "branching": branching_model, "sparse": sparse_model}


@pytest.mark.parametrize("name", MODELS)
def test_mutants(name: str) -> None:
    taken, refused, longest = survive(MODELS[name](), seed=3, count=600)
    assert taken > 50 and refused > 50 and longest < 1


def test_mutants_are_the_same_for_the_same_seed() -> None:
    data = small_model()
    assert list(mutants(data, 5, 20)) == list(mutants(data, 5, 20)) != list(mutants(data, 6, 20))
    assert 0 < len(table_bytes(data)) < len(data)
    assert len(table_bytes(b"not a model")) == 11


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    for prefix in (b"", b"\x08\0\0\0TFL3"):
        with pytest.raises(ModelError):
            read(prefix + data)


def test_the_package_has_one_name() -> None:
    """Under its short name it would be a second copy, with classes of its own."""
    result = subprocess.run([sys.executable, "-c", "import schema"], cwd=ROOT, capture_output=True, text=True)
    assert "ImportError: this package is tinyinterp.schema" in result.stderr


@pytest.mark.parametrize("path", sorted((ROOT / "schema").glob("*.py")), ids=lambda path: path.name)
def test_examples_in_docstrings(path: Path) -> None:
    module = importlib.import_module("tinyinterp.schema" + ("" if path.stem == "__init__" else f".{path.stem}"))
    assert doctest.testmod(module).failed == 0
