"""Matrices that are drawn and never stored: what they are drawn from, and that it is one matrix."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import distdyn as dd
from distdyn.errors import ParameterError
from distdyn.network.jit import connectivity_key
from distdyn.ops.matrix import jit as forms

M, N = 300, 5000
P, K = 0.02, 60


@pytest.fixture(autouse=True)
def wide():
    with jax.enable_x64(True):
        yield


def bernoulli(weight=1.0, shape=(M, N), seed=3, **how):
    return dd.JITBernoulli(P, weight, shape, seed, **how)


def fixed(weight=1.0, shape=(M, N), seed=3, **how):
    return dd.JITFixedNumber(K, weight, shape, seed, **how)


def repeated(weight=1.0, shape=(M, N), seed=3, **how):
    """Of several blocks and of projections alone: a column may stand twice in a row."""
    made = fixed(weight, shape, seed, **how)
    block_start, key = np.append(np.arange(0, N, 128), N), connectivity_key(seed, "", "")
    return forms.fixed_number(
        K, made.data, multapses=True, law=made.law, shape=shape, key=key, block_start=block_start
    )


KINDS = {"bernoulli": bernoulli, "fixed": fixed, "repeated": repeated}


@pytest.mark.parametrize("kind", KINDS)
def test_parts_are_slices_of_the_whole(kind):
    A = KINDS[kind](dd.Normal(1.0, 2.0))
    whole = np.asarray(A.todense())
    for rows, columns in (((10, 60), None), (None, (100, 4200)), ((0, 7), (4999, 5000))):
        part = A.part(rows=rows, columns=columns)
        (a, b), (c, d) = rows or (0, M), columns or (0, N)
        expected = whole[a:b, c:d]
        assert part.shape == expected.shape
        np.testing.assert_array_equal(part.todense(), expected)
        np.testing.assert_allclose(part.tocsr().todense(), expected, rtol=1e-12)
        z = np.random.default_rng(0).normal(size=d - c)
        np.testing.assert_allclose(part @ z, expected @ z, atol=1e-12)
    twice = A.part(rows=(50, 250), columns=(300, 900)).part(rows=(5, 9), columns=(10, 20))
    np.testing.assert_array_equal(twice.todense(), whole[55:59, 310:320])
    assert A.part(rows=(4, 4)).shape == (0, N) and A.part(columns=(9, 9)).todense().shape == (M, 0)


def test_parts_of_one_size_are_one_program():
    product = jax.jit(lambda part, x: x @ part)
    A, x = bernoulli(), jnp.ones(M)
    found = [product(A.part(columns=(a, a + 1000)), x) for a in range(0, N, 1000)]
    np.testing.assert_array_equal(np.concatenate(found), x @ A)
    assert product._cache_size() == 1


@pytest.mark.parametrize("kind", KINDS)
def test_stored_it_is_the_same(kind):
    for weight in (0.5, dd.Uniform(-1.0, 3.0), dd.Normal(1.0, 2.0)):
        A = KINDS[kind](weight)
        stored = A.tocsr()
        np.testing.assert_allclose(stored.todense(), A.todense(), rtol=1e-12)
        x = np.random.default_rng(0).random(M) < 0.1
        np.testing.assert_allclose(x @ stored, x @ A, atol=1e-12)
    slope = jax.grad(lambda d: jnp.sum(with_data(A, d).tocsr().data ** 2))(A.data)
    data = np.asarray(A.data)
    xi = (np.asarray(stored.data) - data[0]) / data[1]
    expected = [2 * np.sum(stored.data), 2 * np.sum(np.asarray(stored.data) * xi)]
    np.testing.assert_allclose(slope, expected, rtol=1e-9)


def with_data(A, data):
    return forms.JITMatrix(A.shape, data, A.draws, A.kind, A.law)


def test_degrees_of_bernoulli_rows_and_columns_are_binomial():
    is_here = np.asarray(bernoulli(shape=(2000, 2000)).todense()) != 0
    for degree in (is_here.sum(axis=0), is_here.sum(axis=1)):
        cuts = np.unique(stats.binom.ppf(np.linspace(0, 1, 16)[1:-1], 2000, P))
        expected = np.diff([0, *stats.binom.cdf(cuts, 2000, P), 1]) * 2000
        observed = np.bincount(np.searchsorted(cuts, degree), minlength=len(expected))
        assert stats.chisquare(observed, expected).pvalue > 1e-3
    halves = is_here.reshape(2, 1000, 2, 1000).sum(axis=(1, 3)).ravel()
    assert stats.chisquare(halves).pvalue > 1e-3


@pytest.mark.parametrize("p", [0.0, 0.3, 0.7, 1.0])
def test_any_probability(p):
    A = dd.JITBernoulli(p, 1.0, (200, 300), seed=5)
    found = np.asarray(A.todense())
    assert set(np.unique(found)) <= {0.0, 1.0}
    sd = np.sqrt(found.size * p * (1 - p))
    assert abs(found.sum() - found.size * p) <= 4 * sd


def test_rows_of_a_fixed_number_have_it_and_columns_are_alike():
    is_here = np.asarray(fixed().todense()) != 0
    assert (is_here.sum(axis=1) == K).all()
    in_degree = is_here.reshape(M, 50, N // 50).sum(axis=(0, 2))
    assert stats.chisquare(in_degree).pvalue > 1e-3
    several = np.asarray(repeated().todense())
    assert (several.sum(axis=1) == K).all() and several.max() > 1


@pytest.mark.parametrize("n", [70_000, 200_001])
def test_rows_that_are_longer_than_a_block(n):
    A = dd.JITFixedNumber(1000, 1.0, (3, n), seed=1)
    B = dd.JITBernoulli(0.001, 1.0, (3, n), seed=1)
    for matrix in (A, B):
        np.testing.assert_array_equal(matrix.todense(), matrix.tocsr().todense())
    assert (np.asarray(A.todense()).sum(axis=1) == 1000).all()


def test_all_columns_are_a_fixed_number_too():
    np.testing.assert_array_equal(dd.JITFixedNumber(7, 2.0, (4, 7)).todense(), np.full((4, 7), 2.0))
    assert not np.asarray(dd.JITFixedNumber(0, 2.0, (4, 7)).todense()).any()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "weight, law",
    [(dd.Uniform(-1.0, 3.0), stats.uniform(-1, 4)), (dd.Normal(1.0, 2.0), stats.norm(1, 2))],
    ids=["uniform", "normal"],
)
def test_weights_follow_their_law(kind, weight, law):
    data = np.asarray(KINDS[kind](weight).tocsr().data)
    assert stats.kstest(data, law.cdf).pvalue > 1e-3
    in_pairs = np.corrcoef(data[:-1], data[1:])[0, 1]
    assert abs(in_pairs) < 4 / np.sqrt(len(data))


@pytest.mark.parametrize("kind", KINDS)
def test_both_precisions_are_one_matrix(kind):
    for weight in (0.5, dd.Uniform(-1.0, 3.0), dd.Normal(1.0, 2.0)):
        double = KINDS[kind](weight, dtype=jnp.float64).todense()
        single = KINDS[kind](weight, dtype=jnp.float32).todense()
        assert (double.dtype, single.dtype) == (np.float64, np.float32)
        np.testing.assert_array_equal(np.asarray(double) != 0, np.asarray(single) != 0)
        np.testing.assert_allclose(single, double, rtol=0, atol=2e-6)


def test_one_trial_is_as_many(seed):
    A, rng = bernoulli(dd.Normal(0.0, 1.0), (5000, 40)), np.random.default_rng(seed)
    X = (rng.random((20, 5000)) < 0.01) * rng.normal(size=(20, 5000))
    np.testing.assert_allclose(X @ A, np.stack([x @ A for x in X]), atol=1e-12)


def test_a_seed_is_a_matrix_and_another_seed_another():
    same = [np.asarray(bernoulli(seed=s).todense()) for s in (0, 0, 1, 2**64 - 1)]
    np.testing.assert_array_equal(same[0], same[1])
    for other in same[2:]:  # as two that do not know of each other
        assert abs((same[0] * other).sum() - M * N * P**2) < 5 * np.sqrt(M * N) * P


def test_another_key_is_another_matrix_in_the_same_program():
    product = jax.jit(lambda A, x: x @ A)
    x = jnp.ones(M)
    found = [product(bernoulli(seed=s), x) for s in (1, 2)]
    assert product._cache_size() == 1 and not np.array_equal(*found)


def test_a_weight_that_is_traced():
    x, z = jnp.ones(M), jnp.linspace(0.0, 1.0, N)
    total = float((x @ bernoulli()) @ z)
    slope = jax.jit(jax.grad(lambda w: (x @ bernoulli(w)) @ z))(0.3)
    np.testing.assert_allclose(slope, total, rtol=1e-12)
    A = bernoulli(dd.Normal(1.0, 2.0))
    slope = jax.grad(lambda d: (x @ with_data(A, d)) @ z)(A.data)
    xi = float((x @ bernoulli(dd.Normal(0.0, 1.0))) @ z)
    np.testing.assert_allclose(slope, [total, xi], rtol=1e-10)


def test_without_64_bits_too():
    with jax.enable_x64(False):
        A = bernoulli(dd.Normal(1.0, 2.0))
        assert A.dtype == np.float32
        found = jax.jit(lambda A, x: x @ A)(A, np.ones(M, bool))
        np.testing.assert_allclose(found, np.asarray(A.tocsr().todense()).sum(axis=0), atol=1e-4)


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: dd.JITBernoulli(1.5, 1.0, (3, 4)), "p = 1.5.*probability"),
        (lambda: dd.JITBernoulli(np.nan, 1.0, (3, 4)), "p = nan"),
        (lambda: dd.JITBernoulli(True, 1.0, (3, 4)), "p = True"),
        (lambda: dd.JITFixedNumber(5, 1.0, (3, 4)), "k = 5.*0 <= k <= 4"),
        (lambda: dd.JITFixedNumber(2.5, 1.0, (3, 4)), "k = 2.5"),
        (lambda: dd.JITBernoulli(0.1, dd.LogNormal(0.0, 1.0), (3, 4)), "LogNormal.*not linear"),
        (lambda: dd.JITBernoulli(0.1, dd.Normal(0.0, 1.0, low=0.0), (3, 4)), "not linear"),
        (lambda: dd.JITBernoulli(0.1, np.ones(3), (3, 4)), "weights have shape"),
        (lambda: dd.JITBernoulli(0.1, 1.0, (3, -4)), "shape"),
        (lambda: dd.JITBernoulli(0.1, 1.0, (3, 4), seed=-1), "seed = -1"),
        (lambda: dd.JITBernoulli(0.1, 1.0, (3, 4)).part(rows=(0, 5)), r"rows.*0 <= a <= b <= 3"),
        (lambda: dd.JITBernoulli(0.1, 1.0, (3, 4)).part(columns=(1.5, 2)), "two integers"),
        (lambda: jax.jit(lambda A: A.tocsr())(bernoulli()), "inside jit"),
    ],
)
def test_what_is_not_possible_is_said(make, words):
    with pytest.raises(ParameterError, match=words):
        make()
