"""Calls of kernels, as the contract tests make them: every step of a model, every kernel that takes it, arrays with fences."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tests.fence import Fence, fenced
from tinyinterp import lower as lowering
from tinyinterp.errors import UnsupportedOpError
from tinyinterp.evaluate import loop_words, native_loop
from tinyinterp.graph import link
from tinyinterp.kernels import abi, jit
from tinyinterp.kernels.contract import BUILTIN, DELEGATE, REFERENCE, Call, Kernel, Op, Scratch, Slot
from tinyinterp.kernels.micro.loop import DENORMALS_OFF, RESULT, SHARED
from tinyinterp.lower import Step
from tinyinterp.schema import Model, build, read

THREADS = 7  # the most shares that a test asks for


def steps(model: Model, values: Mapping[int, np.ndarray], mode: str) -> list[Step]:
    """Every step of a model in one of the three numerics, also those that are computed at lowering."""
    graph = link(read(build(model)))
    found: list[Step] = []
    folded = lowering.evaluate

    def noted(step: Step) -> Any:
        found.append(step)
        return folded(step)

    lowering.evaluate = noted
    try:
        plan = lowering.lower(graph, {t: graph.tensors[t].shape for t in graph.inputs}, mode, THREADS)
        seen: dict[int, np.ndarray] = {}
        while plan.cut is not None:
            seen[plan.cut] = values[plan.cut]
            plan = lowering.lower(graph, {}, mode, THREADS, plan, seen)
            found += plan.steps if plan.cut is not None else ()
    finally:
        lowering.evaluate = folded
    return [*found, *plan.steps]


def offered(step: Step) -> Iterator[list[Step]]:
    """The step once for each kernel that takes it, in each of the three numerics that has any."""
    for numerics in (REFERENCE, DELEGATE, BUILTIN):
        call = replace(step.call, numerics=numerics)
        if numerics == DELEGATE and not step.op.delegated(call):
            continue
        kernels = [k for k in step.op.offers(call) if not k.host]
        if kernels:
            yield [_with(step.op, call, kernel) for kernel in kernels]


def _with(op: Op, call: Call, kernel: Kernel) -> Step:
    args = tuple(lowering._argument(a) for a in kernel.args(call, op.prepare(call)))
    return Step(call, op, kernel, args, int(kernel.split(call)))


def all_offers(models: Sequence[Model], values: Any) -> Iterator[tuple[Model, list[Step]]]:
    """Every step of these models with its kernels, each numerics once."""
    for model in models:
        done = set()
        for mode in ("default", "reference", "builtin"):
            try:
                made = steps(model, values(model), mode)
            except UnsupportedOpError:
                continue
            for step in made:
                for kernels in offered(step):
                    key = (step.call.index, kernels[0].call.numerics)
                    if key not in done:
                        done.add(key)
                        yield model, kernels


@dataclass
class Answer:
    """What a kernel left behind: its status, its outputs, and whether it kept to its memory and its inputs."""

    status: int
    outputs: list[np.ndarray]
    intact: bool
    inputs_kept: bool
    outputs_kept: bool  # nothing was written at all


def run(step: Step, values: Mapping[int, np.ndarray], shares: Sequence[tuple[int, int]] = ((0, 1),),
        garbage: int = 0x5A, over: int | None = None) -> Answer:
    """Run a step's native code on memory with fences; outputs and scratch start as garbage. `over`: an input in whose place
    the output is written."""
    fences: list[Fence] = []
    slots: dict[int, tuple[int, np.dtype[Any]]] = {}
    for a in step.args:
        if isinstance(a, Slot):
            size = int(np.prod(a.shape, dtype=object)) * a.dtype.itemsize
            slots[a.tensor] = max(slots.get(a.tensor, (0, a.dtype)), (size, a.dtype), key=lambda s: s[0])
    scratch = [a for a in step.args if isinstance(a, Scratch)]
    sizes = [s for s, _ in slots.values()] + [s.size * max(n for _, n in shares) for s in scratch]
    arena = Fence(sizes)
    fences.append(arena)
    memory = dict(zip(slots, arena.arrays))
    own = arena.arrays[len(slots) :]
    outputs = {o.index for o in step.call.outputs}
    if over is not None:
        memory[step.call.output.index] = memory[over]
    for array in (*own, *(memory[t] for t in memory if t in outputs)):
        array[...] = garbage
    for t, array in memory.items():
        if t not in outputs:
            array[...] = np.frombuffer(np.ascontiguousarray(values[t]).tobytes(), np.uint8)
    arrays: list[Any] = []
    constants: list[tuple[np.ndarray, np.ndarray]] = []
    rest = iter(own)
    for a in step.args:
        if isinstance(a, Slot):
            size = int(np.prod(a.shape, dtype=object)) * a.dtype.itemsize
            arrays.append(memory[a.tensor][:size].view(a.dtype).reshape(a.shape))
        elif isinstance(a, Scratch):
            arrays.append(next(rest))
        elif isinstance(a, np.ndarray):
            arrays.append(fenced(a, fences))
            constants.append((a, arrays[-1]))
        else:
            arrays.append(a)
    record = abi.record(step.args, step.units, (a for a in arrays if isinstance(a, np.ndarray)))
    flags = SHARED | (DENORMALS_OFF if step.call.numerics == DELEGATE else 0)
    table = np.array([jit.address_of(step.kernel, step.args), record.ctypes.data, flags, 0], np.int64)
    status = 0
    for thread, threads in shares:
        result = np.zeros(RESULT, np.int64)
        words = loop_words(table, 1, thread, threads, result)
        status = native_loop()(ctypes.c_void_p(words.ctypes.data)) or status
    kept = all(np.array_equal(np.frombuffer(np.ascontiguousarray(values[t]).tobytes(), np.uint8), memory[t])
               for t in memory if t not in outputs and t != over)
    kept = kept and all(a.tobytes() == b.tobytes() for a, b in constants)
    made = [memory[o.index].view(o.dtype).reshape(o.shape).copy() for o in step.call.outputs]
    untouched = all(bool((memory[t] == garbage).all()) for t in memory if t in outputs)
    return Answer(int(status), made, all(f.intact for f in fences), kept, untouched)

