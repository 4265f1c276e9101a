"""A model that several interpreters run is read once, while the first of them lives; `lower` then shares its plans as well.

    path or bytes ── shared ──► Shared       the same one for the same content

Bytes are the same when they are equal. A file is the same one while its numbers and times in the file system are; one that
was written within the last two seconds is read again, because such times can be coarse.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import Any
from weakref import WeakValueDictionary

import numpy as np

from .graph import Origin, check_known, link
from .kernels.contract import Op
from .schema import read
from .schema.files import opened

COARSE = 2.0  # seconds: the times of some file systems tell no less


class Shared:
    """The graphs and signatures of a model, and where it came from. Immutable."""

    def __init__(self, source: str | bytes, ops: Sequence[Op] | None, mark: tuple[Any, ...]) -> None:
        data = opened(source)
        model = read(data)
        check_known(model)
        origin = Origin(np.frombuffer(data, np.uint8), () if isinstance(source, bytes) else mark) if ops is None else None
        self.source, self.ops, self.signatures = source, ops, model.signatures
        self.graphs = tuple(link(model, i, ops, origin) for i in range(len(model.subgraphs)))


_SHARED: WeakValueDictionary[tuple[Any, ...], Shared] = WeakValueDictionary()


def shared(source: str | bytes, ops: Sequence[Op] | None = None) -> Shared:
    """The model of a path or of bytes. Raises: ModelError."""
    mark = _mark(source)  # before it is read: what is written meanwhile has another
    key = (*mark, *map(id, ops or ()), ops is None)
    found = _SHARED.get(key) if mark else None
    if found is None or (isinstance(source, bytes) and found.source != source):
        found = Shared(source, ops, mark)
        if mark:
            _SHARED[key] = found
    return found


def _mark(source: str | bytes) -> tuple[Any, ...]:
    """What tells a model from others, nearly so for bytes; empty when nothing does."""
    if isinstance(source, bytes):
        return len(source), source[:1024], source[-1024:]
    try:
        about = os.stat(source)
    except (OSError, ValueError):
        return ()
    young = time.time() - max(about.st_mtime, about.st_ctime) < COARSE
    return () if young else (about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns, about.st_ctime_ns)
