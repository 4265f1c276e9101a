"""L2_NORMALIZATION: by hand, and against the official interpreter."""

from __future__ import annotations

import numpy as np
import pytest

from tests.harness import NUMERICS, check, cut, operators, ours
from tinyinterp.errors import QuantError, ShapeError, UnsupportedOpError
from tinyinterp.schema import Activation, Model, options
from tinyinterp.schema.build import one_op, tensor

FLOATS = ("reference", "default")  # in builtin numerics floats are the reference's
SHAPES = ((1,), (3, 4), (2, 3, 50), (5, 1), (2, 700))
SPECIAL = np.array([0, -0.0, np.nan, np.inf, -np.inf, 1e-40, 3e38, 1e-6], np.float32)


def floating(shape: tuple[int, ...], activation: Activation = Activation.NONE) -> Model:
    return one_op("L2_NORMALIZATION", [tensor("x", "float32", shape)], [tensor("y", "float32", shape)],
                  options.L2NormOptions(activation))


def quantized(shape: tuple[int, ...], type: str, zero_point: int, scale: float = 1 / 128) -> Model:
    return one_op("L2_NORMALIZATION", [tensor("x", type, shape, scale=0.1, zero_point=zero_point)],
                  [tensor("y", type, shape, scale=scale, zero_point=0 if type == "int8" else 128)], options.L2NormOptions())


@pytest.mark.parametrize("numerics", NUMERICS)
def test_by_hand(numerics: str) -> None:
    x = [[3, -4], [0, 0], [1e-7, 0]]
    y = ours(floating((3, 2)), x, numerics=numerics)[0]
    np.testing.assert_array_equal(y, np.array([[0.6, -0.8], [0, 0], [0.1, 0]], np.float32))
    assert ours(quantized((2, 2), "int8", 10), [[13, 6], [10, 10]], numerics=numerics)[0].tolist() == [[77, -102], [0, 0]]
    assert ours(quantized((2, 2), "uint8", 10), [[13, 6], [10, 10]], numerics=numerics)[0].tolist() == [[205, 26], [128, 128]]
    assert ours(quantized((1, 1), "int8", 0), [[5]], numerics=numerics)[0].tolist() == [[127]]  # 1 is out of reach


def test_floats() -> None:
    rng = np.random.default_rng(1)
    for shape in SHAPES:
        for size in (1e-22, 1e-5, 1, 1e15):
            check(floating(shape), FLOATS, inputs={0: rng.normal(0, size, shape).astype(np.float32)}, runs=1)
    x = np.where(rng.random((200, 6)) < 0.1, rng.choice(SPECIAL, (200, 6)), rng.normal(0, 1, (200, 6)))
    check(floating(x.shape), FLOATS, inputs={0: x.astype(np.float32)}, runs=1)
    check(floating((600, 40)), FLOATS, threads=2, runs=1)


@pytest.mark.parametrize("type", ["int8", "uint8"])
def test_quantized(type: str) -> None:
    rng, info = np.random.default_rng(2), np.iinfo(type)
    for shape in SHAPES:
        for spread in (1, 2, 10, 300, 300):
            zero = int(rng.integers(info.min, info.max + 1))
            x = np.clip(zero + rng.integers(-spread, spread + 1, shape), info.min, info.max)
            check(quantized(shape, type, zero), inputs={0: x.astype(type)}, runs=1)


def test_real_operators() -> None:
    for _, i, whole in operators("L2_NORMALIZATION", 8):
        part = cut(whole, i)
        check(part, FLOATS if part.subgraphs[0].tensors[0].type.name == "FLOAT32" else NUMERICS, runs=1)


def test_refusals() -> None:
    with pytest.raises(ShapeError, match=r"L2_NORMALIZATION \(operator 0, tensor 'y'\): x is a scalar"):
        ours(floating(()))
    with pytest.raises(ShapeError, match="activation RELU"):
        ours(floating((2, 2), Activation.RELU))
    with pytest.raises(QuantError, match=r"must be 0\.0078125 and 0"):
        ours(quantized((2, 2), "int8", 0, scale=0.01))
    with pytest.raises(UnsupportedOpError, match="L2_NORMALIZATION"):
        ours(one_op("L2_NORMALIZATION", [tensor("x", "int16", (2, 2), scale=1)], [tensor("y", "int16", (2, 2), scale=1 / 128)],
                    options.L2NormOptions()))
    assert ours(floating((0, 3)))[0].shape == (0, 3)
