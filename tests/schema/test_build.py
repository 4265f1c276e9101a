"""Models made by hand, written and read again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import tflite
from hypothesis import given, settings
from hypothesis import strategies as st

from tinyinterp.schema import (
    Activation,
    BuiltinOperator,
    ExternalBuffer,
    Model,
    Quantization,
    Signature,
    TensorType,
    VariantType,
    build,
    options,
    read,
)
from tinyinterp.schema.build import Graph, model_of, one_op, operator, tensor
from tinyinterp.schema.layout import MEMBERS, OPTIONS_OF
from tinyinterp.schema.strings import unpack_strings


def again(model: Model) -> Model:
    return read(build(model))


@pytest.mark.parametrize("code", list(BuiltinOperator), ids=lambda code: code.name)
def test_every_operator(code: BuiltinOperator) -> None:
    if code in (BuiltinOperator.CUSTOM, BuiltinOperator.CALL_ONCE):
        return
    x, y = tensor("x", "float32", (2,)), tensor("y", "float32", (2,))
    made = OPTIONS_OF[code]() if code in OPTIONS_OF else None
    for name in ("cond_subgraph_index", "body_subgraph_index", "else_subgraph_index", "then_subgraph_index", "subgraph"):
        if hasattr(made, name):
            made = replace(made, **{name: 1})
    for name in ("decomposition_subgraph_index", "update_computation_subgraph_index", "comparator_subgraph_index"):
        if hasattr(made, name):
            made = replace(made, **{name: 1})
    inner = operator("RELU", [tensor("a", "float32", (2,))], [tensor("b", "float32", (2,))])
    model = model_of([operator(code, [x], [y], made, version=3)], [inner])
    assert again(model) == model
    assert again(model).subgraphs[0].operators[0].version == 3


def test_every_field_of_options() -> None:
    """Values that are not the defaults come back as well."""
    for union in ("BuiltinOptions", "BuiltinOptions2"):
        for name in MEMBERS[union]:
            record = getattr(options, name)()
            code = next(code for code, owner in OPTIONS_OF.items() if owner is type(record))
            changed = {}
            for field in record.__dataclass_fields__.values():
                if "subgraph" in field.name:
                    changed[field.name] = (1, 1) if field.type == "Ints" else 1
                    continue
                samples = dict(Bool=not field.default, Int=-7, UInt=7, Long=-(2**40), Float=0.5, String="é", Bytes=b"\0x")
                samples |= dict(Bools=(True, False), Ints=(1, -2), Longs=(2**40, -1), Floats=(0.5, -1.0))
                if field.type == "Precisions":
                    samples["Precisions"] = (options_enum("StablehloPrecisionConfig")(2),)
                value = samples.get(field.type)
                changed[field.name] = list(type(field.default))[-1] if value is None else value
            made = replace(record, **changed)
            x, y = tensor("x", "float32", (2,)), tensor("y", "float32", (2,))
            inner = operator("RELU", [tensor("a", "float32", (2,))], [tensor("b", "float32", (2,))])
            assert again(model_of([operator(code, [x], [y], made)], [inner])).subgraphs[0].operators[0].options == made


def options_enum(name: str) -> type:
    from tinyinterp.schema import enums

    return getattr(enums, name)


def test_the_generated_accessors_agree() -> None:
    """What is written is what the `tflite` package reads."""
    conv = options.Conv2DOptions(stride_w=2, stride_h=3, fused_activation_function=Activation.RELU6)
    x, w = tensor("x", "int8", (1, 4, 4, 3), scale=0.5), tensor("w", "int8", scale=[0.5, 1], data=np.ones((2, 1, 1, 3)))
    data = build(one_op("CONV_2D", [x, w, None], [tensor("y", "int8", (1, 2, 2, 2), scale=1, zero_point=-128)], conv, 2))
    model = tflite.Model.GetRootAs(data)
    assert model.Version() == 3
    step = model.Subgraphs(0).Operators(0)
    assert step.InputsAsNumpy().tolist() == [0, 1, -1]
    assert model.OperatorCodes(0).BuiltinCode() == 3 and model.OperatorCodes(0).Version() == 2
    assert step.BuiltinOptionsType() == tflite.BuiltinOptions.Conv2DOptions
    theirs = tflite.Conv2DOptions()
    theirs.Init(step.BuiltinOptions().Bytes, step.BuiltinOptions().Pos)
    assert (theirs.StrideW(), theirs.StrideH(), theirs.FusedActivationFunction()) == (2, 3, 3)
    assert model.Subgraphs(0).Tensors(1).Quantization().ScaleAsNumpy().tolist() == [0.5, 1]
    assert model.Buffers(1).DataAsNumpy().tobytes() == b"\1" * 6


def test_constants_are_aligned_to_16() -> None:
    steps = []
    x = tensor("x", "int8", (1,))
    for length in range(1, 40):
        steps.append(operator("ADD", [x, tensor("c", "int8", data=np.zeros(length, "i1"))], [tensor("y", "int8", (length,))]))
    data = build(model_of(steps))
    first = np.frombuffer(data, np.uint8).ctypes.data
    for buffer in read(data).buffers[1:]:
        assert (buffer.ctypes.data - first) % 16 == 0


def test_types_by_any_name() -> None:
    for type in ("float32", "FLOAT32", np.float32, np.dtype("f4"), TensorType.FLOAT32):
        assert tensor("x", type, (1,)).tensor.type is TensorType.FLOAT32
    for type in (object, "U5", "S3", "string"):
        assert tensor("x", type, (1,)).tensor.type is TensorType.STRING
    assert tensor("x", bool, (1,)).tensor.type is TensorType.BOOL
    assert tensor("x", "int4", (1,)).tensor.type is TensorType.INT4
    with pytest.raises(TypeError):
        tensor("x", "nonsense", (1,))


def test_packed_constants() -> None:
    assert tensor("w", "int4", data=[-8, 7, 1]).data == bytes([0x78, 0x01])
    assert tensor("w", "uint4", data=[15, 1]).data == bytes([0x1F])
    assert tensor("w", "int2", data=[1, -1, -2, 0, 1]).data == bytes([0b00101101, 1])
    assert tensor("w", "int2", data=[1, -1, -2, 0, 1]).tensor.shape == (5,)
    with pytest.raises(ValueError, match="BFLOAT16"):
        tensor("w", "bfloat16", data=[1.0])


def test_string_constants() -> None:
    part = tensor("s", "string", data=np.array([["a", "bc"]], object))
    assert part.tensor.shape == (1, 2) and unpack_strings(part.data) == [b"a", b"bc"]


def test_shapes_of_scalars() -> None:
    model = again(one_op("ADD", [tensor("x", "int32", ()), tensor("c", "int32", data=5)], [tensor("y", "int32", ())]))
    constant = model.constant(model.subgraphs[0].tensors[1])
    assert constant is not None and constant.shape == () and constant == 5


def test_inputs_and_outputs_are_found() -> None:
    x, y, z, w = (tensor(name, "float32", (2,)) for name in "xyzw")
    state, c = tensor("state", "float32", (2,), variable=True), tensor("c", "float32", data=[1, 2])
    inner = tensor("inner", "int16", (0,))
    steps = [operator("ADD", [x, c], [y]), operator("ADD_N", [y, w, state], [z], intermediates=[inner])]
    (subgraph,) = model_of(steps).subgraphs
    names = [t.name for t in subgraph.tensors]
    assert [names[i] for i in subgraph.inputs] == ["x", "w"]
    assert [names[i] for i in subgraph.outputs] == ["z"]
    assert subgraph.operators[1].intermediates == (names.index("inner"),)
    (subgraph,) = model_of(Graph(steps, [w, x], [y, z], "two")).subgraphs
    assert subgraph.inputs == (0, 1) and subgraph.name == "two" and len(subgraph.outputs) == 2


def test_custom_operators() -> None:
    x, y = tensor("x", "float32", (2,)), tensor("y", "float32", (2,))
    model = again(one_op("My_Op", [x], [y], custom_options=b"\1\2"))
    step = model.subgraphs[0].operators[0]
    assert (step.code, step.name, step.custom_options, step.options) == (BuiltinOperator.CUSTOM, "My_Op", b"\1\2", None)


def test_what_else_a_file_holds() -> None:
    x = tensor(
        "x",
        "variant",
        (2,),
        signature=(-1,),
        has_rank=True,
        external_buffer=7,
        variants=(VariantType(TensorType.INT8, (1, 2), True),),
    )
    y = tensor("y", "int8", (4,), quantization=Quantization(block_size=32, block_scales=0, axes=(0,)))
    model = model_of([operator("RELU", [x], [y])], signatures=[Signature("f", {"a": 0}, {"b": 1})], metadata={"m": b"123"})
    model = replace(
        model, external_buffers=(ExternalBuffer(7, "weights.bin", 16, 32, "none"), ExternalBuffer(8, "weights.bin", 48, 1))
    )
    assert again(model) == model
    assert bytes(again(model).buffers[again(model).metadata[0].buffer]) == b"123"


def test_models_differ_when_one_thing_does() -> None:
    x, y = tensor("x", "float32", (2,)), tensor("y", "float32", (2,))
    model = one_op("ADD", [x, tensor("c", "float32", data=[1, 2])], [y])
    assert model != one_op("ADD", [x, tensor("c", "float32", data=[1, 3])], [y])
    assert model != one_op("SUB", [x, tensor("c", "float32", data=[1, 2])], [y])
    assert model != replace(model, description="other") and model != "a model"


names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
shapes = st.lists(st.integers(0, 5), max_size=5).map(tuple)
types = st.sampled_from([type for type in TensorType if type.numpy is not None])


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_model_comes_back_equal(data: st.DataObject) -> None:
    steps = []
    parts = [tensor("start", "float32", (1,))]
    for _ in range(data.draw(st.integers(1, 5))):
        type, shape = data.draw(types), data.draw(shapes)
        scale = data.draw(st.none() | st.floats(0, 10, width=32))
        output = tensor(data.draw(names), type, shape, scale=scale, zero_point=0, signature=data.draw(st.none() | shapes))
        inputs = data.draw(st.lists(st.sampled_from([None, *parts]), max_size=4))
        if data.draw(st.booleans()):
            type, shape = data.draw(types), data.draw(shapes)
            inputs.append(tensor(data.draw(names), type, data=np.zeros(shape, type.numpy)))
        code = data.draw(st.sampled_from(["ADD", "CONV_2D", "SOFTMAX", "STRIDED_SLICE", "own", "RELU", "TRANSPOSE"]))
        steps.append(operator(code, inputs, [output], version=data.draw(st.integers(1, 9))))
        parts.append(output)
    model = model_of(steps, description=data.draw(names))
    assert again(model) == model
