"""Which fused multiply-add in double gives the bytes of a way back from sums to 8 bits, found for each channel.

    y(acc) = requantize(acc) + y_zero, limited to [lo, hi]

never falls as acc grows, so it is told by its steps: the least acc for each y. A line, factor * acc + c rounded to the
nearest integer, has steps at regular distances; if each lies between the same two integers, both are the same function.
With the factor that the definition multiplies by, the line's steps may move together by some hundredth of an acc. What the
arithmetic (`micro/fused.py`) leaves to choose is two whole numbers, a0 taken off the sums and n added to the results:

    c = fraction + n - a0 * factor

where `fraction` is what 2**52 + 2**31 times the factor leaves above an integer. Some n of a few hundred nearly always fits.
The reference rounds negative numbers the other way: then these get two numbers of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .contract import Call
from .numerics import quantized_range

MARGIN = 2.0**-14  # of an acc: far more than what double arithmetic loses here
NARROW = 2.0**-10  # of an acc: where less is left for c, other slopes are tried
SLOPES = np.array([0, -4, -3, -2, -1, 1, 2, 3, 4])[:, None] / 2**16  # of acc for each step of y
MOVES, PLACES = np.arange(1, 129), np.arange(32)
CHUNK = 64  # channels at a time: what they need stays in the cache
RIGHT = 30  # the most bits that the definitions shift to the right here
FEW = 8  # pixels: with less there is not enough to gain
REACH = 2**31  # sums and what is taken off them are below this


class Fused(NamedTuple):
    """The numbers of the fused tails, for each channel."""

    tail: str
    offset: np.ndarray  # [O] int64: for the bias
    factor: np.ndarray  # [2, O] float64: factor and addend
    apart: np.ndarray  # [3, O] int32: below which sum, and by how much, negative sums and their results move

    def named(self, call: Call) -> str:
        """What a kernel's name says of its tail."""
        return call.numerics + "_fused" * self.tail.startswith("fused")


def way_back(call: Call, tail: str, multiplier: np.ndarray, shift: np.ndarray, pixels: int,
             most: Callable[[], np.ndarray]) -> Fused:
    """The fused numbers of a call with that tail where they exist and there are pixels enough, else the tail itself."""
    found = None
    if pixels >= FEW:
        found = fused(tail, multiplier, shift, most(), call.output.zero_point,
                      *quantized_range(call.options.fused_activation_function, call))
    return found or Fused(tail, np.zeros(multiplier.size, np.int64), multiplier[None], shift[None])


def steps(tail: str, multiplier: np.ndarray, shift: np.ndarray, q: np.ndarray) -> np.ndarray:
    """The least acc that each channel brings to q or more: [O, n] int64."""
    if tail == "double":
        factor, edge = multiplier[:, None], q - 0.5
        first = np.floor(edge / factor).astype(np.int64) - 1
        for _ in range(3):
            product = first * factor
            first = first + np.where(q > 0, product < edge, product <= edge)
        return np.asarray(first)
    m, right = multiplier.astype(np.int64)[:, None], -shift.astype(np.int64)[:, None]
    above = (q << right) - ((1 << right) >> 1)  # what the first rounding has to reach
    if tail == "reference":
        above = above + ((q <= 0) & (right > 0))
    above = np.clip(above, -(2**31), 2**31)  # beyond that no sum comes
    return np.asarray(-(-((above << 31) - (1 << 30)) // m))


def fused(tail: str, multiplier: np.ndarray, shift: np.ndarray, most: np.ndarray, zero: int, lo: int, hi: int) -> Fused | None:
    """The numbers for a tail of that name, or None. most: [O], no sum is greater, with either sign."""
    if tail not in ("reference", "builtin", "double") or hi <= lo:
        return None
    sigma = multiplier if tail == "double" else np.ldexp(multiplier.astype(np.float64), shift - 31)
    live = np.abs(sigma) * np.minimum(most, 2**31) >= 0.25  # the others give 0 whatever their sums
    if (sigma[live] >= 1).any() or (sigma[live] < 2.0**-RIGHT).any() or (shift[live] > 0).any():
        return None
    q = np.arange(lo - zero + 1, hi - zero + 1)
    halves = [part for part in (q > 0, q <= 0) if part.any()]  # the reference rounds them apart
    for parts in [halves] if tail == "reference" else [[q == q], halves]:
        slope, whole, a0, n = np.zeros(live.size), np.zeros(live.size, np.int64), *np.zeros((2, live.size, len(parts)), np.int64)
        left = np.flatnonzero(live)
        for some in (left[c : c + CHUNK] for c in range(0, left.size, CHUNK)):
            found = line(tail, multiplier[some], shift[some], sigma[some], most[some], [q[part] for part in parts])
            if found is None:
                break
            slope[some], whole[some], a0[some], n[some] = found
        else:
            break
    else:
        return None
    if (most + np.abs(a0).max(axis=1) >= REACH)[live].any():
        return None
    addend = 1.5 * 2.0**52 - whole + n[:, 0] + zero
    apart = np.stack([2**31 - a0[:, 0], a0[:, 0] - a0[:, -1], n[:, -1] - n[:, 0]]).astype(np.uint32).view(np.int32)
    return Fused("fused" if len(parts) == 1 else "fused_twice", 2**31 - a0[:, 0], np.stack([slope, addend]), apart)


def line(tail: str, multiplier: np.ndarray, shift: np.ndarray, sigma: np.ndarray, most: np.ndarray,
         parts: list[np.ndarray]) -> tuple[np.ndarray, ...] | None:
    """(factor [O], the whole part of what 2**52 + 2**31 is times it [O], a0 and n [O, parts]) for some channels."""
    first = [(np.where(np.abs(a) <= most[:, None] + 8, a, np.nan), q) for q in parts for a in [steps(tail, multiplier, shift, q)]]
    for more in (0.0, 1.0, -1.0, 2.0, -2.0, 3.0, -3.0, 4.0):  # slopes near simple fractions leave some places out
        slope, least, greatest = lines(first, 1 / (1 / sigma + more * 2.0**-19) if more else sigma)
        whole, fraction = by_power(slope)
        found = placed(least, greatest, slope, fraction)
        if found is not None:
            return (slope, whole, *found)
    return None


def lines(parts: list[tuple[np.ndarray, np.ndarray]], sigma: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each channel the factor, [O], and for each part of its steps between which two numbers, [O, parts], a line of that
    slope may lie to the right of its place. parts: (the least acc for each q, [O, n], NaN where no sum comes, q)."""

    def room(inverse: np.ndarray, of: Any) -> tuple[np.ndarray, np.ndarray]:
        above = [first[of] - (q - 0.5) * inverse[..., None] for first, q in parts]
        return (np.stack([np.fmax(np.fmax.reduce(a, axis=-1), -1) - 1 + MARGIN for a in above], axis=-1),
                np.stack([np.fmin(np.fmin.reduce(a, axis=-1), 1) - MARGIN for a in above], axis=-1))

    slope = sigma.copy()
    least, most = room(1 / slope, slice(None))
    tight = np.flatnonzero((most - least).min(axis=1) < NARROW)
    if 0 < tight.size < 64 + sigma.size / 8:
        tried = 1 / (1 / sigma[tight] + SLOPES)  # [slopes, channels]
        low, high = room(1 / tried, tight)
        best = (high - low).min(axis=2).argmax(axis=0), np.arange(tight.size)
        slope[tight], least[tight], most[tight] = tried[best], low[best], high[best]
    return slope, least, most


def by_power(sigma: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(2**52 + 2**31) * sigma, exactly, as whole number and fraction."""
    mantissa, exponent = np.frexp(sigma)
    digits = np.ldexp(mantissa, 53).astype(np.int64)  # sigma = digits * 2**(exponent - 53)
    whole, fraction = np.zeros(sigma.size, np.int64), np.zeros(sigma.size)
    for power in (52, 31):
        right = np.minimum(53 - power - exponent, 62).astype(np.int64)
        whole += digits >> right
        fraction += np.ldexp((digits & ((1 << right) - 1)).astype(np.float64), -right)
    more = np.floor(fraction)
    return whole + more.astype(np.int64), fraction - more


def placed(least: np.ndarray, most: np.ndarray, sigma: np.ndarray, fraction: np.ndarray) -> tuple[Any, Any] | None:
    """(a0, n), both [O, parts] int64, with least <= a0 - (fraction + n) / sigma <= most; None if one has none.

    Each n puts the next integer, a0, somewhere above least: by one part of 1 after the other, in no order. One of the first
    few hundred moves it by less than there is room; from some places its multiples are the way there.
    """
    width = (most - least)[..., None]
    if (width <= 0).any():
        return None
    inverse = (1 / sigma)[:, None, None]
    moves = inverse * MOVES
    moves = moves - np.rint(moves)
    size = np.abs(moves)
    k = np.abs(size - width * 0.7).argmin(axis=2)[..., None]
    move = np.take_along_axis(np.broadcast_to(moves, (*width.shape[:2], MOVES.size)), k, 2)
    size, k = np.maximum(np.abs(move), 2.0**-14), k + 1
    edge = least[..., None] + (fraction[:, None, None] + PLACES) * inverse
    above = np.ceil(edge) - edge
    turns = np.ceil(np.where(move > 0, above - width, np.where(above <= width, 0, 1 - above)) / size)
    n = PLACES + k * np.maximum(turns, 0)
    edge = (fraction[:, None, None] + n) * inverse
    a0 = np.floor(most[..., None] + edge)
    fits = a0 >= least[..., None] + edge
    at = np.where(fits, n, np.inf).argmin(axis=2)[..., None]
    if not np.take_along_axis(fits, at, 2).all():
        return None
    return tuple(np.take_along_axis(v, at, 2)[..., 0].astype(np.int64) for v in (a0, n))  # type: ignore[return-value]
