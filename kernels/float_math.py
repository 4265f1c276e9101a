"""The delegate's float32 functions, one number at a time: exp, tanh, logistic, log, hard_swish, sin, cos, sqrt, rsqrt.

These are not the C library's. XNNPACK evaluates polynomials and ratios of polynomials in a fixed order, and the order is
the answer: `fma` marks where a product and a sum round once, everything else rounds at each step. They are meant for
kernels in delegate numerics, where denormals count as zero (on the way in and on the way out).

A second function `…_avx2` stands where a processor without AVX-512 gives other bytes. The hardware's square root
estimates are written out in integers, so that every processor gives Intel's.

Source: XNNPACK src/f32-vexp, f32-vtanh, f32-vsigmoid, f32-vlog, f32-vhswish, f32-vsin, f32-vcos, f32-vsqrt, f32-vrsqrt;
EXP and SQRT as shipped in ai-edge-litert 2.3.0, which differ from XNNPACK's public sources.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .machine import bits, f32, flush, fma, from_bits, inline, rint, u32, xmax, xmin


def C(text: str) -> np.float32:
    """A float32 from its hexadecimal spelling."""
    return f32(float.fromhex(text))


ZERO, HALF, ONE, INF = f32(0), f32(0.5), f32(1), f32(math.inf)
LOG2E, LN2, NEG_LN2 = C("0x1.715476p+0"), C("0x1.62e430p-1"), C("-0x1.62e430p-1")
EXPONENT, MANTISSA, SIGN = u32(0x7F800000), u32(0x007FFFFF), u32(0x80000000)

# --------------------------------------------------------------------------------------------------------------- exp
EXP_ROUND = f32(12582912.0)  # 1.5 * 2**23: adding it rounds to an integer
EXP_BIAS = f32(8388735.0)  # 2**23 + 127: adding it leaves the biased exponent in the low bits
EXP_A3, EXP_A2, EXP_A1 = C("0x1.6ae8e6p-8"), C("0x1.89daf6p-5"), C("0x1.62e430p-1")
EXP_B2, EXP_B1 = C("0x1.89034ep-6"), C("-0x1.1bdd2ap-2")
EXP_LEAST, EXP_MOST = f32(-127), f32(128)


@inline
def exp(x: Any) -> Any:
    """e**x = 2**n * (1 + r * p(r) / q(r)) with n + r = x * log2(e); exp(NaN) is 0."""
    z = xmin(xmax(x * LOG2E, EXP_LEAST), EXP_MOST)
    n = (z + EXP_ROUND) - EXP_ROUND
    r = z - n
    p = fma(fma(r, EXP_A3, EXP_A2), r, EXP_A1)
    q = fma(fma(r, EXP_B2, EXP_B1), r, ONE)
    scale = from_bits(u32(bits(n + EXP_BIAS) << u32(23)))
    return ((r * p) / q + ONE) * scale


# -------------------------------------------------------------------------------------------------------------- tanh
TANH_MOST = C("0x1.fec416p+2")
TANH_LEAST = C("-0x1.fec416p+2")
TANH_P4, TANH_P3, TANH_P2, TANH_P1 = C("0x1.e996d4p-27"), C("0x1.644652p-16"), C("0x1.cf158ep-9"), C("0x1.12afaap-3")
TANH_Q4, TANH_Q3, TANH_Q2, TANH_Q1 = C("0x1.b4d482p-21"), C("0x1.5efd58p-12"), C("0x1.aa4b98p-6"), C("0x1.dead24p-2")


@inline
def tanh(x: Any) -> Any:
    """x * p(x**2) / q(x**2), with |x| limited to 7.98, where the quotient reaches 1."""
    x = xmax(TANH_LEAST, xmin(TANH_MOST, x))
    s = x * x
    p = fma(s, fma(s, fma(s, fma(s, TANH_P4, TANH_P3), TANH_P2), TANH_P1), ONE)
    q = fma(s, fma(s, fma(s, fma(s, TANH_Q4, TANH_Q3), TANH_Q2), TANH_Q1), ONE)
    return (x * p) / q


# ---------------------------------------------------------------------------------------------------------- logistic
LOGISTIC_MAGIC = C("0x1.8p+18")  # adding it rounds to a multiple of 1/32
LOGISTIC_LN2_LOW = C("0x1.05C61p-29")
LOGISTIC_C1 = C("0x1.0000F6p+0")
LOGISTIC_LEAST = f32(-126)
# 2**(i / 32), but as published: two entries are not the nearest float32.
LOGISTIC_TABLE = np.array([float.fromhex("0x1." + digits) for digits in """
    000000 059B0E 0B5586 11301E 172B84 1D4874 2387A6 29E9E0 306FE0 371A74 3DEA64 44E086 4BFDAE 5342B6 5AB07E 6247EC
    6A09E6 71F75E 7A1148 82589A 8ACE54 93737C 9C4918 A5503C AE89FA B7F770 C199BE CB720E D5818E DFC974 EA4AFA F50766
    """.split()], np.float32)


@inline
def logistic(x: Any) -> Any:
    """1 / (1 + e**-x) = e / (e + 1) with e = exp(-|x|) from a table of 32 powers of two, mirrored for positive x.
    A NaN comes back with its sign bit set."""
    z = from_bits(u32(bits(x) | SIGN))
    shifted = fma(z, LOG2E, LOGISTIC_MAGIC)
    b = bits(shifted)
    power = LOGISTIC_TABLE[int(b & u32(31))]
    n = shifted - LOGISTIC_MAGIC
    t = fma(n, LOGISTIC_LN2_LOW, fma(n, NEG_LN2, z))
    p = fma(t * power, fma(t, HALF, LOGISTIC_C1), power)
    # The low bits of b >> 5 are floor(n). p is in [0.98, 2), so below 2**-126 all that could come is flushed to 0, but
    # not for |x| > 4e26, where p is infinite and the answer NaN; an infinite n gives 0 again.
    scale = from_bits(u32(u32(u32(b >> u32(5)) << u32(23)) + u32(0x3F800000)))
    e = p * (ZERO if n < LOGISTIC_LEAST else scale)
    e = ZERO if n == -INF else e
    v = e / (e + ONE)
    v = v if bits(x) >= SIGN else ONE - v
    return from_bits(u32(bits(x) | u32(0x80400000))) if x != x else v


P5_MAGIC = C("0x1.8000FEp+23")
P5_C5, P5_C4, P5_C3 = C("0x1.0F9F9Cp-7"), C("0x1.573A1Ap-5"), C("0x1.555A80p-3")
P5_C2, P5_C1 = C("0x1.FFFDC6p-2"), C("0x1.FFFFF6p-1")
P5_LEAST = C("-0x1.5D589Ep+6")  # below it the exponential is 0


@inline
def logistic_avx2(x: Any) -> Any:
    """The same with e from a polynomial of degree 5."""
    z = from_bits(u32(bits(x) | SIGN))
    n = fma(z, LOG2E, P5_MAGIC)
    scale = from_bits(u32(bits(n) << u32(23)))
    t = fma(n - P5_MAGIC, NEG_LN2, z)
    p = fma(fma(fma(fma(P5_C5, t, P5_C4), t, P5_C3), t, P5_C2), t, P5_C1)
    e = fma(t * scale, p, scale)
    v = ZERO if z < P5_LEAST else e / (e + ONE)
    v = v if bits(x) >= SIGN else ONE - v
    return from_bits(u32(bits(x) | u32(0x80400000))) if x != x else v


# -------------------------------------------------------------------------------------------------------- hard_swish
SIXTH = C("0x1.555556p-3")


@inline
def hard_swish(x: Any) -> Any:
    """x * min(max(x / 6 + 1 / 2, 0), 1); NaN and -inf give NaN."""
    return x * xmin(xmax(fma(x, SIXTH, HALF), ZERO), ONE)


# --------------------------------------------------------------------------------------------------------------- log
SQRT2, HALF_SQRT2 = C("0x1.6a09e4p+0"), C("0x1.6a09eap-1")
LOG_P3 = C("0x1.75c266p-3")
LOG_Q3, LOG_Q2, LOG_Q1 = C("0x1.963346p-5"), C("0x1.32c66ap-1"), f32(1.5)


@inline
def log_mantissa(v: Any) -> Any:
    """log(m / sqrt(2)) for the mantissa m of v, in [1, 2)."""
    m = from_bits(u32(u32(bits(v) & MANTISSA) | u32(0x3F800000))) * HALF_SQRT2 - ONE
    p = m * fma(m, fma(m, LOG_P3, ONE), ONE)
    q = fma(m, fma(m, fma(m, LOG_Q3, LOG_Q2), LOG_Q1), ONE)
    return p / q


@inline
def log(x: Any) -> Any:
    """e * ln(2) + log_mantissa, e the exponent of x * sqrt(2). Zeros and denormals give -inf, negative numbers NaN."""
    v = x * SQRT2
    b = u32(bits(v) & u32(0x7FFFFFFF))
    e = f32(int(b >> u32(23)) - 127)
    e = -INF if b < u32(0x00800000) else e
    e = v if b >= EXPONENT else e  # inf stays inf, NaN stays NaN
    e = from_bits(u32(0x7FC00001)) if v < ZERO else e
    return fma(e, LN2, log_mantissa(v))


@inline
def log_avx2(x: Any) -> Any:
    """The same, but inf and NaN count as exponent 128: log(inf) is 88.37627, log(NaN) 88.78173 unless its sign is set."""
    v = x * SQRT2
    b = bits(v)
    e = f32(int(b >> u32(23)) - 127)
    e = from_bits(u32(0x7FC00001)) if b >= SIGN else e
    e = -INF if v == ZERO else e
    return fma(e, LN2, log_mantissa(v))


# ---------------------------------------------------------------------------------------------------------- sin, cos
TURN, TURN_HIGH, TURN_LOW = C("0x1.45f306p-3"), C("-0x1.92p+2"), C("-0x1.fb5444p-10")  # 1 / (2 pi), -(2 pi) in two parts
PI, NEG_PI = C("0x1.921fb6p+1"), C("-0x1.921fb6p+1")
QUARTER, QUARTER_LOW = C("0x1.921fb6p+0"), C("-0x1.777a5cp-25")  # pi / 2 in two parts
SIN_P2, SIN_P1, SIN_Q2, SIN_Q1 = C("0x1.a7e4fcp-9"), C("-0x1.10af30p-3"), C("0x1.ff660ep-12"), C("0x1.12985ap-5")


@inline
def reduced(x: Any) -> Any:
    """x minus the nearest multiple of 2 pi."""
    k = rint(x * TURN)
    return fma(k, TURN_LOW, fma(k, TURN_HIGH, x))


@inline
def folded_sin(x: Any) -> Any:
    """sin of x in [-3 pi / 2, 3 pi / 2], folded into [-pi / 2, pi / 2]."""
    x = xmin(x, PI - x)
    x = xmax(x, NEG_PI - x)
    x = xmin(x, PI - x)
    s = x * x
    p = fma(s, fma(s, SIN_P2, SIN_P1), ONE)
    q = fma(s, fma(s, SIN_Q2, SIN_Q1), ONE)
    return (x * p) / q


@inline
def sin(x: Any) -> Any:
    """Accurate for |x| up to a few thousand, as the delegate's; sin(-0) is +0."""
    return folded_sin(reduced(x))


@inline
def cos(x: Any) -> Any:
    """sin(pi / 2 - x)."""
    return folded_sin((QUARTER - reduced(x)) + QUARTER_LOW)


# ------------------------------------------------------------------------------------------------------- square roots
# The 14-bit estimate of AVX-512: over two binades 64 linear segments, (A - B * d) / 512 with d the ten bits below.
RSQRT14_A = np.array("""
    33551488 32526464 31548032 30611712 29714176 28853120 28026496 27232384 26467584 25731200 25021312 24336896
    23675136 23035136 22417280 21818752 21238656 20676992 20131712 19602432 19089024 18590080 18105344 17633664
    17174400 16727424 16292608 15867648 15454080 15051520 14657408 14273792 13896320 13171840 12480000 11817472
    11183616 10574720 9990272 9428096 8887936 8367488 7864960 7380608 6912640 6460672 6023296 5600640 5190528
    4792704 4407168 4033664 3670400 3317504 2974208 2640896 2316544 2000512 1692544 1392384 1100416 814720
    536576 264960
    """.split(), np.int64)
RSQRT14_B = np.array("""
    1001 955 915 877 841 807 775 747 719 693 669 647 625 603 585 567 549 533 517 501 487 473 461 449 437 425 415
    403 393 385 375 367 707 675 647 619 595 571 549 527 509 491 473 457 441 427 413 401 389 377 365 355 345 335
    325 317 309 301 293 285 279 271 265 259
    """.split(), np.int64)
# Intel's 12-bit estimate of SSE and AVX: 1 / sqrt at the middle of each of 1024 cells in a binade, in steps of 2**-13.
_MIDDLES = np.concatenate([(1 + (np.arange(1024) + 0.5) / 1024) * (1 + odd) for odd in (0, 1)])
RSQRT12 = np.floor(8192 / np.sqrt(_MIDDLES) + 0.5).astype(np.int64) - 4096


@inline
def rsqrt_of_special(x: Any) -> Any:
    """Both estimates of 1 / sqrt of zeros (±inf), negative numbers, infinity and NaN; denormals count as zero."""
    x = flush(x)
    y = from_bits(u32(u32(bits(x) & SIGN) | EXPONENT))
    y = from_bits(u32(0xFFC00000)) if x < ZERO else y
    y = ZERO if x == INF else y
    return from_bits(u32(bits(x) | u32(0x00400000))) if x != x else y


@inline
def rsqrt14(x: Any) -> Any:
    """The estimate of 1 / sqrt(x) that AVX-512 has: the segment is the exponent's parity and five bits of the mantissa."""
    b = int(bits(x))
    odd = ((b >> 23) + 1) & 1
    k = ((b >> 23) - 127 - odd) >> 1
    segment = odd * 32 + ((b >> 18) & 31)
    w = (RSQRT14_A[segment] - RSQRT14_B[segment] * ((b >> 8) & 1023)) >> 9
    w = (w << 7) + ((126 - k) << 23)
    w = (127 - k) << 23 if odd == 0 and (b & 0x7FFFFF) == 0 else w  # powers of 4 are exact
    return rsqrt_of_special(x) if b < 0x800000 or b >= 0x7F800000 else from_bits(u32(w & 0xFFFFFFFF))


@inline
def rsqrt12(x: Any) -> Any:
    """The estimate of 1 / sqrt(x) that SSE and AVX have on Intel's processors."""
    b = int(bits(x))
    odd = ((b >> 23) + 1) & 1
    k = ((b >> 23) - 127 - odd) >> 1
    w = (RSQRT12[odd * 1024 + ((b >> 13) & 1023)] << 11) + ((126 - k) << 23)
    return rsqrt_of_special(x) if b < 0x800000 or b >= 0x7F800000 else from_bits(u32(w & 0xFFFFFFFF))


@inline
def sqrt_from(x: Any, t: Any) -> Any:
    """x times the estimate t after one Newton step. Above 2**126 t * t is flushed, and the root is 1.5 times too large."""
    y = t + (t * f32(-0.5)) * (x * (t * t) - ONE)
    y = ZERO if x == ZERO else y
    return x if x == INF else x * y


@inline
def rsqrt_from(x: Any, t: Any) -> Any:
    """The estimate t after one Newton step: zeros and denormals give NaN."""
    y = t - (t * HALF) * (x * (t * t) - ONE)
    return ZERO if x == INF else y


@inline
def sqrt(x: Any) -> Any:
    """The square root on AVX-512."""
    return sqrt_from(x, rsqrt14(x))


@inline
def sqrt_avx2(x: Any) -> Any:
    """The square root without AVX-512."""
    return sqrt_from(x, rsqrt12(x))


@inline
def rsqrt(x: Any) -> Any:
    """1 / sqrt on AVX-512."""
    return rsqrt_from(x, rsqrt14(x))


@inline
def rsqrt_avx2(x: Any) -> Any:
    """1 / sqrt without AVX-512."""
    return rsqrt_from(x, rsqrt12(x))
