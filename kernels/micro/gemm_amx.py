"""int8 products of matrices on AMX tiles: 32 rows by 32 columns at a time.

A tile register holds 16 rows of 64 bytes. One instruction multiplies a tile of a (16 rows, 64 bytes of k) with a tile of w
(64 bytes of k for 16 columns, as quads) and adds to a tile of 16 x 16 int32: 16,384 products in 16 cycles, however much of
the tile is used. So k is padded to 64 with zero weights and nothing is ever reconfigured.

    tile 0 1    sums of rows 0-15     tile 4, 5   a, rows 0-15 and 16-31
         2 3    sums of rows 16-31    tile 6, 7   w, columns 0-15 and 16-31

The sums of a block start at the bias (loaded with a stride of 0: the same row 16 times) and go to a scratch of [32, 32]
int32, from where `finish` brings them to 8 bits.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

from ..machine import microkernel
from . import fused
from .fused import ways_back

if TYPE_CHECKING:
    from .vectors import Code, Value


@microkernel("int64")
def tiles_on(code: Code, config: Value) -> None:
    """Configure the tiles of this thread: 64 bytes of configuration."""
    code.call("llvm.x86.ldtilecfg", code.VOID, code.at(config))


@microkernel()
def tiles_off(code: Code) -> None:
    code.call("llvm.x86.tilerelease", code.VOID)


PACKED = ("delegate", "fused", "fused_twice")  # tails whose results leave through packs


def lane_order(tail: str) -> list[int]:
    """The channel at each of the 32 columns. Packs join 32-bit lanes as bytes inside 128-bit lanes, and that is never undone:
    the weights are laid out so that the bytes come out in order."""
    if tail not in PACKED:
        return list(range(32))
    within = fused.lane_order(tail, 16)
    return [8 * (e // 4) + 4 * t + e % 4 for t in range(2) for e in within]


def finisher(code: Code, tail: str, signed: bool, sums: Value, multiplier: Value, shift: Value, y: Value, y_rows: Value,
             spare: Value, columns: Value, y_zero: Value, lo: Value, hi: Value) -> Callable[[Value], None]:
    """Writes the instructions that bring two rows of sums, from an even one on, to bytes.

    y_rows: address of int64 [32], each row's distance from y; a negative one goes to `spare`, 32 bytes that nobody reads.
    """
    kind, bytes32, words = code.vector(code.I32, 16), code.vector(code.I8, 32), code.vector(code.I16, 32)
    back = ways_back(code, tail, 16, 2, multiplier, shift)
    mask, packs = code.first(columns, 32), tail in PACKED
    element = code.I16 if packs else code.I32
    zero = code.splat(code.convert(y_zero, element), words if packs else kind)
    limit = code.I8 if packs else code.I32
    least, most = (code.splat(code.convert(c, limit), code.vector(code.I8, 64) if packs else kind) for c in (lo, hi))

    def results(row: Value) -> list[Value]:
        return [back[v](code.load(sums + row * 128 + 64 * v, kind)) for v in range(2)]

    def put(value: Value, row: Value) -> None:
        distance = code.load(y_rows + row * 8, code.I64)
        target = code.select(code.less(distance, code.constant(0)), spare, y + distance)
        code.store_masked(value, target, mask)

    def packed(row: Value) -> None:
        """Through saturating packs, two rows in one register."""
        half = [code.call("llvm.x86.avx512.packssdw.512", words, *results(r)) for r in (row, row + 1)]
        if tail == "delegate":  # the others have y's zero point in their sums
            half = [code.call("llvm.sadd.sat.v32i16", words, v, zero) for v in half]
        both = code.call(f"llvm.x86.avx512.pack{'ss' if signed else 'us'}wb.512", code.vector(code.I8, 64), *half)
        both = code.least(most, code.most(least, both, signed), signed)
        quads = code.cast(both, code.vector(code.I64, 8))
        both = code.cast(code.shuffle(quads, quads, [0, 2, 4, 6, 1, 3, 5, 7]), both.kind)
        put(code.shuffle(both, both, range(32)), row)
        put(code.shuffle(both, both, range(32, 64)), row + 1)

    def plain(row: Value) -> None:
        for r in (row, row + 1):
            half = [code.convert(code.least(most, code.most(least, v + zero)), code.vector(code.I8, 16)) for v in results(r)]
            put(code.cast(code.shuffle(half[0], half[1], range(32)), bytes32), r)

    return packed if packs else plain


FINISH = ("int64",) * 10


@cache
def byte_finisher(tail: str, signed: bool) -> Callable[..., Callable[[Any], None]]:
    """`finisher` for (sums, multiplier, shift, y, y_rows, spare, columns, y_zero, lo, hi)."""

    def to_bytes(code: Code, *arguments: Value) -> Callable[[Value], None]:
        return finisher(code, tail, signed, *arguments)

    return to_bytes


def finish(finishing: Callable[..., Callable[[Any], None]], kinds: tuple[str, ...]) -> Callable[..., Any]:
    """From all sums to results: a microkernel of the height and of what `finishing` takes."""

    @microkernel("int64", *kinds)
    def rows(code: Code, height: Value, *arguments: Value) -> None:
        pair = finishing(code, *arguments)
        with code.loop(height / 2) as i:
            pair(i * 2)

    return rows


def gemm_amx(finishing: Callable[..., Callable[[Any], None]], kinds: tuple[str, ...], signed: bool) -> Callable[..., Any]:
    """The block as a microkernel of (a0, a1, stride, at, steps, w, bias, sums, height), and then of how many pairs of rows of
    the block before are still to finish in each step, and the arguments of `finish` for it. signed: whether a is.

    a0, a1: addresses of the first of 16 rows, `stride` bytes apart; at: address of int64 [steps], how far into a row the 64
    bytes of each step lie; w: [steps, 2, 16, 16, 4]; bias: int32 [32]; sums: int32 [32, 32]; height: how many rows count, even.

    A product keeps the tile unit busy for 64 cycles in which the vector unit would rest: it finishes the block before.
    """
    product = "llvm.x86.tdpbssd" if signed else "llvm.x86.tdpbusd"

    @microkernel(*["int64"] * 10, *kinds)
    def block(code: Code, a0: Value, a1: Value, stride: Value, at: Value, steps: Value, w: Value, bias: Value, sums: Value,
              height: Value, pairs: Value, *before: Value) -> None:
        def load(tile: int, address: Value, step: Value) -> None:
            code.call("llvm.x86.tileloadd64", code.VOID, code.constant(tile, code.I8), code.at(address), step)

        def multiply(first: int, rows: int) -> None:
            for n in range(2):
                code.call(product, code.VOID, *(code.constant(t, code.I8) for t in (first + n, rows, 6 + n)))

        zero, line, both = code.constant(0), code.constant(64), code.less(code.constant(16), height)
        for tile in range(4):
            load(tile, bias + 64 * (tile % 2), zero)
        pair = finishing(code, *before)
        row = code.cell(zero)
        with code.loop(steps) as s:
            here = code.load(at + s * 8, code.I64)
            load(4, a0 + here, stride)
            load(6, w + s * 2048, line)
            load(7, w + s * 2048 + 1024, line)
            multiply(0, 4)
            with code.when(both):
                load(5, a1 + here, stride)
                multiply(2, 5)
            with code.loop(code.least(pairs, (height - row.get()) / 2)):
                pair(row.get())
                row.set(row.get() + 2)
        for tile in range(4):
            code.call("llvm.x86.tilestored64", code.VOID, code.constant(tile, code.I8),
                      code.at(sums + (tile // 2) * 2048 + (tile % 2) * 64), code.constant(128))

    return block
