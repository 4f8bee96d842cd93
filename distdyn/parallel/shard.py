"""Shard: the parts of a network that this process owns, built and ready to run in chunks.

    shard = Shard(graph, Setting(dt=.1, seed=1, precision="float32", origin=0))
    shard.run(100)           # some steps; says how many were done, and which of our cells spiked

There is one part per device. All ranks build their own parts from the same description, without a
word between them, and agree only on how often they must exchange spikes. A shard knows cells and
rings; paths of the network are translated here, and nowhere below.
"""

import os
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, NamedTuple

import equinox as eqx
import jax
import numpy as np

from distdyn.errors import NetworkError, SimulationError
from distdyn.network.ends import block_size
from distdyn.network.network import Graph
from distdyn.network.projection import Projection
from distdyn.ops.deliver import kernels_work
from distdyn.ops.reach import NEVER, shortest
from distdyn.ops.rows import Rows, synapse_count
from distdyn.ops.update import Operand, Signature
from distdyn.parallel import chunk, connect
from distdyn.parallel.assemble import Assembly, assemble
from distdyn.parallel.build import cores
from distdyn.parallel.connect import Parts
from distdyn.parallel.groups import Group, group_populations
from distdyn.parallel.launch import World
from distdyn.parallel.operands import Entry, Fixed, Values
from distdyn.parallel.parameters import Setting, cell_parameters, initial_state
from distdyn.parallel.shares import Shares
from distdyn.parallel.stack import Stack, padded
from partition import Decomposition, round_robin

EVENT_ROOM = 1 << 20  # events that a list has room for, at least
TRACE_BYTES = 1 << 26  # of samples kept in a chunk, about
LIST_BYTES = 1 << 28  # that a group may keep between two exchanges; else they are more frequent
MOST_INTERVAL = 256  # steps between two exchanges inside a node
MOST_THREADS = 16
LEAST_WORK = 8192  # cells, or about as many synaptic events per step, that a thread is worth
EVENT_RATIO = 1000  # synapses per event and step: 10 Hz at dt = 0.1 ms
ROUND = 1024  # cells in a round of the mesh's exchange


class Sample(NamedTuple):
    """A state variable to sample: of which neurons, every so many steps."""

    path: str
    name: str
    ids: np.ndarray
    every: int


@dataclass(frozen=True)
class ChunkResult:
    """What happened in `done` steps after step `start`, as far as our neurons are concerned.

    Attributes:
        spikes: per population path, (step int64, id int64), sorted by both.
        samples: per sample asked for, (step int64[t], ids int64[k], values [t, k]).
    """

    start: int
    done: int
    spikes: dict[str, tuple[np.ndarray, np.ndarray]]
    samples: list[tuple[np.ndarray, np.ndarray, np.ndarray]]


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
        kernels: whether to use machine code (CPU); None: where it works.
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
        self.graph, self.setting = graph, setting
        self.world = world or World()
        self.stack = Stack(devices or jax.local_devices()[:1], everywhere)
        is_cpu = self.stack.devices[0].platform == "cpu" and not self.stack.is_spanning
        self.kernels = is_cpu and kernels_work() if kernels is None else kernels
        self.capacity, self.overlap = capacity, overlap
        for population in graph.populations.values():
            population.model.check(setting.dt)
        self.groups = group_populations(graph)
        self.parts = self._parts(decomposition)
        self.parameters = [
            [cell_parameters(cells, setting.seed) for cells in of] for of in self.parts.cells
        ]
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
        self.tables = self._build_tables()
        self.team = self._teams(threads) if self.kernels else None
        self.cut = self._cut_tables()
        self._connect_node()
        self._connect_nodes()
        self.seconds = {"communicate": 0.0} if self.remote else {}
        self.step = setting.origin
        self.start()

    # --- building --------------------------------------------------------------------------------

    def _parts(self, decomposition: Decomposition | None) -> Parts:
        graph, devices = self.graph, len(self.stack.devices)
        n_parts = self.world.size * devices
        sizes = [population.size for population in graph.populations.values()]
        if decomposition is None:
            blocks = [block_size(size) for size in sizes]
            decomposition = round_robin(sizes, blocks, n_parts)
        _check_decomposition(decomposition, list(graph.populations), sizes, n_parts)
        shares = tuple(Shares.of(graph, group, decomposition) for group in self.groups)
        numbers = tuple(self.world.rank * devices + d for d in range(devices))
        cells = tuple(
            tuple(group.owned(graph, decomposition, part) for group in self.groups)
            for part in numbers
        )
        alike = range(n_parts) if self.stack.is_spanning else list(numbers)
        room = tuple(share.largest(alike) for share in shares)
        return Parts(decomposition, shares, numbers, cells, room)

    def _assemble(self, group: Group) -> list[Assembly] | None:
        """The group's assembly on each device; all have the same program."""
        if group.is_schedule:
            return None
        k = group.index
        return [
            assemble(self.graph, cells[k], parameters[k], self.slots[k], self.setting)
            for cells, parameters in zip(self.parts.cells, self.parameters, strict=True)
        ]

    def _scale(self, group: int, receptor: int) -> float:
        assemblies = self.assemblies[group]
        assert assemblies is not None
        return assemblies[0].scales[receptor]

    def _build_tables(self) -> list[connect.Table]:
        return connect.build_tables(
            self.graph, self.groups, self.parts, self.connections, self._scale, self.setting,
            self._alike,
        )  # fmt: skip

    def _alike(self, length: Any) -> Any:
        """The largest of what must be equal on all devices of the mesh. Collective if it spans."""
        return self.world.max(length) if self.stack.is_spanning else length

    def _teams(self, threads: int | None) -> list[Any]:
        """The threads that share each part's steps: as many as it has cores and enough work for."""
        from distdyn.ops.team import Team

        if threads is None:
            work = sum(self.parts.room) + self.synapse_count // EVENT_RATIO // len(self.parts.cells)
            share = _own_cores(self.world) // len(self.stack.devices)
            threads = max(1, min(share, MOST_THREADS, work // LEAST_WORK))
        return [Team(threads) for _ in self.stack.devices]

    def _cut_tables(self) -> list[Rows]:
        """The tables on their devices, as the members of the teams share them."""
        tables = []
        for table in self.tables:
            rows = table.rows
            if self.team is not None:
                from distdyn.ops.kernels import cut_rows

                length = max(1, self.parts.room[table.group])
                rows = [cut_rows(of, length, self.team[0].members) for of in rows]
            with jax.enable_x64(True):
                tables.append(Rows(*(self.stack.own(arrays) for arrays in zip(*rows, strict=True))))
        return tables

    def _connect_node(self) -> None:
        """How the parts of our node exchange, and how often: the shortest delay between them."""
        us, devices = self.world, len(self.stack.devices)
        self.outside = [rank for rank in range(us.size) if us.node_of[rank] != us.node]
        if self.stack.is_spanning:
            self.outside = []
        elif not self.kernels:  # collectives join our devices only
            self.outside = [rank for rank in range(us.size) if rank != us.rank]
        inside = [rank for rank in range(us.size) if rank not in self.outside]
        self.node_parts = [rank * devices + d for rank in inside for d in range(devices)]
        near, far = self._shortest()
        delays = us.allgather((near, far))
        self.interval = min(MOST_INTERVAL, *(delays[rank][0] for rank in inside))
        self.between = min(far for _, far in delays)
        self.interval = self._affordable(self.interval)
        self.between = self._affordable(min(self.between, chunk.MOST_STEPS // 2))
        self.exchange, self.board = None, None
        if len(self.node_parts) == 1:
            self.interval = 1
        elif self.kernels:
            self.exchange, self.board = "mailbox", self._mailboxes()
        else:
            self.exchange = "mesh"

    def _shortest(self) -> tuple[int, int]:
        """The shortest delay to one of our parts from another of the node, and from elsewhere."""
        near = far = NEVER
        for table in self.tables:
            for part, rows in zip(self.parts.numbers, table.rows, strict=True):
                delay = shortest(rows, max(1, self.parts.room[table.group]))
                for other in np.flatnonzero(delay < NEVER):
                    if other in self.node_parts:
                        near = min(near, int(delay[other]) if other != part else NEVER)
                    else:
                        far = min(far, int(delay[other]))
        return near, far

    def _affordable(self, interval: int) -> int:
        """The steps between two exchanges for which lists are not too long."""
        most = max((int(s.bounds[:, -1].max(initial=0)) for s in self.parts.shares), default=0)
        return int(max(1, min(interval, LIST_BYTES // (4 * max(1, most)))))

    def _mailboxes(self) -> Any:
        from distdyn.ops.mailbox import Layout

        us, devices = self.world, len(self.stack.devices)
        room = [int(s.bounds[self.node_parts, -1].max()) for s in self.parts.shares]
        self.layout = layout = Layout(self.node_parts, room, self.interval)
        self.memory_of_node = us.shared(8 * layout.words).view(np.int64)
        if us.local_rank == 0:
            layout.write(self.memory_of_node)
        us.barrier()
        owners = [part // devices for part in self.node_parts]
        us.watch.watch_epochs(layout.epochs(self.memory_of_node), owners)
        boxes = [self.node_parts.index(part) for part in self.parts.numbers]
        self.clocks = [layout.clocks(self.memory_of_node, box) for box in boxes]
        return self.stack.own([np.array([self.memory_of_node.ctypes.data, box]) for box in boxes])

    def _connect_nodes(self) -> None:
        """The road to ranks of other nodes, if there are any."""
        self.remote = None
        self._in_flight: tuple[int, int] | None = None  # the chunk whose spikes are on their way
        self.overlap = self.overlap and bool(self.outside) and self.between > 1
        if self.overlap:
            self.between //= 2
        if self.outside:
            from distdyn.parallel.remote import Remote

            road = getattr(self.world, "road", Remote)  # a dry run has another
            self.remote = road(
                self.world, self.parts, self.tables, self.outside, self.between, self.kernels
            )

    def start(self) -> None:
        """Set the state to that before the first step."""
        self.step = self.setting.origin
        if self.remote:
            self.remote.clear()  # nothing is on its way between two calls of run
        states, self.names = [], []
        for group in self.groups:
            k = group.index
            if group.is_schedule:
                states.append([])
                self.names.append([])
                continue
            found = [
                initial_state(cells[k], parameters[k], self.setting)
                for cells, parameters in zip(self.parts.cells, self.parameters, strict=True)
            ]
            leaves = zip(*(state for state, _ in found), strict=True)
            states.append([self._own_cells(k, blocks) for blocks in leaves])
            self.names.append(found[0][1])
        self.states = states
        self.rings = [
            [
                self.stack.zeros((slots, max(1, self.parts.room[k])), self.setting.accumulator)
                for slots in self.slots[k]
                if slots
            ]
            for k in range(len(self.groups))
        ]
        self.watch((), ())

    def _own_cells(self, group: int, blocks: Sequence[np.ndarray]) -> Any:
        """Values of the cells of a group on each device."""
        room = max(1, self.parts.room[group])
        return self.stack.own([padded(np.asarray(block), room) for block in blocks])

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
            self.operands = self._operands()
            self.plan, self.data = self._plan(), self._data()

    def _find(self, sample: Sample) -> "_Found":
        """Where a sample's neurons are on each device."""
        group = self.group_of(sample.path)
        found = [cells[group.index].find(sample.path, sample.ids) for cells in self.parts.cells]
        return _Found(
            group.index,
            self.names[group.index].index(sample.name),
            sample.every,
            self._alike(max(len(cells) for cells, _ in found)),
            tuple(cells for cells, _ in found),
            tuple(sample.ids[index] for _, index in found),
        )

    def _plan(self) -> chunk.Plan:
        traces = tuple(chunk.TracePlan(s.group, s.leaf, s.every) for s in self.samples)
        tables = tuple(
            chunk.TablePlan(table.source, table.group, self._ring(table.group, table.receptor))
            for table in self.tables
        )
        groups = tuple(self._group_plan(group) for group in self.groups)
        static = eqx.partition(self.operands, eqx.is_array)[1]
        return chunk.Plan(
            groups, tables, traces, self.setting.dt, chunk.Static.of(static), self.stack.mesh,
            self.exchange, self.interval, self.capacity,
        )  # fmt: skip

    def _ring(self, group: int, receptor: int) -> int:
        """The index of a receptor's ring among the rings of its group."""
        return sum(1 for slots in self.slots[group][:receptor] if slots)

    def _group_plan(self, group: Group) -> chunk.GroupPlan:
        assemblies = self.assemblies[group.index]
        keeps = bool(self.kept & set(group.paths)) or bool(self.outside)
        room = max(1, self.parts.room[group.index])
        if assemblies is None:
            return chunk.GroupPlan(None, room, Signature((), (), (), True), keeps, None)
        one = assemblies[0]
        operands = (
            Operand("call", "int64"),
            *(Operand(x.per, dtype) for x, dtype in zip(one.operands, one.dtypes, strict=True)),
        )
        system = group.systems[0]
        signature = Signature(
            operands,
            tuple(str(x.dtype) for x in self.states[group.index]),
            tuple(self.setting.accumulator for slots in self.slots[group.index] if slots),
            bool(getattr(system, "is_spiking", system.spiking)),
        )
        target = self._compile(group, one, signature) if self.kernels else None
        return chunk.GroupPlan(one.program, room, signature, keeps, target)

    def _compile(self, group: Group, assembly: Assembly, signature: Signature) -> str | None:
        from distdyn.ops import fuse, lanes

        try:
            with jax.enable_x64(True):
                return fuse.compile_cell(assembly.program, signature)
        except lanes.Unsupported as reason:
            self.unfused |= dict.fromkeys(group.paths, str(reason))
            return None

    def _operands(self) -> tuple[tuple[Any, ...], ...]:
        """The operands of each group as the devices hold them."""
        result = []
        for group, assemblies in zip(self.groups, self.assemblies, strict=True):
            if assemblies is None:
                result.append(())
                continue
            columns = zip(*(a.operands for a in assemblies), strict=True)
            dtypes = assemblies[0].dtypes
            result.append(
                tuple(
                    self._operand(group.index, blocks, dtype)
                    for blocks, dtype in zip(columns, dtypes, strict=True)
                )
            )
        return tuple(result)

    def _operand(self, group: int, blocks: Sequence[Any], dtype: str) -> Any:
        first = blocks[0]
        if isinstance(first, Fixed):
            if first.per == "segment":
                return self.stack.same(first.array.astype(dtype))
            return self._own_cells(group, [block.array.astype(dtype) for block in blocks])
        room = max(1, self.parts.room[group])
        entries = [
            self._entry(of, first.per, room)
            for of in zip(*(block.entries for block in blocks), strict=True)
        ]
        return Values(tuple(entries), first.per, room if first.per == "cell" else first.size, dtype)

    def _entry(self, blocks: Sequence[Entry], per: str, room: int) -> Entry:
        """The same entry of all devices: its cells are padded with one that does not exist."""
        value = jax.tree.map(
            lambda x: self.stack.same(x) if isinstance(x, _NUMBERS) else x, blocks[0].value
        )
        if per == "segment":
            return Entry(self.stack.same(blocks[0].where), None, value)
        n = self._alike(max(len(block.where) for block in blocks))
        where = self.stack.own([padded(block.where, n, room) for block in blocks])
        if blocks[0].take is None:
            return Entry(where, None, value)
        take = self.stack.own([padded(np.asarray(block.take), n) for block in blocks])
        return Entry(where, take, value)

    def _data(self) -> chunk.Data:
        arrays = eqx.partition(self.operands, eqx.is_array)[0]
        own, devices = self.stack.own, self.parts.cells
        groups = tuple(
            chunk.GroupData(
                operands,
                own([cells[group.index].bounds for cells in devices]),
                self._schedule(group),
            )
            for group, operands in zip(self.groups, arrays, strict=True)
        )
        samples = tuple(
            own([padded(cells.astype(np.int32), s.width) for cells in s.cells])
            for s in self.samples
        )
        numbers = [np.array([part], np.int64) for part in self.parts.numbers]
        team = None if self.team is None else own([np.asarray(t.operand) for t in self.team])
        return chunk.Data(
            groups,
            tuple(self.cut),
            samples,
            own(numbers),
            self.stack.same(np.array(self._mesh_parts(), np.int64)),
            team,
            self.board,
            self.remote.operand(self.stack) if self.remote else None,
        )

    def _mesh_parts(self) -> Sequence[int]:
        """The parts of all devices of the mesh."""
        return range(self.stack.mesh.size) if self.stack.is_spanning else self.parts.numbers

    def _schedule(self, group: Group) -> tuple[Any, Any] | None:
        if not group.is_schedule:
            return None
        given = [connect.schedule(cells[group.index], self.setting) for cells in self.parts.cells]
        n = self._alike(max(1, *(len(step) for step, _ in given)))
        steps = self.stack.own([padded(step, n, 2**62) for step, _ in given])
        return steps, self.stack.own([padded(cell.astype(np.int32), n) for _, cell in given])

    def _event_list(self, group: chunk.GroupPlan) -> Any:
        """Room for the spikes of a chunk: at least what two exchanges are apart."""
        if group.program is None or not group.signature.spikes:
            return self.stack.zeros((1,), np.int32)
        room = group.cells * (self.interval + 1)
        if self.remote:
            room = max(room, group.cells * (self.between + self.interval + 1))
        if group.keeps_spikes:
            room = max(room, EVENT_ROOM)
        return self.stack.zeros((room,), np.int32)

    def _sample_buffer(self, sample: "_Found") -> Any:
        dtype = self.states[sample.group][sample.leaf].dtype
        rows = max(1, TRACE_BYTES // max(1, sample.width * dtype.itemsize))
        rows = min(rows, chunk.MOST_STEPS // sample.every + 1)
        steps = self.interval + (self.between if self.remote else 0)
        rows = max(rows, steps // sample.every + 2)
        return self.stack.zeros((rows + 1, sample.width), dtype)

    # --- running ---------------------------------------------------------------------------------

    def run(self, most: int) -> ChunkResult:
        """Run up to `most` steps; fewer, on all ranks alike, if a list is full before. Collective.

        Raises:
            SimulationError: a state is not finite any more.
        """
        start, results = self.step, []
        self._failure: SimulationError | None = None
        while True:
            left = most - (self.step - start)
            n = min(left, chunk.MOST_STEPS)
            if self.remote:
                n = min(n, self.between - self.step % self.between)
            results.append(self._chunk(n))
            if not self.remote or self.step - start >= most:
                break
        if self._in_flight:
            if self.remote.is_filled:
                self._chunk(0)  # what came with the exchange before goes into the rings
            self._receive()
        self.world.agree(self._failure)
        return _joined(start, results)

    def _chunk(self, most: int) -> ChunkResult:
        start = self.step
        rings = tuple(self.rings)
        carry = chunk.Carry(np.int64(start), tuple(self.states), rings, self.events, self.traces)
        data = self.data
        if self.remote and self.remote.memory is None:
            data = data._replace(inbox=self.remote.operand(self.stack))
        if self.exchange == "mailbox":
            for clock in self.clocks:
                clock[3] = 0  # what was between two chunks is not part of a step
        with ExitStack() as open_:
            open_.enter_context(jax.enable_x64(True))
            open_.enter_context(self.world.watch.stepping())
            for team in self.team or () if most > 0 else ():
                open_.enter_context(team)
            carry, progress = chunk.run_chunk(self.plan, data, carry, np.int64(most))
            done = int(self.stack.blocks(progress.done)[0][0])  # waits until the last step is done
            for other in self.stack.blocks(progress.done):
                assert int(other[0]) == done
        self.step = start + done
        self.states, self.rings = list(carry.states), [list(r) for r in carry.rings]
        self.events, self.traces = carry.events, carry.traces
        emitted = self._emitted(start, done, progress)
        if self.remote:
            self.remote.clear()
            if done:
                self._exchange_nodes(start, done, emitted)
        self._check_finite(progress.finite)
        spikes = self._spikes(start, done, emitted)
        return ChunkResult(start, done, spikes, self._samples(start, done, progress))

    def _exchange_nodes(self, start: int, done: int, emitted: list[list[tuple]]) -> None:
        """Send what our cells have emitted; what the others have sent is in the inbox afterwards.

        With overlap that is from the chunk before: it is delivered after one more chunk, which
        delays of twice the interval allow.
        """
        if self._in_flight:
            self._receive()
        began = time.perf_counter()
        self.remote.send(done, emitted)
        self._in_flight = start, done
        self.seconds["communicate"] += time.perf_counter() - began
        if not self.overlap:
            self._receive()

    def _receive(self) -> None:
        began = time.perf_counter()
        with self.world.watch.waiting("spikes of other nodes"):
            self.remote.receive(*self._in_flight)
        self._in_flight = None
        self.seconds["communicate"] += time.perf_counter() - began

    def _emitted(self, start: int, done: int, progress: chunk.Progress) -> list[list[tuple]]:
        """By device and group: the cells that spiked, and how many at each step."""
        result: list[list[tuple]] = [[] for _ in self.stack.devices]
        for group, plan, data in zip(self.groups, self.plan.groups, self.data.groups, strict=True):
            counts = self.stack.blocks(progress.counts[group.index])
            if data.schedule is not None:
                lists = []
                steps, cells = (self.stack.blocks(x) for x in data.schedule)
                for step, cell in zip(steps, cells, strict=True):
                    here = slice(*np.searchsorted(step, [start, start + done], side="right"))
                    lists.append(cell[here])
            elif plan.keeps_spikes:
                used = self.stack.blocks(progress.cursors[group.index])
                events = self.stack.blocks(self.events[group.index])
                lists = [e[: int(u[0])].copy() for e, u in zip(events, used, strict=True)]
            else:
                lists = [np.zeros(0, np.int32) for _ in counts]
            for device, (cells, count) in enumerate(zip(lists, counts, strict=True)):
                result[device].append((cells, count[:done]))
        return result

    def _spikes(
        self, start: int, done: int, emitted: list[list[tuple]]
    ) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Our spikes by population, in the order of step and id."""
        stamps = start + 1 + np.arange(done, dtype=np.int64)
        found: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}
        for of, cells in zip(emitted, self.parts.cells, strict=True):
            for (cell, count), mine in zip(of, cells, strict=True):
                if not self.kept & set(mine.group.paths):
                    continue
                step = np.repeat(stamps, count)
                segment = np.searchsorted(mine.bounds, cell, side="right") - 1
                for k, path in enumerate(mine.group.paths):
                    if path in self.kept:
                        here = segment == k
                        ids = mine.ids[k][cell[here] - mine.bounds[k]]
                        found.setdefault(path, []).append((step[here], ids))
        return {path: _sorted(parts) for path, parts in found.items()}

    def _samples(
        self, start: int, done: int, progress: chunk.Progress
    ) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        result = []
        for sample, buffer, used in zip(self.samples, self.traces, progress.sampled, strict=True):
            first = (start // sample.every + 1) * sample.every
            step = np.arange(first, start + done + 1, sample.every, dtype=np.int64)
            rows = int(self.stack.blocks(used)[0][0])
            values = [
                block[:rows, : len(ids)]
                for block, ids in zip(self.stack.blocks(buffer), sample.ids, strict=True)
            ]
            result.append((step, np.concatenate(sample.ids), np.concatenate(values, axis=1)))
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
            bad = np.flatnonzero(~np.isfinite(values))
            if bad.size:
                k = int(np.searchsorted(cells.bounds, bad[0], side="right") - 1)
                return SimulationError(
                    f'population "{group.paths[k]}": {name} of neuron '
                    f"{cells.ids[k][bad[0] - cells.bounds[k]]} is {values[bad[0]]} at step "
                    f"{self.step} ({bad.size} in all). Use a smaller dt, or check parameters "
                    "and weights."
                )
        return SimulationError(f"a state of {', '.join(group.paths)} was not finite. Report this.")

    # --- looking and setting ---------------------------------------------------------------------

    def group_of(self, path: str) -> Group:
        """The group in which a population runs."""
        return next(group for group in self.groups if path in group.paths)

    def state_names(self, path: str) -> list[str]:
        """The names of a population's state variables: `V`, `refractory`, `receptors.0.g`."""
        return self.names[self.group_of(path).index]

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
        blocks = self.stack.blocks(self.states[k][self.names[k].index(name)])
        return self._whole(path, blocks)

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
        group = self.group_of(path)
        values = [p[group.index].values[p[group.index].names.index(name)] for p in self.parameters]
        if not isinstance(values[0], Fixed):
            return values[0]
        if values[0].per == "segment":
            return float(values[0].array[group.paths.index(path)])
        return self._whole(path, [value.array for value in values])

    def write_parameter(self, path: str, name: str, value: float | np.ndarray) -> None:
        """Set a parameter; code is compiled again only where a number becomes an array."""
        group = self.group_of(path)
        for cells, of in zip(self.parts.cells, self.parameters, strict=True):
            mine, parameters = cells[group.index], of[group.index]
            leaf = parameters.names.index(name)
            old = parameters.values[leaf]
            if old.per == "segment" and not np.ndim(value):
                new = old.array.copy()
                new[group.paths.index(path)] = value
                parameters.values[leaf] = Fixed("segment", new)
                continue
            new = np.repeat(old.array, np.diff(mine.bounds)) if old.per == "segment" else old.array
            new = new.copy()
            here, ids = mine.of(path)
            new[here] = value if not np.ndim(value) else np.asarray(value)[ids]
            parameters.values[leaf] = Fixed("cell", new)
        self.assemblies[group.index] = self._assemble(group)
        self._refresh()

    def write_weight(self, path: str, projection: Projection) -> None:
        """Replace a projection by one with another weight: rows are drawn again, the same ones."""
        if self.remote and self.remote.is_filled:
            self._chunk(0)  # what is on its way arrives with the old weight
        self.graph.projections[path] = projection
        self.connections = connect.connections(self.graph, self.groups, self.setting)
        before = [a[0].scales if a else () for a in self.assemblies]
        self.assemblies = [self._assemble(group) for group in self.groups]
        self._rescale(before)
        self.tables = self._build_tables()
        self.cut = self._cut_tables()
        self._refresh()

    def _rescale(self, before: list[tuple[float, ...]]) -> None:
        """Arrivals in flight in the units of the new scale; exact where it is finer."""
        for group, old in zip(self.groups, before, strict=True):
            assemblies, rings = self.assemblies[group.index], self.rings[group.index]
            for receptor, slots in enumerate(self.slots[group.index]):
                if assemblies and slots and assemblies[0].scales[receptor] != old[receptor]:
                    ring = self._ring(group.index, receptor)
                    factor = assemblies[0].scales[receptor] / old[receptor]
                    moved = [
                        np.rint(block.astype(np.float64) * factor).astype(block.dtype)
                        for block in self.stack.blocks(rings[ring])
                    ]
                    rings[ring] = self.stack.own(moved)

    def synapses(self, path: str) -> list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
        """Our synapses of a projection in pieces: pre, post, weight, delay in ms."""
        return connect.synapses(
            self.graph, self.groups, self.parts, self.connections, self.tables, self._scale,
            self.setting, path,
        )  # fmt: skip

    @property
    def phases(self) -> dict[str, float]:
        """Seconds spent in the phases of a step, mean over our parts, as far as they are known."""
        if self.exchange != "mailbox":
            return dict(self.seconds)
        spent = np.mean([clock[:3] for clock in self.clocks], axis=0) * 1e-9
        names = "update", "deliver", "wait"
        return {name: float(x) for name, x in zip(names, spent, strict=True)} | self.seconds

    @property
    def intervals(self) -> tuple[int | None, int | None]:
        """Steps between two exchanges inside the node, and between nodes; None: there are none."""
        inside = self.interval if self.exchange else None
        return inside, self.between if self.remote else None

    @property
    def synapse_count(self) -> int:
        """How many synapses we have."""
        return sum(synapse_count(rows) for table in self.tables for rows in table.rows)

    @property
    def exchanges(self) -> int:
        """How often we have exchanged messages with other nodes."""
        return self.remote.messages.exchanges if self.remote else 0

    def memory(self) -> dict[str, int]:
        """The bytes of our arrays by what they hold, over all our devices."""
        held = {
            "synapses": sum(rows.offset.nbytes + rows.weight.nbytes for rows in self.cut),
            "sources": sum(sum(x.nbytes for x in rows[:-2]) for rows in self.cut),
            "rings": sum(ring.nbytes for of in self.rings for ring in of),
            "states": sum(leaf.nbytes for of in self.states for leaf in of),
            "operands": sum(x.nbytes for x in jax.tree.leaves(self.data.groups)),
            "lists": sum(x.nbytes for x in (*self.events, *self.traces)),
        }
        if self.exchange == "mailbox" and self.world.local_rank == 0:
            held["mailboxes"] = self.memory_of_node.nbytes
        return held

    @property
    def connectivity_bytes(self) -> int:
        """The size of all our arrays that hold synapses."""
        return sum(array.nbytes for rows in self.cut for array in rows)


_NUMBERS = int | float | np.ndarray | np.number | jax.Array


class _Found(NamedTuple):
    """A sample's leaf, and its neurons on each device."""

    group: int
    leaf: int
    every: int
    width: int  # the most neurons of it that a device has
    cells: tuple[np.ndarray, ...]
    ids: tuple[np.ndarray, ...]


def _sorted(parts: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    if len(parts) == 1:
        return parts[0]
    step, id = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.lexsort((id, step))
    return step[order], id[order]


def _joined(start: int, results: list[ChunkResult]) -> ChunkResult:
    """Consecutive chunks as one."""
    if len(results) == 1:
        return results[0]
    spikes = {}
    for path in results[0].spikes:
        columns = zip(*(result.spikes[path] for result in results), strict=True)
        spikes[path] = tuple(np.concatenate(column) for column in columns)
    samples = []
    for pieces in zip(*(result.samples for result in results), strict=True):
        steps, ids, values = zip(*pieces, strict=True)
        samples.append((np.concatenate(steps), ids[0], np.concatenate(values)))
    return ChunkResult(start, sum(result.done for result in results), spikes, samples)


def _own_cores(world: World) -> int:
    """The cores that are left to this rank: those of its mask, shared with whom it shares them."""
    if world.size == 1:
        return cores()
    mask = frozenset(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else frozenset()
    others = world.allgather((world.hostname, mask))
    sharers = sum(1 for host, other in others if host == world.hostname and other & mask)
    return max(1, cores() // max(1, sharers))


def _check_decomposition(
    decomposition: Decomposition, paths: list[str], sizes: list[int], parts: int
) -> None:
    if decomposition.parts != parts or list(decomposition.sizes) != sizes:
        raise NetworkError(
            f"decomposition: it is of {decomposition.parts} parts and populations of "
            f"{list(decomposition.sizes)} neurons; this run has {parts} parts (ranks x devices) and "
            f"populations of {sizes}. Make one for this run."
        )
    for path, size, block in zip(paths, sizes, decomposition.blocks, strict=True):
        if block % block_size(size) and size > block:
            raise NetworkError(
                f'decomposition: population "{path}" is dealt in blocks of {block}; its {size} '
                f"neurons are drawn in blocks of {block_size(size)}. Use multiples of them."
            )
