"""Synapse kinetics: after one spike g follows its closed form, and its peak is the weight."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import distdyn as dd


@pytest.fixture(autouse=True)
def _double_precision():
    with jax.enable_x64(True):
        yield


def course(kinetics, weight=1.0, dt=0.01, duration=60.0):
    """Times, and g at them after one arrival: by the matrix exponential of the linear ODE."""
    values, structure = jax.tree.flatten(kinetics.arrive(kinetics.init(), weight))

    def derivative(vector):
        state = kinetics.derivative(jax.tree.unflatten(structure, list(vector)))
        return jnp.stack(jax.tree.leaves(state))

    start = jnp.stack([jnp.asarray(v, float) for v in values])
    step = jax.scipy.linalg.expm(jax.jacfwd(derivative)(start) * dt)
    n = round(duration / dt)
    _, rows = jax.lax.scan(lambda x, _: (step @ x, x), start, length=n)
    index = type(kinetics).State._fields.index("g")
    return np.arange(n) * dt, np.asarray(rows[:, index])


PEAKS = {
    "Exponential": (dd.Exponential(tau=5.0), 0.0),
    "Alpha": (dd.Alpha(tau=2.0), 2.0),
    "DualExponential": (dd.DualExponential(tau_rise=1.0, tau_decay=5.0), 1.25 * np.log(5.0)),
    "slower rise": (dd.DualExponential(tau_rise=5.0, tau_decay=1.0), 1.25 * np.log(5.0)),
    "equal": (dd.DualExponential(tau_rise=3.0, tau_decay=3.0), 3.0),
    "nearly equal": (dd.DualExponential(tau_rise=3.0, tau_decay=3.0 + 1e-9), 3.0),
    "a little apart": (dd.DualExponential(tau_rise=3.0, tau_decay=3.001), 3.0005),
    "far apart": (dd.DualExponential(tau_rise=0.01, tau_decay=10.0), 0.0100100100 * np.log(1000)),
}


@pytest.mark.parametrize("kinetics, t_peak", PEAKS.values(), ids=PEAKS)
def test_peak_is_the_weight(kinetics, t_peak):
    """Sampled within dt / 2 of the peak: too low by at most (dt / 2 tau)^2 / 2."""
    dt = 1e-4 if t_peak < 0.1 else 0.01
    time, g = course(kinetics, weight=7.0, dt=dt, duration=20.0 * max(t_peak, 0.05))
    assert g.max() == pytest.approx(7.0, rel=2e-5)
    assert time[g.argmax()] == pytest.approx(t_peak, abs=dt)


def test_exponential_course():
    time, g = course(dd.Exponential(tau=5.0), weight=-3.0)
    np.testing.assert_allclose(g, -3.0 * np.exp(-time / 5.0), rtol=1e-11)


def test_alpha_course():
    time, g = course(dd.Alpha(tau=2.0), weight=3.0)
    np.testing.assert_allclose(g, 3.0 * time / 2.0 * np.exp(1.0 - time / 2.0), rtol=1e-10)


def test_course_of_two_exponentials():
    time, g = course(dd.DualExponential(tau_rise=1.0, tau_decay=5.0))
    difference = np.exp(-time / 5.0) - np.exp(-time)
    peak = 5.0 ** (-1 / 4) - 5.0 ** (-5 / 4)
    np.testing.assert_allclose(g, difference / peak, rtol=1e-10, atol=1e-15)


@pytest.mark.parametrize("apart", [0.0, 1e-12, 1e-9, 1e-6])
def test_equal_time_constants_are_alpha_without_a_jump(apart):
    """The difference of the courses is of the order of that of the time constants."""
    _, dual = course(dd.DualExponential(tau_rise=2.0, tau_decay=2.0 * (1 + apart)))
    _, alpha = course(dd.Alpha(tau=2.0))
    np.testing.assert_allclose(dual, alpha, atol=max(apart, 1e-13))


@pytest.mark.parametrize("tau_decay", [3.0, 3.001, 7.0])
def test_gain_has_a_gradient_everywhere(tau_decay):
    gain = lambda tau: dd.DualExponential(tau_rise=3.0, tau_decay=tau).gain()  # noqa: E731
    gradient = float(jax.grad(gain)(tau_decay))
    h = 1e-4
    assert np.isfinite(gradient)
    if tau_decay != 3.0:  # at the joint the branch that is taken is a constant
        assert gradient == pytest.approx(
            float(gain(tau_decay + h) - gain(tau_decay - h)) / 2 / h, rel=1e-4
        )


def test_arrivals_add_up():
    for kinetics in (dd.Exponential(), dd.Alpha(), dd.DualExponential()):
        twice = kinetics.arrive(kinetics.arrive(kinetics.init(), 2.0), 3.0)
        once = kinetics.arrive(kinetics.init(), 5.0)
        np.testing.assert_allclose(jax.tree.leaves(twice), jax.tree.leaves(once), rtol=1e-14)


def test_delta_has_no_course():
    assert dd.Delta().init() == () and dd.Delta.moves_V


def test_outputs():
    assert dd.CUBA().current(3.0, -60.0) == 3.0
    assert dd.COBA(E=-80.0).current(3.0, -60.0) == -60.0
