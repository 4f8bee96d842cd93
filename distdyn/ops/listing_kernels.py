"""CPU kernels of listings, written in Numba: the bodies behind `ops.listing`."""

import numpy as np
from numba import njit

from distdyn.ops.cache import cached

kernel = cached(njit, nogil=True)


@kernel
def by_population(cell, count, first, bounds, ids):
    """First count, then write."""
    edges, at = np.zeros(bounds.size, np.int64), 0
    for n in count:
        k = 0
        for _ in range(n):
            while cell[at] >= bounds[k + 1]:
                k += 1
            edges[k + 1] += 1
            at += 1
    edges = np.cumsum(edges)
    step, id = np.empty(at, np.int64), np.empty(at, np.int64)
    place, at = edges.copy(), 0
    for s in range(count.size):
        k = 0
        for _ in range(count[s]):
            while cell[at] >= bounds[k + 1]:
                k += 1
            step[place[k]], id[place[k]] = first + s, ids[cell[at]]
            place[k] += 1
            at += 1
    return step, id, edges


@kernel
def is_sorted(step, id):
    """Whether the spikes are in the order of (step, id)."""
    for k in range(1, step.size):
        if step[k] < step[k - 1] or (step[k] == step[k - 1] and id[k] < id[k - 1]):
            return False
    return True


@kernel
def merge_two(step_a, id_a, step_b, id_b):
    """Two sorted parts as one."""
    n = step_a.size + step_b.size
    step, id = np.empty(n, np.int64), np.empty(n, np.int64)
    a, b = 0, 0
    for k in range(n):
        is_a = b == step_b.size or (
            a < step_a.size
            and (step_a[a] < step_b[b] or (step_a[a] == step_b[b] and id_a[a] <= id_b[b]))
        )
        if is_a:
            step[k], id[k] = step_a[a], id_a[a]
            a += 1
        else:
            step[k], id[k] = step_b[b], id_b[b]
            b += 1
    return step, id
