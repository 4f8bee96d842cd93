"""Phase planes and phase lines, fixed points by their stability, trajectories.

Filled circles are stable, open ones unstable, half of one is a saddle. All that is drawn is in the
object that is given.
"""

from collections.abc import Sequence
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
)

NULLCLINES = (EXCITATORY, INHIBITORY)
UNSTABLE, STABLE = "#b8860b", "#5b7f3a"  # manifolds of saddles
FILL = {
    "stable": "full",
    "unstable": "none",
    "saddle": "left",
    "center": "none",
    "degenerate": "top",
}
ARROWS = 21  # along each axis


def phase_plane(plane: Any, ax: Axes | None = None, trajectories: Sequence[Any] = ()) -> Figure:
    """The plane with its flow, nullclines, separatrices and fixed points.

    Args:
        plane: a `PhasePlane`.
        ax: to draw into; None makes a figure.
        trajectories: to add.
    """
    axes = cleared(ax, 5.4, 4.6)
    x, y = plane.x, plane.y
    unit = np.array([x[-1] - x[0], y[-1] - y[0]])
    speed = np.linalg.norm(plane.velocity / unit, axis=-1)
    shade = np.log10(np.where(speed > 0, speed, speed[speed > 0].min(initial=1.0)))
    low, high = np.percentile(shade, (1, 99))
    axes.imshow(shade, cmap="Greys", alpha=0.6, origin="lower", aspect="auto",
                interpolation="bilinear", extent=(x[0], x[-1], y[0], y[-1]),
                vmin=low, vmax=high + 2.5 * max(high - low, 1e-9))  # fmt: skip
    axes.streamplot(x, y, plane.velocity[..., 0], plane.velocity[..., 1], color=GREY,
                    linewidth=0.5, density=1.1, arrowsize=0.7, broken_streamlines=True)  # fmt: skip
    for color, (name, lines) in zip(NULLCLINES, plane.nullclines.items(), strict=True):
        for k, line in enumerate(lines):
            label = f"{name}′ = 0" if k == 0 else None
            axes.plot(line[:, 0], line[:, 1], color=color, linewidth=1.6, label=label)
    seen = set()
    for line in plane.separatrices:
        label = None if line.kind in seen else f"{line.kind} manifold"
        seen.add(line.kind)
        color = STABLE if line.kind == "stable" else UNSTABLE
        axes.plot(line.x[:, 0], line.x[:, 1], color=color, linewidth=1.1, label=label,
                  linestyle="--" if line.kind == "stable" else "-")  # fmt: skip
    for course in trajectories:
        x = _in_pieces(course)
        axes.plot(x[:, 0], x[:, 1], color=INK, linewidth=1.2)
    _points(axes, plane.fixed_points, 0, 1)
    label_axes(axes, plane.names)
    (left, right), (low, high) = plane.box
    axes.set_xlim(left, right)
    axes.set_ylim(low, high)
    legend_beside(axes)
    return axes.figure  # pyright: ignore[reportReturnType]


def phase_line(line: Any, ax: Axes | None = None) -> Figure:
    """The derivative over the variable, with arrows of the flow on the axis."""
    axes = cleared(ax, 5.4, 3.4)
    axes.axhline(0.0, color=GREY, linewidth=0.8)
    axes.plot(line.x, line.velocity, color=EXCITATORY, linewidth=1.6)
    every = max(1, len(line.x) // ARROWS)
    x, v = line.x[every // 2 :: every], line.velocity[every // 2 :: every]
    for sign, marker in ((1.0, ">"), (-1.0, "<")):
        mine = np.sign(v) == sign
        axes.plot(x[mine], np.zeros(mine.sum()), marker, color=GREY, markersize=4)
    points = line.fixed_points
    for k, value in enumerate(points.x[:, 0]):
        mark_point(axes, value, 0.0, points.stability[k])
    label_axes(axes, (line.name, f"{line.name}′"))
    axes.set_xlim(line.x[0], line.x[-1])
    legend_beside(axes)
    return axes.figure  # pyright: ignore[reportReturnType]


def fixed_points(
    points: Any, ax: Axes | None = None, x: str | None = None, y: str | None = None
) -> Figure:
    """The points in the plane of two variables; of one variable on a line.

    Raises:
        NameLookupError: there is no variable of a name.
    """
    axes = cleared(ax, 4.6, 4.0)
    names = points.names
    for name in (x, y):
        if name is not None and name not in names:
            raise NameLookupError(f'plot: no variable "{name}". {suggestion(name, names)}')
    column = 0 if x is None else names.index(x)
    row = min(1, len(names) - 1) if y is None else names.index(y)
    _points(axes, points, column, row)
    label_axes(axes, (names[column], names[row]))
    legend_beside(axes)
    return axes.figure  # pyright: ignore[reportReturnType]


def trajectory(course: Any, ax: Axes | None = None) -> Figure:
    """The variables over time, in one panel."""
    axes = cleared(ax, 6.4, 3.2)
    for column, name in enumerate(course.names[:8]):
        axes.plot(course.time, course.x[:, column], linewidth=1.1, label=name)
    label_axes(axes, ("time (ms)" if course.flat.is_continuous else "iterate", ""))
    legend_beside(axes)
    return axes.figure  # pyright: ignore[reportReturnType]


def _in_pieces(course: Any) -> np.ndarray:
    """The states, with a gap where the cell is reset."""
    jumps = np.flatnonzero(np.diff(course.time) == 0) + 1
    return np.insert(course.x, jumps, np.nan, axis=0)


def _points(axes: Axes, points: Any, column: int, row: int) -> None:
    for k, label in enumerate(points.stability):
        mark_point(axes, points.x[k, column], points.x[k, row], label)


def mark_point(axes: Axes, x: float, y: float, label: str) -> None:
    """A fixed point by its stability: filled, half filled or open; named once in the legend."""
    known = axes.get_legend_handles_labels()[1]
    kind = label.replace("-", " ").split()[0]
    axes.plot(x, y, "o", color=INK, markersize=7, fillstyle=FILL[kind],  # pyright: ignore
              markerfacecoloralt="white", markerfacecolor="white" if FILL[kind] == "none" else INK,
              markeredgewidth=1.2, linestyle="none", zorder=5, clip_on=False,
              label=None if label in known else label)  # fmt: skip


def label_axes(axes: Axes, names: tuple[str, str]) -> None:
    """Two sides, a few ticks, and what they are."""
    axes.locator_params(nbins=6)
    axes.tick_params(labelsize=8, color=GREY, labelcolor=INK, length=2.5)
    for side in ("left", "bottom"):
        axes.spines[side].set_visible(True)
    axes.set_xlabel(names[0], fontsize=9.5, color=INK)
    axes.set_ylabel(names[1], fontsize=9.5, color=INK)


def legend_beside(axes: Axes) -> None:
    """A legend to the right of the axes, if there is something to name."""
    if axes.get_legend_handles_labels()[1]:
        axes.legend(fontsize=7.5, frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
