"""String tensors: what is packed comes back, what is damaged is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyinterp.schema.strings import pack_strings, string_ends, unpack_strings


@given(st.lists(st.binary(max_size=20), max_size=20))
def test_there_and_back(items: list[bytes]) -> None:
    assert unpack_strings(pack_strings(items)) == items


@given(st.binary(max_size=40))
def test_any_bytes_are_strings_or_a_value_error(data: bytes) -> None:
    try:
        items = unpack_strings(data)
    except ValueError:
        return
    assert sum(map(len, items)) <= len(data)


def test_the_bytes_themselves() -> None:
    assert pack_strings([b"a", b"bc"]) == bytes([2, 0, 0, 0, 16, 0, 0, 0, 17, 0, 0, 0, 19, 0, 0, 0]) + b"abc"
    assert pack_strings([]) == bytes([0, 0, 0, 0, 8, 0, 0, 0])
    assert unpack_strings(b"") == [] and unpack_strings(bytes(4)) == []


def test_bytes_to_spare_are_not_looked_at() -> None:
    assert unpack_strings(pack_strings([b"a"]) + b"more") == [b"a"]
    assert string_ends(np.frombuffer(pack_strings([b"a", b""]), np.uint8)).tolist() == [16, 17, 17]


def test_a_count_below_zero() -> None:
    with pytest.raises(ValueError, match="-1 strings"):
        unpack_strings(b"\xff" * 8)
