"""The steps of a chunk on the road of GPUs: which spikes go through which tables, in one call.

Every function takes the `Plan` and `Data` of a chunk. `distdyn.parallel.chunk` says in which order
they come, `distdyn.ops.gpu` what they do.
"""

from collections.abc import Mapping
from typing import Any

from distdyn.ops import gpu


def with_segments(plan: Any, data: Any) -> tuple[Any, ...]:
    """The groups' data with the segment of each cell, which is the same at all steps."""
    return tuple(
        given._replace(segment=gpu.segments(given.bounds, group.cells))
        for group, given in zip(plan.groups, data.groups, strict=True)
    )


def deliver_own(plan: Any, data: Any, rings: list, spikes: list, stamp: Any) -> list:
    """Deliver the spikes of the device's own cells of this step."""
    sources = {
        group: gpu.one_entry(cells, data.part[0], cursor, count, stamp)
        for group, (cells, cursor, count) in enumerate(spikes)
    }
    return deliver(plan, data, rings, sources)


def deliver_inbox(plan: Any, data: Any, rings: list) -> list:
    """Deliver what has come from other nodes."""
    sources = {
        group: gpu.Entries(of.cells, of.part, of.begin, of.count, of.stamp)
        for group, of in enumerate(data.inbox)
    }
    return deliver(plan, data, rings, sources, is_bounded=False)


def deliver(
    plan: Any,
    data: Any,
    rings: list,
    sources: Mapping[int, gpu.Entries],
    *,
    is_bounded: bool = True,
) -> list:
    """Deliver spikes through all tables that begin at their groups.

    Args:
        plan: of the chunk.
        data: of the chunk.
        rings: by group and receptor.
        sources: by group, its spikes.
        is_bounded: whether no entry has more spikes than a group of ours has cells.
    """
    at = [(group, ring) for group, of in enumerate(rings) for ring in range(len(of))]
    jobs = []
    for table, rows in zip(plan.tables, data.tables, strict=True):
        if table.source in sources:
            group = plan.groups[table.source]
            # A schedule may list a cell twice.
            most = group.cells if is_bounded and group.program is not None else None
            ring = at.index((table.group, table.ring))
            jobs.append(gpu.Job(ring, rows, sources[table.source], most))
    flat = gpu.deliver(plan.road, [rings[group][ring] for group, ring in at], jobs)
    new: list[list[Any]] = [[] for _ in rings]
    for (group, _), ring in zip(at, flat, strict=True):
        new[group].append(ring)
    return new
