"""docs/reference/deviations.md, row by row: where the official interpreter crashes, corrupts or errs, this one does not."""

from __future__ import annotations

import threading
import warnings
from typing import Any

import numpy as np
import pytest

from tests.harness import official
from tests.tinyinterp import models
from tests.tinyinterp.test_interpreter import sparse
from tinyinterp import Interpreter, OpResolverType, graph
from tinyinterp.errors import InUseError, TinyInterpError, UnsupportedOpError
from tinyinterp.schema import Quantization, build, options
from tinyinterp.schema.build import Graph, model_of, one_op, operator, tensor

RAMP = np.array([[1, 2, 3, 4]], np.float32)


def allocated(data: bytes, **options: Any) -> Interpreter:
    interpreter = Interpreter(model_content=data, **options)
    interpreter.allocate_tensors()
    return interpreter


# ------------------------------------------------------------------------------------------ where the official one crashes
def test_a_constant_cannot_be_set() -> None:
    data = models.permute()
    before = bytes(bytearray(data))
    interpreter = allocated(data)
    with pytest.raises(ValueError, match="tensor 1 'Const' is stored in the model"):
        interpreter.set_tensor(1, np.zeros((4, 4), np.float32))
    with pytest.raises(ValueError, match="read-only"):
        interpreter.tensor(1)()[:] = 0
    assert data == before


def test_what_follows_from_constants_cannot_be_set() -> None:
    c, s = tensor("c", "float32", data=np.ones(4, np.float32)), tensor("s", "int32", data=np.array([2, 2], np.int32))
    x, f, y = tensor("x", "float32", (2, 2)), tensor("folded", "float32", (2, 2)), tensor("y", "float32", (2, 2))
    interpreter = allocated(build(model_of([operator("RESHAPE", [c, s], [f]), operator("FULLY_CONNECTED", [x, f, None], [y])])))
    with pytest.raises(ValueError, match="follows from constants alone"):
        interpreter.set_tensor("folded", np.zeros((2, 2), np.float32))


def test_strings_that_nobody_set() -> None:
    interpreter = allocated(models.gather_string())
    for use in (lambda: interpreter.get_tensor(0), interpreter.invoke):
        with pytest.raises(ValueError, match=r"never set|nobody has set"):
            use()
    assert interpreter.get_tensor("output").tolist() == [b"", b"", b""]
    interpreter.set_tensor(0, np.array(list("abcdefghij")))
    with pytest.raises(ValueError, match=r"get_tensor\(\) copies"):
        interpreter.tensor(0)()


def test_views_of_packed_constants() -> None:
    w = tensor("w", "int4", (2, 4), data=np.arange(-4, 4).reshape(2, 4), scale=0.5)
    x, y = tensor("x", "float32", (1, 4)), tensor("y", "float32", (1, 2))
    interpreter = Interpreter(model_content=build(one_op("FULLY_CONNECTED", [x, w, None], [y])))
    view = interpreter.tensor("w")()
    assert view.tolist() == [[-4, -3, -2, -1], [0, 1, 2, 3]]
    assert not view.flags.writeable
    stored = Interpreter(model_content=sparse()).tensor(0)()
    assert stored.tolist() == [1, 0, 0, 4, 2, 3, 0, 0, 5, 0, 0, 6]
    assert not stored.flags.writeable


def test_a_changing_model_is_copied() -> None:
    data = bytearray(models.permute())
    interpreter = Interpreter(model_content=memoryview(data))
    data[:] = bytes(len(data))
    interpreter.allocate_tensors()
    interpreter.set_tensor(0, RAMP)
    interpreter.invoke()
    assert interpreter.get_tensor(2).tolist() == [[4, 3, 2, 1]]


def test_a_second_thread_is_told() -> None:
    interpreter, said = allocated(models.permute()), []

    def use() -> None:
        try:
            interpreter.invoke()
        except InUseError as error:
            said.append(str(error))

    with interpreter._turn:
        thread = threading.Thread(target=use)
        thread.start()
        thread.join()
    assert len(said) == 1 and "another thread" in said[0]


def test_outputs_begin_as_zeros() -> None:
    for _ in range(3):
        assert not allocated(models.chain(4)).get_tensor("y").any()


# ---------------------------------------------------------------------------------------- where the official one is wrong
def test_byte_order() -> None:
    interpreter = allocated(models.permute())
    interpreter.set_tensor(0, RAMP.astype(">f4"))
    assert interpreter.get_tensor(0).tolist() == RAMP.tolist()


@pytest.mark.parametrize("value", [np.array("héllo"), np.array("héllo", object), np.array("héllo".encode(), object)])
def test_a_text_without_dimensions(value: np.ndarray) -> None:
    interpreter = allocated(models.gather_string_0d())
    interpreter.set_tensor(0, value)
    assert interpreter.get_tensor(0).item() == "héllo".encode()


def test_scales_of_blocks() -> None:
    scales = tensor("scales", "float32", data=np.array([0.5, 0.25], np.float32))
    w = tensor("w", "int8", (64,), quantization=Quantization(block_size=32, block_scales=0))
    model = build(model_of([operator("Thing", [scales, w], [tensor("y", "int8", (64,))])]))
    interpreter = Interpreter(model_content=model)
    parameters = interpreter.get_tensor_details()[1]["quantization_parameters"]
    assert parameters["scales"].dtype == np.float16
    assert parameters["scales"].tolist() == [0.5, 0.25]
    assert parameters["block_size"] == 32
    with pytest.raises(RuntimeError):
        interpreter.allocate_tensors()


def test_a_runner_is_no_view() -> None:
    interpreter = Interpreter(model_content=models.two_signatures())
    runner = interpreter.get_signature_runner("add")
    interpreter.allocate_tensors()
    interpreter.invoke()
    theirs = official(models.two_signatures())
    held = theirs.get_signature_runner("add")
    with pytest.raises(RuntimeError, match="There is at least 1 reference"):
        theirs.allocate_tensors()
    del runner, held


# --------------------------------------------------------------------------------------------------------- what is refused
def test_lacking_ops(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph, "op_of", lambda code: None)
    with pytest.raises(UnsupportedOpError, match="tinyinterp lacks FULLY_CONNECTED"):
        allocated(models.permute())


def test_intermediates_that_are_gone() -> None:
    data = models.chain(5)
    with pytest.raises(ValueError, match="Tensor data is null"):
        allocated(data).get_tensor("t1")
    reference = allocated(data, experimental_op_resolver_type=OpResolverType.BUILTIN_REF)
    with pytest.warns(UserWarning, match="shares bytes"):
        reference.get_tensor("t1")


def test_the_native_handle() -> None:
    with pytest.raises(TinyInterpError, match="written in Python"):
        allocated(models.permute())._native_handle()


# -------------------------------------------------------------------------------------------------------- what is different
def test_no_delegate_among_the_operators() -> None:
    interpreter = allocated(models.chain(3))
    assert [d["op_name"] for d in interpreter._get_ops_details()] == ["FULLY_CONNECTED"] * 3


def test_an_error_stands_alone() -> None:
    interpreter = Interpreter(model_content=models.permute())
    texts = []
    for _ in range(2):
        with pytest.raises(RuntimeError) as caught:
            interpreter.invoke()
        texts.append(str(caught.value))
    assert texts[0] == texts[1]


def test_data_that_is_lacking() -> None:
    x, hole = tensor("x", "float32", (1, 4)), tensor("hole", "float32", (4, 4))
    step = operator("FULLY_CONNECTED", [x, hole, None], [tensor("y", "float32", (1, 4))], options.FullyConnectedOptions())
    with pytest.raises(RuntimeError, match="Input tensor 1 lacks data"):
        allocated(build(model_of(Graph([step], inputs=[x]))))


def test_nothing_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        interpreter = allocated(models.permute(), experimental_disable_delegate_clustering=True,
                                experimental_default_delegate_latest_features=True,
                                experimental_disable_delegate_node_fusion=True,
                                experimental_force_delegate_node_profiling=True)
    interpreter.invoke()
    assert capfd.readouterr() == ("", "")
