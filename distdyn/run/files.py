"""The files that one process appends to: of the whole run, or of one rank of several.

Rows wait in memory until they are written together. Of several ranks each has files of its own; at
the end they become one file for all, and recordings that were given out before go on with that one.
"""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Int64, Shaped

from distdyn.errors import RunDirectoryError
from distdyn.ops.listing import merge
from distdyn.run import store
from distdyn.run.joined import LateRows, NoColumns, OwnedSpikes, SomeColumns
from distdyn.run.memory import check_samples
from distdyn.run.reader import load, of_rank, population_of, trace_files
from distdyn.run.recording import Header, Recording, Share
from distdyn.run.rows import Rows, SomeRows
from distdyn.run.store import StoredSpikes, StoredTrace


class Files:
    """Appends to `spikes.h5` and the files of the traces, or to those of this rank.

    Attributes:
        header: what these files hold.
        count: rows that were written, by path.
        start, stop: first and last step that were handed over.
        written: the last step that was written.
        waiting: bytes that wait to be written.
        write_time: when something was written last.
        is_broken: whether a write failed: nothing is written any more.
        is_merged: whether the files of all ranks have become one.
    """

    def __init__(self, directory: Path, header: Header, share: Share | None = None) -> None:
        self.directory = directory
        self.header = header if share is None else share.own
        self.owned = None if share is None else (share.id, share.column)
        self.start = self.stop = self.written = 0
        self.count = dict.fromkeys((*header.spikes, *header.traces), 0)
        self.is_merged = False
        self._first_sample: dict[str, int] = {}  # its step
        self._population = {path: population_of(path, header.sizes) for path in header.traces}
        names = {"": "spikes.h5", **trace_files(header.traces)}
        if share is not None:
            names = {path: of_rank(name, share.world.rank) for path, name in names.items()}
        self._files = {path: directory / name for path, name in names.items()}
        self.is_broken = False
        self._seen: Recording | None = None
        self._owned_spikes: dict[str, OwnedSpikes] = {}
        self._clear()
        self._create(share)

    def _create(self, share: Share | None) -> None:
        store.create_spikes(self._files[""], self.header.spikes)
        for path, how in self.header.traces.items():
            columns = None
            if share is not None:
                columns = share.column[path], len(share.header.traces[path].id)
                if share.world.rank and not len(columns[0]):
                    del self._files[path]  # a rank without columns has no file
                    continue
            store.create_trace(
                self._files[path], self._population[path], how.id, how.dtype, how.unit,
                how.interval * self.header.dt, columns=columns,
            )  # fmt: skip

    # --- appending -------------------------------------------------------------------------------

    def append_spikes(
        self, path: str, step: Int64[np.ndarray, "s"], id: Int64[np.ndarray, "s"]
    ) -> None:
        """Add spikes of one population, in any order within a chunk; the arrays are copied."""
        self._spikes[path].append((step.astype(np.int64), id.astype(np.int64)))
        self.waiting += 16 * len(step)

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
            self.waiting += value.nbytes

    def write(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Append all that waits; returns its spikes (step, id) by path, sorted by both.

        The traces precede the spikes, which tell what is complete.
        """
        self.check()
        self.is_broken = True  # until all is written
        for path, values in self._traces.items():
            if values:
                self._write_trace(path, np.concatenate(values))
        spikes = {path: merge(parts) for path, parts in self._spikes.items()}
        rows = {
            path: (self.count[path], self.header.time(step), id)
            for path, (step, id) in spikes.items()
        }
        counts = {path: self.count[path] + len(step) for path, (step, _) in spikes.items()}
        committed = np.array([self.start, self.stop, *counts.values()], np.int64)
        store.append_spikes(self._files[""], rows, committed)
        self.count |= counts
        self.written = self.stop
        self._clear()
        self.is_broken = False
        return spikes

    def check(self) -> None:
        """Raise RunDirectoryError if an earlier write failed."""
        if self.is_broken:
            raise RunDirectoryError(
                f'out: "{self.directory}" is not written to any more, because an earlier write '
                "failed. Start a new run in another directory."
            )

    def to_disk(self) -> None:
        """Write what is left, and make sure that all of it is on the disk."""
        if self.is_broken:
            return
        if self.waiting:
            self.write()
        for path in self._files.values():
            store.to_disk(path)

    def remove(self) -> None:
        """Remove the files; what they held is merged."""
        for path in self._files.values():
            path.unlink(missing_ok=True)

    def _clear(self) -> None:
        self._spikes: dict[str, list] = {path: [] for path in self.header.spikes}
        self._traces: dict[str, list] = {path: [] for path in self.header.traces}
        self.waiting = 0
        self.write_time = time.monotonic()

    def _write_trace(self, path: str, value: Shaped[np.ndarray, "t k"]) -> None:
        first = self.count[path]
        start = float(self.header.time(np.array([self._first_sample[path]]))[0])
        if path in self._files:
            store.append_trace(self._files[path], self._population[path], first, value, start)
        self.count[path] = first + len(value)

    # --- reading what was written ----------------------------------------------------------------

    def recorded(self, first: dict[str, int], start: int, share: Share | None) -> Recording:
        """What was written from these rows on, in the steps after `start`."""

        def rows(path: str, find: Callable[[str, int], Rows]) -> Rows:
            last = self.count[path]
            if share is None:
                return SomeRows(find(path, last), first[path], last)
            return LateRows(partial(find, path), first[path], last)

        return Recording(
            self.header,
            start,
            max(start, self.written),
            {path: rows(path, self.spikes) for path in self.header.spikes},
            {path: rows(path, self.trace) for path in self.header.traces},
            share,
        )

    def spikes(self, path: str, last: int) -> Rows:
        """The spikes of a population that this process has written, at least the first `last`."""
        if not self.is_merged:
            dt, t0 = self.header.dt, self.header.t0
            size = self.header.sizes[path]
            return StoredSpikes(self._files[""], path, size, self.count[path], dt, t0)
        if path not in self._owned_spikes:
            id = self.owned[0][path]  # pyright: ignore
            self._owned_spikes[path] = OwnedSpikes(self._whole().spike_rows[path], id)
        return self._owned_spikes[path]

    def trace(self, path: str, last: int) -> Rows:
        """The samples of a variable that this process has written, at least the first `last`."""
        if self.is_merged:
            column = self.owned[1][path]  # pyright: ignore
            return SomeColumns(self._whole().trace_rows[path], column)
        first, interval = self._first_sample.get(path, 0), self.header.traces[path].interval
        if path not in self._files:
            return NoColumns(self.count[path], first, interval, self.header.traces[path].dtype)
        file, population = self._files[path], self._population[path]
        return StoredTrace(file, population, self.count[path], first, interval)

    def whole(self) -> Recording:
        """What all ranks have written; it may be merged while this is in use."""
        self._seen = None
        now = self._whole()

        def late(path: str, rows: Rows, find: Callable[[str, int], Rows]) -> Rows:
            return LateRows(partial(find, path), 0, rows.count)

        return Recording(
            now.header,
            now.start,
            now.stop,
            {path: late(path, rows, self._all_spikes) for path, rows in now.spike_rows.items()},
            {path: late(path, rows, self._all_samples) for path, rows in now.trace_rows.items()},
        )

    def merged(self) -> None:
        """The files of all ranks have become one: read that from now on."""
        self.is_merged, self._seen = True, None

    def _whole(self) -> Recording:
        if self._seen is None:
            self._seen = load(self.directory)
        return self._seen

    def _all_spikes(self, path: str, last: int) -> Rows:
        if self._whole().spike_rows[path].count < last:
            self._seen = None
        return self._whole().spike_rows[path]

    def _all_samples(self, path: str, last: int) -> Rows:
        if self._whole().trace_rows[path].count < last:
            self._seen = None
        return self._whole().trace_rows[path]
