"""SOFTMAX of float32 as the builtin computes it where the delegate is on but refuses: Eigen's exponential and sum.

Source: LiteRT tflite/kernels/internal/optimized/optimized_ops.h (Softmax); Eigen Core/Redux.h, pexp_float
"""

from __future__ import annotations

from typing import Any

from .float_math import HALF, LOG2E, ONE, ZERO, C
from .lanes import eigen_sum
from .machine import expf, f32, floorf, from_bits, inline, u32

EIGEN_MOST = C("0x1.62e45ap+6")
EIGEN_LN2_HI, EIGEN_LN2_LO = f32(-0.693359375), C("0x1.bd0106p-13")
EIGEN_P6, EIGEN_P5, EIGEN_P4, EIGEN_P3, EIGEN_P2 = (C("0x1.6850e4p-10"), C("0x1.123bccp-7"), C("0x1.555b98p-5"),
                                                    C("0x1.55548ep-3"), C("0x1.fffff8p-2"))


@inline
def packet_exp(x: Any) -> Any:
    """Eigen's e**x in a group of four: x = m * ln 2 + r, 2**m times a polynomial of r; no step is fused."""
    if x != x:
        return x
    if x < f32(-104):
        return ZERO
    z = EIGEN_MOST if EIGEN_MOST < x else x
    m = floorf(z * LOG2E + HALF)
    r = m * EIGEN_LN2_LO + (m * EIGEN_LN2_HI + z)
    r2 = r * r
    even = (r2 * EIGEN_P6 + EIGEN_P4) * r2 + EIGEN_P2
    odd = r2 * EIGEN_P5 + EIGEN_P3
    p = (odd * r + even) * r2 + (r + ONE)
    half = int(m) >> 1  # 2**m in two steps, the first of which is exact
    y = (p * from_bits(u32((half + 127) << 23))) * from_bits(u32((int(m) - half + 127) << 23))
    return x if x > y else y


def softmax_float_builtin(x: Any, depth: int, beta: Any, stretches: int, y: Any, begin: int, end: int) -> None:
    """The definition for a beta other than 1, where the delegate is on but refuses."""
    all_rows = y.size // depth
    for r in range(begin, end):
        first = r * depth
        start, stop = 0, 0  # the rows of the stretch that r is in
        for k in range(stretches):
            start, stop = stop, stop + (all_rows - stop) // (stretches - k)
            if r < stop:
                break
        m = x[first]
        for i in range(first, first + depth):
            m = x[i] if x[i] > m else m
        for i in range(first, first + depth):
            z = (x[i] - m) * beta
            four = i - i % 4
            y[i] = packet_exp(z) if start * depth <= four and four + 4 <= stop * depth else expf(z)
        share = ONE / eigen_sum(y, first, depth)
        for i in range(first, first + depth):
            y[i] = y[i] * share
