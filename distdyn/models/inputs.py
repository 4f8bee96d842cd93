"""Signals for inputs: steps at given times, samples on a grid."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from distdyn.core.signal import Signal
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
        first = jnp.rint(jnp.asarray(self.times) / tick.dt).astype(jnp.int64)
        index = jnp.searchsorted(first, tick.step, side="right")
        zero = jnp.zeros_like(jnp.asarray(self.values[:1]))
        return jnp.concatenate([zero, jnp.asarray(self.values)])[index]

    def extremes(self) -> tuple[float, float]:
        return min(0.0, float(self.values.min())), max(0.0, float(self.values.max()))


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
