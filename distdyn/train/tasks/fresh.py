"""Fresh: trials that are drawn anew for every batch, and some for testing that never change."""

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from distdyn.errors import ParameterError
from distdyn.train.tasks.dataset import Dataset, Inputs
from distdyn.units import shown


@dataclass(frozen=True, kw_only=True)
class Fresh:
    """A task whose trials are drawn: a subclass says by `trials` how.

    Attributes:
        batch: trials of a batch.
        updates: batches of an epoch.
        test: trials for testing.
        seed: of all that is drawn.
        dt: step, ms.
        path: of what takes the inputs: a population of generators, or a `CurrentInput`.
    """

    batch: int = 64
    updates: int = 20
    test: int = 256
    seed: int = 0
    dt: float = 1.0
    path: str = "inp"

    @abstractmethod
    def trials(self, n: int, random: np.random.Generator) -> tuple[Inputs, Any]:
        """So many trials: inputs by path, and what is wanted."""

    def batches(self, epoch: int) -> Iterator[tuple[Inputs, Any]]:
        """The batches of an epoch of training."""
        for k in range(self.updates):
            yield self.trials(self.batch, np.random.default_rng([self.seed, 0, epoch, k]))

    @property
    def testing(self) -> Dataset:
        """Trials of which none is trained on."""
        inputs, target = self.trials(self.test, np.random.default_rng([self.seed, 1]))
        return Dataset(inputs, target, min(self.batch, self.test), None)

    def steps(self, ms: float) -> int:
        """So many ms in steps.

        Raises:
            ParameterError: they are less than one.
        """
        count = round(ms / self.dt)
        if count < 1:
            raise ParameterError(
                f"{type(self).__name__}: {shown(ms)} ms are no step of {shown(self.dt)} ms. Give "
                "longer times, or a smaller dt."
            )
        return count
