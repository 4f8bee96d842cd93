"""Build: from projections to the table of synapses that delivery reads.

Two passes over tasks of some thousand rows, on all cores of the process: the first counts the
synapses of each segment, the second draws them again and writes them to their final place. What is
held besides the table is a few rows. Every draw is keyed, so the threads change nothing.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Lock
from typing import Any, NamedTuple

import numpy as np

from distdyn.errors import DelayError, NetworkError, RuleError, WeightError
from distdyn.network.distributions import Distribution
from distdyn.network.ends import Ends
from distdyn.network.rules import (
    AbstractCellRule,
    AbstractPairRule,
    Cells,
    Edges,
    Listing,
    Rule,
    all_blocks,
)
from distdyn.ops.rows import Rows, aligned_empty
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

WEIGHT_TYPES = {"constant": np.int16, "drawn": np.int16, "given": np.int32}
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
        weight: a number or a distribution in physical units, or integers over the edges.
        delay: steps, a distribution in ms, or steps over the edges.
        pre_local: int[n_pre]; the source in the table of each neuron of the pre end.
        post_local: int[n_post]; the place in the ring of each neuron of the post end.
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


def storage_of(weight: float | np.ndarray | Distribution) -> str:
    """How weights are kept: "constant", "drawn" (int16) or "given" (int32); one kind per table."""
    if isinstance(weight, Distribution):
        return "drawn"
    return "given" if isinstance(weight, np.ndarray) and weight.ndim else "constant"


def longest_delay(delay: int | np.ndarray | Distribution, dt: float, where: str = "delay") -> int:
    """The longest delay, in steps, that a synapse can have: a function of the description."""
    if isinstance(delay, Distribution):
        return drawn_delays(delay, dt, where).last
    return int(np.max(delay, initial=1))


def build_table(
    parts: list[ProjectionRows],
    n_source: int,
    n_target: int,
    *,
    seed: int,
    dt: float,
    unit_scale: float,
    accumulator: type[np.signedinteger] = np.int32,
    threads: int | None = None,
) -> Rows:
    """Draw the synapses of these projections into one table.

    Args:
        parts: the projections, from one group of sources to one ring, all of one `storage_of`.
        n_source: how many sources the table has.
        n_target: the length of a slot of the ring.
        seed: of the simulation.
        dt: the time step, in ms.
        unit_scale: the accumulator's integers per physical unit of weight, a power of two.
        accumulator: the integers in which the ring sums.
        threads: how many to use; None: the cores that the process may use.

    Returns:
        The table. Its shapes are a function of the description and of the blocks asked for.
    """
    threads = threads or _cores()
    scale = unit_scale, accumulator
    segments, owned = _segments([_places(part.pre_local) for part in parts], n_source)
    drawings = [
        _drawing(part, mine, n_target, seed, dt, scale, max(1, threads))
        for part, mine in zip(parts, owned, strict=True)
    ]
    n_synapses = np.zeros(segments[-1], np.int64)
    with ThreadPoolExecutor(threads) as pool:
        _run(pool, [task for drawing in drawings for task in drawing.count(n_synapses)])
        table = _allocate(parts, drawings, segments, n_synapses, n_target, accumulator)
        _run(pool, [task for drawing in drawings for task in drawing.fill(table)])
        _run(pool, [task for drawing in drawings for task in drawing.sort(table)])
    return table


class _Values(NamedTuple):
    """How the synapses of a projection get their delays and weights; empty arrays: not so."""

    delays: Delays
    given_delay: np.ndarray
    knots: np.ndarray
    given_weight: np.ndarray
    unit: int

    @property
    def longest(self) -> int:
        return int(self.given_delay.max(initial=self.delays.last))


class _CellDrawing(NamedTuple):
    """A projection whose rows are drawn one by one, each straight to its place."""

    rule: AbstractCellRule
    cells: Cells
    blocks: np.ndarray
    values: _Values
    segments: np.ndarray  # of each neuron of the pre end
    post_local: np.ndarray
    n_target: int
    capacity: int

    def tasks(self) -> Iterator[tuple[int, int]]:
        n_rows, n_blocks = len(self.cells.own), max(1, len(self.blocks))
        step = max(1, min(TASK_ROWS, TASK_COUNTS // n_blocks))
        for first in range(0, n_rows, step):
            yield first, min(first + step, n_rows)

    def count(self, n_synapses: np.ndarray) -> Iterator[Task]:
        def task(first: int, last: int) -> None:
            counts = self.rule.counts(self.cells, first, last, self.blocks)
            n_synapses[self.segments[first:last]] = counts.sum(axis=0)

        return (partial(task, *rows) for rows in self.tasks())

    def fill(self, table: Rows) -> Iterator[Task]:
        from distdyn.ops import fill

        def task(first: int, last: int) -> None:
            counts = self.rule.counts(self.cells, first, last, self.blocks)
            fill.fill_cells(
                self.cells.key, self.rule.multapses, first, self.cells.own[first:last],
                self.blocks, self.cells.block_start, counts, self.values.delays, self.values.knots,
                self.post_local, self.n_target, table.start[self.segments[first:last]],
                table.offset, table.weight,
            )  # fmt: skip

        return (partial(task, *rows) for rows in self.tasks())

    def sort(self, table: Rows) -> Iterator[Task]:
        return iter(())


class _PairDrawing(NamedTuple):
    """A projection that lists pairs: counted by source, scattered to the sources, then sorted.

    The items are cut into groups, each with its own cursors; groups are consecutive, so that the
    order inside a segment is the order of the list however many there are.
    """

    rule: AbstractPairRule
    listing: Listing
    items: np.ndarray
    values: _Values
    segments: np.ndarray
    post_local: np.ndarray
    n_target: int
    cursors: np.ndarray  # int64[group, n_pre]: synapses per source, then where the next one goes

    @property
    def capacity(self) -> int:
        return len(self.items) * self.rule.per_item

    def pairs(self, group: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Items (indices into `items`) and their sources, some at a time."""
        n, n_groups = len(self.items), len(self.cursors)
        step = max(1, TASK_PAIRS // max(1, self.rule.per_item))
        stop = n * (group + 1) // n_groups
        for first in range(n * group // n_groups, stop, step):
            items = self.items[first : min(first + step, stop)]
            yield items, self.rule.sources(self.listing, items)

    def count(self, n_synapses: np.ndarray) -> Iterator[Task]:
        from distdyn.ops import fill

        def task(group: int) -> None:
            for _, sources in self.pairs(group):
                fill.count_sources(sources, self.cursors[group])
            with lock:
                n_synapses[self.segments] += self.cursors[group]

        lock = Lock()
        return (partial(task, group) for group in range(len(self.cursors)))

    def fill(self, table: Rows) -> Iterator[Task]:
        from distdyn.ops import fill

        def task(group: int) -> None:
            values, cursor = self.values, self.cursors[group]
            for items, sources in self.pairs(group):
                target = self.post_local[self.rule.targets(items)]
                delay = values.given_delay[items] if values.given_delay.size else NOTHING
                weight = values.given_weight[items] if values.given_weight.size else NO_WEIGHTS
                fill.scatter_pairs(
                    self.listing.key, items, self.rule.per_item, sources, target, values.delays,
                    delay, values.knots, weight, self.n_target, cursor, table.offset, table.weight,
                )  # fmt: skip

        before = np.cumsum(self.cursors, axis=0) - self.cursors
        np.add(before, table.start[self.segments], out=self.cursors)
        return (partial(task, group) for group in range(len(self.cursors)))

    def sort(self, table: Rows) -> Iterator[Task]:
        from distdyn.ops import fill

        n, n_groups = len(self.segments), len(self.cursors)
        for group in range(n_groups):
            mine = self.segments[n * group // n_groups : n * (group + 1) // n_groups]
            yield partial(
                fill.sort_segments, mine, table.start, self.n_target, table.offset, table.weight
            )


def _drawing(
    part: ProjectionRows,
    segments: np.ndarray,
    n_target: int,
    seed: int,
    dt: float,
    scale: tuple[float, type[np.signedinteger]],
    groups: int,
) -> _CellDrawing | _PairDrawing:
    ends, rule = part.ends, part.rule
    rule.check(ends.n_pre, ends.n_post, ends.n_self, part.path)
    low, high = stream_key(seed, "connectivity", part.path)
    key = np.uint64(low), np.uint64(high)
    values = _values(part, dt, *scale)
    post_local = _places(part.post_local)
    blocks = None if part.blocks is None else np.unique(np.asarray(part.blocks, np.int64))
    if isinstance(rule, AbstractPairRule):
        items = rule.items(ends, blocks)
        groups = max(1, min(groups, CURSORS // max(1, ends.n_pre)))
        cursors = np.zeros((groups, ends.n_pre), np.int64)
        listing = rule.listing(ends, key)
        return _PairDrawing(rule, listing, items, values, segments, post_local, n_target, cursors)
    cells = rule.cells(ends, key)
    n_asked = None
    if blocks is None:
        blocks = all_blocks(cells.block_start)
    else:
        n_asked = int((cells.block_start[blocks + 1] - cells.block_start[blocks]).sum())
    capacity = rule.bound(ends.n_pre, ends.n_post, ends.n_self, n_asked)
    return _CellDrawing(rule, cells, blocks, values, segments, post_local, n_target, capacity)


def _values(
    part: ProjectionRows, dt: float, unit_scale: float, accumulator: type[np.signedinteger]
) -> _Values:
    where = f'projection "{part.path}"'
    delays, given_delay = constant_delay(1), NOTHING
    if isinstance(part.delay, Distribution):
        delays = drawn_delays(part.delay, dt, f"{where}: delay")
    elif isinstance(part.delay, np.ndarray) and part.delay.ndim:
        given_delay = np.array(_over_edges(part, part.delay, "delay"), np.int64)
    else:
        delays = constant_delay(int(part.delay))
    if min(delays.first, given_delay.min(initial=1)) < 1:
        raise DelayError(f"{where}: a delay is shorter than one step. Use delay >= dt.")
    knots, given_weight, unit = NO_KNOTS, NO_WEIGHTS, 1
    storage = storage_of(part.weight)
    if storage == "drawn":
        knots, unit = drawn_weights(part.weight, unit_scale, f"{where}: weight")
    elif storage == "given":
        given_weight = _given_weights(part, where)
    else:
        unit = int(np.rint(part.weight * unit_scale))
        check_significance(abs(part.weight) * unit_scale, f"{where}: weight = {part.weight:g}")
    if abs(unit) > np.iinfo(accumulator).max:
        raise WeightError(
            f"{where}: weight = {part.weight} is {unit:.3g} units of the receptor's accumulator, "
            f'beyond {np.dtype(accumulator)}. Use precision="float64".'
        )
    return _Values(delays, given_delay, knots, given_weight, unit)


def _given_weights(part: ProjectionRows, where: str) -> np.ndarray:
    weight = _over_edges(part, part.weight, "weight")
    largest = int(np.abs(weight.astype(np.int64)).max(initial=0))
    if largest > np.iinfo(np.int32).max:
        raise WeightError(
            f"{where}: the largest given weight is {largest} units of the receptor's accumulator, "
            "more than an int32 holds. Give the weights a narrower range."
        )
    check_significance(largest, f"{where}: weight")
    return np.array(weight, np.int32)


def _over_edges(part: ProjectionRows, array: np.ndarray, name: str) -> np.ndarray:
    n = len(part.rule.pre) if isinstance(part.rule, Edges) else None
    if array.shape != (n,) or array.dtype.kind not in "iu":
        raise RuleError(
            f'projection "{part.path}": {name} is an array of shape {array.shape} and type '
            f"{array.dtype}. Arrays are over the edges of Edges, in integers here."
        )
    return array


def _segments(pre_local: list[np.ndarray], n_source: int) -> tuple[np.ndarray, list[np.ndarray]]:
    """Where the segments of each source start, and the segment of each part's pre neurons.

    A source has one segment for every time a part names it, in the order of the parts.
    """
    everyone = np.concatenate([np.zeros(0, np.int64), *pre_local])
    segments = np.zeros(n_source + 1, np.int64)
    np.cumsum(np.bincount(everyone, minlength=n_source), out=segments[1:])
    segment = np.empty(len(everyone), np.int64)
    segment[np.argsort(everyone, kind="stable")] = np.arange(len(everyone))
    return segments, np.split(segment, np.cumsum([len(local) for local in pre_local])[:-1])


def _allocate(
    parts: list[ProjectionRows],
    drawings: list[_CellDrawing | _PairDrawing],
    segments: np.ndarray,
    n_synapses: np.ndarray,
    n_target: int,
    accumulator: type[np.signedinteger],
) -> Rows:
    start = np.concatenate([[0], np.cumsum(n_synapses)])
    capacity = sum(drawing.capacity for drawing in drawings)
    if start[-1] > capacity:
        raise NetworkError(
            f"{', '.join(part.path for part in parts)}: {start[-1]} synapses were drawn, but "
            f"{capacity} are mean + 8 standard deviations. Report this seed."
        )
    unit = np.zeros(len(n_synapses), accumulator)
    for drawing in drawings:
        unit[drawing.segments] = drawing.values.unit
    kinds = {storage_of(part.weight) for part in parts}
    if len(kinds) > 1:
        raise NetworkError(f"a table keeps weights of one kind, found {sorted(kinds)}. Split it.")
    kind = kinds.pop() if kinds else "constant"
    longest = max((drawing.values.longest for drawing in drawings), default=0)
    is_wide = (longest + 1) * n_target > 1 << 32
    offset = aligned_empty(capacity, np.uint64 if is_wide else np.uint32)
    weight = aligned_empty(0 if kind == "constant" else capacity, WEIGHT_TYPES[kind])
    offset[start[-1] :] = 0
    weight[start[-1] :] = 0
    return Rows(_aligned(segments), _aligned(start), _aligned(unit), offset, weight)


def _aligned(array: np.ndarray) -> np.ndarray:
    copy = aligned_empty(array.shape, array.dtype)
    copy[...] = array
    return copy


def _places(local: Any) -> np.ndarray:
    """Places as int64: an array, or pieces (start, stop, step) one after the other."""
    if isinstance(local, np.ndarray):
        return np.ascontiguousarray(local, np.int64)
    return np.concatenate([np.zeros(0, np.int64), *(np.arange(*piece) for piece in local)])


def _run(pool: ThreadPoolExecutor, tasks: Iterable[Task]) -> None:
    """Run all tasks; after an error or an interrupt, none that has not begun."""
    futures = [pool.submit(task) for task in tasks]
    try:
        for future in futures:
            future.result()
    finally:
        for future in futures:
            future.cancel()


def _cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS, Windows
        return os.cpu_count() or 1
