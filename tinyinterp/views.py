"""Who is using an interpreter: views of its memory that know whether anybody holds one, and one thread at a time.

`tensor(i)()` gives an array on the interpreter's own memory. While one lives, invoke() and allocate_tensors() refuse: the
official interpreter would pull the memory from under it. It counts references to find out, which depends on the Python
version; here each view's `base` is a `Memory`, one for all the views alive, and the interpreter holds that only weakly: it is
gone as soon as the last view and the last slice of a view are.
"""

from __future__ import annotations

import weakref
from typing import Any, NoReturn

import numpy as np

from .errors import InUseError, hint

HELD = """There is at least 1 reference to internal data
      in the interpreter in the form of a numpy array or slice. Be sure to
      only hold the function returned from tensor() if you are using raw
      data access."""


class Memory:
    """The base of views. It keeps the programs alive whose memory they show."""

    def __init__(self) -> None:
        self.programs: list[Any] = []
        self.__array_interface__: dict[str, Any] = {}

    def view(self, array: np.ndarray, program: Any) -> np.ndarray:
        """`array` once more, with this object as its base. A read-only array stays read-only."""
        if not any(program is p for p in self.programs):
            self.programs.append(program)
        self.__array_interface__ = array.__array_interface__
        return np.asarray(self)


class Views:
    """The views of one interpreter."""

    def __init__(self) -> None:
        self.last: weakref.ref[Memory] | None = None  # None until the first view is made

    @property
    def memory(self) -> Memory:
        """The base of the views that live, or of the next one."""
        memory = self.last() if self.last else None
        if memory is None:
            memory = Memory()
            self.last = weakref.ref(memory)
        return memory

    @property
    def held(self) -> bool:
        """Whether a view is alive."""
        return self.last is not None and self.last() is not None


class Turn:
    """One thread at a time: the second one gets an error instead of garbage.

    The turn is the one element of a list: whoever takes it out is in. pop() and append() are atomic, and both together take a
    fifth of the time of a lock, which is as much as a small network takes.
    """

    def __init__(self) -> None:
        self.free = [None]

    def __enter__(self) -> None:
        try:
            self.free.pop()
        except IndexError:
            self.refuse()

    def __exit__(self, *error: object) -> None:
        self.free.append(None)

    def refuse(self) -> NoReturn:
        """Raises: InUseError."""
        raise InUseError(hint("This interpreter is in use by another thread.",
                              "give each thread an Interpreter of its own: they share nothing",
                              "or hold a lock of yours from set_tensor() to get_tensor()")) from None
