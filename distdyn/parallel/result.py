"""What a chunk has done, from what the devices hold afterwards."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from distdyn.ops.listing import Spikes, by_population, merge
from distdyn.parallel.groups import Cells

Emission = tuple[np.ndarray, np.ndarray]  # cells that spiked, and how many at each step


class Sample(NamedTuple):
    """A state variable to sample: of which neurons, every so many steps."""

    path: str
    name: str
    ids: np.ndarray
    every: int


class Found(NamedTuple):
    """A sample's leaf, and its neurons on each device."""

    group: int
    leaf: int
    every: int
    width: int  # the most neurons of it that a device has
    cells: tuple[np.ndarray, ...]
    ids: tuple[np.ndarray, ...]


@dataclass(frozen=True)
class ChunkResult:
    """What happened in `done` steps after step `start`, as far as our neurons are concerned.

    Attributes:
        spikes: per population path, (step int64, id int64), sorted by both.
        samples: per sample asked for, (step int64[t], ids int64[k], values [t, k]).
        counts: int64[group, done]: how many cells of each group spiked at each step.
    """

    start: int
    done: int
    spikes: dict[str, tuple[np.ndarray, np.ndarray]]
    samples: list[tuple[np.ndarray, np.ndarray, np.ndarray]]
    counts: np.ndarray


def scheduled(step: np.ndarray, cell: np.ndarray, start: int, done: int) -> np.ndarray:
    """The cells of a schedule that spike in the `done` steps after `start`."""
    return cell[slice(*np.searchsorted(step, [start, start + done], side="right"))]


def spikes_of(
    emitted: Sequence[Sequence[Emission]],
    cells: Sequence[Sequence[Cells]],
    kept: frozenset[str],
    start: int,
) -> dict[str, Spikes]:
    """Spikes by population, in the order of step and id, from those by device and group."""
    found: dict[str, list[Spikes]] = {}
    for of, groups in zip(emitted, cells, strict=True):
        for (cell, count), mine in zip(of, groups, strict=True):
            if mine.group.emitter is not None or not kept & set(mine.group.paths):
                continue
            step, id, edges = by_population(cell, count, start + 1, mine.bounds, mine.all_ids)
            for k, path in enumerate(mine.group.paths):
                if path in kept:
                    here = slice(edges[k], edges[k + 1])
                    found.setdefault(path, []).append((step[here], id[here]))
    return {path: merge(parts) for path, parts in found.items()}


def samples_of(
    sample: Found, blocks: Sequence[np.ndarray], rows: int, start: int, done: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A sample's steps, neurons and values, from the rows that each device has written."""
    first = (start // sample.every + 1) * sample.every
    step = np.arange(first, start + done + 1, sample.every, dtype=np.int64)
    values = [block[:rows, : len(ids)] for block, ids in zip(blocks, sample.ids, strict=True)]
    return step, np.concatenate(sample.ids), np.concatenate(values, axis=1)


def joined(start: int, results: Sequence[ChunkResult]) -> ChunkResult:
    """Consecutive chunks as one."""
    if len(results) == 1:
        return results[0]
    spikes: dict[str, Any] = {}
    for path in results[0].spikes:
        columns = zip(*(result.spikes[path] for result in results), strict=True)
        spikes[path] = tuple(np.concatenate(column) for column in columns)
    samples = []
    for pieces in zip(*(result.samples for result in results), strict=True):
        steps, ids, values = zip(*pieces, strict=True)
        samples.append((np.concatenate(steps), ids[0], np.concatenate(values)))
    counts = np.concatenate([result.counts for result in results], axis=1)
    return ChunkResult(start, sum(result.done for result in results), spikes, samples, counts)
