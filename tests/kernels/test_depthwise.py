"""DEPTHWISE_CONV_2D against the official interpreter, by hand, and what it refuses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from tests.harness import check, compare, every_kernel, models, ours, random_value
from tests.kernels.images import RANGE, bias, image, numerics, real, run_all, special, weights
from tinyinterp.errors import ShapeError, UnsupportedOpError
from tinyinterp.kernels.jit import DISABLED
from tinyinterp.kernels.micro import cpu
from tinyinterp.schema import Activation, Model, Padding, options
from tinyinterp.schema.build import model_of, one_op, operator, tensor

SAME, VALID = Padding.SAME, Padding.VALID
# x [H, W, C], outputs for each channel, window, stride, dilation, padding
SHAPES = [
    ((7, 9, 3), 1, (3, 3), 1, 1, SAME),
    ((9, 8, 8), 1, (3, 3), 2, 1, SAME),
    ((9, 8, 20), 1, (3, 3), 1, 2, VALID),
    ((6, 7, 4), 2, (3, 3), 1, 1, SAME),
    ((8, 8, 1), 8, (5, 5), 1, 1, SAME),
    ((9, 9, 5), 1, (7, 7), 1, 1, SAME),
    ((5, 40, 37), 1, (3, 3), 1, 1, SAME),
    ((6, 5, 16), 1, (1, 1), 1, 1, VALID),
    ((8, 9, 24), 1, (2, 4), 3, 1, VALID),
    ((7, 7, 9), 3, (5, 5), 2, 1, SAME),
]


def depthwise(dtype: str, x: Sequence[int], multiple: int, window: Sequence[int], stride: int = 1, dilation: int = 1,
              padding: Padding = SAME, act: Activation = Activation.NONE, *, per_channel: bool = False, fed: str = "",
              biased: bool = True, seed: int = 0, out_scale: float = 0.3, zero_point: int | None = None, batch: int = 2) -> Model:
    """`fed` names what is an input of the model instead of a constant: w, b."""
    channels = x[2] * multiple
    w, scales = weights(dtype, (1, *window, channels), 3, seed, per_channel=per_channel, zero_point=zero_point, fed="w" in fed)
    inputs = [image("x", dtype, (batch, *x)), w, *([bias(dtype, scales, channels, seed, fed="b" in fed)] if biased else [])]
    return one_op("DEPTHWISE_CONV_2D", inputs, [image("y", dtype, (batch, 1, 1, channels), out_scale)],
                  options.DepthwiseConv2DOptions(padding, stride, stride, multiple, act, dilation, dilation))


def by_hand(dtype: str, channels: int) -> Model:
    def quant(scale: float) -> dict[str, float]:
        return {} if dtype == "float32" else {"scale": scale}

    w = tensor("w", dtype, data=np.repeat(np.array([1, 2, 3, 4]).reshape(1, 2, 2, 1), channels, 3), **quant(0.5))
    b = tensor("b", "float32" if dtype == "float32" else "int32", data=np.full(channels, -99), **quant(0.25))
    x, y = tensor("x", dtype, (1, 2, 3, channels), **quant(0.5)), tensor("y", dtype, (1, 1, 2, channels), **quant(1.0))
    return one_op("DEPTHWISE_CONV_2D", [x, w, b], [y], options.DepthwiseConv2DOptions(VALID, 1, 1, 1))


def test_by_hand() -> None:
    """1*1 + 2*2 + 3*4 + 4*5 - 99 = -62, and -58, in every channel. Quantized, a quarter of that: -15.5 and -14.5. The builtin
    kernel rounds eight channels together half up, the ninth like the reference."""
    x = np.repeat(np.array([1, 2, 0, 4, 5, 6]).reshape(1, 2, 3, 1), 9, 3)
    away, up, even = [-16, -15], [-15, -14], [-16, -14]
    for mode, first, ninth in (("reference", away, away), ("builtin", up, away), ("default", even, even)):
        assert ours(by_hand("float32", 9), x, numerics=mode)[0][0, 0].T.tolist() == [[-62, -58]] * 9
        assert ours(by_hand("int8", 9), x, numerics=mode)[0][0, 0].T.tolist() == [first] * 8 + [ninth]
        assert compare(by_hand("int8", 9), mode, {0: x.astype(np.int8)}) == []


@pytest.mark.parametrize("dtype", ["float32", "int8", "uint8"])
def test_shapes(dtype: str) -> None:
    for i, shape in enumerate(SHAPES):
        check(depthwise(dtype, *shape, seed=i, per_channel=dtype == "int8" and i % 3 > 0), numerics(dtype), runs=1)


@pytest.mark.parametrize("dtype", ["float32", "int8", "uint8"])
def test_activations(dtype: str) -> None:
    for act in (Activation.RELU, Activation.RELU6, Activation.RELU_N1_TO_1):
        for fed in ("", "w"):
            check(depthwise(dtype, *SHAPES[0], act=act, fed=fed, out_scale=0.05), numerics(dtype), runs=1)


@pytest.mark.parametrize("dtype", ["float32", "int8", "uint8"])
def test_what_the_delegate_refuses(dtype: str) -> None:
    """Weights or a bias that a run brings. Without a bias only the official reference runs: the others crash."""
    for i, shape in enumerate(SHAPES):
        for fed in ("w", "b"):
            check(depthwise(dtype, *shape, fed=fed, seed=i, per_channel=dtype == "int8" and i % 2 > 0), numerics(dtype), runs=1)
        model = depthwise(dtype, *shape, biased=False, seed=i)
        check(model, ("reference",), runs=1)
        assert len(ours(model, 1, numerics="default")) == 1


def test_zero_points_of_weights() -> None:
    for zero in (0, 1, 128, 255):
        check(depthwise("uint8", *SHAPES[1], zero_point=zero), runs=1)


def test_big_requantization_scale() -> None:
    """The official default refuses such a model altogether; the other two run it."""
    model = depthwise("int8", *SHAPES[0], out_scale=1e-6)
    check(model, ("reference", "builtin"))
    x = np.random.default_rng(0).integers(-128, 128, (2, 7, 9, 3))
    assert np.array_equal(ours(model, x, numerics="default")[0], ours(model, x, numerics="builtin")[0])


def test_special_values() -> None:
    """NaN, infinities, zeros, denormals. In the builtin kernel a NaN survives in groups of four values only."""
    for i in (0, 1, 3, 5, 6):
        x = special((2, *SHAPES[i][0]), i)
        check(depthwise("float32", *SHAPES[i]), ("reference", "default"), inputs={0: x}, runs=1)
        b = np.ones(SHAPES[i][0][2] * SHAPES[i][1], np.float32)
        for act in (Activation.NONE, Activation.RELU6):
            check(depthwise("float32", *SHAPES[i], fed="b", act=act), ("reference", "default"), inputs={0: x, 1: b}, runs=1)
    for multiple in (1, 2):
        w = tensor("w", "float32", data=special((1, 3, 3, 4 * multiple)))
        inputs = [image("x", "float32", (1, 5, 5, 4)), w, bias("float32", np.ones(1), 4 * multiple, 0)]
        model = one_op("DEPTHWISE_CONV_2D", inputs, [image("y", "float32", (1, 5, 5, 4 * multiple))],
                       options.DepthwiseConv2DOptions(SAME, 1, 1, multiple))
        check(model, ("reference", "default"), runs=1)


def test_columns() -> None:
    """Images of one to three columns: groups are narrower, and a column of floats is taken for a row."""
    for x, window, stride, dilation, pad in (((21, 1, 40), (9, 1), 1, 1, SAME), ((20, 1, 17), (9, 1), 2, 1, SAME),
                                             ((22, 1, 8), (3, 1), 1, 3, VALID),
                                             ((9, 2, 33), (3, 3), 1, 1, SAME), ((9, 5, 20), (3, 3), 2, 1, SAME)):
        for dtype in ("float32", "int8"):
            model = depthwise(dtype, x, 1, window, stride, dilation, pad)
            for threads in (1, 2):
                check(model, ("default",), threads=threads, runs=1)
            assert every_kernel(model, "default", random_value(dtype, (2, *x), np.random.default_rng(5))) >= 1


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_windows_of_one_column(dtype: str) -> None:
    """Bytes are then read where they lie: nothing before the image and nothing behind it counts. Wide and narrow images, many
    and few channels, several rows of the window in a vector; weights that need two bytes."""
    rng = np.random.default_rng(7)
    for c, height, width, rows, stride, dilation, pad in ((30, 9, 1, 9, 1, 1, VALID), (120, 13, 1, 9, 2, 1, SAME),
                                                          (96, 30, 1, 5, 1, 2, SAME), (7, 12, 9, 6, 1, 1, SAME),
                                                          (130, 9, 3, 7, 1, 1, SAME), (64, 23, 1, 23, 1, 1, VALID),
                                                          (3, 11, 2, 5, 3, 1, VALID), (33, 10, 70, 3, 1, 1, SAME)):
        for mode in ("default", "reference"):
            model = depthwise(dtype, (height, width, c), 1, (rows, 1), stride, dilation, pad, seed=c, out_scale=0.05,
                              batch=1 + c % 2, zero_point=110 if dtype == "uint8" else None)
            assert every_kernel(model, mode, rng.integers(*RANGE[dtype], (1 + c % 2, height, width, c)), threads=1 + c % 2) > 1


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_every_second_pixel(dtype: str) -> None:
    """Of pixels that divide a vector whole vectors are copied apart, up to the last pixel of a row."""
    rng = np.random.default_rng(8)
    for c in (4, 8, 16, 24):
        for width, pad in ((75, SAME), (64, VALID)):
            model = depthwise(dtype, (5, width, c), 1, (3, 3), 2, 1, pad, seed=c, out_scale=0.05, batch=1)
            assert every_kernel(model, "default", rng.integers(*RANGE[dtype], (1, 5, width, c))) > 1


# x [H, W], window, stride, dilation, padding, numerics, zero point of uint8 weights (128: each fits a byte)
NARROW = [((7, 9), (3, 3), 1, 1, SAME, "default", 128), ((9, 8), (3, 3), 2, 1, SAME, "reference", 128),
          ((11, 13), (3, 3), 1, 2, VALID, "builtin", 110), ((6, 1), (3, 3), 2, 1, SAME, "reference", 128),
          ((12, 15), (5, 4), 3, 3, SAME, "default", 110)]


# And where a row is walked along: strides beyond the window, padding on both sides, on one and on none
WALKED = [((7, 9), (3, 3), 1, 1, SAME, "default", 127), ((8, 8), (3, 3), 2, 1, SAME, "default", 127),
          ((9, 7), (3, 3), 2, 1, VALID, "reference", 128), ((11, 10), (3, 3), 3, 1, SAME, "default", 110),
          ((9, 11), (2, 2), 3, 1, SAME, "reference", 127), ((5, 6), (4, 2), 1, 1, SAME, "default", 127),
          ((3, 3), (3, 3), 1, 1, SAME, "builtin", 127), ((9, 2), (3, 3), 2, 1, SAME, "default", 128),
          ((12, 5), (6, 4), 4, 1, SAME, "default", 127), ((9, 6), (5, 5), 1, 1, SAME, "default", 127),
          ((11, 9), (3, 3), 1, 2, SAME, "default", 127)]


def at_level(dtype: str, level: str, channels: Sequence[int], calls: Sequence[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINYINTERP_ISA", level)
    cpu.level.cache_clear()
    rng = np.random.default_rng(0)
    for c in channels:
        x, window, stride, dilation, padding, mode, zero = calls[c % len(calls)]
        batch, act = 1 + c % 3, Activation.NONE if mode == "default" else Activation.RELU6
        model = depthwise(dtype, (*x, c), 1, window, stride, dilation, padding, act, seed=c, out_scale=0.05, batch=batch,
                          per_channel=dtype == "int8" and c % 2 > 0, zero_point=zero if dtype == "uint8" else None)
        value = rng.integers(*RANGE[dtype], (batch, *x, c))
        if (dtype, mode) == ("int8", "builtin"):  # the last kernel is the reference's
            check(model, (mode,), inputs={0: value.astype(dtype)}, runs=1)
        else:
            assert every_kernel(model, mode, value, threads=1 + c % 2) > 1
    monkeypatch.undo()
    cpu.level.cache_clear()


@pytest.mark.skipif(DISABLED, reason="about machine code")
@pytest.mark.parametrize("level", ["amx", "avx512", "avx2"])
@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_channels(dtype: str, level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """All counts of channels around a vector; of uint8, weights that one byte holds and weights that need two."""
    at_level(dtype, level, range(1, 71), NARROW, monkeypatch)
    at_level(dtype, level, (*range(16, 150, 7), 192, 257), WALKED, monkeypatch)


def test_threads() -> None:
    for dtype in ("float32", "int8", "uint8"):
        for fed in ("", "b"):
            check(depthwise(dtype, (30, 30, 12), 1, (3, 3), fed=fed), numerics(dtype), threads=2, runs=1)


@pytest.mark.skipif(not models(), reason="TINYINTERP_MODELS is not set")
def test_real_operators() -> None:
    assert run_all(real("DEPTHWISE_CONV_2D", ("float32", "int8", "uint8")), compare) == 10


def test_refusals() -> None:
    def fails(error: type[Exception], text: str, x: Sequence[int] = (1, 4, 4, 2), w: Sequence[int] = (1, 2, 2, 4), b: int = 4,
              dtype: str = "float32", **changed: Any) -> None:
        quant = {"scale": 1.0} if dtype != "float32" else {}
        kernel = tensor("w", dtype, w, data=np.ones(w), **quant)
        model = one_op("DEPTHWISE_CONV_2D", [tensor("x", dtype, x, **quant), kernel,
                                             tensor("b", "int32" if quant else "float32", data=np.ones(b))],
                       [tensor("y", dtype, (1, 1, 1, 4), **quant)],
                       options.DepthwiseConv2DOptions(**({"stride_w": 1, "stride_h": 1, "depth_multiplier": 2} | changed)))
        with pytest.raises(error, match=text):
            ours(model, 0)

    fails(ShapeError, r"DEPTHWISE_CONV_2D \(operator 0, tensor 'y'\): strides 0, 1", stride_h=0)
    fails(ShapeError, "strides", stride_w=-1)
    fails(ShapeError, "dilation", dilation_w_factor=0)
    fails(ShapeError, "x is not", x=(4, 4, 2))
    fails(ShapeError, "w is not", w=(2, 2, 4))
    fails(ShapeError, "w has 2 windows", w=(2, 2, 2, 4))
    fails(ShapeError, "no multiple of x's 3", x=(1, 4, 4, 3))
    fails(ShapeError, "bias has 3 values", b=3)
    fails(ShapeError, "fused activation", fused_activation_function=Activation.SIGN_BIT)
    fails(UnsupportedOpError, "no kernel takes", dtype="int16")


def test_computed_weights() -> None:
    """Weights that are computed, if from constants alone, are not the delegate's: floats go the builtin kernel's way."""
    for i, (x, window, stride) in enumerate([((9, 8, 20), (3, 3), 1), ((9, 11, 68), (3, 5), 2), ((6, 5, 6), (3, 3), 1),
                                             ((9, 7, 24), (2, 2), 1)]):
        w, b = random_weights((1, *window, x[2]), i), np.random.default_rng(i).normal(0, 1, x[2]).astype(np.float32)
        negative, kernel = tensor("n", "float32", data=w), tensor("w", "float32", w.shape)
        inputs = [tensor("x", "float32", (2, *x)), kernel, tensor("b", "float32", data=b)]
        y = tensor("y", "float32", (2, -(-x[0] // stride), -(-x[1] // stride), x[2]))
        act = Activation.RELU6 if i % 2 else Activation.NONE
        check(model_of([operator("NEG", [negative], [kernel]), operator("DEPTHWISE_CONV_2D", inputs, [y],
              options.DepthwiseConv2DOptions(SAME, stride, stride, 1, act))]), ("default",), runs=1, threads=1 + i % 2)


def random_weights(shape: Sequence[int], seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 1, shape).astype(np.float32)
