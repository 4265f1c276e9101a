"""The tables of the format as facts: table -> fields -> types. Verifier, reader and builder are driven by them.

A table is written as in the format's own schema: its fields in slot order, `name:type` or `name:type=default`. A type
is a scalar, an enumeration, `string`, a table, a union, or a vector of them in brackets. `[float]*` is a vector that the
reader keeps as an array on the file's bytes; other vectors of scalars are short and become tuples.

The options tables are not said here again: the records of `options.py` have the same fields in the same order.

Source: google-ai-edge/LiteRT, tflite/converter/schema/schema.fbs (version 3d).
"""

from __future__ import annotations

from enum import IntEnum
from functools import cached_property
from typing import Any

from tinyinterp.schema import enums, options
from tinyinterp.schema.enums import BuiltinOperator
from tinyinterp.schema.fields import IN_FILE
from tinyinterp.schema.frozen import record

IDENTIFIER = b"TFL3"
VERSION = 3

TABLES = {
    "Model": "version:uint operator_codes:[OperatorCode] subgraphs:[SubGraph] description:string buffers:[Buffer]"
    " metadata_buffer:[int] metadata:[Metadata] signature_defs:[SignatureDef]"
    " external_buffer_groups:[ExternalBufferGroup] external_buffers:[ExternalBuffer]",
    "OperatorCode": "deprecated_builtin_code:byte custom_code:string version:int=1 builtin_code:int",
    "SubGraph": "tensors:[Tensor] inputs:[int] outputs:[int] operators:[Operator] name:string debug_metadata_index:int=-1",
    "Buffer": "data:[ubyte]* offset:ulong size:ulong",
    "Metadata": "name:string buffer:uint",
    "SignatureDef": "inputs:[TensorMap] outputs:[TensorMap] signature_key:string deprecated_tag:deprecated subgraph_index:uint",
    "TensorMap": "name:string tensor_index:uint",
    "ExternalBufferGroup": "name:string",
    "ExternalBuffer": "id:uint group:uint offset:ulong length:ulong packing:string",
    "Operator": "opcode_index:uint inputs:[int] outputs:[int] builtin_options:BuiltinOptions custom_options:[ubyte]"
    " custom_options_format:CustomOptionsFormat mutating_variable_inputs:[bool] intermediates:[int]"
    " large_custom_options_offset:ulong large_custom_options_size:ulong builtin_options_2:BuiltinOptions2"
    " debug_metadata_index:int=-1",
    "Tensor": "shape:[int] type:byte buffer:uint name:string quantization:QuantizationParameters is_variable:bool"
    " sparsity:SparsityParameters shape_signature:[int] has_rank:bool variant_tensors:[VariantSubType]"
    " external_buffer:uint",
    "VariantSubType": "shape:[int] type:byte has_rank:bool",
    "QuantizationParameters": "min:[float]* max:[float]* scale:[float]* zero_point:[long]* details:QuantizationDetails"
    " quantized_dimension:int",
    "CustomQuantization": "custom:[ubyte]*",
    "BlockwiseQuantization": "scales:int zero_points:int block_size:int",
    "MultiAxisQuantization": "scales:int zero_points:int block_size:int quantized_dimensions:[int]",
    "SparsityParameters": "traversal_order:[int] block_map:[int] dim_metadata:[DimensionMetadata]",
    "DimensionMetadata": "format:byte dense_size:int array_segments:SparseIndexVector array_indices:SparseIndexVector",
    "Int32Vector": "values:[int]*",
    "Uint16Vector": "values:[ushort]*",
    "Uint8Vector": "values:[ubyte]*",
}


def _options(names: str) -> str:
    return names.replace(" ", "Options ") + "Options"


# A union's members in the order of their tags, from 1 on; tag 0 is none.
UNIONS = {
    "QuantizationDetails": "CustomQuantization BlockwiseQuantization MultiAxisQuantization",
    "SparseIndexVector": "Int32Vector Uint16Vector Uint8Vector",
    "BuiltinOptions": _options(
        "Conv2D DepthwiseConv2D ConcatEmbeddings LSHProjection Pool2D SVDF RNN FullyConnected Softmax Concatenation "
        "Add L2Norm LocalResponseNormalization LSTM ResizeBilinear Call Reshape SkipGram SpaceToDepth "
        "EmbeddingLookupSparse Mul Pad Gather BatchToSpaceND SpaceToBatchND Transpose Reducer Sub Div Squeeze "
        "SequenceRNN StridedSlice Exp TopKV2 Split LogSoftmax Cast Dequantize MaximumMinimum ArgMax Less Neg PadV2 "
        "Greater GreaterEqual LessEqual Select Slice TransposeConv SparseToDense Tile ExpandDims Equal NotEqual Shape "
        "Pow ArgMin FakeQuant Pack LogicalOr OneHot LogicalAnd LogicalNot Unpack FloorDiv Square ZerosLike Fill "
        "BidirectionalSequenceLSTM BidirectionalSequenceRNN UnidirectionalSequenceLSTM FloorMod Range "
        "ResizeNearestNeighbor LeakyRelu SquaredDifference MirrorPad Abs SplitV Unique ReverseV2 AddN GatherNd Cos "
        "Where Rank ReverseSequence MatrixDiag Quantize MatrixSetDiag HardSwish If While DepthToSpace "
        "NonMaxSuppressionV4 NonMaxSuppressionV5 ScatterNd SelectV2 Densify SegmentSum BatchMatMul Cumsum CallOnce "
        "BroadcastTo Rfft2d Conv3D Hashtable HashtableFind HashtableImport HashtableSize VarHandle ReadVariable "
        "AssignVariable Random Bucketize Gelu DynamicUpdateSlice UnsortedSegmentProd UnsortedSegmentMax "
        "UnsortedSegmentMin UnsortedSegmentSum ATan2 Sign Bitcast BitwiseXor RightShift"
    ),
    "BuiltinOptions2": _options(
        "StablehloConcatenate StablehloBroadcastInDim StablehloSlice StablehloConvolution StablehloCustomCall "
        "StablehloReduce StablehloScatter StablehloCompare StablehloDynamicSlice StablehloPad StablehloIota "
        "StablehloDotGeneral StablehloReduceWindow StablehloSort StablehloWhile StablehloGather StablehloTranspose "
        "Dilate StablehloRngBitGenerator ReduceWindow StableHLOComposite StablehloShiftLeft StablehloCase"
    ),
}

# struct's letter of every scalar. An enumeration is a byte unless it is named here.
SCALARS = dict(bool="?", byte="b", ubyte="B", short="h", ushort="H", int="i", uint="I", long="q", ulong="Q", float="f")
_WIDE_ENUMS = {
    "StablehloComparisonDirection": "I",
    "StablehloComparisonType": "I",
    "StablehloPrecisionConfig": "I",
    "ReduceWindowFunction": "i",
}


@record(frozen=True, slots=True, eq=False)
class Field:
    """One field of a table: `kind` is scalar, string, vector, table, tables, union or deprecated."""

    name: str
    slot: int  # its place in the vtable; a union has two, the tag's and then the value's
    kind: str
    code: str  # struct's letter of the scalar, of a vector's element, or of a union's tag
    of: str  # the table or the union it refers to
    default: Any
    view: bool  # a vector that stays an array on the file's bytes
    enum: type[IntEnum] | None


class Layout:
    """A table, whose fields are worked out when they are first asked for; `record` is the class of an options table."""

    def __init__(self, name: str, record: type[Any] | None = None) -> None:
        self.name, self.record = name, record

    @cached_property
    def fields(self) -> tuple[Field, ...]:
        fields: list[Field] = []
        slot = 0
        for column, type, default in _written(TABLES[self.name]) if self.record is None else _of_record(self.record):
            fields.append(_field(column, type, slot + (type in UNIONS), default))
            slot = fields[-1].slot + 1
        return tuple(fields)

    @cached_property
    def by_slot(self) -> dict[int, Field]:
        return {field.slot: field for field in self.fields if field.kind != "deprecated"}

    @cached_property
    def defaults(self) -> dict[str, Any]:
        return {field.name: field.default for field in self.by_slot.values()}


def _field(name: str, type: str, slot: int, default: Any = None) -> Field:
    view = type.endswith("*")
    inner = type.rstrip("*").strip("[]")
    enum = getattr(enums, inner, None)
    code = SCALARS.get(inner) or (_WIDE_ENUMS.get(inner, "b") if enum else "")
    if inner in UNIONS:
        kind, code = "union", "B"
    elif inner in ("string", "deprecated"):
        kind = inner
    elif type.startswith("["):
        kind = "vector" if code else "tables"
    else:
        kind = "scalar" if code else "table"
    if default is None and kind == "scalar":
        default = False if code == "?" else 0
    return Field(name, slot, kind, code, "" if code and kind != "union" else inner, default, view, enum)


def _written(text: str) -> list[tuple[str, str, Any]]:
    columns = []
    for column in text.split():
        name, _, rest = column.partition(":")
        type, _, default = rest.partition("=")
        columns.append((name, type, int(default) if default else None))
    return columns


def _of_record(record: type[Any]) -> list[tuple[str, str, Any]]:
    types: dict[str, str] = record.__annotations__ if record.__match_args__ else {}
    return [(name, IN_FILE.get(type, type), getattr(record, name)) for name, type in types.items()]


MEMBERS = {union: tuple(names.split()) for union, names in UNIONS.items()}
LAYOUTS = {name: Layout(name) for name in TABLES} | {
    name: Layout(name, getattr(options, name))
    for union in ("BuiltinOptions", "BuiltinOptions2")
    for name in MEMBERS[union]
}

_SHARED = {
    "Pool2DOptions": "AVERAGE_POOL_2D MAX_POOL_2D L2_POOL_2D",
    "ReducerOptions": "MEAN SUM REDUCE_PROD REDUCE_MAX REDUCE_MIN REDUCE_ANY REDUCE_ALL",
    "MaximumMinimumOptions": "MAXIMUM MINIMUM",
    "RandomOptions": "RANDOM_STANDARD_NORMAL RANDOM_UNIFORM MULTINOMIAL",
    "L2NormOptions": "L2_NORMALIZATION",
    "SequenceRNNOptions": "UNIDIRECTIONAL_SEQUENCE_RNN",
    "Conv3DOptions": "CONV_3D_TRANSPOSE",
}


def _options_of() -> dict[BuiltinOperator, type[Any]]:
    """Most tables are called like their operator; the others serve several."""
    by_name = {name.lower(): layout.record for name, layout in LAYOUTS.items() if layout.record}
    found = {op: by_name.get(op.name.replace("_", "").lower() + "options") for op in BuiltinOperator}
    found |= {BuiltinOperator[op]: getattr(options, name) for name, ops in _SHARED.items() for op in ops.split()}
    return {op: record for op, record in found.items() if record is not None}


# The options table of each operator; operators that are not in it have none.
OPTIONS_OF = _options_of()
