"""What OPS covers, as rows of a table: the command `ops` and the generated reference page print it."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass

from . import kernels
from .kernels import OPS
from .kernels.contract import ALL, BUILTIN, DELEGATE, REFERENCE, Kernel, Op, never


@dataclass(frozen=True, slots=True)
class Row:
    """One op."""

    name: str
    types: tuple[str, ...]
    numerics: tuple[str, ...]  # of "reference", "default", "builtin"
    delegated: bool  # whether the official default delegate takes it at all; else default is the builtin's arithmetic
    custom: bool
    spec: str
    module: str  # the file, "kernels/conv.py"


def row(op: Op) -> Row:
    """The row of one op. Kernels written for the call at hand serve what the definitions below them serve."""
    served = {n for kernel in op.kernels if isinstance(kernel, Kernel) for n in kernel.numerics}
    if not op.kernels:  # shapes alone tell its output
        served = set(ALL)
    delegated = op.delegated is not never
    numerics = [name for name, need in (("reference", REFERENCE), ("default", DELEGATE if delegated else BUILTIN),
                                        ("builtin", BUILTIN)) if need in served]
    return Row(op.name, op.types, tuple(numerics), delegated, isinstance(op.code, str), op.spec, _file(op))


def _file(op: Op) -> str:
    """The file that holds the record: "kernels/conv.py"."""
    prefix = f"{kernels.__name__}."
    for name, module in sorted(sys.modules.items()):
        if name.startswith(prefix) and any(value is op for value in vars(module).values()):
            return f"kernels/{name.removeprefix(prefix).replace('.', '/')}.py"
    return ""


def rows(ops: Iterable[Op] = OPS) -> list[Row]:
    """All rows, by name, builtins first."""
    return sorted((row(op) for op in ops), key=lambda r: (r.custom, r.name))


def markdown(table: Iterable[Row], link: str = "") -> str:
    """The table in Markdown; `link`: where the source files are, as the start of a link."""
    lines = ["| op | types | numerics | official delegate | file | behaviour laid down in |", "|---|---|---|---|---|---|"]
    for r in table:
        file = f"[{r.module}]({link}{r.module})" if link else r.module
        lines.append(f"| {r.name}{' (custom)' * r.custom} | {', '.join(r.types)} | {', '.join(r.numerics)} | "
                     f"{'takes it' if r.delegated else 'refuses it'} | {file} | {r.spec} |")
    return "\n".join(lines)
