"""tinyinterp: TensorFlow Lite models, run bit for bit like the official interpreter, from Python source."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .interpreter import Interpreter, OpResolverType, SignatureRunner, load_delegate

__version__ = "0.1.0"
__all__ = ["Interpreter", "OpResolverType", "SignatureRunner", "__version__", "load_delegate"]


def __getattr__(name: str) -> Any:
    """The public names, and the module `interpreter`, when first asked for: `tinyinterp --help` needs none of them."""
    if name not in (*__all__, "interpreter", "lite"):
        raise AttributeError(f"module 'tinyinterp' has no attribute '{name}'")
    from importlib import import_module

    if name == "lite":
        return import_module("tinyinterp.lite")
    module = import_module("tinyinterp.interpreter")
    return module if name == "interpreter" else getattr(module, name)


def __dir__() -> list[str]:
    return [*__all__, "interpreter", "lite"]
