"""The exchange through mailboxes: nothing is lost or read twice, whatever the pace of the parts."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec as P

from distdyn.ops import exchange, mailbox
from distdyn.ops.rows import aligned_zeros
from distdyn.parallel.stack import Stack

STEPS = 300


def board_of(parts, cells, steps):
    layout = mailbox.Layout(parts, cells, steps)
    memory = aligned_zeros(layout.words, np.int64)
    layout.write(memory)
    return layout, memory


def test_boxes_do_not_overlap():
    layout, memory = board_of((4, 7, 9), (10, 0, 33), 5)
    for box in range(3):
        for group, n in enumerate((10, 0, 33)):
            cells = np.arange(5 * n, dtype=np.int32) + 1000 * box + 100 * group
            layout.fill(memory, box, group, 17, np.full(5, n), cells)
    half = memory.view(np.int32)
    for box in range(3):
        for group, n in enumerate((10, 0, 33)):
            for parity in (0, 1):
                at = list_at(memory, box, group, parity)
                assert at + 5 * n <= len(half)
            at = list_at(memory, box, group, 0)
            expected = np.arange(5 * n, dtype=np.int32) + 1000 * box + 100 * group
            np.testing.assert_array_equal(half[at : at + 5 * n], expected)
    assert part_of(memory, 2) == 9
    layout.clear(memory)
    assert (memory[layout.head + mailbox.CLOSED :: layout.stride][:3] == 0).all()


def list_at(memory, box, group, parity):
    return _kernels()[0](memory.ctypes.data, box, group, parity)


def part_of(memory, box):
    return _kernels()[1](memory.ctypes.data, box)


@functools.cache
def _kernels():
    from numba import njit

    @njit
    def list_(address, box, group, parity):
        return mailbox.list_at(mailbox.words_at(address), box, group, parity)

    @njit
    def part(address, box):
        return mailbox.part_of(mailbox.words_at(address), box)

    return list_, part


def program(stack, interval, sizes):
    """Every part lists cell s % n at each step s that suits it; the last epoch's lists are read."""

    def one(board, number, start, last):
        def step(carry):
            at, _ = carry
            stamp = at + 1
            token = exchange.first_token()
            for group, n in enumerate(sizes):
                count = jnp.where((stamp + number[0] + group) % 3 == 0, min(n, 2), 0)
                events = ((stamp * 7 + jnp.arange(2)) % max(1, n)).astype(jnp.int32)
                token = exchange.append(
                    board, group, events, jnp.int64(0), count.astype(jnp.int32), token
                )
            full = ((stamp == 17) & (number[0] == 0)).astype(jnp.int64)
            token = exchange.close(board, stamp, last, full, token)
            return stamp, exchange.settle(board, token)

        def goes_on(carry):
            return (carry[0] < last) & (carry[1] == 0)

        at, stop = jax.lax.while_loop(goes_on, step, (start, jnp.int64(0)))
        return at[None], stop[None]

    return jax.jit(
        jax.shard_map(
            one,
            mesh=stack.mesh,
            in_specs=(P("part"), P("part"), P(), P()),
            out_specs=(P("part"), P("part")),
            check_vma=False,
        )
    )


@pytest.mark.parametrize("n_parts", [2, 3, 8])
@pytest.mark.parametrize("interval", [1, 4])
def test_all_parts_stop_at_the_same_step_and_nothing_is_lost(n_parts, interval):
    sizes = (5, 0)
    with jax.enable_x64(True):
        stack = Stack(jax.devices()[:n_parts])
        layout, memory = board_of(range(n_parts), sizes, interval)
        boards = stack.own([np.array([memory.ctypes.data, box]) for box in range(n_parts)])
        numbers = stack.own([np.array([part], np.int64) for part in range(n_parts)])
        run = program(stack, interval, sizes)
        at, stop = run(boards, numbers, np.int64(0), np.int64(STEPS))
        first = 17 if interval == 1 else 20  # of part 0, said at the exchange that follows
        if interval == 4:
            first = STEPS  # step 17 has no exchange, so nobody hears of it
        assert np.asarray(at).tolist() == [first] * n_parts
        assert (np.asarray(stop) != 0).all() == (interval == 1)
        start = np.int64(np.asarray(at)[0])
        at, _ = run(boards, numbers, start, np.int64(STEPS + 1))
        assert (np.asarray(at) == STEPS + 1).all()
    assert len(set(layout.epochs(memory).tolist())) == 1
    parity = int(layout.epochs(memory)[0]) & 1
    half = memory.view(np.int32)
    for box in range(n_parts):  # the last interval holds the step STEPS + 1 alone
        place = layout.head + box * layout.stride
        assert memory[place + mailbox.CLOSED + parity] == 1
        assert memory[place + mailbox.START + parity] == STEPS + 1
        at = list_at(memory, box, 0, parity)
        if (STEPS + 1 + box) % 3 == 0:
            assert half[at : at + 2].tolist() == [((STEPS + 1) * 7 + k) % 5 for k in (0, 1)]


def test_an_aborted_run_does_not_wait():
    with jax.enable_x64(True):
        stack = Stack(jax.devices()[:1])
        _, memory = board_of((0, 1), (3,), 1)  # nobody ever writes into the second box
        memory[mailbox.ABORT] = 1
        boards = stack.own([np.array([memory.ctypes.data, 0])])
        run = program(stack, 1, (3,))
        at, stop = run(boards, stack.own([np.zeros(1, np.int64)]), np.int64(0), np.int64(9))
        assert np.asarray(at).tolist() == [1] and np.asarray(stop).tolist() == [2]
