"""Rows of a recording in the order of their steps, held in memory or read when needed."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import singledispatch
from typing import Generic, Protocol, TypeVar, runtime_checkable

import numpy as np
from jaxtyping import Int64, Shaped

T = TypeVar("T")


@runtime_checkable
class Rows(Protocol):
    """Recorded rows in the order of their steps, in memory or in a file."""

    @property
    def count(self) -> int:
        """How many there are."""
        ...

    def read(self, first: int, last: int) -> tuple[np.ndarray, np.ndarray]:
        """Steps of the rows first, ..., last - 1, and what happened: ids of spikes, or values."""
        ...


@dataclass(frozen=True, eq=False)
class HeldRows:
    """Rows held in memory."""

    step: Int64[np.ndarray, "n"]
    content: Shaped[np.ndarray, "n ..."]

    @property
    def count(self) -> int:
        return len(self.step)

    def read(self, first: int, last: int) -> tuple[np.ndarray, np.ndarray]:
        return self.step[first:last], self.content[first:last]


@dataclass(frozen=True, eq=False)
class SomeRows:
    """The rows first, ..., last - 1 of others."""

    rows: Rows
    first: int
    last: int

    @property
    def count(self) -> int:
        return self.last - self.first

    def read(self, first: int, last: int) -> tuple[np.ndarray, np.ndarray]:
        return self.rows.read(self.first + first, self.first + last)


class ByPath(Mapping[str, T], Generic[T]):
    """Spikes or traces by path, read when they are asked for the first time."""

    def __init__(
        self, paths: Sequence[str], read: Callable[[str], T], missing: Callable[[str], Exception]
    ) -> None:
        self._paths = tuple(paths)
        self._read = read
        self._missing = missing
        self._known: dict[str, T] = {}

    def __getitem__(self, path: str) -> T:
        if path not in self._paths:
            raise self._missing(path)
        if path not in self._known:
            self._known[path] = self._read(path)
        return self._known[path]

    def __contains__(self, path: object) -> bool:
        return path in self._paths

    def __iter__(self) -> Iterator[str]:
        return iter(self._paths)

    def __len__(self) -> int:
        return len(self._paths)

    def __repr__(self) -> str:
        return f"<{', '.join(self._paths) or 'nothing recorded'}>"


@singledispatch
def rows_until(rows: Rows, step: int) -> int:
    """How many rows have a step of at most `step`, by bisection: a file is hardly read."""
    low, high = 0, rows.count
    while low < high:
        middle = (low + high) // 2
        if rows.read(middle, middle + 1)[0][0] <= step:
            low = middle + 1
        else:
            high = middle
    return low


@rows_until.register
def _(rows: HeldRows, step: int) -> int:
    return int(np.searchsorted(rows.step, step, side="right"))


@rows_until.register
def _(rows: SomeRows, step: int) -> int:
    return min(max(rows_until(rows.rows, step), rows.first), rows.last) - rows.first


def columns_of(
    wanted: Int64[np.ndarray, "k"], present: Int64[np.ndarray, "m"]
) -> Int64[np.ndarray, "k"]:
    """Where each wanted id is among those present, which may come in any order.

    Raises:
        ValueError: one of them is not present.
    """
    order = np.argsort(present, kind="stable")
    if len(wanted) and not np.all(np.isin(wanted, present)):
        raise ValueError(f"id {wanted[~np.isin(wanted, present)][0]} is not present")
    return order[np.searchsorted(present, wanted, sorter=order)] if len(wanted) else wanted
