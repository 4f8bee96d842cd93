"""Numba kernels that draw the synapses of cells and write them into the table (`Rows`).

The k-th synapse of a cell owns the Philox words (row, block, k, SYNAPSE): the first makes its
weight, the second its delay, the others its target where targets may repeat.
"""

import numpy as np
from numba import njit

from distdyn.ops.draw import (
    INLINE,
    OPTIONS,
    PAIR,
    SYNAPSE,
    TARGETS,
    below,
    distinct,
    new_stream,
    philox,
    start_stream,
)
from distdyn.ops.values import GUIDE_BITS, KNOT_BITS, UNIT_BITS

_U = np.uint64
_HALF, _LOW = _U(32), _U(0xFFFFFFFF)
_LAST_CELL = (1 << KNOT_BITS) - 1
_COARSE, _FINE = 32 - KNOT_BITS, 32 - 2 * KNOT_BITS  # bits of a word below the cell


@njit(**INLINE)
def delay_index(word, delays):
    """The delay of a word, counted from the shortest."""
    i = np.int64(delays.guide[word >> _U(32 - GUIDE_BITS)])
    while delays.threshold[i] <= word:
        i += 1
    return i


@njit(**INLINE)
def weight_of(word, knots):
    """The weight of a word, rounded to nearest, half away from zero."""
    cell = np.int64(word >> _U(_COARSE))
    table, bits = 0, _COARSE
    if cell == 0 or cell == _LAST_CELL:
        table, bits = 1 + (cell >> (KNOT_BITS - 1)), _FINE
        cell = np.int64(word >> _U(_FINE)) & _LAST_CELL
    within = np.int64(word) & ((1 << bits) - 1)
    low, high = np.int64(knots[table, cell]), np.int64(knots[table, cell + 1])
    value = (low << (bits + 1)) + (high - low) * (2 * within + 1)
    shift = bits + 1 + UNIT_BITS
    return (value + (np.int64(1) << (shift - 1)) + (value >> 63)) >> shift


@njit(**INLINE)
def _row_sum(counts, r):
    n = 0
    for b in range(counts.shape[0]):
        n += counts[b, r]
    return n


@njit(**OPTIONS)
def fill_cells(
    key, multapses, first_row, own, blocks, block_start, counts,
    delays, knots, post_local, n_target, position, offset, weight,
):  # fmt: skip
    """Draw all synapses of some rows and write those of row r from position[r] on, by delay.

    Args:
        key: the stream of the projection.
        multapses: whether targets may repeat; else they are distinct within a cell.
        first_row: the number of the first row.
        own: the place in the post end that each row's own neuron has, if excluded, else -1.
        blocks: the numbers of the blocks asked for, ascending.
        block_start: where each block of the post end starts.
        counts: int64[b, r], how many synapses each cell has.
        delays: how delays are drawn.
        knots: how weights are drawn; empty when they are not.
        post_local: the place in the ring of each neuron of the post end.
        n_target: the length of a slot of the ring.
        position: where each row starts in the table.
        offset: as in `Rows`; written.
        weight: as in `Rows`; written when `knots` are given.
    """
    stream = new_stream(key)
    k0, k1 = key
    most, widest = 0, 0
    for r in range(own.size):
        most = max(most, _row_sum(counts, r))
    for block in blocks:
        widest = max(widest, block_start[block + 1] - block_start[block])
    block_of, k_of = np.empty(most, np.uint32), np.empty(most, np.uint32)
    words = np.empty((4, most), np.uint32)
    target, delay = np.empty(most, np.int64), np.empty(most, np.int64)
    n_delays = delays.threshold.size
    cursor = np.empty(n_delays, np.int64)
    bitmap = np.empty((widest + 63) >> 6, np.uint64)
    is_drawn = multapses or n_delays > 1 or knots.shape[0] > 0
    for r in range(own.size):
        row, n = _U(first_row + r), _row_sum(counts, r)
        if is_drawn:
            at = 0
            for b in range(blocks.size):
                for k in range(counts[b, r]):
                    block_of[at + k] = blocks[b]
                    k_of[at + k] = k
                at += counts[b, r]
            for i in range(n):
                w, d, t, f = philox(row, _U(block_of[i]), _U(k_of[i]), _U(SYNAPSE), k0, k1)
                words[0, i], words[1, i], words[2, i], words[3, i] = w, d, t, f
        at = 0
        for b in range(blocks.size):
            count = counts[b, r]
            if count == 0:
                continue
            start, stop = block_start[blocks[b]], block_start[blocks[b] + 1]
            hole, n_open = stop, stop - start
            if start <= own[r] < stop:
                hole, n_open = own[r], n_open - 1
            if multapses:
                for i in range(at, at + count):
                    target[i] = below((_U(words[2, i]) << _HALF) | _U(words[3, i]), n_open)
            else:
                start_stream(stream, row, blocks[b], TARGETS)
                distinct(stream, count, n_open, bitmap, target, at)
            for i in range(at, at + count):
                place = start + target[i]
                place += 1 if place >= hole else 0
                target[i] = post_local[place]
            at += count
        for i in range(n_delays):
            cursor[i] = 0
        for i in range(n if n_delays > 1 else 0):
            delay[i] = delay_index(_U(words[1, i]), delays)
            cursor[delay[i]] += 1
        to = position[r]
        for i in range(n_delays):
            to, cursor[i] = to + cursor[i], to
        for i in range(n):
            d = delay[i] if n_delays > 1 else 0
            to = cursor[d]
            cursor[d] = to + 1
            offset[to] = (delays.first + d) * n_target + target[i]
            if knots.shape[0] > 0:
                weight[to] = weight_of(_U(words[0, i]), knots)


@njit(**OPTIONS)
def count_sources(sources, counts):
    """Add to counts[i] how often i is a source."""
    for source in sources:
        counts[source] += 1


@njit(**OPTIONS)
def scatter_pairs(
    key, items, per_item, pre, target, delays, given_delay, knots, given_weight,
    n_target, cursor, offset, weight,
):  # fmt: skip
    """Write listed pairs into the segments of their sources, in the order of the list.

    Synapse k of item i has the Philox words (low half of i, high half of i, k, PAIR).

    Args:
        key: the stream of the projection.
        items: the numbers of the items: post neurons or edges.
        per_item: how many synapses each item has.
        pre: the sources of the synapses, item by item.
        target: the place in the ring of each item's target.
        delays: how delays are drawn.
        given_delay: int64, the delay of each item, or empty.
        knots: how weights are drawn, or empty.
        given_weight: int32, the weight of each item, or empty.
        n_target: the length of a slot of the ring.
        cursor: where the next synapse of each source is written; advanced.
        offset: as in `Rows`; written.
        weight: as in `Rows`; written when weights are drawn or given.
    """
    k0, k1 = key
    is_drawn = knots.shape[0] > 0
    for i in range(items.size):
        item = _U(items[i])
        for k in range(per_item):
            w, d, _, _ = philox(item & _LOW, item >> _HALF, _U(k), _U(PAIR), k0, k1)
            if given_delay.size:
                delay = given_delay[i]
            else:
                delay = delays.first + delay_index(d, delays)
            source = pre[i * per_item + k]
            to = cursor[source]
            cursor[source] = to + 1
            offset[to] = delay * n_target + target[i]
            if is_drawn:
                weight[to] = weight_of(w, knots)
            elif given_weight.size:
                weight[to] = given_weight[i]


@njit(**OPTIONS)
def sort_segments(segments, start, n_target, offset, weight):
    """Sort each of these segments by delay; synapses of one delay keep their order."""
    most = 0
    for segment in segments:
        most = max(most, start[segment + 1] - start[segment])
    delay, order = np.empty(most, np.int64), np.empty(most, np.int64)
    offset_buffer, weight_buffer = np.empty(most, offset.dtype), np.empty(most, weight.dtype)
    for segment in segments:
        low, n = start[segment], start[segment + 1] - start[segment]
        is_sorted = True
        for i in range(n):
            delay[i] = offset[low + i] // n_target
            is_sorted &= i == 0 or delay[i] >= delay[i - 1]
        if is_sorted:
            continue
        _stable_order(delay, n, order)
        _permute(offset, low, n, order, offset_buffer)
        if weight.size:
            _permute(weight, low, n, order, weight_buffer)


@njit(**INLINE)
def _permute(array, low, n, order, buffer):
    for i in range(n):
        buffer[i] = array[low + i]
    for i in range(n):
        array[low + i] = buffer[order[i]]


@njit(**OPTIONS)
def _stable_order(delay, n, order):
    """The indices that sort the first n delays: by insertion when few, by counting when many."""
    if n <= 24:
        for i in range(n):
            at = i
            while at > 0 and delay[order[at - 1]] > delay[i]:
                order[at] = order[at - 1]
                at -= 1
            order[at] = i
        return
    shortest, longest = delay[0], delay[0]
    for i in range(n):
        shortest, longest = min(shortest, delay[i]), max(longest, delay[i])
    cursor = np.zeros(longest - shortest + 2, np.int64)
    for i in range(n):
        cursor[delay[i] - shortest + 1] += 1
    for i in range(1, cursor.size):
        cursor[i] += cursor[i - 1]
    for i in range(n):
        order[cursor[delay[i] - shortest]] = i
        cursor[delay[i] - shortest] += 1
