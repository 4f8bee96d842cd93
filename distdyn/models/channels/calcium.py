"""Calcium currents: of low threshold (T), of high threshold (L). Each fills the ion `Ca`.

Their reversal potential is that of the cell's calcium; a number, `E=120.`, makes them independent
of it. Where papers use the Goldman equation, the current here is g times (V - E).
"""

from typing import Any

import jax.numpy as jnp
from jax.nn import sigmoid

from distdyn.core.exprel import exprel
from distdyn.core.parameters import param
from distdyn.models.channels.channel import AlphaBeta, Channel, InfTau, gate


class ICaT_HM1992(Channel):
    """The low-threshold calcium current T of thalamic relay cells.

        I = g p^2 q (V - E),    v = V - V_sh
        p_inf = 1 / (1 + exp(-(v + 57) / 6.2)),    q_inf = 1 / (1 + exp((v + 81) / 4.03))
        tau_p = [0.612 + 1 / (exp(-(v + 131.6) / 16.7) + exp((v + 16.8) / 18.2))] / phi_p
        tau_q = exp((v + 467) / 66.6) / phi_q below v = -80 mV,
                [28 + exp(-(v + 21.88) / 10.52)] / phi_q above
        phi_p = 3.55^((T - 24) / 10),    phi_q = 3^((T - 24) / 10)

    Source: Huguenard & McCormick (1992), J. Neurophysiol. 68, 1373; for the temperature as in
    Bazhenov et al. (2002), J. Neurosci. 22, 8691.
    """

    g: float = param(2.0, "mS/cm2", "maximal conductance", nonnegative=True)
    E: float | str = param("Ca", "mV", "reversal potential, or the ion whose it is")
    V_sh: float = param(0.0, "mV", "shift of the voltage dependence")
    T: float = param(36.0, "degC", "temperature")

    @gate
    def p(self, V: Any) -> InfTau:
        v = V - self.V_sh
        tau = 0.612 + 1 / (jnp.exp(-(v + 131.6) / 16.7) + jnp.exp((v + 16.8) / 18.2))
        return InfTau(sigmoid((v + 57) / 6.2), tau / 3.55 ** ((self.T - 24) / 10))

    @gate
    def q(self, V: Any) -> InfTau:
        v = V - self.V_sh
        below, above = jnp.exp((v + 467) / 66.6), 28 + jnp.exp(-(v + 21.88) / 10.52)
        tau = jnp.where(v < -80, below, above) / 3.0 ** ((self.T - 24) / 10)
        return InfTau(sigmoid(-(v + 81) / 4.03), tau)

    def current(self, s: Any, V: Any) -> Any:
        return self.g * s.p**2 * s.q * (V - self.E)


class ICaT_HP1992(Channel):
    """The low-threshold calcium current T of cells of the thalamic reticular nucleus.

        I = g p^2 q (V - E),    v = V - V_sh
        p_inf = 1 / (1 + exp(-(v + 52) / 7.4)),    q_inf = 1 / (1 + exp((v + 80) / 5))
        tau_p = [3 + 1 / (exp((v + 27) / 10) + exp(-(v + 102) / 15))] / 5^((T - 24) / 10)
        tau_q = [85 + 1 / (exp((v + 48) / 4) + exp(-(v + 407) / 50))] / 3^((T - 24) / 10)

    Source: Huguenard & Prince (1992), J. Neurosci. 12, 3804, as in Destexhe et al. (1996), J.
    Neurophysiol. 76, 2049.
    """

    g: float = param(1.75, "mS/cm2", "maximal conductance", nonnegative=True)
    E: float | str = param("Ca", "mV", "reversal potential, or the ion whose it is")
    V_sh: float = param(0.0, "mV", "shift of the voltage dependence")
    T: float = param(36.0, "degC", "temperature")

    @gate
    def p(self, V: Any) -> InfTau:
        v = V - self.V_sh
        tau = 3 + 1 / (jnp.exp((v + 27) / 10) + jnp.exp(-(v + 102) / 15))
        return InfTau(sigmoid((v + 52) / 7.4), tau / 5.0 ** ((self.T - 24) / 10))

    @gate
    def q(self, V: Any) -> InfTau:
        v = V - self.V_sh
        tau = 85 + 1 / (jnp.exp((v + 48) / 4) + jnp.exp(-(v + 407) / 50))
        return InfTau(sigmoid(-(v + 80) / 5), tau / 3.0 ** ((self.T - 24) / 10))

    def current(self, s: Any, V: Any) -> Any:
        return self.g * s.p**2 * s.q * (V - self.E)


class ICaHT_HM1992(Channel):
    """The high-threshold calcium current L of thalamic relay cells, without inactivation.

        I = g p^2 (V - E),    v = V - V_sh
        p_inf = 1 / (1 + exp(-(v + 10) / 10)),    tau_p = 1 / (alpha + beta) / 3^((T - 23.5) / 10)
        alpha = 1.6 / (1 + exp(-0.072 (v - 5)))
        beta = 0.02 (v - 1.31) / (exp((v - 1.31) / 5.36) - 1)

    Source: McCormick & Huguenard (1992), J. Neurophysiol. 68, 1384, the second of their two papers,
    with its erratum; it takes the rates from Kay & Wong (1987), J. Physiol. 392, 603.
    """

    g: float = param(2.0, "mS/cm2", "maximal conductance", nonnegative=True)
    E: float | str = param("Ca", "mV", "reversal potential, or the ion whose it is")
    V_sh: float = param(0.0, "mV", "shift of the voltage dependence")
    T: float = param(36.0, "degC", "temperature")

    @gate
    def p(self, V: Any) -> InfTau:
        v = V - self.V_sh
        rates = 1.6 * sigmoid(0.072 * (v - 5)) + 0.02 * 5.36 / exprel((v - 1.31) / 5.36)
        return InfTau(sigmoid((v + 10) / 10), 1 / rates / 3.0 ** ((self.T - 23.5) / 10))

    def current(self, s: Any, V: Any) -> Any:
        return self.g * s.p**2 * (V - self.E)


class ICaHT_Re1993(Channel):
    """The high-threshold calcium current of cortical cells.

        I = g p^2 q (V - E),    v = V - V_sh,    all rates times phi = 2.3^((T - 23) / 10)
        alpha_p = 0.055 (-27 - v) / (exp((-27 - v) / 3.8) - 1),    beta_p = 0.94 exp((-75 - v) / 17)
        alpha_q = 0.000457 exp((-13 - v) / 50),    beta_q = 0.0065 / (exp((-15 - v) / 28) + 1)

    Source: Reuveni, Friedman, Amitai, Gutnick (1993), J. Neurosci. 13, 4609.
    """

    g: float = param(1.0, "mS/cm2", "maximal conductance", nonnegative=True)
    E: float | str = param("Ca", "mV", "reversal potential, or the ion whose it is")
    V_sh: float = param(0.0, "mV", "shift of the voltage dependence")
    T: float = param(36.0, "degC", "temperature")

    @gate
    def p(self, V: Any) -> AlphaBeta:
        v, phi = V - self.V_sh, 2.3 ** ((self.T - 23) / 10)
        alpha = phi * 0.055 * 3.8 / exprel((-27 - v) / 3.8)
        return AlphaBeta(alpha, phi * 0.94 * jnp.exp((-75 - v) / 17))

    @gate
    def q(self, V: Any) -> AlphaBeta:
        v, phi = V - self.V_sh, 2.3 ** ((self.T - 23) / 10)
        alpha = phi * 0.000457 * jnp.exp((-13 - v) / 50)
        return AlphaBeta(alpha, phi * 0.0065 * sigmoid((v + 15) / 28))

    def current(self, s: Any, V: Any) -> Any:
        return self.g * s.p**2 * s.q * (V - self.E)


class ICaL_IS2008(Channel):
    """The calcium current L of granule cells of the olfactory bulb.

        I = g p^2 q (V - E),    v = V - V_sh
        p_inf = 1 / (1 + exp(-(v + 10) / 4)),    q_inf = 1 / (1 + exp((v + 25) / 2))
        tau_p = [0.4 + 0.7 / (exp(-(v + 5) / 15) + exp((v + 5) / 15))] / 3.55^((T - 24) / 10)
        tau_q = [300 + 100 / (exp((v + 40) / 9.5) + exp(-(v + 40) / 9.5))] / 3^((T - 24) / 10)

    Source: Inoue & Strowbridge (2008), J. Neurophysiol. 99, 187, as in the models that cite it.
    """

    g: float = param(1.0, "mS/cm2", "maximal conductance", nonnegative=True)
    E: float | str = param("Ca", "mV", "reversal potential, or the ion whose it is")
    V_sh: float = param(0.0, "mV", "shift of the voltage dependence")
    T: float = param(36.0, "degC", "temperature")

    @gate
    def p(self, V: Any) -> InfTau:
        v = V - self.V_sh
        tau = 0.4 + 0.7 / (jnp.exp(-(v + 5) / 15) + jnp.exp((v + 5) / 15))
        return InfTau(sigmoid((v + 10) / 4), tau / 3.55 ** ((self.T - 24) / 10))

    @gate
    def q(self, V: Any) -> InfTau:
        v = V - self.V_sh
        tau = 300 + 100 / (jnp.exp((v + 40) / 9.5) + jnp.exp(-(v + 40) / 9.5))
        return InfTau(sigmoid(-(v + 25) / 2), tau / 3.0 ** ((self.T - 24) / 10))

    def current(self, s: Any, V: Any) -> Any:
        return self.g * s.p**2 * s.q * (V - self.E)
