"""The command line: `tinyinterp COMMAND …`.

Here are the words a user may say; what a command does stands in `commands/`, imported when it is called, so that
`tinyinterp --help` answers at once.

Exit status: 0 done (verify: all equal), 1 verify found a difference, 2 a model, a file or an argument is at fault.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module

NUMERICS = ("default", "reference", "builtin")


def parser() -> argparse.ArgumentParser:
    """All commands and their arguments."""
    top = argparse.ArgumentParser(prog="tinyinterp", description="Runs TensorFlow Lite models with the official interpreter's "
                                  "answers, bit for bit.", epilog="tinyinterp COMMAND --help tells about one command.")
    top.add_argument("--version", action="version", version=_version())
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)

    def command(name: str, module: str, text: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        made.set_defaults(module=module)
        return made

    c = command("demo", "demo", "recognise handwritten digits with a model that ships in the package")
    c.add_argument("--png", metavar="FILE", help="also write the pictures it read as a PNG, framed green or red")
    c.add_argument("--pictures", type=_positive, default=8, metavar="N", help="how many to show (default: 8)")
    _threads(c)

    c = command("inspect", "inspect_model", "what is in a model: inputs, outputs, operators, constants, MACs, arena, signatures")
    c.add_argument("model")
    c.add_argument("--json", action="store_true", help="the same as JSON")
    c.add_argument("--plan", action="store_true", help="also every step with its kernel and shapes")
    c.add_argument("--arena", action="store_true", help="also a drawing of where the tensors lie")
    _numerics(c)
    _threads(c)

    c = command("run", "run_model", "run a model on values from files")
    c.add_argument("model")
    c.add_argument("-i", "--input", action="append", default=[], metavar="NAME=FILE", help="a .npy, .npz or image file for an "
                   "input, by its name or number; NAME= may be left out when there is one input; a lone .npz names its own")
    c.add_argument("-o", "--output", metavar="FILE.npz", help="where to keep the outputs, under their names")
    c.add_argument("--signature", metavar="KEY", help="run this signature; inputs and outputs go by its names")
    c.add_argument("--random", type=int, metavar="SEED", help="fill inputs that are not given with random values")
    c.add_argument("--resize", action="store_true", help="scale images to the input's height and width")
    c.add_argument("--range", nargs=2, type=float, metavar=("LO", "HI"), help="turn pixels 0 to 255 into real numbers LO to HI")
    c.add_argument("--quantize", action="store_true", help="turn real values into the input's integers, by its scale")
    c.add_argument("--dequantize", action="store_true", help="turn the outputs' integers into real values")
    _numerics(c)
    _threads(c)

    c = command("verify", "verify", "compare every tensor with the official interpreter, bit for bit (needs ai-edge-litert)")
    c.add_argument("model")
    c.add_argument("-i", "--input", action="append", default=[], metavar="NAME=FILE", help="as for run; others are random")
    c.add_argument("--numerics", nargs="+", choices=NUMERICS, default=["reference", "default"],
                   help="(default: reference default)")
    c.add_argument("--outputs-only", action="store_true", help="leave the tensors between the operators out")
    c.add_argument("--runs", type=_positive, default=2, metavar="N", help="different random inputs (default: 2)")
    c.add_argument("--seed", type=int, default=0)
    c.add_argument("--json", action="store_true")
    _threads(c)

    c = command("bench", "bench", "time a model, alone or side by side with the official interpreter")
    c.add_argument("model")
    c.add_argument("--vs", choices=("official",), help="interleave with this one and tell the ratio (needs ai-edge-litert)")
    c.add_argument("--ops", action="store_true", help="also every step: its time, MACs, bytes, and its share of what the machine "
                   "can do, which is measured first")
    c.add_argument("--seconds", type=float, default=5.0, metavar="S", help="how long to measure (default: 5)")
    c.add_argument("--json", action="store_true")
    _numerics(c)
    _threads(c)

    c = command("ops", "ops", "the operators that run: types, numerics, and where their behaviour is laid down")
    c.add_argument("--markdown", action="store_true", help="as a table in Markdown")
    c.add_argument("--json", action="store_true")

    c = command("warmup", "warmup", "compile the kernels that models need ahead of time")
    c.add_argument("models", nargs="*", metavar="MODEL", help="(default: the models that ship in the package)")
    c.add_argument("--numerics", nargs="+", choices=NUMERICS, default=["default"], help="(default: default)")
    _threads(c)
    return top


def _numerics(c: argparse.ArgumentParser) -> None:
    c.add_argument("--numerics", choices=NUMERICS, default="default", help="which of the official answers (default: default)")


def _threads(c: argparse.ArgumentParser) -> None:
    c.add_argument("--threads", type=_positive, default=1, metavar="N", help="(default: 1)")


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not 1 or more")
    return number


def _version() -> str:
    from . import __version__

    return f"tinyinterp {__version__}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit status.

    >>> main(["inspect", "no-such-file.tflite"])
    2
    """
    args = parser().parse_args(arguments)
    from .errors import TinyInterpError

    try:
        return int(import_module(f".commands.{args.module}", __package__).run(args))
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0
    except KeyboardInterrupt:
        return 130
    except (TinyInterpError, OSError) as error:
        print(f"tinyinterp {args.command}: {error}", file=sys.stderr)
        return 2
