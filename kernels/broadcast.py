"""Two operands, element by element: the shapes and the loop that ADD, SUB, MUL, DIV, MAXIMUM … share.

    y[i] = element(a[i], b[i])      a and b stretched to one shape: a dimension of 1 repeats, missing ones come in front

        a  [8, 1, 6, 5]                     loops, innermost first:   size      30    7    8
        b     [7, 1, 1]    y [8, 7, 6, 5]                             step of a  1    0   30
                                                                      step of b  0    1    0

Neighbouring dimensions that move alike are one loop, so that most calls are a single run over memory. A kernel is made
from one function of two numbers and `p`, the numbers that the call settles: the clamp of the fused activation, and
multipliers, shifts and zero points when quantized.

Source: LiteRT tflite/kernels/kernel_util.cc CalculateShapeForBroadcast, internal/reference/broadcast_loop.h,
internal/reference/process_broadcast_shapes.h, internal/optimized/optimized_ops.h BinaryBroadcastFiveFold.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinyinterp.errors import QuantError
from tinyinterp.schema import Activation, TensorType

from .contract import Arg, Call, Operand, Shape
from .delegate import same_type, shaped
from .machine import inline
from .numerics import BOUNDS, float_range

MOST_LOOPS = 8  # dimensions of a broadcast in the official kernels


# ---------------------------------------------------------------------------------------------------------- shapes
def stretched(call: Call, a: Shape, b: Shape) -> Shape:
    """The shape that both broadcast to. Raises: ShapeError."""
    rank = max(len(a), len(b))
    wide_a, wide_b = (1,) * (rank - len(a)) + a, (1,) * (rank - len(b)) + b
    call.need(all(p == q or p == 1 or q == 1 for p, q in zip(wide_a, wide_b)),
              f"Given shapes, {list(a)} and {list(b)}, are not broadcastable.")
    call.need(a == b or rank <= MOST_LOOPS, f"a broadcast of {rank} dimensions, at most {MOST_LOOPS} are possible")
    return tuple(0 if 0 in (p, q) else max(p, q) for p, q in zip(wide_a, wide_b))


def infer(call: Call) -> tuple[Shape]:
    a, b, y = call.input(0), call.input(1), call.output
    call.need(same_type(a, b), f"input types {a.type.name} and {b.type.name} differ")
    call.need(same_type(a, y), f"output type {y.type.name} is not the inputs' {a.type.name}")
    return (stretched(call, a.shape, b.shape),)


def loops(a: Shape, b: Shape) -> np.ndarray:
    """Sizes and steps of the loops, innermost first: [3, loops] int64, rows size, step of a, step of b."""
    rank = max(len(a), len(b))
    found: list[list[int]] = []
    far_a = far_b = 1  # elements from one index of this dimension to the next, where the operand is not stretched
    for p, q in zip(reversed((1,) * (rank - len(a)) + a), reversed((1,) * (rank - len(b)) + b)):
        size = max(p, q)
        if size != 1:
            step_a, step_b = (0 if p == 1 else far_a), (0 if q == 1 else far_b)
            inner = found[-1] if found else None
            if inner and step_a == inner[0] * inner[1] and step_b == inner[0] * inner[2]:
                inner[0] *= size
            else:
                found.append([size, step_a, step_b])
        far_a, far_b = far_a * p, far_b * q
    return np.array(found or [[1, 1, 1]], np.int64).T


def five_fold(table: np.ndarray) -> bool:
    """Whether the optimised builtins run this broadcast in their five nested loops, with their vector code inside.

    From the inside: both move, one operand repeats, both move, the other repeats, both move; each may be missing.
    """
    pattern = ["both", "first", "both", "second", "both"]
    steps = ["both" if a and b else "b" if b else "a" for _, a, b in table.T.tolist()]
    moving = next((s for s in steps if s != "both"), "both")
    at = 0
    for step in steps:
        kind = step if step == "both" else "first" if step == moving else "second"
        while at < len(pattern) and pattern[at] != kind:
            at += 1
        if at == len(pattern):
            return False
        at += 1
    return True


# ---------------------------------------------------------------------------------------- settled before the first run
def binary_args(call: Call, p: np.ndarray) -> tuple[Arg, ...]:
    """What a kernel made here takes: both operands and the output as flat arrays, the loops, the numbers."""
    a, b, y = call.input(0), call.input(1), call.output
    return a.view(a.size), b.view(b.size), loops(a.shape, b.shape), p, y.view(y.size)


def float_args(call: Call, params: None) -> tuple[Arg, ...]:
    """p: lo, hi as float32."""
    return binary_args(call, np.array(float_range(activation(call), call), np.float32))


def plain_args(call: Call, params: None) -> tuple[Arg, ...]:
    """For integers without scales. p: lo, hi."""
    lo, hi = BOUNDS[activation(call)]
    info = np.iinfo(call.output.dtype)
    return binary_args(call, np.array([max(lo, info.min), min(hi, info.max)] if lo != -np.inf or hi != np.inf
                                      else [info.min, info.max], object).astype(np.int64))


def bare_args(call: Call, params: None) -> tuple[Arg, ...]:
    """For an op without numbers: p is not read."""
    return binary_args(call, np.zeros(1, np.int64))


def activation(call: Call) -> Activation:
    """The fused activation. Raises: ShapeError for one that no official kernel fuses."""
    fused: Activation = call.options.fused_activation_function
    call.need(fused in BOUNDS, f"fused activation {fused!r} is not NONE, RELU, RELU_N1_TO_1 or RELU6")
    return fused


def below_one(call: Call, scale: float, other: float) -> float:
    """scale / other, which the official kernels insist to be a fraction. Raises: QuantError."""
    if not 0.0 < scale < other:
        raise QuantError(f"{call.place}: the scales give a factor of {scale:g} / {other:g}, it must lie between 0 and 1")
    return scale / other


def divisor(call: Call, operand: Operand) -> np.float32:
    """A scale that others are divided by. Raises: QuantError."""
    if not operand.scale > 0:
        raise QuantError(f"{call.place}: tensor {operand.index} '{operand.name}' needs a scale above 0, has {operand.scale}")
    return operand.scale


def elements(call: Call) -> int:
    """Threads share the elements of the output."""
    return call.output.size


# --------------------------------------------------------------------------------------------------------- kernels
@inline
def offset(row: Any, table: Any, operand: Any) -> Any:
    """Where an operand stands at the start of a row, a turn of the innermost loop."""
    at, last = 0, table.shape[1] - 1
    for d in range(1, last):
        at += row % table[0, d] * table[operand, d]
        row = row // table[0, d]
    return at + row * table[operand, last] if last > 0 else at


def elementwise(element: Callable[..., Any]) -> Callable[..., None]:
    """The kernel that applies `element(a, b, p)`, to elements begin to end of y."""

    def run(a: Any, b: Any, table: Any, p: Any, y: Any, begin: int, end: int) -> None:
        size, step_a, step_b = table[0, 0], table[1, 0], table[2, 0]
        at = begin
        while at < end:
            row = at // size
            first = at - row * size
            n = min(size - first, end - at)
            from_a = offset(row, table, 1) + first * step_a
            from_b = offset(row, table, 2) + first * step_b
            ys = y[at : at + n]
            if step_a != 0 and step_b != 0:
                xs, ws = a[from_a : from_a + n], b[from_b : from_b + n]
                for i in range(n):
                    ys[i] = element(xs[i], ws[i], p)
            elif step_a != 0:
                xs, one = a[from_a : from_a + n], b[from_b]
                for i in range(n):
                    ys[i] = element(xs[i], one, p)
            else:
                one, ws = a[from_a], b[from_b : from_b + n]
                for i in range(n):
                    ys[i] = element(one, ws[i], p)
            at += n

    return run


def in_blocks(vector: Callable[..., Any], rest: Callable[..., Any]) -> Callable[..., None]:
    """The kernel of an optimised builtin whose vector code rounds in its own way: in each turn of the innermost loop the
    first p[-1] elements, whole vectors, are `vector(a, b, p)`, the others `rest(a, b, p)`."""

    def run(a: Any, b: Any, table: Any, p: Any, y: Any, begin: int, end: int) -> None:
        size, step_a, step_b = table[0, 0], table[1, 0], table[2, 0]
        whole = p[p.size - 1]
        at = begin
        while at < end:
            row = at // size
            first = at - row * size
            n = min(size - first, end - at)
            from_a = offset(row, table, 1)
            from_b = offset(row, table, 2)
            for i in range(first, min(first + n, whole)):
                y[row * size + i] = vector(a[from_a + i * step_a], b[from_b + i * step_b], p)
            for i in range(max(first, whole), first + n):
                y[row * size + i] = rest(a[from_a + i * step_a], b[from_b + i * step_b], p)
            at += n

    return run


# -------------------------------------------------------------------------------------------------------------- op
def of_types(*types: TensorType) -> Callable[[Call], bool]:
    """The predicate of a kernel for these types (all operands have one, see `infer`)."""
    return lambda call: call.input(0).type in types


is_float = of_types(TensorType.FLOAT32)
is_8bit = of_types(TensorType.INT8, TensorType.UINT8)
is_wide = of_types(TensorType.INT32)
is_widest = of_types(TensorType.INT64)


def operands(call: Call) -> tuple[Operand, Operand, Operand]:
    return call.input(0), call.input(1), call.output


def takes_shapes(call: Call) -> bool:
    """The delegate's rule for every binary operator: at most 6 dimensions, none of them 0."""
    return shaped(call.input(0), 0, 6) and shaped(call.input(1), 0, 6)
