"""Programs kept on disk: the same answers without lowering, and nothing that is damaged or another's is taken."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.harness import models
from tests.tinyinterp.models import chain
from tests.tinyinterp.test_lower import dynamic
from tests.tinyinterp.test_shared import answer, made, model
from tinyinterp import Interpreter, OpResolverType, kept
from tinyinterp.errors import TinyInterpError
from tinyinterp.kernels import OPS, jit
from tinyinterp.pair import random_value
from tinyinterp.schema import build

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.skipif(jit.DISABLED, reason="about machine code")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder of its own, in which everything is kept. The kernels that this process has loaded stay loaded."""
    monkeypatch.setenv("TINYINTERP_CACHE", str(tmp_path))
    monkeypatch.setattr(kept, "MOST", float(2**30))
    monkeypatch.setattr(kept, "WORTH", -1.0)
    return tmp_path


@pytest.fixture
def lowered(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """How often a graph has been lowered since this was asked last."""
    count = [0]
    plain = kept.lower

    def counted(*args: Any, **more: Any) -> Any:
        count[0] += 1
        return plain(*args, **more)

    def asked() -> int:
        gc.collect()  # templates of interpreters that are gone are not shared
        found, count[0] = count[0], 0
        return found

    monkeypatch.setattr(kept, "lower", counted)
    return asked


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.program"))


def test_the_second_time_nothing_is_lowered(folder: Path, lowered: Callable[[], int]) -> None:
    first = answer(made(model()))
    assert lowered() == 1 and len(files(folder)) == 1
    assert answer(made(model())) == first
    assert lowered() == 0 and len(files(folder)) == 1


def test_another_process_finds_it(folder: Path) -> None:
    """Whatever seed its hashes have."""
    (folder / "model.tflite").write_bytes(model())
    code = """
from tinyinterp import Interpreter, kept
kept.WORTH, found = -1.0, []
plain = kept._read
kept._read = lambda *args: found.append(plain(*args)) or found[-1]
Interpreter(model_path="model.tflite").allocate_tensors()
print(found[0] is not None)"""
    for seed, expected in (("1", "False"), ("2", "True"), ("3", "True")):
        environment = os.environ | {"PYTHONHASHSEED": seed, "TINYINTERP_KEEP": "100", "PYTHONPATH": str(ROOT)}
        found = subprocess.check_output([sys.executable, "-c", code], env=environment, cwd=folder, text=True)
        assert found.split() == [expected]


def test_steps_are_lowered_when_asked_for(lowered: Callable[[], int]) -> None:
    text = str(made(model()).program)
    lowered()
    again = made(model())
    assert lowered() == 0
    assert str(again.program) == text and lowered() == 1
    assert str(again.program) == text and lowered() == 0


def test_what_the_key_holds(folder: Path, lowered: Callable[[], int], monkeypatch: pytest.MonkeyPatch) -> None:
    """The model, its sizes, the arithmetic, the threads, the instruction set, this library."""
    two, reference = chain(2), {"experimental_op_resolver_type": OpResolverType.BUILTIN_REF}
    for number, one in enumerate((
            lambda: made(model(0)), lambda: made(model(1)), lambda: made(model(0), num_threads=2),
            lambda: made(model(0), experimental_preserve_all_tensors=True, **reference), lambda: made(model(0), **reference),
            lambda: made(two)), 1):
        one()
        assert lowered() == 1 and len(files(folder)) == number
        one()
        assert lowered() == 0
    interpreter = Interpreter(model_content=two)
    interpreter.resize_tensor_input(0, [7, 4])
    interpreter.allocate_tensors()
    assert lowered() == 1 and interpreter.program.shape(0) == (7, 4)
    del interpreter
    monkeypatch.setattr(kept, "_library", lambda: "another")
    made(two)
    assert lowered() == 1
    monkeypatch.setattr(jit, "level", lambda: "portable")
    made(two)
    assert lowered() == 1


def test_a_file_that_changes_is_another_model(tmp_path: Path, lowered: Callable[[], int]) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(model(0))
    for when in (None, 1_600_000_000):  # young: its content tells; old: its times do
        if when:
            os.utime(path, (when, when))
        first = answer(made(str(path)))
        lowered()
        assert answer(made(str(path))) == first and lowered() == 0
    path.write_bytes(model(1))
    assert answer(made(str(path))) != first and lowered() == 1


def test_damage(folder: Path, lowered: Callable[[], int]) -> None:
    """A byte changed anywhere, missing or too many; another's file: lowered again, and the same answer."""
    first = answer(made(model()))
    path, = files(folder)
    good = path.read_bytes()
    description, words = np.frombuffer(good, np.uint64)[4:6].astype(int)
    assert answer(made(model())) == first
    lowered()
    for at in (0, 31, 32, 40, 50, 64, 64 + description // 2, 64 + description + 8, 64 + description + words + 70, len(good) - 65):
        bad = bytearray(good)
        bad[at] ^= 64
        path.write_bytes(bad)
        assert answer(made(model())) == first and lowered() == 1, at
        assert path.read_bytes() == good  # and kept again
    for bad in (good[:-1], good[:100], b"", good + bytes(64)):
        path.write_bytes(bad)
        assert answer(made(model())) == first and lowered() == 1
    answer(made(model(1)))
    other, = (p for p in files(folder) if p != path)
    path.write_bytes(other.read_bytes())
    lowered()
    assert answer(made(model())) == first and lowered() == 1


def test_kernels_that_are_gone(lowered: Callable[[], int], monkeypatch: pytest.MonkeyPatch) -> None:
    first = answer(made(model()))
    lowered()
    monkeypatch.setattr(jit, "kept_address", lambda symbol: None)
    assert answer(made(model())) == first and lowered() == 1


def test_a_folder_that_cannot_be_written(folder: Path, monkeypatch: pytest.MonkeyPatch, lowered: Callable[[], int]) -> None:
    (folder / "file").write_bytes(b"")
    monkeypatch.setenv("TINYINTERP_CACHE", str(folder / "file" / "below"))
    first = answer(made(model()))
    assert answer(made(model())) == first and lowered() == 2


def test_the_folder_stays_small(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those used last stay."""
    made(model(0))
    size = files(folder)[0].stat().st_size
    monkeypatch.setattr(kept, "MOST", 4.5 * size)
    for seed in range(1, 4):
        made(model(seed))
    assert len(files(folder)) == 4
    for age, path in enumerate(files(folder)):
        os.utime(path, (1e9 - age, 1e9 - age))
    last = files(folder)[-1]
    oldest = files(folder)[-2:]
    os.utime(last, (2e9, 2e9))
    gc.collect()
    made(model(4))
    assert len(files(folder)) == 4 and last in files(folder) and oldest[0] not in files(folder)
    monkeypatch.setattr(kept, "MOST", 0)
    made(model(5))
    assert len(files(folder)) == 4


def test_what_is_not_kept(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made(model(), ops=OPS)  # whose ops may change without a trace
    made(build(dynamic()))  # whose sizes depend on values
    monkeypatch.setattr(kept, "WORTH", 5.0)
    made(model())
    assert not files(folder)


def test_few_sizes_of_a_model_are_kept(folder: Path) -> None:
    interpreter = Interpreter(model_content=chain(2))
    for n in range(2, 12):
        interpreter.resize_tensor_input(0, [n, 4])
        interpreter.allocate_tensors()
    assert len(files(folder)) == kept.SIZES


def values(path: Path, **more: Any) -> list[bytes]:
    """The outputs of a network for random inputs."""
    interpreter = made(str(path), **more)
    rng = np.random.default_rng(0)
    for detail in interpreter.get_input_details():
        interpreter.set_tensor(detail["index"], random_value(detail, rng))
    interpreter.invoke()
    return [interpreter.get_tensor(detail["index"]).tobytes() for detail in interpreter.get_output_details()]


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("numerics", [OpResolverType.AUTO, OpResolverType.BUILTIN_REF], ids=["default", "reference"])
def test_networks(numerics: OpResolverType, threads: int, folder: Path, lowered: Callable[[], int]) -> None:
    """A network's outputs are those of the program before it was kept."""
    count = 0
    for path in models():
        if "mobilenet" in path.name or "pose_" in path.name or "speech" in path.name:
            more = {"num_threads": threads, "experimental_op_resolver_type": numerics}
            try:
                first = values(path, **more)
            except (TinyInterpError, ValueError):  # also sizes that values decide, which random ones do not fit
                continue
            if lowered() and len(files(folder)) > count:
                assert values(path, **more) == first and lowered() == 0, path
                count = len(files(folder))
    assert count >= 10 or not models()
