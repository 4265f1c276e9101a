"""Damaged copies of a model, the same ones for the same seed; run as a script it tries many of them.

python -m tests.schema.mutants 2000 [model …]
"""

from __future__ import annotations

import random
import struct
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from tinyinterp.errors import ModelError
from tinyinterp.schema import read
from tinyinterp.schema.verify import parse

EXTREMES = (0, 1, 2, 3, 4, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 2**31 - 1, 2**31, 2**32 - 1, 2**32 - 4, 2**16)


def mutants(data: bytes, seed: int, count: int) -> Iterator[bytes]:
    """`count` damaged copies of a sound model, each with one to four wounds, most of them where its tables lie."""
    rng = random.Random(seed)
    places = table_bytes(data)
    wounds = (flip, flip, word, word, word, nudge, swap, cut)
    for _ in range(count):
        copy = bytearray(data)
        for _ in range(rng.choice((1, 1, 1, 2, 4))):
            if len(copy) < 8:
                break
            at = rng.randrange(len(copy)) if rng.random() < 0.2 else int(rng.choice(places))
            rng.choice(wounds)(copy, min(at, len(copy) - 1), rng)
        yield bytes(copy)


def table_bytes(data: bytes) -> np.ndarray:
    """The positions of all bytes that are not the contents of a buffer."""
    outside = np.ones(len(data), bool)
    try:
        tree = parse(memoryview(data))
    except ModelError:
        return np.arange(len(data))
    first = np.frombuffer(data, np.uint8).ctypes.data
    for node in tree["buffers"] or ():
        if node["data"] is not None and node["data"].size:
            start = node["data"].ctypes.data - first
            outside[start : start + node["data"].size] = False
    return np.flatnonzero(outside)


def flip(data: bytearray, at: int, rng: random.Random) -> None:
    data[at] ^= 1 << rng.randrange(8)


def word(data: bytearray, at: int, rng: random.Random) -> None:
    at = min(at & ~3, len(data) - 4)
    struct.pack_into("<I", data, at, rng.choice(EXTREMES))


def nudge(data: bytearray, at: int, rng: random.Random) -> None:
    at = min(at & ~3, len(data) - 4)
    value = struct.unpack_from("<I", data, at)[0] + rng.choice((-8, -4, -2, -1, 1, 2, 4, 8))
    struct.pack_into("<I", data, at, value & 0xFFFFFFFF)


def swap(data: bytearray, at: int, rng: random.Random) -> None:
    other = rng.randrange(len(data))
    length = min(rng.choice((2, 4, 16)), len(data) - max(at, other))
    data[at : at + length], data[other : other + length] = data[other : other + length], data[at : at + length]


def cut(data: bytearray, at: int, rng: random.Random) -> None:
    if rng.random() < 0.3:
        del data[at:]
    else:
        flip(data, at, rng)


def survive(data: bytes, seed: int, count: int, use: Callable[[bytes], object] = read) -> tuple[int, int, float]:
    """Feeds mutants to `use`, which may raise a ModelError and nothing else.

    Returns how many were taken, how many refused, and the longest time one took, in seconds.
    """
    taken = refused = 0
    longest = 0.0
    for number, mutant in enumerate(mutants(data, seed, count)):
        start = time.perf_counter()
        try:
            use(mutant)
            taken += 1
        except ModelError as error:
            assert str(error), f"mutant {number} of seed {seed} is refused without a word"
            refused += 1
        except BaseException as error:
            raise AssertionError(f"mutant {number} of seed {seed} raises {error!r}") from error
        longest = max(longest, time.perf_counter() - start)
    return taken, refused, longest


def main() -> None:
    count = int(sys.argv[1])
    for path in map(Path, sys.argv[2:]):
        taken, refused, longest = survive(path.read_bytes(), 1, count)
        print(f"{path.name}: {taken} taken, {refused} refused, longest {1000 * longest:.1f} ms")


if __name__ == "__main__":
    main()
