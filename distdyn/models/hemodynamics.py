"""Hemodynamics: the blood that follows neural activity, and the BOLD signal that it makes."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from distdyn.core.ode import ODE
from distdyn.core.parameters import param
from distdyn.core.system import Drive

MS = 1e-3  # s: rates are per second, time is in ms


class BalloonWindkessel(ODE):
    """A vessel that activity dilates and that blood flows through: the BOLD signal of a region.

        s' = I - kappa s - gamma (f - 1)
        f' = s
        tau v' = f - v^(1 / alpha)
        tau q' = f (1 - (1 - rho)^(1 / f)) / rho - v^(1 / alpha) q / v
        BOLD = V_0 (k1 (1 - q) + k2 (1 - q / v) + k3 (1 - v))
        k1 = 4.3 theta_0 rho TE,   k2 = epsilon r_0 rho TE,   k3 = 1 - epsilon

    Derivatives are per second here, while steps and times are in ms as everywhere. The activity I
    has no dimension and is of order 1; a constant one leads to f = 1 + I / gamma. Activity that
    ends abruptly and is above 2 or so would make f negative, and the state is then NaN.

    Source: Friston, Harrison & Penny (2003), NeuroImage 19, 1273, for the hemodynamics; Stephan et
    al. (2007), NeuroImage 38, 387, for the signal, in which epsilon depends on the scanner.
    """

    kappa: float = param(0.65, "1/s", "decay of the dilating signal", positive=True)
    gamma: float = param(0.41, "1/s", "feedback of the flow", positive=True)
    tau: float = param(0.98, "s", "how long blood stays", positive=True)
    alpha: float = param(0.32, "", "stiffness of the vessel, Grubb's exponent", positive=True)
    rho: float = param(0.34, "", "oxygen extracted at rest, a fraction", positive=True)
    V_0: float = param(0.02, "", "volume of blood at rest, a fraction", positive=True)
    theta_0: float = param(40.3, "1/s", "offset of frequency at a vessel without oxygen")
    r_0: float = param(25.0, "1/s", "slope of relaxation by oxygen")
    epsilon: float = param(0.5, "", "signal inside over outside of vessels", nonnegative=True)
    TE: float = param(0.04, "s", "echo time", positive=True)

    class State(NamedTuple):
        s: jax.Array  # signal that dilates, per second
        f: jax.Array  # flow, 1 at rest
        v: jax.Array  # volume, 1 at rest
        q: jax.Array  # deoxyhemoglobin, 1 at rest

    def init(self, id: Any, key: Any) -> State:
        """At rest."""
        one = jnp.ones(())
        return self.State(s=jnp.zeros(()), f=one, v=one, q=one)

    def derivative(self, t: Any, s: State, drive: Drive) -> State:
        outflow = s.v ** (1.0 / self.alpha)
        extracted = (1.0 - (1.0 - self.rho) ** (1.0 / s.f)) / self.rho
        per_second = self.State(
            s=drive.current - self.kappa * s.s - self.gamma * (s.f - 1.0),
            f=s.s,
            v=(s.f - outflow) / self.tau,
            q=(s.f * extracted - outflow * s.q / s.v) / self.tau,
        )
        return self.State(*(MS * x for x in per_second))

    def emit(self, s: State) -> Any:
        """BOLD, as a fraction of the signal at rest."""
        k1 = 4.3 * self.theta_0 * self.rho * self.TE
        k2 = self.epsilon * self.r_0 * self.rho * self.TE
        change = k1 * (1.0 - s.q) + k2 * (1.0 - s.q / s.v) + (1.0 - self.epsilon) * (1.0 - s.v)
        return self.V_0 * change
