"""Oscillators without a membrane, and a cell that its own past drives: phases and limit cycles.

Quantities have no dimension; a unit of a paper's time is 1 ms. What `CurrentInput` gives is added
where the equations say I.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from distdyn.core.ode import ODE
from distdyn.core.parameters import param
from distdyn.core.system import Drive

TURN = 2.0 * np.pi


class Kuramoto(ODE):
    """A phase that turns at a constant rate unless others, or an input, push it.

        theta' = omega + I

    theta stays between -pi and pi: every step ends with whole turns taken off, so that a phase is
    as precise after an hour as at the beginning. Alone it has the period 2 pi / omega.

    Source: Kuramoto (1975), Lect. Notes Phys. 39, 420; default: 10 Hz.
    """

    omega: float = param(0.06283185307179587, "1/ms", "natural frequency, radians per ms")

    class State(NamedTuple):
        theta: jax.Array  # phase, radians

    def init(self, id: Any, key: Any) -> State:
        """At phase 0."""
        return self.State(theta=jnp.zeros(()))

    def derivative(self, t: Any, s: State, drive: Drive) -> State:
        return self.State(theta=self.omega + drive.current)

    def confine(self, s: State) -> State:
        """Without whole turns."""
        return self.State(theta=s.theta - TURN * jnp.round(s.theta / TURN))

    def emit(self, s: State) -> Any:
        """The phase."""
        return s.theta


class StuartLandau(ODE):
    """The normal form of a Hopf bifurcation: a damped oscillation that becomes a limit cycle.

        x' = (a - x^2 - y^2) x - omega y + I
        y' = (a - x^2 - y^2) y + omega x

    For a > 0 and without input it turns on a circle of radius sqrt(a) with the period
    2 pi / omega; for a < 0 it spirals into 0. From the radius R it comes to

        r(t) = sqrt(a / (1 + (a / R^2 - 1) exp(-2 a t)))

    Source: Stuart (1960), J. Fluid Mech. 9, 353, for the equation; as a model of areas of the brain
    Deco et al. (2017), Sci. Rep. 7, 3095.
    """

    a: float = param(0.2, "1/ms", "distance from the bifurcation")
    omega: float = param(0.2, "1/ms", "frequency, radians per ms")

    class State(NamedTuple):
        x: jax.Array
        y: jax.Array

    def init(self, id: Any, key: Any) -> State:
        """Off the centre, where it would stay."""
        return self.State(x=jnp.asarray(0.1), y=jnp.zeros(()))

    def derivative(self, t: Any, s: State, drive: Drive) -> State:
        growth = self.a - s.x * s.x - s.y * s.y
        return self.State(
            x=growth * s.x - self.omega * s.y + drive.current,
            y=growth * s.y + self.omega * s.x,
        )

    def emit(self, s: State) -> Any:
        """X, which stands for the activity of an area."""
        return s.x


class FeedbackFHN(ODE):
    """FitzHugh-Nagumo equations with feedback of what V was: a cell that drives itself by others.

        V' = V - V^3 / 3 - w + mu (V(t - tau) - V_0) + I_e + I
        w' = epsilon (V + a - b w)

    V_0 is where V rests for the defaults, so that the feedback leaves the rest where it is. With a
    delay of 10 ms the rest is stable for mu between -0.4944 and 0.6141; there are Hopf bifurcations
    to oscillations of the periods 20.69 and 11.33 ms. It spikes when V crosses V_th upward; nothing
    is reset.

    Source: Plant (1981), SIAM J. Appl. Math. 40, 150.
    """

    a: float = param(0.7, "", "where V is when w rests at 0, negative")
    b: float = param(0.8, "", "decay of recovery")
    epsilon: float = param(0.08, "1/ms", "rate of recovery", positive=True)
    mu: float = param(-0.6, "", "strength of the feedback: negative where it inhibits")
    tau: float = param(10.0, "ms", "its delay", positive=True)
    V_0: float = param(-1.19940804, "", "V whose feedback is 0")
    V_th: float = param(1.0, "", "V at which the upstroke counts as a spike")
    I_e: float = param(0.0, "", "constant input")

    class State(NamedTuple):
        V: jax.Array
        w: jax.Array  # recovery

    def init(self, id: Any, key: Any) -> State:
        """At rest, for the defaults."""
        return self.State(V=jnp.asarray(-1.19940804), w=jnp.asarray(-0.62426004))

    def derivative(self, t: Any, s: State, drive: Drive, past: Any) -> State:
        feedback = self.mu * (past("V", self.tau) - self.V_0)
        dV = s.V - s.V * s.V * s.V / 3.0 - s.w + feedback + self.I_e + drive.current
        return self.State(V=dV, w=self.epsilon * (s.V + self.a - self.b * s.w))

    def emit(self, s: State) -> Any:
        """V."""
        return s.V
