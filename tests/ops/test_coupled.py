"""Values: the CPU kernels, and what other roads do, against numpy, synapse for synapse."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from distdyn.ops.coupled import Coupled, Pairs, emit, emit_reference
from distdyn.ops.deliver import deliver
from distdyn.ops.kernels import cut_rows
from distdyn.ops.reach import reaching, shortest
from distdyn.ops.team import Team
from distdyn.ops.totals import Counts, Masks, Member, Totals, equalize, synapse_count, totals
from tests.ops.test_deliver import BOUNDS, N_TARGET, SIZES, SLOTS, ends_of, row, table


@pytest.fixture(autouse=True)
def wide_integers():
    with jax.enable_x64(True):
        yield


def listed(values):
    """A list of values that begins at its third word, and the words of it."""
    words = np.ascontiguousarray(values, np.float64).view(np.int32)
    return np.concatenate([[-7, -7, -7], words, [-7]]).astype(np.int32), len(words)


def delivered(ring, rows, part, events, count, stamp, members, first=0):
    """By the kernel, for a team of so many; by the other roads for None."""
    scalars = jnp.int64(3), jnp.int32(count), jnp.int64(stamp)
    of_road = rows
    if members is None:
        of_road = Masks.of(rows) if isinstance(rows, Totals) else Pairs.of(rows)
    elif isinstance(rows, Coupled):
        of_road = cut_rows(rows, ring.shape[1], members)
    of_road = jax.tree.map(jnp.asarray, of_road)

    @jax.jit
    def call(ring, operand):
        given = of_road, jnp.int64(part), jnp.array(events), *scalars
        return deliver(ring, *given, team=operand, first=first)

    if members is None:
        return np.asarray(call(jnp.array(ring), None))
    with Team(members) as team:
        return np.asarray(call(jnp.array(ring), team.operand))


def dense(ring, rows, part, values, stamp):
    flat, origin, ends = ring.reshape(-1).copy(), stamp % len(ring) * ring.shape[1], ends_of(rows)
    for cell, value in enumerate(values):
        for segment, unit in row(rows, part, cell):
            for k in range(*ends[segment : segment + 2]):
                weight = int(rows.weight[k]) if rows.weight.size else 1
                amount = int(np.rint(weight * (float(unit) * value)))
                flat[(origin + int(rows.offset[k])) % flat.size] += amount
    return flat.reshape(ring.shape)


@pytest.mark.parametrize("members", [None, 1, 2, 3])
@pytest.mark.parametrize(
    ("accumulator", "weight", "offset"),
    [("int32", "int16", "uint32"), ("int32", "none", "uint64"), ("int64", "int32", "uint32")],
)
def test_every_synapse_brings_its_part(seed, members, accumulator, weight, offset):
    rows = Coupled(*table(seed, accumulator, weight, offset))
    rng = np.random.default_rng(seed)
    ring = rng.integers(-9, 9, (SLOTS, N_TARGET)).astype(accumulator)
    for part, stamp in enumerate((1, SLOTS - 1, 5 * SLOTS + 7, 3)):
        values = rng.uniform(-1.0, 1.0, BOUNDS[part, -1])
        expected = dense(ring, rows, part, values, stamp)
        found = delivered(ring, rows, part, *listed(values), stamp, members)
        np.testing.assert_array_equal(found, expected)
        assert part == 2 or not np.array_equal(expected, ring)


def test_values_in_pieces(seed):
    """A round of the mesh's exchange may end within the list of a step."""
    rows, ring = Coupled(*table(seed)), np.zeros((SLOTS, N_TARGET), np.int32)
    values = np.random.default_rng(seed).uniform(-1.0, 1.0, BOUNDS[3, -1])
    whole = dense(ring, rows, 3, values, 4)
    for begin, end in ((0, 60), (60, 61), (61, len(values))):
        ring = delivered(ring, rows, 3, *listed(values[begin:end]), 4, None, first=begin)
    np.testing.assert_array_equal(ring, whole)


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_emitted_values(seed, precision):
    bounds = np.array([0, 5, 5, 9])
    values = np.random.default_rng(seed).normal(size=12).astype(precision)  # three are padding
    factor = np.array([0.25, 9.0, 2.0**-10])
    given = values, factor, bounds, np.full(60, -7, np.int32), np.int64(4)
    expected = values[:9].astype(np.float64) * np.repeat(factor, np.diff(bounds))
    for road in (emit, emit_reference):
        events, count = jax.jit(road)(*map(jnp.asarray, given))
        assert int(count) == 18 and (np.asarray(events)[:4] == -7).all()
        np.testing.assert_array_equal(np.asarray(events)[4:22].view(np.float64), expected)


# --- sums ----------------------------------------------------------------------------------------

US = 1  # our part


def members_of(rng):
    """Three projections: of whole populations, of every third cell, and onto nobody."""
    places = np.concatenate([np.full(n, q) for q, n in enumerate(SIZES.sum(axis=1))])
    cells = np.concatenate([np.arange(n) for n in SIZES.sum(axis=1)])
    for step, delay, n_post in ((1, 3, N_TARGET), (3, SLOTS - 1, 40), (2, 1, 0)):
        post = rng.permutation(N_TARGET)[:n_post]
        own = np.where(rng.random(n_post) < 0.5, rng.integers(0, BOUNDS[US, -1], n_post), -1)
        own = np.where(np.isin(own, cells[::step][places[::step] == US]), own, -1)
        yield Member(int(rng.integers(-900, 900)), delay, places[::step], cells[::step], post, own)


def summed(ring, of, part, amounts, stamp):
    """The same in NumPy; `amounts(unit, cell)` is what a cell brings."""
    ring = ring.copy()
    for m in of:
        total = sum(amounts(m.unit, cell) for cell in m.cell[m.part == part])
        for post, own in zip(m.post, m.own, strict=True):
            left_out = amounts(m.unit, own) if own >= 0 and part == US else 0
            ring[(stamp + m.delay) % SLOTS, post] += total - left_out
    return ring


@pytest.mark.parametrize("members", [None, 1, 2, 3])
@pytest.mark.parametrize("accumulator", ["int32", "int64"])
@pytest.mark.parametrize("kind", [Totals, Counts])
def test_sums(seed, kind, accumulator, members):
    rng = np.random.default_rng(seed)
    of = list(members_of(rng))
    made = totals(kind, US, N_TARGET, SIZES.sum(axis=1), of, accumulator)
    [made] = equalize([made], lambda n: n + 5)
    ring = rng.integers(-9, 9, (SLOTS, N_TARGET)).astype(accumulator)
    for part, stamp in enumerate((1, SLOTS - 1, 5 * SLOTS + 7, 3)):
        if kind is Totals:
            values = rng.uniform(-1.0, 1.0, BOUNDS[part, -1])
            expected = summed(ring, of, part, lambda w, c, v=values: int(np.rint(w * v[c])), stamp)
            events, count = listed(values)
        else:
            spikes = np.flatnonzero(rng.random(BOUNDS[part, -1]) < 0.2)
            expected = summed(ring, of, part, lambda w, c, s=spikes: w * int(c in s), stamp)
            events = np.concatenate([[-7, -7, -7], spikes, [-7]]).astype(np.int32)
            count = len(spikes)
        found = delivered(ring, made, part, events, count, stamp, members)
        np.testing.assert_array_equal(found, expected)


def test_what_sums_stand_for(seed):
    of = list(members_of(np.random.default_rng(seed)))
    made = totals(Totals, US, N_TARGET, SIZES.sum(axis=1), of, "int32")
    n = sum(len(m.cell) * len(m.post) - int((m.own >= 0).sum()) for m in of)
    assert synapse_count(made) == n
    for part, here in enumerate(reaching(made)):
        expected = np.isin(np.arange(SIZES[part].sum()), of[0].cell[of[0].part == part])
        np.testing.assert_array_equal(here, expected)
    expected = np.where(SIZES.sum(axis=1) > 0, 3, shortest(made, N_TARGET)[2])
    np.testing.assert_array_equal(shortest(made, N_TARGET), expected)
