"""Bifurcation diagrams with their cycles, and the trajectories of fast-slow systems over them."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from distdyn.errors import NameLookupError, suggestion
from distdyn.plot.style import INK, Axes, Figure, cleared, show_axes

WHOLE = "#2a9d5c"  # trajectories of the whole system
ROOM = 0.05  # beyond the intervals


def bifurcation(diagram: Any, ax: Axes | None = None, variable: str | None = None) -> Figure:
    """Equilibria and cycles over one parameter; of two the curves in their plane, or the surface.

    Args:
        diagram: a `Bifurcation1D` or `Bifurcation2D`.
        ax: to draw into; None makes a figure.
        variable: over the first parameter, what is drawn; the first by default. Given, of two
            parameters the slices of the surface are drawn, lighter for larger values of the second.

    Raises:
        NameLookupError: there is no variable of a name.
    """
    if variable is not None and variable not in diagram.names:
        raise NameLookupError(
            f'plot: no variable "{variable}". {suggestion(variable, diagram.names)}'
        )
    axes = cleared(ax, 5.4, 3.8)
    if len(diagram.parameters) == 2 and variable is not None:
        _surface(axes, diagram, variable)
    elif len(diagram.parameters) == 2:
        diagram.curves.plot(axes)
        axes.set_ylim(*_widened(*diagram.over[diagram.parameters[1]]))
    else:
        diagram.equilibria.plot(axes, variable)
        if diagram.n_variables > 1:
            _without_hopf(diagram.cycles).plot(axes, variable)
    axes.set_xlim(*_widened(*diagram.over[diagram.parameters[0]]))
    return axes.figure  # pyright: ignore[reportReturnType]


def fast_slow(
    system: Any, ax: Axes | None, variable: str | None, trajectories: Sequence[Any]
) -> Figure:
    """Trajectories over the diagram of the fast variables, or in the plane of two slow ones."""
    axes = cleared(ax, 5.4, 3.8)
    bifurcation(system.diagram, axes, variable)
    names = system.slow
    if len(names) == 1 or variable is not None:
        names = (names[0], system.diagram.names[0] if variable is None else variable)
    for course in trajectories:
        columns = [course.names.index(name) for name in names]
        axes.plot(*course.x[:, columns].T, color=WHOLE, linewidth=0.6, alpha=0.9, zorder=1.5)
    return axes.figure  # pyright: ignore[reportReturnType]


def _surface(axes: Axes, diagram: Any, variable: str) -> None:
    """Each slice in its own grey, with the value of the second parameter at its end."""
    column = diagram.names.index(variable)
    for k, (value, branches) in enumerate(diagram.surface.items()):
        shade = 0.65 * k / max(1, len(diagram.surface) - 1)
        for branch in branches:
            y = branch.x[:, column]
            for line, is_drawn in (("-", branch.stable), ("--", ~branch.stable)):
                width = 1.6 if line == "-" else 0.9
                axes.plot(
                    branch.values, np.where(is_drawn, y, np.nan), line, color=str(shade),
                    linewidth=width,
                )  # fmt: skip
        last = branches[0]
        axes.annotate(
            f"{diagram.parameters[1]} = {value:.4g}", (last.values[-1], last.x[-1, column]),
            xytext=(3, 0), textcoords="offset points", fontsize=7, color=INK, annotation_clip=False,
        )  # fmt: skip
    show_axes(axes, diagram.parameters[0], variable)


def _without_hopf(cycles: Any) -> Any:
    """Hopf points are marked where equilibria have them."""
    branches = [
        replace(branch, special=tuple(p for p in branch.special if p.kind != "H"))
        for branch in cycles
    ]
    return replace(cycles, branches=tuple(branches))


def _widened(low: float, high: float) -> tuple[float, float]:
    room = ROOM * (high - low)
    return low - room, high + room
