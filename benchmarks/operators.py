"""Single operators against the official interpreter: every op of OPS, in the shapes that networks give it.

    python -m benchmarks.operators [NETWORK …] [--limit 12] [--op CONV_2D …]

The cases are the distinct calls in the networks (TINYINTERP_MODELS when none is given), cut out as models of one operator, and
a built call or two of each op. A case that is in the results already is not measured again, so a stopped run goes on.
Writes benchmarks/results/operators.json.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path

from benchmarks.built import built, without
from benchmarks.cases import NAMES, Case, networks, operators
from benchmarks.measure import compare, work
from benchmarks.peak import known, least
from benchmarks.record import RESULTS, Record, Row, geometric, short, table

SMALL = 20e-6  # seconds of the official interpreter: below it the call itself costs more than the operator
STOPPED = {"failed": "the process ended while this ran"}
# Groups that have a figure to reach: at most this much of the official time, over the shapes of the networks.
GOALS = {"CONV_2D 1x1 int8": 0.6, "CONV_2D wide int8": 0.6, "DEPTHWISE_CONV_2D int8": 0.3, "CONV_2D first int8": 0.25,
         "FULLY_CONNECTED int8": 0.6, "CONV_2D 1x1 uint8": 0.3, "CONV_2D wide uint8": 0.3, "CONV_2D first uint8": 0.3,
         "CONV_2D 1x1 float32": 0.95, "CONV_2D wide float32": 0.95, "CONV_2D first float32": 0.95, "AVERAGE_POOL_2D int8": 0.3,
         "AVERAGE_POOL_2D uint8": 0.3, "SOFTMAX int8": 0.3, "SOFTMAX uint8": 0.3, "LOGISTIC int8": 0.3, "TANH int8": 0.3,
         "LEAKY_RELU int8": 0.3, "HARD_SWISH int8": 0.3}


def row_of(case: Case, modes: Iterable[tuple[str, int]], seconds: float, peak: dict[str, float]) -> Row:
    """A case in every one of these (numerics, threads)."""
    row: Row = {"op": case.op, "group": case.group, "shapes": case.shapes, "count": case.count, "seconds": seconds}
    for numerics, threads in modes:
        found = compare(case.data, numerics, threads, seconds)
        if "failed" not in found:
            facts = work(case.data, numerics)
            share = least(facts["macs"], facts["moved"], case.type, peak) / found["ours"]
            found |= {**facts, "share": short(share)}
        row[f"{numerics} {threads}"] = found
    return row


def measure(cases: Iterable[Case], record: Record, modes: list[tuple[str, int]], seconds: float) -> None:
    """Fill a record, saying how it goes."""
    peak = known()
    for n, case in enumerate(cases):
        if record.has(case.key, modes, seconds):
            continue
        record.save(case.key, STOPPED)
        row = row_of(case, modes, seconds, peak)
        record.save(case.key, row)
        told = " ".join(f"{k}: {v.get('ratio', v.get('failed'))}{'' if v.get('equal', True) else ' DIFFERS'}"
                        for k, v in row.items() if isinstance(v, dict))
        print(f"{n:5} {case.group:32} {case.shapes:56} {told}", file=sys.stderr, flush=True)


def groups(rows: dict[str, Row], mode: str) -> list[list[str]]:
    """For the table: each group's calls, geometric means, share of the peak and worst call, slowest group first."""
    found: dict[str, list[Row]] = {}
    for row in rows.values():
        if "ratio" in row.get(mode, {}):
            found.setdefault(row["group"], []).append(row)
    lines = []
    for group, members in found.items():
        given = [r for r in members if r["count"]] or members
        large = [r for r in given if r[mode]["official"] >= SMALL]
        worst = max(given, key=lambda r: r[mode]["ratio"])
        mean = geometric(r[mode]["ratio"] for r in given)
        goal = GOALS.get(group) if mode.startswith("default") else None
        line = [group, str(len(given)), f"{mean:.2f}", f"{geometric(r[mode]['ratio'] for r in large):.2f}" if large else "",
                "" if goal is None else f"{goal:.2f}{'' if mean <= goal else ' missed'}",
                f"{100 * geometric(max(r[mode]['share'], 1e-4) for r in given):.0f} %",
                f"{worst[mode]['ratio']:.2f} ({worst['shapes']})"]
        lines.append((mean, line))
    return [line for _, line in sorted(lines, key=lambda entry: -entry[0])]


def page(rows: dict[str, Row], mode: str = "default 1") -> str:
    """The table in Markdown."""
    head = ["op, window, type", "calls", "ratio", f"ratio from {1e6 * SMALL:.0f} us", "at most", "of the peak", "worst"]
    return table(head, groups(rows, mode))


def slowest(rows: dict[str, Row], mode: str = "default 1", count: int = 20) -> str:
    """The calls that lose most against the official interpreter."""
    listed = sorted((r for r in rows.values() if "ratio" in r.get(mode, {})), key=lambda r: -r[mode]["ratio"])[:count]
    return table(["group", "shapes", "ratio", "us", "kernel", "of the peak"], [
        [r["group"], r["shapes"], f"{r[mode]['ratio']:.2f}", f"{1e6 * r[mode]['ours']:.1f}", " ".join(r[mode]["kernels"]),
         f"{100 * r[mode]['share']:.0f} %"] for r in listed], left=2)


def main() -> None:
    arguments = argparse.ArgumentParser(description="Time single operators against the official interpreter.")
    arguments.add_argument("networks", nargs="*", help="networks to cut operators out of, or folders")
    arguments.add_argument("--limit", type=int, default=12, help="calls of each group, 0 for all")
    arguments.add_argument("--op", nargs="*", default=[], help="these ops alone")
    arguments.add_argument("--numerics", nargs="*", default=["default", "reference"])
    arguments.add_argument("--threads", nargs="*", type=int, default=[1])
    arguments.add_argument("--seconds", type=float, default=0.25, help="for each case and mode")
    arguments.add_argument("--built", action="store_true", help="the built calls alone")
    arguments.add_argument("--again", action="store_true", help="measure everything anew")
    arguments.add_argument("--output", type=Path, default=RESULTS / "operators.json")
    args = arguments.parse_args()
    record = Record(args.output, args.again)
    wanted = frozenset(args.op) or NAMES
    modes = [(n, t) for n in args.numerics for t in args.threads]
    measure((c for c in built() if c.op in wanted), record, modes, args.seconds)
    if not args.built:
        measure(operators(networks(args.networks), wanted, args.limit), record, modes, args.seconds)
    covered = {r["op"] for r in record.rows.values() if "op" in r}
    print(page(record.rows), slowest(record.rows), sep="\n\n")
    print("\nno case:", ", ".join(n for n in NAMES if n not in covered) or "none", "; built for none:", ", ".join(without()))


if __name__ == "__main__":
    main()
