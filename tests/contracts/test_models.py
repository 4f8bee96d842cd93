"""What every model promises: a step keeps what the state is, and a part of a group is a part.

A new model is entered in the catalogue; the contracts come with it.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import distdyn as dd
from distdyn.core import Cell, Receptor
from distdyn.ops.normal import Stream
from distdyn.ops.update import in_blocks
from tests.core.equations import Coupled, FitzHughNagumo
from tests.core.test_delayed import MackeyGlass
from tests.core.test_stochastic import NoisyLIF

E, I = dd.COBA(E=0.0), dd.COBA(E=-80.0)


def cell(neuron, *receptors):
    return Cell.of(neuron, tuple(Receptor(kinetics, output) for kinetics, output in receptors))


def squid():
    return dd.Conductance(INa=dd.INa_HH1952(), IK=dd.IK_HH1952(), IL=dd.ILeak(g=0.3, E=-54.387))


CATALOGUE = {
    "LIF": lambda: cell(dd.LIF(I_e=400.0)),
    "LIF-Delta": lambda: cell(dd.LIF(I_e=400.0), (dd.Delta(), dd.CUBA())),
    "LIF-Exponential": lambda: cell(dd.LIF(I_e=400.0), (dd.Exponential(), dd.CUBA())),
    "LIF-Alpha": lambda: cell(dd.LIF(I_e=400.0), (dd.Alpha(), dd.CUBA())),
    "LIF-DualExponential": lambda: cell(dd.LIF(I_e=400.0), (dd.DualExponential(), dd.CUBA())),
    "LIF-COBA": lambda: cell(dd.LIF(I_e=400.0), (dd.Exponential(), E), (dd.Alpha(), I)),
    "LIF-COBA-Dual": lambda: cell(dd.LIF(), (dd.DualExponential(), E), (dd.Delta(), dd.CUBA())),
    "LIF-RK4": lambda: cell(dd.LIF(I_e=400.0, method=dd.RK4()), (dd.Exponential(), E)),
    "LIF-Euler": lambda: cell(dd.LIF(I_e=400.0, method=dd.Euler()), (dd.Exponential(), E)),
    "LIF-Pair": lambda: cell(dd.LIF(I_e=400.0, method=dd.DormandPrince()), (dd.Alpha(), E)),
    "LIF-Implicit": lambda: cell(dd.LIF(I_e=400.0, method=dd.BackwardEuler()), (dd.Alpha(), E)),
    "FitzHughNagumo-Implicit": lambda: cell(FitzHughNagumo(method=dd.CrankNicolson(12))),
    "FitzHughNagumo": lambda: cell(FitzHughNagumo(), (dd.Exponential(), dd.CUBA())),
    "Coupled": lambda: cell(Coupled(), (dd.Alpha(), dd.CUBA())),
    "OU-LIF": lambda: cell(NoisyLIF(), (dd.Exponential(), dd.CUBA())),
    "MackeyGlass-RK4": lambda: cell(MackeyGlass(tau=1.7, method=dd.RK4())),
    "LIF-Fractional": lambda: cell(
        dd.LIF(I_e=400.0, order={"V": 0.8}, method=dd.CaputoL1(memory=1.5)), (dd.Exponential(), E)
    ),
    "Conductance": lambda: cell(squid(), (dd.Exponential(), E)),
    "Poisson": lambda: dd.Poisson(rate=2000.0),
}

# These stand for the others where a test takes long; `-m slow` runs it for the others.
TYPICAL = ("LIF-COBA-Dual", "LIF-Implicit", "OU-LIF", "MackeyGlass-RK4", "Conductance")
typical = pytest.mark.parametrize(
    "system",
    [pytest.param(k, marks=[] if k in TYPICAL else [pytest.mark.slow]) for k in CATALOGUE],
    indirect=True,
)
N = 10100


@pytest.fixture(params=CATALOGUE)
def system(request):
    with jax.enable_x64(True):
        yield CATALOGUE[request.param]()


def group(system, n, dtype, seed):
    """The state of n cells, no two alike, with what reaches them in a step, and their ids."""
    rng = np.random.default_rng(seed)
    keys = jax.random.split(jax.random.key(seed), n)
    state = jax.vmap(lambda id, key: jax.tree.map(jnp.asarray, system.init(id, key)))(
        jnp.arange(n), keys
    )
    state = system.remember(state, 0.1) if isinstance(system, Cell) else state

    def spread(leaf):
        if leaf.dtype == jnp.int32:  # steps of the refractory period
            return jnp.asarray(rng.integers(0, 3, n), jnp.int32)
        if leaf.dtype.kind != "f":
            return leaf
        return jnp.asarray(np.asarray(leaf) + rng.uniform(0.0, 16.0, leaf.shape), dtype)

    receptors = getattr(system, "receptors", ())
    arrivals = tuple(jnp.asarray(rng.uniform(0.0, 9.0, n), dtype) for _ in receptors)
    current = jnp.asarray(rng.uniform(0.0, 9.0, n), dtype)
    given = dd.Drive(current, arrivals), jnp.arange(n, dtype=jnp.uint32)
    return jax.tree.map(spread, state), given


@jax.jit
def prepare(system):
    """What a run computes once: the coefficients, in the type of the parameters."""
    if not isinstance(system, Cell):
        return None
    like = next(x.dtype for x in jax.tree.leaves(system))
    prepared = system.prepare(0.1)
    return jax.tree.map(lambda x: x.astype(like) if x.dtype.kind == "f" else x, prepared)


@jax.jit
def step(system, prepared, state, given):
    drive, id = given
    tick = dd.Tick(jnp.int64(25), 0.1, 2.5, Stream(jnp.uint32(3), jnp.uint32(7), id))
    if prepared is None:
        return system.step(state, drive, tick)
    return system.advance(state, drive, tick, prepared)


@jax.jit
def run(system, prepared, state, given, n):
    """The same for n cells as a run makes it without kernels."""
    return in_blocks(lambda *cells: step(system, prepared, *cells), n)(state, given)


def part(tree, a, b):
    return jax.tree.map(lambda x: x[a:b], tree)


def assert_same(one, two):
    for x, y in zip(jax.tree.leaves(one), jax.tree.leaves(two), strict=True):
        assert x.dtype == y.dtype
        np.testing.assert_array_equal(x, y)


def test_step_of_a_part_is_the_part_of_the_step(system, seed):
    """Bit for bit, for any length: what a cell does never depends on its neighbours in memory."""
    parts_are_the_same(system, "float32", (7, 1000), seed)


@typical
def test_in_double_precision_and_at_more_lengths(system, seed):
    parts_are_the_same(system, "float64", (3, 7), seed)
    parts_are_the_same(system, "float32", (1, 3, 10007), seed)


def parts_are_the_same(system, dtype, lengths, seed):
    system = jax.tree.map(lambda x: jnp.asarray(x, dtype), system)
    prepared = prepare(system)
    state, drive = group(system, N, dtype, seed)
    whole = run(system, prepared, state, drive, N)
    assert_same(whole, run(system, prepared, state, drive, N))
    for n in lengths:
        a = (N - n) // 2
        some = run(system, prepared, *part((state, drive), a, a + n), n)
        assert_same(part(whole, a, a + n), some)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_step_keeps_shape_and_type_of_the_state(system, dtype, seed):
    """Also where the parameters are plain numbers and 64-bit floats are allowed."""
    state, drive = group(system, 5, dtype, seed)
    prepared = jax.eval_shape(prepare, jax.tree.map(jnp.asarray, system))
    new, spike = jax.eval_shape(step, system, prepared, state, drive)
    assert jax.tree.structure(new) == jax.tree.structure(state)
    for before, after in zip(jax.tree.leaves(state), jax.tree.leaves(new), strict=True):
        assert (before.shape, before.dtype) == (after.shape, after.dtype)
    assert spike is None or (spike.shape, spike.dtype) == ((5,), jnp.bool_)


@typical
def test_values_and_gradients_are_finite(system, seed):
    """Derivatives of the whole state by parameters and state, coefficients included."""
    state, drive = group(system, 7, "float32", seed)
    system = jax.tree.map(jnp.float32, system)

    def total(system, state):
        new, _ = step(system, prepare(system), state, drive)
        floats = [x for x in jax.tree.leaves(new) if x.dtype.kind == "f"]
        return sum((jnp.sum(x) for x in floats), jnp.float32(0.0))

    value, gradients = jax.value_and_grad(total, argnums=(0, 1), allow_int=True)(system, state)
    for x in jax.tree.leaves((value, gradients)):
        assert x.dtype == jax.dtypes.float0 or np.isfinite(x).all()
