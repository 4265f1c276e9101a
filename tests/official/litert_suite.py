"""LiteRT's own Python tests of the interpreter, run against tinyinterp with one line changed: the import.

    TINYINTERP_LITERT=…/LiteRT python -m tests.official.litert_suite

The tests are read from a checkout of LiteRT (the folder that holds `tflite/`), never copied. What they need besides the
interpreter is put in place of TensorFlow here: a test case class, a way to find files, the one model that a test converts.
Models that LiteRT builds with Bazel are rebuilt in `tests/tinyinterp/models.py`. Ten of the forty tests need compiled C++
(registerers, a delegate, a metrics counter) and are left out.
"""

from __future__ import annotations

import os
import sys
import tempfile
import types
import unittest
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from tests.tinyinterp import models
from tinyinterp import interpreter
from tinyinterp.kernels.contract import Kernel, Op

LINE = "from tflite.python import interpreter as interpreter_wrapper"
NATIVE = frozenset({"testRegistererByName", "testRegistererByFunc", "testRegistererFailure", "testRegisterGenAIOpsFailure",
                    "testCreationCounter", "testDelegate", "testMultipleInterpreters", "testDestructionOrder", "testOptions",
                    "testFail"})
REBUILT: dict[str, Callable[[], bytes]] = {
    "permute_float.tflite": models.permute,
    "permute_uint8.tflite": lambda: models.permute("uint8"),
    "gather_string.tflite": models.gather_string,
    "gather_string_0d.tflite": models.gather_string_0d,
    "two_signatures.tflite": models.two_signatures,
}


def checkout() -> Path | None:
    """The folder of TINYINTERP_LITERT, or None."""
    folder = os.environ.get("TINYINTERP_LITERT")
    return Path(folder) if folder else None


class Case(unittest.TestCase):
    """What the tests use of TensorFlow's test case."""

    def assertAllEqual(self, a: Any, b: Any) -> None:
        np.testing.assert_array_equal(a, b)

    def assertLen(self, values: Sequence[Any], length: int) -> None:
        self.assertEqual(len(values), length)


FAKE = Op("FakeOp", (1, 1), (1, 1), ("any",), lambda call: (call.output.shape,),
          (Kernel("nothing", lambda: None, lambda call, params: (), host=True),), "LiteRT test_registerer.cc")


class WithFakeOp(interpreter.InterpreterWithCustomOps):
    """The registerer that LiteRT compiles for its tests adds one op that does nothing."""

    def __init__(self, custom_op_registerers: Sequence[Any] | None = None, **kwargs: Any) -> None:
        super().__init__([FAKE if r == "TF_TestRegisterer" else r for r in custom_op_registerers or ()], **kwargs)


class Converter:
    """In place of the converter, for the one model that a test makes."""

    @classmethod
    def from_concrete_functions(cls, *args: Any) -> Converter:
        return cls()

    def convert(self) -> bytes:
        return models.total()


def stand_ins(find: Callable[[str], str]) -> dict[str, types.ModuleType]:
    """Modules under the names that the tests import."""

    def module(name: str, **content: Any) -> types.ModuleType:
        made = types.ModuleType(name)
        made.__dict__.update(content)
        return made

    ours = module("interpreter", **vars(interpreter))
    ours.__dict__["InterpreterWithCustomOps"] = WithFakeOp
    lite = module("lite", Interpreter=interpreter.Interpreter, TFLiteConverterV2=Converter)
    metrics = module("metrics", TFLiteMetrics=mock.MagicMock)
    registerer = module("_pywrap_test_registerer")
    tf = mock.MagicMock()
    tf.keras.models.Model = object
    tf.zeros = lambda shape, dtype: np.zeros(shape, np.float32)
    tf.function = lambda **options: lambda function: mock.MagicMock()
    util, loader = module("test_util", TensorFlowTestCase=Case), module("resource_loader", get_path_to_datafile=find)
    runner = module("test", main=unittest.main)
    return {
        "tensorflow": tf,
        "tensorflow.python": module("python"),
        "tensorflow.python.framework": module("framework", test_util=util),
        "tensorflow.python.platform": module("platform", resource_loader=loader, test=runner),
        "stand_ins": module("stand_ins", interpreter=ours),
        "tflite": module("tflite"),
        "tflite.python": module("python", lite=lite),
        "tflite.python.metrics": module("metrics", metrics=metrics),
        "tflite.python.testdata": module("testdata", _pywrap_test_registerer=registerer),
    }


def run(folder: Path, stream: Any = None) -> tuple[int, int, list[str]]:
    """How many of the tests passed, how many were run, and what the others said."""
    home = folder / "tflite" / "python"
    text = (home / "interpreter_test.py").read_text()
    assert text.count(LINE) == 1, "this LiteRT imports the interpreter in another way"
    text = text.replace(LINE, "from stand_ins import interpreter as interpreter_wrapper")
    with tempfile.TemporaryDirectory() as made:
        for name, make in REBUILT.items():
            (Path(made) / name).write_bytes(make())

        def find(path: str) -> str:
            rebuilt = Path(made) / Path(path).name
            return str(rebuilt if rebuilt.name in REBUILT else home / path)

        with mock.patch.dict(sys.modules, stand_ins(find)):
            scope: dict[str, Any] = {"__name__": "interpreter_test"}
            exec(compile(text, str(home / "interpreter_test.py"), "exec"), scope)
            suite = unittest.TestSuite()
            for item in scope.values():
                if isinstance(item, type) and issubclass(item, Case) and item is not Case:
                    names = unittest.defaultTestLoader.getTestCaseNames(item)
                    suite.addTests(item(name) for name in names if name not in NATIVE)
            count = suite.countTestCases()
            result = unittest.TextTestRunner(stream or sys.stderr, verbosity=0).run(suite)
    failed = [f"{test.id()}: {why.strip().splitlines()[-1]}" for test, why in (*result.failures, *result.errors)]
    return count - len(failed) - len(result.skipped), count, failed


def main() -> int:
    folder = checkout()
    if folder is None:
        print("set TINYINTERP_LITERT to a checkout of LiteRT")
        return 2
    passed, count, failed = run(folder)
    print(*failed, f"{passed} of {count}", sep="\n")
    return int(passed != count)


if __name__ == "__main__":
    raise SystemExit(main())
