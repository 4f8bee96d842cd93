"""Diagrams of limit cycles over a parameter, a cycle over its period, and Lyapunov exponents."""

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

RIGHT, LEFT = (3, 3), (-15, -3)  # where a label is, points


def branches(cycles: Any, ax: Axes | None = None, variable: str | None = None) -> Figure:
    """Minima and maxima over the parameter: solid where stable, special points by name."""
    axes = cleared(ax, 5.4, 3.8)
    name = cycles.names[0] if variable is None else variable
    if name not in cycles.names:
        raise NameLookupError(
            f'plot: {cycles.system} has no variable "{name}". {suggestion(name, cycles.names)}'
        )
    column = cycles.names.index(name)
    for branch in cycles:
        changes = np.flatnonzero(np.diff(branch.stable)) + 1
        for first, last in zip([0, *changes], [*changes, len(branch)], strict=True):
            part = slice(max(0, first - 1), last)  # lines meet
            line, width = ("-", 1.6) if branch.stable[first] else ("--", 1.0)
            for extreme in (branch.minima[part, column], branch.maxima[part, column]):
                axes.plot(branch.values[part], extreme, line, color=EXCITATORY, linewidth=width)
        for point in branch.special:
            y = point.x[column] if point.cycle is None else point.cycle.maximum[column]
            if _is_marked(axes, point.kind, point.value, y):  # the branch of equilibria is there
                continue
            axes.plot(point.value, y, "o", color=INHIBITORY, markersize=3)
            axes.annotate(
                point.kind,
                (point.value, y),
                LEFT if point.kind == "PD" else RIGHT,  # it may be next to a fold
                textcoords="offset points",
                size=7.5,
                color=INK,
            )
    show_axes(axes, cycles.parameter, name)
    return _figure(axes)


def _is_marked(axes: Axes, kind: str, x: float, y: float) -> bool:
    """Whether there is such a label already."""
    there = [text.xy for text in axes.texts if text.get_text() == kind and hasattr(text, "xy")]  # pyright: ignore[reportAttributeAccessIssue]
    return any(np.allclose(xy, (x, y), rtol=1e-6, atol=1e-6) for xy in there)


def cycle(found: Any, ax: Axes | None = None) -> Figure:
    """The variables over one period, each from its minimum to its maximum."""
    axes = cleared(ax, 5.4, 3.8)
    extent = np.maximum(found.maximum - found.minimum, 1e-300)
    for column, name in enumerate(found.flat.names):
        y = (found.x[:, column] - found.minimum[column]) / extent[column]
        label = f"{name}: {found.minimum[column]:.4g} to {found.maximum[column]:.4g}"
        axes.plot(found.time, y, linewidth=1.0, label=label)
    axes.legend(fontsize=7, frameon=False)
    show_axes(axes, "time (ms)", "from minimum to maximum")
    return _figure(axes)


def exponents(spectrum: Any, ax: Axes | None = None) -> Figure:
    """The mean of each exponent over the time up to t."""
    axes = cleared(ax, 5.4, 3.8)
    count = np.arange(1, len(spectrum.parts) + 1)
    time = spectrum.T * count / len(spectrum.parts)
    axes.axhline(0.0, color=GREY, linewidth=0.8)
    axes.plot(time, np.cumsum(spectrum.parts, axis=0) / count[:, None], linewidth=1.0)
    show_axes(axes, "time (ms)", "Lyapunov exponents (1/ms)")
    return _figure(axes)


def _figure(axes: Axes) -> Figure:
    return axes.figure  # pyright: ignore[reportReturnType]
