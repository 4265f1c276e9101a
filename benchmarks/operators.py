"""Single operators against the official interpreter: every op of OPS, in the shapes that networks give it.

    python -m benchmarks.operators [NETWORK …] [--limit 16] [--op CONV_2D …] [--figures]

The cases are the distinct calls in the networks (TINYINTERP_MODELS when none is given), cut out as models of one operator, and
a built call or two of each op. Groups with more calls than the limit are sampled evenly by size; the tables say how many of how
many were measured. `--figures`: only the groups that have a figure to reach, with all their calls.

Both sides are timed through their invoke(), so `ratio` holds what a call from Python costs on either side. That cost, the time of
a program that negates one number, is measured too: `own` is the ratio without it. A case that is in the results already is not
measured again, so a stopped run goes on. Writes benchmarks/results/operators.json.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path

from benchmarks.built import built, without
from benchmarks.cases import NAMES, Case, networks, operators
from benchmarks.measure import compare, work
from benchmarks.peak import known
from benchmarks.record import RESULTS, Record, Row, geometric, short, table, warn
from tinyinterp.peak import Peak
from tinyinterp.schema import build
from tinyinterp.schema.build import one_op, tensor

STOPPED = {"failed": "the process ended while this ran"}
PART = 1e-3  # seconds of a turn: short, so that few of them meet another program
CONVS = ("CONV_2D 1x1", "CONV_2D 3x3", "CONV_2D wide", "CONV_2D first")
# What is to be reached: at most this much of the official time, the geometric mean over the calls of the networks.
FIGURES: dict[str, tuple[tuple[str, ...], float]] = {
    "int8 1x1 convolutions": (("CONV_2D 1x1 int8",), 0.6), "int8 3x3 convolutions": (("CONV_2D 3x3 int8",), 0.6),
    "int8 depthwise convolutions": (("DEPTHWISE_CONV_2D int8",), 0.3), "int8 first convolutions": (("CONV_2D first int8",), 0.25),
    "int8 fully connected": (("FULLY_CONNECTED int8",), 0.6), "uint8 convolutions": (tuple(f"{c} uint8" for c in CONVS), 0.3),
    "float32 convolutions": (tuple(f"{c} float32" for c in CONVS), 0.95),
    "8-bit average pools": (("AVERAGE_POOL_2D int8", "AVERAGE_POOL_2D uint8"), 0.3),
    "8-bit softmax": (("SOFTMAX int8", "SOFTMAX uint8"), 0.3),
    "8-bit activations by table": (tuple(f"{op} {t}" for op in ("LOGISTIC", "TANH", "ELU", "HARD_SWISH", "LEAKY_RELU")
                                         for t in ("int8", "uint8")), 0.3)}
WITH_FIGURE = frozenset(g for groups, _ in FIGURES.values() for g in groups)


def call_costs(numerics: str, threads: int) -> tuple[float, float]:
    """The seconds of an invoke() that computes next to nothing: ours, the official one's."""
    row = compare(build(one_op("NEG", [tensor("x", "int32", (1,))], [tensor("y", "int32", (1,))])), numerics, threads, 0.3)
    return row["ours"], row["official"]


def row_of(case: Case, modes: Iterable[tuple[str, int]], seconds: float, peak: Peak,
           calls: dict[tuple[str, int], tuple[float, float]]) -> Row:
    """A case in every one of these (numerics, threads)."""
    row: Row = {"op": case.op, "group": case.group, "shapes": case.shapes, "count": case.count, "of": case.of, "seconds": seconds}
    for numerics, threads in modes:
        found = compare(case.data, numerics, threads, seconds, part=PART)
        if "failed" not in found:
            facts = work(case.data, numerics)
            mine, official = (max(found[who] - cost, 1e-8) for who, cost in zip(("ours", "official"), calls[numerics, threads]))
            least = peak.seconds(facts["macs"], facts["moved"], case.type != "float32")
            found |= {**facts, "share": short(least / found["ours"]), "own": short(mine / official)}
        row[f"{numerics} {threads}"] = found
    return row


def measure(cases: Iterable[Case], record: Record, modes: list[tuple[str, int]], seconds: float) -> None:
    """Fill a record, saying how it goes."""
    peak = known()
    calls: dict[tuple[str, int], tuple[float, float]] = {}
    for n, case in enumerate(cases):
        if record.has(case.key, [f"{n} {t}" for n, t in modes], seconds):
            continue
        calls = calls or {mode: call_costs(*mode) for mode in modes}
        record.save(case.key, STOPPED)
        row = row_of(case, modes, seconds, peak, calls)
        record.save(case.key, row)
        told = " ".join(f"{k}: {v.get('ratio', v.get('failed'))}{'' if v.get('equal', True) else ' DIFFERS'}"
                        for k, v in row.items() if isinstance(v, dict))
        print(f"{n:5} {case.group:32} {case.shapes:56} {told}", file=sys.stderr, flush=True)


def by_group(rows: dict[str, Row], mode: str) -> dict[str, list[Row]]:
    """The rows of each group that have figures: those of calls in networks, or else of built ones."""
    found: dict[str, list[Row]] = {}
    for row in rows.values():
        if "ratio" in row.get(mode, {}):
            found.setdefault(row["group"], []).append(row)
    return {group: [r for r in members if r["count"]] or members for group, members in found.items()}


def _numbers(members: list[Row], mode: str) -> list[str]:
    """How many of how many calls, and the geometric means of their ratios with and without what a call costs."""
    total = sum({r["group"]: r.get("of", 0) for r in members}.values())
    return [f"{len(members)} of {total}" if total else f"{len(members)} built",
            *(f"{geometric(r[mode][k] for r in members):.2f}" for k in ("ratio", "own"))]


def figures(rows: dict[str, Row], mode: str = "default 1") -> str:
    """What is to be reached, and what is, over the calls of networks."""
    found, lines = by_group(rows, mode), []
    for name, (groups, most) in FIGURES.items():
        members = [r for g in groups for r in found.get(g, ()) if r["count"]]
        if members:
            reached = geometric(r[mode]["ratio"] for r in members) <= most
            lines.append([name, *_numbers(members, mode), f"{most:.2f}", "" if reached else "missed"])
    return table(["", "calls", "ratio", "without the call", "at most", ""], lines)


def page(rows: dict[str, Row], mode: str = "default 1") -> str:
    """Every group in Markdown, the slowest first: geometric means, share of the peak, worst call."""
    lines = []
    for group, members in by_group(rows, mode).items():
        worst = max(members, key=lambda r: r[mode]["ratio"])
        share = geometric(max(r[mode]["share"], 1e-4) for r in members)
        lines.append((geometric(r[mode]["ratio"] for r in members), [
            group, *_numbers(members, mode), f"{100 * share:.0f} %", f"{worst[mode]['ratio']:.2f} ({worst['shapes']})"]))
    return table(["op, window, type", "calls", "ratio", "without the call", "of the peak", "worst"],
                 [line for _, line in sorted(lines, key=lambda entry: -entry[0])])


def slowest(rows: dict[str, Row], mode: str = "default 1", count: int = 20) -> str:
    """The calls that lose most against the official interpreter."""
    listed = sorted((r for r in rows.values() if "ratio" in r.get(mode, {})), key=lambda r: -r[mode]["ratio"])[:count]
    return table(["group", "shapes", "ratio", "us", "kernel", "of the peak"], [
        [r["group"], r["shapes"], f"{r[mode]['ratio']:.2f}", f"{1e6 * r[mode]['ours']:.1f}", " ".join(r[mode]["kernels"]),
         f"{100 * r[mode]['share']:.0f} %"] for r in listed], left=2)


def main() -> None:
    arguments = argparse.ArgumentParser(description="Time single operators against the official interpreter.")
    arguments.add_argument("networks", nargs="*", help="networks to cut operators out of, or folders")
    arguments.add_argument("--limit", type=int, default=16, help="calls of each group, 0 for all (default: 16)")
    arguments.add_argument("--op", nargs="*", default=[], help="these ops alone")
    arguments.add_argument("--numerics", nargs="*", default=["default"], choices=["default", "reference", "builtin"])
    arguments.add_argument("--threads", nargs="*", type=int, default=[1])
    arguments.add_argument("--seconds", type=float, default=0.2, help="for each case and mode")
    only = arguments.add_mutually_exclusive_group()
    only.add_argument("--built", action="store_true", help="the built calls alone")
    only.add_argument("--figures", action="store_true", help="the groups that have a figure to reach, all calls of them")
    arguments.add_argument("--again", action="store_true", help="measure everything anew")
    arguments.add_argument("--output", type=Path, default=RESULTS / "operators.json")
    args = arguments.parse_args()
    warn()
    record = Record(args.output, args.again)
    wanted = frozenset(args.op) or NAMES
    modes = [(n, t) for n in args.numerics for t in args.threads]
    if not args.figures:
        measure((c for c in built() if c.op in wanted), record, modes, args.seconds)
    if not args.built:
        groups, limit = (WITH_FIGURE, 0) if args.figures else (frozenset[str](), args.limit)
        measure(operators(networks(args.networks), wanted, limit, groups), record, modes, args.seconds)
    print(figures(record.rows), page(record.rows), slowest(record.rows), sep="\n\n")
    if not args.figures:
        covered = {r["op"] for r in record.rows.values() if "op" in r}
        print("\nno case:", ", ".join(n for n in NAMES if n not in covered) or "none", "; built for none:", ", ".join(without()))


if __name__ == "__main__":
    main()
