"""Where branches begin: near equilibria at both ends of the interval and at the model's own value.

They are searched for all over a box, or given; without either they are the state in which the model
begins and those that it passes through as time goes on, from which Newton's method may converge.
"""

from typing import Any

import numpy as np
from jaxtyping import Float64
from scipy.integrate import solve_ivp

from distdyn.analysis.continuation.family import Family
from distdyn.analysis.fixed_points import find_fixed_points
from distdyn.analysis.starts import Box, Region, given_starts

Vector = Float64[np.ndarray, "n"]
SAMPLES = 32  # states along the time
TIMES = 50.0  # time constants, the median of 1 / |lambda| where the model begins


def beginnings(
    family: Family,
    interval: tuple[float, float],
    box: Box | None = None,
    starts: Any = None,
    n_starts: int | None = None,
    seed: int = 0,
) -> list[tuple[float, Vector]]:
    """Values of the parameter, and states that are equilibria there or may lead to one.

    Args:
        family: with one parameter.
        interval: of the parameter.
        box: ranges by variable in which equilibria are searched for.
        starts: [m, n], or arrays by variable: these states.
        n_starts: how many starts in the box, at least.
        seed: of starts in more than three dimensions.

    Raises:
        AnalysisError: the box or the starts do not fit the model.
    """
    flat, (low, high) = family.flat, interval
    own = float(flat.p0[0])
    values = [low, own, high] if low < own < high else [low, high]
    if starts is not None:
        return [(value, x) for value in values for x in given_starts(flat, starts)]
    if box is None:
        return [(value, x) for value in values for x in _passed(family, value)]
    region = Region.of(flat, box)
    x = region.points(flat.x0, n_starts, seed)
    return [
        (value, point)
        for value in values
        for point in find_fixed_points(flat, x, region, np.array([value])).x
    ]


def _passed(family: Family, value: float) -> Float64[np.ndarray, "m n"]:
    """The state in which the model begins, and states that it passes through."""
    x0 = family.flat.x0
    A = family.A(np.append(x0, value))
    size = float(np.median(abs(np.linalg.eigvals(A)))) if np.isfinite(A).all() else 0.0
    if size == 0.0:
        return x0[None]
    with np.errstate(all="ignore"):  # what grows without bound is left out below
        found = solve_ivp(
            lambda t, x: family.field(np.append(x, value)), (0.0, TIMES / size), x0,
            method="LSODA", t_eval=np.linspace(0.0, TIMES / size, SAMPLES), rtol=1e-6,
            jac=lambda t, x: family.A(np.append(x, value)),
        )  # fmt: skip
    x = np.vstack([found.y.T[::-1], x0])  # the latest first
    return x[np.isfinite(x).all(axis=1)]
