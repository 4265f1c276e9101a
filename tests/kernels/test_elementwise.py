"""MAXIMUM, MINIMUM, SQUARED_DIFFERENCE: by hand, and against the official interpreter."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from tests.harness import NUMERICS, check, cut, operators, ours
from tests.kernels.operands import SHAPES, Shape, binary, operand, operands, quantization, scales
from tests.kernels.values import SPECIAL
from tinyinterp.errors import QuantError, TinyInterpError, UnsupportedOpError
from tinyinterp.schema import Model
from tinyinterp.schema.build import one_op, tensor

EXTREMA = ("MAXIMUM", "MINIMUM")
TYPES = ("float32", "int8", "uint8", "int16", "int32", "int64")


@pytest.mark.parametrize("numerics", NUMERICS)
def test_by_hand(numerics: str) -> None:
    a, b = [[1, 20, 3], [40, 5, 60]], [10, 20, 30]
    for type in TYPES:
        assert ours(binary("MAXIMUM", type, (2, 3), (3,)), a, b, numerics=numerics)[0].tolist() == [[10, 20, 30], [40, 20, 60]]
        assert ours(binary("MINIMUM", type, (2, 3), (3,)), a, b, numerics=numerics)[0].tolist() == [[1, 20, 3], [10, 5, 30]]
    for type in ("float32", "int32"):
        y = ours(binary("SQUARED_DIFFERENCE", type, (2, 3), (3,)), a, b, numerics=numerics)[0]
        assert y.tolist() == [[81, 0, 729], [900, 225, 900]]
    model = binary("SQUARED_DIFFERENCE", "int8", (3,), (3,), **scales((0.5, 0), (0.25, 10), (1, -5)))
    y = ours(model, [2, 6, 127], [14, 10, 12], numerics=numerics)[0]
    assert y.tolist() == [-5, 4, 127]  # 0, 9, 3969


def test_nan_loses_or_wins() -> None:
    """A comparison with NaN is false. As a stored bound a NaN is ignored, as a fed first operand it loses."""
    a, b = [np.nan, 1.0], [2.0, np.nan]
    for numerics in ("reference", "default"):
        y = ours(binary("MAXIMUM", "float32", (2,), (2,)), a, b, numerics=numerics)[0]
        assert y[0] == 2 and np.isnan(y[1])
    bound = binary("MAXIMUM", "float32", (2,), (), stored=np.float32(np.nan))
    assert np.isnan(ours(bound, [1.0, 2.0])[0]).all()
    assert ours(bound, [1.0, 2.0], numerics="default")[0].tolist() == [1, 2]


@pytest.mark.parametrize("name", EXTREMA)
@pytest.mark.parametrize("type", TYPES)
def test_extrema(name: str, type: str) -> None:
    rng = np.random.default_rng(1)
    for a, b in SHAPES:
        check(binary(name, type, a, b), ("reference", "default") if type == "float32" else NUMERICS,
              inputs=operands(type, a, b, rng), runs=1)


def stored_or_fed(name: str, a: Shape, b: Shape, stored: dict[int, np.ndarray]) -> Model:
    parts = [tensor("ab"[i], "float32", shape, **({"data": stored[i]} if i in stored else {})) for i, shape in enumerate((a, b))]
    return one_op(name, parts, [tensor("y", "float32", np.broadcast_shapes(a, b))])


@pytest.mark.parametrize("name", EXTREMA)
@pytest.mark.parametrize("number", [0.0, -0.0, 1.5, np.nan, np.inf, -np.inf, 1e-40])
def test_bounds(name: str, number: float) -> None:
    """A stored operand of one element, first or second, of fewer or more dimensions than the other."""
    x = np.resize(np.concatenate([SPECIAL, [0.5, 2, -7]]), (3, 40)).astype(np.float32)
    for shape in ((), (1,), (1, 1), (1, 1, 1)):
        for of_x in ((3, 40), (40,), (1,), ()):
            value, fed = np.full(shape, number, np.float32), np.resize(x, of_x)
            for model in (stored_or_fed(name, shape, of_x, {0: value}), stored_or_fed(name, of_x, shape, {1: value})):
                check(model, ("reference", "default"), inputs={0: fed}, runs=1)


@pytest.mark.parametrize("name", EXTREMA)
def test_single_numbers(name: str) -> None:
    """NaN and zeros against each other: fed, stored, or both."""
    for u, v in itertools.product((np.nan, 0.0, -0.0, 1.0), repeat=2):
        for a, b in (((), ()), ((1,), ()), ((1,), (1, 1)), ((1, 1), (1,))):
            values = {0: np.full(a, u, np.float32), 1: np.full(b, v, np.float32)}
            for stored in ((), (0,), (1,), (0, 1)):
                fed = [values[i] for i in (0, 1) if i not in stored]
                check(stored_or_fed(name, a, b, {i: values[i] for i in stored}), ("reference", "default"),
                      inputs=dict(enumerate(fed)), runs=1)


@pytest.mark.parametrize("name", EXTREMA)
def test_stored_operands(name: str) -> None:
    rng = np.random.default_rng(2)
    for shape in ((40,), (3, 1), (3, 40)):
        check(binary(name, "float32", (3, 40), shape, stored=operand("float32", shape, rng)), ("reference", "default"),
              inputs={0: operand("float32", (3, 40), rng)}, runs=1)


@pytest.mark.parametrize("type", ["float32", "int32"])
def test_squared_difference(type: str) -> None:
    rng = np.random.default_rng(3)
    for a, b in SHAPES:
        check(binary("SQUARED_DIFFERENCE", type, a, b), ("reference", "default") if type == "float32" else NUMERICS,
              inputs=operands(type, a, b, rng), runs=1)


def test_squared_difference_on_8_bits() -> None:
    rng = np.random.default_rng(4)
    compared = 0
    for a, b in SHAPES * 3:
        qa, qb, qy = (quantization("int8", rng, 1e-3, 1e1) for _ in range(3))
        model = binary("SQUARED_DIFFERENCE", "int8", a, b, of_a=qa, of_b=qb, of_y=qy)
        if 4 * max(qa["scale"], qb["scale"]) ** 2 >= 2**14 * 0.999 * qy["scale"]:
            with pytest.raises(QuantError, match="it must lie between 0 and 1"):  # the official interpreter ends the process
                ours(model)
            continue
        check(model, inputs=operands("int8", a, b, rng), runs=1)
        compared += 1
    assert compared > 30


@pytest.mark.parametrize("name", [*EXTREMA, "SQUARED_DIFFERENCE"])
def test_real_operators(name: str) -> None:
    compared = 0
    for _, index, model in operators(name, 60):
        part = cut(model, index)
        try:
            ours(part)
        except TinyInterpError:
            continue
        type = part.subgraphs[0].tensors[part.subgraphs[0].operators[0].inputs[0]].type.name
        check(part, ("reference", "default") if type == "FLOAT32" else NUMERICS, runs=1)
        compared += 1
    if not compared:
        pytest.skip("TINYINTERP_MODELS is not set")


def test_refusals() -> None:
    for name, type in (("MAXIMUM", "bool"), ("MINIMUM", "uint32"), ("SQUARED_DIFFERENCE", "uint8"),
                       ("SQUARED_DIFFERENCE", "int64")):
        with pytest.raises(UnsupportedOpError, match=f"no kernel takes inputs of type {type.upper()}"):
            ours(binary(name, type, (2,), (2,)))
