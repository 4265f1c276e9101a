"""From a tree of tables to the bytes of a file: the other direction of `verify.parse`, driven by the same layout."""

from __future__ import annotations

from typing import Any

import flatbuffers
import numpy as np
from flatbuffers import number_types

from tinyinterp.schema.layout import IDENTIFIER, LAYOUTS, MEMBERS, Field
from tinyinterp.schema.verify import Node

_FLAGS = {
    "?": number_types.BoolFlags,
    "b": number_types.Int8Flags,
    "B": number_types.Uint8Flags,
    "h": number_types.Int16Flags,
    "H": number_types.Uint16Flags,
    "i": number_types.Int32Flags,
    "I": number_types.Uint32Flags,
    "q": number_types.Int64Flags,
    "Q": number_types.Uint64Flags,
    "f": number_types.Float32Flags,
}
_ALIGNED = {"Buffer", "CustomQuantization"}  # tables whose bytes the format wants aligned to 16


def write(tree: Node) -> bytes:
    """The file of a tree as `parse` gives it; a field that is None or left out is not written.

    Nothing is checked: tests write damaged models with it.
    """
    builder = flatbuffers.Builder(1 << 16)
    builder.Finish(_table(builder, "Model", tree), file_identifier=IDENTIFIER)
    return bytes(builder.Output())


def _table(builder: Any, name: str, node: Node) -> int:
    layout = LAYOUTS[name]
    # A table's children are written before it, as a flatbuffer grows from its end.
    offsets = {
        field.name: _child(builder, name, field, node)
        for field in layout.fields
        if field.kind not in ("scalar", "deprecated") and node.get(field.name) is not None
    }
    builder.StartObject(layout.fields[-1].slot + 1 if layout.fields else 0)
    for field in layout.fields:
        if field.kind == "scalar":
            builder.PrependSlot(_FLAGS[field.code], field.slot, node.get(field.name, field.default), field.default)
        elif field.name in offsets:
            builder.PrependUOffsetTRelativeSlot(field.slot, offsets[field.name], 0)
        if field.kind == "union":
            builder.PrependUint8Slot(field.slot - 1, node.get(field.name + "_type", 0), 0)
    return int(builder.EndObject())


def _child(builder: Any, table: str, field: Field, node: Node) -> int:
    value = node[field.name]
    if field.kind == "string":
        return int(builder.CreateString(value))
    if field.kind == "table":
        return _table(builder, field.of, value)
    if field.kind == "union":
        return _table(builder, MEMBERS[field.of][node[field.name + "_type"] - 1], value)
    if field.kind == "tables":
        offsets = [_table(builder, field.of, entry) for entry in value]
        builder.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            builder.PrependUOffsetTRelative(offset)
        return int(builder.EndVector())
    if isinstance(value, bytes):
        value = np.frombuffer(value, np.uint8)
    return _vector(builder, np.asarray(value, np.dtype("<" + field.code)), 16 if table in _ALIGNED else 4)


def _vector(builder: Any, array: np.ndarray[Any, Any], alignment: int) -> int:
    data = array.tobytes()
    builder.StartVector(array.itemsize, len(array), max(alignment, array.itemsize))
    builder.head -= len(data)
    builder.Bytes[builder.head : builder.head + len(data)] = data
    return int(builder.EndVector())
