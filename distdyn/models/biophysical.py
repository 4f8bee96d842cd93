"""Cells with ion channels, as their papers give them: one class, all its currents written out.

Quantities are per area of membrane: uF/cm2, mS/cm2, uA/cm2, and so are weights and currents that
reach the cell: 1 nS or 1 pA is per 100 um2. They spike when V crosses V_th upward; nothing is
reset. Gates that are not given start in their steady state at the V that is. To compose a cell of
channels instead, see `Conductance`.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from distdyn.core.exprel import exprel
from distdyn.core.ode import ODE
from distdyn.core.parameters import param
from distdyn.core.system import Drive
from distdyn.models.channels.channel import AlphaBeta


class HodgkinHuxley(ODE):
    """The squid axon.

        C_m V' = g_Na m^3 h (E_Na - V) + g_K n^4 (E_K - V) + g_L (E_L - V) + I_e + I
        x' = alpha_x (1 - x) - beta_x x   for x = m, h, n
        alpha_m = 0.1 (V + 40) / (1 - exp(-(V + 40) / 10)),   beta_m = 4 exp(-(V + 65) / 18)
        alpha_h = 0.07 exp(-(V + 65) / 20),   beta_h = 1 / (1 + exp(-(V + 35) / 10))
        alpha_n = 0.01 (V + 55) / (1 - exp(-(V + 55) / 10)),   beta_n = 0.125 exp(-(V + 65) / 80)

    Source: Hodgkin & Huxley (1952), J. Physiol. 117, 500, at 6.3 degrees, with potentials in the
    sign of today and rest at -65 mV.
    """

    C_m: float = param(1.0, "uF/cm2", "membrane capacitance", positive=True)
    g_Na: float = param(120.0, "mS/cm2", "sodium conductance", nonnegative=True)
    g_K: float = param(36.0, "mS/cm2", "potassium conductance", nonnegative=True)
    g_L: float = param(0.3, "mS/cm2", "leak conductance", nonnegative=True)
    E_Na: float = param(50.0, "mV", "reversal potential of sodium")
    E_K: float = param(-77.0, "mV", "reversal potential of potassium")
    E_L: float = param(-54.387, "mV", "reversal potential of the leak")
    V_th: float = param(0.0, "mV", "upward crossing that counts as a spike")
    I_e: float = param(0.0, "uA/cm2", "constant input current")

    class State(NamedTuple):
        V: jax.Array  # mV
        m: jax.Array  # activation of sodium
        h: jax.Array  # inactivation of sodium
        n: jax.Array  # activation of potassium

    def init(self, id: Any, key: Any) -> State:
        """At rest: -65 mV."""
        zero = jnp.zeros(())
        return self.settle(self.State(V=jnp.asarray(-65.0), m=zero, h=zero, n=zero))

    def settle(self, s: State) -> State:
        """Gates in their steady states at V."""
        m, h, n = (rates.inf for rates in self.rates(s.V))
        return self.State(V=s.V, m=m, h=h, n=n)

    def rates(self, V: Any) -> tuple[AlphaBeta, ...]:
        """Alpha and beta (1/ms) of m, h and n."""
        return (
            AlphaBeta(1.0 / exprel((V + 40.0) / -10.0), 4.0 * jnp.exp((V + 65.0) / -18.0)),
            AlphaBeta(0.07 * jnp.exp((V + 65.0) / -20.0), jax.nn.sigmoid((V + 35.0) / 10.0)),
            AlphaBeta(0.1 / exprel((V + 55.0) / -10.0), 0.125 * jnp.exp((V + 65.0) / -80.0)),
        )

    def derivative(self, t: Any, s: State, drive: Drive) -> State:
        V, m, h, n = s
        I_Na = self.g_Na * m * m * m * h * (self.E_Na - V)
        I_K = self.g_K * (n * n) * (n * n) * (self.E_K - V)
        I_L = self.g_L * (self.E_L - V)
        of_m, of_h, of_n = self.rates(V)
        return self.State(
            V=(I_Na + I_K + I_L + self.I_e + drive.current) / self.C_m,
            m=of_m.derivative(m),
            h=of_h.derivative(h),
            n=of_n.derivative(n),
        )


class WangBuzsaki(ODE):
    """A fast-spiking interneuron of the hippocampus; sodium activates at once.

        C_m V' = g_Na m_inf^3 h (E_Na - V) + g_K n^4 (E_K - V) + g_L (E_L - V) + I_e + I
        x' = phi (alpha_x (1 - x) - beta_x x)   for x = h, n;   m_inf = alpha_m / (alpha_m + beta_m)
        alpha_m = 0.1 (V + 35) / (1 - exp(-(V + 35) / 10)),   beta_m = 4 exp(-(V + 60) / 18)
        alpha_h = 0.07 exp(-(V + 58) / 20),   beta_h = 1 / (1 + exp(-(V + 28) / 10))
        alpha_n = 0.01 (V + 34) / (1 - exp(-(V + 34) / 10)),   beta_n = 0.125 exp(-(V + 44) / 80)

    Source: Wang & Buzsaki (1996), J. Neurosci. 16, 6402.
    """

    C_m: float = param(1.0, "uF/cm2", "membrane capacitance", positive=True)
    g_Na: float = param(35.0, "mS/cm2", "sodium conductance", nonnegative=True)
    g_K: float = param(9.0, "mS/cm2", "potassium conductance", nonnegative=True)
    g_L: float = param(0.1, "mS/cm2", "leak conductance", nonnegative=True)
    E_Na: float = param(55.0, "mV", "reversal potential of sodium")
    E_K: float = param(-90.0, "mV", "reversal potential of potassium")
    E_L: float = param(-65.0, "mV", "reversal potential of the leak")
    phi: float = param(5.0, "", "how much faster gates are than in the squid", positive=True)
    V_th: float = param(0.0, "mV", "upward crossing that counts as a spike")
    I_e: float = param(0.0, "uA/cm2", "constant input current")

    class State(NamedTuple):
        V: jax.Array  # mV
        h: jax.Array  # inactivation of sodium
        n: jax.Array  # activation of potassium

    def init(self, id: Any, key: Any) -> State:
        """Close to rest: at -64 mV."""
        zero = jnp.zeros(())
        return self.settle(self.State(V=jnp.asarray(-64.0), h=zero, n=zero))

    def settle(self, s: State) -> State:
        """Gates in their steady states at V."""
        _, h, n = (rates.inf for rates in self.rates(s.V))
        return self.State(V=s.V, h=h, n=n)

    def rates(self, V: Any) -> tuple[AlphaBeta, ...]:
        """Alpha and beta (1/ms) of m, h and n, without phi."""
        return (
            AlphaBeta(1.0 / exprel((V + 35.0) / -10.0), 4.0 * jnp.exp((V + 60.0) / -18.0)),
            AlphaBeta(0.07 * jnp.exp((V + 58.0) / -20.0), jax.nn.sigmoid((V + 28.0) / 10.0)),
            AlphaBeta(0.1 / exprel((V + 34.0) / -10.0), 0.125 * jnp.exp((V + 44.0) / -80.0)),
        )

    def derivative(self, t: Any, s: State, drive: Drive) -> State:
        V, h, n = s
        of_m, of_h, of_n = self.rates(V)
        m = of_m.inf
        I_Na = self.g_Na * m * m * m * h * (self.E_Na - V)
        I_K = self.g_K * (n * n) * (n * n) * (self.E_K - V)
        I_L = self.g_L * (self.E_L - V)
        return self.State(
            V=(I_Na + I_K + I_L + self.I_e + drive.current) / self.C_m,
            h=self.phi * of_h.derivative(h),
            n=self.phi * of_n.derivative(n),
        )


class MorrisLecar(ODE):
    """The muscle of the barnacle: two variables, with gates.

        C_m V' = g_Ca m_inf (E_Ca - V) + g_K w (E_K - V) + g_L (E_L - V) + I_e + I
        w' = phi (w_inf - w) / tau_w,     tau_w = 1 / cosh((V - V3) / (2 V4))
        m_inf = (1 + tanh((V - V1) / V2)) / 2,     w_inf = (1 + tanh((V - V3) / V4)) / 2

    The defaults begin to fire at a finite rate (class 2): by a Hopf bifurcation at I_e = 93.86.
    Class 1, from rate 0 at I_e = 39.96: g_Ca = 4, phi = 1 / 15, V3 = 12, V4 = 17.4.

    Source: Morris & Lecar (1981), Biophys. J. 35, 193; the two sets of parameters are those of
    Rinzel & Ermentrout (1989), in Koch & Segev, Methods in Neuronal Modeling.
    """

    C_m: float = param(20.0, "uF/cm2", "membrane capacitance", positive=True)
    g_Ca: float = param(4.4, "mS/cm2", "calcium conductance", nonnegative=True)
    g_K: float = param(8.0, "mS/cm2", "potassium conductance", nonnegative=True)
    g_L: float = param(2.0, "mS/cm2", "leak conductance", nonnegative=True)
    E_Ca: float = param(120.0, "mV", "reversal potential of calcium")
    E_K: float = param(-84.0, "mV", "reversal potential of potassium")
    E_L: float = param(-60.0, "mV", "reversal potential of the leak")
    V1: float = param(-1.2, "mV", "V at which half of the calcium channels are open")
    V2: float = param(18.0, "mV", "width of their activation", positive=True)
    V3: float = param(2.0, "mV", "V at which half of the potassium channels are open")
    V4: float = param(30.0, "mV", "width of their activation", positive=True)
    phi: float = param(0.04, "1/ms", "rate of the potassium channels at V3", positive=True)
    V_th: float = param(0.0, "mV", "upward crossing that counts as a spike")
    I_e: float = param(0.0, "uA/cm2", "constant input current")

    class State(NamedTuple):
        V: jax.Array  # mV
        w: jax.Array  # open potassium channels

    def init(self, id: Any, key: Any) -> State:
        """At rest without input: -60.855 mV."""
        return self.settle(self.State(V=jnp.asarray(-60.855), w=jnp.zeros(())))

    def settle(self, s: State) -> State:
        """Potassium channels in their steady state at V."""
        return s._replace(w=self.w_inf(s.V))

    def w_inf(self, V: Any) -> Any:
        """Steady state of the potassium channels."""
        return 0.5 * (1.0 + jnp.tanh((V - self.V3) / self.V4))

    def derivative(self, t: Any, s: State, drive: Drive) -> State:
        m_inf = 0.5 * (1.0 + jnp.tanh((s.V - self.V1) / self.V2))
        I_Ca = self.g_Ca * m_inf * (self.E_Ca - s.V)
        I_K, I_L = self.g_K * s.w * (self.E_K - s.V), self.g_L * (self.E_L - s.V)
        half = jnp.exp((s.V - self.V3) / (2.0 * self.V4))
        rate = self.phi * 0.5 * (half + 1.0 / half)
        return self.State(
            V=(I_Ca + I_K + I_L + self.I_e + drive.current) / self.C_m,
            w=rate * (self.w_inf(s.V) - s.w),
        )


class PinskyRinzel(ODE):
    """A pyramidal cell of CA3 in two compartments: the soma spikes, the dendrite bursts.

        C_m V'  = -I_L(V)  - g_Na m_inf^2 h (V - E_Na) - g_KDR n (V - E_K)
                  + (g_c (Vd - V) + I_e + I) / p
        C_m Vd' = -I_L(Vd) - g_Ca s^2 (Vd - E_Ca) - g_KAHP q (Vd - E_K)
                  - g_KC c chi (Vd - E_K) + (g_c (V - Vd) + I_d) / (1 - p)
        Ca' = -0.13 g_Ca s^2 (Vd - E_Ca) - 0.075 Ca,     chi = min(Ca / 250, 1)
        x' = alpha_x (1 - x) - beta_x x   for h and n at V, s and c at Vd, q at Ca

    V is the soma: there inputs arrive, and its upward crossing of V_th is a spike. Rates are those
    of the paper, whose potentials count from rest: here from -60 mV.

    Source: Pinsky & Rinzel (1994), J. Comput. Neurosci. 1, 39; erratum 2, 275.
    """

    C_m: float = param(3.0, "uF/cm2", "membrane capacitance", positive=True)
    g_L: float = param(0.1, "mS/cm2", "leak conductance", nonnegative=True)
    g_Na: float = param(30.0, "mS/cm2", "sodium conductance", nonnegative=True)
    g_KDR: float = param(15.0, "mS/cm2", "delayed rectifier", nonnegative=True)
    g_Ca: float = param(10.0, "mS/cm2", "calcium conductance", nonnegative=True)
    g_KAHP: float = param(0.8, "mS/cm2", "afterhyperpolarisation", nonnegative=True)
    g_KC: float = param(15.0, "mS/cm2", "potassium that calcium and V open", nonnegative=True)
    g_c: float = param(2.1, "mS/cm2", "coupling of the compartments", nonnegative=True)
    p: float = param(0.5, "", "the soma's part of the membrane, below 1", positive=True)
    E_L: float = param(-60.0, "mV", "reversal potential of the leak")
    E_Na: float = param(60.0, "mV", "reversal potential of sodium")
    E_Ca: float = param(80.0, "mV", "reversal potential of calcium")
    E_K: float = param(-75.0, "mV", "reversal potential of potassium")
    V_th: float = param(-30.0, "mV", "upward crossing of the soma that counts as a spike")
    I_e: float = param(-0.5, "uA/cm2", "constant input current of the soma")
    I_d: float = param(0.0, "uA/cm2", "constant input current of the dendrite")

    class State(NamedTuple):
        V: jax.Array  # mV, soma
        Vd: jax.Array  # mV, dendrite
        h: jax.Array  # inactivation of sodium
        n: jax.Array  # activation of the delayed rectifier
        s: jax.Array  # activation of calcium
        c: jax.Array  # activation of the potassium channels that V and calcium open
        q: jax.Array  # activation of the afterhyperpolarisation
        Ca: jax.Array  # calcium, in the paper's own unit

    def init(self, id: Any, key: Any) -> State:
        """At rest: -64.57 mV, at the default I_e."""
        zero = jnp.zeros(())
        rest = self.State(*[zero] * 8)._replace(V=jnp.asarray(-64.57))
        return self.settle(rest)

    def settle(self, s: State) -> State:
        """The dendrite 0.12 mV above V; calcium and gates in their steady states there."""
        Vd = s.V + 0.12
        _, of_h, of_n = self.rates_of_soma(s.V)
        of_s, of_c = self.rates_of_dendrite(Vd)
        activation = of_s.inf
        Ca = -0.13 / 0.075 * self.g_Ca * activation * activation * (Vd - self.E_Ca)
        q = self.rates_of_calcium(Ca).inf
        return self.State(s.V, Vd, of_h.inf, of_n.inf, activation, of_c.inf, q, Ca)

    def rates_of_soma(self, V: Any) -> tuple[AlphaBeta, ...]:
        """Alpha and beta (1/ms) of m, h and n."""
        return (
            AlphaBeta(1.28 / exprel((V + 46.9) / -4.0), 1.4 / exprel((V + 19.9) / 5.0)),
            AlphaBeta(0.128 * jnp.exp((V + 43.0) / -18.0), 4.0 * jax.nn.sigmoid((V + 20.0) / 5.0)),
            AlphaBeta(0.08 / exprel((V + 24.9) / -5.0), 0.25 * jnp.exp((V + 40.0) / -40.0)),
        )

    def rates_of_dendrite(self, Vd: Any) -> tuple[AlphaBeta, ...]:
        """Alpha and beta (1/ms) of s and c."""
        decay = 2.0 * jnp.exp((Vd + 53.5) / -27.0)
        low = jnp.minimum(Vd, -10.0)  # the exponential of what is not chosen must not overflow
        rise = jnp.exp((low + 50.0) / 11.0 - (low + 53.5) / 27.0) / 18.975
        is_low = Vd <= -10.0
        return (
            AlphaBeta(1.6 * jax.nn.sigmoid(0.072 * (Vd - 5.0)), 0.1 / exprel((Vd + 8.9) / 5.0)),
            AlphaBeta(jnp.where(is_low, rise, decay), jnp.where(is_low, decay - rise, 0.0)),
        )

    def rates_of_calcium(self, Ca: Any) -> AlphaBeta:
        """Alpha and beta (1/ms) of q."""
        return AlphaBeta(jnp.minimum(2e-5 * Ca, 0.01), 0.001)

    def derivative(self, t: Any, s: State, drive: Drive) -> State:
        V, Vd = s.V, s.Vd
        of_m, of_h, of_n = self.rates_of_soma(V)
        of_s, of_c = self.rates_of_dendrite(Vd)
        m = of_m.inf
        I_Na = self.g_Na * m * m * s.h * (self.E_Na - V)
        I_KDR = self.g_KDR * s.n * (self.E_K - V)
        I_Ca = self.g_Ca * s.s * s.s * (self.E_Ca - Vd)
        g_K = self.g_KAHP * s.q + self.g_KC * s.c * jnp.minimum(s.Ca / 250.0, 1.0)
        soma = self.g_L * (self.E_L - V) + I_Na + I_KDR
        soma += (self.g_c * (Vd - V) + self.I_e + drive.current) / self.p
        dendrite = self.g_L * (self.E_L - Vd) + I_Ca + g_K * (self.E_K - Vd)
        dendrite += (self.g_c * (V - Vd) + self.I_d) / (1.0 - self.p)
        return self.State(
            V=soma / self.C_m,
            Vd=dendrite / self.C_m,
            h=of_h.derivative(s.h),
            n=of_n.derivative(s.n),
            s=of_s.derivative(s.s),
            c=of_c.derivative(s.c),
            q=self.rates_of_calcium(s.Ca).derivative(s.q),
            Ca=0.13 * I_Ca - 0.075 * s.Ca,
        )
