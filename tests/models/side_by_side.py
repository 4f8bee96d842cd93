"""Cells side by side in one network, not connected: one build and one run for many tests."""

import numpy as np

import distdyn as dd


class SideBySide(dd.Network):
    """One population for each name; `name=model` or `name=(model, {state: value})`."""

    def __init__(self, size, cells):
        for name, cell in cells.items():
            model, initial = cell if isinstance(cell, tuple) else (cell, {})
            setattr(self, name, dd.Population(size, model, **initial))


def spike_times(cells, *, dt, duration, precision="float64"):
    """The times of the spikes of each cell, in ms."""
    runner = dd.DSRunner(SideBySide(1, cells), dt=dt, record="spikes", precision=precision)
    recording = runner.run(duration)
    return {name: np.asarray(recording.spikes[name].time) for name in cells}
