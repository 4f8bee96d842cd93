"""Reservoirs: next-generation ones with pinned numbers, echo states, and FORCE."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import distdyn as dd
from distdyn.errors import ParameterError, TrainError
from distdyn.train.offline import Moments, ridge
from distdyn.train.reservoir import EchoState, nvar, spectral_radius
from distdyn.train.rls import RLS
from distdyn.train.tasks.signals import lorenz, mackey_glass, sines

START = 17.67715816276679, 12.931379185960404, 43.91404334248268
LYAPUNOV = 1.104  # a time in which errors grow by e


@pytest.fixture(scope="module")
def long():
    """The Lorenz system for 260 units, at every 0.025, by the method of the pinned numbers.

    Any other has another trajectory after some 30 units, and other errors at the later starts.
    """
    return lorenz(260.0, 0.025, START, method="RK45")


def test_features_are_the_products_of_taps():
    x = np.arange(12.0).reshape(6, 2)
    found = nvar(x, taps=2, skip=2)
    a, b, c, d = *x[5], *x[3]
    wanted = [1, a, b, c, d, a * a, a * b, a * c, a * d, b * b, b * c, b * d, c * c, c * d, d * d]
    assert found.shape == (4, 15)
    np.testing.assert_array_equal(found[-1], wanted)


def test_z_is_inferred_from_x_and_y(long):  # 6.B1
    """The error of the mean over ten starts is at most 0.026, as it is with other solvers."""
    every = long[::2]  # dt = 0.05
    errors, (train, test) = [], (round(20 / 0.05), round(45 / 0.05))
    for start in range(5, 186, 20):
        first = round(start / 0.05)
        some = every[first : first + train + test + 15]
        features, z = nvar(some[:, :2], taps=4, skip=5, constant=False), some[15:, 2]
        moments = Moments()
        moments.add(features[:train], z[:train])
        found = ridge(moments, 0.05)(features[train:])[:, 0]
        errors.append(np.sqrt(((found - z[train:]) ** 2).mean()) / z[train:].std())
    assert np.mean(errors) <= 2.6e-2


def forecasts(long, alpha):
    """The error of a forecast of one Lyapunov time, from ten starts: the root of the mean square
    over that of the length of the state about its mean, as Gauthier and others have it."""
    errors, train, ahead = [], round(10 / 0.025), round(LYAPUNOV / 0.025)
    for start in range(5, 186, 20):
        first = round(start / 0.025)
        some = long[first : first + train + ahead + 2]
        features = nvar(some, taps=2)
        moments = Moments()
        moments.add(features[:train], (some[2:] - some[1:-1])[:train])
        readout, known, found = ridge(moments, alpha, bias=False), some[: train + 2].copy(), []
        for _ in range(ahead):
            known = np.vstack([known[-2:], known[-1] + readout(nvar(known[-2:], 2)[0])])
            found.append(known[-1])
        wanted = some[train + 2 : train + 2 + ahead]
        apart = ((np.array(found)[: len(wanted)] - wanted) ** 2).mean()
        errors.append(np.sqrt(apart / long.var(axis=0).sum()))
    return np.array(errors)


def test_a_forecast_of_one_lyapunov_time(long):  # 6.B2
    errors = forecasts(long, 0.1)
    assert np.isfinite(errors).all()
    assert np.median(errors) <= 6e-3
    assert errors.max() <= 3e-2


def test_mackey_glass_against_another_step():
    coarse, fine = (mackey_glass(400.0, inner=inner) for inner in (10, 40))
    np.testing.assert_allclose(coarse[:300], fine[:300], rtol=1e-6)
    assert 0.2 < fine.min() < 0.5 and 1.1 < fine.max() < 1.5


def test_echo_states_on_matrices_of_every_kind():
    A = dd.JITBernoulli(0.1, dd.Normal(0.0, 0.1), shape=(80, 80), seed=3)
    B = jnp.asarray(np.random.default_rng(0).normal(size=(2, 80)), A.dtype)
    u = np.random.default_rng(1).normal(size=(30, 2)).astype(np.float32)
    found = [
        np.asarray(EchoState(of, B, leak=0.3).states(u))
        for of in (A, A.tocsr(), dd.Dense(A.todense()))
    ]
    assert found[0].shape == (30, 80)
    for other in found[1:]:
        np.testing.assert_allclose(other, found[0], rtol=1e-4, atol=1e-5)
    x = np.zeros(80)
    for k in range(30):
        x = 0.7 * x + 0.3 * np.tanh(x @ np.asarray(A.todense()) + u[k] @ np.asarray(B))
    np.testing.assert_allclose(found[0][-1], x, rtol=1e-4, atol=1e-5)


def test_an_echo_state_network_remembers():
    """Mackey-Glass, 84 steps ahead of itself by its own readout for one step."""
    signal = mackey_glass(3500.0)
    u = np.tanh(signal - 1.0)
    A = dd.JITBernoulli(0.05, dd.Normal(0.0, 1.0), shape=(300, 300), seed=1)
    A = dd.JITBernoulli(0.05, dd.Normal(0.0, 0.8 / spectral_radius(A)), shape=(300, 300), seed=1)
    random = np.random.default_rng(2)
    B = jnp.asarray(random.uniform(-1, 1, (1, 300)), A.dtype)
    net = EchoState(A, B, bias=jnp.asarray(random.uniform(-0.2, 0.2, 300), A.dtype))
    states = np.asarray(net.states(u[:3000, None]), np.float64)
    moments = Moments()
    moments.add(states[200:2999], u[201:3000])
    readout = ridge(moments, 1e-8)
    x, y, found = states[2999], u[3000 - 1], []
    y = float(readout(x)[0])
    for _ in range(84):
        found.append(y)
        x = np.asarray(net.step(jnp.asarray(x, A.dtype), jnp.asarray([y], A.dtype)), np.float64)
        y = float(readout(x)[0])
    error = np.sqrt(((np.array(found) - u[3000:3084]) ** 2).mean()) / u.std()
    assert error < 0.1


def force(n, seed, units, free):
    """A network with a readout that feeds back, while it learns and then alone; mean errors."""
    random, dt = np.random.default_rng(seed), 0.1
    g, p = 1.5, 0.1
    M = random.normal(size=(n, n)) * (random.random((n, n)) < p) * g / np.sqrt(p * n)
    w_f = 2 * (random.random(n) - 0.5)
    t = dt * np.arange(round((units + free) / dt))
    f = 1 / 60
    target = sines(t, [1.3, 1.3 / 2, 1.3 / 6, 1.3 / 3], [0.5 * f, f, 1.5 * f, 2 * f]) / 1.5
    train = round(units / dt)
    with jax.enable_x64(True):
        M, w_f, wanted = map(jnp.asarray, (M.T, w_f, target))
        start = 0.5 * random.normal(size=n), 0.5 * random.normal()
        carry = jnp.asarray(start[0]), jnp.asarray(start[1]), RLS.begin(n, 1, 1.0, "float64")

        def step(carry, k):
            x, z, learner = carry
            r = jnp.tanh(x)
            x = (1 - dt) * x + dt * (r @ M + w_f * z)
            r = jnp.tanh(x)
            z = (r @ learner.weight)[0]
            learns = (k % 2 == 0) & (k < train)
            learner = jax.lax.cond(
                learns, lambda of: of.step(r, wanted[k][None]), lambda of: of, learner
            )
            return (x, z, learner), z

        z = np.asarray(jax.jit(lambda c: jax.lax.scan(step, c, jnp.arange(len(t))))(carry)[1])
    apart = abs(z - target)
    return apart[train // 2 : train].mean(), apart[train:].mean()


def test_force_learns_a_sum_of_sines():  # 6.C, with 400 units
    errors = [force(400, seed, 1440.0, 1440.0) for seed in (0, 1)]
    assert max(train for train, _ in errors) <= 0.03
    assert min(test for _, test in errors) <= 0.3


@pytest.mark.slow
def test_force_with_1000_units():  # 6.C
    errors = np.array([force(1000, seed, 1440.0, 1440.0) for seed in range(5)])
    assert errors[:, 0].max() <= 8e-3
    assert np.median(errors[:, 1]) <= 0.15


def test_bad_questions():
    with pytest.raises(TrainError, match="reach back 6"):
        nvar(np.zeros((5, 2)), taps=4, skip=2)
    A = dd.Dense(np.zeros((3, 3), np.float32))
    with pytest.raises(ParameterError, match="leak"):
        EchoState(A, np.zeros((1, 3)), leak=2.0)
    with pytest.raises(ParameterError, match=r"\[n, n\]"):
        EchoState(A, np.zeros((1, 4)))
    with pytest.raises(ParameterError, match="inner"):
        mackey_glass(10.0, tau=17.03)
