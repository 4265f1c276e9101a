"""CONCATENATION, PACK, UNPACK, SPLIT, SPLIT_V against the official interpreter, by hand, and what they refuse."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from tests.harness import check, cut, every_kernel, operators, ours, random_value
from tinyinterp.errors import QuantError, ShapeError, UnsupportedOpError
from tinyinterp.kernels.jit import DISABLED
from tinyinterp.schema import Activation, Model, options
from tinyinterp.schema.build import one_op, tensor


def concat(shapes: Sequence[Sequence[int]], axis: int, dtype: str = "float32", scales: Sequence[float] = (),
           zeros: Sequence[int] = (), constant: Sequence[int] = (), **more: Any) -> Model:
    """The last scale and zero point are the output's; `constant`: inputs that are constants."""
    rng = np.random.default_rng(9)
    quant: list[dict[str, Any]] = [{"scale": s, "zero_point": z} for s, z in zip(scales, zeros)] or [{}] * (len(shapes) + 1)
    xs = [tensor(f"x{i}", dtype, s, data=rng.integers(0, 100, s).astype(dtype) if i in constant else None, **q)
          for i, (s, q) in enumerate(zip(shapes, quant))]
    rank = len(shapes[0])
    at = axis % rank if rank and -rank <= axis < rank else 0
    out = [sum(s[at] for s in shapes) if d == at else n for d, n in enumerate(shapes[0])] if rank else [len(shapes)]
    return one_op("CONCATENATION", xs, [tensor("y", dtype, out, **quant[-1])], options.ConcatenationOptions(axis, **more))


def pack(n: int, shape: Sequence[int], axis: int, dtype: str = "float32", **quant: Any) -> Model:
    out = list(shape)
    out.insert(axis % (len(shape) + 1), n)
    xs = [tensor(f"x{i}", dtype, shape, **quant) for i in range(n)]
    return one_op("PACK", xs, [tensor("y", dtype, out, **quant)], options.PackOptions(n, axis))


def unpack(shape: Sequence[int], axis: int, dtype: str = "float32", num: int | None = None) -> Model:
    rest = [d for i, d in enumerate(shape) if i != axis % len(shape)]
    n = shape[axis % len(shape)]
    return one_op("UNPACK", [tensor("x", dtype, shape)], [tensor(f"y{i}", dtype, rest) for i in range(n)],
                  options.UnpackOptions(n if num is None else num, axis))


def split(shape: Sequence[int], axis: int, n: int, dtype: str = "float32", fed: bool = False) -> Model:
    at = tensor("axis", "int32", [], data=None if fed else axis)
    part = [d // n if i == axis % len(shape) else d for i, d in enumerate(shape)]
    ys = [tensor(f"y{i}", dtype, part) for i in range(n)]
    return one_op("SPLIT", [at, tensor("x", dtype, shape)], ys, options.SplitOptions(n))


def split_v(shape: Sequence[int], axis: int, sizes: Sequence[int], dtype: str = "float32", index: str = "int32") -> Model:
    parts = [tensor("sizes", index, data=np.array(sizes, index)), tensor("axis", "int32", [], data=axis)]
    ys = []
    for i, s in enumerate(sizes):
        s = shape[axis] - sum(v for v in sizes if v != -1) if s == -1 else s
        ys.append(tensor(f"y{i}", dtype, [max(s, 0) if d == axis % len(shape) else n for d, n in enumerate(shape)]))
    return one_op("SPLIT_V", [tensor("x", dtype, shape), *parts], ys, options.SplitVOptions(len(sizes)))


def test_by_hand() -> None:
    a, b = np.array([[1, 2], [3, 4]], np.int32), np.array([[5], [6]], np.int32)
    assert ours(concat([[2, 2], [2, 1]], 1, "int32"), a, b)[0].tolist() == [[1, 2, 5], [3, 4, 6]]
    assert ours(pack(2, [2], 1, "int32"), [1, 2], [3, 4])[0].tolist() == [[1, 3], [2, 4]]
    assert [y.tolist() for y in ours(unpack([2, 2], 1, "int32"), a)] == [[1, 3], [2, 4]]
    assert [y.tolist() for y in ours(split([2, 2], 0, 2, "int32"), a)] == [[[1, 2]], [[3, 4]]]
    assert [y.tolist() for y in ours(split_v([5], 0, [2, -1, 1], "int32"), [1, 2, 3, 4, 5])] == [[1, 2], [3, 4], [5]]
    # 0.5 * 3 = 1.5 is 6 quarters, and a zero point of 10 more; the second input is at the output's scale already.
    mixed = concat([[1], [1]], 0, "uint8", [0.5, 0.25, 0.25], [0, 10, 10])
    assert ours(mixed, [3], [7])[0].tolist() == [16, 7]


def test_every_kernel() -> None:
    """Runs of every length; uint8 at scales and zero points of their own, which saturate at both ends."""
    rng = np.random.default_rng(6)
    for n in (1, 2, 3, 7, 8, 15, 16, 17, 33, 64, 100, 130, 5000):
        shapes = [(2, 3, n), (2, 3, 2 * n + 1), (2, 3, 1)]
        for dtype in ("int8", "float32"):
            values = [random_value(dtype, s, rng) for s in shapes]
            assert every_kernel(concat(shapes, 2, dtype), "reference", *values) == 2 - DISABLED
        values = [random_value("uint8", s, rng) for s in shapes]
        model = concat(shapes, 2, "uint8", [0.1, 0.03, 0.05, 0.05], [3, 250, 128, 128])
        assert every_kernel(model, "reference", *values) >= 2 - DISABLED
        assert every_kernel(split_v([2, 3, n + 4], 2, [n, 3, 1]), "reference", random_value("float32", (2, 3, n + 4), rng)) >= 1


@pytest.mark.parametrize("dtype", ["float32", "int8", "uint8", "int16", "int32", "int64", "bool", "float16", "uint32"])
def test_concatenation(dtype: str) -> None:
    rng = np.random.default_rng(4)
    for rank in (1, 2, 4, 5):
        for n in (1, 2, 3, 6):
            axis = int(rng.integers(0, rank))
            shape = [int(d) for d in rng.integers(1, 5, rank)]
            parts = rng.integers(0 if n == 6 else 1, 5, n).tolist()
            shapes = [[part if d == axis else s for d, s in enumerate(shape)] for part in parts]
            check(concat(shapes, axis - rank if n == 3 else axis, dtype), runs=1)


def test_quantized_alike() -> None:
    for dtype, zero in (("int8", -3), ("uint8", 7), ("int16", 0)):
        check(concat([[2, 3], [2, 4]], 1, dtype, [0.1] * 3, [zero] * 3), runs=1)


def test_rescaled() -> None:
    rng = np.random.default_rng(5)
    for k in range(25):
        n = int(rng.integers(2, 6))
        scales = [float(s) for s in np.exp(rng.normal(-3, 1, n + 1))]
        zeros = [int(z) for z in rng.integers(0, 256, n + 1)]
        if k % 3 == 0:
            scales[0], zeros[0] = scales[-1], zeros[-1]
        if k % 5 == 0:
            scales[-1] = scales[0] * 1e-12  # beyond int32
        check(concat([[3, int(d)] for d in rng.integers(1, 30, n)], 1, "uint8", scales, zeros), runs=1)
    ties = concat([[1, 256], [1, 256]], 1, "uint8", [0.5, 0.25, 1.0], [3, 128, 100])
    check(ties, inputs={0: np.arange(256, dtype=np.uint8)[None], 1: np.arange(256, dtype=np.uint8)[None]}, runs=1)


def test_constants() -> None:
    check(concat([[2, 3], [2, 2], [2, 1]], 1, "int32", constant=[1]))
    check(concat([[], [], []], 0, "int32", constant=[0, 1, 2]))
    check(concat([[2], [1]], 0, "float32", constant=[0, 1]))


def test_many() -> None:
    check(concat([[1]] * 33, 0), runs=1)
    check(unpack([40, 2], 0, "int8"), runs=1)
    check(concat([[300, 200], [300, 100]], 1), threads=2)


@pytest.mark.parametrize("dtype", ["float32", "int8", "uint8", "int16", "int32"])
def test_pack_unpack(dtype: str) -> None:
    rng = np.random.default_rng(6)
    for rank in (0, 1, 3):
        for axis in range(-rank - 1, rank + 1):
            shape = [int(d) for d in rng.integers(1, 5, rank)]
            check(pack(int(rng.integers(1, 5)), shape, axis, dtype), runs=1)
            check(unpack([*shape, 3], axis, dtype), runs=1)
    check(pack(2, [2, 3], 0, "int64"), runs=1)
    check(pack(2, [2, 3], 1, "int8", scale=0.5, zero_point=4), runs=1)
    check(unpack([2, 3], 1, "bool"), runs=1)
    check(unpack([2, 3], 1, "float16"), runs=1)


@pytest.mark.parametrize("dtype", ["float32", "int8", "uint8", "int16", "int32", "int64"])
def test_split(dtype: str) -> None:
    for shape, axis, n in (([6], 0, 3), ([4, 6], 1, 2), ([4, 6], -2, 4), ([2, 3, 10], 2, 5), ([2, 3], 1, 1), ([2, 7], 1, 7)):
        check(split(shape, axis, n, dtype), runs=1)
    for shape, axis, sizes in (([6], 0, [1, 5]), ([2, 6], 1, [2, -1, 3]), ([5, 2], -2, [0, 4, -1]), ([2, 3], 1, [3])):
        check(split_v(shape, axis, sizes, dtype, "int64" if len(sizes) == 3 else "int32"), runs=1)


def test_fed_axis() -> None:
    for axis in (0, 1, -1):
        check(split([4, 6], 0, 2, fed=True), inputs={0: np.array(axis, np.int32)})


def test_real_models() -> None:
    for name in ("CONCATENATION", "PACK", "UNPACK", "SPLIT", "SPLIT_V"):
        for _, i, model in operators(name, 12):
            check(cut(model, i), runs=1)


@pytest.mark.parametrize(("model", "text"), [
    (concat([[2, 2], [2, 2]], 2), "axis 2 is outside"),
    (concat([[2, 2], [3, 2]], 1), "differ outside axis 1"),
    (concat([[2, 2], [2]], 0), "differ outside axis 0"),
    (concat([[], []], 0), "axis 0 is outside"),
    (concat([[2], [2]], 0, fused_activation_function=Activation.RELU), "activation"),
    (unpack([2, 3], 0, num=3), "num is 3"),
    (unpack([0, 3], 1), "empty"),
    (split([5, 6], 0, 2), "Not an even split"),
    (split([4, 6], 2, 2), "axis 2 is outside"),
    (split_v([4, 6], 0, [1, 2]), "must sum"),
    (split_v([4, 6], 0, [-1, 2, -1]), "more than one -1"),
    (split_v([4, 6], 0, [5, -1]), "must sum"),
    (split_v([4, 6], 0, [6, -2]), "must sum"),
])
def test_refusals(model: Model, text: str) -> None:
    with pytest.raises(ShapeError, match=text):
        ours(model)


def test_counts() -> None:
    x, y = tensor("x", "float32", [2]), tensor("y", "float32", [2, 2])
    with pytest.raises(ShapeError, match=r"PACK.*values_count is 3"):
        ours(one_op("PACK", [x, x], [y], options.PackOptions(3, 0)))
    with pytest.raises(ShapeError, match="num_splits is 0"):
        ours(one_op("SPLIT", [tensor("axis", "int32", [], data=0), x], [y], options.SplitOptions(0)))


def test_scales() -> None:
    """int8 is never rescaled, int16 has no zero points."""
    for model in (concat([[2], [2]], 0, "int8", [0.5, 0.25, 0.5], [0, 0, 0]), concat([[2], [2]], 0, "int8", [0.5] * 3, [0, 1, 0]),
                  concat([[2], [2]], 0, "int16", [0.5] * 3, [0, 1, 0])):
        with pytest.raises(QuantError, match="CONCATENATION"):
            ours(model)
    x, y = tensor("x", "int8", [2], scale=0.5), tensor("y", "int8", [1, 2], scale=0.25)
    with pytest.raises(QuantError, match="PACK"):
        ours(one_op("PACK", [x], [y], options.PackOptions(1, 0)))


def test_types() -> None:
    with pytest.raises(UnsupportedOpError, match="INT64"):
        ours(unpack([2, 2], 0, "int64"))
