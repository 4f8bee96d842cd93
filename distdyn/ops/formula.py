"""The formula of synapses: what their rows are drawn from again, whenever a source spikes.

It stands in the place of a table of `Rows` and gives the same synapses, for it draws from the same
streams by the same code (`ops.draw`). What it holds grows with the blocks of the post end and the
rows of the pre end, not with the synapses. How many synapses a draw cell has is drawn again where
one random number gives it (FixedProb), and kept, in one or two bytes, where a tree of them does.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from distdyn.ops.rows import aligned_zeros

NEVER = 2**62  # steps

# The columns of `Formula.view`.
PROJECTION, START, STOP, STEP, ROW, KEPT, OWN = range(7)
VIEW_COLUMNS = 7

# The columns of `Formula.projection`.
KEY0, KEY1, MULTAPSES, KIND, CELL, END, WIDEST, N_TARGET, DELAY, THRESHOLD, N_DELAYS, GUIDE = range(
    12
)
KNOTS, UNIT, SYNAPSES = range(12, 15)
PROJECTION_COLUMNS = 15

# The columns of `Formula.cell`.
BLOCK, FIRST, LAST, LOCAL, STRIDE, CHANCE, CHANCE_LESS = range(7)
CELL_COLUMNS = 7

EVERY, TOSSED, COUNTED = range(3)  # kinds: all places; one random number; kept counts


class Formula(NamedTuple):
    """All synapses from one group of sources to one ring of arrivals, to be drawn.

    A spike of cell c of part q, in population s with bounds[q, s] <= c < bounds[q, s + 1], is of

        i = c - bounds[q, s],   id = owned[first[q, s] + i // block[s]] * block[s] + i % block[s]

    and has a row in each view[v], view_start[s] <= v < view_start[s + 1], that names the id.

    Attributes:
        bounds: int64[n_parts, n_populations + 1]; as in `Rows`.
        block: int64[n_populations]; how many consecutive neurons are dealt together.
        first: int64[n_parts, n_populations]; where the blocks of each part begin in `owned`.
        owned: int32[n_blocks]; the numbers of the blocks, ascending for each part and population.
        view_start: int64[n_populations + 1]; where the views of each population begin.
        view: int64[n_views, 7]; a piece start:stop:step of a population in the pre end of a
            projection: its number, start, stop, step, the row of its first neuron, and where its
            counts and its own places begin (-1 where there are none).
        projection: int64[n_projections, 15]; key, whether targets repeat, how counts are made, the
            cells of a row, the widest block, the length of a slot of the ring, the shortest delay,
            thresholds of the others and their guide, knots of weights (-1: constant), the unit of
            weight in the accumulator's integers, and how many synapses there are in all.
        cell: int64[n_cells, 7]; the blocks of a post end that the part owns: number, first place
            and the one after the last, the place in the ring of the first, from one to the next,
            and the rows of `chance` for a block that is whole and for one that lacks a neuron.
        own: int32; the place in the post end of each row's own neuron, which is excluded, or -1.
        counts: uint8 or uint16; row by row, how many synapses each of its cells has.
        chance: uint64[n, longest]; thresholds of numbers of synapses (`values.Binomials`).
        chance_length: int64[n]; how many thresholds each has.
        threshold: uint64; thresholds of delays (`values.Delays`).
        guide: int32[n, 4096]; their guides.
        knots: int32[3 n, 1025]; of weights (`values.Weights`).
    """

    bounds: Any  # NumPy's arrays while it is built, JAX's afterwards
    block: Any
    first: Any
    owned: Any
    view_start: Any
    view: Any
    projection: Any
    cell: Any
    own: Any
    counts: Any
    chance: Any
    chance_length: Any
    threshold: Any
    guide: Any
    knots: Any


def synapse_count(formula: Formula) -> int:
    """How many synapses a formula gives."""
    return int(formula.projection[:, SYNAPSES].sum())


def nbytes(formula: Formula) -> tuple[int, int]:
    """The memory of the counts, and that of everything else."""
    counts = int(formula.counts.nbytes)
    return counts, sum(int(array.nbytes) for array in formula) - counts


def equalize(
    formulas: Sequence[Formula], alike: Callable[[np.ndarray], np.ndarray] = lambda lengths: lengths
) -> list[Formula]:
    """The formulas of several parts with equal shapes: cells and counts that no row has at the end.

    `alike` is as for tables of rows.
    """
    lengths = np.array([[len(formula.cell), len(formula.counts)] for formula in formulas])
    cells, counts = alike(lengths.max(axis=0)).tolist()

    def longer(array: np.ndarray, n: int) -> np.ndarray:
        if len(array) == n:
            return array
        new = aligned_zeros((n, *array.shape[1:]), array.dtype)
        new[: len(array)] = array
        return new

    return [
        f._replace(cell=longer(f.cell, cells), counts=longer(f.counts, counts)) for f in formulas
    ]


def reaching(formula: Formula) -> list[np.ndarray]:
    """Of each part, which of its cells have a row here, be it empty: one bool array per part."""
    return [
        np.concatenate(
            [
                np.zeros(0, bool),
                *(_named(formula, part, s) for s in range(len(formula.block))),
            ]
        )
        for part in range(len(formula.bounds))
    ]


def shortest(formula: Formula) -> np.ndarray:
    """int64[n_parts]: the shortest delay that a row of each part's cells may have, or NEVER."""
    found = np.full(len(formula.bounds), NEVER)
    for part in range(len(found)):
        for s in range(len(formula.block)):
            ids = _ids(formula, part, s)
            for view in _views(formula, s):
                if _names(view, ids).any():
                    found[part] = min(found[part], formula.projection[view[PROJECTION], DELAY])
    return found


def _named(formula: Formula, part: int, population: int) -> np.ndarray:
    ids = _ids(formula, part, population)
    named = np.zeros(len(ids), bool)
    for view in _views(formula, population):
        named |= _names(view, ids)
    return named


def _ids(formula: Formula, part: int, population: int) -> np.ndarray:
    """The neurons of a population that a part owns, as its cells have them."""
    low, high = formula.bounds[part, population : population + 2]
    size, start = formula.block[population], formula.first[part, population]
    blocks = formula.owned[start : start + -(-(high - low) // size)].astype(np.int64)
    return (blocks[:, None] * size + np.arange(size)).ravel()[: high - low]


def _views(formula: Formula, population: int) -> np.ndarray:
    """The views of a population whose projections have targets here."""
    views = formula.view[formula.view_start[population] : formula.view_start[population + 1]]
    of = formula.projection[views[:, PROJECTION]]
    return views[of[:, CELL] < of[:, END]]


def _names(view: np.ndarray, ids: np.ndarray) -> np.ndarray:
    within = ids - view[START]
    return (within >= 0) & (ids < view[STOP]) & (within % view[STEP] == 0)
