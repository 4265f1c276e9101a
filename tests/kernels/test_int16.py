"""int16 by int8 CONV_2D, DEPTHWISE_CONV_2D and FULLY_CONNECTED against the official interpreter, and what they refuse."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest

from tests.harness import check, cut, models, operators, ours
from tests.kernels.test_conv import SHAPES as CONV
from tests.kernels.test_depthwise import SHAPES as DEPTHWISE
from tests.kernels.test_fully_connected import SHAPES as FULL
from tinyinterp.errors import UnsupportedOpError
from tinyinterp.schema import Activation, Model, Padding, TensorType, options
from tinyinterp.schema.build import Part, one_op, tensor

SAME, VALID = Padding.SAME, Padding.VALID
ACTIVATIONS = (Activation.NONE, Activation.RELU, Activation.RELU6, Activation.RELU_N1_TO_1)


def image(name: str, shape: Sequence[int], scale: float = 0.001) -> Part:
    return tensor(name, "int16", shape, scale=scale, zero_point=0)


def parts(shape: Sequence[int], axis: int, bits: int | None, seed: int, per_channel: bool, fed: str, most: int,
          zero_point: int = 0) -> list[Part]:
    """w and the bias of so many bits, or none. `fed` names what is an input of the model: w, b. `most`: the greatest bias."""
    rng = np.random.default_rng(seed)
    channels = shape[axis]
    scales = rng.uniform(0.004, 0.02, channels if per_channel else 1).astype(np.float32)
    w = tensor("w", "int8", shape, scale=scales, zero_point=zero_point, axis=axis if per_channel else 0,
               data=None if "w" in fed else rng.integers(-128, 128, shape))
    if bits is None:
        return [w]
    values = None if "b" in fed else rng.integers(-most, most, channels)
    return [w, tensor("b", f"int{bits}", [channels], scale=np.float32(0.001) * scales, data=values)]


def said(bits: int) -> TensorType:
    """What the options say of the sums; 0: nothing."""
    return {0: TensorType.FLOAT32, 32: TensorType.INT32, 64: TensorType.INT64}[bits]


def conv(x: Sequence[int], w: Sequence[int], groups: int = 1, stride: int = 1, dilation: int = 1, padding: Padding = SAME,
         act: Activation = Activation.NONE, *, bits: int | None = 64, sums: int = 0, per_channel: bool = True, fed: str = "",
         seed: int = 0, batch: int = 2, out_scale: float = 0.003, most: int = 300000) -> Model:
    more = parts((*w, x[2] // groups), 0, bits, seed, per_channel, fed, most)
    return one_op("CONV_2D", [image("x", (batch, *x)), *more], [image("y", (batch, 1, 1, w[0]), out_scale)],
                  options.Conv2DOptions(padding, stride, stride, act, dilation, dilation, said(sums)))


def depthwise(x: Sequence[int], multiple: int, window: Sequence[int], stride: int = 1, dilation: int = 1,
              padding: Padding = SAME, act: Activation = Activation.NONE, *, bits: int | None = 64, per_channel: bool = True,
              fed: str = "", seed: int = 0, batch: int = 2, out_scale: float = 0.003, most: int = 300000) -> Model:
    channels = x[2] * multiple
    more = parts((1, *window, channels), 3, bits, seed, per_channel, fed, most)
    return one_op("DEPTHWISE_CONV_2D", [image("x", (batch, *x)), *more], [image("y", (batch, 1, 1, channels), out_scale)],
                  options.DepthwiseConv2DOptions(padding, stride, stride, multiple, act, dilation, dilation))


def fully_connected(x: Sequence[int], units: int, keep: bool = False, act: Activation = Activation.NONE, *,
                    bits: int | None = 64, sums: int = 0, per_channel: bool = True, fed: str = "", seed: int = 0,
                    zero_point: int = 0, out_scale: float = 0.003, most: int = 300000) -> Model:
    more = parts((units, x[-1]), 0, bits, seed, per_channel, fed, most, zero_point)
    shape = (*x[:-1], units) if keep else (int(np.prod(x)) // x[-1], units)
    return one_op("FULLY_CONNECTED", [image("x", x), *more], [image("y", shape, out_scale)],
                  options.FullyConnectedOptions(act, keep_num_dims=keep, quantized_bias_type=said(sums)), 5)


def extremes(shape: Sequence[int], seed: int = 0) -> np.ndarray:
    """The least and the greatest values, many of them in a row."""
    rng = np.random.default_rng(seed)
    return np.where(rng.random(shape) < 0.9, -32768, rng.choice([32767, 0, -1, 1], shape)).astype(np.int16)


def test_conv() -> None:
    for i, shape in enumerate(CONV):
        for bits, sums in ((64, 0), (64, 64), (32, 32)):
            check(conv(*shape, bits=bits, sums=sums, seed=i, per_channel=i % 3 > 0), runs=1)


def test_depthwise() -> None:
    for i, shape in enumerate(DEPTHWISE):
        for bits in (64, None):
            check(depthwise(*shape, bits=bits, seed=i, per_channel=i % 3 > 0), runs=1)


def test_fully_connected() -> None:
    for i, shape in enumerate(FULL):
        for bits, sums in ((64, 0), (64, 64), (32, 32), (None, 0), (None, 32), (None, 64)):
            check(fully_connected(*shape, bits=bits, sums=sums, seed=i, per_channel=i % 2 > 0), runs=1)
        check(fully_connected(*shape, bits=32, seed=i), ("default", "builtin"), runs=1)
    for zero in (-128, 3):
        check(fully_connected((3, 40), 17, zero_point=zero, per_channel=False), runs=1)


def test_activations() -> None:
    for act in ACTIVATIONS:
        for sums in (64, 32):
            check(conv(*CONV[0], act=act, bits=sums, sums=sums, out_scale=0.0005), runs=1)
            check(fully_connected((3, 20), 12, act=act, bits=sums, sums=sums, out_scale=0.0005), runs=1)
        check(depthwise(*DEPTHWISE[0], act=act, out_scale=0.0005), runs=1)


def test_what_a_run_brings() -> None:
    """Weights or a bias that are fed."""
    for fed in ("w", "b"):
        for bits in (64, 32):
            check(conv(*CONV[3], bits=bits, sums=bits, fed=fed), runs=1)
            check(fully_connected((3, 20), 12, bits=bits, sums=bits, fed=fed), runs=1)
        check(depthwise(*DEPTHWISE[1], fed=fed), runs=1)


def test_extremes() -> None:
    """Sums past 32 bits, biases far past them, and multipliers at the ends of what they can be."""
    for bits, most in ((64, 2**40), (64, 2**31), (32, 2**31 - 1)):
        for scale in (3e-8, 1e-4, 0.7, 900.0):
            for seed in (0, 1):
                check(conv((3, 3, 400), (7, 3, 3), bits=bits, sums=bits, most=most, out_scale=scale), runs=1,
                      inputs={0: extremes((2, 3, 3, 400), seed)})
                check(fully_connected((2, 3000), 9, bits=bits, sums=bits, most=most, out_scale=scale), runs=1,
                      inputs={0: extremes((2, 3000), seed)})
        if bits == 64:
            check(depthwise((7, 6, 20), 1, (5, 5), most=most, out_scale=1e-4), runs=1, inputs={0: extremes((2, 7, 6, 20))})


def test_threads() -> None:
    for bits in (64, 32):
        check(conv((24, 24, 8), (24, 3, 3), bits=bits, sums=bits), threads=2, runs=1)
        check(fully_connected((20, 64), 70, bits=bits, sums=bits), threads=2, runs=1)
    check(depthwise((24, 24, 24), 1, (3, 3)), threads=2, runs=1)


@pytest.mark.skipif(not models(), reason="TINYINTERP_MODELS is not set")
def test_real_operators() -> None:
    def found() -> Iterator[tuple[str, Model]]:
        for path, i, whole in operators("CONV_2D", 2000):
            part = whole.subgraphs[0]
            if part.tensors[part.operators[i].inputs[0]].type == TensorType.INT16:
                yield f"{path.name} operator {i}", cut(whole, i)

    made = list(found())
    for _, model in made[:12]:
        check(model, runs=1)
    assert len(made) >= 8


def test_refusals() -> None:
    """A bias that the official kernels would read as another type, and zero points."""
    def fails(model: Model) -> None:
        with pytest.raises(UnsupportedOpError, match="no kernel takes"):
            ours(model, 0)

    fails(conv(*CONV[0], bits=32))
    fails(conv(*CONV[0], bits=32, sums=64))
    fails(conv(*CONV[0], bits=64, sums=32))
    fails(depthwise(*DEPTHWISE[0], bits=32))
    x = tensor("x", "int16", (1, 4), scale=0.1, zero_point=3)
    w: Any = tensor("w", "int8", data=np.ones((2, 4)), scale=0.1, zero_point=0)
    fails(one_op("FULLY_CONNECTED", [x, w], [image("y", (1, 2))], options.FullyConnectedOptions()))
