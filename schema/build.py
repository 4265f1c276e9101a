"""Records to bytes, and a few functions that make any model in a line or two, without TensorFlow.

>>> from tinyinterp.schema import options, read
>>> x, y = tensor("x", "int8", (1, 4), scale=0.5), tensor("y", "int8", (1, 2), scale=0.25, zero_point=-3)
>>> w = tensor("w", "int8", (2, 4), scale=0.1, data=[[1, 2, 3, 4], [5, 6, 7, 8]])
>>> model = one_op("FULLY_CONNECTED", [x, w, None], [y], options.FullyConnectedOptions())
>>> read(build(model)) == model
True
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

from tinyinterp.schema.enums import BuiltinOperator, DimensionType, TensorType
from tinyinterp.schema.frozen import changed as replace
from tinyinterp.schema.frozen import record
from tinyinterp.schema.layout import LAYOUTS, MEMBERS, OPTIONS_OF, VERSION
from tinyinterp.schema.records import (
    Array,
    Metadata,
    Model,
    Operator,
    Quantization,
    Signature,
    SparseLevel,
    Sparsity,
    Subgraph,
    Tensor,
)
from tinyinterp.schema.strings import pack_strings
from tinyinterp.schema.verify import Node

TypeLike: TypeAlias = "TensorType | str | type | np.dtype[Any]"


def build(model: Model) -> bytes:
    """The bytes of a .tflite file that `read` turns into an equal model."""
    from tinyinterp.schema.writer import write  # with flatbuffers, which nobody needs who only reads

    codes: dict[tuple[BuiltinOperator, str, int], int] = {}
    groups: dict[str, int] = {}
    return write(
        {
            "version": model.version,
            "description": model.description or None,
            "subgraphs": [_subgraph(subgraph, codes) for subgraph in model.subgraphs],
            "operator_codes": [
                {
                    "deprecated_builtin_code": min(code, 127),  # the old field is a byte
                    "builtin_code": code,
                    "custom_code": custom if code == BuiltinOperator.CUSTOM else None,
                    "version": version,
                }
                for code, custom, version in codes
            ],
            "buffers": [{"data": array} if len(array) else {} for array in model.buffers],
            "metadata": [{"name": entry.name, "buffer": entry.buffer} for entry in model.metadata] or None,
            "signature_defs": [_signature(signature) for signature in model.signatures] or None,
            "external_buffers": [
                {name: getattr(entry, name) for name in entry.__match_args__}
                | {"group": groups.setdefault(entry.group, len(groups))}
                for entry in model.external_buffers
            ]
            or None,
            "external_buffer_groups": [{"name": name} for name in groups] or None,
        }
    )


def _subgraph(subgraph: Subgraph, codes: dict[tuple[BuiltinOperator, str, int], int]) -> Node:
    return {
        "name": subgraph.name or None,
        "tensors": [_tensor(tensor) for tensor in subgraph.tensors],
        "inputs": subgraph.inputs,
        "outputs": subgraph.outputs,
        "operators": [_operator(operator, codes) for operator in subgraph.operators],
    }


def _tensor(tensor: Tensor) -> Node:
    return {
        "name": tensor.name,
        "type": tensor.type,
        "shape": tensor.shape,
        "shape_signature": tensor.shape_signature,
        "buffer": tensor.buffer,
        "quantization": _quantization(tensor.quantization),
        "is_variable": tensor.is_variable,
        "sparsity": _sparsity(tensor.sparsity),
        "has_rank": tensor.has_rank,
        "external_buffer": tensor.external_buffer,
        "variant_tensors": [
            {"type": variant.type, "shape": variant.shape, "has_rank": variant.has_rank} for variant in tensor.variants
        ]
        or None,
    }


def _quantization(quantization: Quantization) -> Node | None:
    if quantization == Quantization():
        return None
    node: Node = {"quantized_dimension": quantization.axis}
    for name in ("scale", "zero_point"):
        node[name] = getattr(quantization, name)
    if quantization.block_scales is not None:
        zero_points = quantization.block_zero_points
        node["details_type"] = 3 if quantization.axes else 2
        node["details"] = {
            "scales": quantization.block_scales,
            "zero_points": -1 if zero_points is None else zero_points,
            "block_size": quantization.block_size,
            "quantized_dimensions": quantization.axes,
        }
    node["min"], node["max"] = (a if len(a) else None for a in (quantization.minimum, quantization.maximum))
    return node


_VECTORS = {np.dtype("<i4"): 1, np.dtype("<u2"): 2, np.dtype("u1"): 3}


def _sparsity(sparsity: Sparsity | None) -> Node | None:
    if sparsity is None:
        return None
    return {
        "traversal_order": sparsity.traversal_order,
        "block_map": sparsity.block_map,
        "dim_metadata": [_level(level) for level in sparsity.levels],
    }


def _level(level: SparseLevel) -> Node:
    node: Node = {"format": level.format, "dense_size": level.dense_size}
    if level.format == DimensionType.SPARSE_CSR:
        for name, array in (("array_segments", level.segments), ("array_indices", level.indices)):
            node[name + "_type"] = _VECTORS[array.dtype]
            node[name] = {"values": array}
    return node


def _operator(operator: Operator, codes: dict[tuple[BuiltinOperator, str, int], int]) -> Node:
    code = (operator.code, operator.custom_code, operator.version)
    node: Node = {
        "opcode_index": codes.setdefault(code, len(codes)),
        "inputs": operator.inputs,
        "outputs": operator.outputs,
        "intermediates": operator.intermediates or None,
        "custom_options": operator.custom_options or None,
    }
    if operator.options is not None:
        name = type(operator.options).__name__
        field, union = "builtin_options", "BuiltinOptions"
        if name not in MEMBERS[union]:
            field, union = "builtin_options_2", "BuiltinOptions2"
        node[field + "_type"] = MEMBERS[union].index(name) + 1
        node[field] = {column: getattr(operator.options, column) for column in LAYOUTS[name].defaults}
    return node


def _signature(signature: Signature) -> Node:
    return {
        "signature_key": signature.key,
        "subgraph_index": signature.subgraph,
        "inputs": [{"name": name, "tensor_index": index} for name, index in signature.inputs.items()],
        "outputs": [{"name": name, "tensor_index": index} for name, index in signature.outputs.items()],
    }


# Making models by hand.


@record(frozen=True, slots=True, eq=False)
class Part:
    """A tensor of a model being made, with its bytes when it is a constant. Two operators share it by both naming it."""

    tensor: Tensor
    data: bytes = b""


@record(frozen=True, slots=True, eq=False)
class Step:
    """An operator of a model being made: its operands are parts, None for one left out."""

    operator: Operator
    inputs: tuple[Part | None, ...]
    outputs: tuple[Part, ...]
    intermediates: tuple[Part, ...] = ()


@record(frozen=True, slots=True, eq=False)
class Graph:
    """A subgraph being made. Inputs and outputs that are not given are found: what nobody writes, what nobody reads."""

    steps: Sequence[Step]
    inputs: Sequence[Part] | None = None
    outputs: Sequence[Part] | None = None
    name: str = "main"


def tensor(
    name: str,
    type: TypeLike,
    shape: Sequence[int] | None = None,
    *,
    scale: ArrayLike | None = None,
    zero_point: ArrayLike | None = None,
    axis: int = 0,
    data: Any = None,
    variable: bool = False,
    signature: Sequence[int] | None = None,
    **more: Any,
) -> Part:
    """A tensor to make a model of.

    `type` is a TensorType, a dtype or a name such as "int4". `data` makes it a constant: values of the type (integers for
    packed types, which are packed here; strings or bytes for STRING), or bytes as they are to be stored. The shape may be
    left out when `data` is an array. `more` are further fields of Tensor.

    >>> tensor("w", "int4", data=np.array([[1, -2], [3, 4]])).data.hex()
    'e143'
    """
    kind = _type(type)
    stored = b"" if data is None else _bytes(kind, data)
    if shape is None:
        shape = np.shape(data)
    return Part(
        Tensor(
            name,
            kind,
            tuple(int(d) for d in shape),
            None if signature is None else tuple(signature),
            quantization=more.pop("quantization", None) or _affine(scale, zero_point, axis),
            is_variable=variable,
            **more,
        ),
        stored,
    )


def _affine(scale: ArrayLike | None, zero_point: ArrayLike | None, axis: int) -> Quantization:
    if scale is None:
        return Quantization()
    scales = np.atleast_1d(np.asarray(scale, "<f4"))
    zeros = np.broadcast_to(np.asarray(0 if zero_point is None else zero_point, "<i8"), scales.shape).copy()
    return Quantization(scales, zeros, axis)


def _type(type: TypeLike) -> TensorType:
    if isinstance(type, TensorType):
        return type
    if isinstance(type, str) and type.upper() in TensorType.__members__:
        return TensorType[type.upper()]
    dtype = np.dtype(type)
    return TensorType.STRING if dtype.kind in "OSU" else TensorType[dtype.name.upper()]


def _bytes(type: TensorType, data: Any) -> bytes:
    if isinstance(data, (bytes, bytearray)):
        return bytes(data)
    if type == TensorType.STRING:
        flat = np.asarray(data, object).ravel().tolist()
        return pack_strings(item.encode() if isinstance(item, str) else bytes(item) for item in flat)
    if type.numpy is not None:
        values: Array = np.ascontiguousarray(data, type.numpy.newbyteorder("<"))
        return values.tobytes()
    bits = type.bits or 0
    if bits not in (2, 4):
        raise ValueError(f"give the bytes of a {type.name} constant as bytes")
    per = 8 // bits
    flat = np.asarray(data).astype(np.int64).ravel() & (2**bits - 1)
    groups = np.pad(flat, (0, -len(flat) % per)).reshape(-1, per)
    packed: Array = (groups << (bits * np.arange(per))).sum(axis=1).astype(np.uint8)
    return packed.tobytes()


def operator(
    code: BuiltinOperator | str,
    inputs: Sequence[Part | None],
    outputs: Sequence[Part],
    options: Any = None,
    version: int = 1,
    *,
    custom_options: bytes = b"",
    intermediates: Sequence[Part] = (),
) -> Step:
    """An operator to make a model of. A name that no builtin has is the code of a custom op."""
    custom = ""
    if not isinstance(code, BuiltinOperator):
        custom, code = ("", BuiltinOperator[code]) if code in BuiltinOperator.__members__ else (code, BuiltinOperator.CUSTOM)
    if options is None and code in OPTIONS_OF:
        options = OPTIONS_OF[code]()
    made = Operator(code, custom, version, options=options, custom_options=custom_options)
    return Step(made, tuple(inputs), tuple(outputs), tuple(intermediates))


def one_op(
    code: BuiltinOperator | str,
    inputs: Sequence[Part | None],
    outputs: Sequence[Part],
    options: Any = None,
    version: int = 1,
    **more: Any,
) -> Model:
    """A model of one operator. `more` goes to `operator`."""
    return model_of([operator(code, inputs, outputs, options, version, **more)])


def model_of(
    *graphs: Graph | Sequence[Step],
    signatures: Iterable[Signature] = (),
    metadata: dict[str, bytes] | None = None,
    description: str = "",
) -> Model:
    """A model of subgraphs, each a Graph or just its operators in order; the first one is the main one."""
    buffers: list[bytes] = [b""]
    subgraphs = tuple(_made(g if isinstance(g, Graph) else Graph(g), buffers) for g in graphs)
    entries = []
    for name, data in (metadata or {}).items():
        entries.append(Metadata(name, len(buffers)))
        buffers.append(data)
    arrays: tuple[Array, ...] = tuple(np.frombuffer(data, np.uint8) for data in buffers)
    return Model(VERSION, description, subgraphs, arrays, tuple(signatures), tuple(entries))


def _made(graph: Graph, buffers: list[bytes]) -> Subgraph:
    parts: dict[Part, int] = {}  # by identity: two parts of the same content are two tensors
    for listed in (
        graph.inputs or (),
        *((*s.inputs, *s.outputs, *s.intermediates) for s in graph.steps),
        graph.outputs or (),
    ):
        for part in listed:
            if part is not None:
                parts.setdefault(part, len(parts))

    written = {part for step in graph.steps for part in step.outputs}
    read = {part for step in graph.steps for part in step.inputs}
    inner = {part for step in graph.steps for part in step.intermediates}
    inputs, outputs = graph.inputs, graph.outputs
    if inputs is None:
        free = [p for p in parts if p not in written and p not in inner]
        inputs = [p for p in free if not p.data and not p.tensor.is_variable]
    if outputs is None:
        outputs = [p for p in parts if p in written and p not in read]

    tensors = []
    for part in parts:
        index = 0
        if part.data:
            index = len(buffers)
            buffers.append(part.data)
        tensors.append(replace(part.tensor, buffer=index))

    def indices(listed: Sequence[Part | None]) -> tuple[int, ...]:
        return tuple(-1 if part is None else parts[part] for part in listed)

    operators = tuple(
        replace(
            step.operator,
            inputs=indices(step.inputs),
            outputs=indices(step.outputs),
            intermediates=indices(step.intermediates),
        )
        for step in graph.steps
    )
    return Subgraph(graph.name, tuple(tensors), indices(inputs), indices(outputs), operators)
