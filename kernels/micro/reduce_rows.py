"""Sums and extremes of runs of memory, in vectors: the microkernels of the reductions over the innermost dimension.

Parameters and table are those of `reduce.py`; the innermost reduced loop has step 1.

    in_lanes    the delegate's floats: lanes along the run, in the order of `lanes.py`
    abreast     sums in order: eight outputs side by side, so that their additions overlap
    in_any      where no order shows: integers, and the extremes of floats, but for one that is 0: which zero it is, the
                first one tells, so such a row is gone through again
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from functools import cache
from typing import TYPE_CHECKING, Any

from ..machine import microkernel
from .formulas import flushed
from .reduce import BITS, Form, Walk, form_of, kind_of, read

if TYPE_CHECKING:
    from .vectors import Code, Value

ABREAST = 8
Join = Callable[[Any, Any], Any]


def halved(code: Code, value: Value, join: Join) -> Value:
    """All lanes joined into one: each with the one half the lanes further, then a quarter …"""
    lanes = value.kind.count
    while lanes > 1:
        lanes //= 2
        low, high = (code.shuffle(value, value, list(range(k, k + lanes))) for k in (0, lanes))
        value = join(low, high)
    return code.extract(value, 0)


# ------------------------------------------------------------------------------------------- the delegate's order of lanes
def sum_of_run(code: Code, at: Value, n: Value, form: Form, lanes: int, accumulators: int) -> Value:
    """Accumulators over whole blocks, what blocks of one vector are left, joined, then the tail; then the lanes."""
    kind = kind_of(code, "float32", lanes)
    acc = [code.cell(code.constant(0.0, kind)) for _ in range(accumulators)]
    block = accumulators * lanes
    whole = n / block * block
    with code.loop(n / block) as i:
        for v, cell in enumerate(acc):
            cell.set(form.pick(code, cell.get(), code.load(at + (i * block + v * lanes) * 4, kind)))
    for v in range(accumulators - 1):
        with code.when(code.less(code.constant((v + 1) * lanes - 1), n - whole)):
            acc[v].set(form.pick(code, acc[v].get(), code.load(at + (whole + v * lanes) * 4, kind)))
    v0, *others = [cell.get() for cell in acc]
    total = code.cell(others[0] + v0 if accumulators == 2 else (v0 + others[1]) + (others[0] + others[2]))
    done = n / lanes * lanes
    with code.when(code.less(done, n)):
        mask = code.first(n - done, lanes)
        tail = code.load_masked(at + done * 4, kind, mask)
        total.set(code.select(mask, form.pick(code, total.get(), tail), total.get()))
    return halved(code, total.get(), lambda a, b: a + b)


def extreme_of_run(code: Code, at: Value, n: Value, start: Value, form: Form, lanes: int) -> Value:
    """Every lane begins with `start`; each element of the tail goes to every lane."""
    kind = kind_of(code, "float32", lanes)

    def join(a: Value, b: Value) -> Value:
        return form.pick(code, a, b)

    acc = [code.cell(code.splat(start, kind)) for _ in range(4)]
    with code.loop(n / (4 * lanes)) as i:
        for v, cell in enumerate(acc):
            cell.set(join(cell.get(), code.load(at + (i * 4 + v) * (4 * lanes), kind)))
    v0, v1, v2, v3 = (cell.get() for cell in acc)
    m = code.cell(join(join(v0, v1), join(v2, v3)))
    whole, blocks = n / (4 * lanes) * 4, n / lanes
    with code.loop(blocks - whole) as i:
        m.set(join(m.get(), code.load(at + (whole + i) * (4 * lanes), kind)))
    with code.loop(n - blocks * lanes) as i:
        m.set(join(m.get(), code.splat(code.load(at + (blocks * lanes + i) * 4, code.F32), kind)))
    return halved(code, m.get(), join)


@cache
def in_lanes(name: str, lanes: int, fused: bool, flat: bool) -> Callable[..., Any]:
    """The delegate's rows of float32: (x, table, n, y, start, scale)."""
    form = form_of(name, "float32", fused)
    accumulators = 2 if name.startswith("sum") and fused else 4

    @microkernel("int64", "int64", "int64", "int64", "float32", "float32")
    def run(code: Code, x: Value, table: Value, n: Value, y: Value, start: Value, scale: Value) -> None:
        walk = Walk(code, table, 4, flat)
        with code.loop(n) as i:
            acc = code.cell(start)
            with ExitStack() as stack:
                line = walk.around(stack, x + i * walk.between)
                if form.scaled:
                    row = sum_of_run(code, line, walk.counts[3], form, lanes, accumulators)
                    acc.set(code.fma(scale, row, acc.get()) if fused else acc.get() + row * scale)
                else:
                    acc.set(extreme_of_run(code, line, walk.counts[3], acc.get(), form, lanes))
            one = code.splat(acc.get(), kind_of(code, "float32", 1))
            code.store(code.extract(one if form.scaled else flushed(code, one), 0), y + i * 4)

    return run


# ------------------------------------------------------------------------------------------------------- sums in order
@microkernel("int64", "int64", "int64", "int64", "float32", "float32")
def abreast(code: Code, x: Value, table: Value, n: Value, y: Value, start: Value, scale: Value) -> None:
    """Sums of float32 from `start` in the order of memory, over scale: (x, table, n, y, start, scale)."""
    walk = Walk(code, table, 4, False)

    def outputs(first: Value, count: int) -> None:
        acc = [code.cell(start) for _ in range(count)]
        with ExitStack() as stack:
            line = walk.around(stack, x + first * walk.between)
            rows = [line + walk.between * k for k in range(count)]
            with code.loop(walk.counts[3]) as d:
                for row, cell in zip(rows, acc):
                    cell.set(cell.get() + code.load(row + d * 4, code.F32))
        for k, cell in enumerate(acc):
            code.store(cell.get() / scale, y + (first + k) * 4)

    with code.loop(n / ABREAST) as i:
        outputs(i * ABREAST, ABREAST)
    done = n / ABREAST * ABREAST
    with code.loop(n - done) as i:
        outputs(done + i, 1)


# ---------------------------------------------------------------------------------------------------------- in any order
def added(code: Code, at: Value, n: Value, element: str, kept: str, lanes: int, x86: bool) -> Value:
    """The sum of a run of integers. Bytes by the instruction that sums eight of them, from 0 up: 128 more than they are
    when they are signed."""
    if BITS[element] > 8 or not x86:
        acc = code.cell(code.constant(0, kind_of(code, kept, lanes)))
        size = BITS[element] // 8
        with code.loop(n / lanes) as i:
            acc.set(acc.get() + read(code, at + i * (lanes * size), element, kept, lanes))
        done = n / lanes * lanes
        with code.when(code.less(done, n)):
            acc.set(acc.get() + read(code, at + done * size, element, kept, lanes, code.first(n - done, lanes)))
        return halved(code, acc.get(), lambda a, b: a + b)
    byte, wide = code.vector(code.I8, lanes), code.vector(code.I64, lanes // 8)
    name = {64: "avx512.psad.bw.512", 32: "avx2.psad.bw", 16: "sse2.psad.bw"}[lanes]
    flip, zero = code.constant(-128 if element == "int8" else 0, byte), code.constant(0, byte)
    total, second = (code.cell(code.constant(0, wide)) for _ in range(2))

    def take(value: Value, to: Any) -> None:
        to.set(to.get() + code.call(f"llvm.x86.{name}", wide, value ^ flip, zero))

    fours = n / (4 * lanes)
    with code.loop(fours) as i:
        for v in range(4):
            take(code.load(at + (i * 4 + v) * lanes, byte), second if v % 2 else total)
    with code.loop(n / lanes - fours * 4) as i:
        take(code.load(at + (fours * 4 + i) * lanes, byte), total)
    done = n / lanes * lanes
    with code.when(code.less(done, n)):
        take(code.load_masked(at + done, byte, code.first(n - done, lanes)), total)
    found = code.convert(halved(code, total.get() + second.get(), lambda a, b: a + b), code.I32)
    more = code.convert((n + (lanes - 1)) / lanes * (128 * lanes), code.I32)
    return found - more if element == "int8" else found


def most_of(code: Code, at: Value, n: Value, start: Value, form: Form, element: str, lanes: int) -> Value:
    """The extreme of a run and of what every lane starts with."""
    kind, size = kind_of(code, element, lanes), BITS[element] // 8
    acc = code.cell(code.splat(start, kind))
    four = [code.cell(acc.get()) for _ in range(4)]
    with code.loop(n / (4 * lanes)) as i:
        for v, cell in enumerate(four):
            cell.set(form.pick(code, cell.get(), code.load(at + (i * 4 + v) * (lanes * size), kind)))
    for cell in four:
        acc.set(form.pick(code, acc.get(), cell.get()))
    done = n / (4 * lanes) * 4
    with code.either(code.less(n, code.constant(lanes))) as (few, enough):
        with few:
            mask = code.first(n, lanes)
            acc.set(code.select(mask, form.pick(code, acc.get(), code.load_masked(at, kind, mask)), acc.get()))
        with enough, code.loop((n + (lanes - 1)) / lanes - done) as i:  # the last one overlaps the one before
            acc.set(form.pick(code, acc.get(), code.load(at + code.least((done + i) * lanes, n - lanes) * size, kind)))
    return halved(code, acc.get(), lambda a, b: form.pick(code, a, b))


@cache
def in_any(name: str, element: str, lanes: int, x86: bool, from_first: bool, flat: bool) -> Callable[..., Any]:
    """Sums of integers, extremes of all types but the delegate's floats: (x, table, n, y, start, scale)."""
    form, size, real = form_of(name, element), BITS[element] // 8, element == "float32"

    @microkernel("int64", "int64", "int64", "int64", "float32" if real else "int64", "float32")
    def run(code: Code, x: Value, table: Value, n: Value, y: Value, start: Value, scale: Value) -> None:
        walk, one = Walk(code, table, size, flat), kind_of(code, form.kept)
        with code.loop(n) as i:
            first = x + i * walk.between
            begin = code.load(first, one) if from_first else start if real else code.convert(start, one)
            acc = code.cell(begin)
            with ExitStack() as stack:
                line = walk.around(stack, first)
                if name == "sum":
                    acc.set(acc.get() + added(code, line, walk.counts[3], element, form.kept, lanes, x86))
                else:
                    acc.set(most_of(code, line, walk.counts[3], acc.get(), form, element, lanes))
            if real:
                with code.when(code.same(acc.get(), code.constant(0.0, one))):
                    acc.set(begin)
                    with ExitStack() as stack:
                        line = walk.around(stack, first)
                        with code.loop(walk.counts[3]) as d:
                            acc.set(form.pick(code, acc.get(), code.load(line + d * 4, one)))
            code.store(acc.get(), y + i * (BITS[form.kept] // 8))

    return run
