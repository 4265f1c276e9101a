"""The loop that runs a program: one native call for all steps, written as LLVM assembly.

`int64 run(int64 *table, int64 n, int64 thread, int64 threads, int64 *sync)` walks n rows of four words:

    address    of the kernel
    record     of its arguments
    flags      1: the delegate's arithmetic, denormals count as zero; 2: shared among threads; 4: a barrier follows
    (free)

Threads run the same table side by side. A step that is not shared is thread 0's. A barrier is one atomic counter that
only grows, so nothing has to be reset between invokes: `sync` holds the counter (word 0), the status and the step of the
first failure (words 8, 9: a cache line of their own) and the counter's value at the start of this invoke (word 16).
After a failure the remaining kernels are skipped, the barriers are not. MXCSR belongs to a thread: it is set on change
only and the caller's value comes back at the end.
"""

from __future__ import annotations

import platform

DENORMALS_OFF, SHARED, BARRIER = 1, 2, 4
ROW = 4
SYNC = 24

_X86 = """
define internal i32 @get_mode() {
  %p = alloca i32
  call void @llvm.x86.sse.stmxcsr(ptr %p)
  %v = load i32, ptr %p
  ret i32 %v
}
define internal void @set_mode(i32 %v) {
  %p = alloca i32
  store i32 %v, ptr %p
  call void @llvm.x86.sse.ldmxcsr(ptr %p)
  ret void
}
define internal void @relax() {
  call void @llvm.x86.sse2.pause()
  ret void
}
declare void @llvm.x86.sse.stmxcsr(ptr)
declare void @llvm.x86.sse.ldmxcsr(ptr)
declare void @llvm.x86.sse2.pause()
"""
_OTHER = """
define internal i32 @get_mode() {
  ret i32 0
}
define internal void @set_mode(i32 %v) {
  ret void
}
define internal void @relax() {
  ret void
}
"""

_LOOP = """
declare i32 @sched_yield()

define i64 @SYMBOL(ptr %table, i64 %n, i64 %thread, i64 %threads, ptr %sync) {
entry:
  %status.p = getelementptr i64, ptr %sync, i64 8
  %step.p = getelementptr i64, ptr %sync, i64 9
  %base.p = getelementptr i64, ptr %sync, i64 16
  %base = load i64, ptr %base.p
  %caller = call i32 @get_mode()
  %mode.on = and i32 %caller, -32833
  %mode.off = or i32 %caller, 32832
  br label %head

head:
  %i = phi i64 [ 0, %entry ], [ %i.next, %tail ]
  %mode = phi i32 [ %caller, %entry ], [ %mode.next, %tail ]
  %arrived = phi i64 [ %base, %entry ], [ %arrived.next, %tail ]
  %more = icmp slt i64 %i, %n
  br i1 %more, label %step, label %leave

step:
  %row.i = mul i64 %i, 4
  %row = getelementptr i64, ptr %table, i64 %row.i
  %flags.p = getelementptr i64, ptr %row, i64 2
  %flags = load i64, ptr %flags.p
  %shared = and i64 %flags, 2
  %lone = icmp eq i64 %shared, 0
  %other = icmp ne i64 %thread, 0
  %not.mine = and i1 %lone, %other
  %failed = load atomic i64, ptr %status.p monotonic, align 8
  %dead = icmp ne i64 %failed, 0
  %skip = or i1 %not.mine, %dead
  br i1 %skip, label %sync.check, label %work

work:
  %daz = and i64 %flags, 1
  %daz.on = icmp ne i64 %daz, 0
  %want = select i1 %daz.on, i32 %mode.off, i32 %mode.on
  %same = icmp eq i32 %want, %mode
  br i1 %same, label %call, label %switch

switch:
  call void @set_mode(i32 %want)
  br label %call

call:
  %kernel.i = load i64, ptr %row
  %kernel = inttoptr i64 %kernel.i to ptr
  %record.p = getelementptr i64, ptr %row, i64 1
  %record = load i64, ptr %record.p
  %share = select i1 %lone, i64 0, i64 %thread
  %shares = select i1 %lone, i64 1, i64 %threads
  %status = call i64 %kernel(i64 %record, i64 %share, i64 %shares)
  %bad = icmp ne i64 %status, 0
  br i1 %bad, label %fail, label %sync.check

fail:
  store i64 %i, ptr %step.p
  store atomic i64 %status, ptr %status.p seq_cst, align 8
  br label %sync.check

sync.check:
  %mode.next = phi i32 [ %mode, %step ], [ %want, %call ], [ %want, %fail ]
  %barrier = and i64 %flags, 4
  %has = icmp ne i64 %barrier, 0
  %many = icmp sgt i64 %threads, 1
  %wait = and i1 %has, %many
  br i1 %wait, label %arrive, label %tail

arrive:
  %target = add i64 %arrived, %threads
  %before = atomicrmw add ptr %sync, i64 1 seq_cst
  br label %spin

spin:
  %turns = phi i64 [ 0, %arrive ], [ %turns.next, %again ]
  %now = load atomic i64, ptr %sync acquire, align 8
  %done = icmp sge i64 %now, %target
  br i1 %done, label %tail, label %idle

idle:
  call void @relax()
  %turns.next = add i64 %turns, 1
  %low = and i64 %turns.next, 1023
  %tired = icmp eq i64 %low, 0
  br i1 %tired, label %yield, label %again

yield:
  %y = call i32 @sched_yield()
  br label %again

again:
  br label %spin

tail:
  %arrived.next = phi i64 [ %arrived, %sync.check ], [ %target, %spin ]
  %i.next = add i64 %i, 1
  br label %head

leave:
  call void @set_mode(i32 %caller)
  %result = load atomic i64, ptr %status.p acquire, align 8
  ret i64 %result
}
"""


def assembly(symbol: str) -> str:
    """The loop for this machine, under a name."""
    x86 = platform.machine().lower() in ("x86_64", "amd64")
    return (_X86 if x86 else _OTHER) + _LOOP.replace("@SYMBOL", f"@{symbol}")
