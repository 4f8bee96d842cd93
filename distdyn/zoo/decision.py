"""A choice between two alternatives, by two groups of cells that compete for a pool of inhibition.

Network: Wang (2002), Neuron 36, 955, with the numbers of Wang et al. (2023), eLife 12, e86365,
figure 8C, which are those of NEST's example of it. Recurrent excitation is mostly by slow receptors
that saturate (NMDA): the network integrates what the two stimuli bring for hundreds of ms, one
group wins, and goes on firing when the stimulus has ended.
"""

import numpy as np

import distdyn as dd
from distdyn.errors import ParameterError

SIZE = 2000  # neurons for which conductances are given; others are scaled by their number
SELECTIVE = 0.15  # of the excitatory cells prefer A, as many B
STRONG = 1.7  # weight within a selective group, relative to that within the others
BACKGROUND, MEAN_RATE = 2400.0, 40.0  # Hz, of each cell; of the stimulus without coherence
REDRAWN = 50.0  # ms, how long a stimulus keeps its rate

# nS: of a spike from outside; of all recurrent synapses at `SIZE` neurons
EXTERNAL = {"E": 2.1, "I": 1.62}
AMPA = {"E": 0.05, "I": 0.04}
NMDA = {"E": 0.165, "I": 0.13}
GABA = {"E": 1.3, "I": 1.0}


class Decision(dd.Network):
    """Groups A and B, the other excitatory cells N, and the inhibitory ones I.

        C V' = -g_L (V + 70) - sum of g (V - E),   spike at -50 mV, reset to -55 mV
        AMPA: tau 2 ms, E 0;   GABA: tau 5 ms, E -70 mV;   NMDA: rise 2 ms, decay 100 ms, E 0,
        blocked by 1 mM of magnesium; all to all, 0.5 ms

    Within A and within B synapses are `STRONG` times as strong, and those from other excitatory
    cells onto A and B so much weaker that the sum is as before. From `start` for `duration` ms each
    cell of A gets Poisson spikes with a rate that is drawn anew every 50 ms around
    40 (1 + coherence / 100) Hz, each of B around 40 (1 - coherence / 100). At rest E fires at 2.4
    to 2.9 Hz and I at 8.5 to 9.3; the winner comes to some 30 Hz, the loser stays below 3.

    Args:
        n: how many neurons, a fifth of them inhibitory.
        coherence: percent; negative if the stimulus prefers B.
        start, duration: of the stimulus, ms.
        spread: sd of the stimulus' rates, Hz.
        trial: seed of the stimulus' rates.

    Raises:
        ParameterError: the coherence is not between -100 and 100, or n below 40.
    """

    def __init__(
        self, n: int = SIZE, coherence: float = 25.6, *, start: float = 1000.0,
        duration: float = 2000.0, spread: float = 10.0, trial: int = 0,
    ):  # fmt: skip
        if not -100.0 <= coherence <= 100.0 or n < 40:
            raise ParameterError(
                f"Decision: n = {n}, coherence = {coherence} %. Use at least 40 neurons, and a "
                "coherence between -100 and 100."
            )
        principal = dd.LIF(C_m=500.0, tau_m=20.0, E_L=-70.0, V_th=-50.0, V_reset=-55.0, t_ref=2.0)
        interneuron = dd.LIF(C_m=200.0, tau_m=10.0, E_L=-70.0, V_th=-50.0, V_reset=-55.0, t_ref=1.0)
        n_E = round(0.8 * n)
        n_A = round(SELECTIVE * n_E)
        self.A = dd.Population(n_A, principal)
        self.B = dd.Population(n_A, principal)
        self.N = dd.Population(n_E - 2 * n_A, principal)
        self.I = dd.Population(n - n_E, interneuron)

        fast = dd.Exponential(tau=2.0), dd.COBA(E=0.0)
        slow = dd.NMDA(tau_rise=2.0, tau_decay=100.0, a=0.5), dd.MgBlock(E=0.0, Mg=1.0)
        inhibition = dd.Exponential(tau=5.0), dd.COBA(E=-70.0)
        weak = 1.0 - SELECTIVE * (STRONG - 1.0) / (1.0 - SELECTIVE)
        everyone = (self.A, self.B, self.N)

        def connect(pre, post, kinetics, weight):
            return dd.Projection(
                pre, post, dd.AllToAll(), *kinetics, weight=weight * SIZE / n, delay=0.5
            )

        for name, kinetics, g in (("ampa", fast, AMPA), ("nmda", slow, NMDA)):
            among = {
                "A": connect(self.A, self.A, kinetics, STRONG * g["E"]),
                "B": connect(self.B, self.B, kinetics, STRONG * g["E"]),
                "others_to_A": connect((self.B, self.N), self.A, kinetics, weak * g["E"]),
                "others_to_B": connect((self.A, self.N), self.B, kinetics, weak * g["E"]),
                "to_N": connect(everyone, self.N, kinetics, g["E"]),
                "to_I": connect(everyone, self.I, kinetics, g["I"]),
            }
            setattr(self, name, among)
        self.gaba = {
            "to_E": connect(self.I, everyone, inhibition, GABA["E"]),
            "to_I": connect(self.I, self.I, inhibition, GABA["I"]),
        }

        self.background = {
            "E": dd.PoissonInput(everyone, BACKGROUND, *fast, weight=EXTERNAL["E"]),
            "I": dd.PoissonInput(self.I, BACKGROUND, *fast, weight=EXTERNAL["I"]),
        }
        draws = np.random.default_rng(trial)
        times = start + np.arange(0.0, duration, REDRAWN)
        for name, group, sign in (("stimulus_A", self.A, 1.0), ("stimulus_B", self.B, -1.0)):
            mean = MEAN_RATE * (1.0 + sign * coherence / 100.0)
            rates = np.maximum(draws.normal(mean, spread, len(times)), 0.0)
            rate = dd.Steps([*times, start + duration], [*rates, 0.0])
            setattr(self, name, dd.PoissonInput(group, rate, *fast, weight=EXTERNAL["E"]))
