"""ADD, SUB: by hand, and against the official interpreter over shapes, scales, zero points and activations."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.harness import NUMERICS, check, cut, operators, ours
from tests.kernels.operands import ACTIVATIONS, SHAPES, binary, operands, quantization, scales
from tinyinterp.errors import QuantError, ShapeError, TinyInterpError, UnsupportedOpError
from tinyinterp.schema import Activation, options

NAMES = ("ADD", "SUB")
OPTIONS: dict[str, Any] = {"ADD": options.AddOptions, "SUB": options.SubOptions}


# ------------------------------------------------------------------------------------------------------------- by hand
@pytest.mark.parametrize("numerics", NUMERICS)
def test_by_hand(numerics: str) -> None:
    a, b = [[1, 2, -3], [4, 5, 6]], [10, 20, -30]
    for type in ("float32", "int32", "int64", "int16"):
        assert ours(binary("ADD", type, (2, 3), (3,)), a, b, numerics=numerics)[0].tolist() == [[11, 22, -33], [14, 25, -24]]
    relu6 = options.SubOptions(Activation.RELU6)
    for type in ("float32", "int32", "int64"):
        assert ours(binary("SUB", type, (2, 3), (3,), relu6), a, b, numerics=numerics)[0].tolist() == [[0, 0, 6], [0, 0, 6]]


@pytest.mark.parametrize("numerics", NUMERICS)
def test_by_hand_on_8_bits(numerics: str) -> None:
    q = scales((0.5, 0), (0.25, 10), (1, -5))
    a, b = [2, 3, 100, 127], [14, 10, 12, 127]  # 1 + 1, 1.5 + 0, 50 + 0.5, 63.5 + 29.25
    assert ours(binary("ADD", "int8", (4,), (4,), **q), a, b, numerics=numerics)[0].tolist() == [-3, -3, 46, 88]
    assert ours(binary("SUB", "int8", (4,), (4,), **q), a, b, numerics=numerics)[0][[0, 2, 3]].tolist() == [-5, 45, 29]


def test_integers_wrap() -> None:
    for type, top in (("int32", 2**31 - 1), ("int64", 2**63 - 1), ("int16", 2**15 - 1)):
        assert ours(binary("ADD", type, (1,), (1,)), [top], [1])[0].tolist() == [-top - 1]
    assert ours(binary("SUB", "int32", (1,), (1,)), [-(2**31)], [1])[0].tolist() == [2**31 - 1]


def test_infinity_is_finite_for_the_builtins() -> None:
    """Without an activation they clamp to the finite numbers, the delegate does not clamp."""
    model = binary("ADD", "float32", (2,), ())
    assert ours(model, [np.inf, -np.inf], 1.0)[0].tolist() == [np.finfo(np.float32).max, np.finfo(np.float32).min]
    assert ours(model, [np.inf, -np.inf], 1.0, numerics="default")[0].tolist() == [np.inf, -np.inf]


# ------------------------------------------------------------------------------------------------ the official interpreter
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("type", ["float32", "int32", "int64"])
def test_plain(name: str, type: str) -> None:
    rng = np.random.default_rng(1)
    for i, (a, b) in enumerate(SHAPES):
        numerics = ("reference", "default") if type == "float32" else NUMERICS
        check(binary(name, type, a, b, OPTIONS[name](ACTIVATIONS[i % 4])), numerics, inputs=operands(type, a, b, rng), runs=1)


def test_plain_int16() -> None:
    rng = np.random.default_rng(2)
    for a, b in SHAPES[:6]:
        check(binary("ADD", "int16", a, b), inputs=operands("int16", a, b, rng), runs=1)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("type", ["int8", "uint8", "int16"])
def test_quantized(name: str, type: str) -> None:
    """Ordinary scales: the delegate takes the 8-bit ones."""
    rng = np.random.default_rng(3)
    for i, (a, b) in enumerate(SHAPES * 2):
        qa, qb, qy = (quantization(type, rng, 1e-3, 1.0) for _ in range(3))
        qy["scale"] = (qa["scale"] + qb["scale"]) * float(rng.uniform(0.1, 2))
        model = binary(name, type, a, b, OPTIONS[name](ACTIVATIONS[i % 4], False), of_a=qa, of_b=qb, of_y=qy)
        check(model, inputs=operands(type, a, b, rng), runs=1)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("type", ["int8", "uint8", "int16"])
def test_scales_far_apart(name: str, type: str) -> None:
    """The delegate refuses: sums of more than 16 bits, operands that vanish. The official interpreter ends the process
    where the sum's factor is not below 1; here that is an error."""
    rng = np.random.default_rng(4)
    compared = 0
    for a, b in SHAPES * 3:
        qa, qb, qy = (quantization(type, rng, 1e-4, 1e4) for _ in range(3))
        model = binary(name, type, a, b, OPTIONS[name](Activation.NONE, False), of_a=qa, of_b=qb, of_y=qy)
        fed = operands(type, a, b, rng)
        factor = 2 * max(qa["scale"], qb["scale"]) / (2 ** (15 if type == "int16" else 20) * qy["scale"])
        if factor >= 0.999 and (name == "ADD" or type == "int16"):
            with pytest.raises(QuantError, match="it must lie between 0 and 1"):
                ours(model, *fed.values(), numerics="builtin")
            continue
        check(model, inputs=fed, runs=1)
        compared += 1
    assert compared > 30


@pytest.mark.parametrize("type", ["int8", "uint8", "int16"])
def test_cancelling_operands(type: str) -> None:
    """Sums near zero on a fine output scale show every bit of the operands' rounding, in vectors and in what is left."""
    rng = np.random.default_rng(5)
    info = np.iinfo(type)
    zero = 0 if type == "int16" else info.min + 128
    for k in range(24):
        small = float(rng.uniform(0.3, 1)) if k % 2 else float(2.0 ** -rng.integers(3, 19) * rng.uniform(0.5, 1))
        of_a, of_b = (({"scale": s, "zero_point": zero}) for s in ((small, 1.0) if k % 3 == 0 else (1.0, small)))
        of_y = {"scale": 2.0 ** -float(rng.integers(9, 12 if type == "int16" else 18)), "zero_point": zero}
        for a, b in (((8, 53), (8, 53)), ((8, 53), (8, 1)), ((53,), (8, 53))):
            fed = operands(type, a, b, rng)
            if k % 3 and len(a) == 2:
                near = zero - (np.broadcast_to(fed[1], (8, 53)).astype(np.float64) - zero) * small
                fed[0] = np.clip(np.rint(near), info.min, info.max).astype(type)
            check(binary("ADD", type, a, b, options.AddOptions(Activation.NONE, False), of_a=of_a, of_b=of_b, of_y=of_y),
                  ("reference", "builtin"), inputs=fed, runs=1)


@pytest.mark.parametrize("name", NAMES)
def test_powers_of_two(name: str) -> None:
    """int16 with scales 2**n: one operand is shifted, the other is on the output's scale."""
    rng = np.random.default_rng(6)
    for shift_a, shift_b in ((0, 0), (3, 0), (0, 1), (9, 0), (0, 15)):
        for a, b in (((3, 50), (3, 50)), ((2, 3, 37), (37,))):
            if name == "ADD" and a != b:
                continue  # the official interpreter ends the process
            of = [{"scale": 2.0 ** (-10 - n), "zero_point": 0} for n in (shift_a, shift_b, 0)]
            for activation in ACTIVATIONS[:2]:
                check(binary(name, "int16", a, b, OPTIONS[name](activation, True), of_a=of[0], of_b=of[1], of_y=of[2]),
                      inputs=operands("int16", a, b, rng), runs=1)


@pytest.mark.parametrize("threads", [1, 2])
def test_threads(threads: int) -> None:
    q = scales((0.02, 3), (0.05, -3), (1e-5, 0))
    for a, b in (((70, 1003), (70, 1003)), ((70, 1003), (1003,)), ((70, 1), (70, 1003))):
        check(binary("ADD", "int8", a, b, **q), threads=threads, runs=1)
        check(binary("SUB", "float32", a, b), ("reference", "default"), threads=threads, runs=1)


@pytest.mark.parametrize("name", NAMES)
def test_real_operators(name: str) -> None:
    compared = 0
    for _, index, model in operators(name, 60):
        part = cut(model, index)
        try:
            ours(part)
        except TinyInterpError:  # strings, tensors without one scale, an output of another type
            continue
        floats = part.subgraphs[0].tensors[part.subgraphs[0].operators[0].inputs[0]].type.name == "FLOAT32"
        check(part, ("reference", "default") if floats else NUMERICS, runs=1)
        compared += 1
    if not compared:
        pytest.skip("TINYINTERP_MODELS is not set")


# ------------------------------------------------------------------------------------------------------------ refusals
def test_refusals() -> None:
    with pytest.raises(UnsupportedOpError, match="no kernel takes inputs of type BOOL, BOOL"):
        ours(binary("ADD", "bool", (2,), (2,)))
    with pytest.raises(UnsupportedOpError, match="INT16"):
        ours(binary("SUB", "int16", (2,), (2,)))
    with pytest.raises(ShapeError, match="fused activation"):
        ours(binary("ADD", "float32", (2,), (2,), options.AddOptions(Activation.TANH)))
    with pytest.raises(QuantError, match="needs one scale, has 0"):
        ours(binary("ADD", "int8", (2,), (2,)))
    for name in ("ADD", "SUB", "MUL", "DIV", "PRELU"):
        with pytest.raises(QuantError, match="needs a scale above 0, has 0"):
            ours(binary(name, "int8", (2,), (2,), **scales((1, 0), (1, 0), (0, 0))))
    for name in ("ADD", "SUB", "SQUARED_DIFFERENCE"):
        with pytest.raises(QuantError, match="0 / 0, it must lie between 0 and 1"):
            ours(binary(name, "int8", (2,), (2,), **scales((0, 0), (0, 0), (1, 0))))
    of = {"scale": 0.5, "zero_point": 4}
    with pytest.raises(QuantError, match="int16 operands need zero point 0"):
        ours(binary("ADD", "int16", (2,), (2,), of_a=of, of_b=of, of_y=of))
    of = {"scale": 0.5, "zero_point": 0}
    with pytest.raises(UnsupportedOpError, match="INT16"):  # shifted, with a broadcast
        ours(binary("ADD", "int16", (2, 2), (2,), of_a=of, of_b=of, of_y=of))
    with pytest.raises(QuantError, match="one of them must equal it"):
        ours(binary("SUB", "int16", (2,), (2,), of_a=of, of_b=of, of_y={"scale": 1.0, "zero_point": 0}))
