"""Parameter sweeps: a measure along one parameter, or over two as a map."""

import numpy as np

from distdyn.analysis.sweep import Sweep
from distdyn.errors import AnalysisError
from distdyn.plot.style import EXCITATORY, INK, Axes, Figure, cleared, show_axes


def sweep(table: Sweep, ax: Axes | None = None, measure: str | None = None) -> Figure:
    """A measure of a sweep over one or two parameters; other points are gaps.

    Args:
        table: of a sweep.
        ax: to draw into; None makes a figure.
        measure: its name; by default the first.

    Raises:
        AnalysisError: nothing was measured, or the grid has more than two parameters that vary.
    """
    if not table.values:
        raise AnalysisError("this sweep has no measure to draw: no point was done.")
    measure = next(iter(table.values)) if measure is None else measure
    names = [name for name, x in table.points.columns.items() if len(np.unique(x)) > 1]
    if not 1 <= len(names) <= 2:
        raise AnalysisError(
            f"a sweep over {len(names)} parameters that vary ({', '.join(names)}) is not drawn. "
            "Draw table.on_grid(name) along two of its axes."
        )
    axes = cleared(ax, 4.2, 3.0)
    if len(names) == 1:
        order = np.argsort(table[names[0]], kind="stable")
        x, y = table[names[0]][order], table[measure][order]
        axes.plot(x, y, color=EXCITATORY, linewidth=1.4, marker=".", markersize=3)
        show_axes(axes, names[0], measure)
        return axes.figure  # pyright: ignore[reportReturnType]
    (x, column), (y, row) = (np.unique(table[name], return_inverse=True) for name in names)
    image = np.full((len(y), len(x)), np.nan)
    image[row, column] = table[measure]
    mesh = axes.pcolormesh(x, y, image, cmap="viridis", shading="nearest")
    show_axes(axes, *names)
    bar = axes.figure.colorbar(mesh, ax=axes)
    bar.set_label(measure, fontsize=8.5, color=INK)
    bar.outline.set_visible(False)  # pyright: ignore[reportCallIssue]
    return axes.figure  # pyright: ignore[reportReturnType]
