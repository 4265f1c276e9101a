"""ADD, SUB: a + b, a - b.

    y = clamp(a + b)      a, b, y: any shapes that broadcast, one type

Integers without scales wrap around as in C. Quantized, both operands are first brought to a common scale, finely divided
(2**20 steps for 8 bits, 2**15 for 16), and the sum is brought to the output's:

    reference   x = round(x0 * 2**20 * sx / (2 max(sa, sb))),  y = round((a' + b') * 2 max(sa, sb) / (2**20 * sy)) + zy
    builtin     ADD: the same, but whole vectors round each operand once or not at all, and the sum loses all but its 16
                low bits before zy is added. SUB: as reference
    delegate    y = ((a * ma + b * mb + bias) >> shift) + zy, one rounding, m = round(2**shift * sx / sy)

int16 has zero points 0. When all its scales are powers of two (and the operator says so) one operand is shifted instead.

Source: LiteRT tflite/kernels/add.cc, sub.cc, internal/reference/integer_ops/add.h, internal/optimized/integer_ops/add.h,
internal/optimized/optimized_ops.h; XNNPACK src/qs8-vadd, src/microparams-init.c.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from tinyinterp.errors import QuantError
from tinyinterp.schema import BuiltinOperator, TensorType

from .broadcast import (
    activation,
    below_one,
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
from .contract import ALL, BUILTIN, DELEGATE, REFERENCE, Arg, Call, Kernel, Maker, Op, Operand
from .delegate import computes, ratio_within, same_type
from .fixed_point import divide_by_any_power_of_two
from .machine import f32, inline
from .micro import formulas, formulas_int16
from .numerics import clamp, divide_by_power_of_two, doubling_high_mul, quantize_multiplier, quantized_range, wrap32
from .runs import binary
from .weighted import BYTES, in_parts, proved, weighted

OLD = frozenset({REFERENCE, BUILTIN})
Element = Callable[..., Any]

# ---------------------------------------------------------------------------------------- settled before the first run
# The numbers p of a quantized sum. FLIP: what makes a byte unsigned.
(A_ZERO, B_ZERO, A_MULTIPLIER, B_MULTIPLIER, A_SHIFT, B_SHIFT, FINE, Y_MULTIPLIER, Y_SHIFT, Y_ZERO, LO, HI, ONCE, FLIP,
 WHOLE) = range(15)
# … and of the delegate's: bias and the operands' multipliers in place of zero points and scales.
BIAS, A_FACTOR, B_FACTOR, SHIFT = range(4)


def is_power_of_two(scale: np.float32) -> tuple[bool, int]:
    """Whether a scale counts as 2**n, and n."""
    log = f32(f32(math.log(scale)) * (f32(1) / f32(math.log(2.0)))) if scale > 0 else f32(0)
    n = int(np.copysign(np.floor(abs(log) + f32(0.5)), log))
    return bool(scale > 0 and abs(log - f32(n)) < f32(1e-3)), n


def is_shifted(call: Call) -> bool:
    """int16 with three scales that are powers of two, and an operator that says so."""
    return (is_quantized_int16(call) and call.options.pot_scale_int16
            and all(is_power_of_two(o.scale)[0] for o in operands(call)))


def no_zero_points(call: Call) -> None:
    """int16 is symmetric. Raises: QuantError."""
    if call.output.type == TensorType.INT16 and any(o.zero_point for o in operands(call)):
        raise QuantError(f"{call.place}: int16 operands need zero point 0, have {[o.zero_point for o in operands(call)]}")


def unsigned(y: Operand) -> int:
    return 128 if y.type == TensorType.INT8 else 0


def sum_args(call: Call, params: None) -> tuple[Arg, ...]:
    no_zero_points(call)
    a, b, y = operands(call)
    fine = 15 if y.type == TensorType.INT16 else 20
    most = float(f32(2) * max(a.scale, b.scale))
    am, shift_a = quantize_multiplier(below_one(call, float(a.scale), most))
    bm, shift_b = quantize_multiplier(below_one(call, float(b.scale), most))
    steps = float(f32(1 << fine) * divisor(call, y))
    if call.operator.code != BuiltinOperator.SUB or most <= steps or (y.type == TensorType.INT16 and call.numerics == BUILTIN):
        below_one(call, most, steps)  # SUB lets it pass, but of int16 the builtin's answer depends on its compiler
    ym, shift_y = quantize_multiplier(most / steps)
    lo, hi = quantized_range(activation(call), call)
    table = loops(a.shape, b.shape)
    one = bool((table[1:, 0] == 0).any())  # the innermost loop repeats one operand
    once = y.type == TensorType.INT16 or (y.type == TensorType.INT8 and not one)
    block = 16 if once else 8
    vectors = five_fold(table) if y.type != TensorType.INT16 else table.shape[1] == 1 and not one
    whole = int(table[0, 0]) // block * block if vectors else 0
    return binary_args(call, np.array([a.zero_point, b.zero_point, am, bm, shift_a, shift_b, fine, ym, shift_y,
                                       y.zero_point, lo, hi, once, unsigned(y), whole], np.int64))


def delegate_args(call: Call, params: None) -> tuple[Arg, ...]:
    a, b, y = operands(call)
    ra, rb = f32(a.scale / y.scale), f32(b.scale / y.scale)
    shift = 20 - (math.frexp(max(ra, rb))[1] - 1)
    am, bm = (int(np.rint(math.ldexp(r, shift))) for r in (ra, rb))
    if call.operator.code == BuiltinOperator.SUB:
        bm = -bm
    bias = (1 << (shift - 1)) - am * a.zero_point - bm * b.zero_point
    lo, hi = quantized_range(activation(call), call)
    p = np.zeros(WHOLE + 1, np.int64)
    p[[BIAS, A_FACTOR, B_FACTOR, SHIFT, Y_ZERO, LO, HI, FLIP]] = bias, am, bm, shift, y.zero_point, lo, hi, unsigned(y)
    return binary_args(call, p)


def shifted_args(call: Call, params: None) -> tuple[Arg, ...]:
    """One operand is shifted right to the other's scale, which must be the output's. Raises: QuantError."""
    no_zero_points(call)
    n = [is_power_of_two(o.scale)[1] for o in operands(call)]
    right_a, right_b = n[2] - n[0], n[2] - n[1]
    if min(right_a, right_b) != 0 or max(right_a, right_b) > 31:
        raise QuantError(f"{call.place}: int16 scales 2**{n[0]} and 2**{n[1]} must not be above the output's 2**{n[2]}, "
                         "and one of them must equal it")
    lo, hi = quantized_range(activation(call), call)
    p = np.zeros(WHOLE + 1, np.int64)
    p[[A_SHIFT, B_SHIFT, LO, HI]] = right_a, right_b, lo, hi
    return binary_args(call, p)


# --------------------------------------------------------------------------------------------------------- kernels
@inline
def add_float(a: Any, b: Any, p: Any) -> Any:
    return clamp(a + b, p[0], p[1])


@inline
def sub_float(a: Any, b: Any, p: Any) -> Any:
    return clamp(a - b, p[0], p[1])


@inline
def add_int32(a: Any, b: Any, p: Any) -> Any:
    return clamp(wrap32(int(a) + int(b)), p[0], p[1])


@inline
def sub_int32(a: Any, b: Any, p: Any) -> Any:
    return clamp(wrap32(int(a) - int(b)), p[0], p[1])


@inline
def wrap16(x: Any) -> Any:
    """The low 16 bits of an integer, signed."""
    return ((x + 32768) & 65535) - 32768


@inline
def add_int16(a: Any, b: Any, p: Any) -> Any:
    return clamp(wrap16(int(a) + int(b)), p[0], p[1])


@inline
def on_common_scale(x: Any, zero: Any, multiplier: Any, shift: Any, fine: Any) -> Any:
    """The reference's: x - zero in fine steps of the common scale, rounded twice."""
    return divide_by_power_of_two(doubling_high_mul((int(x) - zero) << fine, multiplier), -shift)


@inline
def sum_quantized(a: Any, b: Any, p: Any) -> Any:
    """The definition of ADD, reference."""
    x = on_common_scale(a, p[A_ZERO], p[A_MULTIPLIER], p[A_SHIFT], p[FINE])
    w = on_common_scale(b, p[B_ZERO], p[B_MULTIPLIER], p[B_SHIFT], p[FINE])
    y = divide_by_power_of_two(doubling_high_mul(x + w, p[Y_MULTIPLIER]), -p[Y_SHIFT])
    return clamp(y + p[Y_ZERO], p[LO], p[HI])


@inline
def difference_quantized(a: Any, b: Any, p: Any) -> Any:
    """The definition of SUB, reference. Its last shift may be one to the left, which no official kernel carries out."""
    x = on_common_scale(a, p[A_ZERO], p[A_MULTIPLIER], p[A_SHIFT], p[FINE])
    w = on_common_scale(b, p[B_ZERO], p[B_MULTIPLIER], p[B_SHIFT], p[FINE])
    y = divide_by_any_power_of_two(doubling_high_mul(x - w, p[Y_MULTIPLIER]), -p[Y_SHIFT])
    return clamp(wrap32(y + p[Y_ZERO]), p[LO], p[HI])


@inline
def on_common_scale_in_vectors(x: Any, zero: Any, multiplier: Any, shift: Any, fine: Any, once: Any) -> Any:
    """The builtin's vectors: both shifts at once before the product, or the second one after it, cut off."""
    left = fine + (shift if once else 0)
    x = int(x) - zero
    high = doubling_high_mul(x << left if left >= 0 else x >> -left, multiplier)
    return high if once else high >> -shift


@inline
def sum_in_vectors(a: Any, b: Any, p: Any) -> Any:
    """ADD in the builtin's vectors, before the sum is narrowed."""
    x = on_common_scale_in_vectors(a, p[A_ZERO], p[A_MULTIPLIER], p[A_SHIFT], p[FINE], p[ONCE])
    w = on_common_scale_in_vectors(b, p[B_ZERO], p[B_MULTIPLIER], p[B_SHIFT], p[FINE], p[ONCE])
    return divide_by_power_of_two(doubling_high_mul(x + w, p[Y_MULTIPLIER]), -p[Y_SHIFT])


@inline
def sum_in_vectors_8bit(a: Any, b: Any, p: Any) -> Any:
    """The sum is cut to 16 bits before the zero point is added: beyond 32767 output steps it turns around."""
    return clamp(wrap16(wrap16(sum_in_vectors(a, b, p)) + p[Y_ZERO]), p[LO], p[HI])


@inline
def sum_in_vectors_int16(a: Any, b: Any, p: Any) -> Any:
    return clamp(sum_in_vectors(a, b, p) + p[Y_ZERO], p[LO], p[HI])


@inline
def sum_delegate(a: Any, b: Any, p: Any) -> Any:
    """The definition of both, delegate; the difference is a sum with a negative multiplier."""
    y = (p[BIAS] + int(a) * p[A_FACTOR] + int(b) * p[B_FACTOR]) >> p[SHIFT]
    return clamp(clamp(y, -32768, 32767) + p[Y_ZERO], p[LO], p[HI])


@inline
def sum_shifted(a: Any, b: Any, p: Any) -> Any:
    x = divide_by_power_of_two(int(a), p[A_SHIFT]) + divide_by_power_of_two(int(b), p[B_SHIFT])
    return clamp(x, p[LO], p[HI])


@inline
def difference_shifted(a: Any, b: Any, p: Any) -> Any:
    x = divide_by_power_of_two(int(a), p[A_SHIFT]) - divide_by_power_of_two(int(b), p[B_SHIFT])
    return clamp(x, p[LO], p[HI])


# ------------------------------------------------------------------------------------------- kernels of whole vectors
# What their formulas (`micro/formulas.py`) take of p.
def ends(p: Any) -> tuple[Any, ...]:
    """The clamp."""
    return p[0], p[1]


def of_sum_delegate(p: Any) -> tuple[Any, ...]:
    return p[BIAS], p[A_FACTOR], p[B_FACTOR], p[SHIFT], p[Y_ZERO], p[LO], p[HI]


def of_sum(p: Any) -> tuple[Any, ...] | None:
    """Multipliers in two parts of 16 bits, and -1 for a shift that rounds. None for a sum that shifts to the left."""
    if p[FINE] != 20 or p[Y_SHIFT] > 0:
        return None
    a, b = ((p[z], p[m] >> 16, p[m] & 65535, -p[s], -int(p[s] != 0)) for z, m, s in (
        (A_ZERO, A_MULTIPLIER, A_SHIFT), (B_ZERO, B_MULTIPLIER, B_SHIFT)))
    return *a, *b, p[Y_MULTIPLIER], -p[Y_SHIFT], -int(p[Y_SHIFT] != 0), p[Y_ZERO], p[LO], p[HI]


def of_sum_in_vectors(p: Any) -> tuple[Any, ...]:
    """Shifts before the product, to the left and to the right, and after it. The zero point is added by the formula."""
    made: list[Any] = []
    for z, m, s in ((A_ZERO, A_MULTIPLIER, A_SHIFT), (B_ZERO, B_MULTIPLIER, B_SHIFT)):
        left = p[FINE] + (p[s] if p[ONCE] else 0)
        made += [p[z], p[m], max(left, 0), max(-left, 0), 0 if p[ONCE] else -p[s]]
    return *made, p[Y_MULTIPLIER], -p[Y_SHIFT], -int(p[Y_SHIFT] != 0), p[Y_ZERO], 0, p[LO], p[HI]


def of_sum_int16(p: Any) -> tuple[Any, ...] | None:
    """None for a sum that shifts to the left, or by more than the formula can."""
    shifts = [-int(p[s]) for s in (A_SHIFT, B_SHIFT, Y_SHIFT)]
    if min(shifts) < 0 or max(shifts) > 30:
        return None
    made = [(p[m], s, -int(s != 0)) for m, s in zip((A_MULTIPLIER, B_MULTIPLIER, Y_MULTIPLIER), shifts)]
    return *made[0], *made[1], *made[2], p[LO], p[HI]


def of_sum_int16_in_vectors(p: Any) -> tuple[Any, ...] | None:
    """The shifts before the products are one, to the left or to the right."""
    if of_sum_int16(p) is None:
        return None
    a, b = ((p[m], max(p[FINE] + p[s], 0), max(-p[FINE] - p[s], 0)) for m, s in (
        (A_MULTIPLIER, A_SHIFT), (B_MULTIPLIER, B_SHIFT)))
    return *a, *b, p[Y_MULTIPLIER], -p[Y_SHIFT], -int(p[Y_SHIFT] != 0), p[LO], p[HI]


def of_weights_delegate(p: Any) -> tuple[Any, ...] | None:
    """The delegate's sum is weighted as it stands."""
    ka, kb = int(p[A_FACTOR]), int(p[B_FACTOR])
    return in_parts(ka, kb, int(p[BIAS]) - int(p[FLIP]) * (ka + kb), int(p[SHIFT]), int(p[Y_ZERO]), int(p[LO]), int(p[HI]))


def halved_away(x: np.ndarray, right: int) -> np.ndarray:
    """`divide_by_power_of_two` of an array."""
    half = (1 << right) >> 1
    return (x + half - ((x < 0) & (half > 0))) >> right


@cache
def weights(p: tuple[int, ...], sign: int) -> tuple[Any, ...] | None:
    """The reference's sum, or with a sign of -1 difference, of every two bytes, as a weighted sum."""
    if p[FINE] != 20 or p[Y_SHIFT] > 0:
        return None
    a, b = (halved_away(doubling_high_mul((BYTES - p[FLIP] - p[z]) << 20, p[m]), -p[s]) for z, m, s in (
        (A_ZERO, A_MULTIPLIER, A_SHIFT), (B_ZERO, B_MULTIPLIER, B_SHIFT)))
    y = halved_away(doubling_high_mul(a[:, None] + sign * b, p[Y_MULTIPLIER]), -p[Y_SHIFT]) + p[Y_ZERO]
    ra, rb = (math.ldexp(p[m] * p[Y_MULTIPLIER], p[s] + p[Y_SHIFT] - 42) for m, s in (
        (A_MULTIPLIER, A_SHIFT), (B_MULTIPLIER, B_SHIFT)))
    found = proved(y, ra, sign * rb, p[LO], p[HI])
    return in_parts(*found, 0, p[LO], p[HI]) if found else None


def of_weights(sign: int) -> Callable[[Any], tuple[Any, ...] | None]:
    return lambda p: weights(tuple(p.tolist()), sign)


def vectors(name: str, floats: Element, quantized: Element, int16: Element) -> tuple[Maker, ...]:
    """What both ops have."""
    old = frozenset({REFERENCE}) if name == "add" else OLD
    return (
        weighted(f"{name}_8bit_delegate", delegate_args, of_weights_delegate, frozenset({DELEGATE})),
        weighted(f"{name}_8bit_reference", sum_args, of_weights(1 if name == "add" else -1), old),
        binary(f"{name}_float32", floats, float_args, ends, ALL, is_float),
        binary(f"{name}_8bit_delegate", formulas.sum_delegate, delegate_args, of_sum_delegate, frozenset({DELEGATE}), is_8bit),
        binary(f"{name}_8bit_reference", quantized, sum_args, of_sum, old, is_8bit),
        binary(f"{name}_int16_reference", int16, sum_args, of_sum_int16, old, is_general_int16),
    )


# -------------------------------------------------------------------------------------------------------------- op
def is_quantized_int16(call: Call) -> bool:
    return call.output.type == TensorType.INT16 and all(o.quantized for o in operands(call))


def is_plain_int16(call: Call) -> bool:
    return call.output.type == TensorType.INT16 and not any(o.quantized for o in operands(call))


def is_shifted_add(call: Call) -> bool:
    """Operands of one shape: with a broadcast the official kernel ends the process."""
    return is_shifted(call) and call.input(0).shape == call.input(1).shape


def is_general_int16(call: Call) -> bool:
    return is_quantized_int16(call) and not is_shifted(call)


def is_quantized(call: Call) -> bool:
    """8 bits, or int16 at general scales."""
    return is_8bit(call) or is_general_int16(call)


def delegated(call: Call) -> bool:
    a, b, y = operands(call)
    least, most = 1 / 1024, 256.0
    return (computes(a, b, y) and same_type(a, b, y) and takes_shapes(call)
            and ratio_within(a, y, least, most) and ratio_within(b, y, least, most))


def kernels(name: str, floats: Element, int32: Element, shifted: Element) -> tuple[Kernel, ...]:
    """What both ops have."""
    takes_shifted = is_shifted_add if name == "add" else is_shifted
    return (
        Kernel(f"{name}_float32", elementwise(floats), float_args, ALL, is_float, elements),
        Kernel(f"{name}_int32", elementwise(int32), plain_args, ALL, is_wide, elements),
        Kernel(f"{name}_int64", elementwise(floats), plain_args, ALL, is_widest, elements),
        Kernel(f"{name}_8bit_delegate", elementwise(sum_delegate), delegate_args, frozenset({DELEGATE}), is_8bit, elements),
        Kernel(f"{name}_int16_shifted", elementwise(shifted), shifted_args, OLD, takes_shifted, elements),
    )


ADD = Op(
    code=BuiltinOperator.ADD,
    inputs=(2, 2),
    outputs=(1, 1),
    types=("float32", "int8", "uint8", "int16", "int32", "int64"),
    infer=infer,
    kernels=(
        *vectors("add", formulas.add_f32, formulas.sum_reference, formulas_int16.sum_reference),
        binary("add_int16_builtin", formulas_int16.sum_builtin, sum_args, of_sum_int16_in_vectors, frozenset({BUILTIN}),
               is_general_int16, rest=(formulas_int16.sum_reference, of_sum_int16)),
        binary("add_8bit_builtin", formulas.sum_builtin, sum_args, of_sum_in_vectors, frozenset({BUILTIN}), is_8bit,
               rest=(formulas.sum_reference, of_sum)),
        binary("add_int32", formulas.add_i32, plain_args, ends, ALL, is_wide),
        *kernels("add", add_float, add_int32, sum_shifted),
        Kernel("add_int16", elementwise(add_int16), plain_args, ALL, is_plain_int16, elements),
        Kernel("add_8bit_builtin", in_blocks(sum_in_vectors_8bit, sum_quantized), sum_args, frozenset({BUILTIN}), is_8bit,
               elements),
        Kernel("add_int16_builtin", in_blocks(sum_in_vectors_int16, sum_quantized), sum_args, frozenset({BUILTIN}),
               is_general_int16, elements),
        Kernel("add_quantized_reference", elementwise(sum_quantized), sum_args, frozenset({REFERENCE}), is_quantized, elements),
    ),
    delegated=delegated,
    spec="LiteRT tflite/kernels/add.cc, tflite/kernels/internal/reference/integer_ops/add.h",
)

SUB = Op(
    code=BuiltinOperator.SUB,
    inputs=(2, 2),
    outputs=(1, 1),
    types=("float32", "int8", "uint8", "int16", "int32", "int64"),
    infer=infer,
    kernels=(
        *vectors("sub", formulas.sub_f32, formulas.difference_reference, formulas_int16.difference_reference),
        binary("sub_int32", formulas.sub_i32, plain_args, ends, ALL, is_wide),
        *kernels("sub", sub_float, sub_int32, difference_shifted),
        Kernel("sub_quantized", elementwise(difference_quantized), sum_args, OLD, is_quantized, elements),
    ),
    delegated=delegated,
    spec="LiteRT tflite/kernels/sub.cc, tflite/kernels/internal/reference/sub.h",
)
