"""What every kernel of every op promises: the bytes of its definition, its own memory only, and no trace of how it was shared.

TINYINTERP_THOROUGH=1 takes all types that there are examples of, instead of float32 and int8.
"""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pytest

from tests.contract.calls import all_offers, run, steps
from tests.contract.examples import examples, values_for
from tests.harness import same
from tests.kernels import test_detection, test_gather, test_unary
from tests.kernels.operands import binary
from tinyinterp.kernels import OPS, jit
from tinyinterp.kernels.contract import Status, nothing_known
from tinyinterp.lower import Step
from tinyinterp.schema import Model

ROOT = Path(__file__).resolve().parents[2]
NAMES = tuple(op.name for op in OPS)

# The definition of a kernel is the next one in its op's list that says what the bits are, itself included: the last that
# takes the call, and these, whose arithmetic is another one than that of what comes after them.
DEFINITIONS = frozenset((
    # for an instruction set, as the official delegate has them
    "logistic_float32_delegate", "sqrt_float32_delegate", "rsqrt_float32_delegate", "sum_float32_rows_avx512",
    "sum_float32_rows_avx2",
    # for shapes and types that the optimised builtins treat in their own way; the reference's serves the rest
    "conv_float32_builtin", "conv_8bit_builtin", "depthwise_int8_builtin", "mean_float32_rows_eigen",
    # for a type among those of the last
    "resize_bilinear_8bit_delegate", "join_rescaled", "sum_fixed_as_uint8", "cast_float_to_integer", "cast_float16_to_integer",
    "cast_complex64_to_integer", "cast_integer_to_narrower",
))
FORCED = ("vnni", "avx512", "avx2", "portable")  # the best of this processor runs in every other test
SOME = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "SQRT", "MEAN")

THOROUGH = os.environ.get("TINYINTERP_THOROUGH", "") not in ("", "0")  # all types, minutes from an empty cache

native = pytest.mark.skipif(jit.DISABLED, reason="calls machine code")


def contract(models: Iterable[Model], threads: Sequence[int] = (2, 3, 7)) -> list[str]:
    """The names of all kernels that were run; asserts what they promise."""
    names = []
    for model, kernels in all_offers(tuple(models), values_for):
        values = values_for(model)
        definition = run(kernels[-1], values, garbage=0x11)
        for step in reversed(kernels):
            where = f"{step.kernel.name}, {step.call.numerics}, {[(o.type.name, o.shape) for o in step.call.inputs if o]}"
            whole = run(step, values)
            assert whole.intact, f"{where} writes outside its memory"
            assert whole.inputs_kept, f"{where} changes an input"
            assert whole.status == definition.status == 0, f"{where}: status {whole.status}"
            assert [y.shape for y in whole.outputs] == [o.shape for o in step.call.outputs], where
            if step.kernel.name in DEFINITIONS:
                definition = run(step, values, garbage=0x11)
            for a, b in zip(whole.outputs, definition.outputs):
                assert not (found := same(a, b)), f"{where}, against its definition: {found}"
            for t in places(step):
                for shares in [[(0, 1)], *([(i, n) for i in range(n)] for n in threads)]:
                    above = run(step, values, shares, over=t)
                    assert above.intact and above.inputs_kept, f"{where} in place"
                    assert not (found := same(whole.outputs[0], above.outputs[0])), f"{where}, in place of t{t}: {found}"
            for n in threads if step.units else ():
                parts = run(step, values, [(i, n) for i in reversed(range(n))], garbage=0x77)
                assert parts.intact and parts.inputs_kept, f"{where} in {n} shares"
                for a, b in zip(whole.outputs, parts.outputs):
                    assert not (found := same(a, b)), f"{where} in {n} shares: {found}"
            names.append(step.kernel.name)
    return names


def places(step: Step) -> set[int]:
    """The inputs in whose place a kernel says it can write."""
    size = {s.tensor: math.prod(s.shape) * s.dtype.itemsize for s in step.slots}
    y = step.call.output.index
    return {t for t in size if t != y and size[t] == size[y]} if step.kernel.in_place else set()


def chosen(name: str) -> list[Model]:
    """The examples of an op: float32 and int8, which have all the forms that the other types have, or all of them."""
    models = examples()[name]
    usual = [m for m in models if m.subgraphs[0].tensors[0].type.name in ("FLOAT32", "INT8")]
    return list(models if THOROUGH else usual or models)


def test_every_op_has_an_example() -> None:
    assert set(NAMES) == set(examples())


@native
@pytest.mark.parametrize("name", NAMES)
def test_contract(name: str) -> None:
    known = next(op for op in OPS if op.name == name).known is not nothing_known  # shapes alone may tell: nothing runs
    assert contract(chosen(name)) or known


@native
@pytest.mark.parametrize("level", FORCED)
def test_other_instruction_sets(level: str) -> None:
    """The kernels of a lesser processor, in a process that is told to be one."""
    if jit.LEVELS.index(level) < jit.LEVELS.index(jit.level()):
        pytest.skip("this processor has not got them")
    code = "import sys; from tests.contract.test_kernels import run_some; run_some(sys.argv[1])"
    result = subprocess.run([sys.executable, "-c", code, level], cwd=ROOT, capture_output=True, text=True,
                            env={**os.environ, "TINYINTERP_ISA": level})
    assert result.returncode == 0, result.stderr[-2000:]
    print(result.stdout)


def run_some(level: str) -> None:
    """The contract of a few ops, float32 and int8, under this instruction set."""
    assert jit.level() == level
    names = []
    for name in SOME:
        models = chosen(name)
        names += contract(models[:1] + models[-2:-1] * (len(models) > 2), threads=(3,))
    print(*dict.fromkeys(names))
    assert any(name.endswith(f"_{level}") for name in names) or level == "portable", names


def refused() -> list[tuple[str, Model, dict[int, np.ndarray], Status]]:
    """(what, model, values that a kernel refuses, its status)."""
    x = np.zeros(6, np.int8)
    negative = test_unary.model("SQRT", "int8", (6,), {"scale": 0.1, "zero_point": 0}, {"scale": 0.1, "zero_point": 0})
    root = test_unary.model("RSQRT", "int16", (6,), {"scale": 0.1, "zero_point": 0}, {"scale": 0.1, "zero_point": 0})
    box = test_detection.model(3, 2, num_classes=2)
    boxes, scores, anchors = test_detection.values(box, 1)
    table = np.ones((3, 2), np.float32)
    return [
        ("index past the end", test_gather.gather([3, 2], [4]), {0: table, 1: np.array([0, 1, 3, 0], np.int32)},
         Status.INDEX_OUT_OF_RANGE),
        ("index below 0", test_gather.gather([3, 2], [2], index="int64"), {0: table, 1: np.array([0, -1], np.int64)},
         Status.INDEX_OUT_OF_RANGE),
        ("x / 0", binary("DIV", "int32", (4,), (4,)), {0: np.arange(4, dtype=np.int32), 1: np.array([1, 2, 3, 0], np.int32)},
         Status.DIVISION_BY_ZERO),
        ("the root of -1", negative, {0: x - np.int8(1)}, Status.OUTSIDE_DOMAIN),
        ("1 over the root of -1", root, {0: (x - 1).astype(np.int16)}, Status.OUTSIDE_DOMAIN),
        ("a box inside out", box, {0: boxes, 1: scores, 2: -anchors}, Status.CROSSED_BOX),
    ]


@native
@pytest.mark.parametrize("what", range(6), ids=[r[0] for r in refused()])
def test_refusals_come_before_the_first_write(what: int) -> None:
    _, model, values, expected = refused()[what]
    values = dict(zip(model.subgraphs[0].inputs, values.values()))
    found: list[Step] = steps(model, values, "reference")
    answer = run(found[0], values)
    assert answer.status & 255 == expected and answer.outputs_kept and answer.intact and answer.inputs_kept
