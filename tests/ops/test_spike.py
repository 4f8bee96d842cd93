"""What spikes bring through a matrix, and what of the matrix the derivative reads."""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import distdyn as dd
from distdyn.ops.surrogate import PiecewiseQuadratic, Sigmoid


@pytest.fixture
def through(seed):
    """Potentials about the threshold, a sparse matrix, and the array that it is."""
    rng = np.random.default_rng(seed)
    v = np.concatenate([rng.normal(size=(2, 30)), np.full((2, 10), -50.0)], axis=1)
    columns = rng.integers(0, 25, 120)
    with jax.enable_x64(True):
        A = dd.CSR((rng.normal(size=120), columns, 3 * np.arange(41)), shape=(40, 25))
        yield jnp.asarray(v), A


@pytest.mark.parametrize("surrogate", [PiecewiseQuadratic(), Sigmoid()])
def test_products_have_the_derivatives_of_spikes_at_a_matrix(surrogate, through):
    v, A = through

    def loss(v, data, product):
        return jnp.sum(jnp.sin(product(v, eqx.tree_at(lambda A: A.data, A, data))))

    def plain(v, A):
        return surrogate(v) @ A

    np.testing.assert_array_equal(surrogate.product(v, A), plain(v, A))
    np.testing.assert_array_equal(surrogate.product(v[0], A.T.T), plain(v[0], A))
    for derivative in (jax.grad, jax.hessian):
        for at in (v, v[0]):
            found, expected = (
                jax.jit(derivative(functools.partial(loss, product=p), (0, 1)))(at, A.data)
                for p in (surrogate.product, plain)
            )
            jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-12), found, expected)
    mapped = jax.vmap(jax.grad(lambda v: loss(v, A.data, surrogate.product)))(v)
    np.testing.assert_allclose(mapped, jax.grad(lambda v: loss(v, A.data, plain))(v), atol=1e-12)


def test_rows_outside_the_support_are_not_read(through):
    """They hold NaN: who reads them has it in his sum."""
    v, A = through
    surrogate = PiecewiseQuadratic()
    outside = (np.abs(v) > 1).all(axis=0) & (v < 0).all(axis=0)
    assert outside.sum() == 10
    poisoned = eqx.tree_at(lambda A: A.data, A, jnp.where(outside[A.rows()], jnp.nan, A.data))

    def slope(A, product):
        return jax.grad(lambda v: jnp.sum(jnp.sin(product(v, A))))(v)

    np.testing.assert_array_equal(slope(poisoned, surrogate.product), slope(A, surrogate.product))
    assert np.isnan(slope(poisoned, lambda v, A: surrogate(v) @ A)).any()


def test_in_a_recurrent_loop(through):
    """The weights are carried by the loop's body, spikes by its state."""
    v, A = through
    surrogate, square = PiecewiseQuadratic(), A.todense()[:, :20][:20]
    A = dd.CSR(dd.COO((square.reshape(-1), np.divmod(np.arange(400), 20)), shape=(20, 20)))

    def loss(data, v, product):
        matrix = eqx.tree_at(lambda A: A.data, A, data)
        step = jax.checkpoint(lambda v, _: (0.5 * v + product(v, matrix), None))
        return jnp.sum(jax.lax.scan(step, v, None, length=5)[0] ** 2)

    found, expected = (
        jax.jit(jax.grad(functools.partial(loss, product=p), (0, 1)))(A.data, v[0, :20])
        for p in (surrogate.product, lambda v, A: surrogate(v) @ A)
    )
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-12), found, expected)
