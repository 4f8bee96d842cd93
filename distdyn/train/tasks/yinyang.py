"""Yin-Yang: points of a plane in three classes, which no line divides.

Source: Kriener, Goeltz & Petrovici (2022), NICE 2022, "The Yin-Yang dataset".
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from distdyn.train.encode import latency
from distdyn.train.tasks.dataset import Dataset, Inputs

BIG, SMALL = 0.5, 0.1  # radii of the figure and of its two dots


@dataclass(frozen=True)
class YinYang:
    """The data set, its points as spikes: the larger a coordinate, the later.

    Inputs are five: x, y, 1 - x, 1 - y, and one that always spikes first.

    Attributes:
        train, test: numbers of points, equally many of each class.
        batch: points of a batch.
        seed: of the points and of their order.
        steps: of a trial.
        earliest, latest: steps at which coordinates of 0 and of 1 spike.
        path: of the population of five generators.
    """

    train: int = 5000
    test: int = 1000
    batch: int = 100
    seed: int = 0
    steps: int = 60
    earliest: int = 2
    latest: int = 40
    path: str = "inp"

    def batches(self, epoch: int) -> Iterator[tuple[Inputs, Any]]:
        """The batches of an epoch of training."""
        return self._dataset(0, self.train, self.seed).batches(epoch)

    @property
    def testing(self) -> Dataset:
        """Points of which none is trained on."""
        return self._dataset(1, self.test, None)

    def _dataset(self, stream: int, n: int, order: int | None) -> Dataset:
        points, label = yin_yang(n, [self.seed, stream])
        batch = min(self.batch, n)
        return Dataset({self.path: points}, label, batch, order, self._encoded)

    def _encoded(self, inputs: Inputs) -> Inputs:
        values = np.concatenate([inputs[self.path], 1 - inputs[self.path]], axis=1)
        values = np.concatenate([values, np.zeros((len(values), 1))], axis=1)
        return {self.path: latency(values, self.steps, self.earliest, self.latest)}


def yin_yang(n: int, seed: int | list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Points float64[n, 2] in the unit square, and their classes: 0 yang, 1 yin, 2 a dot."""
    random = np.random.default_rng(seed)
    wanted = np.arange(n) % 3
    found: list[list[np.ndarray]] = [[], [], []]
    while any(len(of) < (wanted == c).sum() for c, of in enumerate(found)):
        points = random.random((4 * n + 64, 2)) * 2 * BIG
        points = points[np.hypot(*(points - BIG).T) <= BIG]
        label = class_of(points)
        for c in range(3):
            found[c].extend(points[label == c])
    by_class = [iter(of) for of in found]
    order = random.permutation(n)
    return np.array([next(by_class[c]) for c in wanted])[order], wanted[order]


def class_of(points: np.ndarray) -> np.ndarray:
    """The class of each point of the figure."""
    x, y = points.T
    right = np.hypot(x - 1.5 * BIG, y - BIG)
    left = np.hypot(x - 0.5 * BIG, y - BIG)
    is_dot = (right < SMALL) | (left < SMALL)
    is_yin = (right <= SMALL) | ((left > SMALL) & (left <= 0.5 * BIG))
    is_yin |= (y > BIG) & (right > 0.5 * BIG)
    return np.where(is_dot, 2, is_yin.astype(np.int64))
