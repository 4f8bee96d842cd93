"""Listing: spikes by population in the order of (step, id), from lists of cells by step.

Everything is one pass over the spikes, in machine code: recording all of them is then a few per
cent of what it takes to simulate them.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int32, Int64

Spikes = tuple[Int64[np.ndarray, "s"], Int64[np.ndarray, "s"]]


def by_population(
    cell: Int32[np.ndarray, "spikes"],
    count: Int32[np.ndarray, "steps"],
    first: int,
    bounds: Int64[np.ndarray, "populations+1"],
    ids: Int64[np.ndarray, "cells"],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Spikes of population after population.

    Args:
        cell: the cells that spiked, step after step, ascending at each.
        count: how many did at each step.
        first: the first step.
        bounds: cells bounds[k]:bounds[k + 1] are of population k.
        ids: the neuron of its population that each cell is, ascending in each.

    Returns:
        step and id, int64[spikes], and where each population begins, int64[populations + 1].
    """
    from distdyn.ops import listing_kernels

    return listing_kernels.by_population(cell, count, first, bounds, ids)


def merge(parts: Sequence[Spikes]) -> Spikes:
    """The spikes (step, id) of all parts, sorted by (step, id)."""
    from distdyn.ops.listing_kernels import is_sorted, merge_two

    parts = [part for part in parts if len(part[0])]
    if not parts:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    if not all(is_sorted(*part) for part in parts):
        step, id = _concatenated(parts)
        order = np.lexsort((id, step))
        return step[order], id[order]
    ends = [(part[0][at], part[1][at]) for part in parts for at in (0, -1)]
    if len(parts) > 1 and ends == sorted(ends):
        return _concatenated(parts)
    while len(parts) > 1:
        pairs = [merge_two(*a, *b) for a, b in zip(parts[::2], parts[1::2], strict=False)]
        parts = [*pairs, *parts[2 * len(pairs) :]]
    return parts[0]


def _concatenated(parts: Sequence[Spikes]) -> Spikes:
    step, id = (np.concatenate(column) for column in zip(*parts, strict=True))
    return step, id
