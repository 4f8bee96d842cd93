"""Packed tables: 2 or 4 bytes per synapse, delivered when due instead of when a source spikes.

`Rows` sends all synapses of a spike into a ring with a slot for every delay. Where delays are many
the ring is megabytes, and every addition a cache miss. Here the synapses of a source are ordered by
delay, and a spike stays *in flight*: at each step the synapses of every spike in flight that are
due next are added, one *batch* per spike. All additions of a step fall into one slot, which the
cache holds; what has no synapse left has landed. The delay is not stored, since it follows from
where a synapse stands, so that a target and a weight of 16 bits each are all there is.

Sums are of integers: a network gives the same spikes with either kind of table.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np

from distdyn.ops.rows import (
    BLOCK,
    Rows,
    aligned_empty,
    aligned_zeros,
    lengthened,
    lengthened_starts,
    synapse_count,
)

MOST_TARGETS = 1 << 16  # of a block, so that 16 bits name one
MOST_UNITS = 1 << 8  # of a table, and
MOST_DELAYS = 1 << 20  # steps: a spike in flight has 8 bits for its unit and 24 for its stamp
MOST_FLIGHTS = (
    1 << 30
)  # that a list has room for, 8 GB of which nothing is used before it is needed
LEAST_BATCH = 8  # synapses in a mean batch below which it costs more to look than to add
TASK_WORDS = 32  # words of bits whose rows one task packs
NARROW = 1 << 16  # synapses of a segment up to which 2 bytes are enough for a place in it


class Packed(NamedTuple):
    """All synapses from one group of sources to one receptor of another, by block and delay.

    Sources are found as in `Rows`. Targets are cut into blocks of equal length, each delivered by
    one thread. A segment holds synapses of one unit:

        origin = base[k // 64] + start[k]
        batch of block b and delay d = synapses origin + batch[k, b * delays + d - first] to
                                       origin + batch[k, b * delays + d - first + 1]
        slot[b * length + target] += weight * unit[batch[k, -1]]     for each of its synapses

    Attributes:
        form: int64[4]; the first delay in steps, delays, blocks, and the length of a block.
        bounds, word, width, bits, rank, base, start: as in `Rows`.
        unit: int32 or int64[n_units].
        batch: uint16 or uint32[n_segments, blocks * delays + 2]; where each batch begins, where the
            last one ends, and the number of the segment's unit.
        synapse: uint16[capacity], targets; or uint32[capacity], target + 2^16 * (int16) weight.
    """

    form: Any  # NumPy's arrays while it is built, JAX's afterwards
    bounds: Any
    word: Any
    width: Any
    bits: Any
    rank: Any
    base: Any
    start: Any
    unit: Any
    batch: Any
    synapse: Any


class Delays(NamedTuple):
    """The delays that occur in some tables, in steps."""

    first: int
    last: int

    @property
    def number(self) -> int:
        """How many there are between the first and the last."""
        return self.last - self.first + 1


def delays_of(tables: Sequence[Rows], n_target: int) -> Delays | None:
    """The shortest and the longest delay in these tables; None if they have no synapse."""
    from distdyn.ops import packing_kernels

    found = np.array([2**62, -1])
    for rows in tables:
        packing_kernels.delay_range(rows.base, rows.start, rows.offset, n_target, found)
    return Delays(*map(int, found)) if found[1] >= 0 else None


def is_worth_packing(tables: Sequence[Rows], delays: Delays) -> bool:
    """Whether these tables, one for each device, are better packed.

    Weights must be one number per projection or of 16 bits, of few units; batches long enough, and
    lists of what is in flight not too long.
    """
    if any(rows.weight.dtype != np.int16 for rows in tables):
        return False
    if delays.last > MOST_DELAYS or len(np.unique(tables[0].unit)) > MOST_UNITS:
        return False
    segments = [_ranks(rows, _units(rows)[2])[0] for rows in tables]
    if max(segments) * delays.last > MOST_FLIGHTS:
        return False
    synapses = sum(synapse_count(rows) for rows in tables)
    return delays.number == 1 or synapses >= LEAST_BATCH * delays.number * sum(segments)


def blocks_of(n_target: int, members: int) -> tuple[int, int]:
    """Into how many blocks a slot is cut for a team, as many for each member; their length."""
    blocks = members * max(1, -(-n_target // (members * MOST_TARGETS)))
    length = -(-n_target // blocks)
    return blocks, min(MOST_TARGETS, -(-length // 16) * 16)  # lines of a slot belong to one block


def pack(rows: Rows, n_target: int, delays: Delays, members: int) -> Packed:
    """The same synapses as a packed table.

    Offsets of 32 bits are overwritten where weights are drawn, so that no more memory is needed.

    Args:
        rows: a table that is not cut; it cannot be used afterwards.
        n_target: the length of a slot.
        delays: all that occur in the table.
        members: of the team that delivers it.
    """
    from distdyn.ops import packing_kernels

    blocks, length = blocks_of(n_target, members)
    unit, kind, width = _units(rows)
    n_segments, rank = _ranks(rows, width)
    start = aligned_zeros(n_segments + 1, np.uint32)
    base = aligned_empty(n_segments // BLOCK + 1, np.int64)
    old = rows.bounds, rows.word, rows.width, rows.bits, rows.rank, rows.base, rows.start
    largest = packing_kernels.lay_segments(*old, kind, width, rank, start, base)
    assert largest * BLOCK < 1 << 32, "the starts of 64 segments overflow"
    batch_type = np.uint16 if largest < NARROW else np.uint32
    batch = aligned_empty((n_segments, blocks * delays.number + 2), batch_type)
    synapse = _room(rows)
    new = width, rank, base, start, batch, synapse
    form = np.array([delays.first, delays.number, blocks, length], np.int64)

    def task(first: int) -> None:
        packing_kernels.pack_rows(
            *old, rows.offset, rows.weight, n_target, kind, form, *new,
            first, min(first + TASK_WORDS, len(rows.bits)),
        )  # fmt: skip

    with ThreadPoolExecutor() as pool:
        list(pool.map(task, range(0, len(rows.bits), TASK_WORDS)))
    return Packed(
        form, rows.bounds, rows.word, width, rows.bits, rank, base, start, unit, batch, synapse
    )


def _units(rows: Rows) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The different units; of each column of a row its segment and its unit; the segments.

    Synapses of equal unit share a segment, whatever projection they are of.
    """
    unit = np.unique(rows.unit)
    kind = np.zeros((2, *rows.unit.shape), np.int64)  # the segment of each column, and its unit
    width = aligned_zeros(len(rows.width), np.int64)
    for s, n in enumerate(rows.width):
        mine, segment = np.unique(rows.unit[s, :n], return_inverse=True)
        kind[0, s, :n] = segment
        kind[1, s, :n] = np.searchsorted(unit, rows.unit[s, :n])
        width[s] = len(mine)
    held = aligned_empty(len(unit), unit.dtype)
    held[:] = unit
    return held, kind, width


def _ranks(rows: Rows, width: np.ndarray) -> tuple[int, np.ndarray]:
    """How many segments rows of this width have, and the ranks of the words of bits."""
    from distdyn.ops import packing_kernels

    rank = aligned_zeros(len(rows.rank), np.uint32)
    return packing_kernels.rank_words(rows.bounds, rows.word, width, rows.bits, rank), rank


def _room(rows: Rows) -> np.ndarray:
    """Where the synapses go: over their own offsets if that is possible."""
    if not rows.weight.size:
        return aligned_zeros(len(rows.offset), np.uint16)
    if rows.offset.dtype == np.uint32:
        return rows.offset
    return aligned_zeros(len(rows.offset), np.uint32)


def equalize(tables: Sequence[Packed]) -> list[Packed]:
    """The tables of several devices with equal shapes and dtypes; what is added has no synapse."""
    n_segments = max(len(table.batch) for table in tables)
    batch_type = np.result_type(*(table.batch.dtype for table in tables))

    def padded(table: Packed) -> Packed:
        start, base = lengthened_starts(table.start, table.base, n_segments)
        batch = lengthened(table.batch.astype(batch_type, copy=False), n_segments)
        return table._replace(start=start, base=base, batch=batch)

    return [padded(table) for table in tables]


# --- flights -------------------------------------------------------------------------------------


def no_flights(table: Packed) -> np.ndarray:
    """uint64[blocks, room + 1]: how many spikes are in flight, and each of them.

    A spike in flight is unit * 2^56 + (stamp mod 2^24) * 2^32 + segment, with the number of the
    segment's unit; every block has its own list. There is room for a spike of every source at every
    step of the longest delay: a list cannot overflow, and pages that are never written cost
    nothing.
    """
    first, number, blocks, _ = (int(n) for n in table.form)
    return aligned_zeros((blocks, len(table.batch) * (first + number - 1) + 1), np.uint64)


def land(flights: np.ndarray, table: Packed, step: int, slot: np.ndarray, slots: int) -> np.ndarray:
    """A ring with so many slots, as `deliver` fills it, of all that is in flight after a step.

    Args:
        flights: the lists of all blocks.
        table: from which they are delivered.
        step: the last one that was done.
        slot: the ring; if it has one slot, that is the one due next.
        slots: at least the longest delay and one.
    """
    from distdyn.ops import packed_kernels

    ring = np.array(slot)
    if len(slot) < slots:
        ring = np.zeros((slots, slot.shape[1]), slot.dtype)
        ring[(step + 1) % slots] = slot[0]
    arrays = table.form, table.base, table.start, table.unit, table.batch, table.synapse
    packed_kernels.land(flights, step, ring.reshape(-1), slots, *arrays)
    return ring
