"""Values in and out of tensors: what may be written into one, and what reading one gives.

Nothing is cast: the wrong type, rank or size is an error that names the tensor and the way to repair it. Four-bit and two-bit
tensors are unpacked to one element a byte; strings are arrays of bytes objects.

Source: google-ai-edge/LiteRT, tflite/python/interpreter_wrapper/interpreter_wrapper.cc (SetTensor, GetTensor), numpy.cc
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .errors import TensorError, hint
from .schema import Tensor, TensorType

_PACKED = {TensorType.INT4: np.int8, TensorType.UINT4: np.uint8, TensorType.INT2: np.int8}
_BYTES = (TensorType.FLOAT8_E4M3FN, TensorType.FLOAT8_E5M2)
_LIMITS = {TensorType.INT4: (-8, 7), TensorType.UINT4: (0, 15), TensorType.INT2: (-2, 1)}


def dtype_of(kind: TensorType) -> type[Any]:
    """The NumPy scalar type under which a tensor is read: `np.int8` also for int4, `np.bytes_` for strings."""
    if kind.numpy is not None:
        return kind.numpy.type
    if kind == TensorType.STRING:
        return np.bytes_
    if kind in (TensorType.RESOURCE, TensorType.VARIANT):
        return np.object_
    if kind == TensorType.BFLOAT16:
        return np.uint16  # its bits: NumPy has no such type of its own
    return _PACKED.get(kind, np.int8)


def type_of(array: np.ndarray) -> str:
    """The tensor type of an array's elements, in tf.lite's word for it."""
    if array.dtype.kind in "OSU":
        return "STRING"
    name = array.dtype.name.upper()
    return name if name in TensorType.__members__ else "NOTYPE"


def accept(value: Any, tensor: Tensor, t: int, shape: Sequence[int]) -> np.ndarray:
    """`value` as an array for tensor `t` of this shape: flat packed bytes for packed types, bytes objects for strings.

    Raises: TensorError when its type, rank or a dimension is not the tensor's.
    """
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise TensorError(hint("Failed to convert value into readable tensor.", str(error))) from error
    if tensor.type in _PACKED:
        return _packed(array, tensor, t, shape)
    found, wanted = type_of(array), tensor.type.name
    if found != wanted and not (tensor.type in _BYTES and found in ("INT8", "UINT8")):
        raise TensorError(hint(f"Cannot set tensor: Got value of type {found} but expected type {wanted} for input {t}, "
                               f"name: {tensor.name} ", _type_hint(array, tensor, t)))
    _fit(array, tensor, t, shape)
    if tensor.type == TensorType.STRING:
        return _strings(value, array)
    if tensor.type.numpy is None:
        return np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    return array


def _fit(array: np.ndarray, tensor: Tensor, t: int, shape: Sequence[int]) -> None:
    where = f"tensor {t} '{tensor.name}' has shape {list(shape)}, the value {list(array.shape)}"
    if array.ndim != len(shape):
        batch = len(shape) > 0 and shape[0] == 1 and array.shape == tuple(shape[1:])
        more = ("value[np.newaxis] adds the batch dimension",) if batch else ()
        raise TensorError(hint(f"Cannot set tensor: Dimension mismatch. Got {array.ndim} but expected {len(shape)} "
                               f"for input {t}.", where, *more))
    for i, (have, want) in enumerate(zip(array.shape, shape)):
        if have != want:
            raise TensorError(hint(f"Cannot set tensor: Dimension mismatch. Got {have} but expected {want} for dimension {i} "
                                   f"of input {t}.", where, "to change an input's shape: interpreter.resize_tensor_input("
                                   f"{t}, {list(array.shape)}), then interpreter.allocate_tensors()"))


def _type_hint(array: np.ndarray, tensor: Tensor, t: int) -> str:
    name = dtype_of(tensor.type).__name__
    scale, zero_point = tensor.quantization.scale, tensor.quantization.zero_point
    head = f"tensor {t} '{tensor.name}' is {tensor.type.name.lower()}{list(tensor.shape)}"
    if array.dtype.kind == "f" and len(scale) == 1 and name in ("int8", "uint8", "int16"):
        info = np.iinfo(name)
        size, zero = f"{float(scale[0]):.9g}", int(zero_point[0])
        return (f"{head} with real = {size} * (q - {zero}); quantize first: "
                f"np.clip(np.round(value / {size}) + {zero}, {info.min}, {info.max}).astype(np.{name})")
    if array.dtype.kind in "OSU" or tensor.type == TensorType.STRING or tensor.type.numpy is None:
        return head
    return f"{head}; nothing is cast: value.astype(np.{name}) if that is meant"


def _packed(array: np.ndarray, tensor: Tensor, t: int, shape: Sequence[int]) -> np.ndarray:
    kind, dtype = tensor.type, np.dtype(_PACKED[tensor.type])
    if array.dtype != dtype:
        raise TensorError(hint(f"Cannot set tensor: Expected a numpy array of {dtype} for {kind.name} input {t}, "
                               f"name: {tensor.name}, but got {type_of(array)}", "one element a byte, unpacked"))
    size = int(np.prod(shape, dtype=np.int64))
    if array.size != size:
        raise TensorError(hint(f"Cannot set tensor: Numpy array for {kind.name} input {t}, name: {tensor.name}, has {array.size} "
                               f"bytes, but expected {size} bytes for {size} elements", f"its shape is {list(shape)}"))
    low, high = _LIMITS[kind]
    if array.size and (array.min() < low or array.max() > high):
        raise TensorError(hint(f"Cannot set tensor: Values for {kind.name} input must be between {low} and {high}.",
                               f"tensor {t} '{tensor.name}': found {array.min()} to {array.max()}"))
    bits = kind.bits or 8
    per = 8 // bits
    flat = array.reshape(-1).astype(np.int64) & (2**bits - 1)
    groups = np.pad(flat, (0, -len(flat) % per)).reshape(-1, per)
    return np.asarray((groups << (bits * np.arange(per))).sum(axis=1), np.uint8)


def _strings(value: Any, array: np.ndarray) -> np.ndarray:
    if not isinstance(value, np.ndarray):
        raise TensorError(hint(f"Passed in value type is not a numpy array, got type {type(value).__name__}.",
                               "np.array(value) for strings of any length"))
    if array.ndim == 0 and array.dtype.kind == "S":
        items: list[Any] = [array.tobytes()]  # with the NULs at its end, which .item() would take off
    else:
        items = array.reshape(-1).tolist()
    made = np.empty(len(items), object)
    for i, item in enumerate(items):
        if not isinstance(item, (str, bytes)):
            why = f"element {i} is {type(item).__name__}, not str or bytes"
            raise TensorError(hint("PyBytes_AsStringAndSize() failed.", why))
        made[i] = item.encode() if isinstance(item, str) else item
    return made.reshape(array.shape)


def unpacked(raw: np.ndarray, kind: TensorType, shape: Sequence[int]) -> np.ndarray:
    """The elements of a packed tensor, one a byte, from its bytes.

    >>> unpacked(np.array([0xE1], np.uint8), TensorType.INT4, (2,))
    array([ 1, -2], dtype=int8)
    """
    bits = kind.bits or 8
    if bits in (8, 16):
        return np.asarray(raw.view(np.int8 if bits == 8 else np.uint16).reshape(shape))
    per = 8 // bits
    parts = (raw[:, None] >> (bits * np.arange(per, dtype=np.uint8))) & (2**bits - 1)
    flat = np.asarray(parts.astype(np.uint8).reshape(-1)[: int(np.prod(shape, dtype=np.int64))])
    if kind == TensorType.UINT4:
        return flat.reshape(shape)
    sign = np.uint8(8 - bits)
    return np.asarray(((flat << sign).view(np.int8) >> np.int8(8 - bits)).reshape(shape))
