"""Elementwise ops by runs of memory: the drivers around `micro/elements.py`.

    one operand     x and y are one run
    two operands    a turn of the innermost loop of `broadcast.loops` is a run, in which one operand may repeat one element

A kernel is made for the types of a call and for what its innermost loop repeats; the formula's numbers become 32-bit words
when the model is lowered. The definitions stay beside these in each op's list, and take what is left out here: types and
scales that a formula has no room for, tensors without elements, plain Python.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np

from . import jit
from .broadcast import elements, offset
from .contract import Arg, Call, Kernel, Maker, Scratch
from .machine import address, inline
from .micro.elements import run_of
from .micro.lookup import table_of_bytes
from .pointwise import blocks_end, flat

LANES = {"amx": 16, "vnni": 16, "avx512": 16, "avx2": 8, "portable": 4}
LONGEST = 1024  # elements of a short operand that is written out several times
FIRST, SECOND = 1, 2  # rows of the loops' table
Numbers = Callable[[Call], Sequence[Any] | None]
Settle = Callable[[Call, Any], tuple[Arg, ...]]


def words(numbers: Sequence[Any]) -> np.ndarray:
    """[n] int32: integers as they are, float32 as their bits."""
    return np.array([np.float32(v).view(np.int32) if isinstance(v, (float, np.floating)) else int(v) for v in numbers], np.int32)


def possible(call: Call) -> bool:
    """There are elements, a compiler, and zero points that the types can hold."""
    return not jit.DISABLED and call.output.size > 0 and all(
        zero_fits(o.quantization.zero_point, o.dtype) for o in (*call.inputs, call.output) if o is not None)


def zero_fits(zeros: Any, dtype: Any) -> bool:
    if dtype.kind not in "iu" or not len(zeros):
        return True
    info = np.iinfo(dtype)
    return info.min <= int(min(zeros)) and int(max(zeros)) <= info.max


# ---------------------------------------------------------------------------------------------------------- one operand
@cache
def along(formula: Callable[..., Any], rest: Callable[..., Any] | None, types: tuple[str, str], numbers: int, others: int,
          lanes: int, x86: bool, block: int) -> Callable[..., None]:
    """The driver. With `rest`, whole blocks of the tensor are the formula's and what remains is that of `rest`."""
    part = run_of(formula, types[:1], (False,), types[1], numbers, lanes, x86)
    last = run_of(rest, types[:1], (False,), types[1], others, lanes, x86) if rest else part

    def run(x: Any, p: Any, y: Any, begin: int, end: int) -> None:
        part(address(x) + begin * x.itemsize, address(y) + begin * y.itemsize, address(p), end - begin, 1, 0)

    def run_blocks(x: Any, p: Any, q: Any, y: Any, begin: int, end: int) -> None:
        middle = blocks_end(x.size, block, begin, end)
        part(address(x) + begin * x.itemsize, address(y) + begin * y.itemsize, address(p), middle - begin, 1, 0)
        last(address(x) + middle * x.itemsize, address(y) + middle * y.itemsize, address(q), end - middle, 1, 0)

    return run_blocks if rest else run


def unary(name: str, formula: Callable[..., Any], numbers: Numbers, numerics: frozenset[str],
          when: Callable[[Call], bool], rest: tuple[Callable[..., Any], Numbers] | None = None, block: int = 1) -> Maker:
    """The kernel of a formula of one operand. `rest`: the formula, and its numbers, of what whole blocks leave."""

    def make(call: Call) -> Kernel | None:
        if call.numerics not in numerics or not when(call) or not possible(call):
            return None
        settled, others = numbers(call), rest[1](call) if rest else ()
        if settled is None or others is None:
            return None
        p, q, level = words(settled), words(others), jit.level()

        def args(call: Call, params: Any) -> tuple[Arg, ...]:
            x, y = flat(call)
            return (x, p, q, y) if rest else (x, p, y)

        run = along(formula, rest[0] if rest else None, (call.input(0).dtype.name, call.output.dtype.name), len(p), len(q),
                    LANES[level], level != "portable", block)
        return Kernel(f"{name}_{LANES[level]}_{jit.isa()}", run, args, numerics, split=elements, in_place=True)

    return make


# ----------------------------------------------------------------------------------------------- one operand of 8 bits
@cache
def through_table(lanes: int, at_once: bool) -> Callable[..., None]:
    """The driver for tables of 256 bytes."""
    part = table_of_bytes(lanes, at_once)

    def run(x: Any, table: Any, y: Any, begin: int, end: int) -> None:
        part(address(x) + begin, address(table), address(y) + begin, end - begin)

    return run


def byte_lanes() -> tuple[int, bool]:
    """Lanes of 32 bits, and whether 64 places of a table of 256 bytes can be looked up at once."""
    level = jit.level()
    return LANES[level], level in ("amx", "vnni") and "avx512vbmi" in jit.processor()[1]


def table(name: str, settle: Settle, numerics: frozenset[str], when: Callable[[Call], bool]) -> Maker:
    """The kernel of a table of bytes; `settle` is the definition's args: x, the table, y."""

    def make(call: Call) -> Kernel | None:
        if call.numerics not in numerics or not when(call) or not possible(call) or jit.level() == "portable":
            return None
        lanes, at_once = byte_lanes()
        if call.output.dtype.itemsize != 1 or (not at_once and call.output.size < 256):
            return None
        return Kernel(f"{name}_{4 * lanes}_{jit.isa()}", through_table(4 * lanes, at_once), settle, numerics, split=elements,
                      in_place=True)

    return make


# --------------------------------------------------------------------------------------------------------- two operands
@cache
def across(turn: Callable[..., Any], formula: Any, rest: Callable[..., Any] | None, types: tuple[str, str, str],
           repeats: tuple[bool, bool], numbers: int, others: int, lanes: int, x86: bool) -> Callable[..., None]:
    """The driver. With `rest`, `whole` elements of each turn are the formula's and what remains is that of `rest`."""
    part = turn(formula, types[:2], repeats, types[2], numbers, lanes, x86)
    last = run_of(rest, types[:2], repeats, types[2], others, lanes, x86) if rest else part

    def run(a: Any, b: Any, table: Any, p: Any, y: Any, begin: int, end: int) -> None:
        size, step_a, step_b = table[0, 0], table[1, 0] * a.itemsize, table[2, 0] * b.itemsize
        outer = min(table.shape[1] - 1, 1)  # turns of the second loop are the microkernel's rows
        together, row_a, row_b = table[0, outer], table[1, outer] * a.itemsize, table[2, outer] * b.itemsize
        row = begin // size
        first, at = begin - row * size, begin
        while at < end:
            n, rows = min(size - first, end - at), 1
            if outer > 0 and n == size:
                rows = min(together - row % together, (end - at) // size)
            part(address(a) + offset(row, table, 1) * a.itemsize + first * step_a,
                 address(b) + offset(row, table, 2) * b.itemsize + first * step_b, address(y) + at * y.itemsize, address(p), n,
                 rows, row_a, row_b)
            at += n * rows
            row += rows
            first = 0

    def run_blocks(a: Any, b: Any, table: Any, p: Any, q: Any, whole: int, y: Any, begin: int, end: int) -> None:
        size, step_a, step_b = table[0, 0], table[1, 0] * a.itemsize, table[2, 0] * b.itemsize
        row = begin // size
        first, at = begin - row * size, begin
        while at < end:
            n = min(size - first, end - at)
            from_a = address(a) + offset(row, table, 1) * a.itemsize
            from_b = address(b) + offset(row, table, 2) * b.itemsize
            to = address(y) + row * size * y.itemsize
            middle = min(max(whole, first), first + n)
            part(from_a + first * step_a, from_b + first * step_b, to + first * y.itemsize, address(p), middle - first, 1, 0, 0)
            last(from_a + middle * step_a, from_b + middle * step_b, to + middle * y.itemsize, address(q), first + n - middle, 1,
                 0, 0)
            at += n
            row += 1
            first = 0

    return run_blocks if rest else run


@inline
def write_out(short: Any, longer: Any) -> None:
    """longer: as many times `short`."""
    for at in range(0, longer.size, short.size):
        part = longer[at : at + short.size]
        for i in range(part.size):
            part[i] = short[i]


@cache
def across_longer(run: Callable[..., None], short: int) -> Callable[..., None]:
    """The driver, once operand `short`, which turn after turn of the innermost loop takes anew, is written out several times.
    far: the loops from the second one on, as they were."""

    def run_longer(a: Any, b: Any, longer: Any, far: Any, size: int, table: Any, p: Any, y: Any, begin: int, end: int) -> None:
        operand = b if short == SECOND else a
        left, right = (a, longer) if short == SECOND else (longer, b)
        block = size * far[0, 0]
        at = begin
        while at < end:
            stop = min((at // block + 1) * block, end)
            here = offset(at // block, far, short)
            write_out(operand[here : here + size], longer)
            run(left, right, table, p, y, at, stop)
            at = stop

    return run_longer


def lengthened(operands: Sequence[Any], table: np.ndarray) -> tuple[int, int, np.ndarray]:
    """(which operand, how often it is written out, the loops then). A short operand that turn after turn of the innermost loop
    takes anew makes for longer turns that way; 1: none does."""
    for short, other in ((SECOND, FIRST), (FIRST, SECOND)):
        if table.shape[1] < 2 or table[1:, 0].tolist() != [1, 1] or table[short, 1] != 0:
            continue
        size, outer = int(table[0, 0]), int(table[0, 1])
        stored = isinstance(operands[short - 1], np.ndarray) and table.shape[1] == 2
        if table[other, 1] != size:
            continue
        most = (LONGEST if stored else min(LONGEST // 2, outer * size // 4)) // size
        times = max((k for k in range(1, most + 1) if outer % k == 0), default=1)
        if times == 1:
            continue
        made = table.copy()
        made[0, 0], made[0, 1], made[other, 1] = size * times, outer // times, size * times
        if not stored:
            made[short, 1:] = 0
        return short, times, made
    return SECOND, 1, table


OfP = Callable[[Any], Sequence[Any] | None]


def binary(name: str, formula: Any, settle: Settle, numbers: OfP, numerics: frozenset[str], when: Callable[[Call], bool],
           rest: tuple[Callable[..., Any], OfP] | None = None, turn: Callable[..., Any] = run_of, width: int = 1,
           least: int = 1) -> Maker:
    """The kernel of a formula of two operands. `settle` is the definition's args; `numbers` makes its p the formula's.
    `rest`: the formula, and its numbers, of what the first p[-1] elements of a turn of the innermost loop leave. `turn`
    makes the microkernel, of `width` elements for each 32 bits, for rows of `least` elements and more."""

    def make(call: Call) -> Kernel | None:
        if call.numerics not in numerics or not when(call) or not possible(call):
            return None
        a, b, table, p, y = settle(call, None)
        settled = numbers(p)
        if settled is None:
            return None
        assert isinstance(table, np.ndarray) and isinstance(p, np.ndarray)
        short, times, turns = (SECOND, 1, table) if rest else lengthened((a, b), table)
        if turns.shape[1] > 1 and turns[0, 0] < least:
            return None
        repeats = bool(table[1, 0] == 0), bool(table[2, 0] == 0)
        types = call.input(0).dtype.name, call.input(1).dtype.name, call.output.dtype.name
        level, made = jit.level(), words(settled)
        others = rest[1](p) if rest else ()
        if others is None:
            return None
        run = across(turn, formula, rest[0] if rest else None, types, repeats, len(made), len(others), LANES[level],
                     level != "portable")
        both: list[Any] = [a, b]
        room: list[Any] = []
        if times > 1 and table.shape[1] == 2 and isinstance(both[short - 1], np.ndarray):
            both[short - 1] = np.tile(both[short - 1], times)
        elif times > 1:
            size = int(table[0, 0])
            room = [Scratch(call.input(0).dtype, (times * size,)), table[:, 1:].copy(), size]
            run = across_longer(run, short)

        def args(call: Call, params: Any) -> tuple[Arg, ...]:
            if rest:
                return a, b, table, made, words(others), int(p[-1]), y
            return *both, *room, turns, made, y

        return Kernel(f"{name}_{LANES[level] * width}_{jit.isa()}", run, args, numerics, split=elements, in_place=True)

    return make
