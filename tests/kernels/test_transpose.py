"""TRANSPOSE, DEPTH_TO_SPACE, SPACE_TO_DEPTH against the official interpreter, by hand, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest

from tests.harness import check, cut, every_kernel, operators, ours, random_value
from tinyinterp.errors import ShapeError, UnsupportedOpError
from tinyinterp.schema import Model, options
from tinyinterp.schema.build import one_op, tensor


def transpose(shape: list[int], perm: list[int], dtype: str = "float32", fed: bool = False, index: str = "int32") -> Model:
    at = tensor("perm", index, [len(perm)], data=None if fed else np.array(perm, index))
    out = [shape[p] for p in perm if -len(shape) <= p < len(shape)]
    return one_op("TRANSPOSE", [tensor("x", dtype, shape), at], [tensor("y", dtype, out)])


def blocks(name: str, shape: list[int], size: int, dtype: str = "float32") -> Model:
    n, h, w, c = shape
    out = [n, h * size, w * size, c // size**2] if name == "DEPTH_TO_SPACE" else [n, h // size, w // size, c * size**2]
    kind = options.DepthToSpaceOptions if name == "DEPTH_TO_SPACE" else options.SpaceToDepthOptions
    return one_op(name, [tensor("x", dtype, shape)], [tensor("y", dtype, out)], kind(block_size=size))


def test_by_hand() -> None:
    assert ours(transpose([2, 3], [1, 0], "int8"), [[1, 2, 3], [4, 5, 6]])[0].tolist() == [[1, 4], [2, 5], [3, 6]]
    image = np.arange(8, dtype=np.int8).reshape(1, 1, 2, 4)
    assert ours(blocks("DEPTH_TO_SPACE", [1, 1, 2, 4], 2, "int8"), image)[0][0, :, :, 0].tolist() == [[0, 1, 4, 5], [2, 3, 6, 7]]
    spread = np.array([[0, 1, 4, 5], [2, 3, 6, 7]], np.int8).reshape(1, 2, 4, 1)
    assert ours(blocks("SPACE_TO_DEPTH", [1, 2, 4, 1], 2, "int8"), spread)[0].ravel().tolist() == list(range(8))


@pytest.mark.parametrize("dtype", ["float32", "int8", "int16", "int64", "bool", "float16"])
def test_transpose(dtype: str) -> None:
    rng = np.random.default_rng(1)
    for rank in (1, 2, 3, 4, 5, 6):
        for _ in range(3):
            shape = [int(d) for d in rng.integers(1, 5, rank)]
            perm = [int(p) for p in rng.permutation(rank)]
            perm[0] -= rank * int(rng.integers(0, 2)) if dtype != "float32" else 0
            check(transpose(shape, perm, dtype), runs=1)


def test_transpose_shapes() -> None:
    for shape, perm in (([3, 0, 2], [2, 0, 1]), ([2, 1, 1, 3, 1, 2, 1, 2], [7, 5, 3, 1, 0, 2, 4, 6]), ([64, 65], [1, 0])):
        check(transpose(shape, perm), ("reference", "builtin"), runs=1)
    check(transpose([40, 30, 50], [2, 1, 0]), threads=2)


@pytest.mark.parametrize("dtype", ["int8", "float16", "float32", "int64"])
def test_every_kernel(dtype: str) -> None:
    """Tiles of every width with remainders, runs of every length, several matrices; shared by threads anywhere."""
    rng = np.random.default_rng(2)
    for shape, perm in (([37, 70], [1, 0]), ([3, 41], [1, 0]), ([41, 5], [1, 0]), ([9, 2], [1, 0]), ([2, 5, 19, 3], [0, 3, 1, 2]),
                        ([3, 2, 33, 17, 2], [2, 0, 4, 1, 3]), ([2, 3, 4, 5, 6], [3, 1, 4, 2, 0])):
        assert every_kernel(transpose(shape, perm, dtype), "reference", random_value(dtype, shape, rng), threads=2) == 2
    for run in (1, 2, 3, 5, 8, 15, 16, 31, 33, 63, 64, 65, 127, 130, 1100):
        shape = [3, 4, 2, run]
        assert every_kernel(transpose(shape, [1, 2, 0, 3], dtype), "reference", random_value(dtype, shape, rng)) == 2


def test_fed_perm() -> None:
    for perm in ([1, 2, 0], [0, 2, 1]):
        check(transpose([2, 3, 4], perm, "int8", fed=True), inputs={1: np.array(perm, np.int32)})


@pytest.mark.parametrize("dtype", ["float32", "uint8", "int8", "int32", "int64"])
def test_blocks(dtype: str) -> None:
    for n, h, w, c, size in ((1, 2, 3, 4, 2), (2, 1, 2, 18, 3), (1, 4, 4, 5, 1), (1, 3, 2, 32, 4)):
        check(blocks("DEPTH_TO_SPACE", [n, h, w, c], size, dtype), runs=1)
        check(blocks("SPACE_TO_DEPTH", [n, h * size, w * size, c], size, dtype), runs=1)


def test_real_models() -> None:
    for name in ("TRANSPOSE", "DEPTH_TO_SPACE", "SPACE_TO_DEPTH"):
        for _, i, model in operators(name, 12):
            check(cut(model, i), runs=1)


@pytest.mark.parametrize(("model", "text"), [
    (transpose([2, 3], [0, 2]), "out of bounds"),
    (transpose([2, 3], [0, -3]), "out of bounds"),
    (transpose([2, 3], [1, 1]), "twice"),
    (transpose([2, 3], [0]), "perm has 1 values for 2"),
    (transpose([1] * 9, list(range(9))), "8D"),
    (transpose([2, 3], [1, 0], index="int64"), "INT64"),
    (blocks("DEPTH_TO_SPACE", [1, 2, 2, 6], 2), "6 channels"),
    (blocks("SPACE_TO_DEPTH", [1, 2, 3, 1], 2), "2 by 3"),
])
def test_refusals(model: Model, text: str) -> None:
    with pytest.raises(ShapeError, match=text):
        ours(model)


@pytest.mark.parametrize("name", ["DEPTH_TO_SPACE", "SPACE_TO_DEPTH"])
@pytest.mark.parametrize("size", [0, -1])
def test_block_size(name: str, size: int) -> None:
    kind = options.DepthToSpaceOptions if name == "DEPTH_TO_SPACE" else options.SpaceToDepthOptions
    x, y = (tensor(n, "float32", [1, 2, 2, 4]) for n in "xy")
    with pytest.raises(ShapeError, match=f"{name}.*block size {size}"):
        ours(one_op(name, [x], [y], kind(block_size=size)))


def test_types() -> None:
    with pytest.raises(UnsupportedOpError, match="INT16"):
        ours(blocks("DEPTH_TO_SPACE", [1, 1, 1, 4], 2, "int16"))
