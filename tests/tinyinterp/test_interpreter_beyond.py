"""What the interpreter does that tf.lite's does not: names, files, pickling, printing, closing, threads, ops of one's own."""

from __future__ import annotations

import copy
import gc
import pickle
import threading
import warnings
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.tinyinterp import models
from tinyinterp import Interpreter, OpResolverType
from tinyinterp.errors import InUseError, NotReadyError
from tinyinterp.interpreter import InterpreterWithCustomOps
from tinyinterp.kernels import OPS
from tinyinterp.kernels.contract import Arg, Call, Kernel, Op, Shape
from tinyinterp.schema import build
from tinyinterp.schema.build import Graph, model_of, one_op, operator, tensor

RAMP = np.array([[1, 2, 3, 4]], np.float32)


def allocated(data: bytes, **options: Any) -> Interpreter:
    interpreter = Interpreter(model_content=data, **options)
    interpreter.allocate_tensors()
    return interpreter


def run(interpreter: Interpreter, x: np.ndarray = RAMP) -> list[Any]:
    interpreter.set_tensor(0, x)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"]).tolist()  # type: ignore[no-any-return]


# ---------------------------------------------------------------------------------------------------- names and files
def test_tensors_by_name() -> None:
    interpreter = allocated(models.permute())
    interpreter.set_tensor("input", RAMP)
    interpreter.invoke()
    assert interpreter.get_tensor("output").tolist() == [[4, 3, 2, 1]]
    interpreter.tensor("input")()[...] = RAMP + 1
    interpreter.resize_tensor_input("input", [1, 4])
    interpreter.invoke()
    assert interpreter.get_tensor("output").tolist() == [[5, 4, 3, 2]]


def test_a_wrong_name_gets_suggestions() -> None:
    with pytest.raises(TypeError, match="no tensor is named 'imput'\n  hint: there are 'input'"):
        allocated(models.permute()).get_tensor("imput")


def test_a_name_of_two_tensors_is_refused() -> None:
    data = build(one_op("RESHAPE", [tensor("x", "int8", (2,)), tensor("x", "int32", data=np.array([2, 1], np.int32))],
                        [tensor("y", "int8", (2, 1))]))
    with pytest.raises(ValueError, match=r"Tensors \[0, 1\] are all named 'x'"):
        allocated(data).get_tensor("x")


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "permute.tflite"
    path.write_bytes(models.permute())
    with path.open("rb") as file:
        assert run_file(Interpreter(file)) == [[4, 3, 2, 1]]
    with path.open("rb") as file:
        assert run_file(Interpreter(model_content=file)) == [[4, 3, 2, 1]]


def run_file(interpreter: Interpreter) -> list[Any]:
    interpreter.allocate_tensors()
    return run(interpreter)


def test_a_writable_model_is_copied() -> None:
    data = bytearray(models.permute())
    interpreter = Interpreter(model_content=data)
    data[:] = bytes(len(data))
    assert run_file(interpreter) == [[4, 3, 2, 1]]


# --------------------------------------------------------------------------------------------------------- to look at
def test_printing(tmp_path: Path) -> None:
    path = tmp_path / "permute.tflite"
    path.write_bytes(models.permute())
    interpreter = Interpreter(path, num_threads=2, experimental_op_resolver_type=OpResolverType.BUILTIN_REF)
    assert repr(interpreter) == ("<Interpreter of 'permute.tflite': float32[1, 4] -> float32[1, 4], reference numerics, "
                                 "2 threads, not allocated>")
    with pytest.raises(RuntimeError, match="allocate_tensors"):
        print(interpreter.program)
    interpreter.allocate_tensors()
    assert repr(interpreter).endswith("ready>")
    assert "FULLY_CONNECTED" in str(interpreter.program)
    assert "FULLY_CONNECTED" in str(interpreter.plan)
    assert "arena:" in str(interpreter.arena)
    runner = Interpreter(model_content=models.two_signatures()).get_signature_runner("add")
    assert repr(runner) == "<SignatureRunner add(x: float32[-1]) -> output_0: float32[-1]>"


# ------------------------------------------------------------------------------------------------------ copies, closing
@pytest.mark.parametrize("remake", [copy.copy, copy.deepcopy, lambda i: pickle.loads(pickle.dumps(i))],
                         ids=["copy", "deepcopy", "pickle"])
def test_copies_have_the_model_and_the_options(remake: Any, tmp_path: Path) -> None:
    path = tmp_path / "chain.tflite"
    path.write_bytes(models.chain())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        originals = [Interpreter(str(path), num_threads=2), Interpreter(model_content=models.chain(), num_threads=2)]
    for original in originals:
        original.allocate_tensors()
        other = remake(original)
        assert repr(other) == repr(original).replace("ready", "not allocated")
        other.allocate_tensors()
        assert run(other) == run(original)


def test_a_context() -> None:
    with Interpreter(model_content=models.permute()) as interpreter:
        interpreter.allocate_tensors()
        view = interpreter.tensor(0)()
    assert "closed" in repr(interpreter)
    for use in (interpreter.allocate_tensors, interpreter.get_input_details, lambda: interpreter.get_tensor(0)):
        with pytest.raises(NotReadyError, match="closed"):
            use()
    view[...] = 1  # the memory of a view that is still held stays
    interpreter.close()


def test_nothing_is_left_behind() -> None:
    interpreter = allocated(models.permute(), num_threads=2)
    run(interpreter)
    gone = weakref.ref(interpreter.program)
    del interpreter
    gc.collect()
    assert gone() is None


# --------------------------------------------------------------------------------------------------------- intermediates
@pytest.mark.parametrize("resolver", OpResolverType)
def test_preserved_tensors(resolver: OpResolverType) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        interpreter = Interpreter(model_content=models.chain(5), experimental_op_resolver_type=resolver,
                                  experimental_preserve_all_tensors=True)
    told = resolver in (OpResolverType.AUTO, OpResolverType.BUILTIN)
    assert [w.category for w in caught] == [UserWarning] * told
    assert all(str(w.message).startswith("Warning: Enabling `experimental_preserve_all_tensors` with the BUILTIN or AUTO op "
                                         "resolver is intended for debugging purposes only.") for w in caught)
    interpreter.allocate_tensors()
    run(interpreter)
    for i in range(1, 5):
        assert interpreter.get_tensor(f"t{i}").tolist() == (RAMP[:, ::-1] if i % 2 else RAMP).tolist()


def test_preserving_changes_no_bit() -> None:
    x = np.float32([[0.1, -2.3, 1e-9, 7]])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        kept = allocated(models.chain(5), experimental_preserve_all_tensors=True)
    assert run(kept, x) == run(allocated(models.chain(5)), x)


def test_the_default_refuses_tensors_inside_delegated_steps() -> None:
    interpreter = allocated(models.chain())
    run(interpreter)
    for read in (interpreter.get_tensor, lambda name: interpreter.tensor(name)()):
        with pytest.raises(ValueError, match=r"(?s)Tensor data is null\..*'t1' lies inside delegated steps.*preserve_all"):
            read("t1")


def test_the_reference_gives_the_bytes_and_says_whose_they_are() -> None:
    interpreter = allocated(models.chain(5), experimental_op_resolver_type=OpResolverType.BUILTIN_REF)
    run(interpreter)
    with pytest.warns(UserWarning, match=r"'t1' shares bytes of the arena with tensor \d+ 't\d'"):
        interpreter.get_tensor("t1")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        interpreter.get_tensor("t2")  # said once


# ---------------------------------------------------------------------------------------------------------------- threads
def test_many_interpreters_in_many_threads() -> None:
    data, wrong = models.chain(4), []

    def work(k: int) -> None:
        interpreter = allocated(data, num_threads=1 + k % 2)
        for i in range(30):
            x = RAMP * (k + 1) + i
            if run(interpreter, x) != x.tolist():
                wrong.append((k, i))

    threads = [threading.Thread(target=work, args=(k,)) for k in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_one_interpreter_in_two_threads_at_once() -> None:
    inside, leave, said = threading.Event(), threading.Event(), []

    def wait() -> None:
        inside.set()
        leave.wait(10)

    waiting = Op("Wait", (1, 1), (1, 1), ("any",), lambda call: (call.input(0).shape,),
                 (Kernel("wait", wait, lambda call, params: (), host=True),), "a test")
    model = build(one_op("Wait", [tensor("x", "float32", (1,))], [tensor("y", "float32", (1,))]))
    interpreter = allocated(model, ops=(*OPS, waiting))
    other = threading.Thread(target=interpreter.invoke)
    other.start()
    assert inside.wait(10)
    for use in (interpreter.invoke, interpreter.allocate_tensors, lambda: interpreter.get_tensor(0), interpreter.tensor(0),
                lambda: interpreter.set_tensor(0, np.zeros(1, np.float32)), lambda: interpreter.resize_tensor_input(0, [2])):
        with pytest.raises(InUseError, match="in use by another thread") as caught:
            use()
        said.append(caught.value)
    leave.set()
    other.join()
    interpreter.invoke()  # and free again
    assert all(isinstance(error, RuntimeError) for error in said)


# ----------------------------------------------------------------------------------------------------------- ops of one's own
def twice(x: Any, y: Any) -> None:
    for i in range(x.size):
        y[i] = x[i] + x[i]


def same_shape(call: Call) -> tuple[Shape]:
    return (call.input(0).shape,)


def flat(call: Call, params: None) -> tuple[Arg, ...]:
    return call.input(0).view(call.input(0).size), call.output.view(call.input(0).size)


TWICE = Op("Twice", (1, 1), (1, 1), ("float32",), same_shape, (Kernel("twice", twice, flat),), "a test")
CUSTOM = build(one_op("Twice", [tensor("x", "float32", (1, 4))], [tensor("y", "float32", (1, 4))]))


def test_an_op_of_ones_own() -> None:
    assert run(allocated(CUSTOM, ops=(*OPS, TWICE))) == [[2, 4, 6, 8]]
    interpreter = InterpreterWithCustomOps([TWICE], model_content=CUSTOM)
    interpreter.allocate_tensors()
    assert run(interpreter) == [[2, 4, 6, 8]]
    again = pickle.loads(pickle.dumps(interpreter))
    again.allocate_tensors()
    assert run(again) == [[2, 4, 6, 8]]


# ---------------------------------------------------------------------------------------------------------------- values
def test_variables_are_reset() -> None:
    step = operator("Twice", [tensor("x", "int8", (2,))], [tensor("y", "int8", (2,))])
    state = tensor("state", "int8", (2,), scale=0.5, zero_point=-3, variable=True)
    step2 = operator("Twice", [state], [tensor("z", "int8", (2,))])
    data = build(model_of(Graph([step, step2])))
    interpreter = allocated(data, ops=(*OPS, TWICE))
    assert interpreter.get_tensor("state").tolist() == [-3, -3]
    interpreter.set_tensor("state", np.array([5, 6], np.int8))
    interpreter.invoke()
    assert interpreter.get_tensor("z").tolist() == [10, 12]
    interpreter.reset_all_variables()
    assert interpreter.get_tensor("state").tolist() == [-3, -3]


def test_four_bits() -> None:
    w = tensor("w", "int4", (3,), data=[1, -2, 7])
    constant = Interpreter(model_content=build(model_of(Graph([operator("Twice", [w], [tensor("y", "float32", (3,))])]))))
    assert constant.get_tensor("w").tolist() == [1, -2, 7]
    wait = Op("Rest", (1, 1), (1, 1), ("any",), same_shape, (Kernel("rest", lambda: None, lambda c, p: (), host=True),), "a test")
    fed = allocated(build(one_op("Rest", [tensor("x", "int4", (3,))], [tensor("y", "float32", (3,))])), ops=(*OPS, wait))
    fed.set_tensor("x", np.array([-8, 7, 0], np.int8))
    assert fed.get_tensor("x").tolist() == [-8, 7, 0]
    with pytest.raises(ValueError, match=r"must be between -8 and 7\..*\n.*found -9 to 1"):
        fed.set_tensor("x", np.array([-9, 1, 0], np.int8))


def test_scalars_are_numpys() -> None:
    interpreter = allocated(build(one_op("Twice", [tensor("x", "float32", ())], [tensor("y", "float32", ())])), ops=(*OPS, TWICE))
    interpreter.set_tensor(0, np.float32(4))
    interpreter.invoke()
    assert isinstance(interpreter.get_tensor(1), np.float32) and interpreter.get_tensor(1) == 8


def test_anything_numpy_understands_may_be_set() -> None:
    interpreter = allocated(models.permute())
    big = np.zeros((4, 8), np.float32)
    big[:, 2] = RAMP[0]
    for value in (big.T[2:3], RAMP.astype(">f4"), [[np.float32(v) for v in (1, 2, 3, 4)]]):
        assert run(interpreter, value) == [[4, 3, 2, 1]]  # type: ignore[arg-type]


def test_strings_under_another_shape() -> None:
    x, shape = tensor("x", "string", (2,)), tensor("s", "int32", data=np.array([1, 2], np.int32))
    y, z = tensor("y", "string", (1, 2)), tensor("z", "string", (2, 1))
    again = tensor("r", "int32", data=np.array([2, 1], np.int32))
    interpreter = allocated(build(model_of([operator("RESHAPE", [x, shape], [y]), operator("RESHAPE", [y, again], [z])])))
    interpreter.set_tensor("x", np.array(["a", "bc"]))
    interpreter.invoke()
    assert interpreter.get_tensor("z").tolist() == [[b"a"], [b"bc"]]
    interpreter.resize_tensor_input("x", [2])
    assert interpreter.get_tensor("x").tolist() == [b"a", b"bc"]


