"""The records: frozen, comparable, and short when printed."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from tests.schema.test_verify import small_model
from tinyinterp.schema import DimensionType, Model, Quantization, SparseLevel, TensorType, read
from tinyinterp.schema.build import one_op, tensor


def test_records_are_frozen() -> None:
    model = read(small_model())
    (subgraph,) = model.subgraphs
    for record in (model, subgraph, subgraph.tensors[0], subgraph.operators[0], model.signatures[0], Quantization()):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(record, record.__slots__[0], 1)
        assert not hasattr(record, "__dict__")


def test_tensors_and_operators_can_be_keys() -> None:
    (subgraph,) = read(small_model()).subgraphs
    assert len({*subgraph.tensors, *read(small_model()).subgraphs[0].tensors}) == len(subgraph.tensors)
    assert len({*subgraph.operators}) == 1


def test_a_model_prints_what_is_in_it() -> None:
    text = str(read(small_model()))
    assert text.splitlines() == [
        "Model version 3: 69 bytes in 4 buffers, 'small'",
        "subgraph 0 'main': 4 tensors, 1 operators",
        "  input 0: 'x' int8[1, 4, 4, 3]",
        "  output 3: 'y' int8[1, 2, 2, 2]",
        "  1 x CONV_2D",
        "signature 'serving_default': ['image'] -> ['score']",
    ]


def test_no_record_prints_its_weights() -> None:
    model = read(small_model())
    assert len(repr(model.subgraphs[0].tensors[1])) < 400
    assert repr(Quantization()) == "Quantization()"
    scales = np.array([0.5, 0.25], "<f4"), np.array([0, 0], "<i8")
    assert repr(Quantization(*scales, 3)) == "Quantization(2 scales along axis 3)"
    assert repr(Quantization(scales[0][:1], scales[1][:1])) == "Quantization(scale=0.5, zero_point=0)"
    assert repr(Quantization(block_size=32, block_scales=4)) == "Quantization(blocks of 32, scales in tensor 4, axis=0)"
    assert repr(SparseLevel(DimensionType.DENSE, 4)) == "SparseLevel(DENSE, 4)"


def test_quantizations_compare_by_their_numbers() -> None:
    def made(scale: float, zero_point: int = 0, axis: int = 0) -> Quantization:
        return Quantization(np.array([scale], "<f4"), np.array([zero_point], "<i8"), axis)

    assert made(0.5) == made(0.5) and hash(made(0.5)) == hash(made(0.5))
    assert made(np.nan) == made(np.nan)
    assert made(0.5) != made(0.25) and made(0.5) != made(0.5, 1) and made(0.5) != made(0.5, 0, 1)
    assert made(0.5) and not Quantization() and Quantization() != "nothing"


@pytest.mark.parametrize("type", [type for type in TensorType if type.numpy is not None], ids=lambda type: type.name)
def test_constants(type: TensorType) -> None:
    values = np.arange(6).reshape(2, 3).astype(type.numpy)
    model = one_op("ADD", [tensor("x", type, (2, 3)), tensor("c", type, data=values)], [tensor("y", type, (2, 3))])
    constant = model.constant(model.subgraphs[0].tensors[1])
    assert constant is not None and constant.dtype == type.numpy and np.array_equal(constant, values)
    assert not constant.flags.writeable
    assert model.constant(model.subgraphs[0].tensors[0]) is None


def test_a_constant_at_an_odd_address_is_copied() -> None:
    model = one_op("ADD", [tensor("x", "int64", (2,)), tensor("c", "int64", data=[1, -2])], [tensor("y", "int64", (2,))])
    raw = np.frombuffer(b"123" + model.buffers[1].tobytes(), np.uint8)[3:]
    odd = Model(3, "", model.subgraphs, (model.buffers[0], raw))
    constant = odd.constant(model.subgraphs[0].tensors[1])
    assert constant is not None and constant.flags.aligned and constant.tolist() == [1, -2]
    assert not constant.flags.writeable
