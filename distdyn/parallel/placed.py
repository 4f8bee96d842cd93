"""Placed: the tables of synapses on their devices, as they are delivered, and what is in flight.

Stored tables are packed where that pays, otherwise cut, for the members of the teams; a packed
table keeps a list of what is in flight, and its ring has one slot, that of the next step. Plastic
tables are neither; those of values are only cut.
"""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from distdyn.ops import packed
from distdyn.ops.coupled import Coupled, Pairs
from distdyn.ops.packed import Packed
from distdyn.ops.rows import Rows
from distdyn.ops.totals import Masks, Totals
from distdyn.parallel.built import Built
from distdyn.parallel.connect import Table
from distdyn.parallel.stack import Stack


class Placed:
    """The tables of our parts on their devices.

    Args:
        built: whose tables; those that are packed are packed in their place.
        stack: the devices.
        members: of the team of each part; None: machine code is not used, and tables stay as built.

    Attributes:
        tables: arrays with a block for each device.
        slots: of the ring of each receptor of each group: of every delay, or of the next step
            alone; 0 where nothing arrives.
        flights: for each packed table and device, its lists (`packed.no_flights`); None for others.
    """

    def __init__(self, built: Built, stack: Stack, members: int | None) -> None:
        self.built, self.stack = built, stack
        if members is not None:
            for k, table in enumerate(built.tables):
                if type(table.rows[0]) is Rows and table.plasticity is None:
                    found = _packed(table.rows, built.parts.length(table.group), members)
                    built.tables[k] = table._replace(rows=found or table.rows)
        self.tables = tuple(self._place(table, members) for table in built.tables)
        self.slots = [[min(n, 1) for n in of] for of in built.slots]
        for table in built.tables:
            if not isinstance(table.rows[0], Packed):
                slots = built.slots[table.group][table.receptor]
                self.slots[table.group][table.receptor] = slots
        for of in built.layer_arrivals:
            self.slots[of.group][of.receptor] = built.slots[of.group][of.receptor]
        self.flights = [
            [packed.no_flights(of) for of in table.rows if isinstance(of, Packed)] or None
            for table in built.tables
        ]

    def _place(self, table: Table, members: int | None) -> Any:
        rows: list[Any] = [*table.rows]
        if table.plasticity is not None:  # weights are elsewhere, and one thread changes them
            rows = [of._replace(weight=of.weight[:0]) for of in rows]
        elif members is None and isinstance(rows[0], Coupled):
            rows = [Pairs.of(of) for of in rows]
        elif members is None and isinstance(rows[0], Totals):
            rows = [Masks.of(of) for of in rows]
        elif members is not None and isinstance(rows[0], Rows):
            from distdyn.ops.kernels import cut_rows

            rows = [cut_rows(of, self.built.parts.length(table.group), members) for of in rows]
        kind = type(rows[0])
        with jax.enable_x64(True):
            return kind(*(self.stack.own(arrays) for arrays in zip(*rows, strict=True)))

    def operands(self) -> tuple[Any, ...]:
        """Where each table's lists of flights are, as `chunk.Data` has it."""
        return tuple(
            lists and self.stack.own([np.array([of.ctypes.data, of.size]) for of in lists])
            for lists in self.flights
        )

    def clear(self) -> None:
        """Nothing is in flight any more."""
        for lists in self.flights:
            for of in lists or ():
                of[:, 0] = 0

    def land(self, rings: list[list[Any]], step: int) -> None:
        """Put what is in flight after a step into rings of all delays; it keeps its weight."""
        built, blocks = self.built, self.stack.blocks
        for table, lists in zip(built.tables, self.flights, strict=True):
            if lists and any(of[:, 0].any() for of in lists):
                slots, rows = built.slots[table.group][table.receptor], table.rows
                of, ring = rings[table.group], built.ring(table.group, table.receptor)
                each: Any = zip(lists, rows, blocks(of[ring]), strict=True)
                of[ring] = self.stack.own(
                    [packed.land(flying, by, step, slot, slots) for flying, by, slot in each]
                )

    def shorten(self, rings: list[list[Any]], step: int) -> None:
        """Make rings that `land` has lengthened short again, once all has landed but what is due.

        A step is then as fast as before: it writes to the same few pages every time.
        """
        for k, of in enumerate(self.slots):
            for ring, slots in enumerate(filter(None, of)):
                blocks = self.stack.blocks(rings[k][ring])
                due = (step + 1) % len(blocks[0])
                if len(blocks[0]) > slots and all(
                    np.count_nonzero(block) == np.count_nonzero(block[due]) for block in blocks
                ):
                    rings[k][ring] = self.stack.own([block[[due]] for block in blocks])


def _packed(tables: Sequence[Any], n_target: int, members: int) -> tuple[Packed, ...]:
    """The tables of all devices packed; nothing if that does not pay."""
    delays = packed.delays_of(tables, n_target)
    if delays is None or not packed.is_worth_packing(tables, delays):
        return ()
    return tuple(packed.equalize([packed.pack(rows, n_target, delays, members) for rows in tables]))
