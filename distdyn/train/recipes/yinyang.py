"""Yin-Yang, learned by a recurrent network of leaky integrate-and-fire neurons in which all learn.

Task: Kriener, Goeltz & Petrovici (2022), NICE 2022; method: Neftci, Mostafa & Zenke (2019), IEEE
Signal Process. Mag. 36(6), 51.
"""

import optax

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
from distdyn.train.recipes.recipe import Recipe
from distdyn.train.rules import BPTT
from distdyn.train.tasks.yinyang import YinYang


class Classifier(Network):
    """Five generators, n cells that are connected all with all, and a readout for each class.

    Potentials are in units of the threshold: 0 at rest, 1 where a cell spikes.
    """

    def __init__(self, n: int = 120):
        cell = LIF(C_m=20.0, tau_m=20.0, E_L=0.0, V_th=1.0, V_reset=0.0, t_ref=0.0)
        self.inp = Population(5, SpikeTimes([], []))
        self.E = Population(n, cell)
        self.out = Population(3, LeakyIntegrator(C_m=20.0, tau_m=20.0, E_L=0.0))
        self.w_in = Projection(
            self.inp, self.E, AllToAll(), Delta(), weight=Normal(0.3, 0.6), delay=1.0
        )
        self.rec = Projection(
            self.E, self.E, AllToAll(), Delta(), weight=Normal(0.0, 0.5 / n**0.5), delay=1.0
        )
        self.w_out = Projection(
            self.E, self.out, AllToAll(), Delta(), weight=Normal(0.0, 1 / n**0.5), delay=1.0
        )


def yinyang(seed: int = 0) -> Recipe:
    """Three classes of points in the plane, coded by when five neurons spike."""
    task, epochs = YinYang(seed=seed), 80
    updates = epochs * (task.train // task.batch)
    return Recipe(
        network=Classifier(),
        loss=loss.cross_entropy("out.V", over="max"),
        optimizer=optax.chain(
            optax.clip_by_global_norm(1.0), optax.adam(optax.cosine_decay_schedule(5e-3, updates))
        ),
        where=("w_in.weight", "rec.weight", "w_out.weight"),
        rule=BPTT(surrogate=SuperSpike(10.0)),
        task=task,
        testing=task.testing,
        epochs=epochs,
        goal=0.95,
        seed=seed,
    )
