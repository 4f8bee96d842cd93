"""CPU kernels of all-to-all couplings, written in Numba: the bodies behind `ops.totals`.

Members of a team differ in their targets; each makes all sums.
"""

# Numba compiles what its intrinsics are called with, and is typed loosely:
# pyright: reportPrivateImportUsage=false, reportCallIssue=false, reportAttributeAccessIssue=false

from typing import Any

import numpy as np
from numba import njit

from distdyn.ops.coupled_kernels import value_of
from distdyn.ops.exchange_kernels import delivery, through_ring
from distdyn.ops.handler import Buffer

_U = np.uint64


@njit
def add_totals(ring, origin, words, part, table, member, members):
    """Add the values of one part to one member's targets; as `coupled_kernels.add_values`."""
    us, _, unit, delay, start, run, after, post, own = table
    for m in range(_U(unit.size)):
        low, high = _share(after, m, member, members)
        first, last = _U(start[m, part]), _U(start[m, part + _U(1)])
        if low == high or first == last:
            continue
        weight, total = np.float64(unit[m]), np.int64(0)
        for k in range(first, last):
            for cell in range(_U(run[k, _U(0)]), _U(run[k, _U(1)])):
                total += ring.dtype.type(np.rint(weight * value_of(words, cell)))
        slot = _slot(origin, delay[m], us[_U(1)], ring.size)
        is_ours = part == _U(us[_U(0)])
        for k in range(low, high):
            amount = total
            if is_ours and own[k] >= 0:
                amount -= np.int64(np.rint(weight * value_of(words, _U(own[k]))))
            ring[slot + _U(post[k])] += amount


@njit
def add_counts(ring, origin, cells, part, table, member, members):
    """Add the spikes of one part, ascending cells, to one member's targets."""
    us, _, unit, delay, start, run, after, post, own = table
    if not cells.size:
        return
    for m in range(_U(unit.size)):
        low, high = _share(after, m, member, members)
        first, last = _U(start[m, part]), _U(start[m, part + _U(1)])
        count = np.int64(0)
        for k in range(first, last if low < high else first):
            count += _before(cells, run[k, _U(1)]) - _before(cells, run[k, _U(0)])
        if count == 0:
            continue
        weight = np.int64(unit[m])
        slot = _slot(origin, delay[m], us[_U(1)], ring.size)
        is_ours = part == _U(us[_U(0)])
        for k in range(low, high):
            amount = weight * count
            if is_ours and own[k] >= 0:
                at = _before(cells, own[k])
                if at < cells.size and cells[_U(at)] == own[k]:
                    amount -= weight
            ring[slot + _U(post[k])] += amount


@njit(inline="always")
def _share(after, m, member, members):
    """The targets of m that are ours: from, to."""
    begin, length = _U(after[m]), _U(after[m + _U(1)] - after[m])
    return begin + length * member // members, begin + length * (member + _U(1)) // members


@njit(inline="always")
def _slot(origin, delay, n_post, size):
    """Where the slot of a delay begins in the ring."""
    slot = origin + _U(delay) * _U(n_post)
    return slot - _U(size) if slot >= _U(size) else slot


@njit
def _before(cells, cell):
    """How many of the cells, ascending, are smaller."""
    low, high = _U(0), _U(cells.size)
    while low < high:
        middle = (low + high) >> _U(1)
        if cells[middle] < cell:
            low = middle + _U(1)
        else:
            high = middle
    return np.int64(low)


@njit
def _add(ring, origin, listed, part, table, member, members):
    if table[0][_U(2)]:
        add_counts(ring, origin, listed, part, table, member, members)
    else:
        add_totals(ring, origin, listed, part, table, member, members)


_kernel = delivery("totals", through_ring(_add))


def delivery_kernel(form: str, ring: str) -> Any:
    """The kernel of a form of delivery from `Totals` or `Counts` (a Numba C function)."""
    whole, small = Buffer("int64", 1), Buffer("int32", 1)
    of_members = Buffer(ring, 1), whole, Buffer("int64", 2), Buffer("int32", 2), whole
    return _kernel(form, ring, (("table", (whole, whole, *of_members, small, small)),))
