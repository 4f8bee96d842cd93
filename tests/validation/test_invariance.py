"""What must not change the spikes, and what must be conserved: exact equality throughout."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import distdyn as dd

N = 120


def cell(I_e=0.0):
    return dd.LIF(C_m=250.0, tau_m=10.0, E_L=-65.0, V_th=-50.0, V_reset=-65.0, t_ref=2.0, I_e=I_e)


class Small(dd.Network):
    """Connected cells, with all numbers given by arrays, under any numbering of the cells."""

    def __init__(self, order=None, gain=1.0):
        order = np.arange(N) if order is None else order  # order[k]: the number of cell k
        rng = np.random.default_rng(7)
        pre, post = rng.integers(N, size=(2, 10 * N))
        weight = rng.normal(0.0, 60.0, 10 * N) * gain
        delay = 0.1 * rng.integers(1, 40, 10 * N)
        I_e, V = np.empty(N), np.empty(N)
        I_e[order] = rng.uniform(360.0, 450.0, N)
        V[order] = rng.uniform(-65.0, -50.0, N)
        self.N = dd.Population(N, cell(I_e), V=V)
        self.syn = dd.Projection(
            self.N,
            self.N,
            dd.Edges(order[pre], order[post]),
            dd.Exponential(tau=2.0),
            weight=weight,
            delay=delay,
        )


def spikes_of(network, durations=(500.0,), path="N", **options):
    runner = dd.DSRunner(network, dt=0.1, record=f"{path}.spikes", **options)
    parts = [runner.run(T).gather().spikes[path] for T in durations]
    return np.concatenate([p.step for p in parts]), np.concatenate([p.id for p in parts])


@pytest.fixture(params=["float32", "float64"])
def precision(request):
    return request.param


def test_numbering_of_the_neurons(precision):
    step, id = spikes_of(Small(), precision=precision)
    assert len(step) > 1000
    order = np.random.default_rng(1).permutation(N)
    other_step, other_id = spikes_of(Small(order), precision=precision)
    name = np.argsort(order)
    sort = np.lexsort((name[other_id], other_step))
    np.testing.assert_array_equal(step, other_step[sort])
    np.testing.assert_array_equal(id, name[other_id][sort])


def test_splitting_of_the_run(precision):
    whole = spikes_of(Small(), precision=precision)
    parts = spikes_of(Small(), (0.1, 0.3, 1.7, 110.0, 387.9), precision=precision)
    np.testing.assert_array_equal(whole, parts)


def test_weights_of_zero_are_no_connections(precision):
    class Uncoupled(dd.Network):
        def __init__(self):
            self.N = Small().N

    coupled = spikes_of(Small(), precision=precision)
    silenced = spikes_of(Small(gain=0.0), precision=precision)
    uncoupled = spikes_of(Uncoupled(), precision=precision)
    np.testing.assert_array_equal(silenced, uncoupled)
    assert len(coupled[0]) != len(uncoupled[0])


class Stimulated(dd.Network):
    """Cells at rest until given spikes reach them."""

    def __init__(self, shift=0.0):
        rng = np.random.default_rng(3)
        place = rng.choice(50 * 2000, 400, replace=False)  # a neuron spikes once in a step
        time = 0.1 * (1 + place // 50) + shift
        self.source = dd.Population(50, dd.SpikeTimes(id=place % 50, time=time))
        self.N = dd.Population(100, cell(), V=-65.0)
        rule = dd.FixedIndegree(10)
        self.exc = dd.Projection(
            self.source, self.N, rule, dd.Alpha(tau=2.0), weight=800.0, delay=1.5
        )
        self.rec = dd.Projection(
            self.N, self.N, rule, dd.Exponential(tau=5.0), weight=-50.0, delay=dd.Uniform(1.0, 3.0)
        )


def test_shift_of_the_input(precision):
    step, id = spikes_of(Stimulated(), (300.0,), precision=precision)
    assert len(step) > 100
    k = 137
    later_step, later_id = spikes_of(Stimulated(0.1 * k), (320.0,), precision=precision)
    kept = later_step <= 3000 + k
    np.testing.assert_array_equal(step + k, later_step[kept])
    np.testing.assert_array_equal(id, later_id[kept])


def test_another_population_changes_nothing(precision):
    class WithMore(dd.Network):
        def __init__(self):
            self.more = dd.Population(33, cell(420.0), V=dd.Normal(-60.0, 3.0))
            network = Stimulated()
            self.source, self.N, self.exc, self.rec = (
                network.source,
                network.N,
                network.exc,
                network.rec,
            )

    alone = spikes_of(Stimulated(), (300.0,), precision=precision)
    together = spikes_of(WithMore(), (300.0,), precision=precision)
    np.testing.assert_array_equal(alone, together)


class Counting(dd.Network):
    """Targets that only add up what they receive: V in units of the weight, 2^-6 mV."""

    def __init__(self, rule):
        rng = np.random.default_rng(5)
        place = rng.choice(40 * 500, 3000, replace=False)
        source = dd.SpikeTimes(id=place % 40, time=0.1 * (1 + place // 40))
        counter = dd.LIF(C_m=1.0, tau_m=1e18, E_L=0.0, V_th=np.inf, V_reset=0.0, t_ref=0.0)
        self.source = dd.Population(40, source)
        self.N = dd.Population(70, counter, V=0.0)
        self.exc = dd.Projection(
            self.source, self.N, rule, dd.Delta(), weight=2.0**-6, delay=dd.Uniform(0.1, 8.0)
        )


@pytest.mark.parametrize(
    "rule", [dd.FixedOutdegree(25), dd.FixedProb(0.3), dd.FixedTotal(1000), dd.AllToAll()]
)
def test_every_spike_arrives_at_every_synapse_once(rule, precision):
    network = Counting(rule)
    runner = dd.DSRunner(network, dt=0.1, seed=2, record="source.spikes", precision=precision)
    spikes = runner.run(60.0).gather().spikes["source"]  # the last spike 50 ms, and 8 ms on the way
    edges = runner["exc"].edges()
    emitted = np.bincount(spikes.id, minlength=40)
    received = np.asarray(runner["N"].V, float) * 2**6
    expected = np.bincount(edges.post, weights=emitted[edges.pre], minlength=70)
    np.testing.assert_array_equal(received, expected)
    if isinstance(rule, dd.FixedOutdegree):
        assert received.sum() == 25 * len(spikes)


@pytest.mark.parametrize("method", [None, dd.ExpEuler(), dd.RK4()])
def test_a_batch_is_its_members(method):
    """`vmap` of a cell's step over trials gives what each trial gives alone."""
    model = dd.LIF(tau_m=12.0, I_e=300.0, method=method)
    current = np.random.default_rng(4).normal(0.0, 200.0, (5, 100, 3)).astype(np.float32)

    def trial(current):
        def step(state, k_current):
            k, current = k_current
            tick = dd.Tick(step=k, dt=0.1, t=k * 0.1)
            state, _ = model.step(state, dd.Drive(current), tick)
            return state, state.V

        start = model.State(V=jnp.full(3, -65.0, jnp.float32))
        return jax.lax.scan(step, start, (jnp.arange(100.0), current))[1]

    together = jax.jit(jax.vmap(trial))(current)
    for k in range(5):
        np.testing.assert_array_equal(together[k], jax.jit(trial)(current[k]))
