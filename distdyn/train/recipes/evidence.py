"""Evidence accumulation, learned by e-prop: what has been seen is kept in raised thresholds.

Task and method: Bellec, Scherr, Subramoney, Hajek, Salaj, Legenstein & Maass (2020), Nat. Commun.
11, 3625.
"""

import optax

from distdyn.models.adaptive import ALIF
from distdyn.models.integrate_and_fire import LeakyIntegrator
from distdyn.models.sources import SpikeTimes
from distdyn.models.synapses import Delta
from distdyn.network.distributions import Normal
from distdyn.network.network import Network
from distdyn.network.population import Population
from distdyn.network.projection import Projection
from distdyn.network.rules import AllToAll
from distdyn.ops.surrogate import ReLU
from distdyn.train import loss
from distdyn.train.recipes.recipe import Recipe
from distdyn.train.rules import EProp
from distdyn.train.tasks.evidence import Evidence


class Accumulator(Network):
    """Forty generators, n adaptive cells that are connected all with all, and two readouts."""

    def __init__(self, n: int = 100, dt: float = 1.0, tau_a: float = 2000.0):
        every, size = AllToAll(), 40
        self.inp = Population(size, SpikeTimes([], []))
        self.E = Population(n, ALIF(tau_a=tau_a))
        self.out = Population(2, LeakyIntegrator(C_m=20.0, tau_m=20.0, E_L=0.0))
        self.w_in = Projection(
            self.inp, self.E, every, Delta(), weight=Normal(0.0, size**-0.5), delay=dt
        )
        self.rec = Projection(self.E, self.E, every, Delta(), weight=Normal(0.0, n**-0.5), delay=dt)
        self.w_out = Projection(
            self.E, self.out, every, Delta(), weight=Normal(0.0, n**-0.5), delay=dt
        )


def evidence(seed: int = 0) -> Recipe:
    """On which side were more of seven cues, asked a second later."""
    task, epochs = Evidence(seed=seed, dt=5.0), 15
    rate = optax.cosine_decay_schedule(5e-3, epochs * task.updates)
    return Recipe(
        network=Accumulator(dt=task.dt),
        loss=loss.cross_entropy("out.V", last=task.recall) + 1e-4 * loss.rate("E.spikes", 10.0),
        optimizer=optax.chain(optax.clip_by_global_norm(1.0), optax.adam(rate)),
        where=("w_in.weight", "rec.weight", "w_out.weight"),
        rule=EProp(surrogate=ReLU(alpha=0.5, width=0.6)),
        task=task,
        testing=task.testing,
        epochs=epochs,
        goal=0.9,
        seed=seed,
        dt=task.dt,
    )
