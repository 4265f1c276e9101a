"""Time a model: alone, or interleaved with another interpreter so that both meet the same state of the machine.

    rounds of (n invokes of a, n invokes of b), their order turned around each time; n so that a part takes 5 ms or more

The ratio is taken within each round, and its median over all of them is told with its quartiles: what slows the machine down
for a while slows both parts of a round.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

PART = 0.005  # seconds


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds of one invoke, round by round."""

    rounds: tuple[float, ...]

    @property
    def median(self) -> float:
        return float(np.median(self.rounds))

    @property
    def quartiles(self) -> tuple[float, float]:
        low, high = np.percentile(self.rounds, [25, 75])
        return float(low), float(high)


@dataclass(frozen=True, slots=True)
class Pair:
    """Two timed side by side."""

    a: Times
    b: Times

    @property
    def ratio(self) -> Times:
        """b / a in each round: how many times longer b takes."""
        return Times(tuple(y / x for x, y in zip(self.a.rounds, self.b.rounds)))


def alone(run: Callable[[], object], seconds: float) -> Times:
    """Time one."""
    return together([run], seconds)[0]


def paired(a: Callable[[], object], b: Callable[[], object], seconds: float) -> Pair:
    """Time two in turns."""
    return Pair(*together([a, b], seconds))


def together(runs: Sequence[Callable[[], object]], seconds: float, rest: float = 0.0, part: float = PART) -> list[Times]:
    """Time several in turns of `part` seconds, three rounds at least. `rest`: seconds to wait before each turn, for the
    threads of the others to fall asleep; one run wakes its own and is not timed."""
    rounds = _rounds(runs, seconds, rest, part)
    return [Times(tuple(r[k] for r in rounds)) for k in range(len(runs))]


def _rounds(runs: Sequence[Callable[[], object]], seconds: float, rest: float, part: float) -> list[list[float]]:
    repeats = [_repeats(run, part) for run in runs]
    rounds: list[list[float]] = []
    stop = time.perf_counter() + seconds
    while len(rounds) < 3 or time.perf_counter() < stop:
        order = range(len(runs)) if len(rounds) % 2 == 0 else reversed(range(len(runs)))
        measured = {}
        for k in order:
            if rest:
                time.sleep(rest)
                runs[k]()
            measured[k] = _time(runs[k], repeats[k])
        rounds.append([measured[k] for k in range(len(runs))])
    return rounds


def _repeats(run: Callable[[], object], part: float) -> int:
    """How many runs take so long, once the caches are warm."""
    if _time(run, 1) >= part:
        return 1
    run()
    return max(1, int(part / max(_time(run, 1), 1e-9)))


def _time(run: Callable[[], object], repeats: int) -> float:
    start = time.perf_counter()
    for _ in range(repeats):
        run()
    return (time.perf_counter() - start) / repeats


def shown(seconds: float) -> str:
    """A time with three digits.

    >>> shown(0.0000123)
    '12.3 us'
    """
    unit, name = (1.0, "s") if seconds >= 1 else (1e-3, "ms") if seconds >= 1e-3 else (1e-6, "us")
    value = seconds / unit
    return f"{value:.{0 if value >= 99.95 else 1 if value >= 9.995 else 2}f} {name}"
