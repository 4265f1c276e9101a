"""Run one step by itself: how constants are folded, and how tests call a kernel."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import ValueDependentError
from .kernels import abi, jit
from .kernels.contract import DELEGATE, Call, Scratch, Slot, Status
from .kernels.micro.loop import DENORMALS_OFF, RESULT, ROW, assembly

if TYPE_CHECKING:
    from .lower import Step

ALIGNMENT = 64


@cache
def native_loop(part: str = "") -> Any:
    """A function of `kernels/micro/loop.py`, of one address; it releases the GIL. Parts: "" runs `loop_words`, "_serve" is
    a worker of a team, "_stop" sends a team home."""
    symbol = _symbol()
    text = assembly(symbol)
    jit.native(symbol, jit.text_key(text), "program loop", lambda: jit.emit(text))
    return jit.SIGNATURE(jit.address_of_symbol(symbol + part))


def _symbol() -> str:
    return f"tinyinterp_run_{jit.machine()[:16]}"


class _Method(ctypes.Structure):
    """Python's PyMethodDef."""

    _fields_ = (("name", ctypes.c_char_p), ("code", ctypes.c_void_p), ("flags", ctypes.c_int), ("doc", ctypes.c_char_p))


@cache
def _method(part: str) -> _Method:
    native_loop()
    no_arguments = 4
    return _Method(b"run", jit.address_of_symbol(_symbol() + part), no_arguments, b"Run a program. True when a step failed.")


def run_builtin(words: np.ndarray, hold: bool) -> Callable[[], bool]:
    """The loop on these words as a builtin function, which takes a third of the time of a call through ctypes; True when a
    step failed. The words must outlive it. hold: keep the GIL.

    Source: Python/C API Reference Manual, PyCFunction_NewEx and PyCapsule_New"""
    api = ctypes.pythonapi
    api.PyCapsule_New.restype = api.PyCFunction_NewEx.restype = ctypes.py_object
    api.PyCapsule_New.argtypes = (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)
    api.PyCFunction_NewEx.argtypes = (ctypes.c_void_p, ctypes.py_object, ctypes.c_void_p)
    method = _method("_hold" if hold else "_release")  # cached, since the function stands on it
    capsule = api.PyCapsule_New(words.ctypes.data, None, None)
    made: Callable[[], bool] = api.PyCFunction_NewEx(ctypes.addressof(method), capsule, None)
    return made


def loop_words(table: np.ndarray, n: int, part: int, parts: int, result: np.ndarray) -> np.ndarray:
    """The one argument of the native loop, see `kernels/micro/loop.py`. It must outlive the call. The last word is for the
    mailbox of a team."""
    return np.array([table.ctypes.data, n, part, parts, result.ctypes.data, 0], np.int64)


def aligned(size: int) -> np.ndarray:
    """`size` bytes of zeros at a multiple of 64, with 64 more behind that a kernel may read."""
    raw = np.zeros(size + 2 * ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    return raw[start : start + size + ALIGNMENT]


def failure(call: Call, status: int) -> ValueDependentError:
    """The exception for a status that a kernel returned."""
    code, position = status & 255, status >> 8
    text = {Status.INDEX_OUT_OF_RANGE: "index out of range", Status.DIVISION_BY_ZERO: "division by zero",
            Status.NEGATIVE_SIZE: "negative size", Status.CROSSED_BOX: "a box ends before it begins",
            Status.OUTSIDE_DOMAIN: "not defined for negative values"}.get(Status(code), f"status {code}")
    return ValueDependentError(f"{call.place}: {text} at element {position} of the values fed. "
                               f"Node number {call.index} ({call.operator.name}) failed to invoke.")


def call_kernel(step: Step, arrays: Sequence[Any]) -> None:
    """Run a step on these arrays. Raises: ValueDependentError."""
    if jit.DISABLED or step.kernel.host:
        status = jit.python_call(step.kernel.run, arrays, step.units)
    else:
        record = abi.record(step.args, step.units, (a for a in arrays if isinstance(a, np.ndarray)))
        flags = DENORMALS_OFF if step.call.numerics == DELEGATE else 0
        table = np.array([jit.address_of(step.kernel, step.args), record.ctypes.data, flags, 0], np.int64)
        assert len(table) == ROW
        result = np.zeros(RESULT, np.int64)
        words = loop_words(table, 1, 0, 1, result)  # by name: another thread must not be given its memory during the call
        status = native_loop()(ctypes.c_void_p(words.ctypes.data))
    if status:
        raise failure(step.call, status)


def evaluate(step: Step) -> tuple[np.ndarray, ...]:
    """The outputs of a step whose inputs are all known."""
    made: dict[int, np.ndarray] = {}
    arrays: list[Any] = []
    for arg in step.args:
        if isinstance(arg, Slot):
            size = math.prod(arg.shape) * arg.dtype.itemsize
            buffer = made.setdefault(arg.tensor, aligned(size))
            arrays.append(buffer[:size].view(arg.dtype).reshape(arg.shape))
        elif isinstance(arg, Scratch):
            size = math.prod(arg.shape) * arg.dtype.itemsize
            arrays.append(aligned(size)[:size].view(arg.dtype).reshape(arg.shape))
        else:
            arrays.append(arg)
    call_kernel(step, arrays)
    result = []
    for operand in step.call.outputs:
        size = operand.size * operand.dtype.itemsize
        value = made[operand.index][:size].view(operand.dtype).reshape(operand.shape)
        value.flags.writeable = False
        result.append(value)
    return tuple(result)
