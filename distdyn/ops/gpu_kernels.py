"""The kernels for GPUs: lists of spikes, and delivery. Written for Numba-CUDA.

`take` reads and clears what is due, `list_spikes` writes the cells that spiked in ascending order,
`deliver` adds their synapses to the ring with integer atomics, so that the sum does not depend on
order. The clock says of a step how many there were before it, how many of them in this chunk, why
the chunk ends, if it does, and how long it is at most. All arrays are flat. Those that
stand twice are one buffer, an argument and a result.
"""

# Numba's types are not Python's:
# pyright: reportIndexIssue=false, reportCallIssue=false, reportArgumentType=false
# pyright: reportOperatorIssue=false, reportOptionalSubscript=false

import numpy as np
from numba import cuda, int32, int64

BLOCK = 1024  # cells of a block that lists spikes


def take(clock, _, ring, row, n_post, slots):
    """Copy what is due at the step's end, and clear it, unless the chunk has ended.

    Args:
        clock: int64[k], see above.
        ring: int32 or int64[slots * n_post]; updated in place.
        row: [n_post], of the same type; filled.
        n_post: cells of a slot.
        slots: of the ring.
    """
    step, done, stop, most = clock[0], clock[1], clock[2], clock[3]  # asked for at once
    cell = cuda.grid(1)
    if cell < n_post:
        place = (step + 1) % slots * n_post + cell
        row[cell] = ring[place]
        if (stop == 0) & (done < most):
            ring[place] = 0


def list_spikes(spike, clock, part, _, __, ___, events, totals, counts, entry, cursor):
    """Append the cells that spiked to events[clock[cursor]:], and say how many there are.

    Every block says how many spikes it has, and waits until all blocks before it have said so.
    What they say bears the step's stamp, so that nothing must be cleared.

    Args:
        spike: bool[n].
        clock: int64[k], see above; at [cursor] where to begin.
        part: int64[1].
        events: int32[capacity] with room for n more; updated in place.
        totals: int64[blocks], whatever an earlier call has left, or zeros; updated in place.
        counts: int32[steps], or empty; of each step in this chunk; updated in place.
        entry: int64[4, 1], one of `ops.gpu.Entries`; filled.
        cursor: where in the clock.
    """
    thread, block = cuda.threadIdx.x, cuda.blockIdx.x
    stamp, done, begin = clock[0] + 1, clock[1], clock[cursor]  # asked for before it waits
    ours = cuda.shared.array(BLOCK, int32)  # the threads whose cells spiked, in any order
    sums = cuda.shared.array(2, int32)  # how many those are; how many spikes there are before ours
    cell = block * BLOCK + thread
    is_spike = int32(0)
    if cell < spike.size and spike[cell]:
        is_spike = int32(1)
    if thread < 2:
        sums[thread] = 0
    cuda.syncthreads()
    if is_spike:
        ours[cuda.atomic.add(sums, 0, 1)] = thread
    number = cuda.syncthreads_count(is_spike)
    mark = (stamp & 0x3FFFFFFF) + 1  # never that of zeros
    if thread == 0:
        cuda.atomic.exch(totals, block, (mark << 32) | number)
    for other in range(thread, block, BLOCK):
        found = cuda.atomic.add(totals, other, 0)
        while found >> 32 != mark:
            found = cuda.atomic.add(totals, other, 0)
        of_other = int32(found & 0xFFFFFFFF)
        if of_other > 0:
            cuda.atomic.add(sums, 1, of_other)
    cuda.syncthreads()
    if is_spike:
        rank = sums[1]
        for k in range(number):
            if ours[k] < thread:
                rank += 1
        events[begin + rank] = cell
    if block == cuda.gridDim.x - 1 and thread == 0:
        count = sums[1] + number
        entry[0, 0], entry[1, 0], entry[2, 0], entry[3, 0] = count, part[0], begin, stamp
        if done < counts.size:
            counts[done] = count


def deliver(
    entries, cells, rows, bounds, word, width, unit, bits, rank, base, start, offset, weight, _,
    ring, n_post, slots, lanes,
):  # fmt: skip
    """Add the weights of the spikes' synapses to the ring rows in which they are due.

    So many lanes share the row of a spike, next to each other in memory. What is looked up waits
    for memory at most once at a time: searches read all that they might need and count.

    Args:
        entries: int64[4, k], as cells a field of `ops.gpu.Entries`.
        cells: int32[capacity].
        rows: int64[n, 2], the first segment of each cell, -1 for none, and its population; or
            empty: then they are looked up, whatever part the cells belong to.
        bounds: as the next ones a field of `ops.rows.Rows`.
        word: int64[n_parts, n_populations].
        width: int64[n_populations].
        unit: of the ring's type [n_populations, widest].
        bits: uint64[n_words].
        rank: uint32[n_words].
        base: int64[n_blocks].
        start: uint32[n_segments + 1].
        offset: uint32 or uint64[capacity].
        weight: int16 or int32[capacity], or empty.
        ring: int32 or int64[slots * n_post]; updated in place.
        n_post: cells of a slot.
        slots: of the ring.
        lanes: a power of two.
    """
    thread = cuda.grid(1)
    lane = thread % lanes
    size = slots * n_post
    n_entries, n_populations = entries.shape[1], width.size
    for event in range(thread // lanes, entries[0, n_entries - 1], cuda.gridsize(1) // lanes):
        entry, after = 0, n_entries - 1  # the first entry that ends behind the event
        while entry < after:
            middle = (entry + after) // 2
            if entries[0, middle] > event:
                after = middle
            else:
                entry = middle + 1
        first = entries[0, entry - 1] if entry > 0 else 0
        part, begin, stamp = entries[1, entry], entries[2, entry], entries[3, entry]
        cell = int64(cells[begin + event - first])
        population, segment = int64(0), int64(-1)
        if rows.size > 0:
            segment, population = rows[cell, 0], rows[cell, 1]
        else:
            for k in range(1, n_populations):
                if bounds[part, k] <= cell:
                    population = k
            place = cell - bounds[part, population]
            of_word = word[part, population]
            if of_word >= 0:
                of_word += place >> 6
                bit = np.uint64(1) << np.uint64(place & 63)
                if bits[of_word] & bit:
                    before = cuda.popc(bits[of_word] & (bit - np.uint64(1)))
                    segment = int64(rank[of_word]) + width[population] * before
        if segment < 0:
            continue
        n_segments = int32(width[population])
        last = segment + n_segments
        begins = base[segment >> 6] + int64(start[segment])
        length = int32(base[last >> 6] + int64(start[last]) - begins)
        origin = (stamp % slots) * n_post
        for synapse in range(lane, length, lanes):
            target = origin + int64(offset[begins + synapse])
            value = ring.dtype.type(1)
            if weight.size > 0:
                value = ring.dtype.type(weight[begins + synapse])
            which, after = int32(0), n_segments  # the last segment that begins not behind it
            while which + 1 < after:
                middle = (which + after) >> 1
                at = segment + middle
                if base[at >> 6] + int64(start[at]) - begins <= synapse:
                    which = middle
                else:
                    after = middle
            if target >= size:
                target -= size
            cuda.atomic.add(ring, target, value * unit[population, which])
