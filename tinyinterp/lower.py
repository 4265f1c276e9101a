"""Lower: from a graph and the shapes of its inputs to a plan, the list of kernels with their arguments.

    Graph ── lower ──► Plan      op by op: shapes, numerics, kernel, arguments; what is known already is computed now

An operator whose inputs are all known (constants, shapes, what follows from them) is computed here, once, by the kernel
that would have run; a RESHAPE becomes an alias. When an output's shape depends on a value that only a run can tell, the
plan ends before that operator: it is cut, and the tail is lowered again once the value is there.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from .arena import ALIGNMENT, LIMIT
from .errors import ArenaError, QuantError, ShapeError, UnsupportedOpError, hint
from .evaluate import aligned, evaluate
from .graph import Graph, Linked, check_ops
from .kernels.contract import BUILTIN, DELEGATE, REFERENCE, ROOM, Arg, Call, Kernel, NeedsValue, Op, Operand, Scratch, Slot
from .kernels.rewrite import rewrite, wanted
from .schema import BuiltinOperator, TensorType
from .schema.frozen import changed as replace
from .schema.frozen import record

Shape = tuple[int, ...]
SPARSE = (BuiltinOperator.DENSIFY, BuiltinOperator.CUSTOM)  # who may be given the stored elements of a sparse constant


@record(frozen=True, slots=True)
class Step:
    """One kernel with its arguments, before it has memory."""

    call: Call
    op: Op
    kernel: Kernel
    args: tuple[Arg, ...]
    units: int  # shares that threads may divide among them; 0: one thread does it all

    @property
    def slots(self) -> Iterator[Slot]:
        return (a for a in self.args if isinstance(a, Slot))

    @property
    def scratch(self) -> list[tuple[Scratch, int]]:
        """Each scratch with how far into a thread's ROOM it lies, -1 when it must go to the arena."""
        found, at = [], 0
        for a in self.args:
            if isinstance(a, Scratch):
                fits = at + a.size <= ROOM
                found.append((a, at if fits else -1))
                at += a.size * fits
        return found

    @property
    def name(self) -> str:
        """The op, or the ops that one step computes: `MUL+SUM`."""
        return "+".join(c.operator.name for c in sorted((self.call, *self.call.merged), key=lambda c: c.index))

    def __str__(self) -> str:
        shapes = " ".join(f"t{o.index}{list(o.shape)}" for o in self.call.inputs if o is not None and o.known is None)
        outs = " ".join(f"t{o.index}{list(o.shape)}" for o in self.call.outputs)
        return f"{self.call.index:4}  {self.name:24} {self.kernel.name:34} {shapes} -> {outs}"


class Weak:
    """What can be referred to weakly, in spite of slots."""

    __slots__ = ("__weakref__",)


@record(frozen=True, slots=True)
class Plan(Weak):
    """What to run, in order, with every shape known. Immutable."""

    graph: Graph
    numerics: str
    threads: int
    steps: tuple[Step, ...]
    shapes: dict[int, Shape]
    values: dict[int, np.ndarray]  # constants, and what was computed at lowering
    fixed: frozenset[int]
    dynamic: frozenset[int]
    aliases: dict[int, int]  # tensor -> the tensor whose bytes it shares
    start: int = 0  # the first operator of this plan
    cut: int | None = None  # the tensor whose value the operator `resume` waits for
    resume: int = 0

    def root(self, tensor: int) -> int:
        """The tensor whose memory this one lives in."""
        while tensor in self.aliases:
            tensor = self.aliases[tensor]
        return tensor

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one run."""
        return sum(step.op.macs(step.call) for step in self.steps)

    def __str__(self) -> str:
        head = f"plan: {len(self.steps)} steps, {self.numerics} numerics, {self.macs:,} MACs"
        tail = [] if self.cut is None else [f"      cut: operator {self.resume} waits for the value of t{self.cut}"]
        return "\n".join([head, *map(str, self.steps), *tail])


def lower(graph: Graph, shapes: Mapping[int, Shape], numerics: str = "default", threads: int = 1,
          after: Plan | None = None, seen: Mapping[int, np.ndarray] | None = None, preserve: bool = False) -> Plan:
    """The plan for these input shapes; with `after` and `seen`, the plan of the tail of a plan that was cut. `preserve`:
    compute tensors too that nothing reads any more once operators are merged.

    Raises: UnsupportedOpError (everything the graph needs and lacks, at once), ShapeError, QuantError.
    """
    check_ops(graph)
    state = _State(graph, numerics, threads, dict(shapes), after, dict(seen or {}), preserve)
    steps: list[Step] = []
    refused: list[str] = []
    first = after.resume if after else 0
    for linked in graph.operators[first:]:
        try:
            step = state.lower(linked)
        except NeedsValue as need:
            if refused:
                break
            return state.plan(steps, first, need.tensor, linked.index)
        except UnsupportedOpError as error:
            refused.append(str(error))
            state.give_up(linked)
            continue
        except (ShapeError, QuantError) as error:
            if refused:
                break
            number = f"Node number {linked.index} ({linked.operator.name}) failed to prepare."
            raise type(error)(f"{error}\n{number}") from error
        if step is not None:
            steps.append(step)
    if refused:
        raise UnsupportedOpError("\n".join(dict.fromkeys(refused)))
    return state.plan(steps, first, None, len(graph.operators))


class _State:
    """What is known while the operators are walked."""

    def __init__(self, graph: Graph, numerics: str, threads: int, shapes: dict[int, Shape], after: Plan | None,
                 seen: dict[int, np.ndarray], preserve: bool) -> None:
        self.graph, self.numerics, self.threads = graph, numerics, threads
        self.rewrites = wanted()
        self.delegated: dict[int, Call] = {}  # tensor -> the delegated operator that computes it
        self.readers = Counter(t for l in graph.operators for t in set(l.operator.inputs)) + Counter(graph.outputs)
        self.unread: set[int] = set()  # computed, but every reader has been merged with the operator that does so
        self.preserve = preserve
        self.values = dict(after.values if after else graph.constants)
        self.fixed = set(after.fixed if after else graph.constants)
        self.dynamic = set(after.dynamic if after else ())
        self.aliases = dict(after.aliases) if after else {}
        self.seen = seen  # values of this run: they decide shapes, they are not constants
        self.shapes = dict(after.shapes) if after else {}
        self.shapes |= shapes
        for t in graph.constants:
            self.shapes.setdefault(t, graph.tensors[t].shape)
        for t, tensor in enumerate(graph.tensors):
            if tensor.is_variable:
                self.shapes.setdefault(t, tensor.shape)

    def plan(self, steps: list[Step], start: int, cut: int | None, resume: int) -> Plan:
        if not self.preserve:
            steps = [s for s in steps if all(o.index not in self.unread for o in s.call.outputs)]
        return Plan(self.graph, self.numerics, self.threads, tuple(steps), self.shapes, self.values,
                    frozenset(self.fixed), frozenset(self.dynamic), self.aliases, start, cut, resume)

    def operand(self, t: int, known: bool = True) -> Operand:
        tensor = self.graph.tensors[t]
        value = self.values.get(t, self.seen.get(t)) if known else None
        return Operand(t, tensor.name, tensor.type, self.shapes.get(t, tensor.shape), tensor.quantization, value,
                       tensor.is_variable, t in self.fixed, t in self.dynamic, sparsity=tensor.sparsity)

    def call(self, linked: Linked) -> Call:
        operator, op = linked.operator, linked.op
        assert op is not None
        call = Call(linked.index, operator, tuple(self.operand(t) if t >= 0 else None for t in operator.inputs),
                    tuple(self.operand(t, known=False) for t in operator.outputs if t >= 0), REFERENCE, self.threads)
        for name, count, (least, most) in (("inputs", len(call.inputs), op.inputs), ("outputs", len(call.outputs), op.outputs)):
            call.need(least <= count <= most, f"has {count} {name}, takes {least} to {most}")
        for i, x in enumerate(call.inputs):
            call.need(x is not None or i in op.optional, f"input {i} is missing")
            if x is not None and x.index not in self.shapes:
                raise ShapeError(hint(f"Input tensor {x.index} lacks data", f"{call.place}: nothing writes '{x.name}' before it"))
            if x is not None and x.sparsity is not None and operator.code not in SPARSE:
                raise UnsupportedOpError(f"{call.place}: input {i}, tensor {x.index}, is sparse: only DENSIFY takes that")
        if operator.version > op.max_version:
            raise UnsupportedOpError(f"{call.place}: version {operator.version} is newer than {op.max_version}")
        return call

    def lower(self, linked: Linked) -> Step | None:
        """The step for one operator; None when nothing is left to run for it."""
        op = linked.op
        assert op is not None
        call = self.call(linked)
        shapes = op.infer(call)
        if any(x is not None and (x.index in self.seen or x.dynamic) for x in call.inputs):
            self.dynamic |= {o.index for o in call.outputs}
        for operand, shape in zip(call.outputs, shapes):
            self.shapes[operand.index] = _checked(call, operand, tuple(int(d) for d in shape))
        outputs = tuple(replace(o, shape=self.shapes[o.index], dynamic=o.index in self.dynamic) for o in call.outputs)
        call = self._in_numerics(op, replace(call, outputs=outputs, numerics=DELEGATE))
        if call.numerics == DELEGATE:
            call = self._merged(call)
            op = self.graph.operators[call.index].op or op
        if (known := op.known(call)) is not None:
            for operand, value in zip(call.outputs, known):
                value.flags.writeable = False
                self.values[operand.index] = value
            return None
        if self._alias(op, call):
            return None
        foldable = op.foldable and call.inputs and all(x is None or x.index in self.values for x in call.inputs)
        step = self.step(op, call)
        if foldable and not step.kernel.host:
            for operand, value in zip(call.outputs, evaluate(step)):
                self.values[operand.index] = value
            if op.keeps_fixed(call) and all(x is None or x.fixed for x in call.inputs):
                self.fixed |= {o.index for o in call.outputs}
            return None
        return step

    def _in_numerics(self, op: Op, call: Call) -> Call:
        """The call, which says `delegate`, in that one of the three arithmetics that it runs in."""
        if self.numerics == "default":
            return call if op.delegated(self._as_filed(call)) else replace(call, numerics=BUILTIN)
        # Without the delegate the official floats change from build to build: the reference stands in, as documented.
        taken = any(o is not None and o.type == TensorType.FLOAT32 for o in call.inputs)  # not always the first: shapes, axes
        taken &= all(o is None or o.type != TensorType.INT8 for o in call.inputs[1:])  # hybrids have exact sums
        plain = taken and all(o.type == TensorType.FLOAT32 for o in call.outputs[:1])
        # BUILTIN_REF lacks a few ops altogether.
        known = any(isinstance(k, Kernel) and REFERENCE in k.numerics for k in op.kernels)
        return replace(call, numerics=REFERENCE if self.numerics == REFERENCE or (plain and known) else BUILTIN)

    def _as_filed(self, call: Call) -> Call:
        """The call as the delegate sees it when it chooses its operators, before any shape is inferred: a tensor whose shape the
        file leaves out is a single number to it."""
        graph = self.graph

        def filed(o: Operand | None) -> Operand | None:
            left_out = o is not None and o.shape and not graph.tensors[o.index].shape and o.index not in graph.inputs
            return replace(o, shape=()) if o is not None and left_out else o

        inputs, outputs = tuple(map(filed, call.inputs)), tuple(map(filed, call.outputs))
        if all(a is b for a, b in zip((*inputs, *outputs), (*call.inputs, *call.outputs))):
            return call
        return replace(call, inputs=inputs, outputs=outputs)

    def _merged(self, call: Call) -> Call:
        """The call, merged with the operator before it where the delegate does so."""
        for t in dict.fromkeys(x.index for x in call.inputs if x is not None and x.index in self.delegated):
            one = rewrite(self.delegated[t], call, self.readers[t] == 1) if "merge" in self.rewrites else None
            if one is not None:
                self.readers[t] -= 1
                if self.readers[t] == 0:
                    self.unread.add(t)
                call = one
                break
        self.delegated |= {o.index: call for o in call.outputs}
        return call

    def _alias(self, op: Op, call: Call) -> bool:
        """Let the output share its input's bytes, unless a caller could tell: what the user writes is never an output."""
        i = op.alias(call) if "alias" in self.rewrites else None
        if i is None:
            return False
        source, target = call.input(i), call.output
        if source.index in self.values:
            self.values[target.index] = self.values[source.index].reshape(target.shape)
            if source.fixed:
                self.fixed.add(target.index)
            return True
        root = source.index
        while root in self.aliases:
            root = self.aliases[root]
        if root in self.graph.inputs or source.is_variable or target.is_variable:
            outputs = {self._root(t) for t in self.graph.outputs}
            if target.index in self.graph.outputs or target.is_variable or source.is_variable or root in outputs:
                return False
        self.aliases[target.index] = source.index
        return True

    def _root(self, t: int) -> int:
        while t in self.aliases:
            t = self.aliases[t]
        return t

    def step(self, op: Op, call: Call) -> Step:
        """The first kernel that takes the call, with its arguments. Raises: UnsupportedOpError."""
        hidden = [x for x in call.inputs if x is not None and x.index in self.seen]
        if hidden:  # values of one run decide shapes, but the kernel reads them from memory
            call = replace(call, inputs=tuple(
                replace(x, known=None, seen=x.known) if x is not None and x.index in self.seen else x for x in call.inputs))
        strings = any(x is not None and x.type == TensorType.STRING for x in (*call.inputs, *call.outputs))
        for kernel in op.offers(call):
            if kernel.host >= strings:
                params = op.prepare(call)
                args = tuple(map(_argument, kernel.args(call, params)))
                return Step(call, op, kernel, args, int(kernel.split(call)))
        types = ", ".join("-" if x is None else x.type.name for x in call.inputs)
        raise UnsupportedOpError(f"{call.place}: no kernel takes inputs of type {types} and output "
                                 f"{', '.join(o.type.name for o in call.outputs)} in {call.numerics} numerics")

    def give_up(self, linked: Linked) -> None:
        """Go on after a refusal, with the shapes of the file, to find what else is lacking."""
        for t in linked.operator.outputs:
            if t >= 0:
                self.shapes.setdefault(t, self.graph.tensors[t].shape)


def _checked(call: Call, operand: Operand, shape: Shape) -> Shape:
    """The shape, when a tensor can have it. Raises: ShapeError, ArenaError."""
    call.need(all(0 <= d < 2**31 for d in shape), f"tensor {operand.index} '{operand.name}' would be {list(shape)}")
    size = math.prod(shape) * (operand.type.numpy.itemsize if operand.type.numpy is not None else 0)
    if size > LIMIT:
        raise ArenaError(f"{call.place}: tensor {operand.index} needs {size:,} bytes, the limit is {LIMIT:,} "
                         "(set TINYINTERP_ARENA_LIMIT to allow more)")
    return shape


def _owned(array: np.ndarray) -> bool:
    """Whether NumPy gave an array its memory."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array.base is None


def _argument(arg: Any) -> Arg:
    """Arrays contiguous and, but for those that lie in the model's own bytes, at a multiple of 64, so that no register is
    filled from two cache lines; numbers plain."""
    if isinstance(arg, np.ndarray):
        if arg.ndim == 0:
            raise ShapeError("a kernel argument has no dimensions")
        made = np.ascontiguousarray(arg)
        if made.nbytes >= ALIGNMENT and made.ctypes.data % ALIGNMENT and _owned(made):
            memory = aligned(made.nbytes)[: made.nbytes]
            memory[:] = made.reshape(-1).view(np.uint8)
            made = memory.view(made.dtype).reshape(made.shape)
        made.flags.writeable = False  # programs share it
        return made
    return arg  # type: ignore[no-any-return]
