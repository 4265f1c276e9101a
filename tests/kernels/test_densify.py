"""DENSIFY against the official interpreter, by hand, and what it refuses."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from tests.harness import check, cut, operators, ours
from tinyinterp.errors import ShapeError, UnsupportedOpError
from tinyinterp.graph import link
from tinyinterp.lower import lower
from tinyinterp.schema import DimensionType, Model, SparseLevel, Sparsity, build, options, read
from tinyinterp.schema.build import model_of, one_op, operator, tensor

DENSE, SPARSE = DimensionType.DENSE, DimensionType.SPARSE_CSR


def pack(dense: np.ndarray, order: Sequence[int], formats: Sequence[DimensionType], blocks: Sequence[tuple[int, int]] = (),
         index: str = "<i4") -> tuple[np.ndarray, Sparsity]:
    """(stored elements, sparsity) of an array, level by level; blocks: (axis, size) of each block axis, in order."""
    rank = dense.ndim
    shape = list(dense.shape)
    for axis, size in blocks:
        shape[axis] //= size
    split = dense
    for k, (axis, size) in enumerate(blocks):  # each block axis to the end
        split = np.moveaxis(split.reshape(*split.shape[:axis], shape[axis], size, *split.shape[axis + 1 :]), axis + 1, rank + k)
    split = split.transpose(order)
    prefixes: list[tuple[int, ...]] = [()]
    levels = []
    for d, form in enumerate(formats):
        n = split.shape[d]
        if form == DENSE:
            levels.append(SparseLevel(DENSE, n))
            prefixes = [(*p, i) for p in prefixes for i in range(n)]
            continue
        kept = [[i for i in range(n) if split[(*p, i)].any()] for p in prefixes]
        segments = np.cumsum([0, *map(len, kept)])
        levels.append(SparseLevel(SPARSE, 0, segments.astype(index), np.array([i for k in kept for i in k]).astype(index)))
        prefixes = [(*p, i) for p, k in zip(prefixes, kept) for i in k]
    stored = np.array([split[p] for p in prefixes], dense.dtype)
    return stored, Sparsity(tuple(order), tuple(a for a, _ in blocks), tuple(levels))


def densify(dense: np.ndarray, *layout: object, dtype: str = "") -> Model:
    stored, sparsity = pack(dense, *layout)  # type: ignore[arg-type]
    w = tensor("w", dtype or dense.dtype, dense.shape, data=stored, sparsity=sparsity)
    # A constant alone is no model: the result meets an input.
    y = tensor("dense", dtype or dense.dtype, dense.shape)
    x, z = tensor("x", dense.dtype, dense.shape), tensor("z", dense.dtype, [2, *dense.shape])
    return model_of([operator("DENSIFY", [w], [y]), operator("PACK", [x, y], [z], options.PackOptions(2, 0))])


def holes(shape: Sequence[int], dtype: str, seed: int, keep: float = 0.3) -> np.ndarray:
    rng = np.random.default_rng(seed)
    value = rng.integers(1, 100, shape) * (rng.random(shape) < keep)
    value.flat[-1] = 1  # something is stored
    return value.astype(dtype)


def test_by_hand() -> None:
    levels = (SparseLevel(DENSE, 3), SparseLevel(SPARSE, 0, np.array([0, 2, 2, 3], "<i4"), np.array([0, 2, 1], "<i4")))
    w = tensor("w", "int8", [3, 3], data=np.array([5, 6, 7], np.int8), sparsity=Sparsity((0, 1), (), levels))
    made = ours(one_op("DENSIFY", [w], [tensor("y", "int8", [3, 3])]))[0]
    assert made.tolist() == [[5, 0, 6], [0, 0, 0], [0, 7, 0]]


@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_layouts(dtype: str) -> None:
    cases: tuple[tuple[object, ...], ...] = (
        ([7], [0], [SPARSE]),
        ([4, 6], [0, 1], [DENSE, SPARSE]),
        ([4, 6], [1, 0], [DENSE, SPARSE]),
        ([4, 6], [0, 1], [SPARSE, SPARSE], (), "<u2"),
        ([4, 6], [0, 1], [DENSE, DENSE]),
        ([4, 8], [0, 1, 2], [DENSE, SPARSE, DENSE], [(1, 4)], "u1"),
        ([4, 8], [0, 1, 2, 3], [DENSE, SPARSE, DENSE, DENSE], [(0, 2), (1, 4)]),
        ([4, 8], [1, 0, 2, 3], [SPARSE, SPARSE, DENSE, DENSE], [(0, 2), (1, 2)]),
        ([3, 2, 2, 8], [0, 3, 1, 2], [DENSE, SPARSE, DENSE, SPARSE]),
        ([8, 1, 1, 8], [0, 1, 2, 3, 4], [DENSE, DENSE, DENSE, SPARSE, DENSE], [(3, 2)]),
    )
    for k, (shape, *layout) in enumerate(cases):
        check(densify(holes(shape, dtype, k), *layout), runs=1)  # type: ignore[arg-type]
        check(densify(holes(shape, dtype, k, 1.0), *layout), runs=1)  # type: ignore[arg-type]


def test_real_models() -> None:
    """float16 weights: their DENSIFY meets a DEQUANTIZE and a convolution, so the value itself is compared."""
    for path, i, model in operators("DENSIFY", 8):
        part = cut(model, i)
        w = part.subgraphs[0].tensors[0]
        made = ours(part)[0]
        stored = part.constant(w)
        assert stored is not None and made.shape == w.shape, path
        kept = made[made != 0]
        assert sorted(kept.tolist()) == sorted(stored[stored != 0].tolist()), path
        assert np.count_nonzero(made) == np.count_nonzero(stored) > 0, path


def test_it_counts_as_stored() -> None:
    graph = link(read(build(densify(holes([4, 6], "float32", 0), [0, 1], [DENSE, SPARSE]))))
    plan = lower(graph, {t: graph.tensors[t].shape for t in graph.inputs})
    dense = next(t for t, x in enumerate(graph.tensors) if x.name == "dense")
    assert dense in plan.fixed and len(plan.steps) == 1


def test_refusals() -> None:
    with pytest.raises(ShapeError, match=r"DENSIFY.*not a sparse constant"):
        ours(one_op("DENSIFY", [tensor("x", "float32", [2])], [tensor("y", "float32", [2])]))
    stored, sparsity = pack(holes([4], "int16", 1), [0], [SPARSE])
    w = tensor("w", "int16", [4], data=stored, sparsity=sparsity)
    with pytest.raises(UnsupportedOpError, match="INT16"):
        ours(one_op("DENSIFY", [w], [tensor("y", "int16", [4])]))
    with pytest.raises(UnsupportedOpError, match=r"RESHAPE.*only DENSIFY"):
        ours(one_op("RESHAPE", [w, tensor("shape", "int32", data=np.array([2, 2], np.int32))], [tensor("y", "int16", [2, 2])]))
