"""Rules of space and of graphs: their promises, and the same synapses on any devices."""

from types import SimpleNamespace

import numpy as np
import pytest

import distdyn as dd
from distdyn import random
from distdyn.errors import DelayError, NetworkError, RuleError, WeightError
from distdyn.network import rule as rules
from distdyn.network.ends import Ends
from distdyn.network.population import View
from tests.network.toys import Cell, Decay

GAUSS = dd.profiles.Gaussian(40.0)


def sheet(rows, columns, positions=None):
    return SimpleNamespace(size=rows * columns, shape=(rows, columns), positions=positions)


def scattered(n, seed, extent=200.0):
    positions = np.random.default_rng(seed).uniform(0, extent, (n, 2))
    return SimpleNamespace(size=n, shape=(n,), positions=positions)


def views(*parts):
    return tuple(
        View(population, *(limits or (0, population.size, 1))) for population, limits in parts
    )


def same(population):
    return Ends(views((population, None)), views((population, None)))


LATTICE = sheet(12, 15, dd.Lattice(10.0))
TORUS = sheet(12, 15, dd.Lattice(10.0, periodic=True))
A, B = scattered(150, 1), scattered(220, 2)
MIXED = Ends(  # slices with steps, tuples, and neurons in both ends; the sheet lies among them
    views((A, (10, 80, 1)), (B, (0, 220, 3)), (LATTICE, (0, 100, 7))),
    views((B, (5, 200, 2)), (A, (60, 150, 1))),
)
SHEETS = Ends(
    views((LATTICE, (20, 160, 3)), (TORUS, None)), views((TORUS, (0, 100, 2)), (LATTICE, None))
)

CASES = {
    "gaussian": (dd.DistanceDependent(GAUSS), same(LATTICE)),
    "gaussian, no autapses": (dd.DistanceDependent(GAUSS, autapses=False), same(TORUS)),
    "cutoff": (dd.DistanceDependent(dd.profiles.Gaussian(60.0, 0.5), cutoff=50.0), MIXED),
    "exponential": (dd.DistanceDependent(dd.profiles.Exponential(30.0), cutoff=90.0), MIXED),
    "hat": (dd.DistanceDependent(dd.profiles.MexicanHat(60.0, 30.0, 1.0)), MIXED),
    "function": (dd.DistanceDependent(lambda d: 0.2 + 0 * d, autapses=False), MIXED),
    "grid 4": (dd.Grid(4), same(LATTICE)),
    "grid 8, periodic": (dd.Grid(8, periodic=True), same(TORUS)),
    "grid 24": (dd.Grid(24, centre=True), SHEETS),
    "small world": (dd.SmallWorld(10, 0.3), same(A)),
    "small world, directed": (dd.SmallWorld(10, 0.3, directed=True), same(A)),
    "scale-free": (dd.ScaleFree(4), same(B)),
    "scale-free, dual": (dd.ScaleFree(2, 6, 0.6), same(B)),
    "scale-free, directed": (dd.ScaleFree(4, directed=True), same(B)),
    "power law": (dd.PowerLaw(4, 0.7), Ends(views((A, None)), views((B, (0, 150, 1))))),
}


def key(seed, path="p"):
    low, high = random.stream_key(seed, "connectivity", path)
    return np.uint64(low), np.uint64(high)


@pytest.mark.parametrize("name", CASES)
def test_rows_do_not_depend_on_who_asks(name, seed, monkeypatch):
    rule, ends = CASES[name]
    pre, post = rule.rows(ends, key(seed))
    assert len(pre) > 300 and (np.diff(post) >= 0).all()
    start = ends.block_start()
    block = np.searchsorted(start, post, side="right") - 1
    monkeypatch.setattr(rules, "HELD", 500)
    for some_rows in ([0], [ends.n_post - 1], [5, 6, 33, 80], None, []):
        for some_blocks in ([0], [len(start) - 2], [1, 2, 4], None, []):
            is_asked = np.isin(post, np.arange(ends.n_post) if some_rows is None else some_rows)
            if some_blocks is not None:
                is_asked &= np.isin(block, some_blocks)
            found = rule.rows(ends, key(seed), rows=some_rows, blocks=some_blocks)
            assert np.array_equal(found, (pre[is_asked], post[is_asked]))


@pytest.mark.parametrize("name", CASES)
def test_another_seed_or_path_is_another_draw(name):
    rule, ends = CASES[name]
    first = set(zip(*rule.rows(ends, key(1)), strict=True))
    assert len(first) == len(rule.rows(ends, key(1))[0])  # no pair is connected twice
    for other in (key(2), key(1, "q")):
        assert (set(zip(*rule.rows(ends, other), strict=True)) == first) == (not rule.is_drawn)


@pytest.mark.parametrize("name", CASES)
def test_the_expected_number_the_bound_and_the_in_degree(name):
    """No in-degree goes beyond mean + 8 sd, which a receptor's scale relies on."""
    rule, ends = CASES[name]
    rule.check(ends, "test")
    mean, sd = rule.in_degree(ends)
    n, most = [], []
    for seed in range(40):
        pre, post = rule.rows(ends, key(seed))
        n.append(len(pre))
        most.append(np.bincount(post, minlength=ends.n_post))
    n, most = np.array(n), np.array(most)
    expected = rule.expected(ends)
    assert abs(n.mean() - expected) <= 4.5 * n.std() / np.sqrt(40) + 1e-6 * expected
    assert n.max() <= rule.bound(ends) <= 1.5 * expected + 30
    assert 0 < rule.bound(ends, (ends.n_pre // 2, 10)) < rule.bound(ends)
    assert rule.bound(ends, (0, 0)) == 0
    of_one = most.mean(axis=0).max()  # of 150 neurons the luckiest has 4 sd of the mean more
    assert of_one - 4.5 * sd / np.sqrt(40) - 1e-9 <= mean <= 1.4 * of_one
    assert most.max() <= mean + 8 * sd


@pytest.mark.parametrize("name", CASES)
def test_ends_without_neurons(name):
    rule, ends = CASES[name]
    nobody = Ends(
        tuple(View(v.population, 0, 0, 1) for v in ends.pre),
        tuple(View(v.population, 0, 0, 1) for v in ends.post),
    )
    rule.check(nobody, "test")
    assert (rule.expected(nobody), rule.bound(nobody), rule.in_degree(nobody)) == (0, 0, (0, 0))
    assert [len(x) for x in rule.rows(nobody, key(1))] == [0, 0]


# --- in a network --------------------------------------------------------------------------------


class Everything(dd.Network):
    """A sheet of cells that drive each other by all of these rules."""

    def __init__(self):
        cell = dd.LIF(C_m=200.0, tau_m=20.0, E_L=-60.0, V_th=-50.0, V_reset=-60.0, I_e=210.0)
        lattice = dd.Lattice(20.0, periodic=True)
        self.E = dd.Population((12, 15), cell, V=dd.Normal(-55.0, 5.0), positions=lattice)
        self.I = dd.Population((12, 15), cell, V=dd.Normal(-55.0, 5.0), positions=lattice)
        syn = dd.Exponential(tau=5.0)
        near = dd.DistanceDependent(dd.profiles.Gaussian(40.0, 0.5), cutoff=100.0)
        by_distance = dd.ByDistance(lambda d: 0.5 + d / 100.0)
        both = self.E, self.I
        self.near = dd.Projection(
            self.E, both, near, syn,
            weight=dd.ByDistance(dd.profiles.Gaussian(60.0, 9.0)), delay=by_distance,
        )  # fmt: skip
        self.hat = dd.Projection(
            self.I, both, dd.DistanceDependent(dd.profiles.MexicanHat(50.0, 20.0)), syn,
            weight=-6.0, delay=1.0,
        )  # fmt: skip
        self.grid = dd.Projection(self.E, self.I, dd.Grid(8), syn, weight=5.0, delay=by_distance)
        self.world = dd.Projection(
            self.E, self.I, dd.SmallWorld(6, 0.2), syn,
            weight=dd.Normal(5.0, 1.0), delay=dd.Uniform(0.5, 3.0),
        )  # fmt: skip
        self.free = dd.Projection(self.E, self.E, dd.ScaleFree(3), syn, weight=4.0, delay=1.5)
        self.law = dd.Projection(self.I, self.E, dd.PowerLaw(3, 0.5), syn, weight=-5.0, delay=0.8)
        matrix = np.random.default_rng(3).normal(0, 4.0, (180, 180))
        matrix[np.abs(matrix) < 8.0] = 0.0
        self.given = dd.Projection(self.E, self.I, dd.Edges.from_matrix(matrix), syn, delay=2.0)


PATHS = ("near", "hat", "grid", "world", "free", "law", "given")


def test_devices_do_not_matter():
    """Equal synapses, weights and delays on one, two and four devices; equal spikes on two."""
    edges, spikes = {}, {}
    for devices in (1, 2, 4):
        record = ["E.spikes", "I.spikes"]
        runner = dd.DSRunner(Everything(), dt=0.1, seed=5, record=record, devices=devices)
        edges[devices] = {path: np.stack(runner[path].edges()) for path in PATHS}
        if devices < 4:
            recording = runner.run(60.0).gather()
            both = recording.spikes["E"], recording.spikes["I"]
            spikes[devices] = [np.stack([s.step, s.id]) for s in both]
    for devices in (2, 4):
        for path in PATHS:
            assert np.array_equal(edges[1][path], edges[devices][path]), (devices, path)
    assert all(np.array_equal(*pair) for pair in zip(spikes[1], spikes[2], strict=True))
    assert min(s.shape[1] for s in spikes[1]) > 100
    _check_edges(Everything(), edges[1])


def _check_edges(network, edges):
    """They are what the rule says, and what the distance says of weights and delays."""
    for path in PATHS:
        projection = getattr(network, path)
        pre, post, weight, delay = edges[path]
        rows = projection.rule.rows(projection.ends, key(5, path))
        order = np.lexsort(rows[::-1])
        assert np.array_equal([rows[0][order], rows[1][order]], [pre, post])
        if path in ("near", "grid"):
            d = np.hypot(*(_along(pre % 180, post % 180, k) for k in (0, 1)))
            assert np.array_equal(delay, 0.1 * np.rint((0.5 + d / 100.0) / 0.1))
        if path == "near":
            np.testing.assert_allclose(weight, 9.0 * np.exp(-(d**2) / 7200.0), rtol=1e-3)
            assert d.max() <= 100.0


def _along(pre, post, axis):
    """The distance along an axis of a 12 x 15 torus with the spacing 20."""
    n = (12, 15)[axis]
    steps = np.abs(np.divmod(pre.astype(int), 15)[axis] - np.divmod(post.astype(int), 15)[axis])
    return 20.0 * np.minimum(steps, n - steps)


def test_the_matrix_has_the_weights_of_the_distance():
    network = Everything()
    dense = np.asarray(network.near.matrix(seed=5).todense())
    pre, post = network.near.rule.rows(network.near.ends, key(5, "near"))
    d = np.hypot(*(_along(pre, post % 180, k) for k in (0, 1)))
    expected = np.zeros((180, 360))
    expected[pre, post] = 9.0 * np.exp(-(d**2) / 7200.0)
    np.testing.assert_allclose(dense, expected, rtol=1e-6)


# --- what is refused -----------------------------------------------------------------------------


def project(rule, weight=1.0, delay=1.0, n=30, **options):
    population = dd.Population(n, Cell(), **options)
    return dd.Projection(population, population, rule, Decay(), weight=weight, delay=delay)


PLACED = {"n": (5, 6), "positions": dd.Lattice(10.0)}


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: dd.DistanceDependent(0.1), "is no function of distance"),
        (lambda: dd.DistanceDependent(GAUSS, cutoff=0), "cutoff = 0 um is not positive"),
        (lambda: dd.DistanceDependent(GAUSS, cutoff=np.nan), "not positive"),
        (lambda: project(dd.DistanceDependent(GAUSS)), "has no positions"),
        (lambda: project(dd.DistanceDependent(lambda d: 0.5), **PLACED), "one number of each"),
        (lambda: project(dd.DistanceDependent(lambda d: d / 0), **PLACED), "finite"),
        (lambda: dd.Grid(5), "Give 4, 8, 24, 48"),
        (lambda: dd.Grid(12), "Give 4, 8, 24, 48"),
        (lambda: dd.Grid(0), "Give 4, 8, 24, 48"),
        (lambda: project(dd.Grid(4)), "sheets of one shape"),
        (lambda: project(dd.Grid(24, periodic=True), n=(4, 9)), "meets a neuron twice"),
        (lambda: dd.SmallWorld(3, 0.1), "k = 3 is odd"),
        (lambda: dd.SmallWorld(4, 1.1), "not a probability"),
        (lambda: project(dd.SmallWorld(30, 0.1)), "more than 30 neurons, found 30"),
        (lambda: dd.ScaleFree(0), "m >= 1"),
        (lambda: dd.ScaleFree(2.5), "not a number of edges"),
        (lambda: dd.ScaleFree(2, 3), "one is given without the other"),
        (lambda: dd.ScaleFree(2, p=0.1), "one is given without the other"),
        (lambda: project(dd.ScaleFree(30)), "more than 30 neurons, found 30"),
        (lambda: dd.PowerLaw(2, np.nan), "not a probability"),
        (lambda: project(dd.PowerLaw(31, 0.5)), "more than 31 neurons"),
    ],
)  # fmt: skip
def test_the_impossible_is_refused(make, message):
    with pytest.raises(RuleError, match=message), np.errstate(all="ignore"):
        projection = make()
        assert projection.expected_synapses  # what a function gives is seen when it is asked


def test_graphs_join_ends_of_one_size():
    a, b = dd.Population(30, Cell()), dd.Population(40, Cell())
    for rule in (dd.SmallWorld(4, 0.1), dd.ScaleFree(2), dd.PowerLaw(2, 0.1)):
        with pytest.raises(RuleError, match="different sizes, 30 and 40"):
            dd.Projection(a, b, rule, Decay(), weight=1.0, delay=1.0)


def test_ends_lie_in_one_space():
    flat = dd.Population((5, 6), Cell(), positions=dd.Lattice(10.0))
    for positions in (
        np.zeros((30, 3)),
        dd.Lattice(10.0, periodic=True),
        dd.Periodic(np.zeros((30, 2)), (50.0, 60.0)),
    ):
        other = dd.Population((5, 6), Cell(), positions=positions)
        with pytest.raises(RuleError, match="are not in one space"):
            dd.Projection(flat, other, dd.DistanceDependent(GAUSS), Decay(), weight=1.0, delay=1.0)


def test_values_by_distance_are_checked():
    placed = {"n": (5, 6), "positions": dd.Lattice(10.0)}
    d = dd.ByDistance(lambda d: d / 10.0)
    with pytest.raises(NetworkError, match="does not list pairs"):
        project(dd.FixedProb(0.1), delay=d, **placed)
    with pytest.raises(RuleError, match="has no positions"):
        project(dd.FixedIndegree(3), delay=d)
    with pytest.raises(DelayError, match=r"can be -64.*Change the function"):
        project(dd.FixedIndegree(3), delay=dd.ByDistance(lambda d: -d), **placed)
    with pytest.raises(RuleError, match="finite numbers"):
        project(dd.FixedIndegree(3), weight=dd.ByDistance(lambda d: d + np.nan), **placed)
    with pytest.raises(dd.DistDynError, match="no function"):
        dd.ByDistance(3.0)
    projection = project(dd.FixedIndegree(3), delay=d, weight=d, **placed)
    assert projection.delay.extremes() == (0.0, pytest.approx(np.hypot(40.0, 50.0) / 10.0))
    with pytest.raises(WeightError, match="weight = None"):
        project(dd.OneToOne(), weight=None)
