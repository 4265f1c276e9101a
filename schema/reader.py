"""From bytes to a Model: opened, verified, and turned into records.

What the official interpreter says about a model when it is constructed is said here, with its words first; what it says
only at allocate_tensors() (an op nobody knows, shapes that do not fit) is left to the later stages.

Source: google-ai-edge/LiteRT, tflite/core/interpreter_builder.cc (ParseTensors, ParseQuantization, ParseSparsity,
ParseNodes)
"""

from __future__ import annotations

import os
import struct
from typing import IO, Any, NoReturn, TypeAlias

import numpy as np

from tinyinterp.errors import ModelError, hint
from tinyinterp.schema import check
from tinyinterp.schema.enums import BuiltinOperator, DimensionType, TensorType
from tinyinterp.schema.files import opened
from tinyinterp.schema.layout import LAYOUTS, MEMBERS, OPTIONS_OF, VERSION
from tinyinterp.schema.records import (
    Array,
    ExternalBuffer,
    Metadata,
    Model,
    Operator,
    Quantization,
    Signature,
    SparseLevel,
    Sparsity,
    Subgraph,
    Tensor,
    VariantType,
)
from tinyinterp.schema.verify import Node, parse


def read(data: str | os.PathLike[str] | bytes | bytearray | memoryview | IO[bytes]) -> Model:
    """The model in a file or in memory.

    A path is memory-mapped and its constants are never copied; a `bytes` object is used in place; what can be written to
    is copied first, because what has been checked must not change.

    >>> from tinyinterp.schema import build, read
    >>> from tinyinterp.schema.build import one_op, tensor
    >>> model = one_op("ABS", [tensor("x", "float32", (2, 3))], [tensor("y", "float32", (2, 3))])
    >>> read(build(model)).subgraphs[0].operators[0].name
    'ABS'

    Raises: ModelNotFoundError when there is no such file; ModelError when it is not a sound model.
    """
    view = opened(data)
    try:
        model = _model(parse(view), view)
        check.model(model)
        return model
    except ModelError:
        raise
    except (struct.error, LookupError, ArithmeticError, ValueError, TypeError, RecursionError, MemoryError) as error:
        # The last net: nothing above should let one of these through, and no caller should have to know if it does.
        raise ModelError(hint("The model is not a valid Flatbuffer buffer", repr(error))) from error


def _refuse(official: str, *lines: str) -> NoReturn:
    raise ModelError(hint(official, *lines))


def _model(tree: Node, data: memoryview) -> Model:
    version = tree["version"]
    if version != VERSION:
        _refuse(
            f"Model provided is schema version {version} not equal to supported version {VERSION}.\n",
            "version: convert the model again with a converter of today",
        )
    codes = [_code(node, index) for index, node in enumerate(tree["operator_codes"] or ())]
    if not tree["subgraphs"]:
        _refuse("No subgraph in the model.\n", "subgraphs: a model has at least one")
    if tree["buffers"] is None:
        _refuse("No buffers in the model.\n", "buffers: a model has at least the empty buffer 0")

    buffers = _Buffers(tree["buffers"], data)
    subgraphs = tuple(_subgraph(node, i, codes, buffers, data) for i, node in enumerate(tree["subgraphs"]))
    signatures = tuple(_signature(node, i) for i, node in enumerate(tree["signature_defs"] or ()))
    metadata = tuple(Metadata(node["name"] or "", node["buffer"]) for node in tree["metadata"] or ())
    for index, entry in enumerate(metadata):
        buffers.get(entry.buffer, f"metadata[{index}].buffer")
    groups = [node["name"] or "" for node in tree["external_buffer_groups"] or ()]
    external = tuple(_external(node, i, groups) for i, node in enumerate(tree["external_buffers"] or ()))
    arrays = tuple(buffers.arrays)
    return Model(version, tree["description"] or "", subgraphs, arrays, signatures, metadata, external)


_Code: TypeAlias = tuple[BuiltinOperator, str, int]


def _code(node: Node, index: int) -> _Code:
    # Codes from 127 on do not fit the old byte, which then says 127.
    number = max(node["deprecated_builtin_code"], node["builtin_code"])
    place = f"operator_codes[{index}]"
    try:
        code = BuiltinOperator(number)
    except ValueError:
        _refuse(
            f"Op builtin_code out of range: {number}. Are you using old TFLite binary with newer model?",
            f"{place}.builtin_code: the format has operators 0 to {max(BuiltinOperator)}",
        )
    name = node["custom_code"]
    if code == BuiltinOperator.CUSTOM and name is None:
        _refuse("Operator with CUSTOM builtin_code has no custom_code.\n", f"{place}.custom_code: a name is needed")
    return code, name or "", node["version"]


class _Buffers:
    """The buffers of a file. One that nobody uses may be damaged; it then counts as empty."""

    def __init__(self, nodes: list[Node], data: memoryview) -> None:
        nothing = np.frombuffer(data, np.uint8, 0)
        self.arrays: list[Array] = []
        self.stored: list[bool] = []  # is there a vector, perhaps of no bytes?
        self.damage: dict[int, str] = {}
        for index, node in enumerate(nodes):
            array, offset, size = node["data"], node["offset"], node["size"]
            self.stored.append(array is not None or offset > 1)
            if array is None and offset > 1:
                if offset + size <= len(data):
                    array = np.frombuffer(data, np.uint8, size, offset)
                else:
                    self.damage[index] = f"bytes {offset} to {offset + size} of a file of {len(data)}"
            self.arrays.append(nothing if array is None else array)
        if self.arrays:
            self.arrays[0] = nothing  # buffer 0 means "no data", whatever it holds
            self.stored[0] = False

    def get(self, index: int, place: str) -> Array:
        if index >= len(self.arrays):
            count = len(self.arrays)
            _refuse(f"{place} specifies out of range buffer {index} (only {count} buffers).\n", f"{place}: {index}")
        if index in self.damage:
            official = f"Constant buffer {index} specified an out of range offset.\n"
            _refuse(official, f"buffers[{index}].offset: {self.damage[index]}")
        return self.arrays[index]


def _subgraph(node: Node, index: int, codes: list[_Code], buffers: _Buffers, data: memoryview) -> Subgraph:
    place = f"subgraphs[{index}]"
    if node["tensors"] is None:
        _refuse(f"Did not get tensors in subgraph {index}.\n", f"{place}.tensors: a vector is needed, if only an empty one")
    count = len(node["tensors"])
    tensors = tuple(_tensor(t, i, f"{place}.tensors[{i}]", buffers, count) for i, t in enumerate(node["tensors"]))
    operators = tuple(_operator(o, f"{place}.operators[{i}]", codes, data) for i, o in enumerate(node["operators"] or ()))
    return Subgraph(node["name"] or "", tensors, node["inputs"] or (), node["outputs"] or (), operators)


def _type(number: int, place: str) -> TensorType:
    try:
        return TensorType(number)
    except ValueError:
        _refuse(f"Unsupported data type {number} in tensor\n", f"{place}: types are 0 to {max(TensorType)}")


def _tensor(node: Node, index: int, place: str, buffers: _Buffers, count: int) -> Tensor:
    type = _type(node["type"], f"{place}.type")
    shape = node["shape"] or ()
    buffer = node["buffer"]
    if buffer >= len(buffers.arrays) and buffer:
        _refuse(
            f"Tensor {index} specifies out of range buffer {buffer} (only {len(buffers.arrays)} buffers).\n",
            f"{place}.buffer: {buffer}",
        )
    stored = buffer > 0 and buffers.stored[buffer]
    if stored:
        buffers.get(buffer, f"{place}.buffer")
        if node["is_variable"] or node["external_buffer"]:
            _refuse(
                f"Tensor {index} is a variable tensor with buffer or external buffer. It's not supported now.\n",
                f"{place}: buffer {buffer} has data",
            )
    sparsity = node["sparsity"]
    tensor = Tensor(
        node["name"] or "",
        type,
        shape,
        node["shape_signature"],
        buffer,
        _quantization(node["quantization"], index, f"{place}.quantization", shape, count),
        node["is_variable"],
        _sparsity(sparsity, index, f"{place}.sparsity") if sparsity is not None and stored else None,
        node["has_rank"],
        node["external_buffer"],
        tuple(
            VariantType(_type(v["type"], f"{place}.variant_tensors[{i}].type"), v["shape"] or (), v["has_rank"])
            for i, v in enumerate(node["variant_tensors"] or ())
        ),
    )
    check.tensor(tensor, index, place, buffers.arrays[buffer] if stored else None)
    return tensor


_NOT_QUANTIZED = Quantization()
_FLOATS, _LONGS = _NOT_QUANTIZED.scale, _NOT_QUANTIZED.zero_point


def _quantization(node: Node | None, index: int, place: str, shape: tuple[int, ...], count: int) -> Quantization:
    if node is None:
        return _NOT_QUANTIZED
    scale, zero_point, axis = node["scale"], node["zero_point"], node["quantized_dimension"]
    minimum = _FLOATS if node["min"] is None else node["min"]
    maximum = _FLOATS if node["max"] is None else node["max"]
    details, kind = node["details"], node.get("details_type", 0)

    def refuse(official: str, field: str) -> NoReturn:
        _refuse(f"{official}Tensor {index} has invalid quantization parameters.", f"{place}.{field}")

    if kind in (2, 3):  # blockwise, multi-axis
        if details is None:
            refuse("Blockwise quantization details are missing.", "details")
        scales, zeros = details["scales"], details["zero_points"]
        if not 0 <= scales < count:
            refuse(
                f"MultiAxisQuantization scales tensor index must be in range [0, {count}). Was {scales}.",
                "details.scales",
            )
        if not -1 <= zeros < count:
            refuse(
                f"MultiAxisQuantization zero_points tensor index must be in range [0, {count}), or -1 if optional. Was {zeros}.",
                "details.zero_points",
            )
        if details["block_size"] < 0:
            refuse(
                f"MultiAxisQuantization block_size must be non-negative. Was {details['block_size']}.",
                "details.block_size",
            )
        axes = details.get("quantized_dimensions") or ()
        if kind == 3 and not axes:
            refuse("MultiAxisQuantization must have at least one quantized dimension.", "details.quantized_dimensions")
        for i, dimension in enumerate(axes):
            if dimension < 0 or (shape and dimension >= len(shape)):
                refuse(
                    f"MultiAxisQuantization quantized_dimensions must be in range [0, {len(shape)})."
                    f" Value {dimension} at index {i} is invalid.",
                    f"details.quantized_dimensions[{i}]",
                )
        zero = None if zeros == -1 else zeros
        return Quantization(_FLOATS, _LONGS, axis, details["block_size"], scales, minimum, maximum, zero, axes)

    if scale is None or not len(scale):
        return Quantization(axis=axis, minimum=minimum, maximum=maximum)
    if zero_point is None:
        refuse("Quantization parameters has non-null scale but null zero_point.", "zero_point")
    if len(scale) != len(zero_point):
        refuse(
            f"QuantizationParam has {len(zero_point)} zero_point values and {len(scale)} scale values. Must have same number.",
            "zero_point",
        )
    if axis < 0 or (shape and axis >= len(shape)):
        refuse(f"quantized_dimension must be in range [0, {len(shape)}). Was {axis}.", "quantized_dimension")
    if len(scale) != 1 and shape and len(scale) != shape[axis]:
        refuse(
            f"num_scales must be 1 for per-layer quantization, or {shape[axis]} for per-axis quantization, but got {len(scale)}.",
            "scale",
        )
    if not zero_point.flags.aligned:  # nothing in the format says that vectors of int64 are
        zero_point = zero_point.copy()
        zero_point.flags.writeable = False
    return Quantization(scale, zero_point, axis, minimum=minimum, maximum=maximum)


def _sparsity(node: Node, index: int, place: str) -> Sparsity:
    official = f"Tensor {index} has invalid sparsity parameters.\n"
    order, levels = node["traversal_order"], node["dim_metadata"]
    if order is None or levels is None:
        _refuse("Invalid sparsity parameter." + official, f"{place}: traversal_order and dim_metadata are needed")
    found = []
    for i, level in enumerate(levels):
        try:
            format = DimensionType(level["format"])
        except ValueError:
            _refuse(
                f"The {i}th dimension has unknown type: {level['format']}.{official}",
                f"{place}.dim_metadata[{i}].format",
            )
        if format == DimensionType.DENSE:
            found.append(SparseLevel(format, level["dense_size"]))
            continue
        vectors = [(level[name] or {}).get("values") for name in ("array_segments", "array_indices")]
        if vectors[0] is None or vectors[1] is None:
            _refuse(f"The {i}th sparse dimension has invalid parameters.{official}", f"{place}.dim_metadata[{i}]")
        found.append(SparseLevel(format, level["dense_size"], vectors[0], vectors[1]))
    return Sparsity(order, node["block_map"] or (), tuple(found))


def _operator(node: Node, place: str, codes: list[_Code], data: memoryview) -> Operator:
    index = node["opcode_index"]
    if index >= len(codes):
        _refuse(f"Missing registration for opcode_index {index}\n", f"{place}.opcode_index: there are {len(codes)} codes")
    code, custom_code, version = codes[index]
    custom_options = node["custom_options"]
    offset, size = node["large_custom_options_offset"], node["large_custom_options_size"]
    if code == BuiltinOperator.CUSTOM and custom_options is None and offset > 1:
        if offset + size > len(data):
            _refuse(
                f"Custom Option Offset for opcode_index {index} is out of bound\n",
                f"{place}.large_custom_options_offset: bytes {offset} to {offset + size} of a file of {len(data)}",
            )
        custom_options = bytes(data[offset : offset + size])
    return Operator(
        code,
        custom_code,
        version,
        node["inputs"] or (),
        node["outputs"] or (),
        node["intermediates"] or (),
        _options(node, code, place),
        custom_options or b"",
    )


def _options(node: Node, code: BuiltinOperator, place: str) -> Any:
    record = OPTIONS_OF.get(code)
    if record is None:
        return None
    for union, of in (("builtin_options", "BuiltinOptions"), ("builtin_options_2", "BuiltinOptions2")):
        options = node[union]
        if options is None:
            continue
        name = MEMBERS[of][node[union + "_type"] - 1]
        if name == record.__name__:
            break
        if LAYOUTS[record.__name__].fields:
            _refuse(
                f"{code.name} has options of another operator.",
                f"{place}.{union}: found {name}, needed {record.__name__}",
            )
    else:
        return _default(record)
    values = {field.name: options[field.name] for field in LAYOUTS[name].fields}
    for field in LAYOUTS[name].fields:
        if field.enum is not None:
            value = values[field.name]
            try:
                values[field.name] = tuple(map(field.enum, value)) if field.kind == "vector" else field.enum(value)
            except ValueError as error:
                _refuse(f"{code.name} has an option out of range.", f"{place}.{union}.{field.name}: {error}")
    return record(**values)


_DEFAULTS: dict[type[Any], Any] = {}


def _default(record: type[Any]) -> Any:
    if record not in _DEFAULTS:
        _DEFAULTS[record] = record()
    return _DEFAULTS[record]


def _signature(node: Node, index: int) -> Signature:
    if node["signature_key"] is None:
        _refuse("Missing exported method name for SignatureDef", f"signature_defs[{index}].signature_key: a name is needed")
    inputs, outputs = (
        {entry["name"]: entry["tensor_index"] for entry in node[side] or () if entry["name"] is not None}
        for side in ("inputs", "outputs")
    )
    return Signature(node["signature_key"], inputs, outputs, node["subgraph_index"])


def _external(node: Node, index: int, groups: list[str]) -> ExternalBuffer:
    group = node["group"]
    if group >= len(groups):
        _refuse(f"External buffer {index} is in group {group}, of {len(groups)}.", f"external_buffers[{index}].group")
    return ExternalBuffer(node["id"], groups[group], node["offset"], node["length"], node["packing"] or "")
