"""Programs: memory that nobody shares at the wrong time, one native call a run, values that decide shapes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinyinterp.program as programs
from tests.contract.examples import examples, values_for
from tests.harness import models, random_value
from tests.kernels.test_depthwise import depthwise
from tests.tinyinterp.models import chain
from tests.tinyinterp.test_arena import check as check_placement
from tests.tinyinterp.test_lower import ADD, dynamic, numbers
from tinyinterp.errors import NotAllocatedError, TinyInterpError, ValueDependentError
from tinyinterp.evaluate import run_builtin
from tinyinterp.graph import link
from tinyinterp.kernels import jit
from tinyinterp.lives import lives_of
from tinyinterp.program import Program
from tinyinterp.schema import Activation, Model, build, options, read
from tinyinterp.schema.build import model_of, one_op, operator, tensor

native = pytest.mark.skipif(jit.DISABLED, reason="about machine code")


def program(model: Model | bytes, numerics: str = "default", threads: int = 1, **more: Any) -> Program:
    graph = link(read(model if isinstance(model, bytes) else build(model)))
    return Program(graph, {t: graph.tensors[t].shape for t in graph.inputs}, numerics, threads, **more)


def wide(threads: int) -> Program:
    """A program whose step is large enough to be shared."""
    x, y = tensor("x", "float32", (64, 600)), tensor("y", "float32", (64, 600))
    return program(one_op("ABS", [x], [y]), "reference", threads)


# ---------------------------------------------------------------------------------------------------------- native calls
@native
@pytest.mark.parametrize("threads", [1, 2])
def test_one_native_call_a_run(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[bool] = []
    plain = programs.run_builtin

    def counted(words: np.ndarray, hold: bool) -> Callable[[], bool]:
        function = plain(words, hold)

        def call() -> bool:
            calls.append(hold)
            return function()

        return call

    monkeypatch.setattr(programs, "run_builtin", counted)
    for made, hold in ((program(chain(5)), True), (wide(threads), False)):
        calls.clear()
        for _ in range(3):
            made.run()
        assert calls == [hold] * 3


@native
@pytest.mark.parametrize("hold", [False, True])
def test_the_gil_is_released_as_said(hold: bool) -> None:
    """A run that gives up the GIL lets another thread count; one that holds it does not."""
    made = program(one_op("ABS", [tensor("x", "float32", (20_000_000,))], [tensor("y", "float32", (20_000_000,))]))
    run = run_builtin(made.segments[0]._words[0], hold)
    counts, over = [0], threading.Event()

    def count() -> None:
        while not over.is_set():
            counts[0] += 1
            time.sleep(0)

    other = threading.Thread(target=count)
    other.start()
    try:
        before = counts[0]
        assert run() is False
        seen = counts[0] - before
    finally:
        over.set()
        other.join()
    assert (seen > 100) == (not hold)


@native
def test_a_status_names_step_and_place() -> None:
    x, a, y = (tensor(n, "float32", s) for n, s in (("x", (3,)), ("a", (3,)), ("y", (4,))))
    at = tensor("at", "int32", (4,))
    made = program(model_of([operator("ABS", [x], [a]), operator("GATHER", [a, at], [y], options.GatherOptions())]))
    t = next(t for t in made.graph.inputs if made.graph.tensors[t].name == "at")
    made.array(t)[...] = [0, 1, 5, 0]
    with pytest.raises(ValueDependentError, match=r"GATHER \(operator 1, tensor 'y'\): index out of range at element 2"):
        made.run()
    made.array(t)[...] = [0, 1, 2, 0]
    made.run()


# ---------------------------------------------------------------------------------------------------------------- memory
def small(path: Any) -> bool:
    return bool(path.stat().st_size < 120_000)


@pytest.mark.parametrize("preserve", [False, True])
def test_placements_of_programs(preserve: bool) -> None:
    for name in ("TFLite_Detection_PostProcess", "SUM", "SOFTMAX"):
        for model in examples()[name][:2]:
            for segment in program(model, "reference", 2, preserve=preserve).segments:
                check_placement(segment.placement)
    made = program(chain(6), preserve=preserve)
    check_placement(made.placement)
    ends = {life.last for life in lives_of(made.plan, frozenset(), preserve) if life.key >= 0}
    assert (ends == {5}) == preserve  # all of them to the last step


def test_arrays_are_aligned_and_apart() -> None:
    made = program(chain(6), preserve=True)
    views = [made.array(t) for t in range(len(made.graph.tensors)) if t not in made.graph.constants]
    assert all(v.ctypes.data % 64 == 0 for v in views)
    assert not any(np.shares_memory(a, b) for i, a in enumerate(views) for b in views[:i])


def test_what_is_set_stays_as_it_is() -> None:
    """A run leaves the graph's inputs alone: the next one gives the same."""
    for name in ("RESHAPE", "SQUEEZE", "EXPAND_DIMS", "PAD", "CONCATENATION", "SPLIT", "SLICE", "TRANSPOSE", "ABS"):
        model = examples()[name][0]
        values = values_for(model)
        made = program(model, "default")
        for t, value in values.items():
            made.array(t)[...] = value
        made.run()
        first = [made.array(t).copy() for t in made.graph.outputs]
        for t, value in values.items():
            assert made.array(t).tobytes() == np.ascontiguousarray(value).tobytes(), model
        made.run()
        assert [a.tobytes() for a in first] == [made.array(t).tobytes() for t in made.graph.outputs]


def test_networks_leave_their_inputs_alone() -> None:
    found = 0
    for path in [p for p in models() if small(p)][:40:4]:
        try:
            made = program(path.read_bytes(), "default")
        except (TinyInterpError, ValueError):
            continue
        rng = np.random.default_rng(1)
        inputs = [t for t in made.graph.inputs if made.graph.tensors[t].type.numpy is not None]
        values = {t: random_value(made.array(t).dtype, made.array(t).shape, rng) for t in inputs}
        for t, value in values.items():
            made.array(t)[...] = value
        try:
            made.run()
        except ValueDependentError:
            continue
        assert all(made.array(t).tobytes() == value.tobytes() for t, value in values.items()), path
        found += 1
    if not models():
        pytest.skip("no models given")
    assert found


def sums() -> Model:
    """t = x * x, u = reshape(t), v = u + u, w = v + x, y = v - w."""
    x, t, w, y = (tensor(n, "float32", (4, 8)) for n in "xtwy")
    u, v = (tensor(n, "float32", (4, 8)) for n in "uv")
    shape = tensor("shape", "int32", data=np.array([4, 8], np.int32))
    none = Activation.NONE
    add = options.AddOptions(fused_activation_function=none)
    return model_of([operator("MUL", [x, x], [t], options.MulOptions(fused_activation_function=none)),
                     operator("RESHAPE", [t, shape], [u], options.ReshapeOptions(new_shape=(4, 8))),
                     operator("ADD", [u, u], [v], add), operator("ADD", [v, x], [w], add),
                     operator("SUB", [v, w], [y], options.SubOptions(fused_activation_function=none))])


@native
def test_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """v takes over t's place, y one of its operands'; w must not, since v is read once more."""
    made = program(build(sums()))
    names = {x.name: t for t, x in enumerate(made.graph.tensors)}
    over = {l.key: l.over for l in made.placement.lives}
    assert over[names["v"]] == names["t"] and over[names["w"]] is None and over[names["y"]] in (names["v"], names["w"])
    assert f"over t{names['t']}" in str(made) and made.overwritten(names["u"]) == names["v"]
    assert "over" not in str(program(build(sums()), preserve=True))
    x = np.random.default_rng(0).normal(0, 1, (4, 8)).astype(np.float32)
    made.array(names["x"])[...] = x
    made.run()
    assert np.array_equal(made.array(names["y"]), (x * x + x * x) - ((x * x + x * x) + x))
    monkeypatch.setenv("TINYINTERP_REWRITES", "merge")
    off = program(build(sums()))
    assert "over" not in str(off) and not off.plan.aliases and off.placement.size > made.placement.size


def test_rewrites_leave_the_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks with and without aliases and operators in place."""
    found = 0
    for path in [p for p in models() if small(p)][::9]:
        outputs = []
        for rewrites in ("merge,alias,in_place", "merge"):
            monkeypatch.setenv("TINYINTERP_REWRITES", rewrites)
            try:
                made = program(path.read_bytes(), "default")
                rng = np.random.default_rng(2)
                for t in made.graph.inputs:
                    if made.graph.tensors[t].type.numpy is not None:
                        made.array(t)[...] = random_value(made.array(t).dtype, made.array(t).shape, rng)
                made.run()
            except (TinyInterpError, ValueError):
                break
            outputs.append([made.array(t).tobytes() for t in made.graph.outputs])
        assert len(outputs) < 2 or outputs[0] == outputs[1], path
        found += len(outputs) == 2
    if not models():
        pytest.skip("no models given")
    assert found


def test_tensors_that_are_lost() -> None:
    made = program(chain(4))
    names = {made.graph.tensors[t].name: t for t in range(len(made.graph.tensors))}
    assert made.overwritten(names["y"]) is None and made.overwritten(names["x"]) is None
    lost = [made.overwritten(names[n]) for n in ("t1", "t2")]
    assert any(t is not None for t in lost)
    kept = program(chain(4), preserve=True)
    assert all(kept.overwritten(t) is None for t in names.values())


# --------------------------------------------------------------------------------------------- values that decide shapes
def test_a_tail_is_lowered_again_when_values_change(monkeypatch: pytest.MonkeyPatch) -> None:
    count = 0
    plain = programs.lower

    def counted(*args: Any) -> Any:
        nonlocal count
        count += 1
        return plain(*args)

    made = program(dynamic(), "reference")
    monkeypatch.setattr(programs, "lower", counted)
    x = np.arange(6, dtype=np.float32)
    expected = []
    for begin, size, lowered in ((1, 2, 2), (1, 2, 0), (1, 3, 1), (2, 3, 2), (2, 3, 0), (1, 2, 2)):
        count = 0
        for t, value in zip(made.graph.inputs, (x, [begin], [size])):
            made.array(t)[...] = value
        made.run()
        out = made.array(made.graph.outputs[0])
        assert out.tolist() == (-x[begin : begin + size]).tolist()
        expected.append((lowered, count))
    assert all(c <= lowered for lowered, c in expected) and [c for _, c in expected][1::3] == [0, 0], expected


def test_scratch_of_a_tail_is_its_own() -> None:
    """The first step before the cut and the first one after it both want scratch; the second wants more."""
    first = depthwise("float32", (4, 4, 16), 1, (2, 2))
    second = depthwise("float32", (4, 4, 16), 1, (5, 5))
    w1, b1, w2, b2 = (tensor(t.name, "float32", t.shape, data=m.buffers[t.buffer].tobytes())
                      for m in (first, second) for t in m.subgraphs[0].tensors if t.buffer)
    x, a, b, y = (tensor(n, "float32", (2, 4, 4, 16)) for n in "xaby")
    o = first.subgraphs[0].operators[0].options
    made = program(model_of([operator("DEPTHWISE_CONV_2D", [x, w1, b1], [a], o),
                             operator("RESHAPE", [a, tensor("s", "int32", (4,))], [b], options.ReshapeOptions()),
                             operator("DEPTHWISE_CONV_2D", [b, w2, b2], [y], o)]), "reference")
    for t in made.graph.inputs:
        made.array(t)[...] = [2, 4, 4, 16] if made.graph.tensors[t].name == "s" else 1
    made.run()
    assert len(made.segments) == 2
    for segment in made.segments:
        check_placement(segment.placement)
        for life in lives_of(segment.plan, frozenset()):
            if life.key < 0:
                assert segment.bytes[life.key].size >= life.size and np.shares_memory(segment.bytes[life.key], segment.memory)


def test_unknown_until_a_run() -> None:
    made = program(dynamic(), "reference")
    assert not made.complete and "to be continued" in str(made)
    with pytest.raises(NotAllocatedError):
        made.array(made.graph.outputs[0])
    for t, value in zip(made.graph.inputs, (1, 0, 4)):
        made.array(t)[...] = value
    made.run()
    assert made.complete and made.shape(made.graph.outputs[0]) == (4,) and "SLICE" in str(made)


# -------------------------------------------------------------------------------------------------------------- denormals
def plus_zero() -> Model:
    """Two operators on the same x: x + 0, which the delegate takes, and sin x, which it leaves to the builtins."""
    x, y, z = (tensor(n, "float32", (200, 200)) for n in "xyz")
    add = operator("ADD", [x, tensor("zero", "float32", data=np.zeros((1, 1), np.float32))], [y], ADD)
    return model_of([add, operator("SIN", [x], [z])])


@native
@pytest.mark.parametrize("threads", [1, 2])
def test_denormals_count_as_zero_inside_delegated_steps_only(threads: int) -> None:
    tiny = np.full((200, 200), 1e-40, np.float32)
    for numerics, expected in (("default", 0), ("reference", 1e-40), ("default", 0)):
        made = program(plus_zero(), numerics, threads)
        made.array(made.graph.inputs[0])[...] = tiny
        made.run()
        total, sine = (made.array(t) for t in made.graph.outputs)
        delegated = made.plan.steps[1].call.numerics == "delegate"
        assert (total == np.float32(expected)).all(), numerics
        assert delegated or (sine == np.float32(1e-40)).all(), numerics
        assert (tiny * np.float32(0.5) == np.float32(5e-41)).all()  # the caller's own arithmetic is as before


@native
def test_denormals_after_steps_that_were_computed_at_lowering() -> None:
    tiny = tensor("t", "float32", data=np.full(37, 1e-40, np.float32))
    a, x, y = (tensor(n, "float32", (37,)) for n in "axy")
    made = program(model_of([operator("ADD", [tiny, tiny], [a], ADD), operator("MAXIMUM", [x, a], [y])]))
    assert len(made.plan.steps) == 1
    assert np.float32(1e-40) * np.float32(0.5) != 0


@native
def test_denormals_after_a_failure() -> None:
    """A step that refuses its values leaves the caller's mode as it was."""
    x, at = tensor("x", "float32", (3,)), tensor("at", "int32", (1,))
    made = program(one_op("GATHER", [x, at], [tensor("y", "float32", (1,))], options.GatherOptions()), "default")
    made.array(made.graph.inputs[1])[...] = 9
    with pytest.raises(ValueDependentError):
        made.run()
    assert np.float32(1e-40) * np.float32(0.5) != 0


def test_numbers() -> None:
    """A constant that is asked for is the file's, read-only."""
    made = program(one_op("RESHAPE", [tensor("x", "float32", (2, 3)), numbers("s", [6])], [tensor("y", "float32", (6,))],
                          options.ReshapeOptions()))
    assert made.has(1) and made.array(1).tolist() == [6] and not made.array(1).flags.writeable
