"""Randman: classes that are smooth random manifolds, a point of one as when each neuron spikes.

    t_j(x) = prod_d sum_k a_djk k^-alpha sin(2 pi (k x_d b_djk + c_djk)),    x in the unit cube

for neuron j, each made to reach from 0 to 1 on its class; a, b, c are drawn uniformly.

Source: Zenke & Vogels (2021), Neural Comput. 33, 899.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from distdyn.train.encode import latency
from distdyn.train.tasks.dataset import Dataset, Inputs

TERMS = 100  # of the sum: later ones are smaller than a step for alpha >= 1


@dataclass(frozen=True)
class Randman:
    """The data set.

    Attributes:
        classes: how many.
        neurons: each spikes once in a trial.
        dim: of the manifolds.
        alpha: how smooth they are; the larger the smoother.
        train, test: numbers of trials, equally many of each class.
        batch: trials of a batch.
        seed: of manifolds, points and order.
        steps: of a trial.
        latest: the step by which all have spiked.
        path: of the population of generators.
    """

    classes: int = 10
    neurons: int = 20
    dim: int = 1
    alpha: float = 2.0
    train: int = 5000
    test: int = 1000
    batch: int = 100
    seed: int = 0
    steps: int = 100
    latest: int = 50
    path: str = "inp"

    def batches(self, epoch: int) -> Iterator[tuple[Inputs, Any]]:
        """The batches of an epoch of training."""
        return self._dataset(0, self.train, self.seed).batches(epoch)

    @property
    def testing(self) -> Dataset:
        """Trials of which none is trained on."""
        return self._dataset(1, self.test, None)

    def _dataset(self, stream: int, n: int, order: int | None) -> Dataset:
        label = np.arange(n) % self.classes
        x = np.random.default_rng([self.seed, 1 + stream]).random((n, self.dim))
        times = np.zeros((n, self.neurons))
        for c in range(self.classes):
            times[label == c] = self._manifold(c, x[label == c])
        return Dataset({self.path: times}, label, min(self.batch, n), order, self._encoded)

    def _manifold(self, c: int, x: np.ndarray) -> np.ndarray:
        """When each neuron spikes, from 0 to 1, for these points of a class."""
        random = np.random.default_rng([self.seed, 0, c])
        a, b, shift = random.random((3, self.dim, self.neurons, TERMS))
        grid = np.random.default_rng([self.seed, 3]).random((1000, self.dim))
        low, high = (f(_value(grid, a, b, shift, self.alpha), axis=0) for f in (np.min, np.max))
        return np.clip((_value(x, a, b, shift, self.alpha) - low) / (high - low), 0.0, 1.0)

    def _encoded(self, inputs: Inputs) -> Inputs:
        return {self.path: latency(inputs[self.path], self.steps, 1, self.latest)}


def _value(
    x: np.ndarray, a: np.ndarray, b: np.ndarray, shift: np.ndarray, alpha: float
) -> np.ndarray:
    """Of each point the value at each neuron, [point, neuron]."""
    k = np.arange(1, TERMS + 1)
    found = np.ones((len(x), a.shape[1]))
    for d in range(x.shape[1]):
        phase = 2 * np.pi * (k * b[d] * x[:, d, None, None] + shift[d])
        found *= (a[d] * k**-alpha * np.sin(phase)).sum(axis=2)
    return found
