"""What a rule is, and how one is asked for its synapses.

A rule is asked for rows and blocks and returns the same synapses whoever asks. Most rules number
their rows along the pre end and draw in cells, one row by one block of the post end: the rule says
how many synapses each cell has (`counts`), and the targets in a cell are drawn alike for all. The
others list pairs by post neuron or by edge (`sources`).
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from math import ceil, isfinite, sqrt
from numbers import Integral, Real
from typing import Any, ClassVar, NamedTuple

import numpy as np

from distdyn.errors import RuleError
from distdyn.network.ends import Ends
from distdyn.ops.values import NO_KNOTS, constant_delay
from distdyn.units import shown

Key = tuple[np.uint64, np.uint64]
Part = tuple[int, int]  # how many pre and how many post neurons are asked for

HELD = 1 << 18  # listed pairs that are held at once, 8 bytes each


class Rule(ABC):
    """Who connects to whom. The base of all rules."""

    @abstractmethod
    def check(self, ends: Ends, where: str) -> None:
        """Raise a RuleError that begins with `where` if the rule cannot be satisfied."""

    @abstractmethod
    def expected(self, ends: Ends) -> float:
        """The mean number of synapses."""

    @abstractmethod
    def bound(self, ends: Ends, part: Part | None = None) -> int:
        """Room for the synapses between some neurons (None: all): their number, or mean + 8 sd."""

    @abstractmethod
    def in_degree(self, ends: Ends) -> tuple[float, float]:
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
        prepared: what the rule made of the ends, once for all its items.
    """

    key: Key
    n_pre: int
    own: np.ndarray
    prepared: Any


class Pairs(NamedTuple):
    """Synapses that a pair rule lists: those of items[i] are begin[i]:begin[i + 1].

    Attributes:
        items: int64; the numbers of the items.
        begin: int64[items + 1].
        sources, targets: int64; the places in the pre and in the post end of each synapse.
    """

    items: np.ndarray
    begin: np.ndarray
    sources: np.ndarray
    targets: np.ndarray


class AbstractPairRule(Rule):
    """A rule that lists pairs by items: post neurons, or edges."""

    autapses: bool
    is_drawn: ClassVar[bool]  # whether the sources of an item depend on the seed
    is_uniform: ClassVar[bool]  # whether `bound` holds for any neurons, whichever they are

    @abstractmethod
    def items(self, ends: Ends, blocks: np.ndarray | None) -> np.ndarray:
        """int64: the items whose targets are in these blocks (None: all), ascending."""

    @abstractmethod
    def targets(self, items: np.ndarray) -> np.ndarray:
        """int64: the place in the post end of each item's target."""

    @abstractmethod
    def prepared(self, ends: Ends, key: Key) -> Any:
        """What is made once of the ends, and of the stream, for all items."""

    @abstractmethod
    def width(self, listing: Listing) -> int:
        """About how many pairs are held to find the sources of one item."""

    @abstractmethod
    def sources(self, listing: Listing, items: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where the sources of each item begin, int64[items + 1], and their places, int64."""

    def listing(self, ends: Ends, key: Key) -> Listing:
        """The ends as arrays."""
        check_words(ends.n_pre, ends.n_post)
        own = np.empty(0, np.int64) if self.autapses else ends.self_of_post()
        return Listing(key, ends.n_pre, own, self.prepared(ends, key))

    def pairs(self, listing: Listing, items: np.ndarray) -> Iterator[Pairs]:
        """The synapses of these items, some at a time."""
        step = max(1, HELD // max(1, self.width(listing)))
        for first in range(0, len(items), step):
            some = items[first : first + step]
            begin, sources = self.sources(listing, some)
            yield Pairs(some, begin, sources, np.repeat(self.targets(some), np.diff(begin)))

    def listed(self, ends: Ends, key: Key, rows: Any = None, blocks: Any = None) -> Pairs:
        """The synapses of these items (post neurons or edges; None: all) onto these blocks."""
        n_blocks = len(ends.block_start()) - 1
        items = self.items(ends, None if blocks is None else asked(blocks, n_blocks, "blocks"))
        if rows is not None:
            items = np.intersect1d(items, np.asarray(rows, np.int64))
        found = list(self.pairs(self.listing(ends, key), items))
        n = np.concatenate([[0], *(np.diff(some.begin) for some in found)]).astype(np.int64)
        none = np.zeros(0, np.int64)
        sources, targets = (np.concatenate([none, *(x[k] for x in found)]) for k in (2, 3))
        return Pairs(items, np.cumsum(n), sources, targets)

    def rows(
        self, ends: Ends, key: Key, rows: Any = None, blocks: Any = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """The synapses of these items (post neurons or edges)."""
        found = self.listed(ends, key, rows, blocks)
        return found.sources, found.targets


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


def posts_of(ends: Ends, blocks: np.ndarray | None) -> np.ndarray:
    """The neurons of these blocks of the post end (None: all)."""
    if blocks is None:
        return np.arange(ends.n_post)
    start = ends.block_start()
    ranges = [np.arange(*start[b : b + 2].tolist()) for b in blocks]
    return np.concatenate(ranges) if ranges else np.zeros(0, np.int64)


def upper(n: float, p: float, most: int) -> int:
    """Mean + 8 sd of a binomial number, and 16 for where it is small and skew; at most `most`."""
    return min(most, ceil(n * p + 8 * sqrt(n * p * (1 - p)) + 16))


def whole_number(n: Any, what: str, of: str = "synapses") -> int:
    """The number as an int; 1e6 is one."""
    is_whole = is_number(n) and isfinite(n) and n == int(n)
    if not is_whole or not 0 <= n < 1 << 62:
        raise RuleError(f"{what} = {shown(n)} is not a number of {of}. Give an integer >= 0.")
    return int(n)


def probability(p: Any, what: str) -> float:
    """The number as a float, 0 <= p <= 1."""
    if not is_number(p) or not 0 <= p <= 1:  # NaN too
        raise RuleError(f"{what} = {shown(p)} is not a probability. Give 0 <= p <= 1.")
    return float(p)


def is_number(x: Any) -> bool:
    """Whether it is a real number, and no truth value."""
    return isinstance(x, Integral | Real) and not isinstance(x, bool)
