"""`tinyinterp ops`: the coverage table."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict

from ..coverage import markdown, rows


def run(args: argparse.Namespace) -> int:
    table = rows()
    if args.json:
        print(json.dumps([asdict(r) for r in table], indent=2))
    elif args.markdown:
        print(markdown(table))
    else:
        for r in table:
            print(f"{r.name:26} {', '.join(r.numerics):28} {', '.join(r.types)}\n{'':26} {r.spec}")
        print(f"{len(table)} ops")
    return 0
