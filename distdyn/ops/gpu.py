"""The road of GPUs: what the CPU kernels do, in a few kernels per step that share no order.

    take         one kernel per ring: what is due, which is cleared
    update       XLA's own fusions
    list         one kernel per group: the cells that spiked, ascending
    deliver      one kernel per table: threads that share the row of a spike, integer atomics

All but `update` are operators: where there is no GPU their references run, in plain JAX.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from distdyn.ops import deliver as on_any
from distdyn.ops.coupled import Pairs
from distdyn.ops.operator import Operator
from distdyn.ops.rows import Rows
from distdyn.ops.totals import Masks

BLOCK = 1024  # cells of a block that lists spikes
THREADS = 1 << 18  # that deliver


class Entries(NamedTuple):
    """Spikes by part and step.

    Attributes:
        cells: int32[capacity].
        of: int64[4, k]. Of entry e: how many spikes it and those before it have; the part to which
            its cells belong; where they begin in `cells`; the step with which they are stamped.
    """

    cells: Any
    of: Any


class Job(NamedTuple):
    """A table to deliver from.

    Attributes:
        ring: the number of the ring to add to.
        rows: the synapses, not cut for a team.
        entries: the spikes.
        index: `row_index` of the part to which all cells belong, to look up less; or None.
    """

    ring: int
    rows: Rows | Pairs | Masks
    entries: Entries
    index: Any = None


def entries(cells: Any, part: Any, begin: Any, count: Any, stamp: Any) -> Entries:
    """Entries from part, begin, count and stamp of each, int[k]; or of one, int[]."""
    given = [jnp.atleast_1d(x).astype(jnp.int64) for x in (part, begin, count, stamp)]
    part, begin, count, stamp = given
    return Entries(cells, jnp.stack([jnp.cumsum(count), part, begin, stamp]))


def deliver(rings: Sequence[jax.Array], jobs: Sequence[Job]) -> list[jax.Array]:
    """Add the weights of the spikes' synapses to the ring rows in which they are due.

        ring[(stamp + d_ij) mod slots, j] += w_ij    for every source i that spiked, every target j

    Args:
        rings: arrivals still to come, int32 or int64[slots, cells]; updated in place.
        jobs: the tables, each with the spikes of its sources.

    Returns:
        The rings with the arrivals added; the same for any order of spikes and jobs.
    """
    rings = list(rings)
    for ring, rows, spikes, index in jobs:
        if isinstance(rows, Pairs | Masks):
            rings[ring] = _of_each_entry(rings[ring], rows, spikes.cells, spikes.of)
            continue
        if not has_synapses(rows) or not spikes.cells.shape[0]:
            continue
        slots, n_post = rings[ring].shape
        index = jnp.zeros((0, 2), jnp.int64) if index is None else index
        given = spikes.of, spikes.cells, index, *rows, rings[ring].reshape(-1)
        flat = _deliver(*given, n_post=n_post, slots=slots, lanes=_lanes(rows))
        rings[ring] = flat.reshape(slots, n_post)
    return rings


def _lanes(rows: Rows) -> int:
    """Threads that share a row: about as many as it has synapses, whole warps."""
    n_rows = max(1, (rows.start.shape[0] - 1) // rows.unit.shape[1])
    length = max(1, rows.offset.shape[0] // n_rows)
    return min(4096, max(32, 1 << (length - 1).bit_length()))


def has_synapses(rows: Rows | Pairs | Masks) -> bool:
    """Whether a table has room for any; one without is not delivered from."""
    return isinstance(rows, Rows) and rows.bits.shape[0] > 0 and rows.offset.shape[0] > 0


def row_index(rows: Rows, part: Any, n: int) -> jax.Array:
    """int64[n, 2]: of each of the n cells of a part its first segment, or -1, and population."""
    cell = jnp.arange(n)
    bounds = rows.bounds[part]
    population = segments(bounds, n)
    place = cell - bounds[population]
    first = rows.word[part, population]
    word = jnp.where(first >= 0, first + (place >> 6), 0)
    bit = jnp.uint64(1) << (place & 63).astype(jnp.uint64)
    found = rows.bits[word]
    before = jax.lax.population_count(found & (bit - jnp.uint64(1))).astype(jnp.int64)
    segment = rows.rank[word].astype(jnp.int64) + rows.width[population] * before
    has_row = (first >= 0) & ((found & bit) != 0) & (cell < bounds[-1])
    return jnp.stack([jnp.where(has_row, segment, -1), population], axis=1)


def _deliver_reference(
    of: Any, cells: Any, _: Any, *rest: Any, n_post: int, **of_kernel: int
) -> Any:
    *fields, ring = rest
    ring = ring.reshape(-1, n_post)
    return _of_each_entry(ring, Rows(*fields), cells, of).reshape(-1)


def _of_each_entry(ring: Any, rows: Rows | Pairs | Masks, cells: Any, of: Any) -> Any:
    ends, part, begin, stamp = of
    counts = jnp.diff(ends, prepend=0).astype(jnp.int32)

    def entry(e: Any, ring: Any) -> Any:
        return on_any.deliver(ring, rows, part[e], cells, begin[e], counts[e], stamp[e], None)

    return jax.lax.fori_loop(0, ends.shape[0], entry, ring)


_deliver = Operator("deliver", _deliver_reference, aliases={13: 0})
_deliver.kernel("cuda", threads=THREADS)("distdyn.ops.gpu_kernels:deliver")


def take(ring: jax.Array, clock: jax.Array) -> tuple[jax.Array, jax.Array]:
    """What is due at the end of a step, int[cells], and the ring without it.

    The clock is that of `list_spikes`; in a chunk that has ended nothing is cleared.
    """
    slots, n_post = ring.shape
    flat, row = _take(clock, ring.reshape(-1), n_post=n_post, slots=slots)
    return row, flat.reshape(ring.shape)


def _take_reference(clock: Any, flat: Any, *, n_post: int, slots: int) -> Any:
    begin = ((clock[0] + 1) % slots * n_post,)
    row = jax.lax.dynamic_slice(flat, begin, (n_post,))
    is_active = (clock[1] < clock[3]) & (clock[2] == 0)
    rest = jnp.where(is_active, jnp.zeros_like(row), row)
    return jax.lax.dynamic_update_slice(flat, rest, begin), row


_take = Operator("take", _take_reference, aliases={1: 0})
_take.kernel("cuda", threads=lambda clock, ring, after, row: row.shape[0])(
    "distdyn.ops.gpu_kernels:take"
)


class Lists(NamedTuple):
    """What listing the spikes of a group leaves for the next step.

    Attributes:
        events: int32[capacity], the cells that spiked.
        totals: int64[blocks], of use to the kernel alone.
        counts: int32[steps], how many spiked in each step of the chunk; or empty.
    """

    events: Any
    totals: Any
    counts: Any


def list_spikes(
    spike: jax.Array, clock: jax.Array, cursor: int, part: jax.Array, lists: Lists
) -> tuple[Lists, Entries]:
    """Append the cells that spiked, ascending, to a list.

    Args:
        spike: bool[n].
        clock: int64[k]: the steps before this one; how many of them in this chunk; why that ends,
            or 0; how long it is at most; and what else its owner keeps there. Another step at each
            call with these lists, if there are spikes.
        cursor: where in the clock stands where to begin in the list.
        part: int64[1], to which the cells belong.
        lists: with room for n more events; updated in place.

    Returns:
        The lists, and the spikes of this step.
    """
    *after, entry = _list(spike, clock, part, *lists, cursor=cursor)
    return Lists(*after), Entries(after[0], entry)


def no_totals(n: int) -> jax.Array:
    """The totals that the first call of `list_spikes` for n cells is given."""
    return jnp.zeros(-(-n // BLOCK), jnp.int64)


def _list_reference(
    spike: Any, clock: Any, part: Any, events: Any, totals: Any, counts: Any, *, cursor: int
) -> Any:
    ranks = jnp.cumsum(spike, dtype=jnp.int32)
    place = jnp.where(spike, clock[cursor] + ranks - 1, events.shape[0])
    cells = jnp.arange(spike.shape[0], dtype=jnp.int32)
    count = ranks[-1] if spike.shape[0] else jnp.int32(0)
    of = entries(events, part[0], clock[cursor], count, clock[0] + 1).of
    events = events.at[place].set(cells, mode="drop")
    if counts.shape[0]:
        counts = counts.at[clock[1]].set(count, mode="drop")
    return events, totals, counts, of


_list = Operator("list_spikes", _list_reference, aliases={3: 0, 4: 1, 5: 2})
_list.kernel("cuda", threads=lambda spike, *_: spike.shape[0], block=BLOCK)(
    "distdyn.ops.gpu_kernels:list_spikes"
)


def segments(bounds: jax.Array, n: int) -> jax.Array:
    """int32[n]: the segment of each of n cells; bounds[k] : bounds[k + 1] are those of segment k.

    Cells beyond the last bound are padding, and counted to the last segment.
    """
    inner = bounds[1:-1]
    return jnp.sum(inner[None, :] <= jnp.arange(n)[:, None], axis=1, dtype=jnp.int32)
