"""Every error the library raises on purpose.

Each class also derives from the class tf.lite raises for the same mistake, so `except ValueError` written for
tf.lite still catches it. A message is the official text when there is one, then lines that name the place and the fix.
"""

from __future__ import annotations


class TinyInterpError(Exception):
    """The base of all errors that tinyinterp raises on purpose."""


class ModelError(TinyInterpError, ValueError):
    """The bytes are not a sound model: where, what was seen, what was needed."""


class ModelNotFoundError(ModelError, FileNotFoundError):
    """There is no such file."""


class UnsupportedOpError(TinyInterpError, RuntimeError):
    """Operators, types or options that no kernel takes; all of them are listed at once."""


class ShapeError(TinyInterpError, RuntimeError):
    """Shapes, axes or sizes of an operator do not fit together."""


class QuantError(TinyInterpError, RuntimeError):
    """Quantization that is missing or that an operator cannot use."""


class ArenaError(TinyInterpError, RuntimeError):
    """The tensors need more memory than the limit allows."""


class ValueDependentError(TinyInterpError, RuntimeError):
    """A value fed to the model is outside what an operator takes, such as an index past the end."""


class OptionError(TinyInterpError, ValueError):
    """An argument of the constructor is outside what it takes."""


class ArgumentError(TinyInterpError, TypeError):
    """An argument of another type than the method takes, such as a tensor index that is no integer."""


class SignatureError(TinyInterpError, ValueError):
    """There is no such signature, or its inputs are other ones."""


class DelegateError(TinyInterpError, ValueError, OSError):
    """A native delegate, which pure Python does not run."""


class NotReadyError(TinyInterpError, RuntimeError):
    """invoke() before allocate_tensors(), or after a resize."""


class NotAllocatedError(TinyInterpError, ValueError):
    """A tensor is read or written before allocate_tensors()."""


class TensorError(TinyInterpError, ValueError):
    """A value does not fit the tensor: its dtype, rank or a dimension."""


class InUseError(TinyInterpError, RuntimeError):
    """A view of a tensor is still held, or another thread is inside this interpreter."""


def hint(official: str, *lines: str) -> str:
    """The official text as the first line, then hints: `hint("Invalid tensor index 9 …", "the model has 5 tensors")`."""
    return "\n  hint: ".join([official.removesuffix("\n"), *lines])
