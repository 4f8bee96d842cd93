"""More than 2^31 synapses: indices beyond 32 bits, in memory that is never touched."""

import mmap

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import distdyn as dd
from distdyn.ops.matrix.plasticity import Incoming, rows_on_post

BEYOND = 2**31 + 5


def untouched(n, dtype):
    """Zeros that take no memory until they are written, as JAX's own array, without a copy."""
    dtype = np.dtype(dtype)
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | getattr(mmap, "MAP_NORESERVE", 0)
    pages = mmap.mmap(-1, n * dtype.itemsize, flags=flags)
    host = np.frombuffer(pages, dtype)
    return host, jax.dlpack.from_dlpack(host, copy=False)


@pytest.fixture
def rows():
    """Row 0 has 2^31 + 5 synapses, row 1 four: the ones at which it is looked."""
    host, indices = untouched(BEYOND + 4, np.int32)
    host[BEYOND:] = [7, 2, 7, 5]
    with jax.enable_x64(True):
        indptr = jnp.asarray([0, BEYOND, BEYOND + 4], jnp.int64)
    small = dd.CSR((0.5, [0], [0, 1, 1]), shape=(2, 9))
    yield eqx.tree_at(lambda A: (A.indices, A.indptr), small, (indices, indptr))


def test_rows_behind_2_31_synapses(rows):
    spikes = np.array([False, True])
    expected = np.bincount([7, 2, 7, 5], minlength=9) * 0.5
    for product in (lambda x, A: x @ A, jax.jit(lambda x, A: x @ A)):
        assert np.array_equal(product(spikes, rows), expected)
    z = jnp.arange(9.0)
    surrogate = dd.surrogate.PiecewiseQuadratic()

    def loss(v, weight):
        return surrogate.product(v, eqx.tree_at(lambda A: A.data, rows, weight)) @ z

    # Row 0 is outside of the support and silent: nothing of it is read.
    by_v, by_weight = jax.grad(loss, (0, 1))(jnp.array([-9.0, 0.0]), jnp.array([0.5]))
    assert by_v.tolist() == [0.0, 0.5 * (7 + 2 + 7 + 5)]
    assert by_weight.tolist() == [7 + 2 + 7 + 5]


def test_equal_rows_behind_2_31_synapses():
    width = 2**30 + 1
    host, indices = untouched(3 * width, np.int32)
    host[2 * width :][[0, -1]] = [3, 1]
    small = dd.FixedNumber((np.float32(1.0), np.zeros((3, 1), int)), shape=(3, 4))
    A = eqx.tree_at(lambda A: A.indices, small, indices)
    # `width` is static: half of what the type counts, and the last row lies beyond 2^31.
    object.__setattr__(A, "width", width)
    data, structure, attributes = A.parts()
    mask, z = jnp.array([[0.0, 0.0, 1.0]]), jnp.array([[1.0, 2.0**30, 0.0, 2.0**31]])
    y = A.form.mv(mask, z, data, *structure, **attributes)
    assert attributes["width"] == width
    # Sums of numbers that float32 holds: 2^30 - 1 ones stop at 2^24 when added one by one.
    assert y[0, 2] >= 2.0**31 + 2.0**30


def test_weights_behind_2_31_change_at_spikes(rows):
    host, data = untouched(BEYOND + 4, np.float32)
    host[BEYOND:] = [1.0, 2.0, 3.0, 4.0]
    spikes, trace = jnp.array([0.0, 1.0]), jnp.arange(9.0, dtype=jnp.float32)
    low, high = jnp.float32(-99.0), jnp.float32(99.0)
    from distdyn.ops.matrix.plasticity_kernels import rows_on_post as kernel
    from distdyn.ops.matrix.plasticity_kernels import rows_on_pre

    rows_on_pre(
        *map(np.asarray, (data, spikes, trace, low, high, rows.indices, rows.indptr)), host, -1
    )
    assert host[BEYOND:].tolist() == [8.0, 4.0, 10.0, 9.0] and not host[:3].any()
    incoming = Incoming(np.array([0, 0, 1]), np.array([1]), np.array([BEYOND + 1]))
    x, z = np.array([0.0, 5.0], np.float32), np.array([0.0, 1.0], np.float32)
    kernel(np.asarray(data), x, z, np.asarray(low), np.asarray(high), *incoming, host)
    assert host[BEYOND:].tolist() == [8.0, 9.0, 10.0, 9.0]
    given = host, x, z, low, high, *incoming
    with jax.enable_x64(True):  # as `A.incoming()` makes them
        shapes = [jax.ShapeDtypeStruct(np.shape(v), v.dtype) for v in given]
        assert jax.eval_shape(rows_on_post, *shapes).shape == (BEYOND + 4,)
