"""Delivery: the CPU kernel against the reference, synapse for synapse."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, PartitionSpec

from distdyn.ops.deliver import deliver
from distdyn.ops.kernels import cut_rows
from distdyn.ops.rows import Rows, equalize
from distdyn.ops.team import Team

N_TARGET, SLOTS = 97, 12
SIZES = np.array([[40, 0, 64, 1], [0, 129, 63, 0], [0, 0, 0, 0], [65, 0, 128, 2]])  # part, pop.
BOUNDS = np.concatenate([np.zeros((len(SIZES), 1), np.int64), np.cumsum(SIZES, axis=1)], axis=1)
WIDTH = np.array([2, 1, 3, 0])


@pytest.fixture(autouse=True)
def wide_integers():
    with jax.enable_x64(True):
        yield


def table(
    seed, accumulator="int32", weight="int16", offset="uint32", delays=(1, SLOTS), sort=False
):
    """Sources with rows of 0 to 3 segments of 0 to 195 synapses, by delay, or by delay and target.

    Two thirds of the cells have a row, but none of the first population of the last part.
    """
    rng = np.random.default_rng(seed)
    word, bits, rank, n_segments = np.full(SIZES.shape, -1), [], [], 0
    for (q, s), size in np.ndenumerate(SIZES):
        is_here = (rng.random(size) < 0.67) & (WIDTH[s] > 0) & ((q, s) != (len(SIZES) - 1, 0))
        if is_here.any():
            word[q, s] = len(bits)
        for i in range(0, size if is_here.any() else 0, 64):
            bits.append(sum(1 << k for k in np.flatnonzero(is_here[i : i + 64]).tolist()))
            rank.append(n_segments)
            n_segments += WIDTH[s] * is_here[i : i + 64].sum()
    n = rng.integers(0, 40, n_segments) * (rng.random(n_segments) < 0.8)
    n[::29] *= 5  # longer than what the kernel asks for ahead
    ends = np.concatenate([[0], np.cumsum(n)])
    pieces = []
    for count in n:
        delay = np.sort(rng.integers(*delays, count))
        places = delay * N_TARGET + rng.integers(0, N_TARGET, count)
        pieces.append(np.sort(places) if sort else places)
    padding = np.zeros(5)
    limit = 3000 if weight == "int16" else 100_000
    weights = rng.integers(-limit, limit, ends[-1] + 5)
    return Rows(
        BOUNDS,
        word,
        WIDTH,
        rng.integers(-5, 6, (len(WIDTH), WIDTH.max())).astype(accumulator),
        np.array(bits, np.uint64),
        np.array(rank, np.uint32),
        ends[::64].copy(),
        (ends - ends[::64].repeat(64)[: len(ends)]).astype(np.uint32),
        np.concatenate([*pieces, padding]).astype(offset),
        (weights if weight != "none" else weights[:0]).astype(
            "int16" if weight == "none" else weight
        ),
    )


def ends_of(rows):
    """Where each segment begins, and the last ends."""
    return rows.base[np.arange(len(rows.start)) // 64] + rows.start


def row(rows, part, cell):
    """The segments and units of a cell's row."""
    s = np.flatnonzero((rows.bounds[part][:-1] <= cell) & (cell < rows.bounds[part][1:]))[0]
    w, i = divmod(cell - int(rows.bounds[part][s]), 64)
    if rows.word[part][s] < 0 or not int(rows.bits[rows.word[part][s] + w]) >> i & 1:
        return []
    lower = (int(rows.bits[rows.word[part][s] + w]) & ((1 << i) - 1)).bit_count()
    first = int(rows.rank[rows.word[part][s] + w]) + lower * rows.width[s]
    return [(first + j, rows.unit[s][j]) for j in range(rows.width[s])]


def dense(ring, rows, part, cells, stamp):
    """The same in NumPy, one synapse after the other."""
    flat, origin, ends = ring.reshape(-1).copy(), stamp % len(ring) * ring.shape[1], ends_of(rows)
    for cell in cells:
        for segment, unit in row(rows, part, int(cell)):
            for k in range(*ends[segment : segment + 2]):
                weight = int(rows.weight[k]) if rows.weight.size else 1
                flat[(origin + int(rows.offset[k])) % flat.size] += weight * unit
    return flat.reshape(ring.shape)


def delivered(ring, rows, part, cells, stamp, members):
    """By the kernel, for a team of so many; by the reference for None."""
    events = np.concatenate([[-7, -7, -7], cells, [-7]]).astype(np.int32)
    scalars = jnp.int64(3), jnp.int32(len(cells)), jnp.int64(stamp)
    cut = rows if members is None else cut_rows(rows, ring.shape[1], members)
    cut = Rows(*map(jnp.asarray, cut))

    @jax.jit
    def call(ring, operand):
        return deliver(ring, cut, jnp.int64(part), jnp.array(events), *scalars, team=operand)

    if members is None:
        return np.asarray(call(jnp.array(ring), None))
    with Team(members) as team:
        return np.asarray(call(jnp.array(ring), team.operand))


def some_cells(rng, part):
    return np.flatnonzero(rng.random(BOUNDS[part, -1]) < 0.4)


@pytest.mark.parametrize("members", [None, 1, 2, 3, 4])
@pytest.mark.parametrize(
    ("accumulator", "weight", "offset"),
    [
        ("int32", "int16", "uint32"),
        ("int32", "int32", "uint32"),
        ("int32", "none", "uint64"),
        ("int64", "int16", "uint64"),
        ("int64", "int32", "uint32"),
        ("int64", "none", "uint32"),
    ],
)
def test_every_synapse_arrives(seed, members, accumulator, weight, offset):
    rows = table(seed, accumulator, weight, offset)
    rng = np.random.default_rng(seed)
    ring = rng.integers(-9, 9, (SLOTS, N_TARGET)).astype(accumulator)
    stamps = 1, SLOTS - 1, 5 * SLOTS + 7, 3  # with and without going round the ring
    for part, stamp in enumerate(stamps):
        cells = some_cells(rng, part)
        expected = dense(ring, rows, part, cells, stamp)
        assert len(cells) == 0 or not np.array_equal(expected, ring)
        found = delivered(ring, rows, part, cells, stamp, members)
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("members", [None, 1, 2])
def test_a_single_cell_wherever_it_is(seed, members):
    """First and last bits of words, words and populations next to each other, and none at all."""
    rows, ring = table(seed), np.zeros((SLOTS, N_TARGET), np.int32)
    for part, cells in ((0, (0, 39, 40, 103, 104)), (1, (0, 63, 64, 127, 128, 129, 191))):
        for cell in cells:
            expected = dense(ring, rows, part, [cell], 4)
            found = delivered(ring, rows, part, np.array([cell]), 4, members)
            np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("members", [1, 3])
def test_cells_in_any_order(seed, members):
    rows, ring = table(seed), np.zeros((SLOTS, N_TARGET), np.int32)
    cells = np.random.default_rng(seed).permutation(BOUNDS[3, -1])[:70]
    expected = dense(ring, rows, 3, cells, 4)
    np.testing.assert_array_equal(delivered(ring, rows, 3, cells, 4, members), expected)


@pytest.mark.parametrize("members", [None, 1, 3])
def test_no_spike_and_no_synapse(seed, members):
    ring = np.arange(SLOTS * N_TARGET, dtype=np.int32).reshape(SLOTS, N_TARGET)
    same = delivered(ring, table(seed), 0, np.arange(0), 4, members)
    np.testing.assert_array_equal(same, ring)
    none, zero = np.zeros(0, np.uint32), np.zeros(1, np.uint32)
    for capacity in (0, 8):
        empty = Rows(
            BOUNDS,
            np.full(SIZES.shape, -1),
            WIDTH,
            np.ones((len(WIDTH), 3), np.int32),
            none.astype(np.uint64),
            none,
            zero.astype(np.int64),
            zero,
            np.zeros(capacity, np.uint32),
            np.zeros(capacity, np.int16),
        )
        same = delivered(ring, empty, 0, np.arange(BOUNDS[0, -1]), 4, members)
        np.testing.assert_array_equal(same, ring)


def test_parts_of_a_mesh_deliver_at_once(seed):
    """The reference in shard_map: each device has its own rows and ring."""
    n = len(jax.devices("cpu"))
    mesh = jax.make_mesh((n,), ("part",), axis_types=(AxisType.Auto,), devices=jax.devices("cpu"))
    tables = equalize([table(seed + k) for k in range(n)])
    rows = Rows(*(np.stack(arrays) for arrays in zip(*tables, strict=True)))
    rings = np.zeros((n, SLOTS, N_TARGET), np.int32)
    cells = some_cells(np.random.default_rng(seed), 0)

    def local(rings, rows):
        mine = Rows(*(array[0] for array in rows))
        scalars = jnp.int64(0), jnp.int32(len(cells)), jnp.int64(5)
        events = jnp.array(cells, jnp.int32)
        return deliver(rings[0], mine, jnp.int64(0), events, *scalars, team=None)[None]

    spec = PartitionSpec("part")
    call = jax.jit(jax.shard_map(local, mesh=mesh, in_specs=spec, out_specs=spec))
    found = np.asarray(call(rings, rows))
    for ring, mine in zip(found, tables, strict=True):
        np.testing.assert_array_equal(ring, dense(rings[0], mine, 0, cells, 5))


@pytest.mark.parametrize("members", [1, 2, 4])
def test_a_delay_of_seconds(members):
    n_target, slots = 50, 20_001
    offset = (np.array([1, 9_000, 20_000]) * n_target + np.array([5, 0, 49])).astype(np.uint64)
    one = np.array([1], np.int64)
    rows = Rows(
        np.array([[0, 1]]),
        np.zeros((1, 1), np.int64),
        one,
        np.array([[2]], np.int32),
        one.astype(np.uint64),
        np.zeros(1, np.uint32),
        np.zeros(1, np.int64),
        np.array([0, 3], np.uint32),
        offset,
        np.array([3, 4, 5], np.int16),
    )
    ring = jnp.zeros((slots, n_target), jnp.int32)
    cut = cut_rows(rows, n_target, members)
    scalars = jnp.int64(0), jnp.int32(1), jnp.int64(20_000)
    with Team(members) as team:
        call = jax.jit(
            lambda ring, team: deliver(
                ring, cut, jnp.int64(0), np.zeros(1, "i4"), *scalars, team=team
            ),
            donate_argnums=0,
        )
        ring = call(ring, team.operand)
    for slot, place, value in ((0, 5, 6), (8_999, 0, 8), (19_999, 49, 10)):
        assert int(ring[slot, place]) == value
    assert int(jnp.sum(ring)) == 24


@pytest.mark.parametrize("members", [2, 3, 16])
def test_the_cut_divides_every_segment(seed, members):
    for sort, delays in ((True, (1, SLOTS)), (True, (3, 4)), (False, (1, SLOTS)), (False, (3, 4))):
        rows = table(seed, sort=sort, delays=delays)
        start, ends = cut_rows(rows, N_TARGET, members).start, ends_of(rows)
        assert start.shape == (members * (len(ends) - 1) + 1,) and start.dtype == np.uint32
        base = rows.base[np.arange(len(start)) // members // 64]
        bounds = np.lib.stride_tricks.sliding_window_view(base + start, members + 1)[::members]
        np.testing.assert_array_equal(bounds[:, 0], ends[:-1])
        np.testing.assert_array_equal(bounds[:, -1], ends[1:])
        offsets = rows.offset.astype(np.int64)
        shares = [
            np.concatenate([offsets[b[k] : b[k + 1]] for b in bounds]) for k in range(members)
        ]
        last = -1
        for share in shares:
            if share.size:
                assert share.min() > last, "two members would add to one place"
                last = share.max()
        if sort and members == 2:  # a single delay is shared as well
            assert abs(shares[0].size - shares[1].size) < 0.05 * ends[-1]
