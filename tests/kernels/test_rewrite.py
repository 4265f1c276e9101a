"""Two operators that the delegate computes in one step: against the official interpreter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from tests.harness import check, compare, models, ours
from tinyinterp.graph import link
from tinyinterp.kernels import axes as walking
from tinyinterp.kernels import jit, reduce
from tinyinterp.kernels.machine import f32
from tinyinterp.lower import Plan, lower
from tinyinterp.program import Program
from tinyinterp.schema import Activation, Model, Padding, build, options, read
from tinyinterp.schema.build import Graph, Part, Step, model_of, operator, tensor

SPECIAL = np.array([0, -0.0, np.nan, np.inf, -np.inf, 1e-40, -1e-40, 1e-20, 3e38, 7, 0.5], np.float32)
CASES = [((5,), (0,)), ((3, 4), (0,)), ((3, 4), (1,)), ((3, 4), (0, 1)), ((40, 1, 50), (2, 0)), ((7, 5, 1), (1,)),
         ((2, 9, 10, 70), (1, 2)), ((2, 9, 10, 40), (0, 3)), ((2, 3, 4, 5, 6, 7), (1, 3, 5)), ((2, 3, 4, 5, 6, 7), (0, 2, 4)),
         ((3, 1000), (1,)), ((1000, 3), (0,)), ((3, 63), (1,)), ((3, 111), (1,)), ((5000,), (0,))]  # fmt: skip


def squares(name: str, shape: tuple[int, ...], axes: tuple[int, ...], square: str = "MUL", activation: int = 0,
            more: Sequence[str] = (), shown: bool = False) -> Model:
    """SUM or MEAN of SQUARE(x) or MUL(x, x); `more`: other readers of the squares; `shown`: they are an output too."""
    x, s = tensor("x", "float32", shape), tensor("s", "float32", shape)
    y = tensor("y", "float32", tuple(d for i, d in enumerate(shape) if i not in axes))
    first = operator("MUL", [x, x], [s], options.MulOptions(activation)) if square == "MUL" else operator("SQUARE", [x], [s])
    others = [(operator(other, [s], [z]), z) for other in more for z in (tensor(other, "float32", shape),)]
    total = operator(name, [s, tensor("a", "int32", data=np.array(axes, np.int32))], [y], options.ReducerOptions(False))
    outputs = [y, *(z for _, z in others), *([s] if shown else [])]
    return model_of(Graph([first, *(step for step, _ in others), total], outputs=outputs))


def pool(name: str, size: int, activation: int, clamps: Sequence[str | tuple[str, float]]) -> Model:
    """A pool and what clamps its result: an op, or an op and a stored bound."""
    x, s = tensor("x", "float32", (1, 9, 9, 5)), tensor("s", "float32", (1, 10 - size, 10 - size, 5))
    option = options.Pool2DOptions(Padding.VALID, 1, 1, size, size, Activation(activation))
    steps: list[Step] = [operator(name, [x], [s], option)]
    for i, clamp in enumerate(clamps):
        y = tensor(f"y{i}", "float32", s.tensor.shape)
        code, stored = (clamp, []) if isinstance(clamp, str) else (clamp[0], [tensor("c", "float32", data=f32([clamp[1]]))])
        given: list[Part | None] = [s, *stored]
        steps.append(operator(code, given, [y]))
        s = y
    return model_of(steps)


def plan(model: Model, numerics: str = "default", **more: Any) -> Plan:
    graph = link(read(build(model)))
    return lower(graph, {t: graph.tensors[t].shape for t in graph.inputs}, numerics, **more)


def names(made: Plan) -> list[str]:
    return [step.name for step in made.steps]


# ----------------------------------------------------------------------------------------------------------------- squares
def test_by_hand() -> None:
    """1 + 2**-12 squared is 1 + 2**-11 + 2**-24, whose last bit a product would round off."""
    x, expected = [[2**-12, 1 + 2**-12]], {"avx512": 1 + 2**-11 + 2**-23, "avx2": 1 + 2**-11}
    kernels = {"avx512": reduce.SQUARE_COLUMNS_AVX512, "avx2": reduce.SQUARE_COLUMNS_AVX2}
    for isa, kernel in kernels.items():
        y = np.zeros(1, np.float32)
        jit.python_call(kernel, [f32(x).reshape(-1), walking.loops((2, 1), frozenset({0}), False), f32(1), y], 1)
        assert y[0] == expected[isa]
    assert ours(squares("SUM", (1, 2), (0, 1)), x, numerics="reference")[0] == expected["avx2"]


def test_plan() -> None:
    assert names(plan(squares("SUM", (3, 4), (1,)))) == ["MUL+SUM"]
    assert names(plan(squares("MEAN", (3, 4), (1,), "SQUARE"))) == ["SQUARE+MEAN"]
    assert "MUL+SUM" in str(plan(squares("SUM", (3, 4), (1,))))
    assert names(plan(squares("SUM", (3, 4), (1,)), preserve=True)) == ["MUL", "MUL+SUM"]
    assert names(plan(squares("SUM", (3, 4), (1,), shown=True))) == ["MUL", "MUL+SUM"]
    assert names(plan(squares("SUM", (3, 4), (1,), more=["NEG"]))) == ["MUL", "NEG", "MUL+SUM"]
    assert names(plan(squares("SUM", (3, 4), (1,), activation=Activation.RELU))) == ["MUL", "SUM"]
    for numerics in ("reference", "builtin"):
        assert names(plan(squares("SUM", (3, 4), (1,)), numerics)) == ["MUL", "SUM"]


def test_turned_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINYINTERP_REWRITES", "alias,in_place")
    assert names(plan(squares("SUM", (3, 4), (1,)))) == ["MUL", "SUM"]
    x = np.random.default_rng(3).normal(0, 1, (300, 70)).astype(np.float32)
    assert compare(squares("SUM", (300, 70), (0,)), "default", {0: x}), "the official answer no longer tells"


@pytest.mark.parametrize("name", ["SUM", "MEAN"])
def test_squares(name: str) -> None:
    rng = np.random.default_rng(4)
    for k, (shape, axes) in enumerate(CASES):
        for share in (0, 0.05, 0.5):
            x = rng.normal(0, 1, shape)
            x = np.where(rng.random(shape) < share, rng.choice(SPECIAL, shape), x).astype(np.float32)
            model = squares(name, shape, axes, ("MUL", "SQUARE")[k % 2])
            check(model, ("reference", "default"), inputs={0: x}, runs=1, threads=1 + k % 2)


def test_other_readers() -> None:
    """The squares are computed too where somebody else reads them, whether the delegate takes that operator or not."""
    for more in ([], ["NEG"], ["LOG_SOFTMAX"], ["NEG", "L2_NORMALIZATION"]):
        if {"LOG_SOFTMAX"} & set(more) and not known("LOG_SOFTMAX"):
            continue
        for shown in (False, True):
            check(squares("SUM", (3, 4, 70), (1,), more=more, shown=shown), ["default"])
    for activation in (Activation.RELU6, Activation.RELU_N1_TO_1):
        check(squares("SUM", (3, 4, 70), (1,), activation=activation), ["default"])


def known(name: str) -> bool:
    from tinyinterp.kernels import OPS

    return any(op.name == name for op in OPS)


def test_every_tensor_kept() -> None:
    graph = link(read(build(squares("SUM", (3, 4), (1,)))))
    program = Program(graph, {0: (3, 4)}, "default", preserve=True)
    program.array(0)[...] = 3
    program.run()
    assert program.array(graph.operators[0].operator.outputs[0]).tolist() == [[9] * 4] * 3


def test_squares_without_avx512() -> None:
    """Eight lanes, written with arrays; products and sums are rounded one by one."""
    rng = np.random.default_rng(8)
    for n in (1, 7, 8, 17, 31, 32, 63, 100, 333):
        x = rng.normal(0, 1, (2, n)).astype(np.float32)
        y, scale = np.zeros(2, np.float32), f32(1) / f32(n)
        table = walking.loops(x.shape, frozenset({1}), drop_ones=False)
        jit.python_call(reduce.SQUARE_ROWS_AVX2, [x.reshape(-1), table, scale, np.zeros(64, np.float32), y], 2)
        for r in range(2):
            lanes, square = np.zeros((4, 8), np.float32), x[r] * x[r]
            whole, eights = n - n % 32, n - n % 8
            for i in range(0, whole, 32):
                lanes += square[i : i + 32].reshape(4, 8)
            lanes[: (eights - whole) // 8] += square[whole:eights].reshape(-1, 8)
            total = (lanes[0] + lanes[2]) + (lanes[1] + lanes[3])
            total[: n - eights] += square[eights:]
            while total.size > 1:
                total = total[: total.size // 2] + total[total.size // 2 :]
            assert y[r] == f32(0) + total[0] * scale


def test_real_models() -> None:
    """Networks whose normalization is a mean of squares."""
    paths = [p for p in models() if p.name in ("norm.tflite", "duplicated_tensor_names.tflite")]
    if not paths:
        pytest.skip("TINYINTERP_MODELS is not set")
    for path in paths:
        assert any("+" in name for name in names(plan(read(path)))), path.name
        check(read(path), ("reference", "default"), runs=1)


# ------------------------------------------------------------------------------------------------------------------- pools
@pytest.mark.parametrize("name", ["MAX_POOL_2D", "AVERAGE_POOL_2D"])
def test_pools(name: str) -> None:
    rng = np.random.default_rng(5)
    zeros = np.array([0, -0.0, np.nan, -1, 1e-40, -1e-40, -np.inf, 7, 0.5], np.float32)
    for size in (1, 2, 3, 4):
        for k, clamps in enumerate((["RELU"], ["RELU6", "RELU_N1_TO_1"], [("MAXIMUM", 0.0)], [("MINIMUM", 0.0), "RELU"],
                                    [("MINIMUM", -0.0), ("MAXIMUM", -0.5)], [("MAXIMUM", -np.inf)], [("MINIMUM", np.inf)])):
            x = np.where(rng.random((1, 9, 9, 5)) < 0.9, rng.choice(zeros, (1, 9, 9, 5)), rng.normal(0, 1, (1, 9, 9, 5)))
            check(pool(name, size, k % 4, clamps), ["default"], inputs={0: x.astype(np.float32)}, runs=1)


def test_pool_by_hand() -> None:
    """The pool's clamp puts the bound second, so that a zero of the other sign loses."""
    x, two = np.full((1, 9, 9, 5), -0.0, np.float32), pool("MAX_POOL_2D", 2, 0, ["RELU"])
    assert names(plan(two)) == ["MAX_POOL_2D+RELU"]
    assert not np.signbit(ours(two, x, numerics="default")[0]).any()
    assert np.signbit(ours(pool("MAX_POOL_2D", 2, 0, []), x, numerics="default")[0]).all()
    assert names(plan(pool("MAX_POOL_2D", 2, 0, [("MAXIMUM", np.nan)]))) == ["MAX_POOL_2D", "MAXIMUM"]
