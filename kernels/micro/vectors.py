"""A vocabulary of vectors: microkernels read like their formulas, and come out as LLVM instructions.

A microkernel is a Python function marked `@microkernel(...)` (machine.py). It does not compute: called once while a
kernel is compiled, it writes instructions through `Code`. Its parameters are 64-bit integers and floats; addresses are
integers. Values know +, -, *, &, ^, << and >> of their type; everything else is a method of `Code`.

    acc = code.fma(code.splat(code.load(a, F32), F32x16), code.load(w, F32x16), acc)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from llvmlite import ir
from numba.core import cgutils

I1, I8, I16, I32, I64 = (ir.IntType(n) for n in (1, 8, 16, 32, 64))
F32, F64 = ir.FloatType(), ir.DoubleType()
VOID = ir.VoidType()


def vector(element: Any, lanes: int) -> Any:
    """The type of `lanes` elements: `vector(F32, 16)` is one AVX-512 register."""
    return ir.VectorType(element, lanes)


def suffix(kind: Any) -> str:
    """LLVM's name of a type inside intrinsic names: v16f32, i8."""
    if isinstance(kind, ir.VectorType):
        return f"v{kind.count}{suffix(kind.element)}"
    return f"i{kind.width}" if isinstance(kind, ir.IntType) else "f32" if kind == F32 else "f64"


def is_float(kind: Any) -> bool:
    return isinstance(getattr(kind, "element", kind), (ir.FloatType, ir.DoubleType))


class Value:
    """A number or a vector in a register."""

    __slots__ = ("code", "ir")

    def __init__(self, code: Code, value: Any) -> None:
        self.code, self.ir = code, value

    @property
    def kind(self) -> Any:
        return self.ir.type

    def _binary(self, other: Any, integer: str, floating: str) -> Value:
        other = self.code.constant(other, self.kind)
        name = floating if is_float(self.kind) else integer
        return Value(self.code, getattr(self.code.builder, name)(self.ir, other.ir))

    def __add__(self, other: Any) -> Value:
        return self._binary(other, "add", "fadd")

    def __sub__(self, other: Any) -> Value:
        return self._binary(other, "sub", "fsub")

    def __mul__(self, other: Any) -> Value:
        return self._binary(other, "mul", "fmul")

    def __truediv__(self, other: Any) -> Value:
        return self._binary(other, "sdiv", "fdiv")

    def __and__(self, other: Any) -> Value:
        return self._binary(other, "and_", "and_")

    def __or__(self, other: Any) -> Value:
        return self._binary(other, "or_", "or_")

    def __xor__(self, other: Any) -> Value:
        return self._binary(other, "xor", "xor")

    def __lshift__(self, other: Any) -> Value:
        return self._binary(other, "shl", "shl")

    def __rshift__(self, other: Any) -> Value:
        """Arithmetic: the sign is kept."""
        return self._binary(other, "ashr", "ashr")


class Cell:
    """A variable: LLVM keeps it in a register."""

    __slots__ = ("at", "code")

    def __init__(self, code: Code, first: Value) -> None:
        self.code = code
        self.at = cgutils.alloca_once(code.builder, first.kind)
        self.set(first)

    def get(self) -> Value:
        return Value(self.code, self.code.builder.load(self.at))

    def set(self, value: Value) -> None:
        self.code.builder.store(value.ir, self.at)

    @property
    def address(self) -> Value:
        """Where it lies: from then on it is kept in memory."""
        return Value(self.code, self.code.builder.ptrtoint(self.at, I64))


class Code:
    """The instructions being written, and the types they work on (so that a microkernel's file imports nothing heavy)."""

    I1, I8, I16, I32, I64, F32, F64, VOID = I1, I8, I16, I32, I64, F32, F64, VOID
    vector = staticmethod(vector)

    def __init__(self, builder: Any) -> None:
        self.builder = builder

    # numbers
    def constant(self, value: Any, kind: Any = I64) -> Value:
        """A Python number as a value of a type, in every lane of a vector; a list gives the lanes."""
        if isinstance(value, Value):
            return value
        if isinstance(kind, ir.VectorType):
            lanes = list(value) if isinstance(value, (list, tuple)) else [value] * kind.count
            return Value(self, ir.Constant(kind, lanes))
        return Value(self, ir.Constant(kind, value))

    def splat(self, value: Value, kind: Any) -> Value:
        """A number in every lane."""
        one = self.builder.insert_element(ir.Constant(kind, ir.Undefined), value.ir, I32(0))
        lanes = ir.Constant(vector(I32, kind.count), [0] * kind.count)
        return Value(self, self.builder.shuffle_vector(one, ir.Constant(kind, ir.Undefined), lanes))

    def extract(self, value: Value, lane: int) -> Value:
        """The number in one lane."""
        return Value(self, self.builder.extract_element(value.ir, I32(lane)))

    def opaque(self, value: Value) -> Value:
        """The same vector, but the optimiser cannot see what it is: it would do one scalar operation before a splat instead
        of a vector operation after it, which is cheaper when the splat is a load."""
        kind = ir.FunctionType(value.kind, [value.kind])
        return Value(self, self.builder.call(ir.InlineAsm(kind, "", "=v,0"), [value.ir]))

    def cast(self, value: Value, kind: Any) -> Value:
        """The same bits as another type."""
        return Value(self, self.builder.bitcast(value.ir, kind))

    def convert(self, value: Value, kind: Any, signed: bool = True) -> Value:
        """To another width or between integer and float, lane by lane."""
        b, a, z = self.builder, getattr(value.kind, "element", value.kind), getattr(kind, "element", kind)
        if is_float(a) and is_float(z):
            return value if a == z else Value(self, (b.fpext if z == F64 else b.fptrunc)(value.ir, kind))
        if is_float(a):
            return Value(self, b.fptosi(value.ir, kind))
        if is_float(z):
            return Value(self, (b.sitofp if signed else b.uitofp)(value.ir, kind))
        if z.width < a.width:
            return Value(self, b.trunc(value.ir, kind))
        return Value(self, (b.sext if signed else b.zext)(value.ir, kind)) if z.width > a.width else value

    # memory
    def pointer(self, address: Value, kind: Any) -> Any:
        return self.builder.inttoptr(address.ir, kind.as_pointer())

    def at(self, address: Value) -> Value:
        """An address as the pointer that an intrinsic takes."""
        return Value(self, self.pointer(address, I8))

    def load(self, address: Value, kind: Any, align: int = 1) -> Value:
        return Value(self, self.builder.load(self.pointer(address, kind), align=align))

    def store(self, value: Value, address: Value, align: int = 1) -> None:
        self.builder.store(value.ir, self.pointer(address, value.kind), align=align)

    def first(self, count: Value, lanes: int) -> Value:
        """A mask of the first `count` lanes."""
        numbers = self.constant(list(range(lanes)), vector(I32, lanes))
        limit = self.splat(Value(self, self.builder.trunc(count.ir, I32)), vector(I32, lanes))
        return Value(self, self.builder.icmp_signed("<", numbers.ir, limit.ir))

    def store_masked(self, value: Value, address: Value, mask: Value) -> None:
        kind = value.kind
        self.call(f"llvm.masked.store.{suffix(kind)}.p0", VOID, value,
                  Value(self, self.pointer(address, kind)), self.constant(1, I32), mask)

    def load_masked(self, address: Value, kind: Any, mask: Value) -> Value:
        """Lanes outside the mask are 0 and not read."""
        return self.call(f"llvm.masked.load.{suffix(kind)}.p0", kind, Value(self, self.pointer(address, kind)),
                         self.constant(1, I32), mask, self.constant(0, kind))

    def copy(self, target: Value, source: Value, size: Value) -> None:
        """memcpy."""
        self.call("llvm.memcpy.p0.p0.i64", VOID, Value(self, self.pointer(target, I8)),
                  Value(self, self.pointer(source, I8)), size, self.constant(0, I1))

    def fill(self, target: Value, byte: Value, size: Value) -> None:
        """memset."""
        self.call("llvm.memset.p0.i64", VOID, Value(self, self.pointer(target, I8)), byte, size, self.constant(0, I1))

    # operations
    def call(self, name: str, result: Any, *args: Value) -> Value:
        """An LLVM intrinsic by name."""
        kind = ir.FunctionType(result, [a.kind for a in args])
        callee = cgutils.get_or_insert_function(self.builder.module, kind, name)
        return Value(self, self.builder.call(callee, [a.ir for a in args]))

    def fma(self, a: Value, b: Value, c: Value) -> Value:
        """a * b + c with one rounding."""
        return self.call(f"llvm.fma.{suffix(a.kind)}", a.kind, a, b, c)

    def less(self, a: Value, b: Value, signed: bool = True, orderless: bool = False) -> Value:
        """a < b; with NaN that is false, or true when `orderless`."""
        if is_float(a.kind):
            compare = self.builder.fcmp_unordered if orderless else self.builder.fcmp_ordered
        else:
            compare = self.builder.icmp_signed if signed else self.builder.icmp_unsigned
        return Value(self, compare("<", a.ir, b.ir))

    def same(self, a: Value, b: Value) -> Value:
        """a == b; with NaN that is false."""
        compare = self.builder.fcmp_ordered if is_float(a.kind) else self.builder.icmp_signed
        return Value(self, compare("==", a.ir, b.ir))

    def select(self, condition: Value, a: Value, b: Value) -> Value:
        return Value(self, self.builder.select(condition.ir, a.ir, b.ir))

    def least(self, a: Value, b: Value, signed: bool = True) -> Value:
        """a if a < b else b: the hardware's minimum."""
        return self.select(self.less(a, b, signed), a, b)

    def most(self, a: Value, b: Value, signed: bool = True) -> Value:
        """a if a > b else b: the hardware's maximum."""
        return self.select(self.less(b, a, signed), a, b)

    def shuffle(self, a: Value, b: Value, lanes: Sequence[int]) -> Value:
        """The lanes of a and then b, in this order."""
        order = ir.Constant(vector(I32, len(lanes)), list(lanes))
        return Value(self, self.builder.shuffle_vector(a.ir, b.ir, order))

    # control
    @contextmanager
    def loop(self, count: Any) -> Iterator[Value]:
        """for i in range(count)."""
        with cgutils.for_range(self.builder, self.constant(count).ir, intp=I64) as turn:
            yield Value(self, turn.index)

    @contextmanager
    def when(self, condition: Value) -> Iterator[None]:
        with self.builder.if_then(condition.ir):
            yield

    @contextmanager
    def either(self, condition: Value) -> Iterator[tuple[Any, Any]]:
        """`with code.either(c) as (then, otherwise): with then: … with otherwise: …`"""
        with self.builder.if_else(condition.ir) as branches:
            yield branches

    def cell(self, first: Value) -> Cell:
        return Cell(self, first)
