"""Derivatives of spikes and resets are those of the surrogate; forwards all is exact."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import distdyn as dd
from distdyn.core.firing import Firing
from distdyn.ops import surrogate
from distdyn.ops.spike import Surrogate

EVERY = [x for x in vars(surrogate).values() if isinstance(x, type) and issubclass(x, Surrogate)]
EVERY = [kind for kind in EVERY if kind is not Surrogate]


@pytest.mark.parametrize("kind", EVERY)
def test_a_spike_has_the_derivative_of_its_surrogate_where_it_was_possible(kind):
    of = kind()
    firing, V = Firing(of), jnp.array([-70.0, -50.5, -49.5, -1.0])
    is_possible = jnp.array([True, True, False, False])
    spike = jnp.array([False, False, False, True])

    def soft(V):
        return firing.spike(spike, V + 50.0, is_possible)

    np.testing.assert_array_equal(soft(V), [0.0, 0.0, 0.0, 1.0])
    found = jax.grad(lambda V: soft(V).sum())(V)
    wanted = np.where(is_possible, of.derivative(V + 50.0), 0.0)
    np.testing.assert_allclose(found, wanted, rtol=1e-6)


@pytest.mark.parametrize("is_detached", [False, True])
def test_a_reset_passes_a_derivative_unless_it_is_detached(is_detached):
    firing = Firing(dd.surrogate.SuperSpike(10.0), is_reset_detached=is_detached)

    def after(V):
        """0.8 of V, and back to 0 where that is above 1."""
        new = 0.8 * V
        spike = new >= 1.0
        soft = firing.spike(spike, new - 1.0, True)
        return firing.reset(soft, spike, {"V": jnp.zeros_like(new)}, {"V": new})["V"]

    V = jnp.array([1.0, 1.5])
    np.testing.assert_allclose(after(V), [0.8, 0.0], rtol=1e-6)
    found = jax.grad(lambda V: after(V).sum())(V)
    g = np.asarray(firing.surrogate.derivative(0.8 * V - 1.0))
    through = np.array([0.8, 0.0])  # where there is no spike V passes
    of_reset = 0.8 * g * (0.0 - 0.8 * np.asarray(V))
    np.testing.assert_allclose(found, through + (0 if is_detached else of_reset), rtol=1e-5)


def test_integers_and_truth_values_are_chosen_as_they_are():
    firing = Firing(dd.surrogate.SuperSpike(1.0))
    yes, no = {"n": jnp.array([1, 1])}, {"n": jnp.array([2, 2])}
    spike = jnp.array([True, False])
    found = firing.choose(spike.astype(jnp.float32), spike, yes, no)
    np.testing.assert_array_equal(found["n"], [1, 2])
