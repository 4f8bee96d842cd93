"""Split: trials that are drawn once, some to train on and others for testing."""

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from distdyn.train.tasks.dataset import Dataset, Inputs

TRAIN, TEST = 0, 1


@dataclass(frozen=True, kw_only=True)
class Split:
    """A task of which no trial is drawn anew: a subclass says which, and how they are given.

    Attributes:
        train, test: numbers of trials.
        batch: trials of a batch.
        seed: of the trials and of their order.
        path: of the population of generators that takes the spikes.
    """

    train: int = 5000
    test: int = 1000
    batch: int = 100
    seed: int = 0
    path: str = "inp"

    @abstractmethod
    def trials(self, n: int, stream: int) -> tuple[np.ndarray, np.ndarray]:
        """Values float64[n, value] and classes int64[n], others in each stream (TRAIN, TEST)."""

    @abstractmethod
    def spikes(self, values: np.ndarray) -> np.ndarray:
        """Of some trials bool[trial, step, neuron]."""

    def batches(self, epoch: int) -> Iterator[tuple[Inputs, Any]]:
        """The batches of an epoch of training."""
        return self._dataset(self.train, TRAIN, self.seed).batches(epoch)

    @property
    def testing(self) -> Dataset:
        """Trials of which none is trained on."""
        return self._dataset(self.test, TEST, None)

    def _dataset(self, n: int, stream: int, order: int | None) -> Dataset:
        values, label = self.trials(n, stream)
        return Dataset({self.path: values}, label, min(self.batch, n), order, self._given)

    def _given(self, inputs: Inputs) -> Inputs:
        return {path: self.spikes(values) for path, values in inputs.items()}
