"""CPU kernels of all-to-all couplings, written in Numba: the bodies behind `ops.totals`.

Members of a team differ in their targets; each makes all sums.
"""

# Numba compiles what its intrinsics are called with, and is typed loosely:
# pyright: reportPrivateImportUsage=false, reportCallIssue=false, reportAttributeAccessIssue=false

import functools
from typing import Any

import numpy as np
from numba import carray, njit

from distdyn.ops.coupled_kernels import value_of
from distdyn.ops.exchange_kernels import ALL_BOXES, OURS_THEN_OTHERS, delivery, through_ring
from distdyn.ops.kernels import compiled

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


def _kinds(ring: str) -> list[str]:
    """The dtypes of a table's arrays."""
    whole = "int64"
    return [whole, whole, ring, whole, whole, "int32", whole, "int32", "int32"]


@njit
def _arrays(
    us, us_shape, sizes, sizes_shape, unit, unit_shape, delay, delay_shape, start, start_shape,
    run, run_shape, after, after_shape, post, post_shape, own, own_shape,
):  # fmt: skip
    """The arrays of a table, in the order of `Totals`, from the buffers of a handler."""
    return (
        carray(us, (us_shape[0],)),
        carray(sizes, (sizes_shape[0],)),
        carray(unit, (unit_shape[0],)),
        carray(delay, (delay_shape[0],)),
        carray(start, (start_shape[0], start_shape[1])),
        carray(run, (run_shape[0], run_shape[1])),
        carray(after, (after_shape[0],)),
        carray(post, (post_shape[0],)),
        carray(own, (own_shape[0],)),
    )


@njit
def _add(ring, origin, listed, part, table, member, members):
    if table[0][_U(2)]:
        add_counts(ring, origin, listed, part, table, member, members)
    else:
        add_totals(ring, origin, listed, part, table, member, members)


_ours_then_others, _all_boxes = delivery(*through_ring(_add))


def _deliver(
    _team, _0, events, _1, cursor, _2, count, _3, stamp, _4, part, _5,
    us, us_shape, sizes, sizes_shape, unit, unit_shape, delay, delay_shape, start, start_shape,
    run, run_shape, after, after_shape, post, post_shape, own, own_shape,
    _ring_in, _6, ring, ring_shape, member, members, _tally,
):  # fmt: skip
    table = _arrays(
        us, us_shape, sizes, sizes_shape, unit, unit_shape, delay, delay_shape,
        start, start_shape, run, run_shape, after, after_shape, post, post_shape,
        own, own_shape,
    )  # fmt: skip
    flat = carray(ring, (ring_shape[0] * ring_shape[1],))
    listed = carray(events, (cursor[0] + count[0],))[cursor[0] :]
    origin = _U((stamp[0] % ring_shape[0]) * ring_shape[1])
    if listed.size:
        _add(flat, origin, listed, _U(part[0]), table, _U(member), _U(members))


def _deliver_all(
    _team, _0, place, _1, group, _2, before, _3, events, _4, cursor, _5, count, _6, stamp, _7,
    part, _8,
    us, us_shape, sizes, sizes_shape, unit, unit_shape, delay, delay_shape, start, start_shape,
    run, run_shape, after, after_shape, post, post_shape, own, own_shape,
    _ring_in, _9, ring, ring_shape, token, _10, member, members, _tally,
):  # fmt: skip
    table = _arrays(
        us, us_shape, sizes, sizes_shape, unit, unit_shape, delay, delay_shape,
        start, start_shape, run, run_shape, after, after_shape, post, post_shape,
        own, own_shape,
    )  # fmt: skip
    _ours_then_others(
        table, place, group, before, events, cursor, count, stamp, part, ring, ring_shape,
        token, _U(member), _U(members),
    )  # fmt: skip


def _deliver_boxes(
    _team, _0, place, _1, group, _2,
    us, us_shape, sizes, sizes_shape, unit, unit_shape, delay, delay_shape, start, start_shape,
    run, run_shape, after, after_shape, post, post_shape, own, own_shape,
    _ring_in, _3, ring, ring_shape, member, members, _tally,
):  # fmt: skip
    table = _arrays(
        us, us_shape, sizes, sizes_shape, unit, unit_shape, delay, delay_shape,
        start, start_shape, run, run_shape, after, after_shape, post, post_shape,
        own, own_shape,
    )  # fmt: skip
    _all_boxes(table, place, group, 0, ring, ring_shape, _U(member), _U(members))


@functools.cache
def deliver_kernel(ring: str) -> Any:
    """The kernel of `deliver` (a Numba C function)."""
    own = ["int64", "int32", "int64", "int32", "int64", "int64"]
    return compiled(_deliver, (*own, *_kinds(ring), ring, ring))


@functools.cache
def deliver_all_kernel(ring: str) -> Any:
    """The kernel of `deliver_all` (a Numba C function)."""
    return compiled(_deliver_all, (*OURS_THEN_OTHERS, *_kinds(ring), ring, ring, "int64"))


@functools.cache
def deliver_boxes_kernel(ring: str) -> Any:
    """The kernel of `deliver_boxes` (a Numba C function)."""
    return compiled(_deliver_boxes, (*ALL_BOXES, *_kinds(ring), ring, ring))
