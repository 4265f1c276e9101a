"""`tinyinterp verify` and compare.py: equal models, and a kernel that is wrong on purpose."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.tinyinterp.test_cli import DATA, MODEL, Capture, failed, said
from tinyinterp import Interpreter, compare
from tinyinterp.compare import difference, expose, exposed
from tinyinterp.kernels import OPS
from tinyinterp.kernels.contract import Kernel
from tinyinterp.pair import RESOLVERS
from tinyinterp.schema import build, read
from tinyinterp.schema.build import model_of, operator, tensor

litert = pytest.importorskip("ai_edge_litert")


def test_equal(capsys: Capture) -> None:
    out = said(capsys, "verify", MODEL, "--numerics", "reference", "default", "builtin", "--threads", "2", "--runs", "1")
    for numerics in ("reference", "default", "builtin"):
        assert f"{numerics}: 1 of 1 outputs equal, every byte; 11 of 11 tensors between the operators (1 run, 2 threads)" in out
    assert "\nequal, every byte" in out


def test_outputs_only_as_json(capsys: Capture) -> None:
    verdicts = json.loads(said(capsys, "verify", str(DATA / "digits_float.tflite"), "--outputs-only", "--json"))
    assert [v["numerics"] for v in verdicts] == ["reference", "default"]
    assert all(v["equal"] and v["tensors"] == 0 and v["outputs"] == 1 for v in verdicts)


def test_given_values(capsys: Capture, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((1, 8, 8, 1), np.uint8))
    given = ("verify", MODEL, "--runs", "1", "--numerics", "default", "-i")
    said(capsys, *given, f"{tmp_path}/x.npy")
    np.save(tmp_path / "x.npy", np.zeros((2, 8, 8, 1), np.uint8))
    assert "Dimension mismatch" in failed(capsys, *given, f"{tmp_path}/x.npy")


@pytest.fixture
def chain(tmp_path: Path) -> str:
    """x -> ABS -> a -> NEG -> b -> ABS -> y."""
    x, a, b, y = (tensor(n, "float32", (1, 6)) for n in "xaby")
    path = tmp_path / "chain.tflite"
    path.write_bytes(build(model_of([operator("ABS", [x], [a]), operator("NEG", [a], [b]), operator("ABS", [b], [y])])))
    return str(path)


def wrong(x: Any, y: Any) -> None:
    for i in range(x.shape[0]):
        y[i] = x[i] if i == 2 else -x[i]


@pytest.fixture
def wrong_negation(monkeypatch: pytest.MonkeyPatch) -> None:
    """An interpreter whose NEG leaves element 2 as it is."""
    op = next(op for op in OPS if op.name == "NEG")
    kernel = Kernel("neg_wrong", wrong, lambda call, params: (call.input(0).view(6), call.output.view(6)))

    def ours(data: Any, numerics: str, threads: int) -> Interpreter:
        content = data if isinstance(data, bytes) else Path(data).read_bytes()
        made = Interpreter(model_content=content, ops=(*OPS, replace(op, kernels=(kernel,))),
                           experimental_op_resolver_type=RESOLVERS[numerics])
        made.allocate_tensors()
        return made

    monkeypatch.setattr(compare, "ours", ours)


@pytest.mark.usefixtures("wrong_negation")
def test_the_first_operator_that_differs_is_named(chain: str, capsys: Capture) -> None:
    out = said(capsys, "verify", chain, "--numerics", "reference", "--runs", "1", status=1)
    assert "reference: 1 of 1 outputs equal" in out  # ABS hides it
    assert "1 of 2 tensors between the operators" in out
    assert "first to differ: NEG (operator 1), tensor 2 'b', kernel neg_wrong: 1 of 6 values differ, by at most " in out
    assert "first at 2: " in out and out.splitlines()[-1].startswith("not equal")
    verdict = json.loads(said(capsys, "verify", chain, "--numerics", "reference", "--json", status=1))[0]
    assert not verdict["equal"] and verdict["differences"][0]["operator"] == "NEG (operator 1)"


@pytest.mark.usefixtures("wrong_negation")
def test_without_the_tensors_between(chain: str, capsys: Capture) -> None:
    assert "equal, every byte" in said(capsys, "verify", chain, "--outputs-only", "--numerics", "reference")


def test_what_is_exposed() -> None:
    model = read(MODEL)
    tensors = exposed(model)
    assert model.subgraphs[0].outputs[0] not in tensors and len(tensors) == 11
    again = read(build(expose(model, tensors)))
    assert again.subgraphs[0].outputs == (*model.subgraphs[0].outputs, *tensors)


def test_what_follows_from_constants_is_not_exposed() -> None:
    half = tensor("half", "float16", data=np.float16([1, 2]))
    w, x, y = tensor("w", "float32", (2,)), tensor("x", "float32", (2,)), tensor("y", "float32", (2,))
    model = model_of([operator("DEQUANTIZE", [half], [w]), operator("ADD", [x, w], [y])])
    assert exposed(read(build(model))) == []


def test_differences() -> None:
    one = np.float32(1)
    assert difference(one, one) is None
    assert difference(np.float32([np.nan]), -np.float32([np.nan])) is None
    found = difference(np.float32([1, 0, 3]), np.float32([1, -0.0, np.nextafter(one * 3, one * 4)]))
    assert found is not None and (found.count, found.size, found.ulps, found.at) == (2, 3, 1, 1)
    found = difference(np.int8([1, -128]), np.int8([1, 127]))
    assert found is not None and (found.count, found.largest, found.ours, found.theirs) == (1, 255.0, "-128", "127")
    found = difference(np.zeros(2, np.int8), np.zeros(3, np.int8))
    assert found is not None and found.count == -1 and "int8[3] there" in str(found)
    assert difference(np.array([b"a", b"b"], object), np.array([b"a", b"b"])) is None
    assert difference(np.array([b"a", b"b"], object), np.array([b"a", b"c"], object)) is not None
    assert difference(np.complex64([1j]), np.complex64([2j])) is not None
    found = difference(np.float32([np.inf]), np.float32([1]))
    assert found is not None and found.largest > 1e300


def test_without_the_official_one(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tinyinterp.pair.installed", lambda: False)
    assert "pip install ai-edge-litert" in failed(capsys, "verify", MODEL)
