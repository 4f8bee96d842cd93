"""What the jaxpr of a model tells: which variable depends on which, and linearity."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import distdyn as dd
from distdyn.core import Flow, Receptor
from distdyn.core.flow import dependence, is_linear
from distdyn.core.integrators.linear import phi1_matrix
from tests.core.equations import Coupled, Decay, FitzHughNagumo, Modulated


def test_dependence_is_read_off_the_equations():
    found = dependence(lambda x, y, z: (x + y, 2.0 * z, 1.0 + 0.0 * y), 1.0, 1.0, 1.0)
    np.testing.assert_array_equal(found, [[1, 1, 0], [0, 0, 1], [0, 1, 0]])


def test_dependence_sees_through_jitted_functions():
    inner = jax.jit(lambda x, y: (jnp.sin(x), y))
    found = dependence(lambda x, y: inner(y, x), 1.0, 1.0)
    np.testing.assert_array_equal(found, [[0, 1], [1, 0]])


def test_dependence_through_a_condition_is_on_all_that_enters_it():
    def function(x, y):
        return jax.lax.cond(x > 0, lambda y: y, lambda y: -y, y), jnp.where(x > 0, 1.0, 2.0)

    np.testing.assert_array_equal(dependence(function, 1.0, 1.0), [[1, 1], [1, 0]])


def test_constants_depend_on_nothing():
    np.testing.assert_array_equal(dependence(lambda x: (jnp.ones(()), 3.0), 1.0), [[0], [0]])


class Multiplied(dd.ODE):
    """V' = -V I: linear in each, but not in both."""

    class State(NamedTuple):
        V: jax.Array

    def init(self, id, key):
        return self.State(V=1.0)

    def derivative(self, t, s, drive):
        return self.State(V=-s.V * drive.current)


class Rectified(dd.ODE):
    """V' = -max(V, 0): linear almost everywhere is not linear."""

    class State(NamedTuple):
        V: jax.Array

    def init(self, id, key):
        return self.State(V=1.0)

    def derivative(self, t, s, drive):
        return self.State(V=-jnp.maximum(s.V, 0.0))


class Ramp(dd.ODE):
    """V' = t."""

    class State(NamedTuple):
        V: jax.Array

    def init(self, id, key):
        return self.State(V=1.0)

    def derivative(self, t, s, drive):
        return self.State(V=jnp.asarray(t, s.V.dtype))


@pytest.mark.parametrize(
    "model, expected",
    [
        (Decay(), True),
        (Coupled(), True),
        (dd.LIF(), True),
        (FitzHughNagumo(), False),
        (Modulated(), False),
        (Multiplied(), False),
        (Rectified(), False),
        (Ramp(), False),
    ],
    ids=lambda x: type(x).__name__ if isinstance(x, dd.ODE) else "",
)
def test_linearity_of_a_model(model, expected):
    assert is_linear(Flow(model)) is expected


@pytest.mark.parametrize("output, expected", [(dd.CUBA(), True), (dd.COBA(E=0.0), False)])
def test_linearity_with_a_receptor(output, expected):
    assert is_linear(Flow(dd.LIF(), (Receptor(dd.Alpha(), output),))) is expected


def test_total_current_is_that_of_input_and_receptors():
    receptors = (
        Receptor(dd.Exponential(), dd.CUBA()),
        Receptor(dd.Exponential(), dd.COBA(E=10.0)),
        Receptor(dd.Delta(), dd.CUBA()),
    )
    g = dd.Exponential.State
    flow = Flow(dd.LIF(), receptors)
    states = (g(g=3.0), g(g=2.0), dd.Delta.State())
    total = flow.total_current(dd.LIF.State(V=4.0), states, 100.0)
    assert total == 100.0 + 3.0 + 2.0 * (10.0 - 4.0)


def test_membrane_is_the_variable_V():
    assert Flow(FitzHughNagumo()).membrane() == 0
    assert Flow(Decay()).membrane() is None


def test_phi1_at_the_limit_of_its_doublings_and_beyond():
    limit = 2.0**19
    with jax.enable_x64(True):
        found = phi1_matrix(jnp.array([[-limit, 0.0], [0.0, -1.0]]))
        np.testing.assert_allclose(np.diag(found), [1 / limit, -np.expm1(-1.0)], rtol=1e-9)
        for z in (-1.01 * limit, np.nan):
            assert np.isnan(phi1_matrix(jnp.array([[z, 0.0], [0.0, -1.0]]))).all()
