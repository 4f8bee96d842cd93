"""Branches of equilibria f(x, p) = 0 over an interval of one parameter, and their bifurcations.

Branches begin at the equilibria that are given, are followed in both directions, and where others
cross them (BP) these are followed too, until nothing new is found. What lies on a branch that is
known is not followed again, and a point that two branches share is one point.

Isolated branches, which neither begin at a given equilibrium nor cross another, are not found. If
more than two branches cross in a point, by a symmetry of higher order, some may be left out.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

from distdyn.analysis.continuation.arclength import (
    Crossing,
    Curve,
    Dense,
    Path,
    Point,
    Steps,
    null_direction,
)
from distdyn.analysis.continuation.begin import SMALLEST_SCALE, checked_interval, regular, solved
from distdyn.analysis.continuation.branches import Branch, Branches, SpecialPoint
from distdyn.analysis.continuation.family import Family
from distdyn.analysis.continuation.normal_forms import fold_coefficient, lyapunov_coefficient
from distdyn.analysis.continuation.special import (
    BP,
    LP,
    H,
    crossing_directions,
    equilibrium_monitor,
    is_complex_pair,
    is_understood,
    refine_branch_point,
    refine_fold,
    refine_hopf,
)
from distdyn.analysis.continuation.tracks import (
    Track,
    both_ways,
    followed,
    joined,
    lies_on,
    located,
    ways,
)
from distdyn.analysis.sharing import ALONE, Ranks, explored

Vector = Float64[np.ndarray, "m"]
SAME = 1e-5  # in arclength: special points that are as near are one
MOST = 200  # branches


def equilibrium_branches(
    family: Family,
    interval: tuple[float, float],
    starts: Iterable[tuple[float, Vector]],
    *,
    steps: Steps | None = None,
    ranks: Ranks = ALONE,
) -> Branches:
    """All branches of equilibria that the starts lie on, and those that cross them.

    Args:
        family: with one parameter.
        interval: of the parameter.
        starts: values of the parameter in the interval, and states close to equilibria there.
        steps: along the branches, in units of the interval and of the size of the variables.
        ranks: that share the branches and directions. Collective.

    Raises:
        AnalysisError: the interval is empty or reversed; there is no equilibrium close to any
            start; an equilibrium to start from is singular.
    """
    flat = family.flat
    low, high = checked_interval(flat.parameters[0], interval)
    infinite, most = np.full(family.n, np.inf), np.full(family.n, np.inf)
    if flat.about.threshold is not None:  # beyond it the cell is reset, and the field another
        most[flat.index(flat.about.threshold[0])] = flat.about.threshold[1]
    begins = solved(family, (low, high), most, starts)
    weight = _weight(family, begins, high - low)
    share = np.append(np.full(family.n, family.n), 0.0)
    curve = Curve(
        Dense(family.field, family.jacobian), weight, np.append(-infinite, low),
        np.append(most, high), equilibrium_monitor(family, weight), is_understood,
        lambda curve, point: widened(curve, point, share), steps=steps or Steps(),
    )  # fmt: skip
    diagram = _Diagram(family, curve)
    diagram.waiting.extend(_Begin(u) for u in regular(family, begins, weight))
    explored(diagram.waiting, diagram.begin, diagram.add, ranks)
    tracks = tuple(_branch(track, family.n) for track in diagram.tracks)
    return Branches(tracks, flat.parameters, flat.names, flat.about.name)


class _Begin(NamedTuple):
    """Where a branch may begin: at an equilibrium, or in a direction from a branch point."""

    u: Vector
    direction: Vector | None = None
    point: SpecialPoint | None = None


class _Begun(NamedTuple):
    """A branch that is followed: from the equilibrium, or from starts beside the branch point."""

    begin: _Begin
    direction: Vector
    beside: tuple[Vector | None, ...] = ()


@dataclass(eq=False)
class _Diagram:
    """What is known so far, and where other branches may begin."""

    family: Family
    curve: Curve
    tracks: list[Track[SpecialPoint]] = field(default_factory=list)
    special: list[tuple[Vector, SpecialPoint]] = field(default_factory=list)
    waiting: deque[_Begin] = field(default_factory=deque)

    def begin(self, begin: _Begin) -> tuple[_Begun, list[Callable[[], Path | None]]] | None:
        """The directions in which a branch is to be followed; None if it is known."""
        u, direction, _ = begin
        if direction is None:
            if self.knows(u):
                return None
            tangent = null_direction(self.family.jacobian(u), self.curve.weight)
            tangent = tangent if tangent[-1] >= 0.0 else -tangent
            return _Begun(begin, tangent), ways(self.curve, u, tangent)
        if len(self.tracks) >= MOST:
            return None
        ahead = [self._beside(u, sign * direction) for sign in (1.0, -1.0)]
        beside = tuple(None if x is None or self.knows(x) else x for x in ahead)
        return _Begun(begin, direction, beside), [
            partial(followed, self.curve, start, sign * direction)
            for start, sign in zip(beside, (1.0, -1.0), strict=True)
            if start is not None
        ]

    def add(self, begun: _Begun, paths: Iterator[Path | None]) -> None:
        """A branch, as it was followed, unless it is known by now."""
        (u, direction, point), tangent, beside = begun
        if direction is not None and point is not None:
            self._switch(u, direction, point, beside, paths)
        elif not self.knows(u):
            track = both_ways(self.curve, u, tangent, paths)
            if track is None:
                raise np.linalg.LinAlgError(f"no branch leads on from {u}")
            self._add(track)

    def _switch(
        self, u: Vector, direction: Vector, point: SpecialPoint,
        beside: Iterable[Vector | None], found: Iterator[Path | None],
    ) -> None:  # fmt: skip
        """The branch through a branch point in a direction."""
        if len(self.tracks) >= MOST:
            return
        paths = []
        for start in beside:
            path = None if start is None else next(found)
            if start is None or path is None or self.knows(start):
                paths.append(Path([], [], "BP"))
                continue
            if path.end == "closed":
                self._add(Track(path.points, located(path), ("closed", "closed")))
                return
            paths.append(path)
        if paths[0].points or paths[1].points:
            here = self.curve.point(u, direction)
            self._add(joined(paths[1], paths[0], (here,)), (len(paths[1].points), point))

    def knows(self, u: Vector) -> bool:
        """Whether an equilibrium lies on a branch that was followed."""
        return any(lies_on(self.curve, track, u) for track in self.tracks)

    def _beside(self, u: Vector, direction: Vector) -> Vector | None:
        """A solution a little way from a branch point."""
        for step in self.curve.steps.first * np.array([1.0, 0.2, 0.04]):
            found = self.curve.correct(u + step * direction, self.curve.weight * direction)
            if found is not None and self.curve.length(found[0] - u) <= 2.0 * step:
                inside = (found[0] >= self.curve.lower) & (found[0] <= self.curve.upper)
                return found[0] if inside.all() else None
        return None

    def _add(self, track: Track[Crossing], *known: tuple[int, SpecialPoint]) -> None:
        """A branch, with its crossings as special points.

        A fold at a branch point is another view of the branch point.
        """
        special = list(known)
        for after, crossing in track.special:
            twins = [c for k, c in track.special if k == after and c.which == BP]
            if crossing.which == LP and any(self._is_branch_point(crossing, c) for c in twins):
                continue
            point = self._special_point(crossing)
            if point is not None:
                special.append((after, point))
        special.sort(key=lambda pair: pair[0])
        self.tracks.append(Track(track.points, special, track.ends))

    def _is_branch_point(self, fold: Crossing, other: Crossing) -> bool:
        u = refine_fold(self.family, fold.point.u)
        v = refine_branch_point(self.family, other.point.u)
        v = other.point.u if v is None else v
        if u is None:  # the equations of a fold are singular there
            return self.curve.length(fold.point.u - v) <= 1e-3
        return self.curve.length(u - v) <= 1e-4

    def _special_point(self, crossing: Crossing) -> SpecialPoint | None:
        """A crossing, refined and with its coefficients; the one that is known, if it is."""
        u, kind, omega = crossing.point.u, ("LP", "BP", "H")[crossing.which], None
        if crossing.which == H:
            if not is_complex_pair(crossing.point.seen):
                return None
            refined = refine_hopf(self.family, u)
            if refined is None:
                return None
            found, omega = refined
        else:
            refine = refine_fold if crossing.which == LP else refine_branch_point
            found = refine(self.family, u)
        if found is not None and self.curve.length(found - u) <= self.curve.steps.largest:
            u = found
        for v, known in self.special:
            if known.kind == kind and self.curve.length(v - u) <= SAME:
                return known
        coefficients = {}
        if crossing.which == LP:
            coefficients["a"] = fold_coefficient(self.family, u)
        if omega is not None:
            coefficients["l1"] = lyapunov_coefficient(self.family, u, omega)
        point = special_point(self.family, kind, u, omega, coefficients)
        self.special.append((u, point))
        if crossing.which == BP:
            along, weight = crossing.point.tangent, self.curve.weight
            other = crossing_directions(self.family, u, along, weight)[1]
            self.waiting.append(_Begin(u, other, point))
        return point


def special_point(
    family: Family, kind: str, u: Vector, omega: float | None, coefficients: dict[str, float]
) -> SpecialPoint:
    """A bifurcation at u = (x, p)."""
    x, p = u[: family.n], u[family.n :]
    value = float(p[0]) if family.k == 1 else tuple(p.tolist())
    eigenvalues = np.linalg.eigvals(family.A(u)).astype(complex)
    state = family.flat.unflatten(x)
    return SpecialPoint(kind, value, x, state, eigenvalues, omega, coefficients)


def _branch(track: Track[SpecialPoint], n: int) -> Branch:
    u = np.array([point.u for point in track.points])
    eigenvalues = np.array([point.seen for point in track.points], complex)
    at, special = tuple(k for k, _ in track.special), tuple(p for _, p in track.special)
    return Branch("equilibrium", u[:, n], u[:, :n], eigenvalues, special, at, track.ends)


def _weight(family: Family, begins: Sequence[Vector], width: float) -> Vector:
    """Of the inner product: what counts as much as the whole interval of the parameter.

    Of a variable it is its size where branches begin, or by how much it would change over the
    interval if it went on as it begins, if that is more.
    """
    scale = np.full(family.n, SMALLEST_SCALE)
    for u in begins:
        J, size = family.jacobian(u), abs(u[: family.n])
        change = abs(np.linalg.lstsq(J[:, : family.n], J[:, family.n], rcond=None)[0]) * width
        scale = np.maximum(scale, np.maximum(size, np.minimum(change, 100.0 * (1.0 + size))))
    return np.append(1.0 / (family.n * scale**2), 1.0 / width**2)


def widened(curve: Curve, point: Point, share: Vector) -> tuple[Curve, Point]:
    """A curve whose scales keep up with unknowns that have become larger.

    Args:
        curve: the curve.
        point: the last point on it.
        share: by unknown, among how many of its kind it is one; 0: its scale stays.
    """
    largest = 1.0 / np.maximum(share * point.u**2, 1e-200)
    if (largest >= curve.weight).all():
        return curve, point
    curve = replace(curve, weight=np.minimum(largest, curve.weight))
    return curve, point._replace(tangent=point.tangent / curve.length(point.tangent))
