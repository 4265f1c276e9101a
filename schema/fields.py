"""The types of the format as Python spells them in the annotations of `options.py`.

For a type checker each name is a plain Python type; for `layout.py` the name itself says how the value lies in a file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from tinyinterp.schema.enums import StablehloPrecisionConfig

Bool: TypeAlias = bool
Int: TypeAlias = int
UInt: TypeAlias = int
Long: TypeAlias = int
Float: TypeAlias = float
String: TypeAlias = str
Bytes: TypeAlias = bytes
Bools: TypeAlias = tuple[bool, ...]
Ints: TypeAlias = tuple[int, ...]
Longs: TypeAlias = tuple[int, ...]
Floats: TypeAlias = tuple[float, ...]
Precisions: TypeAlias = tuple[StablehloPrecisionConfig, ...]

IN_FILE = {
    "Bool": "bool",
    "Int": "int",
    "UInt": "uint",
    "Long": "long",
    "Float": "float",
    "String": "string",
    "Bytes": "[ubyte]",
    "Bools": "[bool]",
    "Ints": "[int]",
    "Longs": "[long]",
    "Floats": "[float]",
    "Precisions": "[StablehloPrecisionConfig]",
}


@dataclass(frozen=True, slots=True)
class Empty:
    """An options table without a field."""
