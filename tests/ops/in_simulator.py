"""The kernels for GPUs, thread for thread, in Numba's simulator: `python in_simulator.py`.

Its own process, because the simulator is chosen before Numba is imported.
"""

import os

os.environ["NUMBA_ENABLE_CUDASIM"] = "1"

import jax
import jax.numpy as jnp
import numpy as np
from numba import cuda

from distdyn.ops import gpu, gpu_kernels
from distdyn.ops.rows import Rows
from tests.ops.test_deliver import N_TARGET, SLOTS, dense, some_cells, table

SEED = 20230901


def delivered(ring, rows, entries, lanes, threads=64):
    """The ring after all cells of all entries (part, stamp, cells)."""
    parts, stamps, lists = zip(*entries, strict=True)
    counts = np.array([len(cells) for cells in lists])
    cells = np.concatenate([np.full(3, -7, np.int32), *lists]).astype(np.int32)
    begin = 3 + np.cumsum(counts) - counts
    flat = ring.reshape(-1).copy()
    index = np.zeros((0, 2), np.int64)
    if all(part == parts[0] for part in parts):
        with jax.enable_x64(True):
            n = int(rows.bounds[parts[0], -1])
            index = np.array(gpu.row_index(Rows(*map(jnp.asarray, rows)), parts[0], n))
    kernel = cuda.jit(gpu_kernels.deliver)
    kernel[2, threads](
        np.array([np.cumsum(counts), parts, begin, stamps]), cells, index, *rows, flat, flat,
        N_TARGET, SLOTS, lanes,
    )  # fmt: skip
    return flat.reshape(ring.shape)


def test_delivery():
    rng = np.random.default_rng(SEED)
    for accumulator, weight, offset, lanes in (
        ("int32", "int16", "uint32", 32),
        ("int64", "none", "uint64", 4),
    ):
        rows = table(SEED, accumulator, weight, offset)
        expected = ring = rng.integers(-9, 9, (SLOTS, N_TARGET)).astype(accumulator)
        entries = [(part, 5 * SLOTS + 7 + part, some_cells(rng, part)[::3]) for part in range(4)]
        entries.append((1, 3, np.arange(0)))
        entries.append((0, 3, np.array([0, 39, 40, 103, 104])))  # ends of words and populations
        entries.append((1, 3, np.array([0, 63, 64, 127, 128, 129, 191])))
        for part, stamp, cells in entries:
            expected = dense(expected, rows, part, cells, stamp)
        assert not np.array_equal(expected, ring)
        np.testing.assert_array_equal(delivered(ring, rows, entries, lanes), expected)
        entries = [entry for entry in entries if entry[0] == 1]  # one part: with an index
        expected = ring
        for part, stamp, cells in entries:
            expected = dense(expected, rows, part, cells, stamp)
        np.testing.assert_array_equal(delivered(ring, rows, entries, lanes), expected)


def test_what_is_due():
    kernel = cuda.jit(gpu_kernels.take)
    ring = np.arange(3 * 70, dtype=np.int32) + 1
    for stop, most in ((0, 5), (1, 5), (0, 4)):
        after, row = ring.copy(), np.zeros(70, np.int32)
        kernel[2, 64](np.array([7, 4, stop, most]), after, after, row, 70, 3)
        np.testing.assert_array_equal(row, ring[140:])
        expected = ring.copy()
        expected[140:] *= stop != 0 or most == 4
        np.testing.assert_array_equal(after, expected)


def test_lists():
    gpu_kernels.BLOCK = 16
    kernel = cuda.jit(gpu_kernels.list_spikes)
    rng = np.random.default_rng(SEED)
    totals, counts = np.zeros(-(-300 // 16), np.int64), np.zeros(3, np.int32)
    for done, rate in enumerate((0.0, 0.05, 1.0, 0.3)):
        spike = rng.random(300) < rate
        events, entry = np.arange(700, dtype=np.int32) - 900, np.zeros((4, 1), np.int64)
        expected = events.copy()
        expected[7 : 7 + spike.sum()] = np.flatnonzero(spike)
        clock, part = np.array([(1 << 31) + done, done, 0, 9, 7]), np.array([5])
        lists = events, totals, counts
        kernel[len(totals), 16](spike, clock, part, *lists, *lists, entry, 4)
        assert entry[:, 0].tolist() == [spike.sum(), 5, 7, (1 << 31) + done + 1]
        np.testing.assert_array_equal(events, expected)
        assert done == 3 or counts[done] == spike.sum()


if __name__ == "__main__":
    test_delivery()
    test_what_is_due()
    test_lists()
    print("as expected")
