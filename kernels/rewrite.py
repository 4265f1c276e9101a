"""Rewrites: where the official default delegate computes two operators in one step and the bytes show it.

    SUM, MEAN of SQUARE(x) or MUL(x, x)                     the squares of x are added as they are made: float32
    RELU, RELU6, RELU_N1_TO_1, MAXIMUM, MINIMUM of a pool   its own clamp takes the bounds over: -0 becomes 0; float32

The delegate rewrites every graph that it is given, one for each partition. A pair as above always lies in one partition,
since the second operator has no other computed operand. A square may have other readers too, and is then computed as
well; a pool has none and is no output of the graph.

`lower` asks for each delegated operator (TINYINTERP_REWRITES without `merge`: never); what comes back is one Call with the
other one in `merged`, and `print(plan)` shows both names.

The delegate has more rewrites, and these change no bytes, as measured with NaN, infinities, -0 and denormals: squares alone,
transposed operands of a matrix product, padding that a convolution takes over, chains of 8-bit operators as one table,
clamps that go into convolutions. Two clamps in a row become one, which shows in zeros where the bounds do not overlap
(MINIMUM(x, -3), then RELU: -0 stays), and where a bound is NaN; we compute both.

Source: XNNPACK src/subgraph.c xnn_subgraph_optimize_common_subgraphs.
"""

from __future__ import annotations

import math
import os

import numpy as np

from tinyinterp.schema import Activation, BuiltinOperator, TensorType
from tinyinterp.schema.frozen import changed as replace

from .contract import Call
from .machine import f32
from .numerics import BOUNDS, float_range

SUMS = (BuiltinOperator.SUM, BuiltinOperator.MEAN)
POOLS = (BuiltinOperator.MAX_POOL_2D, BuiltinOperator.AVERAGE_POOL_2D)
CLAMPS = {BuiltinOperator.RELU: BOUNDS[Activation.RELU], BuiltinOperator.RELU6: BOUNDS[Activation.RELU6],
          BuiltinOperator.RELU_N1_TO_1: BOUNDS[Activation.RELU_N1_TO_1]}


def wanted() -> frozenset[str]:
    """The rewrites that TINYINTERP_REWRITES lists, all of them without it: `merge` (here), `alias` (a RESHAPE shares its
    input's bytes), `in_place` (a sum is written over an operand that nobody needs any more)."""
    return frozenset(os.environ.get("TINYINTERP_REWRITES", "merge,alias,in_place").split(","))


def rewrite(before: Call, call: Call, alone: bool) -> Call | None:
    """The one call that the delegate makes of an operator and the one that reads its result, both delegated, or None.
    `alone`: nobody else reads that result."""
    if before.output.type != TensorType.FLOAT32:
        return None
    if call.operator.code in SUMS and is_square(before):
        return replace(call, inputs=(before.inputs[0], *call.inputs[1:]), merged=(before,))
    if alone and before.operator.code in POOLS and windowed(before) and (clamp := clamp_of(call)) is not None:
        ends = float_range(before.options.fused_activation_function, before)
        lo, hi = (f32(min(max(v, clamp[0]), clamp[1])) for v in ends)
        return replace(before, outputs=call.outputs, merged=(*before.merged, call), bounds=(lo, hi))
    return None


def is_square(call: Call) -> bool:
    """x * x, and no activation."""
    if call.operator.code == BuiltinOperator.SQUARE:
        return True
    return (call.operator.code == BuiltinOperator.MUL and call.input(0).index == call.input(1).index
            and call.options.fused_activation_function == Activation.NONE)


def windowed(call: Call) -> bool:
    """A pool of one cell is a clamp already."""
    return bool(call.options.filter_height > 1 or call.options.filter_width > 1)


def clamp_of(call: Call) -> tuple[np.float32, np.float32] | None:
    """lo, hi of an operator that the delegate takes for a clamp of float32; None for any other."""
    if call.operator.code in CLAMPS:
        lo, hi = CLAMPS[call.operator.code]
        return f32(lo), f32(hi)
    if call.operator.code not in (BuiltinOperator.MAXIMUM, BuiltinOperator.MINIMUM):
        return None
    from .elementwise import bound

    if (i := bound(call)) is None:
        return None
    value = f32(np.asarray(call.input(i).known).reshape(-1)[0]) + f32(0)  # -0 counts as 0
    if np.isnan(value):
        return None
    return (value, f32(math.inf)) if call.operator.code == BuiltinOperator.MAXIMUM else (f32(-math.inf), value)
