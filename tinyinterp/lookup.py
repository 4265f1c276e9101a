"""What the arguments of the interface stand for: a model's path or bytes, a tensor's number or name.

Source: google-ai-edge/LiteRT, tflite/python/interpreter.py (__init__), interpreter_wrapper.cc (bounds checks)
"""

from __future__ import annotations

import operator
import os
from typing import Any

from .errors import ArgumentError, ModelNotFoundError, OptionError, TensorError, hint
from .graph import Graph


def tensor_number(method: str, index: Any, graph: Graph) -> int:
    """A tensor's number from its number or name, checked. Raises: TensorError, ArgumentError."""
    t, count = number_or_name(method, index, graph), len(graph.tensors)
    if not 0 <= t < count:
        known = f"they go from 0 to {count - 1}; the inputs are {list(graph.inputs)}, the outputs {list(graph.outputs)}"
        raise TensorError(hint(f"Invalid tensor index {t} exceeds max tensor index {count}", known))
    return t


def number_or_name(method: str, index: Any, graph: Graph) -> int:
    """The same, not checked against the number of tensors."""
    if not isinstance(index, str):
        return integer(method, "tensor_index", index)
    names = [x.name for x in graph.tensors]
    found = [t for t, name in enumerate(names) if name == index]
    if len(found) > 1:
        raise TensorError(hint(f"Tensors {found} are all named '{index}'.", "give the index instead of the name"))
    if not found:
        from difflib import get_close_matches

        near = get_close_matches(index, names, 3) or [names[t] for t in graph.inputs]
        raise ArgumentError(hint(f"{method}(): incompatible function arguments. tensor_index: no tensor is named {index!r}",
                                 f"there are {', '.join(map(repr, near))} and others; an index is an integer"))
    return found[0]


def integer(method: str, name: str, value: Any) -> int:
    """An integer of 32 bits, of Python or NumPy. Raises: ArgumentError."""
    try:
        number = operator.index(value)
    except TypeError:
        number = 2**31
    if not -(2**31) <= number < 2**31:
        raise ArgumentError(hint(f"{method}(): incompatible function arguments. {name}: {str(value)[:60]!r}",
                                 f"an integer of 32 bits is needed, such as an 'index' of get_input_details(); "
                                 f"this is {type(value).__name__}"))
    return number


def source(model_path: Any, model_content: Any) -> str | bytes:
    """The path of the model, or its bytes."""
    if hasattr(model_path, "read"):
        model_path, model_content = None, model_path if model_content is None else (model_path, model_content)
    if hasattr(model_content, "read"):
        model_content = model_content.read()
    content = model_content is not None and len(model_content) > 0
    if model_path and content:
        raise OptionError(hint("Can't both provide `model_path` and `model_content`", "leave one of them out"))
    if not model_path and not content:
        raise OptionError(hint("`model_path` or `model_content` must be specified.", "Interpreter('model.tflite')",
                               "or Interpreter(model_content=data) when the model is in memory"))
    if content:
        if not isinstance(model_content, (bytes, bytearray, memoryview)):
            raise ArgumentError(hint(
                f"CreateWrapperFromBuffer(): incompatible function arguments. {type(model_content).__name__}",
                "model_content takes bytes, bytearray, memoryview or an open binary file; a path goes to model_path"))
        return bytes(model_content)
    try:
        path = os.fspath(model_path)
    except TypeError as error:
        raise ArgumentError(hint(str(error), "the bytes of a model go to model_content")) from error
    if isinstance(path, bytes) and b"\0" in path:
        shown = path[: path.index(b"\0")].decode(errors="replace")
        raise ModelNotFoundError(hint(f"Could not open '{shown}'.The model allocation is null/empty",
                                      "these are the bytes of a model: Interpreter(model_content=data)"))
    return os.fsdecode(path)
