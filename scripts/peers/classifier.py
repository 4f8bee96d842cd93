"""The classifier of `bench_training.py`: what all programs build, and what they are given.

    spikes -> n LIF, all connected with all -> a leaky integrator for each class

    V <- b V + W x + R s,   s = 1 and V <- 0 where V > 1,   b = exp(-1 / 20),   1 ms a step

A class is chosen by the mean potential of its readout; weights are drawn normally. Derivatives pass
a spike by 1 / (1 + 10 |V - 1|)^2.

Imported in the Python of a peer, so it needs nothing but NumPy.
"""

import math
import statistics
import time
from collections.abc import Callable, Generator
from typing import NamedTuple, NoReturn

import numpy as np

from peers.answering import peak_rss

TAU = 20.0  # ms
SLOPE = 10.0
LEARNING_RATE = 1e-4
P_SPIKE = 0.046  # of an input in a step: as many as in the Spiking Heidelberg Digits


class Sizes(NamedTuple):
    """What is trained: cells, inputs, classes, steps, trials of a batch."""

    cells: int
    inputs: int
    classes: int
    steps: int
    trials: int

    @property
    def spread(self) -> tuple[float, float, float]:
        """The standard deviations of the weights: of inputs, recurrent, of readouts."""
        return 0.06 * math.sqrt(700 / self.inputs), 0.5 / self.cells**0.5, self.cells**-0.5


def batch(sizes: Sizes, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Spikes, bool[trial, step, input], and the class of each trial."""
    random = np.random.default_rng(seed)
    spikes = random.random((sizes.trials, sizes.steps, sizes.inputs)) < P_SPIKE
    return spikes, random.integers(0, sizes.classes, sizes.trials)


def weights(sizes: Sizes, seed: int) -> list[np.ndarray]:
    """[pre, post] of inputs, recurrent, of readouts; float32."""
    random = np.random.default_rng(seed + 1)
    shapes = (
        (sizes.inputs, sizes.cells),
        (sizes.cells, sizes.cells),
        (sizes.cells, sizes.classes),
    )
    return [
        (spread * random.standard_normal(shape)).astype(np.float32)
        for spread, shape in zip(sizes.spread, shapes, strict=True)
    ]


def timed(
    first: float, spiking: float, update: Callable[[], object]
) -> Generator[dict, dict, NoReturn]:
    """What a worker answers, once that it is built and then whenever it is asked for updates.

    Args:
        first: the seconds of building, compiling and the first update.
        spiking: the part of the cells that spike in a step, before it learns.
        update: is timed; the median counts.
    """
    found = {"seconds": first}
    while True:
        request = yield found
        taken = []
        for _ in range(request["updates"]):
            start = time.perf_counter()
            update()
            taken.append(time.perf_counter() - start)
        found = {"seconds": statistics.median(taken), "spiking": spiking, "peak": peak_rss()}
