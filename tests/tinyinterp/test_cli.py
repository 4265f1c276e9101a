"""The command line: every command, its errors and its exit status."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tinyinterp import cli
from tinyinterp.kernels import OPS
from tinyinterp.schema import build
from tinyinterp.schema.build import one_op, tensor

DATA = Path(cli.__file__).parent / "data"
MODEL = str(DATA / "digits_int8.tflite")
COMMANDS = ("demo", "inspect", "run", "verify", "bench", "ops", "warmup")
Capture = pytest.CaptureFixture[str]


def said(capsys: Capture, *arguments: str, status: int = 0) -> str:
    """What a command prints to its standard output."""
    assert cli.main(arguments) == status
    return capsys.readouterr().out


def failed(capsys: Capture, *arguments: str) -> str:
    """What a command that exits with 2 prints to its standard error."""
    assert cli.main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == "" and "Traceback" not in err
    return err


@pytest.mark.parametrize("command", COMMANDS)
def test_help(command: str, capsys: Capture) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main([command, "--help"])
    assert stop.value.code == 0 and f"tinyinterp {command}" in capsys.readouterr().out


def test_help_imports_nothing_heavy() -> None:
    code = ("import sys; from tinyinterp.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass\n"
            "print([m for m in ('numpy', 'tflite', 'numba', 'llvmlite') if m in sys.modules])")
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.endswith("[]\n") and "demo" in out


def test_as_a_module() -> None:
    done = subprocess.run([sys.executable, "-m", "tinyinterp", "--version"], capture_output=True, text=True, check=True)
    assert re.fullmatch(r"tinyinterp \d+\.\d+\.\d+\n", done.stdout)


def test_wrong_arguments(capsys: Capture) -> None:
    for arguments in (["nothing"], ["inspect"], ["run", MODEL, "--threads", "0"], ["bench", MODEL, "--vs", "other"]):
        with pytest.raises(SystemExit) as stop:
            cli.main(arguments)
        assert stop.value.code == 2
        capsys.readouterr()


@pytest.mark.parametrize("command", ["inspect", "run", "verify", "bench", "warmup"])
def test_a_model_at_fault(command: str, capsys: Capture, tmp_path: Path) -> None:
    assert "Could not open" in failed(capsys, command, str(tmp_path / "none.tflite"))
    wrong = tmp_path / "wrong.tflite"
    wrong.write_bytes(b"not a model at all")
    assert failed(capsys, command, str(wrong)).startswith(f"tinyinterp {command}: ")


def test_an_op_that_is_lacking(capsys: Capture, tmp_path: Path) -> None:
    path = tmp_path / "other.tflite"
    path.write_bytes(build(one_op("Unheard", [tensor("x", "float32", (1,))], [tensor("y", "float32", (1,))])))
    assert "Unheard" in failed(capsys, "run", str(path), "--random", "0")
    facts = json.loads(said(capsys, "inspect", str(path), "--json"))
    assert facts["runs"] is None and "Unheard" in facts["refused"]
    assert "refused" in said(capsys, "inspect", str(path))


def test_demo(capsys: Capture, tmp_path: Path) -> None:
    picture = tmp_path / "digits.png"
    out = said(capsys, "demo", "--png", str(picture), "--pictures", "5")
    assert out.count("read as") == 5 and "█" in out
    assert "of 500 held-out digits read right" in out and "program: 8 steps, default numerics" in out
    assert re.search(r"one invoke takes \d+\.\d us", out)
    if "ai-edge-litert is not installed" not in out:
        assert "equal to the official interpreter: reference yes, default yes (every byte of the answers to 500 images)" in out
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_demo_without_the_official_one(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tinyinterp.commands.demo.installed", lambda: False)
    out = said(capsys, "demo", "--pictures", "1")
    assert "not compared" in out and "equal to the official" not in out


def test_inspect(capsys: Capture) -> None:
    out = said(capsys, "inspect", MODEL, "--plan", "--arena")
    for part in ("uint8[1, 8, 8, 1], may be [?, 8, 8, 1]", "2 x CONV_2D", "318,976 MACs", "serving_default(image) -> output_0",
                 "CONVERSION_METADATA", "plan: 8 steps", "arena: ", "real = 0.003921569 * (q - 0)"):
        assert part in out


def test_inspect_json(capsys: Capture) -> None:
    facts = json.loads(said(capsys, "inspect", MODEL, "--json", "--numerics", "reference"))
    assert facts["bytes"] == Path(MODEL).stat().st_size
    assert facts["inputs"][0]["shape"] == [1, 8, 8, 1] and facts["inputs"][0]["scale"] == [0.003921568859368563]
    assert facts["operators"]["CONV_2D"] == 2 and facts["constants"]["int8"]["buffers"] == 3
    assert facts["runs"]["numerics"] == "reference" and facts["runs"]["arena_bytes"] >= facts["runs"]["widest_step_bytes"]
    assert facts["signatures"][0]["key"] == "serving_default"


def test_ops(capsys: Capture) -> None:
    assert f"{len(OPS)} ops" in said(capsys, "ops")
    table = json.loads(said(capsys, "ops", "--json"))
    assert sorted(r["name"] for r in table) == sorted(op.name for op in OPS)
    for r in table:
        assert r["types"] and r["spec"] and r["module"].startswith("kernels/") and "default" in r["numerics"], r["name"]
    assert said(capsys, "ops", "--markdown").count("\n") == len(OPS) + 2


def test_bench(capsys: Capture) -> None:
    facts = json.loads(said(capsys, "bench", MODEL, "--seconds", "0.05", "--json"))
    assert facts["seconds"] > 0 and facts["rounds"] >= 3 and "ratio" not in facts
    pytest.importorskip("ai_edge_litert")
    facts = json.loads(said(capsys, "bench", MODEL, "--vs", "official", "--seconds", "0.1", "--json", "--threads", "2"))
    assert facts["ratio"] > 0 and facts["threads"] == 2
    low, high = facts["ratio_quartiles"]
    assert low <= facts["ratio"] <= high
    assert "official / tinyinterp = " in said(capsys, "bench", MODEL, "--vs", "official", "--seconds", "0.05")


def test_bench_by_steps(capsys: Capture) -> None:
    ops = json.loads(said(capsys, "bench", MODEL, "--ops", "--seconds", "0.05", "--json"))["ops"]
    assert ops["total"]["macs"] == sum(s["macs"] for s in ops["steps"]) and ops["peak"]["int8"] > 0
    assert all(s["moved"] > 0 and s["kernel"] and s["share"] >= 0 for s in ops["steps"])
    text = said(capsys, "bench", MODEL, "--ops", "--seconds", "0.05")
    assert "of the peak" in text and "total" in text and text.count("CONV_2D") >= 2


def test_bench_without_the_official_one(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tinyinterp.pair.installed", lambda: False)
    assert "pip install ai-edge-litert" in failed(capsys, "bench", MODEL, "--vs", "official")


def test_warmup(capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tmp_path / "abs.tflite"
    model.write_bytes(build(one_op("ABS", [tensor("x", "float32", (4,))], [tensor("y", "float32", (4,))])))
    script = [sys.executable, "-m", "tinyinterp", "warmup", str(model)]
    monkeypatch.setenv("TINYINTERP_CACHE", str(tmp_path / "cache"))
    first = subprocess.run(script, capture_output=True, text=True, check=True).stdout
    second = subprocess.run(script, capture_output=True, text=True, check=True).stdout
    assert "kernels compiled for default numerics" in first
    assert "nothing left to compile for default numerics" in second
    code = (f"import sys; from tinyinterp import Interpreter; i = Interpreter({str(model)!r}); i.allocate_tensors(); i.invoke()\n"
            "print('numba' in sys.modules)")
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def test_two_processes_agree_on_the_keys_of_the_cache() -> None:
    """A key must not hold an address or the order of a set: the cache would never be hit."""
    code = ("from tinyinterp.pair import ours; from tinyinterp.kernels import jit; old = jit.native\n"
            "def native(symbol, key, name, make): print(key, name); return old(symbol, key, name, make)\n"
            f"jit.native = native\nfor n in ('default', 'reference'): ours({str(DATA / 'digits_float.tflite')!r}, n)\n"
            f"ours({MODEL!r})")
    keys = {subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True,
                           env={**__import__("os").environ, "PYTHONHASHSEED": seed}).stdout for seed in ("1", "2")}
    assert len(keys) == 1 and next(iter(keys)).count("\n") > 5


def test_a_reader_that_goes_away() -> None:
    done = subprocess.run(f"{sys.executable} -m tinyinterp ops | head -1", shell=True, capture_output=True, text=True, check=True)
    assert done.stdout.count("\n") == 1 and done.stderr == ""


def test_the_picture_is_a_png(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    from tinyinterp.picture import png, sheet

    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3)).astype(np.uint8)
    for made in (pixels, pixels[..., 0]):
        (tmp_path / "x.png").write_bytes(png(made))
        assert np.array_equal(np.asarray(image.open(tmp_path / "x.png")), made)
    grid = sheet(np.zeros((3, 8, 8), np.uint8), 16, [True, False, True], 2)
    assert grid.shape[2] == 3 and grid.shape[0] == grid.shape[1]
