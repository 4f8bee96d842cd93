"""CPU kernels written in Numba: the body behind `deliver` on CPU.

A kernel takes a pointer and a shape for every buffer, as `ffi` describes, arguments first. Indices
are uint64 throughout: a signed index makes Numba test for wrap-around.

Shares of a delivery differ in their targets. A table is cut for a team by thresholds on the offset,
the same for all segments; member k adds the synapses between thresholds k and k + 1, and no place
of the ring belongs to two members. Sums are of integers: the cut changes nothing in the result.
"""

# Numba compiles what its intrinsics are called with, and is typed loosely:
# pyright: reportPrivateImportUsage=false, reportCallIssue=false, reportAttributeAccessIssue=false

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import carray, cfunc, njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from distdyn.ops.rows import Rows, aligned_empty

_U = np.uint64
LOOKAHEAD = _U(48)  # synapses between asking for a line of the ring and adding to it: L3 latency
SAMPLES = 1 << 16  # offsets, evenly spaced in the table, that decide the thresholds


@intrinsic
def _prefetch(context, array, index):
    """Ask for the cache line of array[index], to be written soon; never faults."""

    def generate(context, builder, signature, arguments):
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        byte, word = ir.IntType(8).as_pointer(), ir.IntType(32)
        place = builder.bitcast(builder.gep(data, [arguments[1]]), byte)
        kind = ir.FunctionType(ir.VoidType(), [byte, word, word, word])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        builder.call(function, [place, word(1), word(3), word(1)])  # write, keep, data
        return context.get_dummy_value()

    return types.void(array, index), generate


@njit(inline="always")
def _place(base, offset, size):
    """The place in the flat ring, which is a circle."""
    place = base + _U(offset)
    return place - size if place >= size else place


@njit
def _spread(ring, base, sources, segments, start, unit, offset, weight, member, members):
    """Add one member's synapses, of segment j those from start[j * members + member] on."""
    size, last = _U(ring.size), _U(offset.size) - _U(1)
    has_weight = weight.size > 0
    for index in range(_U(sources.size)):
        source = _U(sources[index])
        for segment in range(_U(segments[source]), _U(segments[source + _U(1)])):
            scale = unit[segment]
            cut = segment * members + member
            begin, end = _U(start[cut]), _U(start[cut + _U(1)])
            for synapse in range(begin, end):
                ahead = min(synapse + LOOKAHEAD, last)
                _prefetch(ring, _place(base, offset[ahead], size))
                amount = weight[synapse] * scale if has_weight else scale
                ring[_place(base, offset[synapse], size)] += amount


def _cached(decorate: Callable[..., Any], *arguments: Any) -> Callable[[Any], Any]:
    def decorated(function: Any) -> Any:
        try:
            return decorate(*arguments, cache=True)(function)
        except RuntimeError:  # no place to keep compiled code: read-only package and home
            return decorate(*arguments)(function)

    return decorated


@functools.cache
def deliver_kernel(accumulator: str, offset: str, weight: str) -> Any:
    """The delivery kernel for these dtypes (a Numba C function); its buffers are `deliver`'s."""
    ring_type, offset_type, weight_type = (
        getattr(types, name) for name in (accumulator, offset, weight)
    )
    data = [types.int64, types.int32, types.int64, types.int32, types.int64, types.int64]
    data += [types.int64, ring_type, offset_type, weight_type, ring_type, ring_type]
    shape = types.CPointer(types.int64)
    buffers = [p for kind in data for p in (types.CPointer(kind), shape)]
    signature = types.void(*buffers, types.int64, types.int64, shape)
    return _cached(cfunc, signature)(_deliver)


def _deliver(
    _team, _0, events, _1, cursor, _2, count, _3, base, _4,
    segments, segments_shape, start, start_shape, unit, unit_shape,
    offset, offset_shape, weight, weight_shape, _ring_in, _5, ring, ring_shape,
    member, members, _tally,
):  # fmt: skip
    _spread(
        carray(ring, (ring_shape[0] * ring_shape[1],)),
        _U(base[0]),
        carray(events, (cursor[0] + count[0],))[cursor[0] :],
        carray(segments, (segments_shape[0],)),
        carray(start, (start_shape[0],)),
        carray(unit, (unit_shape[0],)),
        carray(offset, (offset_shape[0],)),
        carray(weight, (weight_shape[0],)),
        _U(member),
        _U(members),
    )


def cut_rows(rows: Rows, n_target: int, members: int) -> Rows:
    """The same table with `start` cut for a team: int64[n_segments * members + 1].

    Member k delivers `start[members * j + k] : start[members * j + k + 1]` of segment j. The
    thresholds are quantiles of the offsets where all segments are sorted that finely, otherwise
    rounded to whole delays, by which segments are always sorted.
    """
    if members == 1:
        return rows
    start, offset = np.asarray(rows.start), np.asarray(rows.offset)
    n = int(start[-1])
    sample = offset[: n : max(1, n // SAMPLES)] if n else np.zeros(1, offset.dtype)
    shares = np.arange(1, members) / members
    thresholds = np.quantile(sample, shares, method="lower").astype(np.uint64)
    cut = aligned_empty((len(start) - 1) * members + 1, np.int64)
    if not _cut(start, offset, thresholds, cut):
        delays = (thresholds + np.uint64(n_target // 2)) // np.uint64(n_target)
        is_exact = _cut(start, offset, delays * np.uint64(n_target), cut)
        assert is_exact, "a segment is not sorted by delay"
    return rows._replace(start=cut)


@_cached(njit)
def _cut(start, offset, thresholds, cut):
    """Write the bounds; False if a threshold does not divide a segment in two."""
    members = thresholds.size + 1
    for segment in range(start.size - 1):
        at, end, low = start[segment], start[segment + 1], _U(0)
        for k in range(members):
            cut[segment * members + k] = at
            high = thresholds[k] if k + 1 < members else _U(1 << 63)
            while at < end and offset[at] < high:
                if offset[at] < low:
                    return False
                at += 1
            low = high
    cut[cut.size - 1] = start[start.size - 1]
    return True
