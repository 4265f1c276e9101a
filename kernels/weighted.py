"""ADD and SUB of 8 bits as one weighted sum of two bytes, with the proof that it is what the definition gives.

    y = clamp(((a * ka + b * kb + c) >> shift) + more, lo, hi)       a, b as 0 … 255

The delegate's definition is such a sum. The reference rounds four times on the way, but there are only 65536 pairs of
operands: whole numbers ka, kb and c are looked for that give each pair's byte, beginning with the scales themselves. They
are not found where many pairs lie on the middle between two bytes; then a slower kernel takes the call.

Source: of the arithmetic, `add_sub.py`; of the instructions, `micro/weighted.py`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from . import jit
from .broadcast import is_8bit
from .contract import Arg, Call, Kernel, Maker
from .micro.weighted import sum_of_bytes
from .runs import binary

BYTES = np.arange(256, dtype=np.int64)
TRIES = 24  # most are through at the first, nearly all the others after a few


def in_parts(ka: int, kb: int, c: int, shift: int, more: int, lo: int, hi: int) -> tuple[Any, ...] | None:
    """What the microkernel takes; None for a sum that its words have no room for."""
    low = min(shift, 15)
    c, more = c & ((1 << shift) - 1), more + (c >> shift)
    parts = [(k & ((1 << low) - 1), k >> low) for k in (ka, kb)]
    if not 0 <= shift <= 30 or abs(more) > 1 << 14 or max(abs(2 * w + 1) for _, w in parts) >= 1 << 16:
        return None
    fine, whole = (int(np.array(pair, np.uint16 if i == 0 else np.int16).view(np.int32)[0]) for i, pair in enumerate(zip(*parts)))
    return fine, whole, c, low, shift - low, more, lo, hi


def proved(y: np.ndarray, ratio_a: float, ratio_b: float, lo: int, hi: int) -> tuple[int, int, int, int] | None:
    """(ka, kb, c, shift) such that (a * ka + b * kb + c) >> shift is y[a, b] for all pairs, or as far beyond lo or hi.

    c must lie between the most that a pair asks for and the least that a pair allows; where it cannot, ka and kb are turned
    a little, so that these two pairs come to an understanding.
    """
    shift = 29 - max(math.frexp(max(abs(ratio_a), abs(ratio_b)))[1], -1)
    if shift < 1:
        return None
    ka, kb = round(ratio_a * 2.0**shift), round(ratio_b * 2.0**shift)
    y = np.clip(y, lo, hi)
    floor, ceiling = y << shift, ((y + 1) << shift) - 1
    floor[y <= lo], ceiling[y >= hi] = -(1 << 62), 1 << 62
    for _ in range(TRIES):
        products = (BYTES * ka)[:, None] + BYTES * kb
        needs, allows = floor - products, ceiling - products
        most, least = int(needs.argmax()), int(allows.argmin())
        gap = int(needs.flat[most]) - int(allows.flat[least])
        if gap <= 0:
            return ka, kb, int(allows.flat[least]) + gap // 2, shift
        da, db = least // 256 - most // 256, least % 256 - most % 256
        if da == db == 0:
            return None
        step = (1.3 * gap + 2) / (da * da + db * db)
        ka, kb = ka - round(step * da), kb - round(step * db)
    return None


def weighted(name: str, settle: Callable[[Call, Any], tuple[Arg, ...]], numbers: Callable[[Any], Any],
             numerics: frozenset[str]) -> Maker:
    """The kernel; `numbers` gives what the microkernel takes."""
    make = binary(f"{name}_weighted", None, settle, numbers, numerics, is_8bit, turn=sum_of_bytes, width=4,
                  least=33)

    def on_x86(call: Call) -> Kernel | None:
        return None if jit.level() == "portable" else make(call)

    return on_x86
