"""Footprint: how many bytes each part of a network will hold, before anything is allocated.

Everything follows from sizes, rules, distributions and who owns which blocks, as the build follows
from them; work and memory grow with blocks and parts, never with neurons or synapses. Per part:

    synapses   room for mean + 8 sd of the synapses of each table: a word and a weight each, as they
               are drawn; those that are packed afterwards take about two thirds of it (procedural:
               the counts of cells that are kept; all-to-all sums have none)
    sources    what finds a spike's synapses: bits and ranks of the cells that can reach the part,
               and a start for each segment of those that are expected to (procedural: the
               formula)
    rings      arrivals in flight: (longest delay + 1) x cells x 4 or 8 bytes per receptor
    state      states, and parameters that differ from cell to cell

Devices of one rank run one program: each has room for what the largest of them needs.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax
import numpy as np

from distdyn.core.cell import Cell
from distdyn.core.plasticity import Plasticity
from distdyn.network.distributions import Distribution
from distdyn.network.edges import Edges
from distdyn.network.graphs import PowerLaw, ScaleFree, SmallWorld
from distdyn.network.network import Graph
from distdyn.network.population import View
from distdyn.network.projection import CurrentInput, PoissonInput, Projection
from distdyn.network.rule import AbstractPairRule, Rule, check_words
from distdyn.network.rules import (
    AllToAll,
    FixedIndegree,
    FixedOutdegree,
    FixedProb,
    FixedTotal,
    OneToOne,
)
from distdyn.network.space import ByDistance
from distdyn.ops import formula
from distdyn.ops.learning import rooms
from distdyn.ops.rows import BLOCK, CELLS
from distdyn.ops.values import GUIDE_BITS, KNOT_BITS, delay_range, drawn_weights
from distdyn.parallel.build import cores
from distdyn.parallel.connect import Connection, connections, table_kind
from distdyn.parallel.drawing import CURSORS, TASK_COUNTS
from distdyn.parallel.formulas import chances_of, count_type
from distdyn.parallel.formulas import kind_of as counting_of
from distdyn.parallel.groups import Cells, Group, group_populations, reached
from distdyn.parallel.operands import Fixed, Values
from distdyn.parallel.parameters import (
    Setting,
    cell_parameters,
    prepared_structure,
    state_shapes,
)
from partition import Decomposition
from partition.graph import log_miss, some_miss

WEIGHT_BYTES = {"constant": 0, "drawn": 2, "given": 4}
LARGE = 2.0**64  # units of a weight, with which tables differ as they do with the receptor's scale
WORD_BYTES = 12  # bits and rank
START_BYTES = 4 + 8 / BLOCK  # start, and a share of a base


class Table(NamedTuple):
    """What `parallel.connect.build_tables` joins into one table."""

    source: int
    group: int
    receptor: int
    storage: str
    weights: str
    alone: str  # the path of a plastic projection
    members: list[Connection]


@dataclass(frozen=True, eq=False)
class Census:
    """Who is where: how many neurons of any part of the description each part owns."""

    graph: Graph
    decomposition: Decomposition
    _known: dict[View, np.ndarray] = field(default_factory=dict)

    @property
    def devices(self) -> int:
        """How many parts a rank has."""
        return self.decomposition.topology.devices

    def owned(self, view: View) -> np.ndarray:
        """int64[part]: how many neurons of a view each part owns."""
        if view not in self._known:
            self._known[view] = self._count(view)
        return self._known[view]

    def owned_by_all(self, views: Sequence[View]) -> np.ndarray:
        """int64[part]: how many neurons of some views each part owns."""
        return sum((self.owned(view) for view in views), np.zeros(self.decomposition.parts, int))

    def _count(self, view: View) -> np.ndarray:
        index = list(self.graph.populations).index(self.graph.path(view.population))
        if view.size == view.population.size:
            return self.decomposition.counts(index)
        owner, block = self.decomposition.owners[index], self.decomposition.blocks[index]
        edges = np.arange(len(owner) + 1) * block
        before = np.clip(-(-(edges - view.start) // view.step), 0, view.size)
        return _summed(owner, np.diff(before), self.decomposition.parts)

    def widest(self, values: np.ndarray) -> np.ndarray:
        """The largest value among the parts of each part's rank."""
        by_rank = np.asarray(values).reshape(-1, self.devices).max(axis=1)
        return np.repeat(by_rank, self.devices)


def _summed(owner: np.ndarray, n: np.ndarray, parts: int) -> np.ndarray:
    """int64[part]: the sums of n by owner, exact where float64 would not be."""
    total = np.zeros(parts, np.int64)
    np.add.at(total, owner, n)
    return total


class Footprint:
    """The bytes of each part, item by item, and how they come about.

    Attributes:
        groups: as the build will form them.
        connections: as the build will list them.
        synapses: float64[part]: expected onto the part's neurons.
        sources: float64[part]: rows of the tables, one per table for each neuron that reaches it.
        bytes: per item, float64[part].
        transient: float64[part]: bytes that the build of the largest table needs besides.
    """

    def __init__(self, graph: Graph, decomposition: Decomposition, s: Setting) -> None:
        self.graph, self.setting = graph, s
        self.census = Census(graph, decomposition)
        with jax.enable_x64(True):
            self.groups = group_populations(graph)
            self.connections = connections(graph, self.groups, s)
            cell_bytes = [_cell_bytes(graph, group, s) for group in self.groups]
        self.delays = _Delays(s.dt)
        self.cells = [
            self.census.owned_by_all([p[:] for p in group.populations]) for group in self.groups
        ]
        self.room = [np.maximum(1, self.census.widest(cells)) for cells in self.cells]
        parts = decomposition.parts
        self.synapses, self.sources, self.transient = (np.zeros(parts) for _ in range(3))
        self.bytes = {name: np.zeros(parts) for name in ("synapses", "sources", "rings", "state")}
        for projection in graph.projections.values():
            check_words(projection.ends.n_pre, projection.ends.n_post)
        for table in self._tables():
            if table.storage == "procedural":
                self._add_formula(table)
            elif table.storage == "summed":
                self._add_sums(table)
            else:
                self._add_table(table)
        self._add_rings()
        for room, size in zip(self.room, cell_bytes, strict=True):
            self.bytes["state"] += room * size

    def _tables(self) -> list[Table]:
        found: dict[tuple[int, int, int, str, str, str], list[Connection]] = {}
        for c in self.connections:
            found.setdefault((c.source, c.group, c.receptor, *table_kind(c)), []).append(c)
        return [Table(*key, members) for key, members in found.items()]

    # --- a table ---------------------------------------------------------------------------------

    def _add_table(self, table: Table) -> None:
        group = self.groups[table.source]
        parts = self.census.decomposition.parts
        room, transient = np.zeros(parts), np.zeros(parts)
        miss = np.zeros((len(group.paths), parts))  # logarithms, per population and part
        width = np.zeros(len(group.paths), np.int64)
        for c in table.members:
            n_post = self.posts(c)
            pre = [view for view in c.projection.pre if self.path(view) in group.paths]
            n_pre = sum(view.size for view in pre)
            room += self._room(c, n_pre, n_post)
            if c.part == 0:  # the others repeat it
                self.synapses += expected(c.projection, n_pre, n_post)
            transient += self._drawing_bytes(c.projection, len(width))
            named = np.zeros(len(width), np.int64)
            for view in pre:
                k = group.segment[self.path(view)]
                miss[k] += self._log_miss(c.projection, view, n_post)
                named[k] = 1
            width += named
        longest = max(self.delays.last(c.delay, c.path) for c in table.members)
        is_wide = (longest + 1) * self.room[table.group] > 1 << 32
        room = self.census.widest(room)
        if table.weights == "constant":
            transient += 2 * room  # while it is packed it is there twice
        weight = WEIGHT_BYTES[table.weights]
        if table.alone:
            weight = self._plastic_bytes(table.members[0].projection.plasticity)
            self._add_history(table, longest)
        self.bytes["synapses"] += room * (4 + 4 * is_wide + weight)
        self._add_sources(group, -np.expm1(miss), width)
        transient += 2.0 * group.size + cores() * min(8 * TASK_COUNTS, group.size * 64)
        self.transient = np.maximum(self.transient, transient)

    def _add_sums(self, table: Table) -> None:
        """What `ops.totals.Totals` holds: the targets, and where the sources stand."""
        paths, found = self.groups[table.source].paths, np.zeros(self.census.decomposition.parts)
        for c in table.members:
            n_pre = sum(view.size for view in c.projection.pre if self.path(view) in paths)
            n_post = self.posts(c)
            if c.part == 0:
                self.synapses += expected(c.projection, n_pre, n_post)
            found += 8.0 * n_post + 16.0 * len(found)  # a target and itself; a run in each part
        self.bytes["sources"] += self.census.widest(found)

    def _plastic_bytes(self, rule: Any) -> int:
        """Of the variables of a plastic synapse, and of the time to which they are brought."""
        number = np.dtype(self.setting.precision).itemsize
        if not isinstance(rule, Plasticity):
            return number
        return number * (1 + len(rule.synapse() if rule.synapse else ())) + 8 * bool(rule.between)

    def _add_history(self, table: Table, longest: int) -> None:
        """What a plastic table knows of the spikes, and of V, of its targets."""
        plasticity, each = table.members[0].projection.plasticity, 8
        if isinstance(plasticity, Plasticity):
            number = np.dtype(self.setting.precision).itemsize
            spikes, steps = rooms(plasticity, longest, self.setting.dt)
            traces = len(plasticity.post())
            each += (8 + number * (traces + bool(plasticity.event))) * spikes
            each += (8 + number * traces * steps) if steps else 0
        self.bytes["state"] += float(each) * self.room[table.group]

    def _add_sources(self, group: Group, reach: np.ndarray, width: np.ndarray) -> None:
        """Bits, ranks and starts, if a neuron of each population reaches each part so often."""
        parts = self.census.decomposition.parts
        found = np.full(parts, parts * 8.0 * (2 * len(width) + 1))  # bounds, word
        rows = np.zeros(parts)
        for k, population in enumerate(group.populations):
            if not width[k]:
                continue
            rows += population.size * reach[k]
            found += START_BYTES * width[k] * population.size * reach[k]
            sizes, often = np.unique(self.census.owned(population[:]), return_counts=True)
            for n, times in zip(sizes.tolist(), often.tolist(), strict=True):
                with np.errstate(divide="ignore"):
                    some = -np.expm1(n * np.log1p(-reach[k])) if n else 0.0  # of n reaches it
                found += WORD_BYTES * times * -(-n // CELLS) * some
        self.sources += rows
        self.bytes["sources"] += self.census.widest(found)

    # --- a formula -------------------------------------------------------------------------------

    def _add_formula(self, table: Table) -> None:
        """What `parallel.formulas.build_formula` keeps of some projections."""
        group, parts = self.groups[table.source], self.census.decomposition.parts
        cells, counts, transient = np.zeros(parts), np.zeros(parts), np.zeros(parts)
        words = len(group.paths) * (2 * parts + 2) + parts + 1  # bounds, first, block, view_start
        words += formula.PROJECTION_COLUMNS * len(table.members)
        owned, own, named = self._blocks(group), 0, set()
        for c in table.members:
            pre = [
                view for view in c.projection.pre if self.path(view) in group.paths and view.size
            ]
            n_pre, mine = sum(view.size for view in pre), self._cells(c)
            self.synapses += expected(c.projection, n_pre, self.posts(c))
            words += formula.VIEW_COLUMNS * len(pre)
            has_own = c.projection.ends.n_self and not getattr(c.projection.rule, "autapses", True)
            own += n_pre if has_own else 0
            cells += mine
            if counting_of(c.projection.rule, c.projection.ends) == formula.COUNTED:
                counts += n_pre * mine
            named |= {(c.path, view) for view in pre}
            transient += self._drawing_bytes(c.projection, len(group.paths))
        dtype = count_type([(c.path, c.projection.rule, c.projection.ends) for c in table.members])
        self.bytes["synapses"] += self.census.widest(counts) * np.dtype(dtype).itemsize
        found = 8 * words + 4 * (owned + own) + self._value_bytes(table)
        self.bytes["sources"] += found + 8 * formula.CELL_COLUMNS * self.census.widest(cells)
        populations = {view.population for _, view in named}
        self.sources += sum(p.size for p in populations) * (cells > 0)
        self.transient = np.maximum(self.transient, transient + cores() * 8 * TASK_COUNTS)

    def _blocks(self, group: Group) -> int:
        """How many blocks the populations of a group are dealt in."""
        decomposition, paths = self.census.decomposition, list(self.graph.populations)
        return sum(len(decomposition.owners[paths.index(path)]) for path in group.paths)

    def _cells(self, c: Connection) -> np.ndarray:
        """int64[part]: how many blocks of the post end each part owns."""
        ends, decomposition = c.projection.ends, self.census.decomposition
        here = reached(self.graph, self.groups[c.group], c.projection, c.receptor)
        start = ends.block_start()[:-1]
        found, first, paths = np.zeros(decomposition.parts), 0, list(self.graph.populations)
        for view in ends.post:
            mine = start[(first <= start) & (start < first + view.size)] - first
            if self.path(view) in here and mine.size:
                ids = view.start + mine * view.step
                part = decomposition.part_of(paths.index(self.path(view)), ids)
                found += np.bincount(part, minlength=len(found))
            first += view.size
        return found

    def _value_bytes(self, table: Table) -> int:
        """The tables of delays, weights and numbers of synapses; equal ones are kept once."""
        delays, weights, chances = {}, set(), {}
        for c in table.members:
            first, last = self.delays.ends(c.delay, c.path)
            delays[repr(c.delay) if isinstance(c.delay, Distribution) else ""] = last - first + 1
            if isinstance(c.projection.weight, Distribution):
                weights.add(drawn_weights(c.projection.weight, LARGE).knots.tobytes())
            rule, ends = c.projection.rule, c.projection.ends
            if isinstance(rule, FixedProb) and counting_of(rule, ends) == formula.TOSSED:
                of = chances_of(rule, ends).threshold
                chances[of.tobytes()] = of.shape
        n_chances = 1 + sum(rows for rows, _ in chances.values())
        widest = max((length for _, length in chances.values()), default=1)
        words = sum(delays.values()) + n_chances * (max(1, widest) + 1)
        halves = len(delays) * (1 << GUIDE_BITS) + 3 * len(weights) * ((1 << KNOT_BITS) + 1)
        return 8 * words + 4 * halves

    # --- what both need --------------------------------------------------------------------------

    def path(self, view: View) -> str:
        """The path of a view's population."""
        return self.graph.path(view.population)

    def posts(self, c: Connection) -> np.ndarray:
        """int64[part]: how many targets of a connection each part owns."""
        here = reached(self.graph, self.groups[c.group], c.projection, c.receptor)
        return self.census.owned_by_all([v for v in c.projection.post if self.path(v) in here])

    def _room(self, c: Connection, n_pre: int, n_post: np.ndarray) -> np.ndarray:
        """float64[part]: the synapses for which a connection's table makes room."""
        rule, ends = c.projection.rule, c.projection.ends
        if isinstance(rule, Edges):
            return _edges_per_part(self.census, c.projection) * (n_pre / max(1, ends.n_pre))
        if isinstance(rule, OneToOne):
            return n_post * (n_pre / max(1, ends.n_pre))
        sizes, which = np.unique(n_post, return_inverse=True)
        n_all = ends.n_pre, ends.n_post
        bounds = [
            float(rule.bound(ends, None if (n_pre, n) == n_all else (n_pre, n)))
            for n in sizes.tolist()
        ]
        return np.array(bounds)[which]

    def _log_miss(self, projection: Projection, view: View, n_post: np.ndarray) -> np.ndarray:
        """The logarithm of the chance that a neuron of the view's population misses each part."""
        ends = projection.ends
        k = projection.expected_synapses / max(1, ends.n_pre)
        miss = log_miss(kind_of(projection.rule), k, ends.n_post, n_post)
        share = view.size / max(1, view.population.size)
        return miss if share == 1 else some_miss(miss, share)

    def _drawing_bytes(self, projection: Projection, n_populations: int) -> float:
        """What is held of one projection while its table is drawn: places, counts, segments."""
        n_pre, n_post = projection.ends.n_pre, projection.ends.n_post
        per_pre = 8 + 4  # place, segment
        if isinstance(projection.rule, AbstractPairRule):
            per_pre += 4 * max(1, min(cores(), CURSORS // max(1, n_pre)))
        else:
            per_pre += 8 + 4  # own target, count
        graph = 0.0
        if isinstance(projection.rule, SmallWorld | ScaleFree | PowerLaw):  # it is replayed whole
            graph = 16.0 * projection.expected_synapses
        return float(per_pre) * n_pre + 16.0 * n_post + graph

    # --- rings -----------------------------------------------------------------------------------

    def _add_rings(self) -> None:
        longest: dict[tuple[int, int], int] = {}
        for c in self.connections:
            key = c.group, c.receptor
            longest[key] = max(longest.get(key, 0), self.delays.last(c.delay, c.path))
        size = np.dtype(self.setting.accumulator).itemsize
        for (group, _), last in longest.items():
            self.bytes["rings"] += float(size) * (last + 1) * self.room[group]


class _Delays:
    """The shortest and longest delay of connections, in steps; a distribution is read once."""

    def __init__(self, dt: float) -> None:
        self.dt, self.known = dt, {}

    def ends(self, delay: Any, path: str) -> tuple[int, int]:
        """The shortest and the longest delay that can be drawn."""
        if isinstance(delay, ByDistance):
            first, last = (int(delay.in_steps(x, self.dt)) for x in delay.extremes())
            return first, last
        if not isinstance(delay, Distribution):
            return int(np.min(delay, initial=2**62)), int(np.max(delay, initial=1))
        key = type(delay), repr(delay)
        if key not in self.known:
            self.known[key] = delay_range(delay, self.dt, f'projection "{path}": delay')
        return self.known[key]

    def first(self, delay: Any, path: str) -> int:
        """The shortest delay that can be drawn."""
        return self.ends(delay, path)[0]

    def last(self, delay: Any, path: str) -> int:
        """The longest one."""
        return self.ends(delay, path)[1]


def kind_of(rule: Rule) -> str:
    """How a rule's synapses are drawn, in the words of `partition.graph`."""
    if isinstance(rule, AllToAll | FixedProb):
        return "pairs"
    if isinstance(rule, OneToOne | FixedOutdegree):
        return "outdegree"
    if isinstance(rule, FixedIndegree | FixedTotal) and not rule.multapses:
        return "pairs"
    return "poisson"


def expected(projection: Projection, n_pre: int, n_post: np.ndarray) -> np.ndarray:
    """The mean number of synapses from so many of the pre neurons onto so many of the post."""
    ends = projection.ends
    share = n_pre / max(1, ends.n_pre) * (n_post / max(1, ends.n_post))
    return projection.expected_synapses * share


def _edges_per_part(census: Census, projection: Projection) -> np.ndarray:
    """float64[part]: how many of the listed edges lead to each part."""
    rule, start = projection.rule, 0
    assert isinstance(rule, Edges)
    found = np.zeros(census.decomposition.parts)
    paths = list(census.graph.populations)
    for view in projection.post:
        mine = rule.post[(rule.post >= start) & (rule.post < start + view.size)] - start
        index = paths.index(census.graph.path(view.population))
        part = census.decomposition.part_of(index, view.start + mine * view.step)
        found += np.bincount(part, minlength=len(found))
        start += view.size
    return found


def _cell_bytes(graph: Graph, group: Group, s: Setting) -> float:
    """Bytes of one cell: its states, and the operands that are kept per cell."""
    if not group.has_state:
        return 0.0
    number = np.dtype(s.precision).itemsize
    few = Cells(group, tuple(np.arange(min(1, p.size)) for p in group.populations))
    parameters = cell_parameters(few, s.seed)
    total = sum(
        x.size * (number if x.dtype.kind == "f" else x.dtype.itemsize)
        for x in jax.tree.leaves(state_shapes(parameters, s.dt))
    )
    of_cells = [v for v in parameters.values if isinstance(v, Fixed | Values) and v.per == "cell"]
    total += number * len(of_cells)
    if any(isinstance(v, Fixed) for v in of_cells) and isinstance(group.systems[0], Cell):
        total += number * prepared_structure(parameters, s.dt).num_leaves
    for source in graph.inputs.values():
        if any(graph.path(view.population) in group.paths for view in source.post):
            is_poisson = isinstance(source, PoissonInput)
            total += 4 * is_poisson + number * _is_per_cell(source)
    return float(total)


def _is_per_cell(source: PoissonInput | CurrentInput) -> bool:
    """Whether an input's values are kept for each cell."""
    is_partial = any(view.size != view.population.size for view in source.post)
    values = [source.current] if isinstance(source, CurrentInput) else [source.rate, source.weight]
    return is_partial or any(isinstance(value, np.ndarray) for value in values)
