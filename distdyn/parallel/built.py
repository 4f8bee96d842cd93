"""Built: the parts of a process as data on the host, before any device sees them.

Everything here follows from the description, the seed and the decomposition: who owns which cells,
their parameters, the programs of the groups, and the tables of synapses. All parts of the network
are built like this, each by its own process, without a word between them.
"""

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

import partition
from distdyn.errors import DelayError, NetworkError
from distdyn.network.ends import block_size
from distdyn.network.network import Graph
from distdyn.network.projection import Projection
from distdyn.ops import formula, totals
from distdyn.ops.formula import Formula
from distdyn.ops.rows import Rows, synapse_count
from distdyn.ops.totals import Totals
from distdyn.parallel import connect
from distdyn.parallel.assemble import Assembly, assemble
from distdyn.parallel.connect import Parts
from distdyn.parallel.groups import Group, group_populations
from distdyn.parallel.operands import Fixed
from distdyn.parallel.parameters import Setting, cell_parameters
from distdyn.parallel.plan.memory import memory_of_this_machine, shown_bytes
from distdyn.parallel.shares import Shares
from partition import Decomposition, DecompositionError, round_robin


class Built:
    """The parts of one rank.

    Args:
        graph: the network.
        setting: dt, seed, precision, first step.
        rank, ranks: ours, and of how many.
        devices: of each rank, with one part each.
        decomposition: who owns which neurons, or a file of that; by default blocks are dealt
            round-robin.
        alike: makes lengths equal on all devices of a mesh that spans ranks; None: there is none.
        procedural: whether rows can be drawn again; if not, those of procedural projections are
            stored like all others.
    """

    def __init__(
        self,
        graph: Graph,
        setting: Setting,
        rank: int,
        ranks: int,
        devices: int,
        decomposition: Decomposition | str | Path | None,
        alike: Callable[[Any], Any] | None,
        *,
        procedural: bool = True,
    ) -> None:
        self.graph, self.setting, self.procedural = graph, setting, procedural
        self.alike = alike or (lambda length: length)
        for population in graph.populations.values():
            population.model.check(setting.dt)
        self.groups = group_populations(graph)
        for group in self.groups:
            for system in group.systems if group.emitter is None else ():
                system.check(setting.dt)
        numbers = tuple(rank * devices + device for device in range(devices))
        equal = range(ranks * devices) if alike else numbers
        self.parts = self._parts(decomposition, numbers, ranks * devices, equal)
        self.parameters = [
            [cell_parameters(cells, setting.seed) for cells in of] for of in self.parts.cells
        ]
        self.connections = connect.connections(graph, self.groups, setting)
        self.layer_arrivals = connect.layer_arrivals(graph, self.groups, setting)
        self.slots = [
            tuple(
                connect.ring_slots([*self.connections, *self.layer_arrivals], group.index, r)
                for r in range(len(group.receptors))
            )
            for group in self.groups
        ]
        self._check_rings()
        self.assemblies = [self._assemble(group) for group in self.groups]

    def _parts(
        self,
        decomposition: Decomposition | str | Path | None,
        numbers: tuple[int, ...],
        n_parts: int,
        equal: Sequence[int],
    ) -> Parts:
        graph = self.graph
        sizes = [population.size for population in graph.populations.values()]
        if isinstance(decomposition, str | Path):
            decomposition = load(decomposition)
        if decomposition is None:
            decomposition = round_robin(sizes, [block_size(size) for size in sizes], n_parts)
        _check_decomposition(decomposition, list(graph.populations), sizes, n_parts)
        shares = tuple(Shares.of(graph, group, decomposition) for group in self.groups)
        cells = tuple(
            tuple(group.owned(graph, decomposition, part) for group in self.groups)
            for part in numbers
        )
        room = tuple(share.largest(equal) for share in shares)
        return Parts(decomposition, shares, numbers, cells, room)

    def _check_rings(self) -> None:
        """Refuse a delay whose ring no machine like this one could hold; on all ranks alike."""
        most, setting = memory_of_this_machine(), self.setting
        itemsize = np.dtype(setting.accumulator).itemsize
        everywhere = range(self.parts.decomposition.parts)
        largest = [share.largest(everywhere) for share in self.parts.shares]
        for c in (*self.connections, *self.layer_arrivals):
            cells = largest[c.group]
            needed = (c.longest + 1) * cells * itemsize
            if needed > most:
                noun = "projection" if isinstance(c, connect.Connection) else "layer"
                raise DelayError(
                    f'{noun} "{c.path}": delay = {c.longest * setting.dt:g} ms is {c.longest} '
                    f"steps; what is on its way to {cells} neurons in that time takes "
                    f"{shown_bytes(needed)}, this machine has {shown_bytes(most)}. Use a shorter "
                    "delay, or more ranks."
                )

    def _assemble(self, group: Group) -> list[Assembly] | None:
        """The group's assembly on each device; all have the same program."""
        if not group.has_state:
            return None
        k = group.index
        return [
            assemble(self.graph, cells[k], parameters[k], self.slots[k], self.setting)
            for cells, parameters in zip(self.parts.cells, self.parameters, strict=True)
        ]

    def scale(self, group: int, receptor: int) -> float:
        assemblies = self.assemblies[group]
        assert assemblies is not None
        return assemblies[0].scales[receptor]

    @cached_property
    def tables(self) -> list[connect.Table]:
        """The tables of synapses, built when they are first asked for."""
        return connect.build_tables(
            self.graph, self.groups, self.parts, self.connections, self.scale, self.setting,
            self.alike, procedural=self.procedural,
        )  # fmt: skip

    # --- looking and setting ---------------------------------------------------------------------

    def group_of(self, path: str) -> Group:
        """The group in which a population runs."""
        return next(group for group in self.groups if path in group.paths)

    def ring(self, group: int, receptor: int) -> int:
        """The index of a receptor's ring among the rings of its group."""
        return sum(1 for slots in self.slots[group][:receptor] if slots)

    def parameter(self, path: str, name: str) -> list[Any]:
        """A parameter of a population's group on each device."""
        k = self.group_of(path).index
        return [of[k].values[of[k].names.index(name)] for of in self.parameters]

    def write_parameter(self, path: str, name: str, value: float | np.ndarray) -> None:
        """Set a parameter of a population to a number or an array over all its neurons."""
        group = self.group_of(path)
        for cells, of in zip(self.parts.cells, self.parameters, strict=True):
            mine, parameters = cells[group.index], of[group.index]
            leaf = parameters.names.index(name)
            old = parameters.values[leaf]
            if old.per == "segment" and not np.ndim(value):
                new = old.array.copy()
                new[group.segment[path]] = value
                parameters.values[leaf] = Fixed("segment", new)
                continue
            new = np.repeat(old.array, np.diff(mine.bounds)) if old.per == "segment" else old.array
            new = new.copy()
            here, ids = mine.of(path)
            new[here] = value if not np.ndim(value) else np.asarray(value)[ids]
            parameters.values[leaf] = Fixed("cell", new)
        self.assemblies[group.index] = self._assemble(group)

    def write_weight(self, path: str, projection: Projection) -> list[tuple[float, ...]]:
        """Replace a projection by one with another weight: rows are drawn again, the same ones.

        Returns:
            The scales of the rings before, by group and receptor.
        """
        self.graph.projections[path] = projection
        self.connections = connect.connections(self.graph, self.groups, self.setting)
        before = [a[0].scales if a else () for a in self.assemblies]
        self.assemblies = [self._assemble(group) for group in self.groups]
        vars(self).pop("tables", None)
        return before

    def synapses(self, path: str) -> list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
        """Our synapses of a projection in pieces: pre, post, weight, delay in ms."""
        return connect.synapses(
            self.graph, self.groups, self.parts, self.connections, self.scale, self.setting, path,
        )  # fmt: skip

    @property
    def synapse_count(self) -> int:
        """How many synapses we have."""
        return sum(
            _synapse_count(rows)
            for table in self.tables
            if not table.repeats
            for rows in table.rows
        )


def _synapse_count(rows: Rows | Formula | Totals) -> int:
    if isinstance(rows, Formula):
        return formula.synapse_count(rows)
    return totals.synapse_count(rows) if isinstance(rows, Totals) else synapse_count(rows)


def load(path: str | Path) -> Decomposition:
    """A decomposition from a file.

    Raises:
        NetworkError: it is not there, or not one.
    """
    try:
        return partition.load(path)
    except (OSError, DecompositionError) as error:
        raise NetworkError(
            f'decomposition: "{path}" cannot be read: {error} Make one with distdyn plan --save.'
        ) from error


def _check_decomposition(
    decomposition: Decomposition, paths: list[str], sizes: list[int], parts: int
) -> None:
    if decomposition.parts != parts or list(decomposition.sizes) != sizes:
        raise NetworkError(
            f"decomposition: it is of {decomposition.parts} parts and populations of "
            f"{list(decomposition.sizes)} neurons; this run has {parts} parts (ranks x devices) "
            f"and populations of {sizes}. Make one for this run."
        )
    for path, size, block in zip(paths, sizes, decomposition.blocks, strict=True):
        if block % block_size(size) and size > block:
            raise NetworkError(
                f'decomposition: population "{path}" is dealt in blocks of {block}; its {size} '
                f"neurons are drawn in blocks of {block_size(size)}. Use multiples of them."
            )
