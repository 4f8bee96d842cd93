"""Watch: what each rank of a host shows the others, so that none waits for one that is lost.

Every rank has a line in memory shared by the ranks of its host: who it is, its heartbeat, what it
does. It writes its own; the `sentry` of every rank looks at those of the others and ends the job
when one is lost; `leave` is how a rank ends by itself.

    us.watch.limit = 120.          # s without progress after which the job is ended (--watchdog)
    with us.watch.waiting("exchange"): ...       # a collective that does not go through World
    with us.watch.stepping(): ...                # a chunk
    us.watch.progress(step)
"""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np

from distdyn.errors import ParameterError
from distdyn.units import shown

LIMIT = 60.0  # s without a sign of life or of progress
LEAST = 1.0  # s: the shortest limit; hearts beat twice a second
TURN = 0.3  # s between two ranks that have the same to say, so that only one does

WORKING, WAITING, STEPPING = range(3)  # in Python; in a collective; in a chunk
HERE, LEAVING, ENDING = range(3)
NUMBERS = ("pid", "beat", "activity", "state", "count", "step", "leaving", "code", "key")
LINE = np.dtype(
    {
        "names": [*NUMBERS, "what"],
        "formats": [np.int64] * len(NUMBERS) + ["S56"],
        "itemsize": 128,
    }
)  # two cache lines, which a rank does not share with others


class Watch:
    """The lines of the ranks of a host, and this rank's hand on its own.

    Args:
        rank: ours.
        abort: ends all ranks with a code; None if there is only one: then nothing is watched.
        memory: `nbytes(len(peers))` zeroed bytes, shared by the ranks of the host.
        peers: the ranks of this host, in order.
        hostname: of this host, for messages.
    """

    def __init__(
        self,
        rank: int,
        abort: Callable[[int], Any] | None,
        memory: np.ndarray,
        peers: Sequence[int],
        hostname: str,
    ) -> None:
        self.peers, self.hostname, self._abort = list(peers), hostname, abort
        self.lines = memory.view(LINE)
        self.own = self.peers.index(rank)
        line = self.lines[self.own : self.own + 1]
        self._state, self._count, self._step, self._what = (
            line[name] for name in ("state", "count", "step", "what")
        )
        line["pid"], line["step"] = os.getpid(), -1
        self._limit = LIMIT
        self._epochs, self._owners = np.empty(0, np.int64), np.empty(0, np.int64)
        self.is_over = abort is None

    @staticmethod
    def nbytes(ranks: int) -> int:
        """How much shared memory the ranks of a host need."""
        return LINE.itemsize * ranks

    @property
    def limit(self) -> float:
        """Seconds without progress after which the job is ended (`--watchdog`)."""
        return self._limit

    @limit.setter
    def limit(self, seconds: float) -> None:
        if not seconds >= LEAST:
            raise ParameterError(
                f"watchdog = {shown(seconds)} s is not possible. Use at least {LEAST:g} s."
            )
        self._limit = float(seconds)

    # --- what this rank does ---------------------------------------------------------------------

    @contextmanager
    def waiting(self, what: str) -> Iterator[None]:
        """Marks a collective; all ranks mark the same ones in the same order."""
        before = self._state[0]
        self._what[0] = what.encode()
        self._count[0] += 1
        self._state[0] = WAITING
        try:
            yield
        finally:
            self._state[0] = before

    @contextmanager
    def stepping(self) -> Iterator[None]:
        """Marks a chunk, in which the epochs of the parts move."""
        self._state[0] = STEPPING
        try:
            yield
        finally:
            self._state[0] = WORKING

    def progress(self, step: int | None) -> None:
        """This rank has come to a step; None: what it does now is not stepping (build, files)."""
        self._step[0] = -1 if step is None else step

    def watch_epochs(self, epochs: np.ndarray, owner_rank_of_part: Sequence[int]) -> None:
        """Look at a counter of each part, in memory shared by the host, that its owner raises.

        Args:
            epochs: int64, one per part; a view, looked at as long as the job runs.
            owner_rank_of_part: the rank of the job that owns it.
        """
        owners = np.asarray(owner_rank_of_part, np.int64)
        if owners.shape != epochs.shape:
            raise ParameterError(f"{len(epochs)} epochs have {len(owners)} owners.")
        self._epochs, self._owners = np.empty(0, np.int64), owners  # never one of each kind
        self._epochs = epochs

    def beat(self, activity: int) -> None:
        """A heartbeat, with a number that grows while this process works."""
        self.lines["activity"][self.own] = activity
        self.lines["beat"][self.own] += 1

    # --- looking ---------------------------------------------------------------------------------

    def waits_for_me(self, k: int, line: np.void) -> bool:
        """Whether the peer with this line cannot go on before this rank does something more."""
        if line["state"] == WAITING:
            return bool(line["count"] > self._count[0])
        mine, its = self.epochs_of(self.own), self.epochs_of(k)
        return bool(line["state"] == STEPPING and mine.size and its.size and mine.min() < its.max())

    def epochs_of(self, k: int) -> np.ndarray:
        """The epochs of a peer's parts; empty if none are known."""
        epochs, owners = self._epochs, self._owners
        return epochs[owners == self.peers[k]] if epochs.shape == owners.shape else epochs[:0]

    def name(self, k: int) -> str:
        """`rank 2 (host, pid 4711)`."""
        return f"rank {self.peers[k]} ({self.hostname}, pid {self.lines['pid'][k]})"

    def end(self, reason: str, code: int = 1, *, turn: int = 0) -> None:
        """End all ranks of the job; nobody returns.

        Args:
            reason: printed, unless a rank whose turn comes first has said it.
            code: the exit code; 0 becomes 1.
            turn: how many ranks may say the same before this one.
        """
        time.sleep(TURN * turn)
        if not (self.lines["leaving"] == ENDING).any():
            self.lines["leaving"][self.own] = ENDING
            say(f"distdyn: {reason} The job ends.\n" if reason else "")
        # Should Abort hang, the kernel ends this process, and the launcher the others.
        signal.setitimer(signal.ITIMER_REAL, 5.0)
        if self._abort is not None:
            self._abort(int(code) or 1)
            while True:  # MPICH may come back from it before the launcher's signal comes
                time.sleep(1.0)


def say(text: str) -> None:
    """To the standard error as one piece, and time for the launcher to carry it on."""
    with suppress(Exception):
        sys.stdout.flush()
        sys.stderr.flush()
    if text:
        with suppress(OSError):
            os.write(2, text.encode(errors="replace"))
        time.sleep(0.1)
