"""Integrate: any function of any pytree, on a grid or in chosen steps, and its derivatives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.linalg import expm

import distdyn as dd
from distdyn.core.flow import Flow, Function
from distdyn.core.integrators.adaptive import Tolerance, solve
from distdyn.core.integrators.tableau import trees
from distdyn.errors import ParameterError, SimulationError, TimeError

PAIRS = (
    dd.HeunEuler(),
    dd.RKF12(),
    dd.BogackiShampine(),
    dd.RKF45(),
    dd.CashKarp(),
    dd.DormandPrince(),
)


@pytest.fixture(autouse=True)
def _double_precision():
    with jax.enable_x64(True):
        yield


def decay(t, y):
    return -y


def steps_of(method, f, y0, ts, tolerance):
    """The accepted steps, and how many were tried."""
    y0, ts = jnp.asarray(y0), jnp.asarray(ts)
    flow = Flow(Function(f, (), y0))
    _, outcome, steps = solve(method, flow, (y0, ()), ts, Tolerance(tolerance, tolerance, 30_000))
    return np.asarray(steps.length)[: int(outcome.accepted)], int(outcome.tried)


# chosen steps. DETEST: Hull et al. (1972), SIAM J. Numer. Anal. 9, 603

DETEST = {
    "A1": (decay, lambda t: np.exp(-t)),
    "A2": (lambda t, y: -(y**3) / 2, lambda t: 1 / np.sqrt(1 + t)),
    "A3": (lambda t, y: y * jnp.cos(t), lambda t: np.exp(np.sin(t))),
}
TS = np.linspace(0.0, 20.0, 11)


@pytest.mark.parametrize("method", PAIRS, ids=lambda method: type(method).__name__)
def test_error_of_chosen_steps_follows_the_tolerance(method):
    """N9: at most ten tolerances. A3 makes errors larger by up to exp(2), three times."""
    tolerances = jnp.array([1e-3, 1e-5] if method.tableau.order == 2 else [1e-3, 1e-6, 1e-9])
    for f, solution in DETEST.values():

        @jax.jit
        def solved(tolerance, f=f):
            flow, ts = Flow(Function(f, (), jnp.ones(()))), jnp.asarray(TS)
            options = Tolerance(tolerance, tolerance, 20_000)
            return solve(method, flow, (jnp.ones(()), ()), ts, options)[0][0]

        for tolerance in tolerances:
            error = np.abs(solved(tolerance) - solution(TS)).max()
            assert error <= 10 * tolerance


def test_caution_is_of_the_leading_errors():
    """Trees are as many as there are; the errors of Dormand and Prince's pair are as published."""
    assert [len(trees(n)) for n in range(1, 8)] == [1, 1, 2, 4, 9, 20, 48]
    assert dd.DormandPrince().tableau.caution == pytest.approx(5 * 3.99e-4 / 1.18e-3, rel=3e-3)
    assert dd.RKF12().tableau.caution > 400 and dd.HeunEuler().tableau.caution < 2
    # Euler with a second result of order 2: the error is that of Euler itself.
    euler = dd.RungeKutta([[], [1]], [1, 0], lower=[1 / 2, 1 / 2])
    assert euler.tableau.power == 2 and euler.tableau.caution == 1.0


@pytest.mark.parametrize(
    "method",
    [
        pytest.param(
            method,
            id=type(method).__name__,
            marks=[] if isinstance(method, dd.DormandPrince) else pytest.mark.slow,
        )
        for method in PAIRS
    ],
)
def test_steps_grow_where_the_solution_is_smooth_and_shrink_where_it_is_not(method):
    lengths, _ = steps_of(method, decay, 1.0, [0.0, 20.0], 1e-4)
    assert lengths.sum() == pytest.approx(20.0, rel=1e-12)
    assert lengths.max() > 5 * lengths[1]
    peak = lambda t, y: 1.0 / (1e-3 + (t - 5.0) ** 2)  # noqa: E731
    lengths, tried = steps_of(method, peak, 1.0, [0.0, 10.0], 1e-4)
    middles = np.cumsum(lengths) - lengths / 2
    assert lengths[abs(middles - 5.0) < 0.1].min() < 0.03 < 0.3 < lengths.max()
    assert tried > len(lengths) or isinstance(method, dd.RKF12)  # so cautious that none is refused


@pytest.mark.slow
def test_order_is_that_of_the_pair():
    """Ten times the tolerance is 10^(1/5) times the step of order 5, 10^(1/2) of order 2."""
    f, _ = DETEST["A3"]
    for method, order, tolerance in (
        (dd.DormandPrince(), 5, 1e-7),
        (dd.BogackiShampine(), 3, 1e-6),
        (dd.HeunEuler(), 2, 1e-4),
    ):
        n = [steps_of(method, f, 1.0, [0.0, 20.0], x * tolerance)[1] for x in (1, 1e-2)]
        assert np.log(100) / np.log(n[1] / n[0]) == pytest.approx(order, rel=0.15)


def test_times_that_are_asked_for_do_not_make_other_steps_shorter():
    few, _ = steps_of(dd.DormandPrince(), decay, 1.0, [0.0, 10.0], 1e-8)
    more, _ = steps_of(dd.DormandPrince(), decay, 1.0, [0.0, 0.1, 0.1001, 5.0, 10.0], 1e-8)
    assert len(few) < len(more) <= len(few) + 2 * 3


def test_what_cannot_be_solved_is_an_error():
    with pytest.raises(SimulationError, match=r"at t = 1\.0000\d*, the step .* y diverges"):
        dd.integrate(lambda t, y: y**2, 1.0, [0.0, 2.0])
    with pytest.raises(SimulationError, match=r"after 0 accepted .* f is not finite"):
        dd.integrate(lambda t, y: jnp.sqrt(y), -1.0, [0.0, 2.0])
    with pytest.raises(SimulationError, match=r"max_steps = 50 is reached.*Raise max_steps"):
        dd.integrate(lambda t, y: jnp.cos(99 * t), 1.0, [0.0, 9.0], max_steps=50)
    with pytest.raises(SimulationError, match=r"y\['a'\] is not finite at t = 2.0"):
        grid = {"method": dd.RK4(), "dt": 0.01}
        dd.integrate(lambda t, y: {"a": y["a"] ** 2}, {"a": 1.0}, [0.0, 0.5, 2.0], **grid)
    y = jax.jit(lambda y: dd.integrate(lambda t, y: y**2, y, [0.0, 0.5, 2.0]))(1.0)
    assert y[1] == pytest.approx(2.0, rel=1e-5) and np.isnan(y[2])


# any pytree


A = np.array([[-1.0, 2.0, 0.0], [0.0, -3.0, 1.0], [0.3, 0.0, -0.2]])
METHODS = {  # and how near they are
    dd.DormandPrince(): 1e-11,
    dd.Exact(): 1e-13,
    dd.ExpEuler(): 0.02,
    dd.BackwardEuler(): 0.02,
    dd.CrankNicolson(): 1e-4,
}


@pytest.mark.parametrize(
    "method",
    [
        pytest.param(
            method,
            id=type(method).__name__,
            marks=pytest.mark.slow if isinstance(method, dd.BackwardEuler) else [],
        )
        for method in METHODS
    ],
)
def test_arrays_in_a_tree_are_one_system(method):
    """Elements of an array depend on each other, which cells do not; times are not equidistant."""
    matrix, tolerance = jnp.asarray(A), METHODS[method]

    def f(t, y):
        x = jnp.append(y["x"], y["z"][0])
        change = matrix @ x
        return {"x": change[:2], "z": (change[2],)}

    y0 = {"x": np.array([1.0, -1.0]), "z": (0.5,)}
    ts = [1.0, 1.03, 1.5, 3.0]
    y = dd.integrate(f, y0, ts, method=method, dt=0.01)
    found = np.concatenate([y["x"], y["z"][0][:, None]], axis=1)
    expected = [expm(A * (t - 1.0)) @ [1.0, -1.0, 0.5] for t in ts]
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


def test_own_slope_of_an_element_is_what_exponential_euler_takes():
    """y' = [[-5, 1], [1, -9]] y: each element by its own diagonal, as two numbers would be."""
    array = dd.integrate(
        lambda t, y: jnp.array([[-5.0, 1.0], [1.0, -9.0]]) @ y,
        np.ones(2), [0.0, 0.4], method=dd.ExpEuler(), dt=0.2,
    )  # fmt: skip
    pair = dd.integrate(
        lambda t, y: (-5.0 * y[0] + y[1], y[0] - 9.0 * y[1]),
        (1.0, 1.0), [0.0, 0.4], method=dd.ExpEuler(), dt=0.2,
    )  # fmt: skip
    np.testing.assert_allclose(array[-1], [x[-1] for x in pair], rtol=1e-14)


def test_types_are_kept():
    y0 = {"half": np.float32(1.0), "whole": np.float64(1.0), "wave": np.complex64(1.0)}
    f = lambda t, y: {"half": -y["half"], "whole": -y["whole"], "wave": 1j * y["wave"]}  # noqa: E731
    for options in ({}, {"method": dd.RK4(), "dt": 0.1}):
        y = dd.integrate(f, y0, [0.0, 1.0], **options)
        assert {k: v.dtype.name for k, v in y.items()} == {
            "half": "float32", "whole": "float64", "wave": "complex64",
        }  # fmt: skip
        assert y["half"][-1] == pytest.approx(np.exp(-1.0), rel=1e-5)
        assert y["wave"][-1] == pytest.approx(np.exp(1j), rel=1e-5)


def test_without_wide_numbers():
    """The user's flag is off: everything is of 32 bits, times included."""
    with jax.enable_x64(False):
        for options in ({"rtol": 1e-5, "atol": 1e-6}, {"method": dd.CrankNicolson(), "dt": 0.01}):
            y = dd.integrate(lambda t, y: y * jnp.cos(t), 1.0, [0.0, 1.0, 2.0], **options)
            assert y.dtype == jnp.float32
            assert y[-1] == pytest.approx(np.exp(np.sin(2.0)), rel=1e-4)


def test_one_time_is_the_beginning():
    assert dd.integrate(decay, 3.0, [1.0]).tolist() == [3.0]
    assert dd.integrate(decay, 3.0, [1.0], method=dd.RK4(), dt=0.1).tolist() == [3.0]


# transformations


def final(rate, y0, T=1.0, **options):
    ts = np.array([0.0, 0.5, 1.0]) if options.get("dt") else jnp.stack([0.0, 0.5 * T, 1.0 * T])
    return dd.integrate(lambda t, y: -rate * y, y0, ts, **options)[-1]


ROADS = pytest.mark.parametrize(
    "options",
    [{"rtol": 1e-10, "max_steps": 300}, {"method": dd.RK4(), "dt": 0.002}],
    ids=["chosen", "grid"],
)


@ROADS
def test_derivatives_forward_and_backward(options):
    """Of y0 exp(-rate T), where rate comes in by a closure."""
    f = lambda rate, y0: final(rate, y0, **options)  # noqa: E731
    at, e = (2.0, 3.0), np.exp(-2.0)
    for transform in (jax.grad, jax.jacfwd):
        by_rate, by_y0 = jax.jit(transform(f, (0, 1)))(*at)
        assert by_rate == pytest.approx(-3.0 * e, rel=1e-7)
        assert by_y0 == pytest.approx(e, rel=1e-7)


@ROADS
@pytest.mark.slow
def test_second_derivative(options):
    by_rate = jax.jit(jax.hessian(lambda rate: final(rate, 3.0, **options)))(2.0)
    assert by_rate == pytest.approx(3.0 * np.exp(-2.0), rel=1e-6)


def test_derivative_by_the_time():
    by_T = jax.grad(lambda T: final(2.0, 3.0, T, rtol=1e-10, max_steps=300))(1.0)
    assert by_T == pytest.approx(-6.0 * np.exp(-2.0), rel=1e-7)


def test_derivative_through_an_implicit_system():
    """Of Newton's method for whole matrices, against differences."""

    def f(rate):
        g = lambda t, y: jnp.stack([-rate * y[0] ** 3 + y[1], y[0] - 2 * y[1]])  # noqa: E731
        y = dd.integrate(g, np.ones(2), [0.0, 1.0], method=dd.CrankNicolson(), dt=0.05)
        return y[-1].sum()

    by_rate = jax.jit(jax.grad(f))(2.0)
    value = jax.jit(f)
    assert by_rate == pytest.approx(float(value(2.0 + 1e-5) - value(2.0 - 1e-5)) / 2e-5, rel=1e-7)
    assert by_rate == pytest.approx(float(jax.jit(jax.jacfwd(f))(2.0)), rel=1e-12)


def test_each_system_has_steps_of_its_own():
    """Side by side, systems give what each gives alone: none waits for the stiffest."""
    rates = jnp.array([1.0, 10.0, 300.0])
    alone = lambda rate: final(rate, 3.0)  # noqa: E731
    many, alone = jax.jit(jax.vmap(alone))(rates), jax.jit(alone)
    for rate, y in zip(rates, many, strict=True):
        assert y == pytest.approx(float(alone(rate)), rel=1e-13, abs=1e-15)


def test_arguments_of_the_function():
    y = dd.integrate(lambda t, y, a, b: a * b["x"] - y, 0.0, [0.0, 50.0], args=(2, {"x": 3.0}))
    assert y[-1] == pytest.approx(6.0, rel=1e-6)


# errors


@pytest.mark.parametrize(
    "arguments, error, message",
    [
        ({"ts": [0.0, 2.0, 1.0]}, TimeError, r"ts\[2\] = 1.0 does not come after ts\[1\] = 2.0"),
        ({"ts": [0.0, 1.0, 1.0]}, TimeError, "does not come after"),
        ({"ts": [0.0, np.nan]}, TimeError, r"ts\[1\] is not finite"),
        ({"ts": 3.0}, TimeError, "Give a list of times"),
        ({"ts": [0.0, 1.05], "dt": 0.1}, TimeError, "10.5 steps of dt = 0.1"),
        ({"dt": 0.0}, TimeError, "dt = 0.0 is no length of a step"),
        ({"y0": np.array([1, 2])}, ParameterError, r"y0 is of type int64.*astype\(float\)"),
        ({"y0": {"a": np.inf}}, ParameterError, r"y0\['a'\] = inf is not finite"),
        ({"y0": ()}, ParameterError, "y0 has no numbers"),
        ({"f": lambda t, y: (y,)}, ParameterError, "f returns .* but y0 is"),
        ({"f": lambda t, y: jnp.ones(2)}, ParameterError, r"f has the shape \(2,\), but y0 \(\)"),
        ({"f": lambda t, y: 1j * y}, ParameterError, "f is complex, but y0 is not"),
        ({"method": dd.RK4}, ParameterError, r"is no integrator. Give one: method=RK4\(\)"),
        ({"method": "rk4"}, ParameterError, "'rk4' is no integrator"),
        ({"method": dd.RK4()}, ParameterError, "RK4 does not estimate its error and needs dt"),
        ({"dt": 0.1, "rtol": 1e-3}, ParameterError, "either dt or tolerances"),
        ({"rtol": -1.0}, ParameterError, "rtol = -1.0. Give numbers >= 0"),
        ({"rtol": 0.0, "atol": 0.0}, ParameterError, "one of them positive"),
        ({"max_steps": 0}, ParameterError, "max_steps = 0"),
        ({"ts": "abc"}, TimeError, "ts = 'abc' is no list of times"),
        ({"args": 3}, ParameterError, r"args = 3 is no tuple. Give args=\(3,\)"),
        (
            {"f": lambda t, y: -(y**3), "method": dd.Exact(), "dt": 0.1},
            ParameterError,
            "the equations are not linear",
        ),
    ],
)
def test_what_does_not_fit_is_refused(arguments, error, message):
    given = {"f": decay, "y0": 1.0, "ts": [0.0, 1.0]} | arguments
    with pytest.raises(error, match=message):
        dd.integrate(given.pop("f"), given.pop("y0"), given.pop("ts"), **given)


def test_traced_times_have_no_grid():
    solve = lambda ts: dd.integrate(decay, 1.0, ts, method=dd.RK4(), dt=0.1)  # noqa: E731
    with pytest.raises(TimeError, match="ts must be known when the function is traced"):
        jax.jit(solve)(jnp.array([0.0, 1.0]))
