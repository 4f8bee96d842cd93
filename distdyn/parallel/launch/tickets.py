"""Tickets: who of all ranks does which piece of work, as each of them gets done.

    tickets = Tickets(us)                    # collective
    while (k := tickets.take(4)) < n:        # pieces k, ..., k + 3 are ours alone
        ...
    tickets.finish()                         # all ranks are through

A counter in the memory of rank 0, to which every rank adds. Ranks of other nodes may get theirs
only when rank 0 asks for the next of its own: MPI libraries without progress in the background move
nothing while it computes.
"""

import time
from typing import Any

import numpy as np

from distdyn.parallel.launch.ranks import World

PAUSE = 0.02  # s between two looks whether the others are through
CLOSED = 1 << 40  # a ticket beyond all pieces


class Tickets:
    """A counter that the ranks of a job share. Collective, as is `finish`."""

    def __init__(self, us: World) -> None:
        self._us, self._own = us, 0
        self._window: Any = None
        if us.size > 1:
            from mpi4py import MPI

            with us.watch.waiting("tickets"):
                self._window = MPI.Win.Allocate(16 if us.rank == 0 else 0, 8, comm=us.comm)
            if us.rank == 0:
                np.frombuffer(self._window.tomemory(), np.int64)[:] = 0
            us.barrier()
            self._window.Lock_all()

    def take(self, pieces: int = 1) -> int:
        """The number of the first of so many pieces that nobody else gets."""
        return self._add(0, pieces)

    def close(self) -> None:
        """Let nobody get any more."""
        self._add(0, CLOSED)

    def finish(self) -> None:
        """Wait until all ranks come here; they may take as long as they like."""
        if self._window is None:
            return
        self._add(1, 1)
        while self._add(1, 0) < self._us.size:
            self._us.watch.progress(None)
            time.sleep(PAUSE)
        self._window.Unlock_all()
        with self._us.watch.waiting("tickets"):
            self._window.Free()
        self._window = None

    def _add(self, place: int, number: int) -> int:
        """What the counter was before."""
        if self._window is None:
            self._own, before = self._own + number, self._own
            return before
        from mpi4py import MPI

        found = np.zeros(1, np.int64)
        self._window.Fetch_and_op(np.array([number], np.int64), found, 0, place, MPI.SUM)
        self._window.Flush(0)
        return int(found[0])
