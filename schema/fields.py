"""What the records of `options.py` are made of: the types of their fields, and their common base.

For a type checker each type is a plain Python type; for `layout.py` the name itself says how the value lies in a file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

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

if TYPE_CHECKING:
    from dataclasses import dataclass as record
else:
    from tinyinterp.schema.frozen import Fields

    def record(*, frozen):
        """A frozen dataclass whose methods are those of `Options`, so that none has to be compiled for it."""

        def made(cls):
            cls.__doc__ = cls.__doc__ or f"{cls.__name__}({', '.join(cls.__annotations__)})"
            names = tuple(cls.__annotations__)
            cls.__match_args__ = names
            cls.__dataclass_fields__ = Fields(names, {name: vars(cls)[name] for name in names})
            return cls

        return made


@record(frozen=True)
class Options:
    """The base of the options records: keyword or positional, frozen, comparable, printable.

    To a reader they are dataclasses, and `dataclasses.fields` and `replace` take them as such. But @dataclass compiles six
    methods for each class, 0.45 ms; for the eighty of them that would be 36 ms of every start.
    """

    if not TYPE_CHECKING:

        def __init__(self, *args, **values):
            names = self.__match_args__
            given = dict(zip(names, args))
            if len(args) > len(names) or given.keys() & values.keys() or not values.keys() <= set(names):
                raise TypeError(f"{type(self).__name__} takes {', '.join(names) or 'nothing'}; got {args} and {values}")
            self.__dict__.update(given, **values)  # a field that is not given is found at the class

    def _items(self) -> dict[str, Any]:
        names: tuple[str, ...] = self.__match_args__
        return {name: getattr(self, name) for name in names}

    def __setattr__(self, name: str, value: object) -> NoReturn:
        from dataclasses import FrozenInstanceError

        raise FrozenInstanceError(f"cannot assign to field {name!r}")

    def __delattr__(self, name: str) -> NoReturn:
        from dataclasses import FrozenInstanceError

        raise FrozenInstanceError(f"cannot delete field {name!r}")

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other._items() == self._items()

    def __hash__(self) -> int:
        return hash((type(self), *self._items().values()))

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={value!r}" for name, value in self._items().items())
        return f"{type(self).__name__}({fields})"


__all__ = [*IN_FILE, "IN_FILE", "Options", "record"]
