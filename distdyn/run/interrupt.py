"""Signals that wait until what they interrupt is whole, so that it can go on.

with Deferred() as interrupt: ...        # Ctrl-C, between two chunks and not inside one
with Notice() as notice: ...             # SIGUSR1: the time limit of the job is near
outlive_usr1(world)                      # where there is nothing to go on from
"""

import signal
import sys
import threading
from types import FrameType
from typing import Any

from distdyn.errors import Stopped
from distdyn.parallel.launch import World


class Interrupted(KeyboardInterrupt):
    """Ctrl-C on some rank, after which all ranks stopped at the same step."""


class Deferred:
    """Holds back an interrupt (SIGINT) until the block ends; a second one comes through at once.

    A chunk gives its arrays away when it begins, so an interrupt in its middle would leave a runner
    without a state, and one rank that stops alone would leave the others waiting. In other threads
    than the main one Python delivers no signals: nothing is done.

    Attributes:
        is_pending: whether there was one. Whoever acts on it sets it back; else it is delivered
            when the block ends.
    """

    def __enter__(self) -> "Deferred":
        self.is_pending = False
        self.before: Any = None
        if threading.current_thread() is threading.main_thread():
            self.before = signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(self, kind: Any, *_: object) -> None:
        if self.before is not None:
            signal.signal(signal.SIGINT, self.before)
        if self.is_pending and kind is None:
            raise KeyboardInterrupt

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.is_pending and callable(self.before):
            self.before(number, frame)
        self.is_pending = True


class Notice:
    """Takes note of signals of which a process would die: of SIGUSR1, if nothing else is said.

    One that came to a notice around this one has come to this one too: it came early, while
    something was built. In other threads than the main one nothing is done.

    Args:
        numbers: of the signals.

    Attributes:
        given: the number of the last one; 0: there was none.
    """

    def __init__(self, *numbers: int) -> None:
        self.numbers = numbers or (signal.SIGUSR1,)
        self.given = 0

    @property
    def is_given(self) -> bool:
        """Whether there was one."""
        return self.given != 0

    def __enter__(self) -> "Notice":
        self.given = 0
        self.before: dict[int, Any] = {}
        if threading.current_thread() is threading.main_thread():
            for number in self.numbers:
                self.before[number] = signal.signal(number, self._note)
                around = getattr(self.before[number], "__self__", None)
                if isinstance(around, Notice) and around.given in self.numbers:
                    self.given = around.given
        return self

    def __exit__(self, kind: Any, *_: object) -> None:
        for number, before in self.before.items():
            # A second one must not kill a process that is about to ask for another start.
            signal.signal(number, signal.SIG_IGN if kind is Stopped else before)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.given = number


def outlive_usr1(world: World) -> None:
    """Go on when a job script tells that its time limit is near; a process would die of that."""

    def note(*_: object) -> None:
        if world.rank == 0:
            print("distdyn: SIGUSR1: the run goes on, without a checkpoint", file=sys.stderr)

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGUSR1, note)
