"""Signals that are functions of time: ramps and waves.

The time is that of the beginning of the step, computed from its number, so that the millionth
period is as exact as the first.
"""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from distdyn.core.signal import Signal, finite
from distdyn.core.system import Tick
from distdyn.errors import ParameterError

EDGE = 1e-6  # of a period: a step that begins so little before an edge begins after it


class Ramp(Signal):
    """Linear from `first` at `start` to `last` at `stop`; `first` before, and `last` after.

        x(t) = first + (last - first) (t - start) / (stop - start)

    With `.between(start, stop)` it is 0 before and after.

    Args:
        first: the value up to `start`.
        last: the value from `stop` on.
        start: in ms.
        stop: in ms, after `start`.
    """

    first: float
    last: float
    start: float
    stop: float

    def __init__(self, first: float, last: float, start: float, stop: float):
        self.first, self.last = finite(first, "Ramp: first"), finite(last, "Ramp: last")
        self.start, self.stop = finite(start, "Ramp: start"), finite(stop, "Ramp: stop")
        if not self.start < self.stop:
            raise ParameterError(
                f"Ramp: stop = {self.stop:g} ms must be after start = {self.start:g} ms."
            )

    def at(self, tick: Tick) -> Any:
        part = jnp.clip((tick.t - self.start) / (self.stop - self.start), 0.0, 1.0)
        return (1.0 - part) * self.first + part * self.last

    def extremes(self) -> tuple[float, float]:
        return min(self.first, self.last), max(self.first, self.last)


class Sinusoid(Signal):
    """A sine wave.

        x(t) = mean + amplitude sin(2 pi frequency t + phase)

    Args:
        amplitude: half the distance between the highest and the lowest value.
        frequency: in Hz.
        phase: at 0 ms, in radians.
        mean: the value in the middle.
    """

    amplitude: float
    frequency: float
    phase: float = 0.0
    mean: float = 0.0

    def __check_init__(self) -> None:
        """Look at the numbers."""
        _check(self)

    def at(self, tick: Tick) -> Any:
        cycle, _ = _position(self, tick)
        return self.mean + self.amplitude * jnp.sin(2 * np.pi * cycle)

    def extremes(self) -> tuple[float, float]:
        return self.mean - abs(self.amplitude), self.mean + abs(self.amplitude)


class Square(Signal):
    """A square wave: high for the part `duty` of each period, then low.

        x(t) = mean + amplitude   in the first part of a period
        x(t) = mean - amplitude   in the rest of it

    Args:
        amplitude: half the distance between high and low.
        frequency: in Hz.
        phase: at 0 ms, in radians; 0 is where high begins.
        mean: the value in the middle.
        duty: from 0 to 1.
    """

    amplitude: float
    frequency: float
    phase: float = 0.0
    mean: float = 0.0
    duty: float = 0.5

    def __check_init__(self) -> None:
        """Look at the numbers."""
        _check(self)
        if not 0 <= finite(self.duty, "Square: duty") <= 1:
            raise ParameterError(f"Square: duty = {self.duty:g} must be between 0 and 1.")

    def at(self, tick: Tick) -> Any:
        _, cycle = _position(self, tick)
        return self.mean + jnp.where(cycle < self.duty, self.amplitude, -self.amplitude)

    def extremes(self) -> tuple[float, float]:
        return self.mean - abs(self.amplitude), self.mean + abs(self.amplitude)


def _check(wave: Sinusoid | Square) -> None:
    name = type(wave).__name__
    for field in ("amplitude", "frequency", "phase", "mean"):
        if not isinstance(getattr(wave, field), Tracer):
            finite(getattr(wave, field), f"{name}: {field}")
    if isinstance(wave.frequency, float | int) and not wave.frequency > 0:
        raise ParameterError(f"{name}: frequency = {wave.frequency:g} Hz must be > 0.")


def _position(wave: Sinusoid | Square, tick: Tick) -> tuple[Any, Any]:
    """Where in its period a wave is, from 0 to 1; and the same with edges on the grid."""
    cycles = tick.t * wave.frequency / 1000.0 + wave.phase / (2 * np.pi)
    on_grid = cycles + EDGE
    return cycles - jnp.floor(cycles), on_grid - jnp.floor(on_grid)
