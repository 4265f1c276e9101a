"""Which bytes must stay from which step to which, and which step may write over what it reads.

    Plan ── lives_of ──► lives ── place ──► Placement (arena.py)
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from .arena import Life
from .kernels import jit
from .kernels.contract import OBJECTS
from .kernels.rewrite import wanted
from .lower import Plan


def scratch_key(step: int, number: int) -> int:
    """What stands for a step's scratch among the tensors."""
    return -1 - step * 64 - number


def lasting(plan: Plan) -> frozenset[int]:
    """The tensors that must last to the end of a plan: what callers read, variables, and what the plan's tail will need."""
    graph = plan.graph
    keep = set(graph.outputs) | {t for t, x in enumerate(graph.tensors) if x.is_variable}
    if plan.start == 0:
        keep |= set(graph.inputs)
    if plan.cut is not None:
        made = {o.index for s in plan.steps for o in s.call.outputs} | set(graph.inputs)
        later = {t for l in graph.operators[plan.resume :] for t in l.operator.inputs}
        keep |= (made & later) | {plan.cut}
        keep |= {t for t in later if plan.root(t) in made}
    return frozenset(keep)


def lives_of(plan: Plan, keep: frozenset[int], preserve: bool = False) -> list[Life]:
    """The lives of all arena tensors of a plan. `keep`: tensors that must last to the end."""
    spans: dict[int, list[int]] = {}  # root -> [size, first, last]
    end = max(len(plan.steps) - 1, 0)
    roots = {plan.root(t) for t in keep}
    lives: list[Life] = []
    for i, step in enumerate(plan.steps):
        for slot in step.slots:
            root = plan.root(slot.tensor)
            if slot.dtype == OBJECTS:
                continue
            size = math.prod(slot.shape) * slot.dtype.itemsize
            span = spans.setdefault(root, [size, i, i])
            span[0], span[2] = max(span[0], size), i
        parts = max(plan.threads, 1) if step.units else 1
        for k, (scratch, at) in enumerate(step.scratch):
            if at < 0 or jit.DISABLED or step.kernel.host:
                lives.append(Life(scratch_key(i, k), scratch.size * parts, i, i))
    for t in keep:
        root = plan.root(t)
        tensor = plan.graph.tensors[t]
        if root in plan.values or tensor.type.bits is None or t not in plan.shapes:
            continue
        size = tensor.type.nbytes(math.prod(plan.shapes[t]))
        span = spans.setdefault(root, [size, 0, end])
        span[0] = max(span[0], size)
    inputs = {plan.root(t) for t in plan.graph.inputs} | {t for t, x in enumerate(plan.graph.tensors) if x.is_variable}
    over = {} if preserve or "in_place" not in wanted() else _in_place(plan, spans, roots | inputs)
    taken = {old: new for new, old in over.items()}
    for root, (size, first, last) in spans.items():
        last = spans[taken[root]][1] - 1 if root in taken else end if preserve or root in roots else last
        lives.append(Life(root, size, 0 if root in inputs else first, last, over.get(root)))
    return lives


def _in_place(plan: Plan, spans: Mapping[int, list[int]], kept: frozenset[int] | set[int]) -> dict[int, int]:
    """The tensors that a step may write over an input of theirs, which nobody reads after it: tensor -> that input."""
    over: dict[int, int] = {}
    written: set[int] = set()
    for i, step in enumerate(plan.steps):
        new = plan.root(step.call.output.index)
        for x in step.call.inputs if step.kernel.in_place and new not in written else ():
            old = plan.root(x.index) if x is not None else -1
            if old not in written or old in kept or spans[old][2] != i:
                continue
            alike = [math.prod(s.shape) * s.dtype.itemsize == spans[old][0] for s in step.slots if plan.root(s.tensor) == old]
            if spans[old][0] == spans[new][0] and all(alike):
                over[new] = old
                break
        written |= {root for o in step.call.outputs if (root := plan.root(o.index)) in spans}
    return over
