"""Filling many short runs with one element, by the widest piece a run holds; the last piece overlaps the one before."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

from ..machine import microkernel
from .copy import PIECES

if TYPE_CHECKING:
    from .vectors import Code, Value


@cache
def fill_runs(element: int) -> Callable[..., Any]:
    """The microkernel of (target, step, runs, size, value, keep): `runs` runs of `size` bytes, the next one a step further, of
    the element of so many bytes at `value`, or of zeros unless `keep`. A size is 0 or a multiple of the element's."""

    @microkernel(*["int64"] * 6)
    def fill(code: Code, target: Value, step: Value, runs: Value, size: Value, value: Value, keep: Value) -> None:
        one = {1: code.I8, 2: code.I16, 4: code.I32, 8: code.I64}[element]
        kept = code.select(code.less(code.constant(0), keep), code.load(value, one), code.constant(0, one))

        def runs_by(piece: int) -> None:
            pattern = code.splat(kept, code.vector(one, piece // element))
            with code.loop(runs) as i:
                to = target + i * step
                if piece == PIECES[0]:
                    with code.loop((size - 1) / piece) as k:
                        code.store(pattern, to + k * piece)
                else:
                    code.store(pattern, to)
                code.store(pattern, to + size - piece)

        def shorter(pieces: tuple[int, ...]) -> None:
            with code.either(code.less(size, code.constant(pieces[0]))) as (less, enough):
                with less:
                    if pieces[0] > element:
                        shorter(pieces[1:])
                with enough:
                    runs_by(pieces[0])

        shorter(PIECES)

    return fill
