"""How two checkpoints of one step differ: which number of which neuron first, and by how much.

    found = difference(Stored(a), Stored(b))
    print(found)          # cells/E state.V: 3 of 8000 rows, first of id 17: -55.1 and -55.2

They may have been written by other numbers of ranks: rows are compared by their keys.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from distdyn.errors import CheckpointError
from distdyn.run.checkpoint.stored import Stored
from distdyn.run.difference import bits

_MOST_SHOWN = 20  # lines


class FieldDifference(NamedTuple):
    """Where a field of a table is not the same.

    Attributes:
        table: "cells/E", "synapses/exc/0", ...; see `parallel.snapshot`.
        field: "state.V", ...
        rows: how many are not the same.
        of: how many there are.
        key: the smallest of those rows: the id of a neuron, or pre n + post of a synapse.
        values: the first that differ there, in A and in B.
        largest: difference of two numbers in any row.
    """

    table: str
    field: str
    rows: int
    of: int
    key: int
    values: tuple[Any, Any]
    largest: float

    def __str__(self) -> str:
        key = "neuron" if self.table.startswith(("cells", "targets", "sources")) else "key"
        a, b = self.values
        return (
            f"{self.table} {self.field}: {self.rows} of {self.of} rows, the first of {key} "
            f"{self.key}: {a!r} in A, {b!r} in B; differences up to {self.largest:.3g}"
        )


@dataclass(frozen=True)
class Difference:
    """How two checkpoints differ.

    Attributes:
        step: of both.
        about: what they say of their runs, where that is not the same: in A and in B.
        fields: the fields that differ, in the order of their tables.
    """

    step: int
    about: Mapping[str, tuple[Any, Any]]
    fields: tuple[FieldDifference, ...]

    @property
    def is_same(self) -> bool:
        """Whether both hold the same state, to the last bit."""
        return not self.fields

    def __str__(self) -> str:
        about = [f"{name}: {a} in A, {b} in B" for name, (a, b) in self.about.items()]
        lines = [*about, *map(str, self.fields)]
        if len(lines) > _MOST_SHOWN:
            lines[_MOST_SHOWN:] = [f"and {len(lines) - _MOST_SHOWN} more"]
        return "\n".join([*lines, *["the same state"] * self.is_same])

    def to_json(self) -> dict[str, Any]:
        """All of it as plain numbers and text."""
        return {
            "is_same": self.is_same,
            "step": self.step,
            "about": dict(self.about),
            "fields": [field._asdict() for field in self.fields],
        }


def difference(a: Stored, b: Stored) -> Difference:
    """Compare two checkpoints.

    Raises:
        CheckpointError: they are of different steps, or of networks with other neurons, synapses
            or variables.
    """
    if a.step != b.step:
        raise CheckpointError(
            f'"{a.path}" is of step {a.step} and "{b.path}" of step {b.step}. Give two of one step.'
        )
    names = _names(a)
    if other := names ^ _names(b):
        raise CheckpointError(f'Only one of the two holds "{min(other)}". {_CURE}')
    fields = [field for name in sorted(names) for field in _of_table(a, b, name)]
    about = {
        name: (there.get(name), here.get(name))
        for there, here in ((a.manifest[k], b.manifest[k]) for k in ("of", "made_by"))
        for name in dict.fromkeys((*there, *here))
        if there.get(name) != here.get(name)
    }
    return Difference(a.step, about, tuple(fields))


_CURE = "Give checkpoints of one network, or look with distdyn diff at the recordings."


def _names(stored: Stored) -> set[str]:
    return {name for k in range(stored.n_parts) for name in stored.part(k).names()}


def _pieces(a: Stored, b: Stored, name: str) -> Iterator[tuple[np.ndarray, Any, Any]]:
    """The rows of each part of A: their keys, and their fields in both."""
    for k in range(a.n_parts):
        tables = a.part(k)
        key = tables.key(name)
        if len(key):
            yield key, dict(tables.fields(name, np.arange(len(key)))), b.read(name, key, k)


def _of_table(a: Stored, b: Stored, name: str) -> list[FieldDifference]:
    rows = [sum(len(of.part(k).key(name)) for k in range(of.n_parts)) for of in (a, b)]
    if rows[0] != rows[1]:
        raise CheckpointError(f'"{name}" has {rows[0]} rows in A and {rows[1]} in B. {_CURE}')
    found: dict[str, FieldDifference] = {}
    for key, ours, theirs in _pieces(a, b, name):
        if set(ours) != set(theirs):
            raise CheckpointError(f'"{name}" has the fields {[*ours]} and {[*theirs]}. {_CURE}')
        for field, x in ours.items():
            new = _of_field(name, field, rows[0], key, x, theirs[field])
            if new is not None:
                found[field] = new if field not in found else _joined(found[field], new)
    return sorted(found.values(), key=lambda one: (one.key, one.field))


def _of_field(
    table: str, field: str, of: int, key: np.ndarray, x: np.ndarray, y: np.ndarray
) -> FieldDifference | None:
    if (x.dtype, x.shape) != (y.dtype, y.shape):
        raise CheckpointError(
            f'"{field}" of "{table}" is {x.dtype}{list(x.shape[1:])} in A and '
            f"{y.dtype}{list(y.shape[1:])} in B. {_CURE}"
        )
    x, y = x.reshape(len(key), -1), y.reshape(len(key), -1)
    row, column = np.nonzero(bits(x) != bits(y))
    if not len(row):
        return None
    p, q = x[row, column], y[row, column]
    with np.errstate(invalid="ignore", over="ignore"):
        largest = float(np.max(np.abs(p.astype(np.float64) - q.astype(np.float64))))
    values = p[0].item(), q[0].item()
    return FieldDifference(table, field, len(np.unique(row)), of, int(key[row[0]]), values, largest)


def _joined(one: FieldDifference, two: FieldDifference) -> FieldDifference:
    """Those of two parts as one."""
    first = min(one, two, key=lambda each: each.key)
    return first._replace(rows=one.rows + two.rows, largest=max(one.largest, two.largest))
