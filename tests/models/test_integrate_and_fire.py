"""Cells of one variable: their intervals between spikes are integrals of dV / f(V)."""

import jax
import numpy as np
import pytest
from scipy.integrate import quad

import distdyn as dd
from distdyn.errors import ParameterError
from tests.core.equations import trajectory
from tests.models.side_by_side import spike_times

DT = 0.01
RK4 = dd.RK4()

# V' = V^2 + 1 from -10 to 10 takes 2 atan(10).
UNIT_QIF = dd.QIF(
    C_m=1.0, tau_m=1.0, E_L=-0.5, V_T=0.5, V_th=10.0, V_reset=-10.0, I_e=1.25, method=RK4
)
CELLS = {
    "IF": dd.IF(I_e=400.0),
    "LIF": dd.LIF(E_L=0.0, V_reset=0.0, V_th=15.0, I_e=750.0),
    "QIF": (UNIT_QIF, {"V": -10.0}),
    "below": dd.QIF(I_e=93.7, method=RK4),  # the rheobase is 93.75
    "ExpIF": (dd.ExpIF(I_e=400.0, method=RK4), {"V": -68.0}),
}


@pytest.fixture(scope="module")
def times():
    return spike_times(CELLS, dt=DT, duration=100.0)


def intervals(times):
    """Between spikes, the first counted from 0."""
    return np.diff(times, prepend=0.0)


def test_IF_counts_charge(times):
    """C (V_th - V_reset) / I = 9.375 ms, which ends at the next grid point; then t_ref."""
    np.testing.assert_allclose(times["IF"], 9.38 + (9.38 + 2.0) * np.arange(8), atol=1e-9)


def test_LIF_intervals_are_the_closed_form(times):
    """tau log(RI / (RI - V_th)) + t_ref = 8.931 ms: the first without t_ref, each on the grid."""
    exact = 10.0 * np.log(30.0 / (30.0 - 15.0))
    assert exact + 2.0 == pytest.approx(8.93147181, abs=1e-8)
    on_grid = np.ceil(exact / DT) * DT
    np.testing.assert_allclose(times["LIF"], on_grid + (on_grid + 2.0) * np.arange(11), atol=1e-9)


def test_QIF_period_is_an_arctangent(times):
    """2 atan(10) = 2.94226; V leaves the parabola in the last step, which ends on the grid."""
    exact = 2.0 * np.arctan(10.0)
    assert exact == pytest.approx(2.94225534860747, abs=1e-13)
    np.testing.assert_allclose(intervals(times["QIF"]), np.ceil(exact / DT) * DT, atol=1e-9)


def test_QIF_does_not_fire_below_its_rheobase(times):
    assert len(times["below"]) == 0


def test_ExpIF_interval_is_the_integral_of_dV_over_f(times):
    def f(V):
        return (-65.0 - V + 3.48 * np.exp((V + 59.9) / 3.48)) / 10.0 + 400.0 / 200.0

    exact, _ = quad(lambda V: 1.0 / f(V), -68.0, -30.0)
    found = intervals(times["ExpIF"])
    expected = np.ceil(exact / DT) * DT + np.where(np.arange(len(found)) == 0, 0.0, 1.7)
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_LeakyIntegrator_follows_its_exponential():
    model = dd.LeakyIntegrator(tau_m=20.0, C_m=100.0, I_e=50.0)
    with jax.enable_x64(True):
        V = trajectory(model, n=300, dt=0.1).V
    expected = -65.0 + 50.0 * 20.0 / 100.0 * (1.0 - np.exp(-0.1 * np.arange(1, 301) / 20.0))
    np.testing.assert_allclose(V, expected, rtol=1e-13)


@pytest.mark.parametrize("method", [None, dd.RK4()], ids=["default", "RK4"])
def test_an_upstroke_never_overflows(method):
    """A step of 1 ms, a sharp upstroke, a current that takes V anywhere: spikes, and finite V."""
    strong = {"I_e": 5e4, "method": method}
    cells = {
        "QIF": dd.QIF(**strong),
        "ExpIF": dd.ExpIF(D_T=0.05, V_th=40.0, t_ref=1.0, **strong),
        "AdEx": dd.AdEx(D_T=0.05, V_th=40.0, **strong),
        "AdQIF": dd.AdQIF(**strong),
        "Izhikevich": dd.Izhikevich(**strong),
    }
    found = spike_times(cells, dt=1.0, duration=50.0, precision="float32")
    for name, times in found.items():  # a state that is not finite ends the run with an error
        assert len(times) >= 10, name


@pytest.mark.parametrize(
    "cell, wrong",
    [
        (dd.QIF, {"tau_m": 0.0}),
        (dd.ExpIF, {"D_T": -1.0}),
        (dd.IF, {"C_m": 0.0}),
        (dd.LeakyIntegrator, {"tau_m": np.inf}),
        (dd.AdEx, {"V_reset": 30.0}),
        (dd.PinskyRinzel, {"p": 0.0}),
        (dd.MorrisLecar, {"V4": 0.0}),
    ],
)
def test_parameters_that_are_not_possible_are_refused(cell, wrong):
    (name,) = wrong
    with pytest.raises(ParameterError, match=rf"{cell.__name__}.*{name}"):
        dd.Population(3, cell(**wrong))
