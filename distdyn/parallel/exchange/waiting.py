"""Waiting for other ranks: a short spin, then the core is given away; never longer than allowed."""

import functools
import os
import time
from collections.abc import Callable, Sequence

OnWait = Callable[[float], None]

# Waiting, in seconds. Spinning keeps short waits short; whoever waits longer leaves the core to the
# ranks and threads that it may be waiting for.
SPIN, YIELD, NAP, TELL = 50e-6, 10e-3, 50e-6, 50e-3
LONGEST = 1.0  # a process that was stopped (Ctrl-Z, a suspended job) was not waiting meanwhile
give_way = getattr(os, "sched_yield", functools.partial(time.sleep, 0))


def wait(requests: list, timeout: float, on_wait: OnWait | None = None) -> list[int]:
    """Wait until all MPI requests are complete.

    Args:
        requests: of mpi4py; complete ones are null afterwards.
        timeout: how long to wait at most (s).
        on_wait: called about every 50 ms with the seconds waited; what it raises ends the waiting.

    Returns:
        The indices of those that were not complete in time: none if all went well.
    """
    if not requests:
        return []
    all_done = type(requests[0]).Testall
    waited, told, last = 0.0, 0.0, time.perf_counter()
    while not all_done(requests):
        now = time.perf_counter()
        waited += min(now - last, LONGEST)
        last = now
        if waited < SPIN:
            continue
        if waited >= timeout:
            return [i for i, request in enumerate(requests) if not request.Test()]
        if on_wait is not None and waited >= told + TELL:
            told = waited
            on_wait(waited)
        if waited < YIELD:
            give_way()
        else:
            time.sleep(NAP)
    return []


def ranks_text(ranks: Sequence[int]) -> str:
    """`rank 3`, `ranks 1, 2`."""
    return f"rank{'s' * (len(ranks) > 1)} {', '.join(map(str, ranks))}"
