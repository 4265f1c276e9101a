"""Depthwise convolutions of bytes: few channels along flat rows, many by groups of pixels.

Few channels leave most of a vector empty: then a vector covers neighbouring pixels (`micro/depthwise_flat.py`).

    for each group of output rows of a thread's share:
        copy the rows under it that are not there yet, with their padding, into a ring of rows (a window of one column: no copy)
        all pixels and channels of the group, vector by vector

With a stride along the row its pixels are copied in `stride` runs, every stride-th pixel in each, so that the taps of
neighbouring outputs are neighbours again. What the copy costs, many channels save (`micro/depthwise.py`):

    for each output row of a thread's share:
        the addresses of the KH rows under it, 0 for those outside the image
        for each group of PX pixels (the last one overlapping the one before): all channels
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from . import jit
from .contract import BUILTIN, REFERENCE, Arg, Call, Kernel, Maker, Scratch
from .conv import bias_or_zeros, window
from .gemm_int import known, split_weights, wrapped
from .machine import address, fill_bytes
from .micro.copy import copy_runs, flip_runs
from .micro.depthwise import depthwise_i8, lane_order
from .micro.depthwise_flat import depthwise_flat, spread_pixels
from .numerics import product_scales, quantized_range
from .windows import LANES, pixels

CACHE = 1 << 15  # bytes of weights or rows that stay in the first-level cache
RING = 1 << 22  # bytes: more only for dilations far beyond an image


class Form(NamedTuple):
    """What the microkernels need to know but the window."""

    lanes: int
    vnni: bool
    tail: str
    signed: bool
    twice: bool  # weights that one byte cannot hold
    whole: bool  # the clamp is the type's own


@cache
def depthwise_rows_i8(kh: int, kw: int, sw: int, dilated: bool, px: int, form: Form) -> Callable[..., None]:
    """The driver for 8 bits. units: rows of y."""
    group = depthwise_i8(kh, kw, sw, dilated, px, *form)

    def run(x: Any, outside: Any, starts: Any, single: int, w: Any, bias: Any, multiplier: Any, shift: Any, table: Any,
            sh: int, sw: int, dh: int, dw: int, top: int, left: int, y_zero: int, lo: int, hi: int, y: Any, begin: int,
            end: int) -> None:
        rows = address(table)
        line = x.shape[2] * x.shape[3]
        for row in range(begin, end):
            n, i = row // y.shape[1], row % y.shape[1]
            for p in range(table.shape[0]):
                r = i * sh + p * dh - top
                table[p] = address(x) + (n * x.shape[1] + r) * line if 0 <= r < x.shape[1] else 0
            j = 0
            while j < y.shape[2]:
                at = min(j, y.shape[2] - px)
                group(rows, at * sw - left, dw, x.shape[2], x.shape[3], address(outside), address(starts), single, address(w),
                      address(bias), address(multiplier), address(shift), address(y) + (row * y.shape[2] + at) * y.shape[3],
                      y_zero, lo, hi)
                j += px

    return run


@cache
def depthwise_ring(under: tuple[tuple[int, ...], ...], kw: int, form: Form) -> Callable[..., None]:
    """The driver. units: groups of output rows; under: the rows of x under each row of a group, from the first one."""
    height, users = shared_rows(under)
    group, together = depthwise_flat(len(height), kw, users, *form, False), len(under)
    reach, copy = height[-1] + 1, flip_runs if form.signed else copy_runs
    spread = spread_pixels(-128 if form.signed else 0)

    def run(x: Any, ring: Any, table: Any, distances: Any, columns: Any, starts: Any, period: int, w: Any, bias: Any,
            multiplier: Any, shift: Any, sh: int, top: int, pieces: Any, fill: int, y_zero: int, lo: int, hi: int, y: Any,
            begin: int, end: int) -> None:
        groups, cell, slots, have = -(-y.shape[1] // together), x.shape[3], ring.shape[0], 0
        step, size = (pieces.shape[0] * cell, cell) if pieces.shape[0] > 1 else (0, x.shape[2] * cell)
        n, g = begin // groups, begin % groups
        fill_bytes(address(ring), fill, slots * ring.shape[1])
        for _ in range(begin, end):
            i = min(g * together, y.shape[1] - together)
            for r in range(max(have, i * sh), i * sh + reach):
                here = address(ring) + (r & (slots - 1)) * ring.shape[1]
                if 0 <= r - top < x.shape[1]:
                    source = address(x) + (n * x.shape[1] + r - top) * x.shape[2] * cell
                    for k in range(pieces.shape[0]):
                        target, first, more = here + pieces[k, 0], source + pieces[k, 1], pieces[k, 2] - 1
                        if more > 0:
                            spread(target, first, step, more, cell)
                        if more >= 0:  # the last one, or a whole row
                            copy(target + more * cell, cell, first + more * step, step, 1, size)
                else:
                    fill_bytes(here, fill, ring.shape[1])
            have = i * sh + reach
            for k in range(table.shape[0]):
                table[k] = address(ring) + ((i * sh + distances[k]) & (slots - 1)) * ring.shape[1]
            group(address(table), address(columns), address(starts), starts.shape[0], period, y.shape[2] * cell, address(w),
                  address(bias), address(multiplier), address(shift), address(y) + (n * y.shape[1] + i) * y.shape[2] * cell,
                  y_zero, lo, hi)
            g += 1
            if g == groups:
                n, g, have = n + 1, 0, 0

    return run


@cache
def depthwise_lines(under: tuple[tuple[int, ...], ...], kw: int, form: Form) -> Callable[..., None]:
    """The driver for rows that need no copy. units: groups of output rows."""
    height, users = shared_rows(under)
    group, together = depthwise_flat(len(height), kw, users, *form, True), len(under)

    def run(x: Any, outside: Any, table: Any, distances: Any, columns: Any, starts: Any, period: int, w: Any, bias: Any,
            multiplier: Any, shift: Any, sh: int, top: int, y_zero: int, lo: int, hi: int, y: Any, begin: int, end: int) -> None:
        groups, line, size = -(-y.shape[1] // together), x.shape[2] * x.shape[3], y.shape[2] * y.shape[3]
        for unit in range(begin, end):
            n, i = unit // groups, min(unit % groups * together, y.shape[1] - together)
            for k in range(table.shape[0]):
                r = i * sh + distances[k] - top
                table[k] = address(x) + (n * x.shape[1] + r) * line if 0 <= r < x.shape[1] else address(outside)
            group(address(table), address(columns), address(starts), starts.shape[0], period, size, address(w), address(bias),
                  address(multiplier), address(shift), address(y) + (n * y.shape[1] + i) * size, y_zero, lo, hi)

    return run


def shared_rows(under: tuple[tuple[int, ...], ...]) -> tuple[list[int], list[list[int]]]:
    """(the rows under a group, which quads of them each of its rows needs)."""
    height = sorted({r for rows in under for r in rows})
    return height, [sorted({height.index(r) // 4 for r in rows}) for rows in under]


def depthwise_8bit(is_8bit: Callable[[Call], bool]) -> Maker:
    """The 8-bit kernel for a call's window."""

    def make(call: Call) -> Kernel | None:
        if not pixels(call) or not is_8bit(call) or not known(call) or not bounded(call):
            return None
        signed, channels, kh = call.input(0).dtype == np.int8, call.input(0).shape[3], call.input(1).shape[1]
        tail = call.numerics
        if tail == BUILTIN:  # int8 takes whole groups of eight channels its own way, uint8 takes the reference's
            if signed and channels % 8:
                return None
            tail = BUILTIN if signed else REFERENCE
        low, high = split_weights(weights(call), zero_of(call))
        lo, hi = quantized_range(call.options.fused_activation_function, call)
        level = "vnni" if jit.level() == "amx" else jit.level()
        form = Form(LANES[level], level == "vnni", tail, signed, high is not None, hi - lo == 255)
        way = flat if is_narrow(call) or (kh > 4 and is_direct(call, form)) else grouped
        made = way(call, form, low, high, (call.output.zero_point, lo, hi))
        if made is None:
            return None
        name, run, args, units = made
        return Kernel(f"depthwise_{name}_{call.input(0).dtype}_{call.numerics}_{level}", run, args, split=lambda _: units)

    return make


def is_narrow(call: Call) -> bool:
    """Whether the channels leave so much of a vector empty that the copy of the rows pays. Measured: level at 96 channels, with
    a stride, which copies more, at 64."""
    channels = call.input(0).shape[3]
    return channels < 64 or (call.options.stride_w == 1 and channels < 96)


def is_direct(call: Call, form: Form) -> bool:
    """Whether the rows of x are taken as they lie: the window is one column and needs no padding beside them, no stride along
    them. Bytes under a mask are for 64 lanes. Measured: wider windows gain nothing against a copy."""
    return form.lanes == 16 and call.input(1).shape[2] == 1 and (call.options.stride_w == 1 or call.output.shape[2] == 1)


Made = tuple[str, Callable[..., None], Callable[[Call, None], tuple[Arg, ...]], int]


def flat(call: Call, form: Form, low: np.ndarray, high: np.ndarray | None, ends: tuple[int, int, int]) -> Made | None:
    """(name, driver, arguments, units) for few channels; None when a ring of rows would be out of proportion."""
    x, at, (n, oh, ow, channels), (kh, kw, _) = call.input(0), window(call), call.output.shape, low.shape
    sw, columns = at.stride_w, max((ow - 1) * at.stride_w + (kw - 1) * at.dilation_w + 1, at.left + x.shape[2])
    half = -(-(-(-columns // sw) * channels + 64) // 64) * 64  # bytes of every sw-th pixel of a row
    direct = is_direct(call, form)
    most = form.lanes // 4 if direct or 8 * half * sw < CACHE else 2  # long rows: few fit the first-level cache
    under = best_group(kh, kw, at.stride_h, at.dilation_h, oh, most)
    height, users = shared_rows(under)
    slots = 1 << height[-1].bit_length()
    if not direct and slots * half * sw > RING:
        return None

    def args(call: Call, params: None) -> tuple[Arg, ...]:
        wide = 4 * form.lanes
        period = math.lcm(channels, wide)
        if period * kw * sum(map(len, users)) * 4 > CACHE or period > 2 * ow * channels:
            period = channels * max(wide // channels, 1)
        starts = chunk_channels(period, wide)[:, 0]
        take = (starts[:, None] + lane_order(form.lanes)) % channels
        w = np.stack([pack_rows(v, under, take) for v in (low, high) if v is not None], axis=1)
        folded: tuple[Arg, ...] = (
            np.stack([starts, np.maximum(-(-(ow * channels - starts) // period), 0)], axis=1), period, w,
            *requantization(call, take), at.stride_h, at.top)
        if direct:
            outside = np.full(columns * channels, x.zero_point, x.dtype)
            return (x.view(), outside, Scratch(np.dtype(np.int64), (len(height),)), np.array(height, np.int64),
                    np.arange(kw) * at.dilation_w * channels, *folded, *ends, call.output.view())
        taps, phases = np.arange(kw) * at.dilation_w, np.arange(sw)
        before = np.maximum(-(-(at.left - phases) // sw), 0)
        first = phases + before * sw - at.left
        count = np.maximum(-(-(x.shape[2] - first) // sw), 0) if sw > 1 else np.ones(1, np.int64)
        pieces = np.stack([phases * half + before * channels, first * channels, count], axis=1)
        ring = Scratch(np.dtype(np.uint8), (slots, half * sw))
        return (x.view(), ring, Scratch(np.dtype(np.int64), (len(height),)), np.array(height, np.int64),
                taps % sw * half + taps // sw * channels, *folded, pieces, (x.zero_point + 128 * form.signed) & 255, *ends,
                call.output.view())

    run = (depthwise_lines if direct else depthwise_ring)(under, kw, form)
    return f"{kh}x{kw}s{at.stride_h}_{len(under)}{'lines' if direct else 'rows'}", run, args, n * -(-oh // len(under))


def grouped(call: Call, form: Form, low: np.ndarray, high: np.ndarray | None, ends: tuple[int, int, int]) -> Made:
    """(name, driver, arguments, units) for many channels."""
    x, at, (kh, kw, channels), px = call.input(0), window(call), low.shape, pixels(call)

    def args(call: Call, params: None) -> tuple[Arg, ...]:
        chunks = chunk_channels(channels, 4 * form.lanes)  # [chunks, 4 * lanes]
        twice = np.zeros(len(chunks), bool) if high is None else np.asarray(high.any(axis=(0, 1)))[chunks].any(axis=1)
        chunks = chunks[np.argsort(twice, kind="stable")]  # those with weights that one byte cannot hold come last
        take, single = chunks[:, lane_order(form.lanes)], len(chunks) - int(twice.sum())
        packed = [pack_window(low, take[:single]).reshape(-1)]
        if high is not None:
            packed += [np.stack([pack_window(v, take[single:]) for v in (low, high)], axis=1).reshape(-1)]
        outside = np.full(channels + 64, x.zero_point, x.dtype)
        return (x.view(), outside, chunks[:, 0].copy(), single, np.concatenate(packed), *requantization(call, take),
                Scratch(np.dtype(np.int64), (kh,)), at.stride_h, at.stride_w, at.dilation_h, at.dilation_w, at.top, at.left,
                *ends, call.output.view())

    dilated = at.dilation_w > 1
    name = f"{kh}x{kw}s{at.stride_w}{'d' * dilated}_{px}px"
    return name, depthwise_rows_i8(kh, kw, at.stride_w, dilated, px, form), args, call.output.shape[0] * call.output.shape[1]


def requantization(call: Call, take: np.ndarray) -> Iterator[np.ndarray]:
    """Bias, multipliers and shifts of the channels in `take`; the bias holds what x's zero point adds."""
    x, w, channels = call.input(0), weights(call), call.output.shape[3]
    total = w.sum(axis=(0, 1), dtype=np.int64) - zero_of(call) * w.shape[0] * w.shape[1]
    bias = np.asarray(bias_or_zeros(call, channels, np.int32)).astype(np.int64)
    bias -= (x.zero_point + 128 * (x.dtype == np.int8)) * total
    return (v[take] for v in (wrapped(bias), *product_scales(call, x, call.input(1), channels)))


def best_group(kh: int, kw: int, sh: int, dh: int, oh: int, most: int) -> tuple[tuple[int, ...], ...]:
    """The rows under each row of a group, for as many as take the least time: unpacks, products, the way back."""

    def rows(count: int) -> tuple[tuple[int, ...], ...]:
        return tuple(tuple(r * sh + p * dh for p in range(kh)) for r in range(count))

    def cost(count: int) -> int:
        height, users = shared_rows(rows(count))
        return -(-oh // count) * (8 * kw * -(-len(height) // 4) + 4 * kw * sum(map(len, users)) + 16 * count)

    return rows(min(range(1, min(most, oh) + 1), key=cost))


def pack_rows(w: np.ndarray, under: tuple[tuple[int, ...], ...], take: np.ndarray) -> np.ndarray:
    """w [KH, KW, C] int8 as [phases, (output row, quad), KW, 4 * lanes, 4]."""
    height, users = shared_rows(under)
    made = []
    for rows, quads in zip(under, users):
        spread = np.zeros((-(-len(height) // 4) * 4, *w.shape[1:]), np.int8)
        spread[[height.index(r) for r in rows]] = w
        made.append(spread.reshape(-1, 4, *w.shape[1:])[quads])
    return np.ascontiguousarray(np.concatenate(made)[..., take].transpose(3, 0, 2, 4, 1))


def pack_window(w: np.ndarray, take: np.ndarray) -> np.ndarray:
    """w [KH, KW, C] int8 as [chunks, ceil(KH / 4), KW, 4 * lanes, 4]: four rows of the window in every lane."""
    kh, kw, channels = w.shape
    rows = np.zeros((-(-kh // 4) * 4, kw, channels), np.int8)
    rows[:kh] = w
    return np.ascontiguousarray(rows.reshape(-1, 4, kw, channels)[..., take].transpose(3, 0, 2, 4, 1))


def weights(call: Call) -> np.ndarray:
    known_weights = call.input(1).known
    assert known_weights is not None
    return known_weights.reshape(call.input(1).shape[1:])


def zero_of(call: Call) -> int:
    return call.input(1).zero_point if call.input(1).dtype == np.uint8 else 0


def chunk_channels(channels: int, wide: int) -> np.ndarray:
    """The channels of every chunk, [chunks, wide]; the last chunk overlaps, and one that is not full repeats its last channel."""
    starts = np.minimum(np.arange(0, channels, wide), max(channels - wide, 0))
    return np.minimum(starts[:, None] + np.arange(wide), channels - 1)


def bounded(call: Call) -> bool:
    """No scaled sum leaves what a conversion to int32 takes. (Sums themselves wrap, as officially.)"""
    multiplier, _ = product_scales(call, call.input(0), call.input(1), call.input(0).shape[3])
    if multiplier.dtype.kind != "f":
        return True
    bias = np.abs(np.asarray(bias_or_zeros(call, call.input(0).shape[3], np.int32)).astype(np.int64))
    w, scale = weights(call), multiplier.astype(np.float64)
    if ((w.shape[0] * w.shape[1] * 255 * 255 + bias) * scale < 2**30).all():  # whatever the weights
        return True
    most = np.abs(w.astype(np.int64) - zero_of(call)).sum(axis=(0, 1)) * 255 + bias
    return bool((np.minimum(most, 2**31) * scale < 2**30).all())
