"""What every op answers: Op, Kernel, Call and the words they share.

An `Op` is a record that says everything about one kind of operator. `tinyinterp.lower` walks the operators of a graph,
shows each op a `Call` (one operator with what is known before the first run) and gets back the shapes of its outputs and
the arguments of the first kernel that takes the call.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np

from tinyinterp.errors import QuantError, ShapeError
from tinyinterp.schema import BuiltinOperator, Operator, Quantization, Sparsity, TensorType
from tinyinterp.schema.frozen import record

REFERENCE, DELEGATE, BUILTIN = "reference", "delegate", "builtin"
ALL = frozenset({REFERENCE, DELEGATE, BUILTIN})  # the arithmetic is the same in all three


OBJECTS = np.dtype(object)  # what strings are kept as: bytes objects, which only host kernels touch


class Slot(NamedTuple):
    """A tensor in the arena, seen as an array: what a kernel argument is before memory exists."""

    tensor: int
    dtype: np.dtype[Any]
    shape: tuple[int, ...]


ROOM = 1 << 16  # bytes of its stack that a thread lends to the kernel it runs


class Scratch(NamedTuple):
    """Memory that a kernel needs during its own step only, of each thread's own: on its stack up to ROOM bytes in all, as
    any local array would be, and in the arena beyond."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """Bytes of one thread's part, a multiple of 64."""
        return -(-math.prod(self.shape) * self.dtype.itemsize // 64) * 64


Arg = Slot | Scratch | np.ndarray | np.generic | int | float


class Status(IntEnum):
    """What a kernel may find in the values fed to it; it returns `status(code, position)` before its first write."""

    OK = 0
    INDEX_OUT_OF_RANGE = 1
    DIVISION_BY_ZERO = 2
    NEGATIVE_SIZE = 3
    CROSSED_BOX = 4
    OUTSIDE_DOMAIN = 5


def status(code: Status, position: int) -> int:
    """What a kernel returns when it refuses the value at this element."""
    return code | (position << 8)


class NeedsValue(Exception):
    """An output's shape depends on a value that is not known yet: the program is cut before this operator."""

    def __init__(self, tensor: int) -> None:
        super().__init__(tensor)
        self.tensor = tensor


@record(frozen=True, slots=True)
class Operand:
    """A tensor as an operator sees it: its type, its shape in this plan, its value when that is already known."""

    index: int
    name: str
    type: TensorType
    shape: tuple[int, ...]
    quantization: Quantization
    known: np.ndarray | None = None  # constant, or computed from constants and shapes alone
    is_variable: bool = False
    fixed: bool = False  # stored in the file (not merely computed from what is): what the official side calls constant
    dynamic: bool = False  # its shape came from values that no file holds: the official delegate refuses such tensors
    seen: np.ndarray | None = None  # its value in this run, which decides shapes; it stays in memory, it is no constant
    sparsity: Sparsity | None = None  # of a sparse constant: `known` is then its stored elements, [n]

    @property
    def dtype(self) -> np.dtype[Any]:
        dtype = OBJECTS if self.type == TensorType.STRING else self.type.numpy
        if dtype is None:
            raise ShapeError(f"tensor {self.index} '{self.name}' of type {self.type.name} has no element type to compute with")
        return dtype

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def scale(self) -> np.float32:
        """The one scale of a per-tensor quantized tensor. Raises: QuantError."""
        if len(self.quantization.scale) != 1:
            raise QuantError(f"tensor {self.index} '{self.name}' needs one scale, has {len(self.quantization.scale)}")
        return np.float32(self.quantization.scale[0])

    @property
    def zero_point(self) -> int:
        """The one zero point of a per-tensor quantized tensor. Raises: QuantError."""
        if len(self.quantization.zero_point) < 1:
            raise QuantError(f"tensor {self.index} '{self.name}' needs a zero point, has none")
        return int(self.quantization.zero_point[0])

    @property
    def quantized(self) -> bool:
        return len(self.quantization.scale) > 0

    def view(self, *shape: int) -> Slot | np.ndarray:
        """The kernel argument for this tensor, seen with another shape if one is given."""
        shape = shape or self.shape
        return Slot(self.index, self.dtype, shape) if self.known is None else self.known.reshape(shape)


@record(frozen=True, slots=True)
class Call:
    """One operator of a graph with its operands, in one of the three numerics."""

    index: int
    operator: Operator
    inputs: tuple[Operand | None, ...]
    outputs: tuple[Operand, ...]  # while `infer` runs, their shapes are those of the file
    numerics: str = REFERENCE
    threads: int = 1
    merged: tuple[Call, ...] = ()  # other operators that the delegate computes in the same step (`rewrite.py`)
    bounds: tuple[np.float32, np.float32] | None = None  # of the clamp that such an operator adds

    @property
    def options(self) -> Any:
        return self.operator.options

    @property
    def place(self) -> str:
        """`CONV_2D (operator 7, tensor 'mobile/conv_3')`, the start of every message."""
        name = self.outputs[0].name if self.outputs else ""
        return f"{self.operator.name} (operator {self.index}, tensor '{name}')"

    def input(self, i: int) -> Operand:
        """Input i, which must be there. Raises: ShapeError."""
        if i >= len(self.inputs) or (operand := self.inputs[i]) is None:
            raise ShapeError(f"{self.place}: input {i} is missing")
        return operand

    def optional(self, i: int) -> Operand | None:
        """Input i, or None when the operator leaves it out."""
        return self.inputs[i] if i < len(self.inputs) else None

    @property
    def output(self) -> Operand:
        return self.outputs[0]

    def value(self, i: int) -> np.ndarray:
        """The value of input i, which decides shapes. Raises: NeedsValue when only a run can tell."""
        operand = self.input(i)
        value = operand.seen if operand.known is None else operand.known
        if value is None:
            raise NeedsValue(operand.index)
        return value

    def need(self, condition: object, message: str) -> None:
        """Raises: ShapeError with the place and `message` unless the condition holds."""
        if not condition:
            raise ShapeError(f"{self.place}: {message}")


Shape = tuple[int, ...]


def never(call: Call) -> bool:
    return False


def always(call: Call) -> bool:
    return True


def no_split(call: Call) -> int:
    """One thread does the whole step."""
    return 0


@record(frozen=True, slots=True)
class Kernel:
    """One way to compute an op.

    `run(*args)` gets the arguments that `args(call, params)` lists, in that order: a `Slot` or an array arrives as an
    array, a number as a number. When its last parameters are named `begin, end` it computes that share of
    `split(call)` independent units (0: never shared among threads). A `Scratch` arrives as an array of the thread's own.
    It allocates nothing and returns nothing, or, with the annotation `-> int`, a `Status` for values it refuses, before
    its first write.
    """

    name: str
    run: Callable[..., Any]
    args: Callable[[Call, Any], tuple[Arg, ...]]
    numerics: frozenset[str] = ALL
    when: Callable[[Call], bool] = always
    split: Callable[[Call], int] = no_split
    in_place: bool = False  # reads each element before it writes the one in its place: y may lie where an input of its size lay
    host: bool = False  # runs in Python between native calls: strings and objects only


Maker = Callable[[Call], Kernel | None]
"""Writes the kernel for one call (its window, its tile size), or None when it has none to offer."""


def no_alias(call: Call) -> int | None:
    return None


def nothing_known(call: Call) -> tuple[np.ndarray, ...] | None:
    return None


def no_macs(call: Call) -> int:
    return 0


def no_params(call: Call) -> None:
    return None


@record(frozen=True, slots=True)
class Op:
    """Everything about one kind of operator, in one place."""

    code: BuiltinOperator | str  # or a custom op's name
    inputs: tuple[int, int]  # fewest and most inputs
    outputs: tuple[int, int]
    types: tuple[str, ...]  # what it computes, for the coverage table: "float32", "int8", "float32*int8" …
    infer: Callable[[Call], tuple[Shape, ...]]  # output shapes; raises ShapeError, NeedsValue
    kernels: tuple[Kernel | Maker, ...]  # fastest first; the last ones are the definitions and take any call
    spec: str  # where the behaviour is laid down: repository, file, function
    prepare: Callable[[Call], Any] = no_params  # scales folded, axes normalised, everything checked; raises QuantError
    delegated: Callable[[Call], bool] = never  # does the official default delegate take it?
    macs: Callable[[Call], int] = no_macs
    alias: Callable[[Call], int | None] = no_alias  # the input whose bytes are the output's
    known: Callable[[Call], tuple[np.ndarray, ...] | None] = nothing_known  # outputs that shapes alone tell
    optional: frozenset[int] = frozenset()  # inputs that may be -1
    foldable: bool = True  # computed once at lowering when all inputs are known
    keeps_fixed: Callable[[Call], bool] = never  # a result folded from stored tensors counts as stored itself
    max_version: int = 99
    crosses: bool = False  # each part of the output comes from all parts of the input: threads hand it from core to core

    def offers(self, call: Call) -> Iterator[Kernel]:
        """Every kernel that takes the call, fastest first."""
        for entry in self.kernels:
            kernel = entry if isinstance(entry, Kernel) else entry(call)
            if kernel is not None and call.numerics in kernel.numerics and kernel.when(call):
                yield kernel

    @property
    def name(self) -> str:
        return self.code if isinstance(self.code, str) else self.code.name
