"""How a process starts: what it imports, what it trusts in the cache of kernels, and what it says while it compiles."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tinyinterp.kernels import jit
from tinyinterp.kernels.micro import cpu, image
from tinyinterp.schema import build
from tinyinterp.schema.build import one_op, tensor

pytestmark = pytest.mark.skipif(jit.DISABLED, reason="nothing is compiled")
COMPILERS = "print(sorted(m for m in ('numba', 'llvmlite', 'tflite', 'tinyinterp.schema.reader') if m in sys.modules))"
RUN = """
import sys
import numpy as np
from tinyinterp import Interpreter
i = Interpreter(sys.argv[1])
i.allocate_tensors()
i.set_tensor(0, np.float32([3, -4, 0, 5]))
i.invoke()
print(i.get_tensor(i.get_output_details()[0]["index"]).tolist())
from tinyinterp.kernels import jit
print(jit.compiled())
"""
ANSWER = "[3.0, 4.0, 0.0, 5.0]"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of one ABS."""
    file = tmp_path_factory.mktemp("built") / "abs.tflite"
    file.write_bytes(build(one_op("ABS", [tensor("x", "float32", (4,))], [tensor("y", "float32", (4,))])))
    return file


@pytest.fixture(scope="module")
def compiled(built: Path) -> Path:
    """A cache with its kernels."""
    environment = os.environ | {"TINYINTERP_CACHE": str(built.parent / "cache")}
    subprocess.run([sys.executable, "-c", RUN, str(built)], env=environment, capture_output=True, check=True)
    return built.parent / "cache"


@pytest.fixture
def model(built: Path, compiled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The model, with a cache of its own that has all its kernels."""
    monkeypatch.setenv("TINYINTERP_CACHE", str(tmp_path / "cache"))
    shutil.copytree(compiled, tmp_path / "cache")
    return str(built)


def run(code: str, *args: str) -> list[str]:
    """The lines that a process of its own prints."""
    done = subprocess.run([sys.executable, "-c", code, *args], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def objects() -> list[Path]:
    return sorted(Path(os.environ["TINYINTERP_CACHE"]).glob("*.o"))


def test_import_brings_in_no_compiler() -> None:
    assert run(f"import sys, tinyinterp; {COMPILERS}") == ["[]"]
    assert run(f"import sys; from tinyinterp import Interpreter; {COMPILERS}") == ["['tinyinterp.schema.reader']"]


@pytest.mark.skipif(not image.possible(), reason="kernels are no images here: LLVM loads them")
def test_a_warm_process_runs_without_a_compiler(model: str) -> None:
    assert run(RUN + COMPILERS, model) == [ANSWER, "0", "['tinyinterp.schema.reader']"]


def sealed(file: Path, code: bytes) -> bytes:
    return hashlib.blake2b(file.stem.encode() + code, digest_size=32).digest() + code


def damaged(file: Path, data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


def cut(file: Path, data: bytes) -> bytes:
    return data[: len(data) // 2]


def foreign(file: Path, data: bytes) -> bytes:
    """Whole, but of another key."""
    return sealed(Path("another.o"), data[32:])


def unresolved(file: Path, data: bytes) -> bytes:
    """An image that wants a C function that is not here."""
    return sealed(file, image.MAGIC + b"at nothing 0\nc tinyinterp_has_no_such_function 8\ncode 16\n" + bytes(16))


def nameless(file: Path, data: bytes) -> bytes:
    """An image without the symbol."""
    return sealed(file, image.MAGIC + b"at nothing 0\ncode 16\n" + bytes(16))


def empty(file: Path, data: bytes) -> bytes:
    return b""


@pytest.mark.parametrize("spoil", [damaged, cut, foreign, unresolved, nameless, empty])
def test_what_is_wrong_in_the_cache_is_made_again(model: str, spoil: Callable[[Path, bytes], bytes]) -> None:
    good = {file: file.read_bytes() for file in objects()}
    assert len(good) > 1
    for file, data in good.items():
        file.write_bytes(spoil(file, data))
    assert run(RUN, model) == [ANSWER, str(len(good))]
    assert run(RUN, model) == [ANSWER, "0"]
    assert {file: len(file.read_bytes()) for file in objects()} == {file: len(data) for file, data in good.items()}


def test_an_entry_of_another_kernel_is_not_run(model: str) -> None:
    """Whole files under each other's names."""
    files = objects()
    contents = [file.read_bytes() for file in files]
    for file, data in zip(files, contents[1:] + contents[:1]):
        file.write_bytes(data)
    assert len(files) > 1 and run(RUN, model) == [ANSWER, str(len(files))]


def test_a_change_in_a_kernel_is_a_new_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stale code has another key: byte code, constants and what is reached all count."""
    namespace: dict[str, object] = {}
    keys = set()
    for text in ("x + 1", "x + 2", "x - 1", "g(x)"):
        exec(f"def g(x): return x\ndef f(x): return {text}", namespace)
        keys.add(jit.fingerprint(namespace["f"]))  # type: ignore[arg-type]
    exec("def g(x): return x * 3\ndef f(x): return g(x)", namespace)
    keys.add(jit.fingerprint(namespace["f"]))  # type: ignore[arg-type]
    assert len(keys) == 5
    before = jit.text_key("code")
    monkeypatch.setattr(jit, "machine", lambda: "another")
    assert jit.text_key("code") != before


def test_a_folder_that_cannot_be_written_is_no_error(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINYINTERP_CACHE", "/dev/null/cache")
    assert run(RUN, model)[0] == ANSWER


def test_without_images_llvm_loads_the_objects(model: str) -> None:
    code = "from tinyinterp.kernels.micro import image; image.possible = lambda: False\n" + RUN
    for file in objects():
        file.unlink()
    first, again = run(code, model), run(code, model)
    assert first[0] == again[0] == ANSWER and first[1] != "0" and again[1] == "0"
    assert not any(file.read_bytes()[32:].startswith(image.MAGIC) for file in objects())
    assert run(RUN, model)[0] == ANSWER


def test_the_level_is_the_one_llvm_finds() -> None:
    import llvmlite.binding as llvm

    has = llvm.get_host_cpu_features()
    decide = ("avx512f", "avx512bw", "avx512vl", "avx512dq", "amx-int8", "avx512vnni", "avx2", "fma")
    assert {f for f in decide if has.get(f)} == {f for f in decide if f in cpu.processor()[1]}


@pytest.mark.skipif(sys.platform != "linux", reason="a terminal of its own is a matter of Linux here")
def test_progress_is_told_on_a_terminal_only(model: str) -> None:
    import pty

    code = "from tinyinterp.kernels import jit; jit._progress.spent = 1.0\n" + RUN
    for file in objects():
        file.unlink()
    piped = subprocess.run([sys.executable, "-c", code, model], capture_output=True, text=True, check=True)
    assert piped.stderr == ""
    for file in objects():
        file.unlink()
    ours, theirs = pty.openpty()
    process = subprocess.Popen([sys.executable, "-c", code, model], stderr=theirs, stdout=subprocess.DEVNULL)
    os.close(theirs)
    told = b""
    try:
        while part := os.read(ours, 4096):
            told += part
    except OSError:  # the other end is gone
        pass
    finally:
        os.close(ours)
    assert process.wait() == 0
    assert b"tinyinterp: compiling kernel 1: " in told and b"(kept for next time)" in told
    assert told.endswith(b"\r\x1b[K"), "the line is cleared"


def test_images_say_what_they_need() -> None:
    if not image.possible():
        pytest.skip("kernels are no images here")
    text = """
    @table = internal constant [4 x i64] [i64 3, i64 5, i64 7, i64 11]
    @rows = internal constant [2 x ptr] [ptr @table, ptr getelementptr (i64, ptr @table, i64 2)]
    declare float @expf(float)
    define i64 @pointed(i64 %i) {
      %p = getelementptr [2 x ptr], ptr @rows, i64 0, i64 %i
      %row = load ptr, ptr %p
      %v = load i64, ptr %row
      ret i64 %v
    }
    define i64 @pick(i64 %i) {
      %p = getelementptr [4 x i64], ptr @table, i64 0, i64 %i
      %v = load i64, ptr %p
      ret i64 %v
    }
    define float @twice(float %x) {
      %a = call float @expf(float %x)
      %b = call float @expf(float %a)
      ret float %b
    }"""
    import ctypes

    made = jit.emit(text)
    assert image.is_image(made) and b"\nc expf " in made
    at = image.place(made)
    assert [ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(at["pick"])(i) for i in range(4)] == [3, 5, 7, 11]
    assert [ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(at["pointed"])(i) for i in range(2)] == [3, 7]
    got = ctypes.CFUNCTYPE(ctypes.c_float, ctypes.c_float)(at["twice"])(0.5)
    assert np.float32(got) == pytest.approx(float(np.exp(np.exp(0.5))), rel=1e-6)
    written = "@count = internal global i64 0\ndefine i64 @next() {\n %v = load i64, ptr @count\n %w = add i64 %v, 1\n" \
              " store i64 %w, ptr @count\n ret i64 %w\n}"
    assert not image.is_image(jit.emit(written)), "memory that is written to is LLVM's loader's"
