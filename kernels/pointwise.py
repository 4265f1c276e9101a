"""What the unary families share: one number in, one number out, whatever the shape.

    y[i] = f(x[i])        x, y: any shape, seen as vectors

`each(f)` is the kernel of a scalar function; `floats` lists a float32 op's kernels, one for each numerics.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinyinterp.errors import QuantError
from tinyinterp.schema import TensorType

from .contract import BUILTIN, DELEGATE, REFERENCE, Arg, Call, Kernel, Operand, Shape
from .delegate import EIGHT_BIT, computes, same_type, shaped
from .jit import isa
from .machine import f32, inline

MOST_DIMENSIONS = 6  # of a tensor in the delegate
NOT_DELEGATED = frozenset({REFERENCE, BUILTIN})


# ---------------------------------------------------------------------------------------------------------------- shapes
def same_shape(call: Call) -> tuple[Shape]:
    """The output is like the input, its type too."""
    x, y = call.input(0), call.output
    call.need(x.type == y.type, f"input->type != output->type ({x.type.name} != {y.type.name})")
    return (x.shape,)


# ------------------------------------------------------------------------------------------ settled before the first run
def flat(call: Call) -> tuple[Any, Any]:
    """Input 0 and the output as vectors."""
    return call.input(0).view(call.input(0).size), call.output.view(call.output.size)


def flat_args(call: Call, params: Any) -> tuple[Arg, ...]:
    return flat(call)


def elements(call: Call) -> int:
    """Threads share the elements."""
    return call.output.size


def scale_of(operand: Operand) -> np.float32:
    """The one scale, which must be positive. Raises: QuantError."""
    scale = operand.scale
    if not scale > 0:
        raise QuantError(f"tensor {operand.index} '{operand.name}' has scale {scale}, needs one above 0")
    return scale


def scale_ratio(call: Call) -> np.float32:
    """sx / sy in float32."""
    with np.errstate(over="ignore", under="ignore"):
        return f32(scale_of(call.input(0)) / scale_of(call.output))


def no_zero_points(call: Call) -> None:
    """16-bit tensors are symmetric. Raises: QuantError."""
    x, y = call.input(0), call.output
    if x.zero_point or y.zero_point:
        raise QuantError(f"{call.place}: 16-bit tensors need zero points of 0, have {x.zero_point} and {y.zero_point}")


# --------------------------------------------------------------------------------------------------------------- kernels
@inline
def blocks_end(size: Any, block: Any, begin: Any, end: Any) -> Any:
    """Where in begin to end the whole blocks of a tensor stop and its tail starts."""
    return min(max(size - size % block, begin), end)


def each(f: Callable[..., Any]) -> Callable[..., None]:
    """y = f(x), element by element. The slices tell the compiler that no index counts from the end: without them it would
    not use vectors, or not for tensors that lie next to each other, at ten times the cost."""

    def run(x: Any, y: Any, begin: int, end: int) -> None:
        x, y = x[begin:end], y[begin:end]
        for i in range(y.size):
            y[i] = f(x[i])

    return run


# ------------------------------------------------------------------------------------------------------------ predicates
def is_float(call: Call) -> bool:
    return call.input(0).type == call.output.type == TensorType.FLOAT32


def is_float_avx512(call: Call) -> bool:
    return is_float(call) and isa() == "avx512"


def without_avx512(call: Call) -> bool:
    return is_float(call) and isa() != "avx512"


def is_int8(call: Call) -> bool:
    return call.input(0).type == call.output.type == TensorType.INT8


def is_8bit(call: Call) -> bool:
    return call.input(0).type == call.output.type and call.input(0).type in EIGHT_BIT


def is_int16(call: Call) -> bool:
    return call.input(0).type == call.output.type == TensorType.INT16


def accepted(call: Call) -> bool:
    """The shape is one that the delegate computes; it may come from a run's values."""
    return shaped(call.input(0), 0, MOST_DIMENSIONS)


def delegated_float(call: Call) -> bool:
    """Taken by the delegate as float32 only."""
    return is_float(call) and accepted(call)


def delegated(call: Call) -> bool:
    """Taken by the delegate as float32 and, with one scale, as 8 bits."""
    return computes(call.input(0), call.output) and same_type(call.input(0), call.output) and accepted(call)


# ----------------------------------------------------------------------------------------------------------------- lists
def floats(name: str, reference: Callable[..., Any], delegate: Callable[..., Any],
           avx2: Callable[..., Any] | None = None, builtin: Callable[..., None] | None = None) -> tuple[Kernel, ...]:
    """The float32 kernels of an op: the reference's function, the delegate's, and the delegate's without AVX-512 where
    that is another one. The reference's is the builtin's too, unless that has a kernel of its own."""
    serves = frozenset({REFERENCE}) if builtin else NOT_DELEGATED
    kernels = [Kernel(f"{name}_float32_reference", each(reference), flat_args, serves, is_float, elements)]
    if builtin:
        kernels.append(Kernel(f"{name}_float32_builtin", builtin, flat_args, frozenset({BUILTIN}), is_float, elements))
    when = is_float_avx512 if avx2 else is_float
    kernels.append(Kernel(f"{name}_float32_delegate", each(delegate), flat_args, frozenset({DELEGATE}), when, elements))
    if avx2:
        kernels.append(Kernel(f"{name}_float32_delegate_avx2", each(avx2), flat_args, frozenset({DELEGATE}), without_avx512,
                              elements))
    return tuple(kernels)
