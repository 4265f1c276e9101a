"""Depthwise windows, a group of PX pixels of one output row at a time, channels beside each other in vectors.

    y[px, c] = bias[c] + sum over p, q of x[row p, column (first + px) * SW + q - left, c] * w[p, q, c]

The pixels of a group overlap: each input column is loaded once and serves every pixel whose window holds it. Rows come as
addresses (0: outside the image), columns are counted; whatever is outside is read from `outside`, a run of C cells of
padding, so edges cost a select each and no other code.

float32: one chain for each output. `order` "columns" runs the taps column by column (delegate), "rows" row by row.

8 bits: the KH bytes of a column become 32-bit lanes of four (two rounds of unpacks), and one vpdpbusd adds four taps of
sixteen channels. Unpacks and packs work inside 128-bit lanes: the order of channels that the first leave is the one that
the second expect, so the bytes come out in order and bias, multipliers and weights are laid out to match (`lane_order`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..machine import microkernel
from .fused import sizes, ways_back
from .gemm_hybrid import result
from .gemm_i8 import dot4

if TYPE_CHECKING:
    from .vectors import Code, Value


def columns_of(kw: int, sw: int, dilated: bool, px: int) -> list[tuple[int, int]]:
    """The columns of a group's patch as (a, b): a cells and b dilations after the first one. With dilation 1 neighbours
    share columns (b is 0); else every tap of every pixel is a column of its own."""
    if dilated:
        return sorted(((p * sw, q) for p in range(px) for q in range(kw)), key=lambda c: (c[1], c[0]))
    return [(c, 0) for c in sorted({p * sw + q for p in range(px) for q in range(kw)})]


def users_of(column: tuple[int, int], kw: int, sw: int, dilated: bool, px: int) -> list[tuple[int, int]]:
    """The (pixel, tap) pairs that read a column."""
    a, b = column
    if dilated:
        return [(a // sw, b)]
    return [(p, a - p * sw) for p in range(px) if 0 <= a - p * sw < kw]


def _pointers(code: Code, rows: Value, first: Value, dilation: Value, width: Value, channel_bytes: Value, outside: Value,
              height: int, columns: list[tuple[int, int]]) -> list[list[Value]]:
    """The address of cell [row][column] of the group's patch, or of the padding."""
    zero = code.constant(0)
    base = [code.load(rows + 8 * r, code.I64) for r in range(height)]
    there = [code.less(zero, b) for b in base]
    made: list[list[Value]] = [[] for _ in range(height)]
    for a, b in columns:
        at = first + a + dilation * b if b else first + a
        inside = code.less(at, width) & code.less(code.constant(-1), at)
        for r in range(height):
            made[r].append(code.select(inside & there[r], base[r] + at * channel_bytes, outside))
    return made


def depthwise_f32(kh: int, kw: int, sw: int, dilated: bool, px: int, lanes: int, fused: bool, late: bool,
                  order: str, tail: str = "") -> Callable[..., Any]:
    """The group as a microkernel of (rows, first, dilation, width, channels, outside, w, bias, y, lo, hi).

    late: the bias comes last. tail: the way out of hybrid sums, with the scales of the channels behind the biases and, as the
    last parameter, that of the image.

    rows: address of int64 [KH]; first: the group's first input column; w: float32 [KH, KW, channels]; y: the first pixel.
    """
    columns = columns_of(kw, sw, dilated, px)

    @microkernel(*["int64"] * 9, "float32", "float32", *["float32"] * bool(tail))
    def group(code: Code, rows: Value, first: Value, dilation: Value, width: Value, channels: Value, outside: Value, w: Value,
              bias: Value, y: Value, lo: Value, hi: Value, *scale: Value) -> None:
        kind, line = code.vector(code.F32, lanes), channels * 4
        cell = _pointers(code, rows, first, dilation, width, line, outside, kh, columns)
        least, most = code.splat(lo, kind), code.splat(hi, kind)
        taps = [(r, c) for c in range(len(columns)) for r in range(kh)]
        if order == "rows":
            taps.sort()

        def channels_at(offset: Value, mask: Value | None) -> None:
            def load(address: Value) -> Value:
                return code.load(address, kind) if mask is None else code.load_masked(address, kind, mask)

            start = load(bias + offset)
            acc = [code.constant(0.0, kind) if late else start] * px
            for r, c in taps:
                x = load(cell[r][c] + offset)
                for p, q in users_of(columns[c], kw, sw, dilated, px):
                    weight = load(w + line * (r * kw + q) + offset)
                    acc[p] = code.fma(x, weight, acc[p]) if fused else acc[p] + x * weight
            for p in range(px):
                value = acc[p] + start if late else acc[p]
                if tail:
                    value = scaled(code, tail if mask is not None or tail != "grouped" else "weight_first", acc[p],
                                   code.splat(scale[0], kind), load(bias + line + offset), start, channels)
                value = code.least(most, code.most(least, value))
                if mask is None:
                    code.store(value, y + line * p + offset)
                else:
                    code.store_masked(value, y + line * p + offset, mask)

        with code.loop(channels / lanes) as i:
            channels_at(i * (4 * lanes), None)
        rest = channels - (channels / lanes) * lanes
        with code.when(code.less(code.constant(0), rest)):
            channels_at((channels - rest) * 4, code.first(rest, lanes))

    return group


def scaled(code: Code, tail: str, acc: Value, scale: Value, w_scale: Value, bias: Value, channels: Value) -> Value:
    """From hybrid sums to results; `grouped`: by the weights' scale first in whole groups of four channels, by the image's
    first in those left over, which lie in the last vector."""
    if tail != "grouped":
        return result(code, tail, acc, scale, w_scale, bias)
    lanes = acc.kind.count
    whole, rest = (result(code, name, acc, scale, w_scale, bias) for name in ("weight_first", "row_first"))
    last = channels - (channels / lanes) * lanes
    return code.select(code.first(last / 4 * 4, lanes), whole, rest)


def lane_order(lanes: int) -> list[int]:
    """The channel, of 4 * lanes, at each position of the four vectors that unpacking leaves."""
    return [16 * (e // 4) + 4 * t + e % 4 for t in range(4) for e in range(lanes)]


def _unpack(code: Code, a: Value, b: Value, high: bool, size: int) -> Value:
    """Interleave the low or high halves of a and b in every 128-bit lane, elements of `size` bytes."""
    bits = a.kind.count * a.kind.element.width
    kind = code.vector({1: code.I8, 2: code.I16}[size], bits // (8 * size))
    lane = 16 // size
    order = []
    for start in range(0, kind.count, lane):
        for j in range(lane // 2):
            e = start + j + (lane // 2 if high else 0)
            order += [e, kind.count + e]
    return code.shuffle(code.cast(a, kind), code.cast(b, kind), order)


def _interleave(code: Code, four: list[Value]) -> list[Value]:
    """Four byte vectors of channels as four vectors of 32-bit quads."""
    kind = code.vector(code.I32, four[0].kind.count // 4)
    low = [_unpack(code, four[0], four[1], h, 1) for h in (False, True)]
    high = [_unpack(code, four[2], four[3], h, 1) for h in (False, True)]
    return [code.cast(_unpack(code, a, b, h, 2), kind) for a, b in zip(low, high) for h in (False, True)]


def depthwise_i8(kh: int, kw: int, sw: int, dilated: bool, px: int, lanes: int, vnni: bool, tail: str, signed: bool,
                 twice: bool, whole: bool) -> Callable[..., Any]:
    """The group as a microkernel of (rows, first, dilation, width, channels, outside, starts, single, w, bias, multiplier,
    shift, y, y_zero, lo, hi).

    Channels, 4 * lanes at least, go in chunks of that many, which may overlap. starts: address of int64,
    the first channel of every chunk. For every chunk, w: [ceil(KH / 4), KW, 4 * lanes, 4] int8, bias, multiplier, shift
    [4 * lanes]. `twice`: the chunks from `single` on have a second window of weights behind the first, to be added.
    """
    columns, quads, wide = columns_of(kw, sw, dilated, px), -(-kh // 4), 4 * lanes
    width_bits = lanes * 32
    pack_dw = {512: "llvm.x86.avx512.packssdw.512", 256: "llvm.x86.avx2.packssdw", 128: "llvm.x86.sse2.packssdw.128"}[width_bits]
    pack_wb = {512: "llvm.x86.avx512.pack{}wb.512", 256: "llvm.x86.avx2.pack{}wb", 128: "llvm.x86.sse2.pack{}wb.128"}[width_bits]
    pack_wb = pack_wb.format("ss" if signed else "us")

    @microkernel(*["int64"] * 16)
    def group(code: Code, rows: Value, first: Value, dilation: Value, width: Value, channels: Value, outside: Value,
              starts: Value, single: Value, w: Value, bias: Value, multiplier: Value, shift: Value, y: Value, y_zero: Value,
              lo: Value, hi: Value) -> None:
        kind, byte = code.vector(code.I32, lanes), code.vector(code.I8, wide)
        words = code.vector(code.I16, 2 * lanes)
        cell = _pointers(code, rows, first, dilation, width, channels, outside, kh, columns)
        flip, nothing = code.constant(-128, byte), code.constant(0, byte)
        zero = None if tail.startswith("fused") else code.splat(code.convert(y_zero, code.I16), words)
        of_multipliers, of_shifts = sizes(tail, wide)
        limits = [code.constant(v) for v in ((-128, 127) if signed else (0, 255))] if whole else [lo, hi]
        least, most = (code.splat(code.convert(v, code.I8), byte) for v in limits)

        def chunk(index: Value, offset: Value, own: Value, passes: int) -> None:
            each = index * (4 * wide)
            acc = [[code.load(bias + each + 4 * lanes * v, kind) for v in range(4)] for _ in range(px)]

            def load(address: Value) -> Value:
                value = code.load(address, byte)
                return value ^ flip if signed else value

            for c, column in enumerate(columns):
                for quad in range(quads):
                    four = [load(cell[4 * quad + r][c] + offset) if 4 * quad + r < kh else nothing for r in range(4)]
                    x = _interleave(code, four)
                    for p, q in users_of(column, kw, sw, dilated, px):
                        for again in range(passes):
                            at = own + ((again * quads + quad) * kw + q) * (wide * 4)
                            for v in range(4):
                                acc[p][v] = dot4(code, acc[p][v], x[v], code.load(at + 4 * lanes * v, kind), vnni)
            back = ways_back(code, tail, lanes, 4, multiplier + index * of_multipliers, shift + index * of_shifts, in_order=True)
            for p in range(px):
                value = [back[v](acc[p][v]) for v in range(4)]
                half = [code.call(pack_dw, words, *value[v : v + 2]) for v in (0, 2)]
                if zero:
                    half = [code.call(f"llvm.sadd.sat.v{2 * lanes}i16", words, v, zero) for v in half]
                done = code.call(pack_wb, byte, *half)
                done = code.least(most, code.most(least, done, signed), signed)
                code.store(done, y + channels * p + offset)

        taken = quads * kw * wide * 4
        with code.loop(single) as i:
            chunk(i, code.load(starts + i * 8, code.I64), w + i * taken, 1)
        with code.loop((channels + (wide - 1)) / wide - single if twice else code.constant(0)) as i:
            at = single + i
            chunk(at, code.load(starts + at * 8, code.I64), w + (single + i * 2) * taken, 2)

    return group
