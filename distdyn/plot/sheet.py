"""A sheet of neurons in motion: the values of a two-dimensional population, frame after frame."""

import os
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from distdyn.analysis.measure import counts
from distdyn.errors import NameLookupError, ParameterError, RunDirectoryError, suggestion
from distdyn.plot.style import GREY, INK, FuncAnimation, PillowWriter, new_figure, steps_in
from distdyn.run.recording import Recording


def animate(
    recording: Recording,
    path: str,
    shape: tuple[int, int],
    out: str | os.PathLike,
    *,
    frame: float | None = None,
    fps: float = 20.0,
    window: tuple[float, float] | None = None,
) -> Path:
    """Write a moving picture (GIF) of a population whose neurons fill a sheet.

    Args:
        recording: of a run.
        path: a variable that was recorded of all neurons, as `E.V`; or a population whose spikes
            were, as `E`: then each frame shows how often each neuron spiked.
        shape: rows and columns of the sheet; ids are in C order.
        out: the file to write.
        frame: how much time a frame shows, in ms; by default one sample, and 5 ms of spikes.
        fps: frames per second of the picture.
        window: first and last time to show, in ms; by default all.

    Returns:
        The path of the file.

    Raises:
        NameLookupError: neither such a variable nor such spikes were recorded.
        ParameterError: the shape is not that of the population, or there is nothing to show.
        RunDirectoryError: the file cannot be written.
    """
    start, stop = steps_in(recording, window)
    time, values = _frames(recording.part(start, stop), path, frame)
    rows, columns = shape
    if values.shape[1] != rows * columns or not len(values) or not fps > 0:
        raise ParameterError(
            f'plot: animate: "{path}" has {values.shape[1]} neurons and {len(values)} frames; '
            f"shape = {shape}, fps = {fps:g}. Give rows x columns = neurons, at least one frame, "
            "and fps > 0."
        )
    sheets = values.reshape(-1, rows, columns)
    figure = new_figure(4.0 * min(2.0, max(0.7, columns / rows)), 4.0, dpi=100)
    axes = figure.add_subplot()
    image = axes.imshow(
        sheets[0], cmap="viridis", vmin=float(values.min()), vmax=float(values.max()),
        interpolation="nearest",
    )  # fmt: skip
    figure.colorbar(image, ax=axes, shrink=0.7).ax.tick_params(labelsize=8)
    axes.set_axis_off()
    heading = axes.set_title("", loc="left", fontsize=9, color=INK)
    axes.set_title(path, loc="right", fontsize=9, color=GREY)

    def show(k: int) -> tuple:
        image.set_data(sheets[k])
        heading.set_text(f"{time[k]:.6g} ms")
        return image, heading

    motion = FuncAnimation(figure, show, frames=len(sheets), interval=1000.0 / fps)  # pyright: ignore
    try:
        motion.save(os.fspath(out), writer=PillowWriter(fps=fps))  # pyright: ignore
    except OSError as error:
        raise RunDirectoryError(
            f'plot: cannot write "{out}": {error.strerror or error}. Name another file.'
        ) from error
    return Path(out)


def _frames(
    recording: Recording, path: str, frame: float | None
) -> tuple[Float64[np.ndarray, "f"], Float64[np.ndarray, "f n"]]:
    """Times, and a row of values for each frame."""
    if path in recording.trace_rows:
        trace = recording.traces[path]
        order = np.argsort(trace.id)
        time, values = trace.time, np.asarray(trace.value, np.float64)[:, order]
        if frame is not None and len(time) > 1:
            every = max(1, round(frame / (time[1] - time[0])))
            time, values = time[::every], values[::every]
        return time, values
    if path in recording.spike_rows:
        width = 5.0 if frame is None else frame
        first, last = recording.header.time(np.array([recording.start, recording.stop])).tolist()
        table = counts(recording.spikes[path], (first, last), width, n=recording.sizes[path])
        time = first + (np.arange(table.shape[1]) + 1) * width
        return time, table.T.astype(np.float64)
    known = [*recording.trace_rows, *recording.spike_rows]
    raise NameLookupError(f'plot: "{path}" was not recorded. {suggestion(path, known)}')
