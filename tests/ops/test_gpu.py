"""The road of GPUs: synapse for synapse, and in the order of cells.

On CPU the references of its operators run, and the kernels in Numba's simulator.
"""

import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from distdyn.ops import gpu
from distdyn.ops.rows import Rows
from tests.ops.test_deliver import BOUNDS, N_TARGET, SLOTS, dense, some_cells, table

MOST = int(BOUNDS[:, -1].max())
ROOT = Path(__file__).resolve().parents[2]


def has_gpu():
    try:
        return bool(jax.devices("gpu"))
    except RuntimeError:
        return False


PLATFORMS = [
    "cpu",
    pytest.param(
        "gpu",
        marks=[
            pytest.mark.gpu,
            pytest.mark.skipif(not has_gpu(), reason="JAX finds no GPU on this machine"),
        ],
    ),
]


@pytest.fixture(autouse=True)
def wide_integers():
    with jax.enable_x64(True):
        yield


@pytest.fixture(params=PLATFORMS)
def platform(request):
    with jax.default_device(jax.devices(request.param)[0]):
        yield request.param


@jax.jit
def delivered(rings, tables, entries):
    """All tables add the same spikes, each to its own ring."""
    return gpu.deliver(rings, [gpu.Job(k, rows, entries) for k, rows in enumerate(tables)])


def deliver(ring, rows, entries):
    rows = Rows(*map(jnp.asarray, rows))
    return np.asarray(delivered([jnp.array(ring)], [rows], entries)[0])


def one(part, cells, stamp):
    events = np.full(MOST + 4, -7, np.int32)  # as long for any number of cells: compiled once
    events[3 : 3 + len(cells)] = cells
    scalars = jnp.int64(part), jnp.int64(3), jnp.int32(len(cells)), jnp.int64(stamp)
    return gpu.entries(jnp.array(events), *scalars)


def test_kernels_in_the_simulator():
    script = Path(__file__).with_name("in_simulator.py")
    env = {**os.environ, "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"}
    ended = subprocess.run(
        [sys.executable, str(script)], env=env, capture_output=True, text=True, timeout=300
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.strip() == "as expected"


@pytest.mark.parametrize(
    ("accumulator", "weight", "offset"),
    [
        ("int32", "int16", "uint32"),
        ("int32", "none", "uint64"),
        ("int64", "int32", "uint32"),
    ],
)
def test_every_synapse_arrives(seed, platform, accumulator, weight, offset):
    rows = table(seed, accumulator, weight, offset)
    rng = np.random.default_rng(seed)
    ring = rng.integers(-9, 9, (SLOTS, N_TARGET)).astype(accumulator)
    stamps = 1, SLOTS - 1, 5 * SLOTS + 7, 3  # with and without going round the ring
    for part, stamp in enumerate(stamps):
        cells = some_cells(rng, part)
        expected = dense(ring, rows, part, cells, stamp)
        assert len(cells) == 0 or not np.array_equal(expected, ring)
        np.testing.assert_array_equal(deliver(ring, rows, one(part, cells, stamp)), expected)


def test_spikes_of_several_parts_and_steps_in_one_call(seed, platform):
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
    spikes = gpu.entries(*map(jnp.asarray, (flat, part, begin, n, stamp)))
    np.testing.assert_array_equal(deliver(ring, rows, spikes), expected)


def test_an_index_of_the_rows_of_a_part(seed, platform):
    rows = Rows(*map(jnp.asarray, table(seed)))
    rng = np.random.default_rng(seed)
    for part in range(len(BOUNDS)):
        cells, n = some_cells(rng, part), int(BOUNDS[part, -1])
        spikes, ring = one(part, cells, 4), np.zeros((SLOTS, N_TARGET), np.int32)
        job = gpu.Job(0, rows, spikes, gpu.row_index(rows, part, n + 3))
        (found,) = gpu.deliver([jnp.array(ring)], [job])
        np.testing.assert_array_equal(found, dense(ring, rows, part, cells, 4))


def test_what_is_due_is_taken(platform):
    ring = np.arange(5 * 1000, dtype=np.int64).reshape(5, 1000) + 1
    for stop, most in ((0, 5), (1, 5), (0, 4)):
        row, after = jax.jit(gpu.take)(jnp.array(ring), jnp.array([12, 4, stop, most]))
        np.testing.assert_array_equal(row, ring[3])
        expected = ring.copy()
        expected[3] *= stop != 0 or most == 4
        np.testing.assert_array_equal(after, expected)


def test_several_tables_in_one_call(seed, platform):
    tables = [table(seed), table(seed + 1, delays=(3, 4)), table(seed + 2, weight="none")]
    cells = some_cells(np.random.default_rng(seed), 1)
    rings = [np.full((SLOTS, N_TARGET), k, np.int32) for k in range(3)]
    found = delivered(
        [jnp.array(ring) for ring in rings],
        [Rows(*map(jnp.asarray, rows)) for rows in tables],
        one(1, cells, 30),
    )
    for ring, rows, after in zip(rings, tables, found, strict=True):
        np.testing.assert_array_equal(after, dense(ring, rows, 1, cells, 30))


def test_no_spike_and_no_synapse(seed, platform):
    ring = np.arange(SLOTS * N_TARGET, dtype=np.int32).reshape(SLOTS, N_TARGET)
    rows = table(seed)
    np.testing.assert_array_equal(deliver(ring, rows, one(0, np.arange(0), 4)), ring)
    nobody = gpu.entries(jnp.zeros(0, jnp.int32), *(jnp.int64(k) for k in (0, 0, 0, 4)))
    np.testing.assert_array_equal(deliver(ring, rows, nobody), ring)
    everyone = one(0, np.arange(BOUNDS[0, -1]), 4)
    without_row = rows._replace(word=np.full_like(rows.word, -1))
    np.testing.assert_array_equal(deliver(ring, without_row, everyone), ring)
    for field in ("bits", "offset"):
        empty = rows._replace(**{field: getattr(rows, field)[:0]})
        np.testing.assert_array_equal(deliver(ring, empty, everyone), ring)


def test_sums_of_64_bits(seed, platform):
    """Beyond 32 bits, exact where a double would round."""
    rows = table(seed, "int64", "int32")._replace(unit=np.full((4, 3), (1 << 40) + 1))
    cells = some_cells(np.random.default_rng(seed), 1)
    ring = np.zeros((SLOTS, N_TARGET), np.int64)
    expected = dense(ring, rows, 1, cells, 4)
    assert np.abs(expected).max() > 1 << 53
    np.testing.assert_array_equal(deliver(ring, rows, one(1, cells, 4)), expected)


@pytest.mark.parametrize("n", [1, 1024, 10007])
def test_spikes_are_listed_in_order(seed, platform, n):
    """Call after call with the lists of the one before; beyond the end of a list nothing."""
    rng, totals = np.random.default_rng(seed), gpu.no_totals(n)
    counts = jnp.full(3, -1, jnp.int32)  # the last call is beyond their end
    listed = jax.jit(gpu.list_spikes, static_argnums=2)
    for done, rate in enumerate((0.0, 0.01, 1.0, 0.3)):
        spike = rng.random(n) < rate
        before = np.arange(n + 7, dtype=np.int32) - 5
        clock = jnp.array([(1 << 31) + done, done, 0, 9, 7])
        lists = gpu.Lists(jnp.array(before), totals, counts)
        lists, spikes = listed(jnp.array(spike), clock, 4, jnp.array([5]), lists)
        _, totals, counts = lists
        np.testing.assert_array_equal(spikes.of[:, 0], [spike.sum(), 5, 7, (1 << 31) + done + 1])
        expected = before.copy()
        expected[7 : 7 + spike.sum()] = np.flatnonzero(spike)
        np.testing.assert_array_equal(lists.events, expected)
        assert done == 3 or counts[done] == spike.sum()
    assert counts[0] == 0 and counts[2] == n


def test_segments_of_cells():
    bounds = jnp.array([0, 3, 3, 5, 9])
    np.testing.assert_array_equal(gpu.segments(bounds, 11), [0, 0, 0, 2, 2, 3, 3, 3, 3, 3, 3])
    np.testing.assert_array_equal(gpu.segments(bounds[:2], 4), 0)
