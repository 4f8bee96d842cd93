"""Integrators: their order, their exactness, and which one a model gets."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.linalg import expm

import distdyn as dd
from distdyn.core import Cell, Flow, Receptor
from distdyn.core.integrators import default_method
from tests.core.equations import Coupled, Decay, FitzHughNagumo, Modulated, trajectory


@pytest.fixture(autouse=True)
def _double_precision():
    with jax.enable_x64(True):
        yield


def end(model, n, dt):
    return float(trajectory(model, n=n, dt=dt)[0][-1])


# N8: y' = -y, ten steps of 0.1


@pytest.mark.parametrize(
    "method, expected",
    [
        (dd.Euler(), 0.3486784401),
        (dd.RK4(), 0.36787977441249875),
        (dd.ExpEuler(), 0.36787944117144233),
        (dd.Exact(), 0.36787944117144233),
    ],
    ids=["Euler", "RK4", "ExpEuler", "Exact"],
)
def test_decay(method, expected):
    """The tolerance is ten roundings."""
    assert end(Decay(method=method), 10, 0.1) == pytest.approx(expected, abs=1e-14)


# N9: y' = y cos t up to t = 2

EXACT = 2.482577728015001


@pytest.mark.parametrize(
    "method, expected", [(dd.Euler(), 2.5572488837503946), (dd.RK4(), 2.4825766709515396)]
)
def test_modulated_growth(method, expected):
    """Stages are taken at their own times."""
    assert end(Modulated(method=method), 20, 0.1) == pytest.approx(expected, abs=1e-13)


@pytest.mark.parametrize(
    "method, order", [(dd.Euler(), 1.0), (dd.RK4(), 4.0), (dd.ExpEuler(), 1.0)]
)
def test_order(method, order):
    errors = [abs(end(Modulated(method=method), n, 2.0 / n) - EXACT) for n in (80, 160)]
    assert np.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.15)


def test_exponential_euler_is_of_order_1_for_nonlinear_equations():
    reference = end(FitzHughNagumo(method=dd.RK4()), 2000, 0.01)
    errors = [abs(end(FitzHughNagumo(), n, 20.0 / n) - reference) for n in (400, 800)]
    assert np.log2(errors[0] / errors[1]) == pytest.approx(1.0, abs=0.15)


# exact integration


def solution(model, t, state, current=0.0):
    """Of the linear system, by the exponential of the matrix extended with the constant term."""
    matrix = np.array(
        [
            [-1 / model.tau, model.k, current],
            [-model.c, -1 / model.tau_w, model.b],
            [0.0, 0.0, 0.0],
        ]
    )
    return (expm(matrix * t) @ np.array([*state, 1.0]))[:2]


@pytest.mark.parametrize("tau_w", [10.0, 10.0 + 1e-9, 3.0])
@pytest.mark.parametrize("c", [0.05, 0.0])
@pytest.mark.parametrize("dt", [0.1, 1.0, 5.0])
def test_exact_for_coupled_linear_equations(tau_w, c, dt):
    """Whatever the step; with c = 0 and equal time constants the matrix has one eigenvector."""
    model = Coupled(tau_w=tau_w, c=c)
    found = trajectory(model, n=round(20 / dt), dt=dt, current=0.7)
    expected = solution(model, 20.0, (1.0, -0.5), current=0.7)
    np.testing.assert_allclose([found.V[-1], found.w[-1]], expected, rtol=1e-12)


def test_exact_with_parameters_per_neuron():
    tau, k = jnp.array([2.0, 10.0, 30.0]), jnp.array([0.1, 0.3, -0.3])
    model = Coupled(tau=tau, k=k)
    state = model.State(V=jnp.ones(3), w=jnp.full(3, -0.5))
    found = trajectory(model, n=50, dt=0.1, state=state)
    for cell in range(3):
        one = Coupled(tau=float(tau[cell]), k=float(k[cell]))
        expected = solution(one, 5.0, (1.0, -0.5))
        np.testing.assert_allclose([found.V[-1, cell], found.w[-1, cell]], expected, rtol=1e-12)


def test_exact_of_a_cell_with_receptors_whose_time_constants_coincide():
    """One alpha synapse, tau_syn = tau_m: V = w e t^2 / (2 tau C) exp(-t / tau)."""
    receptor = Receptor(dd.Alpha(tau=10.0), dd.CUBA())
    cell = Cell.of(dd.LIF(C_m=250.0, tau_m=10.0, E_L=0.0, V_th=50.0), (receptor,))
    assert isinstance(cell.method, dd.Exact)
    state = jax.tree.map(jnp.asarray, cell.init(0, None))
    arrived = receptor.kinetics.arrive(state.receptors[0], 100.0)
    state = state._replace(receptors=(arrived,))
    step = jax.jit(lambda s, k: cell.step(s, dd.Drive(0.0, (0.0,)), dd.Tick(k, 0.1, k * 0.1))[0])
    for k in range(100):
        state = step(state, k)
    expected = 100.0 * np.e / (10.0 * 250.0) * 10.0**2 / 2 * np.exp(-1.0)
    assert float(state.neuron.V) == pytest.approx(expected, rel=1e-11)
    assert float(state.receptors[0].g) == pytest.approx(100.0, rel=1e-12)  # its peak


# held cells


@pytest.mark.parametrize(
    "method, tolerance",
    [(dd.Exact(), 1e-13), (dd.ExpEuler(), 1e-13), (dd.RK4(), 1e-7), (dd.Euler(), 0.05)],
    ids=["Exact", "ExpEuler", "RK4", "Euler"],
)
def test_held_potential_stays_and_the_rest_advances_with_it(method, tolerance):
    """w' = b - w / tau_w - c V with V = 1: one linear equation; Euler's error is its own."""
    flow, held = Flow(Coupled(tau_w=5.0)), jnp.array([True, False])
    prepared = method.prepare(flow, 0.1)
    point = (Coupled.State(V=jnp.ones(2), w=jnp.full(2, -0.5)), ())
    tick = dd.Tick(0, 0.1, 0.0)  # the equations do not ask for the time
    step = jax.jit(lambda point: method.advance(flow, prepared, point, None, held, tick))
    for _ in range(20):
        point = step(point)
    (V, w), _ = point
    assert float(V[0]) == 1.0 != float(V[1])
    target = 5.0 * (0.2 - 0.05)
    expected = target + (-0.5 - target) * np.exp(-2.0 / 5.0)
    assert float(w[0]) == pytest.approx(expected, rel=tolerance)
    assert float(w[0]) != float(w[1])


# which method a model gets


class Clocked(dd.ODE):
    """V' = -V + t."""

    class State(NamedTuple):
        V: jax.Array

    def init(self, id, key):
        return self.State(V=0.0)

    def derivative(self, t, s, drive):
        return self.State(V=-s.V + t)


EXPONENTIAL = dd.Exponential(tau=5.0)


@pytest.mark.parametrize(
    "model, receptors, expected",
    [
        (dd.LIF(), (), dd.Exact),
        (dd.LIF(), (Receptor(EXPONENTIAL, dd.CUBA()), Receptor(dd.Alpha(), dd.CUBA())), dd.Exact),
        (dd.LIF(), (Receptor(EXPONENTIAL, dd.COBA(E=0.0)),), dd.ExpEuler),
        (Coupled(), (), dd.Exact),
        (FitzHughNagumo(), (), dd.ExpEuler),
        (Modulated(), (), dd.ExpEuler),
        (Clocked(), (), dd.ExpEuler),
    ],
    ids=["LIF", "LIF-CUBA", "LIF-COBA", "Coupled", "FitzHughNagumo", "Modulated", "Clocked"],
)
def test_default_is_exact_where_the_equations_are_linear(model, receptors, expected):
    assert type(default_method(Flow(model, receptors))) is expected


def test_method_that_a_model_names_is_used():
    assert Cell.of(dd.LIF(method=dd.RK4())).method == dd.RK4()
    assert isinstance(Cell.of(dd.LIF()).method, dd.Exact)


def test_exponential_euler_integrates_receptors_exactly():
    """The receptor itself is exact, whatever the step: g is the difference of exponentials."""
    receptor = Receptor(dd.DualExponential(tau_rise=1.0, tau_decay=5.0), dd.COBA(E=0.0))
    cell = Cell.of(dd.LIF(), (receptor,))
    state = jax.tree.map(jnp.asarray, cell.init(0, None))
    state = state._replace(receptors=(receptor.kinetics.arrive(state.receptors[0], 1.0),))
    h = float(state.receptors[0].h)
    step = jax.jit(lambda s, k: cell.step(s, dd.Drive(0.0, (0.0,)), dd.Tick(k, 1.0, k * 1.0))[0])
    for k in range(7):
        state = step(state, k)
    difference = np.exp(-7.0 / 5.0) - np.exp(-7.0)
    expected = h / 5.0 * difference / (1.0 - 1.0 / 5.0)
    assert float(state.receptors[0].g) == pytest.approx(expected, rel=1e-13)
