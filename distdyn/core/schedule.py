"""Generators whose spikes are known in advance."""

import abc

import numpy as np

from distdyn.core.system import DynamicalSystem


class Schedule(DynamicalSystem):
    """A population that spikes at given times; it has no state to advance."""

    @abc.abstractmethod
    def spikes(self) -> tuple[np.ndarray, np.ndarray]:
        """All spikes as (time in ms, id), in any order."""
