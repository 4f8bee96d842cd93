"""Where branches begin: near equilibria at both ends of the interval and at the model's own value.

They are given, or the state in which the model begins and those that it passes through as time goes
on, from which Newton's method may converge. In a box they are searched for, also at values between.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float64

from distdyn.analysis.continuation.family import Family
from distdyn.analysis.points.fixed_points import find_fixed_points
from distdyn.analysis.points.starts import Box, Region, given_starts
from distdyn.analysis.sharing import ALONE, Ranks
from distdyn.errors import AnalysisError

Vector = Float64[np.ndarray, "n"]
VALUES = 5  # of the parameter at which a box is searched, so that wide closed branches are met
SAMPLES = 50  # states along the time
SINGULAR = 1e-9  # smallest singular value of J, rows of about length 1: no direction is known
SMALLEST_SCALE = 0.1  # of a variable that is zero where branches begin
TIMES = 1.0  # from one to the next, in time constants, 1 / |lambda|, the median, at the beginning


def beginnings(
    family: Family,
    interval: tuple[float, float],
    box: Box | None = None,
    starts: Any = None,
    n_starts: int | None = None,
    seed: int = 0,
    ranks: Ranks = ALONE,
) -> list[tuple[float, Vector]]:
    """Values of the parameter, and states that are equilibria there or may lead to one.

    Args:
        family: with one parameter.
        interval: of the parameter.
        box: ranges by variable in which equilibria are searched for.
        starts: [m, n], or arrays by variable: these states.
        n_starts: how many starts in the box, at least.
        seed: of starts in more than three dimensions.
        ranks: that share the search in the box. Collective.

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
        for value in values_between(own, interval)
        for point in find_fixed_points(flat, x, region, np.array([value]), ranks=ranks).x
    ]


def values_between(own: float, interval: tuple[float, float]) -> list[float]:
    """Where a box is searched: both ends of an interval, the model's own value, and between."""
    low, high = interval
    inside = [own] if low < own < high else []
    return np.union1d(np.linspace(low, high, VALUES), inside).tolist()


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


def of_interval(given: Any) -> tuple[str, Any]:
    """The name of a parameter, and its interval.

    Raises:
        AnalysisError: it is no such pair.
    """
    if not isinstance(given, tuple | list) or len(given) != 2 or not isinstance(given[0], str):
        raise AnalysisError(
            f'{given!r} is no parameter with its interval. Give a pair, such as ("I_e", (0, 1)).'
        )
    return given[0], given[1]


def checked_interval(name: str, interval: Sequence[float]) -> tuple[float, float]:
    """The two ends of an interval of a parameter.

    Raises:
        AnalysisError: they are not two finite numbers, the first the smaller.
    """
    try:
        ends = np.asarray(interval, np.float64)
    except (TypeError, ValueError):
        ends = np.full(2, np.nan)
    if ends.shape != (2,) or not np.isfinite(ends).all():
        raise AnalysisError(
            f"{name}: {interval} is not an interval. Give two numbers, (low, high)."
        )
    low, high = ends.tolist()
    if not low < high:
        what = "its ends are equal" if low == high else "it is reversed"
        cure = f"({high:g}, {low:g})" if low > high else f"({low:g}, {low + 1:g})"
        raise AnalysisError(
            f"{name}: the interval ({low:g}, {high:g}) is empty: {what}. Give the smaller end "
            f"first, such as {cure}; branches are followed in both directions."
        )
    return low, high


def inside(name: str, interval: Sequence[float], own: float, *, other: str) -> float:
    """The model's own value of a second parameter, where curves in a plane begin.

    Raises:
        AnalysisError: it is not in its interval, or the other parameter is the same.
    """
    low, high = checked_interval(name, interval)
    if name == other:
        raise AnalysisError(f"continuation2: give two different parameters, not {name} twice.")
    if not low <= own <= high:
        raise AnalysisError(
            f"continuation2: {name} is {own:g} in the model, outside of ({low:g}, {high:g}). "
            "Curves begin there: give the model a value inside, or a wider range."
        )
    return own


def solved(
    family: Family,
    interval: tuple[float, float],
    most: Vector,
    starts: Iterable[tuple[float, Vector]],
) -> list[Vector]:
    """The equilibria to which Newton's method leads from the starts, each once."""
    found: list[Vector] = []
    given = list(starts)
    name = family.flat.parameters[0]
    for value, x in given:
        if not interval[0] <= value <= interval[1]:
            raise AnalysisError(
                f"{name}: the start at {value:g} is outside of the interval ({interval[0]:g}, "
                f"{interval[1]:g}). Give a start inside of it."
            )
        with np.errstate(over="ignore", invalid="ignore"):  # far away; such a start leads nowhere
            u = _equilibrium(family, value, np.asarray(x, np.float64))
        if u is None or (u[: family.n] >= most).any():
            continue
        if not any(np.allclose(u, v, rtol=1e-7, atol=1e-9) for v in found):
            found.append(u)
    if not found:
        where = sorted({value for value, _ in given})
        at = ", ".join(f"{value:g}" for value in where[:5])
        tried = f"none of {len(given)} starts at {name} = {at} leads to one" if given else ""
        raise AnalysisError(
            f"continuation of {family.flat.about.name} over {name}: no equilibrium to begin with: "
            f"{tried or 'there is none in the box'}. Give states close to equilibria, starts=, or "
            "a box in which they lie; at the ends of the interval there may be none: change it."
        )
    return found


def _equilibrium(family: Family, value: float, x: Vector) -> Vector | None:
    """Newton's method for f(x) = 0 at a value of the parameter, with shorter steps far away.

    A step is taken if the next one, by the same matrix, is shorter than it (Deuflhard's natural
    monotonicity test), else half of it is tried.
    """
    part = 1.0
    for _ in range(60):
        scale = np.maximum(abs(x), SMALLEST_SCALE)
        u = np.append(x, value)
        f, A = family.field(u), family.A(u)
        if not (np.isfinite(f).all() and np.isfinite(A).all()):
            return None
        left, sizes, right = np.linalg.svd(A)
        if sizes[-1] <= 1e-14 * sizes[0]:  # singular: an equilibrium if it is one already
            return u if np.max(abs(f)) <= 1e-14 * max(1.0, sizes[0]) else None
        inverse = (right.T / sizes) @ left.T
        change = inverse @ f
        size = np.linalg.norm(change / scale)
        if size <= 1e-10:
            return np.append(x - change, value)
        while True:
            next_change = inverse @ family.field(np.append(x - part * change, value))
            if np.linalg.norm(next_change / scale) <= (1.0 - 0.5 * part) * size:
                break
            part *= 0.5
            if part < 1e-4:
                return None
        x, part = x - part * change, min(1.0, 2.0 * part)
    return None


def regular(family: Family, begins: Sequence[Vector], weight: Vector) -> list[Vector]:
    """The equilibria at which J has full rank: from others no direction leads on."""
    scale = 1.0 / np.sqrt(weight)
    regular = []
    for u in begins:
        J, beside = family.jacobian(u) * scale, family.jacobian(u + 0.1 * scale) * scale
        rows = np.maximum(*(np.linalg.norm(a, axis=1, keepdims=True) for a in (J, beside)))
        rows = np.where(np.isfinite(rows), np.maximum(rows, 1e-300), 1.0)
        if np.linalg.svd(J / rows, compute_uv=False)[-1] > SINGULAR:
            regular.append(u)
    if not regular:
        u, name = begins[0], family.flat.parameters[0]
        x = ", ".join(f"{n} = {v:.6g}" for n, v in zip(family.flat.names[:6], u, strict=False))
        raise AnalysisError(
            f"continuation of {family.flat.about.name}: the equilibrium {x} at {name} = {u[-1]:g} "
            "is singular: no direction leads on. Either branches cross there: begin beside it; or "
            "something is conserved, and equilibria are not isolated: leave a variable out."
        )
    return regular
