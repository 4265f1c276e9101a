"""FULLY_CONNECTED against the official interpreter, by hand, and what it refuses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from tests.harness import check, compare, models, ours
from tests.kernels.images import bias, image, numerics, real, run_all, special, weights
from tinyinterp.errors import ShapeError, UnsupportedOpError
from tinyinterp.schema import Activation, FullyConnectedOptionsWeightsFormat, Model, options
from tinyinterp.schema.build import one_op, tensor

# x, outputs, keep_num_dims
SHAPES = [
    ((1, 7), 3, False),
    ((3, 5), 8, False),
    ((2, 3, 16), 17, True),
    ((2, 3, 16), 17, False),
    ((1, 1, 1, 300), 10, False),
    ((5, 33), 1, False),
    ((1, 700), 6, False),
    ((9, 64), 23, False),
    ((4,), 3, False),
    ((4,), 3, True),
    ((2, 6), 4, False),
]


def fully_connected(dtype: str, x: Sequence[int], units: int, keep: bool = False, act: Activation = Activation.NONE, *,
                    per_channel: bool = False, fed: str = "", biased: bool = True, seed: int = 0, depth: int = 0,
                    zero_point: int | None = None, out_scale: float = 0.3) -> Model:
    """`fed` names what is an input of the model instead of a constant: w, b. `depth`: when it is not x's last dimension."""
    depth = depth or x[-1]
    w, scales = weights(dtype, (units, depth), 0, seed, per_channel=per_channel, zero_point=zero_point, fed="w" in fed)
    shape = (*x[:-1], units) if keep else (int(np.prod(x)) // depth, units)
    inputs = [image("x", dtype, x), w, *([bias(dtype, scales, units, seed, fed="b" in fed)] if biased else [])]
    return one_op("FULLY_CONNECTED", inputs, [image("y", dtype, shape, out_scale)],
                  options.FullyConnectedOptions(act, keep_num_dims=keep), 5)


def by_hand(dtype: str) -> Model:
    def quant(scale: float) -> dict[str, float]:
        return {} if dtype == "float32" else {"scale": scale}

    w = tensor("w", dtype, data=[[1, 2, 3], [-4, 5, -6]], **quant(0.5))
    b = tensor("b", "float32" if dtype == "float32" else "int32", data=[-24, -42], **quant(0.25))
    x, y = tensor("x", dtype, (1, 3), **quant(0.5)), tensor("y", dtype, (1, 2), **quant(1.0))
    return one_op("FULLY_CONNECTED", [x, w, b], [y])


def test_by_hand() -> None:
    """1*1 + 2*2 + 3*3 - 24 = -10, and 10 - 4 - 18 - 42 = -54. Quantized, a quarter of that: -2.5 and -13.5."""
    x = np.array([[1, 2, 3]])
    quarters = {"reference": [-3, -14], "builtin": [-2, -13], "default": [-2, -14]}  # half away from zero, up, to even
    for mode, expected in quarters.items():
        assert ours(by_hand("float32"), x, numerics=mode)[0].tolist() == [[-10, -54]]
        assert ours(by_hand("int8"), x, numerics=mode)[0].tolist() == [expected]
        assert compare(by_hand("int8"), mode, {0: x.astype(np.int8)}) == []


@pytest.mark.parametrize("dtype", ["float32", "int8", "uint8"])
def test_shapes(dtype: str) -> None:
    for i, shape in enumerate(SHAPES):
        for biased in (True, False):
            per_channel = dtype == "int8" and i % 2 > 0
            check(fully_connected(dtype, *shape, seed=i, per_channel=per_channel, biased=biased), numerics(dtype), runs=1)
    check(fully_connected(dtype, (4, 6), 5, depth=8), numerics(dtype), runs=1)


@pytest.mark.parametrize("dtype", ["float32", "int8", "uint8"])
def test_activations(dtype: str) -> None:
    for act in (Activation.RELU, Activation.RELU6, Activation.RELU_N1_TO_1):
        for fed in ("", "w"):
            check(fully_connected(dtype, (3, 20), 12, act=act, out_scale=0.05, fed=fed), numerics(dtype), runs=1)


@pytest.mark.parametrize("dtype", ["float32", "int8", "uint8"])
def test_what_the_delegate_refuses(dtype: str) -> None:
    """Weights or a bias that a run brings. The order of the float sums depends on the place in the output."""
    for fed in ("w", "b", "wb"):
        for i, shape in enumerate(SHAPES):
            check(fully_connected(dtype, *shape, fed=fed, seed=i), numerics(dtype), runs=1)
    for rows, depth, units in ((6, 100, 13), (8, 37, 19), (7, 64, 23), (5, 50, 9), (3, 9, 300), (4, 8, 6), (9, 8, 3), (1, 19, 1)):
        check(fully_connected(dtype, (rows, depth), units, fed="w", biased=False), numerics(dtype), runs=1)


def test_deep() -> None:
    """Sums that the official kernels cut to fit a cache."""
    for rows, depth, units in ((5, 1100, 9), (2, 2100, 5), (6, 1017, 15), (4, 1016, 4), (1, 3000, 5)):
        for fed in ("w", ""):
            check(fully_connected("float32", (rows, depth), units, fed=fed), ("reference", "default"), runs=1)
    check(fully_connected("int8", (2, 5000), 5, out_scale=20.0), runs=1)


def test_zero_points_of_weights() -> None:
    """int8 ones are refused by the delegate, uint8 ones taken."""
    for zero in (0, 1, 128, 255):
        check(fully_connected("uint8", (3, 40), 17, zero_point=zero), runs=1)
    for zero in (-128, 3, 127):
        check(fully_connected("int8", (3, 40), 17, zero_point=zero), runs=1)


def test_big_requantization_scale() -> None:
    """The official default refuses such a model altogether; the other two run it."""
    model = fully_connected("int8", (3, 40), 17, out_scale=1e-6)
    check(model, ("reference", "builtin"))
    x = np.random.default_rng(0).integers(-128, 128, (3, 40))
    assert np.array_equal(ours(model, x, numerics="default")[0], ours(model, x, numerics="builtin")[0])


def test_special_values() -> None:
    for rows in (1, 4):
        check(fully_connected("float32", (rows, 40), 9), ("reference", "default"), inputs={0: special((rows, 40))}, runs=1)
        check(fully_connected("float32", (rows, 40), 9, fed="w"), ("reference",),
              inputs={0: special((rows, 40)), 1: special((9, 40))}, runs=1)
    w = tensor("w", "float32", data=special((9, 4)))
    model = one_op("FULLY_CONNECTED", [image("x", "float32", (2, 4)), w], [image("y", "float32", (2, 9))])
    check(model, ("reference", "default"))


def test_threads() -> None:
    for dtype in ("float32", "int8", "uint8"):
        check(fully_connected(dtype, (20, 64), 70), numerics(dtype), threads=2, runs=1)


@pytest.mark.skipif(not models(), reason="TINYINTERP_MODELS is not set")
def test_real_operators() -> None:
    assert run_all(real("FULLY_CONNECTED", ("float32", "int8", "uint8")), compare) == 10


def test_refusals() -> None:
    def fails(error: type[Exception], text: str, x: Sequence[int] = (2, 4), w: Sequence[int] = (3, 4), b: int = 3,
              dtype: str = "float32", **changed: Any) -> None:
        quant = {"scale": 1.0} if dtype != "float32" else {}
        model = one_op("FULLY_CONNECTED", [tensor("x", dtype, x, **quant), tensor("w", dtype, data=np.ones(w), **quant),
                                           tensor("b", "int32" if quant else "float32", data=np.ones(b))],
                       [tensor("y", dtype, (2, 3), **quant)], options.FullyConnectedOptions(**changed))
        with pytest.raises(error, match=text):
            ours(model, 0)

    fails(ShapeError, r"FULLY_CONNECTED \(operator 0, tensor 'y'\): x has 8 values, w expects a multiple of 5", w=(3, 5))
    fails(ShapeError, "w is not", w=(3, 4, 1))
    fails(ShapeError, "bias has 2 values", b=2)
    fails(ShapeError, "x ends in", x=(4, 2), keep_num_dims=True)
    fails(ShapeError, "shuffled", weights_format=FullyConnectedOptionsWeightsFormat.SHUFFLED4x16INT8)
    fails(ShapeError, "fused activation", fused_activation_function=Activation.TANH)
    fails(UnsupportedOpError, "no kernel takes", dtype="int16")
