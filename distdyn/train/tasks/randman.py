"""Randman: classes that are smooth random manifolds, a point of one as when each neuron spikes.

    t_j(x) = prod_d sum_k a_djk k^-alpha sin(2 pi (k x_d b_djk + c_djk)),    x in the unit cube

for neuron j, each made to reach from 0 to 1 on its class; a, b, c are drawn uniformly.

Source: Zenke & Vogels (2021), Neural Comput. 33, 899.
"""

from dataclasses import dataclass

import numpy as np

from distdyn.train.encode import latency
from distdyn.train.tasks.split import Split

TERMS = 100  # of the sum: later ones are smaller than a step for alpha >= 1


@dataclass(frozen=True, kw_only=True)
class Randman(Split):
    """The data set; equally many trials of each class.

    Attributes:
        classes: how many.
        neurons: each spikes once in a trial.
        dim: of the manifolds.
        alpha: how smooth they are; the larger the smoother.
        steps: of a trial.
        latest: the step by which all have spiked.
    """

    classes: int = 10
    neurons: int = 20
    dim: int = 1
    alpha: float = 2.0
    steps: int = 100
    latest: int = 50

    def trials(self, n: int, stream: int) -> tuple[np.ndarray, np.ndarray]:
        """When each neuron spikes, from 0 to 1, and the classes."""
        label = np.arange(n) % self.classes
        x = np.random.default_rng([self.seed, 1 + stream]).random((n, self.dim))
        times = np.zeros((n, self.neurons))
        for c in range(self.classes):
            times[label == c] = self._manifold(c, x[label == c])
        return times, label

    def spikes(self, values: np.ndarray) -> np.ndarray:
        """Each neuron once, from step 1 on."""
        return latency(values, self.steps, 1, self.latest)

    def _manifold(self, c: int, x: np.ndarray) -> np.ndarray:
        """When each neuron spikes, from 0 to 1, for these points of a class."""
        random = np.random.default_rng([self.seed, 0, c])
        a, b, shift = random.random((3, self.dim, self.neurons, TERMS))
        grid = np.random.default_rng([self.seed, 3]).random((1000, self.dim))
        low, high = (f(_value(grid, a, b, shift, self.alpha), axis=0) for f in (np.min, np.max))
        return np.clip((_value(x, a, b, shift, self.alpha) - low) / (high - low), 0.0, 1.0)


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
