"""Memories of cells: the compiled kernel and the reference do to a ring what numpy does."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from distdyn.ops import fuse, lanes
from distdyn.ops.memory import ring_read, ring_slot, ring_sum, ring_write
from distdyn.ops.update import Operand, Signature, update_reference
from tests.ops.test_fuse import run_kernel

SLOTS, WEIGHTS = 7, np.linspace(1.0, 2.0, 7)
SIGNATURE = Signature(
    (Operand("call", "int64"), Operand("cell", "int32")), ("float32", "float32"), (), False,
    (0, SLOTS),
)  # fmt: skip


@pytest.fixture(autouse=True)
def _wide():
    with jax.enable_x64(True):
        yield


def step(operands, state, arrivals):
    """Write x, then read it, a value of so many steps ago, and a weighted sum of all."""
    (now, lag), (x, ring) = operands, state
    newest = ring_slot(now, ring)
    ring = ring_write(ring, newest, x)
    slot = newest - lag
    slot = jnp.where(slot < 0, slot + SLOTS, slot)
    read = ring_read(ring, slot) + 10 * ring_read(ring, newest)
    return [read + 100 * ring_sum(ring, WEIGHTS, newest), ring], False


@pytest.mark.parametrize("n", [1, 7, 16, 1000])
@pytest.mark.parametrize("now", [0, 6, 2**33 + 1])
def test_kernel_and_reference(n, now, seed):
    rng = np.random.default_rng(seed)
    x, ring = rng.normal(size=n).astype("f4"), rng.normal(size=(n, SLOTS)).astype("f4")
    lag = rng.integers(0, SLOTS, n).astype("i4")
    after = ring.copy()
    after[:, now % SLOTS] = x
    past = after[:, (now - np.arange(SLOTS)) % SLOTS].astype(float)
    expected = past[np.arange(n), lag] + 10 * x + 100 * past @ WEIGHTS

    operands = [np.int64(now), lag]
    (value, kept), *_ = run_kernel(step, SIGNATURE, (0, n), operands, [x, ring], ())
    np.testing.assert_array_equal(kept, after)
    np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-3)
    rest = jnp.array([0, n]), jnp.int64(now), jnp.int64(0), [jnp.asarray(o) for o in operands]
    state = [jnp.asarray(x), jnp.asarray(ring)]
    (value, kept), *_ = update_reference(step, SIGNATURE, n, *rest, state, [], None)
    np.testing.assert_array_equal(kept, after)
    np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-3)


def test_kernel_sums_alike_in_any_lane(seed):
    """A cell in the vector loop and one in the remainder: the same bits."""
    n = 37
    ring = np.tile(np.random.default_rng(seed).normal(size=SLOTS).astype("f4"), (n, 1))
    operands = [np.int64(3), np.full(n, 2, "i4")]
    (value, _), *_ = run_kernel(step, SIGNATURE, (0, n), operands, [np.ones(n, "f4"), ring], ())
    assert len(set(value.tolist())) == 1


def test_what_the_kernel_cannot_do_is_said():
    """A ring that is read after it was written over, and one that is used as an array."""

    def stale(operands, state, arrivals):
        x, ring = state
        new = ring_write(ring, jnp.int32(0), x)
        return [ring_read(ring, jnp.int32(0)), new], False

    def whole(operands, state, arrivals):
        x, ring = state
        return [x, ring * 2], False

    for function in (stale, whole):
        with pytest.raises(lanes.Unsupported):
            fuse.compile_cell(function, SIGNATURE._replace(operands=()))


def test_reads_of_a_ring_are_elementwise_with_derivatives():
    ring = jnp.arange(12.0).reshape(3, 4)
    slot = jnp.array([0, 2, 3], jnp.int32)
    assert ring_read(ring, slot).tolist() == [0.0, 6.0, 11.0]
    pairs = jnp.array([[0, 1, 2], [3, 3, 3]], jnp.int32)  # of every pair: who reads, whose ring
    assert ring_read(ring, pairs).tolist() == [[0.0, 5.0, 10.0], [3.0, 7.0, 11.0]]
    gradient = jax.grad(lambda r: ring_sum(r, np.array([1.0, 2.0, 3.0, 4.0]), jnp.int32(1)).sum())
    assert gradient(ring)[0].tolist() == [2.0, 1.0, 4.0, 3.0]
