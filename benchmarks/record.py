"""What every benchmark shares: which machine it ran on, where its results are kept, and how they are summed up.

    benchmarks/results/NAME.json     {"machine": {…}, "rows": {case: {…}}}

Rows are saved one by one, so that a program that was stopped goes on where it was. Each says which code it measured, since a row
of other code is measured again when its turn comes, and how busy the machine was: the load of the last minute.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import math
import os
import platform
import sys
from collections.abc import Iterable, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benchmarks.machine import processor
from tinyinterp.kernels import jit

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
Row = dict[str, Any]


def machine() -> dict[str, Any]:
    """What the figures were measured on, and when."""
    return {"processor": processor(), "level": jit.level(), "cores": os.cpu_count(),
            "system": f"{platform.system()} {platform.machine()}", "python": platform.python_version(),
            "date": datetime.date.today().isoformat(),
            **{name: _version(name) for name in ("numpy", "numba", "llvmlite", "ai-edge-litert")}}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"


@cache
def code() -> str:
    """What tells one state of the measured code from another."""
    files = sorted(f for room in ("schema", "kernels", "tinyinterp") for f in (ROOT / room).rglob("*.py"))
    return hashlib.sha256(b"".join(f.read_bytes() for f in files)).hexdigest()[:8]


def busy() -> float:
    """How many programs wanted to run in the last minute, on average; 0 where the system does not say."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0


def warn() -> None:
    """Say so when other programs run: a pair of medians stands that, two threads beside them do not."""
    if busy() > 1:
        print(f"the machine is busy, its load is {busy():.1f}: figures of two threads mean little", file=sys.stderr)


class Record:
    """The rows of one benchmark. Rows of another machine or of other versions are not continued."""

    def __init__(self, path: Path, again: bool = False, drop: bool = False) -> None:
        """again: measure what is there once more. drop: begin without it."""
        self.path, self.machine = path, machine()
        self.rows: dict[str, Row] = {}
        self.saved: set[str] | None = set() if again else None
        if not drop and path.is_file():
            old = json.loads(path.read_text())
            same = all(old["machine"].get(k) == v for k, v in self.machine.items() if k != "date")
            self.rows = old["rows"] if same else {}

    def has(self, key: str, modes: Iterable[str] = (), seconds: float = 0.0) -> bool:
        """Whether a row of this code is there, with all these modes (`default 1`), measured for so long or longer."""
        row = self.rows.get(key) if self.saved is None or key in self.saved else None
        return row is not None and row.get("code") == code() and (
            "failed" in row or (all(m in row for m in modes) and bool(row.get("seconds", 0) >= seconds)))

    def save(self, key: str, row: Row) -> None:
        """Keep a row, on disk at once."""
        if self.saved is not None:
            self.saved.add(key)
        self.rows[key] = row | {"code": code(), "busy": round(busy(), 1)}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        part = self.path.with_suffix(".part")
        lines = ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in sorted(self.rows.items()))
        part.write_text(f'{{"machine": {json.dumps(self.machine)},\n"rows": {{\n{lines}\n}}}}\n')
        part.replace(self.path)


def load(name: str, folder: Path = RESULTS) -> dict[str, Any] | None:
    """The results of a benchmark, None when there are none."""
    path = folder / f"{name}.json"
    return json.loads(path.read_text()) if path.is_file() else None


def short(value: float) -> float:
    """Four digits, to keep files small."""
    return float(f"{value:.4g}")


def geometric(values: Iterable[float]) -> float:
    """The geometric mean; NaN of nothing.

    >>> geometric([2, 8])
    4.0
    """
    logs = [math.log(v) for v in values]
    return round(math.exp(sum(logs) / len(logs)), 12) if logs else math.nan


def table(head: Sequence[str], rows: Iterable[Sequence[object]], left: int = 1) -> str:
    """A Markdown table, the first `left` columns aligned to the left.

    >>> print(table(["a", "b"], [["x", 1]]))
    | a | b |
    |---|--:|
    | x | 1 |
    """
    lines = [f"| {' | '.join(head)} |", "|" + "".join("---|" if i < left else "--:|" for i in range(len(head)))]
    return "\n".join([*lines, *(f"| {' | '.join(map(str, row))} |" for row in rows)])
