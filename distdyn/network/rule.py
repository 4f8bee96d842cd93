"""What a rule is, and how one is asked for its synapses.

A rule is asked for rows and blocks and returns the same synapses whoever asks. Most rules number
their rows along the pre end and draw in cells, one row by one block of the post end: the rule says
how many synapses each cell has (`counts`), and the targets in a cell are drawn alike for all. The
others list pairs by post neuron or by edge (`sources`).

Counts of neurons in signatures: n_pre, n_post, and n_self neurons that are in both ends.
"""

from abc import ABC, abstractmethod
from typing import Any, ClassVar, NamedTuple

import numpy as np

from distdyn.errors import RuleError
from distdyn.network.ends import Ends
from distdyn.ops.values import NO_KNOTS, constant_delay

Key = tuple[np.uint64, np.uint64]
Part = tuple[int, int]  # how many pre and how many post neurons are asked for


class Rule(ABC):
    """Who connects to whom. The base of all rules."""

    @abstractmethod
    def check(self, n_pre: int, n_post: int, n_self: int, where: str) -> None:
        """Raise a RuleError that begins with `where` if the rule cannot be satisfied."""

    @abstractmethod
    def expected(self, n_pre: int, n_post: int, n_self: int) -> float:
        """The mean number of synapses."""

    @abstractmethod
    def bound(self, n_pre: int, n_post: int, n_self: int, part: Part | None = None) -> int:
        """Room for the synapses between some neurons (None: all): their number, or mean + 8 sd."""

    @abstractmethod
    def in_degree(self, n_pre: int, n_post: int, n_self: int) -> tuple[float, float]:
        """Mean and standard deviation of the synapses onto the post neuron that expects most."""

    @abstractmethod
    def rows(
        self, ends: Ends, key: Key, rows: Any = None, blocks: Any = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """The synapses of these rows (None: all) onto these blocks of the post end (None: all).

        Returns:
            The places of sources in the pre end and of targets in the post end, row by row.
        """


class Cells(NamedTuple):
    """What a cell rule needs to draw: the stream and the ends as arrays.

    Attributes:
        key: the stream of the projection.
        block_start: int64[n_blocks + 1], along the post end.
        own: int64[n_pre]; the place in the post end that an excluded autapse would take, else -1.
        self_rows: int64; the rows whose autapse is excluded, by block, ascending.
        self_start: int64[n_blocks + 1]; those of block b are self_start[b]:self_start[b + 1].
    """

    key: Key
    block_start: np.ndarray
    own: np.ndarray
    self_rows: np.ndarray
    self_start: np.ndarray


class AbstractCellRule(Rule):
    """A rule whose rows are pre neurons and which draws in cells of one row and one block."""

    autapses: bool
    multapses: bool

    @property
    @abstractmethod
    def row_total(self) -> int | None:
        """How many synapses every row has onto all blocks, None if that is drawn."""

    @abstractmethod
    def counts(self, cells: Cells, first: int, last: int, blocks: np.ndarray) -> np.ndarray:
        """int64[b, r]: how many synapses the rows first ... last - 1 have in each of the blocks."""

    def cells(self, ends: Ends, key: Key) -> Cells:
        """The ends as arrays."""
        block_start = ends.block_start()
        check_words(ends.n_pre, ends.n_post)
        own = np.full(ends.n_pre, -1, np.int64) if self.autapses else ends.self_of_pre()
        rows = np.flatnonzero(own >= 0)
        block = np.searchsorted(block_start, own[rows], side="right") - 1
        order = np.argsort(block, kind="stable")
        self_start = np.searchsorted(block[order], np.arange(len(block_start)))
        return Cells(key, block_start, own, rows[order], self_start)

    def rows(
        self, ends: Ends, key: Key, rows: Any = None, blocks: Any = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """The synapses of these pre neurons, targets block by block."""
        cells = self.cells(ends, key)
        rows = asked(rows, ends.n_pre, "rows")
        blocks = asked(blocks, len(cells.block_start) - 1, "blocks")
        runs = np.split(rows, np.flatnonzero(np.diff(rows) != 1) + 1) if rows.size else []
        found = [self._targets(cells, run[0], run[-1] + 1, blocks, ends.n_post) for run in runs]
        n = np.concatenate([n for n, _ in found]) if found else np.zeros(0, np.int64)
        targets = np.concatenate([t for _, t in found]) if found else np.zeros(0, np.int64)
        return np.repeat(rows, n), targets

    def _targets(
        self, cells: Cells, first: int, last: int, blocks: np.ndarray, n_post: int
    ) -> tuple[np.ndarray, np.ndarray]:
        from distdyn.ops import draw

        counts = self.counts(cells, first, last, blocks)
        n = counts.sum(axis=0)
        targets = np.empty(n.sum(), np.uint64)
        draw.fill_cells(
            cells.key, self.multapses, first, cells.own[first:last], blocks, cells.block_start,
            counts, tuple(constant_delay(0)), NO_KNOTS, np.arange(n_post), n_post,
            np.cumsum(n) - n, np.cumsum(n), targets, np.empty(0, np.int16),
        )  # fmt: skip
        return n, targets.astype(np.int64)


class Listing(NamedTuple):
    """What a pair rule needs to draw.

    Attributes:
        key: the stream of the projection.
        n_pre: the number of neurons of the pre end.
        own: int64[n_post]; the place in the pre end that an excluded autapse would take, else -1;
            empty where none is excluded.
    """

    key: Key
    n_pre: int
    own: np.ndarray


class AbstractPairRule(Rule):
    """A rule that lists pairs by items: post neurons or edges, all with as many synapses."""

    autapses: bool
    is_drawn: ClassVar[bool]  # whether the sources of an item depend on the seed

    @property
    @abstractmethod
    def per_item(self) -> int:
        """How many synapses an item has."""

    @abstractmethod
    def items(self, ends: Ends, blocks: np.ndarray | None) -> np.ndarray:
        """int64: the items whose targets are in these blocks (None: all), ascending."""

    @abstractmethod
    def targets(self, items: np.ndarray) -> np.ndarray:
        """int64: the place in the post end of each item's target."""

    @abstractmethod
    def sources(self, listing: Listing, items: np.ndarray) -> np.ndarray:
        """int64: the places in the pre end of the sources, item by item."""

    def listing(self, ends: Ends, key: Key) -> Listing:
        """The ends as arrays."""
        check_words(ends.n_pre, ends.n_post)
        own = np.empty(0, np.int64) if self.autapses else ends.self_of_post()
        return Listing(key, ends.n_pre, own)

    def rows(
        self, ends: Ends, key: Key, rows: Any = None, blocks: Any = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """The synapses of these items (post neurons or edges)."""
        n_blocks = len(ends.block_start()) - 1
        items = self.items(ends, None if blocks is None else asked(blocks, n_blocks, "blocks"))
        if rows is not None:
            items = np.intersect1d(items, np.asarray(rows, np.int64))
        sources = self.sources(self.listing(ends, key), items)
        return sources, np.repeat(self.targets(items), self.per_item)


def asked(numbers: Any, n: int, what: str) -> np.ndarray:
    """The rows or blocks that are asked for, ascending; None: all n."""
    if numbers is None:
        return np.arange(n)
    numbers = np.unique(np.asarray(numbers, np.int64))
    if numbers.size and not 0 <= numbers[0] <= numbers[-1] < n:
        raise RuleError(f"{what} {numbers[0]} ... {numbers[-1]} are not all among the {n}.")
    return numbers


def check_words(n_pre: int, n_post: int) -> None:
    """Refuse ends whose neurons cannot be numbered by one word of a counter."""
    if max(n_pre, n_post) > 1 << 31:
        raise RuleError(
            f"an end of {max(n_pre, n_post)} neurons is longer than 2^31. Split the projection."
        )
