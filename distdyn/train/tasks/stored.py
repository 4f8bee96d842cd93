"""Stored: trials of events that lie in files, of which a batch at a time is read.

    step = floor(time / dt),    bool[trial, step, neuron]

Several events of a neuron in a step are one spike; what comes at `duration` or later is left out.
"""

import math
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass
from os import PathLike
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from distdyn.errors import ParameterError, TrainError
from distdyn.train.tasks.dataset import Dataset, Inputs
from distdyn.units import check_dt, shown, to_steps

ROUNDING = 1e-6  # steps: 0.3 / 0.1 is a little less than 3

Events = tuple[np.ndarray, np.ndarray]  # of a trial: times float64 (ms), neurons int64


@dataclass(frozen=True)
class Stored:
    """A task whose trials are in files: a subclass says where, and what is in them.

    Every rank reads the files itself, and deals the trials in the same order.

    Attributes:
        train, test: where the trials are that are trained on, and those for testing, if there are
            any.
        duration: of a trial, ms.
        dt: step, ms.
        pool: so many neighbours are one neuron.
        batch: trials of a batch.
        seed: of the order.
        path: of the population of generators that takes the spikes.
    """

    train: str | PathLike
    test: str | PathLike | None = None
    _: KW_ONLY
    duration: float
    dt: float = 1.0
    pool: int = 1
    batch: int = 100
    seed: int = 0
    path: str = "inp"

    def __post_init__(self) -> None:
        name = type(self).__name__
        steps = to_steps(self.duration, check_dt(self.dt), f"{name}: duration")
        if steps == 0 or self.pool < 1 or self.batch < 1:
            raise ParameterError(
                f"{name}: duration = {shown(self.duration)} ms, pool = {shown(self.pool)}, batch = "
                f"{shown(self.batch)}. Give a duration of at least dt, and at least 1 of each."
            )

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """Of the population that takes the spikes."""

    @abstractmethod
    def trials(self, source: Path) -> tuple[np.ndarray, np.ndarray]:
        """Where in a source each trial is, [trial], and the classes int64[trial].

        Raises:
            TrainError: it is missing, or not what it should be.
        """

    @abstractmethod
    def events(self, source: Path, where: np.ndarray) -> Iterator[Events]:
        """Those of some trials, one trial after the other.

        Raises:
            TrainError: they cannot be read, or are of pixels or units that do not exist.
        """

    def batches(self, epoch: int) -> Iterator[tuple[Inputs, Any]]:
        """The batches of an epoch of training; trials left over at its end wait for the next."""
        return self._dataset(self.train, self.seed).batches(epoch)

    @property
    def testing(self) -> Dataset:
        """All trials for testing; the last batch may be smaller.

        Devices and ranks that do not divide it need `dataclasses.replace(task.testing, rest=False)`
        or another `batch`.
        """
        if self.test is None:
            raise TrainError(
                f"{type(self).__name__}: testing is asked for, but only {shown(str(self.train))} "
                "is given. Give where the trials for testing are as the second argument."
            )
        return self._dataset(self.test, None)

    def _dataset(self, source: str | PathLike, order: int | None) -> Dataset:
        place = Path(source)
        where, label = self.trials(place)

        def given(inputs: Inputs) -> Inputs:
            return {path: self._spikes(place, some) for path, some in inputs.items()}

        inputs = {self.path: where}
        return Dataset(inputs, label, min(self.batch, len(label)), order, given, order is None)

    def _spikes(self, source: Path, where: np.ndarray) -> np.ndarray:
        steps = round(self.duration / self.dt)
        found = np.zeros((len(where), steps, math.prod(self.shape)), bool)
        for trial, (time, neuron) in zip(found, self.events(source, where), strict=True):
            within = time / self.dt + ROUNDING < steps
            step = (time[within] / self.dt + ROUNDING).astype(np.int64)
            trial[step, neuron[within]] = True
        return found


def unreadable(source: Path, found: str, cure: str) -> NoReturn:
    """Raise TrainError: what is wrong with a file or folder of data, and what to do.

    Raises:
        TrainError: always.
    """
    raise TrainError(f'data: "{source}" {found}. {cure}')
