"""From integer sums to results of 8 or 16 bits, vectors at a time: the ways back of `numerics.py`, with the same bits.

A tail gets a vector of sums with the multipliers and shifts of its channels and gives the vector of results before the
zero point is added. Sums of 64 bits come as two vectors, those of even lanes and those of odd ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .vectors import Code, Value


def delegate(code: Code, acc: Value, scale: Value, shift: Value | None) -> Value:
    """One float32 product, rounded to nearest even by the conversion itself. The product must stay below 2**31: the packer
    proves it from the weights."""
    lanes = acc.kind.count
    product = code.convert(acc, code.vector(code.F32, lanes)) * scale
    if lanes == 16:
        return code.call("llvm.x86.avx512.mask.cvtps2dq.512", acc.kind, product, code.constant(0, acc.kind),
                         code.constant(-1, code.I16), code.constant(4, code.I32))
    return code.convert(code.call(f"llvm.rint.v{lanes}f32", product.kind, product), acc.kind)


def doubling_high(code: Code, a: Value, b: Value) -> Value:
    """(a * b + 2**30) >> 31, its low 32 bits. Products of 64 bits stand in pairs of lanes, the even ones and the odd ones
    apart: nothing has to be moved from lane to lane."""
    lanes = a.kind.count
    wide = code.vector(code.I64, lanes // 2)

    def even(v: Value) -> Value:
        return (code.cast(v, wide) << 32) >> 32

    def odd(v: Value) -> Value:
        return code.cast(v, wide) >> 32

    low = code.cast((even(a) * even(b) + 1073741824) >> 31, a.kind)
    up = code.cast((odd(a) * odd(b) + 1073741824) << 1, a.kind)
    return code.shuffle(low, up, [k + lanes * (k % 2) for k in range(lanes)])


def high(code: Code, acc: Value, multiplier: Value, shift: Value) -> tuple[Value, Value]:
    """(the doubling high product of acc << left, the right shift): the half that two tails share."""
    zero = code.constant(0, acc.kind)
    left, right = code.most(shift, zero), code.most(zero - shift, zero)
    return doubling_high(code, acc << left, multiplier), right


def reference(code: Code, acc: Value, multiplier: Value, shift: Value) -> Value:
    """Two roundings, the second half away from zero."""
    value, right = high(code, acc, multiplier, shift)
    one = code.constant(1, acc.kind)
    mask = (one << right) - one
    threshold = (mask >> 1) + code.convert(code.less(value, code.constant(0, acc.kind)), acc.kind, signed=False)
    more = code.convert(code.less(threshold, value & mask), acc.kind, signed=False)
    return (value >> right) + more


def builtin(code: Code, acc: Value, multiplier: Value, shift: Value) -> Value:
    """Two roundings, each half up."""
    value, right = high(code, acc, multiplier, shift)
    return (value + ((code.constant(1, acc.kind) << right) >> 1)) >> right


def double(code: Code, acc: Value, factor: Value, shift: Value | None) -> Value:
    """The product in double, rounded half away from zero. It must stay below 2**31: the packer proves it."""
    wide = factor.kind
    product = code.convert(acc, wide) * factor
    return code.convert(code.call(f"llvm.round.v{acc.kind.count}f64", wide, product), acc.kind)


def even_and_odd(code: Code, a: Value) -> tuple[Value, Value]:
    """The int32 of even lanes and of odd ones, as int64."""
    both = code.cast(a, code.vector(code.I64, a.kind.count // 2))
    return (both << 32) >> 32, both >> 32


def half_up_wide(code: Code, even: Value, odd: Value, multiplier: Value, shift: Value) -> Value:
    """(acc * multiplier) / 2**shift rounded half up, shift in [1, 62]."""
    low, high = ((acc * m + ((code.constant(1, s.kind) << s) >> 1)) >> s
                 for acc, m, s in zip((even, odd), even_and_odd(code, multiplier), even_and_odd(code, shift)))
    kind = multiplier.kind
    return code.shuffle(code.cast(low, kind), code.cast(high << 32, kind), [k + kind.count * (k % 2) for k in range(kind.count)])


def half_up(code: Code, acc: Value, multiplier: Value, shift: Value) -> Value:
    return half_up_wide(code, *even_and_odd(code, acc), multiplier, shift)


def away(code: Code, product: Value) -> Value:
    """A double rounded half away from zero to int32; what does not fit, and NaN, is the least number."""
    wide = product.kind
    rounded = code.call(f"llvm.round.v{wide.count}f64", wide, product)
    least = code.constant(-(2.0**31), wide)
    fits = code.less(rounded, code.constant(2.0**31, wide)) & code.less(code.constant(-(2.0**31) - 1, wide), rounded)
    return code.convert(code.select(fits, rounded, least), code.vector(code.I32, wide.count))


def double_any(code: Code, acc: Value, factor: Value, shift: Value | None) -> Value:
    """As `double`, whatever the product."""
    return away(code, code.convert(acc, factor.kind) * factor)


def double_wide(code: Code, even: Value, odd: Value, factor: Value, shift: Value | None) -> Value:
    lanes, floats = factor.kind.count, code.vector(code.F64, even.kind.count)
    low, high = (away(code, code.convert(acc, floats) * code.shuffle(factor, factor, range(first, lanes, 2)))
                 for first, acc in enumerate((even, odd)))
    return code.shuffle(low, high, [k // 2 + lanes // 2 * (k % 2) for k in range(lanes)])


TAILS: dict[str, Any] = {"delegate": delegate, "reference": reference, "builtin": builtin, "double": double}
NARROW: dict[str, Any] = {"reference": reference, "builtin": builtin, "double": double_any, "half_up": half_up}
WIDE: dict[str, Any] = {"double": double_wide, "half_up": half_up_wide}
