"""The fused way back to 8 bits: its steps are the definition's, for every channel, and so are the bytes of whole operators."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from tests.harness import check, every_kernel
from tests.kernels.images import RANGE
from tests.kernels.test_conv import conv
from tests.kernels.test_depthwise import depthwise
from tinyinterp.graph import link
from tinyinterp.kernels import fused, gemm_amx
from tinyinterp.kernels.fused import Fused
from tinyinterp.kernels.jit import DISABLED
from tinyinterp.kernels.micro import cpu
from tinyinterp.kernels.numerics import quantize_multipliers, requantize_builtin, requantize_double, requantize_reference
from tinyinterp.program import Program
from tinyinterp.schema import Activation, Model, Padding, build, read

ENDS = [(-128, -128, 127), (-128, 3, 127), (0, 0, 255), (0, 120, 255), (-90, -100, 50), (-128, 127, 127)]
DEFINED = {"reference": requantize_reference, "builtin": requantize_builtin, "double": requantize_double}


def answer(found: Fused, c: int, acc: int) -> int:
    """What `micro/fused.py` writes down, in whole numbers: the product and the sum, rounded once, ties to even."""
    u = (acc + int(found.offset[c])) % 2**32
    first, more, less = (int(v) for v in found.apart[:, c])
    negative = found.tail == "fused_twice" and u < first % 2**32
    u = (u + more) % 2**32 if negative else u
    top, bottom = float(found.factor[0, c]).as_integer_ratio()
    exact = (2**52 + u) * top + int(found.factor[1, c]) * bottom
    y, rest = divmod(exact, bottom)
    y += 2 * rest > bottom or (2 * rest == bottom and y % 2 == 1)
    assert 2**52 <= y < 2**53
    return ((y + 2**31) % 2**32 - 2**31) + (less if negative else 0)


@pytest.mark.parametrize("tail", DEFINED)
@pytest.mark.parametrize("ends", ENDS, ids=str)
def test_steps(tail: str, ends: tuple[int, int, int]) -> None:
    """Each step of y is where the definition's is: at the sum before it, at it, and far from it."""
    lo, zero, hi = ends
    rng, made = np.random.default_rng(abs(lo + zero)), 0
    for exponent in (1, 3, 6, 9, 11, 14, 17, 21, 24, 27):
        reals = np.append(rng.uniform(0.5, 1, 5), [0.5, 0.75]) * 2.0**-exponent
        multiplier, shift = (reals, np.zeros(7, np.int32)) if tail == "double" else quantize_multipliers(reals)
        found = fused.fused(tail, multiplier, shift, np.full(7, 1 << 27), zero, lo, hi)
        if found is None:
            continue
        made += 1
        steps = fused.steps(tail, multiplier, shift, np.arange(lo - zero + 1, hi - zero + 1))
        for c in range(7):
            far = rng.integers(-(1 << 27), 1 << 27, 20)
            for acc in (int(a) for a in np.concatenate([steps[c], steps[c] - 1, [0, -1, 1], far]) if abs(a) < 1 << 27):
                want = DEFINED[tail](acc, multiplier[c], shift[c]) + zero
                assert min(max(answer(found, c, acc), lo), hi) == min(max(want, lo), hi), (multiplier[c], shift[c], acc)
    assert made >= 5


def test_nearly_all_are_found() -> None:
    """Of 2000 channels of every size, all or all but a few."""
    rng = np.random.default_rng(0)
    for lo, zero, hi in ENDS[:4]:
        multiplier, shift = quantize_multipliers(2.0 ** rng.uniform(-14, -3, 2000))
        parts = [fused.fused("reference", multiplier[i : i + 10], shift[i : i + 10], np.full(10, 1 << 24), zero, lo, hi)
                 for i in range(0, 2000, 10)]
        assert sum(p is None for p in parts) <= 2


@pytest.mark.parametrize("real", [-0.01, 1.5])
def test_refused(real: float) -> None:
    """Multipliers that are no small positive numbers, sums that may wrap."""
    multiplier, shift = quantize_multipliers(np.array([0.01, real]))
    assert fused.fused("reference", multiplier, shift, np.full(2, 1 << 26), 0, -128, 127) is None
    assert fused.fused("reference", multiplier[:1], shift[:1], np.array([1 << 31]), 0, -128, 127) is None
    assert fused.fused("reference", multiplier[:1], shift[:1], np.array([1 << 20]), 0, 5, 5) is None


@pytest.mark.parametrize("zero", [-128, 3])
def test_channels_that_give_nothing(zero: int) -> None:
    """A multiplier of 0 or next to it leaves y's zero point, whatever the sum; the other channels do not mind."""
    multiplier, shift = quantize_multipliers(np.array([0.0, 0.01, 2.0**-40, 2.0**-28]))
    found = fused.fused("reference", multiplier, shift, np.array([1 << 31, 1 << 20, 1 << 31, 1 << 20]), zero, -128, 127)
    assert found is not None
    for acc in (-(1 << 20), -1, 0, 50, 1 << 20):
        assert [answer(found, c, acc) for c in (0, 2, 3)] == [zero] * 3
        want = requantize_reference(acc, multiplier[1], shift[1]) + zero
        assert min(max(answer(found, 1, acc), -128), 127) == min(max(want, -128), 127)


@pytest.fixture(params=["amx", "vnni", "avx512", "avx2"])
def level(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An instruction set that this processor has."""
    monkeypatch.setenv("TINYINTERP_ISA", request.param)
    cpu.level.cache_clear()
    if DISABLED or cpu.level() != request.param:
        cpu.level.cache_clear()
        pytest.skip(f"no {request.param}")
    yield request.param
    monkeypatch.undo()
    cpu.level.cache_clear()


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_operators(level: str, dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Convolutions with one kind of sums and with both, all bytes as defined; the tail that they have is the fused one."""
    if level == "amx":
        monkeypatch.setattr(gemm_amx, "best_tile", lambda *a: (16, 1, float("inf")))
    rng = np.random.default_rng(3)
    for act, out in ((Activation.NONE, 0.3), (Activation.RELU, 0.2), (Activation.RELU6, 0.05), (Activation.NONE, 3.0)):
        for x, w in (((5, 7, 16), (35, 1, 1)), ((6, 6, 70), (64, 3, 3)), ((4, 4, 3), (5, 3, 3))):
            model = conv(dtype, x, w, act=act, per_channel=dtype == "int8", out_scale=out, padding=Padding.SAME)
            values = rng.integers(*RANGE[dtype], (2, *x))
            assert every_kernel(model, "reference", values) > 1
            check(model, ("reference", "builtin"), inputs={0: values.astype(dtype)}, runs=1)


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_depthwise(level: str, dtype: str) -> None:
    """Few channels and many, both kinds of sums."""
    rng = np.random.default_rng(4)
    for act, out in ((Activation.NONE, 0.3), (Activation.RELU6, 0.05)):
        for x, k in (((6, 7, 5), 3), ((5, 6, 70), 3), ((9, 4, 130), 5)):
            model = depthwise(dtype, x, 1, (k, k), act=act, per_channel=dtype == "int8", out_scale=out)
            values = rng.integers(*RANGE[dtype], (2, *x))
            assert every_kernel(model, "reference", values) > 1
            check(model, ("reference", "builtin"), inputs={0: values.astype(dtype)}, runs=1)


@pytest.mark.skipif(DISABLED or cpu.level() == "portable", reason="about machine code")
@pytest.mark.parametrize("model", [conv("int8", (5, 7, 16), (35, 1, 1)), depthwise("int8", (5, 7, 16), 1, (3, 3))])
def test_is_chosen(model: Model) -> None:
    graph = link(read(build(model)), 0)
    program = Program(graph, {t: graph.tensors[t].shape for t in graph.inputs}, "reference", 1)
    assert "fused" in program.plan.steps[0].kernel.name
