"""What the ranks of a job recorded, brought together: counts, one hash, the whole on rank 0.

Every function here is collective. Spikes travel in blocks of bounded size, each rank's part of the
same steps at a time, so that rank 0 never holds more than it was asked for.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from distdyn.ops.listing import merge
from distdyn.run.rows import HeldRows, Rows, columns_of
from distdyn.run.spike_hash import SpikeHash, with_gid
from distdyn.run.stream import TOTAL, together

if TYPE_CHECKING:
    from distdyn.parallel.launch import World

_BYTES = 1 << 26  # of samples that travel at once


def total_counts(world: "World", rows: Mapping[str, Rows]) -> dict[str, int]:
    """How many rows all ranks hold together, by path.

    Collective.
    """
    counts = world.sum(np.array([each.count for each in rows.values()], np.int64))
    return dict(zip(rows, map(int, counts), strict=True))


def hash_spikes(
    world: "World", sources: Sequence[Rows], offsets: Sequence[int], sha: SpikeHash
) -> str:
    """Add the spikes of all ranks to the hash on rank 0; its value, on every rank.

    Collective.

    Args:
        world: the ranks.
        sources: this rank's spikes of each population, in the same order on all ranks.
        offsets: the gid of the first neuron of each of these populations.
        sha: what was added before; only that of rank 0 matters.
    """
    for parts in together(sources, _block(world, len(sources)), least=world.min):
        found = world.gather(with_gid(parts, offsets))
        if found is not None:
            sha.update(*merge(found))
    return world.bcast(sha.hexdigest())


def gather_spikes(world: "World", rows: Rows) -> HeldRows | None:
    """The spikes of one population of all ranks, on rank 0; None elsewhere.

    Collective.
    """
    blocks = [(np.zeros(0, np.int64), np.zeros(0, np.int64))]
    for (own,) in together([rows], _block(world, 1), least=world.min):
        found = world.gather(own)
        if found is not None:
            blocks.append(merge(found))
    if world.rank:
        return None
    return HeldRows(*(np.concatenate(column) for column in zip(*blocks, strict=True)))


def gather_trace(
    world: "World", rows: Rows, own: np.ndarray, wanted: np.ndarray, dtype: str
) -> HeldRows | None:
    """The samples of one variable of all ranks, on rank 0; None elsewhere.

    Collective.

    Args:
        world: the ranks.
        rows: this rank's samples.
        own: the ids of their columns.
        wanted: the ids of all columns, in their order; the same on all ranks.
        dtype: the type of the values.
    """
    ids = world.gather(own)
    columns = None if ids is None else columns_of(wanted, np.concatenate(ids))
    block = max(1, _BYTES // max(1, len(wanted) * np.dtype(dtype).itemsize))
    steps, values = [np.zeros(0, np.int64)], [np.zeros((0, len(wanted)), dtype)]
    for first in range(0, rows.count, block):
        step, value = rows.read(first, min(first + block, rows.count))
        found = world.gather(value)
        if found is not None:
            steps.append(step)
            values.append(np.concatenate(found, axis=1)[:, columns])
    return None if world.rank else HeldRows(np.concatenate(steps), np.concatenate(values))


def _block(world: "World", n_sources: int) -> int:
    """Rows of a source that a rank holds: what arrives on rank 0 at once stays bounded."""
    return max(256, TOTAL // max(1, world.size * n_sources))
