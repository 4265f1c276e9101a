"""RESHAPE, SQUEEZE, EXPAND_DIMS against the official interpreter, by hand, and what they refuse."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from tests.harness import check, cut, operators, ours
from tinyinterp.errors import QuantError, ShapeError
from tinyinterp.graph import link
from tinyinterp.lower import lower
from tinyinterp.schema import Model, build, options, read
from tinyinterp.schema.build import model_of, one_op, operator, tensor


def reshape(shape: Sequence[int], wanted: Sequence[int], out: Sequence[int], dtype: str = "float32", by: str = "input",
            index: str = "int32") -> Model:
    """The new shape from a constant input, from one that is fed, or from the options."""
    x, y = tensor("x", dtype, shape), tensor("y", dtype, out)
    value = np.array(wanted, index) if by == "input" else None
    given = [] if by == "options" else [tensor("shape", index, [len(wanted)], data=value)]
    return one_op("RESHAPE", [x, *given], [y], options.ReshapeOptions(() if given and index == "int32" else tuple(wanted)))


def squeeze(shape: Sequence[int], dims: Sequence[int], out: Sequence[int], dtype: str = "float32") -> Model:
    return one_op("SQUEEZE", [tensor("x", dtype, shape)], [tensor("y", dtype, out)], options.SqueezeOptions(tuple(dims)))


def expand(shape: Sequence[int], axis: int, out: Sequence[int], dtype: str = "float32", index: str = "int32",
           fed: bool = False) -> Model:
    at = tensor("axis", index, [], data=None if fed else np.array(axis, index))
    return one_op("EXPAND_DIMS", [tensor("x", dtype, shape), at], [tensor("y", dtype, out)])


def test_by_hand() -> None:
    x = np.arange(6, dtype=np.int32).reshape(1, 2, 3)
    assert ours(reshape([1, 2, 3], [3, -1], [3, 2], "int32"), x)[0].tolist() == [[0, 1], [2, 3], [4, 5]]
    assert ours(squeeze([1, 2, 3], [], [2, 3], "int32"), x)[0].shape == (2, 3)
    assert ours(expand([1, 2, 3], -1, [1, 2, 3, 1], "int32"), x)[0].shape == (1, 2, 3, 1)


@pytest.mark.parametrize("dtype", ["float32", "int8", "int16", "int32", "int64", "bool", "float16", "complex64"])
def test_reshape(dtype: str) -> None:
    for shape, wanted, out in (([2, 6], [3, 4], [3, 4]), ([2, 6], [-1], [12]), ([2, 3, 4], [4, -1, 2], [4, 3, 2]), ([1], [], []),
                               ([2, 2], [1, 2, 1, 2, 1], [1, 2, 1, 2, 1])):
        for by in ("input", "options"):
            if wanted:  # an input of no values has no buffer
                check(reshape(shape, wanted, out, dtype, by), runs=1)
    check(reshape([1, 1], [0], [], dtype, "options"), runs=1)  # how old converters wrote a scalar
    # A vector of int64 is not looked at, the options are.
    check(reshape([2, 6], [3, 4], [3, 4], dtype, index="int64"), ("reference", "builtin"), runs=1)


def test_empty() -> None:
    for shape, wanted, out in (([0, 3], [3, 0], [3, 0]), ([0, 3], [-1, 3], [0, 3]), ([2, 0], [-1], [0]),
                               ([0, 3], [-1, 0], [3, 0])):
        model = reshape(shape, wanted, out)
        assert ours(model)[0].shape == tuple(out)
        check(model, ("reference", "builtin"), runs=1)


def test_fed_shape() -> None:
    for wanted in ([3, 4], [-1, 2], [12, 1]):
        check(reshape([2, 6], wanted, [1, 1], by="fed"), inputs={1: np.array(wanted, np.int32)})


@pytest.mark.parametrize("dtype", ["float32", "int8", "int64"])
def test_squeeze_expand(dtype: str) -> None:
    for shape, dims, out in (([1, 2, 1, 3], [], [2, 3]), ([1, 2, 1, 3], [2], [1, 2, 3]), ([1, 2, 1], [0, -1, 0], [2]),
                             ([1], [], []), ([2], [], [2])):
        check(squeeze(shape, dims, out, dtype), runs=1)
    for axis, out in ((0, [1, 2, 3]), (1, [2, 1, 3]), (2, [2, 3, 1]), (-1, [2, 3, 1]), (-3, [1, 2, 3])):
        check(expand([2, 3], axis, out, dtype, "int64" if axis < 0 else "int32"), runs=1)
        check(expand([2, 3], axis, [1, 1, 1], dtype, fed=True), inputs={1: np.array(axis, np.int32)}, runs=1)


def chain() -> Model:
    """Three operators that only say the shape anew: RESHAPE, a PAD of nothing, EXPAND_DIMS."""
    dims = tensor("dims", "int32", data=np.array([3, 2], np.int32))
    x, a, b, y = (tensor(n, "float32", s) for n, s in (("x", [2, 3]), ("a", [3, 2]), ("b", [3, 2]), ("y", [3, 1, 2])))
    return model_of([operator("RESHAPE", [x, dims], [a], options.ReshapeOptions()),
                     operator("PAD", [a, tensor("p", "int32", data=np.zeros((2, 2), np.int32))], [b]),
                     operator("EXPAND_DIMS", [b, tensor("at", "int32", data=np.array([1], np.int32))], [y])])


def test_nothing_is_copied_but_the_input() -> None:
    """What the caller writes is never what he reads."""
    graph = link(read(build(chain())))
    plan = lower(graph, {t: graph.tensors[t].shape for t in graph.inputs})
    assert len(plan.steps) == 1
    check(chain())


def test_constants_and_outputs() -> None:
    """A reshaped constant as output, an input that is an output, one tensor under two names."""
    c, d = tensor("c", "int8", data=np.arange(6, dtype=np.int8)), tensor("d", "int8", [2, 3])
    x, y, z = (tensor(n, "int8", s) for n, s in (("x", [6]), ("y", [3, 2]), ("z", [6, 1])))
    dims = [tensor(f"dims{i}", "int32", data=np.array(v, np.int32)) for i, v in enumerate(([2, 3], [3, 2], [6, 1]))]
    cases = zip((c, x, x), dims, (d, y, z))
    check(model_of([operator("RESHAPE", [a, s], [b], options.ReshapeOptions()) for a, s, b in cases]))


def test_real_models() -> None:
    for name in ("RESHAPE", "SQUEEZE", "EXPAND_DIMS"):
        for _, i, model in operators(name, 12):
            part = cut(model, i)
            graph = part.subgraphs[0]
            if graph.tensors[0].type.numpy is not None and graph.tensors[0].shape and 1 not in graph.inputs:
                check(part, runs=1)


@pytest.mark.parametrize(("model", "text"), [
    (reshape([2, 3], [4, 2], [4, 2]), r"num_input_elements != num_output_elements \(6 != 8\)"),
    (reshape([2, 3], [-1, 4], [1, 4]), "num_input_elements"),
    (reshape([2, 3], [-1, -1], [1, 6]), "more than one unknown"),
    (reshape([2, 3], [-2, 3], [2, 3]), "RESHAPE"),
    (reshape([2, 3], [-1, 0], [0, 0]), "num_input_elements"),
    (squeeze([1, 2], [1], [1]), "not all 1"),
    (squeeze([1, 2], [2], [1]), "not all 1"),
    (squeeze([1, 2], [-3], [1]), "not all 1"),
    (expand([2], 2, [2, 1]), "axis 2 is outside"),
    (expand([2], -100000, [2, 1]), "axis -100000 is outside"),
])
def test_refusals(model: Model, text: str) -> None:
    with pytest.raises(ShapeError, match=text):
        ours(model)


def test_types() -> None:
    with pytest.raises(ShapeError, match="the input is FLOAT32, the output INT8"):
        ours(one_op("SQUEEZE", [tensor("x", "float32", [1, 2])], [tensor("y", "int8", [2])], options.SqueezeOptions()))
    with pytest.raises(QuantError, match="EXPAND_DIMS"):
        at = tensor("axis", "int32", data=np.array([0], np.int32))
        ours(one_op("EXPAND_DIMS", [tensor("x", "int8", [2], scale=0.5), at], [tensor("y", "int8", [1, 2], scale=0.25)]))
