"""A network's state dealt to devices: the same field, the same points, on any number of them."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import distdyn as dd
from distdyn.analysis.field import roads
from distdyn.analysis.points.krylov import leading
from distdyn.errors import AnalysisError


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


class Together(dd.Network):
    """At 0 the mean grows and all else decays."""

    def __init__(self):
        self.A = dd.Population(301, Tanh(gain=0.5))
        self.mean = dd.Projection(
            self.A, self.A, dd.AllToAll(), dd.Additive(), weight=0.01, delay=0.0
        )
        self.rest = dd.Projection(
            self.A, self.A, dd.FixedProb(0.1), dd.Additive(), weight=dd.Normal(0.0, 0.02),
            delay=0.0,
        )  # fmt: skip


def test_leading_eigenvalues_are_the_same_on_several_devices():
    whole, spread = (dd.vector_field(Together(), devices=k).flat() for k in (None, 3))
    x, asked = np.zeros(whole.n), dict(is_continuous=True, tolerance=1e-9)
    with jax.enable_x64(True):
        exact = np.linalg.eigvals(jax.jit(jax.jacfwd(whole.f))(x, whole.p0))
        one, _ = leading(whole.f, x, whole.p0, **asked)
        other, _ = leading(spread.spread, x, whole.p0, **asked)
    np.testing.assert_allclose(other, one, atol=1e-10)
    assert (one.real > 0).sum() == (exact.real > 0).sum() == 1
    np.testing.assert_allclose(one[0], exact[exact.real.argmax()], atol=1e-9)


def points(devices, **network):
    """The fixed points near 0 and in a corner, where all are 1.9 in size."""
    an = dd.DSAnalyzer(Random(w=0.02, **network), dt=0.1, seed=5, devices=devices)
    draw = np.random.default_rng(2).choice
    sizes = {name: an.field.state[name].size for name in ("A.x", "B.x")}
    corner = {name: draw([-1.9, 1.9], n) for name, n in sizes.items()}
    starts = {name: np.stack([1e-3 * x, x]) for name, x in corner.items()}
    return an.fixed_points(starts=starts)


@pytest.mark.slow
@pytest.mark.parametrize("delay", [0.0, 0.2])
def test_large_networks_have_the_same_points_on_any_number_of_devices(delay):
    one = points(None, delay=delay)
    assert len(one) == 2
    assert sorted(one.n_unstable > 0) == [False, True]
    for devices in (1, 2, 4):
        other = points(devices, delay=delay)
        assert other.stability == one.stability
        np.testing.assert_allclose(other.x, one.x, atol=1e-10)
        np.testing.assert_allclose(other.eigenvalues, one.eigenvalues, atol=1e-10)


def test_devices_are_for_networks():
    with pytest.raises(AnalysisError, match="share the state of a network"):
        dd.DSAnalyzer(dd.FitzHughNagumo(), devices=2)
    with pytest.raises(AnalysisError, match="share its state already"):
        dd.DSAnalyzer(Random(n=9), devices=2).fixed_points(box={"A.x": (-1.0, 1.0)}, devices=2)
