"""What figures have in common: matplotlib, colours, axes, and what may be asked for."""

from collections.abc import Sequence

import numpy as np

from distdyn.errors import NameLookupError, PlatformError, RecordError, suggestion
from distdyn.run.recording import Recording

try:
    from matplotlib.animation import FuncAnimation as FuncAnimation
    from matplotlib.animation import PillowWriter as PillowWriter
    from matplotlib.axes import Axes as Axes
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine
except ModuleNotFoundError as error:
    raise PlatformError(
        "plot: matplotlib is not installed. Install it: pip install 'distdyn[plot]'."
    ) from error

EXCITATORY, INHIBITORY = "#1b4f8f", "#c8432b"
INK, GREY, BAND = "#222222", "#8a8f98", "#f3f5f8"


def new_figure(width: float, height: float, dpi: int = 200) -> Figure:
    """A figure of so many inches that no window knows of."""
    layout = ConstrainedLayoutEngine(w_pad=0.06, h_pad=0.05, wspace=0.0, hspace=0.0)
    figure = Figure(figsize=(width, height), dpi=dpi, layout=layout, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def show_axes(axes: Axes, x: str, y: str) -> None:
    """A line below and one at the left, with few numbers and these labels."""
    axes.locator_params(axis="y", nbins=3)
    axes.tick_params(labelsize=8, color=GREY, labelcolor=INK, length=2.5)
    axes.spines["left"].set_visible(True)
    axes.spines["bottom"].set_visible(True)
    axes.set_xlabel(x, fontsize=9, color=INK)
    axes.set_ylabel(y, fontsize=8.5, color=INK)


def recorded_paths(recording: Recording, path: str | Sequence[str] | None) -> list[str]:
    """The populations to draw, first to last from top to bottom."""
    known = [name for name in recording.sizes if name in recording.spike_rows]
    if not known:
        raise RecordError('plot: no spikes were recorded. Run again with record="spikes".')
    if path is None:
        return known
    paths = [path] if isinstance(path, str) else list(path)
    for name in paths:
        if name not in known:
            raise NameLookupError(
                f'plot: spikes of "{name}" were not recorded. {suggestion(name, known)}'
            )
    return paths


def steps_in(recording: Recording, window: tuple[float, float] | None) -> tuple[int, int]:
    """First and last step to draw."""
    if window is None:
        return recording.start, recording.stop
    bounds = (np.asarray(window, np.float64) - recording.header.t0) / recording.dt
    if bounds.shape != (2,) or not np.all(np.isfinite(bounds)):
        raise RecordError(f"plot: window = {window} is not a first and a last time in ms.")
    start, stop = np.clip(np.rint(bounds), recording.start, recording.stop).astype(int).tolist()
    if start >= stop and recording.start < recording.stop:
        first, last = recording.header.time(np.array([recording.start, recording.stop]))
        raise RecordError(
            f"plot: window = {window} ms shows nothing of the recording, which goes from {first:g} "
            f"to {last:g} ms. Choose a window within it."
        )
    return start, stop


def is_inhibitory(path: str) -> bool:
    """By the custom of the field: the name ends in I."""
    return path.endswith("I")


def color_of(path: str) -> str:
    """Blue for excitatory, red for inhibitory populations."""
    return INHIBITORY if is_inhibitory(path) else EXCITATORY


def cleared(ax: Axes | None, width: float, height: float) -> Axes:
    """These axes without a frame, or those of a new figure."""
    axes = new_figure(width, height).add_subplot() if ax is None else ax
    clear(axes)
    return axes


def clear(axes: Axes) -> None:
    """No frame; a side that means something is switched on again."""
    for spine in axes.spines.values():
        spine.set_visible(False)
        spine.set_color(GREY)
        spine.set_linewidth(0.8)
