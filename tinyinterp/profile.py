"""Where the time of an invoke goes: every step timed by itself, with what it computes and moves.

    print(profile(interpreter.program))

The steps run in their order, one native call each, so that each finds its operands where the step before left them; then all of
them again. What an empty native call takes is taken off. A line tells the median of a step, on one thread whatever the program
uses: the lines add up to a little more or less than invoke(), which makes one call for all.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from .evaluate import call_kernel, loop_words, native_loop
from .kernels import jit
from .lower import Step
from .peak import Peak
from .program import Program, Segment

FLOATS = ("float16", "float32", "float64")


@dataclass(frozen=True, slots=True)
class Line:
    """One step."""

    operator: int
    op: str
    kernel: str
    seconds: float  # the median
    macs: int
    moved: int  # bytes of its operands
    integers: bool  # it multiplies integers

    def share(self, peak: Peak) -> float:
        """The part of its time that the machine needs at the very least: 1 cannot be beaten."""
        return peak.seconds(self.macs, self.moved, self.integers) / max(self.seconds, 1e-12)


@dataclass(frozen=True, slots=True)
class Profile:
    """The steps of a program in order, and what the machine can do when that was measured."""

    lines: tuple[Line, ...]
    peak: Peak | None = None

    @property
    def seconds(self) -> float:
        return sum(line.seconds for line in self.lines)

    @property
    def total(self) -> Line:
        """All steps as one line. Its share is for `share` below: steps differ in what they multiply."""
        return Line(len(self.lines), "total", "", self.seconds, sum(l.macs for l in self.lines), sum(l.moved for l in self.lines),
                    all(l.integers for l in self.lines))

    def share(self, peak: Peak) -> float:
        """The part of the whole time that the machine needs at the very least, step by step."""
        return sum(l.share(peak) * l.seconds for l in self.lines) / max(self.seconds, 1e-12)

    def facts(self) -> dict[str, Any]:
        """What it says as plain values, for JSON."""
        peak = self.peak
        steps = [asdict(l) | ({"share": l.share(peak)} if peak else {}) for l in self.lines]
        total = {"seconds": self.seconds, "macs": self.total.macs, "moved": self.total.moved}
        return {"steps": steps, "total": total | ({"share": self.share(peak)} if peak else {}),
                **({"peak": asdict(peak)} if peak else {})}

    def __str__(self) -> str:
        peak, total = self.peak, self.total
        head = f"{'':5}  {'op':24} {'kernel':44} {'us':>10} {'time':>6} {'MACs':>14} {'bytes':>12} {'GMAC/s':>8} {'GB/s':>7}"
        rows = [self._row(l, f"{100 * l.share(peak):8.0f} %" if peak else "") for l in self.lines]
        last = self._row(total, f"{100 * self.share(peak):8.0f} %" if peak else "")
        kinds: dict[str, float] = {}
        for line in self.lines:
            kinds[line.op] = kinds.get(line.op, 0) + line.seconds
        tail = [f"       {op:24} {1e6 * s:10.2f} us {self._part(s)}" for op, s in sorted(kinds.items(), key=lambda k: -k[1])]
        return "\n".join([head + ("   of the peak" if peak else ""), *rows, last, "", *tail,
                          *(["", f"the peak, one thread: {peak}"] if peak else [])])

    def _part(self, seconds: float) -> str:
        return f"{100 * seconds / max(self.seconds, 1e-12):5.1f}%"

    def _row(self, line: Line, share: str) -> str:
        seconds = max(line.seconds, 1e-12)
        number = line.operator if line.kernel else ""
        rate = f"{1e-9 * line.macs / seconds:8.1f}" if line.macs else " " * 8
        return (f"{number:5}  {line.op:24} {line.kernel:44} {1e6 * line.seconds:10.2f} {self._part(line.seconds)} "
                f"{line.macs:14,} {line.moved:12,} {rate} {1e-9 * line.moved / seconds:7.1f} {share}").rstrip()


def moved(step: Step) -> int:
    """Bytes of the operands of a step, constants too."""
    operands = [o for o in (*step.call.inputs, *step.call.outputs) if o is not None and o.type.numpy is not None]
    return sum(o.size * o.dtype.itemsize for o in operands)


def profile(program: Program, seconds: float = 0.5, peak: Peak | None = None) -> Profile:
    """Times of the steps of a program with the values that are in its arena now, in five passes at least.

    Run the program once before: later segments exist only then.
    """
    steps = [(step, _call(segment, i)) for segment in program.segments for i, step in enumerate(segment.plan.steps)]
    empty = _empty(program.segments[0])
    passes: list[list[float]] = []
    stop = time.perf_counter() + seconds
    while len(passes) < 5 or time.perf_counter() < stop:
        nothing = min(_time(empty) for _ in range(3))
        passes.append([max(_time(run) - nothing, 0.0) for _, run in steps])
    times = np.median(passes, axis=0)
    return Profile(tuple(
        Line(step.call.index, step.name, step.kernel.name, float(t), step.op.macs(step.call), moved(step), _integers(step))
        for (step, _), t in zip(steps, times)), peak)


def _call(segment: Segment, i: int) -> Callable[[], object]:
    """What runs one step alone. Steps in Python are timed as such."""
    for _, step, arrays in segment.calls:
        if step == i:
            return lambda: call_kernel(segment.plan.steps[i], arrays)
    return _native(segment, segment.table[i:], 1)


def _empty(segment: Segment) -> Callable[[], object]:
    return (lambda: None) if jit.DISABLED else _native(segment, segment.table, 0)


def _native(segment: Segment, table: np.ndarray, n: int) -> Callable[[], object]:
    loop, words = native_loop(), loop_words(table, n, 0, 1, segment.result)
    row = ctypes.c_void_p(words.ctypes.data)
    return lambda words=words: loop(row)  # type: ignore[misc]  # the words live as long as this does


def _integers(step: Step) -> bool:
    """Whether its products are those of 8-bit numbers: weights say so where there are any, as a hybrid step quantizes its x."""
    inputs = [o for o in step.call.inputs[:2] if o is not None]
    return not all(o.type.name.lower() in FLOATS for o in inputs) if inputs else False


def _time(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start
