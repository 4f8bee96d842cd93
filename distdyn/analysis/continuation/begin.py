"""Where branches begin: near equilibria at both ends of the interval and at the model's own value.

They are searched for all over a box, or given; without either they are the state in which the model
begins and those that it passes through as time goes on, from which Newton's method may converge.
"""

from typing import Any

import numpy as np
from jaxtyping import Float64

from distdyn.analysis.continuation.family import Family
from distdyn.analysis.fixed_points import find_fixed_points
from distdyn.analysis.starts import Box, Region, given_starts

Vector = Float64[np.ndarray, "n"]
SAMPLES = 50  # states along the time
TIMES = 1.0  # from one to the next, in time constants, 1 / |lambda|, the median, at the beginning


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
    """The state in which the model begins, and states that it passes through, the latest first.

    x_(k + 1) = x_k + (1 / h - A)^-1 f(x_k), which is Newton's method if h is large and the flow if
    h is small (pseudo-transient continuation; Kelley & Keyes (1998), SIAM J. Numer. Anal. 35, 508).
    """
    x, passed = family.flat.x0, [family.flat.x0]
    A = family.A(np.append(x, value))
    size = float(np.median(abs(np.linalg.eigvals(A)))) if np.isfinite(A).all() else 0.0
    h = TIMES / (size or 1.0)
    for _ in range(SAMPLES):
        u = np.append(x, value)
        f, A = family.field(u), family.A(u)
        if not (np.isfinite(f).all() and np.isfinite(A).all()):
            break
        try:
            x = x + np.linalg.solve(np.eye(family.n) / h - A, f)
        except np.linalg.LinAlgError:
            break
        passed.append(x)
    return np.array(passed[::-1])
