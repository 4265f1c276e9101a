"""The facts of the format against the `tflite` package, which was generated from an older schema by others."""

from __future__ import annotations

import ast
import copy
import inspect
import pickle
import re
from dataclasses import FrozenInstanceError, fields, replace

import numpy as np
import pytest
import tflite

from tinyinterp.schema import enums, options
from tinyinterp.schema.enums import BuiltinOperator, TensorType
from tinyinterp.schema.layout import LAYOUTS, MEMBERS, OPTIONS_OF

# Tables that came after tflite 2.18, and fields that did.
NEWER_TABLES = {
    "BlockwiseQuantization",
    "MultiAxisQuantization",
    "StablehloCaseOptions",
    "ExternalBuffer",
    "ExternalBufferGroup",
}
NEWER_FIELDS = {
    ("Model", "external_buffer_groups"),
    ("Model", "external_buffers"),
    ("Tensor", "external_buffer"),
    ("ResizeBilinearOptions", "new_height"),  # deprecated: nothing is generated for it
    ("ResizeBilinearOptions", "new_width"),
}
TFLITE_ENUM = {"Activation": "ActivationFunctionType"}


def camel(name: str) -> str:
    return "".join(word[0].upper() + word[1:] for word in name.split("_"))


@pytest.mark.parametrize("name", [n for n, e in vars(enums).items() if isinstance(e, type) and e.__module__ == enums.__name__])
def test_enumerations(name: str) -> None:
    ours = {member.name: int(member) for member in vars(enums)[name]}
    theirs = {k: v for k, v in vars(getattr(tflite, TFLITE_ENUM.get(name, name))).items() if not k.startswith("_")}
    assert {k: ours.get(k) for k in theirs} == theirs
    newer = {k for k in ours if k not in theirs}
    assert newer <= {"STABLEHLO_CASE", "INT2", "UINT4", "FLOAT8_E4M3FN", "FLOAT8_E5M2"}


def test_every_table_is_there() -> None:
    assert {name for name in LAYOUTS if not hasattr(tflite, name)} == NEWER_TABLES
    generated = {name for name, value in vars(tflite).items() if isinstance(value, type) and hasattr(value, "GetRootAs")}
    assert generated <= set(LAYOUTS)


@pytest.mark.parametrize("name", [name for name in LAYOUTS if name not in NEWER_TABLES])
def test_slots_of_fields(name: str) -> None:
    """Every field lies where the generated accessor of that name looks for it."""
    accessors = getattr(tflite, name)
    for field in LAYOUTS[name].fields:
        if field.kind == "deprecated":
            continue
        wanted = {camel(field.name).lower(), camel(field.name).lower() + "isnone"}
        found = [method for method in vars(accessors) if method.lower().replace("_", "") in wanted]
        if not found:
            known = (name, field.name) in NEWER_FIELDS or field.name in ("quantized_bias_type", "debug_metadata_index")
            assert known, f"{name}.{field.name}"
            continue
        source = inspect.getsource(getattr(accessors, found[0]))
        slot = re.search(r"Offset\((\d+)\)", source)
        assert slot and int(slot[1]) == 4 + 2 * field.slot, f"{name}.{field.name}"
        kind = re.search(r"number_types\.(\w+)Flags, (?:o \+|a \+)", source)
        if kind and field.kind in ("scalar", "vector"):
            letters = dict(Bool="?", Int8="b", Uint8="B", Int16="h", Uint16="H", Int32="i", Uint32="I", Int64="q", Uint64="Q")
            assert field.code == {**letters, "Float32": "f"}[kind[1]], f"{name}.{field.name}"
        if field.kind == "scalar" and field.name != "builtin_code":  # whose accessor looks at the old field as well
            default = re.search(r"return (\S+)\s*$", source.strip())
            assert default and float(ast.literal_eval(default[1])) == float(field.default), f"{name}.{field.name}"


@pytest.mark.parametrize("union", list(MEMBERS))
def test_tags_of_unions(union: str) -> None:
    for tag, name in enumerate(MEMBERS[union], start=1):
        generated = getattr(tflite, union)
        if hasattr(generated, name) or name not in NEWER_TABLES:
            assert getattr(generated, name) == tag


def test_options_of_operators() -> None:
    assert OPTIONS_OF[BuiltinOperator.CONV_2D] is options.Conv2DOptions
    assert OPTIONS_OF[BuiltinOperator.AVERAGE_POOL_2D] is options.Pool2DOptions
    assert OPTIONS_OF[BuiltinOperator.REDUCE_MAX] is options.ReducerOptions
    assert OPTIONS_OF[BuiltinOperator.STABLEHLO_COMPOSITE] is options.StableHLOCompositeOptions
    assert BuiltinOperator.LOGISTIC not in OPTIONS_OF
    # Every options table belongs to an operator, but for one that no operator has any more.
    of_unions = {*MEMBERS["BuiltinOptions"], *MEMBERS["BuiltinOptions2"]}
    assert {record.__name__ for record in OPTIONS_OF.values()} == of_unions


@pytest.mark.parametrize("record", sorted(set(OPTIONS_OF.values()), key=lambda r: r.__name__), ids=lambda r: r.__name__)
def test_options_records(record: type) -> None:
    made = record()
    assert made == record() and hash(made) == hash(record())
    assert repr(made).startswith(record.__name__)
    for field in fields(record):
        with pytest.raises(AttributeError):
            setattr(made, field.name, 0)


def test_options_are_dataclasses_to_their_readers() -> None:
    made = options.Pool2DOptions(enums.Padding.VALID, 2, stride_h=3)
    assert (made.padding, made.stride_w, made.stride_h, made.filter_width) == (enums.Padding.VALID, 2, 3, 0)
    assert [field.name for field in fields(made)] == list(LAYOUTS["Pool2DOptions"].defaults)
    assert replace(made, filter_width=4) == options.Pool2DOptions(enums.Padding.VALID, 2, 3, 4) != made
    assert pickle.loads(pickle.dumps(made)) == copy.deepcopy(made) == made
    assert repr(options.SplitOptions(3)) == "SplitOptions(num_splits=3)" and options.SplitOptions(3) != options.SplitVOptions(3)
    assert fields(options.AbsOptions()) == () and options.AbsOptions() != options.NegOptions()
    with pytest.raises(FrozenInstanceError):
        made.stride_w = 5  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        del made.stride_w
    for wrong in (
        lambda: options.SplitOptions(1, 2),  # type: ignore[call-arg]
        lambda: options.SplitOptions(1, num_splits=2),  # type: ignore[misc]
        lambda: options.SplitOptions(splits=2),  # type: ignore[call-arg]
        lambda: options.AbsOptions(1),  # type: ignore[call-arg]
    ):
        with pytest.raises(TypeError, match="Options takes"):
            wrong()


def test_types_know_their_size() -> None:
    assert TensorType.FLOAT32.numpy == np.float32 and TensorType.BOOL.numpy == np.bool_
    assert TensorType.STRING.numpy is None and TensorType.STRING.bits is None
    assert TensorType.COMPLEX128.bits == 128 and TensorType.INT4.numpy is None
    assert [TensorType.INT4.nbytes(n) for n in range(4)] == [0, 1, 1, 2]
    assert [TensorType.INT2.nbytes(n) for n in (0, 1, 4, 5)] == [0, 1, 1, 2]
    assert TensorType.BFLOAT16.nbytes(3) == 6
    with pytest.raises(ValueError, match="STRING"):
        TensorType.STRING.nbytes(1)
