"""Small models for the tests of the interface, made by `schema.build`; some stand in for files that LiteRT's build makes."""

from __future__ import annotations

import numpy as np

from tinyinterp.schema import Activation, Signature, build, options
from tinyinterp.schema.build import Graph, Part, model_of, one_op, operator, tensor


def permute(dtype: str = "float32") -> bytes:
    """[1, 4] times the 4x4 matrix that turns the order around, without bias: permute_float and permute_uint8 of LiteRT."""
    matrix = np.eye(4, dtype=np.float32)[::-1]
    if dtype == "float32":
        x, y = tensor("input", dtype, (1, 4)), tensor("output", dtype, (1, 4))
        w = tensor("Const", dtype, data=matrix.copy())
    else:
        x, y = (tensor(name, dtype, (1, 4), scale=1.0, zero_point=0) for name in ("input", "output"))
        w = tensor("Const", dtype, data=(matrix * 255).astype(np.uint8), scale=1 / 255, zero_point=0)
    return build(one_op("FULLY_CONNECTED", [x, w, None], [y], options.FullyConnectedOptions()))


def gather_string() -> bytes:
    """output[i] = input[indices[i]], of strings."""
    x, at = tensor("input", "string", (10,)), tensor("indices", "int64", (3,))
    return build(one_op("GATHER", [x, at], [tensor("output", "string", (3,))], options.GatherOptions(axis=0)))


def gather_string_0d() -> bytes:
    """An input without dimensions that nothing reads, beside a gather from one constant string."""
    x, at = tensor("input", "string", ()), tensor("indices", "int64", (3,))
    c = tensor("input_const", "string", (1,), data=["abcd"])
    step = operator("GATHER", [c, at], [tensor("output", "string", (3,))], options.GatherOptions(axis=0))
    return build(model_of(Graph([step], inputs=[x, at])))


def two_signatures() -> bytes:
    """"add": x + 2; "multiply": x * 3. Two subgraphs, a signature each."""

    def graph(op: str, value: float, record: object) -> Graph:
        x, c = tensor(f"{op}_x:0", "float32", (1,), signature=(-1,)), tensor(f"{op}/y", "float32", (), data=np.float32(value))
        y = tensor(f"{op}_result:0", "float32", (1,), signature=(-1,))
        return Graph([operator("ADD" if op == "add" else "MUL", [x, c], [y], record)], name=op)

    none = Activation.NONE
    add, multiply = options.AddOptions(fused_activation_function=none), options.MulOptions(fused_activation_function=none)
    signatures = [Signature("add", {"x": 0}, {"output_0": 2}, 0), Signature("multiply", {"x": 0}, {"output_0": 2}, 1)]
    return build(model_of(graph("add", 2, add), graph("multiply", 3, multiply), signatures=signatures))


def total() -> bytes:
    """The sum of a vector of any length, under the signature "serving_default"."""
    x, axis = tensor("x", "float32", (1,), signature=(-1,)), tensor("axis", "int32", data=np.array([0], np.int32))
    step = operator("SUM", [x, axis], [tensor("y", "float32", ())], options.ReducerOptions(keep_dims=False))
    return build(model_of([step], signatures=[Signature("serving_default", {"x": 0}, {"output_0": 2}, 0)]))


def chain(count: int = 3, dtype: str = "float32") -> bytes:
    """x [1, 4] through `count` matrices that turn it around: intermediates "t1", "t2" … between "x" and "y"."""
    tensors: list[Part] = [tensor("x", dtype, (1, 4), signature=(-1, 4))]
    tensors += [tensor(f"t{i}", dtype, (1, 4), signature=(-1, 4)) for i in range(1, count)]
    tensors += [tensor("y", dtype, (1, 4), signature=(-1, 4))]
    steps = []
    for i in range(count):
        w = tensor(f"w{i}", dtype, data=np.eye(4, dtype=np.float32)[::-1].copy())
        steps.append(operator("FULLY_CONNECTED", [tensors[i], w, None], [tensors[i + 1]], options.FullyConnectedOptions()))
    return build(model_of(steps))
