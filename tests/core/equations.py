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


class HodgkinHuxley(dd.ODE):
    """The squid axon of Hodgkin & Huxley (1952) at rest at -65 mV; gates start at steady state."""

    I: float = 10.0
    V_th: float = 0.0

    class State(NamedTuple):
        V: jax.Array
        m: jax.Array
        h: jax.Array
        n: jax.Array

    def rates(self, V):
        """Opening and closing of m, h and n."""
        m = linoid(V + 40.0) / 10.0, 4.0 * jnp.exp(-(V + 65.0) / 18.0)
        h = 0.07 * jnp.exp(-(V + 65.0) / 20.0), 1.0 / (1.0 + jnp.exp(-(V + 35.0) / 10.0))
        n = linoid(V + 55.0) / 100.0, 0.125 * jnp.exp(-(V + 65.0) / 80.0)
        return m, h, n

    def init(self, id, key):
        V = jnp.asarray(-65.0)
        return self.State(V, *(a / (a + b) for a, b in self.rates(V)))

    def derivative(self, t, s, drive):
        gates = zip(self.rates(s.V), (s.m, s.h, s.n), strict=True)
        I = 120.0 * s.m**3 * s.h * (50.0 - s.V) + 36.0 * s.n**4 * (-77.0 - s.V)
        I = I + 0.3 * (-54.387 - s.V) + self.I + drive.current
        return self.State(I, *(a * (1.0 - x) - b * x for (a, b), x in gates))


def linoid(x):
    """x / (1 - exp(-x / 10)), 10 at x = 0."""
    is_zero = jnp.abs(x) < 1e-6
    safe = jnp.where(is_zero, 1.0, x)
    return jnp.where(is_zero, 10.0 + x / 2.0, -safe / jnp.expm1(-safe / 10.0))


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


@jax.jit
def end(model, n, dt, state=None):
    """The state after n steps of a model from t = 0; one compilation for all n and dt."""
    state = model.init(0, jax.random.key(0)) if state is None else state
    state = jax.tree.map(lambda x: jnp.asarray(x, jnp.result_type(float)), state)

    def step(k, state):
        return model.step(state, dd.Drive(0.0), dd.Tick(k, dt, k * dt))[0]

    return jax.lax.fori_loop(0, n, step, state)
