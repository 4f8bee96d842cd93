"""The kernels behind packed tables: delivery of what is due.

Where all synapses of a table have one delay, and that is the time since the spike, they are added
at once, row by row (`add_now`); otherwise spikes take off, and their synapses are added batch by
batch when these are due (`take_off`, `fly`).

A spike in flight is one word of a segment, a stamp mod 2^24, and the number of the segment's unit,
in a list whose first word is their number. Each block of targets has a list of its own, so that the
members of a team, who own blocks, never meet.
"""

# Numba compiles what its intrinsics are called with, and is typed loosely:
# pyright: reportPrivateImportUsage=false, reportCallIssue=false, reportAttributeAccessIssue=false

from typing import Any

import numpy as np
from numba import carray, njit, types
from numba.extending import intrinsic

from distdyn.ops import mailbox
from distdyn.ops.draw import kernel
from distdyn.ops.exchange_kernels import delivery
from distdyn.ops.handler import Buffer
from distdyn.ops.kernels import BATCH, locate, segments, uncounted, will_read

_U = np.uint64
_ONE = _U(1)
_SEGMENT, STAMP = _U(0xFFFFFFFF), _U(0xFFFFFF)  # bits 0 to 31, and 32 to 55
_TARGET = _U(0xFFFF)
AHEAD = _U(6)  # spikes in flight between asking for where a batch begins and adding it
ROWS_AHEAD = _U(8)  # rows between asking for where one is, for the row, and adding it
LINE = 64  # bytes


@intrinsic
def _per_line(context, array):
    """How many elements of the array are in a cache line: known when it is compiled."""

    def generate(context, builder, signature, arguments):
        size = context.get_abi_sizeof(context.get_data_type(signature.args[0].dtype))
        return context.get_constant(types.uint64, LINE // size)

    return types.uint64(array), generate


@uncounted
def segments_of(cells, part, table, at, found):
    """Find the segments of cells of one part; how many they are.

    Args:
        cells: of the part, which spiked.
        part: the part to which they belong.
        table: the arrays of a packed table (`table_and_lists`).
        at: room to work in, uint64[3, BATCH].
        found: with room for the widest row of each cell.
    """
    _, bounds, word, width, bits, rank, base, start, _, _, _ = table
    m = _U(0)
    for begin in range(_U(0), _U(cells.size), BATCH):
        some = cells[begin : min(begin + BATCH, _U(cells.size))]
        n = locate(some, bounds[part], word[part], bits, rank, at)
        n = segments(n, width, bits, rank, base, start, _ONE, at)
        for index in range(n):
            segment = at[0, index]
            for k in range(_U(width[at[2, index]])):
                found[m] = segment + k
                m += _ONE
    return m


@uncounted
def fly(slot, flights, due, table, block):
    """Add to a slot, for one block, what is due of the spikes in flight; drop those that landed.

    Args:
        slot: the arrivals of the block, of the step `due`.
        flights: the block's list.
        due: the step with which what arrives now is stamped, mod 2^24.
        table: the arrays of a packed table (`table_and_lists`).
        block: the number of the block.
    """
    form, _, _, _, _, _, base, start, _, batch, _ = table
    first, n_delays, columns = _U(form[0]), _U(form[1]), _U(form[2] * form[1] + 2)
    n, kept = flights[_U(0)], _U(0)
    for index in range(n):
        if index + AHEAD < n:
            later = flights[_ONE + index + AHEAD]
            segment = later & _SEGMENT
            will_read(base, segment >> _U(6))
            will_read(start, segment)
            age = (due - (later >> _U(32)) - first) & STAMP
            will_read(batch, segment * columns + block * n_delays + age)
        spike = flights[_ONE + index]
        age = (due - (spike >> _U(32))) & STAMP
        if age >= first:
            age -= first
            if age >= n_delays or _add(slot, spike, age, table, block):
                continue
        kept += _ONE
        flights[kept] = spike
    flights[_U(0)] = kept


@uncounted
def _add(slot, spike, age, table, block):
    """Add one batch of a spike, and ask for the next one; whether the spike has landed."""
    form, _, _, _, _, _, base, start, unit, batch, synapse = table
    n_delays, columns, segment = _U(form[1]), _U(form[2] * form[1] + 2), spike & _SEGMENT
    origin = _U(base[segment >> _U(6)]) + _U(start[segment])
    at = segment * columns + block * n_delays + age
    begin, end = origin + _U(batch[at]), origin + _U(batch[at + _ONE])
    is_last = age + _ONE == n_delays
    if begin == end:  # perhaps there are only empty ones from here on
        return is_last or origin + _U(batch[at + n_delays - age]) == end
    if not is_last:
        after, stride = origin + _U(batch[at + _U(2)]), _per_line(synapse)
        line = (end + stride - _ONE) & ~(stride - _ONE)
        while line < after:
            will_read(synapse, line)
            line += stride
    _sum(slot, synapse, begin, end, unit[spike >> _U(56)])
    return is_last


@njit(inline="always")
def _sum(slot, synapse, begin, end, scale):
    """Add synapses of one unit to the slot of their block."""
    if _per_line(synapse) == LINE // 2:
        for i in range(begin, end):
            slot[_U(synapse[i])] += scale
    else:
        for i in range(begin, end):
            word = synapse[i]
            slot[_U(word) & _TARGET] += (np.int64(np.int32(word)) >> 16) * scale


@uncounted
def add_now(slot, found, n, table, member, members):
    """Add all synapses that some segments have in the blocks of one member.

    A row waits for memory twice: for where it is, and for itself. Both are asked for while the rows
    before it are added, so that it has come when it is its turn.

    Args:
        slot: the arrivals of all blocks.
        found: segments of a table of one delay.
        n: how many.
        table: as in `fly`.
        member: its blocks stand side by side, in rows too.
        members: of the team.
    """
    form, _, _, _, _, _, base, start, unit, batch, synapse = table
    blocks, length = _U(form[2]), _U(form[3])
    columns, line = blocks + _U(2), _per_line(synapse)
    first = blocks * member // members
    last = blocks * (member + _ONE) // members
    for index in range(n + _U(2) * ROWS_AHEAD):
        if index < n:
            segment = found[index]
            will_read(base, segment >> _U(6))
            will_read(start, segment)
            will_read(batch, segment * columns + first)
            will_read(batch, segment * columns + last)
        if ROWS_AHEAD <= index and index - ROWS_AHEAD < n:
            segment = found[index - ROWS_AHEAD]
            origin, at = _U(base[segment >> _U(6)]) + _U(start[segment]), segment * columns
            end = origin + _U(batch[at + last])
            here = origin + _U(batch[at + first])
            while here < end:
                will_read(synapse, here)
                here += line
            will_read(synapse, end)
        if _U(2) * ROWS_AHEAD <= index:
            segment = found[index - _U(2) * ROWS_AHEAD]
            origin, at = _U(base[segment >> _U(6)]) + _U(start[segment]), segment * columns
            scale = unit[batch[at + columns - _ONE]]
            end = origin + _U(batch[at + first])
            for block in range(first, last):
                begin, end = end, origin + _U(batch[at + block + _ONE])
                _sum(slot[block * length :], synapse, begin, end, scale)


@uncounted
def take_off(slot, flights, due, stamp, found, n, table, block):
    """Add what is due already of spikes, and put them in flight.

    Args:
        slot: as in `fly`, like the next two.
        flights: with room for all.
        due: later than `stamp`.
        stamp: the step with which the spikes are stamped, mod 2^24.
        found: the segments of the spikes.
        n: how many.
        table: as in `fly`.
        block: the same.
    """
    form, _, _, _, _, _, base, start, _, batch, synapse = table
    columns, first, n_delays = _U(form[2] * form[1] + 2), _U(form[0]), _U(form[1])
    age = (due - stamp) & STAMP
    is_due, stays = age >= first and age - first < n_delays, age + _ONE < first + n_delays
    for begin in range(_U(0), n, BATCH):
        end = min(begin + BATCH, n)
        for index in range(begin, end):
            segment = found[index]
            will_read(base, segment >> _U(6))
            will_read(start, segment)
            will_read(batch, segment * columns + block * n_delays)
        for index in range(begin, end):
            segment = found[index]
            origin = _U(base[segment >> _U(6)]) + _U(start[segment])
            place = segment * columns + block * n_delays
            will_read(synapse, origin + _U(batch[place]))
            will_read(synapse, origin + _U(batch[place + _ONE]))  # perhaps in the next line
        for index in range(begin, end):
            segment = found[index]
            number = _U(batch[(segment + _ONE) * columns - _ONE])
            spike = number << _U(56) | stamp << _U(32) | segment
            landed = is_due and _add(slot, spike, age - first, table, block)
            if stays and not landed:
                flights[_U(0)] += _ONE
                flights[flights[_U(0)]] = spike


@njit(inline="always")
def _blocks(lists, member, members):
    """The blocks of a member, side by side."""
    n = _U(lists.shape[0])
    return range(n * _U(member) // _U(members), n * (_U(member) + _ONE) // _U(members))


@njit
def _slot(flat, slots, due, block, form):
    """One block's targets in the slot that is due."""
    length = _U(form[3])
    begin = _U(due % slots) * (_U(flat.size) // _U(slots)) + block * length
    return flat[begin : min(begin + length, _U(flat.size))]


@njit
def begin(flat, slots, due, table, member, members):
    """`fly` of the blocks of one member; `table` is of `table_and_lists`."""
    arrays, lists, _ = table
    for block in _blocks(lists, member, members):
        slot = _slot(flat, slots, due, block, arrays[0])
        fly(slot, lists[block], _U(due) & STAMP, arrays, block)


@njit
def put(flat, slots, stamp, due, cells, part, table, member, members):
    """Add or put in flight, in the blocks of one member; `table` is of `table_and_lists`."""
    arrays, lists, at = table
    form, width, synapse = arrays[0], arrays[3], arrays[10]
    if not cells.size or not synapse.size:
        return
    found = np.empty(cells.size * width.max(), np.uint64)
    n = segments_of(cells, part, arrays, at, found)
    if form[1] == 1 and due - stamp == form[0]:
        length = flat.size // slots
        slot = flat[due % slots * length :][:length]
        add_now(slot, found, n, arrays, _U(member), _U(members))
        return
    then, now = _U(due) & STAMP, _U(stamp) & STAMP
    for block in _blocks(lists, member, members):
        slot = _slot(flat, slots, due, block, form)
        take_off(slot, lists[block], then, now, found, n, arrays, block)


@njit(inline="always")
def table_and_lists(table):
    """The arrays of a table with a flat `batch`, the lists of flights, and room to work."""
    flights, (form, bounds, word, width, bits, rank, base, start, unit, batch, synapse) = table
    memory = carray(mailbox.words_at(flights[0]), (form[2], flights[1] // form[2]))
    flat = batch.reshape(batch.size)
    arrays = (form, bounds, word, width, bits, rank, base, start, unit, flat, synapse)
    return arrays, memory.view(np.uint64), np.empty((3, BATCH), np.uint64)


_kernel = delivery("packed", put, begin, table_and_lists)


def delivery_kernel(form: str, ring: str, batch: str, synapse: str) -> Any:
    """The kernel of a form of delivery from a packed table (a Numba C function)."""
    dtypes = "int64 int64 int64 int64 uint64 uint32 int64 uint32".split()
    axes = 1, 2, 2, 1, 1, 1, 1, 1, 1, 2, 1
    table = tuple(map(Buffer, [*dtypes, ring, batch, synapse], axes))
    return _kernel(form, ring, (("flights", Buffer("int64", 1)), ("table", table)))


@kernel
def land(flights, step, ring, slots, form, base, start, unit, batch, synapse):
    """Add all that is in flight after a step to a flat ring with a slot for every delay.

    What is due at the next step has been added before.
    """
    n_target = ring.size // slots
    for block in range(form[2]):
        for index in range(flights[block, 0]):
            spike = flights[block, 1 + index]
            segment = np.int64(spike & _SEGMENT)
            age = np.int64((_U(step + 1) - (spike >> _U(32))) & STAMP)
            origin = base[segment >> 6] + start[segment]
            scale = unit[batch[segment, batch.shape[1] - 1]]
            for k in range(max(0, age - form[0] + 1), form[1]):
                slot = (step + 1 + form[0] + k - age) % slots * n_target + block * form[3]
                column = block * form[1] + k
                for i in range(batch[segment, column], batch[segment, column + 1]):
                    word = np.int64(synapse[origin + i])
                    weight = np.int64(np.int16(word >> 16)) if synapse.itemsize == 4 else 1
                    ring[slot + (word & 0xFFFF)] += weight * scale
