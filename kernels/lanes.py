"""One number from a contiguous row, in the order in which XNNPACK's vector kernels come to it.

A register of L lanes (16 floats on AVX-512, 8 below) holds L partial results: lane k takes the elements k, k + L,
k + 2 L ... of the row, in one accumulator or in several in turn. At the end the lanes are joined by halving: each with
the one L / 2 further, then L / 4, down to one.

The row is x[first : first + n] of a flat array; the accumulators are v = `REGISTERS`.

Source: XNNPACK src/f32-rsum, f32-rsum2, f32-raddstoreexpminusmax, f32-rminmax, src/xnnpack/simd.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .contract import Scratch
from .machine import f32, fma, inline

REGISTERS = Scratch(np.dtype(np.float32), (64,))  # four accumulators of 16 lanes


@inline
def plus(a: Any, b: Any) -> Any:
    return a + b


@inline
def plus_square(acc: Any, x: Any) -> Any:
    return acc + x * x


@inline
def plus_square_fused(acc: Any, x: Any) -> Any:
    return fma(x, x, acc)


def halving(join: Callable[..., Any]) -> Callable[..., Any]:
    """(v, lanes) -> the first lanes of v joined into one."""

    @inline
    def halved(v: Any, lanes: Any) -> Any:
        width = lanes // 2
        while width > 0:
            for k in range(width):
                v[k] = join(v[k], v[k + width])
            width = width // 2
        return v[0]

    return halved


sum_of_lanes = halving(plus)


@inline
def sum_in_32(x: Any, first: Any, n: Any, v: Any) -> Any:
    """32 partial sums of the whole blocks of 32; where those end."""
    for k in range(32):
        v[k] = f32(0)
    end = n - n % 32
    for i in range(first, first + end, 32):
        for k in range(32):
            v[k] = v[k] + x[i + k]
    return end


@inline
def sum_row_avx512(x: Any, first: Any, n: Any, v: Any) -> Any:
    """Two accumulators over blocks of 32, a block of 16 to the first, joined, then the tail."""
    i = sum_in_32(x, first, n, v)
    if n - i >= 16:
        for k in range(16):
            v[k] = v[k] + x[first + i + k]
        i += 16
    for k in range(16):
        v[k] = v[16 + k] + v[k]
    for k in range(n - i):
        v[k] = v[k] + x[first + i + k]
    return sum_of_lanes(v, 16)


def sum_in_four(lanes: int, add: Callable[..., Any]) -> Callable[..., Any]:
    """Four accumulators over blocks of 4 * lanes, left-over blocks to the first three, joined crosswise, then the tail."""

    @inline
    def total(x: Any, first: Any, n: Any, v: Any) -> Any:
        for k in range(4 * lanes):
            v[k] = f32(0)
        whole, blocks = n - n % (4 * lanes), n - n % lanes
        for i in range(first, first + whole, 4 * lanes):
            for k in range(4 * lanes):
                v[k] = add(v[k], x[i + k])
        for k in range(blocks - whole):
            v[k] = add(v[k], x[first + whole + k])
        for k in range(lanes):
            v[k] = (v[k] + v[2 * lanes + k]) + (v[lanes + k] + v[3 * lanes + k])
        for k in range(n - blocks):
            v[k] = add(v[k], x[first + blocks + k])
        return sum_of_lanes(v, lanes)

    return total


sum_row_avx2 = sum_in_four(8, plus)
squares_row_avx512 = sum_in_four(16, plus_square_fused)
squares_row_avx2 = sum_in_four(8, plus_square)


def sum_of_exponentials(lanes: int) -> Callable[..., Any]:
    """The sum inside SOFTMAX: two accumulators over blocks of 4 * lanes, joined, then single blocks and the tail."""

    @inline
    def total(x: Any, first: Any, n: Any, v: Any) -> Any:
        for k in range(2 * lanes):
            v[k] = f32(0)
        end = n - n % (4 * lanes)
        for i in range(first, first + end, 2 * lanes):
            for k in range(2 * lanes):
                v[k] = v[k] + x[i + k]
        for k in range(lanes):
            v[k] = v[k] + v[lanes + k]
        for i in range(first + end, first + n, lanes):
            for k in range(min(lanes, first + n - i)):
                v[k] = v[k] + x[i + k]
        return sum_of_lanes(v, lanes)

    return total


def extreme_of_row(pick: Callable[..., Any], lanes: int) -> Callable[..., Any]:
    """A maximum or minimum that every lane begins with `start`: four accumulators over blocks of 4 * lanes, joined, then
    single blocks; each element of the tail goes to every lane. The order shows only where there are NaNs or zeros of
    both signs."""
    joined = halving(pick)

    @inline
    def extreme(x: Any, first: Any, n: Any, start: Any, v: Any) -> Any:
        for k in range(4 * lanes):
            v[k] = start
        end, tail = n - n % (4 * lanes), n - n % lanes
        for i in range(first, first + end, 4 * lanes):
            for k in range(4 * lanes):
                v[k] = pick(v[k], x[i + k])
        for k in range(lanes):
            v[k] = pick(pick(v[k], v[lanes + k]), pick(v[2 * lanes + k], v[3 * lanes + k]))
        for i in range(first + end, first + tail, lanes):
            for k in range(lanes):
                v[k] = pick(v[k], x[i + k])
        for i in range(first + tail, first + n):
            for k in range(lanes):
                v[k] = pick(v[k], x[i])
        return joined(v, lanes)

    return extreme


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


