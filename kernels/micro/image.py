"""Object code as an image: bytes that run wherever they are put, once the C functions they call are filled in.

    object (ELF) ── image_of ──► image ── place ──► {symbol: address}

LLVM's own loader lives in a library of 180 MB, and all it has to do is to resolve a few hundred bytes of relocations.
Kernels are compiled position independent, so nearly all of those are settled when the code is made: what one section says
about another is a difference of two positions in the image. What is left are the C functions: a call goes to a stub,
`jmp [slot]`, and the slots stand at the image's end, for `place` to fill in.

    lines    "image 1"; a line for each symbol ("at <name> <offset>"), each slot of a C function ("c <name> <offset>") and
             each word that holds the address of a place in it ("here <target> <offset>"); "code <size>"
    code     sections, stubs, slots

Objects of other machines and systems, and whatever is not understood, are no images: LLVM's loader takes those.

Source: System V Application Binary Interface, AMD64 supplement, 4.4 (relocations)
"""

from __future__ import annotations

import ctypes
import mmap
import os
import sys
from functools import cache
from struct import Struct, pack_into, unpack_from
from typing import Any

MAGIC = b"image 1\n"
_SECTION, _SYMBOL, _RELOCATION = Struct("<IIQQQQIIQQ"), Struct("<IBBHQQ"), Struct("<QQq")
_RELA, _NOBITS, _UNWIND = 4, 8, 0x70000001  # kinds of section
_WRITE, _ALLOC = 1, 2  # flags of a section
_64, _PC32, _PLT32, _PC64 = 1, 2, 4, 24  # R_X86_64_…
_THROUGH_SLOT = (9, 41, 42)  # GOTPCREL, GOTPCRELX, REX_GOTPCRELX
_STUB = b"\xff\x25\0\0\0\0\x66\x90"  # jmp [rip + distance], and a nop to fill eight bytes


class NotPlaced(RuntimeError):
    """An image that cannot run here."""


class _NotUnderstood(Exception):
    """Something in an object that has no place in an image."""


def possible() -> bool:
    """Whether this machine runs images: Linux on x86-64."""
    return sys.platform == "linux" and sys.maxsize > 2**32 and os.uname().machine == "x86_64"


def is_image(code: bytes) -> bool:
    return code.startswith(MAGIC)


# ---------------------------------------------------------------------------------------------------------- making one
def image_of(code: bytes) -> bytes | None:
    """The image of an object that was compiled position independent, or None when something in it is not understood."""
    try:
        return _Maker(code).image()
    except (_NotUnderstood, UnicodeDecodeError):
        return None


class _Maker:
    def __init__(self, code: bytes) -> None:
        self.object = code
        if code[:6] != b"\x7fELF\x02\x01" or unpack_from("<H", code, 18)[0] != 62:
            raise _NotUnderstood("not an object of x86-64")
        start, (count,) = unpack_from("<Q", code, 40)[0], unpack_from("<H", code, 60)
        self.sections = [_SECTION.unpack_from(code, start + i * _SECTION.size) for i in range(count)]
        self.offsets: dict[int, int] = {}  # section -> where it lies in the image
        self.bytes = bytearray()
        for i, (_, kind, flags, _, at, size, _, _, alignment, _) in enumerate(self.sections):
            if flags & _ALLOC and (not flags & _WRITE or self._name(i) == ".data.rel.ro") and kind != _UNWIND:
                if kind == _NOBITS:
                    raise _NotUnderstood("read-only memory without bytes")
                self._align(max(alignment, 1))
                self.offsets[i] = len(self.bytes)
                self.bytes += code[at : at + size]
        self._align(16)
        self.stubs: dict[str, int] = {}
        self.slots: dict[str | int, int] = {}  # a C function, or a place in the image -> number of its slot
        self.wanted: list[tuple[int, str, int]] = []  # places that hold the distance to a slot: position, slot, addend

    def _name(self, section: int) -> str:
        return self._text(unpack_from("<H", self.object, 62)[0], self.sections[section][0])

    def _align(self, to: int) -> None:
        if to > mmap.PAGESIZE:
            raise _NotUnderstood("an alignment beyond a page")
        self.bytes += bytes(-len(self.bytes) % to)

    def image(self) -> bytes:
        named, places = {}, []  # places that hold an address in the image
        fixes: list[tuple[int, int, str | int, int]] = []
        for entry in self.sections:
            kind, at, size, link, target = entry[1], entry[4], entry[5], entry[6], entry[7]
            if kind == 9:
                raise _NotUnderstood("relocations without addends")
            if kind == _RELA and target in self.offsets:
                for offset, info, addend in _RELOCATION.iter_unpack(self.object[at : at + size]):
                    fixes.append((self.offsets[target] + offset, info & 0xFFFFFFFF, self._symbol(link, info >> 32), addend))
            if kind == 2:
                for i in range(size // _SYMBOL.size):
                    name, about, _, section, value, _ = _SYMBOL.unpack_from(self.object, at + i * _SYMBOL.size)
                    if about >> 4 and section in self.offsets:  # not local
                        named[self._text(link, name)] = self.offsets[section] + value
        for c in dict.fromkeys(s for _, kind, s, _ in fixes if isinstance(s, str) and kind not in _THROUGH_SLOT):
            self.stubs[c] = len(self.bytes)
            self.bytes += _STUB
            self._slot(c)
        for _, kind, symbol, _ in fixes:
            if kind in _THROUGH_SLOT:
                self._slot(symbol)
        first = len(self.bytes)
        self.bytes += bytes(8 * len(self.slots))
        for c, stub in self.stubs.items():
            pack_into("<i", self.bytes, stub + 2, first + 8 * self.slots[c] - (stub + 6))
        for at, kind, symbol, addend in fixes:
            if kind in _THROUGH_SLOT:
                pack_into("<i", self.bytes, at, first + 8 * self.slots[symbol] + addend - at)
            elif kind in (_PC32, _PLT32, _PC64):
                value = (self.stubs[symbol] if isinstance(symbol, str) else symbol) + addend - at
                pack_into("<q" if kind == _PC64 else "<i", self.bytes, at, value)
            elif kind == _64 and not isinstance(symbol, str):
                places.append(f"here {symbol + addend} {at}")
            else:
                raise _NotUnderstood(f"a relocation of kind {kind}")
        lines = [f"at {name} {offset}" for name, offset in named.items()]
        for symbol, number in self.slots.items():
            lines.append(f"{'c' if isinstance(symbol, str) else 'here'} {symbol} {first + 8 * number}")
        return MAGIC + "\n".join([*lines, *places, f"code {len(self.bytes)}\n"]).encode() + bytes(self.bytes)

    def _slot(self, symbol: str | int) -> None:
        if isinstance(symbol, str) and not _c_function(symbol):
            raise _NotUnderstood(f"no C function {symbol}")
        self.slots.setdefault(symbol, len(self.slots))

    def _symbol(self, table: int, number: int) -> str | int:
        """The name of a C function, or a position in the image."""
        name, about, _, section, value, _ = _SYMBOL.unpack_from(self.object, self.sections[table][4] + number * _SYMBOL.size)
        if section == 0 and about & 15 != 6:  # 6: of a thread
            return self._text(self.sections[table][6], name)
        if section not in self.offsets:
            raise _NotUnderstood("a symbol in memory that is written to")
        return int(self.offsets[section] + value)

    def _text(self, table: int, offset: int) -> str:
        start = self.sections[table][4] + offset
        return self.object[start : self.object.index(b"\0", start)].decode()


# ------------------------------------------------------------------------------------------------------------- running
@cache
def _c_library() -> list[Any]:
    found = [ctypes.CDLL(None)]
    for name in ("libm.so.6", "libc.so.6"):
        try:
            found.append(ctypes.CDLL(name))
        except OSError:
            pass
    return found


@cache
def _c_function(name: str) -> int:
    """The address of a C function, 0 when there is none."""
    for library in _c_library():
        try:
            return ctypes.cast(getattr(library, name), ctypes.c_void_p).value or 0
        except AttributeError:
            pass
    return 0


_placed: list[Any] = []  # memory of images: it stays as long as the process lives


def place(image: bytes) -> dict[str, int]:
    """Put an image into memory that may be executed: its symbols' addresses. Raises: NotPlaced."""
    slots: list[tuple[str, str, int]] = []
    symbols: dict[str, int] = {}
    at = len(MAGIC)
    while True:
        end = image.index(b"\n", at)
        words = image[at:end].decode().split(" ")
        at = end + 1
        if words[0] == "code":
            break
        if words[0] == "at":
            symbols[words[1]] = int(words[2])
        else:
            slots.append((words[0], words[1], int(words[2])))
    size = int(words[1])
    try:
        memory = mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, mmap.PROT_READ | mmap.PROT_WRITE)
    except OSError as error:
        raise NotPlaced("no memory for code") from error
    memory[:] = image[at : at + size]
    base = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    for kind, target, offset in slots:
        address = _c_function(target) if kind == "c" else base + int(target)
        if not address:
            raise NotPlaced(f"there is no C function {target}")
        pack_into("<Q", memory, offset, address)
    protect = _c_library()[0].mprotect
    protect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    if protect(base, size, mmap.PROT_READ | mmap.PROT_EXEC):
        raise NotPlaced("the system gives no memory that may be executed")
    _placed.append(memory)
    return {name: base + offset for name, offset in symbols.items()}
