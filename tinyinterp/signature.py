"""A signature of a model as a function: named arrays in, a dictionary of named arrays out.

Source: google-ai-edge/LiteRT, tflite/python/interpreter.py (SignatureRunner)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .errors import SignatureError, hint

if TYPE_CHECKING:
    from .interpreter import Interpreter


class SignatureRunner:
    """One signature of an interpreter, to be called with its inputs by name; get_signature_runner() makes it.

    Each call takes the sizes from the arrays it is given, allocates, and runs the signature's subgraph: no
    allocate_tensors() is needed before.
    """

    def __init__(self, interpreter: Interpreter | None = None, signature_key: str | None = None) -> None:
        if interpreter is None:
            raise SignatureError(hint("None interpreter provided.", "use interpreter.get_signature_runner()"))
        if not signature_key:
            raise SignatureError(hint("None signature_key provided.", f"there are {list(interpreter.get_signature_list())}"))
        found = [s for s in interpreter._signatures if s.key == signature_key]
        if not found:
            raise SignatureError(hint(f'Invalid signature_key provided: "{signature_key}".',
                                      f"the model has {list(interpreter.get_signature_list()) or 'no signatures'}"))
        self._interpreter = interpreter
        self._signature_key = signature_key
        self._inputs = dict(sorted(found[0].inputs.items()))
        self._outputs = dict(sorted(found[0].outputs.items()))
        self._subgraph_index = found[0].subgraph

    def __call__(self, **kwargs: Any) -> dict[str, Any]:
        """The outputs by name. Raises: SignatureError, and what allocate_tensors(), set_tensor() and invoke() raise."""
        names = ", ".join(self._inputs)
        if len(kwargs) != len(self._inputs):
            raise SignatureError(hint(
                "Invalid number of inputs provided for running a SignatureDef, "
                f"expected {len(self._inputs)} vs provided {len(kwargs)}", f"'{self._signature_key}' takes {names}"))
        for name in kwargs:
            if name not in self._inputs:
                raise SignatureError(hint(f"Invalid Input name ({name}) for SignatureDef",
                                          f"'{self._signature_key}' takes {names}"))
        with self._interpreter._turn:
            session = self._interpreter._session(self._subgraph_index)
            for name, value in kwargs.items():
                session.resize(self._inputs[name], tuple(int(d) for d in value.shape))
            session.allocate()
            for name, value in kwargs.items():
                session.set(self._inputs[name], value)
            session.run()
            return {name: session.get(t) for name, t in self._outputs.items()}

    def get_input_details(self) -> dict[str, dict[str, Any]]:
        """The details of each input, as get_input_details() of an interpreter gives them, by name."""
        return {n: self._interpreter._get_tensor_details(t, self._subgraph_index) for n, t in self._inputs.items()}

    def get_output_details(self) -> dict[str, dict[str, Any]]:
        """The details of each output, by name."""
        return {n: self._interpreter._get_tensor_details(t, self._subgraph_index) for n, t in self._outputs.items()}

    def __repr__(self) -> str:
        def listed(details: dict[str, dict[str, Any]]) -> str:
            return ", ".join(f"{n}: {d['dtype'].__name__}{d['shape_signature'].tolist()}" for n, d in details.items())

        inputs, outputs = listed(self.get_input_details()), listed(self.get_output_details())
        return f"<SignatureRunner {self._signature_key}({inputs}) -> {outputs}>"
