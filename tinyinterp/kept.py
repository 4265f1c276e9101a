"""Templates, shared by the interpreters of a model and kept on disk: the next process neither lowers nor packs anything.

    template_of ──► one that an interpreter of this process runs, or one from the cache folder, or a new one

A file holds a template's words, its constants as the kernels read them, and what a session asks of a plan. It is taken
only if its name, a hash of the model, of the arguments and of this library, is repeated in it, and if the check over its
bytes holds; whatever is wrong with it, the model is lowered again. Steps are not in it: a plan from a file lowers the
graph when somebody asks for them. Templates with steps in Python, those of subgraphs that are cut, and those that take
less than some milliseconds to make are not kept. The folder holds at most TINYINTERP_KEEP megabytes of them (1,024 unless
set; 0: none), those used last.

    32 bytes   hash of the key and the check of the rest
    64 bytes   sums: the length of the description, of the words, of the constants
    ...        description (marshal), words, constants at multiples of 64
"""

from __future__ import annotations

import marshal
import mmap
import os
import struct
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import lru_cache
from typing import Any
from weakref import WeakValueDictionary

import numpy as np

from .arena import ALIGNMENT, LIMIT, Life, Placement, rounded
from .graph import Graph
from .kernels import abi, jit
from .kernels.cache import digest, folder_name
from .kernels.contract import OBJECTS
from .kernels.micro.loop import ROW
from .kernels.rewrite import wanted
from .lives import lasting
from .lower import Plan, Shape, Step, lower
from .template import SAVED, Template, assemble

MOST = float(os.environ.get("TINYINTERP_KEEP", 1024)) * 2**20  # bytes
WORTH = 5e-3  # seconds: what takes longer to make, compiling aside, is kept
SIZES = 4  # so many programs of a model a process keeps: some programs resize at every turn
PAGE = 4096
HEAD = struct.Struct("<32sQQQ8x")
OUTSIDE, FILE = 0, 1  # where a constant lies: in the kept file, in the model's

_TEMPLATES: WeakValueDictionary[tuple[Any, ...], Template] = WeakValueDictionary()


def template_of(graph: Graph, shapes: Mapping[int, Shape], numerics: str, threads: int, preserve: bool) -> Template:
    """The template for these input shapes. Raises: what `lower` and `assemble` raise."""
    asked = (*sorted(shapes.items()), numerics, threads, preserve, *sorted(wanted()), jit.level())
    key = (id(graph), *asked)  # a template holds its graph
    found = _TEMPLATES.get(key)
    if found is None:
        name = _name(graph, asked)
        found = _read(name, graph, shapes, numerics, threads, preserve) if name else None
        if found is None:
            start = time.perf_counter() - jit.spent()
            plan = lower(graph, shapes, numerics, threads, preserve=preserve)
            found = assemble(plan, {}, lasting(plan), preserve)
            if name and time.perf_counter() - jit.spent() - start > WORTH:
                _write(name, found)
        found = _TEMPLATES.setdefault(key, found)  # another thread may have been faster
    return found


class KeptPlan(Plan):
    """A plan whose steps are lowered when they are asked for."""

    __slots__ = ("_asked", "_made")
    _made: tuple[Step, ...] | None
    _asked: tuple[Any, ...]

    def __init__(self, graph: Graph, asked: tuple[Any, ...], shapes: dict[int, Shape], values: dict[int, np.ndarray],
                 aliases: dict[int, int]) -> None:
        """`asked`: the other arguments of `lower`."""
        super().__init__(graph, asked[1], asked[2], (), shapes, values, frozenset(), frozenset(), aliases)
        object.__setattr__(self, "_asked", asked)
        object.__setattr__(self, "_made", None)

    @property
    def steps(self) -> tuple[Step, ...]:
        if self._made is None:
            shapes, numerics, threads, preserve = self._asked
            object.__setattr__(self, "_made", lower(self.graph, shapes, numerics, threads, preserve=preserve).steps)
        assert self._made is not None
        return self._made


# ------------------------------------------------------------------------------------------------------------------ name
def _name(graph: Graph, asked: tuple[Any, ...]) -> str:
    """The file's name, empty when nothing is to be kept."""
    if graph.origin is None or not MOST or jit.DISABLED:
        return ""
    versions = jit.machine(), sys.version, np.__version__, _library()
    text = f"{graph.origin.identity} {graph.number} {asked} {SAVED} {LIMIT} {versions}"
    return digest(text.encode()).hex()[:32]


@lru_cache(maxsize=1)
def _library() -> str:
    """What tells this library's source from another: the size and the time of every file."""
    package = os.path.dirname(__file__)
    found = []
    for part in ("", "kernels", os.path.join("kernels", "micro"), "schema"):
        with os.scandir(os.path.join(package, part)) as files:
            for file in files:
                if file.name.endswith(".py"):
                    about = file.stat()
                    found.append((part, file.name, about.st_size, about.st_mtime_ns))
    return digest(repr(sorted(found)).encode()).hex()


def _path(name: str) -> str:
    return os.path.join(folder_name(), f"{name}.program")


# --------------------------------------------------------------------------------------------------------------- writing
class _Constants:
    """The constants of a file, each once, and where each lies."""

    def __init__(self, file: np.ndarray) -> None:
        self.base, self.end = abi.memory(file), abi.memory(file) + len(file)
        self.found: dict[tuple[int, int], int] = {}
        self.parts: list[np.ndarray] = []
        self.size = 0

    def where(self, array: np.ndarray) -> tuple[int, int]:
        """(OUTSIDE or FILE, how many bytes from its beginning)."""
        at, size = abi.memory(array), array.nbytes
        if self.base <= at and at + size <= self.end:
            return FILE, at - self.base
        key = at, size
        if key not in self.found:
            self.found[key] = self.size
            self.parts.append(array)
            self.size += rounded(size)
        return OUTSIDE, self.found[key]

    def bytes(self) -> Iterator[bytes]:
        for array in self.parts:
            yield array.tobytes()
            yield bytes(-array.nbytes % ALIGNMENT)


def _write(name: str, template: Template) -> None:
    """Keep a template if it can be; a folder that cannot be written is no error."""
    plan, placement = template.plan, template.placement
    known = {t: v for t, v in plan.values.items() if plan.graph.constants.get(t) is not v}
    origin = plan.graph.origin
    if template.hosts or plan.cut is not None or any(v.dtype == OBJECTS for v in known.values()):
        return
    if origin is None or origin.kept == SIZES:
        return
    origin.kept += 1
    constants = _Constants(origin.bytes)
    words = template.words.copy()
    places: tuple[list[int], list[int]] = ([], [])
    for at, array in template.constants:
        place, words[at] = constants.where(array)
        places[place].append(at)
    values = [(t, v.dtype.str, v.shape, *constants.where(v)) for t, v in known.items()]
    lives = np.array([(l.key, l.size, l.first, l.last, -1 if l.over is None else l.over, placement.offsets[l.key])
                      for l in placement.lives], np.int64)
    rows = template.rows.copy()
    rows[:, 0] = 0
    description = marshal.dumps((
        template.symbols, template.shared, template.brief, plan.shapes, plan.aliases, values, placement.size, placement.bound,
        *(a.tobytes() for a in (lives, rows, template.places, *(np.array(p, np.int64) for p in places)))))
    description += bytes(-len(description) % ALIGNMENT)
    body = b"".join([description, words.tobytes(), bytes(-words.nbytes % ALIGNMENT), *constants.bytes()])
    sizes = len(description), words.nbytes, constants.size
    if len(body) > MOST / 4:
        return
    data = HEAD.pack(_seal(name, sizes, np.frombuffer(body, np.uint8)), *sizes) + body
    target = _path(name)
    part = f"{target}.{os.getpid()}.part"
    with suppress(OSError):
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(part, "wb") as file:
            file.write(data)
        os.replace(part, target)  # in one step: another process sees all of it or nothing
        _trim()


def _trim() -> None:
    """Remove what was not used for longest, until the rest is not more than MOST bytes."""
    with os.scandir(folder_name()) as files:
        kept = sorted((f.stat().st_mtime, f.stat().st_size, f.path) for f in files if f.name.endswith(".program"))
    over = sum(size for _, size, _ in kept) - MOST
    for _, size, path in kept:
        if over <= 0:
            break
        os.remove(path)
        over -= size


def _seal(name: str, sizes: tuple[int, ...], body: np.ndarray) -> bytes:
    """A hash of the name and of sums over every 4096 bytes: a check against damage at the speed of memory."""
    whole = len(body) // PAGE * PAGE
    sums = np.add.reduce(body[:whole].view(np.uint64).reshape(-1, PAGE // 8), axis=1)
    return digest(name.encode() + repr(sizes).encode() + sums.tobytes() + body[whole:].tobytes())


# --------------------------------------------------------------------------------------------------------------- reading
def _read(name: str, graph: Graph, shapes: Mapping[int, Shape], numerics: str, threads: int, preserve: bool) -> Template | None:
    """The template kept under a name, or None when there is none or anything is wrong with it."""
    try:
        with open(_path(name), "rb") as file:
            data = np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), np.uint8)
    except (OSError, ValueError):
        return None
    with suppress(OSError):  # a folder may be read-only
        os.utime(_path(name))  # used last
    if len(data) < HEAD.size:
        return None
    seal, *sizes = HEAD.unpack(data[: HEAD.size])
    body = data[HEAD.size :]
    if len(body) != sizes[0] + rounded(sizes[1]) + sizes[2] or _seal(name, tuple(sizes), body) != seal:
        return None
    (symbols, shared, brief, known, aliases, values, size, bound, *raw) = marshal.loads(body[: sizes[0]])
    lives, rows, places, outside, inside = (np.frombuffer(r, np.int64) for r in raw)
    addresses = {symbol: jit.kept_address(symbol) or 0 for symbol in dict.fromkeys(symbols)}
    if not all(addresses.values()):
        return None
    assert graph.origin is not None
    bases = body[sizes[0] + rounded(sizes[1]) :], graph.origin.bytes
    words = body[sizes[0] : sizes[0] + sizes[1]].view(np.int64).copy()
    for at, base in zip((outside, inside), bases):
        words[at] += abi.memory(base)
    rows = rows.reshape(-1, ROW).copy()
    rows[:, 0] = [addresses[symbol] for symbol in symbols]
    found = dict(graph.constants)
    for t, dtype, shape, place, at in values:
        kind = np.dtype(dtype)
        found[t] = bases[place][at : at + int(np.prod(shape, dtype=np.int64)) * kind.itemsize].view(kind).reshape(shape)
    plan = KeptPlan(graph, (dict(shapes), numerics, threads, preserve), known, found, aliases)
    table = lives.reshape(-1, 6).tolist()
    placement = Placement(tuple(Life(key, n, a, b, over if over >= 0 else None) for key, n, a, b, over, _ in table),
                          {row[0]: row[5] for row in table}, size, bound)
    return Template(plan, placement, rows, words, places, tuple((-1, base) for base in bases), symbols, shared, brief)
