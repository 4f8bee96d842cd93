"""Metrics: how well a decomposition balances and what it cuts, as expected from a graph.

Nothing is drawn and no pair of parts is listed: the neurons of a population are alike, so what a
part sends is the rate of its neurons times the sum of their chances to reach each other part.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from partition.decomposition import Decomposition
from partition.graph import CommunicationGraph
from partition.topology import DecompositionError

LEVELS = ("device", "rank", "node")
BYTES_PER_SPIKE = 4
BYTES_PER_NEURON, BYTES_PER_SYNAPSE, BYTES_PER_SOURCE = 64, 8, 12


@dataclass(frozen=True, eq=False)
class Level:
    """What crosses between devices, between ranks, or between nodes.

    Attributes:
        synapses: share of the synapses whose two neurons are in different ones.
        spikes: spikes per second that leave one, each counted once for every other that it reaches.
        share: share of all spikes times the ones they reach, their own among them, that leave.
        sent: float64[k]: spikes per second that each sends to all others together.
    """

    synapses: float
    spikes: float
    share: float
    sent: np.ndarray


@dataclass(frozen=True, eq=False)
class Metrics:
    """A decomposition in numbers; one entry per part in each array.

    Attributes:
        neurons: of each part.
        synapses: that the neurons of each part receive, expected.
        work: seconds of one core per second of model time.
        sources: neurons anywhere that have targets in the part, expected.
        memory: bytes of neurons, synapses and sources.
        levels: what crosses between devices, ranks and nodes.
        interval: ms between two exchanges.
    """

    neurons: np.ndarray
    synapses: np.ndarray
    work: np.ndarray
    sources: np.ndarray
    memory: np.ndarray
    levels: dict[str, Level]
    interval: float

    def bytes_per_exchange(self, level: str) -> float:
        """Bytes that cross at a level in one exchange, all together."""
        return self.levels[level].spikes * self.interval * 1e-3 * BYTES_PER_SPIKE

    def summary(self) -> dict[str, Any]:
        """Plain numbers: what `--json` prints."""
        per_part = {
            name: {
                "min": float(array.min()),
                "mean": float(array.mean()),
                "max": float(array.max()),
                "balance": balance(array),
            }
            for name, array in (
                ("neurons", self.neurons),
                ("synapses", self.synapses),
                ("work", self.work),
                ("sources", self.sources),
                ("memory", self.memory),
            )
        }
        cut = {
            name: {
                "synapses": level.synapses,
                "spikes": level.share,
                "spikes_per_second": level.spikes,
                "bytes_per_exchange": self.bytes_per_exchange(name),
            }
            for name, level in self.levels.items()
        }
        return {"parts": per_part, "cut": cut, "interval": self.interval}


def balance(loads: np.ndarray) -> float:
    """The largest load over the mean: 1 is perfect; 1 where there is nothing at all."""
    mean = float(np.mean(loads)) if len(loads) else 0.0
    return float(np.max(loads)) / mean if mean > 0 else 1.0


def measure(
    decomposition: Decomposition,
    graph: CommunicationGraph,
    *,
    interval: float = 0.1,
    bytes_per_neuron: float = BYTES_PER_NEURON,
    bytes_per_synapse: float = BYTES_PER_SYNAPSE,
    bytes_per_source: float = BYTES_PER_SOURCE,
) -> Metrics:
    """Measure a decomposition.

    Args:
        decomposition: who owns what.
        graph: of the same populations.
        interval: ms between two exchanges.
        bytes_per_neuron: state and input buffers of a neuron.
        bytes_per_synapse: of a synapse.
        bytes_per_source: of a neuron that has targets in a part, in that part.

    Raises:
        DecompositionError: decomposition and graph have different populations.
    """
    if decomposition.sizes != graph.sizes:
        raise DecompositionError(
            f"a decomposition of {len(decomposition.sizes)} populations with "
            f"{decomposition.size} neurons, and a graph of {len(graph.sizes)} with "
            f"{sum(graph.sizes)}. Give both of one network."
        )
    counts = counts_of(decomposition)
    owned = counts.sum(axis=0)
    synapses = graph.synapses_per_neuron @ counts
    sources = np.zeros(decomposition.parts)
    for pre, size in enumerate(graph.sizes):
        sources += size * graph.reach(pre, counts)
    topology = decomposition.topology
    places = (np.arange(topology.parts), topology.ranks_of_parts, topology.nodes_of_parts)
    return Metrics(
        neurons=owned,
        synapses=synapses,
        work=graph.work_per_neuron @ counts,
        sources=sources,
        memory=bytes_per_neuron * owned + bytes_per_synapse * synapses + bytes_per_source * sources,
        levels={
            name: level_of(graph, gathered(counts, place))
            for name, place in zip(LEVELS, places, strict=True)
        },
        interval=interval,
    )


def counts_of(decomposition: Decomposition) -> np.ndarray:
    """int64[population, part]: how many neurons of each population each part owns."""
    counts = np.zeros((len(decomposition.sizes), decomposition.parts), np.int64)
    for population in range(len(decomposition.sizes)):
        counts[population] = decomposition.counts(population)
    return counts


def gathered(counts: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Counts per rank or node from counts per part; `place` ascends."""
    starts = np.flatnonzero(np.diff(place, prepend=-1))
    return np.add.reduceat(counts, starts, axis=1)


def level_of(graph: CommunicationGraph, counts: np.ndarray) -> Level:
    """What crosses between places that hold these counts, [population, place]."""
    sent, all_spikes = np.zeros(counts.shape[1]), 0.0
    for pre in sorted({flow.pre for flow in graph.flows}):
        reach = graph.reach(pre, counts)
        emitted = counts[pre] * graph.rates[pre]
        sent += emitted * (reach.sum() - reach)
        all_spikes += float(emitted.sum() * reach.sum())
    together = counts.astype(np.float64) @ counts.T  # pairs of neurons that are in one place
    pairs = np.outer(np.array(graph.sizes, np.float64), graph.sizes)
    total = sum(flow.synapses for flow in graph.flows)
    crossing = sum(
        flow.synapses * (1 - together[flow.pre, flow.post] / pairs[flow.pre, flow.post])
        for flow in graph.flows
        if flow.synapses
    )
    spikes = float(sent.sum())
    return Level(
        synapses=max(0.0, crossing / total) if total else 0.0,
        spikes=spikes,
        share=spikes / all_spikes if all_spikes else 0.0,
        sent=sent,
    )
