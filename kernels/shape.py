"""SHAPE: the dimensions of a tensor, as a vector of int32 or int64.

    x: [d0, d1, …] of any type    y: [rank]

Shapes are settled before the first run, so its value is known then and nothing is left to run: operators that compute
other shapes from it are computed at lowering too.

Source: LiteRT tflite/kernels/shape.cc.
"""

from __future__ import annotations

import numpy as np

from tinyinterp.schema import BuiltinOperator, TensorType

from .contract import Call, Op, Shape


def infer(call: Call) -> tuple[Shape]:
    wanted = call.options.out_type
    call.need(wanted in (TensorType.INT32, TensorType.INT64), f"Unknown shape output data type: {wanted.name}")
    call.need(call.output.type == wanted, f"the output is {call.output.type.name}, not {wanted.name}")
    return ((len(call.input(0).shape),),)


def known(call: Call) -> tuple[np.ndarray, ...]:
    value = np.array(call.input(0).shape, call.output.dtype)
    value.flags.writeable = False
    return (value,)


SHAPE = Op(BuiltinOperator.SHAPE, (1, 1), (1, 1), ("any",), infer, (), "LiteRT tflite/kernels/shape.cc", known=known)
