"""Groups: populations of one model with the same kinds of receptors run as one array of cells.

What the cells of a group emit through a coupling is listed like the spikes of a group of its own,
an *emitter*: at every step the value of every cell.

Compile time and the number of kernels per step do not grow with the number of populations. Inside a
group every population is a *segment*; what differs between populations is a value per segment, what
differs between neurons a value per cell, and the description alone decides which.
"""

import dataclasses
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import numpy as np

from distdyn.core.cell import Cell
from distdyn.core.coupling import Coupling
from distdyn.core.flow import Flow
from distdyn.core.integrators import Method, has_past, method_of
from distdyn.core.integrators.delayed import delays_of
from distdyn.core.ode import ODE
from distdyn.core.receptor import CUBA, Receptor
from distdyn.core.schedule import Schedule
from distdyn.core.signal import Signal
from distdyn.errors import NetworkError
from distdyn.network.distributions import Distribution
from distdyn.network.layer import Layer
from distdyn.network.network import Graph
from distdyn.network.population import Population
from distdyn.network.projection import PoissonInput, Projection
from distdyn.ops.coupled import WORDS
from partition import Decomposition


@dataclass(frozen=True)
class Emitter:
    """In the place of a system: one of the couplings through which the cells of a group act."""

    group: int
    coupling: int


@dataclass(frozen=True, eq=False)
class Group:
    """Populations that run together, cell after cell in order of definition.

    Attributes:
        paths, populations: the members; segment k is population k.
        systems: a `Cell` per population, or its own model where that is not an ODE.
        bounds: int64[segment + 1], the cells of each segment.
    """

    index: int
    paths: tuple[str, ...]
    populations: tuple[Population, ...]
    systems: tuple[Any, ...]
    bounds: np.ndarray

    @property
    def size(self) -> int:
        """The number of cells."""
        return int(self.bounds[-1])

    @property
    def receptors(self) -> tuple[Receptor, ...]:
        """The receptors of the first population; the others have the same kinds."""
        system = self.systems[0]
        return system.receptors if isinstance(system, Cell) else ()

    @cached_property
    def segment(self) -> dict[str, int]:
        """The segment of each population."""
        return {path: k for k, path in enumerate(self.paths)}

    @cached_property
    def receptor_keys(self) -> tuple[tuple[Any, ...], ...]:
        """The keys of each population's receptors."""
        systems = (system if isinstance(system, Cell) else None for system in self.systems)
        return tuple(tuple(r.key for r in system.receptors) if system else () for system in systems)

    @cached_property
    def coupling_keys(self) -> tuple[tuple[Any, ...], ...]:
        """The keys of the couplings through which each population acts."""
        systems = (system if isinstance(system, Cell) else None for system in self.systems)
        return tuple(tuple(key_of(c) for c in s.couplings) if s else () for s in systems)

    @property
    def is_schedule(self) -> bool:
        """Whether the spikes are known in advance."""
        return isinstance(self.systems[0], Schedule)

    @property
    def emitter(self) -> Emitter | None:
        """Whose values these are, if the list is one of values."""
        return self.systems[0] if isinstance(self.systems[0], Emitter) else None

    @property
    def has_state(self) -> bool:
        """Whether its cells advance, and are not the spikes or values of others."""
        return not self.is_schedule and self.emitter is None

    @property
    def words(self) -> int:
        """The most words that a cell has in the list of a step."""
        return 1 if self.emitter is None else WORDS

    def owned(self, graph: Graph, decomposition: Decomposition, part: int) -> "Cells":
        """The cells of the group that a part owns."""
        order = {path: index for index, path in enumerate(graph.populations)}
        return Cells(self, tuple(decomposition.ids(order[path], part) for path in self.paths))


@dataclass(frozen=True, eq=False)
class Cells:
    """The cells of a group that one part owns: population after population, ascending in id.

    Attributes:
        group: all cells, of all parts.
        ids: per population, the neurons that are here.
    """

    group: Group
    ids: tuple[np.ndarray, ...]

    @cached_property
    def bounds(self) -> np.ndarray:
        """int64[segment + 1]: cells bounds[k]:bounds[k + 1] are of population k."""
        return np.cumsum([0, *(len(ids) for ids in self.ids)]).astype(np.int64)

    @cached_property
    def all_ids(self) -> np.ndarray:
        """int64[cells]: the neuron of its population that each cell is."""
        return np.concatenate([np.zeros(0, np.int64), *self.ids]).astype(np.int64)

    @property
    def size(self) -> int:
        """The number of cells here."""
        return int(self.bounds[-1])

    def of(self, path: str) -> tuple[slice, np.ndarray]:
        """The cells of a population, and their ids."""
        k = self.group.segment[path]
        return slice(int(self.bounds[k]), int(self.bounds[k + 1])), self.ids[k]

    def find(self, path: str, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Those of these neurons that are here: their cells, and where they stand in `ids`."""
        cells, own = self.of(path)
        at = np.searchsorted(own, ids)
        here = at < len(own)
        here[here] = own[at[here]] == ids[here]
        return cells.start + at[here], np.flatnonzero(here)


def group_populations(graph: Graph) -> list[Group]:
    """The groups of a network, in order of their first populations; then the emitters."""
    receptors, couplings = receptors_of(graph), couplings_of(graph)
    members: dict[Any, list[str]] = {}
    systems, methods = {}, {}
    for path, population in graph.populations.items():
        systems[path] = _system(path, population, receptors[path], couplings[path], methods)
    _share_delays(systems)
    for path in graph.populations:
        is_schedule = isinstance(systems[path], Schedule)
        members.setdefault("schedule" if is_schedule else _kind(systems[path]), []).append(path)
    groups = []
    for paths in members.values():
        populations = tuple(graph.populations[path] for path in paths)
        bounds = np.cumsum([0, *(p.size for p in populations)]).astype(np.int64)
        cells = tuple(systems[path] for path in paths)
        groups.append(Group(len(groups), tuple(paths), populations, cells, bounds))
    return groups + _emitters(groups)


def _emitters(groups: list[Group]) -> list[Group]:
    found: list[Group] = []
    for group in groups:
        for k in range(len(group.coupling_keys[0])):
            systems = (Emitter(group.index, k),) * len(group.paths)
            index = len(groups) + len(found)
            found.append(Group(index, group.paths, group.populations, systems, group.bounds))
    return found


def receptors_of(graph: Graph) -> dict[str, tuple[Receptor, ...]]:
    """The receptors of each population: one for all synapses with equal kinetics and output."""
    found: dict[str, dict[Any, Receptor]] = {path: {} for path in graph.populations}
    connections = [*graph.projections.values(), *graph.layers.values()]
    connections += [x for x in graph.inputs.values() if isinstance(x, PoissonInput)]
    for connection in connections:
        for view in connection.post:
            path = graph.path(view.population)
            found[path] |= {receptor.key: receptor for receptor in connection.receptors}
    return {path: tuple(kinds[key] for key in sorted(kinds)) for path, kinds in found.items()}


def couplings_of(graph: Graph) -> dict[str, tuple[Coupling, ...]]:
    """The couplings through which each population acts: one for all with equal parameters."""
    found: dict[str, dict[Any, Coupling]] = {path: {} for path in graph.populations}
    for projection in graph.projections.values():
        for receptor in projection.receptors:
            if isinstance(receptor.kinetics, Coupling):
                for view in projection.pre:
                    path = graph.path(view.population)
                    found[path][key_of(receptor.kinetics)] = receptor.kinetics
    return {path: tuple(kinds[key] for key in sorted(kinds)) for path, kinds in found.items()}


def key_of(coupling: Coupling) -> tuple[Any, ...]:
    """Equal for couplings that are one; sorts those of one kind next to each other."""
    return Receptor(coupling, CUBA()).key


def source_of(groups: Sequence[Group], group: Group, path: str, receptor: Receptor) -> int:
    """The group whose list brings a population's spikes, or values, to a receptor."""
    coupling = receptor.kinetics
    if not isinstance(coupling, Coupling):
        return group.index
    k = group.coupling_keys[group.segment[path]].index(key_of(coupling))
    return next(g.index for g in groups if g.emitter == Emitter(group.index, k))


def receptor_index(group: Group, path: str, receptor: Receptor) -> int:
    """Which of a population's receptors this one is."""
    return group.receptor_keys[group.segment[path]].index(receptor.key)


def reached(
    graph: Graph, group: Group, connection: Projection | PoissonInput | Layer, receptor: int
) -> set[str]:
    """The populations of the group at which this receptor is one of the connection's."""
    paths = {graph.path(view.population) for view in connection.post}
    return {
        path
        for path in paths
        if path in group.segment
        and receptor in (receptor_index(group, path, r) for r in connection.receptors)
    }


def _system(
    path: str,
    population: Population,
    receptors: tuple[Receptor, ...],
    couplings: tuple[Coupling, ...],
    methods: dict[Any, Method],
) -> Any:
    """The system of a population; `methods` are those of the kinds that have been looked at."""
    model = population.model
    if isinstance(model, ODE):
        kind = _kind((model, receptors))
        if kind not in methods:
            representative = jax.tree.map(_representative, model, is_leaf=_is_value)
            methods[kind] = method_of(Flow(representative, receptors))
        method, delays = methods[kind], _delays(model)
        return Cell(model, receptors, couplings=couplings, method=method, delays=delays)
    if receptors:
        raise NetworkError(
            f'population "{path}": {type(model).__name__} gives `step`; only models that give '
            "`derivative` can receive spikes. Derive it from ODE."
        )
    return model


def _delays(model: ODE) -> tuple[float, float] | None:
    """The shortest and the longest delay of all cells of a population."""
    if not has_past(model):
        return None
    found = []
    for end in (0, 1):
        extreme = jax.tree.map(functools.partial(_extreme, end), model, is_leaf=_is_value)
        found.append(delays_of(extreme))
    return min(x for x, _ in found), max(x for _, x in found)


def _share_delays(systems: dict[str, Any]) -> None:
    """Let cells that differ in their delays alone keep as much of the past, to form one group."""
    alike: dict[Any, list[str]] = {}
    for path, system in systems.items():
        if isinstance(system, Cell) and system.delays is not None:
            kind = _kind(dataclasses.replace(system, delays=None))
            alike.setdefault(kind, []).append(path)
    for paths in alike.values():
        shortest, longest = zip(*(systems[path].delays for path in paths), strict=True)
        for path in paths:
            delays = min(shortest), max(longest)
            systems[path] = dataclasses.replace(systems[path], delays=delays)


def _extreme(end: int, value: Any) -> Any:
    """The smallest or the largest value of a parameter that is drawn or changes."""
    return value.extremes()[end] if isinstance(value, Signal | Distribution) else value


def _kind(system: Any) -> Any:
    """Equal for systems that can form one group: only numbers differ."""
    leaves, structure = jax.tree.flatten(system, is_leaf=_is_value)
    return structure, tuple((k, x) for k, x in enumerate(leaves) if isinstance(x, bool | str))


def _is_value(x: Any) -> bool:
    return isinstance(x, Signal)


def _representative(value: Any) -> float:
    """A number in place of a parameter, to analyse the structure of the equations."""
    if isinstance(value, bool | int | float | np.number):
        return float(value)
    if isinstance(value, Distribution):
        return value.mean()
    values = np.ravel(value) if hasattr(value, "shape") else np.zeros(0)
    return float(values[0]) if values.size else 0.5
