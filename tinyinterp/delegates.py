"""Native delegates and native custom ops: refused, with the way to do without.

A delegate is a compiled library that runs parts of a model on other hardware. tinyinterp is Python all the way: it takes the
calls so that programs written for tf.lite meet an error that they already catch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

from .errors import DelegateError, OptionError, hint
from .kernels.contract import Op


class Delegate:
    """A native delegate; making one is refused. Raises: DelegateError (a ValueError and an OSError)."""

    def __init__(self, library: Any, options: dict[Any, Any] | None = None) -> None:
        _refuse(library)


def load_delegate(library: Any, options: dict[Any, Any] | None = None) -> Delegate:
    """Load a native delegate; refused. Raises: DelegateError (a ValueError and an OSError)."""
    return Delegate(library, options)


def _refuse(library: Any) -> NoReturn:
    raise DelegateError(hint(f"Failed to load delegate from {library}\n", "tinyinterp runs no native delegates: leave it "
                             "out, the model runs on the CPU with the results of the official default"))


def refuse_delegates(delegates: Any) -> None:
    """Raises: DelegateError when there is a delegate in the list."""
    for delegate in delegates or ():
        delegate._get_native_delegate_pointer  # noqa: B018  what is no delegate is an AttributeError, as in tf.lite
        _refuse(getattr(delegate, "_library", delegate))


def custom_ops(registerers: Sequence[Any] | None) -> tuple[Op, ...]:
    """The Op records among custom_op_registerers. Raises: OptionError for the names and functions of C++."""
    for entry in registerers or ():
        if not isinstance(entry, Op):
            name = entry if isinstance(entry, str) else getattr(entry, "__name__", repr(entry))
            raise OptionError(hint(f"Looking up symbol '{name}' failed with error 'tinyinterp has no C++ symbols'.",
                                   "write the op in Python: an Op record, given in custom_op_registerers or in ops="))
    return tuple(registerers or ())
