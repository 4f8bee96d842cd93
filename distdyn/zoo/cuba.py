"""The current-based balanced network with the parameters of Brian2's example "CUBA".

Network: Vogels & Abbott (2005), J. Neurosci. 25, 10786; benchmark 2 of Brette et al. (2007),
J. Comput. Neurosci. 23, 349. Brian2 (examples/CUBA.py) weakens inhibition to 9 mV, starts V
between reset and threshold, and needs no kick.
"""

import distdyn as dd

G_L = 10.0  # nS: C_m / tau_m; a synapse of w mV is a current of w g_L pA


class CUBA(dd.Network):
    """Excitatory and inhibitory cells, 4 : 1, coupled at random through currents.

    tau_m V' = E_L - V + (I_exc + I_inh) / g_L. The resting potential of -49 mV lies above the
    threshold of -50 mV. 5 to 6.4 Hz, irregular, at n = 4000.
    """

    def __init__(self, n: int = 4000):
        cell = dd.LIF(C_m=200.0, tau_m=20.0, E_L=-49.0, V_th=-50.0, V_reset=-60.0, t_ref=5.0)
        self.E = dd.Population(round(0.8 * n), cell, V=dd.Uniform(-60.0, -50.0))
        self.I = dd.Population(n - self.E.size, cell, V=dd.Uniform(-60.0, -50.0))

        connect = dd.FixedProb(min(1.0, 80 / n))  # 0.02 at n = 4000
        cells = (self.E, self.I)
        excitation, inhibition = dd.Exponential(tau=5.0), dd.Exponential(tau=10.0)
        self.exc = dd.Projection(
            self.E, cells, connect, excitation, weight=60 * 0.27 / 10 * G_L, delay=0.1
        )
        self.inh = dd.Projection(
            self.I, cells, connect, inhibition, weight=-20 * 4.5 / 10 * G_L, delay=0.1
        )
