"""What changes over time: variables of some neurons, and rates of populations."""

from collections.abc import Sequence

import numpy as np

from distdyn.analysis.measure import population_rate
from distdyn.errors import NameLookupError, RecordError, suggestion
from distdyn.plot.style import (
    INK,
    Figure,
    clear,
    color_of,
    new_figure,
    recorded_paths,
    show_axes,
    steps_in,
)
from distdyn.run.recording import Recording

SHADES = (0.95, 0.35)  # opacity of the first and of the last neuron


def traces(
    recording: Recording,
    path: str | Sequence[str] | None = None,
    *,
    ids: Sequence[int] | None = None,
    window: tuple[float, float] | None = None,
    title: str | None = None,
) -> Figure:
    """The variables that were recorded, one below the other: a line for each neuron.

    Args:
        recording: of a run.
        path: one variable or several, as `E.V`; all that were recorded by default.
        ids: of the neurons; by default the first five of each.
        window: first and last time to show, in ms; by default all.
        title: of the page.

    Raises:
        NameLookupError: a variable was not recorded.
        RecordError: there are no traces, a neuron was not recorded, or the window is empty.
    """
    paths = _variables(recording, path)
    start, stop = steps_in(recording, window)
    shown = recording.part(start, stop)
    figure = new_figure(9.0, 0.6 + 1.5 * len(paths))
    panels = figure.subplots(len(paths), 1, sharex=True, squeeze=False)[:, 0]
    for axes, name in zip(panels, paths, strict=True):
        trace = shown.traces[name]
        columns = _columns(name, trace.id, ids)
        for column, shade in zip(columns, np.linspace(*SHADES, len(columns)), strict=True):
            axes.plot(
                trace.time, trace.value[:, column], linewidth=0.9, alpha=float(shade),
                color=color_of(name.rpartition(".")[0]), label=str(trace.id[column]),
            )  # fmt: skip
        clear(axes)
        unit = f" ({trace.unit})" if trace.unit else ""
        show_axes(axes, "time (ms)" if axes is panels[-1] else "", f"{name}{unit}")
    panels[-1].set_xlim(*recording.header.time(np.array([start, max(stop, start + 1)])))
    panels[0].set_title(title or "", loc="left", fontsize=11, fontweight="bold", color=INK)
    return figure


def rates(
    recording: Recording,
    path: str | Sequence[str] | None = None,
    *,
    width: float = 5.0,
    window: tuple[float, float] | None = None,
    title: str | None = None,
) -> Figure:
    """The mean rate of each population over time, one below the other, with the same scale.

    Args:
        recording: of a run.
        path: one population or several; all that were recorded by default.
        width: of the bins, in ms, which divides the window.
        window: first and last time to show, in ms; by default all.
        title: of the page.

    Raises:
        NameLookupError: a population does not exist or was not recorded.
        RecordError: there are no spikes in the recording, or the window is empty.
        ParameterError: the width does not divide the window.
    """
    paths = recorded_paths(recording, path)
    start, stop = steps_in(recording, window)
    if start == stop:
        raise RecordError("plot: rates: the recording is empty. Run for longer than 0 ms.")
    first, last = recording.header.time(np.array([start, stop])).tolist()
    shown = recording.part(start, stop)
    figure = new_figure(9.0, 0.6 + 1.1 * len(paths))
    panels = figure.subplots(len(paths), 1, sharex=True, sharey=True, squeeze=False)[:, 0]
    for axes, name in zip(panels, paths, strict=True):
        size = max(1, recording.sizes[name])
        time, rate = population_rate(shown.spikes[name], (first, last), width, n=size)
        axes.fill_between(time, rate, color=color_of(name), alpha=0.13, linewidth=0, step="mid")
        axes.step(time, rate, where="mid", color=color_of(name), linewidth=1.1)
        clear(axes)
        show_axes(axes, "time (ms)" if axes is panels[-1] else "", f"{name} (Hz)")
    panels[-1].set_xlim(first, last)
    panels[-1].set_ylim(bottom=0.0)
    panels[0].set_title(title or "", loc="left", fontsize=11, fontweight="bold", color=INK)
    return figure


def _variables(recording: Recording, path: str | Sequence[str] | None) -> list[str]:
    known = list(recording.trace_rows)
    if not known:
        raise RecordError('plot: no traces were recorded. Run again with, say, record="E.V".')
    paths = known if path is None else [path] if isinstance(path, str) else list(path)
    for name in paths:
        if name not in known:
            raise NameLookupError(f'plot: "{name}" was not recorded. {suggestion(name, known)}')
    return paths


def _columns(path: str, recorded: np.ndarray, ids: Sequence[int] | None) -> list[int]:
    if ids is None:
        return list(range(min(5, len(recorded))))
    place = {int(id): column for column, id in enumerate(recorded)}
    missing = [id for id in ids if id not in place]
    if missing:
        raise RecordError(
            f'plot: neuron {missing[0]} of "{path}" was not recorded. Recorded are '
            f"{', '.join(map(str, list(place)[:10]))}{', ...' if len(place) > 10 else ''}."
        )
    return [place[id] for id in ids]
