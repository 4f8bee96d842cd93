"""What measures read: trains, windows, and counts in bins."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64

from distdyn.errors import ParameterError
from distdyn.units import real, shown

Window = tuple[float, float]


def trains(
    spikes: Any, n: int | None = None, window: Window | None = None
) -> list[Float64[np.ndarray, "_"]]:
    """Spikes as a list of trains: the times of each neuron, ascending, in ms.

    Args:
        spikes: with `time` and `id`, as in a recording; or a list of arrays of times; or one array.
        n: how many neurons there are, the silent ones too; by default up to the last that spiked.
            For spikes with ids.
        window: first and last time, in ms: start < time <= stop, as in a recording; by default all.

    Raises:
        ParameterError: they are none of these, or there are more neurons than n.
    """
    if hasattr(spikes, "time") and hasattr(spikes, "id"):
        found = _by_id(np.asarray(spikes.time, np.float64), np.asarray(spikes.id), n)
    elif isinstance(spikes, list | tuple) and not all(np.ndim(train) == 0 for train in spikes):
        found = [_train(train) for train in spikes]
    else:
        found = [_train(spikes)] if np.size(spikes) or isinstance(spikes, np.ndarray) else []
    if window is None:
        return found
    start, stop = bounds(window)
    return [train[(train > start) & (train <= stop)] for train in found]


def counts(
    spikes: Any, window: Window, width: float | None = None, *, n: int | None = None
) -> Int64[np.ndarray, "n t"]:
    """How many spikes each neuron has in each bin.

    Args:
        spikes: as in `trains`.
        window: first and last time, in ms; a spike at the end of a bin is in it, as in a step.
        width: of the bins, in ms, which divides the window; by default there is one bin.
        n: how many neurons there are.

    Returns:
        A row per neuron, a column per bin.

    Raises:
        ParameterError: a window or width that is not possible.
    """
    start, stop = bounds(window)
    n_bins = 1 if width is None else n_bins_of(window, width)
    found = trains(spikes, n, window)
    edges = np.linspace(start, stop, n_bins + 1)
    table = np.zeros((len(found), n_bins), np.int64)
    for row, train in zip(table, found, strict=True):
        # Times are sums of steps, which miss the edges of bins by their last bits.
        bin_ = np.searchsorted(edges + 1e-9 * (stop - start), train, side="left") - 1
        row += np.bincount(np.clip(bin_, 0, n_bins - 1), minlength=n_bins)
    return table


def bounds(window: Window) -> Window:
    """A first and a last time.

    Raises:
        ParameterError: they are no finite numbers in order.
    """
    values = np.atleast_1d(real(window, "window"))
    if values.shape != (2,) or not np.isfinite(values).all() or not values[0] < values[1]:
        raise ParameterError(
            f"window = {shown(window)} is not possible. Give a first and a later last time, in ms."
        )
    start, stop = values.tolist()
    return start, stop


def n_bins_of(window: Window, width: float) -> int:
    """How many bins of a width (ms) a window has.

    Raises:
        ParameterError: the width does not divide it.
    """
    start, stop = bounds(window)
    n = (stop - start) / width if width > 0 else 0.0
    if not round(n) or abs(n - round(n)) > 1e-6 * n:
        raise ParameterError(
            f"width = {width:g} ms does not divide the window of {stop - start:g} ms. Use a width "
            "that does."
        )
    return round(n)


def values_over_time(values: Any, what: str) -> Float64[np.ndarray, "t k"]:
    """Samples as an array: a row per time, a column per neuron or area; a trace is one.

    Raises:
        ParameterError: it is no such array, or a number in it is not finite.
    """
    array = np.asarray(getattr(values, "value", values), np.float64)
    array = array[:, None] if array.ndim == 1 else array
    if array.ndim != 2 or not array.size or not np.isfinite(array).all():
        raise ParameterError(
            f"{what}: an array of finite numbers is needed, a row per time and a column per "
            f"neuron or area; found one of shape {array.shape}."
        )
    return array


def _by_id(
    time: Float64[np.ndarray, "s"], id: Int64[np.ndarray, "s"], n: int | None
) -> list[Float64[np.ndarray, "_"]]:
    if time.shape != id.shape or time.ndim != 1:
        raise ParameterError(f"spikes: {time.shape} times, but {id.shape} ids. Give as many.")
    most = int(id.max(initial=-1)) + 1
    size = most if n is None else n
    if most > size or (id < 0).any():
        raise ParameterError(f"n = {n} neurons, but there is a spike of id {most - 1}. Use more.")
    order = np.lexsort((time, id))
    ends = np.searchsorted(id[order], np.arange(1, size))
    return np.split(time[order], ends) if size else []


def _train(times: Sequence[float] | np.ndarray) -> Float64[np.ndarray, "_"]:
    array = np.asarray(times)
    if array.ndim != 1 or array.dtype.kind not in "iuf" or not np.isfinite(array).all():
        raise ParameterError(
            f"spikes: {shown(times)} is no train. Give the spikes of a recording, or for each "
            "neuron an array of finite times in ms."
        )
    return np.sort(array.astype(np.float64))
