"""Cells composed of channels: spikes as published, units, paths, and the same bits however cut."""

import jax
import numpy as np
import pytest

import distdyn as dd
from distdyn.errors import NameLookupError, ParameterError
from tests.models.library import every_channel


def squid(**parameters):
    """The squid axon at rest (Hodgkin & Huxley 1952)."""
    leak = dd.ILeak(g=0.3, E=-54.387)
    return dd.Conductance(INa=dd.INa_HH1952(), IK=dd.IK_HH1952(), IL=leak, **parameters)


def spikes(cell, duration, **options):
    """Times of the spikes of one cell, and the runner."""
    runner = dd.DSRunner(cell, **{"dt": 0.01, "record": "spikes", "precision": "float64"} | options)
    return runner.run(duration).spikes["cell"].time, runner


# N10: the squid axon with 10 uA/cm2. Two methods of adaptive step agree on these times to 1e-11.

TIMES = [
    1.900971952, 16.822582650, 31.471826641, 46.109001560, 60.745283012, 75.381498294, 90.017708676
]  # fmt: skip


def test_squid_axon_spikes_when_it_should():
    """With RK4, each at the first step after the crossing; the state at 5 ms to all digits."""
    cell = squid(I_e=10.0, method=dd.RK4())
    found, runner = spikes(cell, 100.0)
    np.testing.assert_array_less(np.array(TIMES) - 1e-9, found)
    np.testing.assert_allclose(found, TIMES, atol=0.01)
    runner.reset()
    runner.run(5.0)
    cell = runner["cell"]
    state = [cell.V[0], cell.INa.m[0], cell.INa.h[0], cell.IK.n[0]]
    expected = [-75.05820541, 0.02158112, 0.14422361, 0.68913376]
    np.testing.assert_allclose(state, expected, rtol=1e-7, atol=1e-8)  # the digits, and order 4


def test_squid_axon_by_exponential_euler():
    """Its own error: V and gates from old values, spikes on the grid."""
    found, runner = spikes(squid(I_e=10.0), 100.0)
    np.testing.assert_allclose(found, [1.94, 16.94, 31.66, 46.37, 61.08, 75.79, 90.5], rtol=1e-12)
    assert "without their kernel" not in repr(runner)
    single, _ = spikes(squid(I_e=10.0), 100.0, precision="float32")
    np.testing.assert_allclose(single, found, atol=0.011)


def test_squid_axon_fires_more_often_with_more_current():
    class Axons(dd.Network):
        def __init__(self):
            self.N = dd.Population(4, squid(method=dd.RK4()))
            self.I = dd.CurrentInput(self.N, np.array([7.0, 10.0, 15.0, 20.0]))

    found = dd.DSRunner(Axons(), dt=0.01, record="spikes").run(100.0).spikes["N"]
    np.testing.assert_array_equal(np.bincount(found.id), [6, 7, 8, 9])


# N13: a pyramidal cell of Traub & Miles, in pF, nS and pA; solved with an adaptive step


@pytest.mark.parametrize(
    "I, expected, count",
    [
        (200.0, [4.0051, 25.7635, 47.5223, 69.2811, 91.0399], 10),
        (500.0, [2.4470, 14.5299, 26.6102], 17),
    ],
)
def test_pyramidal_cell_of_traub_and_miles(I, expected, count):
    cell = dd.Conductance(
        C_m=200.0, V_th=-20.0, V_0=-60.0, I_e=I, method=dd.RK4(),
        INa=dd.INa_TM1991(g=20_000.0), IK=dd.IK_TM1991(g=6_000.0), IL=dd.ILeak(g=10.0, E=-60.0),
    )  # fmt: skip
    found, _ = spikes(cell, 200.0)
    np.testing.assert_allclose(found[: len(expected)], expected, atol=0.01)
    assert len(found) == count


# Units: what comes in nS and pA meets a membrane per area


class OneSynapse(dd.Network):
    """N5: a spike of 6 nS arrives at a passive membrane at time 0 of its own, 1 ms here."""

    def __init__(self, cell, output, weight):
        self.S = dd.Population(1, dd.SpikeTimes(id=[0], time=[0.5]))
        self.N = dd.Population(1, cell)
        synapse = dd.Exponential(tau=5.0)
        self.syn = dd.Projection(
            self.S, self.N, dd.OneToOne(), synapse, output, weight=weight, delay=0.5
        )
        self.I = dd.CurrentInput(self.N, dd.Steps([50.0], [100.0]))


ABSOLUTE = {"C_m": 200.0, "IL": dd.ILeak(g=10.0, E=-60.0)}  # pF, nS
PER_AREA = {"C_m": 1.0, "IL": dd.ILeak(g=0.05, E=-60.0), "area": 20_000.0}  # uF/cm2, mS/cm2, um2


@pytest.mark.parametrize("output, weight", [(dd.COBA(E=0.0), 6.0), (None, 60.0)])
def test_synapses_and_currents_act_alike_on_a_membrane_of_20000_um2(output, weight):
    """Potentials per area and of the whole cell agree, and are those of closed forms."""
    found = []
    for membrane in (ABSOLUTE, PER_AREA):
        network = OneSynapse(dd.Conductance(V_0=-60.0, **membrane), output, weight)
        runner = dd.DSRunner(network, dt=0.1, precision="float64", record="N.V")
        found.append(runner.run(250.0).traces["N.V"].value[:, 0])
    np.testing.assert_allclose(found[1], found[0], rtol=1e-12)
    V = found[1][9:]  # from the arrival on
    if output is not None:  # the tolerance is that of exponential Euler
        expected = [-58.431259950754, -55.286429625198, -56.064909947761]
        np.testing.assert_allclose(V[[10, 50, 200]], expected, atol=1e-3)
    else:  # w / C tau / (tau_m - tau) tau_m (...), as for two exponentials
        t = np.array([1.0, 5.0, 20.0])
        shape = 20.0 * 5.0 / (20.0 - 5.0) * (np.exp(-t / 20.0) - np.exp(-t / 5.0))
        np.testing.assert_allclose(V[[10, 50, 200]], -60.0 + 60.0 / 200.0 * shape, atol=1e-3)
    assert V[-1] == pytest.approx(-60.0 + 100.0 / 10.0, abs=2e-3)  # 100 pA through 10 nS


# Members, paths, values at the start


def test_gates_start_at_their_steady_state_for_the_V_of_each_cell():
    """Unless they are given; another population of the same group keeps its own."""

    class Two(dd.Network):
        def __init__(self):
            self.A = dd.Population(3, squid(), V=np.array([-80.0, -65.0, -40.0]), **{"IK.n": 0.25})
            self.B = dd.Population(2, squid(V_0=-52.0))

    runner = dd.DSRunner(Two(), dt=0.01, precision="float64", record=dd.every(1.0, "A.INa.m"))
    A, B = runner["A"], runner["B"]
    np.testing.assert_array_equal(A.IK.n, [0.25, 0.25, 0.25])
    np.testing.assert_array_equal(A.V, [-80.0, -65.0, -40.0])
    # m_inf: at -40 mV alpha = 1 and beta = 4 exp(-25/18)
    assert A.INa.m[2] == pytest.approx(1 / (1 + 4 * np.exp(-25 / 18)), rel=1e-12)
    np.testing.assert_allclose(B.INa.m, 0.210258464529, rtol=1e-11)
    np.testing.assert_allclose(B.INa.h, 0.191317193825, rtol=1e-11)
    np.testing.assert_allclose(B.IK.n, 0.521389252501, rtol=1e-11)


def test_channels_are_read_set_and_recorded_by_path():
    class Some(dd.Network):
        def __init__(self):
            sodium = dd.INa_HH1952(g=dd.Uniform(100.0, 140.0))
            cell = dd.Conductance(INa=sodium, IL=dd.ILeak())
            self.E = dd.Population(40, cell)

    runner = dd.DSRunner(Some(), dt=0.01, record=[dd.every(0.1, "E.INa.m"), "E.V"], seed=1)
    E = runner["E"]
    assert 100.0 <= E.INa.g.min() < 110.0 and 130.0 < E.INa.g.max() <= 140.0
    E.INa.g, E.IL.E, E.INa.m = 90.0, np.arange(40.0) - 80.0, 0.125
    np.testing.assert_array_equal(E.INa.g, 90.0)
    np.testing.assert_array_equal(E.IL.E, np.arange(40.0) - 80.0)
    np.testing.assert_array_equal(E.INa.m, 0.125)
    recording = runner.run(1.0)
    assert recording.traces["E.INa.m"].value.shape == (10, 40)
    np.testing.assert_array_equal(recording.traces["E.INa.m"].value[-1], E.INa.m)
    assert dir(E.INa) == ["E", "V_rest", "g", "h", "m", "phi"] and "INa" in dir(E)
    assert "INa.g" in repr(E) and repr(E.IL).count("INa") == 0
    with pytest.raises(NameLookupError, match=r'"INa\.q".* "INa\.'):
        _ = E.INa.q
    with pytest.raises(ParameterError, match=r"INa: g = -1 mS/cm2"):
        E.INa.g = -1.0
    with pytest.raises(dd.DistDynError, match="does not change during a run"):
        dd.DSRunner(Some(), dt=0.01, record="E.INa.g")


def test_a_member_is_an_attribute_and_the_cell_a_pytree():
    cell = squid()
    assert cell.INa.g == 120.0
    with pytest.raises(AttributeError, match="INa"):
        _ = cell.Na

    @jax.jit
    def end(cell):
        def step(state, k):
            return cell.step(state, dd.Drive(10.0), dd.Tick(k, 0.05, k * 0.05))[0], None

        start = jax.tree.map(jax.numpy.asarray, cell.init(0, None))
        return jax.lax.scan(step, start, jax.numpy.arange(20))[0].V

    with jax.enable_x64(True):
        gradient = jax.grad(end)(cell)
        h = 1e-4
        up, down = (end(squid_with_g(120.0 + d)) for d in (h, -h))
    assert float(gradient.INa.g) == pytest.approx(float(up - down) / (2 * h), rel=1e-6)


def squid_with_g(g):
    leak = dd.ILeak(g=0.3, E=-54.387)
    return dd.Conductance(INa=dd.INa_HH1952(g=g), IK=dd.IK_HH1952(), IL=leak)


@pytest.mark.parametrize(
    "members, error, words",
    [
        ({"INa": dd.INa_HH1952}, ParameterError, "Give an instance"),
        ({"C": 1.0}, ParameterError, "C = 1.0 is neither a channel nor an ion"),
        ({"V": dd.ILeak()}, ParameterError, 'cannot be called "V"'),
        ({"step": dd.ILeak()}, ParameterError, 'cannot be called "step"'),
        ({"IT": dd.ICaT_HM1992()}, NameLookupError, 'needs the ion "Ca"'),
        (
            {"IAHP": dd.IAHP_De1994(Ca="Cal"), "Ca": dd.CalciumFixed()},
            NameLookupError,
            'Did you mean "Ca"',
        ),
    ],
)
def test_members_that_do_not_fit_are_refused(members, error, words):
    with pytest.raises(error, match=words):
        dd.Conductance(**members)


def test_parameters_of_channels_are_checked_with_the_population():
    with pytest.raises(ParameterError, match=r"INa: g = -1 mS/cm2"):
        dd.Population(2, dd.Conductance(INa=dd.INa_HH1952(g=-1.0)))
    with pytest.raises(ParameterError, match="length must be 2"):
        dd.Population(2, dd.Conductance(INa=dd.INa_HH1952(g=np.ones(3))))
    with pytest.raises(NameLookupError, match=r'no state "INa\.q"'):
        dd.Population(2, squid(), **{"INa.q": 0.5})


# However it is cut


class Parts(dd.Network):
    """Cells with currents and initial values of their own, and parts of them once more."""

    lengths = 1, 3, 7, 1000

    def __init__(self, n=1100):
        rng = np.random.default_rng(1)
        V, I = rng.uniform(-90.0, 20.0, n), rng.uniform(0.0, 20.0, n)
        C, cell = rng.uniform(1e-4, 1e-2, n), every_channel()
        self.parts = [slice((n - k) // 2, (n + k) // 2) for k in (n, *self.lengths)]
        self.N = [
            dd.Population(len(V[of]), cell, **{"V": V[of], "Ca.C": C[of]}) for of in self.parts
        ]
        self.I = [dd.CurrentInput(post, I[of]) for post, of in zip(self.N, self.parts, strict=True)]


@pytest.mark.parametrize("precision", ["float32", pytest.param("float64", marks=pytest.mark.slow)])
def test_a_part_of_the_cells_has_the_bits_of_the_whole(precision):
    """Of all channels, wherever in memory a cell stands: kernels work on sixteen at a time."""
    network = Parts()
    runner = dd.DSRunner(network, dt=0.05, precision=precision)
    assert "1 group" in repr(runner) and "without their kernel" not in repr(runner)
    runner.run(5.0)
    names = [name for name in runner._shard.state_names("N.0") if "." in name]
    assert len(names) > 40
    for name in ["V", *names]:
        whole = runner._shard.read_state("N.0", name)
        assert np.isfinite(whole).all() and len(np.unique(whole)) > 100
        for k, of in enumerate(network.parts):
            np.testing.assert_array_equal(runner._shard.read_state(f"N.{k}", name), whole[of])
