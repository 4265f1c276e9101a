"""The loop that runs a program: one native call for all steps, written as LLVM assembly.

`int64 run(int64 *call)` takes one argument, since every further one costs a caller in Python a tenth of a microsecond:
the words (table, n, thread, threads, sync, mailbox). It walks n rows of four words:

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

import sys

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

define i64 @SYMBOL(ptr %words) {
entry:
  %table = load ptr, ptr %words
  %n.p = getelementptr i64, ptr %words, i64 1
  %n = load i64, ptr %n.p
  %thread.p = getelementptr i64, ptr %words, i64 2
  %thread = load i64, ptr %thread.p
  %threads.p = getelementptr i64, ptr %words, i64 3
  %threads = load i64, ptr %threads.p
  %sync.p = getelementptr i64, ptr %words, i64 4
  %sync = load ptr, ptr %sync.p
  %status.p = getelementptr i64, ptr %sync, i64 8
  %step.p = getelementptr i64, ptr %sync, i64 9
  %base.p = getelementptr i64, ptr %sync, i64 16
  %base = load i64, ptr %base.p
  %single = icmp eq i64 %threads, 1
  br i1 %single, label %clear, label %begin

clear:
  store atomic i64 0, ptr %status.p monotonic, align 8
  br label %begin

begin:
  %caller = call i32 @get_mode()
  %mode.on = and i32 %caller, -32833
  %mode.off = or i32 %caller, 32832
  br label %head

head:
  %i = phi i64 [ 0, %begin ], [ %i.next, %tail ]
  %mode = phi i32 [ %caller, %begin ], [ %mode.next, %tail ]
  %arrived = phi i64 [ %base, %begin ], [ %arrived.next, %tail ]
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


# The mailbox of a team: word 0 counts jobs (workers wait on its low half), 1 is the job, 8 counts finished parts, 16 the
# workers asleep, 24 says stop: each on a cache line of its own. A worker spins a while before it sleeps, since the next
# invoke often follows at once; the leader waits for the last worker to be through, so a job's memory may go when it returns.
_TEAM = """
define i64 @SYMBOL_lead(ptr %words) {
entry:
  %threads.p = getelementptr i64, ptr %words, i64 3
  %threads = load i64, ptr %threads.p
  %sync.p = getelementptr i64, ptr %words, i64 4
  %sync = load ptr, ptr %sync.p
  %box.p = getelementptr i64, ptr %words, i64 5
  %box = load ptr, ptr %box.p
  %status.p = getelementptr i64, ptr %sync, i64 8
  store atomic i64 0, ptr %status.p monotonic, align 8
  %count = load atomic i64, ptr %sync monotonic, align 8
  %base.p = getelementptr i64, ptr %sync, i64 16
  store i64 %count, ptr %base.p
  %job.p = getelementptr i64, ptr %box, i64 1
  store ptr %words, ptr %job.p
  %before = atomicrmw add ptr %box, i64 1 seq_cst
  %sleepers.p = getelementptr i64, ptr %box, i64 16
  %sleepers = load atomic i64, ptr %sleepers.p seq_cst, align 8
  %asleep = icmp ne i64 %sleepers, 0
  br i1 %asleep, label %wake, label %run

wake:
  call void @wake(ptr %box)
  br label %run

run:
  %result = call i64 @SYMBOL(ptr %words)
  %sequence = add i64 %before, 1
  %workers = sub i64 %threads, 1
  %target = mul i64 %sequence, %workers
  %done.p = getelementptr i64, ptr %box, i64 8
  br label %wait

wait:
  %turns = phi i64 [ 0, %run ], [ %turns.next, %again ]
  %done = load atomic i64, ptr %done.p acquire, align 8
  %through = icmp sge i64 %done, %target
  br i1 %through, label %leave, label %idle

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
  br label %wait

leave:
  ret i64 %result
}

define i64 @SYMBOL_stop(ptr %box) {
  %stop.p = getelementptr i64, ptr %box, i64 24
  store atomic i64 1, ptr %stop.p seq_cst, align 8
  %before = atomicrmw add ptr %box, i64 1 seq_cst
  call void @wake(ptr %box)
  ret i64 0
}

define i64 @SYMBOL_serve(ptr %mine) {
entry:
  %box = load ptr, ptr %mine
  %number.p = getelementptr i64, ptr %mine, i64 1
  %number = load i64, ptr %number.p
  %job.p = getelementptr i64, ptr %box, i64 1
  %done.p = getelementptr i64, ptr %box, i64 8
  %sleepers.p = getelementptr i64, ptr %box, i64 16
  %stop.p = getelementptr i64, ptr %box, i64 24
  br label %listen

listen:
  %seen = phi i64 [ 0, %entry ], [ %now, %work ]
  br label %spin

spin:
  %turns = phi i64 [ 0, %listen ], [ %turns.next, %idle ], [ 0, %sleep ]
  %now = load atomic i64, ptr %box acquire, align 8
  %same = icmp eq i64 %now, %seen
  br i1 %same, label %wait, label %called

wait:
  %tired = icmp sgt i64 %turns, SPINS
  br i1 %tired, label %sleep, label %idle

idle:
  call void @relax()
  %turns.next = add i64 %turns, 1
  br label %spin

sleep:
  %a = atomicrmw add ptr %sleepers.p, i64 1 seq_cst
  %seen.low = trunc i64 %seen to i32
  call void @doze(ptr %box, i32 %seen.low)
  %b = atomicrmw sub ptr %sleepers.p, i64 1 seq_cst
  br label %spin

called:
  %stopped = load atomic i64, ptr %stop.p seq_cst, align 8
  %stop = icmp ne i64 %stopped, 0
  br i1 %stop, label %leave, label %work

work:
  %job = load ptr, ptr %job.p
  %offset = mul i64 %number, 6
  %words = getelementptr i64, ptr %job, i64 %offset
  %status = call i64 @SYMBOL(ptr %words)
  %c = atomicrmw add ptr %done.p, i64 1 seq_cst
  br label %listen

leave:
  ret i64 0
}
"""

_FUTEX = """
declare i64 @syscall(i64, ...)
define internal void @wake(ptr %box) {
  %r = call i64 (i64, ...) @syscall(i64 NUMBER, ptr %box, i64 129, i64 2147483647, ptr null, ptr null, i64 0)
  ret void
}
define internal void @doze(ptr %box, i32 %seen) {
  %r = call i64 (i64, ...) @syscall(i64 NUMBER, ptr %box, i64 128, i32 %seen, ptr null, ptr null, i64 0)
  ret void
}
"""
_POLL = """
declare i32 @usleep(i32)
define internal void @wake(ptr %box) {
  ret void
}
define internal void @doze(ptr %box, i32 %seen) {
  %r = call i32 @usleep(i32 50)
  ret void
}
"""
SPINS = 2000  # about 50 us
WORDS = 6  # of a call


def assembly(symbol: str) -> str:
    """The loop for this machine under a name, with `_lead`, `_serve` and `_stop` for teams of threads."""
    import platform  # 3 ms, and only here

    machine = platform.machine().lower()
    number = {"x86_64": "202", "amd64": "202", "aarch64": "98"}.get(machine) if sys.platform == "linux" else None
    waiting = _FUTEX.replace("NUMBER", number) if number else _POLL
    x86 = machine in ("x86_64", "amd64")
    text = (_X86 if x86 else _OTHER) + _LOOP + _TEAM.replace("SPINS", str(SPINS)) + waiting
    return text.replace("@SYMBOL", f"@{symbol}")
