"""The workers of a team, written as LLVM assembly: the other half of `loop.py`."""

# A worker looks for offers. While a run goes on it does nothing else, but gives its core away now and then; after one it
# spins a while, since the next often follows at once, then sleeps until the bell (word 0) changes. It touches what belongs
# to a run only while its slot says so, so the leader may return without a look at who is still awake.
SERVE = """
define i64 @SYMBOL_stop(ptr %box) {
  %stop.p = getelementptr i64, ptr %box, i64 STOP
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
  %sleepers.p = getelementptr i64, ptr %box, i64 SLEEPERS
  %running.p = getelementptr i64, ptr %box, i64 RUNNING
  %offer.p = getelementptr i64, ptr %box, i64 OFFER
  %stop.p = getelementptr i64, ptr %box, i64 STOP
  %offer.kernel = getelementptr i64, ptr %offer.p, i64 1
  %offer.record = getelementptr i64, ptr %offer.p, i64 2
  %offer.flags = getelementptr i64, ptr %offer.p, i64 3
  %offer.parts = getelementptr i64, ptr %offer.p, i64 4
  %offer.status = getelementptr i64, ptr %box, i64 STATUS
  %slots = getelementptr i64, ptr %box, i64 SLOTS
  %place = sub i64 %number, 1
  %place.words = mul i64 %place, 8
  %slot = getelementptr i64, ptr %slots, i64 %place.words
  %caller = call i32 @get_mode()
  %mode.on = and i32 %caller, -32833
  %mode.off = or i32 %caller, 32832
  br label %listen

listen:
  %mode = phi i32 [ %caller, %entry ], [ %want, %count ], [ %mode, %claim ]
  %known = phi i64 [ 0, %entry ], [ %serial, %count ], [ %serial, %claim ]
  br label %search

search:
  %turns = phi i64 [ 0, %listen ], [ %turns.next, %again ], [ 0, %sleep ]
  %bell = load atomic i64, ptr %box seq_cst, align 8
  %serial = load atomic i64, ptr %offer.p acquire, align 8
  %none = icmp eq i64 %serial, %known
  br i1 %none, label %idle, label %claim

claim:
  %working = mul i64 %serial, 2
  %idle.slot = sub i64 %working, 1
  %done.slot = add i64 %working, 1
  %exchange = cmpxchg ptr %slot, i64 %idle.slot, i64 %working acq_rel monotonic
  %got = extractvalue { i64, i1 } %exchange, 1
  br i1 %got, label %do, label %listen

do:
  %kernel.i = load i64, ptr %offer.kernel
  %kernel = inttoptr i64 %kernel.i to ptr
  %record = load i64, ptr %offer.record
  %flags = load i64, ptr %offer.flags
  %parts = load i64, ptr %offer.parts
  %daz = and i64 %flags, 1
  %daz.on = icmp ne i64 %daz, 0
  %want = select i1 %daz.on, i32 %mode.off, i32 %mode.on
  %same = icmp eq i32 %want, %mode
  br i1 %same, label %work, label %switch

switch:
  call void @set_mode(i32 %want)
  br label %work

work:
  %answer = call i64 %kernel(i64 %record, i64 %number, i64 %parts)
  %wrong = icmp ne i64 %answer, 0
  br i1 %wrong, label %tell, label %count

tell:
  store atomic i64 %answer, ptr %offer.status monotonic, align 8
  br label %count

count:
  store atomic i64 %done.slot, ptr %slot release, align 8
  br label %listen

idle:
  call void @relax()
  %running = load atomic i64, ptr %running.p seq_cst, align 8
  %runs = icmp ne i64 %running, 0
  %turns.next = add i64 %turns, 1
  br i1 %runs, label %patient, label %over

patient:
  %low = and i64 %turns.next, 1023
  %tired = icmp eq i64 %low, 0
  br i1 %tired, label %yield, label %again

yield:
  %y = call i32 @sched_yield()
  br label %again

over:
  %stopped = load atomic i64, ptr %stop.p seq_cst, align 8
  %stop = icmp ne i64 %stopped, 0
  br i1 %stop, label %leave, label %still

still:
  %long = icmp sgt i64 %turns.next, SPINS
  br i1 %long, label %sleep, label %again

again:
  br label %search

sleep:
  %a = atomicrmw add ptr %sleepers.p, i64 1 seq_cst
  %bell.low = trunc i64 %bell to i32
  call void @doze(ptr %box, i32 %bell.low)
  %b = atomicrmw sub ptr %sleepers.p, i64 1 seq_cst
  br label %search

leave:
  ret i64 0
}
"""

FUTEX = """
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
POLL = """
declare i32 @usleep(i32)
define internal void @wake(ptr %box) {
  ret void
}
define internal void @doze(ptr %box, i32 %seen) {
  %r = call i32 @usleep(i32 50)
  ret void
}
"""
