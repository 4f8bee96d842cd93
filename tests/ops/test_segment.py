"""Edges as lists: against dense matrices, finite differences, and what an edge list may hold."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P
from jax.test_util import check_grads

from distdyn.errors import ParameterError
from distdyn.ops.segment import pre_to_post, pre_to_synapse, synapse_to_post

N_PRE, N_POST, N_EDGES = 7, 9, 40
REDUCTIONS = "sum", "mean", "max", "min"
every_how = pytest.mark.parametrize("how", [*REDUCTIONS, "softmax"])
# Sums of up to a dozen numbers of size 1 in another order.
TOLERANCE = {np.float32: 2e-6, np.float64: 1e-14}


@pytest.fixture(autouse=True)
def strict():
    with (
        jax.enable_x64(True),
        jax.numpy_dtype_promotion("strict"),
        jax.numpy_rank_promotion("raise"),
    ):
        yield


@pytest.fixture
def edges(seed):
    """Unsorted, with repeated pairs; post neurons 0, 3 and the last have no synapse."""
    rng = np.random.default_rng(seed)
    pre = rng.integers(0, N_PRE, N_EDGES)
    post = rng.choice([1, 2, 4, 5, 6, 7], N_EDGES)
    return pre, post


def values(seed, *shape, dtype=np.float64):
    return np.random.default_rng(seed + 1).normal(size=shape).astype(dtype)


def dense(y, post, n_post, how):
    """The definition, one post neuron and one column at a time."""
    if y.ndim == 2:
        return np.stack([dense(column, post, n_post, how) for column in y.T], axis=1)
    z = np.zeros(len(y) if how == "softmax" else n_post)
    for j in range(n_post):
        own = y[post == j].astype(np.float64)
        if own.size and how == "softmax":
            z[post == j] = np.exp(own) / np.exp(own).sum()
        elif own.size:
            z[j] = getattr(np, how)(own)
    return z


@every_how
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("row", [(), (3,)])
def test_reductions_are_those_of_the_definition(seed, edges, how, dtype, row):
    y = values(seed, N_EDGES, *row, dtype=dtype)
    expected = dense(y, edges[1], N_POST, how)
    order = np.argsort(edges[1], kind="stable")
    for given in (edges[1], jnp.asarray(edges[1], jnp.int32)):
        z = synapse_to_post(y, given, N_POST, how)
        assert z.dtype == dtype
        np.testing.assert_allclose(z, expected, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])
    z = jax.jit(synapse_to_post, static_argnums=(2, 3))(y[order], edges[1][order], N_POST, how)
    expected = expected[order] if how == "softmax" else expected
    np.testing.assert_allclose(z, expected, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])


@pytest.mark.parametrize("how", REDUCTIONS)
@pytest.mark.parametrize("weights", ["one", "each", "rows"])
def test_pre_to_post_is_a_weighted_matrix(seed, edges, how, weights):
    pre, post = edges
    x = values(seed, N_PRE, 2)
    weight = {
        "one": 2.0,
        "each": values(seed + 1, N_EDGES),
        "rows": values(seed + 2, N_EDGES, 2),
    }[weights]
    per_row = weight[:, None] if weights == "each" else weight
    expected = dense(x[pre] * per_row, post, N_POST, how)
    z = pre_to_post(x, pre, post, N_POST, weight, how)
    np.testing.assert_allclose(z, expected, rtol=1e-13, atol=1e-14)


def test_sum_is_the_product_with_the_matrix_of_weights(seed, edges):
    pre, post = edges
    x, weight = values(seed, N_PRE), values(seed + 1, N_EDGES)
    matrix = np.zeros((N_POST, N_PRE))
    np.add.at(matrix, (post, pre), weight)
    np.testing.assert_allclose(pre_to_post(x, pre, post, N_POST, weight), matrix @ x, atol=1e-14)
    g = values(seed + 2, N_POST)
    (back,) = jax.vjp(lambda x: pre_to_post(x, pre, post, N_POST, weight), x)[1](jnp.asarray(g))
    np.testing.assert_allclose(back, matrix.T @ g, atol=1e-14)


@every_how
@pytest.mark.parametrize("row", [(), (2,)])
def test_derivatives_are_finite_differences(seed, edges, how, row):
    y = values(seed, N_EDGES, *row)  # no ties: max and min are smooth here
    check_grads(lambda y: synapse_to_post(y, edges[1], N_POST, how), (y,), 1, rtol=1e-6)


def test_derivatives_of_values_and_weights(seed, edges):
    x, weight = values(seed, N_PRE), values(seed + 1, N_EDGES)
    for how in REDUCTIONS:
        check_grads(
            lambda x, weight, how=how: pre_to_post(x, *edges, N_POST, weight, how),
            (x, weight),
            1,
            rtol=1e-6,
        )


@pytest.mark.parametrize("how", ["max", "min"])
def test_ties_share_the_derivative(how):
    slope = jax.grad(lambda y: synapse_to_post(y, np.array([0, 2, 0, 2]), 4, how).sum())
    assert slope(jnp.ones(4)).tolist() == [0.5] * 4


@every_how
def test_posts_without_synapses_are_0_and_pass_no_nan(seed, how):
    def reduced(y):
        return synapse_to_post(y, np.array([2, -1, 2, -1]), 5, how)

    y = jnp.array([1.0, 800.0, 2.0, -800.0])
    z = reduced(y)
    slope = jax.grad(lambda y: jnp.square(reduced(y)).sum())(y)
    assert np.isfinite(slope).all()
    assert slope[1] == slope[3] == 0  # padding
    if how == "softmax":
        assert z[1] == z[3] == 0
    else:
        assert z[jnp.array([0, 1, 3, 4])].tolist() == [0, 0, 0, 0]
    none = synapse_to_post(jnp.zeros(0), np.zeros(0, np.int32), 3, how)
    assert none.tolist() == ([] if how == "softmax" else [0, 0, 0])
    assert synapse_to_post(y, np.full(4, -1), 0, how).shape == ((4,) if how == "softmax" else (0,))


def test_softmax_is_stable_and_sums_to_1(seed, edges):
    for dtype in (np.float32, np.float64):
        y = 1e4 * values(seed, N_EDGES, dtype=dtype) + dtype(3e4)
        p, slope = jax.value_and_grad(lambda y: synapse_to_post(y, edges[1], N_POST, "softmax")[0])(
            y
        )
        assert np.isfinite(p) and np.isfinite(slope).all()
        whole = synapse_to_post(
            synapse_to_post(y, edges[1], N_POST, "softmax"), edges[1], N_POST, "sum"
        )
        has_any = np.bincount(edges[1], minlength=N_POST) > 0
        np.testing.assert_allclose(whole, has_any, rtol=1e-6)
    masked = synapse_to_post(jnp.array([0.0, -np.inf, 0.0]), np.array([1, 1, 1]), 2, "softmax")
    assert masked.tolist() == [0.5, 0.0, 0.5]


def test_padding_in_traced_lists_carries_0_and_arrives_nowhere(seed):
    @jax.jit
    def carried(x, pre, post):
        return pre_to_synapse(x, pre), pre_to_post(x, pre, post, 3, 2.0)

    x = jnp.array([1.0, 2.0])
    pre, post = jnp.array([0, -1, 1, 2]), jnp.array([2, -1, 3, 2])
    y, z = carried(x, pre, post)
    assert y.tolist() == [1, 0, 2, 0] and z.tolist() == [0, 0, 2]


def test_values_of_every_type_reach_their_synapses():
    pre = np.array([1, 0, 1])
    spikes = pre_to_synapse(np.array([True, False]), pre)
    assert spikes.dtype == bool and spikes.tolist() == [False, True, False]
    assert pre_to_post(np.array([True, False]), pre, np.array([0, 1, 1]), 2).tolist() == [0.0, 1.0]
    counts = synapse_to_post(np.array([1, 2, 3], np.int32), np.array([1, 1, 0], np.int8), 3)
    assert counts.dtype == np.int32 and counts.tolist() == [3, 3, 0]
    mean = synapse_to_post(np.ones(300), np.zeros(300, np.int8), 1, "mean")
    assert mean.tolist() == [1.0]


@every_how
def test_mapped_scanned_and_sharded_are_the_same(seed, edges, how):
    post = edges[1]
    y = values(seed, 4, N_EDGES)

    def reduced(y):
        return synapse_to_post(y, post, N_POST, how)

    expected = np.stack([reduced(row) for row in y])
    same = {"rtol": 1e-14, "atol": 1e-15}
    np.testing.assert_allclose(jax.vmap(reduced)(y), expected, **same)
    scanned = jax.lax.scan(lambda c, row: (c, reduced(row)), 0, y)[1]
    np.testing.assert_allclose(scanned, expected, **same)

    mesh = Mesh(np.array(jax.devices()[:2]), ("part",))
    parts = jax.shard_map(
        jax.vmap(reduced), mesh=mesh, in_specs=P("part"), out_specs=P("part"), check_vma=True
    )
    np.testing.assert_allclose(jax.jit(parts)(y), expected, **same)
    slope = jax.jit(jax.grad(lambda y: jnp.square(parts(y)).sum()))(y)
    expected = jax.jit(jax.grad(lambda y: jnp.square(jax.vmap(reduced)(y)).sum()))(y)
    np.testing.assert_allclose(slope, expected, **same)


@pytest.mark.parametrize("how", REDUCTIONS)
def test_each_part_reduces_its_own_edges(seed, edges, how):
    pre, post = edges
    x = values(seed, N_PRE)
    mesh = Mesh(np.array(jax.devices()[:2]), ("part",))

    def one(x, pre, post):
        return pre_to_post(x, pre, post, N_POST, 2.0, how)[None]

    each = P(), P("part"), P("part")
    parts = jax.shard_map(one, mesh=mesh, in_specs=each, out_specs=P("part"), check_vma=True)
    z = jax.jit(parts)(x, pre, post)
    for part, half in enumerate((slice(0, N_EDGES // 2), slice(N_EDGES // 2, None))):
        expected = dense(2 * x[pre[half]], post[half], N_POST, how)
        np.testing.assert_allclose(z[part], expected, rtol=1e-14, atol=1e-15)
    slope = jax.jit(jax.grad(lambda x: parts(x, pre, post).sum()))(x)
    assert slope.shape == x.shape and np.isfinite(slope).all()


Y, POST = np.ones(3), np.array([0, 1, 1])


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: synapse_to_post(Y, POST, 2, "prod"), 'how = "prod" .* Use one of "sum"'),
        (lambda: synapse_to_post(Y, POST, 2.0), "n_post = 2.0 is not a count"),
        (lambda: synapse_to_post(Y, POST, -1), "n_post = -1"),
        (lambda: synapse_to_post(Y, POST, True), "n_post = True"),
        (lambda: synapse_to_post(Y[:2], POST, 2), r"y has shape \(2,\), but post has 3"),
        (lambda: synapse_to_post(np.float64(1), POST, 2), r"y has shape \(\)"),
        (lambda: synapse_to_post(Y, POST, 1), r"post\[1\] = 1 is not one of 1 neurons"),
        (lambda: synapse_to_post(Y, POST - 2, 2), r"post\[0\] = -2"),
        (lambda: synapse_to_post(Y, Y, 2), "type float64. Use one integer"),
        (lambda: synapse_to_post(Y, POST[:, None], 2), r"post has shape \(3, 1\)"),
        (lambda: synapse_to_post(POST, POST, 2, "mean"), 'type int64, of which there is no "mean"'),
        (lambda: synapse_to_post(POST > 0, POST, 2), 'type bool, of which there is no "sum"'),
        (lambda: pre_to_synapse(np.ones(2), np.array([0, 2])), r"pre\[1\] = 2 .* Use 0 to 1"),
        (lambda: pre_to_synapse(1.0, POST), "x is one number"),
        (lambda: pre_to_post(Y, POST, POST, 2, how="softmax"), "one value per synapse"),
        (lambda: pre_to_post(Y, POST, POST, 2, Y[:2]), r"weight has shape \(2,\), .* 3 synapses"),
        (lambda: pre_to_post(Y, POST, POST[:2], 2), "post has 2 synapses"),
    ],
)
def test_what_does_not_fit_is_named(call, message):
    with pytest.raises(ParameterError, match=message):
        call()
