"""CPU kernels of `JITMatrix`: the rows that are needed are drawn, used for all trials, and forgotten.

The draws are those of `ops.draw`, counter by counter; here they are made for many rows at once, so
that what Philox is asked fills vectors. Cells are drawn whole and in batches of some thousand
synapses, which stay in the first cache; a long row takes several.
"""

import numpy as np
from numba import njit

from distdyn.ops import draw
from distdyn.ops.cache import cached
from distdyn.ops.matrix.csr_kernels import list_active
from distdyn.ops.matrix.jit import FIXED_NUMBER, NORMAL, ONE, UNIFORM

BATCH = 2048  # synapses after which a batch is full
CELLS = 1024  # cells after which it is
PAIRS = 1 << 16  # rows times trials that are listed at a time, if rows are more than LEAST_ROWS
LEAST_ROWS, MOST_ROWS = 64, 4096

# The rows of the table of the cells of a batch: the numbers of the row and of the block, how many
# synapses, the first place, how many places are open, and the place in the block that is not.
AT_ROW, AT_BLOCK, COUNT, START, OPEN, HOLE = range(6)

_U = np.uint64
_ZERO, _ONE, _THREE, _HALF = _U(0), _U(1), _U(3), _U(32)
_FEW_BITS = np.uint64(0x3FF)
_COARSE = _U(22)  # bits of a word below one of 2^10 cells
_FINE = _U(12)  # ... below one of 2^10 cells of the first and of the last of those

kernel = cached(njit, nogil=True)
inlined = cached(njit, nogil=True, forceinline=True)


# --- rows and trials -----------------------------------------------------------------------------


@kernel
def _new_list(x):
    """Room to list some rows, and for each the trials in which it is not zero."""
    trials = x.shape[0]
    n = min(MOST_ROWS, max(LEAST_ROWS, PAIRS // max(1, trials)))
    n = min(n, max(1, x.shape[1]))
    pairs = n * trials if trials > 1 else 0
    return (
        np.empty(n, np.uint32),  # rows
        np.zeros(n + 1, np.int64),  # where the trials of each begin
        np.zeros(max(n, pairs), np.int64),  # trials, row by row
        np.empty((2, pairs), np.int64),  # rows and trials, trial by trial
    )


@kernel
def _list_rows(x, first, room):
    """List the rows from `first` on that are not zero in some trial, of as many as there is room."""
    rows, start, trial, pairs = room
    if x.shape[0] == 1:
        n = np.int64(list_active(x[0], first, rows))
        for r in range(n + 1):
            start[r] = r
        return n
    start[:] = 0
    n_pairs = 0
    for b in range(x.shape[0]):
        n = np.int64(list_active(x[b], first, rows))
        for r in range(n):
            row = np.int64(rows[r]) - first
            start[row + 1] += 1
            pairs[0, n_pairs + r], pairs[1, n_pairs + r] = row, b
        n_pairs += n
    for r in range(rows.size):
        start[r + 1] += start[r]
    for i in range(n_pairs):  # afterwards start[r] is where the trials of row r end
        row = pairs[0, i]
        trial[start[row]] = pairs[1, i]
        start[row] += 1
    n, begin = 0, 0
    for r in range(rows.size):
        end = start[r]
        if end > begin:
            rows[n], start[n] = first + r, begin
            n, begin = n + 1, end
    start[n] = begin
    return n


# --- drawing -------------------------------------------------------------------------------------


@kernel
def _new_room(block_start, window, n_post, key):
    """Room for a batch; and the cells that a row has in the window."""
    low = np.int64(np.searchsorted(block_start, window[1], side="right")) - 1
    high = np.int64(np.searchsorted(block_start, window[1] + n_post))
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
    most = BATCH + widest
    return (
        np.arange(low, low + n),  # blocks
        runs[:n_runs],
        np.empty(n, np.uint64),  # the word of each cell of a row
        np.empty(n, np.int64),  # ... and how many synapses it has
        np.empty((6, CELLS), np.int64),  # cells of the batch
        np.empty((3, most + CELLS + draw.RUN), np.uint32),  # row, block and number of each counter
        np.empty(4 * (most + CELLS), np.uint32),  # words for distinct targets
        np.empty((widest + 63) >> 6, np.uint64),
        np.empty(most, np.uint32),  # columns
        np.empty(most, np.uint32),  # the word of each synapse
        np.empty((2, CELLS + 1), np.int64),  # pieces: where each begins, and of which row it is
        draw.new_stream(key),
    )


@kernel
def _count(row, me, key, structure, kind, room):
    """How many synapses each cell of a row has."""
    _, _, block_start, _, number, table, length, threshold, _ = structure
    blocks, runs, word, count = room[0], room[1], room[2], room[3]
    stream = room[11]
    k0, k1 = key
    if kind == FIXED_NUMBER:
        nothing = np.empty(0, np.int64)
        excluded = np.empty(1, np.int64)
        if me >= 0:
            excluded[0] = np.searchsorted(block_start, me, side="right") - 1
        draw.split(
            stream, number[0], blocks, block_start.size - 1, block_start, np.int64(0),
            excluded if me >= 0 else nothing, False, row, draw.SPLIT_BLOCKS, count,
        )  # fmt: skip
        return
    first = _U(blocks[0])
    for c in range(_U(word.size)):
        high, low, _, _ = draw.philox(_U(row), first + c, _ZERO, _U(draw.COUNT), k0, k1)
        word[c] = (high << _HALF) | low
    for r in range(runs.shape[0]):
        begin, end, width = runs[r]
        at = table[width]
        if at >= 0:
            these, words = count[begin:end], word[begin:end]
            these[:] = 0
            for k in range(length[at]):
                least = threshold[at, k]
                for c in range(_U(these.size)):
                    these[c] += least <= words[c]
        else:
            for c in range(begin, end):
                count[c] = _tossed(row, blocks[c], width, number[0], stream)
    if me >= 0:
        block = np.int64(np.searchsorted(block_start, me, side="right")) - 1
        c = block - blocks[0]
        if 0 <= c < count.size:
            width = block_start[block + 1] - block_start[block] - 1
            at = table[width]
            if at >= 0:
                count[c] = draw.tabulated(word[c], threshold, at, length[at])
            else:
                count[c] = _tossed(row, block, width, number[0], stream)


@kernel
def _tossed(row, block, n, p, stream):
    draw.start_stream(stream, row, block, draw.COUNT)
    return draw.binomial(stream, n, p, np.int64(1 << 62))


@kernel
def _next_batch(rows, n_rows, at, n_post, has_words, structure, kind, room):
    """Draw the cells that come next.

    Args:
        rows: the rows to be drawn.
        n_rows: how many there are.
        at: which of them comes next, and which of its cells; advanced.
        n_post: how many columns the matrix has.
        has_words: whether the weight of a synapse depends on its word.
        structure: what the matrix is made of, behind its weights.
        kind: of the matrix.
        room: of `_new_room`. Written: columns, words, pieces.

    Returns:
        How many pieces of rows there are. None: there is no more.
    """
    window, key, block_start, own, _, _, _, _, _ = structure
    blocks, _, _, count, cells, _, _, _, column, word, pieces, _ = room
    keys = _U(key[0]), _U(key[1])
    r, c = at[0], at[1]
    n, n_cells, n_pieces, is_cut = 0, 0, 0, False
    while r < n_rows and n < BATCH and n_cells < CELLS:
        row = window[0] + np.int64(rows[r])
        me = np.int64(own[row]) if own.size else np.int64(-1)
        if c == 0 and count.size:
            _count(row, me, keys, structure, kind, room)
        before = n
        while c < count.size and n < BATCH and n_cells < CELLS:
            if count[c] > 0:
                start, stop = block_start[blocks[c]], block_start[blocks[c] + 1]
                is_excluded = start <= me < stop
                cells[AT_ROW, n_cells], cells[AT_BLOCK, n_cells] = row, blocks[c]
                cells[COUNT, n_cells], cells[START, n_cells] = count[c], start - window[1]
                cells[OPEN, n_cells] = stop - start - (1 if is_excluded else 0)
                cells[HOLE, n_cells] = me - start if is_excluded else stop - start
                is_cut |= start < window[1] or stop > window[1] + n_post
                n_cells += 1
                n += count[c]
            c += 1
        if n > before:
            pieces[0, n_pieces], pieces[1, n_pieces] = before, np.int64(rows[r])
            n_pieces += 1
        if c == count.size:
            r, c = r + 1, 0
    at[0], at[1] = r, c
    pieces[0, n_pieces] = n
    if has_words:
        _draw_words(keys, n_cells, room)
    _draw_columns(keys, n_cells, has_words, room)
    if is_cut:
        _keep_inside(n_pieces, n_post, column, word, pieces)
    return n_pieces


@kernel
def _draw_words(key, n_cells, room):
    """The word of each synapse, which makes its weight."""
    cells, counters, word = room[4], room[5], room[9]
    k0, k1 = key
    n = _ZERO
    for c in range(n_cells):
        count = _U(cells[COUNT, c])
        draw._enter(counters, n, count, cells[AT_ROW, c], 0, cells[AT_BLOCK, c])
        n += count
    for i in range(n):
        w, _, _, _ = draw.philox(
            _U(counters[0, i]), _U(counters[2, i]), _U(counters[1, i]), _U(draw.SYNAPSE), k0, k1
        )
        word[i] = w


@kernel
def _draw_columns(key, n_cells, in_order, room):
    """Distinct columns for each cell: the numbers of `draw.distinct`."""
    _, _, _, _, cells, counters, draws, bitmap, column, _, _, _ = room
    k0, k1 = key
    n = _ZERO
    for c in range(n_cells):
        more = _U(draw._words_of(cells[COUNT, c], cells[OPEN, c]))
        draw._enter(counters, n, more, cells[AT_ROW, c], 0, cells[AT_BLOCK, c])
        n += more
    for i in range(n):
        w0, w1, w2, w3 = draw.philox(
            _U(counters[0, i]), _U(counters[2, i]), _U(counters[1, i]), _U(draw.TARGETS), k0, k1
        )
        at = i << _U(2)
        draws[at], draws[at + _ONE], draws[at + _U(2)], draws[at + _THREE] = w0, w1, w2, w3
    more = np.empty(4, np.uint32)
    n, at = _ZERO, _ZERO  # synapses, and words, of the cells before
    for c in range(n_cells):
        count, n_open = cells[COUNT, c], cells[OPEN, c]
        for w in range((_U(n_open) + _U(63)) >> _U(6)):
            bitmap[w] = _ZERO
        is_complement = 2 * count > n_open
        is_listed = not (in_order or is_complement)
        missing = _U(n_open - count if is_complement else count)
        counter, places, to = _U(draw._words_of(count, n_open)), _U(n_open), n
        first, end = at, at + (counter << _U(2))
        at, used = end, _U(4)
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
                place = (_U(w) * places) >> _HALF
                bits, turn = bitmap[place >> _U(6)], place & _U(63)
                if is_listed:
                    column[to] = place
                bitmap[place >> _U(6)] = bits | (_ONE << turn)
                to += ((bits >> turn) & _ONE) ^ _ONE
            used = used + run if is_more else used
            first = end if is_more else first + run
            missing -= to - before
        if not is_listed:
            draw._list_bits(bitmap, n_open, is_complement, column, n)
        draw._leave_out(column, n, _U(count), n_open, cells[HOLE, c])
        start = np.uint32(cells[START, c])  # wraps where the block begins before the window
        for i in range(n, n + _U(count)):
            column[i] += start
        n += _U(count)


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


# --- weights -------------------------------------------------------------------------------------


@kernel
def _levels(word, n, knots, law, level):
    """u or xi of each word: where its weight lies between the two numbers that describe it."""
    if law == UNIFORM:
        for i in range(_U(n)):
            level[i] = (np.float64(word[i]) + 0.5) * 2.0**-32
    elif law == NORMAL:
        for i in range(_U(n)):
            level[i] = _normal(_U(word[i]), knots)


@inlined
def _normal(word, knots):
    """The standard normal quantile of a word, between the knots between which `weight_of` is."""
    cell, table, bits = word >> _COARSE, _ZERO, _COARSE
    if cell == _ZERO or cell == _FEW_BITS:
        table = _ONE + (cell >> _U(9))
        cell, bits = (word >> _FINE) & _FEW_BITS, _FINE
    within = (word & ((_ONE << bits) - _ONE)) + 0.5
    low, high = knots[table, cell], knots[table, cell + _ONE]
    return low + (high - low) * (within / np.float64(_ONE << bits))


@kernel
def _weights(data, level, n, law, weight):
    """The weights of these levels."""
    one = data.dtype.type(1)
    if law == UNIFORM:
        for i in range(_U(n)):
            weight[i] = data[0] * (one - level[i]) + data[1] * level[i]
    else:
        for i in range(_U(n)):
            weight[i] = data[0] + data[1] * level[i]


# --- the three -----------------------------------------------------------------------------------


@kernel
def scatter(
    x, data, window, key, block_start, own, number, table, length, threshold, knots, y, kind, law
):
    """y_j = sum_i x_i A_ij, over the rows with x_i != 0."""
    structure = window, key, block_start, own, number, table, length, threshold, knots
    n_post = y.shape[1]
    listed = _new_list(x)
    rows, start, trial, _ = listed
    room = _new_room(block_start, window, n_post, (_U(key[0]), _U(key[1])))
    column, word, pieces = room[8], room[9], room[10]
    level, weight = np.empty(column.size, y.dtype), np.empty(column.size, y.dtype)
    at = np.zeros(2, np.int64)
    y[:] = 0
    for first in range(0, x.shape[1], rows.size):
        n_rows = _list_rows(x, first, listed)
        at[:] = 0
        while at[0] < n_rows:
            turn = at[0]
            n = _next_batch(rows, n_rows, at, n_post, law != ONE, structure, kind, room)
            if law != ONE:
                _levels(word, pieces[0, n], knots, law, level)
                _weights(data, level, pieces[0, n], law, weight)
            for p in range(n):
                row, begin, end = pieces[1, p], _U(pieces[0, p]), _U(pieces[0, p + 1])
                while rows[turn] != row:
                    turn += 1
                for t in range(start[turn], start[turn + 1]):
                    sums, value = y[trial[t]], y.dtype.type(x[trial[t], row])
                    if law == ONE:
                        value *= data[0]
                        for i in range(begin, end):
                            sums[_U(column[i])] += value
                    else:
                        for i in range(begin, end):
                            sums[_U(column[i])] += value * weight[i]


@kernel
def gather(
    m, z, data, window, key, block_start, own, number, table, length, threshold, knots, y, kind, law
):
    """y_i = m_i sum_j A_ij z_j, over the rows with m_i != 0."""
    structure = window, key, block_start, own, number, table, length, threshold, knots
    n_post, zero = z.shape[1], y.dtype.type(0)
    listed = _new_list(m)
    rows, start, trial, _ = listed
    room = _new_room(block_start, window, n_post, (_U(key[0]), _U(key[1])))
    column, word, pieces = room[8], room[9], room[10]
    level, weight = np.empty(column.size, y.dtype), np.empty(column.size, y.dtype)
    at = np.zeros(2, np.int64)
    y[:] = 0
    for first in range(0, m.shape[1], rows.size):
        n_rows = _list_rows(m, first, listed)
        at[:] = 0
        while at[0] < n_rows:
            turn = at[0]
            n = _next_batch(rows, n_rows, at, n_post, law != ONE, structure, kind, room)
            if law != ONE:
                _levels(word, pieces[0, n], knots, law, level)
                _weights(data, level, pieces[0, n], law, weight)
            for p in range(n):
                row, begin, end = pieces[1, p], _U(pieces[0, p]), _U(pieces[0, p + 1])
                while rows[turn] != row:
                    turn += 1
                for t in range(start[turn], start[turn + 1]):
                    given, total = z[trial[t]], zero
                    if law == ONE:
                        for i in range(begin, end):
                            total += given[_U(column[i])]
                        total *= data[0]
                    else:
                        for i in range(begin, end):
                            total += weight[i] * given[_U(column[i])]
                    y[trial[t], row] += m[trial[t], row] * total


@kernel
def outer(
    x, z, window, key, block_start, own, number, table, length, threshold, knots, d, kind, law
):
    """d_p = sum_ij x_i z_j dA_ij / dd_p, over the rows with x_i != 0."""
    structure = window, key, block_start, own, number, table, length, threshold, knots
    n_post, zero, one = z.shape[1], z.dtype.type(0), z.dtype.type(1)
    listed = _new_list(x)
    rows, start, trial, _ = listed
    room = _new_room(block_start, window, n_post, (_U(key[0]), _U(key[1])))
    column, word, pieces = room[8], room[9], room[10]
    level = np.empty(column.size, d.dtype)
    at = np.zeros(2, np.int64)
    low, high = 0.0, 0.0  # sums of a great many: in double precision
    for first in range(0, x.shape[1], rows.size):
        n_rows = _list_rows(x, first, listed)
        at[:] = 0
        while at[0] < n_rows:
            turn = at[0]
            n = _next_batch(rows, n_rows, at, n_post, law != ONE, structure, kind, room)
            if law != ONE:
                _levels(word, pieces[0, n], knots, law, level)
            for p in range(n):
                row, begin, end = pieces[1, p], _U(pieces[0, p]), _U(pieces[0, p + 1])
                while rows[turn] != row:
                    turn += 1
                for t in range(start[turn], start[turn + 1]):
                    given, value = z[trial[t]], np.float64(x[trial[t], row])
                    left, right = zero, zero
                    if law == UNIFORM:
                        for i in range(begin, end):
                            left += (one - level[i]) * given[_U(column[i])]
                    else:
                        for i in range(begin, end):
                            left += given[_U(column[i])]
                    if law != ONE:
                        for i in range(begin, end):
                            right += level[i] * given[_U(column[i])]
                    low += value * left
                    high += value * right
    d[0] = low
    if law != ONE:
        d[1] = high
