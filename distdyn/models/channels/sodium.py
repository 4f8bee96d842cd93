"""Fast sodium currents: I = g m^3 h (V - E)."""

from typing import Any

import jax.numpy as jnp
from jax.nn import sigmoid

from distdyn.core.exprel import exprel
from distdyn.core.parameters import param
from distdyn.models.channels.channel import AlphaBeta, Channel, gate


class INa_HH1952(Channel):
    """The sodium current of the squid axon.

        I = g m^3 h (V - E),    v = V - V_rest
        alpha_m = phi 0.1 (25 - v) / (exp((25 - v) / 10) - 1),    beta_m = phi 4 exp(-v / 18)
        alpha_h = phi 0.07 exp(-v / 20),    beta_h = phi / (exp((30 - v) / 10) + 1)

    Source: Hodgkin & Huxley (1952), J. Physiol. 117, 500, with V as inside minus outside.
    """

    g: float = param(120.0, "mS/cm2", "maximal conductance", nonnegative=True)
    E: float | str = param(50.0, "mV", "reversal potential, or the ion whose it is")
    V_rest: float = param(-65.0, "mV", "resting potential, from which the paper counts")
    phi: float = param(1.0, "", "factor of the rates: 3^((T - 6.3 degC) / 10 degC)", positive=True)

    @gate
    def m(self, V: Any) -> AlphaBeta:
        v = V - self.V_rest
        return AlphaBeta(self.phi / exprel((25 - v) / 10), self.phi * 4 * jnp.exp(-v / 18))

    @gate
    def h(self, V: Any) -> AlphaBeta:
        v = V - self.V_rest
        alpha = self.phi * 0.07 * jnp.exp(-v / 20)
        return AlphaBeta(alpha, self.phi * sigmoid((v - 30) / 10))

    def current(self, s: Any, V: Any) -> Any:
        return self.g * s.m**3 * s.h * (V - self.E)


class INa_TM1991(Channel):
    """The sodium current of hippocampal pyramidal cells, v = V - V_T.

        I = g m^3 h (V - E)
        alpha_m = 0.32 (13 - v) / (exp((13 - v) / 4) - 1)
        beta_m = 0.28 (v - 40) / (exp((v - 40) / 5) - 1)
        alpha_h = 0.128 exp((17 - v) / 18),    beta_h = 4 / (1 + exp((40 - v) / 5))

    Source: Traub & Miles (1991), Neuronal Networks of the Hippocampus; defaults as in Brette et
    al. (2007), J. Comput. Neurosci. 23, 349.
    """

    g: float = param(100.0, "mS/cm2", "maximal conductance", nonnegative=True)
    E: float | str = param(50.0, "mV", "reversal potential, or the ion whose it is")
    V_T: float = param(-63.0, "mV", "moves the threshold")

    @gate
    def m(self, V: Any) -> AlphaBeta:
        return _traub_miles_m(V - self.V_T)

    @gate
    def h(self, V: Any) -> AlphaBeta:
        return _traub_miles_h(V - self.V_T)

    def current(self, s: Any, V: Any) -> Any:
        return self.g * s.m**3 * s.h * (V - self.E)


class INa_Ba2002(Channel):
    """The sodium current of thalamic and cortical cells: that of Traub & Miles, warmed.

    As `INa_TM1991` with v = V - V_T, all rates times phi = 3^((T - 36) / 10).

    Source: Bazhenov, Timofeev, Steriade, Sejnowski (2002), J. Neurosci. 22, 8691; the rates are
    those of their program.
    """

    g: float = param(90.0, "mS/cm2", "maximal conductance", nonnegative=True)
    E: float | str = param(50.0, "mV", "reversal potential, or the ion whose it is")
    V_T: float = param(-50.0, "mV", "moves the threshold")
    T: float = param(36.0, "degC", "temperature")

    @gate
    def m(self, V: Any) -> AlphaBeta:
        phi = 3.0 ** ((self.T - 36) / 10)
        alpha, beta = _traub_miles_m(V - self.V_T)
        return AlphaBeta(phi * alpha, phi * beta)

    @gate
    def h(self, V: Any) -> AlphaBeta:
        phi = 3.0 ** ((self.T - 36) / 10)
        alpha, beta = _traub_miles_h(V - self.V_T)
        return AlphaBeta(phi * alpha, phi * beta)

    def current(self, s: Any, V: Any) -> Any:
        return self.g * s.m**3 * s.h * (V - self.E)


def _traub_miles_m(v: Any) -> AlphaBeta:
    return AlphaBeta(0.32 * 4 / exprel((13 - v) / 4), 0.28 * 5 / exprel((v - 40) / 5))


def _traub_miles_h(v: Any) -> AlphaBeta:
    return AlphaBeta(0.128 * jnp.exp((17 - v) / 18), 4 * sigmoid((v - 40) / 5))
