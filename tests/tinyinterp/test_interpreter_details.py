"""Details of tensors, operators and signatures, key for key and type for type the official ones, on given models too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tests.harness as harness
from tests.tinyinterp import models
from tests.tinyinterp.test_interpreter import per_channel, sparse
from tinyinterp.errors import ModelError
from tinyinterp.interpreter import Interpreter
from tinyinterp.schema import build
from tinyinterp.schema.build import one_op, tensor

KEYS = ["name", "index", "shape", "shape_signature", "dtype", "quantization", "quantization_parameters", "sparsity_parameters"]


def odd() -> bytes:
    """Types that NumPy lacks, a variable, a tensor without dimensions."""
    kinds = ("int4", "uint4", "int2", "bool", "complex64", "float16", "int64", "resource", "variant", "string")
    return build(one_op("Odd", [tensor(k, k, (3,)) for k in kinds], [tensor("y", "float32", ()),
                                                                    tensor("z", "int16", (2,), signature=(-1,))]))


MADE = {"permute": models.permute(), "uint8": models.permute("uint8"), "strings": models.gather_string(), "sparse": sparse(),
        "two": models.two_signatures(), "per channel": per_channel(), "odd": odd(), "total": models.total()}


def same(ours: Any, theirs: Any) -> None:
    """Equal in value and in type, arrays in dtype too, dictionaries in the order of their keys."""
    assert type(ours) is type(theirs), (ours, theirs)
    if isinstance(ours, dict):
        assert list(ours) == list(theirs)
        for key in ours:
            same(ours[key], theirs[key])
    elif isinstance(ours, (list, tuple)):
        assert len(ours) == len(theirs)
        for a, b in zip(ours, theirs):
            same(a, b)
    elif isinstance(ours, np.ndarray):
        assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape)
        assert ours.tobytes() == theirs.tobytes()
    else:
        assert ours == theirs


def agree(data: bytes, **options: Any) -> None:
    ours, theirs = Interpreter(model_content=data, **options), harness.official(data, **options)
    assert ours.num_subgraphs() == theirs.num_subgraphs()
    for k in range(theirs.num_subgraphs()):
        same(ours.get_tensor_details(k), theirs.get_tensor_details(k))
    same(ours.get_input_details(), theirs.get_input_details())
    same(ours.get_output_details(), theirs.get_output_details())
    same(ours._get_ops_details(), theirs._get_ops_details())
    same(ours.get_signature_list(), theirs.get_signature_list())
    same(ours._get_full_signature_list(), theirs._get_full_signature_list())
    for key in ours.get_signature_list():
        same(ours.get_signature_runner(key).get_input_details(), theirs.get_signature_runner(key).get_input_details())
        same(ours.get_signature_runner(key).get_output_details(), theirs.get_signature_runner(key).get_output_details())


@pytest.mark.parametrize("name", MADE)
def test_details(name: str) -> None:
    agree(MADE[name])


@pytest.mark.parametrize("name", ["per channel", "uint8"])
def test_zero_points_may_be_compressed(name: str) -> None:
    agree(MADE[name], experimental_compress_quantization_zero_points=True)


@pytest.mark.parametrize("path", harness.models(), ids=lambda p: p.stem)
def test_details_of_given_models(path: Path) -> None:
    data = path.read_bytes()
    if len(data) > 12_000_000:
        pytest.skip("large")
    if path.stem == "blockwise_quantized":
        pytest.skip("float32 scales of blocks, which the official details read as halves: see test_deviations")
    try:
        Interpreter(model_content=data)
    except ModelError:
        with pytest.raises(ValueError):
            harness.official(data)
        return
    agree(data)


def test_keys_and_copies() -> None:
    interpreter = Interpreter(model_content=models.permute("uint8"))
    details = interpreter.get_input_details()[0]
    assert list(details) == KEYS
    assert list(details["quantization_parameters"]) == ["scales", "zero_points", "quantized_dimension", "block_size"]
    details["shape"][:] = 9
    details["quantization_parameters"]["scales"][:] = 9
    assert interpreter.get_input_details()[0]["shape"].tolist() == [1, 4]
    assert interpreter.get_input_details()[0]["quantization"] == (1.0, 0)
