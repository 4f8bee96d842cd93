"""Memory: how much there is for each rank, and amounts of it as text."""

import math
import os
from pathlib import Path

import numpy as np

from distdyn.errors import ParameterError
from partition import Topology

_CGROUPS = (
    "/sys/fs/cgroup/memory.max",
    "/sys/fs/cgroup/memory/memory.limit_in_bytes",
)


def memory_of_this_machine() -> float:
    """Bytes that the processes of this machine may use together: all, or those of our cgroup."""
    try:
        found = float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, ValueError, OSError):
        return math.inf
    for name in _CGROUPS:
        try:
            limit = Path(name).read_text().strip()
        except OSError:
            continue
        if limit.isdigit():
            found = min(found, float(limit))
    return found


def memory_per_rank(topology: Topology) -> float:
    """Bytes for each rank if every node is like this machine."""
    return memory_of_this_machine() / max(np.bincount(topology.node_of))


def bytes_of(text: str) -> float:
    """The bytes that a text such as "64G", "512M" or "1.5T" means: powers of 1024.

    Raises:
        ParameterError: it is not a number above 0 with one of these letters, or with none.
    """
    number, unit = text.strip().upper().removesuffix("B").removesuffix("I"), 1.0
    if number[-1:] in "KMGTP" and number:
        number, unit = number[:-1], 1024.0 ** ("KMGTP".index(number[-1]) + 1)
    try:
        found = float(number) * unit
    except ValueError:
        found = math.nan
    if not (math.isfinite(found) and found > 0):
        raise ParameterError(f'memory "{text}" is not a size. Use a number such as 64G or 512M.')
    return found


def shown_bytes(n: float) -> str:
    """Bytes as people write them: 1.25 GB."""
    if not math.isfinite(n):
        return "unlimited memory"
    for unit, size in (("PB", 1e15), ("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if n >= size:
            return f"{n / size:.3g} {unit}"
    return f"{n:.0f} bytes"
