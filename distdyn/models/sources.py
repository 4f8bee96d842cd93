"""Generators: populations that spike by themselves and receive nothing."""

from typing import Any, ClassVar, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from distdyn.core.parameters import param
from distdyn.core.schedule import Schedule
from distdyn.core.signal import value_at
from distdyn.core.system import Drive, DynamicalSystem, Tick
from distdyn.errors import ParameterError
from distdyn.random import philox


class Poisson(DynamicalSystem):
    """Independent Poisson spike trains: a spike in a step with probability rate * dt.

    The mean rate is exact; a cell spikes at most once per step, so rate * dt must not exceed 1 (for
    more, `PoissonInput` delivers several spikes per step). `rate` may be a `Signal` or a function
    of t (ms).
    """

    rate: Any = param(10.0, "Hz", "mean rate", nonnegative=True)

    spiking: ClassVar[bool] = True

    class State(NamedTuple):
        key: jax.Array  # uint32, the first word of the cell's random key
        word: jax.Array  # uint32, the second

    def check(self, dt: float) -> None:
        """A cell spikes at most once per step."""
        extremes = getattr(self.rate, "extremes", None)  # of a Signal or a distribution
        if extremes is not None:
            low, most = extremes()
        elif callable(self.rate):
            return  # unknown until it is called; a rate beyond means a spike in every step
        else:
            rates = np.asarray(self.rate, float)
            low, most = rates.min(initial=np.inf), rates.max(initial=0.0)
        if low < 0 or most * dt > 1e3:
            raise ParameterError(
                f"Poisson: rate = {low if low < 0 else most:g} Hz is not possible with dt = {dt:g} "
                f"ms: a cell spikes at most once per step. Use 0 <= rate <= {1e3 / dt:g}, or "
                "PoissonInput."
            )

    def init(self, id: Any, key: Any) -> State:
        """The cell's own random key."""
        words = jax.random.key_data(key)
        return self.State(key=words[..., 0], word=words[..., 1])

    def step(self, state: State, drive: Drive, tick: Tick) -> tuple[State, Any]:
        step = jnp.asarray(tick.step, jnp.int64)
        low, high = step.astype(jnp.uint32), (step >> 32).astype(jnp.uint32)
        zero = jnp.zeros_like(low)
        word, _, _, _ = philox((low, high, zero, zero), (state.key, state.word))
        probability = jnp.asarray(value_at(self.rate, tick)) * (tick.dt * 1e-3)
        return state, word.astype(jnp.float64) < probability.astype(jnp.float64) * 2.0**32


class SpikeTimes(Schedule):
    """Spikes at given times: neuron `id[k]` spikes at `time[k]` (ms, > 0, a multiple of dt)."""

    id: np.ndarray = eqx.field(metadata={"per_cell": False})
    time: np.ndarray = eqx.field(metadata={"per_cell": False})

    spiking: ClassVar[bool] = True

    def __init__(self, id: Any, time: Any):
        ids, times = np.atleast_1d(np.asarray(id)), np.atleast_1d(np.asarray(time))
        if ids.size == 0:
            ids = ids.astype(np.int64)
        if ids.dtype.kind not in "iu" or (ids < 0).any():
            raise ParameterError(f"SpikeTimes: id must be integers >= 0; found {ids.dtype}.")
        if times.dtype.kind not in "iuf" or not np.isfinite(times).all() or (times <= 0).any():
            raise ParameterError("SpikeTimes: time must be finite and > 0, in ms.")
        if ids.ndim != 1 or ids.shape != times.shape:
            raise ParameterError(
                f"SpikeTimes: id has shape {ids.shape}, time {times.shape}. Give one id per time."
            )
        self.id, self.time = ids.astype(np.int64), times.astype(np.float64)

    def spikes(self) -> tuple[np.ndarray, np.ndarray]:
        return self.time, self.id

    def init(self, id: Any, key: Any) -> tuple[()]:
        """Nothing evolves."""
        return ()

    def step(self, state: Any, drive: Drive, tick: Tick) -> tuple[Any, Any]:
        """The schedule is delivered as it stands; alone it has no step."""
        raise TypeError("SpikeTimes is a population's model; it cannot be stepped by itself.")
