"""MEAN, SUM, REDUCE_MAX, REDUCE_MIN: by hand, and against the official interpreter."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from tests.harness import NUMERICS, check, compare, cut, every_kernel, operators, ours, random_value
from tinyinterp.errors import QuantError, ShapeError, UnsupportedOpError
from tinyinterp.kernels import axes as walking
from tinyinterp.kernels import extremes, jit, reduce
from tinyinterp.schema import Model, options
from tinyinterp.schema.build import one_op, tensor

SUMS, EXTREMES = ("SUM", "MEAN"), ("REDUCE_MAX", "REDUCE_MIN")
NAMES = (*SUMS, *EXTREMES)
FLOATS = ("reference", "default")  # in builtin numerics floats are the reference's
SPECIAL = np.array([0, -0.0, np.nan, np.inf, -np.inf, 1e-40, -1e-40, 1, -1, 3e38], np.float32)
CASES = [  # shape, axes: every order of kept and reduced dimensions, sizes of 1, negative and repeated axes, none
    ((5,), (0,)), ((5,), (-1,)), ((1, 1), (0,)), ((3, 4), (0,)), ((3, 4), (1,)), ((3, 4), (0, 1)), ((3, 4), (1, -1)),
    ((4, 1, 5), (0, 2)), ((40, 1, 50), (2, 0)), ((3, 1, 5), (1,)), ((7, 5, 1), (1,)), ((2, 9, 10, 8), (1, 2)),
    ((2, 9, 10, 40), (1, 2)), ((2, 9, 10, 8), (0, 3)), ((2, 9, 10, 8), (2,)), ((6, 1, 8, 1, 9), (0, 2)),
    ((2, 3, 4, 5, 6, 7), (1, 3, 5)), ((2, 3, 4, 5, 6, 7), (0, 2, 4)), ((3, 1000), (1,)), ((1000, 3), (0,)), ((3, 33), (1,)),
    ((1, 7, 7, 24), (2, 1)), ((5000,), (0,)), ((64, 50), (0, 1)), ((3, 4), ())]  # fmt: skip


def model(name: str, shape: tuple[int, ...], axes: tuple[int, ...], type: str = "float32", keep: bool = False,
          fed: bool = False, x: dict[str, Any] | None = None, y: dict[str, Any] | None = None) -> Model:
    gone = {a % len(shape) for a in axes} if shape else set()
    out = tuple(1 if i in gone else d for i, d in enumerate(shape) if keep or i not in gone)
    a = tensor("a", "int32", (len(axes),), data=None if fed else np.array(axes, np.int32))
    return one_op(name, [tensor("x", type, shape, **(x or {})), a], [tensor("y", type, out, **(y or x or {}))],
                  options.ReducerOptions(keep))


# --------------------------------------------------------------------------------------------------------------- by hand
@pytest.mark.parametrize("numerics", NUMERICS)
@pytest.mark.parametrize("type", ["float32", "int32", "int64"])
def test_by_hand(numerics: str, type: str) -> None:
    x = [[[1, -2], [3, 4]], [[5, 6], [7, -9]]]
    expected = {"SUM": [6, 9], "MEAN": [1.5, 2.25] if type == "float32" else [1, 2], "REDUCE_MAX": [4, 7], "REDUCE_MIN": [-2, -9]}
    for name, y in expected.items():
        assert ours(model(name, (2, 2, 2), (1, -1), type), x, numerics=numerics)[0].tolist() == y
        assert ours(model(name, (2, 2, 2), (1, -1), type, keep=True), x, numerics=numerics)[0].shape == (2, 1, 1)
    x = [[[-1, -1], [-1, 0]]]
    assert ours(model("MEAN", (1, 2, 2), (1, 2), type), x, numerics=numerics)[0].tolist() == [-0.75 if type == "float32" else 0]


@pytest.mark.parametrize("numerics", NUMERICS)
def test_by_hand_on_8_bits(numerics: str) -> None:
    q = {"scale": 0.5, "zero_point": 10}
    x = [[10, 12, 14], [20, 30, 4]]  # 0, 1, 2 and 5, 10, -3
    assert ours(model("SUM", (2, 3), (1,), "uint8", x=q), x, numerics=numerics)[0].tolist() == [16, 34]
    assert ours(model("MEAN", (2, 3), (1,), "uint8", x=q), x, numerics=numerics)[0].tolist() == [12, 18]
    assert ours(model("MEAN", (2, 3), (1,), "int8", x=q), x, numerics=numerics)[0].tolist() == [12, 18]
    assert ours(model("REDUCE_MIN", (2, 3), (0,), "int8", x=q), x, numerics=numerics)[0].tolist() == [10, 12, 4]
    if numerics != "reference":  # where SUM takes the bytes of int8 for uint8
        assert ours(model("SUM", (2, 3), (1,), "int8", x=q), x, numerics=numerics)[0].tolist() == [16, 34]


def test_loops() -> None:
    table = walking.loops((2, 3, 1, 5), frozenset({1, 3}))
    assert table.tolist() == [[1, 1, 1, 2], [0, 0, 0, 15], [1, 1, 1, 15], [0, 0, 0, 1]]
    table = walking.loops((2, 3, 1, 5), frozenset({1, 3}), drop_ones=False)
    assert table.tolist() == [[1, 1, 2, 1], [0, 0, 15, 5], [1, 1, 3, 5], [0, 0, 5, 1]]


# ------------------------------------------------------------------------------------------------------------------ floats
@pytest.mark.parametrize("name", NAMES)
def test_floats(name: str) -> None:
    for k, (shape, axes) in enumerate(CASES):
        check(model(name, shape, axes, keep=k % 2 == 0), FLOATS, runs=1, seed=k)


@pytest.mark.parametrize("name", NAMES)
def test_floats_at_two_threads(name: str) -> None:
    """BUILTIN_REF's sum of a large tensor depends on the number of threads."""
    for shape, axes in (((5000,), (0,)), ((64, 50), (0, 1)), ((64, 30), (0, 1)), ((300, 70), (0,)), ((300, 70), (1,))):
        check(model(name, shape, axes), FLOATS, runs=1, threads=2)


@pytest.mark.parametrize("name", NAMES)
def test_special_floats(name: str) -> None:
    rng = np.random.default_rng(5)
    for shape, axes in CASES:
        for share in (0.1, 1.0):
            x = np.where(rng.random(shape) < share, rng.choice(SPECIAL, shape), rng.normal(0, 1, shape)).astype(np.float32)
            check(model(name, shape, axes), FLOATS, inputs={0: x}, runs=1)


@pytest.mark.parametrize("name", NAMES)
def test_fed_axes(name: str) -> None:
    """The delegate refuses axes that are fed: the builtin orders, on floats too."""
    rng = np.random.default_rng(6)
    for k, (shape, axes) in enumerate(c for c in CASES if c[1]):
        x = rng.normal(0, 1, shape).astype(np.float32)
        if k % 2:
            x = np.where(rng.random(shape) < 0.1, rng.choice(SPECIAL, shape), x)
        check(model(name, shape, axes, fed=True), FLOATS, inputs={0: x, 1: np.array(axes, np.int32)}, runs=1)


def test_the_orders_without_avx512() -> None:
    """Eight lanes, written with arrays."""
    rng = np.random.default_rng(8)
    for n in (1, 7, 8, 17, 31, 32, 63, 100, 333):
        x = rng.normal(0, 1, (2, n)).astype(np.float32)
        y = np.zeros(2, np.float32)
        table, scale = walking.loops(x.shape, frozenset({1}), False), np.float32(1) / np.float32(n)
        jit.python_call(reduce.ROWS_AVX2, [x.reshape(-1), table, scale, np.zeros(64, np.float32), y], 2)
        for r in range(2):
            lanes = np.zeros((4, 8), np.float32)
            whole, eights = n - n % 32, n - n % 8
            for i in range(0, whole, 32):
                lanes += x[r, i : i + 32].reshape(4, 8)
            lanes[: (eights - whole) // 8] += x[r, whole:eights].reshape(-1, 8)
            total = (lanes[0] + lanes[2]) + (lanes[1] + lanes[3])
            total[: n - eights] += x[r, eights:]
            while total.size > 1:
                total = total[: total.size // 2] + total[total.size // 2 :]
            assert y[r] == np.float32(0) + total[0] * scale
        jit.python_call(extremes.extreme_rows(extremes.xmax, 8), [x.reshape(-1), table, np.float32(-np.inf),
                         np.zeros(64, np.float32), y], 2)
        assert y.tolist() == x.max(axis=1).tolist()


# ---------------------------------------------------------------------------------------------------------------- integers
@pytest.mark.parametrize("type", ["int32", "int64"])
@pytest.mark.parametrize("name", NAMES)
def test_wide_integers(name: str, type: str) -> None:
    rng, info = np.random.default_rng(9), np.iinfo(type)
    for shape, axes in CASES:
        x = rng.integers(info.min, info.max, shape, type, endpoint=True)  # sums wrap
        check(model(name, shape, axes, type), inputs={0: x}, runs=1)


@pytest.mark.parametrize("type", ["int8", "uint8", "int16"])
@pytest.mark.parametrize("name", NAMES)
def test_narrow_integers(name: str, type: str) -> None:
    rng, info = np.random.default_rng(10), np.iinfo(type)
    for k, (shape, axes) in enumerate(CASES):
        n = int(np.prod([shape[a] for a in {a % len(shape) for a in axes}]))
        step = float(rng.uniform(0.01, 0.2))
        spread = float(rng.choice([0.3, 1, 1.7])) * (n**0.5 if name == "SUM" else n**-0.5)
        zeros = rng.integers(info.min, info.max + 1, 2) if info.bits == 8 else (0, 0)
        x = {"scale": step, "zero_point": int(zeros[0])}
        y = x if name in EXTREMES else {"scale": step * spread, "zero_point": int(zeros[1])}
        numerics = NUMERICS[1:] if (name, type) == ("SUM", "int16") else NUMERICS
        check(model(name, shape, axes, type, keep=k % 2 == 0, x=x, y=y), numerics, runs=1, seed=k)


@pytest.mark.parametrize("type", ["int8", "uint8"])
def test_mean_of_images(type: str) -> None:
    """The builtin kernel for images rounds whole blocks of 16 channels another way, in each thread's own channels."""
    rng, info = np.random.default_rng(11), np.iinfo(type)
    for k in range(30):
        shape = tuple(int(d) for d in rng.integers((1, 1, 1, 1), (3, 6, 6, 70)))
        x = {"scale": float(rng.choice([0.5, 0.25, 0.037])), "zero_point": int(rng.integers(info.min, info.max + 1))}
        y = {"scale": float(rng.choice([0.5, 0.25, 0.125, 0.03])), "zero_point": int(rng.integers(info.min, info.max + 1))}
        check(model("MEAN", shape, (1, 2), type, keep=True, x=x, y=y), runs=1, seed=k, threads=1 + k % 3)


# ----------------------------------------------------------------------------------------------------------- every kernel
TURNS = [((2, 9, 10, 70), (1, 2)), ((3, 150, 9), (1,)), ((5, 300), (1,)), ((21, 5, 77), (0, 2)), ((3, 4, 5, 6, 7), (1, 3)),
         ((4, 1, 5), (0, 2)), ((70,), (0,)), ((1500,), (0,)), ((9, 3), (1,))]


@pytest.mark.parametrize("type", ["float32", "int8", "uint8", "int16", "int32", "int64"])
@pytest.mark.parametrize("name", NAMES)
def test_every_kernel(name: str, type: str) -> None:
    rng = np.random.default_rng(13)
    for k, (shape, axes) in enumerate(TURNS):
        value = random_value(type, shape, rng)
        if type == "float32" and k % 2:
            value = np.where(rng.random(shape) < 0.1, rng.choice(SPECIAL, shape), value)
        quant = {"scale": 0.1, "zero_point": 0 if type == "int16" else 7} if np.dtype(type).itemsize < 4 else {}
        for numerics in FLOATS if type == "float32" else NUMERICS:
            if (name, type, numerics) != ("SUM", "int16", "reference"):
                assert every_kernel(model(name, shape, axes, type, x=quant), numerics, value) > 1


# -------------------------------------------------------------------------------------------------------- real, refusals
@pytest.mark.parametrize("name", NAMES)
def test_real_operators(name: str) -> None:
    for _, i, whole in operators(name, 8):
        part = cut(whole, i)
        types = {t.type.name for t in part.subgraphs[0].tensors}
        check(part, FLOATS if "FLOAT32" in types else NUMERICS, runs=1)


def test_scalars_and_nothing() -> None:
    for name, type in itertools.product(NAMES, ("float32", "int32")):
        check(model(name, (), (0,), type), NUMERICS if type == "int32" else FLOATS)
        for axes in ((0,), (1,)):
            check(model(name, (0, 3), axes, type), NUMERICS if type == "int32" else FLOATS)
        check(model(name, (2,) * 8, (0, 2, 4, 6), type), NUMERICS if type == "int32" else ("reference",), runs=1)


def test_refusals() -> None:
    for name in NAMES:
        bad = one_op(name, [tensor("x", "float32", (2, 3)), tensor("a", "int32", (1,), data=np.array([2], np.int32))],
                     [tensor("y", "float32", (2,))], options.ReducerOptions(False))
        with pytest.raises(ShapeError, match=rf"{name} \(operator 0, tensor 'y'\): Invalid axis index"):
            ours(bad)
        with pytest.raises(ShapeError, match="Invalid axis index"):
            ours(model(name, (2, 3), (1,), fed=True), np.zeros((2, 3)), [-3])
        with pytest.raises(ShapeError, match="axes are INT64"):
            ours(one_op(name, [tensor("x", "float32", (2, 3)), tensor("a", "int64", (1,), data=np.array([1]))],
                        [tensor("y", "float32", (2,))], options.ReducerOptions(False)))
        with pytest.raises(ShapeError, match="9 dimensions"):
            ours(model(name, (1,) * 9, (0,)))
        for type in ("bool", "float16", "uint32"):
            with pytest.raises(UnsupportedOpError, match=name):
                ours(model(name, (2, 3), (1,), type))
    for name in EXTREMES:
        with pytest.raises(QuantError, match="same scale"):
            ours(model(name, (2, 3), (1,), "int8", x={"scale": 0.5}, y={"scale": 0.25}))
    for name in SUMS:
        with pytest.raises(QuantError, match="needs one scale"):
            ours(model(name, (2, 3), (1,), "int8"))
        with pytest.raises(QuantError, match="must be 0"):
            ours(model(name, (2, 3), (1,), "int16", x={"scale": 0.5, "zero_point": 1}), numerics="builtin")
    with pytest.raises(UnsupportedOpError, match=r"SUM.*reference numerics"):
        ours(model("SUM", (2, 3), (1,), "int16", x={"scale": 0.5}))


def test_the_orders_differ() -> None:
    """The numbers used here do tell one order of a sum from another: no test passes by chance."""
    x = np.random.default_rng(12).normal(0, 1, (4, 500)).astype(np.float32)
    reference, delegate = (ours(model("SUM", x.shape, (1,)), x, numerics=n)[0] for n in FLOATS)
    builtin = ours(model("SUM", x.shape, (1,), fed=True), x, [1], numerics="default")[0]
    assert (reference != delegate).all() and (builtin != delegate).all()
    assert compare(model("SUM", x.shape, (1,)), "default", {0: x}) == []
