"""Cores: which ones the ranks of a host may use, and whether they are in each other's way.

A rank that waits for a core makes all the others wait; one core for a rank with several devices
makes them wait for each other. Launchers bind ranks or not as they like, so we look and say so.
"""

import os
from collections.abc import Sequence
from typing import NamedTuple

from distdyn.parallel.launch import World, ranks_text

BIND = (
    "mpirun -bind-to core:K (MPICH), mpirun --map-by slot:PE=K (Open MPI) or "
    "srun --cpus-per-task=K --cpu-bind=cores"
)


class Cores(NamedTuple):
    """How the cores of a job are dealt."""

    per_rank: int  # cores that the poorest rank has for itself
    text: str  # for the banner: "2 cores per rank, disjoint"
    warnings: tuple[str, ...]  # lines for the banner, if something is slow and need not be


def look(us: World) -> Cores:
    """See how the cores are dealt. Collective."""
    found = us.allgather((us.host, us.hostname, sorted(mask()), os.cpu_count() or 1))
    hosts: dict[int, list[tuple[int, set[int], int]]] = {}
    names = {host: name for host, name, *_ in found}
    for rank, (host, _, cores, present) in enumerate(found):
        hosts.setdefault(host, []).append((rank, set(cores), present))
    judged = [judge(names[host], ranks) for host, ranks in hosts.items()]
    poorest = min(judged, key=lambda cores: cores.per_rank)
    warnings = [line for cores in judged for line in cores.warnings]
    return Cores(poorest.per_rank, poorest.text, tuple(warnings[:3]))


def are_enough(us: World, threads: int) -> bool:
    """Whether every host has a core for so many threads of each of its ranks. Collective."""
    hosts: dict[int, list[set[int]]] = {}
    for host, cores in us.allgather((us.host, mask())):
        hosts.setdefault(host, []).append(cores)
    return all(len(set().union(*each)) >= threads * len(each) for each in hosts.values())


def mask() -> set[int]:
    """The cores that the operating system lets this process use."""
    if hasattr(os, "sched_getaffinity"):
        return os.sched_getaffinity(0)
    return set(range(os.cpu_count() or 1))


def judge(host: str, ranks: Sequence[tuple[int, set[int], int]]) -> Cores:
    """How one host deals its cores.

    Args:
        host: its name.
        ranks: of each: rank, the cores that it may use, the cores that the host has.
    """
    masks = [cores for _, cores, _ in ranks]
    union, present = set().union(*masks), max(number for *_, number in ranks)
    n = len(ranks)
    if n == 1:
        return Cores(len(union), f"{len(union)} cores", ())
    who = f"{ranks_text([rank for rank, *_ in ranks])} of {host}"
    if sum(map(len, masks)) > len(union):
        share = max(1, len(union) // n)
        if n > len(union):
            text = f"{n} ranks on {len(union)} cores"
            return Cores(1, text, (f"{who} take turns on {len(union)} cores: use fewer ranks.",))
        return Cores(
            share,
            f"{len(union)} cores for {n} ranks, not bound",
            (
                f"{who} share cores {numbers_text(union)}, so a rank may wait for a core while "
                f"others wait for it. Bind each to its own, K = {share}: {BIND}.",
            ),
        )
    least = min(map(len, masks))
    text = f"{least} core{'s' * (least > 1)} per rank, disjoint"
    idle = present - len(union)
    if least == 1 and idle >= n:
        return Cores(
            1,
            text,
            (
                f"{who} have one core each, {idle} of the host's {present} cores have no rank. "
                f"Give them more, K = {present // n}: {BIND}.",
            ),
        )
    return Cores(least, text, ())


def numbers_text(numbers: set[int]) -> str:
    """`0-3, 8`."""
    return ranks_text(sorted(numbers)).split(" ", 1)[1]
