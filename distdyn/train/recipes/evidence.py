"""Evidence accumulation, learned by e-prop: what has been seen is kept in raised thresholds.

Task and method: Bellec, Scherr, Subramoney, Hajek, Salaj, Legenstein & Maass (2020), Nat. Commun.
11, 3625.
"""

from distdyn.models.adaptive import ALIF
from distdyn.network.distributions import Normal
from distdyn.ops.surrogate import ReLU
from distdyn.train import loss
from distdyn.train.recipes.adaptive import Adaptive
from distdyn.train.recipes.recipe import Recipe, decaying_adam
from distdyn.train.rules import EProp
from distdyn.train.tasks.evidence import Evidence


def evidence(seed: int = 0) -> Recipe:
    """On which side were more of seven cues, asked a second later."""
    task, epochs = Evidence(seed=seed, dt=5.0), 20
    inputs = 4 * task.group
    return Recipe(
        network=Adaptive(inputs, ALIF(), weight=Normal(0.0, inputs**-0.5), dt=task.dt),
        loss=loss.cross_entropy("out.V", last=task.recall) + 1e-4 * loss.rate("E.spikes", 10.0),
        optimizer=decaying_adam(5e-3, epochs * task.updates),
        where=("w_in.weight", "rec.weight", "w_out.weight"),
        rule=EProp(surrogate=ReLU(alpha=0.5, width=0.6)),
        task=task,
        testing=task.testing,
        epochs=epochs,
        goal=0.9,
        seed=seed,
        dt=task.dt,
    )
