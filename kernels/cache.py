"""Object code in the user's cache folder: a file for each key, sealed, so that what is damaged or another's is not taken."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

try:
    from _blake2 import blake2b  # hashlib's own, without OpenSSL, which takes 3 ms to load
except ImportError:
    from hashlib import blake2b

if TYPE_CHECKING:
    from pathlib import Path


def digest(data: bytes | memoryview) -> bytes:
    return blake2b(data, digest_size=32).digest()


def folder() -> Path:
    """Where object code is kept: TINYINTERP_CACHE, or the user's cache folder. It need not exist or be writable."""
    from pathlib import Path

    return Path(folder_name())


def folder_name() -> str:
    """As `folder`, without `pathlib`, which takes time to load."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return os.environ.get("TINYINTERP_CACHE") or os.path.join(base, "tinyinterp")


def read_cache(key: str) -> bytes | None:
    """The object code under a key, or None when there is none, or it is damaged or another's: the hash of both stands before."""
    try:
        with open(os.path.join(folder_name(), f"{key}.o"), "rb") as file:
            data = file.read()
    except OSError:
        return None
    return data[32:] if _seal(key, data[32:]) == data[:32] else None


def _seal(key: str, code: bytes) -> bytes:
    return digest(key.encode() + code)


def write_cache(key: str, code: bytes) -> None:
    """Keep object code; a folder that cannot be written is no error, the code is then made again next time."""
    target = folder() / f"{key}.o"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_suffix(f".{os.getpid()}.part")
        part.write_bytes(_seal(key, code) + code)
        part.replace(target)  # in one step: another process sees all of it or nothing
    except OSError:
        pass
