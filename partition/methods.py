"""Methods: how blocks are dealt to parts. All deal whole blocks, and all give every block.

    round_robin   in turn, population by population: balanced, and the default
    contiguous    neighbours stay together: parts are runs of about equal work
    weighted      the heaviest block first, each to the part with the least work so far
    by_area       areas stay on as few nodes as possible; in turn inside
    multilevel    few spikes between parts, by METIS (package pymetis), nodes first

Where connections are random every method cuts about the same, and `round_robin` balances best. A
method is a function of its arguments alone: every rank that calls it gets the same decomposition.
"""

import heapq
from collections.abc import Hashable, Sequence

import numpy as np

from partition.decomposition import Decomposition, checked_sizes
from partition.graph import CommunicationGraph
from partition.topology import DecompositionError, Topology, positive

METHODS = ("round_robin", "contiguous", "weighted", "by_area", "multilevel")
HEAVY = 1.5  # an area with more work than so many fair shares of a node is split over several


def decompose(
    graph: CommunicationGraph,
    topology: Topology,
    method: str = "round_robin",
    *,
    areas: Sequence[Hashable] | None = None,
) -> Decomposition:
    """Deal the blocks of a graph to the parts of a topology.

    Args:
        graph: sizes, blocks and work.
        topology: the parts.
        method: one of `METHODS`.
        areas: the area of each population; for `by_area`.

    Raises:
        DecompositionError: the method is unknown, or lacks what it needs.
    """
    if method == "round_robin":
        return round_robin(graph.sizes, graph.blocks, topology)
    if method == "by_area":
        if areas is None:
            raise DecompositionError("by_area needs `areas`: the area of each population.")
        return by_area(graph, topology, areas)
    methods = {"contiguous": contiguous, "weighted": weighted, "multilevel": multilevel}
    if method not in methods:
        raise DecompositionError(f'method "{method}" is unknown. Use one of {", ".join(METHODS)}.')
    return methods[method](graph, topology)


def round_robin(
    sizes: Sequence[int], blocks: Sequence[int], parts: int | Topology
) -> Decomposition:
    """Deal whole blocks in turn, population by population, going on where the last one ended.

    Each part gets the same number of blocks of each population, within one.

    Args:
        sizes: neurons of each population.
        blocks: neurons per block of each population.
        parts: how many parts, devices of one rank; or where they live.

    Raises:
        DecompositionError: there is no part, or a size is not possible.
    """
    topology = _topology(parts)
    sizes, blocks = checked_sizes(sizes, blocks)
    owners, dealt = [], 0
    for size, block in zip(sizes, blocks, strict=True):
        count = -(-size // block)
        owners.append((dealt + np.arange(count)) % topology.parts)
        dealt += count
    return Decomposition(sizes, blocks, tuple(owners), topology.parts, topology)


def contiguous(graph: CommunicationGraph, parts: int | Topology) -> Decomposition:
    """Cut the blocks, in order, into runs of about equal work."""
    topology = _topology(parts)
    work = graph.work
    middle = np.cumsum(work) - work / 2
    share = middle / work.sum() if work.size else middle
    owner = np.minimum((share * topology.parts).astype(np.int64), topology.parts - 1)
    return _decomposition(graph, topology, owner)


def weighted(graph: CommunicationGraph, parts: int | Topology) -> Decomposition:
    """Give the heaviest block that is left to the part that has the least work so far."""
    topology = _topology(parts)
    work = graph.work
    owner = np.zeros(len(work), np.int64)
    loads = [(0.0, part) for part in range(topology.parts)]
    for block in np.argsort(-work, kind="stable").tolist():
        load, part = loads[0]
        owner[block] = part
        heapq.heapreplace(loads, (load + float(work[block]), part))
    return _decomposition(graph, topology, owner)


def by_area(
    graph: CommunicationGraph, parts: int | Topology, areas: Sequence[Hashable]
) -> Decomposition:
    """Keep each area on as few nodes as possible, and deal its blocks in turn to their parts.

    The heaviest area comes first, to the node with the least work; one that is heavier than 1.5
    fair shares of a node gets as many nodes as it has shares.

    Args:
        graph: sizes, blocks and work.
        parts: how many parts, devices of one rank; or where they live.
        areas: the area of each population: any label.
    """
    topology = _topology(parts)
    if len(areas) != len(graph.sizes):
        raise DecompositionError(
            f"{len(areas)} areas for {len(graph.sizes)} populations. Give one for each."
        )
    populations: dict[Hashable, list[int]] = {}
    for population, area in enumerate(areas):
        populations.setdefault(area, []).append(population)
    sizes = np.array(graph.sizes, np.float64)
    work = {a: float((sizes * graph.work_per_neuron)[of].sum()) for a, of in populations.items()}
    capacity = np.bincount(topology.nodes_of_parts, minlength=topology.nodes)  # parts of each node
    fair = sum(work.values()) / topology.nodes
    load, dealt = np.zeros(topology.nodes), {}
    owner = np.zeros(graph.starts[-1], np.int64)
    for area in sorted(populations, key=lambda a: -work[a]):  # stable: equal ones in order
        n_nodes = 1 if work[area] <= HEAVY * fair else round(work[area] / fair)
        nodes = np.sort(np.argsort(load / capacity, kind="stable")[:n_nodes])
        load[nodes] += work[area] * capacity[nodes] / capacity[nodes].sum()
        members = np.flatnonzero(np.isin(topology.nodes_of_parts, nodes))
        begin = dealt.get(tuple(nodes), 0)
        for population in populations[area]:
            vertices = np.arange(*graph.starts[population : population + 2])
            owner[vertices] = members[(begin + np.arange(len(vertices))) % len(members)]
            begin += len(vertices)
        dealt[tuple(nodes)] = begin
    return _decomposition(graph, topology, owner)


def multilevel(graph: CommunicationGraph, parts: int | Topology) -> Decomposition:
    """Let METIS look for parts of equal work with few spikes between them: nodes, then inside.

    Raises:
        DecompositionError: pymetis is not installed, or the graph has too many edges.
    """
    topology = _topology(parts)
    first, second, weight = graph.edges()
    node_of_part = topology.nodes_of_parts
    share = np.bincount(node_of_part) / topology.parts
    edges = first, second, weight
    node = _metis(graph.work, edges, share)
    owner = np.zeros(len(node), np.int64)
    for k in range(topology.nodes):
        here, members = np.flatnonzero(node == k), np.flatnonzero(node_of_part == k)
        inside = (node[first] == k) & (node[second] == k)
        place = np.full(len(node), -1)
        place[here] = np.arange(len(here))
        edges = place[first[inside]], place[second[inside]], weight[inside]
        equal = np.full(len(members), 1 / len(members))
        owner[here] = members[_metis(graph.work[here], edges, equal)]
    return _decomposition(graph, topology, owner)


def _metis(
    work: np.ndarray, edges: tuple[np.ndarray, np.ndarray, np.ndarray], shares: np.ndarray
) -> np.ndarray:
    """The piece of each vertex; pieces get these shares of the work."""
    try:
        import pymetis  # pyright: ignore[reportMissingImports]  # optional
    except ImportError as error:
        raise DecompositionError(
            "the method multilevel needs pymetis. Install it: pip install 'distdyn[partition]', "
            'or use method "weighted".'
        ) from error
    n, pieces = len(work), len(shares)
    first, second, weight = edges
    if n <= pieces or pieces == 1 or not len(weight):  # METIS has nothing to decide
        owner = np.empty(n, np.int64)
        owner[np.argsort(-work, kind="stable")] = np.arange(n) % pieces
        return owner
    ends = np.concatenate([first, second]), np.concatenate([second, first])
    order = np.lexsort(ends[::-1])
    start = np.searchsorted(ends[0][order], np.arange(n + 1))
    graph = pymetis.CSRAdjacency(
        start.astype(np.int32).tolist(), ends[1][order].astype(np.int32).tolist()
    )
    heights = _integers(np.concatenate([weight, weight])[order])
    _, owner = pymetis.part_graph(
        pieces,
        graph,
        vweights=_integers(work),
        eweights=heights,
        tpwgts=None if np.allclose(shares, shares[0]) else (shares / shares.sum()).tolist(),
    )
    return np.asarray(owner, np.int64)


def _integers(weights: np.ndarray) -> list[int]:
    """The weights as integers from 1 to about 1000, as METIS wants them."""
    largest = float(np.max(weights, initial=0.0)) or 1.0
    return np.maximum(1, np.rint(weights / largest * 1000)).astype(np.int64).tolist()


def _topology(parts: int | Topology) -> Topology:
    if isinstance(parts, Topology):
        return parts
    return Topology.regular(1, positive(parts, "parts"))


def _decomposition(
    graph: CommunicationGraph, topology: Topology, owner: np.ndarray
) -> Decomposition:
    owners = tuple(np.split(owner, graph.starts[1:-1])) if graph.sizes else ()
    return Decomposition(graph.sizes, graph.blocks, owners, topology.parts, topology)
