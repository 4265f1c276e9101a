"""SOFTMAX: by hand, and against the official interpreter."""

from __future__ import annotations

import numpy as np
import pytest

from tests.harness import NUMERICS, check, cut, operators, ours
from tinyinterp.errors import QuantError, ShapeError, UnsupportedOpError
from tinyinterp.kernels import jit
from tinyinterp.kernels import softmax as family
from tinyinterp.schema import Model, options
from tinyinterp.schema.build import one_op, tensor

FLOATS = ("reference", "default")  # in builtin numerics floats are the reference's
OUTPUTS = {"int8": (1 / 256, -128), "uint8": (1 / 256, 0), "int16": (1 / 32768, 0)}
SPECIAL = np.array([0, -0.0, np.nan, np.inf, -np.inf, 1e-40, 87, -87.4, -104.5, 3e38], np.float32)


def floating(shape: tuple[int, ...], beta: float = 1.0) -> Model:
    return one_op("SOFTMAX", [tensor("x", "float32", shape)], [tensor("y", "float32", shape)], options.SoftmaxOptions(beta))


def quantized(shape: tuple[int, ...], x: str, y: str, scale: float, zero_point: int, beta: float = 1.0) -> Model:
    step, zero = OUTPUTS[y]
    return one_op("SOFTMAX", [tensor("x", x, shape, scale=scale, zero_point=zero_point)],
                  [tensor("y", y, shape, scale=step, zero_point=zero)], options.SoftmaxOptions(beta))


# --------------------------------------------------------------------------------------------------------------- by hand
@pytest.mark.parametrize("numerics", NUMERICS)
def test_by_hand(numerics: str) -> None:
    x = np.log(np.array([[1, 2, 1], [5, 5, 10]])).astype(np.float32)
    expected = {1.0: [[0.25, 0.5, 0.25], [0.25, 0.25, 0.5]], 2.0: [[1 / 6, 4 / 6, 1 / 6], [1 / 6, 1 / 6, 4 / 6]],
                0.0: [[1 / 3] * 3] * 2}
    for beta, y in expected.items():
        np.testing.assert_allclose(ours(floating((2, 3), beta), x, numerics=numerics)[0], y, rtol=3e-7)


@pytest.mark.parametrize("numerics", NUMERICS)
def test_by_hand_on_8_bits(numerics: str) -> None:
    half = float(np.float32(np.log(2)))  # one step of x doubles the share
    q = np.array([[10, 11, 12, 10]])
    assert ours(quantized((1, 4), "int8", "int8", half, 3), q, numerics=numerics)[0].tolist() == [[-96, -64, 0, -96]]
    assert ours(quantized((1, 4), "uint8", "uint8", half, 3), q, numerics=numerics)[0].tolist() == [[32, 64, 128, 32]]
    y = ours(quantized((1, 4), "int16", "int16", half, 0), q, numerics=numerics)[0]
    assert np.abs(y - [[4096, 8192, 16384, 4096]]).max() <= 8


# ------------------------------------------------------------------------------------------------------------------ floats
@pytest.mark.parametrize("shape", [(1,), (2,), (3, 5), (2, 3, 7), (4, 16), (5, 33), (1, 64), (3, 65), (2, 129), (1, 1001)])
@pytest.mark.parametrize("beta", [1.0, 0.7, -2.0])
def test_floats(shape: tuple[int, ...], beta: float) -> None:
    for spread in (1, 30):
        x = np.random.default_rng(spread).normal(0, spread, shape).astype(np.float32)
        check(floating(shape, beta), FLOATS, inputs={0: x}, runs=1)


@pytest.mark.parametrize("beta", [1.0, 0.5])
def test_threads(beta: float) -> None:
    """The official builtin kernel's groups of four depend on how its threads share the rows."""
    for shape in ((40, 5), (33, 7), (9, 3), (100, 300)):
        for threads in (2, 3):
            check(floating(shape, beta), FLOATS, threads=threads, runs=1)


@pytest.mark.parametrize("size", [1, 3, 4, 11, 70])
def test_special_floats(size: int) -> None:
    rng = np.random.default_rng(size)
    for share in (0.1, 1.0):
        x = np.where(rng.random((60, size)) < share, rng.choice(SPECIAL, (60, size)), rng.normal(0, 40, (60, size)))
        check(floating(x.shape), FLOATS, inputs={0: x.astype(np.float32)}, runs=1)


def test_the_order_without_avx512() -> None:
    """Eight lanes, written with arrays: blocks of 32 in two accumulators, then blocks of 8, then halving."""
    rng = np.random.default_rng(4)
    for n in (1, 7, 8, 31, 32, 40, 100, 333):
        x = rng.normal(0, 3, (2, n)).astype(np.float32)
        y = np.zeros(2 * n, np.float32)
        jit.python_call(family.softmax_float_avx2, [x.reshape(-1), n, np.zeros(64, np.float32), y], 2)
        for r in range(2):
            e = np.array([family.exp_below_zero(v - x[r].max()) for v in x[r]], np.float32)
            lanes = np.zeros((2, 8), np.float32)
            whole = n - n % 32
            for i in range(0, whole, 16):
                lanes += e[i : i + 16].reshape(2, 8)
            total = lanes[0] + lanes[1]
            for i in range(whole, n, 8):
                total[: len(e[i : i + 8])] += e[i : i + 8]
            while total.size > 1:
                total = total[: total.size // 2] + total[total.size // 2 :]
            np.testing.assert_array_equal(y[r * n : (r + 1) * n], e * (np.float32(1) / total[0]))


# --------------------------------------------------------------------------------------------------------------- quantized
@pytest.mark.parametrize("types", [("int8", "int8"), ("uint8", "uint8"), ("int8", "int16"), ("uint8", "int16"),
                                   ("int16", "int16")])
def test_quantized(types: tuple[str, str]) -> None:
    rng = np.random.default_rng(7)
    for shape in ((1, 1), (3, 10), (2, 4, 21), (1, 257)):
        for scale in (0.003, 0.02, 0.1, 0.5, 2.0):
            for beta in (1.0, 0.5, 3.0):
                info = np.iinfo(types[0])
                zero = int(rng.integers(info.min, info.max + 1)) if info.bits == 8 else 0
                model = quantized(shape, *types, scale if info.bits == 8 else scale / 50, zero, beta)
                check(model, runs=1, seed=len(shape), threads=1 + (beta == 3))


@pytest.mark.parametrize("types", [("int8", "int8"), ("uint8", "uint8")])
def test_many_short_rows(types: tuple[str, str]) -> None:
    """Pairs, and rows that stand side by side."""
    for shape in ((300, 2), (1, 5, 2), (150, 5), (33, 21)):
        for scale in (0.003, 0.1, 2.0):
            check(quantized(shape, *types, scale, 7), ("default",), runs=1, seed=shape[-1], threads=2)


def test_the_zero_point_of_uint8_shares() -> None:
    """The table's kernel leaves it out."""
    for shape in ((150, 2), (150, 5), (2, 40)):
        y = tensor("y", "uint8", shape, scale=1 / 256, zero_point=5)
        check(one_op("SOFTMAX", [tensor("x", "uint8", shape, scale=0.1)], [y], options.SoftmaxOptions(1.0)), NUMERICS[1:], runs=1)


def test_many_equal_values() -> None:
    """From 512 equal ones on each share is below half a step; the official reference aborts the process there."""
    x = np.full((1, 511), 9, np.int8)
    check(quantized(x.shape, "int8", "int8", 0.1, 0), inputs={0: x}, runs=1)
    x = np.full((1, 5000), 9, np.int8)
    model = quantized(x.shape, "int8", "int8", 0.1, 0)
    check(model, ("default", "builtin"), inputs={0: x}, runs=1)
    assert set(ours(model, x)[0].ravel()) == {-128}


# -------------------------------------------------------------------------------------------------------- real, refusals
def test_real_operators() -> None:
    for _, i, whole in operators("SOFTMAX", 12):
        part = cut(whole, i)
        check(part, FLOATS if part.subgraphs[0].tensors[0].type.name == "FLOAT32" else NUMERICS, runs=1)


def test_nothing() -> None:
    check(floating((0, 3)), FLOATS)
    assert ours(quantized((3, 0), "int8", "int8", 0.1, 0))[0].shape == (3, 0)


def test_refusals() -> None:
    with pytest.raises(ShapeError, match=r"SOFTMAX.*scalar"):
        ours(floating(()))
    for numerics in NUMERICS:
        with pytest.raises(QuantError, match=r"SOFTMAX \(operator 0, tensor 'y'\).*must be"):
            ours(one_op("SOFTMAX", [tensor("x", "int8", (2, 3), scale=0.1)], [tensor("y", "int8", (2, 3), scale=0.1)],
                        options.SoftmaxOptions(1.0)), numerics=numerics)
        with pytest.raises(QuantError, match="needs one scale"):
            ours(one_op("SOFTMAX", [tensor("x", "uint8", (2, 3))], [tensor("y", "uint8", (2, 3), scale=0.1)],
                        options.SoftmaxOptions(1.0)), numerics=numerics)
    with pytest.raises(QuantError, match="not above"):  # the official reference aborts the process
        ours(quantized((2, 3), "int8", "int8", 1e-9, 0))
    for pair in (("int8", "uint8"), ("float32", "int8"), ("int32", "int32")):
        with pytest.raises(UnsupportedOpError, match="SOFTMAX"):
            ours(one_op("SOFTMAX", [tensor("x", pair[0], (2, 3), scale=0.1)], [tensor("y", pair[1], (2, 3), scale=0.1)],
                        options.SoftmaxOptions(1.0)))
