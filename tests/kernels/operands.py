"""What the tests of the binary families share: shapes that broadcast, models of one operator, operands of the whole type."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.kernels.values import SPECIAL
from tinyinterp.schema import Activation, Model
from tinyinterp.schema.build import one_op, tensor

Shape = tuple[int, ...]

# One run, rows, columns, numbers, both stretched, the five nested loops of the optimised builtins, and more than those.
SHAPES: list[tuple[Shape, Shape]] = [
    ((3, 50), (3, 50)), ((2, 3, 37), (37,)), ((37,), (2, 3, 37)), ((1, 1, 16), (16,)), ((33, 1), (1,)), ((1,), (4, 9)),
    ((64,), ()), ((), (33,)), ((), ()), ((2, 40), (2, 1)), ((2, 1), (2, 33)), ((5, 1, 19), (3, 1)), ((4, 1, 7), (4, 6, 7)),
    ((2, 3, 1, 21), (2, 1, 4, 21)), ((1, 3, 1, 5), (2, 1, 4, 1)), ((2, 1, 3, 1, 2), (1, 2, 1, 3, 1)), ((1, 40, 1), (40, 1)),
]
ACTIVATIONS = (Activation.NONE, Activation.RELU, Activation.RELU_N1_TO_1, Activation.RELU6)


def binary(name: str, type: str, a: Shape, b: Shape, options: Any = None, *, of_a: Any = None, of_b: Any = None,
           of_y: Any = None, stored: Any = None, type_b: str = "") -> Model:
    """A model of one operator; `of_…`: quantization of a tensor, `stored`: the value of b when it is a constant."""
    y = np.broadcast_shapes(a, b)
    more = {} if stored is None else {"data": stored}
    return one_op(name, [tensor("a", type, a, **(of_a or {})), tensor("b", type_b or type, b, **(of_b or {}), **more)],
                  [tensor("y", type, y, **(of_y or {}))], options)


def scales(*pairs: tuple[float, int]) -> dict[str, Any]:
    """The quantization of a, b and y for `binary`: (scale, zero point) each."""
    return {f"of_{name}": {"scale": s, "zero_point": z} for name, (s, z) in zip("aby", pairs)}


def operand(type: str, shape: Shape, rng: np.random.Generator) -> np.ndarray:
    """Full-range integers, a third of the wide ones small; floats, a third of them special."""
    rare = rng.random(shape) < 0.3
    if type == "float32":
        return np.where(rare, rng.choice(SPECIAL, shape), rng.normal(0, 2, shape)).astype(np.float32)
    info = np.iinfo(type)
    value = rng.integers(info.min, info.max, shape, dtype=type, endpoint=True)
    return np.asarray(np.where(rare, rng.integers(-9, 10, shape), value).astype(type) if info.bits > 16 else value)


def operands(type: str, a: Shape, b: Shape, rng: np.random.Generator) -> dict[int, np.ndarray]:
    return {0: operand(type, a, rng), 1: operand(type, b, rng)}


def quantization(type: str, rng: np.random.Generator, least: float, most: float) -> dict[str, Any]:
    """A scale, now and then a power of two, and a zero point, now and then the least or greatest; int16 has none."""
    scale = float(np.exp(rng.uniform(np.log(least), np.log(most))))
    if rng.random() < 0.3:
        scale = 2.0 ** round(np.log2(scale))
    info = np.iinfo(type)
    zero = 0 if info.bits > 8 else int(rng.choice([info.min, info.max, info.min + 128, rng.integers(info.min, info.max)]))
    return {"scale": scale, "zero_point": zero}
