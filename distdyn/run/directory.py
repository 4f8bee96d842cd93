"""The run directory: claimed before anything is built, written while the run goes.

    run.json       where the run comes from, what it recorded and how it ended
    spikes.h5      the spikes of all recorded populations
    <variable>.h5  one file per trace
    lock           held while a run writes

What is recorded waits in memory and is written about once a second, so memory stays bounded, and a
process that dies loses no more than the last second.
"""

import os
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64, Shaped

from distdyn.errors import DistDynError, RunDirectoryError
from distdyn.run import store
from distdyn.run.lock import Lock
from distdyn.run.provenance import now, peak_rss, write_json
from distdyn.run.reader import (
    header_from_json,
    header_to_json,
    population_of,
    read_run,
    trace_files,
)
from distdyn.run.recording import Header, Recording, check_samples
from distdyn.run.rows import Rows, SomeRows, merge
from distdyn.run.spike_hash import SpikeHash
from distdyn.run.store import StoredSpikes, StoredTrace

_WAITING = 1 << 26  # bytes that may wait in memory before they are written


class RunDirectory:
    """Claims a directory for one run, before anything is built.

    Raises:
        RunDirectoryError: the directory holds a run already and `overwrite` is not given, its
            parent is missing, it cannot be written, or another run is writing to it.
    """

    def __init__(self, directory: str | os.PathLike, *, overwrite: bool = False) -> None:
        self.path, self._is_new = _made(directory)
        self.lock = Lock(self.path, take_own=overwrite)
        found = [name for name in ("run.json", "spikes.h5") if os.path.lexists(self.path / name)]
        if found and not overwrite:
            self.lock.release()
            raise RunDirectoryError(
                f'out: "{self.path}" holds a run already ({", ".join(found)}). Use another '
                "directory, or overwrite=True (--overwrite) to replace it."
            )

    def create(
        self, header: Header, run: Mapping[str, Any] | None = None, *, every: float = 1.0
    ) -> "Writer":
        """Replace an earlier run, if there is one, by the empty files of this one.

        Args:
            header: what will be recorded.
            run: what else `run.json` says, see `provenance.describe_run`.
            every: seconds of wall time between two writes; what is younger is lost if the process
                is killed.
        """
        _remove_run(self.path)
        return Writer(self, header, run or {}, every=every)

    def close(self) -> None:
        """Give the directory free; one that we made and left empty goes."""
        self.lock.release()
        if self._is_new:
            with suppress(OSError):
                self.path.rmdir()


class Writer:
    """Appends what a run records to the files of its directory.

    For every call of `run`: `begin`; for every chunk `append_...` and `flush`; then `finish`, or
    `fail`. At the very end `close`.
    """

    def __init__(
        self, directory: RunDirectory, header: Header, run: Mapping[str, Any], *, every: float
    ) -> None:
        self.directory, self.header = directory, header
        self._path, self._every = directory.path, every
        self._run = {**run, "exit_reason": "running"}
        self._files = trace_files(header.traces)
        self._population = {path: population_of(path, header.sizes) for path in header.traces}
        self._has_begun = False
        self._start = self._stop = 0  # first and last step that were handed over ...
        self._written = 0  # ... and the last one that was written
        self._call = 0  # where the present call of run began ...
        self._call_rows: dict[str, int] = {}  # ... and the rows that were written by then
        self._count = dict.fromkeys((*header.spikes, *header.traces), 0)  # rows written
        self._first_sample: dict[str, int] = {}  # its step
        self._sha = SpikeHash()
        self._is_broken = False
        self._clear()
        store.create_spikes(self._path / "spikes.h5", header.spikes)
        for path, how in header.traces.items():
            store.create_trace(
                self._file(path),
                self._population[path],
                how.id,
                how.dtype,
                how.unit,
                how.interval * header.dt,
            )
        self.update()

    def begin(self, step: int) -> None:
        """A call of `run` starts at this step."""
        if not self._has_begun:
            self._has_begun, self._start, self._stop = True, step, step
            self._write()
        if step != self._stop:
            raise RunDirectoryError(
                f'out: "{self._path}" holds the steps up to {self._stop}, and this run begins at '
                f"step {step}. After a reset, use a new runner with another directory."
            )
        self._call, self._call_rows = step, dict(self._count)
        self.update(exit_reason="running")

    def append_spikes(
        self, path: str, step: Int64[np.ndarray, "s"], id: Int64[np.ndarray, "s"]
    ) -> None:
        """Add spikes of one population, in any order within a chunk; the arrays are copied."""
        self._spikes[path].append((step.astype(np.int64), id.astype(np.int64)))
        self._waiting += 16 * len(step)

    def append_trace(
        self,
        path: str,
        step: Int64[np.ndarray, "t"],
        id: Int64[np.ndarray, "k"],
        value: Shaped[np.ndarray, "t k"],
    ) -> None:
        """Add samples of one variable, in the order of their steps; the arrays are copied."""
        check_samples(self.header, path, id)
        if len(step):
            self._first_sample.setdefault(path, int(step[0]))
            self._traces[path].append(value.copy())
            self._waiting += value.nbytes

    def flush(self, step: int) -> None:
        """The chunk that ends at this step is complete; written if the last write is long ago."""
        self._stop = step
        if self._waiting > _WAITING or time.monotonic() - self._write_time >= self._every:
            self._write()

    def finish(self, step: int) -> Recording:
        """The call of `run` ends at this step: what it recorded, to be read from the files."""
        self._stop = step
        self._write()
        self.update(exit_reason="completed")

        def of_this_call(path: str, rows: Rows) -> Rows:
            return SomeRows(rows, self._call_rows[path], rows.count)

        return Recording(
            self.header,
            self._call,
            step,
            {path: of_this_call(path, self._stored_spikes(path)) for path in self._spikes},
            {path: of_this_call(path, self._stored_trace(path)) for path in self._traces},
        )

    def fail(self, error: BaseException) -> None:
        """The call of `run` ended with an error: keep the complete chunks and say why."""
        with suppress(DistDynError):
            self._write()
        with suppress(DistDynError):
            self.update(exit_reason=f"{type(error).__name__}: {error}")

    def update(self, **fields: Any) -> None:
        """Rewrite `run.json` with these fields and the present state of the recording."""
        self._check_lock()
        self._run |= fields
        content = {**header_to_json(self.header), **self._run, **self._state()}
        try:
            write_json(self._path / "run.json", content)
        except OSError as error:
            raise store.unusable(self._path / "run.json", "w", error) from error

    def close(self) -> None:
        """Write what is left, make sure that it is on the disk, and give the directory free."""
        try:
            if self.directory.lock.is_held and not self._is_broken:
                if self._waiting:
                    self._write()
                for path in (self._path / "spikes.h5", *map(self._file, self._files)):
                    store.to_disk(path)
        finally:
            self.directory.close()

    def _clear(self) -> None:
        self._spikes: dict[str, list] = {path: [] for path in self.header.spikes}
        self._traces: dict[str, list] = {path: [] for path in self.header.traces}
        self._waiting = 0
        self._write_time = time.monotonic()

    def _write(self) -> None:
        """Append all that waits; the traces precede the spikes, which tell what is complete."""
        self._check_lock()
        if self._is_broken:
            raise RunDirectoryError(
                f'out: "{self._path}" is not written to any more, because an earlier write failed. '
                "Start a new run in another directory."
            )
        self._is_broken = True  # until all is written
        for path, values in self._traces.items():
            if values:
                self._write_trace(path, np.concatenate(values))
        spikes = {path: merge(parts) for path, parts in self._spikes.items()}
        rows = {
            path: (self._count[path], self.header.time(step), id)
            for path, (step, id) in spikes.items()
        }
        counts = {path: self._count[path] + len(step) for path, (step, _) in spikes.items()}
        committed = np.array([self._start, self._stop, *counts.values()], np.int64)
        store.append_spikes(self._path / "spikes.h5", rows, committed)
        self._count |= counts
        self._written = self._stop
        offsets = self.header.offsets
        self._sha.update(
            *merge([(step, id + offsets[path]) for path, (step, id) in spikes.items()])
        )
        self._clear()
        self._is_broken = False

    def _write_trace(self, path: str, value: Shaped[np.ndarray, "t k"]) -> None:
        first = self._count[path]
        start = self.header.time(np.array([self._first_sample[path]]))[0]
        store.append_trace(self._file(path), self._population[path], first, value, float(start))
        self._count[path] = first + len(value)

    def _check_lock(self) -> None:
        if not self.directory.lock.is_held:
            raise RunDirectoryError(
                f'out: this run has given up "{self._path}": it was closed, or another run took '
                "the directory over. Start a new run."
            )

    def _state(self) -> dict:
        spikes = {path: self._stored_spikes(path) for path in self.header.spikes}
        so_far = Recording(self.header, self._start, self._written, spikes, {})
        return {
            "steps": self._written - self._start,
            "duration": so_far.duration,
            "spikes": so_far.counts(),
            "rates": so_far.rates(),
            "spikes_sha256": self._sha.hexdigest() if self.header.is_hashable else None,
            "end_time": now(),
            "peak_rss": peak_rss(),
        }

    def _file(self, trace: str) -> Path:
        return self._path / self._files[trace]

    def _stored_spikes(self, path: str) -> StoredSpikes:
        file = self._path / "spikes.h5"
        return StoredSpikes(file, path, self._count[path], self.header.dt, self.header.t0)

    def _stored_trace(self, path: str) -> StoredTrace:
        interval = self.header.traces[path].interval
        first, count = self._first_sample.get(path, 0), self._count[path]
        return StoredTrace(self._file(path), self._population[path], count, first, interval)


def _made(directory: str | os.PathLike) -> tuple[Path, bool]:
    """The directory, made if only itself is missing, and whether it was made."""
    if not os.fspath(directory):
        raise RunDirectoryError("out: the name of the directory is empty. Give a name.")
    path = Path(directory).absolute()
    if path.is_dir():
        return path, False
    if not path.parent.is_dir():
        raise RunDirectoryError(
            f'out: "{path}" cannot be made: "{path.parent}" is not a directory. Make it first '
            f"(mkdir -p {path.parent}) or use another one."
        )
    try:
        path.mkdir()
    except OSError as error:
        raise RunDirectoryError(
            f'out: "{path}" cannot be made: {error.strerror}. Use another directory.'
        ) from error
    return path, True


def _remove_run(directory: Path) -> None:
    """Remove the files of an earlier run, and nothing else."""
    traces: list[str] = []
    with suppress(RunDirectoryError):
        traces = list(header_from_json(read_run(directory), directory).traces)
    for name in (*trace_files(traces).values(), "spikes.h5", "run.json"):
        try:
            (directory / name).unlink(missing_ok=True)
        except OSError as error:
            raise store.unusable(directory / name, "w", error) from error
