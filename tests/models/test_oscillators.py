"""Oscillators: exact phases and amplitudes, and a delay equation against scipy and by its roots."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.optimize import fsolve

import distdyn as dd
from tests.models.side_by_side import SideBySide

RK4 = dd.RK4()
REST = -1.19940803524
CELLS = {
    "above": (dd.StuartLandau(method=RK4), {"x": 0.3, "y": -0.4}),
    "below": (dd.StuartLandau(a=-0.1, omega=0.5, method=RK4), {"x": 1.0}),
    "alone": (dd.FeedbackFHN(mu=0.0, I_e=0.5, method=RK4), {}),
    "fed": (dd.FeedbackFHN(method=RK4), {"V": 0.0}),
    "calm": (dd.FeedbackFHN(mu=-0.4, method=RK4), {"V": REST + 1e-3}),
}
DT = 0.02


@pytest.fixture(scope="module")
def recording():
    record = ["alone.spikes", "above.x", "above.y", "below.x", "below.y", "fed.V", "calm.V"]
    runner = dd.DSRunner(SideBySide(1, CELLS), dt=DT, record=record, precision="float64")
    return runner.run(400.0)


def test_StuartLandau_follows_its_exact_solution(recording):
    for name, a, omega, x, y in (("above", 0.2, 0.2, 0.3, -0.4), ("below", -0.1, 0.5, 1.0, 0.0)):
        traces = recording.traces[f"{name}.x"], recording.traces[f"{name}.y"]
        t, z = traces[0].time, traces[0].value[:, 0] + 1j * traces[1].value[:, 0]
        R = np.hypot(x, y)
        r = np.sqrt(a / (1.0 + (a / R**2 - 1.0) * np.exp(-2.0 * a * t)))
        exact = r * np.exp(1j * (np.angle(x + 1j * y) + omega * t))
        np.testing.assert_allclose(z, exact, atol=1e-9)
        if a > 0:
            assert abs(z[-1]) == pytest.approx(0.4472135955, abs=1e-9)


def test_FeedbackFHN_without_feedback_has_the_period_of_FitzHughNagumo(recording):
    crossed = recording.spikes["alone"].time
    period = (crossed[-1] - crossed[2]) / (len(crossed) - 3)
    assert period == pytest.approx(39.474414980, abs=DT / 5)


def test_FeedbackFHN_with_feedback_is_what_scipy_says(recording):
    """By the method of steps: from delay to delay an ordinary equation with a known past."""
    past, y, tau = (lambda _: [0.0, 0.0]), [0.0, -0.62426004], 10.0
    for k in range(12):

        def slope(t, y, past=past):
            V, w = y
            feedback = -0.6 * (past(t - tau)[0] + 1.19940804)
            return [V - V**3 / 3.0 - w + feedback, 0.08 * (V + 0.7 - 0.8 * w)]

        span = (k * tau, (k + 1) * tau)
        solved = solve_ivp(slope, span, y, rtol=1e-10, atol=1e-12, dense_output=True)
        past, y = solved.sol, solved.y[:, -1]
        t = np.arange(span[0] + 1.0, span[1] + 0.5)
        V = recording.traces["fed.V"].value[np.rint(t / DT).astype(int) - 1, 0]
        np.testing.assert_allclose(V, past(t)[0], atol=2e-6)


def test_FeedbackFHN_comes_to_rest_as_the_roots_of_its_characteristic_equation_say(recording):
    """(x - 1 + V^2 - mu exp(-x tau)) (x + epsilon b) + epsilon = 0, and where Re x = 0: Hopf."""

    def residue(x, mu):
        return (x - 1.0 + REST**2 - mu * np.exp(-10.0 * x)) * (x + 0.064) + 0.08

    def real(x, mu):
        z = residue(x[0] + 1j * x[1], mu)
        return [z.real, z.imag]

    rate, frequency = fsolve(real, [0.0, 0.3], args=(-0.4,))
    trace = recording.traces["calm.V"]
    t, v = trace.time, trace.value[:, 0] - REST
    late = (t > 100.0) & (t < 250.0)  # when the other roots have decayed
    basis = np.exp((rate + 1j * frequency) * t[late])
    fit = np.stack([basis.real, basis.imag], 1)
    found, *_ = np.linalg.lstsq(fit, v[late])
    assert rate < 0.0
    np.testing.assert_allclose(v[late], fit @ found, atol=0.01 * np.abs(v[late]).max())
    for mu, period in ((-0.4944, 20.69), (0.6141, 11.33)):  # as the docstring has them
        found = fsolve(lambda x: real([0.0, x[0]], x[1]), [2.0 * np.pi / period, mu])
        assert 2.0 * np.pi / found[0] == pytest.approx(period, abs=0.005)
        assert found[1] == pytest.approx(mu, abs=5e-5)


def test_Kuramoto_keeps_its_phase_for_a_long_time():
    """In single precision an unlimited phase of 4,000 turns would move in steps of 0.002."""
    omega = np.float32(0.1257)
    runner = dd.DSRunner(
        dd.Kuramoto(omega=float(omega)), dt=1.0, record=[dd.every(1000.0, "theta")]
    )
    trace = runner.run(200_000.0).traces["theta"]
    theta = trace.value[:, 0]
    assert np.abs(theta).max() <= np.pi + 1e-6
    behind = np.angle(np.exp(1j * (theta - float(omega) * trace.time)))
    assert np.abs(behind).max() < 0.02


def test_Kuramoto_turns_by_hand_too_and_faster_with_an_input():
    with jax.enable_x64(True):
        model = dd.Kuramoto(omega=0.5)
        state, step = jax.tree.map(jnp.asarray, model.init(0, None)), jax.jit(model.step)
        for k in range(10):
            state, _ = step(state, dd.Drive(0.25), dd.Tick(k, 1.0, 1.0 * k))
        assert float(state.theta) == pytest.approx(7.5 - 2.0 * np.pi, abs=1e-9)
        assert float(model.emit(state)) == float(state.theta)
