"""What figures were measured on, in one line beside them."""

from __future__ import annotations

import platform
from importlib.metadata import version
from pathlib import Path

from tinyinterp.kernels import jit


def machine() -> str:
    """`Intel(R) Xeon(R) …, amx, Python 3.12.1, Numba 0.68.1`."""
    return f"{processor()}, {jit.level()}, Python {platform.python_version()}, Numba {version('numba')}"


def processor() -> str:
    """The name that the processor gives itself."""
    info = Path("/proc/cpuinfo")
    named = [line.partition(":")[2].strip() for line in (info.read_text() if info.exists() else "").splitlines()
             if line.startswith("model name")]
    return named[0] if named else platform.machine()
