"""A team: the threads that share the work of each operator inside one chunk.

    team = Team(4)
    with team:                    # three followers start; they end when the block does
        run_chunk(..., team.operand)

An operator's handler is the *leader*: whatever thread XLA runs it on. Its work is cut into as many
shares as the team has members, the same way each time; a share writes only what no other share of
that operator touches. Follower k does share k if it comes in time, and the leader the rest:

    leader:    job := (share function, its arguments);  epoch := epoch + 1
               for every k from 0: claim share k, and do it if nobody had claimed it
               wait until done[k] = epoch for the others;  lock := 0
    follower:  wait until epoch is new;  claim share k;  if it succeeds: do it;  done[k] := epoch

To claim a share is to change claim[k] from epoch - 1 to epoch, which succeeds once. The leader
alone writes `job` and `epoch`, and only when all shares are done; so a follower that was asleep and
comes too late claims in vain, and one that has claimed finds the job of its epoch. Nobody waits for
a thread that has not begun: on a busy machine the leader does more, not less. What a share reads
has been written before `epoch` was stored (release, acquire), and what it wrote before `done[k]`.

XLA computes with subnormal numbers flushed to zero, or not: a share is done in the floating-point
mode of its leader, whoever does it. Two operators that XLA runs at once both try the lock; the one
that does not get it does all its shares alone. So results never depend on who was there. Followers
spin, then yield their core between looks, and leave when the team is closed: at the end of the
block, after an error or an interrupt too.
"""

import ctypes
import functools
import platform
import threading
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from distdyn.ops.rows import aligned_empty

LINE = 8  # words of 8 bytes in a cache line; each field has a line to itself
MOST_MEMBERS = 64

# %team points to lines of 64 bytes: 0 lock, 1 is open, 2 epoch, 3 job; 4 + k: claim and done of k.
_ASSEMBLY = """
declare i32 @sched_yield()

define void @team_lead(ptr %team, ptr %share, ptr %frame, i64 %members) {
entry:
  %is_single = icmp eq ptr %team, null
  br i1 %is_single, label %alone, label %try
try:
  %taken = cmpxchg ptr %team, i64 0, i64 1 acquire monotonic
  %is_mine = extractvalue { i64, i1 } %taken, 1
  br i1 %is_mine, label %announce, label %alone
announce:
  %epoch = getelementptr i8, ptr %team, i64 128
  %job = getelementptr i8, ptr %team, i64 192
  %job_frame = getelementptr i8, ptr %team, i64 200
  %job_mode = getelementptr i8, ptr %team, i64 208
  store ptr %share, ptr %job, align 8
  store ptr %frame, ptr %job_frame, align 8
  SAVE_MODE
  %before = load i64, ptr %epoch, align 8
  %now = add i64 %before, 1
  store atomic i64 %now, ptr %epoch release, align 8
  br label %claim
claim:
  %k = phi i64 [ 0, %announce ], [ %k_next, %claimed ]
  call void @team_do(ptr %team, i64 %k, i64 %members, i64 %now)
  br label %claimed
claimed:
  %k_next = add i64 %k, 1
  %has_more = icmp slt i64 %k_next, %members
  br i1 %has_more, label %claim, label %await
await:
  %j = phi i64 [ 1, %claimed ], [ %j_next, %arrived ]
  %spins = phi i32 [ 0, %claimed ], [ %spins_now, %arrived ]
  %line = add i64 %j, 4
  %byte = shl i64 %line, 6
  %claim_word = getelementptr i8, ptr %team, i64 %byte
  %done = getelementptr i8, ptr %claim_word, i64 8
  %value = load atomic i64, ptr %done acquire, align 8
  %is_done = icmp eq i64 %value, %now
  br i1 %is_done, label %arrived, label %rest
rest:
  %spins_more = call i32 @team_rest(i32 %spins)
  br label %arrived
arrived:
  %spins_now = phi i32 [ 0, %await ], [ %spins_more, %rest ]
  %step = zext i1 %is_done to i64
  %j_next = add i64 %j, %step
  %is_waiting = icmp slt i64 %j_next, %members
  br i1 %is_waiting, label %await, label %unlock
unlock:
  store atomic i64 0, ptr %team release, align 8
  ret void
alone:
  %a = phi i64 [ 0, %entry ], [ 0, %try ], [ %a_next, %alone ]
  call void %share(ptr %frame, i64 %a, i64 %members)
  %a_next = add i64 %a, 1
  %goes_on = icmp slt i64 %a_next, %members
  br i1 %goes_on, label %alone, label %out
out:
  ret void
}

define void @team_follow(ptr %team, i64 %k, i64 %members) {
entry:
  %open = getelementptr i8, ptr %team, i64 64
  %epoch = getelementptr i8, ptr %team, i64 128
  br label %look
look:
  %seen = phi i64 [ -1, %entry ], [ %seen, %rest ], [ %now, %work ]
  %spins = phi i32 [ 0, %entry ], [ %spins_more, %rest ], [ 0, %work ]
  %is_open = load atomic i64, ptr %open acquire, align 8
  %closed = icmp eq i64 %is_open, 0
  br i1 %closed, label %leave, label %stay
stay:
  %now = load atomic i64, ptr %epoch acquire, align 8
  %is_new = icmp ne i64 %now, %seen
  br i1 %is_new, label %work, label %rest
rest:
  %spins_more = call i32 @team_rest(i32 %spins)
  br label %look
work:
  call void @team_do(ptr %team, i64 %k, i64 %members, i64 %now)
  br label %look
leave:
  ret void
}

; claim share %k of this epoch and do it, if it is free
define internal void @team_do(ptr %team, i64 %k, i64 %members, i64 %now) {
entry:
  %line = add i64 %k, 4
  %byte = shl i64 %line, 6
  %claim = getelementptr i8, ptr %team, i64 %byte
  %before = sub i64 %now, 1
  %taken = cmpxchg ptr %claim, i64 %before, i64 %now acq_rel monotonic
  %is_mine = extractvalue { i64, i1 } %taken, 1
  br i1 %is_mine, label %work, label %out
work:
  %job = getelementptr i8, ptr %team, i64 192
  %job_frame = getelementptr i8, ptr %team, i64 200
  %job_mode = getelementptr i8, ptr %team, i64 208
  %share = load ptr, ptr %job, align 8
  %frame = load ptr, ptr %job_frame, align 8
  SET_MODE
  call void %share(ptr %frame, i64 %k, i64 %members)
  %done = getelementptr i8, ptr %claim, i64 8
  store atomic i64 %now, ptr %done release, align 8
  br label %out
out:
  ret void
}

; one look was in vain, after %spins others: pause, or after many offer the core to others
define internal i32 @team_rest(i32 %spins) {
entry:
  %more = add i32 %spins, 1
  %is_long = icmp ugt i32 %more, SPINS
  br i1 %is_long, label %yield, label %spin
spin:
  PAUSE
  ret i32 %more
yield:
  %ignored = call i32 @sched_yield()
  ret i32 %spins
}
"""
SPINS = 2000  # looks before a waiting thread offers its core to others, some tens of us


class _Machine(NamedTuple):
    """Lines of LLVM for one kind of processor."""

    pause: str
    save_mode: str
    set_mode: str
    declarations: str


_X86 = _Machine(
    "call void @llvm.x86.sse2.pause()",
    "call void @llvm.x86.sse.stmxcsr(ptr %job_mode)",
    "call void @llvm.x86.sse.ldmxcsr(ptr %job_mode)",
    """
declare void @llvm.x86.sse2.pause()
declare void @llvm.x86.sse.stmxcsr(ptr)
declare void @llvm.x86.sse.ldmxcsr(ptr)
""",
)
_ARM = _Machine(
    "call void @llvm.aarch64.hint(i32 1)",
    "%mode = call i64 @llvm.aarch64.get.fpcr()\n  store i64 %mode, ptr %job_mode, align 8",
    "%mode = load i64, ptr %job_mode, align 8\n  call void @llvm.aarch64.set.fpcr(i64 %mode)",
    """
declare void @llvm.aarch64.hint(i32)
declare i64 @llvm.aarch64.get.fpcr()
declare void @llvm.aarch64.set.fpcr(i64)
""",
)
MACHINES = {"x86_64": _X86, "AMD64": _X86, "aarch64": _ARM, "arm64": _ARM}


@functools.cache
def code() -> Any:
    """The machine code of leading and following."""
    from distdyn.ops import ffi

    machine = MACHINES.get(platform.machine(), _Machine("", "", "", ""))
    text = (
        _ASSEMBLY.replace("PAUSE", machine.pause)
        .replace("SAVE_MODE", machine.save_mode)
        .replace("SET_MODE", machine.set_mode)
        .replace("SPINS", str(SPINS))
    )
    target = f'target triple = "{ffi.llvm.get_process_triple()}"'
    return ffi.compile_module("\n".join((target, text, machine.declarations)))


@functools.cache
def _function(name: str, *arguments: Any) -> Any:
    return ctypes.CFUNCTYPE(None, *arguments)(code().address(name))  # calls release the GIL


class Team:
    """So many threads, one of which is the caller's; a team of one has no threads.

    Attributes:
        members: how many shares each operator's work is cut into.
        operand: int64[2], what operators take: the address of the team's memory, and `members`.
    """

    def __init__(self, members: int) -> None:
        if not 1 <= members <= MOST_MEMBERS:
            raise ValueError(f"a team has 1 to {MOST_MEMBERS} members, not {members}")
        self.members = members
        self._memory = aligned_empty((4 + members) * LINE, np.int64)
        self._memory[:] = 0
        self._address = self._memory.ctypes.data if members > 1 else 0
        self._threads: list[threading.Thread] = []
        if members > 1:
            code()

    @property
    def operand(self) -> Any:
        """A jax.Array; 64-bit integers must be enabled."""
        return jnp.array([self._address, self.members], jnp.int64)

    def __enter__(self) -> "Team":
        if self.members == 1:
            return self
        follow = _function("team_follow", ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
        self._memory[LINE] = 1  # open
        try:
            for k in range(1, self.members):
                arguments = self._address, k, self.members
                name = f"distdyn-team-{k}"
                thread = threading.Thread(target=follow, args=arguments, name=name, daemon=True)
                thread.start()
                self._threads.append(thread)
        except BaseException:  # no more threads to be had, or an interrupt
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self.members == 1:
            return
        self._memory[LINE] = 0
        while self._threads:
            self._threads[-1].join()
            self._threads.pop()
