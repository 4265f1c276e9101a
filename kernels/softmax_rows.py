"""SOFTMAX by rows: the drivers around `micro/softmax.py`. units: rows."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from .machine import address
from .micro.softmax import softmax_row
from .micro.softmax_bytes import softmax_pairs, softmax_rows_of_bytes, softmax_short_rows


@cache
def rows_of_floats(lanes: int) -> Callable[..., None]:
    row = softmax_row(lanes)

    def run(x: Any, depth: int, y: Any, begin: int, end: int) -> None:
        for r in range(begin, end):
            row(address(x) + r * depth * 4, address(y) + r * depth * 4, depth)

    return run


@cache
def rows_of_bytes(lanes: int, at_once: bool, signed: bool, truncates: bool) -> Callable[..., None]:
    """Four rows at a time, then single ones."""
    four, one = (softmax_rows_of_bytes(n, lanes, at_once, signed, truncates) for n in (4, 1))

    def run(x: Any, table: Any, p: Any, room: Any, y: Any, begin: int, end: int) -> None:
        depth, r, space = x.shape[1], begin, address(room)
        while r + 4 <= end:
            four(address(x) + r * depth, address(y) + r * depth, depth, address(table), address(p), space)
            r += 4
        while r < end:
            one(address(x) + r * depth, address(y) + r * depth, depth, address(table), address(p), space)
            r += 1

    return run


@cache
def short_rows_of_bytes(lanes: int, signed: bool, truncates: bool) -> Callable[..., None]:
    """As many rows at a time as there are lanes."""
    some = softmax_short_rows(lanes, signed, truncates)

    def run(x: Any, table: Any, p: Any, room: Any, y: Any, begin: int, end: int) -> None:
        depth = x.shape[1]
        for r in range(begin, end, lanes):
            some(address(x) + r * depth, address(y) + r * depth, depth, address(table), address(p), address(room),
                 min(lanes, end - r))

    return run


@cache
def pairs_of_bytes(lanes: int, at_once: bool, signed: bool) -> Callable[..., None]:
    """Rows of two bytes; lanes: bytes."""
    part = softmax_pairs(lanes, at_once, signed)

    def run(x: Any, tables: Any, y: Any, begin: int, end: int) -> None:
        part(address(x) + begin * 2, address(tables), address(y) + begin * 2, (end - begin) * 2)

    return run
