"""Tables of 256 bytes, a whole register of places at a time.

    y[i] = table[x[i]]

With AVX-512 VBMI the table stands in four registers: two permutations of 128 entries each, and the highest bit of x picks
one of the answers. Without it a register holds 16 entries: `pshufb` gives 0 where the highest bit of a place is set and
else looks at its low four bits alone. Places go down by 16 from turn to turn, so that the entries for x are taken in up
to eight turns; the 16 registers are differences (exclusive ors) such that these come to the right answer. From the ninth
turn on the places stop at -128 instead of wrapping around.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

from ..machine import microkernel

if TYPE_CHECKING:
    from .vectors import Code, Value


def taken(row: int) -> list[int]:
    """The turns, of 16, that have a part in the answer for places 16 * row and the 15 after it."""
    place, found = 16 * row if row < 8 else 16 * row - 256, []
    for turn in range(16):
        if place >= 0:
            found.append(turn)
        place = place - 16 if turn < 8 else max(place - 16, -128)
        place = place + 256 if place < -128 else place
    return found


@cache
def table_of_bytes(lanes: int, at_once: bool) -> Callable[..., Any]:
    """The microkernel of (x, table, y, n), addresses and a number of bytes; lanes: 64 or 32 bytes."""

    @microkernel(*["int64"] * 4)
    def run(code: Code, x: Value, table: Value, y: Value, n: Value) -> None:
        through(code, x, table, y, n, lanes, at_once, lambda places: places)

    return run


def through(code: Code, x: Value, table: Value, y: Value, n: Value, lanes: int, at_once: bool,
            place_of: Callable[[Any], Any]) -> None:
    """y[i] = table[place_of(x[i])]; `place_of` works on vectors and on single bytes."""
    byte, answers = code.vector(code.I8, lanes), looking(code, table, lanes, at_once)
    whole = n / lanes * lanes
    with code.loop(n / lanes) as i:
        code.store(answers(place_of(code.load(x + i * lanes, byte))), y + i * lanes)
    with code.when(code.less(whole, n)):
        if lanes == 64:
            mask = code.first(n - whole, lanes)
            code.store_masked(answers(place_of(code.load_masked(x + whole, byte, mask))), y + whole, mask)
        else:
            with code.loop(n - whole) as i:
                place = code.convert(place_of(code.load(x + whole + i, code.I8)), code.I64, signed=False)
                code.store(code.load(table + place, code.I8), y + whole + i)


def looking(code: Code, table: Value, lanes: int, at_once: bool) -> Callable[[Any], Any]:
    """A vector of places to their answers."""
    byte = code.vector(code.I8, lanes)
    parts = [code.load(table + 64 * k, byte) for k in range(4)] if at_once else differences(code, table, lanes)

    def answers(places: Value) -> Value:
        if not at_once:
            return through_rows(code, places, parts)
        low, high = (code.call("llvm.x86.avx512.vpermi2var.qi.512", byte, parts[k], places, parts[k + 1]) for k in (0, 2))
        return code.select(code.less(places, code.constant(0, byte)), high, low)

    return answers


def differences(code: Code, table: Value, lanes: int) -> list[Value]:
    """The 16 registers of the ladder."""
    sixteen = code.vector(code.I8, 16)
    rows = [code.load(table + 16 * r, sixteen) for r in range(16)]
    made: list[Value] = []
    for turn in range(16):
        # Of the turns that make up row `turn` this is the last one: the others are known.
        value = rows[turn]
        for other in taken(turn):
            if other != turn:
                value = value ^ made[other]
        made.append(value)
    return [code.shuffle(m, m, list(range(16)) * (lanes // 16)) for m in made]


def through_rows(code: Code, places: Value, parts: list[Value]) -> Value:
    """One register through the ladder of `pshufb`."""
    byte, lanes = places.kind, places.kind.count
    shuffle = {64: "llvm.x86.avx512.pshuf.b.512", 32: "llvm.x86.avx2.pshuf.b"}[lanes]
    answer = code.call(shuffle, byte, parts[0], places)
    for turn in range(1, 16):
        step = code.constant(16, byte)
        places = places - step if turn <= 8 else code.call(f"llvm.ssub.sat.v{lanes}i8", byte, places, step)
        answer = answer ^ code.call(shuffle, byte, parts[turn], places)
    return answer
