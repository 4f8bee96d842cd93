"""Yin-Yang: points of a plane in three classes, which no line divides.

Source: Kriener, Goeltz & Petrovici (2022), NICE 2022, "The Yin-Yang dataset".
"""

from dataclasses import dataclass

import numpy as np

from distdyn.train.encode import latency
from distdyn.train.tasks.split import Split

BIG, SMALL = 0.5, 0.1  # radii of the figure and of its two dots


@dataclass(frozen=True, kw_only=True)
class YinYang(Split):
    """The data set, its points as spikes: the larger a coordinate, the later.

    Inputs are five: x, y, 1 - x, 1 - y, and one that always spikes first. Points are equally many
    of each class.

    Attributes:
        steps: of a trial.
        earliest, latest: steps at which coordinates of 0 and of 1 spike.
    """

    steps: int = 60
    earliest: int = 2
    latest: int = 40

    def trials(self, n: int, stream: int) -> tuple[np.ndarray, np.ndarray]:
        """Points and their classes."""
        return yin_yang(n, [self.seed, stream])

    def spikes(self, values: np.ndarray) -> np.ndarray:
        """Of five neurons for each point."""
        first = np.zeros((len(values), 1))
        values = np.concatenate([values, 1 - values, first], axis=1)
        return latency(values, self.steps, self.earliest, self.latest)


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
