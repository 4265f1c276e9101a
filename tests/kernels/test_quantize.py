"""QUANTIZE and DEQUANTIZE: by hand, and against the official interpreter."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.harness import NUMERICS, check, cut, every_kernel, operators, ours, same
from tests.kernels.values import everything, floats, quantizations
from tinyinterp.errors import QuantError, ShapeError, UnsupportedOpError
from tinyinterp.graph import link
from tinyinterp.lower import lower
from tinyinterp.schema import Model, options
from tinyinterp.schema.build import model_of, one_op, operator, tensor

FLOAT_TO = ("int8", "uint8", "int16")
PAIRS = [(x, y) for x in ("int8", "uint8") for y in ("int8", "uint8", "int16")]
PAIRS += [("int16", "int8"), ("int16", "int16"), ("int16", "int32"), ("int32", "int8"), ("int32", "int16")]
HALVES = np.arange(2**16).astype(np.uint16).view(np.float16)


def quantize(x: str, y: str, shape: tuple[int, ...], x_more: dict[str, Any] | None = None, **y_more: Any) -> Model:
    return one_op("QUANTIZE", [tensor("x", x, shape, **(x_more or {}))], [tensor("y", y, shape, **y_more)])


def dequantize(x: str, shape: tuple[int, ...], **more: Any) -> Model:
    return one_op("DEQUANTIZE", [tensor("x", x, shape, **more)], [tensor("y", "float32", shape)])


# --------------------------------------------------------------------------------------------------------------- by hand
def test_by_hand() -> None:
    x = np.array([-1000, -0.75, -0.25, 0, 0.25, 0.75, 1000], np.float32)  # in steps of 0.5: ties
    made = quantize("float32", "int8", x.shape, scale=0.5, zero_point=3)
    assert ours(made, x)[0].tolist() == [-128, 1, 2, 3, 4, 5, 127]  # away from zero
    assert ours(made, x, numerics="default")[0].tolist() == [-128, 1, 3, 3, 3, 5, 127]  # to even
    q = np.array([-128, 3, 4, 127], np.int8)
    assert ours(dequantize("int8", (4,), scale=0.5, zero_point=3), q)[0].tolist() == [-65.5, 0, 0.5, 62]
    again = quantize("int8", "uint8", (4,), {"scale": 0.5, "zero_point": 3}, scale=0.25, zero_point=100)
    assert ours(again, q)[0].tolist() == [0, 100, 102, 255]
    assert ours(dequantize("float16", (3,)), np.array([1, -2.5, 2**-24], np.float16))[0].tolist() == [1, -2.5, 2.0**-24]


# ---------------------------------------------------------------------------------------------------------------- QUANTIZE
@pytest.mark.parametrize("y", FLOAT_TO)
def test_quantize_floats(y: str) -> None:
    """Ordinary numbers, ties, and everything that overflows; lengths with and without a tail."""
    x = floats(4003, 21)
    x[2000:3000] = np.arange(-500, 500) * np.float32(0.125)
    for _, more in quantizations(y, y, 3, 22):
        for n in (1, 7, 8, 9, 4003):
            check(quantize("float32", y, (n,), **more), inputs={0: x[:n]}, runs=1)
    for scale in (0.25, 1e-30, 1e30, 3e-39):  # the official default dies of a denormal scale
        numerics = NUMERICS if scale > 1e-38 else ("reference", "builtin")
        made = quantize("float32", y, x.shape, scale=scale, zero_point=0 if y == "int16" else 100)
        check(made, numerics, inputs={0: x}, runs=1)


def test_quantize_in_two_threads_and_seven_dimensions() -> None:
    x = floats(40_001, 23)
    for y in ("int8", "int16"):
        check(quantize("float32", y, x.shape, scale=0.01, zero_point=0), inputs={0: x}, runs=1, threads=2)
    x = x[:253].reshape(1, 1, 1, 1, 1, 11, 23)
    check(quantize("float32", "uint8", x.shape, scale=0.05, zero_point=7), inputs={0: x}, runs=1)


@pytest.mark.parametrize("y", FLOAT_TO)
def test_quantize_channels(y: str) -> None:
    x = np.random.default_rng(24).normal(0, 2, (3, 4, 5)).astype(np.float32)
    zeros = np.zeros(4, int) if y == "int16" else np.array([0, 3, 50, 100])
    for axis, size in ((0, 3), (1, 4), (2, 5)):
        scales, zs = np.linspace(0.01, 0.05, size), np.resize(zeros, size)
        check(quantize("float32", y, x.shape, scale=scales, zero_point=zs, axis=axis), inputs={0: x}, runs=1)


@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
def test_requantize(pair: tuple[str, str]) -> None:
    """All 8-bit numbers in whole blocks, and a tail; ratios on both sides of what the delegate takes; equal scales."""
    x, y = pair
    rng = np.random.default_rng(25)
    q = rng.integers(-(2**31), 2**31, 999).astype(x) if x == "int32" else rng.permutation(everything(x))[:2000]
    q = np.concatenate([q, q[:11]])
    cases = list(quantizations(x, y, 6, 26))
    cases += [({**a, "scale": s}, {**b, "scale": t}) for (a, b), (s, t) in
              zip(cases, ((0.5, 0.5), (1.0, 128.0), (128.0, 1.0), (128.1, 1.0), (1.0, 256.0), (1.0, 257.0)))]
    if {x, y} == {"int8", "uint8"}:
        zeros = (-128, 0) if x == "int8" else (128, 0)
        cases.append(({"scale": 0.1, "zero_point": zeros[0]}, {"scale": 0.1, "zero_point": zeros[1]}))
    if x == "int32":
        cases.append(({"scale": 1e-6, "zero_point": 2**31 - 1}, {"scale": 1.0, "zero_point": 0}))
    for a, b in cases:
        check(quantize(x, y, q.shape, a, **b), inputs={0: q}, runs=1)


# -------------------------------------------------------------------------------------------------------------- DEQUANTIZE
@pytest.mark.parametrize("x", ("int8", "uint8", "int16"))
def test_dequantize(x: str) -> None:
    q = np.concatenate([everything(x), everything(x)[:5]])
    for more, _ in quantizations(x, x, 4, 27, 1e-4):
        check(dequantize(x, q.shape, **more), inputs={0: q}, runs=1)
    check(dequantize(x, (1, 1, 1, 1, 1, 2, 11), **more), inputs={0: q[:22].reshape(1, 1, 1, 1, 1, 2, 11)}, runs=1)


@pytest.mark.parametrize("x", ("int8", "uint8"))
def test_dequantize_channels(x: str) -> None:
    q = np.random.default_rng(28).permutation(everything(x))[:60].reshape(3, 4, 5)
    for axis, size in ((0, 3), (1, 4), (2, 5)):
        scales, zeros = np.linspace(0.01, 0.05, size), np.arange(size)
        check(dequantize(x, q.shape, scale=scales, zero_point=zeros, axis=axis), inputs={0: q}, runs=1)


@pytest.mark.parametrize("numerics", NUMERICS)
def test_every_half(numerics: str) -> None:
    """Fed at run time: denormals on. The official interpreter and NumPy agree."""
    check(dequantize("float16", HALVES.shape), (numerics,), inputs={0: HALVES}, runs=1)
    assert not same(ours(dequantize("float16", HALVES.shape), HALVES, numerics=numerics)[0], HALVES.astype(np.float32))


@pytest.mark.parametrize("numerics", NUMERICS)
def test_constants_are_folded(numerics: str) -> None:
    """float16 weights: widened once, at lowering, and stored as far as the delegate can tell. Denormals on and off."""
    halves = HALVES[np.isfinite(HALVES)][:: 61]
    w16, w = tensor("w16", "float16", (1, len(halves)), data=halves[None]), tensor("w", "float32", (1, len(halves)))
    x, y = tensor("x", "float32", (2, len(halves))), tensor("y", "float32", (2, 1))
    bias16, bias = tensor("b16", "float16", (1,), data=np.array([3e-7], np.float16)), tensor("b", "float32", (1,))
    made = model_of([operator("DEQUANTIZE", [w16], [w]), operator("DEQUANTIZE", [bias16], [bias]),
                     operator("FULLY_CONNECTED", [x, w, bias], [y], options.FullyConnectedOptions())])
    graph = link(made)
    plan = lower(graph, {t: graph.tensors[t].shape for t in graph.inputs}, numerics)
    assert len(plan.steps) == 1
    weights = plan.steps[0].call.input(1)
    assert weights.fixed and weights.known is not None and not same(weights.known[0], halves.astype(np.float32))
    assert plan.steps[0].call.numerics == {"default": "delegate"}.get(numerics, "reference")
    if numerics != "builtin":
        check(made, (numerics,), runs=1)


def test_only_what_the_delegate_unpacks_counts_as_stored() -> None:
    for type, stored in (("int8", True), ("uint8", False), ("int16", False)):
        x, y = tensor("x", type, data=np.arange(4).astype(type), scale=0.5, zero_point=0), tensor("y", "float32", (4,))
        z = tensor("z", "float32", (4,))
        add = operator("ABS", [y], [z])
        made = model_of([operator("DEQUANTIZE", [x], [y]), add])
        plan = lower(link(made), {}, "default")
        assert not plan.steps and (plan.graph.outputs[0] in plan.values)
        index = next(i for i, t in enumerate(plan.graph.tensors) if t.name == "y")
        assert (index in plan.fixed) == stored and plan.values[index].tolist() == [0, 0.5, 1, 1.5]


# ------------------------------------------------------------------------------------------------------------- real models
@pytest.mark.parametrize("name", ("QUANTIZE", "DEQUANTIZE"))
def test_real_operators(name: str) -> None:
    for path, i, whole in operators(name, 25):
        part = cut(whole, i)
        if not part.subgraphs[0].inputs:  # a constant
            continue
        try:
            check(part, runs=1)
        except AssertionError as error:
            raise AssertionError(f"{path.name}, operator {i}: {error}") from error


# ----------------------------------------------------------------------------------------------------------------- refusals
def test_refusals() -> None:
    fine, other = {"scale": 0.1, "zero_point": 0}, {"scale": 0.2, "zero_point": 3}
    with pytest.raises(QuantError, match=r"QUANTIZE \(operator 0, tensor 'y'\).*no scale"):
        ours(quantize("float32", "int8", (4,)), 0)
    with pytest.raises(QuantError, match="'x' needs"):
        ours(quantize("uint8", "int8", (4,), **fine), 0)
    with pytest.raises(QuantError, match=r"scale 0\.0"):
        ours(quantize("float32", "int8", (4,), scale=0.0, zero_point=0), 0)
    with pytest.raises(QuantError, match="zero points of 0"):
        ours(quantize("int16", "int16", (4,), fine, **other), 0)
    with pytest.raises(QuantError, match="zero point of 0"):
        ours(dequantize("int16", (4,), **other), 0)
    for made, text in ((quantize("float32", "int8", (4,), scale=np.ones(5), zero_point=0), "5 scales along axis 0 of"),
                       (dequantize("int8", (4,), scale=np.ones(4), zero_point=0, axis=1), "4 scales along axis 1 of")):
        with pytest.raises(ShapeError, match=text):  # the reader would have refused them before
            lower(link(made), {0: (4,)})
    with pytest.raises(ShapeError, match="must be FLOAT32"):
        ours(one_op("DEQUANTIZE", [tensor("x", "int8", (4,), **fine)], [tensor("y", "int32", (4,))]), 0)
    for x, y in (("int32", "uint8"), ("int16", "uint8"), ("int8", "int32"), ("int64", "int8")):
        with pytest.raises(UnsupportedOpError, match=f"no kernel takes inputs of type {x.upper()}"):
            ours(quantize(x, y, (4,), fine, **fine), 0)
    with pytest.raises(UnsupportedOpError, match="INT32"):
        ours(dequantize("int32", (4,), **fine), 0)


def test_every_kernel_of_16_bits() -> None:
    """Whole vectors, what is left over, numbers beyond the ends and none at all."""
    rng = np.random.default_rng(20)
    for n in (1, 7, 8, 63, 64, 150, 1000):
        x = np.where(rng.random(n) < 0.1, rng.choice([np.nan, np.inf, -np.inf, 1e9, -1e9, 0.5, -0.5], n), rng.normal(0, 90, n))
        q = rng.integers(-32768, 32768, n)
        for numerics in NUMERICS:
            every_kernel(quantize("float32", "int16", (n,), scale=0.005, zero_point=0), numerics, x.astype(np.float32))
            every_kernel(dequantize("int16", (n,), scale=0.37, zero_point=0), numerics, q.astype(np.int16))
