"""The bytes of a string tensor: how many strings, where each begins and the last one ends, then all of them in a row.

    int32 n, int32 offset[n + 1], the strings; an offset counts from the first byte of the buffer

Source: google-ai-edge/LiteRT, tflite/string_util.h
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from itertools import accumulate, pairwise

import numpy as np

from tinyinterp.schema.records import Array


def pack_strings(strings: Iterable[bytes]) -> bytes:
    """The bytes of a tensor that holds `strings`.

    >>> unpack_strings(pack_strings([b"one", b"", b"three"]))
    [b'one', b'', b'three']
    """
    items = list(strings)
    ends = accumulate([4 * (len(items) + 2), *map(len, items)])
    return struct.pack(f"<{len(items) + 2}i", len(items), *ends) + b"".join(items)


def unpack_strings(data: Array | bytes) -> list[bytes]:
    """The strings in the bytes of a tensor; a tensor without bytes has none.

    Raises: ValueError when an offset leads out of the buffer or backwards.
    """
    raw = bytes(data)
    if not raw:
        return []
    ends = string_ends(np.frombuffer(raw, np.uint8)).tolist()
    return [raw[start:end] for start, end in pairwise(ends)]


def string_ends(data: Array) -> Array:
    """The checked offsets, [n + 1] int32, of the uint8 bytes of a string tensor."""
    if len(data) < 4:
        raise ValueError(f"{len(data)} bytes; a string tensor has 4 at least")
    count = int(data[:4].view("<i4")[0])
    if count < 0 or 4 * (count + 1) + 4 > len(data):
        # An empty tensor may end after its count.
        if count == 0:
            return np.array([4], "<i4")
        raise ValueError(f"{count} strings do not fit in {len(data)} bytes")
    ends = data[4 : 4 * (count + 2)].view("<i4")
    if ends[0] != 4 * (count + 2):
        raise ValueError(f"the first string begins at byte {ends[0]}, the header ends at {4 * (count + 2)}")
    if count and (ends[1:] < ends[:-1]).any():
        raise ValueError("a string ends before it begins")
    if ends[-1] > len(data):
        raise ValueError(f"the last string ends at byte {ends[-1]} of {len(data)}")
    return ends
