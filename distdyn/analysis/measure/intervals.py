"""How regular spikes are: intervals between spikes, and how they vary.

A value per train; NaN where a train has too few spikes.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float64

from distdyn.analysis.measure.trains import Window, trains


def intervals(
    spikes: Any, *, n: int | None = None, window: Window | None = None
) -> list[Float64[np.ndarray, "_"]]:
    """The times from each spike to the next, in ms, of each train.

    Args:
        spikes: as in `trains`.
        n: how many neurons there are.
        window: first and last time, in ms; by default all.
    """
    return [np.diff(train) for train in trains(spikes, n, window)]


def cv(
    spikes: Any, *, n: int | None = None, window: Window | None = None
) -> Float64[np.ndarray, "n"]:
    """The coefficient of variation of the intervals; 1 for Poisson, 0 for regular trains.

        CV = sd(I) / mean(I)   (the deviation with 1 / n)

    It is biased downward where a window holds few intervals, and upward where the rate changes.

    Args:
        spikes: as in `trains`.
        n: how many neurons there are.
        window: first and last time, in ms; by default all.
    """
    return _of_each(spikes, n, window, 2, lambda I: I.std() / I.mean())


def cv2(
    spikes: Any, *, n: int | None = None, window: Window | None = None
) -> Float64[np.ndarray, "n"]:
    """The variation of intervals from one to the next; 1 for Poisson, also if its rate changes.

        CV2 = mean( 2 |I_(k+1) - I_k| / (I_(k+1) + I_k) )

    Args:
        spikes: as in `trains`.
        n: how many neurons there are.
        window: first and last time, in ms; by default all.

    Source: Holt et al. (1996), J. Neurophysiol. 75, 1806.
    """
    return _of_each(spikes, n, window, 2, lambda I: np.mean(2 * np.abs(np.diff(I)) / _sums(I)))


def lv(
    spikes: Any, *, n: int | None = None, window: Window | None = None
) -> Float64[np.ndarray, "n"]:
    """The local variation; 1 for Poisson, 0 for regular trains, more for bursts.

        LV = 3 mean( ((I_k - I_(k+1)) / (I_k + I_(k+1)))^2 )

    Args:
        spikes: as in `trains`.
        n: how many neurons there are.
        window: first and last time, in ms; by default all.

    Source: Shinomoto, Shima & Tanji (2003), Neural Comput. 15, 2823.
    """
    return _of_each(spikes, n, window, 2, lambda I: 3 * np.mean((np.diff(I) / _sums(I)) ** 2))


def lvr(
    spikes: Any, R: float = 5.0, *, n: int | None = None, window: Window | None = None
) -> Float64[np.ndarray, "n"]:
    """The local variation, corrected for refractoriness.

        LvR = 3 mean( (1 - 4 I_k I_(k+1) / (I_k + I_(k+1))^2) (1 + 4 R / (I_k + I_(k+1))) )

    Args:
        spikes: as in `trains`.
        R: the refractory time, in ms.
        n: how many neurons there are.
        window: first and last time, in ms; by default all.

    Source: Shinomoto et al. (2009), PLoS Comput. Biol. 5, e1000433.
    """

    def of(I: Float64[np.ndarray, "_"]) -> Any:
        pairs = _sums(I)
        return 3 * np.mean((1 - 4 * I[:-1] * I[1:] / pairs**2) * (1 + 4 * R / pairs))

    return _of_each(spikes, n, window, 2, of)


def _sums(I: Float64[np.ndarray, "_"]) -> Float64[np.ndarray, "_"]:
    return I[:-1] + I[1:]


def _of_each(
    spikes: Any, n: int | None, window: Window | None, least: int, measure: Callable
) -> Float64[np.ndarray, "n"]:
    found = intervals(spikes, n=n, window=window)
    return np.array([measure(I) if len(I) >= least else np.nan for I in found], np.float64)
