"""Interneurons that inhibit each other and fire together: the gamma rhythm of the hippocampus.

Network: Wang & Buzsaki (1996), J. Neurosci. 16, 6402: 100 fast-spiking cells. With the defaults,
synapses from all to all, cells whose drive differs by 3 % fire in synchrony at about 40 Hz. They do
not with few synapses each: coherence needs about 60, whatever n.
"""

from typing import Any

import distdyn as dd

E_SYN = -75.0  # mV
DELAY = 0.1  # ms; the paper has none, but its synapse opens while V is above 0


class Gamma(dd.Network):
    """Wang-Buzsaki cells with GABA_A synapses among them.

    A synapse is g_syn / M_syn exp(-t / tau_syn) after each spike. The paper's gate opens to 0.99 at
    every spike, ours by 0.99: 25 ms after the spike before, that is 8 % more.

    Args:
        n: number of cells.
        M_syn: mean number of synapses onto a cell, drawn pair by pair.
        g_syn: conductance of all synapses of a cell together, mS/cm2.
        tau_syn: their time constant of decay, ms.
        I_mean: mean of the drive, uA/cm2.
        I_sd: its standard deviation between cells, uA/cm2.
    """

    def __init__(
        self,
        n: int = 100,
        M_syn: float = 100.0,
        g_syn: float = 0.1,
        tau_syn: float = 10.0,
        I_mean: float = 1.0,
        I_sd: float = 0.03,
    ):
        drive: Any = dd.Normal(I_mean, I_sd)
        cell = dd.WangBuzsaki(I_e=drive, method=dd.RK4())
        self.I = dd.Population(n, cell, V=dd.Uniform(-70.0, -50.0))
        self.inh = dd.Projection(
            self.I,
            self.I,
            dd.FixedProb(min(1.0, M_syn / n)),
            dd.Exponential(tau=tau_syn),
            dd.COBA(E=E_SYN),
            weight=g_syn / M_syn,
            delay=DELAY,
        )
