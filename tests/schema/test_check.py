"""What a sound model keeps beyond its structure, and what is said when it does not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tinyinterp.errors import ModelError
from tinyinterp.schema import Model, Signature, SparseLevel, Sparsity, build, check, options, read
from tinyinterp.schema.build import Graph, model_of, one_op, operator, tensor
from tinyinterp.schema.enums import DimensionType
from tinyinterp.schema.strings import pack_strings

DENSE, CSR = DimensionType.DENSE, DimensionType.SPARSE_CSR


def refused(model: Model, official: str, *places: str) -> None:
    with pytest.raises(ModelError) as caught:
        read(build(model))
    text = str(caught.value)
    assert text.startswith(official)
    for place in places:
        assert place in text.split("\n  hint: ", 1)[1]


def one_tensor(**fields: Any) -> Model:
    """A model whose input is the tensor in question."""
    fields = {"type": "float32", "shape": (2,), **fields}
    x = tensor("x", fields.pop("type"), fields.pop("shape"), **fields)
    return one_op("RELU", [x], [tensor("y", "float32", (2,))])


def test_negative_dimensions() -> None:
    official = "BytesRequired number of elements overflowed.\nTensor 0 is invalidly specified in schema.\n"
    refused(one_tensor(shape=(2, -1)), official, "subgraphs[0].tensors[0].shape: [2, -1]")
    refused(one_tensor(type="string", shape=(-1,)), official)


def test_sizes_beyond_all_memory() -> None:
    official = "BytesRequired number of elements overflowed.\nTensor 0 is invalidly specified in schema.\n"
    refused(one_tensor(shape=(2**31 - 1,) * 4), official, "subgraphs[0].tensors[0].shape")
    refused(one_tensor(shape=(2**31 - 1, 2**31 - 1, 3)), official)
    official = "BytesRequired number of bytes overflowed.\nTensor 0 is invalidly specified in schema.\n"
    refused(one_tensor(shape=(2**31 - 1, 2**31 - 1)), official)
    # Large, but a size all the same: whether there is room is asked when tensors are placed.
    assert read(build(one_tensor(shape=(2**31 - 1, 2**20)))).subgraphs[0].tensors[0].shape == (2**31 - 1, 2**20)
    assert read(build(one_tensor(shape=(2**31 - 1,) * 4 + (0,))))


def test_too_many_dimensions() -> None:
    refused(one_tensor(shape=(1,) * 33), "Tensor 0 is invalidly specified in schema.\n", "33 dimensions")
    assert read(build(one_tensor(shape=(1,) * 32)))


def test_constants_too_short() -> None:
    official = "Tensor 0 is invalidly specified in schema.\n"
    place = "subgraphs[0].tensors[0].buffer: buffer 1 has 7 bytes, [2] of FLOAT32 needs 8"
    refused(one_tensor(data=b"1234567"), official, place)
    refused(one_tensor(type="int4", shape=(3,), data=b"1"), official, "[3] of INT4 needs 2")
    refused(one_tensor(type="float8_e5m2", shape=(3,), data=b"1"), official)


def test_constants_with_bytes_to_spare() -> None:
    model = read(build(one_tensor(data=np.array([1, 2, 3], "<f4").tobytes())))
    constant = model.constant(model.subgraphs[0].tensors[0])
    assert constant is not None and constant.tolist() == [1, 2]
    model = read(build(one_tensor(type="int4", shape=(3,), data=b"\x21\x03\x00")))
    constant = model.constant(model.subgraphs[0].tensors[0])
    assert constant is not None and constant.tobytes() == b"\x21\x03"


@pytest.mark.parametrize("scale", [np.nan, np.inf, -np.inf, -0.5])
def test_scales_that_mean_nothing(scale: float) -> None:
    official = "Tensor scales must be finite and not negative."
    for type in ("int8", "uint8", "int16", "int32", "int4"):
        refused(one_tensor(type=type, scale=scale), official, "subgraphs[0].tensors[0].quantization.scale")
        refused(one_tensor(type=type, scale=[1.0, scale]), official)
    assert read(build(one_tensor(type="float32", scale=scale)))  # nobody looks at it


def test_zero_points_outside_the_type() -> None:
    official = "Tensor zero points must lie inside the tensor's type."
    for type, below, above in (("int8", -129, 128), ("uint8", -1, 256), ("int4", -9, 8), ("int32", -(2**31) - 1, 2**31)):
        for zero_point in (below, above):
            model = one_tensor(type=type, scale=1, zero_point=zero_point)
            refused(model, official, f"quantization.zero_point: {zero_point}")
            assert read(build(one_tensor(type=type, scale=1, zero_point=zero_point - np.sign(zero_point))))


def test_string_variables() -> None:
    refused(one_tensor(type="string", variable=True), "String variable tensor isn't supported.", "STRING")


@pytest.mark.parametrize(
    "data, what",
    [
        (b"\0", "1 bytes; a string tensor has 4 at least"),
        (b"\xff\xff\xff\xff", "-1 strings"),
        (b"\xff\xff\xff\x7f", "2147483647 strings do not fit in 4 bytes"),
        (b"\2\0\0\0\x0c\0\0\0\x0c\0\0\0\x0c\0\0\0", "the first string begins at byte 12, the header ends at 16"),
        (b"\2\0\0\0\x10\0\0\0\x12\0\0\0\x11\0\0\0ab", "a string ends before it begins"),
        (b"\2\0\0\0\x10\0\0\0\x11\0\0\0\x13\0\0\0ab", "the last string ends at byte 19 of 18"),
        (pack_strings([b"one"]), "1 strings, 2 are needed"),
    ],
)
def test_string_constants(data: bytes, what: str) -> None:
    model = one_tensor(type="string", data=data)
    refused(model, "The string tensor's buffer is damaged.", f"subgraphs[0].tensors[0].buffer: {what}")


def test_sound_string_constants() -> None:
    model = read(build(one_tensor(type="string", data=["one", b"two"])))
    constant = model.constant(model.subgraphs[0].tensors[0])
    assert constant is not None and constant.tobytes() == pack_strings([b"one", b"two"])


def blocks() -> Sparsity:
    """4 x 4 in blocks of 2 x 2, of which three of four are stored: 12 elements."""
    inner = SparseLevel(DENSE, 2)
    rows = SparseLevel(CSR, segments=np.array([0, 2, 3], "<i4"), indices=np.array([0, 1, 1], "<i4"))
    return Sparsity((0, 1, 2, 3), (0, 1), (SparseLevel(DENSE, 2), rows, inner, inner))


def sparse(**changes: Any) -> Model:
    sparsity = replace(blocks(), **changes)
    return one_tensor(type="int8", shape=(4, 4), data=bytes(12), sparsity=sparsity)


def level(at: int, **changes: Any) -> tuple[SparseLevel, ...]:
    levels = list(blocks().levels)
    levels[at] = replace(levels[at], **changes)
    return tuple(levels)


def ints(*values: int) -> np.ndarray:
    return np.array(values, "<i4")


def test_a_sound_sparse_constant() -> None:
    model = read(build(sparse()))
    assert model.subgraphs[0].tensors[0].sparsity == blocks()
    constant = model.constant(model.subgraphs[0].tensors[0])
    assert constant is not None and constant.shape == (12,)


@pytest.mark.parametrize(
    "changes, what",
    [
        ({"traversal_order": (0,), "block_map": ()}, ": 1 dimensions in traversal_order"),
        ({"traversal_order": (0, 1, 2, 3, 4)}, ": 5 dimensions in traversal_order, 4 in dim_metadata"),
        ({"block_map": (0,)}, ".block_map: 1 block dimensions, 2 in traversal_order"),
        ({"traversal_order": (0, 0, 2, 3)}, ".traversal_order: [0, 0, 2, 3]"),
        ({"traversal_order": (0, 1, 2, 4)}, ".traversal_order"),
        ({"traversal_order": (2, 1, 0, 3)}, ".traversal_order"),
        ({"block_map": (0, 2)}, ".block_map[1]: blocks of 2 along dimension 2"),
        ({"block_map": (0, -1)}, ".block_map[1]"),
        ({"levels": level(2, dense_size=0)}, ".block_map[0]: blocks of 0"),
        ({"levels": level(2, dense_size=3)}, ".block_map[0]: blocks of 3 along dimension 0 of [4, 4]"),
        ({"levels": level(0, dense_size=3)}, ".dim_metadata[0].dense_size: 3, the dimension has 2"),
        ({"levels": level(1, segments=ints(0, 3))}, ".dim_metadata[1].array_segments: 2 segments, 3 are needed"),
        ({"levels": level(1, segments=ints(0, 4, 3))}, ".dim_metadata[1].array_segments: they must rise"),
        ({"levels": level(1, segments=ints(-1, 2, 3))}, ".dim_metadata[1].array_segments"),
        ({"levels": level(1, segments=ints(0, 2, 2))}, ".dim_metadata[1].array_segments"),
        ({"levels": level(1, segments=np.array([0, 65535, 3], "<u2"))}, ".dim_metadata[1].array_segments"),
        ({"levels": level(1, indices=ints(0, 1, 2))}, ".dim_metadata[1].array_indices: they must be 0 to 1"),
        ({"levels": level(1, indices=ints(0, -1, 1))}, ".dim_metadata[1].array_indices"),
    ],
)
def test_sparsity(changes: dict[str, Any], what: str) -> None:
    refused(sparse(**changes), "Invalid sparsity parameter.Tensor 0", f"subgraphs[0].tensors[0].sparsity{what}")


def test_sparse_constants_too_short() -> None:
    model = one_tensor(type="int8", shape=(4, 4), data=bytes(11), sparsity=blocks())
    refused(model, "Tensor 0 is invalidly specified in schema.\n", "buffer 1 has 11 bytes")


def test_tensor_indices() -> None:
    model = one_tensor()
    (subgraph,) = model.subgraphs
    (step,) = subgraph.operators
    for label, indices in (("inputs", (0, 2)), ("outputs", (1, -1)), ("inputs", (-1,))):
        bad = indices[-1]
        changed = replace(model, subgraphs=(replace(subgraph, **{label: indices}),))
        text = f"Invalid tensor index {bad} in {label}. The subgraph has 2 tensors\n"
        refused(changed, text, f"subgraphs[0].{label}[{len(indices) - 1}]")
    for label, indices in (("inputs", (0, 2)), ("inputs", (-2,)), ("outputs", (2,)), ("outputs", (-1,)), ("intermediates", (9,))):
        changed = replace(model, subgraphs=(replace(subgraph, operators=(replace(step, **{label: indices}),)),))
        text = f"Invalid tensor index {indices[-1]} in node {label}. The subgraph has 2 tensors\n"
        refused(changed, text, f"subgraphs[0].operators[0].{label}[{len(indices) - 1}]")


def test_an_operand_may_be_left_out() -> None:
    x, w, y = tensor("x", "float32", (1, 2)), tensor("w", "float32", data=[[1, 2]]), tensor("y", "float32", (1, 1))
    assert read(build(one_op("FULLY_CONNECTED", [x, w, None], [y]))).subgraphs[0].operators[0].inputs == (0, 1, -1)


def test_tensors_are_written_once() -> None:
    x, y, z = (tensor(name, "float32", (2,)) for name in "xyz")
    c, v = tensor("c", "float32", data=[1, 2]), tensor("v", "float32", (2,), variable=True)
    add = [operator("ADD", [x, c], [y]), operator("ADD", [y, c], [z])]
    assert read(build(model_of(add)))
    both = "Tensor 0 is both input 0 and output 0\n"
    refused(model_of(Graph([operator("RELU", [x], [x])], [x], [x])), both, "subgraphs[0].operators[0]: RELU [0] -> [0]")
    cases = (
        (Graph([operator("RELU", [y], [x])], [x], [x]), "Tensor 0 is written by operator 0, but it is an input of the subgraph."),
        (Graph([operator("RELU", [x], [c])], [x], [c]), "Tensor 1 is written by operator 0, but it is a constant."),
        (Graph([operator("RELU", [x], [v])], [x], [v]), "Tensor 1 is written by operator 0, but it is a variable."),
        (
            Graph([operator("RELU", [x], [y]), operator("ABS", [x], [y])], [x], [y]),
            "Tensor 1 is written by operator 1, but it is an output of operator 0.",
        ),
        (
            Graph([operator("SPLIT", [x], [y, y])], [x], [y]),
            "Tensor 1 is written by operator 0, but it is an output of operator 0.",
        ),
    )
    for graph, official in cases:
        refused(model_of(graph), official, "outputs[")


def calling(*targets: int) -> Graph:
    x, y = tensor("x", "bool", (1,)), tensor("y", "bool", (1,))
    steps = [operator("CALL", [x], [y], options.CallOptions(target)) for target in targets[:1]]
    for target in targets[1:]:
        steps.append(operator("CALL", [x], [tensor("z", "bool", (1,))], options.CallOptions(target)))
    return Graph(steps or [operator("LOGICAL_NOT", [x], [y])], [x], [y])


def test_subgraphs_that_call_each_other() -> None:
    assert read(build(model_of(calling(1, 2), calling(2), calling())))
    refused(model_of(calling(1)), "CALL runs subgraph 1, which the model does not have.", "subgraphs[0].operators[0]")
    refused(model_of(calling(0)), "The subgraphs call each other in a circle.", "subgraphs[0]")
    refused(model_of(calling(1), calling(2), calling(3), calling(1)), "The subgraphs call each other in a circle.")
    deep = [calling(i + 1) for i in range(check.MAX_CALLS)]
    assert read(build(model_of(*deep, calling())))
    refused(model_of(*deep, calling(check.MAX_CALLS + 1), calling()), "The subgraphs are nested too deeply.")


def test_which_subgraphs_an_operator_calls() -> None:
    x, y = tensor("x", "bool", (1,)), tensor("y", "bool", (1,))
    for code, record, expected in (
        ("IF", options.IfOptions(1, 2), (1, 2)),
        ("WHILE", options.WhileOptions(3, 4), (3, 4)),
        ("CALL_ONCE", options.CallOnceOptions(5), (5,)),
        ("STABLEHLO_COMPOSITE", options.StableHLOCompositeOptions("softmax", 6), (6,)),
        ("STABLEHLO_CASE", options.StablehloCaseOptions((7, 8)), (7, 8)),
        ("STABLEHLO_REDUCE_WINDOW", options.StablehloReduceWindowOptions(body_subgraph_index=9), (9,)),
        ("RELU", None, ()),
        ("CONV_2D", None, ()),
    ):
        assert check.called(operator(code, [x], [y], record).operator) == expected


def test_signatures_that_lead_nowhere() -> None:
    for signature, official, place in (
        (Signature("f", {"x": 2}, {}), "Invalid tensor index 2 in signature inputs.", "signature_defs[0].inputs, 'x'"),
        (Signature("f", {}, {"y": 9}), "Invalid tensor index 9 in signature outputs.", "signature_defs[0].outputs, 'y'"),
        (Signature("f", {}, {}, 1), "Signature 'f' is of subgraph 1", "signature_defs[0].subgraph_index"),
    ):
        refused(replace(one_tensor(), signatures=(signature,)), official, place)


def test_inputs_that_nobody_gives() -> None:
    x, y, z = (tensor(name, "float32", (2,)) for name in "xyz")
    empty = tensor("empty", "float32", (0,))
    c, v = tensor("c", "float32", data=[1, 2]), tensor("v", "float32", (2,), variable=True)
    steps = [operator("ADD", [x, z], [y]), operator("ADD_N", [x, y, c, v, empty, None], [z])]
    model = read(build(model_of(Graph(steps, [x], [z]))))
    assert check.unknown_inputs(model, model.subgraphs[0]) == [(0, 1)]


def test_messages_name_the_tensor_that_is_wrong() -> None:
    """Not the first one of the file."""
    x, y = tensor("x", "float32", (2,)), tensor("y", "int8", (2,), scale=np.nan)
    refused(one_op("QUANTIZE", [x], [y]), "Tensor scales must be finite", "subgraphs[0].tensors[1].quantization.scale")
