"""Values over the cells of a part: one per segment or one per cell, fixed or changing in time.

Which of the two is decided by the whole description, never by what a part holds, so that every part
runs the same code.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from distdyn.core.signal import Signal, at_targets, is_single, value_at
from distdyn.core.system import Tick
from distdyn.network.distributions import Distribution
from distdyn.parallel.groups import Cells
from distdyn.random import stream_key


class Fixed(NamedTuple):
    """Values that do not change: float64[segment] or float64[cell]."""

    per: str  # "segment" or "cell"
    array: np.ndarray


class Entry(eqx.Module):
    """A number, array, `Signal` or function of t for some segments or cells."""

    where: Any  # int64 array: segments or cells; those beyond the last are nobody
    take: Any  # int64 array: which elements of the value they get; None: the value is a number
    value: Any

    @property
    def is_fixed(self) -> bool:
        """Whether the value is the same at all times."""
        return not (isinstance(self.value, Signal) or callable(self.value))


class Values(eqx.Module):
    """The sum of its entries, zero where there is none."""

    entries: tuple[Entry, ...]
    per: str = eqx.field(static=True)  # "segment" or "cell"
    size: int = eqx.field(static=True)
    dtype: str = eqx.field(static=True)

    @property
    def is_fixed(self) -> bool:
        """Whether the values are the same at all times."""
        return all(entry.is_fixed for entry in self.entries)

    def at(self, tick: Tick) -> Any:
        """The values that hold during a step."""
        total = jnp.zeros(self.size, self.dtype)
        for entry in self.entries:
            if entry.take is None:
                value = value_at(entry.value, tick)
            else:
                value = at_targets(entry.value, tick, entry.take)
            value = jnp.asarray(value).astype(self.dtype)
            total = total.at[entry.where].add(value, mode="drop")
        return total

    def fixed(self) -> Fixed:
        """The values, for ones that do not change."""
        total = np.zeros(self.size, np.float64)
        for entry in self.entries:
            value = np.asarray(entry.value, np.float64)
            value = value if entry.take is None else value[entry.take]
            np.add.at(total, np.asarray(entry.where), value)
        return Fixed(self.per, total)


class Piece(NamedTuple):
    """A value over some neurons of a population."""

    path: str
    ids: range
    value: Any
    first: int = 0  # where these neurons begin in the value, if it is not one number


def collect(cells: Cells, pieces: Sequence[Piece], dtype: str = "float64") -> Values:
    """Join pieces into values over the cells of a group that a part owns.

    The result is per segment if every piece covers its population with a single value.
    """
    group = cells.group
    per_segment = all(
        len(piece.ids) == group.populations[group.segment[piece.path]].size
        and is_single(piece.value)
        for piece in pieces
    )
    entries = []
    for piece in pieces:
        if per_segment:
            entries.append(Entry(np.array([group.segment[piece.path]]), None, piece.value))
            continue
        where, index = cells.find(
            piece.path, np.arange(piece.ids.start, piece.ids.stop, piece.ids.step)
        )
        take = None if is_single(piece.value) else piece.first + index
        entries.append(Entry(where, take, piece.value))
    size = len(group.paths) if per_segment else cells.size
    return Values(tuple(entries), "segment" if per_segment else "cell", size, dtype)


def parameter(cells: Cells, values: Sequence[Any], name: str, seed: int) -> Fixed:
    """A parameter: per segment if each population has one number, else per cell.

    Args:
        cells: whose.
        values: per population a number, an array or a distribution.
        name: of the parameter; with the path it names the stream of the draws.
        seed: of the run.
    """
    if all(np.ndim(v) == 0 and not isinstance(v, Distribution) for v in values):
        return Fixed("segment", np.array([float(v) for v in values], np.float64))
    parts = [
        drawn(value, ids, seed, path, name)
        for path, ids, value in zip(cells.group.paths, cells.ids, values, strict=True)
    ]
    return Fixed("cell", np.concatenate(parts))


def drawn(value: Any, ids: np.ndarray, seed: int, path: str, name: str) -> np.ndarray:
    """The value of each of these neurons of a population, in float64."""
    if isinstance(value, Distribution):
        return np.asarray(value.draw(stream_key(seed, f"value {name}", path), ids), np.float64)
    array = np.asarray(value, np.float64)
    return np.full(len(ids), array) if array.ndim == 0 else array[ids]
