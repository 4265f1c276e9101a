"""Sections of a page that a program writes: what stands between two markers.

    <!-- begin:NAME, written by PROGRAM -->
    …
    <!-- end:NAME -->
"""

from __future__ import annotations

import re
from pathlib import Path


def fill(page: str, name: str, text: str) -> str:
    """The page with its section `name` replaced. Raises: ValueError when it has no such section, or two."""
    made, count = _pattern(name).subn(lambda m: f"{m[1]}\n{text.strip()}\n{m[3]}", page)
    if count != 1:
        raise ValueError(f"{count} sections are called {name!r}")
    return made


def section(page: str, name: str) -> str:
    """What stands in a section now. Raises: ValueError when it has no such section."""
    found = _pattern(name).search(page)
    if found is None:
        raise ValueError(f"no section is called {name!r}")
    return found[2].strip()


def write(path: Path, name: str, text: str) -> None:
    """Fill a section of a file."""
    path.write_text(fill(path.read_text(), name, text))


def _pattern(name: str) -> re.Pattern[str]:
    return re.compile(rf"(<!-- begin:{re.escape(name)},[^>]*-->)\n(.*?)(<!-- end:{re.escape(name)} -->)", re.DOTALL)
