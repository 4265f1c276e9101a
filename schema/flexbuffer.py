"""FlexBuffers, the self-describing values that custom operators keep their options in: bytes to Python values.

`flatbuffers.flexbuffers` reads them too, but follows any offset, nests without a limit and visits shared parts again and
again; here each step stays inside the bytes and the work is bounded.

A value is stored before what refers to it, and an offset counts backwards. The last byte of all is the width of the root,
the one before it its type: the kind in the upper six bits, the width of its own parts in the lower two.

Source: google/flatbuffers, include/flatbuffers/flexbuffers.h
"""

from __future__ import annotations

import struct
from typing import Any, NoReturn

from tinyinterp.errors import ModelError, hint

MAX_DEPTH = 64
MAX_VALUES = 100_000  # each also counts as 16 bytes; together they may take 16 * MAX_VALUES and what the data itself has

_NULL, _INT, _UINT, _FLOAT, _KEY, _STRING = range(6)
_INDIRECT = {6: _INT, 7: _UINT, 8: _FLOAT}
_MAP, _VECTOR, _BLOB, _BOOL = 9, 10, 25, 26
_TYPED = {11: _INT, 12: _UINT, 13: _FLOAT, 14: _KEY, 15: _STRING, 36: _BOOL}
_FIXED = {16 + 3 * extra + i: (kind, 2 + extra) for extra in range(3) for i, kind in enumerate((_INT, _UINT, _FLOAT))}
_CODES = {
    _INT: {1: "b", 2: "h", 4: "i", 8: "q"},
    _UINT: {1: "B", 2: "H", 4: "I", 8: "Q"},
    _BOOL: {1: "B", 2: "H", 4: "I", 8: "Q"},
    _FLOAT: {2: "e", 4: "f", 8: "d"},
}


def decode(data: bytes) -> Any:
    """The value in `data`: None, bool, int, float, str, bytes, list or dict; None for no bytes at all.

    >>> from flatbuffers import flexbuffers
    >>> decode(flexbuffers.Dumps({"max_detections": 10, "y_scale": 0.5}))
    {'max_detections': 10, 'y_scale': 0.5}

    Raises: ModelError when an offset or a length leads out of the bytes, or a value nests or repeats beyond all use.
    """
    if not data:
        return None
    return _Reader(bytes(data)).root()


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.budget = 16 * MAX_VALUES + len(data)

    def root(self) -> Any:
        if len(self.data) < 3:
            self.refuse(f"{len(self.data)} bytes; a value has 3 at least")
        width = self.data[-1]
        if width not in (1, 2, 4, 8):
            self.refuse(f"the root is said to be {width} bytes wide")
        return self.value(self.data[-2], len(self.data) - 2 - width, width, 0)

    def refuse(self, what: str) -> NoReturn:
        raise ModelError(hint("The custom options are not a valid FlexBuffer.", what))

    def spend(self, size: int) -> None:
        # Values may share their parts, so that a few bytes can stand for any number of them.
        self.budget -= size
        if self.budget < 0:
            self.refuse(f"its values take more than {16 * MAX_VALUES + len(self.data)} bytes when written out")

    def scalar(self, kind: int, at: int, width: int) -> Any:
        code = _CODES[kind].get(width)
        if code is None or at < 0 or at + width > len(self.data):
            self.refuse(f"a scalar of {width} bytes at byte {at} of {len(self.data)}")
        return struct.unpack_from("<" + code, self.data, at)[0]

    def uint(self, at: int, width: int) -> int:
        return int(self.scalar(_UINT, at, width))

    def follow(self, at: int, width: int) -> int:
        target = at - self.uint(at, width)
        if target < 0:
            self.refuse(f"the offset at byte {at} leads {-target} bytes before the first")
        return target

    def value(self, packed: int, at: int, width: int, depth: int) -> Any:
        """The value of type `packed` that stands at `at`, itself or as an offset, `width` bytes wide."""
        kind, inner = packed >> 2, 1 << (packed & 3)
        self.spend(16)
        if depth > MAX_DEPTH:
            self.refuse(f"values nest deeper than {MAX_DEPTH}")
        if kind == _NULL:
            return None
        if kind == _BOOL:
            return bool(self.uint(at, width))
        if kind in _CODES:
            return self.scalar(kind, at, width)
        target = self.follow(at, width)
        if kind in _INDIRECT:
            return self.scalar(_INDIRECT[kind], target, inner)
        if kind == _KEY:
            return self.key(target)
        if kind in _FIXED:
            element, count = _FIXED[kind]
            return [self.scalar(element, target + i * inner, inner) for i in range(count)]
        count = self.uint(target - inner, inner)
        if kind in (_STRING, _BLOB):
            self.spend(count)
            raw = self.data[target : target + count]
            if len(raw) != count:
                self.refuse(f"{count} bytes at byte {target} of {len(self.data)}")
            return raw if kind == _BLOB else raw.decode("utf-8", "replace")
        if kind not in (_MAP, _VECTOR) and kind not in _TYPED:
            self.refuse(f"type {kind} is not known")
        # Without this a length alone could make the loops below run for ever; elements take a byte at least.
        if target + count * inner > len(self.data):
            self.refuse(f"{count} elements of {inner} bytes at byte {target} of {len(self.data)}")
        if kind in _TYPED:
            element = _TYPED[kind] << 2
            return [self.value(element, target + i * inner, inner, depth + 1) for i in range(count)]
        types = target + count * inner
        if types + count > len(self.data):
            self.refuse(f"{count} types at byte {types} of {len(self.data)}")
        items = [self.value(self.data[types + i], target + i * inner, inner, depth + 1) for i in range(count)]
        if kind == _VECTOR:
            return items
        keys = self.follow(target - 3 * inner, inner)
        key_width = self.uint(target - 2 * inner, inner)
        if key_width not in (1, 2, 4, 8) or self.uint(keys - key_width, key_width) != count:
            self.refuse(f"the map at byte {target} has {count} values and another number of keys")
        return {self.key(self.follow(keys + i * key_width, key_width)): item for i, item in enumerate(items)}

    def key(self, target: int) -> str:
        end = self.data.find(b"\0", target)
        if end < 0:
            self.refuse(f"the key at byte {target} has no 0 at its end")
        self.spend(end - target)
        return self.data[target:end].decode("utf-8", "replace")
