"""Normal draws: their distribution, that nothing but their names decides over them, their bits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from distdyn.ops.normal import Stream, normal_pair
from distdyn.ops.update import Operand, Signature
from distdyn.random import threefry
from tests.ops.test_fuse import run_kernel

N = 200_000


@pytest.fixture(autouse=True)
def _wide():
    with jax.enable_x64(True):
        yield


@jax.jit
def draws(step, word1):
    """Of N cells: two draws, the next number's two, and the first of them in float32."""
    stream = Stream(jnp.uint32(3), word1, jnp.arange(N, dtype=jnp.uint32))
    pairs = [normal_pair(stream, step, number, "float64") for number in (0, 1)]
    return jnp.stack([x for pair in pairs for x in pair]), normal_pair(stream, step, 0, "float32")


def test_draws_are_independent_and_standard_normal():
    """Bounds of 4.5 standard errors: 14 of them pass by chance with probability 1 - 1e-4."""
    z, narrow = draws(jnp.int64(7), jnp.uint32(9))
    z = np.asarray(z)
    for k, (moment, variance) in enumerate([(0, 1), (1, 2), (0, 15), (3, 96)], 1):
        assert np.abs((z**k).mean(1) - moment).max() < 4.5 * np.sqrt(variance / N), k
    assert np.abs(np.corrcoef(z) - np.eye(4)).max() < 4.5 / np.sqrt(N)
    assert np.abs(np.corrcoef(z**2) - np.eye(4)).max() < 4.5 / np.sqrt(N)
    assert min(stats.kstest(row, "norm").pvalue for row in z) > 1e-4
    later, _ = draws(jnp.int64(8), jnp.uint32(9))
    assert np.abs(np.corrcoef(z, later)[:4, 4:]).max() < 4.5 / np.sqrt(N)
    assert 4.0 < np.abs(z).max() < 6.77
    assert narrow[0].dtype == jnp.float32
    assert np.abs(np.stack(narrow) - z[:2]).max() < 1e-4  # where u is near 1 it rounds


def test_it_is_box_and_muller_of_the_words():
    """Against numpy's functions; the tolerance is a few roundings of the polynomials."""
    z, _ = draws(jnp.int64(7), jnp.uint32(9))
    ids = jnp.arange(N, dtype=jnp.uint32)
    words = threefry((ids, jnp.uint32(7)), (jnp.uint32(3), jnp.uint32(9)))
    u, a = (np.asarray(word, np.float64) for word in words)
    R, a = np.sqrt(-2 * np.log((u + 0.5) / 2**32)), 2 * np.pi * a / 2**32
    np.testing.assert_allclose(z[:2], [R * np.cos(a), R * np.sin(a)], atol=1e-14)


def test_each_name_makes_other_draws():
    def one(word0=3, word1=9, id=5, step=7, number=0):
        stream = Stream(*(jnp.uint32(x) for x in (word0, word1, id)))
        return float(normal_pair(stream, jnp.int64(step), number, "float64")[0])

    others = [
        one(word0=4),
        one(word1=2**31),
        one(id=6),
        one(step=8),
        one(number=1),
        one(step=7 + 2**32),
    ]
    assert len({one(), one(), *others}) == 7


def test_one_key_is_of_the_cells_by_their_index_and_keys_are_each_of_a_cell():
    key = jax.random.key(4)
    assert Stream.of(key, (3,)).id.tolist() == [0, 1, 2]
    keys = Stream.of(jax.random.split(key, 3), (3,))
    assert keys.id.tolist() == 0 and keys.word0.shape == (3,)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_compiled_draws_are_those_of_the_reference(dtype):
    """Up to rounding, as the compiler of the reference contracts products and sums."""
    n, words = 1003, (jnp.uint32(3), jnp.uint32(9))

    def pair(operands, state, arrivals):
        step, id = operands
        return normal_pair(Stream(*words, id), step, 2, dtype), False

    operands = (Operand("call", "int64"), Operand("cell", "uint32"))
    ids, zeros = np.arange(n, dtype=np.uint32), np.zeros(n, dtype)
    signature = Signature(operands, (dtype, dtype), (), False)
    found, *_ = run_kernel(pair, signature, (0, n), (np.int64(7), ids), [zeros, zeros], ())
    expected, _ = pair((jnp.int64(7), jnp.asarray(ids)), None, None)
    for x, y in zip(found, expected, strict=True):
        np.testing.assert_allclose(x, y, atol=8 * np.finfo(dtype).eps, rtol=0)
