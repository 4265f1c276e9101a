"""CAST: by hand, and against the official interpreter."""

from __future__ import annotations

import numpy as np
import pytest

from tests.harness import NUMERICS, check, cut, every_kernel, operators, ours
from tinyinterp.errors import UnsupportedOpError
from tinyinterp.kernels.cast import CAST, half, to_half
from tinyinterp.schema import Model, options
from tinyinterp.schema.build import one_op, tensor

TYPES = CAST.types
with np.errstate(over="ignore"):
    FLOATS = np.array([
        0, -0.0, 0.4, -0.4, 0.99, -0.99, 1.5, -1.5, 2.5, 126.9, 127, 127.9, 128.1, -128, -128.9, -129.5, 255, 255.9, 256, 300,
        -300, 32767, 32767.9, 32768.5, -32768, -32769, 65503, 65504, 65519, 65520, 65535, 65535.9, 65536.5, 1e5, -1e5, 16777217,
        2147483520, 2147483647, 2147483648, -2147483648, -2147483904, 3e9, 4294967040, 4294967295, 4294967296, 5e9, -5e9,
        9.2233715e18, 9.223372036854775e18, 9.223372036854776e18, -9.223372036854776e18, 1e19, -1e19, 1.8446744e19, 1e30, -1e30,
        1e300, -1e300, np.inf, -np.inf, np.nan, 1e-40, 6e-8, 2.98e-8, 2.9802322387695312e-08, 8.9e-8, 6.1e-5])  # fmt: skip


def values(type: str) -> np.ndarray:
    """Numbers at the ends of every type."""
    with np.errstate(over="ignore"):
        if type == "complex64":
            return np.stack([FLOATS, FLOATS[::-1]], axis=1).astype(np.float32).reshape(-1).view(type)
        if type.startswith("float"):
            return FLOATS.astype(type)
    if type == "bool":
        return np.array([False, True, True, False])
    info = np.iinfo(type)
    spread = np.linspace(int(info.min) / 2, int(info.max) / 2, 40).astype(type)
    wide = [v for v in (16777217, 2**53 + 1) if v < info.max]  # not numbers of float32, float64
    ends = [info.min, info.min + 1, 0, 1, 2, 100, 127, info.max - 1, info.max, *wide]
    return np.concatenate([np.array(ends, type), spread])


def model(x: str, y: str, shape: tuple[int, ...]) -> Model:
    return one_op("CAST", [tensor("x", x, shape)], [tensor("y", y, shape)], options.CastOptions())


@pytest.mark.parametrize("numerics", NUMERICS)
def test_by_hand(numerics: str) -> None:
    x = np.array([-1.9, 0.5, 300, np.nan], np.float32)
    expected = {"int8": [-1, 0, 127, 127], "uint8": [0, 0, 255, 255], "int32": [-1, 0, 300, 2**31 - 1], "bool": [1, 1, 1, 1],
                "int64": [-1, 0, 300, 2**63 - 1]}
    for type, y in expected.items():
        assert ours(model("float32", type, (4,)), x, numerics=numerics)[0].tolist() == y
    assert ours(model("int32", "int8", (3,)), [300, -129, 5], numerics=numerics)[0].tolist() == [44, 127, 5]
    assert ours(model("bool", "float32", (2,)), [False, True], numerics=numerics)[0].tolist() == [0, 1]
    assert ours(model("complex64", "float32", (1,)), [2 + 3j], numerics=numerics)[0].tolist() == [2]


@pytest.mark.parametrize("x", TYPES)
def test_types(x: str) -> None:
    """All pairs with float32 and a third of the others: what reads a type and what writes one are written once each.
    There is one kernel for all three numerics."""
    for k, y in enumerate(TYPES):
        if "float32" in (x, y) or (TYPES.index(x) + k) % 3 == 0:
            check(model(x, y, values(x).shape), (NUMERICS[k % 3],), inputs={0: values(x)}, runs=1)


def test_every_half() -> None:
    halves = np.arange(65536, dtype=np.uint16)
    exact = halves.view(np.float16).astype(np.float32)
    np.testing.assert_array_equal(ours(model("float16", "float32", (65536,)), halves.view(np.float16))[0], exact)
    with np.errstate(all="ignore"):
        x = np.concatenate([exact, (exact[:-1] + exact[1:]) / 2, np.nextafter((exact[:-1] + exact[1:]) / 2, np.float32(0))])
        expected = x.astype(np.float16)
    y = ours(model("float32", "float16", x.shape), x)[0]
    np.testing.assert_array_equal(np.where(np.isnan(x), 0, y).view(np.uint16), np.where(np.isnan(x), 0, expected).view(np.uint16))
    check(model("float32", "float16", x.shape), ("default",), inputs={0: x}, runs=1)


def test_half_by_hand() -> None:
    for b, v in ((0x3C00, 1.0), (0xC000, -2.0), (0x7BFF, 65504.0), (1, 2.0**-24), (0x8400, -(2.0**-14)), (0xFC00, -np.inf)):
        assert float(half(np.array([b], np.uint16), 0)) == v
        y = np.zeros(1, np.uint16)
        to_half(y, 0, np.float32(v))
        assert y[0] == b


def test_two_threads_and_shapes() -> None:
    check(model("float32", "int8", (300, 200)), threads=2, runs=1)
    for shape in ((), (0, 3), (2, 1, 3)):
        check(model("int32", "float32", shape), runs=1)


def test_real_operators() -> None:
    for _, i, whole in operators("CAST", 12):
        check(cut(whole, i), runs=1)


def test_refusals() -> None:
    for x, y in (("uint64", "float32"), ("float32", "uint64"), ("complex128", "float32"), ("bfloat16", "float32"),
                 ("float32", "int4")):
        with pytest.raises(UnsupportedOpError, match=r"CAST \(operator 0, tensor 'y'\)"):
            ours(model(x, y, (3,)))


@pytest.mark.parametrize("pair", ["float32*bool", "bool*float32", "int32*int8", "uint8*int8", "int64*int16", "int8*uint32",
                                  "uint16*float32"])
def test_every_kernel(pair: str) -> None:
    x, y = pair.split("*")
    for n in (1, 63, 200):
        value = np.resize(values(x), n)
        assert every_kernel(model(x, y, (n,)), "reference", value) > 1
