"""Runs and checkpoints on a disk, without any simulation: what tests read and damage."""

from pathlib import Path

import numpy as np

from distdyn.parallel.exchange.counters import NAMES
from distdyn.parallel.launch import World
from distdyn.parallel.snapshot import Columns
from distdyn.run.checkpoint.writing import write
from distdyn.run.directory import RunDirectory
from distdyn.run.recording import Header, Sampling

SIZES = {"E": 80, "I": 20}
HEADER = Header(
    dt=0.1,
    sizes=SIZES,
    offsets={"E": 0, "I": 80},
    spikes=("E", "I"),
    traces={"E.V": Sampling(np.array([3, 1, 40]), 10, "mV", "float64")},
    spiking=("E", "I"),
)
COUNTERS = dict.fromkeys(NAMES, 9)
OF = {"network": "'Pair'", "seed": "7", "dt": "0.1"}


def run(
    path: Path, stop: int = 1000, change=lambda path, step, id: (step, id), header=HEADER, every=1.0
):
    """The directory of a run in which each neuron fires now and then, written every so many s."""
    writer = RunDirectory(path).create(header, every=every)
    writer.begin(0)
    for first in range(0, stop, 100):
        rng = np.random.default_rng(first)
        for name, size in header.sizes.items():
            cell = np.sort(rng.permutation(100 * size)[:50])
            writer.append_spikes(name, *change(name, first + 1 + cell // size, cell % size))
        step = np.arange(first + 10, first + 101, 10)
        for name, how in header.traces.items():
            writer.append_trace(name, step, how.id, rng.normal(size=(len(step), len(how.id))))
        writer.flush(first + 100)
    writer.finish(stop)
    writer.close()
    return path


def tables(change=lambda name, fields: fields) -> list[tuple[str, Columns]]:
    """The states of two populations, and the synapses between them."""
    rng = np.random.default_rng(3)
    found = [
        (f"cells/{name}", np.arange(size),
         {"state.V": rng.normal(-60.0, 3.0, size), "arrivals.0": rng.integers(0, 9, (size, 16))})
        for name, size in SIZES.items()
    ]  # fmt: skip
    pairs = np.sort(rng.integers(0, 1600, 300))
    found.append(("synapses/exc/0", pairs, {"weight": rng.uniform(0.0, 9.0, 300)}))
    return [(name, Columns(key, change(name, fields))) for name, key, fields in found]


def checkpoint(directory: Path, step: int = 500, change=lambda name, fields: fields, **about):
    """A checkpoint in a directory of some."""
    said = {"of": OF, "made_by": {"jax": "0.10.1"}, "changes": [], "counters": COUNTERS, **about}
    return write(directory, step, tables(change), said, World(), keep=3)
