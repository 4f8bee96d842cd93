"""What a sweep has found so far, in memory and in its file; in the end on all ranks."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from distdyn.analysis.sweep import table as tables
from distdyn.analysis.sweep.grid import Points
from distdyn.analysis.sweep.table import DONE, Sweep
from distdyn.run.agreement import agreed


class Results:
    """Takes up what a file holds, and collects what this rank finds. Collective, as is `finish`.

    Args:
        out: the file of the table; None: in memory alone.
        points: of the sweep.
        about: what the sweep is of.
        world: the ranks.
        part: the share of this job of an array: it writes a file of its own.
        overwrite: begin anew.

    Attributes:
        is_known: of each point whether it was computed.
        failure: the first point that is known to have failed, and why.

    Raises:
        AnalysisError: the file holds another sweep.
        RunDirectoryError: it cannot be read or written.
    """

    def __init__(
        self,
        out: Any,
        points: Points,
        about: Mapping[str, Any],
        world: Any,
        *,
        part: tuple[int, int] | None,
        overwrite: bool,
    ) -> None:
        self.points, self.about, self._world, self._part = points, dict(about), world, part
        self._out = None if out is None else Path(out)
        self._file = None if self._out is None else self._own_file(self._out)
        found: Sweep | None = None
        with agreed(world):
            if self._out is not None and world.rank == 0:
                found = self._taken_up(self._out, overwrite)
        self._before: Sweep = world.bcast(found) or self._empty()
        self.is_known = self._before.is_known.copy()
        self.failure = next(iter(self._before.reasons.items()), None)
        self._rows: list[int] = []
        self._values: dict[str, list[float]] = {}
        self._reasons: dict[int, str] = {}
        self._written = 0
        self._notes: list[str] | None = None  # of the file

    def add(
        self,
        rows: Sequence[int],
        measures: Sequence[str],
        values: Mapping[str, np.ndarray],
        reasons: Sequence[str],
    ) -> None:
        """What some points have come to; those that are known already stay as they are."""
        for name in measures:
            self._values.setdefault(name, [np.nan] * len(self._rows))
        for k, (row, reason) in enumerate(zip(rows, reasons, strict=True)):
            if self.is_known[row]:
                continue
            self.is_known[row] = True
            self._rows.append(row)
            for name, column in self._values.items():
                column.append(float(values[name][k]) if name in values else np.nan)
            if reason:
                self._reasons[row] = tables.shortened(reason)
                self.failure = self.failure or (row, self._reasons[row])

    def write(self) -> None:
        """Write what was added since the last time; the columns are known once a point is done."""
        if self._file is None or not self._values:
            return
        from distdyn.run import columns

        if not self._file.exists():
            columns.write(self._file, self._empty(self._values).as_table(), is_new=True)
        if self._notes is None:
            self._notes = columns.read(self._file).notes
        rows = np.array(self._rows[self._written :], np.int64)
        order = np.argsort(rows)
        state, self._notes = tables.coded(self._reasons, self._notes, len(self.points))
        state[state == 0] = DONE
        new = {
            name: np.array(column[self._written :])[order] for name, column in self._values.items()
        }
        columns.fill(self._file, "values", rows[order], new, state[rows[order]], self._notes)
        self._written = len(self._rows)

    def finish(self) -> Sweep:
        """The table with all that is known, also of other jobs; its file is one file then."""
        own = self._own()
        found = self._before
        for values, reasons, is_known in self._world.allgather(
            (own.values, own.reasons, own.is_known)
        ):
            found = found.joined(Sweep(self.points, values, reasons, is_known, self.about))
        with agreed(self._world):
            if self._out is not None and self._world.rank == 0:
                found = self._join(self._out, found)
        return found if self._part is None else self._world.bcast(found)

    # --- within ----------------------------------------------------------------------------------

    def _own_file(self, out: Path) -> Path:
        """Where this rank writes."""
        who = [] if self._part is None else [self._task]
        who += [f"rank-{self._world.rank:04}"] if self._world.size > 1 else []
        return tables.part_of(out, "-".join(who)) if who else out

    @property
    def _task(self) -> str:
        return "" if self._part is None else f"task-{self._part[0]:04}"

    def _taken_up(self, out: Path, overwrite: bool) -> Sweep | None:
        if overwrite:
            own = str(tables.part_of(out, self._task)).removesuffix(".h5")
            for each in (*tables.parts(out), out):
                if self._part is None or each == out or str(each).startswith(own):
                    each.unlink(missing_ok=True)
            return None
        found = tables.read(out)
        if found is None:
            return None
        tables.check_same(self.about, found.about, f'"{out}"')
        if self._part is None:  # no other job writes: begin with one file
            self._join(out, found)
        return found

    def _join(self, out: Path, found: Sweep) -> Sweep:
        """Make one file, but for jobs of an array whose others are not done; what is known."""
        if self._part is not None:
            found = tables.read(out) or found
            if not found.is_complete:
                return found
        beside = tables.parts(out)
        found.save(out)
        for each in beside:
            each.unlink(missing_ok=True)
        return found

    def _empty(self, names: Any = ()) -> Sweep:
        n = len(self.points)
        values = {name: np.full(n, np.nan) for name in names}
        return Sweep(self.points, values, {}, np.zeros(n, bool), self.about)

    def _own(self) -> Sweep:
        empty = self._empty(self._values)
        for name, column in self._values.items():
            empty.values[name][self._rows] = column
        empty.is_known[self._rows] = True
        return Sweep(self.points, empty.values, dict(self._reasons), empty.is_known, self.about)
