"""What the official default delegate takes: the rules that many ops share.

In default numerics an operator runs in the delegate's arithmetic when the delegate would take it, else in the builtin
kernels'. Each op's `delegated(call)` combines these predicates.
Source: LiteRT tflite/delegates/xnnpack/xnnpack_delegate.cc (Visit…Node, CheckTensor…).
"""

from __future__ import annotations

import numpy as np

from tinyinterp.schema import TensorType

from .contract import Operand
from .machine import f32

EIGHT_BIT = (TensorType.INT8, TensorType.UINT8)


def computes(*operands: Operand | None) -> bool:
    """Each is float32, or 8-bit with one scale (none of them missing)."""
    return all(o is not None and (o.type == TensorType.FLOAT32 or per_tensor(o)) for o in operands)


def per_tensor(operand: Operand) -> bool:
    """8-bit with exactly one scale."""
    return operand.type in EIGHT_BIT and len(operand.quantization.scale) == 1 and operand.quantization.axis == 0


def stored(*operands: Operand | None) -> bool:
    """Each comes from the file (or is a float16 or sparse constant made dense)."""
    return all(o is not None and o.fixed for o in operands)


def shaped(operand: Operand, least: int, most: int) -> bool:
    """The rank is in [least, most] and no dimension is 0."""
    return least <= len(operand.shape) <= most and all(d > 0 for d in operand.shape)


def same_type(*operands: Operand) -> bool:
    return len({o.type for o in operands}) == 1


def multiplied(x: Operand, w: Operand, y: Operand, *narrow: TensorType) -> bool:
    """All of one type; or float32 by int8, or by one of the types in `narrow`: x is quantized on the run."""
    return same_type(x, w, y) or (x.type == y.type == TensorType.FLOAT32 and w.type in (TensorType.INT8, *narrow))


def ratio_within(x: Operand, y: Operand, least: float, most: float) -> bool:
    """8-bit tensors of one type: least <= sx / sy < most, in float32; anything else passes."""
    if x.type != y.type or x.type not in EIGHT_BIT:
        return True
    return bool(f32(least) <= f32(x.scale / y.scale) < f32(most))


def product_ratio_within(a: Operand, b: Operand, y: Operand, least: float, most: float) -> bool:
    """8-bit tensors of one type: least <= sa * sb / sy < most, in float32; anything else passes."""
    if not (a.type == b.type == y.type) or a.type not in EIGHT_BIT:
        return True
    return bool(f32(least) <= f32(f32(a.scale * b.scale) / y.scale) < f32(most))


def channelwise(w: Operand, axis: int, channels: int) -> bool:
    """Weights of a convolution: float32; int8 or int4 with one zero-point-free scale, or one for each channel along `axis`;
    uint8 with one scale."""
    if w.type == TensorType.FLOAT32:
        return True
    if w.type == TensorType.UINT8:
        return per_tensor(w)
    if w.type not in (TensorType.INT8, TensorType.INT4) or not w.quantized:
        return False
    scales = len(w.quantization.scale)
    zero = not w.quantization.zero_point.any()
    return zero and (scales == 1 or (scales == channels and w.quantization.axis == axis))


def biased(bias: Operand | None) -> bool:
    """A stored vector of float32 or quantized int32."""
    if bias is None or not bias.fixed or not shaped(bias, 1, 1):
        return False
    return bias.type == TensorType.FLOAT32 or (bias.type == TensorType.INT32 and bias.quantized
                                               and bias.quantization.axis == 0)


def requantizable(x: Operand, w: Operand, y: Operand) -> bool:
    """8-bit sums of products: every (sx * sw) / sy is below 256 in float32. Beyond that the official default refuses the
    whole model; here the operator runs in the builtin's arithmetic. Anything but 8 bits passes."""
    if w.type not in EIGHT_BIT or not (x.quantized and y.quantized):
        return True
    scales = np.asarray(w.quantization.scale, np.float32)
    return bool(np.all(x.scale * scales / y.scale < f32(256)))
