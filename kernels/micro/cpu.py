"""What the processor can do, and the text that tells one machine from another.

Linux says it in /proc/cpuinfo: 0.3 ms, where LLVM has to be loaded first, 20 ms. Elsewhere LLVM is asked.
"""

from __future__ import annotations

import ctypes
import os
import sys
from functools import lru_cache

LEVELS = ("amx", "vnni", "avx512", "avx2", "portable")
# LLVM's names of the features that decide, and Linux's.
_WIDE = ("avx512f", "avx512bw", "avx512vl", "avx512dq")
_LINUX = {"amx-int8": "amx_int8", "avx512vnni": "avx512_vnni"}


@lru_cache(maxsize=1)
def processor() -> tuple[str, frozenset[str]]:
    """A text that is the same on machines that run the same code, and the features among those that decide."""
    listed = _listed()
    if listed is not None:
        flags = frozenset(listed.get("flags", "").split())
        names = ("vendor_id", "cpu family", "model", "model name", "stepping", "flags")
        text = " / ".join(listed.get(name, "") for name in names)
        known = (*_WIDE, "amx-int8", "avx512vnni", "avx512vbmi", "avx2", "fma")
        return text, frozenset(f for f in known if _LINUX.get(f, f) in flags)
    import llvmlite.binding as llvm

    features = llvm.get_host_cpu_features()
    return f"{llvm.get_host_cpu_name()} {features.flatten()}", frozenset(f for f, there in features.items() if there)


def _listed() -> dict[str, str] | None:
    """The lines of /proc/cpuinfo about the first processor, where that is an x86-64."""
    if sys.platform != "linux" or os.uname().machine != "x86_64":
        return None
    try:
        with open("/proc/cpuinfo", "rb") as file:
            text = file.read(16384).partition(b"\n\n")[0].decode("latin-1")
    except OSError:
        return None
    listed = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in text.splitlines())}
    return listed if "flags" in listed and "vendor_id" in listed else None


@lru_cache(maxsize=1)
def level() -> str:
    """The best of LEVELS that this processor and system allow; TINYINTERP_ISA forces a lower one."""
    has = processor()[1]
    wide = has.issuperset(_WIDE)
    there = {"amx": wide and {"amx-int8", "avx512vnni"} <= has and _tiles_allowed(),
             "vnni": wide and "avx512vnni" in has, "avx512": wide, "avx2": {"avx2", "fma"} <= has, "portable": True}
    best = [name for name in LEVELS if there[name]]
    forced = os.environ.get("TINYINTERP_ISA", "")
    return forced if forced in best else best[0]


def _tiles_allowed() -> bool:
    """Ask Linux for the AMX tile registers: arch_prctl(ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA)."""
    try:
        return bool(ctypes.CDLL(None).syscall(158, 0x1023, 18) == 0)
    except (OSError, AttributeError):
        return False


def isa() -> str:
    """The instruction set that decides bits: "avx512", "avx2" or "portable". A few float operators of the official
    default answer differently on each."""
    return "avx512" if level() in ("amx", "vnni", "avx512") else level()
