"""What a matrix promises that is split over devices: the same products, each device its own part.

It loops over the same catalogue as the contracts of matrices.
"""

import re

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec as P

import distdyn as dd
from distdyn.errors import ParameterError
from distdyn.ops.matrix.split import Split
from tests.contracts.test_matrices import close
from tests.ops.matrix.matrices import CATALOGUE, every_kind, make, vector

AUTO = jax.sharding.AxisType.Auto
both_ways = pytest.mark.parametrize("by", ["rows", "columns"])


@pytest.fixture(autouse=True)
def wide():
    with jax.enable_x64(True):
        yield


def mesh_of(**axes):
    return jax.make_mesh(tuple(axes.values()), tuple(axes), axis_types=(AUTO,) * len(axes))


@both_ways
@every_kind
@pytest.mark.parametrize(
    "devices, shape", [(1, (5, 8)), (2, (9, 7)), (4, (7, 9)), (4, (0, 5))], ids=str
)
def test_products_are_those_of_the_whole(name, by, devices, shape, seed):
    A, dense = make(name, shape, "float64", seed)
    S = A.split(mesh_of(neuron=devices), "neuron", by)
    assert isinstance(S, Split) and S.shape == A.shape and S.dtype == A.dtype
    m, n = A.shape
    rng = np.random.default_rng(seed)
    spikes, _ = vector(rng, m, 0.3, "float64")
    x, z = rng.normal(size=(3, m)), rng.normal(size=(n, 2))
    close(x @ S, x @ dense)
    if shape == (7, 9):  # which four devices do not divide
        close(S @ z, dense @ z)
        close(spikes @ S, spikes @ dense)
        close(dd.Events(np.flatnonzero(spikes), m) @ S, spikes @ dense)
        close(S.T @ x.T, dense.T @ x.T)
        close(S.todense(), dense)
        mask = x * (rng.random(x.shape) < 0.4)
        close(S.vm(mask, x), (mask * x) @ dense)
        close(S.mv(mask[:2], z.T), mask[:2] * (z.T @ dense.T))


# One of each form, and the transposed of one.
FORMS = "CSR", "Dense", "CSR-transposed", "JITBernoulli"


@both_ways
@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[] if n in FORMS else [pytest.mark.slow]) for n in CATALOGUE]
)
def test_derivatives_over_trials_and_neurons_are_those_of_one_device(name, by, seed):
    """On a mesh of 2 x 2, from outside and within a shard_map of the user's own."""
    A, _ = make(name, (24, 24), "float64", seed)
    mesh = mesh_of(data=2, neuron=2)
    surrogate = dd.surrogate.PiecewiseQuadratic()
    v = jnp.asarray(np.random.default_rng(seed).normal(size=(4, 24)))

    def loss(product, v):
        for _ in range(2):
            v = 0.5 * v + product(v)
        return jnp.sum(jnp.sin(v))

    weights, rest = eqx.partition(A, eqx.is_inexact_array)
    expected = jax.grad(
        lambda w, v: loss(lambda v: surrogate.product(v, eqx.combine(w, rest)), v), (0, 1)
    )(weights, v)

    # Derivatives with respect to the weights of the whole matrix go through the split.
    @jax.jit
    def outside(w, v):
        S = eqx.combine(w, rest).split(mesh, "neuron", by, trials="data")
        return loss(lambda v: surrogate.product(v, S), v)

    jax.tree.map(close, jax.grad(outside, (0, 1))(weights, v), expected)

    S = A.split(mesh, "neuron", by)
    is_weight = jax.tree.map(eqx.is_inexact_array, S)
    trained, fixed = eqx.partition(S, is_weight)
    trained_specs, fixed_specs = eqx.partition(S.specs(), is_weight)

    def inside(trained, fixed, v):
        here = eqx.combine(trained, fixed).local()
        size = 12

        def product(v):
            """Neurons are split: spikes are gathered where columns are here, or sums are dealt."""
            if by == "columns":
                whole = jax.lax.all_gather(v, "neuron", axis=1, tiled=True)
                return surrogate.product(whole, here)
            y = jax.lax.psum(surrogate.product(v, here), "neuron")
            first = jax.lax.axis_index("neuron") * size
            return jax.lax.dynamic_slice_in_dim(y, first, size, axis=1)

        return jax.lax.psum(loss(product, v), ("data", "neuron"))

    found = jax.jit(
        jax.shard_map(
            jax.grad(inside, (0, 2)),
            mesh=mesh,
            in_specs=(trained_specs, fixed_specs, P("data", "neuron")),
            out_specs=(trained_specs, P("data", "neuron")),
            check_vma=True,
        )
    )(trained, fixed, v)
    close(found[1], expected[1])
    # The pieces' derivatives are those of the whole, piece by piece.
    whole = jax.linear_transpose(
        lambda w: eqx.filter(eqx.combine(w, rest).split(mesh, "neuron", by), eqx.is_inexact_array),
        weights,
    )(found[0])[0]
    jax.tree.map(close, whole, expected[0])


WHOLE = "Circulant", "Constant", "Constant-no-autapses", "Dense", "Diagonal"
SPARSE = [name for name in CATALOGUE if name not in WHOLE]


@both_ways
@pytest.mark.parametrize("name", SPARSE)
def test_a_device_holds_and_reads_its_own_synapses_alone(name, by, seed):
    """By XLA's program: one call a device, on arrays of a piece; what is sent is no weight."""
    n = 64
    A, _ = make(name, (n, n), "float64", seed)
    S = A.split(mesh_of(neuron=4), "neuron", by)
    x = jax.device_put(
        np.zeros((1, n)), jax.NamedSharding(S.mesh, P(None, "neuron") if by == "rows" else P())
    )
    weights, others = eqx.partition(S, eqx.is_inexact_array)
    indices, static = eqx.partition(others, eqx.is_array)

    def forward(weights, x, indices):  # arguments all: what a program closes over it holds whole
        return x @ eqx.combine(weights, indices, static)

    backward = jax.grad(lambda *given: jnp.sum(jnp.sin(forward(*given))), (0, 1))
    largest = max(len(part.addressable_shards[0].data.reshape(-1)) for part in jax.tree.leaves(S))
    for program, n_calls in ((forward, 1), (backward, 3)):
        text = jax.jit(program).lower(weights, x, indices).compile().as_text()
        calls = re.findall(r"custom-call\((.*?)\), custom_call_target=\"distdyn", text)
        # By rows of a matrix that is read by columns there are two, a kernel and its transposed.
        assert 1 <= len(calls) <= n_calls
        held = re.findall(r"[sfu]\d+\[([\d,]+)\]", text)
        assert max(int(np.prod([int(k) for k in dims.split(",")])) for dims in held) <= max(
            largest, n
        ), "something of the size of the whole"
        sent = re.findall(r"= (\S+) (all-gather|all-to-all|collective-permute|all-reduce)", text)
        for shape, _ in sent:
            lengths = [int(k) for k in re.findall(r"\d+", shape.split("[")[1].split("]")[0])]
            assert np.prod(lengths, initial=1) <= n, f"{shape} is sent"
    if "JIT" not in name:  # of which nothing is stored
        assert largest < max(leaf.size for leaf in jax.tree.leaves(A)) / 2, "as the whole"


def test_one_vector_belongs_to_all_trials(seed):
    A, dense = make("CSR", (24, 24), "float64", seed)
    S = A.split(mesh_of(data=2, neuron=2), "neuron", trials="data")
    x = np.random.default_rng(seed).normal(size=(4, 24))
    close(x[0] @ S, x[0] @ dense)
    close(jax.vmap(lambda x: x @ S)(x), x @ dense)


@pytest.mark.parametrize(
    "deed, message",
    [
        (lambda A, mesh: A.split(mesh, "cells"), r'no axis "cells". Give one of .*"?neuron'),
        (lambda A, mesh: A.split(mesh, "neuron", "diagonals"), r'by = "diagonals". Give "rows"'),
        (lambda A, mesh: A.split(mesh, "neuron", trials="neuron"), "for neurons and for trials"),
        (lambda A, mesh: A.split(mesh, "neuron").split(mesh, "neuron"), "is split already"),
        (
            lambda A, mesh: jax.jit(lambda A: A.split(mesh, "neuron") @ np.ones(28))(A),
            "not known inside jit. Split it before",
        ),
        (
            lambda A, mesh: np.ones((3, 40)) @ A.split(mesh, "neuron", trials="data"),
            r'3 trials over 2 devices along "data"',
        ),
    ],
)
def test_what_is_refused(deed, message, seed):
    A, _ = make("CSR", (40, 28), "float64", seed)
    with pytest.raises(ParameterError, match=message):
        deed(A, mesh_of(data=2, neuron=2))
