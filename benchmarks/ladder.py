"""Time every kernel that takes a call, from the definition to the fastest: the ladder of a family.

    python -m benchmarks.ladder conv

Each kernel runs alone, as the only one of its op, on one thread, on the same values; each must give the definition's bytes, else
the program stops. Kernels of lower instruction sets are made by forcing TINYINTERP_ISA. Writes the section `ladder` of
docs/kernels/FAMILY.md.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import machine
from docs.sections import write
from tinyinterp.bench import alone, shown
from tinyinterp.errors import UnsupportedOpError
from tinyinterp.graph import link
from tinyinterp.kernels import OPS, jit
from tinyinterp.program import Program
from tinyinterp.schema import Model, Padding, build, options, read
from tinyinterp.schema.build import one_op, tensor

ROOT = Path(__file__).resolve().parents[1]


def conv(dtype: str, h: int, c: int, o: int, k: int) -> Model:
    """CONV_2D of [1, h, h, c] with o windows of k x k, SAME."""
    rng = np.random.default_rng(0)
    settings = options.Conv2DOptions(padding=Padding.SAME, stride_h=1, stride_w=1)
    if dtype == "float32":
        w = tensor("w", dtype, data=rng.normal(0, 0.1, (o, k, k, c)).astype(np.float32))
        bias = tensor("bias", dtype, data=rng.normal(0, 1, o).astype(np.float32))
        return one_op("CONV_2D", [tensor("x", dtype, (1, h, h, c)), w, bias], [tensor("y", dtype, (1, h, h, o))], settings)
    scales = rng.uniform(0.5, 1, o).astype(np.float32) / 100
    w = tensor("w", dtype, data=rng.integers(-127, 128, (o, k, k, c)).astype(np.int8), scale=scales, axis=0)
    bias = tensor("bias", "int32", data=rng.integers(-1000, 1000, o).astype(np.int32), scale=scales * np.float32(0.05), axis=0)
    x = tensor("x", dtype, (1, h, h, c), scale=0.05, zero_point=3)
    return one_op("CONV_2D", [x, w, bias], [tensor("y", dtype, (1, h, h, o), scale=0.5, zero_point=-5)], settings)


FAMILIES = {"conv": {
    "3 x 3, 28 x 28 x 64 to 64, float32": (conv("float32", 28, 64, 64, 3), "default"),
    "3 x 3, 28 x 28 x 64 to 64, int8": (conv("int8", 28, 64, 64, 3), "default"),
    "1 x 1, 14 x 14 x 256 to 256, int8": (conv("int8", 14, 256, 256, 1), "default"),
    "1 x 1, 14 x 14 x 256 to 256, int8, reference numerics": (conv("int8", 14, 256, 256, 1), "reference"),
}}


@dataclass(frozen=True, slots=True)
class Rung:
    """One kernel's time for one call."""

    kernel: str
    seconds: float
    macs: int


def programs(model: Model, numerics: str) -> Iterator[Program]:
    """The model compiled with each kernel that takes its one operator, the definition first, lower instruction sets first."""
    data = build(model)
    code = model.subgraphs[0].operators[0].code
    op = next(op for op in OPS if op.code == code)
    before = os.environ.get("TINYINTERP_ISA")
    seen: set[str] = set()
    try:
        for level in reversed(jit.LEVELS):
            os.environ["TINYINTERP_ISA"] = level
            jit.level.cache_clear()
            if jit.level() != level:
                continue  # this processor does not have it
            for entry in reversed(op.kernels):
                graph = link(read(data), 0, [replace(op, kernels=(entry,))])
                try:
                    program = Program(graph, {t: graph.tensors[t].shape for t in graph.inputs}, numerics)
                except UnsupportedOpError:
                    continue  # this kernel does not take the call
                name = program.plan.steps[0].kernel.name
                if name not in seen:
                    seen.add(name)
                    yield program
    finally:
        os.environ.pop("TINYINTERP_ISA")
        if before is not None:
            os.environ["TINYINTERP_ISA"] = before
        jit.level.cache_clear()


def climb(model: Model, numerics: str, seconds: float) -> list[Rung]:
    """Every kernel's time, the same bytes asserted."""
    rungs: list[Rung] = []
    first: bytes | None = None
    for program in programs(model, numerics):
        graph = program.graph
        rng = np.random.default_rng(1)
        for t in graph.inputs:
            program.array(t)[...] = _values(program.array(t), rng)
        program.run()
        answer = b"".join(program.array(t).tobytes() for t in graph.outputs)
        name = program.plan.steps[0].kernel.name
        first = first or answer
        if answer != first:
            raise SystemExit(f"{name} does not give the bytes of {rungs[0].kernel}")
        rungs.append(Rung(name, alone(program.run, seconds).median, program.plan.macs))
    return rungs


def _values(array: np.ndarray, rng: np.random.Generator) -> Any:
    if array.dtype.kind == "f":
        return rng.normal(0, 1, array.shape)
    return rng.integers(np.iinfo(array.dtype.name).min, np.iinfo(array.dtype.name).max + 1, array.shape)


def table(title: str, rungs: list[Rung]) -> str:
    """One call's ladder in Markdown."""
    lines = [f"**{title}**, {rungs[0].macs:,} MACs", "", "| kernel | time | GMAC/s | times as fast as the definition |",
             "|---|--:|--:|--:|"]
    lines += [f"| `{r.kernel}` | {shown(r.seconds)} | {r.macs / r.seconds / 1e9:.1f} | {rungs[0].seconds / r.seconds:.1f} |"
              for r in rungs]
    return "\n".join(lines)


def main() -> None:
    arguments = argparse.ArgumentParser(description="Time every kernel that takes a call.")
    arguments.add_argument("family", choices=sorted(FAMILIES))
    arguments.add_argument("--seconds", type=float, default=2.0, help="how long to measure each kernel")
    arguments.add_argument("--print", action="store_true", help="print only, leave the page as it is")
    args = arguments.parse_args()
    parts = [table(title, climb(model, numerics, args.seconds)) for title, (model, numerics) in FAMILIES[args.family].items()]
    text = "\n\n".join([f"{machine()}; one thread; medians.", *parts])
    print(text)
    if not args.print:
        write(ROOT / "docs" / "kernels" / f"{args.family}.md", "ladder", text)


if __name__ == "__main__":
    main()
