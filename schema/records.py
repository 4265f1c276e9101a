"""What a model file says, as frozen records: Model, Subgraph, Tensor, Quantization, Operator.

Indices are as in the file: a tensor's `buffer` into `Model.buffers`, an operator's `inputs` into the tensors of its
subgraph, -1 for an operand left out. Every index of a model that `read` gives is in range.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from tinyinterp.schema.enums import BuiltinOperator, DimensionType, TensorType
from tinyinterp.schema.frozen import record

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]


def _fixed(dtype: str) -> Array:
    array = np.zeros(0, dtype)
    array.flags.writeable = False
    return array


_NO_FLOATS, _NO_LONGS, _NO_BYTES = _fixed("<f4"), _fixed("<i8"), _fixed("u1")


def _same(a: object, b: object) -> bool:
    """Equal field by field, arrays by their bytes, so that NaN equals itself."""
    if type(a) is not type(b):
        return False
    for name in a.__slots__:  # type: ignore[attr-defined]
        x, y = getattr(a, name), getattr(b, name)
        if isinstance(x, np.ndarray):
            if not (x.dtype == y.dtype and x.shape == y.shape and x.tobytes() == y.tobytes()):
                return False
        elif x != y:
            return False
    return True


@record(frozen=True, slots=True, eq=False)
class Quantization:
    """real = scale * (q - zero_point), with one pair for the tensor or one for each index along `axis`.

    Blockwise and multi-axis tensors keep their scales in another tensor of the subgraph, `block_scales`: then `scale`
    and `zero_point` are empty here.
    """

    scale: Array = _NO_FLOATS  # [n] float32; n is 0 when the tensor is not quantized
    zero_point: Array = _NO_LONGS  # [n] int64
    axis: int = 0
    block_size: int = 0
    block_scales: int | None = None  # the index of a tensor
    minimum: Array = _NO_FLOATS  # the range seen in training, for information
    maximum: Array = _NO_FLOATS
    block_zero_points: int | None = None  # the index of a tensor, None for zero points of 0
    axes: tuple[int, ...] = ()  # of multi-axis quantization

    def __eq__(self, other: object) -> bool:
        return _same(self, other)

    def __hash__(self) -> int:
        return hash((self.scale.tobytes(), self.zero_point.tobytes(), self.axis, self.block_scales, self.axes))

    def __bool__(self) -> bool:
        return bool(len(self.scale)) or self.block_scales is not None

    def __repr__(self) -> str:
        if self.block_scales is not None:
            return f"Quantization(blocks of {self.block_size}, scales in tensor {self.block_scales}, axis={self.axis})"
        if len(self.scale) == 0:
            return "Quantization()"
        if len(self.scale) == 1:
            return f"Quantization(scale={self.scale[0]!s}, zero_point={self.zero_point[0]!s})"
        return f"Quantization({len(self.scale)} scales along axis {self.axis})"


@record(frozen=True, slots=True, eq=False, repr=False)
class SparseLevel:
    """One dimension of a sparse tensor, in traversal order: its size when dense, compressed rows when sparse."""

    format: DimensionType
    dense_size: int = 0
    segments: Array = _NO_LONGS  # int32, uint16 or uint8, as in the file
    indices: Array = _NO_LONGS

    def __eq__(self, other: object) -> bool:
        return _same(self, other)

    def __hash__(self) -> int:
        return hash((self.format, self.dense_size, len(self.segments), len(self.indices)))

    def __repr__(self) -> str:
        if self.format == DimensionType.DENSE:
            return f"SparseLevel(DENSE, {self.dense_size})"
        return f"SparseLevel(SPARSE_CSR, {len(self.segments)} segments, {len(self.indices)} indices)"


@record(frozen=True, slots=True)
class Sparsity:
    """Where the stored elements of a sparse constant belong: `rank` levels walk the blocks, the rest inside one."""

    traversal_order: tuple[int, ...]
    block_map: tuple[int, ...]
    levels: tuple[SparseLevel, ...]


@record(frozen=True, slots=True)
class VariantType:
    """The type of a tensor inside a VARIANT tensor."""

    type: TensorType
    shape: tuple[int, ...] = ()
    has_rank: bool = False


@record(frozen=True, slots=True)
class Tensor:
    """A tensor as the file describes it; its bytes, when it is a constant, are `Model.buffers[buffer]`."""

    name: str
    type: TensorType
    shape: tuple[int, ...]
    shape_signature: tuple[int, ...] | None = None  # -1 for a dimension not known; None when the file has none
    buffer: int = 0
    quantization: Quantization = Quantization()
    is_variable: bool = False
    sparsity: Sparsity | None = None
    has_rank: bool = False
    external_buffer: int = 0  # the id of an ExternalBuffer, 0 for none
    variants: tuple[VariantType, ...] = ()

    def __str__(self) -> str:
        return f"{self.name!r} {self.type.name.lower()}{list(self.shape)}"


@record(frozen=True, slots=True)
class Operator:
    """One occurrence of an op."""

    code: BuiltinOperator
    custom_code: str = ""
    version: int = 1
    inputs: tuple[int, ...] = ()  # -1: an optional operand left out
    outputs: tuple[int, ...] = ()
    intermediates: tuple[int, ...] = ()
    options: Any = None  # a record of schema.options, of defaults when the file has none; None when the op has no table
    custom_options: bytes = b""

    @property
    def name(self) -> str:
        """The op's name: `CONV_2D`, or the code of a custom one."""
        return self.custom_code if self.code == BuiltinOperator.CUSTOM else self.code.name

    def __str__(self) -> str:
        return f"{self.name} {list(self.inputs)} -> {list(self.outputs)}"


@record(frozen=True, slots=True)
class Subgraph:
    """Tensors, and operators in the order in which they run."""

    name: str
    tensors: tuple[Tensor, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    operators: tuple[Operator, ...]


@record(frozen=True, slots=True)
class Signature:
    """A named entry: the tensors of a subgraph under names of their own."""

    key: str
    inputs: dict[str, int]
    outputs: dict[str, int]
    subgraph: int = 0


@record(frozen=True, slots=True)
class Metadata:
    """A named buffer that the interpreter does not look at."""

    name: str
    buffer: int


@record(frozen=True, slots=True)
class ExternalBuffer:
    """Constant bytes that lie in another file, `group`."""

    id: int
    group: str
    offset: int
    length: int
    packing: str = ""


@record(frozen=True, slots=True, eq=False, repr=False)
class Model:
    """A whole model file. `print(model)` lists what is in it."""

    version: int
    description: str
    subgraphs: tuple[Subgraph, ...]
    buffers: tuple[Array, ...]  # uint8, read-only, on the file's bytes; empty when a buffer has no data
    signatures: tuple[Signature, ...] = ()
    metadata: tuple[Metadata, ...] = ()
    external_buffers: tuple[ExternalBuffer, ...] = ()

    def constant(self, tensor: Tensor) -> Array | None:
        """The tensor's elements as a read-only array of its shape, or None when it is not a constant.

        Types without a NumPy dtype of their own (int4, strings) come as their bytes, uint8 [bytes]; a sparse constant
        as its stored elements, [n]. Bytes beyond what the shape needs are left out.
        """
        if tensor.buffer == 0 or not len(raw := self.buffers[tensor.buffer]):
            return None
        dtype = tensor.type.numpy
        if dtype is None:
            bits = tensor.type.bits
            return raw if bits is None or tensor.sparsity else raw[: tensor.type.nbytes(_count(tensor.shape))]
        shape = (len(raw) // dtype.itemsize,) if tensor.sparsity else tensor.shape
        values = raw[: _count(shape) * dtype.itemsize].view(dtype)
        if not values.flags.aligned:
            values = values.copy()
            values.flags.writeable = False
        return values.reshape(shape)

    def __eq__(self, other: object) -> bool:
        """Equal in meaning: the same records, and buffers of the same bytes."""
        if not isinstance(other, Model):
            return False
        names = [name for name in self.__slots__ if name != "buffers"]
        return (
            all(getattr(self, name) == getattr(other, name) for name in names)
            and len(self.buffers) == len(other.buffers)
            and all(np.array_equal(a, b) for a, b in zip(self.buffers, other.buffers))
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        constants = sum(map(len, self.buffers))
        lines = [f"Model version {self.version}: {constants:,} bytes in {len(self.buffers)} buffers"]
        if self.description:
            lines[0] += f", {self.description!r}"
        for index, subgraph in enumerate(self.subgraphs):
            lines.append(
                f"subgraph {index} {subgraph.name!r}: {len(subgraph.tensors)} tensors, {len(subgraph.operators)} operators"
            )
            for word, indices in (("input", subgraph.inputs), ("output", subgraph.outputs)):
                lines += [f"  {word} {i}: {subgraph.tensors[i]}" for i in indices]
            ops: dict[str, int] = {}
            for operator in subgraph.operators:
                ops[operator.name] = ops.get(operator.name, 0) + 1
            by_count = sorted(ops.items(), key=lambda item: (-item[1], item[0]))
            lines += [f"  {count} x {name}" for name, count in by_count]
        for signature in self.signatures:
            lines.append(f"signature {signature.key!r}: {list(signature.inputs)} -> {list(signature.outputs)}")
        return "\n".join(lines)


def _count(shape: tuple[int, ...]) -> int:
    count = 1
    for dimension in shape:
        count *= dimension
    return count
