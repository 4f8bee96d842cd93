"""Hemodynamics: steady state and flow in closed form, the whole response against scipy."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp

import distdyn as dd
from tests.models.references import bold_of

PULSE = dd.Steps([1000.0, 2000.0], [1.0, 0.0])


class Regions(dd.Network):
    """One with a constant activity, one with a pulse of a second."""

    def __init__(self):
        model = dd.BalloonWindkessel(method=dd.RK4())
        self.constant, self.pulsed = dd.Population(1, model), dd.Population(1, model)
        self.half = dd.CurrentInput(self.constant, 0.5)
        self.pulse = dd.CurrentInput(self.pulsed, PULSE)


@pytest.fixture(scope="module")
def traces():
    record = [dd.every(100.0, f"{region}.{x}") for region in ("constant", "pulsed") for x in "sfvq"]
    runner = dd.DSRunner(Regions(), dt=10.0, record=record, precision="float64")
    return runner.run(60_000.0).traces


def state_of(traces, region):
    return dd.BalloonWindkessel.State(*(traces[f"{region}.{x}"].value[:, 0] for x in "sfvq"))


def test_BalloonWindkessel_comes_to_its_steady_state(traces):
    """f = 1 + I / gamma, v = f^alpha, q = v (1 - (1 - rho)^(1 / f)) / rho."""
    f = 1.0 + 0.5 / 0.41
    v = f**0.32
    q = v * (1.0 - 0.66 ** (1.0 / f)) / 0.34
    last = [x[-1] for x in state_of(traces, "constant")]
    np.testing.assert_allclose(last, [0.0, f, v, q], atol=1e-7)
    signal = dd.BalloonWindkessel().emit(dd.BalloonWindkessel.State(*last))
    k1, k2 = 4.3 * 40.3 * 0.34 * 0.04, 0.5 * 25.0 * 0.34 * 0.04
    exact = 0.02 * (k1 * (1.0 - q) + k2 * (1.0 - q / v) + 0.5 * (1.0 - v))
    assert float(signal) == pytest.approx(exact, abs=1e-9)


def test_the_flow_of_BalloonWindkessel_is_a_damped_oscillation(traces):
    """Its equation is linear: f'' + kappa f' + gamma (f - 1) = I, in seconds."""
    t, f = traces["constant.f"].time / 1000.0, traces["constant.f"].value[:, 0]
    omega = np.sqrt(0.41 - 0.325**2)
    decay = np.exp(-0.325 * t) * (np.cos(omega * t) + 0.325 / omega * np.sin(omega * t))
    np.testing.assert_allclose(f, 1.0 + 0.5 / 0.41 * (1.0 - decay), atol=1e-9)


def test_BalloonWindkessel_answers_a_pulse_as_scipy_says(traces):
    """A peak 3.6 s after the beginning of a second of activity, and an undershoot."""
    times, exact = traces["pulsed.f"].time / 1000.0, []
    state, start = [0.0, 1.0, 1.0, 1.0], 0.0
    for end, I in ((1.0, 0.0), (2.0, 1.0), (60.0, 0.0)):
        at = times[(times > start + 1e-9) & (times < end + 1e-9)]
        solved = solve_ivp(
            bold_of, (start, end), state, args=(I,), t_eval=at, rtol=1e-10, atol=1e-12
        )
        state, start = solved.y[:, -1], end
        exact.append(solved.y)
    found = state_of(traces, "pulsed")
    np.testing.assert_allclose(np.stack(found), np.concatenate(exact, 1), atol=1e-7)
    signal = np.asarray(dd.BalloonWindkessel().emit(found))
    assert times[signal.argmax()] - 1.0 == pytest.approx(3.6, abs=0.11)
    assert signal.max() == pytest.approx(0.01135, abs=1e-4)
    assert -0.4 < signal.min() / signal.max() < -0.1
