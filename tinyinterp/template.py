"""Assemble: a plan as rows and records of machine words, complete but for the address of the arena.

    Plan ── lives_of, place ──► Placement
         ── assemble ──► Template ── bind ──► Segment (program.py)

Interpreters of one model share the template, and with it the constants as the kernels read them. It can be kept on disk
(`kept.py`).
"""

from __future__ import annotations

import os
from collections.abc import Mapping

import numpy as np

from .arena import LIMIT, Placement, place
from .errors import ArenaError
from .kernels import abi, jit
from .kernels.contract import DELEGATE, Slot
from .kernels.micro.loop import DENORMALS_OFF, ROW, SHARED
from .lives import lives_of, scratch_key
from .lower import Plan, Step, Weak
from .schema import TensorType
from .schema.frozen import record

# Seconds: a run that saves less than this is not shared, since a worker may have to be woken; nor are steps shorter than that.
SAVED = float(os.environ.get("TINYINTERP_SHARE_ABOVE", 25e-6))
SHARE = min(5e-6, SAVED)
OFFER = 2e-6  # what it costs to share a step
CROSSING = 3e9  # bytes a second from core to core
BRIEF = 1e-5  # a run that takes less keeps the GIL: giving it up and taking it back costs as much as a step


@record(frozen=True, slots=True, eq=False)
class Template(Weak):
    """A plan with places for its tensors. Immutable."""

    plan: Plan
    placement: Placement
    rows: np.ndarray  # [steps, ROW]: the kernel's address, how many bytes into `words` its record begins, flags, 0
    words: np.ndarray  # the records, one after the other
    places: np.ndarray  # which of the words are offsets into the arena
    constants: tuple[tuple[int, np.ndarray], ...]  # which of them are addresses of constants
    symbols: tuple[str, ...]  # each step's kernel, "" for a step in Python
    shared: bool  # whether threads share any step
    brief: bool  # whether a run is too short to give up the GIL

    @property
    def hosts(self) -> list[int]:
        """The steps that run in Python."""
        return [i for i, symbol in enumerate(self.symbols) if not symbol]

    @property
    def runs(self) -> list[tuple[int, int]]:
        """The stretches of native steps between those in Python: [(first, one past the last)]; an empty one when there are no
        steps at all, which is quicker to run than to ask about."""
        found, start = [], 0
        for i in [*self.hosts, len(self.symbols)]:
            if i > start:
                found.append((start, i))
            start = i + 1
        return found if self.symbols else [(0, 0)]


def assemble(plan: Plan, outside: Mapping[int, int], keep: frozenset[int], preserve: bool) -> Template:
    """The template of a plan. `outside`: tensors that lie in memory of an earlier segment, and their addresses. `keep`:
    tensors that must last to the end. Raises: ArenaError."""
    placement = place([l for l in lives_of(plan, keep, preserve) if l.key not in outside])
    if placement.size > LIMIT:
        raise ArenaError(f"the tensors need {placement.size:,} bytes, the limit is {LIMIT:,} "
                         "(set TINYINTERP_ARENA_LIMIT to allow more)")
    rows = np.zeros((len(plan.steps), ROW), np.int64)
    words: list[int] = []
    places: list[int] = []
    constants: list[tuple[int, np.ndarray]] = []
    symbols: list[str] = []
    shared = _shared(plan)
    for i, step in enumerate(plan.steps):
        if jit.DISABLED or step.kernel.host:
            symbols.append("")
            continue
        flags = (DENORMALS_OFF if step.call.numerics == DELEGATE else 0) | (SHARED if shared[i] else 0)
        symbol, address = jit.symbol_of(step.kernel, step.args)
        symbols.append(symbol)
        rows[i] = address, 8 * len(words), flags, 0
        words += _record(plan, step, i, outside, placement.offsets, len(words), places, constants)
    brief = len(plan.steps) <= 64 and sum(map(_seconds, plan.steps)) < BRIEF
    return Template(plan, placement, rows, np.array(words, np.int64), np.array(places, np.int64), tuple(constants),
                    tuple(symbols), any(shared), brief)


def _record(plan: Plan, step: Step, i: int, outside: Mapping[int, int], offsets: Mapping[int, int], start: int,
            places: list[int], constants: list[tuple[int, np.ndarray]]) -> list[int]:
    """The words of step i, which go to `start`."""
    words, arrays = abi.words(step.args, step.units)
    scratch = iter(enumerate(step.scratch))
    for at, arg in arrays:
        if isinstance(arg, np.ndarray):
            words[at] = address(arg)
            constants.append((start + at, arg))
            continue
        if isinstance(arg, Slot):
            key = plan.root(arg.tensor)
        else:
            k, (_, room) = next(scratch)
            if room >= 0:  # on the thread's stack
                words[at] = room
                continue
            key = scratch_key(i, k)
        if key in outside:
            words[at] = outside[key]
        else:
            words[at] = offsets[key]
            places.append(start + at)
    return words


def address(constant: np.ndarray) -> int:
    """Where a constant lies."""
    return abi.memory(constant)


def _moved(step: Step) -> int:
    """Bytes of all operands."""
    operands = (*step.call.inputs, *step.call.outputs)
    return sum(o.size * o.dtype.itemsize for o in operands if o is not None and o.type.numpy is not None)


def _seconds(step: Step) -> float:
    """About how long a step takes on one thread: 120 GMAC/s in floats, 500 in 8 bits, 20 GB/s through the caches."""
    rate = 120e9 if step.call.outputs and step.call.outputs[0].type == TensorType.FLOAT32 else 500e9
    return step.op.macs(step.call) / rate + _moved(step) / 20e9


def _shared(plan: Plan) -> list[bool]:
    """The steps that threads share: those long enough, if they save enough together, less what data take to cross from one
    core's cache to another's."""
    if plan.threads == 1:
        return [False] * len(plan.steps)
    seconds = [_seconds(step) if step.units > 1 else -1.0 for step in plan.steps]
    saved = sum(max(s * (1 - 1 / plan.threads) - OFFER, 0.0) for s in seconds if s >= SHARE)
    crossing = sum(_moved(step) * (1 - 1 / plan.threads) for step in plan.steps if step.op.crosses) / CROSSING
    return [s >= SHARE and saved - min(crossing, saved) >= SAVED for s in seconds]
