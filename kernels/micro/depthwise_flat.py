"""Depthwise windows of bytes along flat rows: a vector covers as many pixels as fit, whatever the number of channels.

In memory the channels of neighbouring pixels lie beside each other, so byte i of an output row needs the bytes at
i + (the distance of a column of the window) of the rows under it, for every i alike: where in a pixel a vector begins
only tells which weights it meets. A period of whole pixels is cut into vectors with weights of their own.

The bytes of four rows of a column become 32-bit lanes (two rounds of unpacks), and one vpdpbusd adds four taps of sixteen
bytes. Some output rows are computed together: they share what was unpacked. Unpacks and packs work inside 128-bit lanes:
the order that the first leave is the one that the second expect (`lane_order`).
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


def depthwise_flat(height: int, kw: int, users: Sequence[Sequence[int]], lanes: int, vnni: bool, tail: str, signed: bool,
                   twice: bool, whole: bool, direct: bool) -> Callable[..., Any]:
    """The output rows as a microkernel of (rows, columns, starts, phases, period, length, w, bias, multiplier, shift, y,
    y_zero, lo, hi).

    height: rows of x in all; users: for each output row the quads of them that it needs. rows: address of int64 [height];
    columns: address of int64 [KW], a column's distance from the first one; starts: address of int64 [phases], the vectors
    of a period; length: of an output row in bytes; w: int8 [phases, 1 + twice, (output row, quad), KW, 4 * lanes, 4];
    bias, multiplier, shift: [phases, 4 * lanes]. Rows of x hold bytes as they are for uint8, x + 128 for int8.
    `direct`: they are x itself, of which nothing behind the output's length is read.
    """
    wide, blocks = 4 * lanes, sum(map(len, users))
    taken, (of_multipliers, of_shifts) = (1 + twice) * blocks * kw * wide * 4, sizes(tail, wide)

    @microkernel(*["int64"] * 14)
    def group(code: Code, rows: Value, columns: Value, starts: Value, phases: Value, period: Value, length: Value, w: Value,
              bias: Value, multiplier: Value, shift: Value, y: Value, y_zero: Value, lo: Value, hi: Value) -> None:
        kind, byte = code.vector(code.I32, lanes), code.vector(code.I8, wide)
        base = [code.load(rows + 8 * r, code.I64) for r in range(height)]
        column = [code.load(columns + 8 * q, code.I64) for q in range(kw)]
        nothing = code.constant(0, byte)
        limits = [code.constant(v) for v in ((-128, 127) if signed else (0, 255))] if whole else [lo, hi]
        zero = code.constant(0) if tail.startswith("fused") else y_zero
        ends = [code.splat(code.convert(c, code.I32), kind) for c in (zero, *limits)]
        most, flip = code.least(period, code.constant(wide)), code.constant(-128, byte)

        def read(address: Value, bits: Value) -> Value:
            if not direct:
                return code.load(address, byte)
            value = code.load_masked(address, byte, code.cast(bits, code.vector(code.I1, wide)))
            return value ^ flip if signed else value

        with code.loop(phases) as phase:
            start, own, each = code.load(starts + phase * 16, code.I64), w + phase * taken, phase * (4 * wide)
            with code.loop(code.load(starts + (phase * 16 + 8), code.I64)) as k:
                at = start + k * period
                left = code.least(most, length - at)
                full = code.less(code.constant(wide - 1), left)
                bits = code.select(full, code.constant(-1), (code.constant(1) << left) - 1)
                acc = [[code.load(bias + each + 4 * lanes * v, kind) for v in range(4)] for _ in users]
                for q in range(kw):
                    here, block = column[q] + at, 0
                    for quad in range(-(-height // 4)):
                        x = _interleave(code, [read(base[r] + here, bits) if r < height else nothing
                                               for r in range(4 * quad, 4 * quad + 4)])
                        block = 0
                        for sums, quads in zip(acc, users):
                            if quad in quads:
                                for again in range(1 + twice):
                                    place = ((again * blocks + block + quads.index(quad)) * kw + q) * wide * 4
                                    for v in range(4):
                                        sums[v] = dot4(code, sums[v], x[v], code.load(own + place + 4 * lanes * v, kind), vnni)
                            block += len(quads)
                back = ways_back(code, tail, lanes, 4, multiplier + phase * of_multipliers, shift + phase * of_shifts, True)
                for r, sums in enumerate(acc):
                    done = packed(code, [of(v) for of, v in zip(back, sums)], ends, signed, False)
                    target = y + length * r + at
                    if lanes == 16:
                        code.store_masked(done, target, code.cast(bits, code.vector(code.I1, wide)))
                        continue
                    with code.either(full) as (all_of_it, part):  # a mask of bytes is a branch for each of them
                        with all_of_it:
                            code.store(done, target)
                        with part:
                            code.store_masked(done, target, code.first(left, wide))

    return group


def spread_pixels(flip: int) -> Callable[..., Any]:
    """The microkernel of (target, source, step, count, size) that puts `count` pixels of `size` <= 64 bytes, `step` apart,
    beside each other, each byte ^ flip. There is one more behind them, whose room may be overwritten."""

    @microkernel(*["int64"] * 5)
    def spread(code: Code, target: Value, source: Value, step: Value, count: Value, size: Value) -> None:
        def turned(value: Value) -> Value:
            return value ^ code.constant(flip, value.kind) if flip else value

        def by(pieces: tuple[int, ...]) -> None:
            piece = pieces[0]
            kind = code.vector(code.I8, piece)

            def move() -> None:
                first = code.constant(0)
                if 4 <= piece <= 32:  # every second pixel, a whole vector of them
                    line, words = code.vector(code.I8, 64), code.vector(code.I32, 16)
                    these = [k for k in range(32) if k * 4 // piece % 2 == 0]
                    second = code.same(size, code.constant(piece)) & code.same(step, code.constant(2 * piece))
                    blocks = code.select(second, count / (64 // piece), first)
                    with code.loop(blocks) as i:
                        low, high = (code.load(source + i * 128 + 64 * k, words) for k in (0, 1))
                        code.store(turned(code.cast(code.shuffle(low, high, these), line)), target + i * 64)
                    first = blocks * (64 // piece)
                with code.loop(count - first) as i:
                    code.store(turned(code.load(source + (first + i) * step, kind)), target + (first + i) * size)

            if len(pieces) == 1:
                move()
                return
            with code.either(code.less(code.constant(piece), size)) as (more, enough):
                with more:
                    by(pieces[1:])
                with enough:
                    move()

        by((2, 4, 8, 16, 32, 64))

    return spread
