"""What a program written for tf.lite does with an interpreter: each official test of it that needs no C++, told anew."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.tinyinterp import models
from tinyinterp.interpreter import Interpreter, InterpreterWithCustomOps, OpResolverType, SignatureRunner
from tinyinterp.schema import DimensionType, SparseLevel, Sparsity, build
from tinyinterp.schema.build import Graph, model_of, one_op, operator, tensor

RAMP = np.array([[1, 2, 3, 4]], np.float32)


@pytest.fixture(name="permute")
def _permute() -> Interpreter:
    interpreter = Interpreter(model_content=models.permute())
    interpreter.allocate_tensors()
    return interpreter


def test_a_path_like_model(tmp_path: Path) -> None:
    path = tmp_path / "permute.tflite"
    path.write_bytes(models.permute())
    for given in (path, str(path), str(path).encode()):
        Interpreter(model_path=given).allocate_tensors()


@pytest.mark.parametrize(("given", "text"), [(-1, "num_threads should >= 1"), (0, "num_threads should >= 1"),
                                             (4.2, "type of num_threads should be int"), ("2", "should be int"),
                                             (np.int64(2), "should be int")])
def test_threads_are_a_positive_integer(given: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        Interpreter(model_content=models.permute(), num_threads=given)


def test_an_unknown_resolver() -> None:
    with pytest.raises(ValueError, match="Unrecognized passed in op resolver type: test"):
        Interpreter(model_content=models.permute(), experimental_op_resolver_type="test")  # type: ignore[arg-type]


@pytest.mark.parametrize("resolver", OpResolverType)
def test_float(resolver: OpResolverType) -> None:
    interpreter = Interpreter(model_content=models.permute(), experimental_op_resolver_type=resolver)
    interpreter.allocate_tensors()
    for details, name in ((interpreter.get_input_details(), "input"), (interpreter.get_output_details(), "output")):
        assert len(details) == 1
        assert details[0]["name"] == name
        assert details[0]["dtype"] is np.float32
        assert details[0]["shape"].tolist() == [1, 4]
        assert details[0]["quantization"] == (0.0, 0)
        parameters = details[0]["quantization_parameters"]
        assert [len(parameters["scales"]), len(parameters["zero_points"]), parameters["quantized_dimension"]] == [0, 0, 0]
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], RAMP)
    interpreter.invoke()
    assert interpreter.get_tensor(interpreter.get_output_details()[0]["index"]).tolist() == [[4, 3, 2, 1]]


def test_two_threads() -> None:
    interpreter = Interpreter(model_content=models.permute(), num_threads=2)
    interpreter.allocate_tensors()
    interpreter.set_tensor(0, RAMP)
    interpreter.invoke()
    assert interpreter.get_tensor(2).tolist() == [[4, 3, 2, 1]]


def test_uint8() -> None:
    interpreter = Interpreter(model_content=models.permute("uint8"))
    interpreter.allocate_tensors()
    for details in (interpreter.get_input_details()[0], interpreter.get_output_details()[0]):
        assert details["dtype"] is np.uint8
        assert details["quantization"] == (1.0, 0)
        assert details["quantization_parameters"]["scales"].tolist() == [1.0]
        assert details["quantization_parameters"]["zero_points"].tolist() == [0]
    interpreter.resize_tensor_input(0, (1, 4))
    interpreter.allocate_tensors()
    interpreter.set_tensor(0, np.array([[1, 2, 3, 4]], np.uint8))
    interpreter.invoke()
    assert interpreter.get_tensor(2).tolist() == [[4, 3, 2, 1]]


def test_strings() -> None:
    interpreter = Interpreter(model_content=models.gather_string())
    interpreter.allocate_tensors()
    x, indices = interpreter.get_input_details()
    assert (x["name"], x["dtype"], x["shape"].tolist(), x["quantization"]) == ("input", np.bytes_, [10], (0.0, 0))
    assert (indices["name"], indices["dtype"], indices["shape"].tolist()) == ("indices", np.int64, [3])
    assert interpreter.get_output_details()[0]["dtype"] is np.bytes_
    interpreter.set_tensor(indices["index"], np.array([1, 2, 3], np.int64))
    interpreter.set_tensor(x["index"], np.array(list("abcdefghij")))
    interpreter.invoke()
    assert interpreter.get_tensor(interpreter.get_output_details()[0]["index"]).tolist() == [b"b", b"c", b"d"]


def test_a_string_without_dimensions_keeps_its_nuls() -> None:
    interpreter = Interpreter(model_content=models.gather_string_0d())
    interpreter.allocate_tensors()
    data = b"abcd" + bytes(16)
    interpreter.set_tensor(0, np.array(data))
    assert interpreter.get_tensor(0).item(0) == data
    interpreter.invoke()
    assert interpreter.get_tensor("output").tolist() == [b"abcd"] * 3


def per_channel() -> bytes:
    x, y = tensor("x", "int8", (1, 4), scale=0.5), tensor("y", "int8", (1, 128), scale=0.5)
    w = tensor("w", "int8", (128, 4), data=np.ones((128, 4), np.int8), scale=np.linspace(0.1, 1, 128), axis=0)
    return build(one_op("FULLY_CONNECTED", [x, w, None], [y]))


def test_scales_per_channel() -> None:
    details = Interpreter(model_content=per_channel()).get_tensor_details()[1]
    assert len(details["quantization_parameters"]["scales"]) == 128
    assert details["quantization"] == (0.0, 0)
    assert details["sparsity_parameters"] == {}


def sparse() -> bytes:
    """A [4, 4] constant in blocks of 2x2, three of which are stored: LiteRT's sparse_tensor.bin."""
    dense = SparseLevel(DimensionType.DENSE, 2)
    rows = SparseLevel(DimensionType.SPARSE_CSR, 0, np.array([0, 2, 3], np.int32), np.array([0, 1, 1], np.int32))
    stored = np.array([1, 0, 0, 4, 2, 3, 0, 0, 5, 0, 0, 6], np.int8)
    x = tensor("sparse_tensor", "int8", (4, 4), data=stored.tobytes(),
               sparsity=Sparsity((0, 1, 2, 3), (0, 1), (dense, rows, dense, dense)))
    return build(one_op("DENSIFY", [x], [tensor("y", "int8", (4, 4))]))


def test_a_sparse_constant() -> None:
    interpreter = Interpreter(model_content=sparse())
    assert interpreter.get_tensor(0).tolist() == [1, 0, 0, 4, 2, 3, 0, 0, 5, 0, 0, 6]
    parameters = interpreter.get_tensor_details()[0]["sparsity_parameters"]
    assert parameters["traversal_order"].tolist() == [0, 1, 2, 3]
    assert parameters["block_map"].tolist() == [0, 1]
    levels = parameters["dim_metadata"]
    assert [levels[0], levels[2], levels[3]] == [{"format": 0, "dense_size": 2}] * 3
    assert levels[1]["format"] == 1
    assert levels[1]["array_segments"].tolist() == [0, 2, 3]
    assert levels[1]["array_indices"].tolist() == [0, 1, 1]


@pytest.mark.parametrize("data", [b"short", b"wrong_identifier"])
def test_bytes_that_are_no_model(data: bytes) -> None:
    with pytest.raises(ValueError, match="The model is not a valid Flatbuffer buffer"):
        Interpreter(model_content=data)


def test_no_such_file() -> None:
    with pytest.raises(ValueError, match="Could not open 'totally_invalid_file_name'"):
        Interpreter(model_path="totally_invalid_file_name")


def test_invoke_before_allocate() -> None:
    with pytest.raises(RuntimeError, match="Invoke called on model that is not ready"):
        Interpreter(model_content=models.permute()).invoke()


def test_nothing_given() -> None:
    with pytest.raises(ValueError, match="`model_path` or `model_content` must be specified"):
        Interpreter(model_path=None, model_content=None)


def test_indices_out_of_range(permute: Interpreter) -> None:
    with pytest.raises(ValueError, match="Invalid tensor index 4 exceeds max tensor index 3"):
        permute._get_tensor_details(4, 0)
    with pytest.raises(ValueError, match="Invalid node index"):
        permute._get_op_details(4)


def test_an_empty_input() -> None:
    runner = Interpreter(model_content=models.total()).get_signature_runner()
    assert runner(x=np.zeros(0, np.float32))["output_0"] == 0
    assert runner(x=np.arange(5, dtype=np.float32))["output_0"] == 10


def test_tensor_gives_a_view(permute: Interpreter) -> None:
    reference = permute.tensor(0)
    np.copyto(reference(), RAMP)
    assert reference().tolist() == RAMP.tolist()
    assert permute.get_tensor(0).tolist() == RAMP.tolist()


def test_get_tensor_gives_a_copy(permute: Interpreter) -> None:
    permute.set_tensor(0, RAMP)
    copy = permute.get_tensor(0)
    permute.set_tensor(0, copy + 1)
    assert copy.tolist() == RAMP.tolist()
    assert permute.get_tensor(0).tolist() == (RAMP + 1).tolist()


def test_views_are_noticed(permute: Interpreter) -> None:
    function = permute.tensor(0)
    assert permute._safe_to_run()
    first = function()
    assert not permute._safe_to_run()
    second = function()
    assert first.base is second.base is permute._interpreter
    del first
    assert not permute._safe_to_run()
    del second
    assert permute._safe_to_run()


def test_views_protect_the_memory(permute: Interpreter) -> None:
    view = permute.tensor(0)()
    for forbidden in (permute.allocate_tensors, permute.invoke, lambda: permute.resize_tensor_input(0, [2, 4])):
        with pytest.raises(RuntimeError, match="There is at least 1 reference"):
            forbidden()
    part = view[0, 1:]
    del view
    with pytest.raises(RuntimeError, match="There is at least 1 reference"):
        permute.invoke()
    del part
    permute.invoke()
    permute.allocate_tensors()


def test_operators(permute: Interpreter) -> None:
    details = permute._get_ops_details()[0]
    assert list(details) == ["index", "op_name", "inputs", "outputs", "operand_types", "result_types"]
    assert (details["index"], details["op_name"]) == (0, "FULLY_CONNECTED")
    assert (details["inputs"].tolist(), details["outputs"].tolist()) == ([0, 1, -1], [2])
    assert (details["operand_types"], details["result_types"]) == ([np.float32, np.float32], [np.float32])


def test_one_subgraph() -> None:
    interpreter = Interpreter(model_content=models.permute())
    assert interpreter.num_subgraphs() == 1
    assert [d["name"] for d in interpreter.get_tensor_details()] == ["input", "Const", "output"]
    for k in (1, -1):
        with pytest.raises(ValueError, match="subgraph_index is out of range"):
            interpreter.get_tensor_details(subgraph_index=k)


def test_two_subgraphs() -> None:
    interpreter = Interpreter(model_content=models.two_signatures())
    assert interpreter.num_subgraphs() == 2
    assert [len(interpreter.get_tensor_details(k)) for k in (0, 1)] == [3, 3]
    assert interpreter.get_tensor_details(0)[0]["name"] == "add_x:0"
    assert interpreter.get_tensor_details(1)[0]["name"] == "multiply_x:0"
    with pytest.raises(ValueError, match="subgraph_index is out of range"):
        interpreter.get_tensor_details(subgraph_index=3)


def test_signatures() -> None:
    interpreter = Interpreter(model_content=models.two_signatures())
    both = {"inputs": ["x"], "outputs": ["output_0"]}
    assert interpreter.get_signature_list() == {"add": both, "multiply": both}
    add, multiply = (interpreter.get_signature_runner(key) for key in ("add", "multiply"))
    assert isinstance(add, SignatureRunner)
    for x in (np.array([1, 2, 3], np.float32), np.array([5], np.float32)):  # each call takes the size it is given
        assert add(x=x)["output_0"].tolist() == (x + 2).tolist()
        assert multiply(x=x)["output_0"].tolist() == (x * 3).tolist()
    assert add.get_input_details()["x"]["shape_signature"].tolist() == [-1]
    assert multiply.get_output_details()["output_0"]["name"] == "multiply_result:0"
    view = interpreter.tensor(0)()
    assert add(x=np.array([4], np.float32))["output_0"] == 6  # a runner does not mind views
    assert view.shape == (1,)


def test_custom_ops_may_be_none() -> None:
    assert InterpreterWithCustomOps(model_content=models.permute())._safe_to_run()


def test_the_value_of_an_input_outlives_allocate(permute: Interpreter) -> None:
    permute.set_tensor(0, RAMP)
    permute.allocate_tensors()
    permute.resize_tensor_input(0, [1, 4])  # the same size: still ready
    permute.invoke()
    permute.resize_tensor_input(0, [2, 4])
    permute.resize_tensor_input(0, [1, 4])
    with pytest.raises(RuntimeError, match="not ready"):
        permute.invoke()
    permute.allocate_tensors()
    permute.invoke()
    assert permute.get_tensor(2).tolist() == [[4, 3, 2, 1]]


def test_resize(permute: Interpreter) -> None:
    permute.resize_tensor_input(0, [3, 4])
    assert permute.get_input_details()[0]["shape"].tolist() == [3, 4]
    assert permute.get_output_details()[0]["shape"].tolist() == [1, 4]  # until allocate_tensors()
    permute.allocate_tensors()
    assert permute.get_output_details()[0]["shape"].tolist() == [3, 4]
    permute.set_tensor(0, np.repeat(RAMP, 3, 0))
    permute.invoke()
    assert permute.get_tensor(2).tolist() == [[4, 3, 2, 1]] * 3


def test_outputs_are_zeros_before_the_first_run(permute: Interpreter) -> None:
    assert not permute.get_tensor(2).any()


@pytest.mark.parametrize("wrap", [bytes, bytearray, memoryview, io.BytesIO])
def test_what_a_model_may_be_given_as(wrap: Any) -> None:
    Interpreter(model_content=wrap(models.permute())).allocate_tensors()


def test_the_names_of_tf_lite(monkeypatch: pytest.MonkeyPatch) -> None:
    from tinyinterp import lite

    assert lite.Interpreter is Interpreter
    assert lite.experimental.OpResolverType is OpResolverType
    with pytest.raises(ValueError, match="Failed to load delegate from libedgetpu"):
        lite.experimental.load_delegate("libedgetpu.so.1")
    with pytest.raises(AttributeError, match=r"tensorflow\.lite\.TFLiteConverter"):
        lite.TFLiteConverter  # noqa: B018


def test_a_constant_of_no_elements_needs_no_bytes() -> None:
    x, shape = tensor("x", "float32", (1, 1)), tensor("shape", "int32", (0,))
    step = operator("RESHAPE", [x, shape], [tensor("y", "float32", ())])
    interpreter = Interpreter(model_content=build(model_of(Graph([step], inputs=[x]))))
    interpreter.allocate_tensors()
    interpreter.set_tensor("x", np.float32([[3]]))
    interpreter.invoke()
    assert interpreter.get_tensor("y") == 3


def test_an_output_whose_shape_a_run_tells() -> None:
    x, shape = tensor("x", "float32", (4,)), tensor("shape", "int32", (2,))
    step = operator("RESHAPE", [x, shape], [tensor("y", "float32", (1, 1), signature=(-1, -1))])
    interpreter = Interpreter(model_content=build(model_of([step])))
    interpreter.allocate_tensors()
    assert interpreter.get_output_details()[0]["shape"].tolist() == [1, 1]
    assert interpreter.get_tensor("y").tolist() == [[0]]
    interpreter.set_tensor("x", RAMP[0])
    for wanted in ([2, 2], [4, 1], [1, 4]):
        interpreter.set_tensor("shape", np.array(wanted, np.int32))
        interpreter.invoke()
        assert interpreter.get_output_details()[0]["shape"].tolist() == wanted
        assert interpreter.get_output_details()[0]["shape_signature"].tolist() == [-1, -1]
        assert interpreter.get_tensor("y").tolist() == RAMP[0].reshape(wanted).tolist()
    interpreter.set_tensor("shape", np.array([3, 3], np.int32))
    with pytest.raises(RuntimeError):
        interpreter.invoke()
