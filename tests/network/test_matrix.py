"""The matrix of a projection: the synapses of the simulation, stored or drawn again."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import distdyn as dd
from distdyn.errors import NetworkError, ParameterError, WeightError
from distdyn.network.matrix import matrix_of, unlisted_of

N, M = 300, 90
SEED = 7


class Net(dd.Network):
    """Two populations; the projection leads from the first to both, so that it meets itself."""

    def __init__(self, rule=None, weight=1.5, storage="stored", *, post=None):
        self.E, self.I = dd.Population(N, dd.LIF()), dd.Population(M, dd.LIF())
        post, rule = post or (lambda net: (net.E, net.I)), rule or dd.FixedProb(0.1)
        self.exc = dd.Projection(
            self.E, post(self), rule, dd.Exponential(tau=5.0),
            weight=weight, delay=0.1, storage=storage,
        )  # fmt: skip


def synapses(matrix):
    """Row, column and weight of each, by row and column, then weight."""
    csr = matrix if isinstance(matrix, dd.CSR) else matrix.tocsr()
    row, column = np.asarray(csr.rows()), np.asarray(csr.indices)
    weight = np.broadcast_to(np.asarray(csr.data), row.shape)
    order = np.lexsort((weight, column, row))
    return row[order], column[order], weight[order]


def check_edges(net, tolerance, **how):
    """The matrix is what a runner has; weights are as close as its integers are."""
    edges = dd.DSRunner(net, dt=0.1, seed=SEED)["exc"].edges()
    row, column, weight = synapses(net.exc.matrix(SEED, **how))
    order = np.lexsort((edges.weight, edges.post, edges.pre))
    np.testing.assert_array_equal(row, edges.pre[order])
    np.testing.assert_array_equal(column, edges.post[order])
    np.testing.assert_allclose(weight, edges.weight[order], rtol=0, atol=tolerance)
    return row, column


RNG = np.random.default_rng(1)
RULES = {
    "AllToAll": dd.AllToAll(autapses=False),
    "FixedProb": dd.FixedProb(0.1),
    "FixedProb-no-autapses": dd.FixedProb(0.3, autapses=False),
    "FixedProb-dense": dd.FixedProb(0.8, autapses=False),
    "FixedOutdegree": dd.FixedOutdegree(20),
    "FixedOutdegree-distinct": dd.FixedOutdegree(200, autapses=False, multapses=False),
    "FixedTotal": dd.FixedTotal(1000),
    "FixedIndegree": dd.FixedIndegree(12),
    "FixedIndegree-distinct": dd.FixedIndegree(12, autapses=False, multapses=False),
    "Edges": dd.Edges(RNG.integers(0, N, 500), RNG.integers(0, N + M, 500)),
}
ACROSS = dd.Normal(1.5, 0.5)  # int16 weights up to 1.5 + 6.3 * 0.5: a unit is below 2^-12


@pytest.mark.parametrize("rule", RULES)
def test_of_stored_synapses_it_is_a_csr_with_the_edges_of_the_runner(rule):
    net = Net(RULES[rule], ACROSS)
    matrix = net.exc.matrix(SEED)
    assert isinstance(matrix, dd.CSR) and matrix.shape == (N, N + M)
    row, column = check_edges(net, 2.0**-12)
    if not RULES[rule].autapses:
        assert (row != column).all()  # E stands first in the post end


@pytest.mark.parametrize("weight", [1.5, dd.Uniform(0.0, 3.0), dd.LogNormal(0.1, 0.4)], ids=str)
def test_weights_are_as_before_they_are_rounded(weight):
    net = Net(RULES["FixedIndegree"], weight)
    check_edges(net, 2.0**-11)
    data = np.asarray(net.exc.matrix(SEED).data)
    if isinstance(weight, float):
        assert data.shape == (1,)
    else:
        assert len(np.unique(data)) > 0.99 * len(data)  # and not a few thousand integers


def test_weights_that_were_given_belong_to_their_edges():
    rule = RULES["Edges"]
    given = np.arange(500.0)
    check_edges(Net(rule, given), 2.0**-12)
    dense = np.zeros((N, N + M))
    np.add.at(dense, (rule.pre, rule.post), given)
    np.testing.assert_array_equal(Net(rule, given).exc.matrix(SEED).todense(), dense)


@pytest.mark.parametrize("weight", [1.5, ACROSS, dd.Uniform(0.0, 3.0)], ids=str)
@pytest.mark.parametrize("rule", [name for name in RULES if name.startswith(("FixedP", "FixedO"))])
def test_of_procedural_synapses_it_is_the_same_matrix_and_never_stored(rule, weight):
    stored = Net(RULES[rule], weight).exc.matrix(SEED)
    again = Net(RULES[rule], weight, "procedural").exc.matrix(SEED)
    assert not isinstance(again, dd.CSR)
    for found, expected in zip(synapses(again), synapses(stored), strict=True):
        np.testing.assert_array_equal(found, expected)
    spikes = np.random.default_rng(SEED).random(N) < 0.2
    np.testing.assert_allclose(spikes @ again, spikes @ stored, rtol=2e-5, atol=2e-5)


def test_the_simulation_draws_the_procedural_synapses_too():
    check_edges(Net(RULES["FixedProb-no-autapses"], ACROSS, "procedural"), 2.0**-12)
    check_edges(Net(RULES["FixedOutdegree"], ACROSS, "procedural"), 2.0**-12)


def test_ends_may_be_slices_and_may_overlap():
    for rule in (RULES["FixedProb-no-autapses"], dd.FixedOutdegree(9, autapses=False)):
        nets = [
            Net(rule, ACROSS, storage, post=lambda net: (net.I[10:80:3], net.E[50:250]))
            for storage in ("stored", "procedural")
        ]
        check_edges(nets[0], 2.0**-12)
        row, column, _ = synapses(nets[1].exc.matrix(SEED))
        is_E = column >= 24  # so many neurons of I stand before those of E
        assert (row != column - 24 + 50)[is_E].all()
        for found, expected in zip(
            synapses(nets[1].exc.matrix(SEED)), synapses(nets[0].exc.matrix(SEED)), strict=True
        ):
            np.testing.assert_array_equal(found, expected)


def test_the_precision_is_chosen_and_changes_nothing_else():
    with jax.enable_x64(True):
        wide = Net(weight=ACROSS, storage="procedural").exc.matrix(SEED)
        narrow = Net(weight=ACROSS, storage="procedural").exc.matrix(SEED, dtype=jnp.float32)
        stored = Net(weight=ACROSS).exc.matrix(SEED, dtype=jnp.float32)
    assert (wide.dtype, narrow.dtype, stored.dtype) == ("float64", "float32", "float32")
    with jax.enable_x64(True):
        for k in (0, 1):
            np.testing.assert_array_equal(synapses(wide)[k], synapses(narrow)[k])


@pytest.mark.parametrize("storage", ["stored", "procedural"])
def test_a_weight_that_is_traced_has_a_derivative(storage):
    x = jnp.ones(N, jnp.float32)
    slope = jax.jit(jax.grad(lambda w: jnp.sum(x @ Net(None, w, storage).exc.matrix(SEED))))(0.3)
    assert slope == Net().exc.matrix(SEED).nnz


# --- the path ------------------------------------------------------------------------------------


class Pair(dd.Network):
    """A network of networks, and of projections in a dict that is filled later."""

    def __init__(self):
        self.left, self.right = Net(), Net()
        self.between = {}
        for name, (a, b) in {
            "to": (self.left, self.right),
            "back": (self.right, self.left),
        }.items():
            self.between[name] = dd.Projection(
                a.E, b.E, dd.FixedProb(0.1), dd.Exponential(tau=5.0), weight=1.0, delay=0.1
            )


def test_the_path_is_that_in_the_outermost_network():
    net = Pair()
    assert net.left.exc.path == "left.exc" and net.between["back"].path == "between.back"
    runner = dd.DSRunner(net, dt=0.1, seed=SEED)
    found = []
    for projection in (net.left.exc, net.right.exc, *net.between.values()):
        edges = runner[projection.path].edges()
        row, column, _ = synapses(projection.matrix(SEED))
        np.testing.assert_array_equal(row, edges.pre)
        np.testing.assert_array_equal(column, edges.post)
        found.append(len(row))
    assert len(set(found)) == 4  # each path has its own draws


def test_a_part_that_is_simulated_alone_has_its_own_path():
    part = Pair().left
    edges = dd.DSRunner(part, dt=0.1, seed=SEED)["exc"].edges()
    assert part.exc.path == "left.exc"
    np.testing.assert_array_equal(synapses(part.exc.matrix(SEED, path="exc"))[1], edges.post)


def test_in_no_network_the_path_must_be_given():
    net = dd.Network()
    net.E = dd.Population(10, dd.LIF())
    net.exc = dd.Projection(
        net.E, net.E, dd.FixedProb(0.5), dd.Exponential(tau=5.0), weight=1.0, delay=0.1
    )
    with pytest.raises(NetworkError, match=r'path is not known.*matrix\(seed, path="exc"\)'):
        net.exc.matrix(1)
    assert net.exc.matrix(1, path="exc").nnz == len(
        dd.DSRunner(net, dt=0.1, seed=1)["exc"].edges().pre
    )


def test_seeds_and_what_cannot_be_drawn_again():
    net = Net(storage="procedural")
    one, other = synapses(net.exc.matrix(1)), synapses(net.exc.matrix(2))
    assert len(one[0]) != len(other[0]) or (one[1] != other[1]).any()
    for seed in (-1, 1.5, 1 << 64, None):
        with pytest.raises(ParameterError, match=r'"exc".*seed = .*Give an integer'):
            net.exc.matrix(seed)
    for rule in (dd.AllToAll(), dd.FixedTotal(100)):
        with pytest.raises(NetworkError, match=r'"exc".*stored'):
            Net(rule, storage="procedural").exc.matrix(1)
    for weight in (dd.LogNormal(0.0, 1.0), dd.Normal(1.0, 0.5, low=0.0)):
        with pytest.raises(WeightError, match=r'"exc".*not linear.*stored'):
            Net(weight=weight, storage="procedural").exc.matrix(1)


class Sheet(dd.Network):
    """Units on a grid; the projection leads from a part of them to a part."""

    def __init__(self, rule, weight=0.5, *, shape=(6, 5), periodic=True, part=slice(None)):
        place = dd.Lattice((10.0, 20.0)[: len(shape)], periodic=periodic)
        self.E = dd.Population(shape, dd.LIF(), positions=place)
        self.exc = dd.Projection(
            self.E[part], self.E, rule, dd.Exponential(tau=5.0), weight=weight, delay=0.1
        )


BUMP = dd.ByDistance(dd.profiles.MexicanHat(sigma=15.0, sigma_trough=30.0))
NEAR = dd.DistanceDependent(np.ones_like, cutoff=21.0, autapses=False)


@pytest.mark.parametrize(
    "net",
    [
        Sheet(dd.AllToAll()),
        Sheet(dd.AllToAll(), part=slice(3)),
        Sheet(dd.DistanceDependent(np.ones_like), BUMP),
        Sheet(dd.DistanceDependent(np.ones_like), BUMP, shape=(7,)),
        Sheet(NEAR, BUMP),
        Sheet(NEAR),
    ],
)
def test_what_needs_no_list_is_the_same_matrix(net):
    what = net.exc.ends, net.exc.rule, net.exc.weight
    unlisted = unlisted_of(*what)
    assert isinstance(unlisted, dd.Constant | dd.Circulant)
    listed = matrix_of(*what, storage="stored", seed=SEED, path="exc")
    np.testing.assert_allclose(unlisted.todense(), listed.todense(), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    "net",
    [
        Sheet(dd.AllToAll(autapses=False)),
        Sheet(dd.AllToAll(), dd.Normal(0.0, 1.0)),
        Sheet(dd.FixedProb(0.5)),
        Sheet(NEAR, periodic=False),
        Sheet(NEAR, part=slice(3)),
        Sheet(dd.DistanceDependent(dd.profiles.Gaussian(20.0, 0.5))),
    ],
)
def test_what_is_drawn_or_not_the_same_everywhere_is_listed(net):
    assert unlisted_of(net.exc.ends, net.exc.rule, net.exc.weight) is None
