"""The sparse random network of Brunel (2000), J. Comput. Neurosci. 8, 183, model A.

Every neuron receives C_E = n_E / 10 excitatory and C_I = n_I / 10 inhibitory inputs from other
neurons and as many external ones. Figure 8 shows its states at n = 12500: A (g 3, eta 2), B (g 6,
eta 4), C (g 5, eta 2) and D (g 4.5, eta 0.9).
"""

import distdyn as dd

CONNECTION_PROBABILITY = 0.1
THETA, V_R = 20.0, 10.0  # mV, threshold and reset above rest
TAU, TAU_RP = 20.0, 2.0  # ms, membrane and refractory
J = 0.1  # mV, peak of an excitatory potential; inhibitory -g J
D = 1.5  # ms


class Brunel(dd.Network):
    """Integrate-and-fire neurons that jump by J at each arriving spike.

    tau V' = -V + tau sum_j J_j sum_k delta(t - t_j^k - D), V reset to V_r = 10 at theta = 20 mV.

    Args:
        n: number of neurons, four excitatory to one inhibitory.
        g: strength of inhibition relative to excitation.
        eta: external rate relative to nu_thr, the one that takes the mean of V to threshold.
    """

    def __init__(self, n: int = 12500, g: float = 5.0, eta: float = 2.0):
        cell = dd.LIF(C_m=1.0, tau_m=TAU, E_L=0.0, V_th=THETA, V_reset=V_R, t_ref=TAU_RP)
        start = dd.Uniform(0.0, THETA)  # the paper gives none; spread, to begin out of synchrony
        self.E = dd.Population(round(0.8 * n), cell, V=start)
        self.I = dd.Population(n - self.E.size, cell, V=start)

        C_E = round(CONNECTION_PROBABILITY * self.E.size)
        C_I = round(CONNECTION_PROBABILITY * self.I.size)
        cells, psp = (self.E, self.I), dd.Delta()

        def inputs(count):  # from other neurons; one may be drawn twice
            return dd.FixedIndegree(count, autapses=False)

        self.exc = dd.Projection(self.E, cells, inputs(C_E), psp, weight=J, delay=D)
        self.inh = dd.Projection(self.I, cells, inputs(C_I), psp, weight=-g * J, delay=D)

        nu_thr = THETA / (J * C_E * TAU)  # spikes / ms and external input, eq. 1 of the paper
        rate = 1000.0 * C_E * eta * nu_thr  # Hz, all C_E external inputs of a neuron together
        self.external_E = dd.PoissonInput(self.E, rate, psp, weight=J)
        self.external_I = dd.PoissonInput(self.I, rate, psp, weight=J)
