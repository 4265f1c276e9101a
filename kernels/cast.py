"""CAST: the same numbers in another type.

    y[i] = x[i]

    x, y: one shape, of bool, int8, int16, int32, int64, uint8, uint16, uint32, float16, float32, float64 or complex64

Where the value does not fit:

    to bool                 whether it is not 0; a NaN is not
    integer to integer      the low bits
    float to integer        towards zero, beyond the ends the nearest end, a NaN becomes the greatest number
    to a float              to nearest even; to float16 by way of float32
    complex to others       the real part; others to complex: with 0 as the imaginary part

The types are those of the tensors: what the options say about types is not read.

Source: LiteRT tflite/kernels/cast.cc, internal/quantization_util.h (SafeCast).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinyinterp.schema import BuiltinOperator, TensorType

from . import jit
from .contract import ALL, Arg, Call, Kernel, Maker, Op, Operand, Shape, Slot
from .machine import bits, f32, from_bits, inline, u32
from .micro import formulas
from .runs import unary

HALF, COMPLEX, BOOL = TensorType.FLOAT16, TensorType.COMPLEX64, TensorType.BOOL
SINGLE, DOUBLE = TensorType.FLOAT32, TensorType.FLOAT64
INTEGERS = (TensorType.INT8, TensorType.INT16, TensorType.INT32, TensorType.INT64, TensorType.UINT8, TensorType.UINT16,
            TensorType.UINT32)
WORDS = (TensorType.INT8, TensorType.UINT8, TensorType.INT16, TensorType.INT32)
NARROW = tuple(t for t in INTEGERS if t != TensorType.INT64)


# ---------------------------------------------------------------------------------------------------------- shapes
def infer(call: Call) -> tuple[Shape]:
    return (call.input(0).shape,)


# ---------------------------------------------------------------------------------------- settled before the first run
def flat(operand: Operand) -> Slot | np.ndarray:
    """In one dimension; complex numbers as pairs of float32, halves as their bits."""
    seen: np.dtype[Any] = operand.dtype
    if operand.type in (HALF, COMPLEX):
        seen = np.dtype(np.uint16 if operand.type == HALF else np.float32)
    size = operand.size * operand.dtype.itemsize // seen.itemsize
    if operand.known is None:
        return Slot(operand.index, seen, (size,))
    known: np.ndarray = np.ascontiguousarray(operand.known).reshape(-1).view(seen)
    return known


def args(call: Call, params: None) -> tuple[Arg, ...]:
    return flat(call.input(0)), flat(call.output)


def limited_args(call: Call, params: None) -> tuple[Arg, ...]:
    """With the ends of y's type: the least, the greatest, and the power of two above that, which every float has."""
    info = np.iinfo(call.output.dtype)
    return flat(call.input(0)), float(info.min), float(int(info.max) + 1), int(info.min), int(info.max), flat(call.output)


def narrow_args(call: Call, params: None) -> tuple[Arg, ...]:
    """With the least value of y's type and a mask of its bits."""
    info = np.iinfo(call.output.dtype)
    return flat(call.input(0)), int(info.min), int(info.max) - int(info.min), flat(call.output)


def elements(call: Call) -> int:
    """Threads share the elements."""
    return call.output.size


# --------------------------------------------------------------------------------------------------------- loading
@inline
def number(x: Any, i: Any) -> Any:
    return x[i]


@inline
def truth(x: Any, i: Any) -> Any:
    return 1 if x[i] else 0


@inline
def real_part(x: Any, i: Any) -> Any:
    return x[2 * i]


@inline
def half(x: Any, i: Any) -> Any:
    """A float16 from its bits: sign, 5 bits of exponent, 10 of mantissa."""
    b = u32(x[i])
    sign, exponent, mantissa = u32((b & u32(0x8000)) << u32(16)), u32((b >> u32(10)) & u32(31)), u32(b & u32(1023))
    if exponent == u32(0):
        small = f32(mantissa) * f32(2.0**-24)
        return from_bits(u32(bits(small) | sign))
    if exponent == u32(31):
        return from_bits(u32(sign | u32(0x7F800000) | u32(mantissa << u32(13))))
    return from_bits(u32(sign | u32((exponent + u32(112)) << u32(23)) | u32(mantissa << u32(13))))


# --------------------------------------------------------------------------------------------------------- storing
@inline
def to_number(y: Any, i: Any, v: Any) -> Any:
    y[i] = v


@inline
def to_truth(y: Any, i: Any, v: Any) -> Any:
    y[i] = v != 0


@inline
def to_complex(y: Any, i: Any, v: Any) -> Any:
    y[2 * i] = v
    y[2 * i + 1] = f32(0)


@inline
def to_half(y: Any, i: Any, v: Any) -> Any:
    """The bits of the nearest float16, ties to even; NaN is 0x7e00 with its sign."""
    b = bits(f32(v))
    sign, size = u32((b >> u32(16)) & u32(0x8000)), u32(b & u32(0x7FFFFFFF))
    if size > u32(0x7F800000):
        r = u32(0x7E00)
    elif size >= u32(0x47800000):  # 2**16 and beyond
        r = u32(0x7C00)
    elif size < u32(0x38800000):  # below 2**-14: adding 1/2 leaves the rounded multiple of 2**-24 in the low bits
        r = u32(bits(from_bits(size) + f32(0.5)) - u32(0x3F000000))
    else:
        odd = u32((size >> u32(13)) & u32(1))
        r = u32((size - u32(0x38000000) + u32(0xFFF) + odd) >> u32(13))
    y[i] = u32(sign | r)


# --------------------------------------------------------------------------------------------------------- kernels
def cast(load: Callable[..., Any], store: Callable[..., Any]) -> Callable[..., None]:
    """The definition where the machine's own conversion is meant."""

    def run(x: Any, y: Any, begin: int, end: int) -> None:
        for i in range(begin, end):
            store(y, i, load(x, i))

    return run


def limited(load: Callable[..., Any]) -> Callable[..., None]:
    """The definition from floats to integers."""

    def run(x: Any, least: Any, beyond: Any, lo: int, hi: int, y: Any, begin: int, end: int) -> None:
        for i in range(begin, end):
            v = load(x, i)
            if not v < beyond:  # also a NaN
                y[i] = hi
            elif v < least:
                y[i] = lo
            else:
                y[i] = int(v)

    return run


def low_bits(x: Any, lo: int, mask: int, y: Any, begin: int, end: int) -> None:
    """The definition from integers to integers of 32 bits or fewer."""
    for i in range(begin, end):
        y[i] = ((int(x[i]) - lo) & mask) + lo


def copy_complex(x: Any, y: Any, begin: int, end: int) -> None:
    """Complex to complex."""
    for i in range(2 * begin, 2 * end):
        y[i] = x[i]


# The slices tell the compiler that no index counts from the end, and the widths are those in memory: it uses vectors.
def direct(x: Any, y: Any, begin: int, end: int) -> None:
    """Where the machine's own conversion, or the low bits, are meant: compiled only."""
    x, y = x[begin:end], y[begin:end]
    for i in range(y.size):
        y[i] = x[i]


def truths(x: Any, y: Any, begin: int, end: int) -> None:
    """To bool."""
    x, y = x[begin:end], y[begin:end]
    for i in range(y.size):
        y[i] = x[i] != 0


def of_truths(x: Any, y: Any, begin: int, end: int) -> None:
    """From bool."""
    x, y = x[begin:end], y[begin:end]
    for i in range(y.size):
        y[i] = 1 if x[i] else 0


# -------------------------------------------------------------------------------------------------------------- op
def ends(call: Call) -> tuple[int, int, int]:
    """The numbers of the formula: no zero point, and the ends of y's type."""
    info = np.iinfo(call.output.dtype)
    return 0, int(info.min), int(info.max)


def compiled(name: str, run: Callable[..., None], when: Callable[[Call], bool]) -> Maker:
    """A kernel that plain Python has no use for: its stores would not wrap."""

    def make(call: Call) -> Kernel | None:
        return None if jit.DISABLED or not when(call) else Kernel(name, run, args, split=elements)

    return make


def between(sources: tuple[TensorType, ...], targets: tuple[TensorType, ...]) -> Callable[[Call], bool]:
    """x is of one of the sources and y of one of the targets."""

    def when(call: Call) -> bool:
        return call.input(0).type in sources and call.output.type in targets

    return when


LOADS = (("number", number, (*INTEGERS, SINGLE, DOUBLE)), ("bool", truth, (BOOL,)), ("float16", half, (HALF,)),
         ("complex64", real_part, (COMPLEX,)))
FLOATS = (("float", number, (SINGLE, DOUBLE)), ("float16", half, (HALF,)), ("complex64", real_part, (COMPLEX,)))
STORES = (("number", to_number, (*INTEGERS, SINGLE, DOUBLE)), ("bool", to_truth, (BOOL,)), ("float16", to_half, (HALF,)),
          ("complex64", to_complex, (COMPLEX,)))

CAST = Op(
    code=BuiltinOperator.CAST,
    inputs=(1, 1),
    outputs=(1, 1),
    types=("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "float16", "float32", "float64", "complex64"),
    infer=infer,
    kernels=(
        compiled("cast_wrapped", direct, between(INTEGERS, NARROW)),
        unary("cast_float32", formulas.cast, ends, ALL, between((SINGLE,), WORDS)),
        compiled("cast_direct", direct, between((*INTEGERS, SINGLE, DOUBLE), (SINGLE, DOUBLE))),
        compiled("cast_widened", direct, between(INTEGERS, (TensorType.INT64,))),
        compiled("cast_truths", truths, between((*INTEGERS, SINGLE, DOUBLE), (BOOL,))),
        compiled("cast_of_truths", of_truths, between((BOOL,), (*INTEGERS, SINGLE, DOUBLE))),
        Kernel("cast_complex64_to_complex64", copy_complex, args, ALL, between((COMPLEX,), (COMPLEX,)), elements),
        Kernel("cast_integer_to_narrower", low_bits, narrow_args, ALL, between(INTEGERS, NARROW), elements),
        *(Kernel(f"cast_{x}_to_integer", limited(load), limited_args, ALL, between(sources, INTEGERS), elements)
          for x, load, sources in FLOATS),
        *(Kernel(f"cast_{x}_to_{y}", cast(load, store), args, ALL, between(sources, targets), elements)
          for x, load, sources in LOADS for y, store, targets in STORES),
    ),
    spec="LiteRT tflite/kernels/cast.cc",
)
