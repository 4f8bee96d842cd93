"""Cells with channels: spike times of NEURON and scipy, onsets of firing, rates that are 0 / 0."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import brentq

import distdyn as dd
from tests.models import references
from tests.models.references import crossings
from tests.models.side_by_side import SideBySide, spike_times

RK4 = dd.RK4()
DT = 0.01
CLASS_1 = {"g_Ca": 4.0, "phi": 1 / 15, "V3": 12.0, "V4": 17.4}

FAST = {
    "HodgkinHuxley": dd.HodgkinHuxley(I_e=10.0, method=RK4),
    "HodgkinHuxley_default": dd.HodgkinHuxley(I_e=10.0),
    **{f"HodgkinHuxley_{I:g}": dd.HodgkinHuxley(I_e=I, method=RK4) for I in (7.0, 15.0, 20.0)},
    "WangBuzsaki": dd.WangBuzsaki(I_e=1.0, method=RK4),
}
SLOW = {
    "MorrisLecar": dd.MorrisLecar(I_e=100.0, method=RK4),
    "MorrisLecar_below": dd.MorrisLecar(I_e=85.0, method=RK4),
    **{
        f"MorrisLecar_{I}": (dd.MorrisLecar(I_e=I, method=RK4, **CLASS_1), {"V": -20.0})
        for I in (40.4, 41, 42)
    },
    "PinskyRinzel": (
        dd.PinskyRinzel(I_e=0.75, method=RK4),
        dict(V=-64.6, Vd=-64.5, h=0.999, n=0.001, s=0.009, c=0.007, q=0.01, Ca=0.2),
    ),
}


@pytest.fixture(scope="module")
def fast():
    return spike_times(FAST, dt=DT, duration=100.0)


@pytest.fixture(scope="module")
def slow():
    return spike_times(SLOW, dt=0.02, duration=600.0)


def first_on_grid(times, dt):
    return np.ceil(np.asarray(times) / dt) * dt


def test_HodgkinHuxley_spikes_when_NEURON_and_scipy_say(fast):
    expected = [1.900971952, 16.822582650, 31.471826641, 46.109001560, 60.745283012, 75.381498294]
    expected += [90.017708676]
    np.testing.assert_allclose(fast["HodgkinHuxley"], first_on_grid(expected, DT), atol=1e-9)


@pytest.mark.parametrize("I, n", [("7", 6), ("15", 8), ("20", 9)])
def test_HodgkinHuxley_spikes_so_many_times(fast, I, n):
    assert len(fast[f"HodgkinHuxley_{I}"]) == n


def test_HodgkinHuxley_by_exponential_Euler(fast):
    """To the step; V and gates all from old values."""
    expected = [1.94, 16.94, 31.66, 46.37, 61.08, 75.79, 90.50]
    np.testing.assert_allclose(fast["HodgkinHuxley_default"], expected, atol=1e-9)


def test_HodgkinHuxley_state_after_five_milliseconds():
    expected = {"V": -75.05820541, "m": 0.02158112, "h": 0.14422361, "n": 0.68913376}
    with jax.enable_x64(True):
        model, state = FAST["HodgkinHuxley"], FAST["HodgkinHuxley"].init(0, None)

        def step(state, k):
            return model.step(state, dd.Drive(), dd.Tick(k, DT, DT * k))

        state, _ = jax.lax.scan(step, jax.tree.map(jnp.asarray, state), jnp.arange(500))
    for name, value in expected.items():
        assert getattr(state, name) == pytest.approx(value, abs=1e-6), name


def test_WangBuzsaki_spikes_when_scipy_says(fast):
    start = dd.WangBuzsaki().init(0, None)
    times, _ = crossings(
        references.wang_buzsaki, np.array(start, float), V_th=0.0, duration=100.0, I=1.0
    )
    assert 1000.0 / np.diff(times)[-1] == pytest.approx(59.7, abs=0.1)  # Hz
    np.testing.assert_allclose(fast["WangBuzsaki"], first_on_grid(times, DT), atol=1e-9)


def test_MorrisLecar_spikes_when_scipy_says(slow):
    start = np.array(dd.MorrisLecar().init(0, None), float)
    times, _ = crossings(references.morris_lecar, start, V_th=0.0, duration=600.0, I=100.0)
    assert len(times) == 7
    np.testing.assert_allclose(slow["MorrisLecar"], first_on_grid(times, 0.02), atol=0.02 + 1e-9)


def steady_current(model):
    """I at which V is a fixed point, and the trace of the Jacobian there, as functions of V."""

    def point(V):
        return model.settle(model.State(V, V))

    def derivative(y):
        return jnp.stack(model.derivative(0.0, model.State(*y), dd.Drive()))

    def current(V):
        return -model.C_m * model.derivative(0.0, point(V), dd.Drive()).V

    def trace(V):
        return jnp.trace(jax.jacfwd(derivative)(jnp.stack(point(V))))

    return jax.jit(current), jax.jit(trace)


def test_MorrisLecar_begins_to_fire_by_a_Hopf_bifurcation(slow):
    """Class 2: the fixed point loses its stability at I = 93.86; the cycle has a finite period."""
    with jax.enable_x64(True):
        current, trace = steady_current(dd.MorrisLecar())
        V = brentq(lambda V: float(trace(V)), -40.0, -15.0)
        assert float(current(V)) == pytest.approx(93.857, abs=0.01)
    assert len(slow["MorrisLecar_below"]) <= 1
    assert 50.0 < np.diff(slow["MorrisLecar"])[-1] < 120.0


def test_MorrisLecar_of_class_1_begins_at_rate_zero(slow):
    """The steady current has its maximum, where two fixed points vanish, at I = 39.96."""
    with jax.enable_x64(True):
        current, _ = steady_current(dd.MorrisLecar(**CLASS_1))
        V = np.linspace(-40.0, -20.0, 4001)
        assert float(jax.vmap(current)(V).max()) == pytest.approx(39.963, abs=0.01)
    for I, period in ((42, 145.447), (41, 195.837), (40.4, 290.278)):  # by scipy
        assert np.diff(slow[f"MorrisLecar_{I}"])[-1] == pytest.approx(period, abs=0.03)


def test_PinskyRinzel_bursts_when_scipy_says(slow):
    """Bursts of a few spikes of the soma, twice a second, as in the paper's figure at I = 0.75."""
    start = [-4.6, -4.5, 0.999, 0.001, 0.009, 0.007, 0.01, 0.2]
    times, _ = crossings(
        references.pinsky_rinzel, start, V_th=30.0, duration=600.0, method="LSODA", I=0.75
    )
    np.testing.assert_allclose(slow["PinskyRinzel"], times, atol=0.05)
    gaps = np.diff(times)
    assert np.sum(gaps > 50.0) == 2 and np.sum(gaps < 8.0) == len(times) - 3


RATES = {
    "HodgkinHuxley": (dd.HodgkinHuxley().rates, {(0, 0): (-40.0, 1.0), (2, 0): (-55.0, 0.1)}),
    "WangBuzsaki": (dd.WangBuzsaki().rates, {(0, 0): (-35.0, 1.0), (2, 0): (-34.0, 0.1)}),
    "soma": (
        dd.PinskyRinzel().rates_of_soma,
        {(0, 0): (-46.9, 1.28), (0, 1): (-19.9, 1.4), (2, 0): (-24.9, 0.08)},
    ),
    "dendrite": (dd.PinskyRinzel().rates_of_dendrite, {(0, 1): (-8.9, 0.1)}),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rates, singular", RATES.values(), ids=RATES)
def test_rates_at_their_singular_potentials(rates, singular, dtype):
    """Published as 0 / 0: the limit, there and beside it, and half of it per 2 k of slope."""
    with jax.enable_x64(dtype == "float64"):
        for (gate, which), (V, limit) in singular.items():
            around = jnp.asarray([V, V - 1e-6, V + 1e-6, V - 0.1, V + 0.1], dtype)
            values, slopes = jax.jvp(rates, (around,), (jnp.ones(5, dtype),))
            value, slope = np.asarray(values[gate][which]), np.asarray(slopes[gate][which])
            np.testing.assert_allclose(value[:3], limit, rtol=2e-6)
            assert np.isfinite(slope).all()
            # The slope at V0 is that of the secant, up to the curvature.
            secant = (value[4] - value[3]) / 0.2
            np.testing.assert_allclose(slope[:3], secant, rtol=2e-3)


def test_gates_follow_the_potential_that_is_given():
    """Per cell, and only those that are not given themselves."""
    given = np.array([-80.0, -65.0, -30.0])
    V3 = np.array([0.0, 2.0, 5.0])
    cells = {
        "HH": (dd.HodgkinHuxley(), {"V": given, "n": 0.5}),
        "ML": (dd.MorrisLecar(V3=V3), {"V": dd.Uniform(-60.0, -20.0)}),
    }
    runner = dd.DSRunner(SideBySide(3, cells), dt=0.1, precision="float64")
    am, bm = 0.1 * (given + 40.0), 4.0 * np.exp(-(given + 65.0) / 18.0)
    am = am / (1.0 - np.exp(-(given + 40.0) / 10.0))
    np.testing.assert_allclose(runner["HH"].m, am / (am + bm), rtol=1e-12)
    np.testing.assert_array_equal(runner["HH"].n, 0.5)
    V = runner["ML"].V
    assert -60.0 <= V.min() < V.max() <= -20.0
    np.testing.assert_allclose(runner["ML"].w, (1.0 + np.tanh((V - V3) / 30.0)) / 2.0, rtol=1e-12)


@pytest.mark.parametrize("cell", [dd.HodgkinHuxley, dd.WangBuzsaki, dd.MorrisLecar])
def test_gates_are_at_rest_where_they_settle(cell):
    """Nothing but the potential changes; in the soma and the dendrite, too."""
    with jax.enable_x64(True):
        model = cell()
        state = model.settle(model.State(*[jnp.asarray(-55.0)] * len(model.State._fields)))
        slopes = model.derivative(0.0, state, dd.Drive())._asdict()
        assert abs(slopes.pop("V")) > 0.01
        np.testing.assert_allclose(list(slopes.values()), 0.0, atol=1e-15)


def test_PinskyRinzel_settles_in_both_compartments():
    with jax.enable_x64(True):
        model = dd.PinskyRinzel()
        slopes = model.derivative(0.0, model.init(0, None), dd.Drive())._asdict()
        assert abs(slopes.pop("V")) < 0.02 and abs(slopes.pop("Vd")) < 0.02  # -64.57 mV is rest
        np.testing.assert_allclose(list(slopes.values()), 0.0, atol=1e-15)
