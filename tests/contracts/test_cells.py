"""What every cell of the library promises, as `test_models` says; all of them in one program.

A new cell is entered in `tests/models/library.py`; the contracts come with it. Compiling is what
costs: cells stand side by side in a few programs, and a message names the one that breaks its
promise. Receptors and the exact scheme are tested there, with `LIF`.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import distdyn as dd
from distdyn.core import Cell
from distdyn.ops.update import in_blocks
from tests.models.library import CELLS, Everyone

N = 300
LENGTHS = {"float32": (1, 3, 7), "float64": (1, 3, 7, 270)}
TICK = dd.Tick(np.int64(5), 0.1, 0.5)


def cells(dtype):
    found = {name: Cell.of(model) for name, (model, *_) in CELLS.items()}
    return jax.tree.map(lambda x: jnp.asarray(x, dtype), found)


def states(dtype, n=N):
    """For each cell n states, no two alike, the first ones at its special potentials."""
    rng, found = np.random.default_rng(20230901), {}
    for name, (model, _, jump, special) in CELLS.items():
        start = jax.tree.map(float, model.init(0, jax.random.key(0)))
        fields = {}
        for field, value in start._asdict().items():
            # Potentials up to the upstroke; gates by little, and all within (0, 1).
            width = (16.0 if abs(value) > 1.5 else 0.05) * (1.0 if jump == 1.0 else 0.1)
            fields[field] = value + rng.uniform(0.0, width, n)
        fields["V"][: len(special)] = special
        if "Vd" in fields:
            fields["Vd"][: len(special)] = special
        found[name] = model.State(**{k: jnp.asarray(x, dtype) for k, x in fields.items()})
    return found


def advance(systems, prepared, neurons):
    def one(name, system):
        n = len(neurons[name].V)
        left = jnp.arange(n, dtype=jnp.int32) % 3 if system.is_refractory else None
        state = dd.core.CellState(neurons[name], (), left)
        current = jnp.linspace(0.0, 1.0, n, dtype=neurons[name].V.dtype) * CELLS[name][1]
        return system.advance(state, dd.Drive(current), TICK, prepared[name])

    return {name: one(name, system) for name, system in systems.items()}


@jax.jit
def prepare(systems):
    def in_their_type(system):
        like = jax.tree.leaves(system)[0].dtype
        prepared = system.prepare(0.1)
        return jax.tree.map(lambda x: x.astype(like) if x.dtype.kind == "f" else x, prepared)

    return {name: in_their_type(system) for name, system in systems.items()}


@jax.jit
def still(systems, prepared, neurons, n):
    """A step of n cells without a current, as a run makes it without kernels."""

    def all_of_them(neurons):
        def one(name, system):
            cells = len(neurons[name].V)
            left = jnp.zeros(cells, jnp.int32) if system.is_refractory else None
            state = dd.core.CellState(neurons[name], (), left)
            return system.advance(state, dd.Drive(0.0), TICK, prepared[name])

        return {name: one(name, system) for name, system in systems.items()}

    return in_blocks(all_of_them, n)(neurons)


def assert_same(one, two, name):
    for x, y in zip(jax.tree.leaves(one), jax.tree.leaves(two), strict=True):
        assert x.dtype == y.dtype, name
        np.testing.assert_array_equal(x, y, err_msg=name)


@pytest.mark.parametrize("dtype", ["float32", pytest.param("float64", marks=pytest.mark.slow)])
def test_step_of_a_part_is_the_part_of_the_step(dtype):
    with jax.enable_x64(True):
        systems = cells(dtype)
        prepared, neurons = prepare(systems), states(dtype)
        whole = still(systems, prepared, neurons, N)
        for name, (state, spike) in whole.items():
            for before, after in zip(neurons[name], state.neuron, strict=True):
                assert (before.shape, before.dtype) == (after.shape, after.dtype), name
                assert np.isfinite(after).all(), name
            assert spike is None or spike.dtype == jnp.bool_, name
        for n in LENGTHS[dtype]:
            part = lambda x, n=n: x[3 : 3 + n]  # noqa: E731
            some = still(systems, prepared, jax.tree.map(part, neurons), n)
            for name in CELLS:
                assert_same(jax.tree.map(part, whole[name]), some[name], name)


def test_derivative_equals_its_jitted_self():
    """Op by op and compiled: the same up to the rounding of what XLA fuses."""

    def slopes(models, neurons):
        drive = dd.Drive(jnp.linspace(0.0, 1.0, 16, dtype=jnp.float32))
        return {name: m.derivative(0.5, neurons[name], drive) for name, m in models.items()}

    models = {name: model for name, (model, *_) in CELLS.items()}
    neurons = states("float32", 16)
    plain, jitted = slopes(models, neurons), jax.jit(slopes)(models, neurons)
    for name in CELLS:
        for x, y in zip(plain[name], jitted[name], strict=True):
            assert x.dtype == y.dtype == jnp.float32, name
            np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-5, err_msg=name)


def test_gradients_are_finite():
    """By parameters and by the whole state, at the singular potentials and in the upstroke."""

    def total(systems, prepared, neurons):
        new = advance(systems, prepared, neurons)
        return sum(jnp.sum(x) for state, _ in new.values() for x in state.neuron)

    with jax.enable_x64(True):
        systems = cells("float32")
        found = jax.jit(jax.grad(total, (0, 2)))(systems, prepare(systems), states("float32", 8))
    for name in CELLS:
        for x in jax.tree.leaves((found[0][name], found[1][name])):
            assert np.isfinite(x).all(), f"{name}: {found[0][name]}, {found[1][name]}"


@pytest.mark.slow
def test_every_cell_runs_without_kernels_on_two_devices_to_the_same_bits(monkeypatch):
    """With them on two ranks of two devices: `tests/mpi/test_same_spikes.py`."""
    monkeypatch.setenv("DISTDYN_KERNELS", "reference")
    hashes, states = [], []
    for devices in (1, 2):
        runner = dd.DSRunner(Everyone(), dt=0.1, seed=3, record="spikes", devices=devices)
        hashes.append(runner.run(60.0).spikes_sha256())
        states.append({name: runner[name].V for name in CELLS})
    assert hashes[0] == hashes[1]
    for name in CELLS:
        assert np.isfinite(states[0][name]).all() and len(np.unique(states[0][name])) > 1, name
        np.testing.assert_array_equal(states[0][name], states[1][name], err_msg=name)
