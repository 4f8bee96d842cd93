"""What to record: `"E.spikes"`, `"E.V"`, `every(1., "E.V", ids=range(10))`, `"E.exc.g"`.

And weights that change: `every(100., "exc.weight")`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from distdyn.core.coupling import Coupling
from distdyn.core.parameters import fields_of
from distdyn.core.plasticity import Plasticity
from distdyn.core.system import emits_spikes
from distdyn.errors import NameLookupError, RecordError, TimeError, suggestion
from distdyn.network.network import Graph
from distdyn.network.projection import CurrentInput, Projection, weight_unit
from distdyn.parallel.groups import key_of, receptor_index
from distdyn.parallel.shard import Sample, Shard
from distdyn.run.recording import Sampling
from distdyn.run.weights import WeightRequest
from distdyn.units import shown, to_steps

CELL = "cell"  # the population of a system that runs by itself, whose names are bare


@dataclass(frozen=True)
class Every:
    """A variable to sample at an interval; see `every`."""

    interval: Any
    variable: str
    ids: Any


def every(interval: float, variable: str, *, ids: Iterable[int] | None = None) -> Every:
    """Sample a variable after each step whose number is a multiple of the interval.

    Args:
        interval: in ms, a multiple of dt.
        variable: such as `"E.V"`, `"E.exc.g"` for g of the receptor of projection `exc`, or
            `"exc.weight"` of a projection that learns.
        ids: the neurons, all by default; of weights the synapses, by their place in `edges()`.
    """
    return Every(interval, variable, ids)


@dataclass(frozen=True)
class Request:
    """What a runner records, in terms of the shard and of the recording."""

    spikes: tuple[str, ...]
    traces: tuple[tuple[str, Sample, Sampling], ...]
    weights: tuple[WeightRequest, ...]


def parse(record: Any, shard: Shard, dt: float) -> Request:
    """Resolve what the user asked for.

    Raises:
        NameLookupError: there is no such population or variable.
        RecordError: it cannot be recorded as asked.
    """
    graph = shard.graph
    items = [record] if isinstance(record, str | Every) else list(record)
    spikes: list[str] = []
    traces: dict[str, tuple[str, Sample, Sampling]] = {}
    weights: dict[str, WeightRequest] = {}
    for item in items:
        if not isinstance(item, str | Every):
            raise RecordError(
                f'record: {shown(item)} is neither a name nor every(...). Use e.g. "E.spikes".'
            )
        name = item if isinstance(item, str) else item.variable
        if not isinstance(name, str):
            raise RecordError(f'record: {shown(name)} is not a name. Use e.g. every(1., "E.V").')
        wanted = spiking_populations(graph) if name == "spikes" else _spiking(graph, name)
        if wanted is not None:
            if isinstance(item, Every):
                raise RecordError(f'record: "{name}" is recorded whole; leave every(...) out.')
            spikes += [path for path in wanted if path not in spikes]
            continue
        if name in traces or name in weights:
            raise RecordError(f'record: "{name}" is asked for twice. Ask for it once.')
        if (path := _learned(graph, name)) is not None:
            asked = item.ids if isinstance(item, Every) else None
            ids = None if asked is None else _integers(asked, name)
            weights[name] = WeightRequest(name, path, ids, _interval(item, name, dt))
            continue
        traces[name] = (name, *_trace(shard, name, item, dt))
    order = list(graph.populations)
    return Request(
        tuple(sorted(spikes, key=order.index)), tuple(traces.values()), tuple(weights.values())
    )


def spiking_populations(graph: Graph) -> list[str]:
    """The paths of all populations that can spike."""
    return [path for path, p in graph.populations.items() if emits_spikes(p.model)]


def _spiking(graph: Graph, name: str) -> list[str] | None:
    """The population whose spikes are meant, or None if a variable is."""
    path, _, last = name.rpartition(".")
    if last != "spikes" or not path:
        return None
    if path not in graph.populations:
        known = [f"{p}.spikes" for p in spiking_populations(graph)]
        raise NameLookupError(f'record: there is no "{name}". {suggestion(name, known)}')
    if not emits_spikes(graph.populations[path].model):
        model = type(graph.populations[path].model).__name__
        raise RecordError(f'record: "{name}": {model} does not spike. Record a state variable.')
    return [path]


def _learned(graph: Graph, name: str) -> str | None:
    """The projection whose weights are meant, which change during a run; None if none is."""
    path, _, last = name.rpartition(".")
    projection = graph.projections.get(path) if last == "weight" else None
    return path if projection and isinstance(projection.plasticity, Plasticity) else None


def _trace(shard: Shard, name: str, item: str | Every, dt: float) -> tuple[Sample, Sampling]:
    path, leaf, unit = resolve(shard, name)
    size = shard.graph.populations[path].size
    asked = item.ids if isinstance(item, Every) else None
    ids = np.arange(size) if asked is None else _ids(asked, size, name)
    interval = _interval(item, name, dt)
    dtype = shard.dtype(path, leaf)
    return Sample(path, leaf, ids, interval), Sampling(ids, interval, unit, dtype)


def _interval(item: str | Every, name: str, dt: float) -> int:
    if isinstance(item, str):
        return 1
    steps = to_steps(item.interval, dt, f'record: every: interval of "{name}"', error=TimeError)
    if not isinstance(steps, int) or steps < 1:
        raise RecordError(
            f'record: every({shown(item.interval)}, "{name}"): the interval must be one time > 0.'
        )
    return steps


def _integers(asked: Any, name: str) -> np.ndarray:
    ids = np.atleast_1d(np.asarray(list(asked) if isinstance(asked, range) else asked))
    if ids.size == 0:
        ids = ids.astype(np.int64)
    if ids.ndim != 1 or ids.dtype.kind not in "iu":
        raise RecordError(f'record: ids of "{name}" must be integers; found {shown(asked)}.')
    return ids.astype(np.int64)


def _ids(asked: Any, size: int, name: str) -> np.ndarray:
    ids = _integers(asked, name)
    bad = ids[(ids < 0) | (ids >= size)]
    if bad.size:
        raise RecordError(
            f'record: id {bad[0]} of "{name}" is not one of {size} neurons. Use 0 <= id < {size}.'
        )
    return ids


def resolve(shard: Shard, name: str) -> tuple[str, str, str]:
    """A variable's population, its name in the shard's state, and its unit.

    `E.V`, `E.exc.g` (receptor of projection or input `exc` at E), `exc.g` where `exc` has one post
    population; a bare name where a system runs by itself.
    """
    graph = shard.graph
    for path in sorted(graph.populations, key=len, reverse=True):
        if name.startswith(f"{path}."):
            return path, *_variable(shard, path, name[len(path) + 1 :], name)
    if list(graph.populations) == [CELL]:
        return CELL, *_variable(shard, CELL, name, name)
    connections = {**graph.projections, **graph.inputs}
    for path, connection in connections.items():
        if name.startswith(f"{path}."):
            if name in (f"{path}.weight", f"{path}.delay"):
                raise _unchanging(name)
            posts = {graph.path(view.population) for view in connection.post}
            if len(posts) == 1:
                post = posts.pop()
                return post, *_variable(shard, post, name, name)
            choices = ", ".join(f'"{post}.{name}"' for post in sorted(posts))
            raise RecordError(f'record: "{name}" exists in several populations. Use {choices}.')
    known = [f"{path}.{x}" for path in graph.populations for x in names_at(shard, path)]
    raise NameLookupError(f'record: there is no "{name}". {suggestion(name, known)}')


def names_at(shard: Shard, path: str) -> list[str]:
    """What can be recorded of a population."""
    states, graph = shard.state_names(path), shard.graph
    names = [name for name in states if not name.startswith(_OF_CONNECTIONS)]
    for other in (*graph.projections, *graph.inputs):
        for prefix in _prefixes(shard, path, other):
            here = [name for name in states if name.startswith(prefix)]
            names += [f"{other}.{name[len(prefix) :]}" for name in here]
    if emits_spikes(graph.populations[path].model):
        names.append("spikes")
    return names


_OF_CONNECTIONS = "receptors.", "sent."


def _prefixes(shard: Shard, path: str, connection: str) -> list[str]:
    """Where a connection has states at a population: its receptor, and the pre end of a coupling.

    Of a coupling of several parts, those of the first.
    """
    graph, group = shard.graph, shard.group_of(path)
    member = graph.projections.get(connection) or graph.inputs[connection]
    if isinstance(member, CurrentInput):
        return []
    receptor, found = member.receptors[0], []
    if path in {graph.path(view.population) for view in member.post}:
        found.append(f"receptors.{receptor_index(group, path, receptor)}.")
    if isinstance(member, Projection) and isinstance(receptor.kinetics, Coupling):
        if path in {graph.path(view.population) for view in member.pre}:
            keys = group.coupling_keys[group.segment[path]]
            found.append(f"sent.{keys.index(key_of(receptor.kinetics))}.state.")
    return found


def _variable(shard: Shard, path: str, variable: str, name: str) -> tuple[str, str]:
    graph, states = shard.graph, shard.state_names(path)
    if variable in states and not variable.startswith(_OF_CONNECTIONS):
        return variable, "mV" if variable == "V" else ""
    known = names_at(shard, path)
    if variable in known:
        connection, _, last = variable.rpartition(".")
        member = graph.projections.get(connection) or graph.inputs[connection]
        found = next(p + last for p in _prefixes(shard, path, connection) if p + last in states)
        is_sum = found.startswith("receptors.")
        return found, weight_unit(member.synapse, member.output) if is_sum else ""  # pyright: ignore
    parameters = {*fields_of(graph.populations[path].model), *shard.parameter_names(path)}
    if variable.rpartition(".")[2] in ("weight", "delay") or variable in parameters:
        raise _unchanging(name)
    raise NameLookupError(
        f'record: "{path}" has no variable "{variable}". {suggestion(variable, known)}'
    )


def _unchanging(name: str) -> RecordError:
    return RecordError(
        f'record: "{name}" does not change during a run. Read it from the runner instead.'
    )
