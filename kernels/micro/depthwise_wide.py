"""Depthwise windows too large to be written out: tap by tap, a group of PX pixels of one output row at a time.

Rows, columns and what is outside the image are as in `depthwise.py`, taps row by row. Channels stand beside each other in
vectors of float32 or, for bytes, of int32, and a group has one vector of sums for each pixel: a tap's weights are loaded
once for all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..machine import microkernel
from .tails import TAILS

if TYPE_CHECKING:
    from .vectors import Code, Value


def depthwise_wide(px: int, lanes: int, size: int, start: Callable[..., Value], add: Callable[..., Value],
                   finish: Callable[..., Value]) -> Callable[..., Any]:
    """The group as a microkernel of (rows, kh, kw, first, stride, dilation, width, channels, outside, w, y, bias, multiplier,
    shift, zero, lo, hi).

    rows: address of int64 [KH]; first: the group's first input column; w: [KH, KW, channels] of 32 bits; y: the first pixel.
    size: bytes of an element. `start` gives a pixel's first sum, `add` takes a tap to it, `finish` makes a pixel's values of
    it, as they are stored.
    """

    @microkernel(*["int64"] * 17)
    def group(code: Code, rows: Value, kh: Value, kw: Value, first: Value, stride: Value, dilation: Value, width: Value,
              channels: Value, outside: Value, w: Value, y: Value, *more: Value) -> None:
        zero, none = code.constant(0), code.constant(-1)

        def channels_at(at: Value, mask: Value | None) -> None:
            def load(address: Value, kind: Any) -> Value:
                return code.load(address, kind) if mask is None else code.load_masked(address, kind, mask)

            sums = [code.cell(start(code, load, at, lanes, *more)) for _ in range(px)]
            with code.loop(kh) as r:
                base = code.load(rows + r * 8, code.I64)
                with code.loop(kw) as q:
                    weight = w + ((r * kw + q) * channels + at) * 4
                    for p, acc in enumerate(sums):
                        column = first + q * dilation + stride * p
                        inside = code.less(none, column) & code.less(column, width) & code.less(zero, base)
                        cell = code.select(inside, base + column * (channels * size), outside) + at * size
                        acc.set(add(code, load, acc.get(), cell, weight, lanes))
            for p, acc in enumerate(sums):
                value = finish(code, load, acc.get(), at, lanes, *more)
                target = y + (channels * p + at) * size
                if mask is None:
                    code.store(value, target)
                else:
                    code.store_masked(value, target, mask)

        whole = channels / lanes * lanes
        with code.loop(channels / lanes) as i:
            channels_at(i * lanes, None)
        with code.when(code.less(whole, channels)):
            channels_at(whole, code.first(channels - whole, lanes))

    return group


def wide_f32(px: int, lanes: int, fused: bool, late: bool) -> Callable[..., Any]:
    """For float32: lo and hi are bits, multiplier, shift and zero unused. late: the bias comes last."""

    def start(code: Code, load: Any, at: Value, lanes: int, bias: Value, *more: Value) -> Value:
        kind = code.vector(code.F32, lanes)
        return code.constant(0.0, kind) if late else load(bias + at * 4, kind)

    def add(code: Code, load: Any, acc: Value, x: Value, w: Value, lanes: int) -> Value:
        kind = code.vector(code.F32, lanes)
        return code.fma(load(x, kind), load(w, kind), acc) if fused else acc + load(x, kind) * load(w, kind)

    def finish(code: Code, load: Any, acc: Value, at: Value, lanes: int, bias: Value, *more: Value) -> Value:
        kind = code.vector(code.F32, lanes)
        least, most = (code.splat(code.cast(code.convert(v, code.I32), code.F32), kind) for v in more[-2:])
        return code.least(most, code.most(least, acc + load(bias + at * 4, kind) if late else acc))

    return depthwise_wide(px, lanes, 4, start, add, finish)


def wide_i8(px: int, lanes: int, tail: str, signed: bool) -> Callable[..., Any]:
    """For bytes: bias holds what the zero point of x adds; zero is that of y."""

    def start(code: Code, load: Any, at: Value, lanes: int, bias: Value, *more: Value) -> Value:
        return load(bias + at * 4, code.vector(code.I32, lanes))

    def add(code: Code, load: Any, acc: Value, x: Value, w: Value, lanes: int) -> Value:
        return acc + code.convert(load(x, code.vector(code.I8, lanes)), acc.kind, signed=signed) * load(w, acc.kind)

    def finish(code: Code, load: Any, acc: Value, at: Value, lanes: int, bias: Value, multiplier: Value, shift: Value,
               zero: Value, lo: Value, hi: Value) -> Value:
        factor = code.vector(code.F32 if tail == "delegate" else code.I32, lanes)
        value = TAILS[tail](code, acc, load(multiplier + at * 4, factor), load(shift + at * 4, acc.kind))
        y_zero, least, most = (code.splat(code.convert(v, code.I32), acc.kind) for v in (zero, lo, hi))
        # A result is limited before the zero point is added, as in 16 bits, so that the sum does not wrap.
        value = code.least(code.most(value, code.constant(-32768, acc.kind)), code.constant(32767, acc.kind)) + y_zero
        return code.convert(code.least(code.most(value, least), most), code.vector(code.I8, lanes))

    return depthwise_wide(px, lanes, 1, start, add, finish)
