"""Reads a run directory back; what lies where in it."""

import hashlib
import math
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from distdyn.errors import RunDirectoryError
from distdyn.run import store
from distdyn.run.joined import JoinedSpikes, JoinedTrace
from distdyn.run.provenance import read_json
from distdyn.run.recording import Header, Recording, Sampling
from distdyn.run.rows import Rows, SomeRows, rows_until
from distdyn.run.store import StoredSpikes, StoredTrace
from distdyn.run.stream import END
from distdyn.units import shown

FORMAT = 1


def load(directory: str | os.PathLike) -> Recording:
    """Read back what a run wrote, also while it runs or after it died.

    The recording covers all calls of `run` that wrote to the directory. Spikes and traces are read
    when they are asked for. Of several ranks that died, or whose files were not merged, it goes up
    to the last step that all of them wrote.

    Raises:
        RunDirectoryError: the directory or a file of it is missing, damaged or of another kind.
    """
    path = Path(directory)
    run = read_run(path)
    header = header_from_json(run, path)
    if ranks := rank_files(run, path):
        return _load_ranks(path, header, ranks)
    start, stop, counts = store.read_committed(path / "spikes.h5", header.spikes)
    spikes = {
        name: _spikes(path / "spikes.h5", header, name, counts[name]) for name in header.spikes
    }
    samplings, traces = {}, {}
    for name, file in trace_files(header.traces).items():
        samplings[name], traces[name] = _load_trace(path / file, header, name, stop)
    return Recording(replace(header, traces=samplings), start, stop, spikes, traces)


def _spikes(file: Path, header: Header, name: str, count: int) -> StoredSpikes:
    return StoredSpikes(file, name, header.sizes[name], count, header.dt, header.t0)


def _load_trace(file: Path, header: Header, name: str, stop: int) -> tuple[Sampling, StoredTrace]:
    """One trace: how it is recorded, and its samples up to a step."""
    interval, population = header.traces[name].interval, population_of(name, header.sizes)
    id, dtype, time, count = store.read_trace(file, population)
    begin = (time - header.t0) / header.dt
    if not abs(begin) < END:
        raise RunDirectoryError(f'"{file}" begins at {time} ms, which is no step. It is damaged.')
    first = round(begin)
    count = min(count, max(0, (stop - first) // interval + 1))  # the spikes came last
    sampling = Sampling(id, interval, header.traces[name].unit, dtype)
    return sampling, StoredTrace(file, population, count, first, interval)


def _load_ranks(path: Path, header: Header, ranks: int) -> Recording:
    """What the files of all ranks hold together."""
    files = [path / of_rank("spikes.h5", rank) for rank in range(ranks)]
    committed = [store.read_committed(file, header.spikes) for file in files]
    start = max(each[0] for each in committed)
    stop = max(start, min(each[1] for each in committed))  # one may not have begun to write
    spikes = {}
    for name in header.spikes:
        parts: list[Rows] = []
        for file, (_, last, counts) in zip(files, committed, strict=True):
            rows = _spikes(file, header, name, counts[name])
            parts.append(rows if last <= stop else SomeRows(rows, 0, rows_until(rows, stop)))
        spikes[name] = JoinedSpikes(parts)
    samplings, traces = {}, {}
    for name, file in trace_files(header.traces).items():
        samplings[name], traces[name] = _join_trace(path / file, header, name, stop, ranks)
    return Recording(replace(header, traces=samplings), start, stop, spikes, traces)


def _join_trace(
    file: Path, header: Header, name: str, stop: int, ranks: int
) -> tuple[Sampling, JoinedTrace]:
    """One trace whose columns are in files of ranks; a rank without columns may have none."""
    population = population_of(name, header.sizes)
    files = [file.with_name(of_rank(file.name, rank)) for rank in range(ranks)]
    files = [file for rank, file in enumerate(files) if rank == 0 or file.is_file()]
    found = [_load_trace(file, header, name, stop) for file in files]
    places = [store.read_columns(file, population) for file in files]
    total = places[0][1]
    if sorted(np.concatenate([own for own, _ in places]).tolist()) != list(range(total)):
        raise RunDirectoryError(
            f'"{file.with_suffix("")}.rank-*.h5" do not hold each of {total} columns of "{name}" '
            "once: a file is missing, or of another run."
        )
    id = np.zeros(total, np.int64)
    for (sampling, _), (own, _) in zip(found, places, strict=True):
        id[own] = sampling.id
    parts = [rows for _, rows in found]
    first = max(rows.first_step for rows in parts)  # 0 where nothing was written yet
    parts = [replace(rows, first_step=first) for rows in parts]
    joined = JoinedTrace(parts, [own for own, _ in places], found[0][0].dtype)
    return replace(found[0][0], id=id), joined


def read_run(directory: str | os.PathLike) -> dict:
    """What `run.json` says: where a run comes from, what it recorded and how it ended.

    Raises:
        RunDirectoryError: there is none, or it cannot be read.
    """
    path = Path(directory) / "run.json"
    if not os.path.isdir(path.parent):
        raise RunDirectoryError(f'"{path.parent}" is not a directory. Give the directory of a run.')
    if not os.path.isfile(path):
        raise RunDirectoryError(f'"{path.parent}" holds no run: there is no run.json in it.')
    try:
        run = read_json(path)
        if run["format"] != FORMAT:
            raise ValueError(f"format {shown(run['format'])} where {FORMAT} is known")
    except (OSError, ValueError, KeyError, TypeError) as error:
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
        if not 0 < header.dt < math.inf or not math.isfinite(header.t0):
            raise ValueError(f"dt is {header.dt} and t0 {header.t0}")
        if any(not 1 <= how.interval < END for how in header.traces.values()):
            raise ValueError("the intervals of the traces must be positive")
        if any(not 0 <= n < END for n in (*header.sizes.values(), *header.offsets.values())):
            raise ValueError("sizes and offsets of populations must be numbers of neurons")
        if unknown := {*header.spikes, *(header.spiking or ())} - set(header.sizes):
            raise ValueError(f"spikes of unknown populations: {sorted(unknown)}")
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise _not_ours(directory / "run.json", error) from error
    return header


def rank_files(run: dict, directory: Path) -> int:
    """Of how many ranks the files are; 0 if they are whole.

    Raises:
        RunDirectoryError: that is no such number.
    """
    ranks = run.get("rank_files", 0)
    if type(ranks) is not int or not 0 <= ranks < 10**7:
        raise _not_ours(directory / "run.json", ValueError(f"rank_files is {ranks!r}"))
    return ranks


def of_rank(name: str, rank: int) -> str:
    """The file of one of several ranks: `spikes.h5` -> `spikes.rank-0003.h5`."""
    return f"{name.removesuffix('.h5')}.rank-{rank:04}.h5"


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
