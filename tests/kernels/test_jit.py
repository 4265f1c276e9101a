"""Compiled kernels in the cache: found again, made again when they are damaged or something they are made of changes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinyinterp.evaluate import call_kernel, native_loop
from tinyinterp.kernels import abi, jit
from tinyinterp.kernels.contract import Call, Kernel, Slot
from tinyinterp.kernels.machine import fma, inline
from tinyinterp.lower import Step
from tinyinterp.schema import BuiltinOperator, Operator

ROOT = Path(__file__).resolve().parents[2]
native = pytest.mark.skipif(jit.DISABLED, reason="about machine code")
FACTOR = 3


@inline
def scaled(v: Any) -> Any:
    return v * FACTOR


def scale(x: Any, y: Any, begin: int, end: int) -> None:
    for i in range(begin, end):
        y[i] = scaled(int(x[i]))


KERNEL = Kernel("scale", scale, lambda call, params: ())
CALL = Call(0, Operator(BuiltinOperator.ABS), (), ())
ARGS = (Slot(0, np.dtype(np.int64), (5,)), Slot(1, np.dtype(np.int64), (5,)))


def run() -> list[int]:
    x, y = np.arange(5), np.zeros(5, np.int64)
    call_kernel(Step(CALL, None, KERNEL, ARGS, 5), [x, y])  # type: ignore[arg-type]
    return y.tolist()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache."""
    native_loop()  # which is not what is counted
    monkeypatch.setenv("TINYINTERP_CACHE", str(tmp_path))
    return tmp_path


@pytest.fixture
def compiles(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """Run the kernel as a new process would, and tell how many had to be compiled."""

    def count() -> int:
        native_loop()
        monkeypatch.setattr(jit, "_addresses", {})
        monkeypatch.setattr(jit, "_symbols", {})
        before = jit.compiled()
        assert run() == [0, 3, 6, 9, 12]
        return jit.compiled() - before

    return count


@native
def test_found_again(cache: Path, compiles: Callable[[], int]) -> None:
    assert compiles() == 1 and len(list(cache.glob("*.o"))) == 1 and compiles() == 0
    assert not list(cache.glob("*.part"))


@native
@pytest.mark.parametrize("harm", ["a byte", "half of it", "nothing left", "a folder", "another kernel's"])
def test_what_is_damaged_is_made_again(harm: str, cache: Path, compiles: Callable[[], int]) -> None:
    assert compiles() == 1
    file, = cache.glob("*.o")
    data = file.read_bytes()
    if harm == "a byte":
        file.write_bytes(data[:-9] + bytes([data[-9] ^ 1]) + data[-8:])
    elif harm == "half of it":
        file.write_bytes(data[: len(data) // 2])
    elif harm == "nothing left":
        file.write_bytes(b"")
    elif harm == "a folder":
        file.unlink()
        file.mkdir()
    else:  # sound in itself, but it has not got the symbol
        other = jit.text_key("other")
        jit.write_cache(other, jit.emit(f"define i64 @s_{other}(i64 %a, i64 %b, i64 %c) {{\n  ret i64 0\n}}"))
        shutil.copy(cache / f"{other}.o", file)
    assert compiles() == 1
    assert compiles() == (1 if harm == "a folder" else 0)


@native
def test_a_folder_that_cannot_be_written(tmp_path: Path, compiles: Callable[[], int], monkeypatch: pytest.MonkeyPatch) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    monkeypatch.setenv("TINYINTERP_CACHE", str(blocked / "cache"))
    assert compiles() == 1 and compiles() == 1
    monkeypatch.setenv("TINYINTERP_CACHE", "/proc/none")
    assert compiles() == 1


@native
def test_two_processes_at_once(tmp_path: Path) -> None:
    code = "from tests.kernels.test_jit import run; print(run())"
    both = [subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True,
                             env={**os.environ, "TINYINTERP_CACHE": str(tmp_path)}) for _ in range(2)]
    assert [p.communicate(timeout=300)[0] for p in both] == ["[0, 3, 6, 9, 12]\n"] * 2
    assert not list(tmp_path.glob("*.part"))
    again = subprocess.run([sys.executable, "-c", code + "; from tinyinterp.kernels import jit; print(jit.compiled())"], cwd=ROOT,
                           capture_output=True, text=True, env={**os.environ, "TINYINTERP_CACHE": str(tmp_path)})
    assert again.stdout == "[0, 3, 6, 9, 12]\n0\n", again.stderr


@native
def test_threads_at_once(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jit, "_addresses", {})
    monkeypatch.setattr(jit, "_symbols", {})
    answers: list[list[int]] = []
    threads = [threading.Thread(target=lambda: answers.append(run())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(300)
    assert answers == [[0, 3, 6, 9, 12]] * 4


# ---------------------------------------------------------------------------------------------------------- fingerprints
SOURCE = """
LIST = {table}
def callee(v):
    return v {sign} FACTOR
def body(x, y, begin, end):
    for i in range(begin, end):
        y[i] = callee(x[i]) + LIST[0] {more}
def maker(captured):
    def made(x, y, begin, end):
        for i in range(begin, end):
            y[i] = x[i] + captured
    return made
made = maker({captured})
"""


def printed(name: str = "body", factor: Any = 3, **changes: Any) -> str:
    """The fingerprint of a function of SOURCE, with these changes."""
    scope: dict[str, Any] = {"FACTOR": factor, "np": np, "fma": fma, "float32": np.float32}
    exec(SOURCE.format(**{"sign": "*", "table": "(1, 2)", "more": "", "captured": 1, **changes}), scope)
    return jit.fingerprint(scope[name])


def test_a_fingerprint_is_the_same_for_the_same_code() -> None:
    assert printed() == printed() and printed("made") == printed("made")


@pytest.mark.parametrize("change", [{"sign": "-"}, {"factor": 4}, {"factor": 3.5}, {"table": "(7, 2)"}, {"more": "+ 1"},
                                    {"table": "np.arange(3)"}, {"table": "{0: 1}"}, {"more": "+ fma(1, 2, 3)"}])
def test_any_edit_changes_the_fingerprint(change: dict[str, Any]) -> None:
    """Of the body, of a function that it calls, of a constant that either names."""
    assert printed(**change) != printed()


def test_what_is_closed_over_is_part_of_the_fingerprint() -> None:
    values = ["1", "2", "2.0", "float32(1)", "np.array([1, 2])", "np.array([1, 3])", "np.array([1, 2], np.int32)"]
    prints = [printed("made", captured=v) for v in values]
    assert len(set(prints)) == len(values), [values[i] for i, p in enumerate(prints) if prints.count(p) > 1]


def test_functions_that_call_each_other() -> None:
    scope: dict[str, Any] = {}
    exec("def a(n):\n    return b(n)\ndef b(n):\n    return a(n - 1)", scope)
    assert len(jit.fingerprint(scope["a"])) == 64  # it ends


def test_kinds() -> None:
    slot = Slot(0, np.dtype(np.float16), (2, 3))
    kinds = [abi.kind(a) for a in (slot, np.zeros((1,), bool), 3, True, 2.5, np.float32(1), np.float64(1), np.int8(1))]
    assert kinds == ["uint16[2]", "bool[1]", "int64", "int64", "float64", "float32", "float64", "int64"]


def test_records() -> None:
    """An array is its address and its dimensions, a number its bits; last come the units."""
    array = np.zeros((2, 3), np.int8)
    row = abi.record([array, 7, 1.5], 9, [array])
    assert row.tolist() == [array.ctypes.data, 2, 3, 7, np.float64(1.5).view(np.int64), 9]
