"""What Numba needs to compile kernel bodies: record words, arrays at an address, machine instructions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler_lock import global_compiler_lock
from numba.core.registry import cpu_target
from numba.extending import intrinsic
from numba.np.arrayobj import make_array, populate_array

from ..contract import ROOM

I64 = ir.IntType(64)
LLVM = {"float32": ir.FloatType(), "float64": ir.DoubleType(), "int32": ir.IntType(32), "uint32": ir.IntType(32),
        "int64": I64, "uint64": I64}
DTYPES = ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64", "bool",
          "complex64", "complex128")


def _numba(name: str) -> Any:
    return types.boolean if name == "bool" else getattr(types, name)


def intrinsic_of(code: str, result: str, arguments: tuple[str, ...]) -> Any:
    """The Numba function for an instruction of `machine.py`."""
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        if code == "bitcast":
            return builder.bitcast(args[0], LLVM[result])
        callee = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(LLVM[result], [LLVM[a] for a in arguments]), code)
        return builder.call(callee, args)

    signature = _numba(result)(*[_numba(a) for a in arguments])
    names = ", ".join(f"a{i}" for i in range(len(arguments)))
    scope = {"answer": (signature, generate)}
    exec(f"def f(typing, {names}): return answer", scope)
    return intrinsic(scope["f"])


def microkernel_of(function: Any, arguments: tuple[str, ...]) -> Any:
    """The Numba function that writes a microkernel's instructions where it is called."""
    from .vectors import Code, Value

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        code = Code(builder)
        function(code, *[Value(code, a) for a in args])
        return context.get_dummy_value()

    signature = types.void(*[_numba(a) for a in arguments])
    names = ", ".join(f"a{i}" for i in range(len(arguments)))
    scope = {"answer": (signature, generate)}
    exec(f"def f(typing, {names}): return answer", scope)
    return intrinsic(scope["f"])


@intrinsic
def address_of_array(typing: Any, array: Any) -> Any:
    """Where an array's first element lies."""
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.ptrtoint(make_array(signature.args[0])(context, builder, args[0]).data, I64)
    return types.int64(array), generate


@intrinsic
def room(typing: Any) -> Any:
    """ROOM bytes of this thread's stack."""
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        with builder.goto_entry_block():
            made = builder.alloca(ir.IntType(8), size=ir.Constant(I64, ROOM), name="room")
        made.align = 64
        return builder.ptrtoint(made, I64)
    return types.int64(), generate


@intrinsic
def word(typing: Any, record: Any, i: Any) -> Any:
    """Word i of the record."""
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.load(builder.gep(builder.inttoptr(args[0], I64.as_pointer()), [args[1]]))
    return types.int64(types.int64, types.int64), generate


@intrinsic
def float64_word(typing: Any, record: Any, i: Any) -> Any:
    """Word i of the record, a double."""
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.load(builder.gep(builder.inttoptr(args[0], ir.DoubleType().as_pointer()), [args[1]]))
    return types.float64(types.int64, types.int64), generate


@intrinsic
def float32_word(typing: Any, record: Any, i: Any) -> Any:
    """Word i of the record, a double that holds a float32."""
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        wide = builder.load(builder.gep(builder.inttoptr(args[0], ir.DoubleType().as_pointer()), [args[1]]))
        return builder.fptrunc(wide, ir.FloatType())
    return types.float32(types.int64, types.int64), generate


def _array_at(dtype: str) -> Any:
    @intrinsic
    def array(typing: Any, address: Any, shape: Any) -> Any:
        made = types.Array(_numba(dtype), len(shape), "C")

        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            size = ir.Constant(I64, np.dtype(dtype).itemsize)
            dims = cgutils.unpack_tuple(builder, args[1]) if len(shape) else []
            strides: list[Any] = []
            step = size
            for dim in reversed(dims):
                strides.insert(0, step)
                step = builder.mul(step, dim)
            view = make_array(made)(context, builder)
            populate_array(view, data=builder.inttoptr(args[0], view.data.type), shape=dims, strides=strides,
                           itemsize=size, meminfo=None)
            return view._getvalue()
        return made(address, shape), generate
    return array


@lru_cache(maxsize=1)
def ENTRY_SCOPE() -> dict[str, Callable[..., Any]]:
    """The names that the generated entry uses."""
    return {"word": word, "room": room, "float32_word": float32_word, "float64_word": float64_word} | {
        f"array_{d}": _array_at(d) for d in DTYPES}


@contextmanager
def no_machine_code() -> Iterator[None]:
    """Inside, Numba makes LLVM assembly and no machine code of it: the fifty functions of a kernel would each be brought into
    memory that nobody calls. It takes Numba's compiler lock, so that nothing else is compiled meanwhile."""
    codegen = cpu_target.target_context.codegen()
    optimize = JITCodeLibrary._optimize_final_module
    changes = [(JITCodeLibrary, "_finalize_specific", lambda library: None), (codegen, "_add_module", lambda module: None),
               (JITCodeLibrary, "get_pointer_to_function", lambda library, name: library._ensure_finalized() or 0),
               (codegen, "set_env", lambda name, env: None),
               (JITCodeLibrary, "_optimize_final_module", lambda library: library.name == "entry" and optimize(library))]
    if not all(hasattr(owner, name) for owner, name, _ in changes):
        yield  # another Numba: it does more than is needed
        return
    with global_compiler_lock, ExitStack() as stack:
        for owner, name, instead in changes:
            had = vars(owner).get(name)
            setattr(owner, name, instead)
            stack.callback(*((delattr, owner, name) if had is None else (setattr, owner, name, had)))
        yield
