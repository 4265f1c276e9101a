"""The interface of tf.lite.Interpreter, name for name: change the import, keep the program.

    from tinyinterp.interpreter import Interpreter

An interpreter calls the stages (read, link, lower, place, bind, run) and keeps what they make. Its errors are of the classes
tf.lite raises, with tf.lite's words first, then hints. What differs on purpose is listed in docs/reference/deviations.md.

Source: google-ai-edge/LiteRT, tflite/python/interpreter.py
"""

from __future__ import annotations

import enum
import os
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from .arena import Placement
from .delegates import Delegate, custom_ops, load_delegate, refuse_delegates
from .details import op_details, tensor_details
from .errors import InUseError, NotReadyError, OptionError, ShapeError, SignatureError, TensorError, hint
from .kernels.contract import Op
from .lookup import integer, number_or_name, source, tensor_number
from .lower import Plan
from .program import Program
from .schema import Signature
from .session import Session, sizes_of
from .shared import Shared, shared
from .signature import SignatureRunner
from .views import HELD, Memory, Turn, Views

__all__ = ["Delegate", "Interpreter", "InterpreterWithCustomOps", "OpResolverType", "SignatureRunner", "load_delegate"]


@enum.unique
class OpResolverType(enum.Enum):
    """Which of the official interpreter's three arithmetics is matched: see docs/how/numerics.md."""

    AUTO = 0  # the same as BUILTIN
    BUILTIN = 1  # XNNPACK where the official delegate takes an operator, the optimised kernel elsewhere
    BUILTIN_REF = 2  # the reference kernels
    BUILTIN_WITHOUT_DEFAULT_DELEGATES = 3  # the optimised kernels alone


NUMERICS = {OpResolverType.AUTO: "default", OpResolverType.BUILTIN: "default", OpResolverType.BUILTIN_REF: "reference",
            OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES: "builtin"}
MOST_THREADS = 256  # each takes a stack and a share of every scratch; beyond the processors there are they help nobody
PRESERVE_WARNING = (
    "Warning: Enabling `experimental_preserve_all_tensors` with the BUILTIN or AUTO op resolver is intended for debugging "
    "purposes only. Be aware that this can significantly increase memory usage by storing all intermediate tensors. If you "
    "encounter memory problems or are not actively debugging, consider disabling this option.")


class Interpreter:
    """Runs a .tflite model.

    >>> import numpy as np
    >>> from tinyinterp.schema.build import build, one_op, tensor
    >>> model = build(one_op("RESHAPE", [tensor("x", "float32", (2,)), tensor("s", "int32", data=np.array([1, 2], np.int32))],
    ...                      [tensor("y", "float32", (1, 2))]))
    >>> with Interpreter(model_content=model) as interpreter:
    ...     interpreter.allocate_tensors()
    ...     interpreter.set_tensor("x", np.float32([3, 4]))
    ...     interpreter.invoke()
    ...     interpreter.get_tensor("y")
    array([[3., 4.]], dtype=float32)
    """

    def __init__(
        self,
        model_path: Any = None,
        model_content: Any = None,
        experimental_delegates: Any = None,
        num_threads: int | None = None,
        experimental_op_resolver_type: OpResolverType = OpResolverType.AUTO,
        experimental_preserve_all_tensors: bool = False,
        experimental_disable_delegate_clustering: bool = False,
        experimental_default_delegate_latest_features: bool = False,
        experimental_compress_quantization_zero_points: bool = False,
        experimental_disable_delegate_node_fusion: bool = False,
        experimental_force_delegate_node_profiling: bool = False,
        *,
        ops: Sequence[Op] | None = None,
    ) -> None:
        """Read and check a model; no tensor has memory before allocate_tensors().

        model_path: a path, or an open binary file. model_content: bytes, bytearray, memoryview, or an open binary file.
        num_threads: threads that share the work, 1 when not given, at most 256; the answer does not depend on it.
        experimental_op_resolver_type: which arithmetic to match. experimental_preserve_all_tensors: keep every tensor, so
        that get_tensor() may read them all; the values are the same. ops: all the ops that may be used, `(*OPS, MY_OP)`.
        The arguments about delegates are taken for the sake of programs that give them; tinyinterp runs no delegate.

        Raises: ModelError, OptionError, TypeError.
        """
        if not (experimental_op_resolver_type in NUMERICS if isinstance(experimental_op_resolver_type, enum.Enum) else False):
            raise OptionError(hint(f"Unrecognized passed in op resolver type: {experimental_op_resolver_type}",
                                   f"give one of {', '.join(map(str, OpResolverType))}"))
        if num_threads is not None and not isinstance(num_threads, int):
            raise OptionError(hint("type of num_threads should be int", f"it is {type(num_threads).__name__}, {num_threads!r}"))
        if num_threads is not None and num_threads < 1:
            raise OptionError(hint("num_threads should >= 1", f"it is {num_threads}; leave it out for one thread"))
        self._numerics = NUMERICS[experimental_op_resolver_type]
        if experimental_preserve_all_tensors and self._numerics == "default":
            warnings.warn(PRESERVE_WARNING, stacklevel=2)
        self._source = source(model_path, model_content)
        refuse_delegates(experimental_delegates)
        self._options: dict[str, Any] = {
            "num_threads": num_threads,
            "experimental_op_resolver_type": experimental_op_resolver_type,
            "experimental_preserve_all_tensors": bool(experimental_preserve_all_tensors),
            "experimental_compress_quantization_zero_points": experimental_compress_quantization_zero_points,
            "ops": ops,
        }
        self._model: Shared | None = (model := shared(self._source, ops))
        self._signatures: tuple[Signature, ...] = model.signatures
        if isinstance(self._source, bytes):
            self._source = model.source  # one copy is enough
        settings = self._numerics, min(int(num_threads or 1), MOST_THREADS), bool(experimental_preserve_all_tensors)
        self._sessions = [Session(graph, *settings) for graph in model.graphs]
        self._turn, self._views = Turn(), Views()

    # ------------------------------------------------------------------------------------------------ running
    def allocate_tensors(self) -> None:
        """Compile the model for the sizes of its inputs, and give every tensor memory.

        Raises: UnsupportedOpError, which lists everything that is lacking; ShapeError, QuantError, ArenaError, InUseError.
        """
        with self._turn:
            self._ensure_safe()
            self._session().allocate()

    def invoke(self) -> None:
        """Compute the outputs from the inputs; the GIL is released for runs longer than about 10 us.

        Raises: NotReadyError, ValueDependentError, InUseError.
        """
        free = self._turn.free
        try:
            free.pop()
        except IndexError:
            self._turn.refuse()
        try:
            if self._views.last is not None:  # here and below: a call more costs as much as a layer of a small network
                self._ensure_safe()
            session = self._sessions[0] if self._sessions else self._session()
            alone = session.alone
            if alone is None or alone():
                session.run()
        finally:
            free.append(None)

    def resize_tensor_input(self, input_index: int | str, tensor_size: Any, strict: bool = False) -> None:
        """Note a new shape for an input, to hold from the next allocate_tensors() on.

        strict: only dimensions of -1 in `shape_signature` may change. Raises: ShapeError, TensorError, InUseError.
        """
        with self._turn:
            self._ensure_safe()
            sizes = sizes_of(tensor_size)
            session = self._session()
            t = number_or_name("ResizeInputTensor", input_index, session.graph)
            if not 0 <= t < len(session.graph.tensors):
                raise ShapeError(hint("tensor_index < context_.tensors_size && tensor_index >= 0 was not true.",
                                      f"there is no tensor {t}; the inputs are {list(session.graph.inputs)}"))
            session.resize(t, tuple(sizes), bool(strict))

    def reset_all_variables(self) -> None:
        """Set the tensors that keep a state between runs back to zero."""
        with self._turn:
            for session in self._sessions:
                session.reset_variables()

    # ------------------------------------------------------------------------------------------------ values
    def set_tensor(self, tensor_index: int | str, value: Any) -> None:
        """Copy a value into a tensor, given by number or by name. Nothing is cast. Raises: TensorError, NotAllocatedError."""
        with self._turn:
            self._session().set(self._tensor("SetTensor", tensor_index), value)

    def get_tensor(self, tensor_index: int | str, subgraph_index: int = 0) -> Any:
        """A copy of a tensor's value. Raises: TensorError, NotAllocatedError."""
        with self._turn:
            k = integer("GetTensor", "subgraph_index", subgraph_index)
            self._session()
            count = len(self._sessions)
            if not 0 <= k < count:
                raise TensorError(hint(f"Invalid subgraph index {k} exceeds max subgraph index {count}",
                                       f"they go from 0 to {count - 1}"))
            return self._session(k).get(self._tensor("GetTensor", tensor_index, k))

    def tensor(self, tensor_index: int | str) -> Callable[[], Any]:
        """A function that gives the tensor's own memory as an array: hold the function, not the array."""

        def view() -> Any:
            with self._turn:
                session = self._session()
                t = self._tensor("tensor", tensor_index)
                array = session.view(t)
                if array.dtype == object:
                    raise TensorError(hint("tensor() gives no view of objects.",
                                           f"{session.name(t)} holds strings or other objects; get_tensor() copies them"))
                shown = self._views.memory.view(array, session.program)
                return shown[()] if shown.ndim == 0 else shown

        return view

    # ------------------------------------------------------------------------------------------------ details
    def get_input_details(self) -> list[dict[str, Any]]:
        """A dictionary for each input: name, index, shape, shape_signature, dtype, quantization and so on."""
        return [self._get_tensor_details(t, 0) for t in self._session().graph.inputs]

    def get_output_details(self) -> list[dict[str, Any]]:
        """The same for each output. A shape that depends on values is the one of the last run."""
        return [self._get_tensor_details(t, 0) for t in self._session().graph.outputs]

    def get_tensor_details(self, subgraph_index: int = 0) -> list[dict[str, Any]]:
        """The same for every tensor of a subgraph."""
        if not 0 <= subgraph_index < len(self._sessions):
            raise OptionError(f"subgraph_index is out of range: {subgraph_index} for the model, "
                              f"which has {len(self._sessions)} subgraphs.")
        return [self._get_tensor_details(t, subgraph_index) for t in range(len(self._session(subgraph_index).graph.tensors))]

    def get_signature_list(self) -> dict[str, dict[str, list[str]]]:
        """The names by signature: `{"serving_default": {"inputs": ["x"], "outputs": ["y"]}}`."""
        signatures = self._get_full_signature_list().items()
        return {key: {side: list(names) for side, names in sides.items()} for key, sides in signatures}

    def get_signature_runner(self, signature_key: str | None = None) -> SignatureRunner:
        """A signature as a function; the key may be left out when there is only one. Raises: SignatureError."""
        if signature_key is None:
            keys = list(self._get_full_signature_list())
            if len(keys) != 1:
                raise SignatureError(hint(
                    f"SignatureDef signature_key is None and model has {len(keys)} Signatures. "
                    "None is only allowed when the model has 1 SignatureDef", f"the model has {keys or 'no signatures'}"))
            signature_key = keys[0]
        return SignatureRunner(interpreter=self, signature_key=signature_key)

    def num_subgraphs(self) -> int:
        """The number of subgraphs in the model."""
        return len(self._sessions)

    @property
    def experimental_compress_quantization_zero_points(self) -> Any:
        return self._options["experimental_compress_quantization_zero_points"]

    # ------------------------------------------------------------------------------------------------ beyond tf.lite
    @property
    def program(self) -> Program:
        """What runs: `print(interpreter.program)` lists each step with its kernel, tensors and addresses."""
        program = self._session().program
        if program is None:
            raise NotReadyError("there is no program yet: call allocate_tensors() first")
        return program

    @property
    def plan(self) -> Plan:
        """The steps before they have memory."""
        return self.program.plan

    @property
    def arena(self) -> Placement:
        """Where the tensors lie: `print(interpreter.arena)` draws it."""
        return self.program.placement

    def close(self) -> None:
        """Let go of the model and all memory; views that are still held stay valid."""
        self._sessions, self._views, self._model = [], Views(), None

    def __enter__(self) -> Interpreter:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __getstate__(self) -> dict[str, Any]:
        """The model and the options: a copy has to allocate_tensors() for itself."""
        from .kernels import OPS

        options = dict(self._options)
        if options["ops"] is not None:  # the ops of tinyinterp go by their code, what they compute is not copied
            options["ops"] = [op.code if any(op is own for own in OPS) else op for op in options["ops"]]
        return {"model_content" if isinstance(self._source, bytes) else "model_path": self._source, **options}

    def __setstate__(self, state: dict[str, Any]) -> None:
        from .kernels import OPS

        by_code = {op.code: op for op in OPS}
        if state["ops"] is not None:
            state["ops"] = tuple(op if isinstance(op, Op) else by_code[op] for op in state["ops"])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # whoever made the original has been told
            Interpreter.__init__(self, **state)

    def __repr__(self) -> str:
        what = f"{len(self._source):,} bytes" if isinstance(self._source, bytes) else repr(os.path.basename(self._source))
        if not self._sessions:
            return f"<{type(self).__name__} of {what}, closed>"
        session = self._session()

        def listed(tensors: Sequence[int]) -> str:
            return ", ".join(f"{session.graph.tensors[t].type.name.lower()}{list(session.shape(t))}" for t in tensors)

        state = "ready" if session.ready else "not allocated"
        return (f"<{type(self).__name__} of {what}: {listed(session.graph.inputs)} -> {listed(session.graph.outputs)}, "
                f"{self._numerics} numerics, {session.threads} thread{'s' * (session.threads > 1)}, {state}>")

    # ------------------------------------------------------------------------------------------------ private, but used
    @property
    def _interpreter(self) -> Memory:
        """The `base` of every view that is held."""
        return self._views.memory

    def _safe_to_run(self) -> bool:
        return not self._views.held

    def _ensure_safe(self) -> None:
        if self._views.held:
            raise InUseError(hint(HELD, "del the arrays that tensor(i)() gave, or use get_tensor(i), which copies"))

    def _get_tensor_details(self, tensor_index: Any, subgraph_index: Any) -> dict[str, Any]:
        k = int(subgraph_index)
        session = self._session(k)
        t = self._tensor("TensorSize", tensor_index, k)
        return tensor_details(session.graph, t, session.shape(t), bool(self.experimental_compress_quantization_zero_points))

    def _get_op_details(self, op_index: Any) -> dict[str, Any]:
        i, graph = integer("NodeInputs", "arg0", op_index), self._session().graph
        if not 0 <= i < len(graph.operators):
            raise TensorError(hint("Invalid node index", f"{i}; the model has {len(graph.operators)} operators"))
        return op_details(graph, i)

    def _get_ops_details(self) -> list[dict[str, Any]]:
        return [self._get_op_details(i) for i in range(len(self._session().graph.operators))]

    def _get_full_signature_list(self) -> dict[str, dict[str, dict[str, int]]]:
        return {s.key: {"inputs": dict(sorted(s.inputs.items())), "outputs": dict(sorted(s.outputs.items()))}
                for s in self._signatures}

    def _native_handle(self) -> int:
        raise NotReadyError("there is no native interpreter: tinyinterp is written in Python; interpreter.program is what runs")

    def _session(self, k: int = 0) -> Session:
        if not self._sessions:
            raise NotReadyError(hint("Interpreter was not initialized.", "it is closed: make another one"))
        return self._sessions[k]

    def _tensor(self, method: str, index: Any, k: int = 0) -> int:
        return tensor_number(method, index, self._session(k).graph)


class InterpreterWithCustomOps(Interpreter):
    """The interpreter that takes custom ops: here they are `Op` records, as in `ops=`."""

    def __init__(self, custom_op_registerers: Sequence[Any] | None = None, **kwargs: Any) -> None:
        """custom_op_registerers: Op records; the C++ functions that the official one takes are refused. Raises: OptionError."""
        if made := custom_ops(custom_op_registerers):
            from .kernels import OPS

            kwargs["ops"] = (*(kwargs.get("ops") or OPS), *made)
        super().__init__(**kwargs)
