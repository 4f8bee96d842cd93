"""The table of synapses that delivery reads: source-major rows, sorted by delay.

A table belongs to one part of the network and is read for the spikes of all parts. Only sources
that have synapses here have a row. A bit for every cell of a population and part that reaches us
says which; counting the bits before it tells the cell's row, and the row's segments, one for each
projection of its population, stand side by side. A synapse is one word `offset`, the place of its
target in the ring counted from the slot of the spike's own step, and one weight.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

ALIGNMENT = 64  # bytes; what XLA asks of a host buffer that it takes without a copy
CELLS = 64  # in a word of bits
BLOCK = 64  # segments in a block, to whose first synapse starts are relative


class Rows(NamedTuple):
    """All synapses from one group of sources to one ring of arrivals.

    ring_flat[(origin + offset) mod (slots * n_target)] += weight * unit   for each synapse

    A spike of cell c of part q, in population s with bounds[q, s] <= c < bounds[q, s + 1]:

        i = c - bounds[q, s],   w = word[q, s] + i // 64
        if word[q, s] >= 0 and bit i % 64 of bits[w] is set:
            k = rank[w] + width[s] * (how many lower bits of bits[w] are set)
            segments k, ..., k + width[s] - 1, of which the j-th has unit[s, j]

    Attributes:
        bounds: int64[n_parts, n_populations + 1]; where the populations of the source group begin
            and end among the cells of each part.
        word: int64[n_parts, n_populations]; the first word of their cells; -1 if none reaches us.
        width: int64[n_populations]; the segments of a row.
        unit: int32 or int64[n_populations, widest]; one unit of weight in the accumulator's
            integers, for each segment of a row.
        bits: uint64[n_words]; the cells that reach us, 64 to a word.
        rank: uint32[n_words]; how many segments stand before those of a word's cells.
        base: int64[n_segments // 64 + 1]; where the synapses of each 64 segments begin.
        start: uint32[n_segments + 1]; synapses of segment k are
            base[k // 64] + start[k] : base[(k + 1) // 64] + start[k + 1].
        offset: uint32 or uint64[capacity]; delay (steps) * n_target + target; ascending in delay
            inside a segment. Entries from the last segment's end on are padding and zero.
        weight: int16 or int32[capacity], or empty where a synapse contributes its `unit` alone.
    """

    bounds: Any  # NumPy's arrays while it is built, JAX's afterwards
    word: Any
    width: Any
    unit: Any
    bits: Any
    rank: Any
    base: Any
    start: Any
    offset: Any
    weight: Any


def synapse_count(table: Any) -> int:
    """How many synapses a table has, packed or not."""
    return int(table.base[-1]) + int(table.start[-1])


SYNAPSES = "offset", "weight", "synapse", "counts", "source"


def synapses_in(table: Any) -> list[Any]:
    """The arrays of a table of any kind that grow with its synapses."""
    return [getattr(table, field) for field in table._fields if field in SYNAPSES]


def sources_in(table: Any) -> list[Any]:
    """Its other arrays: what finds the synapses of a source, or draws them."""
    return [getattr(table, field) for field in table._fields if field not in SYNAPSES]


def source_bytes(table: Any) -> int:
    """The memory of what finds a source's synapses."""
    return sum(int(array.nbytes) for array in sources_in(table))


PADDED = "bits", "rank", "base", "start", "offset", "weight"


def equalize(
    tables: Sequence[Rows], alike: Callable[[np.ndarray], np.ndarray] = lambda lengths: lengths
) -> list[Rows]:
    """The tables of several parts with equal shapes, so that one compiled program reads them all.

    The end of each is filled with segments that have no synapse, and with synapses that no segment
    has. Tables that have the shapes already are not copied. Cut them afterwards. `alike` makes
    lengths as large as those of tables that are elsewhere.
    """
    lengths = np.array([[len(getattr(rows, field)) for field in PADDED] for rows in tables])
    longest = dict(zip(PADDED, alike(lengths.max(axis=0)).tolist(), strict=True))

    def padded(rows: Rows) -> Rows:
        start, base = lengthened_starts(rows.start, rows.base, longest["start"] - 1)
        return rows._replace(
            bits=lengthened(rows.bits, longest["bits"]),
            rank=lengthened(rows.rank, longest["rank"]),
            base=base,
            start=start,
            offset=lengthened(rows.offset, longest["offset"]),
            weight=lengthened(rows.weight, longest["weight"]),
        )

    return [padded(rows) for rows in tables]


def lengthened_starts(
    start: np.ndarray, base: np.ndarray, n_segments: int
) -> tuple[np.ndarray, np.ndarray]:
    """Starts and bases with segments at the end that have no synapse."""
    n, total = len(start), int(base[-1]) + int(start[-1])
    longer = lengthened(start, n_segments + 1, start[-1])
    longer[-(-n // BLOCK) * BLOCK :] = 0  # relative to a base that is the end
    return longer, lengthened(base, n_segments // BLOCK + 1, total)


def lengthened(array: np.ndarray, n: int, value: int = 0) -> np.ndarray:
    """The array with so many entries, new ones being `value`; the same one if it has them."""
    if len(array) == n:
        return array
    longer = (aligned_empty if value else aligned_zeros)((n, *array.shape[1:]), array.dtype)
    longer[: len(array)] = array
    if value:
        longer[len(array) :] = value
    return longer


def aligned_empty(shape: int | tuple[int, ...], dtype: np.dtype | type) -> np.ndarray:
    """An uninitialised array whose data start at a multiple of 64 bytes; its pages are lazy."""
    return _aligned(np.empty, shape, dtype)


def aligned_zeros(shape: int | tuple[int, ...], dtype: np.dtype | type) -> np.ndarray:
    """Zeros that start at a multiple of 64 bytes; the pages of a large array are lazy."""
    return _aligned(np.zeros, shape, dtype)


def _aligned(
    make: Callable[..., np.ndarray], shape: int | tuple[int, ...], dtype: np.dtype | type
) -> np.ndarray:
    dtype = np.dtype(dtype)
    size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    memory = make(size + ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % ALIGNMENT
    return memory[start : start + size].view(dtype).reshape(shape)
