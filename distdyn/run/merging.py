"""The files of many ranks made one: merged, or linked by virtual datasets.

    spikes.rank-0000.h5  spikes.rank-0001.h5  ->  spikes.h5, sorted by (time, id)

A merged file is a draft until it is complete, and the files of the ranks stay until `run.json` says
that they are not needed any more: whatever ends the process, one of the two can be read.
"""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from distdyn.errors import RunDirectoryError
from distdyn.ops.listing import merge
from distdyn.run import store
from distdyn.run.reader import load, of_rank, population_of, trace_files
from distdyn.run.recording import Recording
from distdyn.run.rows import Rows
from distdyn.run.stream import together

_BYTES = 1 << 26  # of samples that are held at once


def merge_files(directory: Path) -> None:
    """Write what the files of all ranks hold into one file each, in bounded memory.

    Raises:
        RunDirectoryError: a file cannot be read, or the disk is full; all rank files are kept.
    """
    write_files(load(directory), directory)


def write_files(recording: Recording, directory: Path) -> None:
    """Write a recording into files of one process, in bounded memory.

    Raises:
        RunDirectoryError: it cannot be read, or the disk is full; nothing is replaced.
    """
    names = {"spikes.h5": None, **{f: name for name, f in trace_files(recording.traces).items()}}
    drafts = {file: directory / draft_of(file) for file in names}
    try:
        for file, trace in names.items():
            drafts[file].unlink(missing_ok=True)
            if trace is None:
                _merge_spikes(drafts[file], recording)
            else:
                _merge_trace(drafts[file], recording, trace)
            store.to_disk(drafts[file])
        for file, draft in drafts.items():
            os.replace(draft, directory / file)
    except OSError as error:
        for draft in drafts.values():
            draft.unlink(missing_ok=True)
        if isinstance(error, RunDirectoryError):
            raise
        raise store.unusable(directory, "w", error) from error


def link_files(directory: Path, ranks: int) -> None:
    """Make files that show what those of the ranks hold, rank after rank, without copying it.

    Raises:
        RunDirectoryError: a file cannot be read or written.
    """
    recording = load(directory)
    spikes = [of_rank("spikes.h5", rank) for rank in range(ranks)]
    counts = {path: [p.count for p in _parts(rows)] for path, rows in recording.spike_rows.items()}
    draft = directory / draft_of("spikes.h5")
    draft.unlink(missing_ok=True)
    store.link_spikes(draft, spikes, counts, _committed(recording, recording.counts().values()))
    os.replace(draft, directory / "spikes.h5")
    for name, file in trace_files(recording.traces).items():
        files = [of_rank(file, rank) for rank in range(ranks)]
        files = [each for each in files if (directory / each).is_file()]
        draft = directory / draft_of(file)
        draft.unlink(missing_ok=True)
        population = population_of(name, recording.sizes)
        store.link_trace(draft, population, files, recording.trace_rows[name].count)
        os.replace(draft, directory / file)


def draft_of(name: str) -> str:
    """The name of a file that is not complete yet."""
    return f".{name}.draft"


def _merge_spikes(draft: Path, recording: Recording) -> None:
    paths = list(recording.spike_rows)
    parts = [_parts(recording.spike_rows[path]) for path in paths]
    store.create_spikes(draft, paths)
    counts = dict.fromkeys(paths, 0)
    for pieces in together([part for each in parts for part in each]):
        pieces, rows = iter(pieces), {}
        for path, each in zip(paths, parts, strict=True):
            step, id = merge([next(pieces) for _ in each])
            rows[path] = counts[path], recording.header.time(step), id
            counts[path] += len(step)
        store.append_spikes(draft, rows, _committed(recording, counts.values()))


def _merge_trace(draft: Path, recording: Recording, name: str) -> None:
    header, rows = recording.header, recording.trace_rows[name]
    how, population = header.traces[name], population_of(name, header.sizes)
    store.create_trace(draft, population, how.id, how.dtype, how.unit, how.interval * header.dt)
    block = max(1, _BYTES // max(1, len(how.id) * np.dtype(how.dtype).itemsize))
    start = header.time(rows.read(0, min(1, rows.count))[0])
    for first in range(0, rows.count, block):
        _, value = rows.read(first, min(first + block, rows.count))
        store.append_trace(draft, population, first, value, float(start[0]))


def _parts(rows: Rows) -> Sequence[Rows]:
    """The rows of each rank; those of one process, or of some steps, are one piece."""
    return getattr(rows, "parts", (rows,))


def _committed(recording: Recording, counts: Iterable[int]) -> np.ndarray:
    return np.array([recording.start, recording.stop, *counts], np.int64)
