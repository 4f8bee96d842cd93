"""CPU kernels that deliver by a `Formula`: each row is drawn, and added to the ring at once.

The members of a team take the blocks of targets in turn, the same ones whatever the projection, so
no place of the ring belongs to two members. Sums are of integers: who adds what changes nothing in
the result.
"""

# Numba compiles what its intrinsics are called with, and is typed loosely:
# pyright: reportPrivateImportUsage=false, reportCallIssue=false, reportAttributeAccessIssue=false

from typing import Any

import numpy as np
from numba import njit

from distdyn.ops import draw
from distdyn.ops.exchange_kernels import delivery, through_ring
from distdyn.ops.formula import (
    BLOCK,
    CELL,
    CHANCE,
    CHANCE_LESS,
    COUNTED,
    DELAY,
    END,
    FIRST,
    GUIDE,
    KEPT,
    KEY0,
    KEY1,
    KIND,
    KNOTS,
    LAST,
    LOCAL,
    MULTAPSES,
    N_DELAYS,
    N_TARGET,
    OWN,
    PROJECTION,
    ROW,
    START,
    STEP,
    STOP,
    STRIDE,
    THRESHOLD,
    TOSSED,
    TURN,
    UNIT,
    WIDEST,
)  # fmt: skip
from distdyn.ops.handler import Buffer
from distdyn.ops.kernels import population_of, will_write

_U = np.uint64
BATCH = 2048  # synapses drawn at once: many to fill vectors, few enough for the L1 and L2 caches
LOOKAHEAD = 32  # synapses between asking for a line of the ring and adding to it

DTYPES = (
    "int64 int64 int64 int32 int64 int64 int64 int64 int32 {counts} "
    "uint64 int64 uint64 int32 int32"
)  # of the arrays of a formula
AXES = 2, 1, 2, 1, 1, 2, 2, 2, 1, 1, 2, 1, 1, 2, 2


@njit
def regenerate(ring, origin, cells, part, formula, member, members):
    """Add one member's synapses of the spikes of one part; `kernels.spread` for a formula."""
    bounds, block, first, owned, view_start, view, projection = formula[:7]
    if not cells.size or not formula[7].shape[0]:
        return
    scratch = _new_scratch(projection)
    low, high, population = np.int64(0), np.int64(0), _U(0)
    for index in range(cells.size):
        cell = np.int64(cells[index])
        if not low <= cell < high:
            population = population_of(bounds[part], cell)
            low, high = bounds[part, population], bounds[part, population + _U(1)]
        size = block[population]
        at = first[part, population] + (cell - low) // size
        id = np.int64(owned[at]) * size + (cell - low) % size
        for v in range(view_start[population], view_start[population + _U(1)]):
            within = id - view[v, START]
            if within >= 0 and id < view[v, STOP] and within % view[v, STEP] == 0:
                _draw_row(
                    ring, origin, v, within // view[v, STEP], formula, member, members, scratch
                )


@njit
def _new_scratch(projection):
    """What `draw` needs, and for each synapse or cell of a batch what `_add` needs."""
    most, most_cells = BATCH, 0
    for j in range(projection.shape[0]):
        most = max(most, projection[j, WIDEST])
        most_cells = max(most_cells, projection[j, END] - projection[j, CELL])
    return (
        draw.new_scratch((_U(0), _U(0)), most, BATCH, most),
        np.empty(BATCH, np.int64),  # the cell of a column
        np.empty((2, most_cells), np.int64),  # the cells of a row that are ours, their blocks
        np.empty(most_cells, np.uint64),  # the words of those whose counts are tossed
        np.empty(most, np.int64),  # the place of a synapse in the ring
        np.empty(most, np.int64),  # what it adds there
    )


@njit
def _draw_row(ring, origin, v, index, formula, member, members, scratch):
    """Draw and add one member's cells of the row that a view gives to its neuron `index`."""
    _, _, _, _, _, view, projection, cell, own, counts, chance, chance_length = formula[:12]
    drawing, which, ours, tossed, _, _ = scratch
    j, row = view[v, PROJECTION], view[v, ROW] + index
    key = _U(projection[j, KEY0]), _U(projection[j, KEY1])
    stream = drawing[6]
    stream[draw.KEY0], stream[draw.KEY1] = key
    kind, multapses = projection[j, KIND], projection[j, MULTAPSES] != 0
    begin, end = projection[j, CELL], projection[j, END]
    me = np.int64(own[view[v, OWN] + index]) if view[v, OWN] >= 0 else np.int64(-1)
    kept = view[v, KEPT] + index * (end - begin)
    n_ours = 0
    for c in range(begin, end):
        if members == 1 or cell[c, TURN] % members == member:
            ours[0, n_ours], ours[1, n_ours] = c, cell[c, BLOCK]
            n_ours += 1
    if kind == TOSSED:
        draw.toss_cells(key, row, ours[1], n_ours, tossed)
    n_cells, filled = 0, 0
    for i in range(n_ours):
        c = ours[0, i]
        start, stop = cell[c, FIRST], cell[c, LAST]
        lacks_one = start <= me < stop
        if kind == COUNTED:
            count = np.int64(counts[kept + c - begin])
        elif kind == TOSSED:
            table = cell[c, CHANCE_LESS] if lacks_one else cell[c, CHANCE]
            count = draw.tabulated(tossed[i], chance, table, chance_length[table])
        else:
            count = stop - start - (1 if lacks_one else 0)
        k = 0
        while count > 0:
            n = min(count, BATCH) if multapses else count
            if filled + n > BATCH and n_cells:
                _add(ring, origin, j, row, key, n_cells, formula, scratch)
                n_cells, filled = 0, 0
            draw.put_cell(drawing[0], n_cells, cell[c, BLOCK], start, stop, me, n, k)
            which[n_cells] = c
            n_cells, filled, k, count = n_cells + 1, filled + n, k + n, count - n
    if n_cells:
        _add(ring, origin, j, row, key, n_cells, formula, scratch)


@njit
def _add(ring, origin, j, row, key, n_cells, formula, scratch):
    """Draw the synapses of a batch of cells and add them to the ring."""
    projection, cell, threshold, guide, knots = formula[6], formula[7], *formula[12:15]
    drawing, which, _, _, place, amount = scratch
    cells, _, words, _, _, target, _ = drawing
    n_delays, at_knots = projection[j, N_DELAYS], projection[j, KNOTS]
    is_drawn = n_delays > 1 or at_knots >= 0
    multapses = projection[j, MULTAPSES] != 0
    n = draw.draw_cells(key, row, n_cells, multapses, is_drawn, is_drawn, drawing)
    size, n_target, unit = _U(ring.size), projection[j, N_TARGET], projection[j, UNIT]
    slot = origin + _U(projection[j, DELAY] * n_target)
    slot = slot - size if slot >= size else slot
    at = 0
    for column in range(n_cells):
        local, stride = cell[which[column], LOCAL], cell[which[column], STRIDE]
        end = at + cells[draw.N_SYNAPSES, column]
        if is_drawn:
            for i in range(at, end):
                place[i] = local + stride * target[i]
        else:
            for i in range(at, end):
                ring[slot + _U(local + stride * target[i])] += unit
        at = end
    if not is_drawn:
        return
    if n_delays > 1:
        of = threshold[projection[j, THRESHOLD] :]
        by = guide[projection[j, GUIDE]]
        draw.delay_indices(words[1], n, of, by, amount)
        for i in range(n):
            place[i] += amount[i] * n_target
    if at_knots >= 0:
        quantiles = knots[at_knots : at_knots + 3]
        for i in range(n):
            amount[i] = draw.weight_of(_U(words[0, i]), quantiles) * unit
    else:
        for i in range(n):
            amount[i] = unit
    for i in range(n):
        to = slot + _U(place[i])
        place[i] = np.int64(to - size if to >= size else to)
    for i in range(min(n, LOOKAHEAD)):
        will_write(ring, _U(place[i]))
    for i in range(n):
        will_write(ring, _U(place[min(i + LOOKAHEAD, n - 1)]))
        ring[_U(place[i])] += amount[i]


_kernel = delivery("formula", through_ring(regenerate))


def delivery_kernel(form: str, ring: str, counts: str) -> Any:
    """The kernel of a form of delivery by a `Formula` (a Numba C function)."""
    table = tuple(map(Buffer, DTYPES.format(counts=counts).split(), AXES))
    return _kernel(form, ring, (("formula", table),))
