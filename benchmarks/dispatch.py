"""Is the kernel that was chosen the fastest of those that accept the call?

    python -m benchmarks.dispatch [NETWORK …] [--limit 4] [--op CONV_2D …] [--threads 1]

For each distinct call (see `operators`) every kernel that the op offers is bound as its only one, run once, and those that need
less than three times the best are timed in turns. All of them must give the same bytes. A call is an offender when another kernel
needs less than 0.9 of the chosen one's time, in three rounds of four and at best, and does so again when the two are timed
alone. Writes benchmarks/results/dispatch.json.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.built import built
from benchmarks.cases import NAMES, Case, networks, operators
from benchmarks.operators import STOPPED
from benchmarks.record import RESULTS, Record, Row, short, table, warn
from tinyinterp.bench import Times, together
from tinyinterp.errors import TinyInterpError
from tinyinterp.graph import Graph, link
from tinyinterp.kernels.contract import Kernel, Op
from tinyinterp.lower import lower
from tinyinterp.pair import random_value
from tinyinterp.program import Program
from tinyinterp.schema import read

HOPELESS = 3.0  # a kernel that needs so many times the best is not timed in turns
MARGIN = 0.9
PART = 5e-4  # seconds of a turn: short, so that few of them meet another program


def programs(data: bytes, numerics: str, threads: int) -> list[tuple[Kernel, Program]]:
    """The one operator of a model, compiled with each kernel that it is offered; the chosen one first."""
    model = read(data)
    graph = link(model)
    shapes = {t: graph.tensors[t].shape for t in graph.inputs}
    steps = lower(graph, shapes, numerics, threads).steps
    if len(steps) != 1 or steps[0].kernel.host:
        return []
    made = []
    op = steps[0].op
    for kernel in op.offers(steps[0].call):
        if not kernel.host:
            made.append((kernel, Program(_with(graph, replace(op, kernels=(kernel,))), shapes, numerics, threads)))
    return made


def _with(graph: Graph, op: Op) -> Graph:
    return replace(graph, operators=tuple(replace(o, find=lambda _: op) for o in graph.operators))


def row_of(case: Case, numerics: str, threads: int, seconds: float) -> Row:
    """The times of all kernels of a call, and the one that should have been chosen."""
    row: Row = {"group": case.group, "shapes": case.shapes}
    try:
        offered = programs(case.data, numerics, threads)
    except TinyInterpError as error:
        return row | {"failed": str(error).partition("\n")[0][:160]}
    if not offered:
        return row | {"failed": "nothing to choose"}
    once, answers = [], set()
    for _, program in offered:
        rng = np.random.default_rng(1)
        for t in program.graph.inputs:
            detail = {"dtype": program.array(t).dtype, "shape": program.array(t).shape, "name": ""}
            program.array(t)[...] = random_value(detail, rng)
        try:
            program.run()
        except TinyInterpError as error:
            return row | {"failed": str(error).partition("\n")[0][:160]}
        start = time.perf_counter()
        program.run()
        once.append(time.perf_counter() - start)
        answers.add(b"".join(_bytes(program.array(t)) for t in program.graph.outputs))
    near = [i for i, s in enumerate(once) if s <= HOPELESS * min(once) or i == 0]
    times = dict(zip(near, together([offered[i][1].run for i in near], seconds * len(near), part=PART)))
    found = [{"kernel": k.name, "seconds": short(times[i].median if i in times else once[i])} for i, (k, _) in enumerate(offered)]
    better = [i for i in near if i and _faster(times[i], times[0])]
    best = min(better, key=lambda i: times[i].median, default=0)
    if best:  # once more, side by side: among many calls one seems slow by chance
        pair = together([offered[0][1].run, offered[best][1].run], 4 * seconds, part=PART)
        times |= {0: pair[0], best: pair[1]}
        best = best if _faster(pair[1], pair[0]) else 0
    return row | {"kernels": found, "equal": len(answers) == 1, "best": offered[best][0].name,
                  "gain": short(float(np.median([b / a for a, b in zip(times[0].rounds, times[best].rounds)])))}


def _bytes(y: np.ndarray) -> bytes:
    """One NaN is as good as another."""
    return (np.where(np.isnan(y), np.array(np.nan, y.dtype), y) if y.dtype.kind == "f" else y).tobytes()


def _faster(a: Times, b: Times) -> bool:
    """Whether a needs less than MARGIN of b's time in three rounds of four, and at best."""
    often = np.percentile([x / y for x, y in zip(a.rounds, b.rounds)], 75) < MARGIN
    return bool(often and min(a.rounds) < MARGIN * min(b.rounds))


def measure(cases: Iterable[Case], record: Record, numerics: Iterable[str], threads: int, seconds: float) -> None:
    """Fill a record, telling each offender at once."""
    for case in cases:
        for mode in numerics:
            key = f"{mode} {threads} {case.key}"
            if record.has(key):
                continue
            record.save(key, STOPPED)
            record.save(key, row_of(case, mode, threads, seconds))
            told = offenders({key: record.rows[key]})
            print(f"{mode:10} {case.group:32} {case.shapes:56} {told[0][3:] if told else ''}", file=sys.stderr, flush=True)


def offenders(rows: dict[str, Row]) -> list[list[str]]:
    """What should have been chosen: lines of a table, the largest loss first."""
    found = []
    for key, row in rows.items():
        if "kernels" not in row:
            continue
        chosen = row["kernels"][0]["kernel"]
        if row["best"] != chosen or not row["equal"]:
            why = f"{row['gain']:.2f}" if row["equal"] else "OTHER BYTES"
            found.append((row["gain"], [key.split()[0], row["group"], row["shapes"], chosen, row["best"], why]))
    return [line for _, line in sorted(found, key=lambda entry: entry[0])]


def page(rows: dict[str, Row]) -> str:
    """The table in Markdown, or a sentence when there is nothing to put in it."""
    choices = sum(len(r.get("kernels", ())) > 1 for r in rows.values())
    bad = offenders(rows)
    head = f"{choices} calls with more than one kernel to choose from; in {choices - len(bad)} the fastest one is chosen."
    columns = ["numerics", "group", "shapes", "chosen", "faster", "its time"]
    return head if not bad else head + "\n\n" + table(columns, bad, left=5)


def main() -> None:
    arguments = argparse.ArgumentParser(description="Check that the fastest kernel is chosen.")
    arguments.add_argument("networks", nargs="*", help="networks to cut operators out of, or folders")
    arguments.add_argument("--limit", type=int, default=4, help="calls of each group, 0 for all (default: 4)")
    arguments.add_argument("--op", nargs="*", default=[], help="these ops alone")
    arguments.add_argument("--numerics", nargs="*", default=["default", "reference"])
    arguments.add_argument("--threads", type=int, default=1)
    arguments.add_argument("--seconds", type=float, default=0.1, help="for each kernel")
    arguments.add_argument("--built", action="store_true", help="the built calls alone")
    arguments.add_argument("--again", action="store_true", help="measure everything anew")
    arguments.add_argument("--output", type=Path, default=RESULTS / "dispatch.json")
    args = arguments.parse_args()
    warn()
    record = Record(args.output, args.again)
    wanted = frozenset(args.op) or NAMES
    measure((c for c in built() if c.op in wanted), record, args.numerics, args.threads, args.seconds)
    if not args.built:
        measure(operators(networks(args.networks), wanted, args.limit), record, args.numerics, args.threads, args.seconds)
    print(page(record.rows))


if __name__ == "__main__":
    main()
