"""A call or two of every op, of shapes that are common in networks: for the tables to have a line for each op of OPS.

The operators cut out of real networks say how fast a network gets; these say how fast an op is that no given network uses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from benchmarks.cases import Case, group_of, shapes_of, type_of
from tinyinterp.kernels import OPS
from tinyinterp.schema import Activation, Model, Padding, TensorType, build, options
from tinyinterp.schema.build import Part, one_op, tensor

H, C = 28, 64
SHAPE = (1, H, H, C)
TYPES = ("float32", "int8", "uint8")
RNG = np.random.default_rng(0)


def _quant(dtype: str, scale: float = 0.05) -> dict[str, Any]:
    return {} if dtype in ("float32", "int32") else {"scale": scale, "zero_point": 128 if dtype == "uint8" else 0}


def _x(dtype: str, shape: tuple[int, ...] = SHAPE, name: str = "x", scale: float = 0.05) -> Part:
    return tensor(name, dtype, shape, **_quant(dtype, scale))


def _ints(*values: Any) -> Part:
    return tensor(f"c{values}", "int32", data=np.array(values[0] if len(values) == 1 else values, np.int32))


def _weights(dtype: str, shape: tuple[int, ...], channels: int) -> tuple[Part, Part]:
    if dtype == "float32":
        return (tensor("w", dtype, data=RNG.normal(0, 0.1, shape).astype(np.float32)),
                tensor("b", dtype, data=RNG.normal(0, 1, channels).astype(np.float32)))
    info = np.iinfo(dtype)
    w = tensor("w", dtype, data=RNG.integers(info.min + 1, info.max + 1, shape).astype(dtype), **_quant(dtype, 0.01))
    return w, tensor("b", "int32", data=RNG.integers(-999, 999, channels).astype(np.int32), scale=0.0005, zero_point=0)


def unary(name: str, dtype: str) -> Model:
    """One input, an output of its shape."""
    scale = {"SOFTMAX": 1 / 256, "LOGISTIC": 1 / 256, "TANH": 1 / 128, "L2_NORMALIZATION": 1 / 128}.get(name, 0.05)
    if scale == 0.05 or dtype == "float32":
        y = _x(dtype, name="y")
    else:
        signed = name in ("TANH", "L2_NORMALIZATION")
        zero = (0 if signed else -128) + (128 if dtype == "uint8" else 0)
        y = tensor("y", dtype, SHAPE, scale=scale, zero_point=zero)
    more = {"SOFTMAX": options.SoftmaxOptions(beta=1.0), "LEAKY_RELU": options.LeakyReluOptions(alpha=0.1)}.get(name)
    return one_op(name, [_x(dtype)], [y], more)


def binary(name: str, dtype: str) -> Model:
    """Two inputs of one shape."""
    return one_op(name, [_x(dtype), _x(dtype, name="z")], [_x(dtype, name="y")])


def window(name: str, dtype: str) -> Model:
    """A convolution, a depthwise convolution, a transposed one, a fully connected one."""
    same: dict[str, Any] = {"padding": Padding.SAME, "stride_h": 1, "stride_w": 1}
    if name == "CONV_2D":
        return one_op(name, [_x(dtype), *_weights(dtype, (C, 3, 3, C), C)], [_x(dtype, name="y")], options.Conv2DOptions(**same))
    if name == "DEPTHWISE_CONV_2D":
        more: Any = options.DepthwiseConv2DOptions(**same, depth_multiplier=1)
        return one_op(name, [_x(dtype), *_weights(dtype, (1, 3, 3, C), C)], [_x(dtype, name="y")], more)
    if name == "TRANSPOSE_CONV":
        w = _weights(dtype, (C, 2, 2, C), C)[0]
        more = options.TransposeConvOptions(padding=Padding.VALID, stride_h=2, stride_w=2)
        return one_op(name, [_ints(1, 2 * H, 2 * H, C), w, _x(dtype)], [_x(dtype, (1, 2 * H, 2 * H, C), "y")], more)
    return one_op(name, [_x(dtype, (1, 512)), *_weights(dtype, (512, 512), 512)], [_x(dtype, (1, 512), "y")])


def pool(name: str, dtype: str) -> Model:
    """2 x 2."""
    more = options.Pool2DOptions(padding=Padding.VALID, stride_h=2, stride_w=2, filter_height=2, filter_width=2,
                                 fused_activation_function=Activation.NONE)
    return one_op(name, [_x(dtype)], [_x(dtype, (1, H // 2, H // 2, C), "y")], more)


def resize(name: str, dtype: str) -> Model:
    """To twice the size."""
    return one_op(name, [_x(dtype), _ints(2 * H, 2 * H)], [_x(dtype, (1, 2 * H, 2 * H, C), "y")])


def reduction(name: str, dtype: str) -> Model:
    """Over height and width; arg over channels."""
    if name.startswith("ARG"):
        kind = options.ArgMaxOptions if name == "ARG_MAX" else options.ArgMinOptions
        return one_op(name, [_x(dtype), _ints([3])], [tensor("y", "int32", SHAPE[:3])], kind(output_type=TensorType.INT32))
    return one_op(name, [_x(dtype), _ints(1, 2)], [_x(dtype, (1, C), "y")], options.ReducerOptions(keep_dims=False))


def movement(name: str, dtype: str) -> Model:
    """Elements to other places."""
    x, half, padded = _x(dtype), (1, H, H, C // 2), (1, H + 2, H + 2, C)
    pads = _ints([[0, 0], [1, 1], [1, 1], [0, 0]])
    made: dict[str, Callable[[], tuple[list[Part], Sequence[tuple[int, ...]], Any]]] = {  # inputs, shapes of the outputs, options
        "RESHAPE": lambda: ([x, _ints(1, H * H, C)], [(1, H * H, C)], None),
        "SQUEEZE": lambda: ([x], [SHAPE[1:]], options.SqueezeOptions((0,))),
        "EXPAND_DIMS": lambda: ([x, _ints([0])], [(1, *SHAPE)], None),
        "PAD": lambda: ([x, pads], [padded], None),
        "PADV2": lambda: ([x, pads, tensor("f", dtype, data=np.ones(1, dtype), **_quant(dtype))], [padded], None),
        "MIRROR_PAD": lambda: ([x, pads], [padded], None),
        "CONCATENATION": lambda: ([_x(dtype, half), _x(dtype, half, "z")], [SHAPE], options.ConcatenationOptions(axis=3)),
        "PACK": lambda: ([_x(dtype, SHAPE[1:]), _x(dtype, SHAPE[1:], "z")], [(2, *SHAPE[1:])], options.PackOptions(2, 0)),
        "UNPACK": lambda: ([_x(dtype, (2, *SHAPE[1:]))], [SHAPE[1:]] * 2, options.UnpackOptions(2, 0)),
        "SPLIT": lambda: ([_ints([3]), x], [half] * 2, options.SplitOptions(2)),
        "SPLIT_V": lambda: ([x, _ints(C // 2, C // 2), _ints([3])], [half] * 2, options.SplitVOptions(2)),
        "SLICE": lambda: ([x, _ints(0, 1, 1, 0), _ints(1, 26, 26, C)], [(1, 26, 26, C)], None),
        "STRIDED_SLICE": lambda: ([x, _ints(0, 0, 0, 0), _ints(1, H, H, C), _ints(1, 2, 2, 1)], [(1, H // 2, H // 2, C)], None),
        "TRANSPOSE": lambda: ([x, _ints(0, 3, 1, 2)], [(1, C, H, H)], None),
        "DEPTH_TO_SPACE": lambda: ([x], [(1, H * 2, H * 2, C // 4)], options.DepthToSpaceOptions(block_size=2)),
        "SPACE_TO_DEPTH": lambda: ([x], [(1, H // 2, H // 2, C * 4)], options.SpaceToDepthOptions(block_size=2)),
        "GATHER": lambda: ([_x(dtype, (1000, C)), tensor("i", "int32", (100,))], [(100, C)], options.GatherOptions(axis=0)),
        "TILE": lambda: ([x, _ints(1, 2, 2, 1)], [(1, 2 * H, 2 * H, C)], None),
        "PRELU": lambda: ([x, tensor("a", dtype, data=np.full((1, 1, C), 1, dtype), **_quant(dtype))], [SHAPE], None)}
    inputs, shapes, more = made[name]()
    return one_op(name, inputs, [_x(dtype, shape, f"y{i}") for i, shape in enumerate(shapes)], more)


def conversion(name: str, dtype: str) -> Model:
    """To another type."""
    made: dict[str, tuple[Part, Any]] = {
        "SHAPE": (tensor("y", "int32", (4,)), options.ShapeOptions(TensorType.INT32)),
        "CAST": (tensor("y", "int32", SHAPE), options.CastOptions()),
        "QUANTIZE": (_x("int8", name="y", scale=0.1), None), "DEQUANTIZE": (_x("float32", name="y"), None)}
    y, more = made[name]
    return one_op(name, [_x(dtype)], [y], more)


FAMILIES: dict[Callable[[str, str], Model], str] = {
    window: "CONV_2D DEPTHWISE_CONV_2D TRANSPOSE_CONV FULLY_CONNECTED",
    pool: "AVERAGE_POOL_2D MAX_POOL_2D", resize: "RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR",
    binary: "ADD SUB MUL DIV MAXIMUM MINIMUM SQUARED_DIFFERENCE",
    unary: "RELU RELU6 RELU_N1_TO_1 RELU_0_TO_1 LEAKY_RELU LOGISTIC TANH HARD_SWISH ABS NEG SQUARE SQRT RSQRT EXP LOG SIN COS "
           "FLOOR CEIL ROUND SOFTMAX L2_NORMALIZATION",
    reduction: "MEAN SUM REDUCE_MAX REDUCE_MIN ARG_MAX ARG_MIN",
    movement: "RESHAPE SQUEEZE EXPAND_DIMS PAD PADV2 MIRROR_PAD CONCATENATION PACK UNPACK SPLIT SPLIT_V SLICE STRIDED_SLICE "
              "TRANSPOSE DEPTH_TO_SPACE SPACE_TO_DEPTH GATHER TILE PRELU",
    conversion: "SHAPE CAST QUANTIZE DEQUANTIZE",
}
MAKERS = {name: make for make, names in FAMILIES.items() for name in names.split()}


def built(types: tuple[str, ...] = TYPES) -> Iterator[Case]:
    """A call of every op of OPS in each of these types that it lists."""
    for op in OPS:
        for dtype in types:
            listed = "any" in op.types or any(t.split("*")[0].split("->")[0] == dtype for t in op.types)
            if op.name in MAKERS and listed:
                model = MAKERS[op.name](op.name, dtype)
                operator = model.subgraphs[0].operators[0]
                kind, shapes = type_of(model, operator), shapes_of(model, operator)
                yield Case(f"built {op.name} {dtype}", op.name, kind, group_of(model, 0), shapes, build(model), 0)


def without() -> list[str]:
    """The ops that nothing is built for here: only networks that use them show their speed."""
    return [op.name for op in OPS if op.name not in MAKERS]
