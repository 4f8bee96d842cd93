"""Adaptive: a recurrent network of cells whose thresholds remember what they did, and two readouts.

Network: Bellec, Scherr, Subramoney, Hajek, Salaj, Legenstein & Maass (2020), Nat. Commun. 11, 3625.
"""

from distdyn.models.adaptive import ALIF
from distdyn.models.integrate_and_fire import LeakyIntegrator
from distdyn.models.sources import SpikeTimes
from distdyn.models.synapses import Delta
from distdyn.network.distributions import Normal
from distdyn.network.network import Network
from distdyn.network.population import Population
from distdyn.network.projection import Projection
from distdyn.network.rules import AllToAll


class Adaptive(Network):
    """Generators, n adaptive cells that are connected all with all, and two readouts.

    Args:
        inputs: how many generators.
        cell: what the cells are.
        weight: of the generators' synapses before training.
        dt: all delays, ms.
        n: cells.
    """

    def __init__(self, inputs: int, cell: ALIF, weight: Normal, dt: float, n: int = 100):
        every = AllToAll()
        self.inp = Population(inputs, SpikeTimes([], []))
        self.E = Population(n, cell)
        self.out = Population(2, LeakyIntegrator(C_m=20.0, tau_m=20.0, E_L=0.0))
        self.w_in = Projection(self.inp, self.E, every, Delta(), weight=weight, delay=dt)
        self.rec = Projection(self.E, self.E, every, Delta(), weight=Normal(0.0, n**-0.5), delay=dt)
        self.w_out = Projection(
            self.E, self.out, every, Delta(), weight=Normal(0.0, n**-0.5), delay=dt
        )
