"""TRANSPOSE, DEPTH_TO_SPACE, SPACE_TO_DEPTH: the axes change places.

    TRANSPOSE        y[i[perm[0]], i[perm[1]], …] = x[i[0], i[1], …]          perm: [rank] int32
    DEPTH_TO_SPACE   y[n, h * B + p, w * B + q, c] = x[n, h, w, (p * B + q) * C + c]
    SPACE_TO_DEPTH   y[n, h, w, (p * B + q) * C + c] = x[n, h * B + p, w * B + q, c]

The latter two are transposes of six axes, n h p w q c and n h w p q c, seen with four.

Source: LiteRT tflite/kernels/transpose.cc, depth_to_space.cc, space_to_depth.cc.
"""

from __future__ import annotations

from typing import Any

from tinyinterp.schema import BuiltinOperator, TensorType

from .block_copy import block_copy
from .contract import Arg, Call, Kernel, Op, Shape
from .movement import BYTES, SIZED, Steps, copy_args, integers, names, of_types, steps, strided_copy, strides

BLOCK_TYPES = (TensorType.FLOAT32, *BYTES, TensorType.INT32, TensorType.INT64)
MOST_DIMENSIONS = 8


# ---------------------------------------------------------------------------------------------------------- shapes
def permutation(call: Call) -> list[int]:
    """Input 1, counted from the front. An axis named twice, which official kernels let pass, would read outside x."""
    rank = len(call.input(0).shape)
    perm = integers(call, 1, "perm", "i4")
    call.need(len(perm) == rank, f"perm has {len(perm)} values for {rank} dimensions")
    call.need(rank <= MOST_DIMENSIONS, "Transpose op only supports 1D-8D input arrays.")
    call.need(all(-rank <= p < rank for p in perm), f"Transpose op permutations array is out of bounds: {perm}")
    perm = [p % rank for p in perm]
    call.need(len(set(perm)) == rank, f"perm {perm} names an axis twice")
    return perm


def transposed(call: Call) -> tuple[Shape]:
    shape = call.input(0).shape
    return (tuple(shape[p] for p in permutation(call)),)


def block(call: Call) -> int:
    """The block size of an operator on [N, H, W, C]."""
    x, size = call.input(0), int(call.options.block_size)
    call.need(len(x.shape) == 4, f"NumDimensions(input) != 4 ({len(x.shape)} != 4)")
    call.need(size > 0, f"block size {size} is not positive")
    return size


def to_space(call: Call) -> tuple[Shape]:
    b, (n, h, w, c) = block(call), call.input(0).shape
    call.need(c % (b * b) == 0, f"{c} channels do not divide into blocks of {b} * {b}")
    return ((n, h * b, w * b, c // (b * b)),)


def to_depth(call: Call) -> tuple[Shape]:
    b, (n, h, w, c) = block(call), call.input(0).shape
    call.need(h % b == 0 and w % b == 0, f"an image of {h} by {w} does not divide into blocks of {b} by {b}")
    return ((n, h // b, w // b, c * b * b),)


# ---------------------------------------------------------------------------------------- settled before the first run
def permuted(shape: Shape, perm: list[int]) -> Steps:
    """Walk y in order, x by the steps of the axes it comes from."""
    x_steps = strides(shape)
    sizes = [shape[p] for p in perm]
    return steps(sizes, [x_steps[p] for p in perm], strides(sizes))


def transpose_steps(call: Call) -> Steps:
    return permuted(call.input(0).shape, permutation(call))


def to_space_steps(call: Call) -> Steps:
    b, (n, h, w, c) = block(call), call.input(0).shape
    return permuted((n, h, w, b, b, c // (b * b)), [0, 1, 3, 2, 4, 5])


def to_depth_steps(call: Call) -> Steps:
    b, (n, h, w, c) = block(call), call.input(0).shape
    return permuted((n, h // b, b, w // b, b, c), [0, 1, 3, 2, 4, 5])


def args(call: Call, nest: Steps) -> tuple[Arg, ...]:
    return copy_args(call.input(0), call.output, nest)


# -------------------------------------------------------------------------------------------------------------- op
def op(code: BuiltinOperator, inputs: int, types: tuple[TensorType, ...], infer: Any, nest: Any, spec: str,
       crosses: bool = False) -> Op:
    def rows(call: Call) -> int:
        return int(nest(call).rows)

    def still(call: Call) -> int | None:
        """Only axes of size 1 move: the output is the input."""
        if call.input(0).known is not None or call.output.size == 0 or not of_types(types)(call):
            return None
        walk = nest(call)
        return 0 if walk.rows == 1 and walk.table[-1, 0] == call.output.size and walk.table[-1, 1] == 1 else None

    return Op(code, (inputs, inputs), (1, 1), names(types), infer,
              (block_copy(code.name.lower(), of_types(types), nest),
               Kernel(code.name.lower(), strided_copy, args, when=of_types(types), split=rows),),
              f"LiteRT tflite/kernels/{spec}", prepare=nest, alias=still, crosses=crosses)


TRANSPOSE = op(BuiltinOperator.TRANSPOSE, 2, SIZED, transposed, transpose_steps, "transpose.cc", crosses=True)
DEPTH_TO_SPACE = op(BuiltinOperator.DEPTH_TO_SPACE, 1, BLOCK_TYPES, to_space, to_space_steps, "depth_to_space.cc")
SPACE_TO_DEPTH = op(BuiltinOperator.SPACE_TO_DEPTH, 1, BLOCK_TYPES, to_depth, to_depth_steps, "space_to_depth.cc")
