"""Whole networks against the official interpreter: the same bytes, the times of invoke(), and the times to load.

    python -m benchmarks.networks [NETWORK or folder …] [--quick] [--cold NAME …]

Each network runs in a process of its own, both interpreters interleaved there, in default and reference numerics at 1 and 2
threads. Loading is timed in further processes: `cold` with an empty cache of kernels, `cached` the first one of a process that
finds its kernels in the cache, `warm` the following ones. A network that is in the results already is not measured again, so
a stopped run goes on. Writes benchmarks/results/networks.json.
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
from benchmarks.measure import compare
from benchmarks.record import RESULTS, Record, Row, geometric, short, table
from tinyinterp.bench import shown
from tinyinterp.errors import TinyInterpError
from tinyinterp.kernels import jit
from tinyinterp.pair import ours, theirs
from tinyinterp.schema import read

MODES = [("default", 1), ("default", 2), ("reference", 1), ("reference", 2)]
GOALS = {"int8": 0.45, "uint8": 0.3, "float32": 0.9, "float16": 0.9, "all": 0.6}  # default mode, geometric means
WORST, REFERENCE = 1.1, 0.03
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


def timing(path: str, modes: list[tuple[str, int]], seconds: float) -> Row:
    """The times of invoke() in each mode."""
    return {f"{numerics} {threads}": compare(path, numerics, threads, seconds) for numerics, threads in modes}


def child(part: str, path: Path, *more: str, cache: str | None = None) -> Row:
    """What `loading` or `timing` gives, from a process of its own."""
    environment = os.environ | ({"TINYINTERP_CACHE": cache} if cache else {})
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


def row_of(path: Path, modes: list[tuple[str, int]], seconds: float, cold: bool) -> Row:
    """All figures of a network."""
    model = read(path)
    row: Row = {"kind": weight_kind(model), "bytes": path.stat().st_size, "operators": len(model.subgraphs[0].operators),
                "seconds": seconds}
    given = ["--seconds", str(seconds), "--modes", *(f"{n},{t}" for n, t in modes)]
    row |= child("timing", path, *given)
    row["load"] = child("loading", path)
    if cold:
        with tempfile.TemporaryDirectory() as empty:
            row["cold"] = child("loading", path, cache=empty)
    return row


def ratios(rows: dict[str, Row], mode: str, kind: str = "all") -> list[float]:
    """The ratios of all networks of a kind in a mode."""
    return [r[mode]["ratio"] for r in rows.values() if "ratio" in r.get(mode, {}) and kind in ("all", r["kind"])]


def summary(rows: dict[str, Row]) -> str:
    """Geometric means by kind of weights."""
    lines = []
    for kind in (*KINDS, "all"):
        found = [ratios(rows, f"{n} {t}", kind) for n, t in MODES]
        if not any(found):
            continue
        goal = GOALS.get(kind)
        lines.append([kind, len(max(found, key=len)), *(f"{geometric(f):.3f}" if f else "" for f in found),
                      f"{max(found[0], default=float('nan')):.2f}", "" if goal is None else f"{goal:.2f}"])
    return table(["weights", "networks", *(f"{n}, {t} thread{'s' * (t > 1)}" for n, t in MODES), "worst", "to reach"], lines)


def worst_first(rows: dict[str, Row], mode: str = "default 1") -> str:
    """Every network, the one that gains least first."""
    measured = [(name, r) for name, r in rows.items() if "ratio" in r.get(mode, {})]
    lines = []
    for name, row in sorted(measured, key=lambda item: -item[1][mode]["ratio"]):
        others = [f"{row[m]['ratio']:.3f}" if "ratio" in row.get(m, {}) else "" for m in (f"{n} {t}" for n, t in MODES)]
        equal = all(row[m].get("equal", True) for m in (f"{n} {t}" for n, t in MODES) if m in row)
        two = row.get("default 2", {}).get("ours")
        lines.append([name, row["kind"], shown(row[mode]["ours"]), shown(row[mode]["official"]), *others,
                      f"{row[mode]['ours'] / two:.2f}" if two else "", _load(row), "yes" if equal else "NO"])
    modes = [f"{n} {t}" for n, t in MODES]
    return table(["network", "weights", "ours", "official", *modes, "2 threads gain", "load", "same bytes"], lines, left=2)


def _load(row: Row) -> str:
    load = row.get("load", {})
    return f"{load['ours_warm'] / load['official_warm']:.1f}x" if "ours_warm" in load else ""


def failures(rows: dict[str, Row]) -> str:
    """The networks without figures, and why."""
    found = {}
    for name, row in rows.items():
        parts = [row, *(row.get(f"{n} {t}", {}) for n, t in MODES)]
        why = next((part["failed"] for part in parts if "failed" in part), None)
        if why:
            found[name] = why
    return table(["network", "why"], sorted(found.items()), left=2) if found else ""


def missed(rows: dict[str, Row]) -> list[str]:
    """The figures to reach that are not reached."""
    means = {kind: geometric(ratios_of) for kind in GOALS if (ratios_of := ratios(rows, "default 1", kind))}
    found = [f"{kind}: {mean:.3f}, not {GOALS[kind]}" for kind, mean in means.items() if mean > GOALS[kind]]
    for name, row in rows.items():
        for threads in (1, 2):
            fast, slow = row.get(f"default {threads}", {}), row.get(f"reference {threads}", {})
            if fast.get("ratio", 0) > WORST:
                found.append(f"{name}: {fast['ratio']:.2f} of the official time, {threads} thread(s)")
            found += [f"{name}: other bytes, {threads} thread(s)" for r in (fast, slow) if not r.get("equal", True)]
        one, two = (row.get(f"default {t}", {}).get("ours") for t in (1, 2))
        if one and two and one / two < (1.7 if one > 5e-3 else 1.0):
            found.append(f"{name}: two threads {one / two:.2f} times as fast as one ({shown(one)})")
    exact = ratios(rows, "reference 1")
    if exact and geometric(exact) > REFERENCE:
        found.append(f"reference numerics: {geometric(exact):.3f}, not {REFERENCE}")
    return found


def main() -> None:
    arguments = argparse.ArgumentParser(description="Time whole networks against the official interpreter.")
    arguments.add_argument("networks", nargs="*", help="files or folders; TINYINTERP_MODELS when none is given")
    arguments.add_argument("--seconds", type=float, default=1.5, help="for each network and mode")
    arguments.add_argument("--quick", action="store_true", help="default numerics on one thread, a fifth of a second each")
    arguments.add_argument("--cold", nargs="*", default=["mobilenet_v"], metavar="NAME",
                           help="also load with an empty cache those whose name has one of these in it; --cold '' for all")
    arguments.add_argument("--again", action="store_true", help="measure everything anew")
    arguments.add_argument("--output", type=Path, default=RESULTS / "networks.json")
    arguments.add_argument("--modes", nargs="*", help=argparse.SUPPRESS)
    arguments.add_argument("--child", choices=["loading", "timing"], help=argparse.SUPPRESS)
    args = arguments.parse_args()
    modes = [(m.split(",")[0], int(m.split(",")[1])) for m in args.modes or ()] or (MODES[:1] if args.quick else MODES)
    seconds = 0.2 if args.quick else args.seconds
    if args.child:
        print(json.dumps(loading(args.networks[0]) if args.child == "loading" else timing(args.networks[0], modes, seconds)))
        return
    record = Record(args.output, args.again)
    files = networks(args.networks)
    for n, (path, name) in enumerate(titles(files).items(), 1):
        if record.has(name, modes, seconds):
            continue
        row = row_of(path, modes, seconds, not args.quick and any(c in name for c in args.cold))
        record.save(name, row)
        told = " ".join(f"{row[m]['ratio']:.3f}" if "ratio" in row.get(m, {}) else "-" for m in (f"{a} {b}" for a, b in modes))
        print(f"{n:4}/{len(files)} {row['kind']:12} {name:60} {told}", file=sys.stderr, flush=True)
    print(summary(record.rows), worst_first(record.rows), failures(record.rows), *missed(record.rows), sep="\n\n")


if __name__ == "__main__":
    main()
