"""TRANSPOSE_CONV as tiles of a GEMM: one convolution of stride 1 for each phase of the output.

With i + top = a * SH + p0, the taps that hit output row i are p0 + u * SH, and they find their values in row a - u of x;
columns go likewise. So the outputs of one phase (p0, q0) share their taps and are a product of matrices as in `gemm.py`,
whose tiles do the work: a pixel's values lie at the same distances from its own corner, in an image with its padding where
the taps reach over an edge. Tiles of all phases are counted through.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from . import jit
from .contract import BUILTIN, DELEGATE, ROOM, Arg, Call, Kernel, Maker, Scratch
from .gemm import BLOCK, LANES, Product, best_tile, pack_f32, padded_rows
from .gemm_int import LANES as INT_LANES
from .gemm_int import best_tile as best_int_tile
from .gemm_int import pack_quads, panels_of, split_weights, wrapped
from .machine import address

Args = Callable[[Call, None], tuple[Any, ...]]


class Phase(NamedTuple):
    """Outputs that share their taps."""

    taps: np.ndarray  # [taps] of the window, row by row
    runs: np.ndarray  # [taps] distance of each from a pixel's corner
    x_rows: np.ndarray  # [tiles * MR] distance of every pixel's corner
    y_rows: np.ndarray  # [tiles * MR] distance of every pixel in y


class Plan(NamedTuple):
    """What does not depend on values. Distances in elements."""

    phases: list[Phase]
    edges: tuple[int, int, int, int]  # rows of an image with its padding, top, left, rows under the taps of a pixel
    columns: int  # of such an image, 0 when nothing reaches over an edge


def plan(call: Call, strides: tuple[int, int, int, int], mr: int, backwards: bool) -> Plan:
    """The phases of a call. backwards: taps from the last to the first."""
    (_, kh, kw, _), (n, h, width, c), y = call.input(1).shape, call.input(2).shape, call.output.shape
    sh, sw, top, left = strides
    a, b = (np.arange(y[1]) + top) // sh, (np.arange(y[2]) + left) // sw
    above, before = max(-(-kh // sh) - 1, 0), max(-(-kw // sw) - 1, 0)
    tall, wide = max(int(a.max()) + 1, h) + above, max(int(b.max()) + 1, width) + before
    made = []
    for p0 in range(sh):
        for q0 in range(sw):
            i, j = (np.nonzero((np.arange(size) + lead) % step == first)[0]
                    for size, lead, step, first in ((y[1], top, sh, p0), (y[2], left, sw, q0)))
            pixels = n * i.size * j.size
            if not pixels:
                continue
            turn = -1 if backwards else 1
            p, q = (v.reshape(-1) for v in np.meshgrid(np.arange(p0, kh, sh)[::turn], np.arange(q0, kw, sw)[::turn],
                                                       indexing="ij"))
            corner = ((np.arange(n)[:, None, None] * tall + a[i][:, None]) * wide + b[j]) * c
            target = ((np.arange(n)[:, None, None] * y[1] + i[:, None]) * y[2] + j) * y[3]
            whole = np.minimum(np.arange(-(-pixels // mr) * mr), pixels - 1)  # past the end: the last one again
            made.append(Phase(p * kw + q, ((above - p // sh) * wide + before - q // sw) * c,
                              corner.reshape(-1)[whole], target.reshape(-1)[whole]))
    return Plan(made, (tall, above, before, above + 1), 0 if (tall, wide) == (h, width) else wide)


def table_of(phases: Sequence[Phase], mr: int, passes: int, weights: Sequence[int]) -> np.ndarray:
    """[phases, 5] int64: first and last tile, first run, number of runs, where the weights start."""
    made, tile, run, at = np.zeros((len(phases), 5), np.int64), 0, 0, 0
    for f, (phase, size) in enumerate(zip(phases, weights)):
        tiles = phase.x_rows.size // mr
        made[f] = tile, tile + tiles, run, phase.runs.size * passes, at
        tile, run, at = tile + tiles, run + phase.runs.size * passes, at + size
    return made


def band(call: Call, made: Plan, mr: int, itemsize: int, always: bool = False) -> tuple[Scratch, int]:
    """Memory for the padded rows of a block, and the tiles of a block. always: even without padding."""
    c = call.input(2).shape[3]
    deepest = max(max(phase.runs.size for phase in made.phases) * c * itemsize, 1)
    most = max(BLOCK // (mr * deepest), 1)
    if not made.columns and not always:
        return Scratch(np.dtype(np.uint8), (0, 0)), most
    line = (made.columns or call.input(2).shape[2]) * c
    ends = [(phase.x_rows[::mr] // line, phase.x_rows[mr - 1 :: mr] // line + made.edges[3]) for phase in made.phases]

    def rows(tiles: int) -> int:
        n = [min(tiles, low.size) for low, _ in ends]
        return max(int((high[k - 1 :] - low[: low.size - k + 1]).max()) for k, (low, high) in zip(n, ends))

    limit = max(ROOM // (line * itemsize), 2 * rows(1))
    while most > 1 and rows(most) > limit:
        most = -(-most * 3 // 4) if most > 4 else most - 1
    return Scratch(np.dtype(np.uint8), (rows(most), line * itemsize)), most


def joined(arrays: Sequence[np.ndarray]) -> np.ndarray:
    """One after the other; at least one element, since what is empty has no address."""
    made = np.concatenate([np.ascontiguousarray(a).reshape(-1) for a in arrays])
    return made if made.size else np.zeros(1, made.dtype)


# -------------------------------------------------------------------------------------------------------------- float32
@cache
def float_phases(mr: int, nr: int, lanes: int, fused: bool) -> Callable[..., None]:
    """The driver for float32. units: tiles."""
    from .micro.gemm_f32 import gemm_f32

    tile = gemm_f32(mr, nr, lanes, fused)

    def run(x: Any, image: Any, tall: int, top: int, left: int, reach: int, w: Any, x_rows: Any, y_rows: Any, runs: Any,
            phases: Any, block: int, lo: Any, hi: Any, y: Any, begin: int, end: int) -> None:
        base, k = address(x), x.shape[3]
        for f in range(phases.shape[0]):
            at, last = max(begin, phases[f, 0]), min(end, phases[f, 1])
            depth = (1 + phases[f, 3] * k) * nr * 4
            while at < last:
                count = min(block, last - at)
                if image.shape[0] > 0:
                    base = padded_rows(x, image, tall, top, left, 0, 4, x_rows[at * mr] // image.shape[1],
                                       x_rows[(at + count) * mr - 1] // image.shape[1] + reach)
                for p in range((y.shape[3] + nr - 1) // nr):
                    for b in range(at, at + count):
                        tile(base, address(x_rows) + b * mr * 8, address(runs) + phases[f, 2] * 8, phases[f, 3], k,
                             address(w) + phases[f, 4] * 4 + p * depth, address(y) + p * nr * 4,
                             address(y_rows) + b * mr * 8, y.shape[3] - p * nr, lo, hi)
                at += count

    return run


def transpose_float(is_float: Callable[[Call], bool], settle: Args) -> Maker:
    """The float32 kernel; `settle` is the definition's args: x, w, bias, strides and padding, limits, y."""

    def make(call: Call) -> Kernel | None:
        if call.numerics == BUILTIN or jit.isa() == "portable" or not possible(call) or not is_float(call):
            return None
        w, known = call.input(1), np.asarray(call.input(1).known)
        x, _, bias, *strides, lo, hi, y = settle(call, None)
        if not isinstance(bias, np.ndarray) or not (np.isfinite(bias).all() and np.isfinite(known).all()):
            return None
        fused, (sh, sw, top, left) = call.numerics == DELEGATE, strides
        if fused and (sh > w.shape[1] or sw > w.shape[2]):  # taps that do not count are multiplied there, too
            return None
        weights = known.reshape(w.shape[0], -1, 1, w.shape[3])
        pixels = -(-call.output.size // (w.shape[0] * sh * sw))
        stand_in = Product(x, call.input(2).shape, weights, bias, (1, 1, 1, 1, 0, 0), y, (1, 1, pixels, w.shape[0]))
        nr, mr = best_tile(stand_in, jit.isa())
        made = plan(call, (sh, sw, top, left), mr, not fused)

        def args(call: Call, params: None) -> tuple[Arg, ...]:
            packed = [pack_f32(weights[:, phase.taps], bias, 1, nr) for phase in made.phases]
            image, block = band(call, made, mr, 4)
            return (x, image, *made.edges, joined(packed), joined([p.x_rows * 4 for p in made.phases]),
                    joined([p.y_rows * 4 for p in made.phases]), joined([p.runs * 4 for p in made.phases]),
                    table_of(made.phases, mr, 1, [p.size for p in packed]), block, lo, hi, y)

        return Kernel(f"transpose_conv_gemm_{mr}x{nr}_float32_{call.numerics}_{jit.isa()}",
                      float_phases(mr, nr, LANES[jit.isa()], fused), args, split=lambda call: tiles(made, mr))

    return make


# --------------------------------------------------------------------------------------------------------------- 8 bits
@cache
def int_phases(mr: int, nr: int, level: str, tail: str, signed: bool) -> Callable[..., None]:
    """The driver for 8 bits. units: tiles."""
    from .micro.gemm_i8 import gemm_i8

    tile = gemm_i8(mr, nr, INT_LANES[level], level in ("amx", "vnni"), tail, signed, signed)

    def run(x: Any, image: Any, tall: int, top: int, left: int, reach: int, fill: int, w: Any, bias: Any,
            multiplier: Any, shift: Any, x_rows: Any, y_rows: Any, runs: Any, phases: Any, block: int, y_zero: int, lo: int,
            hi: int, y: Any, begin: int, end: int) -> None:
        base, quads, panels = address(x), (x.shape[3] + 3) // 4, multiplier.shape[0]
        for f in range(phases.shape[0]):
            at, last = max(begin, phases[f, 0]), min(end, phases[f, 1])
            depth = phases[f, 3] * quads * nr * 4
            while at < last:
                count = min(block, last - at)
                if image.shape[0] > 0:
                    base = padded_rows(x, image, tall, top, left, fill, 1, x_rows[at * mr] // image.shape[1],
                                       x_rows[(at + count) * mr - 1] // image.shape[1] + reach)
                for p in range(panels):
                    for b in range(at, at + count):
                        tile(base, address(x_rows) + b * mr * 8, address(runs) + phases[f, 2] * 8, phases[f, 3], quads,
                             0, 0, address(w) + phases[f, 4] + p * depth, address(bias) + (f * panels + p) * nr * 4,
                             address(multiplier) + p * nr * 4, address(shift) + p * nr * 4, address(y) + p * nr,
                             address(y_rows) + b * mr * 8, y.shape[3] - p * nr, y_zero, lo, hi)
                at += count

    return run


def transpose_8bit(is_8bit: Callable[[Call], bool], settle: Args) -> Maker:
    """The 8-bit kernel; `settle` is the definition's args."""

    def make(call: Call) -> Kernel | None:
        level = jit.level()
        if level == "portable" or not possible(call) or not is_8bit(call):
            return None
        w, known, signed = call.input(1), np.asarray(call.input(1).known), call.input(1).dtype == np.int8
        x, _, bias, multiplier, shift, x_zero, w_zero, *strides, y_zero, lo, hi, y = settle(call, None)
        tail = tail_of(call)
        if not isinstance(bias, np.ndarray) or tail is None or int(known.max()) - w_zero >= 255:
            return None
        channels, c = w.shape[0], w.shape[3]
        # No sum wraps, and no scaled one leaves what a conversion to int32 takes.
        most = w.size // channels * 255 * 255 + np.abs(bias.astype(np.int64))
        if most.max() >= 2**31 or (multiplier.dtype.kind == "f" and (most * multiplier.astype(np.float64)).max() >= 2**30):
            return None
        sh, sw, top, left = strides
        nr, mr, _ = best_int_tile(channels, -(-call.output.size // (channels * sh * sw)), w.size // channels // (sh * sw),
                                  signed, level)
        made = plan(call, (sh, sw, top, left), mr, False)
        weights = known.reshape(channels, -1)
        low, high = split_weights(weights, w_zero)

        def args(call: Call, params: None) -> tuple[Arg, ...]:
            packed, sums = [], []
            for phase in made.phases:
                parts = [v.reshape(channels, -1, c)[:, phase.taps].reshape(channels, -1) for v in (low, high) if v is not None]
                packed.append(np.concatenate([quads_of(v, nr, phase.taps.size) for v in parts], axis=1))
                total = sum(v.sum(axis=1, dtype=np.int64) for v in parts)
                sums.append(panels_of(wrapped(bias.astype(np.int64) - (x_zero + 128 * signed) * total), 1, nr))
            passes = 1 if high is None else 2
            image, block = band(call, made, mr, 1)
            return (x, image, *made.edges, x_zero & 255, joined(packed), joined(sums), panels_of(multiplier, 1, nr),
                    panels_of(shift, 1, nr), joined([p.x_rows for p in made.phases]), joined([p.y_rows for p in made.phases]),
                    joined([p.runs for p in made.phases for _ in range(passes)]),
                    table_of(made.phases, mr, passes, [p.size for p in packed]), block, y_zero, lo, hi, y)

        used = "vnni" if level == "amx" else level
        return Kernel(f"transpose_conv_gemm_{mr}x{nr}_{call.output.dtype}_{call.numerics}_{used}",
                      int_phases(mr, nr, used, tail, signed), args, split=lambda call: tiles(made, mr))

    return make


def quads_of(w: np.ndarray, nr: int, taps: int) -> np.ndarray:
    """[panels, taps * quads, NR, 4]; no taps, no weights."""
    return pack_quads(w, 1, nr, taps) if taps else np.zeros((-(-w.shape[0] // nr), 0, nr, 4), np.int8)


def tail_of(call: Call) -> str | None:
    """The way back to 8 bits when it is one for all of y: the builtin kernels change over for what no group takes."""
    if call.numerics != BUILTIN:
        return "delegate" if call.numerics == DELEGATE else "reference"
    size, group = (call.output.size, 16) if call.output.dtype == np.uint8 else (call.output.shape[3], 8)
    return "builtin" if size % group == 0 else "reference" if size < group else None


def tiles(made: Plan, mr: int) -> int:
    return sum(phase.x_rows.size // mr for phase in made.phases)


def possible(call: Call) -> bool:
    """There is a compiler, and the weights are known."""
    return not jit.DISABLED and call.input(1).known is not None and call.output.size > 0
