"""One run of memory, element by element, in vectors: the microkernels of the elementwise ops.

    y[i] = formula(x0[i], x1[i], …, p)      i in 0 … n - 1; an operand may repeat one element

A formula (`formulas.py`) sees vectors of float32 or, whatever the integer's width in memory, of int32. p are 32-bit
numbers that the call settles, in every lane; the last three of an 8-bit output are its zero point and its limits, and the
formula gives what comes before them. Four vectors make a turn, so that 8-bit answers leave as whole registers; what
remains are single vectors, the last one under a mask.

Vectors wider than LLVM would choose by itself, and packs it does not find, are what makes these up to four times as fast
as the same loop in plain Python.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

from ..machine import microkernel

if TYPE_CHECKING:
    from .vectors import Code, Value

SIZES = {"int8": 1, "uint8": 1, "int16": 2, "uint16": 2, "int32": 4, "float32": 4}
UNROLLED = 4


def types_of(code: Code, name: str, lanes: int) -> tuple[Any, Any]:
    """(in memory, in registers) of a vector."""
    if name == "float32":
        return (code.vector(code.F32, lanes),) * 2
    narrow = {1: code.I8, 2: code.I16, 4: code.I32}[SIZES[name]]
    return code.vector(narrow, lanes), code.vector(code.I32, lanes)


@cache
def run_of(formula: Callable[..., Any], inputs: tuple[str, ...], repeats: tuple[bool, ...], output: str, numbers: int,
           lanes: int, x86: bool) -> Callable[..., Any]:
    """The microkernel of (x0, x1 …, y, p, n, rows, steps): addresses, p of int32 [numbers]; n elements a row, and for each
    operand the bytes from one row to the next."""
    count = len(inputs)

    @microkernel(*["int64"] * (2 * count + 4))
    def run(code: Code, *arguments: Value) -> None:
        (y, p, n, rows), steps = arguments[count : count + 4], arguments[count + 4 :]
        word = code.vector(code.I32, lanes)
        settled = [code.splat(code.load(p + 4 * k, code.I32), word) for k in range(numbers)]
        whole = n / (UNROLLED * lanes) * (UNROLLED * lanes)
        with code.loop(rows) as r:
            row_of(code, [x + r * step for x, step in zip(arguments, steps)], y + r * n * SIZES[output], n, whole, settled)

    def row_of(code: Code, sources: list[Value], y: Value, n: Value, whole: Value, settled: list[Value]) -> None:
        single = {i: one_of(code, sources[i], inputs[i], lanes) for i in range(len(inputs)) if repeats[i]}

        def read(i: int, at: Value, mask: Value | None) -> Value:
            if i in single:
                return single[i]
            stored, used = types_of(code, inputs[i], lanes)
            where = sources[i] + at * SIZES[inputs[i]]
            value = code.load(where, stored) if mask is None else code.load_masked(where, stored, mask)
            return value if inputs[i] == "float32" else code.convert(value, used, signed=not inputs[i].startswith("u"))

        def turn(at: Value, vectors: int, mask: Value | None) -> None:
            found = [formula(code, *[read(i, at + v * lanes, mask) for i in range(len(inputs))], settled)
                     for v in range(vectors)]
            where = y + at * SIZES[output]
            if SIZES[output] == 1:
                write_bytes(code, found, settled[-3:], output == "int8", where, mask, x86)
                return
            for v, value in enumerate(found):
                stored, _ = types_of(code, output, lanes)
                value = value if output == "float32" else code.convert(value, stored)
                where_v = where + v * (lanes * SIZES[output])
                if mask is None:
                    code.store(value, where_v)
                else:
                    code.store_masked(value, where_v, mask)

        with code.loop(whole / (UNROLLED * lanes)) as i:
            turn(i * (UNROLLED * lanes), UNROLLED, None)
        if SIZES[output] < 4:
            with code.loop((n - whole + (lanes - 1)) / lanes) as i:
                at = whole + i * lanes
                turn(at, 1, code.first(n - at, lanes))
            return
        end = n / lanes * lanes
        with code.loop((end - whole) / lanes) as i:
            turn(whole + i * lanes, 1, None)
        with code.when(code.less(end, n)):
            turn(end, 1, code.first(n - end, lanes))

    return run


def one_of(code: Code, address: Value, name: str, lanes: int) -> Value:
    """An operand's one element in every lane."""
    stored, used = types_of(code, name, lanes)
    value = code.load(address, stored.element)
    if name != "float32":
        value = code.convert(value, code.I32, signed=not name.startswith("u"))
    return code.splat(value, used)


def write_bytes(code: Code, values: list[Value], ends: list[Value], signed: bool, y: Value, mask: Value | None,
                x86: bool) -> None:
    """clamp(value + zero, lo, hi) as bytes. |zero| < 2**9, so a value that 16 bits limit comes to the same byte."""
    zero, lo, hi = ends
    lanes = zero.kind.count
    if len(values) == UNROLLED and x86 and lanes > 4:
        code.store(packed(code, values, ends, signed), y)
        return
    for v, value in enumerate(values):
        value = code.least(code.most(value, code.constant(-32768, value.kind)), code.constant(32767, value.kind)) + zero
        byte = code.convert(code.least(code.most(value, lo), hi), code.vector(code.I8, lanes))
        if mask is None:
            code.store(byte, y + v * lanes)
        else:
            code.store_masked(byte, y + v * lanes, mask)


def packed(code: Code, values: list[Value], ends: list[Value], signed: bool, in_order: bool = True) -> Value:
    """Four vectors of int32 as one of bytes. Packs join the 128-bit lanes of their operands: their words are then moved to
    where they belong, unless the vectors come in that order already (`in_order` False)."""
    lanes = values[0].kind.count
    bits = {16: ".512", 8: "", 4: ".128"}[lanes]
    family = {16: "avx512", 8: "avx2", 4: "sse2"}[lanes]
    words, byte = code.vector(code.I16, 2 * lanes), code.vector(code.I8, 4 * lanes)
    zero, lo, hi = (narrowed(code, e, kind) for e, kind in zip(ends, (words, byte, byte)))
    to_words, to_bytes = f"llvm.x86.{family}.packssdw{bits}", f"llvm.x86.{family}.pack{'s' if signed else 'u'}swb{bits}"
    half = [code.call(f"llvm.sadd.sat.v{2 * lanes}i16", words, code.call(to_words, words, *values[v : v + 2]), zero)
            for v in (0, 2)]
    done = code.call(to_bytes, byte, *half)
    done = code.least(hi, code.most(lo, done, signed), signed)
    if not in_order or lanes == 4:
        return done
    order = [lane * 4 + v for v in range(4) for lane in range(lanes // 4)]
    moved = code.cast(done, code.vector(code.I32, lanes))
    return code.cast(code.shuffle(moved, moved, order), byte)


def narrowed(code: Code, value: Value, kind: Any) -> Value:
    """A number that stands in every lane, in the lanes of a narrower type."""
    one = code.extract(value, 0)
    return code.splat(code.convert(one, kind.element), kind)
