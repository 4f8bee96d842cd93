"""The cycles of a diagram: those that begin at Hopf points, and those that simulations go to.

A cycle whose Hopf point lies outside of the interval, or that has none, is met from near the
unstable equilibria at some values of the parameter: what leaves them may go to a cycle.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float64

from distdyn.analysis.continuation import Branches, Family
from distdyn.analysis.cycles import (
    LimitCycles,
    cycles_from_hopf,
    cycles_from_simulation,
    cycles_problem,
)
from distdyn.errors import AnalysisError

ASIDE = 1e-2  # of the extent of the box, from an equilibrium
SAME = 1e-3  # relative: cycles whose periods and extremes are as near are one


def cycles_over(
    equilibria: Branches,
    family: Family,
    interval: tuple[float, float],
    values: Sequence[float],
    extent: Float64[np.ndarray, "n"],
    transient: float,
) -> LimitCycles:
    """The branches of cycles over an interval of the parameter, each once.

    Args:
        equilibria: over the same interval.
        family: of flows with one parameter.
        interval: of the parameter.
        values: at which simulations begin near the unstable equilibria.
        extent: by how much each variable changes.
        transient: ms that simulations take to reach a cycle.
    """
    problem = cycles_problem(family, interval)
    found = cycles_from_hopf(problem, equilibria.points("H"))
    for value, state in _beginnings(equilibria, values, extent):
        try:
            new = cycles_from_simulation(problem, state, value, transient)
            is_known = _is_among(new, found, value)
        except AnalysisError:  # it comes to rest, diverges, or is not periodic
            continue
        if not is_known:
            found = replace(found, branches=(*found.branches, *new.branches))
    return replace(found, message="") if len(found) else found


def _beginnings(
    equilibria: Branches, values: Sequence[float], extent: Float64[np.ndarray, "n"]
) -> Iterator[tuple[float, Float64[np.ndarray, "n"]]]:
    """Beside each unstable equilibrium at some values of the parameter."""
    for value in values:
        for branch in equilibria:
            below = branch.values < value
            for k in np.flatnonzero(below[1:] != below[:-1]):
                if not branch.stable[k] and not branch.stable[k + 1]:
                    part = (value - branch.values[k]) / (branch.values[k + 1] - branch.values[k])
                    yield (
                        value,
                        branch.x[k]
                        + part * np.diff(branch.x[k : k + 2], axis=0)[0]
                        + (ASIDE * extent),
                    )


def _is_among(new: LimitCycles, known: LimitCycles, value: float) -> bool:
    """Whether the cycles of a branch at a value are those of known ones there."""
    mine, others = new.at(value), known.at(value)
    return any(
        abs(cycle.period - other.period) <= SAME * other.period
        and np.all(np.abs(cycle.maximum - other.maximum) <= SAME * np.ptp(other.x, axis=0))
        for cycle in mine
        for other in others
    )
