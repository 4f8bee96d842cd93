"""CPU kernels of `COO`: one synapse after the other, passing those whose row is zero."""

import numpy as np
from numba import njit

from distdyn.ops.cache import cached

_U = np.uint64

kernel = cached(njit, nogil=True)


@kernel
def scatter(x, data, row, col, y):
    """Add up: y_j = sum_i x_i A_ij."""
    step = _U(data.size != 1)
    for b in range(x.shape[0]):
        given, sums = x[b], y[b]
        sums[:] = 0
        for k in range(_U(row.size)):
            value = data.dtype.type(given[_U(row[k])])
            if value != 0:
                sums[_U(col[k])] += value * data[k * step]


@kernel
def gather(m, z, data, row, col, y):
    """Add up: y_i = m_i sum_j A_ij z_j."""
    step = _U(data.size != 1)
    for b in range(m.shape[0]):
        mask, given, sums = m[b], z[b], y[b]
        sums[:] = 0
        for k in range(_U(row.size)):
            i = _U(row[k])
            if mask[i] != 0:
                sums[i] += data[k * step] * given[_U(col[k])]
        for i in range(_U(mask.size)):
            sums[i] *= mask[i]


@kernel
def outer(x, z, row, col, weights):
    """Add up: d_k = x_i z_j for the synapse k from i to j; or their sum."""
    step = _U(weights.size != 1)
    weights[:] = 0
    for b in range(x.shape[0]):
        given, other = x[b], z[b]
        for k in range(_U(row.size)):
            value = given[_U(row[k])]
            if value != 0:
                weights[k * step] += value * other[_U(col[k])]
