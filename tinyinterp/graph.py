"""Link: from a model's records to a graph whose operators know what kind they are.

    Model ── link ──► Graph      every operator beside its Op, every constant as an array
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from .errors import ModelError, UnsupportedOpError, hint
from .kernels import op_of
from .kernels.cache import digest
from .kernels.contract import Op
from .schema import BuiltinOperator, Model, Operator, Tensor, TensorType
from .schema.frozen import record
from .schema.strings import unpack_strings


@record(frozen=True, slots=True)
class Linked:
    """One operator of the graph beside the op that answers for it (None: tinyinterp has no such op)."""

    index: int
    operator: Operator
    find: Callable[[BuiltinOperator | str], Op | None]  # asked late: a program that is kept on disk needs no op

    @property
    def op(self) -> Op | None:
        """What answers for it."""
        return self.find(self.operator.custom_code or self.operator.code)


class Origin:
    """The file, or the bytes, that a graph is of."""

    def __init__(self, data: np.ndarray, mark: tuple[int, ...]) -> None:
        """`mark`: what tells a file from others; empty when nothing but its content does."""
        self.bytes, self.mark = data, mark
        self.kept = 0  # how many programs of it this process has kept on disk

    @cached_property
    def identity(self) -> str:
        """The same for the same content only."""
        return repr(self.mark) if self.mark else digest(self.bytes.data).hex()


@record(frozen=True, slots=True)
class Graph:
    """A subgraph, ready to be lowered. Immutable."""

    name: str
    tensors: tuple[Tensor, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    operators: tuple[Linked, ...]
    constants: dict[int, np.ndarray]  # tensor index -> its value, read-only, on the file's bytes
    number: int = 0  # of the subgraph
    origin: Origin | None = None  # None: not to be kept on disk

    @property
    def missing(self) -> tuple[str, ...]:
        """The names of all operators that tinyinterp has no op for."""
        return tuple(dict.fromkeys(o.operator.name for o in self.operators if o.op is None))

    def __str__(self) -> str:
        lines = [f"graph '{self.name}': {len(self.operators)} operators, {len(self.tensors)} tensors"]
        for o in self.operators:
            names = [", ".join(self._tensor(t) for t in ts) for ts in (o.operator.inputs, o.operator.outputs)]
            lines.append(f"{o.index:4}  {o.operator.name:24} {names[0]} -> {names[1]}")
        return "\n".join(lines)

    def _tensor(self, t: int) -> str:
        if t < 0:
            return "-"
        kind = "=" if t in self.constants else ":"
        return f"t{t}{kind}{self.tensors[t].type.name.lower()}{list(self.tensors[t].shape)}"


def link(model: Model, subgraph: int = 0, ops: Sequence[Op] | None = None, origin: Origin | None = None) -> Graph:
    """The graph of one subgraph of a model, with the ops that run it (`ops`: all of tinyinterp's unless given)."""
    found: Any = op_of if ops is None else {op.code: op for op in ops}.get
    part = model.subgraphs[subgraph]
    constants = {}
    written = {*part.inputs, *(t for operator in part.operators for t in operator.outputs)}
    for i, tensor in enumerate(part.tensors):
        value = model.constant(tensor)
        if value is not None:
            constants[i] = value if tensor.type != TensorType.STRING else strings(value, tensor.shape)
        elif 0 in tensor.shape and tensor.type.numpy is not None and i not in written and not tensor.is_variable:
            constants[i] = np.zeros(tensor.shape, tensor.type.numpy)  # no elements, so none are missing
            constants[i].flags.writeable = False
    linked = tuple(Linked(i, operator, found) for i, operator in enumerate(part.operators))
    return Graph(part.name, part.tensors, part.inputs, part.outputs, linked, constants, subgraph, origin)


def strings(data: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """The bytes of a string tensor as an array of bytes objects, read-only."""
    array = np.empty(shape, object)
    array.reshape(-1)[:] = unpack_strings(data)[: array.size]
    array.flags.writeable = False
    return array


# Builtins that the format has and the official interpreter does not: register.cc lists all others.
UNREGISTERED = frozenset({BuiltinOperator[name] for name in (
    "CONCAT_EMBEDDINGS CALL DELEGATE PLACEHOLDER_FOR_GREATER_OP_CODES").split()} | {
    BuiltinOperator[f"STABLEHLO_{name}"] for name in (
    "LOGISTIC DIVIDE RESHAPE CLAMP CONCATENATE BROADCAST_IN_DIM CONVOLUTION SLICE CUSTOM_CALL REDUCE ABS COSINE EXPONENTIAL "
    "FLOOR LOG NEGATE OR POWER REMAINDER RSQRT SELECT SUBTRACT TANH COMPARE CONVERT DYNAMIC_SLICE DYNAMIC_UPDATE_SLICE IOTA "
    "DOT_GENERAL SORT WHILE TRANSPOSE CBRT").split()})


def check_known(model: Model) -> None:
    """Raises: ModelError for an operator that the official interpreter does not know either."""
    for k, subgraph in enumerate(model.subgraphs):
        for i, operator in enumerate(subgraph.operators):
            if operator.code in UNREGISTERED:
                raise ModelError(hint(
                    f"Didn't find op for builtin opcode '{operator.name}' version '{operator.version}'. An older version of this "
                    "builtin might be supported. Are you using an old TFLite binary with a newer model?\n",
                    f"operator {i} of subgraph {k}: the official interpreter has no such op either; convert the model again"))


def check_ops(graph: Graph) -> None:
    """Raises: UnsupportedOpError that lists every operator the graph needs and tinyinterp lacks."""
    custom = [o for o in graph.operators if o.op is None and o.operator.custom_code]
    builtin = [o for o in graph.operators if o.op is None and not o.operator.custom_code]
    if not custom and not builtin:
        return
    first = (custom or builtin)[0]
    if custom and first.operator.name.startswith("Flex"):
        official = ("Select TensorFlow op(s), included in the given model, is(are) not supported by this interpreter. "
                    "Make sure you apply/link the Flex delegate before inference.")
    elif custom:
        official = (f"Encountered unresolved custom op: {first.operator.name}.\n"
                    "See instructions: https://www.tensorflow.org/lite/guide/ops_custom")
    else:
        official = f"Didn't find op for builtin opcode '{first.operator.name}' version '{first.operator.version}'."
    raise UnsupportedOpError(
        f"{official} Node number {first.index} ({first.operator.name}) failed to prepare.\n"
        f"  hint: tinyinterp lacks {', '.join(graph.missing)}; "
        "an op of your own goes in with Interpreter(..., ops=(*OPS, MY_OP))")
