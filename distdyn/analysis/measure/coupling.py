"""Functional connectivity: which signals go together, and how that changes in time."""

from typing import Any

import numpy as np
from jaxtyping import Float64

from distdyn.analysis.measure.trains import values_over_time
from distdyn.errors import ParameterError


def functional_connectivity(values: Any) -> Float64[np.ndarray, "k k"]:
    """Pearson's correlation over time of each two signals.

    Args:
        values: a trace, or its values: a row per time, a column per neuron or area.

    Returns:
        The matrix; NaN in rows and columns of signals that do not change.
    """
    return _correlation(values_over_time(values, "functional_connectivity"))


def connectivity_dynamics(
    values: Any, length: int, step: int
) -> tuple[Float64[np.ndarray, "w w"], Float64[np.ndarray, "w k k"]]:
    """Functional connectivity dynamics: how alike the connectivities of two moments are.

        FC(w): the functional connectivity of the w-th window
        FCD(w, v) = the correlation of what is above the diagonals of FC(w) and FC(v)

    Args:
        values: a trace, or its values: a row per time, a column per neuron or area.
        length: of a window, in rows.
        step: from the beginning of one window to that of the next, in rows.

    Returns:
        The matrix FCD, and FC of each window.

    Raises:
        ParameterError: fewer than three signals, or windows that do not fit.

    Source: Hansen et al. (2015), NeuroImage 105, 525.
    """
    array = values_over_time(values, "connectivity_dynamics")
    n, k = array.shape
    if k < 3 or not 2 <= length <= n or step < 1:
        raise ParameterError(
            f"connectivity_dynamics: {k} signals, {n} rows, windows of {length} every {step}: at "
            "least 3 signals, 2 <= length <= rows and step >= 1 are needed."
        )
    starts = range(0, n - length + 1, step)
    each = np.array([_correlation(array[start : start + length]) for start in starts])
    upper = np.triu_indices(k, 1)
    return _correlation(each[:, upper[0], upper[1]].T), each


def matrix_correlation(first: Any, second: Any) -> float:
    """Pearson's correlation of what lies above the diagonals of two matrices.

    As of a functional connectivity that was simulated and one that was measured.

    Args:
        first: a square matrix.
        second: another of the same shape.
    """
    a, b = (np.asarray(x, np.float64) for x in (first, second))
    if a.ndim != 2 or a.shape != b.shape or a.shape[0] != a.shape[1] or len(a) < 3:
        raise ParameterError(
            f"matrix_correlation: shapes {a.shape} and {b.shape}. Give two square matrices of one "
            "size, 3 or more."
        )
    upper = np.triu_indices(len(a), 1)
    return float(_correlation(np.stack([a[upper], b[upper]], axis=1))[0, 1])


def _correlation(values: Float64[np.ndarray, "t k"]) -> Float64[np.ndarray, "k k"]:
    centred = values - values.mean(0)
    scale = np.sqrt((centred**2).sum(0))
    # What is left of a constant after its mean is taken away is rounding.
    still = scale <= 1e-12 * np.sqrt((values**2).sum(0))
    centred = centred / np.where(still, np.nan, scale)
    return np.clip(centred.T @ centred, -1.0, 1.0)
