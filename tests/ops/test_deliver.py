"""Delivery: the CPU kernel against the reference, synapse for synapse."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from distdyn.ops.deliver import deliver
from distdyn.ops.kernels import cut_rows
from distdyn.ops.rows import Rows
from distdyn.ops.team import Team

N_SOURCE, N_TARGET, SLOTS = 40, 97, 12


@pytest.fixture(autouse=True)
def wide_integers():
    with jax.enable_x64(True):
        yield


def table(
    seed, accumulator="int32", weight="int16", offset="uint32", delays=(1, SLOTS), sort=False
):
    """Sources with 0 to 3 segments of 0 to 150 synapses, by delay, or by delay and target."""
    rng = np.random.default_rng(seed)
    segments = np.concatenate([[0], np.cumsum(rng.integers(0, 4, N_SOURCE))])
    n = rng.integers(0, 150, segments[-1]) * (rng.random(segments[-1]) < 0.8)
    start = np.concatenate([[0], np.cumsum(n)])
    pieces = []
    for count in n:
        delay = np.sort(rng.integers(*delays, count))
        places = delay * N_TARGET + rng.integers(0, N_TARGET, count)
        pieces.append(np.sort(places) if sort else places)
    padding = np.zeros(5)
    limit = 3000 if weight == "int16" else 100_000
    weights = rng.integers(-limit, limit, start[-1] + 5)
    return Rows(
        segments,
        start,
        rng.integers(-5, 6, len(n)).astype(accumulator),
        np.concatenate([*pieces, padding]).astype(offset),
        (weights if weight != "none" else weights[:0]).astype(
            "int16" if weight == "none" else weight
        ),
    )


def dense(ring, rows, sources, stamp):
    """The same in NumPy, one synapse after the other."""
    flat, base = ring.reshape(-1).copy(), stamp % len(ring) * ring.shape[1]
    for source in sources:
        for segment in range(*rows.segments[source : source + 2]):
            for k in range(*rows.start[segment : segment + 2]):
                weight = int(rows.weight[k]) if rows.weight.size else 1
                flat[(base + int(rows.offset[k])) % flat.size] += weight * rows.unit[segment]
    return flat.reshape(ring.shape)


def delivered(ring, rows, sources, stamp, members):
    """By the kernel, for a team of so many; by the reference for None."""
    events = np.concatenate([[-7, -7, -7], sources, [-7]]).astype(np.int32)
    scalars = jnp.int64(3), jnp.int32(len(sources)), jnp.int64(stamp)
    if members is None:
        rows = Rows(*map(jnp.asarray, rows))
        return np.asarray(deliver(jnp.array(ring), rows, jnp.array(events), *scalars, team=None))
    cut = cut_rows(rows, ring.shape[1], members)
    with Team(members) as team:
        call = jax.jit(lambda ring, operand: deliver(ring, cut, events, *scalars, team=operand))
        return np.asarray(call(jnp.array(ring), team.operand))


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
    for stamp in (1, SLOTS - 1, 5 * SLOTS + 7):  # with and without going round the ring
        sources = np.flatnonzero(rng.random(N_SOURCE) < 0.4)
        expected = dense(ring, rows, sources, stamp)
        np.testing.assert_array_equal(delivered(ring, rows, sources, stamp, members), expected)


@pytest.mark.parametrize("members", [None, 1, 3])
def test_no_spike_and_no_synapse(seed, members):
    ring = np.arange(SLOTS * N_TARGET, dtype=np.int32).reshape(SLOTS, N_TARGET)
    np.testing.assert_array_equal(delivered(ring, table(seed), np.arange(0), 4, members), ring)
    zero = np.zeros(N_SOURCE + 1, np.int64)
    none = np.zeros(0, np.int32)
    for capacity in (0, 8):
        empty = Rows(zero, zero[:1], none, np.zeros(capacity, "u4"), np.zeros(capacity, "i2"))
        same = delivered(ring, empty, np.arange(N_SOURCE), 4, members)
        np.testing.assert_array_equal(same, ring)


@pytest.mark.parametrize("members", [1, 2, 4])
def test_a_delay_of_seconds(members):
    n_target, slots = 50, 20_001
    offset = (np.array([1, 9_000, 20_000]) * n_target + np.array([5, 0, 49])).astype(np.uint64)
    ends = np.array([0, 1]), np.array([0, 3])
    rows = Rows(*ends, np.array([2], np.int32), offset, np.array([3, 4, 5], np.int16))
    ring = jnp.zeros((slots, n_target), jnp.int32)
    cut = cut_rows(rows, n_target, members)
    with Team(members) as team:
        call = jax.jit(
            lambda ring, team: deliver(
                ring,
                cut,
                np.zeros(1, "i4"),
                jnp.int64(0),
                jnp.int32(1),
                jnp.int64(20_000),
                team=team,
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
        start = np.asarray(cut_rows(rows, N_TARGET, members).start)
        bounds = np.lib.stride_tricks.sliding_window_view(start, members + 1)[::members]
        np.testing.assert_array_equal(bounds[:, 0], rows.start[:-1])
        np.testing.assert_array_equal(bounds[:, -1], rows.start[1:])
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
            assert abs(shares[0].size - shares[1].size) < 0.05 * rows.start[-1]
