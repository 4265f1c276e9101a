"""Depthwise windows of int16 by int8, a group of PX pixels of one output row at a time, channels beside each other in vectors.

    y[px, c] = clamp(requantize(bias[c] + sum over p, q of x[row p, column (first + px) * SW + q - left, c] * w[p, q, c]))

Rows, columns and what is outside the image are as in `depthwise.py`. Two rows of a column are interleaved, so that every
32-bit lane holds two taps of a channel and one vpdpwssd adds both. Unpacks work inside 128-bit lanes, and so does the pack at
the end: the order of channels that the first leave is the one that the second expects (`channel_order`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..machine import microkernel
from .depthwise import _pointers, _unpack, columns_of, users_of
from .gemm_i16 import bias_of, dot2, to_int16
from .tails import even_and_odd, half_up, half_up_wide

if TYPE_CHECKING:
    from .vectors import Code, Value


def channel_order(lanes: int) -> list[int]:
    """The channel, of 2 * lanes, at each position of the two vectors that unpacking leaves."""
    return [8 * (e // 4) + 4 * v + e % 4 for v in (0, 1) for e in range(lanes)]


def depthwise_i16(kh: int, kw: int, sw: int, dilated: bool, px: int, lanes: int, level: str, wide: bool,
                  few: bool) -> Callable[..., Any]:
    """The group as a microkernel of (rows, first, dilation, width, channels, outside, starts, chunks, w, bias, multiplier,
    shift, y, lo, hi).

    Channels go in chunks of 2 * lanes, which may overlap; few: there are fewer, in one chunk. starts: address of int64, the
    first channel of every chunk. For every chunk, w: [ceil(KH / 2), KW, 2 * lanes, 2] int16, bias (wide: int64), multiplier,
    shift [2 * lanes]. wide: sums with the bias do not fit 32 bits.
    """
    columns, pairs, chunk_size = columns_of(kw, sw, dilated, px), -(-kh // 2), 2 * lanes

    @microkernel(*["int64"] * 15)
    def group(code: Code, rows: Value, first: Value, dilation: Value, width: Value, channels: Value, outside: Value,
              starts: Value, chunks: Value, w: Value, bias: Value, multiplier: Value, shift: Value, y: Value, lo: Value,
              hi: Value) -> None:
        kind, words = code.vector(code.I32, lanes), code.vector(code.I16, chunk_size)
        cell = _pointers(code, rows, first, dilation, width, channels * 2, outside, kh, columns)
        nothing, ends = code.constant(0, words), [code.splat(code.convert(c, code.I32), kind) for c in (lo, hi)]
        with code.loop(chunks) as index:
            offset, each = code.load(starts + index * 8, code.I64) * 2, index * chunk_size
            own = w + each * (pairs * kw * 4)
            both = [[code.constant(0, kind) if wide else code.load(bias + each * 4 + 4 * lanes * v, kind) for v in (0, 1)]
                    for _ in range(px)]
            for c, column in enumerate(columns):
                for pair in range(pairs):
                    a, b = (code.load(cell[r][c] + offset, words) if r < kh else nothing for r in (2 * pair, 2 * pair + 1))
                    x = [code.cast(_unpack(code, a, b, high, 2), kind) for high in (False, True)]
                    for p, q in users_of(column, kw, sw, dilated, px):
                        at = own + (pair * kw + q) * chunk_size * 4
                        both[p] = [dot2(code, both[p][v], x[v], code.load(at + 4 * lanes * v, kind), level) for v in (0, 1)]
            m_of, s_of = ([code.load(values + each * 4 + 4 * lanes * v, kind) for v in (0, 1)] for values in (multiplier, shift))
            long = code.vector(code.I64, lanes // 2)
            more = [bias_of(code, bias + each * 8 + 8 * lanes * v, long) for v in (0, 1)] if wide else []

            def finish(acc: Value, v: int) -> Value:
                if not wide:
                    return half_up(code, acc, m_of[v], s_of[v])
                even, odd = (half + b for half, b in zip(even_and_odd(code, acc), more[v]))
                return half_up_wide(code, even, odd, m_of[v], s_of[v])

            for p in range(px):
                done = joined(code, [finish(acc, v) for v, acc in enumerate(both[p])], ends, level)
                target = y + channels * (2 * p) + offset
                if few:
                    code.store_masked(done, target, code.first(channels, chunk_size))
                else:
                    code.store(done, target)

    return group


def joined(code: Code, two: list[Value], ends: list[Value], level: str) -> Value:
    """Two vectors in `channel_order` as one of int16, clamped, in order."""
    lanes = two[0].kind.count
    words = code.vector(code.I16, 2 * lanes)
    low, high = (to_int16(code, v, ends) for v in two)
    if level == "portable":
        place = {c: at for at, c in enumerate(channel_order(lanes))}
        return code.shuffle(low, high, [place[c] for c in range(2 * lanes)])
    pack = {16: "avx512.packssdw.512", 8: "avx2.packssdw", 4: "sse2.packssdw.128"}[lanes]
    lo, hi = (code.splat(code.convert(code.extract(e, 0), code.I16), words) for e in ends)
    return code.least(code.most(code.call(f"llvm.x86.{pack}", words, *two), lo), hi)
