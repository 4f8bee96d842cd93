"""A recipe: what a task, a network, a loss and an optimizer must be for the network to learn it."""

from dataclasses import dataclass
from typing import Any

import optax

from distdyn.network.network import Network
from distdyn.train.loss import Loss
from distdyn.train.rules import Rule
from distdyn.train.trainer import Data, DSTrainer


def decaying_adam(rate: float, updates: int) -> optax.GradientTransformation:
    """Adam whose rate falls to 0 as a cosine over so many updates; longer gradients have norm 1."""
    schedule = optax.cosine_decay_schedule(rate, updates)
    return optax.chain(optax.clip_by_global_norm(1.0), optax.adam(schedule))


@dataclass(frozen=True)
class Recipe:
    """All that `DSTrainer` takes, and the data.

    Attributes:
        task: what is trained on.
        testing: data of which none is trained on.
        epochs: after which it has been learned.
        goal: the accuracy on `testing` that is reached then, at least.
    """

    network: Network
    loss: Loss
    optimizer: optax.GradientTransformation
    where: tuple[str, ...]
    rule: Rule
    task: Data
    testing: Data
    epochs: int
    goal: float
    seed: int
    dt: float = 1.0

    def trainer(self, **options: Any) -> DSTrainer:
        """A trainer of it; options are those of `DSTrainer`."""
        given = {"rule": self.rule, "dt": self.dt, "seed": self.seed, "where": self.where}
        return DSTrainer(self.network, self.loss, self.optimizer, **{**given, **options})
