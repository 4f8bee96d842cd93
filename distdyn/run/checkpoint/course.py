"""The course of a run from checkpoint to checkpoint: found, written, stopped at, gone on from.

    course = Course(directory, Schedule("10min", dt), keep=3, world=world)
    stored = course.find("auto")               # the checkpoint to go on from, or None
    with course:                               # signals wait for the end of a chunk
        ...
        code = course.agree(step)              # all ranks: WRITE, or the exit code to stop with
        course.write(shard, about)

Without a directory there is no course: nothing is written, and signals do what they always do.
"""

import itertools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from distdyn.errors import CheckpointError, DistDynError, ParameterError, SimulationError
from distdyn.parallel.launch import World
from distdyn.parallel.shard import Shard
from distdyn.parallel.snapshot import Columns, Read, put, take
from distdyn.run.checkpoint import CHECKPOINTS, FAILED
from distdyn.run.checkpoint.schedule import Schedule
from distdyn.units import shown

if TYPE_CHECKING:
    from distdyn.run.checkpoint.stored import Stored

Change = tuple[str, str, Any]  # path, name and value of what was set
About = Callable[[], dict[str, Any]]  # what a checkpoint says of its run; collective
WRITE = 1  # smaller than any exit code of a stop


class Course:
    """What a run has to do with checkpoints.

    Args:
        directory: of the run; None: it has none.
        schedule: when one is due.
        keep: how many stay.
        world: the ranks.
    """

    def __init__(self, directory: Path | None, schedule: Schedule, keep: int, world: World) -> None:
        self.directory = None if directory is None else directory / CHECKPOINTS
        self.schedule, self.keep, self.world = schedule, keep, world

    def find(self, resume: str | Path) -> "Stored | None":
        """The checkpoint from which the run goes on. Collective.

        Args:
            resume: "never"; "auto", the newest that is whole, if there is one; or its path.

        Raises:
            CheckpointError: it is damaged, or no checkpoint.
        """
        if resume == "never":
            return None
        from distdyn.run.checkpoint.stored import Stored, newest

        if resume == "auto":
            return None if self.directory is None else newest(self.directory, self.world)
        stored = Stored(resume)
        stored.verify(self.world)
        if "failed" in stored.manifest:
            raise CheckpointError(
                f'resume: "{stored.path}" is the state of a run that could not go on '
                f"({shown(stored.manifest['failed'])}). Give a checkpoint from before."
            )
        return stored

    def is_own(self, stored: "Stored") -> bool:
        """Whether a checkpoint is of this very run, and not the beginning of another."""
        return self.directory is not None and lies_in(stored.path, self.directory)

    def __enter__(self) -> "Course":
        if self.directory is not None:
            self.schedule.notice.__enter__()
        return self

    def __exit__(self, *why: Any) -> None:
        if self.directory is not None:
            self.schedule.notice.__exit__(*why)

    def until(self, step: int, last: int) -> int:
        """How far the run may go in one piece."""
        return last if self.directory is None else self.schedule.next(step, last)

    def wish(self, step: int) -> int:
        """What this rank would do at this step: 0, WRITE, or the exit code to stop with."""
        if self.directory is None:
            return 0
        return self.schedule.stop() or WRITE * self.schedule.is_due(step)

    def write(self, shard: Shard, about: About, changes: Sequence[Change]) -> Path:
        """Write a checkpoint of this step. Collective.

        Args:
            shard: what it is of.
            about: gives "of" which run it is, how it is "made_by", and its "counters" until now.
            changes: what was set since the run began: path, name and value, in this order.
        """
        assert self.directory is not None
        began = time.perf_counter()
        path = self._write(self.directory, shard, about, changes)
        self.schedule.written(time.perf_counter() - began)
        return path

    def leave(
        self,
        shard: Shard,
        about: About,
        changes: Callable[[], Sequence[Change]],
        error: SimulationError,
    ) -> None:
        """Keep the state of a run that cannot go on, and say in its error where. Collective.

        Args:
            shard: what it is of.
            about: as in `write`.
            changes: gives what was set since the run began.
            error: on all ranks the same.
        """
        if self.directory is None:
            return
        try:
            more = {"failed": str(error)}
            path = self._write(self.directory.parent, shard, about, changes(), FAILED, more)
            said = f'The state is saved in "{path}".'
        except DistDynError as why:
            said = f"The state could not be saved: {why}"
        error.args = (f"{error} {said}",)

    def _write(
        self,
        directory: Path,
        shard: Shard,
        about: About,
        changes: Sequence[Change],
        prefix: str = "",
        more: Mapping[str, Any] | None = None,
    ) -> Path:
        from distdyn.run.checkpoint.writing import write

        tables = take(shard)  # nothing is on its way any more: counters agree
        said = {**about(), **(more or {})}
        if self.world.rank == 0:
            said |= {"changes": [[path, name] for path, name, _ in changes]}
            tables = itertools.chain(tables, _tables(changes))
        rest = {"keep": self.keep, "prefix": prefix}
        return write(directory, shard.step, tables, said, self.world, **rest)


def changes_of(stored: "Stored") -> list[Change]:
    """What was set since the run began."""
    one = np.zeros(1, np.int64)
    found = []
    for k, (path, name) in enumerate(stored.manifest["changes"]):
        value = stored.read(f"changes/{k}", one)["value"][0]
        found.append((path, name, value if value.ndim else float(value)))
    return found


def _tables(changes: Sequence[Change]) -> Iterator[tuple[str, Columns]]:
    for k, (_, _, value) in enumerate(changes):
        array = np.asarray(value, np.float64)[None]
        yield f"changes/{k}", Columns(np.zeros(1, np.int64), {"value": array})


def restore(shard: Shard, stored: "Stored") -> None:
    """Set a shard to what a checkpoint holds."""
    read: Read = lambda name, key: stored.read(name, key, shard.world.rank)  # noqa: E731
    put(shard, stored.step, read)


def lies_in(path: str | Path, directory: str | Path) -> bool:
    """Whether a checkpoint is one of these, however its path is written."""
    return Path(path).resolve().parent == Path(directory).resolve()


def check_resume(resume: Any, out: Any) -> str | Path:
    """A way to go on that is possible.

    Raises:
        ParameterError: it is not.
    """
    if not isinstance(resume, str | Path) or not str(resume):
        raise ParameterError(
            f'resume = {shown(resume)} is not possible. Use "auto", "never" or a path.'
        )
    if resume == "auto" and out is None:
        raise ParameterError('resume = "auto" needs the directory of the run. Give out (--out).')
    return resume


def check_keep(keep: Any) -> int:
    """How many checkpoints stay.

    Raises:
        ParameterError: not a number from 1 on.
    """
    if isinstance(keep, bool) or not isinstance(keep, int) or keep < 1:
        raise ParameterError(f"keep = {shown(keep)} is not possible. Use 1 or more checkpoints.")
    return keep
