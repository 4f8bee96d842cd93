"""The rules without structure, and where each draws its rows (`counts`, `sources`).

Those of space are in `spatial`, those of rewired and grown graphs in `graphs`, pairs in `edges`.
"""

from dataclasses import dataclass, field
from math import sqrt
from typing import Any, ClassVar

import numpy as np

from distdyn.errors import RuleError
from distdyn.network.ends import Ends
from distdyn.network.rule import (
    AbstractCellRule,
    AbstractPairRule,
    Cells,
    Key,
    Listing,
    Part,
    posts_of,
    probability,
    upper,
    whole_number,
)
from distdyn.ops.values import binomials


@dataclass(frozen=True)
class AllToAll(AbstractCellRule):
    """Every pre neuron connects to every post neuron once."""

    autapses: bool = field(default=True, kw_only=True)
    multapses: ClassVar[bool] = False
    row_total: ClassVar[None] = None

    def check(self, ends: Ends, where: str) -> None:
        """Always possible."""

    def expected(self, ends: Ends) -> float:
        return float(_pairs(self, ends))

    def bound(self, ends: Ends, part: Part | None = None) -> int:
        return part[0] * part[1] if part else _pairs(self, ends)

    def in_degree(self, ends: Ends) -> tuple[float, float]:
        return float(_most_sources(self, ends)), 0.0

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
        vars(self).update(p=probability(self.p, "FixedProb: p"))

    def check(self, ends: Ends, where: str) -> None:
        """Always possible."""

    def expected(self, ends: Ends) -> float:
        return self.p * _pairs(self, ends)

    def bound(self, ends: Ends, part: Part | None = None) -> int:
        n = part[0] * part[1] if part else _pairs(self, ends)
        return upper(n, self.p, n)

    def in_degree(self, ends: Ends) -> tuple[float, float]:
        n = _most_sources(self, ends)
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
        vars(self).update(n=whole_number(self.n, "FixedOutdegree: n"))

    def check(self, ends: Ends, where: str) -> None:
        if ends.n_pre:
            n_open = ends.n_post - int(bool(_selves(self, ends)))
            _check_room(self, self.n, n_open, f"{where}: {self}", "targets of a pre neuron")

    def expected(self, ends: Ends) -> float:
        return float(ends.n_pre * self.n)

    def bound(self, ends: Ends, part: Part | None = None) -> int:
        rows, targets = part or (ends.n_pre, ends.n_post)
        return _degree_bound(self, rows, targets, ends.n_post, ends)

    def in_degree(self, ends: Ends) -> tuple[float, float]:
        if not self.n or not ends.n_pre or not ends.n_post:
            return 0.0, 0.0
        n_self = _selves(self, ends)
        parts = [(ends.n_pre - n_self, 1 / ends.n_post)]
        if n_self:  # those have one target fewer; a post neuron that is a source lacks itself
            parts.append((n_self - int(n_self == ends.n_post), 1 / max(1, ends.n_post - 1)))
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
        vars(self).update(n=whole_number(self.n, "FixedTotal: n"))

    def check(self, ends: Ends, where: str) -> None:
        n_open = _pairs(self, ends)
        if n_open >= 1 << 62:
            raise RuleError(
                f"{where}: {self} chooses among {n_open:.3g} pairs, more than 2^62. Split the "
                "projection."
            )
        _check_room(self, self.n, n_open, f"{where}: {self}", "pairs")

    def expected(self, ends: Ends) -> float:
        return float(self.n)

    def bound(self, ends: Ends, part: Part | None = None) -> int:
        if part is None or not self.n:
            return self.n
        n = part[0] * part[1]
        share = min(1.0, n / _pairs(self, ends))
        return upper(self.n, share, self.n if self.multapses else min(self.n, n))

    def in_degree(self, ends: Ends) -> tuple[float, float]:
        n_open = _pairs(self, ends)
        if not self.n or not n_open:
            return 0.0, 0.0
        share = _most_sources(self, ends) / n_open
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
    is_uniform: ClassVar[bool] = True

    def __post_init__(self):
        vars(self).update(n=whole_number(self.n, "FixedIndegree: n"))

    def check(self, ends: Ends, where: str) -> None:
        if ends.n_post:
            n_open = ends.n_pre - int(bool(_selves(self, ends)))
            _check_room(self, self.n, n_open, f"{where}: {self}", "sources of a post neuron")

    def expected(self, ends: Ends) -> float:
        return float(ends.n_post * self.n)

    def bound(self, ends: Ends, part: Part | None = None) -> int:
        sources, rows = part or (ends.n_pre, ends.n_post)
        return _degree_bound(self, rows, sources, ends.n_pre, ends)

    def in_degree(self, ends: Ends) -> tuple[float, float]:
        return float(self.n), 0.0

    def prepared(self, ends: Ends, key: Key) -> None:
        """Nothing."""

    def width(self, listing: Listing) -> int:
        return self.n

    def items(self, ends: Ends, blocks: np.ndarray | None) -> np.ndarray:
        return posts_of(ends, blocks)

    def targets(self, items: np.ndarray) -> np.ndarray:
        return items

    def sources(self, listing: Listing, items: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        from distdyn.ops import draw

        sources = np.empty(len(items) * self.n, np.int64)
        own = np.full(len(items), -1, np.int64) if self.autapses else listing.own[items]
        draw.indegree_sources(
            listing.key, self.n, self.multapses, items, own, listing.n_pre, sources
        )
        return np.arange(len(items) + 1) * self.n, sources


@dataclass(frozen=True)
class OneToOne(AbstractPairRule):
    """Neuron i of the pre end connects to neuron i of the post end, which is as long."""

    autapses: ClassVar[bool] = True
    is_drawn: ClassVar[bool] = False
    is_uniform: ClassVar[bool] = False

    def check(self, ends: Ends, where: str) -> None:
        if ends.n_pre != ends.n_post:
            raise RuleError(
                f"{where}: OneToOne() joins ends of different sizes, {ends.n_pre} and "
                f"{ends.n_post}. Use slices of one size."
            )

    def expected(self, ends: Ends) -> float:
        return float(ends.n_pre)

    def bound(self, ends: Ends, part: Part | None = None) -> int:
        return min(part) if part else ends.n_post

    def in_degree(self, ends: Ends) -> tuple[float, float]:
        return float(ends.n_post > 0), 0.0

    def prepared(self, ends: Ends, key: Key) -> None:
        """Nothing."""

    def width(self, listing: Listing) -> int:
        return 1

    def items(self, ends: Ends, blocks: np.ndarray | None) -> np.ndarray:
        return posts_of(ends, blocks)

    def targets(self, items: np.ndarray) -> np.ndarray:
        return items

    def sources(self, listing: Listing, items: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.arange(len(items) + 1), items


def _selves(rule: Any, ends: Ends) -> int:
    """How many pairs are excluded."""
    return 0 if rule.autapses else ends.n_self


def _pairs(rule: Any, ends: Ends) -> int:
    """How many pairs are allowed."""
    return ends.n_pre * ends.n_post - _selves(rule, ends)


def _most_sources(rule: Any, ends: Ends) -> int:
    """How many sources a post neuron may have: all but itself where every post neuron is one."""
    return ends.n_pre - int(0 < _selves(rule, ends) == ends.n_post) if ends.n_post else 0


def _degree_bound(rule: Any, rows: int, asked: int, n_other: int, ends: Ends) -> int:
    """Room for n synapses per row, if `asked` of the n_other neurons of the other end are."""
    total = rows * rule.n
    if asked == n_other or not total:
        return total
    n_open = n_other - int(bool(_selves(rule, ends)))
    return upper(
        total, min(1.0, asked / n_open), total if rule.multapses else min(total, rows * asked)
    )


def _check_room(rule: Any, n: int, n_open: int, what: str, of: str) -> None:
    is_impossible = n > 0 and n_open <= 0 if rule.multapses else n > n_open
    if is_impossible:
        kept = "" if rule.autapses else ", autapses excluded"
        allow = ", or allow multapses" if not rule.multapses and n_open > 0 else ""
        raise RuleError(
            f"{what} asks for {n} among {max(0, n_open)} {of}{kept}. Use n <= "
            f"{max(0, n_open)}{allow}."
        )
