"""LOGISTIC and TANH of int16 by fixed point, on vectors of int32: exp by its bits, a reciprocal by Newton steps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .formulas import Numbers

if TYPE_CHECKING:
    from .vectors import Code, Value

POWERS = (25520, 19875, 12055, 4435, 600, 11)  # exp(-2**e) as Q0.15 for e = -2 … 3


def high(code: Code, a: Value, b: Value) -> Value:
    """(a * b) / 2**15 rounded half up; -1 * -1 is the greatest number."""
    return code.least((a * b + 16384) >> 15, code.constant(32767, a.kind))


def limited16(code: Code, x: Value) -> Value:
    return code.least(code.most(x, code.constant(-32768, x.kind)), code.constant(32767, x.kind))


def halved(x: Value, right: int) -> Value:
    """x / 2**right rounded half away from zero."""
    return (x + (1 << (right - 1)) + (x >> 31)) >> right


def exp_negative(code: Code, a: Value, integer_bits: int) -> Value:
    """exp(a) as Q0.15 for a <= 0 with that many bits before the point."""
    quarter, nothing = 1 << (13 - integer_bits), code.constant(0, a.kind)
    near = (a & (quarter - 1)) - quarter
    rest = near - a
    v = limited16(code, near << integer_bits) + 4096
    v2 = high(code, v, v)
    v3, v4 = high(code, v2, v), high(code, v2, v2)
    series = halved(high(code, halved(v4, 2) + v3, code.constant(10923, a.kind)) + v2, 1)
    y = code.least(high(code, v + series, code.constant(28918, a.kind)) + 28918, code.constant(32767, a.kind))
    for k in range(integer_bits + 2):
        there = code.same(rest & (quarter << k), nothing)
        y = code.select(there, y, high(code, y, code.constant(POWERS[k], a.kind)))
    return code.select(code.same(a, nothing), code.constant(32767, a.kind), y)


def reciprocal(code: Code, a: Value) -> Value:
    """2 / (1 + a) for a in [0, 1], as Q2.13."""
    half = (a + 32768) >> 1
    y = high(code, half, code.constant(-15420, a.kind)) + 23130
    for _ in range(3):
        y = y + limited16(code, high(code, y, code.constant(8192, a.kind) - high(code, half, y)) << 2)
    return y


def below_zero(code: Code, a: Value) -> Value:
    """-|a|."""
    return code.least(a, code.constant(0, a.kind) - a)


def logistic(code: Code, a: Value, p: Numbers) -> Value:
    """a: Q3.12, shifted left by p[0] before."""
    nothing = code.constant(0, a.kind)
    a = limited16(code, a << p[0])
    y = limited16(code, reciprocal(code, exp_negative(code, below_zero(code, a), 3)) << 1)
    y = code.select(code.less(nothing, a), y, code.constant(32767, a.kind) - y)
    return code.select(code.same(a, nothing), code.constant(16384, a.kind), y)


def tanh(code: Code, a: Value, p: Numbers) -> Value:
    """a: Q3.12, shifted left by p[0] before."""
    nothing = code.constant(0, a.kind)
    a = limited16(code, a << p[0])
    y = limited16(code, (reciprocal(code, exp_negative(code, below_zero(code, a), 4)) - 8192) << 2)
    y = code.select(code.less(a, nothing), nothing - y, y)
    return code.select(code.same(a, nothing), nothing, y)
