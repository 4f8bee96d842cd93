"""Listing: spikes by population, and spikes of parts put together, against NumPy's sorting."""

import numpy as np
import pytest

from distdyn.ops.listing import by_population, merge


def some_spikes(seed, n, size=40, steps=60):
    """Sorted by (step, id), without repetition."""
    rng = np.random.default_rng(seed)
    key = np.sort(rng.choice(size * steps, n, replace=False)).astype(np.int64)
    return key // size, key % size


@pytest.mark.parametrize("n", [0, 1, 500])
def test_spikes_by_population(n):
    bounds = np.array([0, 10, 10, 11, 40])  # one population is empty here, one has one cell
    ids = np.concatenate([3 * np.arange(10), [7], 2 * np.arange(29)])
    step, cell = some_spikes(1, n)
    count = np.bincount(step, minlength=60).astype(np.int32)
    found_step, found_id, edges = by_population(cell.astype(np.int32), count, 100, bounds, ids)
    assert edges[0] == 0 and edges[-1] == n
    for k in range(4):
        here = (cell >= bounds[k]) & (cell < bounds[k + 1])
        np.testing.assert_array_equal(found_step[edges[k] : edges[k + 1]], 100 + step[here])
        np.testing.assert_array_equal(found_id[edges[k] : edges[k + 1]], ids[cell[here]])


@pytest.mark.parametrize("n_parts", [0, 1, 2, 3, 8])
@pytest.mark.parametrize("order", ["sorted", "consecutive", "any"])
def test_merge(n_parts, order):
    parts = [some_spikes(k, 100 * k % 501) for k in range(n_parts)]
    if order == "consecutive":
        parts = [(step + 100 * k, id) for k, (step, id) in enumerate(parts)]
    if order == "any":
        rng = np.random.default_rng(0)
        parts = [tuple(np.array(part)[:, rng.permutation(len(part[0]))]) for part in parts]
    step = np.concatenate([np.zeros(0, np.int64), *(part[0] for part in parts)])
    id = np.concatenate([np.zeros(0, np.int64), *(part[1] for part in parts)])
    expected = np.lexsort((id, step))
    found = merge(parts)
    np.testing.assert_array_equal(found[0], step[expected])
    np.testing.assert_array_equal(found[1], id[expected])
    assert found[0].dtype == found[1].dtype == np.int64
