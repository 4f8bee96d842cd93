"""What changes in time and is given in advance: input currents and rates."""

import abc
from typing import Any

from distdyn.core.parameters import Parameters
from distdyn.core.system import Tick


class Signal(Parameters):
    """A value, or one value per target, as a function of time alone."""

    @abc.abstractmethod
    def at(self, tick: Tick) -> Any:
        """The value that holds during the step; shape [] or [target]."""

    @abc.abstractmethod
    def extremes(self) -> tuple[float, float]:
        """The smallest and the largest value."""


def value_at(signal: Any, tick: Tick) -> Any:
    """The value of a number, an array, a `Signal` or a function of t (ms)."""
    if isinstance(signal, Signal):
        return signal.at(tick)
    return signal(tick.t) if callable(signal) else signal
