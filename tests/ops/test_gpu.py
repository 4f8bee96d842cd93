"""The kernels for GPUs, run by the interpreter: synapse for synapse, and in the order of cells."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from distdyn.ops import gpu, gpu_kernels
from distdyn.ops.rows import Rows
from tests.ops.test_deliver import BOUNDS, N_TARGET, SLOTS, dense, some_cells, table

MOST = int(BOUNDS[:, -1].max())
ROADS = {
    "one round": gpu.Road(interpret=True, events=256, lanes=1 << 14),
    "many rounds": gpu.Road(interpret=True, events=16, lanes=256),
}


@pytest.fixture(autouse=True)
def wide_integers():
    with jax.enable_x64(True):
        yield


@jax.jit(static_argnames=("road", "most"))
def delivered(rings, tables, entries, road, most=MOST):
    """All tables add the same spikes, each to its own ring."""
    jobs = [gpu.Job(k, rows, entries, most) for k, rows in enumerate(tables)]
    return gpu.deliver(road, rings, jobs)


def deliver(ring, rows, entries, road, most=MOST):
    rows = Rows(*map(jnp.asarray, rows))
    return np.asarray(delivered([jnp.array(ring)], [rows], entries, road, most)[0])


def one(part, cells, stamp):
    events = np.full(MOST + 4, -7, np.int32)  # as long for any number of cells: compiled once
    events[3 : 3 + len(cells)] = cells
    scalars = jnp.int64(part), jnp.int64(3), jnp.int32(len(cells)), jnp.int64(stamp)
    return gpu.one_entry(jnp.array(events), *scalars)


@pytest.mark.parametrize("road", ROADS.values(), ids=ROADS)
@pytest.mark.parametrize(
    ("accumulator", "weight", "offset"),
    [
        ("int32", "int16", "uint32"),
        ("int32", "none", "uint64"),
        ("int64", "int32", "uint32"),
    ],
)
def test_every_synapse_arrives(seed, road, accumulator, weight, offset):
    rows = table(seed, accumulator, weight, offset)
    rng = np.random.default_rng(seed)
    ring = rng.integers(-9, 9, (SLOTS, N_TARGET)).astype(accumulator)
    stamps = 1, SLOTS - 1, 5 * SLOTS + 7, 3  # with and without going round the ring
    for part, stamp in enumerate(stamps):
        cells = some_cells(rng, part)
        expected = dense(ring, rows, part, cells, stamp)
        assert len(cells) == 0 or not np.array_equal(expected, ring)
        found = deliver(ring, rows, one(part, cells, stamp), road)
        np.testing.assert_array_equal(found, expected)


def test_a_single_cell_wherever_it_is(seed):
    """First and last bits of words, words and populations next to each other, and none at all."""
    rows, ring = table(seed), np.zeros((SLOTS, N_TARGET), np.int32)
    for part, cells in ((0, (0, 39, 40, 103, 104)), (1, (0, 63, 64, 127, 128, 129, 191))):
        for cell in cells:
            found = deliver(ring, rows, one(part, [cell], 4), ROADS["one round"])
            np.testing.assert_array_equal(found, dense(ring, rows, part, [cell], 4))


@pytest.mark.parametrize("road", ROADS.values(), ids=ROADS)
@pytest.mark.parametrize("most", [MOST, None])
def test_spikes_of_several_parts_and_steps_in_one_call(seed, road, most):
    rows, rng = table(seed), np.random.default_rng(seed)
    entries = [(0, 7), (1, 7), (2, 8), (3, 8), (0, 8), (1, 9)]
    cells = [some_cells(rng, part) for part, _ in entries]
    cells[4] = cells[4][:0]
    n = np.array([len(of) for of in cells])
    gap = 2  # cells that belong to nobody, before each entry
    begin = gap + np.cumsum(n + gap) - (n + gap)
    flat = np.concatenate([x for of in cells for x in ([-7] * gap, of)]).astype(np.int32)
    part, stamp = np.array(entries, np.int64).T
    expected = ring = rng.integers(-9, 9, (SLOTS, N_TARGET)).astype(np.int32)
    for of, (q, s) in zip(cells, entries, strict=True):
        expected = dense(expected, rows, q, of, s)
    spikes = gpu.Entries(*map(jnp.asarray, (flat, part, begin, n.astype(np.int32), stamp)))
    np.testing.assert_array_equal(deliver(ring, rows, spikes, road, most), expected)


@pytest.mark.parametrize("road", ROADS.values(), ids=ROADS)
def test_several_tables_in_one_call(seed, road):
    tables = [table(seed), table(seed + 1, delays=(3, 4)), table(seed + 2, weight="none")]
    cells = some_cells(np.random.default_rng(seed), 1)
    rings = [np.full((SLOTS, N_TARGET), k, np.int32) for k in range(3)]
    found = delivered(
        [jnp.array(ring) for ring in rings],
        [Rows(*map(jnp.asarray, rows)) for rows in tables],
        one(1, cells, 30),
        road,
    )
    for ring, rows, after in zip(rings, tables, found, strict=True):
        np.testing.assert_array_equal(after, dense(ring, rows, 1, cells, 30))


def test_no_spike_and_no_synapse(seed):
    ring = np.arange(SLOTS * N_TARGET, dtype=np.int32).reshape(SLOTS, N_TARGET)
    rows, road = table(seed), ROADS["many rounds"]
    np.testing.assert_array_equal(deliver(ring, rows, one(0, np.arange(0), 4), road), ring)
    nobody = gpu.one_entry(jnp.zeros(0, jnp.int32), *(jnp.int64(k) for k in (0, 0, 0, 4)))
    np.testing.assert_array_equal(deliver(ring, rows, nobody, road, None), ring)
    everyone = one(0, np.arange(BOUNDS[0, -1]), 4)
    without_row = rows._replace(word=np.full_like(rows.word, -1))
    np.testing.assert_array_equal(deliver(ring, without_row, everyone, road), ring)
    for field in ("bits", "offset"):
        empty = rows._replace(**{field: getattr(rows, field)[:0]})
        np.testing.assert_array_equal(deliver(ring, empty, everyone, road), ring)


def test_sums_of_64_bits(seed):
    """Beyond 32 bits, exact where a double would round."""
    rows = table(seed, "int64", "int32")._replace(unit=np.full((4, 3), (1 << 40) + 1))
    cells = some_cells(np.random.default_rng(seed), 1)
    ring = np.zeros((SLOTS, N_TARGET), np.int64)
    expected = dense(ring, rows, 1, cells, 4)
    assert np.abs(expected).max() > 1 << 53
    found = deliver(ring, rows, one(1, cells, 4), ROADS["one round"])
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("n", [1, 3, 1000, 1024, 1025, 10007])
@pytest.mark.parametrize("rate", [0.0, 0.01, 1.0])
def test_spikes_are_listed_in_order(seed, n, rate):
    spike = np.random.default_rng(seed).random(n) < rate
    before = np.arange(2 * n + 9, dtype=np.int32) - 5
    events, count = jax.jit(gpu.list_spikes, static_argnums=0)(
        ROADS["one round"], jnp.array(spike), jnp.array(before), jnp.int64(7)
    )
    assert int(count) == spike.sum()
    expected = before.copy()
    expected[7 : 7 + spike.sum()] = np.flatnonzero(spike)
    np.testing.assert_array_equal(events, expected)


def test_listing_over_more_blocks_than_a_block_has_lanes(monkeypatch, seed):
    monkeypatch.setattr(gpu_kernels, "BLOCK", 16)
    test_spikes_are_listed_in_order(seed, 1000, 0.3)


def test_segments_of_cells():
    bounds = jnp.array([0, 3, 3, 5, 9])
    np.testing.assert_array_equal(gpu.segments(bounds, 11), [0, 0, 0, 2, 2, 3, 3, 3, 3, 3, 3])
    np.testing.assert_array_equal(gpu.segments(bounds[:2], 4), 0)


def test_the_bits_of_a_word():
    words = np.random.default_rng(3).integers(0, 1 << 63, 1000, dtype=np.int64)
    words = np.concatenate([words, [0, 1, (1 << 63) - 1, 1 << 62]])
    counted = [int(word).bit_count() for word in words]
    np.testing.assert_array_equal(gpu_kernels._count_bits(jnp.array(words)), counted)


@pytest.mark.skipif(
    jax.__version_info__ > (0, 10, 1), reason="later versions need the CUDA plugin for this"
)
@pytest.mark.parametrize(("accumulator", "weight"), [("int32", "int16"), ("int64", "none")])
def test_triton_takes_them_without_a_gpu(seed, accumulator, weight):
    """As they are for a GPU, translated for Triton: an operation that it lacks is an error."""
    rows, road = table(seed, accumulator, weight), gpu.Road()

    def both(ring, rows, entries, spike):
        ring = gpu.deliver(road, [ring], [gpu.Job(0, rows, entries, None)])[0]
        return ring, gpu.list_spikes(road, spike, entries.cells, jnp.int64(0))

    ring, spike = jnp.zeros((SLOTS, N_TARGET), accumulator), jnp.zeros(100, bool)
    traced = jax.jit(both).trace(ring, Rows(*map(jnp.asarray, rows)), one(0, [1], 2), spike)
    text = traced.lower(lowering_platforms=("cuda",)).as_text()
    for name in ("distdyn_find_rows", "distdyn_look_up", "distdyn_list_spikes"):
        assert name in text, text[:2000]
