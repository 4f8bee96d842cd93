"""The communication graph of a network: who sends how many spikes to whom, without an edge list.

Vertices are draw blocks. All blocks of one population look alike, so the graph is a few numbers per
population (`sizes`, `blocks`, `rates`) and per pair of populations (`Flow`), whatever the size of
the network; weights of vertices and edges are computed when they are asked for. The chance that a
neuron reaches at least one of t target neurons, out of n, with k synapses on average, is

    pairs      1 - (1 - k / n)^t       every pair is drawn by itself
    outdegree  1 - (1 - t / n)^k       k synapses, each to a target of its own choice
    poisson    1 - exp(-k t / n)       synapses drawn one by one among all pairs

so that one to one connections are "outdegree" with k = 1.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from partition.decomposition import checked_sizes
from partition.topology import DecompositionError

KINDS = ("pairs", "outdegree", "poisson")
UPDATE_SECONDS = 1.6e-5  # to advance one neuron for 1 s of model time: 1.6 ns per step of 0.1 ms
EVENT_SECONDS = 3.5e-9  # to deliver one synaptic event
MOST_EDGES = 1 << 24  # that are listed for a graph partitioner
_NEVER = -1000.0  # a logarithm


class Flow(NamedTuple):
    """The synapses from one population to another.

    Attributes:
        pre, post: populations, by index.
        synapses: the expected number of synapses.
        kind: how they are drawn: "pairs", "outdegree" or "poisson".
        sources: how many neurons of `pre` can have them; None: all.
        targets: how many neurons of `post` can have them; None: all.
    """

    pre: int
    post: int
    synapses: float
    kind: str = "poisson"
    sources: int | None = None
    targets: int | None = None


@dataclass(frozen=True, eq=False)
class CommunicationGraph:
    """Populations in blocks, what flows between them, and how often they fire.

    Attributes:
        sizes: neurons of each population.
        blocks: neurons per block of each population.
        flows: synapses between populations; several for one pair add up.
        rates: spikes per second of each population, or of all.
    """

    sizes: tuple[int, ...]
    blocks: tuple[int, ...]
    flows: tuple[Flow, ...]
    rates: np.ndarray

    def __init__(
        self, sizes: Sequence[int], blocks: Sequence[int], flows: Sequence[Flow], rates: Any = 8.0
    ) -> None:
        if len(sizes) != len(blocks):
            raise DecompositionError(
                f"{len(sizes)} sizes and {len(blocks)} blocks. Give one of each per population."
            )
        sizes, blocks = checked_sizes(sizes, blocks)
        flows = tuple(_checked_flow(flow, sizes) for flow in flows)
        hertz = np.asarray(rates, np.float64)
        if hertz.shape not in ((), (len(sizes),)) or not (np.isfinite(hertz) & (hertz >= 0)).all():
            raise DecompositionError(
                f"rates = {rates} Hz are not possible. Give one finite rate >= 0, or one for each "
                f"of the {len(sizes)} populations."
            )
        rates = np.broadcast_to(hertz, (len(sizes),))
        for name, value in {"sizes": sizes, "blocks": blocks, "flows": flows}.items():
            object.__setattr__(self, name, value)
        object.__setattr__(self, "rates", rates)

    # --- vertices --------------------------------------------------------------------------------

    @cached_property
    def starts(self) -> np.ndarray:
        """int64[population + 1]: the first vertex of each population, and how many there are."""
        counts = [-(-n // block) for n, block in zip(self.sizes, self.blocks, strict=True)]
        return np.concatenate([[0], np.cumsum(counts, dtype=np.int64)]).astype(np.int64)

    @property
    def populations(self) -> np.ndarray:
        """int64[vertex]: the population of each vertex."""
        return np.repeat(np.arange(len(self.sizes)), np.diff(self.starts))

    @property
    def neurons(self) -> np.ndarray:
        """int64[vertex]: how many neurons each vertex has."""
        neurons = np.repeat(np.array(self.blocks, np.int64), np.diff(self.starts))
        for k, size in enumerate(self.sizes):
            if size:
                neurons[self.starts[k + 1] - 1] -= -size % self.blocks[k]
        return neurons

    @cached_property
    def synapses_per_neuron(self) -> np.ndarray:
        """float64[population]: synapses onto a neuron, on average."""
        found = np.zeros(len(self.sizes))
        for flow in self.flows:
            found[flow.post] += flow.synapses / max(1, self.sizes[flow.post])
        return found

    @cached_property
    def work_per_neuron(self) -> np.ndarray:
        """float64[population]: seconds of one core per second of model time and neuron."""
        events = np.zeros(len(self.sizes))
        for flow in self.flows:
            rate = flow.synapses * self.rates[flow.pre]
            events[flow.post] += rate / max(1, self.sizes[flow.post])
        return UPDATE_SECONDS + EVENT_SECONDS * events

    @property
    def work(self) -> np.ndarray:
        """float64[vertex]: the weight of each vertex."""
        return self.neurons * self.work_per_neuron[self.populations]

    # --- edges -----------------------------------------------------------------------------------

    def log_miss(self, pre: int, counts: np.ndarray) -> np.ndarray:
        """The logarithm of the chance that a neuron has no target in places of these sizes.

        Args:
            pre: its population.
            counts: [population, place]; how many neurons of each population a place holds.
        """
        counts = np.asarray(counts, np.float64)
        total = -(self._per_target[pre] @ counts)
        for flow in self._others:
            if flow.pre == pre:
                total += self._log_miss_of(flow, counts[flow.post])
        return total

    @cached_property
    def _per_target(self) -> np.ndarray:
        """[pre, post]: what each target adds to -log(miss), by the flows where that is so."""
        found = np.zeros((len(self.sizes), len(self.sizes)))
        for flow in self.flows:
            if not self._is_other(flow):
                found[flow.pre, flow.post] -= self._log_miss_of(flow, np.ones(1))[0]
        return found

    @cached_property
    def _others(self) -> list[Flow]:
        return [flow for flow in self.flows if self._is_other(flow)]

    def _is_other(self, flow: Flow) -> bool:
        """Whether the logarithm is not linear in the number of targets."""
        return flow.kind == "outdegree" or flow.sources not in (None, self.sizes[flow.pre])

    def _log_miss_of(self, flow: Flow, counts: np.ndarray) -> np.ndarray:
        n_pre, n_post = self.sizes[flow.pre], self.sizes[flow.post]
        if not n_pre or not n_post:
            return np.zeros(counts.shape)
        sources = n_pre if flow.sources is None else flow.sources
        targets = n_post if flow.targets is None else flow.targets
        k = flow.synapses / max(1, sources)
        miss = log_miss(flow.kind, k, targets, counts * (targets / n_post))
        return miss if sources == n_pre else some_miss(miss, sources / n_pre)

    def reach(self, pre: int, counts: np.ndarray) -> np.ndarray:
        """The chance that a neuron of a population has a target in places of these sizes."""
        return -np.expm1(self.log_miss(pre, counts))

    def edges(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """All edges: two vertices, the first the lower one, and the spikes/s between them.

        The weight counts a spike once for each other block that it reaches, in both directions.

        Raises:
            DecompositionError: there are too many to list.
        """
        n, joined = int(self.starts[-1]), {(flow.pre, flow.post) for flow in self.flows}
        blocks = np.diff(self.starts)
        count = sum(int(blocks[a]) * int(blocks[b]) for a, b in joined)
        if count > MOST_EDGES:
            raise DecompositionError(
                f"the graph of {n} blocks has {count:,} edges, more than {MOST_EDGES:,}. Use a "
                'method without a graph, such as "weighted" or "by_area", or larger blocks.'
            )
        neurons, first, second, weight = self.neurons, [], [], []
        for a, b in sorted(joined):
            places = np.zeros((len(self.sizes), blocks[b]), np.int64)
            places[b] = neurons[self.starts[b] : self.starts[b + 1]]
            senders = neurons[self.starts[a] : self.starts[a + 1]] * self.rates[a]
            spikes = senders[:, None] * self.reach(a, places)[None, :]
            from_a, to_b = np.indices(spikes.shape).reshape(2, -1)
            from_a, to_b = from_a + self.starts[a], to_b + self.starts[b]
            first.append(np.minimum(from_a, to_b))
            second.append(np.maximum(from_a, to_b))
            weight.append(spikes.ravel())
        if not first:
            return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0)
        key = np.concatenate(first) * n + np.concatenate(second)
        key, index = np.unique(key, return_inverse=True)
        total = np.bincount(index, np.concatenate(weight), len(key))
        kept = (key // n != key % n) & (total > 0)
        return key[kept] // n, key[kept] % n, total[kept]


def log_miss(kind: str, k: float, n: float, t: np.ndarray) -> np.ndarray:
    """The logarithm of the chance to have none of t targets out of n with k synapses on average.

    Where it would be minus infinity it is -1000 or less: e to that power is zero.
    """
    t = np.asarray(t, np.float64)
    if k <= 0 or n <= 0:
        return np.zeros(t.shape)
    if kind == "poisson":
        return -k * t / n
    with np.errstate(divide="ignore"):
        if kind == "pairs":
            return t * max(_NEVER, float(np.log1p(-min(1.0, k / n))))
        return np.maximum(_NEVER, k * np.log1p(-np.minimum(1.0, t / n)))


def some_miss(miss: np.ndarray, share: float) -> np.ndarray:
    """The same logarithm for a neuron that takes part with a chance of `share` only."""
    with np.errstate(divide="ignore"):
        return np.maximum(_NEVER, np.log1p(share * np.expm1(miss)))


def _checked_flow(flow: Flow, sizes: tuple[int, ...]) -> Flow:
    flow = Flow(*flow)
    ends = (flow.pre, flow.post)
    if not all(0 <= end < len(sizes) for end in ends):
        raise DecompositionError(
            f"{flow}: there are {len(sizes)} populations. Use 0 <= pre, post < {len(sizes)}."
        )
    if not (np.isfinite(flow.synapses) and flow.synapses >= 0) or flow.kind not in KINDS:
        raise DecompositionError(
            f"{flow}: synapses must be a finite number >= 0, and kind one of {', '.join(KINDS)}."
        )
    if flow.synapses and not all(sizes[end] for end in ends):
        raise DecompositionError(f"{flow}: a population without neurons has no synapses.")
    for end, most in ((flow.sources, sizes[flow.pre]), (flow.targets, sizes[flow.post])):
        if end is not None and not 0 <= end <= most:
            raise DecompositionError(f"{flow}: sources or targets are more than all {most}.")
    return flow
