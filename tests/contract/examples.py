"""Small models of one operator, some for each op: what the contract is tested on, and what mutants are made of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import numpy as np

from tests.harness import random_value
from tests.kernels import (
    test_arg,
    test_cast,
    test_concat,
    test_conv,
    test_densify,
    test_depthwise,
    test_detection,
    test_fully_connected,
    test_gather,
    test_hybrid,
    test_int16,
    test_l2_normalization,
    test_pad,
    test_pool,
    test_quantize,
    test_reduce,
    test_reshape,
    test_resize,
    test_shape,
    test_slice,
    test_softmax,
    test_transpose,
    test_transpose_conv,
)
from tests.kernels.operands import binary, scales
from tinyinterp.kernels import OPS
from tinyinterp.schema import Activation, MirrorPadMode, Model, Padding, options
from tinyinterp.schema.build import one_op, tensor

SAME, VALID = Padding.SAME, Padding.VALID
RELU6 = Activation.RELU6
QUANTIZED = ("int8", "uint8", "int16")
WINDOWS = ("float32", "int8", "uint8")
ELEMENTWISE = ("LEAKY_RELU", "LOGISTIC", "TANH", "HARD_SWISH", "RELU", "RELU6", "RELU_N1_TO_1", "RELU_0_TO_1", "ABS", "NEG",
               "SQUARE", "SQRT", "RSQRT", "EXP", "LOG", "SIN", "COS", "FLOOR", "CEIL", "ROUND")
BINARY = ("ADD", "SUB", "MUL", "DIV", "MAXIMUM", "MINIMUM", "SQUARED_DIFFERENCE")
OUTPUT_SCALES = {"LOGISTIC": (1 / 256, 1 / 32768), "TANH": (1 / 128, 1 / 32768)}


@cache
def examples() -> dict[str, tuple[Model, ...]]:
    """The examples of every op, by the op's name."""
    made = {op.name: tuple(_of(op.name, op.types)) for op in OPS}
    return {name: models for name, models in made.items() if models}


def _of(name: str, types: Sequence[str]) -> Iterator[Model]:
    if name in ELEMENTWISE:
        for dtype in types:
            yield _elementwise(name, dtype)
    elif name in BINARY:
        for dtype in types:
            quant = _quant(dtype)
            yield binary(name, dtype, (2, 37), (2, 37), **quant)
            yield binary(name, dtype, (2, 3, 5), (3, 1), **quant)
    elif name in ("REDUCE_MAX", "REDUCE_MIN", "SUM", "MEAN"):
        for dtype in types:
            of = {} if dtype not in QUANTIZED else {"x": {"scale": 0.1, "zero_point": 0 if dtype == "int16" else 3}}
            if dtype in ("int8", "uint8") and name in ("SUM", "MEAN"):
                of["y"] = {"scale": 0.15, "zero_point": 5}
            for axes in ((1, 2), (3,), (0, 2)):
                yield test_reduce.model(name, (2, 3, 5, 21), axes, dtype, **of)
    elif name in _MAKERS:
        yield from _MAKERS[name]()


def _quant(dtype: str) -> dict[str, Any]:
    if dtype in ("int8", "uint8"):
        return scales((0.1, 3), (0.2, 7), (0.25, 5))
    return scales((0.25, 0), (0.25, 0), (0.25, 0)) if dtype == "int16" else {}


def _elementwise(name: str, dtype: str) -> Model:
    if dtype in QUANTIZED:
        narrow, wide = OUTPUT_SCALES.get(name, (0.05, 0.001))
        zero = {"LOGISTIC": {"int8": -128}, "TANH": {"uint8": 128}}.get(name, {}).get(dtype, 0)
        x = {"scale": 0.05 if dtype != "int16" else 0.001, "zero_point": {"int8": -5, "uint8": 7}.get(dtype, 0)}
        if name == "RSQRT" or name == "SQRT" or name == "LOG":
            x["zero_point"] = {"int8": -128, "uint8": 0, "int16": 0}[dtype]
        y = {"scale": wide if dtype == "int16" else narrow, "zero_point": zero}
        if name.startswith("RELU"):
            y["zero_point"] = x["zero_point"]
        if name in ("ABS", "SQRT") and dtype == "int16":
            y["scale"] = x["scale"]
    else:
        x = y = {}
    settings = options.LeakyReluOptions(alpha=0.1) if name == "LEAKY_RELU" else None
    return one_op(name, [tensor("x", dtype, (3, 45), **x)], [tensor("y", dtype, (3, 45), **y)], settings)


def _conv() -> Iterator[Model]:
    for dtype in WINDOWS:
        yield test_conv.conv(dtype, (6, 5, 19), (61, 3, 3), stride=2, act=RELU6, per_channel=dtype == "int8")
        if dtype != "uint8":
            yield test_conv.conv(dtype, (5, 7, 64), (48, 1, 1))
        yield test_conv.conv(dtype, (7, 6, 8), (64, 3, 3), dilation=2, padding=VALID)
    yield test_conv.conv("float32", (4, 4, 3), (5, 2, 2), fed="wb")
    yield test_int16.conv((6, 5, 19), (61, 3, 3), stride=2, act=RELU6)
    yield test_int16.conv((5, 7, 64), (48, 1, 1), bits=32, sums=32)
    yield test_hybrid.conv((6, 5, 19), (61, 3, 3), stride=2, act=RELU6, per_channel=True)
    yield test_hybrid.conv((5, 7, 64), (48, 1, 1))


def _depthwise() -> Iterator[Model]:
    for dtype in WINDOWS:
        yield test_depthwise.depthwise(dtype, (7, 6, 40), 1, (3, 3), act=RELU6, per_channel=dtype == "int8")
        if dtype != "uint8":
            yield test_depthwise.depthwise(dtype, (9, 8, 19), 1, (3, 3), 2, padding=VALID)
            yield test_depthwise.depthwise(dtype, (5, 5, 5), 2, (2, 3), dilation=2)
    yield test_int16.depthwise((7, 6, 40), 1, (3, 3), act=RELU6)
    yield test_int16.depthwise((9, 8, 19), 1, (3, 3), 2, padding=VALID)
    yield test_int16.depthwise((5, 5, 5), 2, (2, 3), dilation=2)
    yield test_hybrid.depthwise((7, 6, 40), (3, 3), act=RELU6)
    yield test_hybrid.depthwise((9, 8, 6), (3, 3), 2, stride=2)


def _fully_connected() -> Iterator[Model]:
    for dtype in WINDOWS:
        yield test_fully_connected.fully_connected(dtype, (3, 70), 37, per_channel=dtype == "int8")
        if dtype != "uint8":
            yield test_fully_connected.fully_connected(dtype, (1, 64), 64, act=RELU6, biased=False)
        yield test_fully_connected.fully_connected(dtype, (2, 9), 5, fed="w")
    yield test_int16.fully_connected((3, 70), 37)
    yield test_int16.fully_connected((1, 64), 64, act=RELU6, bits=None)
    yield test_hybrid.fully_connected((3, 70), 37, per_channel=True)
    yield test_hybrid.fully_connected((1, 64), 64, act=RELU6, asymmetric=True)


def _transpose_conv() -> Iterator[Model]:
    for dtype in (*WINDOWS, "int16"):
        yield test_transpose_conv.transpose_conv(dtype, (3, 4, 5), (3, 3, 3), (2, 2), SAME, (6, 7))
        yield test_transpose_conv.transpose_conv(dtype, (2, 5, 8), (16, 2, 2), (2, 2), VALID, (4, 10), fed="s", biased=False)
    yield test_hybrid.transpose_conv((3, 4, 5), (9, 3, 3), 2, SAME)


def _pools(name: str) -> Iterator[Model]:
    for dtype in (*WINDOWS, "int16"):
        yield test_pool.pool(name, dtype, (3, 3), (2, 2), act=RELU6)
        yield test_pool.pool(name, dtype, (2, 3), (1, 1), VALID, x=(1, 5, 6, 37))
    yield test_pool.pool(name, "float32", (1, 1), (1, 1), x=(1, 4, 4, 8))


def _resizes(name: str) -> Iterator[Model]:
    for dtype in (*WINDOWS, "int16", *(["int32"] if "NEAREST" in name else [])):
        yield test_resize.resize(name, dtype, (3, 4), (7, 5), (False, True))
        yield test_resize.resize(name, dtype, (4, 4), (8, 8), fed=True, channels=5)


def _prelu() -> Iterator[Model]:
    yield binary("PRELU", "float32", (2, 3, 5, 19), (1, 1, 19))
    for dtype in ("int8", "uint8"):
        yield binary("PRELU", dtype, (2, 3, 19), (1, 1, 19), **_quant(dtype))
    yield binary("PRELU", "int16", (2, 3, 19), (1, 1, 19), type_b="int8", **scales((0.25, 0), (0.2, 0), (0.5, 0)))


def _softmax() -> Iterator[Model]:
    yield test_softmax.floating((3, 37), 0.7)
    for x, y in (("int8", "int8"), ("uint8", "uint8"), ("int8", "int16"), ("uint8", "int16"), ("int16", "int16")):
        yield test_softmax.quantized((3, 37), x, y, 0.1, 0)


def _quantize() -> Iterator[Model]:
    for y in QUANTIZED:
        yield test_quantize.quantize("float32", y, (3, 37), scale=0.1, zero_point=0 if y == "int16" else 5)
        for x in QUANTIZED:
            yield test_quantize.quantize(x, y, (3, 37), {"scale": 0.2, "zero_point": 0 if x == "int16" else 9}, scale=0.1,
                                         zero_point=0 if y == "int16" else 5)
    yield test_quantize.quantize("float32", "int8", (3, 2, 3), scale=[0.1, 0.2, 0.3], zero_point=0, axis=2)


def _dequantize() -> Iterator[Model]:
    for x in QUANTIZED:
        yield test_quantize.dequantize(x, (3, 37), scale=0.2, zero_point=0 if x == "int16" else 9)
    yield test_quantize.dequantize("int8", (3, 2, 3), scale=[0.1, 0.2, 0.3], zero_point=0, axis=2)
    yield test_quantize.dequantize("float16", (3, 37))


def _casts() -> Iterator[Model]:
    kinds = ("bool", "int8", "int16", "int32", "int64", "uint8", "float16", "float32", "float64", "complex64")
    for i, x in enumerate(kinds):
        yield test_cast.model(x, kinds[(i + 4) % len(kinds)], (2, 19))
    yield test_cast.model("int64", "int8", (2, 19))
    yield test_cast.model("int32", "float32", (2, 19))


def _pads(name: str) -> Iterator[Model]:
    mode, fill = (MirrorPadMode.REFLECT, None) if name == "MIRROR_PAD" else (None, 3 if name == "PADV2" else None)
    for dtype in ("float32", "int8", "int32"):
        quant = {"scale": 0.5, "zero_point": -3} if dtype == "int8" else {}
        yield test_pad.pad([1, 3, 4, 5], [[0, 0], [1, 2], [2, 1], [0, 0]], dtype, fill, mode=mode, **quant)
    yield test_pad.pad([3, 4], [[1, 0], [2, 2]], "float32", fill, fed=True, mode=mode)


def _slices() -> Iterator[Model]:
    for dtype in ("float32", "int8", "int64"):
        yield test_slice.slice_([3, 4, 5], [1, 0, 2], [2, -1, 3], dtype)
    yield test_slice.slice_([3, 4], [1, 2], [2, 2], fed=True)


def _strided() -> Iterator[Model]:
    for dtype in ("float32", "int8", "int64"):
        yield test_slice.strided([3, 4, 5], [-1, 0, 0], [0, 4, 5], [-1, 2, 1], [2, 2, 5], dtype)
    yield test_slice.strided([3, 4], [-1, 1], [0, 0], [1, 1], [3], "int8", shrink_axis_mask=1, end_mask=2)
    yield test_slice.strided([3, 4], [0, 0], [2, 3], [1, 1], [2, 3], fed="begin end")


def _splits(name: str) -> Iterator[Model]:
    for dtype in ("float32", "int8", "int16"):
        if name == "SPLIT":
            yield test_concat.split([2, 6, 5], 1, 3, dtype)
        else:
            yield test_concat.split_v([2, 6, 5], 1, [1, 3, -1], dtype)
    if name == "SPLIT":
        yield test_concat.split([4, 3], 0, 2, fed=True)


def _gathers() -> Iterator[Model]:
    yield test_gather.gather([3, 4, 5], [2, 2], 1)
    yield test_gather.gather([3, 4, 5], [3, 2], 1, 1, "int8", "int64")
    yield test_gather.gather([6], [7], 0, 0, "int64")


def _detections() -> Iterator[Model]:
    yield test_detection.model()
    yield test_detection.model(dtype="uint8")
    yield test_detection.model(use_regular_nms=True, detections_per_class=5)


_MAKERS: dict[str, Any] = {
    "CONV_2D": _conv, "DEPTHWISE_CONV_2D": _depthwise, "TRANSPOSE_CONV": _transpose_conv, "FULLY_CONNECTED": _fully_connected,
    "AVERAGE_POOL_2D": lambda: _pools("AVERAGE_POOL_2D"), "MAX_POOL_2D": lambda: _pools("MAX_POOL_2D"),
    "RESIZE_BILINEAR": lambda: _resizes("RESIZE_BILINEAR"),
    "RESIZE_NEAREST_NEIGHBOR": lambda: _resizes("RESIZE_NEAREST_NEIGHBOR"),
    "PRELU": _prelu, "SOFTMAX": _softmax, "QUANTIZE": _quantize, "DEQUANTIZE": _dequantize, "CAST": _casts,
    "PAD": lambda: _pads("PAD"), "PADV2": lambda: _pads("PADV2"), "MIRROR_PAD": lambda: _pads("MIRROR_PAD"),
    "SLICE": _slices, "STRIDED_SLICE": _strided, "SPLIT": lambda: _splits("SPLIT"), "SPLIT_V": lambda: _splits("SPLIT_V"),
    "GATHER": _gathers, "TFLite_Detection_PostProcess": _detections,
    "TILE": lambda: (test_gather.tile([2, 3], [2, 3], d) for d in ("float32", "int8")),
    "RESHAPE": lambda: (test_reshape.reshape([2, 6], [3, -1], [3, 4], d) for d in ("float32", "int8")),
    "SQUEEZE": lambda: [test_reshape.squeeze([1, 2, 1, 3], [2], [1, 2, 3])],
    "EXPAND_DIMS": lambda: [test_reshape.expand([2, 3], -1, [2, 3, 1]), test_reshape.expand([2, 3], 1, [2, 1, 3], fed=True)],
    "SHAPE": lambda: [test_shape.shape([2, 3, 5])],
    "CONCATENATION": lambda: [test_concat.concat([[2, 3, 5], [2, 4, 5]], 1, d) for d in ("float32", "int32")]
    + [test_concat.concat([[2, 3], [2, 4]], 1, "uint8", (0.1, 0.2, 0.25), (3, 7, 5))],
    "PACK": lambda: [test_concat.pack(3, [2, 5], 1, d) for d in ("float32", "int8")],
    "UNPACK": lambda: [test_concat.unpack([2, 3, 5], 1, d) for d in ("float32", "int8")],
    "TRANSPOSE": lambda: [test_transpose.transpose([2, 3, 4, 5], [0, 3, 1, 2], d) for d in ("float32", "int8", "int64")],
    "DEPTH_TO_SPACE": lambda: [test_transpose.blocks("DEPTH_TO_SPACE", [1, 2, 3, 8], 2, d) for d in ("float32", "int8")],
    "SPACE_TO_DEPTH": lambda: [test_transpose.blocks("SPACE_TO_DEPTH", [1, 4, 6, 3], 2, d) for d in ("float32", "int8")],
    "DENSIFY": lambda: [test_densify.densify(test_densify.holes((4, 6), d, 1), [0, 1],
                                             [test_densify.DENSE, test_densify.SPARSE]) for d in ("float32", "int8")],
    "L2_NORMALIZATION": lambda: [test_l2_normalization.floating((3, 37)), test_l2_normalization.quantized((3, 37), "int8", 10),
                                 test_l2_normalization.quantized((3, 37), "uint8", 10)],
    "ARG_MAX": lambda: [test_arg.model("ARG_MAX", (2, 3, 37), a, d) for a in (-1, 1) for d in ("float32", "int8", "int32")],
    "ARG_MIN": lambda: [test_arg.model("ARG_MIN", (2, 3, 37), a, d) for a in (-1, 1) for d in ("float32", "uint8", "int64")],
}


def values_for(model: Model, seed: int = 0) -> dict[int, np.ndarray]:
    """Values for the inputs of an example, by tensor: full range, but what decides shapes or is an index stays small."""
    part = model.subgraphs[0]
    rng = np.random.default_rng(seed)
    given: dict[int, np.ndarray] = {}
    for t in part.inputs:
        x = part.tensors[t]
        assert x.type.numpy is not None
        given[t] = random_value(x.type.numpy, x.shape, rng)
    name = part.operators[0].name
    if name == test_detection.NAME:
        return dict(zip(part.inputs, test_detection.values(model, seed)))
    if name == "TRANSPOSE_CONV":
        shape = part.tensors[part.outputs[0]].shape
        given |= {t: np.array(shape, np.int32) for t in part.inputs if part.tensors[t].name == "shape"}
    named = {"begin": 1, "size": 2, "end": 2, "paddings": 1, "axis": 1, "at": 1}
    if name in ("SLICE", "STRIDED_SLICE", "PAD", "PADV2", "MIRROR_PAD", "SPLIT", "EXPAND_DIMS", "RESIZE_BILINEAR",
                "RESIZE_NEAREST_NEIGHBOR"):
        for t in part.inputs:
            label = part.tensors[t].name
            if label in named and part.tensors[t].type.name in ("INT32", "INT64"):
                given[t][...] = 5 if name.startswith("RESIZE") else 0 if name == "SPLIT" else named[label]
    if name in ("RSQRT", "SQRT", "LOG") and not given[part.inputs[0]].dtype == np.float32:
        x = given[part.inputs[0]]
        given[part.inputs[0]] = np.maximum(x, 1).astype(x.dtype)
    if name == "DIV":
        t = part.inputs[1]
        zero = part.tensors[t].quantization.zero_point[:1].sum()
        given[t] = np.where(given[t] == zero, 1, given[t]).astype(given[t].dtype)
    if name == "GATHER":
        given[part.inputs[1]] %= 3
    return given
