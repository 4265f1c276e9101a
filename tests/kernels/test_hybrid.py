"""Hybrid operators, float32 by int8, against the official interpreter, and each kernel against its definition."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from tests.harness import NUMERICS, check, compare, cut, every_kernel, models, operators
from tests.kernels.images import bias, image, special
from tests.kernels.test_gemm import forced as forced
from tests.kernels.test_gemm import forgotten as forgotten
from tests.kernels.test_gemm import needed
from tinyinterp.kernels import gemm_hybrid_amx
from tinyinterp.kernels.jit import DISABLED
from tinyinterp.kernels.micro import cpu
from tinyinterp.schema import Activation, Model, Padding, TensorType, options
from tinyinterp.schema.build import one_op, tensor
from tinyinterp.schema.frozen import changed as replace

SAME, VALID = Padding.SAME, Padding.VALID


def operands(x: Sequence[int], w: Sequence[int], axis: int, seed: int, per_channel: bool, biased: bool = True) -> list[Any]:
    """Weights without -128, which converters do not write: some of the official sums of products take it for 128."""
    rng = np.random.default_rng(seed)
    scales = rng.uniform(0.004, 0.02, w[axis] if per_channel else 1).astype(np.float32)
    kernel = tensor("w", "int8", w, scale=scales, zero_point=0, axis=axis if per_channel else 0, data=rng.integers(-127, 128, w))
    return [image("x", "float32", x), kernel, *([bias("float32", np.ones(1), w[axis], seed)] if biased else [])]


def fully_connected(x: Sequence[int], units: int, seed: int = 0, *, per_channel: bool = False, biased: bool = True,
                    asymmetric: bool = False, keep: bool = False, act: Activation = Activation.NONE) -> Model:
    shape = (*x[:-1], units) if keep else (int(np.prod(x)) // x[-1], units)
    return one_op("FULLY_CONNECTED", operands(x, (units, x[-1]), 0, seed, per_channel, biased), [image("y", "float32", shape)],
                  options.FullyConnectedOptions(act, keep_num_dims=keep, asymmetric_quantize_inputs=asymmetric), 9)


def conv(x: Sequence[int], w: Sequence[int], groups: int = 1, stride: int = 1, dilation: int = 1, padding: Padding = SAME,
         seed: int = 0, *, per_channel: bool = False, batch: int = 2, act: Activation = Activation.NONE) -> Model:
    made = operands((batch, *x), (*w, x[2] // groups), 0, seed, per_channel or groups > 1)
    return one_op("CONV_2D", made, [image("y", "float32", (batch, 1, 1, w[0]))],
                  options.Conv2DOptions(padding, stride, stride, act, dilation, dilation), 5)


def depthwise(x: Sequence[int], window: Sequence[int], multiple: int = 1, stride: int = 1, dilation: int = 1,
              padding: Padding = SAME, seed: int = 0, *, batch: int = 2, act: Activation = Activation.NONE) -> Model:
    made = operands((batch, *x), (1, *window, x[2] * multiple), 3, seed, True)
    return one_op("DEPTHWISE_CONV_2D", made, [image("y", "float32", (batch, 1, 1, x[2] * multiple))],
                  options.DepthwiseConv2DOptions(padding, stride, stride, multiple, act, dilation, dilation), 6)


def transpose_conv(x: Sequence[int], w: Sequence[int], stride: int, padding: Padding, seed: int = 0, *, per_channel: bool = True,
                   batch: int = 2, act: Activation = Activation.NONE) -> Model:
    size = [d * stride if padding == SAME else (d - 1) * stride + k for d, k in zip(x, w[1:])]
    made = operands((batch, *x), (*w, x[2]), 0, seed, per_channel, seed % 2 > 0)
    shape = tensor("shape", "int32", data=np.array([batch, *size, w[0]], np.int32))
    return one_op("TRANSPOSE_CONV", [shape, made[1], made[0], *made[2:]], [image("y", "float32", (batch, *size, w[0]))],
                  options.TransposeConvOptions(padding, stride, stride, act), 3)


def values(shape: Sequence[int], seed: int = 0) -> np.ndarray:
    """Rows of different ranges: mixed, positive only, negative only, zeros, small, great."""
    rng = np.random.default_rng(seed)
    x = rng.normal(0, 2, shape).astype(np.float32).reshape(-1, shape[-1])
    for i, row in enumerate(x):
        kind = (i + seed) % 7
        row[...] = (row, abs(row), -abs(row), 0 * row, row * np.float32(1e-20), row * np.float32(1e20), row + np.float32(3))[kind]
    return x.reshape(shape)


# x, outputs
ROWS = [((1, 7), 3), ((3, 5), 8), ((14, 16), 17), ((9, 300), 10), ((5, 33), 1), ((1, 700), 6), ((9, 64), 23), ((2, 3, 6), 4),
        ((8, 1), 2)]
# x [H, W, C], w [O, KH, KW], groups, stride, dilation, padding
CONVS = [
    ((7, 6, 3), (5, 3, 3), 1, 2, 1, SAME),
    ((5, 5, 16), (24, 1, 1), 1, 1, 1, VALID),
    ((5, 5, 16), (24, 1, 1), 1, 1, 1, SAME),
    ((5, 5, 16), (24, 1, 1), 1, 2, 1, SAME),
    ((5, 5, 1), (1, 1, 1), 1, 1, 1, SAME),
    ((6, 7, 4), (4, 3, 3), 4, 1, 1, SAME),
    ((6, 6, 12), (6, 3, 2), 3, 1, 2, SAME),
    ((6, 6, 8), (16, 1, 1), 2, 1, 1, VALID),
    ((8, 5, 1), (1, 3, 3), 1, 1, 1, SAME),
    ((9, 9, 5), (3, 3, 3), 1, 1, 3, VALID),
    ((9, 4, 3), (33, 2, 4), 1, 3, 1, SAME),
    ((4, 4, 70), (13, 3, 3), 1, 1, 1, SAME),
]
# x [H, W, C], window, multiple, stride, dilation, padding
WINDOWS = [
    ((7, 6, 3), (3, 3), 1, 1, 1, SAME),
    ((7, 6, 8), (3, 3), 1, 2, 1, SAME),
    ((9, 8, 17), (5, 3), 1, 1, 2, VALID),
    ((6, 6, 4), (3, 3), 2, 1, 1, SAME),
    ((6, 5, 7), (2, 2), 3, 2, 1, SAME),
    ((12, 1, 5), (5, 1), 1, 1, 1, SAME),
]


# x [H, W, C], w [O, KH, KW], stride, padding
TRANSPOSED = [((3, 4, 5), (7, 3, 3), 2, SAME), ((4, 3, 2), (8, 2, 2), 2, VALID), ((2, 3, 9), (3, 4, 2), 1, SAME),
              ((3, 2, 4), (5, 2, 2), 3, SAME), ((3, 3, 3), (4, 5, 5), 3, VALID)]


def test_fully_connected() -> None:
    for i, (x, units) in enumerate(ROWS):
        for asymmetric in (False, True):
            for per_channel in (False, True):
                for biased in (False, True):
                    check(fully_connected(x, units, i, per_channel=per_channel, asymmetric=asymmetric, biased=biased,
                                          keep=i % 2 > 0), inputs={0: values(x, i)}, runs=1)


def test_int4() -> None:
    """Two weights in a byte. The delegate refuses an odd number of columns; the official builtin kernel goes a way of its own."""
    rng = np.random.default_rng(0)
    for i, (x, units) in enumerate([((3, 8), 5), ((5, 7), 6), ((4, 64), 33), ((1, 65), 8), ((1, 300), 17)]):
        for asymmetric in (False, True):
            scales = rng.uniform(0.01, 0.1, units if i % 2 else 1).astype(np.float32)
            w = tensor("w", "int4", data=rng.integers(-7, 8, (units, x[1])), scale=scales, zero_point=0)
            model = one_op("FULLY_CONNECTED", [image("x", "float32", x), w, bias("float32", np.ones(1), units, i)],
                           [image("y", "float32", (x[0], units))],
                           options.FullyConnectedOptions(asymmetric_quantize_inputs=asymmetric), 12)
            for mode in ("default", "reference"):
                check(model, (mode,), inputs={0: values(x, i)}, runs=1)
                every_kernel(model, mode, values(x, i))


def test_conv() -> None:
    for i, shape in enumerate(CONVS):
        for per_channel in (False, True):
            for k in range(2):
                check(conv(*shape, seed=i, per_channel=per_channel), inputs={0: values((2, *shape[0]), i + k)}, runs=1)


def test_depthwise() -> None:
    for i, shape in enumerate(WINDOWS):
        for k in range(2):
            check(depthwise(*shape, seed=i), inputs={0: values((2, *shape[0]), i + k)}, runs=1)


def test_transpose_conv() -> None:
    for i, shape in enumerate(TRANSPOSED):
        for per_channel in (False, True):
            for k in range(2):
                model = transpose_conv(*shape, seed=i + k, per_channel=per_channel)
                check(model, inputs={0: values((2, *shape[0]), i + k)}, runs=1)


def test_activations() -> None:
    for act in (Activation.RELU, Activation.RELU6, Activation.RELU_N1_TO_1):
        check(fully_connected((5, 33), 9, act=act), runs=1)
        check(conv(*CONVS[0], act=act), runs=1)
        check(conv(*CONVS[1], act=act, per_channel=True), runs=1)
        check(depthwise(*WINDOWS[1], act=act), runs=1)


def test_special_values() -> None:
    """Infinities and NaN: any answer, but one; rows of zeros with a bias of -0, which the builtin kernels keep."""
    for x, model in (((9, 40), fully_connected((9, 40), 9)), ((2, 7, 6, 3), conv(*CONVS[0])), ((2, 5, 5, 16), conv(*CONVS[1])),
                     ((2, 7, 6, 8), depthwise(*WINDOWS[1]))):
        for mode in NUMERICS:
            every_kernel(model, mode, special(x))
    w, b = tensor("w", "int8", data=np.ones((3, 4)), scale=0.5, zero_point=0), tensor("b", "float32", data=np.full(3, -0.0))
    model = one_op("FULLY_CONNECTED", [image("x", "float32", (2, 4)), w, b], [image("y", "float32", (2, 3))])
    for x in (np.zeros((2, 4)), np.array([[0, 0, 0, 0], [1, 0, 0, 0]])):
        check(model, inputs={0: x.astype(np.float32)}, runs=1)
        for mode in NUMERICS:
            every_kernel(model, mode, x)


def test_threads() -> None:
    for mode in NUMERICS:
        check(fully_connected((40, 64), 70, per_channel=True), (mode,), threads=2, runs=1)
        check(conv((24, 24, 8), (24, 3, 3), per_channel=True), (mode,), threads=2, runs=1)
        check(conv((24, 24, 8), (24, 1, 1), batch=1), (mode,), threads=2, runs=1)
        check(depthwise((24, 24, 8), (3, 3)), (mode,), threads=2, runs=1)


def test_what_the_delegate_refuses() -> None:
    """Weights or a bias that a run brings, no bias."""
    for model in (conv(*CONVS[0]), conv(*CONVS[1]), fully_connected((3, 40), 9, per_channel=True)):
        part = model.subgraphs[0]
        for fed in (1, 2):
            tensors = [replace(t, buffer=0) if i == part.operators[0].inputs[fed] else t for i, t in enumerate(part.tensors)]
            changed = replace(part, tensors=tuple(tensors), inputs=(*part.inputs, part.operators[0].inputs[fed]))
            weights = np.random.default_rng(0).integers(-127, 128, part.tensors[part.operators[0].inputs[1]].shape, np.int8)
            check(replace(model, subgraphs=(changed,)), inputs={1: weights} if fed == 1 else None, runs=1)


# ---------------------------------------------------------------------------------------------------------------- tiles
TILES = [("amx", 64, 6), ("amx", 32, 12), ("amx", 16, 14), ("amx", 16, 1), ("avx512", 32, 6), ("avx512", 16, 3), ("avx2", 8, 4),
         ("avx2", 8, 1)]  # sums are those of `test_gemm.py`


def sweep(nr: int, mr: int, mode: str = "default") -> None:
    """Rows, columns and depths around the tile; windows over the edge, of one cell, and groups; rows of their own."""
    rows = [*sorted({1, max(mr - 1, 1), mr, mr + 1, 2 * mr + 1}), 3, mr]
    columns = [nr, nr + 1, 1, max(nr - 1, 1), 2 * nr + 3, nr, 5]
    for i, (m, n, k) in enumerate(zip(rows, columns, (1, 2, 3, 4, 7, 16, 37))):
        kernel, groups = (((n, 1, 1), 1), ((n, 3, 2), 1), ((2 * n, 1, 3), 2))[i % 3]
        x, batch, threads = (1, m, k * groups) if i % 2 else (m, 1, k * groups), 1 + i % 2, 1 + i % 3
        model = conv(x, kernel, groups, seed=i, batch=batch, per_channel=i % 4 > 1)
        assert every_kernel(model, mode, values((batch, *x), i), threads=threads) > 1
        model = fully_connected((m, k), n, i, per_channel=i % 4 > 1, asymmetric=i % 2 > 0, act=Activation.RELU6)
        assert every_kernel(model, mode, values((m, k), i), threads=threads) > 1


@pytest.mark.skipif(DISABLED, reason="about machine code")
@pytest.mark.parametrize("forced", TILES, indirect=True, ids=str)
def test_tiles(forced: tuple[str, int, int]) -> None:
    for mode in ("default", *(("reference", "builtin") if forced[2] < 4 else ())):
        sweep(*forced[1:], mode)


@pytest.mark.skipif(DISABLED or cpu.level() != "amx", reason="this processor has no AMX")
def test_amx_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """32 x 32, at maps and depths where vpdpbusd would be chosen."""
    monkeypatch.setattr(gemm_hybrid_amx, "best_tile", lambda *a: (16, 1, float("inf")))
    for k, mode in enumerate(NUMERICS):
        for mr, nr in ((1, 1), (5, 31), (16, 32), (17, 33), (33, 70)):
            sweep(nr + k, mr, mode)


@pytest.mark.skipif(DISABLED, reason="about machine code")
@pytest.mark.parametrize("level", ["amx", "avx512", "avx2"])
def test_windows(level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Depthwise: channels around a vector, several outputs for a channel, maps smaller than a group. Transposed: phases with
    and without taps or padding."""
    monkeypatch.setenv("TINYINTERP_ISA", level)
    cpu.level.cache_clear()
    needed(level)
    more = [((9, 9, c), (3, 3), 1, 1, 1, SAME) for c in (1, 15, 16, 19, 40)] + [((5, 1, 37), (3, 1), 1, 2, 1, SAME)]
    for i, shape in enumerate(WINDOWS + more):
        for k, mode in enumerate(NUMERICS):
            batch = 1 + (i + k) % 2
            expected = 1 + (shape[2] * shape[0][2] % 4 == 0 or mode == "reference" or shape[2] == 1)
            model, x = depthwise(*shape, seed=i, batch=batch), values((batch, *shape[0]), i + k)
            assert every_kernel(model, mode, x, threads=1 + i % 3) == expected
    others = [((8, 8, 32), (32, 2, 2), 2, SAME), ((5, 6, 70), (33, 3, 3), 2, SAME), ((5, 6, 7), (20, 5, 4), 2, VALID)]
    for i, (size, *rest) in enumerate(TRANSPOSED + others):
        for batch in (1, 2):
            model = transpose_conv(size, *rest, seed=i, batch=batch)
            assert every_kernel(model, "default", values((batch, *size), i), threads=1 + i % 3) == 1 + (i != 3)  # refused
    monkeypatch.undo()
    cpu.level.cache_clear()


@pytest.mark.skipif(not models(), reason="TINYINTERP_MODELS is not set")
def test_real_operators() -> None:
    """Those of the given models."""
    found = 0
    for code in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"):
        for path, i, whole in operators(code, 1000):
            part = cut(whole, i).subgraphs[0]
            x, w = (part.tensors[t] for t in part.operators[0].inputs[:2])
            if (x.type, w.type) == (TensorType.FLOAT32, TensorType.INT8) and found < 30 and 1 < np.prod(x.shape) < 1e5:
                for mode in NUMERICS:
                    assert compare(cut(whole, i), mode, runs=1) == [], f"{path.name} operator {i}, {mode}"
                found += 1
    assert found >= 10
