"""RESIZE_BILINEAR, RESIZE_NEAREST_NEIGHBOR against the official interpreter, by hand, and what they refuse."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from tests.harness import check, compare, every_kernel, models, ours, random_value
from tests.kernels.images import image, numerics, real, run_all, special
from tinyinterp.errors import ShapeError, UnsupportedOpError
from tinyinterp.kernels.jit import DISABLED
from tinyinterp.schema import Model, options
from tinyinterp.schema.build import one_op, tensor

BILINEAR, NEAREST = "RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"
OPTIONS = {BILINEAR: options.ResizeBilinearOptions, NEAREST: options.ResizeNearestNeighborOptions}
TYPES = [*((op, t) for op in (BILINEAR, NEAREST) for t in ("float32", "int8", "uint8", "int16")), (NEAREST, "int32")]
SIZES = [((3, 4), (6, 8)), ((5, 7), (3, 4)), ((1, 1), (3, 2)), ((4, 4), (1, 1)), ((3, 5), (24, 40)), ((9, 10), (13, 27)),
         ((2, 3), (100, 301)), ((6, 6), (6, 6))]
PLAIN, ALIGNED, CENTERS, BOTH = (False, False), (True, False), (False, True), (True, True)


def resize(op: str, dtype: str, x: Sequence[int], size: Sequence[int], how: tuple[bool, bool] = PLAIN, *, fed: bool = False,
           channels: int = 8, batch: int = 2) -> Model:
    return one_op(op, [image("x", dtype, (batch, *x, channels)), tensor("size", "int32", [2], data=None if fed else size)],
                  [image("y", dtype, (batch, *size, channels))], OPTIONS[op](align_corners=how[0], half_pixel_centers=how[1]))


def test_by_hand() -> None:
    x = np.array([[0, 4], [8, 12]]).reshape(1, 2, 2, 1)

    def made(op: str, how: tuple[bool, bool], size: Sequence[int], dtype: str = "float32") -> list[Any]:
        model = resize(op, dtype, (2, 2), size, how, channels=1, batch=1)
        answers = [ours(model, x, numerics=mode)[0].reshape(size).tolist() for mode in ("reference", "default", "builtin")]
        assert answers[0] == answers[1] == answers[2]
        return answers[0]

    assert made(BILINEAR, PLAIN, (2, 4)) == [[0, 2, 4, 4], [8, 10, 12, 12]]
    assert made(BILINEAR, ALIGNED, (3, 3), "int8") == [[0, 2, 4], [4, 6, 8], [8, 10, 12]]
    assert made(BILINEAR, CENTERS, (1, 4)) == [[4, 5, 7, 8]]
    assert made(NEAREST, PLAIN, (3, 3)) == [[0, 0, 4], [0, 0, 4], [8, 8, 12]]
    assert made(NEAREST, ALIGNED, (1, 3), "int8") == [[0, 4, 4]]  # 0.5 is rounded to 1
    assert made(NEAREST, CENTERS, (3, 1), "int16") == [[4], [12], [12]]


@pytest.mark.parametrize("op, dtype", TYPES)
def test_sizes(op: str, dtype: str) -> None:
    """A constant size, which the delegate takes for BILINEAR, and a fed one, which it refuses."""
    for x, size in SIZES:
        for how in (PLAIN, ALIGNED, CENTERS):
            check(resize(op, dtype, x, size, how), numerics(dtype), runs=1)
            fed = resize(op, dtype, x, size, how, fed=True, channels=5)
            check(fed, numerics(dtype), inputs={1: np.array(size, np.int32)}, runs=1)


@pytest.mark.parametrize("op, dtype", TYPES)
def test_every_kernel(op: str, dtype: str) -> None:
    """Channels below, at and beyond a vector; sizes with and without a period."""
    rng, modes = np.random.default_rng(4), ("default", "reference") if op == BILINEAR else ("reference",)
    sizes = [((5, 7), (10, 14)), ((4, 9), (7, 5)), ((1, 1), (3, 4)), ((6, 4), (3, 2)), ((3, 3), (3, 3))]
    for channels in (1, 3, 5, 8, 16, 17, 40, 67):
        for i, (x, size) in enumerate(sizes):
            model = resize(op, dtype, x, size, (PLAIN, CENTERS, ALIGNED)[i % 3], channels=channels)
            for mode in modes:
                found = every_kernel(model, mode, random_value(dtype, (2, *x, channels), rng), threads=1 + i % 2)
                integer = dtype == "int16" or (dtype == "int8" and mode == "reference")
                assert found >= 2 or DISABLED or (op == BILINEAR and integer)


@pytest.mark.parametrize("op, dtype", TYPES)
def test_both_options(op: str, dtype: str) -> None:
    """BILINEAR refuses them with a constant size, except in the delegate."""
    for x, size in SIZES[:4]:
        check(resize(op, dtype, x, size, BOTH, fed=True), numerics(dtype), inputs={1: np.array(size, np.int32)}, runs=1)
        if op == NEAREST:
            check(resize(op, dtype, x, size, BOTH), numerics(dtype), runs=1)
        else:
            if dtype != "int16":
                check(resize(op, dtype, x, size, BOTH), ("default",), runs=1)
            with pytest.raises(ShapeError, match="If half_pixel_centers is True, align_corners must be False"):
                ours(resize(op, dtype, x, size, BOTH), 0, numerics="reference")


def test_sizes_of_nearest_in_fixed_point() -> None:
    """The builtin kernel of 8 bits counts in 1/65536: where it could leave the float formula."""
    for n, m in ((1, 3000), (7, 1999), (3, 1024), (255, 256), (100, 99), (1000, 3)):
        for dtype in ("int8", "float32"):
            check(resize(NEAREST, dtype, (n, 1), (m, 2), channels=1, batch=1), numerics(dtype), runs=1)


@pytest.mark.parametrize("op", [BILINEAR, NEAREST])
def test_special_values(op: str) -> None:
    for x, size in SIZES[:6]:
        for how in (PLAIN, ALIGNED, CENTERS):
            value = special((2, *x, 8))
            check(resize(op, "float32", x, size, how), ("reference", "default"), inputs={0: value}, runs=1)
            check(resize(op, "float32", x, size, how, fed=True), ("reference", "default"),
                  inputs={0: value, 1: np.array(size, np.int32)}, runs=1)


def test_extremes() -> None:
    """The ends of the types, where a rounding could overflow."""
    for dtype in ("int8", "uint8", "int16"):
        info = np.iinfo(dtype)
        x = np.random.default_rng(0).choice(np.array([info.min, info.max], dtype), (2, 5, 7, 8))
        for how in (PLAIN, ALIGNED, CENTERS):
            check(resize(BILINEAR, dtype, (5, 7), (40, 56), how), inputs={0: x}, runs=1)


def test_a_size_that_changes() -> None:
    """Run by run, the output takes the size that is fed."""
    model = resize(NEAREST, "int8", (2, 2), (2, 2), fed=True, channels=1, batch=1)
    for size in ((1, 3), (4, 2)):
        assert ours(model, np.ones((1, 2, 2, 1)), np.array(size))[0].shape == (1, *size, 1)


def test_threads() -> None:
    for op, dtype in TYPES:
        check(resize(op, dtype, (20, 20), (60, 50), CENTERS, channels=16), numerics(dtype), threads=2, runs=1)


@pytest.mark.skipif(not models(), reason="TINYINTERP_MODELS is not set")
@pytest.mark.parametrize("op", [BILINEAR, NEAREST])
def test_real_operators(op: str) -> None:
    constant = (case for case in real(op, ("float32", "int8", "uint8"), most=12) if len(case[2].subgraphs[0].inputs) == 1)
    assert run_all(constant, compare) > 5


def test_refusals() -> None:
    def fails(error: type[Exception], text: str, x: Sequence[int] = (1, 4, 4, 2), size: Any = (2, 2), dtype: str = "float32",
              kind: str = "int32", y: str = "") -> None:
        for op in (BILINEAR, NEAREST):
            given = tensor("size", kind, data=np.array(size))
            with pytest.raises(error, match=text):
                ours(one_op(op, [tensor("x", dtype, x), given], [tensor("y", y or dtype, x)]), 0)

    fails(ShapeError, r"RESIZE_\w+ \(operator 0, tensor 'y'\): x has 3 dimensions", x=(4, 4, 2))
    fails(ShapeError, r"size is INT32\[3\]", size=(1, 2, 2))
    fails(ShapeError, "size is INT64", kind="int64")
    fails(ShapeError, "size 0 x 2", size=(0, 2))
    fails(ShapeError, "size 2 x -1", size=(2, -1))
    fails(ShapeError, "no cells", x=(1, 0, 4, 2))
    fails(ShapeError, "x is INT8, y is UINT8", dtype="int8", y="uint8")
    fails(UnsupportedOpError, "no kernel takes", dtype="int64")
    fed = resize(NEAREST, "int8", (2, 2), (2, 2), fed=True)
    with pytest.raises(ShapeError, match="size -2 x 2 is not positive"):
        ours(fed, 0, np.array([-2, 2]))
