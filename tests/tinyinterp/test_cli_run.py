"""`tinyinterp run`: values in from files, outputs out, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.tinyinterp.test_cli import MODEL, Capture, failed, said
from tinyinterp import Interpreter
from tinyinterp.picture import png
from tinyinterp.schema import build, options
from tinyinterp.schema.build import one_op, tensor

X, Y = "serving_default_image:0", "StatefulPartitionedCall_1:0"


def answer(value: np.ndarray) -> np.ndarray:
    interpreter = Interpreter(MODEL)
    interpreter.allocate_tensors()
    interpreter.set_tensor(0, value)
    interpreter.invoke()
    return np.asarray(interpreter.get_tensor(Y))


@pytest.fixture
def digit(tmp_path: Path) -> np.ndarray:
    value = np.random.default_rng(0).integers(0, 256, (1, 8, 8, 1)).astype(np.uint8)
    np.save(tmp_path / "x.npy", value)
    np.savez(tmp_path / "x.npz", **{X: value})
    (tmp_path / "x.png").write_bytes(png(value[0, :, :, 0]))
    return value


@pytest.mark.parametrize("given", [f"{X}={{}}/x.npy", "{}/x.npy", "0={}/x.npy", "{}/x.npz", f"{X}={{}}/x.npz"])
def test_arrays(given: str, digit: np.ndarray, tmp_path: Path, capsys: Capture) -> None:
    out = said(capsys, "run", MODEL, "-i", given.format(tmp_path), "-o", str(tmp_path / "y.npz"))
    assert out.startswith(f"{Y}: uint8[1, 10] [[") and "wrote" in out
    with np.load(tmp_path / "y.npz") as made:
        assert made.files == [Y] and made[Y].tobytes() == answer(digit).tobytes()


def test_an_image(digit: np.ndarray, tmp_path: Path, capsys: Capture) -> None:
    pytest.importorskip("PIL")
    said(capsys, "run", MODEL, "-i", str(tmp_path / "x.png"), "-o", str(tmp_path / "y.npz"))
    with np.load(tmp_path / "y.npz") as made:
        assert made[Y].tobytes() == answer(digit).tobytes()


def test_an_image_of_another_size(tmp_path: Path, capsys: Capture) -> None:
    pytest.importorskip("PIL")
    path = str(tmp_path / "big.png")
    Path(path).write_bytes(png(np.zeros((16, 24, 3), np.uint8)))
    assert "24 x 16 pixels" in failed(capsys, "run", MODEL, "-i", path)
    assert Y in said(capsys, "run", MODEL, "-i", path, "--resize")


def test_an_image_for_a_float_model(tmp_path: Path, capsys: Capture) -> None:
    pytest.importorskip("PIL")
    model, image, out = (str(tmp_path / n) for n in ("m.tflite", "x.png", "y.npz"))
    Path(model).write_bytes(build(one_op("ABS", [tensor("x", "float32", (1, 2, 2, 3))], [tensor("y", "float32", (1, 2, 2, 3))])))
    Path(image).write_bytes(png(np.full((2, 2, 3), 51, np.uint8)))
    assert "--range" in failed(capsys, "run", model, "-i", image)
    said(capsys, "run", model, "-i", image, "-o", out, "--range", "0", "1")
    with np.load(out) as made:
        np.testing.assert_allclose(made["y"], 0.2, rtol=1e-6)


def test_real_numbers(tmp_path: Path, capsys: Capture) -> None:
    real = np.linspace(0, 1, 64, dtype=np.float32).reshape(1, 8, 8, 1)
    np.save(tmp_path / "x.npy", real)
    given = ("run", MODEL, "-i", str(tmp_path / "x.npy"), "-o", str(tmp_path / "y.npz"))
    assert "Got value of type FLOAT32 but expected type UINT8" in failed(capsys, *given)
    said(capsys, *given, "--quantize", "--dequantize")
    with np.load(tmp_path / "y.npz") as made:
        wanted = answer(np.clip(np.round(real / 0.003921568859368563), 0, 255).astype(np.uint8))
        assert made[Y].dtype == np.float32
        np.testing.assert_array_equal(made[Y], wanted.astype(np.float32) / 256)


def test_random_values(tmp_path: Path, capsys: Capture) -> None:
    first = said(capsys, "run", MODEL, "--random", "1", "--numerics", "reference", "--threads", "2")
    assert first == said(capsys, "run", MODEL, "--random", "1", "--numerics", "reference")
    assert first != said(capsys, "run", MODEL, "--random", "2", "--numerics", "reference")


def test_a_signature(digit: np.ndarray, tmp_path: Path, capsys: Capture) -> None:
    out = said(capsys, "run", MODEL, "--signature", "serving_default", "-i", f"image={tmp_path}/x.npy", "-o", f"{tmp_path}/y.npz")
    assert out.startswith("output_0: uint8[1, 10]")
    with np.load(tmp_path / "y.npz") as made:
        assert made["output_0"].tobytes() == answer(digit).tobytes()
    assert "serving_default" in failed(capsys, "run", MODEL, "--signature", "other", "--random", "0")


def test_tensors_of_one_name(tmp_path: Path, capsys: Capture) -> None:
    model = one_op("ADD", [tensor("x", "float32", (2,)), tensor("x", "float32", (2,))], [tensor("file", "float32", (2,))],
                   options.AddOptions())
    path, out = str(tmp_path / "m.tflite"), str(tmp_path / "y.npz")
    Path(path).write_bytes(build(model))
    np.save(tmp_path / "a.npy", np.float32([1, 2]))
    said(capsys, "run", path, "-i", f"x:0={tmp_path}/a.npy", "-i", f"1={tmp_path}/a.npy", "-o", out)
    with np.load(out) as made:
        assert made["file"].tolist() == [2, 4]


def test_refusals(digit: np.ndarray, tmp_path: Path, capsys: Capture) -> None:
    here = str(tmp_path)
    assert f"-i {X}=FILE.npy with uint8[1, 8, 8, 1]" in failed(capsys, "run", MODEL)
    assert "there is no input 'other'" in failed(capsys, "run", MODEL, "-i", f"other={here}/x.npy")
    assert "none.npy" in failed(capsys, "run", MODEL, "-i", f"{here}/none.npy")
    assert "there is no file" in failed(capsys, "run", MODEL, "-i", f"{here}/none.png")
    assert ".npz" in failed(capsys, "run", MODEL, "-i", f"{here}/x.npy", "-o", f"{here}/y.csv")
    np.save(tmp_path / "wide.npy", np.zeros((1, 9, 8, 1), np.uint8))
    assert "Dimension mismatch" in failed(capsys, "run", MODEL, "-i", f"{here}/wide.npy")
    (tmp_path / "broken.npy").write_bytes(b"\x93NUMPY")
    assert "broken.npy" in failed(capsys, "run", MODEL, "-i", f"{here}/broken.npy")
    (tmp_path / "broken.npz").write_bytes(b"PK")
    assert "broken.npz" in failed(capsys, "run", MODEL, "-i", f"{here}/broken.npz")
    (tmp_path / "text.png").write_text("no picture")
    if __import__("importlib.util").util.find_spec("PIL"):
        assert "no image that pillow can read" in failed(capsys, "run", MODEL, "-i", f"{here}/text.png")
