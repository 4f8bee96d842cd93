"""CPU kernels written in Numba: the body behind `deliver` on CPU.

Indices are uint64 throughout: a signed index makes Numba test for wrap-around.

Shares of a delivery differ in their targets. A table is cut for a team by thresholds on the offset,
the same for all segments; member k adds the synapses between thresholds k and k + 1, and no place
of the ring belongs to two members. Sums are of integers: the cut changes nothing in the result.
"""

# Numba compiles what its intrinsics are called with, and is typed loosely:
# pyright: reportPrivateImportUsage=false, reportCallIssue=false, reportAttributeAccessIssue=false

import functools
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from distdyn.ops.cache import cached
from distdyn.ops.handler import Buffer
from distdyn.ops.rows import Rows, aligned_empty, synapse_count

_U = np.uint64
LOOKAHEAD = _U(48)  # synapses between asking for a line of the ring and adding to it: L3 latency
BATCH = _U(32)  # spikes for whose rows memory is asked at once
SAMPLES = 1 << 16  # offsets, evenly spaced in the table, that decide the thresholds


# Without reference counts: two calls for each array of a table cost as much as twenty synapses.
uncounted = functools.partial(njit, _nrt=False)


def _asking(writes: int) -> Any:
    @intrinsic
    def prefetch(context, array, index):
        """Ask for the cache line of array[index], which is read or written soon; never faults."""

        def generate(context, builder, signature, arguments):
            data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
            byte, word = ir.IntType(8).as_pointer(), ir.IntType(32)
            place = builder.bitcast(builder.gep(data, [arguments[1]]), byte)
            kind = ir.FunctionType(ir.VoidType(), [byte, word, word, word])
            function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
            builder.call(function, [place, word(writes), word(3), word(1)])  # keep, data
            return context.get_dummy_value()

        return types.void(array, index), generate

    return prefetch


will_read, will_write = _asking(0), _asking(1)


@njit(inline="always")
def _place(origin, offset, size):
    """The place in the flat ring, which is a circle."""
    place = origin + _U(offset)
    return place - size if place >= size else place


@intrinsic
def ones_in(context, word):
    """The number of bits that are set."""

    def generate(context, builder, signature, arguments):
        return builder.ctpop(arguments[0])

    return types.uint64(types.uint64), generate


@njit
def population_of(bounds, cell):
    """The population of a cell, by the bounds of the populations of its part."""
    low, high = _U(0), _U(bounds.size) - _U(1)
    while high - low > _U(1):
        middle = (low + high) >> _U(1)
        if bounds[middle] <= cell:
            low = middle
        else:
            high = middle
    return low


@njit
def spread(ring, origin, cells, part, rows, member, members):
    """Add one member's synapses of the spikes of one part.

    Spikes are taken by the batch, for each waits for memory several times: for its bits, for where
    its segments start, for its synapses, and for the ring. Everything is asked for as early as it
    is known, for the whole batch.

    Args:
        ring: the arrivals, flat.
        origin: the place in it of the slot of the spikes' step.
        cells: the cells of the part that spiked; cheapest in ascending order.
        part: the part to which they belong.
        rows: the arrays of a table that is cut for the team (`row_buffers`).
        member: which share is ours.
        members: of how many.
    """
    bounds, word, width, unit, bits, rank, base, start, offset, weight = rows
    if not cells.size or not offset.size:
        return
    widest = unit.shape[1]
    at = np.empty((3, min(_U(cells.size), BATCH)), np.uint64)
    shares = np.empty((3, at.shape[1] * widest), np.int64)
    for first in range(_U(0), _U(cells.size), BATCH):
        batch = cells[first : min(first + BATCH, _U(cells.size))]
        n = locate(batch, bounds[part], word[part], bits, rank, at)
        n = segments(n, width, bits, rank, base, start, members, at)
        n = _shares(n, width, unit, base, start, offset, weight, member, members, at, shares)
        _add(ring, origin, n, shares, offset, weight)


@njit
def locate(cells, bounds, word, bits, rank, at):
    """Find each cell's word of bits, its bit, and its population; how many may reach us."""
    n = _U(0)
    low, high, population, first_word = np.int64(0), np.int64(0), _U(0), np.int64(-1)
    for index in range(_U(cells.size)):
        cell = np.int64(cells[index])
        if not low <= cell < high:
            population = population_of(bounds, cell)
            low, high = bounds[population], bounds[population + _U(1)]
            first_word = word[population]
        if first_word >= 0:
            within = _U(cell - low)
            at[0, n] = _U(first_word) + (within >> _U(6))
            at[1, n], at[2, n] = _U(1) << (within & _U(63)), population
            will_read(bits, at[0, n])
            will_read(rank, at[0, n])
            n += _U(1)
    return n


@njit
def segments(n, width, bits, rank, base, start, members, at):
    """The first segments of cells that `locate` found, in place of their words; how many reach us.

    The table is cut for so many members: 1 if it is not cut.
    """
    kept = _U(0)
    for index in range(n):
        word, bit, population = at[0, index], at[1, index], at[2, index]
        here = bits[word]
        if here & bit:
            segment = _U(rank[word]) + _U(width[population]) * ones_in(here & (bit - _U(1)))
            will_read(base, segment >> _U(6))
            will_read(start, segment * members)
            at[0, kept], at[2, kept] = segment, population
            kept += _U(1)
    return kept


@njit
def _shares(n, width, unit, base, start, offset, weight, member, members, at, shares):
    """Find our synapses of the cells' segments: begin, end and unit; how many have any."""
    kept = _U(0)
    is_last = _U(member + _U(1) == members)
    for index in range(n):
        segment, population = at[0, index], at[2, index]
        for column in range(_U(width[population])):
            cut = segment * members + member
            begin = _U(base[segment >> _U(6)]) + _U(start[cut])
            end = _U(base[(segment + is_last) >> _U(6)]) + _U(start[cut + _U(1)])
            if begin < end:
                will_read(offset, begin)
                will_read(weight, begin)
                shares[0, kept], shares[1, kept] = begin, end
                shares[2, kept] = unit[population, column]
                kept += _U(1)
            segment += _U(1)
    return kept


@njit
def _add(ring, origin, n, shares, offset, weight):
    """Add the synapses of these shares. A scout goes ahead and asks for the lines of the ring."""
    size, has_weight = _U(ring.size), weight.size > 0
    scout, ahead, ahead_end = _U(0), _U(0), _U(0)
    left = LOOKAHEAD
    while scout < n:
        ahead, ahead_end = _U(shares[0, scout]), _U(shares[1, scout])
        stop = min(ahead_end, ahead + left)
        left -= stop - ahead
        while ahead < stop:
            will_write(ring, _place(origin, offset[ahead], size))
            ahead += _U(1)
        if ahead < ahead_end:
            break
        scout += _U(1)
    for share in range(n):
        at, end, scale = _U(shares[0, share]), _U(shares[1, share]), shares[2, share]
        while at < end:
            if ahead == ahead_end:
                scout += _U(1)
                if scout < n:
                    ahead, ahead_end = _U(shares[0, scout]), _U(shares[1, scout])
                else:  # at the end of the batch: what it asks for is there
                    ahead, ahead_end = at, end
            run = min(end - at, ahead_end - ahead)
            for i in range(run):
                will_write(ring, _place(origin, offset[ahead + i], size))
                amount = weight[at + i] * scale if has_weight else scale
                ring[_place(origin, offset[at + i], size)] += amount
            at += run
            ahead += run


def row_buffers(accumulator: str, offset: str, weight: str) -> tuple[Buffer, ...]:
    """The arrays of a table, in the order of `Rows`."""
    dtypes = "int64 int64 int64 {} uint64 uint32 int64 uint32 {} {}".format
    axes = 2, 2, 1, 2, 1, 1, 1, 1, 1, 1
    return tuple(map(Buffer, dtypes(accumulator, offset, weight).split(), axes))


def cut_rows(rows: Rows, n_target: int, members: int) -> Rows:
    """The same table with `start` cut for a team: uint32[n_segments * members + 1].

    Member m delivers, of segment k, the synapses between the starts at k * members + m and the
    next, each relative to the base of its own segment. The thresholds are quantiles of the offsets
    where all segments are sorted that finely, otherwise rounded to whole delays, by which segments
    are always sorted.
    """
    if members == 1:
        return rows
    start, base, offset = np.asarray(rows.start), np.asarray(rows.base), np.asarray(rows.offset)
    n = synapse_count(rows)
    sample = offset[: n : max(1, n // SAMPLES)] if n else np.zeros(1, offset.dtype)
    shares = np.arange(1, members) / members
    thresholds = np.quantile(sample, shares, method="lower").astype(np.uint64)
    cut = aligned_empty((len(start) - 1) * members + 1, np.uint32)
    if not _cut(start, base, offset, thresholds, cut):
        delays = (thresholds + np.uint64(n_target // 2)) // np.uint64(n_target)
        is_exact = _cut(start, base, offset, delays * np.uint64(n_target), cut)
        assert is_exact, "a segment is not sorted by delay"
    return rows._replace(start=cut)


@cached(njit)
def _cut(start, base, offset, thresholds, cut):
    """Write the bounds; False if a threshold does not divide a segment in two."""
    members = thresholds.size + 1
    for segment in range(start.size - 1):
        origin = base[segment >> 6]
        at, end = origin + start[segment], base[(segment + 1) >> 6] + start[segment + 1]
        low = _U(0)
        for k in range(members):
            cut[segment * members + k] = at - origin
            high = thresholds[k] if k + 1 < members else _U(1 << 63)
            while at < end and offset[at] < high:
                if offset[at] < low:
                    return False
                at += 1
            low = high
    cut[cut.size - 1] = start[start.size - 1]
    return True
