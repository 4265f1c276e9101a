"""Every mistake that tf.lite answers with an error: the same class, its words first, then a hint.

The rows are run against the official interpreter too, when it is installed: what it says is compared, not believed.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinyinterp.interpreter as ours
from tests.tinyinterp import models
from tinyinterp.errors import ModelNotFoundError, TinyInterpError, UnsupportedOpError
from tinyinterp.schema import build, read
from tinyinterp.schema.build import one_op, tensor

X = np.zeros((1, 4), np.float32)
PERMUTE, STRINGS, TWO = models.permute(), models.gather_string(), models.two_signatures()
INT4 = build(one_op("DEQUANTIZE", [tensor("x", "int4", (3,), scale=0.5)], [tensor("y", "float32", (3,))]))
CUSTOM = build(one_op("CustomTestOp", [tensor("x", "float32", (1,))], [tensor("y", "float32", (1,))]))
FLEX = build(one_op("FlexAddV2", [tensor("x", "float32", (1,))], [tensor("y", "float32", (1,))]))
IS_DIRECTORY = "Mmap of"


@dataclass(frozen=True)
class Row:
    name: str
    act: Callable[[Any, Any], Any]  # (the module, an interpreter that is allocated)
    error: type[Exception]
    text: str  # how the message begins
    model: bytes | None = PERMUTE
    allocated: bool = True


def make(**arguments: Any) -> Callable[[Any, Any], Any]:
    return lambda module, _: module.Interpreter(**arguments)


def permuted(**arguments: Any) -> Callable[[Any, Any], Any]:
    return make(model_content=PERMUTE, **arguments)


def resized(module: Any, it: Any) -> Any:
    it.resize_tensor_input(0, [2, 4])
    return it


def held(act: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
    def run(module: Any, it: Any) -> None:
        view = it.tensor(0)()
        act(it)
        del view

    return run


NOT_FLATBUFFER = "The model is not a valid Flatbuffer buffer"
NO_DATA = "Tensor data is null. Run allocate_tensors() first"
REFERENCE = "There is at least 1 reference to internal data\n      in the interpreter in the form of a numpy array or slice."

MAKING = [
    Row("nothing", make(), ValueError, "`model_path` or `model_content` must be specified."),
    Row("no bytes", make(model_content=b""), ValueError, "`model_path` or `model_content` must be specified."),
    Row("both", make(model_path="a", model_content=PERMUTE), ValueError, "Can't both provide `model_path` and `model_content`"),
    Row("no file", make(model_path="/nonexistent.tflite"), ValueError,
        "Could not open '/nonexistent.tflite'.The model allocation is null/empty"),
    Row("a folder", make(model_path="/"), ValueError, IS_DIRECTORY),
    Row("bytes as a path", make(model_path=PERMUTE), ValueError, "Could not open '"),
    Row("short", make(model_content=b"short"), ValueError, NOT_FLATBUFFER),
    Row("truncated", make(model_content=PERMUTE[:200]), ValueError, NOT_FLATBUFFER),
    Row("identifier", make(model_content=PERMUTE[:4] + b"TFL9" + PERMUTE[8:]), ValueError, NOT_FLATBUFFER),
    Row("version", make(model_content=build(replace(read(PERMUTE), version=2))), ValueError,
        "Model provided is schema version 2 not equal to supported version 3."),
    Row("no subgraph", make(model_content=build(replace(read(PERMUTE), subgraphs=()))), ValueError, "No subgraph in the model."),
    Row("a number as a path", make(model_path=5), TypeError, "expected str, bytes or os.PathLike object, not int"),
    Row("text as content", make(model_content="text"), TypeError, "CreateWrapperFromBuffer(): incompatible function arguments."),
    Row("no threads", permuted(num_threads=0), ValueError, "num_threads should >= 1"),
    Row("threads as text", permuted(num_threads="2"), ValueError, "type of num_threads should be int"),
    Row("threads as NumPy's", permuted(num_threads=np.int64(2)), ValueError, "type of num_threads should be int"),
    Row("resolver", permuted(experimental_op_resolver_type=2), ValueError, "Unrecognized passed in op resolver type: 2"),
    Row("argument", permuted(foo=1), TypeError, "Interpreter.__init__() got an unexpected keyword argument 'foo'"),
    Row("no delegate", permuted(experimental_delegates=[1]), AttributeError, "'int' object has no attribute"),
    Row("unknown op", make(model_content=build(one_op("STABLEHLO_CBRT", [tensor("x", "float32", (1,))],
                                                      [tensor("y", "float32", (1,))]))), ValueError,
        "Didn't find op for builtin opcode 'STABLEHLO_CBRT' version '1'."),
]
USING = [
    Row("invoke early", lambda _, it: it.invoke(), RuntimeError, "Invoke called on model that is not ready.", allocated=False),
    Row("invoke resized", lambda m, it: resized(m, it).invoke(), RuntimeError, "Invoke called on model that is not ready."),
    Row("set early", lambda _, it: it.set_tensor(0, X), ValueError,
        "Cannot set tensor: Tensor is unallocated. Try calling allocate_tensors() first", allocated=False),
    Row("set resized", lambda m, it: resized(m, it).set_tensor(0, np.zeros((2, 4), np.float32)), ValueError,
        "Cannot set tensor: Tensor is unallocated. Try calling allocate_tensors() first"),
    Row("get early", lambda _, it: it.get_tensor(0), ValueError, NO_DATA, allocated=False),
    Row("view early", lambda _, it: it.tensor(0)(), ValueError, NO_DATA, allocated=False),
    Row("get resized", lambda m, it: resized(m, it).get_tensor(0), ValueError, NO_DATA),
    Row("intermediate", lambda _, it: it.get_tensor(2), ValueError, NO_DATA, models.chain()),
    Row("dtype", lambda _, it: it.set_tensor(0, X.astype(np.int8)), ValueError,
        "Cannot set tensor: Got value of type INT8 but expected type FLOAT32 for input 0, name: input "),
    Row("a list", lambda _, it: it.set_tensor(0, [[1.0, 2.0, 3.0, 4.0]]), ValueError,
        "Cannot set tensor: Got value of type FLOAT64 but expected type FLOAT32 for input 0, name: input "),
    Row("None", lambda _, it: it.set_tensor(0, None), ValueError,
        "Cannot set tensor: Got value of type STRING but expected type FLOAT32 for input 0, name: input "),
    Row("rank", lambda _, it: it.set_tensor(0, X[0]), ValueError,
        "Cannot set tensor: Dimension mismatch. Got 1 but expected 2 for input 0."),
    Row("dimension", lambda _, it: it.set_tensor(0, X[:, :3].copy()), ValueError,
        "Cannot set tensor: Dimension mismatch. Got 3 but expected 4 for dimension 1 of input 0."),
    Row("set index", lambda _, it: it.set_tensor(999, X), ValueError, "Invalid tensor index 999 exceeds max tensor index"),
    Row("get index", lambda _, it: it.get_tensor(-1), ValueError, "Invalid tensor index -1 exceeds max tensor index"),
    Row("view index", lambda _, it: it.tensor(99)(), ValueError, "Invalid tensor index 99 exceeds max tensor index"),
    Row("set text", lambda _, it: it.set_tensor("nope", X), TypeError, "SetTensor(): incompatible function arguments"),
    Row("get float", lambda _, it: it.get_tensor(1.5), TypeError, "GetTensor(): incompatible function arguments"),
    Row("get dict", lambda _, it: it.get_tensor({}), TypeError, "GetTensor(): incompatible function arguments"),
    Row("get huge", lambda _, it: it.get_tensor(2**40), TypeError, "GetTensor(): incompatible function arguments"),
    Row("view text", lambda _, it: it.tensor("a")(), TypeError, "tensor(): incompatible function arguments"),
    Row("subgraph", lambda _, it: it.get_tensor(0, 4), ValueError, "Invalid subgraph index 4 exceeds max subgraph index 1"),
    Row("subgraph details", lambda _, it: it.get_tensor_details(3), ValueError,
        "subgraph_index is out of range: 3 for the model, which has 1 subgraphs."),
    Row("node", lambda _, it: it._get_op_details(999), ValueError, "Invalid node index"),
    Row("held invoke", held(lambda it: it.invoke()), RuntimeError, REFERENCE),
    Row("held allocate", held(lambda it: it.allocate_tensors()), RuntimeError, REFERENCE),
    Row("held resize", held(lambda it: it.resize_tensor_input(0, [2, 4])), RuntimeError, REFERENCE),
    Row("strict", lambda _, it: it.resize_tensor_input(0, [1, 5], strict=True), RuntimeError,
        "Attempting to resize dimension 1 of tensor 0 with value 4 to 5. ResizeInputTensorStrict only allows mutating unknown "
        "dimensions identified by -1."),
    Row("strict rank", lambda _, it: it.resize_tensor_input(0, [4], strict=True), RuntimeError,
        "tensor->dims->size != dims.size() (2 != 1)"),
    Row("resize index", lambda _, it: it.resize_tensor_input(9, [1]), RuntimeError,
        "tensor_index < context_.tensors_size && tensor_index >= 0 was not true."),
    Row("resize constant", lambda _, it: it.resize_tensor_input(1, [4, 5]), RuntimeError,
        "Attempting to resize a fixed-size tensor."),
    Row("resize 2-D", lambda _, it: it.resize_tensor_input(0, [[1, 4]]), ValueError, "Shape should be 1D instead of 2."),
    Row("resize text", lambda _, it: it.resize_tensor_input(0, ["abc"]), ValueError,
        "invalid literal for int() with base 10: 'abc'"),
    Row("resize negative", lambda _, it: it.resize_tensor_input(0, [-1, 4]), RuntimeError,
        "BytesRequired number of elements overflowed."),
    Row("resize huge", lambda _, it: it.resize_tensor_input(0, [2**31 - 1] * 3), RuntimeError,
        "BytesRequired number of elements overflowed."),
    Row("resize index text", lambda _, it: it.resize_tensor_input("a", [1]), TypeError,
        "ResizeInputTensor(): incompatible function arguments"),
    Row("no signature", lambda _, it: it.get_signature_runner(), ValueError,
        "SignatureDef signature_key is None and model has 0 Signatures. None is only allowed when the model has 1 SignatureDef"),
    Row("bad signature", lambda _, it: it.get_signature_runner("nope"), ValueError, 'Invalid signature_key provided: "nope".'),
    Row("two signatures", lambda _, it: it.get_signature_runner(), ValueError,
        "SignatureDef signature_key is None and model has 2 Signatures.", TWO, False),
    Row("runner count", lambda _, it: it.get_signature_runner("add")(), ValueError,
        "Invalid number of inputs provided for running a SignatureDef, expected 1 vs provided 0", TWO, False),
    Row("runner name", lambda _, it: it.get_signature_runner("add")(y=X), ValueError,
        "Invalid Input name (y) for SignatureDef", TWO, False),
    Row("runner positional", lambda _, it: it.get_signature_runner("add")(X), TypeError,
        "SignatureRunner.__call__() takes 1 positional argument but 2 were given", TWO, False),
    Row("runner list", lambda _, it: it.get_signature_runner("add")(x=[1.0]), AttributeError,
        "'list' object has no attribute 'shape'", TWO, False),
    Row("runner of nothing", lambda m, _: m.SignatureRunner(), ValueError, "None interpreter provided."),
    Row("runner without key", lambda m, it: m.SignatureRunner(it), ValueError, "None signature_key provided."),
    Row("strings as a list", lambda _, it: it.set_tensor(0, list("abcdefghij")), ValueError,
        "Passed in value type is not a numpy array, got type list.", STRINGS),
    Row("no strings", lambda _, it: it.set_tensor(0, np.array([1] * 10, object)), ValueError,
        "PyBytes_AsStringAndSize() failed.", STRINGS),
    Row("numbers for strings", lambda _, it: it.set_tensor(0, np.zeros(10, np.int32)), ValueError,
        "Cannot set tensor: Got value of type INT32 but expected type STRING for input 0, name: input ", STRINGS),
    Row("int4 dtype", lambda _, it: it.set_tensor(0, np.zeros(3, np.int32)), ValueError,
        "Cannot set tensor: Expected a numpy array of int8 for INT4 input 0, name: x, but got INT32", INT4, False),
    Row("int4 size", lambda _, it: it.set_tensor(0, np.zeros(2, np.int8)), ValueError,
        "Cannot set tensor: Numpy array for INT4 input 0, name: x, has 2 bytes, but expected 3 bytes for 3 elements",
        INT4, False),
    Row("custom op", lambda _, it: it.allocate_tensors(), RuntimeError, "Encountered unresolved custom op: CustomTestOp.\nSee "
        "instructions: https://www.tensorflow.org/lite/guide/ops_custom", CUSTOM, False),
    Row("Flex op", lambda _, it: it.allocate_tensors(), RuntimeError, "Select TensorFlow op(s), included in the given model, "
        "is(are) not supported by this interpreter. Make sure you apply/link the Flex delegate before inference.", FLEX, False),
    Row("shapes", lambda _, it: (it.resize_tensor_input(0, [1, 5]), it.allocate_tensors()), RuntimeError, ""),
    Row("bad index", lambda _, it: (it.set_tensor(0, np.array(["a"] * 10)), it.set_tensor(1, np.array([1, 10, 0])), it.invoke()),
        RuntimeError, "", STRINGS),
]


def attempt(module: Any, row: Row) -> Exception:
    interpreter = module.Interpreter(model_content=row.model)
    if row.allocated:
        interpreter.allocate_tensors()
    with pytest.raises(row.error) as caught:
        row.act(module, interpreter)
    return caught.value


@pytest.mark.parametrize("row", MAKING + USING, ids=lambda row: row.name)
def test_error(row: Row) -> None:
    text = str(attempt(ours, row))
    assert text.startswith(row.text)


@pytest.mark.parametrize("row", MAKING + USING, ids=lambda row: row.name)
def test_the_official_one_says_the_same(row: Row) -> None:
    theirs = pytest.importorskip("ai_edge_litert.interpreter")
    text = str(attempt(theirs, row))
    text = re.sub(r"^tflite/\S+:\d+ |^tflite/\S+\.cc ", "", text)  # where in the C++ source
    assert text.startswith(row.text)


NO_HINT = ("argument", "no delegate", "resize text", "runner positional", "runner list")  # Python's own words


@pytest.mark.parametrize("row", MAKING + USING, ids=lambda row: row.name)
def test_an_error_says_what_to_do(row: Row) -> None:
    error = attempt(ours, row)
    if row.name in NO_HINT:
        assert not isinstance(error, TinyInterpError)
    else:
        assert isinstance(error, TinyInterpError)
        assert row.name in ("subgraph details", "shapes", "bad index") or "\n  hint: " in str(error)


def test_a_missing_file_is_also_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError) as caught:
        ours.Interpreter(str(tmp_path / "none.tflite"))
    assert isinstance(caught.value, ValueError) and isinstance(caught.value, FileNotFoundError)


def test_a_quantized_input_tells_how_to_quantize() -> None:
    interpreter = ours.Interpreter(model_content=models.permute("uint8"))
    with pytest.raises(ValueError, match=r"np\.clip\(np\.round\(value / 1\) \+ 0, 0, 255\)\.astype\(np\.uint8\)"):
        interpreter.set_tensor(0, X)


def test_a_failed_step_is_named_by_operator_and_tensor() -> None:
    interpreter = ours.Interpreter(model_content=PERMUTE)
    interpreter.resize_tensor_input(0, [1, 5])
    place = r"(?s)FULLY_CONNECTED \(operator 0, tensor 'output'\).*Node number 0 .*failed to prepare"
    with pytest.raises(RuntimeError, match=place):
        interpreter.allocate_tensors()


def test_everything_that_is_lacking_is_listed_at_once() -> None:
    from tinyinterp.schema.build import model_of, operator

    x, y, z = (tensor(n, "float32", (1,)) for n in "xyz")
    model = build(model_of([operator("MyFirst", [x], [y]), operator("MySecond", [y], [z])]))
    with pytest.raises(UnsupportedOpError, match="tinyinterp lacks MyFirst, MySecond"):
        ours.Interpreter(model_content=model).allocate_tensors()


def test_names_and_functions_of_cpp_are_refused() -> None:
    with pytest.raises(ValueError, match="Looking up symbol 'Registerer' failed"):
        ours.InterpreterWithCustomOps(["Registerer"], model_content=PERMUTE)
    with pytest.raises(ValueError, match="an Op record"):
        ours.InterpreterWithCustomOps([test_names_and_functions_of_cpp_are_refused], model_content=PERMUTE)


def test_delegates_are_refused() -> None:
    for error in (ValueError, OSError):
        with pytest.raises(error, match=r"Failed to load delegate from libedgetpu\.so"):
            ours.load_delegate("libedgetpu.so")
    with pytest.raises(ValueError, match="runs no native delegates"):
        ours.Delegate("libedgetpu.so", options={})


def test_two_threads_in_one_interpreter() -> None:
    interpreter = ours.Interpreter(model_content=PERMUTE)
    with interpreter._turn, pytest.raises(RuntimeError, match="in use by another thread"):
        interpreter.allocate_tensors()


