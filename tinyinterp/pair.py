"""Two interpreters for one model: this one and the official one, in the same numerics and on the same values.

The official one comes from the package ai-edge-litert, which nothing else here needs.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

import numpy as np

from .errors import OptionError, TensorError, hint
from .interpreter import Interpreter, OpResolverType

RESOLVERS = {"default": OpResolverType.AUTO, "reference": OpResolverType.BUILTIN_REF,
             "builtin": OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES}


def installed() -> bool:
    """Whether the official interpreter is there."""
    return find_spec("ai_edge_litert") is not None


def ours(model: str | bytes, numerics: str = "default", threads: int = 1) -> Interpreter:
    """This interpreter for a path or the bytes of a model, allocated. Raises: what Interpreter raises."""
    where = {"model_content": model} if isinstance(model, bytes) else {"model_path": model}
    interpreter = Interpreter(**where, num_threads=threads, experimental_op_resolver_type=RESOLVERS[numerics])
    interpreter.allocate_tensors()
    return interpreter


def theirs(model: str | bytes, numerics: str = "default", threads: int = 1) -> Any:
    """The official interpreter for the same, allocated. Raises: OptionError when it is not installed or refuses the model."""
    if not installed():
        raise OptionError(hint("the official interpreter is not installed", "pip install ai-edge-litert"))
    where = {"model_content": model} if isinstance(model, bytes) else {"model_path": model}
    with quiet():
        from ai_edge_litert import interpreter as litert

        try:
            made = litert.Interpreter(**where, num_threads=threads,
                                      experimental_op_resolver_type=litert.OpResolverType[RESOLVERS[numerics].name])
            made.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise OptionError(hint(f"the official interpreter refuses this model in {numerics} numerics", str(error))) from error
    return made


@contextmanager
def quiet() -> Iterator[None]:
    """Native code writes its notices to the standard error stream: not in here."""
    try:
        kept = os.dup(2)
    except OSError:  # the stream is closed: nothing to silence
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def random_value(detail: dict[str, Any], rng: np.random.Generator) -> np.ndarray:
    """A value for an input: full range for 8 and 16 bits, both signs for floats, 0 to 3 for what may be an index."""
    dtype, shape = np.dtype(detail["dtype"]), tuple(int(d) for d in detail["shape"])
    if dtype.kind in "OSU":
        raise TensorError(hint(f"input '{detail['name']}' holds strings, which are not made at random", "-i NAME=FILE.npy"))
    if dtype == np.bool_:
        return rng.random(shape) < 0.5
    if dtype.kind == "f":
        return rng.normal(0, 1, shape).astype(dtype)
    if dtype.kind == "c":
        return (rng.normal(0, 1, shape) + 1j * rng.normal(0, 1, shape)).astype(dtype)
    if dtype.itemsize >= 4:
        return rng.integers(0, 4, shape).astype(dtype)
    info = np.iinfo(dtype)
    return rng.integers(info.min, info.max + 1, shape).astype(dtype)


def feed(interpreter: Any, values: Mapping[int, Any]) -> None:
    """Set inputs by tensor number; either interpreter."""
    for index, value in values.items():
        interpreter.set_tensor(index, value)
