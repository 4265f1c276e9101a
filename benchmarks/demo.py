"""Measure what the README says about the demo, and write its section `demo`.

    python -m benchmarks.demo

Runs `tinyinterp demo` as its users do, in processes of its own: once with an empty cache, then several times with what the first
run left there.
"""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.machine import machine
from docs.sections import write

README = Path(__file__).resolve().parents[1] / "README.md"
AGAIN = 5


def demo(cache: str) -> tuple[str, float]:
    """What the demo prints, and how long the whole command takes."""
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-m", "tinyinterp", "demo"], capture_output=True, text=True, check=True,
                          env={**os.environ, "TINYINTERP_CACHE": cache})
    return done.stdout, time.perf_counter() - start


def found(pattern: str, text: str) -> str:
    """The one group of a pattern that must be there."""
    match = re.search(pattern, text)
    assert match is not None, f"the demo does not say {pattern}"
    return match[1]


def main() -> None:
    with tempfile.TemporaryDirectory() as cache:
        first, _ = demo(cache)
        again = [demo(cache) for _ in range(AGAIN)]
    seconds = statistics.median(s for _, s in again)
    invoke = statistics.median(float(found(r"one invoke takes ([\d.]+) us", text)) for text, _ in again)
    compared = re.search(r"equal to the official interpreter: .*", first)
    answer = found(r"first answer after ([\d.]+) s", first)
    right = found(r"(\d+ of \d+) held-out", first)
    lines = ["| `tinyinterp demo` | |", "|---|--:|",
             f"| first run, all kernels to be compiled: first answer after | {answer} s |",
             f"| each further run: the whole command | {seconds:.2f} s |",
             f"| one invoke | {invoke:.1f} us |",
             f"| held-out digits read right | {right} |"]
    if compared:
        lines.append(f"| {compared[0].partition(':')[0]} | {compared[0].partition(': ')[2].partition(' (')[0]} |")
    text = "\n".join([*lines, "", f"{machine()}; one thread."])
    print(text)
    write(README, "demo", text)


if __name__ == "__main__":
    main()
