"""CPU kernels that draw rows of a `JITMatrix`, many at a time, so that Philox fills vectors.

The draws are those of `ops.draw`, counter by counter. Cells are drawn whole and in batches of some
thousand synapses, which stay in the first cache; a long row takes several. What a processor could
not foresee costs it more than what is done in vain: most cells have few synapses, so that each is
drawn as if it had eight, and again where two fell on one place.
"""

import numpy as np
from numba import njit

from distdyn.ops import draw
from distdyn.ops.cache import cached
from distdyn.ops.matrix.jit import BERNOULLI, MULTAPSES

BATCH = 2048  # synapses after which a batch is full
CELLS = 1024  # cells after which it is
STEP = 8  # thresholds that all cells are compared with before one looks whether there is need
FEW = np.uint64(draw.RUN)  # so many synapses are drawn at once

# The rows of the table of the cells of a batch: the numbers of the row and of the block, how many
# synapses, the first column, how many places are open, and the place in the block that is not.
AT_ROW, AT_BLOCK, COUNT, START, OPEN, HOLE = range(6)

_U = np.uint64
_ZERO, _ONE, _HALF, _LOW = _U(0), _U(1), _U(32), _U(0xFFFFFFFF)

kernel = cached(njit, nogil=True)
inlined = cached(njit, nogil=True, forceinline=True)


@kernel
def new_room(block_start, window, n_post, key):
    """Room for a batch; and the cells that a row has in the window."""
    low = np.int64(np.searchsorted(block_start, window[1], side="right")) - 1
    high = np.int64(np.searchsorted(block_start, window[1] + n_post))
    high = min(high, block_start.size - 1)  # a window may reach beyond the matrix
    n = max(0, high - low) if n_post else 0
    widest, n_runs = 0, 0
    runs = np.empty((n, 3), np.int64)  # cells of one width: the first, the one after, the width
    for c in range(n):
        width = block_start[low + c + 1] - block_start[low + c]
        if n_runs == 0 or runs[n_runs - 1, 2] != width:
            runs[n_runs] = c, c, width
            n_runs += 1
        runs[n_runs - 1, 1] = c + 1
        widest = max(widest, width)
    most = BATCH + widest + draw.RUN
    return (
        np.arange(low, low + n),  # blocks
        runs[:n_runs],
        np.empty(n, np.uint64),  # the word of each cell of a row
        np.empty(n, np.int64),  # ... and how many synapses it has
        np.empty((6, CELLS), np.int64),  # cells of the batch
        (  # the row of each counter; its block, and its number in the cell
            np.empty(most + CELLS, np.uint32),
            np.empty(most + CELLS, np.uint64),
        ),
        np.empty(4 * (most + CELLS), np.uint32),  # words for targets
        np.zeros((widest + 63) >> 6, np.uint64),  # always zero between two cells
        np.empty(most, np.uint32),  # columns
        np.empty(most, np.uint32),  # the word of each synapse
        np.empty((2, CELLS + 1), np.int64),  # pieces: where each begins, and of which row it is
        draw.new_stream(key),
    )


@kernel
def next_batch(rows, n_rows, at, n_post, has_words, structure, room):
    """Draw the cells that come next.

    Args:
        rows: the rows to be drawn.
        n_rows: how many there are.
        at: which of them comes next, and which of its cells; advanced.
        n_post: how many columns the matrix has.
        has_words: whether the weight of a synapse depends on its word.
        structure: what the matrix is made of, behind its weights.
        room: of `new_room`. Written: columns, words, pieces.

    Returns:
        How many pieces of rows there are. None: there is no more.
    """
    window, key, block_start, own, what, _, _, _ = structure
    blocks, _, _, count, cells, _, _, _, column, word, pieces, _ = room
    keys = _U(key[0]), _U(key[1])
    r, c, kind = at[0], at[1], what[1]
    n, n_cells, n_pieces = 0, 0, 0
    while r < n_rows and n < BATCH and n_cells < CELLS:
        row = window[0] + np.int64(rows[r])
        me = np.int64(own[row]) if own.size else np.int64(-1)
        if c == 0 and count.size:
            _count(row, me, keys, structure, room)
        before = n
        while c < count.size and n < BATCH and n_cells < CELLS:
            start, stop = block_start[blocks[c]], block_start[blocks[c] + 1]
            is_excluded = start <= me < stop
            cells[AT_ROW, n_cells], cells[AT_BLOCK, n_cells] = row, blocks[c]
            cells[COUNT, n_cells], cells[START, n_cells] = count[c], start - window[1]
            cells[OPEN, n_cells] = stop - start - (1 if is_excluded else 0)
            cells[HOLE, n_cells] = me - start if is_excluded else stop - start
            n_cells += 1 if count[c] > 0 else 0  # else the next one is written over it
            n += count[c]
            c += 1
        if n > before:
            pieces[0, n_pieces], pieces[1, n_pieces] = before, np.int64(rows[r])
            n_pieces += 1
        if c == count.size:
            r, c = r + 1, 0
    at[0], at[1] = r, c
    pieces[0, n_pieces] = n
    if has_words or kind == MULTAPSES:
        _draw_words(keys, n_cells, kind == MULTAPSES, room)
    if kind != MULTAPSES:
        _draw_columns(keys, n_cells, has_words, room)
    if count.size:
        first, last = block_start[blocks[0]], block_start[blocks[0] + count.size]
        if first < window[1] or last > window[1] + n_post:
            _keep_inside(n_pieces, n_post, column, word, pieces)
    return n_pieces


# --- how many ------------------------------------------------------------------------------------


@kernel
def _count(row, me, key, structure, room):
    """How many synapses each cell of a row has."""
    _, _, block_start, _, what, table, length, threshold = structure
    blocks, runs, word, count, stream = room[0], room[1], room[2], room[3], room[11]
    block = np.int64(np.searchsorted(block_start, me, side="right")) - 1  # -1: of none
    if what[1] != BERNOULLI:
        excluded = np.full(1 if me >= 0 else 0, block)
        draw.split(
            stream, what[0], blocks, block_start.size - 1, block_start, np.int64(0), excluded,
            what[1] == MULTAPSES, row, draw.SPLIT_BLOCKS, count,
        )  # fmt: skip
        return
    k0, k1 = key
    first = _U(blocks[0])
    for c in range(_U(word.size)):
        high, low, _, _ = draw.philox(_U(row), first + c, _ZERO, _U(draw.COUNT), k0, k1)
        word[c] = (high << _HALF) | low
    for r in range(runs.shape[0]):
        begin, end, width = runs[r]
        at = table[width]
        if at >= 0:
            _tabulated(word[begin:end], threshold[at, : length[at]], count[begin:end])
        else:
            for c in range(begin, end):
                count[c] = _tossed(row, blocks[c], width, what[0], stream)
    c = block - blocks[0]
    if me >= 0 and 0 <= c < count.size:
        width = block_start[block + 1] - block_start[block] - 1
        at = table[width]
        if at >= 0:
            count[c] = draw.tabulated(word[c], threshold, at, length[at])
        else:
            count[c] = _tossed(row, block, width, what[0], stream)


@inlined
def _tabulated(word, threshold, count):
    """`draw.tabulated` of each word; most are below all but a few thresholds, which ascend."""
    count[:] = 0
    for first in range(0, threshold.size, STEP):
        last = min(first + STEP, threshold.size)
        for k in range(first, last):
            least = threshold[k]
            for c in range(_U(count.size)):
                count[c] += least <= word[c]
        most = np.int64(0)
        for c in range(_U(count.size)):
            most = max(most, count[c])
        if most < last:
            return


@kernel
def _tossed(row, block, n, p, stream):
    draw.start_stream(stream, row, block, draw.COUNT)
    return draw.binomial(stream, n, p, np.int64(1 << 62))


# --- which ---------------------------------------------------------------------------------------


@inlined
def _enter(counters, at, n, row, block):
    """Enter n counters of a cell, and beyond them what the next cell will write over."""
    rows, numbers = counters
    first = _U(block) << _HALF
    for start in range(_ZERO, n, FEW):
        for k in range(FEW):
            rows[at + start + k] = row
            numbers[at + start + k] = first + start + k


@inlined
def _words(counters, i, purpose, k0, k1):
    """The words of a counter."""
    row, number = counters
    return draw.philox(_U(row[i]), number[i] >> _HALF, number[i] & _LOW, _U(purpose), k0, k1)


@kernel
def _draw_words(key, n_cells, with_columns, room):
    """The word of each synapse, which makes its weight; and of multapses the columns."""
    _, _, _, _, cells, counters, draws, _, column, word, _, _ = room
    k0, k1 = key
    n = _ZERO
    for c in range(n_cells):
        count = _U(cells[COUNT, c])
        _enter(counters, n, count, cells[AT_ROW, c], cells[AT_BLOCK, c])
        n += count
    if not with_columns:
        for i in range(n):
            w, _, _, _ = _words(counters, i, draw.SYNAPSE, k0, k1)
            word[i] = w
        return
    for i in range(n):
        w, _, high, low = _words(counters, i, draw.SYNAPSE, k0, k1)
        word[i] = w
        draws[i << _ONE], draws[(i << _ONE) + _ONE] = high, low
    n = _ZERO
    for c in range(n_cells):
        n_open, hole, start = cells[OPEN, c], cells[HOLE, c], cells[START, c]
        for i in range(n, n + _U(cells[COUNT, c])):
            bits = (_U(draws[i << _ONE]) << _HALF) | _U(draws[(i << _ONE) + _ONE])
            place = draw.below(bits, n_open)
            column[i] = place + (1 if place >= hole else 0) + start  # wraps before the window
        n += _U(cells[COUNT, c])


@kernel
def _draw_columns(key, n_cells, in_order, room):
    """Distinct columns for each cell: the numbers of `draw.distinct`."""
    _, _, _, _, cells, counters, draws, bitmap, column, _, _, _ = room
    k0, k1 = key
    n = _ZERO
    for c in range(n_cells):
        more = _U(draw.words_of(cells[COUNT, c], cells[OPEN, c]))
        _enter(counters, n, more, cells[AT_ROW, c], cells[AT_BLOCK, c])
        n += more
    for i in range(n):
        a, b, c, d = _words(counters, i, draw.TARGETS, k0, k1)
        at = i << _U(2)
        draws[at], draws[at + _ONE], draws[at + _U(2)], draws[at + _U(3)] = a, b, c, d
    shift = _ZERO
    while _U(bitmap.size) > _ONE << shift:  # which has a word for 64 places
        shift += _ONE
    more = np.empty(4, np.uint32)
    n, at = _ZERO, _ZERO  # synapses, and words, of the cells before
    for c in range(n_cells):
        count, n_open = _U(cells[COUNT, c]), _U(cells[OPEN, c])
        hole, start = _U(cells[HOLE, c]), _U(cells[START, c])
        end = at + (_U(draw.words_of(cells[COUNT, c], cells[OPEN, c])) << _U(2))
        is_done = False
        if count <= FEW and count + count <= n_open:
            is_done = _few(draws, at, count, n_open, hole, start, shift, in_order, column, n)
        if not is_done:
            _many(key, cells, c, draws, at, end, more, in_order, bitmap, column, n)
            for i in range(n, n + count):
                place = _U(column[i])
                column[i] = place + (_ONE if place >= hole else _ZERO) + start
        n, at = n + count, end


@inlined
def _few(draws, at, count, n_open, hole, start, shift, in_order, column, to):
    """The columns of a cell of at most eight synapses; whether it is sure that they are distinct.

    Sure it is where the places >> shift, at most 64 numbers, are. Written are eight columns: the
    next cell writes over what is too many.
    """
    seen = _ZERO
    for k in range(FEW):
        place = (_U(draws[at + k]) * n_open) >> _HALF
        seen |= (_ONE if k < count else _ZERO) << (place >> shift)
        if not in_order:
            column[to + k] = place + (_ONE if place >= hole else _ZERO) + start
    for k in range(FEW if in_order else _ZERO):
        place = (_U(draws[at + k]) * n_open) >> _HALF
        before = seen & ((_ONE << (place >> shift)) - _ONE)
        turn = _U(draw.ones(before)) if k < count else k
        column[to + turn] = place + (_ONE if place >= hole else _ZERO) + start
    return _U(draw.ones(seen)) == count


@kernel
def _many(key, cells, c, draws, first, end, more, in_order, bitmap, column, to):
    """The places of a cell, from draws[first:end], and from `more` when those do not suffice.

    Not in order, they come as they are drawn, which saves a pass.
    """
    k0, k1 = key
    count, n_open = cells[COUNT, c], cells[OPEN, c]
    is_complement = 2 * count > n_open
    is_listed = not (in_order or is_complement)
    missing = _U(n_open - count if is_complement else count)
    counter, used, begin = (end - first) >> _U(2), _U(4), to
    while missing > _ZERO:
        is_more = first == end
        if is_more and used == _U(4):
            used = _ZERO
            more[0], more[1], more[2], more[3] = draw.philox(
                _U(cells[AT_ROW, c]), _U(cells[AT_BLOCK, c]), counter, _U(draw.TARGETS), k0, k1
            )
            counter += _ONE
        run, before = min(missing, _U(4) - used if is_more else end - first), to
        for i in range(run):
            w = more[used + i] if is_more else draws[first + i]
            place = (_U(w) * _U(n_open)) >> _HALF
            bits, turn = bitmap[place >> _U(6)], place & _U(63)
            if is_listed:
                column[to] = place
            bitmap[place >> _U(6)] = bits | (_ONE << turn)
            to += ((bits >> turn) & _ONE) ^ _ONE
        used = used + run if is_more else used
        first = end if is_more else first + run
        missing -= to - before
    if is_complement:
        draw.list_bits(bitmap, n_open, True, column, begin)
    elif not is_listed:
        _list_sparse(bitmap, n_open, column, begin)
    if is_listed and count << 6 < n_open:
        for i in range(begin, to):
            bitmap[_U(column[i]) >> _U(6)] = _ZERO
    else:
        for w in range((_U(n_open) + _U(63)) >> _U(6)):
            bitmap[w] = _ZERO


@inlined
def _list_sparse(bitmap, n, column, to):
    """`draw.list_bits` where a word mostly has at most two: how many, nobody could foresee.

    Written are two more columns than there are.
    """
    for w in range((_U(n) + _U(63)) >> _U(6)):
        bits, at, start = bitmap[w], to, w << _U(6)
        to += _U(draw.ones(bits))
        for _ in range(2):
            column[at] = start + _U(draw.ones((bits & (_ZERO - bits)) - _ONE))
            at += _ONE
            bits &= bits - _ONE
        while bits != _ZERO:
            column[at] = start + _U(draw.ones((bits & (_ZERO - bits)) - _ONE))
            at += _ONE
            bits &= bits - _ONE


@kernel
def _keep_inside(n_pieces, n_post, column, word, pieces):
    """Drop the synapses whose columns are outside the window."""
    to = 0
    for p in range(n_pieces):
        begin, end = pieces[0, p], pieces[0, p + 1]
        pieces[0, p] = to
        for i in range(begin, end):
            column[to], word[to] = column[i], word[i]
            to += 1 if column[i] < n_post else 0
    pieces[0, n_pieces] = to
