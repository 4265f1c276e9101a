"""The networks to measure, and the operators that occur in them.

`networks`: files given by path, or all below TINYINTERP_MODELS that are networks (four operators and 2500 bytes of constants
at least). `operators`: each op's distinct calls in them, cut out as models of one operator.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from tests.harness import cut, models
from tinyinterp.errors import ModelError
from tinyinterp.kernels import OPS
from tinyinterp.schema import Model, Operator, Subgraph, TensorType, build, read

WEIGHTS, OPERATORS = 2500, 4  # below this a file is an operator's test, not a network
KINDS = ("int8", "uint8", "float32", "float16", "hybrid int8", "int16x8", "none")
WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "FULLY_CONNECTED")
NAMES = frozenset(op.name for op in OPS)
opened = lru_cache(maxsize=None)(read)  # the networks are looked at again for each operator cut out of them


def networks(paths: Sequence[str] = ()) -> list[Path]:
    """The files given, folders searched; without any, the networks below TINYINTERP_MODELS. The same bytes count once."""
    given = [Path(p) for p in paths]
    files = [f for p in given for f in (sorted(p.rglob("*.tflite")) if p.is_dir() else [p])] if given else models()
    found: dict[int, Path] = {}
    for path in files:
        try:
            model = opened(path)
        except ModelError:
            continue
        if given or (len(model.subgraphs[0].operators) >= OPERATORS and sum(len(b) for b in model.buffers) >= WEIGHTS):
            found.setdefault(hash(path.read_bytes()), path)
    return list(found.values())


def titles(paths: Sequence[Path]) -> dict[Path, str]:
    """A short name for each file: its last part, with as many folders before it as tell it from the others."""
    made: dict[Path, str] = {}
    for path in paths:
        for n in range(1, len(path.parts) + 1):
            tail = path.parts[-n:]
            if sum(p.parts[-n:] == tail for p in paths) == 1:
                break
        made[path] = "/".join(tail).removesuffix(".tflite")
    return made


def weight_kind(model: Model) -> str:
    """The type that most bytes of the weights have: one of KINDS."""
    part = model.subgraphs[0]
    bytes_of: Counter[str] = Counter()
    for operator in part.operators:
        for t in operator.inputs:
            value = model.constant(part.tensors[t]) if t >= 0 else None
            if value is None or value.size < 16 or part.tensors[t].type in (TensorType.INT32, TensorType.INT64):
                continue
            bytes_of[_kind(part, operator, t)] += value.nbytes
    best = bytes_of.most_common(1)
    return best[0][0] if best and best[0][0] in KINDS else "none"


def _kind(part: Subgraph, operator: Operator, t: int) -> str:
    kind = part.tensors[t].type.name.lower()
    first = part.tensors[operator.inputs[0]].type if operator.inputs[0] >= 0 else None
    if kind == "int8" and (operator.name == "DEQUANTIZE" or first == TensorType.FLOAT32):
        return "hybrid int8"
    return "int16x8" if kind == "int8" and first == TensorType.INT16 else kind


@dataclass(frozen=True, slots=True)
class Case:
    """One call of an op, as a model of its own."""

    key: str  # the same in every run
    op: str
    type: str  # of its first input, and of its weights when that differs
    group: str  # what the tables put together
    shapes: str
    data: bytes
    count: int  # how often the networks call it
    of: int = 0  # how many distinct calls its group has in them


def operators(paths: Sequence[Path], ops: frozenset[str] = NAMES, limit: int = 0,
              groups: frozenset[str] = frozenset()) -> Iterator[Case]:
    """The distinct calls of these ops in these networks, by group, the small ones first. `limit`: so many of each group, evenly
    from the smallest to the largest. `groups`: these alone, all when it is empty."""
    found: dict[str, Counter[str]] = {}
    where: dict[str, tuple[int, Path, int]] = {}
    for path in paths:
        model = opened(path)
        part = model.subgraphs[0]
        for i, operator in enumerate(part.operators):
            if operator.name in ops and _runs_alone(model, operator) and (not groups or group_of(model, i) in groups):
                key = _key(part, operator)
                size = sum(math.prod(part.tensors[t].shape) for t in (*operator.inputs, *operator.outputs) if t >= 0)
                where.setdefault(key, (size, path, i))
                found.setdefault(group_of(model, i), Counter())[key] += 1
    for group, keys in sorted(found.items()):
        for key in evenly(sorted(keys, key=lambda k: (where[k][0], k)), limit):
            _, path, i = where[key]
            model = opened(path)
            operator = model.subgraphs[0].operators[i]
            shapes = shapes_of(model, operator)
            yield Case(key, operator.name, type_of(model, operator), group, shapes, alone(model, i), keys[key], len(keys))


def evenly(items: Sequence[str], limit: int) -> list[str]:
    """So many of them, the first and the last too.

    >>> evenly("abcdefg", 3)
    ['a', 'd', 'g']
    """
    if not limit or len(items) <= limit:
        return list(items)
    return [items[i * (len(items) - 1) // max(limit - 1, 1)] for i in range(limit)]


def alone(model: Model, index: int) -> bytes:
    """One operator as a model, without the constants of the others."""
    made = cut(model, index)
    used = {t.buffer for t in made.subgraphs[0].tensors}
    return build(replace(made, buffers=tuple(b if i in used else b[:0] for i, b in enumerate(made.buffers))))


def _runs_alone(model: Model, operator: Operator) -> bool:
    part = model.subgraphs[0]
    constant = [t >= 0 and model.constant(part.tensors[t]) is not None for t in operator.inputs]
    fed = [part.tensors[t] for t, c in zip(operator.inputs, constant) if t >= 0 and not c]
    if not fed or any(t.is_variable or t.type.numpy is None for t in fed):
        return False
    return operator.name not in WEIGHTED or constant[1]


def _key(part: Subgraph, operator: Operator) -> str:
    tensors = [(t.type.name, t.shape, len(t.quantization.scale) > 1) if t else None
               for t in (part.tensors[i] if i >= 0 else None for i in (*operator.inputs, *operator.outputs))]
    text = f"{operator.name} {tensors} {operator.options} {operator.custom_options.hex()}"
    return f"{operator.name} {hashlib.sha256(text.encode()).hexdigest()[:10]}"


def type_of(model: Model, operator: Operator) -> str:
    """`int8`, or `float32*int8` when the weights are of another type."""
    part = model.subgraphs[0]
    first = operator.inputs[1:2] if operator.name == "SPLIT" else operator.inputs[: 2 if operator.name in WEIGHTED else 1]
    kinds = [part.tensors[t].type.name.lower() for t in first if t >= 0]
    if operator.name == "TRANSPOSE_CONV" and len(operator.inputs) > 2:
        kinds = [part.tensors[t].type.name.lower() for t in (operator.inputs[2], operator.inputs[1])]
    return "*".join(dict.fromkeys(kinds))


def group_of(model: Model, index: int) -> str:
    """`CONV_2D 1x1 int8`: op, kind of window, type."""
    operator = model.subgraphs[0].operators[index]
    kind = ""
    if operator.name == "CONV_2D":
        kh, kw, c = model.subgraphs[0].tensors[operator.inputs[1]].shape[1:]
        kind = " first" if c <= 4 and kh * kw > 1 else " 1x1" if kh * kw == 1 else " 3x3" if kh == kw == 3 else " wide"
    return f"{operator.name}{kind} {type_of(model, operator)}"


def shapes_of(model: Model, operator: Operator) -> str:
    """`1x28x28x64, 64x3x3x64 -> 1x28x28x64`."""
    part = model.subgraphs[0]

    def text(ts: Sequence[int]) -> str:
        return ", ".join("x".join(map(str, part.tensors[t].shape)) or "1" for t in ts if t >= 0)

    big = [t for t in operator.inputs
           if t >= 0 and (part.tensors[t].type != TensorType.INT32 or np.prod(part.tensors[t].shape) > 8)]
    return f"{text(big[:2])} -> {text(operator.outputs[:1])}"
