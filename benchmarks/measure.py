"""One model, both interpreters: the same bytes, and the times side by side.

All interpreters of a comparison take turns in one process, each with 5 ms (an operator: 1 ms) or one invoke at a time. Numbers of
a row: seconds of an invoke (`ours`, `official`: medians; `ours_least`, `official_least`), and `ratio`, ours over the official's
within each round, its median and quartiles: below 1 tinyinterp is the faster one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.record import Row, short
from tinyinterp.bench import PART, Pair, Times, together
from tinyinterp.compare import difference
from tinyinterp.errors import TinyInterpError
from tinyinterp.pair import feed, ours, random_value, theirs
from tinyinterp.profile import moved

REST = 0.002  # seconds between turns when there are threads that wait actively for a while


def compare(model: str | bytes, numerics: str = "default", threads: int = 1, seconds: float = 1.0, seed: int = 0,
            part: float = PART) -> Row:
    """The row of a model; `failed` tells why there are no times."""
    return beside(model, numerics, (threads,), seconds, seed, part)[str(threads)]


def beside(model: str | bytes, numerics: str = "default", threads: Sequence[int] = (1,), seconds: float = 1.0,
           seed: int = 0, part: float = PART) -> dict[str, Row]:
    """A row for each number of threads. `part`: the seconds of a turn."""
    try:
        here, there = _both(model, numerics, threads, seed)
    except TinyInterpError as error:
        return {str(t): {"failed": f"refused: {_first(error)}"} for t in threads}
    except RuntimeError as error:
        return {str(t): {"failed": str(error)} for t in threads}
    equal = [same(a, b) for a, b in zip(here, there)]
    times = together([i.invoke for i in (*there, *here)], seconds, REST if max(threads) > 1 else 0.0, part)
    official, mine = times[: len(there)], times[len(there) :]
    return {str(t): {**_row(Pair(a, b)), "equal": e} for t, a, b, e in zip(threads, official, mine, equal)}


def gain(model: str | bytes, numerics: str, threads: Sequence[int], seconds: float) -> Row:
    """How many times as fast the last of these numbers of threads is as the first one, in turns of 30 ms, so that most runs
    find in the caches what the run before left there."""
    try:
        both = [ours(model, numerics, t) for t in threads]
        values = {d["index"]: random_value(d, np.random.default_rng(0)) for d in both[0].get_input_details()}
        for interpreter in both:
            feed(interpreter, values)
            interpreter.invoke()
    except TinyInterpError as error:
        return {"failed": f"refused: {_first(error)}"}
    first, last = together([i.invoke for i in (both[0], both[-1])], seconds, REST, 6 * PART)
    return _ratio(Pair(last, first).ratio)


def _both(model: str | bytes, numerics: str, threads: Sequence[int], seed: int) -> tuple[list[Any], list[Any]]:
    """Ours and the official ones, each run once on the same values.

    Raises: TinyInterpError when ours refuses, another RuntimeError when the official one does."""
    here = [ours(model, numerics, t) for t in threads]
    try:
        there = [theirs(model, numerics, t) for t in threads]
        rng = np.random.default_rng(seed)
        values = {d["index"]: random_value(d, rng) for d in here[0].get_input_details()}
        try:
            for interpreter in there:
                feed(interpreter, values)
                interpreter.invoke()
        except (RuntimeError, ValueError):  # a divisor of zero, the square root of a negative number: the greatest numbers, then
            values = {t: np.full_like(v, 3 if v.dtype.itemsize > 2 else np.iinfo(v.dtype).max) for t, v in values.items()}
            for interpreter in there:
                feed(interpreter, values)
                interpreter.invoke()
    except (TinyInterpError, RuntimeError, ValueError) as error:
        raise RuntimeError(f"the official interpreter refuses: {_first(error)}") from error
    for interpreter in here:
        feed(interpreter, values)
        interpreter.invoke()
    return here, there


def _row(pair: Pair) -> Row:
    return {"ours": short(pair.b.median), "official": short(pair.a.median), "ours_least": short(min(pair.b.rounds)),
            "official_least": short(min(pair.a.rounds)), **_ratio(pair.ratio)}


def _ratio(ratio: Times) -> Row:
    return {"ratio": short(ratio.median), "quartiles": [short(q) for q in ratio.quartiles], "rounds": len(ratio.rounds)}


def same(here: Any, there: Any) -> bool:
    """Whether all outputs have the same bytes; a NaN equals a NaN."""
    return all(difference(here.get_tensor(d["index"]), there.get_tensor(d["index"])) is None for d in there.get_output_details())


def work(model: bytes, numerics: str) -> Row:
    """What a model computes and moves here: `kernels`, `macs`, `moved` bytes of all operands."""
    steps = ours(model, numerics).plan.steps
    return {"kernels": [s.kernel.name for s in steps], "macs": sum(s.op.macs(s.call) for s in steps),
            "moved": sum(moved(s) for s in steps)}


def _first(error: Exception) -> str:
    return str(error).partition("\n")[0][:160]
