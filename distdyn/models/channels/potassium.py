"""Potassium currents: delayed rectifiers, A currents, K2 currents, the M current."""

from typing import Any

import jax.numpy as jnp
from jax.nn import sigmoid

from distdyn.core.exprel import exprel
from distdyn.core.parameters import param
from distdyn.models.channels.channel import AlphaBeta, Channel, InfTau, gate


class IK_HH1952(Channel):
    """The delayed rectifier of the squid axon.

        I = g n^4 (V - E),    v = V - V_rest
        alpha_n = phi 0.01 (10 - v) / (exp((10 - v) / 10) - 1),    beta_n = phi 0.125 exp(-v / 80)

    Source: Hodgkin & Huxley (1952), J. Physiol. 117, 500, with V as inside minus outside.
    """

    g: float = param(36.0, "mS/cm2", "maximal conductance", nonnegative=True)
    E: float | str = param(-77.0, "mV", "reversal potential, or the ion whose it is")
    V_rest: float = param(-65.0, "mV", "resting potential, from which the paper counts")
    phi: float = param(1.0, "", "factor of the rates: 3^((T - 6.3 degC) / 10 degC)", positive=True)

    @gate
    def n(self, V: Any) -> AlphaBeta:
        v = V - self.V_rest
        alpha = self.phi * 0.1 / exprel((10 - v) / 10)
        return AlphaBeta(alpha, self.phi * 0.125 * jnp.exp(-v / 80))

    def current(self, s: Any, V: Any) -> Any:
        return self.g * s.n**4 * (V - self.E)


class IK_TM1991(Channel):
    """The delayed rectifier of hippocampal pyramidal cells, v = V - V_T.

        I = g n^4 (V - E)
        alpha_n = 0.032 (15 - v) / (exp((15 - v) / 5) - 1),    beta_n = 0.5 exp((10 - v) / 40)

    Source: Traub & Miles (1991), Neuronal Networks of the Hippocampus; defaults as in Brette et
    al. (2007), J. Comput. Neurosci. 23, 349.
    """

    g: float = param(30.0, "mS/cm2", "maximal conductance", nonnegative=True)
    E: float | str = param(-90.0, "mV", "reversal potential, or the ion whose it is")
    V_T: float = param(-63.0, "mV", "moves the threshold")

    @gate
    def n(self, V: Any) -> AlphaBeta:
        return _traub_miles_n(V - self.V_T)

    def current(self, s: Any, V: Any) -> Any:
        return self.g * s.n**4 * (V - self.E)


class IKDR_Ba2002(Channel):
    """The delayed rectifier of thalamic and cortical cells: that of Traub & Miles, warmed.

    As `IK_TM1991` with v = V - V_T, both rates times phi = 3^((T - 36) / 10).

    Source: Bazhenov, Timofeev, Steriade, Sejnowski (2002), J. Neurosci. 22, 8691; the rates are
    those of their program.
    """

    g: float = param(10.0, "mS/cm2", "maximal conductance", nonnegative=True)
    E: float | str = param(-95.0, "mV", "reversal potential, or the ion whose it is")
    V_T: float = param(-50.0, "mV", "moves the threshold")
    T: float = param(36.0, "degC", "temperature")

    @gate
    def n(self, V: Any) -> AlphaBeta:
        phi = 3.0 ** ((self.T - 36) / 10)
        alpha, beta = _traub_miles_n(V - self.V_T)
        return AlphaBeta(phi * alpha, phi * beta)

    def current(self, s: Any, V: Any) -> Any:
        return self.g * s.n**4 * (V - self.E)


class IKA1_HM1992(Channel):
    """The first component of the A current of thalamic relay cells (60 % of it).

        I = g p^4 q (V - E),    v = V - V_sh
        p_inf = 1 / (1 + exp(-(v + 60) / 8.5)),    q_inf = 1 / (1 + exp((v + 78) / 6))
        tau_p = 0.37 + 1 / (exp((v + 35.82) / 19.69) + exp(-(v + 79.69) / 12.7))
        tau_q = 1 / (exp((v + 46.05) / 5) + exp(-(v + 238.4) / 37.45)) below v = -63 mV, else 19 ms

    Both time constants are divided by 3^((T - 23.5) / 10).

    Source: Huguenard & McCormick (1992), J. Neurophysiol. 68, 1373.
    """

    g: float = param(30.0, "mS/cm2", "maximal conductance", nonnegative=True)
    E: float | str = param(-90.0, "mV", "reversal potential, or the ion whose it is")
    V_sh: float = param(0.0, "mV", "shift of the voltage dependence")
    T: float = param(36.0, "degC", "temperature")

    @gate
    def p(self, V: Any) -> InfTau:
        v = V - self.V_sh
        return InfTau(sigmoid((v + 60) / 8.5), _a_activation_tau(v) / _warming(self.T))

    @gate
    def q(self, V: Any) -> InfTau:
        v = V - self.V_sh
        tau = jnp.where(v < -63, _a_inactivation_tau(v), 19.0)
        return InfTau(sigmoid(-(v + 78) / 6), tau / _warming(self.T))

    def current(self, s: Any, V: Any) -> Any:
        return self.g * s.p**4 * s.q * (V - self.E)


class IKA2_HM1992(Channel):
    """The second component of the A current of thalamic relay cells (40 % of it).

        I = g p^4 q (V - E),    v = V - V_sh
        p_inf = 1 / (1 + exp(-(v + 36) / 20)),    q_inf = 1 / (1 + exp((v + 78) / 6))
        tau_p = 0.37 + 1 / (exp((v + 35.82) / 19.69) + exp(-(v + 79.69) / 12.7))
        tau_q = 1 / (exp((v + 46.05) / 5) + exp(-(v + 238.4) / 37.45)) below v = -73 mV, else 60 ms

    Both time constants are divided by 3^((T - 23.5) / 10).

    Source: Huguenard & McCormick (1992), J. Neurophysiol. 68, 1373.
    """

    g: float = param(20.0, "mS/cm2", "maximal conductance", nonnegative=True)
    E: float | str = param(-90.0, "mV", "reversal potential, or the ion whose it is")
    V_sh: float = param(0.0, "mV", "shift of the voltage dependence")
    T: float = param(36.0, "degC", "temperature")

    @gate
    def p(self, V: Any) -> InfTau:
        v = V - self.V_sh
        return InfTau(sigmoid((v + 36) / 20), _a_activation_tau(v) / _warming(self.T))

    @gate
    def q(self, V: Any) -> InfTau:
        v = V - self.V_sh
        tau = jnp.where(v < -73, _a_inactivation_tau(v), 60.0)
        return InfTau(sigmoid(-(v + 78) / 6), tau / _warming(self.T))

    def current(self, s: Any, V: Any) -> Any:
        return self.g * s.p**4 * s.q * (V - self.E)


class IKK2A_HM1992(Channel):
    """The faster component of the slow potassium current K2 of thalamic relay cells (40 %).

        I = g p q (V - E),    v = V - V_sh
        p_inf = (1 + exp(-(v + 43) / 17))^-4,    q_inf = 1 / (1 + exp((v + 58) / 10.6))
        tau_p = 9.9 + 1 / (exp((v - 80.98) / 25.64) + exp(-(v + 132) / 17.953))
        tau_q = 120 + 1 / (exp((v - 1329) / 200) + exp(-(v + 129.7) / 7.143))

    Both time constants are divided by 3^((T - 23.5) / 10).

    Source: Huguenard & McCormick (1992), J. Neurophysiol. 68, 1373.
    """

    g: float = param(10.0, "mS/cm2", "maximal conductance", nonnegative=True)
    E: float | str = param(-90.0, "mV", "reversal potential, or the ion whose it is")
    V_sh: float = param(0.0, "mV", "shift of the voltage dependence")
    T: float = param(36.0, "degC", "temperature")

    @gate
    def p(self, V: Any) -> InfTau:
        return _k2_activation(V - self.V_sh, self.T)

    @gate
    def q(self, V: Any) -> InfTau:
        v = V - self.V_sh
        return InfTau(sigmoid(-(v + 58) / 10.6), _k2_inactivation_tau(v) / _warming(self.T))

    def current(self, s: Any, V: Any) -> Any:
        return self.g * s.p * s.q * (V - self.E)


class IKK2B_HM1992(Channel):
    """The slower component of the slow potassium current K2 of thalamic relay cells (60 %).

    As `IKK2A_HM1992`, but tau_q = 8930 ms from v = -70 mV on.

    Both time constants are divided by 3^((T - 23.5) / 10).

    Source: Huguenard & McCormick (1992), J. Neurophysiol. 68, 1373.
    """

    g: float = param(10.0, "mS/cm2", "maximal conductance", nonnegative=True)
    E: float | str = param(-90.0, "mV", "reversal potential, or the ion whose it is")
    V_sh: float = param(0.0, "mV", "shift of the voltage dependence")
    T: float = param(36.0, "degC", "temperature")

    @gate
    def p(self, V: Any) -> InfTau:
        return _k2_activation(V - self.V_sh, self.T)

    @gate
    def q(self, V: Any) -> InfTau:
        v = V - self.V_sh
        tau = jnp.where(v < -70, _k2_inactivation_tau(v), 8930.0)
        return InfTau(sigmoid(-(v + 58) / 10.6), tau / _warming(self.T))

    def current(self, s: Any, V: Any) -> Any:
        return self.g * s.p * s.q * (V - self.E)


class IKNI_Ya1989(Channel):
    """The muscarinic potassium current M: slow, without inactivation.

        I = g p (V - E),    v = V - V_sh
        p_inf = 1 / (1 + exp(-(v + 35) / 10))
        tau_p = tau_max / (3.3 (exp((v + 35) / 40) + exp(-(v + 35) / 20)))

    Source: Yamada, Koch, Adams (1989), in Methods in Neuronal Modeling. Later models of the cortex
    have 20 mV in both exponentials.
    """

    g: float = param(0.004, "mS/cm2", "maximal conductance", nonnegative=True)
    E: float | str = param(-90.0, "mV", "reversal potential, or the ion whose it is")
    V_sh: float = param(0.0, "mV", "shift of the voltage dependence")
    tau_max: float = param(1000.0, "ms", "scale of the time constant", positive=True)

    @gate
    def p(self, V: Any) -> InfTau:
        v = V - self.V_sh
        tau = self.tau_max / (3.3 * (jnp.exp((v + 35) / 40) + jnp.exp(-(v + 35) / 20)))
        return InfTau(sigmoid((v + 35) / 10), tau)

    def current(self, s: Any, V: Any) -> Any:
        return self.g * s.p * (V - self.E)


def _warming(T: Any) -> Any:
    """By how much the A and K2 currents are faster than where they were measured."""
    return 3.0 ** ((T - 23.5) / 10)


def _traub_miles_n(v: Any) -> AlphaBeta:
    return AlphaBeta(0.032 * 5 / exprel((15 - v) / 5), 0.5 * jnp.exp((10 - v) / 40))


def _a_activation_tau(v: Any) -> Any:
    return 0.37 + 1 / (jnp.exp((v + 35.82) / 19.69) + jnp.exp(-(v + 79.69) / 12.7))


def _a_inactivation_tau(v: Any) -> Any:
    return 1 / (jnp.exp((v + 46.05) / 5) + jnp.exp(-(v + 238.4) / 37.45))


def _k2_activation(v: Any, T: Any) -> InfTau:
    tau = 9.9 + 1 / (jnp.exp((v - 80.98) / 25.64) + jnp.exp(-(v + 132) / 17.953))
    return InfTau(sigmoid((v + 43) / 17) ** 4, tau / _warming(T))


def _k2_inactivation_tau(v: Any) -> Any:
    return 120 + 1 / (jnp.exp((v - 1329) / 200) + jnp.exp(-(v + 129.7) / 7.143))
