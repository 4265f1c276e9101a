"""`tinyinterp warmup`: compile what models need, so that the next process finds it in the cache."""

from __future__ import annotations

import argparse
import sys
import time
from importlib.resources import files

from ..kernels import jit
from ..pair import ours


def run(args: argparse.Namespace) -> int:
    models: list[str | bytes] = list(args.models)
    names = list(args.models)
    if not models:
        names = ["digits_int8.tflite", "digits_float.tflite"]
        models = [(files("tinyinterp") / "data" / name).read_bytes() for name in names]
    for name, model in zip(names, models):
        for numerics in args.numerics:
            before, start = jit.compiled(), time.perf_counter()
            ours(model, numerics, args.threads).close()
            made, seconds = jit.compiled() - before, time.perf_counter() - start
            what = f"{made} kernels compiled" if made else "nothing left to compile"
            print(f"{name}: {what} for {numerics} numerics, {seconds:.2f} s", flush=True)
    print(f"kept in {jit.folder()}", file=sys.stderr)
    return 0
