"""Classifier: a recurrent network of leaky integrate-and-fire neurons that tells classes of spikes.

Potentials are in units of the threshold: 0 at rest, 1 where a cell spikes.

Method: Neftci, Mostafa & Zenke (2019), IEEE Signal Process. Mag. 36(6), 51.
"""

from distdyn.models.integrate_and_fire import LIF, LeakyIntegrator
from distdyn.models.sources import SpikeTimes
from distdyn.models.synapses import Delta
from distdyn.network.distributions import Normal
from distdyn.network.network import Network
from distdyn.network.population import Population
from distdyn.network.projection import Projection
from distdyn.network.rules import AllToAll
from distdyn.ops.surrogate import SuperSpike
from distdyn.train import loss
from distdyn.train.recipes.recipe import Recipe, decaying_adam
from distdyn.train.rules import BPTT
from distdyn.train.tasks.split import Split


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


def classified(task: Split, network: Classifier, *, epochs: int, goal: float) -> Recipe:
    """By which a network learns the classes of a task: all its weights, by backpropagation.

    Args:
        task: what is learned.
        network: of as many inputs and classes as the task has.
        epochs: how long.
        goal: the accuracy that is reached then.
    """
    return Recipe(
        network=network,
        loss=loss.cross_entropy("out.V", over="max"),
        optimizer=decaying_adam(5e-3, epochs * (task.train // task.batch)),
        where=("w_in.weight", "rec.weight", "w_out.weight"),
        rule=BPTT(surrogate=SuperSpike(10.0)),
        task=task,
        testing=task.testing,
        epochs=epochs,
        goal=goal,
        seed=task.seed,
    )
