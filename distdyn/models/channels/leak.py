"""Leaks: channels that are always open."""

from typing import Any

from distdyn.core.parameters import param
from distdyn.models.channels.channel import Channel


class ILeak(Channel):
    """I = g (V - E)."""

    g: float = param(0.1, "mS/cm2", "conductance", nonnegative=True)
    E: float | str = param(-70.0, "mV", "reversal potential, or the ion whose it is")

    def current(self, s: Any, V: Any) -> Any:
        return self.g * (V - self.E)


class IKLeak(Channel):
    """The leak of potassium: I = g (V - E)."""

    g: float = param(0.005, "mS/cm2", "conductance", nonnegative=True)
    E: float | str = param(-90.0, "mV", "reversal potential, or the ion whose it is")

    def current(self, s: Any, V: Any) -> Any:
        return self.g * (V - self.E)
