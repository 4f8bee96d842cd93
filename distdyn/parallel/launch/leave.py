"""Leave: how a rank ends by itself without leaving the others behind.

A rank that ends (exception, `sys.exit`, a thread that failed, the end of the script) says so. If
all ranks do, within a grace period, the job ends in order: one of those with the same failure
prints it, every rank keeps its exit code. If others go on, a failure ends them all; an end without
failure waits for them, and ends them only if they wait for this rank. One that is killed by its own
machine code (a kernel of a user, a library) cannot say so; what its threads did is printed.
"""

import atexit
import faulthandler
import os
import sys
import threading
import time
import traceback
import zlib
from types import TracebackType
from typing import Any, NoReturn

import numpy as np

from distdyn.errors import ExitCode
from distdyn.parallel.launch.watch import HERE, LEAVING, TURN, Watch, say

GRACE = 1.5  # s in which the others may come to the same end
MOST = 3  # different failures of one job that are printed


class Leave:
    """The way out of a rank.

    Args:
        watch: of this rank.
        comm: of all ranks, used for nothing else; None if there is only one.
    """

    def __init__(self, watch: Watch, comm: Any) -> None:
        self.watch, self.comm = watch, comm
        self.pid = os.getpid()  # what is forked from us shares the hooks and is no rank
        self._lock = threading.RLock()
        self._code = 0

    def __call__(self, code: int, text: str = "", *, key: str = "", is_echo: bool = False) -> int:
        """Take leave: comes back, with the code, when all ranks have. Collective.

        Args:
            code: the exit code that this process is about to have.
            text: why, if it is a failure. With one rank it is printed as it is.
            key: what makes two failures the same; by default the text.
            is_echo: another rank has more to tell about it.
        """
        if self.comm is None:
            say(text)
            return code
        with self._lock:
            if self.watch.is_over or os.getpid() != self.pid:
                return code
            key_number = zlib.crc32((key or text).encode())
            line = self.watch.lines[self.watch.own]
            line["code"], line["key"], line["leaving"] = code, key_number, LEAVING
            mine = np.array([code, key_number, bool(text), is_echo], np.int64)
            table = np.zeros((self.comm.size, 4), np.int64)
            request = self.comm.Iallgather(mine, table)
            self._await(request, code, key_number, text)
            self.watch.is_over = True
            if text and self.comm.rank in _speakers(table):
                say(self._signed(text))
        return code

    def _await(self, request: Any, code: int, key: int, text: str) -> None:
        """Until all have come; ends the job if they do not and must."""
        began, pause = time.monotonic(), 1e-4
        since: dict[tuple[int, int], float] = {}  # (peer, its collective) -> waits for us since
        while not request.Test():
            now = time.monotonic() - began
            lines = self.watch.lines.copy()
            for k in np.flatnonzero(lines["leaving"] == HERE).tolist():
                if k == self.watch.own or not self.watch.waits_for_me(k, lines[k]):
                    continue
                if now - since.setdefault((k, int(lines["count"][k])), now) < TURN:
                    continue
                if code:
                    self._fail(code, key, text)
                self.watch.end(
                    f"{self.watch.name(self.watch.own)} came to the end of its program, but "
                    f"{self.watch.name(k)} waits for it in its collective {lines['count'][k]} "
                    f"({lines['what'][k].decode() or 'a chunk'}). All ranks must make the same "
                    "calls: look for what only some of them do."
                )
            if code and now > GRACE:
                self._fail(code, key, text)
            time.sleep(pause)
            pause = min(2 * pause, 0.02)

    def _fail(self, code: int, key: int, text: str) -> None:
        """End the job; of ranks of this host with the same failure the first one speaks."""
        watch = self.watch
        before = watch.lines[: watch.own]
        turn = int(((before["leaving"] != HERE) & (before["key"] == key)).sum())
        if text and not turn:
            say(self._signed(text))
        reason = "" if text else f"{watch.name(watch.own)} ended with exit code {code}."
        watch.end(reason, code, turn=turn)

    def _signed(self, text: str) -> str:
        name = self.watch.name(self.watch.own)
        return f"distdyn: {name}, of {self.comm.size} ranks:\n{text.rstrip()}\n"

    # --- hooks -----------------------------------------------------------------------------------

    def install(self) -> None:
        """From now on every end of this process takes its leave."""
        before, before_of_threads, exit = sys.excepthook, threading.excepthook, sys.exit

        def fail(
            kind: type[BaseException], error: BaseException, trace: TracebackType | None
        ) -> None:
            if os.getpid() != self.pid or self.watch.is_over:
                before(kind, error, trace)
            elif issubclass(kind, KeyboardInterrupt):
                self(ExitCode.INTERRUPTED, "interrupted")
            else:
                text = "".join(traceback.format_exception(kind, error, trace))
                self(ExitCode.FAILED, text, key=str(error), is_echo=is_echo(error))

        def fail_in_thread(what: threading.ExceptHookArgs) -> None:
            if os.getpid() != self.pid or self.watch.is_over or what.exc_type is SystemExit:
                before_of_threads(what)
                return
            where = what.thread.name if what.thread else "a thread"
            trace = traceback.format_exception(what.exc_type, what.exc_value, what.exc_traceback)
            text = f"in thread {where}:\n" + "".join(trace)
            self(ExitCode.FAILED, text, key=str(what.exc_value))
            self.watch.end("", ExitCode.FAILED)  # the main thread would go on without it

        def noted_exit(status: Any = None, /) -> NoReturn:
            # `atexit` is not told the code, and a SystemExit does not come to `excepthook`.
            self._code = _code_of(status)
            exit(status)

        sys.excepthook, threading.excepthook, sys.exit = fail, fail_in_thread, noted_exit
        if not faulthandler.is_enabled():
            faulthandler.enable(2)  # where `say` writes, whatever sys.stderr is
        atexit.register(lambda: self(self._code))


def mark_echo(error: BaseException, rank: int) -> BaseException:
    """An error that repeats one of another rank."""
    error.add_note(f"(first raised by rank {rank})")
    return error


def is_echo(error: BaseException) -> bool:
    """Whether `mark_echo` marked it."""
    return any("(first raised by rank" in note for note in getattr(error, "__notes__", ()))


def _code_of(status: Any) -> int:
    """As Python makes an exit code of what `sys.exit` was given."""
    return status if isinstance(status, int) else 0 if status is None else 1


def _speakers(table: np.ndarray) -> list[int]:
    """Who prints: for each failure the lowest rank that has it, first those who had it first."""
    found: dict[int, int] = {}
    for rank in sorted(range(len(table)), key=lambda rank: (table[rank, 3], rank)):
        if table[rank, 2]:
            found.setdefault(int(table[rank, 1]), rank)
    return list(found.values())[:MOST]
