"""Changes of weights at spikes: kernel, reference and a loop over synapses are one."""

import re

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec as P
from jax.test_util import check_grads

import distdyn as dd
from distdyn.errors import ParameterError
from distdyn.ops.matrix import plasticity
from tests.ops.matrix.matrices import CATALOGUE

NAMES = ["CSR", "FixedNumber", "Dense"]
BOUNDS = -0.5, 0.75


@pytest.fixture(autouse=True)
def wide():
    with jax.enable_x64(True):
        yield


def changed(A, side, x, z, bounds=BOUNDS):
    if side == "pre":
        return A.on_pre(x, z, *bounds)
    if isinstance(A, dd.Dense):
        return A.on_post(x, z, *bounds)
    return A.on_post(x, z, A.incoming(), *bounds)


def synapses(A):
    if isinstance(A, dd.Dense):
        return np.divmod(np.arange(A.data.size), A.shape[1])
    return np.asarray(A.rows()), np.asarray(A.indices)


def by_loop(A, side, x, z):
    data = np.array(A.data).reshape(-1)
    for k, (i, j) in enumerate(zip(*synapses(A), strict=True)):
        if (x[i] if side == "pre" else z[j]) != 0:
            data[k] = np.clip(data[k] + x[i] * z[j], *BOUNDS)
    return data.reshape(A.data.shape)


def vectors(rng, A, side, share, dtype):
    m, n = A.shape
    x, z = rng.normal(size=m).astype(dtype), rng.normal(size=n).astype(dtype)
    fired = (rng.random(m if side == "pre" else n) < share).astype(dtype)
    return (x * fired, z) if side == "pre" else (x, z * fired)


@pytest.mark.parametrize("side", ["pre", "post"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(40, 30), (1, 30), (40, 1), (0, 5), (5, 0)], ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_only_what_fired_changes(name, shape, dtype, side, seed):
    rng = np.random.default_rng(seed)
    A = CATALOGUE[name](rng, *shape, dtype).matrix
    for share in (0.0, 0.05, 1.0):
        x, z = vectors(rng, A, side, share, dtype)
        found = changed(A, side, x, z)
        assert found.data.dtype == dtype and type(found) is type(A)
        tolerance = {"float32": 1e-6, "float64": 1e-15}[dtype]
        np.testing.assert_allclose(found.data, by_loop(A, side, x, z), rtol=0, atol=tolerance)
        fired = x != 0 if side == "pre" else z != 0
        spikes = (fired, z) if side == "pre" else (x, fired)
        numbers = tuple(np.asarray(v, dtype) for v in spikes)
        found = changed(A, side, *spikes).data
        np.testing.assert_array_equal(found, changed(A, side, *numbers).data)


@pytest.mark.parametrize("side", ["pre", "post"])
@pytest.mark.parametrize("name", NAMES)
def test_the_kernel_is_the_reference_under_every_transformation(name, side, seed):
    rng = np.random.default_rng(seed)
    A = CATALOGUE[name](rng, 40, 30, "float64").matrix
    x, z = map(jnp.asarray, vectors(rng, A, side, 0.3, "float64"))
    operator = getattr(plasticity, f"{'dense' if name == 'Dense' else 'rows'}_on_{side}")
    bounds = tuple(map(jnp.asarray, BOUNDS))
    structure, attributes = (), {}
    if name != "Dense":
        structure = A.incoming() if side == "post" else (A.indices, A.indptr)
        attributes = {} if side == "post" else {"width": A.width}

    def run(function, data, x, z):
        return function(data, x, z, *bounds, *structure, **attributes)

    expected = run(operator.reference, A.data, x, z)
    np.testing.assert_allclose(run(operator, A.data, x, z), expected, rtol=0, atol=1e-15)
    jitted = jax.jit(lambda *a: run(operator, *a))
    np.testing.assert_array_equal(jitted(A.data, x, z), run(operator, A.data, x, z))
    several = [jnp.stack([v, 2 * v]) for v in (A.data, x, z)]
    stacked = jnp.stack([run(operator, *(v[i] for v in several)) for i in range(2)])
    np.testing.assert_array_equal(jax.vmap(lambda *a: run(operator, *a))(*several), stacked)
    mesh = jax.make_mesh((2,), ("net",), axis_types=(jax.sharding.AxisType.Auto,))
    sharded = jax.shard_map(
        jax.vmap(lambda *a: run(operator, *a)), mesh=mesh, in_specs=P("net"), out_specs=P("net")
    )
    np.testing.assert_array_equal(jax.jit(sharded)(*several), stacked)

    # Away from the bounds, where there is no derivative.
    bounds = tuple(map(jnp.asarray, (-100.0, 100.0)))
    fired = x if side == "pre" else z
    check_grads(
        lambda data, size, other: run(
            operator, data, *((fired * size, other) if side == "pre" else (other, fired * size))
        ),
        (A.data, jnp.ones_like(fired), z if side == "pre" else x),
        1,
        rtol=1e-5,
    )


def test_pairs_of_spikes_in_a_loop_leave_the_weights_where_they_are(seed):
    """Additive STDP of a net over some steps, and no copy of the weights in the loop."""
    rng = np.random.default_rng(seed)
    A = CATALOGUE["CSR"](rng, 2000, 30, "float64").matrix
    incoming = A.incoming()
    pre, post = rng.random((50, 2000)) < 0.05, rng.random((50, 30)) < 0.05

    def step(carry, spikes):
        A, x, z = carry
        pre, post = spikes
        x, z = 0.9 * x + pre, 0.9 * z + post
        A = A.on_pre(pre, -0.1 * z, *BOUNDS).on_post(0.12 * x, post, incoming, *BOUNDS)
        return (A, x, z), None

    run = eqx.filter_jit(lambda *a: jax.lax.scan(step, a[:3], a[3:])[0])
    found, x, z = run(A, jnp.zeros(2000), jnp.zeros(30), pre, post)
    data, x, z = np.array(A.data), np.zeros(2000), np.zeros(30)
    row, column = synapses(A)
    for before, after in zip(pre, post, strict=True):
        x, z = 0.9 * x + before, 0.9 * z + after
        moved = np.clip(data - 0.1 * z[column], *BOUNDS)
        data = np.where(before[row], moved, data)
        data = np.where(after[column], np.clip(data + 0.12 * x[row], *BOUNDS), data)
    np.testing.assert_allclose(found.data, data, atol=1e-13)
    lowered = jax.jit(
        lambda data, x, z, *spikes: (
            run(eqx.tree_at(lambda A: A.data, A, data), x, z, *spikes)[0].data
        ),
        donate_argnums=0,
    ).lower(A.data, jnp.zeros(2000), jnp.zeros(30), pre, post)
    text = lowered.compile().as_text()
    bodies = [part for part in re.split(r"\n\n", text) if "ENTRY" not in part]
    size = len(A.data)
    assert not any(f"f64[{size}]{{0}} copy(" in part for part in bodies)


@pytest.mark.parametrize(
    "deed, message",
    [
        (lambda A: A.on_pre(np.zeros(3), np.zeros(30)), r"on_pre.*of pre has shape \[3\]"),
        (lambda A: A.on_pre(np.zeros(40), np.zeros(31)), r"of post has shape \[31\]"),
        (lambda A: A.on_pre(np.zeros(40, np.float32), np.zeros(30)), "float32.*float64. Convert"),
        (lambda A: A.on_pre(np.zeros(40), np.zeros(30), low=[1.0]), "low = .* Give one number"),
        (lambda A: jax.jit(lambda A: A.incoming())(A), r"incoming\(\) sorts.*Call it before"),
        (
            lambda A: dd.CSR((1.0, A.indices, A.indptr), shape=A.shape).on_pre(
                np.zeros(40), np.zeros(30)
            ),
            "one weight for all 160 synapses",
        ),
    ],
)
def test_what_is_refused(deed, message, seed):
    A = CATALOGUE["CSR"](np.random.default_rng(seed), 40, 30, "float64").matrix
    with pytest.raises(ParameterError, match=message):
        deed(A)
