"""Depthwise windows of bytes, walking along some output rows together: a column of x is unpacked once.

    for each chunk of channels:
        unpack the columns that the first window shares with the one before it
        for each pixel: unpack the columns that are new; the window of these and the ones kept, times the weights

The bytes of four rows of a column become 32-bit lanes (two rounds of unpacks), and one vpdpbusd adds four taps of sixteen
channels. With a stride of 1 the four rows serve two output rows. What is outside the image is read from `outside`, a run of
padding: a select for each column and row, no other code.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ..machine import microkernel
from .depthwise import _interleave
from .elements import packed
from .fused import sizes, ways_back
from .gemm_i8 import dot4

if TYPE_CHECKING:
    from .vectors import Code, Value


def depthwise_walk(height: int, kw: int, sw: int, users: Sequence[Sequence[int]], half: bool, masked: bool, lanes: int,
                   vnni: bool, tail: str, signed: bool, twice: bool, whole: bool) -> Callable[..., Any]:
    """The output rows as a microkernel of (rows, first, inner, width, channels, outside, starts, single, chunks, w, bias,
    multiplier, shift, y, pixels, y_zero, lo, hi).

    height: rows of x in all; users: for each output row the quads of them that it needs. rows: address of int64 [height], where
    a row begins; first: the first window's first column; inner: so many pixels, from the first one, have all their new columns
    inside the image. Chunks have 4 * lanes channels and may overlap, starts: address of int64 [chunks], their first channels;
    `half`: another one, of half as many, comes last; `masked`: nothing past the last channel is touched. For every chunk w:
    [(output row, quad), KW, 4 * lanes, 4] int8, bias, multiplier, shift [4 * lanes]. `twice`: the chunks from `single` on, and
    the half one, have a second window of weights behind the first, to be added.
    """
    blocks, fresh, kept = sum(map(len, users)), min(kw, sw), max(kw - sw, 0)

    @microkernel(*["int64"] * 18)
    def walk(code: Code, rows: Value, first: Value, inner: Value, width: Value, channels: Value, outside: Value, starts: Value,
             single: Value, chunks: Value, w: Value, bias: Value, multiplier: Value, shift: Value, y: Value, pixels: Value,
             y_zero: Value, lo: Value, hi: Value) -> None:
        base = [code.load(rows + 8 * r, code.I64) + first * channels for r in range(height)]
        limits = [code.constant(v) for v in ((-128, 127) if signed else (0, 255))] if whole else [lo, hi]

        zero = code.constant(0) if tail.startswith("fused") else y_zero

        def chunk(index: Value, own: Value, passes: int, lanes: int) -> None:
            wide = 4 * lanes
            kind, byte = code.vector(code.I32, lanes), code.vector(code.I8, wide)
            flip, nothing = code.constant(-128, byte), code.constant(0, byte)
            ends = [code.splat(code.convert(c, code.I32), kind) for c in (zero, *limits)]
            mask = code.first(channels, wide) if masked else None
            offset, each = code.load(starts + index * 8, code.I64), index * (4 * FULL)
            at, to = code.cell(code.constant(0)), code.cell(y + offset)

            def column(k: int, inside: Value | None) -> list[Value]:
                """The quads of a column that comes k behind the next one."""
                read = []
                for start in base:
                    place = start + offset + channels * k + at.get()
                    if inside is not None:
                        place = code.select(inside, place, outside + offset)
                    value = code.load(place, byte) if mask is None else code.load_masked(place, byte, mask)
                    read.append(value ^ flip if signed else value)
                read += [nothing] * (-height % 4)
                return [v for quad in range(0, height, 4) for v in _interleave(code, read[quad : quad + 4])]

            def there(number: Value) -> Value:
                return code.less(number, width, signed=False)

            def pixel(number: Value | None) -> None:
                """The next one; `number` of its first new column when that may be outside."""
                window = [[cell.get() for cell in c] for c in keep]
                window += [column(k, None if number is None else there(number + k)) for k in range(fresh)]
                at.set(at.get() + channels * sw)
                block = 0
                for line, quads in enumerate(users):
                    sums = [code.load(bias + each + 4 * lanes * v, kind) for v in range(4)]
                    for q, x in enumerate(window):
                        for again in range(passes):
                            for n, quad in enumerate(quads):
                                place = own + ((again * blocks + block + n) * kw + q) * wide * 4
                                for v in range(4):
                                    weight = code.load(place + 4 * lanes * v, kind)
                                    sums[v] = dot4(code, sums[v], x[4 * quad + v], weight, vnni)
                    block += len(quads)
                    back = ways_back(code, tail, lanes, 4, multiplier + index * of_m, shift + index * of_s, True)
                    done = packed(code, [of(v) for of, v in zip(back, sums)], ends, signed, False)
                    target = to.get() + pixels * channels * line
                    if mask is None:
                        code.store(done, target)
                    else:
                        code.store_masked(done, target, mask)
                to.set(to.get() + channels)
                for c, column_of in zip(keep, window[fresh:]):
                    for cell, value in zip(c, column_of):
                        cell.set(value)

            keep = [[code.cell(v) for v in column(k, there(first + k))] for k in range(kept)]
            at.set(channels * kept if kept else code.constant(0))
            with code.loop(inner):
                pixel(None)
            with code.loop(pixels - inner) as j:
                pixel(first + kept + (inner + j) * sw)

        taken = blocks * kw * FULL * 4
        with code.loop(single) as i:
            chunk(i, w + i * taken, 1, lanes)
        if twice:
            with code.loop(chunks - single) as i:
                chunk(single + i, w + (single + i * 2) * taken, 2, lanes)
        if half:
            chunk(chunks, w + (chunks + (chunks - single)) * taken, 1 + twice, lanes // 2)

    FULL = 4 * lanes
    of_m, of_s = sizes(tail, FULL)
    return walk
