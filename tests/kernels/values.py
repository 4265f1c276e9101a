"""Inputs that the tests of the unary families share: every number that could be special, and all of a small type."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

TINY = float(np.finfo(np.float32).tiny)
SPECIAL = np.array([0.0, -0.0, np.nan, -np.nan, np.inf, -np.inf, TINY, -TINY, TINY / 2, -TINY / 2, 1e-45, -1e-45, 1e-40,
                    3.4028235e38, -3.4028235e38, 1e38, 1e30, -1e30, 4e26, -4e26, 1e20, 2.0**126, 2.0**127, 88.8, 88.7, -87.3,
                    -87.4, -103.9, -104.1, 0.5, -0.5, 1.5, 2.5, -1.5, -2.5, 8388607.5, -8388607.5, 2.0**31, -(2.0**31), 1.0, 3.0,
                    -3.0, 4.0, 6.0, 6.0000005, -9.0, 16.619047, 16.61905, 7.98, 7.99], np.float32)


def floats(count: int, seed: int) -> np.ndarray:
    """The special ones, bit patterns spread over the whole type, and ordinary numbers; as many as asked for."""
    rng = np.random.default_rng(seed)
    patterns = rng.integers(0, 2**32, count // 2, dtype=np.uint32).view(np.float32)
    ordinary = rng.normal(0, 4, count - len(SPECIAL) - len(patterns)).astype(np.float32)
    return np.concatenate([SPECIAL, patterns, ordinary])


def everything(name: str) -> np.ndarray:
    """Every number of an integer type of 8 or 16 bits."""
    info = np.iinfo(name)
    return np.arange(info.min, info.max + 1).astype(name)


def quantizations(x: str, y: str, count: int, seed: int, least: float = 1e-3, most: float = 1.0) -> Iterator[tuple[dict, dict]]:
    """Pairs of scale and zero point: 16-bit and wider types get no zero point."""
    rng = np.random.default_rng(seed)

    def one(name: str) -> dict[str, float]:
        info = np.iinfo(name)
        zero = int(rng.integers(info.min, info.max + 1)) if info.bits == 8 else 0
        return {"scale": float(np.float32(np.exp(rng.uniform(np.log(least), np.log(most))))), "zero_point": zero}

    for _ in range(count):
        yield one(x), one(y)
