"""How long a program waits before its first answer: imports, and from the start of the process to a MobileNet's output.

    python -m benchmarks.start [MODEL]

Every figure is the wall time of processes of their own, tinyinterp's and the official interpreter's in turns, the median told;
`cold` starts once with an empty cache of kernels. Byte code is kept as for any installed package, even if this process runs
with PYTHONDONTWRITEBYTECODE. Writes benchmarks/results/start.json.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.cases import networks
from benchmarks.record import RESULTS, Record, Row, short, table

ROOT = Path(__file__).resolve().parents[1]
ANSWER = """
import numpy as np
from {package} import Interpreter
interpreter = Interpreter(model_path={model!r})
interpreter.allocate_tensors()
for detail in interpreter.get_input_details():
    interpreter.set_tensor(detail["index"], np.zeros(detail["shape"], detail["dtype"]))
interpreter.invoke()
interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
"""
PACKAGES = {"ours": "tinyinterp", "official": "ai_edge_litert.interpreter"}


def process(code: str, cache: str | None = None) -> float:
    """Seconds of a process that runs this. Raises: subprocess.CalledProcessError."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"} | {"PYTHONPATH": str(ROOT)}
    environment |= {"TINYINTERP_CACHE": cache} if cache else {}
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, capture_output=True)
    return time.perf_counter() - start


def in_turns(codes: dict[str, str], turns: int) -> dict[str, list[float]]:
    """The times of several programs, run one after the other, again and again."""
    found: dict[str, list[float]] = {name: [] for name in codes}
    for turn in range(turns + 1):
        for name, code in codes.items():
            seconds = process(code)
            if turn:  # the first one fills the system's caches, and ours
                found[name].append(seconds)
    return found


def measure(model: Path, turns: int, cold: bool = True) -> Row:
    """All figures."""
    answers = {name: ANSWER.format(package=package, model=str(model.resolve())) for name, package in PACKAGES.items()}
    numpy = "import numpy"
    times = in_turns({"numpy": numpy, "import ours": f"{numpy}\nfrom tinyinterp import Interpreter",
                      "import official": f"{numpy}\nfrom ai_edge_litert.interpreter import Interpreter", **answers}, turns)
    row: Row = {name: short(float(np.median(v))) for name, v in times.items()}
    for name in PACKAGES:
        row[f"beyond numpy {name}"] = short(float(np.median([a - b for a, b in zip(times[f"import {name}"], times["numpy"])])))
    row["ratio"] = short(float(np.median([a / b for a, b in zip(times["ours"], times["official"])])))
    if cold:
        with tempfile.TemporaryDirectory() as empty:
            row["cold"] = short(process(answers["ours"], empty))
    return row


def page(rows: dict[str, Row]) -> str:
    """The tables in Markdown."""
    lines = []
    for name, row in rows.items():
        beyond = [f"{row[f'beyond numpy {who}']:.3f} s" for who in PACKAGES]
        lines += [[f"{name}: import beyond numpy's", *beyond, "0.15 s"],
                  [f"{name}: process start to first answer", f"{row['ours']:.3f} s", f"{row['official']:.3f} s",
                   f"1.2x (is {row['ratio']:.2f}x)"]]
        if "cold" in row:
            lines.append([f"{name}: the same, nothing compiled yet", f"{row['cold']:.1f} s", "", "15 s"])
    return table(["", "tinyinterp", "official", "at most"], lines)


def mobilenets() -> list[Path]:
    """A quantized and a float MobileNet of the given networks."""
    found = [p for p in networks() if "mobilenet_v" in p.name and "224" in p.name]
    small = [p for p in found if "quant" in p.name or "ptq" in p.name]
    return [kind[0] for kind in (small, [p for p in found if p not in small]) if kind]


def main() -> None:
    arguments = argparse.ArgumentParser(description="Time the start.")
    arguments.add_argument("models", nargs="*", type=Path, help="a MobileNet of TINYINTERP_MODELS when none is given")
    arguments.add_argument("--turns", type=int, default=11)
    arguments.add_argument("--no-cold", action="store_true")
    arguments.add_argument("--output", type=Path, default=RESULTS / "start.json")
    args = arguments.parse_args()
    record = Record(args.output, drop=True)
    for model in args.models or mobilenets():
        record.save(model.stem, measure(model, args.turns, not args.no_cold))
    print(page(record.rows))


if __name__ == "__main__":
    main()
