"""The bifurcation diagrams that are compared: two cells over their current, and what is known.

A cell's equations are written once, for numpy or any library with its names.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

Pair = tuple[float, float]


class Cell(NamedTuple):
    """A cell with two variables, and the diagram that is asked for."""

    name: str  # in distdyn
    derivatives: tuple[Callable[..., Any], Callable[..., Any]]  # of (library, V, w, I)
    box: tuple[Pair, Pair]  # of V and w
    currents: Pair
    step: float  # between values of the current, for who needs a grid
    hopf: tuple[float, ...]  # the currents of its Hopf points
    folds: tuple[float, ...]  # and of the folds of its cycles
    settles: float  # ms until a trajectory is on its cycle


def fhn_V(xp: Any, V: Any, w: Any, I: Any) -> Any:
    return V - V * V * V / 3.0 - w + I


def fhn_w(xp: Any, V: Any, w: Any, I: Any) -> Any:
    return 0.08 * (V + 0.7 - 0.8 * w)


def ml_V(xp: Any, V: Any, w: Any, I: Any) -> Any:
    m = 0.5 * (1.0 + xp.tanh((V + 1.2) / 18.0))
    return (I - 4.4 * m * (V - 120.0) - 8.0 * w * (V + 84.0) - 2.0 * (V + 60.0)) / 20.0


def ml_w(xp: Any, V: Any, w: Any, I: Any) -> Any:
    open_ = 0.5 * (1.0 + xp.tanh((V - 2.0) / 30.0))
    return 0.04 * xp.cosh((V - 2.0) / 60.0) * (open_ - w)


# Hopf points of the first in closed form, of the second by MatCont; folds by collocation.
CELLS = {
    "FitzHughNagumo": Cell(
        "FitzHughNagumo", (fhn_V, fhn_w), ((-3.0, 3.0), (-1.0, 3.0)), (0.0, 2.0), 0.01,
        (0.331281337478859, 1.418718662521141), (0.324179, 1.425821), 500.0,
    ),
    "MorrisLecar": Cell(
        "MorrisLecar", (ml_V, ml_w), ((-80.0, 60.0), (0.0, 1.0)), (0.0, 250.0), 1.0,
        (93.857618, 212.018816), (88.2933, 216.91), 2000.0,
    ),
}  # fmt: skip
