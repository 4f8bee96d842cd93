"""What is given to matrices: lists of spikes, weights, shapes; and empty ones under vmap."""

import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse

import distdyn as dd
from distdyn.errors import ParameterError

DENSE = np.arange(12, dtype=np.float32).reshape(4, 3)
A = scipy.sparse.csr_array(DENSE)


def test_a_list_of_spikes_goes_through_jit_and_may_be_empty():
    product = jax.jit(lambda events: events @ dd.CSR(A))
    assert np.array_equal(product(dd.Events(jnp.array([1, 2, 1]), 4)), DENSE[[1, 2, 1]].sum(axis=0))
    assert not np.any(dd.Events([], 4) @ dd.CSR(A))
    assert np.array_equal(dd.Events(np.array([1, -1], np.int8), 4) @ dd.CSR(A), DENSE[1])
    wide = dd.Constant(1.0, shape=(1000, 2))
    assert np.array_equal(dd.Events(np.array([1, -1], np.int8), 1000) @ wide, [1.0, 1.0])


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (4, 3)])
@pytest.mark.parametrize("kind", [dd.CSR, dd.COO, lambda A: dd.Dense(A.toarray())])
def test_nothing_is_mapped_too(kind, shape):
    matrix = kind(scipy.sparse.csr_array(np.ones(shape, np.float32)))
    m, n = shape
    for k in (0, 2):
        assert jax.vmap(lambda x: x @ matrix)(jnp.ones((k, m))).shape == (k, n)
        assert jax.vmap(lambda z: matrix @ z)(jnp.ones((k, n))).shape == (k, m)


def test_a_drawn_matrix_that_was_cut_to_32_bits_is_refused():
    matrix = dd.JITBernoulli(0.3, 1.0, shape=(20, 30), seed=3)
    with pytest.raises(ParameterError, match=r"cut to 32 bits.*from its seed"):
        np.ones(20, np.float32) @ pickle.loads(pickle.dumps(matrix))
    with jax.enable_x64(True):
        again = pickle.loads(pickle.dumps(matrix))
    assert np.array_equal(again.todense(), matrix.todense())


@pytest.mark.parametrize(
    "deed, message",
    [
        (lambda: dd.Events(np.array([True, False]), 2), "type bool. Give the numbers"),
        (lambda: dd.Events(np.zeros((2, 2), int), 2), r"shape \[2, 2\]"),
        (lambda: dd.CSR(A, shape=(7, 9)), r"shape = \(7, 9\), but the matrix .* has \(4, 3\)"),
        (lambda: dd.COO(A, shape=(7, 9)), r"shape = \(7, 9\)"),
        (lambda: dd.Dense(jnp.ones((2, 2), jnp.float16)), "float16. Give float32 or float64"),
        (
            lambda: dd.CSR(A).split(jax.make_mesh((2,), ("n",)), "n"),
            "Make it with axis_types=",
        ),
        (
            lambda: dd.CSR(A).on_post(
                np.ones(4, np.float32),
                np.ones(3, bool),
                dd.CSR(scipy.sparse.csr_array(np.ones((400, 3), np.float32))).incoming(),
            ),
            "is not that of this matrix",
        ),
    ],
)
def test_what_is_refused(deed, message):
    with pytest.raises(ParameterError, match=message):
        deed()
