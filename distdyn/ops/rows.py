"""The table of synapses that delivery reads: source-major rows, sorted by delay.

A spike of source i reads the consecutive segments `segments[i]:segments[i + 1]`, one for each
projection and pre cell, and each segment its consecutive synapses. A synapse is one word `offset`,
the place of its target in the ring counted from the slot of the spike's own step, and one weight.
"""

from typing import Any, NamedTuple

import numpy as np

ALIGNMENT = 64  # bytes; what XLA asks of a host buffer that it takes without a copy


class Rows(NamedTuple):
    """All synapses from one group of sources to one ring of arrivals.

    ring_flat[(base + offset) mod (slots * n_target)] += weight * unit   for each synapse

    Attributes:
        segments: int64[n_source + 1]; segments of source i are `segments[i]:segments[i + 1]`.
        start: int64[n_segments + 1]; synapses of segment k are `start[k]:start[k + 1]`.
        unit: int32 or int64[n_segments]; one unit of weight in the accumulator's integers.
        offset: uint32 or uint64[capacity]; delay (steps) * n_target + target; ascending in delay
            inside a segment. Entries from `start[-1]` on are padding and zero.
        weight: int16 or int32[capacity], or empty where a synapse contributes its `unit` alone.
    """

    segments: Any  # NumPy's arrays while it is built, JAX's afterwards
    start: Any
    unit: Any
    offset: Any
    weight: Any


def aligned_empty(shape: int | tuple[int, ...], dtype: np.dtype | type) -> np.ndarray:
    """An uninitialised array whose data start at a multiple of 64 bytes; its pages are lazy."""
    dtype = np.dtype(dtype)
    size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    memory = np.empty(size + ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % ALIGNMENT
    return memory[start : start + size].view(dtype).reshape(shape)
