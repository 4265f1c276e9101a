"""Sums and extremes of some dimensions, in vectors: the microkernels of MEAN, SUM, REDUCE_MAX and REDUCE_MIN.

All have one shape. n outputs stand beside each other in y; the numbers of output i start at x + i * step and are those
that the reduced loops of `axes.loops` reach. The table is that of `axes.loops`: the kept loops' sizes and steps in rows 0
and 1, the reduced ones' in rows 2 and 3.

    columns     step is 1: neighbouring outputs are neighbouring lanes, each adds in its own order

Rows, where the innermost reduced loop has step 1, are in `reduce_rows.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from ..machine import microkernel
from .formulas import as_floats, cut_off, flushed, nearest
from .tails import reference

if TYPE_CHECKING:
    from .vectors import Code, Value

BITS = {"int8": 8, "uint8": 8, "int16": 16, "int32": 32, "int64": 64, "float32": 32}
CHAINS = (8, 4)  # vectors of columns at a time
ROWS = 4  # of integers that go to accumulators of their own when there is one vector of columns
NARROW = 128  # rows of bytes that 16 bits hold the sum of


class Form(NamedTuple):
    """How numbers come together: pick(code, acc, x) in vectors of `kept`."""

    pick: Callable[[Code, Any, Any], Any]
    kept: str  # the type of the partial results
    scaled: bool = False  # the delegate's sums: each innermost loop from 0, times scale
    fused: bool = False


def plus(code: Code, acc: Value, x: Value) -> Value:
    return acc + x


def plus_square(code: Code, acc: Value, x: Value) -> Value:
    return acc + x * x


def plus_square_fused(code: Code, acc: Value, x: Value) -> Value:
    return code.fma(x, x, acc)


def extreme(greater: bool, signed: bool = True, held: bool = True) -> Callable[..., Any]:
    """What is in favour stays on a tie when `held`, else the newer one wins, and over a NaN."""

    def pick(code: Code, acc: Value, x: Value) -> Value:
        choose = code.most if greater else code.least
        return choose(x, acc, signed) if held else choose(acc, x, signed)

    return pick


def form_of(name: str, element: str, fused: bool = False) -> Form:
    """By name: sum, sum_delegate, squares_delegate; max and min, with _builtin and _delegate for floats."""
    wide = {"int8": "int32", "uint8": "int32", "int16": "int32", "int32": "int64"}.get(element, element)
    if name.startswith("s"):
        pick = plus if name.startswith("sum") else plus_square_fused if fused else plus_square
        return Form(pick, wide, name.endswith("delegate"), fused)
    held = element != "float32" or name in ("max", "min")
    return Form(extreme(name.startswith("max"), not element.startswith("u"), held), element)


def kind_of(code: Code, name: str, lanes: int = 0) -> Any:
    one = {"float32": code.F32}.get(name) or {8: code.I8, 16: code.I16, 32: code.I32, 64: code.I64}[BITS[name]]
    return code.vector(one, lanes) if lanes else one


class Walk:
    """The reduced loops of the table, around what is done along the innermost one."""

    def __init__(self, code: Code, table: Value, size: int, flat: bool) -> None:
        self.code, self.flat = code, flat
        self.counts = [code.load(table + 64 + 8 * k, code.I64) for k in range(4)]
        self.steps = [code.load(table + 96 + 8 * k, code.I64) * size for k in range(4)]
        self.between = code.load(table + 56, code.I64) * size  # two outputs

    def around(self, stack: ExitStack, first: Value) -> Value:
        """Opens three loops, none when all is `flat`; where the innermost one starts."""
        for k in range(0 if self.flat else 3):
            first = first + stack.enter_context(self.code.loop(self.counts[k])) * self.steps[k]
        return first


def read(code: Code, at: Value, element: str, kept: str, lanes: int, mask: Value | None = None) -> Value:
    kind = kind_of(code, element, lanes)
    value = code.load(at, kind) if mask is None else code.load_masked(at, kind, mask)
    return value if element == kept else code.convert(value, kind_of(code, kept, lanes), not element.startswith("u"))


def spread(code: Code, start: Value, kind: Any) -> Value:
    """A number given as float32 or int64 in every lane of a type."""
    element = kind.element
    return code.splat(start if element in (code.F32, code.I64) else code.convert(start, element), kind)


# -------------------------------------------------------------------------------------------------------------- columns
@cache
def columns(name: str, element: str, lanes: int, fused: bool, from_first: bool, divided: bool,
            flat: bool) -> Callable[..., Any]:
    """(x, table, n, y, start, scale). from_first: the first number starts; divided: by scale at the end; flat: there is one
    reduced loop."""
    form, size = form_of(name, element, fused), BITS[element] // 8
    after = BITS[form.kept] // 8
    flush = name in ("max_delegate", "min_delegate")

    @microkernel("int64", "int64", "int64", "int64", "float32" if element == "float32" else "int64", "float32")
    def run(code: Code, x: Value, table: Value, n: Value, y: Value, start: Value, scale: Value) -> None:
        walk, kind = Walk(code, table, size, flat), kind_of(code, form.kept, lanes)
        factor = code.splat(scale, kind) if element == "float32" else None

        def block(at: Value, vectors: int, mask: Value | None) -> None:
            def vector(where: Value, v: int, kept: str = form.kept) -> Value:
                return read(code, where + v * (lanes * size), element, kept, lanes, mask)

            first = x + at * size
            acc = [code.cell(vector(first, v) if from_first else spread(code, start, kind)) for v in range(vectors)]
            with ExitStack() as stack:
                line = walk.around(stack, first)
                if size == 1 and after == 4:
                    bytes_below(code, walk, line, acc, vector)
                elif form.scaled:
                    parts = [code.cell(code.constant(0.0, kind)) for _ in acc]
                    with code.loop(walk.counts[3]) as d:
                        for v, part in enumerate(parts):
                            part.set(form.pick(code, part.get(), vector(line + d * walk.steps[3], v)))
                    for cell, part in zip(acc, parts):
                        cell.set(cell.get() + part.get() * factor)
                else:
                    begin = code.constant(0)
                    if element != "float32" and vectors == 1:
                        begin = walk.counts[3] / ROWS * ROWS
                        several_rows(code, form, walk, line, acc[0], vector)
                    with code.loop(walk.counts[3] - begin) as d:
                        for v, cell in enumerate(acc):
                            cell.set(form.pick(code, cell.get(), vector(line + (begin + d) * walk.steps[3], v)))
            for v, cell in enumerate(acc):
                value = cell.get() / factor if divided else cell.get()
                value = flushed(code, value) if flush else value
                where = y + (at + v * lanes) * after
                if mask is None:
                    code.store(value, where)
                else:
                    code.store_masked(value, where, mask)

        with code.either(code.less(n, code.constant(lanes))) as (few, enough):
            with few:
                block(code.constant(0), 1, code.first(n, lanes))
            with enough:
                done = code.constant(0)
                for chains in CHAINS:
                    wide = (n - done) / (chains * lanes)
                    with code.loop(wide) as i:
                        block(done + i * (chains * lanes), chains, None)
                    done = done + wide * (chains * lanes)
                with code.loop((n - done + (lanes - 1)) / lanes) as i:  # the last one overlaps the one before
                    block(code.least(done + i * lanes, n - lanes), 1, None)

    return run


def several_rows(code: Code, form: Form, walk: Walk, line: Value, acc: Any, vector: Callable[..., Value]) -> None:
    """Whole groups of rows of integers, which know no order."""
    first = acc.get()
    extremes = form.pick is not plus
    parts = [code.cell(first if extremes else first ^ first) for _ in range(ROWS)]
    with code.loop(walk.counts[3] / ROWS) as d:
        for r, part in enumerate(parts):
            part.set(form.pick(code, part.get(), vector(line + (d * ROWS + r) * walk.steps[3], 0)))
    for part in parts:
        acc.set(form.pick(code, acc.get(), part.get()))


def bytes_below(code: Code, walk: Walk, line: Value, acc: list[Any], vector: Callable[..., Value]) -> None:
    """The sums of a column of bytes, 128 rows in 16 bits at a time."""
    count, step = walk.counts[3], walk.steps[3]
    with code.loop((count + (NARROW - 1)) / NARROW) as chunk:
        begin = chunk * NARROW
        lanes = acc[0].get().kind.count
        parts = [code.cell(code.constant(0, code.vector(code.I16, lanes))) for _ in acc]
        with code.loop(code.least(count - begin, code.constant(NARROW))) as d:
            for v, part in enumerate(parts):
                part.set(part.get() + vector(line + (begin + d) * step, v, "int16"))
        for cell, part in zip(acc, parts):
            cell.set(cell.get() + code.convert(part.get(), cell.get().kind))


# ------------------------------------------------------------------------------------------ from sums to 8 and 16 bits
def fixed(code: Code, x: Value, p: list[Any]) -> Value:
    """p: multiplier, shift, n * zx, and the output's zero point and limits, as in the others."""
    return limited(code, reference(code, x - p[2], p[0], p[1]), p)


def in_floats(code: Code, x: Value, p: list[Any]) -> Value:
    """p: scale, nothing, bias, …; half away from zero."""
    scale, bias = as_floats(code, p[0], p[2])
    v = code.convert(x, scale.kind) * scale + bias
    return limited(code, cut_off(code, code.call(f"llvm.round.v{scale.kind.count}f32", scale.kind, v)), p)


def in_floats_delegate(code: Code, x: Value, p: list[Any]) -> Value:
    """p: scale, nothing, bias, …; to nearest even. Beyond a million every byte is clamped already."""
    scale, bias = as_floats(code, p[0], p[2])
    v = code.convert(x, scale.kind) * scale + bias
    v = code.select(code.less(v, code.constant(-1e6, v.kind)), code.constant(-1e6, v.kind), v)
    return nearest(code, code.select(code.less(code.constant(1e6, v.kind), v), code.constant(1e6, v.kind), v))


def limited(code: Code, v: Value, p: list[Any]) -> Value:
    """For 16 bits, whose zero point is 0; the limits of bytes lie inside."""
    return code.least(code.most(v, code.constant(-32768, v.kind)), code.constant(32767, v.kind))
