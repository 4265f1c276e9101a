"""SHAPE against the official interpreter, by hand, and what it refuses."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from tests.harness import check, cut, operators, ours
from tinyinterp.errors import ShapeError
from tinyinterp.graph import link
from tinyinterp.lower import lower
from tinyinterp.schema import Model, TensorType, build, options, read
from tinyinterp.schema.build import model_of, one_op, operator, tensor


def shape(dims: Sequence[int], dtype: str = "float32", out: str = "int32") -> Model:
    return one_op("SHAPE", [tensor("x", dtype, dims)], [tensor("y", out, [len(dims)])],
                  options.ShapeOptions(TensorType[out.upper()]))


def test_by_hand() -> None:
    made = ours(shape([2, 3, 5], out="int64"))[0]
    assert made.tolist() == [2, 3, 5] and made.dtype == np.int64


@pytest.mark.parametrize("out", ["int32", "int64"])
def test_shape(out: str) -> None:
    assert ours(shape([], out=out))[0].shape == (0,)  # the official interpreter gives no view of an empty constant
    for dims in ([4], [1, 2, 3, 4], [2, 0, 3]):
        for dtype in ("float32", "int8", "bool"):
            check(shape(dims, dtype, out), runs=1)


def test_nothing_runs() -> None:
    """The batch size of x decides a shape further on: no value, no cut."""
    x, y = tensor("x", "float32", [2, 6]), tensor("y", "float32", [6, 2])
    dims, batch, rest, wanted = (tensor(n, "int32", s) for n, s in (("dims", [2]), ("batch", []), ("rest", []), ("wanted", [2])))
    one, two, zero = (tensor(str(v), "int32", data=np.array([v], np.int32)) for v in (1, 2, 0))
    shrink = options.StridedSliceOptions(shrink_axis_mask=1)
    model = model_of([
        operator("SHAPE", [x], [dims], options.ShapeOptions(TensorType.INT32)),
        operator("STRIDED_SLICE", [dims, zero, one, one], [batch], shrink),
        operator("STRIDED_SLICE", [dims, one, two, one], [rest], shrink),
        operator("PACK", [rest, batch], [wanted], options.PackOptions(2, 0)),
        operator("RESHAPE", [x, wanted], [y], options.ReshapeOptions()),
    ])
    graph = link(read(build(model)))
    plan = lower(graph, {t: graph.tensors[t].shape for t in graph.inputs})
    assert len(plan.steps) == 1 and plan.cut is None  # the input is also the output: one copy
    check(model)


def test_real_models() -> None:
    for _, i, model in operators("SHAPE", 12):
        part = cut(model, i)
        if part.subgraphs[0].tensors[0].shape:
            check(part, runs=1)


def test_refusals() -> None:
    x = tensor("x", "float32", [2])
    with pytest.raises(ShapeError, match=r"SHAPE.*Unknown shape output data type: FLOAT32"):
        ours(one_op("SHAPE", [x], [tensor("y", "float32", [1])], options.ShapeOptions(TensorType.FLOAT32)))
    with pytest.raises(ShapeError, match="the output is INT64, not INT32"):
        ours(one_op("SHAPE", [x], [tensor("y", "int64", [1])], options.ShapeOptions(TensorType.INT32)))
