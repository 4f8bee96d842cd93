"""What many ranks recorded as if one had, and the share of one rank in what all recorded.

Rows of a recording stand in files: of each rank during a run, of all ranks after it. Either way the
rows of a population are sorted by (step, id), so that a row keeps its number when the files of the
ranks are merged into one.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Int64

from distdyn.ops.listing import merge
from distdyn.run.rows import Rows, rows_until
from distdyn.run.stream import TOTAL, together


@dataclass(frozen=True, eq=False)
class JoinedSpikes:
    """The spikes of one population that several ranks hold, sorted by (step, id)."""

    parts: Sequence[Rows]

    @cached_property
    def count(self) -> int:
        return sum(part.count for part in self.parts)

    @cached_property
    def _marks(self) -> tuple[Int64[np.ndarray, "w"], Int64[np.ndarray, "w p"]]:
        """Rows of all, and of each part, that precede some steps: where reading can begin."""
        block = max(1024, TOTAL // max(1, len(self.parts)))
        taken = [[0] * len(self.parts)]
        for pieces in together(self.parts, block):
            rows = [len(step) for step, _ in pieces]
            taken.append([n + more for n, more in zip(taken[-1], rows, strict=True)])
        each = np.array(taken, np.int64).reshape(len(taken), len(self.parts))
        return each.sum(axis=1), each

    def read(self, first: int, last: int) -> tuple[np.ndarray, np.ndarray]:
        if (first, last) == (0, self.count):
            return merge([part.read(0, part.count) for part in self.parts])
        if first >= last:
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        total, each = self._marks
        begin = int(np.searchsorted(total, first, side="right")) - 1
        end = int(np.searchsorted(total, last, side="left"))
        pieces = zip(self.parts, each[begin], each[end], strict=True)
        step, id = merge([part.read(int(a), int(b)) for part, a, b in pieces])
        here = slice(first - int(total[begin]), last - int(total[begin]))
        return step[here], id[here]


@dataclass(frozen=True, eq=False)
class JoinedTrace:
    """The samples of one variable whose columns several ranks hold.

    Attributes:
        parts: the samples of each rank.
        places: the places of each rank's columns among all.
        dtype: the type of the values.
    """

    parts: Sequence[Rows]
    places: Sequence[Int64[np.ndarray, "_"]]
    dtype: str

    @property
    def count(self) -> int:
        return min(part.count for part in self.parts)

    def read(self, first: int, last: int) -> tuple[np.ndarray, np.ndarray]:
        width = sum(len(places) for places in self.places)
        value = np.zeros((max(0, last - first), width), self.dtype)
        step = np.zeros(0, np.int64)
        for part, places in zip(self.parts, self.places, strict=True):
            step, value[:, places] = part.read(first, last)
        return step, value


@dataclass(frozen=True, eq=False)
class OwnedSpikes:
    """Of the spikes of a population those of some neurons.

    Attributes:
        rows: the spikes of all.
        id: the neurons, ascending.
    """

    rows: Rows
    id: Int64[np.ndarray, "k"]

    @cached_property
    def _rows(self) -> Int64[np.ndarray, "s"]:
        """The rows of these neurons."""
        found, at = [np.zeros(0, np.int64)], 0
        for ((_, id),) in together([self.rows]):
            found.append(at + np.flatnonzero(np.isin(id, self.id)))
            at += len(id)
        return np.concatenate(found)

    @property
    def count(self) -> int:
        return len(self._rows)

    def read(self, first: int, last: int) -> tuple[np.ndarray, np.ndarray]:
        wanted = self._rows[first:last]
        if not len(wanted):
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        step, id = self.rows.read(int(wanted[0]), int(wanted[-1]) + 1)
        return step[wanted - wanted[0]], id[wanted - wanted[0]]


@dataclass(frozen=True, eq=False)
class SomeColumns:
    """Some columns of the samples of a variable."""

    rows: Rows
    columns: Int64[np.ndarray, "k"]

    @property
    def count(self) -> int:
        return self.rows.count

    def read(self, first: int, last: int) -> tuple[np.ndarray, np.ndarray]:
        step, value = self.rows.read(first, last)
        return step, value[:, self.columns]


@dataclass(frozen=True, eq=False)
class NoColumns:
    """The samples of a rank that owns none of the neurons: at first_step and every interval."""

    count: int
    first_step: int
    interval: int
    dtype: str

    def read(self, first: int, last: int) -> tuple[np.ndarray, np.ndarray]:
        step = self.first_step + self.interval * np.arange(first, last, dtype=np.int64)
        return step, np.zeros((len(step), 0), self.dtype)


@dataclass(frozen=True, eq=False)
class LateRows:
    """The rows first, ..., last - 1 of what a run wrote, wherever they are when they are read.

    Attributes:
        find: gives rows that go at least up to the number it is called with.
    """

    find: Callable[[int], Rows]
    first: int
    last: int

    @property
    def count(self) -> int:
        return self.last - self.first

    def read(self, first: int, last: int) -> tuple[np.ndarray, np.ndarray]:
        return self.find(self.last).read(self.first + first, self.first + last)


@rows_until.register
def _(rows: JoinedSpikes, step: int) -> int:
    return sum(rows_until(part, step) for part in rows.parts)


@rows_until.register
def _(rows: LateRows, step: int) -> int:
    found = rows_until(rows.find(rows.last), step)
    return min(max(found, rows.first), rows.last) - rows.first
