"""CPU kernels of learning, written in Numba: the bodies behind `ops.learning`.

A part learns with one thread: two members of a team would have to share the traces of a source.
"""

# Numba compiles what its intrinsics are called with, and is typed loosely:
# pyright: reportPrivateImportUsage=false, reportCallIssue=false, reportAttributeAccessIssue=false

import functools
from typing import Any

import numpy as np
from llvmlite import ir
from numba import carray, njit
from numba.extending import intrinsic

from distdyn.ops.exchange_kernels import ALL_BOXES, OURS_THEN_OTHERS, delivery
from distdyn.ops.kernels import BATCH, compiled, locate, ones_in, row_arrays, row_kinds
from distdyn.ops.learning import FINE, NEVER, STATUS, SWEPT

_U = np.uint64


@intrinsic
def follow(context, address, w, x, y):
    """Call the machine code of a rule: T f(T w, T* x, T* y)."""

    def generate(context, builder, signature, arguments):
        at, weight, *arrays = arguments
        pointers = [
            context.make_array(kind)(context, builder, array).data
            for kind, array in zip(signature.args[2:], arrays, strict=True)
        ]
        kind = ir.FunctionType(weight.type, [weight.type, *(p.type for p in pointers)])
        return builder.call(builder.inttoptr(at, kind.as_pointer()), [weight, *pointers])

    return w(address, w, x, y), generate


@intrinsic
def spike(context, address, elapsed, state, row):
    """Call the machine code of a short-term rule: T f(T elapsed, T* state), for a row of states."""

    def generate(context, builder, signature, arguments):
        at, time, array, index = arguments
        made = context.make_array(signature.args[2])(context, builder, array)
        width = builder.extract_value(made.shape, 1)
        pointer = builder.gep(made.data, [builder.mul(index, width)])
        kind = ir.FunctionType(time.type, [time.type, pointer.type])
        return builder.call(builder.inttoptr(at, kind.as_pointer()), [time, pointer])

    return elapsed(address, elapsed, state, row), generate


@njit(inline="always")
def _decayed(decay, k, steps):
    """The part of a trace that is left after so many steps, none of them negative."""
    steps = _U(steps)
    if steps >= _U(FINE * FINE):
        return decay[k, _U(0), _U(0)] * np.float32(0)
    return decay[k, _U(0), steps & _U(FINE - 1)] * decay[k, _U(1), steps // _U(FINE)]


@njit(inline="always")
def _after(before, nearest, k):
    """A trace after a spike of its cell."""
    is_nearest = (nearest >> np.int64(k)) & 1
    return before * np.float32(0) + np.float32(1) if is_nearest else before + np.float32(1)


@njit(inline="always")
def _back_to(stamp, target, n, oldest, reach):
    """The number of the target's last spike up to number n that is stamped `reach` or earlier.

    Numbers before `oldest` are forgotten; then it is the one before.
    """
    mask = _U(stamp.shape[1] - 1)
    while n >= oldest and stamp[target, _U(n) & mask] > reach:
        n -= 1
    return n


@njit(inline="always")
def _potentiated(w, k, delay, first, newest, law, learned, target, x, y):
    """The weight after the spikes of the target from number `first` to number `newest`."""
    code, decay, form, _, _ = law
    _, last, pre, stamp, post, _, _ = learned
    mask, n_pre, n_post = _U(stamp.shape[1] - 1), _U(form[0]), _U(form[1])
    for n in range(first, newest + 1):
        at = _U(n) & mask
        elapsed = stamp[target, at] + delay - last[k]
        for j in range(n_pre):
            x[j] = pre[k, j] * _decayed(decay, j, elapsed)
        for j in range(n_post):
            y[j] = post[target, at, j]
        w = follow(code[_U(0)], w, x, y)
    return w


@njit
def _learn_segment(flat, origin, stamp_now, k, begin, end, n_target, offset, law, learned, x, y, z):
    """Change and deliver the synapses of one source that has spiked."""
    code, decay, form, limits, _ = law
    weight, last, pre, stamp, post, count, book = learned
    n_pre, n_post, nearest = _U(form[0]), _U(form[1]), form[2]
    history, size, length = stamp.shape[1], _U(flat.size), np.int64(n_target)
    mask, scale, bound = _U(history - 1), limits[0], limits[1]
    known = last[k] > NEVER
    for j in range(n_pre):
        z[j] = pre[k, j] * _decayed(decay, j, stamp_now - last[k]) if known else 0
    since, delay, next_delay = max(last[k], book[SWEPT]), np.int64(0), length
    for i in range(begin, end):
        place = np.int64(offset[i])
        while place >= next_delay:
            delay += 1
            next_delay += length
        target, w = _U(place - (next_delay - length)), weight[i]
        reach, n = stamp_now - delay, count[target]
        oldest = max(n - history, 0)
        newest = _back_to(stamp, target, n - 1, oldest, reach)
        if known:
            first = _back_to(stamp, target, newest, oldest, since - delay) + 1
            w = _potentiated(w, k, delay, first, newest, law, learned, target, x, y)
        newest = _back_to(stamp, target, newest, oldest, reach - 1)
        at = _U(newest) & mask
        for j in range(n_post):
            y[j] = 0
            if newest >= oldest:
                left = _decayed(decay, n_pre + j, reach - stamp[target, at])
                y[j] = _after(post[target, at, j], nearest, n_pre + j) * left
        w = follow(code[_U(1)], w, z, y)
        weight[i] = w
        if not abs(w) <= bound:
            book[STATUS] = 1
            w = bound * np.float32(0)
        at_ring = origin + _U(place)
        flat[at_ring - size if at_ring >= size else at_ring] += np.int64(np.rint(w * scale))
    for j in range(n_pre):
        pre[k, j] = _after(z[j], nearest, j)
    last[k] = stamp_now


@njit
def _spike_segment(flat, origin, stamp_now, k, begin, end, offset, law, learned):
    """Deliver the synapses of one source that has spiked, as much of each as it gives now."""
    code, _, _, limits, _ = law
    weight, last, pre, _, _, _, book = learned
    size, scale, bound, dt = _U(flat.size), limits[0], limits[1], limits[2]
    steps = stamp_now - last[k] if last[k] > NEVER else 0
    elapsed = dt * limits.dtype.type(steps)
    amplitude = spike(code[_U(2)], elapsed, pre, k)
    last[k] = stamp_now
    for i in range(begin, end):
        brought = weight[i] * amplitude
        if not abs(brought) <= bound:
            book[STATUS] = 1
            brought = bound * np.float32(0)
        place = origin + _U(offset[i])
        flat[place - size if place >= size else place] += np.int64(np.rint(brought * scale))


@njit
def _learn(flat, origin, stamp_now, cells, part, table):
    """Every source of one part that has spiked at a step."""
    rows, law, learned = table
    bounds, word, width, _, bits, rank, base, start, offset, _ = rows
    if not cells.size or not offset.size:
        return
    n_target = learned[3].shape[0]
    at = np.empty((3, min(_U(cells.size), BATCH)), np.uint64)
    room = np.empty((3, max(law[2][_U(0)], law[2][_U(1)])), learned[0].dtype)  # for traces
    x, y, z = room[0], room[1], room[2]
    for first in range(_U(0), _U(cells.size), BATCH):
        batch = cells[first : min(first + BATCH, _U(cells.size))]
        n = locate(batch, bounds[part], word[part], bits, rank, at)
        for index in range(n):
            here, bit, population = bits[at[0, index]], at[1, index], at[2, index]
            if here & bit:
                segment = _U(rank[at[0, index]]) + _U(width[population]) * ones_in(
                    here & (bit - _U(1))
                )
                for column in range(_U(width[population])):
                    k = segment + column
                    begin = _U(base[k >> _U(6)]) + _U(start[k])
                    end = _U(base[(k + _U(1)) >> _U(6)]) + _U(start[k + _U(1)])
                    if law[0][_U(2)] != 0:
                        _spike_segment(flat, origin, stamp_now, k, begin, end, offset, law, learned)
                        continue
                    _learn_segment(
                        flat, origin, stamp_now, k, begin, end, n_target, offset, law, learned,
                        x, y, z,
                    )  # fmt: skip


@njit
def _catch_up(until, rows, law, learned, weight):
    """Potentiate all synapses by what has reached them up to a stamp; into `weight`."""
    before, last, _, stamp, _, count, book = learned
    base, start, offset = rows[6], rows[7], rows[8]
    length, history = np.int64(stamp.shape[0]), stamp.shape[1]
    room = np.empty((2, max(law[2][_U(0)], law[2][_U(1)])), weight.dtype)
    x, y = room[0], room[1]
    for k in range(_U(start.size - 1)):
        begin = _U(base[k >> _U(6)]) + _U(start[k])
        end = _U(base[(k + _U(1)) >> _U(6)]) + _U(start[k + _U(1)])
        since, delay, next_delay = max(last[k], book[SWEPT]), np.int64(0), length
        if last[k] == NEVER or since >= until:
            continue
        for i in range(begin, end):
            place = np.int64(offset[i])
            while place >= next_delay:
                delay += 1
                next_delay += length
            target = _U(place - (next_delay - length))
            n = count[target]
            oldest = max(n - history, 0)
            newest = _back_to(stamp, target, n - 1, oldest, until - delay)
            first = _back_to(stamp, target, newest, oldest, since - delay) + 1
            weight[i] = _potentiated(before[i], k, delay, first, newest, law, learned, target, x, y)


@njit
def _remember(cells, stamp_now, rows, law, learned):
    """Enter the spikes of the targets, if they matter."""
    code, decay, form, _, _ = law
    if code[_U(2)] != 0:
        return
    _, _, _, stamp, post, count, book = learned
    n_pre, n_post, nearest, longest = _U(form[0]), _U(form[1]), form[2], form[3]
    history, mask = stamp.shape[1], _U(stamp.shape[1] - 1)
    for index in range(cells.size):
        target = _U(cells[index])
        n = count[target]
        if n >= history and stamp[target, _U(n) & mask] > book[SWEPT] - longest:
            until = stamp_now - 1 - longest
            _catch_up(until, rows, law, learned, learned[0])
            book[SWEPT] = max(book[SWEPT], until)
        at, before = _U(n) & mask, _U(n - 1) & mask
        for j in range(n_post):
            left = decay[_U(0), _U(0), _U(0)] * np.float32(0)
            if n > 0:
                left = _after(post[target, before, j], nearest, n_pre + j) * _decayed(
                    decay, n_pre + j, stamp_now - stamp[target, before]
                )
            post[target, at, j] = left
        stamp[target, at] = stamp_now
        count[target] = n + 1


@njit
def _put(flat, slots, stamp, due, cells, part, table, member, members):
    origin = _U(stamp % slots) * (_U(flat.size) // _U(slots))
    _learn(flat, origin, np.int64(stamp), cells, part, table)


@njit
def _begin(flat, slots, due, table, member, members):
    pass


_ours_then_others, _all_boxes = delivery(_put, _begin)


@njit
def _table(
    bounds, bounds_shape, word, word_shape, width, width_shape, unit, unit_shape,
    bits, bits_shape, rank, rank_shape, base, base_shape, start, start_shape,
    offset, offset_shape, weight, weight_shape,
    code, code_shape, decay, decay_shape, form, form_shape, limits, limits_shape, first,
    first_shape,
    values, values_shape, last, last_shape, pre, pre_shape, stamps, stamps_shape,
    post, post_shape, counts, counts_shape, book, book_shape,
):  # fmt: skip
    """The arrays of a table, of what it learns by and of what it has learned."""
    rows = row_arrays(
        bounds, bounds_shape, word, word_shape, width, width_shape, unit, unit_shape,
        bits, bits_shape, rank, rank_shape, base, base_shape, start, start_shape,
        offset, offset_shape, weight, weight_shape,
    )  # fmt: skip
    law = (
        carray(code, (code_shape[0],)),
        carray(decay, (decay_shape[0], decay_shape[1], decay_shape[2])),
        carray(form, (form_shape[0],)),
        carray(limits, (limits_shape[0],)),
        carray(first, (first_shape[0],)),
    )
    learned = (
        carray(values, (values_shape[0],)),
        carray(last, (last_shape[0],)),
        carray(pre, (pre_shape[0], pre_shape[1])),
        carray(stamps, (stamps_shape[0], stamps_shape[1])),
        carray(post, (post_shape[0], post_shape[1], post_shape[2])),
        carray(counts, (counts_shape[0],)),
        carray(book, (book_shape[0],)),
    )
    return rows, law, learned


def _remember_body(
    _team, _1, events, _2, cursor, _3, count, _4, stamp, _5,
    bounds, bounds_shape, word, word_shape, width, width_shape, unit, unit_shape,
    bits, bits_shape, rank, rank_shape, base, base_shape, start, start_shape,
    offset, offset_shape, weight, weight_shape,
    code, code_shape, decay, decay_shape, form, form_shape, limits, limits_shape, first,
    first_shape,
    _learned_in, _6, _last_in, _7, _pre_in, _8, _stamp_in, _9, _post_in, _10, _count_in, _11,
    _book_in, _12,
    values, values_shape, last, last_shape, pre, pre_shape, stamps, stamps_shape, post,
    post_shape, counts, counts_shape, book, book_shape,
    _member, _members, _tally,
):  # fmt: skip
    table = _table(
        bounds, bounds_shape, word, word_shape, width, width_shape, unit, unit_shape,
        bits, bits_shape, rank, rank_shape, base, base_shape, start, start_shape,
        offset, offset_shape, weight, weight_shape,
        code, code_shape, decay, decay_shape, form, form_shape, limits, limits_shape, first,
        first_shape,
        values, values_shape, last, last_shape, pre, pre_shape, stamps, stamps_shape,
        post, post_shape, counts, counts_shape, book, book_shape,
    )  # fmt: skip
    cells = carray(events, (cursor[0] + count[0],))[cursor[0] :]
    _remember(cells, stamp[0], *table)


def _weights_at_body(
    _team, _1, stamp, _2,
    bounds, bounds_shape, word, word_shape, width, width_shape, unit, unit_shape,
    bits, bits_shape, rank, rank_shape, base, base_shape, start, start_shape,
    offset, offset_shape, weight, weight_shape,
    code, code_shape, decay, decay_shape, form, form_shape, limits, limits_shape, first,
    first_shape,
    values, values_shape, last, last_shape, pre, pre_shape, stamps, stamps_shape, post,
    post_shape, counts, counts_shape, book, book_shape,
    found, _3,
    _member, _members, _tally,
):  # fmt: skip
    rows, law, learned = _table(
        bounds, bounds_shape, word, word_shape, width, width_shape, unit, unit_shape,
        bits, bits_shape, rank, rank_shape, base, base_shape, start, start_shape,
        offset, offset_shape, weight, weight_shape,
        code, code_shape, decay, decay_shape, form, form_shape, limits, limits_shape, first,
        first_shape,
        values, values_shape, last, last_shape, pre, pre_shape, stamps, stamps_shape,
        post, post_shape, counts, counts_shape, book, book_shape,
    )  # fmt: skip
    weights = carray(found, (values_shape[0],))
    weights[:] = learned[0]
    if code[2] == 0:
        _catch_up(stamp[0], rows, law, learned, weights)


def _learn_body(
    _team, _1, events, _2, cursor, _3, count, _4, stamp, _5, part, _6,
    bounds, bounds_shape, word, word_shape, width, width_shape, unit, unit_shape,
    bits, bits_shape, rank, rank_shape, base, base_shape, start, start_shape,
    offset, offset_shape, weight, weight_shape,
    code, code_shape, decay, decay_shape, form, form_shape, limits, limits_shape, first,
    first_shape,
    _ring_in, _7, _learned_in, _8, _last_in, _9, _pre_in, _10, _stamp_in, _11, _post_in, _12,
    _count_in, _13, _book_in, _14,
    ring, ring_shape, values, values_shape, last, last_shape, pre, pre_shape, stamps,
    stamps_shape, post, post_shape, counts, counts_shape, book, book_shape,
    _member, _members, _tally,
):  # fmt: skip
    table = _table(
        bounds, bounds_shape, word, word_shape, width, width_shape, unit, unit_shape,
        bits, bits_shape, rank, rank_shape, base, base_shape, start, start_shape,
        offset, offset_shape, weight, weight_shape,
        code, code_shape, decay, decay_shape, form, form_shape, limits, limits_shape, first,
        first_shape,
        values, values_shape, last, last_shape, pre, pre_shape, stamps, stamps_shape,
        post, post_shape, counts, counts_shape, book, book_shape,
    )  # fmt: skip
    flat = carray(ring, (ring_shape[0] * ring_shape[1],))
    cells = carray(events, (cursor[0] + count[0],))[cursor[0] :]
    _put(flat, ring_shape[0], stamp[0], 0, cells, _U(part[0]), table, 0, 1)


def _learn_all_body(
    _team, _1, place, _2, group, _3, before, _4, events, _5, cursor, _6, count, _7, stamp, _8,
    part, _9,
    bounds, bounds_shape, word, word_shape, width, width_shape, unit, unit_shape,
    bits, bits_shape, rank, rank_shape, base, base_shape, start, start_shape,
    offset, offset_shape, weight, weight_shape,
    code, code_shape, decay, decay_shape, form, form_shape, limits, limits_shape, first,
    first_shape,
    _ring_in, _10, _learned_in, _11, _last_in, _12, _pre_in, _13, _stamp_in, _14, _post_in, _15,
    _count_in, _16, _book_in, _17,
    ring, ring_shape, values, values_shape, last, last_shape, pre, pre_shape, stamps,
    stamps_shape, post, post_shape, counts, counts_shape, book, book_shape, token, _18,
    _member, _members, _tally,
):  # fmt: skip
    table = _table(
        bounds, bounds_shape, word, word_shape, width, width_shape, unit, unit_shape,
        bits, bits_shape, rank, rank_shape, base, base_shape, start, start_shape,
        offset, offset_shape, weight, weight_shape,
        code, code_shape, decay, decay_shape, form, form_shape, limits, limits_shape, first,
        first_shape,
        values, values_shape, last, last_shape, pre, pre_shape, stamps, stamps_shape,
        post, post_shape, counts, counts_shape, book, book_shape,
    )  # fmt: skip
    _ours_then_others(
        table, place, group, before, events, cursor, count, stamp, part, ring, ring_shape,
        token, _U(0), _U(1),
    )  # fmt: skip


def _learn_boxes_body(
    _team, _1, place, _2, group, _3,
    bounds, bounds_shape, word, word_shape, width, width_shape, unit, unit_shape,
    bits, bits_shape, rank, rank_shape, base, base_shape, start, start_shape,
    offset, offset_shape, weight, weight_shape,
    code, code_shape, decay, decay_shape, form, form_shape, limits, limits_shape, first,
    first_shape,
    _ring_in, _4, _learned_in, _5, _last_in, _6, _pre_in, _7, _stamp_in, _8, _post_in, _9,
    _count_in, _10, _book_in, _11,
    ring, ring_shape, values, values_shape, last, last_shape, pre, pre_shape, stamps,
    stamps_shape, post, post_shape, counts, counts_shape, book, book_shape,
    _member, _members, _tally,
):  # fmt: skip
    table = _table(
        bounds, bounds_shape, word, word_shape, width, width_shape, unit, unit_shape,
        bits, bits_shape, rank, rank_shape, base, base_shape, start, start_shape,
        offset, offset_shape, weight, weight_shape,
        code, code_shape, decay, decay_shape, form, form_shape, limits, limits_shape, first,
        first_shape,
        values, values_shape, last, last_shape, pre, pre_shape, stamps, stamps_shape,
        post, post_shape, counts, counts_shape, book, book_shape,
    )  # fmt: skip
    _all_boxes(table, place, group, 0, ring, ring_shape, _U(0), _U(1))


@functools.cache
def kernel(name: str, ring: str, offset: str, weight: str, precision: str) -> Any:
    """The kernel of an operator for these dtypes (a Numba C function)."""
    rows = row_kinds(ring, offset, weight)
    law = ["int64", precision, "int64", precision, precision]
    learned = [precision, "int64", precision, "int64", precision, "int64", "int64"]
    own = ["int64", "int32", "int64", "int32", "int64"]
    if name == "weights_at":
        kinds = ("int64", "int64", *rows, *law, *learned, precision)
        return compiled(_weights_at_body, kinds)
    given, body, changed, more = {
        "remember": (own, _remember_body, learned, []),
        "learn": ([*own, "int64"], _learn_body, [ring, *learned], []),
        "learn_all": (OURS_THEN_OTHERS, _learn_all_body, [ring, *learned], ["int64"]),
        "learn_boxes": (ALL_BOXES, _learn_boxes_body, [ring, *learned], []),
    }[name]
    return compiled(body, (*given, *rows, *law, *changed, *changed, *more))
