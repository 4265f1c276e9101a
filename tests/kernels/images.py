"""Tensors and models that the tests of the window families share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from tests.harness import NUMERICS, cut, operators
from tinyinterp.schema import Model
from tinyinterp.schema.build import Part, tensor

SPECIAL = np.array([np.nan, -np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-40, -1e-40, 1.5, -2.0, 3e38, -3e38, 7.0], np.float32)
ZERO = {"float32": 0, "int8": -20, "uint8": 117, "int16": 0, "int32": 0}
RANGE = {"int8": (-128, 128), "uint8": (0, 256)}


def numerics(dtype: str) -> tuple[str, ...]:
    """Where bytes are promised: floats without the delegate only where the reference runs."""
    return NUMERICS if dtype != "float32" else ("reference", "default")


def image(name: str, dtype: str, shape: Sequence[int], scale: float = 0.05, zero_point: int | None = None) -> Part:
    """An activation; float32 and int32 without quantization."""
    if dtype in ("float32", "int32"):
        return tensor(name, dtype, shape)
    return tensor(name, dtype, shape, scale=scale, zero_point=ZERO[dtype] if zero_point is None else zero_point)


def weights(dtype: str, shape: Sequence[int], axis: int, seed: int, *, per_channel: bool = False, zero_point: int | None = None,
            fed: bool = False) -> tuple[Part, np.ndarray]:
    """Random weights with their scales: one, or one for each channel along `axis`. uint8 ones have a zero point."""
    rng = np.random.default_rng(seed)
    if dtype == "float32":
        return tensor("w", dtype, shape, data=None if fed else rng.normal(0, 1, shape).astype(np.float32)), np.ones(1, np.float32)
    scales = rng.uniform(0.004, 0.02, shape[axis] if per_channel else 1).astype(np.float32)
    zero = zero_point if zero_point is not None else 110 if dtype == "uint8" else 0
    return tensor("w", dtype, shape, scale=scales, zero_point=zero, axis=axis if per_channel else 0,
                  data=None if fed else rng.integers(*RANGE[dtype], shape)), scales


def bias(dtype: str, scales: np.ndarray, channels: int, seed: int, *, kind: str = "int32", scale: float = 0.05,
         fed: bool = False) -> Part:
    """A bias at scale sx * sw, as the official kernels insist for uint8."""
    rng = np.random.default_rng(seed)
    if dtype == "float32":
        return tensor("b", dtype, [channels], data=None if fed else rng.normal(0, 1, channels).astype(np.float32))
    value = None if fed else rng.integers(-3000, 3000, channels)
    return tensor("b", kind, [channels], scale=np.float32(scale) * scales, data=value)


def special(shape: Sequence[int], seed: int = 0) -> np.ndarray:
    """Floats of which half are special."""
    rng = np.random.default_rng(seed)
    return np.where(rng.random(shape) < 0.5, rng.choice(SPECIAL, shape), rng.normal(0, 2, shape)).astype(np.float32)


def real(code: str, types: Sequence[str], most: int = 10, work: float = 2e6) -> Iterator[tuple[str, str, Model]]:
    """Operators cut out of the given models whose image is of one of these types: (where, type, model), small ones only."""
    found = 0
    for path, i, whole in operators(code, 1000):
        model = cut(whole, i)
        part = model.subgraphs[0]
        inputs = [part.tensors[t] for t in part.operators[0].inputs if t >= 0]
        x = inputs[2 if code == "TRANSPOSE_CONV" else 0]
        y = part.tensors[part.operators[0].outputs[0]]
        size = float(np.prod(y.shape, dtype=float))
        if code in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV"):
            if inputs[1].type != x.type or not inputs[1].shape:
                continue
            channels = inputs[1].shape[3 if code == "DEPTHWISE_CONV_2D" else 0]
            size *= float(np.prod(inputs[1].shape, dtype=float)) / max(channels, 1)
        dtype = x.type.name.lower()
        if dtype in types and all(d > 0 for d in x.shape) and 0 < size <= work:
            yield f"{path.name} operator {i}", dtype, model
            found += 1
            if found == most:
                return


def run_all(cases: Iterator[tuple[str, str, Model]], compare: Any) -> int:
    """Compare each case where bytes are promised; how many there were."""
    count = 0
    for where, dtype, model in cases:
        for mode in numerics(dtype):
            assert compare(model, mode, runs=1) == [], f"{where}, {mode}"
        count += 1
    return count
