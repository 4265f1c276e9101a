"""Fixed-point arithmetic against exact integers and real numbers."""

from __future__ import annotations

import numpy as np
import pytest

from tinyinterp.kernels.fixed_point import (
    divide_by_any_power_of_two,
    exp_on_negative_values,
    inverse_sqrt,
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


def test_exponential() -> None:
    """The series leaves out the fifth power of at most 1/8, over 120: 2**31 * exp(-1/8) / 8**5 / 120 = 482 steps."""
    for x in VALUES:
        assert abs(exp_on_negative_values(-x) - 2**31 * np.exp(-x / 2**26)) < 482 + 16
    assert [exp_on_negative_values(x) for x in (0, -(2**26), -(2**31))] == [2**31 - 1, 790015308, 0]  # 1, 1 / e, e**-32


def test_inverse_square_root() -> None:
    """Five Newton steps from 1, in real numbers, on x / 2 over the power of 4 that moves it into [1/4, 1). The cube of y
    is kept in Q9, whose half unit is 2**-23, and counts half; the two other products, in Q6, add 2**-26 each."""
    for x in VALUES[2:]:
        multiplier, shift = inverse_sqrt(x)
        scaled, y = x / 2, 1.0
        while scaled >= 1:
            scaled /= 4
        for _ in range(5):
            y = 1.5 * y - 0.5 * scaled * y**3
        assert abs(multiplier * 2.0 ** (shift - 31) / (y * (scaled / x) ** 0.5) - 1) < 2.0**-24 + 2 * 2.0**-26
    assert inverse_sqrt(0) == inverse_sqrt(1) == (2**31 - 1, 0)
