"""Values over the cells of a group: one per segment or one per cell, fixed or changing in time."""

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from distdyn.core.signal import Signal, value_at
from distdyn.core.system import Tick
from distdyn.network.distributions import Distribution
from distdyn.parallel.groups import Group
from distdyn.random import stream_key


class Entry(eqx.Module):
    """A number, array, `Signal` or function of t for some segments or cells."""

    where: Any  # int64 array: segments or cells
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
            value = jnp.asarray(value_at(entry.value, tick)).astype(self.dtype)
            total = total.at[entry.where].add(value)
        return total

    def fixed(self) -> np.ndarray:
        """The values, for ones that do not change, in float64."""
        total = np.zeros(self.size, np.float64)
        for entry in self.entries:
            np.add.at(total, np.asarray(entry.where), np.asarray(entry.value, np.float64))
        return total


def collect(
    group: Group, pieces: Sequence[tuple[str, range, Any]], dtype: str = "float64"
) -> Values:
    """Join pieces (population path, ids, value) into values over a group.

    The result is per segment if every piece covers its population with a single value.
    """
    per_segment = all(
        len(ids) == group.populations[group.paths.index(path)].size and _is_single(value)
        for path, ids, value in pieces
    )
    entries = []
    for path, ids, value in pieces:
        if per_segment:
            where = np.array([group.paths.index(path)])
        else:
            where = group.start(path) + np.arange(ids.start, ids.stop, ids.step)
        entries.append(Entry(where, value))
    size = len(group.paths) if per_segment else group.size
    return Values(tuple(entries), "segment" if per_segment else "cell", size, dtype)


def _is_single(value: Any) -> bool:
    """Whether a value is one number at any time."""
    if isinstance(value, Signal):
        return jax.eval_shape(lambda: jnp.asarray(value.at(_ZERO))).shape == ()
    if callable(value):
        return jnp.shape(jax.eval_shape(lambda: jnp.asarray(value(0.0)))) == ()
    return np.ndim(value) == 0


_ZERO = Tick(np.int64(0), 0.1, 0.0)


def parameter(group: Group, values: Sequence[Any], name: str, seed: int) -> np.ndarray:
    """A parameter in float64: [segment] if each population has one number, else [cell].

    Args:
        group: the group.
        values: per population a number, an array or a distribution.
        name: of the parameter; with the path it names the stream of the draws.
        seed: of the run.
    """
    if all(np.ndim(v) == 0 and not isinstance(v, Distribution) for v in values):
        return np.array([float(v) for v in values], np.float64)
    parts = []
    for path, population, value in zip(group.paths, group.populations, values, strict=True):
        parts.append(drawn(value, population.size, seed, path, name))
    return np.concatenate(parts) if parts else np.zeros(0)


def drawn(value: Any, size: int, seed: int, path: str, name: str) -> np.ndarray:
    """A value for each neuron of a population, in float64."""
    if isinstance(value, Distribution):
        return value.draw(stream_key(seed, f"value {name}", path), np.arange(size))
    return np.broadcast_to(np.asarray(value, np.float64), (size,)).copy()
