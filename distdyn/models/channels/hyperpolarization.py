"""The cation current h, which hyperpolarization activates."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.nn import sigmoid

from distdyn.core.parameters import param
from distdyn.models.channels.channel import AbstractChannel, Channel, InfTau, gate


class Ih_HM1992(Channel):
    """The h current of thalamic relay cells.

        I = g p (V - E),    p_inf = 1 / (1 + exp((V + 75) / 5.5))
        tau_p = 1 / (exp(-0.086 V - 14.59) + exp(0.0701 V - 1.87))

    Source: Huguenard & McCormick (1992), J. Neurophysiol. 68, 1373; g is that of `Ih_De1996`.
    """

    g: float = param(0.02, "mS/cm2", "maximal conductance", nonnegative=True)
    E: float | str = param(-43.0, "mV", "reversal potential, or the ion whose it is")

    @gate
    def p(self, V: Any) -> InfTau:
        tau = 1 / (jnp.exp(-0.086 * V - 14.59) + jnp.exp(0.0701 * V - 1.87))
        return InfTau(sigmoid(-(V + 75) / 5.5), tau)

    def current(self, s: Any, V: Any) -> Any:
        return self.g * s.p * (V - self.E)


class Ih_De1996(AbstractChannel):
    """The h current of thalamic relay cells, held open by calcium.

    A channel opens and closes with V (C <-> O). Calcium binds to a protein (P), and with this the
    channel is locked open (L).

        I = g (O + g_inc L) (V - E)
        O' = alpha (1 - O - L) - beta O - k_3 P O + k_4 L
        P' = k_1 [Ca]^4 (1 - P) - k_2 P,    L' = k_3 P O - k_4 L
        alpha = h_inf / tau,    beta = (1 - h_inf) / tau,    h_inf = 1 / (1 + exp((V + 75) / 5.5))
        tau = 20 + 1000 / (exp((V + 71.5) / 14.2) + exp(-(V + 89) / 11.6))
        k_1 = k_2 / Ca_half^4,    k_3 = k_4 / P_half

    Source: Destexhe, Bal, McCormick, Sejnowski (1996), J. Neurophysiol. 76, 2049; tau as in the
    authors' program.
    """

    g: float = param(0.02, "mS/cm2", "maximal conductance", nonnegative=True)
    E: float | str = param(-40.0, "mV", "reversal potential, or the ion whose it is")
    g_inc: float = param(2.0, "", "conductance of a locked channel in those of an open one")
    Ca_half: float = param(0.002, "mM", "calcium at which half of the protein is bound")
    P_half: float = param(0.01, "", "bound protein at which locking is as fast as unlocking")
    k_2: float = param(4e-4, "1/ms", "rate at which calcium unbinds", positive=True)
    k_4: float = param(1e-3, "1/ms", "rate of unlocking", positive=True)
    Ca: Any = param("Ca", doc="the ion that binds")

    class State(NamedTuple):
        O: jax.Array  # open
        P: jax.Array  # protein bound to calcium
        L: jax.Array  # locked open

    def _rates(self, V: Any) -> tuple[Any, Any, Any, Any]:
        h_inf = sigmoid(-(V + 75) / 5.5)
        tau = 20 + 1000 / (jnp.exp((V + 71.5) / 14.2) + jnp.exp(-(V + 89) / 11.6))
        k_1_Ca4 = self.k_2 * (self.Ca.C / self.Ca_half) ** 4
        return h_inf / tau, (1 - h_inf) / tau, k_1_Ca4, self.k_4 / self.P_half

    def steady(self, V: Any) -> Any:
        alpha, beta, k_1_Ca4, k_3 = self._rates(V)
        P = k_1_Ca4 / (k_1_Ca4 + self.k_2)
        locked = k_3 * P / self.k_4  # per open channel
        O = alpha / (alpha * (1 + locked) + beta)
        return self.State(O=O, P=P, L=locked * O)

    def derivative(self, s: Any, V: Any) -> Any:
        alpha, beta, k_1_Ca4, k_3 = self._rates(V)
        lock = k_3 * s.P * s.O - self.k_4 * s.L
        O = alpha * (1 - s.O - s.L) - beta * s.O - lock
        return self.State(O=O, P=k_1_Ca4 * (1 - s.P) - self.k_2 * s.P, L=lock)

    def current(self, s: Any, V: Any) -> Any:
        return self.g * (s.O + self.g_inc * s.L) * (V - self.E)
