"""The kernels that make packed tables: counted, laid out, and sorted row by row in place."""

import numpy as np

from distdyn.ops.draw import kernel, ones

_U = np.uint64
_TARGET = _U(0xFFFF)


@kernel
def delay_range(base, start, offset, n_target, found):
    """Widen `found` to the shortest and the longest delay of all segments, which are sorted."""
    for segment in range(start.size - 1):
        begin = base[segment >> 6] + start[segment]
        end = base[(segment + 1) >> 6] + start[segment + 1]
        if begin < end:
            found[0] = min(found[0], np.int64(offset[begin]) // n_target)
            found[1] = max(found[1], np.int64(offset[end - 1]) // n_target)


@kernel
def rank_words(bounds, word, width, bits, rank):
    """Number the segments of the rows anew, `width` in a row, and write the ranks; how many."""
    n_segments = np.int64(0)
    for part in range(word.shape[0]):
        for s in range(word.shape[1]):
            if word[part, s] >= 0:
                n = (bounds[part, s + 1] - bounds[part, s] + 63) >> 6
                for at in range(word[part, s], word[part, s] + n):
                    rank[at] = n_segments
                    n_segments += width[s] * ones(bits[at])
    return n_segments


@kernel
def lay_segments(
    bounds, word, width, bits, rank, base, start, kind, new_width, new_rank, new_start, new_base
):
    """Write where the segments of the packed table begin; the synapses of the largest."""
    size = np.zeros(max(1, new_width.max()), np.int64)
    total, largest = np.int64(0), np.int64(0)
    for part in range(word.shape[0]):
        for s in range(word.shape[1]):
            if word[part, s] < 0:
                continue
            n = (bounds[part, s + 1] - bounds[part, s] + 63) >> 6
            for at in range(word[part, s], word[part, s] + n):
                for row in range(ones(bits[at])):
                    old = np.int64(rank[at]) + row * width[s]
                    new = np.int64(new_rank[at]) + row * new_width[s]
                    size[:] = 0
                    for column in range(width[s]):
                        k = old + column
                        begin = base[k >> 6] + start[k]
                        size[kind[0, s, column]] += base[(k + 1) >> 6] + start[k + 1] - begin
                    for j in range(new_width[s]):
                        if (new + j) & 63 == 0:
                            new_base[(new + j) >> 6] = total
                        new_start[new + j] = total - new_base[(new + j) >> 6]
                        total += size[j]
                        largest = max(largest, size[j])
    last = new_start.size - 1
    if last & 63 == 0:
        new_base[last >> 6] = total
    new_start[last] = total - new_base[last >> 6]
    return largest


@kernel
def pack_rows(
    bounds, word, width, bits, rank, base, start, offset, weight, n_target, kind, form,
    new_width, new_rank, new_base, new_start, batch, synapse, first_word, last_word,
):  # fmt: skip
    """Write the batches and synapses of the rows of some words of bits.

    A row's synapses stay where they are, in another order; `synapse` may be the memory of `offset`.
    """
    for part in range(word.shape[0]):
        for s in range(word.shape[1]):
            if word[part, s] < 0:
                continue
            n = (bounds[part, s + 1] - bounds[part, s] + 63) >> 6
            low, high = max(first_word, word[part, s]), min(last_word, word[part, s] + n)
            for at in range(low, high):
                for row in range(ones(bits[at])):
                    _pack_row(
                        np.int64(rank[at]) + row * width[s], width[s],
                        np.int64(new_rank[at]) + row * new_width[s], new_width[s],
                        base, start, offset, weight, n_target, kind[:, s], form,
                        new_base, new_start, batch, synapse,
                    )  # fmt: skip


@kernel
def _pack_row(
    old, n_old, new, n_new, base, start, offset, weight, n_target, kind, form,
    new_base, new_start, batch, synapse,
):  # fmt: skip
    first_delay, n_delays, length = form[0], form[1], form[3]
    begin = base[old >> 6] + start[old]
    end = base[(old + n_old) >> 6] + start[old + n_old]
    words, place = np.empty(end - begin, np.uint32), np.empty(end - begin, np.int32)
    n_batches = batch.shape[1] - 2
    cursor = np.zeros(n_new * n_batches, np.int64)
    for column in range(n_old):  # read all, for what is written may stand where it stood
        k = old + column
        low, high = base[k >> 6] + start[k], base[(k + 1) >> 6] + start[k + 1]
        delay, limit = np.int64(0), n_target
        for i in range(low, high):
            there = np.int64(offset[i])
            while there >= limit:  # ascending in delay
                delay += 1
                limit += n_target
            target = there - limit + n_target
            block = target // length
            target -= block * length
            of = kind[0, column] * n_batches + block * n_delays + delay - first_delay
            if weight.size:
                words[i - begin] = _U(target) | (_U(weight[i]) & _TARGET) << _U(16)
            else:
                words[i - begin] = target
            place[i - begin] = of
            cursor[of] += 1
    at = begin
    for j in range(n_new):
        origin = new_base[(new + j) >> 6] + new_start[new + j]
        for b in range(n_batches):
            batch[new + j, b] = at - origin
            at, cursor[j * n_batches + b] = at + cursor[j * n_batches + b], at
        batch[new + j, n_batches] = at - origin
    for column in range(n_old):
        batch[new + kind[0, column], n_batches + 1] = kind[1, column]
    for i in range(end - begin):
        to = cursor[place[i]]
        cursor[place[i]] = to + 1
        synapse[to] = words[i]
