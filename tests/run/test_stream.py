"""Rows of several sources together, in blocks; spikes and traces of many ranks as if of one."""

import numpy as np
import pytest

from distdyn.ops.listing import merge
from distdyn.run.joined import JoinedSpikes, JoinedTrace, LateRows, OwnedSpikes, SomeColumns
from distdyn.run.rows import HeldRows, SomeRows, columns_of, rows_until
from distdyn.run.stream import together


def spikes(rng, n, most=100, size=50) -> HeldRows:
    key = np.sort(rng.choice(most * size, n, replace=False))
    return HeldRows(key // size, key % size)


@pytest.mark.parametrize("block", [1, 2, 7, None])
def test_blocks_hold_all_rows_once_and_every_step_whole(seed, block):
    rng = np.random.default_rng(seed)
    crowd = HeldRows(np.full(40, 5), np.arange(40))  # more in one step than a block
    sources = [spikes(rng, 300), spikes(rng, 3), spikes(rng, 0), crowd]
    pieces = list(together(sources, block))
    last = -1
    for piece in pieces:
        steps = np.concatenate([step for step, _ in piece])
        if len(steps):
            assert steps.min() > last
            last = steps.max()
    for k, source in enumerate(sources):
        assert np.array_equal(np.concatenate([piece[k][0] for piece in pieces]), source.step)
        assert np.array_equal(np.concatenate([piece[k][1] for piece in pieces]), source.content)
    assert block is None or len(pieces) > 5


def test_memory_is_bounded_by_the_block(seed):
    class Counted:
        def __init__(self, rows):
            self.rows, self.count, self.most = rows, rows.count, 0

        def read(self, first, last):
            self.most = max(self.most, last - first)
            return self.rows.read(first, last)

    source = Counted(spikes(np.random.default_rng(seed), 4000))
    assert max(len(step) for ((step, _),) in together([source], 16)) <= 100
    assert source.most == 16


def test_nothing_gives_one_empty_block():
    assert list(together([])) == [[]]


def test_joined_spikes_are_those_of_all_in_order(seed, monkeypatch):
    monkeypatch.setattr("distdyn.run.joined.TOTAL", 1)
    rng = np.random.default_rng(seed)
    whole = spikes(rng, 4000, most=3000)
    owner = rng.integers(0, 3, 50)[whole.content]
    parts = [HeldRows(whole.step[owner == k], whole.content[owner == k]) for k in range(3)]
    joined = JoinedSpikes([*parts, HeldRows(np.zeros(0, int), np.zeros(0, int))])
    assert joined.count == 4000
    for first, last in ((0, 4000), (0, 0), (17, 18), (1023, 1025), (0, 2500), (3999, 4000)):
        for one, two in zip(joined.read(first, last), whole.read(first, last), strict=True):
            assert np.array_equal(one, two)
    for step in (-1, 0, 500, 2999, 4000):
        assert rows_until(joined, step) == rows_until(whole, step)
        late = LateRows(lambda last: joined, 100, 3000)
        assert rows_until(late, step) == rows_until(SomeRows(whole, 100, 3000), step)


def test_owned_spikes_are_the_part_again(seed):
    whole = spikes(np.random.default_rng(seed), 2000)
    own = np.arange(0, 50, 7)
    rows = OwnedSpikes(whole, own)
    expected = merge([(whole.step, whole.content)])
    mine = np.isin(expected[1], own)
    assert rows.count == mine.sum()
    for first, last in ((0, rows.count), (3, 9), (5, 5)):
        step, id = rows.read(first, last)
        assert np.array_equal(step, expected[0][mine][first:last])
        assert np.array_equal(id, expected[1][mine][first:last])


def test_columns_of_ranks_come_in_the_order_that_was_asked_for():
    step, value = np.arange(1, 5), np.arange(20.0).reshape(4, 5)
    places = [np.array([4, 0]), np.zeros(0, int), np.array([1, 2, 3])]
    joined = JoinedTrace([HeldRows(step, value[:, own]) for own in places], places, "float64")
    assert np.array_equal(joined.read(0, 4)[1], value)
    assert np.array_equal(joined.read(1, 3)[0], [2, 3])
    assert np.array_equal(SomeColumns(joined, places[0]).read(2, 3)[1], value[2:3, [4, 0]])


def test_columns_are_found_by_id_twice_if_asked_for_twice():
    present = np.array([7, 3, 9])
    assert columns_of(np.array([9, 7, 9, 3]), present).tolist() == [2, 0, 2, 1]
    assert columns_of(np.zeros(0, int), present).tolist() == []
    with pytest.raises(ValueError, match="id 4 is not"):
        columns_of(np.array([4]), present)
    with pytest.raises(ValueError, match="id 4 is not"):
        columns_of(np.array([4]), np.zeros(0, int))
