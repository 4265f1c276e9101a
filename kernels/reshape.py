"""RESHAPE, SQUEEZE, EXPAND_DIMS: the same bytes under another shape.

They cost nothing: the output becomes an alias of the input in the arena. Only where a caller could tell (an input of the
model that is also an output) does `copy` run.

Source: LiteRT tflite/kernels/reshape.cc, squeeze.cc, expand_dims.cc.
"""

from __future__ import annotations

import math
from typing import Any

from tinyinterp.schema import BuiltinOperator, TensorType

from .contract import Arg, Call, Kernel, Op, Shape
from .movement import same_quantization, scalar


def kept(call: Call) -> None:
    """Raises: ShapeError when the output has another type: the bytes stay, so must what they mean."""
    x, y = call.input(0), call.output
    call.need(x.type == y.type, f"the input is {x.type.name}, the output {y.type.name}")


def reshaped(call: Call) -> tuple[Shape]:
    """RESHAPE: from input 1 if it is a vector of int32, else from the options; one -1 is what is left over."""
    kept(call)
    x = call.input(0)
    given = call.optional(1)
    if given is not None and len(given.shape) == 1 and given.type == TensorType.INT32:
        wanted = [int(d) for d in call.value(1)]
    else:
        wanted = [int(d) for d in (call.options.new_shape or ())]
        if wanted == [0]:  # how old converters wrote a scalar
            wanted = []
    call.need(wanted.count(-1) <= 1 and min(wanted, default=0) >= -1, f"new shape {wanted} has more than one unknown")
    if -1 in wanted:  # dimensions of 0 are left out of the division
        known = math.prod(d for d in wanted if d not in (0, -1))
        wanted[wanted.index(-1)] = 0 if x.size == 0 and 0 not in wanted else math.prod(d for d in x.shape if d) // known
    size = math.prod(wanted)
    call.need(size == x.size, f"num_input_elements != num_output_elements ({x.size} != {size}): {list(x.shape)} to {wanted}")
    return (tuple(wanted),)


def squeezed(call: Call) -> tuple[Shape]:
    """SQUEEZE: without the listed dimensions of size 1, or without all of them."""
    kept(call)
    shape, dims = call.input(0).shape, call.options.squeeze_dims or ()
    axes = {d + len(shape) if d < 0 else d for d in map(int, dims)}
    call.need(all(0 <= a < len(shape) and shape[a] == 1 for a in axes), f"dimensions {list(dims)} of {list(shape)} are not all 1")
    return (tuple(d for i, d in enumerate(shape) if not (i in axes if axes else d == 1)),)


def expanded(call: Call) -> tuple[Shape]:
    """EXPAND_DIMS: one more dimension of size 1, before axis input 1."""
    shape, axis = call.input(0).shape, scalar(call, 1, "axis")
    kept(call)
    same_quantization(call, call.input(0))
    call.need(-len(shape) - 1 <= axis <= len(shape), f"axis {axis} is outside a shape of {len(shape)} dimensions")
    axis += len(shape) + 1 if axis < 0 else 0
    return ((*shape[:axis], 1, *shape[axis:]),)


def first_input(call: Call) -> int:
    return 0


def args(call: Call, params: None) -> tuple[Arg, ...]:
    return call.input(0).view(call.input(0).size), call.output.view(call.input(0).size)


def copy(x: Any, y: Any) -> None:
    """Byte for byte."""
    for i in range(x.size):
        y[i] = x[i]


COPY = (Kernel("copy", copy, args), Kernel("copy_strings", copy, args, host=True))
ANY = ("any",)

RESHAPE = Op(BuiltinOperator.RESHAPE, (1, 2), (1, 1), ANY, reshaped, COPY, "LiteRT tflite/kernels/reshape.cc", alias=first_input)
SQUEEZE = Op(BuiltinOperator.SQUEEZE, (1, 1), (1, 1), ANY, squeezed, COPY, "LiteRT tflite/kernels/squeeze.cc", alias=first_input)
EXPAND_DIMS = Op(BuiltinOperator.EXPAND_DIMS, (2, 2), (1, 1), ANY, expanded, COPY, "LiteRT tflite/kernels/expand_dims.cc",
                 alias=first_input)
