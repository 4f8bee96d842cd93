"""Connections: which table of synapses leads from which group to which ring, and building them."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from distdyn.core.schedule import Schedule
from distdyn.errors import ParameterError
from distdyn.network.network import Graph
from distdyn.network.population import View
from distdyn.network.projection import Projection, delay_steps
from distdyn.ops.rows import Rows
from distdyn.parallel.build import ProjectionRows, build_table, longest_delay, storage_of
from distdyn.parallel.groups import Group, reached, receptor_index, receptor_of
from distdyn.parallel.parameters import Setting
from distdyn.units import to_steps


class Connection(NamedTuple):
    """The part of a projection from one group to one receptor of another."""

    path: str
    projection: Projection
    source: int
    group: int
    receptor: int
    delay: Any  # steps, per edge, or a distribution


class Table(NamedTuple):
    """A built table: from the spikes of a group to one receptor's ring of another."""

    source: int
    group: int
    receptor: int
    paths: tuple[str, ...]
    rows: Rows


def connections(graph: Graph, groups: Sequence[Group], s: Setting) -> list[Connection]:
    """All pairs of groups that projections join, in order of definition."""
    index = {path: group.index for group in groups for path in group.paths}
    found = []
    for path, projection in graph.projections.items():
        delay = delay_steps(projection, s.dt, path)
        kind = receptor_of(projection)
        sources = sorted({index[graph.path(view.population)] for view in projection.pre})
        targets = sorted(
            {
                (index[post], receptor_index(groups[index[post]], post, kind))
                for post in (graph.path(view.population) for view in projection.post)
            }
        )
        found += [
            Connection(path, projection, source, *target, delay)
            for source in sources
            for target in targets
        ]
    return found


def ring_slots(connections: Sequence[Connection], group: int, receptor: int, dt: float) -> int:
    """The slots of a receptor's ring: the longest delay and one; 0 where nothing arrives."""
    delays = [
        longest_delay(c.delay, dt, f'projection "{c.path}": delay')
        for c in connections
        if (c.group, c.receptor) == (group, receptor)
    ]
    return max(delays) + 1 if delays else 0


def build_tables(
    graph: Graph,
    groups: Sequence[Group],
    connections: Sequence[Connection],
    scale: Callable[[int, int], float],
    s: Setting,
) -> list[Table]:
    """One table per pair of source group and ring, and per way of storing weights."""
    joined: dict[tuple[int, int, int, str], list[Connection]] = {}
    for c in connections:
        key = c.source, c.group, c.receptor, storage_of(c.projection.weight)
        joined.setdefault(key, []).append(c)
    tables = []
    for (source, group, receptor, _), members in joined.items():
        parts = [_rows_of(graph, groups, c) for c in members]
        rows = build_table(
            parts,
            groups[source].size,
            groups[group].size,
            seed=s.seed,
            dt=s.dt,
            unit_scale=scale(group, receptor),
            accumulator=np.dtype(s.accumulator).type,
        )
        paths = tuple(c.path for c in members)
        held = Rows(*(jax.device_put(array, may_alias=True) for array in rows))  # no copy on CPU
        tables.append(Table(source, group, receptor, paths, held))
    return tables


def _rows_of(graph: Graph, groups: Sequence[Group], c: Connection) -> ProjectionRows:
    ends = c.projection.ends
    return ProjectionRows(
        c.path,
        c.projection.rule,
        ends,
        c.projection.weight,
        c.delay,
        _places(graph, groups[c.source], ends.pre),
        _places(graph, groups[c.group], ends.post),
        _blocks(graph, groups[c.group], c),
    )


def _places(graph: Graph, group: Group, views: tuple[View, ...]) -> np.ndarray:
    """The cell of each neuron of an end in the group, -1 for those that are elsewhere."""
    places = [np.zeros(0, np.int64)]
    for view in views:
        path = graph.path(view.population)
        if path in group.paths:
            places.append(group.start(path) + np.asarray(view.ids, np.int64))
        else:
            places.append(np.full(view.size, -1, np.int64))
    return np.concatenate(places)


def _blocks(graph: Graph, group: Group, c: Connection) -> np.ndarray | None:
    """The blocks of the post end whose neurons have the receptor in the group, None for all.

    Receptors of one kind may stand at different indices: time constants differ by population.
    """
    ends, here = c.projection.ends, reached(graph, group, c.projection, c.receptor)
    is_here = [graph.path(view.population) in here for view in ends.post]
    if all(is_here):
        return None
    edges = np.cumsum([0, *(view.size for view in ends.post)])
    block_start = ends.block_start()[:-1]
    member = np.searchsorted(edges, block_start, side="right") - 1
    return np.flatnonzero(np.asarray(is_here)[member])


def schedule(group: Group, s: Setting) -> tuple[np.ndarray, np.ndarray]:
    """The given spikes of a group after the origin as (step, cell), sorted by both."""
    (path,), (population,), (model,) = group.paths, group.populations, group.systems
    assert isinstance(model, Schedule)
    time, id = model.spikes()
    what = f'population "{path}": {type(model).__name__}'
    if id.size and id.max() >= population.size:
        raise ParameterError(
            f"{what}: id {id.max()} is beyond the {population.size} neurons. Use 0 <= id < size."
        )
    step = np.atleast_1d(to_steps(time, s.dt, f"{what}: time")).astype(np.int64)
    order = np.lexsort((id, step))
    step, id = step[order], id[order]
    twice = np.flatnonzero((np.diff(step) == 0) & (np.diff(id) == 0))
    if twice.size:
        raise ParameterError(
            f"{what}: neuron {id[twice[0]]} spikes twice at {step[twice[0]] * s.dt:g} ms. Give "
            "each spike once."
        )
    later = step > s.origin
    return step[later], id[later]


def synapses(
    graph: Graph,
    groups: Sequence[Group],
    connections: Sequence[Connection],
    tables: Sequence[Table],
    scale: Callable[[int, int], float],
    s: Setting,
    path: str,
) -> list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
    """The synapses of a projection, table by table: pre, post, weight, delay in ms."""
    found = []
    for c in (c for c in connections if c.path == path):
        table = next(
            t for t in tables if t[:3] == (c.source, c.group, c.receptor) and path in t.paths
        )
        ends = c.projection.ends
        rows = Rows(*map(np.asarray, table.rows))
        pre, segment = _segments_of(graph, groups[c.source], connections, table, path)
        n = np.diff(rows.start)[segment]
        index = np.concatenate(
            [np.zeros(0, np.int64), *(np.arange(*rows.start[k : k + 2]) for k in segment)]
        )
        offset = rows.offset[index].astype(np.int64)
        size = groups[c.group].size
        place = np.full(size, -1, np.int64)
        post_places = _places(graph, groups[c.group], ends.post)
        place[post_places[post_places >= 0]] = np.flatnonzero(post_places >= 0)
        weight = np.repeat(rows.unit[segment], n).astype(np.float64)
        if rows.weight.size:
            weight = weight * rows.weight[index]
        weight /= scale(c.group, c.receptor)
        delay = (offset // size) * s.dt
        found.append((np.repeat(pre, n), place[offset % size], weight, delay))
    return found


def _segments_of(
    graph: Graph, group: Group, connections: Sequence[Connection], table: Table, path: str
) -> tuple[np.ndarray, np.ndarray]:
    """The pre neurons of a projection that the table holds, and the segment of each."""
    members = {c.path: c for c in connections}
    places = [_places(graph, group, members[p].projection.pre) for p in table.paths]
    first = np.asarray(table.rows.segments)[:-1].copy()
    for other, place in zip(table.paths, places, strict=True):
        here = np.flatnonzero(place >= 0)
        if other == path:
            return here, first[place[here]]
        first[place[here]] += 1
    raise KeyError(path)
