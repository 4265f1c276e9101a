"""RELU and its kin, LEAKY_RELU, LOGISTIC, TANH, HARD_SWISH: by hand, and against the official interpreter."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.harness import NUMERICS, check, cut, operators, ours
from tests.kernels.values import everything, floats, quantizations
from tinyinterp.errors import QuantError, ShapeError, UnsupportedOpError
from tinyinterp.schema import Model, options
from tinyinterp.schema.build import model_of, one_op, operator, tensor

RELUS = ("RELU", "RELU6", "RELU_N1_TO_1", "RELU_0_TO_1")
FLOATS = (*RELUS, "LEAKY_RELU", "LOGISTIC", "TANH", "HARD_SWISH")
Q = {"int8": -128, "uint8": 0, "int16": 0}


def model(name: str, type: str, shape: tuple[int, ...], x: dict[str, Any] | None = None, y: dict[str, Any] | None = None,
          alpha: float = 0.1) -> Model:
    settings = options.LeakyReluOptions(alpha=alpha) if name == "LEAKY_RELU" else None
    return one_op(name, [tensor("x", type, shape, **(x or {}))], [tensor("y", type, shape, **(y or {}))], settings)


# --------------------------------------------------------------------------------------------------------------- by hand
@pytest.mark.parametrize("numerics", NUMERICS)
def test_by_hand(numerics: str) -> None:
    x = [-4.0, -0.5, 0.0, 0.5, 8.0]
    expected = {"RELU": [0, 0, 0, 0.5, 8], "RELU6": [0, 0, 0, 0.5, 6], "RELU_N1_TO_1": [-1, -0.5, 0, 0.5, 1],
                "RELU_0_TO_1": [0, 0, 0, 0.5, 1], "LEAKY_RELU": [-1, -0.125, 0, 0.5, 8],
                "HARD_SWISH": [0, -0.20833333, 0, 0.29166666, 8],
                "LOGISTIC": [0.01798621, 0.37754067, 0.5, 0.62245933, 0.99966465],
                "TANH": [-0.9993293, -0.46211716, 0, 0.46211716, 0.99999976]}
    for name, y in expected.items():
        np.testing.assert_allclose(ours(model(name, "float32", (5,), alpha=0.25), x, numerics=numerics)[0], y, rtol=3e-7)


def test_by_hand_on_8_bits() -> None:
    x = {"scale": 0.5, "zero_point": 2}
    y = {"scale": 0.25, "zero_point": -1}
    q = np.array([0, 2, 4, 100], np.int8)  # -1, 0, 1, 49
    assert ours(model("RELU6", "int8", (4,), x, y), q)[0].tolist() == [-1, -1, 3, 23]
    assert ours(model("LEAKY_RELU", "int8", (4,), x, y, alpha=0.5), q)[0].tolist() == [-3, -1, 3, 127]
    half = {"scale": 1 / 256, "zero_point": -128}
    assert ours(model("LOGISTIC", "int8", (4,), x, half), q)[0].tolist() == [-59, 0, 59, 127]


# ------------------------------------------------------------------------------------------------------------------ floats
@pytest.mark.parametrize("name", FLOATS)
def test_floats(name: str) -> None:
    x = floats(20_000, 1)
    check(model(name, "float32", x.shape), ("reference", "default"), inputs={0: x}, runs=1)


@pytest.mark.parametrize("name", ("LOGISTIC", "RELU"))
def test_two_threads(name: str) -> None:
    x = floats(20_001, 2)
    check(model(name, "float32", x.shape), ("reference", "default"), inputs={0: x}, runs=1, threads=2)


@pytest.mark.parametrize("shape", [(), (1,), (0,), (2, 3), (1, 2, 3, 1, 2, 2), (2, 0, 3)])
def test_shapes(shape: tuple[int, ...]) -> None:
    for name in ("RELU", "LOGISTIC"):
        check(model(name, "float32", shape), ("reference", "default"))


def test_seven_dimensions_are_not_delegated() -> None:
    """The builtin's floats: blocks of 4 and a tail."""
    x = floats(1003, 3).reshape(1, 1, 1, 1, 1, 17, 59)
    for name in FLOATS:
        check(model(name, "float32", x.shape), ("default",), inputs={0: x}, runs=1)


def test_a_shape_that_a_run_tells_is_delegated() -> None:
    x, shape, y, z = (tensor("x", "float32", (4, 30)), tensor("shape", "int32", (2,)), tensor("y", "float32", (1, 1)),
                      tensor("z", "float32", (1, 1)))
    made = model_of([operator("RESHAPE", [x, shape], [y], options.ReshapeOptions()), operator("LOGISTIC", [y], [z])])
    check(made, ("default",), inputs={1: np.array([10, 12], np.int32)})


@pytest.mark.parametrize("alpha", [0.0, -0.0, 1e-40, np.inf, np.nan, 2.0, -0.3, 1.17549435e-38])
def test_alphas(alpha: float) -> None:
    x = floats(200, 4)
    check(model("LEAKY_RELU", "float32", x.shape, alpha=alpha), ("reference", "default"), inputs={0: x}, runs=1)


# ---------------------------------------------------------------------------------------------------------------- integers
@pytest.mark.parametrize("type", ["int8", "uint8"])
@pytest.mark.parametrize("name", (*RELUS, "TANH", "HARD_SWISH"))
def test_8bit(name: str, type: str) -> None:
    q = everything(type)
    for x, y in quantizations(type, type, 8, 5):
        if name == "HARD_SWISH":
            y["scale"] = max(y["scale"], float(np.float32(x["scale"]) / np.float32(120)))
        check(model(name, type, q.shape, x, y), inputs={0: q}, runs=1)


@pytest.mark.parametrize("type", ["int8", "uint8"])
def test_logistic_8bit(type: str) -> None:
    q = everything(type)
    for x, _ in quantizations(type, type, 6, 6):
        check(model("LOGISTIC", type, q.shape, x, {"scale": 1 / 256, "zero_point": Q[type]}), inputs={0: q}, runs=1)


@pytest.mark.parametrize("type", ["int8", "uint8"])
def test_ties_of_tables(type: str) -> None:
    """tanh of great numbers is 1, here 2.5 steps: 3 above the zero point, in the delegate whatever is even."""
    q = everything(type)
    ends = []
    for zero in (5, 6):
        made = model("TANH", type, q.shape, {"scale": 0.5, "zero_point": 10}, {"scale": 0.4, "zero_point": zero})
        check(made, inputs={0: q}, runs=1)
        ends += [int(ours(made, q, numerics=n)[0][-1]) - zero for n in NUMERICS]
    assert ends == [3, 3, 3, 3, 2, 3]


@pytest.mark.parametrize("type", ["int8", "uint8"])
def test_leaky_relu_8bit(type: str) -> None:
    """Ratios on both sides of what the delegate takes."""
    q = everything(type)
    rng = np.random.default_rng(7)
    edges = [(1.0, 1.0, a) for a in (1 / 256, 0.0039, 128.0, 128.5, -127.99, -128.0, 0.0)]
    edges += [(r, 1.0, 0.5) for r in (1 / 256, 0.0039, 128.0, 128.1)]
    edges += [(float(rng.uniform(0.01, 2)), float(rng.uniform(0.01, 2)), float(rng.uniform(-1, 1.5))) for _ in range(8)]
    for sx, sy, alpha in edges:
        x, y = ({"scale": s, "zero_point": int(rng.integers(-20, 20)) + Q[type] + 128} for s in (sx, sy))
        check(model("LEAKY_RELU", type, q.shape, x, y, alpha), inputs={0: q}, runs=1)


@pytest.mark.parametrize("name", ("RELU", "RELU6", "LEAKY_RELU"))
def test_int16(name: str) -> None:
    q = everything("int16")[::7]
    for k, (x, y) in enumerate(quantizations("int16", "int16", 4, 8, 1e-4)):
        check(model(name, "int16", q.shape, x, y, (0.2, -0.7, 3.0, 0.0)[k]), inputs={0: q}, runs=1)


@pytest.mark.parametrize("name", ("LOGISTIC", "TANH"))
def test_logistic_and_tanh_int16(name: str) -> None:
    """Powers of two, where the default mode goes another way, and scales in general."""
    q = everything("int16")
    for scale in (2.0**-12, 2.0**-11, 2.0**-13, 1.0001 * 2.0**-12, 1.01 * 2.0**-12, 3e-4, 0.01, 1e-6, 5.0):
        check(model(name, "int16", q.shape, {"scale": scale, "zero_point": 0}, {"scale": 2.0**-15, "zero_point": 0}),
              inputs={0: q}, runs=1)


# ------------------------------------------------------------------------------------------------------------- real models
@pytest.mark.parametrize("name", FLOATS)
def test_real_operators(name: str) -> None:
    for path, i, whole in operators(name, 8):
        part = cut(whole, i)
        kinds = {t.type.name for t in part.subgraphs[0].tensors}
        numerics = ("reference", "default") if kinds == {"FLOAT32"} else NUMERICS
        try:
            check(part, numerics, runs=1)
        except AssertionError as error:
            raise AssertionError(f"{path.name}, operator {i}: {error}") from error


# ----------------------------------------------------------------------------------------------------------------- refusals
def test_refusals() -> None:
    scaled, other = {"scale": 0.1, "zero_point": 3}, {"scale": 0.1, "zero_point": 0}
    x = tensor("x", "int8", (4,), **scaled)
    with pytest.raises(ShapeError, match=r"RELU \(operator 0, tensor 'y'\).*input->type"):
        ours(one_op("RELU", [x], [tensor("y", "uint8", (4,), **scaled)]), 0)
    with pytest.raises(QuantError, match="'x' needs"):
        ours(model("RELU", "int8", (4,), {}, other), 0)
    with pytest.raises(QuantError, match=r"'y' has scale 0\.0"):
        ours(model("TANH", "int8", (4,), other, {"scale": 0.0, "zero_point": 0}), 0)
    with pytest.raises(QuantError, match="zero points of 0"):
        ours(model("RELU", "int16", (4,), scaled, other), 0)
    with pytest.raises(QuantError, match="1 / 32768"):
        ours(model("LOGISTIC", "int16", (4,), other, {"scale": 2.0**-14, "zero_point": 0}), 0)
    with pytest.raises(QuantError, match=r"1\. / 256"):
        ours(model("LOGISTIC", "int8", (4,), other, {"scale": 1 / 128, "zero_point": -128}), 0)
    with pytest.raises(QuantError, match="too fine"):
        ours(model("HARD_SWISH", "int8", (4,), {"scale": 10.0, "zero_point": 0}, {"scale": 0.001, "zero_point": 0}), 0)
    with pytest.raises(UnsupportedOpError, match="no kernel takes inputs of type INT16"):
        ours(model("RELU_N1_TO_1", "int16", (4,), other, other), 0)
    with pytest.raises(UnsupportedOpError, match="INT32"):
        ours(model("TANH", "int32", (4,), other, other), 0)
