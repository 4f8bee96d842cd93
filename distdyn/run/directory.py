"""The run directory: claimed before anything is built, written while the run goes.

    run.json       where the run comes from, what it recorded and how it ended
    spikes.h5      the spikes of all recorded populations
    <variable>.h5  one file per trace
    checkpoints/   from which it goes on; see `checkpoint`
    failed-step-.../   the state in which it could not go on, if so; in the form of a checkpoint
    lock           held while a run writes

What is recorded waits in memory and is written about once a second, so memory stays bounded, and a
process that dies loses no more than the last second. While several ranks run there are
`spikes.rank-0000.h5`, ... instead, one of each rank, which are merged in the end.
"""

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distdyn.errors import RunDirectoryError
from distdyn.run import store
from distdyn.run.checkpoint import CHECKPOINTS
from distdyn.run.checkpoint.writing import remove_after, remove_all, remove_failed
from distdyn.run.earlier import BEFORE, forget, set_aside
from distdyn.run.lock import Lock
from distdyn.run.merging import draft_of
from distdyn.run.reader import header_from_json, of_rank, read_run, trace_files
from distdyn.run.recording import Header, Share
from distdyn.run.writer import Writer
from distdyn.units import shown

if TYPE_CHECKING:
    from distdyn.parallel.launch import World


class RunDirectory:
    """Claims a directory for one run, before anything is built.

    Args:
        directory: is made if only itself is missing.
        overwrite: replace a run that it holds.
        world: the ranks of this run. Rank 0 claims, the others take its word.
        merge: at the end, make one file of those of all ranks.
        goes_on: a run that it holds is to be gone on with, if there is a checkpoint of it.

    Attributes:
        holds: the files of a run that were there, as rank 0 sees it.

    Raises:
        RunDirectoryError: the directory holds a run already and neither is given, its
            parent is missing, it cannot be written, or another run is writing to it.
    """

    def __init__(
        self,
        directory: str | os.PathLike,
        *,
        overwrite: bool = False,
        world: "World | None" = None,
        merge: bool = True,
        goes_on: bool = False,
    ) -> None:
        self.merge, self._overwrite = merge, overwrite
        self.holds: list[str] = []
        self._lock: Lock | None = None
        self._is_new = False
        if world is not None and world.rank:
            self.path = Path(directory).absolute()
            return
        self.path, self._is_new = _made(directory)
        self._lock = Lock(self.path, take_own=overwrite)
        found = ("run.json", "spikes.h5", of_rank("spikes.h5", 0), BEFORE)
        self.holds = [name for name in found if os.path.lexists(self.path / name)]
        if self.holds and not (overwrite or goes_on):
            self._lock.release()
            raise self._taken()

    @property
    def holds_lock(self) -> bool:
        """Whether this process may write `run.json`: rank 0, unless another run took over."""
        return self._lock is not None and self._lock.is_held

    def clear(self) -> None:
        """Remove an earlier run, if there is one, with its checkpoints."""
        if self._lock is not None:
            _remove_run(self.path)
            forget(self.path)
            remove_all(self.path / CHECKPOINTS)
            remove_failed(self.path)

    def make_way(self, step: int | None) -> None:
        """Remove an earlier run, if there is one; or keep what it recorded up to a step, aside.

        Raises:
            RunDirectoryError: there is one that is complete, and was not to be replaced.
        """
        if self._lock is None:
            return
        if step is None and self.holds and not self._overwrite and _is_completed(self.path):
            raise self._taken()
        if step is None:
            self.clear()
        else:
            remove_after(self.path / CHECKPOINTS, step)  # first: they need what is cut off
            set_aside(self.path, step)
            _remove_run(self.path)

    def forget(self) -> None:
        """What was set aside is in new files, on the disk."""
        if self._lock is not None:
            forget(self.path)

    def create(
        self,
        header: Header,
        run: Mapping[str, Any] | None = None,
        *,
        every: float = 1.0,
        share: Share | None = None,
        goes_on: bool = False,
    ) -> Writer:
        """Replace an earlier run, if there is one, by the empty files of this one.

        Of several ranks rank 0 must have called `clear` before, and of those that go on with what
        was recorded `set_aside`.

        Args:
            header: what will be recorded.
            run: what else `run.json` says, see `provenance.describe_run`.
            every: seconds of wall time between two writes; what is younger is lost if the process
                is killed.
            share: where there are other ranks: which part of it this one records.
            goes_on: nothing is to be removed.
        """
        if share is None and not goes_on:
            self.clear()
        return Writer(self, header, run or {}, every=every, share=share)

    def _taken(self) -> RunDirectoryError:
        """The error for a directory that holds a run already."""
        return RunDirectoryError(
            f'out: "{self.path}" holds a run already ({", ".join(self.holds)}). Use another '
            'directory, overwrite=True (--overwrite) to replace it, or resume="auto" (--resume '
            "auto) to go on from its last checkpoint."
        )

    def close(self) -> None:
        """Give the directory free; one that we made and left empty goes."""
        if self._lock is None:
            return
        self._lock.release()
        if self._is_new:
            with suppress(OSError):
                self.path.rmdir()


def _made(directory: str | os.PathLike) -> tuple[Path, bool]:
    """The directory, made if only itself is missing, and whether it was made."""
    if not os.fspath(directory):
        raise RunDirectoryError("out: the name of the directory is empty. Give a name.")
    if not os.fspath(directory).isprintable():
        raise RunDirectoryError(
            f"out: {shown(os.fspath(directory))} has characters that cannot be shown. Give another "
            "name."
        )
    path = Path(directory).absolute()
    if path.is_symlink() and path.lstat().st_uid not in (0, os.geteuid()):
        raise RunDirectoryError(
            f'out: "{path}" is a link that someone else has made: it is not followed. Use another '
            "directory, or the one that it leads to."
        )
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


def _is_completed(directory: Path) -> bool:
    """Whether a run has come to its end there."""
    with suppress(RunDirectoryError):
        return read_run(directory).get("exit_reason") == "completed"
    return False


def _remove_run(directory: Path) -> None:
    """Remove the files of an earlier run, and nothing else."""
    traces: list[str] = []
    with suppress(RunDirectoryError):
        traces = list(header_from_json(read_run(directory), directory).traces)
    files = [*trace_files(traces).values(), "spikes.h5"]
    stems = "|".join(re.escape(name.removesuffix(".h5")) for name in files)
    of_ranks = re.compile(rf"({stems})\.rank-\d{{4,}}\.h5")
    found = [each.name for each in directory.iterdir() if of_ranks.fullmatch(each.name)]
    for name in (*found, *map(draft_of, files), *files, "run.json"):
        try:
            (directory / name).unlink(missing_ok=True)
        except OSError as error:
            raise store.unusable(directory / name, "w", error) from error
