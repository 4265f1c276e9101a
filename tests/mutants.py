"""Damaged models: sound ones with a shape, an option, a constant, a quantization or an operand that is wrong."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import fields, replace
from enum import IntEnum
from functools import lru_cache
from typing import Any

import numpy as np

SMALL = 200_000  # bytes of a file
NUMBERS = (-(2**31), -100_000, -7, -2, -1, 0, 1, 2, 3, 4, 5, 7, 8, 9, 63, 64, 100, 2**15, 2**16, 2**31 - 1)
REALS = (0.0, -0.0, -1.0, float("nan"), float("inf"), -float("inf"), 1e-45, 1e-30, 1e30, 3e38, 0.5, 1.0, 2.0**-31)


@lru_cache(maxsize=1)
def sources() -> tuple[bytes, ...]:
    """The sound models that are damaged."""
    from tests.contract.examples import examples
    from tests.harness import models
    from tinyinterp.schema import build, read

    made = [build(model) for several in examples().values() for model in several]
    given = []
    for path in models():
        if path.stat().st_size < SMALL:
            try:
                read(path)
            except ValueError:
                continue
            given.append(path.read_bytes())
    return (*given, *made)


def mutant(number: int, seed: int, given: Sequence[bytes]) -> bytes:
    """The mutant of this number: the same bytes for the same seed and the same models."""
    from tests.schema.mutants import mutants
    from tinyinterp.schema import build, read

    rng = random.Random(f"{seed} {number}")
    data = given[rng.randrange(len(given))]
    if rng.random() < 0.2:
        return next(mutants(data, rng.randrange(2**30), 1))
    model = read(data)
    for _ in range(50):
        changed = model
        try:
            for _ in range(rng.choice((1, 1, 1, 2, 3))):
                changed = rng.choice(WOUNDS)(changed, rng)
            return build(changed)
        except Exception:  # what the writer cannot write is no file
            continue
    return data


def _tensor(model: Any, rng: random.Random, change: Any) -> Any:
    """The model with one tensor changed: `change` gives the tensor and its bytes."""
    part = model.subgraphs[0]
    used = [t for o in part.operators for t in (*o.inputs, *o.outputs) if t >= 0] or range(len(part.tensors))
    t = rng.choice(list(used))
    tensor, data = change(part.tensors[t], model.buffers[part.tensors[t].buffer])
    buffers = model.buffers
    if data is not None:
        tensor = replace(tensor, buffer=len(buffers))
        buffers = (*buffers, np.asarray(data, np.uint8))
    tensors = (*part.tensors[:t], tensor, *part.tensors[t + 1 :])
    return replace(model, buffers=buffers, subgraphs=(replace(part, tensors=tensors), *model.subgraphs[1:]))


def _operator(model: Any, rng: random.Random, change: Any) -> Any:
    part = model.subgraphs[0]
    i = rng.randrange(len(part.operators))
    operators = (*part.operators[:i], change(part.operators[i]), *part.operators[i + 1 :])
    return replace(model, subgraphs=(replace(part, operators=operators), *model.subgraphs[1:]))


def _fit(tensor: Any, data: np.ndarray, rng: random.Random) -> tuple[Any, np.ndarray | None]:
    """Bytes for a constant of a new shape or type, so that it passes the reader; none for what is no constant."""
    if not len(data) or tensor.type.bits is None or tensor.sparsity:
        return tensor, None
    count = int(np.prod([max(d, 0) for d in tensor.shape], dtype=object))
    size = (count * tensor.type.bits + 7) // 8
    return tensor, np.resize(data, size) if 0 < size < 1 << 20 else None


def shape(model: Any, rng: random.Random) -> Any:
    def change(tensor: Any, data: np.ndarray) -> Any:
        dims = list(tensor.shape)
        how = rng.randrange(7)
        if how == 0 and dims:
            dims.pop(rng.randrange(len(dims)))
        elif how == 1:
            dims.insert(rng.randrange(len(dims) + 1), rng.choice((1, 1, 2, 3, 0)))
        elif how == 2:
            rng.shuffle(dims)
        elif dims:
            k = rng.randrange(len(dims))
            d = dims[k]
            dims[k] = rng.choice((0, 1, 2, 3, 5, 17, 65, 1000, 2**20, d + 1, d - 1, d * 2, d // 2, d + 16))
        made = replace(tensor, shape=tuple(dims), shape_signature=None)
        return _fit(made, data, rng) if rng.random() < 0.9 else (made, None)

    return _tensor(model, rng, change)


def kind(model: Any, rng: random.Random) -> Any:
    def change(tensor: Any, data: np.ndarray) -> Any:
        return _fit(replace(tensor, type=rng.choice(list(type(tensor.type)))), data, rng)

    return _tensor(model, rng, change)


def option(model: Any, rng: random.Random) -> Any:
    def change(operator: Any) -> Any:
        if operator.options is None or not (names := [f.name for f in fields(operator.options)]):
            return operator
        name = rng.choice(names)
        value = getattr(operator.options, name)
        new: Any
        if isinstance(value, bool):
            new = not value
        elif isinstance(value, IntEnum):
            new = rng.choice(list(type(value)))
        elif isinstance(value, int):
            new = rng.choice((*NUMBERS, value + 1, value - 1))
        elif isinstance(value, float):
            new = rng.choice(REALS)
        elif isinstance(value, tuple):
            items = list(value) or [1]
            items[rng.randrange(len(items))] = rng.choice(NUMBERS)
            new = tuple(items[: rng.randrange(len(items) + 1)] if rng.random() < 0.3 else items)
        else:
            return operator
        return replace(operator, options=replace(operator.options, **{name: new}))

    return _operator(model, rng, change)


def numbers(model: Any, rng: random.Random) -> Any:
    """Axes, sizes, paddings and the like: small integer constants."""
    part = model.subgraphs[0]
    wide = {t for t, x in enumerate(part.tensors) if x.type.name in ("INT32", "INT64") and 0 < len(model.buffers[x.buffer]) <= 64}
    found = [t for o in part.operators for t in o.inputs if t in wide]
    if not found:
        return option(model, rng)
    t = rng.choice(found)
    tensor = part.tensors[t]
    dtype = "<i4" if tensor.type.name == "INT32" else "<i8"
    values = np.array(model.buffers[tensor.buffer]).view(dtype).copy()
    k = rng.randrange(len(values))
    values[k] = rng.choice((*NUMBERS, int(values[k]) + 1, int(values[k]) - 1))
    tensors = (*part.tensors[:t], replace(tensor, buffer=len(model.buffers)), *part.tensors[t + 1 :])
    return replace(model, buffers=(*model.buffers, values.view(np.uint8)),
                   subgraphs=(replace(part, tensors=tensors), *model.subgraphs[1:]))


def quantization(model: Any, rng: random.Random) -> Any:
    def change(tensor: Any, data: np.ndarray) -> Any:
        q = tensor.quantization
        scale, zero = q.scale.copy(), q.zero_point.copy()
        how = rng.randrange(6)
        if how == 0:
            scale, zero = scale[:0], zero[:0]
        elif how == 1:
            n = rng.choice((1, 2, 3, 8))
            scale, zero = np.resize(scale if len(scale) else [0.1], n), np.resize(zero if len(zero) else [0], n)
        elif how == 2 and len(scale):
            scale[rng.randrange(len(scale))] = rng.choice(REALS)
        elif how == 3 and len(zero):
            zero[rng.randrange(len(zero))] = rng.choice((*NUMBERS, 127, -128, 255, 2**62))
        elif how == 4:
            return replace(tensor, quantization=replace(q, axis=rng.choice(NUMBERS))), None
        else:
            scale, zero = np.array([rng.choice((0.1, 1e-6, 1e3, 2.0**-40))], np.float32), np.array([rng.choice((0, 5))])
        return replace(tensor, quantization=replace(q, scale=scale.astype("<f4"), zero_point=zero.astype("<i8"))), None

    return _tensor(model, rng, change)


def operands(model: Any, rng: random.Random) -> Any:
    count = len(model.subgraphs[0].tensors)

    def change(operator: Any) -> Any:
        side = rng.choice(("inputs", "inputs", "outputs"))
        items = list(getattr(operator, side))
        how = rng.randrange(4)
        if how == 0 and len(items) > 1:
            rng.shuffle(items)
        elif how == 1 and items:
            items.pop()
        elif how == 2:
            items.append(rng.randrange(-1, count))
        elif items:
            items[rng.randrange(len(items))] = rng.randrange(-1, count)
        return replace(operator, **{side: tuple(items)})

    return _operator(model, rng, change)


def code(model: Any, rng: random.Random) -> Any:
    """Another op on the same operands, with the options that a file without any stands for."""
    from tinyinterp.kernels import OPS
    from tinyinterp.schema.layout import OPTIONS_OF

    op = rng.choice([op for op in OPS if not isinstance(op.code, str)])
    record = OPTIONS_OF.get(op.code)
    return _operator(model, rng, lambda o: replace(o, code=op.code, custom_code="", options=record and record()))


def floats(model: Any, rng: random.Random) -> Any:
    def change(tensor: Any, data: np.ndarray) -> Any:
        if tensor.type.name != "FLOAT32" or len(data) < 4:
            return tensor, None
        values = np.array(data[: len(data) // 4 * 4]).view("<f4").copy()
        values[rng.randrange(len(values))] = rng.choice(REALS)
        return tensor, values.view(np.uint8)

    return _tensor(model, rng, change)


def ends(model: Any, rng: random.Random) -> Any:
    """Other inputs and outputs of the graph; a variable."""
    part = model.subgraphs[0]
    count = len(part.tensors)
    how = rng.randrange(3)
    if how == 0:
        part = replace(part, outputs=(*part.outputs, rng.randrange(count)))
    elif how == 1:
        part = replace(part, inputs=(*part.inputs, rng.randrange(count)))
    else:
        return _tensor(model, rng, lambda tensor, data: (replace(tensor, is_variable=not tensor.is_variable), None))
    return replace(model, subgraphs=(part, *model.subgraphs[1:]))


WOUNDS = (shape, shape, shape, option, option, option, numbers, numbers, quantization, quantization, kind, operands, code,
          floats, ends)
