"""Limit cycles over an interval of a parameter: from Hopf points, or from a simulation.

Every Hopf point is where a branch of cycles begins; where that ends at another one, the other's
branch is the same. A branch that meets no Hopf point is reached from a cycle that attracts.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import partial

import numpy as np
from jaxtyping import Float64

from distdyn.analysis.continuation.arclength import Steps
from distdyn.analysis.continuation.branches import SpecialPoint
from distdyn.analysis.continuation.equilibria import checked_interval
from distdyn.analysis.continuation.family import Family
from distdyn.analysis.cycles.branch import (
    N_INTERVALS,
    STEPS,
    Followed,
    Problem,
    Special,
    follow,
    through,
)
from distdyn.analysis.cycles.collocation import Field, adapted_to
from distdyn.analysis.cycles.mesh import DEGREE
from distdyn.analysis.cycles.result import LimitCycles, branch_of
from distdyn.analysis.cycles.start import AMPLITUDE, from_hopf, from_simulation
from distdyn.analysis.sharing import ALONE, Ranks, explored
from distdyn.errors import AnalysisError

MOST = 200  # variables
_SAME = 1e-6  # Hopf points whose values, in parts of the interval, are as near are one
_NEAR = 0.1  # how far the first cycle's period may be from that of the Hopf point, relative


def cycles_problem(
    family: Family,
    interval: tuple[float, float],
    *,
    n_intervals: int = N_INTERVALS,
    longest: float = np.inf,
    steps: Steps = STEPS,
) -> Problem:
    """The equations of the cycles of a flow over an interval of its one parameter.

    Args:
        family: of flows with one parameter.
        interval: of the parameter.
        n_intervals: of the mesh; more where they are needed.
        longest: period at which branches end, ms.
        steps: along the branches.

    Raises:
        AnalysisError: it is a map, it has too many variables, or the interval is empty.
    """
    flat = family.flat
    if not flat.is_continuous:
        raise AnalysisError(
            f"limit_cycles: {flat.about.name} is a map, whose closed orbits are sets of points. "
            "Analyse the fixed points of its iterates."
        )
    if flat.n > MOST:
        raise AnalysisError(
            f"limit_cycles: {flat.about.name} has {flat.n} variables, and matrices of {DEGREE} "
            f"times as many rows for every interval are solved. Analyse at most {MOST}."
        )
    if n_intervals < 1 or not longest > 0.0:
        raise AnalysisError(
            f"limit_cycles: n_intervals = {n_intervals} and longest = {longest:g} ms are not "
            f"possible. Use n_intervals >= 1, such as {N_INTERVALS}, and longest > 0."
        )
    low, high = checked_interval(flat.parameters[0], interval)
    field = Field(flat.f, DEGREE * n_intervals)
    return Problem(family, field, low, high, n_intervals, longest, steps)


def cycles_from_hopf(
    problem: Problem, points: Iterable[SpecialPoint], ranks: Ranks = ALONE
) -> LimitCycles:
    """The branches of cycles that begin at Hopf points; each once.

    Args:
        problem: of which cycles.
        points: Hopf points of its equilibria.
        ranks: that share the branches. Collective.

    Raises:
        AnalysisError: a point is no Hopf point.
    """
    points, flat = list(points), problem.family.flat
    found, reached, notes = [], [], []

    def is_reached(point: SpecialPoint) -> bool:
        place = np.append(point.x, point.value)
        return any(_is_same(place, other, problem.width) for other in reached)

    def begin(
        point: SpecialPoint,
    ) -> tuple[SpecialPoint, list[Callable[[], Followed | None]]] | None:
        if point.kind != "H" or point.omega is None:
            raise AnalysisError(f"limit_cycles: {point!r} is no Hopf point (H).")
        return None if is_reached(point) else (point, [partial(_from_hopf, problem, point)])

    def add(point: SpecialPoint, branches: Iterator[Followed | None]) -> None:
        if is_reached(point):
            return
        branch = next(branches)
        if branch is None:
            notes.append(f"No small cycles were found at {point!r}.")
            return
        if "stuck" in branch.ends:
            at = branch.cycles[-1].orbit
            notes.append(
                f"The branch from {point!r} is given up at {at.value:.10g} with a period of "
                f"{at.period:.6g} ms: in a canard explosion the parameter is the same to the last "
                "digit; else try shorter steps, or more intervals."
            )
        found.append(branch_of(branch, flat))
        reached.extend(np.append(s.state, s.value) for s in branch.specials if s.kind == "H")

    if not points:
        notes.append(
            f"There is no Hopf point between {problem.low:g} and {problem.high:g}. Cycles that are "
            "born otherwise are found from a state that goes to one: limit_cycles(..., start=)."
        )
    explored(deque(points), begin, add, ranks)
    return _result(problem, found, " ".join(notes))


def cycles_from_simulation(
    problem: Problem,
    state: Float64[np.ndarray, "n"],
    value: float,
    transient: float,
    ranks: Ranks = ALONE,
) -> LimitCycles:
    """The branch of the cycle to which a trajectory goes.

    Args:
        problem: of which cycles.
        state: where the trajectory begins.
        value: of the parameter, within the interval.
        transient: ms that are left out.
        ranks: that share the two directions of the branch. Collective.

    Raises:
        AnalysisError: the trajectory goes to no cycle.
    """
    flat = problem.family.flat
    if not problem.low <= value <= problem.high or state.shape != (flat.n,):
        raise AnalysisError(
            f"limit_cycles: a start of shape {state.shape} at {flat.parameters[0]} = {value:g}: "
            f"{flat.about.name} has {flat.n} variables, and the interval is ({problem.low:g}, "
            f"{problem.high:g}). Give all variables, and the model a value inside."
        )
    guess = from_simulation(flat, state, value, problem.n_intervals, transient)
    cycle = problem.at_value(adapted_to(guess, problem.n_intervals))
    if cycle is None:
        raise AnalysisError(
            f"limit_cycles: the trajectory from {state} nearly recurs after {guess.period:g} ms, "
            "and no cycle was found there. Give a longer transient, or more intervals."
        )
    return _result(problem, [branch_of(through(problem, cycle.orbit, ranks), flat)], "")


def _from_hopf(problem: Problem, point: SpecialPoint) -> Followed | None:
    assert point.omega is not None
    period = 2.0 * np.pi / point.omega
    for smaller in (1.0, 4.0, 16.0, 64.0):
        start, towards = from_hopf(
            problem.field, point.x, point.value, point.omega, problem.n_intervals,
            AMPLITUDE / smaller,
        )  # fmt: skip
        try:
            found = follow(problem, start, towards)
        except np.linalg.LinAlgError:
            continue
        first = found.cycles[0].orbit
        if abs(first.period / period - 1.0) < _NEAR:
            begin = Special("H", point.value, point.x, period, -1)
            return found._replace(specials=[begin, *found.specials], ends=("H", found.ends[1]))
    return None


def _is_same(a: Float64[np.ndarray, "m"], b: Float64[np.ndarray, "m"], width: float) -> bool:
    near = np.linalg.norm(a[:-1] - b[:-1]) <= 1e-4 * (1.0 + np.linalg.norm(a[:-1]))
    return bool(near) and abs(a[-1] - b[-1]) <= _SAME * width


def _result(problem: Problem, branches: list, message: str) -> LimitCycles:
    flat = problem.family.flat
    name, system = flat.parameters[0], flat.about.name
    return LimitCycles(tuple(branches), name, flat.names, system, message, problem)
