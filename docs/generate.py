"""Write the parts of the documentation that follow from the code; a test checks that they are up to date.

    python -m docs.generate

    docs/reference/ops.md           from OPS
    docs/reference/command-line.md  from the argument parser
    docs/reference/files.md         from the first line of every file
"""

from __future__ import annotations

import argparse
import ast
from pathlib import Path

from tinyinterp.cli import parser
from tinyinterp.coverage import markdown, rows

ROOT = Path(__file__).resolve().parents[1]
NOTE = "<!-- written by `python -m docs.generate`: do not edit -->"
ROOMS = {"schema": "the file format: bytes to records and back; it knows no arithmetic",
         "kernels": "the arithmetic: one operator family a file", "kernels/micro": "microkernels, written as vector instructions",
         "tinyinterp": "from bytes to outputs", "tinyinterp/commands": "the command line, one command a file"}


def ops_page() -> str:
    """docs/reference/ops.md."""
    table = rows()
    return f"""# Ops
{NOTE}

The {len(table)} ops that tinyinterp runs, listed in [kernels/\\_\\_init\\_\\_.py](../../kernels/__init__.py). Types are
those of the values; which answers each of the numerics gives stands in [numerics](../how/numerics.md). *Official delegate* tells
whether the official default hands the op to XNNPACK at all; for which calls is the rule `delegated` beside the op.

{markdown(table, "../../")}
"""


def command_page() -> str:
    """docs/reference/command-line.md."""
    top = parser()
    parts = [f"# Command line\n{NOTE}\n\n{top.description}\nExit status: 0 done (`verify`: all equal), 1 `verify` found a "
             "difference, 2 a model, a file or an argument is at fault."]
    commands = next(a for a in top._actions if isinstance(a, argparse._SubParsersAction)).choices
    for name, command in commands.items():
        usage = "".join(f" {a.metavar or a.dest.upper()}" if a.nargs != "*" else f" [{a.metavar} ...]"
                        for a in command._actions if not a.option_strings)
        lines = ["| option | |", "|---|---|"]
        for action in command._actions:
            if not action.option_strings or action.dest == "help":
                continue
            value = f" {_value(action)}" if action.nargs != 0 else ""
            lines.append(f"| `{', '.join(action.option_strings)}{value}` | {action.help or ''} |")
        parts.append(f"## `tinyinterp {name}{usage}`\n\n{command.description}\n\n" + "\n".join(lines))
    return "\n\n".join(parts) + "\n"


def _value(action: argparse.Action) -> str:
    if isinstance(action.metavar, tuple):
        return " ".join(action.metavar)
    value = "{" + ",".join(action.choices) + "}" if action.choices else action.metavar or action.dest.upper()
    return f"{value} ..." if action.nargs == "+" else value


def files_page() -> str:
    """docs/reference/files.md."""
    parts = [f"# Files\n{NOTE}\n\nEvery source file and its first line. [The pipeline](../README.md) tells in what order."]
    for room, text in ROOMS.items():
        lines = [f"## {room}/: {text}", ""]
        for path in sorted((ROOT / room).glob("*.py")):
            first = (ast.get_docstring(ast.parse(path.read_text())) or "").partition("\n")[0]
            name = path.name.replace("__", "\\_\\_")
            lines.append(f"* [{name}](../../{room}/{path.name}): {first}")
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


PAGES = {"docs/reference/ops.md": ops_page, "docs/reference/command-line.md": command_page, "docs/reference/files.md": files_page}


def main() -> None:
    for name, page in PAGES.items():
        (ROOT / name).write_text(page())
        print(name)


if __name__ == "__main__":
    main()
