"""CPU kernels of couplings, written in Numba: the bodies behind `ops.coupled`.

Shares of a delivery differ in their targets, as in `ops.kernels`; a member reads all values and
adds its own synapses of each.
"""

# Numba compiles what its intrinsics are called with, and is typed loosely:
# pyright: reportPrivateImportUsage=false, reportCallIssue=false, reportAttributeAccessIssue=false

import functools
from typing import Any

import numpy as np
from llvmlite import ir
from numba import carray, njit, types
from numba.extending import intrinsic

from distdyn.ops.exchange_kernels import ALL_BOXES, OURS_THEN_OTHERS, delivery, through_ring
from distdyn.ops.kernels import compiled, ones_in, row_arrays, row_kinds

_U = np.uint64


@intrinsic
def _float_of(context, word):
    """The float64 with these bits."""

    def generate(context, builder, signature, arguments):
        return builder.bitcast(arguments[0], ir.DoubleType())

    return types.float64(types.uint64), generate


@intrinsic
def _bits_of(context, value):
    """The bits of a float64."""

    def generate(context, builder, signature, arguments):
        return builder.bitcast(arguments[0], ir.IntType(64))

    return types.uint64(types.float64), generate


@njit(inline="always")
def value_of(words, cell):
    """The value of a cell in a list of values."""
    lower = _U(np.uint32(words[_U(2) * cell]))
    upper = _U(np.uint32(words[_U(2) * cell + _U(1)]))
    return _float_of(lower | (upper << _U(32)))


@njit
def add_values(ring, origin, words, part, rows, member, members):
    """Add one member's synapses of the values of one part.

    Args:
        ring: the arrivals, flat.
        origin: the place in it of the slot of the values' step.
        words: the values of all cells of the part, two words each.
        part: the part.
        rows: the arrays of a table that is cut for the team (`row_arrays`).
        member: which share is ours.
        members: of how many.
    """
    bounds, word, width, unit, bits, rank, base, start, offset, weight = rows
    if not offset.size:
        return
    size, has_weight = _U(ring.size), weight.size > 0
    is_last = _U(member + _U(1) == members)
    for population in range(_U(width.size)):
        first = word[part, population]
        if first < 0 or width[population] == 0:
            continue
        low, high = bounds[part, population], bounds[part, population + _U(1)]
        for cell in range(_U(low), _U(high)):
            within = cell - _U(low)
            at = _U(first) + (within >> _U(6))
            bit = _U(1) << (within & _U(63))
            here = bits[at]
            if not here & bit:
                continue
            value = value_of(words, cell)
            segment = _U(rank[at]) + _U(width[population]) * ones_in(here & (bit - _U(1)))
            for column in range(_U(width[population])):
                cut = segment * members + member
                begin = _U(base[segment >> _U(6)]) + _U(start[cut])
                end = _U(base[(segment + is_last) >> _U(6)]) + _U(start[cut + _U(1)])
                scale = np.float64(unit[population, column]) * value
                same = np.int64(np.rint(scale))
                for index in range(begin, end):
                    place = origin + _U(offset[index])
                    place = place - size if place >= size else place
                    if has_weight:
                        ring[place] += np.int64(np.rint(np.float64(weight[index]) * scale))
                    else:
                        ring[place] += same
                segment += _U(1)


@functools.cache
def emit_kernel(precision: str) -> Any:
    """The kernel of `emit` (a Numba C function)."""
    kinds = ["int64", precision, "float64", "int64", "int64", "int32", "int32", "int32"]
    return compiled(_emit, kinds)


def _emit(
    _team, _0, values, values_shape, factor, factor_shape, bounds, bounds_shape, cursor, _1,
    _events_in, _2, events, events_shape, count, _3, _member, _members, _tally,
):  # fmt: skip
    of, words = carray(values, (values_shape[0],)), carray(events, (events_shape[0],))
    edges, factors = carray(bounds, (bounds_shape[0],)), carray(factor, (factor_shape[0],))
    at = _U(cursor[0])
    for population in range(_U(factors.size)):
        scale = factors[population]
        for cell in range(_U(edges[population]), _U(edges[population + _U(1)])):
            word = _bits_of(np.float64(of[cell]) * scale)
            words[at] = np.int32(np.uint32(word & _U(0xFFFFFFFF)))
            words[at + _U(1)] = np.int32(np.uint32(word >> _U(32)))
            at += _U(2)
    count[0] = np.int32(at - _U(cursor[0]))


@functools.cache
def deliver_kernel(ring: str, offset: str, weight: str) -> Any:
    """The kernel of `deliver` for these dtypes (a Numba C function)."""
    own = ["int64", "int32", "int64", "int32", "int64", "int64"]
    return compiled(_deliver, (*own, *row_kinds(ring, offset, weight), ring, ring))


@functools.cache
def deliver_all_kernel(ring: str, offset: str, weight: str) -> Any:
    """The kernel of `deliver_all` for these dtypes (a Numba C function)."""
    rows = row_kinds(ring, offset, weight)
    return compiled(_deliver_all, (*OURS_THEN_OTHERS, *rows, ring, ring, "int64"))


@functools.cache
def deliver_boxes_kernel(ring: str, offset: str, weight: str) -> Any:
    """The kernel of `deliver_boxes` for these dtypes (a Numba C function)."""
    return compiled(_deliver_boxes, (*ALL_BOXES, *row_kinds(ring, offset, weight), ring, ring))


_ours_then_others, _all_boxes = delivery(*through_ring(add_values))


def _deliver(
    _team, _0, events, _1, cursor, _2, count, _3, stamp, _4, part, _5,
    bounds, bounds_shape, word, word_shape, width, width_shape, unit, unit_shape,
    bits, bits_shape, rank, rank_shape, base, base_shape, start, start_shape,
    offset, offset_shape, weight, weight_shape, _ring_in, _6, ring, ring_shape,
    member, members, _tally,
):  # fmt: skip
    rows = row_arrays(
        bounds, bounds_shape, word, word_shape, width, width_shape, unit, unit_shape,
        bits, bits_shape, rank, rank_shape, base, base_shape, start, start_shape,
        offset, offset_shape, weight, weight_shape,
    )  # fmt: skip
    flat = carray(ring, (ring_shape[0] * ring_shape[1],))
    words = carray(events, (cursor[0] + count[0],))[cursor[0] :]
    origin = _U((stamp[0] % ring_shape[0]) * ring_shape[1])
    if words.size:
        add_values(flat, origin, words, _U(part[0]), rows, _U(member), _U(members))


def _deliver_all(
    _team, _0, place, _1, group, _2, before, _3, events, _4, cursor, _5, count, _6, stamp, _7,
    part, _8,
    bounds, bounds_shape, word, word_shape, width, width_shape, unit, unit_shape,
    bits, bits_shape, rank, rank_shape, base, base_shape, start, start_shape,
    offset, offset_shape, weight, weight_shape, _ring_in, _9, ring, ring_shape, token, _10,
    member, members, _tally,
):  # fmt: skip
    rows = row_arrays(
        bounds, bounds_shape, word, word_shape, width, width_shape, unit, unit_shape,
        bits, bits_shape, rank, rank_shape, base, base_shape, start, start_shape,
        offset, offset_shape, weight, weight_shape,
    )  # fmt: skip
    _ours_then_others(
        rows, place, group, before, events, cursor, count, stamp, part, ring, ring_shape,
        token, _U(member), _U(members),
    )  # fmt: skip


def _deliver_boxes(
    _team, _0, place, _1, group, _2,
    bounds, bounds_shape, word, word_shape, width, width_shape, unit, unit_shape,
    bits, bits_shape, rank, rank_shape, base, base_shape, start, start_shape,
    offset, offset_shape, weight, weight_shape, _ring_in, _3, ring, ring_shape,
    member, members, _tally,
):  # fmt: skip
    rows = row_arrays(
        bounds, bounds_shape, word, word_shape, width, width_shape, unit, unit_shape,
        bits, bits_shape, rank, rank_shape, base, base_shape, start, start_shape,
        offset, offset_shape, weight, weight_shape,
    )  # fmt: skip
    _all_boxes(rows, place, group, 0, ring, ring_shape, _U(member), _U(members))
