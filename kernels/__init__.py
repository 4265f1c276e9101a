"""The arithmetic: one operator family a file. OPS is the table of contents.

A family is imported when the first of its ops is asked for: `op_of` for one, OPS for all.
"""

if __name__ != "tinyinterp.kernels":
    raise ImportError("import tinyinterp.kernels, not kernels: the folder is linked into the package")

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from tinyinterp.schema import BuiltinOperator

from .contract import Op

if TYPE_CHECKING:
    OPS: tuple[Op, ...]

CONTENTS = {  # file: its ops
    "conv": "CONV_2D",
    "depthwise": "DEPTHWISE_CONV_2D",
    "transpose_conv": "TRANSPOSE_CONV",
    "fully_connected": "FULLY_CONNECTED",
    "pool": "AVERAGE_POOL_2D MAX_POOL_2D",
    "resize": "RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR",
    "add_sub": "ADD SUB",
    "mul_div": "MUL DIV",
    "elementwise": "MAXIMUM MINIMUM SQUARED_DIFFERENCE",
    "prelu": "PRELU",
    "activation": "RELU RELU6 RELU_N1_TO_1 RELU_0_TO_1 LEAKY_RELU LOGISTIC TANH HARD_SWISH",
    "unary": "ABS NEG SQUARE SQRT RSQRT EXP LOG SIN COS FLOOR CEIL ROUND",
    "quantize": "QUANTIZE DEQUANTIZE",
    "reshape": "RESHAPE SQUEEZE EXPAND_DIMS",
    "shape": "SHAPE",
    "pad": "PAD PADV2 MIRROR_PAD",
    "concat": "CONCATENATION PACK UNPACK SPLIT SPLIT_V",
    "slice": "SLICE STRIDED_SLICE",
    "transpose": "TRANSPOSE DEPTH_TO_SPACE SPACE_TO_DEPTH",
    "gather": "GATHER TILE",
    "densify": "DENSIFY",
    "detection": "TFLite_Detection_PostProcess",
    "reduce": "MEAN SUM",
    "extremes": "REDUCE_MAX REDUCE_MIN",
    "softmax": "SOFTMAX",
    "l2_normalization": "L2_NORMALIZATION",
    "arg": "ARG_MAX ARG_MIN",
    "cast": "CAST",
}
FILES = {name: file for file, names in CONTENTS.items() for name in names.split()}


@cache
def op_of(code: BuiltinOperator | str) -> Op | None:
    """The op of a builtin, or of a custom op's code; None when there is none."""
    file = FILES.get(code if isinstance(code, str) else code.name)
    family = vars(import_module(f".{file}", __name__)).values() if file else ()
    return next((op for op in family if isinstance(op, Op) and op.code == code), None)


def __getattr__(name: str) -> Any:
    if name != "OPS":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    codes = [BuiltinOperator.__members__.get(name, name) for name in FILES]
    globals()["OPS"] = found = tuple(op for op in map(op_of, codes) if op is not None)
    return found
