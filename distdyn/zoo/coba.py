"""The conductance-based balanced network, in the variant with constant drive.

Network: Vogels & Abbott (2005), J. Neurosci. 25, 10786. Variant: Wang et al. (2023), eLife 12,
e86365, figure 8A: a constant current of 20 mV / R keeps it active, and connections are drawn pair
by pair, so that every cell receives 64 excitatory and 16 inhibitory inputs in the mean at any size.
"""

import distdyn as dd


class COBA(dd.Network):
    """Excitatory and inhibitory cells, 4 : 1, coupled at random through conductances.

    tau_m V' = E_L - V + R I_e + g_exc (0 - V) / g_L + g_inh (-80 - V) / g_L, with g_L = 10 nS.
    About 22 Hz in both populations.
    """

    def __init__(self, n: int = 4000):
        cell = dd.LIF(
            C_m=200.0, tau_m=20.0, E_L=-60.0, V_th=-50.0, V_reset=-60.0, t_ref=5.0, I_e=200.0
        )
        self.E = dd.Population(round(0.8 * n), cell, V=dd.Normal(-55.0, 5.0))
        self.I = dd.Population(n - self.E.size, cell, V=dd.Normal(-55.0, 5.0))

        connect = dd.FixedProb(min(1.0, 80 / n))
        cells = (self.E, self.I)
        excitation = dd.Exponential(tau=5.0), dd.COBA(E=0.0)
        inhibition = dd.Exponential(tau=10.0), dd.COBA(E=-80.0)
        self.exc = dd.Projection(self.E, cells, connect, *excitation, weight=6.0, delay=0.1)
        self.inh = dd.Projection(self.I, cells, connect, *inhibition, weight=67.0, delay=0.1)
