"""The benchmark that NEST's users know as hpc_benchmark: Brunel's network with alpha currents.

Network: Brunel (2000), J. Comput. Neurosci. 8, 183; numbers: the example `hpc_benchmark.py` of
NEST 3.10; use: Kunkel et al. (2014), Front. Neuroinform. 8, 78. Every neuron has 9,000 excitatory
and 2,250 inhibitory synapses at any size, so that a larger network has more neurons but not more
work per neuron. Synapses between excitatory neurons are plastic: Morrison, Aertsen & Diesmann
(2007), Neural Comput. 19, 1437; in the static variant, which is often measured instead, they keep
their weight.
"""

import math

import distdyn as dd
from distdyn.errors import ParameterError

N_E, N_I = 9000, 2250  # neurons at scale 1
SMALLEST = 0.001  # scale, with two inhibitory neurons
C_E, C_I = 9000, 2250  # inputs of each neuron at any scale; several may come from the same source

C_M, TAU_M, T_REF = 250.0, 10.0, 0.5  # pF, ms, ms
THETA = 20.0  # mV, threshold above rest; V is reset to rest
TAU_SYN = 0.32582722403722841  # ms, for a potential that rises for PSP_RISE
PSP_RISE = 1.700759  # ms
START_MEAN, START_SD = 5.7, 7.2  # mV, of V
PSP = 0.14  # mV, peak of an excitatory potential
G = 5.0  # strength of inhibition relative to excitation
ETA = 1.685  # external rate relative to the one that takes the mean of V to threshold
DELAY = 1.5  # ms, of all synapses


class HPCBenchmark(dd.Network):
    """Integrate-and-fire neurons, 4 : 1, with alpha-shaped currents.

    tau_m V' = -V + tau_m I / C_m, V reset to 0 at theta = 20 mV; after a spike, weight times
    (t / tau_s) exp(1 - t / tau_s). Meant for a scale above 10, with rates below 10 Hz: the smaller
    the network, the more inputs two neurons share, and the more they fire in step.

    Args:
        scale: 9,000 scale excitatory and 2,250 scale inhibitory neurons.
        plastic: whether synapses between excitatory neurons learn, or keep their weight.

    Raises:
        ParameterError: the scale is too small or not finite.
    """

    def __init__(self, scale: float = 1.0, plastic: bool = True):
        if not SMALLEST <= scale < math.inf:
            raise ParameterError(
                f"HPCBenchmark: scale is {scale}, and each neuron needs another inhibitory one. "
                f"Use a number of at least {SMALLEST}, such as 1."
            )
        cell = dd.LIF(C_m=C_M, tau_m=TAU_M, E_L=0.0, V_th=THETA, V_reset=0.0, t_ref=T_REF)
        start = dd.Normal(START_MEAN, START_SD)
        self.E = dd.Population(round(scale * N_E), cell, V=start)
        self.I = dd.Population(round(scale * N_I), cell, V=start)

        cells, psc = (self.E, self.I), dd.Alpha(tau=TAU_SYN)
        J = PSP * psc_per_psp()

        def inputs(count):  # from other neurons; one may be drawn twice
            return dd.FixedIndegree(count, autapses=False)

        if plastic:
            self.learning = dd.Projection(
                self.E, self.E, inputs(C_E), psc, weight=J, delay=DELAY,
                plasticity=dd.PowerLawSTDP(),
            )  # fmt: skip
        targets = self.I if plastic else cells
        self.exc = dd.Projection(self.E, targets, inputs(C_E), psc, weight=J, delay=DELAY)
        self.inh = dd.Projection(self.I, cells, inputs(C_I), psc, weight=-G * J, delay=DELAY)
        self.external = dd.PoissonInput(cells, external_rate(J), psc, weight=J, delay=DELAY)


def psc_per_psp() -> float:
    """Peak current in pA that gives a potential with a peak of 1 mV: 325.78.

    The potential after a current (t / tau_s) exp(1 - t / tau_s), with b = 1 / tau_s - 1 / tau_m, is
    e / (tau_s C_m) [(exp(-t / tau_m) - exp(-t / tau_s)) / b^2 - t exp(-t / tau_s) / b]. It peaks at
    PSP_RISE.
    """
    t, b = PSP_RISE, 1 / TAU_SYN - 1 / TAU_M
    membrane, synapse = math.exp(-t / TAU_M), math.exp(-t / TAU_SYN)
    height = math.e / (TAU_SYN * C_M) * ((membrane - synapse) / b**2 - t * synapse / b)
    return 1 / height


def external_rate(J: float) -> float:
    """Rate in Hz of all C_E external inputs of a neuron together: 20,856.

    A spike of peak J carries the charge J e tau_s, so C_E inputs at the rate nu_th take the mean of
    V to threshold: theta = C_E nu_th J e tau_s tau_m / C_m.
    """
    nu_th = THETA * C_M / (C_E * TAU_M * J * math.e * TAU_SYN)  # spikes / ms and input
    return 1000.0 * C_E * ETA * nu_th
