"""MUL, DIV: a * b, a / b.

    y = clamp(a * b)      a, b, y: any shapes that broadcast, one type

Integers without scales wrap around as in C, quotients are cut off towards zero. Quantized, with s = sa * sb / sy:

    reference   MUL: y = requantize((a - za) * (b - zb)) + zy, fixed point; DIV: 1 / |b - zb| by Newton's steps in fixed
                point, times a - za, rescaled by sa / (sb * sy)
    builtin     MUL: the same, but whole vectors keep 16 bits of the product: limited (uint8 times one number: cut off),
                and zy is added without a look at overflow. DIV: as reference
    delegate    MUL: y = round_to_even(f32((a - za) * (b - zb)) * s) + zy. DIV: floats only

A divisor of zero among integers is refused before anything is written. A shift by more than 31 (output scales near
zero) counts modulo 32, as x86 does it.

Source: LiteRT tflite/kernels/mul.cc, div.cc, internal/reference/mul.h, div.h, integer_ops/mul.h,
internal/optimized/integer_ops/mul.h, optimized_ops.h; XNNPACK src/qs8-vmul.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from tinyinterp.schema import BuiltinOperator, TensorType

from .add_sub import OLD, ends, halved_away, is_plain_int16, is_quantized_int16, no_zero_points, unsigned, wrap16
from .broadcast import (
    activation,
    binary_args,
    divisor,
    elements,
    elementwise,
    five_fold,
    float_args,
    in_blocks,
    infer,
    is_8bit,
    is_float,
    is_wide,
    is_widest,
    loops,
    operands,
    plain_args,
    takes_shapes,
)
from .contract import ALL, BUILTIN, DELEGATE, REFERENCE, Arg, Call, Kernel, Op, Status
from .delegate import computes, product_ratio_within, same_type
from .fixed_point import divide_by_any_power_of_two, leading_sign_bits, reciprocal
from .machine import f32, inline, rint
from .micro import formulas, formulas_int16
from .numerics import (
    clamp,
    doubling_high_mul,
    quantize_multiplier,
    quantized_range,
    requantize_reference,
    wrap32,
)
from .runs import binary
from .weighted import BYTES

# ---------------------------------------------------------------------------------------- settled before the first run
# The numbers p of a quantized product or quotient. FACTOR stands for the multiplier in the builtin's vectors.
A_ZERO, B_ZERO, MULTIPLIER, SHIFT, Y_ZERO, LO, HI, FACTOR, LIMITED, FLIP, WHOLE = range(11)


def product_args(call: Call, params: None) -> tuple[Arg, ...]:
    no_zero_points(call)
    a, b, y = operands(call)
    multiplier, shift = quantize_multiplier(float(f32(a.scale * b.scale) / divisor(call, y)))
    lo, hi = quantized_range(activation(call), call)
    table = loops(a.shape, b.shape)
    one = bool((table[1:, 0] == 0).any())  # the innermost loop repeats one operand
    block = 16 if y.type == TensorType.INT8 else 8
    whole = int(table[0, 0]) // block * block if five_fold(table) else 0
    limited = y.type == TensorType.INT8 or not one
    factor = 0 if shift > 31 else multiplier  # vectors shift everything out
    return binary_args(call, np.array([a.zero_point, b.zero_point, multiplier, shift & 31 if shift > 31 else shift,
                                       y.zero_point, lo, hi, factor, limited, unsigned(y), whole], np.int64))


def delegate_args(call: Call, params: None) -> tuple[Arg, ...]:
    """p as float32: every number in it is exact there."""
    a, b, y = operands(call)
    lo, hi = quantized_range(activation(call), call)
    p = np.zeros(WHOLE + 1, np.float32)
    p[[A_ZERO, B_ZERO, MULTIPLIER, Y_ZERO, LO, HI]] = (a.zero_point, b.zero_point, f32(a.scale * b.scale) / y.scale,
                                                       y.zero_point, lo, hi)
    return binary_args(call, p)


def quotient_args(call: Call, params: None) -> tuple[Arg, ...]:
    a, b, y = operands(call)
    multiplier, shift = quantize_multiplier(float(a.scale / f32(divisor(call, b) * divisor(call, y))))
    lo, hi = quantized_range(activation(call), call)
    return binary_args(call, np.array([a.zero_point, b.zero_point, multiplier, shift, y.zero_point, lo, hi], np.int64))


def int32_quotient_args(call: Call, params: None) -> tuple[Arg, ...]:
    """p as for a quantized quotient, whose zero points are 0."""
    a, b, table, bounds, y = plain_args(call, params)
    assert isinstance(bounds, np.ndarray)
    return a, b, table, np.array([0, 0, 0, 0, 0, *bounds], np.int64), y


# --------------------------------------------------------------------------------------------------------- kernels
@inline
def mul_float(a: Any, b: Any, p: Any) -> Any:
    return clamp(a * b, p[0], p[1])


@inline
def div_float(a: Any, b: Any, p: Any) -> Any:
    return clamp(a / b, p[0], p[1])


@inline
def mul_int32(a: Any, b: Any, p: Any) -> Any:
    return clamp(wrap32(int(a) * int(b)), p[0], p[1])


@inline
def mul_int16(a: Any, b: Any, p: Any) -> Any:
    return clamp(wrap16(int(a) * int(b)), p[0], p[1])


@inline
def div_int32(a: Any, b: Any, p: Any) -> Any:
    """C's quotient, cut off towards zero; -2**31 / -1 wraps around."""
    high, low = abs(int(a)), abs(int(b))
    quotient = high // low
    return clamp(wrap32(quotient if (a < 0) == (b < 0) else -quotient), p[LO], p[HI])


@inline
def product_quantized(a: Any, b: Any, p: Any) -> Any:
    """The definition of MUL, reference."""
    product = (int(a) - p[A_ZERO]) * (int(b) - p[B_ZERO])
    return clamp(wrap32(requantize_reference(product, p[MULTIPLIER], p[SHIFT]) + p[Y_ZERO]), p[LO], p[HI])


@inline
def product_in_vectors(a: Any, b: Any, p: Any) -> Any:
    """MUL in the builtin's vectors: 16 bits of the product, then the zero point, wrapping."""
    product = (int(a) - p[A_ZERO]) * (int(b) - p[B_ZERO])
    y = requantize_reference(product, p[FACTOR], p[SHIFT])
    y = clamp(y, -32768, 32767) if p[LIMITED] else wrap16(y)
    return clamp(wrap16(y + p[Y_ZERO]), p[LO], p[HI])


@inline
def product_delegate(a: Any, b: Any, p: Any) -> Any:
    """The definition of MUL, delegate: clamped in float, where nothing can overflow. |product| < 2**17 is exact."""
    v = ((f32(a) - p[A_ZERO]) * (f32(b) - p[B_ZERO])) * p[MULTIPLIER]
    return int(rint(clamp(v, p[LO] - p[Y_ZERO], p[HI] - p[Y_ZERO])) + p[Y_ZERO])


@inline
def quotient_quantized(a: Any, b: Any, p: Any) -> Any:
    """The definition of DIV."""
    x, w = int(a) - p[A_ZERO], int(b) - p[B_ZERO]
    if w < 0:
        x, w = -x, -w
    inverse, bits = reciprocal(w, 31)
    room = leading_sign_bits(x)
    quotient = doubling_high_mul(wrap32(x << room), inverse)
    y = divide_by_any_power_of_two(doubling_high_mul(quotient, p[MULTIPLIER]), bits + room - p[SHIFT])
    return clamp(wrap32(y + p[Y_ZERO]), p[LO], p[HI])


def refusing_zero(element: Callable[..., Any]) -> Callable[..., int]:
    """A kernel of `elementwise` that first looks for a divisor of zero, in all of b, and then refuses."""
    divide = inline(elementwise(element))

    def run(a: Any, b: Any, table: Any, p: Any, y: Any, begin: int, end: int) -> int:
        for i in range(b.size):
            if int(b[i]) == p[B_ZERO]:
                return DIVISION_BY_ZERO | i << 8
        divide(a, b, table, p, y, begin, end)
        return 0

    return run


DIVISION_BY_ZERO = int(Status.DIVISION_BY_ZERO)


# ------------------------------------------------------------------------------------------- kernels of whole vectors
def of_product(p: Any) -> tuple[Any, ...]:
    """What the formula takes of p; it adds the zero point itself."""
    return p[A_ZERO], p[B_ZERO], p[MULTIPLIER], p[SHIFT], p[Y_ZERO], 0, p[LO], p[HI]


def of_product_int16(p: Any) -> tuple[Any, ...]:
    return p[MULTIPLIER], p[SHIFT], p[LO], p[HI]


def of_product_proved(p: Any) -> tuple[Any, ...] | None:
    return proved_product(tuple(p.tolist()))


@cache
def proved_product(p: tuple[int, ...]) -> tuple[Any, ...] | None:
    """Numbers with which one float32 rounding gives the reference's byte for every two bytes, if there are any.

    Both of the reference's roundings together add 1/2 + 2**-(right + 1) to the magnitude and cut off: to nearest of the
    product and 2**-(right + 1). The multiplier loses seven of its bits, so its neighbours are tried too.
    """
    right = -p[SHIFT]
    if not 0 <= right <= 24:
        return None
    a, b = (BYTES - p[FLIP] - p[z] for z in (A_ZERO, B_ZERO))
    product = a[:, None] * b
    y = np.clip(halved_away(doubling_high_mul(product, p[MULTIPLIER]), right) + p[Y_ZERO], p[LO], p[HI])
    scale, more = f32(math.ldexp(p[MULTIPLIER], -31 - right)), f32(math.ldexp(1, -1 - right))
    signed = np.where(product < 0, -more, more).astype(np.float64)
    for step in (0, 1, -1, 2, -2, 3, -3):
        near = (scale.view(np.int32) + np.int32(step)).view(np.float32)
        fused = (product * np.float64(near) + signed).astype(np.float32)  # no more than 53 bits before this one rounding
        if (np.clip(np.rint(fused) + p[Y_ZERO], p[LO], p[HI]) == y).all():
            return p[A_ZERO], p[B_ZERO], near, more, p[Y_ZERO], p[LO], p[HI]
    return None


def of_product_in_vectors(p: Any) -> tuple[Any, ...] | None:
    return (p[A_ZERO], p[B_ZERO], p[FACTOR], p[SHIFT], p[Y_ZERO], 0, p[LO], p[HI]) if p[LIMITED] else None


def of_product_cut_off(p: Any) -> tuple[Any, ...] | None:
    return None if p[LIMITED] else (p[A_ZERO], p[B_ZERO], p[FACTOR], p[SHIFT], p[Y_ZERO], 0, p[LO], p[HI])


def of_product_delegate(p: Any) -> tuple[Any, ...]:
    return int(p[A_ZERO]), int(p[B_ZERO]), p[MULTIPLIER], int(p[Y_ZERO]), int(p[LO]), int(p[HI])


# -------------------------------------------------------------------------------------------------------------- op
def is_quantized(call: Call) -> bool:
    return is_8bit(call) or is_quantized_int16(call)


def delegated_mul(call: Call) -> bool:
    a, b, y = operands(call)
    return (computes(a, b, y) and same_type(a, b, y) and takes_shapes(call)
            and product_ratio_within(a, b, y, 1 / 65536, 256.0))


def delegated_float(call: Call) -> bool:
    return is_float(call) and takes_shapes(call)


MUL = Op(
    code=BuiltinOperator.MUL,
    inputs=(2, 2),
    outputs=(1, 1),
    types=("float32", "int8", "uint8", "int16", "int32", "int64"),
    infer=infer,
    kernels=(
        binary("mul_float32", formulas.mul_f32, float_args, ends, ALL, is_float),
        binary("mul_8bit_delegate", formulas.product_delegate, delegate_args, of_product_delegate, frozenset({DELEGATE}),
               is_8bit),
        binary("mul_8bit_reference_float", formulas.product_away, product_args, of_product_proved, frozenset({REFERENCE}),
               is_8bit),
        binary("mul_8bit_reference", formulas.product_reference, product_args, of_product, frozenset({REFERENCE}), is_8bit),
        binary("mul_8bit_builtin", formulas.product_limited, product_args, of_product_in_vectors, frozenset({BUILTIN}), is_8bit,
               rest=(formulas.product_reference, of_product)),
        binary("mul_8bit_builtin_cut", formulas.product_cut, product_args, of_product_cut_off, frozenset({BUILTIN}), is_8bit,
               rest=(formulas.product_reference, of_product)),
        binary("mul_int16_reference", formulas_int16.product, product_args, of_product_int16, OLD, is_quantized_int16),
        Kernel("mul_float32", elementwise(mul_float), float_args, ALL, is_float, elements),
        Kernel("mul_int32", elementwise(mul_int32), plain_args, ALL, is_wide, elements),
        Kernel("mul_int64", elementwise(mul_float), plain_args, ALL, is_widest, elements),
        Kernel("mul_int16", elementwise(mul_int16), plain_args, ALL, is_plain_int16, elements),
        Kernel("mul_8bit_delegate", elementwise(product_delegate), delegate_args, frozenset({DELEGATE}), is_8bit, elements),
        Kernel("mul_8bit_builtin", in_blocks(product_in_vectors, product_quantized), product_args, frozenset({BUILTIN}),
               is_8bit, elements),
        Kernel("mul_8bit_reference", elementwise(product_quantized), product_args, frozenset({REFERENCE}), is_8bit, elements),
        Kernel("mul_int16_reference", elementwise(product_quantized), product_args, OLD, is_quantized_int16, elements),
    ),
    delegated=delegated_mul,
    spec="LiteRT tflite/kernels/mul.cc, tflite/kernels/internal/reference/integer_ops/mul.h",
)

DIV = Op(
    code=BuiltinOperator.DIV,
    inputs=(2, 2),
    outputs=(1, 1),
    types=("float32", "int8", "uint8", "int16", "int32"),
    infer=infer,
    kernels=(
        binary("div_float32", formulas.div_f32, float_args, ends, ALL, is_float),
        Kernel("div_float32", elementwise(div_float), float_args, ALL, is_float, elements),
        Kernel("div_int32", refusing_zero(div_int32), int32_quotient_args, ALL, is_wide, elements),
        Kernel("div_quantized", refusing_zero(quotient_quantized), quotient_args, OLD, is_quantized, elements),
    ),
    delegated=delegated_float,
    spec="LiteRT tflite/kernels/div.cc, tflite/kernels/internal/reference/div.h DivElementwise",
)
