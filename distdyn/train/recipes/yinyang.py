"""Yin-Yang, learned by a recurrent network of leaky integrate-and-fire neurons in which all learn.

Task: Kriener, Goeltz & Petrovici (2022), NICE 2022; method: Neftci, Mostafa & Zenke (2019), IEEE
Signal Process. Mag. 36(6), 51.
"""

import optax

from distdyn.network.distributions import Normal
from distdyn.ops.surrogate import SuperSpike
from distdyn.train import loss
from distdyn.train.recipes.classifier import Classifier
from distdyn.train.recipes.recipe import Recipe
from distdyn.train.rules import BPTT
from distdyn.train.tasks.yinyang import YinYang


def yinyang(seed: int = 0) -> Recipe:
    """Three classes of points in the plane, coded by when five neurons spike."""
    task, epochs = YinYang(seed=seed), 80
    updates = epochs * (task.train // task.batch)
    return Recipe(
        network=Classifier(inputs=5, classes=3, weight=Normal(0.3, 0.6)),
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
