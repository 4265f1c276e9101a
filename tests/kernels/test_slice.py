"""SLICE, STRIDED_SLICE against the official interpreter, by hand, and what they refuse."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from tests.harness import check, cut, operators, ours
from tinyinterp.errors import ShapeError
from tinyinterp.schema import Model, options
from tinyinterp.schema.build import one_op, tensor


def slice_(shape: Sequence[int], begin: Sequence[int], size: Sequence[int], dtype: str = "float32", index: str = "int32",
           fed: bool = False) -> Model:
    out = [max(n - b if s == -1 else s, 0) for n, b, s in zip(shape, begin, size)]
    ends = [tensor(n, index, [len(v)], data=None if fed else np.array(v, index)) for n, v in (("begin", begin), ("size", size))]
    y = tensor("y", dtype, [1] * len(out) if fed else out, signature=[-1] * len(out) if fed else None)
    return one_op("SLICE", [tensor("x", dtype, shape), *ends], [y])


def strided(shape: Sequence[int], begin: Sequence[int], end: Sequence[int], stride: Sequence[int], out: Sequence[int],
            dtype: str = "float32", fed: str = "", **masks: Any) -> Model:
    entries = [tensor(n, "int32", [len(v)], data=None if n in fed.split() else np.array(v, "int32"))
               for n, v in (("begin", begin), ("end", end), ("stride", stride))]
    return one_op("STRIDED_SLICE", [tensor("x", dtype, shape), *entries], [tensor("y", dtype, out)],
                  options.StridedSliceOptions(**masks))


def test_by_hand() -> None:
    x = np.arange(12, dtype=np.int8).reshape(3, 4)
    assert ours(slice_([3, 4], [1, 2], [2, -1], "int8"), x)[0].tolist() == [[6, 7], [10, 11]]
    assert ours(strided([3, 4], [2, -1], [0, -5], [-1, -2], [2, 2], "int8"), x)[0].tolist() == [[11, 9], [7, 5]]
    last_row = strided([3, 4], [-1, 1], [0, 0], [1, 1], [3], "int8", shrink_axis_mask=1, end_mask=2)
    assert ours(last_row, x)[0].tolist() == [9, 10, 11]
    spread = strided([3, 4], [0, 0, 2], [0, 0, 4], [1, 1, 1], [1, 3, 2], "int8", new_axis_mask=1, ellipsis_mask=2)
    assert ours(spread, x)[0].tolist() == [[[2, 3], [6, 7], [10, 11]]]


@pytest.mark.parametrize("dtype", ["float32", "int8", "uint8", "int16", "int32", "int64", "bool"])
def test_slice(dtype: str) -> None:
    rng = np.random.default_rng(2)
    for rank in (1, 2, 3, 4, 5, 6):
        for _ in range(3):
            shape = [int(d) for d in rng.integers(1, 6, rank)]
            begin = [int(rng.integers(0, d)) for d in shape]
            size = [int(rng.integers(1, d - b + 1)) if rng.random() < 0.7 else -1 for d, b in zip(shape, begin)]
            check(slice_(shape, begin, size, dtype, "int64" if rank % 2 else "int32"), runs=1)


def test_slice_whole_and_empty() -> None:
    check(slice_([2, 3], [0, 0], [2, 3]))
    check(slice_([2, 3], [0, 0], [-1, -1]))
    check(slice_([2, 3], [1, 3], [1, 0]), runs=1)
    check(slice_([200, 300], [10, 0], [150, 300]), threads=2)


def test_fed_slice() -> None:
    model = slice_([4, 5], [0, 0], [0, 0], "int8", fed=True)
    for begin, size in (([1, 2], [2, 3]), ([0, 4], [-1, 1])):
        check(model, inputs={1: np.array(begin, np.int32), 2: np.array(size, np.int32)})


def random_case(rng: np.random.Generator, masks: bool) -> tuple[list[int], tuple[list[int], ...], dict[str, int]]:
    """A shape, (begin, end, stride) and masks that official kernels answer in full."""
    rank = int(rng.integers(1, 5))
    shape = [int(d) for d in rng.integers(1, 6, rank)]
    n = rank if not masks else int(rng.integers(1, rank + 1))
    begin = [int(rng.integers(-shape[i] - 2, shape[i] + 3)) for i in range(n)]
    end = [int(rng.integers(-shape[i] - 2, shape[i] + 3)) for i in range(n)]
    stride = [int(rng.choice([1, 1, 2, 3, -1, -2])) for _ in range(n)]
    chosen = {"begin_mask": int(rng.integers(0, 1 << n)), "end_mask": int(rng.integers(0, 1 << n))}
    if masks:
        chosen["shrink_axis_mask"] = int(rng.integers(0, 1 << n)) & int(rng.integers(0, 1 << n))
        for i in range(n):
            if chosen["shrink_axis_mask"] >> i & 1:
                begin[i], stride[i] = int(rng.integers(-shape[i], shape[i])), 1
        at = int(rng.integers(0, n + 1))
        if rng.random() < 0.5 and n < rank:  # an ellipsis somewhere
            for row in (begin, end, stride):
                row.insert(at, 1)
            for name in chosen:
                chosen[name] = chosen[name] & ((1 << at) - 1) | (chosen[name] >> at << (at + 1))
            chosen["ellipsis_mask"] = 1 << at
            if at < n:  # what the later entries speak of moved to the end: keep them inside any axis
                for i in range(at + 1, n + 1):
                    begin[i], end[i], stride[i] = 0, 1, 1
        elif rng.random() < 0.5:
            for row in (begin, end, stride):
                row.insert(at, 1)
            for name in chosen:
                chosen[name] = chosen[name] & ((1 << at) - 1) | (chosen[name] >> at << (at + 1))
            chosen["new_axis_mask"] = 1 << at
    return shape, (begin, end, stride), chosen


@pytest.mark.parametrize("masks", [False, True])
def test_strided_slice(masks: bool) -> None:
    rng = np.random.default_rng(3)
    for k in range(60):
        shape, entries, chosen = random_case(rng, masks)
        dtype = ("float32", "int8", "int32", "int64", "int16", "uint8")[k % 6]
        made = ours(strided(shape, *entries, [1], dtype, **chosen), np.zeros(shape, dtype))[0]
        check(strided(shape, *entries, made.shape, dtype, **chosen), runs=1)


def test_offset() -> None:
    for begin, end, stride, out in (([1, 0], [2, 3], [1, 1], [2, 3]), ([-2, 1], [2, 4], [1, 2], [2, 2]),
                                    ([3, 4], [1, -3], [1, -1], [1, 3])):
        check(strided([4, 5], begin, end, stride, out, offset=True), runs=1)


def test_an_ellipsis_takes_an_axis() -> None:
    """Even where none is left: then the last entry has no effect."""
    check(strided([3, 4], [0, 1, 2], [0, 2, 3], [1, 1, 1], [3, 1], ellipsis_mask=1))
    check(strided([3, 4], [1, 1, 0], [2, 3, 0], [1, 1, 1], [1, 2], ellipsis_mask=4))


def test_fed_strided_slice() -> None:
    model = strided([4, 5], [0, 0], [0, 0], [1, 1], [1, 1], "int32", fed="begin end")
    for begin, end in (([1, 0], [3, 5]), ([0, -2], [1, 5])):
        check(model, inputs={1: np.array(begin, np.int32), 2: np.array(end, np.int32)})


def test_rank_0_and_whole() -> None:
    check(strided([], [], [], [], []))
    check(strided([2, 3], [0, 0], [2, 3], [1, 1], [2, 3]))
    check(strided([2, 3], [0, 0], [9, 2**31 - 1], [1, 1], [2, 3]))


def test_real_models() -> None:
    for name in ("SLICE", "STRIDED_SLICE"):
        for _, i, model in operators(name, 25):
            check(cut(model, i), runs=1)


@pytest.mark.parametrize(("model", "text"), [
    (slice_([2, 3], [0, 2], [1, 2]), "Invalid begin and size"),
    (slice_([2, 3], [-1, 0], [1, 1]), "Invalid begin and size"),
    (slice_([2, 3], [3, 0], [-1, 1]), "Invalid begin and size"),
    (slice_([2, 3], [0, 0], [-2, 1]), "Invalid begin and size"),
    (slice_([2, 3], [0], [1]), "do not fit"),
    (strided([2, 3], [0], [1], [0], [1]), "stride value has to be non-zero"),
    (strided([2, 3], [2], [3], [1], [3], shrink_axis_mask=1), "index 2 with stride 1 is outside axis 0 of 2"),
    (strided([2, 3], [1], [0], [-1], [3], shrink_axis_mask=1), "stride -1"),
    (strided([2, 3], [0, 0], [1], [1, 1], [1, 1]), "begin, end and strides have 2, 1 and 2"),
    (strided([2, 3], [0, 0], [1, 1], [1], [1, 1]), "begin, end and strides have 2, 2 and 1"),
    (strided([2], [0, 0], [1, 1], [1, 1], [1]), "2 entries for 1 dimensions"),
    (strided([2], [0, 0], [1, 1], [1, 1], [1], ellipsis_mask=3), "more than one ellipsis"),
    (strided([2], [0], [1], [1], [1], ellipsis_mask=2), "missing entry"),
    (strided([2], [0], [1], [1], [1], new_axis_mask=-2), "missing entry"),
    (strided([2, 3], [1, 0], [2, 1], [1, 1], [2, 1], offset=True), "offset 2 from 1 leads outside axis 0"),
    (strided([2], [0, 0, 0], [1, 1, 1], [1, 1, 1], [1], ellipsis_mask=1, new_axis_mask=4), "speaks of dimension 1 of 1"),
])
def test_refusals(model: Model, text: str) -> None:
    with pytest.raises(ShapeError, match=text):
        ours(model)
