"""tinyinterp: TensorFlow Lite models, run bit for bit like the official interpreter, from Python source."""

from .interpreter import Interpreter, OpResolverType, SignatureRunner, load_delegate

__version__ = "0.1.0"
__all__ = ["Interpreter", "OpResolverType", "SignatureRunner", "__version__", "load_delegate"]
