"""CPU kernels written in Numba: the body behind `deliver` on CPU.

A kernel takes a pointer and a shape for every buffer, as `ffi` describes, arguments first.
Indices are unsigned: a signed index makes Numba test for wrap-around.
"""

import functools
from typing import Any

import numpy as np
from llvmlite import ir
from numba import carray, cfunc, njit, types
from numba.core import cgutils
from numba.extending import intrinsic

LOOKAHEAD = 48  # synapses between asking for a line of the ring and adding to it: hides L3 latency


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
    place = base + np.int64(offset)
    return np.uint64(place - size if place >= size else place)


@njit
def _spread(ring, base, sources, segments, start, unit, offset, weight):
    size, last = ring.size, offset.size - 1
    has_weight = weight.size > 0
    for source in sources:
        for segment in range(segments[source], segments[source + 1]):
            scale = unit[segment]
            begin, end = start[segment], start[segment + 1]
            if has_weight:
                for synapse in range(np.uint64(begin), np.uint64(end)):
                    _prefetch(ring, _place(base, offset[min(synapse + LOOKAHEAD, last)], size))
                    ring[_place(base, offset[synapse], size)] += weight[synapse] * scale
            else:
                for synapse in range(np.uint64(begin), np.uint64(end)):
                    _prefetch(ring, _place(base, offset[min(synapse + LOOKAHEAD, last)], size))
                    ring[_place(base, offset[synapse], size)] += scale


@functools.cache
def deliver_kernel(accumulator: str, offset: str, weight: str) -> Any:
    """The delivery kernel for these dtypes (a Numba C function); its buffers are `deliver`'s."""
    ring_type, offset_type, weight_type = (
        getattr(types, name) for name in (accumulator, offset, weight)
    )
    data = [types.int32, types.int64, types.int32, types.int64, types.int64, types.int64]
    data += [ring_type, offset_type, weight_type, ring_type, ring_type]
    shape = types.CPointer(types.int64)
    signature = types.void(*(p for kind in data for p in (types.CPointer(kind), shape)))
    return cfunc(signature, cache=True)(_deliver)


def _deliver(
    events, events_shape, cursor, _0, count, _1, base, _2,
    segments, segments_shape, start, start_shape, unit, unit_shape,
    offset, offset_shape, weight, weight_shape, _ring_in, _3, ring, ring_shape,
):  # fmt: skip
    sources = carray(events, (events_shape[0],))[cursor[0] : cursor[0] + count[0]]
    _spread(
        carray(ring, (ring_shape[0] * ring_shape[1],)),
        base[0],
        sources,
        carray(segments, (segments_shape[0],)),
        carray(start, (start_shape[0],)),
        carray(unit, (unit_shape[0],)),
        carray(offset, (offset_shape[0],)),
        carray(weight, (weight_shape[0],)),
    )
