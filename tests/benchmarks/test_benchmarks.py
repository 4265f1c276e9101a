"""The benchmarks run: on one tiny network, for a moment, so that they cannot rot."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from benchmarks import arena, dispatch, networks, operators, peak, report, start
from benchmarks.built import built, without
from benchmarks.cases import evenly, titles, weight_kind
from benchmarks.cases import networks as files
from benchmarks.cases import operators as calls
from benchmarks.measure import compare
from benchmarks.official_arena import Block, checked, size_of
from benchmarks.official_arena import arena as official
from benchmarks.record import Record
from docs.sections import section
from tests.harness import models
from tinyinterp.graph import link
from tinyinterp.kernels import OPS
from tinyinterp.lower import lower
from tinyinterp.schema import Padding, build, options, read
from tinyinterp.schema.build import model_of, operator, tensor

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """x [1, 8, 8, 4] -> a 3 x 3 convolution -> ADD with x -> RELU -> SOFTMAX."""
    pytest.importorskip("ai_edge_litert")
    rng = np.random.default_rng(0)
    x, a, b, c, y = (tensor(n, "float32", (1, 8, 8, 4)) for n in "xabcy")
    w = tensor("w", "float32", data=rng.normal(0, 0.1, (4, 3, 3, 4)).astype(np.float32))
    bias = tensor("bias", "float32", data=np.zeros(4, np.float32))
    settings = options.Conv2DOptions(padding=Padding.SAME, stride_h=1, stride_w=1)
    steps = [operator("CONV_2D", [x, w, bias], [a], settings), operator("ADD", [a, x], [b]), operator("RELU", [b], [c]),
             operator("SOFTMAX", [c], [y], options.SoftmaxOptions(beta=1.0))]
    path = tmp_path_factory.mktemp("network") / "tiny.tflite"
    path.write_bytes(build(model_of(steps)))
    return path


def test_networks(tiny: Path, tmp_path: Path) -> None:
    output = tmp_path / "networks.json"
    command = [sys.executable, "-m", "benchmarks.networks", str(tiny), "--quick", "--seconds", "0.05", "--output", str(output)]
    for turn in range(2):  # the second time there is nothing left to do
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        assert "| tiny | float32 |" in done.stdout and ("/1 float32" in done.stderr) == (turn == 0)
    row = json.loads(output.read_text())["rows"]["tiny"]
    assert row["kind"] == "float32" and row["load"]["ours_warm"] > 0 and row["default gain"]["rounds"] >= 3
    for mode in networks.MODES:
        assert row[mode]["equal"] and row[mode]["ratio"] > 0 and row[mode]["ours_least"] <= row[mode]["ours"]


def test_operators(tiny: Path, tmp_path: Path) -> None:
    cases = list(calls(files([str(tiny)])))
    assert sorted(c.group for c in cases) == ["ADD float32", "CONV_2D first float32", "RELU float32", "SOFTMAX float32"]
    record = Record(tmp_path / "operators.json")
    operators.measure(cases[:2], record, [("default", 1)], 0.01)
    assert all(row["default 1"]["equal"] and 0 < row["default 1"]["share"] for row in record.rows.values())
    assert "CONV_2D first float32" in operators.page(record.rows)
    assert "| float32 convolutions | 1 of 1 |" in operators.figures(record.rows)
    assert "first" in operators.slowest(record.rows)
    again = Record(record.path)
    operators.measure(cases[:2], again, [("default", 1)], 0.01)  # all there: nothing is measured anew
    assert again.rows == record.rows


def test_dispatch(tiny: Path, tmp_path: Path) -> None:
    record = Record(tmp_path / "dispatch.json")
    dispatch.measure([c for c in calls(files([str(tiny)])) if c.op == "CONV_2D"], record, ["default"], 1, 0.01)
    (row,) = record.rows.values()
    assert len(row["kernels"]) > 1 and row["equal"]
    slow = {"default 1 case": row | {"best": row["kernels"][1]["kernel"], "gain": 0.5}}
    assert "fastest one is chosen" in dispatch.page(record.rows) and row["kernels"][0]["kernel"] in dispatch.page(slow)


def test_cases_are_sampled_evenly(tiny: Path) -> None:
    assert evenly("abcdefg", 3) == ["a", "d", "g"] and evenly("ab", 3) == ["a", "b"] and evenly("abc", 1) == ["a"]
    (case,) = calls(files([str(tiny)]), groups=frozenset({"RELU float32"}))
    assert (case.group, case.count, case.of) == ("RELU float32", 1, 1)


def test_rows_of_other_code_are_measured_again(tmp_path: Path) -> None:
    record = Record(tmp_path / "rows.json")
    record.save("a", {"default 1": {}, "seconds": 1})
    assert record.has("a", ["default 1"], 1.0) and not record.has("a", ["default 2"]) and not record.has("a", [], 2.0)
    record.rows["a"]["code"] = "other"
    assert not record.has("a")


def test_peak() -> None:
    assert "GB" in peak.page({"peak": asdict(peak.known(0.01))})


def test_start(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    start.process("import sys; assert not sys.dont_write_bytecode")
    row = start.measure(tiny, 1, cold=False)
    assert row["ours"] > 0 and "first answer" in start.page({"tiny": row})


def test_arena(tiny: Path) -> None:
    row = arena.row_of(tiny)
    # Three blocks of 1024 bytes: x; the convolution's output, where the sum goes too, and later y; RELU's output.
    assert row["official"] == 3072 and row["checked"] == "yes"
    assert row["ours"] >= row["bound"] >= row["tensors_bound"] > 0
    assert "| tiny |" in arena.page({"tiny": row})
    assert arena.offenders({"mobilenet": row | {"ours": 2 * row["bound"]}})


@pytest.mark.parametrize("path", [p for p in models() if "mobilenet_v2" in p.name][:2], ids=lambda p: p.stem)
def test_the_official_planner(path: Path) -> None:
    graph = link(read(path))
    blocks = official(graph, lower(graph, {t: graph.tensors[t].shape for t in graph.inputs}, "default"))
    assert checked(str(path), blocks) == size_of(blocks)
    assert not any(_overlap(a, b) for i, a in enumerate(blocks) for b in blocks[:i])


def _overlap(a: Block, b: Block) -> bool:
    return (a.first <= b.last and b.first <= a.last and a.offset < b.offset + b.size and b.offset < a.offset + a.size
            and min(a.size, b.size) > 0)


def test_built_calls_lower() -> None:
    cases = list(built())
    assert {c.op for c in cases} | set(without()) == {op.name for op in OPS}
    for case in cases:
        graph = link(read(case.data))
        lower(graph, {t: graph.tensors[t].shape for t in graph.inputs}, "default")


def test_a_refusal_is_a_row() -> None:
    model = build(model_of([operator("MyOp", [tensor("x", "float32", (2,))], [tensor("y", "float32", (2,))])]))
    assert "refused" in compare(model)["failed"] and weight_kind(read(model)) == "none"


def test_titles_tell_files_apart() -> None:
    assert list(titles([Path("a/m.tflite"), Path("b/m.tflite"), Path("b/n.tflite")]).values()) == ["a/m", "b/m", "n"]


def test_report_has_its_sections() -> None:
    for file, name, _, _ in report.SECTIONS:
        section((ROOT / file).read_text(), name)


def test_report_of_a_network() -> None:
    mode = {"ours": 1e-3, "official": 2e-3, "ratio": 0.5, "equal": True}
    rows = {"net": {"kind": "int8", "default 1": mode, "reference 1": mode}}
    assert "| int8 | 1 | 0.500 |" in report.short(rows)
    assert networks.missed(rows) == ["default 1, int8: 0.500, not 0.45", "reference 1, all: 0.500, not 0.03"]
    slower = {"net": rows["net"] | {"default gain": {"ratio": 0.9, "quartiles": [0.8, 0.95], "rounds": 3}}}
    assert "two threads are 0.90 times as fast as one (1.00 ms)" in networks.missed(slower)[-1]
    slow = {"net": {"kind": "int8", "default 1": mode | {"ours": 0.01}, "default gain": {"ratio": 1.6, "quartiles": [1.5, 1.7]}}}
    assert "1.60 times" in networks.missed(slow)[-1] and "on the 1 networks" in networks.large(slow)
    assert "Not reached" in report.network_page(rows)
