"""Kernels of whole vectors: equal to their definitions on every remainder, with each instruction set, in any shares."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from tests.harness import NUMERICS, every_kernel
from tests.kernels.operands import ACTIVATIONS, binary, operand, quantization
from tests.kernels.values import everything, floats, quantizations
from tinyinterp.kernels.jit import DISABLED
from tinyinterp.kernels.micro import cpu, lookup
from tinyinterp.kernels.softmax import MIDDLE, SHORT
from tinyinterp.schema import Model, options
from tinyinterp.schema.build import one_op, tensor

LEAST = 1 if DISABLED else 2  # kernels for a call
Shape = tuple[int, ...]
# Around one vector of 4, 8 and 16 lanes and four of them, rows that one operand repeats, columns, numbers, rows in rows.
SHAPES: list[tuple[Shape, Shape]] = [((n,), (n,)) for n in (1, 3, 15, 16, 17, 63, 65, 79, 200)] + [
    ((5, n), (n,)) for n in (3, 21, 64)] + [((97,), ()), ((), (33,)), ((4, 21), (4, 1)), ((4, 1), (4, 70)),
                                                  ((3, 1, 40), (2, 40)), ((2, 3, 1, 21), (2, 1, 4, 21))]


@pytest.fixture(params=("amx", "avx512", "avx2", "portable"))
def level(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Each instruction set that the processor has."""
    monkeypatch.setenv("TINYINTERP_ISA", request.param)
    cpu.level.cache_clear()
    if request.param != "amx" and cpu.level() != request.param:
        pytest.skip(f"this processor has no {request.param}")
    yield cpu.level()  # the best one in place of AMX
    monkeypatch.undo()
    cpu.level.cache_clear()


def needed(level: str, *elsewhere: bool) -> None:
    """Skip what another case compiles too: "avx512" writes the best one's code, and the lower ones differ in lanes alone."""
    if level == "avx512" or (level in ("avx2", "portable") and not all(elsewhere)):
        pytest.skip("the same code as another case")


def of(name: str, i: int) -> Any:
    """The options of a binary operator."""
    made = {"ADD": options.AddOptions, "SUB": options.SubOptions, "MUL": options.MulOptions, "DIV": options.DivOptions}.get(name)
    return made(ACTIVATIONS[i % 4]) if made else None


@pytest.mark.parametrize("name", ["ADD", "SUB", "MUL", "DIV", "MAXIMUM", "MINIMUM", "SQUARED_DIFFERENCE"])
def test_binary_floats(name: str, level: str) -> None:
    needed(level, name in ("ADD", "MAXIMUM"))
    rng = np.random.default_rng(1)
    for i, (a, b) in enumerate(SHAPES):
        values = operand("float32", a, rng), operand("float32", b, rng)
        for mode in NUMERICS[:2]:
            found = every_kernel(binary(name, "float32", a, b, of(name, i)), mode, *values, threads=1 + i % 2)
            assert found >= (1 if mode == "reference" and name[0] == "M" and name[1] != "U" else LEAST)


def test_a_stored_operand_written_out() -> None:
    """A short last axis is repeated in advance, where the rows are a multiple of the times."""
    rng = np.random.default_rng(2)
    for shape in ((30, 3), (7, 5), (1024, 2), (2, 6, 10, 1)):
        b = operand("float32", shape[-1:], rng)
        model = binary("SUB", "float32", shape, shape[-1:], stored=b)
        assert every_kernel(model, "default", operand("float32", shape, rng)) >= LEAST


@pytest.mark.parametrize(("name", "type"), [("SUB", "float32"), ("MUL", "int8")])
def test_a_short_operand_written_out(name: str, type: str) -> None:
    """Computed, as the scales of channels are, first or second; where the rows are a multiple of the times and where not."""
    rng = np.random.default_rng(7)
    for i, (rows, short) in enumerate((((96, 5), (5,)), ((8, 40, 3), (1, 1, 3)), ((97, 5), (5,)), ((2, 96, 5), (2, 1, 5)),
                                     ((1, 24, 6), (7, 1, 6)), ((3, 2, 32, 2), (3, 1, 1, 2)), ((3, 1, 32, 2), (3, 4, 1, 2)))):
        for a, b in ((rows, short), (short, rows)):
            of_all = {} if type == "float32" else {f"of_{k}": {"scale": 0.1, "zero_point": i} for k in "aby"}
            model = binary(name, type, a, b, **of_all)
            values = operand(type, a, rng), operand(type, b, rng)
            assert every_kernel(model, "default", *values, threads=1 + i % 2) >= LEAST


@pytest.mark.parametrize("type", ["int8", "uint8"])
@pytest.mark.parametrize("name", ["ADD", "SUB", "MUL"])
def test_binary_8_bits(name: str, type: str, level: str) -> None:
    """Ordinary scales, and scales far apart, which the delegate leaves to the builtin."""
    needed(level, (level, type) in (("avx2", "int8"), ("portable", "uint8")), name != "SUB")
    rng = np.random.default_rng(3)
    for i, (a, b) in enumerate(SHAPES):
        least = 1e-7 if i % 3 == 2 else 1e-3
        qa, qb, qy = (quantization(type, rng, least, 1.0) for _ in range(3))
        if name != "MUL":
            qy["scale"] = (qa["scale"] + qb["scale"]) * float(rng.uniform(0.1, 2))
        else:
            qy["scale"] = max(qy["scale"], qa["scale"] * qb["scale"] * 1.01)
        model = binary(name, type, a, b, of(name, i), of_a=qa, of_b=qb, of_y=qy)
        assert every_kernel(model, NUMERICS[i % 3], operand(type, a, rng), operand(type, b, rng), threads=1 + i % 2) >= LEAST


@pytest.mark.parametrize("type", ["int8", "uint8"])
def test_every_pair_of_bytes(type: str) -> None:
    """All 65536 sums and products."""
    q = everything(type)
    a, b = np.repeat(q, 256), np.tile(q, 256)
    rng = np.random.default_rng(4)
    for i in range(6):
        qa, qb, qy = (quantization(type, rng, 1e-2, 1.0) for _ in range(3))
        for name in ("ADD", "SUB", "MUL"):
            qy["scale"] = qa["scale"] * qb["scale"] * 3.7 if name == "MUL" else max(qa["scale"], qb["scale"]) * (0.2, 1.7)[i % 2]
            model = binary(name, type, a.shape, b.shape, of(name, i), of_a=qa, of_b=qb, of_y=qy)
            for mode in NUMERICS:
                assert every_kernel(model, mode, a, b) >= LEAST


def test_prelu(level: str) -> None:
    needed(level)
    rng = np.random.default_rng(5)
    for i, (a, b) in enumerate(s for s in SHAPES if len(s[0]) >= len(s[1]) and np.broadcast_shapes(*s) == s[0]):
        x, alpha = operand("float32", a, rng), operand("float32", b, rng)
        for mode in NUMERICS[:2]:  # without AVX-512 the delegate has a definition of its own
            least = LEAST if mode == "reference" or cpu.isa() == "avx512" else 1
            assert every_kernel(binary("PRELU", "float32", a, b, stored=alpha), mode, x) >= least
        for type in ("int8", "uint8"):
            qs = {f"of_{n}": quantization(type, rng, 1e-3, 1.0) for n in "aby"}
            assert every_kernel(binary("PRELU", type, a, b, **qs), NUMERICS[i % 3], operand(type, a, rng), operand(type, b, rng),
                                threads=1 + i % 2) >= LEAST


def unary(name: str, x: tuple[str, dict[str, Any]], y: tuple[str, dict[str, Any]], size: int, settings: Any = None) -> Model:
    return one_op(name, [tensor("x", x[0], (size,), **x[1])], [tensor("y", y[0], (size,), **y[1])], settings)


@pytest.mark.parametrize("type", ["int8", "uint8"])
def test_quantize(type: str, level: str) -> None:
    for k, (q, _) in enumerate(quantizations(type, type, 5, 6, 1e-3, 1e3)):
        for size in (1, 7, 8, 15, 17, 63, 65, 3001):
            x, steps = floats(4000, k)[:size], np.resize(everything(type), size)
            ties = (np.arange(size, dtype=np.float32) - 40.5) * np.float32(q["scale"])
            there = unary("QUANTIZE", ("float32", {}), (type, q), size)
            back = unary("DEQUANTIZE", (type, q), ("float32", {}), size)
            for mode in NUMERICS:
                for model, values in ((there, x), (there, ties), (back, steps)):
                    assert every_kernel(model, mode, values, threads=1 + k % 2) >= LEAST


@pytest.mark.parametrize("type", ["int8", "uint8"])
def test_tables(type: str, level: str) -> None:
    for k, (x, y) in enumerate(quantizations(type, type, 3, 7)):
        for size in (1, 31, 32, 33, 63, 64, 65, 255, 256, 257, 700):
            for name in ("TANH", "LEAKY_RELU", "QUANTIZE", "RELU6"):
                settings = options.LeakyReluOptions(alpha=0.3) if name == "LEAKY_RELU" else None
                model, values = unary(name, (type, x), (type, y), size, settings), np.resize(everything(type)[::-1], size)
                for mode in NUMERICS[:2]:
                    every_kernel(model, mode, values, threads=1 + k % 2)


def test_the_ladder_of_registers() -> None:
    """Each row of 16 is made of turns of which it is the last to be settled: 0 up to itself, or the eight before it."""
    assert [lookup.taken(row)[-1] for row in range(16)] == list(range(16))
    assert lookup.taken(3) == [0, 1, 2, 3] and lookup.taken(12) == [5, 6, 7, 8, 9, 10, 11, 12]


def test_softmax(level: str) -> None:
    rng = np.random.default_rng(8)
    for depth in (*range(1, 36, 2), 8, 16, 32, 47, 63, 64, 65, 80, 97, 128, 129, 200, 1001):
        rows = 1 + depth % 3
        x = np.where(rng.random((rows, depth)) < 0.05, floats(rows * depth + 200, 9)[: rows * depth].reshape(rows, depth),
                     rng.normal(0, 20, (rows, depth))).astype(np.float32)
        for values in (x, rng.normal(0, 3, x.shape).astype(np.float32)):
            model = one_op("SOFTMAX", [tensor("x", "float32", x.shape)], [tensor("y", "float32", x.shape)],
                           options.SoftmaxOptions(1.0))
            assert every_kernel(model, "default", values, threads=1 + depth % 2) >= LEAST


@pytest.mark.parametrize("type", ["int8", "uint8"])
def test_softmax_8_bits(type: str, level: str) -> None:
    """Four rows together, single ones, short ones side by side, pairs; vectors of bytes of all sizes."""
    info = np.iinfo(type)
    for depth in (1, 2, 3, 4, 5, 7, 8, 15, 16, 31, 32, 33, 63, 64, 65, 100, 130, 300, 700):
        q = {"scale": (0.003, 0.05, 0.5, 5.0)[depth % 4], "zero_point": int(info.min) + depth % 200}
        y = {"scale": 1 / 256, "zero_point": -128 if type == "int8" else 0}
        for rows in (1, 4, 7, 16, 145) if depth <= MIDDLE else (1, 4, 7):
            vectors = depth >= SHORT or (rows > 128 and depth not in (1, 3))
            values = operand(type, (rows, depth), np.random.default_rng(depth))
            model = one_op("SOFTMAX", [tensor("x", type, values.shape, **q)], [tensor("y", type, values.shape, **y)],
                           options.SoftmaxOptions((1.0, 0.4)[depth % 2]))
            for x in (values, np.full_like(values, info.min), np.full_like(values, info.max)):
                found = every_kernel(model, "default", x, threads=1 + depth % 2)
                assert found >= (LEAST if level != "portable" and vectors else 1)
                assert every_kernel(model, "reference", x, threads=1 + depth % 2) >= 1 + (x.size > 256)


@pytest.mark.parametrize("type", ["int8", "uint8"])
def test_softmax_of_every_pair(type: str, level: str) -> None:
    """All 65536 rows of two; steps so large or small that answers reach the ends."""
    needed(level)
    q = everything(type)
    x = np.stack((np.repeat(q, 256), np.tile(q, 256)), axis=1)
    for scale, beta in ((0.02, 1.0), (3.0, 1.0), (1e-6, 1.0), (0.1, -1.0), (0.1, -40.0)):
        model = one_op("SOFTMAX", [tensor("x", type, x.shape, scale=scale)],
                       [tensor("y", type, x.shape, scale=1 / 256, zero_point=-128 if type == "int8" else 0)],
                       options.SoftmaxOptions(beta))
        assert every_kernel(model, "default", x) >= (LEAST if level != "portable" else 1)
        assert beta < 0 or scale < 1e-5 or every_kernel(model, "reference", x) >= LEAST


@pytest.mark.parametrize("name", ["EXP", "LOGISTIC", "TANH"])
def test_unary_floats(name: str, level: str) -> None:
    for k, size in enumerate((1, 5, 15, 16, 17, 63, 64, 65, 100, 20_001)):
        x = floats(20_001, k)[-size:] if size < 20_001 else floats(size, k)
        assert every_kernel(unary(name, ("float32", {}), ("float32", {}), size), "default", x, threads=1 + k % 2) >= LEAST


@pytest.mark.parametrize("name", ["RELU", "RELU6", "LEAKY_RELU"])
def test_float_relus(name: str, level: str) -> None:
    needed(level, name == "RELU6")
    for k, size in enumerate((1, 5, 16, 17, 63, 64, 65, 100, 5_001)):
        x = np.where(np.arange(size) % 7 == 3, np.float32(-0.0), floats(5_001, k)[-size:] if size < 5_001 else floats(size, k))
        settings = options.LeakyReluOptions(alpha=(0.3, -2.0)[k % 2]) if name == "LEAKY_RELU" else None
        model = unary(name, ("float32", {}), ("float32", {}), size, settings)
        assert every_kernel(model, "reference", x.astype(np.float32), threads=1 + k % 2) >= LEAST
