"""Packed tables: what is due when, against the ring of all delays, synapse for synapse."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from distdyn.ops import packed
from distdyn.ops.arrive import arrive
from distdyn.ops.packed import Packed, pack
from distdyn.ops.rows import equalize, synapse_count
from distdyn.ops.team import Team
from tests.ops.test_deliver import BOUNDS, N_TARGET, SLOTS, dense, ends_of, some_cells, table

PARTS = len(BOUNDS)


@pytest.fixture(autouse=True)
def wide_integers():
    with jax.enable_x64(True):
        yield


def few_units(rows):
    """The units of some columns are equal, so that segments of one row join."""
    return rows._replace(unit=np.sign(rows.unit) * np.array(3, rows.unit.dtype))


def copied(rows):
    return rows._replace(offset=rows.offset.copy())


def packed_for(rows, members=1):
    return pack(copied(rows), N_TARGET, packed.delays_of([rows], N_TARGET), members)


def spikes(seed, steps=40):
    """Of every step and part, the cells that spike; none in some, and all of them once."""
    rng = np.random.default_rng(seed)
    cells = [[some_cells(rng, q) if rng.random() < 0.3 else [] for q in range(PARTS)]]
    for _ in range(steps - 2):
        cells.append([some_cells(rng, q) if rng.random() < 0.3 else [] for q in range(PARTS)])
    return [*cells, [np.arange(BOUNDS[q, -1]) for q in range(PARTS)]]


def arrivals(rows, cells, dtype):
    """What each step reads when every spike is delivered at once into a ring."""
    ring, seen = np.zeros((SLOTS, N_TARGET), dtype), []
    for step, of in enumerate(cells, start=1):
        seen.append(ring[step % SLOTS].copy())
        ring[step % SLOTS] = 0
        for part, mine in enumerate(of):
            ring = dense(ring, rows, part, mine, step)
    return np.array(seen), ring


def packed_arrivals(rows, cells, dtype, members=1, slots=1):
    """The same with what is in flight, in a list for each part."""
    p = packed_for(rows, members)
    lists = [packed.no_flights(p) for _ in range(PARTS)]
    arrays, ring, seen = Packed(*map(jnp.asarray, p)), jnp.zeros((slots, N_TARGET), dtype), []

    @jax.jit
    def call(ring, flights, part, events, count, stamp, operand):
        return arrive(ring, flights, arrays, part, events, jnp.int64(0), count, stamp, operand)

    with Team(members) as team:
        for step, of in enumerate(cells, start=1):
            seen.append(np.array(ring[step % slots]))
            ring = ring.at[step % slots].set(0)
            for part, mine in enumerate(of):
                place = jnp.array([lists[part].ctypes.data, lists[part].size])
                events = jnp.array([*mine, 0], jnp.int32)
                numbers = jnp.int64(part), events, jnp.int32(len(mine)), jnp.int64(step)
                ring = call(ring, place, *numbers, team.operand)
        ring.block_until_ready()
    return np.array(seen), np.array(ring), lists, p


@pytest.mark.parametrize("members", [1, 3])
@pytest.mark.parametrize(
    ("accumulator", "weight", "offset", "delays"),
    [
        ("int32", "int16", "uint32", (1, SLOTS)),
        ("int64", "int16", "uint64", (1, SLOTS)),
        ("int32", "none", "uint32", (3, 9)),
        ("int64", "none", "uint32", (1, 2)),
        ("int32", "int16", "uint32", (5, 6)),
    ],
)
def test_arrivals_are_those_of_the_ring(accumulator, weight, offset, delays, members):
    rows = few_units(table(7, accumulator, weight, offset, delays))
    cells = spikes(3)
    expected, _ = arrivals(rows, cells, accumulator)
    assert np.count_nonzero(expected) > 1000
    seen, *_ = packed_arrivals(rows, cells, accumulator, members)
    np.testing.assert_array_equal(seen, expected)


@pytest.mark.parametrize("members", [1, 3])
@pytest.mark.parametrize("weight", ["int16", "none"])
@pytest.mark.parametrize("delays", [(1, 2), (4, 5), (1, SLOTS)])
def test_a_slot_of_several_blocks_for_each_member(monkeypatch, delays, weight, members):
    monkeypatch.setattr(packed, "MOST_TARGETS", 32)
    rows, cells = few_units(table(10, "int32", weight, "uint32", delays)), spikes(6)
    assert packed.blocks_of(N_TARGET, members)[0] >= 2 * members
    expected, _ = arrivals(rows, cells, "int32")
    assert np.count_nonzero(expected) > 1000
    seen, *_ = packed_arrivals(rows, cells, "int32", members)
    np.testing.assert_array_equal(seen, expected)


def test_a_ring_of_several_slots_gets_what_is_due_in_the_next_one():
    rows, cells = few_units(table(8)), spikes(4)
    expected, _ = arrivals(rows, cells, "int32")
    seen, *_ = packed_arrivals(rows, cells, "int32", slots=SLOTS)
    np.testing.assert_array_equal(seen, expected)


@pytest.mark.parametrize("members", [1, 3])
def test_what_is_in_flight_lands_in_the_ring(members):
    rows, cells = few_units(table(9)), spikes(5)
    _, ring = arrivals(rows, cells, "int32")
    _, landed, lists, p = packed_arrivals(rows, cells, "int32", members)
    assert sum(flights[0, 0] for flights in lists) > 100
    for flights in lists:
        landed = packed.land(flights, p, len(cells), landed, SLOTS)
    np.testing.assert_array_equal(landed, ring)


def test_spikes_land_with_their_last_synapse():
    rows, cells = few_units(table(9)), [*spikes(5), *[[[]] * PARTS] * SLOTS]
    _, _, lists, _ = packed_arrivals(rows, cells, "int32")
    assert not any(flights[0, 0] for flights in lists)


@pytest.mark.parametrize("weight", ["int16", "none"])
def test_a_packed_table_has_the_same_synapses_in_order_of_delay(weight):
    rows = few_units(table(2, weight=weight))
    p = packed_for(rows, members=2)
    assert synapse_count(p) == synapse_count(rows) and len(p.batch) == len(p.start) - 1
    assert p.width.tolist() == [
        len(np.unique(u[:n])) for u, n in zip(rows.unit, rows.width, strict=True)
    ]
    first, number, blocks, length = p.form
    ends, found = ends_of(p), []
    for k, batch in enumerate(p.batch.astype(int)):
        assert (np.diff(batch[:-1]) >= 0).all() and batch[0] == 0
        assert batch[-2] == ends[k + 1] - ends[k]
        for b in range(blocks * number):
            word = p.synapse[ends[k] + batch[b] : ends[k] + batch[b + 1]].astype(int)
            value = (word >> 16).astype(np.int16) if weight == "int16" else np.ones_like(word)
            target = (word & 0xFFFF) + b // number * length
            delay = first + b % number
            found += zip([delay] * len(word), target, value * int(p.unit[batch[-1]]), strict=True)
    unit = np.zeros(len(rows.start) - 1, int)
    for part in range(PARTS):
        for s in range(rows.width.size):
            if rows.word[part, s] >= 0:
                words = range(
                    rows.word[part, s], rows.word[part, s] + -(-int(np.diff(BOUNDS[part])[s]) // 64)
                )
                for w in words:
                    n = int(rows.bits[w]).bit_count() * rows.width[s]
                    at = int(rows.rank[w])
                    unit[at : at + n] = np.resize(rows.unit[s, : rows.width[s]], n)
    n = synapse_count(rows)
    weights = rows.weight[:n].astype(int) if weight == "int16" else np.ones(n, int)
    weights *= np.repeat(unit, np.diff(ends_of(rows)))
    offset = rows.offset[:n].astype(int)
    expected = zip(offset // N_TARGET, offset % N_TARGET, weights, strict=True)
    assert sorted(found) == sorted(expected)


def test_tables_of_several_devices_get_equal_shapes():
    tables = equalize([few_units(table(k)) for k in (1, 2)])
    delays = packed.delays_of(tables, N_TARGET)
    alone = [pack(copied(rows), N_TARGET, delays, 1) for rows in tables]
    both = packed.equalize(alone)
    assert [x.shape for x in both[0]] == [x.shape for x in both[1]]
    assert [synapse_count(x) for x in both] == [synapse_count(x) for x in tables]
    for before, after in zip(alone, both, strict=True):
        n = len(before.batch)
        np.testing.assert_array_equal(ends_of(after)[: n + 1], ends_of(before))
        assert not np.diff(ends_of(after)[n:]).any()


def test_which_tables_are_packed(monkeypatch):
    rows = table(1)
    delays = packed.delays_of([rows], N_TARGET)
    assert delays == (1, SLOTS - 1)
    assert not packed.is_worth_packing([rows], delays)  # about one synapse in a batch
    assert packed.is_worth_packing([rows], packed.Delays(1, 2))
    assert not packed.is_worth_packing([rows], packed.Delays(1, packed.MOST_DELAYS + 1))
    assert not packed.is_worth_packing([table(1, weight="int32")], packed.Delays(1, 1))
    units = np.arange(300).reshape(4, 75).astype(np.int32)
    assert not packed.is_worth_packing([rows._replace(unit=units)], packed.Delays(1, 1))
    assert packed.is_worth_packing([rows], packed.Delays(9, 9))
    monkeypatch.setattr(packed, "MOST_FLIGHTS", 1000)
    assert not packed.is_worth_packing([rows], packed.Delays(9, 9))
    assert packed.delays_of([rows._replace(start=rows.start * 0, base=rows.base * 0)], 9) is None


@pytest.mark.parametrize("n_target", [1, 97, 65_536, 65_537, 1_000_000])
@pytest.mark.parametrize("members", [1, 2, 3, 16])
def test_blocks_cover_the_slot_and_fit_16_bits(n_target, members):
    blocks, length = packed.blocks_of(n_target, members)
    assert blocks % members == 0 and length % 16 == 0
    assert blocks * length >= n_target and length <= packed.MOST_TARGETS
