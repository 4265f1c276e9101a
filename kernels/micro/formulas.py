"""The elementwise ops on vectors: what `add_sub.py`, `mul_div.py` … define for one number, with the same bits.

A formula gets its operands as vectors of float32 or int32 and p, the numbers that the call settles. 8-bit answers are
given before zero point and limits, the last three of p (`elements.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .tails import doubling_high, reference

if TYPE_CHECKING:
    from .vectors import Code, Value

Numbers = list[Any]


def as_floats(code: Code, *numbers: Value) -> list[Value]:
    """32-bit numbers seen as float32."""
    return [code.cast(v, code.vector(code.F32, v.kind.count)) for v in numbers]


def nearest(code: Code, x: Value) -> Value:
    """To int32, ties to even; what does not fit, and NaN, is the least number."""
    return converted(code, x, ("mask.cvtps2dq.512", 4), "cvt", "cvtps2dq", "rint")


def cut_off(code: Code, x: Value) -> Value:
    """To int32 towards zero; what does not fit, and NaN, is the least number."""
    return converted(code, x, ("mask.cvttps2dq.512", 4), "cvtt", "cvttps2dq", "trunc")


def converted(code: Code, x: Value, wide: tuple[str, int], middle: str, narrow: str, rounding: str) -> Value:
    lanes = x.kind.count
    whole = code.vector(code.I32, lanes)
    if lanes == 16:
        return code.call(f"llvm.x86.avx512.{wide[0]}", whole, x, code.constant(0, whole), code.constant(-1, code.I16),
                         code.constant(wide[1], code.I32))
    if lanes == 8:
        return code.call(f"llvm.x86.avx.{middle}.ps2dq.256", whole, x)
    rounded = code.call(f"llvm.{rounding}.v{lanes}f32", x.kind, x)  # any processor: the conversion would be undefined
    fits = code.less(rounded, code.constant(2.0**31, x.kind)) & code.less(code.constant(-(2.0**31) - 256, x.kind), rounded)
    inside = code.select(fits, rounded, code.constant(-(2.0**31), x.kind))
    return code.convert(inside, whole)


def cast(code: Code, x: Value, p: Numbers) -> Value:
    """Towards zero, beyond the ends p[1] and p[2] the nearest end, a NaN to the greatest number."""
    whole = cut_off(code, x)
    whole = code.select(code.less(x, code.constant(2.0**31, x.kind)), whole, code.constant(2**31 - 1, whole.kind))
    return code.least(code.most(whole, p[1]), p[2])


# ------------------------------------------------------------------------------------------------------------- float32
def clamped(operation: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    """operation(a, b) between p[0] and p[1]; a NaN passes."""

    def formula(code: Code, a: Value, b: Value, p: Numbers) -> Value:
        lo, hi = as_floats(code, *p)
        return code.most(lo, code.least(hi, operation(a, b)))

    return formula


def plus(a: Any, b: Any) -> Any:
    return a + b


def minus(a: Any, b: Any) -> Any:
    return a - b


def times(a: Any, b: Any) -> Any:
    return a * b


def over(a: Any, b: Any) -> Any:
    return a / b


add_f32, sub_f32, mul_f32, div_f32 = clamped(plus), clamped(minus), clamped(times), clamped(over)


def clamped_integers(operation: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    """operation(a, b), which wraps around, between p[0] and p[1]."""

    def formula(code: Code, a: Value, b: Value, p: Numbers) -> Value:
        return code.least(code.most(operation(a, b), p[0]), p[1])

    return formula


add_i32, sub_i32 = clamped_integers(plus), clamped_integers(minus)


def squared_difference_f32(code: Code, a: Value, b: Value, p: Numbers) -> Value:
    return (a - b) * (a - b)


def flushed(code: Code, x: Value) -> Value:
    """x, or the zero of its sign when it is denormal."""
    word = code.vector(code.I32, x.kind.count)
    b = code.cast(x, word)
    small = code.same(b & 0x7F800000, code.constant(0, word))
    return code.cast(code.select(small, b & -0x80000000, b), x.kind)


def maximum_f32(code: Code, a: Value, b: Value, p: Numbers) -> Value:
    """a if a > b else b, flushed."""
    return flushed(code, code.most(a, b))


def minimum_f32(code: Code, a: Value, b: Value, p: Numbers) -> Value:
    return flushed(code, code.least(a, b))


def relu_f32(code: Code, x: Value, p: Numbers) -> Value:
    """x between p[0] and p[1]; a NaN and -0 pass."""
    lo, hi = as_floats(code, *p)
    return code.select(code.less(hi, x), hi, code.select(code.less(x, lo), lo, x))


def leaky_f32(code: Code, x: Value, p: Numbers) -> Value:
    """x if x > 0, else x * p[0]."""
    return code.select(code.less(code.constant(0.0, x.kind), x), x, x * as_floats(code, *p)[0])


def prelu_f32(code: Code, x: Value, alpha: Value, p: Numbers) -> Value:
    """x if x >= 0, else x * alpha: so is NaN."""
    return code.select(code.less(x, code.constant(0.0, x.kind), orderless=True), x * alpha, x)


# ------------------------------------------------------------------------------------------------ 8 bits, two operands
def sum_delegate(code: Code, a: Value, b: Value, p: Numbers) -> Value:
    """p: bias, factor of a, factor of b, shift. The sum fits 32 bits: both factors are below 2**21."""
    bias, of_a, of_b, shift, *_ = p
    return (bias + a * of_a + b * of_b) >> shift


def product_delegate(code: Code, a: Value, b: Value, p: Numbers) -> Value:
    """p: zero points, the float32 multiplier."""
    a_zero, b_zero, scale, *_ = p
    floats = code.vector(code.F32, a.kind.count)
    product = code.convert(a - a_zero, floats) * code.convert(b - b_zero, floats)
    return nearest(code, product * code.cast(scale, floats))


def on_common_scale(code: Code, x: Value, zero: Value, high: Value, low: Value, right: Value, turns: Value) -> Value:
    """round((x - zero) * 2**20 * m / 2**31), then round(… / 2**right) half away: as `add_sub.on_common_scale`.

    m = high * 2**16 + low in parts, so that 32 bits are enough: (v * m + 2**10) >> 11 with |v| < 2**9.
    """
    v = x - zero
    fine = v * (high << 5) + ((v * low + 1024) >> 11)  # < 2**29
    return halves_away(fine, right, turns)


def halves_away(x: Value, right: Value, turns: Value) -> Value:
    """x / 2**right rounded half away from zero, for |x| <= 2**30. turns: -1, or 0 where right is 0."""
    one = x.code.constant(1, x.kind)
    return (x + ((one << right) >> 1) + ((x >> 31) & turns)) >> right


def summed(operation: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    """The reference's sum or difference. p: zero point, multiplier in two parts, shift to the right and its `turns` of a
    and of b; multiplier, shift and `turns` of y."""

    def formula(code: Code, a: Value, b: Value, p: Numbers) -> Value:
        multiplier, right, turns = p[10:13]
        both = operation(on_common_scale(code, a, *p[0:5]), on_common_scale(code, b, *p[5:10]))  # < 2**30
        return halves_away(doubling_high(code, both, multiplier), right, turns)

    return formula


sum_reference, difference_reference = summed(plus), summed(minus)


def sum_builtin(code: Code, a: Value, b: Value, p: Numbers) -> Value:
    """ADD in the builtin's vectors, as `add_sub.sum_in_vectors_8bit`. p: zero point, multiplier, shifts left, right and
    right after the product, of a and of b; multiplier, shift and `turns` of y; y's zero point."""

    def brought(x: Value, zero: Value, multiplier: Value, left: Value, right: Value, after: Value) -> Value:
        return doubling_high(code, ((x - zero) << left) >> right, multiplier) >> after

    multiplier, right, turns, zero = p[10:14]
    both = brought(a, *p[0:5]) + brought(b, *p[5:10])
    return wrapped16(halves_away(doubling_high(code, both, multiplier), right, turns) + zero)


def wrapped16(x: Value) -> Value:
    """The low 16 bits, signed."""
    return (x << 16) >> 16


def product_reference(code: Code, a: Value, b: Value, p: Numbers) -> Value:
    """p: zero points, multiplier, shift, y's zero point; the sum with it wraps."""
    a_zero, b_zero, multiplier, shift, zero, *_ = p
    return reference(code, (a - a_zero) * (b - b_zero), multiplier, shift) + zero


def product_away(code: Code, a: Value, b: Value, p: Numbers) -> Value:
    """The reference's product in float32: one rounding to nearest of a little more than the product, on both sides of zero.
    `mul_div.proved_product` finds out whether that is the same. p: zero points; multiplier and the little more, float32."""
    a_zero, b_zero, *rest = p
    floats = code.vector(code.F32, a.kind.count)
    product = code.convert(a - a_zero, floats) * code.convert(b - b_zero, floats)
    more = (code.cast(product, a.kind) & -0x80000000) | rest[1]
    return nearest(code, code.fma(product, code.cast(rest[0], floats), code.cast(more, floats)))


def product_builtin(limited: bool) -> Callable[..., Any]:
    """16 bits of the product, limited or cut off; the sum with the zero point wraps at 16 bits."""

    def formula(code: Code, a: Value, b: Value, p: Numbers) -> Value:
        a_zero, b_zero, multiplier, shift, zero, *_ = p
        y = reference(code, (a - a_zero) * (b - b_zero), multiplier, shift)
        if limited:
            y = code.least(code.most(y, code.constant(-32768, y.kind)), code.constant(32767, y.kind))
        return wrapped16(y + zero)

    return formula


product_limited, product_cut = product_builtin(True), product_builtin(False)


def prelu_quantized(code: Code, x: Value, alpha: Value, p: Numbers) -> Value:
    """p: zero points; multiplier and shift where x is positive, and where it is negative; y's zero point."""
    x_zero, alpha_zero, multiplier, shift, slope, slope_shift, zero, *_ = p
    v = x - x_zero
    negative = code.less(v, code.constant(0, v.kind))
    acc = code.select(negative, v * (alpha - alpha_zero), v)
    return reference(code, acc, code.select(negative, slope, multiplier), code.select(negative, slope_shift, shift)) + zero


# ------------------------------------------------------------------------------------------------------- quantizations
def quantize_delegate(code: Code, x: Value, p: Numbers) -> Value:
    """p: 1 / scale and the greatest step, float32. A NaN becomes the greatest; the least comes by itself."""
    inverse, most = as_floats(code, *p[:2])
    return nearest(code, code.least(x * inverse, most))


def quantize_reference(code: Code, x: Value, p: Numbers) -> Value:
    """p: scale, float32, and y's zero point; the sum with it wraps."""
    quotient = x / as_floats(code, p[0])[0]
    return cut_off(code, code.call(f"llvm.round.v{x.kind.count}f32", x.kind, quotient)) + p[1]


def quantize_builtin(code: Code, x: Value, p: Numbers) -> Value:
    """p: 1 / scale, float32, and y's zero point; the sum with it wraps."""
    return nearest(code, x * as_floats(code, p[0])[0]) + p[1]


def quantize_rest(code: Code, x: Value, p: Numbers) -> Value:
    """The builtin's few last ones, in double, half away from zero. p: scale, float32, and y's zero point."""
    wide = code.vector(code.F64, x.kind.count)
    quotient = code.convert(x, wide) / code.convert(as_floats(code, p[0])[0], wide)
    whole = code.call(f"llvm.round.v{x.kind.count}f64", wide, quotient)
    least = code.constant(-(2.0**31), wide)
    fits = code.less(whole, code.constant(2.0**31, wide)) & code.less(code.constant(-(2.0**31) - 1, wide), whole)
    return code.convert(code.select(fits, whole, least), p[1].kind) + p[1]


def limited(formula: Callable[..., Any]) -> Callable[..., Any]:
    """A formula between p[3] and p[4], for answers of 16 bits."""
    return lambda code, x, p: code.least(code.most(formula(code, x, p), p[3]), p[4])


quantize_reference16, quantize_builtin16, quantize_rest16 = map(limited, (quantize_reference, quantize_builtin, quantize_rest))


def dequantize(code: Code, x: Value, p: Numbers) -> Value:
    """p: zero point, scale. The difference is exact, so the product in float32 rounds as the one in double does."""
    zero, scale = p
    return code.convert(x - zero, code.vector(code.F32, x.kind.count)) * as_floats(code, scale)[0]


def dequantize_builtin(code: Code, x: Value, p: Numbers) -> Value:
    """p: scale and the zero point's share, float32."""
    scale, share = as_floats(code, *p)
    return code.convert(x, scale.kind) * scale + share
