"""Where the time of an invoke goes: every step timed by itself, with what it computes.

    print(profile(interpreter.program))
"""

from __future__ import annotations

import ctypes
import time
from dataclasses import dataclass

from .evaluate import loop_words, native_loop
from .kernels import jit
from .program import Program


@dataclass(frozen=True, slots=True)
class Line:
    """One step: the least of its times."""

    operator: int
    op: str
    kernel: str
    seconds: float
    macs: int
    moved: int  # bytes of its operands

    def __str__(self) -> str:
        rate = f"{2e-9 * self.macs / self.seconds:9.1f}" if self.macs and self.seconds > 0 else " " * 9
        flow = f"{1e-9 * self.moved / self.seconds:8.1f}" if self.seconds > 0 else ""
        return f"{self.operator:5}  {self.op:24} {self.kernel:44} {1e6 * self.seconds:10.2f} {rate} {flow}"


@dataclass(frozen=True, slots=True)
class Profile:
    """The steps of a program in order."""

    lines: tuple[Line, ...]

    @property
    def seconds(self) -> float:
        return sum(line.seconds for line in self.lines)

    def __str__(self) -> str:
        head = f"{'':5}  {'op':24} {'kernel':44} {'us':>10} {'GOP/s':>9} {'GB/s':>8}"
        kinds: dict[str, float] = {}
        for line in self.lines:
            kinds[line.op] = kinds.get(line.op, 0) + line.seconds
        total = max(self.seconds, 1e-12)
        tail = [f"       {op:24} {1e6 * s:10.2f} us {100 * s / total:5.1f} %"
                for op, s in sorted(kinds.items(), key=lambda k: -k[1])]
        return "\n".join([head, *map(str, self.lines), "", *tail])


def profile(program: Program, repeats: int = 20) -> Profile:
    """Times of the native steps of a program on one thread, with the values that are in its arena now.

    Run the program once before: later segments exist only then.
    """
    loop = native_loop()
    lines = []
    for segment in program.segments:
        for i, step in enumerate(segment.plan.steps):
            if not segment.table[i, 0] or jit.DISABLED:
                continue
            words = loop_words(segment.table[i:], 1, 0, 1, segment.sync)
            row = ctypes.c_void_p(words.ctypes.data)
            best = float("inf")
            for _ in range(repeats):
                start = time.perf_counter()
                loop(row)
                best = min(best, time.perf_counter() - start)
            operands = [o for o in (*step.call.inputs, *step.call.outputs) if o is not None and o.type.numpy is not None]
            moved = sum(o.size * o.dtype.itemsize for o in operands)
            lines.append(Line(step.call.index, step.name, step.kernel.name, best, step.op.macs(step.call), moved))
    return Profile(tuple(lines))
