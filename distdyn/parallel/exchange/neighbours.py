"""Neighbours: with whom our parts exchange spikes, by which road, and how often.

    inside a node     mailboxes in shared memory (CPU), or the collectives of a mesh
    between nodes     messages between two chunks

Both intervals follow from the shortest delays of the synapses that really are cut, which are known
once all parts are built: a long delay between areas buys rare messages and long chunks.
"""

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from distdyn.ops.reach import NEVER, shortest
from distdyn.parallel.chunk import MOST_STEPS
from distdyn.parallel.connect import Parts, Table
from distdyn.parallel.exchange.remote import Emitted, Remote
from distdyn.parallel.launch import World, cores
from distdyn.parallel.stack import Stack

LIST_BYTES = 1 << 28  # that a group may keep between two exchanges; else they are more frequent
MOST_INTERVAL = 256  # steps between two exchanges inside a node


class Neighbours:
    """The other parts, as ours see them.

    Args:
        world: the ranks.
        stack: our devices.
        parts: who owns what.
        tables: our synapses.
        kernels: whether machine code is used.
        overlap: exchange with other nodes twice as often, and compute while spikes travel.

    Attributes:
        exchange: "mailbox" or "mesh"; None: there is no other part in the node.
        interval: steps between two exchanges inside the node.
        between: steps between two exchanges with other nodes; the most steps of a chunk then.
        board: the mailboxes, as `chunk.Data` has them.
        remote: the road to other nodes, or None.
    """

    def __init__(
        self,
        world: World,
        stack: Stack,
        parts: Parts,
        tables: Sequence[Table],
        *,
        kernels: bool,
        overlap: bool = False,
    ) -> None:
        self.world, self.stack, self.parts = world, stack, parts
        devices, ranks = len(stack.devices), range(world.size)
        outside = [rank for rank in ranks if world.node_of[rank] != world.node]
        if stack.is_spanning:
            outside = []
        elif not kernels:  # collectives join our own devices only
            outside = [rank for rank in ranks if rank != world.rank]
        inside = [rank for rank in ranks if rank not in outside]
        self.near_parts = [rank * devices + d for rank in inside for d in range(devices)]
        delays = world.allgather(self._shortest(tables))
        self.interval = self._affordable(min(MOST_INTERVAL, *(delays[r][0] for r in inside)))
        self.between = self._affordable(min(MOST_STEPS // 2, *(far for _, far in delays)))
        self.exchange, self.board, self.memory = None, None, None
        self._layout: Any = None
        has_cores = kernels and cores.are_enough(world, devices)  # asked of all, needed or not
        if len(self.near_parts) == 1:
            self.interval = 1
        elif kernels:
            self.exchange, self.board = "mailbox", self._mailboxes(has_cores)
        else:
            self.exchange = "mesh"
        self.overlaps = overlap and bool(outside) and self.between > 1
        if self.overlaps:
            self.between //= 2
        self.seconds = 0.0  # spent on messages
        self._in_flight: tuple[int, int] | None = None  # the chunk whose spikes are on their way
        self.remote: Remote | None = None
        if outside:
            road = getattr(world, "road", Remote)  # a dry run has another
            self.remote = road(world, parts, tables, outside, self.between, kernels)

    def _shortest(self, tables: Sequence[Table]) -> tuple[int, int]:
        """The shortest delay to one of our parts from another of the node, and from elsewhere."""
        near = far = NEVER
        for table in tables:
            for part, rows in zip(self.parts.numbers, table.rows, strict=True):
                delay = shortest(rows, self.parts.length(table.group))
                for other in np.flatnonzero(delay < NEVER):
                    if other not in self.near_parts:
                        far = min(far, int(delay[other]))
                    elif other != part:
                        near = min(near, int(delay[other]))
        return near, far

    def _affordable(self, interval: int) -> int:
        """The steps between two exchanges for which lists are not too long."""
        most = max((int(s.words.max(initial=0)) for s in self.parts.shares), default=0)
        return int(max(1, min(interval, LIST_BYTES // (4 * max(1, most)))))

    def _mailboxes(self, has_cores: bool) -> Any:
        """Make the mailboxes of the node. Collective over it: a node of one part has none."""
        from distdyn.ops.mailbox import Layout

        us, devices = self.world, len(self.stack.devices)
        room = [int(s.words[self.near_parts].max()) for s in self.parts.shares]
        self._layout = layout = Layout(self.near_parts, room, self.interval, has_cores=has_cores)
        self.memory = memory = us.shared(8 * layout.words).view(np.int64)
        if us.local_rank == 0:
            layout.write(memory)
        us.node_barrier()
        us.watch.watch_epochs(layout.epochs(memory), [p // devices for p in self.near_parts])
        boxes = [self.near_parts.index(part) for part in self.parts.numbers]
        self._clocks = [layout.clocks(memory, box) for box in boxes]
        return self.stack.own([np.array([memory.ctypes.data, box]) for box in boxes])

    def box_counts(self) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Of each of our mailboxes, by group: spikes that we, and the others, put in; taken by us.

        Between two calls of `Shard.run` only: then all parts of the node have ended the last step.
        """
        if self.memory is None:
            return []
        layout, memory = self._layout, self.memory
        put_in = np.array([layout.put_in(memory, box) for box in range(len(self.near_parts))])
        boxes = [self.near_parts.index(part) for part in self.parts.numbers]
        whole = put_in.sum(axis=0)
        return [(put_in[b], whole - put_in[b], layout.taken_out(memory, b).copy()) for b in boxes]

    def clear_counts(self) -> None:
        """No spike has been sent or received; what others count is theirs."""
        if self.memory is not None:
            for box in (self.near_parts.index(part) for part in self.parts.numbers):
                self._layout.put_in(self.memory, box)[:] = 0
                self._layout.taken_out(self.memory, box)[:] = 0
        if self.remote:
            self.remote.clear_counts()

    # --- around a chunk --------------------------------------------------------------------------

    def begin_chunk(self) -> None:
        """What was between two chunks is not part of a step."""
        if self.exchange == "mailbox":
            for clock in self._clocks:
                clock[-1] = 0

    def end_chunk(self, start: int, done: int, emitted: Emitted) -> None:
        """Send what our cells have emitted; what the others have sent is in the inbox afterwards.

        With overlap that is from the chunk before: it is delivered after one more chunk, which
        delays of twice the interval allow.
        """
        if not self.remote:
            return
        self.remote.clear()
        if not done:
            return
        if self._in_flight:
            self._receive(*self._in_flight)
        began = time.perf_counter()
        self.remote.send(done, emitted)
        self._in_flight = start, done
        self.seconds += time.perf_counter() - began
        if not self.overlaps:
            self._receive(start, done)

    def _receive(self, start: int, done: int) -> None:
        assert self.remote is not None
        began = time.perf_counter()
        with self.world.watch.waiting("spikes of other nodes"):
            self.remote.receive(start, done)
        self._in_flight = None
        self.seconds += time.perf_counter() - began

    @property
    def has_mail(self) -> bool:
        """Whether there is something in the inbox."""
        return self.remote is not None and self.remote.is_filled

    @property
    def is_expecting(self) -> bool:
        """Whether spikes are on their way."""
        return self._in_flight is not None

    def catch_up(self) -> None:
        """Wait for what is on its way, into an inbox that is empty."""
        if self._in_flight:
            self._receive(*self._in_flight)

    def phases(self) -> dict[str, float]:
        """Seconds spent in the phases of a step, mean over our parts, as far as they are known."""
        found = {"communicate": self.seconds} if self.remote else {}
        if self.exchange == "mailbox":
            spent = np.mean([clock[:-1] for clock in self._clocks], axis=0) * 1e-9
            names = "update", "deliver", "wait"
            found |= {name: float(x) for name, x in zip(names, spent, strict=True)}
        return found
