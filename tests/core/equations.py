"""Equations with known solutions, written as users write models."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp

import distdyn as dd


class Decay(dd.ODE):
    """y' = -y / tau."""

    tau: float = 1.0

    class State(NamedTuple):
        y: jax.Array

    def init(self, id, key):
        return self.State(y=1.0)

    def derivative(self, t, s, drive):
        return self.State(y=-s.y / self.tau)


class Modulated(dd.ODE):
    """y' = y cos t,  y = exp(sin t)."""

    class State(NamedTuple):
        y: jax.Array

    def init(self, id, key):
        return self.State(y=1.0)

    def derivative(self, t, s, drive):
        return self.State(y=s.y * jnp.cos(t))


class Coupled(dd.ODE):
    """V' = -V / tau + k w + I,  w' = b - w / tau_w - c V: linear and time-invariant."""

    tau: float = 10.0
    tau_w: float = 10.0
    k: float = 0.3
    c: float = 0.05
    b: float = 0.2

    class State(NamedTuple):
        V: jax.Array
        w: jax.Array

    def init(self, id, key):
        return self.State(V=1.0, w=-0.5)

    def derivative(self, t, s, drive):
        V = -s.V / self.tau + self.k * s.w + drive.current
        return self.State(V=V, w=self.b - s.w / self.tau_w - self.c * s.V)


class FitzHughNagumo(dd.ODE):
    """V' = V - V^3/3 - w + I;  w' = (V + a - b w) / tau."""

    a: float = 0.7
    b: float = 0.8
    tau: float = 12.5
    I: float = 0.5

    class State(NamedTuple):
        V: jax.Array
        w: jax.Array

    def init(self, id, key):
        return self.State(V=-1.2, w=-0.6)

    def derivative(self, t, s, drive):
        V = s.V - s.V**3 / 3 - s.w + self.I + drive.current
        return self.State(V=V, w=(s.V + self.a - self.b * s.w) / self.tau)


@functools.partial(jax.jit, static_argnames=("n", "dt"))
def trajectory(model, *, n, dt, state=None, current=0.0):
    """The states after each of n steps of a model from t = 0, by a scan of `model.step`."""
    state = model.init(0, jax.random.key(0)) if state is None else state
    dtype = jnp.result_type(float)
    state = jax.tree.map(lambda x: jnp.asarray(x, dtype), state)

    def step(state, k):
        state, _ = model.step(state, dd.Drive(current), dd.Tick(k, dt, k * dt))
        return state, state

    return jax.lax.scan(step, state, jnp.arange(n))[1]
