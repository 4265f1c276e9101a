"""From a kernel's Python body to machine code, and back out of the cache.

A body never sees the record (`abi.py`): `_entry` writes, for one tuple of argument types, the dozen lines that read the
record and call the body, Numba compiles both together, and the object code is kept in the user's cache folder under a
hash of all that went into it. The next process loads it without Numba and without LLVM (`micro/image.py`): they are
imported only when something must be compiled.

This file and `micro/` are the only ones that name Numba or llvmlite.
"""

from __future__ import annotations

import ctypes
import inspect
import os
import sys
import time
import types as python
from _thread import RLock  # threading's own, which takes time to load
from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from importlib.machinery import PathFinder
from typing import Any

import numpy as np

from .abi import kind
from .cache import digest
from .cache import folder as folder
from .cache import read_cache as read_cache
from .cache import write_cache as write_cache
from .contract import ROOM, Arg, Kernel
from .micro import image
from .micro.cpu import LEVELS as LEVELS
from .micro.cpu import isa as isa
from .micro.cpu import level as level
from .micro.cpu import processor as processor

# The one place that names Numba's flags. fastmath never: bits would depend on the compiler. error_model numpy: x/0 is
# IEEE. No reference counting: bodies allocate nothing, so the code needs nothing from Python's runtime.
FLAGS: dict[str, Any] = {"error_model": "numpy", "boundscheck": False, "_nrt": False, "no_cpython_wrapper": True,
                         "no_cfunc_wrapper": True}
DISABLED = os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0")
ABI = "5"  # part of every cache key: raise it when the record or the entry changes


def shares(run: Callable[..., Any]) -> bool:
    """Whether the body takes `begin, end`."""
    return "begin" in inspect.signature(run).parameters


def answers(run: Callable[..., Any]) -> bool:
    """Whether the body returns a status."""
    return inspect.signature(run).return_annotation in (int, "int")


# ------------------------------------------------------------------------------------------------ the key of the cache
def fingerprint(function: Callable[..., Any]) -> str:
    """All that a compiled body depends on: its byte code, and every function and constant that it reaches."""
    numbers, reached, parts = {function: 0}, [function], []
    for one in reached:  # which grows meanwhile
        text, others = _own(one)
        for other in others:
            if other not in numbers:
                numbers[other] = len(numbers)
                reached.append(other)
        parts.append(f"{text} {[numbers[other] for other in others]}")
    return digest("\n".join(parts).encode()).hex()


@cache
def _own(function: Callable[..., Any]) -> tuple[str, tuple[Callable[..., Any], ...]]:
    """A function by itself, and the functions that it names."""
    others: list[Callable[..., Any]] = []
    parts = [repr(getattr(function, "__instruction__", ""))]
    if hasattr(function, "__microkernel__"):
        parts.append(_vocabulary())
    if not hasattr(function, "__instruction__"):
        parts.append(_text(function.__code__, others))
        parts += [f"{name} {_text(value, others)}" for name, value in sorted(_reached(function).items())]
    return digest(repr(parts).encode()).hex(), tuple(others)


def _text(value: Any, others: list[Callable[..., Any]]) -> str:
    """A value as text that is the same in every process: no addresses in it, and sets in order. Functions go to `others`."""
    if isinstance(value, python.FunctionType):
        others.append(value)
        return "function"
    if isinstance(value, python.CodeType):
        names = (value.co_varnames, value.co_names, value.co_freevars)
        return f"{value.co_code.hex()} {names} {_text(value.co_consts, others)}"
    if isinstance(value, np.ndarray):
        return f"{value.dtype} {value.shape} {digest(value.tobytes()).hex()}"
    if isinstance(value, dict):
        return repr([(repr(k), _text(v, others)) for k, v in value.items()])
    if isinstance(value, (tuple, list)):
        return repr([_text(v, others) for v in value])
    if isinstance(value, (set, frozenset)):
        return repr(sorted(_text(v, others) for v in value))
    return getattr(value, "__name__", None) or repr(value)


@lru_cache(maxsize=1)
def _vocabulary() -> str:
    """The source of `micro/`: microkernels are built by its classes, which byte code does not show."""
    micro = os.path.join(os.path.dirname(__file__), "micro")
    files = sorted(f for f in os.listdir(micro) if f.endswith(".py"))
    return digest(b"".join(_bytes(os.path.join(micro, f)) for f in files)).hex()


def _bytes(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def _reached(function: Callable[..., Any]) -> dict[str, Any]:
    """The globals and closed-over values that a function names."""
    code = function.__code__
    cells = {n: c.cell_contents for n, c in zip(code.co_freevars, function.__closure__ or ())}
    return {n: function.__globals__[n] for n in code.co_names if n in function.__globals__} | cells


@lru_cache(maxsize=1)
def machine() -> str:
    """The versions and the processor that object code belongs to."""
    text = f"{ABI} {sys.version_info[:2]} {_version('numba')} {_version('llvmlite')} {processor()[0]}"
    return digest(text.encode()).hex()


def text_key(text: str) -> str:
    """The cache key of code that this text tells apart."""
    return digest(f"{machine()} {text}".encode()).hex()[:32]


def _version(package: str) -> str:
    """What tells one version of a package from another, without importing it: importlib.metadata alone takes 40 ms."""
    found = PathFinder.find_spec(package)
    try:
        return _bytes(os.path.join(os.path.dirname(found.origin or ""), "_version.py")).decode() if found else ""
    except OSError:
        from importlib.metadata import version

        return version(package)


# ------------------------------------------------------------------------------------------------------- compiling
def _entry(run: Callable[..., Any], kinds: Sequence[str]) -> str:
    """The source of the function that reads a record and calls the body."""
    lines, names, at = ["def entry(record, thread, threads):"], [], 0
    for i, text in enumerate(kinds):
        if text.endswith("]"):
            own, (dtype, ndim) = text.startswith("own "), text.removeprefix("own ")[:-1].split("[")
            lines.append(f"    at = word(record, {at})")
            if own:
                at += 1
                lines.append(f"    at += room() if at < {ROOM} else thread * word(record, {at})")
            dims = "".join(f"word(record, {at + 1 + d}), " for d in range(int(ndim)))
            lines.append(f"    a{i} = array_{dtype}(at, ({dims}))")
            at += 1 + int(ndim)
        else:
            lines.append(f"    a{i} = {'word' if text == 'int64' else text + '_word'}(record, {at})")
            at += 1
        names.append(f"a{i}")
    if shares(run):
        lines.append(f"    units = word(record, {at})")
        names += ["units * thread // threads", "units * (thread + 1) // threads"]
    call = f"body({', '.join(names)})"
    lines += [f"    return {call}"] if answers(run) else [f"    {call}", "    return 0"]
    return "\n".join(lines)


def _numba_version(function: Callable[..., Any], made: dict[Any, Any]) -> Any:
    """The function with everything it reaches replaced by what Numba compiles: instructions, inlined helpers."""
    if function in made:
        return made[function]
    from numba import njit

    from .micro.numba_types import address_of_array, intrinsic_of, microkernel_of

    if hasattr(function, "__microkernel__"):
        made[function] = microkernel_of(function, function.__microkernel__)
        return made[function]
    if hasattr(function, "__address__"):
        return address_of_array
    if mark := getattr(function, "__instruction__", None):
        made[function] = intrinsic_of(*mark)
        return made[function]

    def swap(value: Any) -> Any:
        return _numba_version(value, made) if isinstance(value, python.FunctionType) else value

    scope = dict(function.__globals__) | {n: swap(v) for n, v in _reached(function).items() if n in function.__globals__}
    cells = tuple(python.CellType(swap(c.cell_contents)) for c in function.__closure__ or ())
    copy = python.FunctionType(function.__code__, scope, function.__name__, function.__defaults__, cells)
    made[function] = njit(forceinline=bool(getattr(function, "__inline__", False)), **FLAGS)(copy)
    return made[function]


def compile_kernel(run: Callable[..., Any], kinds: Sequence[str], symbol: str) -> bytes:
    """Object code with one function, `symbol`, of the native ABI."""
    from numba import njit, types

    from .micro.numba_types import ENTRY_SCOPE, no_machine_code

    scope: dict[str, Any] = dict(ENTRY_SCOPE()) | {"body": _numba_version(run, {})}
    exec(_entry(run, kinds), scope)
    three = (types.int64,) * 3
    entry = njit(**FLAGS)(scope["entry"])
    with no_machine_code():
        entry.compile(three)
    compiled = entry.overloads[three]
    name = compiled.fndesc.mangled_name
    wrapper = f"""
    declare i32 @{name}(ptr, ptr, i64, i64, i64)
    define i64 @{symbol}(i64 %record, i64 %thread, i64 %threads) {{
      %status = alloca i64
      %error = alloca ptr
      %ignored = call i32 @{name}(ptr %status, ptr %error, i64 %record, i64 %thread, i64 %threads)
      %value = load i64, ptr %status
      ret i64 %value
    }}"""
    return emit(compiled.library.get_llvm_str(), wrapper)


def emit(*modules: str) -> bytes:
    """LLVM assembly, linked together, as object code for this machine. Only what the last module defines can be seen from
    outside: Numba counts its names from 1 in every process, and two kernels of one name would become the first of them."""
    import llvmlite.binding as llvm

    last = llvm.parse_assembly(modules[-1])
    seen = {f.name for f in last.functions if not f.is_declaration}
    module = llvm.parse_assembly(modules[0]) if len(modules) > 1 else last
    for text in modules[1:]:
        module.link_in(llvm.parse_assembly(text))
    for value in (*module.functions, *module.global_variables):
        if not value.is_declaration and value.name not in seen:
            value.linkage = "internal"
    if image.possible():
        made = image.image_of(_target("pic", "small").emit_object(module))
        if made is not None:
            return made
    return _target().emit_object(module)  # type: ignore[no-any-return]


@cache
def _target(reloc: str = "default", codemodel: str = "jitdefault") -> Any:
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=llvm.get_host_cpu_features().flatten(), opt=3, jit=codemodel == "jitdefault",
        reloc=reloc, codemodel=codemodel)


@lru_cache(maxsize=1)
def _engine() -> Any:
    import llvmlite.binding as llvm

    target = _target()
    return llvm.create_mcjit_compiler(llvm.parse_assembly(""), target)


def load(code: bytes, symbol: str) -> int:
    """The address of `symbol` once the code is in memory; it stays there as long as the process lives."""
    if image.is_image(code):
        _symbols.update(image.place(code))
        return _symbols[symbol]
    import llvmlite.binding as llvm

    engine = _engine()
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    address = int(engine.get_function_address(symbol))
    if not address:
        raise LookupError(f"{symbol} is not in its object code")
    return address


def address_of_symbol(symbol: str) -> int:
    """The address of a function in code that is already loaded."""
    return _symbols.get(symbol) or int(_engine().get_function_address(symbol))


_addresses: dict[tuple[Any, tuple[str, ...]], tuple[str, int]] = {}
_symbols: dict[str, int] = {}
_LOCK = RLock()  # neither the compiler nor the loader takes two threads at once


def symbol_of(kernel: Kernel, args: Sequence[Arg]) -> tuple[str, int]:
    """The native function for a kernel and the types of these arguments, its name and its address: from memory, the cache
    folder, or the compiler."""
    kinds = tuple(map(kind, args))
    found = _addresses.get((kernel.run, kinds))
    if found is None:
        key = text_key(f"{fingerprint(kernel.run)} {kinds}")
        symbol = f"k_{key}"
        address = native(symbol, key, kernel.name, lambda: compile_kernel(kernel.run, kinds, symbol))
        found = _addresses[kernel.run, kinds] = symbol, address
    return found


def address_of(kernel: Kernel, args: Sequence[Arg]) -> int:
    return symbol_of(kernel, args)[1]


def kept_address(symbol: str) -> int | None:
    """The address of a kernel by its name, when it has been compiled before."""
    with _LOCK:
        if symbol not in _symbols:
            code = read_cache(symbol.removeprefix("k_"))
            try:
                _symbols[symbol] = load(code, symbol) if code is not None else 0
            except (image.NotPlaced, LookupError):
                return None
        return _symbols[symbol] or _symbols.pop(symbol)


def native(symbol: str, key: str, name: str, make: Callable[[], bytes]) -> int:
    """The address of a symbol, whose object code comes from the cache or from `make`."""
    with _LOCK:
        if symbol in _symbols:
            return _symbols[symbol]
        code = read_cache(key)
        if code is not None:
            try:
                _symbols[symbol] = load(code, symbol)
                return _symbols[symbol]
            except (image.NotPlaced, LookupError):  # made beside another C library, or for another loader
                pass
        with _progress(name):
            code = make()
        write_cache(key, code)
        _symbols[symbol] = load(code, symbol)
        return _symbols[symbol]


class _progress:
    """On a terminal, tells what is being compiled once that has taken more than half a second in all."""

    spent, count = 0.0, 0

    def __init__(self, name: str) -> None:
        self.name = name

    def __enter__(self) -> None:
        self.start = time.perf_counter()
        if _progress.spent > 0.5 and sys.stderr.isatty():
            print(f"\r\x1b[Ktinyinterp: compiling kernel {_progress.count + 1}: {self.name} (kept for next time)",
                  end="", file=sys.stderr, flush=True)

    def __exit__(self, *error: object) -> None:
        _progress.spent += time.perf_counter() - self.start
        _progress.count += 1


def spent() -> float:
    """The seconds that this process has compiled."""
    return _progress.spent


def compiled() -> int:
    """How many kernels this process has compiled; those found in the cache do not count."""
    return _progress.count


def progress_done() -> None:
    """Clear the progress line once all kernels of a model are there."""
    if _progress.spent > 0.5 and sys.stderr.isatty():
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def python_call(run: Callable[..., Any], args: Sequence[Any], units: int) -> int:
    """What the native function does, in plain Python: for NUMBA_DISABLE_JIT=1 and for stepping through a definition."""
    views = [a.view(np.uint16) if isinstance(a, np.ndarray) and a.dtype == np.float16 else a for a in args]
    with np.errstate(all="ignore"):
        result = run(*views, 0, units) if shares(run) else run(*views)
    return int(result or 0)


SIGNATURE = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p)
