"""TRANSPOSE_CONV against the official interpreter, by hand, and what it refuses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from tests.harness import NUMERICS, check, compare, every_kernel, models, ours, random_value
from tests.kernels.images import bias, image, numerics, real, run_all, special, weights
from tinyinterp.errors import ShapeError, UnsupportedOpError
from tinyinterp.kernels.micro import cpu
from tinyinterp.schema import Activation, Model, Padding, TensorType, options
from tinyinterp.schema.build import one_op, tensor

SAME, VALID = Padding.SAME, Padding.VALID
# x [H, W, C], w [O, KH, KW], strides, padding, y [OH, OW]; the delegate refuses the last three
SHAPES = [
    ((3, 4, 5), (3, 3, 3), (2, 2), SAME, (6, 7)),
    ((2, 5, 8), (8, 2, 2), (2, 2), VALID, (4, 10)),
    ((4, 3, 3), (19, 4, 3), (2, 1), SAME, (7, 3)),
    ((3, 3, 6), (11, 3, 3), (4, 4), VALID, (11, 11)),
    ((3, 3, 2), (4, 2, 3), (3, 2), VALID, (10, 8)),
    ((1, 1, 7), (4, 5, 5), (1, 1), VALID, (5, 5)),
    ((5, 4, 16), (1, 1, 1), (1, 1), SAME, (5, 4)),
    ((6, 7, 33), (12, 5, 5), (2, 2), SAME, (12, 14)),
    ((3, 3, 40), (5, 1, 1), (2, 2), SAME, (6, 6)),
    ((3, 5, 4), (16, 2, 2), (3, 3), SAME, (8, 15)),
    ((4, 5, 20), (13, 1, 2), (2, 3), SAME, (7, 13)),
]


def transpose_conv(dtype: str, x: Sequence[int], w: Sequence[int], strides: Sequence[int], padding: Padding, y: Sequence[int],
                   act: Activation = Activation.NONE, *, per_channel: bool = False, fed: str = "", biased: bool = True,
                   seed: int = 0, sums: str = "int64", out_scale: float = 0.3) -> Model:
    """`fed` names what is an input of the model instead of a constant: s(hape), w, b. `sums`: of int16."""
    wide = dtype == "int16"
    kernel, scales = weights("int8" if wide else dtype, (*w, x[2]), 0, seed, per_channel=per_channel, fed="w" in fed)
    shape = (2, *y, w[0])
    kind = sums if wide else "int32"
    scale = 0.001 if wide else 0.05
    inputs = [tensor("shape", "int32", [4], data=None if "s" in fed else shape), kernel, image("x", dtype, (2, *x), scale)]
    if biased:
        inputs.append(bias(dtype, scales, w[0], seed, kind=kind, scale=scale, fed="b" in fed))
    asked = TensorType.INT32 if wide and sums == "int32" else TensorType.FLOAT32
    return one_op("TRANSPOSE_CONV", inputs, [image("y", dtype, shape, out_scale / 100 if wide else out_scale)],
                  options.TransposeConvOptions(padding, strides[1], strides[0], act, asked), 4)


def given(model: Model, fed: str) -> dict[int, np.ndarray]:
    shape = model.subgraphs[0].tensors[model.subgraphs[0].outputs[0]].shape
    return {0: np.array(shape, np.int32)} if "s" in fed else {}


def by_hand(dtype: str, channels: int = 1) -> Model:
    def quant(scale: float) -> dict[str, float]:
        return {} if dtype == "float32" else {"scale": scale}

    w = tensor("w", dtype, data=np.repeat(np.array([1, 2, 3]).reshape(1, 1, 3, 1), channels, 0), **quant(0.5))
    b = tensor("b", "float32" if dtype == "float32" else "int32", data=np.full(channels, -64), **quant(0.25))
    x, y = tensor("x", dtype, (1, 1, 2, 1), **quant(0.5)), tensor("y", dtype, (1, 1, 5, channels), **quant(1.0))
    return one_op("TRANSPOSE_CONV", [tensor("shape", "int32", data=[1, 1, 5, channels]), w, x, b], [y],
                  options.TransposeConvOptions(VALID, 2, 1))


def test_by_hand() -> None:
    """2 puts 2 4 6 at the start, 4 puts 4 8 12 two cells on: 2 4 10 8 12. Minus 64, quantized a quarter of that:
    -15.5 -15 -13.5 -14 -13."""
    x = np.array([2, 4]).reshape(1, 1, 2, 1)
    away, even = [-16, -15, -14, -14, -13], [-16, -15, -14, -14, -13]
    for mode, expected in (("reference", away), ("default", even), ("builtin", away)):
        assert ours(by_hand("float32"), x, numerics=mode)[0].ravel().tolist() == [-62, -60, -54, -56, -52]
        assert ours(by_hand("int8"), x, numerics=mode)[0].ravel().tolist() == expected
    nine = ours(by_hand("int8", 9), x, numerics="builtin")[0][0, 0].T.tolist()  # eight channels together: half up
    assert nine == [[-15, -15, -13, -14, -13]] * 8 + [away]
    assert compare(by_hand("int8", 9), "builtin", {0: x.astype(np.int8)}) == []


@pytest.mark.parametrize("dtype", ["float32", "int8", "uint8", "int16"])
def test_shapes(dtype: str) -> None:
    for i, shape in enumerate(SHAPES):
        for biased in (True, False):
            per_channel = dtype in ("int8", "int16") and i % 3 > 0
            check(transpose_conv(dtype, *shape, seed=i, per_channel=per_channel, biased=biased), numerics(dtype), runs=1)


def test_floats_without_the_delegate() -> None:
    """They are the reference's, although the first operand is a shape."""
    for i, shape in enumerate(SHAPES):
        x = np.random.default_rng(i).normal(0, 1, (2, *shape[0])).astype(np.float32)
        a, b = (ours(transpose_conv("float32", *shape, seed=i), x, numerics=mode)[0] for mode in ("reference", "builtin"))
        assert a.tobytes() == b.tobytes(), shape


@pytest.mark.parametrize("dtype", ["float32", "int8", "uint8", "int16"])
def test_activations(dtype: str) -> None:
    for act in (Activation.RELU, Activation.RELU6, Activation.RELU_N1_TO_1):
        for i in (0, 9):
            check(transpose_conv(dtype, *SHAPES[i], act=act, out_scale=0.05), numerics(dtype), runs=1)


@pytest.mark.parametrize("dtype", ["float32", "int8", "uint8", "int16"])
def test_what_the_delegate_refuses(dtype: str) -> None:
    """A shape, weights or a bias that a run brings. Where an output lies decides how it is rounded."""
    for fed in ("s", "w", "b", "sw"):
        for i, shape in enumerate(SHAPES):
            model = transpose_conv(dtype, *shape, fed=fed, seed=i, per_channel=dtype == "int8" and i % 2 > 0)
            check(model, numerics(dtype), inputs=given(model, fed), runs=1)


@pytest.mark.parametrize("dtype", ["float32", "int8", "uint8"])
def test_every_kernel(dtype: str) -> None:
    """Tiles of every phase: taps that reach over an edge, phases without taps, channels and pixels left over."""
    rng = np.random.default_rng(1)
    shapes = [*SHAPES, ((9, 7, 6), (70, 3, 3), (2, 2), SAME, (18, 14)), ((12, 5, 8), (16, 4, 4), (2, 2), VALID, (26, 12))]
    for i, shape in enumerate(shapes):
        x = random_value(dtype, (2, *shape[0]), rng)
        model = transpose_conv(dtype, *shape, seed=i, per_channel=dtype == "int8" and i % 3 > 0, biased=i % 4 > 0)
        more = [every_kernel(model, mode, x, threads=1 + i % 2) > 1 for mode in NUMERICS]
        assert any(more)


@pytest.mark.parametrize("level", ["vnni", "avx2", "portable"])
@pytest.mark.parametrize("sums", ["int64", "int32"])
def test_every_kernel_of_int16(sums: str, level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where 64 bits are needed: 1200 cells of the least value."""
    monkeypatch.setenv("TINYINTERP_ISA", level)
    cpu.level.cache_clear()
    rng, found = np.random.default_rng(1), 0
    long = ((3, 3, 300), (5, 4, 4), (2, 2), SAME, (6, 6))
    for i, shape in enumerate([*SHAPES, ((9, 7, 6), (70, 3, 3), (2, 2), SAME, (18, 14)), long]):
        x = random_value("int16", (2, *shape[0]), rng) if shape != long else np.full((2, 3, 3, 300), -32768)
        model = transpose_conv("int16", *shape, seed=i, sums=sums, per_channel=i % 3 > 0, biased=i % 4 > 0)
        found += sum(every_kernel(model, mode, x, threads=1 + i % 2) > 1 for mode in NUMERICS)
    assert found > 20
    monkeypatch.undo()
    cpu.level.cache_clear()


def test_int16_with_sums_of_32_bits() -> None:
    for i, shape in enumerate(SHAPES):
        for biased in (True, False):
            check(transpose_conv("int16", *shape, seed=i, sums="int32", biased=biased, per_channel=i % 2 > 0), runs=1)


def test_big_requantization_scale() -> None:
    """The official default refuses such a model altogether; the other two run it."""
    model = transpose_conv("int8", *SHAPES[0], out_scale=1e-6)
    check(model, ("reference", "builtin"))
    x = np.random.default_rng(0).integers(-128, 128, (2, 3, 4, 5))
    assert np.array_equal(ours(model, x, numerics="default")[0], ours(model, x, numerics="builtin")[0])


def test_special_values() -> None:
    for i in range(len(SHAPES) - 3):
        x, w, *rest = SHAPES[i]
        check(transpose_conv("float32", x, w, *rest), ("reference", "default"), inputs={0: special((2, *x), i)}, runs=1)
        y = rest[-1]
        kernel = tensor("w", "float32", data=special((*w, x[2])))
        model = one_op("TRANSPOSE_CONV", [tensor("shape", "int32", data=[2, *y, w[0]]), kernel, image("x", "float32", (2, *x))],
                       [image("y", "float32", (2, *y, w[0]))], options.TransposeConvOptions(rest[1], rest[0][1], rest[0][0]), 4)
        check(model, ("reference", "default"), runs=1)


def test_threads() -> None:
    for dtype in ("float32", "int8", "uint8"):
        for fed in ("", "b"):
            model = transpose_conv(dtype, (16, 15, 9), (9, 3, 3), (2, 2), SAME, (32, 30), fed=fed)
            check(model, numerics(dtype), threads=2, runs=1)


@pytest.mark.skipif(not models(), reason="TINYINTERP_MODELS is not set")
def test_real_operators() -> None:
    assert run_all(real("TRANSPOSE_CONV", ("float32", "int8"), most=2, work=2e7), compare) == 2


def test_a_shape_that_does_not_fit() -> None:
    """A shape that is fed is checked before anything is written."""
    model = transpose_conv("float32", *SHAPES[0], fed="s")
    for shape in ([2, 9, 7, 3], [1, 6, 7, 3], [2, 6, 7, 4], [2, -6, 7, 3]):
        with pytest.raises(ShapeError, match="TRANSPOSE_CONV"):
            ours(model, np.array(shape), 0)


def test_refusals() -> None:
    def fails(error: type[Exception], text: str, shape: Any = (1, 4, 4, 3), x: Sequence[int] = (1, 2, 2, 2),
              w: Sequence[int] = (3, 2, 2, 2), b: int = 3, dtype: str = "float32", kind: str = "int32", **changed: Any) -> None:
        quant = {"scale": 1.0} if dtype != "float32" else {}
        kernel = tensor("w", "int8" if dtype == "int16" else dtype, data=np.ones(w), **quant)
        inputs = [tensor("shape", kind, data=np.array(shape)), kernel, tensor("x", dtype, x, **quant),
                  tensor("b", "int32" if quant else "float32", data=np.ones(b))]
        model = one_op("TRANSPOSE_CONV", inputs, [tensor("y", dtype, (1, 4, 4, 3), **quant)],
                       options.TransposeConvOptions(**({"padding": SAME, "stride_w": 2, "stride_h": 2} | changed)))
        with pytest.raises(error, match=text):
            ours(model, 0)

    fails(ShapeError, r"TRANSPOSE_CONV \(operator 0, tensor 'y'\): strides 0, 2", stride_h=0)
    fails(ShapeError, "strides", stride_w=-1)
    fails(ShapeError, r"shape is INT32\[3\]", shape=(4, 4, 3))
    fails(ShapeError, "shape is INT64", kind="int64")
    fails(ShapeError, r"does not fit", shape=(1, 0, 4, 3))
    fails(ShapeError, r"does not fit", shape=(1, 4, 4, 2))
    fails(ShapeError, "needs an input of 3 x 2", shape=(1, 5, 4, 3))
    fails(ShapeError, "x has 3 dimensions", x=(2, 2, 2))
    fails(ShapeError, "w has 3 dimensions", w=(3, 2, 2))
    fails(ShapeError, "x has 3 channels, w expects 2", x=(1, 2, 2, 3))
    fails(ShapeError, "bias has 4 values", b=4)
    fails(ShapeError, "fused activation", fused_activation_function=Activation.TANH)
    fails(UnsupportedOpError, "no kernel takes", dtype="int16")  # its bias has 32 bits, the options do not say so
