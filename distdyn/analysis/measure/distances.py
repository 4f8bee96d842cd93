"""How different two spike trains are: metrics on trains, with a time scale to choose."""

from itertools import combinations
from typing import Any

import numpy as np
from jaxtyping import Float64

from distdyn.analysis.measure.trains import Window, trains
from distdyn.errors import ParameterError


def van_rossum(
    spikes: Any, tau: float, *, n: int | None = None, window: Window | None = None
) -> Float64[np.ndarray, "n n"]:
    """Van Rossum's distance of each two trains: of the trains, each spike an exponential.

        D^2 = (2 / tau) integral (f - g)^2 dt,   f(t) = sum_k exp(-(t - t_k) / tau), t >= t_k

    One spike and none are at distance 1, as in elephant; the paper has 1 / sqrt(2) times that. As
    tau goes to 0, D^2 counts the spikes that do not coincide; for long tau D is the difference of
    the counts.

    Args:
        spikes: as in `trains`.
        tau: in ms, > 0.
        n: how many neurons there are.
        window: first and last time, in ms; by default all.

    Returns:
        The matrix of distances.

    Source: van Rossum (2001), Neural Comput. 13, 751.
    """
    if not tau > 0:
        raise ParameterError(f"van_rossum: tau = {tau:g} ms must be > 0.")
    found = trains(spikes, n, window)
    # <f, g> = sum over pairs exp(-|t - s| / tau); the factor 2 / tau is in it
    product = np.zeros((len(found), len(found)))
    for i, a in enumerate(found):
        for j, b in enumerate(found[: i + 1]):
            product[i, j] = product[j, i] = np.exp(-np.abs(a[:, None] - b) / tau).sum()
    own = np.diag(product)
    return np.sqrt(np.maximum(own[:, None] + own - 2 * product, 0.0))


def victor_purpura(
    spikes: Any, cost: float, *, n: int | None = None, window: Window | None = None
) -> Float64[np.ndarray, "n n"]:
    """Victor and Purpura's distance of each two trains: the cheapest way from one to the other.

    To add or to take away a spike costs 1, to move it by dt costs cost |dt|. Spikes further apart
    than 2 / cost are not moved. It takes time in proportion to the product of the counts.

    Args:
        spikes: as in `trains`.
        cost: per ms, >= 0; 0 compares counts alone.
        n: how many neurons there are.
        window: first and last time, in ms; by default all.

    Returns:
        The matrix of distances.

    Source: Victor & Purpura (1996), J. Neurophysiol. 76, 1310.
    """
    if not cost >= 0:
        raise ParameterError(f"victor_purpura: cost = {cost:g} per ms must be >= 0.")
    found = trains(spikes, n, window)
    matrix = np.zeros((len(found), len(found)))
    for i, j in combinations(range(len(found)), 2):
        matrix[i, j] = matrix[j, i] = _cheapest(found[i], found[j], cost)
    return matrix


def _cheapest(a: Float64[np.ndarray, "_"], b: Float64[np.ndarray, "_"], cost: float) -> float:
    """The least cost from a to b: row by row of the table of costs between their beginnings.

    G[i, j] = min(G[i-1, j] + 1, G[i, j-1] + 1, G[i-1, j-1] + cost |a_i - b_j|)
    """
    place = np.arange(len(b) + 1.0)
    row = place
    for spike in a:
        best = row + 1  # take the spike away ...
        best[1:] = np.minimum(best[1:], row[:-1] + cost * np.abs(spike - b))  # ... or move it
        # ... and add others: G[j] = min over k <= j of best[k] + (j - k)
        row = np.minimum.accumulate(best - place) + place
    return float(row[-1])
