"""Hybrid convolutions and products of matrices: the 8-bit tiles of `gemm_int.py` and `gemm_amx.py` on floats made bytes.

The band of padded rows that those kernels copy is quantized on the way instead, unsigned: no byte is written that does not
stay in the cache until it is multiplied.

    by images    the least and greatest value of the images that a thread needs, found first; then band after band
    by rows      (FULLY_CONNECTED; CONV_2D of one cell) each row as it gets into the band: an image of M rows of one pixel
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from . import jit
from .contract import Arg, Call, Kernel, Maker, Scratch
from .dynamic import PARAMS
from .gemm import BLOCK, Product
from .gemm_int import LANES, best_tile, pack_quads, panels_of
from .hybrid import Form, floats, matrix_of
from .machine import address, fill_bytes, inline
from .micro.gemm_hybrid import gemm_hybrid
from .micro.quantize_rows import limits_of, quantize_row
from .numerics import channel_scales


class Band(NamedTuple):
    """What fills a band of quantized rows: two functions that kernels call."""

    images: Callable[..., Any]
    rows: Callable[..., Any]


@cache
def band_of(quantizer: str, by_row: bool, lanes: int) -> Band:
    params, limits, quantize = PARAMS[quantizer], limits_of(lanes), quantize_row(quantizer, lanes)

    @inline
    def settle(found: Any, scales: Any, zeros: Any, factors: Any, low: int, high: int) -> None:
        """Scales, zero points (128 more) and factors number low to high."""
        for i in range(low, high):
            scales[i], factors[i], zero = params(found[2 * (i - low)], found[2 * (i - low) + 1])
            zeros[i] = zero + 128

    @inline
    def images(x: Any, found: Any, scales: Any, zeros: Any, factors: Any, low: int, high: int) -> None:
        """Parameters of images low to high."""
        if not by_row:
            n = x.shape[1] * x.shape[2] * x.shape[3]
            for i in range(low, high):
                limits(address(x) + i * n * 4, n, address(found) + (i - low) * 8)
            settle(found, scales, zeros, factors, low, high)

    @inline
    def rows(x: Any, image: Any, found: Any, scales: Any, zeros: Any, factors: Any, tall: int, top: int, left: int, low: int,
             high: int) -> int:
        """As `padded_rows` of `gemm.py`, in bytes: rows low to high of x with its padding, which is the zero point."""
        row, before, inside = image.shape[1], left * x.shape[3], x.shape[2] * x.shape[3]
        whole, high = x.shape[1] * inside // 8 * 8, min(high, x.shape[0] * tall)
        if by_row:  # each step for all of them: its divisions need not be waited for
            for r in range(low, high):
                limits(address(x) + r * row * 4, row, address(found) + (r - low) * 8)
            settle(found, scales, zeros, factors, low, high)
        for r in range(low, high):
            n, i = r // tall, r % tall - top
            target = address(image) + (r - low) * row
            if by_row:
                quantize(address(x) + r * row * 4, target, row, row // 8 * 8, int(zeros[r]), factors[r])
            elif 0 <= i < x.shape[1]:
                fill_bytes(target, int(zeros[n]), before)
                quantize(address(x) + (n * x.shape[1] + i) * inside * 4, target + before, inside,
                         max(min(whole - i * inside, inside), 0), int(zeros[n]), factors[n])
                fill_bytes(target + before + inside, int(zeros[n]), row - before - inside)
            else:
                fill_bytes(target, int(zeros[n]), row)
        return address(image) - low * row  # type: ignore[no-any-return]

    return Band(images, rows)


def starts_of(single: bool) -> Callable[..., Any]:
    @inline
    def begin_sums(starts: Any, total: Any, zeros: Any) -> None:
        """What the sums of the one image begin with, so that nothing needs to be taken off them: [panels, NR]."""
        if single:
            for panel in range(starts.shape[0]):
                for column in range(starts.shape[1]):
                    starts[panel, column] = -zeros[0] * total[panel, column]

    return begin_sums


@cache
def conv_hybrid_run(mr: int, nr: int, level: str, form: Form) -> Callable[..., None]:
    """The driver for one tile size. units: tiles of pixels, or panels (by_panel)."""
    tile = gemm_hybrid(mr, nr, LANES[level], level in ("amx", "vnni"), form.tail, form.single)
    (images, rows), begin_sums = band_of(form.quantizer, form.rows, LANES[level]), starts_of(form.single)

    def run(x: Any, image: Any, found: Any, scales: Any, zeros: Any, factors: Any, tall: int, top: int, left: int, reach: int,
            w: Any, total: Any, starts: Any, affine: Any, groups: int, x_rows: Any, p_rows: Any, y_rows: Any, runs: Any, k: int,
            quads: int, block: int, by_panel: int, lo: Any, hi: Any, y: Any, begin: int, end: int) -> None:
        first, last = (0, x_rows.shape[0] // mr) if by_panel else (begin, end)
        panel0, panel1 = (begin, end) if by_panel else (0, w.shape[0])
        panels, row = w.shape[0] // groups, image.shape[1]
        out, size = y.shape[3] // groups, runs.shape[0] * quads * nr * 4
        images(x, found, scales, zeros, factors, x_rows[first * mr] // (row * tall), x_rows[last * mr - 1] // (row * tall) + 1)
        begin_sums(starts, total, zeros)
        total_at = address(starts) if form.single else address(total)
        at = first
        while at < last:
            count = min(block, last - at)
            base = rows(x, image, found, scales, zeros, factors, tall, top, left, x_rows[at * mr] // row,
                        x_rows[(at + count) * mr - 1] // row + reach)
            for panel in range(panel0, panel1):
                g, p = panel // panels, panel % panels
                for b in range(at, at + count):
                    tile(base + g * k, address(x_rows) + b * mr * 8, address(runs), runs.shape[0], quads,
                         address(w) + panel * size, total_at + panel * nr * 4, address(affine) + panel * nr * 8, address(scales),
                         address(zeros), address(p_rows) + b * mr * 8, address(y) + (g * out + p * nr) * 4,
                         address(y_rows) + b * mr * 8, out - p * nr, lo, hi)
            at += count

    return run


def matrix(call: Call) -> Product:
    """A product of matrices as a convolution: the rows are those of an image of one column, quantized one by one."""
    x, w, y = call.input(0), call.input(1), call.output
    assert w.known is not None
    units, depth = w.shape[0], w.size // w.shape[0]
    m = x.size // depth
    return Product(x.view(1, m, 1, depth), (1, m, 1, depth), matrix_of(w).reshape(units, 1, 1, depth), floats(call, 2, units),
                   (1, 1, 1, 1, 0, 0), y.view(1, m, 1, units), (1, m, 1, units))


def known(call: Call) -> bool:
    """Weights and bias are known before the first run, and there are any."""
    return call.input(1).size > 0 and all(o is None or o.known is not None for o in call.inputs[1:3])


def params_of(p: Product, rows: bool, band: Scratch) -> tuple[Arg, ...]:
    """Memory for the least and greatest values, and for scales, zero points and factors."""
    count = p.pixels if rows else p.x_shape[0]
    kinds = ((np.float32, 2 * (band.shape[0] if rows else count)), (np.float32, count), (np.int32, count), (np.float32, count))
    return tuple(Scratch(np.dtype(kind), (n,)) for kind, n in kinds)


def columns_of(call: Call, weights: np.ndarray, groups: int, nr: int, single: bool) -> tuple[Arg, ...]:
    """Sums of weights [panels, NR], memory for what the sums of products begin with, scales and biases [panels, 2, NR]."""
    channels = weights.shape[0]
    total, scales, bias = (panels_of(np.asarray(v), groups, nr) for v in (
        weights.sum(axis=1, dtype=np.int32), channel_scales(call.input(1), channels), floats(call, 2, channels)))
    return total, Scratch(np.dtype(np.int32), total.shape if single else (0, 0)), np.stack([scales, bias], axis=1)


def conv_hybrid(name: str, product: Callable[[Call], Product], form_of: Callable[[Call], Form | None],
                clamp: Callable[[Call], tuple[Any, Any]]) -> Maker:
    """Hybrid kernels of the tile size that suits the call. `form_of` may look at types only; None: not hybrid."""

    def make(call: Call) -> Kernel | None:
        level = jit.level()
        form = None if level == "portable" or jit.DISABLED else form_of(call)
        if form is None or not known(call):
            return None
        level = "vnni" if level == "amx" else level
        p = matrix(call) if form.rows else product(call)
        nr, mr, _ = best_tile(p.w.shape[0] // p.groups, p.pixels, p.w[0].size, False, level)
        tiles = -(-p.pixels // mr)
        panels = p.groups * -(-(p.w.shape[0] // p.groups) // nr)
        by_panel = tiles < 4 * call.threads

        def args(call: Call, params: None) -> tuple[Arg, ...]:
            x_rows, y_rows, runs, k = p.distances(1, mr)
            image, block = p.band(1, x_rows[::mr], x_rows[mr - 1 :: mr], BLOCK // (mr * runs.size * k), always=True)
            weights = p.w.reshape(p.w.shape[0], -1)
            p_rows = x_rows // (image.shape[1] * (1 if form.rows else p.edges[0]))
            return (p.x, image, *params_of(p, form.rows, image), *p.edges, pack_quads(weights, p.groups, nr, runs.size),
                    *columns_of(call, weights, p.groups, nr, form.single), p.groups, x_rows, p_rows * 4, y_rows * 4, runs, k,
                    -(-k // 4), block, int(by_panel), *clamp(call), p.y)

        return Kernel(f"{name}_hybrid_gemm_{mr}x{nr}_{form.quantizer}_{call.numerics}_{level}",
                      conv_hybrid_run(mr, nr, level, form), args, split=lambda call: panels if by_panel else tiles)

    return make
