"""Slow points among the states from which they were searched, in the plane of most variance."""

from typing import Any

import numpy as np

from distdyn.plot.phase import label_axes, legend_beside, mark_point
from distdyn.plot.style import EXCITATORY, GREY, INHIBITORY, Axes, Figure, cleared


def slow_points(found: Any, ax: Axes | None = None) -> Figure:
    """The points in the plane of the first two principal components of the states.

    States are grey, lines and rings blue, surfaces blue points; of points that stand alone filled
    circles are stable, open ones unstable, and crosses are slow but not fixed.

    Args:
        found: `SlowPoints`.
        ax: to draw into; None makes a figure.
    """
    axes = cleared(ax, 5.4, 4.6)
    center = found.states.mean(axis=0)
    _, size, directions = np.linalg.svd(found.states - center, full_matrices=False)
    plane = np.zeros((2, found.states.shape[1]))
    plane[: len(directions[:2])] = directions[:2]
    part = np.square(size) / max(float(np.square(size).sum()), 1e-300)
    states, points = (found.states - center) @ plane.T, (found.x - center) @ plane.T
    axes.plot(*states.T, ".", color=GREY, markersize=2, alpha=0.5, label="states")
    for kind, members, _ in found.manifolds:
        way = points[np.append(members, members[:1]) if kind == "ring" else members]
        style = "." if kind == "surface" else ".-"
        axes.plot(*way.T, style, color=EXCITATORY, linewidth=1.2, markersize=5, label=kind)
    for k in np.flatnonzero(found.manifold < 0):
        if found.is_fixed[k]:
            mark_point(axes, points[k, 0], points[k, 1], found.stability[k])
        else:
            first = "slow" not in axes.get_legend_handles_labels()[1]
            axes.plot(*points[k], "x", color=INHIBITORY, markersize=6, zorder=5,
                      label="slow" if first else None)  # fmt: skip
    one, two = (100 * part[k] if k < len(part) else 0.0 for k in range(2))
    label_axes(axes, (f"component 1 ({one:.0f} %)", f"component 2 ({two:.0f} %)"))
    legend_beside(axes)
    return axes.figure  # pyright: ignore[reportReturnType]
