"""Signals that wait until what they interrupt is whole, so that it can go on.

with Deferred() as interrupt: ...        # Ctrl-C, between two chunks and not inside one
with Notice() as notice: ...             # SIGUSR1: the time limit of the job is near
"""

import signal
import threading
from types import FrameType
from typing import Any

from distdyn.errors import Stopped


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
    """Takes note of SIGUSR1, of which a process would die.

    One that came to a notice around this one has come to this one too: it came early, while
    something was built. In other threads than the main one nothing is done.

    Attributes:
        is_given: whether there was one.
    """

    def __enter__(self) -> "Notice":
        self.is_given = False
        self.before: Any = None
        if threading.current_thread() is threading.main_thread():
            self.before = signal.signal(signal.SIGUSR1, self._note)
            around = getattr(self.before, "__self__", None)
            self.is_given = isinstance(around, Notice) and around.is_given
        return self

    def __exit__(self, kind: Any, *_: object) -> None:
        if self.before is not None:
            # A second one must not kill a process that is about to ask for another start.
            signal.signal(signal.SIGUSR1, signal.SIG_IGN if kind is Stopped else self.before)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.is_given = True
