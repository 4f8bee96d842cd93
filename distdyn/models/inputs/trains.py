"""Spike trains that are drawn in advance: regular, Poisson, gamma, with a rate that may change.

For a population that plays them (`SpikeTimes`), and to try measures on. What a network draws while
it runs is `Poisson` and `PoissonInput`.
"""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64, Int64

from distdyn.core.signal import Signal, finite
from distdyn.errors import ParameterError
from distdyn.random import stream_key, uniform
from distdyn.units import real, shown

STEP = 0.1  # ms, in which a rate that changes is added up, if no dt is given


class Trains(NamedTuple):
    """Spikes of several trains, sorted by time and id: `SpikeTimes(*trains)` plays them.

    Attributes:
        id: of the train.
        time: in ms.
    """

    id: Int64[np.ndarray, "s"]
    time: Float64[np.ndarray, "s"]


def trains(
    n: int,
    rate: Any,
    duration: float,
    *,
    shape: float = 1.0,
    start: float = 0.0,
    dt: float | None = None,
    seed: int = 0,
    path: str = "trains",
) -> Trains:
    """Independent spike trains of renewal processes with gamma distributed intervals.

        mean interval 1 / rate,   CV of the intervals 1 / sqrt(shape)

    shape = 1 is a Poisson process, less is burstier, infinity is regular. A rate that changes
    stretches time: the intervals are those of a train of rate 1 in the time integral rate dt. Each
    train is in equilibrium at `start`: its mean rate is `rate` from the first moment on.

    Args:
        n: how many; train k is a function of the seed, the path and k, not of n.
        rate: in Hz, >= 0: a number, an array of one per train, a signal, or a function of t (ms).
        duration: in ms.
        shape: of the gamma distribution.
        start: where the trains begin, in ms; spikes are later.
        dt: times become multiples of it, at the end of the step that they fall in, for `SpikeTimes`
            (one spike per step at most: a few are lost where rate * dt is not small); None: any.
        seed: of the draws.
        path: of the draws: another one makes other trains.

    Raises:
        ParameterError: a number that is not possible.

    Source: Cox (1962), Renewal theory; of a changing rate, Brown et al. (2002), Neural Comput. 14,
    325.
    """
    begin, length = finite(start, "trains: start"), finite(duration, "trains: duration")
    if n < 0 or length < 0 or not shape > 0 or (dt is not None and not dt > 0):
        raise ParameterError(
            f"trains: n = {n}, duration = {duration:g} ms, shape = {shape:g}, dt = {dt}: use "
            "n >= 0, duration >= 0, shape > 0 and dt > 0."
        )
    key = stream_key(seed, "trains", path)
    if isinstance(rate, Signal) or callable(rate):
        clock, expected = _changing(rate, begin, length, dt or STEP)
        id, count = _unit_trains(np.full(n, expected[-1]), float(shape), key)
        time = np.interp(count, expected, clock)
    else:
        total = _constant(rate, n) * length * 1e-3
        id, count = _unit_trains(total, float(shape), key)
        time = begin + count / total[id] * length
    if dt is not None:
        step = np.ceil(np.round(time / dt, 6)).astype(np.int64)
        id, step = np.unique(np.stack([id, step]), axis=1)
        time = step * dt
    order = np.lexsort((id, time))
    return Trains(id[order], time[order])


def _constant(rate: Any, n: int) -> Float64[np.ndarray, "n"]:
    rates = np.asarray(real(rate, "trains: rate"), np.float64)
    if rates.shape not in ((), (n,)) or not np.isfinite(rates).all() or (rates < 0).any():
        raise ParameterError(
            f"trains: rate = {shown(rate)} is not possible for {n} trains. Give one number >= 0, "
            f"or {n}."
        )
    return np.broadcast_to(rates, (n,)).astype(np.float64)


def _changing(
    rate: Any, start: float, duration: float, dt: float
) -> tuple[Float64[np.ndarray, "t"], Float64[np.ndarray, "t"]]:
    """Times, and how many spikes are expected until then."""
    n = max(1, round(duration / dt))
    clock = start + np.arange(n + 1) * (duration / n)
    if isinstance(rate, Signal):
        whole = round(start / dt) * dt
        values = rate.sample(n * dt, dt, start=whole)
    else:
        values = np.array([float(rate(t)) for t in clock[:-1] + duration / n / 2])
    if values.ndim > 1 or not np.isfinite(values).all() or (values < 0).any():
        raise ParameterError(
            f"trains: rate = {shown(rate)} is not one finite number >= 0 at each time. Use "
            "clip(low=0), or a number for each train."
        )
    return clock, np.concatenate([[0.0], np.cumsum(values * (duration / n * 1e-3))])


def _unit_trains(
    total: Float64[np.ndarray, "n"], shape: float, key: tuple[int, int]
) -> tuple[Int64[np.ndarray, "s"], Float64[np.ndarray, "s"]]:
    """Ids and times of trains of mean interval 1, each until its own end."""
    id = np.arange(len(total))
    # Since the last spike a part of an interval has passed, and long intervals are met more often.
    time = _interval(uniform(key, id, 0), shape, extra=1.0) * uniform(key, id, 1)
    ids, times = [], []
    draw = 2
    while True:
        is_inside = time <= total[id]
        id, time = id[is_inside], time[is_inside]
        if not id.size:
            break
        ids.append(id)
        times.append(time)
        time = time + _interval(uniform(key, id, draw), shape)
        draw += 1
    empty = np.zeros(0, np.int64)
    return np.concatenate([empty, *ids]), np.concatenate([empty.astype(np.float64), *times])


def _interval(u: Float64[np.ndarray, "n"], shape: float, extra: float = 0.0) -> Any:
    """The quantile function of Gamma(shape + extra, mean shape + extra over shape)."""
    if np.isinf(shape):
        return np.ones_like(u)
    from scipy.special import gammaincinv  # here: it would double the time of `import distdyn`

    return gammaincinv(shape + extra, u) / shape
