"""Fixed-point arithmetic against exact integers and real numbers."""

from __future__ import annotations

import numpy as np
import pytest

from tinyinterp.kernels.fixed_point import (
    divide_by_any_power_of_two,
    leading_sign_bits,
    leading_zeros,
    one_over_one_plus_x,
    reciprocal,
    saturating_shift_left,
)

VALUES = [0, 1, 2, 3, 127, 128, 65535, 65536, 2**30, 2**31 - 1, *np.random.default_rng(3).integers(0, 2**31, 200).tolist()]


@pytest.mark.parametrize("x", VALUES[:10])
def test_leading(x: int) -> None:
    assert leading_zeros(x) == 32 - x.bit_length()
    assert leading_sign_bits(x) == 31 - x.bit_length() == leading_sign_bits(-x - 1)


def test_reciprocals() -> None:
    for x in VALUES:
        assert abs(one_over_one_plus_x(x) - 2**31 / (1 + x / 2**31)) < 8  # Q2 has two bits less, and Newton's steps round
        if x:
            inverse, bits = reciprocal(x, 31)
            assert abs(inverse * x / 2.0**bits / 2**31 - 1) < 16 / 2**31  # x / 2**bits < 2
    assert [one_over_one_plus_x(x) for x in (0, 2**29, 2**30)] == [2**31 - 1, 1717986914, 1431655762]  # 1, 1/1.25, 1/1.5


def test_shifts() -> None:
    assert [divide_by_any_power_of_two(x, 1) for x in (-3, -2, -1, 1, 3)] == [-2, -1, -1, 1, 2]
    assert divide_by_any_power_of_two(5, 0) == 5
    # By 33: x86 shifts by 1, and the remainder, compared through a mask of all ones, rounds every x >= 0 up.
    assert [divide_by_any_power_of_two(x, 33) for x in (-3, 0, 4)] == [-2, 1, 3]
    assert [saturating_shift_left(x, 3) for x in (5, 2**29, -(2**29))] == [40, 2**31 - 1, -(2**31)]
