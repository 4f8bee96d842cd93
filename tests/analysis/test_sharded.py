"""A network's state dealt to devices: the same field, the same points, on any number of them."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import distdyn as dd
from distdyn.analysis.field import roads


class Tanh(dd.ODE):
    """x' = -x + 2 tanh(x) + I: two stable points, and 0 between them."""

    gain: float = 2.0

    class State(NamedTuple):
        x: jax.Array

    def init(self, id, key):
        return self.State(jnp.zeros(()))

    def derivative(self, t, s, drive):
        return self.State(-s.x + self.gain * jnp.tanh(s.x) + drive.current)

    def emit(self, s):
        return jnp.tanh(s.x)


class Random(dd.Network):
    """Two populations whose sizes do not divide by 2 or 4, with random weights."""

    def __init__(self, delay=0.0, w=0.3, n=210):
        self.A = dd.Population(n + 1, Tanh())
        self.B = dd.Population(n // 2, Tanh(gain=dd.Uniform(1.5, 2.0)))
        self.all = dd.Projection(
            (self.A, self.B), (self.A, self.B), dd.FixedProb(0.1), dd.Additive(),
            weight=dd.Normal(0.0, w), delay=delay,
        )  # fmt: skip
        self.pull = dd.Projection(
            self.A[:20], self.B[::2], dd.AllToAll(), dd.Diffusive(), weight=0.001, delay=0.0
        )
        self.input = dd.CurrentInput(self.B[:9], 0.1)


def stacked(field, state):
    return np.concatenate([np.ravel(state[name]) for name in field.state])


@pytest.mark.parametrize("delay, storage, devices", [(0.3, "dense", 4), (0.0, "rows", 2)])
def test_the_field_is_the_same_on_several_devices(monkeypatch, delay, storage, devices):
    if storage == "rows":
        monkeypatch.setattr(roads, "MOST_DENSE", 0)
        monkeypatch.setattr(roads, "FILLED", 2.0)
    network, step = Random(delay, n=21), None if delay == 0.0 else 0.1
    whole = dd.vector_field(network, dt=step, seed=5)
    field = dd.vector_field(network, dt=step, seed=5, devices=devices)
    rng = np.random.default_rng(1)
    state = {name: rng.normal(size=np.shape(v)) for name, v in whole.state.items()}
    assert list(field.state) == list(whole.state)
    assert field.is_continuous == whole.is_continuous == (step is None)
    np.testing.assert_array_equal(stacked(field, field.state), stacked(whole, whole.state))
    with jax.enable_x64(True):
        expected = stacked(whole, whole.F(state, {"pull.weight": 0.02}))
        found = stacked(field, field.F(state, {"pull.weight": 0.02}))
    np.testing.assert_allclose(found, expected, rtol=1e-13, atol=1e-14)


def points(devices):
    """The fixed points near 0 and in a corner, where all are 1.9 in size."""
    an = dd.DSAnalyzer(Random(w=0.02), seed=5, devices=devices)
    corner = np.random.default_rng(2).choice([-1.9, 1.9], an.field.flat().n)
    return an, an.fixed_points(starts=np.stack([1e-3 * corner, corner]))


@pytest.fixture(scope="module")
def on_one():
    return points(None)


def test_a_large_network_has_its_leading_eigenvalues(on_one):
    an, found = on_one
    assert len(found) == 2
    assert sorted(found.n_unstable > 0) == [False, True]
    flat, k = an.field.flat(), int(found.n_unstable.argmax())
    with jax.enable_x64(True):
        exact = np.linalg.eigvals(jax.jit(jax.jacfwd(flat.f))(found.x[k], flat.p0))
    exact = exact[np.argsort(-exact.real)][:4]
    np.testing.assert_allclose(found.eigenvalues[k][:4].real, exact.real, atol=1e-6)


@pytest.mark.parametrize("devices", [2, *(pytest.param(k, marks=pytest.mark.slow) for k in (1, 4))])
def test_a_large_network_has_the_same_points_on_several_devices(on_one, devices):
    _, one = on_one
    _, other = points(devices)
    assert other.stability == one.stability
    np.testing.assert_allclose(other.x, one.x, atol=1e-10)
    np.testing.assert_allclose(other.eigenvalues, one.eigenvalues, atol=1e-10)
