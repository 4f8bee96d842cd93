"""What a user may give to a runner, checked: a possible value, or an error that says why not."""

from typing import Any

from distdyn.errors import ParameterError, PrecisionError, TimeError
from distdyn.units import shown, to_steps


def seed(given: Any) -> int:
    """The seed of all draws."""
    if isinstance(given, bool) or not hasattr(given, "__index__") or not 0 <= int(given) < 2**64:
        raise ParameterError(
            f"seed = {shown(given)} is not possible. Use an integer 0 <= seed < 2^64."
        )
    return int(given)


def precision(given: Any) -> str:
    """The type of floating states and parameters."""
    if given not in ("float32", "float64"):
        raise PrecisionError(f'precision = {shown(given)} is unknown. Use "float32" or "float64".')
    return given


def steps_in(time: Any, dt: float, what: str) -> int:
    """How many steps one time takes, in ms."""
    steps = to_steps(time, dt, what)
    if not isinstance(steps, int):
        raise TimeError(f"{what} must be one time.")
    return steps


def interval(every: Any, call: Any, dt: float) -> int | None:
    """Steps between two calls; None without any."""
    if (every is None) != (call is None):
        raise ParameterError("run: every and call belong together. Give both, or neither.")
    if every is None:
        return None
    steps = to_steps(every, dt, "run: every")
    if not isinstance(steps, int) or steps < 1:
        raise TimeError(f"run: every = {shown(every)} must be one time > 0.")
    return steps
