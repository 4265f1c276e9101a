"""What a sound model keeps beyond its structure: sizes, quantization, sparsity, indices, the order of operators.

After these checks every index in a record can be followed, every tensor has a size, no tensor is written twice, and the
subgraphs that call each other form no circle. What one op asks of its operands is checked by its kernels; whether each input
is known before it is used is checked when the graph is linked, as the official interpreter says it at allocate_tensors().

Source: google-ai-edge/LiteRT, tflite/core/subgraph.cc (CheckTensorIndices, CheckInputAndOutputForOverlap,
SetTensorParametersReadOnly), tflite/core/tools/verifier.cc
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NoReturn

import numpy as np

from tinyinterp.errors import ModelError, hint
from tinyinterp.schema.enums import DimensionType, TensorType
from tinyinterp.schema.records import Model, Operator, Sparsity, Subgraph, Tensor

MAX_RANK = 32  # NumPy 1 has no more; no operator takes as many
MAX_DEPTH = 64  # of subgraphs that call each other
_UNSIZED = (TensorType.STRING, TensorType.RESOURCE, TensorType.VARIANT)


def _refuse(official: str, *lines: str) -> NoReturn:
    raise ModelError(hint(official, *lines))


def tensor(tensor: Tensor, index: int, place: str, stored: int | None) -> None:
    """Checks one tensor; `stored` is the length of its data, None when it has none."""
    invalid = f"Tensor {index} is invalidly specified in schema.\n"
    shape = tensor.shape
    if len(shape) > MAX_RANK:
        _refuse(invalid, f"{place}.shape: {len(shape)} dimensions, at most {MAX_RANK} are taken")
    count = 1
    for dimension in shape:
        if dimension < 0:
            official = "BytesRequired number of elements overflowed.\n" + invalid
            _refuse(official, f"{place}.shape: {list(shape)}; an unknown dimension is 1 here and -1 in shape_signature")
        count *= dimension
    if tensor.type in _UNSIZED:
        if tensor.is_variable:
            _refuse("String variable tensor isn't supported." + invalid, f"{place}: its type is {tensor.type.name}")
        if stored and tensor.type == TensorType.STRING:
            pass
        return
    needed = tensor.type.nbytes(count)
    if needed >= 2**63 or any(dimension >= 2**31 for dimension in shape):
        official = "BytesRequired number of bytes overflowed.\n" + invalid
        _refuse(official, f"{place}.shape: {list(shape)} of {tensor.type.name} takes {needed} bytes")
    if stored is not None and tensor.sparsity is None and needed > stored:
        _refuse(
            invalid,
            f"{place}.buffer: buffer {tensor.buffer} has {stored} bytes,"
            f" {list(shape)} of {tensor.type.name} needs {needed}",
        )


def model(model: Model) -> None:
    """Checks everything that takes more than one record to see."""
