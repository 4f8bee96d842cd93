"""CPU kernels of the exchange, written in Numba: the bodies behind `ops.exchange`."""

# Numba compiles what its intrinsics are called with, and is typed loosely:
# pyright: reportPrivateImportUsage=false, reportCallIssue=false, reportAttributeAccessIssue=false

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import carray, njit

from distdyn.ops import mailbox
from distdyn.ops.handler import Buffer, Buffers, compiled, handler
from distdyn.ops.kernels import row_buffers, spread

_U = np.uint64

_NUMBER, _PAIR = Buffer("int64"), Buffer("int64", 1)
_OURS = (
    ("events", Buffer("int32", 1)), ("cursor", _NUMBER), ("count", Buffer("int32")),
    ("stamp", _NUMBER), ("part", _NUMBER),
)  # fmt: skip
_BOARD = ("place", _PAIR), ("group", _NUMBER)
# By form of delivery: arguments after the team's operand and before the table.
ARGUMENTS = {
    "own": _OURS,
    "all": (*_BOARD, ("before", _PAIR), *_OURS),
    "boxes": (*_BOARD, ("step", _NUMBER)),
}


def kernel(name: str) -> tuple[Any, int]:
    """The kernel of an operator (a Numba C function), and how many arguments it has."""
    body, kinds = {
        "append": (_append, ["int64", "int64", "int64", "int32", "int64", "int32", "int64"]),
        "close": (_close, ["int64"] * 6),
        "settle": (_settle, ["int64"] * 3),
    }[name]
    return compiled(body, (*kinds, "int64")), len(kinds)


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


@njit(inline="always")
def _as_it_is(table):
    return table


@njit(inline="always")
def _nothing(flat, slots, due, table, member, members):
    pass


def delivery(
    name: str, put: Any, begin: Any = _nothing, prepare: Any = _as_it_is
) -> Callable[..., Any]:
    """The kernels that deliver from one kind of table.

    Args:
        name: of the kind.
        put: adds one member's synapses of the spikes of one part; see `through_ring`.
        begin: what one member does at each step before it looks at any spike.
        prepare: from the arrays of a table to what both are given. All three are closures, not
            arguments of the kernels: Numba keeps no code that holds a function's address.

    Returns:
        `kernel(form, ring, table, changed=())`, a Numba C function. `form` is "own": of a list;
        "all": of a list, then of the mailboxes if an exchange is due; "boxes": of the first buffer
        of every mailbox, after a step. `ring` is its dtype. `table` and `changed` are buffers by
        label, those of `changed` updated in place as the ring is.
    """

    @njit(inline="always")
    def own(events, cursor, count, stamp, part, table, ring, member, members):
        slots, due, made = ring.shape[0], stamp[0] + 1, prepare(table)
        flat = ring.reshape(ring.size)
        begin(flat, slots, due, made, member, members)
        if count[0] > 0:
            cells = events[cursor[0] : cursor[0] + count[0]]
            put(flat, slots, stamp[0], due, cells, _U(part[0]), made, member, members)

    @njit
    def put_box(flat, slots, due, board, box, group, parity, table, member, members):
        """Add one member's synapses of what a closed buffer holds; returns how many spikes."""
        place, half = mailbox.box_at(board, box), mailbox.halves(board)
        counts = mailbox.counts_at(board, box, group, parity)
        at = start = mailbox.list_at(board, box, group, parity)
        first, part = board[place + mailbox.START + parity], _U(mailbox.part_of(board, box))
        for step in range(board[place + mailbox.CLOSED + parity]):
            count = half[counts + step]
            if count > 0:
                cells = carray(mailbox.further(half, at), (count,))
                put(flat, slots, first + step, due, cells, part, table, member, members)
                at += count
        return at - start

    @njit(inline="always")
    def ours_then_others(
        place, group, before, events, cursor, count, stamp, part, table, ring, token, member,
        members,
    ):  # fmt: skip
        board, began = mailbox.words_at(place[0]), mailbox.now()
        own(events, cursor, count, stamp, part, table, ring, member, members)
        waits = mailbox.now()
        waited, taken = waits, 0
        if before[0] == 1:
            slots, due, made = ring.shape[0], stamp[0] + 1, prepare(table)
            flat = ring.reshape(ring.size)
            has_all = mailbox.await_all(board, before[1])
            waited = mailbox.now()
            for box in range(board[mailbox.BOXES] if has_all else 0):
                if box != place[1]:
                    parity = before[1] & 1
                    taken += put_box(
                        flat, slots, due, board, box, group[0], parity, made, member, members
                    )
        if member == 0:
            mailbox.take(board, place[1], group[0], taken)
            clock = mailbox.box_at(board, place[1])
            board[clock + mailbox.WAITED] += waited - waits
            board[clock + mailbox.DELIVERED] += mailbox.now() - waited + waits - began
            token[0], token[1] = before[0], before[1]

    @njit(inline="always")
    def all_boxes(place, group, step, table, ring, member, members):
        flat, made = ring.reshape(ring.size), prepare(table)
        board, due, taken = mailbox.words_at(place[0]), step[0] + 1, 0
        for box in range(board[mailbox.BOXES]):
            taken += put_box(
                flat, ring.shape[0], due, board, box, group[0], 0, made, member, members
            )
        if member == 0:
            mailbox.take(board, place[1], group[0], taken)

    bodies = {"own": own, "all": ours_then_others, "boxes": all_boxes}

    @functools.cache
    def kernel(form: str, ring: str, table: Buffers, changed: Buffers = ()) -> Any:
        in_place = (("ring", Buffer(ring, 2)), *changed)
        buffers = [("", _PAIR), *ARGUMENTS[form], *table]
        buffers += [*(("", of) for _, of in in_place), *in_place]
        first, *others = (label for label, _ in (*table, *changed))
        of_table = (first, *others) if others else first
        given: list[Any] = [*(label for label, _ in ARGUMENTS[form]), of_table, "ring"]
        if form == "all":
            buffers.append(("token", _PAIR))
            given.append("token")
        return handler(f"{name}_{form}", bodies[form], buffers, given)

    return kernel


def through_ring(add: Any) -> Any:
    """`put` for a table that is delivered at once, into a ring of all delays.

    Args:
        add: adds one member's synapses of the spikes of one part, as `kernels.spread`.
    """

    @njit
    def put(flat, slots, stamp, due, cells, part, table, member, members):
        origin = _U(stamp % slots) * (_U(flat.size) // _U(slots))
        add(flat, origin, cells, part, table, member, members)

    return put


_kernel = delivery("rows", through_ring(spread))


def delivery_kernel(form: str, ring: str, offset: str, weight: str) -> Any:
    """The kernel of a form of delivery from `Rows` of these dtypes (a Numba C function)."""
    return _kernel(form, ring, (("rows", row_buffers(ring, offset, weight)),))
