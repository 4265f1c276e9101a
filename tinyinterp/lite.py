"""In the place of `tf.lite`, for programs that say `tf.lite.Interpreter`:

    from tinyinterp import lite

    lite.Interpreter(...)
    lite.experimental.load_delegate(...)
"""

from __future__ import annotations

from typing import Any, NoReturn

from .interpreter import Interpreter, OpResolverType, load_delegate

__all__ = ["Interpreter", "OpResolverType", "experimental"]


class experimental:
    """What stands under `tf.lite.experimental`."""

    OpResolverType = OpResolverType
    load_delegate = staticmethod(load_delegate)


def __getattr__(name: str) -> NoReturn:
    if name.startswith("__"):
        raise AttributeError(name)
    raise AttributeError(f"module 'tinyinterp.lite' has no attribute '{name}'\n  hint: tinyinterp runs models; "
                         f"to make one, use tensorflow.lite.{name}")


def __dir__() -> list[Any]:
    return list(__all__)
