"""The builtin's own float32 LOGISTIC, TANH and HARD_SWISH: what a default run computes where the delegate refuses.

The delegate refuses more than six dimensions and nothing else, so these are rare; they are not the reference's. LOGISTIC
and HARD_SWISH take whole blocks of 4 values one way and what remains another.

Source: LiteRT tflite/kernels/internal/optimized/optimized_ops.h (Logistic, Tanh, HardSwish); Eigen
Core/functors/UnaryFunctors.h (scalar_logistic_op), Core/MathFunctionsImpl.h (the rational tanh).
"""

from __future__ import annotations

from typing import Any

from .machine import expf, f32, floorf, from_bits, inline, u32
from .pointwise import blocks_end, each

LOG2E = f32(1.44269504088896341)
LN2_HIGH, LN2_LOW = f32(-0.693359375), f32(2.12194440e-4)  # -log(2) in two parts
LOGISTIC_MOST, LOGISTIC_LEAST = f32(16.6355324), f32(-104)
C5, C4, C3, C2 = (f32(c) for c in (8.33471305668354034423828125e-3, 4.1898667812347412109375e-2, 0.16666877269744873046875,
                                   0.49999141693115234375))
TANH_MOST = f32(7.90738964080810547)
P9, P7, P5, P3 = f32(1.394553628e-8), f32(2.102733560e-5), f32(3.520756727e-3), f32(1.340216100e-1)
Q8, Q6, Q4, Q2 = f32(8.015776984e-7), f32(3.326951409e-4), f32(2.597254514e-2), f32(4.673548340e-1)
SIXTH = f32(1.0 / 6.0)


# -------------------------------------------------------------------------------------------------------------- one number
@inline
def logistic_of_block(x: Any) -> Any:
    """e**2 / (1 + e**2) with e = exp(x / 2) = 2**m * p(r), x / 2 = m * log(2) + r."""
    half = (LOGISTIC_MOST if x > LOGISTIC_MOST else x) * f32(0.5)
    m = floorf(half * LOG2E + f32(0.5))
    r = m * LN2_LOW + (m * LN2_HIGH + half)
    s = r * r
    p = r * (s * C5 + C3) + (s * C4 + C2)
    p = s * p + (r + f32(1))
    scale = from_bits(u32((int(m) + 127) << 23)) if m > f32(-126) else f32(0)  # m is 24 at most, and -75 where it counts
    e = p * scale
    e = e * e
    return f32(0) if x < LOGISTIC_LEAST else e / (f32(1) + e)


@inline
def logistic_of_rest(x: Any) -> Any:
    """e / (1 + e) with the C library's exponential."""
    e = expf(LOGISTIC_MOST if x > LOGISTIC_MOST else x)
    return e / (f32(1) + e)


@inline
def tanh_builtin(x: Any) -> Any:
    """An odd polynomial of degree 9 over an even one of degree 8, |x| limited to 7.9; every step rounds."""
    x = TANH_MOST if x > TANH_MOST else x
    x = -TANH_MOST if x < -TANH_MOST else x
    s = x * x
    p = ((P9 * s + P7) * s + P5) * s + P3
    q = (((Q8 * s + Q6) * s + Q4) * s + Q2) * s + f32(1)
    return ((s * x) * p + x) / q


@inline
def limited(x: Any) -> Any:
    """min(max(x + 3, 0), 6)."""
    v = x + f32(3)
    v = f32(0) if v < f32(0) else v
    return f32(6) if v > f32(6) else v


@inline
def hard_swish_of_block(x: Any) -> Any:
    return (x * SIXTH) * limited(x)


@inline
def hard_swish_of_rest(x: Any) -> Any:
    """The same three factors, multiplied in another order."""
    return (x * limited(x)) * SIXTH


# ----------------------------------------------------------------------------------------------------------------- kernels
logistic_blocks, logistic_rest, tanh_float_builtin = each(logistic_of_block), each(logistic_of_rest), each(tanh_builtin)
hard_swish_blocks, hard_swish_rest = each(hard_swish_of_block), each(hard_swish_of_rest)


def logistic_float_builtin(x: Any, y: Any, begin: int, end: int) -> None:
    middle = blocks_end(x.size, 4, begin, end)
    logistic_blocks(x, y, begin, middle)
    logistic_rest(x, y, middle, end)


def hard_swish_float_builtin(x: Any, y: Any, begin: int, end: int) -> None:
    middle = blocks_end(x.size, 4, begin, end)
    hard_swish_blocks(x, y, begin, middle)
    hard_swish_rest(x, y, middle, end)
