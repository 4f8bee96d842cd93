"""Rules: who connects to whom, and where each draws its rows.

A rule is asked for rows and blocks and returns the same synapses whoever asks. Most rules number
their rows along the pre end and draw in cells, one row by one block of the post end: the rule
says how many synapses each cell has (`counts`), and the targets in a cell are drawn alike for all.
The others (`FixedIndegree`, `OneToOne`, `Edges`) list pairs by post neuron or edge (`sources`).

Counts of neurons in signatures: n_pre, n_post, and n_self neurons that are in both ends.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from math import ceil, isfinite, sqrt
from numbers import Integral, Real
from typing import Any, ClassVar, NamedTuple

import numpy as np

from distdyn.errors import RuleError
from distdyn.network.ends import Ends
from distdyn.ops.values import NO_KNOTS, constant_delay
from distdyn.units import shown

Key = tuple[np.uint64, np.uint64]


class Rule(ABC):
    """Who connects to whom. The base of all rules."""

    @abstractmethod
    def check(self, n_pre: int, n_post: int, n_self: int, where: str) -> None:
        """Raise a RuleError that begins with `where` if the rule cannot be satisfied."""

    @abstractmethod
    def expected(self, n_pre: int, n_post: int, n_self: int) -> float:
        """The mean number of synapses."""

    @abstractmethod
    def bound(self, n_pre: int, n_post: int, n_self: int, n_asked: int | None = None) -> int:
        """Room for the synapses onto n_asked post neurons (None: all): exact, or mean + 8 sd."""

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
        rows = np.arange(ends.n_pre) if rows is None else np.asarray(rows, np.int64)
        blocks = all_blocks(cells.block_start) if blocks is None else np.asarray(blocks, np.int64)
        runs = np.split(rows, np.flatnonzero(np.diff(rows) != 1) + 1) if rows.size else []
        found = [self._targets(cells, run[0], run[-1] + 1, blocks, ends.n_post) for run in runs]
        n = np.concatenate([n for n, _ in found]) if found else np.zeros(0, np.int64)
        targets = np.concatenate([t for _, t in found]) if found else np.zeros(0, np.int64)
        return np.repeat(rows, n), targets

    def _targets(
        self, cells: Cells, first: int, last: int, blocks: np.ndarray, n_post: int
    ) -> tuple[np.ndarray, np.ndarray]:
        from distdyn.ops import fill

        counts = self.counts(cells, first, last, blocks)
        n = counts.sum(axis=0)
        targets = np.empty(n.sum(), np.uint64)
        fill.fill_cells(
            cells.key, self.multapses, first, cells.own[first:last], blocks, cells.block_start,
            counts, constant_delay(0), NO_KNOTS, np.arange(n_post), n_post,
            np.cumsum(n) - n, targets, np.empty(0, np.int16),
        )  # fmt: skip
        return n, targets.astype(np.int64)


@dataclass(frozen=True)
class AllToAll(AbstractCellRule):
    """Every pre neuron connects to every post neuron once."""

    autapses: bool = field(default=True, kw_only=True)
    multapses: ClassVar[bool] = False

    def check(self, n_pre: int, n_post: int, n_self: int, where: str) -> None:
        """Always possible."""

    def expected(self, n_pre: int, n_post: int, n_self: int) -> float:
        return float(_pairs(self, n_pre, n_post, n_self))

    def bound(self, n_pre: int, n_post: int, n_self: int, n_asked: int | None = None) -> int:
        return _pairs(self, n_pre, n_post, n_self) if n_asked is None else n_pre * n_asked

    def in_degree(self, n_pre: int, n_post: int, n_self: int) -> tuple[float, float]:
        return float(_most_sources(self, n_pre, n_post, n_self)), 0.0

    def counts(self, cells: Cells, first: int, last: int, blocks: np.ndarray) -> np.ndarray:
        start, stop = cells.block_start[blocks, None], cells.block_start[blocks + 1, None]
        own = cells.own[first:last]
        return stop - start - ((start <= own) & (own < stop))


@dataclass(frozen=True)
class FixedProb(AbstractCellRule):
    """Every pair of neurons is connected with probability p, independently of all others."""

    p: float
    autapses: bool = field(default=True, kw_only=True)
    multapses: ClassVar[bool] = False

    def __post_init__(self):
        p = self.p
        if not isinstance(p, Real) or isinstance(p, bool) or not 0 <= p <= 1:  # NaN too
            raise RuleError(f"FixedProb: p = {shown(p)} is not a probability. Give 0 <= p <= 1.")
        vars(self).update(p=float(p))

    def check(self, n_pre: int, n_post: int, n_self: int, where: str) -> None:
        """Always possible."""

    def expected(self, n_pre: int, n_post: int, n_self: int) -> float:
        return self.p * _pairs(self, n_pre, n_post, n_self)

    def bound(self, n_pre: int, n_post: int, n_self: int, n_asked: int | None = None) -> int:
        n = _pairs(self, n_pre, n_post, n_self) if n_asked is None else n_pre * n_asked
        return _upper(n, self.p, n)

    def in_degree(self, n_pre: int, n_post: int, n_self: int) -> tuple[float, float]:
        n = _most_sources(self, n_pre, n_post, n_self)
        return n * self.p, sqrt(n * self.p * (1 - self.p))

    def counts(self, cells: Cells, first: int, last: int, blocks: np.ndarray) -> np.ndarray:
        from distdyn.ops import draw

        counts = np.empty((len(blocks), last - first), np.int64)
        p, own = round(self.p * 2**62), cells.own[first:last]
        draw.bernoulli_counts(cells.key, p, first, own, blocks, cells.block_start, counts)
        return counts


@dataclass(frozen=True)
class FixedOutdegree(AbstractCellRule):
    """Every pre neuron has n synapses, onto post neurons drawn with or without replacement."""

    n: int
    autapses: bool = field(default=True, kw_only=True)
    multapses: bool = field(default=True, kw_only=True)

    def __post_init__(self):
        vars(self).update(n=_count(self.n, "FixedOutdegree: n"))

    def check(self, n_pre: int, n_post: int, n_self: int, where: str) -> None:
        if n_pre:
            n_open = n_post - int(bool(_selves(self, n_self)))
            _check_room(self, self.n, n_open, f"{where}: {self}", "targets of a pre neuron")

    def expected(self, n_pre: int, n_post: int, n_self: int) -> float:
        return float(n_pre * self.n)

    def bound(self, n_pre: int, n_post: int, n_self: int, n_asked: int | None = None) -> int:
        total = n_pre * self.n
        if n_asked is None or not total:
            return total
        n_open = n_post - int(bool(_selves(self, n_self)))
        most = total if self.multapses else min(total, n_pre * n_asked)
        return _upper(total, min(1.0, n_asked / n_open), most)

    def in_degree(self, n_pre: int, n_post: int, n_self: int) -> tuple[float, float]:
        if not self.n or not n_pre or not n_post:
            return 0.0, 0.0
        n_self = _selves(self, n_self)
        parts = [(n_pre - n_self, 1 / n_post)]
        if n_self:  # those have one target fewer; a post neuron that is a source lacks itself
            parts.append((n_self - int(n_self == n_post), 1 / max(1, n_post - 1)))
        draws = [(m * self.n, q) if self.multapses else (m, q * self.n) for m, q in parts]
        return sum(m * q for m, q in draws), sqrt(sum(m * q * (1 - q) for m, q in draws))

    def counts(self, cells: Cells, first: int, last: int, blocks: np.ndarray) -> np.ndarray:
        from distdyn.ops import draw

        counts = np.empty((len(blocks), last - first), np.int64)
        draw.outdegree_counts(
            cells.key, self.n, self.multapses, first, cells.own[first:last], blocks,
            cells.block_start, counts,
        )  # fmt: skip
        return counts


@dataclass(frozen=True)
class FixedTotal(AbstractCellRule):
    """n synapses in all, between pairs drawn with or without replacement."""

    n: int
    autapses: bool = field(default=True, kw_only=True)
    multapses: bool = field(default=True, kw_only=True)

    def __post_init__(self):
        vars(self).update(n=_count(self.n, "FixedTotal: n"))

    def check(self, n_pre: int, n_post: int, n_self: int, where: str) -> None:
        n_open = _pairs(self, n_pre, n_post, n_self)
        if n_open >= 1 << 62:
            raise RuleError(
                f"{where}: {self} chooses among {n_open:.3g} pairs, more than 2^62. Split the "
                "projection."
            )
        _check_room(self, self.n, n_open, f"{where}: {self}", "pairs")

    def expected(self, n_pre: int, n_post: int, n_self: int) -> float:
        return float(self.n)

    def bound(self, n_pre: int, n_post: int, n_self: int, n_asked: int | None = None) -> int:
        if n_asked is None or not self.n:
            return self.n
        share = min(1.0, n_pre * n_asked / _pairs(self, n_pre, n_post, n_self))
        return _upper(self.n, share, self.n if self.multapses else min(self.n, n_pre * n_asked))

    def in_degree(self, n_pre: int, n_post: int, n_self: int) -> tuple[float, float]:
        n_open = _pairs(self, n_pre, n_post, n_self)
        if not self.n or not n_open:
            return 0.0, 0.0
        share = _most_sources(self, n_pre, n_post, n_self) / n_open
        variance = self.n * share * (1 - share)
        if not self.multapses:
            variance *= (n_open - self.n) / max(1, n_open - 1)
        return self.n * share, sqrt(variance)

    def counts(self, cells: Cells, first: int, last: int, blocks: np.ndarray) -> np.ndarray:
        from distdyn.ops import draw

        counts = np.empty((len(blocks), last - first), np.int64)
        draw.total_counts(
            cells.key, self.n, self.multapses, np.arange(first, last), len(cells.own), blocks,
            cells.block_start, cells.self_rows, cells.self_start, counts,
        )  # fmt: skip
        return counts


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
        items = self.items(ends, None if blocks is None else np.asarray(blocks, np.int64))
        if rows is not None:
            rows = np.asarray(rows, np.int64)
            items = rows[np.isin(rows, items)]
        sources = self.sources(self.listing(ends, key), items)
        return sources, np.repeat(self.targets(items), self.per_item)


@dataclass(frozen=True)
class FixedIndegree(AbstractPairRule):
    """Every post neuron has n synapses, from pre neurons drawn with or without replacement."""

    n: int
    autapses: bool = field(default=True, kw_only=True)
    multapses: bool = field(default=True, kw_only=True)

    def __post_init__(self):
        vars(self).update(n=_count(self.n, "FixedIndegree: n"))

    def check(self, n_pre: int, n_post: int, n_self: int, where: str) -> None:
        if n_post:
            n_open = n_pre - int(bool(_selves(self, n_self)))
            _check_room(self, self.n, n_open, f"{where}: {self}", "sources of a post neuron")

    def expected(self, n_pre: int, n_post: int, n_self: int) -> float:
        return float(n_post * self.n)

    def bound(self, n_pre: int, n_post: int, n_self: int, n_asked: int | None = None) -> int:
        return self.n * (n_post if n_asked is None else n_asked)

    def in_degree(self, n_pre: int, n_post: int, n_self: int) -> tuple[float, float]:
        return float(self.n), 0.0

    @property
    def per_item(self) -> int:
        return self.n

    def items(self, ends: Ends, blocks: np.ndarray | None) -> np.ndarray:
        return _posts(ends, blocks)

    def targets(self, items: np.ndarray) -> np.ndarray:
        return items

    def sources(self, listing: Listing, items: np.ndarray) -> np.ndarray:
        from distdyn.ops import draw

        sources = np.empty(len(items) * self.n, np.int64)
        own = np.full(len(items), -1, np.int64) if self.autapses else listing.own[items]
        draw.indegree_sources(
            listing.key, self.n, self.multapses, items, own, listing.n_pre, sources
        )
        return sources


@dataclass(frozen=True)
class OneToOne(AbstractPairRule):
    """Neuron i of the pre end connects to neuron i of the post end, which is as long."""

    autapses: ClassVar[bool] = True
    per_item: ClassVar[int] = 1

    def check(self, n_pre: int, n_post: int, n_self: int, where: str) -> None:
        if n_pre != n_post:
            raise RuleError(
                f"{where}: OneToOne() joins ends of different sizes, {n_pre} and {n_post}. Use "
                "slices of one size."
            )

    def expected(self, n_pre: int, n_post: int, n_self: int) -> float:
        return float(n_pre)

    def bound(self, n_pre: int, n_post: int, n_self: int, n_asked: int | None = None) -> int:
        return n_post if n_asked is None else n_asked

    def in_degree(self, n_pre: int, n_post: int, n_self: int) -> tuple[float, float]:
        return float(n_post > 0), 0.0

    def items(self, ends: Ends, blocks: np.ndarray | None) -> np.ndarray:
        return _posts(ends, blocks)

    def targets(self, items: np.ndarray) -> np.ndarray:
        return items

    def sources(self, listing: Listing, items: np.ndarray) -> np.ndarray:
        return items


@dataclass(frozen=True, eq=False, repr=False)
class Edges(AbstractPairRule):
    """The pairs (pre[i], post[i]): indices in the pre end and in the post end."""

    pre: np.ndarray
    post: np.ndarray
    autapses: ClassVar[bool] = True
    per_item: ClassVar[int] = 1

    def __post_init__(self):
        pre, post = _indices(self.pre, "pre"), _indices(self.post, "post")
        if len(pre) != len(post):
            raise RuleError(
                f"Edges: pre has {len(pre)} indices, post {len(post)}. Give one of each per edge."
            )
        vars(self).update(pre=pre, post=post)

    def __repr__(self) -> str:
        return f"Edges(<{len(self.pre)} pairs>)"

    def check(self, n_pre: int, n_post: int, n_self: int, where: str) -> None:
        for name, index, n in (("pre", self.pre, n_pre), ("post", self.post, n_post)):
            wrong = np.flatnonzero((index < 0) | (index >= n))
            if wrong.size:
                raise RuleError(
                    f"{where}: Edges: {name}[{wrong[0]}] = {index[wrong[0]]} is not an index into "
                    f"the {n} neurons of that end. Use 0 <= index < {n}."
                )

    def expected(self, n_pre: int, n_post: int, n_self: int) -> float:
        return float(len(self.pre))

    def bound(self, n_pre: int, n_post: int, n_self: int, n_asked: int | None = None) -> int:
        return len(self.pre)

    def in_degree(self, n_pre: int, n_post: int, n_self: int) -> tuple[float, float]:
        return float(np.bincount(self.post).max()) if len(self.post) else 0.0, 0.0

    def items(self, ends: Ends, blocks: np.ndarray | None) -> np.ndarray:
        if blocks is None:
            return np.arange(len(self.post))
        block = np.searchsorted(ends.block_start(), self.post, side="right") - 1
        return np.flatnonzero(np.isin(block, blocks))

    def targets(self, items: np.ndarray) -> np.ndarray:
        return self.post[items]

    def sources(self, listing: Listing, items: np.ndarray) -> np.ndarray:
        return self.pre[items]


def all_blocks(block_start: np.ndarray) -> np.ndarray:
    """The numbers of all blocks."""
    return np.arange(len(block_start) - 1)


def check_words(n_pre: int, n_post: int) -> None:
    """Refuse ends whose neurons cannot be numbered by one word of a counter."""
    if max(n_pre, n_post) > 1 << 31:
        raise RuleError(
            f"an end of {max(n_pre, n_post)} neurons is longer than 2^31. Split the projection."
        )


def _posts(ends: Ends, blocks: np.ndarray | None) -> np.ndarray:
    """The neurons of these blocks of the post end."""
    if blocks is None:
        return np.arange(ends.n_post)
    start = ends.block_start()
    ranges = [np.arange(start[b], start[b + 1]) for b in blocks]
    return np.concatenate(ranges) if ranges else np.zeros(0, np.int64)


def _selves(rule: Any, n_self: int) -> int:
    """How many pairs are excluded."""
    return 0 if rule.autapses else n_self


def _pairs(rule: Any, n_pre: int, n_post: int, n_self: int) -> int:
    """How many pairs are allowed."""
    return n_pre * n_post - _selves(rule, n_self)


def _most_sources(rule: Any, n_pre: int, n_post: int, n_self: int) -> int:
    """How many sources a post neuron may have: all but itself where every post neuron is one."""
    return n_pre - int(0 < _selves(rule, n_self) == n_post) if n_post else 0


def _upper(n: int, p: float, most: int) -> int:
    """Mean + 8 sd of a binomial number, and 16 for where it is small and skew; at most `most`."""
    return min(most, ceil(n * p + 8 * sqrt(n * p * (1 - p)) + 16))


def _check_room(rule: Any, n: int, n_open: int, what: str, of: str) -> None:
    is_impossible = n > 0 and n_open <= 0 if rule.multapses else n > n_open
    if is_impossible:
        kept = "" if rule.autapses else ", autapses excluded"
        allow = ", or allow multapses" if not rule.multapses and n_open > 0 else ""
        raise RuleError(
            f"{what} asks for {n} among {max(0, n_open)} {of}{kept}. Use n <= "
            f"{max(0, n_open)}{allow}."
        )


def _count(n: Any, what: str) -> int:
    """The number as an int; 1e6 is one."""
    is_number = isinstance(n, Integral | Real) and not isinstance(n, bool)
    if not is_number or not isfinite(n) or n != int(n) or not 0 <= n < 1 << 62:
        raise RuleError(f"{what} = {shown(n)} is not a number of synapses. Give an integer >= 0.")
    return int(n)


def _indices(x: Any, name: str) -> np.ndarray:
    array = np.asarray(x)
    if array.size == 0 and array.ndim == 1:
        return np.zeros(0, np.int64)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise RuleError(
            f"Edges: {name} = {shown(array)} is not a list of indices. Give a one-dimensional "
            "array of integers."
        )
    return np.array(array, np.int64)
