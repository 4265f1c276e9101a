"""What the ways of a depthwise convolution of bytes share: how rows are taken together, weights and requantization packed.

Four rows of a window make a quad, the four bytes of a 32-bit lane. Output rows that are computed together share quads: each
row of a group meets those it needs with weights of its own, zeros for the rows that are none of its.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from .contract import Arg, Call
from .conv import bias_or_zeros
from .fused import Fused
from .gemm_int import wrapped
from .micro.fused import number_order


class Form(NamedTuple):
    """What the microkernels need to know but the window."""

    lanes: int
    vnni: bool
    tail: str
    signed: bool
    twice: bool  # weights that one byte cannot hold
    whole: bool  # the clamp is the type's own


Made = tuple[str, Callable[..., None], Callable[[Call, None], tuple[Arg, ...]], int]
"""A kernel's name, driver, arguments and units."""


def shared_rows(under: tuple[tuple[int, ...], ...]) -> tuple[list[int], list[list[int]]]:
    """(the rows under a group, which quads of them each of its rows needs)."""
    height = sorted({r for rows in under for r in rows})
    return height, [sorted({height.index(r) // 4 for r in rows}) for rows in under]


def best_group(kh: int, kw: int, fresh: int, sh: int, dh: int, oh: int, most: int) -> tuple[tuple[int, ...], ...]:
    """The rows under each row of a group, for as many as take the least time: unpacks of `fresh` columns, products, the
    way back."""

    def rows(count: int) -> tuple[tuple[int, ...], ...]:
        return tuple(tuple(r * sh + p * dh for p in range(kh)) for r in range(count))

    def cost(count: int) -> int:
        height, users = shared_rows(rows(count))
        return -(-oh // count) * (8 * fresh * -(-len(height) // 4) + 4 * kw * sum(map(len, users)) + 16 * count)

    return rows(min(range(1, min(most, oh) + 1), key=cost))


def pack_rows(w: np.ndarray, under: tuple[tuple[int, ...], ...], take: np.ndarray) -> np.ndarray:
    """w [KH, KW, C] int8 as [phases, (output row, quad), KW, 4 * lanes, 4]."""
    height, users = shared_rows(under)
    made = []
    for rows, quads in zip(under, users):
        spread = np.zeros((-(-len(height) // 4) * 4, *w.shape[1:]), np.int8)
        spread[[height.index(r) for r in rows]] = w
        made.append(spread.reshape(-1, 4, *w.shape[1:])[quads])
    return np.ascontiguousarray(np.concatenate(made)[..., take].transpose(3, 0, 2, 4, 1))


def chunk_channels(channels: int, wide: int) -> np.ndarray:
    """The channels of every chunk, [chunks, wide]; the last chunk overlaps, and one that is not full repeats its last channel."""
    starts = np.minimum(np.arange(0, channels, wide), max(channels - wide, 0))
    return np.minimum(starts[:, None] + np.arange(wide), channels - 1)


def requantization(call: Call, back: Fused, *takes: np.ndarray) -> Iterator[np.ndarray]:
    """Bias, multipliers and shifts of the channels in each of `takes`, [n, four vectors]; the bias holds what x's zero point
    adds."""
    x, w = call.input(0), weights(call)
    total = w.sum(axis=(0, 1), dtype=np.int64) - zero_of(call) * w.shape[0] * w.shape[1]
    bias = np.asarray(bias_or_zeros(call, call.output.shape[3], np.int32)).astype(np.int64)
    bias -= (x.zero_point + 128 * (x.dtype == np.int8)) * total - back.offset
    yield np.concatenate([wrapped(bias)[take].reshape(-1) for take in takes])
    for of, in_halves in ((back.factor, True), (back.apart, False)):
        made = []
        for take in takes:
            lanes = take.shape[1] // 4
            order = [v + e for v in range(0, 4 * lanes, lanes) for e in number_order(back.tail if in_halves else "", lanes)]
            made.append(of[:, take][..., order].swapaxes(0, 1).reshape(-1))
        yield np.concatenate(made)


def greatest_sum(call: Call) -> np.ndarray:
    """[O]: no sum is greater, with either sign."""
    bias = np.asarray(bias_or_zeros(call, call.output.shape[3], np.int32)).astype(np.int64)
    return np.asarray(np.abs(bias) + np.abs(weights(call).astype(np.int64) - zero_of(call)).sum(axis=(0, 1)) * 255)


def weights(call: Call) -> np.ndarray:
    known_weights = call.input(1).known
    assert known_weights is not None
    return known_weights.reshape(call.input(1).shape[1:])


def zero_of(call: Call) -> int:
    return call.input(1).zero_point if call.input(1).dtype == np.uint8 else 0
