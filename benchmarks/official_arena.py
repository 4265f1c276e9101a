"""A model of the official interpreter's memory planner: how large its arena is for a graph.

Its rules, without delegates (what a delegate keeps is its own affair and cannot be seen from outside):

* a tensor is there from the operator that writes it to the last one that reads it; inputs and variables from the start, and
  inputs, outputs and variables to the end; variables have an arena of their own;
* RESHAPE and its like give their input's memory on; ADD, SUB, MUL, DIV and SOFTMAX write into an input of the output's size
  that nobody else reads (more than four bytes; no input, no output of the graph);
* first come the tensors that live throughout, then the others from the largest to the smallest, earlier ones first; each goes
  into the tightest gap among those placed that are there at the same time, 64 bytes aligned.

`checked` holds the model against the addresses of the real thing; on most networks every offset is the same.

Source: google-ai-edge/LiteRT, tflite/arena_planner.cc (PlanAllocations, IdentifyInPlaceTensors, CreateTensorAllocationVector),
tflite/simple_memory_arena.cc (Allocate), `inplace_operator` in tflite/kernels
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from tinyinterp.arena import rounded
from tinyinterp.graph import Graph
from tinyinterp.lower import Plan
from tinyinterp.pair import theirs
from tinyinterp.schema import TensorType

UNCHANGED = frozenset({"RESHAPE", "SQUEEZE", "EXPAND_DIMS", "BITCAST"})
IN_PLACE = {"ADD": 2, "SUB": 2, "MUL": 2, "DIV": 2, "SOFTMAX": 1, "DYNAMIC_UPDATE_SLICE": 1}  # how many inputs may be taken over
NEVER = 1 << 31


@dataclass(slots=True)
class Block:
    """A tensor's memory, or an operator's own."""

    tensor: int
    size: int
    first: int = NEVER
    last: int = NEVER
    offset: int = -1


def arena(graph: Graph, plan: Plan, im2col: bool = False) -> list[Block]:
    """The blocks of the official arena for a graph with all shapes known. `im2col`: with what the optimised convolutions
    unroll their input into."""
    fixed = set(graph.constants)
    variables = {t for t, x in enumerate(graph.tensors) if x.is_variable}
    for o in graph.operators:  # what follows from constants, or from shapes alone, is made at preparation and not in the arena
        shapes_alone = o.operator.name in ("SHAPE", "RANK")
        if shapes_alone or (o.operator.name in ("DEQUANTIZE", "DENSIFY") and all(t in fixed for t in o.operator.inputs)):
            fixed |= set(o.operator.outputs)

    def size(t: int) -> int:
        shape = plan.shapes.get(t, graph.tensors[t].shape)
        kind = graph.tensors[t].type
        return 0 if kind == TensorType.STRING or kind.bits is None else int(kind.nbytes(int(np.prod(shape, dtype=np.int64))))

    shared = _shared(graph, size, fixed)
    blocks: dict[int, Block] = {}
    left: Counter[int] = Counter(t for t in (*graph.inputs, *graph.outputs, *variables) if t >= 0)
    for t in graph.inputs:
        blocks[t] = Block(t, size(t), first=0)
    for o in graph.operators:
        left.update(shared.get(t, t) for t in o.operator.inputs if t >= 0)
    scratch = []
    for i, o in enumerate(graph.operators):
        for t in o.operator.outputs:
            if t >= 0:
                blocks.setdefault(t, Block(t, size(t), first=i))
        for t in (shared.get(t, t) for t in o.operator.inputs if t >= 0):
            left[t] -= 1
            if not left[t] and t in blocks:
                blocks[t].last = i
        if im2col and o.operator.name == "CONV_2D" and (unrolled := _im2col(graph, plan, i)):
            scratch.append(Block(-1 - i, unrolled, i, i))
    own = [b for t, b in blocks.items() if t not in shared and t not in fixed and t not in variables]
    return _placed([*own, *scratch])


def _shared(graph: Graph, size: object, fixed: set[int]) -> dict[int, int]:
    """Output -> the tensor whose memory it takes over."""
    reads: Counter[int] = Counter(t for t in (*graph.outputs, *graph.inputs) if t >= 0)
    reads.update(t for o in graph.operators for t in o.operator.inputs if t >= 0)
    found: dict[int, int] = {}
    for o in graph.operators:
        name = o.operator.name
        if name not in UNCHANGED and name not in IN_PLACE:
            continue
        target = o.operator.outputs[0]
        for t in o.operator.inputs[: IN_PLACE.get(name, 1)]:
            if t < 0 or t in graph.inputs or target in graph.outputs or t in fixed or graph.tensors[t].is_variable:
                continue
            alike = size(t) == size(target) and size(t) > 4 and reads[t] <= 1  # type: ignore[operator]
            if name in UNCHANGED or alike:
                root = found.get(t, t)
                if name in UNCHANGED or reads[root] <= 1:
                    found[target] = root
                break
    return found


def _im2col(graph: Graph, plan: Plan, i: int) -> int:
    """Bytes that an optimised convolution unrolls its input into: none for windows of 1 x 1 without stride."""
    operator = graph.operators[i].operator
    x, w = operator.inputs[:2]
    _, kh, kw, c = plan.shapes.get(w, graph.tensors[w].shape)
    options = operator.options
    if {kh, kw, options.stride_h, options.stride_w, options.dilation_h_factor, options.dilation_w_factor} == {1}:
        return 0
    kind = graph.tensors[x].type
    return int(kind.nbytes(int(np.prod(plan.shapes[operator.outputs[0]][:3])) * kh * kw * c))


def _placed(blocks: list[Block]) -> list[Block]:
    """Best fit, from the largest to the smallest."""
    throughout = sorted((b for b in blocks if b.first == 0 and b.last == NEVER), key=lambda b: b.tensor)
    others = sorted((b for b in blocks if not (b.first == 0 and b.last == NEVER)), key=lambda b: (-b.size, b.first))
    placed: list[Block] = []  # by offset
    for block in (*throughout, *others):
        if block.size:
            block.offset = _gap(block, [p for p in placed if p.last >= block.first and p.first <= block.last])
            placed.append(block)
            placed.sort(key=lambda p: p.offset)
    return placed


def _gap(block: Block, placed: list[Block]) -> int:
    best, fit, now = -1, NEVER << 31, 0
    for other in placed:
        start = rounded(now)
        if start + block.size <= other.offset and other.offset - start < fit:
            best, fit = start, other.offset - now
        now = max(now, other.offset + other.size)
        if fit == 0:
            break
    return rounded(now) if best < 0 else best


def size_of(blocks: list[Block]) -> int:
    """Bytes of the arena."""
    return max((b.offset + b.size for b in blocks), default=0)


def checked(model: str | bytes, blocks: list[Block]) -> int | None:
    """The size of the real arena with the reference kernels, told by the addresses of its tensors; with what operators keep
    beside them when that makes it larger. None when some tensor has its memory elsewhere. Raises: OptionError.

    The offsets agree but for tensors of one size that are written by one operator: their order is the sort's choice.
    """
    official = theirs(model, "reference")
    at: dict[int, int] = {}
    for block in blocks:
        try:
            at[block.tensor] = official.tensor(block.tensor)().__array_interface__["data"][0]
        except ValueError:
            return None
    if not at or max(at.values()) - min(at.values()) > 4 * sum(b.size for b in blocks):
        return None
    return max(at[b.tensor] + b.size for b in blocks) - min(at.values())
