"""PRELU: by hand, and against the official interpreter over shapes, scales and special floats."""

from __future__ import annotations

import os

import numpy as np
import pytest

from tests.harness import NUMERICS, check, cut, operators, ours
from tests.kernels.operands import SHAPES, binary, operand, quantization, scales
from tests.kernels.values import SPECIAL
from tinyinterp.errors import QuantError, ShapeError, UnsupportedOpError
from tinyinterp.kernels import jit
from tinyinterp.kernels.broadcast import elementwise
from tinyinterp.kernels.prelu import prelu_avx2
from tinyinterp.schema.build import one_op, tensor

TYPES = (("int8", "int8"), ("uint8", "uint8"), ("int16", "int8"))
# A forced instruction set changes only our side: what the delegate makes of -0 cannot be compared then.
FLOATS = ("reference",) if os.environ.get("TINYINTERP_ISA") else ("reference", "default")
WIDE = [(np.broadcast_shapes(a, b), b) for a, b in SHAPES]


@pytest.mark.parametrize("numerics", NUMERICS)
def test_by_hand(numerics: str) -> None:
    x, alpha = [[1, -2, 3], [-4, 5, -6]], [10, 0.5, -1]
    assert ours(binary("PRELU", "float32", (2, 3), (3,)), x, alpha, numerics=numerics)[0].tolist() == [[1, -1, 3], [-40, 5, 6]]
    of = scales((0.5, 2), (0.25, 1), (1, 3))
    for type in ("int8", "int16"):
        model = binary("PRELU", type, (4,), (4,), type_b="int8", **of)
        assert ours(model, [6, -6, -6, 2], [9, 9, 3, 0], numerics=numerics)[0].tolist() == [5, -5, 1, 3]  # 2, -8, -2, 0


@pytest.mark.parametrize("stored", [True, False])
def test_floats(stored: bool) -> None:
    """An alpha that is fed is not the delegate's."""
    rng = np.random.default_rng(1)
    for x, alpha in WIDE:
        slopes = operand("float32", alpha, rng)
        fed = {0: operand("float32", x, rng)} if stored else {0: operand("float32", x, rng), 1: slopes}
        model = binary("PRELU", "float32", x, alpha, stored=slopes if stored else None)
        check(model, FLOATS, inputs=fed, runs=1)


def test_special_floats() -> None:
    x = np.repeat(SPECIAL[:, None], len(SPECIAL), 1)
    check(binary("PRELU", "float32", x.shape, SPECIAL.shape, stored=SPECIAL), FLOATS, inputs={0: x}, runs=1)


def test_without_avx512() -> None:
    """The delegate's kernel where the sign bit decides: -0 is multiplied too."""
    x = np.array([-0.0, 0.0, -2.0, 2.0, np.inf, -np.inf], np.float32)
    y = np.zeros_like(x)
    args = (x, np.full(1, -3, np.float32), np.array([[6], [1], [0]]), np.zeros(1, np.int64), y)
    jit.python_call(elementwise(prelu_avx2), args, 6)
    assert y.tolist() == [0, 0, 6, 2, np.inf, np.inf] and not np.signbit(y).any()


@pytest.mark.parametrize(("type", "slopes"), TYPES)
@pytest.mark.parametrize("far", [False, True])
def test_quantized(type: str, slopes: str, far: bool) -> None:
    rng = np.random.default_rng(2)
    for x, alpha in WIDE:
        least, most = (1e-5, 1e5) if far else (1e-3, 1.0)
        of_x, of_alpha, of_y = (quantization(t, rng, least, most) for t in (type, slopes, type))
        model = binary("PRELU", type, x, alpha, type_b=slopes, of_a=of_x, of_b=of_alpha, of_y=of_y)
        check(model, inputs={0: operand(type, x, rng), 1: operand(slopes, alpha, rng)}, runs=1)


@pytest.mark.parametrize("threads", [1, 2])
def test_threads(threads: int) -> None:
    rng = np.random.default_rng(3)
    check(binary("PRELU", "float32", (60, 60, 24), (1, 1, 24), stored=operand("float32", (1, 1, 24), rng)),
          ("reference", "default"), threads=threads)


def test_real_operators() -> None:
    compared = 0
    for _, index, model in operators("PRELU", 12):
        check(cut(model, index), ("reference", "default"), runs=1)
        compared += 1
    if not compared:
        pytest.skip("TINYINTERP_MODELS is not set")


def test_refusals() -> None:
    with pytest.raises(ShapeError, match=r"alpha \[2, 3\] does not broadcast to x \[3\]"):
        ours(binary("PRELU", "float32", (3,), (2, 3)))
    with pytest.raises(ShapeError, match="broadcastable"):
        ours(one_op("PRELU", [tensor("x", "float32", (4,)), tensor("alpha", "float32", (3,))], [tensor("y", "float32", (4,))]))
    with pytest.raises(UnsupportedOpError, match="no kernel takes inputs of type INT16, INT16"):
        ours(binary("PRELU", "int16", (4,), (4,)))
    with pytest.raises(UnsupportedOpError, match="INT32"):
        ours(binary("PRELU", "int32", (4,), (4,)))
    with pytest.raises(QuantError, match="needs one scale, has 0"):
        ours(binary("PRELU", "int8", (4,), (4,)))

