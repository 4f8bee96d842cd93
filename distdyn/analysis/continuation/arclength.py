"""Curves of solutions of G(u) = 0, u in R^(m+1), G in R^m: pseudo-arclength continuation.

    predict   u = u_k + s t_k                        t_k the unit tangent, G'(u_k) t_k = 0
    correct   G(u) = 0,  <t_k, u - u_k> = s          Newton
    t_(k+1)   G'(u) t = 0,  <t_k, t> = 1             then scaled to length 1: it never turns back

G' without a tangent is singular at folds; with it it is not. Equilibria, curves of bifurcations and
limit cycles are all followed by `trace`, which knows nothing of them: the caller gives G and a way
to solve with G' and one more row (`Equations`; `Dense` for small systems), the scales of u, the
steps, functions of a point whose zeros are located, and where to stop.

Source: Keller (1977), in Applications of Bifurcation Theory, 359; Allgower & Georg (2003),
Introduction to Numerical Continuation Methods, ch. 2 and 9; Kuznetsov (2004), sec. 10.2.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np
from jaxtyping import Float64
from scipy.linalg import get_lapack_funcs

from distdyn.analysis.continuation.locate import locate, turning

Vector = Float64[np.ndarray, "m"]
Solve = Callable[[Vector], Vector]  # right-hand side (m + 1) to solution (m + 1)


class Equations(Protocol):
    """G(u) = 0: m equations for m + 1 unknowns."""

    def residual(self, u: Vector, /) -> Vector:
        """G(u), of length m."""
        ...

    def bordered(self, u: Vector, row: Vector, /) -> Solve:
        """A function that solves [G'(u); row] x = b, factorised once.

        Raises:
            numpy.linalg.LinAlgError: the matrix is singular to machine precision.
        """
        ...


@dataclass(frozen=True, eq=False)
class Dense:
    """Equations whose Jacobian is a dense matrix: `jacobian(u)` of shape (m, m + 1)."""

    residual: Callable[[Vector], Vector]
    jacobian: Callable[[Vector], Float64[np.ndarray, "m n"]]

    def bordered(self, u: Vector, row: Vector) -> Solve:
        return solver(np.vstack([self.jacobian(u), row]))


def solver(matrix: Float64[np.ndarray, "n n"]) -> Solve:
    """LU factors of a matrix, as the function that solves with it."""
    factorise, substitute = get_lapack_funcs(("getrf", "getrs"), (matrix,))
    factors, pivots, info = factorise(matrix)
    if info != 0 or not np.isfinite(factors).all():
        raise np.linalg.LinAlgError("singular matrix")
    return lambda b: substitute(factors, pivots, b)[0]


def null_direction(jacobian: Float64[np.ndarray, "m n"], weight: Vector) -> Vector:
    """The unit vector t with G' t = 0, of either sign, where G' has full rank."""
    scale = 1.0 / np.sqrt(weight)
    return scale * np.linalg.svd(jacobian * scale)[2][-1]


@dataclass(frozen=True)
class Steps:
    """The steps along a curve, in its arclength: in units of `Scale`.

    A step is halved if Newton fails, if the corrected point lies further than `bend` steps from
    the predicted, or if the tangent turns by more than `turn`; it grows when Newton is quick.

    Attributes:
        first, smallest, largest: lengths; below the smallest the curve ends ("stuck").
        number: of steps at most ("steps").
        tolerance: length of the last Newton step.
        iterations: of Newton at most.
        turn: largest angle between two tangents, rad.
        bend: largest distance of prediction and correction, as a part of the step.
    """

    first: float = 0.01
    smallest: float = 1e-7
    largest: float = 0.03
    number: int = 2000
    tolerance: float = 1e-10
    iterations: int = 8
    turn: float = 0.35
    bend: float = 0.3


class Point(NamedTuple):
    """A point of a curve.

    Attributes:
        u: the unknowns.
        tangent: of length 1, in the direction in which the curve is followed.
        monitor: the values of the monitor there.
        seen: what else the monitor found (eigenvalues, multipliers, ...).
    """

    u: Vector
    tangent: Vector
    monitor: Vector
    seen: Any = None


class Crossing(NamedTuple):
    """A zero of a monitor: entry `which`, at a point between points `after` and `after` + 1."""

    which: int
    after: int
    point: Point


class Path(NamedTuple):
    """A curve: its points in order, the zeros of its monitor, and why it ends.

    `end` is "closed" (the last point is the first), "bound" (an unknown at the end of its
    interval), "steps" (too many), "stuck" (the step became too small), or what `stop` said.
    """

    points: list[Point]
    crossings: list[Crossing]
    end: str


Monitor = Callable[[Vector, Vector], tuple[Vector, Any]]  # (u, tangent) to (values, seen)


def no_monitor(u: Vector, tangent: Vector) -> tuple[Vector, Any]:
    """Nothing is looked for."""
    return np.zeros(0), None


def always(before: Point, after: Point) -> bool:
    """Every step is accepted."""
    return True


@dataclass(frozen=True, eq=False)
class Curve:
    """A curve to follow.

    Attributes:
        equations: G and its bordered solver.
        weight: of the inner product <a, b> = sum_i weight_i a_i b_i. In it an unknown of scale c
            has the weight 1 / c^2 (over their number, if many are of one kind).
        lower, upper: intervals of the unknowns; the curve ends exactly there. Infinite: none.
        monitor: (u, tangent) to values, and to anything else that is worth keeping; where an entry
            changes its sign there is a `Crossing`. NaN: not defined there.
        accept: of the points before and after a step: whether the changes between them are
            understood. If not the step is halved, down to `patience` times the smallest.
        adapt: of the curve and its last point: both in a new form, e.g. on a new mesh, with new
            borders or new weights; the tangent must have length 1 again.
        stop: the reason to end at a point, or None.
        steps: their lengths.
    """

    equations: Equations
    weight: Vector
    lower: Vector
    upper: Vector
    monitor: Monitor = no_monitor
    accept: Callable[[Point, Point], bool] = always
    adapt: "Callable[[Curve, Point], tuple[Curve, Point]] | None" = None
    stop: Callable[[Point], str | None] | None = None
    steps: Steps = field(default_factory=Steps)
    patience: float = 1e3

    def length(self, a: Vector) -> float:
        """The norm sqrt(<a, a>)."""
        return float(np.sqrt(np.sum(self.weight * a * a)))

    def tangent(self, u: Vector, towards: Vector) -> Vector:
        """The unit tangent at u whose product with `towards` is positive.

        Raises:
            numpy.linalg.LinAlgError: there is none, or it is orthogonal to `towards`.
        """
        end = np.zeros(len(u))
        end[-1] = 1.0
        found = self.equations.bordered(u, self.weight * towards)(end)
        size = self.length(found)
        if not np.isfinite(size) or size == 0.0:
            raise np.linalg.LinAlgError("no tangent")
        return found / size

    def correct(self, u: Vector, row: Vector) -> tuple[Vector, int] | None:
        """Newton for G(u) = 0 with row . u kept; the solution and how many steps it took."""
        for iteration in range(self.steps.iterations):
            residual = self.equations.residual(u)
            if not np.isfinite(residual).all():
                return None
            try:
                change = self.equations.bordered(u, row)(np.append(residual, 0.0))
            except np.linalg.LinAlgError:
                return None
            u = u - change
            size = self.length(change)
            if not np.isfinite(size):
                return None
            if size <= self.steps.tolerance:
                return u, iteration + 1
        return None

    def point(self, u: Vector, tangent: Vector) -> Point:
        """A point with what the monitor says there."""
        values, seen = self.monitor(u, tangent)
        return Point(u, tangent, np.asarray(values, np.float64), seen)

    def at(self, start: Point, s: float) -> tuple[Point, int] | None:
        """The point at arclength s from another, to first order in s; and the Newton steps."""
        found = self.correct(start.u + s * start.tangent, self.weight * start.tangent)
        if found is None:
            return None
        try:
            return self.point(found[0], self.tangent(found[0], start.tangent)), found[1]
        except np.linalg.LinAlgError:
            return None


def trace(curve: Curve, start: Vector, towards: Vector) -> Path:
    """Follow a curve from a solution in a direction, to its end or until it closes.

    Args:
        curve: what to follow.
        start: a solution, or close to one: then it is corrected first.
        towards: a direction with which the first tangent makes less than a right angle.

    Raises:
        numpy.linalg.LinAlgError: there is no solution close to it, or G' has no full rank there.
    """
    found = curve.correct(start, curve.weight * towards)
    if found is None:
        raise np.linalg.LinAlgError("Newton does not converge from the start")
    exact = curve.length(found[0] - start) <= curve.steps.tolerance  # it may be at a bound
    u = start if exact else found[0]
    here = curve.point(u, curve.tangent(u, towards))
    points, crossings, s = [here], [], curve.steps.first
    for _ in range(curve.steps.number):
        step = _step(curve, here, s)
        if step is None:
            return Path(points, crossings, "stuck")
        there, length, s = step
        if _returns(curve, points, there):
            length = float(np.sum(curve.weight * here.tangent * (points[0].u - here.u)))
            crossings += _crossings(curve, here, points[0], length, len(points) - 1)
            return Path([*points, points[0]], crossings, "closed")
        outside = (there.u < curve.lower) | (there.u > curve.upper)
        if outside.any():
            there = _at_bound(curve, here, there, length)
            if there is None:
                return Path(points, crossings, "stuck")
        crossings += _crossings(curve, here, there, length, len(points) - 1)
        points.append(there)
        if outside.any():
            return Path(points, crossings, "bound")
        reason = curve.stop(there) if curve.stop else None
        if reason is not None:
            return Path(points, crossings, reason)
        if curve.adapt is not None:
            curve, there = curve.adapt(curve, there)
        here = there
    return Path(points, crossings, "steps")


def _step(curve: Curve, here: Point, s: float) -> tuple[Point, float, float] | None:
    """The next point, the length of the step, and the length to try next."""
    rules = curve.steps
    while s >= rules.smallest:
        found = curve.at(here, s)
        if found is not None:
            there, iterations = found
            away = curve.length(there.u - here.u - s * here.tangent)
            turn = turning(curve, here, there)
            smooth = away <= rules.bend * s and turn <= rules.turn
            hurried = s < curve.patience * rules.smallest
            if smooth and (hurried or curve.accept(here, there)):
                quick = iterations <= 4 and turn <= 0.5 * rules.turn
                return there, s, min(rules.largest, s * (1.5 if quick else 1.0))
        s *= 0.5
    return None


def _crossings(
    curve: Curve, here: Point, there: Point, length: float, after: int
) -> list[Crossing]:
    found = []
    a, b = here.monitor, there.monitor
    changed = (a * b < 0.0) | (
        (a != 0.0) & (b == 0.0)
    )  # a zero belongs to the step that reaches it
    for which in np.flatnonzero(changed).tolist():
        point = locate(curve, here, there, length, which)
        if point is not None:
            found.append(Crossing(which, after, point))
    return sorted(found, key=lambda c: float(np.sum(curve.weight * here.tangent * c.point.u)))


def _at_bound(curve: Curve, here: Point, there: Point, length: float) -> Point | None:
    """The point at which the first unknown reaches the end of its interval, within a step."""
    bound = np.where(there.u < curve.lower, curve.lower, curve.upper)
    outside = np.flatnonzero((there.u < curve.lower) | (there.u > curve.upper))
    parts = (bound - here.u)[outside] / (there.u - here.u)[outside]
    k, part = outside[np.argmin(parts)], max(0.0, float(np.min(parts)))
    guess = here.u + part * (there.u - here.u)
    guess[k] = bound[k]
    found = curve.correct(guess, np.eye(len(guess))[k])
    if found is None:
        return None
    found[0][k] = bound[k]  # exactly
    return curve.point(found[0], curve.tangent(found[0], here.tangent))


def _returns(curve: Curve, points: list[Point], there: Point) -> bool:
    """Whether the step from the last of the points passes the first, in its direction."""
    if len(points) < 4:
        return False
    first, here = points[0], points[-1]
    along = [float(np.sum(curve.weight * first.tangent * (p.u - first.u))) for p in (here, there)]
    step = curve.length(there.u - here.u)
    if not (along[0] < 0.0 <= along[1] and curve.length(here.u - first.u) <= 1.5 * step):
        return False
    back = curve.correct(
        here.u - along[0] / (along[1] - along[0]) * (there.u - here.u),
        curve.weight * first.tangent,
    )
    return back is not None and curve.length(back[0] - first.u) <= 1e-3 * step
