"""Remote: spikes from and to the ranks of other nodes, between two chunks.

After a chunk each rank sends what its cells have emitted to those ranks of other nodes that own
targets of them, and to no others; the values of a group to all that own a target of any. What comes
is left in the inbox, which all devices of the process read at the start of their next chunk.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from distdyn.ops.reach import reaching
from distdyn.ops.rows import aligned_zeros
from distdyn.parallel.chunk import Inbox
from distdyn.parallel.connect import Parts, Table
from distdyn.parallel.exchange.messages import Messages, who_needs
from distdyn.parallel.stack import Stack

Emitted = Sequence[Sequence[tuple[np.ndarray, np.ndarray]]]  # by device, group: cells, counts


class Remote:
    """The road between nodes for the parts of this process.

    Args:
        world: the ranks.
        parts: who owns what.
        tables: ours.
        outside: the ranks of other nodes.
        steps: the most steps of a chunk.
        uses_kernels: whether the inbox is read by machine code, or is a set of arrays.

    Attributes:
        sent, received: by rank, int64[group]: how many spikes, since `clear_counts`.
        held: int64[group]: of those that were received, what is still in the inbox.
    """

    def __init__(
        self,
        world: Any,
        parts: Parts,
        tables: Sequence[Table],
        outside: Sequence[int],
        steps: int,
        uses_kernels: bool,
    ) -> None:
        self.parts, self.devices = parts, len(parts.numbers)
        self.groups = range(len(parts.shares))
        needs = self._needed(tables, outside)
        senders = [rank for rank, need in needs.items() if need.any()]
        self._join(world, senders, needs)
        self.is_filled = False
        self.sent = {rank: self._none() for rank in self.wanted}
        self.received = {rank: self._none() for rank in senders}
        self.held = self._none()
        self.lists: tuple[Inbox, ...] = ()
        self.memory: np.ndarray | None = None
        if uses_kernels:
            from distdyn.ops.mailbox import Layout

            boxes = [rank * self.devices + d for rank in senders for d in range(self.devices)]
            room = [int(s.words[boxes].max(initial=0)) for s in parts.shares]
            self.layout = Layout(boxes, room, steps, readers=self.devices)
            self.memory = aligned_zeros(self.layout.words, np.int64)
            self.layout.write(self.memory)
        else:
            self._clear_lists()

    def _join(self, world: Any, senders: list[int], needs: dict[int, np.ndarray]) -> None:
        """Tell the others which of their cells reach us, and open the lines. Collective."""
        with world.watch.waiting("who needs whose spikes"):
            asked = who_needs(world.comm, {rank: needs[rank] for rank in senders})
        self.wanted = {rank: self._by_group(mask) for rank, mask in asked.items()}
        self.messages = Messages(world.comm, list(self.wanted), senders, timeout=world.watch.limit)

    def _none(self) -> np.ndarray:
        return np.zeros(len(self.groups), np.int64)

    def _needed(self, tables: Sequence[Table], ranks: Sequence[int]) -> dict[int, np.ndarray]:
        """Which cells of each rank, device after device and group after group, reach ours."""
        by_group = []
        for group, shares in enumerate(self.parts.shares):
            need = np.zeros(shares.first[-1], bool)
            for table in tables:
                if table.source == group:
                    for rows in table.rows:
                        need |= np.concatenate(reaching(rows))
            pieces = np.split(need, shares.first[1:-1])
            if shares.group.emitter is not None:
                pieces = [np.full_like(piece, piece.any()) for piece in pieces]
            by_group.append(pieces)
        first = {rank: rank * self.devices for rank in ranks}
        return {
            rank: np.concatenate(
                [of[k + device] for device in range(self.devices) for of in by_group]
            )
            for rank, k in first.items()
        }

    def _by_group(self, mask: np.ndarray) -> list[list[np.ndarray | None]]:
        """The mask of our cells by device and group; None where all are wanted."""
        result, at = [], 0
        for cells in self.parts.cells:
            row: list[np.ndarray | None] = []
            for of in cells:
                piece, at = mask[at : at + of.size], at + of.size
                row.append(None if piece.all() else piece)
            result.append(row)
        return result

    # --- between two chunks ----------------------------------------------------------------------

    def send(self, steps: int, emitted: Emitted) -> None:
        """Post what the cells have emitted in a chunk of so many steps; does not wait."""
        outgoing = {rank: self._packed(steps, emitted, rank) for rank in self.wanted}
        self.messages.start(outgoing)

    def receive(self, start: int, steps: int) -> None:
        """Wait for what the others have sent of the chunk after step `start`, into the inbox."""
        for rank, message in self.messages.finish().items():
            self._unpack(rank, start, steps, message)
        if self.memory is None:
            self._join_lists()
        self.is_filled = True

    def _packed(self, steps: int, emitted: Emitted, rank: int) -> np.ndarray:
        """Counts of each step by device and group, then the cells in that order."""
        counts, lists = [], []
        for of, masks in zip(emitted, self.wanted[rank], strict=True):
            for k, ((cells, count), mask) in enumerate(zip(of, masks, strict=True)):
                if mask is not None and not mask.any():
                    cells, count = cells[:0], np.zeros_like(count)
                elif mask is not None and len(cells):
                    keep = mask[cells]
                    step = np.repeat(np.arange(steps), count)[keep]
                    cells, count = cells[keep], np.bincount(step, minlength=steps)
                self.sent[rank][k] += len(cells)
                counts.append(count)
                lists.append(cells)
        return np.concatenate([*counts, *lists]).astype(np.int32, copy=False)

    def _unpack(self, rank: int, start: int, steps: int, message: np.ndarray) -> None:
        shape = self.devices, len(self.groups), steps
        counts = message[: np.prod(shape)].reshape(shape)
        at = counts.size
        for device in range(self.devices):
            part = rank * self.devices + device
            for group in self.groups:
                count = counts[device, group]
                total = int(count.sum())
                self._put(part, group, start, count, message[at : at + total])
                at += total

    def _put(self, part: int, group: int, start: int, count: np.ndarray, cells: np.ndarray) -> None:
        self.received[part // self.devices][group] += len(cells)
        self.held[group] += len(cells)
        if self.memory is None:
            self.pieces.append((part, group, start, count, cells))
            return
        box = self.layout.parts.index(part)
        self.layout.fill(self.memory, box, group, start + 1, count, cells)

    def clear(self) -> None:
        """What was in the inbox has been delivered."""
        if not self.is_filled:
            return
        self.is_filled = False
        self.held[:] = 0
        if self.memory is None:
            self._clear_lists()
        else:
            self.layout.clear(self.memory)

    def taken(self) -> list[np.ndarray]:
        """How many spikes of each group each device has read in the inbox; by machine code only."""
        if self.memory is None:
            return []
        return [self.layout.taken_out(self.memory, d).copy() for d in range(self.devices)]

    def clear_counts(self) -> None:
        """No spike has been sent or received."""
        for counts in (*self.sent.values(), *self.received.values(), self.held):
            counts[:] = 0
        if self.memory is not None:
            for device in range(self.devices):
                self.layout.taken_out(self.memory, device)[:] = 0

    # --- what the chunk reads --------------------------------------------------------------------

    def operand(self, stack: Stack) -> Any:
        """The inbox as `chunk.Data` has it."""
        if self.memory is not None:
            address = self.memory.ctypes.data
            return stack.own([np.array([address, d], np.int64) for d in range(self.devices)])
        return tuple(Inbox(*(stack.same(x) for x in inbox)) for inbox in self.lists)

    def _clear_lists(self) -> None:
        self.pieces: list[tuple[int, int, int, np.ndarray, np.ndarray]] = []
        self._join_lists()

    def _join_lists(self) -> None:
        """The pieces as arrays whose lengths are powers of two, so that code is seldom compiled."""
        lists = []
        for group in self.groups:
            entries, cells, at = [(0, 0, 0, 0)], [], 0
            for part, of, start, count, ids in self.pieces:
                if of != group:
                    continue
                for step in np.flatnonzero(count):
                    begin = at + int(count[:step].sum())
                    entries.append((part, begin, int(count[step]), start + 1 + int(step)))
                cells.append(ids)
                at += len(ids)
            entries += [(0, 0, 0, 0)] * (_power(len(entries)) - len(entries))
            part, begin, number, stamp = np.array(entries, np.int64).T
            flat = np.zeros(_power(max(1, at)), np.int32)
            flat[:at] = np.concatenate([np.zeros(0, np.int32), *cells])
            lists.append(Inbox(flat, part, begin, number.astype(np.int32), stamp))
        self.lists, self.pieces = tuple(lists), []


def _power(n: int) -> int:
    return 1 << max(0, n - 1).bit_length()
