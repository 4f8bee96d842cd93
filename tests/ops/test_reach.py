"""The bits of a table: which cells reach a part, and where the synapses of each begin."""

import numpy as np
import pytest

from distdyn.ops import reach, reach_kernels
from distdyn.ops.rows import Rows, aligned_zeros

SIZES = np.array([[64, 1, 0], [63, 65, 130], [0, 0, 0], [1, 128, 2]])  # part, population
BOUNDS = np.concatenate([np.zeros((len(SIZES), 1), np.int64), np.cumsum(SIZES, axis=1)], axis=1)
WIDTH = np.array([1, 3, 2])
N = SIZES.sum()


def table(reached, sizes):
    """A table in which the marked places have rows, with segments of these sizes, in order."""
    ends, word = reach.ends_of(BOUNDS), np.empty(SIZES.shape, np.int64)
    n_words = reach_kernels.lay_words(ends, reached, word.ravel())
    bits, rank = np.empty(n_words, np.uint64), np.empty(n_words, np.uint32)
    n_segments = reach_kernels.pack(ends, reached, word.ravel(), WIDTH, bits, rank)
    start, base = np.zeros(n_segments + 1, np.uint32), np.empty(n_segments // 64 + 1, np.int64)
    start[:-1] = sizes[:n_segments]
    total = reach_kernels.write_starts(start, base)
    assert total == start[:0].sum() + sizes[:n_segments].sum()
    unit = np.ones((len(WIDTH), WIDTH.max()), np.int32)
    offset = aligned_zeros(total, np.uint32)
    return Rows(BOUNDS, word, WIDTH, unit, bits, rank, base, start, offset, np.zeros(0, np.int16))


def width_of_places():
    return np.concatenate([np.repeat(WIDTH, sizes) for sizes in SIZES])


@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 1.0])
@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_every_place_finds_its_segments(seed, share, dtype):
    rng = np.random.default_rng(seed)
    reached, sizes = rng.random(N) < share, rng.integers(0, 5, 3 * N)
    rows = table(reached, sizes)
    found = reach.reaching(rows)
    assert [len(x) for x in found] == BOUNDS[:, -1].tolist()
    assert np.array_equal(np.concatenate(found), reached)
    width = width_of_places()
    after = np.cumsum(np.where(reached, width, 0))
    starts = np.concatenate([[0], np.cumsum(sizes)])
    places = rng.permutation(N).astype(dtype)
    places[rng.random(N) < 0.3] = -1
    for column in range(2):
        first = np.minimum(column, WIDTH - 1)
        begin, end = reach.synapses_of(rows, places, first)
        here = (places >= 0) & reached[places]
        k = (after - width)[places] + np.minimum(column, width[places] - 1)
        assert np.array_equal(begin, np.where(here, starts[k], 0))
        assert np.array_equal(end, np.where(here, starts[k + 1], 0))


def test_words_are_kept_for_whom_we_need_only():
    reached = np.zeros(N, bool)
    reached[64 + 1 + 63 + 65 + 129] = True  # the last cell of part 1
    rows = table(reached, np.array([5, 7]))
    assert rows.word.tolist() == [[-1] * 3, [-1, -1, 0], [-1] * 3, [-1] * 3]
    assert rows.bits.tolist() == [0, 0, 2] and rows.rank.tolist() == [0, 0, 0]
    assert rows.start.tolist() == [0, 5, 12] and rows.base.tolist() == [0]


def test_the_shortest_delay_of_each_part(seed):
    rng = np.random.default_rng(seed)
    rows = table(rng.random(N) < 0.5, rng.integers(0, 2, 3 * N))
    delay = rng.integers(3, 2000, len(rows.offset))
    rows.offset[:] = delay * 100 + rng.integers(0, 100, len(delay))
    source = np.flatnonzero(np.concatenate(reach.reaching(rows)))
    segment_part = np.repeat(
        np.searchsorted(np.cumsum(BOUNDS[:, -1]), source, side="right"), width_of_places()[source]
    )
    begin = rows.base[np.arange(len(rows.start)) // 64] + rows.start
    part = np.repeat(segment_part, np.diff(begin))
    expected = np.full(len(BOUNDS), reach.NEVER)
    np.minimum.at(expected, part, delay)
    assert np.array_equal(reach.shortest(rows, 100), expected)
    assert expected[2] == reach.NEVER > expected[0]


def test_more_synapses_than_a_start_can_say():
    """Starts are relative to the base of 64 segments: only these must be few."""
    sizes = np.full(129, 2**26, np.uint32)
    sizes[-1] = 0
    start, base = sizes.copy(), np.empty(3, np.int64)
    assert reach_kernels.write_starts(start, base) == -1
    sizes[[0, 64]] -= 1
    start = sizes.copy()
    assert reach_kernels.write_starts(start, base) == 2**33 - 2
    assert base.tolist() == [0, 2**32 - 1, 2**33 - 2] and start[63] == 63 * 2**26 - 1
