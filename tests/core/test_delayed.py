"""Equations with delays against exact solutions: values, orders, what lies before the start."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import distdyn as dd
from distdyn.core import Cell
from distdyn.core.integrators import Delayed
from distdyn.errors import DelayError, MethodError, NameLookupError, ParameterError, SimulationError
from tests.core.equations import Decay


class Delay(dd.ODE):
    """y' = -y(t - tau), y = 1 until 0."""

    tau: float = 1.0

    class State(NamedTuple):
        y: jax.Array

    def init(self, id, key):
        return self.State(y=1.0)

    def derivative(self, t, s, drive, past):
        return self.State(y=-past("y", self.tau))


class MackeyGlass(dd.ODE):
    """x' = beta x_tau / (1 + x_tau^n) - gamma x,  x_tau = x(t - tau)."""

    beta: float = 0.2
    gamma: float = 0.1
    n: float = 10.0
    tau: float = 17.0

    class State(NamedTuple):
        x: jax.Array

    def init(self, id, key):
        return self.State(x=1.2)

    def derivative(self, t, s, drive, past):
        x = past("x", self.tau)
        return self.State(x=self.beta * x / (1 + x**self.n) - self.gamma * s.x)


class Running(dd.ODE):
    """y' = y y(log y) / t from t = 1, where y = 1 until then: the delay is t - log y."""

    longest = 5.0

    class State(NamedTuple):
        y: jax.Array

    def init(self, id, key):
        return self.State(y=1.0)

    def derivative(self, t, s, drive, past):
        return self.State(y=s.y * past("y", t - jnp.log(s.y)) / t)


class Neutral(dd.ODE):
    """y' = (e^-1 y'(t - 1) - y) / 2, y = e^-t before: y = e^-t."""

    class State(NamedTuple):
        y: jax.Array

    def init(self, id, key):
        return self.State(y=1.0)

    def history(self, t):
        return self.State(y=jnp.exp(-t))

    def derivative(self, t, s, drive, past):
        return self.State(y=(np.exp(-1.0) * past.slope("y", 1.0) - s.y) / 2)


@pytest.fixture(autouse=True)
def _double_precision():
    with jax.enable_x64(True):
        yield


def trajectory(model, T, dt, t0=0.0):
    """The state after each step up to time T, by a scan of `model.step`."""
    start = model.start(model.init(0, None), dt)

    def step(state, k):
        state, _ = model.step(state, dd.Drive(), dd.Tick(k, dt, t0 + k * dt))
        return state, state.now[0]

    steps = jnp.arange(round((T - t0) / dt))
    return np.asarray(jax.jit(lambda: jax.lax.scan(step, start, steps))()[1])


# N27

T27 = np.array([0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 5.0, 7.5, 10.0])
Y27 = [0.5, 0.0, -0.375, -0.5, -0.3958333333, -1 / 6, 0.1583333333, -0.0593578520, 0.0202411265]


def test_constant_delay():
    found = trajectory(Delay(method=dd.RK4()), 10.0, 0.01)[np.rint(T27 / 0.01).astype(int) - 1]
    np.testing.assert_allclose(found, Y27, atol=1e-7)


def test_a_delay_off_the_grid_is_read_between_the_steps():
    """y(1.5) = 1 - 1.5 + (1.5 - tau)^2 / 2; the kink of y' at tau costs a part of dt^2."""
    model = Delay(tau=0.995, method=dd.RK4())
    expected = -0.5 + 0.505**2 / 2
    assert trajectory(model, 1.5, 0.01)[-1] == pytest.approx(expected, abs=0.2 * 0.01**2)


@pytest.mark.parametrize(
    "method, order",
    [
        (dd.RK4(), 4.0),
        (dd.Delayed(dd.RK4(), interpolation="linear"), 2.0),
        pytest.param(dd.Heun(), 2.0, marks=pytest.mark.slow),
        pytest.param(dd.Euler(), 1.0, marks=pytest.mark.slow),
        pytest.param(None, 1.0, marks=pytest.mark.slow),
    ],
    ids=["RK4", "RK4, linear", "Heun", "Euler", "default"],
)
def test_order(method, order):
    """Of Mackey-Glass, whose stages are read between steps, against RK4 with steps of 1/64."""
    model = lambda method: MackeyGlass(tau=3.0, method=method)  # noqa: E731
    reference = trajectory(model(dd.RK4()), 5.0, 1 / 64)[-1]
    errors = [abs(trajectory(model(method), 5.0, h)[-1] - reference) for h in (0.25, 0.0625)]
    assert np.log2(errors[0] / errors[1]) / 2 == pytest.approx(order, abs=0.15)


def test_mackey_glass():
    """N28."""
    found = trajectory(MackeyGlass(method=dd.RK4()), 100.0, 0.01)[[1699, 4999, 6799, 9999]]
    expected = [0.4919720967, 1.0609543629, 0.6936008644, 1.0137240165]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_delay_that_depends_on_the_state():
    """y = t up to e, then exp(t / e); where the delay crosses the start is not on the grid."""
    found = trajectory(Running(method=dd.RK4()), 5.0, 0.01, t0=1.0)
    assert found[99] == pytest.approx(2.0, abs=1e-12)
    assert found[-1] == pytest.approx(np.exp(5.0 / np.e), abs=2e-5)


def test_a_delay_that_becomes_shorter_than_a_step():
    """It is read as if nothing had happened since the last step: here, a step of Euler's."""

    class Short(Delay):
        longest = 1.0

        def derivative(self, t, s, drive, past):
            return self.State(y=-past("y", 0.01 * jnp.cos(t)))

    found = trajectory(Short(method=dd.Midpoint()), 2.0, 0.25)
    assert found[-1] == pytest.approx(0.75**8, abs=0.01)


def test_neutral_equation_and_its_history():
    errors = [
        abs(trajectory(Neutral(method=dd.RK4()), 5.0, h)[-1] - np.exp(-5.0)) for h in (0.1, 0.05)
    ]
    assert errors[1] < 1e-9
    assert np.log2(errors[0] / errors[1]) == pytest.approx(4.0, abs=0.3)


def test_delays_with_noise():
    """dy = -y(t - 1) dt + dW up to 1, where y(t - 1) = 1: mean 1 - t, variance t."""

    class Noisy(Delay):
        def diffusion(self, t, s, drive):
            return self.State(y=1.0)

    model, n = Noisy(method=dd.EulerMaruyama()), 20_000
    state = model.start(model.State(y=jnp.ones(n)), 0.1)
    key = jax.random.key(1)

    def step(state, k):
        return model.step(state, dd.Drive(), dd.Tick(k, 0.1, 0.1 * k, key))[0], None

    y = jax.lax.scan(step, state, jnp.arange(10))[0].now.y
    assert float(y.mean()) == pytest.approx(0.0, abs=4 / np.sqrt(n))
    assert float(y.var()) == pytest.approx(1.0, abs=4 * np.sqrt(2 / n))


def test_any_function():
    """Of a number, and of pairs: y_i' = -sum_j w_ij y_j(t - tau_ij) with tau > t and y = (1, 2)."""
    found = dd.integrate(
        lambda t, y, past: -past(1.0), 1.0, [0.0, *T27], method=dd.RK4(), dt=0.1, longest=1.0
    )
    np.testing.assert_allclose(found[1:], Y27, atol=1e-5)
    tau, w = np.array([[2.0, 1.0], [0.5, 3.0]]), np.array([[0.5, 0.2], [0.1, 0.6]])

    def pairs(t, y, past, w):
        return -jnp.sum(w * past(tau), 1)

    given = {"method": dd.RK4(), "dt": 0.1, "longest": 3.0, "args": (w,)}
    found = dd.integrate(pairs, jnp.array([1.0, 2.0]), [0.0, 0.5, 1.0], **given)
    np.testing.assert_allclose(found[1], [1.0 - 0.5 * 0.9, 2.0 - 0.5 * 1.3], rtol=1e-12)
    # from 0.5 on y_0 as the second cell sees it falls by 0.9 per ms
    second = 2.0 - 1.0 * 1.3 + 0.1 * 0.9 * 0.5**2 / 2
    np.testing.assert_allclose(found[2], [1.0 - 0.9, second], rtol=1e-12)


def test_what_any_function_must_be_given():
    f = lambda t, y, past: -past(2.0)  # noqa: E731
    with pytest.raises(
        DelayError, match=r"past\(2\): the delay must be from dt = 0.1 to longest = 1"
    ):
        dd.integrate(f, 1.0, [0.0, 1.0], dt=0.1, longest=1.0)
    with pytest.raises(ParameterError, match="Give dt"):
        dd.integrate(f, 1.0, [0.0, 1.0], longest=3.0)
    given = {"dt": 0.1, "longest": 2.0}
    for wrong in (-1.0, np.inf, "1", 0.05):
        with pytest.raises(DelayError, match=r"is no delay that steps of dt = 0\.1 can have"):
            dd.integrate(f, 1.0, [0.0, 1.0], **given | {"longest": wrong})
    with pytest.raises(DelayError, match=r"past\(3\): the delay must be"):
        wrong = jnp.array([1.0, 3.0])
        dd.integrate(lambda t, y, past: -past(wrong), np.ones(2), [0.0, 1.0], **given)
    with pytest.raises(ParameterError, match="f has the shape"):
        dd.integrate(lambda t, y, past: jnp.ones(2), 1.0, [0.0, 1.0], **given)
    with pytest.raises(ParameterError, match="history returns"):
        dd.integrate(f, 1.0, [0.0, 1.0], history=lambda t: (1.0, t), **given)
    with pytest.raises(ParameterError, match=r"history = 1\.0 is no function"):
        dd.integrate(f, 1.0, [0.0, 1.0], history=1.0, **given)
    with pytest.raises(ParameterError, match="Give `longest`"):
        dd.integrate(lambda t, y: -y, 1.0, [0.0, 1.0], dt=0.1, history=lambda t: t)
    with pytest.raises(SimulationError, match="no delay becomes longer than `longest`"):
        dd.integrate(lambda t, y, past: -past(0.2 + 0.6 * t), 1.0, [0.0, 5.0], **given)


# in populations: of each cell its own


class Many(dd.Network):
    def __init__(self, n, model, **initial):
        self.N = dd.Population(n, model, **initial)


def test_delay_of_each_cell_and_what_of_it_is_seen():
    """Drawn or given delays; the memory has no name of its own, and the state can be set."""
    tau = np.array([1.0, 1.25, 2.0])
    runner = dd.DSRunner(
        Many(3, Delay(tau=tau, method=dd.RK4())), dt=0.05, precision="float64", record="N.y"
    )
    traces = runner.run(2.5).traces["N.y"].value
    for k, one in enumerate(tau):
        expected = trajectory(Delay(tau=one, method=dd.RK4()), 2.5, 0.05)
        np.testing.assert_allclose(traces[:, k], expected, rtol=1e-12, atol=1e-13)
    assert dir(runner["N"]) == ["tau", "y"]
    assert "memory" not in repr(runner["N"])
    with pytest.raises(NameLookupError, match=r'"memory\.y\.values"'):
        getattr(runner["N"], "memory.y.values")
    runner["N"].y = 2.0
    assert (runner["N"].y == 2.0).all()
    runner.run(1.0)  # y(t - 1) is what it was, but in the last step, where it goes to 2
    past = np.append(traces[-21:-1, 0], 2.0)
    change = -0.05 * (past.sum() - (past[0] + past[-1]) / 2)
    assert runner["N"].y[0] == pytest.approx(2.0 + change, abs=2e-3)
    drawn = dd.DSRunner(Many(50, Delay(tau=dd.Uniform(0.5, 2.0))), dt=0.1)
    assert drawn._shard.states[0][drawn._shard.names[0].index("memory.y.values")].shape == (50, 22)


def test_initial_values_fill_the_past():
    runner = dd.DSRunner(Many(2, Delay(), y=np.array([1.0, -3.0])), dt=0.1, record="N.y")
    runner.run(0.5)
    np.testing.assert_allclose(runner["N"].y, [0.5, -1.5], rtol=1e-6)


def test_populations_that_differ_in_their_delays_run_as_one_group():
    class Three(dd.Network):
        def __init__(self):
            self.A = dd.Population(3, Delay(tau=1.0, method=dd.RK4()))
            self.B = dd.Population(2, Delay(tau=2.0, method=dd.RK4()))

    runner = dd.DSRunner(Three(), dt=0.1, precision="float64")
    assert len(runner._shard.groups) == 1
    runner.run(1.5)
    np.testing.assert_allclose(runner["A"].y, -0.375, atol=1e-12)
    np.testing.assert_allclose(runner["B"].y, -0.5, atol=1e-12)


# what is refused


def test_delays_that_are_not_possible():
    with pytest.raises(DelayError, match=r"delay of 0.05 ms is shorter than dt = 0.1"):
        dd.DSRunner(Many(1, Delay(tau=0.05)), dt=0.1)
    with pytest.raises(DelayError, match="shorter than dt"):
        dd.DSRunner(Many(1, Delay(tau=dd.Uniform(0.05, 2.0))), dt=0.1)
    with pytest.raises(DelayError, match="a delay is -1 ms"):
        dd.DSRunner(Delay(tau=-1.0), dt=0.1)
    runner = dd.DSRunner(Many(1, Delay()), dt=0.1)
    with pytest.raises(DelayError, match="delay of 3 ms, but the last 1 ms are kept"):
        runner["N"].tau = 3.0
    with pytest.raises(DelayError, match="shorter than dt"):
        runner["N"].tau = 0.01
    runner["N"].tau = 0.5
    runner.run(1.0)


def test_a_delay_beyond_what_is_kept_ends_the_run():
    class Short(Running):
        longest = 0.5

    runner = dd.DSRunner(Short(method=dd.RK4()), dt=0.1, t0=1.0)
    with pytest.raises(SimulationError, match="y of neuron 0 is nan"):
        runner.run(10.0)


class Misnamed(Delay):
    def derivative(self, t, s, drive, past):
        return self.State(y=-past("x", self.tau))


class Unbounded(Running):
    longest = None


@pytest.mark.parametrize(
    "model, error, what",
    [
        (Misnamed(), NameLookupError, r'past\("x", ...\): there is no such state'),
        (Unbounded(), MethodError, "Say how long it can get"),
        (Delay(method=dd.Exact()), MethodError, "has delays: Exact is for equations without"),
        (Delay(method=dd.CaputoL1()), MethodError, "CaputoL1 is for fractional orders"),
        (Delay(order={"y": 0.9}), MethodError, "of fractional order and has delays"),
        (Decay(method=dd.Delayed(dd.RK4())), MethodError, "takes no `past`"),
    ],
)
def test_a_method_that_does_not_fit_is_refused(model, error, what):
    with pytest.raises(error, match=what):
        Cell.of(model)


def test_an_unknown_interpolation_is_refused():
    with pytest.raises(ParameterError, match='"cubic"'):
        dd.Delayed(dd.RK4(), interpolation="quadratic")
    for wrong in (dd.RK4, dd.CaputoL1(), dd.Delayed(dd.RK4())):
        with pytest.raises(MethodError, match=r"Give a scheme, e\.g\. Delayed\(dd\.RK4"):
            dd.Delayed(wrong)


def test_a_state_without_its_past_is_refused():
    assert isinstance(Cell.of(Delay()).method, Delayed)
    with pytest.raises(MethodError, match=r"model\.start"):
        Delay().step(Delay.State(y=jnp.ones(())), dd.Drive(), dd.Tick(0, 0.1, 0.0))


def test_derivatives_go_through_the_past():
    """By the delay and by the initial value, against differences of the same steps."""

    def last(tau, y):
        model = Delay(tau=tau, method=dd.RK4())
        start = Delay(tau=2.0, method=dd.RK4()).start(Delay.State(y=y), 0.1)

        def step(state, k):
            return model.step(state, dd.Drive(), dd.Tick(k, 0.1, 0.1 * k))[0], None

        return jax.lax.scan(step, start, jnp.arange(15))[0].now.y

    tau, y = jnp.asarray(0.93), jnp.asarray(1.0)
    by_tau, by_y = jax.jit(jax.grad(last, argnums=(0, 1)))(tau, y)
    last = jax.jit(last)
    difference = float(last(tau + 1e-5, y) - last(tau - 1e-5, y)) / 2e-5
    assert float(by_tau) == pytest.approx(difference, rel=1e-6)
    assert float(by_y) == pytest.approx(float(last(tau, y)), rel=1e-12)  # it is linear in y
