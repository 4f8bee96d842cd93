"""Reads a run directory back; what lies where in it."""

import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from distdyn.errors import RunDirectoryError
from distdyn.run import store
from distdyn.run.recording import Header, Recording, Sampling
from distdyn.run.store import StoredSpikes, StoredTrace

FORMAT = 1
_LARGEST_JSON = 1 << 26  # bytes


def load(directory: str | os.PathLike) -> Recording:
    """Read back what a run wrote, also while it runs or after it died.

    The recording covers all calls of `run` that wrote to the directory. Spikes and traces are read
    when they are asked for.

    Raises:
        RunDirectoryError: the directory or a file of it is missing, damaged or of another kind.
    """
    path = Path(directory)
    header = header_from_json(read_run(path), path)
    start, stop, counts = store.read_committed(path / "spikes.h5", header.spikes)
    spikes = {
        name: StoredSpikes(path / "spikes.h5", name, counts[name], header.dt, header.t0)
        for name in header.spikes
    }
    samplings, traces = {}, {}
    for name, file in trace_files(header.traces).items():
        interval, population = header.traces[name].interval, population_of(name, header.sizes)
        id, dtype, time, count = store.read_trace(path / file, population)
        first = round((time - header.t0) / header.dt)
        count = min(count, max(0, (stop - first) // interval + 1))  # the spikes came last
        samplings[name] = Sampling(id, interval, header.traces[name].unit, dtype)
        traces[name] = StoredTrace(path / file, population, count, first, interval)
    return Recording(replace(header, traces=samplings), start, stop, spikes, traces)


def read_run(directory: str | os.PathLike) -> dict:
    """What `run.json` says: where a run comes from, what it recorded and how it ended.

    Raises:
        RunDirectoryError: there is none, or it cannot be read.
    """
    path = Path(directory) / "run.json"
    if not path.parent.is_dir():
        raise RunDirectoryError(f'"{path.parent}" is not a directory. Give the directory of a run.')
    if not path.is_file():
        raise RunDirectoryError(f'"{path.parent}" holds no run: there is no run.json in it.')
    try:
        if path.stat().st_size > _LARGEST_JSON:
            raise ValueError(f"{path.stat().st_size} bytes are more than any run.json has")
        run = json.loads(path.read_text(encoding="utf-8"))
        if run["format"] != FORMAT:
            raise ValueError(f"format {run['format']!r} where {FORMAT} is known")
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise _not_ours(path, error) from error
    return run


def header_to_json(header: Header) -> dict:
    """The header as `run.json` holds it; the ids of the traces are in their files."""
    return {
        "format": FORMAT,
        "dt": header.dt,
        "t0": header.t0,
        "populations": {
            path: {"size": size, "offset": header.offsets[path]}
            for path, size in header.sizes.items()
        },
        "recorded": {
            "spikes": list(header.spikes),
            "spiking": None if header.spiking is None else list(header.spiking),
            "traces": {
                path: {"interval": how.interval, "unit": how.unit}
                for path, how in header.traces.items()
            },
        },
    }


def header_from_json(run: dict, directory: Path) -> Header:
    """The header, but for the ids and types of the traces, which are in their files."""
    try:
        populations, recorded = run["populations"], run["recorded"]
        header = Header(
            dt=float(run["dt"]),
            t0=float(run["t0"]),
            sizes={path: int(one["size"]) for path, one in populations.items()},
            offsets={path: int(one["offset"]) for path, one in populations.items()},
            spikes=tuple(recorded["spikes"]),
            spiking=None if recorded["spiking"] is None else tuple(recorded["spiking"]),
            traces={
                path: Sampling(np.zeros(0, np.int64), int(how["interval"]), str(how["unit"]))
                for path, how in recorded["traces"].items()
            },
        )
        for path in (*header.sizes, *header.spikes, *header.traces):
            if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", path):
                raise ValueError(f"{path[:80]!r} is not a path of a network")
        if not header.dt > 0 or any(how.interval < 1 for how in header.traces.values()):
            raise ValueError("dt and the intervals of the traces must be positive")
        if unknown := set(header.spikes) - set(header.sizes):
            raise ValueError(f"spikes of unknown populations: {sorted(unknown)}")
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise _not_ours(directory / "run.json", error) from error
    return header


def _not_ours(path: Path, error: Exception) -> RunDirectoryError:
    what = f"{error} is missing" if isinstance(error, KeyError) else str(error)
    return RunDirectoryError(f'"{path}" is not what a run writes: {what}. Give another directory.')


def trace_files(traces: Iterable[str]) -> dict[str, str]:
    """The file of each trace; names stay apart where the disk knows no case, and short enough."""
    files: dict[str, str] = {}
    taken = {"spikes.h5"}
    for path in traces:
        name = f"{path[:100]}.h5"
        if len(path) > 100 or name.lower() in taken:
            name = f"{path[:100]}-{hashlib.sha256(path.encode()).hexdigest()[:8]}.h5"
        files[path] = name
        taken.add(name.lower())
    return files


def population_of(variable: str, sizes: Mapping[str, int]) -> str:
    """The population of a variable: `cortex.E` of `cortex.E.exc.g`; else the variable itself.

    Where there is only one, as for a cell that runs by itself, names are bare: it is that one.
    """
    path = variable
    while path:
        path = path.rpartition(".")[0]
        if path in sizes:
            return path
    return next(iter(sizes)) if len(sizes) == 1 else variable
