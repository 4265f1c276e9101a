"""SOFTMAX: numbers along the last axis become shares of one.

    y[r, c] = exp(beta * (x[r, c] - m)) / sum over j of exp(beta * (x[r, j] - m)),    m = max over j of x[r, j]

    x, y: any shape, seen as [R, C]

Float32, three exponentials and three orders of one sum:

    reference   the C library's expf; one sum in order; a division for each element
    delegate    (beta = 1) a polynomial with fused steps; partial sums in 16 lanes on AVX-512, in 8 below; times 1 / sum
    builtin     (another beta) Eigen: groups of four neighbours in memory by a polynomial, the odd ones by expf; partial
                sums in 4 lanes from the first multiple of four on; times 1 / sum

8 bits in: reference, fixed-point numbers only; builtin, also where the delegate is on since that refuses 8 bits, a table
of the 256 exponentials that a difference of two bytes can have, and a float sum. 16 bits in: two interpolated tables of
int16, the same in all three.

Source: LiteRT tflite/kernels/activations.cc, internal/reference/softmax.h, internal/optimized/optimized_ops.h (Softmax);
Eigen Core/Redux.h, pexp_float; XNNPACK src/f32-raddstoreexpminusmax (rr2_p5), src/operators/softmax-nc.c.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, cast

import numpy as np

from tinyinterp.errors import QuantError
from tinyinterp.schema import BuiltinOperator, TensorType

from . import jit
from .contract import ALL, BUILTIN, DELEGATE, REFERENCE, Arg, Call, Kernel, Op, Scratch, Shape
from .delegate import shaped
from .fixed_point import exp_on_negative_values
from .float_math import HALF, LOG2E, ONE, ZERO, C
from .lanes import REGISTERS, sum_of_exponentials
from .lut import round_half_away
from .machine import bits, expf, f32, fma, from_bits, inline, u32
from .numerics import divide_by_power_of_two, doubling_high_mul, quantize_multiplier, type_range, wrap32
from .runs import byte_lanes, words
from .softmax_builtin import softmax_float_builtin
from .softmax_integer import softmax_8bit_by_tables, softmax_8bit_reference, softmax_int16, softmax_table
from .softmax_rows import pairs_of_bytes, rows_of_bytes, rows_of_floats, short_rows_of_bytes


# ---------------------------------------------------------------------------------------------------------- shapes
def infer(call: Call) -> tuple[Shape]:
    x = call.input(0)
    call.need(len(x.shape) >= 1, "x is a scalar, needs at least one dimension")
    return (x.shape,)


# ---------------------------------------------------------------------------------------- settled before the first run
def matrices(call: Call) -> tuple[Any, Any]:
    """x and y as [R, C]; nothing to do is [0, 1]."""
    x = call.input(0)
    shape = (x.size // x.shape[-1], x.shape[-1]) if x.size else (0, 1)
    return x.view(*shape), call.output.view(*shape)


def depth(call: Call) -> int:
    """How many numbers share one."""
    return call.input(0).shape[-1]


def rows(call: Call) -> int:
    """Threads share the rows."""
    return call.input(0).size // depth(call) if call.input(0).size else 0


def float_args(call: Call, params: None) -> tuple[Arg, ...]:
    x, y = matrices(call)
    return x, f32(call.options.beta), y


def builtin_args(call: Call, params: None) -> tuple[Arg, ...]:
    """With the number of stretches of rows that the official kernel would share among its threads: groups of four do
    not reach over their ends."""
    x, y, size = call.input(0), call.output, call.input(0).size
    return x.view(size), depth(call), f32(call.options.beta), max(1, min(rows(call) // 8, call.threads)), y.view(size)


def delegate_args(call: Call, params: None) -> tuple[Arg, ...]:
    size = call.input(0).size
    return call.input(0).view(size), depth(call), REGISTERS, call.output.view(size)


def output_near(call: Call, scale: float, zero_point: int) -> None:
    """Raises: QuantError unless the output's scale and zero point are the ones that shares of one are given."""
    y = call.output
    if y.zero_point != zero_point or not abs(float(y.scale) - scale) <= 0.001 * scale:
        raise QuantError(f"{call.place}: output scale {y.scale} and zero point {y.zero_point} must be {scale} and {zero_point}")


def reference_args(call: Call, params: None) -> tuple[Arg, ...]:
    """The step of x, times beta, as a Q5 multiplier; differences beyond `farthest` count as minus infinity."""
    x, y = matrices(call)
    if call.output.type == TensorType.INT8:
        output_near(call, 1 / 256, -128)
    real = min(float(f32(call.options.beta)) * float(call.input(0).scale) * (1 << 26), 2**31 - 1.0)
    if not real > 1:
        raise QuantError(f"{call.place}: beta * scale = {real / (1 << 26)} is not above 2**-26")
    multiplier, shift = quantize_multiplier(real)
    farthest = -math.floor(31 * (1 << 26) / (1 << shift))
    lo, hi = type_range(call.output)
    return x, multiplier, shift, farthest, 16 if call.output.type == TensorType.INT16 else 8, lo, hi, y


def reference_tables(call: Call, params: None) -> tuple[Any, ...]:
    """For a distance of 0 to 255 from the greatest: its exponential in Q0, and in Q12; beyond `farthest` both are 0, which
    share nothing."""
    x, multiplier, shift, farthest, width, lo, hi, y = cast("tuple[Any, ...]", reference_args(call, params))
    exps = np.zeros((2, 256), np.int64)
    for d in range(min(255, -farthest) + 1):
        e = exp_on_negative_values(doubling_high_mul(wrap32(-d << shift), multiplier))
        exps[:, d] = e, divide_by_power_of_two(e, 12)
    return x, exps, width, lo, hi, y


def table_args(call: Call, params: None) -> tuple[Any, ...]:
    """The table: exp(-beta * scale * d) for a difference d of 0 to 255."""
    x, y = matrices(call)
    if call.output.type == TensorType.INT8:
        output_near(call, 1 / 256, -128)
    step = f32(-call.input(0).scale * f32(call.options.beta))
    table = np.array([expf(v) for v in step * np.arange(256, dtype=np.float32)], np.float32)
    zero = 0 if call.output.type == TensorType.UINT8 else call.output.zero_point
    return x, table, call.output.scale, zero, *type_range(call.output), y


def vector_args(call: Call, params: None) -> tuple[Arg, ...]:
    size = call.input(0).size
    return call.input(0).view(size), depth(call), call.output.view(size)


def byte_args(call: Call, params: None) -> tuple[Arg, ...]:
    """The same with its numbers as words, and 256 bytes."""
    x, table, *numbers, y = table_args(call, params)
    return x, table, words(numbers), Scratch(np.dtype(np.uint8), (256,)), y


def short_args(call: Call, params: None) -> tuple[Arg, ...]:
    """The same with room for the exponentials of a row in each lane, and a vector more."""
    x, table, p, _, y = byte_args(call, params)
    return x, table, p, Scratch(np.dtype(np.float32), (depth(call) + 1, byte_lanes()[0])), y


def pair_args(call: Call, params: None) -> tuple[Arg, ...]:
    """The definition's answers for each distance of two bytes: of the greater, then of the other, [2, 256]."""
    if call.numerics == REFERENCE:
        x, exps, width, lo, hi, y = reference_tables(call, params)
        answers = np.zeros((256, 2), call.output.dtype)
        softmax_8bit_by_tables(np.stack((np.arange(256), np.zeros(256, int)), axis=1), exps, width, lo, hi, answers, 0, 256)
        return x, np.ascontiguousarray(answers.T), y
    x, table, scale, zero, lo, hi, y = table_args(call, params)
    with np.errstate(all="ignore"):
        inverse = ONE / ((table[0] + table) * scale)
        p = np.stack((table[0] * inverse, table * inverse))
        p[~(p < f32(2147483648.0))] = -2147483648.0
        whole = np.trunc(p + HALF) if call.output.type == TensorType.UINT8 else round_half_away(p)
        return x, np.clip(whole.astype(np.int64) + zero, lo, hi).astype(call.output.dtype), y


def interpolated(function: Callable[[float], float], least: float, step: float) -> np.ndarray:
    """[513] int16: a function of [least, least + 65535 * step] to [-1, 1], each sample moved by half of the error that a
    straight line to the next one has in the middle."""
    def away(v: float) -> float:
        return math.copysign(math.floor(abs(v) + 0.5), v)

    start, stop = step * least, step * (least + 65535)
    width, up = (stop - start) / 512, 65536 / (2.0 / 65535 * 32767 - 2.0 / 65535 * -32768)
    table = []
    for i in range(512):
        here, middle, after = (function(start + i * width), function(start + i * width + width / 2),
                               function(start + (i + 1) * width))
        error = away((after * up + away(here * up)) / 2) - away(middle * up)
        table.append(min(max(away(here * up) - away(error / 2), -32768.0), 32767.0))
    return np.array([*table, min(max(away(function(stop) * up), -32768.0), 32767.0)], np.int16)


def int16_args(call: Call, params: None) -> tuple[Arg, ...]:
    """Tables of exp on [-10, 0] and of 1 / (1 + x) on [0, 1]; the step of x, times beta, in 65535ths of 10."""
    x, y = matrices(call)
    output_near(call, 1 / 32768, 0)
    if call.input(0).zero_point != 0:
        raise QuantError(f"{call.place}: zero point {call.input(0).zero_point} of int16 must be 0")
    exps = interpolated(math.exp, -65535, 10.0 / 65535)
    inverses = interpolated(lambda v: 1.0 / (1.0 + v), 0, 1.0 / 65535)
    multiplier, shift = quantize_multiplier(float(f32(call.input(0).scale * f32(call.options.beta))) / (10.0 / 65535.0))
    return x, exps, inverses, multiplier, min(shift, 31), y


# ----------------------------------------------------------------------------------------------- float32, reference
LOWEST = f32(-3.4028234663852886e38)


def softmax_float_reference(x: Any, beta: Any, y: Any, begin: int, end: int) -> None:
    """The definition, reference order."""
    for r in range(begin, end):
        m = LOWEST
        for c in range(x.shape[1]):
            m = x[r, c] if m < x[r, c] else m
        total = f32(0)
        for c in range(x.shape[1]):
            y[r, c] = expf((x[r, c] - m) * beta)
            total = total + y[r, c]
        for c in range(x.shape[1]):
            y[r, c] = y[r, c] / total


# ------------------------------------------------------------------------------------------------ float32, delegate
P5_MAGIC = C("0x1.8000FEp+23")
LN2_HI, LN2_LO = C("-0x1.62E400p-1"), C("-0x1.7F7D1Cp-20")
P5_C5, P5_C4, P5_C3, P5_C2, P5_C1 = (C("0x1.0F9F9Cp-7"), C("0x1.573A1Ap-5"), C("0x1.555A80p-3"), C("0x1.FFFDC6p-2"),
                                     C("0x1.FFFFF6p-1"))
P5_LEAST = C("-0x1.5D589Ep+6")  # below it the result would be denormal


@inline
def exp_below_zero(x: Any) -> Any:
    """The delegate's e**x for x <= 0: x = n * ln 2 + t, 2**n times a polynomial of t."""
    n = fma(x, LOG2E, P5_MAGIC)
    scale = from_bits(u32(bits(n) << u32(23)))
    n = n - P5_MAGIC
    t = fma(n, LN2_LO, fma(n, LN2_HI, x))
    p = fma(fma(fma(fma(P5_C5, t, P5_C4), t, P5_C3), t, P5_C2), t, P5_C1)
    return ZERO if x < P5_LEAST else fma(t * scale, p, scale)


def softmax_float_delegate(sum_of: Callable[..., Any]) -> Callable[..., None]:
    """The definition, delegate order, with one of the ways to add up a row. A NaN in a row spoils all of it."""

    def run(x: Any, depth: int, v: Any, y: Any, begin: int, end: int) -> None:
        for r in range(begin, end):
            first = r * depth
            m = x[first]
            for i in range(first, first + depth):
                m = x[i] if x[i] > m else m
            for i in range(first, first + depth):
                y[i] = exp_below_zero(x[i] - m)
            share = ONE / sum_of(y, first, depth, v)
            for i in range(first, first + depth):
                y[i] = y[i] * share

    return run


softmax_float_avx512 = softmax_float_delegate(sum_of_exponentials(16))
softmax_float_avx2 = softmax_float_delegate(sum_of_exponentials(8))


# -------------------------------------------------------------------------------------------------------------- op
def is_float(call: Call) -> bool:
    return call.input(0).type == call.output.type == TensorType.FLOAT32


def is_float_avx512(call: Call) -> bool:
    return is_float(call) and jit.isa() == "avx512"


def without_avx512(call: Call) -> bool:
    return is_float(call) and jit.isa() != "avx512"


def float_rows(call: Call) -> Kernel | None:
    """Whole vectors, where there is a compiler for them."""
    lanes = 16 if jit.isa() == "avx512" else 8
    if call.numerics != DELEGATE or not is_float(call) or not rows(call) or jit.DISABLED:
        return None
    return Kernel(f"softmax_float32_delegate_{lanes}_{jit.isa()}", rows_of_floats(lanes), vector_args, split=rows, in_place=True)


SHORT, MIDDLE = 16, 32  # a few rows below SHORT are faster in plain loops; many up to MIDDLE side by side


def byte_rows(call: Call) -> Kernel | None:
    """8 bits to the same type: pairs, and in the builtin's numerics all rows."""
    if call.numerics == DELEGATE or not from_8bit(call) or call.output.type != call.input(0).type or not rows(call):
        return None
    if jit.DISABLED or jit.level() == "portable":
        return None
    lanes, at_once = byte_lanes()
    signed, name = call.output.type == TensorType.INT8, f"softmax_{call.output.dtype}_{call.numerics}"
    if depth(call) == 2 and (at_once or rows(call) >= 128) and (call.numerics == BUILTIN or rows(call) >= 256):
        run = pairs_of_bytes(4 * lanes, at_once, signed)
        return Kernel(f"{name}_pairs_{4 * lanes}_{jit.isa()}", run, pair_args, split=rows, in_place=True)
    if call.numerics == REFERENCE:
        return None
    if 4 <= depth(call) <= MIDDLE and rows(call) >= lanes // 4:
        run = short_rows_of_bytes(lanes, signed, not signed)
        return Kernel(f"{name}_rows_{lanes}_{jit.isa()}", run, short_args, split=rows, in_place=True)
    if depth(call) < SHORT:
        return None
    run = rows_of_bytes(lanes, at_once, signed, not signed)
    return Kernel(f"{name}_table_{4 * lanes}_{jit.isa()}", run, byte_args, split=rows, in_place=True)


def from_8bit(call: Call) -> bool:
    """int8 or uint8 to the same or to int16."""
    x, y = call.input(0).type, call.output.type
    return x in (TensorType.INT8, TensorType.UINT8) and y in (x, TensorType.INT16)


def repeats(call: Call) -> bool:
    """There are more elements than distances."""
    return from_8bit(call) and call.input(0).size > 256


def to_uint8(call: Call) -> bool:
    return from_8bit(call) and call.output.type == TensorType.UINT8


def is_int16(call: Call) -> bool:
    return call.input(0).type == call.output.type == TensorType.INT16


def delegated(call: Call) -> bool:
    return is_float(call) and call.options.beta == 1 and shaped(call.input(0), 1, 6)


SOFTMAX = Op(
    code=BuiltinOperator.SOFTMAX,
    inputs=(1, 1),
    outputs=(1, 1),
    types=("float32", "int8", "uint8", "int16", "int8->int16", "uint8->int16"),
    infer=infer,
    kernels=(
        Kernel("softmax_float32_reference", softmax_float_reference, float_args, frozenset({REFERENCE}), is_float, rows),
        float_rows,
        byte_rows,
        Kernel("softmax_float32_delegate_avx512", softmax_float_avx512, delegate_args, frozenset({DELEGATE}),
               is_float_avx512, rows),
        Kernel("softmax_float32_delegate_avx2", softmax_float_avx2, delegate_args, frozenset({DELEGATE}), without_avx512, rows),
        Kernel("softmax_float32_builtin", softmax_float_builtin, builtin_args, frozenset({BUILTIN}), is_float, rows),
        Kernel("softmax_8bit_reference_tables", softmax_8bit_by_tables, reference_tables, frozenset({REFERENCE}), repeats, rows),
        Kernel("softmax_8bit_reference", softmax_8bit_reference, reference_args, frozenset({REFERENCE}), from_8bit, rows),
        Kernel("softmax_uint8_table", softmax_table(True), table_args, frozenset({BUILTIN}), to_uint8, rows),
        Kernel("softmax_8bit_table", softmax_table(False), table_args, frozenset({BUILTIN}), from_8bit, rows),
        Kernel("softmax_int16", softmax_int16, int16_args, ALL, is_int16, rows),
    ),
    delegated=delegated,
    spec="LiteRT tflite/kernels/activations.cc Softmax…, tflite/kernels/internal/reference/softmax.h",
)
