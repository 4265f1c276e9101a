"""AVERAGE_POOL_2D, MAX_POOL_2D against the official interpreter, by hand, and what they refuse."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from tests.harness import check, compare, every_kernel, models, ours, random_value
from tests.kernels.images import SPECIAL, image, numerics, real, run_all, special
from tinyinterp.errors import ShapeError, UnsupportedOpError
from tinyinterp.kernels.jit import DISABLED
from tinyinterp.schema import Activation, Model, Padding, options
from tinyinterp.schema.build import one_op, tensor

SAME, VALID = Padding.SAME, Padding.VALID
OPS = ("AVERAGE_POOL_2D", "MAX_POOL_2D")
X = (2, 9, 10, 17)
# window, strides, padding; the fifth to eighth are refused by the delegate
WINDOWS = [
    ((2, 2), (2, 2), SAME), ((3, 3), (1, 1), SAME), ((3, 2), (2, 1), VALID), ((5, 4), (3, 2), SAME),
    ((1, 1), (2, 2), SAME), ((2, 2), (3, 3), SAME), ((2, 3), (3, 4), VALID), ((1, 2), (1, 3), VALID),
    ((7, 7), (7, 7), VALID), ((4, 3), (1, 2), SAME), ((9, 9), (1, 1), VALID), ((1, 1), (1, 1), SAME), ((9, 10), (1, 1), VALID),
]


def pool(op: str, dtype: str, window: Sequence[int], strides: Sequence[int], padding: Padding = SAME,
         act: Activation = Activation.NONE, x: Sequence[int] = X) -> Model:
    return one_op(op, [image("x", dtype, x)], [image("y", dtype, (1, 1, 1, 1))],
                  options.Pool2DOptions(padding, strides[1], strides[0], window[1], window[0], act))


def test_by_hand() -> None:
    """Cells outside the image do not count; means are rounded half away from zero."""
    x = np.array([[1, 2, 4], [-6, 0, 8]]).reshape(1, 2, 3, 1)
    for mode in ("reference", "default", "builtin"):
        model = pool("AVERAGE_POOL_2D", "float32", (2, 2), (2, 2), x=x.shape)
        assert ours(model, x, numerics=mode)[0].ravel().tolist() == [-0.75, 6.0]
        model = pool("MAX_POOL_2D", "float32", (2, 2), (2, 2), x=x.shape)
        assert ours(model, x, numerics=mode)[0].ravel().tolist() == [2.0, 8.0]
        model = pool("AVERAGE_POOL_2D", "int8", (1, 2), (1, 1), VALID, x=x.shape)
        assert ours(model, x, numerics=mode)[0].ravel().tolist() == [2, 3, -3, 4]  # 1.5 3 -3 4
        model = pool("MAX_POOL_2D", "int8", (1, 2), (1, 1), VALID, Activation.RELU, x=x.shape)
        assert ours(model, x, numerics=mode)[0].ravel().tolist() == [2, 4, 0, 8]  # real 0 is at -20


@pytest.mark.parametrize("dtype", ["float32", "int8", "uint8", "int16"])
@pytest.mark.parametrize("op", OPS)
def test_windows(op: str, dtype: str) -> None:
    for window in WINDOWS:
        check(pool(op, dtype, *window), numerics(dtype), runs=1)


@pytest.mark.parametrize("dtype", ["float32", "int8", "uint8", "int16"])
@pytest.mark.parametrize("op", OPS)
def test_activations(op: str, dtype: str) -> None:
    for act in (Activation.RELU, Activation.RELU6, Activation.RELU_N1_TO_1):
        for i in (1, 5, 11):
            check(pool(op, dtype, *WINDOWS[i], act), numerics(dtype), runs=1)


@pytest.mark.parametrize("op", OPS)
def test_special_values(op: str) -> None:
    """Where a NaN goes, which zero is left, denormals: the order of the nine shows."""
    for i, window in enumerate(WINDOWS):
        for act in (Activation.NONE, Activation.RELU, Activation.RELU6):
            x = special(X, i)
            check(pool(op, "float32", *window, act), ("reference", "default"), inputs={0: x}, runs=1)
        check(pool(op, "float32", *window), ("reference", "default"), runs=1,
              inputs={0: np.random.default_rng(i).choice(SPECIAL[3:9], X)})
        check(pool(op, "float32", *window), ("reference", "default"), inputs={0: np.full(X, np.nan, np.float32)}, runs=1)


@pytest.mark.parametrize("op", OPS)
def test_every_kernel(op: str) -> None:
    """Channels below, at and beyond a vector and a group of them; windows of one, two and many nines."""
    rng = np.random.default_rng(3)
    windows = [((2, 2), (2, 2)), ((3, 3), (2, 1)), ((3, 4), (1, 2)), ((5, 6), (3, 3)), ((7, 9), (1, 1))]
    for i, channels in enumerate((3, 70, 33, 16, 150, 8, 272)):
        window, strides = windows[i % 5]
        x = (1, 7, 9, channels)
        for dtype in ("float32", "int8", "uint8", "int16"):
            value = special(x, i) if dtype == "float32" else random_value(dtype, x, rng)
            for mode in ("reference", "default")[dtype != "float32" :]:
                model = pool(op, dtype, window, strides, SAME, Activation.RELU6 if i % 3 else Activation.NONE, x)
                wide = dtype == "int16" and window == (7, 9)  # the sum of such a window has too many bits
                assert every_kernel(model, mode, value) >= (1 if DISABLED or wide else 2)


def test_threads() -> None:
    for op in OPS:
        for dtype in ("float32", "uint8"):
            check(pool(op, dtype, (3, 3), (1, 1), x=(1, 40, 40, 24)), numerics(dtype), threads=2, runs=1)


@pytest.mark.skipif(not models(), reason="TINYINTERP_MODELS is not set")
@pytest.mark.parametrize("op", OPS)
def test_real_operators(op: str) -> None:
    assert run_all(real(op, ("float32", "int8", "uint8", "int16")), compare) == 10


def test_empty() -> None:
    """A window larger than the image leaves nothing; no images give no outputs."""
    for op in OPS:
        assert ours(pool(op, "float32", (5, 5), (1, 1), VALID, x=(1, 3, 3, 2)), 0)[0].shape == (1, 0, 0, 2)
        assert ours(pool(op, "int8", (2, 2), (1, 1), x=(0, 3, 3, 2)), 0)[0].shape == (0, 3, 3, 2)


def test_refusals() -> None:
    def fails(error: type[Exception], text: str, x: Sequence[int] = (1, 4, 4, 2), dtype: str = "float32", y: str = "",
              **changed: Any) -> None:
        settings = {"stride_w": 1, "stride_h": 1, "filter_width": 2, "filter_height": 2} | changed
        for op in OPS:
            model = one_op(op, [tensor("x", dtype, x)], [tensor("y", y or dtype, x)], options.Pool2DOptions(**settings))
            with pytest.raises(error, match=text):
                ours(model, 0)

    fails(ShapeError, r"_POOL_2D \(operator 0, tensor 'y'\): strides 0, 1", stride_h=0)
    fails(ShapeError, "strides", stride_w=-1)
    fails(ShapeError, "window 0 x 2", filter_height=0)
    fails(ShapeError, "window 2 x -3", filter_width=-3)
    fails(ShapeError, "x has 3 dimensions", x=(4, 4, 2))
    fails(ShapeError, "x is INT8, y is UINT8", dtype="int8", y="uint8")
    fails(ShapeError, "fused activation", fused_activation_function=Activation.TANH)
    fails(UnsupportedOpError, "no kernel takes", dtype="int32")
