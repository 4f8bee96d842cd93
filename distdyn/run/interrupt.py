"""Ctrl-C between two chunks and not inside one, so that a runner that was stopped can go on."""

import signal
import threading
from types import FrameType
from typing import Any


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
