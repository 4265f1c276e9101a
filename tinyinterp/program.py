"""Bind and run: a template with memory, and the one native call that runs it.

    Template ── bind ──► Segment              rows of (kernel address, argument record, flags)
    Segment, Segment … ──► Program            more than one only when shapes depend on values

Only this file owns memory.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

import numpy as np

from .arena import Placement
from .errors import ArenaError, NotAllocatedError, hint
from .evaluate import aligned, call_kernel, failure, loop_words, run_builtin
from .graph import Graph
from .kept import template_of
from .kernels import abi, jit
from .kernels.contract import OBJECTS, Scratch, Slot
from .kernels.micro.loop import RESULT, SHARED
from .lives import lasting, scratch_key
from .lower import Plan, Shape, Step, lower
from .schema import TensorType
from .template import Template, assemble
from .threads import Workers


class Segment:
    """A template bound to memory."""

    def __init__(self, template: Template, outside: Mapping[int, np.ndarray], seen: Mapping[int, np.ndarray],
                 objects: Mapping[int, np.ndarray]) -> None:
        """`outside`: tensors that live in memory of an earlier segment, as flat bytes. `seen`: the values it stands on.
        `objects`: the tensors of strings, which no arena holds."""
        self.template, self.plan, self.seen, self.objects = template, template.plan, seen, objects
        self.placement: Placement = template.placement
        try:
            self.memory = aligned(self.placement.size)
        except MemoryError as error:
            raise ArenaError(f"the tensors need {self.placement.size:,} bytes, more than the system gives") from error
        self.bytes = dict(outside)  # root tensor -> its bytes
        offsets = self.placement.offsets
        self.bytes |= {life.key: self.memory[offsets[life.key] : offsets[life.key] + life.size] for life in self.placement.lives}
        self._records = template.words.copy()
        self._records[template.places] += abi.memory(self.memory)
        self.table = template.rows.copy()
        self.table[:, 1] += abi.memory(self._records)
        # Python steps: (row before which they run, step, arrays)
        self.calls = [(i, i, self._arrays(i, self.plan.steps[i])) for i in template.hosts]
        self.runs = template.runs
        self.result = np.zeros(RESULT, np.int64)
        self.threads = self.plan.threads if template.shared else 1
        self._words = [loop_words(self.table[a:], b - a, 0, self.threads, self.result) for a, b in self.runs]
        self._calls = [run_builtin(w, template.brief) for w in self._words]
        jit.progress_done()

    def _arrays(self, i: int, step: Step) -> list[Any]:
        arrays: list[Any] = []
        k = 0
        for arg in step.args:
            if isinstance(arg, (Slot, Scratch)):
                key = self.plan.root(arg.tensor) if isinstance(arg, Slot) else scratch_key(i, k)
                k += isinstance(arg, Scratch)
                if arg.dtype == OBJECTS:
                    arrays.append(self.objects[key].reshape(arg.shape))
                    continue
                size = math.prod(arg.shape) * arg.dtype.itemsize
                arrays.append(self.bytes[key][:size].view(arg.dtype).reshape(arg.shape))
            else:
                arrays.append(arg)
        return arrays

    def run(self, workers: Workers | None) -> None:
        """Run every step, with the help of workers if it has `threads` > 1. Raises: ValueDependentError."""
        if not self.calls:
            for k in range(len(self.runs)):
                self._native(k, workers)
            return
        python = {i: arrays for _, i, arrays in self.calls}
        starts = {a: k for k, (a, _) in enumerate(self.runs)}
        i = 0
        while i < len(self.plan.steps):
            if i in python:
                call_kernel(self.plan.steps[i], python[i])
                i += 1
            else:
                k = starts[i]
                self._native(k, workers)
                i = self.runs[k][1]

    def _native(self, k: int, workers: Workers | None) -> None:
        if workers and self.threads > 1:
            self._words[k][5] = workers.mailbox
        if self._calls[k]():
            self.fail(k)

    @property
    def alone(self) -> Callable[[], bool] | None:
        """The native loop when it is all there is to a run: one thread, nothing in Python. True when a step failed."""
        return self._calls[0] if self.threads == 1 and len(self.runs) == 1 and not self.calls else None

    def fail(self, k: int) -> NoReturn:
        """Raises: ValueDependentError for the step of run k that left a status."""
        raise failure(self.plan.steps[self.runs[k][0] + int(self.result[1])].call, int(self.result[0]))

    def __str__(self) -> str:
        lines = []
        over = {l.key: f" over t{l.over}" for l in self.placement.lives if l.over is not None}
        for i, step in enumerate(self.plan.steps):
            shared = "*" if self.table[i, 2] & SHARED else " "
            outs = " ".join(f"@{self._offset(o.index)}{over.get(o.index, '')}" for o in step.call.outputs)
            lines.append(f"{step}{shared} {outs}  {step.op.macs(step.call):,} MACs")
        return "\n".join(lines)

    def _offset(self, t: int) -> str:
        at = self.placement.offsets.get(self.plan.root(t))
        return "-" if at is None else f"{at:#x}"


class Program:
    """A graph compiled for the shapes of its inputs. `run()` is one native call when no shape depends on a value."""

    def __init__(self, graph: Graph, shapes: Mapping[int, Shape], numerics: str = "default", threads: int = 1,
                 preserve: bool = False) -> None:
        self.graph, self.numerics, self.threads, self.preserve = graph, numerics, threads, preserve
        self._workers: Workers | None = None
        self.objects: dict[int, np.ndarray] = {}  # root tensor -> its strings
        self.segments = [self._bind(template_of(graph, shapes, numerics, threads, preserve), {}, {})]
        self.complete = self.segments[-1].plan.cut is None
        self.alone = self.segments[0].alone if self.complete else None

    def _bind(self, template: Template, outside: Mapping[int, np.ndarray], seen: Mapping[int, np.ndarray]) -> Segment:
        plan = template.plan
        for t, shape in plan.shapes.items():
            root = plan.root(t)
            if self.graph.tensors[t].type == TensorType.STRING and root not in plan.values:
                size = math.prod(shape)
                if root not in self.objects or self.objects[root].size != size:
                    # None: nobody has set it yet. What the program writes reads as empty strings until then.
                    self.objects[root] = np.full(size, None if root in self.graph.inputs else b"", object)
        return Segment(template, outside, seen, self.objects)

    def _tail(self, seen: Mapping[int, np.ndarray]) -> Segment:
        """The segment that goes on after the last one, now that these values are known."""
        before = self.segments[-1]
        plan = lower(self.graph, {}, self.numerics, self.threads, before.plan, seen, self.preserve)
        outside = {t: memory for t, memory in before.bytes.items() if t >= 0}  # scratch is every segment's own
        addresses = {t: abi.memory(memory) for t, memory in outside.items()}
        return self._bind(assemble(plan, addresses, lasting(plan), self.preserve), outside, seen)

    def run(self) -> None:
        """Compute the outputs from the inputs in the arena. Raises: ValueDependentError."""
        if self.alone is not None:  # one native call and no more
            if self.alone():
                self.segments[0].fail(0)
            return
        self.segments[0].run(self._team(self.segments[0]))
        at = 0
        while (cut := self.segments[at].plan.cut) is not None:
            plan = self.segments[at].plan
            seen = {**self.segments[at].seen, cut: self.array(cut, plan).copy()}
            at += 1
            if at == len(self.segments) or not np.array_equal(self.segments[at].seen[cut], seen[cut]):
                del self.segments[at:]
                self.segments.append(self._tail(seen))
            self.segments[at].run(self._team(self.segments[at]))
        self.complete = True

    def _team(self, segment: Segment) -> Workers | None:
        """The workers, made when they are first needed, and again after a fork."""
        if segment.threads > 1 and (self._workers is None or self._workers.pid != os.getpid()):
            self._workers = Workers(segment.threads - 1)
        return self._workers

    @property
    def plan(self) -> Plan:
        """The plan as far as it is known: the last segment's."""
        return self.segments[-1].plan

    @property
    def placement(self) -> Placement:
        """Where the first segment's tensors lie."""
        return self.segments[0].placement

    def shape(self, t: int) -> Shape:
        """The shape of a tensor, or the file's when no run has told it yet."""
        return self.plan.shapes.get(t, self.graph.tensors[t].shape)

    def has(self, t: int) -> bool:
        """Whether a tensor has memory of its own or a known value."""
        root = self.plan.root(t)
        return t in self.plan.values or root in self.objects or any(root in segment.bytes for segment in self.segments)

    def array(self, t: int, plan: Plan | None = None) -> np.ndarray:
        """A tensor as a view of its memory, packed types as their bytes; constants read-only. Raises: NotAllocatedError."""
        plan = plan or self.plan
        if t in plan.values:
            return plan.values[t]
        root = plan.root(t)
        kind = self.graph.tensors[t].type
        shape = plan.shapes.get(t, self.graph.tensors[t].shape)
        if root in self.objects:
            return self.objects[root].reshape(shape)
        for segment in reversed(self.segments):
            if root in segment.bytes and kind.bits is not None:
                raw = segment.bytes[root][: kind.nbytes(math.prod(shape))]
                return raw if kind.numpy is None else raw.view(kind.numpy).reshape(shape)
        raise NotAllocatedError(hint("Tensor data is null. Run allocate_tensors() first",
                                     f"tensor {t} '{self.graph.tensors[t].name}' is not in memory"))

    def overwritten(self, t: int) -> int | None:
        """The tensor (or scratch, negative) that has taken over bytes of `t` by the end of a run; None when `t` is intact."""
        root = self.plan.root(t)
        for segment in self.segments:
            at = segment.placement.offsets.get(root)
            if at is None:
                continue
            own = next(l for l in segment.placement.lives if l.key == root)
            for life in segment.placement.lives:
                other = segment.placement.offsets[life.key]
                if life.first > own.last and other < at + own.size and at < other + life.size:
                    return life.key
        return None

    def step_of(self, t: int) -> Step | None:
        """The step that writes `t`, or the tensor it is an alias of."""
        root = self.plan.root(t)
        steps = (step for segment in self.segments for step in segment.plan.steps)
        return next((step for step in steps if any(o.index == root for o in step.call.outputs)), None)

    def __str__(self) -> str:
        steps = sum(len(s.plan.steps) for s in self.segments)
        macs = sum(s.plan.macs for s in self.segments)
        head = (f"program: {steps} steps, {self.numerics} numerics, {self.threads} thread{'s' * (self.threads > 1)}, "
                f"{macs:,} MACs, arena {sum(s.placement.size for s in self.segments):,} bytes"
                + ("" if self.complete else ", to be continued once values are known"))
        return "\n".join([head, *map(str, self.segments)])
