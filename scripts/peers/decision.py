"""The decision network of Wang (2002), Neuron 36, 955, in numbers, for the peers.

Imported in the Python of a peer, so it needs nothing but NumPy. The variant is that of Wang et al.
(2023), eLife 12, e86365, figure 8: 2,000 cells of the original, or more with recurrent conductances
that are smaller by as much. All cells are connected with all, with a delay of 0.5 ms.
"""

from typing import NamedTuple

import numpy as np

DELAY = 0.5  # ms
TAU_AMPA, TAU_GABA, TAU_RISE, TAU_NMDA, ALPHA = 2.0, 5.0, 2.0, 100.0, 0.5  # ms; 1 / ms
E_EXC, E_INH = 0.0, -70.0  # mV
V_L, V_TH, V_RESET = -70.0, -50.0, -55.0  # mV
BACKGROUND = 2400.0  # Hz, for every cell
MU_0, SD, HOLD = 40.0, 10.0, 50.0  # Hz, Hz, ms: the stimulus is drawn again every HOLD
BEGIN, END = 100.0, 1100.0  # ms, of the stimulus
TRIAL = 1600.0  # ms
COHERENCE = 25.6  # %
W_PLUS, F = 1.7, 0.15
W_MINUS = 1 - F * (W_PLUS - 1) / (1 - F)


class Cell(NamedTuple):
    """A kind of cell: pF, nS, ms; nS of a background spike, and of one of each cell before it."""

    C_m: float
    g_L: float
    t_ref: float
    external: float
    AMPA: float
    NMDA: float
    GABA: float


E = Cell(C_m=500.0, g_L=25.0, t_ref=2.0, external=2.1, AMPA=0.05, NMDA=0.165, GABA=1.3)
I = Cell(C_m=200.0, g_L=20.0, t_ref=1.0, external=1.62, AMPA=0.04, NMDA=0.13, GABA=1.0)
CELLS = {"A": E, "B": E, "N": E, "I": I}


def sizes(n: int) -> dict[str, int]:
    """Two selective populations, the other excitatory cells, and the inhibitory ones."""
    n_E = round(0.8 * n)
    selective = round(F * n_E)
    return {"A": selective, "B": selective, "N": n_E - 2 * selective, "I": n - n_E}


def weight(pre: str, post: str) -> float:
    """Of excitation, relative to that between cells that are not selective."""
    if post in ("N", "I"):
        return 1.0
    return W_PLUS if pre == post else W_MINUS


def stimulus(seed: int) -> dict[str, np.ndarray]:
    """Rates (Hz) of the input of each cell of A and B, one for each HOLD of the trial."""
    begins = np.arange(0.0, TRIAL, HOLD)
    is_on = (begins >= BEGIN) & (begins < END)
    rng = np.random.default_rng(seed)
    means = {"A": MU_0 * (1 + COHERENCE / 100), "B": MU_0 * (1 - COHERENCE / 100)}
    return {
        name: np.where(is_on, np.maximum(rng.normal(mean, SD, len(begins)), 0.0), 0.0)
        for name, mean in means.items()
    }


def rates(counts: dict[str, float], n: int, seconds: float) -> dict[str, float]:
    """Hz, of each population, from the numbers of its spikes."""
    return {name: counts[name] / size / seconds for name, size in sizes(n).items()}
