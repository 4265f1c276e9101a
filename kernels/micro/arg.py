"""Where the greatest or the least number stands, in vectors: the microkernels of ARG_MAX and ARG_MIN.

    rows        along memory: the extreme of a row first, then the first place that is equal to it. A row of floats with a
                NaN in it gets -1: its answer is the definition's
    columns     across memory: lanes are outputs, each keeps its best number and that one's place
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

from ..machine import microkernel
from .reduce import BITS, kind_of, read
from .reduce_rows import halved

if TYPE_CHECKING:
    from .vectors import Code, Value


def ordered(code: Code, greater: bool, signed: bool) -> Callable[[Any, Any], Any]:
    """(acc, x) -> x where it is better, else acc."""
    choose = code.most if greater else code.least
    return lambda acc, x: choose(x, acc, signed)


def bits_of(code: Code, mask: Value) -> Value:
    """A mask as an integer, lane 0 lowest."""
    return code.convert(code.cast(mask, type(code.I1)(mask.kind.count)), code.I64, signed=False)


@cache
def rows(greater: bool, element: str, lanes: int, wide: bool) -> Callable[..., Any]:
    """(x, count, n, y): n rows of `count` numbers; wide: y of 64 bits."""
    size, real = BITS[element] // 8, element == "float32"

    @microkernel(*["int64"] * 4)
    def run(code: Code, x: Value, count: Value, n: Value, y: Value) -> None:
        kind, place = kind_of(code, element, lanes), code.I64 if wide else code.I32
        pick = ordered(code, greater, not element.startswith("u"))

        def found(row: Value, blocks: Value, mask: Value | None) -> Value:
            """The place of the best number of a row in `blocks` vectors."""
            def start(i: Value) -> Value:
                return i * lanes if mask else code.least(i * lanes, count - lanes)  # the last one overlaps

            def vector(at: Value) -> Value:
                v = code.load(row + at * size, kind) if mask is None else code.load_masked(row, kind, mask)
                return v if mask is None else code.select(mask, v, first)

            first = code.splat(code.load(row, kind.element), kind)
            best, numbers = code.cell(first), code.cell(code.same(first, first))
            with code.loop(blocks) as i:
                v = vector(start(i))
                best.set(pick(best.get(), v))
                if real:
                    numbers.set(numbers.get() & code.same(v, v))
            top = code.splat(halved(code, best.get(), pick), kind)
            at = code.cell(code.constant(-1))
            with code.loop(blocks) as i:  # from the last vector to the first
                begin = start(blocks - 1 - i)
                equal = bits_of(code, code.same(vector(begin), top))
                there = begin + code.call("llvm.cttz.i64", code.I64, equal, code.constant(0, code.I1))
                at.set(code.select(code.same(equal, code.constant(0)), at.get(), there))
            if not real:
                return at.get()
            whole = code.same(bits_of(code, numbers.get()), code.constant((1 << lanes) - 1))
            return code.select(whole, at.get(), code.constant(-1))

        def through(blocks: Value, mask: Value | None) -> None:
            with code.loop(n) as r:
                code.store(code.convert(found(x + r * count * size, blocks, mask), place), y + r * (8 if wide else 4))

        with code.either(code.less(count, code.constant(lanes))) as (few, enough):
            with few:
                through(code.constant(1), code.first(count, lanes))
            with enough:
                through((count + (lanes - 1)) / lanes, None)

    return run


@cache
def columns(greater: bool, element: str, lanes: int, wide: bool) -> Callable[..., Any]:
    """(x, count, step, n, y): n neighbours, whose `count` numbers lie `step` numbers apart."""
    size, real = BITS[element] // 8, element == "float32"
    used = "float32" if real else "int32"

    @microkernel(*["int64"] * 5)
    def run(code: Code, x: Value, count: Value, step: Value, n: Value, y: Value) -> None:
        word = code.vector(code.I32, lanes)

        def block(at: Value, mask: Value | None) -> None:
            def vector(a: Value) -> Value:
                return read(code, x + (at + a * step) * size, element, used, lanes, mask)

            best, place = code.cell(vector(code.constant(0))), code.cell(code.constant(0, word))
            with code.loop(count) as a:
                v, held = vector(a), best.get()
                better = code.less(held, v, orderless=True) if greater else code.less(v, held, orderless=True)
                if real:  # a NaN never wins, but it loses
                    better = better & code.same(v, v)
                best.set(code.select(better, v, held))
                place.set(code.select(better, code.splat(code.convert(a, code.I32), word), place.get()))
            value = code.convert(place.get(), code.vector(code.I64, lanes)) if wide else place.get()
            where = y + at * (8 if wide else 4)
            if mask is None:
                code.store(value, where)
            else:
                code.store_masked(value, where, mask)

        with code.either(code.less(n, code.constant(lanes))) as (few, enough):
            with few:
                block(code.constant(0), code.first(n, lanes))
            with enough, code.loop((n + (lanes - 1)) / lanes) as i:
                block(code.least(i * lanes, n - lanes), None)

    return run
