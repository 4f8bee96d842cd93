"""Neural masses: published bifurcations and rates, fixed points by scipy, decisions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.optimize import brentq, fsolve

import distdyn as dd
from tests.models.side_by_side import SideBySide


def curve(x, a, b, d):
    u = a * x - b
    return u / -np.expm1(np.minimum(-d * u, 600.0))


# --- Jansen & Rit ---------------------------------------------------------------------------------

INPUTS = [80.0, 120.0, 160.0, 220.0, 300.0, 330.0]


def column(t, y, p):
    """The equations in seconds, written once more."""
    S = lambda v: 5.0 / (1.0 + np.exp(0.56 * (6.0 - v)))  # noqa: E731
    y0, y1, y2, y3, y4, y5 = y
    return [
        y3, y4, y5,
        325.0 * S(y1 - y2) - 200.0 * y3 - 1e4 * y0,
        325.0 * (p + 108.0 * S(135.0 * y0)) - 200.0 * y4 - 1e4 * y1,
        1100.0 * 33.75 * S(33.75 * y0) - 100.0 * y5 - 2500.0 * y2,
    ]  # fmt: skip


def frequency(v, dt):
    """Hz, by upward crossings of the mean; dt in s."""
    above = v > v.mean()
    up = np.flatnonzero(~above[:-1] & above[1:])
    return (len(up) - 1) / (dt * (up[-1] - up[0]))


@pytest.fixture(scope="module")
def potentials():
    """Y1 - y2 of columns with several inputs, in mV."""
    cells = {f"p{p:g}": dd.JansenRit(p=p, method=dd.RK4()) for p in INPUTS}
    record = [dd.every(1.0, f"{name}.{y}") for name in cells for y in ("y1", "y2")]
    runner = dd.DSRunner(SideBySide(1, cells), dt=0.5, record=record, precision="float64")
    found = runner.run(6000.0).traces
    return {p: (found[f"p{p:g}.y1"].value - found[f"p{p:g}.y2"].value)[:, 0] for p in INPUTS}


def test_JansenRit_makes_alpha_where_it_should(potentials):
    """The ranges and frequencies of scipy's solution; spikes at 120 Hz, rest at 80 and 330."""
    for p in INPUTS:
        t = np.arange(3.0, 6.0005, 0.001)
        solved = solve_ivp(column, (0.0, 6.0), [0.0] * 6, args=(p,), rtol=1e-8, atol=1e-9, t_eval=t)
        exact, late = solved.y[1] - solved.y[2], potentials[p][3000:]
        assert late.min() == pytest.approx(exact.min(), abs=0.01)
        assert late.max() == pytest.approx(exact.max(), abs=0.01)
        if p in (160.0, 220.0, 300.0):
            assert 10.5 < frequency(late, 0.001) < 11.3
        if p == 120.0:
            assert frequency(late, 0.001) == pytest.approx(4.81, abs=0.05)
            assert np.ptp(late) > 9.0
        if p == 80.0:
            assert np.ptp(late) < 1e-3


def test_JansenRit_has_the_bifurcations_of_Grimbert_and_Faugeras():
    """P at equilibrium as a function of y = y1 - y2: it folds at 113.58; Hopf at 89.83, 315.70."""

    def rate(v):
        return 5.0 / (1.0 + np.exp(0.56 * (6.0 - v)))

    def equilibrium(y):
        y0 = 0.0325 * rate(y)
        y2 = 0.44 * 33.75 * rate(33.75 * y0)
        return (y + y2) / 0.0325 - 108.0 * rate(135.0 * y0), [y0, y + y2, y2, 0.0, 0.0, 0.0]

    with jax.enable_x64(True):
        model = dd.JansenRit(p=0.0)

        def slope(y, p):
            return jnp.stack(model.derivative(0.0, model.State(*y), dd.Drive(p)))

        jacobian = jax.jit(jax.jacfwd(slope))

        def growth(y):
            p, point = equilibrium(y)
            x = np.linalg.eigvals(jacobian(jnp.array(point), p))
            return x[np.abs(x.imag) > 0.02].real.max()

        for y in (2.0, 7.0):
            p, point = equilibrium(y)
            np.testing.assert_allclose(slope(jnp.array(point), p), 0.0, atol=1e-12)
        low, high = (equilibrium(brentq(growth, *ends))[0] for ends in ((6.5, 7.0), (7.8, 8.3)))
    assert low == pytest.approx(89.83, abs=0.01)
    assert high == pytest.approx(315.70, abs=0.01)
    fold = max(equilibrium(y)[0] for y in np.linspace(2.0, 3.0, 10_001))
    assert fold == pytest.approx(113.58, abs=0.01)


def test_JansenRit_sends_its_rate():
    model = dd.JansenRit()
    state = model.init(0, None)._replace(y1=jnp.asarray(9.0), y2=jnp.asarray(3.0))
    assert float(model.emit(state)) == pytest.approx(2.5)
    far = state._replace(y1=jnp.asarray(1000.0))
    assert float(model.emit(far)) == pytest.approx(5.0)


# --- Wong & Wang ----------------------------------------------------------------------------------

COHERENCE = np.repeat([0.0, 6.4, 25.6, -25.6], 500)


class Decision(dd.Network):
    """Two thousand trials, and four units without noise, with a stimulus from 100 to 1600 ms."""

    def __init__(self):
        self.trials = dd.Population(2000, dd.WongWang(coherence=COHERENCE))
        self.still = dd.Population(
            2, dd.WongWang(coherence=np.array([10.0, -10.0]), sigma=0.0, method=dd.SRK2W1())
        )
        stimulus = dd.Steps([100.0, 1600.0], [30.0, 0.0])
        self.stimulus = dd.CurrentInput((self.trials, self.still), stimulus)


@pytest.fixture(scope="module")
def decided():
    record = [f"still.{x}" for x in ("S1", "S2")] + [dd.every(10.0, "trials.S1")]
    record += [dd.every(10.0, "trials.S2"), dd.every(10.0, "trials.n1")]
    return dd.DSRunner(Decision(), dt=0.5, seed=1, record=record).run(3600.0).traces


def states_of_WongWang(mu_0):
    """All fixed points (S1, S2) and whether they are stable, by scipy, from many starts."""

    def slope(S):
        S = np.asarray(S)
        x = 0.2609 * S - 0.0497 * S[::-1] + 0.3255 + 5.2e-4 * mu_0
        return -S / 100.0 + (1.0 - S) * 0.641e-3 * curve(x, 270.0, 108.0, 0.154)

    found = {}
    for start in np.stack(np.meshgrid(*[np.linspace(0.01, 0.9, 12)] * 2), -1).reshape(-1, 2):
        S, _, has_converged, _ = fsolve(slope, start, full_output=True)
        if has_converged == 1 and np.abs(slope(S)).max() < 1e-9:
            h = 1e-6 * np.eye(2)
            jacobian = np.stack([(slope(S + h[k]) - slope(S - h[k])) / 2e-6 for k in range(2)], 1)
            is_stable = bool((np.linalg.eigvals(jacobian).real < 0.0).all())
            found[tuple(float(x) for x in np.round(S, 5))] = is_stable
    return found


def test_WongWang_has_a_spontaneous_state_and_memories_and_with_a_stimulus_choices_alone():
    without, with_one = states_of_WongWang(0.0), states_of_WongWang(30.0)
    assert sum(without.values()) == 3 and len(without) == 5
    assert sum(with_one.values()) == 2 and len(with_one) == 3
    assert not with_one[(0.42446, 0.42446)]  # the symmetric state is the saddle between choices
    with jax.enable_x64(True):
        for mu_0, states in ((0.0, without), (30.0, with_one)):
            model = dd.WongWang(mu_0=mu_0)
            for S1, S2 in states:
                slope = model.derivative(0.0, model.State(S1, S2, 0.0, 0.0), dd.Drive())
                np.testing.assert_allclose(jnp.stack(slope), 0.0, atol=1e-7)


def test_WongWang_goes_from_state_to_state(decided):
    """The spontaneous state, the choice that the coherence favours, and its memory."""
    S1, S2 = (decided[f"still.{x}"].value for x in ("S1", "S2"))
    step = lambda t: int(t / 0.5) - 1  # noqa: E731
    np.testing.assert_allclose(S1[step(100.0)], 0.10265, atol=3e-3)
    model = dd.WongWang(coherence=10.0)
    choice = fsolve(
        lambda S: np.ravel(
            jnp.stack(model.derivative(0.0, model.State(*S, 0.0, 0.0), dd.Drive(30.0)))[:2]
        ),
        [0.66, 0.05],
        epsfcn=1e-6,
    )
    np.testing.assert_allclose([S1[step(1600.0), 0], S2[step(1600.0), 0]], choice, atol=2e-3)
    np.testing.assert_allclose([S2[step(1600.0), 1], S1[step(1600.0), 1]], choice, atol=2e-3)
    np.testing.assert_allclose([S1[-1, 0], S2[-1, 0]], [0.56699, 0.03189], atol=2e-4)
    state = model.State(*map(jnp.asarray, (0.65869, 0.05181, 0.0, 0.0)))
    first, second = dd.WongWang().rates(state, 30.0)
    assert float(first) == pytest.approx(30.108, abs=2e-3)
    assert float(second) == pytest.approx(0.8524, abs=2e-4)


def test_WongWang_decides_by_the_coherence_and_by_chance_without(decided):
    """Of 500 trials each; the margin is four standard errors. Choices are remembered."""
    at = {key: decided[f"trials.{key}"].value for key in ("S1", "S2", "n1")}
    difference = (at["S1"] - at["S2"])[159]  # at 1600 ms, when the stimulus ends
    share = [(difference[COHERENCE == c] > 0).mean() for c in (0.0, 6.4, 25.6, -25.6)]
    assert share[0] == pytest.approx(0.5, abs=0.09)
    assert 0.65 < share[1] < 0.95
    assert share[2] > 0.97 and share[3] < 0.03
    noise = at["n1"][20:]
    assert noise.std() == pytest.approx(0.02 / np.sqrt(2.0), rel=0.01)


# --- Deco's areas ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def areas():
    cells = {
        "quiet": dd.ReducedWongWang(),
        "balanced": (dd.ReducedWongWangEI(sigma=0.0), {"S_E": 0.3, "S_I": 0.2}),
        "noisy": dd.ReducedWongWangEI(),
    }
    record = [dd.every(50.0, name) for name in ("quiet.S", "noisy.S_E", "noisy.S_I")]
    record += ["balanced.S_E", "balanced.S_I"]
    return dd.DSRunner(SideBySide(300, cells), dt=0.5, seed=2, record=record).run(3000.0).traces


def test_ReducedWongWang_fluctuates_about_its_state(areas):
    """The fixed point by scipy, and the variance of its linear approximation."""

    def slope(S):
        rate = curve(0.9 * 0.2609 * S + 0.3, 270.0, 108.0, 0.154)
        return -S / 100.0 + (1.0 - S) * 0.641e-3 * rate

    rest = brentq(slope, 0.0, 1.0)
    decay = -(slope(rest + 1e-5) - slope(rest - 1e-5)) / 2e-5
    S = areas["quiet.S"].value[20:]
    assert S.mean() == pytest.approx(rest, rel=0.03)
    assert S.std() == pytest.approx(0.001 / np.sqrt(2.0 * decay), rel=0.06)


def test_ReducedWongWangEI_has_3_Hz_by_its_inhibition(areas):
    """Deco et al.: S_E = 0.164757, and the excitatory current 0.026 nA below b_E / a_E."""

    def slope(S):
        r_E = curve(0.382 + 0.21 * S[0] - S[1], 310.0, 125.0, 0.16)
        r_I = curve(0.2674 + 0.15 * S[0] - S[1], 615.0, 177.0, 0.087)
        return [-S[0] / 100.0 + (1.0 - S[0]) * 0.641e-3 * r_E, 1e-3 * r_I - S[1] / 10.0]

    S_E, S_I = fsolve(slope, [0.16, 0.04], xtol=1e-13)
    assert S_E == pytest.approx(0.164757, abs=1e-6)
    assert areas["balanced.S_E"].value[-1, 0] == pytest.approx(S_E, abs=1e-4)
    assert areas["balanced.S_I"].value[-1, 0] == pytest.approx(S_I, abs=1e-4)
    model = dd.ReducedWongWangEI()
    state = model.State(jnp.asarray(S_E), jnp.asarray(S_I))
    r_E, r_I = model.rates(state)
    assert float(r_E) == pytest.approx(3.0773, abs=1e-3)
    assert float(r_I) == pytest.approx(3.9218, abs=1e-3)
    assert 0.382 + 0.21 * S_E - S_I - 125.0 / 310.0 == pytest.approx(-0.026, abs=5e-4)
    assert float(model.rates(state, 0.01)[0]) > float(r_E)


def test_ReducedWongWangEI_stays_between_0_and_1(areas):
    S_E, S_I = areas["noisy.S_E"].value, areas["noisy.S_I"].value
    assert S_E.min() >= 0.0 and S_I.min() == 0.0 and S_E.max() <= 1.0
    assert S_E[20:].mean() == pytest.approx(0.165, abs=0.06)
