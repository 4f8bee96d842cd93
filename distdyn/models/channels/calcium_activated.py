"""Currents that calcium inside the cell activates: they read the ion `Ca`, and do not carry it."""

from typing import Any

import jax.numpy as jnp
from jax.nn import sigmoid

from distdyn.core.parameters import param
from distdyn.models.channels.channel import AlphaBeta, Channel, InfTau, gate


class IAHP_De1994(Channel):
    """The slow potassium current of the afterhyperpolarization.

        I = g p^2 (V - E),    p' = alpha [Ca]^2 (1 - p) - beta p

    Source: Destexhe, Contreras, Sejnowski, Steriade (1994), J. Neurophysiol. 72, 803. The authors'
    program takes these rates for 22 degC, and has them 3^((T - 22) / 10) times as fast at T.
    """

    g: float = param(10.0, "mS/cm2", "maximal conductance", nonnegative=True)
    E: float | str = param(-95.0, "mV", "reversal potential, or the ion whose it is")
    alpha: float = param(48.0, "1/(ms mM2)", "rate of opening", nonnegative=True)
    beta: float = param(0.03, "1/ms", "rate of closing", positive=True)
    Ca: Any = param("Ca", doc="the ion that opens the channel")

    @gate
    def p(self, V: Any) -> AlphaBeta:
        return AlphaBeta(self.alpha * self.Ca.C**2, self.beta)

    def current(self, s: Any, V: Any) -> Any:
        return self.g * s.p**2 * (V - self.E)


class ICaN_IS2008(Channel):
    """The non-selective cation current of granule cells of the olfactory bulb.

        I = g [Ca] / ([Ca] + 0.2 mM) p (V - E),    v = V - V_sh
        p_inf = 1 / (1 + exp(-(v + 43) / 5.2))
        tau_p = 1.6 + 2.7 / (exp(-(v + 55) / 15) + exp((v + 55) / 15))

    Source: Inoue & Strowbridge (2008), J. Neurophysiol. 99, 187, as in the models that cite it.
    """

    g: float = param(1.0, "mS/cm2", "maximal conductance", nonnegative=True)
    E: float | str = param(10.0, "mV", "reversal potential, or the ion whose it is")
    V_sh: float = param(0.0, "mV", "shift of the voltage dependence")
    Ca: Any = param("Ca", doc="the ion that opens the channel")

    @gate
    def p(self, V: Any) -> InfTau:
        v = V - self.V_sh
        tau = 1.6 + 2.7 / (jnp.exp(-(v + 55) / 15) + jnp.exp((v + 55) / 15))
        return InfTau(sigmoid((v + 43) / 5.2), tau)

    def current(self, s: Any, V: Any) -> Any:
        opened = self.Ca.C / (self.Ca.C + 0.2)
        return self.g * opened * s.p * (V - self.E)
