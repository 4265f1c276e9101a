"""The size of the arena: against what the widest step needs, and against the official planner's.

    python -m benchmarks.arena [NETWORK or folder …]

`ours`: default numerics on one thread, with the scratch that kernels have in the arena; `tensors` is the same without it.
`stack`: the most of a thread's stack that a kernel uses for its scratch; it is in no arena, here or there.
`official`: its planner without delegates, tensors alone: the real one, as the addresses of its tensors tell, or where those
cannot be seen the model of `benchmarks.official_arena` (last column: whether that gives the same size); `official, im2col` with
what its optimised convolutions unroll. What its XNNPACK delegate keeps cannot be seen from outside.
Writes benchmarks/results/arena.json.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks.cases import networks, titles
from benchmarks.official_arena import arena, checked, size_of
from benchmarks.record import RESULTS, Record, Row, table
from tinyinterp.arena import Life, place
from tinyinterp.errors import TinyInterpError
from tinyinterp.graph import link
from tinyinterp.lives import lives_of
from tinyinterp.lower import lower
from tinyinterp.schema import read

BOUND, OFFICIAL = 1.05, 1.05  # at most so many times the bound (on MobileNets), the official arena (on any network)


def row_of(path: Path, threads: int = 1) -> Row:
    """The sizes for one network."""
    try:
        graph = link(read(path))
        plan = lower(graph, {t: graph.tensors[t].shape for t in graph.inputs}, "default", threads)
    except TinyInterpError as error:
        return {"failed": str(error).partition("\n")[0][:160]}
    if plan.cut is not None:
        return {"failed": "shapes depend on values"}
    keep = frozenset({*graph.inputs, *graph.outputs, *(t for t, x in enumerate(graph.tensors) if x.is_variable)})
    lives = lives_of(plan, keep)
    placed, tensors = place(lives), place([l for l in lives if l.key >= 0])
    variables = sum(l.size for l in lives if l.key >= 0 and graph.tensors[l.key].is_variable)
    row: Row = {"ours": placed.size, "bound": placed.bound, "tensors": tensors.size, "tensors_bound": tensors.bound,
                "variables": variables, "scratch": _scratch(lives), "steps": len(plan.steps)}
    row["stack"] = max((sum(s.size for s, at in step.scratch if at >= 0) for step in plan.steps), default=0)
    blocks = arena(graph, plan)
    row |= {"official": size_of(blocks), "im2col": size_of(arena(graph, plan, im2col=True))}
    try:
        real = checked(str(path), blocks)
    except (TinyInterpError, RuntimeError, ValueError):
        real = None
    checks = "unseen" if real is None else "yes" if real == row["official"] else "no"
    return row | {"official": real or row["official"], "checked": checks}


def _scratch(lives: list[Life]) -> int:
    """The most that any one step keeps beside its tensors."""
    steps: dict[int, int] = {}
    for life in lives:
        if life.key < 0:
            steps[life.first] = steps.get(life.first, 0) + life.size
    return max(steps.values(), default=0)


def offenders(rows: dict[str, Row]) -> list[str]:
    """The figures that are not reached."""
    found = []
    for name, row in sorted(rows.items()):
        if "ours" not in row:
            continue
        if "mobilenet" in name.lower() and row["ours"] > BOUND * row["bound"]:
            found.append(f"{name}: {row['ours']:,} bytes, the widest step needs {row['bound']:,} "
                         f"({row['ours'] / row['bound']:.2f}x)")
        official = row["official"] + row["variables"]
        if row["ours"] > OFFICIAL * official:
            found.append(f"{name}: {row['ours']:,} bytes ({row['tensors']:,} without scratch), official {official:,} "
                         f"({row['ours'] / max(official, 1):.2f}x)")
    return found


def page(rows: dict[str, Row]) -> str:
    """The table in Markdown, the largest against the official one first."""
    measured = [(n, r) for n, r in rows.items() if "ours" in r]
    measured.sort(key=lambda entry: -entry[1]["ours"] / max(entry[1]["official"], 1))
    head = ["network", "ours", "over the bound", "tensors", "scratch", "stack", "official", "ours / official", "official, im2col",
            "model's"]
    return table(head, [
        [n, f"{r['ours']:,}", f"{r['ours'] / max(r['bound'], 1):.2f}", f"{r['tensors']:,}", f"{r['scratch']:,}",
         f"{r['stack']:,}", f"{r['official']:,}", f"{r['ours'] / max(r['official'] + r['variables'], 1):.2f}", f"{r['im2col']:,}",
         r["checked"]]
        for n, r in measured])


def main() -> None:
    arguments = argparse.ArgumentParser(description="Compare the sizes of arenas.")
    arguments.add_argument("networks", nargs="*", help="files or folders; TINYINTERP_MODELS when none is given")
    arguments.add_argument("--output", type=Path, default=RESULTS / "arena.json")
    args = arguments.parse_args()
    record = Record(args.output, drop=True)
    for path, name in titles(networks(args.networks)).items():
        record.save(name, row_of(path))
    print(page(record.rows), *offenders(record.rows), sep="\n\n")


if __name__ == "__main__":
    main()
