"""Traffic: what parts send to each other, how often, and in lists of what length, as expected."""

from dataclasses import dataclass

import numpy as np

from distdyn.network.ends import block_size
from distdyn.network.network import Graph
from distdyn.parallel.exchange.neighbours import LIST_BYTES, MOST_INTERVAL
from distdyn.parallel.plan.footprint import Footprint, kind_of
from distdyn.parallel.shard import EVENT_ROOM
from partition import CommunicationGraph, Flow
from partition.metrics import gathered

SPIKE_BYTES = 4
MESSAGE_BYTES = 48  # of a message between ranks, before the first spike
BURST = 10  # times the expected spikes: what lists are thought to hold at some time


@dataclass(frozen=True, eq=False)
class Exchanges:
    """What is exchanged inside nodes or between them.

    Attributes:
        delay: the shortest delay, in steps, of a synapse that crosses; None: none does.
        interval: steps between two exchanges; None: there is nothing to exchange.
        spikes: float64[rank]: spikes per second that each rank sends, once for each receiver.
        messages: how many messages a rank sends in an exchange, at most; 0 for shared memory.
    """

    delay: int | None
    interval: int | None
    spikes: np.ndarray
    messages: int

    def per_exchange(self, dt: float) -> np.ndarray:
        """float64[rank]: bytes that each rank sends in an exchange."""
        if self.interval is None:
            return np.zeros(len(self.spikes))
        return self.spikes * self.interval * dt * 1e-3 * SPIKE_BYTES + MESSAGE_BYTES * self.messages

    def per_second(self, dt: float) -> np.ndarray:
        """float64[rank]: bytes that each rank sends per second of model time."""
        if self.interval is None:
            return np.zeros(len(self.spikes))
        return self.per_exchange(dt) / (self.interval * dt * 1e-3)


def communication(graph: Graph, rate: float) -> CommunicationGraph:
    """The communication graph of a network whose neurons all fire at this rate."""
    order = {path: index for index, path in enumerate(graph.populations)}
    flows = []
    for projection in graph.projections.values():
        ends, synapses = projection.ends, projection.expected_synapses
        if not synapses:
            continue
        for pre in projection.pre:
            for post in projection.post:
                share = pre.size / ends.n_pre * (post.size / ends.n_post)
                between = order[graph.path(pre.population)], order[graph.path(post.population)]
                kind = kind_of(projection.rule)
                flows.append(Flow(*between, synapses * share, kind, pre.size, post.size))
    sizes = [population.size for population in graph.populations.values()]
    return CommunicationGraph(sizes, [block_size(size) for size in sizes], flows, rate)


def exchanges(
    found: Footprint, flows: CommunicationGraph, counts: np.ndarray
) -> tuple[Exchanges, Exchanges]:
    """Exchanges inside nodes and between them."""
    topology = found.census.decomposition.topology
    node_of_rank = np.array(topology.node_of)
    on_rank = gathered(counts, topology.ranks_of_parts)
    near = np.zeros(topology.ranks)  # spikes/s, once for each other rank of the node
    far = np.zeros(topology.ranks)
    for pre in sorted({flow.pre for flow in flows.flows}):
        reach = flows.reach(pre, on_rank)
        at_home = np.bincount(node_of_rank, reach)[node_of_rank]
        emitted = on_rank[pre] * flows.rates[pre]
        near += emitted * (at_home - reach)
        far += emitted * (reach.sum() - at_home)
    if topology.parts > topology.ranks:  # devices of a rank read the lists of each other
        near += (counts * flows.rates[:, None]).sum(axis=0).reshape(topology.ranks, -1).sum(axis=1)
    inside, between = _shortest(found)
    most = max((int(cells.max(initial=0)) for cells in found.cells), default=0)
    affordable = max(1, LIST_BYTES // (4 * max(1, most)))
    others = topology.ranks - int(np.bincount(node_of_rank).min())
    return (
        Exchanges(inside, inside and min(inside, MOST_INTERVAL, affordable), near, 0),
        Exchanges(between, between and min(between, affordable), far, others if between else 0),
    )


def _shortest(found: Footprint) -> tuple[int | None, int | None]:
    """The shortest delay of synapses between parts of one node, and between nodes."""
    topology, census = found.census.decomposition.topology, found.census
    node = topology.nodes_of_parts
    inside: int | None = None
    between: int | None = None
    for c in found.connections:
        pre = census.owned_by_all(
            [v for v in c.projection.pre if found.path(v) in found.groups[c.source].paths]
        ).astype(np.float64)
        post = found.posts(c).astype(np.float64)
        if not c.projection.expected_synapses:
            continue
        pre_node, post_node = np.bincount(node, pre), np.bincount(node, post)
        within = float(pre_node @ post_node)
        first = found.delays.first(c.delay, c.path)
        if within > float(pre @ post):
            inside = first if inside is None else min(inside, first)
        if float(pre.sum()) * float(post.sum()) > within:
            between = first if between is None else min(between, first)
    return inside, between


def list_bytes(found: Footprint, inside: Exchanges, between: Exchanges, rate: float) -> np.ndarray:
    """float64[part]: lists of a part's own spikes, and its box in the memory of its node.

    Boxes have room for every cell at every step; only what spikes need of them is ever touched,
    here `BURST` times what the rate makes expect.
    """
    near, far = inside.interval or 1, between.interval or 0
    total = np.zeros(found.census.decomposition.parts)
    for group, room in zip(found.groups, found.room, strict=True):
        if group.emitter is not None:  # a value of every cell at every step
            total += 4.0 * group.words * room * (near + far + 1)
            total += 8.0 * (near + group.words * room * near) if inside.interval else 0.0
            continue
        if not group.is_schedule:
            total += 4.0 * np.maximum(room * (near + far + 1), EVENT_ROOM)
        if inside.interval:
            spikes = room * near * min(1.0, BURST * rate * found.setting.dt * 1e-3)
            total += 8.0 * (near + spikes)
    return total
