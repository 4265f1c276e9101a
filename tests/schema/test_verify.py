"""Each way in which the structure of a file can be damaged, and the place that the message names."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tflite

from tinyinterp.errors import ModelError
from tinyinterp.schema import Signature, build, options, read
from tinyinterp.schema import verify as verify_module
from tinyinterp.schema.build import model_of, operator, tensor
from tinyinterp.schema.verify import parse
from tinyinterp.schema.writer import write

FIRST_LINE = "The model is not a valid Flatbuffer buffer"


def small_model() -> bytes:
    """A convolution with a bit of everything that a file can hold."""
    x = tensor("x", "int8", (1, 4, 4, 3), scale=0.5, signature=(-1, 4, 4, 3))
    w = tensor("w", "int8", scale=[0.1, 0.2], data=np.ones((2, 3, 3, 3)))
    b = tensor("b", "int32", scale=[0.05, 0.1], data=[1, 2])
    y = tensor("y", "int8", (1, 2, 2, 2), scale=0.25, zero_point=-3)
    conv = options.Conv2DOptions(stride_w=1, stride_h=1)
    step = operator("CONV_2D", [x, w, b], [y], conv)
    signature = Signature("serving_default", {"image": 0}, {"score": 3})
    return build(model_of([step], signatures=[signature], metadata={"made": b"by hand"}, description="small"))


def place(table: Any, slot: int) -> int:
    """Where in the file a field of a table lies."""
    offset = table._tab.Offset(4 + 2 * slot)
    assert offset, "the field is not written"
    return int(table._tab.Pos + offset)


def target(data: bytes, at: int) -> int:
    """Where the offset at a place leads."""
    return at + int(struct.unpack_from("<I", data, at)[0])


def vtable(table: Any, data: bytes) -> int:
    return int(table._tab.Pos - struct.unpack_from("<i", data, table._tab.Pos)[0])


class Wounded:
    """The small model with its tables at hand, to be damaged."""

    def __init__(self) -> None:
        self.data = bytearray(small_model())
        whole = bytes(self.data)
        self.whole = whole
        self.model = tflite.Model.GetRootAs(whole)
        self.subgraph = self.model.Subgraphs(0)
        self.x = self.subgraph.Tensors(0)
        self.operator = self.subgraph.Operators(0)

    def put(self, at: int, value: int, code: str = "I") -> None:
        struct.pack_into("<" + code, self.data, at, value)

    def target(self, at: int) -> int:
        return target(self.whole, at)

    def vtable(self, table: Any) -> int:
        return vtable(table, self.whole)


DAMAGES: dict[str, tuple[Callable[[Wounded], None], str]] = {}


def damage(expected: str) -> Callable[[Callable[[Wounded], None]], Callable[[Wounded], None]]:
    def add(function: Callable[[Wounded], None]) -> Callable[[Wounded], None]:
        DAMAGES[function.__name__] = (function, expected)
        return function

    return add


@damage("the file has 0 bytes")
def no_bytes(w: Wounded) -> None:
    del w.data[:]


@damage("the file has 7 bytes")
def too_short(w: Wounded) -> None:
    del w.data[7:]


@damage("the identifier at byte 4 is b'TFL2'")
def wrong_identifier(w: Wounded) -> None:
    w.data[4:8] = b"TFL2"


@damage("the root table is said to be at byte 4294967280")
def root_outside(w: Wounded) -> None:
    w.put(0, 0xFFFFFFF0)


@damage("the root table is said to be at byte 0")
def root_of_zero(w: Wounded) -> None:
    w.put(0, 0)


@damage("the root table is said to be at byte")
def root_not_aligned(w: Wounded) -> None:
    w.put(0, w.model._tab.Pos + 1)


@damage("hint: the vtable of the table at byte")
def vtable_before_the_file(w: Wounded) -> None:
    w.put(w.model._tab.Pos, 2**31 - 1, "i")


@damage("subgraphs[0].tensors[0]: the vtable of the table at byte")
def vtable_behind_the_file(w: Wounded) -> None:
    w.put(w.x._tab.Pos, -(2**31), "i")


@damage("subgraphs[0].tensors[0]: the vtable of the table at byte")
def vtable_not_aligned(w: Wounded) -> None:
    w.put(w.x._tab.Pos, w.x._tab.Pos - w.vtable(w.x) + 1, "i")


@damage("is said to have 65534 bytes")
def vtable_too_long(w: Wounded) -> None:
    w.put(w.vtable(w.subgraph), 65534, "H")


@damage("is said to have 15 bytes")
def vtable_of_odd_size(w: Wounded) -> None:
    w.put(w.vtable(w.subgraph), 15, "H")


@damage("subgraphs[0]: the table at byte")
def field_behind_the_file(w: Wounded) -> None:
    w.put(w.vtable(w.subgraph) + 4, 65532, "H")


@damage("subgraphs[0].tensors: the field at byte")
def field_not_aligned(w: Wounded) -> None:
    w.put(w.vtable(w.subgraph) + 4, 50, "H")


@damage("lies over the one before it")
def field_over_the_vtable_offset(w: Wounded) -> None:
    w.put(w.vtable(w.subgraph) + 4, 2, "H")


@damage("subgraphs[0].inputs: the field, ")
def field_over_another(w: Wounded) -> None:
    at = w.vtable(w.subgraph) + 4
    w.put(at + 2, struct.unpack_from("<H", w.whole, at)[0], "H")


@damage("subgraphs: the offset at byte")
def offset_behind_the_file(w: Wounded) -> None:
    w.put(place(w.model, 2), 2**31 - 1)


@damage("subgraphs: the offset at byte")
def offset_of_zero(w: Wounded) -> None:
    w.put(place(w.model, 2), 0)


@damage("subgraphs: the offset at byte")
def offset_not_aligned(w: Wounded) -> None:
    at = place(w.model, 2)
    w.put(at, w.target(at) - at + 2)


@damage("subgraphs[0].tensors[2]: the offset at byte")
def element_behind_the_file(w: Wounded) -> None:
    w.put(w.target(place(w.subgraph, 0)) + 4 + 4 * 2, 0x7FFFFFF0)


@damage("subgraphs[0].tensors[1]: the offset at byte")
def element_of_zero(w: Wounded) -> None:
    w.put(w.target(place(w.subgraph, 0)) + 4 + 4, 0)


@damage("subgraphs[0].tensors[0].quantization: the offset at byte")
def table_behind_the_file(w: Wounded) -> None:
    w.put(place(w.x, 4), 0x7FFFFFF0)


@damage("subgraphs[0].operators[0].builtin_options: the offset at byte")
def union_behind_the_file(w: Wounded) -> None:
    w.put(place(w.operator, 4), 0x7FFFFFF0)


@damage("subgraphs[0].tensors: 4294967295 elements of 4 bytes")
def tables_too_many(w: Wounded) -> None:
    w.put(w.target(place(w.subgraph, 0)), 2**32 - 1)


@damage("subgraphs[0].tensors[0].shape: 1073741824 elements of 4 bytes")
def vector_too_long(w: Wounded) -> None:
    w.put(w.target(place(w.x, 0)), 2**30)


@damage("subgraphs[0].tensors[0].quantization.zero_point: 536870912 elements of 8 bytes")
def array_too_long(w: Wounded) -> None:
    w.put(w.target(place(w.x.Quantization(), 3)), 2**29)


@damage("buffers[1].data: 2147483648 elements of 1 bytes")
def bytes_too_long(w: Wounded) -> None:
    w.put(w.target(place(w.model.Buffers(1), 0)), 2**31)


@damage("subgraphs[0].tensors[0].name: 268435456 elements of 1 bytes")
def string_too_long(w: Wounded) -> None:
    w.put(w.target(place(w.x, 3)), 2**28)


@damage("subgraphs[0].tensors[0].name: the string at byte")
def string_without_end(w: Wounded) -> None:
    at = w.target(place(w.x, 3))
    w.data[at + 5] = ord("!")


@pytest.mark.parametrize("name", DAMAGES)
def test_damage_is_refused_with_its_place(name: str) -> None:
    wound, expected = DAMAGES[name]
    wounded = Wounded()
    wound(wounded)
    with pytest.raises(ModelError) as caught:
        read(bytes(wounded.data))
    lines = str(caught.value).split("\n  hint: ")
    assert lines[0] == FIRST_LINE
    assert expected in "hint: " + lines[1]


def test_the_small_model_is_sound() -> None:
    model = read(small_model())
    assert model.description == "small"
    assert model.subgraphs[0].operators[0].options.stride_w == 1


def test_every_truncation_is_refused() -> None:
    data = small_model()
    for length in range(len(data) - 1):
        with pytest.raises(ModelError):
            read(data[:length])


def test_every_byte_in_turn() -> None:
    """Whatever one byte becomes, there is a model or a ModelError."""
    data = bytearray(small_model())
    taken = 0
    for at, old in enumerate(data):
        for new in (0, 0x7F, 0x80, 0xFF):
            data[at] = new
            try:
                read(bytes(data))
                taken += 1
            except ModelError:
                pass
        data[at] = old
    assert taken > len(data) // 4  # names, weights and padding may be anything


def test_an_unknown_union_tag_is_left_alone() -> None:
    """A newer converter may write options that are not known here."""
    wounded = Wounded()
    wounded.put(place(wounded.operator, 3), 200, "B")
    wounded.put(place(wounded.operator, 4), 0x7FFFFF00)
    with pytest.raises(ModelError):  # as flatbuffers::Verifier: the offset itself must lead inside
        read(bytes(wounded.data))
    wounded = Wounded()
    wounded.put(place(wounded.operator, 3), 200, "B")
    assert read(bytes(wounded.data)).subgraphs[0].operators[0].options == options.Conv2DOptions()


def test_a_vtable_without_fields_means_defaults() -> None:
    wounded = Wounded()
    options_table = wounded.operator.BuiltinOptions()
    wounded.put(int(options_table.Pos - struct.unpack_from("<i", wounded.whole, options_table.Pos)[0]), 4, "H")
    assert read(bytes(wounded.data)).subgraphs[0].operators[0].options == options.Conv2DOptions()


def test_names_that_are_not_utf8_are_mended() -> None:
    wounded = Wounded()
    wounded.data[wounded.target(place(wounded.x, 3)) + 4] = 0xFF
    assert read(bytes(wounded.data)).subgraphs[0].tensors[0].name == "\N{REPLACEMENT CHARACTER}"


def test_tables_are_counted_as_often_as_they_are_referred_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four bytes are enough to refer to a table once more, so a small file can seem to hold any number."""
    data = small_model()
    data += bytes(-len(data) % 4)
    subgraph = tflite.Model.GetRootAs(data).Subgraphs(0)
    count, start = 6000, len(data)
    end = start + 4 + 4 * count
    offsets = (end - at for at in range(start + 4, end, 4))
    longer = bytearray(data) + struct.pack(f"<I{count}I", count, *offsets)
    longer += struct.pack("<iHH", -4, 4, 4)  # a tensor without a field, and its vtable
    struct.pack_into("<I", longer, place(subgraph, 0), start - place(subgraph, 0))

    assert len(parse(memoryview(longer))["subgraphs"][0]["tensors"]) == count
    monkeypatch.setattr(verify_module, "MAX_TABLES", 5000)
    with pytest.raises(ModelError, match="more than 5000 tables"):
        parse(memoryview(longer))


def test_vectors_over_each_other_cannot_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify_module, "MAX_SMALL_BYTES", 64)
    with pytest.raises(ModelError, match="names and short vectors take more than 64 bytes"):
        read(small_model())


def test_what_is_damaged_but_not_used_does_no_harm() -> None:
    """The official interpreter never looks at a buffer that no tensor has."""
    tree = parse(memoryview(small_model()))
    tree["buffers"].append({"offset": 2**40, "size": 2**40})
    assert len(read(write(tree)).buffers[-1]) == 0
