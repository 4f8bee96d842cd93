"""Plan: memory, traffic and balance of every part, before anything is allocated.

    plan = make_plan(graph(network), topology(ranks=64, devices=4, nodes=8), dt=.1)
    print(plan)
    plan.check(64e9)         # bytes that a rank may use: an error with numbers if they are too few

The numbers are expectations from sizes, rules and distributions. Rates are a guess of the caller:
memory hardly depends on them, traffic is proportional to them.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

import partition
from distdyn.errors import CapacityError, NetworkError, ParameterError
from distdyn.network.network import Graph
from distdyn.parallel.parameters import Setting
from distdyn.parallel.plan.footprint import Footprint
from distdyn.parallel.plan.memory import shown_bytes
from distdyn.parallel.plan.traffic import Exchanges, communication, exchanges, list_bytes
from partition import Decomposition, DecompositionError, Topology, decompose
from partition.metrics import balance, counts_of

MOST_PARTS = 1 << 20
RATE = 8.0  # Hz, where nobody knows better
PROCESS_BYTES = 5e8  # of a rank before it has any part: Python, JAX, compiled code
MOST_RANKS, TRIES = 1 << 17, 6  # of other numbers of ranks, when too few are given
ITEMS = {
    "synapses": "room for synapses",
    "sources": "table of sources that reach the part",
    "rings": "rings of delayed input",
    "state": "state of the cells",
    "spikes": "lists of spikes",
}


@dataclass(frozen=True, eq=False)
class Plan:
    """What each part will hold and send.

    Attributes:
        decomposition: who owns what.
        method: that dealt it.
        dt, precision: of the run, ms.
        neurons: int64[part].
        synapses: float64[part], expected onto the part's neurons.
        sources: float64[part]: rows of its tables, for neurons anywhere that reach it.
        work: float64[part]: seconds of one core per second of model time.
        bytes: per item, float64[part].
        transient: float64[part]: bytes more that the build needs for a while.
        inside, between: exchanges inside nodes and between them.
        again: the same plan for another number of ranks.
    """

    decomposition: Decomposition
    method: str
    dt: float
    precision: str
    neurons: np.ndarray
    synapses: np.ndarray
    sources: np.ndarray
    work: np.ndarray
    bytes: dict[str, np.ndarray]
    transient: np.ndarray
    inside: Exchanges
    between: Exchanges
    again: Callable[[int], "Plan"]

    def save(self, path: str | Path) -> None:
        """Write who owns what to a file, for `DSRunner(decomposition=path)`.

        Raises:
            NetworkError: the file cannot be written.
        """
        try:
            partition.save(self.decomposition, path)
        except OSError as error:
            raise NetworkError(f'plan: "{path}" cannot be written: {error}.') from error

    @property
    def topology(self) -> Topology:
        """Nodes, ranks and devices."""
        return self.decomposition.topology

    @cached_property
    def total(self) -> np.ndarray:
        """float64[part]: bytes of all items."""
        return np.sum(list(self.bytes.values()), axis=0)

    @property
    def connectivity(self) -> np.ndarray:
        """float64[part]: bytes of the tables: synapses and sources."""
        return self.bytes["synapses"] + self.bytes["sources"]

    @cached_property
    def per_rank(self) -> np.ndarray:
        """float64[rank]: the most bytes that a rank holds at any time: in the build or afterwards.

        The build draws one table at a time, when other tables may be there already.
        """
        building = self._by_rank(self.connectivity) + self._by_rank(self.transient, np.max)
        return PROCESS_BYTES + np.maximum(self._by_rank(self.total), building)

    def _by_rank(self, values: np.ndarray, reduce: Any = np.sum) -> np.ndarray:
        return reduce(values.reshape(-1, self.topology.devices), axis=1)

    def check(self, memory: float) -> None:
        """Refuse a plan that does not fit into so many bytes per rank.

        Raises:
            CapacityError: it does not; the message names the largest item and the ranks needed.
        """
        worst = int(np.argmax(self.per_rank))
        needed = float(self.per_rank[worst])
        if needed <= memory:
            return
        items = {ITEMS[name]: self._by_rank(array)[worst] for name, array in self.bytes.items()}
        items["memory for the build"] = self._by_rank(self.transient, np.max)[worst]
        items["the program itself"] = PROCESS_BYTES
        largest = max(items, key=lambda name: items[name])
        raise CapacityError(
            f"rank {worst} of {self.topology.ranks} needs {shown_bytes(needed)}, but has "
            f"{shown_bytes(memory)}; the largest item is {shown_bytes(items[largest])} of "
            f"{largest}. {self._cure(memory)}"
        )

    def _cure(self, memory: float) -> str:
        """How many ranks would do, as long as more of them need less memory each."""
        plan, room = self, max(1.0, memory - PROCESS_BYTES)
        for _ in range(TRIES):
            most = float(plan.per_rank.max())
            ranks = math.ceil(plan.topology.ranks * max((most - PROCESS_BYTES) / room, 1.0)) + 1
            if memory <= PROCESS_BYTES or ranks > MOST_RANKS:
                break
            plan = self.again(ranks)
            if plan.per_rank.max() <= memory:
                return f"Use {ranks} ranks, or more memory per rank."
            if plan.per_rank.max() > 0.99 * most:
                break
        return "More ranks do not help: use more memory per rank, or a smaller network."

    def summary(self) -> dict[str, Any]:
        """Plain numbers: what `--json` prints."""
        topology, interval = self.topology, {}
        for name, x in (("inside", self.inside), ("between", self.between)):
            interval[name] = {
                "min_delay": None if x.delay is None else x.delay * self.dt,
                "interval": None if x.interval is None else x.interval * self.dt,
                "spikes_per_second": float(x.spikes.sum()),
                "bytes_per_exchange": float(x.per_exchange(self.dt).sum()),
                "bytes_per_second": float(x.per_second(self.dt).sum()),
                "largest_rank_bytes_per_second": float(x.per_second(self.dt).max()),
            }
        return {
            "nodes": topology.nodes,
            "ranks": topology.ranks,
            "devices": topology.devices,
            "parts": topology.parts,
            "method": self.method,
            "dt": self.dt,
            "precision": self.precision,
            "neurons": self.decomposition.size,
            "synapses": float(self.synapses.sum()),
            "per_part": {name: spread(array) for name, array in self._rows().items()},
            "bytes_per_rank": spread(self.per_rank),
            "bytes": float(self.total.sum()),
            "bytes_per_synapse": float(self.connectivity.sum()) / max(1.0, self.synapses.sum()),
            "exchange": interval,
            "digest": self.decomposition.digest(),
        }

    def _rows(self) -> dict[str, np.ndarray]:
        rows = {"neurons": self.neurons, "synapses": self.synapses, "sources": self.sources}
        rows |= {"work": self.work}
        rows |= {f"bytes_{name}": array for name, array in self.bytes.items()}
        return rows | {"bytes": self.total, "bytes_build": self.transient}

    def __str__(self) -> str:
        return table(self)


def topology(
    ranks: int, devices: int = 1, *, nodes: int | None = None, ranks_per_node: int | None = None
) -> Topology:
    """Where parts live: all ranks on one node, on so many nodes, or so many on each.

    Raises:
        ParameterError: there are more nodes than ranks, or a number is not possible.
    """
    if ranks * devices > MOST_PARTS:  # each has its line in a plan
        raise ParameterError(
            f"ranks = {ranks} with devices = {devices} are more than {MOST_PARTS} parts, for which "
            "nothing can be planned. Use fewer."
        )
    try:
        if nodes is None:
            return Topology.regular(ranks, devices, ranks_per_node=ranks_per_node)
        if ranks_per_node is not None or not 1 <= nodes <= ranks:
            raise ParameterError(
                f"nodes = {nodes} with ranks = {ranks} and ranks_per_node = {ranks_per_node} is "
                "not possible. Give nodes, 1 <= nodes <= ranks, or ranks_per_node, not both."
            )
        return Topology(tuple(rank * nodes // ranks for rank in range(ranks)), devices)
    except DecompositionError as error:
        raise ParameterError(str(error)) from error


def make_plan(
    graph: Graph,
    where: Topology,
    *,
    dt: float,
    precision: str = "float32",
    rate: float = RATE,
    method: str = "round_robin",
) -> Plan:
    """Plan a network on nodes, ranks and devices.

    Args:
        graph: the network.
        where: the parts live: `topology` makes one.
        dt: the time step, in ms.
        precision: "float32" or "float64".
        rate: at which neurons fire, in Hz.
        method: of `partition`; `by_area` takes a population's network (the path without its last
            name) as its area.
    """
    if precision not in ("float32", "float64"):
        raise ParameterError(f'precision = "{precision}" is unknown. Use "float32" or "float64".')
    if not (math.isfinite(rate) and rate >= 0):
        raise ParameterError(f"rate = {rate} Hz is not possible. Give a finite rate >= 0.")
    if not (math.isfinite(dt) and dt > 0):
        raise ParameterError(f"dt = {dt} ms is not possible. Give a finite dt > 0.")
    flows = communication(graph, rate)
    areas = [path.rpartition(".")[0] for path in graph.populations]
    try:
        decomposition = decompose(flows, where, method, areas=areas)
    except DecompositionError as error:
        raise ParameterError(str(error)) from error
    found = Footprint(graph, decomposition, Setting(dt, 0, precision, 0))
    counts = counts_of(decomposition)
    inside, between = exchanges(found, flows, counts)
    lists = list_bytes(found, inside, between, rate)

    def again(ranks: int) -> Plan:
        per_node = max(1, where.node_of.count(0))
        other = Topology.regular(ranks, where.devices, ranks_per_node=per_node)
        return make_plan(graph, other, dt=dt, precision=precision, rate=rate, method=method)

    return Plan(
        decomposition=decomposition,
        method=method,
        dt=dt,
        precision=precision,
        neurons=decomposition.load(),
        synapses=found.synapses,
        sources=found.sources,
        work=flows.work_per_neuron @ counts,
        bytes=found.bytes | {"spikes": lists},
        transient=found.transient,
        inside=inside,
        between=between,
        again=again,
    )


def spread(values: np.ndarray) -> dict[str, float]:
    """The smallest, mean and largest value, and the largest over the mean."""
    return {
        "min": float(np.min(values)),
        "mean": float(np.mean(values)),
        "max": float(np.max(values)),
        "balance": balance(values),
    }


def shown_count(x: float) -> str:
    """A number as people read it: 12,500 or 1.25e+10."""
    return f"{x:,.0f}" if x < 1e9 and (x >= 100 or x == int(x)) else f"{x:.3g}"


def table(plan: Plan) -> str:
    """A plan as text."""
    topology, synapses = plan.topology, float(plan.synapses.sum())
    lines = [
        f"{shown_count(plan.decomposition.size)} neurons, {shown_count(synapses)} synapses on "
        f"{topology}, dealt by {plan.method}",
        "",
        f"{'per part':22}{'min':>14}{'mean':>14}{'max':>14}{'max/mean':>10}",
    ]
    for name, array in plan._rows().items():
        shown = shown_bytes if name.startswith("bytes") else shown_count
        noun, told = _NOUNS.get(name, name), spread(array)
        numbers = "".join(f"{shown(told[key]):>14}" for key in ("min", "mean", "max"))
        lines.append(f"{noun:22}{numbers}{told['balance']:10.3f}")
    lines += ["", f"{'exchange':16}{'min delay':>14}{'every':>14}{'sent by all ranks':>30}"]
    for name, x in (("inside nodes", plan.inside), ("between nodes", plan.between)):
        if x.delay is None or x.interval is None:
            lines.append(f"{name:16}{'-':>14}{'-':>14}{'nothing':>30}")
            continue
        sent = shown_bytes(float(x.per_second(plan.dt).sum()))
        each = shown_bytes(float(x.per_exchange(plan.dt).sum()))
        delay, every = x.delay * plan.dt, x.interval * plan.dt
        lines.append(f"{name:16}{delay:>11g} ms{every:>11g} ms{each:>16}, {sent} per s")
    per_synapse = float(plan.connectivity.sum()) / max(1.0, synapses)
    lines += [
        "",
        f"connectivity {shown_bytes(float(plan.connectivity.sum()))} "
        f"({per_synapse:.3g} bytes per synapse), all {shown_bytes(float(plan.total.sum()))}; "
        f"a rank needs up to {shown_bytes(float(plan.per_rank.max()))}",
    ]
    return "\n".join(lines)


_NOUNS = {f"bytes_{name}": f"  {name}" for name in ITEMS} | {
    "bytes": "memory",
    "bytes_build": "more during the build",
    "work": "core-seconds per s",
}
