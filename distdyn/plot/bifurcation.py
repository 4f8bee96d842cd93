"""Bifurcation diagrams: branches over a parameter, curves of bifurcations in the plane of two.

Solid lines are stable, dashed ones unstable; a marker with its abbreviation is a bifurcation. Thin
views: all that is drawn is in the object that is given.
"""

from itertools import pairwise
from typing import Any

import numpy as np

from distdyn.errors import NameLookupError, suggestion
from distdyn.plot.style import (
    EXCITATORY,
    GREY,
    INHIBITORY,
    INK,
    Axes,
    Figure,
    cleared,
    show_axes,
)

MARKERS = {"LP": "s", "H": "o", "BP": "D", "BT": "o", "CP": "^", "GH": "v", "ZH": "P", "HH": "X"}
CURVES = {"LP": EXCITATORY, "H": INHIBITORY}


def branches(found: Any, ax: Axes | None = None, variable: str | None = None) -> Figure:
    """Branches over their parameter, or curves in the plane of two parameters.

    Args:
        found: `Branches`.
        ax: to draw into; None makes a figure.
        variable: over one parameter, what is drawn; by default the first variable.

    Raises:
        NameLookupError: there is no variable of a name.
    """
    if variable is not None and variable not in found.names:
        raise NameLookupError(
            f'plot: no variable "{variable}". {suggestion(variable, found.names)}'
        )
    axes = cleared(ax, 5.4, 3.8)
    if len(found.parameters) == 2:
        _curves(axes, found)
        labels = found.parameters
    else:
        column = 0 if variable is None else found.names.index(variable)
        _branches(axes, found, column)
        labels = (found.parameters[0], found.names[column])
    show_axes(axes, *labels)
    return axes.figure  # pyright: ignore[reportReturnType]


def _branches(axes: Axes, found: Any, column: int) -> None:
    for branch in found:
        place = np.array(branch.at, int) + 1  # where a special point belongs among the others
        x = np.insert(branch.values, place, [float(point.value) for point in branch.special])
        y = np.insert(branch.x[:, column], place, [point.x[column] for point in branch.special])
        is_special = np.insert(np.zeros(len(branch), bool), place, True)
        is_stable = np.insert(branch.stable, place, False)
        between = np.where(is_special[:-1], is_stable[1:], is_stable[:-1])  # of each piece of line
        changes = np.flatnonzero(np.diff(between)) + 1
        for first, last in pairwise([0, *changes.tolist(), len(between)]):
            part = slice(first, last + 1)
            style = ("-", 1.8, INK) if between[first] else ("--", 1.0, GREY)
            axes.plot(x[part], y[part], linestyle=style[0], linewidth=style[1], color=style[2])
    for point in found.points():
        _marker(axes, point.kind, float(point.value), float(point.x[column]))


def _curves(axes: Axes, found: Any) -> None:
    for kind, color in CURVES.items():
        label: str | None = kind
        for branch in found:
            if branch.kind == kind:
                axes.plot(*branch.values.T, color=color, linewidth=1.4, label=label)
                label = None
    for point in found.points():
        _marker(axes, point.kind, *point.value)
    if len(found):
        axes.legend(frameon=False, fontsize=8)


def _marker(axes: Axes, kind: str, x: float, y: float) -> None:
    axes.plot([x], [y], MARKERS.get(kind, "o"), color=INHIBITORY, markersize=4.5, zorder=3)
    axes.annotate(
        kind, (x, y), xytext=(4, 4), textcoords="offset points", fontsize=7.5, color=INK
    )  # fmt: skip
