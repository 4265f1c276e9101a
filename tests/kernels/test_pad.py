"""PAD, PADV2, MIRROR_PAD against the official interpreter, by hand, and what they refuse."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from tests.harness import check, cut, every_kernel, operators, ours, random_value
from tinyinterp.errors import QuantError, ShapeError, UnsupportedOpError
from tinyinterp.kernels.jit import DISABLED
from tinyinterp.schema import MirrorPadMode, Model, options
from tinyinterp.schema.build import one_op, tensor

REFLECT, SYMMETRIC = MirrorPadMode.REFLECT, MirrorPadMode.SYMMETRIC


def pad(shape: Sequence[int], pads: Sequence[Sequence[int]], dtype: str = "float32", fill: Any = None, index: str = "int32",
        fed: bool = False, mode: MirrorPadMode | None = None, fill_quant: dict[str, Any] | None = None, **quant: Any) -> Model:
    """PAD, or with a fill PADV2 ("fed": a second input), or with a mode MIRROR_PAD."""
    given = tensor("paddings", index, [len(pads), 2], data=None if fed else np.array(pads, index).reshape(-1, 2))
    x, y = tensor("x", dtype, shape, **quant), tensor("y", dtype, [n + sum(p) for n, p in zip(shape, pads)], **quant)
    inputs = [x, given]
    if fill is not None:
        inputs.append(tensor("fill", dtype, [1], data=None if fill is ... else np.full(1, fill, dtype), **(fill_quant or quant)))
    if mode is not None:
        return one_op("MIRROR_PAD", inputs, [y], options.MirrorPadOptions(mode))
    return one_op("PAD" if fill is None else "PADV2", inputs, [y])


def test_by_hand() -> None:
    assert ours(pad([2], [[1, 2]], "int8", scale=0.5, zero_point=-3), [7, 8])[0].tolist() == [-3, 7, 8, -3, -3]
    assert ours(pad([1, 2], [[0, 1], [1, 0]], "int32", 9), [[7, 8]])[0].tolist() == [[9, 7, 8], [9, 9, 9]]
    assert ours(pad([3], [[2, 2]], "int8", mode=REFLECT), [1, 2, 3])[0].tolist() == [3, 2, 1, 2, 3, 2, 1]
    assert ours(pad([3], [[2, 2]], "int8", mode=SYMMETRIC), [1, 2, 3])[0].tolist() == [2, 1, 1, 2, 3, 3, 2]


@pytest.mark.parametrize("dtype", ["float32", "int8", "uint8", "int16", "int32", "int64", "bool", "float16"])
def test_pad(dtype: str) -> None:
    rng = np.random.default_rng(7)
    for rank in (1, 2, 3, 4, 5):
        for index in ("int32", "int64"):
            shape = [int(d) for d in rng.integers(1, 5, rank)]
            pads = (rng.integers(0, 4, (rank, 2)) * (rng.random((rank, 1)) < 0.6)).tolist()
            check(pad(shape, pads, dtype, index=index), runs=1)
            check(pad(shape, pads, dtype, 1, index=index), runs=1)


def test_image() -> None:
    """The common one: H and W of an image."""
    for pads in ([[0, 0], [1, 1], [1, 1], [0, 0]], [[0, 0], [0, 1], [0, 1], [0, 0]], [[0, 0], [0, 0], [0, 0], [0, 3]]):
        check(pad([2, 5, 6, 3], pads))
        for dtype, zero in (("int8", -128), ("int8", 5), ("uint8", 131), ("int16", 0)):
            check(pad([2, 5, 6, 3], pads, dtype, scale=0.02, zero_point=zero))
    check(pad([1, 60, 60, 16], [[0, 0], [1, 1], [1, 1], [0, 0]]), threads=2)


@pytest.mark.parametrize("dtype", ["float32", "int8", "uint8", "int16", "int64", "float16"])
def test_every_kernel(dtype: str) -> None:
    """Rows of all lengths around a vector, borders at either end, blocks that lie in the border, a fill of -0."""
    rng, least = np.random.default_rng(8), 1 if DISABLED else 2
    cases = [((5, n), ((1, 2), (a, b))) for n, a, b in ((1, 1, 0), (7, 0, 3), (8, 1, 1), (15, 9, 2), (33, 0, 70), (64, 17, 0))]
    cases += [((2, 5, 6, 3), ((0, 0), (1, 1), (1, 2), (0, 0))), ((2, 3, 4, 5), ((1, 0), (0, 2), (0, 1), (2, 0))),
              ((1, 4, 9, 20), ((0, 0), (0, 0), (1, 1), (1, 1))), ((7, 300), ((0, 1), (0, 0))), ((3, 2000), ((1, 0), (600, 0)))]
    for k, (shape, pads) in enumerate(cases):
        for fill in (None, 3) if "float" not in dtype else (None, 3, -0.0):
            for mode in ("default", "builtin"):
                value = random_value(dtype, shape, rng)
                assert every_kernel(pad(shape, pads, dtype, fill), mode, value, threads=1 + k % 2) >= least


def test_nothing_to_pad() -> None:
    check(pad([2, 3], [[0, 0], [0, 0]]))
    check(pad([2, 3], [[0, 0], [0, 0]], mode=SYMMETRIC))


def test_fill() -> None:
    for dtype, zero in (("int8", 3), ("uint8", 4)):
        check(pad([2, 3], [[1, 0], [0, 2]], dtype, 50, scale=0.25, zero_point=zero))
        check(pad([2, 3], [[1, 0], [0, 2]], dtype, ..., scale=0.25, zero_point=zero))
    for value in (np.nan, 1e-42, -np.inf):
        check(pad([2, 3], [[1, 0], [0, 2]], "float32", value), runs=1)
    check(pad([2, 3], [[1, 0], [0, 2]], "float32", ...))


def test_minus_zero() -> None:
    """The optimized kernels write +0.0 for it."""
    image, other = [[0, 0], [1, 0], [0, 2], [0, 0]], [[1, 0], [1, 0], [0, 2], [0, 0]]
    for pads in (image, other):
        check(pad([1, 2, 2, 1], pads, "float32", -0.0), ("reference", "default"), runs=1)
        check(pad([1, 2, 2, 1], pads, "float16", -0.0), runs=1)
        check(pad([1, 2, 2, 1], pads, "float32", ...), ("reference", "default"), inputs={1: np.array([-0.0], np.float32)}, runs=1)
        check(pad([1, 2, 2, 1], pads, "float16", -0.0, fed=True), inputs={1: np.array(pads, np.int32)}, runs=1)


@pytest.mark.parametrize("numerics", ["reference", "default", "builtin"])
def test_bits_are_kept(numerics: str) -> None:
    """A NaN keeps its payload, a denormal its bits."""
    bits = np.array([0x7F800001, 0xFFC12345, 1, 0x80000000, 0x807FFFFF, 0x7F800000], np.uint32)
    made = ours(pad([6], [[1, 1]]), bits.view(np.float32), numerics=numerics)[0]
    assert made.view(np.uint32).tolist() == [0, *bits.tolist(), 0]


def test_fed_paddings() -> None:
    for pads in ([[1, 2], [0, 1]], [[0, 0], [3, 0]]):
        check(pad([2, 3], pads, "float32", fed=True), inputs={1: np.array(pads, np.int32)})
        check(pad([4, 5], pads, "int8", fed=True, mode=SYMMETRIC), inputs={1: np.array(pads, np.int32)})


@pytest.mark.parametrize("mode", [REFLECT, SYMMETRIC])
@pytest.mark.parametrize("dtype", ["float32", "int8", "int16", "int64"])
def test_mirror_pad(dtype: str, mode: MirrorPadMode) -> None:
    rng = np.random.default_rng(8)
    for rank in (1, 2, 3, 4, 5):
        for _ in range(3):
            shape = [int(d) for d in rng.integers(1, 6, rank)]
            pads = [[int(rng.integers(0, d - 1 + mode + 1)) if rng.random() < 0.6 else 0 for _ in range(2)] for d in shape]
            check(pad(shape, pads, dtype, mode=mode, index="int64" if rank == 2 else "int32"), runs=1)


def test_real_models() -> None:
    for name in ("PAD", "PADV2", "MIRROR_PAD"):
        for _, i, model in operators(name, 12):
            part = cut(model, i)
            if part.subgraphs[0].tensors[0].shape:  # else a shape that only the rest of its model tells
                check(part, runs=1)


@pytest.mark.parametrize(("model", "text"), [
    (pad([2, 3], [[0, 1]]), r"PAD .*paddings are \[1, 2\], need \[2, 2\]"),
    (pad([2], [[2, -1]]), "greater than equal to 0"),
    (pad([2], [[1, 1]], mode=REFLECT, index="int16"), "int32 or int64"),
    (pad([2], [[2, 0]], mode=REFLECT), "more than"),
    (pad([2], [[0, 3]], mode=SYMMETRIC), "more than"),
])
def test_refusals(model: Model, text: str) -> None:
    with pytest.raises(ShapeError, match=text):
        ours(model)


def test_beyond_an_int32() -> None:
    x, y = tensor("x", "int8", [1]), tensor("y", "int8", [1])
    for index, value in (("int32", 2**31 - 1), ("int64", 2**62)):
        with pytest.raises(ShapeError, match=r"PAD .*would be"):
            ours(one_op("PAD", [x, tensor("p", index, data=np.array([[value, value]], index))], [y]))


def test_other_refusals() -> None:
    with pytest.raises(QuantError, match=r"PADV2.*must be equal"):
        ours(pad([2], [[1, 1]], "int8", 5, fill_quant={"scale": 0.5, "zero_point": 1}, scale=0.5, zero_point=0))
    with pytest.raises(UnsupportedOpError, match="UINT32"):
        ours(pad([2], [[1, 1]], "uint32"))
    x, y = tensor("x", "float32", [2]), tensor("y", "float32", [3])
    paddings = tensor("p", "int32", data=np.array([[0, 1]], np.int32))
    with pytest.raises(ShapeError, match="has 2 values"):
        ours(one_op("PADV2", [x, paddings, tensor("fill", "float32", data=np.zeros(2, np.float32))], [y]))
    with pytest.raises(ShapeError, match="another type"):
        ours(one_op("PADV2", [x, paddings, tensor("fill", "int8", data=np.zeros(1, np.int8))], [y]))
