"""A cell: a leaky integrate-and-fire neuron that tires (Dayan & Abbott 2001, section 5.4)."""

from typing import NamedTuple

import jax

import distdyn as dd


class Tiring(dd.ODE):
    """A neuron whose potassium conductance grows with every spike.

    C_m V' = g_L (E_L - V) + g (E_K - V) + I_e + I,     g' = -g / tau_g
    V >= V_th: spike, V = V_reset, g = g + dg
    """

    C_m: float = dd.param(200.0, "pF", "capacitance", positive=True)
    g_L: float = dd.param(20.0, "nS", "leak conductance", positive=True)
    E_L: float = dd.param(-65.0, "mV", "resting potential")
    E_K: float = dd.param(-70.0, "mV", "reversal potential of potassium")
    V_th: float = dd.param(-50.0, "mV", "threshold")
    V_reset: float = dd.param(-65.0, "mV", "potential after a spike")
    tau_g: float = dd.param(100.0, "ms", "time constant of the conductance", positive=True)
    dg: float = dd.param(1.2, "nS", "what a spike adds to it", nonnegative=True)
    I_e: float = dd.param(0.0, "pA", "constant input current")

    class State(NamedTuple):
        V: jax.Array  # mV
        g: jax.Array  # nS, potassium

    def init(self, id, key):
        return self.State(V=self.E_L, g=0.0)

    def derivative(self, t, s, drive):
        I = self.g_L * (self.E_L - s.V) + s.g * (self.E_K - s.V) + self.I_e + drive.current
        return self.State(V=I / self.C_m, g=-s.g / self.tau_g)

    def reset(self, s):
        return s._replace(V=self.V_reset, g=s.g + self.dg)


if __name__ == "__main__":
    print(dd.DSRunner(Tiring(I_e=400.0), dt=0.1, record="spikes").run(100).spikes["cell"].time)
