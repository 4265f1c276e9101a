"""The loop that runs a program: one native call for all steps, written as LLVM assembly.

`int64 run(int64 *call)` takes one argument, since every further one costs a caller in Python a tenth of a microsecond:
the words (table, n, part, parts, result, mailbox). It walks n rows of four words:

    address    of the kernel
    record     of its arguments
    flags      1: the delegate's arithmetic, denormals count as zero; 2: to be shared among threads
    (free)

and leaves status and step of the first failure in `result`. A step to be shared computes part `part` of `parts`, or, with
a mailbox, all `parts` of them, together with the workers who listen there. The leader makes an offer and computes part 0;
worker w takes part w, so that what it computes next is in its cache. Parts that nobody has begun by then are the leader's
too: a worker that the system gives no core holds nobody up, and a short run does not wait for workers to wake. Offers are
counted, and a worker's slot tells which one it has come to: 2 n when it computes its part of offer n, 2 n + 1 when that is
done. MXCSR belongs to a thread: it is set on change only and the caller's value comes back at the end.
"""

from __future__ import annotations

import sys

from .team import FUTEX, POLL, SERVE

DENORMALS_OFF, SHARED = 1, 2
ROW = 4
RESULT = 2  # words: status, step
SLOT = 8  # words from one worker's slot to the next: a cache line
MAILBOX = 40  # words before the first slot

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
  %part.p = getelementptr i64, ptr %words, i64 2
  %part = load i64, ptr %part.p
  %parts.p = getelementptr i64, ptr %words, i64 3
  %parts = load i64, ptr %parts.p
  %result.p = getelementptr i64, ptr %words, i64 4
  %result = load ptr, ptr %result.p
  %step.p = getelementptr i64, ptr %result, i64 1
  %box.p = getelementptr i64, ptr %words, i64 5
  %box = load ptr, ptr %box.p
  %sleepers.p = getelementptr i64, ptr %box, i64 SLEEPERS
  %running.p = getelementptr i64, ptr %box, i64 RUNNING
  %offer.p = getelementptr i64, ptr %box, i64 OFFER
  %offer.kernel = getelementptr i64, ptr %offer.p, i64 1
  %offer.record = getelementptr i64, ptr %offer.p, i64 2
  %offer.flags = getelementptr i64, ptr %offer.p, i64 3
  %offer.parts = getelementptr i64, ptr %offer.p, i64 4
  %offer.status = getelementptr i64, ptr %box, i64 STATUS
  %slots = getelementptr i64, ptr %box, i64 SLOTS
  %team = icmp ne ptr %box, null
  br i1 %team, label %ring, label %begin

ring:
  store i64 %parts, ptr %offer.parts
  store atomic i64 0, ptr %offer.status monotonic, align 8
  store atomic i64 1, ptr %running.p seq_cst, align 8
  %bell = atomicrmw add ptr %box, i64 1 seq_cst
  %sleepers = load atomic i64, ptr %sleepers.p seq_cst, align 8
  %asleep = icmp ne i64 %sleepers, 0
  br i1 %asleep, label %rouse, label %begin

rouse:
  call void @wake(ptr %box)
  br label %begin

begin:
  %caller = call i32 @get_mode()
  %mode.on = and i32 %caller, -32833
  %mode.off = or i32 %caller, 32832
  br label %head

head:
  %i = phi i64 [ 0, %begin ], [ %i.next, %tail ]
  %mode = phi i32 [ %caller, %begin ], [ %want, %tail ]
  %more = icmp slt i64 %i, %n
  br i1 %more, label %step, label %leave

step:
  %row.i = mul i64 %i, 4
  %row = getelementptr i64, ptr %table, i64 %row.i
  %kernel.i = load i64, ptr %row
  %kernel = inttoptr i64 %kernel.i to ptr
  %record.p = getelementptr i64, ptr %row, i64 1
  %record = load i64, ptr %record.p
  %flags.p = getelementptr i64, ptr %row, i64 2
  %flags = load i64, ptr %flags.p
  %daz = and i64 %flags, 1
  %daz.on = icmp ne i64 %daz, 0
  %want = select i1 %daz.on, i32 %mode.off, i32 %mode.on
  %same = icmp eq i32 %want, %mode
  br i1 %same, label %ready, label %switch

switch:
  call void @set_mode(i32 %want)
  br label %ready

ready:
  %share = and i64 %flags, 2
  %shared = icmp ne i64 %share, 0
  %together = and i1 %shared, %team
  br i1 %together, label %offer, label %alone

alone:
  %mine = select i1 %shared, i64 %part, i64 0
  %of = select i1 %shared, i64 %parts, i64 1
  %status = call i64 %kernel(i64 %record, i64 %mine, i64 %of)
  br label %check

offer:
  store i64 %kernel.i, ptr %offer.kernel
  store i64 %record, ptr %offer.record
  store i64 %flags, ptr %offer.flags
  %old = load atomic i64, ptr %offer.p monotonic, align 8
  %serial = add i64 %old, 1
  %working = mul i64 %serial, 2
  %idle.slot = sub i64 %working, 1
  %done.slot = add i64 %working, 1
  store atomic i64 %serial, ptr %offer.p release, align 8
  br label %do

do:
  %number = phi i64 [ 0, %offer ], [ %w, %claim ]
  %answer = call i64 %kernel(i64 %record, i64 %number, i64 %parts)
  %wrong = icmp ne i64 %answer, 0
  br i1 %wrong, label %tell, label %next

tell:
  store atomic i64 %answer, ptr %offer.status monotonic, align 8
  br label %next

next:
  %from = phi i64 [ %number, %do ], [ %number, %tell ], [ %w, %look ], [ %w, %claim ]
  %w = add i64 %from, 1
  %any = icmp slt i64 %w, %parts
  br i1 %any, label %look, label %gather

look:
  %w.0 = sub i64 %w, 1
  %w.words = mul i64 %w.0, 8
  %slot = getelementptr i64, ptr %slots, i64 %w.words
  %seen = load atomic i64, ptr %slot monotonic, align 8
  %free = icmp eq i64 %seen, %idle.slot
  br i1 %free, label %claim, label %next

claim:
  %exchange = cmpxchg ptr %slot, i64 %idle.slot, i64 %done.slot acq_rel monotonic
  %got = extractvalue { i64, i1 } %exchange, 1
  br i1 %got, label %do, label %next

gather:
  %g = phi i64 [ 1, %next ], [ %g.next, %arrived ]
  %some = icmp slt i64 %g, %parts
  br i1 %some, label %watch, label %together.end

watch:
  %g.0 = sub i64 %g, 1
  %g.words = mul i64 %g.0, 8
  %g.slot = getelementptr i64, ptr %slots, i64 %g.words
  br label %wait

wait:
  %turns = phi i64 [ 0, %watch ], [ %turns.next, %again ]
  %now = load atomic i64, ptr %g.slot acquire, align 8
  %all = icmp eq i64 %now, %done.slot
  br i1 %all, label %arrived, label %idle

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

arrived:
  %g.next = add i64 %g, 1
  br label %gather

together.end:
  %said = load atomic i64, ptr %offer.status monotonic, align 8
  br label %check

check:
  %outcome = phi i64 [ %status, %alone ], [ %said, %together.end ]
  %bad = icmp ne i64 %outcome, 0
  br i1 %bad, label %fail, label %tail

fail:
  store i64 %i, ptr %step.p
  br label %leave

tail:
  %i.next = add i64 %i, 1
  br label %head

leave:
  %final = phi i64 [ 0, %head ], [ %outcome, %fail ]
  store i64 %final, ptr %result
  call void @set_mode(i32 %caller)
  br i1 %team, label %rest, label %return

rest:
  store atomic i64 0, ptr %running.p release, align 8
  br label %return

return:
  ret i64 %final
}
"""


# The loop as two builtin functions of Python, without arguments: `self` is a capsule of the words, the answer whether a step
# failed. One keeps the GIL, which costs less than a run of a few microseconds; the other gives it up meanwhile.
_BUILTIN = """
declare ptr @PyCapsule_GetPointer(ptr, ptr)
declare ptr @PyBool_FromLong(i64)
declare ptr @PyEval_SaveThread()
declare void @PyEval_RestoreThread(ptr)

define ptr @SYMBOL_hold(ptr %capsule, ptr %none) {
  %words = call ptr @PyCapsule_GetPointer(ptr %capsule, ptr null)
  %status = call i64 @SYMBOL(ptr %words)
  %answer = call ptr @PyBool_FromLong(i64 %status)
  ret ptr %answer
}

define ptr @SYMBOL_release(ptr %capsule, ptr %none) {
  %words = call ptr @PyCapsule_GetPointer(ptr %capsule, ptr null)
  %thread = call ptr @PyEval_SaveThread()
  %status = call i64 @SYMBOL(ptr %words)
  call void @PyEval_RestoreThread(ptr %thread)
  %answer = call ptr @PyBool_FromLong(i64 %status)
  ret ptr %answer
}
"""
SPINS = 1000  # 50 to 100 us, by the processor's idea of a pause
# Where things are in the mailbox, in words: each on a cache line of its own.
PLACES = {"STOP": 1, "OFFER": 8, "RUNNING": 16, "SLEEPERS": 24, "STATUS": 32, "SLOTS": MAILBOX}


def assembly(symbol: str) -> str:
    """The loop for this machine under a name, with `_serve` and `_stop` for the workers of a team."""
    import platform  # 3 ms, and only here

    machine = platform.machine().lower()
    number = {"x86_64": "202", "amd64": "202", "aarch64": "98"}.get(machine) if sys.platform == "linux" else None
    waiting = FUTEX.replace("NUMBER", number) if number else POLL
    x86 = machine in ("x86_64", "amd64")
    text = (_X86 if x86 else _OTHER) + _LOOP + _BUILTIN + SERVE.replace("SPINS", str(SPINS)) + waiting
    for name, place in PLACES.items():
        text = text.replace(f"i64 {name}\n", f"i64 {place}\n")
    return text.replace("@SYMBOL", f"@{symbol}")
