"""CONV_2D against the official interpreter, by hand, and what it refuses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from tests.harness import check, compare, models, ours
from tests.kernels.images import bias, image, numerics, real, run_all, special, weights
from tinyinterp.errors import ModelError, QuantError, ShapeError, UnsupportedOpError
from tinyinterp.schema import Activation, Model, Padding, options
from tinyinterp.schema.build import one_op, tensor

SAME, VALID = Padding.SAME, Padding.VALID
# x [H, W, C], w [O, KH, KW], groups, stride, dilation, padding
SHAPES = [
    ((7, 6, 3), (5, 3, 3), 1, 2, 1, SAME),
    ((5, 5, 16), (24, 1, 1), 1, 1, 1, VALID),
    ((6, 7, 4), (4, 3, 3), 4, 1, 1, SAME),
    ((6, 6, 12), (6, 3, 2), 3, 1, 2, SAME),
    ((1, 1, 300), (10, 1, 1), 1, 1, 1, VALID),
    ((9, 9, 2), (1, 5, 5), 1, 2, 1, VALID),
    ((8, 5, 1), (1, 3, 3), 1, 1, 1, SAME),
    ((8, 8, 1), (1, 6, 5), 1, 1, 1, SAME),
    ((4, 4, 70), (13, 3, 3), 1, 1, 1, SAME),
    ((5, 7, 8), (20, 3, 3), 1, 2, 1, VALID),
    ((6, 6, 8), (16, 1, 1), 2, 1, 1, VALID),
    ((9, 4, 3), (33, 2, 4), 1, 3, 1, SAME),
    ((9, 9, 5), (3, 3, 3), 1, 1, 3, VALID),
]


def conv(dtype: str, x: Sequence[int], w: Sequence[int], groups: int = 1, stride: int = 1, dilation: int = 1,
         padding: Padding = SAME, act: Activation = Activation.NONE, *, per_channel: bool = False, fed: str = "", seed: int = 0,
         batch: int = 2, out_scale: float = 0.3, **w_options: Any) -> Model:
    """`fed` names what is an input of the model instead of a constant: w, b."""
    kernel, scales = weights(dtype, (*w, x[2] // groups), 0, seed, per_channel=per_channel, fed="w" in fed, **w_options)
    return one_op("CONV_2D", [image("x", dtype, (batch, *x)), kernel, bias(dtype, scales, w[0], seed, fed="b" in fed)],
                  [image("y", dtype, (batch, 1, 1, w[0]), out_scale)],
                  options.Conv2DOptions(padding, stride, stride, act, dilation, dilation))


def by_hand(dtype: str) -> Model:
    def quant(scale: float) -> dict[str, float]:
        return {} if dtype == "float32" else {"scale": scale}

    w = tensor("w", dtype, (1, 2, 2, 1), data=np.array([1, 2, 3, 4]).reshape(1, 2, 2, 1), **quant(0.5))
    b = tensor("b", "float32" if dtype == "float32" else "int32", (1,), data=[-99], **quant(0.25))
    x, y = tensor("x", dtype, (1, 2, 3, 1), **quant(0.5)), tensor("y", dtype, (1, 1, 2, 1), **quant(1.0))
    return one_op("CONV_2D", [x, w, b], [y], options.Conv2DOptions(VALID, 1, 1))


def test_by_hand() -> None:
    """1*1 + 2*2 + 3*4 + 4*5 - 99 = -62, and -58. Quantized, a quarter of that: -15.5 and -14.5, which each of the three
    rounds in its own way."""
    x = np.array([1, 2, 0, 4, 5, 6]).reshape(1, 2, 3, 1)
    quarters = {"reference": [-16, -15], "builtin": [-15, -14], "default": [-16, -14]}  # half away from zero, up, to even
    for mode, expected in quarters.items():
        assert ours(by_hand("float32"), x, numerics=mode)[0].ravel().tolist() == [-62, -58]
        assert ours(by_hand("int8"), x, numerics=mode)[0].ravel().tolist() == expected
        assert compare(by_hand("int8"), mode, {0: x.astype(np.int8)}) == []


@pytest.mark.parametrize("dtype", ["float32", "int8", "uint8"])
def test_shapes(dtype: str) -> None:
    for i, shape in enumerate(SHAPES):
        check(conv(dtype, *shape, seed=i, per_channel=dtype == "int8" and i % 3 > 0), numerics(dtype), runs=1)


@pytest.mark.parametrize("dtype", ["float32", "int8", "uint8"])
def test_activations(dtype: str) -> None:
    for act in (Activation.RELU, Activation.RELU6, Activation.RELU_N1_TO_1):
        for i in (0, 3):
            check(conv(dtype, *SHAPES[i], act=act, out_scale=0.05), numerics(dtype), runs=1)


@pytest.mark.parametrize("dtype", ["float32", "int8", "uint8"])
def test_what_the_delegate_refuses(dtype: str) -> None:
    """Weights or a bias that a run brings."""
    for fed in ("w", "b"):
        for i, shape in enumerate(SHAPES):
            check(conv(dtype, *shape, fed=fed, seed=i, per_channel=dtype == "int8" and i % 2 > 0), numerics(dtype), runs=1)


def test_zero_points_of_weights() -> None:
    for zero in (0, 1, 128, 255):
        check(conv("uint8", *SHAPES[0], zero_point=zero), runs=1)


def test_deep() -> None:
    """A long sum: its order shows in every bit of a float."""
    for dtype in ("float32", "int8"):
        check(conv(dtype, (3, 3, 600), (9, 3, 3), padding=VALID, out_scale=20.0), numerics(dtype), runs=1)


def test_big_requantization_scale() -> None:
    """The official default refuses such a model altogether; the other two run it."""
    model = conv("int8", *SHAPES[0], out_scale=1e-6)
    check(model, ("reference", "builtin"))
    x = np.random.default_rng(0).integers(-128, 128, (2, 7, 6, 3))
    assert np.array_equal(ours(model, x, numerics="default")[0], ours(model, x, numerics="builtin")[0])


def test_special_values() -> None:
    """NaN, infinities, zeros, denormals; the builtin kernels end at the greatest finite number."""
    for i in (0, 3, 6, 8):
        check(conv("float32", *SHAPES[i]), ("reference", "default"), inputs={0: special((2, *SHAPES[i][0]), i)}, runs=1)
    model = conv("float32", (4, 4, 2), (3, 3, 3), fed="w")
    check(model, ("reference",), inputs={0: special((2, 4, 4, 2)), 1: special((3, 3, 3, 2))}, runs=1)
    w = tensor("w", "float32", data=special((3, 3, 3, 2)))
    model = one_op("CONV_2D", [image("x", "float32", (1, 4, 4, 2)), w, bias("float32", np.ones(1), 3, 0)],
                   [image("y", "float32", (1, 4, 4, 3))], options.Conv2DOptions(SAME, 1, 1))
    check(model, ("reference", "default"), runs=1)


def test_threads() -> None:
    for dtype in ("float32", "int8", "uint8"):
        check(conv(dtype, (24, 24, 8), (24, 3, 3)), numerics(dtype), threads=2, runs=1)


@pytest.mark.skipif(not models(), reason="TINYINTERP_MODELS is not set")
def test_real_operators() -> None:
    assert run_all(real("CONV_2D", ("float32", "int8", "uint8")), compare) == 10


def test_refusals() -> None:
    def fails(error: type[Exception], text: str, model: Model) -> None:
        with pytest.raises(error, match=text):
            ours(model, 0)

    def made(x: Sequence[int] = (1, 4, 4, 2), w: Sequence[int] = (3, 2, 2, 2), b: int = 3, dtype: str = "float32",
             w_scale: Sequence[float] = (1.0,), y_scale: bool = True, **changed: Any) -> Model:
        quant = {"scale": 1.0} if dtype != "float32" else {}
        kernel = tensor("w", dtype, w, data=np.ones(w), **({"scale": w_scale} if quant else {}))
        return one_op("CONV_2D", [tensor("x", dtype, x, **quant), kernel,
                                  tensor("b", "int32" if quant else "float32", [b], data=np.ones(b))],
                      [tensor("y", dtype, (1, 1, 1, 3), **(quant if y_scale else {}))],
                      options.Conv2DOptions(**({"stride_w": 1, "stride_h": 1} | changed)))

    fails(ShapeError, r"CONV_2D \(operator 0, tensor 'y'\): strides 0, 1", made(stride_h=0))
    fails(ShapeError, "strides", made(stride_w=-1))
    fails(ShapeError, "dilation", made(dilation_h_factor=0))
    fails(ShapeError, "x is not", made(x=(4, 4, 2)))
    fails(ShapeError, "w is not", made(w=(3, 2, 2)))
    fails(ShapeError, "x has 2 channels, w expects 3", made(w=(3, 2, 2, 3)))
    fails(ShapeError, "3 output channels do not divide", made(w=(3, 2, 2, 1)))
    fails(ShapeError, "bias has 2 values", made(b=2))
    fails(ShapeError, "fused activation", made(fused_activation_function=Activation.TANH))
    fails(ShapeError, "fused activation", made(fused_activation_function=Activation.SIGN_BIT))
    fails(ModelError, "num_scales must be 1", made(dtype="int8", w_scale=[1.0, 2.0]))
    fails(QuantError, "needs one scale", made(dtype="int8", y_scale=False))
    fails(UnsupportedOpError, "no kernel takes", made(dtype="int16"))
