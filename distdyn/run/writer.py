"""The writer of a run directory: hands what a run records to its files, and keeps `run.json`.

Of several ranks each writes files of its own, about once a second by its own clock. They meet where
a call of `run` ends: then rank 0 knows all counts and the hash of all spikes. It alone writes
`run.json`, and at the end it makes one file of those of all ranks.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Int64, Shaped

from distdyn.errors import DistDynError, RunDirectoryError
from distdyn.run import collect, store
from distdyn.run.files import Files
from distdyn.run.merging import link_files, merge_files
from distdyn.run.provenance import now, peak_rss, write_json
from distdyn.run.reader import header_to_json
from distdyn.run.recording import Header, Recording, Share, rates_of
from distdyn.run.rows import SomeRows, rows_until
from distdyn.run.spike_hash import SpikeHash, with_gid
from distdyn.run.stream import together

if TYPE_CHECKING:
    from distdyn.run.directory import RunDirectory

_WAITING = 1 << 26  # bytes that may wait in memory before they are written


class Writer:
    """Appends what a run records to the files of its directory.

    Where a run goes on, first `resume`. For every call of `run`: `begin`; for every chunk
    `append_...` and `flush`; then `finish`, or `fail`. At the very end `close`. Of several ranks
    all call `resume`, `begin`, `finish` and `close`.
    """

    def __init__(
        self,
        directory: "RunDirectory",
        header: Header,
        run: Mapping[str, Any],
        *,
        every: float,
        share: Share | None = None,
    ) -> None:
        self.directory, self._whole_header = directory, header
        self._path, self._every = directory.path, every
        self._run = {**run, "exit_reason": "running"}
        self._files = Files(self._path, header, share)
        self.header = self._files.header
        self._share = share and replace(share, whole=self._files.whole)
        if share is not None:
            self._run["rank_files"] = share.world.size
        self._is_first = share is None or share.world.rank == 0
        self._has_begun = self._is_closed = False
        self._call = 0  # where the present call of run began ...
        self._call_rows = dict(self._files.count)  # ... and the rows that were written by then
        self._sha = SpikeHash()
        # Of several ranks: what they knew of all when they met last.
        self._hashed = dict.fromkeys(header.spikes, 0)  # our own rows that are in the hash
        self._counts, self._rss = dict.fromkeys(header.spikes, 0), 0
        self._hash = self._sha.hexdigest()
        self.update()

    def resume(self, earlier: Recording) -> None:
        """Begin with what earlier processes recorded; of several ranks each takes its own."""
        files, whole = self._files, self._whole_header
        for path, how in whole.traces.items():
            if not np.array_equal(earlier.header.traces[path].id, how.id):
                raise RunDirectoryError(
                    f'out: "{self._path}" holds "{path}" of other neurons. Use another directory.'
                )
        self._has_begun = True
        files.start = files.stop = files.written = earlier.start
        spikes, traces = dict(earlier.spike_rows), dict(earlier.trace_rows)
        for pieces in together([*spikes.values(), *traces.values()]):
            given = iter(pieces)
            for path in spikes:
                step, id = next(given)
                mine = slice(None) if self._share is None else np.isin(id, self._share.id[path])
                files.append_spikes(path, step[mine], id[mine])
            for path in traces:
                step, value = next(given)
                mine = slice(None) if self._share is None else self._share.column[path]
                files.append_trace(path, step, self.header.traces[path].id, value[:, mine])
            if files.waiting > _WAITING:
                self._write()
        files.stop = earlier.stop
        self._write()
        files.to_disk()

    def part(self, start: int, stop: int) -> Recording:
        """What was recorded between two steps, to be read from the files."""
        files = self._files
        none = dict.fromkeys(files.count, 0)
        return files.recorded(none, files.start, self._share).part(start, stop)

    def begin(self, step: int, since: int | None = None) -> None:
        """A call of `run` starts at this step, or has started before in another process."""
        files = self._files
        if not self._has_begun:
            self._has_begun, files.start, files.stop = True, step, step
            self._write()
        if step != files.stop:
            raise RunDirectoryError(
                f'out: "{self._path}" holds the steps up to {files.stop}, and this run begins at '
                f"step {step}. After a reset, use a new runner with another directory."
            )
        self._call, self._call_rows = step, dict(files.count)
        if since is not None and since < step:
            whole = files.recorded(dict.fromkeys(files.count, 0), files.start, None)
            rows = {**whole.spike_rows, **whole.trace_rows}
            self._call_rows = {path: rows_until(of, since) for path, of in rows.items()}
            self._call = max(since, files.start)
        self.update(exit_reason="running")

    def append_spikes(
        self, path: str, step: Int64[np.ndarray, "s"], id: Int64[np.ndarray, "s"]
    ) -> None:
        """Add spikes of one population, in any order within a chunk; the arrays are copied."""
        self._files.append_spikes(path, step, id)

    def append_trace(
        self,
        path: str,
        step: Int64[np.ndarray, "t"],
        id: Int64[np.ndarray, "k"],
        value: Shaped[np.ndarray, "t k"],
    ) -> None:
        """Add samples of one variable, in the order of their steps; the arrays are copied."""
        self._files.append_trace(path, step, id, value)

    def flush(self, step: int) -> None:
        """The chunk that ends at this step is complete; written if the last write is long ago."""
        files = self._files
        files.stop = step
        if files.waiting > _WAITING or time.monotonic() - files.write_time >= self._every:
            self._write()

    def finish(self, step: int, reason: str = "completed", **fields: Any) -> Recording:
        """The call of `run` ends at this step: what it recorded, to be read from the files.

        The fields go into `run.json`. Collective.
        """
        self._files.stop = step
        with self._together():
            self._write()
        self._meet()
        with self._together():
            self.update(exit_reason=reason, **fields)
        share = self._share
        if share is not None and self.header.is_hashable and self._call == self._files.start:
            share = replace(share, sha256=self._hash)
        return self._files.recorded(self._call_rows, self._call, share)

    def sync(self) -> None:
        """All that was recorded so far is on the disk; on this rank."""
        self._write()
        self._files.to_disk()

    def fail(self, error: BaseException) -> Recording:
        """The call of `run` ended with an error: keep the complete chunks and say why."""
        with suppress(DistDynError):
            self._write()
        with suppress(DistDynError):
            self.update(exit_reason=f"{type(error).__name__}: {error}")
        return self._files.recorded(self._call_rows, self._call, self._share)

    def update(self, **fields: Any) -> None:
        """Rewrite `run.json` with these fields and the present state of the recording."""
        self._check_lock()
        self._run |= fields
        if not self._is_first:
            return
        content = {**header_to_json(self._whole_header), **self._run, **self._state()}
        try:
            write_json(self._path / "run.json", content)
        except OSError as error:
            raise store.unusable(self._path / "run.json", "w", error) from error

    def close(self, *, is_together: bool = True) -> None:
        """Write what is left, make sure that it is on the disk, and give the directory free.

        Args:
            is_together: all ranks are here. Else one ends by itself: the files of the ranks stay
                as they are, and can be read.
        """
        if self._is_closed:
            return
        self._is_closed = True
        try:
            with self._together(is_together):
                if self._holds_lock():
                    self._files.to_disk()
            if self._share is not None and is_together:
                self._unite(self._share)
        finally:
            self.directory.close()

    def _unite(self, share: Share) -> None:
        """Make one file of those of all ranks."""
        world = share.world
        is_whole = self._holds_lock() and not self._files.is_broken
        if not world.min(int(is_whole)):
            return
        with self._together():
            if world.rank == 0 and self.directory.merge:
                merge_files(self._path)
                self.update(rank_files=0)
            elif world.rank == 0:
                link_files(self._path, world.size)
        if self.directory.merge:
            self._files.merged()
            self._files.remove()

    @contextmanager
    def _together(self, is_together: bool = True) -> Iterator[None]:
        """What fails on one rank fails on all."""
        error = None
        try:
            yield
        except DistDynError as found:
            error = found
        if self._share is not None and is_together:
            self._share.world.agree(error)
        elif error is not None:
            raise error

    def _write(self) -> None:
        self._check_lock()
        spikes = self._files.write()
        if self._share is None:
            offsets = [self.header.offsets[path] for path in spikes]
            self._sha.update(*with_gid(list(spikes.values()), offsets))

    def _meet(self) -> None:
        """All ranks tell each other what they have written."""
        if self._share is None:
            return
        world, files = self._share.world, self._files
        paths = list(self.header.spikes)
        new = [
            SomeRows(files.spikes(path, 0), self._hashed[path], files.count[path]) for path in paths
        ]
        self._counts = collect.total_counts(world, {path: files.spikes(path, 0) for path in paths})
        self._rss = world.sum(peak_rss())
        if self.header.is_hashable:
            offsets = [self.header.offsets[path] for path in paths]
            self._hash = collect.hash_spikes(world, new, offsets, self._sha)
        self._hashed = {path: files.count[path] for path in paths}

    def _holds_lock(self) -> bool:
        return not self._is_first or self.directory.holds_lock

    def _check_lock(self) -> None:
        if not self._holds_lock():
            raise RunDirectoryError(
                f'out: this run has given up "{self._path}": it was closed, or another run took '
                "the directory over. Start a new run."
            )

    def _state(self) -> dict:
        files, is_alone = self._files, self._share is None
        counts = {path: files.count[path] for path in self.header.spikes}
        counts = counts if is_alone else self._counts
        duration = (files.written - files.start) * self.header.dt
        is_silent = bool(self.header.spiking) and not self.header.spikes
        digest = self._sha.hexdigest() if is_alone else self._hash
        return {
            "steps": files.written - files.start,
            "duration": duration,
            "spikes": None if is_silent else counts,
            "rates": None if is_silent else rates_of(counts, self.header.sizes, duration),
            "spikes_sha256": digest if self.header.is_hashable else None,
            "end_time": now(),
            "peak_rss": peak_rss() if is_alone else self._rss,
        }
