"""Classifier: a recurrent network of leaky integrate-and-fire neurons, and a readout of classes.

Potentials are in units of the threshold: 0 at rest, 1 where a cell spikes.
"""

from distdyn.models.integrate_and_fire import LIF, LeakyIntegrator
from distdyn.models.sources import SpikeTimes
from distdyn.models.synapses import Delta
from distdyn.network.distributions import Normal
from distdyn.network.network import Network
from distdyn.network.population import Population
from distdyn.network.projection import Projection
from distdyn.network.rules import AllToAll


class Classifier(Network):
    """Generators, n cells that are connected all with all, and a unit of the readout per class.

    Args:
        inputs: how many generators.
        classes: how many units read out.
        weight: of the generators' synapses before training.
        n: cells.
    """

    def __init__(self, inputs: int, classes: int, weight: Normal, n: int = 120):
        cell = LIF(C_m=20.0, tau_m=20.0, E_L=0.0, V_th=1.0, V_reset=0.0, t_ref=0.0)
        self.inp = Population(inputs, SpikeTimes([], []))
        self.E = Population(n, cell)
        self.out = Population(classes, LeakyIntegrator(C_m=20.0, tau_m=20.0, E_L=0.0))
        self.w_in = Projection(self.inp, self.E, AllToAll(), Delta(), weight=weight, delay=1.0)
        self.rec = Projection(
            self.E, self.E, AllToAll(), Delta(), weight=Normal(0.0, 0.5 / n**0.5), delay=1.0
        )
        self.w_out = Projection(
            self.E, self.out, AllToAll(), Delta(), weight=Normal(0.0, 1 / n**0.5), delay=1.0
        )
