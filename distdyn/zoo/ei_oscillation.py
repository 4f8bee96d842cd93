"""Fast rhythms of cells that fire irregularly: gamma of two populations, 200 Hz of interneurons.

    tau_m V' = -V + I,   V reset to 11 at 18 mV above rest
    tau_d I' = -I + x,   tau_r x' = -x + tau_m J sum_k delta(t - t_k - tau_l)

Cells fire at a few Hz, far less often than the population rate oscillates. Its frequency is that at
which synapses (latency, rise, decay) delay a signal by half a turn: through inhibition,

    2 pi f tau_l + atan(2 pi f tau_r) + atan(2 pi f tau_d) = pi,

or around the loop, by excitation and inhibition together, which is slower. Cells respond late, too,
so that f is less. Networks: Mazzoni, Panzeri, Logothetis & Brunel (2008), PLoS Comput. Biol. 4,
e1000239, without its slow fluctuations of the input; Brunel & Wang (2003), J. Neurophysiol. 90,
415, of interneurons, in which cells are driven by strong noise.
"""

from typing import NamedTuple

import numpy as np

import distdyn as dd

PROBABILITY = 0.2  # of connections, n = 5000
V_TH, V_RESET = 18.0, 11.0  # mV above rest
START = dd.Uniform(V_RESET, V_TH)
TAU_E, TAU_I = 20.0, 10.0  # ms, of membranes: C_m is the same number, so that 1 pA is 1 mV
J_EE, J_EI, J_EX = 0.42, 1.7, 0.55  # mV, onto excitatory cells: from E, I, outside
J_IE, J_II, J_IX = 0.7, 2.7, 0.95  # mV, onto inhibitory cells


class Times(NamedTuple):
    """Of a synapse: ms."""

    latency: float
    rise: float
    decay: float

    def weight(self, J: float, tau_m: float) -> float:
        """The peak of a current whose integral is tau_m J."""
        r, d = self.rise, self.decay
        peak = np.log(d / r) * r * d / (d - r)
        return tau_m * J * float(np.exp(-peak / d) - np.exp(-peak / r)) / (d - r)


GABA = Times(1.0, 0.25, 5.0)
AMPA_E, AMPA_I = Times(1.0, 0.4, 2.0), Times(1.0, 0.2, 1.0)


class EIOscillation(dd.Network):
    """Excitatory and inhibitory cells that oscillate in the range of gamma.

    Args:
        n: number of cells, four excitatory to one inhibitory. With other than 5000 the strength of
            synapses changes such that the sum over the cells does not.
        rate: of Poisson spikes from outside onto each cell, Hz. The more, the faster the rhythm.
    """

    def __init__(self, n: int = 5000, rate: float = 2000.0):
        scale = 5000 / n
        self.E = dd.Population(round(0.8 * n), _cell(TAU_E, 2.0), V=START)
        self.I = dd.Population(n - self.E.size, _cell(TAU_I, 1.0), V=START)
        E, I = (self.E, TAU_E), (self.I, TAU_I)
        self.EE = _connect(E, E, AMPA_E, scale * J_EE)
        self.IE = _connect(E, I, AMPA_I, scale * J_IE)
        self.EI = _connect(I, E, GABA, -scale * J_EI)
        self.II = _connect(I, I, GABA, -scale * J_II)
        self.external_E = _drive(E, AMPA_E, J_EX, rate)
        self.external_I = _drive(I, AMPA_I, J_IX, rate)


class Interneurons(dd.Network):
    """Inhibitory cells alone, which oscillate at nearly 200 Hz.

    Args:
        n: number of cells.
        latency, rise, decay: of their synapses, ms.
        rate: of Poisson spikes from outside onto each cell, Hz.
        J_X: strength of these, mV; they rise in 0.5 ms and decay in 5.
    """

    def __init__(
        self,
        n: int = 2000,
        latency: float = 1.0,
        rise: float = 0.5,
        decay: float = 5.0,
        rate: float = 5000.0,
        J_X: float = 5.0,
    ):
        self.I = dd.Population(n, _cell(TAU_I, 1.0), V=START)
        I = self.I, TAU_I
        gaba = Times(latency, rise, decay)
        self.II = _connect(I, I, gaba, -J_II * 2000 / n, probability=0.4)
        self.external = _drive(I, Times(1.0, 0.5, 5.0), J_X, rate)


def _cell(tau_m: float, t_ref: float) -> dd.LIF:
    return dd.LIF(C_m=tau_m, tau_m=tau_m, E_L=0.0, V_th=V_TH, V_reset=V_RESET, t_ref=t_ref)


def _kinetics(times: Times) -> dd.DualExponential:
    return dd.DualExponential(tau_rise=times.rise, tau_decay=times.decay)


def _connect(pre, post, times: Times, J: float, probability: float = PROBABILITY):
    (cells, tau), rule = post, dd.FixedProb(probability)
    weight, delay = times.weight(J, tau), times.latency
    return dd.Projection(pre[0], cells, rule, _kinetics(times), weight=weight, delay=delay)


def _drive(post, times: Times, J: float, rate: float):
    cells, tau = post
    return dd.PoissonInput(cells, rate, _kinetics(times), weight=times.weight(J, tau))
