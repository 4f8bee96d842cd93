"""Rate models: populations of cells by how active they are, in one or two variables.

What `CurrentInput` gives is added where the equations say I; `emit` says what a unit sends.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from distdyn.core.ode import ODE
from distdyn.core.parameters import param
from distdyn.core.system import Drive

PI = float(np.pi)


class ThresholdLinear(ODE):
    """A rate that follows its input above a threshold.

        tau r' = -r + beta max(I_e + I - theta, 0)

    Defaults are those of excitatory cells of the cortex; inhibitory ones: tau = 10 ms, beta = 0.351
    Hz/pA.

    Source: Chaudhuri et al. (2015), Neuron 88, 419; Dayan & Abbott (2001), Theoretical
    Neuroscience, sec. 7.2.
    """

    tau: float = param(20.0, "ms", "time constant", positive=True)
    beta: float = param(0.066, "Hz/pA", "slope above the threshold")
    theta: float = param(0.0, "pA", "threshold")
    I_e: float = param(0.0, "pA", "constant input")

    class State(NamedTuple):
        r: jax.Array  # Hz, rate

    def init(self, id: Any, key: Any) -> State:
        """Silent."""
        return self.State(r=jnp.zeros(()))

    def derivative(self, t: Any, s: State, drive: Drive) -> State:
        above = jnp.maximum(self.I_e + drive.current - self.theta, 0.0)
        return self.State(r=(self.beta * above - s.r) / self.tau)

    def emit(self, s: State) -> Any:
        """The rate, Hz."""
        return s.r


class WilsonCowan(ODE):
    """Excitatory and inhibitory cells, by the proportions that are active and not refractory.

        tau_e E' = -E + (k_e - r_e E) S_e(c1 E - c2 I + P + I_ext)
        tau_i I' = -I + (k_i - r_i I) S_i(c3 E - c4 I + Q)
        S_x(u) = 1 / (1 + exp(-a_x (u - theta_x))) - 1 / (1 + exp(a_x theta_x))

    I_ext is the input to a unit, without dimension as P is. The defaults are those of the paper's
    limit cycle (its figure 11), with time in units of tau: E goes from 0.1015 to 0.2715 with the
    period 5.0034; with tau = 8 ms that is 25 Hz. The paper sets k to the largest value of S,
    0.9945 and 0.9994, which makes the period 4.9959.

    Source: Wilson & Cowan (1972), Biophys. J. 12, 1.
    """

    tau_e: float = param(1.0, "ms", "time constant of excitation", positive=True)
    tau_i: float = param(1.0, "ms", "time constant of inhibition", positive=True)
    c1: float = param(16.0, "", "excitation of excitatory cells", nonnegative=True)
    c2: float = param(12.0, "", "inhibition of excitatory cells", nonnegative=True)
    c3: float = param(15.0, "", "excitation of inhibitory cells", nonnegative=True)
    c4: float = param(3.0, "", "inhibition of inhibitory cells", nonnegative=True)
    a_e: float = param(1.3, "", "slope of S_e")
    theta_e: float = param(4.0, "", "where S_e is steepest")
    a_i: float = param(2.0, "", "slope of S_i")
    theta_i: float = param(3.7, "", "where S_i is steepest")
    k_e: float = param(1.0, "", "most that E can be, if S_e is 1 and nobody refractory")
    k_i: float = param(1.0, "", "the same of I")
    r_e: float = param(1.0, "ms", "refractory period of excitatory cells", nonnegative=True)
    r_i: float = param(1.0, "ms", "refractory period of inhibitory cells", nonnegative=True)
    P: float = param(1.25, "", "constant input to excitatory cells")
    Q: float = param(0.0, "", "constant input to inhibitory cells")

    class State(NamedTuple):
        E: jax.Array  # proportion of excitatory cells that fire
        I: jax.Array  # of inhibitory cells

    def init(self, id: Any, key: Any) -> State:
        """Close to the limit cycle of the defaults."""
        return self.State(E=jnp.asarray(0.1), I=jnp.asarray(0.05))

    def derivative(self, t: Any, s: State, drive: Drive) -> State:
        to_E = self.c1 * s.E - self.c2 * s.I + self.P + drive.current
        to_I = self.c3 * s.E - self.c4 * s.I + self.Q
        S_e = _from_zero(to_E, self.a_e, self.theta_e)
        S_i = _from_zero(to_I, self.a_i, self.theta_i)
        return self.State(
            E=((self.k_e - self.r_e * s.E) * S_e - s.E) / self.tau_e,
            I=((self.k_i - self.r_i * s.I) * S_i - s.I) / self.tau_i,
        )

    def emit(self, s: State) -> Any:
        """E."""
        return s.E


def _from_zero(u: Any, a: Any, theta: Any) -> Any:
    """A sigmoid that is 0 at u = 0."""
    return jax.nn.sigmoid(a * (u - theta)) - jax.nn.sigmoid(-a * theta)


class QIFMeanField(ODE):
    """The exact mean field of infinitely many quadratic integrate-and-fire cells, all to all.

        tau r' = Delta / (pi tau) + 2 r v
        tau v' = v^2 + eta + J tau r + I - (pi tau r)^2

    r is the rate of the population and v the mean of its potentials. The drives of the cells are
    Lorentzian, with center eta and half width Delta; v and I have no dimension. A fixed point has
    v = -Delta / (2 pi tau r) and the eigenvalues

        (2 v +- sqrt(2 tau r (J - 2 pi^2 tau r))) / tau

    With the defaults there are two stable ones, a node at a low rate and a focus at a high one.

    Source: Montbrio, Pazo & Roxin (2015), Phys. Rev. X 5, 021028.
    """

    tau: float = param(1.0, "ms", "membrane time constant", positive=True)
    Delta: float = param(1.0, "", "half width of the drives", nonnegative=True)
    eta: float = param(-5.0, "", "center of the drives")
    J: float = param(15.0, "", "strength of synapses")

    class State(NamedTuple):
        r: jax.Array  # rate, per ms
        v: jax.Array  # mean potential

    def init(self, id: Any, key: Any) -> State:
        """At the low rate of the defaults."""
        return self.State(r=jnp.asarray(0.08113444), v=jnp.asarray(-1.96161999))

    def derivative(self, t: Any, s: State, drive: Drive) -> State:
        tau = self.tau
        own = PI * tau * s.r
        dv = s.v * s.v + self.eta + self.J * tau * s.r + drive.current - own * own
        return self.State(r=(self.Delta / (PI * tau) + 2.0 * s.r * s.v) / tau, v=dv / tau)

    def emit(self, s: State) -> Any:
        """The rate, per ms."""
        return s.r
