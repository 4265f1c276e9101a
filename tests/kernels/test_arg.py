"""ARG_MAX, ARG_MIN: by hand, and against the official interpreter."""

from __future__ import annotations

import numpy as np
import pytest

from tests.harness import NUMERICS, check, cut, every_kernel, operators, ours, random_value
from tinyinterp.errors import ShapeError, UnsupportedOpError
from tinyinterp.schema import Model, TensorType, options
from tinyinterp.schema.build import one_op, tensor

NAMES = ("ARG_MAX", "ARG_MIN")
SPECIAL = np.array([0, -0.0, np.nan, np.inf, -np.inf, 1e-40, 1, -1, 3e38, np.nan, np.nan], np.float32)


def model(name: str, shape: tuple[int, ...], axis: int, type: str = "float32", y: str = "int32", a: str = "int32",
          fed: bool = False, out_type: str = "") -> Model:
    option = options.ArgMaxOptions if name == "ARG_MAX" else options.ArgMinOptions
    out = tuple(d for i, d in enumerate(shape) if i != axis % max(1, len(shape)))
    return one_op(name, [tensor("x", type, shape), tensor("a", a, (1,), data=None if fed else np.array([axis], a))],
                  [tensor("y", out_type or y, out)], option(TensorType[y.upper()]))


@pytest.mark.parametrize("numerics", NUMERICS)
def test_by_hand(numerics: str) -> None:
    x = [[3, 1, 3], [2, 9, 0]]
    for type in ("float32", "int32", "int8", "uint8"):
        for name, along_rows, along_columns in (("ARG_MAX", [0, 1], [0, 1, 0]), ("ARG_MIN", [1, 2], [1, 0, 1])):
            assert ours(model(name, (2, 3), -1, type), x, numerics=numerics)[0].tolist() == along_rows
            assert ours(model(name, (2, 3), 0, type), x, numerics=numerics)[0].tolist() == along_columns
    nan = np.nan
    assert ours(model("ARG_MAX", (3, 3), 1), [[nan, 1, 2], [1, nan, 0], [nan] * 3], numerics=numerics)[0].tolist() == [2, 0, 0]


@pytest.mark.parametrize("type", ["float32", "int8", "uint8", "int32", "bool"])
@pytest.mark.parametrize("name", NAMES)
def test_types_and_axes(name: str, type: str) -> None:
    """Small numbers and truth values: many ties."""
    rng = np.random.default_rng(1)
    for shape in ((1,), (3, 4), (30, 5), (2, 17, 3), (4, 40), (2, 3, 4, 1)):
        for axis in range(-len(shape), len(shape)):
            x = rng.integers(0, 2 if type == "bool" else 4, shape).astype(type)
            check(model(name, shape, axis, type, "int64" if axis % 2 else "int32", "int32" if axis % 3 else "int64"),
                  inputs={0: x}, runs=1)


@pytest.mark.parametrize("name", NAMES)
def test_special_floats(name: str) -> None:
    rng = np.random.default_rng(2)
    for n in (1, 2, 3, 4, 5, 7, 8, 9, 16, 33):
        for share in (0.3, 1.0):
            x = np.where(rng.random((400, n)) < share, rng.choice(SPECIAL, (400, n)), np.float32(np.nan))
            check(model(name, x.shape, 1), inputs={0: x}, runs=1)
            check(model(name, (*x.shape, 1), 1), ("default",), inputs={0: x[..., None]}, runs=1)
            check(model(name, x.T.shape, 0), ("default",), inputs={0: x.T}, runs=1)


def test_fed_axis_and_two_threads() -> None:
    for name in NAMES:
        for axis in (0, 1, -1):
            check(model(name, (4, 4), axis, fed=True), inputs={1: np.array([axis], np.int32)}, runs=1)
        check(model(name, (3000, 9), 1), threads=2, runs=1)
        check(model(name, (9, 3000), 0, "int8", "int64"), threads=2, runs=1)


@pytest.mark.parametrize("name", NAMES)
def test_real_operators(name: str) -> None:
    for _, i, whole in operators(name, 8):
        check(cut(whole, i), runs=1)


def test_refusals() -> None:
    for name in NAMES:
        with pytest.raises(ShapeError, match=rf"{name} \(operator 0, tensor 'y'\): axis 2 is outside"):
            ours(model(name, (2, 3), 2))
        with pytest.raises(ShapeError, match="axis -3 is outside"):
            ours(model(name, (2, 3), 1, fed=True), np.zeros((2, 3)), [-3])
        with pytest.raises(ShapeError, match="empty axis"):
            ours(model(name, (2, 0), 1))
        with pytest.raises(ShapeError, match="scalar"):
            ours(model(name, (), 0))
        with pytest.raises(ShapeError, match="y is INT64"):
            ours(model(name, (2, 3), 1, out_type="int64"))
        with pytest.raises(ShapeError, match="Unknown index output data type"):
            ours(model(name, (2, 3), 1, y="float32"))
        for type in ("int16", "int64", "float16"):
            with pytest.raises(UnsupportedOpError, match=name):
                ours(model(name, (2, 3), 1, type))
    assert ours(model("ARG_MAX", (0, 3), 1))[0].shape == (0,)


@pytest.mark.parametrize("type", ["float32", "int8", "uint8", "int32", "bool"])
@pytest.mark.parametrize("name", NAMES)
def test_every_kernel(name: str, type: str) -> None:
    """Rows and columns of whole vectors, parts of one and what is left over; ties, and floats that are no numbers."""
    rng = np.random.default_rng(3)
    for k, (shape, axis) in enumerate([((9, n), 1) for n in (1, 5, 16, 33, 64, 130)] + [((2, 7, n), 1) for n in (3, 16, 37)]):
        x = random_value(type, shape, rng)
        if type == "float32" and k % 2:
            x = np.where(rng.random(shape) < 0.02, rng.choice(SPECIAL, shape), np.round(x))
        for wide in ("int32", "int64"):
            assert every_kernel(model(name, shape, axis, type, wide), "default", x, threads=1 + k % 2) > 1
