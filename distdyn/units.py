"""Units: the one table, what counts as a number, and time in steps.

Quantities are plain floats in the units below; nothing carries a unit at run time, and nothing is
converted inside. Per-area models (channels, Hodgkin-Huxley) use the last three rows.
"""

from numbers import Real
from reprlib import Repr
from typing import Any

import numpy as np

from distdyn.errors import DistDynError, ParameterError, TimeError

UNITS = {
    "": "dimensionless",
    "ms": "time",
    "mV": "voltage",
    "pA": "current",
    "nS": "conductance",
    "pF": "capacitance",
    "Hz": "rate of events",
    "um": "position",
    "um2": "area",
    "mM": "concentration",
    "degC": "temperature",
    "uA/cm2": "current per area",
    "mS/cm2": "conductance per area",
    "uF/cm2": "capacitance per area",
}

_GRID = 1e-6  # a time may miss the grid by this part of itself ...
_GRID_STEPS = 0.01  # ... and by this part of a step, lest any long time would pass

_short = Repr()
_short.maxother = 80


def shown(value: Any) -> str:
    """A value as an error message shows it: short, however large the value is."""
    if isinstance(value, str):
        text = value if len(value) <= 80 else f"{value[:77]}..."
        return f'"{printable(text)}"'.replace("\n", "\\n")
    if isinstance(value, np.ndarray) and value.ndim:
        return f"an array of shape {value.shape} and type {value.dtype}"
    return _short.repr(value)


def printable(text: str) -> str:
    """Text of others as a terminal can show it: what would command it is spelled out."""
    if text.replace("\n", "").isprintable():
        return text
    return "".join(
        c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text
    )


def real(
    value: Any, what: str, *, error: type[DistDynError] = ParameterError
) -> float | np.ndarray:
    """The value as a float, or as a new float64 array if it is an array, list or tuple.

    Raises:
        error: it is not made of real numbers (text, booleans, complex numbers, objects, ragged
            lists). NaN and infinity are numbers here.
    """
    if isinstance(value, Real) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            return float("inf")
    if isinstance(value, list | tuple | range) or getattr(value, "__array__", None) is not None:
        try:
            array = np.asarray(value)
        except ValueError:  # a ragged list
            array = np.empty(0, object)
        if array.dtype.kind in "iuf":
            return array.astype(np.float64) if array.ndim else float(array)
    raise error(f"{what} = {shown(value)} is not a real number, nor an array of them.")


def check_dt(dt: Any) -> float:
    """The time step in ms, a positive finite number.

    Raises:
        TimeError: it is something else.
    """
    value = real(dt, "dt", error=TimeError)
    if isinstance(value, np.ndarray) or not 0 < value < np.inf:
        raise TimeError(f"dt = {shown(dt)} ms is not a positive finite number. Use e.g. dt=0.1.")
    return value


def to_steps(
    value_ms: Any, dt: float, what: str, *, error: type[DistDynError] = TimeError
) -> int | np.ndarray:
    """How many steps of `dt` make up a time: an int, or int64 for an array of times.

    A time is on the grid if it misses a multiple of dt by no more than 1e-6 of itself (and by no
    more than 1 % of a step); 0 is on the grid.

    Args:
        value_ms: a time >= 0, or an array of them, in ms.
        dt: the time step, in ms.
        what: the name of the time, for the message: `duration`, `projection "exc": delay`.
        error: the type of error to raise.
    """
    times = real(value_ms, what, error=error)
    with np.errstate(invalid="ignore", over="ignore"):
        ratio = np.atleast_1d(times) / dt
        steps = np.rint(ratio)
        legal = (ratio >= 0) & (ratio < 2.0**62)
        legal &= np.abs(ratio - steps) <= np.minimum(_GRID * ratio, _GRID_STEPS)
    if not legal.all():
        index = tuple(np.argwhere(~legal)[0])
        where = what if isinstance(times, float) else f"{what}[{', '.join(map(str, index))}]"
        raise error(_off_grid(where, float(ratio[index]), dt, float(np.atleast_1d(times)[index])))
    return int(steps[0]) if isinstance(times, float) else steps.astype(np.int64)


def _off_grid(where: str, ratio: float, dt: float, time: float) -> str:
    if not 0 <= ratio < 2.0**62:
        return (
            f"{where} {time:.12g} ms is not a finite time >= 0. Use a multiple of dt = {dt:g} ms."
        )
    below = np.floor(ratio)
    nearest = f"{below * dt:.12g} or {(below + 1) * dt:.12g}"
    return f"{where} {time:.12g} ms is not a multiple of dt = {dt:g} ms. Use {nearest}."
