"""CPU kernels of learning, written in Numba: the bodies behind `ops.learning`.

A part learns with one thread: two members of a team would have to share the traces of a source.
"""

# Numba compiles what its intrinsics are called with, and is typed loosely:
# pyright: reportPrivateImportUsage=false, reportCallIssue=false, reportAttributeAccessIssue=false

import functools
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit
from numba.extending import intrinsic

from distdyn.ops.exchange_kernels import ARGUMENTS, delivery
from distdyn.ops.handler import Buffer, handler
from distdyn.ops.kernels import BATCH, locate, row_buffers, segments, uncounted
from distdyn.ops.learning import (
    BETWEEN,
    DEPRESS,
    EVENT,
    FINE,
    LAGS,
    LONGEST,
    LOW_PASS,
    N_POST,
    N_PRE,
    NEAREST,
    NEVER,
    PEAK,
    POTENTIATE,
    REWARDED,
    SPIKE,
    STATUS,
    SWEPT,
)

_U = np.uint64


@intrinsic
def follow(context, address, w, z, x, y, e):
    """Call the machine code of a rule: T f(T w, T* z, T* x, T* y, T* e)."""

    def generate(context, builder, signature, arguments):
        at, weight, *arrays = arguments
        pointers = [
            context.make_array(kind)(context, builder, array).data
            for kind, array in zip(signature.args[2:], arrays, strict=True)
        ]
        kind = ir.FunctionType(weight.type, [weight.type, *(p.type for p in pointers)])
        return builder.call(builder.inttoptr(at, kind.as_pointer()), [weight, *pointers])

    return w(address, w, z, x, y, e), generate


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


@njit
def _room(law, learned):
    """Room for what a rule is given: z, x, y, e, and the traces x of a spike that is delivered.

    Its rows are taken once: an array that is made for each synapse takes longer than the synapse.
    """
    n_more, n_traces = learned[1].shape[1], learned[6].shape[2]
    width = max(max(n_more, n_traces), max(law[2][_U(N_PRE)], 2))
    room = np.empty((5, width), learned[0].dtype)
    return room[0], room[1], room[2], room[3], room[4]


@njit(inline="always")
def _evolved(w, i, k, delay, event, until, law, learned, target, z, x, y, e):
    """A synapse at a stamp, if no spike has reached it since it was looked at.

    `event` is the number of the last spike of the target that has.
    """
    code, decay, form, limits, _, _ = law
    _, _, when, last, pre, stamp, post, count, _, _, reward, book = learned
    steps = until - when[i]
    if steps <= 0:
        return w
    n_pre, n_post, nearest = _U(form[N_PRE]), _U(form[N_POST]), form[NEAREST]
    history = stamp.shape[1]
    for j in range(n_pre):
        x[j] = pre[k, j] * _decayed(decay, j, when[i] - last[k]) if last[k] > NEVER else 0
    at, is_kept = _U(event) & _U(history - 1), event >= max(count[target] - history, 0)
    for j in range(n_post):
        y[j] = 0
        if is_kept:
            left = _decayed(decay, n_pre + j, when[i] - delay - stamp[target, at])
            y[j] = _after(post[target, at, j], nearest, n_pre + j) * left
    e[0] = 0
    if book[REWARDED] > NEVER:
        e[0] = reward[0] * _decayed(decay, n_pre + n_post, when[i] - book[REWARDED])
    e[1] = limits[2] * limits.dtype.type(steps)
    when[i] = until
    return follow(code[_U(BETWEEN)], w, z, x, y, e)


@njit(inline="always")
def _potentiated(w, i, k, delay, first, newest, law, learned, target, z, x, y, e):
    """The weight after the spikes of the target from number `first` to number `newest`."""
    code, decay, form, _, _, _ = law
    _, _, _, last, pre, stamp, post, _, _, _, _, _ = learned
    mask, n_pre, width = _U(stamp.shape[1] - 1), _U(form[N_PRE]), _U(post.shape[2])
    for n in range(first, newest + 1):
        at = _U(n) & mask
        arrived = stamp[target, at] + delay
        if code[_U(BETWEEN)] != 0:
            w = _evolved(w, i, k, delay, n - 1, arrived, law, learned, target, z, x, y, e)
        for j in range(n_pre):
            x[j] = pre[k, j] * _decayed(decay, j, arrived - last[k]) if last[k] > NEVER else 0
        for j in range(width):
            y[j] = post[target, at, j]
        w = follow(code[_U(POTENTIATE)], w, z, x, y, e)
    return w


@uncounted
def _learn_segment(flat, origin, stamp_now, k, begin, end, n_target, offset, law, learned, room):
    """Change and deliver the synapses of one source that has spiked."""
    code, decay, form, limits, _, _ = law
    weight, more, _, last, pre, stamp, post, count, recent, _, _, book = learned
    n_pre, n_post, nearest = _U(form[N_PRE]), _U(form[N_POST]), form[NEAREST]
    history, size, length = stamp.shape[1], _U(flat.size), np.int64(n_target)
    mask, scale, bound = _U(history - 1), limits[0], limits[1]
    z, x, y, e, given = room
    known, has_between = last[k] > NEVER, code[_U(BETWEEN)] != 0
    for j in range(n_pre):
        given[j] = pre[k, j] * _decayed(decay, j, stamp_now - last[k]) if known else 0
    since, delay, next_delay = max(last[k], book[SWEPT]), np.int64(0), length
    for i in range(begin, end):
        place = np.int64(offset[i])
        while place >= next_delay:
            delay += 1
            next_delay += length
        target, w = _U(place - (next_delay - length)), weight[i]
        for j in range(_U(more.shape[1])):
            z[j] = more[i, j]
        reach, n = stamp_now - delay, count[target]
        oldest = max(n - history, 0)
        newest = _back_to(stamp, target, n - 1, oldest, reach)
        if known or has_between:
            first = _back_to(stamp, target, newest, oldest, since - delay) + 1
            w = _potentiated(w, i, k, delay, first, newest, law, learned, target, z, x, y, e)
        if has_between:
            w = _evolved(w, i, k, delay, newest, stamp_now, law, learned, target, z, x, y, e)
        if recent.shape[0] > 0:
            for j in range(n_post):
                row = _U(reach - form[_U(LAGS) + j]) & _U(recent.shape[0] - 1)
                y[j] = recent[row, target, j]
        else:
            newest = _back_to(stamp, target, newest, oldest, reach - 1)
            at = _U(newest) & mask
            for j in range(n_post):
                y[j] = 0
                if newest >= oldest:
                    left = _decayed(decay, n_pre + j, reach - stamp[target, at])
                    y[j] = _after(post[target, at, j], nearest, n_pre + j) * left
        w = follow(code[_U(DEPRESS)], w, z, given, y, e)
        weight[i] = w
        for j in range(_U(more.shape[1])):
            more[i, j] = z[j]
        if not abs(w) <= bound:
            book[STATUS] = 1
            w = bound * np.float32(0)
        at_ring = origin + _U(place)
        flat[at_ring - size if at_ring >= size else at_ring] += np.int64(np.rint(w * scale))
    for j in range(n_pre):
        pre[k, j] = _after(given[j], nearest, j)
    last[k] = stamp_now


@njit
def _spike_segment(flat, origin, stamp_now, k, begin, end, offset, law, learned):
    """Deliver the synapses of one source that has spiked, as much of each as it gives now."""
    code, _, _, limits, _, _ = law
    weight, _, _, last, pre, _, _, _, _, _, _, book = learned
    size, scale, bound, dt = _U(flat.size), limits[0], limits[1], limits[2]
    steps = stamp_now - last[k] if last[k] > NEVER else 0
    elapsed = dt * limits.dtype.type(steps)
    amplitude = spike(code[_U(SPIKE)], elapsed, pre, k)
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
    n_target = learned[5].shape[0]
    at = np.empty((3, min(_U(cells.size), BATCH)), np.uint64)
    room = _room(law, learned)
    for first in range(_U(0), _U(cells.size), BATCH):
        batch = cells[first : min(first + BATCH, _U(cells.size))]
        n = locate(batch, bounds[part], word[part], bits, rank, at)
        n = segments(n, width, bits, rank, base, start, _U(1), at)
        for index in range(n):
            for column in range(_U(width[at[2, index]])):
                k = at[0, index] + column
                begin = _U(base[k >> _U(6)]) + _U(start[k])
                end = _U(base[(k + _U(1)) >> _U(6)]) + _U(start[k + _U(1)])
                if law[0][_U(SPIKE)] != 0:
                    _spike_segment(flat, origin, stamp_now, k, begin, end, offset, law, learned)
                    continue
                _learn_segment(
                    flat, origin, stamp_now, k, begin, end, n_target, offset, law, learned, room
                )


@njit
def _catch_up(until, rows, law, learned, brings):
    """Potentiate all synapses by what has reached them up to a stamp; or bring them there."""
    _catch_up_in(until, rows, law, learned, brings, _room(law, learned))


@uncounted
def _catch_up_in(until, rows, law, learned, brings, room):
    code = law[0]
    weight, more, _, last, _, stamp, _, count, _, _, _, book = learned
    base, start, offset = rows[6], rows[7], rows[8]
    length, history = np.int64(stamp.shape[0]), stamp.shape[1]
    z, x, y, e, _ = room
    has_between = code[_U(BETWEEN)] != 0
    for k in range(_U(start.size - 1)):
        begin = _U(base[k >> _U(6)]) + _U(start[k])
        end = _U(base[(k + _U(1)) >> _U(6)]) + _U(start[k + _U(1)])
        since, delay, next_delay = max(last[k], book[SWEPT]), np.int64(0), length
        if last[k] == NEVER and not has_between:
            continue
        if since >= until and not (brings and has_between):
            continue
        for i in range(begin, end):
            place = np.int64(offset[i])
            while place >= next_delay:
                delay += 1
                next_delay += length
            target, w = _U(place - (next_delay - length)), weight[i]
            for j in range(_U(more.shape[1])):
                z[j] = more[i, j]
            n = count[target]
            oldest = max(n - history, 0)
            newest = _back_to(stamp, target, n - 1, oldest, until - delay)
            first = _back_to(stamp, target, newest, oldest, since - delay) + 1
            w = _potentiated(w, i, k, delay, first, newest, law, learned, target, z, x, y, e)
            if brings and has_between:
                w = _evolved(w, i, k, delay, newest, until, law, learned, target, z, x, y, e)
            weight[i] = w
            for j in range(_U(more.shape[1])):
                more[i, j] = z[j]


@njit
def _settle(step, amount, rows, law, learned):
    """Bring all synapses to a step, at which reward jumps."""
    _, decay, form, _, _, _ = law
    reward, book = learned[10], learned[11]
    _catch_up(step, rows, law, learned, True)
    book[SWEPT] = max(book[SWEPT], step)
    if book[REWARDED] > NEVER:
        of_reward = _U(form[N_PRE] + form[N_POST])
        reward[0] *= _decayed(decay, of_reward, step - book[REWARDED])
    if amount != 0 or book[REWARDED] > NEVER:
        reward[0] += amount
        book[REWARDED] = step


@njit(inline="always")
def _place_of_next(target, stamp_now, rows, law, learned):
    """Where the next spike of a target is entered, after all have caught up if need be.

    The spike before the first that a synapse has not heard of is kept, too: what happens between
    the two begins with its traces.
    """
    stamp, count, book = learned[5], learned[7], learned[11]
    history, longest, n = stamp.shape[1], law[2][_U(LONGEST)], count[target]
    mask = _U(history - 1)
    if n >= history and stamp[target, _U(n + 1) & mask] > book[SWEPT] - longest:
        until = stamp_now - 1 - longest
        _catch_up(until, rows, law, learned, False)
        book[SWEPT] = max(book[SWEPT], until)
    stamp[target, _U(n) & mask] = stamp_now
    count[target] = n + 1
    return _U(n) & mask


@njit
def _remember(cells, stamp_now, rows, law, learned):
    """Enter the spikes of the targets, if they matter."""
    code, decay, form, _, _, _ = law
    if code[_U(SPIKE)] != 0:
        return
    stamp, post, count = learned[5], learned[6], learned[7]
    n_pre, n_post, nearest = _U(form[N_PRE]), _U(form[N_POST]), form[NEAREST]
    mask = _U(stamp.shape[1] - 1)
    for index in range(cells.size):
        target = _U(cells[index])
        n = count[target]
        at, before = _place_of_next(target, stamp_now, rows, law, learned), _U(n - 1) & mask
        for j in range(n_post):
            left = decay[_U(0), _U(0), _U(0)] * np.float32(0)
            if n > 0:
                left = _after(post[target, before, j], nearest, n_pre + j) * _decayed(
                    decay, n_pre + j, stamp_now - stamp[target, before]
                )
            post[target, at, j] = left


@njit
def _remember_voltage(cells, stamp_now, n_cells, V, rows, law, learned):
    """Enter the events of a step, and make the traces before the next one."""
    code, decay, form, limits, _, _ = law
    post, recent, spiked = learned[6], learned[8], learned[9]
    n_pre, n_post, nearest = _U(form[N_PRE]), _U(form[N_POST]), form[NEAREST]
    mask = _U(recent.shape[0] - 1)
    now, after = _U(stamp_now) & mask, _U(stamp_now + 1) & mask
    y, one, has_amount = _room(law, learned)[2], limits.dtype.type(1), code[_U(EVENT)] != 0
    for index in range(cells.size):
        spiked[_U(cells[index])] = stamp_now
    for target in range(_U(n_cells)):
        is_event = spiked[target] == stamp_now
        is_spike, u, amount = is_event, V[target], limits[3]
        if stamp_now - spiked[target] < form[_U(PEAK)]:
            u = limits[3]
        for j in range(n_post):
            y[j] = recent[_U(stamp_now - form[_U(LAGS) + j]) & mask, target, j]
        if has_amount:
            amount = follow(code[_U(EVENT)], u, y, y, y, y)
            is_event = amount > 0
        if is_event:
            at = _place_of_next(target, stamp_now, rows, law, learned)
            for j in range(n_post):
                post[target, at, j] = y[j]
            if has_amount:
                post[target, at, n_post] = amount * limits[2]
        for j in range(n_post):
            trace, left = recent[now, target, j], decay[n_pre + j, _U(0), _U(1)]
            if (form[_U(LOW_PASS)] >> np.int64(j)) & 1:
                trace += (one - left) * (u - trace)
            else:
                trace = left * (_after(trace, nearest, n_pre + j) if is_spike else trace)
            recent[after, target, j] = trace


@njit
def _put(flat, slots, stamp, due, cells, part, table, member, members):
    origin = _U(stamp % slots) * (_U(flat.size) // _U(slots))
    _learn(flat, origin, np.int64(stamp), cells, part, table)


_deliver = delivery("learning", _put)


@njit(inline="always")
def _remember_list(events, cursor, count, stamp, table, _, __):
    _remember(events[cursor[0] : cursor[0] + count[0]], stamp[0], *table)


@njit(inline="always")
def _remember_list_and_voltage(events, cursor, count, stamp, groups, V, table, _, __):
    cells = events[cursor[0] : cursor[0] + count[0]]
    _remember_voltage(cells, stamp[0], groups[-1], V, *table)


@njit(inline="always")
def _settle_at(step, amount, table, _, __):
    _settle(step[0], amount[0], *table)


@njit(inline="always")
def _catch_up_at(step, table, _, __):
    rows, law, learned = table
    book = learned[11]
    if law[0][_U(SPIKE)] == 0:
        _catch_up(step[0], rows, law, learned, False)
    book[SWEPT] = max(book[SWEPT], step[0])


@njit(inline="always")
def _weights_at(step, table, found, _, __):
    rows, law, learned = table
    found[:] = learned[0]
    if law[0][_U(SPIKE)] == 0:
        seen = (found, learned[1].copy(), learned[2].copy(), *learned[3:])
        _catch_up(step[0], rows, law, seen, True)


@functools.cache
def kernel(name: str, ring: str, offset: str, weight: str, precision: str) -> Any:
    """The kernel of an operator for these dtypes (a Numba C function).

    The operators are "own", "all" and "boxes", the forms of delivery; "remember",
    "remember_voltage", "catch_up", "settle" and "weights_at".
    """
    T, number, numbers = precision, Buffer("int64"), Buffer("int64", 1)
    law = tuple(map(Buffer, ("int64", T, "int64", T, T, T), (1, 3, 1, 1, 1, 1)))
    axes = 1, 2, 1, 1, 2, 2, 3, 1, 3, 1, 1, 1
    dtypes = T, T, "int64", "int64", T, "int64", T, "int64", T, "int64", T, "int64"
    learned = tuple(map(Buffer, dtypes, axes))
    table = ("rows", row_buffers(ring, offset, weight)), ("law", law)
    if name in ARGUMENTS:
        return _deliver(name, ring, table, (("learned", learned),))
    spikes = ARGUMENTS["own"][:-1]  # all but their part
    body, arguments = {
        "remember": (_remember_list, spikes),
        "remember_voltage": (
            _remember_list_and_voltage, (*spikes, ("groups", numbers), ("V", Buffer(T, 1))),
        ),
        "catch_up": (_catch_up_at, (("step", number),)),
        "settle": (_settle_at, (("step", number), ("amount", Buffer(T)))),
        "weights_at": (_weights_at, (("step", number),)),
    }[name]  # fmt: skip
    labels = [label for label, _ in arguments]
    given = [*labels, ("rows", "law", "learned")]
    before = [("", numbers), *arguments, *table]
    if name == "weights_at":
        found = ("found", Buffer(T, 1))
        return handler(name, body, [*before, ("learned", learned), found], [*given, "found"])
    return handler(name, body, [*before, ("", learned), ("learned", learned)], given)
