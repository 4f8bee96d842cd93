"""A model is a pytree: jit, grad, vmap and scan of its step work as of any function."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import distdyn as dd
from distdyn.core.parameters import fields_of
from distdyn.core.system import emits_spikes, receives_input, state_fields
from tests.core.equations import Coupled, Decay, FitzHughNagumo, trajectory


def test_model_is_a_pytree_of_its_parameters():
    leaves, structure = jax.tree.flatten(FitzHughNagumo(a=1.0))
    assert leaves == [1.0, 0.8, 12.5, 0.5]
    assert jax.tree.unflatten(structure, leaves) == FitzHughNagumo(a=1.0)


def test_model_cannot_be_changed():
    with pytest.raises(AttributeError):
        FitzHughNagumo().a = 1.0


@pytest.mark.parametrize("model", [FitzHughNagumo(), Coupled(), dd.LIF(I_e=300.0)])
def test_step_equals_its_jitted_self(model):
    """Up to the roundings that XLA's fusion saves."""
    state = jax.tree.map(jnp.float32, model.init(0, None))
    tick = dd.Tick(0, 0.1, 0.0)
    plain, _ = model.step(state, dd.Drive(1.0), tick)
    jitted, _ = jax.jit(model.step)(state, dd.Drive(1.0), tick)
    for one, two in zip(plain, jitted, strict=True):
        assert one.dtype == two.dtype == np.float32
        np.testing.assert_allclose(one, two, rtol=1e-6)


@pytest.mark.parametrize("method", [None, dd.ExpEuler(), dd.RK4()], ids=["default", "exp", "rk4"])
@pytest.mark.parametrize("kind", [FitzHughNagumo, Coupled])
def test_gradient_of_a_run_is_that_of_finite_differences(kind, method):
    def loss(tau):
        return jnp.sum(trajectory(kind(tau=tau, method=method), n=200, dt=0.1).V ** 2)

    with jax.enable_x64(True):
        gradient = float(jax.grad(loss)(9.0))
        difference = float(loss(9.0 + 1e-5) - loss(9.0 - 1e-5)) / 2e-5
    assert np.isfinite(gradient) and gradient != 0
    assert gradient == pytest.approx(difference, rel=1e-6)


def test_gradient_with_respect_to_the_whole_model():
    def loss(model):
        return jnp.sum(trajectory(model, n=50, dt=0.1).w)

    gradient = jax.grad(loss)(FitzHughNagumo())
    assert isinstance(gradient, FitzHughNagumo)
    assert np.all(np.isfinite(jax.tree.leaves(gradient)))


def test_vmap_over_a_parameter_is_a_run_for_each_value():
    tau = jnp.array([5.0, 10.0, 20.0])
    together = jax.vmap(lambda tau: trajectory(Decay(tau=tau), n=30, dt=0.1).y)(tau)
    for k, value in enumerate(tau):
        alone = trajectory(Decay(tau=float(value)), n=30, dt=0.1).y
        np.testing.assert_allclose(together[k], alone, rtol=1e-6)


def test_arrays_as_parameters_are_one_value_per_cell():
    model = dd.LIF(tau_m=jnp.array([5.0, 10.0, 20.0]), I_e=300.0)
    state, _ = model.step(dd.LIF.State(V=jnp.full(3, -65.0)), dd.Drive(), dd.Tick(0, 1.0, 0.0))
    expected = -65.0 + 300.0 / 250.0 * model.tau_m * (1 - np.exp(-1.0 / model.tau_m))
    np.testing.assert_allclose(state.V, expected, rtol=1e-6)


def test_what_a_model_is_is_read_off_its_class():
    assert set(fields_of(FitzHughNagumo)) == {"a", "b", "tau", "I", "method", "order"}
    assert state_fields(FitzHughNagumo) == state_fields(FitzHughNagumo()) == ("V", "w")
    assert receives_input(FitzHughNagumo()) and not emits_spikes(FitzHughNagumo())
    assert emits_spikes(dd.LIF()) and emits_spikes(dd.Poisson())
    assert not receives_input(dd.Poisson()) and not receives_input(Decay())


def test_declared_parameters_carry_unit_and_domain():
    declared = fields_of(dd.LIF)["tau_m"].metadata
    assert (declared["unit"], declared["positive"]) == ("ms", True)
    assert declared["doc"]
