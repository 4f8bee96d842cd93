"""How the synapses of one projection are counted and written: tasks for any number of threads.

Every draw is keyed, and no two tasks write to one place, so their order changes nothing.
"""

from collections.abc import Callable, Iterator
from functools import partial
from threading import Lock
from typing import Any, NamedTuple

import numpy as np

from distdyn.errors import DelayError, NetworkError, RuleError, WeightError
from distdyn.network.distributions import Distribution
from distdyn.network.ends import Ends
from distdyn.network.rule import (
    AbstractCellRule,
    AbstractPairRule,
    Cells,
    Listing,
    Rule,
    asked,
)
from distdyn.network.rules import Edges
from distdyn.ops.rows import Rows
from distdyn.ops.values import (
    NO_KNOTS,
    Delays,
    check_significance,
    constant_delay,
    drawn_delays,
    drawn_weights,
)
from distdyn.random import stream_key

Task = Callable[[], None]

TASK_ROWS = 4096
TASK_COUNTS = 1 << 22  # counts of cells that one task holds, 8 bytes each
TASK_PAIRS = 1 << 18  # listed pairs that one task holds, 8 bytes each
CURSORS = 1 << 23  # places kept for one projection that lists pairs, 8 bytes each
NOTHING = np.zeros(0, np.int64)
NO_WEIGHTS = np.zeros(0, np.int32)


class ProjectionRows(NamedTuple):
    """One projection as seen by one table.

    Attributes:
        path: the projection's path, which keys its draws.
        rule: who connects to whom.
        ends: the two ends.
        weight: a number, a distribution or floats over the edges, in physical units; or integers
            over the edges, in the accumulator's units.
        delay: steps, a distribution in ms, or steps over the edges.
        pre_local: int[n_pre]; the source in the table of each neuron of the pre end; -1 for those
            that the table is not asked for.
        post_local: int[n_post]; the place in the ring of each neuron of the post end; anything in
            blocks that are not asked for.
        blocks: the blocks of the post end that are asked for; None: all.
    """

    path: str
    rule: Rule
    ends: Ends
    weight: float | np.ndarray | Distribution
    delay: int | np.ndarray | Distribution
    pre_local: np.ndarray
    post_local: np.ndarray
    blocks: np.ndarray | None = None


class Values(NamedTuple):
    """How the synapses of a projection get their delays and weights; empty arrays: not so."""

    delays: Delays
    given_delay: np.ndarray
    knots: np.ndarray
    given_weight: np.ndarray
    unit: int

    @property
    def longest(self) -> int:
        """The longest delay, in steps."""
        return int(self.given_delay.max(initial=self.delays.last))


class CellDrawing(NamedTuple):
    """A projection whose rows are drawn one by one, each straight to its place."""

    rule: AbstractCellRule
    cells: Cells
    blocks: np.ndarray
    values: Values
    segments: np.ndarray  # of each neuron of the pre end, or -1
    post_local: np.ndarray
    n_target: int
    capacity: int

    def tasks(self) -> Iterator[tuple[int, int]]:
        """The first row of each task, and the row after its last."""
        step = min(TASK_ROWS, TASK_COUNTS // max(1, len(self.blocks)))
        step = 8 * (step // 8 | 1)  # counts[:, r] lies in different sets of the cache
        rows = np.flatnonzero(self.segments >= 0)
        for run in np.split(rows, np.flatnonzero(np.diff(rows) != 1) + 1):
            for i in range(0, len(run), step):
                yield int(run[i]), int(run[min(i + step, len(run)) - 1]) + 1

    def count(self, n_synapses: np.ndarray) -> Iterator[Task]:
        """Tasks that count the synapses of each segment."""
        is_whole = len(self.blocks) == len(self.cells.block_start) - 1
        if is_whole and self.rule.row_total is not None:
            n_synapses[self.segments[self.segments >= 0]] = self.rule.row_total
            return iter(())

        def task(first: int, last: int) -> None:
            counts = self.rule.counts(self.cells, first, last, self.blocks)
            n_synapses[self.segments[first:last]] = counts.sum(axis=0)

        return (partial(task, *rows) for rows in self.tasks())

    def fill(self, table: Rows) -> Iterator[Task]:
        """Tasks that draw the synapses and write them to the table."""
        from distdyn.ops import draw

        def task(first: int, last: int) -> None:
            counts = self.rule.counts(self.cells, first, last, self.blocks)
            mine = self.segments[first:last]
            draw.fill_cells(
                self.cells.key, self.rule.multapses, first, self.cells.own[first:last],
                self.blocks, self.cells.block_start, counts, tuple(self.values.delays),
                self.values.knots, self.post_local, self.n_target,
                table.start[mine], table.start[mine + 1], table.offset, table.weight,
            )  # fmt: skip

        return (partial(task, *rows) for rows in self.tasks())

    def sort(self, table: Rows) -> Iterator[Task]:
        """Tasks that sort by delay what `fill` has left in another order."""
        return iter(())


class PairDrawing(NamedTuple):
    """A projection that lists pairs: counted by source, scattered to the sources, then sorted.

    The items are cut into groups, each with its own cursors; groups are consecutive, so that the
    order inside a segment is the order of the list however many there are.
    """

    rule: AbstractPairRule
    listing: Listing
    items: np.ndarray
    values: Values
    segments: np.ndarray
    post_local: np.ndarray
    n_target: int
    capacity: int
    cursors: np.ndarray  # int64[group, n_pre]: synapses per source, then where the next one goes

    def pairs(self, group: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Items (indices into `items`) and their sources, some at a time."""
        n, n_groups = len(self.items), len(self.cursors)
        step = max(1, TASK_PAIRS // max(1, self.rule.per_item))
        stop = n * (group + 1) // n_groups
        for first in range(n * group // n_groups, stop, step):
            items = self.items[first : min(first + step, stop)]
            yield items, self.rule.sources(self.listing, items)

    def count(self, n_synapses: np.ndarray) -> Iterator[Task]:
        """Tasks that count the synapses of each segment."""
        from distdyn.ops import draw

        def task(group: int) -> None:
            for _, sources in self.pairs(group):
                draw.count_sources(sources, self.cursors[group])
            here = np.flatnonzero(self.segments >= 0)
            with lock:
                n_synapses[self.segments[here]] += self.cursors[group, here]

        lock = Lock()
        return (partial(task, group) for group in range(len(self.cursors)))

    def fill(self, table: Rows) -> Iterator[Task]:
        """Tasks that draw the synapses and write them to the table."""
        from distdyn.ops import draw

        def task(group: int) -> None:
            values, cursor = self.values, self.cursors[group]
            for items, sources in self.pairs(group):
                target = self.post_local[self.rule.targets(items)]
                delay = values.given_delay[items] if values.given_delay.size else NOTHING
                weight = values.given_weight[items] if values.given_weight.size else NO_WEIGHTS
                draw.scatter_pairs(
                    self.listing.key, items, self.rule.per_item, sources, target,
                    tuple(values.delays), delay, values.knots, weight, self.n_target, cursor,
                    table.offset, table.weight,
                )  # fmt: skip

        before = np.cumsum(self.cursors, axis=0) - self.cursors
        np.add(before, table.start[self.segments], out=self.cursors)
        self.cursors[:, self.segments < 0] = -1
        return (partial(task, group) for group in range(len(self.cursors)))

    def sort(self, table: Rows) -> Iterator[Task]:
        """Tasks that sort by delay what `fill` has left in another order."""
        from distdyn.ops import draw

        for mine in np.array_split(self.segments[self.segments >= 0], len(self.cursors)):
            yield partial(
                draw.sort_segments, mine, table.start, self.n_target, table.offset, table.weight
            )


def drawing_of(
    part: ProjectionRows,
    segments: np.ndarray,
    n_target: int,
    *,
    seed: int,
    values: Values,
    groups: int,
) -> CellDrawing | PairDrawing:
    """A projection ready to be drawn into the segments of its pre neurons.

    Raises:
        RuleError: the rule cannot be satisfied.
    """
    ends, rule = part.ends, part.rule
    rule.check(ends.n_pre, ends.n_post, ends.n_self, part.path)
    low, high = stream_key(seed, "connectivity", part.path)
    key = np.uint64(low), np.uint64(high)
    block_start = ends.block_start()
    blocks = asked(part.blocks, len(block_start) - 1, "blocks")
    n_here = int((segments >= 0).sum()), int(np.diff(block_start)[blocks].sum())
    n_all = ends.n_pre, ends.n_post
    capacity = rule.bound(*n_all, ends.n_self, None if n_here == n_all else n_here)
    ring = _ring_places(part, block_start, blocks, n_target), n_target
    if isinstance(rule, AbstractCellRule):
        return CellDrawing(rule, rule.cells(ends, key), blocks, values, segments, *ring, capacity)
    assert isinstance(rule, AbstractPairRule)  # there is no third kind
    listing = rule.listing(ends, key)
    items = rule.items(ends, None if part.blocks is None else blocks)
    if not rule.is_drawn:  # then it can be said what is here
        items = items[segments[rule.sources(listing, items)] >= 0]
        capacity = len(items)
    cursors = np.zeros((max(1, min(groups, CURSORS // max(1, ends.n_pre))), ends.n_pre), np.int64)
    return PairDrawing(rule, listing, items, values, segments, *ring, capacity, cursors)


def values_of(
    part: ProjectionRows, dt: float, unit_scale: float, accumulator: type[np.signedinteger]
) -> Values:
    """The tables of a projection's delays and weights.

    Raises:
        DelayError: a delay is shorter than a step.
        WeightError: weights that the accumulator cannot hold, or not with 8 significant bits.
    """
    where = f'projection "{part.path}"'
    delays, given_delay = constant_delay(1), NOTHING
    if isinstance(part.delay, Distribution):
        delays = drawn_delays(part.delay, dt, f"{where}: delay")
    elif isinstance(part.delay, np.ndarray):
        given_delay = np.array(_over_edges(part, part.delay, "delay", "iu"), np.int64)
    else:
        delays = constant_delay(part.delay)
    if min(delays.first, given_delay.min(initial=1)) < 1:
        raise DelayError(f"{where}: a delay is shorter than one step. Use delay >= dt.")
    knots, given_weight, unit = NO_KNOTS, NO_WEIGHTS, 1
    if isinstance(part.weight, Distribution):
        knots, unit = drawn_weights(part.weight, unit_scale, f"{where}: weight")
    elif isinstance(part.weight, np.ndarray):
        weight = _over_edges(part, part.weight, "weight", "iuf")
        given_weight, unit = _given_weights(weight, unit_scale, where)
    else:
        unit = round(part.weight * unit_scale)
        check_significance(abs(part.weight) * unit_scale, f"{where}: weight = {part.weight:g}")
    if abs(unit) > np.iinfo(accumulator).max:
        raise WeightError(
            f"{where}: weight = {part.weight} is {unit:.3g} units of the receptor's accumulator, "
            f'beyond {np.dtype(accumulator)}. Use precision="float64".'
        )
    return Values(delays, given_delay, knots, given_weight, unit)


def _given_weights(weight: np.ndarray, unit_scale: float, where: str) -> tuple[np.ndarray, int]:
    """Weights over the edges as int32, and their unit: the smallest power of two that fits."""
    exact = weight * unit_scale if weight.dtype.kind == "f" else weight.astype(np.float64)
    largest, unit = float(np.abs(exact).max(initial=0.0)), 1
    check_significance(largest, f"{where}: weight")
    while largest / unit > np.iinfo(np.int32).max:
        unit *= 2
    return np.rint(exact / unit).astype(np.int32), unit


def _over_edges(part: ProjectionRows, array: np.ndarray, name: str, kinds: str) -> np.ndarray:
    n = len(part.rule.pre) if isinstance(part.rule, Edges) else None
    if array.shape != (n,) or array.dtype.kind not in kinds:
        raise RuleError(
            f'projection "{part.path}": {name} is an array of shape {array.shape} and type '
            f"{array.dtype}. Give numbers over the edges of Edges (delays in whole steps)."
        )
    return array


def _ring_places(
    part: ProjectionRows, block_start: np.ndarray, blocks: np.ndarray, n_target: int
) -> np.ndarray:
    """The places in the ring, 0 in blocks that are not asked for."""
    local = places(part.post_local)
    is_asked = np.zeros(len(block_start) - 1, bool)
    is_asked[blocks] = True
    if len(local) == part.ends.n_post:
        local = np.where(np.repeat(is_asked, np.diff(block_start)), local, 0)
    what = f'projection "{part.path}": post_local'
    check_places(local, part.ends.n_post, n_target, what, least=0)
    return local


def check_places(local: np.ndarray, n: int, limit: int, what: str, *, least: int) -> None:
    """Refuse places beyond the table: a kernel that writes there does not look."""
    if len(local) != n or local.min(initial=0) < least or local.max(initial=-1) >= limit:
        raise NetworkError(
            f"{what}: {len(local)} places from {local.min(initial=0)} to {local.max(initial=-1)} "
            f"for {n} neurons. Give one each, {least} <= place < {limit}."
        )


def places(local: Any) -> np.ndarray:
    """Places as int64: an array, or pieces (start, stop, step) one after the other."""
    if isinstance(local, np.ndarray):
        return np.ascontiguousarray(local, np.int64)
    return np.concatenate([np.zeros(0, np.int64), *(np.arange(*piece) for piece in local)])
