"""Place: an offset for every tensor in one flat buffer.

    lives ── place ──► Placement

Each tensor lives from the step that writes it to the last step that reads it. Two tensors may share bytes when their
lives do not touch; a tensor that is computed in place takes over another's. Greedy: take the tensors from the largest to
the smallest, and put each at the lowest gap that is wide enough between the tensors already placed that live at the same
time. No order is best for every network, so three are tried and the smallest arena wins.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from .schema.frozen import record

ALIGNMENT = 64  # a cache line, and the widest vector register
LIMIT = int(os.environ.get("TINYINTERP_ARENA_LIMIT", 2 << 30))  # bytes


@record(frozen=True, slots=True)
class Life:
    """A tensor's bytes and the steps, first and last included, during which they must stay."""

    key: int  # a tensor, or a negative number for scratch
    size: int
    first: int
    last: int
    over: int | None = None  # the tensor whose place it takes: that one ends right before


@record(frozen=True, slots=True)
class Placement:
    """Offsets in bytes, each a multiple of 64, and the end of the last tensor."""

    lives: tuple[Life, ...]
    offsets: dict[int, int]
    size: int
    bound: int  # what the widest step needs: no placement is smaller

    def __str__(self) -> str:
        return draw(self)


def place(lives: Sequence[Life]) -> Placement:
    """The smallest of the greedy placements. Never fails."""
    # Ties are broken by the first step and the key, so that the same model is always placed in the same way.
    orders: tuple[Callable[[Life], tuple[int, ...]], ...] = (
        lambda l: (-l.size, l.first, l.key),  # by size
        lambda l: (-l.size * (l.last - l.first + 1), l.first, l.key),  # by area
        lambda l: (l.first, -l.size, l.key),  # in the order of the program
    )
    bound = lower_bound(lives)
    blocks, members = _blocks(lives)
    best: dict[int, int] = {}
    least = -1
    for order in orders:
        offsets = _greedy(sorted(blocks, key=order))
        size = max((offsets[b.key] + b.size for b in blocks), default=0)
        if least < 0 or size < least:
            best, least = offsets, size
        if rounded(least) == bound:
            break
    best = {key: offset for block, offset in best.items() for key in members[block]}
    return Placement(tuple(lives), best, max(least, 0), bound)


def rounded(size: int) -> int:
    """Bytes up to the next multiple of 64."""
    return -(-size // ALIGNMENT) * ALIGNMENT


def _blocks(lives: Sequence[Life]) -> tuple[list[Life], dict[int, list[int]]]:
    """Tensors that follow each other in one place as one, and who they are."""
    heir = {l.over: l for l in lives if l.over is not None}
    blocks, members = [], {}
    for life in lives:
        if life.over is None:
            line = [life]
            while line[-1].key in heir:
                line.append(heir[line[-1].key])
            blocks.append(Life(life.key, max(l.size for l in line), life.first, line[-1].last))
            members[life.key] = [l.key for l in line]
    return blocks, members


def _greedy(lives: Sequence[Life]) -> dict[int, int]:
    placed: list[tuple[int, int, Life]] = []  # by offset: (offset, end, life)
    offsets: dict[int, int] = {}
    for life in lives:
        at = 0
        need = rounded(life.size)
        for offset, end, other in placed:
            if other.first > life.last or other.last < life.first:
                continue
            if offset - at >= need:
                break
            at = max(at, end)
        offsets[life.key] = at
        if need:
            placed.append((at, at + need, life))
            placed.sort(key=lambda p: p[0])
    return offsets


def lower_bound(lives: Sequence[Life]) -> int:
    """Bytes alive at once in the widest step."""
    changes: dict[int, int] = {}
    for life in lives:
        changes[life.first] = changes.get(life.first, 0) + rounded(life.size)
        changes[life.last + 1] = changes.get(life.last + 1, 0) - rounded(life.size)
    now = most = 0
    for step in sorted(changes):
        now += changes[step]
        most = max(most, now)
    return most


def draw(placement: Placement, columns: int = 72, rows: int = 24) -> str:
    """The arena as a picture: addresses to the right, steps downwards, a letter a tensor."""
    lives = [l for l in placement.lives if l.size]
    steps = max((l.last for l in lives), default=0) + 1
    head = (f"arena: {placement.size:,} bytes, {len(lives)} tensors, {steps} steps; "
            f"the widest step needs {placement.bound:,} ({placement.size / max(placement.bound, 1):.2f}x)")
    lines = [head]
    shown = range(steps) if steps <= rows else [round(i * (steps - 1) / (rows - 1)) for i in range(rows)]
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    for step in shown:
        row = ["."] * columns
        for i, life in enumerate(lives):
            if life.first <= step <= life.last:
                a = placement.offsets[life.key] * columns // max(placement.size, 1)
                b = -(-(placement.offsets[life.key] + life.size) * columns // max(placement.size, 1))
                row[a:b] = letters[i % len(letters)] * (b - a)
        lines.append(f"{step:5} |{''.join(row)}|")
    return "\n".join(lines)
