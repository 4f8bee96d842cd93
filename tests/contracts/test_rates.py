"""What every rate model promises, as `test_models` says; all of them in one program.

A new one is entered in `tests/models/library.py`; the contracts come with it.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import distdyn as dd
from distdyn.core import Cell
from distdyn.ops.normal import Stream
from distdyn.ops.update import in_blocks
from tests.models.library import RATES, Rates

N = 300
LENGTHS = {"float32": (1, 7), "float64": (3, 270)}


def systems(dtype):
    found = {name: Cell.of(model) for name, (model, _) in RATES.items()}
    return jax.tree.map(lambda x: jnp.asarray(x, dtype), found)


def states(dtype, n=N):
    """For each model n states, no two alike, some outside of the range that a step confines to."""
    rng, found = np.random.default_rng(20230901), {}
    for name, system in systems(dtype).items():
        start = jax.tree.map(float, system.init(0, jax.random.key(0)).neuron)
        neuron = jax.tree.map(lambda x: jnp.asarray(x + rng.uniform(-0.1, 0.3, n), dtype), start)
        if name == "Kuramoto":
            neuron = neuron._replace(theta=jnp.linspace(-7.0, 7.0, n, dtype=dtype))
        found[name] = system.remember(dd.core.CellState(neuron, (), None), 0.1)
    return found


@jax.jit
def prepare(models):
    def in_their_type(system):
        like = jax.tree.leaves(system)[0].dtype
        prepared = system.prepare(0.1)
        return jax.tree.map(lambda x: x.astype(like) if x.dtype.kind == "f" else x, prepared)

    return {name: in_their_type(system) for name, system in models.items()}


def advance(models, prepared, cells, id):
    """A step of some units, with an input to each and the noise that is theirs."""
    tick = dd.Tick(jnp.int64(25), 0.1, 2.5, Stream(jnp.uint32(3), jnp.uint32(7), id))

    def one(name, system):
        share = (id % 7).astype(jax.tree.leaves(cells[name])[0].dtype) / 7
        drive = dd.Drive(share * RATES[name][1])
        state, spike = system.advance(cells[name], drive, tick, prepared[name])
        return state, spike, system.neuron.emit(state.neuron)

    return {name: one(name, system) for name, system in models.items()}


@jax.jit
def run(models, prepared, cells, id, n):
    """The same as a run makes it without kernels."""
    return in_blocks(lambda cells, id: advance(models, prepared, cells, id), n)(cells, id)


@pytest.mark.parametrize("dtype", ["float32", pytest.param("float64", marks=pytest.mark.slow)])
def test_step_of_a_part_is_the_part_of_the_step(dtype):
    with jax.enable_x64(True):
        models, cells = systems(dtype), states(dtype)
        prepared, id = prepare(models), jnp.arange(N, dtype=jnp.uint32)
        whole = run(models, prepared, cells, id, N)
        for name, (state, spike, sent) in whole.items():
            assert jax.tree.structure(state) == jax.tree.structure(cells[name]), name
            for before, after in zip(
                jax.tree.leaves(cells[name]), jax.tree.leaves(state), strict=True
            ):
                assert (before.shape, before.dtype) == (after.shape, after.dtype), name
                assert np.isfinite(after).all(), name
            assert (spike is None) != (name == "FeedbackFHN"), name
            assert (sent.shape, sent.dtype) == ((N,), dtype), name
            assert len(np.unique(sent)) > 1, name
        for n in LENGTHS[dtype]:
            part = lambda x, n=n: x[3 : 3 + n]  # noqa: E731
            some = run(models, prepared, jax.tree.map(part, cells), part(id), n)
            for name in RATES:
                for x, y in zip(
                    jax.tree.leaves(jax.tree.map(part, whole[name])),
                    jax.tree.leaves(some[name]),
                    strict=True,
                ):
                    np.testing.assert_array_equal(x, y, err_msg=name)


def test_derivative_equals_its_jitted_self():
    """Op by op and compiled: the same up to the rounding of what XLA fuses."""

    def slopes(models, cells):
        found = {}
        for name, model in models.items():
            s, past = cells[name].neuron, () if name != "FeedbackFHN" else (lambda *_: 0.3,)
            current = jnp.linspace(0.0, RATES[name][1], 16, dtype=jnp.float32)
            found[name] = model.derivative(0.5, s, dd.Drive(current), *past)
        return found

    models = {name: model for name, (model, _) in RATES.items()}
    cells = states("float32", 16)
    plain, jitted = slopes(models, cells), jax.jit(slopes)(models, cells)
    for name in RATES:
        for x, y in zip(plain[name], jitted[name], strict=True):
            assert x.dtype == y.dtype == jnp.float32, name
            np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-6, err_msg=name)


def test_gradients_are_finite():
    """By parameters and by the whole state, also where a state is confined."""

    def total(models, prepared, cells):
        id = jnp.arange(8, dtype=jnp.uint32)
        new = advance(models, prepared, cells, id)
        return sum(jnp.sum(sent) for _, _, sent in new.values())

    with jax.enable_x64(True):
        models = systems("float32")
        found = jax.jit(jax.grad(total, (0, 2)))(models, prepare(models), states("float32", 8))
    for name in RATES:
        leaves = jax.tree.leaves((found[0][name], found[1][name]))
        assert any(np.any(np.asarray(x) != 0) for x in leaves), name
        for x in leaves:
            assert np.isfinite(x).all(), name


@pytest.mark.slow
def test_every_rate_runs_without_kernels_on_two_devices_to_the_same_bits(monkeypatch):
    """With them on two ranks of two devices: `tests/mpi/test_same_spikes.py`."""
    monkeypatch.setenv("DISTDYN_KERNELS", "reference")
    first = {name: type(model).State._fields[0] for name, (model, _) in RATES.items()}
    found = []
    for devices in (1, 2):
        runner = dd.DSRunner(Rates(), dt=0.1, seed=3, devices=devices)
        runner.run(60.0)
        found.append({name: getattr(runner[name], field) for name, field in first.items()})
    for name in RATES:
        assert np.isfinite(found[0][name]).all() and len(np.unique(found[0][name])) > 1, name
        np.testing.assert_array_equal(found[0][name], found[1][name], err_msg=name)
