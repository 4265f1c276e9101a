"""Pooling windows of one output pixel, channels beside each other in vectors, nine cells at a time.

    y[c] = finish(join(... join(first nine cells of channel c), next nine ...))

A cell's address is image + down[t] + across[t]: two tables of byte offsets, one for the pixel's row and one for its
column. A negative offset marks a cell outside the image, which is read from `outside`, a run of zeros. The number of
nines is told at run time, the number of cells in the last one when the kernel is written: ten kernels carry all windows.

The last vector of a pixel overlaps the one before; fewer channels than a vector are masked. Where a window has many nines,
vectors go in groups of four, then one group of those that are left, because they share the addresses: a global average
over two vectors of channels, one at a time, took 1.25 of the official time, together 0.8.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from ..machine import microkernel

if TYPE_CHECKING:
    from .vectors import Code, Value

FLOAT_MAX = 3.4028234663852886e38


class Pixel(NamedTuple):
    """What finishing needs to know of a pixel: its clamp and how many cells are inside the image."""

    lo: Any
    hi: Any
    count: Any


class Form(NamedTuple):
    """A way to pool: the vectors that are loaded, and how nine of them join what there is (None: nothing yet)."""

    bits: int  # of an element
    load: Callable[[Code, Value, Value | None, int], Any]  # (code, address, mask, lanes)
    join: Callable[[Code, Any, list[Any], Pixel], Any]
    finish: Callable[[Code, Any, Pixel], Any]


def _splat(code: Code, number: Value, like: Value) -> Value:
    return code.splat(number, like.kind)


def _load(element: str) -> Callable[..., Value]:
    def load(code: Code, at: Value, mask: Value | None, lanes: int) -> Value:
        kind = code.vector(getattr(code, element), lanes)
        return code.load(at, kind) if mask is None else code.load_masked(at, kind, mask)

    return load


# ------------------------------------------------------------------------------------------------------------- maximum
def _nine(v: list[Value], pick: Callable[[Value, Value], Value]) -> Value:
    """The delegate's tree; cells past the window are the first one again."""
    v = v + [v[0]] * (9 - len(v))

    def of(a: Value, b: Value) -> Value:
        return a if a is b else pick(a, b)

    return of(of(of(v[2], v[3]), of(v[4], v[5])), of(of(of(v[0], v[1]), v[8]), of(v[6], v[7])))


def _max_delegate(code: Code, acc: Value | None, v: list[Value], at: Pixel) -> Value:
    m = _nine(v, code.most)
    lo, hi = _splat(code, at.lo, m), _splat(code, at.hi, m)
    return code.least(code.most(m, lo) if acc is None else code.most(acc, m), hi)


def _flushed(code: Code, acc: Value, at: Pixel) -> Value:
    """A denormal comes out as a zero, whether the compiler chose a maximum, which flushes, or a move, which does not."""
    kind = code.vector(code.I32, acc.kind.count)
    bits = code.cast(acc, kind)
    sign, small = bits & code.constant(-(2**31), kind), bits & code.constant(0x7F800000, kind)
    normal = code.less(code.constant(0, kind), small)
    return code.cast(code.select(normal, bits, sign), acc.kind)


def _max_reference(code: Code, acc: Value | None, v: list[Value], at: Pixel) -> Value:
    acc = code.constant(-FLOAT_MAX, v[0].kind) if acc is None else acc
    for cell in v:
        acc = code.most(cell, acc)
    return acc


def _clamped(code: Code, acc: Value, at: Pixel) -> Value:
    return code.least(_splat(code, at.hi, acc), code.most(_splat(code, at.lo, acc), acc))


def _max_integer(signed: bool, bits: int = 8) -> Form:
    def join(code: Code, acc: Value | None, v: list[Value], at: Pixel) -> Value:
        for cell in v:
            acc = cell if acc is None else code.most(cell, acc, signed)
        assert acc is not None
        return acc

    def finish(code: Code, acc: Value, at: Pixel) -> Value:
        lo, hi = (code.splat(code.convert(b, acc.kind.element), acc.kind) for b in (at.lo, at.hi))
        return code.least(hi, code.most(lo, acc, signed), signed)

    return Form(bits, _load(f"I{bits}"), join, finish)


# ------------------------------------------------------------------------------------------------------------- average
def _sum_delegate(code: Code, acc: Value | None, v: list[Value], at: Pixel) -> Value:
    """The tree, where a zero that is added counts only once, at the root: it makes -0 a +0, whatever came before."""
    def of(a: int, b: int) -> Value | None:
        return plus(v[a] if a < len(v) else None, v[b] if b < len(v) else None)

    def plus(a: Value | None, b: Value | None) -> Value | None:
        return b if a is None else a if b is None else a + b

    total = plus(plus(of(2, 3), of(4, 5)), plus(plus(of(0, 1), v[8] if len(v) > 8 else None), of(6, 7)))
    assert total is not None
    return (code.constant(0.0, total.kind) if acc is None else acc) + total


def _sum_reference(code: Code, acc: Value | None, v: list[Value], at: Pixel) -> Value:
    """Row by row; zeros outside the image leave a sum that began with +0 as it is."""
    acc = code.constant(0.0, v[0].kind) if acc is None else acc
    for cell in v:
        acc = acc + cell
    return acc


def _scaled(code: Code, acc: Value, at: Pixel) -> Value:
    scale = code.constant(1.0, code.F32) / code.convert(at.count, code.F32)
    mean = acc * _splat(code, scale, acc)
    return code.least(code.most(mean, _splat(code, at.lo, mean)), _splat(code, at.hi, mean))


def _divided(code: Code, acc: Value, at: Pixel) -> Value:
    return _clamped(code, acc / _splat(code, code.convert(at.count, code.F32), acc), at)


def _sum_integer(signed: bool, bits: int = 8) -> Form:
    """Nine bytes are added in 16 bits, nines (and words) in 32. A mean is a truncated float32 product: with n = |sum| + count / 2
    below 2**21 and a factor in [1, 1 + 2**-22] / count, n * factor never reaches the next integer before n / count does."""
    def load(code: Code, at: Value, mask: Value | None, lanes: int) -> Value:
        wider = code.vector(code.I16 if bits == 8 else code.I32, lanes)
        return code.convert(_load(f"I{bits}")(code, at, mask, lanes), wider, signed)

    def join(code: Code, acc: Value | None, v: list[Value], at: Pixel) -> Value:
        total = v[0]
        for cell in v[1:]:
            total = total + cell
        wide = code.convert(total, code.vector(code.I32, total.kind.count))
        return wide if acc is None else acc + wide

    def finish(code: Code, acc: Value, at: Pixel) -> Value:
        lanes = acc.kind.count
        real, whole = code.vector(code.F32, lanes), acc.kind
        factor = code.constant(1.0, code.F32) / code.convert(at.count, code.F32) * code.constant(1 + 2**-23, code.F32)
        half = code.cast(code.splat(code.convert(at.count >> 1, code.F32), real), whole)
        total = code.convert(acc, real)
        away = code.cast(half | (code.cast(total, whole) & code.constant(-(2**31), whole)), real)  # half, with the sum's sign
        mean = code.convert((total + away) * code.splat(factor, real), whole)
        lo, hi = (code.splat(code.convert(b, code.I32), whole) for b in (at.lo, at.hi))
        return code.convert(code.least(hi, code.most(lo, mean)), code.vector(code.I8 if bits == 8 else code.I16, lanes))

    return Form(bits, load, join, finish)


FORMS = {
    "max_float32_delegate": Form(32, _load("F32"), _max_delegate, _flushed),
    "max_float32_reference": Form(32, _load("F32"), _max_reference, _clamped),
    "max_int8": _max_integer(True),
    "max_uint8": _max_integer(False),
    "max_int16": _max_integer(True, 16),
    "average_float32_delegate": Form(32, _load("F32"), _sum_delegate, _scaled),
    "average_float32_reference": Form(32, _load("F32"), _sum_reference, _divided),
    "average_int8": _sum_integer(True),
    "average_uint8": _sum_integer(False),
    "average_int16": _sum_integer(True, 16),
}


def pool_pixel(name: str, last: int, many: bool, lanes: int, edges: bool, only: bool) -> Callable[..., Any]:
    """A pixel as a microkernel of (image, down, across, nines, channels, outside, y, count, lo, hi).

    last: cells of the last nine; many: there are others before it; edges: offsets may be negative; only: y has one
    pixel, and down alone tells the addresses. down and across are int64 [9 * nines], in the order in which the cells are
    pooled.
    """
    form = FORMS[name]
    size = form.bits // 8
    bound = "float32" if form.bits == 32 else "int64"

    @microkernel(*["int64"] * 8, bound, bound)
    def pixel(code: Code, image: Value, down: Value, across: Value, nines: Value, channels: Value, outside: Value, y: Value,
              count: Value, lo: Value, hi: Value) -> None:
        at, zero = Pixel(lo, hi, count), code.constant(0)

        def addresses(first: Value | int, count: int) -> list[Value]:
            made = []
            for t in range(count):
                row = code.load(down + first + 8 * t, code.I64)
                column = zero if only else code.load(across + first + 8 * t, code.I64)
                place = image + row + column
                made.append(code.select(code.less(row | column, zero), outside, place) if edges else place)
            return made

        few_cells = None if many else addresses(0, last)

        def run(offsets: list[Value], mask: Value | None) -> None:
            """The vectors at these byte offsets."""
            def join(acc: list[Any], cells: list[Value]) -> list[Any]:
                made = []
                for a, offset in zip(acc, offsets):
                    made.append(form.join(code, a, [form.load(code, c + offset, mask, lanes) for c in cells], at))
                return made

            nothing: list[Any] = [None] * len(offsets)
            if few_cells is not None:
                done = join(nothing, few_cells)
            else:
                acc = [code.cell(a) for a in join(nothing, addresses(0, 9))]
                with code.loop(nines - 2) as i:
                    for cell, value in zip(acc, join([a.get() for a in acc], addresses((i + 1) * 72, 9))):
                        cell.set(value)
                done = join([a.get() for a in acc], addresses((nines - 1) * 72, last))
            for value, offset in zip(done, offsets):
                value = form.finish(code, value, at)
                if mask is None:
                    code.store(value, y + offset)
                else:
                    code.store_masked(value, y + offset, mask)

        with code.either(code.less(channels, code.constant(lanes))) as (few, enough):
            with few:
                run([zero], code.first(channels, lanes))
            with enough:
                vectors, end = (channels + (lanes - 1)) / lanes, (channels - lanes) * size
                width = 4 if many else 1

                def group(first: Value, count: int) -> None:
                    run([code.least((first + v) * (lanes * size), end) for v in range(count)], None)

                groups = vectors / width
                with code.loop(groups) as g:
                    group(g * width, width)
                left = vectors - groups * width
                for rest in range(1, width):
                    with code.when(code.less(code.constant(rest - 1), left) & code.less(left, code.constant(rest + 1))):
                        group(groups * width, rest)

    return pixel
