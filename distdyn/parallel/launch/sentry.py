"""Sentry: the thread of a rank that looks at the lines of the others and judges them.

It ends the job

    at once            when the process of a rank is gone that did not take its leave
    after the limit    when a rank has no heartbeat: it was stopped, or its host swaps
    after the limit    when a rank waits for one that does not move; that one is named

Seconds are counted by the ticks of the one who looks, so that a whole job may sleep and wake up.
"""

import os
import select
import threading
import time
from collections.abc import Sequence
from contextlib import suppress

import numpy as np

from distdyn.parallel.launch.watch import (
    ENDING,
    HERE,
    LEAVING,
    STEPPING,
    WAITING,
    WORKING,
    Watch,
)

PERIOD = 0.5  # s, of heartbeats
PATIENCE = 10  # times the limit, for a rank that is seen to work, and for hosts that are not seen
ACTIVE = 10  # ms of CPU time or blocks of 64 KiB in a period: a thread that only beats uses 1


def post(watch: Watch) -> None:
    """Put a sentry on a watch whose ranks have all written their lines."""
    threading.Thread(target=_stand, args=(watch,), name="distdyn-watch", daemon=True).start()


def _stand(watch: Watch) -> None:
    """Beat, look, judge; until the job is over."""
    seen = Seen(watch)
    pids = {k: int(pid) for k, pid in enumerate(watch.lines["pid"]) if k != watch.own}
    doors = Doors(pids)
    before = time.monotonic()
    while not watch.is_over:
        watch.beat(_activity())
        gone = doors.gone(PERIOD)
        now = time.monotonic()
        seen.look(min(now - before, 2 * PERIOD), gone)
        before = now
        if not watch.is_over:
            seen.judge()


class Seen:
    """What the thread of one rank has seen of the others: for how long each has not moved."""

    def __init__(self, watch: Watch) -> None:
        n = len(watch.peers)
        self.watch = watch
        self.lines = watch.lines.copy()
        self.quiet = np.zeros(n)  # s without a heartbeat
        self.still = np.zeros(n)  # s in the same place
        self.idle = np.zeros(n)  # s without use of the processor or of files
        self.gone = np.full(n, -1.0)  # s since the process was found gone
        self.epochs: dict[int, tuple[int, ...]] = {}

    def look(self, seconds: float, gone: Sequence[int]) -> None:
        """Compare with what was there `seconds` ago."""
        lines, old = self.watch.lines.copy(), self.lines
        self.lines = lines
        self.quiet = np.where(lines["beat"] == old["beat"], self.quiet + seconds, 0.0)
        is_still = np.ones(len(lines), bool)
        for name in ("state", "count", "step", "leaving"):
            is_still &= lines[name] == old[name]
        for k in range(len(lines)):
            epochs = tuple(self.watch.epochs_of(k).tolist())
            is_still[k] &= self.epochs.get(k) == epochs
            self.epochs[k] = epochs
        self.still = np.where(is_still, self.still + seconds, 0.0)
        is_idle = lines["activity"] - old["activity"] < ACTIVE * seconds / PERIOD
        self.idle = np.where(is_idle, self.idle + seconds, 0.0)
        self.gone[self.gone >= 0] += seconds
        self.gone[[k for k in gone if self.gone[k] < 0]] = 0.0

    def judge(self) -> None:
        """End the job if somebody is lost."""
        leaving = self.lines["leaving"]
        if (leaving == ENDING).any():  # whoever does it has said why
            if self.still[leaving == ENDING].max() > 5.0:
                self._end(np.flatnonzero(leaving == ENDING), "does not manage to end the job")
            return
        is_lost = (self.gone >= 0) & (leaving == HERE)
        # When all ranks have taken their leave they may go one by one.
        is_lost |= (self.gone > 5.0) & (leaving == LEAVING)
        if is_lost.any():
            self._end(
                np.flatnonzero(is_lost),
                "disappeared without taking its leave (killed, out of memory, or os._exit)",
            )
        limit = self.watch.limit
        is_quiet = (self.quiet > limit) & (self.gone < 0)
        if is_quiet.any():
            self._end(
                np.flatnonzero(is_quiet),
                f"does not answer: no heartbeat for {limit:g} s (--watchdog)",
            )
        stuck = self._behind()
        if len(stuck):
            self._end(stuck, f"has not moved for {limit:g} s (--watchdog) while others wait for it")
        own = self.watch.own
        unseen = limit if self.lines["step"][own] >= 0 else PATIENCE * limit
        if self.lines["state"][own] == WAITING and self.still[own] > unseen:
            if self._all_wait():
                self._end(
                    np.array([own]),
                    f"has waited for {unseen:g} s (--watchdog); all ranks of its host have come, "
                    "so a rank of another host is missing, or the network",
                )

    def _behind(self) -> np.ndarray:
        """The ranks that somebody has waited for, for too long."""
        lines, limit = self.lines, self.watch.limit
        is_slow = self.still > limit
        is_slow &= (
            (lines["state"] != WORKING) | (self.idle > limit) | (self.still > PATIENCE * limit)
        )
        is_late = np.zeros(len(lines), bool)
        is_stuck = (lines["state"] == WAITING) & (self.still > limit)
        if is_stuck.any():
            last = lines["count"][is_stuck].max()
            is_late |= (lines["state"] != WAITING) | (lines["count"] < last)
            is_late |= is_stuck & (lines["what"] != lines["what"][is_stuck][0])
        # Parts of other (fake) nodes have no epochs here: they do not step together with these.
        least = {k: min(epochs) for k, epochs in self.epochs.items() if epochs}
        if any(lines["state"][k] == STEPPING for k in least):
            first = max(least.values())
            behind = min(least.values())
            is_late[[k for k, epoch in least.items() if epoch == behind < first]] = True
        return np.flatnonzero(is_late & is_slow & (lines["leaving"] == HERE))

    def _all_wait(self) -> bool:
        lines = self.lines
        return bool(
            (lines["state"] == WAITING).all() and (lines["count"] == lines["count"][0]).all()
        )

    def _end(self, who: np.ndarray, what: str) -> None:
        watch = self.watch
        named = ", ".join(f"{watch.name(k)} {what}, last seen {self.doing(k)}" for k in who[:3])
        named += f", and {len(who) - 3} more" if len(who) > 3 else ""
        is_able = (self.quiet < 2 * PERIOD + 1.0) & (self.gone < 0)
        turn = int(is_able[: watch.own].sum())
        waiting = [k for k in range(len(watch.peers)) if self.lines["state"][k] == WAITING]
        for k in [k for k in waiting if k not in who][:1]:
            named += f"; {watch.name(k)} is {self.doing(k)}"
        watch.end(f"{named}.", turn=turn)

    def doing(self, k: int) -> str:
        """`at step 1200, waiting in its collective 17 (allgather)`."""
        line, epochs = self.lines[k], self.epochs.get(k)
        text = f"at step {line['step']}, " if line["step"] >= 0 else ""
        if line["state"] == WAITING:
            text += f"waiting in its collective {line['count']} ({line['what'].decode()})"
        elif line["state"] == STEPPING:
            text += "in a chunk"
        else:
            text += f"at work after its collective {line['count']}"
        return text + (f", epoch {min(epochs)}" if epochs else "")


class Doors:
    """Tells when one of some processes has ended, the moment it does where the system can."""

    def __init__(self, pids: dict[int, int]) -> None:
        # A process that cannot be seen (other pid namespace) is not looked for: it has a heartbeat.
        self.pids = {k: pid for k, pid in pids.items() if _is_alive(pid)}
        self.poll = select.poll()
        self.ranks: dict[int, int] = {}
        if hasattr(os, "pidfd_open"):
            for k, pid in self.pids.items():
                with suppress(OSError):
                    descriptor = os.pidfd_open(pid)
                    self.poll.register(descriptor, select.POLLIN)
                    self.ranks[descriptor] = k

    def gone(self, seconds: float) -> list[int]:
        """Who is found to have ended within the next seconds; each is told once."""
        found = []
        for descriptor, _ in self.poll.poll(seconds * 1000):
            self.poll.unregister(descriptor)
            found.append(self.ranks[descriptor])
        watched = set(self.ranks.values())
        found += [k for k, pid in self.pids.items() if k not in watched and not _is_alive(pid)]
        for k in found:
            self.pids.pop(k, None)
        return found


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[:1] != [b"Z"]
    except ProcessLookupError:
        return False
    except (PermissionError, FileNotFoundError):  # of another user; no /proc here
        return True


def _activity() -> int:
    """CPU time of this process, ms, plus what it read and wrote, in blocks of 64 KiB."""
    moved = 0
    with suppress(OSError), open("/proc/self/io", "rb") as file:
        moved = sum(int(line.split()[1]) for line in file.readlines()[:2])
    return int(time.process_time() * 1000) + moved // 65536
