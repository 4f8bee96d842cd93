"""Halo: what one part receives from another is what that one sends to it."""

from dataclasses import replace

import numpy as np
import pytest

from partition import DecompositionError, Halo, round_robin
from partition.halo import check, halos


@pytest.fixture
def decomposition():
    return round_robin((331, 50), (16, 4), 7)


def reaching(decomposition, seed, k=60):
    random = np.random.default_rng(seed)
    return [random.integers(0, decomposition.size, k) for _ in range(decomposition.parts)]


def test_ghosts_are_the_neurons_of_others_that_reach_a_part(decomposition, seed):
    gids = reaching(decomposition, seed)
    every = halos(decomposition, gids)
    check(decomposition, every)
    for part, halo in enumerate(every):
        own = decomposition.gids(part)
        np.testing.assert_array_equal(np.sort(halo.ghosts), np.setdiff1d(gids[part], own))
        assert halo.owned == len(own)
        local = halo.locals_of_ghosts(halo.ghosts[::-1])
        np.testing.assert_array_equal(local, len(own) + np.arange(len(halo.ghosts))[::-1])
        for other, sent in halo.sends.items():
            assert np.isin(sent, own).all()
            np.testing.assert_array_equal(sent, every[other].requests()[part])
    received = sum(len(halo.ghosts) for halo in every)
    assert received == sum(len(sent) for halo in every for sent in halo.sends.values()) > 0


def test_a_part_that_nobody_reaches_has_an_empty_halo():
    decomposition = round_robin((2,), (1,), 8)
    every = halos(decomposition, [[1], [0, 1], *[[]] * 6])
    check(decomposition, every)
    assert (every[7].owned, len(every[7].ghosts), dict(every[7].sends)) == (0, 0, {})
    assert list(every[0].sends) == [1]


def test_halos_that_do_not_fit_together_are_refused(decomposition, seed):
    every = list(halos(decomposition, reaching(decomposition, seed)))
    sends = {p: gids[:-1] for p, gids in every[2].sends.items()}
    with pytest.raises(DecompositionError, match=r"part 2 sends \d+ neurons to part"):
        check(decomposition, [*every[:2], replace(every[2], sends=sends), *every[3:]])
    owners = (every[4].owners + 1) % 7
    with pytest.raises(DecompositionError, match="but the halo says by part"):
        check(decomposition, [*every[:4], replace(every[4], owners=owners), *every[5:]])


def test_unknown_parts_and_neurons_are_refused(decomposition):
    with pytest.raises(DecompositionError, match="part 7 is not one of the 7"):
        Halo.of(decomposition, 7, [0])
    with pytest.raises(DecompositionError, match="gid 381 is not one of 381"):
        Halo.of(decomposition, 0, [381])
    with pytest.raises(DecompositionError, match="2 arrays for 7 parts"):
        halos(decomposition, [[0], [1]])
    with pytest.raises(DecompositionError, match="gid 0 is no ghost of part 0"):
        Halo.of(decomposition, 0, [0, 20]).locals_of_ghosts([0])
