"""Positions and distances: where neurons are, who is near, and what depends on it."""

import numpy as np
import pytest

import distdyn as dd
from distdyn.errors import ParameterError
from distdyn.network.ends import Ends
from distdyn.network.population import members
from distdyn.network.space import Near, distances, farthest, positions_at, positions_of
from tests.network.toys import Cell


def population(shape, positions=None):
    return dd.Population(shape, Cell(), positions=positions)


def test_a_lattice_has_the_shape_of_its_population():
    E = population((3, 4), dd.Lattice(10.0))
    x, y = positions_of((E[:],)).T
    assert x.tolist() == np.repeat([5.0, 15.0, 25.0], 4).tolist()
    assert y.tolist() == [5.0, 15.0, 25.0, 35.0] * 3
    other = population((3, 4), dd.Lattice((1.0, 2.0), origin=(100.0, -1.0)))
    assert positions_of((other[5:6],)).tolist() == [[101.5, 2.0]]
    line = population(5, dd.Lattice(2.0))
    assert positions_of((line[1:5:2],)).ravel().tolist() == [3.0, 7.0]
    block = population((2, 2, 2), dd.Lattice(2.0))
    assert positions_of((block[-1],)).tolist() == [[3.0, 3.0, 3.0]]


def test_lattices_that_cover_one_area_lie_in_it_alike():
    coarse, fine = population((5, 5), dd.Lattice(20.0)), population((10, 10), dd.Lattice(10.0))
    means = [positions_of((p[:],)).mean(axis=0) for p in (coarse, fine)]
    assert np.allclose(means, 50.0)


def test_positions_at_places_of_an_end():
    rng = np.random.default_rng(1)
    A, B = population(40, rng.uniform(size=(40, 2))), population(30, rng.uniform(size=(30, 2)))
    views = members((A[5:30:3], B, A[0:5]))
    everyone = positions_of(views)
    places = rng.permutation(len(everyone))[:20]
    assert np.array_equal(positions_at(views, places), everyone[places])


@pytest.mark.parametrize("reach", [0.05, 0.3, 0.7, 5.0, np.inf])
@pytest.mark.parametrize("d", [1, 2, 3])
@pytest.mark.parametrize("is_periodic", [False, True])
def test_who_is_near(d, is_periodic, reach):
    """Against all pairs; some points lie outside of the period, and outside of the others' box."""
    rng = np.random.default_rng(3)
    there, here = rng.uniform(0, 1.5, (300, d)), rng.uniform(-0.5, 1.2, (40, d))
    extent = (1.0, 1.2, 0.9)[:d] if is_periodic else None
    r = distances(here[:, None], there[None], extent)
    if is_periodic:
        images = np.stack(np.meshgrid(*[[-2, -1, 0, 1, 2]] * d), axis=-1).reshape(-1, d)
        shifted = there + (images * extent)[:, None]
        nearest = np.sqrt(((here[:, None, None] - shifted) ** 2).sum(axis=-1)).min(axis=1)
        np.testing.assert_allclose(r, nearest, rtol=0, atol=1e-12)
    index, place, distance = Near(there, extent, reach).of(here)
    expected = np.argwhere(r <= reach)
    order = np.lexsort((place, index))
    assert np.array_equal(np.stack([index, place], axis=1)[order], expected)
    np.testing.assert_allclose(distance[order], r[r <= reach], rtol=0, atol=1e-12)
    assert (np.diff(index) >= 0).all()
    alone = Near(there, extent, reach).of(here[7:8])
    assert np.array_equal(alone[1:], np.stack([place, distance])[:, index == 7])


def test_who_is_near_on_a_lattice_is_decided_by_the_distance():
    """Neighbours at exactly the cutoff, which lie on the edges of cells."""
    E = population((40, 30), dd.Lattice(10.0, periodic=True))
    positions = positions_of((E[:],))
    for reach, n in ((10.0, 5), (20.0, 13), (30.0, 29), (50.0, 81)):  # Gauss's circle problem
        index, _, _ = Near(positions, (400.0, 300.0), reach).of(positions)
        assert (np.bincount(index) == n).all()


def test_nobody_is_near():
    near = Near(np.zeros((0, 2)), None, 1.0)
    assert [len(x) for x in near.of(np.zeros((5, 2)))] == [0, 0, 0]
    same = Near(np.full((7, 2), 3.0), None, 1.0)
    assert len(same.of(np.full((2, 2), 3.0))[0]) == 14


def test_the_farthest():
    flat, torus = population((30, 40), dd.Lattice(1.0)), population((30, 40), dd.Lattice(1.0, True))
    assert farthest(Ends(members(flat), members(flat))) == pytest.approx(np.hypot(29, 39))
    assert farthest(Ends(members(torus), members(torus))) == pytest.approx(25.0)
    given = population(2, np.array([[0.0, 0.0], [3.0, 4.0]]))
    assert farthest(Ends(members(given), members(given[1]))) == pytest.approx(5.0)
    assert farthest(Ends(members(given), members(given[0:0]))) == 0.0


def test_profiles():
    d = np.array([0.0, 50.0, 200.0])
    np.testing.assert_allclose(dd.profiles.Gaussian(50.0, 0.8)(d), 0.8 * np.exp(-(d**2) / 5000))
    np.testing.assert_allclose(dd.profiles.Exponential(50.0)(d), np.exp(-d / 50))
    hat = dd.profiles.MexicanHat(50.0, 100.0, 1.0, 0.6)
    np.testing.assert_allclose(hat(d), np.exp(-(d**2) / 5000) - 0.6 * np.exp(-(d**2) / 20000))
    for profile in (dd.profiles.Gaussian(50.0), dd.profiles.Exponential(50.0), hat):
        assert abs(profile(np.array([profile.reach * 1.0001])))[0] < 2.0**-63
    with pytest.raises(ParameterError, match=r"Gaussian: sigma = 0 is not possible.*> 0"):
        dd.profiles.Gaussian(0)
    with pytest.raises(ParameterError, match="MexicanHat: trough = nan"):
        dd.profiles.MexicanHat(1.0, 2.0, 1.0, np.nan)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: dd.Lattice(0), "spacing = 0 um is not positive"),
        (lambda: dd.Lattice(np.nan), "spacing"),
        (lambda: dd.Lattice("wide"), "spacing"),
        (lambda: dd.Lattice(1.0, periodic=(10, 10)), "the period is the extent"),
        (lambda: dd.Periodic(np.zeros((3, 2)), 0.0), "extent = 0.0 um is not positive"),
        (lambda: dd.Periodic(np.zeros(3), 1.0), "one row of coordinates"),
        (lambda: population(4, dd.Periodic(np.zeros((3, 2)), 1.0)), r"shape \(4, d\)"),
        (lambda: population((3, 4), dd.Lattice((1.0, 2.0, 3.0))), "spacing has 3 numbers"),
    ],
)
def test_positions_that_are_none(make, message):
    with pytest.raises(ParameterError, match=message):
        make()
