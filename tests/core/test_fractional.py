"""Fractional orders against the figures of their schemes and the Mittag-Leffler function."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import distdyn as dd
from distdyn.core import Cell
from distdyn.core.integrators.fractional import Fractional
from distdyn.errors import MethodError, NameLookupError, ParameterError
from tests.core.equations import Decay
from tests.core.test_stochastic import OU

EXACT = {  # E_a(-t^a)
    0.5: {1: 0.427583576155807},
    0.8: {1: 0.386948578618977, 2: 0.223546826814898, 5: 0.0878274302932851},
    0.9: {5: 0.0452231166904054},
}


class Power(dd.ODE):
    """D^a y = t^(1 - a) / Gamma(2 - a), y(0) = 3: y = 3 + t."""

    order = {"y": 0.8}  # noqa: RUF012

    class State(NamedTuple):
        y: jax.Array

    def init(self, id, key):
        return self.State(y=3.0)

    def derivative(self, t, s, drive):
        return self.State(y=t ** (1 - 0.8) / math.gamma(2 - 0.8))


class Still(Power):
    """D^a y = 0: y stays."""

    def derivative(self, t, s, drive):
        return self.State(y=0.0)


@pytest.fixture(autouse=True)
def _double_precision():
    with jax.enable_x64(True):
        yield


def end(model, T, n):
    dt = T / n
    start = model.start(model.init(0, None), dt)

    def step(state, k):
        return model.step(state, dd.Drive(), dd.Tick(k, dt, k * dt))[0], None

    return float(jax.lax.scan(step, start, jnp.arange(n))[0].now[0])


def decay(a, method, T, n):
    return end(Decay(order={"y": a}, method=method), T, n)


@pytest.mark.parametrize(
    "method, n, expected",
    [
        (dd.CaputoL1(), 20, 0.3800764551923902),
        (dd.CaputoL1(), 160, 0.38606307541191903),
        (dd.CaputoL1(implicit=True), 20, 0.39460920196452653),
        (dd.CaputoEuler(), 20, 0.3795836111091665),
    ],
)
def test_figures_of_the_schemes(method, n, expected):
    """N29."""
    assert decay(0.8, method, 1.0, n) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    "method",
    [
        dd.CaputoL1(),
        dd.CaputoEuler(),
        dd.CaputoEuler(implicit=True),
        dd.GrunwaldLetnikov(),
        pytest.param(dd.CaputoL1(implicit=True), marks=pytest.mark.slow),
        pytest.param(dd.GrunwaldLetnikov(implicit=True), marks=pytest.mark.slow),
    ],
    ids=lambda method: type(method).__name__ + ("-implicit" if method.implicit else ""),
)
def test_order_1(method):
    errors = [decay(0.8, method, 1.0, n) - EXACT[0.8][1] for n in (40, 160)]
    assert np.log2(errors[0] / errors[1]) / 2 == pytest.approx(1.0, abs=0.15)


def sums(a, method, T, n):
    """The same scheme with sums over all of the past, x first: D^a x = -x, x(0) = 1."""
    h, x, f = T / n, [1.0], []
    B = h**a if isinstance(method, dd.GrunwaldLetnikov) else math.gamma(2 - a) * h**a
    b = lambda j, a: (j + 1) ** a - j**a  # noqa: E731
    c = np.cumprod([1.0, *(1 - (1 + a) / j for j in range(1, n + 1))])
    for k in range(1, n + 1):
        if isinstance(method, dd.CaputoEuler):
            B = h**a / math.gamma(1 + a)
            f.append(-x[-1])
            old = range(1, k) if method.implicit else range(k)
            shift = 0 if method.implicit else 1
            A = 1.0 + B * sum(b(j, a) * -x[k - j - shift] for j in old)
            x.append(A / (1 + B) if method.implicit else A)
            continue
        if isinstance(method, dd.CaputoL1):
            A = x[-1] - sum(b(j, 1 - a) * (x[k - j] - x[k - j - 1]) for j in range(1, k))
        else:
            A = 1.0 - sum(c[j] * (x[k - j] - 1.0) for j in range(1, k + 1))
        x.append(A / (1 + B) if method.implicit else A - B * x[-1])
    return x[-1]


@pytest.mark.parametrize("implicit", [False, True], ids=["explicit", "implicit"])
@pytest.mark.parametrize("kind", [dd.CaputoL1, dd.CaputoEuler, dd.GrunwaldLetnikov])
def test_long_memories_are_those_of_plain_sums(kind, implicit):
    """N29 up to T = 5: the ring, its weights and its turns, to rounding."""
    method = kind(implicit=implicit)
    assert decay(0.8, method, 5.0, 100) == pytest.approx(sums(0.8, method, 5.0, 100), abs=1e-13)


def test_mittag_leffler():
    """N29: E_a(-t^a) by steps of which half as long leave half the error, up to T = 5."""
    for a, t in ((0.5, 1), (0.8, 5), (0.9, 5)):
        errors = [decay(a, dd.CaputoL1(), float(t), n) - EXACT[a][t] for n in (200, 400)]
        assert abs(errors[1]) < 0.01 * EXACT[a][t]
        assert np.log2(errors[0] / errors[1]) == pytest.approx(1.0, abs=0.15)


def test_any_function_and_orders_by_name():
    """The figure of N29, and a number of order 1 beside an array of order 0.8."""
    found = dd.integrate(
        lambda t, y: -y, 1.0, [0.0, 1.0], dt=0.05, order=0.8, method=dd.CaputoL1(implicit=True)
    )
    assert float(found[-1]) == pytest.approx(0.39460920196452653, abs=1e-12)
    start = {"a": 1.0, "b": jnp.ones(3)}
    found = dd.integrate(
        lambda t, y: {"a": -y["a"], "b": -y["b"]}, start, [0.0, 1.0], dt=1 / 160, order={"b": 0.8}
    )
    assert float(found["a"][-1]) == pytest.approx((1 - 1 / 160) ** 160, rel=1e-13)
    np.testing.assert_allclose(found["b"][-1], 0.38606307541191903, rtol=1e-12)


def test_order_of_1_is_euler():
    for method, expected in ((dd.CaputoL1(), 0.9**10), (dd.CaputoL1(implicit=True), 1.1**-10)):
        assert decay(1.0, method, 1.0, 10) == pytest.approx(expected, abs=1e-13)
    assert decay(1.0, dd.CaputoEuler(), 1.0, 10) == pytest.approx(0.9**10, abs=1e-13)
    assert decay(1.0, dd.GrunwaldLetnikov(), 1.0, 10) == pytest.approx(0.9**10, abs=1e-13)


def test_l1_is_exact_for_a_line():
    """With f at the end of the step; at its beginning f is late by a step."""
    assert end(Power(method=dd.CaputoL1(implicit=True)), 2.0, 40) == pytest.approx(5.0, abs=1e-12)


def test_a_number_is_the_order_of_all_variables():
    expected = decay(0.8, dd.CaputoL1(), 1.0, 20)
    model = Decay(order=np.float64(0.8), method=dd.CaputoL1())
    assert end(model, 1.0, 20) == expected


@pytest.mark.parametrize("method", [dd.CaputoL1(), dd.CaputoEuler(), dd.GrunwaldLetnikov()])
def test_nothing_keeps_the_initial_value(method):
    assert end(Still(method=method), 5.0, 50) == 3.0


def test_what_is_older_than_the_memory_is_forgotten():
    """As short as a step L1 is Euler with a step of Gamma(2 - a) h^a and one term of memory."""
    a, h = 0.8, 0.05
    b = 2 ** (1 - a) - 1
    y, last = 1.0, 1.0
    for _ in range(20):
        y, last = y - b * (y - last) - math.gamma(2 - a) * h**a * y, y
    assert decay(a, dd.CaputoL1(memory=h), 1.0, 20) == pytest.approx(y, abs=1e-13)
    whole = decay(a, dd.CaputoL1(), 1.0, 20)
    assert decay(a, dd.CaputoL1(memory=0.95), 1.0, 20) == pytest.approx(whole, abs=1e-13)
    assert abs(decay(a, dd.CaputoL1(memory=0.5), 1.0, 20) - whole) > 1e-3


class Two(dd.ODE):
    """D^a V = -V + w,  w' = -w."""

    class State(NamedTuple):
        V: jax.Array
        w: jax.Array

    def init(self, id, key):
        return self.State(V=1.0, w=1.0)

    def derivative(self, t, s, drive):
        return self.State(V=-s.V + s.w, w=-s.w)


def test_variables_without_an_order_have_the_order_1():
    """And in a population, by the kernel, the same; the memory is not seen."""
    model, n = Two(order={"V": 0.8}), 30
    state = model.start(model.init(0, None), 0.1)
    for k in range(n):
        state, _ = model.step(state, dd.Drive(), dd.Tick(k, 0.1, k * 0.1))
    assert float(state.now.w) == pytest.approx(0.9**n, rel=1e-13)

    class Many(dd.Network):
        def __init__(self):
            self.N = dd.Population(20, model)

    runner = dd.DSRunner(Many(), dt=0.1, precision="float64")
    assert not runner._shard.unfused
    runner.run(n * 0.1)
    np.testing.assert_allclose(runner["N"].V, float(state.now.V), rtol=1e-12)
    assert dir(runner["N"]) == ["V", "w"]


def test_a_reset_is_part_of_the_past():
    """In a constant current the intervals of a cell of order 1 are equal; these are not."""
    cell = dd.LIF(I_e=600.0, t_ref=2.0, order={"V": 0.8})
    spikes = dd.DSRunner(cell, dt=0.1, record="spikes").run(100.0).spikes["cell"]
    assert np.ptp(np.diff(spikes.step)) >= 5  # it remembers the first ones


@pytest.mark.parametrize(
    "model, error, what",
    [
        (Decay(order={"x": 0.9}), NameLookupError, 'order of "x": there is no such state'),
        (Decay(order={"y": 1.5}), ParameterError, r"order = 1.5 of y .* \(0, 1\]"),
        (Decay(order={"y": np.float64(0.0)}), ParameterError, "order = 0.0 of y"),
        (Decay(order=0), ParameterError, "order = 0 of y"),
        (Decay(order={"y": True}), ParameterError, "order = True of y"),
        (Decay(order={"y": 0.9}, method=dd.RK4()), MethodError, "RK4 is not for it"),
        (Decay(method=dd.CaputoL1()), MethodError, "all of its equations are of order 1"),
        (OU(order={"x": 0.9}), MethodError, "of fractional order and has noise"),
    ],
)
def test_orders_that_are_not_possible(model, error, what):
    with pytest.raises(error, match=what):
        Cell.of(model)


def test_orders_that_are_no_numbers():
    with pytest.raises(ParameterError, match=r'order of "y" has the shape \(3,\)'):
        Decay(order={"y": np.array([0.7, 0.8, 0.9])})
    with pytest.raises(ParameterError, match='order = "y" is not possible'):
        Decay(order="y")
    for order, words in ((0.0, "order = 0.0 of y"), ([0.9], r"order = \[0.9\] is not")):
        with pytest.raises(ParameterError, match=words):
            dd.integrate(lambda t, y: -y, 1.0, [0.0, 1.0], dt=0.1, order=order)


def test_a_memory_that_is_not_possible():
    assert isinstance(Cell.of(Decay(order={"y": 0.9})).method, Fractional)
    with pytest.raises(ParameterError, match=r"memory = 0\.0 ms"):
        dd.CaputoL1(memory=0.0)
    with pytest.raises(ParameterError, match="iterations = 0 is not possible"):
        dd.CaputoL1(implicit=True, iterations=0)
