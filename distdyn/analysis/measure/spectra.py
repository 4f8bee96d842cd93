"""Spectra by Welch's method: which frequencies a signal has, and which two signals share."""

from typing import Any

import numpy as np
from jaxtyping import Float64

from distdyn.analysis.measure.trains import values_over_time
from distdyn.errors import ParameterError

OVERLAP = 0.5  # of segments


def power(
    values: Any, dt: float, resolution: float = 1.0
) -> tuple[Float64[np.ndarray, "f"], Float64[np.ndarray, "f k"]]:
    """The power spectral density of each signal: unit^2 per Hz.

    The mean over segments that overlap by half, each without its mean and under a Hann window. Of
    one segment the standard deviation is the value itself; m segments that overlap make it
    sqrt(1.06 / m) of it or so.

    Args:
        values: a trace, or its values: a row per time, a column per signal.
        dt: time between two rows, in ms.
        resolution: distance of frequencies, in Hz; a segment lasts as long as its inverse.

    Returns:
        Frequencies in Hz, and a column per signal.

    Raises:
        ParameterError: the signals are shorter than a segment.

    Source: Welch (1967), IEEE Trans. Audio Electroacoust. 15, 70; as elephant's `welch_psd`.
    """
    from scipy.signal import welch  # here: it takes longer than `import distdyn`

    array = values_over_time(values, "power")
    given = _segments(array, dt, resolution, "power")
    return welch(array, axis=0, **given)


def coherence(
    first: Any, second: Any, dt: float, resolution: float = 1.0
) -> tuple[Float64[np.ndarray, "f"], Float64[np.ndarray, "f k"]]:
    """The magnitude squared coherence of signals: from 0 to 1 at each frequency.

        C = |P_xy|^2 / (P_xx P_yy)

    Of m independent segments without any coherence it is 1 / m on average, not 0.

    Args:
        first: a trace, or its values: a row per time, a column per signal.
        second: the same.
        dt: time between two rows, in ms.
        resolution: distance of frequencies, in Hz.

    Returns:
        Frequencies in Hz, and a column per pair of columns.

    Raises:
        ParameterError: the signals are shorter than a segment, or their shapes differ.

    Source: Carter, Knapp & Nuttall (1973), IEEE Trans. Audio Electroacoust. 21, 337.
    """
    from scipy.signal import coherence as of_segments  # here: as above

    a, b = (values_over_time(x, "coherence") for x in (first, second))
    if a.shape != b.shape:
        raise ParameterError(f"coherence: shapes {a.shape} and {b.shape} differ. Use equal ones.")
    return of_segments(a, b, axis=0, **_segments(a, dt, resolution, "coherence"))


def _segments(
    array: Float64[np.ndarray, "t k"], dt: float, resolution: float, what: str
) -> dict[str, Any]:
    if not dt > 0 or not resolution > 0:
        raise ParameterError(f"{what}: dt = {dt:g} ms and resolution = {resolution:g} Hz: use > 0.")
    rate = 1e3 / dt
    length = round(rate / resolution)
    if not 2 <= length <= len(array):
        raise ParameterError(
            f"{what}: a resolution of {resolution:g} Hz needs {1e3 / resolution:g} ms, {length} "
            f"rows; found {len(array)}. Use a coarser one, at most {rate / 2:g} Hz."
        )
    return {"fs": rate, "nperseg": length, "noverlap": int(OVERLAP * length)}
