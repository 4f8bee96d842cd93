"""A team: the threads that share the work of each operator inside one chunk.

    team = Team(4)
    with team:                    # three followers start; they end when the block does
        run_chunk(..., team.operand)

An operator's handler is the *leader*: whatever thread XLA runs it on. Its work is cut into as many
shares as the team has members, by the operator and the same way each time; a share writes only
what no other share of that operator touches. The leader does share 0, follower k does share k, and
the leader returns when all are done:

    leader:    job := (share function, its arguments);  epoch := epoch + 1;  share 0;
               wait until done[k] = epoch for every k;  lock := 0
    follower:  wait until epoch != done[k];  share k;  done[k] := epoch

The leader alone writes `job` and `epoch`, and only while every done[k] = epoch; follower k alone
writes done[k]. `epoch` and `done` are stored with release and read with acquire order, so a share
sees all that was written before it began, and the leader all that the shares wrote. Two operators
that XLA runs at once both try the lock; who does not get it, or finds the team closed, does all
shares alone, one after the other. So the results never depend on who was there.

Followers spin, then yield the core between looks; they exist only inside the `with` block. It ends
in any case, after an error or an interrupt too: the lock is taken, so no job is under way, the team
is marked closed, and each follower leaves as soon as it has done every job that was announced.
"""

import ctypes
import functools
import platform
import threading
from typing import Any

import jax.numpy as jnp
import numpy as np

from distdyn.ops.rows import aligned_empty

LINE = 8  # words of 8 bytes in a cache line; each field has a line to itself
MOST_MEMBERS = 64

# %team points to lines of 64 bytes: 0 lock, 1 open, 2 epoch, 3 job, 4 + k done of member k.
_ASSEMBLY = """
declare i32 @sched_yield()

define void @team_lead(ptr %team, ptr %share, ptr %frame, i64 %members) {
entry:
  %is_single = icmp eq ptr %team, null
  br i1 %is_single, label %alone, label %try
try:
  %taken = cmpxchg ptr %team, i64 0, i64 1 acquire monotonic
  %is_mine = extractvalue { i64, i1 } %taken, 1
  br i1 %is_mine, label %locked, label %alone
locked:
  %open = getelementptr i8, ptr %team, i64 64
  %is_open = load i64, ptr %open, align 8
  %open_now = icmp ne i64 %is_open, 0
  br i1 %open_now, label %announce, label %closed
closed:
  store atomic i64 0, ptr %team release, align 8
  br label %alone
announce:
  %job = getelementptr i8, ptr %team, i64 192
  %job_frame = getelementptr i8, ptr %team, i64 200
  store ptr %share, ptr %job, align 8
  store ptr %frame, ptr %job_frame, align 8
  %epoch = getelementptr i8, ptr %team, i64 128
  %before = load i64, ptr %epoch, align 8
  %now = add i64 %before, 1
  store atomic i64 %now, ptr %epoch release, align 8
  call void %share(ptr %frame, i64 0, i64 %members)
  br label %next
next:
  %k = phi i64 [ 1, %announce ], [ %k_next, %arrived ]
  %is_all = icmp sge i64 %k, %members
  br i1 %is_all, label %unlock, label %await
await:
  %line = add i64 %k, 4
  %byte = shl i64 %line, 6
  %done = getelementptr i8, ptr %team, i64 %byte
  call void @wait_while(ptr %done, i64 %before, ptr null)
  br label %arrived
arrived:
  %k_next = add i64 %k, 1
  br label %next
unlock:
  store atomic i64 0, ptr %team release, align 8
  ret void
alone:
  %a = phi i64 [ 0, %entry ], [ 0, %try ], [ 0, %closed ], [ %a_next, %alone ]
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
  %job = getelementptr i8, ptr %team, i64 192
  %job_frame = getelementptr i8, ptr %team, i64 200
  %line = add i64 %k, 4
  %byte = shl i64 %line, 6
  %done = getelementptr i8, ptr %team, i64 %byte
  br label %again
again:
  %seen = load i64, ptr %done, align 8
  call void @wait_while(ptr %epoch, i64 %seen, ptr %open)
  %now = load atomic i64, ptr %epoch acquire, align 8
  %is_job = icmp ne i64 %now, %seen
  br i1 %is_job, label %work, label %leave
work:
  %share = load ptr, ptr %job, align 8
  %frame = load ptr, ptr %job_frame, align 8
  call void %share(ptr %frame, i64 %k, i64 %members)
  store atomic i64 %now, ptr %done release, align 8
  br label %again
leave:
  ret void
}

define void @team_close(ptr %team) {
entry:
  br label %again
again:
  %taken = cmpxchg ptr %team, i64 0, i64 1 acquire monotonic
  %is_mine = extractvalue { i64, i1 } %taken, 1
  br i1 %is_mine, label %locked, label %wait
wait:
  %ignored = call i32 @sched_yield()
  br label %again
locked:
  %open = getelementptr i8, ptr %team, i64 64
  store atomic i64 0, ptr %open release, align 8
  store atomic i64 0, ptr %team release, align 8
  ret void
}

; until *%word differs from %old, or *%open (if not null) is 0
define internal void @wait_while(ptr %word, i64 %old, ptr %open) {
entry:
  %watches = icmp ne ptr %open, null
  br label %look
look:
  %spins = phi i32 [ 0, %entry ], [ %spun, %spin ], [ %spun, %yield ]
  %value = load atomic i64, ptr %word acquire, align 8
  %is_same = icmp eq i64 %value, %old
  br i1 %is_same, label %same, label %out
same:
  br i1 %watches, label %watch, label %rest
watch:
  %is_open = load atomic i64, ptr %open acquire, align 8
  %closed = icmp eq i64 %is_open, 0
  br i1 %closed, label %out, label %rest
rest:
  %more = add i32 %spins, 1
  %is_long = icmp ugt i32 %more, SPINS
  %spun = select i1 %is_long, i32 SPINS, i32 %more
  br i1 %is_long, label %yield, label %spin
spin:
  PAUSE
  br label %look
yield:
  %ignored = call i32 @sched_yield()
  br label %look
out:
  ret void
}
"""
SPINS = 2000  # looks before a waiting thread offers its core to others, some tens of us
PAUSES = {
    "x86_64": "call void @llvm.x86.sse2.pause()",
    "AMD64": "call void @llvm.x86.sse2.pause()",
    "aarch64": "call void @llvm.aarch64.hint(i32 1)",
    "arm64": "call void @llvm.aarch64.hint(i32 1)",
}


@functools.cache
def code() -> Any:
    """The machine code of leading and following."""
    from distdyn.ops import ffi

    pause = PAUSES.get(platform.machine(), "")
    text = _ASSEMBLY.replace("PAUSE", pause).replace("SPINS", str(SPINS))
    if pause:
        text += pause.replace("call", "declare").replace("i32 1", "i32")
    return ffi.compile_module(f'target triple = "{ffi.llvm.get_process_triple()}"\n{text}\n')


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
        self._memory[LINE] = 1  # open; nobody leads before this returns
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
        _function("team_close", ctypes.c_void_p)(self._address)
        while self._threads:
            self._threads[-1].join()
            self._threads.pop()
