"""Tensors and operators as the dictionaries that tf.lite gives: the keys, their order, the types.

Source: google-ai-edge/LiteRT, tflite/python/interpreter.py (_get_tensor_details, _get_op_details), interpreter_wrapper.cc
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .graph import Graph
from .schema import DimensionType, Quantization, Sparsity
from .values import dtype_of


def tensor_details(graph: Graph, t: int, shape: Sequence[int], compress: bool = False) -> dict[str, Any]:
    """What get_input_details() and the like say about tensor `t`. Every array is a fresh copy."""
    tensor = graph.tensors[t]
    scales, zero_points, axis, block = _parameters(graph, tensor.quantization, compress)
    one = len(scales) == len(zero_points) == 1 and not block
    return {
        "name": tensor.name,
        "index": t,
        "shape": np.array(shape, np.int32),
        "shape_signature": np.array(tensor.shape_signature or shape, np.int32),
        "dtype": dtype_of(tensor.type),
        "quantization": (float(scales[0]), int(zero_points[0])) if one else (0.0, 0),
        "quantization_parameters": {
            "scales": scales,
            "zero_points": zero_points,
            "quantized_dimension": axis,
            "block_size": block,
        },
        "sparsity_parameters": _sparsity(tensor.sparsity),
    }


def _parameters(graph: Graph, quantization: Quantization, compress: bool) -> tuple[np.ndarray, np.ndarray, int, int]:
    if quantization.block_scales is not None:
        scales = _constant(graph, quantization.block_scales, np.float16)
        zeros = _constant(graph, quantization.block_zero_points, np.int32)
        return scales, zeros, quantization.axis, quantization.block_size
    zero_points = quantization.zero_point.astype(np.int32)
    if compress and len(zero_points) and not (zero_points != zero_points[0]).any():
        zero_points = zero_points[:1]
    axis = quantization.axis if len(quantization.scale) else 0
    return quantization.scale.astype(np.float32), zero_points, axis, 0


def _constant(graph: Graph, t: int | None, dtype: Any) -> np.ndarray:
    value = None if t is None else graph.constants.get(t)
    return np.zeros(0, dtype) if value is None else value.reshape(-1).astype(dtype)


def _sparsity(sparsity: Sparsity | None) -> dict[str, Any]:
    if sparsity is None:
        return {}
    levels: list[dict[str, Any]] = []
    for level in sparsity.levels:
        if level.format == DimensionType.DENSE:
            levels.append({"format": 0, "dense_size": level.dense_size})
        else:
            segments, indices = level.segments.astype(np.int32), level.indices.astype(np.int32)
            levels.append({"format": 1, "array_segments": segments, "array_indices": indices})
    return {
        "traversal_order": np.array(sparsity.traversal_order, np.int32),
        **({"block_map": np.array(sparsity.block_map, np.int32)} if sparsity.block_map else {}),
        "dim_metadata": levels,
    }


def op_details(graph: Graph, i: int) -> dict[str, Any]:
    """What _get_op_details() says about operator `i`: operands left out are -1 and have no type."""
    operator = graph.operators[i].operator

    def types(tensors: Sequence[int]) -> list[type[Any]]:
        return [dtype_of(graph.tensors[t].type) for t in tensors if t != -1]

    return {
        "index": i,
        "op_name": operator.name,
        "inputs": np.array(operator.inputs, np.int32),
        "outputs": np.array(operator.outputs, np.int32),
        "operand_types": types(operator.inputs),
        "result_types": types(operator.outputs),
    }
