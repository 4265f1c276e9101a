"""Put the figures of benchmarks/results/ into the README and docs/reference/benchmarks.md.

    python -m benchmarks.report

Sections of a benchmark that has no results stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import arena, dispatch, networks, operators, peak, start
from benchmarks.cases import KINDS
from benchmarks.record import geometric, load, table
from docs.sections import write

ROOT = Path(__file__).resolve().parents[1]
PAGE, README = Path("docs/reference/benchmarks.md"), Path("README.md")
Rows = dict[str, dict[str, Any]]


def on(machine: dict[str, Any]) -> str:
    """What the figures were measured on, in a sentence."""
    return (f"{machine['processor']}, `{machine['level']}`, {machine['cores']} cores; {machine['system']}, "
            f"Python {machine['python']}, NumPy {machine['numpy']}, Numba {machine['numba']}, "
            f"ai-edge-litert {machine['ai-edge-litert']}; {machine['date']}.")


def bullets(title: str, lines: list[str]) -> str:
    """A title and its lines; nothing when there are none."""
    return "\n".join([f"{title}:", "", *(f"* {line}" for line in lines)]) if lines else ""


def network_page(rows: Rows) -> str:
    """Networks: means, what is missed, each one."""
    return join(networks.summary(rows), networks.large(rows), bullets("Not reached", networks.missed(rows)),
                networks.worst_first(rows), networks.failures(rows))


def operator_page(rows: Rows) -> str:
    """Operators: groups and the slowest calls, in both numerics."""
    parts = ["What is to be reached:", operators.figures(rows), "All groups:", operators.page(rows)]
    parts += ["The calls that lose most:", operators.slowest(rows)]
    if any("reference 1" in r for r in rows.values()):
        parts += ["In reference numerics:", operators.page(rows, "reference 1")]
    return join(*parts)


def arena_page(rows: Rows) -> str:
    """Arenas: each network, and what is above its limit."""
    return join(arena.page(rows), bullets("Not reached", arena.offenders(rows)))


def short(rows: Rows) -> str:
    """For the README: geometric means."""
    lines = []
    for kind in (*KINDS, "all"):
        means = [networks.ratios(rows, mode, kind) for mode in ("default 1", "default 2", "reference 1")]
        if means[0]:
            lines.append([kind, len(means[0]), *(f"{geometric(m):.3f}" if m else "" for m in means)])
    heads = ["weights", "networks", "default, 1 thread", "default, 2 threads", "reference, 1 thread"]
    return join(table(heads, lines), networks.large(rows))


def join(*parts: str) -> str:
    """Paragraphs, without the empty ones."""
    return "\n\n".join(p for p in parts if p)


SECTIONS: tuple[tuple[Path, str, str, Callable[[Rows], str]], ...] = (  # file, section, results, text
    (README, "speed", "networks", short),
    (PAGE, "networks", "networks", network_page),
    (PAGE, "operators", "operators", operator_page),
    (PAGE, "peak", "peak", peak.page),
    (PAGE, "dispatch", "dispatch", dispatch.page),
    (PAGE, "start", "start", start.page),
    (PAGE, "arena", "arena", arena_page),
)


def main() -> None:
    for file, section, name, text in SECTIONS:
        results = load(name)
        if results is None:
            print(f"{file}: nothing for {section}, run `python -m benchmarks.{name}`")
            continue
        write(ROOT / file, section, join(text(results["rows"]), on(results["machine"])))
        print(f"{file}: {section}")


if __name__ == "__main__":
    main()
