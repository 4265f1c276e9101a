"""16-bit activations by int8 weights: which sums and which way back CONV_2D, DEPTHWISE_CONV_2D and FULLY_CONNECTED take.

    y = clamp(requantize(bias[o] + sum of x * w[o]))        x, y: int16, zero points 0    w: int8, one or all scales

The sum has as many bits as the bias, or as the options say where there is none; 64 unless they say 32. One of 32 bits wraps.

    operator             sum   reference                builtin (the delegate takes none of them)
    CONV_2D              64    16-bit multiplier        the same
                         32    gemmlowp's               ruy's; with groups the reference's
    DEPTHWISE_CONV_2D    64    16-bit multiplier        the same
    FULLY_CONNECTED      64    a product in double      the same
                         32    a product in double      ruy's; so is a sum of 64 bits that nobody asked for: no bias, no option

Source: LiteRT tflite/kernels/conv.cc, depthwise_conv.cc, fully_connected.cc (Eval…16x8, …Int16), internal/common.cc.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tinyinterp.schema import TensorType

from .contract import BUILTIN, REFERENCE, Call
from .machine import inline

BITS = {TensorType.INT32: 32, TensorType.INT64: 64}


@inline
def exact(x: Any) -> Any:
    """A sum of 64 bits as it is."""
    return x


def is_int16(call: Call) -> bool:
    """int16 by int8, with a bias that the official kernels read as what it is: the types of all, whatever the sums."""
    x, w, bias, y = call.input(0), call.input(1), call.optional(2), call.output
    return (x.type == y.type == TensorType.INT16 and w.type == TensorType.INT8 and x.zero_point == y.zero_point == 0
            and (bias is None or bias.type in BITS))


def asked(call: Call) -> int:
    """The bits of a sum that the options ask for; 0: they do not say."""
    return BITS.get(getattr(call.options, "quantized_bias_type", None), 0)  # type: ignore[arg-type]


def convolves(bits: int) -> Callable[[Call], bool]:
    """CONV_2D and DEPTHWISE_CONV_2D with sums of these bits."""

    def when(call: Call) -> bool:
        if not is_int16(call):
            return False
        bias, sums = call.optional(2), asked(call) or 64
        return sums == bits and (bias is None or BITS[bias.type] == bits)

    return when


def in_double(call: Call) -> bool:
    """FULLY_CONNECTED that goes back by a product in double."""
    w, bias = call.input(1), call.optional(2)
    return is_int16(call) and (call.numerics == REFERENCE or asked(call) == 64 or (bias is not None and BITS[bias.type] == 64)
                               or (w.zero_point != 0 and len(w.quantization.scale) == 1))


def in_fixed_point(call: Call) -> bool:
    """FULLY_CONNECTED that goes back as ruy does."""
    return is_int16(call) and not in_double(call)


def connects(bits: int) -> Callable[[Call], bool]:
    """FULLY_CONNECTED in double with sums of these bits."""

    def when(call: Call) -> bool:
        if not in_double(call):
            return False
        bias = call.optional(2)
        return (BITS[bias.type] if bias is not None else asked(call) or 64) == bits

    return when


# ------------------------------------------------------------------ what the tiles of a GEMM do: (way back, bits of the sum)
Form = tuple[str, int]


def conv_form(call: Call) -> Form | None:
    if convolves(64)(call):
        return "half_up", 64
    one_group = call.input(0).shape[3] == call.input(1).shape[3]
    return (BUILTIN if call.numerics == BUILTIN and one_group else REFERENCE, 32) if convolves(32)(call) else None


def goes_back(tail: str) -> Callable[[Call], bool]:
    """CONV_2D that goes back in this way."""
    return lambda call: (form := conv_form(call)) is not None and form[0] == tail


def depthwise_form(call: Call) -> Form | None:
    """Several output channels for each input channel: as many groups."""
    several = call.input(1).shape[3] > call.input(0).shape[3]
    return ("half_up", 64) if several and convolves(64)(call) else None


def fully_connected_form(call: Call) -> Form | None:
    if in_fixed_point(call):
        return BUILTIN, 32
    plain = in_double(call) and not call.input(1).quantization.zero_point.any()
    return ("double", 64 if connects(64)(call) else 32) if plain else None
