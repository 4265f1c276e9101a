"""The machine operations that kernels use beyond Python's own arithmetic, each with its meaning in plain Python.

A kernel calls `fma(a, b, c)` as a function. Compiled, the call becomes the LLVM instruction or the C library function
named beside it; with NUMBA_DISABLE_JIT=1 the Python body runs. Nothing here imports Numba: `jit.py` reads the marks.

libm on purpose: NumPy's float32 `exp`, `tanh` and `log` differ from the C library's in the last bit, the official
interpreter calls the C library's.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

F = TypeVar("F", bound=Callable[..., Any])
f32 = np.float32
u32 = np.uint32


def _library() -> ctypes.CDLL:
    try:
        return ctypes.CDLL("libm.so.6")
    except OSError:
        from ctypes.util import find_library  # it asks other programs: 10 ms

        return ctypes.CDLL(find_library("m"))


_libm = _library()


def inline(function: F) -> F:
    """Mark a plain function as one that kernels call: it is compiled into them."""
    function.__inline__ = True  # type: ignore[attr-defined]
    return function


def instruction(code: str, result: str, *arguments: str) -> Callable[[F], F]:
    """Mark a function whose compiled form is an LLVM intrinsic (`llvm.…`), a `bitcast`, or a C function of that name."""

    def mark(function: F) -> F:
        function.__instruction__ = (code, result, arguments)  # type: ignore[attr-defined]
        return function

    return mark


def microkernel(*arguments: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Mark a function that writes vector instructions (`micro/vectors.py`): kernels call it with these argument types.

    It exists only compiled, so a kernel that uses one has a definition beside it for plain Python.
    """

    def mark(function: Callable[..., Any]) -> Callable[..., Any]:
        function.__microkernel__ = arguments  # type: ignore[attr-defined]
        return function

    return mark


def address(x: Any) -> int:
    """Where an array's first element lies."""
    return int(x.ctypes.data)


address.__address__ = True  # type: ignore[attr-defined]


@microkernel("int64", "int64", "int64")
def copy_bytes(code: Any, target: Any, source: Any, size: Any) -> None:
    """memcpy, between addresses."""
    code.copy(target, source, size)


@microkernel("int64", "int64", "int64")
def flip_bytes(code: Any, target: Any, source: Any, size: Any) -> None:
    """memcpy with the sign bit of every byte turned over: int8 as uint8, 128 more."""
    vector = code.vector(code.I8, 32)
    with code.loop(size / 32) as i:
        code.store(code.load(source + i * 32, vector) ^ -128, target + i * 32)
    done = size / 32 * 32
    with code.loop(size - done) as i:
        code.store(code.load(source + done + i, code.I8) ^ -128, target + done + i)


@microkernel("int64", "int64", "int64")
def fill_bytes(code: Any, target: Any, byte: Any, size: Any) -> None:
    """memset, at an address."""
    code.fill(target, code.convert(byte, code.I8), size)


def _c(name: str, *types: Any) -> Any:
    function = getattr(_libm, name)
    function.restype = types[0]
    function.argtypes = types[1:]
    return function


_f, _d = ctypes.c_float, ctypes.c_double
_fmaf, _expf, _logf, _tanhf, _expm1f = (_c(n, *[_f] * k) for n, k in
                                        (("fmaf", 4), ("expf", 2), ("logf", 2), ("tanhf", 2), ("expm1f", 2)))
_sinf, _cosf, _erff, _powf, _exp = *(_c(n, _f, _f) for n in ("sinf", "cosf", "erff")), _c("powf", _f, _f, _f), _c("exp", _d, _d)


@instruction("llvm.fma.f32", "float32", "float32", "float32", "float32")
def fma(a: Any, b: Any, c: Any) -> Any:
    """a * b + c with one rounding."""
    return f32(_fmaf(a, b, c))


@instruction("bitcast", "uint32", "float32")
def bits(x: Any) -> Any:
    """The 32 bits of a float32."""
    return f32(x).view(u32)


@instruction("bitcast", "float32", "uint32")
def from_bits(b: Any) -> Any:
    """The float32 with these 32 bits."""
    return u32(b).view(f32)


@instruction("llvm.rint.f32", "float32", "float32")
def rint(x: Any) -> Any:
    """To the nearest integer, ties to even."""
    return np.rint(f32(x))


@instruction("llvm.round.f32", "float32", "float32")
def round_away(x: Any) -> Any:
    """To the nearest integer, ties away from zero."""
    y = float(x)
    return f32(np.copysign(np.floor(abs(y) + 0.5), y)) if abs(y) < 2**31 else f32(x)


@instruction("llvm.round.f64", "float64", "float64")
def round_away64(x: Any) -> Any:
    """To the nearest integer in double, ties away from zero."""
    t = np.trunc(x)
    return t + np.copysign(1.0, x) if abs(x - t) >= 0.5 else t


@instruction("llvm.sqrt.f32", "float32", "float32")
def sqrtf(x: Any) -> Any:
    """The IEEE square root."""
    return np.sqrt(f32(x))


@instruction("llvm.floor.f32", "float32", "float32")
def floorf(x: Any) -> Any:
    return np.floor(f32(x))


@instruction("expf", "float32", "float32")
def expf(x: Any) -> Any:
    """The C library's expf."""
    return f32(_expf(x))


@instruction("logf", "float32", "float32")
def logf(x: Any) -> Any:
    """The C library's logf."""
    return f32(_logf(x))


@instruction("tanhf", "float32", "float32")
def tanhf(x: Any) -> Any:
    """The C library's tanhf."""
    return f32(_tanhf(x))


@instruction("expm1f", "float32", "float32")
def expm1f(x: Any) -> Any:
    """The C library's expm1f."""
    return f32(_expm1f(x))


@instruction("powf", "float32", "float32", "float32")
def powf(x: Any, y: Any) -> Any:
    """The C library's powf."""
    return f32(_powf(x, y))


@instruction("sinf", "float32", "float32")
def sinf(x: Any) -> Any:
    """The C library's sinf."""
    return f32(_sinf(x))


@instruction("cosf", "float32", "float32")
def cosf(x: Any) -> Any:
    """The C library's cosf."""
    return f32(_cosf(x))


@instruction("erff", "float32", "float32")
def erff(x: Any) -> Any:
    """The C library's erff."""
    return f32(_erff(x))


@instruction("exp", "float64", "float64")
def exp64(x: Any) -> Any:
    """The C library's exp, in double."""
    return float(_exp(x))


# -------------------------------------------------------------------------- minimum and maximum as the machine has them
# The delegate's arithmetic: a comparison with NaN is false, so the order of the operands decides what a NaN or a zero of
# the other sign turns into, and the result is flushed as everything is that passes through an arithmetic instruction
# while denormals are off. The compiler may choose a move or an instruction for `a if a < b else b`, so it is said here.
@inline
def flush(x: Any) -> Any:
    """x, or the zero of its sign when it is denormal."""
    b = bits(x)
    return from_bits(u32(b & u32(0x80000000))) if u32(b & u32(0x7F800000)) == u32(0) else x


@inline
def xmin(a: Any, b: Any) -> Any:
    """a if a < b, else b; flushed."""
    return flush(a if a < b else b)


@inline
def xmax(a: Any, b: Any) -> Any:
    """a if a > b, else b; flushed."""
    return flush(a if a > b else b)
