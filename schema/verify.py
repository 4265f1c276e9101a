"""The structural verifier: any bytes become the tree of their tables, or a ModelError that names the place.

Python's `flatbuffers` has no verifier, and the accessors of the `tflite` package trust what they read: a negative
position counts from the end, a slice past the end is shortened, a length of 2**32 is looped over. So each offset, vtable,
vector, string and union is checked here before it is followed, in one pass that also decodes what it checks, and nothing
reads the file a second time. `tflite` gives the root. Its accessors are not used below it: they cost about five times
this whole pass, 2.18 lacks five tables of today's schema and takes operator codes for ADD that stand in the new field
alone. The tests hold every model's records against them.

What is checked is what flatbuffers::Verifier checks: the identifier; offsets that are not 0, aligned and inside; vtables
inside, of even size; scalars inside and aligned; vectors inside; strings ended by a 0; unions by their tag; at most a
million tables. Beyond it: the fields of a table may not overlap, and what becomes Python objects is bounded, so that a
small file whose vectors lie over each other cannot fill the memory. The format's tables nest six deep at most, so that
depth needs no limit.

Source: google/flatbuffers, include/flatbuffers/verifier.h
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable
from functools import cache
from struct import Struct, calcsize
from typing import Any, NoReturn, TypeAlias

import numpy as np

from tinyinterp.errors import ModelError, hint
from tinyinterp.schema.frozen import record
from tinyinterp.schema.layout import LAYOUTS, MEMBERS, Field, Layout

MAX_TABLES = 1_000_000
MAX_SMALL_BYTES = 1 << 25  # of strings and short vectors: at worst some 300 MB of Python integers
MAX_BUFFER = 2**31 - 2  # a flatbuffer's own part of a file; what lies behind is reached by Buffer.offset

Node: TypeAlias = dict[str, Any]  # a table: field name -> value, tables within tables
_Place: TypeAlias = "tuple[_Place, str, int | None] | None"

_i32 = Struct("<i").unpack_from
_u32 = Struct("<I").unpack_from
_u16 = Struct("<H").unpack_from
_WIDTH = {code: calcsize("<" + code) for code in "?bBhHiIqQf"}


@record(frozen=True, slots=True, eq=False)
class _Plan:
    """How to read every table that shares one vtable."""

    unpack: Callable[[Any, int], tuple[Any, ...]]
    size: int
    names: tuple[str, ...]
    references: tuple[tuple[Field, int], ...]


def parse(data: memoryview) -> Node:
    """The tables of a model file as nested dicts, `{"version": 3, "subgraphs": [{"tensors": […]}]}`.

    Scalars and short vectors are Python values, vectors marked `*` in the layout arrays on `data`, an absent field its
    default. A union's tag stands beside it as `<name>_type`; its value is None when the tag is unknown.

    Raises: ModelError with the place of the first damage.
    """
    size = min(len(data), MAX_BUFFER)
    if size < 8:
        _refuse("", f"the file has {size} bytes, a model has at least 8")
    model = _accessors()
    if not model.ModelBufferHasIdentifier(data, 0):
        _refuse("", f"the identifier at byte 4 is {bytes(data[4:8])!r}, a model has b'TFL3'")
    root = model.GetRootAs(data)._tab.Pos
    if root < 8 or root & 3 or root + 4 > size:
        _refuse("", f"the root table is said to be at byte {root} of {size}")

    stack: list[tuple[Layout, int, Node, _Place]] = []
    seen: dict[tuple[str, int], Node] = {}  # a table that is referred to twice is read once

    def table(layout: Layout, pos: int, place: _Place) -> Node:
        node = seen.get((layout.name, pos))
        if node is None:
            node = seen[layout.name, pos] = {}
            stack.append((layout, pos, node, place))
        return node

    tree = table(LAYOUTS["Model"], root, None)
    plans: dict[tuple[str, int, int], _Plan] = {}
    tables = 1
    small = 0

    while stack:
        layout, pos, node, place = stack.pop()
        vtable = pos - _i32(data, pos)[0]
        # Tables of one kind share vtables, so a plan is worked out once for each vtable and alignment of its tables.
        plan = plans.get((layout.name, vtable, pos & 7))
        if plan is None:
            plan = plans[layout.name, vtable, pos & 7] = _plan(data, size, layout, vtable, pos, place)
        if pos + plan.size > size:
            _refuse(_name(place), f"the table at byte {pos} needs {plan.size} bytes, the file ends at {size}")
        node.update(layout.defaults)
        node.update(zip(plan.names, plan.unpack(data, pos)))

        for field, offset in plan.references:
            name = field.name
            at = pos + offset
            target = at + node[name]
            kind = field.kind
            if target == at or target & 3 or target + 4 > size:
                _refuse(_name((place, name, None)), f"the offset at byte {at} leads to byte {target} of {size}")

            if kind == "table":
                tables += 1
                node[name] = table(LAYOUTS[field.of], target, (place, name, None))

            elif kind == "union":
                tag = node[name + "_type"]
                members = MEMBERS[field.of]
                if 0 < tag <= len(members):
                    tables += 1
                    node[name] = table(LAYOUTS[members[tag - 1]], target, (place, name, None))
                else:
                    node[name] = None

            else:  # a vector: its length, then its elements
                count = _u32(data, target)[0]
                start = target + 4
                width = _WIDTH[field.code] if kind == "vector" else 1 if kind == "string" else 4
                end = start + count * width
                if end + (kind == "string") > size:
                    _refuse(
                        _name((place, name, None)),
                        f"{count} elements of {width} bytes at byte {start} end at byte {end} of {size}",
                    )
                if field.view:
                    node[name] = np.frombuffer(data, _dtype(field.code), count, start)
                    continue
                small += end - start
                if small > MAX_SMALL_BYTES:
                    _refuse(_name((place, name, None)), f"names and short vectors take more than {MAX_SMALL_BYTES} bytes")
                if kind == "string":
                    if data[end]:
                        _refuse(_name((place, name, None)), f"the string at byte {start} has no 0 at its end, byte {end}")
                    node[name] = str(data[start:end], "utf-8", "replace")
                elif kind == "tables":
                    tables += count
                    if tables > MAX_TABLES:
                        break
                    of = LAYOUTS[field.of]
                    nodes: list[Node] = []
                    node[name] = nodes
                    at = start
                    for relative in Struct(f"<{count}I").unpack_from(data, start):
                        target = at + relative
                        inner = (place, name, len(nodes))
                        if not relative or target & 3 or target + 4 > size:
                            _refuse(_name(inner), f"the offset at byte {at} leads to byte {target} of {size}")
                        nodes.append(table(of, target, inner))
                        at += 4
                elif field.code == "B":
                    node[name] = bytes(data[start:end])
                else:
                    node[name] = Struct(f"<{count}{field.code}").unpack_from(data, start)

        if tables > MAX_TABLES:
            _refuse(_name(place), f"there are more than {MAX_TABLES} tables")
    return tree


def _plan(data: memoryview, size: int, layout: Layout, vtable: int, pos: int, place: _Place) -> _Plan:
    """Reads and checks one vtable: where each field of a table lies, and in what order."""
    if vtable < 0 or vtable & 1 or vtable + 2 > size:
        _refuse(_name(place), f"the vtable of the table at byte {pos} is said to be at byte {vtable} of {size}")
    length = _u16(data, vtable)[0]
    if length & 1 or vtable + length > size:
        _refuse(_name(place), f"the vtable at byte {vtable} is said to have {length} bytes; the file ends at {size}")
    present: list[tuple[int, str, str, Field]] = []  # offset, name, struct's letter, field
    slots = Struct(f"<{length // 2 - 2}H").unpack_from(data, vtable + 4) if length > 4 else ()
    for slot, offset in enumerate(slots):
        if not offset:
            continue
        field = layout.by_slot.get(slot)
        if field is not None:
            present.append((offset, field.name, field.code if field.kind == "scalar" else "I", field))
        elif (union := layout.by_slot.get(slot + 1)) is not None and union.kind == "union":
            present.append((offset, union.name + "_type", "B", union))

    present.sort(key=lambda entry: entry[0])
    text = "<"
    end = 4 if present else 0
    text += f"{end}x"
    for offset, name, code, _ in present:
        width = _WIDTH[code]
        if offset < end:
            _refuse(_name((place, name, None)), f"the field, {offset} bytes into its table, lies over the one before it")
        if (pos + offset) % width:
            _refuse(_name((place, name, None)), f"the field at byte {pos + offset} is not aligned to {width}")
        text += f"{offset - end}x{code}"
        end = offset + width
    return _Plan(
        Struct(text).unpack_from,
        end,
        tuple(name for _, name, _, _ in present),
        tuple((field, offset) for offset, name, _, field in present if field.kind != "scalar" and name == field.name),
    )


@cache
def _accessors() -> Any:
    """`tflite.Model`: its file alone, since importing the package reads 180 of them, 30 ms; and since a folder that is called
    tflite, such as LiteRT's, may stand before the package."""
    loaded = getattr(sys.modules.get("tflite"), "Model", None)
    if hasattr(loaded, "ModelBufferHasIdentifier"):
        return loaded
    for folder in sys.path:
        file = os.path.join(folder, "tflite", "Model.py")
        if os.path.isfile(file):
            spec = importlib.util.spec_from_file_location("tinyinterp.schema.tflite_model", file)
            assert spec is not None and spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            return module.Model
    from tflite import Model

    return Model


def _dtype(code: str) -> np.dtype[Any]:
    return np.dtype("<" + code)


def _name(place: _Place) -> str:
    """`subgraphs[0].tensors[3].shape` from the inside out."""
    parts: list[str] = []
    while place is not None:
        place, name, index = place
        parts.append(name if index is None else f"{name}[{index}]")
    return ".".join(reversed(parts))


def _refuse(place: str, what: str) -> NoReturn:
    raise ModelError(hint("The model is not a valid Flatbuffer buffer", f"{place}: {what}" if place else what))
