"""How the synapses of one projection are counted and written: tasks for any number of threads.

Every draw is keyed, and no two tasks write to one place, so their order changes nothing.
"""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from distdyn.errors import NetworkError
from distdyn.network.rule import (
    AbstractCellRule,
    AbstractPairRule,
    Cells,
    Key,
    Listing,
    Pairs,
    asked,
)
from distdyn.ops.rows import Rows
from distdyn.parallel.projection_rows import (
    ProjectionRows,
    Values,
    check_places,
    places,
)
from distdyn.random import stream_key

Task = Callable[[], None]

TASK_ROWS = 4096
TASK_COUNTS = 1 << 22  # counts of cells that one task holds, 8 bytes each
TASK_SEGMENTS = 1 << 16  # segments sorted in one task
CURSORS = 1 << 24  # cursors kept for one projection that lists pairs, 4 bytes each
NARROW = 2**32 - 1  # synapses up to which 4 bytes are enough for one


class CellDrawing(NamedTuple):
    """A projection whose rows are drawn one by one, each straight to its place."""

    rule: AbstractCellRule
    cells: Cells
    blocks: np.ndarray
    values: Values
    pre_local: np.ndarray
    post_local: np.ndarray
    n_target: int
    counted: np.ndarray  # uint32[n_pre]: the synapses of each neuron of the pre end

    def tasks(self) -> Iterator[tuple[int, int]]:
        """The first row of each task, and the row after its last."""
        step = min(TASK_ROWS, TASK_COUNTS // max(1, len(self.blocks)))
        step = 8 * (step // 8 | 1)  # counts[:, r] lies in different sets of the cache
        is_here = self.pre_local >= 0
        edges = np.flatnonzero(is_here[1:] != is_here[:-1]) + 1
        for start, stop in pairwise([0, *edges.tolist(), len(is_here)]):
            if start < stop and is_here[start]:
                for first in range(start, stop, step):
                    yield first, min(first + step, stop)

    def count(self) -> Iterator[Task]:
        """Tasks that count the synapses of each neuron of the pre end."""
        is_whole = len(self.blocks) == len(self.cells.block_start) - 1
        if is_whole and self.rule.row_total is not None:
            self.counted[self.pre_local >= 0] = _countable(self.rule.row_total)
            return iter(())

        def task(first: int, last: int) -> None:
            counts = self.rule.counts(self.cells, first, last, self.blocks).sum(axis=0)
            _countable(counts.max())
            self.counted[first:last] = counts

        return (partial(task, *rows) for rows in self.tasks())

    def counts(self) -> np.ndarray:
        """uint32[n_pre]: how many synapses each neuron of the pre end has, after `count`."""
        return self.counted

    def fill(self, table: Rows, segment: np.ndarray) -> Iterator[Task]:
        """Tasks that draw the synapses and write them to the segment of each pre neuron."""
        from distdyn.ops import draw

        def task(first: int, last: int) -> None:
            start, stop = _spans(table, segment[first:last])
            if not stop.any():
                return
            counts = self.rule.counts(self.cells, first, last, self.blocks)
            draw.fill_cells(
                self.cells.key, self.rule.multapses, first, self.cells.own[first:last],
                self.blocks, self.cells.block_start, counts, tuple(self.values.delays),
                self.values.knots, self.post_local, self.n_target,
                start, stop, table.offset, table.weight,
            )  # fmt: skip

        return (partial(task, *rows) for rows in self.tasks())

    def sort(self, table: Rows, segment: np.ndarray) -> Iterator[Task]:
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
    pre_local: np.ndarray
    post_local: np.ndarray
    n_target: int
    cursors: np.ndarray  # unsigned[group, n_pre]: synapses per source, then where the next one goes

    def pairs(self, group: int) -> Iterator[Pairs]:
        """The synapses of a group, some items at a time."""
        n, n_groups = len(self.items), len(self.cursors)
        mine = self.items[n * group // n_groups : n * (group + 1) // n_groups]
        return self.rule.pairs(self.listing, mine)

    def count(self) -> Iterator[Task]:
        """Tasks that count the synapses of each neuron of the pre end."""
        from distdyn.ops import draw

        def task(group: int) -> None:
            for some in self.pairs(group):
                draw.count_sources(some.sources, self.cursors[group])

        return (partial(task, group) for group in range(len(self.cursors)))

    def counts(self) -> np.ndarray:
        """uint32[n_pre]: how many synapses each neuron of the pre end has, after `count`."""
        self.cursors[:, self.pre_local < 0] = 0
        counts = self.cursors.sum(axis=0, dtype=self.cursors.dtype)
        _countable(counts.max(initial=0))
        return counts.astype(np.uint32, copy=False)

    def fill(self, table: Rows, segment: np.ndarray) -> Iterator[Task]:
        """Tasks that draw the synapses and write them to the segment of each pre neuron."""
        from distdyn.ops import draw, reach_kernels

        nowhere = np.iinfo(np.int64 if self.cursors.itemsize == 8 else np.uint32).max

        def task(group: int) -> None:
            values = self.values
            for some in self.pairs(group):
                draw.scatter_pairs(
                    self.listing.key, some.items, some.begin, some.sources,
                    self.post_local[some.targets], tuple(values.delays), values.delays_of(some),
                    values.knots, values.weights_of(some), self.n_target, self.cursors[group],
                    nowhere, table.offset, table.weight,
                )  # fmt: skip

        reach_kernels.set_cursors(segment, table.start, table.base, self.cursors, nowhere)
        return (partial(task, group) for group in range(len(self.cursors)))

    def sort(self, table: Rows, segment: np.ndarray) -> Iterator[Task]:
        """Tasks that sort by delay what `fill` has left in another order."""
        from distdyn.ops import draw

        def task(first: int) -> None:
            spans = _spans(table, segment[first : first + TASK_SEGMENTS])
            draw.sort_segments(*spans, self.n_target, table.offset, table.weight)

        return (partial(task, first) for first in range(0, len(segment), TASK_SEGMENTS))


def _countable(n: int) -> int:
    if n > NARROW:
        raise NetworkError(
            f"a neuron has {n} synapses onto one part, more than 2^32. Use more parts, or split "
            "the projection."
        )
    return n


def _spans(table: Rows, segment: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where the synapses of these segments begin and end."""
    from distdyn.ops import reach_kernels

    begin, end = np.empty(len(segment), np.int64), np.empty(len(segment), np.int64)
    reach_kernels.spans(segment, table.start, table.base, 1, begin, end)
    return begin, end


def capacity_of(part: ProjectionRows, seed: int) -> int:
    """Room for the synapses of a projection.

    A function of the description and the blocks, and of the seed for rules whose neurons are not
    alike; these make room for a few percent more, so that it is mostly the same for all seeds.

    Raises:
        RuleError: the rule cannot be satisfied.
    """
    ends, rule = part.ends, part.rule
    rule.check(ends, part.path)
    block_start = ends.block_start()
    blocks = asked(part.blocks, len(block_start) - 1, "blocks")
    is_here = places(part.pre_local) >= 0
    if isinstance(rule, AbstractPairRule) and not rule.is_uniform:
        listing = rule.listing(ends, _key(part, seed))
        n = sum(int(is_here[x.sources].sum()) for x in rule.pairs(listing, _items(part, blocks)))
        return _rounded_up(n) if rule.is_drawn else n
    n_here = int(is_here.sum()), int(np.diff(block_start)[blocks].sum())
    return rule.bound(ends, None if n_here == (ends.n_pre, ends.n_post) else n_here)


def _rounded_up(n: int) -> int:
    """The next number of five significant bits."""
    step = 1 << max(0, n.bit_length() - 5)
    return -(-n // step) * step


def _key(part: ProjectionRows, seed: int) -> Key:
    low, high = stream_key(seed, "connectivity", part.path)
    return np.uint64(low), np.uint64(high)


def drawing_of(
    part: ProjectionRows,
    n_target: int,
    *,
    seed: int,
    values: Values,
    groups: int,
    capacity: int,
) -> CellDrawing | PairDrawing:
    """A projection ready to be drawn.

    Args:
        part: the projection; its `pre_local` is an array.
        n_target: the length of a slot of the ring.
        seed: of the simulation.
        values: how its delays and weights are drawn.
        groups: into how many groups listed pairs are cut at most.
        capacity: the synapses for which the table has room.
    """
    ends, rule, pre_local = part.ends, part.rule, part.pre_local
    rule.check(ends, part.path)
    key = _key(part, seed)
    block_start = ends.block_start()
    blocks = asked(part.blocks, len(block_start) - 1, "blocks")
    ring = _ring_places(part, block_start, blocks, n_target), n_target
    if isinstance(rule, AbstractCellRule):
        counted = np.zeros(ends.n_pre, np.uint32)
        return CellDrawing(rule, rule.cells(ends, key), blocks, values, pre_local, *ring, counted)
    assert isinstance(rule, AbstractPairRule)  # there is no third kind
    listing, items = rule.listing(ends, key), _items(part, blocks)
    if not rule.is_drawn:
        found = [x.items[_any_here(x, pre_local)] for x in rule.pairs(listing, items)]
        items = np.concatenate([items[:0], *found])
    n_groups = max(1, min(groups, CURSORS // max(1, ends.n_pre)))
    is_narrow = max(capacity, len(items) * rule.width(listing)) < NARROW
    cursors = np.zeros((n_groups, ends.n_pre), np.uint32 if is_narrow else np.uint64)
    return PairDrawing(rule, listing, items, values, pre_local, *ring, cursors)


def _any_here(some: Pairs, pre_local: np.ndarray) -> np.ndarray:
    """Whether each item has a source in the source group."""
    here = np.cumsum(np.append(0, pre_local[some.sources] >= 0))
    return here[some.begin[1:]] > here[some.begin[:-1]]


def _items(part: ProjectionRows, blocks: np.ndarray) -> np.ndarray:
    assert isinstance(part.rule, AbstractPairRule)
    return part.rule.items(part.ends, None if part.blocks is None else blocks)


def _ring_places(
    part: ProjectionRows, block_start: np.ndarray, blocks: np.ndarray, n_target: int
) -> np.ndarray:
    """The places in the ring; anything in blocks that are not asked for, which nobody reads."""
    local = asked_for = places(part.post_local)
    if part.blocks is not None and len(local) == part.ends.n_post:
        bounds = zip(block_start[blocks], block_start[blocks + 1], strict=True)
        asked_for = np.concatenate([local[:0], *(local[a:b] for a, b in bounds)])
    n = part.ends.n_post - len(local) + len(asked_for)
    check_places(asked_for, n, n_target, f'projection "{part.path}": post_local', least=0)
    return local
