"""One cycle: exact ones, the order of the method, the mesh, multipliers by Liouville's formula."""

import jax.numpy as jnp
import numpy as np
import pytest

from distdyn.analysis.continuation import Family
from distdyn.analysis.cycles.collocation import Field, Orbit, adapted_to
from distdyn.analysis.cycles.mesh import (
    DEGREE,
    GAUSS,
    WEIGHTS,
    adapted,
    extremes,
    interpolate,
    node_times,
    node_weights,
)
from distdyn.analysis.cycles.search import cycles_problem
from distdyn.analysis.field import VectorField


def problem(F, names, parameter, n_intervals):
    field = VectorField(F, {name: np.zeros(()) for name in names}, parameter)
    return cycles_problem(Family(field.flat(*parameter)), (0.0, 10.0), n_intervals=n_intervals)


def stuart_landau(s, p):
    x, y = s["x"], s["y"]
    r2 = x * x + y * y
    return {"x": (p["mu"] - r2) * x - y, "y": (p["mu"] - r2) * y + x}


def van_der_pol(s, p):
    return {"x": s["y"], "y": p["mu"] * (1.0 - s["x"] ** 2) * s["y"] - s["x"]}


def circle(radius, value, n_intervals, period=2.0 * np.pi):
    mesh = np.linspace(0.0, 1.0, n_intervals + 1)
    angle = 2.0 * np.pi * node_times(mesh)
    nodes = radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return Orbit(mesh, nodes, period, value)


def solved(of, guess):
    cycle = of.at_value(guess)
    assert cycle is not None
    return cycle


def test_the_cycle_of_stuart_and_landau_is_exact():
    of = problem(stuart_landau, "xy", {"mu": 1.0}, 20)
    cycle = solved(of, circle(1.3, 1.0, 20, 6.0))
    assert cycle.orbit.period == pytest.approx(2.0 * np.pi, rel=1e-10)
    assert np.hypot(*cycle.orbit.nodes.T) == pytest.approx(1.0, abs=1e-7)
    assert cycle.multipliers[0].real == pytest.approx(np.exp(-4.0 * np.pi), rel=1e-6)
    assert cycle.trivial == pytest.approx(1.0, abs=1e-8)


def test_van_der_pol():
    of = problem(van_der_pol, ["x", "y"], {"mu": 1.0}, 40)
    cycle = solved(of, circle(2.0, 1.0, 40))
    assert cycle.orbit.period == pytest.approx(6.6632868593, abs=1e-9)
    assert extremes(*cycle.orbit[:2])[1][0] == pytest.approx(2.0086198609, abs=1e-6)
    assert cycle.multipliers[0].real == pytest.approx(8.59695e-4, rel=1e-5)


def test_the_period_converges_with_order_2m():
    of = problem(van_der_pol, ["x", "y"], {"mu": 1.0}, 40)
    exact = solved(of, circle(2.0, 1.0, 40)).orbit
    errors = []
    for n in (10, 20):
        equations = of.equations(exact.on(np.linspace(0.0, 1.0, n + 1)))  # even, not adapted
        u = equations.unknowns(equations.reference)
        row = np.zeros(len(u))
        row[-1] = 1.0
        found = of.curve(equations).correct(u, row)
        assert found is not None
        errors.append(abs(equations.orbit(found[0]).period - 6.6632868593))
    assert np.log2(errors[0] / errors[1]) > 2 * DEGREE - 1.5


def test_stiff_oscillations_need_the_adapted_mesh():
    # T of the relaxation oscillator at mu = 10: by an integrator at a tolerance of 1e-13.
    of = problem(van_der_pol, ["x", "y"], {"mu": 1.0}, 40)
    guess = circle(2.0, 1.0, 40)
    for value in (1.0, 2.0, 4.0, 7.0, 10.0):
        guess = solved(of, guess._replace(value=value)).orbit
    assert solved(of, guess).orbit.period == pytest.approx(19.0783695657, rel=1e-7)
    h = np.diff(guess.mesh)
    assert h.max() / h.min() > 10.0


def test_multipliers_obey_liouvilles_formula():
    def F(s, p):
        x, y, z = s["x"], s["y"], s["z"]
        r2 = x * x + y * y
        return {
            "x": (p["mu"] - r2) * x - y + z,
            "y": (p["mu"] - r2) * y + x,
            "z": -6.0 * z + x * y,
        }

    of = problem(F, "xyz", {"mu": 1.0}, 40)
    start = circle(1.0, 1.0, 40)
    start = start._replace(nodes=np.hstack([start.nodes, 0.0 * start.nodes[:, :1]]))
    cycle = solved(of, start)
    mesh, _, period, value = cycle.orbit
    h = np.diff(mesh)
    x = cycle.orbit.at((mesh[:-1, None] + h[:, None] * GAUSS).ravel())
    trace = np.trace(of.field(x, value)[1], axis1=1, axis2=2)
    exponent = period * np.sum((h[:, None] * WEIGHTS).ravel() * trace)
    product = cycle.trivial * np.prod(cycle.multipliers).real
    assert np.log(product) == pytest.approx(exponent, abs=1e-5)
    assert product < 1e-20  # far below what an eigenvalue of the product would show


def test_interpolation_and_integrals_of_polynomials_are_exact(seed):
    mesh = np.sort(np.append(np.random.default_rng(seed).uniform(size=9), [0.0, 1.0]))
    t = node_times(mesh)
    nodes = np.stack([t**2 * (1.0 - t) ** 2, np.ones_like(t)], axis=1)
    s = np.linspace(0.0, 1.0, 57)
    assert interpolate(mesh, nodes, s)[:, 0] == pytest.approx(s**2 * (1.0 - s) ** 2, abs=1e-14)
    assert node_weights(mesh) @ nodes[:, 1] == pytest.approx(1.0)


def test_adaptation_goes_where_the_function_changes():
    mesh = np.linspace(0.0, 1.0, 201)
    nodes = np.tanh(30.0 * np.sin(2.0 * np.pi * node_times(mesh)))[:, None]
    new = adapted(mesh, nodes, np.array([2.0]), 40)
    assert len(new) == 41 and np.all(np.diff(new) > 0.0)
    steep = np.abs(np.sin(2.0 * np.pi * new)) < 0.1
    assert steep.mean() > 0.3  # 6 % of the period


def test_a_constant_keeps_an_even_mesh():
    orbit = Orbit(np.array([0.0, 0.2, 1.0]), np.ones((8, 2)), 1.0, 0.0)
    assert adapted_to(orbit, 4).mesh == pytest.approx([0.0, 0.25, 0.5, 0.75, 1.0])


def test_a_field_is_evaluated_block_by_block():
    field = Field(lambda u, p: jnp.stack([p[0] * u[0], u[1] ** 2]), 4)
    states = np.arange(14.0).reshape(7, 2)
    f, by_u, by_p = field(states, 3.0)
    assert f == pytest.approx(np.stack([3.0 * states[:, 0], states[:, 1] ** 2], axis=1))
    assert by_u[:, 1, 1] == pytest.approx(2.0 * states[:, 1])
    assert by_p == pytest.approx(np.stack([states[:, 0], 0.0 * states[:, 0]], axis=1))
    assert field._at._cache_size() == 1


def test_far_from_any_cycle_there_is_none():
    of = problem(stuart_landau, "xy", {"mu": 1.0}, 20)
    assert of.at_value(circle(1e4, 1.0, 20, 1e-3)) is None
