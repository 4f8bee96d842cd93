"""Cells whose derivatives are of fractional order: they remember all of their past, fading slowly.

    D^a V = f(V, ...),   0 < a <= 1,   Caputo's derivative

All variables have the same order, a = 0.8 unless another is given: `order=0.9`; at 1 the models are
the ordinary ones. The default method, `CaputoL1`, keeps 100 ms of the past, and
`method=dd.CaputoL1(memory=1000.0)` more, at a number per variable, cell and step.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from distdyn.core.ode import ODE
from distdyn.core.parameters import param
from distdyn.core.system import Drive


class FractionalFHR(ODE):
    """FitzHugh-Rinzel neuron of fractional order: it bursts, the more slowly the lower the order.

        D^a V = V - V^3 / 3 - w + y + I_e + I
        D^a w = delta (a + V - b w),     D^a y = mu (c - V - d y)

    V, w and y have no dimension; a unit of the paper's time is 1 ms. A spike is V crossing V_th
    upward; nothing is reset.

    Source: Mondal, Sharma, Upadhyay & Mondal (2019), Sci. Rep. 9, 15721.
    """

    a: float = param(0.7, "", "where V is when w rests at 0, negative")
    b: float = param(0.8, "", "decay of recovery")
    c: float = param(-0.775, "", "where V is when y rests at 0")
    d: float = param(1.0, "", "decay of the slow variable")
    delta: float = param(0.08, "", "rate of recovery, per ms^a", positive=True)
    mu: float = param(1e-4, "", "rate of the slow variable, per ms^a", positive=True)
    V_th: float = param(1.0, "", "V at which the upstroke counts as a spike")
    I_e: float = param(0.3125, "", "constant input")

    order = 0.8  # pyright: ignore[reportAssignmentType]

    class State(NamedTuple):
        V: jax.Array
        w: jax.Array  # recovery
        y: jax.Array  # slow

    def init(self, id: Any, key: Any) -> State:
        """Close to the rest of the fast variables."""
        return self.State(V=jnp.asarray(-1.0), w=jnp.asarray(-0.5), y=jnp.zeros(()))

    def derivative(self, t: Any, s: State, drive: Drive) -> State:
        V = s.V - s.V * s.V * s.V / 3.0 - s.w + s.y + self.I_e + drive.current
        return self.State(
            V=V,
            w=self.delta * (self.a + s.V - self.b * s.w),
            y=self.mu * (self.c - s.V - self.d * s.y),
        )


class FractionalIzhikevich(ODE):
    """Izhikevich's neuron of fractional order: the order alone makes it spike regularly or burst.

        D^a V = 0.04 V^2 + 5 V + 140 - u + I_e + I,     D^a u = a (b V - u)
        V >= V_th: spike, V = c for t_ref, u = u + d

    V and u are in mV, time in ms. With the parameters of `Izhikevich`, regular spiking at order 1.

    Source: Teka, Upadhyay & Mondal (2018), Commun. Nonlinear Sci. Numer. Simul. 56, 161.
    """

    a: float = param(0.02, "", "rate of recovery, per ms^a", positive=True)
    b: float = param(0.2, "", "recovery by the potential")
    c: float = param(-65.0, "mV", "potential after a spike")
    d: float = param(8.0, "mV", "recovery by each spike")
    V_th: float = param(30.0, "mV", "where the upstroke is cut: the apex of a spike")
    t_ref: float = param(0.0, "ms", "absolute refractory period", nonnegative=True)
    I_e: float = param(0.0, "mV/ms", "constant input current")

    order = 0.8  # pyright: ignore[reportAssignmentType]

    class State(NamedTuple):
        V: jax.Array  # mV
        u: jax.Array  # mV, recovery

    def init(self, id: Any, key: Any) -> State:
        """At -65 mV, with recovery in its steady state."""
        return self.settle(self.State(V=jnp.asarray(-65.0), u=jnp.zeros(())))

    def settle(self, s: State) -> State:
        """Recovery in its steady state at V."""
        return s._replace(u=self.b * s.V)

    def derivative(self, t: Any, s: State, drive: Drive) -> State:
        V = jnp.minimum(s.V, self.V_th)
        dV = (0.04 * V + 5.0) * V + 140.0 - s.u + self.I_e + drive.current
        return self.State(V=dV, u=self.a * (self.b * V - s.u))

    def reset(self, s: State) -> State:
        """After a spike."""
        return s._replace(V=self.c, u=s.u + self.d)
