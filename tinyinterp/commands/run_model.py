"""`tinyinterp run`: values from files in, outputs to a file or the terminal."""

from __future__ import annotations

import argparse
import os
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import OptionError, hint
from ..feeds import Ask, dequantized, files_of, value_of
from ..interpreter import Interpreter
from ..pair import RESOLVERS, random_value

Outputs = dict[str, np.ndarray]


def run(args: argparse.Namespace) -> int:
    interpreter = Interpreter(args.model, num_threads=args.threads, experimental_op_resolver_type=RESOLVERS[args.numerics])
    if args.output and not args.output.endswith(".npz"):
        raise OptionError(hint(f"-o {args.output}: outputs are written as .npz", f"-o {os.path.splitext(args.output)[0]}.npz"))
    inputs, outputs, call = _signature(interpreter, args.signature) if args.signature else _main(interpreter)
    ask = Ask(args.resize, tuple(args.range) if args.range else None, args.quantize)
    sources = files_of(args.input, inputs)
    missing = [n for n in inputs if n not in sources]
    if missing and args.random is None:
        first = inputs[missing[0]]
        raise OptionError(hint(f"no value for input {', '.join(map(repr, missing))}",
                               f"-i {missing[0]}=FILE.npy with {np.dtype(first['dtype']).name}{list(map(int, first['shape']))}",
                               "--random SEED fills inputs with random values"))
    rng = np.random.default_rng(args.random)
    values = {n: value_of(sources[n], n, d, ask) if n in sources else random_value(d, rng) for n, d in inputs.items()}
    made = call(values)
    details = outputs()
    if args.dequantize:
        made = {n: dequantized(v, details[n]) for n, v in made.items()}
    if args.output:
        save(args.output, made)
    for name, value in made.items():
        print(summary(name, value))
    if args.output:
        print(f"wrote {args.output}")
    return 0


def _main(interpreter: Interpreter) -> tuple[dict[str, Any], Callable[[], dict[str, Any]], Callable[[dict[str, Any]], Outputs]]:
    """The inputs and outputs of the main subgraph, and how to run it."""
    inputs = _by_name(interpreter.get_input_details())

    def outputs() -> dict[str, Any]:
        return _by_name(interpreter.get_output_details())

    def call(values: dict[str, Any]) -> Outputs:
        interpreter.allocate_tensors()
        for name, value in values.items():
            interpreter.set_tensor(inputs[name]["index"], value)
        interpreter.invoke()
        return {n: np.asarray(interpreter.get_tensor(d["index"])) for n, d in outputs().items()}

    return inputs, outputs, call


def _signature(interpreter: Interpreter, key: str) -> tuple[dict[str, Any], Callable[[], dict[str, Any]],
                                                           Callable[[dict[str, Any]], Outputs]]:
    """The same for a signature."""
    runner = interpreter.get_signature_runner(key)
    return (runner.get_input_details(), runner.get_output_details,
            lambda values: {n: np.asarray(v) for n, v in runner(**values).items()})


def _by_name(details: list[dict[str, Any]]) -> dict[str, Any]:
    """Details by tensor name; tensors that share a name, or have none, get their number behind it."""
    names = [d["name"] for d in details]
    return {n if n and names.count(n) == 1 else f"{n}:{d['index']}": d for n, d in zip(names, details)}


def summary(name: str, value: np.ndarray) -> str:
    """One output in a line or two."""
    head = f"{name}: {value.dtype.name}{list(value.shape)}"
    if value.size <= 16 or value.dtype.kind not in "iuf":
        with np.printoptions(threshold=16, edgeitems=3):
            return f"{head} {np.array2string(value, max_line_width=120)}"
    largest = [int(i) for i in np.unravel_index(int(value.argmax()), value.shape)]
    return f"{head} from {value.min():g} to {value.max():g}, largest at {largest}"


def save(file: str, arrays: Outputs) -> None:
    """An .npz file. `np.savez` takes names as keyword arguments, and a tensor may be called anything."""
    with zipfile.ZipFile(file, "w") as archive:
        for name, value in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, value if value.dtype != object else value.astype(np.bytes_), allow_pickle=False)
