"""CPU kernels of changes of weights: of the rows, or of the columns, of those that fired."""

import numpy as np
from numba import njit

from distdyn.ops.cache import cached
from distdyn.ops.matrix.csr_kernels import ROWS, bounds, list_active

_U = np.uint64

kernel = cached(njit, nogil=True)
inlined = cached(njit, nogil=True, forceinline=True)


@inlined
def within(weight, low, high):
    """Clip; what is not a number stays it."""
    weight = low if weight < low else weight
    return high if weight > high else weight


@kernel
def rows_on_pre(data, x, z, low, high, indices, indptr, out, width):
    """Change the rows with x_i != 0; `out` begins as `data`."""
    rows = np.empty(ROWS, np.uint32)
    least, most = low[()], high[()]
    for first in range(0, x.size, ROWS):
        n = list_active(x, first, rows)
        for r in range(n):
            row = _U(rows[r])
            begin, end = bounds(indptr, row, width)
            value = x[row]
            for k in range(begin, end):
                out[k] = within(out[k] + value * z[_U(indices[k])], least, most)


@kernel
def rows_on_post(data, x, z, low, high, indptr, row, position, out):
    """Change the columns with z_j != 0; `out` begins as `data`."""
    columns = np.empty(ROWS, np.uint32)
    least, most = low[()], high[()]
    for first in range(0, z.size, ROWS):
        n = list_active(z, first, columns)
        for c in range(n):
            column = _U(columns[c])
            value = z[column]
            for k in range(_U(indptr[column]), _U(indptr[column + _U(1)])):
                at = _U(position[k])
                out[at] = within(out[at] + value * x[_U(row[k])], least, most)


@kernel
def dense_on_pre(data, x, z, low, high, out):
    """Change the rows with x_i != 0; `out` begins as `data`."""
    least, most = low[()], high[()]
    for i in range(_U(x.size)):
        if x[i] != 0:
            value, row = x[i], out[i]
            for j in range(_U(z.size)):
                row[j] = within(row[j] + value * z[j], least, most)


@kernel
def dense_on_post(data, x, z, low, high, out):
    """Change the columns with z_j != 0; `out` begins as `data`."""
    columns = np.empty(ROWS, np.uint32)
    least, most = low[()], high[()]
    for first in range(0, z.size, ROWS):
        n = list_active(z, first, columns)
        for i in range(_U(x.size)):
            value, row = x[i], out[i]
            for c in range(n):
                j = _U(columns[c])
                row[j] = within(row[j] + value * z[j], least, most)
