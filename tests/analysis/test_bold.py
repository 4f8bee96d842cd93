"""BOLD of recordings: the same as in a network, differentiable, refused where it must be."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import distdyn as dd

M = dd.measure


def pulses(n=3000):
    activity = np.zeros((n, 2))
    activity[100:200, 0] = 1.0
    activity[:, 1] = 0.3
    return activity


class Region(dd.Network):
    def __init__(self):
        self.R = dd.Population(2, dd.BalloonWindkessel(method=dd.RK4()))
        self.I = dd.CurrentInput(self.R, dd.Sampled(pulses(), 10.0))


def test_bold_of_a_recording_is_that_of_the_network():
    record = [dd.every(500.0, f"R.{x}") for x in "sfvq"]
    traces = dd.DSRunner(Region(), dt=10.0, record=record, precision="float64").run(30_000.0).traces
    state = dd.BalloonWindkessel.State(*(traces[f"R.{x}"].value for x in "sfvq"))
    with jax.enable_x64(True):
        exact = dd.BalloonWindkessel().emit(jax.tree.map(jnp.asarray, state))
    found = M.bold(pulses(), 10.0, every=500.0)
    assert found.shape == (60, 2)
    np.testing.assert_allclose(found, exact, atol=1e-12)


def test_bold_hardly_depends_on_the_step():
    """Activity that is held is integrated to fourth order."""
    coarse, fine = pulses(), np.repeat(pulses(), 10, axis=0)
    every = 1000.0
    np.testing.assert_allclose(
        M.bold(coarse, 10.0, every=every), M.bold(fine, 1.0, every=every), atol=1e-10
    )
    assert M.bold(coarse[:105], 10.0, every=100.0).shape == (10, 2)  # whole samples only
    assert M.bold(coarse[:7], 10.0).shape == (7, 2)


def test_bold_of_another_model_is_another():
    """Twice the volume at rest, twice the signal."""
    model = dd.BalloonWindkessel(V_0=0.04, method=dd.RK4())
    once, twice = M.bold(pulses(), 10.0), M.bold(pulses(), 10.0, model=model)
    np.testing.assert_allclose(twice, 2.0 * once, rtol=1e-12)


def test_bold_has_the_derivative_of_its_differences():
    def last(scale, activity):
        return M.bold(scale * activity, 100.0)[-1, 0]

    with jax.enable_x64(True):
        activity = jnp.asarray(pulses()[:, 1:][:100])
        slope = jax.jit(jax.grad(last))(1.0, activity)
        difference = (last(1.001, np.asarray(activity)) - last(0.999, np.asarray(activity))) / 2e-3
    assert float(slope) == pytest.approx(difference, rel=1e-5)


@pytest.mark.parametrize(
    "activity, dt, every, error, words",
    [
        (np.zeros((5, 2, 2)), 1.0, None, dd.DistDynError, "a row per time"),
        (np.full((5, 1), np.nan), 1.0, None, dd.DistDynError, "finite"),
        (np.zeros((5, 1)), 0.0, None, dd.DistDynError, "dt = 0"),
        (np.zeros((5, 1)), 1.0, 1.5, dd.DistDynError, "not a multiple of dt"),
        (20.0 * pulses(), 10.0, None, dd.DistDynError, "region 0 .* too strong"),
    ],
)
def test_bold_says_what_is_wrong(activity, dt, every, error, words):
    with pytest.raises(error, match=words):
        M.bold(activity, dt, every=every)
