"""How often neurons spike: over all of a time, from moment to moment, and how reliably."""

from typing import Any

import numpy as np
from jaxtyping import Float64

from distdyn.analysis.measure.trains import Window, bounds, counts, n_bins_of
from distdyn.errors import ParameterError

CUTOFF = 5.0  # standard deviations, at which a Gaussian ends


def rates(spikes: Any, window: Window, *, n: int | None = None) -> Float64[np.ndarray, "n"]:
    """The mean rate of each neuron, in Hz: its spikes over the time.

    Args:
        spikes: as in `trains`.
        window: first and last time, in ms.
        n: how many neurons there are.
    """
    start, stop = bounds(window)
    return counts(spikes, window, n=n)[:, 0] / (stop - start) * 1e3


def instantaneous_rate(
    spikes: Any, window: Window, width: float, sigma: float, *, n: int | None = None
) -> Float64[np.ndarray, "n t"]:
    """The rate of each neuron over time, in Hz: its spikes, each a Gaussian.

        r(t) = sum_k exp(-(t - t_k)^2 / (2 sigma^2)) / (sigma sqrt(2 pi))

    Spikes are counted in bins, and times are those of bins. Nothing is known beyond the window: at
    its ends the rate falls off, by half at the last moment.

    Args:
        spikes: as in `trains`.
        window: first and last time, in ms.
        width: of the bins, in ms.
        sigma: standard deviation of the kernel, in ms.
        n: how many neurons there are.

    Returns:
        A row per neuron, a column per bin.

    Source: Nawrot, Aertsen & Rotter (1999), J. Neurosci. Methods 94, 81; as elephant's
    `instantaneous_rate`.
    """
    if not sigma > 0:
        raise ParameterError(f"instantaneous_rate: sigma = {sigma:g} ms must be > 0.")
    table = counts(spikes, window, width, n=n)
    reach = int(np.ceil(CUTOFF * sigma / width))
    times = np.linspace(-CUTOFF * sigma, CUTOFF * sigma, 2 * reach + 1)
    kernel = np.exp(-0.5 * (times / sigma) ** 2) / (sigma * np.sqrt(2 * np.pi)) * 1e3
    smooth = [np.convolve(row, kernel)[reach : reach + table.shape[1]] for row in table]
    return np.array(smooth).reshape(table.shape)


def population_rate(
    spikes: Any, window: Window, width: float, *, n: int | None = None
) -> tuple[Float64[np.ndarray, "t"], Float64[np.ndarray, "t"]]:
    """The mean rate of all neurons in each bin, and the middles of the bins.

    Args:
        spikes: as in `trains`.
        window: first and last time, in ms.
        width: of the bins, in ms.
        n: how many neurons there are.

    Returns:
        Times in ms, rates in Hz per neuron.
    """
    start, _ = bounds(window)
    table = counts(spikes, window, width, n=n)
    if not len(table):
        raise ParameterError("population_rate: there are no neurons. Say how many: n=...")
    time = start + (np.arange(n_bins_of(window, width)) + 0.5) * width
    return time, table.mean(0) / width * 1e3


def fano_factor(
    spikes: Any, window: Window, width: float | None = None, *, n: int | None = None
) -> Any:
    """How much counts vary: variance over mean; 1 for Poisson, 0 for equal counts.

        F = var N / mean N   (the variance with 1 / n)

    Args:
        spikes: as in `trains`: neurons, or one neuron in repeated trials.
        window: first and last time, in ms.
        width: None: the counts in the window, of all trains: one number, as in elephant. A width:
            the counts of each train in bins of so many ms: a number per train.
        n: how many neurons there are.

    Returns:
        A float, or an array of one per train; NaN where there are no spikes.

    Source: Fano (1947), Phys. Rev. 72, 26.
    """
    table = counts(spikes, window, width, n=n).astype(np.float64)
    table = table.T if width is None else table
    mean = table.mean(1) if table.size else np.full(len(table), np.nan)
    variance = table.var(1) if table.size else mean
    found = np.divide(variance, mean, out=np.full_like(mean, np.nan), where=mean > 0)
    return float(found[0]) if width is None else found
