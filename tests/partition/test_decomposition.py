"""Decomposition: every neuron has one owner."""

import numpy as np
import pytest

from partition import Decomposition, DecompositionError, round_robin


@pytest.mark.parametrize("parts", [1, 2, 3, 7, 64])
@pytest.mark.parametrize("sizes", [(331,), (4000, 0, 17), (1, 2, 10_007)])
def test_every_neuron_has_exactly_one_owner(sizes, parts):
    decomposition = round_robin(sizes, [16] * len(sizes), parts)
    for population, size in enumerate(sizes):
        owned = [decomposition.ids(population, part) for part in range(parts)]
        np.testing.assert_array_equal(np.sort(np.concatenate(owned)), np.arange(size))
        for part, ids in enumerate(owned):
            assert (decomposition.part_of(population, ids) == part).all()
            assert (np.diff(ids) > 0).all()
    assert decomposition.load().sum() == sum(sizes)


def test_blocks_are_dealt_evenly():
    decomposition = round_robin((20_683, 5_834), (512, 128), 4)
    for owner in decomposition.owners:
        counts = np.bincount(owner, minlength=4)
        assert counts.max() - counts.min() <= 1


def test_a_missing_owner_or_unknown_part_is_refused():
    with pytest.raises(DecompositionError, match="need 3 owners, found 2"):
        Decomposition((40,), (16,), (np.array([0, 1]),), 2)
    with pytest.raises(DecompositionError, match="owned by part 5"):
        Decomposition((40,), (16,), (np.array([0, 1, 5]),), 2)
    with pytest.raises(DecompositionError, match="parts = 0"):
        round_robin((40,), (16,), 0)
