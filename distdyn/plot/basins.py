"""Basins of attraction: a map of two variables in pale colours, one for each attractor."""

from typing import Any

import numpy as np

from distdyn.errors import AnalysisError
from distdyn.plot.phase import label_axes, legend_beside
from distdyn.plot.style import INK, Axes, Figure, cleared

PALE = ("#a9c6e8", "#f2b8a6", "#bcd9b0", "#e6d59a", "#cdbbe0", "#b9dcd9", "#e3bcd0", "#cfcac2")
UNDECIDED, DIVERGES = "#ffffff", "#5c6068"


def basins(found: Any, ax: Axes | None = None) -> Figure:
    """The map of two variables, or the line of one, with the attractors and the boundary.

    Args:
        found: `Basins`.
        ax: to draw into; None makes a figure.

    Raises:
        AnalysisError: the grid has more than two axes.
    """
    if len(found.axes) > 2:
        raise AnalysisError(
            f"plot: basins over {len(found.axes)} variables are no map. Take two, with the others "
            "fixed, or use `labels` and `fractions`."
        )
    axes = cleared(ax, 5.4, 4.6 if len(found.axes) == 2 else 1.6)
    x = found.axes[0]
    y = found.axes[1] if len(found.axes) == 2 else np.array([-1.0, 1.0])
    labels = found.labels.reshape(len(x), -1)
    labels = labels if len(found.axes) == 2 else np.repeat(labels, 2, axis=1)
    axes.imshow(
        _colored(labels).swapaxes(0, 1), origin="lower", aspect="auto", interpolation="nearest",
        extent=(*_edges(x), *_edges(y)),
    )  # fmt: skip
    edge = found.boundary()
    axes.plot(edge[:, 0], edge[:, 1] if len(y) > 2 else 0.0 * edge[:, 0], ".", color=INK,
              markersize=1.2, zorder=3)  # fmt: skip
    names = found.names if len(found.axes) == 2 else (found.names[0], "")
    columns = [found.flat.index(name) for name in found.names]
    for k, attractor in enumerate(found.attractors):
        place = np.zeros((len(attractor.x) + 1, 2))
        place[:, : len(columns)] = np.vstack([attractor.x, attractor.x[:1]])[:, columns]
        label = f"{attractor.kind}, {found.fractions[k]:.1%}"
        axes.plot(*place.T, "o" if attractor.period is None else "-", color=INK, markersize=6,
                  linewidth=1.6, zorder=4,
                  label=label)  # fmt: skip
    axes.set_xlim(*_edges(x))
    axes.set_ylim(*_edges(y))
    label_axes(axes, names)
    legend_beside(axes)
    return axes.figure  # pyright: ignore[reportReturnType]


def _colored(labels: np.ndarray) -> np.ndarray:
    """A colour for each label."""
    shades = [*(PALE[k % len(PALE)] for k in range(max(labels.max() + 1, 1))), DIVERGES, UNDECIDED]
    table = np.array([[int(s[k : k + 2], 16) for k in (1, 3, 5)] for s in shades], np.uint8)
    return table[labels]  # -1 and -2 are the last two


def _edges(axis: np.ndarray) -> tuple[float, float]:
    """Of a picture whose cells are around the points of an axis."""
    half = 0.5 * (axis[1] - axis[0])
    return float(axis[0] - half), float(axis[-1] + half)
