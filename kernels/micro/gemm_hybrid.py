"""8-bit products of matrices with floats as results: the tiles of `gemm_i8` and `gemm_amx`, another way out.

    acc = sum over k of a[m, k] * w[k, n]  -  zero[m] * total[n]          total: the sum of a column's weights
    y[m, n] = clamp(float32(acc) * scale[m] * w_scale[n] + bias[n])       in one of the orders of `hybrid.py`

a: unsigned bytes, w: int8. Each row has its scale and its zero point; `p_rows` tells where, since an image's rows share them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

from ..machine import microkernel
from .gemm_i8 import sums_of

if TYPE_CHECKING:
    from .vectors import Code, Value


def result(code: Code, tail: str, acc: Value, scale: Value, w_scale: Value, bias: Value) -> Value:
    """From sums to floats, as the function of that name in `hybrid.py`."""
    v = code.convert(acc, scale.kind)
    if tail == "fused":
        return code.fma(v * scale, w_scale, bias)
    if tail == "weight_first":
        return v * w_scale * scale + bias
    if tail == "row_first":
        return v * scale * w_scale + bias
    product = v * (scale * w_scale)
    return (product + code.constant(0.0, scale.kind) if tail == "from_zero" else product) + bias


def row_of(code: Code, params: Value, zeros: Value, distance: Value, lanes: int) -> tuple[Value, Value]:
    """(zero point, scale) of a row in every lane."""
    return (code.splat(code.load(zeros + distance, code.I32), code.vector(code.I32, lanes)),
            code.splat(code.load(params + distance, code.F32), code.vector(code.F32, lanes)))


@cache
def gemm_hybrid(mr: int, nr: int, lanes: int, vnni: bool, tail: str, single: bool) -> Callable[..., Any]:
    """The tile as a microkernel of (a, a_rows, runs, taps, quads, w, total, affine, scales, zeros, p_rows, y, y_rows, columns,
    lo, hi). total: address of NR sums of weights, affine: of NR scales of channels and NR biases; scales, zeros: of float32
    and int32 that lie p_rows (address of int64 [MR], bytes) from there for each row; the rest as in `gemm_i8`. single: all
    rows have one zero point, and in the place of `total` comes what the sums begin with."""
    vectors = nr // lanes

    @microkernel(*["int64"] * 14, "float32", "float32")
    def tile(code: Code, a: Value, a_rows: Value, runs: Value, taps: Value, quads: Value, w: Value, total: Value, affine: Value,
             scales: Value, zeros: Value, p_rows: Value, y: Value, y_rows: Value, columns: Value, lo: Value, hi: Value) -> None:
        word, kind = code.vector(code.I32, lanes), code.vector(code.F32, lanes)
        acc = sums_of(code, mr, nr, lanes, vnni, False, a, a_rows, runs, taps, quads, w, total if single else None)
        totals = [code.load(total + 4 * lanes * v, word) for v in range(vectors)]
        by, more = ([code.load(affine + 4 * (nr * half + lanes * v), kind) for v in range(vectors)] for half in range(2))
        least, most = code.splat(lo, kind), code.splat(hi, kind)

        def outputs() -> Any:
            for m in range(mr):
                zero, scale = row_of(code, scales, zeros, code.load(p_rows + 8 * m, code.I64), lanes)
                target = y + code.load(y_rows + 8 * m, code.I64)
                for v in range(vectors):
                    value = result(code, tail, acc[m][v] if single else acc[m][v] - zero * totals[v], scale, by[v], more[v])
                    yield v, code.least(most, code.most(least, value)), target + 4 * lanes * v

        with code.either(code.less(columns, code.constant(nr))) as (some, every):
            with some:
                masks = [code.first(columns - lanes * v, lanes) for v in range(vectors)]
                for v, value, target in outputs():
                    code.store_masked(value, target, masks[v])
            with every:
                for _, value, target in outputs():
                    code.store(value, target)

    return tile


FINISH = ("int64",) * 10 + ("float32",) * 2


@cache
def float_finisher(tail: str, single: bool) -> Callable[..., Callable[[Any], None]]:
    """As `finisher` of `gemm_amx.py`, for (sums, total, affine, scales, zeros, p_rows, y, y_rows, spare, columns, lo, hi).
    spare: 128 bytes; single: the sums need no zero point."""

    def finisher(code: Code, sums: Value, total: Value, affine: Value, scales: Value, zeros: Value, p_rows: Value, y: Value,
                 y_rows: Value, spare: Value, columns: Value, lo: Value, hi: Value) -> Callable[[Value], None]:
        word, kind = code.vector(code.I32, 16), code.vector(code.F32, 16)
        totals = [code.load(total + 64 * v, word) for v in range(2)]
        by, more = ([code.load(affine + 128 * half + 64 * v, kind) for v in range(2)] for half in range(2))
        least, most = code.splat(lo, kind), code.splat(hi, kind)
        masks = [code.first(columns - 16 * v, 16) for v in range(2)]

        def pair(first: Value) -> None:
            for row in (first, first + 1):
                zero, scale = row_of(code, scales, zeros, code.load(p_rows + row * 8, code.I64), 16)
                distance = code.load(y_rows + row * 8, code.I64)
                target = code.select(code.less(distance, code.constant(0)), spare, y + distance)
                for v in range(2):
                    acc = code.load(sums + row * 128 + 64 * v, word)
                    value = result(code, tail, acc if single else acc - zero * totals[v], scale, by[v], more[v])
                    code.store_masked(code.least(most, code.most(least, value)), target + 64 * v, masks[v])

        return pair

    return finisher
