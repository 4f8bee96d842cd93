"""Cells that adapt: published spike times, and solutions by scipy that are reset on the grid."""

import jax
import numpy as np
import pytest

import distdyn as dd
from distdyn.core import Cell
from tests.models.references import resets
from tests.models.side_by_side import SideBySide, spike_times

DT = 0.01
RK4 = dd.RK4()

CELLS = {
    # As NEST's test against LSODAR.
    "AdEx": (
        dd.AdEx(
            C_m=200.0, g_L=11.0, E_L=-70.0, V_T=-50.0, D_T=2.0, V_th=0.0, V_reset=-58.0,
            tau_w=300.0, a=3.0, b=0.0, I_e=420.0, method=RK4,
        ),
        {"w": 5.0},
    ),
    "Izhikevich": dd.Izhikevich(I_e=10.0, method=RK4),
    "AdQIF": dd.AdQIF(I_e=150.0, method=RK4),
    "GIF": dd.GIF(I_e=150.0),
    "GIF_adapts": dd.GIF(a=0.005, I_e=200.0),
    "GIF_bursts": dd.GIF(a=0.005, A1=1000.0, A2=-60.0, I_e=200.0),
    "ALIF": dd.ALIF(I_e=1.0),
    "LIF_SFA": dd.LIF_SFA(I_e=400.0),
}  # fmt: skip


@pytest.fixture(scope="module")
def times():
    return spike_times(CELLS, dt=DT, duration=300.0)


def test_AdEx_spikes_when_LSODAR_says(times):
    expected = [18.716048, 30.561900, 42.497086, 54.520117, 66.629454, 78.823515, 91.100673]
    found = times["AdEx"][:7]
    # Each spike is at the first grid point after its time, and the next counts from there.
    np.testing.assert_allclose(found[0], expected[0], atol=0.02)
    np.testing.assert_allclose(found, expected, atol=0.15)


def test_Izhikevich_regular_spiking(times):
    expected = [3.127055, 26.226025, 71.057097, 115.869511]
    np.testing.assert_allclose(times["Izhikevich"][:4], expected, atol=0.05)
    assert np.diff(times["Izhikevich"])[-1] == pytest.approx(44.812414, abs=0.01)


def test_AdQIF_spikes_when_scipy_says(times):
    def f(y):
        V, u = y
        dV = (0.7 * (V + 60) * (V + 40) - u + 150) / 100
        return [dV, 0.03 * (-2 * (V + 60) - u)]

    expected = resets(
        f, [-60.0, 0.0], threshold=lambda y: 35.0, reset=lambda y: [-50.0, y[1] + 100.0],
        dt=DT, duration=300.0,
    )  # fmt: skip
    assert len(expected) >= 4
    # u goes on to the grid point, at -9 pA/ms: the next spike is up to 0.01 ms earlier.
    np.testing.assert_allclose(times["AdQIF"], expected, atol=DT * len(expected))


def mihalas_niebur(a, A1, A2, I):
    """In the paper's form: everything divided by the capacitance."""

    def f(y):
        V, theta, I1, I2 = y
        dV = I + I1 + I2 - 0.05 * (V + 70)
        return [dV, a * (V + 70) - 0.01 * (theta + 50), -0.2 * I1, -0.02 * I2]

    def reset(y):
        return [-70.0, max(-60.0, y[1]), A1, y[3] + A2]

    return resets(
        f, [-70.0, -50.0, 0.0, 0.0], threshold=lambda y: y[1], reset=reset, dt=DT, duration=300.0
    )


@pytest.mark.parametrize(
    "name, a, A1, A2, I",
    [
        ("GIF", 0.0, 0.0, 0.0, 1.5),
        ("GIF_adapts", 0.005, 0.0, 0.0, 2.0),
        ("GIF_bursts", 0.005, 10.0, -0.6, 2.0),
    ],
)
def test_GIF_spikes_when_scipy_says(times, name, a, A1, A2, I):
    """The scheme is exact, but a crossing that is undone within the same step is not seen.

    The state is reset at the grid point and in scipy's solution as it crosses: a step apart.
    """
    expected = mihalas_niebur(a, A1, A2, I)
    assert len(times[name]) == len(expected)
    np.testing.assert_allclose(times[name], expected, atol=2 * DT * np.sqrt(len(expected)))


def test_GIF_bursts_as_in_the_paper(times):
    """Fast spikes, a pause of about 100 ms, and again."""
    gaps = np.diff(times["GIF_bursts"])
    assert np.sum(gaps > 80.0) == 2 and np.median(gaps) < 6.0
    adapting = np.diff(times["GIF_adapts"])
    assert np.all(np.diff(adapting[:10]) > 0.0)


def adapting(tau_m, gain, rise, beta, offset):
    """Spike times of a leaky cell whose threshold rises by beta; V counts from `offset`."""

    def f(y):
        return [(offset + gain - y[0]) / tau_m, -y[1] / 2000.0]

    return resets(
        f, [offset, 0.0], threshold=lambda y: offset + rise + beta * y[1],
        reset=lambda y: [y[0] - rise, y[1] + 1.0], dt=DT, duration=300.0, t_ref=5.0,
    )  # fmt: skip


def test_ALIF_spikes_when_scipy_says(times):
    expected = adapting(20.0, 1.0, 0.6, 0.0174, 0.0)
    found = times["ALIF"]
    np.testing.assert_allclose(found, expected, atol=DT * len(expected))
    first = 20.0 * np.log(1.0 / 0.4)
    assert found[0] == pytest.approx(np.ceil(first / DT) * DT, abs=1e-9)


def test_LIF_SFA_spikes_when_scipy_says(times):
    expected = adapting(20.0, 400.0 * 20.0 / 250.0, 15.0, 0.435, -65.0)
    np.testing.assert_allclose(times["LIF_SFA"], expected, atol=DT * len(expected))
    assert np.all(np.diff(times["LIF_SFA"], n=2) > -2 * DT)  # it adapts


def test_ALIF_is_the_published_recurrence():
    """v <- alpha v + W z - v_th z, a <- rho a + z in steps of 1 ms, as Bellec et al. write it."""
    rng = np.random.default_rng(1)
    jumps = 0.12 * rng.random(200)
    alpha, rho = np.exp(-1 / 20.0), np.exp(-1 / 2000.0)
    v, a, expected = 0.0, 0.0, []
    for k, jump in enumerate(jumps):
        v, a = alpha * v + jump, rho * a
        if v >= 0.6 + 0.0174 * a:
            expected.append(k + 1)
            v, a = v - 0.6, a + 1.0
    with jax.enable_x64(True):
        delta = dd.core.Receptor(dd.Delta(), dd.CUBA())
        cell = Cell.of(dd.ALIF(t_ref=0.0), (delta,))

        def step(state, given):
            k, jump = given
            return cell.step(state, dd.Drive(0.0, (jump,)), dd.Tick(k, 1.0, 1.0 * k))

        start = jax.tree.map(jax.numpy.asarray, cell.init(0, None))
        _, spikes = jax.lax.scan(step, start, (jax.numpy.arange(200), jax.numpy.asarray(jumps)))
    assert len(expected) > 10
    np.testing.assert_array_equal(np.flatnonzero(spikes) + 1, expected)


def test_recovery_of_Izhikevich_follows_the_potential_that_is_given():
    given = np.array([-70.0, -60.0, -50.0])
    cells = {"free": (dd.Izhikevich(b=0.25), {"V": given}), "own": (dd.Izhikevich(), {"u": 1.0})}
    runner = dd.DSRunner(SideBySide(3, cells), dt=0.1, precision="float64")
    np.testing.assert_allclose(runner["free"].u, 0.25 * given, rtol=1e-15)
    np.testing.assert_array_equal(runner["own"].u, 1.0)
