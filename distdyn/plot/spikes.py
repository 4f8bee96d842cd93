"""The spikes of a recording on one page: raster, mean rates, activity over time."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float64, Int64

from distdyn.errors import (
    RecordError,
    RunDirectoryError,
)
from distdyn.plot.style import (
    BAND,
    EXCITATORY,
    GREY,
    INHIBITORY,
    INK,
    Axes,
    Figure,
    clear,
    color_of,
    is_inhibitory,
    new_figure,
    recorded_paths,
    show_axes,
    steps_in,
)
from distdyn.run.reader import load, read_run
from distdyn.run.recording import Recording

_SMOOTH = 2.0  # ms, standard deviation of the Gaussian that smooths the activity
_WINDOW = 300.0  # ms


def raster(
    recording: Recording,
    path: str | Sequence[str] | None = None,
    *,
    window: tuple[float, float] | None = None,
    max_ids: int = 4000,
    reference: Mapping[str, float] | None = None,
    title: str | None = None,
) -> Figure:
    """The spikes of all populations, the mean rate of each, and the activity over time.

    Args:
        recording: of a run.
        path: one population or several; all that were recorded by default.
        window: first and last time to show, in ms; by default all. Rates are those of the whole
            recording.
        max_ids: about how many neurons to show, shared out to the populations by size.
        reference: rates in Hz to mark beside those of the recording.
        title: by default what the recording is.

    Raises:
        NameLookupError: a population does not exist or was not recorded.
        RecordError: there are no spikes in the recording, or the window is empty.
    """
    if max_ids < 1:
        raise RecordError(f"plot: max_ids = {max_ids} shows nothing. Use at least 1.")
    paths = recorded_paths(recording, path)
    start, stop = steps_in(recording, window)
    shown = recording.part(start, stop)
    bands = _bands([recording.sizes[path] for path in paths], max_ids)
    n_rows = sum(map(_n_rows, [recording.sizes[path] for path in paths], bands))
    height = _height(len(paths), n_rows)
    figure = new_figure(9.0, height + 1.7)
    (dots, bars), (activity, corner) = figure.subplots(
        2, 2, width_ratios=(5.2, 1.0), height_ratios=(height, 0.94)
    )
    _draw_spikes(dots, shown, paths, bands, 72.0 * height / n_rows if 0 < n_rows <= 100 else None)
    _draw_rates(bars, recording.rates(), reference or {}, paths, bands, height)
    _draw_activity(activity, shown, paths)
    _draw_legend(corner, paths, reference or {})
    for axes in (dots, activity):
        axes.set_xlim(*recording.header.time(np.array([start, max(stop, start + 1)])))
    _write_title(figure, dots, recording, title)
    return figure


def plot_run(
    directory: str | os.PathLike,
    out: str | os.PathLike | None = None,
    *,
    window: tuple[float, float] | None = None,
    reference: Mapping[str, float] | None = None,
) -> Path:
    """Draw a run directory into a PNG file; returns its path.

    Args:
        directory: of a run.
        out: the file to write, by default `raster.png` in the directory.
        window: first and last time to show, in ms; by default the last 300.
        reference: rates in Hz to mark beside those of the run.

    Raises:
        RunDirectoryError: the directory cannot be read, or the file cannot be written.
        RecordError: no spikes were recorded.
    """
    recording, run = load(directory), read_run(directory)
    if window is None:
        start, stop = recording.header.time(np.array([recording.start, recording.stop]))
        window = (float(max(start, stop - _WINDOW)), float(stop))
    network = run.get("network")
    title = str(network) if network else None
    figure = raster(recording, window=window, reference=reference, title=title)
    path = Path(directory) / "raster.png" if out is None else Path(out)
    try:
        figure.savefig(path, format="png")
    except OSError as error:
        raise RunDirectoryError(
            f'plot: cannot write "{path}": {error.strerror}. Name another file with -o.'
        ) from error
    return path


def _bands(sizes: Sequence[int], max_ids: int) -> list[tuple[float, float]]:
    """Top and height of the band of each population, in rows.

    Heights go with the sizes, but a label fits beside the smallest.
    """
    share = np.array(sizes, np.float64) / max(1, sum(sizes))
    share = np.maximum(share, min(0.026, 0.7 / len(sizes)))
    heights = max_ids * share / share.sum()
    gap = max_ids * min(0.012, 0.1 / len(sizes))
    tops = np.concatenate([[0.0], np.cumsum(heights[:-1] + gap)])
    return list(zip(tops.tolist(), heights.tolist(), strict=True))


def _n_rows(size: int, band: tuple[float, float]) -> int:
    """How many neurons of a population are shown in its band."""
    return min(size, max(1, round(band[1])))


def _height(n_populations: int, n_rows: int) -> float:
    """Of the raster, in inches: room for every label, and no more than the rows need."""
    return min(40.0, max(0.22 * n_populations, 0.9, min(4.7, 0.1 * n_rows)))


def _centres(bands: Sequence[tuple[float, float]]) -> list[float]:
    return [top + height / 2 for top, height in bands]


def _draw_spikes(
    axes: Axes,
    recording: Recording,
    paths: Sequence[str],
    bands: Sequence[tuple[float, float]],
    tick: float | None,
) -> None:
    """A dot per spike, a row per neuron; neurons are picked evenly from each population.

    Few rows get ticks instead, of this height in points.
    """
    drawn = []
    for path, (top, height) in zip(paths, bands, strict=True):
        size = recording.sizes[path]
        n_rows = _n_rows(size, (top, height))
        row = np.full(size, -1)
        row[(np.arange(n_rows) * size) // max(1, n_rows)] = np.arange(n_rows)
        spikes = recording.spikes[path]
        place = row[spikes.id]
        picked = place >= 0
        drawn.append((spikes.time[picked], top + (place[picked] + 0.5) * height / max(1, n_rows)))
    n_dots = sum(len(time) for time, _ in drawn)
    dot = float(np.clip(165.0 / np.sqrt(max(1, n_dots)), 1.3, 2.6))
    mark = {"marker": ".", "markersize": dot, "markeredgewidth": 0.0}
    if tick is not None:
        mark = {"marker": "|", "markersize": min(0.7 * tick, 14.0), "markeredgewidth": 1.1}
    for path, (top, height), (time, y) in zip(paths, bands, drawn, strict=True):
        axes.axhspan(top, top + height, color=BAND, linewidth=0, zorder=0)
        axes.plot(time, y, linestyle="none", color=color_of(path), **mark)
    clear(axes)
    axes.set_ylim(bands[-1][0] + bands[-1][1], 0.0)
    axes.set_yticks(_centres(bands), paths, fontsize=9)
    for label, path in zip(axes.get_yticklabels(), paths, strict=True):
        label.set_color(color_of(path))
    axes.tick_params(length=0, labelbottom=False)


def _draw_rates(
    axes: Axes,
    rates: Mapping[str, float],
    reference: Mapping[str, float],
    paths: Sequence[str],
    bands: Sequence[tuple[float, float]],
    inches: float,
) -> None:
    """A bar per population, beside its band, with its rate as a number."""
    low, high = bands[0][0], bands[-1][0] + bands[-1][1]
    largest = max([rates[path] for path in paths] + [reference.get(path, 0.0) for path in paths])
    largest = largest or 1.0
    thick = 0.085 / inches * (high - low)
    for path, y in zip(paths, _centres(bands), strict=True):
        axes.barh(y, rates[path], height=thick, color=color_of(path), linewidth=0)
        end = max(rates[path], reference.get(path, 0.0))
        axes.text(
            end + 0.075 * largest, y, f"{rates[path]:.1f}", va="center", fontsize=8, color=INK
        )
        if path in reference:
            axes.plot(
                reference[path], y, "D", markersize=3.4, color="white", markeredgecolor=INK,
                markeredgewidth=0.8, clip_on=False, zorder=3,
            )  # fmt: skip
    clear(axes)
    axes.set_ylim(high, low)
    axes.set_xlim(0.0, 1.36 * largest)
    axes.set_yticks([])
    axes.set_xticks([])
    axes.spines["left"].set_visible(True)
    axes.set_title("mean rate (Hz)", loc="left", fontsize=8.5, color=GREY)


def _draw_activity(axes: Axes, recording: Recording, paths: Sequence[str]) -> None:
    """The rate of all excitatory and of all inhibitory neurons over time, smoothed."""
    for kind, color in ((False, EXCITATORY), (True, INHIBITORY)):
        chosen = [path for path in paths if is_inhibitory(path) == kind]
        size = sum(recording.sizes[path] for path in chosen)
        if not size:
            continue
        steps = np.concatenate([recording.spikes[path].step for path in chosen])
        time, rate = _activity(recording, steps, size)
        axes.fill_between(time, rate, color=color, alpha=0.13, linewidth=0)
        axes.plot(time, rate, color=color, linewidth=1.1)
    clear(axes)
    axes.set_ylim(bottom=0.0)
    show_axes(axes, "time (ms)", "rate (Hz)")


def _activity(
    recording: Recording, step: Int64[np.ndarray, "s"], size: int
) -> tuple[Float64[np.ndarray, "t"], Float64[np.ndarray, "t"]]:
    """Time (ms) and rate per neuron (Hz), in bins of about 1 ms, smoothed by a Gaussian."""
    n_steps = max(1, recording.stop - recording.start)
    width = max(1, round(max(1.0, recording.duration / 1500.0) / recording.dt))
    n_bins = -(-n_steps // width)
    counts = np.bincount((step - recording.start - 1) // width, minlength=n_bins)
    steps = np.full(n_bins, width)
    steps[-1] = n_steps - width * (n_bins - 1)  # the last bin may be shorter
    sd = max(_SMOOTH / (width * recording.dt), 0.5)
    reach = np.arange(-int(4 * sd) - 1, int(4 * sd) + 2)
    kernel = np.exp(-0.5 * (reach / sd) ** 2)
    middle = slice(len(reach) // 2, len(reach) // 2 + n_bins)
    smooth, norm = (np.convolve(x, kernel)[middle] for x in (counts, steps))
    time = recording.header.time(recording.start + (np.arange(n_bins) + 0.5) * width)
    return time, smooth / norm / size / recording.dt * 1000.0


def _draw_legend(axes: Axes, paths: Sequence[str], reference: Mapping[str, float]) -> None:
    """What the colours and the marks mean."""
    kinds = {is_inhibitory(path) for path in paths}
    if len(kinds) == 2:
        axes.plot([], [], "-", linewidth=3, color=EXCITATORY, label="excitatory")
        axes.plot([], [], "-", linewidth=3, color=INHIBITORY, label="inhibitory")
    if set(paths) & set(reference):
        mark = {"color": "white", "markeredgecolor": INK, "markeredgewidth": 0.8}
        axes.plot([], [], "D", markersize=3.4, label="reference", **mark)
    axes.set_axis_off()
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="center left", frameon=False, fontsize=8.5, handlelength=1.2,
                    borderpad=0.0, labelcolor=INK)  # fmt: skip


def _write_title(figure: Figure, axes: Axes, recording: Recording, title: str | None) -> None:
    n_spikes = sum(recording.counts().values())
    size = sum(recording.sizes.values())
    about = (
        f"{size:,} neuron{'s' * (size != 1)},  {n_spikes:,} spike{'s' * (n_spikes != 1)} in "
        f"{recording.duration:,.6g} ms"
    )
    axes.set_title(title or "spikes", loc="left", fontsize=11, fontweight="bold", color=INK)
    axes.set_title(about, loc="right", fontsize=8.5, color=GREY)
