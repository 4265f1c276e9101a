"""Opening, and what the official interpreter refuses when it is constructed: the same words first, then the place."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.schema.test_verify import small_model
from tinyinterp.errors import ModelError, ModelNotFoundError
from tinyinterp.schema import BuiltinOperator, DimensionType, Padding, Quantization, TensorType, build, options, read
from tinyinterp.schema.build import model_of, one_op, operator, tensor
from tinyinterp.schema.verify import Node, parse
from tinyinterp.schema.writer import write


def altered(change: Callable[[Node], None], data: bytes | None = None) -> bytes:
    """A model whose tables are sound but say something else."""
    tree = parse(memoryview(small_model() if data is None else data))
    change(tree)
    return write(tree)


def test_from_anything_that_holds_bytes(tmp_path: Path) -> None:
    data = small_model()
    path = tmp_path / "small.tflite"
    path.write_bytes(data)
    with path.open("rb") as file:
        models = [
            read(data),
            read(bytearray(data)),
            read(memoryview(data)),
            read(io.BytesIO(data)),
            read(file),
            read(path),
            read(str(path)),
        ]
    for model in models:
        assert model == models[0]
        assert not any(array.flags.writeable for array in model.buffers)


def test_a_buffer_off_its_alignment() -> None:
    data = small_model()
    for shift in range(1, 17):
        model = read(memoryview(bytes(shift) + data)[shift:])
        assert model == read(data)
        for tensor_record in model.subgraphs[0].tensors:
            constant = model.constant(tensor_record)
            assert constant is None or constant.flags.aligned


def test_what_is_written_later_does_not_reach_the_model() -> None:
    data = bytearray(small_model())
    model = read(data)
    data[:] = bytes(len(data))
    assert model == read(small_model())


def test_a_file_is_mapped_not_copied(tmp_path: Path) -> None:
    path = tmp_path / "big.tflite"
    weights = np.arange(1 << 20, dtype=np.float32).reshape(1024, 1024)
    model = one_op(
        "ADD",
        [tensor("x", "float32", (1024, 1024)), tensor("w", "float32", data=weights)],
        [tensor("y", "float32", (1024, 1024))],
    )
    path.write_bytes(build(model))
    model = read(path)
    base: Any = model.constant(model.subgraphs[0].tensors[1])
    assert np.array_equal(base, weights)
    while isinstance(base, np.ndarray):
        base = base.base
    assert isinstance(base, memoryview) and type(base.obj).__name__ == "mmap"


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError, match=r"^Could not open '.*nothing'\.The model allocation is null/empty") as caught:
        read(tmp_path / "nothing")
    assert isinstance(caught.value, (FileNotFoundError, ValueError))
    with pytest.raises(ModelNotFoundError):
        read("\0")


def test_a_folder(tmp_path: Path) -> None:
    with pytest.raises(
        ModelError, match=r"^Mmap of '\d+' at offset '0' failed with error '19'\.The model allocation is null/empty"
    ):
        read(tmp_path)


def test_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "empty").write_bytes(b"")
    with pytest.raises(
        ModelError, match=r"^Mmap of '\d+' at offset '0' failed with error '22'\.The model allocation is null/empty"
    ):
        read(tmp_path / "empty")


@pytest.mark.parametrize("nonsense", [5, None, 1.5, ["a"]])
def test_not_a_model_at_all(nonsense: Any) -> None:
    with pytest.raises(TypeError, match="expected a path, bytes or a binary file"):
        read(nonsense)


def tensor_node(tree: Node, index: int = 0) -> Node:
    node: Node = tree["subgraphs"][0]["tensors"][index]
    return node


def quantization(tree: Node, index: int = 1) -> Node:
    node: Node = tensor_node(tree, index)["quantization"]
    return node


def details(kind: int, **values: Any) -> Callable[[Node], None]:
    def change(tree: Node) -> None:
        quantization(tree).update(details_type=kind, details=values)

    return change


def setting(get: Callable[[Node], Node], **values: Any) -> Callable[[Node], None]:
    return lambda tree: get(tree).update(values)


def whole(tree: Node) -> Node:
    return tree


def op(tree: Node) -> Node:
    node: Node = tree["subgraphs"][0]["operators"][0]
    return node


def code(tree: Node) -> Node:
    node: Node = tree["operator_codes"][0]
    return node


REFUSED: list[tuple[Callable[[Node], None], str, str]] = [
    (setting(whole, version=2), "Model provided is schema version 2 not equal to supported version 3.\n", "version"),
    (setting(whole, version=0), "Model provided is schema version 0 not equal to supported version 3.\n", "version"),
    (setting(whole, subgraphs=[]), "No subgraph in the model.\n", "subgraphs"),
    (setting(whole, subgraphs=None), "No subgraph in the model.\n", "subgraphs"),
    (setting(whole, buffers=None), "No buffers in the model.\n", "buffers"),
    (lambda t: t["subgraphs"][0].update(tensors=None), "Did not get tensors in subgraph 0.\n", "subgraphs[0].tensors"),
    (setting(code, builtin_code=210), "Op builtin_code out of range: 210.", "operator_codes[0].builtin_code"),
    (setting(code, builtin_code=-5, deprecated_builtin_code=-1), "Op builtin_code out of range: -1.", "operator_codes[0]"),
    (setting(code, builtin_code=32), "Operator with CUSTOM builtin_code has no custom_code.\n", "operator_codes[0].custom_code"),
    (setting(op, opcode_index=1), "Missing registration for opcode_index 1\n", "subgraphs[0].operators[0].opcode_index"),
    (setting(tensor_node, type=23), "Unsupported data type 23 in tensor\n", "subgraphs[0].tensors[0].type"),
    (setting(tensor_node, type=-1), "Unsupported data type -1 in tensor\n", "subgraphs[0].tensors[0].type"),
    (setting(tensor_node, buffer=9), "Tensor 0 specifies out of range buffer 9 (only 4 buffers).\n", "tensors[0].buffer"),
    (
        setting(lambda t: tensor_node(t, 1), is_variable=True),
        "Tensor 1 is a variable tensor with buffer or external buffer. It's not supported now.\n",
        "subgraphs[0].tensors[1]",
    ),
    (
        setting(lambda t: tensor_node(t, 1), external_buffer=7),
        "Tensor 1 is a variable tensor with buffer or external buffer. It's not supported now.\n",
        "subgraphs[0].tensors[1]",
    ),
    (
        setting(quantization, zero_point=None),
        "Quantization parameters has non-null scale but null zero_point.Tensor 1 has invalid quantization parameters.",
        "subgraphs[0].tensors[1].quantization.zero_point",
    ),
    (
        setting(quantization, zero_point=(0,)),
        "QuantizationParam has 1 zero_point values and 2 scale values. Must have same number.",
        "subgraphs[0].tensors[1].quantization.zero_point",
    ),
    (
        setting(quantization, quantized_dimension=4),
        "quantized_dimension must be in range [0, 4). Was 4.Tensor 1 has invalid quantization parameters.",
        "subgraphs[0].tensors[1].quantization.quantized_dimension",
    ),
    (
        setting(quantization, quantized_dimension=-1),
        "quantized_dimension must be in range [0, 4). Was -1.",
        "subgraphs[0].tensors[1].quantization.quantized_dimension",
    ),
    (
        setting(quantization, quantized_dimension=1),
        "num_scales must be 1 for per-layer quantization, or 3 for per-axis quantization, but got 2.",
        "subgraphs[0].tensors[1].quantization.scale",
    ),
    (
        details(2, scales=9, zero_points=-1, block_size=3),
        "MultiAxisQuantization scales tensor index",
        "quantization.details.scales",
    ),
    (details(2, scales=0, zero_points=-2, block_size=3), "MultiAxisQuantization zero_points", "quantization.details.zero_points"),
    (details(3, scales=0, zero_points=-1, block_size=-1), "MultiAxisQuantization block_size", "quantization.details.block_size"),
    (
        details(3, scales=0, zero_points=-1, block_size=1),
        "MultiAxisQuantization must have at least one quantized dimension.",
        "quantization.details.quantized_dimensions",
    ),
    (
        details(3, scales=0, zero_points=-1, block_size=1, quantized_dimensions=(0, 4)),
        "MultiAxisQuantization quantized_dimensions must be in range [0, 4). Value 4 at index 1 is invalid.",
        "quantization.details.quantized_dimensions[1]",
    ),
    (setting(op, builtin_options_type=11), "CONV_2D has options of another operator.", "found AddOptions, needed Conv2DOptions"),
    (
        lambda t: op(t)["builtin_options"].update(padding=2),
        "CONV_2D has an option out of range.",
        "subgraphs[0].operators[0].builtin_options.padding: 2",
    ),
    (
        lambda t: op(t)["builtin_options"].update(fused_activation_function=-1),
        "CONV_2D has an option out of range.",
        "subgraphs[0].operators[0].builtin_options.fused_activation_function: -1",
    ),
    (lambda t: t["metadata"][0].update(buffer=4), "metadata[0].buffer specifies out of range buffer 4", "metadata[0].buffer"),
    (
        lambda t: t["signature_defs"][0].update(signature_key=None),
        "Missing exported method name for SignatureDef",
        "signature_defs[0].signature_key",
    ),
    (
        lambda t: t.update(external_buffers=[{"id": 1, "group": 0}]),
        "External buffer 0 is in group 0, of 0.",
        "external_buffers[0]",
    ),
    (
        lambda t: t["buffers"].__setitem__(1, {"offset": 1 << 20, "size": 54}),
        "Constant buffer 1 specified an out of range offset.\n",
        "buffers[1].offset",
    ),
    (
        lambda t: t["buffers"].__setitem__(1, {"offset": 2**64 - 50, "size": 54}),  # where 64 bits would wrap around
        "Constant buffer 1 specified an out of range offset.\n",
        "buffers[1].offset",
    ),
]


@pytest.mark.parametrize("change, official, place", REFUSED, ids=[official[:40] for _, official, _ in REFUSED])
def test_refused_as_by_the_official_interpreter(change: Callable[[Node], None], official: str, place: str) -> None:
    with pytest.raises(ModelError) as caught:
        read(altered(change))
    text = str(caught.value)
    assert text.startswith(official)
    assert place in text.split("\n  hint: ", 1)[1]


def test_options_left_out_are_the_defaults() -> None:
    model = read(altered(lambda t: op(t).update(builtin_options=None, builtin_options_type=0)))
    assert model.subgraphs[0].operators[0].options == options.Conv2DOptions()
    assert model.subgraphs[0].operators[0].options.padding is Padding.SAME


def test_options_of_an_operator_that_has_none_of_its_own() -> None:
    """Some converters write a table where it says nothing."""
    abs_model = build(one_op("ABS", [tensor("x", "float32", (2,))], [tensor("y", "float32", (2,))]))
    model = read(altered(setting(op, builtin_options_type=11, builtin_options={}), abs_model))
    assert model.subgraphs[0].operators[0].options == options.AbsOptions()
    relu = build(one_op("RELU", [tensor("x", "float32", (2,))], [tensor("y", "float32", (2,))]))
    model = read(altered(setting(op, builtin_options_type=11, builtin_options={}), relu))
    assert model.subgraphs[0].operators[0].options is None


def test_operator_codes_old_and_new() -> None:
    for old, new, expected in ((3, 0, "CONV_2D"), (0, 3, "CONV_2D"), (127, 203, "DILATE"), (3, 3, "CONV_2D")):
        change = setting(code, deprecated_builtin_code=old, builtin_code=new)
        tree = parse(memoryview(small_model()))
        change(tree)
        op(tree).update(builtin_options=None, builtin_options_type=0)
        assert read(write(tree)).subgraphs[0].operators[0].code is BuiltinOperator[expected]


def test_constants_outside_the_flatbuffer() -> None:
    """Models beyond 2 GB keep their constants and custom options behind the flatbuffer."""
    tree = parse(memoryview(small_model()))
    weights = bytes(range(54))
    tree["buffers"][1] = {"offset": 1, "size": 1}
    tree["operator_codes"][0].update(builtin_code=32, custom_code="mine")
    operators = tree["subgraphs"][0]["operators"]
    operators[0].update(builtin_options=None, builtin_options_type=0, large_custom_options_offset=2, large_custom_options_size=5)
    tree["buffers"][1] = {"offset": 2, "size": 54}
    length = len(write(tree))
    tree["buffers"][1] = {"offset": length + 5, "size": 54}
    operators[0].update(large_custom_options_offset=length)
    model = read(write(tree) + b"hello" + weights)
    assert model.subgraphs[0].operators[0].custom_options == b"hello"
    assert bytes(model.buffers[1]) == weights
    with pytest.raises(ModelError, match=r"^Custom Option Offset for opcode_index 0 is out of bound"):
        operators[0].update(large_custom_options_size=1 << 40)
        read(write(tree) + b"hello" + weights)


def test_buffer_0_is_never_data() -> None:
    model = read(altered(lambda t: t["buffers"].__setitem__(0, {"data": b"surprise"})))
    assert len(model.buffers[0]) == 0
    assert model.constant(model.subgraphs[0].tensors[0]) is None


def test_blockwise_quantization() -> None:
    model = read(altered(details(2, scales=0, zero_points=-1, block_size=3)))
    assert model.subgraphs[0].tensors[1].quantization == Quantization(block_size=3, block_scales=0)
    assert len(model.subgraphs[0].tensors[1].quantization.scale) == 0
    model = read(altered(details(3, scales=0, zero_points=3, block_size=0, quantized_dimensions=(1, 2))))
    assert model.subgraphs[0].tensors[1].quantization == Quantization(block_scales=0, block_zero_points=3, axes=(1, 2))


def test_sparse_levels() -> None:
    tree = parse(memoryview(build(one_op("ABS", [tensor("x", "int8", (2, 3), data=b"\1\2")], [tensor("y", "int8", (2, 3))]))))
    vector = {"values": np.array([0, 1, 2], "u1")}
    level = {
        "format": 1,
        "array_segments_type": 3,
        "array_segments": vector,
        "array_indices_type": 2,
        "array_indices": {"values": np.array([0, 2], "<u2")},
    }
    dense = {"format": 0, "dense_size": 2}
    tensor_node(tree)["sparsity"] = {"traversal_order": (0, 1), "dim_metadata": [dense, level]}
    model = read(write(tree))
    sparsity = model.subgraphs[0].tensors[0].sparsity
    assert sparsity is not None and sparsity.levels[1].format is DimensionType.SPARSE_CSR
    assert sparsity.levels[1].indices.tolist() == [0, 2]
    constant = model.constant(model.subgraphs[0].tensors[0])
    assert constant is not None and constant.tolist() == [1, 2]
    assert read(build(model)) == model

    for change, words in (
        ({"traversal_order": None}, "Invalid sparsity parameter.Tensor 0"),
        ({"dim_metadata": [dense, {**level, "format": 2}]}, "The 1th dimension has unknown type: 2."),
        ({"dim_metadata": [dense, {**level, "array_indices": None}]}, "The 1th sparse dimension has invalid parameters."),
        ({"dim_metadata": [dense, {**level, "array_segments": {}}]}, "The 1th sparse dimension has invalid parameters."),
    ):
        tensor_node(tree)["sparsity"] = {"traversal_order": (0, 1), "dim_metadata": [dense, level], **change}
        with pytest.raises(ModelError) as caught:
            read(write(tree))
        assert str(caught.value).startswith(words)
        assert "subgraphs[0].tensors[0].sparsity" in str(caught.value)


def test_signatures() -> None:
    x, y = tensor("x", "float32", (2,)), tensor("y", "float32", (2,))
    model = read(small_model())
    assert model.signatures[0].inputs == {"image": 0} and model.signatures[0].outputs == {"score": 3}
    nameless = altered(lambda t: t["signature_defs"][0]["inputs"][0].update(name=None))
    assert read(nameless).signatures[0].inputs == {}
    assert read(build(model_of([operator("ABS", [x], [y])]))).signatures == ()


def test_every_type_is_read() -> None:
    for type in TensorType:
        model = one_op("ABS", [tensor("x", type, (2,))], [tensor("y", type, (2,))])
        assert read(build(model)).subgraphs[0].tensors[0].type is type
