"""Stochastic schemes against closed forms; bounds are of 4 standard errors unless they say why."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import distdyn as dd
from distdyn.core import Cell, Receptor
from distdyn.core.integrators import ExactOU, ExpEulerMaruyama, StochasticHeun
from distdyn.errors import MethodError, ParameterError
from distdyn.ops.normal import Stream, normal_pair
from tests.core.equations import Coupled, Decay


class Growth(dd.ODE):
    """dX = l X dt + m X dW, X(0) = 1: geometric Brownian motion."""

    l: float = 1.0
    m: float = 0.5

    class State(NamedTuple):
        X: jax.Array

    def init(self, id, key):
        return self.State(X=1.0)

    def derivative(self, t, s, drive):
        return self.State(X=self.l * s.X)

    def diffusion(self, t, s, drive):
        return self.State(X=self.m * s.X)


class StratonovichGrowth(Growth):
    noise = "stratonovich"


class Sinh(dd.ODE):
    """X = sinh(l t + m W + asinh X(0)): drift and noise are not linear."""

    l: float = 0.5
    m: float = 0.5

    class State(NamedTuple):
        X: jax.Array

    def init(self, id, key):
        return self.State(X=0.5)

    def derivative(self, t, s, drive):
        return self.State(X=self.l * jnp.sqrt(1 + s.X**2) + self.m**2 / 2 * s.X)

    def diffusion(self, t, s, drive):
        return self.State(X=self.m * jnp.sqrt(1 + s.X**2))


class StratonovichSinh(Sinh):
    noise = "stratonovich"

    def derivative(self, t, s, drive):
        return self.State(X=self.l * jnp.sqrt(1 + s.X**2))


class Clocked(Sinh):
    """X = (X(0) + l t + m W) / sqrt(1 + t): drift and noise change with time."""

    def derivative(self, t, s, drive):
        return self.State(X=self.l / jnp.sqrt(1 + t) - s.X / (2 * (1 + t)))

    def diffusion(self, t, s, drive):
        return self.State(X=self.m / jnp.sqrt(1 + t))


class OU(dd.ODE):
    """dx = -x / tau dt + sigma dW."""

    tau: float = 10.0
    sigma: float = 1.0

    class State(NamedTuple):
        x: jax.Array

    def init(self, id, key):
        return self.State(x=0.0)

    def derivative(self, t, s, drive):
        return self.State(x=-s.x / self.tau)

    def diffusion(self, t, s, drive):
        return self.State(x=self.sigma)


class StratonovichOU(OU):
    noise = "stratonovich"


@pytest.fixture(autouse=True)
def _double_precision():
    with jax.enable_x64(True):
        yield


def end(model, n, h, paths, seed=1, start=None):
    """X at n h of so many paths, and the Wiener process W at n h that drove them."""
    (x,) = model.init(0, None) if start is None else (start,)
    x, W = _end(model, n, h, np.full(paths, x), np.array([seed, n], np.uint32))
    return np.asarray(x), np.asarray(W)


@jax.jit
def _end(model, n, h, start, seed):
    """One program for all n and h."""
    stream = Stream(*seed, jnp.arange(start.size, dtype=jnp.uint32))

    def step(k, carry):
        state, W = carry
        state, _ = model.step(state, dd.Drive(), dd.Tick(k, h, k * h, stream))
        return state, W + jnp.sqrt(h) * normal_pair(stream, k, 0, W.dtype)[0]

    (x,), W = jax.lax.fori_loop(0, n, step, (model.State(start), jnp.zeros_like(start)))
    return x, W


def solution(model, W, T=1.0):
    if isinstance(model, Clocked):
        return (0.5 + model.l * T + model.m * W) / np.sqrt(1 + T)
    if isinstance(model, Sinh):
        return np.sinh(model.l * T + model.m * W + np.arcsinh(0.5))
    ito = isinstance(model, StratonovichGrowth)
    return np.exp((model.l - (0.0 if ito else model.m**2 / 2)) * T + model.m * W)


def strong_error(model, n, paths, seed=1):
    """Root mean square at T = 1, and its standard error."""
    x, W = end(model, n, 1.0 / n, paths, seed)
    square = (x - solution(model, W)) ** 2
    rms = np.sqrt(square.mean())
    return rms, square.std() / np.sqrt(paths) / (2 * rms)


def expected_error(l, m, n, *, milstein):
    """E (X_n - X(1))^2 = a^n - 2 b^n + c^n, as steps are independent factors."""
    h = 1.0 / n
    more = m**4 * h**2 / 2 if milstein else 0.0
    a = (1 + l * h) ** 2 + m**2 * h + more
    b = np.exp(l * h) * (1 + l * h + m**2 * h + more)
    return np.sqrt(a**n - 2 * b**n + np.exp(2 * l + m**2))


# N18: strong and weak errors on the same Wiener process

TABLE = {6: (1.32903, 0.79911), 8: (0.57655, 0.21005), 10: (0.27424, 0.05319)}


def test_expected_errors_are_those_of_the_table():
    for k, errors in TABLE.items():
        found = [expected_error(2.0, 1.0, 2**k, milstein=milstein) for milstein in (False, True)]
        np.testing.assert_allclose(found, errors, atol=5.1e-6)


@pytest.mark.parametrize("method", [dd.EulerMaruyama(), dd.Milstein()], ids=["EM", "Milstein"])
@pytest.mark.parametrize(
    "l, m, paths", [(1.0, 0.5, 20_000), pytest.param(2.0, 1.0, 10**6, marks=pytest.mark.slow)]
)
def test_strong_error(method, l, m, paths):
    """20,000 paths of small noise; a million, of heavy tails, of the noise of the table."""
    for n in (16, 64) if paths < 10**6 else (64, 256, 1024):
        found, error = strong_error(Growth(l=l, m=m, method=method), n, paths)
        expected = expected_error(l, m, n, milstein=isinstance(method, dd.Milstein))
        assert found == pytest.approx(expected, abs=4 * error)


@pytest.mark.parametrize(
    "model, order",
    [
        (Sinh(method=dd.EulerMaruyama()), 0.5),
        (Sinh(method=dd.Milstein()), 1.0),
        (Sinh(method=dd.SRK1W1()), 1.5),
        (StratonovichSinh(method=dd.StochasticHeun()), 1.0),
        (Clocked(method=dd.SRK1W1()), 2.0),
        *(
            pytest.param(model, order, marks=pytest.mark.slow)
            for model, order in (
                (Sinh(l=0.05, method=dd.TamedEuler()), 0.5),
                (Sinh(method=dd.KlPl()), 1.0),
                (Sinh(method=dd.SRK2W1()), 1.5),
                (Sinh(method=dd.ExpEulerMaruyama()), 0.5),
                (StratonovichSinh(method=dd.Milstein()), 1.0),
                (Sinh(method=dd.Milstein(gradient=False)), 1.0),
                (StratonovichSinh(method=dd.Milstein(gradient=False)), 1.0),
                (Clocked(method=dd.EulerMaruyama()), 1.0),
                (Clocked(method=dd.SRK2W1()), 2.0),
            )
        ),
    ],
    ids=lambda x: f"{type(x).__name__}-{type(x.method).__name__}" if isinstance(x, Sinh) else "",
)
def test_strong_order(model, order):
    """Over three halvings; 4,000 paths leave an error of 0.03 in the slope.

    Additive noise in a linear equation has no error of order 3/2.
    """
    coarse, fine = (strong_error(model, n, 4000)[0] for n in (16, 128))
    assert np.log2(coarse / fine) / 3 == pytest.approx(order, abs=0.15)


def phi(x):
    return np.expm1(x) / x


# X(h) / X(0) of the linear equation, by formula: q = l h, r = m sqrt(h), z = dW / sqrt(h).
GROWN = {
    dd.EulerMaruyama(): lambda q, r, z: 1 + q + r * z,
    dd.TamedEuler(): lambda q, r, z: 1 + q / (1 + q) + r * z,
    dd.ExpEulerMaruyama(): lambda q, r, z: np.exp(q) + r * z * np.sqrt(phi(2 * q)),
    dd.Milstein(): lambda q, r, z: 1 + q + r * z + r**2 * (z**2 - 1) / 2,
    dd.Milstein(gradient=False): lambda q, r, z: 1 + q + r * z + r**2 * (z**2 - 1) / 2,
    dd.KlPl(): lambda q, r, z: 1 + q + r * z + r * (q + r) * (z**2 - 1) / 2,
}
GROWN_STRATONOVICH = {
    dd.Milstein(): lambda q, r, z: 1 + q + r * z + r**2 * z**2 / 2,
    dd.Milstein(gradient=False): lambda q, r, z: 1 + q + r * z + r**2 * z**2 / 2,
    dd.StochasticHeun(): lambda q, r, z: 1 + q + r * z + (q + r * z) ** 2 / 2,
}


@pytest.mark.parametrize(
    "kind, method",
    [
        *((Growth, method) for method in GROWN),
        *((StratonovichGrowth, method) for method in GROWN_STRATONOVICH),
    ],
    ids=lambda x: x.__name__ if isinstance(x, type) else type(x).__name__,
)
def test_a_step_is_that_of_the_formula(kind, method):
    l, m, h = 0.7, 0.4, 0.25
    x, W = end(kind(l=l, m=m, method=method), 1, h, 50)
    formula = (GROWN if kind is Growth else GROWN_STRATONOVICH)[method]
    np.testing.assert_allclose(x, formula(l * h, m * np.sqrt(h), W / np.sqrt(h)), rtol=1e-14)


@pytest.mark.parametrize("method", [dd.SRK1W1(), dd.SRK2W1()], ids=["SRI1W1", "SRI2W1"])
def test_the_integral_of_noise_that_drives_another_variable(method):
    """dx = y dt, dy = dW: in one step x is the integral of W, by a second draw beside dW."""

    class Driven(Filtered):
        def derivative(self, t, s, drive):
            return self.State(V=s.y, y=0.0 * s.y)

    h, stream = 2.0, Stream(jnp.uint32(1), jnp.uint32(2), jnp.arange(20_000, dtype=jnp.uint32))
    start = Driven.State(V=jnp.ones(20_000), y=jnp.full(20_000, 0.5))
    tick = dd.Tick(0, h, 0.0, stream)
    x, y = jax.jit(lambda: Driven(method=method).step(start, dd.Drive(), tick)[0])()
    z, other = jax.jit(lambda: normal_pair(stream, 0, 1, np.float64))()
    np.testing.assert_allclose(y, 0.5 + np.sqrt(h) * z, rtol=1e-12, atol=1e-12)
    integral = h**1.5 * (z + other / np.sqrt(3)) / 2
    np.testing.assert_allclose(x, 1.0 + 0.5 * h + integral, rtol=1e-12, atol=1e-12)
    assert integral.var() == pytest.approx(h**3 / 3, rel=4 * np.sqrt(2 / 20_000))


def test_noise_of_variables_cells_and_steps_is_independent():
    class Two(Filtered):
        def derivative(self, t, s, drive):
            return self.State(V=0.0 * s.V, y=0.0 * s.y)

        def diffusion(self, t, s, drive):
            return self.State(V=1.0, y=1.0)

    n, found = 20_000, []
    for k in range(2):
        stream = Stream(jnp.uint32(1), jnp.uint32(2), jnp.arange(n, dtype=jnp.uint32))
        zero, tick = Two.State(V=jnp.zeros(n), y=jnp.zeros(n)), dd.Tick(k, 1.0, 1.0 * k, stream)
        step = Two(method=dd.EulerMaruyama()).step
        found += jax.jit(lambda tick, step=step, zero=zero: step(zero, dd.Drive(), tick)[0])(tick)
    found.append(jnp.roll(found[0], 1))
    correlation = np.corrcoef(np.stack(found)) - np.eye(5)
    assert np.abs(correlation).max() < 4 / np.sqrt(n)


def test_mean_of_euler_maruyama():
    """E X_n = (1 + l h)^n; the table of weak errors, and 20,000 paths."""
    for k, mean in ((6, 7.16628), (8, 7.33185), (10, 7.37466)):
        assert (1 + 2.0 / 2**k) ** (2**k) == pytest.approx(mean, abs=5e-6)
    x, _ = end(Growth(method=dd.EulerMaruyama()), 16, 1 / 16, 20_000)
    assert x.mean() == pytest.approx((1 + 1 / 16) ** 16, abs=4 * x.std() / np.sqrt(x.size))


# N19: Ito and Stratonovich


@pytest.mark.parametrize(
    "kind, method, mean",
    [
        (Growth, dd.Milstein(), np.exp(0.5)),
        (StratonovichGrowth, dd.Milstein(), np.exp(1.0)),
        pytest.param(StratonovichGrowth, None, np.exp(1.0), marks=pytest.mark.slow),
    ],
)
def test_calculus_decides_over_the_mean(kind, method, mean):
    """The step's own error is a fifth of four standard errors, 0.06 and 0.1."""
    x, _ = end(kind(l=0.5, m=1.0, method=method), 64, 1 / 64, 20_000)
    assert x.mean() == pytest.approx(mean, abs=4 * x.std() / np.sqrt(x.size))


# N20: stationary Ornstein-Uhlenbeck processes, of one step and in populations


@pytest.mark.parametrize(
    "method, noise, h, variance",
    [
        (None, "ito", 1.0, 5.0),
        (dd.ExpEulerMaruyama(), "ito", 1.0, 5.0),
        (dd.EulerMaruyama(), "ito", 0.1, 5.0251256),
        (dd.EulerMaruyama(), "ito", 1.0, 5.2631579),
        (dd.StochasticHeun(), "stratonovich", 1.0, 4.9868766),
    ],
    ids=["exact", "ExpEM", "EM, 0.1", "EM", "Heun"],
)
def test_stationary_variance_that_a_step_leads_to(method, noise, h, variance):
    """X' = a X + b dW has the variance b^2 h / (1 - a^2)."""
    model = (OU if noise == "ito" else StratonovichOU)(method=method)
    (at_0, W), (at_1, _) = (end(model, 1, h, 5, start=x) for x in (0.0, 1.0))
    a, b = at_1 - at_0, at_0 / W
    np.testing.assert_allclose(a, a[0], rtol=1e-12)
    np.testing.assert_allclose(b, b[0], rtol=1e-12)
    assert b[0] ** 2 * h / (1 - a[0] ** 2) == pytest.approx(variance, abs=5.1e-8)
    if method is None:
        assert b[0] ** 2 * h == pytest.approx(0.90634623, abs=5.1e-9)


def stationary(model, dt, n=200_000, T=100.0, seed=3):
    runner = dd.DSRunner(Many(n, model), dt=dt, seed=seed, progress="off")
    runner.run(T)
    return runner


class Many(dd.Network):
    def __init__(self, n, model):
        self.N = dd.Population(n, model)


@pytest.mark.parametrize(
    "model, dt, n, variance",
    [
        (OU(), 0.1, 10**6, 5.0),
        (OU(method=dd.EulerMaruyama()), 1.0, 10**6, 5.2631579),
        (OU(method=dd.ExpEulerMaruyama()), 1.0, 10**6, 5.0),
        (OU(method=dd.EulerMaruyama()), 0.1, 10**6, 5.0251256),
        (StratonovichOU(method=dd.StochasticHeun()), 1.0, 10**6, 4.9868766),
    ],
    ids=["exact, 0.1", "EM", "ExpEM", "EM, 0.1", "Heun"],
)
@pytest.mark.slow
def test_stationary_variance(model, dt, n, variance):
    """After 10 time constants 2e-9 of it are missing; its standard error is sqrt(2 / n) of it."""
    x = stationary(model, dt, n)["N"].x.astype(float)
    bound = 4 * variance * np.sqrt(2 / n)
    assert x.var() == pytest.approx(variance, abs=bound)
    assert abs(x.mean()) < 4 * np.sqrt(variance / n)


def test_exact_update_and_autocorrelation():
    """From 0 the variance after 1 ms; that of the stationary process, and what tau leaves."""
    runner = dd.DSRunner(Many(200_000, OU()), dt=1.0, seed=5, progress="off")
    runner.run(1.0)
    variance = 5 * (1 - np.exp(-0.2))
    assert variance == pytest.approx(0.90634623, abs=1e-8)
    assert runner["N"].x.astype(float).var() == pytest.approx(variance, rel=4 * np.sqrt(1e-5))
    runner.run(99.0)
    before = runner["N"].x
    assert before.astype(float).var() == pytest.approx(5.0, rel=4 * np.sqrt(1e-5))
    runner.run(10.0)
    r = np.exp(-1.0)
    found = np.corrcoef(before, runner["N"].x)[0, 1]
    assert found == pytest.approx(r, abs=4 * (1 - r**2) / np.sqrt(200_000))


class Filtered(dd.ODE):
    """dV = (y - V) / tau dt,  dy = -y / tau_y dt + dW: noise reaches V through y alone."""

    tau: float = 10.0
    tau_y: float = 5.0

    class State(NamedTuple):
        V: jax.Array
        y: jax.Array

    def init(self, id, key):
        return self.State(V=0.0, y=0.0)

    def derivative(self, t, s, drive):
        return self.State(V=(s.y - s.V + drive.current) / self.tau, y=-s.y / self.tau_y)

    def diffusion(self, t, s, drive):
        return self.State(V=0.0, y=1.0)


def test_exact_for_several_variables_whatever_the_step():
    """Var y = tau_y / 2,  cov = var V = var y tau_y / (tau + tau_y), at steps as long as tau_y."""
    runner = stationary(Filtered(), 5.0)
    covariance = np.cov(runner["N"].V, runner["N"].y)
    y, V = 2.5, 2.5 / 3
    expected = np.array([[V, V], [V, y]])
    errors = np.sqrt((np.diag(expected)[:, None] * np.diag(expected) + expected**2) / 200_000)
    assert (np.abs(covariance - expected) < 4 * errors).all()


def test_any_function():
    """The numbers of an array have noise of their own; g may be None for a part of y."""

    def drift(t, y):
        return {"x": -y["x"] / 10, "t": 1.0}

    def strength(t, y):
        return {"x": jnp.ones_like(y["x"]), "t": None}

    y0, ts = {"x": jnp.zeros(50_000), "t": 0.0}, [0.0, 100.0]
    found = dd.integrate(drift, y0, ts, dt=1.0, diffusion=strength, key=jax.random.key(1))
    x = np.asarray(found["x"][-1])
    assert x.var() == pytest.approx(5.0, abs=4 * 5.0 * np.sqrt(2 / 50_000))
    assert float(found["t"][-1]) == pytest.approx(100.0)
    with pytest.raises(ParameterError, match=r"Give key=jax\.random\.key"):
        dd.integrate(drift, y0, ts, dt=1.0, diffusion=strength)
    with pytest.raises(MethodError, match=r'the equation: .* "ito", StochasticHeun is for'):
        given = {"diffusion": strength, "method": dd.StochasticHeun(), "key": jax.random.key(1)}
        dd.integrate(drift, y0, ts, dt=1.0, **given)


# what is drawn, and what a step needs


def test_noise_of_a_variable_does_not_depend_on_the_step_before_or_on_who_asks():
    """X after one step gives dW back; a run's is that of the seed, path and id."""
    h, n = 0.25, 5
    x, W = end(OU(method=dd.EulerMaruyama()), 1, h, n)
    np.testing.assert_allclose(x, W, rtol=1e-12)
    some = end(OU(method=dd.EulerMaruyama()), 1, h, 3)[0]
    np.testing.assert_array_equal(some, x[:3])


@pytest.mark.parametrize("method", [None, dd.EulerMaruyama()], ids=["exact", "EM"])
def test_held_cells_have_no_noise_in_V(method):
    cell = Cell.of(NoisyLIF(method=method), (Receptor(dd.Exponential(tau=5.0), dd.CUBA()),))
    state = jax.tree.map(lambda x: jnp.broadcast_to(jnp.asarray(x), 2), cell.init(0, None))
    state = state._replace(refractory=jnp.array([3, 0], jnp.int32))
    tick = dd.Tick(jnp.int64(0), 0.1, 0.0, jax.random.key(0))
    step = jax.jit(lambda state: cell.step(state, dd.Drive(0.0, (jnp.zeros(2),)), tick))
    after, _ = step(state)
    assert float(after.neuron.V[0]) == -65.0 != float(after.neuron.V[1])
    assert float(after.neuron.y[0]) != 0.0


class NoisyLIF(dd.ODE):
    """dV = (E_L - V + y) / tau dt + dW,  dy = -y / tau dt + dW: reset at V_th."""

    tau: float = 10.0
    V_th: float = -50.0
    V_reset: float = -65.0
    t_ref: float = 2.0

    class State(NamedTuple):
        V: jax.Array
        y: jax.Array

    def init(self, id, key):
        return self.State(V=-65.0, y=0.0)

    def derivative(self, t, s, drive):
        return self.State(V=(-65.0 - s.V + s.y + drive.current) / self.tau, y=-s.y / self.tau)

    def diffusion(self, t, s, drive):
        return self.State(V=1.0, y=1.0)

    def reset(self, s):
        return s._replace(V=self.V_reset)


def test_default_methods():
    assert isinstance(Cell.of(OU()).method, ExactOU)
    assert isinstance(Cell.of(NoisyLIF()).method, ExactOU)
    assert isinstance(Cell.of(Growth()).method, ExpEulerMaruyama)
    assert isinstance(Cell.of(StratonovichGrowth()).method, StochasticHeun)


@pytest.mark.parametrize(
    "model, what",
    [
        (Growth(method=dd.StochasticHeun()), '"ito".*StochasticHeun is for "stratonovich"'),
        (StratonovichGrowth(method=dd.EulerMaruyama()), '"stratonovich".*is for "ito"'),
        (StratonovichGrowth(method=dd.SRK1W1()), "is for"),
        (Growth(method=dd.RK4()), "has noise: .* is not for it"),
        (Coupled(method=dd.Milstein()), "Coupled: Milstein is for noise"),
    ],
)
def test_a_method_for_other_equations_is_refused(model, what):
    with pytest.raises(MethodError, match=what):
        Cell.of(model)
    with pytest.raises(MethodError, match=what):
        dd.DSRunner(model, dt=0.1)


def test_a_step_without_a_key_is_refused():
    with pytest.raises(ParameterError, match=r"key=jax\.random\.key"):
        model = OU(method=dd.EulerMaruyama())
        model.step(OU.State(x=jnp.zeros(())), dd.Drive(), dd.Tick(0, 0.1, 0.0))
    assert Decay(method=dd.Euler()).step(
        Decay.State(y=jnp.ones(())), dd.Drive(), dd.Tick(0, 0.1, 0.0)
    )


def test_strengths_that_are_not_like_the_state_are_refused():
    class Bare(OU):
        def diffusion(self, t, s, drive):
            return 1.0

    with pytest.raises(ParameterError, match=r"Bare\.diffusion returns .* but the state is"):
        Cell.of(Bare())


@pytest.mark.parametrize(
    "given, words",
    [
        ({"diffusion": 1.0}, "diffusion = 1.0 is no function"),
        ({"diffusion": lambda t, y: {"a": y}}, "diffusion returns"),
        ({"diffusion": lambda t, y: jnp.ones(2)}, r"of y has the shape \(2,\), but y \(3,\)"),
        ({"y0": jnp.ones(3, complex)}, "y has noise but is complex"),
        ({"noise": "itto"}, 'noise = "itto" is no calculus'),
        ({"key": 3}, r"key = 3 is none. Give key=jax\.random"),
        ({"key": jax.random.split(jax.random.key(0), 2)}, r"key has the shape \(2,\)"),
        ({"dt": None}, "on a grid of steps. Give dt"),
        ({"method": dd.RK4()}, "has noise: RK4 is not for it"),
        ({"diffusion": None, "method": dd.KlPl()}, "KlPl is for noise, but"),
    ],
)
def test_noise_that_does_not_fit_a_function_is_refused(given, words):
    noisy = {"diffusion": lambda t, y: jnp.ones(3), "key": jax.random.key(0), "dt": 0.1}
    given = {"y0": jnp.ones(3)} | noisy | given
    with pytest.raises((ParameterError, MethodError), match=words):
        dd.integrate(lambda t, y: -y, given.pop("y0"), [0.0, 1.0], **given)


def test_an_unknown_calculus_is_refused():
    class Other(OU):
        noise = "itto"

    with pytest.raises(ParameterError, match='noise = "itto"'):
        Cell.of(Other())


@pytest.mark.slow
def test_tamed_euler_survives_where_euler_maruyama_does_not():
    """dX = -X^5 dt + X dW from 4 with steps of 0.1: h |f| / |X| is 26."""

    class Quintic(Growth):
        def derivative(self, t, s, drive):
            return self.State(X=-(s.X**5))

        def init(self, id, key):
            return self.State(X=4.0)

    tamed, _ = end(Quintic(method=dd.TamedEuler()), 100, 0.1, 100)
    assert np.abs(tamed).max() < 4.0
    wild, _ = end(Quintic(method=dd.EulerMaruyama()), 100, 0.1, 100)
    assert not np.isfinite(wild).all()
