"""Systems whose fixed points are known, for the tests of analysis."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import distdyn as dd
from distdyn.analysis.field import VectorField


class Lorenz(dd.ODE):
    sigma: float = 10.0
    rho: float = 28.0
    beta: float = 8.0 / 3.0

    class State(NamedTuple):
        x: jax.Array
        y: jax.Array
        z: jax.Array

    def init(self, id, key):
        return self.State(x=1.0, y=1.0, z=1.0)

    def derivative(self, t, s, drive):
        return self.State(
            x=self.sigma * (s.y - s.x),
            y=s.x * (self.rho - s.z) - s.y,
            z=s.x * s.y - self.beta * s.z,
        )


class Ring(dd.ODE):
    """A continuous attractor of Wu et al.: u' = -u + J r, r = u^2 / (1 + k sum u^2)."""

    J: Any
    k: float

    class State(NamedTuple):
        u: jax.Array

    def init(self, id, key):
        return self.State(u=jnp.zeros(len(self.J)))

    def derivative(self, t, s, drive):
        r = s.u**2 / (1.0 + self.k * jnp.sum(s.u**2))
        return self.State(u=-s.u + self.J @ r)


class TanhUnit(dd.ODE):
    """tau x' = -x + I, of which others see tanh(x)."""

    tau: float = dd.param(10.0, "ms", "time constant", positive=True)

    class State(NamedTuple):
        x: jax.Array

    def init(self, id, key):
        return self.State(x=jnp.zeros(()))

    def derivative(self, t, s, drive):
        return self.State(x=(drive.current - s.x) / self.tau)

    def emit(self, s):
        return jnp.tanh(s.x)


class _Squared(dd.ODE):
    """u' = -u + I, of which others see u^2."""

    class State(NamedTuple):
        u: jax.Array

    def init(self, id, key):
        return self.State(u=jnp.zeros(()))

    def derivative(self, t, s, drive):
        return self.State(u=drive.current - s.u)

    def emit(self, s):
        return jnp.square(s.u)


class CANN(dd.Network):
    """`Ring` as a network: all divide what all receive, so that it is as if rates were divided."""

    def __init__(self, n: int, k: float, a: float = 0.5, J_0: float = 4.0):
        ring, square = dd.Lattice(2.0 * np.pi / n, periodic=True), dd.Additive(most=1e6)
        self.U = dd.Population(n, _Squared(method=dd.Euler()), positions=ring)
        J = dd.ByDistance(dd.profiles.Gaussian(sigma=a, peak=J_0 / (np.sqrt(2.0 * np.pi) * a)))
        everyone = dd.DistanceDependent(np.ones_like)
        self.exc = dd.Projection(self.U, self.U, everyone, square, weight=J, delay=0.0)
        self.pool = dd.Projection(
            self.U, self.U, dd.AllToAll(), square, dd.Divisive(), weight=k, delay=0.0
        )


def plane(f: Any, names: tuple[str, str] = ("x", "y"), **kwargs: Any) -> VectorField:
    """A field of two numbers."""

    def F(state, parameters):
        return dict(zip(names, f(*(state[name] for name in names)), strict=True))

    return VectorField(F, dict.fromkeys(names, np.float64(0.0)), {}, **kwargs)


def wells(n: int, k: int = 3, beta: float = 2.0) -> tuple[VectorField, np.ndarray]:
    """3^k fixed points in n dimensions, in coordinates turned by a random Q, which is returned."""
    Q = np.linalg.qr(np.random.default_rng(5).normal(size=(n, n)))[0]
    decay = np.linspace(0.5, 2.0, n)

    def F(state, parameters):
        y = Q.T @ state["x"]
        slope = jnp.where(jnp.arange(n) < k, jnp.tanh(parameters.get("beta", beta) * y) - y,
                          -decay * y)  # fmt: skip
        return {"x": Q @ slope}

    return VectorField(F, {"x": np.zeros(n)}, {"beta": np.float64(beta)}), Q


def wong_wang(mu_0: float, coherence: float = 0.0) -> dd.WongWang:
    """The parameters of BrainPy's figure."""
    return dd.WongWang(
        J_same=0.3725, J_other=0.1137, tau_S=60.0, I_0=0.3297, J_ext=0.00117,
        mu_0=mu_0, coherence=coherence,
    )  # fmt: skip


def large_wells(n: int, k: int = 3, beta: float = 2.0) -> tuple[VectorField, Any]:
    """The same where Q is a product of three reflections, 1 - V' T V, with x -> Q' x.

    T of V's rows: Schreiber & Van Loan (1989), SIAM J. Sci. Stat. Comput. 10, 53.
    """
    V = np.random.default_rng(5).normal(size=(3, n))
    V /= np.linalg.norm(V, axis=1, keepdims=True)
    T = np.linalg.inv(0.5 * np.eye(3) + np.triu(V @ V.T, 1))
    decay = np.linspace(0.5, 2.0, n)

    def F(state, parameters):
        y = state["x"] - ((state["x"] @ V.T) @ T) @ V
        slope = jnp.where(jnp.arange(n) < k, jnp.tanh(beta * y) - y, -decay * y)
        return {"x": slope - ((slope @ V.T) @ T.T) @ V}

    return VectorField(F, {"x": np.zeros(n)}, {}), lambda x: x - ((x @ V.T) @ T) @ V
