"""Cells without dimensions, made for the phase plane: polynomials in place of gates.

Their V is the paper's v or x, of order one; a unit of the paper's time is 1 ms. They spike when V
crosses V_th upward; nothing is reset.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from distdyn.core.ode import ODE
from distdyn.core.parameters import param
from distdyn.core.system import Drive


class FitzHughNagumo(ODE):
    """A fast variable that is excited and a slow one that recovers.

        V' = V - V^3 / 3 - w + I_e + I,     w' = epsilon (V + a - b w)

    It fires for I_e between 0.331 and 1.419; at 0.5 with the period 39.4744.

    Source: FitzHugh (1961), Biophys. J. 1, 445, in the scaling of Izhikevich (2007); Nagumo,
    Arimoto & Yoshizawa (1962), Proc. IRE 50, 2061.
    """

    a: float = param(0.7, "", "where V is when w rests at 0, negative")
    b: float = param(0.8, "", "decay of recovery")
    epsilon: float = param(0.08, "1/ms", "rate of recovery", positive=True)
    V_th: float = param(1.0, "", "V at which the upstroke counts as a spike")
    I_e: float = param(0.0, "", "constant input")

    class State(NamedTuple):
        V: jax.Array
        w: jax.Array  # recovery

    def init(self, id: Any, key: Any) -> State:
        """At rest, for the defaults."""
        return self.State(V=jnp.asarray(-1.19940804), w=jnp.asarray(-0.62426004))

    def derivative(self, t: Any, s: State, drive: Drive) -> State:
        dV = s.V - s.V * s.V * s.V / 3.0 - s.w + self.I_e + drive.current
        return self.State(V=dV, w=self.epsilon * (s.V + self.a - self.b * s.w))


class HindmarshRose(ODE):
    """Bursts by three equations: two that spike, and a slow one that ends a burst.

        V' = y - a V^3 + b V^2 - z + I_e + I
        y' = c - d V^2 - y,     z' = r (s (V - V_rest) - z)

    With the defaults it bursts at I_e = 2 and is chaotic at I_e = 3.25 and r = 0.005.

    Source: Hindmarsh & Rose (1984), Proc. R. Soc. B 221, 87; V is its x, V_rest its x_1.
    """

    a: float = param(1.0, "", "cubic term")
    b: float = param(3.0, "", "quadratic term")
    c: float = param(1.0, "", "constant of recovery")
    d: float = param(5.0, "", "recovery by V^2")
    r: float = param(0.001, "1/ms", "rate of adaptation", positive=True)
    s: float = param(4.0, "", "strength of adaptation")
    V_rest: float = param(-1.6180339887498949, "", "V at which adaptation rests at 0")
    V_th: float = param(1.0, "", "V at which the upstroke counts as a spike")
    I_e: float = param(0.0, "", "constant input")

    class State(NamedTuple):
        V: jax.Array
        y: jax.Array  # recovery
        z: jax.Array  # adaptation

    def init(self, id: Any, key: Any) -> State:
        """At rest, without input."""
        V = jnp.asarray(self.V_rest)
        return self.State(V=V, y=self.c - self.d * V * V, z=jnp.zeros(()))

    def derivative(self, t: Any, s: State, drive: Drive) -> State:
        square = s.V * s.V
        return self.State(
            V=s.y + (self.b - self.a * s.V) * square - s.z + self.I_e + drive.current,
            y=self.c - self.d * square - s.y,
            z=self.r * (self.s * (s.V - self.V_rest) - s.z),
        )
