"""One model, both interpreters: the same bytes, and the times side by side.

Numbers of a row: seconds of an invoke (`ours`, `official`: medians; `ours_least`, `official_least`), and `ratio`, ours over the
official's within each round, its median and quartiles: below 1 tinyinterp is the faster one.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.record import Row, short
from tinyinterp.bench import paired
from tinyinterp.compare import difference
from tinyinterp.errors import TinyInterpError
from tinyinterp.pair import feed, ours, random_value, theirs


def compare(model: str | bytes, numerics: str = "default", threads: int = 1, seconds: float = 1.0, seed: int = 0) -> Row:
    """The row of a model; `failed` tells why there are no times."""
    try:
        here = ours(model, numerics, threads)
    except TinyInterpError as error:
        return {"failed": f"refused: {_first(error)}"}
    try:
        there = theirs(model, numerics, threads)
        rng = np.random.default_rng(seed)
        values = {d["index"]: random_value(d, rng) for d in here.get_input_details()}
        feed(there, values)
        try:
            there.invoke()
        except (RuntimeError, ValueError):  # a divisor of zero, the square root of a negative number: the greatest numbers, then
            values = {t: np.full_like(v, 3 if v.dtype.itemsize > 2 else np.iinfo(v.dtype).max) for t, v in values.items()}
            feed(there, values)
            there.invoke()
        feed(here, values)
    except (TinyInterpError, RuntimeError, ValueError) as error:
        return {"failed": f"the official interpreter refuses: {_first(error)}"}
    try:
        here.invoke()
    except TinyInterpError as error:
        return {"failed": f"refused: {_first(error)}"}
    equal = same(here, there)
    pair = paired(there.invoke, here.invoke, seconds)
    ratio = pair.ratio
    return {"ours": short(pair.b.median), "official": short(pair.a.median), "ours_least": short(min(pair.b.rounds)),
            "official_least": short(min(pair.a.rounds)), "ratio": short(ratio.median),
            "quartiles": [short(q) for q in ratio.quartiles], "rounds": len(ratio.rounds), "equal": equal}


def same(here: Any, there: Any) -> bool:
    """Whether all outputs have the same bytes; a NaN equals a NaN."""
    return all(difference(here.get_tensor(d["index"]), there.get_tensor(d["index"])) is None for d in there.get_output_details())


def work(model: bytes, numerics: str) -> Row:
    """What a model computes and moves here: `kernels`, `macs`, `moved` bytes of all operands."""
    steps = ours(model, numerics).plan.steps
    operands = [o for s in steps for o in (*s.call.inputs, *s.call.outputs) if o is not None and o.type.numpy is not None]
    return {"kernels": [s.kernel.name for s in steps], "macs": sum(s.op.macs(s.call) for s in steps),
            "moved": int(sum(o.size * o.dtype.itemsize for o in operands))}


def _first(error: Exception) -> str:
    return str(error).partition("\n")[0][:160]
