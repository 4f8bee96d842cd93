"""A continuous attractor: a bump of activity that can be anywhere on a ring, and tracks a stimulus.

    tau u_i' = -u_i + sum_j W(x_i - x_j) r_j / (1 + k Q sum_l r_l) + I(x_i, t),    r = max(u, 0)^2
    W(x) = dx / (sqrt(2 pi) a) exp(-x^2 / (2 a^2)),    Q = dx / (8 sqrt(2 pi) a)
    I(x, t) = A exp(-(x - z(t))^2 / (4 a^2))

x is what units prefer, from -pi to pi; dx = 2 pi / n. u is the paper's rho J_0 U, and k the
strength of inhibition relative to the critical one: below 1 a bump stays without a stimulus,

    u(x) = u_0 exp(-(x - z)^2 / (4 a^2)),    u_0 = 4 (1 + sqrt(1 - k)) / (sqrt(2) k)

with z anywhere; above, there is none. Network: Wu, Hamaguchi & Amari (2008), Neural Comput. 20,
994; Fung, Wong & Wu (2010), Neural Comput. 22, 752.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import distdyn as dd

TURN = 2.0 * np.pi


class Unit(dd.ODE):
    """tau u' = -u + I, of which others see the square of what is positive."""

    tau: float = dd.param(10.0, "ms", "time constant", positive=True)

    class State(NamedTuple):
        u: jax.Array

    def init(self, id: Any, key: Any) -> State:
        """Silent."""
        return self.State(u=jnp.zeros(()))

    def derivative(self, t: Any, s: State, drive: dd.Drive) -> State:
        return self.State(u=(drive.current - s.u) / self.tau)

    def emit(self, s: State) -> Any:
        """The rate, before it is divided."""
        return jnp.square(jnp.maximum(s.u, 0.0))


class CANN(dd.Network):
    """Units on a ring that excite near ones and divide what all receive.

    All have the same divisor, so that to divide what a unit receives is to divide all rates: a
    coupling with `Divisive` brings the sum over all units.

    Args:
        n: number of units.
        k: inhibition, > 0, in units of the one beyond which no bump stays.
        a: width of connections, radians.
        A: strength of the stimulus. A bump of height u_0 is behind it by s, where
            tau speed = (A / u_0) s exp(-s^2 / (8 a^2)), and lost if this is 1.21 a A / u_0 or more.
        z: where the stimulus is at first, radians.
        speed: at which it moves, from `start` on, radians / ms.
        start: ms.
        stop: when it ends, ms.
        tau: time constant of units, ms.
    """

    def __init__(
        self,
        n: int = 128,
        k: float = 0.5,
        a: float = 0.5,
        *,
        A: float = 2.0,
        z: float = 0.0,
        speed: float = 0.0,
        start: float = 500.0,
        stop: float = np.inf,
        tau: float = 10.0,
    ):
        if not k > 0:
            raise dd.errors.ParameterError(
                f"cann: k = {k}: without inhibition u grows. Give k > 0."
            )
        x, dx = positions(n), TURN / n
        norm = dx / (np.sqrt(TURN) * a)
        W = norm * np.exp(-(around(x[:, None] - x) ** 2) / (2.0 * a * a))
        # However strong a bump, the sum over W comes to no more than 8 / (sqrt(2) k).
        coupling: Any = dd.Additive(most=(A + 8.0 / (np.sqrt(2.0) * k)) ** 2)
        self.U = dd.Population(n, Unit(tau))

        def connect(rule, weight=None, output=None):
            return dd.Projection(self.U, self.U, rule, coupling, output, weight=weight, delay=0.0)

        self.exc = connect(dd.Edges.from_matrix(W))
        self.pool = connect(dd.AllToAll(), k * norm / 8.0, dd.Divisive())

        def stimulus(t):
            to = around(x - z - speed * jnp.maximum(t - start, 0.0))
            return jnp.where(t < stop, A * jnp.exp(-(to * to) / (4.0 * a * a)), 0.0)

        self.stimulus = dd.CurrentInput(self.U, stimulus)


def positions(n: int) -> Any:
    """What units prefer, radians."""
    return (np.arange(n) + 0.5) * TURN / n - np.pi


def around(x: Any) -> Any:
    """An angle without whole turns."""
    turns = (jnp if isinstance(x, jax.Array) else np).round(x / TURN)
    return x - TURN * turns


def height(k: float) -> float:
    """u_0 of the bump that stays without a stimulus, for k up to 1."""
    return 4.0 * (1.0 + np.sqrt(1.0 - k)) / (np.sqrt(2.0) * k)
