"""`tinyinterp verify`: every tensor against the official interpreter. Exit status 0: all equal; 1: something differs."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict

from ..compare import verify
from ..feeds import Ask, files_of, value_of
from ..interpreter import Interpreter
from ..kernels import jit
from .run_model import _by_name


def run(args: argparse.Namespace) -> int:
    details = _by_name(Interpreter(args.model).get_input_details())
    given = {details[n]["index"]: value_of(source, n, details[n], Ask()) for n, source in files_of(args.input, details).items()}
    verdicts = []
    for numerics in args.numerics:
        verdict = verify(args.model, numerics, args.threads, args.runs, args.seed, given, not args.outputs_only)
        verdicts.append(verdict)
        if not args.json:
            print(verdict, flush=True)
            if not verdict.equal and numerics == "builtin":
                print("  the official builtin floats change from build to build: in builtin numerics only integers are promised")
    if args.json:
        print(json.dumps([{**asdict(v), "equal": v.equal} for v in verdicts], indent=2))
    else:
        print("equal, every byte" if all(v.equal for v in verdicts) else "not equal", f"(processor: {jit.level()})")
    return 0 if all(v.equal for v in verdicts) else 1
