"""ADD, SUB and MUL by formulas proved when the model is lowered: every pair of operands gives the definition's byte."""

from __future__ import annotations

import numpy as np
import pytest

from tests.harness import every_kernel
from tests.kernels.operands import binary, scales
from tinyinterp.kernels.jit import DISABLED
from tinyinterp.kernels.weighted import BYTES, in_parts, proved
from tinyinterp.schema import options

SCALES = [(0.0513, 0.0382, 0.0917), (0.02, 0.05, 0.06), (0.05, 0.05, 0.1), (0.011, 0.7, 0.3), (0.3, 0.3, 0.001), (1.0, 1.0, 1.0)]


@pytest.mark.parametrize("numerics", ["reference", "default"])
@pytest.mark.parametrize("name", ["ADD", "SUB", "MUL"])
@pytest.mark.parametrize("type", ["int8", "uint8"])
def test_every_pair(type: str, name: str, numerics: str) -> None:
    least = np.iinfo(type).min
    a, b = (v.astype(type) for v in np.meshgrid(np.arange(least, least + 256), np.arange(least, least + 256)))
    for i, steps in enumerate(SCALES):
        quantized = scales(*zip(steps, (least + 128, least + 3 + 40 * i, least + 128 - 20 * i)))
        option = {"ADD": options.AddOptions, "SUB": options.SubOptions, "MUL": options.MulOptions}[name]()
        found = every_kernel(binary(name, type, a.shape, b.shape, option, **quantized), numerics, a, b)
        assert found >= (1 if DISABLED else 2)


def test_a_proof_holds_and_parts_make_up_the_whole() -> None:
    y = np.round((BYTES[:, None] - 17) * 0.3137 + (BYTES - 200) * -0.8319).astype(np.int64)
    found = proved(y, 0.3137, -0.8319, -128, 127)
    assert found is not None
    ka, kb, c, shift = found
    assert (np.clip(((BYTES * ka)[:, None] + BYTES * kb + c) >> shift, -128, 127) == np.clip(y, -128, 127)).all()
    parts = in_parts(ka, kb, c, shift, 0, -128, 127)
    assert parts is not None
    fine, whole, rest, low, high, more, lo, hi = parts
    (fa, fb), (wa, wb) = (np.array(v, np.int32).reshape(1).view(np.int16).astype(np.int64) for v in (fine, whole))
    first = ((BYTES * fa)[:, None] + BYTES * fb + rest) >> low
    assert (np.clip(((first + (BYTES * wa)[:, None] + BYTES * wb) >> high) + more, lo, hi) == np.clip(y, lo, hi)).all()


def test_what_no_weighted_sum_gives() -> None:
    halves = np.trunc((BYTES[:, None] + BYTES - 255) / 2 + np.sign(BYTES[:, None] + BYTES - 255) * 0.5).astype(np.int64)
    assert proved(halves, 0.5, 0.5, -128, 127) is None  # halves away from zero, on both sides of it
    assert in_parts(1 << 40, 1, 0, 20, 0, -128, 127) is None
