"""FlexBuffers against the writer and the reader that others made, and against damage."""

from __future__ import annotations

import random
from typing import Any

import pytest
from flatbuffers import flexbuffers
from hypothesis import given, settings
from hypothesis import strategies as st

from tinyinterp.errors import ModelError
from tinyinterp.schema import flexbuffer
from tinyinterp.schema.flexbuffer import decode

EVERYTHING = {
    "bool": True,
    "bytes": b"\0\1\2",
    "empty": [],
    "float": 0.1,
    "int": -(2**40),
    "ints": [1, 2, 3],
    "map": {"a": {"b": [None, "text", 1.5, {"c": []}]}},
    "none": None,
    "text": "ü" * 300,
    "uint": 2**62,
}

keys = st.text(st.characters(codec="ascii", exclude_characters="\0"), max_size=5)
leaves = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, width=32)  # the writer cannot do all of 64 bits
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
    | st.binary(max_size=20)
)
values = st.recursive(leaves, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(keys, inner, max_size=5), max_leaves=20)


def test_everything() -> None:
    assert decode(flexbuffers.Dumps(EVERYTHING)) == EVERYTHING


@settings(max_examples=200, deadline=None)
@given(values)
def test_as_the_other_reader(value: Any) -> None:
    data = bytes(flexbuffers.Dumps(value))
    assert decode(data) == flexbuffers.Loads(data)


def built(fill: Any) -> bytes:
    builder = flexbuffers.Builder()
    fill(builder)
    return bytes(builder.Finish())


def test_kinds_that_python_values_do_not_make() -> None:
    assert decode(built(lambda b: b.TypedVectorFromElements([1, 2, 3, 4, 5]))) == [1, 2, 3, 4, 5]
    assert decode(built(lambda b: b.TypedVectorFromElements([1.5, 2.5, 3.5, 4.5, 5.5]))) == [1.5, 2.5, 3.5, 4.5, 5.5]
    assert decode(built(lambda b: b.TypedVectorFromElements([True, False, True]))) == [True, False, True]
    for count in (2, 3, 4):
        items = list(range(-1, count - 1))
        assert decode(built(lambda b, items=items: b.FixedTypedVectorFromElements(items))) == items
    assert decode(built(lambda b: b.IndirectInt(-5))) == -5
    assert decode(built(lambda b: b.IndirectUInt(5))) == 5
    assert decode(built(lambda b: b.IndirectFloat(0.25))) == 0.25
    assert decode(built(lambda b: b.Key("name"))) == "name"


def test_no_options_at_all() -> None:
    assert decode(b"") is None


@pytest.mark.parametrize(
    "data, what",
    [
        (b"\1", "1 bytes; a value has 3 at least"),
        (b"\1\4\3", "the root is said to be 3 bytes wide"),
        (b"\1\4\0", "the root is said to be 0 bytes wide"),
        (b"\1\4\4", "a scalar of 4 bytes at byte -3 of 3"),
        (b"\5\x14\1", "the offset at byte 0 leads 5 bytes before the first"),
        (b"\0\x70\1", "a scalar of 1 bytes at byte -1 of 3"),
        (b"\xff\0\1\x28\1", "255 elements of 1 bytes"),
        (b"\xff\0\1\x14\1", "255 bytes at byte 1 of 5"),
        (b"ab\2\x10\1", None),  # a key may end anywhere before the end, and here it does not
        (b"\0\0\1\x94\1", "type 37 is not known"),
    ],
)
def test_damage(data: bytes, what: str | None) -> None:
    if what is None:
        with pytest.raises(ModelError, match="has no 0 at its end"):
            decode(data)
        return
    with pytest.raises(ModelError) as caught:
        decode(data)
    assert str(caught.value).startswith("The custom options are not a valid FlexBuffer.\n  hint: ")
    assert what in str(caught.value)


def test_nested_too_deeply() -> None:
    value: Any = 1
    for _ in range(flexbuffer.MAX_DEPTH):
        value = [value, None]
    assert decode(bytes(flexbuffers.Dumps(value))) == value
    with pytest.raises(ModelError, match="nest deeper than 64"):
        decode(bytes(flexbuffers.Dumps([value, None])))


def test_a_vector_that_holds_itself() -> None:
    data = bytes([1, 1, 9 << 2, 0, 0, 0])  # so small that any offset finds it again
    for byte in range(256):
        for at in range(len(data)):
            copy = bytearray(data)
            copy[at] = byte
            try:
                decode(bytes(copy))
            except ModelError:
                pass


def test_shared_parts_are_counted_each_time() -> None:
    """Ten levels, each naming the one below fifty times: a kilobyte that stands for 50**10 values."""
    vector, null = flexbuffers.Type.VECTOR << 2, flexbuffers.Type.NULL << 2
    data = bytearray([1, 0, null])  # one null: its count, the element, its type
    below = 1
    for _ in range(10):
        start = len(data) + 1
        data += bytes([50, *(start + i - below for i in range(50)), *[vector] * 50])
        below = start
    data += bytes([len(data) - below, vector, 1])
    assert len(data) < 1100
    with pytest.raises(ModelError, match=r"take more than 160\d* bytes when written out"):
        decode(bytes(data))


def test_long_shared_strings_are_counted_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flexbuffer, "MAX_VALUES", 100)
    builder = flexbuffers.Builder(share_strings=True)
    with builder.Vector():
        for _ in range(90):
            builder.String("long " * 40)
    with pytest.raises(ModelError, match="when written out"):
        decode(bytes(builder.Finish()))


def test_any_bytes_are_a_value_or_a_model_error() -> None:
    rng = random.Random(7)
    data = bytes(flexbuffers.Dumps(EVERYTHING))
    for _ in range(3000):
        copy = bytearray(data if rng.random() < 0.8 else rng.randbytes(rng.randrange(40)))
        for _ in range(rng.choice((1, 1, 2, 4)) if copy else 0):
            copy[rng.randrange(len(copy))] = rng.choice((0, 1, 4, 0x28, 0x7F, 0x80, 0xFF, rng.randrange(256)))
        try:
            decode(bytes(copy))
        except ModelError as error:
            assert "\n  hint: " in str(error)
