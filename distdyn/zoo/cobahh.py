"""The conductance-based balanced network of Hodgkin-Huxley cells.

Network: benchmark 3 of Brette et al. (2007), J. Comput. Neurosci. 23, 349, with its cells: Traub
& Miles (1991). Connections are drawn pair by pair, so that every cell receives 64 excitatory and
16 inhibitory inputs in the mean at any size; with as many for every cell it fires a third less.
Start and duration as in Wang et al. (2023), eLife 12, e86365, figure 8.
"""

import distdyn as dd

AREA = 20_000.0  # um2: C_m = 200 pF, g_L = 10 nS


class COBAHH(dd.Network):
    """Excitatory and inhibitory cells, 4 : 1, coupled at random through conductances.

    C_m V' = -I_L - I_Na - I_K + [g_exc (0 - V) + g_inh (-80 - V)] / area. A spike is the upward
    crossing of -20 mV. In steps of 0.1 ms both populations fire at 36.7 Hz, without any input; with
    4,000 cells at 36.0 Hz in the mean, where one network differs from the next by 3 Hz (E).
    Exponential Euler makes it fire less: in steps of 0.01 ms it is 42 Hz, as in NEST, whose steps
    adapt.
    """

    def __init__(self, n: int = 4000):
        cell = dd.Conductance(
            C_m=1.0,
            area=AREA,
            V_th=-20.0,
            INa=dd.INa_TM1991(g=100.0, E=50.0, V_T=-63.0),
            IK=dd.IK_TM1991(g=30.0, E=-90.0, V_T=-63.0),
            IL=dd.ILeak(g=0.05, E=-60.0),
        )
        start = {"V": dd.Normal(-65.0, 5.0), "INa.m": 0.0, "INa.h": 0.0, "IK.n": 0.0}
        self.E = dd.Population(round(0.8 * n), cell, **start)
        self.I = dd.Population(n - self.E.size, cell, **start)

        connect = dd.FixedProb(min(1.0, 80 / n))
        cells = (self.E, self.I)
        excitation = dd.Exponential(tau=5.0), dd.COBA(E=0.0)
        inhibition = dd.Exponential(tau=10.0), dd.COBA(E=-80.0)
        self.exc = dd.Projection(self.E, cells, connect, *excitation, weight=6.0, delay=0.1)
        self.inh = dd.Projection(self.I, cells, connect, *inhibition, weight=67.0, delay=0.1)
