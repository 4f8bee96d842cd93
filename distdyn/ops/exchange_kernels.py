"""CPU kernels of the exchange, written in Numba: the bodies behind `ops.exchange`."""

# Numba compiles what its intrinsics are called with, and is typed loosely:
# pyright: reportPrivateImportUsage=false, reportCallIssue=false, reportAttributeAccessIssue=false

import functools
from typing import Any

import numpy as np
from numba import carray, njit

from distdyn.ops import mailbox
from distdyn.ops.kernels import compiled, row_arrays, row_kinds, spread

_U = np.uint64

# Buffers before the table: team, board, group, token, events, cursor, count, stamp, part; and
# team, board, group.
OURS_THEN_OTHERS = tuple("int64 int64 int64 int64 int32 int64 int32 int64 int64".split())
ALL_BOXES = ("int64",) * 3


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
    return compiled(_deliver_all, (*OURS_THEN_OTHERS, *rows, ring, ring, "int64"))


@functools.cache
def deliver_boxes_kernel(ring: str, offset: str, weight: str) -> Any:
    """The kernel of `deliver_boxes` for these dtypes (a Numba C function)."""
    rows = row_kinds(ring, offset, weight)
    return compiled(_deliver_boxes, (*ALL_BOXES, *rows, ring, ring))


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


def delivery(put: Any, begin: Any) -> tuple[Any, Any]:
    """The bodies of `deliver_all` and `deliver_boxes`, or of `arrive`, for one kind of table.

    Args:
        put: adds one member's synapses of the spikes of one part; see `through_ring`.
        begin: what one member does at each step before it looks at any spike. Both are closures,
            not arguments of the kernels: Numba keeps no code that holds a function's address.
    """

    @njit
    def put_box(flat, slots, due, board, box, group, parity, table, member, members):
        """Add one member's synapses of what a closed buffer holds."""
        place, half = mailbox.box_at(board, box), mailbox.halves(board)
        counts = mailbox.counts_at(board, box, group, parity)
        at = mailbox.list_at(board, box, group, parity)
        first, part = board[place + mailbox.START + parity], _U(mailbox.part_of(board, box))
        for step in range(board[place + mailbox.CLOSED + parity]):
            count = half[counts + step]
            if count > 0:
                cells = carray(mailbox.further(half, at), (count,))
                put(flat, slots, first + step, due, cells, part, table, member, members)
                at += count

    @njit
    def ours_then_others(
        table, place, group, before, events, cursor, count, stamp, part, ring, ring_shape, token,
        member, members,
    ):  # fmt: skip
        slots, due = ring_shape[0], stamp[0] + 1
        flat = carray(ring, (slots * ring_shape[1],))
        board, began = mailbox.words_at(place[0]), mailbox.now()
        begin(flat, slots, due, table, member, members)
        if count[0] > 0:
            cells = carray(events, (cursor[0] + count[0],))[cursor[0] :]
            put(flat, slots, stamp[0], due, cells, _U(part[0]), table, member, members)
        waits = mailbox.now()
        waited = waits
        if before[0] == 1:
            has_all = mailbox.await_all(board, before[1])
            waited = mailbox.now()
            for box in range(board[mailbox.BOXES] if has_all else 0):
                if box != place[1]:
                    parity = before[1] & 1
                    put_box(flat, slots, due, board, box, group[0], parity, table, member, members)
        if member == 0:
            clock = mailbox.box_at(board, place[1])
            board[clock + mailbox.WAITED] += waited - waits
            board[clock + mailbox.DELIVERED] += mailbox.now() - waited + waits - began
            token[0], token[1] = before[0], before[1]

    @njit
    def all_boxes(table, place, group, due, ring, ring_shape, member, members):
        flat = carray(ring, (ring_shape[0] * ring_shape[1],))
        board = mailbox.words_at(place[0])
        for box in range(board[mailbox.BOXES]):
            put_box(flat, ring_shape[0], due, board, box, group[0], 0, table, member, members)

    return ours_then_others, all_boxes


def through_ring(add: Any) -> tuple[Any, Any]:
    """`put` and `begin` for a table that is delivered at once, into a ring of all delays.

    Args:
        add: adds one member's synapses of the spikes of one part, as `kernels.spread`.
    """

    @njit
    def put(flat, slots, stamp, due, cells, part, table, member, members):
        origin = _U(stamp % slots) * (_U(flat.size) // _U(slots))
        add(flat, origin, cells, part, table, member, members)

    @njit
    def begin(flat, slots, due, table, member, members):
        pass

    return put, begin


_ours_then_others, _all_boxes = delivery(*through_ring(spread))


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
    _ours_then_others(
        rows, place, group, before, events, cursor, count, stamp, part, ring, ring_shape,
        token, _U(member), _U(members),
    )  # fmt: skip


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
    _all_boxes(rows, place, group, 0, ring, ring_shape, _U(member), _U(members))
