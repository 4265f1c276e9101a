"""The bytes of a model, wherever they are: a memory map of a file, or memory that nobody can write to."""

from __future__ import annotations

import errno
import mmap
import os
import stat
from typing import Any

import numpy as np

from tinyinterp.errors import ModelError, ModelNotFoundError, hint


def opened(data: Any) -> memoryview:
    """Read-only bytes, aligned to 16, of a path, a buffer or a binary file.

    Raises: ModelNotFoundError when there is no such file; ModelError when it cannot be mapped; TypeError for other data.
    """
    if isinstance(data, (str, os.PathLike)):
        return _mapped(os.fspath(data))
    if hasattr(data, "read"):
        data = data.read()
    try:
        view = memoryview(data).cast("B")
    except (TypeError, ValueError) as error:
        raise TypeError(f"expected a path, bytes or a binary file, not {type(data).__name__}") from error
    base = np.frombuffer(view, np.uint8).ctypes.data if len(view) else 0
    if not view.readonly or base % 16:  # constants are aligned to 16 in the file, and so must the file be
        room = np.empty(len(view) + 16, np.uint8)
        start = -room.ctypes.data % 16
        room[start : start + len(view)] = np.frombuffer(view, np.uint8)
        room.flags.writeable = False
        view = memoryview(room[start : start + len(view)])
    return view


def _mapped(path: str) -> memoryview:
    nothing = "The model allocation is null/empty"
    try:
        file = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
    except (FileNotFoundError, ValueError) as error:
        raise ModelNotFoundError(hint(f"Could not open '{path}'.{nothing}", "there is no such file")) from error
    except OSError as error:
        raise ModelError(hint(f"Could not open '{path}'.{nothing}", str(error))) from error
    try:
        if stat.S_ISDIR(os.fstat(file).st_mode):
            raise OSError(errno.ENODEV, "it is a folder")
        return memoryview(mmap.mmap(file, 0, access=mmap.ACCESS_READ))
    except (OSError, ValueError) as error:
        number = getattr(error, "errno", None) or errno.EINVAL
        official = f"Mmap of '{file}' at offset '0' failed with error '{number}'.{nothing}"
        raise ModelError(hint(official, f"{path!r} is not a file that can be mapped: {error}")) from error
    finally:
        os.close(file)
