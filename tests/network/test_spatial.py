"""DistanceDependent and Grid: who is connected, and how often, by where they are."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

import distdyn as dd
from distdyn import random
from distdyn.network import spatial
from distdyn.network.ends import Ends
from distdyn.network.population import View
from distdyn.network.space import distances

P = 1e-3  # fixed seeds pass or fail for good; this is how bad luck may be


def key(seed):
    low, high = random.stream_key(seed, "connectivity", "p")
    return np.uint64(low), np.uint64(high)


def ends(*populations):
    pre, post = ((View(p, 0, p.size, 1),) for p in populations)
    return Ends(pre, post)


def scattered(n, seed, extent, d=2):
    positions = np.random.default_rng(seed).uniform(0, extent, (n, d))
    return SimpleNamespace(size=n, shape=(n,), positions=dd.Periodic(positions, extent))


@pytest.mark.parametrize(
    "profile, p",
    [
        (dd.profiles.Gaussian(60.0, 0.8), lambda d: 0.8 * np.exp(-(d**2) / 7200)),
        (dd.profiles.Exponential(50.0, 2.0), lambda d: np.minimum(1, 2 * np.exp(-d / 50))),
        (
            dd.profiles.MexicanHat(80.0, 40.0),
            lambda d: np.maximum(0, np.exp(-(d**2) / 12800) - 0.5 * np.exp(-(d**2) / 3200)),
        ),
    ],
    ids=["gaussian", "exponential", "hat"],
)
def test_probabilities_over_50_seeds(profile, p):
    """Two levels: chi-squared over classes of distance for each seed, Kolmogorov-Smirnov of these.

    The total of each seed is within 4.5 sd of its mean.
    """
    A, B = scattered(150, 1, 400.0), scattered(200, 2, 400.0)
    rule, both = dd.DistanceDependent(profile, cutoff=150.0), ends(A, B)
    d = distances(A.positions.array[:, None], B.positions.array, (400.0, 400.0))
    chance = np.where(d <= 150.0, p(d), 0.0)
    is_certain = chance == 1
    order = np.argsort(d[(chance > 0) & ~is_certain])
    classes = np.array_split(order, 25)
    mean = [chance[(chance > 0) & ~is_certain][c].sum() for c in classes]
    variance = [(chance * (1 - chance))[(chance > 0) & ~is_certain][c].sum() for c in classes]
    found, totals = [], []
    for seed in range(50):
        pre, post = rule.rows(both, key(seed))
        is_connected = np.zeros((150, 200), bool)
        is_connected[pre, post] = True
        assert not is_connected[chance == 0].any() and is_connected[is_certain].all()
        n = [is_connected[(chance > 0) & ~is_certain][c].sum() for c in classes]
        found.append(stats.chi2(25).sf((np.subtract(n, mean) ** 2 / variance).sum()))
        totals.append(len(pre))
    assert stats.kstest(found, "uniform").pvalue > P
    sd = np.sqrt((chance * (1 - chance)).sum())
    assert np.abs(np.array(totals) - chance.sum()).max() < 4.5 * sd
    assert rule.expected(both) == pytest.approx(chance.sum(), rel=1e-9)
    most = (chance.sum(axis=0) + 8 * np.sqrt((chance * (1 - chance)).sum(axis=0))).argmax()
    assert rule.in_degree(both)[0] == pytest.approx(chance[:, most].sum())


def test_one_pair_over_many_seeds():
    """Pairs of a constant profile are FixedProb's: independent, each with its probability."""
    A = scattered(6, 1, 100.0)
    rule = dd.DistanceDependent(lambda d: np.full_like(d, 0.3), autapses=False)
    seen = np.zeros((6, 6))
    for seed in range(800):
        np.add.at(seen, rule.rows(ends(A, A), key(seed)), 1)
    assert not seen[np.eye(6, dtype=bool)].any()
    z = (seen[~np.eye(6, dtype=bool)] - 240) / np.sqrt(800 * 0.3 * 0.7)
    assert np.abs(z).max() < 4.2
    assert stats.kstest(z, "norm").pvalue > P


@pytest.mark.parametrize("d, cutoff", [(1, None), (2, None), (2, 25.0), (3, 60.0)])
def test_degrees_of_too_many_pairs(d, cutoff, monkeypatch):
    """The number of synapses, of some neurons, is close; the largest in-degree is not below."""
    rng = np.random.default_rng(5)
    clumped = np.concatenate([rng.uniform(0, 400.0, (700, d)), rng.normal(50, 10.0, (300, d))])
    A = SimpleNamespace(size=1000, shape=(1000,), positions=clumped)
    B = SimpleNamespace(size=800, shape=(800,), positions=rng.uniform(0, 400.0, (800, d)))
    rule = dd.DistanceDependent(dd.profiles.Gaussian(30.0, 0.6), cutoff=cutoff)
    exact = rule.expected(ends(A, B)), *rule.in_degree(ends(A, B))
    monkeypatch.setattr(spatial, "EXACT", 100_000)
    binned = rule.expected(ends(A, B)), *rule.in_degree(ends(A, B))
    assert binned[0] == pytest.approx(exact[0], rel=0.15)  # of 25 neurons at least
    assert exact[1] <= binned[1] <= 3 * exact[1] and exact[2] <= binned[2]


def test_large_ends_are_described_quickly():
    """250,000 neurons: nothing grows with the 3 10^9 pairs within reach."""
    lattice = SimpleNamespace(size=250_000, shape=(500, 500), positions=dd.Lattice(10.0, True))
    rule = dd.DistanceDependent(dd.profiles.Gaussian(200.0, 0.1), cutoff=600.0)
    mean = 2 * np.pi * 200.0**2 * 0.1 / 100 * (1 - np.exp(-4.5))
    assert rule.expected(ends(lattice, lattice)) == pytest.approx(250_000 * mean, rel=0.02)
    assert mean < rule.in_degree(ends(lattice, lattice))[0] < 2 * mean
    _, post = rule.rows(ends(lattice, lattice), key(1), rows=np.arange(0, 250_000, 5000))
    n = np.bincount(post, minlength=250_000)[::5000]
    assert abs(n.mean() - mean) < 4 * np.sqrt(mean / 50)


# --- grids ---------------------------------------------------------------------------------------


def neighbours(rule, rows, columns):
    """The pairs as a set of ((i, j) of the source, (i, j) of the target), by looking at all."""
    r = rule.radius
    found = set()
    for i in range(rows):
        for j in range(columns):
            for a in range(-r, r + 1):
                for b in range(-r, r + 1):
                    if (a == b == 0 and not rule.centre) or (
                        rule.neighbours == 4 and abs(a) + abs(b) > 1
                    ):
                        continue
                    x, y = i + a, j + b
                    if rule.periodic:
                        x, y = x % rows, y % columns
                    if 0 <= x < rows and 0 <= y < columns:
                        found.add(((x, y), (i, j)))
    return found


@pytest.mark.parametrize("periodic", [False, True])
@pytest.mark.parametrize("centre", [False, True])
@pytest.mark.parametrize("n", [4, 8, 24, 48])
def test_neighbours_of_a_sheet(n, centre, periodic):
    rule = dd.Grid(n, centre=centre, periodic=periodic)
    A = SimpleNamespace(size=77, shape=(7, 11), positions=None)
    pre, post = rule.rows(ends(A, A), key(1))
    found = {
        (divmod(a, 11), divmod(b, 11)) for a, b in zip(pre.tolist(), post.tolist(), strict=True)
    }
    expected = neighbours(rule, 7, 11)
    assert found == expected and len(pre) == len(expected) == rule.expected(ends(A, A))
    degrees = np.bincount(post)
    assert rule.in_degree(ends(A, A)) == (degrees.max(), 0)
    if periodic:
        assert (degrees == n + centre).all()


def test_neighbours_in_slices_and_other_sheets():
    """Those that are in the pre end, at their places there; and of every sheet of it."""
    A, B = (SimpleNamespace(size=77, shape=(7, 11), positions=None) for _ in range(2))
    pre_views, post_views = (View(B, 10, 70, 3), View(A, 0, 77, 1)), (View(A, 5, 60, 2),)
    pre, post = dd.Grid(8).rows(Ends(pre_views, post_views), key(1))
    whole = set(zip(*(x.tolist() for x in dd.Grid(8).rows(ends(A, A), key(1))), strict=True))
    expected = set()
    for target, id in enumerate(range(5, 60, 2)):
        expected |= {
            (k, target) for k, other in enumerate(range(10, 70, 3)) if (other, id) in whole
        }
        expected |= {(20 + other, target) for other in range(77) if (other, id) in whole}
    assert set(zip(pre.tolist(), post.tolist(), strict=True)) == expected
    assert len(pre) == len(expected)
