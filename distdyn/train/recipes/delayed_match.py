"""Delayed match, learned by adaptive cells: a threshold that the sample raised outlasts the delay.

Task: Miller, Erickson & Desimone (1996), J. Neurosci. 16, 5154; cells that remember by adaptation:
Bellec, Salaj, Subramoney, Legenstein & Maass (2018), NeurIPS 31.
"""

from distdyn.models.adaptive import ALIF
from distdyn.network.distributions import Normal
from distdyn.ops.surrogate import ReLU
from distdyn.train import loss
from distdyn.train.recipes.adaptive import Adaptive
from distdyn.train.recipes.recipe import Recipe, decaying_adam
from distdyn.train.rules import BPTT
from distdyn.train.tasks.delayed_match import DelayedMatch


def delayed_match(seed: int = 0) -> Recipe:
    """Whether one of four stimuli is what another was that was shown a second before."""
    task, epochs = DelayedMatch(seed=seed, dt=5.0), 15
    return Recipe(
        network=Adaptive(
            task.stimuli * task.group, ALIF(beta=0.15), weight=Normal(0.1, 0.3), dt=task.dt
        ),
        loss=loss.cross_entropy("out.V", last=task.probe) + 1e-4 * loss.rate("E.spikes", 5.0, 20.0),
        optimizer=decaying_adam(5e-3, epochs * task.updates),
        where=("w_in.weight", "rec.weight", "w_out.weight"),
        rule=BPTT(surrogate=ReLU(alpha=0.5, width=0.6)),
        task=task,
        testing=task.testing,
        epochs=epochs,
        goal=0.9,
        seed=seed,
        dt=task.dt,
    )
