"""Shard: the parts of a network that this process owns, on its devices, run in chunks.

    shard = Shard(graph, Setting(dt=.1, seed=1, precision="float32", origin=0))
    shard.run(100)           # some steps; says how many were done, and which of our cells spiked

There is one part per device. All ranks build their own parts from the same description, and agree
only on how often they must exchange spikes.
"""

import dataclasses
import os
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import equinox as eqx
import jax
import numpy as np

from distdyn.core.signal import changes_of
from distdyn.errors import SimulationError
from distdyn.network.network import Graph
from distdyn.network.projection import Projection
from distdyn.ops.rows import sources_in, synapses_in
from distdyn.ops.update import Operand, Signature
from distdyn.parallel import chunk, connect, roads
from distdyn.parallel.assemble import Assembly
from distdyn.parallel.built import Built
from distdyn.parallel.couplings import Couplings
from distdyn.parallel.exchange.counters import Counters
from distdyn.parallel.exchange.neighbours import Neighbours
from distdyn.parallel.groups import Group
from distdyn.parallel.launch import World, cores
from distdyn.parallel.layers import Layers
from distdyn.parallel.learning import Learning, sees_voltage
from distdyn.parallel.operands import Fixed, Values
from distdyn.parallel.parameters import Setting, initial_state
from distdyn.parallel.placed import Placed
from distdyn.parallel.result import (
    ChunkResult,
    Emission,
    Found,
    Sample,
    joined,
    samples_of,
    scheduled,
    spikes_of,
)
from distdyn.parallel.stack import Stack, padded
from distdyn.parallel.stacked import stack_operands, stack_schedule
from partition import Decomposition

EVENT_ROOM = 1 << 20  # events that a list has room for, at least
TRACE_BYTES = 1 << 26  # of samples kept in a chunk, about
MOST_THREADS = 16
LEAST_WORK = 8192  # cells, or about as many synaptic events per step, that a thread is worth
EVENT_RATIO = 1000  # synapses per event and step: 10 Hz at dt = 0.1 ms
ROUND = 1024  # cells in a round of the mesh's exchange
HELD = 100  # steps for which an input stays the same, on average, that a chunk of its own is worth


class Shard:
    """The parts of a network that one process owns, one on each of its devices.

    Args:
        graph: the network.
        setting: dt, seed, precision, first step.
        world: the ranks that run it with us; None: this process alone.
        devices: ours, as many on each rank; None: one.
        everywhere: the devices of all ranks, rank after rank, if one program spans them
            (`jax.distributed`); None: every rank runs its own.
        decomposition: who owns which neurons; by default blocks are dealt round-robin.
        kernels: whether to use machine code (CPU); None: where it works. Without it, the rows of
            procedural projections are stored: the results are the same, memory is not saved.
        threads: of each part; None: the cores that are left to it.
        capacity: cells in a round of the exchange by collectives (without machine code).
        overlap: exchange with other nodes twice as often, and compute while spikes travel.
    """

    def __init__(
        self,
        graph: Graph,
        setting: Setting,
        *,
        world: World | None = None,
        devices: Sequence[Any] | None = None,
        everywhere: Sequence[Any] | None = None,
        decomposition: Decomposition | None = None,
        kernels: bool | None = None,
        threads: int | None = None,
        capacity: int = ROUND,
        overlap: bool = False,
    ) -> None:
        self.graph, self.setting, self.capacity = graph, setting, capacity
        self.world = us = world or World()
        self.stack = Stack(devices or jax.local_devices()[:1], everywhere)
        platform, spanning = self.stack.devices[0].platform, self.stack.is_spanning
        if kernels is not None:
            self.choice = roads.Choice(kernels, False, platform)
        else:
            self.choice = roads.choose(platform, os.environ, is_spanning=spanning)
        self.kernels = self.choice.kernels
        self.unfused: dict[str, str] = {}  # path: why its cells are not compiled in one pass
        n, alike = len(self.stack.devices), us.max if self.stack.is_spanning else None
        self.built = Built(
            graph, setting, us.rank, us.size, n, decomposition, alike, procedural=self.kernels
        )
        self.groups, self.parts = self.built.groups, self.built.parts
        self.team = self._teams(threads) if self.kernels else None
        self.near = Neighbours(
            us, self.stack, self.parts, self.built.tables, kernels=self.kernels, overlap=overlap
        )
        sources = [table.source for table in self.built.tables]
        self.counters = Counters(self.groups, sources, self.near, us)
        self.placed = self._place()
        self.learning = self._learning()
        self.couplings = Couplings(self.built, self.stack, us, kernels=self.kernels)
        self.layers = Layers(self.built, self.stack, us)
        self.step = setting.origin
        self.start()

    def _teams(self, threads: int | None) -> list[Any]:
        """The threads that share each part's steps: as many as it has cores and enough work for."""
        from distdyn.ops.team import Team

        if threads is None:
            n = len(self.stack.devices)
            work = sum(self.parts.room) + self.synapse_count // EVENT_RATIO // n
            share = cores.look(self.world).per_rank // n
            threads = max(1, min(share, MOST_THREADS, work // LEAST_WORK))
        return [Team(threads) for _ in self.stack.devices]

    def _place(self) -> Placed:
        return Placed(self.built, self.stack, self.team[0].members if self.team else None)

    def _learning(self) -> Learning:
        return Learning(
            self.built, self.stack, kernels=self.kernels, voltage=lambda k: self._leaf(k, "V")
        )

    def _leaf(self, group: int, name: str) -> list[np.ndarray]:
        """A state variable of the cells of a group on each device."""
        return self.stack.blocks(self.states[group][self.names[group].index(name)])

    def start(self) -> None:
        """Set the state to that before the first step."""
        self.step = self.setting.origin
        if self.near.remote:
            self.near.remote.clear()  # nothing is on its way between two calls of run
        self.counters.clear()
        self.states: list[list[Any]] = []
        self.names: list[list[str]] = []
        for group in self.groups:
            blocks, names = self._first_states(group)
            self.states.append([self._own_cells(group.index, of) for of in blocks])
            self.names.append(names)
        self.rings = [
            [
                self.stack.zeros((slots, self.parts.length(k)), self.setting.accumulator)
                for slots in self.placed.slots[k]
                if slots
            ]
            for k in range(len(self.groups))
        ]
        self.placed.clear()
        self.learning.clear()
        self.layers.clear()
        self.couplings.weigh(self.states, self.names)
        self.watch((), ())

    def _first_states(self, group: Group) -> tuple[list[tuple[np.ndarray, ...]], list[str]]:
        """Each leaf of a group's state on each device, and the leaves' names."""
        if not group.has_state:
            return [], []
        found = [
            initial_state(cells[group.index], parameters[group.index], self.setting)
            for cells, parameters in zip(self.parts.cells, self.built.parameters, strict=True)
        ]
        return list(zip(*(state for state, _ in found), strict=True)), found[0][1]

    def _own_cells(self, group: int, blocks: Sequence[np.ndarray]) -> Any:
        """Values of the cells of a group on each device."""
        length = self.parts.length(group)
        return self.stack.own([padded(np.asarray(block), length) for block in blocks])

    # --- what the chunk needs to know ------------------------------------------------------------

    def watch(self, spikes: Sequence[str], samples: Sequence[Sample]) -> None:
        """Say what to keep from now on: spikes of these populations, and these samples."""
        self.kept = frozenset(spikes)
        self.samples = [self._find(sample) for sample in samples]
        self._refresh()
        self.events = tuple(self._event_list(group) for group in self.plan.groups)
        self.traces = tuple(self._sample_buffer(sample) for sample in self.samples)

    def _refresh(self) -> None:
        """Plan and data, after something of the description has changed."""
        with jax.enable_x64(True):
            self.operands = tuple(
                ()
                if assemblies is None
                else stack_operands(self.stack, assemblies, self.parts.length(k), self.built.alike)
                for k, assemblies in enumerate(self.built.assemblies)
            )
            self.plan, self.data = self._plan(), self._data()
            self.changes, self._held_from = self._changes(), -1

    def _changes(self) -> np.ndarray | None:
        """The steps at which what cells read changes, if that is seldom; None: never, or often."""
        varying = [x for of in self.operands for x in of if isinstance(x, Values)]
        values = [entry.value for x in varying for entry in x.entries]
        times = changes_of(values)
        if not values or times is None:
            return None
        steps = np.unique(np.rint(times / self.setting.dt).astype(np.int64))
        return steps if len(steps) * HELD <= np.ptp(steps) + 10 * HELD else None

    def _hold(self, most: int) -> int:
        """Fix what cells read now; for how many of so many steps it holds."""
        changes = self.changes
        if changes is None:
            return most
        after = int(np.searchsorted(changes, self.step, side="right"))
        if after != self._held_from:
            arrays, functions = eqx.partition(self.operands, eqx.is_array)
            with jax.enable_x64(True):
                plan = dataclasses.replace(self.plan, functions=chunk.Static.of(functions))
                held = chunk.hold(plan, arrays, np.int64(self.step))
            none = jax.tree.map(lambda _: None, held)
            self.plan = dataclasses.replace(self.plan, functions=chunk.Static.of(none))
            groups = zip(self.data.groups, held, strict=True)
            self.data = self.data._replace(
                groups=tuple(group._replace(operands=of) for group, of in groups)
            )
            self._held_from = after
        return min(most, int(changes[after]) - self.step) if after < len(changes) else most

    def _find(self, sample: Sample) -> Found:
        """Where a sample's neurons are on each device."""
        group = self.group_of(sample.path)
        found = [cells[group.index].find(sample.path, sample.ids) for cells in self.parts.cells]
        return Found(
            group.index,
            self.names[group.index].index(sample.name),
            sample.every,
            self.built.alike(max(len(cells) for cells, _ in found)),
            tuple(cells for cells, _ in found),
            tuple(sample.ids[index] for _, index in found),
        )

    def _plan(self) -> chunk.Plan:
        tables = tuple(
            chunk.TablePlan(
                t.source,
                t.group,
                self.built.ring(t.group, t.receptor),
                self.names[t.group].index("V") if sees_voltage(t.plasticity) else None,
            )
            for t in self.built.tables
        )
        return chunk.Plan(
            groups=tuple(self._group_plan(group) for group in self.groups),
            tables=tables,
            traces=tuple(chunk.TracePlan(s.group, s.leaf, s.every) for s in self.samples),
            dt=self.setting.dt,
            functions=chunk.Static.of(eqx.partition(self.operands, eqx.is_array)[1]),
            devices=self.stack.mesh,
            exchange=self.near.exchange,
            interval=self.near.interval,
            capacity=self.capacity,
            gpu=self.choice.gpu,
        )

    def _group_plan(self, group: Group) -> chunk.GroupPlan:
        k = group.index
        assemblies, length = self.built.assemblies[k], self.parts.length(k)
        listened = self.kept | self.layers.sources
        keeps = bool(listened & set(group.paths)) or self.near.remote is not None
        if assemblies is None:
            keeps = keeps if group.emitter is None else self.near.remote is not None
            emitter = self.couplings.leaf(group, self.names)
            none = Signature((), (), (), True)
            return chunk.GroupPlan(None, length, none, keeps, None, emitter)
        one, system = assemblies[0], group.systems[0]
        per = (Operand(x.per, dtype) for x, dtype in zip(one.operands, one.dtypes, strict=True))
        signature = Signature(
            (Operand("call", "int64"), *per),
            tuple(str(x.dtype) for x in self.states[k]),
            tuple(self.setting.accumulator for slots in self.built.slots[k] if slots),
            bool(getattr(system, "is_spiking", system.spiking)),
            tuple(x.shape[1] if x.ndim > 1 else 0 for x in self.states[k]),
        )
        target = self._compile(group, one, signature) if self.kernels else None
        return chunk.GroupPlan(one.program, length, signature, keeps, target)

    def _compile(self, group: Group, assembly: Assembly, signature: Signature) -> str | None:
        """The operator that advances a group's cells; what is watched changes nothing of it."""
        from distdyn.ops import fuse, lanes

        try:
            return fuse.compile_cell(assembly.program, signature)
        except lanes.Unsupported as reason:
            self.unfused |= dict.fromkeys(group.paths, str(reason))
            return None

    def _data(self) -> chunk.Data:
        arrays = eqx.partition(self.operands, eqx.is_array)[0]
        own, cells, numbers = self.stack.own, self.parts.cells, self.parts.numbers
        groups = tuple(
            chunk.GroupData(
                operands,
                own([of[k].bounds for of in cells]),
                self._schedule(k),
                self.couplings.factors.get(k),
            )
            for k, operands in enumerate(arrays)
        )
        of_mesh = range(self.stack.mesh.size) if self.stack.is_spanning else numbers
        remote = self.near.remote
        return chunk.Data(
            groups=groups,
            tables=self.placed.tables,
            laws=self.learning.laws,
            flights=self.placed.operands(),
            samples=tuple(
                own([padded(of.astype(np.int32), s.width) for of in s.cells]) for s in self.samples
            ),
            part=own([np.array([part], np.int64) for part in numbers]),
            parts=self.stack.same(np.array(of_mesh, np.int64)),
            team=None if self.team is None else own([np.asarray(t.operand) for t in self.team]),
            board=self.near.board,
            inbox=remote.operand(self.stack) if remote else None,
        )

    def _schedule(self, k: int) -> tuple[Any, Any] | None:
        if not self.groups[k].is_schedule:
            return None
        given = [connect.schedule(cells[k], self.setting) for cells in self.parts.cells]
        return stack_schedule(self.stack, given, self.built.alike)

    def _steps_kept(self) -> int:
        """The steps that a list must be able to hold: those between two chances to empty it."""
        return self.near.interval + (self.near.between if self.near.remote else 0)

    def _event_list(self, group: chunk.GroupPlan) -> Any:
        if group.emitter is None and (group.program is None or not group.signature.spikes):
            return self.stack.zeros((1,), np.int32)
        room = group.cells * group.words * (self._steps_kept() + 1)
        return self.stack.zeros((max(room, EVENT_ROOM if group.keeps_spikes else 0),), np.int32)

    def _sample_buffer(self, sample: Found) -> Any:
        dtype = self.states[sample.group][sample.leaf].dtype
        rows = max(1, TRACE_BYTES // max(1, sample.width * dtype.itemsize))
        rows = min(rows, chunk.MOST_STEPS // sample.every + 1)
        rows = max(rows, self._steps_kept() // sample.every + 2)
        return self.stack.zeros((rows + 1, sample.width), dtype)

    # --- running ---------------------------------------------------------------------------------

    def run(self, most: int) -> ChunkResult:
        """Run up to `most` steps; fewer, on all ranks alike, if a list is full before. Collective.

        Raises:
            SimulationError: a state is not finite any more, here or on another rank.
            ExchangeError: spikes were lost on their way between parts.
        """
        start, results = self.step, []
        self._failure: SimulationError | None = None
        if self.step == self.setting.origin and most > 0:
            self.couplings.begin(self.states, self.names, self.rings)
        self.placed.shorten(self.rings, self.step)
        with ExitStack() as open_:
            for team in self.team or () if most > 0 else ():
                open_.enter_context(team)  # it is there until the last step is done
            while True:
                n = min(most - (self.step - start), chunk.MOST_STEPS, self.layers.most)
                if self.near.remote:
                    n = min(n, self.near.between - self.step % self.near.between)
                n = self._hold(n)
                results.append(self._chunk(n))
                is_alone = not self.near.remote and not self.layers
                if is_alone or self.layers.is_over or self.step - start >= most:
                    break
            if self.near.is_expecting:
                if self.near.has_mail:
                    self._chunk(0)  # what came with the exchange before goes into the rings
                self.near.catch_up()
        lost = self.counters.check()
        self.world.agree(self._failure or lost)
        return joined(start, results)

    def _chunk(self, most: int) -> ChunkResult:
        start, data, remote = self.step, self.data, self.near.remote
        blocks = self.stack.blocks
        rings = tuple(self.rings)
        learned = tuple(self.learning.learned)
        carry = chunk.Carry(
            np.int64(start), tuple(self.states), rings, self.events, self.traces, learned
        )
        if remote and remote.memory is None:
            data = data._replace(inbox=remote.operand(self.stack))
        self.near.begin_chunk()
        with jax.enable_x64(True), self.world.watch.stepping():
            carry, progress = chunk.run_chunk(self.plan, data, carry, np.int64(most))
            done = int(blocks(progress.done)[0][0])  # waits for all steps
        self.step = start + done
        self.states, self.rings = list(carry.states), [list(r) for r in carry.rings]
        self.events, self.traces = carry.events, carry.traces
        self.learning.learned = list(carry.learned)
        emitted = self._emitted(start, done, progress)
        counts = np.array([[count for _, count in of] for of in emitted], np.int64)
        counts = counts.reshape(len(emitted), len(self.groups), done)
        self.counters.add(counts)
        self.near.end_chunk(start, done, emitted)
        self._check_finite(progress.finite)
        self._failure = self._failure or self.learning.failure()
        self._failure = self.layers.take(start, done, emitted, self.rings, self._failure)
        spikes = spikes_of(emitted, self.parts.cells, self.kept, start)
        samples = [
            samples_of(sample, blocks(rows), int(blocks(used)[0][0]), start, done)
            for sample, rows, used in zip(self.samples, self.traces, progress.sampled, strict=True)
        ]
        return ChunkResult(start, done, spikes, samples, counts.sum(axis=0))

    def _emitted(self, start: int, done: int, progress: chunk.Progress) -> list[list[Emission]]:
        """By device and group: the cells that spiked, and how many at each step."""
        result: list[list[Emission]] = [[] for _ in self.stack.devices]
        for group, plan, data in zip(self.groups, self.plan.groups, self.data.groups, strict=True):
            counts = self.stack.blocks(progress.counts[group.index])
            lists = [np.zeros(0, np.int32) for _ in counts]
            if data.schedule is not None:
                given = zip(*(self.stack.blocks(x) for x in data.schedule), strict=True)
                lists = [scheduled(step, cell, start, done) for step, cell in given]
            elif plan.keeps_spikes:
                used = self.stack.blocks(progress.cursors[group.index])
                events = self.stack.blocks(self.events[group.index])
                lists = [e[: int(u[0])].copy() for e, u in zip(events, used, strict=True)]
            for device, (cells, count) in enumerate(zip(lists, counts, strict=True)):
                result[device].append((cells, count[:done]))
        return result

    def _check_finite(self, finite: Sequence[Any]) -> None:
        for group, flags in zip(self.groups, finite, strict=True):
            for device, is_finite in enumerate(self.stack.blocks(flags)):
                if not is_finite.all() and self._failure is None:
                    self._failure = self._not_finite(group, device)

    def _not_finite(self, group: Group, device: int) -> SimulationError:
        cells = self.parts.cells[device][group.index]
        for name, leaf in zip(self.names[group.index], self.states[group.index], strict=True):
            values = self.stack.blocks(leaf)[device][: cells.size]
            if values.ndim > 1:
                continue  # a memory: what is there was in the state before
            bad = np.flatnonzero(~np.isfinite(values))
            if bad.size:
                k = int(np.searchsorted(cells.bounds, bad[0], side="right") - 1)
                if name.startswith("sent."):
                    neuron = int(cells.ids[k][bad[0] - cells.bounds[k]])
                    return self.couplings.failure(group, k, int(name.split(".")[1]), neuron)
                return SimulationError(
                    f'population "{group.paths[k]}": {name} of neuron '
                    f"{cells.ids[k][bad[0] - cells.bounds[k]]} is {values[bad[0]]} at step "
                    f"{self.step} ({bad.size} in all). Use a smaller dt, or check parameters "
                    "and weights."
                )
        return SimulationError(f"a state of {', '.join(group.paths)} is not finite. Report this.")

    # --- looking and setting ---------------------------------------------------------------------

    def group_of(self, path: str) -> Group:
        """The group in which a population runs."""
        return self.built.group_of(path)

    def state_names(self, path: str) -> list[str]:
        """The names of a population's state variables: `V`, `refractory`, `receptors.0.g`."""
        names = self.names[self.group_of(path).index]
        return [name for name in names if not name.startswith("memory.")]

    def parameter_names(self, path: str) -> list[str]:
        """The names of a population's parameters, those of its receptors with their number."""
        return self.built.parameters[0][self.group_of(path).index].names

    def owned_count(self, path: str) -> int:
        """How many neurons of a population this rank owns."""
        k = self.group_of(path).index
        return sum(len(cells[k].of(path)[1]) for cells in self.parts.cells)

    def owned(self, path: str) -> np.ndarray:
        """The neurons of a population that this rank owns, ascending."""
        k = self.group_of(path).index
        return np.sort(np.concatenate([cells[k].of(path)[1] for cells in self.parts.cells]))

    def dtype(self, path: str, name: str) -> str:
        """The type of a state variable."""
        k = self.group_of(path).index
        return str(self.states[k][self.names[k].index(name)].dtype)

    def read_state(self, path: str, name: str) -> np.ndarray:
        """A copy of a state variable of a whole population. Collective."""
        k = self.group_of(path).index
        return self._whole(path, self.stack.blocks(self.states[k][self.names[k].index(name)]))

    def _whole(self, path: str, blocks: Sequence[np.ndarray]) -> np.ndarray:
        """A population's values from those of the cells on all devices of all ranks."""
        k = self.group_of(path).index
        mine = []
        for cells, block in zip(self.parts.cells, blocks, strict=True):
            here, ids = cells[k].of(path)
            mine.append((ids, np.array(block[here])))
        whole = np.zeros(self.graph.populations[path].size, blocks[0].dtype)
        for of in self.world.allgather(mine):
            for ids, values in of:
                whole[ids] = values
        return whole

    def write_state(self, path: str, name: str, value: Any) -> None:
        """Set a state variable of a population to a number or an array over all its neurons."""
        k = self.group_of(path).index
        leaf = self.names[k].index(name)
        blocks = [np.array(block) for block in self.stack.blocks(self.states[k][leaf])]
        for cells, block in zip(self.parts.cells, blocks, strict=True):
            here, ids = cells[k].of(path)
            block[here] = value if np.ndim(value) == 0 else np.asarray(value)[ids]
        self.states[k][leaf] = self.stack.own(blocks)

    def read_parameter(self, path: str, name: str) -> Any:
        """A parameter of a population: a number, or one per neuron. Collective."""
        values = self.built.parameter(path, name)
        if not isinstance(values[0], Fixed):
            return values[0]
        if values[0].per == "segment":
            return float(values[0].array[self.group_of(path).segment[path]])
        return self._whole(path, [value.array for value in values])

    def write_parameter(self, path: str, name: str, value: float | np.ndarray) -> None:
        """Set a parameter; code is compiled again only where a number becomes an array."""
        self.built.write_parameter(path, name, value)
        self._refresh()

    def write_weight(self, path: str, projection: Projection) -> None:
        """Replace a projection by one with another weight: rows are drawn again, the same ones."""
        if self.near.has_mail:
            self._chunk(0)  # what has come arrives with the old weight
        self.placed.land(self.rings, self.step)
        self.learning.settle(path, self.placed.tables, self.step)
        before = self.built.write_weight(path, projection)
        self._rescale(before)
        self.placed, learning = self._place(), self.learning
        self.learning = self._learning()
        self.learning.keep(learning, path)
        self.couplings.weigh(self.states, self.names)
        self._refresh()

    def _rescale(self, before: list[tuple[float, ...]]) -> None:
        """Arrivals in flight in the units of the new scale; exact where it is finer."""
        for group, old in zip(self.groups, before, strict=True):
            assemblies, rings = self.built.assemblies[group.index], self.rings[group.index]
            for receptor, slots in enumerate(self.built.slots[group.index]):
                if assemblies and slots and assemblies[0].scales[receptor] != old[receptor]:
                    ring = self.built.ring(group.index, receptor)
                    factor = assemblies[0].scales[receptor] / old[receptor]
                    moved = [
                        np.rint(block.astype(np.float64) * factor).astype(block.dtype)
                        for block in self.stack.blocks(rings[ring])
                    ]
                    rings[ring] = self.stack.own(moved)

    def synapses(self, path: str) -> list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
        """Our synapses of a projection in pieces: pre, post, weight, delay in ms. Collective."""
        found = self.built.synapses(path)
        if self.graph.projections[path].plasticity is None:
            return found
        return [
            (pre, post, weight[index].astype(np.float64), delay)
            for (pre, post, index, delay), weight in zip(found, self.weights(path), strict=True)
        ]

    def gather_mail(self) -> None:
        """Let what other nodes have sent be on its way to our cells. Collective."""
        if self.near.has_mail:
            self._chunk(0)

    def reward(self, path: str, amount: float) -> None:
        """Add to the reward of a plastic projection at this step. Collective."""
        if self.near.has_mail:
            self._chunk(0)  # spikes of other nodes, which were before
        self.learning.settle(path, self.placed.tables, self.step, amount)

    def places(self, path: str) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Our synapses of a plastic projection: pre, post, and where each is in `weights`."""
        return [(pre, post, index) for pre, post, index, _ in self.built.synapses(path)]

    def weights(self, path: str) -> list[np.ndarray]:
        """The weights of a plastic projection at this step, in the pieces of `places`. Collective.

        What its spikes have brought to a synapse until now is in them.
        """
        if self.near.has_mail:
            self._chunk(0)  # spikes of other nodes, by which weights have yet to change
        now = self.learning.weights(path, self.placed.tables, self.step)
        return [block for blocks in now for block in blocks]

    # --- how large, how fast ---------------------------------------------------------------------

    @property
    def phases(self) -> dict[str, float]:
        """Seconds spent in the phases of a step, mean over our parts, as far as they are known."""
        return self.near.phases()

    @property
    def intervals(self) -> tuple[int | None, int | None]:
        """Steps between two exchanges inside the node, and between nodes; None: there are none."""
        inside = self.near.interval if self.near.exchange else None
        return inside, self.near.between if self.near.remote else None

    @property
    def exchanges(self) -> int:
        """How often we have exchanged messages with other nodes."""
        return self.near.remote.messages.exchanges if self.near.remote else 0

    @property
    def lengthened(self) -> int:
        """How many times a line from another node was too short for its spikes, and made longer."""
        remote, rank = self.near.remote, self.world.rank
        return sum(one.target == rank for one in remote.messages.growth) if remote else 0

    @property
    def synapse_count(self) -> int:
        """How many synapses we have."""
        return self.built.synapse_count

    @property
    def connectivity_bytes(self) -> int:
        """The size of all our arrays that hold synapses."""
        held = [*self.placed.tables, *filter(None, self.learning.learned)]
        return sum(own_bytes(array) for of in held for array in of)

    def memory(self) -> dict[str, int]:
        """The bytes of our arrays by what they hold, over all our devices."""
        held = {
            "synapses": (
                *(x for rows in self.placed.tables for x in synapses_in(rows)),
                *(x for of in self.learning.learned if of is not None for x in of[:3]),
            ),
            "histories": (x for of in self.learning.learned if of is not None for x in of[3:]),
            "sources": (x for rows in self.placed.tables for x in sources_in(rows)),
            "rings": (ring for of in self.rings for ring in of),
            "states": (leaf for of in self.states for leaf in of),
            "operands": jax.tree.leaves(self.data.groups),
            "lists": (*self.events, *self.traces),
        }
        found = {name: sum(own_bytes(x) for x in arrays) for name, arrays in held.items()}
        if self.near.memory is not None and self.world.local_rank == 0:
            found["mailboxes"] = self.near.memory.nbytes
        return found


def own_bytes(array: Any) -> int:
    """The bytes of an array that are on our own devices."""
    return sum(shard.data.nbytes for shard in array.addressable_shards)
