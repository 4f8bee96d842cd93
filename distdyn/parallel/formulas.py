"""Build the formula by which delivery draws the rows of procedural projections again.

Nothing is drawn here but the numbers of synapses in the cells: their sum is reported, and where one
random number does not give them they are kept.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from distdyn.errors import NetworkError
from distdyn.network.ends import Ends
from distdyn.network.population import View
from distdyn.network.rule import Rule
from distdyn.network.rules import AllToAll, FixedProb
from distdyn.ops import formula as columns
from distdyn.ops.formula import Formula
from distdyn.ops.rows import aligned_empty
from distdyn.ops.values import GUIDE_BITS, NO_KNOTS, Binomials, binomials, is_tabulated
from distdyn.parallel.build import cores
from distdyn.parallel.drawing import TASK_COUNTS, TASK_ROWS, CellDrawing, drawing_of
from distdyn.parallel.projection_rows import ProjectionRows, values_of
from distdyn.parallel.shares import Shares


class Tally(NamedTuple):
    """The counts of the rows of one view, which are to be drawn."""

    drawing: CellDrawing
    first: int  # row
    last: int
    kept: np.ndarray  # [row, cell], or empty where they are not kept


def build_formula(
    parts: Sequence[ProjectionRows],
    shares: Shares,
    turns: np.ndarray,
    *,
    seed: int,
    dt: float,
    unit_scale: float,
    accumulator: type[np.signedinteger] = np.int32,
    threads: int | None = None,
) -> Formula:
    """The formula of these projections onto one part of the network.

    Args:
        parts: the projections, as for `build_table`, with rules that draw in cells.
        shares: who owns which of the sources.
        turns: int64[n_target]; of each place in a slot of the ring, whose turn it is among the
            members of a team: the same for all targets of one block.
        seed: of the simulation.
        dt: the time step, in ms.
        unit_scale: the accumulator's integers per physical unit of weight, a power of two.
        accumulator: the integers in which the ring sums.
        threads: how many to use; None: the cores that the process may use.

    Raises:
        NetworkError: a rule does not draw in cells; or a cell may have more than 65,535 synapses.
    """
    threads = threads or cores()
    dtype = count_type([(part.path, part.rule, part.ends) for part in parts])
    projection = np.zeros((len(parts), columns.PROJECTION_COLUMNS), np.int64)
    views: list[list[list[int]]] = [[] for _ in shares.block]
    pools, known = _Pools(), {}
    cells, own, tallies, n_cells, n_kept = [], [np.zeros(0, np.int32)], [], 0, 0
    for j, part in enumerate(parts):
        values = values_of(part, dt, unit_scale, accumulator, known)
        drawing = drawing_of(part, len(turns), seed=seed, values=values, groups=1, capacity=0)
        if not isinstance(drawing, CellDrawing):
            raise NetworkError(
                f'projection "{part.path}": {part.rule} does not draw row by row of the pre end. '
                'Use storage="stored".'
            )
        kind = kind_of(part.rule, part.ends)
        mine = _cells(drawing, part.ends, kind, pools)
        mine[:, columns.TURN] = turns[mine[:, columns.LOCAL]]
        _describe(projection[j], kind, drawing, n_cells, mine, pools)
        is_kept = kind == columns.COUNTED
        for population, view, row in _views_here(part, shares):
            last, at_own = row + view.size, -1
            if (drawing.cells.own >= 0).any():
                at_own = sum(map(len, own))
                own.append(drawing.cells.own[row:last].astype(np.int32))
            piece = [j, view.start, view.stop, view.step, row, n_kept if is_kept else -1, at_own]
            views[population].append(piece)
            tallies.append((j, drawing, row, last, n_kept, len(mine) if is_kept else 0))
            n_kept += view.size * len(mine) if is_kept else 0
        cells.append(mine)
        n_cells += len(mine)
    counts = aligned_empty(n_kept, dtype)
    with ThreadPoolExecutor(threads) as pool:
        for j, drawing, row, last, at, width in tallies:
            kept = counts[at : at + (last - row) * width].reshape(last - row, width)
            projection[j, columns.SYNAPSES] += _count(pool, Tally(drawing, row, last, kept))
    flat = [piece for of in views for piece in of]
    block, first, owned = _dealt(shares)
    return Formula(
        np.ascontiguousarray(shares.bounds, np.int64),
        block,
        first,
        owned,
        np.cumsum([0, *map(len, views)]).astype(np.int64),
        np.array(flat, np.int64).reshape(-1, columns.VIEW_COLUMNS),
        projection,
        np.concatenate([np.zeros((0, columns.CELL_COLUMNS), np.int64), *cells]),
        np.concatenate(own),
        counts,
        *pools.arrays(),
    )


def count_type(parts: Sequence[tuple[str, Rule, Ends]]) -> type[np.unsignedinteger]:
    """In how many bytes the counts of these paths, rules and ends are kept.

    Raises:
        NetworkError: not even two are enough.
    """
    most, worst = max(
        ((largest_count(rule, ends), path) for path, rule, ends in parts), default=(0, "")
    )
    if most > np.iinfo(np.uint16).max:
        raise NetworkError(
            f'projection "{worst}": a neuron may have {most} synapses onto one block of the '
            'post end, more than are counted in 16 bits. Use storage="stored".'
        )
    return np.uint8 if most <= np.iinfo(np.uint8).max else np.uint16


def largest_count(rule: Rule, ends: Ends) -> int:
    """The most synapses of a cell whose counts are kept, at 8 standard deviations; 0 if none is."""
    if not ends.n_pre or not ends.n_post or kind_of(rule, ends) != columns.COUNTED:
        return 0
    widest = int(np.diff(ends.block_start()).max())
    return rule.bound(ends, (1, widest))


def kind_of(rule: Rule, ends: Ends) -> int:
    """How delivery finds how many synapses a cell has."""
    if isinstance(rule, AllToAll):
        return columns.EVERY
    widest = int(np.diff(ends.block_start()).max(initial=0))
    if isinstance(rule, FixedProb) and is_tabulated(widest, rule.p):
        return columns.TOSSED
    return columns.COUNTED


def chances_of(rule: FixedProb, ends: Ends) -> Binomials:
    """The thresholds of the numbers of synapses in cells of all sizes that there are."""
    sizes = np.diff(ends.block_start())
    return binomials(np.union1d(sizes, sizes - 1), rule.p)


def _describe(
    row: np.ndarray, kind: int, drawing: CellDrawing, first: int, cells: np.ndarray,
    pools: "_Pools",
) -> None:  # fmt: skip
    """Write a projection's row; its synapses are not counted yet."""
    delays, knots = drawing.values.delays, drawing.values.knots
    row[[columns.KEY0, columns.KEY1]] = drawing.cells.key
    row[columns.MULTAPSES] = drawing.rule.multapses
    row[columns.KIND] = kind
    row[columns.CELL], row[columns.END] = first, first + len(cells)
    row[columns.WIDEST] = np.diff(drawing.cells.block_start).max(initial=0)
    row[columns.N_TARGET] = drawing.n_target
    row[columns.DELAY], row[columns.N_DELAYS] = delays.first, len(delays.threshold)
    row[columns.THRESHOLD] = pools.threshold.put(delays.threshold)
    row[columns.GUIDE] = pools.guide.put(delays.guide[None])
    row[columns.KNOTS] = pools.knots.put(knots) if len(knots) else -1
    row[columns.UNIT] = drawing.values.unit


def _cells(drawing: CellDrawing, ends: Ends, kind: int, pools: "_Pools") -> np.ndarray:
    """The cells of a row: the part's blocks of the post end."""
    start, blocks = drawing.cells.block_start, drawing.blocks
    begin, end = start[blocks], start[blocks + 1]
    cells = np.zeros((len(blocks), columns.CELL_COLUMNS), np.int64)
    local = drawing.post_local[begin] if len(blocks) else begin
    second = drawing.post_local[np.minimum(begin + 1, end - 1)] if len(blocks) else begin
    cells[:, columns.BLOCK], cells[:, columns.FIRST], cells[:, columns.LAST] = blocks, begin, end
    cells[:, columns.LOCAL], cells[:, columns.STRIDE] = local, second - local
    if kind == columns.TOSSED and isinstance(drawing.rule, FixedProb):
        table = chances_of(drawing.rule, ends)
        at = pools.put_chances(table.threshold, table.length)
        row = np.where(table.row >= 0, table.row + at, pools.never)
        cells[:, columns.CHANCE] = row[end - begin]
        cells[:, columns.CHANCE_LESS] = row[end - begin - 1]
    return cells


def _views_here(part: ProjectionRows, shares: Shares) -> list[tuple[int, View, int]]:
    """The views of a pre end that are of populations of the group, and their first rows."""
    found, row = [], 0
    for view in part.ends.pre:
        for k, population in enumerate(shares.group.populations):
            if population is view.population and view.size:
                found.append((k, view, row))
        row += view.size
    return found


def _dealt(shares: Shares) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The blocks of each part and population: neurons per block, where a list begins, the lists."""
    parts = len(shares.bounds)
    first, owned, at = np.zeros((parts, len(shares.block)), np.int64), [np.zeros(0, np.int32)], 0
    for k, owner in enumerate(shares.block_part):
        owned.append(np.argsort(owner, kind="stable").astype(np.int32))
        first[:, k] = at + np.searchsorted(np.sort(owner), np.arange(parts))
        at += len(owner)
    return np.array(shares.block, np.int64), first, np.concatenate(owned)


def _count(pool: ThreadPoolExecutor, tally: Tally) -> int:
    """Count the synapses of a view, and keep the counts of its cells."""
    drawing, begin, end, kept = tally
    step = max(1, min(TASK_ROWS, TASK_COUNTS // max(1, len(drawing.blocks))))

    def count(first: int) -> int:
        last = min(first + step, end)
        counts = drawing.rule.counts(drawing.cells, first, last, drawing.blocks)
        if kept.size:
            most = np.iinfo(kept.dtype).max
            if counts.max(initial=0) > most:
                raise NetworkError(
                    f"{drawing.rule}: {counts.max()} synapses were drawn in one cell, but {most} "
                    "are mean + 8 standard deviations. Report this seed."
                )
            kept[first - begin : last - begin] = counts.T
        return int(counts.sum())

    return sum(pool.map(count, range(begin, end, step)))


class _Pool:
    """Arrays one after the other along the first axis; equal ones are there once."""

    def __init__(self) -> None:
        self.arrays: list[np.ndarray] = []
        self.known: dict[bytes, int] = {}
        self.size = 0

    def put(self, array: np.ndarray) -> int:
        """Where the array begins."""
        key = array.tobytes()
        if key not in self.known:
            self.known[key] = self.size
            self.arrays.append(array)
            self.size += len(array)
        return self.known[key]


class _Pools:
    """The tables that projections share."""

    def __init__(self) -> None:
        self.threshold, self.guide, self.knots = _Pool(), _Pool(), _Pool()
        self.chances: dict[bytes, int] = {}
        self.tables: list[tuple[np.ndarray, np.ndarray]] = []
        self.size = 0
        self.never = self.put_chances(np.full((1, 1), 2**64 - 1, np.uint64), np.ones(1, np.int64))

    def put_chances(self, threshold: np.ndarray, length: np.ndarray) -> int:
        """Where the rows of these thresholds begin."""
        key = threshold.tobytes()
        if key not in self.chances:
            self.chances[key] = self.size
            self.tables.append((threshold, length))
            self.size += len(length)
        return self.chances[key]

    def arrays(self) -> tuple[np.ndarray, ...]:
        """chance, chance_length, threshold, guide, knots."""
        chance = np.zeros((self.size, max(t.shape[1] for t, _ in self.tables)), np.uint64)
        at = 0
        for threshold, _ in self.tables:
            chance[at : at + len(threshold), : threshold.shape[1]] = threshold
            at += len(threshold)
        return (
            chance,
            np.concatenate([length for _, length in self.tables]),
            np.concatenate([np.zeros(0, np.uint64), *self.threshold.arrays]),
            np.concatenate([np.zeros((0, 1 << GUIDE_BITS), np.int32), *self.guide.arrays]),
            np.concatenate([NO_KNOTS, *self.knots.arrays]),
        )
