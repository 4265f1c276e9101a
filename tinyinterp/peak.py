"""The most that this machine can multiply and copy in a second: what the shares in a profile are shares of.

Multiplication is measured on registers alone, with as many sums side by side as hide the latency of one instruction; so a
kernel, which loads and stores too, stays below. Copying is measured within the second-level cache, where the tensors of most
networks lie, and in main memory. One thread; the best of many short runs.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from .kernels import jit

LOOPS = 20_000  # turns of a loop in one run: about a millisecond
SUMS = 12
LANES = {"amx": 16, "vnni": 16, "avx512": 16, "avx2": 8, "portable": 4}

_FRAME = """
{declare}
define i64 @{symbol}(i64 %config, i64 %n, i64 %unused) {{
entry:
  %a = load volatile {vector}, ptr @seed
  br label %loop
loop:
  %i = phi i64 [ 0, %entry ], [ %j, %loop ]
{phis}
{body}
  %j = add i64 %i, 1
  %more = icmp slt i64 %j, %n
  br i1 %more, label %loop, label %done
done:
{finish}
  ret i64 0
}}
@seed = internal global {vector} zeroinitializer
@sink = internal global {vector} zeroinitializer
"""

_AMX = """
declare void @llvm.x86.ldtilecfg(ptr)
declare void @llvm.x86.tilerelease()
declare void @llvm.x86.tilezero(i8)
declare void @llvm.x86.tdpbssd(i8, i8, i8)
define i64 @{symbol}(i64 %config, i64 %n, i64 %unused) {{
entry:
  %p = inttoptr i64 %config to ptr
  call void @llvm.x86.ldtilecfg(ptr %p)
{zero}
  br label %loop
loop:
  %i = phi i64 [ 0, %entry ], [ %j, %loop ]
{body}
  %j = add i64 %i, 1
  %more = icmp slt i64 %j, %n
  br i1 %more, label %loop, label %done
done:
  call void @llvm.x86.tilerelease()
  ret i64 0
}}
"""

_COPY = """
declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)
define i64 @{symbol}(i64 %to, i64 %from, i64 %size) {
  %t = inttoptr i64 %to to ptr
  %f = inttoptr i64 %from to ptr
  call void @llvm.memcpy.p0.p0.i64(ptr %t, ptr %f, i64 %size, i1 false)
  ret i64 0
}
"""


def _native(name: str, text: str) -> Any:
    """A compiled function of three integers."""
    symbol = f"tinyinterp_peak_{name}_{jit.machine()[:12]}"
    code = text.replace("{symbol}", symbol)
    jit.native(symbol, jit.text_key(code), f"peak of {name}", lambda: jit.emit(code))
    return ctypes.CFUNCTYPE(ctypes.c_int64, *(ctypes.c_int64,) * 3)(jit.address_of_symbol(symbol))


def _frame(vector: str, declare: str, step: Callable[[int], str]) -> str:
    """A loop of SUMS independent chains; `step(i)` makes %t{i} of %s{i} and %a."""
    phis = "\n".join(f"  %s{i} = phi {vector} [ %a, %entry ], [ %t{i}, %loop ]" for i in range(SUMS))
    finish = "\n".join(f"  store volatile {vector} %t{i}, ptr @sink" for i in range(SUMS))
    return _FRAME.format(declare=declare, symbol="{symbol}", vector=vector, phis=phis, finish=finish,
                         body="\n".join(step(i) for i in range(SUMS)))


def _float(level: str) -> tuple[str, int]:
    """A loop of fused multiply-adds, and the MACs of a turn."""
    n = LANES[level]
    vector = f"<{n} x float>"
    if level == "portable":
        return _frame(vector, "", lambda i: f"  %p{i} = fmul {vector} %s{i}, %a\n  %t{i} = fadd {vector} %p{i}, %a"), n * SUMS
    name = f"@llvm.fma.v{n}f32"
    return _frame(vector, f"declare {vector} {name}({vector}, {vector}, {vector})",
                  lambda i: f"  %t{i} = call {vector} {name}({vector} %a, {vector} %a, {vector} %s{i})"), n * SUMS


def _int8(level: str) -> tuple[str, int]:
    """A loop of 8-bit products, and the MACs of a turn."""
    if level == "amx":
        zero = "\n".join(f"  call void @llvm.x86.tilezero(i8 {i})" for i in range(8))
        body = "\n".join(f"  call void @llvm.x86.tdpbssd(i8 {t}, i8 {a}, i8 {b})" for t, (a, b) in enumerate(
            ((4, 6), (4, 7), (5, 6), (5, 7))))
        return _AMX.format(symbol="{symbol}", zero=zero, body=body), 4 * 16 * 16 * 64
    if level == "vnni":
        vector, quads = "<16 x i32>", "<64 x i8>"
        declare = f"declare {vector} @llvm.x86.avx512.vpdpbusd.512({vector}, {quads}, {quads})"
        return _frame(vector, declare, lambda i: (
            f"  %b{i} = bitcast {vector} %a to {quads}\n"
            f"  %t{i} = call {vector} @llvm.x86.avx512.vpdpbusd.512({vector} %s{i}, {quads} %b{i}, {quads} %b{i})")), 64 * SUMS
    n = LANES[level]  # products of pairs of int16
    vector, pairs = f"<{n} x i32>", f"<{2 * n} x i16>"
    name = {"avx512": "avx512.pmaddw.d.512", "avx2": "avx2.pmadd.wd", "portable": "sse2.pmadd.wd"}[level]
    return _frame(vector, f"declare {vector} @llvm.x86.{name}({pairs}, {pairs})", lambda i: (
        f"  %b{i} = bitcast {vector} %s{i} to {pairs}\n"  # of the sum itself, or the product would leave the loop
        f"  %m{i} = call {vector} @llvm.x86.{name}({pairs} %b{i}, {pairs} %b{i})\n"
        f"  %t{i} = add {vector} %m{i}, %s{i}")), 2 * n * SUMS


def _best(run: Callable[[], object], seconds: float) -> float:
    """The least time of one run, of three at least: the first one touches new memory."""
    times: list[float] = []
    stop = time.perf_counter() + seconds
    while len(times) < 3 or time.perf_counter() < stop:
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)


@dataclass(frozen=True, slots=True)
class Peak:
    """What one thread can do at most: multiply-accumulates a second, bytes read and written a second."""

    float32: float
    int8: float
    cache: float
    memory: float

    def seconds(self, macs: int, moved: int, integers: bool) -> float:
        """The time that nothing on this machine can beat: the longer of multiplying and moving."""
        return max(macs / (self.int8 if integers else self.float32), moved / self.cache)

    def __str__(self) -> str:
        return (f"{self.int8 / 1e9:,.0f} GMAC/s in 8 bits, {self.float32 / 1e9:,.0f} GMAC/s in float32, "
                f"{self.cache / 1e9:,.0f} GB/s in the cache, {self.memory / 1e9:,.1f} GB/s in memory")


def measure(seconds: float = 0.1) -> Peak:
    """The peak of one thread, each of its four figures measured for so long."""
    level = jit.level()
    config = np.zeros(64, np.uint8)  # palette 1, eight tiles of 16 rows by 64 bytes
    config[0], config[16:32:2], config[48:56] = 1, 64, 16
    found = {}
    for name, (text, macs) in {"float32": _float(level), "int8": _int8(level)}.items():
        run = partial(_native(f"{name}_{level}", text), config.ctypes.data, LOOPS, 0)
        found[name] = macs * LOOPS / _best(run, seconds)
    copy = _native("copy", _COPY)
    for name, size in {"cache": 1 << 18, "memory": 1 << 25}.items():
        x, y = np.ones(size, np.uint8), np.zeros(size, np.uint8)
        found[name] = 2 * size / _best(partial(copy, y.ctypes.data, x.ctypes.data, size), seconds)
    return Peak(**found)
