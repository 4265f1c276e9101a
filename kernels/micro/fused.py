"""The way back from int32 sums to 8-bit results as one fused multiply-add in double, whose own rounding is the last one.

    y = the low 32 bits of  (2**52 + u) * factor + addend

u is the sum as an unsigned number, moved by what the bias holds: put below the exponent of 2**52 it is a double already,
and where the result lies between 2**52 and 2**53 a double has no fractions, so it comes out as an integer in its low bits.
Rounding in two steps and halves away from zero are a matter of where the steps of y lie: `kernels/fused.py` finds numbers
for each channel with which they lie in the same places. "fused_twice" moves negative sums and their results by whole
numbers, for the definitions that treat them differently.

Five instructions for 16 sums, y's zero point included; the same in integers takes four times as many.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .tails import TAILS

if TYPE_CHECKING:
    from .vectors import Code, Value

EXPONENT = 0x4330000000000000  # of 2**52


def lane_order(tail: str, lanes: int) -> list[int]:
    """The channel at each of `lanes` lanes of sums, so that results come out in order: "fused" joins even and odd lanes, which
    it computes apart, inside 128 bits."""
    return [e // 4 * 4 + (0, 2, 1, 3)[e % 4] if tail == "fused" else e for e in range(lanes)]


def number_order(tail: str, lanes: int) -> list[int]:
    """The lane whose factor and addend lie at each place: those of even lanes first."""
    return [*range(0, lanes, 2), *range(1, lanes, 2)] if tail.startswith("fused") else list(range(lanes))


def sizes(tail: str, channels: int) -> tuple[int, int]:
    """Bytes of a panel's multipliers and shifts."""
    if tail.startswith("fused"):
        return 16 * channels, 12 * channels
    return (8 if tail == "double" else 4) * channels, 4 * channels


def ways_back(code: Code, tail: str, lanes: int, vectors: int, multiplier: Value, shift: Value,
              in_order: bool = False) -> list[Callable[[Value], Value]]:
    """For each vector of a panel the function from its sums to its results, after y's zero point where the tail is fused. The
    numbers of the panel lie at multiplier and shift: see `kernels/fused.py`, or one of each for a channel. in_order: results
    stay in the lanes of their sums, else as in `lane_order`."""
    kind = code.vector(code.I32, lanes)
    if not tail.startswith("fused"):
        real = {"delegate": code.F32, "double": code.F64}.get(tail, code.I32)
        size = 8 if tail == "double" else 4
        m_of = [code.load(multiplier + size * lanes * v, code.vector(real, lanes)) for v in range(vectors)]
        s_of = [code.load(shift + 4 * lanes * v, kind) for v in range(vectors)]
        return [lambda acc, v=v: TAILS[tail](code, acc, m_of[v], s_of[v]) for v in range(vectors)]  # type: ignore[misc]
    wide, n = code.vector(code.I64, lanes // 2), 4 * lanes * vectors
    real = code.vector(code.F64, lanes // 2)
    exponent = code.constant(EXPONENT, wide)

    def numbers(v: int) -> list[Any]:
        """Factors and addends of even and of odd lanes."""
        return [code.load(multiplier + part * 2 * n + (2 * v + odd) * 4 * lanes, real) for part in (0, 1) for odd in (0, 1)]

    def result(acc: Value, v: int) -> Value:
        negative: Any = None
        if tail == "fused_twice":
            first, more, less = (code.load(shift + part * n + 4 * lanes * v, kind) for part in range(3))
            negative = code.less(acc, first, signed=False)
            acc = code.select(negative, acc + more, acc)
        pairs = code.cast(acc, wide)
        low = code.constant(0xFFFFFFFF, wide)
        halves = [code.cast((x & low) | exponent, real) for x in (pairs, pairs >> 32)]
        factors, addends = numbers(v)[:2], numbers(v)[2:]
        even, odd = (code.cast(code.fma(x, f, a), wide) for x, f, a in zip(halves, factors, addends))
        if in_order or negative:
            y = code.shuffle(code.cast(even, kind), code.cast(odd << 32, kind), [e + lanes * (e % 2) for e in range(lanes)])
            return code.select(negative, y + less, y) if negative else y
        order = [q + k + lanes * half for q in range(0, lanes, 4) for half in (0, 1) for k in (0, 2)]
        return code.shuffle(code.cast(even, kind), code.cast(odd, kind), order)

    return [lambda acc, v=v: result(acc, v) for v in range(vectors)]  # type: ignore[misc]
