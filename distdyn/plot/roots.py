"""Characteristic roots in the complex plane: filled where they decay, open where they grow."""

from typing import Any

import numpy as np

from distdyn.plot.style import EXCITATORY, GREY, INHIBITORY, Axes, Figure, cleared, show_axes


def characteristic_roots(found: Any, ax: Axes | None = None) -> Figure:
    """The roots, with the line on which stability ends.

    Args:
        found: `CharacteristicRoots`.
        ax: to draw into; None makes a figure.
    """
    axes = cleared(ax, 4.2, 3.8)
    axes.axvline(0.0, color=GREY, linewidth=0.8)
    z, grows = found.values, np.real(found.values) > 0.0
    axes.plot(z[~grows].real, z[~grows].imag, "o", color=EXCITATORY, markersize=5)
    axes.plot(z[grows].real, z[grows].imag, "o", color=INHIBITORY, markersize=6,
              markerfacecolor="white", markeredgewidth=1.4)  # fmt: skip
    show_axes(axes, "real part (1/ms)", "imaginary part (1/ms)")
    return axes.figure  # pyright: ignore[reportReturnType]
