"""One number from a contiguous row, in the order in which XNNPACK's vector kernels come to it.

A register of L lanes (16 floats on AVX-512, 8 below) holds L partial results; lane k takes the elements k, k + L,
k + 2 L ... of the row, through one or more accumulators. At the end the lanes are joined by halving: each with the one
L / 2 further, then L / 4, down to one. A lane is written here as a plain loop with a stride; `halving` joins the lanes.

The row is x[first : first + n] of a flat array.

Source: XNNPACK src/f32-rsum, f32-raddstoreexpminusmax, f32-rminmax, src/xnnpack/simd.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .machine import inline


@inline
def plus(a: Any, b: Any) -> Any:
    return a + b


def halving(lane: Callable[..., Any], join: Callable[..., Any], lanes: int) -> Callable[..., Any]:
    """(x, first, n, start) -> all lanes joined, for `lane(x, first, n, start, k)`."""

    @inline
    def eighth(x: Any, first: Any, n: Any, start: Any, k: Any) -> Any:
        if lanes == 16:
            return join(lane(x, first, n, start, k), lane(x, first, n, start, k + 8))
        return lane(x, first, n, start, k)

    @inline
    def joined(x: Any, first: Any, n: Any, start: Any) -> Any:
        return join(join(join(eighth(x, first, n, start, 0), eighth(x, first, n, start, 4)),
                         join(eighth(x, first, n, start, 2), eighth(x, first, n, start, 6))),
                    join(join(eighth(x, first, n, start, 1), eighth(x, first, n, start, 5)),
                         join(eighth(x, first, n, start, 3), eighth(x, first, n, start, 7))))

    return joined


@inline
def sum_lane_avx512(x: Any, first: Any, n: Any, start: Any, k: Any) -> Any:
    """Two accumulators over blocks of 32, a block of 16 to the first, joined, then the tail."""
    whole = n - n % 32
    a, b = start, start
    for i in range(first + k, first + whole, 32):
        a = a + x[i]
        b = b + x[i + 16]
    if n - whole >= 16:
        a = a + x[first + whole + k]
        whole += 16
    a = b + a
    return a + x[first + whole + k] if whole + k < n else a


@inline
def sum_lane_avx2(x: Any, first: Any, n: Any, start: Any, k: Any) -> Any:
    """Four accumulators over blocks of 32, left-over blocks of 8 to the first three, joined crosswise, then the tail."""
    whole = n - n % 32
    a, b, c, d = start, start, start, start
    for i in range(first + k, first + whole, 32):
        a = a + x[i]
        b = b + x[i + 8]
        c = c + x[i + 16]
        d = d + x[i + 24]
    left = n - whole
    i = first + whole + k
    if left >= 8:
        a = a + x[i]
    if left >= 16:
        b = b + x[i + 8]
    if left >= 24:
        c = c + x[i + 16]
    a = (a + c) + (b + d)
    whole = n - n % 8
    return a + x[first + whole + k] if whole + k < n else a


def exponential_lane(lanes: int) -> Callable[..., Any]:
    """The sum inside SOFTMAX: two accumulators over blocks of 4 * lanes, joined, then single blocks and the tail."""

    @inline
    def lane(x: Any, first: Any, n: Any, start: Any, k: Any) -> Any:
        whole = n - n % (4 * lanes)
        a, b = start, start
        for i in range(first + k, first + whole, 2 * lanes):
            a = a + x[i]
            b = b + x[i + lanes]
        a = a + b
        for i in range(first + whole + k, first + n, lanes):
            a = a + x[i]
        return a

    return lane


def extreme_lane(pick: Callable[..., Any], lanes: int) -> Callable[..., Any]:
    """A maximum or minimum: four accumulators over blocks of 4 * lanes, joined, then single blocks; each element of the
    tail goes to every lane. The order shows only where there are NaNs or zeros of both signs."""

    @inline
    def lane(x: Any, first: Any, n: Any, start: Any, k: Any) -> Any:
        whole = n - n % (4 * lanes)
        a, b, c, d = start, start, start, start
        for i in range(first + k, first + whole, 4 * lanes):
            a = pick(a, x[i])
            b = pick(b, x[i + lanes])
            c = pick(c, x[i + 2 * lanes])
            d = pick(d, x[i + 3 * lanes])
        a = pick(pick(a, b), pick(c, d))
        tail = n - n % lanes
        for i in range(first + whole + k, first + tail, lanes):
            a = pick(a, x[i])
        for i in range(first + tail, first + n):
            a = pick(a, x[i])
        return a

    return lane


@inline
def eigen_sum(x: Any, first: Any, n: Any) -> Any:
    """Eigen's sum of a column: 4 lanes from the first multiple of 4 in memory on, two accumulators over blocks of 8,
    (0 + 2) + (1 + 3), then what lies before and what lies behind; the array itself starts at a multiple of 4."""
    head = -first % 4 if -first % 4 < n else n
    fours = (n - head) - (n - head) % 4
    eights = (n - head) - (n - head) % 8
    if fours == 0:
        total = x[first]
        for i in range(first + 1, first + n):
            total = total + x[i]
        return total
    at = first + head
    l0, l1, l2, l3 = x[at], x[at + 1], x[at + 2], x[at + 3]
    if fours > 4:
        m0, m1, m2, m3 = x[at + 4], x[at + 5], x[at + 6], x[at + 7]
        for i in range(at + 8, at + eights, 8):
            l0, l1, l2, l3 = l0 + x[i], l1 + x[i + 1], l2 + x[i + 2], l3 + x[i + 3]
            m0, m1, m2, m3 = m0 + x[i + 4], m1 + x[i + 5], m2 + x[i + 6], m3 + x[i + 7]
        l0, l1, l2, l3 = l0 + m0, l1 + m1, l2 + m2, l3 + m3
        if fours > eights:
            i = at + eights
            l0, l1, l2, l3 = l0 + x[i], l1 + x[i + 1], l2 + x[i + 2], l3 + x[i + 3]
    total = (l0 + l2) + (l1 + l3)
    for i in range(first, at):
        total = total + x[i]
    for i in range(at + fours, first + n):
        total = total + x[i]
    return total


