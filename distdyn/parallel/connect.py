"""Connections: which table of synapses leads from which group to which ring, and building them."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from distdyn.core.plasticity import AbstractPlasticity
from distdyn.core.schedule import Schedule
from distdyn.errors import ParameterError
from distdyn.network.ends import block_size, names_each_once
from distdyn.network.network import Graph
from distdyn.network.population import Population, View
from distdyn.network.projection import Projection, delay_steps
from distdyn.network.rules import AllToAll
from distdyn.ops import totals
from distdyn.ops.coupled import Coupled
from distdyn.ops.formula import Formula
from distdyn.ops.formula import equalize as equalize_formulas
from distdyn.ops.reach import synapses_of
from distdyn.ops.rows import Rows, equalize
from distdyn.ops.totals import Counts, Totals
from distdyn.parallel import scale as scales
from distdyn.parallel.build import (
    ProjectionRows,
    build_table,
    longest_delay,
    name_segments,
    storage_of,
    table_capacity,
)
from distdyn.parallel.formulas import build_formula
from distdyn.parallel.groups import Cells, Group, reached, receptor_index, source_of
from distdyn.parallel.parameters import Setting
from distdyn.parallel.projection_rows import places
from distdyn.parallel.shares import Shares
from distdyn.units import to_steps
from partition import Decomposition


class Connection(NamedTuple):
    """The part of a projection from one group to one receptor of another.

    Attributes:
        part: which of the projection's receptors it leads to.
    """

    path: str
    projection: Projection
    source: int
    group: int
    receptor: int
    delay: Any  # steps, per edge, or a distribution
    longest: int  # delay, in steps
    part: int = 0


class LayerArrival(NamedTuple):
    """A receptor that a layer reaches; the delay in steps."""

    path: str
    group: int
    receptor: int
    longest: int


class Table(NamedTuple):
    """A table for each device: from the spikes of a group to one receptor's ring of another.

    Where it is procedural, `rows` are the formula by which they are drawn again; where values are
    only to be summed, they say which. A plastic projection has tables of its own. Where a coupling
    is of several parts, the tables of all but the first repeat its synapses.
    """

    source: int
    group: int
    receptor: int
    paths: tuple[str, ...]
    rows: tuple[Rows, ...] | tuple[Formula, ...] | tuple[Totals, ...]
    plasticity: AbstractPlasticity | None = None
    repeats: bool = False


class Parts(NamedTuple):
    """Who owns what: all parts' shares of each group, and the cells of those that are ours."""

    decomposition: Decomposition
    shares: tuple[Shares, ...]  # by group
    numbers: tuple[int, ...]  # of our parts, by device
    cells: tuple[tuple[Cells, ...], ...]  # by device and group
    room: tuple[int, ...]  # by group: the most cells that one of our parts has

    def length(self, group: int) -> int:
        """Of the arrays over the cells of a group, which are padded to be equal on all devices."""
        return max(1, self.room[group])


def connections(graph: Graph, groups: Sequence[Group], s: Setting) -> list[Connection]:
    """All pairs of groups that projections join, in order of definition."""
    home = {path: group for group in groups if group.emitter is None for path in group.paths}
    found = []
    for path, projection in graph.projections.items():
        delay = delay_steps(projection, s.dt, path)
        longest = longest_delay(delay, s.dt, f'projection "{path}": delay')
        pres = [graph.path(view.population) for view in projection.pre]
        posts = [graph.path(view.population) for view in projection.post]
        for part, receptor in enumerate(projection.receptors):
            sources = sorted({source_of(groups, home[pre], pre, receptor) for pre in pres})
            targets = sorted({(home[p].index, receptor_index(home[p], p, receptor)) for p in posts})
            found += [
                Connection(path, projection, source, *target, delay, longest, part)
                for source in sources
                for target in targets
            ]
    return found


def ring_slots(connections: Sequence[Any], group: int, receptor: int) -> int:
    """The slots of a receptor's ring: the longest delay and one; 0 where nothing arrives."""
    delays = [c.longest for c in connections if (c.group, c.receptor) == (group, receptor)]
    return max(delays) + 1 if delays else 0


def layer_arrivals(graph: Graph, groups: Sequence[Group], s: Setting) -> list[LayerArrival]:
    """Where what layers give arrives."""
    found = []
    for path, layer in graph.layers.items():
        steps = layer.steps(s.dt, path)
        longest = longest_delay(steps, s.dt, f'layer "{path}": delay')
        for view in layer.post:
            post = graph.path(view.population)
            group = next(g for g in groups if g.emitter is None and post in g.paths)
            index = receptor_index(group, post, layer.receptors[0])
            found.append(LayerArrival(path, group.index, index, longest))
    return found


def build_tables(
    graph: Graph,
    groups: Sequence[Group],
    parts: Parts,
    connections: Sequence[Connection],
    scale: Callable[[int, int], float],
    s: Setting,
    alike: Callable[[Any], Any] = lambda length: length,
    *,
    procedural: bool = True,
) -> list[Table]:
    """One table per pair of source group and ring, storage, and way of storing weights.

    `alike` makes a length, or an array of them, equal on all devices of a mesh that spans ranks.
    Only the CPU kernels can draw rows again; unless `procedural`, all tables are of stored rows.
    """
    joined: dict[tuple[Any, ...], list[Connection]] = {}
    for c in connections:
        joined.setdefault((c.source, c.group, c.receptor, *table_kind(c)), []).append(c)
    tables = []
    for (source, group, receptor, storage, *_), members in joined.items():
        pre = [parts.shares[source].places(graph, c.projection.ends.pre) for c in members]
        asked = [
            [
                _rows_of(graph, groups, parts, device, c, p)
                for c, p in zip(members, pre, strict=True)
            ]
            for device in range(len(parts.numbers))
        ]
        n_target = parts.length(group)
        values, paths = _drawing(members[0], scale, s), tuple(c.path for c in members)
        repeats = all(c.part > 0 for c in members)
        if procedural and storage == "procedural":
            shares = parts.shares[source]
            formulas = [
                build_formula(of, shares, _turns(cells[group], n_target), **values)
                for of, cells in zip(asked, parts.cells, strict=True)
            ]
            found = tuple(equalize_formulas(formulas, alike))
            tables.append(Table(source, group, receptor, paths, found))
            continue
        if storage == "summed":
            kind = Counts if groups[source].emitter is None else Totals
            found = [
                build_totals(kind, of, parts.shares[source], number, n_target, values)
                for of, number in zip(asked, parts.numbers, strict=True)
            ]
            found = tuple(totals.equalize(found, alike))
            tables.append(Table(source, group, receptor, paths, found, repeats=repeats))
            continue
        capacity = alike(max(table_capacity(rows, s.seed) for rows in asked))
        rows = equalize(
            [
                build_table(
                    rows, parts.shares[source].bounds, n_target, capacity=capacity, **values
                )
                for rows in asked
            ],
            alike,
        )
        if groups[source].emitter is not None:
            rows = [Coupled(*of) for of in rows]
        plasticity = members[0].projection.plasticity
        tables.append(Table(source, group, receptor, paths, tuple(rows), plasticity, repeats))
    return tables


def table_kind(c: Connection) -> tuple[str, str, str]:
    """What the connections of one table have in common besides their ends."""
    alone = "" if c.projection.plasticity is None else c.path
    storage = "summed" if is_summed(c.projection) else c.projection.storage
    return storage, storage_of(c.projection.weight), alone


def is_summed(projection: Projection) -> bool:
    """Whether all its synapses bring the same: all to all, of one weight and delay, and fixed."""
    numbers = projection.weight, projection.delay
    return (
        projection.plasticity is None
        and projection.storage == "stored"
        and isinstance(projection.rule, AllToAll)
        and all(isinstance(x, int | float) for x in numbers)
        and all(names_each_once(end) for end in (projection.pre, projection.post))
    )


def build_totals(
    kind: type[Totals],
    members: Sequence[ProjectionRows],
    shares: Shares,
    us: int,
    n_target: int,
    values: dict[str, Any],
) -> Totals:
    """The sums that some projections bring to one part: `build_table` for those that are summed."""
    found = []
    for of in members:
        place = places(of.pre_local).astype(np.int64)
        here = np.flatnonzero(place >= 0)
        part = np.searchsorted(shares.first, place[here], side="right") - 1
        targets = np.arange(of.ends.n_post)
        if of.blocks is not None:
            edges = of.ends.block_start()
            ours = [np.arange(*edges[b : b + 2]) for b in of.blocks]
            targets = np.concatenate([np.zeros(0, np.int64), *ours])
        own = np.full(len(targets), -1)
        if not getattr(of.rule, "autapses", True):
            itself = of.ends.self_of_post()[targets]
            at = np.where(itself >= 0, place[itself], -1)
            own = np.where(at >= 0, at - shares.first[us], -1)
        assert isinstance(of.weight, int | float) and isinstance(of.delay, int)
        unit = scales.to_units(of.weight, values["unit_scale"], "int64", f'projection "{of.path}"')
        cell = place[here] - shares.first[part]
        delay = of.delay
        found.append(totals.Member(int(unit), delay, part, cell, of.post_local[targets], own))
    sizes = np.diff(shares.first)
    return totals.totals(kind, us, n_target, sizes, found, values["accumulator"])


def initial_weights(rows: Rows, projection: Projection, scale: float, dtype: Any) -> np.ndarray:
    """The weight of each synapse of a table of this projection alone, in its unit."""
    if storage_of(projection.weight) == "constant":
        return np.full(len(rows.offset), projection.weight, dtype)
    unit = float(rows.unit[np.asarray(rows.width).argmax(), 0])
    found = np.empty(len(rows.offset), dtype)  # written in double precision, piece by piece
    return np.multiply(rows.weight, unit / scale, out=found, dtype=float, casting="unsafe")


def _rows_of(
    graph: Graph, groups: Sequence[Group], parts: Parts, device: int, c: Connection, pre: np.ndarray
) -> ProjectionRows:
    ends, cells = c.projection.ends, parts.cells[device][c.group]
    return ProjectionRows(
        c.path,
        c.projection.rule,
        ends,
        c.projection.weight,
        c.delay,
        pre,
        _targets(graph, cells, ends.post),
        _blocks(graph, groups[c.group], parts, parts.numbers[device], c),
    )


def _targets(graph: Graph, cells: Cells, views: tuple[View, ...]) -> np.ndarray:
    """The cell of each neuron of the post end in our part, 0 for those that are elsewhere."""
    targets = [np.zeros(0, np.int64)]
    for view in views:
        path = graph.path(view.population)
        target = np.zeros(view.size, np.int64)
        if path in cells.group.segment:
            cell, index = cells.find(path, np.asarray(view.ids, np.int64))
            target[index] = cell
        targets.append(target)
    return np.concatenate(targets)


def _blocks(
    graph: Graph, group: Group, parts: Parts, part: int, c: Connection
) -> np.ndarray | None:
    """The blocks of the post end that the part owns, and where it has the receptor; None: all.

    Receptors of one kind may stand at different indices: time constants differ by population.
    """
    ends, here = c.projection.ends, reached(graph, group, c.projection, c.receptor)
    edges = np.cumsum([0, *(view.size for view in ends.post)])
    start = ends.block_start()[:-1]
    member = np.searchsorted(edges, start, side="right") - 1
    is_ours = np.zeros(len(start), bool)
    for k, view in enumerate(ends.post):
        path, mine = graph.path(view.population), member == k
        if path in here and mine.any():
            ids = np.asarray(view.ids, np.int64)[start[mine] - edges[k]]
            is_ours[mine] = parts.shares[group.index].cells(path, ids)[0] == part
    return None if is_ours.all() else np.flatnonzero(is_ours)


def _turns(cells: Cells, n_target: int) -> np.ndarray:
    """The number of the block to which each of our cells belongs, among those that we own."""
    turns, first = np.zeros(n_target, np.int64), 0
    for k, population in enumerate(cells.group.populations):
        low, high = cells.bounds[k : k + 2]
        turns[low:high] = first + np.arange(high - low) // block_size(population.size)
        first += -(-(high - low) // block_size(population.size))
    return turns


def schedule(cells: Cells, s: Setting) -> tuple[np.ndarray, np.ndarray]:
    """The given spikes of our cells after the origin as (step, cell), sorted by both."""
    group = cells.group
    found = [
        _given_spikes(cells, *member, s)
        for member in zip(group.paths, group.populations, group.systems, strict=True)
    ]
    step, cell = (np.concatenate(column) for column in zip(*found, strict=True))
    order = np.lexsort((cell, step))
    return step[order], cell[order]


def _given_spikes(
    cells: Cells, path: str, population: Population, model: Schedule, s: Setting
) -> tuple[np.ndarray, np.ndarray]:
    """The spikes of one population of a schedule as (step, cell)."""
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
    cell, index = cells.find(path, id[later])
    return step[later][index], cell


def synapses(
    graph: Graph,
    groups: Sequence[Group],
    parts: Parts,
    connections: Sequence[Connection],
    scale: Callable[[int, int], float],
    s: Setting,
    path: str,
) -> list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
    """Our synapses of a projection, part by part: pre, post, weight, delay in ms.

    They are drawn again, which gives the same ones: tables do not say of which projection each is.
    In the place of a plastic weight is its number in its table.
    """
    found = []
    for c in (c for c in connections if c.path == path and c.part == 0):
        shares, n_target = parts.shares[c.source], parts.length(c.group)
        pre_local = shares.places(graph, c.projection.ends.pre)
        for device in range(len(parts.numbers)):
            asked = _rows_of(graph, groups, parts, device, c, pre_local)
            rows = build_table([asked], shares.bounds, n_target, **_drawing(c, scale, s))
            named = name_segments([asked], shares.bounds)
            begin, end = synapses_of(rows, asked.pre_local, named.first[0])
            pre, index = _expanded(begin, end)
            offset = rows.offset[index].astype(np.int64)
            weight = index
            if c.projection.plasticity is None:
                weight = np.full(len(index), rows.unit[named.width.argmax(), 0], np.float64)
                if rows.weight.size:
                    weight *= rows.weight[index]
                weight /= scale(c.group, c.receptor)
            place = _post_places(graph, parts.cells[device][c.group], c.projection.ends.post)
            found.append((pre, place[offset % n_target], weight, (offset // n_target) * s.dt))
    return found


def _drawing(c: Connection, scale: Callable[[int, int], float], s: Setting) -> dict[str, Any]:
    """What the synapses onto a receptor depend on besides their projections."""
    accumulator = np.dtype(s.accumulator).type
    unit_scale = scale(c.group, c.receptor)
    return {"seed": s.seed, "dt": s.dt, "unit_scale": unit_scale, "accumulator": accumulator}


def _expanded(begin: np.ndarray, end: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All indices of the ranges begin[i]:end[i], and i for each."""
    n = end - begin
    which = np.repeat(np.arange(len(n)), n)
    return which, np.arange(n.sum()) + np.repeat(begin - np.cumsum(n) + n, n)


def _post_places(graph: Graph, cells: Cells, views: tuple[View, ...]) -> np.ndarray:
    """Where each of our cells stands in the post end, -1 for those that do not."""
    places, start = np.full(cells.size, -1, np.int64), 0
    for view in views:
        path = graph.path(view.population)
        if path in cells.group.segment:
            cell, index = cells.find(path, np.asarray(view.ids, np.int64))
            places[cell] = start + index
        start += view.size
    return places
