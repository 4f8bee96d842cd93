"""CPU kernels of `Dense`: whole rows, of those that are not zero."""

import numpy as np
from numba import njit

from distdyn.ops.cache import cached

_U = np.uint64

kernel = cached(njit, nogil=True)
# sums may be taken in any order, so that they fill vectors
loose = cached(njit, nogil=True, fastmath={"reassoc", "contract"})


@kernel
def scatter(x, data, y):
    """Add up: y = sum_i x_i A_i, over the rows with x_i != 0."""
    for b in range(x.shape[0]):
        given, sums = x[b], y[b]
        sums[:] = 0
        for i in range(_U(given.size)):
            if given[i] != 0:
                value, row = data.dtype.type(given[i]), data[i]
                for j in range(_U(sums.size)):
                    sums[j] += value * row[j]


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
    """Add up: A_ij = x_i z_j, over the rows with x_i != 0."""
    weights[:] = 0
    for b in range(x.shape[0]):
        given, other = x[b], z[b]
        for i in range(_U(given.size)):
            if given[i] != 0:
                value, row = given[i], weights[i]
                for j in range(_U(other.size)):
                    row[j] += value * other[j]
