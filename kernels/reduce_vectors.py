"""MEAN, SUM, REDUCE_MAX and REDUCE_MIN in vectors: the driver around `micro/reduce.py` and `micro/reduce_rows.py`.

A microkernel takes a whole turn of the innermost kept loop, whose outputs lie at one distance from each other. Sums of
integers go to memory of their own first, and from there, by vectors again, to the output's type.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from . import jit
from .axes import count, first_of, outputs
from .contract import Call, Kernel, Maker, Scratch
from .machine import address, f32
from .micro.elements import run_of
from .micro.reduce import BITS, columns
from .micro.reduce_rows import abreast, in_any, in_lanes
from .numerics import wrap32
from .pool_windows import lanes_for
from .runs import possible, words
from .windows import LANES

CHUNK = 1024  # sums on the way to their outputs
Settle = Callable[[Call, Any], tuple[Any, ...]]


@cache
def whole(part: Callable[..., Any]) -> Callable[..., None]:
    """The driver where a microkernel gives the output itself. units: outputs."""

    def run(x: Any, table: Any, start: Any, scale: Any, y: Any, begin: int, end: int) -> None:
        inner, at = table[0, 3], begin
        while at < end:
            n = min(inner - at % inner, end - at)
            part(address(x) + first_of(table, at) * x.itemsize, address(table), n, address(y) + at * y.itemsize, start, scale)
            at += n

    return run


@cache
def summed(part: Callable[..., Any], tail: Callable[..., Any], output: str, numbers: int, lanes: int,
           x86: bool) -> Callable[..., None]:
    """The driver for sums of narrow integers and their way back, a formula. units: outputs."""
    back = run_of(tail, ("int32",), (False,), output, numbers, lanes, x86)

    def run(x: Any, table: Any, p: Any, sums: Any, y: Any, begin: int, end: int) -> None:
        inner = table[0, 3]
        for first in range(begin, end, sums.size):
            at, last = first, min(first + sums.size, end)
            while at < last:
                n = min(inner - at % inner, last - at)
                part(address(x) + first_of(table, at) * x.itemsize, address(table), n, address(sums) + (at - first) * 4, 0,
                     f32(1))
                at += n
            back(address(sums), address(y) + first * y.itemsize, address(p), last - first, 1, 0)

    return run


@cache
def divided_sums(part: Callable[..., Any], size: int) -> Callable[..., None]:
    """The driver for sums of 32 and 64 bits: the quotient is truncated, and its low bits are kept. units: outputs."""

    def run(x: Any, table: Any, divisor: int, sums: Any, y: Any, begin: int, end: int) -> None:
        inner = table[0, 3]
        for first in range(begin, end, sums.size):
            at, last = first, min(first + sums.size, end)
            while at < last:
                n = min(inner - at % inner, last - at)
                part(address(x) + first_of(table, at) * x.itemsize, address(table), n, address(sums) + (at - first) * 8, 0,
                     f32(1))
                at += n
            for o in range(first, last):
                quotient = sums[o - first]
                if divisor > 1:
                    total = quotient
                    quotient = total // divisor
                    if quotient < 0 and quotient * divisor != total:
                        quotient = quotient + 1
                y[o] = wrap32(quotient) if size == 4 else quotient

    return run


# ------------------------------------------------------------------------------------------------------------ choosing
def kept_innermost(table: np.ndarray) -> bool:
    """Neighbouring outputs are neighbours in x."""
    return bool(table[1, 3] == 1)


def elements_of(bits: int, level: str) -> int:
    return LANES[level] * 32 // bits


def part_for(name: str, element: str, table: np.ndarray, *, fused: bool = False, from_first: bool = False,
             divided: bool = False) -> tuple[Callable[..., Any], str] | None:
    """The microkernel for a table and its layout."""
    level = jit.level()
    kept = "columns" if kept_innermost(table) else "rows"
    flat = bool((table[2, :3] == 1).all())
    narrow_sum = name == "sum" and BITS[element] < 64
    if kept == "columns":
        held = {8: 16, 16: 32, 32: 64}[BITS[element]] if narrow_sum and element != "float32" else BITS[element]
        lanes = lanes_for(int(table[0, 3]), elements_of(held, level))
        return columns(name, element, lanes, fused, from_first, divided, flat), f"columns_{lanes}"
    if table[3, 3] != 1 and table[2].prod() > 1:
        return None
    if element == "float32":
        if name == "sum":
            return abreast, "rows"
        if name.endswith("delegate"):
            return in_lanes(name, LANES[level], fused, flat), f"rows_{LANES[level]}"
    x86 = level != "portable"
    held = {8: 8 if x86 else 32, 16: 32, 32: 64, 64: 64}[BITS[element]] if name == "sum" else BITS[element]
    lanes = max(lanes_for(int(table[2, 3]), elements_of(held, level)), 16 if held == 8 and x86 else 1)
    return in_any(name, element, lanes, x86, from_first, flat), f"rows_{lanes}"


def extremes(name: str, form: str, settle: Settle, numerics: frozenset[str], when: Callable[[Call], bool]) -> Maker:
    """The kernel of REDUCE_MAX or REDUCE_MIN; `settle` is the definition's args: x, the table, start, (from_first,) …, y."""

    def make(call: Call) -> Kernel | None:
        if call.numerics not in numerics or not when(call) or jit.DISABLED or not possible(call) or not call.input(0).size:
            return None
        x, table, start, *more, y = settle(call, None)
        real = call.input(0).dtype == np.float32
        if real and not kept_innermost(table) and (form.endswith("builtin") or jit.level() == "portable"):
            return None
        found = part_for(form, call.input(0).dtype.name, table, from_first=bool(real and more and more[0]))
        if found is None:
            return None
        part, layout = found
        return Kernel(f"{name}_{call.input(0).dtype}_{layout}_{jit.isa()}", whole(part),
                      lambda call, params: (x, table, start, f32(1), y), numerics, split=outputs)

    return make


def float_sums(name: str, form: str, settle: Settle, numerics: frozenset[str], when: Callable[[Call], bool]) -> Maker:
    """The kernel of float32 sums; `settle` is the definition's args: x, the table, start and divisor, or the scale, y."""

    def make(call: Call) -> Kernel | None:
        if call.numerics not in numerics or not when(call) or jit.DISABLED or not call.output.size or not call.input(0).size:
            return None
        x, table, *numbers, y = settle(call, None)
        start, scale = numbers if len(numbers) == 2 else (f32(0), numbers[0])
        delegate = form.endswith("delegate")
        if delegate and jit.level() == "portable":
            return None
        fused = jit.isa() == "avx512" and (form.startswith("squares") or not kept_innermost(table))
        found = part_for(form, "float32", table, fused=delegate and fused, divided=not delegate)
        if found is None:
            return None
        part, layout = found
        return Kernel(f"{name}_float32_{layout}_{jit.isa()}", whole(part), lambda call, params: (x, table, start, scale, y),
                      numerics, split=outputs)

    return make


def narrow_sums(name: str, tail: Callable[..., Any], settle: Settle, numerics: frozenset[str],
                when: Callable[[Call], bool]) -> Maker:
    """The kernel of sums of 8 and 16 bits; `settle` is the definition's args: x, the table, factor, shift, bias, the zero
    point and the limits of y, y."""

    def make(call: Call) -> Kernel | None:
        if call.numerics not in numerics or not when(call) or not possible(call) or not call.input(0).size:
            return None
        x, table, factor, shift, bias, zero, lo, hi, y = settle(call, None)
        bits = 8 * call.input(0).dtype.itemsize
        if not -31 <= shift <= 30 or count(call) >= 1 << (31 - bits) or not -(2**31) <= int(bias) < 2**31:
            return None
        found = part_for("sum", x.dtype.name, table)
        if found is None:
            return None
        (part, layout), level = found, jit.level()
        p = words([factor, shift, bias, zero, lo, hi])
        run = summed(part, tail, y.dtype.name, len(p), LANES[level], level != "portable")
        return Kernel(f"{name}_{call.input(0).dtype}_{layout}_{jit.isa()}", run,
                      lambda call, params: (x, table, p, Scratch(np.dtype(np.int32), (CHUNK,)), y), numerics, split=outputs)

    return make


def wide_sums(name: str, settle: Settle, numerics: frozenset[str], when: Callable[[Call], bool]) -> Maker:
    """The kernel of sums of 32 and 64 bits; `settle` is the definition's args: x, the table, divisor, size, y."""

    def make(call: Call) -> Kernel | None:
        if call.numerics not in numerics or not when(call) or not possible(call) or not call.input(0).size:
            return None
        x, table, divisor, size, y = settle(call, None)
        found = part_for("sum", call.input(0).dtype.name, table)
        if found is None:
            return None
        part, layout = found
        return Kernel(f"{name}_{call.input(0).dtype}_{layout}_{jit.isa()}", divided_sums(part, size),
                      lambda call, params: (x, table, divisor, Scratch(np.dtype(np.int64), (CHUNK,)), y), numerics,
                      split=outputs)

    return make
