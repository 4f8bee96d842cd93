"""Couplings: what a cell emits, and what the sum of values does, against equations solved apart."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp

import distdyn as dd
from distdyn.errors import NetworkError, SimulationError, WeightError
from distdyn.parallel import connect
from distdyn.run.record import resolve
from tests.mpi.same import Coupled


class Passive(dd.ODE):
    """C V' = -g V + I."""

    C: float = dd.param(200.0, "pF")
    g: float = dd.param(10.0, "nS")
    I_e: float = dd.param(0.0, "pA")

    class State(NamedTuple):
        V: jax.Array

    def init(self, id, key):
        return self.State(V=0.0)

    def derivative(self, t, s, drive):
        return self.State(V=(self.I_e - self.g * s.V + drive.current) / self.C)


class Relay(dd.Network):
    """Cells that spike when they are told to, and one that listens."""

    def __init__(self, synapse, times, output=None, *, kick=0.1, **given):
        cell = dd.LIF(C_m=1.0, tau_m=1.0, E_L=0.0, V_th=10.0, V_reset=0.0, t_ref=0.0)
        self.source = dd.Population(1, dd.SpikeTimes(id=[0] * len(times), time=times))
        self.pre = dd.Population(1, cell)
        self.kick = dd.Projection(
            self.source, self.pre, dd.OneToOne(), dd.Delta(), weight=20.0, delay=kick
        )
        self.post = dd.Population(1, Passive())
        given = {"weight": 1.0, "delay": 0.0} | given
        self.syn = dd.Projection(self.pre, self.post, dd.AllToAll(), synapse, output, **given)


def course(network, duration, what, dt=0.1, **options):
    runner = dd.DSRunner(network, dt=dt, seed=1, precision="float64", record=[what], **options)
    trace = runner.run(duration).traces[what]
    return np.asarray(trace.time), np.asarray(trace.value)[:, 0]


# --- receptors that saturate ---------------------------------------------------------------------


def test_NMDA_after_one_spike():  # N23
    time, s = course(Relay(dd.NMDA(), [0.9]), 102.0, "pre.syn.s")
    for after, expected in ((1.0, 0.32363797631), (10.0, 0.58377940254), (100.0, 0.23853918763)):
        assert abs(s[np.argmin(abs(time - 1.0 - after))] - expected) < 1e-4


def test_NMDA_saturates():  # N23
    _, s = course(Relay(dd.NMDA(), [0.9, 2.9, 4.9, 6.9, 8.9]), 30.0, "pre.syn.s")
    alone = course(Relay(dd.NMDA(), [0.9]), 30.0, "pre.syn.s")[1]
    assert 0.9 < s.max() < 1.0 and s.max() < 2 * alone.max()

    def slope(t, y):
        x, s = y
        return -x / 2.0, -s / 100.0 + 0.5 * x * (1.0 - s)

    y = np.zeros(2)
    for begin, end in zip([1.0, 3.0, 5.0, 7.0, 9.0], [3.0, 5.0, 7.0, 9.0, 30.0], strict=True):
        y = solve_ivp(slope, (begin, end), y + np.array([1.0, 0.0]), rtol=1e-10, atol=1e-12).y[
            :, -1
        ]
    assert abs(s[-1] - y[1]) < 1e-4


def test_NMDA_error_is_of_order_2():
    errors = []
    for dt in (0.2, 0.1):
        time, s = course(Relay(dd.NMDA(), [1.0 - dt], kick=dt), 12.0, "pre.syn.s", dt=dt)
        errors.append(abs(s[np.argmin(abs(time - 11.0))] - 0.58377940254))
    assert errors[0] / errors[1] > 3.5


def test_AMPA_and_GABAa_are_exact():
    for synapse in (dd.AMPA(), dd.GABAa(T=0.5, T_duration=2.0)):
        a, b, T, lasting = synapse.alpha, synapse.beta, synapse.T, synapse.T_duration
        time, r = course(Relay(synapse, [0.9]), 10.0, "pre.syn.r")
        t, steady, rate = time - 1.0, a * T / (a * T + b), a * T + b
        peak = steady * -np.expm1(-rate * lasting)
        during, after = steady * -np.expm1(-rate * t), peak * np.exp(-b * (t - lasting))
        expected = np.where(t <= 0, 0.0, np.where(t <= lasting + 1e-9, during, after))
        np.testing.assert_allclose(r, expected, atol=1e-12)


def test_a_pulse_that_ends_within_a_step():
    time, r = course(Relay(dd.AMPA(T_duration=0.25), [0.9]), 5.0, "pre.syn.r")
    peak = 1.1 / 1.29 * -np.expm1(-1.29 * 0.25)
    late = time > 1.3
    np.testing.assert_allclose(r[late], peak * np.exp(-0.19 * (time[late] - 1.25)), atol=1e-12)


def test_GABAb():
    of = dd.GABAb()
    network, record = Relay(of, [0.9], output=dd.COBA(E=-95.0)), ["pre.syn.s", "post.syn.g"]
    runner = dd.DSRunner(network, dt=0.1, seed=1, precision="float64", record=record)
    traces = runner.run(300.0).traces
    time, (s, g) = traces["pre.syn.s"].time, (np.ravel(traces[name].value) for name in record)

    def slope(t, y):
        r, s = y
        T = of.T if t < of.T_duration else 0.0
        return of.alpha * T * (1 - r) - of.beta * r, of.k3 * r - of.k4 * s

    options = {"rtol": 1e-10, "atol": 1e-13, "max_step": 0.5}
    y = solve_ivp(slope, (0.0, 1.0), [0.0, 0.0], **options).y[:, -1]
    found = solve_ivp(slope, (1.0, 250.0), y, t_eval=[20.0, 60.0, 250.0], **options).y[1]
    at = [np.argmin(abs(time - 1.0 - t)) for t in (20.0, 60.0, 250.0)]
    np.testing.assert_allclose(s[at], found, rtol=2e-4)
    four = s[at] ** 4
    # With a delay of 0 a step begins with what was emitted at the end of the one before.
    np.testing.assert_allclose(g[np.array(at) + 1], four / (four + of.K_d), rtol=1e-12)


def test_MgBlock():  # N22
    known = {
        -80.0: 0.0244246530, -65.0: 0.0596681536, -40.0: 0.2301553183, -20.0: 0.5081406795,
        0.0: 0.7811816193, 40.0: 0.9770801558,
    }  # fmt: skip
    block = dd.MgBlock()
    with jax.enable_x64(True):
        for V, part in known.items():
            formula = 1 / (1 + np.exp(-0.062 * V) / 3.57)
            assert abs(formula - part) < 1e-10
            assert abs(float(block.part(np.float64(V))) - formula) < 1e-12
            assert abs(float(block.current(2.0, np.float64(V))) + 2.0 * formula * V) < 1e-12
    assert float(dd.MgBlock(Mg=0.0).part(-80.0)) == 1.0


def test_values_arrive_after_their_delay():
    g = course(Relay(dd.AMPA(), [0.9], delay=2.0), 8.0, "post.syn.g")[1]
    r = course(Relay(dd.AMPA(), [0.9]), 8.0, "pre.syn.r")[1]
    np.testing.assert_allclose(g[20:], r[:-20], atol=1e-12)
    assert not g[:20].any()


def test_Graded_release():
    V0 = np.array([-45.0, -35.0, -20.0])

    class Net(dd.Network):
        def __init__(self):
            self.pre = dd.Population(3, Passive(I_e=10.0 * V0), V=V0)
            self.post = dd.Population(1, Passive())
            self.syn = dd.Projection(
                self.pre, self.post, dd.AllToAll(), dd.Graded(), dd.COBA(E=0.0),
                weight=1.0, delay=0.1,
            )  # fmt: skip

    runner = dd.DSRunner(Net(), dt=0.1, seed=1, precision="float64", record=["pre.syn.s"])
    trace = runner.run(30.0).traces["pre.syn.s"]
    steady = 1 / (1 + np.exp((-35.0 - V0) / 5.0))
    left = np.exp(-0.025 * np.asarray(trace.time)[:, None] / (1 - steady))
    np.testing.assert_allclose(trace.value, steady * (1 - left), atol=1e-10)


# --- potentials ----------------------------------------------------------------------------------


class Pair(dd.Network):
    def __init__(self):
        self.N = dd.Population(2, Passive(I_e=np.array([100.0, 0.0])))
        self.gap = dd.Projection(
            self.N, self.N, dd.AllToAll(autapses=False), dd.GapJunction(), weight=5.0, delay=0.0
        )


@pytest.mark.parametrize("devices", [1, 2])
def test_GapJunction_of_two_passive_cells(devices):  # N30
    runner = dd.DSRunner(Pair(), dt=0.1, seed=1, precision="float64", devices=devices)
    runner.run(1000.0)
    V = runner["N"].V
    np.testing.assert_allclose(V, [7.5, 2.5], atol=1e-9)
    current = runner["gap"].g - runner["gap"].w * V
    assert abs(current[0] + 5.0 * 5.0) < 1e-9 and abs(current.sum()) < 1e-9


def test_GapJunction_time_constants():  # N30: 20 ms of the sum, 10 ms of the difference
    errors = []
    for dt in (0.1, 0.05):
        runner = dd.DSRunner(Pair(), dt=dt, seed=1, precision="float64", record=["N.V"])
        trace = runner.run(30.0).traces["N.V"]
        one, two = np.asarray(trace.value).T
        late = np.asarray(trace.time)
        common = np.max(abs(one + two - 10.0 * -np.expm1(-late / 20.0)))
        apart = np.max(abs(one - two - 5.0 * -np.expm1(-late / 10.0)))
        errors.append(common + apart)
    assert errors[1] < 0.05 and 1.8 < errors[0] / errors[1] < 2.2


def test_GapJunction_knows_its_weights():
    class Net(dd.Network):
        def __init__(self):
            self.N = dd.Population(50, Passive(), V=dd.Normal(-60.0, 10.0))
            self.gap = dd.Projection(
                self.N, self.N, dd.FixedProb(0.2), dd.GapJunction(), weight=dd.Uniform(0.1, 2.0),
                delay=0.0,
            )  # fmt: skip

    runner = dd.DSRunner(Net(), dt=0.1, seed=1, precision="float64", devices=2)
    edges = runner["gap"].edges()
    expected = np.bincount(edges.post, edges.weight, 50)
    np.testing.assert_allclose(runner["gap"].w, expected, rtol=1e-12)
    V = runner["N"].V
    runner.run(0.1)
    arrived = np.bincount(edges.post, edges.weight * V[edges.pre], 50)
    np.testing.assert_allclose(runner["gap"].g, arrived, rtol=1e-12)
    runner["gap"].weight = 3.0
    np.testing.assert_allclose(runner["gap"].w, 3.0 * np.bincount(edges.post, minlength=50))


# --- rates and phases ----------------------------------------------------------------------------


class Rates(dd.Network):
    """Threshold-linear units, by Euler's method, so that numpy can follow."""

    def __init__(self, weight, steps, dt):
        n = len(weight)
        unit = dd.ThresholdLinear(tau=5.0, beta=1.0, I_e=1.0, method=dd.Euler())
        self.N = dd.Population(n, unit, r=np.linspace(0.5, 2.0, n))
        pre, post = np.nonzero(weight)
        of = steps[pre, post]
        self.late = dd.Projection(
            self.N, self.N, dd.Edges(pre[of > 0], post[of > 0]), dd.Additive(),
            weight=weight[pre, post][of > 0], delay=of[of > 0] * dt,
        )  # fmt: skip
        self.at_once = dd.Projection(
            self.N, self.N, dd.Edges(pre[of == 0], post[of == 0]), dd.Additive(),
            weight=weight[pre, post][of == 0], delay=0.0,
        )  # fmt: skip


@pytest.mark.parametrize("devices", [1, 3])
def test_Additive_with_delays(devices):
    rng, n, dt, T = np.random.default_rng(1), 12, 0.1, 300
    weight = rng.normal(0.0, 0.3, (n, n)) * (rng.random((n, n)) < 0.5)
    steps = rng.integers(0, 40, (n, n)) * (rng.random((n, n)) < 0.7)
    runner = dd.DSRunner(
        Rates(weight, steps, dt), dt=dt, seed=1, precision="float64", devices=devices,
        record=["N.r"],
    )  # fmt: skip
    found = np.asarray(runner.run(T * dt).traces["N.r"].value)
    r = [np.linspace(0.5, 2.0, n)]
    for t in range(T):  # before the start everything was as at the start
        past = np.array([[r[max(t - steps[i, j], 0)][i] for j in range(n)] for i in range(n)])
        above = np.maximum(1.0 + (weight * past).sum(axis=0), 0.0)
        r.append(r[-1] + dt / 5.0 * (above - r[-1]))
    np.testing.assert_allclose(found, r[1:], rtol=1e-8)  # weights of edges are of 32 bits


def test_populations_of_one_group_whose_values_differ_in_size():
    """Each has its own `most`, by which values are scaled."""

    class Net(dd.Network):
        def __init__(self):
            unit = dd.ThresholdLinear(tau=5.0, beta=1.0, method=dd.Euler())
            self.small = dd.Population(2, unit, r=np.array([0.5, 0.25]))
            self.large = dd.Population(2, unit, r=np.array([500.0, 250.0]))
            for name, of, most in (("a", self.small, 1.0), ("b", self.large, 1000.0)):
                coupling = dd.Additive(most=most)
                rule = dd.AllToAll(autapses=False)
                setattr(self, name, dd.Projection(of, of, rule, coupling, weight=2.0, delay=0.1))

    runner = dd.DSRunner(Net(), dt=0.1, seed=1, precision="float64")
    assert len(runner._shard.groups) == 2  # one of cells, one of what they emit
    runner.run(0.1)
    r = np.array([0.5, 0.25])
    expected = r + 0.1 / 5.0 * (2.0 * r[::-1] - r)
    np.testing.assert_allclose(runner["small"].r, expected, rtol=1e-12)
    np.testing.assert_allclose(runner["large"].r, 1000.0 * expected, rtol=1e-12)


def test_Diffusive_brings_units_together():
    class Net(dd.Network):
        def __init__(self):
            self.N = dd.Population(2, dd.Kuramoto(omega=0.0), theta=np.array([1.0, 0.0]))
            self.syn = dd.Projection(
                self.N, self.N, dd.AllToAll(autapses=False), dd.Diffusive(), weight=0.1, delay=0.0
            )

    found = course(Net(), 10.0, "N.theta", dt=0.001)[1][-1]
    assert abs(found - (0.5 + 0.5 * np.exp(-2.0))) < 1e-4


def test_Sine_locks_two_phases():
    class Net(dd.Network):
        def __init__(self, lag):
            omega = np.array([0.1, 0.06])
            self.N = dd.Population(2, dd.Kuramoto(omega=omega))
            self.syn = dd.Projection(
                self.N, self.N, dd.AllToAll(autapses=False), dd.Sine(lag=lag), weight=0.05,
                delay=0.0,
            )  # fmt: skip

    for lag in (0.0, 0.4):
        runner = dd.DSRunner(Net(lag), dt=0.05, seed=1, precision="float64")
        runner.run(1500.0)
        one, two = runner["N"].theta
        difference = np.remainder(one - two + np.pi, 2 * np.pi) - np.pi
        # (one - two)' = 0.04 - 2 * 0.05 sin(one - two) cos(lag)
        assert abs(difference - np.arcsin(0.4 / np.cos(lag))) < 2e-3


@pytest.mark.parametrize(
    "K, r, within", [(4.0, 0.7071, 0.02), (3.0, 0.577, 0.03), (1.5, 0.0, 0.05)]
)
def test_Kuramoto_synchrony_of_lorentzian_frequencies(K, r, within, seed):  # N31
    n = 10_000
    quantile = (np.arange(n) + 0.5) / n

    class Net(dd.Network):
        def __init__(self):
            omega = np.tan(np.pi * (quantile - 0.5))
            rng = np.random.default_rng(seed)
            self.N = dd.Population(
                n, dd.Kuramoto(omega=rng.permutation(omega)), theta=dd.Uniform(-np.pi, np.pi)
            )
            self.all = dd.Projection(
                self.N, self.N, dd.AllToAll(), dd.Sine(), weight=K / n, delay=0.0
            )

    runner = dd.DSRunner(Net(), dt=0.05, seed=seed, precision="float64")
    runner.run(40.0)
    order = []
    runner.run(
        10.0, every=0.5, call=lambda _: order.append(abs(np.exp(1j * runner["N"].theta).mean()))
    )
    assert abs(np.mean(order) - r) < within


# --- the same on any partition -------------------------------------------------------------------


VALUES = ["E.V", "E.nmda.g", "E.nmda.s", "I.gap.g", "E.slow.g", "W.E", "W.add.g", "K.theta"]


together = pytest.mark.xdist_group("coupled")  # one worker: they compare with the same states


def states_of(durations=(20.0,), **options):
    """What is looked at, behind each of some runs in a row."""
    runner = dd.DSRunner(Coupled(), dt=0.1, seed=1, record="spikes", **options)
    shard, found, n = runner._shard, [], 0
    for T in durations:
        n += sum(len(of.id) for of in runner.run(T).spikes.values())
        # recording them would be another way through the steps
        found.append([shard.read_state(*resolve(shard, name)[:2]) for name in VALUES])
    assert n > 50
    return found


@pytest.fixture(scope="module")
def alone():
    """At 5 ms, and at 20."""
    return states_of((5.0, 15.0))


@together
@pytest.mark.parametrize("devices", [pytest.param(2, marks=pytest.mark.slow), 3])
def test_on_several_devices(alone, devices):
    for one, two in zip(alone[-1], states_of(devices=devices)[-1], strict=True):
        np.testing.assert_array_equal(one, two)


@together
def test_in_several_runs_on_two_devices(alone):
    for one, two in zip(alone[-1], states_of((3.0, 0.1, 16.9), devices=2)[-1], strict=True):
        np.testing.assert_array_equal(one, two)


@together
def test_sums_are_what_their_synapses_bring(alone, monkeypatch):
    monkeypatch.setattr(connect, "is_summed", lambda projection: False)
    for one, two in zip(alone[-1], states_of()[-1], strict=True):
        np.testing.assert_array_equal(one, two)


@together
@pytest.mark.parametrize(
    "road, is_cut",
    # Without a kernel all is one program, which XLA compiles for half a minute.
    [("reference", True), ("gpu", False), pytest.param("gpu", True, marks=pytest.mark.slow)],
)
def test_on_other_roads(alone, road, is_cut, monkeypatch):
    monkeypatch.setenv("DISTDYN_KERNELS", road)
    [one] = states_of((5.0,))
    for a, b in zip(one, alone[0], strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-4)
    if is_cut:
        [two] = states_of((5.0,), devices=2)
        for a, b in zip(one, two, strict=True):
            np.testing.assert_array_equal(a, b)


# --- what is not possible ------------------------------------------------------------------------


def test_what_is_not_possible_is_said():
    cells = dd.Population(5, dd.LIF())
    rates = dd.Population(5, dd.WilsonCowan())
    trains = dd.Population(5, dd.Poisson(rate=10.0))
    some = {"weight": 1.0, "delay": 1.0}

    def refused(words, *given, **more):
        with pytest.raises(NetworkError, match=words):
            dd.Projection(*given, **(some | more))

    refused("does not say by emit", cells, rates, dd.AllToAll(), dd.Additive())
    refused("cannot be pre of NMDA", rates, cells, dd.AllToAll(), dd.NMDA())
    refused("Let cells relay", trains, cells, dd.AllToAll(), dd.NMDA())
    refused("no state V", rates, cells, dd.AllToAll(), dd.GapJunction())
    refused("no phase theta", rates, rates, dd.AllToAll(), dd.Sine())
    refused("cannot be post of Diffusive", rates, cells, dd.AllToAll(), dd.Diffusive())
    refused("acts at every step", cells, cells, dd.AllToAll(), dd.NMDA(), plasticity=dd.STDP())
    refused("storage", cells, cells, dd.AllToAll(), dd.NMDA(), storage="procedural")
    with pytest.raises(NetworkError, match="needs cells that emit"):
        dd.PoissonInput(cells, 10.0, dd.NMDA(), weight=1.0)
    with pytest.raises(WeightError, match="-1"):
        dd.Projection(cells, cells, dd.AllToAll(), dd.GapJunction(), weight=-1.0, delay=0.0)


def test_a_value_beyond_the_largest_ends_the_run():
    class Net(dd.Network):
        def __init__(self):
            self.N = dd.Population(3, Passive(I_e=1e4))
            self.gap = dd.Projection(
                self.N, self.N, dd.AllToAll(), dd.GapJunction(most=100.0), weight=1.0, delay=0.0
            )

    runner = dd.DSRunner(Net(), dt=0.1, seed=1)
    with pytest.raises(SimulationError, match=r"by GapJunction is beyond 100.*larger `most`"):
        runner.run(100.0)


def test_a_coupling_of_the_user():
    class Fraction(dd.Coupling):
        tau: float = 50.0

        def begin(self):
            return 0.0

        def follow(self, s, neuron, spike, dt):
            return jnp.where(spike, 1.0, s * jnp.exp(-dt / self.tau))

        def emit(self, s, cell, neuron):
            return s

    time, g = course(Relay(Fraction(), [0.9, 3.9], weight=2.0), 10.0, "post.syn.g")
    since = np.where(time > 4.0, time - 4.0, time - 1.0) - 0.1
    expected = np.where(time > 1.05, 2.0 * np.exp(-since / 50.0), 0.0)
    np.testing.assert_allclose(g, expected, atol=1e-12)
