"""The kernels behind `ops.reach`, and those that write the bits and starts of a table.

Numba keeps what it compiles of them; they are called by `ops.reach` and by the build.
"""

import numpy as np

from distdyn.ops.draw import kernel, ones
from distdyn.ops.reach import MOST_NAMED, NEVER, NOWHERE

_NOWHERE = np.uint32(NOWHERE)
_NEVER = np.int64(NEVER)
_U = np.uint64
_ONE, _LOW = _U(1), _U(63)


@kernel
def _interval(ends, place):
    """The interval that holds the place."""
    low, high = 0, ends.size - 1
    while high - low > 1:
        middle = (low + high) >> 1
        if ends[middle] <= place:
            low = middle
        else:
            high = middle
    return low


@kernel
def count_names(places, ends, n_populations, most):
    """Write how often a neuron of each population is named at most; the largest of all."""
    most[:] = 0
    seen = np.zeros(ends[-1], np.uint8)
    low, high, population = np.int64(0), np.int64(0), 0
    for place in places:
        if place < 0:
            continue
        if not low <= place < high:
            interval = _interval(ends, place)
            low, high, population = ends[interval], ends[interval + 1], interval % n_populations
        if seen[place] == MOST_NAMED:
            return MOST_NAMED + 1
        seen[place] += 1
        most[population] = max(most[population], seen[place])
    return most.max()


@kernel
def mark(places, counts, reached):
    """Mark the places of the neurons that have synapses."""
    for i in range(places.size):
        if counts[i] > 0:
            reached[places[i]] = True


@kernel
def lay_words(ends, reached, word):
    """Give words to the intervals that hold a marked place; how many in all."""
    n_words = 0
    for interval in range(word.size):
        word[interval] = -1
        for place in range(ends[interval], ends[interval + 1]):
            if reached[place]:
                word[interval] = n_words
                n_words += (ends[interval + 1] - ends[interval] + 63) >> 6
                break
    return n_words


@kernel
def pack(ends, reached, word, width, bits, rank):
    """Write the words' bits and ranks; the number of segments, without ranks if they overflow."""
    n_segments = 0
    for interval in range(word.size):
        if word[interval] < 0:
            continue
        first, last, at = ends[interval], ends[interval + 1], word[interval]
        for start in range(first, last, 64):
            packed, n = _U(0), 0
            for place in range(start, min(start + 64, last)):
                if reached[place]:
                    packed |= _ONE << _U(place - start)
                    n += 1
            bits[at] = packed
            rank[at] = min(n_segments, NOWHERE)
            n_segments += n * width[interval % width.size]
            at += 1
    return n_segments


@kernel
def unpack(ends, word, bits, reached):
    """Mark the places whose bits are set."""
    for interval in range(word.size):
        if word[interval] >= 0:
            for i in range(ends[interval + 1] - ends[interval]):
                here = bits[word[interval] + (i >> 6)]
                reached[ends[interval] + i] = (here >> (_U(i) & _LOW)) & _ONE != _U(0)


@kernel
def find_segments(places, ends, word, width, bits, rank, first, segment):
    """Write the segment of each neuron of a pre end, NOWHERE for one without a row.

    The projection has the segments of a row from first[s] on; a neuron's t-th naming has the t-th.
    """
    seen = np.zeros(ends[-1] + 1, np.uint8)
    low, high, interval = np.int64(0), np.int64(0), 0
    for i in range(places.size):
        place = places[i]
        segment[i] = _NOWHERE
        if place < 0:
            continue
        if not low <= place < high:
            interval = _interval(ends, place)
            low, high = ends[interval], ends[interval + 1]
        turn = seen[place]
        seen[place] += 1
        if word[interval] < 0:
            continue
        within = place - low
        at = word[interval] + (within >> 6)
        bit = _ONE << (_U(within) & _LOW)
        if bits[at] & bit:
            s = interval % width.size
            row = np.int64(rank[at]) + width[s] * ones(bits[at] & (bit - _ONE))
            segment[i] = row + first[s] + turn


@kernel
def write_sizes(segment, counts, sizes):
    """Write the numbers of synapses of a projection's segments."""
    for i in range(segment.size):
        if segment[i] != _NOWHERE:
            sizes[segment[i]] = counts[i]


@kernel
def write_starts(start, base):
    """Turn sizes, all but the last of `start`, into starts and bases.

    Returns:
        The number of synapses; -1 if those of 64 segments are too many for a start.
    """
    total, here = np.int64(0), np.int64(0)
    for segment in range(start.size):
        if segment & 63 == 0:
            total += here
            here = np.int64(0)
            base[segment >> 6] = total
        size = np.int64(start[segment]) if segment < start.size - 1 else np.int64(0)
        start[segment] = here
        here += size
        if here > NOWHERE:
            return np.int64(-1)
    return total + here


@kernel
def spans(segment, start, base, members, begin, end):
    """Write where the synapses of these segments begin and end, 0 and 0 for NOWHERE."""
    for i in range(segment.size):
        k = np.int64(segment[i])
        begin[i] = end[i] = 0
        if k != NOWHERE:
            begin[i] = base[k >> 6] + start[k * members]
            end[i] = base[(k + 1) >> 6] + start[(k + 1) * members]


@kernel
def set_cursors(segment, start, base, cursors, nowhere):
    """Turn the synapses of each group and neuron into where the group writes the first."""
    for i in range(segment.size):
        k = np.int64(segment[i])
        at = np.int64(0) if k == NOWHERE else base[k >> 6] + start[k]
        for group in range(cursors.shape[0]):
            n = np.int64(cursors[group, i])
            cursors[group, i] = nowhere if k == NOWHERE else at
            at += n


@kernel
def shortest(bounds, word, width, bits, rank, base, start, offset, n_target, found):
    """Write the shortest delay of each part's segments, each of which begins with its shortest."""
    for part in range(word.shape[0]):
        least = _NEVER
        for s in range(word.shape[1]):
            if word[part, s] < 0:
                continue
            last = word[part, s] + ((bounds[part, s + 1] - bounds[part, s] + 63) >> 6) - 1
            end = np.int64(rank[last]) + width[s] * ones(bits[last])
            for k in range(np.int64(rank[word[part, s]]), end):
                at = base[k >> 6] + start[k]
                if at < base[(k + 1) >> 6] + start[k + 1]:
                    least = min(least, np.int64(offset[at]) // n_target)
        found[part] = least
