"""Which cells reach a part: the bits in a table of synapses, written, read, and counted.

A *place* numbers the cells of a group of sources, part after part; in `ends` is where each
population of each part ends among the places, so that interval q * n_populations + s holds those of
population s of part q. Neurons of the pre end of a projection are given by their places, or -1 if
they are not in the group; they come in runs of consecutive places, of which each costs one search.
"""

import numpy as np

from distdyn.ops import formula, totals
from distdyn.ops.formula import NEVER as NEVER
from distdyn.ops.formula import Formula
from distdyn.ops.rows import Rows
from distdyn.ops.totals import Totals

NOWHERE = 2**32 - 1  # the segment of a neuron that has no synapse here
MOST_NAMED = 255  # times that one projection may name a neuron


def ends_of(bounds: np.ndarray) -> np.ndarray:
    """int64[n_parts * n_populations + 1]: where each interval begins and ends among the places."""
    before = np.cumsum(bounds[:, -1]) - bounds[:, -1]
    starts = (before[:, None] + bounds[:, :-1]).ravel()
    return np.append(starts, bounds[:, -1].sum())


def reaching(rows: Rows | Formula | Totals) -> list[np.ndarray]:
    """Of each part, which of its cells have synapses here: one bool array over its cells.

    For a formula, which may have some.
    """
    if isinstance(rows, Formula):
        return formula.reaching(rows)
    if isinstance(rows, Totals):
        return totals.reaching(rows)
    from distdyn.ops import reach_kernels

    ends = ends_of(rows.bounds)
    reached = np.zeros(ends[-1], bool)
    reach_kernels.unpack(ends, rows.word.ravel(), rows.bits, reached)
    return np.split(reached, np.cumsum(rows.bounds[:-1, -1]))


def shortest(rows: Rows | Formula | Totals, n_target: int) -> np.ndarray:
    """int64[n_parts]: the shortest delay from a cell of each part, in steps; NEVER if none is.

    For a formula, the shortest that may be drawn.
    """
    if isinstance(rows, Formula):
        return formula.shortest(rows)
    if isinstance(rows, Totals):
        return totals.shortest(rows)
    from distdyn.ops import reach_kernels

    found = np.full(len(rows.bounds), NEVER)
    arrays = rows.bounds, rows.word, rows.width, rows.bits, rows.rank
    reach_kernels.shortest(*arrays, rows.base, rows.start, rows.offset, n_target, found)
    return found


def synapses_of(
    rows: Rows, places: np.ndarray, first: np.ndarray, members: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """Where the synapses of each neuron of a projection's pre end are.

    Args:
        rows: the table.
        places: the place of each neuron of the whole pre end, -1 for those elsewhere.
        first: the projection's row of `Naming.first`.
        members: of the team for which the table has been cut.

    Returns:
        int64[n_pre], int64[n_pre]: those of neuron i are begin[i]:end[i]; none are 0:0.
    """
    from distdyn.ops import reach_kernels

    segment = np.empty(len(places), np.uint32)
    arrays = rows.word.ravel(), rows.width, rows.bits, rows.rank
    reach_kernels.find_segments(places, ends_of(rows.bounds), *arrays, first, segment)
    begin, end = np.empty(len(places), np.int64), np.empty(len(places), np.int64)
    reach_kernels.spans(segment, rows.start, rows.base, members, begin, end)
    return begin, end
