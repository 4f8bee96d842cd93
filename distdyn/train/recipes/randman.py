"""Randman, learned by the network that learns Yin-Yang: what counts is when each neuron spikes.

Task: Zenke & Vogels (2021), Neural Comput. 33, 899; method: Neftci, Mostafa & Zenke (2019), IEEE
Signal Process. Mag. 36(6), 51.
"""

import optax

from distdyn.network.distributions import Normal
from distdyn.ops.surrogate import SuperSpike
from distdyn.train import loss
from distdyn.train.recipes.classifier import Classifier
from distdyn.train.recipes.recipe import Recipe
from distdyn.train.rules import BPTT
from distdyn.train.tasks.randman import Randman


def randman(seed: int = 0) -> Recipe:
    """Ten smooth random manifolds, each point of which is when twenty neurons spike."""
    task, epochs = Randman(seed=seed, steps=60), 12
    updates = epochs * (task.train // task.batch)
    return Recipe(
        network=Classifier(task.neurons, task.classes, weight=Normal(0.1, 0.3)),
        loss=loss.cross_entropy("out.V", over="max"),
        optimizer=optax.chain(
            optax.clip_by_global_norm(1.0), optax.adam(optax.cosine_decay_schedule(5e-3, updates))
        ),
        where=("w_in.weight", "rec.weight", "w_out.weight"),
        rule=BPTT(surrogate=SuperSpike(10.0)),
        task=task,
        testing=task.testing,
        epochs=epochs,
        goal=0.9,
        seed=seed,
    )
