"""Bind and run: a plan with memory, and the one native call that runs it.

    Plan + Placement ── bind ──► Segment      rows of (kernel address, argument record, flags)
    Segment, Segment … ──► Program            more than one only when shapes depend on values

Only this file owns memory.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

import numpy as np

from .arena import LIMIT, Life, Placement, place
from .errors import ArenaError, NotAllocatedError, hint
from .evaluate import aligned, call_kernel, failure, loop_words, run_builtin
from .graph import Graph
from .kernels import jit
from .kernels.contract import DELEGATE, OBJECTS, Scratch, Slot
from .kernels.micro.loop import DENORMALS_OFF, RESULT, ROW, SHARED
from .kernels.rewrite import wanted
from .lower import Plan, Shape, Step, lower, plan_of
from .schema import TensorType
from .threads import Workers

# Seconds: a run that saves less than this is not shared, since a worker may have to be woken; nor are steps shorter than that.
SAVED = float(os.environ.get("TINYINTERP_SHARE_ABOVE", 25e-6))
SHARE = min(5e-6, SAVED)
OFFER = 2e-6  # what it costs to share a step
BRIEF = 1e-5  # a run that takes less keeps the GIL: giving it up and taking it back costs as much as a step


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
                lives.append(Life(-1 - i * 64 - k, scratch.size * parts, i, i))
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


class Segment:
    """A plan bound to memory."""

    def __init__(self, plan: Plan, outside: Mapping[int, np.ndarray], keep: frozenset[int], preserve: bool,
                 seen: Mapping[int, np.ndarray], objects: Mapping[int, np.ndarray]) -> None:
        """`outside`: tensors that live in memory of an earlier segment, as flat bytes. `seen`: the values it stands on.
        `objects`: the tensors of strings, which no arena holds."""
        self.plan = plan
        self.seen = seen
        self.objects = objects
        outside = {t: memory for t, memory in outside.items() if t >= 0}  # scratch is every segment's own
        lives = [l for l in lives_of(plan, keep, preserve) if l.key not in outside]
        self.placement: Placement = place(lives)
        if self.placement.size > LIMIT:
            raise ArenaError(f"the tensors need {self.placement.size:,} bytes, the limit is {LIMIT:,} "
                             "(set TINYINTERP_ARENA_LIMIT to allow more)")
        try:
            self.memory = aligned(self.placement.size)
        except MemoryError as error:
            raise ArenaError(f"the tensors need {self.placement.size:,} bytes, more than the system gives") from error
        self.bytes = dict(outside)  # root tensor -> its bytes
        for life in lives:
            at = self.placement.offsets[life.key]
            self.bytes[life.key] = self.memory[at : at + life.size]
        self.records: list[np.ndarray] = []
        self.calls: list[tuple[int, int, list[Any]]] = []  # Python steps: (row before which they run, step, arrays)
        self.table = np.zeros((len(plan.steps), ROW), np.int64)
        if jit.DISABLED or any(s.kernel.host for s in plan.steps):
            self.calls = [(i, i, self._arrays(i, s)) for i, s in enumerate(plan.steps) if jit.DISABLED or s.kernel.host]
        host = {i for _, i, _ in self.calls}
        shared = _shared(plan)
        for i, step in enumerate(plan.steps):
            if i in host:
                continue
            record = jit.words(step.args, self._address(i, step), step.units)
            self.records.append(record)
            flags = (DENORMALS_OFF if step.call.numerics == DELEGATE else 0) | (SHARED if shared[i] else 0)
            self.table[i] = jit.address_of(step.kernel, step.args), record.ctypes.data, flags, 0
        self.runs = _runs(len(plan.steps), host)
        self.result = np.zeros(RESULT, np.int64)
        self.threads = plan.threads if any(shared) else 1
        self._words = [loop_words(self.table[a:], b - a, 0, self.threads, self.result) for a, b in self.runs]
        brief = len(plan.steps) <= 64 and sum(map(_seconds, plan.steps)) < BRIEF
        self._calls = [run_builtin(w, brief) for w in self._words]
        jit.progress_done()

    def _address(self, i: int, step: Step) -> Any:
        scratch = {id(s): (k, at) for k, (s, at) in enumerate(step.scratch)}

        def address(arg: Any) -> int:
            if isinstance(arg, Slot):
                return int(self.bytes[self.plan.root(arg.tensor)].ctypes.data)
            if isinstance(arg, Scratch):
                k, at = scratch[id(arg)]
                return at if at >= 0 else int(self.bytes[-1 - i * 64 - k].ctypes.data)
            return int(arg.ctypes.data)

        return address

    def _arrays(self, i: int, step: Step) -> list[Any]:
        arrays: list[Any] = []
        k = 0
        for arg in step.args:
            if isinstance(arg, (Slot, Scratch)):
                key = self.plan.root(arg.tensor) if isinstance(arg, Slot) else -1 - i * 64 - k
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


def _seconds(step: Step) -> float:
    """About how long a step takes on one thread: 120 GMAC/s in floats, 500 in 8 bits, 20 GB/s through the caches."""
    operands = [o for o in (*step.call.inputs, *step.call.outputs) if o is not None and o.type.numpy is not None]
    moved = sum(o.size * o.dtype.itemsize for o in operands)
    rate = 120e9 if step.call.outputs and step.call.outputs[0].type == TensorType.FLOAT32 else 500e9
    return step.op.macs(step.call) / rate + moved / 20e9


def _shared(plan: Plan) -> list[bool]:
    """The steps that threads share: those long enough, if they save enough together."""
    if plan.threads == 1:
        return [False] * len(plan.steps)
    seconds = [_seconds(step) if step.units > 1 else -1.0 for step in plan.steps]
    saved = sum(max(s * (1 - 1 / plan.threads) - OFFER, 0.0) for s in seconds if s >= SHARE)
    return [s >= SHARE and saved >= SAVED for s in seconds]


def _runs(n: int, host: set[int]) -> list[tuple[int, int]]:
    """The stretches of native steps between Python steps: [(first, one past the last)]."""
    runs, start = [], 0
    for i in [*sorted(host), n]:
        if i > start:
            runs.append((start, i))
        start = i + 1
    return runs


class Program:
    """A graph compiled for the shapes of its inputs. `run()` is one native call when no shape depends on a value."""

    def __init__(self, graph: Graph, shapes: Mapping[int, Shape], numerics: str = "default", threads: int = 1,
                 preserve: bool = False) -> None:
        self.graph, self.numerics, self.threads, self.preserve = graph, numerics, threads, preserve
        self._workers: Workers | None = None
        self.objects: dict[int, np.ndarray] = {}  # root tensor -> its strings
        self.segments = [self._bind(plan_of(graph, shapes, numerics, threads, preserve), None, {})]
        self.complete = self.segments[-1].plan.cut is None
        self.alone = self.segments[0].alone if self.complete else None

    def _bind(self, plan: Plan, before: Segment | None, seen: Mapping[int, np.ndarray]) -> Segment:
        keep = set(self.graph.outputs) | {t for t, x in enumerate(self.graph.tensors) if x.is_variable}
        if before is None:
            keep |= set(self.graph.inputs)
        if plan.cut is not None:
            made = {o.index for s in plan.steps for o in s.call.outputs} | set(self.graph.inputs)
            later = {t for l in self.graph.operators[plan.resume :] for t in l.operator.inputs}
            keep |= (made & later) | {plan.cut}
            keep |= {t for t in later if plan.root(t) in made}
        for t, shape in plan.shapes.items():
            root = plan.root(t)
            if self.graph.tensors[t].type == TensorType.STRING and root not in plan.values:
                size = math.prod(shape)
                if root not in self.objects or self.objects[root].size != size:
                    # None: nobody has set it yet. What the program writes reads as empty strings until then.
                    self.objects[root] = np.full(size, None if root in self.graph.inputs else b"", object)
        return Segment(plan, before.bytes if before else {}, frozenset(keep), self.preserve, seen, self.objects)

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
                tail = lower(self.graph, {}, self.numerics, self.threads, plan, seen, self.preserve)
                self.segments.append(self._bind(tail, self.segments[-1], seen))
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
