"""What many tests share: run a model here and in the official interpreter, and compare bytes."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinyinterp.errors import UnsupportedOpError
from tinyinterp.graph import link
from tinyinterp.kernels import OPS
from tinyinterp.program import Program
from tinyinterp.schema import Model, build, read

NUMERICS = ("reference", "default", "builtin")


def models() -> list[Path]:
    """The real models that TINYINTERP_MODELS points to; none when it is not set."""
    folder = os.environ.get("TINYINTERP_MODELS")
    return sorted(p for p in Path(folder).rglob("*") if p.suffix in (".tflite", ".tfl", ".lite", ".bin")) if folder else []


def official(data: bytes, numerics: str = "default", threads: int = 1, **options: Any) -> Any:
    """The official interpreter for a model, not yet allocated."""
    litert = pytest.importorskip("ai_edge_litert.interpreter")
    resolver = {"default": litert.OpResolverType.BUILTIN, "reference": litert.OpResolverType.BUILTIN_REF,
                "builtin": litert.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES}[numerics]
    return litert.Interpreter(model_content=data, experimental_op_resolver_type=resolver, num_threads=threads, **options)


def random_value(dtype: Any, shape: Sequence[int], rng: np.random.Generator) -> np.ndarray:
    """Full-range values: every byte for 8 bits, both signs and some zeros for floats, small numbers for indices."""
    dtype = np.dtype(dtype)
    if dtype == np.bool_:
        return rng.random(shape) < 0.5
    if dtype.kind == "f":
        value = rng.normal(0, 2, shape)
        return np.where(rng.random(shape) < 0.05, 0.0, value).astype(dtype)
    if dtype.kind == "c":
        return (rng.normal(0, 2, shape) + 1j * rng.normal(0, 2, shape)).astype(dtype)
    if dtype.itemsize >= 4:
        return rng.integers(0, 4, shape).astype(dtype)
    info = np.iinfo(dtype)
    return rng.integers(info.min, info.max + 1, shape).astype(dtype)


def same(ours: np.ndarray, theirs: np.ndarray) -> str:
    """Empty when bytes, dtype and shape are equal, else what differs. A NaN equals a NaN whatever its payload."""
    if ours.dtype != theirs.dtype or ours.shape != theirs.shape:
        return f"{ours.dtype}{list(ours.shape)} here, {theirs.dtype}{list(theirs.shape)} there"
    if ours.tobytes() == theirs.tobytes():
        return ""
    raw = f"u{ours.dtype.itemsize}"
    a, b = (np.ascontiguousarray(v).reshape(-1).view(raw if ours.dtype.kind != "c" else ours.dtype) for v in (ours, theirs))
    differ = a != b
    if ours.dtype.kind == "f":
        differ &= ~(np.isnan(ours.reshape(-1)) & np.isnan(theirs.reshape(-1)))
    if not differ.any():
        return ""
    at = int(np.argmax(differ))
    here, there = ours.reshape(-1)[at], theirs.reshape(-1)[at]
    return f"{int(differ.sum())} of {differ.size} values, first at {at}: {here!r} here, {there!r} there"


def compare(model: Model | bytes, numerics: str, inputs: Mapping[int, np.ndarray] | None = None, threads: int = 1,
            seed: int = 0, runs: int = 2, ops: Sequence[Any] = OPS) -> list[str]:
    """What differs between this library and the official interpreter, output by output; empty when nothing does.

    `inputs`: position in the model's input list -> value; the others are random.
    """
    data = model if isinstance(model, bytes) else build(model)
    theirs = official(data, numerics, threads)
    theirs.allocate_tensors()
    graph = link(read(data), 0, ops)
    ours = Program(graph, {t: graph.tensors[t].shape for t in graph.inputs}, numerics, threads)
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(runs):
        for k, (detail, t) in enumerate(zip(theirs.get_input_details(), graph.inputs)):
            value = (inputs or {}).get(k)
            if value is None:
                value = random_value(detail["dtype"], detail["shape"], rng)
            theirs.set_tensor(detail["index"], value)
            ours.array(t)[...] = value
        theirs.invoke()
        ours.run()
        for detail, t in zip(theirs.get_output_details(), graph.outputs):
            if difference := same(ours.array(t), np.asarray(theirs.get_tensor(detail["index"]))):
                found.append(f"{numerics}, output {detail['name']!r}: {difference}")
    return found


def ours(model: Model | bytes, *values: Any, numerics: str = "reference", threads: int = 1) -> list[np.ndarray]:
    """The outputs of this library alone, for these values of the model's inputs."""
    graph = link(read(model if isinstance(model, bytes) else build(model)), 0)
    program = Program(graph, {t: graph.tensors[t].shape for t in graph.inputs}, numerics, threads)
    for t, value in zip(graph.inputs, values):
        program.array(t)[...] = value
    program.run()
    return [program.array(t).copy() for t in graph.outputs]


def check(model: Model | bytes, numerics: Sequence[str] = NUMERICS, **options: Any) -> None:
    """Assert that nothing differs, in each of these numerics."""
    found = [line for n in numerics for line in compare(model, n, **options)]
    assert not found, "\n".join(found)


def every_kernel(model: Model, numerics: str, *values: Any, threads: int = 1) -> int:
    """Assert that each kernel that takes the one operator of a model gives the definition's bytes; how many there are."""
    graph = link(read(build(model)), 0)
    operator = graph.operators[0]
    shapes = {t: graph.tensors[t].shape for t in graph.inputs}
    made: list[tuple[str, list[np.ndarray]]] = []
    for first in range(len(operator.op.kernels)):
        op = replace(operator.op, kernels=operator.op.kernels[first:])
        try:
            program = Program(replace(graph, operators=(replace(operator, find=lambda _, op=op: op),)), shapes, numerics, threads)
        except UnsupportedOpError:
            break
        name = program.plan.steps[0].kernel.name
        if any(name == other for other, _ in made):
            continue
        for t, value in zip(graph.inputs, values):
            program.array(t)[...] = value
        program.run()
        made.append((name, [program.array(t).copy() for t in graph.outputs]))
    for name, outputs in made[:-1]:
        for mine, defined in zip(outputs, made[-1][1]):
            assert not (difference := same(mine, defined)), f"{name}, {numerics}: {difference}"
    return len(made)


def cut(model: Model, index: int, subgraph: int = 0) -> Model:
    """A model of one operator of another: its variable inputs become the model's inputs."""
    part = model.subgraphs[subgraph]
    operator = part.operators[index]
    used = list(dict.fromkeys(t for t in (*operator.inputs, *operator.outputs, *operator.intermediates) if t >= 0))
    place = {t: i for i, t in enumerate(used)}

    def move(ts: Sequence[int]) -> tuple[int, ...]:
        return tuple(place[t] if t >= 0 else -1 for t in ts)

    made = replace(operator, inputs=move(operator.inputs), outputs=move(operator.outputs),
                   intermediates=move(operator.intermediates))
    fed = tuple(dict.fromkeys(place[t] for t in operator.inputs
                              if t >= 0 and len(model.buffers[part.tensors[t].buffer]) == 0 and not part.tensors[t].is_variable))
    small = replace(part, tensors=tuple(part.tensors[t] for t in used), inputs=fed, outputs=made.outputs, operators=(made,))
    return replace(model, subgraphs=(small,), signatures=(), metadata=())


def operators(name: str, limit: int = 40) -> Iterator[tuple[Path, int, Model]]:
    """Operators of one kind in the real models: (file, operator index, the whole model), different shapes first."""
    seen = set()
    for path in models():
        try:
            model = read(path)
        except ValueError:
            continue
        for i, operator in enumerate(model.subgraphs[0].operators):
            if operator.name != name:
                continue
            tensors = model.subgraphs[0].tensors
            key = (str(operator.options), *((tensors[t].type, tensors[t].shape) if t >= 0 else () for t in operator.inputs))
            if key not in seen and len(seen) < limit:
                seen.add(key)
                yield path, i, model
