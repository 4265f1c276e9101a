"""GATHER, TILE against the official interpreter, by hand, and what they refuse."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from tests.harness import check, cut, every_kernel, operators, ours
from tinyinterp.errors import ArenaError, ShapeError, UnsupportedOpError, ValueDependentError
from tinyinterp.kernels.jit import DISABLED
from tinyinterp.schema import Model, options
from tinyinterp.schema.build import one_op, tensor


def gather(shape: Sequence[int], at: Sequence[int], axis: int = 0, batch: int = 0, dtype: str = "float32", index: str = "int32",
           constant: object = None) -> Model:
    a, b = axis % len(shape), batch % len(at) if at and batch < 0 else batch
    out = [*shape[:a], *at[b:], *shape[a + 1 :]]
    return one_op("GATHER", [tensor("x", dtype, shape), tensor("at", index, at, data=constant)], [tensor("y", dtype, out)],
                  options.GatherOptions(axis, batch))


def tile(shape: Sequence[int], many: Sequence[int], dtype: str = "float32", index: str = "int32", fed: bool = False) -> Model:
    times = tensor("multiples", index, [len(many)], data=None if fed else np.array(many, index))
    out = [max(n * m, 0) for n, m in zip(shape, many)]
    return one_op("TILE", [tensor("x", dtype, shape), times], [tensor("y", dtype, out)])


def test_by_hand() -> None:
    x = np.arange(6, dtype=np.int32).reshape(2, 3)
    assert ours(gather([2, 3], [2], 1, dtype="int32"), x, [2, 0])[0].tolist() == [[2, 0], [5, 3]]
    assert ours(gather([2, 3], [2, 1], 1, 1, dtype="int32"), x, [[2], [0]])[0].tolist() == [[2], [3]]
    assert ours(tile([1, 2], [2, 2], "int32"), [[7, 8]])[0].tolist() == [[7, 8, 7, 8], [7, 8, 7, 8]]


@pytest.mark.parametrize(("dtype", "index"), [("float32", "int32"), ("float32", "int64"), ("float32", "int16"), ("int8", "int32"),
                                              ("uint8", "int32"), ("int16", "int64"), ("int32", "int32"), ("int64", "int64"),
                                              ("bool", "int32"), ("float16", "int32")])
def test_gather(dtype: str, index: str) -> None:
    rng = np.random.default_rng(10)
    for _ in range(12):
        rank = int(rng.integers(1, 5))
        shape = [int(d) for d in rng.integers(1, 5, rank)]
        axis = int(rng.integers(0, rank))
        batch = int(rng.integers(0, axis + 1))
        at = shape[:batch] + [int(d) for d in rng.integers(1, 4, int(rng.integers(0, 3)))]
        value = rng.integers(0, shape[axis], at).astype(index)
        negative = rng.random() < 0.5
        given = batch - len(at) if negative and 0 < batch < len(at) else batch
        check(gather(shape, at, axis - rank if negative else axis, given, dtype, index), inputs={1: value}, runs=1)


@pytest.mark.skipif(DISABLED, reason="about machine code")
def test_runs() -> None:
    """What an index picks, and what is repeated, by whole runs; an index out of range is found as early."""
    rng = np.random.default_rng(12)
    for inner in (16, 17, 63, 64, 200, 5000):
        x, at = rng.integers(-128, 128, (2, 3, 9, inner)), rng.integers(0, 9, (2, 7))
        assert every_kernel(gather([2, 3, 9, inner], [2, 7], 2, 1, "int8"), "default", x, at) == 2
        assert every_kernel(tile([3, 1, inner], [2, 5, 3], "int8"), "default", x[0, :, :1]) == 2
    with pytest.raises(ValueDependentError, match="index out of range at element 1"):
        ours(gather([3, 20], [2]), np.zeros((3, 20)), [0, 3])


def test_empty_gather() -> None:
    check(gather([3, 2], [0]), inputs={1: np.zeros(0, np.int32)}, runs=1)


def test_constant_indices() -> None:
    check(gather([5, 2], [3], constant=np.array([4, 0, 2], np.int32)))


@pytest.mark.parametrize("bad", [-1, 3, 2**31 - 1, -(2**31)])
@pytest.mark.parametrize("index", ["int32", "int64"])
def test_index_out_of_range(bad: int, index: str) -> None:
    """Found before the first write, told with the place."""
    with pytest.raises(ValueDependentError, match=r"GATHER \(operator 0, tensor 'y'\): index out of range at element 3"):
        ours(gather([3, 2], [4], index=index), np.zeros((3, 2)), [0, 1, 2, bad])
    with pytest.raises(ValueDependentError):
        ours(gather([3, 0], [4], index=index), np.zeros((3, 0)), [0, 1, 2, bad])


@pytest.mark.parametrize("dtype", ["float32", "int8", "int16", "int64", "bool"])
def test_tile(dtype: str) -> None:
    rng = np.random.default_rng(11)
    for rank in (1, 2, 3, 4):
        for index in ("int32", "int64"):
            check(tile(rng.integers(1, 4, rank).tolist(), rng.integers(1, 4, rank).tolist(), dtype, index), runs=1)
    check(tile([2, 3], [0, 2], dtype), runs=1)
    check(tile([4, 1], [1, 5], dtype), runs=1)
    check(tile([], [], dtype), runs=1)


def test_threads() -> None:
    check(tile([30, 40, 3], [3, 2, 2]), threads=2)
    check(gather([50, 400], [60]), inputs={1: np.arange(60, dtype=np.int32) % 50}, threads=2)


def test_fed_multiples() -> None:
    for many in ([2, 1], [1, 3]):
        check(tile([2, 3], many, "int8", fed=True), inputs={1: np.array(many, np.int32)})


def test_real_models() -> None:
    for name in ("GATHER", "TILE"):
        for path, i, model in operators(name, 12):
            part = cut(model, i)
            graph = part.subgraphs[0]
            x, at = graph.tensors[:2]
            if x.type.numpy is None:
                continue
            if "malicious" in path.name:
                with pytest.raises(ValueDependentError, match="out of range"):
                    ours(part)
                continue
            axis = graph.operators[0].options.axis if name == "GATHER" else 0
            index = np.random.default_rng(i).integers(0, x.shape[axis], at.shape).astype(at.type.numpy)
            check(part, inputs={graph.inputs.index(1): index} if name == "GATHER" and 1 in graph.inputs else None, runs=1)


@pytest.mark.parametrize(("model", "text"), [
    (gather([2, 3], [2], 2), "axis 2 is outside"),
    (gather([2, 3], [2], -3), "axis -3 is outside"),
    (gather([2, 3], [2], 0, 1), "batch_dims 1"),
    (gather([2, 3], [2, 1], 1, -3), "batch_dims -3"),
    (gather([2, 3], [3, 1], 1, 1), "batch dimensions differ"),
    (tile([2, 3], [2]), "1 multiples for 2"),
    (tile([2, 3], [2, -1]), "non-negative"),
    (tile([2, 3], [2, 1], index="int16"), "not supported by tile"),
])
def test_refusals(model: Model, text: str) -> None:
    with pytest.raises(ShapeError, match=text):
        ours(model)


@pytest.mark.parametrize("constant", [False, True])
def test_beyond_memory(constant: bool) -> None:
    """Refused before any memory is asked for, also when the value could be computed now."""
    x = tensor("x", "int8", [1, 1], data=np.ones((1, 1), np.int8) if constant else None)
    many = tensor("multiples", "int32", data=np.array([2**31 - 1, 2**31 - 1], np.int32))
    with pytest.raises(ArenaError, match=r"TILE .*the limit is"):
        ours(one_op("TILE", [x, many], [tensor("y", "int8", [1, 1])]))


def test_types() -> None:
    with pytest.raises(UnsupportedOpError, match=r"GATHER.*INT8"):
        ours(gather([2], [1], index="int8"))
