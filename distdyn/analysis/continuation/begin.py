"""Where branches begin: the equilibria at both ends of the interval, and at the model's own value.

They are searched for all over a box, or from given states; without either from the state in which
the model begins and those that it passes through as time goes on.
"""

from typing import Any

import jax
import numpy as np
from jaxtyping import Float64

from distdyn.analysis.field import Flat
from distdyn.analysis.fixed_points import find_fixed_points
from distdyn.analysis.starts import Box, Region, given_starts
from distdyn.analysis.trajectory import trajectory
from distdyn.errors import AnalysisError

Vector = Float64[np.ndarray, "n"]
SAMPLES = 32  # states along the time
TIMES = 50.0  # time constants, the median of 1 / |lambda| where the model begins


def beginnings(
    flat: Flat,
    interval: tuple[float, float],
    box: Box | None = None,
    starts: Any = None,
    n_starts: int | None = None,
    seed: int = 0,
) -> list[tuple[float, Vector]]:
    """Values of the parameter, and equilibria there.

    Args:
        flat: a flow with one parameter.
        interval: of the parameter.
        box: ranges by variable in which equilibria are searched for.
        starts: [m, n], or arrays by variable: states from which they are.
        n_starts: how many starts in the box, at least.
        seed: of starts in more than three dimensions.

    Raises:
        AnalysisError: the box or the starts do not fit the model.
    """
    own, (low, high) = float(flat.p0[0]), interval
    values = [low, own, high] if low < own < high else [low, high]
    region = None if box is None else Region.of(flat, box)
    found = []
    for value in values:
        if starts is not None:
            x = given_starts(flat, starts)
        elif region is not None:
            x = region.points(flat.x0, n_starts, seed)
        else:
            x = _passed(flat, value)
        points = find_fixed_points(flat, x, region, np.array([value]))
        found += [(value, point) for point in points.x]
    return found


def _passed(flat: Flat, value: float) -> Float64[np.ndarray, "m n"]:
    """The state in which the model begins, and states that it passes through."""
    p = np.array([value])
    with jax.enable_x64(True):
        J = np.asarray(jax.jacfwd(flat.f)(flat.x0, p))
    size = float(np.median(abs(np.linalg.eigvals(J)))) if np.isfinite(J).all() else 0.0
    if size == 0.0:
        return flat.x0[None]
    try:
        return trajectory(flat, flat.x0, TIMES / size, p, points=SAMPLES).x
    except AnalysisError:  # it grows without bound
        return flat.x0[None]
