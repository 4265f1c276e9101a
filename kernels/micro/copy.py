"""Copying without looking: many short runs, and tiles of a matrix that change rows for columns.

A run of bytes is copied by the widest piece it holds, the last piece overlapping the one before, so that no length needs
a loop over bytes; the length is looked at once for all runs.

A tile is turned by rounds of unpacks: interleaving row i with row i + n/2, for all i, log2(n) times, leaves the columns as
rows. Unpacks work inside 128-bit lanes; a vector holds the same part of other rows in its further lanes (of n elements).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

from ..machine import microkernel

if TYPE_CHECKING:
    from .vectors import Code, Value

PIECES = (64, 32, 16, 8, 4, 2, 1)
LONG = 4096  # bytes: the C library's copy is at least as fast


def runs_of(flip: int) -> Callable[..., Any]:
    """The microkernel of (target, target_step, source, source_step, runs, size) that copies `runs` runs of `size` bytes, the
    next one a step further in target and source, each byte ^ flip."""

    @microkernel(*["int64"] * 6)
    def copy(code: Code, target: Value, target_step: Value, source: Value, source_step: Value, runs: Value, size: Value) -> None:
        def runs_by(piece: int) -> None:
            kind = code.vector(code.I8, piece)
            with code.loop(runs) as i:
                to, at = target + i * target_step, source + i * source_step

                def move(offset: Value) -> None:
                    value = code.load(at + offset, kind)
                    code.store(value ^ code.constant(flip, kind) if flip else value, to + offset)

                if piece == PIECES[0]:
                    with code.loop((size - 1) / piece) as k:
                        move(k * piece)
                elif piece > 1:
                    move(code.constant(0))
                move(size - piece)

        def shorter(pieces: tuple[int, ...]) -> None:
            if pieces:
                with code.either(code.less(size, code.constant(pieces[0]))) as (less, enough):
                    with less:
                        shorter(pieces[1:])
                    with enough:
                        runs_by(pieces[0])

        if flip:
            shorter(PIECES)
            return
        with code.either(code.less(size, code.constant(LONG))) as (short, long):
            with short:
                shorter(PIECES)
            with long, code.loop(runs) as i:
                code.copy(target + i * target_step, source + i * source_step, size)

    return copy


copy_runs, flip_runs = runs_of(0), runs_of(-128)


@cache
def tile(size: int, n: int, lanes: int) -> Callable[..., Any]:
    """The microkernel of (target, target_step, source, source_step) that turns n * lanes rows and n columns of the source:
    elements of `size` bytes, n a power of two; steps in bytes from a row to the next one."""

    @microkernel(*["int64"] * 4)
    def turn(code: Code, target: Value, target_step: Value, source: Value, source_step: Value) -> None:
        part = code.vector({1: code.I8, 2: code.I16, 4: code.I32, 8: code.I64}[size], n)

        def row(r: int) -> Value:
            """Row r, and in the further lanes the rows n, 2n … further."""
            parts = [code.load(source + source_step * (r + n * k), part) for k in range(lanes)]
            while len(parts) > 1:
                every = list(range(2 * parts[0].kind.count))
                parts = [code.shuffle(a, b, every) for a, b in zip(parts[::2], parts[1::2])]
            return parts[0]

        rows = [row(r) for r in range(n)]
        count = n * lanes

        def unpack(a: Value, b: Value, high: bool) -> Value:
            start = n // 2 if high else 0
            order = [k for lane in range(0, count, n) for j in range(lane + start, lane + start + n // 2) for k in (j, count + j)]
            return code.shuffle(a, b, order)

        for _ in range(n.bit_length() - 1):
            rows = [unpack(rows[i], rows[i + n // 2], high) for i in range(n // 2) for high in (False, True)]
        for r, value in enumerate(rows):
            code.store(value, target + target_step * r)

    return turn


@microkernel("int64", "int64", "int64", "float32", "float32", "int64")
def rescale_bytes(code: Code, target: Value, source: Value, size: Value, factor: Value, shift: Value, zero: Value) -> None:
    """y = clamp(round(x * factor + shift) + zero, 0, 255) of `size` bytes, half away from zero, with two roundings before.
    The caller has seen that nothing leaves int32. The last vector overlaps the one before."""
    lanes = 16
    byte, whole, real = code.vector(code.I8, lanes), code.vector(code.I32, lanes), code.vector(code.F32, lanes)
    times, plus, nothing = code.splat(factor, real), code.splat(shift, real), code.splat(code.convert(zero, code.I32), whole)

    def run(offset: Value, mask: Value | None) -> None:
        at = source + offset
        x = code.load(at, byte) if mask is None else code.load_masked(at, byte, mask)
        value = code.convert(code.convert(x, whole, False), real) * times + plus
        y = code.convert(code.call(f"llvm.round.v{lanes}f32", real, value), whole) + nothing
        y = code.convert(code.least(code.constant(255, whole), code.most(code.constant(0, whole), y)), byte)
        if mask is None:
            code.store(y, target + offset)
        else:
            code.store_masked(y, target + offset, mask)

    with code.either(code.less(size, code.constant(lanes))) as (few, enough):
        with few:
            run(code.constant(0), code.first(size, lanes))
        with enough, code.loop((size + (lanes - 1)) / lanes) as i:
            run(code.least(i * lanes, size - lanes), None)
