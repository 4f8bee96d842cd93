"""Branches of cycles in dependence of one parameter, with their bifurcations and their ends.

    LPC   fold of cycles: the branch turns back in the parameter; a multiplier is 1
    BPC   branch point: a multiplier passes 1, and the branch does not turn back
    PD    period doubling: a multiplier passes -1
    NS    Neimark-Sacker, a torus: a pair of complex multipliers passes the unit circle

The branch is followed by `continuation.arclength`; after each step the mesh is adapted, and where
the multiplier that is 1 is not found as 1 it is refined. How branches end is in `ends`.

Source: Kuznetsov (2004), Elements of Applied Bifurcation Theory, 3rd ed., ch. 4, 5 and 10.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Complex128, Float64

from distdyn.analysis.continuation.arclength import Curve, Path, Point, Steps, Vector, trace
from distdyn.analysis.continuation.family import Family
from distdyn.analysis.cycles.collocation import Field, OnMesh, Orbit, adapted_to, extents
from distdyn.analysis.cycles.ends import End, Ends
from distdyn.analysis.cycles.floquet import multipliers
from distdyn.analysis.cycles.mesh import DEGREE
from distdyn.analysis.sharing import ALONE, Ranks

STEPS = Steps(first=0.02, smallest=1e-7, largest=0.15, number=500, tolerance=1e-8, bend=0.5)
N_INTERVALS = 80
FINER = 2  # how often the number of intervals may be doubled
_ACCURATE = 1e-5  # the largest error of the multiplier 1
_RESOLVED = 1e-6  # change of the parameter by the error of the multiplier 1 that is no noise
_TURNED = 1e-6  # change of the parameter, in units of the interval, that shows a turn by itself
_MET = 0.1  # how near a multiplier is to -1, or a pair to the circle, where it is said to be there
_PATIENCE, _STILL = 200, 1e-10  # steps without a change of p, in units of the interval
_TURN, _ONE, _DOUBLING, _TORUS = range(4)  # entries of the monitor


class Cycle(NamedTuple):
    """A solution: its orbit and its multipliers; `trivial` is what was found for 1."""

    orbit: Orbit
    multipliers: Complex128[np.ndarray, "n-1"]
    trivial: float


class Special(NamedTuple):
    """A bifurcation of cycles, or an end of the branch: after point `after`, with value and state.

    `state` is a point of the cycle, or the equilibrium at which the branch ends.
    """

    kind: str
    value: float
    state: Float64[np.ndarray, "n"]
    period: float
    after: int
    cycle: Cycle | None = None


class Followed(NamedTuple):
    """A branch: its cycles in order, its special points in order, and why each end is one."""

    cycles: list[Cycle]
    specials: list[Special]
    ends: tuple[str, str]


@dataclass(frozen=True, eq=False)
class Problem:
    """Cycles of u' = f(u, p) between two values of a parameter.

    Attributes:
        family: f, its parameter, and derivatives at one state.
        field: the same at many states.
        low, high: of the parameter.
        n_intervals: of the mesh; doubled where it has to be.
        longest: period at which a branch ends; by default it ends where its end is understood.
        steps: along the branch.
    """

    family: Family
    field: Field
    low: float
    high: float
    n_intervals: int = N_INTERVALS
    longest: float = np.inf
    steps: Steps = STEPS

    @property
    def width(self) -> float:
        """A change of the parameter that counts as large."""
        return self.high - self.low

    def equations(self, reference: Orbit) -> OnMesh:
        """The equations on the mesh of an orbit."""
        return OnMesh(self.field, reference, self.width)

    def curve(self, equations: OnMesh, stop: Callable[[Point], str | None] | None = None) -> Curve:
        """The branch, on the mesh of the equations; `stop` says where it ends."""
        size = len(equations.weight.ravel()) + 2
        lower, upper = np.full(size, -np.inf), np.full(size, np.inf)
        lower[-1], upper[-1] = self.low / self.width, self.high / self.width

        def monitor(u: Vector, tangent: Vector) -> tuple[Vector, Any]:
            return _monitor(equations, u, tangent)

        def adapt(_: Curve, point: Point) -> tuple[Curve, Point]:
            n_intervals = len(equations.reference.mesh) - 1
            new, u, tangent = equations.remeshed(point.u, point.tangent, n_intervals)
            monitor = point.monitor if _is_resolved(point) else np.full(len(point.monitor), np.nan)
            return self.curve(new, stop), point._replace(u=u, tangent=tangent, monitor=monitor)

        return Curve(
            equations, np.ones(size), lower, upper, monitor, _understood, adapt, stop, self.steps
        )

    def at_value(self, guess: Orbit) -> Cycle | None:
        """The cycle near a guess, at its value of the parameter; None if there is none."""
        cycle = None
        for _ in range(2):  # the second time on a mesh that is adapted to the solution
            equations = self.equations(guess)
            u = equations.unknowns(guess)
            row = np.zeros(len(u))
            row[-1] = 1.0
            found = self.curve(equations).correct(u, row)
            if found is None or not found[0][-2] > 0.0:
                return None
            cycle = _cycle(equations, found[0])
            guess = adapted_to(cycle.orbit, len(guess.mesh) - 1)
        return cycle


def follow(problem: Problem, start: Orbit, towards: Orbit) -> Followed:
    """The branch through a cycle, in one direction.

    Args:
        problem: of which cycles.
        start: a cycle, or a guess; it is corrected across the direction.
        towards: the direction, as a change of the orbit on its mesh.

    Raises:
        numpy.linalg.LinAlgError: there is no cycle near the start.
    """
    cycles: list[Cycle] = []
    specials: list[Special] = []
    equations = problem.equations(start)
    u, along = equations.unknowns(start), equations.unknowns(towards)
    ending = _Ending(problem)
    for refinement in range(FINER + 1):
        ending.is_finest = refinement == FINER
        path = trace(problem.curve(equations, ending), u, along)
        is_lost = path.end == "stuck" and not ending.stands()
        done = not (is_lost or path.end == "coarse") or refinement == FINER
        points = path.points if done else path.points[: max(1, len(path.points) - 1)]
        skipped = 1 if cycles else 0  # the last one of before is the first one now
        specials += _specials(path, len(points), len(cycles) - skipped)
        cycles += [point.seen[1] for point in points[skipped:]]
        if done:
            break
        last = points[-1]
        n_intervals = 2 * (len(equations.reference.mesh) - 1)
        equations, u, along = last.seen[0].remeshed(last.u, last.tangent, n_intervals)
    if path.end == "closed":  # its last step passes the first cycle, and what comes after it
        cycles[-1] = cycles[0]
        specials = [s for k, s in enumerate(specials) if not _is_known(s, specials[:k])]
    if ending.end is not None:
        kind, value, state = ending.end
        specials.append(Special(kind, value, state, cycles[-1].orbit.period, len(cycles) - 1))
    return Followed(cycles, specials, ("start", path.end))


def through(problem: Problem, start: Orbit, ranks: Ranks = ALONE) -> Followed:
    """The whole branch through a cycle, in order; ranks share its two directions. Collective."""
    none = np.zeros_like(start.nodes)
    ways = [start._replace(nodes=none, period=0.0, value=sign) for sign in (1.0, -1.0)]
    found = ranks.done([partial(follow, problem, start, towards) for towards in ways])
    there = next(found)
    if there.ends[1] == "closed":
        return there._replace(ends=("closed", "closed"))
    back = next(found)
    n = len(back.cycles)
    return Followed(
        [*back.cycles[:0:-1], *there.cycles],
        [
            *(special._replace(after=n - 2 - special.after) for special in back.specials[::-1]),
            *(special._replace(after=n - 1 + special.after) for special in there.specials),
        ],
        (back.ends[1], there.ends[1]),
    )


class _Ending:
    """Where a branch ends: at an equilibrium, far away in the period, or where it began."""

    end: End | None
    _size: Vector | None
    _traits: list[Vector]

    def __init__(self, problem: Problem) -> None:
        self.is_finest, self.end = False, None
        self._problem, self._ends = problem, Ends(problem.family)
        self._size = None  # of the first cycle
        self._traits = []

    def __call__(self, point: Point) -> str | None:
        equations, cycle = point.seen
        is_coarse = abs(cycle.trivial - 1.0) > _ACCURATE and _is_resolved(point)
        if is_coarse and not self.is_finest:
            return "coarse"
        if cycle.orbit.period > self._problem.longest:
            return "period"
        self.end = self._ends.look(cycle.orbit, equations.orbit(point.tangent))
        if self.end is not None:
            return self.end.kind
        return "closed" if self._returns(cycle.orbit) else "stuck" if self.stands() else None

    def stands(self) -> bool:
        """Whether the parameter stands still: canards that differ by less than numbers resolve."""
        recent = [traits[-1] for traits in self._traits[-_PATIENCE:]]
        return len(recent) == _PATIENCE and np.ptp(recent) < _STILL

    def _returns(self, orbit: Orbit) -> bool:
        """Whether the step to this cycle passes the first one."""
        size = self._size = extents(orbit) if self._size is None else self._size
        traits = [orbit.nodes.min(axis=0) / size, orbit.nodes.max(axis=0) / size]
        more = [np.log(orbit.period), orbit.value / self._problem.width]
        self._traits.append(np.concatenate([*traits, more]))
        if len(self._traits) < 5:
            return False
        first, before, here = self._traits[0], self._traits[-2], self._traits[-1]
        step, way = here - before, first - before
        part = (way @ step) / (step @ step)
        across = np.linalg.norm(way - part * step)
        return bool(0.0 < part < 1.0 and across < 0.1 * np.linalg.norm(step))


def _cycle(equations: OnMesh, u: Vector) -> Cycle:
    orbit = equations.orbit(u)
    flow, _, _ = equations.field(orbit.nodes[::DEGREE], orbit.value)
    trivial, others = multipliers(equations.linear(u).transfer, flow)
    return Cycle(orbit, others, trivial)


def _monitor(equations: OnMesh, u: Vector, tangent: Vector) -> tuple[Vector, Any]:
    """What changes its sign where the branch turns, or a multiplier passes 1, -1 or the circle."""
    cycle = _cycle(equations, u)
    mu = cycle.multipliers
    with np.errstate(all="ignore"):
        pairs = np.outer(mu, mu)[np.triu_indices(len(mu), 1)]
        products = [
            np.prod((1.0 - mu) / (1.0 + np.abs(mu))).real,
            np.prod((1.0 + mu) / (1.0 + np.abs(mu))).real,
            np.prod((pairs - 1.0) / (1.0 + np.abs(pairs))).real,
        ]
    return np.array([tangent[-1], *products]), (equations, cycle)


def _is_resolved(point: Point) -> bool:
    """Whether the parameter changes along the branch by more than the error of the mesh.

    In a canard explosion it stands still to the last digit: no sign there means anything.
    """
    error = abs(point.seen[1].trivial - 1.0)
    return abs(float(point.tangent[-1])) > _RESOLVED * error


def _understood(before: Point, after: Point) -> bool:
    """Whether the parameter has no two turns within a step: judged by a cubic through its ends."""
    length = float(before.tangent @ (after.u - before.u))
    a, b = float(before.tangent[-1]), float(after.tangent[-1])
    if a * b <= 0.0 or min(abs(a), abs(b)) < 1e-6 or length <= 0.0:
        return True
    mean = float(after.u[-1] - before.u[-1]) / length
    x = np.linspace(0.0, 1.0, 17)
    slope = a + (6.0 * mean - 4.0 * a - 2.0 * b) * x + 3.0 * (a + b - 2.0 * mean) * x**2
    return bool(np.all(slope * a > 0.0))


def _specials(path: Path, n_points: int, before: int) -> list[Special]:
    """The bifurcations between the first points of a path, numbered from `before`."""
    turns = {c.after for c in path.crossings if c.which == _TURN}
    ones = {c.after for c in path.crossings if c.which == _ONE}
    found = []
    for which, after, point in path.crossings:
        near = {after - 1, after, after + 1}
        kind = None
        if which == _TURN and (near & ones or _turns(path, after, point)):
            kind = "LPC"
        elif which == _ONE and not near & turns and _is_branching(point):
            kind = "BPC"
        elif which == _DOUBLING and np.min(np.abs(point.seen[1].multipliers + 1.0)) < _MET:
            kind = "PD"
        elif which == _TORUS and _is_torus(point.seen[1].multipliers):
            kind = "NS"
        cycle = point.seen[1]
        is_accurate = abs(cycle.trivial - 1.0) <= _ACCURATE
        if kind is not None and after < n_points - 1 and is_accurate:
            orbit = cycle.orbit
            found.append(
                Special(kind, orbit.value, orbit.nodes[0], orbit.period, before + after, cycle)
            )
    return found


def _is_known(special: Special, others: list[Special]) -> bool:
    """Whether a bifurcation was met before."""
    return any(
        other.kind == special.kind
        and np.isclose(other.value, special.value, rtol=1e-7, atol=1e-9)
        and np.isclose(other.period, special.period, rtol=1e-6)
        for other in others
    )


def _turns(path: Path, after: int, point: Point) -> bool:
    """Whether the parameter at a turn differs from that beside it, and not by rounding only."""
    beside = path.points[after : after + 2]
    return min(abs(p.u[-1] - point.u[-1]) for p in beside) > _TURNED


def _is_branching(point: Point) -> bool:
    """Whether the equations lose their rank: if not, the mesh is to blame for a multiplier 1."""
    noise = np.random.default_rng(0).normal(size=len(point.u))
    change = point.seen[0].bordered(point.u, point.tangent)(noise)
    return bool(np.linalg.norm(change) > 1e6 * np.linalg.norm(noise))


def _is_torus(mu: Complex128[np.ndarray, "k"]) -> bool:
    """Whether the two multipliers whose product is nearest to 1 are a complex pair."""
    i, j = np.triu_indices(len(mu), 1)
    miss = np.abs(mu[i] * mu[j] - 1.0)
    nearest = int(np.argmin(miss))
    return bool(miss[nearest] < _MET and np.imag(mu[i[nearest]]) != 0.0)
