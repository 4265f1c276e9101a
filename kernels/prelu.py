"""PRELU: a slope of its own for each channel, where x is negative.

    y = x if x >= 0 else x * alpha      x, y: one shape    alpha: broadcasts to it, [1, 1, C] in most models

Floats are the same in all three numerics, but for the delegate on a processor without AVX-512: there the sign bit decides,
so that -0 is multiplied too. Quantized, both branches are rescaled by fixed-point factors of their own:

    y = requantize(x - zx, sx / sy) + zy    or    requantize((x - zx) * (alpha - za), sx * sa / sy) + zy

int16 takes an int8 alpha.

Source: LiteRT tflite/kernels/activations.cc PreluPrepare, internal/reference/prelu.h; XNNPACK src/f32-vbinary (vprelu).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinyinterp.schema import Activation, BuiltinOperator, TensorType

from . import jit
from .add_sub import OLD
from .broadcast import bare_args, binary_args, divisor, elements, elementwise, is_float, operands, stretched, takes_shapes
from .contract import ALL, DELEGATE, Arg, Call, Kernel, Op, Shape
from .delegate import stored
from .machine import bits, f32, inline, u32
from .micro import formulas
from .numerics import clamp, quantize_multiplier, quantized_range, requantize_reference, wrap32
from .runs import binary


# ---------------------------------------------------------------------------------------------------------- shapes
def infer(call: Call) -> tuple[Shape]:
    x, alpha = call.input(0), call.input(1)
    call.need(call.output.type == x.type, f"output type {call.output.type.name} is not the input's {x.type.name}")
    shape = stretched(call, x.shape, alpha.shape)
    call.need(shape == x.shape, f"alpha {list(alpha.shape)} does not broadcast to x {list(x.shape)}")
    return (shape,)


# ---------------------------------------------------------------------------------------- settled before the first run
X_ZERO, ALPHA_ZERO, MULTIPLIER, SHIFT, SLOPE_MULTIPLIER, SLOPE_SHIFT, Y_ZERO, LO, HI = range(9)


def quantized_args(call: Call, params: None) -> tuple[Arg, ...]:
    x, alpha, y = operands(call)
    reals = f32(x.scale / divisor(call, y)), f32(f32(x.scale * alpha.scale) / y.scale)
    (m, s), (ma, sa) = (quantize_multiplier(float(r)) for r in reals)
    s, sa = (n & 31 if n > 31 else n for n in (s, sa))  # x86 counts a shift modulo 32
    lo, hi = quantized_range(Activation.NONE, call)
    return binary_args(call, np.array([x.zero_point, alpha.zero_point, m, s, ma, sa, y.zero_point, lo, hi], np.int64))


# --------------------------------------------------------------------------------------------------------- kernels
@inline
def prelu(x: Any, alpha: Any, p: Any) -> Any:
    """The definition. -0 >= 0 holds, NaN >= 0 does not."""
    return x if x >= f32(0) else x * alpha


@inline
def prelu_avx2(x: Any, alpha: Any, p: Any) -> Any:
    return x * alpha if bits(x) >> u32(31) else x


@inline
def prelu_quantized(x: Any, alpha: Any, p: Any) -> Any:
    """The definition for integers."""
    v = int(x) - p[X_ZERO]
    if v >= 0:
        y = requantize_reference(v, p[MULTIPLIER], p[SHIFT])
    else:
        y = requantize_reference(v * (int(alpha) - p[ALPHA_ZERO]), p[SLOPE_MULTIPLIER], p[SLOPE_SHIFT])
    return clamp(wrap32(y + p[Y_ZERO]), p[LO], p[HI])


# ------------------------------------------------------------------------------------------- kernels of whole vectors
def nothing(p: Any) -> tuple[Any, ...]:
    """The formula of floats has no numbers."""
    return ()


def of_both(p: Any) -> tuple[Any, ...]:
    """The formula of bytes adds the zero point itself."""
    return *p[:Y_ZERO], p[Y_ZERO], 0, p[LO], p[HI]


# -------------------------------------------------------------------------------------------------------------- op
def is_float_pair(call: Call) -> bool:
    return is_float(call) and call.input(1).type == TensorType.FLOAT32


def by_sign_bit(call: Call) -> bool:
    """The delegate without AVX-512."""
    return is_float_pair(call) and jit.isa() != "avx512"


def by_comparison(call: Call) -> bool:
    """Everything else."""
    return is_float_pair(call) and not (call.numerics == DELEGATE and by_sign_bit(call))


def is_quantized(call: Call) -> bool:
    x, alpha = call.input(0).type, call.input(1).type
    return (x, alpha) in ((TensorType.INT8, TensorType.INT8), (TensorType.UINT8, TensorType.UINT8),
                          (TensorType.INT16, TensorType.INT8))


def is_8bit(call: Call) -> bool:
    return is_quantized(call) and call.input(0).type != TensorType.INT16


def delegated(call: Call) -> bool:
    return is_float_pair(call) and takes_shapes(call) and stored(call.input(1))


PRELU = Op(
    code=BuiltinOperator.PRELU,
    inputs=(2, 2),
    outputs=(1, 1),
    types=("float32", "int8", "uint8", "int16*int8"),
    infer=infer,
    kernels=(
        Kernel("prelu_float32_delegate_avx2", elementwise(prelu_avx2), bare_args, frozenset({DELEGATE}), by_sign_bit, elements),
        binary("prelu_float32", formulas.prelu_f32, bare_args, nothing, ALL, by_comparison),
        binary("prelu_8bit", formulas.prelu_quantized, quantized_args, of_both, OLD, is_8bit),
        Kernel("prelu_float32", elementwise(prelu), bare_args, ALL, by_comparison, elements),
        Kernel("prelu_quantized", elementwise(prelu_quantized), quantized_args, OLD, is_quantized, elements),
    ),
    delegated=delegated,
    spec="LiteRT tflite/kernels/activations.cc PreluEval, tflite/kernels/internal/reference/prelu.h",
)
