"""Damaged models through the whole pipeline: read, allocate, set, invoke, get. Whatever the bytes: an answer or an error.

    python -m tests.robustness 2000 [--seed 1] [--first 0] [model …]

Each mutant is used in a child process, whose tensors have fences (`tests/fence.py`): a write outside a tensor is found, a
read or write further away kills the child. Without models given, those of TINYINTERP_MODELS below 200 kB and one-operator
models of every op are damaged. A crash, a hang, an error of no class of ours, or one without a word, is a failure.
"""

from __future__ import annotations

import argparse
import faulthandler
import os
import queue
import random
import resource
import subprocess
import sys
import threading
import time
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tests.mutants import NUMBERS, mutant, sources

os.environ.setdefault("TINYINTERP_KEEP", "0")  # the constants of a program from the disk would have no fences
ROOT = Path(__file__).resolve().parents[1]
LIMIT = 64 << 20  # bytes of an arena
MOST_MACS = 50_000_000  # a mutant that would work longer than this is not run


# ------------------------------------------------------------------------------------------------------------- the child
class Outside(Exception):
    """A write outside a tensor."""


def with_fences() -> Any:
    """Give every tensor, every scratch and every constant of this process a fence; returns the check."""
    import tinyinterp.evaluate as evaluate
    import tinyinterp.program as program
    import tinyinterp.template as template
    from tests.fence import Fence, fenced
    from tinyinterp.arena import Placement
    from tinyinterp.evaluate import aligned

    kept: list[Any] = []
    planned: list[Fence] = []

    def place(lives: Any) -> Placement:
        total = sum(life.size + 8192 for life in lives)
        if total > LIMIT:
            return Placement(tuple(lives), {life.key: 0 for life in lives}, total, total)
        fence = Fence([life.size for life in lives])
        planned.append(fence)
        kept.append(fence)
        return Placement(tuple(lives), {life.key: at for life, at in zip(lives, fence.offsets)}, len(fence.all), 0)

    def memory(size: int) -> np.ndarray:
        if planned and len(planned[-1].all) == size:
            return planned.pop().all
        return aligned(size)

    def alone(size: int) -> np.ndarray:
        fence = Fence([size])
        kept.append(fence)
        return fence.all[fence.offsets[0] : fence.offsets[0] + size + 64]

    plain = template.address

    def address(constant: np.ndarray) -> int:
        copy = fenced(constant, kept)
        copy.flags.writeable = False
        return plain(copy)

    template.place, program.aligned, evaluate.aligned, template.address = place, memory, alone, address

    def check(over: bool = False) -> None:
        """Raises: Outside. `over`: nothing runs any more, the memory may go."""
        bad = [f for f in kept if not f.intact]
        if over:
            kept.clear()
        if bad:
            raise Outside(f"{len(bad)} fences were written over")

    return check


def use(data: bytes, number: int, check: Any) -> str:
    """Load and run a mutant as a caller would; how far it came."""
    from tests.harness import random_value
    from tinyinterp.interpreter import NUMERICS, Interpreter

    rng = random.Random(number)
    values = np.random.default_rng(number)
    resolver = rng.choice(list(NUMERICS))
    interpreter = Interpreter(model_content=data, experimental_op_resolver_type=resolver, num_threads=rng.choice((1, 1, 2)),
                              experimental_preserve_all_tensors=rng.random() < 0.2)
    stage = "allocated"
    interpreter.allocate_tensors()
    for turn in range(3):
        if turn == 2:
            stage = "invoked"
            details = interpreter.get_input_details()
            if not details:
                break
            detail = rng.choice(details)
            size = [rng.choice((d, d, d, 0, 1, 2, d + 1)) for d in detail["shape"].tolist()]
            interpreter.resize_tensor_input(detail["index"], size)
            interpreter.allocate_tensors()
        if sum(segment.plan.macs for segment in interpreter.program.segments) > MOST_MACS:
            return stage + ", too much work to run"
        for detail in interpreter.get_input_details():
            if detail["dtype"] in (np.bytes_, np.object_):
                value: Any = np.full(detail["shape"], b"text", object)
            else:
                value = random_value(detail["dtype"], detail["shape"].tolist(), values)
                if np.dtype(detail["dtype"]).kind in "iu" and np.dtype(detail["dtype"]).itemsize >= 4 and rng.random() < 0.3:
                    value[...] = rng.choice([n for n in NUMBERS if n >= np.iinfo(value.dtype).min])
            try:
                interpreter.set_tensor(detail["index"], value)
            except ValueError as error:  # packed types want smaller numbers
                if "must be between" not in str(error):
                    raise
        interpreter.invoke()
        check()
        for detail in interpreter.get_output_details():
            interpreter.get_tensor(detail["index"])
        str(interpreter.program), str(interpreter.arena)
    return "invoked"


def child(first: int, last: int, seed: int, files: Sequence[str]) -> None:
    """Use the mutants of these numbers; two lines of output each."""
    from tinyinterp.errors import TinyInterpError

    faulthandler.enable()
    warnings.simplefilter("ignore")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    check = with_fences()
    given = tuple(Path(f).read_bytes() for f in files) or sources()
    for number in range(first, last):
        data = mutant(number, seed, given)
        print(f"{number} start", flush=True)
        start = time.perf_counter()
        try:
            result = use(data, number, check)
        except Outside as error:
            result = f"FAILED {error}"
        except TinyInterpError as error:
            result = f"{type(error).__name__}" if str(error).strip() else "FAILED an error without a word"
        except (ValueError, RuntimeError, TypeError) as error:
            result = f"FAILED {_where(error)}"
        except BaseException as error:
            result = f"FAILED {_where(error)}"
        try:
            check(over=True)
        except Outside as error:
            result = f"FAILED {error}, then {result}"
        print(f"{number} {time.perf_counter() - start:.2f} {result}", flush=True)


def _where(error: BaseException) -> str:
    import traceback

    frames = traceback.extract_tb(error.__traceback__)[-3:]
    places = " < ".join(f"{Path(f.filename).name}:{f.lineno}" for f in reversed(frames))
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]} at {places}"


# ------------------------------------------------------------------------------------------------------------- the parent
@dataclass
class Report:
    """What became of the mutants."""

    results: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    slow: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        lines = [f"{count:6} {name}" for name, count in self.results.most_common()]
        return "\n".join([*lines, *(f"slow: {s}" for s in self.slow), *(f"FAILED: {f}" for f in self.failures),
                          f"{sum(self.results.values())} mutants, {len(self.failures)} failures"])


def survive(count: int, seed: int = 1, first: int = 0, files: Sequence[str] = (), patience: float = 60.0,
            budget: float = float("inf")) -> Report:
    """Use mutants `first` to `first + count` one after the other in a child, a new one after each crash or hang.

    patience: seconds for one of them. budget: seconds for all of them; those that are left then are not tried.
    """
    report = Report()
    number, end = first, first + count
    until = time.monotonic() + budget
    while number < end and time.monotonic() < until:
        number = _watch(number, end, seed, files, patience, until, report)
    return report


def _watch(number: int, end: int, seed: int, files: Sequence[str], patience: float, until: float, report: Report) -> int:
    """Follow one child to its end; the number of the next mutant to try."""
    command = [sys.executable, "-m", "tests.robustness", "--child", str(number), str(end), str(seed), *files]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               env={**os.environ, "TINYINTERP_ARENA_LIMIT": str(LIMIT)})
    lines: queue.Queue[str] = queue.Queue()
    said: list[str] = []
    readers = [threading.Thread(target=_read, args=(process.stdout, lines.put)),
               threading.Thread(target=_read, args=(process.stderr, said.append))]
    for reader in readers:
        reader.start()
    started = -1
    try:
        for line in _lines(lines, process, patience + 30, until):
            at, time_or_start, *rest = line.split(" ", 2)
            if time_or_start == "start":
                started = int(at)
                continue
            number = int(at) + 1
            result = rest[0]
            if result.startswith("FAILED"):
                report.failures.append(f"{at}: {result}")
            report.results["FAILED" if result.startswith("FAILED") else result] += 1
            if float(time_or_start) > patience / 10:
                report.slow.append(f"{at}: {time_or_start} s, {result}")
        if number < end and time.monotonic() < until:  # it died, or says nothing any more
            code = process.poll()
            what = f"crash, exit code {code}: {' '.join(said)[:900]}" if code is not None else f"hang, over {patience} s"
            report.failures.append(f"{started}: {what}")
            report.results["FAILED"] += 1
            number = max(started, number) + 1
    finally:
        process.kill()
        process.wait()
        for reader in readers:
            reader.join()
    return number


def _read(stream: Any, put: Any) -> None:
    for line in stream:
        put(line.rstrip("\n"))
    if put.__name__ == "put":
        put("")


def _lines(lines: queue.Queue[str], process: Any, patience: float, until: float) -> Iterator[str]:
    """The child's lines until it ends or is silent for too long."""
    while True:
        try:
            line = lines.get(timeout=max(0.1, min(patience, until - time.monotonic())))
        except queue.Empty:
            return
        if not line:
            process.wait()
            return
        yield line


def main() -> None:
    if sys.argv[1:2] == ["--child"]:
        child(*map(int, sys.argv[2:5]), sys.argv[5:])
        return
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("count", type=int)
    parser.add_argument("models", nargs="*")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0)
    arguments = parser.parse_args()
    report = survive(arguments.count, arguments.seed, arguments.first, [str(Path(m).resolve()) for m in arguments.models])
    print(report)
    sys.exit(bool(report.failures))


if __name__ == "__main__":
    main()
