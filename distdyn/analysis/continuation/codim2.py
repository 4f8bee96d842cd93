"""Curves of folds and of Hopf points in the plane of two parameters, and the points on them.

    on LP   BT  double zero    <p, q> = 0       CP  cusp    <p, B(q, q)> = 0
    on H    BT  kappa = 0, where it ends        GH  Bautin  l1 = 0
    ZH      zero and +-i omega: a real eigenvalue is zero on H, another pair's sum on LP
    HH      two pairs +-i omega: another pair's sum is zero on H

q and p are the null vectors of A and A^T. From BT, ZH and HH the other curves that meet there are
followed too. Curves of neutral saddles, into which those of Hopf points turn at BT, are not.

Source: Kuznetsov (2004), ch. 8 and sec. 10.3.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Complex128, Float64

from distdyn.analysis.continuation.arclength import (
    Crossing,
    Curve,
    Monitor,
    Path,
    Point,
    Steps,
    null_direction,
)
from distdyn.analysis.continuation.augmented import FoldSystem, HopfSystem
from distdyn.analysis.continuation.bautin import second_lyapunov_coefficient
from distdyn.analysis.continuation.begin import SMALLEST_SCALE, checked_interval
from distdyn.analysis.continuation.branches import Branch, Branches, SpecialPoint
from distdyn.analysis.continuation.equilibria import SAME, widened
from distdyn.analysis.continuation.equilibria import special_point as of_one_parameter
from distdyn.analysis.continuation.family import Family
from distdyn.analysis.continuation.normal_forms import (
    bogdanov_takens_coefficients,
    cusp_coefficient,
    lyapunov_coefficient,
)
from distdyn.analysis.continuation.special import is_complex_pair, signed_smallest_sum
from distdyn.analysis.continuation.tracks import Track, both_ways, lies_on, ways
from distdyn.analysis.sharing import ALONE, Ranks, explored
from distdyn.errors import AnalysisError

Vector = Float64[np.ndarray, "m"]
ENTRIES = {"LP": ("BT", "CP", "ZH"), "H": ("GH", "ZH", "HH")}  # of the monitors


def bifurcation_curves(
    family: Family,
    intervals: Sequence[tuple[float, float]],
    points: Sequence[tuple[str, Vector, Vector]],
    *,
    steps: Steps | None = None,
    ranks: Ranks = ALONE,
) -> Branches:
    """The curves of folds and Hopf points through given ones, and those that meet them.

    Args:
        family: with two parameters.
        intervals: of the two parameters.
        points: kind ("LP" or "H"), state and parameters of each.
        steps: along the curves, in units of the intervals and of the size of the variables.
        ranks: that share the curves and directions. Collective.

    Raises:
        AnalysisError: an interval is empty or reversed; there is no point to begin with, or none
            that Newton's method confirms.
    """
    flat = family.flat
    box = [checked_interval(*pair) for pair in zip(flat.parameters, intervals, strict=True)]
    low, high = np.array(box).T
    plane = _Plane(family, low, high, steps or Steps())
    begins = [_Begin(kind, np.concatenate([x, p])) for kind, x, p in points if kind in ENTRIES]
    plane.waiting.extend(begins)
    explored(plane.waiting, plane.begin, plane.add, ranks)
    if not plane.tracks:
        raise AnalysisError(
            f"continuation of {flat.about.name} in ({', '.join(flat.parameters)}): of "
            f"{len(points)} points to begin with none is a fold or Hopf point. Look for some by "
            "continuation over one parameter, and move the other until there are some."
        )
    tracks = tuple(_branch(kind, track, family.n) for kind, track in plane.tracks)
    return Branches(tracks, flat.parameters, flat.names, flat.about.name)


class _Begin(NamedTuple):
    """Where a curve may begin.

    Attributes:
        kind: "LP" or "H".
        u: state and parameters.
        omega: of the pair +-i omega; of the one closest to that by default. 0: BT.
        at: the point where another curve meets it.
    """

    kind: str
    u: Vector
    omega: float | None = None
    at: SpecialPoint | None = None


class _Begun(NamedTuple):
    """A curve that is followed from a solution, in a direction and against it."""

    begin: _Begin
    curve: Curve
    y: Vector
    direction: Vector


@dataclass(eq=False)
class _Plane:
    """What is known so far, and where other curves may begin."""

    family: Family
    low: Vector
    high: Vector
    steps: Steps
    tracks: list[tuple[str, Track[SpecialPoint]]] = field(default_factory=list)
    special: list[tuple[Vector, SpecialPoint]] = field(default_factory=list)
    waiting: deque[_Begin] = field(default_factory=deque)

    def begin(self, begin: _Begin) -> tuple[_Begun, list[Callable[[], Path | None]]] | None:
        """A curve to be followed, and its directions; None if it is known, or there is none."""
        kind, u, omega, _ = begin
        y = u
        if kind == "H":
            omega = _frequency(self.family, u) if omega is None else omega
            if omega is None:
                return None
            y = np.append(omega**2, u)
        system = (FoldSystem if kind == "LP" else HopfSystem).at(self.family, y)
        curve = self._curve(system, y)
        direction = null_direction(system.jacobian(y), curve.weight)
        found = curve.correct(y, curve.weight * direction)
        if found is None or curve.length(found[0] - y) > self.steps.largest:
            return None
        begun = _Begun(begin, curve, found[0], direction)
        return None if self._knows(begun) else (begun, ways(curve, found[0], direction))

    def add(self, begun: _Begun, paths: Iterator[Path | None]) -> None:
        """A curve, as it was followed, unless it is known by now."""
        (kind, _, _, at), curve, y, direction = begun
        track = None if self._knows(begun) else both_ways(curve, y, direction, paths)
        if track is not None:
            start = np.argmin([curve.length(point.u - y) for point in track.points])
            self._add(kind, track, [] if at is None else [(int(start), at)])

    def _knows(self, begun: _Begun) -> bool:
        kind, curve, y = begun.begin.kind, begun.curve, begun.y
        return any(of == kind and lies_on(curve, track, y) for of, track in self.tracks)

    def _curve(self, system: FoldSystem | HopfSystem, y: Vector) -> Curve:
        family, n, u = self.family, self.family.n, y[-self.family.n - 2 :]
        scale = np.maximum(abs(u[:n]), SMALLEST_SCALE)
        weight = np.concatenate([1.0 / (n * scale**2), 1.0 / (self.high - self.low) ** 2])
        share = np.append(np.full(n, float(n)), [0.0, 0.0])
        lower, upper = (
            np.append(np.full(n, -np.inf), self.low),
            np.append(np.full(n, np.inf), self.high),
        )
        if isinstance(system, HopfSystem):
            size = max(y[0], 1e-2 * float(np.linalg.norm(family.A(u), 2)) ** 2)
            weight, share = np.append(1.0 / size**2, weight), np.append(1.0, share)
            lower, upper = np.append(0.0, lower), np.append(np.inf, upper)

        def adapt(curve: Curve, point: Point) -> tuple[Curve, Point]:
            curve, point = widened(curve, point, share)
            system = curve.equations.renewed(point.u)  # pyright: ignore
            return replace(curve, equations=system, monitor=_monitor(system)), point

        return Curve(
            system, weight, lower, upper, _monitor(system), adapt=adapt, steps=self.steps
        )  # fmt: skip

    def _add(
        self, kind: str, track: Track[Crossing], known: list[tuple[int, SpecialPoint]]
    ) -> None:
        special = []
        for after, crossing in track.special:
            point = self._special_point(kind, ENTRIES[kind][crossing.which], crossing.point)
            if point is not None:
                special.append((after, point))
        ends = list(track.ends)
        for end, k, after in ((0, 0, 0), (1, -1, len(track.points) - 1)):
            y = track.points[k].u
            if kind == "H" and y[0] <= 0.0:
                ends[end] = "BT"
                special.append((after, self._special_point(kind, "BT", track.points[k])))
        special += [(k, point) for k, point in known if all(p is not point for _, p in special)]
        special.sort(key=lambda pair: pair[0])
        self.tracks.append((kind, Track(track.points, special, (ends[0], ends[1]))))

    def _special_point(self, curve: str, kind: str, at: Point) -> SpecialPoint | None:
        """A point of codimension two, with its coefficients; the one that is known, if it is."""
        family, u = self.family, at.u[-self.family.n - 2 :]
        rest = _others(at.seen, None if curve == "LP" else float(np.sqrt(max(0.0, at.u[0]))))
        if (kind == "HH" or (kind == "ZH" and curve == "LP")) and not is_complex_pair(rest):
            return None
        weight = np.append(
            1.0 / np.maximum(abs(u[:-2]), SMALLEST_SCALE), 1.0 / (self.high - self.low)
        )
        for v, known in self.special:
            if known.kind == kind and np.linalg.norm(weight * (u - v)) <= SAME:
                return known
        coefficients: dict[str, float] = {}
        omega = None if kind in ("BT", "CP") else _frequency(family, u)
        if kind == "BT":
            a, b = bogdanov_takens_coefficients(family, u)
            coefficients = {"a": a, "b": b}
        if kind == "CP":
            coefficients = {"c": cusp_coefficient(family, u)}
        if kind == "GH" and omega is not None:
            coefficients = {"l2": second_lyapunov_coefficient(family, u, omega)}
        point = of_one_parameter(family, kind, u, omega, coefficients)
        self.special.append((u, point))
        if kind in ("BT", "ZH"):
            self.waiting.append(_Begin("LP", u, None, point))
            self.waiting.append(_Begin("H", u, 0.0 if kind == "BT" else omega, point))
        if kind == "HH":
            self.waiting.append(_Begin("H", u, _frequency(family, u, rest), point))
        return point


def _monitor(system: FoldSystem | HopfSystem) -> Monitor:
    """The test functions of a curve, and the eigenvalues."""
    family = system.family

    def on_folds(u: Vector, tangent: Vector) -> tuple[Vector, Complex128[np.ndarray, "n"]]:
        assert isinstance(system, FoldSystem)
        q, p, _ = system.vectors(u)
        q, p = q / np.linalg.norm(q), p / np.linalg.norm(p)
        eigenvalues = np.linalg.eigvals(family.A(u)).astype(complex)
        others = signed_smallest_sum(_others(eigenvalues, None))
        return np.array([p @ q, 0.5 * p @ family.B(u, q, q), others]), eigenvalues

    def on_hopf(y: Vector, tangent: Vector) -> tuple[Vector, Complex128[np.ndarray, "n"]]:
        u, omega = y[1:], np.sqrt(max(0.0, y[0]))
        A = family.A(u)
        eigenvalues = np.linalg.eigvals(A).astype(complex)
        rest = _others(eigenvalues, float(omega))
        real = np.real(rest[np.imag(rest) == 0])
        zero = float(np.prod(np.sign(real)) * np.min(abs(real))) if len(real) else 1.0
        is_hopf = omega > 1e-4 * np.linalg.norm(A, 2)  # else close to BT, where l1 has a pole
        l1 = lyapunov_coefficient(family, u, float(omega)) if is_hopf else np.nan
        return np.array([l1, zero, signed_smallest_sum(rest)]), eigenvalues

    return on_folds if isinstance(system, FoldSystem) else on_hopf


def _others(
    eigenvalues: Complex128[np.ndarray, "n"], omega: float | None
) -> Complex128[np.ndarray, "n"]:
    """The eigenvalues without the critical ones: the one closest to 0, or those to +-i omega."""
    if omega is None:
        return np.delete(eigenvalues, np.argmin(abs(eigenvalues)))
    first = int(np.argmin(abs(eigenvalues - 1j * omega)))
    left = np.delete(eigenvalues, first)
    return np.delete(left, np.argmin(abs(left + 1j * omega)))


def _frequency(
    family: Family, u: Vector, among: Complex128[np.ndarray, "n"] | None = None
) -> float | None:
    """The omega of the complex pair of eigenvalues that is closest to the imaginary axis."""
    eigenvalues = np.linalg.eigvals(family.A(u)) if among is None else among
    pairs = eigenvalues[np.imag(eigenvalues) > 0]
    return float(pairs[np.argmin(abs(np.real(pairs)))].imag) if len(pairs) else None


def _branch(kind: str, track: Track[SpecialPoint], n: int) -> Branch:
    u = np.array([point.u[-n - 2 :] for point in track.points])
    eigenvalues = np.array([point.seen for point in track.points], complex)
    at, special = tuple(k for k, _ in track.special), tuple(p for _, p in track.special)
    return Branch(kind, u[:, n:], u[:, :n], eigenvalues, special, at, track.ends)
