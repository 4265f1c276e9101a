"""One output pixel between four cells of an image, channels beside each other in vectors.

    delegate     t = a + (b - a) * u        s = c + (d - c) * u        y = t + (s - t) * v
    reference    y = a * v_ * u_ + c * v * u_ + b * v_ * u + d * v * u + 0      v_ = 1 - v    u_ = 1 - u

float32 as written; the delegate's 8 bits in integers with u and v in 1/2048, each value times 2048 where it is not
multiplied, one rounding half up at the end; the reference's uint8 in float32, a half added and cut off. The last vector
overlaps the one before; fewer channels than a vector are masked.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

from ..machine import microkernel

if TYPE_CHECKING:
    from .vectors import Code, Value


@cache
def between(dtype: str, lanes: int, reference: bool = False) -> Callable[..., Any]:
    """The microkernel of (a, b, c, d, u, v, channels, y): addresses of pixels, and the parts."""
    plain = dtype == "float32"
    real = plain or reference
    size, part = 4 if plain else 1, "float32" if real else "int64"

    @microkernel("int64", "int64", "int64", "int64", part, part, "int64", "int64")
    def pixel(code: Code, a: Value, b: Value, c: Value, d: Value, u: Value, v: Value, channels: Value, y: Value) -> None:
        stored, word = code.vector(code.F32 if plain else code.I8, lanes), code.vector(code.I32, lanes)
        wide = code.vector(code.F32, lanes) if real else word

        def weight(w: Value) -> Value:
            """In every lane; 12 bits in 16, so that the compiler may take a 16-bit product."""
            return code.splat(w if real else code.convert(code.convert(w, code.I16), code.I32), wide)

        across, down = weight(u), weight(v)
        one = code.constant(1.0, wide) if real else across

        def run(offset: Value, mask: Value | None) -> None:
            def load(at: Value) -> Value:
                at = at + offset
                value = code.load(at, stored) if mask is None else code.load_masked(at, stored, mask)
                value = value if plain else code.convert(value, word, dtype == "int8")
                return code.convert(value, wide) if reference else value

            left, right, low, high = load(a), load(b), load(c), load(d)
            if reference:
                up, back = one - down, one - across
                value = left * up * back + low * down * back + right * up * across + high * down * across
                value = value + 0.0 if plain else code.convert(code.convert(value + 0.5, word), stored)
            elif real:
                t, s = left + (right - left) * across, low + (high - low) * across
                value = t + (s - t) * down
            else:
                t, s = (left << 11) + (right - left) * across, (low << 11) + (high - low) * across
                value = code.convert(((t << 11) + (s - t) * down + (1 << 21)) >> 22, stored)
            if mask is None:
                code.store(value, y + offset)
            else:
                code.store_masked(value, y + offset, mask)

        with code.either(code.less(channels, code.constant(lanes))) as (few, enough):
            with few:
                run(code.constant(0), code.first(channels, lanes))
            with enough, code.loop((channels + (lanes - 1)) / lanes) as i:
                run(code.least(i * lanes, channels - lanes) * size, None)

    return pixel
