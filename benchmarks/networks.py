"""Whole networks against the official interpreter: the same bytes, the times of invoke(), and the times to load.

    python -m benchmarks.networks [NETWORK or folder …] [--quick] [--cold NAME …]

Each network runs in a process of its own, another one for reference numerics. There four interpreters take turns: the official
one and this one, each at 1 and at 2 threads. What two threads gain over one is timed in a further process, where nothing but
those two runs. So is loading: `cold` with an empty cache; `lower` when the kernels are in the cache, but not the program;
`load` when both are; each the first time in a process and (`warm`) the following ones. `--quick` does all that in shorter
turns. A network that is in the results already is not measured again, so a stopped run goes on. Writes
benchmarks/results/networks.json.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.cases import KINDS, networks, titles, weight_kind
from benchmarks.measure import beside, gain
from benchmarks.record import RESULTS, Record, Row, geometric, short, table, warn
from tinyinterp.bench import shown
from tinyinterp.errors import TinyInterpError
from tinyinterp.kernels import jit
from tinyinterp.pair import ours, theirs
from tinyinterp.schema import read

NUMERICS, THREADS = ("default", "reference"), (1, 2)
MODES = [f"{n} {t}" for n in NUMERICS for t in THREADS]
GOALS = {"int8": 0.45, "uint8": 0.3, "float32": 0.9, "float16": 0.9, "all": 0.6}  # default mode, geometric means
WORST, REFERENCE = 1.1, 0.03
GAIN, LARGE, SLOWER = 1.7, 5e-3, 0.97  # of two threads on networks that take so long on one; on any network
QUICK, LONG = 0.5, 2.0  # seconds for the four interpreters together
TIMEOUT = 900  # seconds for one network in one process


def loading(path: str, turns: int = 5) -> Row:
    """Times to construct and allocate, in a process that has loaded nothing yet."""
    from ai_edge_litert import interpreter as litert  # not part of the time, as our own imports are not  # noqa: F401

    def timed(make: Any) -> float:
        start = time.perf_counter()
        made = make(path)
        seconds = time.perf_counter() - start
        del made
        return seconds

    try:
        first, there = timed(ours), timed(theirs)
        pairs = [(timed(ours), timed(theirs)) for _ in range(turns)]
    except (TinyInterpError, ValueError) as error:
        return {"failed": str(error).partition("\n")[0][:160]}
    warm = [short(float(np.median(column))) for column in zip(*pairs)]
    return {"ours": short(first), "official": short(there), "compiled": jit.compiled(), "ours_warm": warm[0],
            "official_warm": warm[1]}


def timing(path: str, numerics: str, threads: list[int], seconds: float) -> Row:
    """The times of invoke() in these numerics: `default 1` …"""
    return {f"{numerics} {key}": row for key, row in beside(path, numerics, threads, seconds).items()}


def child(part: str, path: Path, *more: str, **variables: str) -> Row:
    """What `loading`, `timing` or `gain` gives, from a process of its own with these variables in its environment."""
    environment = os.environ | variables
    command = [sys.executable, "-m", "benchmarks.networks", "--child", part, str(path.resolve()), *more]
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=TIMEOUT,
                              cwd=Path(__file__).resolve().parents[1], check=False)
    except subprocess.TimeoutExpired:
        return {"failed": f"not done after {TIMEOUT} s"}
    if done.returncode:
        return {"failed": f"the process ended with {done.returncode}: {done.stderr[-200:]}"}
    found: Row = json.loads(done.stdout.splitlines()[-1])
    return found


def row_of(path: Path, args: argparse.Namespace, cold: bool) -> Row:
    """All figures of a network."""
    model = read(path)
    row: Row = {"kind": weight_kind(model), "bytes": path.stat().st_size, "operators": len(model.subgraphs[0].operators),
                "seconds": args.seconds}
    for numerics in args.numerics:
        given = ["--numerics", numerics, "--threads", *map(str, args.threads), "--seconds", str(args.seconds)]
        found = child("timing", path, *given)
        row |= {f"{numerics} {t}": found for t in args.threads} if "failed" in found else found
        if len(args.threads) > 1 and numerics == "default":
            row["default gain"] = child("gain", path, *given)
    row["lower"] = child("loading", path, TINYINTERP_KEEP="0")
    child("loading", path)  # which keeps the program
    row["load"] = child("loading", path)
    if cold:
        with tempfile.TemporaryDirectory() as empty:
            row["cold"] = child("loading", path, TINYINTERP_CACHE=empty)
    return row


def ratios(rows: dict[str, Row], mode: str, kind: str = "all") -> list[float]:
    """The ratios of all networks of a kind in a mode."""
    return [r[mode]["ratio"] for r in rows.values() if "ratio" in r.get(mode, {}) and kind in ("all", r["kind"])]


def summary(rows: dict[str, Row]) -> str:
    """Geometric means by kind of weights."""
    lines = []
    for kind in (*KINDS, "all"):
        found = [ratios(rows, mode, kind) for mode in MODES]
        if not any(found):
            continue
        goal = GOALS.get(kind)
        lines.append([kind, len(max(found, key=len)), *(f"{geometric(f):.3f}" if f else "" for f in found),
                      f"{max(found[0] + found[1], default=float('nan')):.2f}", "" if goal is None else f"{goal:.2f}"])
    heads = [f"{m[:-2]}, {m[-1]} thread{'s' * (m[-1] > '1')}" for m in MODES]
    return table(["weights", "networks", *heads, "worst", "default at most"], lines)


def worst_first(rows: dict[str, Row], mode: str = "default 1") -> str:
    """Every network, the one that gains least first."""
    measured = [(name, r) for name, r in rows.items() if "ratio" in r.get(mode, {})]
    lines = []
    for name, row in sorted(measured, key=lambda item: -item[1][mode]["ratio"]):
        others = [f"{row[m]['ratio']:.3f}" if "ratio" in row.get(m, {}) else "" for m in MODES]
        equal = all(row.get(m, {}).get("equal", True) for m in MODES)
        gained = row.get("default gain", {}).get("ratio")
        lines.append([name, row["kind"], shown(row[mode]["ours"]), shown(row[mode]["official"]), *others,
                      f"{gained:.2f}" if gained else "", _load(row, "load"), _load(row, "lower"), "yes" if equal else "NO"])
    heads = ["network", "weights", "ours", "official", *MODES, "2 threads gain", "load", "lower", "same bytes"]
    return table(heads, lines, left=2)


def _load(row: Row, part: str) -> str:
    load = row.get(part, {})
    return f"{load['ours_warm'] / load['official_warm']:.1f}x" if "ours_warm" in load else ""


def failures(rows: dict[str, Row]) -> str:
    """The networks without figures, and why."""
    found = {}
    for name, row in rows.items():
        parts = [row, *(row.get(m, {}) for m in MODES)]
        why = next((part["failed"] for part in parts if "failed" in part), None)
        if why:
            found[name] = why
    return table(["network", "why"], sorted(found.items()), left=2) if found else ""


def missed(rows: dict[str, Row]) -> list[str]:
    """The figures to reach that are not reached."""
    found = []
    for mode in MODES:
        goals = GOALS if mode.startswith("default") else {"all": REFERENCE}
        means = {kind: geometric(values) for kind in goals if (values := ratios(rows, mode, kind))}
        found += [f"{mode}, {kind}: {mean:.3f}, not {goals[kind]}" for kind, mean in means.items() if mean > goals[kind]]
    for name, row in sorted(rows.items()):
        for mode in MODES:
            one = row.get(mode, {})
            if mode.startswith("default") and one.get("ratio", 0) > WORST:
                found.append(f"{name}: {one['ratio']:.2f} of the official time, {mode}")
            if not one.get("equal", True):
                found.append(f"{name}: other bytes, {mode}")
        gained, alone = row.get("default gain", {}), row.get("default 1", {}).get("ours", 0)
        slow = alone > 0 and gained.get("ratio", GAIN) < (GAIN if alone > LARGE else SLOWER)
        if slow and (alone > LARGE or gained["quartiles"][1] < 1):
            found.append(f"{name}: two threads are {gained['ratio']:.2f} times as fast as one ({shown(alone)})")
    return found


def large(rows: dict[str, Row]) -> str:
    """What two threads gain on the networks that the figure is about."""
    gains = [r["default gain"]["ratio"] for r in rows.values()
             if "ratio" in r.get("default gain", {}) and r.get("default 1", {}).get("ours", 0) > LARGE]
    return (f"Two threads against one, on the {len(gains)} networks above {shown(LARGE)}: {min(gains):.2f} to {max(gains):.2f} "
            f"times as fast, geometric mean {geometric(gains):.2f} (at least {GAIN}).") if gains else ""


def told(row: Row) -> str:
    """A network in a line: its ratios, and what two threads gain."""
    ratios = [f"{row[m]['ratio']:.3f}" if "ratio" in row.get(m, {}) else "-" for m in MODES]
    gained = row.get("default gain", {}).get("ratio")
    unequal = [m for m in MODES if not row.get(m, {}).get("equal", True)]
    return " ".join([*ratios, f"x{gained:.2f}" if gained else "", f"OTHER BYTES in {unequal}" if unequal else ""])


def parser() -> argparse.ArgumentParser:
    """All arguments."""
    arguments = argparse.ArgumentParser(description="Time whole networks against the official interpreter.")
    arguments.add_argument("networks", nargs="*", help="files or folders; TINYINTERP_MODELS when none is given")
    arguments.add_argument("--seconds", type=float, help=f"for each network and numerics (default: {LONG}, quick {QUICK})")
    arguments.add_argument("--quick", action="store_true", help="all modes, in a shorter time")
    arguments.add_argument("--numerics", nargs="+", choices=NUMERICS, default=list(NUMERICS))
    arguments.add_argument("--threads", nargs="+", type=int, choices=THREADS, default=list(THREADS))
    arguments.add_argument("--cold", nargs="*", default=["mobilenet_v"], metavar="NAME",
                           help="also load with an empty cache those whose name has one of these in it; --cold '' for all")
    arguments.add_argument("--again", action="store_true", help="measure everything anew")
    arguments.add_argument("--output", type=Path, default=RESULTS / "networks.json")
    arguments.add_argument("--child", choices=["loading", "timing", "gain"], help=argparse.SUPPRESS)
    return arguments


def main() -> None:
    args = parser().parse_args()
    args.seconds = args.seconds or (QUICK if args.quick else LONG)
    if args.child:
        path = args.networks[0]
        about = path, args.numerics[0], args.threads, args.seconds
        print(json.dumps(loading(path) if args.child == "loading" else (gain if args.child == "gain" else timing)(*about)))
        return
    warn()
    record = Record(args.output, args.again)
    files = networks(args.networks)
    modes = [f"{n} {t}" for n in args.numerics for t in args.threads]
    for n, (path, name) in enumerate(titles(files).items(), 1):
        if record.has(name, modes, args.seconds):
            continue
        start = time.perf_counter()
        row = row_of(path, args, not args.quick and any(c in name for c in args.cold))
        record.save(name, row)
        spent = shown(time.perf_counter() - start)
        print(f"{n:4}/{len(files)} {row['kind']:12} {name:60} {told(row)} [{spent}]", file=sys.stderr, flush=True)
    rows = record.rows
    print(*filter(None, (summary(rows), large(rows), worst_first(rows), failures(rows), "\n".join(missed(rows)))), sep="\n\n")


if __name__ == "__main__":
    main()
