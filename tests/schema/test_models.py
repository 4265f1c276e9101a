"""The given real models: read, compared with the generated accessors, written, damaged. They are found through
TINYINTERP_MODELS, and these tests are left out when it is not set."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tflite
from flatbuffers.number_types import Int32Flags

from tests.schema.mutants import survive
from tinyinterp.errors import ModelError
from tinyinterp.schema import Model, build, read

FOLDER = os.environ.get("TINYINTERP_MODELS", "")
pytestmark = pytest.mark.skipif(not FOLDER, reason="TINYINTERP_MODELS is not set")
INDEX: list[dict[str, Any]] = json.loads((Path(FOLDER) / "index.json").read_text()) if FOLDER else []
REFUSED = {
    entry["file"]: entry["official"]["default"]["error"] for entry in INDEX if entry["official"]["default"]["stage"] == "load"
}
TAKEN = [entry["file"] for entry in INDEX if entry["file"] not in REFUSED]
SMALL = sorted(
    (entry["size"], entry["file"]) for entry in INDEX if entry["file"] not in REFUSED and 400 < entry["size"] < 200_000
)
# Files of every size and kind, a fixed choice.
SAMPLE = [file for _, file in SMALL[:: max(1, len(SMALL) // 25)]]


def bytes_of(file: str) -> bytes:
    return (Path(FOLDER) / file).read_bytes()


@pytest.mark.parametrize("file", REFUSED)
def test_refused_with_the_official_words(file: str) -> None:
    with pytest.raises(ModelError) as caught:
        read(Path(FOLDER) / file)
    words = REFUSED[file].removeprefix("ValueError: ").removeprefix("tflite/util.cc ")
    first, _, hints = str(caught.value).partition("\n  hint: ")
    assert words.startswith(first) and hints


@pytest.mark.parametrize("file", TAKEN)
def test_written_and_read_again(file: str) -> None:
    model = read(Path(FOLDER) / file)
    assert read(build(model)) == model
    assert len(str(model)) < 20_000


def as_list(vector: Any) -> list[Any]:
    return [] if isinstance(vector, int) else vector.tolist()


@pytest.mark.parametrize("file", TAKEN)
def test_records_are_what_the_generated_accessors_read(file: str) -> None:
    data = bytes_of(file)
    model = read(data)
    theirs = tflite.Model.GetRootAs(data)
    assert model.description == (theirs.Description() or b"").decode()
    assert len(model.buffers) == theirs.BuffersLength()
    for i, buffer in enumerate(model.buffers[1:], start=1):
        assert buffer.tolist() == as_list(theirs.Buffers(i).DataAsNumpy()) if buffer.size < 1000 else True
        assert buffer.size == theirs.Buffers(i).DataLength()
    assert len(model.subgraphs) == theirs.SubgraphsLength()
    for s, subgraph in enumerate(model.subgraphs):
        graph = theirs.Subgraphs(s)
        assert list(subgraph.inputs) == as_list(graph.InputsAsNumpy())
        assert list(subgraph.outputs) == as_list(graph.OutputsAsNumpy())
        assert (len(subgraph.tensors), len(subgraph.operators)) == (graph.TensorsLength(), graph.OperatorsLength())
        for i, tensor in enumerate(subgraph.tensors):
            compare_tensor(tensor, graph.Tensors(i))
        for i, operator in enumerate(subgraph.operators):
            compare_operator(operator, graph.Operators(i), theirs)
    for i, signature in enumerate(model.signatures):
        other = theirs.SignatureDefs(i)
        assert signature.key == other.SignatureKey().decode() and signature.subgraph == other.SubgraphIndex()
        inputs = [other.Inputs(k) for k in range(other.InputsLength())]
        assert signature.inputs == {entry.Name().decode(): entry.TensorIndex() for entry in inputs}


def compare_tensor(tensor: Any, other: Any) -> None:
    assert (tensor.name, tensor.type, tensor.buffer) == ((other.Name() or b"").decode(), other.Type(), other.Buffer())
    assert list(tensor.shape) == as_list(other.ShapeAsNumpy())
    assert list(tensor.shape_signature or ()) == as_list(other.ShapeSignatureAsNumpy())
    assert tensor.is_variable == other.IsVariable() and tensor.has_rank == other.HasRank()
    quantization = other.Quantization()
    if quantization is not None and not quantization.DetailsType():
        assert tensor.quantization.scale.tolist() == as_list(quantization.ScaleAsNumpy())
        assert tensor.quantization.axis == quantization.QuantizedDimension()
        if len(tensor.quantization.scale):
            assert tensor.quantization.zero_point.tolist() == as_list(quantization.ZeroPointAsNumpy())


def compare_operator(operator: Any, other: Any, model: Any) -> None:
    code = model.OperatorCodes(other.OpcodeIndex())
    assert operator.version == code.Version()
    # Not by BuiltinCode(): for a code below 127 it gives the old field alone, which some files leave out.
    assert operator.code == max(code._tab.GetSlot(10, 0, Int32Flags), code.DeprecatedBuiltinCode())
    assert operator.custom_code == (code.CustomCode() or b"").decode()
    assert list(operator.inputs) == as_list(other.InputsAsNumpy())
    assert list(operator.outputs) == as_list(other.OutputsAsNumpy())
    assert list(operator.intermediates) == as_list(other.IntermediatesAsNumpy())
    assert list(operator.custom_options) == as_list(other.CustomOptionsAsNumpy())
    name = type(operator.options).__name__
    if getattr(tflite.BuiltinOptions, name, None) != other.BuiltinOptionsType() or not other.BuiltinOptionsType():
        return
    table = getattr(tflite, name)()
    table.Init(other.BuiltinOptions().Bytes, other.BuiltinOptions().Pos)
    for field in operator.options.__dataclass_fields__:
        accessor = "".join(word[0].upper() + word[1:] for word in field.split("_"))
        value = getattr(operator.options, field)
        if isinstance(value, tuple):
            assert list(value) == as_list(getattr(table, accessor + "AsNumpy")())
        elif hasattr(table, accessor):
            read_by_them = getattr(table, accessor)()
            assert value == (read_by_them.decode() if isinstance(read_by_them, bytes) else read_by_them)


def test_reading_is_quick() -> None:
    """A MobileNet in 15 ms, models of thousands of operators in half a second; the best of five, as machines are shared."""

    def best(file: str) -> float:
        times = []
        for _ in range(5):
            start = time.perf_counter()
            read(Path(FOLDER) / file)
            times.append(time.perf_counter() - start)
        return min(times)

    for entry in INDEX:
        if entry["file"] in REFUSED:
            continue
        count = sum(number for _, number in entry.get("ops", []))
        if "mobilenet_v1" in entry["file"] and count <= 31:
            assert best(entry["file"]) < 0.015, entry["file"]
        elif count > 2000:
            assert best(entry["file"]) < 0.5, entry["file"]


@pytest.mark.parametrize("file", SAMPLE)
def test_mutants_of_real_models(file: str) -> None:
    """Any bytes give a Model or a ModelError and nothing else, and soon."""
    taken, refused, longest = survive(bytes_of(file), seed=1, count=30)
    assert taken + refused == 30 and longest < 2


def test_mutants_that_are_taken_can_be_used() -> None:
    """What read() gives holds its promises: it can be printed, its constants fetched, and it can be written again."""

    def use(data: bytes) -> None:
        model: Model = read(data)
        for subgraph in model.subgraphs:
            for tensor in subgraph.tensors:
                constant = model.constant(tensor)
                if constant is not None and tensor.type.numpy is not None and not tensor.sparsity:
                    assert constant.shape == tensor.shape and np.sum(constant != 0) >= 0
        str(model)
        assert read(build(model)) == model

    for file in SAMPLE[::5]:
        survive(bytes_of(file), seed=2, count=20, use=use)


OFFICIAL = """
import sys
from ai_edge_litert.interpreter import Interpreter
for path in sys.argv[1:]:
    ours = Interpreter(path)
    print(len(ours.get_tensor_details()), [d["name"] for d in ours.get_input_details() + ours.get_output_details()])
"""


def test_the_official_interpreter_takes_what_is_written(tmp_path: Path) -> None:
    pytest.importorskip("ai_edge_litert")
    ours, theirs = [], []
    for number, file in enumerate(SAMPLE):
        written = tmp_path / f"{number}.tflite"
        written.write_bytes(build(read(Path(FOLDER) / file)))
        ours.append(str(written))
        theirs.append(str(Path(FOLDER) / file))
    said = [
        subprocess.run([sys.executable, "-c", OFFICIAL, *paths], capture_output=True, text=True, check=True).stdout
        for paths in (ours, theirs)
    ]
    assert said[0] == said[1] and said[0].count("\n") == len(SAMPLE)
