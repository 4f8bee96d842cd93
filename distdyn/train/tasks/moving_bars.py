"""Moving bars: which way a bar moves, in the events of a sensor of 16 x 16 pixels.

A pixel tells when it becomes darker or brighter. What leaves the field on one side comes in on the
other, and a bar starts anywhere: on average every pixel has as many events in every class and step.
A bar is brighter or darker than what is behind it, at random: a trial run backwards is as likely
one of the opposite class. So no single step, and no sum over steps, says better than a coin which
of two opposite ways it went; who looks at either is right in half of the trials at best.

Events: Lichtsteiner, Posch & Delbruck (2008), IEEE J. Solid-State Circuits 43, 566; bars that move
across, as what tells directions apart: Hubel & Wiesel (1962), J. Physiol. 160, 106.
"""

from dataclasses import dataclass

import numpy as np

from distdyn.errors import ParameterError
from distdyn.train.tasks.split import Split
from distdyn.units import shown

SIZE = 16  # pixels of a side
WAY = 8.0, 20.0  # how far a bar moves in a trial, pixels
LENGTH, WIDTH = (5.0, 9.0), (2.0, 4.0)  # of a bar, across and along its way, pixels
SPREAD = 0.2  # a way misses that of its class by at most so much of what is between two classes


@dataclass(frozen=True, kw_only=True)
class MovingBars(Split):
    """The data set; equally many trials of each class.

    A bar moves across itself, evenly, in the direction 2 pi c / classes for class c, from x (the
    columns) to y (the rows). Its direction varies a little within its class; where it is, how far
    it goes, its length, width and contrast are drawn.

    Inputs are those of a population of shape (2, 16, 16): darker and brighter, row, column; neuron
    `(polarity * 16 + row) * 16 + column`.

    Attributes:
        classes: directions, an even number: each has its opposite.
        steps: of a trial; the way of a bar does not depend on them.
        noise: events at random, of a pixel and polarity in a trial.
    """

    classes: int = 8
    steps: int = 30
    noise: float = 0.2

    def __post_init__(self) -> None:
        if self.classes < 2 or self.classes % 2:
            raise ParameterError(
                f"MovingBars: classes = {shown(self.classes)}. Give an even number, so that each "
                "direction has its opposite."
            )
        if self.steps < 1 or not 0 <= self.noise <= self.steps:
            raise ParameterError(
                f"MovingBars: noise = {shown(self.noise)} events in {shown(self.steps)} steps. "
                "Give at least one step, and from none to one event in each."
            )

    def trials(self, n: int, stream: int) -> tuple[np.ndarray, np.ndarray]:
        """Bars (see `events`), the seed of the noise of each, and the classes."""
        random = np.random.default_rng([self.seed, stream])
        label = random.permutation(np.arange(n) % self.classes)
        direction = label + SPREAD * random.uniform(-1.0, 1.0, n)
        drawn = (
            2 * np.pi * direction / self.classes,
            random.uniform(0.0, SIZE, n),
            random.uniform(0.0, SIZE, n),
            random.uniform(*WAY, n),
            random.uniform(*LENGTH, n),
            random.uniform(*WIDTH, n),
            random.choice((-1.0, 1.0), n),
            random.integers(0, 2**53, n).astype(float),
        )
        return np.stack(drawn, axis=1), label

    def spikes(self, values: np.ndarray) -> np.ndarray:
        """The events of a bar, and of noise that is the same whenever a trial is given."""
        found = events(values[:, :-1], self.steps)
        for trial, seed in zip(found, values[:, -1], strict=True):
            random = np.random.default_rng(int(seed))
            trial |= random.random(trial.shape, np.float32) < self.noise / self.steps
        return found.reshape(len(values), self.steps, -1)


def events(bars: np.ndarray, steps: int) -> np.ndarray:
    """Which pixels become darker and brighter: bool[trial, step, polarity, row, column].

    A pixel r = (column, row) is covered at time t if, with d the direction and e across it,

        |(r - p(t)) d| <= width / 2  and  |(r - p(t)) e| <= length / 2
        p(t) = (x, y) + (t / steps - 1 / 2) way d,    t = 0, 1, ..., steps

    where r - p is the shortest way round the field. Step t brings the changes from t to t + 1.

    Args:
        bars: float64[trial, 7]: direction (radian), x and y halfway, way, length, width (pixels),
            contrast (1 brighter than what is behind, -1 darker).
        steps: of a trial.
    """
    direction, x, y, way, length, width, contrast = bars.T[:, :, None, None, None]
    cos, sin = np.cos(direction), np.sin(direction)
    at = (np.arange(steps + 1) / steps - 0.5)[:, None, None] * way
    right = _shortest(np.arange(SIZE) - x - at * cos)  # [trial, t, 1, column]
    down = _shortest(np.arange(SIZE)[:, None] - y - at * sin)  # [trial, t, row, 1]
    covered = np.abs(right * cos + down * sin) <= width / 2
    covered &= np.abs(down * cos - right * sin) <= length / 2
    change = np.diff(covered.astype(np.int8), axis=1) * contrast
    return np.stack([change < 0, change > 0], axis=2)


def _shortest(way: np.ndarray) -> np.ndarray:
    """The same way in a field that is closed to a ring, from -SIZE / 2 to SIZE / 2."""
    return (way + SIZE / 2) % SIZE - SIZE / 2
