"""How fast this machine can multiply and copy: what the shares of the other tables are shares of.

    python -m benchmarks.peak

What is measured, and how, stands in `tinyinterp.peak`. Writes benchmarks/results/peak.json.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict

from benchmarks.record import RESULTS, Record, load, short, table
from tinyinterp.peak import Peak, measure


def known(seconds: float = 0.3) -> Peak:
    """The peak of this machine: as recorded, else measured now."""
    old = load("peak")
    if old is not None and (rows := Record(RESULTS / "peak.json").rows):
        return of(rows["peak"])
    return measure(seconds)


def of(row: dict[str, float]) -> Peak:
    """A row of the results."""
    return Peak(**{k: row[k] for k in ("float32", "int8", "cache", "memory")})


def page(rows: dict[str, dict[str, float]]) -> str:
    """The table in Markdown."""
    peak = of(rows["peak"])
    return table(["what", "a second"], [
        ["int8 multiply-accumulates", f"{peak.int8 / 1e9:,.0f} G"],
        ["float32 multiply-accumulates", f"{peak.float32 / 1e9:,.0f} G"],
        ["bytes moved within the cache", f"{peak.cache / 1e9:,.0f} GB"],
        ["bytes moved in memory", f"{peak.memory / 1e9:,.1f} GB"]])


def main() -> None:
    arguments = argparse.ArgumentParser(description="Measure what this machine can do.")
    arguments.add_argument("--seconds", type=float, default=2.0, help="for each figure")
    record = Record(RESULTS / "peak.json", drop=True)
    record.save("peak", {k: short(v) for k, v in asdict(measure(arguments.parse_args().seconds)).items()})
    print(page(record.rows))


if __name__ == "__main__":
    main()
