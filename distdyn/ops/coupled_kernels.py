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
from numba import njit, types
from numba.extending import intrinsic

from distdyn.ops.exchange_kernels import delivery, through_ring
from distdyn.ops.handler import Buffer, handler
from distdyn.ops.kernels import ones_in, row_buffers

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
        rows: the arrays of a table that is cut for the team (`row_buffers`).
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


@njit(inline="always")
def _emit(values, factor, bounds, cursor, events, count, member, members):
    at = _U(cursor[0])
    for population in range(_U(factor.size)):
        scale = factor[population]
        for cell in range(_U(bounds[population]), _U(bounds[population + _U(1)])):
            word = _bits_of(np.float64(values[cell]) * scale)
            events[at] = np.int32(np.uint32(word & _U(0xFFFFFFFF)))
            events[at + _U(1)] = np.int32(np.uint32(word >> _U(32)))
            at += _U(2)
    count[0] = np.int32(at - _U(cursor[0]))


@functools.cache
def emit_kernel(precision: str) -> Any:
    """The kernel of `emit` (a Numba C function)."""
    arguments = {
        "values": Buffer(precision, 1),
        "factor": Buffer("float64", 1),
        "bounds": Buffer("int64", 1),
        "cursor": Buffer("int64"),
    }
    list_ = Buffer("int32", 1)
    results = ("events", list_), ("count", Buffer("int32"))
    buffers = [("", Buffer("int64", 1)), *arguments.items(), ("", list_), *results]
    return handler("emit", _emit, buffers, [*arguments, "events", "count"])


_kernel = delivery("coupled", through_ring(add_values))


def delivery_kernel(form: str, ring: str, offset: str, weight: str) -> Any:
    """The kernel of a form of delivery from `Coupled` rows (a Numba C function)."""
    return _kernel(form, ring, (("rows", row_buffers(ring, offset, weight)),))
