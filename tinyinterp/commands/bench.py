"""`tinyinterp bench`: how long an invoke takes, beside the official one's with --vs official, and step by step with --ops."""

from __future__ import annotations

import argparse
import json
from typing import Any

import numpy as np

from ..bench import Pair, alone, paired, shown
from ..kernels import jit
from ..pair import feed, ours, random_value, theirs
from ..peak import measure
from ..profile import profile


def run(args: argparse.Namespace) -> int:
    here = ours(args.model, args.numerics, args.threads)
    rng = np.random.default_rng(0)
    values = {d["index"]: random_value(d, rng) for d in here.get_input_details()}
    feed(here, values)
    facts: dict[str, Any] = {"model": args.model, "numerics": args.numerics, "threads": args.threads, "processor": jit.level(),
                             "macs": here.plan.macs}
    if args.vs is None:
        times = alone(here.invoke, args.seconds)
        facts |= {"seconds": times.median, "rounds": len(times.rounds)}
        text = f"tinyinterp {shown(times.median)} ({shown(times.quartiles[0])} to {shown(times.quartiles[1])})"
    else:
        there = theirs(args.model, args.numerics, args.threads)
        feed(there, values)
        pair: Pair = paired(here.invoke, there.invoke, args.seconds)
        ratio = pair.ratio
        facts |= {"seconds": pair.a.median, "official_seconds": pair.b.median, "ratio": ratio.median,
                  "ratio_quartiles": ratio.quartiles, "rounds": len(ratio.rounds)}
        text = (f"tinyinterp {shown(pair.a.median)}, official {shown(pair.b.median)}\n"
                f"official / tinyinterp = {ratio.median:.2f} ({ratio.quartiles[0]:.2f} to {ratio.quartiles[1]:.2f}); "
                "above 1 tinyinterp is the faster one")
    if args.ops:
        here.invoke()
        steps = profile(here.program, args.seconds, measure())
        facts |= {"ops": steps.facts()}
        parts = f"\nstep by step, on one thread, medians:\n{steps}"
    else:
        parts = ""
    if args.json:
        print(json.dumps(facts, indent=2))
    else:
        print(f"{args.model}: {args.numerics} numerics, {args.threads} thread{'s' * (args.threads > 1)}, {facts['macs']:,} MACs\n"
              f"{text}\nmedians over {facts['rounds']} rounds, the quartiles beside them{parts}")
    return 0
