"""CPU kernels of `JITMatrix`: rows are drawn as needed, used for all trials, and forgotten."""

import numpy as np
from numba import njit

from distdyn.ops.cache import cached
from distdyn.ops.matrix.csr_kernels import list_active
from distdyn.ops.matrix.jit import NORMAL, ONE, UNIFORM
from distdyn.ops.matrix.jit_rows_kernels import new_room, next_batch
from distdyn.ops.values import KNOT_BITS, normal_knots

PAIRS = 1 << 16  # rows times trials that are listed at a time, if rows are more than LEAST_ROWS
LEAST_ROWS, MOST_ROWS = 64, 4096

_KNOTS = normal_knots()
_U = np.uint64
_ZERO, _ONE = _U(0), _U(1)
_LAST_CELL = _U((1 << KNOT_BITS) - 1)
_COARSE, _FINE = _U(32 - KNOT_BITS), _U(32 - 2 * KNOT_BITS)  # bits of a word below the cell

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
    """List the rows from `first` on that are not zero in some trial, of as many as have room."""
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


# --- weights -------------------------------------------------------------------------------------


@kernel
def _levels(word, n, law, level):
    """What u or xi a word is: where its weight lies between the two numbers that describe it."""
    if law == UNIFORM:
        for i in range(_U(n)):
            level[i] = (np.float64(word[i]) + 0.5) * 2.0**-32
    elif law == NORMAL:
        for i in range(_U(n)):
            level[i] = _normal(_U(word[i]))


@inlined
def _normal(word):
    """The standard normal quantile of a word, between the knots between which `weight_of` is."""
    cell, table, bits = word >> _COARSE, _ZERO, _COARSE
    if cell == _ZERO or cell == _LAST_CELL:
        table = _ONE + (cell >> _U(KNOT_BITS - 1))
        cell, bits = (word >> _FINE) & _LAST_CELL, _FINE
    within = (word & ((_ONE << bits) - _ONE)) + 0.5
    low, high = _KNOTS[table, cell], _KNOTS[table, cell + _ONE]
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
def scatter(x, data, window, key, block_start, own, what, table, length, threshold, y):
    """y_j = sum_i x_i A_ij, over the rows with x_i != 0."""
    structure = window, key, block_start, own, what, table, length, threshold
    n_post = y.shape[1]
    law = what[2]
    listed = _new_list(x)
    rows, start, trial, _ = listed
    room = new_room(block_start, window, n_post, (_U(key[0]), _U(key[1])))
    column, word, pieces = room[8], room[9], room[10]
    level, weight = np.empty(column.size, y.dtype), np.empty(column.size, y.dtype)
    at = np.zeros(2, np.int64)
    y[:] = 0
    for first in range(0, x.shape[1], rows.size):
        n_rows = _list_rows(x, first, listed)
        at[:] = 0
        while at[0] < n_rows:
            turn = at[0]
            n = next_batch(rows, n_rows, at, n_post, law != ONE, structure, room)
            if law != ONE:
                _levels(word, pieces[0, n], law, level)
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
def gather(m, z, data, window, key, block_start, own, what, table, length, threshold, y):
    """y_i = m_i sum_j A_ij z_j, over the rows with m_i != 0."""
    structure = window, key, block_start, own, what, table, length, threshold
    n_post, zero = z.shape[1], y.dtype.type(0)
    law = what[2]
    listed = _new_list(m)
    rows, start, trial, _ = listed
    room = new_room(block_start, window, n_post, (_U(key[0]), _U(key[1])))
    column, word, pieces = room[8], room[9], room[10]
    level, weight = np.empty(column.size, y.dtype), np.empty(column.size, y.dtype)
    at = np.zeros(2, np.int64)
    y[:] = 0
    for first in range(0, m.shape[1], rows.size):
        n_rows = _list_rows(m, first, listed)
        at[:] = 0
        while at[0] < n_rows:
            turn = at[0]
            n = next_batch(rows, n_rows, at, n_post, law != ONE, structure, room)
            if law != ONE:
                _levels(word, pieces[0, n], law, level)
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
def outer(x, z, window, key, block_start, own, what, table, length, threshold, d):
    """d_p = sum_ij x_i z_j dA_ij / dd_p, over the rows with x_i != 0."""
    structure = window, key, block_start, own, what, table, length, threshold
    n_post, zero, one = z.shape[1], z.dtype.type(0), z.dtype.type(1)
    law = what[2]
    listed = _new_list(x)
    rows, start, trial, _ = listed
    room = new_room(block_start, window, n_post, (_U(key[0]), _U(key[1])))
    column, word, pieces = room[8], room[9], room[10]
    level = np.empty(column.size, d.dtype)
    at = np.zeros(2, np.int64)
    low, high = 0.0, 0.0  # sums of a great many: in double precision
    for first in range(0, x.shape[1], rows.size):
        n_rows = _list_rows(x, first, listed)
        at[:] = 0
        while at[0] < n_rows:
            turn = at[0]
            n = next_batch(rows, n_rows, at, n_post, law != ONE, structure, room)
            if law != ONE:
                _levels(word, pieces[0, n], law, level)
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
