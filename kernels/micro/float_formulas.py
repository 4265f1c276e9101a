"""The delegate's float32 functions on vectors, as `float_math.py` defines them for one number, with the same bits."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .formulas import flushed

if TYPE_CHECKING:
    from .vectors import Code, Value

Numbers = list[Any]
SIGN = -0x80000000
INF = float("inf")


def C(text: str) -> float:
    return float.fromhex(text)


LOG2E, NEG_LN2 = C("0x1.715476p+0"), C("-0x1.62e430p-1")
TABLE = [float.fromhex("0x1." + digits) for digits in """
    000000 059B0E 0B5586 11301E 172B84 1D4874 2387A6 29E9E0 306FE0 371A74 3DEA64 44E086 4BFDAE 5342B6 5AB07E 6247EC
    6A09E6 71F75E 7A1148 82589A 8ACE54 93737C 9C4918 A5503C AE89FA B7F770 C199BE CB720E D5818E DFC974 EA4AFA F50766
    """.split()]


def as_words(code: Code, x: Value) -> Value:
    """The bits of float32 numbers."""
    return code.cast(x, code.vector(code.I32, x.kind.count))


def polynomial(code: Code, x: Value, *coefficients: float) -> Value:
    """Horner's scheme with fused steps, the highest power first."""
    value = code.constant(coefficients[0], x.kind)
    for c in coefficients[1:]:
        value = code.fma(x, value, code.constant(c, x.kind))
    return value


def exp(code: Code, x: Value, p: Numbers) -> Value:
    z = code.most(x * LOG2E, code.constant(-127.0, x.kind))  # never denormal: a product is flushed
    z = code.least(z, code.constant(128.0, x.kind))
    n = (z + 12582912.0) - 12582912.0
    r = z - n
    above = polynomial(code, r, C("0x1.6ae8e6p-8"), C("0x1.89daf6p-5"), C("0x1.62e430p-1"))
    below = polynomial(code, r, C("0x1.89034ep-6"), C("-0x1.1bdd2ap-2"), 1.0)
    scale = code.cast(as_words(code, n + 8388735.0) << 23, x.kind)
    return ((r * above) / below + 1.0) * scale


def tanh(code: Code, x: Value, p: Numbers) -> Value:
    most = C("0x1.fec416p+2")
    x = flushed(code, code.least(code.constant(most, x.kind), x))
    x = flushed(code, code.most(code.constant(-most, x.kind), x))
    s = x * x
    above = polynomial(code, s, C("0x1.e996d4p-27"), C("0x1.644652p-16"), C("0x1.cf158ep-9"), C("0x1.12afaap-3"), 1.0)
    below = polynomial(code, s, C("0x1.b4d482p-21"), C("0x1.5efd58p-12"), C("0x1.aa4b98p-6"), C("0x1.dead24p-2"), 1.0)
    return (x * above) / below


def mirrored(code: Code, x: Value, v: Value) -> Value:
    """From logistic(-|x|) to logistic(x); a NaN keeps its bits and gets a sign."""
    v = code.select(code.less(as_words(code, x), code.constant(0, as_words(code, x).kind)), v, code.constant(1.0, x.kind) - v)
    return code.select(code.same(x, x), v, code.cast(as_words(code, x) | -0x7FC00000, x.kind))


def logistic(code: Code, x: Value, p: Numbers) -> Value:
    """With AVX-512: the table of 32 powers of two stands in two registers."""
    zero = code.constant(0.0, x.kind)
    z = code.cast(as_words(code, x) | SIGN, x.kind)
    shifted = code.fma(z, code.constant(LOG2E, x.kind), code.constant(C("0x1.8p+18"), x.kind))
    b = as_words(code, shifted)
    low, high = (code.constant(TABLE[k : k + 16], x.kind) for k in (0, 16))
    power = code.call("llvm.x86.avx512.vpermi2var.ps.512", x.kind, low, b, high)
    n = shifted - C("0x1.8p+18")
    t = code.fma(n, code.constant(C("0x1.05C61p-29"), x.kind), code.fma(n, code.constant(NEG_LN2, x.kind), z))
    value = code.fma(t * power, polynomial(code, t, 0.5, C("0x1.0000F6p+0")), power)
    scale = code.cast(((b >> 5) << 23) + 0x3F800000, x.kind)
    e = value * code.select(code.less(n, code.constant(-126.0, x.kind)), zero, scale)
    e = code.select(code.same(n, code.constant(-INF, x.kind)), zero, e)
    return mirrored(code, x, e / (e + 1.0))


def logistic_avx2(code: Code, x: Value, p: Numbers) -> Value:
    z, magic = code.cast(as_words(code, x) | SIGN, x.kind), C("0x1.8000FEp+23")
    n = code.fma(z, code.constant(LOG2E, x.kind), code.constant(magic, x.kind))
    scale = code.cast(as_words(code, n) << 23, x.kind)
    t = code.fma(n - magic, code.constant(NEG_LN2, x.kind), z)
    value = polynomial(code, t, C("0x1.0F9F9Cp-7"), C("0x1.573A1Ap-5"), C("0x1.555A80p-3"), C("0x1.FFFDC6p-2"),
                       C("0x1.FFFFF6p-1"))
    e = code.fma(t * scale, value, scale)
    small = code.less(z, code.constant(C("-0x1.5D589Ep+6"), x.kind))
    return mirrored(code, x, code.select(small, code.constant(0.0, x.kind), e / (e + 1.0)))


# ------------------------------------------------------------------------------------------------------------------- log
LN2 = C("0x1.62e430p-1")


def log_mantissa(code: Code, v: Value) -> Value:
    m = code.cast((as_words(code, v) & 0x007FFFFF) | 0x3F800000, v.kind) * C("0x1.6a09eap-1") - 1.0
    above = m * polynomial(code, m, C("0x1.75c266p-3"), 1.0, 1.0)
    return above / polynomial(code, m, C("0x1.963346p-5"), C("0x1.32c66ap-1"), 1.5, 1.0)


def log(code: Code, x: Value, p: Numbers) -> Value:
    """With AVX-512."""
    v = x * C("0x1.6a09e4p+0")
    size = as_words(code, v) & 0x7FFFFFFF
    e = code.convert((size >> 23) - 127, x.kind)
    e = code.select(code.less(size, code.constant(0x00800000, size.kind)), code.constant(-INF, x.kind), e)
    e = code.select(code.less(size, code.constant(0x7F800000, size.kind)), e, v)
    e = code.select(code.less(v, code.constant(0.0, x.kind)), code.constant(float("nan"), x.kind), e)
    return code.fma(e, code.constant(LN2, x.kind), log_mantissa(code, v))


def log_avx2(code: Code, x: Value, p: Numbers) -> Value:
    v = x * C("0x1.6a09e4p+0")
    b = as_words(code, v)
    e = code.convert(((b >> 23) & 511) - 127, x.kind)
    e = code.select(code.less(b, code.constant(0, b.kind)), code.constant(float("nan"), x.kind), e)
    e = code.select(code.same(v, code.constant(0.0, x.kind)), code.constant(-INF, x.kind), e)
    return code.fma(e, code.constant(LN2, x.kind), log_mantissa(code, v))


# -------------------------------------------------------------------------------------------------------------- sin, cos
def reduced(code: Code, x: Value) -> Value:
    k = code.call(f"llvm.rint.v{x.kind.count}f32", x.kind, x * C("0x1.45f306p-3"))
    near = code.fma(k, code.constant(C("-0x1.92p+2"), x.kind), x)
    return code.fma(k, code.constant(C("-0x1.fb5444p-10"), x.kind), near)


def folded_sin(code: Code, x: Value) -> Value:
    pi = code.constant(C("0x1.921fb6p+1"), x.kind)
    x = code.least(x, pi - x)
    x = code.most(x, code.constant(C("-0x1.921fb6p+1"), x.kind) - x)
    x = code.least(x, pi - x)
    s = x * x
    above = polynomial(code, s, C("0x1.a7e4fcp-9"), C("-0x1.10af30p-3"), 1.0)
    return (x * above) / polynomial(code, s, C("0x1.ff660ep-12"), C("0x1.12985ap-5"), 1.0)


def sin(code: Code, x: Value, p: Numbers) -> Value:
    return folded_sin(code, reduced(code, x))


def cos(code: Code, x: Value, p: Numbers) -> Value:
    return folded_sin(code, code.constant(C("0x1.921fb6p+0"), x.kind) - reduced(code, x) + C("-0x1.777a5cp-25"))


# ---------------------------------------------------------------------------------------------------------- square roots
def estimate14(code: Code, x: Value) -> Value:
    """1 / sqrt(x) as Intel's AVX-512 estimates it, to 14 bits."""
    return code.call("llvm.x86.avx512.rsqrt14.ps.512", x.kind, x, code.constant(0.0, x.kind), code.constant(-1, code.I16))


def estimate12(code: Code, x: Value) -> Value:
    """1 / sqrt(x) as Intel's SSE and AVX estimate it, to 12 bits."""
    if x.kind.count == 16:
        low, high = (estimate12(code, code.shuffle(x, x, list(range(k, k + 8)))) for k in (0, 8))
        return code.shuffle(low, high, list(range(16)))
    return code.call("llvm.x86.avx.rsqrt.ps.256" if x.kind.count == 8 else "llvm.x86.sse.rsqrt.ps", x.kind, x)


def sqrt_from(estimate: Callable[[Code, Any], Any]) -> Callable[..., Any]:
    """The estimate after one Newton step, times x."""

    def sqrt(code: Code, x: Value, p: Numbers) -> Value:
        t, zero = estimate(code, x), code.constant(0.0, x.kind)
        y = t + (t * -0.5) * (x * (t * t) - 1.0)
        y = x * code.select(code.same(x, zero), zero, y)
        return code.select(code.same(x, code.constant(INF, x.kind)), x, y)

    return sqrt


def rsqrt_from(estimate: Callable[[Code, Any], Any]) -> Callable[..., Any]:
    """The estimate after one Newton step."""

    def rsqrt(code: Code, x: Value, p: Numbers) -> Value:
        t = estimate(code, x)
        y = t - (t * 0.5) * (x * (t * t) - 1.0)
        return code.select(code.same(x, code.constant(INF, x.kind)), code.constant(0.0, x.kind), y)

    return rsqrt


sqrt, sqrt_avx2 = sqrt_from(estimate14), sqrt_from(estimate12)
rsqrt, rsqrt_avx2 = rsqrt_from(estimate14), rsqrt_from(estimate12)
