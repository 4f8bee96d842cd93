"""CPU kernels of `Dense`: whole rows, of those that are not zero.

Rows are added up four at a time, in their order: a sum is then read and written once for four of
them, which is most of what there is to do where all of it lies in a cache.
"""

import numpy as np
from numba import njit

from distdyn.ops.cache import cached
from distdyn.ops.matrix.csr_kernels import list_active

_U = np.uint64
CACHE = 1 << 18  # bytes of what is read again and again: half of a second cache
ONE, TWO, THREE, FOUR = _U(1), _U(2), _U(3), _U(4)

kernel = cached(njit, nogil=True)
inlined = cached(njit, nogil=True, forceinline=True)
# sums may be taken in any order, so that they fill vectors
loose = cached(njit, nogil=True, fastmath={"reassoc", "contract"})


@inlined
def add_up(rows, values, n, matrix, sums):
    """Add n rows of a matrix, listed with what each is multiplied by, to some sums."""
    r = _U(0)
    while r + FOUR <= n:
        a, b, c, d = (
            matrix[rows[r]],
            matrix[rows[r + ONE]],
            matrix[rows[r + TWO]],
            matrix[rows[r + THREE]],
        )
        u, v, w, x = values[r], values[r + ONE], values[r + TWO], values[r + THREE]
        for j in range(_U(sums.size)):
            sums[j] = (((sums[j] + u * a[j]) + v * b[j]) + w * c[j]) + x * d[j]
        r += FOUR
    while r < n:
        row, value = matrix[rows[r]], values[r]
        for j in range(_U(sums.size)):
            sums[j] += value * row[j]
        r += ONE


@kernel
def scatter(x, data, y):
    """Add up: y = sum_i x_i A_i, over the rows with x_i != 0."""
    rows, values = np.empty(x.shape[1], np.uint32), np.empty(x.shape[1], data.dtype)
    for b in range(x.shape[0]):
        given, sums = x[b], y[b]
        sums[:] = 0
        n = list_active(given, 0, rows)
        for r in range(n):
            values[r] = given[rows[r]]
        add_up(rows, values, n, data, sums)


@loose
def gather(m, z, data, y):
    """Add up: y_i = m_i A_i z, over the rows with m_i != 0."""
    zero = z.dtype.type(0)
    for b in range(m.shape[0]):
        mask, given, sums = m[b], z[b], y[b]
        for i in range(_U(mask.size)):
            total = zero
            if mask[i] != 0:
                row = data[i]
                for j in range(_U(given.size)):
                    total += row[j] * given[j]
            sums[i] = mask[i] * total


@kernel
def outer(x, z, weights):
    """Add up: A_ij = x_i z_j, over the rows with x_i != 0.

    Some trials after the others, whose z lie in the second cache; of these row after row, for which
    it is listed first in which trials its x is not zero.
    """
    n_trials, n = x.shape
    some = max(1, min(n_trials, CACHE // (z.itemsize * max(1, z.shape[1]))))
    rows, count = np.empty(n, np.uint32), np.empty(n + 1, np.int64)
    pairs = np.empty((2, some * n), np.uint32)
    trials, values = np.empty(some * n, np.uint32), np.empty(some * n, z.dtype)
    weights[:] = 0
    for first in range(0, n_trials, some):
        count[:] = 0
        n_pairs = 0
        for b in range(first, min(first + some, n_trials)):
            for r in range(list_active(x[b], 0, rows)):
                pairs[0, n_pairs], pairs[1, n_pairs] = b, rows[r]
                count[rows[r] + 1] += 1
                n_pairs += 1
        start = np.cumsum(count)
        at = start.copy()
        for p in range(n_pairs):
            b, i = pairs[0, p], pairs[1, p]
            trials[at[i]], values[at[i]] = b, x[b, i]
            at[i] += 1
        for i in range(_U(n)):
            mine = slice(start[i], start[i + ONE])
            add_up(trials[mine], values[mine], _U(start[i + ONE] - start[i]), z, weights[i])
