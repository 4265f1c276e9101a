"""Linking: constants, ops, and what is lacking."""

from __future__ import annotations

import numpy as np
import pytest

from tinyinterp.errors import ModelError, UnsupportedOpError
from tinyinterp.graph import check_known, check_ops, link
from tinyinterp.kernels import OPS
from tinyinterp.schema import Model, build, options, read
from tinyinterp.schema.build import Graph, model_of, one_op, operator, tensor


def made(model: Model) -> Model:
    return read(build(model))


def test_constants_are_on_the_files_bytes_and_read_only() -> None:
    w = tensor("w", "float32", data=np.arange(6, dtype=np.float32).reshape(2, 3))
    graph = link(made(one_op("ADD", [tensor("x", "float32", (2, 3)), w], [tensor("y", "float32", (2, 3))], options.AddOptions())))
    assert list(graph.constants) == [1] and graph.constants[1].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert not graph.constants[1].flags.writeable and not graph.constants[1].flags.owndata
    assert graph.inputs == (0,) and graph.outputs == (2,) and graph.missing == ()
    assert "t1=float32[2, 3]" in str(graph) and "t0:float32[2, 3]" in str(graph)


def test_a_tensor_without_elements_needs_no_bytes() -> None:
    empty, x, y = tensor("e", "int32", (0, 3)), tensor("x", "int32", (2, 3)), tensor("y", "int32", (2, 3))
    step = operator("CONCATENATION", [x, empty], [y], options.ConcatenationOptions(0))
    graph = link(made(model_of(Graph([step], inputs=[x]))))
    assert graph.constants[1].shape == (0, 3)


def test_strings_are_objects() -> None:
    c, at = tensor("c", "string", (2,), data=["ab", ""]), tensor("at", "int32", (1,))
    step = operator("GATHER", [c, at], [tensor("y", "string", (1,))], options.GatherOptions(0))
    value, = link(made(model_of([step]))).constants.values()
    assert value.tolist() == [b"ab", b""] and value.dtype == object


def test_everything_that_is_lacking_is_named() -> None:
    x, a, b = (tensor(n, "float32", (2,)) for n in "xab")
    steps = [operator("MyOp", [x], [a]), operator("WHERE", [a], [b])]
    graph = link(made(model_of(steps)))
    assert graph.missing == ("MyOp", "WHERE")
    with pytest.raises(UnsupportedOpError, match="MyOp") as error:
        check_ops(graph)
    assert "tinyinterp lacks MyOp, WHERE" in str(error.value)
    check_ops(link(made(model_of([operator("ABS", [x], [a])])), ops=OPS))


def test_ops_that_nobody_has() -> None:
    with pytest.raises(ModelError, match="STABLEHLO_TANH"):
        check_known(made(one_op("STABLEHLO_TANH", [tensor("x", "float32", (2,))], [tensor("y", "float32", (2,))])))


def test_the_ops_may_be_chosen() -> None:
    model = made(one_op("ABS", [tensor("x", "float32", (2,))], [tensor("y", "float32", (2,))]))
    assert link(model, 0, ()).missing == ("ABS",)
    assert link(model, 0, [op for op in OPS if op.name == "ABS"]).operators[0].op is not None
