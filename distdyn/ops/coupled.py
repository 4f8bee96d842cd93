"""What cells act by besides their spikes: values, one of every cell at every step.

    events, count = emit(values, factor, bounds, events, cursor)     list what the cells emit
    ring[(stamp + d_ij) mod slots, j] += rint(w_ij a_i)              deliver it (`ops.deliver`)

A list of values is sent like a list of spikes. A value is a float64 in two int32 words, lower half
first, scaled to lie between -1 and 1; cells stand in their own order. Every synapse adds an integer
of its own to the ring, so that sums do not depend on the order or on who adds first.
"""

import functools
import itertools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float64, Int, Int32, Int64

from distdyn.ops.chain import now
from distdyn.ops.rows import CELLS, Rows

WORDS = 2  # int32 for each value


class Coupled(Rows):
    """`Rows` from the values of a group of sources to one ring: all of them at every step."""

    __slots__ = ()


class Pairs(NamedTuple):
    """`Coupled` rows synapse by synapse, for roads without the kernels of CPUs.

    Attributes:
        first: int64[parts + 1]; the places of part q are first[q] : first[q + 1].
        source: int64[capacity]; the place of the cell that emits, -1 of padding.
        offset: as in `Rows`.
        weight: float64[capacity]; in the ring's units.
    """

    first: Any
    source: Any
    offset: Any
    weight: Any

    @classmethod
    def of(cls, rows: Coupled) -> "Pairs":
        """The synapses of a table on the host."""
        size = np.asarray(rows.bounds)[:, -1]
        first = np.concatenate([[0], np.cumsum(size)])
        source, weight = np.full(len(rows.offset), -1), np.zeros(len(rows.offset))
        for part, ends in enumerate(rows.bounds):
            for k, (low, high) in enumerate(itertools.pairwise(ends)):
                word, width = rows.word[part, k], int(rows.width[k])
                if word < 0 or not width:
                    continue
                n_words = -(-int(high - low) // CELLS)
                bits = np.asarray(rows.bits[word : word + n_words]).view(np.uint8)
                has_row = np.unpackbits(bits, bitorder="little").astype(bool)
                cells = np.flatnonzero(has_row)
                row = int(rows.rank[word]) + width * np.arange(len(cells))
                for column in range(width):
                    segment = row + column
                    begin = _starts(rows, segment)
                    length = _starts(rows, segment + 1) - begin
                    at = np.repeat(begin - np.cumsum(length) + length, length)
                    at += np.arange(length.sum())
                    source[at] = np.repeat(first[part] + low + cells, length)
                    weight[at] = float(rows.unit[k, column])
        if len(rows.weight):
            weight *= rows.weight
        return cls(first, source, np.asarray(rows.offset), weight)


def _starts(rows: Rows, segment: np.ndarray) -> np.ndarray:
    """Where the synapses of segments begin, or those of the ones before end."""
    return rows.base[segment >> 6] + rows.start[segment].astype(np.int64)


def emit(
    values: Float[Array, "cells"],
    factor: Float64[Array, "populations"],
    bounds: Int64[Array, "populations + 1"],
    events: Int32[Array, "capacity"],
    cursor: Int64[Array, ""],
    *,
    via: Any = now,
) -> tuple[Int32[Array, "capacity"], Int32[Array, ""]]:
    """List the values of all cells of a group.

    Args:
        values: what each cell emits.
        factor: by which those of each population are multiplied to lie between -1 and 1.
        bounds: cells bounds[k] : bounds[k + 1] are of population k; those beyond are padding.
        events: the list, updated in place, with room for all cells from the cursor on.
        cursor: where the values begin.
        via: calls the kernel now, or as part of a `Chain`.

    Returns:
        The list, and how many words were written.
    """
    shapes = [jax.ShapeDtypeStruct(events.shape, events.dtype), jax.ShapeDtypeStruct((), jnp.int32)]
    given = jnp.array([0, 1], jnp.int64), values, factor, bounds, cursor
    return tuple(via(_target(str(values.dtype)), shapes, {5: 0}, *given, events))


def emit_reference(
    values: Float[Array, "cells"],
    factor: Float64[Array, "populations"],
    bounds: Int64[Array, "populations + 1"],
    events: Int32[Array, "capacity"],
    cursor: Int64[Array, ""],
) -> tuple[Int32[Array, "capacity"], Int32[Array, ""]]:
    """`emit` in plain jax.numpy; what it writes beyond the words it counts is anything."""
    population = jnp.searchsorted(bounds, jnp.arange(len(values)), side="right") - 1
    scaled = values.astype(jnp.float64) * factor[jnp.minimum(population, len(factor) - 1)]
    words = jax.lax.bitcast_convert_type(scaled, jnp.int32).reshape(-1)
    count = (WORDS * bounds[-1]).astype(jnp.int32)
    return jax.lax.dynamic_update_slice(events, words, (cursor,)), count


def deliver_pairs(
    ring: Int[Array, "slot post"],
    pairs: Pairs,
    part: Int64[Array, ""],
    events: Int32[Array, "capacity"],
    cursor: Int64[Array, ""],
    count: Int32[Array, ""],
    stamp: Int64[Array, ""],
    first: Any = 0,
) -> Int[Array, "slot post"]:
    """Add the values of one part of the network, or some of them from the `first` cell on.

    All synapses at once, in plain jax.numpy: one scattered sum of integers on any platform.
    """
    if events.shape[0] < WORDS:
        return ring

    at = WORDS * (pairs.source.astype(jnp.int64) - pairs.first[part] - first)
    is_here = (pairs.source >= pairs.first[part]) & (at >= 0) & (at < count)
    value = values_at(events, cursor + at, is_here)
    place = (stamp % ring.shape[0]) * ring.shape[1] + pairs.offset.astype(jnp.int64)
    amount = jnp.rint(pairs.weight * value).astype(ring.dtype)
    return ring.reshape(-1).at[place % ring.size].add(amount).reshape(ring.shape)


def values_at(events: Int32[Array, "capacity"], word: Any, is_here: Any) -> Any:
    """The values that begin at these words of a list, 0 where there is none."""
    word = jnp.clip(word, 0, events.shape[0] - WORDS)
    words = jnp.stack([events[word], events[word + 1]], axis=-1)
    return jnp.where(is_here, jax.lax.bitcast_convert_type(words, jnp.float64), 0.0)


@functools.cache
def _target(precision: str) -> str:
    from distdyn.ops import coupled_kernels, ffi

    kernel = coupled_kernels.emit_kernel(precision)
    return ffi.register(f"distdyn_emit_{precision}", kernel.address, 6, 2)
