"""Point neurons."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from distdyn.core.ode import ODE
from distdyn.core.parameters import param
from distdyn.core.system import Drive


class LIF(ODE):
    """Leaky integrate-and-fire neuron.

        V' = (E_L - V) / tau_m + (I_e + I) / C_m;     V >= V_th: spike, V = V_reset for t_ref

    I is the current through the receptors and from outside. Leak conductance: C_m / tau_m.

    Source: Lapicque (1907); defaults as in Potjans & Diesmann (2014), Cereb. Cortex 24, 785.
    """

    C_m: float = param(250.0, "pF", "membrane capacitance", positive=True)
    tau_m: float = param(10.0, "ms", "membrane time constant", positive=True)
    E_L: float = param(-65.0, "mV", "resting potential")
    V_th: float = param(-50.0, "mV", "threshold")
    V_reset: float = param(-65.0, "mV", "potential after a spike")
    t_ref: float = param(2.0, "ms", "absolute refractory period", nonnegative=True)
    I_e: float = param(0.0, "pA", "constant input current")

    class State(NamedTuple):
        V: jax.Array  # mV

    def init(self, id: Any, key: Any) -> State:
        """At rest."""
        return self.State(V=jnp.asarray(self.E_L))

    def derivative(self, t: Any, s: State, drive: Drive) -> State:
        I = self.I_e + drive.current
        return self.State(V=(self.E_L - s.V) / self.tau_m + I / self.C_m)

    def reset(self, s: State) -> State:
        """After a spike."""
        return s._replace(V=self.V_reset)
