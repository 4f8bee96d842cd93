"""Signals that are given piece by piece: steps, sections, pulses, samples on a grid.

Nothing is computed from a time: which piece holds is decided in whole steps.
"""

import math
from typing import Any

import jax.numpy as jnp
import numpy as np

from distdyn.core.signal import Signal, finite, step_of
from distdyn.core.system import Tick
from distdyn.errors import ParameterError


class Steps(Signal):
    """Piecewise constant: `values[k]` from `times[k]` (ms) on, 0 before the first time.

    Args:
        times: ascending, in ms, multiples of dt.
        values: one per time, or one row per time with a value for each target.
    """

    times: np.ndarray
    values: np.ndarray

    def __init__(self, times: Any, values: Any):
        self.times, self.values = _checked("Steps: times", times), _checked("Steps: values", values)
        if self.times.shape[:1] != self.values.shape[:1]:
            raise ParameterError(
                f"Steps: {self.times.shape[0]} times but {self.values.shape[0]} values. "
                "Give one value, or one row of values, per time."
            )
        if np.any(np.diff(self.times) <= 0):
            raise ParameterError("Steps: times are not ascending. Sort them, each only once.")

    def at(self, tick: Tick) -> Any:
        index = jnp.searchsorted(step_of(self.times, tick), tick.step, side="right")
        zero = jnp.zeros_like(jnp.asarray(self.values[:1]))
        return jnp.concatenate([zero, jnp.asarray(self.values)])[index]

    def extremes(self) -> tuple[float, float]:
        return min(0.0, float(self.values.min())), max(0.0, float(self.values.max()))

    def changes(self) -> np.ndarray:
        return self.times


class Section(Signal):
    """Values one after the other: `values[k]` for `durations[k]` ms, and 0 before and after.

    Args:
        values: one per section, or one row per section with a value for each target.
        durations: one per section, in ms, multiples of dt; or one for all.
        start: when the first begins, in ms.
    """

    steps: Steps

    def __init__(self, values: Any, durations: Any, start: float = 0.0):
        values = _checked("Section: values", values)
        durations = _checked("Section: durations", durations)
        if durations.shape not in ((), values.shape[:1]) or values.ndim == 0:
            raise ParameterError(
                f"Section: values have shape {values.shape}, durations {durations.shape}. Give one "
                "duration for each value, or for each row of values, or one for all."
            )
        if not (durations > 0).all():
            raise ParameterError("Section: durations must be > 0 ms. Leave empty sections out.")
        lengths = np.broadcast_to(durations, values.shape[:1]).tolist()
        first = finite(start, "Section: start")
        edges = [math.fsum([first, *lengths[:k]]) for k in range(len(lengths) + 1)]
        self.steps = Steps(edges, np.concatenate([values, np.zeros_like(values[:1])]))

    def at(self, tick: Tick) -> Any:
        return self.steps.at(tick)

    def extremes(self) -> tuple[float, float]:
        return self.steps.extremes()

    def changes(self) -> np.ndarray:
        return self.steps.changes()


class Pulses(Signal):
    """Rectangular pulses: `values[k]` from `times[k]` on, for `durations[k]` ms; else 0.

    Pulses that overlap add up.

    Args:
        times: in ms, multiples of dt, in any order.
        durations: one per pulse, in ms, multiples of dt; or one for all.
        values: one per pulse; or one for all.
    """

    steps: Steps

    def __init__(self, times: Any, durations: Any, values: Any):
        starts = np.atleast_1d(_checked("Pulses: times", times))
        lengths = _checked("Pulses: durations", durations)
        heights = _checked("Pulses: values", values)
        if starts.ndim > 1 or not {lengths.shape, heights.shape} <= {(), starts.shape}:
            raise ParameterError(
                f"Pulses: {starts.shape} times, durations of shape {lengths.shape}, values of "
                f"shape {heights.shape}. Give one of each per pulse, or one for all pulses."
            )
        if not (lengths > 0).all():
            raise ParameterError("Pulses: durations must be > 0 ms.")
        stops, heights = starts + lengths, np.broadcast_to(heights, starts.shape)
        edges = np.unique(np.concatenate([starts, stops]))
        # Ends and beginnings that meet differ in their last bits: half a picosecond is no time.
        is_on = (starts <= edges[:, None] + 5e-10) & (edges[:, None] < stops - 5e-10)
        self.steps = Steps(edges, [math.fsum(heights[on]) for on in is_on])

    def at(self, tick: Tick) -> Any:
        return self.steps.at(tick)

    def extremes(self) -> tuple[float, float]:
        return self.steps.extremes()

    def changes(self) -> np.ndarray:
        return self.steps.changes()


class Sampled(Signal):
    """`values[k]` from k dt to (k + 1) dt; after the end the last value stays.

    Args:
        values: one per sample, or one row per sample with a value for each target.
        dt: the interval of the samples, in ms; a multiple of the simulation's dt.
    """

    values: np.ndarray
    dt: float

    def __init__(self, values: Any, dt: float):
        self.dt = float(_checked("Sampled: dt", dt)[()])
        self.values = _checked("Sampled: values", values)
        if not self.dt > 0 or self.values.ndim == 0:
            raise ParameterError(
                f"Sampled: an array of samples and dt > 0 are needed; found shape "
                f"{self.values.shape}, dt = {self.dt:g} ms."
            )

    def at(self, tick: Tick) -> Any:
        every = jnp.rint(self.dt / tick.dt).astype(jnp.int64)
        index = jnp.clip(tick.step // every, 0, self.values.shape[0] - 1)
        return jnp.asarray(self.values)[index]

    def extremes(self) -> tuple[float, float]:
        return float(self.values.min()), float(self.values.max())


def _checked(what: str, given: Any) -> np.ndarray:
    array = np.asarray(given)
    if array.dtype.kind not in "iuf" or not array.size or not np.isfinite(array).all():
        raise ParameterError(
            f"{what} must be finite numbers, at least one; found {array.dtype} of shape "
            f"{array.shape}."
        )
    return array.astype(np.float64)
