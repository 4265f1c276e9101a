"""One subgraph between its sizes and its program: resize, allocate, set, run, get.

    sizes of the inputs ── allocate ──► Program ── run ──► outputs

Sizes and program are made anew, never patched: a resize only notes the new size, and allocate() throws the program away and
makes another one. What the official interpreter says in each situation is said here, its words first.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .errors import NotAllocatedError, NotReadyError, ShapeError, TensorError, hint
from .graph import Graph
from .kernels.contract import DELEGATE
from .lower import Shape
from .program import Program
from .schema import TensorType
from .values import accept, unpacked

NO_DATA = "Tensor data is null. Run allocate_tensors() first"
PRESERVE = "Interpreter(..., experimental_preserve_all_tensors=True) keeps every tensor"
_OPAQUE = (TensorType.RESOURCE, TensorType.VARIANT)


class Session:
    """A subgraph of an interpreter, as it is being used."""

    def __init__(self, graph: Graph, numerics: str = "default", threads: int = 1, preserve: bool = False) -> None:
        self.graph, self.numerics, self.threads, self.preserve = graph, numerics, threads, preserve
        self.sizes: dict[int, Shape] = {}  # what resize() asked for, until allocate()
        self.inputs: dict[int, Shape] = {t: graph.tensors[t].shape for t in graph.inputs}  # what the program is made for
        self.program: Program | None = None
        self.ready = False
        self.alone: Callable[[], bool] | None = None  # the native loop when it is all there is to a run
        self._kept = frozenset((*graph.inputs, *graph.outputs))
        used = {*graph.outputs, *(t for o in graph.operators for t in o.operator.inputs)}
        self._strings = [t for t in graph.inputs if t in used and graph.tensors[t].type == TensorType.STRING]
        self._warned = False
        self._direct: dict[int, np.ndarray] = {}  # inputs and outputs where they lie, while nothing can move them

    def name(self, t: int) -> str:
        """`tensor 3 'conv/bias'`, for messages."""
        return f"tensor {t} '{self.graph.tensors[t].name}'"

    def shape(self, t: int) -> Shape:
        """The shape of a tensor now: as resized, as allocated, or as in the file."""
        if t in self.sizes:
            return self.sizes[t]
        return self.program.shape(t) if self.program else self.graph.tensors[t].shape

    # ------------------------------------------------------------------------------------------------ sizes and memory
    def resize(self, t: int, shape: Shape, strict: bool = False) -> None:
        """Note a new size; the same size changes nothing. Raises: ShapeError."""
        tensor = self.graph.tensors[t]
        old = self.shape(t)
        if strict:
            self._strictly(t, shape)
        if t in self.graph.constants and shape != old:
            raise ShapeError(hint("Attempting to resize a fixed-size tensor.", f"{self.name(t)} is a constant"))
        count = 1
        for dimension in shape:
            count *= dimension
        if min(shape, default=0) < 0 or count * (tensor.type.bits or 8) >= 2**63:
            raise ShapeError(hint("BytesRequired number of elements overflowed.\n",
                                  f"{self.name(t)}: {list(shape)}; dimensions are 0 and up"))
        if shape == old and self.program is not None and t not in self.sizes:
            return
        self.sizes[t] = shape
        self.ready, self.alone, self._direct = False, None, {}

    def _strictly(self, t: int, shape: Shape) -> None:
        tensor, old = self.graph.tensors[t], self.shape(t)
        if len(shape) != len(old):
            raise ShapeError(hint(f"tensor->dims->size != dims.size() ({len(old)} != {len(shape)})",
                                  f"{self.name(t)} has shape {list(old)}; strict=True keeps the number of dimensions"))
        for i, (known, new) in enumerate(zip(tensor.shape_signature or old, shape)):
            if known not in (-1, new):
                raise ShapeError(hint(
                    f"Attempting to resize dimension {i} of tensor {t} with value {known} to {new}. ResizeInputTensorStrict "
                    "only allows mutating unknown dimensions identified by -1.",
                    f"{self.name(t)} has shape_signature {list(tensor.shape_signature or old)}; strict=False tries it anyway"))

    def allocate(self) -> None:
        """Make the program for the sizes of now; inputs that keep their size keep their values, variables start again.

        Raises: UnsupportedOpError, ShapeError, QuantError, ArenaError.
        """
        if self.ready:
            return
        inputs = {t: self.sizes.get(t, shape) for t, shape in self.inputs.items()}
        old, same = self.program, [t for t, shape in inputs.items() if self.inputs[t] == shape]
        values = {t: old.array(t).copy() for t in same if self.graph.tensors[t].type not in _OPAQUE} if old else {}
        program = Program(self.graph, inputs, self.numerics, self.threads, self.preserve)
        for t, value in values.items():
            program.array(t)[...] = value
        self.program, self.inputs, self.sizes, self.ready = program, inputs, {}, True
        self.reset_variables()
        if program.complete:
            fixed = [t for t in self._kept if t not in program.plan.values and self.graph.tensors[t].type.numpy is not None]
            self._direct = {t: program.array(t) for t in fixed if program.has(t)}
            self.alone = None if self._strings else program.alone

    def reset_variables(self) -> None:
        """Zero every variable, int8 ones to the value that stands for 0."""
        if self.program is None:
            return
        for t, tensor in enumerate(self.graph.tensors):
            if tensor.is_variable and tensor.type.numpy is not None:
                points = tensor.quantization.zero_point
                quantized = tensor.type == TensorType.INT8 and len(points) == 1
                self.program.array(t)[...] = int(points[0]) if quantized else 0

    def run(self) -> None:
        """Raises: NotReadyError, ValueDependentError, and TensorError when a string input was never set."""
        program = self.program
        if program is None or not self.ready:
            why = "an input was resized" if program else "nothing is allocated yet"
            raise NotReadyError(hint("Invoke called on model that is not ready.", f"{why}: call allocate_tensors() first"))
        if self._strings:
            for t in self._strings:
                if any(item is None for item in program.array(t).reshape(-1)):
                    raise TensorError(hint(f"Input tensor {t} lacks data", f"{self.name(t)} holds strings that were never set"))
        program.run()

    # ------------------------------------------------------------------------------------------------ values
    def set(self, t: int, value: Any) -> None:
        """Copy a value into a tensor. Raises: TensorError, NotAllocatedError."""
        target = self._direct.get(t)
        if target is not None and type(value) is np.ndarray and (value.dtype, value.shape) == (target.dtype, target.shape):
            target[...] = value
            return
        tensor = self.graph.tensors[t]
        if t in self.graph.constants:
            why = f"{self.name(t)} is stored in the model and read-only"
            raise TensorError(hint("Cannot set tensor: it is a constant.", why))
        array = accept(value, tensor, t, self.shape(t))
        try:
            target = self._memory(t)
        except NotAllocatedError as error:
            raise NotAllocatedError(hint("Cannot set tensor: Tensor is unallocated. Try calling allocate_tensors() first",
                                         str(error).partition("hint: ")[2])) from error
        if not target.flags.writeable:
            raise TensorError(hint("Cannot set tensor: it is a constant.", f"{self.name(t)} follows from constants alone"))
        target[...] = array

    def get(self, t: int) -> Any:
        """A tensor's value as a new array, a NumPy scalar when it has no dimensions. Raises: NotAllocatedError."""
        value = self._direct.get(t)
        if value is None:
            value = self.view(t)
        return value[()] if value.ndim == 0 and value.dtype.kind != "O" else value.copy()

    def view(self, t: int) -> np.ndarray:
        """A tensor where it lies; packed types unpacked, and constants read-only. Raises: NotAllocatedError, TensorError."""
        tensor, shape = self.graph.tensors[t], self.shape(t)
        if tensor.type in _OPAQUE:
            return np.empty(shape, object)
        if t in self.graph.constants:
            array = self.graph.constants[t]
        elif not self.ready and 0 in shape and tensor.type.numpy is not None:
            array = np.empty(shape, tensor.type.numpy)  # of no bytes, so that none are missing
        else:
            self._refuse_lost(t)
            try:
                array = self._memory(t)
            except NotAllocatedError:
                if self.program is None or t not in self._kept or t in self.sizes:
                    raise
                # An output whose shape only a run can tell.
                array = np.full(shape, b"", object) if tensor.type.bits is None else np.zeros(shape, tensor.type.numpy)
        if tensor.type == TensorType.STRING:
            if any(item is None for item in array.reshape(-1)):
                raise NotAllocatedError(hint(NO_DATA, f"{self.name(t)} holds strings, and nobody has set them yet"))
            return array
        if tensor.type.numpy is None:
            stored = (len(array) * 8 // (tensor.type.bits or 8),)
            array = unpacked(array, tensor.type, shape if tensor.sparsity is None else stored)
            array.flags.writeable = False
        return array

    def _memory(self, t: int) -> np.ndarray:
        if self.program is None:
            raise NotAllocatedError(hint(NO_DATA, f"{self.name(t)} has no memory before allocate_tensors()"))
        if t in self.sizes:
            why = f"{self.name(t)} was resized to {list(self.sizes[t])}: allocate_tensors() again"
            raise NotAllocatedError(hint(NO_DATA, why))
        return self.program.array(t)

    def _refuse_lost(self, t: int) -> None:
        """Tensors between the first step and the last share their bytes. The default numerics refuse one that is lost, as
        the official delegate does; the others give what the bytes hold by now, and say so once."""
        program = self.program
        if program is None or self.preserve or t in self._kept or self.graph.tensors[t].is_variable or t in program.plan.values:
            return
        if self.numerics == "default" and self._inside(program, t):
            raise NotAllocatedError(hint(NO_DATA, f"{self.name(t)} lies inside delegated steps, which keep nothing", PRESERVE))
        other = program.overwritten(t)
        if other is None:
            return
        by = self.name(other) if other >= 0 else "the scratch memory of a step"
        if self.numerics == "default":
            raise NotAllocatedError(hint(NO_DATA, f"{by} has taken over bytes of {self.name(t)}", PRESERVE))
        if not self._warned:
            self._warned = True
            warnings.warn(f"{self.name(t)} shares bytes of the arena with {by}: after invoke() they are not its own. {PRESERVE}",
                          stacklevel=4)

    def _inside(self, program: Program, t: int) -> bool:
        """Whether the delegate's steps alone write and read `t`."""
        root = program.plan.root(t)
        steps = [s.call.numerics for segment in program.segments for s in segment.plan.steps
                 if any(program.plan.root(x.tensor) == root for x in s.slots)]
        return bool(steps) and all(numerics == DELEGATE for numerics in steps)


def sizes_of(value: Any) -> Sequence[int]:
    """A shape argument as integers: floats are cut off, as NumPy does. Raises: TensorError when it is not one-dimensional."""
    array = np.array(value, np.int32)
    if array.ndim != 1:
        raise TensorError(hint(f"Shape should be 1D instead of {array.ndim}.",
                               f"a shape is a list such as [1, 224, 224, 3], not {value!r}"))
    return [int(d) for d in array]
