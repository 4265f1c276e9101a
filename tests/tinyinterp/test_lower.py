"""Lowering: what is computed before the first run, what shares bytes, where a plan is cut, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.harness import compare
from tinyinterp.errors import ArenaError, ModelError, ShapeError, UnsupportedOpError
from tinyinterp.graph import link
from tinyinterp.lower import Plan, lower
from tinyinterp.schema import Model, Padding, build, options, read
from tinyinterp.schema.build import Graph, model_of, one_op, operator, tensor

ADD = options.AddOptions()


def plan_of(model: Model, numerics: str = "reference", threads: int = 1, **shapes: tuple[int, ...]) -> Plan:
    graph = link(read(build(model)))
    sizes = {t: graph.tensors[t].shape for t in graph.inputs}
    sizes |= {t: shapes[graph.tensors[t].name] for t in graph.inputs if graph.tensors[t].name in shapes}
    return lower(graph, sizes, numerics, threads)


def numbers(name: str, values: Any) -> Any:
    return tensor(name, "int32", data=np.array(values, np.int32))


def test_what_follows_from_constants_is_computed_now() -> None:
    a, b = (tensor(n, "float32", data=np.full((2, 3), v, np.float32)) for n, v in (("a", 1), ("b", 2)))
    x, c, d, y = (tensor(n, "float32", (2, 3)) for n in "xcdy")
    plan = plan_of(model_of([operator("ADD", [a, b], [c], ADD), operator("MUL", [c, c], [d], options.MulOptions()),
                             operator("ADD", [x, d], [y], ADD)]))
    assert [s.call.operator.name for s in plan.steps] == ["ADD"]
    folded = plan.steps[0].call.input(1)
    assert folded.known is not None and folded.known.tolist() == [[9.0] * 3] * 2
    assert not folded.known.flags.writeable and folded.index in plan.values


def test_what_follows_from_shapes_is_computed_now() -> None:
    """SHAPE, a slice of it, and a reshape by it: nothing of that is left to run, and a new size gives new values."""
    x, shape = tensor("x", "float32", (2, 6), signature=(-1, 6)), tensor("shape", "int32", (2,))
    batch, full = tensor("batch", "int32", (1,)), tensor("full", "int32", (3,))
    y, z = (tensor(n, "float32", (2, 2, 3)) for n in "yz")
    steps = [operator("SHAPE", [x], [shape], options.ShapeOptions(2)),
             operator("SLICE", [shape, numbers("begin", [0]), numbers("size", [1])], [batch]),
             operator("CONCATENATION", [batch, numbers("rest", [2, 3])], [full], options.ConcatenationOptions(0)),
             operator("RESHAPE", [x, full], [y], options.ReshapeOptions()), operator("ABS", [y], [z])]
    for n in (2, 5):
        plan = plan_of(model_of(steps), x=(n, 6))
        assert [s.call.operator.name for s in plan.steps] == ["ABS"]
        assert plan.cut is None and plan.steps[0].call.output.shape == (n, 2, 3)


def test_a_reshape_shares_its_inputs_bytes() -> None:
    x, a, b, y = (tensor(n, "float32", s) for n, s in (("x", (2, 3)), ("a", (2, 3)), ("b", (3, 2)), ("y", (3, 2))))
    reshape = operator("RESHAPE", [a, numbers("s", [3, 2])], [b], options.ReshapeOptions())
    plan = plan_of(model_of([operator("ABS", [x], [a]), reshape, operator("NEG", [b], [y])]))
    assert [s.call.operator.name for s in plan.steps] == ["ABS", "NEG"]
    assert [(plan.graph.tensors[t].name, plan.graph.tensors[plan.root(t)].name) for t in plan.aliases] == [("b", "a")]


def test_an_input_is_never_an_output() -> None:
    """What the caller writes stays as it is: RESHAPE from an input to an output copies."""
    plan = plan_of(one_op("RESHAPE", [tensor("x", "float32", (2, 3)), numbers("s", [6])], [tensor("y", "float32", (6,))],
                          options.ReshapeOptions()))
    assert len(plan.steps) == 1 and not plan.aliases


def dynamic() -> Model:
    x, begin, size = tensor("x", "float32", (6,)), tensor("begin", "int32", (1,)), tensor("size", "int32", (1,))
    a, y = tensor("a", "float32", (1,), signature=(-1,)), tensor("y", "float32", (1,), signature=(-1,))
    return model_of([operator("SLICE", [x, begin, size], [a]), operator("NEG", [a], [y])])


def test_a_plan_ends_where_a_value_is_needed() -> None:
    plan = plan_of(dynamic())
    assert plan.cut is not None and plan.graph.tensors[plan.cut].name in ("begin", "size") and plan.resume == 0 and not plan.steps
    assert "waits for the value" in str(plan)
    seen = {t: np.array([2], np.int32) for t in plan.graph.inputs[1:]}
    tail = lower(plan.graph, {}, "reference", 1, plan, seen)
    assert tail.cut is None and [s.call.output.shape for s in tail.steps] == [(2,), (2,)]
    assert not any(isinstance(a, np.ndarray) and a.base is seen[1] for s in tail.steps for a in s.args)


def test_numerics_of_each_operator() -> None:
    model = one_op("ADD", [tensor("a", "float32", (2,)), tensor("b", "float32", (2,))], [tensor("y", "float32", (2,))], ADD)
    for numerics, used in (("default", "delegate"), ("reference", "reference"), ("builtin", "reference")):
        assert plan_of(model, numerics).steps[0].call.numerics == used
    model = one_op("ABS", [tensor("x", "int32", (2,))], [tensor("y", "int32", (2,))])
    assert plan_of(model, "default").steps[0].call.numerics == "builtin"


def test_refusals_are_listed_together() -> None:
    x, y, z = tensor("x", "bool", (2,)), tensor("y", "bool", (2,)), tensor("z", "bool", (2,))
    with pytest.raises(UnsupportedOpError) as error:
        plan_of(model_of([operator("ABS", [x], [y]), operator("NEG", [y], [z])]))
    assert "ABS (operator 0" in str(error.value) and "NEG (operator 1" in str(error.value)


def test_errors_name_the_operator() -> None:
    x, y = tensor("x", "float32", (2, 3)), tensor("y", "float32", (2, 3))
    with pytest.raises(ShapeError, match=r"RESHAPE \(operator 0, tensor 'y'\)(.|\n)*Node number 0 \(RESHAPE\) failed to prepare"):
        plan_of(one_op("RESHAPE", [x, numbers("s", [4, -1])], [y], options.ReshapeOptions()))


def test_an_operand_that_nobody_writes() -> None:
    x, never, y = (tensor(n, "float32", (2,)) for n in ("x", "never", "y"))
    with pytest.raises((ShapeError, ModelError), match="never"):
        plan_of(model_of(Graph([operator("ADD", [x, never], [y], ADD)], inputs=[x])))


def test_shapes_beyond_memory() -> None:
    x, y = tensor("x", "float32", (2, 3)), tensor("y", "float32", (1, 1))
    with pytest.raises(ArenaError, match="TINYINTERP_ARENA_LIMIT"):
        plan_of(one_op("TILE", [x, numbers("m", [2**14, 2**14])], [y]))
    with pytest.raises(ShapeError):
        plan_of(one_op("TILE", [x, numbers("m", [2**31 - 1, 1])], [y]))


def test_a_shape_that_the_file_leaves_out() -> None:
    """The delegate chooses its operators before any shape is inferred: a convolution of what it takes for one number is not
    its own, in spite of the four dimensions that turn up."""
    rng = np.random.default_rng(0)
    w = tensor("w", "float32", data=rng.normal(0, 1, (5, 3, 3, 2)).astype(np.float32))
    bias = tensor("b", "float32", data=rng.normal(0, 1, 5).astype(np.float32))
    for shape, used in (((1, 6, 6, 2), "delegate"), ((), "builtin")):
        x, a, y = tensor("x", "float32", (1, 6, 6, 2)), tensor("a", "float32", shape), tensor("y", "float32", (1, 6, 6, 5))
        model = model_of([operator("ABS", [x], [a]), operator("CONV_2D", [a, w, bias], [y], options.Conv2DOptions(
            Padding.SAME, 1, 1))])
        assert [s.call.numerics for s in plan_of(model, "default").steps] == ["delegate", used]
        assert compare(model, "default") == []
