"""What every matrix of synapses promises: it acts, and is differentiated, as its array.

A new matrix is entered in the catalogue (tests/ops/matrix/matrices.py); the contracts come with it.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec as P
from jax.test_util import check_grads

import distdyn as dd
from tests.ops.matrix.matrices import (
    CATALOGUE,
    REPEATED,
    every_kind,
    every_matrix,
    make,
    vector,
)

TOLERANCE = {"float32": 2e-5, "float64": 1e-12}  # of sums of some tens of products
SHAPES = [(200, 30), (1, 30), (40, 1), (0, 5), (5, 0)]
CASES = [(shape, "float64") for shape in SHAPES] + [((40, 30), "float32")]


@pytest.fixture(autouse=True)
def wide():
    with jax.enable_x64(True):
        yield


def close(found, expected, dtype="float64"):
    found = np.asarray(found)
    assert found.dtype == dtype and found.shape == np.shape(expected)
    np.testing.assert_allclose(found, expected, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])


@pytest.mark.parametrize(
    "name, shape, dtype",
    [
        pytest.param(name, *case, marks=[pytest.mark.slow] if is_slow else [])
        for name in CATALOGUE
        for case in CASES
        # What is thin is thin for every form; the first case holds the rest of what repeats.
        for is_slow in [(name in REPEATED and case != CASES[0]) or (name != "CSR" and 1 in case[0])]
    ],
    ids=str,
)
def test_products_are_those_of_the_array(name, shape, dtype, seed):
    matrix, dense = make(name, shape, dtype, seed)
    rng = np.random.default_rng(seed)
    m, n = matrix.shape
    assert matrix.shape == dense.shape and matrix.dtype == dtype
    close(matrix.todense(), dense, dtype)
    close(matrix.T.todense(), dense.T, dtype)
    for share in (0.0, 0.01, 0.3, 1.0):
        for size, product, array in (
            (m, lambda x: x @ matrix, dense),
            (n, lambda z: matrix @ z, dense.T),
        ):
            spikes, numbers = vector(rng, size, share, dtype)
            expected = np.asarray(spikes, dtype) @ array
            close(product(spikes), expected, dtype)  # NumPy's array on the left, too
            close(product(jnp.asarray(spikes)), expected, dtype)
            close(product(numbers), expected, dtype)
            index = np.full(size + 2, -1)  # of one length: a program is compiled for each
            index[0] = size
            index[2 : 2 + spikes.sum()] = rng.permutation(np.flatnonzero(spikes))
            close(product(dd.Events(index, size)), expected, dtype)
            real = (numbers * rng.normal(size=size)).astype(dtype)
            close(product(real), np.asarray(real) @ array, dtype)
    X, Z = rng.normal(size=(3, m)).astype(dtype), rng.normal(size=(n, 3)).astype(dtype)
    close(X @ matrix, X @ dense, dtype)
    close(matrix @ Z, dense @ Z, dtype)
    close(X @ matrix.T.T, X @ dense, dtype)
    close(Z.T @ matrix.T, Z.T @ dense.T, dtype)


def with_mask(name, seed, dtype="float64"):
    matrix, dense = make(name, (40, 30), dtype, seed)
    rng = np.random.default_rng(seed)
    (m, n), draw = matrix.shape, lambda *shape: rng.normal(size=shape).astype(dtype)
    mask = draw(2, m) * (rng.random((2, m)) < 0.4)
    return matrix, dense, mask, draw(2, m), draw(2, n)


@every_matrix
def test_masked_products(name, seed):
    matrix, dense, mask, x, z = with_mask(name, seed)
    close(matrix.vm(mask, x), (mask * x) @ dense)
    close(matrix.mv(mask, z), mask * (z @ dense.T))


@every_matrix
def test_the_kernel_is_the_reference(name, seed):
    matrix, _, mask, x, z = with_mask(name, seed)
    if not isinstance(matrix, dd.ops.matrix.matrix.AbstractForm):
        pytest.skip("has no kernels: its products are sums of JAX's")
    d, structure, attributes = matrix.parts()
    for operator, given in (
        (matrix.form.scatter, (jnp.asarray(x), d)),
        (matrix.form.scatter, (jnp.asarray(mask != 0), d)),
        (matrix.form.mv, (jnp.asarray(mask), jnp.asarray(z), d)),
        (matrix.form.outer, (jnp.asarray(mask), jnp.asarray(z))),
    ):
        expected = operator.reference(*given, *structure, **attributes)
        close(operator(*given, *structure, **attributes), expected)


@every_matrix
def test_derivatives_are_those_of_finite_differences(name, seed):
    matrix, _, mask, x, z = with_mask(name, seed)
    trained, fixed = eqx.partition(matrix, eqx.is_inexact_array)

    def right(trained, mask, x):
        return jnp.sin(eqx.combine(trained, fixed).vm(mask, x))

    def left(trained, mask, z):
        return jnp.sin(eqx.combine(trained, fixed).mv(mask, z))

    # differences of a sine over 1e-6 have an error of 1e-6 relative, and of second order more
    check_grads(right, (trained, mask, x), order=2, modes=("fwd", "rev"), rtol=2e-4, atol=2e-4)
    check_grads(left, (trained, mask, z), order=2, modes=("fwd", "rev"), rtol=2e-4, atol=2e-4)


@every_kind
def test_gradient_and_hessian_are_those_of_the_array(name, seed):
    matrix, dense, _, x, z = with_mask(name, seed)
    for given, product, array in (
        (x[0], lambda v: v @ matrix, dense),
        (z[0], lambda v: matrix @ v, dense.T),
    ):
        for derivative in (jax.grad, jax.hessian):
            found = jax.jit(derivative(lambda v, p=product: jnp.sum(jnp.sin(p(v)))))(given)
            close(found, jax.jit(derivative(lambda v, a=array: jnp.sum(jnp.sin(v @ a))))(given))


@every_matrix
def test_the_transpose_is_the_adjoint(name, seed):
    matrix, _, _, x, z = with_mask(name, seed)
    close(jnp.sum((x @ matrix) * z), float(jnp.sum(x * (matrix @ z.T).T)))
    (back,) = jax.linear_transpose(lambda x: x @ matrix, jnp.asarray(x))(jnp.asarray(z))
    close(back, (matrix @ z.T).T)


@every_kind
def test_mapped_is_stacked_and_compiled_is_eager(name, seed):
    matrix, dense, _, x, z = with_mask(name, seed)
    x, z = jnp.asarray(x), jnp.asarray(z)
    close(jax.vmap(lambda x: x @ matrix)(x), np.stack([np.asarray(v @ matrix) for v in x]))
    close(jax.vmap(lambda z: matrix @ z, out_axes=1)(z), np.asarray(matrix @ z.T))
    assert np.array_equal(jax.jit(lambda a, x: x @ a)(matrix, x), x @ matrix)
    assert np.array_equal(jax.jit(lambda a, z: a @ z)(matrix, z.T), matrix @ z.T)
    per_sample = jax.vmap(eqx.filter_grad(lambda a, x: jnp.sum(x @ a)), in_axes=(None, 0))(
        matrix, x
    )
    both = eqx.filter_grad(lambda a: jnp.sum(x @ a))(matrix)
    jax.tree.map(lambda one, all: close(one.sum(axis=0), all), per_sample, both)
    several = jax.tree.map(
        lambda leaf: jnp.stack([leaf, 2 * leaf]), eqx.filter(matrix, eqx.is_inexact_array)
    )
    others = eqx.filter(matrix, eqx.is_inexact_array, inverse=True)
    found = jax.vmap(lambda a: x[0] @ eqx.combine(a, others))(several)
    close(found, np.stack([x[0] @ dense, 2 * (x[0] @ dense)]))


@every_kind
def test_in_a_loop_and_recomputed(name, seed):
    matrix, dense = make(name, (30, 30), "float64", seed)

    def loss(x, product):
        step = jax.checkpoint(lambda x, _: (jnp.tanh(product(x)), None))
        return jnp.sum(jax.lax.scan(step, x, None, length=4)[0])

    x = jnp.asarray(np.random.default_rng(seed).normal(size=30))
    found = jax.grad(lambda x: loss(x, lambda x: x @ matrix))(x)
    close(found, jax.grad(lambda x: loss(x, lambda x: x @ dense))(x))


@pytest.mark.parametrize("devices", [1, 2, 4])
@every_kind
def test_trials_over_devices(name, devices, seed):
    """Derivatives inside and outside of shard_map, in what is split and in what is not."""
    matrix, dense, *_ = with_mask(name, seed)
    mesh = jax.make_mesh((devices,), ("trial",), axis_types=(jax.sharding.AxisType.Auto,))
    X = jnp.asarray(np.random.default_rng(seed).normal(size=(8, matrix.shape[0])))
    trained, fixed = eqx.partition(matrix, eqx.is_inexact_array)

    def split(function, out):
        specs = (P(), P(), P("trial"))
        mapped = jax.shard_map(function, mesh=mesh, in_specs=specs, out_specs=out, check_vma=True)
        return jax.jit(mapped)

    def loss(trained, fixed, X):
        return jax.lax.psum(jnp.sum(jnp.sin(X @ eqx.combine(trained, fixed))), "trial")

    arrays, static = eqx.partition(fixed, eqx.is_array)
    with_static = lambda f: lambda t, a, X: f(t, eqx.combine(a, static), X)  # noqa: E731
    close(
        split(with_static(lambda t, f, X: X @ eqx.combine(t, f)), P("trial"))(trained, arrays, X),
        X @ dense,
    )
    inside = split(with_static(jax.grad(loss, (0, 2))), (P(), P("trial")))(trained, arrays, X)
    outside = jax.grad(split(with_static(loss), P()), (0, 2))(trained, arrays, X)
    one = jax.grad(lambda t, X: jnp.sum(jnp.sin(X @ eqx.combine(t, fixed))), (0, 1))(trained, X)
    for found in (inside, outside):
        jax.tree.map(close, found, one)


@every_matrix
def test_a_vector_that_does_not_fit_is_refused(name, seed):
    matrix, _ = make(name, (40, 30), "float32", seed)
    m, n = matrix.shape
    for product, given in (
        (lambda x: x @ matrix, np.zeros(m + 1, np.float32)),
        (lambda z: matrix @ z, np.zeros(n + 1, np.float32)),
        (lambda x: x @ matrix, np.zeros((2, 2, m), np.float32)),
        (lambda x: x @ matrix, np.zeros(m, np.float64)),
        (lambda x: x @ matrix, np.zeros(m, np.complex64)),
    ):
        with pytest.raises(dd.errors.ParameterError, match=r"Give|Convert"):
            product(given)
