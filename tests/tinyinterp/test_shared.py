"""Interpreters of one model share it: records, plan and packed constants, for as long as one of them lives."""

from __future__ import annotations

import gc
import os
import threading
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.tinyinterp.models import chain
from tinyinterp import Interpreter, OpResolverType, shared
from tinyinterp.kernels import OPS
from tinyinterp.lower import Plan
from tinyinterp.schema import build, options
from tinyinterp.schema.build import one_op, tensor


def model(seed: int = 0) -> bytes:
    """A fully connected operator whose weights a kernel wants packed."""
    w = np.random.default_rng(seed).integers(-100, 100, (40, 64))
    x, weights = tensor("x", "int8", (1, 64), scale=0.5), tensor("w", "int8", data=w, scale=0.1)
    y = tensor("y", "int8", (1, 40), scale=0.25)
    return build(one_op("FULLY_CONNECTED", [x, weights, None], [y], options.FullyConnectedOptions()))


def made(content: Any, **more: Any) -> Interpreter:
    interpreter = Interpreter(**{"model_content" if isinstance(content, bytes) else "model_path": content}, **more)
    interpreter.allocate_tensors()
    return interpreter


def constants(plan: Plan) -> list[np.ndarray]:
    return [a for step in plan.steps for a in step.args if isinstance(a, np.ndarray)]


def answer(interpreter: Interpreter) -> bytes:
    x = np.arange(64, dtype=np.int8).reshape(1, 64)
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x)
    interpreter.invoke()
    return bytes(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]).tobytes())


def test_equal_bytes_share_a_plan() -> None:
    one, two = made(model()), made(bytes(bytearray(model())))
    assert one.plan is two.plan and constants(one.plan) and one.program is not two.program
    assert one.__getstate__()["model_content"] is two.__getstate__()["model_content"], "one copy of the file"
    assert answer(one) == answer(two)
    one.close()
    assert answer(two) == answer(made(model()))


def test_constants_are_read_only() -> None:
    for array in constants(made(model()).plan):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0


def test_other_weights_are_another_model() -> None:
    one, two = made(model()), made(model(1))
    assert len(model()) == len(model(1)) and one.plan is not two.plan and answer(one) != answer(two)


@pytest.mark.parametrize("more", [{"num_threads": 2}, {"experimental_op_resolver_type": OpResolverType.BUILTIN_REF},
                                  {"ops": OPS[:5]}, {"experimental_preserve_all_tensors": True}])
@pytest.mark.filterwarnings("ignore")
def test_other_settings_are_another_plan(more: dict[str, Any]) -> None:
    one, two, three = made(model()), made(model(), **more), made(model(), **more)
    assert one.plan is not two.plan and two.plan is three.plan


def test_other_sizes_are_another_plan() -> None:
    one, two = made(model()), made(model())
    two.resize_tensor_input(0, (3, 64))
    two.allocate_tensors()
    assert one.plan is not two.plan and two.get_output_details()[0]["shape"].tolist() == [3, 40]
    assert one.get_output_details()[0]["shape"].tolist() == [1, 40]


def test_nothing_is_left() -> None:
    one, two = made(model()), made(model())
    held = weakref.ref(one.plan), weakref.ref(one._model), weakref.ref(constants(one.plan)[0])
    del one
    gc.collect()
    assert all(ref() is not None for ref in held)
    two.close()
    gc.collect()
    assert all(ref() is None for ref in held)


def test_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(model())
    young = made(str(path)), made(str(path))
    assert young[0].plan is not young[1].plan, "written a moment ago"
    monkeypatch.setattr(shared, "COARSE", 0)
    old = made(str(path)), made(os.fspath(path))
    assert old[0].plan is old[1].plan
    path.unlink()
    path.write_bytes(model(1))
    assert answer(made(str(path))) == answer(made(model(1))) != answer(old[0])


def test_threads_at_once() -> None:
    found: list[Interpreter] = []
    content = chain(5)
    threads = [threading.Thread(target=lambda: found.append(made(content))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(300)
    assert len(found) == 6 and all(np.isfinite(i.get_tensor(0)).all() for i in found)
    assert any(made(content).plan is i.plan for i in found)
