"""The rules: who connects to whom, and where each draws its rows (`counts`, `sources`)."""

from dataclasses import dataclass, field
from math import ceil, isfinite, sqrt
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np

from distdyn.errors import RuleError
from distdyn.network.ends import Ends
from distdyn.network.rule import AbstractCellRule, AbstractPairRule, Cells, Listing, Part
from distdyn.network.rule import Rule as Rule  # the base is public with its rules
from distdyn.ops.values import binomials
from distdyn.units import shown


@dataclass(frozen=True)
class AllToAll(AbstractCellRule):
    """Every pre neuron connects to every post neuron once."""

    autapses: bool = field(default=True, kw_only=True)
    multapses: ClassVar[bool] = False
    row_total: ClassVar[None] = None

    def check(self, n_pre: int, n_post: int, n_self: int, where: str) -> None:
        """Always possible."""

    def expected(self, n_pre: int, n_post: int, n_self: int) -> float:
        return float(_pairs(self, n_pre, n_post, n_self))

    def bound(self, n_pre: int, n_post: int, n_self: int, part: Part | None = None) -> int:
        return part[0] * part[1] if part else _pairs(self, n_pre, n_post, n_self)

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
    row_total: ClassVar[None] = None

    def __post_init__(self):
        p = self.p
        if not _is_number(p) or not 0 <= p <= 1:  # NaN too
            raise RuleError(f"FixedProb: p = {shown(p)} is not a probability. Give 0 <= p <= 1.")
        vars(self).update(p=float(p))

    def check(self, n_pre: int, n_post: int, n_self: int, where: str) -> None:
        """Always possible."""

    def expected(self, n_pre: int, n_post: int, n_self: int) -> float:
        return self.p * _pairs(self, n_pre, n_post, n_self)

    def bound(self, n_pre: int, n_post: int, n_self: int, part: Part | None = None) -> int:
        n = part[0] * part[1] if part else _pairs(self, n_pre, n_post, n_self)
        return _upper(n, self.p, n)

    def in_degree(self, n_pre: int, n_post: int, n_self: int) -> tuple[float, float]:
        n = _most_sources(self, n_pre, n_post, n_self)
        return n * self.p, sqrt(n * self.p * (1 - self.p))

    def counts(self, cells: Cells, first: int, last: int, blocks: np.ndarray) -> np.ndarray:
        from distdyn.ops import draw

        counts = np.empty((len(blocks), last - first), np.int64)
        sizes = np.unique(np.diff(cells.block_start)[blocks])
        table = binomials(np.union1d(sizes, sizes - 1), self.p)  # - 1: without itself
        draw.bernoulli_counts(
            cells.key, round(self.p * 2**62), tuple(table), first, cells.own[first:last], blocks,
            cells.block_start, counts,
        )  # fmt: skip
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

    def bound(self, n_pre: int, n_post: int, n_self: int, part: Part | None = None) -> int:
        rows, targets = part or (n_pre, n_post)
        return _degree_bound(self, rows, targets, n_post, n_self)

    def in_degree(self, n_pre: int, n_post: int, n_self: int) -> tuple[float, float]:
        if not self.n or not n_pre or not n_post:
            return 0.0, 0.0
        n_self = _selves(self, n_self)
        parts = [(n_pre - n_self, 1 / n_post)]
        if n_self:  # those have one target fewer; a post neuron that is a source lacks itself
            parts.append((n_self - int(n_self == n_post), 1 / max(1, n_post - 1)))
        draws = [(m * self.n, q) if self.multapses else (m, q * self.n) for m, q in parts]
        return sum(m * q for m, q in draws), sqrt(sum(m * q * (1 - q) for m, q in draws))

    @property
    def row_total(self) -> int:
        return self.n

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
    row_total: ClassVar[None] = None

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

    def bound(self, n_pre: int, n_post: int, n_self: int, part: Part | None = None) -> int:
        if part is None or not self.n:
            return self.n
        n = part[0] * part[1]
        share = min(1.0, n / _pairs(self, n_pre, n_post, n_self))
        return _upper(self.n, share, self.n if self.multapses else min(self.n, n))

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


@dataclass(frozen=True)
class FixedIndegree(AbstractPairRule):
    """Every post neuron has n synapses, from pre neurons drawn with or without replacement."""

    n: int
    autapses: bool = field(default=True, kw_only=True)
    multapses: bool = field(default=True, kw_only=True)
    is_drawn: ClassVar[bool] = True

    def __post_init__(self):
        vars(self).update(n=_count(self.n, "FixedIndegree: n"))

    def check(self, n_pre: int, n_post: int, n_self: int, where: str) -> None:
        if n_post:
            n_open = n_pre - int(bool(_selves(self, n_self)))
            _check_room(self, self.n, n_open, f"{where}: {self}", "sources of a post neuron")

    def expected(self, n_pre: int, n_post: int, n_self: int) -> float:
        return float(n_post * self.n)

    def bound(self, n_pre: int, n_post: int, n_self: int, part: Part | None = None) -> int:
        sources, rows = part or (n_pre, n_post)
        return _degree_bound(self, rows, sources, n_pre, n_self)

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
    is_drawn: ClassVar[bool] = False
    per_item: ClassVar[int] = 1

    def check(self, n_pre: int, n_post: int, n_self: int, where: str) -> None:
        if n_pre != n_post:
            raise RuleError(
                f"{where}: OneToOne() joins ends of different sizes, {n_pre} and {n_post}. Use "
                "slices of one size."
            )

    def expected(self, n_pre: int, n_post: int, n_self: int) -> float:
        return float(n_pre)

    def bound(self, n_pre: int, n_post: int, n_self: int, part: Part | None = None) -> int:
        return min(part) if part else n_post

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
    is_drawn: ClassVar[bool] = False
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

    def bound(self, n_pre: int, n_post: int, n_self: int, part: Part | None = None) -> int:
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


def _posts(ends: Ends, blocks: np.ndarray | None) -> np.ndarray:
    """The neurons of these blocks of the post end."""
    if blocks is None:
        return np.arange(ends.n_post)
    start = ends.block_start()
    ranges = [np.arange(*start[b : b + 2].tolist()) for b in blocks]
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


def _degree_bound(rule: Any, rows: int, asked: int, n_other: int, n_self: int) -> int:
    """Room for n synapses per row, if `asked` of the n_other neurons of the other end are."""
    total = rows * rule.n
    if asked == n_other or not total:
        return total
    n_open = n_other - int(bool(_selves(rule, n_self)))
    return _upper(
        total, min(1.0, asked / n_open), total if rule.multapses else min(total, rows * asked)
    )


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
    is_whole = _is_number(n) and isfinite(n) and n == int(n)
    if not is_whole or not 0 <= n < 1 << 62:
        raise RuleError(f"{what} = {shown(n)} is not a number of synapses. Give an integer >= 0.")
    return int(n)


def _is_number(x: Any) -> bool:
    return isinstance(x, Integral | Real) and not isinstance(x, bool)


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
