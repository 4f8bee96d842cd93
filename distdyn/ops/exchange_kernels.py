"""CPU kernels of the exchange, written in Numba: the bodies behind `ops.exchange`."""

# Numba compiles what its intrinsics are called with, and is typed loosely:
# pyright: reportPrivateImportUsage=false, reportCallIssue=false, reportAttributeAccessIssue=false

import functools
from typing import Any

import numpy as np
from numba import carray, njit

from distdyn.ops import mailbox
from distdyn.ops.kernels import compiled, row_arrays, row_kinds, spread
from distdyn.ops.packed_kernels import (
    STAMP,
    fly,
    own_flights,
    slot_of,
    table_arrays,
    table_kinds,
    take_off,
    working_room,
)

_U = np.uint64


# team, board, group, token, events, cursor, count, stamp, part
_OWN = "int64 int64 int64 int64 int32 int64 int32 int64 int64".split()


def kernel(name: str) -> tuple[Any, int]:
    """The kernel of an operator (a Numba C function), and how many arguments it has."""
    body, kinds = {
        "append": (_append, ["int64", "int64", "int64", "int32", "int64", "int32", "int64"]),
        "close": (_close, ["int64"] * 6),
        "settle": (_settle, ["int64"] * 3),
    }[name]
    return compiled(body, (*kinds, "int64")), len(kinds)


@functools.cache
def deliver_all_kernel(ring: str, offset: str, weight: str) -> Any:
    """The kernel of `deliver_all` for these dtypes (a Numba C function)."""
    rows = row_kinds(ring, offset, weight)
    return compiled(_deliver_all, (*_OWN, *rows, ring, ring, "int64"))


@functools.cache
def deliver_boxes_kernel(ring: str, offset: str, weight: str) -> Any:
    """The kernel of `deliver_boxes` for these dtypes (a Numba C function)."""
    rows = row_kinds(ring, offset, weight)
    return compiled(_deliver_boxes, ("int64", "int64", "int64", *rows, ring, ring))


@functools.cache
def arrive_all_kernel(ring: str, batch: str, synapse: str) -> Any:
    """The kernel of `arrive_all` for these dtypes (a Numba C function)."""
    table = table_kinds(ring, batch, synapse)
    return compiled(_arrive_all, (*_OWN, "int64", *table, ring, ring, "int64"))


@functools.cache
def arrive_boxes_kernel(ring: str, batch: str, synapse: str) -> Any:
    """The kernel of `arrive_boxes` for these dtypes (a Numba C function)."""
    table = table_kinds(ring, batch, synapse)
    return compiled(_arrive_boxes, (*["int64"] * 5, *table, ring, ring))


def _append(
    _team, _0, place, _1, group, _2, events, _3, cursor, _4, count, _5, before, _6, token, _7,
    _member, _members, _tally,
):  # fmt: skip
    board = mailbox.words_at(place[0])
    mailbox.append(board, place[1], group[0], events, cursor[0], count[0])
    token[0], token[1] = before[0], before[1]


def _close(
    _team, _0, place, _1, stamp, _2, last, _3, is_full, _4, before, _5, token, _6,
    _member, _members, _tally,
):  # fmt: skip
    board, box = mailbox.words_at(place[0]), place[1]
    clock = mailbox.box_at(board, box)
    if board[clock + mailbox.ENDED] != 0:
        board[clock + mailbox.UPDATED] += mailbox.now() - board[clock + mailbox.ENDED]
    mailbox.count_step(board, box)
    if stamp[0] % board[mailbox.STEPS] == 0 or stamp[0] == last[0]:
        token[0], token[1] = 1, mailbox.close(board, box, stamp[0], is_full[0])
    else:
        token[0], token[1] = 0, before[1]


def _settle(
    _team, _0, place, _1, token, _2, stop, _3, _member, _members, _tally,
):  # fmt: skip
    board = mailbox.words_at(place[0])
    clock, began = mailbox.box_at(board, place[1]), mailbox.now()
    stop[0] = 0
    if token[0] == 1:
        stop[0] = mailbox.any_full(board, token[1]) if mailbox.await_all(board, token[1]) else 2
    ended = mailbox.now()
    board[clock + mailbox.WAITED] += ended - began
    board[clock + mailbox.ENDED] = ended


@njit
def _deliver_box(flat, slots, board, box, group, parity, rows, member, members):
    """Add one member's synapses of what a closed buffer holds."""
    place, half = mailbox.box_at(board, box), mailbox.halves(board)
    counts = mailbox.counts_at(board, box, group, parity)
    at = mailbox.list_at(board, box, group, parity)
    first, length = board[place + mailbox.START + parity], flat.size // slots
    for step in range(board[place + mailbox.CLOSED + parity]):
        count = half[counts + step]
        if count > 0:
            cells = carray(mailbox.further(half, at), (count,))
            origin = ((first + step) % slots) * length
            part = _U(mailbox.part_of(board, box))
            spread(flat, _U(origin), cells, part, rows, _U(member), _U(members))
            at += count


def _deliver_all(
    _team, _0, place, _1, group, _2, before, _3, events, _4, cursor, _5, count, _6, stamp, _7,
    part, _8,
    bounds, bounds_shape, word, word_shape, width, width_shape, unit, unit_shape,
    bits, bits_shape, rank, rank_shape, base, base_shape, start, start_shape,
    offset, offset_shape, weight, weight_shape, _ring_in, _9, ring, ring_shape, token, _10,
    member, members, _tally,
):  # fmt: skip
    rows = row_arrays(
        bounds, bounds_shape, word, word_shape, width, width_shape, unit, unit_shape,
        bits, bits_shape, rank, rank_shape, base, base_shape, start, start_shape,
        offset, offset_shape, weight, weight_shape,
    )  # fmt: skip
    slots = ring_shape[0]
    flat = carray(ring, (slots * ring_shape[1],))
    board, began = mailbox.words_at(place[0]), mailbox.now()
    if count[0] > 0:
        cells = carray(events, (cursor[0] + count[0],))[cursor[0] :]
        origin = _U((stamp[0] % slots) * ring_shape[1])
        spread(flat, origin, cells, _U(part[0]), rows, _U(member), _U(members))
    waits = mailbox.now()
    waited = waits
    if before[0] == 1:
        has_all = mailbox.await_all(board, before[1])
        waited = mailbox.now()
        for box in range(board[mailbox.BOXES] if has_all else 0):
            if box != place[1]:
                parity = before[1] & 1
                _deliver_box(flat, slots, board, box, group[0], parity, rows, member, members)
    if member == 0:
        clock = mailbox.box_at(board, place[1])
        board[clock + mailbox.WAITED] += waited - waits
        board[clock + mailbox.DELIVERED] += mailbox.now() - waited + waits - began
        token[0], token[1] = before[0], before[1]


def _deliver_boxes(
    _team, _0, place, _1, group, _2,
    bounds, bounds_shape, word, word_shape, width, width_shape, unit, unit_shape,
    bits, bits_shape, rank, rank_shape, base, base_shape, start, start_shape,
    offset, offset_shape, weight, weight_shape, _ring_in, _3, ring, ring_shape,
    member, members, _tally,
):  # fmt: skip
    rows = row_arrays(
        bounds, bounds_shape, word, word_shape, width, width_shape, unit, unit_shape,
        bits, bits_shape, rank, rank_shape, base, base_shape, start, start_shape,
        offset, offset_shape, weight, weight_shape,
    )  # fmt: skip
    slots = ring_shape[0]
    flat = carray(ring, (slots * ring_shape[1],))
    board = mailbox.words_at(place[0])
    for box in range(board[mailbox.BOXES]):
        _deliver_box(flat, slots, board, box, group[0], 0, rows, member, members)


@njit
def _arrive_box(slot, flights, due, board, box, group, parity, table, block, at):
    """`take_off` of one block, for what a closed buffer holds."""
    place, half = mailbox.box_at(board, box), mailbox.halves(board)
    counts = mailbox.counts_at(board, box, group, parity)
    list_ = mailbox.list_at(board, box, group, parity)
    first, part = board[place + mailbox.START + parity], _U(mailbox.part_of(board, box))
    for step in range(board[place + mailbox.CLOSED + parity]):
        count = half[counts + step]
        if count > 0:
            cells = carray(mailbox.further(half, list_), (count,))
            stamp = _U(first + step) & STAMP
            take_off(slot, flights, due, stamp, cells, part, table, block, at)
            list_ += count


def _arrive_all(
    _team, _0, place, _1, group, _2, before, _3, events, _4, cursor, _5, count, _6, stamp, _7,
    part, _8, flights, _9,
    form, _f, bounds, bounds_shape, word, word_shape, width, width_shape, bits, bits_shape,
    rank, rank_shape, base, base_shape, start, start_shape, unit, unit_shape,
    batch, batch_shape, synapse, synapse_shape,
    _ring_in, _10, ring, ring_shape, token, _11,
    member, members, _tally,
):  # fmt: skip
    table = table_arrays(
        form, bounds, bounds_shape, word, word_shape, width, width_shape, bits, bits_shape,
        rank, rank_shape, base, base_shape, start, start_shape, unit, unit_shape,
        batch, batch_shape, synapse, synapse_shape,
    )  # fmt: skip
    board, began = mailbox.words_at(place[0]), mailbox.now()
    cells = carray(events, (cursor[0] + count[0],))[cursor[0] :]
    due, now, at = _U(stamp[0] + 1) & STAMP, _U(stamp[0]) & STAMP, working_room()
    for block in range(_U(member), _U(form[2]), _U(members)):
        slot = slot_of(ring, ring_shape, stamp[0] + 1, block, _U(form[3]))
        mine = own_flights(flights, form[2], block)
        fly(slot, mine, due, table, block)
        take_off(slot, mine, due, now, cells, _U(part[0]), table, block, at)
    waits = mailbox.now()
    waited = waits
    if before[0] == 1:
        has_all = mailbox.await_all(board, before[1])
        waited = mailbox.now()
        for box in range(board[mailbox.BOXES] if has_all else 0):
            if box != place[1]:
                for block in range(_U(member), _U(form[2]), _U(members)):
                    slot = slot_of(ring, ring_shape, stamp[0] + 1, block, _U(form[3]))
                    mine = own_flights(flights, form[2], block)
                    parity = before[1] & 1
                    _arrive_box(slot, mine, due, board, box, group[0], parity, table, block, at)
    if member == 0:
        clock = mailbox.box_at(board, place[1])
        board[clock + mailbox.WAITED] += waited - waits
        board[clock + mailbox.DELIVERED] += mailbox.now() - waited + waits - began
        token[0], token[1] = before[0], before[1]


def _arrive_boxes(
    _team, _0, place, _1, group, _2, step, _3, flights, _4,
    form, _f, bounds, bounds_shape, word, word_shape, width, width_shape, bits, bits_shape,
    rank, rank_shape, base, base_shape, start, start_shape, unit, unit_shape,
    batch, batch_shape, synapse, synapse_shape,
    _ring_in, _5, ring, ring_shape,
    member, members, _tally,
):  # fmt: skip
    table = table_arrays(
        form, bounds, bounds_shape, word, word_shape, width, width_shape, bits, bits_shape,
        rank, rank_shape, base, base_shape, start, start_shape, unit, unit_shape,
        batch, batch_shape, synapse, synapse_shape,
    )  # fmt: skip
    board, at = mailbox.words_at(place[0]), working_room()
    due = _U(step[0] + 1) & STAMP
    for box in range(board[mailbox.BOXES]):
        for block in range(_U(member), _U(form[2]), _U(members)):
            slot = slot_of(ring, ring_shape, step[0] + 1, block, _U(form[3]))
            mine = own_flights(flights, form[2], block)
            _arrive_box(slot, mine, due, board, box, group[0], 0, table, block, at)
