"""MUL, DIV: by hand, and against the official interpreter over shapes, scales, zero points and activations."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.harness import NUMERICS, check, cut, operators, ours
from tests.kernels.operands import ACTIVATIONS, SHAPES, binary, operands, quantization, scales
from tinyinterp.errors import QuantError, ShapeError, TinyInterpError, UnsupportedOpError, ValueDependentError
from tinyinterp.schema import Activation, options

NAMES = ("MUL", "DIV")
OPTIONS: dict[str, Any] = {"MUL": options.MulOptions, "DIV": options.DivOptions}


def divisible(type: str, fed: dict[int, np.ndarray], zero: int = 0) -> dict[int, np.ndarray]:
    """The same operands with no divisor at its zero point, and, among int32, none at -1 (the official -2**31 / -1 ends
    the process)."""
    if type == "float32":
        return fed
    b = np.where(fed[1] == zero, zero + 1 if zero < np.iinfo(type).max else zero - 1, fed[1])
    return {0: fed[0], 1: np.where(b == -1, 7, b).astype(type) if type == "int32" else b.astype(type)}


# ------------------------------------------------------------------------------------------------------------- by hand
@pytest.mark.parametrize("numerics", NUMERICS)
def test_by_hand(numerics: str) -> None:
    a, b = [[1, 2, -3], [4, 5, 6]], [10, 20, -30]
    for type in ("float32", "int32", "int64", "int16"):
        assert ours(binary("MUL", type, (2, 3), (3,)), a, b, numerics=numerics)[0].tolist() == [[10, 40, 90], [40, 100, -180]]
    relu6 = options.MulOptions(Activation.RELU6)
    assert ours(binary("MUL", "int64", (2, 3), (), relu6), a, 2, numerics=numerics)[0].tolist() == [[2, 4, 0], [6, 6, 6]]
    y = ours(binary("DIV", "float32", (2, 3), (3,)), a, [1, 2, 4], numerics=numerics)[0]
    assert y.tolist() == [[1, 1, -0.75], [4, 2.5, 1.5]]
    y = ours(binary("DIV", "int32", (4,), (4,)), [7, -7, 7, -7], [2, 2, -2, -2], numerics=numerics)[0]
    assert y.tolist() == [3, -3, -3, 3]


@pytest.mark.parametrize("numerics", NUMERICS)
def test_by_hand_on_8_bits(numerics: str) -> None:
    q = scales((0.5, 0), (0.25, 10), (1, -5))
    model = binary("MUL", "int8", (4,), (4,), **q)
    assert ours(model, [2, 4, 100, -128], [14, 6, 12, 127], numerics=numerics)[0].tolist() == [-4, -7, 20, -128]
    model = binary("DIV", "int8", (4,), (4,), **q)
    assert ours(model, [2, 4, 100, -127], [14, 6, 12, 127], numerics=numerics)[0].tolist() == [-4, -7, 95, -7]


def test_integers_wrap() -> None:
    assert ours(binary("MUL", "int32", (2,), (2,)), [2**31 - 1, 65536], [2, 65536])[0].tolist() == [-2, 0]
    assert ours(binary("MUL", "int64", (1,), (1,)), [2**63 - 1], [2])[0].tolist() == [-2]
    assert ours(binary("MUL", "int16", (1,), (1,)), [300], [300])[0].tolist() == [90000 - 65536]
    assert ours(binary("DIV", "int32", (1,), (1,)), [-(2**31)], [-1])[0].tolist() == [-(2**31)]


def test_float_division_by_zero() -> None:
    model = binary("DIV", "float32", (3,), ())
    most = float(np.finfo(np.float32).max)
    for numerics, end in (("reference", most), ("default", np.inf)):
        y = ours(model, [1.0, -1.0, 0.0], 0.0, numerics=numerics)[0]
        assert y[:2].tolist() == [end, -end] and np.isnan(y[2])


# ------------------------------------------------------------------------------------------------ the official interpreter
@pytest.mark.parametrize(("name", "type"), [("MUL", "float32"), ("MUL", "int32"), ("MUL", "int64"),
                                            ("DIV", "float32"), ("DIV", "int32")])
def test_plain(name: str, type: str) -> None:
    rng = np.random.default_rng(1)
    for i, (a, b) in enumerate(SHAPES):
        numerics = ("reference", "default") if type == "float32" else NUMERICS
        fed = operands(type, a, b, rng)
        check(binary(name, type, a, b, OPTIONS[name](ACTIVATIONS[i % 4])), numerics,
              inputs=divisible(type, fed) if name == "DIV" else fed, runs=1)


def test_plain_int16() -> None:
    rng = np.random.default_rng(2)
    for a, b in SHAPES[:6]:
        check(binary("MUL", "int16", a, b), inputs=operands("int16", a, b, rng), runs=1)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("type", ["int8", "uint8", "int16"])
@pytest.mark.parametrize("far", [False, True])
def test_quantized(name: str, type: str, far: bool) -> None:
    """Far: scales for which the delegate refuses, products overflow 16 bits and shifts exceed 31."""
    rng = np.random.default_rng(3)
    for i, (a, b) in enumerate(SHAPES * 2):
        qa, qb, qy = (quantization(type, rng, *((1e-5, 1e5) if far else (1e-3, 1.0))) for _ in range(3))
        fed = operands(type, a, b, rng)
        model = binary(name, type, a, b, OPTIONS[name](ACTIVATIONS[0 if far else i % 4]), of_a=qa, of_b=qb, of_y=qy)
        check(model, inputs=divisible(type, fed, qb["zero_point"]) if name == "DIV" else fed, runs=1)


def test_an_output_scale_near_zero() -> None:
    """The shift exceeds 31: the reference counts it modulo 32, vectors shift everything out. Such scales are in given models."""
    rng = np.random.default_rng(4)
    for exponent in (-25, -30, -35):
        for type in ("int8", "uint8"):
            of = {"scale": 0.1, "zero_point": 3}
            model = binary("MUL", type, (5, 37), (5, 37), of_a=of, of_b=of, of_y={"scale": 10.0**exponent, "zero_point": 7})
            check(model, inputs=operands(type, (5, 37), (5, 37), rng), runs=1)


@pytest.mark.parametrize("threads", [1, 2])
def test_threads(threads: int) -> None:
    q = scales((2.0, 3), (5.0, -3), (1e-3, 0))
    for a, b in (((70, 1003), (70, 1003)), ((70, 1003), (1003,)), ((70, 1), (70, 1003))):
        check(binary("MUL", "int8", a, b, **q), threads=threads, runs=1)


@pytest.mark.parametrize("name", NAMES)
def test_real_operators(name: str) -> None:
    compared = 0
    for _, index, model in operators(name, 60):
        part = cut(model, index)
        try:
            ours(part)
        except ValueDependentError:  # int32, fed zeros
            pass
        except TinyInterpError:
            continue
        type = part.subgraphs[0].tensors[part.subgraphs[0].operators[0].inputs[0]].type.name
        fed = {1: np.full(part.subgraphs[0].tensors[part.subgraphs[0].inputs[-1]].shape, 3, np.int32)}
        check(part, ("reference", "default") if type == "FLOAT32" else NUMERICS, runs=1,
              inputs=fed if (name, type) == ("DIV", "INT32") else None)
        compared += 1
    if not compared:
        pytest.skip("TINYINTERP_MODELS is not set")


# ------------------------------------------------------------------------------------------------------------ refusals
@pytest.mark.parametrize("threads", [1, 2])
def test_integer_division_by_zero(threads: int) -> None:
    b = np.ones((100, 700), np.int32)
    b[71, 3] = 0
    model = binary("DIV", "int32", (100, 700), (100, 700))
    with pytest.raises(ValueDependentError, match=f"DIV .*: division by zero at element {71 * 700 + 3} of the values fed"):
        ours(model, np.ones_like(b), b, threads=threads)
    of = {"scale": 0.5, "zero_point": 4}
    with pytest.raises(ValueDependentError, match="division by zero at element 2"):
        ours(binary("DIV", "int8", (3, 4), (4,), of_a=of, of_b=of, of_y=of), np.zeros((3, 4)), [1, 2, 4, 0])


def test_refusals() -> None:
    with pytest.raises(UnsupportedOpError, match="no kernel takes inputs of type INT64, INT64"):
        ours(binary("DIV", "int64", (2,), (2,)))
    with pytest.raises(UnsupportedOpError, match="BOOL"):
        ours(binary("MUL", "bool", (2,), (2,)))
    with pytest.raises(ShapeError, match="fused activation"):
        ours(binary("MUL", "float32", (2,), (2,), options.MulOptions(Activation.SIGN_BIT)))
    with pytest.raises(QuantError, match="needs one scale, has 0"):
        ours(binary("DIV", "uint8", (2,), (2,)))
    of = {"scale": 0.5, "zero_point": 4}
    with pytest.raises(QuantError, match="int16 operands need zero point 0"):
        ours(binary("MUL", "int16", (2,), (2,), of_a=of, of_b=of, of_y=of))
