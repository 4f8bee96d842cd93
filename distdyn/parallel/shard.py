"""Shard: one part of a network, built and ready to run in chunks.

    shard = Shard(graph, Setting(dt=.1, seed=1, precision="float32", origin=0))
    shard.run(100)           # some steps; says how many were done, and which cells spiked

A shard knows cells and rings; paths of the network are translated here, and nowhere below.
"""

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from distdyn.errors import SimulationError
from distdyn.network.network import Graph
from distdyn.network.projection import Projection
from distdyn.ops.deliver import kernels_work
from distdyn.ops.rows import Rows
from distdyn.ops.update import Operand, Signature
from distdyn.parallel import chunk, connect
from distdyn.parallel.assemble import Assembly, assemble
from distdyn.parallel.build import cores
from distdyn.parallel.groups import Group, group_populations
from distdyn.parallel.parameters import GroupParameters, Setting, group_parameters, initial_state

EVENT_ROOM = 1 << 20  # events that a list has room for, at least
TRACE_BYTES = 1 << 26  # of samples kept in a chunk, about
MOST_THREADS = 16
LEAST_WORK = 8192  # cells, or about as many synaptic events per step, that a thread is worth
EVENT_RATIO = 1000  # synapses per event and step: 10 Hz at dt = 0.1 ms


class Sample(NamedTuple):
    """A state variable to sample: the leaf of a group, its cells, every so many steps."""

    group: int
    leaf: int
    cells: np.ndarray
    every: int


@dataclass(frozen=True)
class ChunkResult:
    """What happened in a chunk of `done` steps after step `start`.

    Attributes:
        spikes: per population path, (step int64, id int64), sorted by both.
        samples: per sample asked for, (step int64[t], values [t, k]).
    """

    start: int
    done: int
    spikes: dict[str, tuple[np.ndarray, np.ndarray]]
    samples: list[tuple[np.ndarray, np.ndarray]]


class Shard:
    """A network, or a part of one, on one device."""

    def __init__(
        self,
        graph: Graph,
        setting: Setting,
        *,
        kernels: bool | None = None,
        threads: int | None = None,
    ) -> None:
        self.graph, self.setting = graph, setting
        self.kernels = kernels_work() if kernels is None else kernels
        for population in graph.populations.values():
            population.model.check(setting.dt)
        self.groups = group_populations(graph)
        self.parameters = [group_parameters(group, setting.seed) for group in self.groups]
        self.connections = connect.connections(graph, self.groups, setting)
        self.slots = [
            tuple(
                connect.ring_slots(self.connections, group.index, r, setting.dt)
                for r in range(len(group.receptors))
            )
            for group in self.groups
        ]
        self.unfused: dict[str, str] = {}  # path: why its cells are not compiled in one pass
        self.assemblies = [self._assemble(group) for group in self.groups]
        self.tables = connect.build_tables(
            graph, self.groups, self.connections, self._scale, setting
        )
        self.team = self._team(threads) if self.kernels else None
        self.cut = self._cut_tables()
        self.step = setting.origin
        self.start()

    # --- building --------------------------------------------------------------------------------

    def _assemble(self, group: Group) -> Assembly | None:
        if group.is_schedule:
            return None
        parameters = self.parameters[group.index]
        return assemble(self.graph, group, parameters, self.slots[group.index], self.setting)

    def _scale(self, group: int, receptor: int) -> float:
        assembly = self.assemblies[group]
        assert assembly is not None
        return assembly.scales[receptor]

    def _team(self, threads: int | None) -> Any:
        """The threads that share each step: as many as there are cores and enough work for."""
        from distdyn.ops.team import Team

        if threads is None:
            work = sum(group.size for group in self.groups) + self.synapse_count // EVENT_RATIO
            threads = max(1, min(cores(), MOST_THREADS, work // LEAST_WORK))
        return Team(threads)

    def _cut_tables(self) -> list[Rows]:
        """The tables as the team's members share them."""
        if self.team is None:
            return [table.rows for table in self.tables]
        from distdyn.ops.kernels import cut_rows

        with jax.enable_x64(True):
            cut = [
                cut_rows(table.rows, self.groups[table.group].size, self.team.members)
                for table in self.tables
            ]
            return [Rows(*map(jnp.asarray, rows)) for rows in cut]

    def start(self) -> None:
        """Set the state to that before the first step."""
        self.step = self.setting.origin
        self.states, self.names = [], []
        for group, parameters in zip(self.groups, self.parameters, strict=True):
            state, names = (
                ([], []) if group.is_schedule else initial_state(group, parameters, self.setting)
            )
            self.states.append(state)
            self.names.append(names)
        self.rings = [
            [
                jnp.zeros((slots, group.size), self.setting.accumulator)
                for slots in self.slots[group.index]
                if slots
            ]
            for group in self.groups
        ]
        self.watch((), ())

    def watch(self, spikes: Sequence[str], samples: Sequence[Sample]) -> None:
        """Say what to keep from now on: spikes of these populations, and these samples."""
        self.kept = frozenset(spikes)
        self.samples = list(samples)
        self.plan, self.data = self._plan(), self._data()

    def _plan(self) -> chunk.Plan:
        traces = tuple(chunk.TracePlan(s.group, s.leaf, s.every) for s in self.samples)
        tables = tuple(
            chunk.TablePlan(table.source, table.group, self._ring(table.group, table.receptor))
            for table in self.tables
        )
        groups = tuple(self._group_plan(group) for group in self.groups)
        static = eqx.partition(self._operands(), eqx.is_array)[1]
        return chunk.Plan(groups, tables, traces, self.setting.dt, chunk.Static.of(static))

    def _ring(self, group: int, receptor: int) -> int:
        """The index of a receptor's ring among the rings of its group."""
        return sum(1 for slots in self.slots[group][:receptor] if slots)

    def _group_plan(self, group: Group) -> chunk.GroupPlan:
        assembly = self.assemblies[group.index]
        bounds = tuple(int(b) for b in group.bounds)
        keeps = bool(self.kept & set(group.paths))
        if assembly is None:
            return chunk.GroupPlan(None, Signature((), (), (), True), bounds, keeps, None)
        operands = (
            Operand("call", "int64"),
            *(
                Operand(per, str(x.dtype))
                for per, x in zip(assembly.per, assembly.operands, strict=True)
            ),
        )
        system = group.systems[0]
        signature = Signature(
            operands,
            tuple(str(x.dtype) for x in self.states[group.index]),
            tuple(self.setting.accumulator for slots in self.slots[group.index] if slots),
            bool(getattr(system, "is_spiking", system.spiking)),
        )
        target = self._compile(group, assembly, signature) if self.kernels else None
        return chunk.GroupPlan(assembly.program, signature, bounds, keeps, target)

    def _compile(self, group: Group, assembly: Assembly, signature: Signature) -> str | None:
        from distdyn.ops import fuse, lanes

        try:
            with jax.enable_x64(True):
                return fuse.compile_cell(assembly.program, signature)
        except lanes.Unsupported as reason:
            self.unfused |= dict.fromkeys(group.paths, str(reason))
            return None

    def _operands(self) -> tuple[tuple[Any, ...], ...]:
        return tuple(() if a is None else tuple(a.operands) for a in self.assemblies)

    def _data(self) -> chunk.Data:
        arrays = eqx.partition(self._operands(), eqx.is_array)[0]
        groups = tuple(
            chunk.GroupData(operands, jnp.asarray(group.bounds), self._schedule(group))
            for group, operands in zip(self.groups, arrays, strict=True)
        )
        samples = tuple(jnp.asarray(s.cells, jnp.int32) for s in self.samples)
        team = None if self.team is None else self.team.operand
        return chunk.Data(groups, tuple(self.cut), samples, team)

    def _schedule(self, group: Group) -> tuple[Any, Any] | None:
        if not group.is_schedule:
            return None
        step, id = connect.schedule(group, self.setting)
        return jnp.asarray(step), jnp.asarray(id, jnp.int32)

    # --- running ---------------------------------------------------------------------------------

    def run(self, most: int) -> ChunkResult:
        """Run up to `most` steps; fewer if a list of spikes or samples is full before.

        Raises:
            SimulationError: a state is not finite any more.
        """
        start = self.step
        carry = chunk.Carry(
            jnp.int64(start),
            tuple(self.states),
            tuple(self.rings),
            tuple(self._event_list(group) for group in self.plan.groups),
            tuple(self._sample_buffer(s) for s in self.samples),
        )
        most = min(most, chunk.MOST_STEPS)
        with self.team if self.team is not None and most > 0 else nullcontext():
            carry, progress = chunk.run_chunk(self.plan, self.data, carry, jnp.int64(most))
            done = int(progress.done)  # waits: the team is there until the last step is done
        self.step = start + done
        self.states, self.rings = list(carry.states), [list(r) for r in carry.rings]
        self._check_finite(progress.finite)
        return ChunkResult(
            start,
            done,
            dict(self._spikes(start, done, carry, progress)),
            self._samples(start, done, carry, progress),
        )

    def _event_list(self, group: chunk.GroupPlan) -> Any:
        n = group.bounds[-1] if group.signature.spikes and group.program is not None else 0
        room = max(2 * n, EVENT_ROOM) if group.keeps_spikes and n else n
        return jnp.zeros(room, jnp.int32)

    def _sample_buffer(self, sample: Sample) -> Any:
        k = len(sample.cells)
        dtype = self.states[sample.group][sample.leaf].dtype
        rows = max(1, TRACE_BYTES // max(1, k * dtype.itemsize))
        rows = min(rows, chunk.MOST_STEPS // sample.every + 1)
        return jnp.zeros((rows + 1, k), dtype)

    def _spikes(
        self, start: int, done: int, carry: chunk.Carry, progress: chunk.Progress
    ) -> Iterator[tuple[str, tuple[np.ndarray, np.ndarray]]]:
        """The chunk's spikes by population, in the order of step and id."""
        stamps = start + 1 + np.arange(done, dtype=np.int64)
        for group, plan, data in zip(self.groups, self.plan.groups, self.data.groups, strict=True):
            if not plan.keeps_spikes:
                continue
            if data.schedule is not None:
                step, cell = (np.asarray(x) for x in data.schedule)
                here = slice(*np.searchsorted(step, [start, start + done], side="right"))
                step, cell = step[here], cell[here]
            else:
                used = int(progress.cursors[group.index])
                cell = np.asarray(carry.events[group.index])[:used]  # JAX would compile each length
                step = np.repeat(stamps, np.asarray(progress.counts[group.index])[:done])
            segment = np.searchsorted(group.bounds, cell, side="right") - 1
            for index, path in enumerate(group.paths):
                if path in self.kept:
                    mine = segment == index
                    yield path, (step[mine], cell[mine].astype(np.int64) - group.bounds[index])

    def _samples(
        self, start: int, done: int, carry: chunk.Carry, progress: chunk.Progress
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        result = []
        for sample, buffer, used in zip(self.samples, carry.traces, progress.sampled, strict=True):
            first = (start // sample.every + 1) * sample.every
            step = np.arange(first, start + done + 1, sample.every, dtype=np.int64)
            result.append((step, np.asarray(buffer)[: int(used)].copy()))
        return result

    def _check_finite(self, finite: Sequence[Any]) -> None:
        for group, is_finite in zip(self.groups, finite, strict=True):
            if bool(is_finite):
                continue
            for name, leaf in zip(self.names[group.index], self.states[group.index], strict=True):
                bad = np.flatnonzero(~np.isfinite(np.asarray(leaf)))
                if bad.size:
                    segment = int(np.searchsorted(group.bounds, bad[0], side="right") - 1)
                    raise SimulationError(
                        f'population "{group.paths[segment]}": {name} of neuron '
                        f"{bad[0] - group.bounds[segment]} is {np.asarray(leaf)[bad[0]]} at step "
                        f"{self.step} ({bad.size} in all). Use a smaller dt, or check parameters "
                        "and weights."
                    )

    # --- looking and setting ---------------------------------------------------------------------

    def group_of(self, path: str) -> Group:
        """The group in which a population runs."""
        return next(group for group in self.groups if path in group.paths)

    def state_names(self, path: str) -> list[str]:
        """The names of a population's state variables: `V`, `refractory`, `receptors.0.g`."""
        return self.names[self.group_of(path).index]

    def leaf(self, path: str, name: str) -> tuple[Group, int, slice]:
        """Where a population's state variable is: group, leaf, cells."""
        group = self.group_of(path)
        start = group.start(path)
        cells = slice(start, start + self.graph.populations[path].size)
        return group, self.names[group.index].index(name), cells

    def read_state(self, path: str, name: str) -> np.ndarray:
        """A copy of a state variable of a population."""
        group, leaf, cells = self.leaf(path, name)
        return np.asarray(self.states[group.index][leaf])[cells].copy()

    def write_state(self, path: str, name: str, value: Any) -> None:
        """Set a state variable of a population."""
        group, leaf, cells = self.leaf(path, name)
        array = np.array(self.states[group.index][leaf])
        array[cells] = value
        with jax.enable_x64(True):
            self.states[group.index][leaf] = jnp.asarray(array)

    def read_parameter(self, path: str, name: str) -> float | np.ndarray:
        """A parameter of a population: a number, or one per neuron."""
        group = self.group_of(path)
        parameters: GroupParameters = self.parameters[group.index]
        value = parameters.values[parameters.names.index(name)]
        if not isinstance(value, np.ndarray):
            return value
        index = group.paths.index(path)
        if len(value) == len(group.paths):
            return float(value[index])
        return value[group.bounds[index] : group.bounds[index + 1]].copy()

    def write_parameter(self, path: str, name: str, value: float | np.ndarray) -> None:
        """Set a parameter; code is compiled again only where a number becomes an array."""
        group = self.group_of(path)
        parameters = self.parameters[group.index]
        leaf, index = parameters.names.index(name), group.paths.index(path)
        old = parameters.values[leaf]
        if np.ndim(value) and len(old) != group.size:
            old = np.repeat(old, np.diff(group.bounds))
        new = np.array(old)
        if len(new) == len(group.paths) and not np.ndim(value):
            new[index] = value
        else:
            new[group.bounds[index] : group.bounds[index + 1]] = value
        parameters.values[leaf] = new
        with jax.enable_x64(True):
            self.assemblies[group.index] = self._assemble(group)
            self.plan, self.data = self._plan(), self._data()

    def write_weight(self, path: str, projection: Projection) -> None:
        """Replace a projection by one with another weight: rows are drawn again, the same ones."""
        self.graph.projections[path] = projection
        self.connections = connect.connections(self.graph, self.groups, self.setting)
        before = [a.scales if a else () for a in self.assemblies]
        with jax.enable_x64(True):
            self.assemblies = [self._assemble(group) for group in self.groups]
            self._rescale(before)
            self.tables = connect.build_tables(
                self.graph, self.groups, self.connections, self._scale, self.setting
            )
            self.cut = self._cut_tables()
            self.plan, self.data = self._plan(), self._data()

    def _rescale(self, before: list[tuple[float, ...]]) -> None:
        """Arrivals in flight in the units of the new scale; exact where it is finer."""
        for group, old in zip(self.groups, before, strict=True):
            assembly, rings = self.assemblies[group.index], self.rings[group.index]
            for receptor, slots in enumerate(self.slots[group.index]):
                if assembly and slots and assembly.scales[receptor] != old[receptor]:
                    ring = self._ring(group.index, receptor)
                    factor = assembly.scales[receptor] / old[receptor]
                    moved = np.rint(np.asarray(rings[ring], np.float64) * factor)
                    rings[ring] = jnp.asarray(moved.astype(self.setting.accumulator))

    def synapses(self, path: str) -> list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
        """The synapses of a projection in pieces: pre, post, weight, delay in ms."""
        return connect.synapses(
            self.graph, self.groups, self.connections, self.tables, self._scale, self.setting, path
        )

    @property
    def synapse_count(self) -> int:
        """How many synapses there are."""
        return sum(int(table.rows.start[-1]) for table in self.tables)

    @property
    def connectivity_bytes(self) -> int:
        """The size of all arrays that hold synapses."""
        return sum(array.nbytes for table in self.tables for array in table.rows)
