"""RESHAPE, SQUEEZE, EXPAND_DIMS: the same bytes under another shape.

They cost nothing: the output becomes an alias of the input in the arena. Only where a caller could tell (an input of the
model that is also an output) does `copy` run.

Source: LiteRT tflite/kernels/reshape.cc, squeeze.cc, expand_dims.cc.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinyinterp.schema import BuiltinOperator

from .contract import Arg, Call, Kernel, Op, Shape


def reshaped(call: Call) -> tuple[Shape]:
    """RESHAPE: from input 1 if it is a vector, else from the options; one -1 is what is left over."""
    x = call.input(0)
    given = call.optional(1)
    if given is not None and len(given.shape) == 1:
        wanted = [int(d) for d in call.value(1)]
    else:
        wanted = [int(d) for d in (call.options.new_shape or ())]
        if wanted == [0]:  # how old converters wrote a scalar
            wanted = []
    call.need(wanted.count(-1) <= 1 and min(wanted, default=0) >= -1, f"new shape {wanted} has more than one unknown")
    size = int(np.prod([d for d in wanted if d != -1], dtype=object)) if wanted else 1
    if -1 in wanted:
        call.need(size > 0 and x.size % size == 0, f"{x.size} values do not divide into {wanted}")
        wanted[wanted.index(-1)] = x.size // size
        size = x.size
    call.need(size == x.size, f"num_input_elements != num_output_elements ({x.size} != {size}): {list(x.shape)} to {wanted}")
    return (tuple(wanted),)


def squeezed(call: Call) -> tuple[Shape]:
    """SQUEEZE: without the listed dimensions of size 1, or without all of them."""
    shape, dims = call.input(0).shape, call.options.squeeze_dims or ()
    axes = {d + len(shape) if d < 0 else d for d in map(int, dims)}
    call.need(all(0 <= a < len(shape) and shape[a] == 1 for a in axes), f"dimensions {list(dims)} of {list(shape)} are not all 1")
    return (tuple(d for i, d in enumerate(shape) if not (i in axes if axes else d == 1)),)


def expanded(call: Call) -> tuple[Shape]:
    """EXPAND_DIMS: one more dimension of size 1, before axis input 1."""
    shape, axes = call.input(0).shape, call.value(1)
    call.need(axes.size == 1, f"axis has {axes.size} values, needs one")
    axis = int(axes.reshape(-1)[0])
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
