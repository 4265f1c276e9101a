"""What a sound model keeps beyond its structure: sizes, quantization, sparsity, indices, the order of writing.

After these checks every index in a record can be followed, every tensor has a size, no tensor is written twice, and the
subgraphs that call each other form no circle. What one op asks of its operands is checked by its kernels. Whether each
input is known before it is used is not checked here, as the official interpreter says it at allocate_tensors():
`unknown_inputs` finds those that are not.

Source: google-ai-edge/LiteRT, tflite/core/subgraph.cc (CheckTensorIndices, CheckInputAndOutputForOverlap,
SetTensorParametersReadOnly), tflite/core/tools/verifier.cc
"""

from __future__ import annotations

from functools import cache
from math import prod
from typing import Any, NoReturn

import numpy as np

from tinyinterp.errors import ModelError, hint
from tinyinterp.schema.enums import DimensionType, TensorType
from tinyinterp.schema.records import Array, Model, Operator, Quantization, Sparsity, Subgraph, Tensor
from tinyinterp.schema.strings import string_ends

MAX_RANK = 32  # NumPy 1 has no more, and no operator takes as many
MAX_CALLS = 64  # subgraphs inside each other
_UNSIZED = (TensorType.STRING, TensorType.RESOURCE, TensorType.VARIANT)
_INTEGERS = {
    type: (int(np.iinfo(type.numpy).min), int(np.iinfo(type.numpy).max))
    for type in TensorType
    if type.numpy is not None and type.numpy.kind in "iu"
} | {TensorType.INT4: (-8, 7), TensorType.UINT4: (0, 15), TensorType.INT2: (-2, 1)}


def _refuse(official: str, *lines: str) -> NoReturn:
    raise ModelError(hint(official, *lines))


def tensor(tensor: Tensor, index: int, place: str, data: Array | None) -> None:
    """Checks one tensor by itself; `data` is its buffer, None when that has none (not even an empty one)."""
    invalid = f"Tensor {index} is invalidly specified in schema.\n"
    shape = tensor.shape
    if len(shape) > MAX_RANK:
        _refuse(invalid, f"{place}.shape: {len(shape)} dimensions; at most {MAX_RANK} are taken")
    if shape and min(shape) < 0:
        official = "BytesRequired number of elements overflowed.\n" + invalid
        _refuse(official, f"{place}.shape: {list(shape)}; an unknown dimension is 1 here and -1 in shape_signature")
    count = prod(shape)
    if count >= 2**63:
        _refuse("BytesRequired number of elements overflowed.\n" + invalid, f"{place}.shape: {list(shape)}")
    if tensor.quantization:
        _quantization(tensor.type, tensor.quantization, f"{place}.quantization")

    if tensor.type in _UNSIZED:
        if tensor.is_variable:
            _refuse("String variable tensor isn't supported." + invalid, f"{place}: its type is {tensor.type.name}")
        if data is not None and len(data) and tensor.type == TensorType.STRING:
            _strings(data, count, place)
        return
    needed = tensor.type.nbytes(count)
    if needed >= 2**63:
        _refuse("BytesRequired number of bytes overflowed.\n" + invalid, f"{place}.shape: {list(shape)}")
    if data is None:
        return
    if tensor.sparsity is not None:
        stored = _sparse_count(tensor.sparsity, shape, f"{place}.sparsity", index)
        needed = tensor.type.nbytes(stored)
    if needed > len(data):
        _refuse(
            invalid,
            f"{place}.buffer: buffer {tensor.buffer} has {len(data)} bytes, {list(shape)} of {tensor.type.name} needs {needed}",
        )


def _quantization(type: TensorType, quantization: Quantization, place: str) -> None:
    limits = _INTEGERS.get(type)
    scale, zero_point = quantization.scale, quantization.zero_point
    if limits is None or not len(scale):
        return
    # One number needs no array arithmetic; most tensors have one.
    low, high = (zero_point[0], zero_point[0]) if len(zero_point) == 1 else (zero_point.min(), zero_point.max())
    least, most = (scale[0], scale[0]) if len(scale) == 1 else (scale.min(), scale.max())
    if not (least >= 0 and most < np.inf):  # a NaN fails both
        _refuse("Tensor scales must be finite and not negative.", f"{place}.scale: {least} to {most}")
    if low < limits[0] or high > limits[1]:
        _refuse(
            "Tensor zero points must lie inside the tensor's type.",
            f"{place}.zero_point: {low} to {high}, {type.name} holds {limits[0]} to {limits[1]}",
        )


def _strings(data: Array, count: int, place: str) -> None:
    try:
        ends = string_ends(data)
    except ValueError as error:
        _refuse("The string tensor's buffer is damaged.", f"{place}.buffer: {error}")
    if len(ends) - 1 < count:
        _refuse("The string tensor's buffer is damaged.", f"{place}.buffer: {len(ends) - 1} strings, {count} are needed")


def _sparse_count(sparsity: Sparsity, shape: tuple[int, ...], place: str, index: int) -> int:
    """The number of elements that a sparse constant stores."""

    def refuse(what: str) -> NoReturn:
        _refuse(f"Invalid sparsity parameter.Tensor {index} has invalid sparsity parameters.\n", f"{place}{what}")

    order, levels, blocks = sparsity.traversal_order, sparsity.levels, sparsity.block_map
    rank = len(shape)
    if not rank <= len(order) == len(levels) <= 2 * MAX_RANK:
        refuse(f": {len(order)} dimensions in traversal_order, {len(levels)} in dim_metadata, {rank} in shape")
    if len(blocks) != len(order) - rank:
        refuse(f".block_map: {len(blocks)} block dimensions, {len(order) - rank} in traversal_order")
    if sorted(order[:rank]) != list(range(rank)) or sorted(order[rank:]) != list(range(rank, len(order))):
        refuse(f".traversal_order: {list(order)}; first all of 0 to {rank - 1}, then the block dimensions")
    sizes = [*shape, *(0 for _ in blocks)]
    for i, mapped in enumerate(blocks):
        level = levels[rank + i]
        size = level.dense_size if level.format == DimensionType.DENSE else 0
        if not 0 <= mapped < rank or size < 1 or sizes[mapped] % size:
            refuse(f".block_map[{i}]: blocks of {size} along dimension {mapped} of {list(shape)}")
        sizes[order[rank + i]] = size
        sizes[mapped] //= size

    count = 1
    for i, level in enumerate(levels):
        size = sizes[order[i]]
        if level.format == DimensionType.DENSE:
            if level.dense_size != size:
                refuse(f".dim_metadata[{i}].dense_size: {level.dense_size}, the dimension has {size}")
            count *= size
            continue
        segments, indices = level.segments, level.indices
        if len(segments) != count + 1:
            refuse(f".dim_metadata[{i}].array_segments: {len(segments)} segments, {count + 1} are needed")
        # As int64: the differences of unsigned segments would wrap.
        if segments[0] < 0 or segments[-1] != len(indices) or (np.diff(segments.astype(np.int64)) < 0).any():
            refuse(f".dim_metadata[{i}].array_segments: they must rise from 0 or more to {len(indices)}")
        if len(indices) and (indices.min() < 0 or indices.max() >= size):
            refuse(f".dim_metadata[{i}].array_indices: they must be 0 to {size - 1}")
        count = len(indices)
    return count


def model(model: Model) -> None:
    """Checks what takes more than one record to see."""
    for index, subgraph in enumerate(model.subgraphs):
        _subgraph(model, subgraph, f"subgraphs[{index}]")
    _calls(model)
    for index, signature in enumerate(model.signatures):
        place = f"signature_defs[{index}]"
        if signature.subgraph >= len(model.subgraphs):
            _refuse(
                f"Signature '{signature.key}' is of subgraph {signature.subgraph}, which the model does not have.",
                f"{place}.subgraph_index: there are {len(model.subgraphs)} subgraphs",
            )
        count = len(model.subgraphs[signature.subgraph].tensors)
        for side, names in (("inputs", signature.inputs), ("outputs", signature.outputs)):
            for name, tensor_index in names.items():
                if tensor_index >= count:
                    _invalid(tensor_index, f"signature {side}", count, f"{place}.{side}, {name!r}")


def _invalid(index: int, label: str, count: int, place: str) -> NoReturn:
    _refuse(f"Invalid tensor index {index} in {label}. The subgraph has {count} tensors\n", place)


def _subgraph(model: Model, subgraph: Subgraph, place: str) -> None:
    count = len(subgraph.tensors)
    for label, indices in (("inputs", subgraph.inputs), ("outputs", subgraph.outputs)):
        if indices and not (0 <= min(indices) and max(indices) < count):
            at = next(i for i, tensor_index in enumerate(indices) if not 0 <= tensor_index < count)
            _invalid(indices[at], label, count, f"{place}.{label}[{at}]")

    # Each tensor is written by one operator at most; these are written by none.
    writer: dict[int, str] = dict.fromkeys(subgraph.inputs, "an input of the subgraph")
    for i, tensor in enumerate(subgraph.tensors):
        if tensor.is_variable:
            writer[i] = "a variable"
        elif tensor.buffer and len(model.buffers[tensor.buffer]):
            writer[i] = "a constant"
    for index, operator in enumerate(subgraph.operators):
        inputs, outputs = operator.inputs, operator.outputs
        if inputs and not (-1 <= min(inputs) and max(inputs) < count):
            _operand(inputs, "inputs", -1, count, f"{place}.operators[{index}]")
        if outputs and not (0 <= min(outputs) and max(outputs) < count):
            _operand(outputs, "outputs", 0, count, f"{place}.operators[{index}]")
        if operator.intermediates and not (-1 <= min(operator.intermediates) and max(operator.intermediates) < count):
            _operand(operator.intermediates, "intermediates", -1, count, f"{place}.operators[{index}]")
        for i, tensor_index in enumerate(outputs):
            if tensor_index in inputs:
                at = inputs.index(tensor_index)
                _refuse(
                    f"Tensor {tensor_index} is both input {at} and output {i}\n",
                    f"{place}.operators[{index}]: {operator} writes what it reads",
                )
            if tensor_index in writer:
                _refuse(
                    f"Tensor {tensor_index} is written by operator {index}, but it is {writer[tensor_index]}.",
                    f"{place}.operators[{index}].outputs[{i}]: {operator}",
                )
            writer[tensor_index] = f"an output of operator {index}"


def _operand(indices: tuple[int, ...], label: str, least: int, count: int, place: str) -> NoReturn:
    at = next(i for i, index in enumerate(indices) if not least <= index < count)
    _invalid(indices[at], f"node {label}", count, f"{place}.{label}[{at}]")


@cache
def _callers(record: type[Any]) -> tuple[str, ...]:
    """The fields of options that name a subgraph to run."""
    return tuple(name for name in getattr(record, "__match_args__", ()) if "subgraph" in name)


def called(operator: Operator) -> tuple[int, ...]:
    """The subgraphs that an operator runs: `(1, 2)` for an IF of branches 1 and 2, `()` for most operators."""
    found: list[int] = []
    for name in _callers(operator.options.__class__):
        value = getattr(operator.options, name)
        found += value if isinstance(value, tuple) else [value]
    return tuple(found)


def _calls(model: Model) -> None:
    """Refuses subgraphs out of range, subgraphs that call themselves, and calls that nest too deeply."""
    count = len(model.subgraphs)
    callees: list[set[int]] = []
    for index, subgraph in enumerate(model.subgraphs):
        here: set[int] = set()
        for i, operator in enumerate(subgraph.operators):
            for target in called(operator):
                if not 0 <= target < count:
                    _refuse(
                        f"{operator.name} runs subgraph {target}, which the model does not have.",
                        f"subgraphs[{index}].operators[{i}]: there are {count} subgraphs",
                    )
                here.add(target)
        callees.append(here)

    # Subgraphs whose callees are all settled are settled themselves, round after round; a circle never is.
    depth = [0] * count
    waiting = {index for index in range(count) if callees[index]}
    while waiting:
        settled = {index for index in waiting if not callees[index] & waiting}
        if not settled:
            _refuse("The subgraphs call each other in a circle.", f"subgraphs[{min(waiting)}] ends up calling itself")
        for index in settled:
            depth[index] = 1 + max(depth[target] for target in callees[index])
            if depth[index] > MAX_CALLS:
                _refuse("The subgraphs are nested too deeply.", f"subgraphs[{index}]: more than {MAX_CALLS} calls inside")
        waiting -= settled


def unknown_inputs(model: Model, subgraph: Subgraph) -> list[tuple[int, int]]:
    """Inputs that nothing has given a value when they are read, as pairs of operator index and position.

    A value comes from outside, from a constant or variable, or from an earlier operator; a tensor without elements needs
    none.
    """
    known = set(subgraph.inputs) | {-1}
    for i, tensor in enumerate(subgraph.tensors):
        if tensor.is_variable or 0 in tensor.shape or (tensor.buffer and len(model.buffers[tensor.buffer])):
            known.add(i)
    unknown = []
    for index, operator in enumerate(subgraph.operators):
        unknown += [(index, at) for at, i in enumerate(operator.inputs) if i not in known]
        known.update(operator.outputs)
    return unknown
