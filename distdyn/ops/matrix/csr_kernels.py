"""CPU kernels of matrices that list the columns of each row: `CSR`, and `FixedNumber`.

The rows of a trial that are not zero are listed first, some thousand at a time: looking at 64 at
once costs a few instructions where nobody spiked, and the loop over rows has no branch to guess.
"""

import numpy as np
from numba import njit

from distdyn.ops.cache import cached
from distdyn.ops.kernels import will_read

_U = np.uint64
ROWS = 4096  # rows that are listed at a time: 16 kB
GLANCE = _U(64)  # rows that are looked at together
NEAR, FAR, FARTHEST = _U(2), _U(8), _U(16)  # rows between asking memory for one and reading it
MOST = _U(512)  # columns that are asked for
LINE = _U(16)  # columns of a cache line

kernel = cached(njit, nogil=True)
inlined = cached(njit, nogil=True, forceinline=True)


@kernel
def list_active(x, first, rows):
    """List the indices from `first` on where x is not zero, of as many as `rows` could hold."""
    at, n = _U(first), _U(0)
    stop = min(at + _U(rows.size), _U(x.size))
    while at + GLANCE <= stop:
        some = np.uint8(0)
        for i in range(GLANCE):
            some |= np.uint8(x[at + i] != 0)
        if some:
            for i in range(GLANCE):
                rows[n] = at + i
                n += _U(x[at + i] != 0)
        at += GLANCE
    while at < stop:
        rows[n] = at
        n += _U(x[at] != 0)
        at += _U(1)
    return n


@inlined
def bounds(indptr, row, width):
    """Where the synapses of a row begin and end."""
    if width >= 0:
        return row * _U(width), (row + _U(1)) * _U(width)
    return _U(indptr[row]), _U(indptr[row + _U(1)])


@inlined
def ask(data, indices, indptr, rows, r, n, width):
    """Ask memory for rows that come soon: for where the farthest is, and for all of the nearest.

    In between the page of a row is looked up, which takes as long as the rest.
    """
    last, is_each = n - _U(1), data.size != 1
    will_read(indptr, _U(rows[min(r + FARTHEST, last)]))
    begin, _ = bounds(indptr, _U(rows[min(r + FAR, last)]), width)
    will_read(indices, begin)
    if is_each:
        will_read(data, begin)
    begin, end = bounds(indptr, _U(rows[min(r + NEAR, last)]), width)
    end = min(end, begin + MOST)
    while begin < end:
        will_read(indices, begin)
        if is_each:
            will_read(data, begin)
        begin += LINE


@kernel
def scatter(x, data, indices, indptr, y, width):
    """Add up: y_j = sum_i x_i A_ij, over the rows with x_i != 0."""
    rows = np.empty(ROWS, np.uint32)
    for b in range(x.shape[0]):
        given, sums = x[b], y[b]
        sums[:] = 0
        for first in range(0, given.size, ROWS):
            n = list_active(given, first, rows)
            for r in range(n):
                row = _U(rows[r])
                begin, end = bounds(indptr, row, width)
                ask(data, indices, indptr, rows, r, n, width)
                if data.size == 1:
                    amount = data.dtype.type(given[row]) * data[0]
                    for k in range(begin, end):
                        sums[_U(indices[k])] += amount
                else:
                    value = data.dtype.type(given[row])
                    for k in range(begin, end):
                        sums[_U(indices[k])] += value * data[k]


@kernel
def gather(m, z, data, indices, indptr, y, width):
    """Add up: y_i = m_i sum_j A_ij z_j, over the rows with m_i != 0."""
    rows = np.empty(ROWS, np.uint32)
    zero = z.dtype.type(0)
    for b in range(m.shape[0]):
        mask, given, sums = m[b], z[b], y[b]
        sums[:] = 0
        for first in range(0, mask.size, ROWS):
            n = list_active(mask, first, rows)
            for r in range(n):
                row = _U(rows[r])
                begin, end = bounds(indptr, row, width)
                total = zero
                if data.size == 1:
                    for k in range(begin, end):
                        total += given[_U(indices[k])]
                    total *= data[0]
                else:
                    for k in range(begin, end):
                        total += data[k] * given[_U(indices[k])]
                sums[row] = mask[row] * total


@kernel
def outer(x, z, indices, indptr, weights, width):
    """Add up: d_k = x_i z_j for the synapse k from i to j, or all, over the rows with x_i != 0."""
    rows = np.empty(ROWS, np.uint32)
    zero = z.dtype.type(0)
    weights[:] = 0
    is_one = weights.size == 1
    for b in range(x.shape[0]):
        given, other = x[b], z[b]
        for first in range(0, given.size, ROWS):
            n = list_active(given, first, rows)
            for r in range(n):
                row = _U(rows[r])
                begin, end = bounds(indptr, row, width)
                if is_one:
                    total = zero
                    for k in range(begin, end):
                        total += other[_U(indices[k])]
                    weights[0] += given[row] * total
                else:
                    for k in range(begin, end):
                        weights[k] += given[row] * other[_U(indices[k])]
