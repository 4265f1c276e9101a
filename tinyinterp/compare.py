"""Compare a model's run with the official interpreter's, bit for bit: which tensors differ, and from which operator on.

    verify(model) ──► Verdict      the outputs of the model as it is, then every tensor between the operators

A tensor between operators shares its bytes with others while the model runs. To read them all, the model is written again
with each of them as an output of the graph (`expose`); both interpreters then run that model. The first operator whose
output differs had equal inputs, so the difference is its own.

A NaN equals a NaN: its sign and payload bits are not compared.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .errors import OptionError, hint
from .pair import feed, ours, random_value, theirs
from .schema import Model, TensorType, build, read

_OPAQUE = (TensorType.RESOURCE, TensorType.VARIANT)


@dataclass(frozen=True, slots=True)
class Difference:
    """One tensor that is not the same."""

    tensor: int
    name: str
    operator: str  # "CONV_2D (operator 7)", which writes it
    kernel: str  # of this interpreter
    count: int  # elements that differ; -1 when type or shape already do
    size: int
    largest: float  # the largest difference of values; of integers: in steps
    ulps: int  # the largest difference of floats counted in representable numbers; 0 for integers
    at: int  # the first element that differs, flat
    ours: str
    theirs: str

    def __str__(self) -> str:
        head = f"{self.operator}, tensor {self.tensor} '{self.name}'"
        head += f", kernel {self.kernel}" if self.kernel else ""
        if self.count < 0:
            return f"{head}: {self.ours} here, {self.theirs} there"
        ulps = f", {self.ulps:,} representable numbers" if self.ulps else ""
        return (f"{head}: {self.count:,} of {self.size:,} values differ, by at most {self.largest:g}{ulps}; "
                f"first at {self.at}: {self.ours} here, {self.theirs} there")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a comparison in one of the numerics found."""

    numerics: str
    threads: int
    runs: int
    outputs: int  # compared
    output_differences: tuple[Difference, ...]
    tensors: int  # compared between the operators; 0: left out
    differences: tuple[Difference, ...]  # in the order of the operators, the first run in which any differ

    @property
    def equal(self) -> bool:
        return not self.output_differences and not self.differences

    def __str__(self) -> str:
        runs = f"{self.runs} run{'s' * (self.runs > 1)}, {self.threads} thread{'s' * (self.threads > 1)}"
        lines = [f"{self.numerics}: {self.outputs - len(self.output_differences)} of {self.outputs} outputs equal, every byte"
                 + (f"; {self.tensors - len(self.differences)} of {self.tensors} tensors between the operators"
                    if self.tensors else "") + f" ({runs})"]
        lines += [f"  output: {d}" for d in self.output_differences]
        if self.differences:
            lines.append(f"  first to differ: {self.differences[0]}")
        return "\n".join(lines)


def verify(data: str | bytes, numerics: str = "default", threads: int = 1, runs: int = 2, seed: int = 0,
           given: Mapping[int, Any] | None = None, inner: bool = True) -> Verdict:
    """Compare `runs` runs on random inputs (`given`: tensor -> value for those that are not random) with the official
    interpreter's; `inner`: the tensors between the operators as well.

    Raises: ModelError and what allocate_tensors() and invoke() raise; OptionError when the official one refuses.
    """
    model = read(data)
    feeds = list(_feeds(model, runs, seed, given or {}))
    outputs = list(dict.fromkeys(model.subgraphs[0].outputs))
    found = _differences(data, model, outputs, numerics, threads, feeds)
    tensors = exposed(model) if inner else []
    differing: list[Difference] = []
    if tensors:
        data = build(expose(model, tensors))
        differing = _differences(data, model, tensors, numerics, threads, feeds)
    return Verdict(numerics, threads, runs, len(outputs), tuple(found), len(tensors), tuple(differing))


def _feeds(model: Model, runs: int, seed: int, given: Mapping[int, Any]) -> Iterator[dict[int, Any]]:
    rng = np.random.default_rng(seed)
    part = model.subgraphs[0]
    for _ in range(runs):
        values = dict(given)
        for t in part.inputs:
            tensor = part.tensors[t]
            if t not in values and tensor.type not in _OPAQUE:
                dtype = tensor.type.numpy or np.dtype(object if tensor.type == TensorType.STRING else np.int8)
                values[t] = random_value({"dtype": dtype, "shape": tensor.shape, "name": tensor.name}, rng)
        yield values


def exposed(model: Model) -> list[int]:
    """The tensors of the main subgraph that its operators compute and that are no outputs, in the order of the operators.

    What follows from constants alone is left out: as an output it would change which operators the official delegate takes.
    """
    part = model.subgraphs[0]
    known = {t for t, x in enumerate(part.tensors) if x.buffer and len(model.buffers[x.buffer])}
    found: list[int] = []
    for operator in part.operators:
        made = [t for t in operator.outputs if t >= 0]
        if all(t < 0 or t in known for t in operator.inputs):
            known.update(made)
            continue
        found += [t for t in made if not part.tensors[t].is_variable and part.tensors[t].type not in _OPAQUE]
    return [t for t in dict.fromkeys(found) if t not in part.outputs and t not in part.inputs]


def expose(model: Model, tensors: Iterable[int]) -> Model:
    """The model with these tensors of its main subgraph as further outputs."""
    main = model.subgraphs[0]
    return replace(model, subgraphs=(replace(main, outputs=(*main.outputs, *tensors)), *model.subgraphs[1:]))


def _differences(data: str | bytes, model: Model, tensors: Sequence[int], numerics: str, threads: int,
                 feeds: Sequence[Mapping[int, Any]]) -> list[Difference]:
    """What differs in the first run in which anything does."""
    here, there = ours(data, numerics, threads), theirs(data, numerics, threads)
    for values in feeds:
        for interpreter in (here, there):
            feed(interpreter, values)
        here.invoke()
        try:
            there.invoke()
        except (RuntimeError, ValueError) as error:
            raise OptionError(hint("the official interpreter fails on these values", str(error))) from error
        found = [d for t in tensors if (d := difference(here.get_tensor(t), there.get_tensor(t), t)) is not None]
        if found:
            return [_placed(d, model, here) for d in found]
    return []


def difference(here: Any, there: Any, tensor: int = 0) -> Difference | None:
    """What differs between two values; None when nothing does. NaNs are equal, whatever their bits.

    >>> difference(np.float32([1, 2]), np.float32([1, 2.5])).largest
    0.5
    """
    a, b = np.asarray(here), np.asarray(there)

    def made(count: int, largest: float, ulps: int, at: int, x: Any, y: Any) -> Difference:
        return Difference(tensor, "", "", "", count, a.size, largest, ulps, at, str(x), str(y))

    if a.dtype.kind in "OSU" and b.dtype.kind in "OSU":
        a, b = a.astype(object), b.astype(object)
    if a.dtype != b.dtype or a.shape != b.shape:
        return made(-1, 0.0, 0, 0, f"{a.dtype}{list(a.shape)}", f"{b.dtype}{list(b.shape)}")
    x, y = a.reshape(-1), b.reshape(-1)
    if a.dtype == object:
        differ = np.array([p != q for p, q in zip(x, y)], bool)
    elif a.dtype.kind == "c":
        parts = np.float32 if a.dtype == np.complex64 else np.float64
        differ = np.asarray(_unlike(x.view(parts), y.view(parts)).reshape(-1, 2).any(axis=1))
    else:
        differ = _unlike(x, y)
    if not differ.any():
        return None
    at, ulps, largest = int(np.argmax(differ)), 0, 0.0
    if a.dtype.kind == "f":
        with np.errstate(all="ignore"):
            gaps = np.abs(x[differ].astype(np.float64) - y[differ].astype(np.float64))
        largest = float(np.nan_to_num(gaps, nan=np.inf).max())
        ulps = max(abs(p - q) for p, q in zip(_rank(x[differ]), _rank(y[differ])))
    elif a.dtype.kind in "iu":
        largest = float(max(abs(int(p) - int(q)) for p, q in zip(x[differ], y[differ])))
    elif a.dtype.kind == "c":
        largest = float(np.abs(x[differ] - y[differ]).max())
    return made(int(differ.sum()), largest, ulps, at, x[at], y[at])


def _unlike(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Where the bytes differ, except a NaN from a NaN."""
    raw = f"u{x.dtype.itemsize}"
    differ = np.ascontiguousarray(x).view(raw) != np.ascontiguousarray(y).view(raw)
    if x.dtype.kind == "f":
        differ &= ~(np.isnan(x) & np.isnan(y))
    return np.asarray(differ)


def _rank(x: np.ndarray) -> list[int]:
    """Floats as integers in the same order, one apart for neighbours; -0 and 0 are one apart."""
    bits = [int(v) for v in np.ascontiguousarray(x).view(f"i{x.dtype.itemsize}")]
    lowest = -(1 << (8 * x.dtype.itemsize - 1))
    return [b if b >= 0 else lowest - b - 1 for b in bits]


def _placed(found: Difference, model: Model, here: Any) -> Difference:
    """The same with names."""
    part = model.subgraphs[0]
    writer = next(((i, o) for i, o in enumerate(part.operators) if found.tensor in o.outputs), None)
    operator = "no operator" if writer is None else f"{writer[1].name} (operator {writer[0]})"
    step = here.program.step_of(found.tensor)
    return replace(found, name=part.tensors[found.tensor].name, operator=operator, kernel=step.kernel.name if step else "")
