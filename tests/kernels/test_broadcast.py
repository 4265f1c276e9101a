"""The loops that binary operators share: which dimensions move together, and where the vector code of the builtins runs."""

from __future__ import annotations

import numpy as np
import pytest

from tests.harness import check, ours
from tests.kernels.operands import SHAPES, binary, operands, scales
from tinyinterp.errors import ShapeError
from tinyinterp.kernels.broadcast import five_fold, loops
from tinyinterp.schema import Model
from tinyinterp.schema.build import one_op, tensor


def test_loops_by_hand() -> None:
    assert loops((8, 1, 6, 5), (7, 1, 1)).tolist() == [[30, 7, 8], [1, 0, 30], [0, 1, 0]]
    assert loops((2, 3, 4), (2, 3, 4)).tolist() == [[24], [1], [1]]
    assert loops((2, 3, 4), (4,)).tolist() == [[4, 6], [1, 4], [1, 0]]
    assert loops((), (1, 1)).tolist() == [[1], [1], [1]]


@pytest.mark.parametrize(("a", "b"), SHAPES)
def test_loops_visit_what_numpy_does(a: tuple[int, ...], b: tuple[int, ...]) -> None:
    table = loops(a, b)
    size = int(np.prod(np.broadcast_shapes(a, b)))
    for shape, steps in ((a, table[1]), (b, table[2])):
        stretched = np.broadcast_to(np.arange(int(np.prod(shape))).reshape(shape), np.broadcast_shapes(a, b)).reshape(-1)
        at, rest = np.zeros(size, np.int64), np.arange(size)
        for n, step in zip(table[0], steps):
            at, rest = at + rest % n * step, rest // n
        assert at.tolist() == stretched.tolist()


def test_five_fold() -> None:
    assert five_fold(loops((3, 50), (3, 50)))
    assert five_fold(loops((2, 3, 1, 21), (2, 1, 4, 21)))
    assert five_fold(loops((2, 1, 3, 7), (2, 4, 3, 1)))
    assert not five_fold(loops((2, 1, 3, 1), (1, 2, 1, 3)))


def test_eight_dimensions() -> None:
    a, b = (2, 1, 2, 1, 2, 1, 2, 1), (1, 2, 1, 2, 1, 2, 1, 2)
    x, w = np.arange(16.0).reshape(a), np.arange(16.0).reshape(b) * 100
    for numerics in ("reference", "default"):
        assert np.array_equal(ours(binary("ADD", "float32", a, b), x, w, numerics=numerics)[0], x + w)


def test_more_dimensions_than_the_delegate_takes() -> None:
    of, rng = scales((0.02, 3), (0.05, -3), (0.06, 0)), np.random.default_rng(1)
    for a, b in (((1, 1, 1, 1, 2, 3, 16), (3, 16)), ((2, 1, 2, 1, 2, 1, 19), (2, 1, 2, 1, 2, 19))):
        check(binary("ADD", "int8", a, b, **of), runs=1)
        check(binary("MAXIMUM", "float32", a, b), ("reference", "default"), inputs=operands("float32", a, b, rng))


def test_nothing() -> None:
    for a, b in (((0, 3), (3,)), ((1,), (2, 0)), ((0,), (1,))):
        assert ours(binary("MAXIMUM", "float32", a, b))[0].shape == np.broadcast_shapes(a, b)


def test_refusals() -> None:
    with pytest.raises(ShapeError, match=r"ADD \(operator 0.*: Given shapes, \[2, 3\] and \[2\], are not broadcastable"):
        ours(with_shapes((2, 3), (2,)))
    with pytest.raises(ShapeError, match="broadcastable"):
        ours(with_shapes((0, 3), (2, 3)))
    with pytest.raises(ShapeError, match="a broadcast of 9 dimensions, at most 8"):
        ours(with_shapes((2,) * 9, (1,) * 9))
    with pytest.raises(ShapeError, match="input types FLOAT32 and INT32 differ"):
        ours(binary("ADD", "float32", (2,), (2,), type_b="int32"))


def with_shapes(a: tuple[int, ...], b: tuple[int, ...]) -> Model:
    return one_op("ADD", [tensor("a", "float32", a), tensor("b", "float32", b)], [tensor("y", "float32", (1,))])
