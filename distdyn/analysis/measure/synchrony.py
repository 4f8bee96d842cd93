"""How much neurons do together: counts and spikes that correlate, voltages that go up and down.

Of a few neurons, or of all pairs; for large populations the voltages say it at less cost.
"""

from typing import Any

import numpy as np
from jaxtyping import Float64

from distdyn.analysis.measure.trains import (
    Window,
    bounds,
    counts,
    n_bins_of,
    trains,
    values_over_time,
)
from distdyn.errors import ParameterError


def count_correlation(
    spikes: Any, window: Window, width: float, *, n: int | None = None
) -> Float64[np.ndarray, "n n"]:
    """Pearson's correlation of the counts of each two neurons, in bins of a width.

        r_ij = cov(N_i, N_j) / sqrt(var N_i var N_j)

    Args:
        spikes: as in `trains`.
        window: first and last time, in ms.
        width: of the bins, in ms.
        n: how many neurons there are.

    Returns:
        The matrix; NaN in rows and columns of neurons whose counts are all equal.
    """
    table = counts(spikes, window, width, n=n).astype(np.float64)
    table -= table.mean(1, keepdims=True)
    scale = np.sqrt((table**2).sum(1))
    scale[scale == 0] = np.nan
    table /= scale[:, None]
    return np.clip(table @ table.T, -1.0, 1.0)


def cross_correlation(
    spikes: Any, other: Any, window: Window, width: float, *, most: float, normed: bool = False
) -> tuple[Float64[np.ndarray, "lag"], Float64[np.ndarray, "lag"]]:
    """The cross-correlation histogram: how often `other` spikes so much later than `spikes`.

        C(lag) = sum_k N(k) M(k + lag)

    N and M are the counts in bin k; several trains are counted as one.

    Args:
        spikes: as in `trains`.
        other: the same.
        window: first and last time, in ms.
        width: of the bins, in ms.
        most: the largest lag, in ms.
        normed: the correlation coefficient, between -1 and 1, in place of the number of pairs:
            (C(lag) / bins - mean N mean M) / (sd N sd M), with what the ends lack left out.

    Returns:
        Lags in ms, and a value for each.

    Source: Perkel, Gerstein & Moore (1967), Biophys. J. 7, 419; Eggermont (2010), in Gruen &
    Rotter, Analysis of parallel spike trains, eq. 5.10; as elephant's
    `cross_correlation_histogram`.
    """
    n_bins, reach = n_bins_of(window, width), round(most / width)
    if not 0 <= reach < n_bins:
        raise ParameterError(
            f"cross_correlation: most = {most:g} ms must be less than the window, and >= 0."
        )
    N, M = (counts(x, window, width).sum(0).astype(np.float64) for x in (spikes, other))
    found = np.correlate(M, N, "full")[n_bins - 1 - reach : n_bins + reach]
    if normed:
        spread = N.std() * M.std()
        found = (found / n_bins - N.mean() * M.mean()) / (spread if spread else np.nan)
    return np.arange(-reach, reach + 1) * width, found


def tiling_coefficient(
    spikes: Any, window: Window, dt: float = 5.0, *, n: int | None = None
) -> Float64[np.ndarray, "n n"]:
    """The spike time tiling coefficient of each two neurons: correlation that rates do not bias.

        STTC = ((P_A - T_B) / (1 - P_A T_B) + (P_B - T_A) / (1 - P_B T_A)) / 2

    P_A is the part of A's spikes that lie within dt of one of B's, T_A the part of the time that
    lies within dt of one of A's.

    Args:
        spikes: as in `trains`.
        window: first and last time, in ms.
        dt: in ms.
        n: how many neurons there are.

    Returns:
        The matrix; NaN for neurons without spikes.

    Source: Cutts & Eglen (2014), J. Neurosci. 34, 14288.
    """
    found = trains(spikes, n, window)
    tiled = [_tiled(train, bounds(window), dt) for train in found]
    matrix = np.full((len(found), len(found)), np.nan)
    for i, a in enumerate(found):
        for j, b in enumerate(found[: i + 1]):
            if len(a) and len(b):
                sides = (_near(a, b, dt), tiled[j]), (_near(b, a, dt), tiled[i])
                parts = [(p - t) / (1 - p * t) if p * t != 1 else 1.0 for p, t in sides]
                matrix[i, j] = matrix[j, i] = sum(parts) / 2
    return matrix


def _tiled(train: Float64[np.ndarray, "_"], window: Window, dt: float) -> float:
    """The part of the window within dt of a spike."""
    start, stop = window
    covered = np.minimum(np.diff(train), 2 * dt).sum()
    if len(train):
        covered += min(dt, train[0] - start) + min(dt, stop - train[-1])
    return float(covered / (stop - start))


def _near(train: Float64[np.ndarray, "_"], other: Float64[np.ndarray, "_"], dt: float) -> float:
    """The part of a train's spikes within dt of one of another's."""
    after = np.searchsorted(other, train)
    distance = np.minimum(
        np.abs(train - other[np.minimum(after, len(other) - 1)]),
        np.abs(train - other[np.maximum(after - 1, 0)]),
    )
    return float(np.mean(distance <= dt * (1 + 1e-9)))


def spike_contrast(
    spikes: Any,
    window: Window,
    *,
    n: int | None = None,
    least: float = 10.0,
    shrink: float = 0.9,
) -> float:
    """Spike-contrast: the synchrony of all trains, from 0 to 1, on the scale where it is largest.

    At each bin width the contrast between neighbouring bins, times the part of the trains that are
    active together; the largest product, over bins from half the window down.

    Args:
        spikes: as in `trains`.
        window: first and last time, in ms.
        n: how many neurons there are.
        least: the smallest bin, in ms; or half the shortest interval, if that is more.
        shrink: from one bin to the next.

    Raises:
        ParameterError: fewer than two trains, or none with two spikes.

    Source: Ciba et al. (2018), J. Neurosci. Methods 293, 136; as elephant's `spike_contrast`.
    """
    found, (start, stop) = trains(spikes, n, window), bounds(window)
    shortest = min((np.diff(x).min() for x in found if len(x) > 1), default=np.nan)
    if len(found) < 2 or np.isnan(shortest) or not 0 < shrink < 1:
        raise ParameterError(
            f"spike_contrast: {len(found)} trains, shrink = {shrink:g}: at least two trains, one "
            "of them with two spikes, and 0 < shrink < 1 are needed."
        )
    total, best = sum(map(len, found)), 0.0
    width = (stop - start) / 2
    while width >= max(shortest / 2, least):
        edges = np.arange(start - shortest, stop + shortest + width / 2, width / 2)
        halves = np.array([np.histogram(train, edges)[0] for train in found])
        overlapping = halves[:, :-1] + halves[:, 1:]
        together, active = overlapping.sum(0), np.count_nonzero(overlapping, axis=0)
        contrast = np.abs(np.diff(together)).sum() / (2 * total)
        share = ((active * together).sum() / together.sum() - 1) / (len(found) - 1)
        best = max(best, contrast * share)
        width *= shrink
    return float(best)


def voltage_fluctuation(V: Any) -> float:
    """The variance of the mean voltage over the mean of the variances.

        chi^2 = var_t( mean_i V_i ) / mean_i( var_t V_i )

    1 if all do the same, about 1 / n if each is on its own; NaN if nothing moves.

    Args:
        V: a trace of a recording, or its values: a row per time, a column per neuron.

    Source: Golomb & Rinzel (1993), Phys. Rev. E 48, 4810.
    """
    values = values_over_time(V, "voltage_fluctuation")
    each = values.var(0).mean()
    return float(values.mean(1).var() / each) if each > 0 else np.nan


def chi(V: Any) -> float:
    """Golomb's measure of synchrony: the root of `voltage_fluctuation`, from 0 to 1.

    In an asynchronous state it falls with the number of neurons as 1 / sqrt(n).

    Args:
        V: a trace of a recording, or its values: a row per time, a column per neuron.

    Source: Golomb (2007), Scholarpedia 2(1), 1347; Hansel & Mato (2003), Neural Comput. 15, 1.
    """
    return float(np.sqrt(voltage_fluctuation(V)))
