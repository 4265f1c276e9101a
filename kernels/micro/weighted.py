"""A weighted sum of two bytes, 64 at a time: what ADD and SUB of 8 bits come to.

    y = clamp(((a * ka + b * kb + c) >> (low + high)) + more, lo, hi)       a, b as 0 … 255

One instruction multiplies pairs of 16-bit words and adds both products, so the weights come in two parts, each rounded
down as the whole is: ((a * fa + b * fb + c) >> low) + a * wa + b * wb, >> high, with ka = wa * 2**low + fa. The pairs are
what interleaving the bytes gives, in the order in which the packs at the end want them.

The gain over the same sum in 32 bits (`formulas.sum_delegate`): two products for each pair in place of two with twice the
cost, and half as many moves between lanes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

from ..machine import microkernel
from .elements import packed

if TYPE_CHECKING:
    from .vectors import Code, Value


def interleaved(code: Code, a: Value, b: Value) -> list[Value]:
    """The low and the high half of each 16 bytes of a, with those of b between them."""
    n = a.kind.count
    return [code.shuffle(a, b, [lane + half + k // 2 + n * (k % 2) for lane in range(0, n, 16) for k in range(16)])
            for half in (0, 8)]


def products(code: Code, pairs: Value, weights: Value) -> Value:
    """x * w of each pair of words, added."""
    words = code.vector(code.I16, 2 * weights.kind.count)
    name = {16: "avx512.pmaddw.d.512", 8: "avx2.pmadd.wd", 4: "sse2.pmadd.wd"}[weights.kind.count]
    return code.call(f"llvm.x86.{name}", weights.kind, code.cast(pairs, words), code.cast(weights, words))


@cache
def sum_of_bytes(formula: None, inputs: tuple[str, str], repeats: tuple[bool, bool], output: str, numbers: int, lanes: int,
                 x86: bool) -> Callable[..., Any]:
    """The microkernel of (a, b, y, p, n, rows, steps of a and b): as those of `elements.py`; p of int32: fa and fb in one, wa
    and wb in one, c, low, high, more, lo, hi."""

    @microkernel(*["int64"] * 8)
    def run(code: Code, a: Value, b: Value, y: Value, p: Value, n: Value, rows: Value, step_a: Value, step_b: Value) -> None:
        word, byte = code.vector(code.I32, lanes), code.vector(code.I8, 4 * lanes)
        fine, whole, c, low, high, *ends = [code.splat(code.load(p + 4 * k, code.I32), word) for k in range(8)]
        zeros = code.constant(0, byte)
        done = n / (4 * lanes) * (4 * lanes)
        rest = n - done
        mask = code.first(rest, 4 * lanes) if lanes == 16 else None
        cells = [code.cell(zeros) for _ in range(3)]

        def turn(values: list[Value]) -> Value:
            unsigned = [v ^ -128 for v in values] if output == "int8" else values
            sums = []
            for mixed in interleaved(code, *unsigned):
                for pairs in interleaved(code, mixed, zeros):
                    first = (products(code, pairs, fine) + c) >> low
                    sums.append((products(code, pairs, whole) + first) >> high)
            return packed(code, sums, ends, output == "int8", in_order=False)

        def row(a: Value, b: Value, y: Value) -> None:
            single = [code.opaque(code.splat(code.load(x, code.I8), byte)) if once else None for x, once in zip((a, b), repeats)]
            with code.loop(n / (4 * lanes)) as i:
                at = i * (4 * lanes)
                code.store(turn([one or code.load(x + at, byte) for one, x in zip(single, (a, b))]), y + at)
            with code.when(code.less(code.constant(0), rest)):
                if mask:
                    code.store_masked(turn([one or code.load_masked(x + done, byte, mask) for one, x in zip(single, (a, b))]),
                                      y + done, mask)
                else:
                    for cell, x, one in zip(cells, (a, b), single):
                        if one is None:
                            code.copy(cell.address, x + done, rest)
                    cells[2].set(turn([one or cell.get() for one, cell in zip(single, cells)]))
                    code.copy(y + done, cells[2].address, rest)

        with code.loop(rows) as r:
            row(a + r * step_a, b + r * step_b, y + r * n)

    return run
