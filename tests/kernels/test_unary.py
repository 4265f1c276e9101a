"""ABS, NEG, SQUARE, SQRT, RSQRT, EXP, LOG, SIN, COS, FLOOR, CEIL, ROUND: by hand, and against the official interpreter."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pytest

from tests.harness import NUMERICS, check, cut, operators, ours
from tests.kernels.values import everything, floats, quantizations
from tinyinterp.errors import QuantError, ShapeError, UnsupportedOpError, ValueDependentError
from tinyinterp.kernels import pointwise
from tinyinterp.schema import Model, options
from tinyinterp.schema.build import one_op, tensor

FLOATS = ("ABS", "NEG", "SQUARE", "SQRT", "RSQRT", "EXP", "LOG", "SIN", "COS", "FLOOR")
WITHOUT_REFERENCE = ("CEIL", "ROUND")


def model(name: str, type: str, shape: tuple[int, ...], x: dict[str, Any] | None = None,
          y: dict[str, Any] | None = None) -> Model:
    return one_op(name, [tensor("x", type, shape, **(x or {}))], [tensor("y", type, shape, **(y or {}))])


# --------------------------------------------------------------------------------------------------------------- by hand
@pytest.mark.parametrize("numerics", NUMERICS)
def test_by_hand(numerics: str) -> None:
    x = [0.25, 1.0, 2.5, 9.0]
    expected = {"ABS": x, "NEG": [-0.25, -1, -2.5, -9], "SQUARE": [0.0625, 1, 6.25, 81], "FLOOR": [0, 1, 2, 9],
                "SQRT": [0.5, 1, 1.5811388, 3], "RSQRT": [2, 1, 0.6324555, 0.33333334],
                "EXP": [1.2840254, 2.7182817, 12.182494, 8103.084], "LOG": [-1.3862944, 0, 0.91629075, 2.1972246],
                "SIN": [0.24740396, 0.84147096, 0.5984721, 0.41211849], "COS": [0.9689124, 0.5403023, -0.8011436, -0.9111303]}
    for name, y in expected.items():
        np.testing.assert_allclose(ours(model(name, "float32", (4,)), x, numerics=numerics)[0], y, rtol=4e-7)


def test_rounding_by_hand() -> None:
    x = [-2.5, -1.5, -0.5, 0.5, 1.5, 2.5]
    for numerics in ("default", "builtin"):
        assert ours(model("ROUND", "float32", (6,)), x, numerics=numerics)[0].tolist() == [-2, -2, 0, 0, 2, 2]
        assert ours(model("CEIL", "float32", (6,)), x, numerics=numerics)[0].tolist() == [-2, -1, 0, 1, 2, 3]


def test_by_hand_on_8_bits() -> None:
    x, y = {"scale": 0.5, "zero_point": -10}, {"scale": 0.25, "zero_point": 0}
    q = np.array([-10, -8, -2, 8], np.int8)  # 0, 1, 4, 9
    assert ours(model("SQRT", "int8", (4,), x, y), q)[0].tolist() == [0, 4, 8, 12]
    assert ours(model("RSQRT", "int8", (4,), x, y), q)[0].tolist() == [127, 4, 2, 1]
    assert ours(model("EXP", "int8", (4,), x, y), q)[0].tolist() == [4, 11, 127, 127]
    assert ours(model("LOG", "int8", (4,), x, y), q)[0].tolist() == [-128, 0, 6, 9]
    assert ours(model("ABS", "int8", (4,), {"scale": 0.5, "zero_point": 0}, y), q)[0].tolist() == [20, 16, 4, 16]


# ------------------------------------------------------------------------------------------------------------------ floats
@pytest.mark.parametrize("name", FLOATS)
def test_floats(name: str) -> None:
    x = floats(20_000, 11)
    check(model(name, "float32", x.shape), ("reference", "default"), inputs={0: x}, runs=1)


@pytest.mark.parametrize("name", WITHOUT_REFERENCE)
def test_floats_that_the_reference_lacks(name: str) -> None:
    x = floats(20_000, 12)
    check(model(name, "float32", x.shape), ("default", "builtin"), inputs={0: x}, runs=1)
    with pytest.raises(UnsupportedOpError, match="reference numerics"):
        ours(model(name, "float32", x.shape), x)


@pytest.mark.parametrize("name", ("RSQRT", "ROUND"))
def test_two_threads(name: str) -> None:
    x = floats(20_001, 13)
    check(model(name, "float32", x.shape), ("default",), inputs={0: x}, runs=1, threads=2)


def test_seven_dimensions_are_not_delegated() -> None:
    x = floats(256, 14).reshape(1, 1, 1, 1, 1, 2, 128)
    for name in (*FLOATS, *WITHOUT_REFERENCE):
        check(model(name, "float32", x.shape), ("default",), inputs={0: x})


# What a processor without AVX-512 answers, as measured on one: the first eight bytes of SHA-256 over the bytes, NaN as 0.
AVX2 = {"LOGISTIC": "ad0557fa0156c791", "LOG": "79b234acdb60c890", "SQRT": "de479863d11c652a", "RSQRT": "e6fd12461452c53b",
        "LEAKY_RELU": "74b833d73bec4058"}


@pytest.mark.parametrize("name", AVX2)
def test_without_avx512(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pointwise, "isa", lambda: "avx2")
    x = floats(20_000, 15)
    settings = options.LeakyReluOptions(alpha=0.3) if name == "LEAKY_RELU" else None
    made = one_op(name, [tensor("x", "float32", x.shape)], [tensor("y", "float32", x.shape)], settings)
    y = ours(made, x, numerics="default")[0]
    assert hashlib.sha256(np.where(np.isnan(y), np.float32(0), y).tobytes()).hexdigest()[:16] == AVX2[name]


# ---------------------------------------------------------------------------------------------------------------- integers
@pytest.mark.parametrize("name", ("ABS", "EXP", "LOG"))
def test_int8(name: str) -> None:
    q = everything("int8")
    for x, y in quantizations("int8", "int8", 12, 16):
        check(model(name, "int8", q.shape, x, y), inputs={0: q}, runs=1)
    check(model(name, "int8", q.shape, x, x), inputs={0: q}, runs=1)


@pytest.mark.parametrize("name", ("SQRT", "RSQRT"))
def test_int8_without_negative_numbers(name: str) -> None:
    q = everything("int8")
    for x, y in quantizations("int8", "int8", 12, 17):
        part = q[q >= x["zero_point"]]
        check(model(name, "int8", part.shape, x, y), inputs={0: part}, runs=1)


@pytest.mark.parametrize("name", ("ABS", "EXP", "LOG", "SQRT", "RSQRT"))
def test_int16(name: str) -> None:
    q = everything("int16") if name in ("EXP", "LOG") else everything("int16")[1 if name == "ABS" else 32768 :]
    for x, y in quantizations("int16", "int16", 4, 18, 1e-4):
        check(model(name, "int16", q.shape, x, y), inputs={0: q}, runs=1)


@pytest.mark.parametrize("type", ("int8", "int16", "int32", "int64"))
def test_neg_and_abs_of_plain_integers(type: str) -> None:
    info = np.iinfo(type)
    q = np.array([0, 1, -1, 77, -77, info.max, info.min + 1, info.min], type)
    check(model("NEG", type, q.shape), inputs={0: q}, runs=1)
    if type in ("int16", "int32"):
        check(model("ABS", type, q.shape), inputs={0: q}, runs=1)


# ------------------------------------------------------------------------------------------------------------- real models
@pytest.mark.parametrize("name", (*FLOATS, *WITHOUT_REFERENCE))
def test_real_operators(name: str) -> None:
    for path, i, whole in operators(name, 6):
        part = cut(whole, i)
        tensors = part.subgraphs[0].tensors
        numerics = ["reference", "default", "builtin"]
        if name in WITHOUT_REFERENCE:
            numerics.remove("reference")
        elif all(t.type.name == "FLOAT32" for t in tensors):
            numerics.remove("builtin")
        values = {}
        if name in ("SQRT", "RSQRT") and tensors[0].type.name.startswith("INT"):
            values = {0: np.full(tensors[0].shape, 100, tensors[0].type.numpy)}
        try:
            check(part, numerics, inputs=values, runs=1)
        except AssertionError as error:
            raise AssertionError(f"{path.name}, operator {i}: {error}") from error


# ----------------------------------------------------------------------------------------------------------------- refusals
@pytest.mark.parametrize("type", ("int8", "int16"))
@pytest.mark.parametrize("name", ("SQRT", "RSQRT"))
def test_negative_numbers_are_refused(name: str, type: str) -> None:
    zero = {"int8": 5, "int16": 0}[type]
    made = model(name, type, (3,), {"scale": 0.1, "zero_point": zero}, {"scale": 0.1, "zero_point": 0})
    with pytest.raises(ValueDependentError, match=rf"{name} \(operator 0, tensor 'y'\): not defined .* element 1 "):
        ours(made, np.array([zero, zero - 1, 9], type))


def test_refusals() -> None:
    fine, other = {"scale": 0.1, "zero_point": 0}, {"scale": 0.2, "zero_point": 3}
    with pytest.raises(ShapeError, match="input->type"):
        ours(one_op("ABS", [tensor("x", "int8", (4,), **fine)], [tensor("y", "uint8", (4,), **fine)]), 0)
    for name in ("ABS", "SQRT", "RSQRT", "EXP", "LOG"):
        with pytest.raises(QuantError, match="'y' needs"):
            ours(model(name, "int8", (4,), fine, {}), 0)
        with pytest.raises(QuantError, match=r"scale 0\.0"):
            ours(model(name, "int8", (4,), fine, {"scale": 0.0, "zero_point": 0}), 0)
        with pytest.raises(QuantError, match="zero points of 0"):
            ours(model(name, "int16", (4,), fine, other), 0)
        with pytest.raises(UnsupportedOpError, match="no kernel takes inputs of type UINT8"):
            ours(model(name, "uint8", (4,), fine, fine), 0)
    with pytest.raises(UnsupportedOpError, match="FLOAT16"):
        ours(model("SIN", "float16", (4,)), 0)
