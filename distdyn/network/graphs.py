"""The rules of rewired and of grown graphs: SmallWorld, ScaleFree, PowerLaw.

Their nodes are the places in both ends, which are of one size: node i is neuron i of the pre end as
a source, and neuron i of the post end as a target. An edge of an undirected graph is two synapses,
one each way. No node is joined to itself, and no two nodes twice.

Where the fate of an edge depends on those before it, every part of a network replays the whole
process, some 0.1 us an edge (with triangles, 1 to 3 us), and holds the graph while it draws: 16
bytes an edge, with triangles 24.
"""

from dataclasses import dataclass, field
from math import ceil, sqrt
from typing import Any, ClassVar, NamedTuple

import numpy as np

from distdyn.errors import RuleError
from distdyn.network.ends import Ends
from distdyn.network.rule import (
    AbstractPairRule,
    Key,
    Listing,
    Part,
    posts_of,
    probability,
    upper,
    whole_number,
)

MOST_EDGES = 1 << 30  # half-edges are numbered in 31 bits


class Neighbours(NamedTuple):
    """The sources of each node: those of node v are sources[begin[v]:begin[v + 1]]."""

    begin: np.ndarray
    sources: np.ndarray


@dataclass(frozen=True)
class SmallWorld(AbstractPairRule):
    """A ring in which every node is joined to its k nearest neighbours, partly rewired.

    Undirected, this is the graph of Watts and Strogatz: with probability p an edge keeps one end
    and gets another as the other, uniformly of all that are not yet joined to the first. Degrees
    have the mean k and the variance k p (2 - p) / 2; p = 0 is the ring, p = 1 nearly random.

    Directed, every neuron keeps k sources: each of the k synapses from its neighbours gets with
    probability p another source, uniformly of all that are not yet. Nothing is replayed: neurons
    are independent.

    Args:
        k: how many neighbours, an even number.
        p: the probability with which an edge is rewired.
        directed: whether synapses are rewired one by one.

    Source: Watts and Strogatz (1998), Nature 393, 440.
    """

    k: int
    p: float
    directed: bool = field(default=False, kw_only=True)
    autapses: ClassVar[bool] = True
    is_drawn: ClassVar[bool] = True
    is_uniform: ClassVar[bool] = False

    def __post_init__(self):
        k = whole_number(self.k, "SmallWorld: k", "neighbours")
        if k % 2:
            raise RuleError(f"SmallWorld: k = {k} is odd. Give as many neighbours on either side.")
        vars(self).update(k=k, p=probability(self.p, "SmallWorld: p"))

    def check(self, ends: Ends, where: str) -> None:
        _check_nodes(self, ends, self.k, ends.n_pre * self.k // 2, where)

    def expected(self, ends: Ends) -> float:
        return float(ends.n_post * self.k)

    def bound(self, ends: Ends, part: Part | None = None) -> int:
        return _share(self.expected(ends), 0.0, ends, part)

    def in_degree(self, ends: Ends) -> tuple[float, float]:
        if not ends.n_post:
            return 0.0, 0.0
        return float(self.k), 0.0 if self.directed else sqrt(self.k * self.p * (2 - self.p) / 2)

    def prepared(self, ends: Ends, key: Key) -> Neighbours | None:
        """The graph."""
        if self.directed:
            return None
        from distdyn.ops import graph_kernels

        n, half = ends.n_pre, self.k // 2
        others = np.empty(n * half, np.int32)
        graph_kernels.rewire_ring(key, half, _chance(self.p), n, others)
        return _neighbours(np.repeat(np.arange(n, dtype=np.int32), half), others, n, both=True)

    def width(self, listing: Listing) -> int:
        return self.k

    def items(self, ends: Ends, blocks: np.ndarray | None) -> np.ndarray:
        return posts_of(ends, blocks)

    def targets(self, items: np.ndarray) -> np.ndarray:
        return items

    def sources(self, listing: Listing, items: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if not self.directed:
            return _listed(listing.prepared, items)
        from distdyn.ops import graph_kernels

        found = np.empty(len(items) * self.k, np.int64)
        chance = _chance(self.p)
        graph_kernels.ring_sources(listing.key, self.k, chance, listing.n_pre, items, found)
        return np.arange(len(items) + 1) * self.k, found


@dataclass(frozen=True)
class ScaleFree(AbstractPairRule):
    """A graph that grows by preferential attachment (Barabasi and Albert): degrees k as k^-3.

    It begins as a star, node 0 in the middle of m others. Each of the next nodes is joined to m
    distinct older ones, chosen in proportion to their degrees. So the oldest, the first places of
    the ends, have the most synapses, about m sqrt(n / i). With m2 and p (the dual graph of Moshiri)
    a node brings m edges with probability p, else m2, and the star has max(m, m2) leaves.

    Args:
        m: how many edges a node brings, >= 1.
        m2: how many it brings else.
        p: with which probability it brings m.
        directed: whether an edge is one synapse, from the younger to the older, instead of two.

    Sources: Barabasi and Albert (1999), Science 286, 509; Moshiri (2018), arXiv:1810.10538.
    """

    m: int
    m2: int | None = None
    p: float | None = None
    directed: bool = field(default=False, kw_only=True)
    autapses: ClassVar[bool] = True
    is_drawn: ClassVar[bool] = True
    is_uniform: ClassVar[bool] = False

    def __post_init__(self):
        if (self.m2 is None) != (self.p is None):
            raise RuleError(
                f"ScaleFree: m2 = {self.m2} and p = {self.p}: one is given without the other. Give "
                "both, or none."
            )
        vars(self).update(m=_edges_of(self.m, "ScaleFree: m"))
        if self.m2 is not None:
            m2, p = _edges_of(self.m2, "ScaleFree: m2"), probability(self.p, "ScaleFree: p")
            vars(self).update(m2=m2, p=p)

    def check(self, ends: Ends, where: str) -> None:
        _check_nodes(self, ends, self._core, ends.n_pre * self._core, where)

    def expected(self, ends: Ends) -> float:
        return (2 - self.directed) * _edges_grown(ends.n_pre, self._core, self._mean)

    def bound(self, ends: Ends, part: Part | None = None) -> int:
        sd = 0.0
        if self.m2 is not None and self.p is not None:
            sd = 2 * abs(self.m - self.m2) * sqrt(self.p * (1 - self.p) * ends.n_pre)
        return _share(self.expected(ends), sd, ends, part)

    def in_degree(self, ends: Ends) -> tuple[float, float]:
        return _hub(ends.n_pre, self._core, self._mean)

    def prepared(self, ends: Ends, key: Key) -> Neighbours:
        """The graph."""
        from distdyn.ops import graph_kernels

        number = np.full(max(0, ends.n_pre - self._core - 1), self.m)
        if self.m2 is not None and self.p is not None:
            first, chance = self._core + 1, _chance(self.p)
            graph_kernels.numbers_of_edges(key, first, self.m, self.m2, chance, number)
        return _grown(key, self._core, number, 0.0, ends.n_pre, both=not self.directed)

    def width(self, listing: Listing) -> int:
        return 2 * self._core

    def items(self, ends: Ends, blocks: np.ndarray | None) -> np.ndarray:
        return posts_of(ends, blocks)

    def targets(self, items: np.ndarray) -> np.ndarray:
        return items

    def sources(self, listing: Listing, items: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return _listed(listing.prepared, items)

    @property
    def _core(self) -> int:
        return max(self.m, self.m2 or 0)

    @property
    def _mean(self) -> float:
        """How many edges a node brings on average."""
        if self.m2 is None or self.p is None:
            return float(self.m)
        return self.p * self.m + (1 - self.p) * self.m2


@dataclass(frozen=True)
class PowerLaw(AbstractPairRule):
    """A graph that grows as `ScaleFree(m)`, with many triangles (Holme and Kim).

    A new node is joined to a first older one by preferential attachment. Each of its further edges
    leads with probability p to a neighbour of that one, which closes a triangle, and else to
    another one by preferential attachment. Degrees k are as k^-3; clustering grows with p.

    Args:
        m: how many edges a node brings, >= 1.
        p: the probability of a triangle after each edge.
        directed: whether an edge is one synapse, from the younger to the older, instead of two.

    Source: Holme and Kim (2002), Phys. Rev. E 65, 026107.
    """

    m: int
    p: float
    directed: bool = field(default=False, kw_only=True)
    autapses: ClassVar[bool] = True
    is_drawn: ClassVar[bool] = True
    is_uniform: ClassVar[bool] = False

    def __post_init__(self):
        m, p = _edges_of(self.m, "PowerLaw: m"), probability(self.p, "PowerLaw: p")
        vars(self).update(m=m, p=p)

    def check(self, ends: Ends, where: str) -> None:
        _check_nodes(self, ends, self.m, ends.n_pre * self.m, where)

    def expected(self, ends: Ends) -> float:
        return (2 - self.directed) * _edges_grown(ends.n_pre, self.m, self.m)

    def bound(self, ends: Ends, part: Part | None = None) -> int:
        return _share(self.expected(ends), 0.0, ends, part)

    def in_degree(self, ends: Ends) -> tuple[float, float]:
        return _hub(ends.n_pre, self.m, self.m)

    def prepared(self, ends: Ends, key: Key) -> Neighbours:
        """The graph."""
        number = np.full(max(0, ends.n_pre - self.m - 1), self.m)
        return _grown(key, self.m, number, self.p, ends.n_pre, both=not self.directed)

    def width(self, listing: Listing) -> int:
        return 2 * self.m

    def items(self, ends: Ends, blocks: np.ndarray | None) -> np.ndarray:
        return posts_of(ends, blocks)

    def targets(self, items: np.ndarray) -> np.ndarray:
        return items

    def sources(self, listing: Listing, items: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return _listed(listing.prepared, items)


def _check_nodes(rule: Any, ends: Ends, least: int, n_edges: int, where: str) -> None:
    """Refuse ends that are not the nodes of one graph, or too few or too many of them."""
    if ends.n_pre != ends.n_post:
        raise RuleError(
            f"{where}: {rule} makes a graph of one set of nodes, but joins ends of different "
            f"sizes, {ends.n_pre} and {ends.n_post}. Use ends of one size."
        )
    if 0 < ends.n_pre <= least:
        raise RuleError(
            f"{where}: {rule} needs more than {least} neurons, found {ends.n_pre}. Use a larger "
            "population, or fewer edges."
        )
    if n_edges > MOST_EDGES:
        raise RuleError(
            f"{where}: {rule} makes a graph of {n_edges} edges, more than 2^30. Use fewer edges."
        )


def _share(expected: float, sd: float, ends: Ends, part: Part | None) -> int:
    """The mean + 8 sd of the synapses between some neurons (None: all), if all are alike."""
    total = ceil(expected + 8 * sd)
    n_pre, n_post = part or (ends.n_pre, ends.n_post)
    if part is None or not total or not n_pre * n_post:
        return total if part is None else 0
    return upper(total, min(1.0, n_pre * n_post / (ends.n_pre * ends.n_post)), total)


def _edges_grown(n: int, core: int, mean: float) -> float:
    return core + mean * (n - core - 1) if n else 0.0


def _hub(n: int, core: int, mean: float) -> tuple[float, float]:
    """Mean and standard deviation of the degree of node 0, by the rate at which it is chosen.

    When a node comes, there are E edges, and node 0 of degree k is chosen with the probability
    q = min(1, mean k / (2 E)), or less, for the same node is not chosen twice. At first q = 1; then
    E[k] grows by the factor 1 + a, a = mean / (2 E), and E[k^2] by 1 + 2 a, and by a E[k].
    """
    if not n:
        return 0.0, 0.0
    k, edges, left = core, float(core), n - core - 1
    while left and mean * k >= 2 * edges:
        k, edges, left = k + 1, edges + mean, left - 1
    a = mean / (2 * (edges + mean * np.arange(left)))
    first = k * np.cumprod(np.append(1.0, 1 + a))
    growth = np.cumprod(np.append(1.0, 1 + 2 * a))
    second = growth[-1] * (k**2 + np.sum(a * first[:-1] / growth[1:]))
    return float(first[-1]), sqrt(max(0.0, second - first[-1] ** 2))


def _grown(
    key: Key, core: int, number: np.ndarray, triangle: float, n: int, *, both: bool
) -> Neighbours:
    """The graph grown from a star, to which each further node brings a number of edges."""
    from distdyn.ops import graph_kernels

    if not n:
        return Neighbours(np.zeros(1, np.int64), np.zeros(0, np.int32))
    begin = np.cumsum(np.concatenate([[0, 0], np.ones(core, np.int64), number]))
    young, old = np.empty((2, begin[-1]), np.int32)
    graph_kernels.grow(key, core, begin, _chance(triangle), young, old)
    return _neighbours(young, old, n, both=both)


def _neighbours(a: np.ndarray, b: np.ndarray, n: int, *, both: bool) -> Neighbours:
    from distdyn.ops import graph_kernels

    begin, sources = np.empty(n + 1, np.int64), np.empty(len(a) * (1 + both), np.int32)
    graph_kernels.adjacency(a, b, both, begin, sources)
    return Neighbours(begin, sources)


def _listed(graph: Neighbours, items: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The sources of some nodes."""
    first, n = graph.begin[items], np.diff(graph.begin)[items]
    begin = np.cumsum(np.append(0, n))
    index = np.arange(begin[-1]) + np.repeat(first - begin[:-1], n)
    return begin, graph.sources[index].astype(np.int64)


def _chance(p: float) -> int:
    return round(p * 2.0**62)


def _edges_of(m: Any, what: str) -> int:
    m = whole_number(m, what, "edges")
    if not m:
        raise RuleError(f"{what} = 0: a node that brings no edge is in no graph. Give m >= 1.")
    return m
